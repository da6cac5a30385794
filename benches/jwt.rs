//! A signed token: read, its key found, its signature and times checked, its claims read into a
//! borrowing type; against the least that this takes, which checks nothing about the token's form.
//!
//! Goals: at most 1.07 times the floor, at most 8 allocations. A known key in at most 60 ns, and
//! in the same time among 1,000 keys as among 8.

#[path = "measure.rs"]
mod measure;

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Arc;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    KeyPair as _, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair,
    RsaPublicKeyComponents,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use entra_core::{
    Clock as _, ClockSkew, HttpClient, Jwks, JwtRules, Limits, Pipeline, SystemClock,
    TransportError, UnverifiedJwt,
};
use futures_util::FutureExt as _;
use measure::{Side, allocations, compare, goal};
use serde::Deserialize;
use serde_json::{Value, json};
use time::OffsetDateTime;

fn main() {
    let key = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    validation(&key);
    lookup(&key);
}

fn validation(key: &RsaKeyPair) {
    let token = token(key);
    let (rules, keys) = (JwtRules::new(), jwks(key, 8));
    let parsed = HashMap::from([(id(5), parsed(key))]);
    let now = OffsetDateTime::from_unix_timestamp(NOW).unwrap();
    let validate = || validated(&token, &rules, &keys, now);
    let mut sides = [
        Side::new("floor: the parts alone", |n| {
            for _ in 0..n {
                assert!(floor(black_box(&token), &parsed));
            }
        }),
        Side::new("of it: the signature", |n| {
            let (signed, signature) = token.rsplit_once('.').unwrap();
            let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
            for _ in 0..n {
                let key = &parsed[&id(5)];
                key.verify_sig(black_box(signed).as_bytes(), &signature)
                    .unwrap();
            }
        }),
        Side::new("UnverifiedJwt::parse", |n| {
            for _ in 0..n {
                black_box(UnverifiedJwt::parse(black_box(&token), &rules)).unwrap();
            }
        }),
        Side::new("a token, all checks", |n| {
            for _ in 0..n {
                assert!(validate());
            }
        }),
    ];
    let title = format!("a token of {} bytes, RS256, RSA 2048", token.len());
    compare(&title, &mut sides, 41, 2_000);
    goal("times the floor", sides[3].min() / sides[0].min(), 1.07);
    let count = allocations(|| assert!(validate()));
    goal("allocations", count as f64, 8.0);
}

fn lookup(key: &RsaKeyPair) {
    let (few, many) = (jwks(key, 8), jwks(key, 1000));
    let known: HashMap<String, Arc<()>> = (0..8).map(|n| (id(n), Arc::new(()))).collect();
    let known = ArcSwap::from_pointee(known);
    let (first, last) = (id(5), id(900));
    let mut sides = [
        Side::new("floor: clock, ArcSwap, map", |n| {
            for _ in 0..n {
                black_box(SystemClock.monotonic());
                black_box(known.load().get(black_box(&first)).cloned());
            }
        }),
        Side::new("Jwks::key among 8", |n| finds(&few, &first, n)),
        Side::new("Jwks::key among 1,000", |n| finds(&many, &last, n)),
    ];
    compare("a known key", &mut sides, 41, 100_000);
    goal("ns among 8", sides[1].min(), 60.0);
    goal("ns among 1,000", sides[2].min(), 60.0);
    goal(
        "times the time among 8",
        sides[2].min() / sides[1].min(),
        1.1,
    );
    goal(
        "allocations in 1,000 lookups",
        allocations(|| finds(&few, &first, 1000)) as f64,
        0.0,
    );
}

fn finds(keys: &Jwks, id: &str, n: u64) {
    async {
        for _ in 0..n {
            black_box(keys.key(black_box(id)).await).unwrap();
        }
    }
    .now_or_never()
    .unwrap();
}

/// What a relying party wants of the claims.
#[derive(Deserialize)]
struct Claims<'a> {
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
    fn are_for_us(&self) -> bool {
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

fn validated(token: &str, rules: &JwtRules, keys: &Jwks, now: OffsetDateTime) -> bool {
    let jwt = UnverifiedJwt::parse(black_box(token), rules).unwrap();
    let key = keys.key_for(&jwt).now_or_never().unwrap().unwrap();
    let jwt = jwt.verify(key).unwrap();
    jwt.validate_times(now, ClockSkew::default()).unwrap();
    jwt.claims::<Claims<'_>>().unwrap().are_for_us()
}

/// The same without a look at anything but what it needs.
fn floor(token: &str, keys: &HashMap<String, ParsedPublicKey>) -> bool {
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
fn token(key: &RsaKeyPair) -> String {
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

fn parsed(key: &RsaKeyPair) -> ParsedPublicKey {
    let (n, e) = numbers(key);
    RsaPublicKeyComponents { n, e }
        .to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256)
        .unwrap()
}

fn numbers(key: &RsaKeyPair) -> (Vec<u8>, Vec<u8>) {
    let public = key.public_key();
    (
        public.modulus().big_endian_without_leading_zero().to_vec(),
        public.exponent().big_endian_without_leading_zero().to_vec(),
    )
}

/// A key set with `count` keys, fetched.
fn jwks(key: &RsaKeyPair, count: usize) -> Jwks {
    let (n, e) = numbers(key);
    let (n, e) = (URL_SAFE_NO_PAD.encode(n), URL_SAFE_NO_PAD.encode(e));
    let keys: Vec<Value> = (0..count)
        .map(|index| json!({"kty": "RSA", "use": "sig", "kid": id(index), "n": n, "e": e}))
        .collect();
    let issuer = Issuer(Bytes::from(json!({"keys": keys}).to_string()));
    let keys = Jwks::new(Pipeline::new(issuer), ISSUER.parse().unwrap());
    finds(&keys, &id(0), 1);
    keys
}

/// As long as Entra's.
fn id(index: usize) -> String {
    format!("JDNa_4i4r7FgigL3sHIlI3xV-{index:04}")
}

#[derive(Debug)]
struct Issuer(Bytes);

#[async_trait]
impl HttpClient for Issuer {
    async fn send(
        &self,
        _: http::Request<Bytes>,
        _: Limits,
    ) -> Result<http::Response<Bytes>, TransportError> {
        Ok(http::Response::new(self.0.clone()))
    }
}

const NOW: i64 = 1_767_225_600;
const NONCE: &str = "n-0S6_WzA2Mj";
const CLIENT: &str = "11111111-2222-4333-8444-555555555555";
const ISSUER: &str = "https://login.microsoftonline.com/9b3c2a10-0d5f-4f2e-9c55-5a0f3a3d7d11/v2.0";
