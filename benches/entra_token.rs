//! A token of Entra, the keys that it could be signed with, and the least that it takes to read
//! one, which checks nothing about its form.

#![allow(dead_code, reason = "each benchmark uses its part")]

use std::collections::HashMap;
use std::hint::black_box;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    KeyPair as _, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair,
    RsaPublicKeyComponents,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Value, json};

/// What a relying party wants of the claims.
#[derive(Deserialize)]
pub(crate) struct Claims<'a> {
    iss: &'a str,
    aud: &'a str,
    exp: i64,
    nbf: i64,
    nonce: &'a str,
    oid: &'a str,
    tid: &'a str,
    sub: &'a str,
    name: &'a str,
    preferred_username: &'a str,
    ver: &'a str,
}

impl Claims<'_> {
    pub(crate) fn are_for_us(&self) -> bool {
        black_box((
            self.oid,
            self.tid,
            self.sub,
            self.name,
            self.preferred_username,
            self.ver,
        ));
        self.iss == ISSUER && self.aud == CLIENT && self.nonce == NONCE
    }
}

/// What validation does, without a look at anything but what it needs.
pub(crate) fn floor(token: &str, keys: &HashMap<String, ParsedPublicKey>) -> bool {
    #[derive(Deserialize)]
    struct Header<'a> {
        alg: &'a str,
        kid: &'a str,
    }

    let (signed, signature) = token.rsplit_once('.').unwrap();
    let (header, payload) = signed.split_once('.').unwrap();
    let header = URL_SAFE_NO_PAD.decode(header).unwrap();
    let header: Header<'_> = serde_json::from_slice(&header).unwrap();
    let payload = URL_SAFE_NO_PAD.decode(payload).unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let verified = keys[header.kid].verify_sig(signed.as_bytes(), &signature);
    let claims: Claims<'_> = serde_json::from_slice(&payload).unwrap();
    header.alg == "RS256"
        && verified.is_ok()
        && claims.exp > NOW
        && claims.nbf <= NOW
        && claims.are_for_us()
}

/// A token of Entra with 24 claims, some of them optional ones.
pub(crate) fn token(key: &RsaKeyPair) -> String {
    let text = "0.AVgA0eXhKkxPTUKjGJ7WPZg2mAeGk2dQ1v9Pl6o-hBwS3bZYAAA".repeat(4);
    let claims = json!({
        "aud": CLIENT, "iss": ISSUER, "iat": NOW - 5, "nbf": NOW - 5, "exp": NOW + 3600,
        "acct": 0, "acrs": ["p1", "urn:user:registersecurityinfo"], "aio": text,
        "auth_time": NOW - 10, "email": "zoe@contoso.example", "family_name": "Zed",
        "given_name": "Zoe", "groups": [id(1), id(2), id(3), id(4)],
        "login_hint": "O.CiQ5YWZiY2MxYi0yZDNjLTRkNWUtOGY2YS03YjhjOWQwZTFmMmESJDliM2MyYTEw",
        "name": "Zoe Zed", "nonce": NONCE, "oid": "0f1e2d3c-0000-4000-8000-00000000000a",
        "preferred_username": "zoe@contoso.example", "rh": text,
        "sid": "00212a34-0000-4000-8000-00000000000b",
        "sub": "AAAAAAAAAAAAAAAAAAAAAIkzqFVrSaSaFHy782bbtaQ",
        "tid": "9b3c2a10-0d5f-4f2e-9c55-5a0f3a3d7d11", "uti": "Xb3Q0n2pV0qFhGkKkLmNAA",
        "ver": "2.0",
    });
    let header = json!({"typ": "JWT", "alg": "RS256", "kid": id(5)});
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(&header), part(&claims));
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(
        &RSA_PKCS1_SHA256,
        &SystemRandom::new(),
        signed.as_bytes(),
        &mut signature,
    )
    .unwrap();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

pub(crate) fn parsed(key: &RsaKeyPair) -> ParsedPublicKey {
    let (n, e) = numbers(key);
    RsaPublicKeyComponents { n, e }
        .to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256)
        .unwrap()
}

pub(crate) fn numbers(key: &RsaKeyPair) -> (Vec<u8>, Vec<u8>) {
    let public = key.public_key();
    (
        public.modulus().big_endian_without_leading_zero().to_vec(),
        public.exponent().big_endian_without_leading_zero().to_vec(),
    )
}

/// A key set with `count` keys, of which any could have signed.
pub(crate) fn key_set(key: &RsaKeyPair, count: usize) -> String {
    let (n, e) = numbers(key);
    let (n, e) = (URL_SAFE_NO_PAD.encode(n), URL_SAFE_NO_PAD.encode(e));
    let jwk = |index| {
        json!({
            "kty": "RSA", "use": "sig", "kid": id(index), "n": n, "e": e,
            "issuer": "https://login.microsoftonline.com/{tenantid}/v2.0",
            "cloud_instance_name": "microsoftonline.com",
        })
    };
    let keys: Vec<Value> = (0..count).map(jwk).collect();
    json!({"keys": keys}).to_string()
}

/// As long as Entra's.
pub(crate) fn id(index: usize) -> String {
    format!("JDNa_4i4r7FgigL3sHIlI3xV-{index:04}")
}

pub(crate) const NOW: i64 = 1_767_225_600;
pub(crate) const NONCE: &str = "n-0S6_WzA2Mj";
pub(crate) const CLIENT: &str = "11111111-2222-4333-8444-555555555555";
pub(crate) const ISSUER: &str =
    "https://login.microsoftonline.com/9b3c2a10-0d5f-4f2e-9c55-5a0f3a3d7d11/v2.0";
