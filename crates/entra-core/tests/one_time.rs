//! What may be used once: the store in memory, its limit, and clocks that jump.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use entra_core::{
    Clock, MemoryOneTimeStore, MovableClock, OneTimeError, OneTimeKey, OneTimeStore, contract,
};
use time::OffsetDateTime;
use time::macros::datetime;

const NOON: OffsetDateTime = datetime!(2026-01-01 12:00 UTC);
const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_store_in_memory_holds_the_contract() {
    let clock = Arc::new(MovableClock::frozen_at(NOON));
    let store: Arc<dyn OneTimeStore> =
        Arc::new(MemoryOneTimeStore::new().with_clock(clock.clone()));
    contract::one_time_store::all([&store, &store], &*clock).await;
}

#[tokio::test]
async fn a_full_store_refuses_and_forgets_nothing_that_is_good() {
    let (store, clock) = store(2);
    assert!(store.insert_once(&key(1), NOON + MINUTE).await.unwrap());
    assert!(store.insert_once(&key(2), NOON + 2 * MINUTE).await.unwrap());
    for _ in 0..3 {
        let refused = store.insert_once(&key(3), NOON + 3 * MINUTE).await;
        assert!(matches!(refused, Err(OneTimeError::Full { capacity: 2 })));
    }
    // A full store still knows what it holds.
    assert!(!store.insert_once(&key(1), NOON + MINUTE).await.unwrap());
    assert!(!store.insert_once(&key(2), NOON + MINUTE).await.unwrap());

    clock.advance(MINUTE + Duration::from_secs(1));
    assert!(store.insert_once(&key(3), NOON + 3 * MINUTE).await.unwrap());
    assert!(!store.insert_once(&key(2), NOON + 2 * MINUTE).await.unwrap());
}

#[tokio::test]
async fn a_store_has_room_again_for_each_key_that_ended() {
    let (store, clock) = store(1000);
    for round in 0..10 {
        let end = clock.now() + MINUTE;
        for id in 0..1000 {
            assert!(
                store
                    .insert_once(&key(round * 1000 + id), end)
                    .await
                    .unwrap()
            );
        }
        let refused = store.insert_once(&key(u32::MAX), end).await;
        assert!(matches!(refused, Err(OneTimeError::Full { .. })));
        clock.advance(2 * MINUTE);
    }
}

#[tokio::test]
async fn a_key_may_come_anew_in_the_second_in_which_it_ended() {
    let (store, clock) = store(1);
    let millisecond = Duration::from_millis(1);
    for _ in 0..2500 {
        let end = clock.now() + millisecond;
        assert!(store.insert_once(&key(1), end).await.unwrap());
        assert!(!store.insert_once(&key(1), end).await.unwrap());
        clock.advance(millisecond);
    }
}

#[tokio::test]
async fn a_clock_that_is_put_forward_and_back_makes_no_key_good_again() {
    let clock = Arc::new(JumpingClock::default());
    let store = MemoryOneTimeStore::new().with_clock(clock.clone());
    let end = clock.now() + 10 * MINUTE;
    assert!(store.insert_once(&key(1), end).await.unwrap());

    clock.jump(time::Duration::days(1));
    for id in 2..20 {
        assert!(
            store
                .insert_once(&key(id), clock.now() + MINUTE)
                .await
                .unwrap()
        );
    }
    clock.jump(-time::Duration::days(1));
    assert!(!store.insert_once(&key(1), end).await.unwrap());
}

#[tokio::test]
async fn a_clock_that_was_ahead_does_not_end_a_key_early() {
    let clock = Arc::new(JumpingClock::default());
    let store = MemoryOneTimeStore::new()
        .with_clock(clock.clone())
        .with_capacity(NonZeroUsize::new(20).unwrap());
    let end = clock.now() + 10 * MINUTE;
    clock.jump(time::Duration::minutes(9));
    assert!(store.insert_once(&key(1), end).await.unwrap());

    clock.jump(-time::Duration::minutes(9));
    clock.pass(5 * MINUTE);
    for id in 2..20 {
        assert!(
            store
                .insert_once(&key(id), clock.now() + MINUTE)
                .await
                .unwrap()
        );
    }
    assert!(!store.insert_once(&key(1), end).await.unwrap());
    clock.pass(6 * MINUTE);
    for id in 102..120 {
        assert!(
            store
                .insert_once(&key(id), clock.now() + MINUTE)
                .await
                .unwrap()
        );
    }
}

#[test]
fn debug_shows_no_key() {
    let (store, _) = store(7);
    let shown = format!("{store:?}");
    assert!(shown.contains("capacity: 7"), "{shown}");
    assert!(shown.contains("keys: 0"), "{shown}");
}

fn store(capacity: usize) -> (MemoryOneTimeStore, Arc<MovableClock>) {
    let clock = Arc::new(MovableClock::frozen_at(NOON));
    let store = MemoryOneTimeStore::new()
        .with_clock(clock.clone())
        .with_capacity(NonZeroUsize::new(capacity).unwrap());
    (store, clock)
}

fn key(id: u32) -> OneTimeKey {
    OneTimeKey::new("test", [id.to_be_bytes()])
}

/// A clock whose time of day is set by hand while time passes.
#[derive(Debug)]
struct JumpingClock(Mutex<(OffsetDateTime, Duration)>);

impl Default for JumpingClock {
    fn default() -> Self {
        Self(Mutex::new((NOON, Duration::ZERO)))
    }
}

impl JumpingClock {
    fn jump(&self, by: time::Duration) {
        self.0.lock().unwrap().0 += by;
    }

    fn pass(&self, duration: Duration) {
        let mut state = self.0.lock().unwrap();
        state.0 += duration;
        state.1 += duration;
    }
}

#[async_trait]
impl Clock for JumpingClock {
    fn now(&self) -> OffsetDateTime {
        self.0.lock().unwrap().0
    }

    fn monotonic(&self) -> Duration {
        self.0.lock().unwrap().1
    }

    async fn sleep(&self, duration: Duration) {
        self.pass(duration);
    }
}
