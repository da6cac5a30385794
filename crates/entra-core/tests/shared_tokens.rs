//! Tokens that processes share through a cache: who finds what, and what a bad cache can do.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails"
)]

mod scripted;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use entra_core::{
    Authority, CacheName, ClientId, Clock as _, Cloud, ConfidentialClient, KeyRing, MovableClock,
    Pipeline, SealingKey, Secret, SharedTokens, TokenCache, TokenCacheError, TokenCredential as _,
};
use scripted::app::{CLIENT, SECOND, client, frozen, graph, request, secret, tenant, text};
use scripted::{Reply, ScriptedHttp};

#[tokio::test]
async fn what_one_client_fetched_the_other_finds() {
    let house = House::new();
    let (first, _) = house.client([Reply::token("t1", 3600)]);
    let (second, http) = house.client([]);
    first.token(&graph()).await.unwrap();
    let token = second.token(&graph()).await.unwrap();
    assert_eq!(text(&token), "t1");
    assert_eq!(token.expires_on(), house.start() + time::Duration::hours(1));
    assert_eq!(http.count(), 0);
    let metrics = second.metrics();
    assert_eq!((metrics.shared_hits, metrics.requests), (1, 0));
    assert_eq!(first.metrics().requests, 1);
}

#[tokio::test]
async fn only_the_same_owner_finds_a_token() {
    let house = House::new();
    let (first, _) = house.client([Reply::token("t1", 3600)]);
    first.token(&graph()).await.unwrap();
    let other_client = ClientId::parse("99999999-2222-4333-8444-555555555555").unwrap();
    let (contoso, public) = ("contoso.onmicrosoft.com", Cloud::public());
    let own = ClientId::parse(CLIENT).unwrap();
    let us = Cloud::us_government();
    for (what, cloud, name, id, password) in [
        ("cloud", us, contoso, own, "s3cr3t~value"),
        (
            "tenant",
            public.clone(),
            "fabrikam.example",
            own,
            "s3cr3t~value",
        ),
        (
            "client",
            public.clone(),
            contoso,
            other_client,
            "s3cr3t~value",
        ),
        ("credential", public, contoso, own, "another~value"),
    ] {
        let http = house.http([Reply::token("own", 3600)]);
        let pipeline = Pipeline::new(http).with_clock(house.clock.clone());
        let authority = Authority::new(cloud, tenant(name));
        let other = ConfidentialClient::new(authority, id, secret(password), pipeline)
            .unwrap()
            .with_shared_tokens(house.shared());
        assert_eq!(text(&other.token(&graph()).await.unwrap()), "own", "{what}");
    }
}

#[tokio::test]
async fn another_scope_other_claims_another_user_or_another_capability_find_nothing() {
    let house = House::new();
    let (first, _) = house.client([Reply::token("t1", 3600)]);
    first.token(&graph()).await.unwrap();
    let own = || [Reply::token("own", 3600)];
    for other in [request("api://other/.default"), graph().with_claims("{}")] {
        let (second, _) = house.client(own());
        assert_eq!(text(&second.token(&other).await.unwrap()), "own");
    }
    let (second, _) = house.client(own());
    let user = second.on_behalf_of(Secret::new("e30.e30.user"));
    assert_eq!(text(&user.token(&graph()).await.unwrap()), "own");
    let (second, _) = house.client(own());
    let second = second.with_continuous_access_evaluation();
    assert_eq!(text(&second.token(&graph()).await.unwrap()), "own");
}

#[tokio::test]
async fn the_tokens_of_two_users_are_kept_apart_and_each_user_s_are_found() {
    let house = House::new();
    let (first, _) = house.client([Reply::token("of-a", 3600), Reply::token("of-b", 3600)]);
    let (second, http) = house.client([]);
    for (user, expected) in [("e30.e30.a", "of-a"), ("e30.e30.b", "of-b")] {
        let user = Secret::new(user);
        let fetched = first.on_behalf_of(user.clone()).token(&graph()).await;
        assert_eq!(text(&fetched.unwrap()), expected);
        let found = second.on_behalf_of(user).token(&graph()).await;
        assert_eq!(text(&found.unwrap()), expected);
    }
    assert_eq!(http.count(), 0);
}

#[tokio::test]
async fn an_answer_to_a_challenge_is_found_with_and_without_the_claims() {
    let house = House::new();
    let (first, _) = house.client([Reply::token("t1", 3600)]);
    let challenged = graph().with_claims("{}");
    first.token(&challenged).await.unwrap();
    for wanted in [challenged, graph()] {
        let (second, http) = house.client([]);
        assert_eq!(text(&second.token(&wanted).await.unwrap()), "t1");
        assert_eq!(http.count(), 0);
    }
}

#[tokio::test]
async fn a_token_that_was_refused_is_not_taken_from_the_cache_again() {
    let house = House::new();
    let (first, _) = house.client([Reply::token("t1", 3600)]);
    let (second, http) = house.client([Reply::token("t2", 3600)]);
    first.token(&graph()).await.unwrap();
    let refused = second.token(&graph()).await.unwrap();
    house.clock.advance(SECOND);
    second.invalidate(&graph(), &refused);
    assert_eq!(text(&second.token(&graph()).await.unwrap()), "t2");
    assert_eq!(http.count(), 1);
    // What replaced it is there for all.
    first.invalidate(&graph(), &refused);
    assert_eq!(text(&first.token(&graph()).await.unwrap()), "t2");
}

#[tokio::test]
async fn a_token_is_kept_as_long_as_it_lives_and_not_taken_when_it_must_be_renewed() {
    let house = House::new();
    let (first, _) = house.client([Reply::token("t1", 3600).after(10 * SECOND)]);
    first.token(&graph()).await.unwrap();
    assert_eq!(house.cache.times_to_live(), [3590 * SECOND]);
    house.clock.advance(2690 * SECOND);
    let (second, http) = house.client([Reply::token("t2", 3600)]);
    assert_eq!(text(&second.token(&graph()).await.unwrap()), "t2");
    assert_eq!(http.count(), 1);
}

#[tokio::test]
async fn a_follower_leaves_the_refresh_to_whoever_fetched_the_token() {
    let house = House::new();
    let (first, _) = house.client([Reply::token("t1", 3600)]);
    let (second, _) = house.client([]);
    first.token(&graph()).await.unwrap();
    second.token(&graph()).await.unwrap();
    let cached = || [&first, &second].map(|client| client.cached(&graph()).is_some());
    house.clock.advance(2699 * SECOND);
    assert_eq!(cached(), [true, true]);
    house.clock.advance(30 * SECOND);
    assert_eq!(cached(), [false, true]);
    house.clock.advance(61 * SECOND);
    assert_eq!(cached(), [false, false]);
}

#[tokio::test]
async fn a_cache_that_fails_fails_no_call() {
    let house = House::new();
    *house.cache.mood.lock().unwrap() = Mood::Down;
    let (app, http) = house.client([Reply::token("t1", 3600)]);
    assert_eq!(text(&app.token(&graph()).await.unwrap()), "t1");
    assert_eq!(http.count(), 1);
}

#[tokio::test]
async fn a_cache_that_never_answers_is_given_up_after_two_seconds() {
    let house = House::new();
    *house.cache.mood.lock().unwrap() = Mood::Silent;
    let (app, http) = house.client([Reply::token("t1", 3600)]);
    let before = house.clock.now();
    assert_eq!(text(&app.token(&graph()).await.unwrap()), "t1");
    assert_eq!(http.count(), 1);
    let waited = house.clock.now() - before;
    assert_eq!(
        waited,
        time::Duration::seconds(4),
        "two to look, two to keep"
    );
}

#[tokio::test]
async fn garbage_in_the_cache_is_no_token() {
    for garbage in [
        &b""[..],
        b"t1",
        b"\x01garbage that is long enough to hold a nonce and a tag",
    ] {
        let house = House::new();
        *house.cache.mood.lock().unwrap() = Mood::Answers(garbage.to_vec());
        let (app, _) = house.client([Reply::token("t1", 3600)]);
        assert_eq!(text(&app.token(&graph()).await.unwrap()), "t1");
    }
}

#[tokio::test]
async fn an_entry_that_stands_under_another_name_is_not_taken() {
    let house = House::new();
    let (first, _) = house.client([Reply::token("t1", 3600)]);
    first.token(&graph()).await.unwrap();
    let entry = house.cache.values().pop().unwrap();
    *house.cache.mood.lock().unwrap() = Mood::Answers(entry);
    let (second, _) = house.client([Reply::token("own", 3600)]);
    let other = request("api://other/.default");
    assert_eq!(text(&second.token(&other).await.unwrap()), "own");
    // Under its own name it would have been taken.
    assert_eq!(text(&second.token(&graph()).await.unwrap()), "t1");
}

#[tokio::test]
async fn whoever_lacks_the_key_reads_neither_value_nor_name_and_finds_nothing() {
    let house = House::new();
    let (first, _) = house.client([Reply::token("t1-of-some-length", 3600)]);
    first.token(&graph()).await.unwrap();
    for value in house.cache.values() {
        for readable in [&b"t1-of-some-length"[..], b"expires_on", CLIENT.as_bytes()] {
            assert!(!value.windows(readable.len()).any(|part| part == readable));
        }
    }
    let stranger = House {
        keys: KeyRing::new(SealingKey::generate()),
        ..house.clone()
    };
    let (second, _) = stranger.client([Reply::token("own", 3600)]);
    assert_eq!(text(&second.token(&graph()).await.unwrap()), "own");
    assert_eq!(house.cache.values().len(), 2);
}

#[tokio::test]
async fn a_request_that_passes_caches_by_renews_the_shared_token() {
    let house = House::new();
    let (first, _) = house.client([Reply::token("t1", 3600), Reply::token("t2", 3600)]);
    first.token(&graph()).await.unwrap();
    first.token(&graph().bypassing_cache()).await.unwrap();
    let (second, _) = house.client([]);
    assert_eq!(text(&second.token(&graph()).await.unwrap()), "t2");
}

/// Several processes with one cache and one key.
#[derive(Clone)]
struct House {
    clock: Arc<MovableClock>,
    cache: Arc<Memory>,
    keys: KeyRing,
}

impl House {
    fn new() -> Self {
        Self {
            clock: frozen(),
            cache: Arc::default(),
            keys: KeyRing::new(SealingKey::generate()),
        }
    }

    fn start(&self) -> time::OffsetDateTime {
        time::macros::datetime!(2026-01-01 00:00 UTC)
    }

    fn shared(&self) -> SharedTokens {
        SharedTokens::new(self.cache.clone(), self.keys.clone())
    }

    fn http(&self, script: impl IntoIterator<Item = Reply>) -> ScriptedHttp {
        ScriptedHttp::new(&self.clock, script)
    }

    fn client(
        &self,
        script: impl IntoIterator<Item = Reply>,
    ) -> (ConfidentialClient, ScriptedHttp) {
        let http = self.http(script);
        let client = client(&http, &self.clock, secret("s3cr3t~value"));
        (client.with_shared_tokens(self.shared()), http)
    }
}

/// A cache in memory, which can have a bad day.
#[derive(Debug, Default)]
struct Memory {
    entries: Mutex<HashMap<CacheName, (Vec<u8>, Duration)>>,
    mood: Mutex<Mood>,
}

#[derive(Clone, Debug, Default)]
enum Mood {
    #[default]
    Well,
    /// It cannot be reached.
    Down,
    /// It takes calls and does not answer.
    Silent,
    /// It answers this, whatever it is asked.
    Answers(Vec<u8>),
}

impl Memory {
    fn values(&self) -> Vec<Vec<u8>> {
        let entries = self.entries.lock().unwrap();
        entries.values().map(|(value, _)| value.clone()).collect()
    }

    fn times_to_live(&self) -> Vec<Duration> {
        let entries = self.entries.lock().unwrap();
        entries.values().map(|(_, time)| *time).collect()
    }

    fn mood(&self) -> Mood {
        self.mood.lock().unwrap().clone()
    }
}

#[async_trait]
impl TokenCache for Memory {
    async fn load(&self, name: &CacheName) -> Result<Option<Vec<u8>>, TokenCacheError> {
        match self.mood() {
            Mood::Down => Err(TokenCacheError::new("no connection")),
            Mood::Silent => std::future::pending().await,
            Mood::Answers(bytes) => Ok(Some(bytes)),
            Mood::Well => {
                let entries = self.entries.lock().unwrap();
                Ok(entries.get(name).map(|(value, _)| value.clone()))
            }
        }
    }

    async fn store(
        &self,
        name: &CacheName,
        value: &[u8],
        time_to_live: Duration,
    ) -> Result<(), TokenCacheError> {
        match self.mood() {
            Mood::Down => return Err(TokenCacheError::new("no connection")),
            Mood::Silent => std::future::pending().await,
            Mood::Well | Mood::Answers(_) => {}
        }
        let mut entries = self.entries.lock().unwrap();
        entries.insert(*name, (value.to_vec(), time_to_live));
        Ok(())
    }

    async fn remove(&self, name: &CacheName) -> Result<(), TokenCacheError> {
        self.entries.lock().unwrap().remove(name);
        Ok(())
    }
}
