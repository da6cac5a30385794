//! Values that must not be seen: redacted in every `Debug`, wiped when dropped, never serialised.

use std::fmt;

use aws_lc_rs::{constant_time, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::Error;

/// A secret text: a client secret, a token, an authorization code, a private key in PEM.
///
/// It has no `Display` and no `Serialize`; `Debug` shows nothing of it. Memory is wiped on drop;
/// copies that an HTTP or TLS library makes on the way to the network are not.
///
/// ```
/// let secret = entra_core::Secret::new("s3cr3t");
/// assert_eq!(format!("{secret:?}"), "Secret([redacted])");
/// assert_eq!(secret.expose(), "s3cr3t");
/// ```
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct Secret(SecretString);

impl Secret {
    /// Takes the text over.
    pub fn new(text: impl Into<String>) -> Self {
        Self(SecretString::from(text.into()))
    }

    /// A new secret of 32 random bytes in base64url, which has 43 characters: a `state`, a PKCE
    /// verifier, the name of a session.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] where the system has no randomness to give.
    pub fn generate() -> Result<Self, Error> {
        let mut bytes = Zeroizing::new([0; 32]);
        aws_lc_rs::rand::fill(&mut *bytes)
            .map_err(|_| Error::InvalidRequest("the system has no randomness to give"))?;
        Ok(Self::new(URL_SAFE_NO_PAD.encode(*bytes)))
    }

    /// A value with secrets in it, as JSON to be sealed ([`KeyRing`](crate::KeyRing)). It is
    /// written into memory that is wiped, without copies on the way. Nothing where the value has
    /// no JSON.
    pub fn of_json(value: &impl Serialize) -> Option<Self> {
        let mut json = Zeroizing::new(Vec::with_capacity(JSON_SIZE));
        serde_json::to_writer(&mut *json, value).ok()?;
        std::str::from_utf8(&json).ok().map(Self::new)
    }

    /// The text itself. Each call is a place to look at in a review.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// The first eight hexadecimal digits of the SHA-256 of the secret: enough to tell two apart
    /// in a support case, not enough to guess one.
    pub fn fingerprint(&self) -> String {
        let mut digits = self.digest();
        digits.truncate(8);
        digits
    }

    /// The SHA-256 in hexadecimal digits. It must not leave the process unprotected: a short secret
    /// can be guessed from it.
    pub(crate) fn digest(&self) -> String {
        let hash = digest::digest(&digest::SHA256, self.expose().as_bytes());
        lower_hex(hash.as_ref())
    }
}

/// Lower-case hexadecimal digits.
pub(crate) fn lower_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl PartialEq for Secret {
    /// Compares in a time that depends on the lengths alone.
    fn eq(&self, other: &Self) -> bool {
        constant_time::verify_slices_are_equal(self.expose().as_bytes(), other.expose().as_bytes())
            .is_ok()
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret([redacted])")
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

/// More than a token takes, so that the text does not move while it is written.
const JSON_SIZE: usize = 32 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equality_compares_the_text() {
        assert_eq!(Secret::new("a"), Secret::new("a"));
        assert_ne!(Secret::new("a"), Secret::new("b"));
        assert_ne!(Secret::new("a"), Secret::new("aa"));
    }

    #[test]
    fn a_fingerprint_is_the_start_of_the_sha_256() {
        // `printf %s abc | sha256sum`
        assert_eq!(Secret::new("abc").fingerprint(), "ba7816bf");
    }
}
