//! The [`SessionIndex`] of a single process.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use time::OffsetDateTime;

use crate::session_index::SessionKeyDigest;
use crate::stay::{Now, Stay};
use crate::{Clock, SessionIndex, SessionIndexError, SessionKey, SystemClock};

/// Keeps in memory which sessions came of which: for a product that runs as one process, and for
/// tests.
///
/// A restart forgets them, so keep it where the product's sessions end with the process as well.
/// When it is full it refuses new entries and forgets none that is still good: have it hold as many
/// as there may be sessions at a time.
#[derive(Debug)]
pub struct MemorySessionIndex {
    clock: Arc<dyn Clock>,
    capacity: NonZeroUsize,
    sessions: Mutex<Sessions>,
}

impl MemorySessionIndex {
    /// An index for 100,000 sessions, on the system's clock.
    pub fn new() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            capacity: DEFAULT_CAPACITY,
            sessions: Mutex::default(),
        }
    }

    /// Holds this many sessions at the most.
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

    /// The sessions, without a few of those that have ended.
    fn sessions(&self, now: Now) -> MutexGuard<'_, Sessions> {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.forget_some(now);
        sessions
    }
}

impl Default for MemorySessionIndex {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl SessionIndex for MemorySessionIndex {
    async fn add(
        &self,
        key: &SessionKey,
        session: &str,
        expires_on: OffsetDateTime,
    ) -> Result<(), SessionIndexError> {
        let now = Now::of(&*self.clock);
        let Some(stay) = Stay::until(expires_on, now) else {
            return Ok(());
        };
        let name = (key.digest(), session.into());
        let capacity = self.capacity.get();
        self.sessions(now).add(name, stay, now, capacity)
    }

    async fn take(&self, key: &SessionKey) -> Result<Vec<String>, SessionIndexError> {
        let now = Now::of(&*self.clock);
        Ok(self.sessions(now).take(key.digest(), now))
    }

    async fn remove(&self, key: &SessionKey, session: &str) -> Result<(), SessionIndexError> {
        let now = Now::of(&*self.clock);
        self.sessions(now).remove(&(key.digest(), session.into()));
        Ok(())
    }
}

/// A session at the provider, and one of the product's that came of it.
type Name = (SessionKeyDigest, Arc<str>);
/// When to look at an entry again: a second of the monotonic clock, and a number that tells apart
/// what is due in the same second.
type Due = (u64, u64);

/// What is held, and when each may be forgotten. Both maps have the same entries at any time.
#[derive(Default)]
struct Sessions {
    held: BTreeMap<Name, Held>,
    due: BTreeMap<Due, Name>,
    serial: u64,
}

struct Held {
    stay: Stay,
    due: Due,
}

impl Sessions {
    fn add(
        &mut self,
        name: Name,
        stay: Stay,
        now: Now,
        capacity: usize,
    ) -> Result<(), SessionIndexError> {
        match self.held.get(&name) {
            Some(held) if held.stay.outlasts(&stay) && !held.stay.has_ended(now) => return Ok(()),
            None if self.held.len() >= capacity => {
                return Err(SessionIndexError::Full { capacity });
            }
            _ => {}
        }
        self.remove(&name);
        self.hold(name, stay);
        Ok(())
    }

    fn hold(&mut self, name: Name, stay: Stay) {
        self.serial = self.serial.wrapping_add(1);
        let due = (stay.due_second(), self.serial);
        self.due.insert(due, name.clone());
        self.held.insert(name, Held { stay, due });
    }

    fn take(&mut self, key: SessionKeyDigest, now: Now) -> Vec<String> {
        // The empty text is the first of all.
        let names = self.held.range((key, Arc::from(""))..);
        let names: Vec<Name> = names
            .map(|(name, _)| name.clone())
            .take_while(|(found, _)| *found == key)
            .collect();
        let mut taken = Vec::with_capacity(names.len());
        for name in names {
            if self
                .remove(&name)
                .is_some_and(|held| !held.stay.has_ended(now))
            {
                taken.push(name.1.as_ref().to_owned());
            }
        }
        taken
    }

    fn remove(&mut self, name: &Name) -> Option<Held> {
        let held = self.held.remove(name)?;
        self.due.remove(&held.due);
        Some(held)
    }

    /// Looks at a few entries that are due. Each call brings one entry and may remove more, so that
    /// the index never grows by what has ended, and no call pays for all.
    fn forget_some(&mut self, now: Now) {
        for _ in 0..FORGOTTEN_PER_CALL {
            let Some(first) = self.due.first_entry() else {
                return;
            };
            if first.key().0 > now.second() {
                return;
            }
            let name = first.remove();
            let Entry::Occupied(held) = self.held.entry(name.clone()) else {
                continue;
            };
            let stay = held.remove().stay;
            if !stay.has_ended(now)
                && let Some(longer) = stay.prolonged(now)
            {
                // The time of day was put back.
                self.hold(name, longer);
            }
        }
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions")
            .field("held", &self.held.len())
            .finish_non_exhaustive()
    }
}

const DEFAULT_CAPACITY: NonZeroUsize = NonZeroUsize::new(100_000).unwrap();
const FORGOTTEN_PER_CALL: usize = 8;
