//! Users who sign in: device codes, authorization codes, sessions that renew themselves.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod scripted;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use entra_core::{
    Authority, AuthorizationCode, ClientCredential, ClientId, ClientSecret, Clock, Cloud,
    ConfidentialClient, DeviceLogin, DeviceProgress, Error, KeyRing, MovableClock, Pipeline,
    PublicClient, SealError, SealedSession, SealingKey, Secret, SessionKeeper, Tenant,
    TokenErrorKind, TokenRequest, TransportErrorKind, UserSession,
};
use scripted::{Reply, ScriptedHttp};
use serde_json::json;
use time::macros::datetime;

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_device_login_waits_until_the_user_has_signed_in() {
    let (client, http, clock) = public([
        device_code(5),
        Reply::refusal(400, "authorization_pending", 70_016),
        Reply::refusal(400, "authorization_pending", 70_016),
        signed_in("a1", Some("r1")),
    ]);
    let started = clock.now();
    let login = client.device_login(&read()).await.unwrap();
    assert_eq!(login.user_code(), "ABCD-EFGH");
    assert_eq!(
        login.verification_uri(),
        "https://microsoft.com/devicelogin"
    );
    assert_eq!(login.message(), "Open it and enter ABCD-EFGH.");
    assert!(!format!("{login:?}").contains("ABCD"));
    let mut seen = Vec::new();
    let session = login.finish(|progress| seen.push(progress)).await.unwrap();
    let waiting = |left| DeviceProgress::Waiting {
        left: left * SECOND,
    };
    assert_eq!(seen, [waiting(895), waiting(890)]);
    assert_eq!(clock.now() - started, time::Duration::seconds(15));
    assert_eq!(text(&session, &read()).await, "a1");
    let account = session.account().unwrap();
    assert_eq!(
        account.object_id.to_string(),
        "00000000-0000-4000-8000-000000000001"
    );
    assert_eq!(session.unverified_id_token().unwrap().expose(), "e30.e30.");

    let requests = http.seen();
    assert_eq!(
        requests[0].uri.path(),
        "/organizations/oauth2/v2.0/devicecode"
    );
    let scope = "User.Read openid profile offline_access";
    assert_eq!(requests[0].form("scope").as_deref(), Some(scope));
    let look = &requests[1];
    assert_eq!(look.uri.path(), "/organizations/oauth2/v2.0/token");
    let grant = "urn:ietf:params:oauth:grant-type:device_code";
    assert_eq!(look.form("grant_type").as_deref(), Some(grant));
    assert_eq!(look.form("device_code").as_deref(), Some("dc-1"));
    assert_eq!(look.form("client_secret"), None);
}

#[tokio::test]
async fn a_device_login_asks_less_often_when_told_to_and_bears_a_network_that_is_gone() {
    let (client, http, _) = public([
        device_code(5),
        Reply::refusal(400, "slow_down", 70_016),
        Reply::fails(TransportErrorKind::Connect),
        Reply::new(502, "text/html", "<html>"),
        signed_in("a1", Some("r1")),
    ]);
    let login = client.device_login(&read()).await.unwrap();
    let mut seen = Vec::new();
    login.finish(|progress| seen.push(progress)).await.unwrap();
    let times: Vec<_> = http.seen().iter().map(|request| request.at).collect();
    let waits: Vec<_> = times
        .windows(2)
        .map(|pair| (pair[1] - pair[0]).whole_seconds())
        .collect();
    assert_eq!(waits, [5, 10, 20, 40]);
    assert!(matches!(seen[0], DeviceProgress::SlowedDown { .. }));
    assert!(matches!(seen[1], DeviceProgress::Unreachable { .. }));
}

#[tokio::test]
async fn a_wait_that_the_service_asks_for_counts_once_and_never_outlives_the_code() {
    let (login, http) = pending([
        Reply::new(503, "text/plain", "").header("retry-after", "60"),
        Reply::refusal(400, "authorization_pending", 70_016),
        Reply::new(503, "text/plain", "").header("retry-after", "18446744073709551615"),
        Reply::refusal(400, "expired_token", 70_020),
    ])
    .await;
    assert!(login.finish(|_| ()).await.unwrap_err().needs_user());
    let times: Vec<_> = http.seen().iter().map(|request| request.at).collect();
    let waits: Vec<_> = times
        .windows(2)
        .map(|pair| (pair[1] - pair[0]).whole_seconds())
        .collect();
    assert_eq!(waits, [5, 60, 10, 825]);
}

#[tokio::test]
async fn a_device_login_ends_when_the_user_declines_or_the_code_expires() {
    for (error, code, kind) in [
        (
            "authorization_declined",
            70_016,
            TokenErrorKind::DeviceCodeDeclined,
        ),
        ("expired_token", 70_020, TokenErrorKind::DeviceCodeExpired),
    ] {
        let (login, _) = pending([Reply::refusal(400, error, code)]).await;
        let Error::Token(refusal) = login.finish(|_| ()).await.unwrap_err() else {
            panic!("{error}");
        };
        assert_eq!((refusal.kind(), refusal.is_retryable()), (kind, false));
    }
}

#[tokio::test]
async fn a_device_login_does_not_outlive_its_code_where_the_service_never_says_so() {
    let script = (0..200).map(|_| Reply::refusal(400, "authorization_pending", 70_016));
    let (login, http) = pending(script).await;
    let error = login.finish(|_| ()).await.unwrap_err();
    assert!(error.needs_user(), "{error:?}");
    assert_eq!(http.count(), 1 + 900 / 5);
}

#[tokio::test]
async fn a_code_is_redeemed_once_with_its_verifier_and_by_a_web_app_with_its_secret() {
    let (client, http, _) = confidential([signed_in("a1", Some("r1"))]);
    let session = client.redeem_code(&code()).await.unwrap();
    assert_eq!(text(&session, &read()).await, "a1");
    let sent = &http.seen()[0];
    for (name, value) in [
        ("grant_type", "authorization_code"),
        ("code", "c-1"),
        ("redirect_uri", "https://app.example/callback"),
        ("code_verifier", "v-1"),
        ("client_secret", "s3cr3t"),
        ("client_info", "1"),
    ] {
        assert_eq!(sent.form(name).as_deref(), Some(value), "{name}");
    }
}

#[tokio::test]
async fn a_code_is_not_sent_again_after_an_answer_was_lost() {
    let (client, http, _) = confidential([Reply::fails(TransportErrorKind::Interrupted)]);
    let error = client.redeem_code(&code()).await.unwrap_err();
    assert!(matches!(error, Error::Transport { .. }));
    assert_eq!(http.count(), 1);
}

#[tokio::test]
async fn a_session_renews_itself_with_the_newest_refresh_token() {
    let (session, http, clock) = session([
        signed_in("a2", Some("r2")),
        signed_in("other", None),
        signed_in("a3", Some("r3")),
    ])
    .await;
    clock.advance(3600 * SECOND);
    assert_eq!(text(&session, &read()).await, "a2");
    let other = TokenRequest::new(["api://other/Read"]);
    assert_eq!(text(&session, &other).await, "other");
    clock.advance(3600 * SECOND);
    assert_eq!(text(&session, &read()).await, "a3");
    let sent: Vec<_> = http.seen()[1..]
        .iter()
        .map(|request| request.form("refresh_token").unwrap())
        .collect();
    assert_eq!(sent, ["r1", "r2", "r2"]);
    assert_eq!(http.seen()[1].form("grant_type").unwrap(), "refresh_token");
}

#[tokio::test]
async fn a_thousand_tasks_renew_a_session_once() {
    let (session, http, clock) = session([signed_in("a2", Some("r2"))]).await;
    clock.advance(3600 * SECOND);
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..1000 {
        let session = session.clone();
        tasks.spawn(async move { session.token(&read()).await });
    }
    while let Some(token) = tasks.join_next().await {
        assert_eq!(token.unwrap().unwrap().secret().expose(), "a2");
    }
    assert_eq!(http.count(), 2);
}

#[tokio::test]
async fn a_session_that_ended_needs_its_user() {
    let claims = r#"{"access_token":{"capolids":{"essential":true,"values":["c1"]}}}"#;
    let (session, http, clock) = session([
        Reply::json(
            400,
            &json!({
                "error": "invalid_grant",
                "error_description": "AADSTS50076: Due to a configuration change …",
                "error_codes": [50076],
                "suberror": "basic_action",
                "claims": claims,
            }),
        ),
        signed_in("a2", None),
    ])
    .await;
    clock.advance(3600 * SECOND);
    let error = session.token(&read()).await.unwrap_err();
    assert!(error.needs_user());
    assert_eq!(error.claims(), Some(claims));
    assert!(session.token(&read()).await.unwrap_err().needs_user());
    assert_eq!(
        http.count(),
        2,
        "the same answer is not asked for twice in a row"
    );
}

#[tokio::test]
async fn a_session_without_a_refresh_token_ends_with_its_access_token() {
    let (client, http, clock) = confidential([signed_in("a1", None)]);
    let session = client.redeem_code(&code()).await.unwrap();
    assert!(!session.has_refresh_token());
    let keys = KeyRing::new(SealingKey::generate());
    assert_eq!(session.seal(&keys), Err(SealError::NothingToSeal));
    clock.advance(3600 * SECOND);
    let error = session.token(&read()).await.unwrap_err();
    assert!(matches!(error, Error::InvalidRequest(_)), "{error:?}");
    assert_eq!(http.count(), 1);
}

#[tokio::test]
async fn a_sealed_session_goes_on_in_another_process() {
    let keys = KeyRing::new(SealingKey::generate());
    let (session, ..) = session([]).await;
    let stored = session.seal(&keys).unwrap().to_base64();
    assert!(!stored.contains("r1"));

    let (client, http, _) = confidential([signed_in("a2", Some("r2"))]);
    let sealed = SealedSession::from_base64(&stored).unwrap();
    let opened = client.open_session(&keys, &sealed).unwrap();
    assert_eq!(opened.account(), session.account());
    assert_eq!(text(&opened, &read()).await, "a2");
    assert_eq!(http.seen()[0].form("refresh_token").unwrap(), "r1");
}

#[tokio::test]
async fn a_sealed_session_opens_for_its_own_application_and_key_ring_alone() {
    let keys = KeyRing::new(SealingKey::generate());
    let (session, ..) = session([]).await;
    let sealed = session.seal(&keys).unwrap();
    let (other_app, ..) = public([]);
    assert!(other_app.open_session(&keys, &sealed).is_err());
    let (same_app, ..) = confidential([]);
    let other_keys = KeyRing::new(SealingKey::generate());
    assert!(same_app.open_session(&other_keys, &sealed).is_err());
    let cut = SealedSession::from_bytes(&sealed.as_bytes()[..20]);
    assert!(same_app.open_session(&keys, &cut).is_err());
    assert!(same_app.open_session(&keys, &sealed).is_ok());
    let error = same_app.open_session(&other_keys, &sealed).unwrap_err();
    assert!(error.needs_user(), "{error:?}");
    assert_eq!(error.to_string(), "the stored session cannot be opened");
    let other_tenant = ConfidentialClient::new(
        Authority::new(Cloud::public(), Tenant::parse("contoso.example").unwrap()),
        *same_app.client_id(),
        same_app.credentials(),
        same_app.pipeline().clone(),
    );
    assert!(other_tenant.unwrap().open_session(&keys, &sealed).is_err());
}

#[tokio::test]
async fn each_new_refresh_token_is_kept_and_a_keeper_that_fails_ends_nothing() {
    let keys = KeyRing::new(SealingKey::generate());
    let keeper = Arc::new(Keeper::default());
    let (session, _, clock) = session([
        signed_in("a2", Some("r2")),
        signed_in("a3", Some("r3")),
        signed_in("a4", Some("r4")),
    ])
    .await;
    let session = session.with_keeper(keys.clone(), keeper.clone());
    assert_eq!(text(&session, &read()).await, "a1", "what it had it keeps");
    for (expected, broken) in [("a2", false), ("a3", true), ("a4", false)] {
        *keeper.broken.lock().unwrap() = broken;
        clock.advance(3600 * SECOND);
        assert_eq!(text(&session, &read()).await, expected);
    }
    let kept = keeper.kept.lock().unwrap().clone();
    assert_eq!(kept.len(), 2);
    let (client, http, _) = confidential([signed_in("a5", None)]);
    let opened = client.open_session(&keys, &kept[1]).unwrap();
    assert_eq!(text(&opened, &read()).await, "a5");
    assert_eq!(http.seen()[0].form("refresh_token").unwrap(), "r4");
}

#[tokio::test]
async fn no_debug_of_a_session_shows_a_token() {
    let (session, ..) = session([]).await;
    let shown = format!(
        "{session:?} {:?} {:?}",
        code(),
        session.seal(&KeyRing::new(SealingKey::generate()))
    );
    for secret in ["a1", "\"r1", "c-1", "v-1", "e30"] {
        assert!(!shown.contains(secret), "{secret}: {shown}");
    }
}

/// Keeps what it is given, unless it is broken.
#[derive(Debug, Default)]
struct Keeper {
    kept: Mutex<Vec<SealedSession>>,
    broken: Mutex<bool>,
}

#[async_trait]
impl SessionKeeper for Keeper {
    async fn keep(
        &self,
        session: &SealedSession,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        if *self.broken.lock().unwrap() {
            return Err("the database is away".into());
        }
        self.kept.lock().unwrap().push(session.clone());
        Ok(())
    }
}

fn public(
    script: impl IntoIterator<Item = Reply>,
) -> (PublicClient, ScriptedHttp, Arc<MovableClock>) {
    let clock = Arc::new(MovableClock::frozen_at(datetime!(2026-01-01 00:00 UTC)));
    let http = ScriptedHttp::new(&clock, script);
    let authority = Authority::new(Cloud::public(), Tenant::Organizations);
    let id = ClientId::parse("11111111-2222-4333-8444-555555555555").unwrap();
    let pipeline = Pipeline::new(http.clone()).with_clock(clock.clone());
    (PublicClient::new(authority, id, pipeline), http, clock)
}

fn confidential(
    script: impl IntoIterator<Item = Reply>,
) -> (ConfidentialClient, ScriptedHttp, Arc<MovableClock>) {
    let clock = Arc::new(MovableClock::frozen_at(datetime!(2026-01-01 00:00 UTC)));
    let http = ScriptedHttp::new(&clock, script);
    let client = ConfidentialClient::new(
        Authority::new(Cloud::public(), Tenant::Organizations),
        ClientId::parse("99999999-2222-4333-8444-555555555555").unwrap(),
        ClientCredential::secret(ClientSecret::parse("s3cr3t").unwrap()),
        Pipeline::new(http.clone()).with_clock(clock.clone()),
    );
    (client.unwrap(), http, clock)
}

/// A session with the tokens `a1` and `r1`, and what comes after.
async fn session(
    script: impl IntoIterator<Item = Reply>,
) -> (UserSession, ScriptedHttp, Arc<MovableClock>) {
    let first = [signed_in("a1", Some("r1"))];
    let (client, http, clock) = confidential(first.into_iter().chain(script));
    let session = client.redeem_code(&code()).await.unwrap();
    (session, http, clock)
}

async fn pending(script: impl IntoIterator<Item = Reply>) -> (DeviceLogin, ScriptedHttp) {
    let (client, http, _) = public([device_code(5)].into_iter().chain(script));
    (client.device_login(&read()).await.unwrap(), http)
}

fn code() -> AuthorizationCode {
    let (code, verifier) = (Secret::new("c-1"), Secret::new("v-1"));
    AuthorizationCode::new(code, "https://app.example/callback", verifier, read())
}

fn read() -> TokenRequest {
    TokenRequest::new(["User.Read"])
}

async fn text(session: &UserSession, request: &TokenRequest) -> String {
    let token = session.token(request).await.unwrap();
    token.secret().expose().to_owned()
}

fn device_code(interval: u32) -> Reply {
    Reply::json(
        200,
        &json!({
            "device_code": "dc-1",
            "user_code": "ABCD-EFGH",
            "verification_uri": "https://microsoft.com/devicelogin",
            "expires_in": 900,
            "interval": interval,
            "message": "Open it and enter ABCD-EFGH.",
        }),
    )
}

fn signed_in(access: &str, refresh: Option<&str>) -> Reply {
    let client_info = URL_SAFE_NO_PAD.encode(
        r#"{"uid":"00000000-0000-4000-8000-000000000001","utid":"00000000-0000-4000-8000-000000000002"}"#,
    );
    let mut body = json!({
        "token_type": "Bearer", "expires_in": 3600, "access_token": access,
        "id_token": "e30.e30.", "client_info": client_info,
    });
    if let Some(refresh) = refresh {
        body["refresh_token"] = json!(refresh);
    }
    Reply::json(200, &body)
}
