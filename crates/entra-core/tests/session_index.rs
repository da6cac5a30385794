//! Which sessions end with a session at the provider: the index in memory, its limit, and clocks
//! that jump.

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
    Clock, MemorySessionIndex, MovableClock, SessionIndex, SessionIndexError, SessionKey, contract,
};
use time::OffsetDateTime;
use time::macros::datetime;

const NOON: OffsetDateTime = datetime!(2026-01-01 12:00 UTC);
const MINUTE: Duration = Duration::from_secs(60);
const NOTHING: [&str; 0] = [];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_index_in_memory_holds_the_contract() {
    let clock = Arc::new(MovableClock::frozen_at(NOON));
    let index: Arc<dyn SessionIndex> =
        Arc::new(MemorySessionIndex::new().with_clock(clock.clone()));
    contract::session_index::all([&index, &index], &*clock).await;
}

#[tokio::test]
async fn a_full_index_refuses_and_forgets_nothing_that_is_good() {
    let (index, clock) = index(2);
    index.add(&key(1), "a", NOON + MINUTE).await.unwrap();
    index.add(&key(1), "b", NOON + 2 * MINUTE).await.unwrap();
    for _ in 0..3 {
        let refused = index.add(&key(2), "c", NOON + MINUTE).await;
        assert!(matches!(
            refused,
            Err(SessionIndexError::Full { capacity: 2 })
        ));
    }
    // What it holds may still be noted for longer.
    index.add(&key(1), "b", NOON + 3 * MINUTE).await.unwrap();

    clock.advance(MINUTE + Duration::from_secs(1));
    index.add(&key(2), "c", NOON + 3 * MINUTE).await.unwrap();
    assert_eq!(index.take(&key(1)).await.unwrap(), ["b"]);
    assert_eq!(index.take(&key(2)).await.unwrap(), ["c"]);
}

#[tokio::test]
async fn an_index_has_room_again_for_each_session_that_ended_was_taken_or_removed() {
    let (index, clock) = index(100);
    for round in 0..10 {
        let end = clock.now() + 10 * MINUTE;
        for id in 0..100 {
            index.add(&key(id), "session", end).await.unwrap();
        }
        let refused = index.add(&key(0), "one more", end).await;
        assert!(matches!(refused, Err(SessionIndexError::Full { .. })));
        for id in 0..100 {
            match round % 3 {
                0 => assert_eq!(index.take(&key(id)).await.unwrap(), ["session"]),
                1 => index.remove(&key(id), "session").await.unwrap(),
                _ => clock.advance(MINUTE),
            }
        }
    }
}

#[tokio::test]
async fn a_session_that_is_prolonged_again_and_again_is_one_entry() {
    let (index, clock) = index(1);
    for _ in 0..1000 {
        clock.advance(MINUTE);
        let end = clock.now() + 10 * MINUTE;
        index.add(&key(1), "session", end).await.unwrap();
    }
    assert_eq!(index.take(&key(1)).await.unwrap(), ["session"]);
}

#[tokio::test]
async fn a_clock_that_is_put_forward_and_back_forgets_no_session() {
    let clock = Arc::new(JumpingClock::default());
    let index = MemorySessionIndex::new().with_clock(clock.clone());
    let end = clock.now() + 10 * MINUTE;
    index.add(&key(1), "session", end).await.unwrap();

    clock.jump(time::Duration::days(1));
    for id in 2..20 {
        let end = clock.now() + MINUTE;
        index.add(&key(id), "session", end).await.unwrap();
    }
    clock.jump(-time::Duration::days(1));
    assert_eq!(index.take(&key(1)).await.unwrap(), ["session"]);
}

#[tokio::test]
async fn a_clock_that_was_ahead_does_not_end_an_entry_early() {
    let clock = Arc::new(JumpingClock::default());
    let index = MemorySessionIndex::new().with_clock(clock.clone());
    let end = clock.now() + 10 * MINUTE;
    clock.jump(time::Duration::minutes(9));
    index.add(&key(1), "session", end).await.unwrap();

    // The minute that there was to go passes, and the time of day says that nine are left.
    clock.jump(-time::Duration::minutes(9));
    clock.pass(5 * MINUTE);
    assert_eq!(index.take(&key(2)).await.unwrap(), NOTHING);
    assert_eq!(index.take(&key(1)).await.unwrap(), ["session"]);
}

#[tokio::test]
async fn debug_shows_no_session() {
    let (index, _) = index(7);
    let key = SessionKey::new("contoso", "the-sid");
    index.add(&key, "the-cookie", NOON + MINUTE).await.unwrap();
    let shown = format!("{index:?} {key:?}");
    assert!(shown.contains("capacity: 7"), "{shown}");
    assert!(shown.contains("held: 1"), "{shown}");
    assert!(!shown.contains("the-"), "{shown}");
}

fn index(capacity: usize) -> (MemorySessionIndex, Arc<MovableClock>) {
    let clock = Arc::new(MovableClock::frozen_at(NOON));
    let index = MemorySessionIndex::new()
        .with_clock(clock.clone())
        .with_capacity(NonZeroUsize::new(capacity).unwrap());
    (index, clock)
}

fn key(id: u32) -> SessionKey {
    SessionKey::new("test", id.to_string())
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
