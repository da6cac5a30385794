//! One call through the pipeline: ids, tokens, retries, waits, limits, deadlines.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails"
)]

mod scripted;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use entra_core::{
    AccessToken, Call, Clock as _, Error, MovableClock, Operation, Pipeline, RetryPolicy, Secret,
    ThrottleScope, TokenCredential, TokenRequest, TransportErrorKind,
};
use http::{Method, StatusCode};
use scripted::{Reply, ScriptedHttp};
use std::sync::Mutex;
use time::OffsetDateTime;
use time::macros::datetime;

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn the_status_and_the_operation_decide_how_often_a_request_is_sent() {
    let seconds = Some("1");
    for (method, operation, status, retry_after, sent) in [
        (Method::GET, None, 200, None, 1),
        (Method::GET, None, 304, None, 1),
        (Method::GET, None, 404, None, 1),
        (Method::GET, None, 501, None, 1),
        (Method::GET, None, 503, None, 5),
        (Method::DELETE, None, 504, None, 5),
        (Method::PUT, None, 509, None, 5),
        (Method::POST, None, 500, None, 1),
        (Method::POST, None, 503, None, 1),
        (Method::POST, None, 503, seconds, 5),
        (Method::PATCH, None, 429, None, 5),
        (Method::PATCH, None, 502, seconds, 1),
        (Method::POST, Some(Operation::Idempotent), 500, None, 5),
        (Method::POST, Some(Operation::Once), 429, seconds, 1),
    ] {
        let replies = (0..5).map(|_| {
            let reply = Reply::new(status, "text/plain", "");
            match retry_after {
                Some(wait) => reply.header("retry-after", wait),
                None => reply,
            }
        });
        let (pipeline, http, _) = pipeline(replies);
        let mut call = call(method.clone());
        if let Some(operation) = operation {
            call = call.with_operation(operation);
        }
        let _ = pipeline.send(call).await;
        assert_eq!(http.count(), sent, "{method} {operation:?} {status}");
    }
}

#[tokio::test]
async fn a_request_that_may_have_been_acted_on_is_not_sent_again_unless_that_is_harmless() {
    use TransportErrorKind::{BodyTooLarge, Connect, Interrupted, Request, Timeout, Tls};
    for (method, kind, sent) in [
        (Method::GET, Interrupted, 5),
        (Method::GET, Timeout, 5),
        (Method::GET, Tls, 1),
        (Method::GET, Request, 1),
        (Method::GET, BodyTooLarge { limit: 1 }, 1),
        (Method::POST, Interrupted, 1),
        (Method::POST, Timeout, 1),
        (Method::POST, Connect, 5),
        (Method::PATCH, Interrupted, 1),
    ] {
        let (pipeline, http, _) = pipeline((0..5).map(|_| Reply::fails(kind)));
        let error = pipeline.send(call(method.clone())).await.unwrap_err();
        assert!(
            matches!(&error, Error::Transport { source, .. } if source.kind() == kind),
            "{error:?}"
        );
        assert_eq!(http.count(), sent, "{method} {kind:?}");
    }
}

#[tokio::test]
async fn a_wait_that_the_service_asks_for_is_honoured() {
    for (name, value, waits) in [
        ("retry-after", "17", 17_000),
        ("retry-after", "Thu, 01 Jan 2026 10:00:30 GMT", 30_000),
        ("x-ms-retry-after-ms", "12500", 12_500),
    ] {
        let (pipeline, http, _) = pipeline([
            // The service's clock is ten hours ahead, and its dates with it.
            Reply::new(503, "text/plain", "")
                .header(name, value)
                .header("date", "Thu, 01 Jan 2026 10:00:00 GMT"),
            Reply::new(200, "text/plain", ""),
        ]);
        pipeline.send(call(Method::GET)).await.unwrap();
        assert_eq!(waited(&http), [waits], "{name}: {value}");
    }
}

#[tokio::test]
async fn without_a_wish_of_the_service_the_waits_are_drawn_below_a_doubling_limit() {
    let (pipeline, http, _) = pipeline((0..5).map(|_| Reply::fails(TransportErrorKind::Timeout)));
    pipeline.send(call(Method::GET)).await.unwrap_err();
    for (wait, limit) in waited(&http).into_iter().zip([800, 1600, 3200, 6400]) {
        assert!(wait <= limit, "{wait} ms");
    }
}

#[tokio::test]
async fn a_wait_longer_than_the_deadline_fails_at_once() {
    let (pipeline, http, clock) = pipeline([Reply::new(429, "text/plain", "")
        .header("retry-after", "315")
        .header("request-id", "r-1")]);
    let before = clock.now();
    let error = pipeline.send(call(Method::GET)).await.unwrap_err();
    let Error::Throttled { host, ids, .. } = &error else {
        panic!("{error:?}");
    };
    assert_eq!(host, "graph.microsoft.com");
    assert_eq!(ids.request_id.as_deref(), Some("r-1"));
    assert_eq!(error.retry_after(), Some(315 * SECOND));
    assert!(error.is_retryable());
    assert_eq!(clock.now(), before);
    assert_eq!(http.count(), 1);
}

#[tokio::test]
async fn one_429_holds_back_those_who_share_the_limit_and_nobody_else() {
    let (pipeline, http, _) = pipeline([
        Reply::new(429, "text/plain", "").header("retry-after", "60"),
        Reply::new(200, "text/plain", "b"),
        Reply::new(200, "text/plain", "unscoped"),
        Reply::new(200, "text/plain", "a"),
    ]);
    let scope = |tenant: &str| Arc::new(ThrottleScope::new("graph.microsoft.com", tenant, "app"));
    let scoped = |tenant| call(Method::GET).with_throttle_scope(scope(tenant));
    let refused = pipeline
        .clone()
        .with_retry_policy(RetryPolicy::none())
        .send(scoped("a"))
        .await;
    assert!(refused.is_err());
    let answer = pipeline.send(scoped("b")).await.unwrap();
    assert_eq!(answer.body(), "b");
    assert_eq!(
        pipeline.send(call(Method::GET)).await.unwrap().body(),
        "unscoped"
    );
    let answer = pipeline.clone().send(scoped("a")).await.unwrap();
    assert_eq!(answer.body(), "a");
    assert_eq!(waited(&http), [0, 0, 60_000]);
}

#[tokio::test]
async fn a_gate_that_stays_closed_beyond_the_deadline_fails_at_once_and_names_the_host() {
    let (pipeline, http, _) =
        pipeline([Reply::new(429, "text/plain", "").header("retry-after", "600")]);
    let scoped = || {
        let scope = ThrottleScope::new("graph.microsoft.com", "t", "app");
        call(Method::GET).with_throttle_scope(Arc::new(scope))
    };
    pipeline.send(scoped()).await.unwrap_err();
    let error = pipeline.send(scoped()).await.unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("graph.microsoft.com asks to wait 600 s"),
        "{error}"
    );
    assert_eq!(http.count(), 1);
}

#[tokio::test]
async fn an_attempt_gets_its_own_time_and_never_more_than_the_call_has_left() {
    let fails = |seconds| Reply::fails(TransportErrorKind::Timeout).after(seconds * SECOND);
    let (pipeline, http, _) = pipeline([fails(30), fails(30), fails(29), fails(11)]);
    let error = pipeline.send(call(Method::GET)).await.unwrap_err();
    assert!(matches!(&error, Error::Transport { source, .. }
        if source.kind() == TransportErrorKind::Timeout));
    let seen = http.seen();
    let deadlines: Vec<_> = seen.iter().map(|seen| seen.limits.deadline).collect();
    assert_eq!(deadlines[..3], [30 * SECOND; 3]);
    // What is left of 100 seconds after 89 and the waits between.
    assert!(deadlines[3] <= 11 * SECOND, "{deadlines:?}");
    assert_eq!(seen.len(), 4);
}

#[tokio::test]
async fn the_body_limit_reaches_the_client() {
    let (pipeline, http, _) = pipeline([
        Reply::new(200, "text/plain", ""),
        Reply::new(200, "text/plain", ""),
    ]);
    pipeline.send(call(Method::GET)).await.unwrap();
    let larger = call(Method::GET).with_body_limit(20_000_000);
    pipeline.send(larger).await.unwrap();
    let limits: Vec<_> = http.seen().iter().map(|seen| seen.limits.body).collect();
    assert_eq!(limits, [1_048_576, 20_000_000]);
}

#[tokio::test]
async fn all_attempts_of_a_call_carry_one_id_and_the_error_tells_both_sides_ids() {
    let failing = || Reply::new(503, "text/plain", "").header("request-id", "of-the-service");
    let (pipeline, http, _) = pipeline((0..6).map(|_| failing()));
    let error = pipeline.send(call(Method::GET)).await.unwrap_err();
    let ids = error.request_ids().unwrap();
    assert_eq!(ids.request_id.as_deref(), Some("of-the-service"));
    for seen in http.seen() {
        assert_eq!(
            seen.header("client-request-id"),
            Some(ids.client_request_id.as_str())
        );
        assert_eq!(seen.header("return-client-request-id"), Some("true"));
    }
    let once = pipeline.with_retry_policy(RetryPolicy::none());
    once.send(call(Method::GET)).await.unwrap_err();
    let seen = http.seen();
    assert_ne!(
        seen[0].header("client-request-id"),
        seen[5].header("client-request-id")
    );
}

#[tokio::test]
async fn a_refused_token_is_replaced_once() {
    let refused = || Reply::new(401, "application/json", "{}");
    let (pipeline, http, _) = pipeline([refused(), refused()]);
    let credential = Arc::new(Numbered::default());
    let call = call(Method::POST).with_credential(credential.clone(), TokenRequest::new(["s"]));
    let error = pipeline.send(call).await.unwrap_err();
    assert!(matches!(&error, Error::Response(response)
        if response.status == StatusCode::UNAUTHORIZED && response.attempts == 2));
    let sent: Vec<_> = http
        .seen()
        .iter()
        .map(|seen| seen.header("authorization").unwrap().to_owned())
        .collect();
    assert_eq!(sent, ["Bearer token-0", "Bearer token-1"]);
    assert_eq!(credential.log(), ["token", "invalidate token-0", "token"]);
}

#[tokio::test]
async fn a_claims_challenge_is_passed_on_to_the_credential() {
    let challenge = "Bearer realm=\"\", error=\"insufficient_claims\", claims=\"eyJhIjoxfQ==\"";
    let (pipeline, _, _) = pipeline([
        Reply::new(401, "text/plain", "").header("www-authenticate", challenge),
        Reply::new(200, "text/plain", ""),
    ]);
    let credential = Arc::new(Numbered::default());
    let call = call(Method::GET).with_credential(credential.clone(), TokenRequest::new(["s"]));
    pipeline.send(call).await.unwrap();
    assert_eq!(
        credential.log(),
        ["token", "invalidate token-0 {\"a\":1}", "token {\"a\":1}"]
    );
}

#[tokio::test]
async fn a_401_to_a_call_without_a_token_is_an_answer() {
    let (pipeline, http, _) = pipeline([Reply::new(401, "text/plain", "")]);
    pipeline.send(call(Method::GET)).await.unwrap_err();
    assert_eq!(http.count(), 1);
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_the_hint_says_what_it_means() {
    let (pipeline, http, _) =
        pipeline([Reply::new(302, "text/html", "<a>")
            .header("location", "http://portal.example/login?s=1")]);
    let error = pipeline.send(call(Method::GET)).await.unwrap_err();
    assert!(matches!(&error, Error::Response(response) if response.status == StatusCode::FOUND));
    assert!(!error.is_retryable());
    assert_eq!(
        error.admin_hint(),
        "Something answers in the place of graph.microsoft.com and redirects, most often a \
         firewall's sign-in page. Exempt graph.microsoft.com from it."
    );
    assert_eq!(http.count(), 1);
}

#[tokio::test]
async fn an_error_keeps_the_body_for_whoever_knows_the_service_and_shows_it_to_nobody() {
    let (pipeline, _, _) = pipeline([Reply::new(403, "application/json", "{\"who\":\"alice\"}")]);
    let error = pipeline.send(call(Method::GET)).await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("alice"));
    let Error::Response(response) = error else {
        panic!("{error:?}");
    };
    assert_eq!(response.body, "{\"who\":\"alice\"}");
    assert_eq!(response.content_type.as_deref(), Some("application/json"));
}

/// Yields another token after each refusal.
#[derive(Debug, Default)]
struct Numbered(Mutex<(usize, Vec<String>)>);

impl Numbered {
    fn log(&self) -> Vec<String> {
        self.0.lock().unwrap().1.clone()
    }
}

#[async_trait]
impl TokenCredential for Numbered {
    async fn token(&self, request: &TokenRequest) -> Result<AccessToken, Error> {
        let mut state = self.0.lock().unwrap();
        let claims = request.claims().map(|claims| format!(" {claims}"));
        state.1.push(format!("token{}", claims.unwrap_or_default()));
        let text = format!("token-{}", state.0);
        Ok(AccessToken::new(Secret::new(text), datetime!(2030-01-01 00:00 UTC)).unwrap())
    }

    fn invalidate(&self, request: &TokenRequest, token: &AccessToken) {
        let mut state = self.0.lock().unwrap();
        let claims = request.claims().map(|claims| format!(" {claims}"));
        let line = format!(
            "invalidate {}{}",
            token.secret().expose(),
            claims.unwrap_or_default()
        );
        state.1.push(line);
        state.0 = 1;
    }
}

fn pipeline(
    script: impl IntoIterator<Item = Reply>,
) -> (Pipeline, ScriptedHttp, Arc<MovableClock>) {
    let clock = Arc::new(MovableClock::frozen_at(datetime!(2026-01-01 00:00 UTC)));
    let http = ScriptedHttp::new(&clock, script);
    let pipeline = Pipeline::new(http.clone()).with_clock(clock.clone());
    (pipeline, http, clock)
}

fn call(method: Method) -> Call {
    let request = http::Request::builder()
        .method(method)
        .uri("https://graph.microsoft.com/v1.0/users?$top=1")
        .body(Bytes::from_static(b"{}"))
        .unwrap();
    Call::new("/users", request)
}

/// The milliseconds between the requests.
fn waited(http: &ScriptedHttp) -> Vec<i128> {
    let times: Vec<OffsetDateTime> = http.seen().iter().map(|seen| seen.at).collect();
    times
        .windows(2)
        .map(|pair| (pair[1] - pair[0]).whole_milliseconds())
        .collect()
}
