//! What may be used once: an insertion into `MemoryOneTimeStore` against the least that a store can
//! do, which is to read both clocks, to put a key into a map and to take the oldest one out.
//!
//! Goals: at most 200 ns for a new key, while as many end as come, and for one that was used. The
//! store holds 100,000.

#[path = "measure.rs"]
mod measure;

use std::collections::HashMap;
use std::hint::black_box;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use entra_core::{Clock, MemoryOneTimeStore, OneTimeKey, OneTimeStore as _, SystemClock};
use futures_util::FutureExt as _;
use measure::{Side, compare, goal};
use time::OffsetDateTime;

const HELD: usize = 100_000;
const LIFE: Duration = Duration::from_secs(600);

fn main() {
    let keys: Vec<OneTimeKey> = (0..4 * HELD).map(key).collect();
    let at = |index: usize| &keys[index % keys.len()];
    let clock = Arc::new(SteppingClock::default());
    let store = MemoryOneTimeStore::new()
        .with_capacity(NonZeroUsize::new(2 * HELD).unwrap())
        .with_clock(clock.clone());
    let insert = |key: &OneTimeKey| {
        let end = clock.moment() + LIFE;
        let inserted = store.insert_once(black_box(key), end).now_or_never();
        inserted.unwrap().unwrap()
    };
    let mut map = HashMap::new();
    let mut floor_next = 0;
    let mut floor = |n: u64| {
        for _ in 0..n {
            let end = black_box(clock.now()) + black_box(clock.monotonic());
            map.insert(*at(floor_next), end);
            if floor_next >= HELD {
                map.remove(at(floor_next - HELD));
            }
            floor_next += 1;
        }
    };
    floor(HELD as u64);
    let mut next = 0;
    let mut new = |n: u64| {
        for _ in 0..n {
            clock.step();
            assert!(insert(at(next)));
            next += 1;
        }
    };
    new(2 * HELD as u64);
    let latest = 2 * HELD - 1;
    let used = |n: u64| {
        for _ in 0..n {
            assert!(!insert(at(latest)));
        }
    };
    compare(
        "a key that was used",
        &mut [Side::new("MemoryOneTimeStore::insert_once", used)],
        41,
        100_000,
    );
    let hash = |n: u64| {
        for index in 0..n {
            black_box(key(index as usize));
        }
    };
    let mut sides = [
        Side::new("floor: clocks and a map", floor),
        Side::new("MemoryOneTimeStore::insert_once", new),
        Side::new("OneTimeKey::new", hash),
    ];
    compare("a new key, while another ends", &mut sides, 41, 100_000);
    goal("ns", sides[1].min(), 200.0);
    goal("times the floor", sides[1].min() / sides[0].min(), 1.5);
}

fn key(id: usize) -> OneTimeKey {
    OneTimeKey::new("bench", [b"https://idp.example", &id.to_be_bytes()[..]])
}

/// A clock that takes as long to read as the system's, and that goes on by what lies between two
/// keys where the store holds as many as it does here.
#[derive(Debug, Default)]
struct SteppingClock(AtomicU64);

impl SteppingClock {
    fn step(&self) {
        let step = LIFE.as_nanos() as u64 / HELD as u64;
        self.0.fetch_add(step, Ordering::Relaxed);
    }

    fn moment(&self) -> OffsetDateTime {
        OffsetDateTime::UNIX_EPOCH + self.passed()
    }

    fn passed(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::Relaxed))
    }
}

#[async_trait]
impl Clock for SteppingClock {
    fn now(&self) -> OffsetDateTime {
        black_box(SystemClock.now());
        self.moment()
    }

    fn monotonic(&self) -> Duration {
        black_box(SystemClock.monotonic());
        self.passed()
    }

    async fn sleep(&self, _: Duration) {}
}
