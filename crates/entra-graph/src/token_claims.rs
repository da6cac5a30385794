//! What a diagnosis reads of a Graph token. Nothing is trusted because of it: the token is opaque
//! to its client (RFC 6749 1.4).

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use entra_core::{AccessToken, ObjectId};
use serde::Deserialize;

#[derive(Deserialize)]
pub(crate) struct TokenClaims {
    /// The application permissions.
    #[serde(default)]
    pub(crate) roles: BTreeSet<String>,
    /// The service principal of the app, or the user (`oid`).
    #[serde(rename = "oid")]
    pub(crate) object_id: Option<ObjectId>,
    /// The delegated ones, if a user is signed in.
    #[serde(rename = "scp")]
    pub(crate) scopes: Option<String>,
}

impl TokenClaims {
    /// Nothing if the token cannot be read, as one that is encrypted.
    pub(crate) fn read(token: &AccessToken) -> Option<Self> {
        let token = token.secret();
        let payload = token.expose().split('.').nth(1)?;
        let json = URL_SAFE_NO_PAD.decode(payload).ok()?;
        serde_json::from_slice(&json).ok()
    }
}
