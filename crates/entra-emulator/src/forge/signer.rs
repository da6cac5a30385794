//! Who signs a forged token, and with which algorithm.

use std::fmt;

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RSA_PKCS1_SHA256,
    RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512,
    RsaEncoding,
};

use crate::key_ring::KeyRing;
use crate::keys::{KeyOwner, SigningKey};

/// Who signs a forged token. The algorithm is that of its header, as far as the signer has a key
/// for it: `RS256` to `RS512`, `PS256` to `PS512`, for a [`Stranger`](Self::Stranger) `ES256` and
/// `EdDSA` too, for [`Hmac`](Self::Hmac) `HS256` to `HS512`; otherwise `RS256` or `HS256`.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Signer {
    /// The key with which the tenant signs at that moment.
    Current,
    /// The key of the tenant with this `kid`, published or not.
    Key(String),
    /// The key that the application with this client id has for itself.
    App(String),
    /// The key of the service of personal accounts. The sets for several tenants list it.
    Consumers,
    /// The key of the US Government's cloud. The sets for several tenants list it.
    Government,
    /// A key that no set lists.
    Stranger,
    /// These bytes: a client secret, or a public key that is taken for one.
    Hmac(Vec<u8>),
    /// Nobody: the signature is empty.
    Nobody,
}

/// Without the bytes, which may be a client secret.
impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Current => f.write_str("Current"),
            Self::Key(kid) => f.debug_tuple("Key").field(kid).finish(),
            Self::App(client_id) => f.debug_tuple("App").field(client_id).finish(),
            Self::Consumers => f.write_str("Consumers"),
            Self::Government => f.write_str("Government"),
            Self::Stranger => f.write_str("Stranger"),
            Self::Hmac(_) => f.write_str("Hmac(..)"),
            Self::Nobody => f.write_str("Nobody"),
        }
    }
}

impl Signer {
    /// Its RSA key, where it has one and the ring knows it.
    pub(super) fn key(&self, ring: &KeyRing) -> Option<&'static SigningKey> {
        match self {
            Self::Current => Some(ring.signing()),
            Self::Key(kid) => ring.find(kid),
            Self::App(client_id) => ring.own_key(&client_id.to_lowercase()),
            Self::Consumers => Some(SigningKey::of(KeyOwner::Consumers, 0)),
            Self::Government => Some(SigningKey::of(KeyOwner::Government, 0)),
            Self::Stranger => Some(SigningKey::of(KeyOwner::Stranger, 0)),
            Self::Hmac(_) | Self::Nobody => None,
        }
    }

    /// The name of a key that is not there.
    pub(super) fn unknown(&self, ring: &KeyRing) -> Option<&str> {
        match self {
            Self::Key(name) | Self::App(name) if self.key(ring).is_none() => Some(name),
            _ => None,
        }
    }

    pub(super) fn signature(&self, ring: &KeyRing, algorithm: &str, input: &[u8]) -> Vec<u8> {
        match (self, algorithm) {
            (Self::Hmac(secret), _) => hmac_of(secret, algorithm, input),
            (Self::Stranger, "ES256") => ecdsa(input),
            (Self::Stranger, "EdDSA") => ed25519(input),
            _ => self.key(ring).map_or_else(Vec::new, |key| {
                key.signature(rsa_encoding(algorithm), input)
            }),
        }
    }
}

fn rsa_encoding(algorithm: &str) -> &'static dyn RsaEncoding {
    match algorithm {
        "RS384" => &RSA_PKCS1_SHA384,
        "RS512" => &RSA_PKCS1_SHA512,
        "PS256" => &RSA_PSS_SHA256,
        "PS384" => &RSA_PSS_SHA384,
        "PS512" => &RSA_PSS_SHA512,
        _ => &RSA_PKCS1_SHA256,
    }
}

fn hmac_of(secret: &[u8], algorithm: &str, input: &[u8]) -> Vec<u8> {
    let algorithm = match algorithm {
        "HS384" => hmac::HMAC_SHA384,
        "HS512" => hmac::HMAC_SHA512,
        _ => hmac::HMAC_SHA256,
    };
    let key = hmac::Key::new(algorithm, secret);
    hmac::sign(&key, input).as_ref().to_vec()
}

/// With a key that nobody ever sees.
fn ecdsa(input: &[u8]) -> Vec<u8> {
    EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)
        .and_then(|key| key.sign(&SystemRandom::new(), input))
        .map_or_else(|_| Vec::new(), |signature| signature.as_ref().to_vec())
}

fn ed25519(input: &[u8]) -> Vec<u8> {
    Ed25519KeyPair::generate().map_or_else(|_| Vec::new(), |key| key.sign(input).as_ref().to_vec())
}
