//! The control interface: clock, journal, faults, reset, and what it refuses.
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
use entra_core::Clock;
use entra_emulator::{Emulator, Seed};
use http::{Request, Response};
use serde_json::{Value, json as value};
use time::macros::datetime;

#[test]
fn the_clock_is_read_and_moved() {
    let emulator = Emulator::new(Seed::new());
    assert_eq!(
        json(&call(&emulator, "GET", "/clock", "")),
        value!({"now": "2026-01-01T00:00:00Z"})
    );
    let answer = call(&emulator, "POST", "/clock", r#"{"advance_seconds": 86400}"#);
    assert_eq!(answer.status(), 200);
    assert_eq!(json(&answer), value!({"now": "2026-01-02T00:00:00Z"}));
    assert_eq!(emulator.clock().now(), datetime!(2026-01-02 00:00 UTC));
}

#[test]
fn the_clock_stops_while_dates_can_still_be_written() {
    let emulator = Emulator::new(Seed::new());
    let far = format!(r#"{{"advance_seconds": {}}}"#, u32::MAX);
    let last = (0..100)
        .map(|_| call(&emulator, "POST", "/clock", &far))
        .find(|answer| answer.status() != 200)
        .unwrap();
    assert_eq!(last.status(), 400);
    assert_eq!(
        json(&last)["error"],
        "the tenant's clock ends with the year 9000"
    );
    let body = r#"[{"path": "/v1.0/users", "fault": "throttled", "retry_after": 4294967295,
        "retry_after_as_date": true}]"#;
    assert_eq!(call(&emulator, "POST", "/faults", body).status(), 200);
    let answer = emulator.handle(&graph("x", "GET", "/v1.0/users", &Value::Null));
    assert_eq!(answer.status(), 429);
    assert!(answer.headers().contains_key("retry-after"));
}

#[test]
fn the_journal_names_the_caller_and_the_permission_and_no_secret() {
    let emulator = Emulator::new(Seed::new());
    let app = emulator.setup_app();
    let token = token(&emulator, &app);
    let request = graph(&token, "GET", "/v1.0/users?$top=1&$select=id", &Value::Null);
    assert_eq!(emulator.handle(&request).status(), 200);
    let request = Request::get("/common/oauth2/v2.0/authorize?code=canary").body(Bytes::new());
    assert_eq!(emulator.handle(&request.unwrap()).status(), 400);

    let journal = json(&call(&emulator, "GET", "/journal", ""));
    let path = format!("/{}/oauth2/v2.0/token", emulator.tenant_id());
    let entry = |method: &str, path: &str, query: Value, status: u16, caller: Value| {
        value!({
            "time": "2026-01-01T00:00:00Z", "method": method, "path": path, "query": query,
            "status": status, "caller": caller, "permission": null, "fault": null,
        })
    };
    let mut read = entry(
        "GET",
        "/v1.0/users",
        value!("$top=1&$select=id"),
        200,
        value!(app.client_id),
    );
    read["permission"] = journal["value"][1]["permission"].clone();
    assert!(
        read["permission"]
            .as_str()
            .is_some_and(|name| name.starts_with("User.Read"))
    );
    assert_eq!(
        journal["value"],
        value!([
            entry("POST", &path, Value::Null, 200, value!(app.client_id)),
            read,
            entry(
                "GET",
                "/common/oauth2/v2.0/authorize",
                Value::Null,
                400,
                Value::Null
            ),
        ])
    );
    assert_eq!(emulator.journal().count("GET", "/v1.0/users"), 1);

    assert_eq!(
        json(&call(&emulator, "DELETE", "/journal", "")),
        value!({"value": []})
    );
    assert_eq!(emulator.journal().entries(), []);
}

#[test]
fn faults_are_listed_added_and_removed() {
    let emulator = Emulator::new(Seed::new());
    let body = r#"[
        {"path": "/v1.0/users", "fault": "throttled", "retry_after": 5},
        {"path": "GET /v1.0/*", "times": 3, "fault": {"latency": {"milliseconds": 20}}}
    ]"#;
    let faults = json(&call(&emulator, "POST", "/faults", body));
    let expected = value!({"value": [
        {"path": "/v1.0/users", "times": 1, "fault": "throttled", "retry_after": 5},
        {"path": "GET /v1.0/*", "times": 3, "fault": {"latency": {"milliseconds": 20}}},
    ]});
    assert_eq!(faults, expected);
    assert_eq!(json(&call(&emulator, "GET", "/faults", "")), expected);
    assert_eq!(
        json(&call(&emulator, "DELETE", "/faults", "")),
        value!({"value": []})
    );
    assert_eq!(emulator.faults().pending(), []);
}

#[test]
fn a_request_that_cannot_be_used_changes_nothing_and_says_why() {
    let emulator = Emulator::new(Seed::new());
    for (method, path, body, status, reason) in [
        ("POST", "/clock", "", 400, "the body cannot be used"),
        (
            "POST",
            "/clock",
            "{}",
            400,
            "missing field `advance_seconds`",
        ),
        (
            "POST",
            "/clock",
            r#"{"advance_seconds": -1}"#,
            400,
            "invalid value",
        ),
        (
            "POST",
            "/clock",
            r#"{"advance_seconds": 1, "by": 2}"#,
            400,
            "unknown field `by`",
        ),
        (
            "POST",
            "/faults",
            r#"{"path": "/"}"#,
            400,
            "the body cannot be used",
        ),
        (
            "POST",
            "/faults",
            r#"[{"path": "/", "fault": "fire"}]"#,
            400,
            "unknown variant `fire`",
        ),
        (
            "POST",
            "/faults",
            r#"[{"path": "/", "fault": "dropped"}, {"path": "x", "fault": "dropped"}]"#,
            400,
            "starts with / or *",
        ),
        (
            "POST",
            "/faults",
            r#"[{"path": "/", "fault": "dropped", "times": 0}]"#,
            400,
            "at least once",
        ),
        (
            "POST",
            "/faults",
            r#"[{"path": "/", "fault": "dropped", "retry_after": 3}]"#,
            400,
            "429, 502, 503 or an AADSTS code",
        ),
        (
            "POST",
            "/faults",
            r#"[{"path": "/", "fault": "throttled", "retry_after_as_date": true}]"#,
            400,
            "needs \"retry_after\"",
        ),
        ("PUT", "/clock", "", 405, "does not take PUT"),
        ("GET", "/reset", "", 405, "does not take GET"),
        ("GET", "/nothing", "", 404, "is not there"),
        ("GET", "", "", 404, "is not there"),
    ] {
        let answer = call(&emulator, method, path, body);
        let text = json(&answer);
        assert_eq!(answer.status(), status, "{method} {path} {body}");
        let error = text["error"].as_str().unwrap();
        assert!(error.contains(reason), "{method} {path} {body}: {error}");
    }
    assert_eq!(emulator.clock().now(), datetime!(2026-01-01 00:00 UTC));
    assert_eq!(emulator.faults().pending(), []);
}

#[test]
fn a_reset_puts_the_content_back_and_keeps_ids_and_secrets() {
    let emulator = Emulator::new(Seed::new().with_replication_delay(Duration::ZERO));
    let app = emulator.setup_app();
    let before = token(&emulator, &app);
    let body = value!({"displayName": "Gone after the reset"});
    let created = emulator.handle(&graph(&before, "POST", "/v1.0/applications", &body));
    let path = format!(
        "/v1.0/applications/{}",
        json(&created)["id"].as_str().unwrap()
    );
    let read = graph(&before, "GET", &path, &Value::Null);
    assert_eq!(emulator.handle(&read).status(), 200);
    emulator.advance(Duration::from_secs(60));
    call(
        &emulator,
        "POST",
        "/faults",
        r#"[{"path": "/", "fault": "dropped"}]"#,
    );

    let answer = call(&emulator, "POST", "/reset", "");
    assert_eq!(json(&answer), value!({"now": "2026-01-01T00:01:00Z"}));
    assert_eq!(emulator.faults().pending(), []);
    assert_eq!(emulator.journal().entries(), []);
    assert_eq!(emulator.handle(&read).status(), 404);
    assert_eq!(emulator.setup_app().client_id, app.client_id);
    token(&emulator, &app);
}

#[test]
fn nothing_that_is_shown_of_a_tenant_holds_a_secret() {
    let emulator = Emulator::new(Seed::new());
    let app = emulator.setup_app();
    let token = token(&emulator, &app);
    let user = emulator.users().remove(0);
    let shown = format!(
        "{emulator:?} {emulator:#?} {app:?} {user:?} {:?}",
        emulator.journal().entries()
    );
    for secret in [app.client_secret.expose(), user.password.expose(), &token] {
        assert!(!shown.contains(secret));
    }
    assert!(shown.contains(&app.client_id));
}

fn call(emulator: &Emulator, method: &str, path: &str, body: &str) -> Response<Bytes> {
    let request = Request::builder()
        .method(method)
        .uri(format!("/_emulator{path}"))
        .body(Bytes::copy_from_slice(body.as_bytes()));
    emulator.handle(&request.unwrap())
}
