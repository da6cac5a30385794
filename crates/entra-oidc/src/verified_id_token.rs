//! An ID token that passed every check.

use std::collections::BTreeMap;
use std::fmt;

use aws_lc_rs::constant_time;
use entra_core::{Groups, JwtRefusal, TenantId, UserKey, UserProfile, VerifiedJwt};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use time::OffsetDateTime;

use crate::claims::{Claim, List, Moment, NamesGroups, Text, Truth, is_guest};
use crate::{AuthContext, User};

/// An ID token that passed every check. Only [`IdTokenValidator`](crate::IdTokenValidator) makes
/// one.
pub struct VerifiedIdToken {
    jwt: VerifiedJwt,
    key: UserKey,
    subject: String,
    auth_contexts: Vec<AuthContext>,
}

impl VerifiedIdToken {
    pub(crate) fn new(
        jwt: VerifiedJwt,
        key: UserKey,
        subject: String,
        auth_contexts: Vec<AuthContext>,
    ) -> Self {
        Self {
            jwt,
            key,
            subject,
            auth_contexts,
        }
    }

    /// Who signed in.
    pub fn key(&self) -> &UserKey {
        &self.key
    }

    /// The issuer: `iss`.
    pub fn issuer(&self) -> &str {
        self.jwt.issuer().unwrap_or_default()
    }

    /// The subject: `sub`. For Entra it is another one for each application, and no key.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The tenant, where the provider is Entra.
    pub fn tenant(&self) -> Option<TenantId> {
        self.key.tenant()
    }

    /// When it was issued: `iat`.
    pub fn issued_on(&self) -> Option<OffsetDateTime> {
        self.jwt.issued_on()
    }

    /// When it ends: `exp`.
    pub fn expires_on(&self) -> Option<OffsetDateTime> {
        self.jwt.expires_on()
    }

    /// The authentication contexts that the user passed.
    pub fn auth_contexts(&self) -> &[AuthContext] {
        &self.auth_contexts
    }

    /// Whether it has this nonce; none where it has no nonce at all.
    pub fn has_nonce(&self, nonce: &str) -> Option<bool> {
        let found: String = self.get("nonce").ok().flatten()?;
        let is_same = constant_time::verify_slices_are_equal(found.as_bytes(), nonce.as_bytes());
        Some(is_same.is_ok())
    }

    /// A claim; none where it is absent. It is the provider's own word, and says nothing of how far
    /// the provider checked it: an address is not verified because it stands in a token.
    ///
    /// # Errors
    /// [`JwtRefusal::Claims`] where it has another shape.
    pub fn get<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, JwtRefusal> {
        claim(&self.jwt, name)
    }

    /// All claims, read into a type of the caller's.
    ///
    /// # Errors
    /// [`JwtRefusal::Claims`] where they have another shape.
    pub fn claims<'de, T: Deserialize<'de>>(&'de self) -> Result<T, JwtRefusal> {
        self.jwt.claims()
    }

    /// The signed-in user, who came by the connection ("profile") of this name.
    pub fn user(&self, connection: &str) -> User {
        // Every claim of another shape than it must have was refused before, or is a blank.
        let claims: Shown<'_> = self.jwt.claims().unwrap_or_default();
        let mut profile = UserProfile::new(self.key.clone(), connection);
        profile.display_name = claims.name.shown();
        profile.given_name = claims.given_name.shown();
        profile.family_name = claims.family_name.shown();
        profile.user_name = claims
            .preferred_username
            .shown()
            .or_else(|| claims.upn.shown());
        profile.is_guest = self.tenant().and_then(|tenant| claims.is_guest(tenant));
        profile.roles = claims
            .roles
            .if_good()
            .map(List::to_strings)
            .unwrap_or_default();
        profile.groups = claims.groups();
        let email = claims.email.shown().filter(|email| is_address(email));
        if claims.is_email_verified(self.tenant().is_some()) {
            profile.verified_email = email;
        } else {
            profile.unverified_email = email;
        }
        User {
            profile,
            issuer: self.issuer().to_owned(),
            subject: self.subject.clone(),
            session_id: claims.sid.shown(),
            login_hint: claims.login_hint.shown(),
            auth_contexts: self.auth_contexts.clone(),
            authenticated_on: claims.auth_time.if_good().map(|moment| moment.0),
        }
    }
}

impl fmt::Debug for VerifiedIdToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedIdToken")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

/// One claim of a token.
pub(crate) fn claim<T: DeserializeOwned>(
    jwt: &VerifiedJwt,
    name: &str,
) -> Result<Option<T>, JwtRefusal> {
    let mut claims: BTreeMap<String, serde_json::Value> = jwt.claims()?;
    let Some(value) = claims.remove(name) else {
        return Ok(None);
    };
    let value = serde_json::from_value(value);
    value.map(Some).map_err(|error| JwtRefusal::Claims {
        column: error.column(),
    })
}

/// The claims that say something about the user.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Shown<'a> {
    #[serde(borrow)]
    name: Claim<Text<'a>>,
    #[serde(borrow)]
    given_name: Claim<Text<'a>>,
    #[serde(borrow)]
    family_name: Claim<Text<'a>>,
    #[serde(borrow)]
    preferred_username: Claim<Text<'a>>,
    #[serde(borrow)]
    upn: Claim<Text<'a>>,
    #[serde(borrow)]
    email: Claim<Text<'a>>,
    /// Whether the owner of the address's domain was verified (Microsoft Learn, "Optional claims
    /// reference").
    xms_edov: Claim<Truth>,
    /// OpenID Connect Core 5.1.
    email_verified: Claim<Truth>,
    #[serde(borrow)]
    sid: Claim<Text<'a>>,
    #[serde(borrow)]
    login_hint: Claim<Text<'a>>,
    #[serde(borrow)]
    idp: Claim<Text<'a>>,
    acct: Claim<Truth>,
    auth_time: Claim<Moment>,
    #[serde(borrow)]
    roles: Claim<List<'a>>,
    #[serde(borrow)]
    groups: Claim<List<'a>>,
    #[serde(rename = "_claim_names")]
    left_out: Claim<NamesGroups>,
    hasgroups: Claim<Truth>,
}

impl Shown<'_> {
    fn is_guest(&self, tenant: TenantId) -> Option<bool> {
        let provider = self.idp.if_good().map(|text| text.0.as_ref());
        is_guest(self.acct.if_good(), provider, tenant)
    }

    /// Entra's `email_verified` says nothing, others have no `xms_edov`.
    fn is_email_verified(&self, is_entra: bool) -> bool {
        let claim = if is_entra {
            &self.xms_edov
        } else {
            &self.email_verified
        };
        matches!(claim, Claim::Good(Truth(true)))
    }

    /// Microsoft Learn, "Groups overage claim": the list is left out, or cut, and the token says
    /// so. Where it says to read them is never asked: that would send a token of the product's
    /// wherever the claim leads.
    fn groups(&self) -> Groups {
        let names_groups = matches!(self.left_out, Claim::Good(NamesGroups(true)));
        let has_groups = matches!(self.hasgroups, Claim::Good(Truth(true)));
        match self.groups.if_good() {
            _ if names_groups || has_groups => Groups::Overage,
            Some(groups) => Groups::Complete(groups.to_strings()),
            None => Groups::NotEmitted,
        }
    }
}

/// One `@` with something on both sides, and nothing that an address in a header or a list could
/// be ended with.
fn is_address(text: &str) -> bool {
    let is_plain = |part: &str| {
        let is_bad = |c: char| c.is_control() || c.is_whitespace() || ",;<>\"\\".contains(c);
        !part.is_empty() && !part.contains(is_bad)
    };
    text.len() <= MAX_ADDRESS
        && text
            .split_once('@')
            .is_some_and(|(user, host)| is_plain(user) && is_plain(host) && !host.contains('@'))
}

/// RFC 5321 4.5.3.1.3, without the angle brackets.
const MAX_ADDRESS: usize = 254;
