//! One pending login: what has to be remembered while the browser is away, sealed.

use std::borrow::Cow;
use std::fmt;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use entra_core::{KeyRing, SealError, Secret, UserKey};
use http::HeaderMap;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::cookie::Cookies;
use crate::options::ResponseMode;
use crate::{AuthContext, CallbackRefusal, ProfileName};

/// What is remembered of a login that was begun.
#[derive(Serialize, Deserialize)]
pub(crate) struct Transaction<'a> {
    #[serde(borrow)]
    pub(crate) state: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) nonce: Cow<'a, str>,
    /// The PKCE verifier.
    #[serde(borrow)]
    pub(crate) verifier: Cow<'a, str>,
    /// The issuer that it was begun with.
    pub(crate) issuer: String,
    pub(crate) redirect_uri: String,
    pub(crate) response_mode: ResponseMode,
    pub(crate) return_to: String,
    /// In seconds since 1970.
    pub(crate) begun_on: i64,
    /// Who has to come back, if it must be somebody.
    pub(crate) user: Option<UserKey>,
    /// The account that was proposed, if it must be that one.
    pub(crate) required_account: Option<String>,
    pub(crate) auth_contexts: Vec<AuthContext>,
    /// In seconds.
    pub(crate) max_age: Option<u64>,
    pub(crate) scope: String,
}

impl Transaction<'_> {
    pub(crate) fn is_expired(&self, now: OffsetDateTime) -> bool {
        is_expired(self.begun_on, now)
    }

    /// Seals it for the profile, in the place where it is kept: the name of a cookie, or
    /// [`HANDLE`].
    pub(crate) fn seal(
        &self,
        keys: &KeyRing,
        profile: &ProfileName,
        place: &str,
    ) -> Result<Sealed, SealError> {
        let json = Secret::of_json(self).ok_or(SealError::Failed)?;
        let sealed = keys.seal(PURPOSE, &bound_to(profile, place), &json)?;
        Ok(Sealed(format!(
            "{profile}.{}",
            URL_SAFE_NO_PAD.encode(sealed)
        )))
    }
}

/// A sealed pending login, with the name of its profile before it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Sealed(String);

impl Sealed {
    pub(crate) fn from_text(text: &str) -> Self {
        Self(text.to_owned())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The profile that it says it is of. Whether that is true, [`open`](Self::open) says.
    pub(crate) fn claimed_profile(&self) -> Option<ProfileName> {
        let (profile, _) = self.0.split_once('.')?;
        ProfileName::new(profile).ok()
    }

    /// Opens it: the JSON of a [`Transaction`], which [`read`] reads.
    pub(crate) fn open(
        &self,
        keys: &KeyRing,
        profile: &ProfileName,
        place: &str,
    ) -> Result<Secret, CallbackRefusal> {
        let (claimed, sealed) = self
            .0
            .split_once('.')
            .ok_or(CallbackRefusal::TransactionInvalid)?;
        if claimed != profile.as_str() {
            return Err(CallbackRefusal::OtherProfile);
        }
        let sealed = URL_SAFE_NO_PAD
            .decode(sealed)
            .map_err(|_| CallbackRefusal::TransactionInvalid)?;
        keys.open(PURPOSE, &bound_to(profile, place), &sealed)
            .map_err(|_| CallbackRefusal::TransactionInvalid)
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({} bytes)", self.0.len())
    }
}

/// Whether what was begun then is older than ten minutes.
pub(crate) fn is_expired(begun_on: i64, now: OffsetDateTime) -> bool {
    let age = now.unix_timestamp().saturating_sub(begun_on);
    // A clock that was set back must not make it live for ever.
    !(-LIFETIME..=LIFETIME).contains(&age)
}

/// Reads what was opened.
pub(crate) fn read(opened: &Secret) -> Result<Transaction<'_>, CallbackRefusal> {
    serde_json::from_str(opened.expose()).map_err(|_| CallbackRefusal::TransactionInvalid)
}

/// It opens for the same profile in the same place alone, so that a cookie is no handle, no
/// session, and nothing at another profile.
fn bound_to(profile: &ProfileName, place: &str) -> Vec<u8> {
    [profile.as_str().as_bytes(), &[0], place.as_bytes()].concat()
}

/// The cookies of a request that are pending logins.
pub(crate) fn pending_cookies(headers: &HeaderMap) -> Cookies {
    Cookies::starting_with(headers, COOKIE)
}

/// The name of the cookie of one login, without its prefix. It holds a part of the state's hash, so
/// that several tabs sign in side by side.
pub(crate) fn cookie_name(state: &str) -> String {
    let hash = digest::digest(&digest::SHA256, state.as_bytes());
    let mut name = COOKIE.to_owned();
    let hash = URL_SAFE_NO_PAD.encode(hash);
    name.extend(hash.chars().take(8));
    name
}

const COOKIE: &str = "entra_tx_";
/// Where a handle is kept: by the client.
pub(crate) const HANDLE: &str = "handle";
/// How long a login may be pending, in seconds: ten minutes.
pub(crate) const LIFETIME: i64 = 600;
const PURPOSE: &str = "oidc pending login v1";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_set_back_lets_no_login_live_longer() {
        let pending = Transaction {
            state: "s".into(),
            nonce: "n".into(),
            verifier: "v".into(),
            issuer: String::new(),
            redirect_uri: String::new(),
            response_mode: ResponseMode::Query,
            return_to: String::new(),
            begun_on: 1_767_225_600,
            user: None,
            required_account: None,
            auth_contexts: Vec::new(),
            max_age: None,
            scope: String::new(),
        };
        for (later, is_expired) in [
            (-601, true),
            (-600, false),
            (0, false),
            (600, false),
            (601, true),
        ] {
            let now = OffsetDateTime::from_unix_timestamp(1_767_225_600 + later).unwrap();
            assert_eq!(pending.is_expired(now), is_expired, "{later}");
        }
    }
}
