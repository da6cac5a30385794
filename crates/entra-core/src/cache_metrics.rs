//! What a token cache did, in numbers.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// What a token cache did since its client was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheMetrics {
    /// How many calls got a cached token. Close to exact: threads do not wait for each other to
    /// count.
    pub hits: u64,
    /// How many tokens came from another process, through the shared cache.
    pub shared_hits: u64,
    /// How many times a token was fetched, each with all its repetitions and credentials.
    pub requests: u64,
    /// How many of these ended without a token.
    pub failures: u64,
    /// How many calls got the error of an earlier one, because asking again was no use yet.
    pub held_back: u64,
    /// How many tokens were pushed out because the cache was full.
    pub evictions: u64,
    /// How many tokens there are, or are being fetched.
    pub len: usize,
}

/// The counters behind the numbers.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// One for each thread, as far as they reach: hits are counted on the path that must be fast.
    hits: [Stripe; STRIPES],
    shared_hits: AtomicU64,
    requests: AtomicU64,
    failures: AtomicU64,
    held_back: AtomicU64,
}

/// Alone in its cache line, so that two processors do not take it from each other.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Stripe(AtomicU64);

impl Counters {
    #[inline]
    pub(crate) fn hit(&self) {
        if let Some(Stripe(count)) = self.hits.get(stripe()) {
            // Not one step, because that is slower than all the rest of a hit: two threads of one
            // stripe may lose a count.
            count.store(count.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        }
    }

    pub(crate) fn shared_hit(&self) {
        self.shared_hits.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn request(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn failure(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn held_back(&self) {
        self.held_back.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn read(&self, len: usize, evictions: u64) -> CacheMetrics {
        let value = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        CacheMetrics {
            hits: self.hits.iter().map(|Stripe(count)| value(count)).sum(),
            shared_hits: value(&self.shared_hits),
            requests: value(&self.requests),
            failures: value(&self.failures),
            held_back: value(&self.held_back),
            evictions,
            len,
        }
    }
}

/// The stripe of this thread.
#[inline]
fn stripe() -> usize {
    thread_local! {
        static STRIPE: Cell<usize> = const { Cell::new(STRIPES) };
    }
    STRIPE.with(|stripe| {
        if stripe.get() == STRIPES {
            stripe.set(next_stripe());
        }
        stripe.get()
    })
}

#[cold]
fn next_stripe() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed) % STRIPES
}

const STRIPES: usize = 8;
