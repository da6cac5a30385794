//! Sessions and the store that keeps them, without a web framework.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "what a test cannot do fails it"
)]

mod stage;

use entra_core::Clock as _;
use entra_oidc::{
    EntraLogin, Login, MemorySessionStore, Session, SessionName, SessionStore as _, Sessions,
};
use http::HeaderMap;
use stage::Stage;

/// A session, and what led to it.
async fn signed_in() -> (Stage, EntraLogin, Login, Session) {
    let stage = Stage::new();
    let login = stage.login().await;
    let done = stage.finish(&login).await.unwrap();
    let sessions = Sessions::in_memory().with_clock(stage.emulator.clock());
    let cookie = sessions.begin(&done, &HeaderMap::new()).await.unwrap();
    let (_, session) = sessions.load(&sent(&cookie)).await.unwrap().unwrap();
    (stage, login, done, session)
}

/// The request that carries a cookie which was set.
fn sent(set_cookie: &http::HeaderValue) -> HeaderMap {
    let text = set_cookie.to_str().unwrap();
    let mut headers = HeaderMap::new();
    let pair = text.split(';').next().unwrap();
    headers.insert("cookie", pair.parse().unwrap());
    headers
}

fn name(text: &str) -> SessionName {
    SessionName::from_text(text)
}

#[tokio::test]
async fn a_session_takes_the_place_of_one_that_is_there_and_of_no_other() {
    let (stage, _, _, session) = signed_in().await;
    let now = stage.emulator.clock().now();
    let store = MemorySessionStore::new();
    store
        .insert(&name("a"), session.clone(), now)
        .await
        .unwrap();
    let (b, c) = (name("b"), name("c"));
    let next = (&b, session.clone());
    assert!(store.replace(&name("a"), next, now).await.unwrap());
    assert!(store.load(&name("a")).await.unwrap().is_none());
    assert!(store.load(&b).await.unwrap().is_some());
    // It was signed out meanwhile: what was renewed does not bring it back.
    let next = (&c, session);
    assert!(!store.replace(&name("a"), next, now).await.unwrap());
    assert!(store.load(&c).await.unwrap().is_none());
}

#[tokio::test]
async fn a_session_that_has_ended_is_not_brought_back_by_its_use() {
    let (stage, _, _, session) = signed_in().await;
    let now = stage.emulator.clock().now();
    let store = MemorySessionStore::new();
    store
        .insert(&name("a"), session.clone(), now)
        .await
        .unwrap();
    assert!(store.remove(&name("a")).await.unwrap().is_some());
    assert!(store.remove(&name("a")).await.unwrap().is_none());
    store
        .touch(&name("a"), session.expires_on, now)
        .await
        .unwrap();
    assert!(store.load(&name("a")).await.unwrap().is_none());
}

#[tokio::test]
async fn an_earlier_use_does_not_shorten_a_session() {
    let (stage, _, _, session) = signed_in().await;
    let now = stage.emulator.clock().now();
    let store = MemorySessionStore::new();
    store
        .insert(&name("a"), session.clone(), now)
        .await
        .unwrap();
    store.touch(&name("a"), now, now).await.unwrap();
    let kept = store.load(&name("a")).await.unwrap().unwrap();
    assert_eq!(kept.idle_until, session.idle_until);
}

#[tokio::test]
async fn a_session_is_read_back_without_its_tokens() {
    let (stage, _, done, _) = signed_in().await;
    let sessions = Sessions::in_memory()
        .with_clock(stage.emulator.clock())
        .keeping_tokens();
    let cookie = sessions.begin(&done, &HeaderMap::new()).await.unwrap();
    let (_, session) = sessions.load(&sent(&cookie)).await.unwrap().unwrap();
    assert!(session.tokens.is_some());
    let json = serde_json::to_string(&session).unwrap();
    assert!(!json.contains("eyJ"), "no token is in it");
    let read: Session = serde_json::from_str(&json).unwrap();
    assert_eq!(read.user, session.user);
    assert_eq!(read.profile, session.profile);
    assert_eq!(
        read.expires_on.unix_timestamp(),
        session.expires_on.unix_timestamp()
    );
    assert!(read.tokens.is_none());
}

#[tokio::test]
async fn tokens_are_kept_if_they_are_asked_for() {
    let (_, _, _, session) = signed_in().await;
    assert!(session.tokens.is_none());
}

#[tokio::test]
async fn nobody_reads_the_id_in_what_is_shown() {
    let (stage, _, done, _) = signed_in().await;
    let sessions = Sessions::in_memory()
        .with_clock(stage.emulator.clock())
        .keeping_tokens();
    let cookie = sessions.begin(&done, &HeaderMap::new()).await.unwrap();
    let id = sent(&cookie)["cookie"]
        .to_str()
        .unwrap()
        .split('=')
        .next_back()
        .unwrap()
        .to_owned();
    let (name, session) = sessions.load(&sent(&cookie)).await.unwrap().unwrap();
    for shown in [
        format!("{cookie:?}"),
        format!("{sessions:?}"),
        format!("{name:?} {name}"),
        format!("{session:?}"),
    ] {
        assert!(!shown.contains(&id), "{shown}");
        assert!(!shown.contains("eyJ"), "{shown}");
    }
}
