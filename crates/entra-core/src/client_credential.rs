//! What an application proves its identity with: a secret, a certificate, an assertion.

use std::fmt;
use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, Header};
use serde::Serialize;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::tenant::is_guid;
use crate::{Certificate, CertificateError, ClientId, Error, Secret, SigningCertificate};

/// A client secret as it was pasted, checked before it is used.
///
/// ```
/// use entra_core::{ClientSecret, ClientSecretError};
///
/// // The portal shows two columns; this is the wrong one.
/// let error = ClientSecret::parse("1a2b3c4d-0000-4000-8000-5e6f70819203").unwrap_err();
/// assert_eq!(error, ClientSecretError::SecretId);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientSecret(Secret);

impl ClientSecret {
    /// Reads a secret as it is pasted: surrounding space and quotes are dropped.
    pub fn parse(text: &str) -> Result<Self, ClientSecretError> {
        let text = text.trim_matches(|c: char| c.is_whitespace() || matches!(c, '"' | '\''));
        if text.is_empty() {
            return Err(ClientSecretError::Empty);
        }
        if is_guid(text) {
            return Err(ClientSecretError::SecretId);
        }
        if text.contains("-----BEGIN ") {
            return Err(ClientSecretError::Pem);
        }
        if text.contains("://") {
            return Err(ClientSecretError::Url);
        }
        if text.ends_with("***") || text.ends_with("\u{2026}") {
            return Err(ClientSecretError::Masked);
        }
        if text.contains(char::is_whitespace) {
            return Err(ClientSecretError::Whitespace);
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(ClientSecretError::Character);
        }
        Ok(Self(Secret::new(text)))
    }

    /// The secret.
    pub fn secret(&self) -> &Secret {
        &self.0
    }
}

impl TryFrom<&Secret> for ClientSecret {
    type Error = ClientSecretError;

    fn try_from(secret: &Secret) -> Result<Self, ClientSecretError> {
        Self::parse(secret.expose())
    }
}

/// Why a text is not a client secret. It does not repeat the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClientSecretError {
    /// Nothing was given.
    #[error("the client secret is empty")]
    Empty,
    /// It is a GUID: the portal's «Secret ID» instead of the «Value».
    #[error("a GUID was given as the client secret; that is the Secret ID, not its Value")]
    SecretId,
    /// It is a certificate or a key.
    #[error("a certificate or a private key was given where the client secret is expected")]
    Pem,
    /// It is a URL.
    #[error("a URL was given where the client secret is expected")]
    Url,
    /// There is white space within it: more than the secret was copied.
    #[error("the client secret contains white space; maybe more than the value was copied")]
    Whitespace,
    /// It ends in asterisks or dots: the portal shows it so once the page was left.
    #[error("the client secret was copied after the portal had hidden it")]
    Masked,
    /// A character that no secret has: an invisible one, or one that a word processor put in.
    #[error("the client secret has a character that no client secret has")]
    Character,
}

impl ClientSecretError {
    /// What an administrator can do about it.
    pub fn admin_hint(self) -> &'static str {
        match self {
            Self::Empty => "Enter the client secret's Value.",
            Self::SecretId | Self::Masked => {
                "Create a new client secret under App registrations > Certificates & secrets, and \
                 copy its Value at once: the portal never shows it again."
            }
            Self::Pem => "Enter it as a certificate, not as a client secret.",
            Self::Url => "Enter the client secret's Value, not an address.",
            Self::Whitespace | Self::Character => {
                "Copy the client secret's Value alone, with the portal's copy button."
            }
        }
    }
}

/// What an application proves its identity with.
#[derive(Clone, Debug)]
pub struct ClientCredential(Kind);

impl ClientCredential {
    /// A client secret. A certificate is safer, since it never leaves the product.
    pub fn secret(secret: ClientSecret) -> Self {
        Self(Kind::Secret(secret))
    }

    /// A certificate that is registered with the application.
    pub fn certificate(certificate: SigningCertificate) -> Self {
        Self(Kind::Certificate {
            certificate,
            send_chain: false,
        })
    }

    /// An assertion that the host brings: workload identity federation, a key in an HSM.
    pub fn assertion(assertion: Arc<dyn ClientAssertion>) -> Self {
        Self(Kind::Assertion(assertion))
    }

    /// Sends the certificate and its chain along (`x5c`), as subject-name-and-issuer
    /// authentication needs it. For other credentials it changes nothing.
    #[must_use]
    pub fn with_chain(mut self) -> Self {
        if let Kind::Certificate { send_chain, .. } = &mut self.0 {
            *send_chain = true;
        }
        self
    }

    /// When the credential ends, as far as this side knows. The end of a secret is known to the
    /// tenant alone.
    pub fn expires_on(&self) -> Option<OffsetDateTime> {
        match &self.0 {
            Kind::Certificate { certificate, .. } => Some(certificate.certificate().not_after()),
            Kind::Secret(_) | Kind::Assertion(_) => None,
        }
    }

    /// What kind it is and how it is recognised, for people: never the secret itself.
    pub fn describe(&self) -> String {
        match &self.0 {
            Kind::Secret(secret) => {
                format!("client secret with fingerprint {}", secret.0.fingerprint())
            }
            Kind::Certificate { certificate, .. } => format!(
                "certificate {} with thumbprint {}",
                certificate.certificate().subject(),
                certificate.certificate().thumbprint_sha1()
            ),
            Kind::Assertion(_) => "client assertion of the host".to_owned(),
        }
    }

    /// The first three characters of a client secret, as Graph shows them for each secret of an
    /// application (`hint`): enough to tell which one is in use.
    pub fn secret_hint(&self) -> Option<&str> {
        match &self.0 {
            Kind::Secret(secret) => secret.0.expose().get(..3),
            Kind::Certificate { .. } | Kind::Assertion(_) => None,
        }
    }

    /// What tells it from others where tokens are shared: whoever holds another credential must
    /// ask for a token of its own.
    pub(crate) fn identity(&self) -> String {
        match &self.0 {
            Kind::Secret(secret) => format!("secret:{}", secret.0.digest()),
            Kind::Certificate { certificate, .. } => {
                format!("certificate:{}", certificate.certificate().x5t_s256())
            }
            Kind::Assertion(_) => "assertion".to_owned(),
        }
    }

    /// The certificate, if it is one.
    pub fn as_certificate(&self) -> Option<&Certificate> {
        match &self.0 {
            Kind::Certificate { certificate, .. } => Some(certificate.certificate()),
            Kind::Secret(_) | Kind::Assertion(_) => None,
        }
    }

    /// The parameters that prove the identity in one token request. An assertion is made anew
    /// each time: after a wait the last one may have ended.
    pub(crate) async fn proof(
        &self,
        audience: &str,
        client: &ClientId,
        now: OffsetDateTime,
    ) -> Result<Proof, Error> {
        match &self.0 {
            Kind::Secret(secret) => Ok(Proof::Secret(secret.0.clone())),
            Kind::Certificate {
                certificate,
                send_chain,
            } => {
                let assertion = sign_assertion(certificate, *send_chain, audience, client, now)?;
                Ok(Proof::Assertion(assertion))
            }
            Kind::Assertion(assertion) => assertion
                .assertion(audience)
                .await
                .map(Proof::Assertion)
                .map_err(assertion_error),
        }
    }
}

impl PartialEq for ClientCredential {
    /// Two credentials are equal if they prove the same: the same secret, the same certificate,
    /// the same source of assertions.
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Kind::Secret(one), Kind::Secret(two)) => one == two,
            (
                Kind::Certificate {
                    certificate: one,
                    send_chain: one_sends,
                },
                Kind::Certificate {
                    certificate: two,
                    send_chain: two_sends,
                },
            ) => one.certificate() == two.certificate() && one_sends == two_sends,
            (Kind::Assertion(one), Kind::Assertion(two)) => Arc::ptr_eq(one, two),
            _ => false,
        }
    }
}

impl Eq for ClientCredential {}

/// Makes client assertions (RFC 7523 2.2) where the key is not in the product's hands.
#[async_trait]
pub trait ClientAssertion: Debug + Send + Sync {
    /// An assertion for `audience`, the URL of the token endpoint.
    async fn assertion(
        &self,
        audience: &str,
    ) -> Result<Secret, Box<dyn std::error::Error + Send + Sync>>;
}

/// The proof in one token request.
pub(crate) enum Proof {
    Secret(Secret),
    Assertion(Secret),
}

#[derive(Clone)]
enum Kind {
    Secret(ClientSecret),
    Certificate {
        certificate: SigningCertificate,
        send_chain: bool,
    },
    Assertion(Arc<dyn ClientAssertion>),
}

impl Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Secret(secret) => secret.fmt(f),
            Self::Certificate { certificate, .. } => certificate.fmt(f),
            Self::Assertion(assertion) => assertion.fmt(f),
        }
    }
}

/// The claims of a client assertion (RFC 7523 3; Microsoft Learn, "Microsoft identity platform
/// application authentication certificate credentials").
#[derive(Serialize)]
struct Claims<'a> {
    aud: &'a str,
    iss: &'a ClientId,
    sub: &'a ClientId,
    jti: Uuid,
    iat: i64,
    nbf: i64,
    exp: i64,
}

/// That an assertion cannot be had on this machine must not be lost among the failures.
fn assertion_error(error: Box<dyn std::error::Error + Send + Sync>) -> Error {
    match error.downcast_ref::<Error>() {
        Some(own @ Error::NotAvailable { .. }) => own.clone(),
        _ => Error::Credential(error.into()),
    }
}

fn sign_assertion(
    certificate: &SigningCertificate,
    send_chain: bool,
    audience: &str,
    client: &ClientId,
    now: OffsetDateTime,
) -> Result<Secret, Error> {
    let now = now.unix_timestamp();
    let claims = Claims {
        aud: audience,
        iss: client,
        sub: client,
        jti: Uuid::new_v4(),
        iat: now,
        nbf: now - CLOCK_SKEW,
        exp: now + LIFETIME,
    };
    let mut header = Header::new(Algorithm::PS256);
    header.x5t_s256 = Some(certificate.certificate().x5t_s256());
    if send_chain {
        // RFC 7515 4.1.6: standard Base64 of the DER, the signing certificate first.
        header.x5c = Some(
            std::iter::once(certificate.certificate())
                .chain(certificate.chain())
                .map(|certificate| STANDARD.encode(certificate.der()))
                .collect(),
        );
    }
    let mut jwt = encode(&header)?;
    jwt.push('.');
    jwt.push_str(&encode(&claims)?);
    let signature = certificate.sign_ps256(jwt.as_bytes())?;
    jwt.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut jwt);
    Ok(Secret::new(jwt))
}

fn encode(part: &impl Serialize) -> Result<String, CertificateError> {
    serde_json::to_vec(part)
        .map(|json| URL_SAFE_NO_PAD.encode(json))
        .map_err(|_| CertificateError::CannotSign)
}

/// How much this machine's clock may be ahead of the service's, in seconds.
const CLOCK_SKEW: i64 = 60;
/// How long an assertion is valid, in seconds: long enough for a slow network, short enough to be
/// useless to a thief.
const LIFETIME: i64 = 600;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pasted_secret_is_checked() {
        for (text, expected) in [
            ("", ClientSecretError::Empty),
            ("  \n", ClientSecretError::Empty),
            (
                "1a2b3c4d-0000-4000-8000-5e6f70819203",
                ClientSecretError::SecretId,
            ),
            (
                " {1A2B3C4D-0000-4000-8000-5E6F70819203} ",
                ClientSecretError::SecretId,
            ),
            ("-----BEGIN PRIVATE KEY-----", ClientSecretError::Pem),
            ("https://entra.microsoft.com", ClientSecretError::Url),
            ("abc def", ClientSecretError::Whitespace),
            ("Value: abcdef", ClientSecretError::Whitespace),
            ("abc\u{7}def", ClientSecretError::Character),
            ("abc\u{200b}def", ClientSecretError::Character),
            ("Ab8***************", ClientSecretError::Masked),
            ("Ab8\u{2026}", ClientSecretError::Masked),
        ] {
            assert_eq!(ClientSecret::parse(text), Err(expected), "{text:?}");
        }
        for text in [" Ab8Q~x.y_z-1\n", "\"Ab8Q~x.y_z-1\""] {
            let pasted = ClientSecret::parse(text).unwrap();
            assert_eq!(pasted.secret().expose(), "Ab8Q~x.y_z-1");
        }
    }
}
