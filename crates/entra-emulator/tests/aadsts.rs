//! Every AADSTS code that entra-core explains, as a client meets it at the token endpoint.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

mod client;

use std::collections::HashMap;
use std::time::Duration;

use RetryClass::{AdminAction, Configuration, Credential, Throttled, Transient, UserInteraction};
use TokenErrorKind as Kind;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use client::{graph, json, token};
use entra_core::{
    Authority, ClientCredential, ClientId, ClientSecret, Clock, ConfidentialClient, Error,
    MovableClock, Pipeline, RetryClass, Tenant, TokenError, TokenErrorKind, TokenRequest,
    aadsts_codes,
};
use entra_emulator::{Emulator, Fault, FaultRule, FaultRuleError, Seed};
use http::Request;
use http::header::WWW_AUTHENTICATE;
use serde_json::{Value, json as value};
use time::macros::datetime;

/// What each code means and what to do about it: not what the code under test says, but what
/// Microsoft Learn, "Microsoft Entra authentication and authorization error codes", and users say.
const EXPECTED: &[(&[u32], TokenErrorKind, RetryClass)] = &[
    (&[7000222], Kind::SecretExpired, Credential),
    (&[7000215, 70002], Kind::SecretInvalid, Credential),
    (&[7000216, 7000218], Kind::CredentialMissing, Configuration),
    (&[700025], Kind::PublicClientWithSecret, Configuration),
    (&[700027], Kind::CertificateNotRegistered, Credential),
    (&[7000274], Kind::AssertionSignature, Credential),
    (&[7000214, 7000277], Kind::CertificateRevoked, Credential),
    (&[1000502], Kind::CertificateExpired, Credential),
    (&[700024], Kind::ClockSkew, Configuration),
    (
        &[700030, 50012],
        Kind::CertificateNotAuthorized,
        AdminAction,
    ),
    (
        &[50013, 500133],
        Kind::UserAssertionExpired,
        UserInteraction,
    ),
    (&[500131], Kind::UserAssertionAudience, Configuration),
    (&[7000112], Kind::AppDisabled, AdminAction),
    (
        &[70001, 700011, 700016, 7000229],
        Kind::AppNotFound,
        AdminAction,
    ),
    (
        &[90002, 900023, 90019, 50059],
        Kind::TenantNotFound,
        Configuration,
    ),
    (&[90038, 900382, 900432], Kind::WrongCloud, Configuration),
    (&[50194, 9001023], Kind::SingleTenantApp, Configuration),
    (
        &[65001, 90094, 90095, 650056, 90008],
        Kind::ConsentRequired,
        AdminAction,
    ),
    (&[65004], Kind::ConsentDeclined, UserInteraction),
    (
        &[650057, 500011, 50001, 650052, 650053, 650054, 65005],
        Kind::ResourceNotAvailable,
        AdminAction,
    ),
    (
        &[70011, 700022, 28002, 900144, 50027, 1002012],
        Kind::InvalidRequest,
        Configuration,
    ),
    (
        &[
            50011, 500112, 700054, 70005, 9002313, 9002326, 9002327, 900971,
        ],
        Kind::RegistrationMismatch,
        AdminAction,
    ),
    (&[50105], Kind::UserNotAssigned, AdminAction),
    (
        &[50020, 50034, 51004, 50014, 90072, 16000, 16003],
        Kind::UserNotInTenant,
        AdminAction,
    ),
    (&[50057], Kind::UserDisabled, AdminAction),
    (
        &[50055, 50144, 50126, 50053],
        Kind::UserPassword,
        UserInteraction,
    ),
    (
        &[50076, 50079, 50072, 50074, 50078, 50158],
        Kind::MfaRequired,
        UserInteraction,
    ),
    (
        &[53000, 53001, 53002, 50097, 50129, 50131, 50005],
        Kind::DevicePolicy,
        UserInteraction,
    ),
    (
        &[53003, 530032, 53004, 53011, 530035],
        Kind::ConditionalAccess,
        AdminAction,
    ),
    (
        &[
            50173, 50132, 50133, 70043, 70008, 700082, 700084, 50089, 70000,
        ],
        Kind::SessionExpired,
        UserInteraction,
    ),
    (
        &[54005, 501481, 700005, 70003],
        Kind::AuthCodeInvalid,
        UserInteraction,
    ),
    (&[70016], Kind::AuthorizationPending, UserInteraction),
    (
        &[70018, 70019, 70020],
        Kind::DeviceCodeExpired,
        UserInteraction,
    ),
    (&[50196], Kind::ClientLoop, Throttled),
    (&[90055], Kind::Throttled, Throttled),
    (
        &[
            90033, 90006, 90024, 90090, 50033, 50087, 90012, 40010, 80005,
        ],
        Kind::ServiceUnavailable,
        Transient,
    ),
    (&[90036, 90092, 50000], Kind::ServiceError, Configuration),
    (
        &[500021, 500022, 500212, 500213, 50002],
        Kind::TenantPolicy,
        AdminAction,
    ),
    (&[100007], Kind::RegionalNotAllowed, Configuration),
    (&[7000114], Kind::OboNotAllowed, AdminAction),
    (
        &[
            700229, 70021, 70025, 700211, 700212, 700213, 700214, 7000272, 7002137, 7002138,
        ],
        Kind::FederatedCredential,
        AdminAction,
    ),
];

#[tokio::test]
async fn every_code_is_explained_by_the_client_that_meets_it() {
    let expected: HashMap<u32, (TokenErrorKind, RetryClass)> = EXPECTED
        .iter()
        .flat_map(|(codes, kind, class)| codes.iter().map(|code| (*code, (*kind, *class))))
        .collect();
    let mut codes: Vec<u32> = aadsts_codes().map(|(code, _)| code).collect();
    assert_eq!(codes.len(), expected.len());
    codes.sort_unstable();
    let tenant = tenant();
    for code in codes {
        let error = refusal(&tenant, Fault::Aadsts(code)).await;
        let (kind, class) = expected[&code];
        assert_eq!(error.codes, [code]);
        assert_eq!((error.kind(), error.class()), (kind, class), "{code}");
        let passes = matches!(class, Transient | Throttled);
        assert_eq!(error.is_retryable(), passes, "{code}");
        assert!(error.admin_hint().len() > 20, "{code}");
        let start = format!("AADSTS{code}: ");
        assert!(error.description.starts_with(&start), "{code}");
        assert!(error.trace_id.is_some() && error.correlation_id.is_some());
        assert_eq!(error.timestamp.as_deref().map(str::len), Some(20), "{code}");
    }
}

/// Class and retry follow `error`; the code stays to be read.
#[tokio::test]
async fn a_code_that_is_not_explained_counts_as_its_error() {
    let error = refusal(&tenant(), Fault::Aadsts(50_166)).await;
    assert_eq!(error.error, "invalid_request");
    assert_eq!(error.codes, [50_166]);
    assert_eq!(error.kind(), Kind::Other);
    assert_eq!(error.class(), Configuration);
}

#[tokio::test]
async fn a_policy_says_which_claims_to_ask_for() {
    for (code, error, suberror) in [
        (50_076, "interaction_required", "basic_action"),
        (50_097, "interaction_required", "additional_action"),
        (53_003, "invalid_grant", "message_only"),
    ] {
        let refusal = refusal(&tenant(), Fault::Aadsts(code)).await;
        assert_eq!(refusal.error, error);
        assert_eq!(refusal.suberror.as_deref(), Some(suberror));
        let claims: Value = serde_json::from_str(&refusal.claims.unwrap()).unwrap();
        let policy = &claims["access_token"]["capolids"]["values"][0];
        assert_eq!(policy.as_str().unwrap().len(), 36);
    }
    let consent = refusal(&tenant(), Fault::Aadsts(65_001)).await;
    assert_eq!(consent.suberror.as_deref(), Some("consent_required"));
    assert_eq!(consent.claims, None);
}

#[tokio::test]
async fn an_authentication_context_needs_a_person() {
    let tenant = tenant();
    let error = refusal(&tenant, Fault::AuthenticationContext(1)).await;
    assert_eq!(error.error, "interaction_required");
    assert_eq!(error.suberror.as_deref(), Some("basic_action"));
    assert_eq!(error.class(), UserInteraction);
    let claims = r#"{"access_token":{"acrs":{"essential":true,"value":"c1"}}}"#;
    assert_eq!(error.claims.as_deref(), Some(claims));

    let own = token(&tenant, &tenant.setup_app());
    let rule = FaultRule::new("/v1.0/groups", Fault::AuthenticationContext(1));
    tenant.faults().inject(rule).unwrap();
    let answer = tenant.handle(&graph(&own, "GET", "/v1.0/groups", &Value::Null));
    assert_eq!(answer.status(), 401);
    let header = answer.headers()[WWW_AUTHENTICATE].to_str().unwrap();
    let expected = format!(
        "error=\"insufficient_claims\", claims=\"{}\"",
        STANDARD.encode(claims)
    );
    assert!(header.ends_with(&expected), "{header}");
}

#[test]
fn a_code_goes_to_token_requests_alone() {
    let tenant = tenant();
    let rule = FaultRule::new("*", Fault::Aadsts(50_196));
    tenant.faults().inject(rule.clone()).unwrap();
    let keys = format!("/{}/discovery/v2.0/keys", tenant.tenant_id());
    let answer = tenant.handle(&Request::get(keys).body(Bytes::new()).unwrap());
    assert_eq!(answer.status(), 200);
    assert_eq!(tenant.faults().pending(), [rule]);
}

#[test]
fn a_fault_with_a_code_or_a_context_that_is_none_is_refused() {
    let faults = tenant().faults();
    for (fault, error) in [
        (Fault::Aadsts(12), FaultRuleError::Code { found: 12 }),
        (
            Fault::AuthenticationContext(0),
            FaultRuleError::Context { found: 0 },
        ),
        (
            Fault::AuthenticationContext(100),
            FaultRuleError::Context { found: 100 },
        ),
    ] {
        assert_eq!(faults.inject(FaultRule::new("*", fault)), Err(error));
    }
}

#[test]
fn a_code_is_ordered_over_http() {
    let tenant = tenant();
    let body = r#"[{"path": "POST /", "fault": {"aadsts": 50196}, "retry_after": 30}]"#;
    let request = Request::post("/_emulator/faults").body(Bytes::from(body));
    assert_eq!(tenant.handle(&request.unwrap()).status(), 200);
    let path = format!("/{}/oauth2/v2.0/token", tenant.tenant_id());
    let answer = tenant.handle(&Request::post(path).body(Bytes::new()).unwrap());
    assert_eq!(answer.status(), 400);
    assert_eq!(answer.headers()["retry-after"], "30");
    let answer = json(&answer);
    assert_eq!(answer["error_codes"], value!([50_196]));
    assert_eq!(answer["error_uri"], "https://localhost/error?code=50196");
}

/// Rows of a bad network: each ends in an error that says what happened, within bounded time.
#[tokio::test]
async fn a_bad_network_ends_in_a_typed_error_in_bounded_time() {
    for (fault, expected) in [
        (Fault::ThrottledText, "throttled"),
        (Fault::Throttled, "token"),
        (Fault::UnavailableBefore, "token"),
        (Fault::BadGatewayHtml, "malformed"),
        (Fault::Dropped, "transport"),
        (Fault::DroppedAfter, "transport"),
        (Fault::Truncated, "transport"),
        (Fault::Oversized, "transport"),
        (
            Fault::Latency {
                milliseconds: 600_000,
            },
            "transport",
        ),
    ] {
        let tenant = tenant();
        let error = fail(&tenant, fault).await;
        let found = match error {
            Error::Throttled { .. } => "throttled",
            Error::Token(_) => "token",
            Error::Malformed { .. } => "malformed",
            Error::Transport { .. } => "transport",
            _ => "other",
        };
        assert_eq!(found, expected, "{fault:?}: {error:?}");
        let passed = tenant.clock().now() - datetime!(2026-01-01 00:00 UTC);
        assert!(passed <= time::Duration::minutes(5), "{fault:?}: {passed}");
    }
}

/// A machine whose clock is five hours behind learns the time from the answers.
#[tokio::test]
async fn a_client_whose_clock_is_five_hours_off_gets_its_token() {
    let tenant = tenant();
    let late = MovableClock::frozen_at(datetime!(2025-12-31 19:00 UTC));
    let pipeline = Pipeline::new(tenant.clone()).with_clock(std::sync::Arc::new(late));
    let client = client(&tenant, pipeline);
    let request = TokenRequest::new([tenant.cloud().graph_scope()]);
    let token = client.token(&request).await.unwrap();
    assert_eq!(client.clock_offset(), time::Duration::hours(5));
    // By the clock of the machine, so that its cache keeps the token for an hour.
    assert_eq!(token.expires_on(), datetime!(2025-12-31 19:59:59 UTC));
}

fn tenant() -> Emulator {
    Emulator::new(Seed::new().with_replication_delay(Duration::ZERO))
}

fn client(tenant: &Emulator, pipeline: Pipeline) -> ConfidentialClient {
    let app = tenant.setup_app();
    let authority = Authority::new(tenant.cloud(), Tenant::parse(&tenant.tenant_id()).unwrap());
    let secret = ClientSecret::try_from(&app.client_secret).unwrap();
    let id = ClientId::parse(&app.client_id).unwrap();
    ConfidentialClient::new(authority, id, ClientCredential::secret(secret), pipeline).unwrap()
}

/// The error of a client whose every token request suffers a fault.
async fn fail(tenant: &Emulator, fault: Fault) -> Error {
    tenant.faults().clear();
    let rule = FaultRule::new("POST /*/oauth2/v2.0/token", fault).with_times(1_000);
    tenant.faults().inject(rule).unwrap();
    let pipeline = Pipeline::new(tenant.clone()).with_clock(tenant.clock());
    let client = client(tenant, pipeline);
    let request = TokenRequest::new([tenant.cloud().graph_scope()]);
    let error = client.token(&request).await.unwrap_err();
    tenant.faults().clear();
    error
}

async fn refusal(tenant: &Emulator, fault: Fault) -> TokenError {
    match fail(tenant, fault).await {
        Error::Token(error) => TokenError::clone(&error),
        other => panic!("{fault:?}: {other:?}"),
    }
}
