//! The [`OneTimeStore`] of a single process.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use time::OffsetDateTime;

use crate::stay::{Now, Stay};
use crate::{Clock, OneTimeError, OneTimeKey, OneTimeStore, SystemClock};

/// Remembers one-time keys in memory: for a product that runs as one process, and for tests.
///
/// A restart forgets them. A second process does not see them; behind a load balancer use a store
/// that all share. When it is full it refuses new keys, since a key that is dropped early could be
/// used again: have it hold as many as may come within the life of one.
#[derive(Debug)]
pub struct MemoryOneTimeStore {
    clock: Arc<dyn Clock>,
    capacity: NonZeroUsize,
    seen: Mutex<Seen>,
}

impl MemoryOneTimeStore {
    /// A store for 100,000 keys, some 20 MB when full, on the system's clock.
    pub fn new() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            capacity: DEFAULT_CAPACITY,
            seen: Mutex::default(),
        }
    }

    /// Holds this many keys at the most.
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
}

impl Default for MemoryOneTimeStore {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl OneTimeStore for MemoryOneTimeStore {
    async fn insert_once(
        &self,
        key: &OneTimeKey,
        expires_on: OffsetDateTime,
    ) -> Result<bool, OneTimeError> {
        let now = Now::of(&*self.clock);
        let Some(stay) = Stay::until(expires_on, now) else {
            return Err(OneTimeError::Expired { expires_on });
        };
        let capacity = self.capacity.get();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.forget_some(now);
        seen.insert(*key, stay, now, capacity)
    }
}

/// The keys, and when each may be forgotten.
#[derive(Default)]
struct Seen {
    stays: HashMap<OneTimeKey, Stay>,
    /// The keys by the second of the monotonic clock at which they are due.
    due: BTreeMap<u64, Vec<OneTimeKey>>,
}

impl Seen {
    fn insert(
        &mut self,
        key: OneTimeKey,
        stay: Stay,
        now: Now,
        capacity: usize,
    ) -> Result<bool, OneTimeError> {
        let full = self.stays.len() >= capacity;
        match self.stays.entry(key) {
            Entry::Occupied(held) if !held.get().has_ended(now) => return Ok(false),
            Entry::Occupied(mut held) => {
                held.insert(stay);
            }
            Entry::Vacant(_) if full => return Err(OneTimeError::Full { capacity }),
            Entry::Vacant(free) => {
                free.insert(stay);
            }
        }
        self.await_end(key, stay);
        Ok(true)
    }

    /// Looks at a few keys that are due. Each call brings one key and may remove more, so that the
    /// store never grows by what has ended, and no call pays for all.
    fn forget_some(&mut self, now: Now) {
        for _ in 0..FORGOTTEN_PER_CALL {
            let Some(mut first) = self.due.first_entry() else {
                return;
            };
            if *first.key() > now.second() {
                return;
            }
            match first.get_mut().pop() {
                Some(key) => self.forget(key, now),
                None => {
                    first.remove();
                }
            }
        }
    }

    fn forget(&mut self, key: OneTimeKey, now: Now) {
        let Entry::Occupied(mut held) = self.stays.entry(key) else {
            return;
        };
        if held.get().has_ended(now) {
            held.remove();
        } else if let Some(longer) = held.get().prolonged(now) {
            // The time of day was put back, or the key came anew after its first end.
            held.insert(longer);
            self.await_end(key, longer);
        }
    }

    fn await_end(&mut self, key: OneTimeKey, stay: Stay) {
        self.due.entry(stay.due_second()).or_default().push(key);
    }
}

impl fmt::Debug for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seen")
            .field("keys", &self.stays.len())
            .finish_non_exhaustive()
    }
}

const DEFAULT_CAPACITY: NonZeroUsize = NonZeroUsize::new(100_000).unwrap();
const FORGOTTEN_PER_CALL: usize = 8;
