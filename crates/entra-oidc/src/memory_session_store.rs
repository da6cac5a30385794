//! The [`SessionStore`] of a single process.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use time::OffsetDateTime;

use crate::{Session, SessionName, SessionStore, SessionStoreError};

/// Keeps sessions in memory: for a product that runs as one process, and for tests.
///
/// A restart signs everybody out. When it is full it refuses new sessions and ends none that is
/// still good.
#[derive(Debug)]
pub struct MemorySessionStore {
    capacity: NonZeroUsize,
    held: Mutex<Held>,
}

impl MemorySessionStore {
    /// A store for 100,000 sessions.
    pub fn new() -> Self {
        Self {
            capacity: DEFAULT_CAPACITY,
            held: Mutex::default(),
        }
    }

    /// Holds this many sessions at the most.
    #[must_use]
    pub fn with_capacity(mut self, capacity: NonZeroUsize) -> Self {
        self.capacity = capacity;
        self
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemorySessionStore {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl SessionStore for MemorySessionStore {
    async fn insert(
        &self,
        name: &SessionName,
        session: Session,
        now: OffsetDateTime,
    ) -> Result<(), SessionStoreError> {
        let capacity = self.capacity.get();
        let mut held = self.held();
        held.forget_some(now);
        if held.sessions.len() >= capacity && !held.sessions.contains_key(name) {
            return Err(SessionStoreError::Full { capacity });
        }
        held.hold(name, session);
        Ok(())
    }

    async fn load(&self, name: &SessionName) -> Result<Option<Session>, SessionStoreError> {
        Ok(self.held().sessions.get(name).cloned())
    }

    async fn touch(
        &self,
        name: &SessionName,
        idle_until: OffsetDateTime,
        _now: OffsetDateTime,
    ) -> Result<(), SessionStoreError> {
        let mut held = self.held();
        if let Some(mut session) = held.remove(name) {
            session.idle_until = session.idle_until.max(idle_until);
            held.hold(name, session);
        }
        Ok(())
    }

    async fn replace(
        &self,
        old: &SessionName,
        (new, session): (&SessionName, Session),
        _now: OffsetDateTime,
    ) -> Result<bool, SessionStoreError> {
        let mut held = self.held();
        let was_there = held.remove(old).is_some();
        if was_there {
            held.hold(new, session);
        }
        Ok(was_there)
    }

    async fn remove(&self, name: &SessionName) -> Result<Option<Session>, SessionStoreError> {
        Ok(self.held().remove(name))
    }
}

/// The sessions, and when each may be forgotten. Both have the same entries at any time.
#[derive(Default)]
struct Held {
    sessions: HashMap<SessionName, Session>,
    ends: BTreeSet<(OffsetDateTime, SessionName)>,
}

impl Held {
    fn hold(&mut self, name: &SessionName, session: Session) {
        self.remove(name);
        self.ends.insert((session.ends_on(), name.clone()));
        self.sessions.insert(name.clone(), session);
    }

    fn remove(&mut self, name: &SessionName) -> Option<Session> {
        let session = self.sessions.remove(name)?;
        self.ends.remove(&(session.ends_on(), name.clone()));
        Some(session)
    }

    /// Each new session may push out several that have ended, so that the store never grows by
    /// them, and no call pays for all.
    fn forget_some(&mut self, now: OffsetDateTime) {
        for _ in 0..FORGOTTEN_PER_CALL {
            match self.ends.first() {
                Some((end, name)) if *end <= now => {
                    let name = name.clone();
                    self.remove(&name);
                }
                _ => return,
            }
        }
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held")
            .field("sessions", &self.sessions.len())
            .finish_non_exhaustive()
    }
}

const DEFAULT_CAPACITY: NonZeroUsize = NonZeroUsize::new(100_000).unwrap();
const FORGOTTEN_PER_CALL: usize = 8;
