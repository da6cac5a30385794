//! Proof Key for Code Exchange (RFC 7636), with S256 alone.

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::{Error, Secret};

/// A secret that ties an authorization code to whoever asked for it.
///
/// The challenge goes with the request, the verifier with the code: a code that was stolen on its
/// way through the browser is useless without the verifier.
///
/// ```
/// use entra_core::{Pkce, Secret};
///
/// // RFC 7636, appendix B.
/// let pkce = Pkce::from_verifier(Secret::new("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"));
/// assert_eq!(pkce.challenge(), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
/// ```
#[derive(Clone, Debug)]
pub struct Pkce {
    verifier: Secret,
}

impl Pkce {
    /// A new verifier of 32 random bytes, as RFC 7636 4.1 recommends.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] where the system has no randomness to give.
    pub fn generate() -> Result<Self, Error> {
        Secret::generate().map(Self::from_verifier)
    }

    /// Takes a verifier over that was kept while the browser was away.
    pub fn from_verifier(verifier: Secret) -> Self {
        Self { verifier }
    }

    /// The verifier, to redeem the code with.
    pub fn verifier(&self) -> &Secret {
        &self.verifier
    }

    /// The challenge of the method `S256` (RFC 7636 4.2), to ask for the code with.
    pub fn challenge(&self) -> String {
        let hash = digest::digest(&digest::SHA256, self.verifier.expose().as_bytes());
        URL_SAFE_NO_PAD.encode(hash)
    }
}
