//! The key with which the tenant signs its tokens, and the certificate in which it is published.

use std::sync::LazyLock;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair, UnparsedPublicKey,
};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_RSA_SHA256, RsaKeySize};
use serde_json::{Value, json};
use time::macros::datetime;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::public_key::PublicKey;

/// An RSA key and its self-signed certificate, as Entra publishes them.
#[derive(Debug)]
pub(crate) struct SigningKey {
    pair: RsaKeyPair,
    public_key: Vec<u8>,
    certificate: String,
    key_id: String,
    modulus: String,
    exponent: String,
}

impl SigningKey {
    /// The key of every tenant in this process. Making one takes a good part of a second, too
    /// long for each test to have its own.
    pub(crate) fn shared() -> &'static Self {
        static KEY: LazyLock<SigningKey> = LazyLock::new(SigningKey::generate);
        &KEY
    }

    /// The key with which the cluster beside the tenant signs tokens of its service accounts.
    pub(crate) fn of_cluster() -> &'static Self {
        static KEY: LazyLock<SigningKey> = LazyLock::new(SigningKey::generate);
        &KEY
    }

    /// Signs claims as a JWT with RS256 (RFC 7515 7.1). Header as Entra's: `kid` and, in tokens of
    /// version 1.0 alone, `x5t` are the same thumbprint (Microsoft Learn, "Access token claims
    /// reference").
    pub(crate) fn sign(&self, claims: &Value) -> String {
        let is_v1 = claims.get("ver").is_some_and(|version| version == "1.0");
        let header = if is_v1 {
            json!({"typ": "JWT", "alg": "RS256", "x5t": self.key_id, "kid": self.key_id})
        } else {
            json!({"typ": "JWT", "alg": "RS256", "kid": self.key_id})
        };
        let mut token = URL_SAFE_NO_PAD.encode(header.to_string());
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(claims.to_string(), &mut token);
        let signature = self.signature(token.as_bytes());
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        token
    }

    /// Whether this key made an RS256 signature over `message`.
    pub(crate) fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &self.public_key)
            .verify(message, signature)
            .is_ok()
    }

    /// The name of the key in tokens and in the key set.
    pub(crate) fn key_id(&self) -> &str {
        &self.key_id
    }

    /// The key as an entry of a JWK set (RFC 7517 4), with Entra's `issuer` and `x5c`.
    pub(crate) fn jwk(&self, issuer: &str) -> Value {
        json!({
            "kty": "RSA",
            "use": "sig",
            "kid": self.key_id,
            "x5t": self.key_id,
            "n": self.modulus,
            "e": self.exponent,
            "x5c": [self.certificate],
            "issuer": issuer,
        })
    }

    #[expect(
        clippy::expect_used,
        reason = "fails only where the random source of the system fails, and then nothing works"
    )]
    fn signature(&self, message: &[u8]) -> Vec<u8> {
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair
            .sign(
                &RSA_PKCS1_SHA256,
                &SystemRandom::new(),
                message,
                &mut signature,
            )
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
            public_key: parsed.public_key().subject_public_key.data.to_vec(),
            certificate: STANDARD.encode(der),
            key_id: thumbprint(der),
            modulus: URL_SAFE_NO_PAD.encode(unsigned(public.modulus)),
            exponent: URL_SAFE_NO_PAD.encode(unsigned(public.exponent)),
        }
    }
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
        let key = SigningKey::shared();
        let token = key.sign(&json!({"sub": "a"}));
        let (message, signature) = token.rsplit_once('.').unwrap();
        let jwk = key.jwk("https://issuer.example/");
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
        let key = SigningKey::shared();
        for (version, expected) in [("1.0", true), ("2.0", false)] {
            let token = key.sign(&json!({"ver": version}));
            let header = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap());
            let header: Value = serde_json::from_slice(&header.unwrap()).unwrap();
            assert_eq!(header["kid"], key.key_id());
            assert_eq!(header.get("x5t").is_some(), expected, "{version}");
        }
    }
}
