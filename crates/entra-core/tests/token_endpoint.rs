//! What the token endpoint answers, and what becomes of it.

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

use bytes::Bytes;
use entra_core::{
    AccessToken, Authority, ClientCredential, ClientId, ClientSecret, Cloud, ConfidentialClient,
    Error, MovableClock, Pipeline, RetryClass, RetryPolicy, Tenant, TokenError, TokenErrorKind,
    TokenRequest,
};
use http::StatusCode;
use scripted::{Reply, ScriptedHttp};
use serde_json::json;
use time::macros::datetime;

#[tokio::test]
async fn a_refusal_is_read_whole() {
    let body = json!({
        "error": "invalid_client",
        "error_description": "AADSTS7000222: The provided client secret keys for app '1111' are expired. Visit the Azure portal. Trace ID: 7f3c6f5e-0000-4000-8000-000000000001 Correlation ID: 7f3c6f5e-0000-4000-8000-000000000002 Timestamp: 2026-01-01 00:00:00Z",
        "error_codes": [7_000_222],
        "timestamp": "2026-01-01 00:00:00Z",
        "trace_id": "7f3c6f5e-0000-4000-8000-000000000001",
        "correlation_id": "7f3c6f5e-0000-4000-8000-000000000002",
        "error_uri": "https://login.microsoftonline.com/error?code=7000222",
    });
    let error = answer(Reply::json(401, &body)).await.unwrap_err();
    let token_error = refused(&error);
    assert_eq!(token_error.status, StatusCode::UNAUTHORIZED);
    assert_eq!(token_error.codes, [7_000_222]);
    assert_eq!(token_error.kind(), TokenErrorKind::SecretExpired);
    assert_eq!(token_error.class(), RetryClass::Credential);
    assert_eq!(
        token_error.timestamp.as_deref(),
        Some("2026-01-01 00:00:00Z")
    );
    assert_eq!(
        token_error.correlation_id.as_deref(),
        Some("7f3c6f5e-0000-4000-8000-000000000002")
    );
    let ids = error.request_ids().unwrap();
    assert_eq!(
        ids.request_id.as_deref(),
        Some("7f3c6f5e-0000-4000-8000-000000000001")
    );
    assert_eq!(
        token_error.to_string(),
        format!(
            "invalid_client: AADSTS7000222: The provided client secret keys for app '1111' are \
             expired. Visit the Azure portal. ({ids})"
        )
    );
    assert!(error.admin_hint().starts_with("The client secret expired."));
    assert!(!error.is_retryable());
}

#[tokio::test]
async fn the_code_explains_and_the_rest_decides_where_it_is_unknown() {
    use RetryClass::{
        AdminAction, Configuration, Credential, Throttled, Transient, UserInteraction,
    };
    use TokenErrorKind as Kind;
    for (status, error, codes, kind, class) in [
        (
            401,
            "invalid_client",
            json!([7_000_215]),
            Kind::SecretInvalid,
            Credential,
        ),
        (
            401,
            "invalid_client",
            json!([700_027]),
            Kind::CertificateNotRegistered,
            Credential,
        ),
        (
            401,
            "invalid_client",
            json!([7_000_277]),
            Kind::CertificateRevoked,
            Credential,
        ),
        (
            400,
            "unauthorized_client",
            json!([700_016]),
            Kind::AppNotFound,
            AdminAction,
        ),
        (
            400,
            "invalid_request",
            json!([90_002]),
            Kind::TenantNotFound,
            Configuration,
        ),
        (
            400,
            "invalid_request",
            json!([900_023]),
            Kind::TenantNotFound,
            Configuration,
        ),
        // The first known one of several counts.
        (
            400,
            "invalid_grant",
            json!([1, 53_003]),
            Kind::ConditionalAccess,
            AdminAction,
        ),
        // Numbers as text; what is no number is passed over.
        (
            401,
            "invalid_client",
            json!(["7000222"]),
            Kind::SecretExpired,
            Credential,
        ),
        (
            401,
            "invalid_client",
            json!([null, -1, 7_000_222]),
            Kind::SecretExpired,
            Credential,
        ),
        (
            401,
            "invalid_client",
            json!("7000222"),
            Kind::Other,
            Credential,
        ),
        (
            401,
            "invalid_client",
            json!([99_999_999_999_u64]),
            Kind::Other,
            Credential,
        ),
        // No known code at all.
        (401, "invalid_client", json!([]), Kind::Other, Credential),
        (
            400,
            "unauthorized_client",
            json!(null),
            Kind::Other,
            AdminAction,
        ),
        (
            400,
            "invalid_grant",
            json!([4711]),
            Kind::Other,
            UserInteraction,
        ),
        (
            400,
            "interaction_required",
            json!([4711]),
            Kind::Other,
            UserInteraction,
        ),
        (
            400,
            "invalid_scope",
            json!([4711]),
            Kind::Other,
            Configuration,
        ),
        (
            400,
            "something_new",
            json!([4711]),
            Kind::Other,
            Configuration,
        ),
        (
            400,
            "temporarily_unavailable",
            json!([4711]),
            Kind::Other,
            Transient,
        ),
        (
            500,
            "something_new",
            json!([4711]),
            Kind::ServiceUnavailable,
            Transient,
        ),
        (
            429,
            "something_new",
            json!([4711]),
            Kind::Throttled,
            Throttled,
        ),
        (
            429,
            "invalid_client",
            json!([7_000_222]),
            Kind::SecretExpired,
            Throttled,
        ),
    ] {
        let body = json!({"error": error, "error_codes": codes});
        let outcome = answer(Reply::json(status, &body)).await.unwrap_err();
        let refusal = refused(&outcome);
        assert_eq!(
            (refusal.kind(), refusal.class()),
            (kind, class),
            "{status} {body}"
        );
        assert_eq!(
            outcome.is_retryable(),
            matches!(class, Transient | Throttled),
            "{status} {body}"
        );
        assert!(outcome.admin_hint().ends_with('.'));
    }
}

#[tokio::test]
async fn codes_are_found_in_the_description_where_they_stand_nowhere_else() {
    for (body, codes) in [
        (
            json!({"error": "e", "error_description": "AADSTS700016: no app"}),
            vec![700_016],
        ),
        (
            json!({"error": "e", "error_codes": null, "error_description": "AADSTS50000: see AADSTS7000277."}),
            vec![50_000, 7_000_277],
        ),
        (json!({"error": "e", "error_description": null}), vec![]),
        (json!({"error": "e"}), vec![]),
    ] {
        let error = answer(Reply::json(400, &body)).await.unwrap_err();
        assert_eq!(refused(&error).codes, codes, "{body}");
    }
}

#[tokio::test]
async fn a_claims_request_and_a_suberror_are_kept() {
    let body = json!({"error": "invalid_grant", "suberror": "basic_action", "claims": "{\"a\":1}"});
    let error = answer(Reply::json(400, &body)).await.unwrap_err();
    assert_eq!(refused(&error).suberror.as_deref(), Some("basic_action"));
    assert_eq!(refused(&error).claims.as_deref(), Some("{\"a\":1}"));
}

#[tokio::test]
async fn a_refusal_that_is_no_json_is_named_with_its_status() {
    for (status, content_type, body, message, retryable) in [
        (
            502,
            "text/html",
            "<html>Bad Gateway</html>",
            "login.microsoftonline.com answered 502 Bad Gateway with text/html that cannot be read",
            true,
        ),
        (
            403,
            "text/html; charset=utf-8",
            "<html>Blocked</html>",
            "login.microsoftonline.com answered 403 Forbidden with text/html; charset=utf-8 that cannot be read",
            false,
        ),
        (
            400,
            "application/json",
            "{\"error\":\"invalid_cl",
            "login.microsoftonline.com answered 400 Bad Request with application/json that cannot be read",
            false,
        ),
        (
            400,
            "application/json",
            "",
            "login.microsoftonline.com answered 400 Bad Request with application/json that cannot be read",
            false,
        ),
        (
            400,
            "application/json",
            "{\"error\":{\"code\":\"x\"}}",
            "login.microsoftonline.com answered 400 Bad Request with application/json that cannot be read",
            false,
        ),
    ] {
        let reply = Reply::new(status, content_type, body).header("x-ms-request-id", "r-1");
        let error = answer(reply).await.unwrap_err();
        assert!(matches!(error, Error::Malformed { .. }), "{error:?}");
        assert!(error.to_string().starts_with(message), "{error}");
        assert_eq!(error.is_retryable(), retryable, "{error}");
        assert_eq!(
            error.request_ids().unwrap().request_id.as_deref(),
            Some("r-1")
        );
    }
}

#[tokio::test]
async fn a_throttled_request_is_answered_in_plain_text() {
    for (retry_after, expected) in [(Some("17"), 17), (None, 60)] {
        let mut reply = Reply::new(429, "text/plain", "Too Many Requests");
        if let Some(seconds) = retry_after {
            reply = reply.header("retry-after", seconds);
        }
        let error = answer(reply).await.unwrap_err();
        assert!(matches!(error, Error::Throttled { .. }), "{error:?}");
        assert_eq!(error.retry_after(), Some(Duration::from_secs(expected)));
    }
}

#[tokio::test]
async fn a_success_that_holds_no_usable_token_is_malformed_and_not_quoted() {
    const TOKEN: &str = "eyJ0eXAi.canary.c2ln";
    for body in [
        "<html>Sign in to the hotel</html>".to_owned(),
        String::new(),
        "null".to_owned(),
        format!("\"{TOKEN}\""),
        format!("[\"{TOKEN}\"]"),
        format!("{{\"token_type\":\"Bearer\",\"expires_in\":3599,\"access_token\":\"{TOKEN}"),
        json!({"token_type": "Bearer", "access_token": TOKEN}).to_string(),
        json!({"token_type": "Bearer", "expires_in": 3599}).to_string(),
        json!({"expires_in": 3599, "access_token": TOKEN}).to_string(),
        json!({"token_type": "pop", "expires_in": 3599, "access_token": TOKEN}).to_string(),
        json!({"token_type": TOKEN, "expires_in": 3599, "access_token": TOKEN}).to_string(),
        json!({"token_type": "Bearer", "expires_in": TOKEN, "access_token": TOKEN}).to_string(),
        json!({"token_type": "Bearer", "expires_in": -1, "access_token": TOKEN}).to_string(),
        json!({"token_type": "Bearer", "expires_in": u64::MAX, "access_token": TOKEN}).to_string(),
        json!({"token_type": "Bearer", "expires_in": 1, "access_token": [TOKEN]}).to_string(),
        json!({"token_type": "Bearer", "expires_in": 1, "access_token": format!("{TOKEN}\r\nx: y")})
            .to_string(),
        json!({"token_type": "Bearer", "expires_in": 1, "access_token": format!("{TOKEN}\u{0}")})
            .to_string(),
    ] {
        let reply = Reply::new(200, "application/json", body.clone());
        let error = answer(reply).await.unwrap_err();
        assert!(matches!(error, Error::Malformed { .. }), "{body}: {error:?}");
        assert!(!chain(&error).contains("canary"), "{}", chain(&error));
    }
}

#[tokio::test]
async fn numbers_may_come_as_text_and_the_type_in_any_case() {
    let body = json!({
        "token_type": "bearer",
        "expires_in": "3599",
        "ext_expires_in": "3599",
        "refresh_in": "1800",
        "access_token": "t1",
    });
    let token = answer(Reply::json(200, &body)).await.unwrap();
    assert_eq!(token.expires_on(), datetime!(2026-01-01 00:59:59 UTC));
    assert_eq!(token.refresh_on(), Some(datetime!(2026-01-01 00:30 UTC)));
}

#[tokio::test]
async fn an_answer_with_the_mark_of_a_windows_editor_is_named_as_unreadable() {
    let body = Bytes::from_static(b"\xef\xbb\xbf{\"error\":\"invalid_client\"}");
    let error = answer(Reply::new(400, "application/json", body))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Malformed { .. }));
    assert!(
        chain(&error).contains("not JSON at line 1"),
        "{}",
        chain(&error)
    );
}

/// One attempt at a token that is answered so.
async fn answer(reply: Reply) -> Result<AccessToken, Error> {
    let clock = Arc::new(MovableClock::frozen_at(datetime!(2026-01-01 00:00 UTC)));
    let http = ScriptedHttp::new(&clock, [reply]);
    let client = ConfidentialClient::new(
        Authority::new(Cloud::public(), Tenant::parse("contoso.com").unwrap()),
        ClientId::parse("11111111-2222-4333-8444-555555555555").unwrap(),
        ClientCredential::secret(ClientSecret::parse("s3cr3t~value").unwrap()),
        Pipeline::new(http)
            .with_clock(clock)
            .with_retry_policy(RetryPolicy::none()),
    )
    .unwrap();
    client.token(&TokenRequest::new(["s"])).await
}

fn refused(error: &Error) -> &TokenError {
    match error {
        Error::Token(error) => error,
        other => panic!("{other:?}"),
    }
}

/// All that an error shows.
fn chain(error: &Error) -> String {
    let mut text = format!("{error:?}\n{error}\n{}", error.admin_hint());
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(&format!("\n{cause}\n{cause:?}"));
        source = cause.source();
    }
    text
}
