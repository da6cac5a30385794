//! Continuous Access Evaluation: the declared capability, claims challenges, users who must act.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails"
)]

mod scripted;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use entra_core::{
    Call, ConfidentialClient, Error, HttpClient, Limits, Pipeline, Secret, TransportError,
};
use http::StatusCode;
use scripted::app::{SECOND, app, forms, graph};
use scripted::{Gate, Reply, settle};
use serde_json::{Value, json};
use tokio::task::JoinSet;

const CHALLENGE: &str = r#"{"access_token":{"nbf":{"essential":true,"value":"1767225600"}}}"#;

#[tokio::test]
async fn a_client_that_answers_challenges_says_so_in_every_request() {
    let (app, http, _) = app([Reply::token("t1", 86_400)]);
    let app = app.with_continuous_access_evaluation();
    app.token(&graph()).await.unwrap();
    assert_eq!(
        forms(&http, "claims"),
        [Some(
            r#"{"access_token":{"xms_cc":{"values":["cp1"]}}}"#.to_owned()
        )]
    );
}

#[tokio::test]
async fn a_client_that_does_not_answer_challenges_asks_for_no_claims() {
    let (app, http, _) = app([Reply::token("t1", 3600)]);
    app.token(&graph()).await.unwrap();
    assert_eq!(forms(&http, "claims"), [None]);
}

#[tokio::test]
async fn the_capability_is_sent_with_the_claims_of_a_challenge() {
    let (app, http, _) = app([Reply::token("t1", 86_400)]);
    let app = app.with_continuous_access_evaluation();
    app.token(&graph().with_claims(CHALLENGE)).await.unwrap();
    let claims: Value = serde_json::from_str(forms(&http, "claims")[0].as_ref().unwrap()).unwrap();
    assert_eq!(
        claims,
        json!({"access_token": {
            "nbf": {"essential": true, "value": "1767225600"},
            "xms_cc": {"values": ["cp1"]},
        }})
    );
}

#[tokio::test]
async fn claims_that_are_no_json_object_are_refused_before_anything_is_sent() {
    let (app, http, _) = app([]);
    let app = app.with_continuous_access_evaluation();
    for claims in ["", "[]", "{", r#"{"access_token":7}"#] {
        let error = app.token(&graph().with_claims(claims)).await.unwrap_err();
        assert!(matches!(error, Error::InvalidRequest(_)), "{error:?}");
    }
    assert_eq!(http.count(), 0);
}

#[tokio::test]
async fn five_hundred_challenged_calls_ask_for_one_new_token() {
    let (challenge, gate) = (Gate::closed(), Gate::closed());
    let (app, tokens, clock) = app([
        Reply::token("t1", 86_400),
        Reply::token("t2", 86_400).behind(&gate),
    ]);
    let app = Arc::new(app.with_continuous_access_evaluation());
    app.token(&graph()).await.unwrap();
    clock.advance(SECOND);
    let api = Arc::new(Api::that_refuses(["t1"]).behind(vec![challenge.clone(); 500]));
    let calls = Pipeline::over(api.clone()).with_clock(clock);
    let mut tasks = JoinSet::new();
    for _ in 0..500 {
        let (calls, app) = (calls.clone(), app.clone());
        tasks.spawn(async move { calls.send(call(&app)).await });
    }
    settle().await;
    assert_eq!(api.calls(), 500);
    challenge.open();
    settle().await;
    gate.open();
    while let Some(answer) = tasks.join_next().await {
        assert_eq!(answer.unwrap().unwrap().status(), StatusCode::OK);
    }
    assert_eq!((api.calls(), tokens.count()), (1000, 2));
    let claims = forms(&tokens, "claims")[1].clone().unwrap();
    assert!(
        claims.contains("1767225600") && claims.contains("cp1"),
        "{claims}"
    );
}

#[tokio::test]
async fn a_call_that_comes_while_a_challenge_is_answered_waits_for_that_answer() {
    let gate = Gate::closed();
    let (app, tokens, clock) = app([
        Reply::token("t1", 86_400),
        Reply::token("t2", 86_400).behind(&gate),
    ]);
    let app = Arc::new(app.with_continuous_access_evaluation());
    app.token(&graph()).await.unwrap();
    clock.advance(SECOND);
    let api = Arc::new(Api::that_refuses(["t1"]));
    let calls = Pipeline::over(api.clone()).with_clock(clock);
    let mut tasks = JoinSet::new();
    let (pipeline, client) = (calls.clone(), app.clone());
    tasks.spawn(async move { pipeline.send(call(&client)).await });
    tokens.arrived(2).await;
    for _ in 0..100 {
        let (calls, app) = (calls.clone(), app.clone());
        tasks.spawn(async move { calls.send(call(&app)).await });
    }
    settle().await;
    gate.open();
    while let Some(answer) = tasks.join_next().await {
        assert_eq!(answer.unwrap().unwrap().status(), StatusCode::OK);
    }
    assert_eq!((api.calls(), tokens.count()), (102, 2));
}

#[tokio::test]
async fn a_challenge_that_only_a_person_can_answer_leaves_the_token_to_other_calls() {
    let needs_user = Reply::refusal(400, "interaction_required", 50_076);
    let (app, tokens, clock) = app([
        Reply::token("t1", 86_400),
        needs_user,
        Reply::token("t2", 86_400),
    ]);
    let app = Arc::new(app);
    let api = Arc::new(Api::that_refuses(["t1", "t2"]));
    let calls = Pipeline::over(api.clone()).with_clock(clock);
    for _ in 0..10 {
        let error = calls.send(call(&app)).await.unwrap_err();
        assert!(error.needs_user(), "{error:?}");
    }
    // One for the first challenge, one for the token in its place, which is kept from then on.
    assert_eq!(tokens.count(), 3);
    assert!(app.cached(&graph()).is_some());
}

#[tokio::test]
async fn a_late_challenge_of_the_old_token_does_not_cost_the_new_one() {
    let (app, tokens, clock) = app([Reply::token("t1", 86_400), Reply::token("t2", 86_400)]);
    let app = Arc::new(app);
    let (first, late) = (Gate::closed(), Gate::closed());
    let api = Arc::new(Api::that_refuses(["t1"]).behind(vec![first.clone(), late.clone()]));
    let calls = Pipeline::over(api.clone()).with_clock(clock.clone());
    let mut tasks = JoinSet::new();
    for _ in 0..2 {
        let (calls, app) = (calls.clone(), app.clone());
        tasks.spawn(async move { calls.send(call(&app)).await });
    }
    settle().await;
    clock.advance(SECOND);
    for gate in [first, late] {
        gate.open();
        let answer = tasks.join_next().await.unwrap().unwrap().unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
    }
    assert_eq!(tokens.count(), 2);
}

#[tokio::test]
async fn a_second_refusal_is_returned() {
    let (app, tokens, clock) = app([Reply::token("t1", 86_400), Reply::token("t2", 86_400)]);
    let app = Arc::new(app);
    let api = Arc::new(Api::that_refuses(["t1", "t2"]));
    let calls = Pipeline::over(api.clone()).with_clock(clock);
    let error = calls.send(call(&app)).await.unwrap_err();
    let Error::Response(refusal) = &error else {
        panic!("{error:?}");
    };
    assert_eq!(refusal.status, StatusCode::UNAUTHORIZED);
    assert_eq!(error.claims(), Some(CHALLENGE));
    assert_eq!((api.calls(), tokens.count()), (2, 2));
}

#[tokio::test]
async fn a_refusal_without_a_challenge_is_answered_with_a_new_token_too() {
    let (app, tokens, clock) = app([Reply::token("t1", 86_400), Reply::token("t2", 86_400)]);
    let app = Arc::new(app);
    let api = Arc::new(Api {
        challenges: false,
        ..Api::that_refuses(["t1"])
    });
    let calls = Pipeline::over(api.clone()).with_clock(clock);
    calls.send(call(&app)).await.unwrap();
    assert_eq!(forms(&tokens, "claims"), [None, None]);
}

#[tokio::test]
async fn where_a_person_must_act_the_error_says_so_and_has_the_claims_to_pass_on() {
    // A second factor, a device that is not compliant, and a code that nobody has seen yet.
    for code in [50_076, 53_000, 53_003, 59_999] {
        let refusal = json!({
            "error": "interaction_required",
            "error_description": format!("AADSTS{code}: The user has to act."),
            "error_codes": [code],
            "claims": CHALLENGE,
        });
        let (app, http, _) = app([Reply::json(400, &refusal)]);
        let user = app.on_behalf_of(Secret::new("e30.e30.user"));
        let error = user.token(&graph()).await.unwrap_err();
        assert!(error.needs_user(), "{code}");
        assert_eq!(error.claims(), Some(CHALLENGE));
        assert!(!error.is_retryable());
        assert_eq!(http.count(), 1);
    }
}

#[tokio::test]
async fn where_an_administrator_must_act_no_person_is_sent_to_sign_in() {
    for (error, code) in [("invalid_grant", 53_003), ("invalid_grant", 50_105)] {
        let (app, _, _) = app([Reply::refusal(400, error, code)]);
        let user = app.on_behalf_of(Secret::new("e30.e30.user"));
        let error = user.token(&graph()).await.unwrap_err();
        assert!(!error.needs_user(), "{code}");
        assert_eq!(error.claims(), None);
    }
}

fn call(app: &Arc<ConfidentialClient>) -> Call {
    let request = http::Request::get("https://graph.example/v1.0/organization")
        .body(Bytes::new())
        .unwrap();
    Call::new("GET /organization", request).with_credential(app.clone(), graph())
}

/// An API that refuses some tokens.
#[derive(Debug)]
struct Api {
    refused: Vec<String>,
    challenges: bool,
    gates: Mutex<Vec<Gate>>,
    calls: AtomicUsize,
}

impl Api {
    fn that_refuses<const N: usize>(tokens: [&str; N]) -> Self {
        Self {
            refused: tokens
                .iter()
                .map(|token| format!("Bearer {token}"))
                .collect(),
            challenges: true,
            gates: Mutex::default(),
            calls: AtomicUsize::new(0),
        }
    }

    /// The first calls each wait for a gate of their own.
    fn behind(self, gates: Vec<Gate>) -> Self {
        *self.gates.lock().unwrap() = gates.into_iter().rev().collect();
        self
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl HttpClient for Api {
    async fn send(
        &self,
        request: http::Request<Bytes>,
        _limits: Limits,
    ) -> Result<http::Response<Bytes>, TransportError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let gate = self.gates.lock().unwrap().pop();
        if let Some(gate) = gate {
            gate.passed().await;
        }
        let token = request.headers()["authorization"].to_str().unwrap();
        let mut answer = http::Response::builder();
        if self.refused.iter().any(|refused| refused == token) {
            answer = answer.status(StatusCode::UNAUTHORIZED);
            if self.challenges {
                let claims = STANDARD.encode(CHALLENGE);
                let challenge = format!(
                    "Bearer realm=\"\", error=\"insufficient_claims\", claims=\"{claims}\""
                );
                answer = answer.header("www-authenticate", challenge);
            }
        }
        Ok(answer.body(Bytes::new()).unwrap())
    }
}
