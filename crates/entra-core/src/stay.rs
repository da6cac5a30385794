//! How long the stores in memory hold an entry, by clocks that jump.

use std::time::Duration;

use time::OffsetDateTime;

use crate::Clock;

/// How long an entry is held: until its time of day has come *and* as much time has passed as there
/// was to go. A clock that is put forward and back again makes nothing end early.
#[derive(Clone, Copy)]
pub(crate) struct Stay {
    expires_on: OffsetDateTime,
    due: Duration,
}

impl Stay {
    /// Nothing where the end has passed.
    pub(crate) fn until(expires_on: OffsetDateTime, now: Now) -> Option<Self> {
        let left = Duration::try_from(expires_on - now.time).ok()?;
        (!left.is_zero()).then(|| Self {
            expires_on,
            due: now.monotonic.saturating_add(left),
        })
    }

    pub(crate) fn has_ended(&self, now: Now) -> bool {
        self.expires_on <= now.time && self.due <= now.monotonic
    }

    /// The same end, measured anew: the time of day was put back.
    pub(crate) fn prolonged(&self, now: Now) -> Option<Self> {
        Self::until(self.expires_on, now)
    }

    /// Whether this one lasts at least as long as the other.
    pub(crate) fn outlasts(&self, other: &Self) -> bool {
        self.expires_on >= other.expires_on
    }

    /// The second of the monotonic clock in which to look whether it has ended.
    pub(crate) fn due_second(&self) -> u64 {
        self.due.as_secs().saturating_add(1)
    }
}

/// What both clocks say.
#[derive(Clone, Copy)]
pub(crate) struct Now {
    time: OffsetDateTime,
    monotonic: Duration,
}

impl Now {
    pub(crate) fn of(clock: &dyn Clock) -> Self {
        Self {
            time: clock.now(),
            monotonic: clock.monotonic(),
        }
    }

    pub(crate) fn second(&self) -> u64 {
        self.monotonic.as_secs()
    }
}
