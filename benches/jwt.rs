//! A signed token: read, its key found, its signature and times checked, its claims read into a
//! borrowing type; against the least that this takes, which checks nothing about the token's form.
//!
//! Goals: at most 1.07 times the floor, at most 8 allocations. A known key in at most 60 ns, and
//! in the same time among 1,000 keys as among 8.

#[path = "entra_token.rs"]
mod entra_token;
#[path = "measure.rs"]
mod measure;

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Arc;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::RsaKeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use entra_core::{
    Clock as _, ClockSkew, HttpClient, Jwks, JwtRules, Limits, Pipeline, SystemClock,
    TransportError, UnverifiedJwt,
};
use entra_token::{Claims, ISSUER, NOW, floor, id, key_set, parsed, token};
use futures_util::FutureExt as _;
use measure::{Side, allocations, compare, goal};
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

fn validated(token: &str, rules: &JwtRules, keys: &Jwks, now: OffsetDateTime) -> bool {
    let jwt = UnverifiedJwt::parse(black_box(token), rules).unwrap();
    let key = keys.key_for(&jwt).now_or_never().unwrap().unwrap();
    let jwt = jwt.verify(key).unwrap();
    jwt.validate_times(now, ClockSkew::default()).unwrap();
    jwt.claims::<Claims<'_>>().unwrap().are_for_us()
}

/// A key set with `count` keys, fetched.
fn jwks(key: &RsaKeyPair, count: usize) -> Jwks {
    let issuer = Issuer(Bytes::from(key_set(key, count)));
    let keys = Jwks::new(Pipeline::new(issuer), ISSUER.parse().unwrap());
    finds(&keys, &id(0), 1);
    keys
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
