//! The second level of the token cache, in memory.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use entra_core::{CacheName, MemoryTokenCache, MovableClock, TokenCache, contract};
use time::macros::datetime;

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cache_in_memory_holds_the_contract() {
    let clock = clock();
    let cache: Arc<dyn TokenCache> = Arc::new(MemoryTokenCache::new().with_clock(clock.clone()));
    contract::token_cache::all([&cache, &cache], &*clock).await;
}

#[tokio::test]
async fn a_full_cache_drops_what_has_ended_before_what_has_not() {
    let clock = clock();
    let cache = cache(16, &clock);
    for id in 0..8 {
        cache.store(&name(id), b"short", MINUTE).await.unwrap();
    }
    for id in 8..16 {
        cache.store(&name(id), b"long", 9 * MINUTE).await.unwrap();
    }
    clock.advance(2 * MINUTE);
    cache.store(&name(16), b"new", MINUTE).await.unwrap();
    assert_eq!(held(&cache, 0..8).await, 0);
    assert_eq!(held(&cache, 8..17).await, 9);
}

#[tokio::test]
async fn a_cache_never_holds_more_than_it_may_and_always_takes_the_newest() {
    let clock = clock();
    for capacity in [1, 2, 16] {
        let cache = cache(capacity, &clock);
        for id in 0..100 {
            cache.store(&name(id), b"token", MINUTE).await.unwrap();
            assert!(cache.load(&name(id)).await.unwrap().is_some());
            assert!(held(&cache, 0..100).await <= capacity);
        }
        assert!(held(&cache, 0..100).await >= capacity - capacity.div_ceil(8));
    }
}

#[tokio::test]
async fn replacing_an_entry_of_a_full_cache_drops_no_other() {
    let clock = clock();
    let cache = cache(4, &clock);
    for id in [0, 1, 2, 3, 0, 1, 2, 3] {
        cache.store(&name(id), b"token", MINUTE).await.unwrap();
    }
    assert_eq!(held(&cache, 0..4).await, 4);
}

fn clock() -> Arc<MovableClock> {
    Arc::new(MovableClock::frozen_at(datetime!(2026-01-01 12:00 UTC)))
}

fn cache(capacity: usize, clock: &Arc<MovableClock>) -> MemoryTokenCache {
    MemoryTokenCache::new()
        .with_clock(clock.clone())
        .with_capacity(NonZeroUsize::new(capacity).unwrap())
}

async fn held(cache: &MemoryTokenCache, ids: std::ops::Range<u8>) -> usize {
    let mut held = 0;
    for id in ids {
        held += usize::from(cache.load(&name(id)).await.unwrap().is_some());
    }
    held
}

fn name(id: u8) -> CacheName {
    CacheName::from_bytes([id; 32])
}
