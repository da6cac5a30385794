//! The JWT with which a client proves that it holds the key of a registered certificate.
//!
//! Microsoft Learn, "Microsoft identity platform application authentication certificate
//! credentials"; RFC 7523. What strangers' libraries really send is accepted: padded base64url or
//! plain base64 in thumbprints, line breaks inside `x5c`, times with fractions, SHA-1 or SHA-256
//! thumbprints.
//!
//! An assertion that another issuer signed is `client_assertion/federated.rs`'s.

mod federated;

use std::fmt;

use aws_lc_rs::digest;
use aws_lc_rs::signature::{
    RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256, RsaParameters, UnparsedPublicKey,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde::Deserialize;
use time::OffsetDateTime;
use url::Url;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::origin::is_same_origin;
use crate::refusal::Refusal;
use crate::tenant::Tenant;

/// The only accepted `client_assertion_type` (RFC 7523 2.2).
pub(crate) const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// An assertion that was taken apart, and not yet believed.
#[derive(Debug)]
pub(crate) struct ClientAssertion<'a> {
    message: &'a str,
    signature: Vec<u8>,
    header: Header,
    claims: Claims,
}

/// What the claims of an assertion must say.
#[derive(Debug)]
pub(crate) struct Expected<'a> {
    pub(crate) app_id: &'a str,
    /// The token endpoint and the issuer, under every name of the tenant.
    pub(crate) audiences: &'a [String],
    /// Where the tenant is, for the issuers that it knows.
    pub(crate) origin: &'a Url,
    pub(crate) now: OffsetDateTime,
}

impl<'a> ClientAssertion<'a> {
    /// Takes a compact JWS apart (RFC 7515 7.1).
    pub(crate) fn parse(text: &'a str) -> Result<Self, Refusal> {
        let malformed = || Refusal::invalid_assertion("JWT must have three segments (JWS).");
        let (message, signature) = text.rsplit_once('.').ok_or_else(malformed)?;
        let (header, claims) = message.split_once('.').ok_or_else(malformed)?;
        Ok(Self {
            message,
            signature: base64(signature)
                .ok_or_else(|| Refusal::invalid_assertion("The signature is not base64url."))?,
            header: json(header)
                .ok_or_else(|| Refusal::invalid_assertion("The header cannot be read."))?,
            claims: json(claims)
                .ok_or_else(|| Refusal::invalid_assertion("The claims cannot be read."))?,
        })
    }

    /// `sub`, with which a request may leave `client_id` out (RFC 7521 4.2).
    pub(crate) fn subject(&self) -> &str {
        &self.claims.sub
    }

    /// Every check, in this order: key, signature, subject, audience, time. Entra keeps no list
    /// of used `jti`.
    pub(crate) fn verify(&self, tenant: &Tenant, expected: &Expected<'_>) -> Result<(), Refusal> {
        if self.is_federated() {
            let app = (expected.app_id, expected.origin);
            return self.verify_federated(tenant, app, expected.now);
        }
        self.verify_signature(tenant, expected)?;
        let Claims { iss, sub, aud, .. } = &self.claims;
        if ![iss, sub]
            .iter()
            .all(|id| id.eq_ignore_ascii_case(expected.app_id))
        {
            return Err(Refusal::assertion_of_another_app());
        }
        if !expected
            .audiences
            .iter()
            .any(|audience| aud.0.iter().any(|aud| is_same_url(audience, aud)))
        {
            return Err(Refusal::assertion_for_another_audience());
        }
        self.verify_time(expected.now)
    }

    fn verify_signature(&self, tenant: &Tenant, expected: &Expected<'_>) -> Result<(), Refusal> {
        let algorithm = self.algorithm()?;
        let thumbprint = self.header.thumbprint()?;
        let refusal = |reason| {
            let thumbprint = thumbprint.to_hex();
            Refusal::certificate_not_registered(expected.app_id, &thumbprint, reason)
        };
        let keys = tenant.signing_keys_of(expected.app_id, expected.now);
        let key = keys
            .iter()
            .find(|key| thumbprint.is_of(&key.der))
            .ok_or_else(|| refusal("The key was not found."))?;
        if expected.now < key.start || key.end < expected.now {
            return Err(refusal("The key used is expired."));
        }
        let is_signed = X509Certificate::from_der(&key.der).is_ok_and(|(_, certificate)| {
            UnparsedPublicKey::new(algorithm, &certificate.public_key().subject_public_key.data)
                .verify(self.message.as_bytes(), &self.signature)
                .is_ok()
        });
        if is_signed {
            Ok(())
        } else {
            Err(refusal(
                "The key was found, but use of the key to verify the signature failed.",
            ))
        }
    }

    fn algorithm(&self) -> Result<&'static RsaParameters, Refusal> {
        match self.header.alg.as_str() {
            "PS256" => Ok(&RSA_PSS_2048_8192_SHA256),
            "RS256" => Ok(&RSA_PKCS1_2048_8192_SHA256),
            _ => Err(Refusal::invalid_assertion(
                "The algorithm of the signature is not supported.",
            )),
        }
    }

    fn verify_time(&self, now: OffsetDateTime) -> Result<(), Refusal> {
        let from = self
            .claims
            .nbf
            .map_or(Some(OffsetDateTime::UNIX_EPOCH), instant);
        let (Some(from), Some(until)) = (from, instant(self.claims.exp)) else {
            return Err(Refusal::invalid_assertion("A time is out of range."));
        };
        if now + SKEW < from || until + SKEW < now {
            return Err(Refusal::assertion_outside_its_time(now, from, until));
        }
        Ok(())
    }
}

#[derive(Debug, Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    x5t: Option<String>,
    #[serde(rename = "x5t#S256")]
    x5t_s256: Option<String>,
    #[serde(default)]
    x5c: Vec<String>,
}

impl Header {
    fn thumbprint(&self) -> Result<Thumbprint, Refusal> {
        let unreadable =
            || Refusal::invalid_assertion("The certificate's thumbprint is not base64url.");
        if let Some(x5t) = &self.x5t_s256 {
            return base64(x5t).map(Thumbprint::Sha256).ok_or_else(unreadable);
        }
        if let Some(x5t) = &self.x5t {
            return base64(x5t).map(Thumbprint::Sha1).ok_or_else(unreadable);
        }
        let leaf = self
            .x5c
            .first()
            .and_then(|leaf| base64(leaf))
            .ok_or_else(|| {
                Refusal::invalid_assertion("No certificate thumbprint specified in token header.")
            })?;
        Ok(Thumbprint::Sha256(hash(&digest::SHA256, &leaf)))
    }
}

#[derive(Debug, Deserialize)]
struct Claims {
    aud: Audiences,
    iss: String,
    sub: String,
    exp: f64,
    nbf: Option<f64>,
}

/// `aud`: one or several (RFC 7519 4.1.3). Kubernetes sends a list of one.
#[derive(Debug, Deserialize)]
#[serde(from = "OneOrMany")]
struct Audiences(Vec<String>);

impl Audiences {
    fn contains(&self, audience: &str) -> bool {
        self.0.iter().any(|found| found == audience)
    }
}

impl fmt::Display for Audiences {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(","))
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl From<OneOrMany> for Audiences {
    fn from(audiences: OneOrMany) -> Self {
        match audiences {
            OneOrMany::One(audience) => Self(vec![audience]),
            OneOrMany::Many(audiences) => Self(audiences),
        }
    }
}

enum Thumbprint {
    Sha1(Vec<u8>),
    Sha256(Vec<u8>),
}

impl Thumbprint {
    fn is_of(&self, der: &[u8]) -> bool {
        match self {
            Self::Sha1(expected) => *expected == hash(&digest::SHA1_FOR_LEGACY_USE_ONLY, der),
            Self::Sha256(expected) => *expected == hash(&digest::SHA256, der),
        }
    }

    fn to_hex(&self) -> String {
        let (Self::Sha1(bytes) | Self::Sha256(bytes)) = self;
        bytes.iter().map(|byte| format!("{byte:02X}")).collect()
    }
}

/// Whether two audiences name the same endpoint.
fn is_same_url(expected: &str, found: &str) -> bool {
    let (Ok(expected), Ok(found)) = (Url::parse(expected), Url::parse(found)) else {
        return false;
    };
    is_same_origin(&expected, &found) && expected.path().eq_ignore_ascii_case(found.path())
}

fn instant(seconds: f64) -> Option<OffsetDateTime> {
    OffsetDateTime::UNIX_EPOCH.checked_add(time::Duration::checked_seconds_f64(seconds)?)
}

fn hash(algorithm: &'static digest::Algorithm, bytes: &[u8]) -> Vec<u8> {
    digest::digest(algorithm, bytes).as_ref().to_vec()
}

fn json<T: serde::de::DeserializeOwned>(part: &str) -> Option<T> {
    serde_json::from_slice(&base64(part)?).ok()
}

/// Base64 in either alphabet, with or without padding and white space.
fn base64(text: &str) -> Option<Vec<u8>> {
    let plain: String = text
        .chars()
        .filter(|c| !c.is_whitespace() && *c != '=')
        .map(|c| match c {
            '-' => '+',
            '_' => '/',
            c => c,
        })
        .collect();
    STANDARD_NO_PAD.decode(plain).ok()
}

/// How far the clocks may differ.
const SKEW: time::Duration = time::Duration::minutes(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_read_in_every_form_that_libraries_send() {
        for text in ["-_8", "-_8=", "+/8", "+/8=", "+\r\n/8=\n"] {
            assert_eq!(base64(text), Some(vec![0xfb, 0xff]), "{text:?}");
        }
        assert_eq!(base64("!"), None);
    }

    #[test]
    fn an_audience_may_name_this_machine_by_another_name_but_not_another_port_or_path() {
        let expected = "https://localhost:8443/t/oauth2/v2.0/token";
        for (found, same) in [
            ("https://localhost:8443/t/oauth2/v2.0/token", true),
            ("https://127.0.0.1:8443/T/oauth2/v2.0/token", true),
            ("https://[::1]:8443/t/oauth2/v2.0/token", true),
            ("https://localhost:8444/t/oauth2/v2.0/token", false),
            ("https://localhost:8443/u/oauth2/v2.0/token", false),
            ("http://localhost:8443/t/oauth2/v2.0/token", false),
            (
                "https://login.microsoftonline.com:8443/t/oauth2/v2.0/token",
                false,
            ),
            ("t", false),
        ] {
            assert_eq!(is_same_url(expected, found), same, "{found}");
        }
    }

    #[test]
    fn a_time_out_of_range_is_no_instant() {
        assert_eq!(instant(f64::NAN), None);
        assert_eq!(instant(1e300), None);
        assert!(instant(1_767_225_600.25).is_some());
    }
}
