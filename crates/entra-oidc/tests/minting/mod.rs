//! Tokens of a provider with keys of its own, each a good one with one thing changed.

#![allow(
    dead_code,
    clippy::indexing_slicing,
    reason = "each test program uses its part, and what a test cannot do fails it"
)]

use std::pin::pin;
use std::sync::LazyLock;
use std::task::{Context, Poll, Waker};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use entra_core::{Cloud, JwkSet, TenantId};
use entra_oidc::{
    Authority, Error, ExpectedLogin, ExpectedNonce, IdTokenRefusal, IdTokenRules, IdTokenValidator,
    VerifiedIdToken,
};
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::macros::datetime;

/// A token before it is signed.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub(crate) header: Map<String, Value>,
    pub(crate) claims: Map<String, Value>,
}

impl Token {
    /// An ID token of Entra, version 2.0, of a moment ago.
    pub(crate) fn id_token() -> Self {
        let claims = json!({
            "ver": "2.0", "iss": ISSUER, "aud": CLIENT, "tid": TENANT, "oid": OBJECT,
            "sub": "AAAAAAAAAAAAAAAAAAAAAIkzqFVrSaSaFHy782bbtaQ", "nonce": NONCE,
            "iat": NOW - 300, "nbf": NOW - 300, "exp": NOW + 3600, "name": "Zoë Zed",
            "preferred_username": "zoe@contoso.example", "aio": "ATQAy/8TAAAA", "uti": "Xb3Q",
            "rh": "0.AVgA",
        });
        Self::new(claims)
    }

    /// An access token of Entra, version 2.0, with which an app acts for its user.
    pub(crate) fn access_token() -> Self {
        let claims = json!({
            "ver": "2.0", "iss": ISSUER, "aud": CLIENT, "tid": TENANT, "oid": OBJECT,
            "sub": "BBBBBBBBBBBBBBBBBBBBBIkzqFVrSaSaFHy782bbtaQ", "azp": CALLER, "azpacr": "1",
            "scp": "Files.Read Files.Write", "iat": NOW - 300, "nbf": NOW - 300,
            "exp": NOW + 3600, "name": "Zoë Zed", "aio": "ATQAy/8TAAAA", "uti": "Xb3Q",
        });
        Self::new(claims)
    }

    /// An access token of Entra, version 2.0, with which an app acts for itself.
    pub(crate) fn app_only() -> Self {
        Self::access_token()
            .without("scp")
            .without("name")
            .claim("roles", ["Files.Read.All"])
            .claim("sub", OBJECT)
            .claim("idtyp", "app")
            .claim("azpacr", "2")
    }

    pub(crate) fn new(claims: Value) -> Self {
        let Value::Object(claims) = claims else {
            panic!("claims are an object");
        };
        let Value::Object(header) = json!({"typ": "JWT", "alg": "RS256", "kid": "first"}) else {
            panic!("a header is an object");
        };
        Self { header, claims }
    }

    pub(crate) fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.claims.insert(name.to_owned(), value.into());
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.claims.remove(name);
        self
    }

    pub(crate) fn header(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.header.insert(name.to_owned(), value.into());
        self
    }

    pub(crate) fn header_without(mut self, name: &str) -> Self {
        self.header.remove(name);
        self
    }

    pub(crate) fn signed(&self) -> String {
        let claims = Value::Object(self.claims.clone()).to_string();
        self.over(claims.as_bytes())
    }

    /// Signed, with this text in the place of the claims.
    pub(crate) fn over(&self, payload: &[u8]) -> String {
        let header = Value::Object(self.header.clone()).to_string();
        sign(&FIRST, header.as_bytes(), payload)
    }
}

/// A compact token over any header and any payload.
pub(crate) fn sign(key: &RsaKeyPair, header: &[u8], payload: &[u8]) -> String {
    let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let signed = format!("{}.{}", part(header), part(payload));
    let mut signature = vec![0; key.public_modulus_len()];
    let random = SystemRandom::new();
    key.sign(
        &RSA_PKCS1_SHA256,
        &random,
        signed.as_bytes(),
        &mut signature,
    )
    .unwrap();
    format!("{signed}.{}", part(&signature))
}

pub(crate) static FIRST: LazyLock<RsaKeyPair> =
    LazyLock::new(|| RsaKeyPair::generate(KeySize::Rsa2048).unwrap());

pub(crate) static SECOND: LazyLock<RsaKeyPair> =
    LazyLock::new(|| RsaKeyPair::generate(KeySize::Rsa2048).unwrap());

/// A public key as Entra publishes it.
pub(crate) fn jwk(key: &RsaKeyPair, id: &str) -> Value {
    let public = key.public_key();
    let number = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    json!({
        "kty": "RSA", "use": "sig", "kid": id,
        "n": number(public.modulus().big_endian_without_leading_zero()),
        "e": number(public.exponent().big_endian_without_leading_zero()),
        "issuer": "https://login.microsoftonline.com/{tenantid}/v2.0",
        "cloud_instance_name": "microsoftonline.com",
    })
}

/// A public key as providers other than Entra publish theirs.
pub(crate) fn plain(key: &RsaKeyPair, id: &str) -> Value {
    let key = with(jwk(key, id), "issuer", Value::Null);
    with(key, "cloud_instance_name", Value::Null)
}

/// The key with another member.
pub(crate) fn with(mut jwk: Value, name: &str, value: impl Into<Value>) -> Value {
    jwk[name] = value.into();
    jwk
}

pub(crate) fn key_set(keys: &[Value]) -> JwkSet {
    JwkSet::parse(json!({"keys": keys}).to_string().as_bytes()).unwrap()
}

pub(crate) fn keys() -> JwkSet {
    key_set(&[jwk(&FIRST, "first"), jwk(&SECOND, "second")])
}

pub(crate) fn tenant(id: &str) -> TenantId {
    id.parse().unwrap()
}

pub(crate) fn one_tenant() -> Authority {
    Authority::single_tenant(Cloud::public(), tenant(TENANT)).unwrap()
}

pub(crate) fn any_organization() -> Authority {
    Authority::any_organization(Cloud::public())
}

pub(crate) fn validator_of(authority: &Authority) -> IdTokenValidator {
    with_keys(authority, keys(), IdTokenRules::new())
}

pub(crate) fn with_keys(
    authority: &Authority,
    keys: JwkSet,
    rules: IdTokenRules,
) -> IdTokenValidator {
    IdTokenValidator::with_keys(authority, CLIENT, keys, rules).unwrap()
}

pub(crate) fn expected() -> ExpectedLogin<'static> {
    ExpectedLogin::new(ExpectedNonce::Is(NONCE))
}

/// What becomes of a token at the one tenant's application.
pub(crate) fn validate(token: &str) -> Result<VerifiedIdToken, IdTokenRefusal> {
    validate_with(&validator_of(&one_tenant()), token, &expected())
}

pub(crate) fn validate_with(
    validator: &IdTokenValidator,
    token: &str,
    expected: &ExpectedLogin<'_>,
) -> Result<VerifiedIdToken, IdTokenRefusal> {
    match at_once(validator.validate(token, expected, now())) {
        Ok(verified) => Ok(verified),
        Err(Error::IdToken(refusal)) => Err(refusal),
        Err(other) => panic!("{other:?}"),
    }
}

/// The token is refused, for this reason and no other.
pub(crate) fn refuses(token: &str, expected: impl Into<IdTokenRefusal>) {
    let found = validate(token).map(drop);
    assert_eq!(found, Err(expected.into()));
}

/// What becomes of a token at an application of this authority with these keys.
pub(crate) fn outcome(
    authority: &Authority,
    keys: JwkSet,
    token: &str,
) -> Result<(), IdTokenRefusal> {
    let validator = with_keys(authority, keys, IdTokenRules::new());
    validate_with(&validator, token, &expected()).map(drop)
}

/// The outcome of work that waits for nothing.
pub(crate) fn at_once<T>(work: impl Future<Output = T>) -> T {
    match pin!(work).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => panic!("it waits for something"),
    }
}

pub(crate) fn now() -> OffsetDateTime {
    datetime!(2026-01-01 00:00 UTC)
}

pub(crate) const NOW: i64 = 1_767_225_600;
pub(crate) const NONCE: &str = "n-0S6_WzA2Mj";
pub(crate) const TENANT: &str = "9b3c2a10-0d5f-4f2e-9c55-5a0f3a3d7d11";
pub(crate) const OTHER_TENANT: &str = "1d4b4a21-95a0-4c5a-8b53-1a1ac3dd2a22";
pub(crate) const PERSONAL_TENANT: &str = "9188040d-6c67-4c5b-b112-36a304b66dad";
pub(crate) const OBJECT: &str = "0f1e2d3c-0000-4000-8000-00000000000a";
pub(crate) const CLIENT: &str = "11111111-2222-4333-8444-555555555555";
pub(crate) const CALLER: &str = "66666666-7777-4888-9999-aaaaaaaaaaaa";
pub(crate) const ISSUER: &str =
    "https://login.microsoftonline.com/9b3c2a10-0d5f-4f2e-9c55-5a0f3a3d7d11/v2.0";
