//! The [`TokenCache`] of a single process.

use std::collections::HashMap;
use std::fmt;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use crate::{CacheName, Clock, SystemClock, TokenCache, TokenCacheError};

/// Keeps sealed tokens in memory: for several clients of one process that share their tokens, for
/// tests, and as the model of what a [`TokenCache`] does.
///
/// When it is full it makes room by dropping entries, those that have ended first.
#[derive(Debug)]
pub struct MemoryTokenCache {
    clock: Arc<dyn Clock>,
    capacity: NonZeroUsize,
    entries: Mutex<Entries>,
}

impl MemoryTokenCache {
    /// A cache for 10,000 entries, on the system's clock.
    pub fn new() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            capacity: DEFAULT_CAPACITY,
            entries: Mutex::default(),
        }
    }

    /// Holds this many entries at the most.
    #[must_use]
    pub fn with_capacity(mut self, capacity: NonZeroUsize) -> Self {
        self.capacity = capacity;
        self
    }

    /// Takes the time from another clock.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryTokenCache {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl TokenCache for MemoryTokenCache {
    async fn load(&self, name: &CacheName) -> Result<Option<Vec<u8>>, TokenCacheError> {
        let now = self.clock.monotonic();
        let entries = self.entries();
        let entry = entries.0.get(name).filter(|entry| entry.ends > now);
        Ok(entry.map(|entry| entry.value.clone()))
    }

    async fn store(
        &self,
        name: &CacheName,
        value: &[u8],
        time_to_live: Duration,
    ) -> Result<(), TokenCacheError> {
        let now = self.clock.monotonic();
        let entry = Entry {
            value: value.to_vec(),
            ends: now.saturating_add(time_to_live),
        };
        let mut entries = self.entries();
        if !entries.0.contains_key(name) {
            entries.make_room(self.capacity.get(), now);
        }
        entries.0.insert(*name, entry);
        Ok(())
    }

    async fn remove(&self, name: &CacheName) -> Result<(), TokenCacheError> {
        self.entries().0.remove(name);
        Ok(())
    }
}

#[derive(Default)]
struct Entries(HashMap<CacheName, Entry>);

impl Entries {
    /// Drops what has ended, and an eighth of the rest where that is not enough: one pass pays for
    /// many entries to come.
    fn make_room(&mut self, capacity: usize, now: Duration) {
        if self.0.len() < capacity {
            return;
        }
        self.0.retain(|_, entry| entry.ends > now);
        let keep = capacity - capacity.div_ceil(8);
        let surplus = self.0.len().saturating_sub(keep);
        let dropped: Vec<CacheName> = self.0.keys().take(surplus).copied().collect();
        for name in dropped {
            self.0.remove(&name);
        }
    }
}

impl fmt::Debug for Entries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} entries", self.0.len())
    }
}

struct Entry {
    value: Vec<u8>,
    ends: Duration,
}

const DEFAULT_CAPACITY: NonZeroUsize = NonZeroUsize::new(10_000).unwrap();
