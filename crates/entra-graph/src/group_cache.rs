//! Groups that were read a moment ago, and one reader per user.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use entra_core::{Clock, GroupResolverError, ObjectId, TenantId};

/// What was read of each user, for a while.
pub(crate) struct GroupCache {
    time: Duration,
    users: Mutex<HashMap<Key, Arc<User>>>,
}

pub(crate) type Key = (TenantId, ObjectId);
type Groups = Arc<[ObjectId]>;

impl GroupCache {
    pub(crate) fn new(time: Duration) -> Self {
        Self {
            time,
            users: Mutex::default(),
        }
    }

    /// The groups of a user: as they were read a moment ago, or read now. Whoever comes while
    /// somebody reads waits for the same answer, be it a failure.
    pub(crate) async fn get<R>(
        &self,
        key: Key,
        clock: &dyn Clock,
        read: impl FnOnce() -> R + Send,
    ) -> Result<Groups, GroupResolverError>
    where
        R: Future<Output = Result<Vec<ObjectId>, GroupResolverError>> + Send,
    {
        let user = self.user(key, clock.monotonic());
        let done = user.reads.load(Ordering::Acquire);
        let mut last = user.last.lock().await;
        let was_waited_for = user.reads.load(Ordering::Acquire) != done;
        if let Some(last) = &*last
            && (was_waited_for || last.is_good_at(clock.monotonic()))
        {
            return last.result.clone();
        }
        let result: Result<Groups, _> = read().await.map(Into::into);
        let keep = match &result {
            Ok(groups) if groups.len() <= MOST_GROUPS => self.time,
            _ => Duration::ZERO,
        };
        *last = Some(Read {
            until: clock.monotonic().saturating_add(keep),
            result: result.clone(),
        });
        user.reads.fetch_add(1, Ordering::Release);
        drop(last);
        if keep.is_zero() {
            self.forget(&key, &user);
        }
        result
    }

    fn user(&self, key: Key, now: Duration) -> Arc<User> {
        let mut users = self.users();
        if !users.contains_key(&key) && users.len() >= MOST_USERS {
            make_room(&mut users, now);
        }
        Arc::clone(users.entry(key).or_default())
    }

    /// What is not to be kept goes, unless somebody has come anew meanwhile.
    fn forget(&self, key: &Key, user: &Arc<User>) {
        let mut users = self.users();
        let is_same = |held: &Arc<User>| Arc::ptr_eq(held, user);
        // The map has one of them, and this reader the other.
        if users.get(key).is_some_and(is_same) && Arc::strong_count(user) == 2 {
            users.remove(key);
        }
    }

    fn users(&self) -> MutexGuard<'_, HashMap<Key, Arc<User>>> {
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for GroupCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GroupCache")
            .field("time", &self.time)
            .field("users", &self.users().len())
            .finish()
    }
}

/// One user. The lock is held by whoever reads.
#[derive(Default)]
struct User {
    last: tokio::sync::Mutex<Option<Read>>,
    /// How often somebody read to the end.
    reads: AtomicU64,
}

struct Read {
    /// On the monotonic clock.
    until: Duration,
    result: Result<Groups, GroupResolverError>,
}

impl Read {
    fn is_good_at(&self, now: Duration) -> bool {
        now < self.until
    }
}

/// Drops what is no longer good, and an eighth of the rest where that is not enough: one pass pays
/// for many users to come. Whoever is being read stays.
fn make_room(users: &mut HashMap<Key, Arc<User>>, now: Duration) {
    let is_good = |user: &Arc<User>| match user.last.try_lock() {
        Ok(last) => last.as_ref().is_some_and(|last| last.is_good_at(now)),
        Err(_) => true,
    };
    users.retain(|_, user| is_good(user));
    let keep = MOST_USERS - MOST_USERS.div_ceil(8);
    let surplus = users.len().saturating_sub(keep);
    let idle = users
        .iter()
        .filter(|(_, user)| user.last.try_lock().is_ok());
    let dropped: Vec<Key> = idle.take(surplus).map(|(key, _)| *key).collect();
    for key in dropped {
        users.remove(&key);
    }
}

const MOST_USERS: usize = 1000;
/// A thousand users with this many groups take 32 MB; users with more are read each time.
const MOST_GROUPS: usize = 2000;
