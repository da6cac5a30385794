//! Several credentials: which is tried when, what the host's source is asked, hot replacement.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails"
)]

mod scripted;

use std::error::Error as StdError;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use entra_core::{
    Authority, ClientAssertion, ClientCredential, ClientCredentials, Cloud, ConfidentialClient,
    CredentialSource, Error, HttpClient, Limits, MovableClock, Pipeline, Secret, TokenErrorKind,
    TokenRequest, TransportError, error_chain,
};
use scripted::app::{
    SECOND, certificate, client, client_id, forms, frozen, graph, kind, request, secret, tenant,
    text,
};
use scripted::{Gate, Reply, ScriptedHttp};
use tokio::task::JoinSet;

#[tokio::test]
async fn the_credentials_are_tried_in_their_order_until_one_is_accepted() {
    let (app, http, _) = app_with(three(), [expired(), invalid(), Reply::token("t1", 3600)]);
    assert_eq!(text(&app.token(&graph()).await.unwrap()), "t1");
    assert_eq!(secrets(&http), ["a", "b", "c"]);
    assert_eq!(app.metrics().requests, 1, "a token was asked for once");
}

#[tokio::test]
async fn the_accepted_one_is_preferred_for_five_minutes_and_then_the_first_is_tried_again() {
    let token = || Reply::token("t", 3600);
    let (app, http, clock) = app_with(
        three(),
        [expired(), token(), token(), token(), expired(), token()],
    );
    app.token(&anew()).await.unwrap();
    assert_eq!(app.credential(), secret("b"));
    app.token(&anew()).await.unwrap();
    clock.advance(299 * SECOND);
    app.token(&anew()).await.unwrap();
    clock.advance(SECOND);
    assert_eq!(app.credential(), secret("a"));
    app.token(&anew()).await.unwrap();
    assert_eq!(secrets(&http), ["a", "b", "b", "b", "a", "b"]);
}

#[tokio::test]
async fn where_all_are_refused_the_error_of_the_first_is_told() {
    let (app, http, _) = app_with(three(), [expired(), invalid(), invalid()]);
    let error = app.token(&graph()).await.unwrap_err();
    assert_eq!(kind(&error), TokenErrorKind::SecretExpired);
    assert_eq!(secrets(&http), ["a", "b", "c"]);
}

#[tokio::test]
async fn a_refusal_that_no_other_credential_would_change_ends_the_search() {
    for reply in [
        Reply::refusal(400, "unauthorized_client", 700_016),
        Reply::refusal(400, "invalid_request", 90_002),
        Reply::refusal(400, "invalid_scope", 70_011),
        Reply::new(429, "text/plain", "Too Many Requests").header("retry-after", "600"),
    ] {
        let (app, http, _) = app_with(three(), [reply]);
        app.token(&graph()).await.unwrap_err();
        assert_eq!(secrets(&http), ["a"]);
    }
}

#[tokio::test]
async fn an_assertion_or_a_certificate_that_is_not_trusted_hands_over_to_the_next_credential() {
    for code in [700_213, 70_025, 700_030] {
        let refusal = Reply::refusal(401, "invalid_client", code);
        let (app, http, _) = app_with(three(), [refusal, Reply::token("t1", 3600)]);
        assert_eq!(text(&app.token(&graph()).await.unwrap()), "t1");
        assert_eq!(secrets(&http), ["a", "b"], "{code}");
    }
}

#[tokio::test]
async fn who_is_refused_while_the_source_is_asked_waits_for_what_it_says() {
    let source = Arc::new(Slow::default());
    let (app, http, _) = app_with(
        secret("a"),
        [
            expired(),
            expired(),
            Reply::token("t1", 3600),
            Reply::token("t2", 3600),
        ],
    );
    let app = app.with_credential_source(source.clone());
    let mut tasks = JoinSet::new();
    for scope in ["one", "two"] {
        let app = app.clone();
        tasks.spawn(async move { app.token(&TokenRequest::new([scope])).await });
    }
    http.arrived(2).await;
    source.0.open();
    while let Some(token) = tasks.join_next().await {
        token.unwrap().unwrap();
    }
    assert_eq!(secrets(&http), ["a", "a", "new", "new"]);
}

#[tokio::test]
async fn a_certificate_that_is_over_is_tried_last_but_tried() {
    let certificate = certificate();
    let after = certificate.expires_on().unwrap() + time::Duration::days(1);
    let clock = Arc::new(MovableClock::frozen_at(after));
    let http = ScriptedHttp::new(&clock, [expired(), Reply::token("t1", 3600)]);
    let app = client(
        &http,
        &clock,
        ClientCredentials::new(certificate).or(secret("a")),
    );
    assert_eq!(text(&app.token(&graph()).await.unwrap()), "t1");
    let seen = http.seen();
    assert_eq!(secrets(&http), ["a", ""]);
    assert!(seen.last().unwrap().form("client_assertion").is_some());
}

#[tokio::test]
async fn the_source_is_asked_once_where_all_are_refused_and_its_credentials_replace_them() {
    let source = Source::new(|| Ok(ClientCredentials::new(secret("new"))));
    let (app, http, _) = app_with(three(), [expired(), expired(), expired(), token()]);
    let app = app.with_credential_source(source.clone());
    assert_eq!(text(&app.token(&graph()).await.unwrap()), "t");
    assert_eq!(secrets(&http), ["a", "b", "c", "new"]);
    assert_eq!(source.loads(), 1);
    assert_eq!(app.credentials(), ClientCredentials::new(secret("new")));
}

#[tokio::test]
async fn the_source_is_not_asked_while_a_credential_is_accepted() {
    let source = Source::new(|| Ok(ClientCredentials::new(secret("new"))));
    let (app, _, _) = app_with(three(), [expired(), expired(), token()]);
    let app = app.with_credential_source(source.clone());
    app.token(&graph()).await.unwrap();
    assert_eq!(source.loads(), 0);
}

#[tokio::test]
async fn a_source_with_nothing_new_is_asked_again_after_ten_seconds() {
    let source = Source::new(|| Ok(ClientCredentials::new(secret("a"))));
    let (app, http, clock) = app_with(secret("a"), [expired(), expired(), expired()]);
    let app = app.with_credential_source(source.clone());
    for (wait, loads) in [(0, 1), (9, 1), (1, 2)] {
        clock.advance(wait * SECOND);
        let error = app.token(&anew()).await.unwrap_err();
        assert_eq!(kind(&error), TokenErrorKind::SecretExpired);
        assert_eq!(source.loads(), loads);
    }
    assert_eq!(http.count(), 3, "the same credentials are not sent twice");
}

#[tokio::test]
async fn a_source_that_fails_leaves_the_service_s_own_error() {
    let source = Source::new(|| Err("the vault is sealed".into()));
    let (app, _, _) = app_with(secret("a"), [expired()]);
    let error = app
        .with_credential_source(source)
        .token(&graph())
        .await
        .unwrap_err();
    assert_eq!(kind(&error), TokenErrorKind::SecretExpired);
}

#[tokio::test]
async fn an_assertion_that_cannot_be_made_hands_over_to_the_next_credential() {
    let (app, http, _) = app_with(
        ClientCredentials::new(assertion(None)).or(secret("b")),
        [token()],
    );
    app.token(&graph()).await.unwrap();
    assert_eq!(secrets(&http), ["b"]);
}

#[tokio::test]
async fn an_assertion_that_cannot_be_made_is_told_with_its_cause_and_asked_for_again() {
    let (app, http, _) = app_with(assertion(None), []);
    for _ in 0..2 {
        let error = app.token(&graph()).await.unwrap_err();
        assert!(matches!(error, Error::Credential(_)), "{error:?}");
        assert_eq!(
            error_chain(&error),
            "the host's own credential failed: the HSM is off"
        );
    }
    assert_eq!((http.count(), app.metrics().held_back), (0, 0));
}

#[tokio::test]
async fn an_assertion_of_the_host_is_sent_for_the_token_endpoint() {
    let (app, http, _) = app_with(assertion(Some("e30.e30.x")), [token()]);
    app.token(&graph()).await.unwrap();
    assert_eq!(
        forms(&http, "client_assertion"),
        [Some(
            "e30.e30.x for https://login.microsoftonline.com/contoso.onmicrosoft.com/oauth2/v2.0/token"
                .to_owned()
        )]
    );
    assert_eq!(
        forms(&http, "client_assertion_type"),
        [Some(
            "urn:ietf:params:oauth:client-assertion-type:jwt-bearer".to_owned()
        )]
    );
}

#[tokio::test]
async fn no_call_fails_while_the_credentials_are_replaced_again_and_again() {
    let service = Arc::new(Service::accepting("secret-0"));
    let clock = frozen();
    let app = ConfidentialClient::new(
        Authority::new(Cloud::public(), tenant("contoso.onmicrosoft.com")),
        client_id(),
        secret("secret-0"),
        Pipeline::over(service.clone()).with_clock(clock),
    )
    .unwrap();
    let mut tasks = JoinSet::new();
    for task in 0..50 {
        let app = app.clone();
        tasks.spawn(async move {
            for number in 0..20 {
                let scope = format!("api://{task}-{number}/.default");
                app.token(&request(&scope)).await?;
            }
            Ok::<_, Error>(())
        });
    }
    for generation in 1..=5 {
        let new = format!("secret-{generation}");
        service.accept_too(&new);
        app.replace_credentials(secret(&new));
        service.accept_only(&new);
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    }
    while let Some(outcome) = tasks.join_next().await {
        outcome.unwrap().unwrap();
    }
    assert_eq!(service.issued.load(Ordering::Relaxed), 1000);
    assert!(service.refused.load(Ordering::Relaxed) > 0, "no overlap");
}

fn app_with(
    credentials: impl Into<ClientCredentials>,
    script: impl IntoIterator<Item = Reply>,
) -> (ConfidentialClient, ScriptedHttp, Arc<MovableClock>) {
    let clock = frozen();
    let http = ScriptedHttp::new(&clock, script);
    (client(&http, &clock, credentials), http, clock)
}

fn three() -> ClientCredentials {
    ClientCredentials::new(secret("a"))
        .or(secret("b"))
        .or(secret("c"))
}

fn expired() -> Reply {
    Reply::refusal(401, "invalid_client", 7_000_222)
}

fn invalid() -> Reply {
    Reply::refusal(401, "invalid_client", 7_000_215)
}

fn token() -> Reply {
    Reply::token("t", 3600)
}

fn anew() -> TokenRequest {
    graph().bypassing_cache()
}

/// The client secret of each request, empty where there was none.
fn secrets(http: &ScriptedHttp) -> Vec<String> {
    forms(http, "client_secret")
        .into_iter()
        .map(Option::unwrap_or_default)
        .collect()
}

type Loaded = Result<ClientCredentials, Box<dyn StdError + Send + Sync>>;

/// A vault that counts how often it is asked.
#[derive(Debug)]
struct Source {
    load: fn() -> Loaded,
    loads: AtomicUsize,
}

impl Source {
    fn new(load: fn() -> Loaded) -> Arc<Self> {
        Arc::new(Self {
            load,
            loads: AtomicUsize::new(0),
        })
    }

    fn loads(&self) -> usize {
        self.loads.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl CredentialSource for Source {
    async fn load(&self) -> Loaded {
        self.loads.fetch_add(1, Ordering::Relaxed);
        (self.load)()
    }
}

/// An HSM that signs, or one that is off.
#[derive(Debug)]
struct Hsm(Option<&'static str>);

fn assertion(text: Option<&'static str>) -> ClientCredential {
    ClientCredential::assertion(Arc::new(Hsm(text)))
}

#[async_trait]
impl ClientAssertion for Hsm {
    async fn assertion(&self, audience: &str) -> Result<Secret, Box<dyn StdError + Send + Sync>> {
        let text = self.0.ok_or("the HSM is off")?;
        Ok(Secret::new(format!("{text} for {audience}")))
    }
}

/// A token endpoint that accepts some secrets, and takes its time to look at one.
#[derive(Debug)]
struct Service {
    accepted: Mutex<Vec<String>>,
    issued: AtomicUsize,
    refused: AtomicUsize,
}

impl Service {
    fn accepting(secret: &str) -> Self {
        Self {
            accepted: Mutex::new(vec![secret.to_owned()]),
            issued: AtomicUsize::new(0),
            refused: AtomicUsize::new(0),
        }
    }

    fn accept_too(&self, secret: &str) {
        self.accepted.lock().unwrap().push(secret.to_owned());
    }

    fn accept_only(&self, secret: &str) {
        self.accepted
            .lock()
            .unwrap()
            .retain(|other| other == secret);
    }
}

#[async_trait]
impl HttpClient for Service {
    async fn send(
        &self,
        request: http::Request<Bytes>,
        _limits: Limits,
    ) -> Result<http::Response<Bytes>, TransportError> {
        for _ in 0..3 {
            tokio::task::yield_now().await;
        }
        let accepted = url::form_urlencoded::parse(request.body()).any(|(name, value)| {
            name == "client_secret" && self.accepted.lock().unwrap().contains(&value.into_owned())
        });
        let (count, status, body) = if accepted {
            let body = r#"{"token_type": "Bearer", "expires_in": 3600, "access_token": "t"}"#;
            (&self.issued, 200, body)
        } else {
            let body = r#"{"error": "invalid_client", "error_codes": [7000222]}"#;
            (&self.refused, 401, body)
        };
        count.fetch_add(1, Ordering::Relaxed);
        let answer = http::Response::builder()
            .status(status)
            .header("content-type", "application/json");
        Ok(answer.body(Bytes::from_static(body.as_bytes())).unwrap())
    }
}

/// A source that answers once its gate is open.
#[derive(Debug)]
struct Slow(Gate);

impl Default for Slow {
    fn default() -> Self {
        Self(Gate::closed())
    }
}

#[async_trait]
impl CredentialSource for Slow {
    async fn load(&self) -> Loaded {
        self.0.passed().await;
        Ok(secret("new").into())
    }
}
