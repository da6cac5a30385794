//! What a client remembers, for whom and for how long.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails"
)]

mod scripted;

use entra_core::{Secret, TokenErrorKind, TransportErrorKind};
use scripted::app::{SECOND, app, forms, graph, kind, request, text};
use scripted::{Gate, Reply, settle};
use tokio::task::JoinSet;

#[tokio::test]
async fn each_user_on_whose_behalf_it_acts_has_tokens_of_their_own() {
    let (app, http, _) = app(["of-a", "of-b", "of-app"].map(|t| Reply::token(t, 3600)));
    let user = |token: &str| app.on_behalf_of(Secret::new(token));
    for _ in 0..2 {
        for (user, expected) in [(user("e30.e30.a"), "of-a"), (user("e30.e30.b"), "of-b")] {
            assert_eq!(text(&user.token(&graph()).await.unwrap()), expected);
        }
        assert_eq!(text(&app.token(&graph()).await.unwrap()), "of-app");
    }
    let some = |texts: [&str; 2]| texts.map(|text| Some(text.to_owned()));
    let assertions = forms(&http, "assertion");
    assert_eq!(
        assertions.get(..2).unwrap(),
        some(["e30.e30.a", "e30.e30.b"])
    );
    let grant = "urn:ietf:params:oauth:grant-type:jwt-bearer";
    let grants = forms(&http, "grant_type");
    assert_eq!(grants.get(..2).unwrap(), some([grant, grant]));
    let uses = forms(&http, "requested_token_use");
    assert_eq!(
        uses.get(..2).unwrap(),
        some(["on_behalf_of", "on_behalf_of"])
    );
    assert_eq!(http.count(), 3);
}

#[tokio::test]
async fn the_refusal_of_one_user_is_no_other_user_s() {
    let (app, http, _) = app([
        Reply::refusal(400, "invalid_grant", 50_105),
        Reply::token("of-b", 3600),
    ]);
    let user = |token: &str| app.on_behalf_of(Secret::new(token));
    for _ in 0..2 {
        user("e30.e30.a").token(&graph()).await.unwrap_err();
    }
    user("e30.e30.b").token(&graph()).await.unwrap();
    assert_eq!(http.count(), 2);
}

#[tokio::test]
async fn what_may_mend_itself_is_asked_for_again_after_five_seconds() {
    let (app, http, clock) = app([
        Reply::refusal(401, "invalid_client", 7_000_215),
        Reply::token("t1", 3600),
    ]);
    let error = app.token(&graph()).await.unwrap_err();
    assert_eq!(kind(&error), TokenErrorKind::SecretInvalid);
    clock.advance(4 * SECOND);
    app.token(&graph()).await.unwrap_err();
    assert_eq!(http.count(), 1);
    clock.advance(SECOND);
    app.token(&graph()).await.unwrap();
}

#[tokio::test]
async fn what_the_network_did_is_not_remembered() {
    for reply in [
        Reply::fails(TransportErrorKind::Tls),
        Reply::new(200, "text/html", "<html>"),
    ] {
        let (app, http, _) = app([reply, Reply::token("t1", 3600)]);
        app.token(&graph()).await.unwrap_err();
        app.token(&graph()).await.unwrap();
        assert_eq!(http.count(), 2);
    }
}

#[tokio::test]
async fn a_refusal_is_remembered_for_what_was_asked_and_nothing_else() {
    let (app, http, _) = app([
        Reply::refusal(400, "invalid_resource", 500_011),
        Reply::token("t1", 3600),
    ]);
    for _ in 0..2 {
        let gone = request("api://gone/.default");
        app.token(&gone).await.unwrap_err();
    }
    app.token(&graph()).await.unwrap();
    assert_eq!((http.count(), app.metrics().held_back), (2, 1));
}

#[tokio::test]
async fn no_wish_of_the_service_is_obeyed_for_longer_than_an_hour() {
    let (app, http, clock) = app([
        Reply::new(429, "text/plain", "Too Many Requests").header("retry-after", "86400"),
        Reply::token("t1", 3600),
    ]);
    app.token(&graph()).await.unwrap_err();
    clock.advance(3599 * SECOND);
    app.token(&graph()).await.unwrap_err();
    assert_eq!(http.count(), 1);
    clock.advance(SECOND);
    app.token(&graph()).await.unwrap();
}

#[tokio::test]
async fn the_token_that_was_not_used_for_longest_is_pushed_out_and_fetched_again() {
    let scope = |name: &str| request(&format!("api://{name}/.default"));
    let (app, http, clock) = app(["1", "2", "3", "4", "5"].map(|t| Reply::token(t, 3600)));
    let app = app.with_cache_capacity(3);
    for name in ["first", "a", "b"] {
        app.token(&scope(name)).await.unwrap();
        clock.advance(SECOND);
    }
    app.token(&scope("a")).await.unwrap();
    app.token(&scope("c")).await.unwrap();
    assert!(app.cached(&scope("b")).is_none());
    assert!(app.cached(&scope("a")).is_some());
    assert_eq!(text(&app.token(&scope("b")).await.unwrap()), "5");
    let metrics = app.metrics();
    assert_eq!((metrics.evictions, metrics.len), (2, 3));
    assert_eq!(http.count(), 5);
}

#[tokio::test]
async fn a_token_that_is_being_fetched_is_not_pushed_out() {
    let gate = Gate::closed();
    let (app, http, _) = app([
        Reply::token("first", 3600),
        Reply::token("slow", 3600).behind(&gate),
        Reply::token("other", 3600),
    ]);
    let app = app.with_cache_capacity(2);
    app.token(&request("api://first/.default")).await.unwrap();
    let slow = request("api://slow/.default");
    let mut tasks = JoinSet::new();
    let asking = (app.clone(), slow.clone());
    tasks.spawn(async move { asking.0.token(&asking.1).await });
    http.arrived(2).await;
    app.token(&request("api://other/.default")).await.unwrap();
    let waiting = (app.clone(), slow);
    tasks.spawn(async move { waiting.0.token(&waiting.1).await });
    settle().await;
    gate.open();
    while let Some(token) = tasks.join_next().await {
        assert_eq!(text(&token.unwrap().unwrap()), "slow");
    }
    assert_eq!(http.count(), 3);
}
