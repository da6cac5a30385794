//! Sign-out that the provider tells the product's server (OpenID Connect Back-Channel Logout 1.0).
//! Entra does not speak it; other providers do.

use entra_core::{JwtRules, OneTimeKey, SessionKey, UnverifiedJwt, UserKey};
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::collections::HashMap;
use std::sync::Arc;

use crate::claims::{Claim, Text};
use crate::token_keys::{KeyFault, KnownKeys};
use crate::{EntraLogin, Error, LogoutRefusal};

impl EntraLogin {
    /// Validates a logout token and says whose sessions end: those of one session at the provider,
    /// or all of a user.
    ///
    /// # Errors
    /// [`Error::Logout`] where the token is refused; the answer is 400. [`Error::Keys`] where the
    /// provider's keys cannot be had.
    pub async fn back_channel(&self, logout_token: &str) -> Result<BackChannelLogout, Error> {
        let refuse = |why| Error::Logout(LogoutRefusal::Token(why));
        let published = self.0.provider.published();
        // Back-Channel Logout 2.6, in its order. 1. It is not encrypted. 2. It is signed.
        let rules = JwtRules::new()
            .with_algorithms(self.0.options.authority.algorithms())
            .with_types(["logout+jwt", "JWT"]);
        let token = UnverifiedJwt::parse(logout_token, &rules)
            .map_err(|_| refuse("it is no signed token of this kind"))?;
        // 3. It is of this issuer and for this client; before a key is fetched for a stranger's.
        if token.unverified_issuer() != Some(&published.configuration.issuer) {
            return Err(refuse("its issuer is another one"));
        }
        if token.unverified_audiences() != [self.0.options.client.id()] {
            return Err(refuse("it is for another client"));
        }
        let known = KnownKeys::Published(Arc::clone(&published));
        let key = known.key_for(&token).await.map_err(|fault| match fault {
            // Anybody may name a key that is not there.
            KeyFault::Refused(_) => refuse("its key is none of the provider's"),
            KeyFault::Unavailable(error) => Error::Keys(error),
        })?;
        let token = token
            .verify(key)
            .map_err(|_| refuse("its signature is wrong"))?;
        token
            .validate_times(self.now(), entra_core::ClockSkew::default())
            .map_err(|_| refuse("it is not in force"))?;
        let issued_on = token.issued_on().ok_or_else(|| refuse("it has no iat"))?;
        let claims: Claims<'_> = token
            .claims()
            .map_err(|_| refuse("its claims have another shape"))?;
        // 4. It says whose sessions end.
        if claims.sub.is_none() && claims.sid.is_none() {
            return Err(refuse("it names neither a user nor a session"));
        }
        // 5. It is a logout and nothing else.
        if !claims.events.contains_key(EVENT) {
            return Err(refuse("it is no event of a logout"));
        }
        // 6. It is no ID token.
        if claims.nonce.is_present() {
            return Err(refuse("it has a nonce, as an ID token has"));
        }
        // 7. It was not used before.
        let key = OneTimeKey::new(
            "oidc logout token",
            [published.configuration.issuer.as_str(), &claims.jti],
        );
        let until = token.expires_on().unwrap_or(issued_on) + time::Duration::minutes(10);
        match self.0.used.insert_once(&key, until).await {
            Ok(true) => {}
            Ok(false) => return Err(refuse("it was used before")),
            Err(error) => return Err(Error::OneTime(Arc::new(error))),
        }
        let issuer = &published.configuration.issuer;
        // A subject of Entra is no key of a user.
        let subject = claims.sub.filter(|_| !published.rule.is_entra());
        let user = subject.map(|subject| UserKey::other(issuer, &subject));
        Ok(BackChannelLogout {
            session: claims
                .sid
                .map(|sid| SessionKey::new(self.profile().as_str(), sid)),
            user: user
                .transpose()
                .map_err(|_| refuse("its subject is none"))?,
        })
    }
}

/// Whose sessions end: of this session at the provider, if it is named, or else all of the user.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BackChannelLogout {
    /// The session at the provider.
    pub session: Option<SessionKey>,
    /// The user, where the provider names one by whom the product knows it.
    pub user: Option<UserKey>,
}

#[derive(Deserialize)]
struct Claims<'a> {
    jti: String,
    sub: Option<String>,
    sid: Option<String>,
    events: HashMap<String, HashMap<String, IgnoredAny>>,
    #[serde(borrow, default)]
    nonce: Claim<Text<'a>>,
}

const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
