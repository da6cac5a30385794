//! A key that signs tokens, and the certificate in which it is published.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaEncoding, RsaKeyPair,
    UnparsedPublicKey,
};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_RSA_SHA256, RsaKeySize};
use serde_json::{Map, Value, json};
use time::macros::datetime;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::public_key::PublicKey;

/// An RSA key and its self-signed certificate, as Entra publishes them.
#[derive(Debug)]
pub(crate) struct SigningKey {
    pair: RsaKeyPair,
    public_key_info: Vec<u8>,
    certificate: String,
    key_id: String,
    modulus: String,
    exponent: String,
}

impl SigningKey {
    /// One of the keys of this process, made when it is asked for. Making one takes a good part
    /// of a second, too long for each test to have its own; Entra's keys serve all tenants too.
    pub(crate) fn of(owner: KeyOwner, number: usize) -> &'static Self {
        static MADE: Mutex<Option<HashMap<(KeyOwner, usize), &'static SigningKey>>> =
            Mutex::new(None);
        let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
        made.get_or_insert_default()
            .entry((owner, number))
            .or_insert_with(|| Box::leak(Box::new(Self::generate())))
    }

    /// The key with which the cluster beside the tenant signs tokens of its service accounts.
    pub(crate) fn of_cluster() -> &'static Self {
        Self::of(KeyOwner::Cluster, 0)
    }

    /// Signs claims as a JWT with RS256 (RFC 7515 7.1). Header as Entra's: `kid` and, in tokens of
    /// version 1.0 alone, `x5t` are the same thumbprint (Microsoft Learn, "Access token claims
    /// reference").
    pub(crate) fn sign(&self, claims: &Value) -> String {
        let header = self.header(claims).to_string();
        serialize(header.as_bytes(), claims.to_string().as_bytes(), |input| {
            self.signature(&RSA_PKCS1_SHA256, input)
        })
    }

    /// The header of a token with these claims.
    pub(crate) fn header(&self, claims: &Value) -> Value {
        let is_v1 = claims.get("ver").is_some_and(|version| version == "1.0");
        if is_v1 {
            json!({"typ": "JWT", "alg": "RS256", "x5t": self.key_id, "kid": self.key_id})
        } else {
            json!({"typ": "JWT", "alg": "RS256", "kid": self.key_id})
        }
    }

    /// Whether this key made an RS256 signature over `message`.
    pub(crate) fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, self.pair.public_key())
            .verify(message, signature)
            .is_ok()
    }

    /// The name of the key in tokens and in the key set.
    pub(crate) fn key_id(&self) -> &str {
        &self.key_id
    }

    /// The key as an entry of a JWK set (RFC 7517 4). Entra's entries have no `alg`.
    pub(crate) fn jwk(&self) -> Map<String, Value> {
        [
            ("kty", json!("RSA")),
            ("use", json!("sig")),
            ("kid", json!(self.key_id)),
            ("x5t", json!(self.key_id)),
            ("n", json!(self.modulus)),
            ("e", json!(self.exponent)),
            ("x5c", json!([self.certificate])),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
    }

    /// The public key as DER, a `SubjectPublicKeyInfo` (RFC 5280 4.1).
    pub(crate) fn public_key_info(&self) -> &[u8] {
        &self.public_key_info
    }

    #[expect(
        clippy::expect_used,
        reason = "fails only where the random source of the system fails, and then nothing works"
    )]
    pub(crate) fn signature(&self, encoding: &'static dyn RsaEncoding, message: &[u8]) -> Vec<u8> {
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair
            .sign(encoding, &SystemRandom::new(), message, &mut signature)
            .expect("a generated RSA key signs");
        signature
    }

    #[expect(
        clippy::expect_used,
        reason = "its input is constant, and a tenant without a key is none"
    )]
    fn generate() -> Self {
        let pair = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048)
            .expect("an RSA key is generated");
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::CommonName, "accounts.accesscontrol.windows.net");
        params.not_before = datetime!(2020-01-01 00:00 UTC);
        params.not_after = datetime!(2100-01-01 00:00 UTC);
        let certificate = params.self_signed(&pair).expect("a certificate is signed");
        let der = certificate.der();
        let (_, parsed) = X509Certificate::from_der(der).expect("it is a certificate");
        let PublicKey::RSA(public) = parsed.public_key().parsed().expect("it holds a key") else {
            unreachable!("the key was generated as an RSA key")
        };
        Self {
            pair: RsaKeyPair::from_pkcs8(&pair.serialize_der()).expect("it is a PKCS#8 key"),
            public_key_info: parsed.public_key().raw.to_vec(),
            certificate: STANDARD.encode(der),
            key_id: thumbprint(der),
            modulus: URL_SAFE_NO_PAD.encode(unsigned(public.modulus)),
            exponent: URL_SAFE_NO_PAD.encode(unsigned(public.exponent)),
        }
    }
}

/// Whose key it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum KeyOwner {
    /// The tenant: it signs whatever nobody else's key signs.
    Tenant,
    /// One application (Microsoft Learn, "Customize claims issued in the JSON web token (JWT)":
    /// custom signing key).
    Application,
    /// The service of personal accounts, whose key the sets for several tenants list.
    Consumers,
    /// The cloud of the US Government, likewise.
    Government,
    /// The cluster beside the tenant.
    Cluster,
    /// Nobody that any key set knows.
    Stranger,
}

/// A JWS in compact serialisation (RFC 7515 7.1), whatever its parts say.
pub(crate) fn serialize(
    header: &[u8],
    payload: &[u8],
    sign: impl FnOnce(&[u8]) -> Vec<u8>,
) -> String {
    let mut token = URL_SAFE_NO_PAD.encode(header);
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(payload, &mut token);
    let signature = sign(token.as_bytes());
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut token);
    token
}

/// The `x5t` of a certificate (RFC 7515 4.1.7).
fn thumbprint(der: &[u8]) -> String {
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY, der);
    URL_SAFE_NO_PAD.encode(hash.as_ref())
}

/// A DER integer without the zero byte that marks it as positive.
fn unsigned(integer: &[u8]) -> &[u8] {
    match integer {
        [0, rest @ ..] => rest,
        all => all,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_modulus_and_exponent_verify_what_the_key_signs() {
        let key = SigningKey::of(KeyOwner::Tenant, 0);
        let token = key.sign(&json!({"sub": "a"}));
        let (message, signature) = token.rsplit_once('.').unwrap();
        let jwk = key.jwk();
        let decode = |name: &str| URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap();
        let public = aws_lc_rs::signature::RsaPublicKeyComponents {
            n: decode("n"),
            e: decode("e"),
        };
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        assert!(
            public
                .verify(&RSA_PKCS1_2048_8192_SHA256, message.as_bytes(), &signature)
                .is_ok()
        );
        assert!(key.has_signed(message.as_bytes(), &signature));
        assert!(!key.has_signed(b"another message", &signature));
    }

    #[test]
    fn the_old_name_of_the_thumbprint_is_in_tokens_of_version_1_alone() {
        let key = SigningKey::of(KeyOwner::Tenant, 0);
        for (version, expected) in [("1.0", true), ("2.0", false)] {
            let token = key.sign(&json!({"ver": version}));
            let header = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap());
            let header: Value = serde_json::from_slice(&header.unwrap()).unwrap();
            assert_eq!(header["kid"], key.key_id());
            assert_eq!(header.get("x5t").is_some(), expected, "{version}");
        }
    }
}
