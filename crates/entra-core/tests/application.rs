//! The confidential client: cache, single flight, refresh, invalidation, clocks.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails"
)]

mod scripted;

use entra_core::{
    AccessToken, Authority, Clock, Cloud, ConfidentialClient, Error, Pipeline, Tenant,
    TokenCredential as _, TokenErrorKind, TokenRequest, TransportErrorKind,
};
use scripted::app::{
    CLIENT, SECOND, app, assertion_claims as claims, certificate, client, client_id, frozen, graph,
    kind, request, secret, text,
};
use scripted::{Gate, Reply, ScriptedHttp, settle};
use serde_json::json;
use time::macros::datetime;
use tokio::task::JoinSet;

#[tokio::test]
async fn a_thousand_tasks_on_a_cold_key_send_one_request() {
    let gate = Gate::closed();
    let (app, http, _) = app([Reply::token("t1", 3600).behind(&gate)]);
    let mut tasks = asking(&app, &graph(), 1000);
    settle().await;
    gate.open();
    while let Some(token) = tasks.join_next().await {
        assert_eq!(text(&token.unwrap().unwrap()), "t1");
    }
    assert_eq!(http.count(), 1);
}

#[tokio::test]
async fn a_failure_is_shared_by_those_who_waited_and_asked_about_again_after_half_a_minute() {
    let gate = Gate::closed();
    let refusal = Reply::refusal(401, "invalid_client", 7_000_222).behind(&gate);
    let (app, http, clock) = app([refusal, Reply::token("t2", 3600)]);
    let mut tasks = asking(&app, &graph(), 100);
    settle().await;
    gate.open();
    while let Some(outcome) = tasks.join_next().await {
        assert_eq!(
            kind(&outcome.unwrap().unwrap_err()),
            TokenErrorKind::SecretExpired
        );
    }
    clock.advance(29 * SECOND);
    let error = app.token(&graph()).await.unwrap_err();
    assert_eq!(kind(&error), TokenErrorKind::SecretExpired);
    assert_eq!(http.count(), 1);
    clock.advance(SECOND);
    assert_eq!(text(&app.token(&graph()).await.unwrap()), "t2");
    assert_eq!(http.count(), 2);
    let metrics = app.metrics();
    assert_eq!((metrics.requests, metrics.failures), (2, 1));
    assert_eq!(metrics.held_back, 1);
}

#[tokio::test]
async fn a_remembered_failure_never_outlives_the_credential_that_it_was_about() {
    let (app, http, _) = app([
        Reply::refusal(401, "invalid_client", 7_000_222),
        Reply::token("t1", 3600),
    ]);
    app.token(&graph()).await.unwrap_err();
    app.token(&graph()).await.unwrap_err();
    assert_eq!(http.count(), 1);
    app.replace_credentials(app.credentials());
    app.token(&graph()).await.unwrap_err();
    assert_eq!(http.count(), 1, "the same credential is no new one");
    app.replace_credentials(secret("new"));
    assert_eq!(text(&app.token(&graph()).await.unwrap()), "t1");
    assert_eq!(http.seen()[1].form("client_secret").unwrap(), "new");
}

#[tokio::test]
async fn a_wait_that_the_service_asks_for_is_told_to_all_who_come_meanwhile() {
    let (app, http, clock) = app([
        Reply::new(429, "text/plain", "Too Many Requests").header("retry-after", "600"),
        Reply::token("t1", 3600),
    ]);
    let error = app.token(&graph()).await.unwrap_err();
    assert_eq!(error.retry_after(), Some(600 * SECOND));
    clock.advance(200 * SECOND);
    let error = app.token(&graph()).await.unwrap_err();
    assert_eq!(error.retry_after(), Some(400 * SECOND));
    assert_eq!(http.count(), 1);
    clock.advance(400 * SECOND);
    assert_eq!(text(&app.token(&graph()).await.unwrap()), "t1");
}

#[tokio::test]
async fn a_cancelled_leader_hands_over_to_exactly_one_successor() {
    let (never, gate) = (Gate::closed(), Gate::closed());
    let (app, http, _) = app([
        Reply::token("lost", 3600).behind(&never),
        Reply::token("t2", 3600).behind(&gate),
    ]);
    let mut leader = asking(&app, &graph(), 1);
    http.arrived(1).await;
    let mut waiters = asking(&app, &graph(), 100);
    settle().await;
    assert_eq!(http.count(), 1);
    leader.shutdown().await;
    http.arrived(2).await;
    gate.open();
    while let Some(token) = waiters.join_next().await {
        assert_eq!(text(&token.unwrap().unwrap()), "t2");
    }
    assert_eq!(http.count(), 2);
}

#[tokio::test]
async fn different_scopes_never_wait_for_each_other() {
    let never = Gate::closed();
    let (app, http, _) = app([
        Reply::token("warm", 3600),
        Reply::token("stuck", 3600).behind(&never),
        Reply::token("cold", 3600),
    ]);
    let (warm, stuck, cold) = (
        graph(),
        request("api://a/.default"),
        request("api://b/.default"),
    );
    app.token(&warm).await.unwrap();
    let _stuck = asking(&app, &stuck, 3);
    http.arrived(2).await;
    assert_eq!(text(&app.token(&warm).await.unwrap()), "warm");
    assert_eq!(text(&app.token(&cold).await.unwrap()), "cold");
    assert_eq!(
        http.seen()[2].form("scope").as_deref(),
        Some("api://b/.default")
    );
}

#[tokio::test]
async fn while_one_caller_refreshes_the_others_get_the_old_token_at_once() {
    let gate = Gate::closed();
    let first = json!({"token_type": "Bearer", "expires_in": 3600, "refresh_in": 1000, "access_token": "t1"});
    let (app, http, clock) = app([
        Reply::json(200, &first),
        Reply::token("t2", 3600).behind(&gate),
    ]);
    app.token(&graph()).await.unwrap();
    clock.advance(999 * SECOND);
    assert_eq!(text(&app.token(&graph()).await.unwrap()), "t1");
    clock.advance(SECOND);
    let mut leader = asking(&app, &graph(), 1);
    http.arrived(2).await;
    for _ in 0..10 {
        assert_eq!(text(&app.token(&graph()).await.unwrap()), "t1");
    }
    gate.open();
    assert_eq!(
        text(&leader.join_next().await.unwrap().unwrap().unwrap()),
        "t2"
    );
    assert_eq!(text(&app.token(&graph()).await.unwrap()), "t2");
    assert_eq!(http.count(), 2);
}

#[tokio::test]
async fn a_token_is_renewed_when_the_service_says_so_or_well_before_its_end() {
    for (expires_in, refresh_in, renewed_after) in [
        // Three quarters of an hour.
        (3600, None, 2700),
        // Half of a day.
        (86_400, None, 43_200),
        // Never later than five minutes before the end, or half the life of a short one.
        (1000, None, 700),
        (400, None, 200),
        (3600, Some(1800), 1800),
        (3600, Some(7200), 3300),
        // At once would be at every call.
        (3600, Some(0), 2700),
    ] {
        let mut body =
            json!({"token_type": "Bearer", "expires_in": expires_in, "access_token": "t1"});
        if let Some(refresh_in) = refresh_in {
            body["refresh_in"] = json!(refresh_in);
        }
        let (app, _, clock) = app([Reply::json(200, &body)]);
        app.token(&graph()).await.unwrap();
        clock.advance((renewed_after - 1) * SECOND);
        assert!(app.cached(&graph()).is_some(), "{body}");
        clock.advance(SECOND);
        assert!(app.cached(&graph()).is_none(), "{body}");
    }
}

#[tokio::test]
async fn a_valid_token_outlives_a_failed_refresh_which_is_repeated_after_half_a_minute() {
    let (app, http, clock) = app([
        Reply::token("t1", 3600),
        Reply::new(503, "text/html", "<html>").header("retry-after", "20"),
        Reply::token("t2", 3600),
    ]);
    app.token(&graph()).await.unwrap();
    clock.advance(2700 * SECOND);
    let before = clock.now();
    assert_eq!(text(&app.token(&graph()).await.unwrap()), "t1");
    assert_eq!(clock.now(), before, "nobody waited for a retry");
    clock.advance(29 * SECOND);
    assert_eq!(text(&app.token(&graph()).await.unwrap()), "t1");
    assert_eq!(http.count(), 2);
    clock.advance(SECOND);
    assert_eq!(text(&app.token(&graph()).await.unwrap()), "t2");
    assert_eq!(http.count(), 3);
}

#[tokio::test]
async fn a_throttled_refresh_does_not_make_the_holders_of_a_valid_token_wait() {
    let (app, http, clock) = app([
        Reply::token("t1", 3600),
        Reply::new(429, "text/plain", "Too Many Requests").header("retry-after", "60"),
        Reply::token("t2", 3600),
    ]);
    app.token(&graph()).await.unwrap();
    clock.advance(2700 * SECOND);
    let before = clock.now();
    for second in [0, 31, 28] {
        clock.advance(second * SECOND);
        assert_eq!(text(&app.token(&graph()).await.unwrap()), "t1");
    }
    assert_eq!(clock.now() - before, time::Duration::seconds(59));
    assert_eq!(http.count(), 2);
    clock.advance(SECOND);
    assert_eq!(text(&app.token(&graph()).await.unwrap()), "t2");
    assert_eq!(http.count(), 3);
}

#[tokio::test]
async fn an_expired_token_is_never_returned() {
    let refused = || Reply::refusal(401, "invalid_client", 7_000_222);
    let (app, http, clock) = app([Reply::token("t1", 3600), refused(), refused()]);
    app.token(&graph()).await.unwrap();
    // The hold-off of this failure reaches beyond the end of the token.
    clock.advance(3590 * SECOND);
    assert_eq!(text(&app.token(&graph()).await.unwrap()), "t1");
    clock.advance(9 * SECOND);
    assert_eq!(text(&app.token(&graph()).await.unwrap()), "t1");
    clock.advance(SECOND);
    let error = app.token(&graph()).await.unwrap_err();
    assert_eq!(kind(&error), TokenErrorKind::SecretExpired);
    assert_eq!(http.count(), 2);
}

#[tokio::test]
async fn shortly_before_the_end_all_wait_for_one_attempt_and_share_what_comes() {
    let gate = Gate::closed();
    let (app, http, clock) = app([
        Reply::token("t1", 3600),
        Reply::refusal(503, "temporarily_unavailable", 90_033).behind(&gate),
    ]);
    app.token(&graph()).await.unwrap();
    clock.advance(3400 * SECOND);
    let mut tasks = asking(&app, &graph(), 50);
    settle().await;
    assert_eq!(tasks.len(), 50);
    assert!(tasks.try_join_next().is_none(), "nobody has an answer yet");
    gate.open();
    while let Some(token) = tasks.join_next().await {
        assert_eq!(text(&token.unwrap().unwrap()), "t1");
    }
    assert_eq!(http.count(), 2);
}

#[tokio::test]
async fn a_token_that_ends_at_once_still_answers_all_who_waited_for_it() {
    let gate = Gate::closed();
    let (app, http, _) = app([Reply::token("t1", 0).behind(&gate)]);
    let mut tasks = asking(&app, &graph(), 50);
    settle().await;
    gate.open();
    while let Some(token) = tasks.join_next().await {
        assert_eq!(text(&token.unwrap().unwrap()), "t1");
    }
    assert_eq!(http.count(), 1);
}

#[tokio::test]
async fn bypassing_the_cache_asks_anew_and_says_what_came() {
    let (app, http, _) = app([
        Reply::refusal(401, "invalid_client", 7_000_215),
        Reply::token("t1", 3600),
        Reply::refusal(401, "invalid_client", 7_000_222),
    ]);
    let test = graph().bypassing_cache();
    assert!(app.token(&test).await.is_err());
    assert_eq!(text(&app.token(&test).await.unwrap()), "t1");
    // A valid token in the cache does not hide the failure from a connection test...
    let error = app.token(&test).await.unwrap_err();
    assert_eq!(kind(&error), TokenErrorKind::SecretExpired);
    // ...and the failure does not take it away from others.
    assert_eq!(text(&app.token(&graph()).await.unwrap()), "t1");
    assert_eq!(http.count(), 3);
}

#[tokio::test]
async fn five_hundred_refusals_of_one_token_bring_one_new_token() {
    let gate = Gate::closed();
    let (app, http, clock) = app([
        Reply::token("t1", 3600),
        Reply::token("t2", 3600).behind(&gate),
    ]);
    let refused = app.token(&graph()).await.unwrap();
    clock.advance(SECOND);
    let mut tasks = JoinSet::new();
    for _ in 0..500 {
        let (app, refused) = (app.clone(), refused.clone());
        tasks.spawn(async move {
            app.invalidate(&graph(), &refused);
            app.token(&graph()).await
        });
    }
    settle().await;
    gate.open();
    while let Some(token) = tasks.join_next().await {
        assert_eq!(text(&token.unwrap().unwrap()), "t2");
    }
    // A late complaint about the old token does not take the new one away.
    app.invalidate(&graph(), &refused);
    assert_eq!(text(&app.token(&graph()).await.unwrap()), "t2");
    assert_eq!(http.count(), 2);
}

#[tokio::test]
async fn a_claims_challenge_is_answered_by_one_request_for_all() {
    const CLAIMS: &str = r#"{"access_token":{"nbf":{"essential":true,"value":"1767225600"}}}"#;
    let gate = Gate::closed();
    let (app, http, clock) = app([
        Reply::token("t1", 3600),
        Reply::token("t2", 3600).behind(&gate),
        Reply::token("t3", 3600),
    ]);
    app.token(&graph()).await.unwrap();
    clock.advance(SECOND);
    let challenged = graph().with_claims(CLAIMS);
    let mut tasks = asking(&app, &challenged, 500);
    settle().await;
    gate.open();
    while let Some(token) = tasks.join_next().await {
        assert_eq!(text(&token.unwrap().unwrap()), "t2");
    }
    assert_eq!(http.count(), 2);
    let seen = http.seen();
    assert_eq!(seen[0].form("claims"), None);
    assert_eq!(seen[1].form("claims").as_deref(), Some(CLAIMS));
    // It does for requests without the claims as well.
    let token = app.token(&graph()).await.unwrap();
    assert_eq!(text(&token), "t2");
    // The same challenge against this token is not answered with this token.
    clock.advance(SECOND);
    app.invalidate(&challenged, &token);
    assert_eq!(text(&app.token(&challenged).await.unwrap()), "t3");
}

#[tokio::test]
async fn a_token_older_than_a_refused_one_is_not_offered_instead() {
    let (app, _, clock) = app([
        Reply::token("challenged", 86_400),
        Reply::token("plain", 3600),
        Reply::token("new", 3600),
    ]);
    let challenged = graph().with_claims("{}");
    let first = app.token(&challenged).await.unwrap();
    clock.advance(SECOND);
    app.invalidate(&graph(), &first);
    let refused = app.token(&graph()).await.unwrap();
    assert_eq!(text(&refused), "plain");
    app.invalidate(&challenged, &refused);
    assert_eq!(text(&app.token(&challenged).await.unwrap()), "new");
}

#[tokio::test]
async fn an_application_signs_in_as_itself_to_one_tenant() {
    for tenant in ["common", "organizations", "consumers"] {
        let clock = frozen();
        let http = ScriptedHttp::new(&clock, []);
        let authority = Authority::new(Cloud::public(), Tenant::parse(tenant).unwrap());
        let pipeline = Pipeline::new(http.clone());
        let outcome = match ConfidentialClient::new(authority, client_id(), secret("s"), pipeline) {
            Ok(client) => client.token(&graph()).await.map(|_| ()),
            Err(error) => Err(error),
        };
        assert!(matches!(outcome, Err(Error::InvalidRequest(_))), "{tenant}");
        assert_eq!(http.count(), 0);
    }
}

#[tokio::test]
async fn the_background_work_refreshes_before_any_caller_has_to() {
    let (app, http, _) = app([
        Reply::token("t1", 3600),
        Reply::token("t2", 3600),
        Reply::refusal(503, "temporarily_unavailable", 90_033),
        Reply::token("t3", 3600),
        Reply::token("claims", 3600),
    ]);
    app.token(&graph()).await.unwrap();
    // Time passes as fast as the background work sleeps.
    app.refresh_ahead(async {
        for count in 2..=4 {
            http.arrived(count).await;
            assert!(
                app.cached(&graph()).is_some(),
                "a caller would have had to wait"
            );
        }
    })
    .await;
    let start = datetime!(2026-01-01 00:00 UTC);
    let times: Vec<_> = http
        .seen()
        .iter()
        .map(|seen| (seen.at - start).whole_seconds())
        .collect();
    // Two ticks before three quarters of the hour; after a failure one tick later.
    assert_eq!(times, [0, 2640, 5280, 5310]);
}

#[tokio::test]
async fn the_background_work_lets_go_of_a_token_that_nobody_asked_for_since_it_came() {
    let (app, http, clock) = app([Reply::token("t1", 3600), Reply::token("t2", 3600)]);
    app.token(&graph()).await.unwrap();
    app.refresh_ahead(async {
        http.arrived(2).await;
        let end = clock.now() + time::Duration::hours(5);
        while clock.now() < end {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(http.count(), 2);
}

#[tokio::test]
async fn the_background_work_leaves_the_answers_of_challenges_alone() {
    let (app, http, clock) = app([Reply::token("t1", 3600), Reply::token("t2", 3600)]);
    app.token(&graph().with_claims("{}")).await.unwrap();
    app.refresh_ahead(async {
        http.arrived(2).await;
        let end = clock.now() + time::Duration::seconds(1000);
        while clock.now() < end {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(http.count(), 2);
    assert_eq!(http.seen()[1].form("claims"), None);
}

#[tokio::test]
async fn a_secret_reaches_the_service_letter_by_letter() {
    let clock = frozen();
    let http = ScriptedHttp::new(&clock, [Reply::token("t1", 3600)]);
    let pasted = "a+b&c=d%20~e/f?g#h;i\"j'k@:\\";
    let app = client(&http, &clock, secret(pasted));
    app.token(&graph()).await.unwrap();
    let seen = &http.seen()[0];
    assert_eq!(seen.form("client_secret").as_deref(), Some(pasted));
    assert_eq!(
        seen.form("grant_type").as_deref(),
        Some("client_credentials")
    );
    assert_eq!(seen.form("client_id").as_deref(), Some(CLIENT));
    assert_eq!(
        seen.form("scope").as_deref(),
        Some("https://graph.microsoft.com/.default")
    );
    assert!(seen.body.is_ascii());
    assert_eq!(
        seen.header("content-type"),
        Some("application/x-www-form-urlencoded")
    );
    assert_eq!(
        seen.uri,
        "https://login.microsoftonline.com/contoso.onmicrosoft.com/oauth2/v2.0/token"
    );
}

#[tokio::test]
async fn a_wrong_clock_of_this_machine_is_corrected_by_the_service_s() {
    let clock = frozen();
    let http = ScriptedHttp::new(
        &clock,
        [
            Reply::refusal(401, "invalid_client", 700_024)
                .header("date", "Thu, 01 Jan 2026 05:00:00 GMT"),
            Reply::token("t1", 3600).header("date", "Thu, 01 Jan 2026 05:00:01 GMT"),
        ],
    );
    let app = client(&http, &clock, certificate());
    assert_eq!(text(&app.token(&graph()).await.unwrap()), "t1");
    let times: Vec<_> = http
        .seen()
        .iter()
        .map(|seen| claims(seen)["iat"].clone())
        .collect();
    // 2026-01-01 00:00 and 05:00 UTC.
    assert_eq!(times, [json!(1_767_225_600), json!(1_767_243_600)]);
    assert_eq!(app.clock_offset(), time::Duration::seconds(5 * 3600 + 1));
    let (first, second) = (claims(&http.seen()[0]), claims(&http.seen()[1]));
    assert_ne!(first["jti"], second["jti"]);
    assert_eq!(second["exp"], json!(1_767_243_600 + 600));
    assert_eq!(second["nbf"], json!(1_767_243_600 - 60));
}

#[tokio::test]
async fn a_refused_assertion_is_not_repeated_where_the_clocks_agree() {
    let clock = frozen();
    let http = ScriptedHttp::new(
        &clock,
        [Reply::refusal(401, "invalid_client", 700_024)
            .header("date", "Thu, 01 Jan 2026 00:00:20 GMT")],
    );
    let error = client(&http, &clock, certificate())
        .token(&graph())
        .await
        .unwrap_err();
    assert_eq!(kind(&error), TokenErrorKind::ClockSkew);
}

#[tokio::test]
async fn each_attempt_carries_an_assertion_of_its_own() {
    let clock = frozen();
    let http = ScriptedHttp::new(
        &clock,
        [
            Reply::new(503, "text/plain", "busy").header("retry-after", "40"),
            Reply::token("t1", 3600),
        ],
    );
    client(&http, &clock, certificate())
        .token(&graph())
        .await
        .unwrap();
    let (first, second) = (claims(&http.seen()[0]), claims(&http.seen()[1]));
    assert_ne!(first["jti"], second["jti"]);
    assert_eq!(
        second["iat"].as_i64().unwrap() - first["iat"].as_i64().unwrap(),
        40
    );
    assert_eq!(first["iss"], json!(CLIENT));
    assert_eq!(first["sub"], json!(CLIENT));
    assert_eq!(first["aud"], json!(http.seen()[0].uri.to_string()));
}

#[tokio::test]
async fn the_service_s_clock_is_learned_from_any_answer() {
    let (app, _, _) =
        app([Reply::token("t1", 3600).header("date", "Wed, 31 Dec 2025 23:58:00 GMT")]);
    assert_eq!(app.clock_offset(), time::Duration::ZERO);
    app.token(&graph()).await.unwrap();
    assert_eq!(app.clock_offset(), time::Duration::seconds(-120));
}

#[tokio::test]
async fn the_time_that_a_token_took_counts_against_its_life() {
    let (app, _, _) = app([
        Reply::fails(TransportErrorKind::Timeout).after(30 * SECOND),
        Reply::token("t1", 3600).after(10 * SECOND),
    ]);
    let token = app.token(&graph()).await.unwrap();
    assert_eq!(token.expires_on(), datetime!(2026-01-01 01:00 UTC));
}

fn asking(
    app: &ConfidentialClient,
    request: &TokenRequest,
    count: usize,
) -> JoinSet<Result<AccessToken, Error>> {
    let mut tasks = JoinSet::new();
    for _ in 0..count {
        let (app, request) = (app.clone(), request.clone());
        tasks.spawn(async move { app.token(&request).await });
    }
    tasks
}
