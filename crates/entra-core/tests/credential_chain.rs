//! The order of several token credentials: who is passed over, who ends the search.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails"
)]

mod scripted;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use entra_core::{
    AccessToken, CredentialChain, Error, ManagedIdentity, ManagedIdentityId, Pipeline, Secret,
    TokenCredential, TokenRequest, WorkloadIdentity,
};
use scripted::app::{frozen, graph, text};
use scripted::{Reply, ScriptedHttp};
use time::macros::datetime;

#[tokio::test]
async fn the_first_credential_that_is_available_is_used_and_kept() {
    let (first, second, third) = (
        Fake::absent("A"),
        Fake::with_token("b"),
        Fake::with_token("c"),
    );
    let chain = chain([&first, &second, &third]);
    for _ in 0..3 {
        assert_eq!(text(&chain.token(&graph()).await.unwrap()), "b");
    }
    // A clone knows which one it was.
    chain.clone().token(&graph()).await.unwrap();
    assert_eq!(
        [&first, &second, &third].map(|fake| fake.calls()),
        [1, 4, 0]
    );
}

#[tokio::test]
async fn once_chosen_a_credential_that_fails_is_not_replaced_by_another() {
    let (first, second) = (Fake::with_token("a"), Fake::with_token("b"));
    let chain = chain([&first, &second]);
    chain.token(&graph()).await.unwrap();
    first.answer(Err(absent("A")));
    let error = chain.token(&graph()).await.unwrap_err();
    assert!(matches!(error, Error::NotAvailable { .. }), "{error:?}");
    assert_eq!(second.calls(), 0);
}

#[tokio::test]
async fn a_refusal_ends_the_search_and_is_told_as_it_is() {
    let (first, second) = (Fake::new(Err(refused())), Fake::with_token("b"));
    let error = chain([&first, &second]).token(&graph()).await.unwrap_err();
    assert!(
        matches!(error, Error::InvalidRequest("refused")),
        "{error:?}"
    );
    assert_eq!(second.calls(), 0);
}

#[tokio::test]
async fn a_chain_that_goes_on_after_failures_tries_all() {
    let (first, second) = (Fake::new(Err(refused())), Fake::with_token("b"));
    let chain = chain([&first, &second]).with_continue_on_failure();
    assert_eq!(text(&chain.token(&graph()).await.unwrap()), "b");
}

#[tokio::test]
async fn where_none_yields_a_token_every_reason_is_told_in_order() {
    let chain = chain([
        &Fake::absent("A"),
        &Fake::new(Err(refused())),
        &Fake::absent("C"),
    ])
    .with_continue_on_failure();
    let error = chain.token(&graph()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "no credential yielded a token: A is not available here: nothing there; refused; \
         C is not available here: nothing there"
    );
    assert!(!error.is_retryable());
}

#[tokio::test]
async fn a_chain_of_nothing_has_no_token() {
    let error = CredentialChain::new().token(&graph()).await.unwrap_err();
    assert!(matches!(&error, Error::NoCredential(reasons) if reasons.is_empty()));
    assert_eq!(error.admin_hint(), "Set a credential up.");
}

#[tokio::test]
async fn a_refused_token_is_told_to_the_one_who_yielded_it() {
    let (first, second) = (Fake::absent("A"), Fake::with_token("b"));
    let chain = chain([&first, &second]);
    let token = chain.token(&graph()).await.unwrap();
    chain.invalidate(&graph(), &token);
    assert_eq!(*second.0.invalidated.lock().unwrap(), ["b"]);
    assert!(first.0.invalidated.lock().unwrap().is_empty());
}

#[tokio::test]
async fn what_could_not_be_set_up_is_passed_over_with_its_reason() {
    let clock = frozen();
    let http = ScriptedHttp::new(
        &clock,
        [Reply::fails(entra_core::TransportErrorKind::Connect)],
    );
    let pipeline = Pipeline::new(http).with_clock(clock);
    let nothing = HashMap::new();
    let workload = WorkloadIdentity::from_environment(&nothing)
        .map_err(Error::from)
        .and_then(|identity| identity.into_client(pipeline.clone()));
    let machine = ManagedIdentity::from_environment(&nothing, ManagedIdentityId::System, pipeline);
    let chain = CredentialChain::new().or_try(workload).or_try(machine);
    let error = chain.token(&graph()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "no credential yielded a token: workload identity is not available here: the environment \
         lacks AZURE_TENANT_ID, AZURE_CLIENT_ID, AZURE_FEDERATED_TOKEN_FILE; managed identity is \
         not available here: this machine has no instance metadata service: no connection to the \
         service"
    );
}

fn chain<const N: usize>(fakes: [&Fake; N]) -> CredentialChain {
    fakes
        .into_iter()
        .fold(CredentialChain::new(), |chain, fake| chain.or(fake.clone()))
}

fn absent(credential: &'static str) -> Error {
    Error::NotAvailable {
        credential,
        source: Arc::new(std::io::Error::other("nothing there")),
    }
}

fn refused() -> Error {
    Error::InvalidRequest("refused")
}

/// A credential with one answer.
#[derive(Clone, Debug)]
struct Fake(Arc<Answers>);

#[derive(Debug)]
struct Answers {
    answer: Mutex<Result<&'static str, Error>>,
    calls: AtomicUsize,
    invalidated: Mutex<Vec<String>>,
}

impl Fake {
    fn new(answer: Result<&'static str, Error>) -> Self {
        Self(Arc::new(Answers {
            answer: Mutex::new(answer),
            calls: AtomicUsize::new(0),
            invalidated: Mutex::default(),
        }))
    }

    fn with_token(token: &'static str) -> Self {
        Self::new(Ok(token))
    }

    fn absent(credential: &'static str) -> Self {
        Self::new(Err(absent(credential)))
    }

    fn answer(&self, answer: Result<&'static str, Error>) {
        *self.0.answer.lock().unwrap() = answer;
    }

    fn calls(&self) -> usize {
        self.0.calls.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl TokenCredential for Fake {
    async fn token(&self, _request: &TokenRequest) -> Result<AccessToken, Error> {
        self.0.calls.fetch_add(1, Ordering::Relaxed);
        let token = self.0.answer.lock().unwrap().clone()?;
        Ok(AccessToken::new(Secret::new(token), datetime!(2026-01-01 01:00 UTC)).unwrap())
    }

    fn invalidate(&self, _request: &TokenRequest, token: &AccessToken) {
        self.0.invalidated.lock().unwrap().push(text(token));
    }
}
