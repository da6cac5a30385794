//! Time as a dependency: nothing else in these crates reads a clock or sleeps.

use std::fmt::Debug;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use time::OffsetDateTime;

/// What time it is, how much has passed, and how to wait.
///
/// Hosts use [`SystemClock`]; tests and the local tenant use [`MovableClock`], so that a year
/// passes without waiting.
#[async_trait]
pub trait Clock: Debug + Send + Sync {
    /// The time of day in UTC. It may jump in both directions.
    fn now(&self) -> OffsetDateTime;

    /// The time of day in whole Unix seconds. The same as [`now`](Self::now), and cheaper where a
    /// clock has it without a calendar.
    fn unix_time(&self) -> i64 {
        self.now().unix_timestamp()
    }

    /// The time since an arbitrary origin. It never runs backwards.
    fn monotonic(&self) -> Duration;

    /// Returns once `duration` has passed on this clock.
    async fn sleep(&self, duration: Duration);
}

/// The clock of the operating system, with tokio's timer.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> OffsetDateTime {
        system_now()
    }

    fn unix_time(&self) -> i64 {
        system_unix_time()
    }

    fn monotonic(&self) -> Duration {
        system_monotonic()
    }

    async fn sleep(&self, duration: Duration) {
        system_sleep(duration).await;
    }
}

/// A clock that a test or the local tenant moves by hand.
///
/// ```
/// use std::time::Duration;
/// use entra_core::{Clock, MovableClock};
///
/// let clock = MovableClock::ticking();
/// let before = clock.now();
/// clock.advance(Duration::from_secs(86_400 * 365));
/// assert!(clock.now() - before >= time::Duration::days(365));
/// ```
#[derive(Debug)]
pub struct MovableClock {
    state: Mutex<State>,
}

impl MovableClock {
    /// A clock that stands still at `now`. A task that sleeps on it moves it forward and goes on
    /// at once.
    pub fn frozen_at(now: OffsetDateTime) -> Self {
        Self {
            state: Mutex::new(State::Frozen {
                now,
                elapsed: Duration::ZERO,
            }),
        }
    }

    /// A clock that runs with the operating system's, plus whatever it was advanced by. A task
    /// that sleeps on it really waits.
    pub fn ticking() -> Self {
        Self {
            state: Mutex::new(State::Ticking {
                offset: Duration::ZERO,
            }),
        }
    }

    /// Moves the clock forward. A move past the year 9999 is ignored.
    pub fn advance(&self, duration: Duration) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *state {
            State::Frozen { now, elapsed } => {
                let Some(moved) = add(*now, duration) else {
                    return;
                };
                *now = moved;
                *elapsed = elapsed.saturating_add(duration);
            }
            State::Ticking { offset } => {
                let moved = offset.saturating_add(duration);
                if add(system_now(), moved).is_some() {
                    *offset = moved;
                }
            }
        }
    }

    fn read(&self) -> (OffsetDateTime, Duration) {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match *state {
            State::Frozen { now, elapsed } => (now, elapsed),
            State::Ticking { offset } => {
                let now = system_now();
                let elapsed = system_monotonic().saturating_add(offset);
                (add(now, offset).unwrap_or(now), elapsed)
            }
        }
    }

    fn is_frozen(&self) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        matches!(*state, State::Frozen { .. })
    }
}

#[async_trait]
impl Clock for MovableClock {
    fn now(&self) -> OffsetDateTime {
        self.read().0
    }

    fn monotonic(&self) -> Duration {
        self.read().1
    }

    async fn sleep(&self, duration: Duration) {
        if self.is_frozen() {
            self.advance(duration);
            // Others that wait for the same moment must get their turn.
            tokio::task::yield_now().await;
        } else {
            system_sleep(duration).await;
        }
    }
}

/// Does work in the background until the host ends it: what a `run(shutdown)` of this crate and its
/// siblings is made of.
pub async fn work_until(
    shutdown: impl Future<Output = ()> + Send,
    work: impl Future<Output = ()> + Send,
) {
    let (mut shutdown, mut work) = (Box::pin(shutdown), Box::pin(work));
    std::future::poll_fn(|context| match shutdown.as_mut().poll(context) {
        Poll::Ready(()) => Poll::Ready(()),
        Poll::Pending => work.as_mut().poll(context),
    })
    .await;
}

#[derive(Clone, Copy, Debug)]
enum State {
    Frozen {
        now: OffsetDateTime,
        elapsed: Duration,
    },
    Ticking {
        offset: Duration,
    },
}

fn add(time: OffsetDateTime, duration: Duration) -> Option<OffsetDateTime> {
    time.checked_add(time::Duration::try_from(duration).ok()?)
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is the clock that everything else asks"
)]
fn system_now() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is the clock that everything else asks"
)]
fn system_unix_time() -> i64 {
    let seconds = match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_secs()),
        Err(before) => i64::try_from(before.duration().as_secs()).map(|seconds| -seconds - 1),
    };
    seconds.unwrap_or(i64::MAX)
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is the clock that everything else asks"
)]
fn system_monotonic() -> Duration {
    static ORIGIN: LazyLock<Instant> = LazyLock::new(Instant::now);
    ORIGIN.elapsed()
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is the clock that everything else asks"
)]
async fn system_sleep(duration: Duration) {
    tokio::time::sleep(duration).await;
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[tokio::test]
    async fn a_sleep_on_a_frozen_clock_moves_it_and_returns_at_once() {
        let clock = MovableClock::frozen_at(datetime!(2026-01-01 00:00 UTC));
        clock.sleep(Duration::from_secs(3600)).await;
        assert_eq!(clock.now(), datetime!(2026-01-01 01:00 UTC));
        assert_eq!(clock.monotonic(), Duration::from_secs(3600));
    }

    #[test]
    fn the_unix_time_of_every_clock_is_its_time_of_day() {
        let frozen = MovableClock::frozen_at(datetime!(2026-01-01 00:00:00.9 UTC));
        assert_eq!(frozen.unix_time(), 1_767_225_600);
        let (before, now) = (SystemClock.now(), SystemClock.unix_time());
        let after = SystemClock.now();
        assert!((before.unix_timestamp()..=after.unix_timestamp()).contains(&now));
    }

    #[test]
    fn a_ticking_clock_keeps_what_it_was_advanced_by() {
        let clock = MovableClock::ticking();
        let (now, elapsed) = (clock.now(), clock.monotonic());
        clock.advance(Duration::from_secs(60));
        assert!(clock.now() - now >= time::Duration::seconds(60));
        assert!(clock.monotonic() - elapsed >= Duration::from_secs(60));
    }

    #[test]
    fn a_clock_does_not_move_past_the_last_representable_year() {
        let clock = MovableClock::frozen_at(datetime!(2026-01-01 00:00 UTC));
        clock.advance(Duration::MAX);
        assert_eq!(clock.now(), datetime!(2026-01-01 00:00 UTC));
    }
}
