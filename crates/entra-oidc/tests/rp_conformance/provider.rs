//! A provider that signs what a test tells it to.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, LazyLock, Mutex};

use async_trait::async_trait;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize, PublicKeyComponents};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256,
};
use aws_lc_rs::{hmac, rand};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use entra_core::{Clock as _, HttpClient, Limits, MovableClock, Pipeline, Secret, TransportError};
use entra_oidc::{
    Authority, Begin, Callback, EntraLogin, Error, FailedLogin, IdTokenRefusal, Login,
    LoginOptions, RedirectUri, TokenRefusal,
};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Request, Response};
use serde_json::{Map, Value, json};
use time::macros::datetime;

use crate::stage::{Browser, keys};

pub(crate) const ISSUER: &str = "https://op.example";
pub(crate) const CLIENT: &str = "a client";
pub(crate) const SECRET: &str = "a client's secret";
pub(crate) const CODE: &str = "the code";
pub(crate) const ACCESS_TOKEN: &str = "an access token";

static KEYS: LazyLock<[KeyPair; 2]> =
    LazyLock::new(|| [0, 1].map(|_| KeyPair::generate(KeySize::Rsa2048).unwrap()));

/// A token before it is signed.
pub(crate) struct Draft {
    pub(crate) header: Map<String, Value>,
    pub(crate) claims: Map<String, Value>,
    pub(crate) signer: Signer,
}

impl Draft {
    pub(crate) fn claim(&mut self, name: &str, value: impl Into<Value>) {
        self.claims.insert(name.to_owned(), value.into());
    }

    pub(crate) fn without(&mut self, name: &str) {
        self.claims.remove(name);
    }

    pub(crate) fn alg(&mut self, alg: &str, signer: Signer) {
        self.header.insert("alg".to_owned(), alg.into());
        self.signer = signer;
    }

    pub(crate) fn signed(&self) -> String {
        let part = |json: &Map<String, Value>| {
            URL_SAFE_NO_PAD.encode(serde_json::to_string(json).unwrap())
        };
        let signed = format!("{}.{}", part(&self.header), part(&self.claims));
        let signature = self.signer.sign(signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

/// What a token is signed with.
pub(crate) enum Signer {
    /// One of the provider's keys.
    Key(usize),
    /// The same, and a bit of the signature is turned.
    Broken(usize),
    Es256,
    /// HMAC with the client's secret.
    Hs256,
    Nothing,
}

impl Signer {
    fn sign(&self, signed: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Key(number) | Self::Broken(number) => {
                let key = &KEYS[*number];
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, signed, &mut signature)
                    .unwrap();
                if matches!(self, Self::Broken(_)) {
                    signature[0] ^= 1;
                }
                signature
            }
            Self::Es256 => {
                let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
                key.sign(&random, signed).unwrap().as_ref().to_vec()
            }
            Self::Hs256 => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
                hmac::sign(&key, signed).as_ref().to_vec()
            }
            Self::Nothing => Vec::new(),
        }
    }
}

type Change<T> = Arc<Mutex<Option<Box<dyn Fn(&mut T) + Send>>>>;

/// The provider, and what a test has it do otherwise.
#[derive(Clone, Default)]
pub(crate) struct Op {
    state: Arc<Mutex<State>>,
    token: Change<Draft>,
    front: Change<Draft>,
    response: Change<Value>,
    configuration: Change<Value>,
    user_info: Change<Value>,
}

struct State {
    clock: Arc<MovableClock>,
    nonce: String,
    /// The keys that are published: number and id.
    published: Vec<(usize, Option<&'static str>)>,
    /// The one that signs.
    signing: usize,
    requests: Vec<(String, Option<String>)>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            clock: Arc::new(MovableClock::frozen_at(datetime!(2026-01-01 00:00 UTC))),
            nonce: String::new(),
            published: vec![(0, Some("key-0"))],
            signing: 0,
            requests: Vec::new(),
        }
    }
}

impl Op {
    /// ID tokens of the token endpoint are made otherwise.
    pub(crate) fn id_token(&self, change: impl Fn(&mut Draft) + Send + 'static) {
        *self.token.lock().unwrap() = Some(Box::new(change));
    }

    /// ID tokens of the authorization endpoint are made otherwise.
    pub(crate) fn front_id_token(&self, change: impl Fn(&mut Draft) + Send + 'static) {
        *self.front.lock().unwrap() = Some(Box::new(change));
    }

    pub(crate) fn token_response(&self, change: impl Fn(&mut Value) + Send + 'static) {
        *self.response.lock().unwrap() = Some(Box::new(change));
    }

    pub(crate) fn configuration(&self, change: impl Fn(&mut Value) + Send + 'static) {
        *self.configuration.lock().unwrap() = Some(Box::new(change));
    }

    pub(crate) fn user_info(&self, change: impl Fn(&mut Value) + Send + 'static) {
        *self.user_info.lock().unwrap() = Some(Box::new(change));
    }

    pub(crate) fn publish(&self, keys: &[(usize, Option<&'static str>)]) {
        self.state.lock().unwrap().published = keys.to_vec();
    }

    pub(crate) fn sign_with(&self, number: usize) {
        self.state.lock().unwrap().signing = number;
    }

    pub(crate) fn advance(&self, seconds: u64) {
        let clock = self.clock();
        clock.advance(std::time::Duration::from_secs(seconds));
    }

    pub(crate) fn now(&self) -> i64 {
        self.clock().now().unix_timestamp()
    }

    /// The paths that were asked for, with the `Authorization` that came along.
    pub(crate) fn requests(&self) -> Vec<(String, Option<String>)> {
        self.state.lock().unwrap().requests.clone()
    }

    pub(crate) fn options() -> LoginOptions {
        let uri = RedirectUri::web("https://rp.example/signin-oidc").unwrap();
        LoginOptions::new(Authority::generic(ISSUER).unwrap(), CLIENT, uri, keys())
            .unwrap()
            .with_client_secret(Secret::new(SECRET))
            .unwrap()
    }

    pub(crate) async fn connect(&self, options: LoginOptions) -> Result<EntraLogin, Error> {
        let pipeline = Pipeline::new(self.clone()).with_clock(self.clock());
        EntraLogin::connect(options, pipeline).await
    }

    /// A whole login in the code flow.
    pub(crate) async fn sign_in(&self) -> Result<Login, Error> {
        let login = self.connect(Self::options()).await?;
        self.sign_in_at(&login).await
    }

    pub(crate) async fn sign_in_at(&self, login: &EntraLogin) -> Result<Login, Error> {
        self.sign_in_with(login, |_| {}).await
    }

    /// A login whose answer is changed on the way.
    pub(crate) async fn sign_in_with(
        &self,
        login: &EntraLogin,
        change: impl Fn(&mut Vec<(String, String)>),
    ) -> Result<Login, Error> {
        let mut browser = Browser::default();
        let begun = login.begin(Begin::to("/")).unwrap();
        browser.take(begun.set_cookies());
        let query: HashMap<_, _> = begun.location().query_pairs().into_owned().collect();
        let mut answer = self.authorize(&query);
        change(&mut answer);
        let answer = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(answer)
            .finish();
        let callback: Callback = match query["response_mode"].as_str() {
            "form_post" => browser.post(&answer),
            _ => browser.get(&answer),
        };
        let finished = login.finish(&callback).await;
        finished.map_err(FailedLogin::into_error)
    }

    /// What the provider answers at the authorization endpoint.
    fn authorize(&self, query: &HashMap<String, String>) -> Vec<(String, String)> {
        self.state.lock().unwrap().nonce.clone_from(&query["nonce"]);
        let mut answer = vec![
            ("code".to_owned(), CODE.to_owned()),
            ("state".to_owned(), query["state"].clone()),
        ];
        if query["response_type"] == "code id_token" {
            let mut draft = self.draft();
            draft.claim("c_hash", half_hash(CODE));
            draft.claim("s_hash", half_hash(&query["state"]));
            if let Some(change) = &*self.front.lock().unwrap() {
                change(&mut draft);
            }
            answer.push(("id_token".to_owned(), draft.signed()));
        }
        answer
    }

    /// A good ID token.
    pub(crate) fn draft(&self) -> Draft {
        let now = self.now();
        let state = self.state.lock().unwrap();
        let id = state
            .published
            .iter()
            .find(|(key, _)| *key == state.signing);
        let mut header = object(json!({"alg": "RS256"}));
        if let Some((_, Some(id))) = id {
            header.insert("kid".to_owned(), (*id).into());
        }
        Draft {
            header,
            claims: object(json!({
                "iss": ISSUER, "sub": "a user", "aud": CLIENT, "exp": now + 300, "iat": now,
                "nonce": state.nonce, "name": "A. User",
            })),
            signer: Signer::Key(state.signing),
        }
    }

    pub(crate) fn clock(&self) -> Arc<MovableClock> {
        Arc::clone(&self.state.lock().unwrap().clock)
    }

    fn answer(&self, path: &str) -> Value {
        match path {
            "/.well-known/openid-configuration" => {
                let mut answer = json!({
                    "issuer": ISSUER,
                    "authorization_endpoint": "https://op.example/authorize",
                    "token_endpoint": "https://op.example/token",
                    "jwks_uri": "https://op.example/jwks",
                    "userinfo_endpoint": "https://op.example/userinfo",
                    "end_session_endpoint": "https://op.example/end",
                });
                changed(&self.configuration, &mut answer);
                answer
            }
            "/jwks" => {
                let published = self.state.lock().unwrap().published.clone();
                let keys: Vec<Value> = published.iter().map(|(key, id)| jwk(*key, *id)).collect();
                json!({"keys": keys})
            }
            "/token" => {
                let mut draft = self.draft();
                draft.claim("at_hash", half_hash(ACCESS_TOKEN));
                changed(&self.token, &mut draft);
                let mut answer = json!({
                    "access_token": ACCESS_TOKEN, "token_type": "Bearer", "expires_in": 3600,
                    "scope": "openid profile", "refresh_token": "a refresh token",
                    "id_token": draft.signed(),
                });
                changed(&self.response, &mut answer);
                answer
            }
            "/userinfo" => {
                let mut answer = json!({"sub": "a user", "given_name": "A."});
                changed(&self.user_info, &mut answer);
                answer
            }
            other => panic!("{other} was asked for"),
        }
    }
}

impl fmt::Debug for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Op")
    }
}

#[async_trait]
impl HttpClient for Op {
    async fn send(
        &self,
        request: Request<Bytes>,
        _limits: Limits,
    ) -> Result<Response<Bytes>, TransportError> {
        assert_eq!(request.uri().host(), Some("op.example"));
        let path = request.uri().path().to_owned();
        let authorization = request.headers().get(AUTHORIZATION);
        let authorization = authorization.map(|value| value.to_str().unwrap().to_owned());
        self.state
            .lock()
            .unwrap()
            .requests
            .push((path.clone(), authorization));
        let answer = self.answer(&path);
        let is_signed = answer.is_string();
        let body = match answer {
            // A signed answer is no JSON.
            Value::String(text) => text,
            answer => answer.to_string(),
        };
        let mut response = Response::new(Bytes::from(body));
        let kind = if is_signed {
            "application/jwt"
        } else {
            "application/json"
        };
        response
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        Ok(response)
    }
}

/// Why the login was refused, by the check of the ID token.
pub(crate) fn refusal(error: Error) -> IdTokenRefusal {
    match error {
        Error::IdToken(refusal) => refusal,
        other => panic!("another refusal: {other:?}"),
    }
}

/// The same, by a check that every token has to pass.
pub(crate) fn token_refusal(error: Error) -> TokenRefusal {
    match refusal(error) {
        IdTokenRefusal::Token(refusal) => refusal,
        other => panic!("another refusal: {other:?}"),
    }
}

/// The left half of the SHA-256 (OpenID Connect Core 3.1.3.6).
pub(crate) fn half_hash(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(&digest(&SHA256, text.as_bytes()).as_ref()[..16])
}

/// Random text in the place of a hash.
pub(crate) fn other_hash() -> String {
    let mut bytes = [0; 16];
    rand::fill(&mut bytes).unwrap();
    URL_SAFE_NO_PAD.encode(bytes)
}

fn changed<T>(change: &Change<T>, value: &mut T) {
    if let Some(change) = &*change.lock().unwrap() {
        change(value);
    }
}

fn object(json: Value) -> Map<String, Value> {
    match json {
        Value::Object(object) => object,
        other => panic!("{other} is no object"),
    }
}

fn jwk(number: usize, id: Option<&str>) -> Value {
    let public = PublicKeyComponents::<Vec<u8>>::from(KEYS[number].public_key());
    let mut key = json!({
        "kty": "RSA", "use": "sig", "alg": "RS256",
        "n": URL_SAFE_NO_PAD.encode(public.n), "e": URL_SAFE_NO_PAD.encode(public.e),
    });
    if let Some(id) = id {
        key["kid"] = id.into();
    }
    key
}
