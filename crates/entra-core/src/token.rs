//! Access tokens, what is asked for, and who yields them.

use std::fmt;
use std::fmt::Debug;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use arc_swap::Guard;
use async_trait::async_trait;
use http::HeaderValue;
use time::OffsetDateTime;

use crate::{Error, Secret};

/// Yields access tokens. Cheap to call: whoever implements it caches.
#[async_trait]
pub trait TokenCredential: Debug + Send + Sync {
    /// A token that is valid for at least the refresh margin of the implementation, five minutes
    /// as a rule.
    async fn token(&self, request: &TokenRequest) -> Result<AccessToken, Error>;

    /// The service refused `token` before its time: the next call must not return it again.
    /// Many callers may say so at once; one new token is the answer to all of them.
    fn invalidate(&self, request: &TokenRequest, token: &AccessToken);
}

/// What a token is asked for: scopes in any order, and maybe a claims request.
///
/// ```
/// use entra_core::{Cloud, TokenRequest};
///
/// let request = TokenRequest::new([Cloud::public().graph_scope()]);
/// assert_eq!(request.scope(), "https://graph.microsoft.com/.default");
/// assert_eq!(TokenRequest::new(["b", "a", "B"]), TokenRequest::new(["A", "b"]));
/// ```
#[derive(Clone, Debug)]
pub struct TokenRequest {
    scope: Arc<str>,
    key: Arc<str>,
    claims: Option<Arc<str>>,
    bypass_cache: bool,
    hash: u64,
}

impl TokenRequest {
    /// Asks for these scopes. Order, case and repetitions make no difference to a cache.
    pub fn new<S: Into<String>>(scopes: impl IntoIterator<Item = S>) -> Self {
        // A text of several scopes counts as these scopes (RFC 6749 3.3).
        let mut scopes: Vec<String> = scopes
            .into_iter()
            .flat_map(|scope| {
                let scope: String = scope.into();
                scope
                    .split_whitespace()
                    .map(str::to_owned)
                    .collect::<Vec<_>>()
            })
            .collect();
        scopes.sort_by_key(|scope| scope.to_ascii_lowercase());
        scopes.dedup_by_key(|scope| scope.to_ascii_lowercase());
        let scope = scopes.join(" ");
        let key: Arc<str> = scope.to_ascii_lowercase().into();
        Self {
            hash: hash(&key, None),
            scope: scope.into(),
            key,
            claims: None,
            bypass_cache: false,
        }
    }

    /// Adds a claims request (OpenID Connect Core 5.5), as a claims challenge brings it.
    #[must_use]
    pub fn with_claims(mut self, claims: impl Into<String>) -> Self {
        let claims: Arc<str> = claims.into().into();
        self.hash = hash(&self.key, Some(&claims));
        self.claims = Some(claims);
        self
    }

    /// Asks the token endpoint even where a cached token would do, and does not count a recent
    /// failure: what a «Test connection» button wants.
    #[must_use]
    pub fn bypassing_cache(mut self) -> Self {
        self.bypass_cache = true;
        self
    }

    /// The scopes, separated by spaces (RFC 6749 3.3).
    pub fn scope(&self) -> &str {
        &self.scope
    }

    /// The same scopes alone.
    pub(crate) fn without_claims(&self) -> Self {
        Self {
            hash: hash(&self.key, None),
            claims: None,
            ..self.clone()
        }
    }

    /// The same request as a cache knows it.
    pub(crate) fn as_key(&self) -> Self {
        Self {
            bypass_cache: false,
            ..self.clone()
        }
    }

    /// The claims request, as JSON text.
    pub fn claims(&self) -> Option<&str> {
        self.claims.as_deref()
    }

    /// Whether caches are to be passed by.
    pub fn bypasses_cache(&self) -> bool {
        self.bypass_cache
    }
}

impl PartialEq for TokenRequest {
    /// Two requests are equal if one token answers both.
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash && self.key == other.key && self.claims == other.claims
    }
}

impl Eq for TokenRequest {}

impl Hash for TokenRequest {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

/// An access token and its times. Opaque to the client (RFC 6749 1.4).
///
/// A clone is cheap. What a cache returns is a lease on its entry, so that a hit touches no
/// shared counter; keep it for a call, not for a day.
#[derive(Clone)]
pub struct AccessToken(Held);

impl AccessToken {
    /// A token that is valid until `expires_on`. It fails where the token cannot stand in an
    /// HTTP header.
    pub fn new(
        token: Secret,
        expires_on: OffsetDateTime,
    ) -> Result<Self, http::header::InvalidHeaderValue> {
        Ok(Self(Held::Shared(Arc::new(TokenData::new(
            token, expires_on, None,
        )?))))
    }

    /// The token's text.
    pub fn secret(&self) -> &Secret {
        &self.data().token
    }

    /// When it ends.
    pub fn expires_on(&self) -> OffsetDateTime {
        self.data().expires_on
    }

    /// From when on it is better to ask for a new one, where the service said so.
    pub fn refresh_on(&self) -> Option<OffsetDateTime> {
        self.data().refresh_on
    }

    /// The value of an `Authorization` header (RFC 6750 2.1), marked as sensitive.
    pub fn authorization(&self) -> &HeaderValue {
        &self.data().authorization
    }

    pub(crate) fn shared(data: Arc<TokenData>) -> Self {
        Self(Held::Shared(data))
    }

    /// A lease on a cache's slot, or nothing where the slot is empty.
    pub(crate) fn leased(slot: Guard<Option<Arc<TokenData>>>) -> Option<Self> {
        slot.is_some().then_some(Self(Held::Leased(slot)))
    }

    pub(crate) fn data(&self) -> &TokenData {
        match &self.0 {
            Held::Shared(data) => data,
            #[expect(clippy::expect_used, reason = "`leased` refuses an empty slot")]
            Held::Leased(slot) => slot.as_ref().expect("a leased slot holds a token"),
        }
    }
}

impl PartialEq for AccessToken {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.data(), other.data()) || self.secret() == other.secret()
    }
}

impl Eq for AccessToken {}

impl Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessToken")
            .field("expires_on", &self.expires_on())
            .field("refresh_on", &self.refresh_on())
            .finish_non_exhaustive()
    }
}

/// What is known of a token. One allocation that all its holders share.
pub(crate) struct TokenData {
    token: Secret,
    authorization: HeaderValue,
    pub(crate) expires_on: OffsetDateTime,
    pub(crate) refresh_on: Option<OffsetDateTime>,
    issued_on: Option<OffsetDateTime>,
    fresh_until: OffsetDateTime,
    /// The same in Unix seconds, for the path that must be fast.
    fresh_until_unix: i64,
    usable_until: OffsetDateTime,
}

impl TokenData {
    /// A token without a cache's times.
    pub(crate) fn new(
        token: Secret,
        expires_on: OffsetDateTime,
        refresh_on: Option<OffsetDateTime>,
    ) -> Result<Self, http::header::InvalidHeaderValue> {
        let mut authorization = HeaderValue::try_from(format!("Bearer {}", token.expose()))?;
        authorization.set_sensitive(true);
        let fresh_until = refresh_on.unwrap_or(expires_on);
        Ok(Self {
            token,
            authorization,
            expires_on,
            refresh_on,
            issued_on: None,
            fresh_until,
            fresh_until_unix: fresh_until.unix_timestamp(),
            usable_until: expires_on,
        })
    }

    /// The same token, issued at `now`: from when on a cache should renew it. That is when the
    /// service says so, else at half its life if it is long and at three quarters if it is short,
    /// but never later than five minutes before the end.
    pub(crate) fn issued_at(mut self, now: OffsetDateTime) -> Self {
        self.issued_on = Some(now);
        let lifetime: time::Duration = self.expires_on - now;
        let margin = REFRESH_MARGIN.min(lifetime / 2);
        self.usable_until = self.expires_on.saturating_sub(margin);
        let ahead = if lifetime > LONG_LIFE {
            lifetime / 2
        } else {
            lifetime / 4
        };
        let by_age = self.expires_on.saturating_sub(ahead);
        self.fresh_until = self.refresh_on.unwrap_or(by_age).min(self.usable_until);
        self.fresh_until_unix = self.fresh_until.unix_timestamp();
        self
    }

    /// Whether it was asked for earlier than `other`, as far as both are known.
    pub(crate) fn is_older_than(&self, other: &Self) -> bool {
        matches!((self.issued_on, other.issued_on), (Some(own), Some(other)) if own < other)
    }

    /// Until when a cache returns it without a second thought.
    pub(crate) fn fresh_until(&self) -> OffsetDateTime {
        self.fresh_until
    }

    /// The same in whole Unix seconds.
    pub(crate) fn fresh_until_unix(&self) -> i64 {
        self.fresh_until_unix
    }

    /// Until when a caller gets it while its successor is on the way.
    pub(crate) fn usable_until(&self) -> OffsetDateTime {
        self.usable_until
    }
}

enum Held {
    Shared(Arc<TokenData>),
    Leased(Guard<Option<Arc<TokenData>>>),
}

impl Clone for Held {
    fn clone(&self) -> Self {
        match self {
            Self::Shared(data) => Self::Shared(Arc::clone(data)),
            Self::Leased(slot) => match &**slot {
                Some(data) => Self::Shared(Arc::clone(data)),
                None => Self::Leased(Guard::from_inner(None)),
            },
        }
    }
}

fn hash(key: &str, claims: Option<&str>) -> u64 {
    let mut hasher = DefaultHasher::new();
    (key, claims).hash(&mut hasher);
    hasher.finish()
}

/// Tokens of apps with Continuous Access Evaluation live a day or longer.
const LONG_LIFE: time::Duration = time::Duration::hours(2);
/// A caller gets a token that is valid for at least this long.
const REFRESH_MARGIN: time::Duration = time::Duration::minutes(5);

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn claims_make_another_request() {
        let plain = TokenRequest::new(["a"]);
        assert_ne!(plain, plain.clone().with_claims("{}"));
        assert_eq!(plain, plain.clone().bypassing_cache());
    }

    #[test]
    fn a_token_is_sent_as_a_sensitive_header_and_not_shown() {
        let token = AccessToken::new("e30.e30.x".into(), datetime!(2026-01-01 00:00 UTC)).unwrap();
        assert_eq!(token.authorization(), "Bearer e30.e30.x");
        assert!(token.authorization().is_sensitive());
        assert!(!format!("{token:?}").contains("e30"));
    }

    #[test]
    fn a_token_with_a_line_break_is_refused() {
        assert!(AccessToken::new("a\r\nb".into(), datetime!(2026-01-01 00:00 UTC)).is_err());
    }
}
