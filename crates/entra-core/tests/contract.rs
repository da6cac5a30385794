//! The contracts of the stores can fail: each fault is found by the property that is about it.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails"
)]

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use entra_core::contract::{one_time_store as once, token_cache as cache};
use entra_core::{
    CacheName, Clock as _, MemoryTokenCache, MovableClock, OneTimeError, OneTimeKey, OneTimeStore,
    TokenCache, TokenCacheError,
};
use time::OffsetDateTime;
use time::macros::datetime;
use tokio::task::JoinSet;

/// Whether a property fails for these nodes; with `clock`, time passes on the given one.
macro_rules! fails {
    ($property:path, $nodes:expr) => {{
        let [one, other] = $nodes;
        panics(async move { $property([&one, &other]).await }).await
    }};
    ($property:path, $nodes:expr, $clock:expr) => {{
        let ([one, other], clock) = ($nodes, $clock);
        panics(async move { $property([&one, &other], &*clock).await }).await
    }};
}

#[tokio::test]
async fn a_faulty_cache_fails_the_property_that_its_fault_is_about() {
    use CacheFault as F;
    let faulty = |fault| both(shared_cache(FaultyCache::new(fault)));
    let apart = [(); 2].map(|()| shared_cache(MemoryTokenCache::new()));
    // No time passes for the cache, so that nothing ends.
    let stopped = || both(shared_cache(MemoryTokenCache::new()));

    assert!(fails!(cache::what_one_node_stores_another_loads, apart));
    assert!(fails!(cache::nothing_is_under_a_new_name, {
        let nodes = faulty(F::OneEntry);
        let name = CacheName::from_bytes([0; 32]);
        nodes[0].store(&name, b"", Duration::MAX).await.unwrap();
        nodes
    }));
    assert!(fails!(
        cache::calls_at_once_are_not_mixed_up,
        faulty(F::OneEntry)
    ));
    assert!(fails!(
        cache::similar_names_are_not_mixed_up,
        faulty(F::ShortNames)
    ));
    assert!(fails!(cache::any_bytes_are_kept, faulty(F::TextOnly)));
    assert!(fails!(
        cache::a_second_value_replaces_the_first,
        faulty(F::KeepsTheFirst)
    ));
    assert!(fails!(
        cache::a_dropped_call_leaves_the_next_ones_alone,
        faulty(F::AnswersInTurn)
    ));
    assert!(fails!(
        cache::a_removed_entry_is_gone,
        faulty(F::NeverRemoves)
    ));
    assert!(fails!(
        cache::removing_nothing_is_no_error,
        faulty(F::RemovesOnlyWhatIsThere)
    ));
    assert!(fails!(
        cache::an_entry_ends_with_its_time,
        stopped(),
        clock()
    ));
    assert!(fails!(
        cache::the_last_time_to_live_counts,
        stopped(),
        clock()
    ));
    assert!(fails!(
        cache::no_time_to_live_leaves_nothing,
        faulty(F::SkipsWithoutTime)
    ));
    assert!(fails!(
        cache::the_longest_time_to_live_is_accepted,
        faulty(F::RefusesLongTimes)
    ));
}

#[tokio::test]
async fn a_faulty_one_time_store_fails_the_property_that_its_fault_is_about() {
    use OnceFault as F;
    let time = clock();
    let with = |fault| shared_store(FaultyStore::new(fault, &time));
    let faulty = |fault| both(with(fault));
    let apart = || [with(F::None), with(F::None)];
    let time = || Arc::clone(&time);

    assert!(fails!(
        once::the_first_is_told_so_and_nobody_after,
        apart(),
        time()
    ));
    assert!(fails!(
        once::exactly_one_of_many_at_once_is_the_first,
        apart(),
        time()
    ));
    assert!(fails!(
        once::exactly_one_of_many_at_once_is_the_first,
        faulty(F::LooksFirst),
        time()
    ));
    assert!(fails!(
        once::a_key_says_nothing_of_another,
        faulty(F::OneKey),
        time()
    ));
    assert!(fails!(
        once::a_dropped_call_leaves_the_next_ones_alone,
        faulty(F::AnswersInTurn),
        time()
    ));
    assert!(fails!(
        once::what_has_expired_is_refused,
        faulty(F::TakesTheExpired),
        time()
    ));
    assert!(fails!(
        once::a_key_is_held_until_its_end_and_no_longer,
        faulty(F::NeverForgets),
        time()
    ));
    assert!(fails!(
        once::a_key_is_held_until_its_end_and_no_longer,
        faulty(F::ForgetsAllAtOnce),
        time()
    ));
    assert!(fails!(
        once::a_second_call_changes_no_end,
        faulty(F::LastEndCounts),
        time()
    ));
    assert!(fails!(
        once::the_latest_end_is_accepted,
        faulty(F::RefusesLongTimes)
    ));
}

async fn panics(property: impl Future<Output = ()> + Send + 'static) -> bool {
    let mut runs = JoinSet::new();
    runs.spawn(property);
    let run = runs.join_next().await;
    run.is_some_and(|run| run.is_err_and(|error| error.is_panic()))
}

fn shared_cache(cache: impl TokenCache + 'static) -> Arc<dyn TokenCache> {
    Arc::new(cache)
}

fn shared_store(store: impl OneTimeStore + 'static) -> Arc<dyn OneTimeStore> {
    Arc::new(store)
}

fn both<S: ?Sized>(store: Arc<S>) -> [Arc<S>; 2] {
    [Arc::clone(&store), store]
}

fn clock() -> Arc<MovableClock> {
    Arc::new(MovableClock::frozen_at(datetime!(2026-01-01 12:00 UTC)))
}

#[derive(Debug, PartialEq)]
enum CacheFault {
    OneEntry,
    ShortNames,
    TextOnly,
    KeepsTheFirst,
    AnswersInTurn,
    NeverRemoves,
    RemovesOnlyWhatIsThere,
    SkipsWithoutTime,
    RefusesLongTimes,
}

#[derive(Debug)]
struct FaultyCache {
    fault: CacheFault,
    inner: MemoryTokenCache,
    answers: Mutex<VecDeque<Option<Vec<u8>>>>,
}

impl FaultyCache {
    fn new(fault: CacheFault) -> Self {
        Self {
            fault,
            inner: MemoryTokenCache::new(),
            answers: Mutex::default(),
        }
    }

    fn name(&self, name: &CacheName) -> CacheName {
        let mut bytes = *name.as_bytes();
        match self.fault {
            CacheFault::OneEntry => bytes = [0; 32],
            CacheFault::ShortNames => bytes[31] = 0,
            _ => {}
        }
        CacheName::from_bytes(bytes)
    }
}

#[async_trait]
impl TokenCache for FaultyCache {
    async fn load(&self, name: &CacheName) -> Result<Option<Vec<u8>>, TokenCacheError> {
        let answer = self.inner.load(&self.name(name)).await?;
        if self.fault != CacheFault::AnswersInTurn {
            return Ok(answer);
        }
        self.answers.lock().unwrap().push_back(answer);
        tokio::task::yield_now().await;
        Ok(self.answers.lock().unwrap().pop_front().unwrap())
    }

    async fn store(
        &self,
        name: &CacheName,
        value: &[u8],
        time_to_live: Duration,
    ) -> Result<(), TokenCacheError> {
        let name = self.name(name);
        match self.fault {
            CacheFault::KeepsTheFirst if self.inner.load(&name).await?.is_some() => return Ok(()),
            CacheFault::SkipsWithoutTime if time_to_live.is_zero() => return Ok(()),
            CacheFault::RefusesLongTimes if time_to_live == Duration::MAX => {
                return Err(TokenCacheError::new("too long"));
            }
            _ => {}
        }
        let text = String::from_utf8_lossy(value);
        let value = match self.fault {
            CacheFault::TextOnly => text.as_bytes(),
            _ => value,
        };
        self.inner.store(&name, value, time_to_live).await?;
        // Others get their turn before this caller goes on.
        tokio::task::yield_now().await;
        Ok(())
    }

    async fn remove(&self, name: &CacheName) -> Result<(), TokenCacheError> {
        match self.fault {
            CacheFault::NeverRemoves => Ok(()),
            CacheFault::RemovesOnlyWhatIsThere if self.inner.load(name).await?.is_none() => {
                Err(TokenCacheError::new("not there"))
            }
            _ => self.inner.remove(name).await,
        }
    }
}

#[derive(Debug, PartialEq)]
enum OnceFault {
    None,
    LooksFirst,
    OneKey,
    AnswersInTurn,
    TakesTheExpired,
    NeverForgets,
    ForgetsAllAtOnce,
    LastEndCounts,
    RefusesLongTimes,
}

#[derive(Debug)]
struct FaultyStore {
    fault: OnceFault,
    clock: Arc<MovableClock>,
    ends: Mutex<HashMap<OneTimeKey, OffsetDateTime>>,
    answers: Mutex<VecDeque<bool>>,
}

impl FaultyStore {
    fn new(fault: OnceFault, clock: &Arc<MovableClock>) -> Self {
        Self {
            fault,
            clock: Arc::clone(clock),
            ends: Mutex::default(),
            answers: Mutex::default(),
        }
    }

    fn is_new(&self, key: &OneTimeKey) -> bool {
        let mut ends = self.ends.lock().unwrap();
        let now = self.clock.now();
        if self.fault == OnceFault::ForgetsAllAtOnce && ends.values().any(|end| *end <= now) {
            ends.clear();
        }
        match (ends.get(key), &self.fault) {
            (None, _) => true,
            (Some(_), OnceFault::NeverForgets) => false,
            (Some(end), _) => *end <= now,
        }
    }
}

#[async_trait]
impl OneTimeStore for FaultyStore {
    async fn insert_once(
        &self,
        key: &OneTimeKey,
        expires_on: OffsetDateTime,
    ) -> Result<bool, OneTimeError> {
        if expires_on <= self.clock.now() && self.fault != OnceFault::TakesTheExpired {
            return Err(OneTimeError::Expired { expires_on });
        }
        if expires_on.year() == 9999 && self.fault == OnceFault::RefusesLongTimes {
            return Err(OneTimeError::Unavailable("too long".into()));
        }
        let key = match self.fault {
            OnceFault::OneKey => OneTimeKey::new("all", [""]),
            _ => *key,
        };
        let is_new = self.is_new(&key);
        if self.fault == OnceFault::LooksFirst {
            tokio::task::yield_now().await;
        }
        if is_new || self.fault == OnceFault::LastEndCounts {
            let mut ends = self.ends.lock().unwrap();
            ends.insert(key, expires_on);
        }
        if self.fault != OnceFault::AnswersInTurn {
            return Ok(is_new);
        }
        self.answers.lock().unwrap().push_back(is_new);
        tokio::task::yield_now().await;
        Ok(self.answers.lock().unwrap().pop_front().unwrap())
    }
}
