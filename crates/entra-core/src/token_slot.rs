//! Where a client's tokens are kept: read without a lock, renewed by one at a time.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex as SyncMutex, OnceLock, PoisonError};

use arc_swap::{ArcSwap, ArcSwapOption};
use time::OffsetDateTime;
use tokio::sync::Mutex;

use crate::token::TokenData;
use crate::{AccessToken, Error, TokenRequest};

/// The tokens of one client.
#[derive(Debug, Default)]
pub(crate) struct TokenSlots {
    /// Most clients ask for one token only. It is found without a look into the map.
    first: OnceLock<(TokenRequest, Arc<TokenSlot>)>,
    others: ArcSwap<Slots>,
    /// Held while a slot is added.
    adding: SyncMutex<()>,
}

impl TokenSlots {
    /// What `read` finds in the slot of this request, if there is one.
    pub(crate) fn read<R>(
        &self,
        request: &TokenRequest,
        read: impl FnOnce(&TokenSlot) -> R,
    ) -> Option<R> {
        match self.first.get() {
            Some((first, slot)) if first == request => Some(read(slot)),
            _ => self.others.load().get(request).map(|slot| read(slot)),
        }
    }

    /// The slot of this request, made if there is none.
    pub(crate) fn slot(
        &self,
        request: &TokenRequest,
        now: impl FnOnce() -> OffsetDateTime,
    ) -> Arc<TokenSlot> {
        if request.claims().is_none() {
            let make = || (request.as_key(), Arc::default());
            let (first, slot) = self.first.get_or_init(make);
            if first == request {
                return Arc::clone(slot);
            }
        }
        if let Some(slot) = self.others.load().get(request) {
            return Arc::clone(slot);
        }
        self.add(request, now)
    }

    /// All slots with what they are for.
    pub(crate) fn all(&self) -> Vec<(TokenRequest, Arc<TokenSlot>)> {
        let others = self.others.load();
        let first = self.first.get().map(|(request, slot)| (request, slot));
        first
            .into_iter()
            .chain(others.iter())
            .map(|(request, slot)| (request.clone(), Arc::clone(slot)))
            .collect()
    }

    fn add(&self, request: &TokenRequest, now: impl FnOnce() -> OffsetDateTime) -> Arc<TokenSlot> {
        let _adding = self.adding.lock().unwrap_or_else(PoisonError::into_inner);
        let slots = self.others.load();
        if let Some(slot) = slots.get(request) {
            return Arc::clone(slot);
        }
        let mut more = Slots::clone(&slots);
        if more.len() >= MAX_SLOTS {
            let now = now();
            more.retain(|_, slot| slot.is_in_use() || slot.valid_at(now).is_some());
        }
        if more.len() >= MAX_SLOTS {
            more.retain(|request, slot| slot.is_in_use() || request.claims().is_none());
        }
        let slot = Arc::<TokenSlot>::default();
        more.insert(request.as_key(), Arc::clone(&slot));
        self.others.store(Arc::new(more));
        slot
    }
}

/// The place of one token.
#[derive(Default)]
pub(crate) struct TokenSlot {
    pub(crate) current: ArcSwapOption<TokenData>,
    /// Held by whoever asks the token endpoint; what the last attempt ended with, if it failed.
    pub(crate) outcome: Mutex<Option<Error>>,
    /// How many attempts ended.
    pub(crate) finished: AtomicU64,
    /// No refresh before this moment, in Unix seconds.
    held_off_until: AtomicI64,
}

impl TokenSlot {
    /// What an attempt yielded that ended while others waited for it: they share it, a failure
    /// as well as a token however short-lived. Nothing if the token was refused since.
    pub(crate) fn shared(
        &self,
        outcome: &Option<Error>,
        now: OffsetDateTime,
    ) -> Option<Result<AccessToken, Error>> {
        match outcome {
            Some(error) => Some(self.valid_at(now).ok_or_else(|| error.clone())),
            None => self
                .current
                .load_full()
                .map(|data| Ok(AccessToken::shared(data))),
        }
    }

    /// A token that needs no refresh for longer than `lead`.
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

    /// Drops the token that was refused, or an older one. A newer one that came in between stays.
    pub(crate) fn invalidate(&self, refused: &AccessToken) {
        let current = self.current.load();
        let is_refused = current.as_ref().is_some_and(|data| {
            AccessToken::shared(Arc::clone(data)) == *refused || data.is_older_than(refused.data())
        });
        if is_refused {
            self.current.compare_and_swap(&*current, None);
        }
    }

    fn is_in_use(&self) -> bool {
        self.outcome.try_lock().is_err()
    }

    pub(crate) fn hold_off(&self, now: OffsetDateTime) {
        let until = now.saturating_add(HOLD_OFF).unix_timestamp();
        self.held_off_until.store(until, Ordering::Relaxed);
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

/// How long a failed refresh is not repeated while the old token is valid.
const HOLD_OFF: time::Duration = time::Duration::seconds(30);
/// Scopes per client are few; claims challenges could make many.
const MAX_SLOTS: usize = 1024;

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn every_request_has_one_slot_the_first_as_well_as_the_others() {
        let slots = TokenSlots::default();
        for scope in ["a", "b", "A", "B"] {
            let request = TokenRequest::new([scope]);
            let slot = slots.slot(&request, now);
            let same = slots.read(&request, |found| std::ptr::eq(found, &raw const *slot));
            assert_eq!(same, Some(true), "{scope}");
        }
        assert_eq!(slots.all().len(), 2);
        assert!(slots.read(&TokenRequest::new(["c"]), |_| ()).is_none());
    }

    #[test]
    fn challenges_do_not_fill_the_memory_nor_push_the_token_of_the_app_out() {
        let slots = TokenSlots::default();
        let plain = TokenRequest::new(["a"]);
        slots.slot(&plain, now);
        for number in 0..3 * MAX_SLOTS {
            let challenged = plain.clone().with_claims(number.to_string());
            slots.slot(&challenged, now);
        }
        assert!(slots.all().len() <= MAX_SLOTS + 1, "{}", slots.all().len());
        assert!(slots.read(&plain, |_| ()).is_some());
    }

    fn now() -> OffsetDateTime {
        datetime!(2026-01-01 00:00 UTC)
    }
}
