//! Where a client's tokens are kept: read without a lock, renewed by one at a time, bounded.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex as SyncMutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use time::OffsetDateTime;
use tokio::sync::Mutex;

use crate::token::TokenData;
use crate::{AccessToken, Error, TokenRequest};

/// The tokens of one client, `capacity` of them at the most.
#[derive(Debug)]
pub(crate) struct TokenSlots {
    /// Most clients ask for one token only. It is found without a look into a map, and stays.
    first: OnceLock<(TokenRequest, Arc<TokenSlot>)>,
    /// The others by their hash. A shard is replaced as a whole when a slot is added, which keeps
    /// reading free of locks; shards are small, so that adding one of many slots costs little.
    shards: OnceLock<Box<[Shard]>>,
    capacity: usize,
    count: AtomicUsize,
    evicted: AtomicU64,
}

#[derive(Debug, Default)]
struct Shard {
    slots: ArcSwap<Slots>,
    /// Held while a slot is added.
    adding: SyncMutex<()>,
}

impl TokenSlots {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            first: OnceLock::new(),
            shards: OnceLock::new(),
            capacity: capacity.max(1),
            count: AtomicUsize::new(0),
            evicted: AtomicU64::new(0),
        }
    }

    /// What `read` finds in the slot of this request, if there is one. `now` marks it as used.
    pub(crate) fn read<R>(
        &self,
        request: &TokenRequest,
        now: i64,
        read: impl FnOnce(&TokenSlot) -> R,
    ) -> Option<R> {
        match self.first.get() {
            Some((first, slot)) if first == request => {
                slot.touch(now);
                Some(read(slot))
            }
            _ => {
                let slots = self.shard_of(request)?.slots.load();
                let slot = slots.get(request)?;
                slot.touch(now);
                Some(read(slot))
            }
        }
    }

    /// The slot of this request, made if there is none.
    pub(crate) fn slot(&self, request: &TokenRequest, now: i64) -> Arc<TokenSlot> {
        if request.claims().is_none() {
            let make = || (request.as_key(), Arc::default());
            let (first, slot) = self.first.get_or_init(make);
            if first == request {
                slot.touch(now);
                return Arc::clone(slot);
            }
        }
        let shards = self.shards.get_or_init(|| shards(self.capacity));
        let Some(shard) = shards.get(shard_index(request, shards.len())) else {
            // There is always a shard; without one the token is fetched and not kept.
            return Arc::default();
        };
        if let Some(slot) = shard.slots.load().get(request) {
            slot.touch(now);
            return Arc::clone(slot);
        }
        self.add(shard, request, now)
    }

    /// All slots with what they are for.
    pub(crate) fn all(&self) -> Vec<(TokenRequest, Arc<TokenSlot>)> {
        let first = self.first.get().cloned();
        let others = self.shards.get().into_iter().flatten().flat_map(|shard| {
            let slots = shard.slots.load_full();
            slots
                .iter()
                .map(|(request, slot)| (request.clone(), Arc::clone(slot)))
                .collect::<Vec<_>>()
        });
        first.into_iter().chain(others).collect()
    }

    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed) + usize::from(self.first.get().is_some())
    }

    /// How many were pushed out.
    pub(crate) fn evicted(&self) -> u64 {
        self.evicted.load(Ordering::Relaxed)
    }

    fn shard_of(&self, request: &TokenRequest) -> Option<&Shard> {
        let shards = self.shards.get()?;
        shards.get(shard_index(request, shards.len()))
    }

    fn add(&self, shard: &Shard, request: &TokenRequest, now: i64) -> Arc<TokenSlot> {
        let _adding = shard.adding.lock().unwrap_or_else(PoisonError::into_inner);
        let slots = shard.slots.load();
        if let Some(slot) = slots.get(request) {
            return Arc::clone(slot);
        }
        let mut more = Slots::clone(&slots);
        // The first one counts too.
        if self.count.fetch_add(1, Ordering::Relaxed) + 2 > self.capacity {
            self.evict(&mut more);
        }
        let slot = Arc::new(TokenSlot::default());
        slot.touch(now);
        more.insert(request.as_key(), Arc::clone(&slot));
        shard.slots.store(Arc::new(more));
        slot
    }

    /// Drops what was not used for the longest time. What answered a claims challenge goes first:
    /// challenges must not push the tokens of the app out.
    fn evict(&self, slots: &mut Slots) {
        let oldest = slots
            .iter()
            .filter(|(_, slot)| !slot.is_in_use())
            .min_by_key(|(request, slot)| {
                let used = slot.last_used.load(Ordering::Relaxed);
                (request.claims().is_none(), used)
            })
            .map(|(request, _)| request.clone());
        if let Some(oldest) = oldest {
            slots.remove(&oldest);
            self.count.fetch_sub(1, Ordering::Relaxed);
            self.evicted.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The place of one token. What a hit touches stands together at its beginning.
#[derive(Default)]
#[repr(C)]
pub(crate) struct TokenSlot {
    pub(crate) current: ArcSwapOption<TokenData>,
    /// When it was last asked for, in Unix seconds.
    last_used: AtomicI64,
    /// Held by whoever asks the token endpoint; what the last attempt ended with, if it failed.
    pub(crate) outcome: Mutex<Option<Failure>>,
    /// How many attempts ended.
    pub(crate) finished: AtomicU64,
    /// The token that was refused last: another process may still offer it.
    refused: SyncMutex<Option<AccessToken>>,
    /// Where the answer to a claims challenge of this token is fetched.
    challenge: SyncMutex<Weak<Self>>,
    /// No refresh before this moment, in Unix seconds.
    held_off_until: AtomicI64,
}

/// An attempt that failed.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) error: Error,
    /// Nobody asks again before this moment of the monotonic clock.
    pub(crate) until: Duration,
    /// The credentials it failed with: others may fare better.
    pub(crate) generation: u64,
}

impl TokenSlot {
    /// What an attempt yielded that ended while others waited for it: they share it, a failure
    /// as well as a token however short-lived. Nothing if the token was refused since.
    pub(crate) fn shared(
        &self,
        outcome: &Option<Failure>,
        now: OffsetDateTime,
    ) -> Option<Result<AccessToken, Error>> {
        match outcome {
            Some(failure) => Some(self.valid_at(now).ok_or_else(|| failure.error.clone())),
            None => self
                .current
                .load_full()
                .map(|data| Ok(AccessToken::shared(data))),
        }
    }

    /// A token that needs no refresh for `lead`: it is fresh, or its refresh failed a moment ago.
    pub(crate) fn fresh_at(
        &self,
        now: OffsetDateTime,
        lead: time::Duration,
    ) -> Option<AccessToken> {
        let data = self.current.load_full()?;
        let held_off = now.unix_timestamp() < self.held_off_until.load(Ordering::Relaxed);
        let fresh =
            now.saturating_add(lead) < data.fresh_until() || (held_off && now < data.expires_on);
        fresh.then(|| AccessToken::shared(data))
    }

    /// A token that is not about to end.
    pub(crate) fn usable_at(&self, now: OffsetDateTime) -> Option<AccessToken> {
        let data = self.current.load_full()?;
        (now < data.usable_until()).then(|| AccessToken::shared(data))
    }

    /// A token that is not over yet.
    pub(crate) fn valid_at(&self, now: OffsetDateTime) -> Option<AccessToken> {
        let data = self.current.load_full()?;
        (now < data.expires_on).then(|| AccessToken::shared(data))
    }

    pub(crate) fn is_due_at(&self, now: OffsetDateTime, lead: time::Duration) -> bool {
        self.current.load().is_some() && self.fresh_at(now, lead).is_none()
    }

    /// Whether it has a token that somebody asked for since it came.
    pub(crate) fn is_wanted_at(&self, now: OffsetDateTime) -> bool {
        let current = self.current.load();
        current.as_ref().is_some_and(|data| {
            let issued = data
                .issued_on()
                .map_or(i64::MIN, OffsetDateTime::unix_timestamp);
            now < data.expires_on && self.last_used.load(Ordering::Relaxed) >= issued
        })
    }

    /// Drops the token that was refused, or an older one. A newer one that came in between stays.
    pub(crate) fn invalidate(&self, refused: &AccessToken) {
        let current = self.current.load();
        let is_refused = current.as_ref().is_none_or(|data| {
            AccessToken::shared(Arc::clone(data)) == *refused || data.came_before(refused.data())
        });
        if is_refused {
            let mut last = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
            *last = Some(refused.clone());
            self.current.compare_and_swap(&*current, None);
        }
    }

    /// The service refused the token with a claims challenge, which is answered at `other`.
    pub(crate) fn is_challenged(&self, other: &Arc<Self>) {
        let mut challenge = self
            .challenge
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *challenge = Arc::downgrade(other);
    }

    /// Waits for the answer to a claims challenge, if it is being fetched: it does for requests
    /// without claims as well.
    pub(crate) async fn challenge_answered(&self) {
        let challenge = self
            .challenge
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .upgrade();
        if let Some(other) = challenge {
            drop(other.outcome.lock().await);
        }
    }

    /// Whether a token that another process offers was refused here.
    pub(crate) fn was_refused(&self, offered: &TokenData) -> bool {
        let last = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        last.as_ref().is_some_and(|refused| {
            refused.data().text() == offered.text() || offered.is_older_than(refused.data())
        })
    }

    pub(crate) fn hold_off(&self, now: OffsetDateTime) {
        let until = now.saturating_add(HOLD_OFF).unix_timestamp();
        self.held_off_until.store(until, Ordering::Relaxed);
    }

    fn is_in_use(&self) -> bool {
        self.outcome.try_lock().is_err()
    }

    /// At most one write a second, so that readers on several processors do not disturb each other.
    fn touch(&self, now: i64) {
        if self.last_used.load(Ordering::Relaxed) != now {
            self.last_used.store(now, Ordering::Relaxed);
        }
    }
}

impl std::fmt::Debug for TokenSlot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenSlot")
            .field(
                "expires_on",
                &self.current.load().as_ref().map(|data| data.expires_on),
            )
            .finish_non_exhaustive()
    }
}

/// The key's hash is made when the request is made.
type Slots = HashMap<TokenRequest, Arc<TokenSlot>, BuildHasherDefault<Prehashed>>;

/// Takes the hash that a request brings.
#[derive(Default)]
struct Prehashed(u64);

impl Hasher for Prehashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

fn shards(capacity: usize) -> Box<[Shard]> {
    let count = (capacity / SLOTS_PER_SHARD).clamp(1, MAX_SHARDS);
    (0..count).map(|_| Shard::default()).collect()
}

/// A hash map takes the high and the low bits of the hash, so a shard is chosen by those between.
fn shard_index(request: &TokenRequest, count: usize) -> usize {
    usize::try_from((request.hash_code() >> 24) & 0xffff_ffff).unwrap_or_default() % count.max(1)
}

/// How long a failed refresh is not repeated while the old token is valid.
const HOLD_OFF: time::Duration = time::Duration::seconds(30);
/// What is copied when a slot is added.
const SLOTS_PER_SHARD: usize = 32;
const MAX_SHARDS: usize = 1 << 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_request_has_one_slot_the_first_as_well_as_the_others() {
        let slots = TokenSlots::new(16);
        for scope in ["a", "b", "A", "B"] {
            let request = TokenRequest::new([scope]);
            let slot = slots.slot(&request, 0);
            let same = slots.read(&request, 0, |found| std::ptr::eq(found, &raw const *slot));
            assert_eq!(same, Some(true), "{scope}");
        }
        assert_eq!((slots.all().len(), slots.len()), (2, 2));
        assert!(slots.read(&TokenRequest::new(["c"]), 0, |_| ()).is_none());
    }

    #[test]
    fn the_token_that_was_not_used_for_the_longest_time_goes_first() {
        let slots = TokenSlots::new(4);
        let request = |scope: &str| TokenRequest::new([scope]);
        for (now, scope) in (0..).zip(["first", "a", "b", "c"]) {
            slots.slot(&request(scope), now);
        }
        slots.read(&request("a"), 10, |_| ());
        slots.slot(&request("d"), 11);
        let found = |scope: &str| slots.read(&request(scope), 12, |_| ()).is_some();
        let left = ["first", "a", "b", "c", "d"].map(found);
        assert_eq!(left, [true, true, false, true, true]);
        assert_eq!((slots.len(), slots.evicted()), (4, 1));
    }

    #[test]
    fn a_slot_in_use_is_not_pushed_out() {
        let slots = TokenSlots::new(2);
        slots.slot(&TokenRequest::new(["first"]), 0);
        let a = TokenRequest::new(["a"]);
        let slot = slots.slot(&a, 1);
        let _renewing = slot.outcome.try_lock().unwrap();
        slots.slot(&TokenRequest::new(["b"]), 2);
        assert!(slots.read(&a, 3, |_| ()).is_some());
    }

    #[test]
    fn challenges_do_not_fill_the_memory_nor_push_the_token_of_the_app_out() {
        let slots = TokenSlots::new(100);
        let plain = TokenRequest::new(["a"]);
        let other = TokenRequest::new(["b"]);
        slots.slot(&plain, 0);
        slots.slot(&other, 0);
        for number in 0..10_000 {
            let challenged = plain.clone().with_claims(number.to_string());
            slots.slot(&challenged, number);
        }
        assert!(slots.len() <= 101, "{}", slots.len());
        assert!(slots.read(&plain, 0, |_| ()).is_some());
        assert!(slots.read(&other, 0, |_| ()).is_some());
    }

    #[test]
    fn a_cache_of_many_tenants_holds_as_many_as_it_may() {
        let slots = TokenSlots::new(10_000);
        for number in 0..30_000 {
            slots.slot(&TokenRequest::new([number.to_string()]), number);
        }
        assert!((9_900..=10_100).contains(&slots.len()), "{}", slots.len());
    }
}
