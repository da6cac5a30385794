//! Tokens of one source: cached, one request per wanted token, refreshed ahead of their end.

use std::fmt;
use std::fmt::Debug;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use time::OffsetDateTime;

use crate::cache_metrics::{CacheMetrics, Counters};
use crate::clock::work_until;
use crate::pipeline::jitter;
use crate::shared_tokens::SharedTokens;
use crate::token::TokenData;
use crate::token_endpoint::Effort;
use crate::token_slot::{Failure, TokenSlot, TokenSlots};
use crate::{AccessToken, Clock, Error, RetryClass, TokenRequest};

/// Whatever yields tokens by asking somebody.
pub(crate) trait TokenSource: Debug + Send + Sync {
    /// The clock by which its tokens end.
    fn clock(&self) -> &Arc<dyn Clock>;

    /// Asks for a token.
    fn fetch(
        &self,
        request: &TokenRequest,
        effort: Effort,
    ) -> impl Future<Output = Result<TokenData, Error>> + Send;

    /// What the service's clock is ahead of this machine's.
    fn clock_offset(&self) -> time::Duration {
        time::Duration::ZERO
    }

    /// Whether it may be asked at all. A refusal leaves no trace in the cache.
    fn admit(&self, _request: &TokenRequest) -> Result<(), Error> {
        Ok(())
    }

    /// Another number where what was refused before may be accepted now.
    fn generation(&self) -> u64 {
        0
    }

    /// Whose token this would be, for a cache that is shared; nothing where it must not be shared.
    fn owner(&self, _request: &TokenRequest) -> Option<Vec<String>> {
        None
    }
}

/// The tokens of one source.
pub(crate) struct CachedTokens<S> {
    source: S,
    /// The source's. A hit is faster where it stands here.
    clock: Arc<dyn Clock>,
    slots: TokenSlots,
    shared: Option<SharedTokens>,
    counters: Counters,
}

impl<S: TokenSource> CachedTokens<S> {
    pub(crate) fn new(source: S, capacity: usize, shared: Option<SharedTokens>) -> Self {
        Self {
            clock: Arc::clone(source.clock()),
            source,
            slots: TokenSlots::new(capacity),
            shared,
            counters: Counters::default(),
        }
    }

    pub(crate) fn source(&self) -> &S {
        &self.source
    }

    pub(crate) fn capacity(&self) -> usize {
        self.slots.capacity()
    }

    pub(crate) fn shared(&self) -> Option<&SharedTokens> {
        self.shared.as_ref()
    }

    /// A token from the cache, or from the source.
    pub(crate) fn token<'a>(&'a self, request: &'a TokenRequest) -> TokenFuture<'a, S> {
        TokenFuture {
            tokens: self,
            request,
            miss: None,
        }
    }

    async fn miss(&self, request: &TokenRequest) -> Result<AccessToken, Error> {
        self.source.admit(request)?;
        let slot = self.slots.slot(request, self.clock.unix_time());
        if slot.current.load().is_none() {
            slot.challenge_answered().await;
        }
        self.renew(&slot, request, time::Duration::ZERO).await
    }

    /// The cached token, if there is one that needs no refresh yet. No I/O, no lock.
    #[inline]
    pub(crate) fn cached(&self, request: &TokenRequest) -> Option<AccessToken> {
        let now = self.clock.unix_time();
        let token = self.slots.read(request, now, |slot| {
            AccessToken::leased(slot.current.load())
        })??;
        if now >= token.data().fresh_until_unix() {
            return None;
        }
        self.counters.hit();
        Some(token)
    }

    /// The service refused this token: it is not returned again.
    pub(crate) fn invalidate(&self, request: &TokenRequest, token: &AccessToken) {
        // Another process may offer the refused token later, so a slot is made to remember it.
        let now = self.clock.unix_time();
        let slot = self.slots.slot(request, now);
        slot.invalidate(token);
        if request.claims().is_none() {
            return;
        }
        // Calls without claims wait for the answer to this challenge. If it was refused a moment
        // ago they keep what they have: it still serves where nobody asks for more.
        let plain = self.slots.slot(&request.without_claims(), now);
        plain.is_challenged(&slot);
        let failure = slot.outcome.try_lock().ok().and_then(|last| last.clone());
        if failure.is_none_or(|failure| self.still_refused(&failure).is_none()) {
            plain.invalidate(token);
        }
    }

    /// Puts a token in that came from elsewhere.
    pub(crate) fn insert(&self, request: &TokenRequest, data: Arc<TokenData>) -> AccessToken {
        let slot = self.slots.slot(request, self.clock.unix_time());
        slot.current.store(Some(Arc::clone(&data)));
        AccessToken::shared(data)
    }

    /// Gives its tokens to another cache of the same owner.
    pub(crate) fn hand_over(&self, next: &Self) {
        for (request, slot) in self.slots.all() {
            if let Some(data) = slot.current.load_full() {
                next.insert(&request, data);
            }
        }
    }

    pub(crate) fn metrics(&self) -> CacheMetrics {
        self.counters.read(self.slots.len(), self.slots.evicted())
    }

    /// Refreshes what is about to end, until `shutdown` ends.
    pub(crate) async fn refresh_ahead(&self, shutdown: impl Future<Output = ()> + Send) {
        work_until(shutdown, self.refresh_for_ever()).await;
    }

    async fn refresh_for_ever(&self) {
        loop {
            let now = self.now();
            let mut due = self.slots.all();
            // A token that answered a challenge is kept for its twin without claims; one on behalf
            // of a user needs that user's own token; one that nobody asked for since it came is
            // let go.
            due.retain(|(request, slot)| {
                request.claims().is_none()
                    && request.user().is_none()
                    && slot.is_due_at(now, REFRESH_LEAD)
                    && slot.is_wanted_at(now)
            });
            // One tenant that does not answer must not make the others late.
            stream::iter(due)
                .for_each_concurrent(AT_ONCE, |(request, slot)| async move {
                    // A failure is logged and tried again after the hold-off.
                    let _ = self.renew(&slot, &request, REFRESH_LEAD).await;
                })
                .await;
            self.clock.sleep(REFRESH_TICK).await;
        }
    }

    /// One attempt to renew a slot, shared by all who wait for it. Nothing is done if the token
    /// needs no refresh for longer than `lead`.
    async fn renew(
        &self,
        slot: &TokenSlot,
        request: &TokenRequest,
        lead: time::Duration,
    ) -> Result<AccessToken, Error> {
        use std::sync::atomic::Ordering;

        let bypass = request.bypasses_cache();
        let seen = slot.finished.load(Ordering::Acquire);
        let mut outcome = match slot.outcome.try_lock() {
            Ok(outcome) => outcome,
            Err(_) => match slot.usable_at(self.now()) {
                // Somebody refreshes already, and there is a token until then.
                Some(token) if !bypass => return Ok(token),
                _ => slot.outcome.lock().await,
            },
        };
        if !bypass {
            if let Some(token) = slot.fresh_at(self.now(), lead) {
                return Ok(token);
            }
            if slot.finished.load(Ordering::Acquire) != seen
                && let Some(shared) = slot.shared(&outcome, self.now())
            {
                return shared;
            }
            if let Some(failure) = &*outcome
                && let Some(error) = self.still_refused(failure)
            {
                self.counters.held_back();
                return slot.valid_at(self.now()).ok_or(error);
            }
            if let Some(data) = self.offered_by_others(slot, request, lead).await {
                slot.finished.fetch_add(1, Ordering::Release);
                *outcome = None;
                return Ok(self.keep(slot, request, Arc::new(data)));
            }
        }
        let effort = match slot.valid_at(self.now()) {
            // The old token still does, so nobody waits for retries.
            Some(_) if !bypass => Effort::Once,
            _ => Effort::Full,
        };
        self.counters.request();
        let generation = self.source.generation();
        let result = self.source.fetch(request, effort).await;
        slot.finished.fetch_add(1, Ordering::Release);
        match result {
            Ok(data) => {
                *outcome = None;
                let data = Arc::new(data);
                let token = self.keep(slot, request, Arc::clone(&data));
                drop(outcome);
                self.offer_to_others(request, &data).await;
                Ok(token)
            }
            Err(error) => {
                self.counters.failure();
                let wait = hold_back(&error);
                *outcome = Some(Failure {
                    error: error.clone(),
                    until: self.clock.monotonic().saturating_add(wait),
                    generation,
                });
                match slot.valid_at(self.now()) {
                    Some(token) if !bypass => {
                        tracing::warn!(%error, "a token could not be refreshed; the old one is still valid");
                        slot.hold_off(self.now());
                        Ok(token)
                    }
                    _ => Err(error),
                }
            }
        }
    }

    fn keep(&self, slot: &TokenSlot, request: &TokenRequest, data: Arc<TokenData>) -> AccessToken {
        slot.current.store(Some(Arc::clone(&data)));
        if request.claims().is_some() {
            // A token that answers a challenge does for requests without it as well.
            self.insert(&request.without_claims(), Arc::clone(&data));
        }
        AccessToken::shared(data)
    }

    /// The error of a failed attempt, while asking again would be no use.
    fn still_refused(&self, failure: &Failure) -> Option<Error> {
        let left = failure
            .until
            .checked_sub(self.clock.monotonic())
            .filter(|left| !left.is_zero())?;
        (failure.generation == self.source.generation())
            .then(|| failure.error.clone().with_retry_after(left))
    }

    /// A token that another process fetched, if it is fresh and was not refused here.
    async fn offered_by_others(
        &self,
        slot: &TokenSlot,
        request: &TokenRequest,
        lead: time::Duration,
    ) -> Option<TokenData> {
        let shared = self.shared.as_ref()?;
        let owner = self.source.owner(request)?;
        let data = shared
            .load(&owner, (&*self.clock, self.source.clock_offset()))
            .await?;
        let is_fresh = self.now().saturating_add(lead) < data.fresh_until();
        (is_fresh && !slot.was_refused(&data)).then(|| {
            self.counters.shared_hit();
            data.trailing_by(TRAIL + TRAIL_SPREAD * jitter())
        })
    }

    async fn offer_to_others(&self, request: &TokenRequest, data: &TokenData) {
        let (Some(shared), Some(owner)) = (&self.shared, self.source.owner(request)) else {
            return;
        };
        let clock = (&*self.clock, self.source.clock_offset());
        shared.store(&owner, data, clock).await;
        if request.claims().is_some()
            && let Some(owner) = self.source.owner(&request.without_claims())
        {
            shared.store(&owner, data, clock).await;
        }
    }

    fn now(&self) -> OffsetDateTime {
        self.clock.now()
    }
}

/// A token on its way. A hit is found at the first poll and moves three words; what a miss needs is
/// made only then.
pub(crate) struct TokenFuture<'a, S> {
    tokens: &'a CachedTokens<S>,
    request: &'a TokenRequest,
    miss: Option<Miss<'a>>,
}

type Miss<'a> = Pin<Box<dyn Future<Output = Result<AccessToken, Error>> + Send + 'a>>;

impl<S: TokenSource> Future for TokenFuture<'_, S> {
    type Output = Result<AccessToken, Error>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Self {
            tokens, request, ..
        } = *self;
        if self.miss.is_none()
            && !request.bypasses_cache()
            && let Some(token) = tokens.cached(request)
        {
            return Poll::Ready(Ok(token));
        }
        let miss = self
            .miss
            .get_or_insert_with(|| Box::pin(tokens.miss(request)));
        miss.as_mut().poll(context)
    }
}

impl<S: TokenSource> Debug for CachedTokens<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachedTokens")
            .field("source", &self.source)
            .field("shared", &self.shared)
            .field("metrics", &self.metrics())
            .finish_non_exhaustive()
    }
}

/// How long an error is worth remembering. What the network did is not; what the service asked
/// for is, and what it will surely say again.
fn hold_back(error: &Error) -> Duration {
    if let Some(wait) = error.retry_after() {
        return wait.min(MAX_HOLD_BACK);
    }
    match error {
        Error::Token(refusal) if refusal.may_be_propagation() => HOLD_BACK_PROPAGATION,
        Error::Token(refusal) => match refusal.class() {
            RetryClass::Transient | RetryClass::Throttled => Duration::ZERO,
            _ => HOLD_BACK,
        },
        // Looking for a service that is not there takes time.
        Error::NotAvailable { .. } => HOLD_BACK,
        _ => Duration::ZERO,
    }
}

/// How much later than the process that fetched a token the others renew it, and how far they
/// spread beyond that.
const TRAIL: time::Duration = time::Duration::seconds(30);
const TRAIL_SPREAD: time::Duration = time::Duration::seconds(60);
/// How many tokens the background work renews at once.
const AT_ONCE: usize = 16;
/// How often the background work looks.
const REFRESH_TICK: Duration = Duration::from_secs(30);
/// How much earlier than a caller it refreshes, so that no caller does: two ticks.
const REFRESH_LEAD: time::Duration = time::Duration::seconds(60);
/// What an administrator has to mend is not asked for again within this time.
const HOLD_BACK: Duration = Duration::from_secs(30);
/// What may mend itself is asked for sooner.
const HOLD_BACK_PROPAGATION: Duration = Duration::from_secs(5);
/// No service's wish is obeyed for longer.
const MAX_HOLD_BACK: Duration = Duration::from_secs(3600);
