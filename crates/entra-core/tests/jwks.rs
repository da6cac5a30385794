//! The cache of an issuer's keys, and how it stands Entra's own key sets.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails"
)]

mod scripted;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use entra_core::{
    Clock as _, Error, HttpClient, JwkSetError, Jwks, JwksError, JwtRules, Limits, MovableClock,
    Pipeline, TransportError, TransportErrorKind, UnverifiedJwt, VerificationKey,
};
use scripted::{Gate, Reply, ScriptedHttp, settle};
use serde::Deserialize;
use serde_json::{Value, json};
use time::macros::datetime;
use tokio::task::JoinSet;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn a_known_key_costs_no_further_request() {
    let (keys, http, clock) = jwks([listing(&["a", "b"])]);
    assert!(keys.cached("a").is_none());
    assert_eq!(id(&keys.key("a").await), Some("a".to_owned()));
    assert_eq!(id(&keys.key("b").await), Some("b".to_owned()));
    clock.advance(HOUR - SECOND);
    assert!(keys.cached("a").is_some());
    assert_eq!(http.count(), 1);
    let seen = &http.seen()[0];
    assert_eq!(seen.method, http::Method::GET);
    assert_eq!(seen.uri.to_string(), URI);
    assert_eq!(seen.header("accept"), Some("application/json"));
    assert_eq!(seen.limits.body, 1_048_576);
}

#[tokio::test]
async fn a_token_finds_its_key_and_one_that_names_none_is_refused() {
    let (keys, http, _) = jwks([Reply::new(200, "application/json", KEYS)]);
    let tokens: BTreeMap<String, String> =
        serde_json::from_str(include_str!("fixtures/jose/tokens.json")).unwrap();
    let rules = JwtRules::new();
    let jwt = UnverifiedJwt::parse(&tokens["no-kid"], &rules).unwrap();
    assert!(matches!(keys.key_for(&jwt).await, Err(JwksError::NoKeyId)));
    assert_eq!(http.count(), 0);
    let jwt = UnverifiedJwt::parse(&tokens["rs256"], &rules).unwrap();
    let key = keys.key_for(&jwt).await.unwrap();
    assert!(jwt.verify(key).is_ok());
}

#[tokio::test]
async fn the_only_key_of_an_issuer_is_that_of_its_last_document() {
    let mut nameless = key(0, "");
    nameless.as_object_mut().unwrap().remove("kid");
    let (keys, http, clock) = jwks([
        Reply::json(200, &json!({"keys": [nameless]})),
        listing(&["a"]),
        listing(&["a", "b"]),
        listing(&["a", "b"]),
        listing(&["b"]),
    ]);
    assert_eq!(keys.only_key().await.unwrap().id(), None);
    assert_eq!(keys.only_key().await.unwrap().id(), None);
    assert_eq!(http.count(), 1);
    clock.advance(HOUR);
    assert_eq!(id(&keys.only_key().await), Some("a".to_owned()));
    clock.advance(HOUR);
    let several = |found| matches!(found, Err(JwksError::SeveralKeys));
    assert!(several(keys.only_key().await));
    assert!(several(keys.only_key().await));
    assert_eq!(http.count(), 3);
    clock.advance(5 * MINUTE);
    assert!(several(keys.only_key().await));
    clock.advance(5 * MINUTE);
    assert_eq!(id(&keys.only_key().await), Some("b".to_owned()));
    assert_eq!(http.count(), 5);
    assert!(keys.key("a").await.is_ok(), "it counts for a day");
}

#[tokio::test]
async fn a_thousand_tasks_without_keys_send_one_request() {
    let gate = Gate::closed();
    let (keys, http, _) = jwks([listing(&["a"]).behind(&gate)]);
    let mut tasks = asking(&keys, "a", 1000);
    settle().await;
    gate.open();
    while let Some(found) = tasks.join_next().await {
        assert_eq!(id(&found.unwrap()), Some("a".to_owned()));
    }
    assert_eq!(http.count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_tasks_on_several_threads_send_one_request() {
    let (keys, http, _) = jwks([listing(&["a"])]);
    let mut tasks = asking(&keys, "a", 1000);
    while let Some(found) = tasks.join_next().await {
        assert!(found.unwrap().is_ok());
    }
    assert_eq!(http.count(), 1);
}

#[tokio::test]
async fn a_thousand_tasks_with_unknown_keys_send_one_request_and_are_all_refused() {
    let gate = Gate::closed();
    let (keys, http, _) = jwks([listing(&["a"]), listing(&["a"]).behind(&gate)]);
    keys.key("a").await.unwrap();
    let mut tasks = JoinSet::new();
    for number in 0..1000 {
        let keys = keys.clone();
        tasks.spawn(async move { keys.key(&format!("made-up-{number}")).await });
    }
    settle().await;
    assert!(keys.key("a").await.is_ok(), "a known key waits for nobody");
    gate.open();
    while let Some(found) = tasks.join_next().await {
        assert!(matches!(found.unwrap(), Err(JwksError::UnknownKey)));
    }
    assert_eq!(http.count(), 2);
}

#[tokio::test]
async fn a_million_unknown_keys_cause_one_request_each_five_minutes() {
    let (keys, http, clock) = jwks([listing(&["a"]), listing(&["a"])]);
    for number in 0..1_000_000 {
        let found = keys.key(&format!("made-up-{number}")).await;
        assert!(matches!(found, Err(JwksError::UnknownKey)));
    }
    assert_eq!(http.count(), 1);
    clock.advance(5 * MINUTE - SECOND);
    assert!(keys.key("made-up").await.is_err());
    assert_eq!(http.count(), 1);
    clock.advance(SECOND);
    for _ in 0..1000 {
        assert!(keys.key("made-up").await.is_err());
    }
    assert_eq!(http.count(), 2);
}

#[tokio::test]
async fn a_new_key_is_found_at_once_by_the_first_token_that_names_it() {
    let (keys, http, clock) = jwks([listing(&["a"]), listing(&["a", "b"]), listing(&["c"])]);
    keys.key("a").await.unwrap();
    clock.advance(SECOND);
    assert_eq!(id(&keys.key("b").await), Some("b".to_owned()));
    // A fetch that brought what it was made for does not stand in the way of the next.
    assert_eq!(id(&keys.key("c").await), Some("c".to_owned()));
    assert_eq!(id(&keys.key("a").await), Some("a".to_owned()));
    assert_eq!(http.count(), 3);
}

#[tokio::test]
async fn whoever_is_cancelled_leaves_the_request_to_the_next_who_sends_no_second_one() {
    let gate = Gate::closed();
    let (keys, http, _) = jwks([listing(&["a"]).behind(&gate)]);
    for _ in 0..10 {
        let mut leader = asking(&keys, "a", 1);
        settle().await;
        leader.shutdown().await;
    }
    let mut waiters = asking(&keys, "a", 100);
    settle().await;
    gate.open();
    while let Some(found) = waiters.join_next().await {
        assert_eq!(id(&found.unwrap()), Some("a".to_owned()));
    }
    assert_eq!(http.count(), 1);
}

#[tokio::test]
async fn the_leader_of_many_is_succeeded_when_it_is_cancelled() {
    let gate = Gate::closed();
    let (keys, http, _) = jwks([listing(&["a"]).behind(&gate)]);
    let mut leader = asking(&keys, "a", 1);
    http.arrived(1).await;
    let mut waiters = asking(&keys, "a", 100);
    settle().await;
    leader.shutdown().await;
    gate.open();
    while let Some(found) = waiters.join_next().await {
        assert_eq!(id(&found.unwrap()), Some("a".to_owned()));
    }
    assert_eq!(http.count(), 1);
}

#[tokio::test]
async fn what_was_left_behind_is_as_old_as_its_request() {
    let gate = Gate::closed();
    let (keys, http, clock) = jwks([listing(&["a"]).behind(&gate), listing(&["b"])]);
    asking(&keys, "a", 1).shutdown().await;
    let mut leader = asking(&keys, "a", 1);
    http.arrived(1).await;
    leader.shutdown().await;
    clock.advance(24 * HOUR);
    gate.open();
    assert!(matches!(keys.key("a").await, Err(JwksError::UnknownKey)));
    clock.advance(5 * MINUTE);
    assert_eq!(id(&keys.key("b").await), Some("b".to_owned()));
    assert_eq!(http.count(), 2);
}

#[tokio::test]
async fn a_client_that_panics_breaks_the_call_alone() {
    let (keys, http, _) = jwks([]);
    let outcome = asking(&keys, "a", 1).join_next().await.unwrap();
    assert!(outcome.unwrap_err().is_panic(), "the script is empty");
    http.push(listing(&["a"]));
    assert_eq!(id(&keys.key("a").await), Some("a".to_owned()));
}

#[tokio::test]
async fn each_hour_one_caller_fetches_and_nobody_else_waits() {
    let gate = Gate::closed();
    let (keys, http, clock) = jwks([listing(&["a"]), listing(&["a", "b"]).behind(&gate)]);
    keys.key("a").await.unwrap();
    clock.advance(HOUR);
    let mut leader = asking(&keys, "a", 1);
    http.arrived(2).await;
    for _ in 0..100 {
        assert_eq!(id(&keys.key("a").await), Some("a".to_owned()));
    }
    gate.open();
    assert!(leader.join_next().await.unwrap().unwrap().is_ok());
    assert!(keys.cached("b").is_some());
    assert_eq!(http.count(), 2);
}

#[tokio::test]
async fn a_key_counts_for_a_day_after_it_was_last_listed() {
    let (keys, http, clock) = jwks((0..60).map(|hour| {
        listing(if hour <= 30 {
            &["gone", "stays"]
        } else {
            &["stays"]
        })
    }));
    for _ in 0..30 {
        keys.key("stays").await.unwrap();
        clock.advance(HOUR);
    }
    // Listed for the last time in the thirtieth hour.
    keys.key("stays").await.unwrap();
    assert_eq!(http.count(), 31);
    for _ in 0..23 {
        clock.advance(HOUR);
        keys.key("stays").await.unwrap();
        assert!(keys.key("gone").await.is_ok());
    }
    clock.advance(HOUR - SECOND);
    assert!(keys.key("gone").await.is_ok());
    clock.advance(SECOND);
    assert!(matches!(keys.key("gone").await, Err(JwksError::UnknownKey)));
    assert!(keys.key("stays").await.is_ok());
}

#[tokio::test]
async fn no_key_seen_within_a_day_is_refused_in_five_months_of_entra() {
    let history: History =
        serde_json::from_str(include_str!("fixtures/entra-keys/history.json")).unwrap();
    let (first, last) = (history.looks[0].0, history.looks.last().unwrap().0);
    let clock = frozen();
    let http = Published::default();
    let keys = over(http.clone(), &clock);
    let mut moments: BTreeMap<u64, Option<&Vec<usize>>> = (first..last)
        .step_by(3600)
        .map(|hour| (hour, None))
        .collect();
    moments.extend(history.looks.iter().map(|(at, listed)| (*at, Some(listed))));

    let mut now = first;
    let mut last_served: BTreeMap<usize, u64> = BTreeMap::new();
    let (mut missed, mut came_back) = (BTreeSet::new(), BTreeSet::<usize>::new());
    for (at, change) in moments {
        clock.advance(SECOND * u32::try_from(at - now).unwrap());
        now = at;
        if let Some(listed) = change {
            let ids = listed.iter().map(|key| history.ids[*key].as_str());
            http.publish(document(&ids.collect::<Vec<_>>()), listed);
            came_back.extend(listed.iter().filter(|key| missed.contains(*key)));
        }
        for (key, id) in history.ids.iter().enumerate() {
            let found = keys.key(id).await;
            last_served.extend(http.served().into_iter().map(|served| (served, now)));
            let counts = last_served
                .get(&key)
                .is_some_and(|seen| now - seen < 86_400);
            assert_eq!(found.is_ok(), counts, "{id} at {now}: {found:?}");
            if counts && !http.lists(key) {
                missed.insert(key);
            }
        }
    }
    // A cache that drops what is not listed would have refused these while they were in use.
    assert_eq!(came_back.len(), 34);
}

#[tokio::test]
async fn a_failed_refresh_keeps_the_keys_and_is_repeated_after_five_minutes() {
    let too_large = TransportErrorKind::BodyTooLarge { limit: 1_048_576 };
    let failures = [
        Reply::new(503, "text/html", "<html>").header("retry-after", "20"),
        Reply::new(429, "text/plain", "").header("retry-after", "60"),
        Reply::new(404, "text/plain", ""),
        Reply::new(302, "text/plain", "").header("location", "https://evil.example/keys"),
        Reply::new(200, "text/html", "<html>"),
        Reply::json(200, &json!({"keys": []})),
        Reply::json(200, &json!([])),
        Reply::fails(TransportErrorKind::Timeout),
        Reply::fails(too_large),
    ];
    let count = failures.len();
    let (keys, http, clock) = jwks([listing(&["a"])].into_iter().chain(failures));
    keys.key("a").await.unwrap();
    clock.advance(HOUR);
    for failed in 1..=count {
        let before = clock.now();
        assert!(keys.key("a").await.is_ok());
        assert_eq!(clock.now(), before, "nobody waited for a retry");
        assert_eq!(http.count(), 1 + failed);
        clock.advance(5 * MINUTE - SECOND);
        assert!(keys.key("a").await.is_ok());
        assert_eq!(http.count(), 1 + failed);
        clock.advance(SECOND);
    }
}

#[tokio::test]
async fn the_last_good_keys_do_not_outlive_their_day() {
    let clock = frozen();
    let http = Published::default();
    http.publish(document(&["a"]), &[]);
    let keys = over(http.clone(), &clock);
    keys.key("a").await.unwrap();
    http.publish("<html>".to_owned(), &[]);
    clock.advance(24 * HOUR - SECOND);
    assert!(keys.key("a").await.is_ok());
    clock.advance(10 * SECOND);
    let error = keys.key("a").await.unwrap_err();
    assert!(
        matches!(
            &error,
            JwksError::Document { host, source: JwkSetError::NotJson }
                if host == "login.microsoftonline.com"
        ),
        "{error:?}"
    );
    http.publish(document(&["a"]), &[]);
    clock.advance(10 * SECOND);
    assert!(keys.key("a").await.is_ok());
}

#[tokio::test]
async fn without_any_key_a_failure_is_shared_and_the_next_request_comes_ten_seconds_later() {
    let gate = Gate::closed();
    let refusal = || Reply::fails(TransportErrorKind::Tls);
    let (keys, http, clock) = jwks([refusal().behind(&gate), refusal(), listing(&["a"])]);
    let mut tasks = asking(&keys, "a", 100);
    settle().await;
    gate.open();
    while let Some(found) = tasks.join_next().await {
        let error = found.unwrap().unwrap_err();
        assert!(matches!(error, JwksError::Fetch(Error::Transport { .. })));
    }
    assert!(keys.key("a").await.is_err());
    assert_eq!(http.count(), 1);
    for (wait, expected) in [(9, 1), (1, 2), (9, 2)] {
        clock.advance(wait * SECOND);
        assert!(keys.key("a").await.is_err());
        assert_eq!(http.count(), expected);
    }
    clock.advance(SECOND);
    assert!(keys.key("a").await.is_ok());
}

#[tokio::test]
async fn the_first_fetch_is_tried_again_at_once_where_that_may_help() {
    let blip = Reply::fails(TransportErrorKind::Connect);
    let (keys, http, _) = jwks([blip, listing(&["a"])]);
    assert!(keys.key("a").await.is_ok());
    assert_eq!(http.count(), 2);
}

#[tokio::test]
async fn while_the_keys_cannot_be_had_the_fault_is_not_the_tokens() {
    let unavailable = || Reply::new(503, "text/plain", "");
    let script = std::iter::once(listing(&["a"])).chain((0..5).map(|_| unavailable()));
    let (keys, http, _) = jwks(script);
    keys.key("a").await.unwrap();
    for _ in 0..2 {
        let error = keys.key("b").await.unwrap_err();
        assert!(error.is_retryable(), "{error:?}");
        assert!(!error.admin_hint().is_empty());
    }
    assert_eq!(http.count(), 6, "the policy's five attempts, once");
    assert!(!JwksError::UnknownKey.is_retryable());
}

#[tokio::test]
async fn a_key_that_is_listed_with_other_numbers_is_the_listed_one() {
    let other = json!({"keys": [key(1, "a")]}).to_string();
    let (keys, _, clock) = jwks([listing(&["a"]), Reply::new(200, "application/json", other)]);
    let before = keys.key("a").await.unwrap();
    clock.advance(HOUR);
    let after = keys.key("a").await.unwrap();
    assert_eq!(
        before.issuer(),
        Some("https://login.microsoftonline.com/{tenantid}/v2.0")
    );
    assert_eq!(after.issuer(), None);
}

#[tokio::test]
async fn the_background_work_fetches_at_once_and_before_any_caller_has_to() {
    let (keys, http, clock) = jwks([
        listing(&["a"]),
        listing(&["a"]),
        Reply::new(503, "text/plain", ""),
        listing(&["a"]),
    ]);
    // Time passes as fast as the background work sleeps.
    keys.refresh_ahead(async {
        http.arrived(4).await;
        assert!(
            keys.cached("a").is_some(),
            "a caller would have had to wait"
        );
    })
    .await;
    let start = datetime!(2026-01-01 00:00 UTC);
    let times: Vec<_> = http
        .seen()
        .iter()
        .map(|seen| (seen.at - start).whole_seconds())
        .collect();
    // Two ticks before the hour; after a failure two ticks before the five minutes.
    assert_eq!(times, [0, 3540, 7080, 7320]);
    assert!(clock.now() < datetime!(2026-01-01 02:05 UTC));
}

#[test]
fn what_is_shown_of_a_cache_is_where_it_fetches_from() {
    let (keys, ..) = jwks([]);
    assert_eq!(
        format!("{keys:?}"),
        format!("Jwks {{ uri: \"{URI}\", known: 0, .. }}")
    );
    assert_eq!(keys.uri().as_str(), URI);
}

/// Which keys Entra listed, and when.
#[derive(Deserialize)]
struct History {
    ids: Vec<String>,
    /// Unix seconds, and positions in `ids`.
    looks: Vec<(u64, Vec<usize>)>,
}

/// Answers with whatever document is published at this moment.
#[derive(Clone, Debug, Default)]
struct Published(Arc<Mutex<Document>>);

#[derive(Debug, Default)]
struct Document {
    text: Bytes,
    listed: Vec<usize>,
    served: BTreeSet<usize>,
}

impl Published {
    fn publish(&self, text: String, listed: &[usize]) {
        let mut document = self.0.lock().unwrap();
        document.text = text.into();
        document.listed = listed.to_vec();
    }

    fn lists(&self, key: usize) -> bool {
        self.0.lock().unwrap().listed.contains(&key)
    }

    /// What was handed out since this was last asked.
    fn served(&self) -> BTreeSet<usize> {
        std::mem::take(&mut self.0.lock().unwrap().served)
    }
}

#[async_trait]
impl HttpClient for Published {
    async fn send(
        &self,
        _: http::Request<Bytes>,
        _: Limits,
    ) -> Result<http::Response<Bytes>, TransportError> {
        let mut document = self.0.lock().unwrap();
        let listed = document.listed.clone();
        document.served.extend(listed);
        Ok(http::Response::new(document.text.clone()))
    }
}

fn jwks(script: impl IntoIterator<Item = Reply>) -> (Jwks, ScriptedHttp, Arc<MovableClock>) {
    let clock = frozen();
    let http = ScriptedHttp::new(&clock, script);
    (over(http.clone(), &clock), http, clock)
}

fn over(http: impl HttpClient + 'static, clock: &Arc<MovableClock>) -> Jwks {
    Jwks::new(
        Pipeline::new(http).with_clock(clock.clone()),
        URI.parse().unwrap(),
    )
}

fn frozen() -> Arc<MovableClock> {
    Arc::new(MovableClock::frozen_at(datetime!(2026-01-01 00:00 UTC)))
}

fn listing(ids: &[&str]) -> Reply {
    Reply::new(200, "application/json", document(ids))
}

/// A document that lists one key under these ids.
fn document(ids: &[&str]) -> String {
    let keys: Vec<Value> = ids.iter().map(|id| key(0, id)).collect();
    json!({"keys": keys}).to_string()
}

/// A key of the fixtures under another id.
fn key(position: usize, id: &str) -> Value {
    let mut key = serde_json::from_str::<Value>(KEYS).unwrap()["keys"][position].take();
    key["kid"] = json!(id);
    key
}

fn asking(
    keys: &Jwks,
    id: &'static str,
    count: usize,
) -> JoinSet<Result<Arc<VerificationKey>, JwksError>> {
    let mut tasks = JoinSet::new();
    for _ in 0..count {
        let keys = keys.clone();
        tasks.spawn(async move { keys.key(id).await });
    }
    tasks
}

fn id(found: &Result<Arc<VerificationKey>, JwksError>) -> Option<String> {
    found.as_ref().ok()?.id().map(str::to_owned)
}

const URI: &str = "https://login.microsoftonline.com/common/discovery/v2.0/keys";
const KEYS: &str = include_str!("fixtures/jose/keys.json");
