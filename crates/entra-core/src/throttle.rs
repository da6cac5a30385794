//! The gate that one 429 closes for everybody who shares the limit.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Who shares a limit: Graph counts per app and tenant, the sign-in service likewise.
///
/// Calls with equal scopes wait together once one of them was throttled.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ThrottleScope {
    host: String,
    tenant: String,
    client: String,
}

impl ThrottleScope {
    /// The calls of one app in one tenant to one host.
    pub fn new(
        host: impl Into<String>,
        tenant: impl Into<String>,
        client: impl Into<String>,
    ) -> Self {
        Self {
            host: host.into(),
            tenant: tenant.into(),
            client: client.into(),
        }
    }

    pub(crate) fn host(&self) -> &str {
        &self.host
    }
}

/// Which scopes are closed, and until when on the monotonic clock.
#[derive(Debug, Default)]
pub(crate) struct ThrottleGate {
    closed: Mutex<HashMap<ThrottleScope, Duration>>,
    /// How many entries there are: nobody takes the lock while nothing is throttled.
    count: AtomicUsize,
}

impl ThrottleGate {
    /// How long to wait before the next call; nothing if the gate is open.
    pub(crate) fn wait(&self, scope: &ThrottleScope, now: Duration) -> Option<Duration> {
        if self.count.load(Ordering::Acquire) == 0 {
            return None;
        }
        let mut closed = self.closed.lock().unwrap_or_else(PoisonError::into_inner);
        let until = *closed.get(scope)?;
        if until > now {
            return Some(until - now);
        }
        closed.remove(scope);
        self.count.store(closed.len(), Ordering::Release);
        None
    }

    /// Closes the gate for `duration`, for an hour at the most: no single answer may silence an
    /// app for good. A longer closure that stands already is kept.
    pub(crate) fn close(&self, scope: &ThrottleScope, now: Duration, duration: Duration) {
        let until = now.saturating_add(duration.min(LONGEST_CLOSURE));
        let mut closed = self.closed.lock().unwrap_or_else(PoisonError::into_inner);
        closed.retain(|_, until| *until > now);
        let entry = closed.entry(scope.clone()).or_insert(until);
        *entry = until.max(*entry);
        self.count.store(closed.len(), Ordering::Release);
    }
}

const LONGEST_CLOSURE: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_closed_gate_opens_with_time_and_only_its_own_scope_waits() {
        let gate = ThrottleGate::default();
        let (a, b) = (scope("a"), scope("b"));
        assert_eq!(gate.wait(&a, SECOND), None);
        gate.close(&a, SECOND, 10 * SECOND);
        assert_eq!(gate.wait(&a, 2 * SECOND), Some(9 * SECOND));
        assert_eq!(gate.wait(&b, 2 * SECOND), None);
        assert_eq!(gate.wait(&a, 11 * SECOND), None);
        assert!(gate.closed.lock().unwrap().is_empty());
    }

    #[test]
    fn a_shorter_closure_does_not_open_the_gate_earlier() {
        let gate = ThrottleGate::default();
        gate.close(&scope("a"), SECOND, 10 * SECOND);
        gate.close(&scope("a"), SECOND, 2 * SECOND);
        assert_eq!(gate.wait(&scope("a"), SECOND), Some(10 * SECOND));
    }

    #[test]
    fn no_answer_closes_the_gate_for_longer_than_an_hour() {
        let gate = ThrottleGate::default();
        gate.close(&scope("a"), SECOND, Duration::MAX);
        assert_eq!(gate.wait(&scope("a"), SECOND), Some(3600 * SECOND));
    }

    fn scope(tenant: &str) -> ThrottleScope {
        ThrottleScope::new("graph.example", tenant, "client")
    }
}
