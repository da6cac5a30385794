//! An ID token of Entra with its fifteen steps; against the least that this takes: base64, the
//! signature, and the claims read into a borrowing type.
//!
//! Seven eighths of the floor are the signature. What comes on top is the walk over header and payload
//! that refuses names which stand twice, and nine allocations: the payload, the signature, what is
//! kept of header and registered claims, and the user's key.
//!
//! Goals: at most 1.07 times the floor, at most 9 allocations, and the same time among 1,000 keys as
//! among 8.

#[path = "entra_token.rs"]
mod entra_token;
#[path = "measure.rs"]
mod measure;

use std::collections::HashMap;
use std::hint::black_box;

use async_trait::async_trait;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::RsaKeyPair;
use bytes::Bytes;
use entra_core::{Cloud, HttpClient, JwtRules, Limits, Pipeline, TransportError, UnverifiedJwt};
use entra_oidc::{
    Authority, ExpectedLogin, ExpectedNonce, IdTokenRules, IdTokenValidator, VerifiedIdToken,
};
use entra_token::{CLIENT, NONCE, NOW, floor, id, key_set, parsed, token};
use futures_util::FutureExt as _;
use measure::{Side, allocations, compare, goal};
use serde_json::json;
use time::OffsetDateTime;

fn main() {
    let key = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let token = token(&key);
    let (few, many) = (validator(&key, 8), validator(&key, 1000));
    let parsed = HashMap::from([(id(5), parsed(&key))]);
    let rules = JwtRules::new();
    let mut sides = [
        Side::new("floor: the parts alone", |n| {
            for _ in 0..n {
                assert!(floor(black_box(&token), &parsed));
            }
        }),
        Side::new("of it: UnverifiedJwt::parse", |n| {
            for _ in 0..n {
                black_box(UnverifiedJwt::parse(black_box(&token), &rules)).unwrap();
            }
        }),
        Side::new("an ID token, all checks, 8 keys", |n| {
            validate(&few, &token, n)
        }),
        Side::new("the same, 1,000 keys", |n| validate(&many, &token, n)),
        Side::new("the same, and its user", |n| {
            for _ in 0..n {
                black_box(validated(&few, &token).user("contoso"));
            }
        }),
    ];
    let title = format!("an ID token of {} bytes, RS256, RSA 2048", token.len());
    compare(&title, &mut sides, 41, 2_000);
    let [floor, _, few_keys, many_keys, _] = &sides;
    goal("times the floor", few_keys.min() / floor.min(), 1.07);
    goal(
        "times the time among 8",
        many_keys.min() / few_keys.min(),
        1.02,
    );
    let count = allocations(|| validate(&few, &token, 1));
    goal("allocations", count as f64, 9.0);
}

fn validate(validator: &IdTokenValidator, token: &str, n: u64) {
    for _ in 0..n {
        black_box(validated(validator, token));
    }
}

fn validated(validator: &IdTokenValidator, token: &str) -> VerifiedIdToken {
    let expected = ExpectedLogin::new(ExpectedNonce::Is(NONCE));
    let now = OffsetDateTime::from_unix_timestamp(NOW).unwrap();
    let outcome = validator.validate(black_box(token), &expected, now);
    outcome.now_or_never().unwrap().unwrap()
}

/// A validator with as many keys, fetched.
fn validator(key: &RsaKeyPair, count: usize) -> IdTokenValidator {
    let issuer = Issuer(Bytes::from(key_set(key, count)));
    let tenants = Authority::any_organization(Cloud::public());
    let pipeline = Pipeline::new(issuer);
    IdTokenValidator::connect(tenants, CLIENT, IdTokenRules::new(), pipeline)
        .now_or_never()
        .unwrap()
        .unwrap()
}

#[derive(Debug)]
struct Issuer(Bytes);

#[async_trait]
impl HttpClient for Issuer {
    async fn send(
        &self,
        request: http::Request<Bytes>,
        _: Limits,
    ) -> Result<http::Response<Bytes>, TransportError> {
        let is_configuration = request.uri().path().ends_with("openid-configuration");
        let body = if is_configuration {
            configuration()
        } else {
            self.0.clone()
        };
        Ok(http::Response::new(body))
    }
}

fn configuration() -> Bytes {
    let at = |path: &str| format!("https://login.microsoftonline.com/organizations/{path}");
    let document = json!({
        "issuer": "https://login.microsoftonline.com/{tenantid}/v2.0",
        "authorization_endpoint": at("oauth2/v2.0/authorize"),
        "token_endpoint": at("oauth2/v2.0/token"),
        "jwks_uri": at("discovery/v2.0/keys"),
        "cloud_instance_name": "microsoftonline.com",
    });
    Bytes::from(document.to_string())
}
