//! Every fault, as a client in the process sees it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what a test cannot do fails it"
)]

mod client;

use std::time::Duration;

use bytes::Bytes;
use client::{graph, json, token};
use entra_core::{Clock, HttpClient, Limits, TransportErrorKind};
use entra_emulator::{Emulator, Fault, FaultRule, Seed};
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{Request, Response};
use serde_json::{Value, json as value};
use time::macros::datetime;

#[tokio::test]
async fn a_throttled_call_is_429_with_or_without_a_time_to_wait() {
    let tenant = Tenant::new();
    tenant.inject(FaultRule::new("/v1.0/groups", Fault::Throttled).with_retry_after(17));
    tenant.inject(FaultRule::new("/v1.0/groups", Fault::Throttled).with_retry_after_date(90));
    tenant.inject(FaultRule::new("/v1.0/groups", Fault::Throttled));
    for retry_after in [Some("17"), Some("Thu, 01 Jan 2026 00:01:30 GMT"), None] {
        let answer = tenant
            .send("GET", "/v1.0/groups", &Value::Null)
            .await
            .unwrap();
        assert_eq!(answer.status(), 429);
        assert_eq!(json(&answer)["error"]["code"], "TooManyRequests");
        let header = answer
            .headers()
            .get(RETRY_AFTER)
            .map(|value| value.to_str().unwrap());
        assert_eq!(header, retry_after);
    }
    assert_eq!(
        tenant
            .send("GET", "/v1.0/groups", &Value::Null)
            .await
            .unwrap()
            .status(),
        200
    );
}

#[tokio::test]
async fn a_throttled_token_request_has_a_body_of_plain_text() {
    let tenant = Tenant::new();
    tenant.inject(
        FaultRule::new("POST /*/oauth2/v2.0/token", Fault::ThrottledText).with_retry_after(60),
    );
    let request = Request::post(format!(
        "/{}/oauth2/v2.0/token",
        tenant.emulator.tenant_id()
    ));
    let request = request.body(Bytes::new()).unwrap();
    let answer = tenant.emulator.send(request, LIMITS).await.unwrap();
    assert_eq!(answer.status(), 429);
    assert_eq!(answer.headers()[CONTENT_TYPE], "text/plain");
    assert_eq!(answer.headers()[RETRY_AFTER], "60");
    assert_eq!(answer.body(), "Too Many Requests");
}

#[tokio::test]
async fn a_proxy_answers_with_a_page() {
    let tenant = Tenant::new();
    tenant.inject(FaultRule::new("/", Fault::BadGatewayHtml));
    let answer = tenant
        .send("GET", "/v1.0/groups", &Value::Null)
        .await
        .unwrap();
    assert_eq!(answer.status(), 502);
    assert_eq!(answer.headers()[CONTENT_TYPE], "text/html");
    assert!(answer.body().starts_with(b"<!DOCTYPE html>"));
}

#[tokio::test]
async fn a_write_is_done_or_not_done_as_the_fault_says() {
    use TransportErrorKind::Interrupted;
    for (fault, outcome, is_done) in [
        (Fault::UnavailableBefore, Ok(503), false),
        (Fault::UnavailableAfter, Ok(503), true),
        (Fault::Throttled, Ok(429), false),
        (Fault::BadGatewayHtml, Ok(502), false),
        (Fault::Dropped, Err(Interrupted), false),
        (Fault::DroppedAfter, Err(Interrupted), true),
        (Fault::Truncated, Err(Interrupted), true),
    ] {
        let tenant = Tenant::new();
        tenant.inject(FaultRule::new("POST /v1.0/applications", fault));
        let body = value!({"displayName": "Written"});
        let answer = tenant.send("POST", "/v1.0/applications", &body).await;
        let seen = answer.map(|answer| answer.status().as_u16());
        assert_eq!(seen.map_err(|error| error.kind()), outcome, "{fault:?}");

        let listed = "/v1.0/applications?$filter=displayName%20eq%20'Written'";
        let answer = tenant.send("GET", listed, &Value::Null).await.unwrap();
        let found = json(&answer)["value"].as_array().unwrap().len();
        assert_eq!(found, usize::from(is_done), "{fault:?}");
    }
}

#[tokio::test]
async fn an_answer_larger_than_the_limit_is_not_read() {
    let tenant = Tenant::new();
    tenant.inject(FaultRule::new("/v1.0/groups", Fault::Oversized));
    let error = tenant
        .send("GET", "/v1.0/groups", &Value::Null)
        .await
        .unwrap_err();
    assert_eq!(
        error.kind(),
        TransportErrorKind::BodyTooLarge { limit: 1 << 20 }
    );
}

#[tokio::test]
async fn a_late_answer_moves_a_frozen_clock_and_respects_the_deadline() {
    let tenant = Tenant::new();
    tenant.inject(FaultRule::new(
        "/v1.0/groups",
        Fault::Latency {
            milliseconds: 9_000,
        },
    ));
    tenant.inject(FaultRule::new(
        "/v1.0/groups",
        Fault::Latency {
            milliseconds: 10_001,
        },
    ));
    let answer = tenant
        .send("GET", "/v1.0/groups", &Value::Null)
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(
        tenant.emulator.clock().now(),
        datetime!(2026-01-01 00:00:09 UTC)
    );
    let error = tenant
        .send("GET", "/v1.0/groups", &Value::Null)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Timeout);
    assert_eq!(
        tenant.emulator.clock().now(),
        datetime!(2026-01-01 00:00:19 UTC)
    );
}

#[tokio::test]
async fn a_stale_replica_has_not_seen_the_last_write() {
    let tenant = Tenant::with(Seed::new());
    let body = value!({"displayName": "Fresh"});
    let answer = tenant
        .send("POST", "/v1.0/applications", &body)
        .await
        .unwrap();
    assert_eq!(answer.status(), 201);
    let path = format!(
        "/v1.0/applications/{}",
        json(&answer)["id"].as_str().unwrap()
    );
    tenant.inject(FaultRule::new("GET /v1.0/applications", Fault::StaleReplica).with_times(3));
    for _ in 0..3 {
        assert_eq!(
            tenant
                .send("GET", &path, &Value::Null)
                .await
                .unwrap()
                .status(),
            404
        );
    }
}

#[tokio::test]
async fn a_fault_shows_in_the_journal_and_leaves_other_paths_alone() {
    let tenant = Tenant::new();
    tenant.emulator.journal().clear();
    tenant.inject(FaultRule::new("/v1.0/groups", Fault::Dropped));
    assert_eq!(
        tenant
            .send("GET", "/v1.0/users?$top=1", &Value::Null)
            .await
            .unwrap()
            .status(),
        200
    );
    tenant
        .send("GET", "/v1.0/groups", &Value::Null)
        .await
        .unwrap_err();
    let entries = tenant.emulator.journal().entries();
    let seen: Vec<_> = entries
        .iter()
        .map(|entry| (entry.path.as_str(), entry.status, entry.fault))
        .collect();
    assert_eq!(
        seen,
        [
            ("/v1.0/users", Some(200), None),
            ("/v1.0/groups", None, Some(Fault::Dropped))
        ]
    );
}

#[test]
fn a_call_without_a_connection_leaves_faults_of_the_connection_for_later() {
    let tenant = Tenant::new();
    let rule = FaultRule::new("/v1.0/groups", Fault::Dropped);
    tenant.inject(rule.clone());
    let request = graph(&tenant.token, "GET", "/v1.0/groups", &Value::Null);
    assert_eq!(tenant.emulator.handle(&request).status(), 200);
    assert_eq!(tenant.emulator.faults().pending(), [rule]);
}

struct Tenant {
    emulator: Emulator,
    token: String,
}

impl Tenant {
    fn new() -> Self {
        Self::with(Seed::new().with_replication_delay(Duration::ZERO))
    }

    fn with(seed: Seed) -> Self {
        let emulator = Emulator::new(seed);
        let token = token(&emulator, &emulator.setup_app());
        Self { emulator, token }
    }

    fn inject(&self, rule: FaultRule) {
        self.emulator.faults().inject(rule).unwrap();
    }

    async fn send(
        &self,
        method: &str,
        path: &str,
        body: &Value,
    ) -> Result<Response<Bytes>, entra_core::TransportError> {
        let request = graph(&self.token, method, path, body);
        self.emulator.send(request, LIMITS).await
    }
}

const LIMITS: Limits = Limits {
    body: 1 << 20,
    deadline: Duration::from_secs(10),
};
