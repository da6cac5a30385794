//! What may be used once: an insertion into `MemoryOneTimeStore` against the least that a store can
//! do, which is to read both clocks, to put a key into a map and to take the oldest one out.
//!
//! Goal: twice the floor, while as many keys end as come, whether the store holds 10,000 or 100,000
//! of them. Both wait for memory most of the time.

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

const LIFE: Duration = Duration::from_secs(600);

fn main() {
    for held in [10_000, 100_000] {
        let [floor, store] = measured(held);
        goal("times the floor", store / floor, 2.0);
    }
}

/// Nanoseconds of the floor and of the store, which hold so many keys.
fn measured(held: usize) -> [f64; 2] {
    let keys: Vec<OneTimeKey> = (0..4 * held).map(key).collect();
    let at = |index: usize| &keys[index % keys.len()];
    let clock = Arc::new(SteppingClock::default());
    let store = MemoryOneTimeStore::new()
        .with_capacity(NonZeroUsize::new(2 * held).unwrap())
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
            if floor_next >= held {
                map.remove(at(floor_next - held));
            }
            floor_next += 1;
        }
    };
    let mut next = 0;
    let mut new = |n: u64| {
        for _ in 0..n {
            clock.step(held);
            assert!(insert(at(next)));
            next += 1;
        }
    };
    floor(2 * held as u64);
    new(2 * held as u64);
    let hash = |n: u64| {
        for index in 0..n {
            black_box(key(index as usize));
        }
    };
    let clocks = |n: u64| {
        for _ in 0..n {
            clock.step(held);
            black_box(clock.moment() + LIFE);
            black_box(clock.now());
            black_box(clock.monotonic());
        }
    };
    let title = format!("a new key while another ends, {held} held");
    let mut sides = [
        Side::new("floor: clocks and a map", floor),
        Side::new("MemoryOneTimeStore::insert_once", new),
        Side::new("of it: the clocks", clocks),
        Side::new("OneTimeKey::new", hash),
    ];
    compare(&title, &mut sides, 41, 100_000);
    [sides[0].min(), sides[1].min()]
}

fn key(id: usize) -> OneTimeKey {
    OneTimeKey::new("bench", [b"https://idp.example", &id.to_be_bytes()[..]])
}

/// A clock that takes as long to read as the system's, and that goes on with each key.
#[derive(Debug, Default)]
struct SteppingClock(AtomicU64);

impl SteppingClock {
    /// Goes on so far that a store holds this many keys.
    fn step(&self, held: usize) {
        let step = LIFE.as_nanos() as u64 / held as u64;
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
