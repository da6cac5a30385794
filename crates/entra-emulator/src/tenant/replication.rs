//! What a reader sees of a fresh write. Entra answers reads from several replicas, so that for a
//! while an object that was just created is there, and gone, and there again (Terraform's
//! provider for Entra therefore wants several consecutive successes before it believes one).
//!
//! Within the delay a reader sees the write or the last settled state, in the fixed order
//! [`PATTERN`], so that a test meets the same answers each time. Sign-in sees the settled state
//! alone, and so do references between objects.

use time::{Duration, OffsetDateTime};

use super::{Kind, Object};

/// How long writes take to be seen everywhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Replication {
    /// Applications, service principals, users, groups and devices.
    pub(crate) objects: Duration,
    /// Role assignments in lists (issue 15855 of
    /// microsoft-graph-docs speaks of 30 to 60 seconds); one by its id
    /// is seen at once.
    pub(crate) assignments: Duration,
    /// Role assignments in tokens.
    pub(crate) tokens: Duration,
}

impl Replication {
    /// New objects take this long, assignments six times as long to be listed, and twice as long
    /// to reach a token: the proportions of the default.
    pub(crate) fn with_delay(delay: Duration) -> Self {
        Self {
            objects: delay,
            assignments: delay.saturating_mul(6),
            tokens: delay.saturating_mul(2),
        }
    }

    /// The delay of one kind of object.
    pub(crate) fn of(&self, kind: Kind) -> Duration {
        match kind {
            Kind::AppRoleAssignment => self.assignments,
            Kind::Domain
            | Kind::Organization
            | Kind::TenantAppManagementPolicy
            | Kind::AppManagementPolicy
            | Kind::ConditionalAccessPolicy
            | Kind::AuthenticationContext => Duration::ZERO,
            _ => self.objects,
        }
    }
}

impl Default for Replication {
    fn default() -> Self {
        Self::with_delay(Duration::seconds(5))
    }
}

/// Which replica one read reaches.
#[derive(Clone, Debug)]
pub(crate) struct Glance {
    now: OffsetDateTime,
    up_to_date: bool,
    stale: bool,
    replication: Replication,
}

impl Glance {
    pub(super) fn new(
        now: OffsetDateTime,
        reads: u64,
        stale: bool,
        replication: Replication,
    ) -> Self {
        let length = u64::try_from(PATTERN.len()).unwrap_or(1);
        let place = usize::try_from(reads % length).unwrap_or_default();
        Self {
            now,
            up_to_date: PATTERN.get(place).copied().unwrap_or(true),
            stale,
            replication,
        }
    }
}

/// An object with what replicas may still answer instead of it.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    current: Object,
    written: Option<OffsetDateTime>,
    /// The state before the last write that was settled then; `None`: not there.
    before: Option<Box<Object>>,
}

impl Row {
    /// A row that every replica knows.
    pub(crate) fn settled(object: Object) -> Self {
        Self {
            current: object,
            written: None,
            before: None,
        }
    }

    /// A row that no replica knows yet.
    pub(crate) fn fresh(object: Object, now: OffsetDateTime) -> Self {
        Self {
            current: object,
            written: Some(now),
            before: None,
        }
    }

    /// Replaces the object.
    pub(crate) fn write(&mut self, object: Object, now: OffsetDateTime, delay: Duration) {
        let settled = self.written.is_none_or(|written| now - written >= delay);
        let old = std::mem::replace(&mut self.current, object);
        if settled {
            self.before = Some(Box::new(old));
        }
        self.written = Some(now);
    }

    /// The true copy.
    pub(crate) fn current(&self) -> &Object {
        &self.current
    }

    /// The true copy, to be changed without a trace.
    pub(crate) fn current_mut(&mut self) -> &mut Object {
        &mut self.current
    }

    /// Gives the true copy away.
    pub(crate) fn into_current(self) -> Object {
        self.current
    }

    /// What every replica knows after this delay.
    pub(crate) fn settled_after(&self, now: OffsetDateTime, delay: Duration) -> Option<&Object> {
        if self.is_settled(now, delay) {
            Some(&self.current)
        } else {
            self.before.as_deref()
        }
    }

    /// What one reader sees.
    pub(crate) fn seen(&self, kind: Kind, glance: &Glance) -> Option<&Object> {
        if glance.stale && !self.is_settled(glance.now, STALE_HORIZON) {
            return self.before.as_deref();
        }
        if glance.up_to_date {
            return Some(&self.current);
        }
        self.settled_after(glance.now, glance.replication.of(kind))
    }

    /// Whether a replica other than the true copy may still be asked.
    pub(crate) fn is_settled(&self, now: OffsetDateTime, delay: Duration) -> bool {
        self.written.is_none_or(|written| now - written >= delay)
    }
}

/// Hit, miss, hit, miss, miss, hit.
const PATTERN: [bool; 6] = [true, false, true, false, false, true];

/// A replica that an injected fault makes stale has missed the writes of this long.
const STALE_HORIZON: Duration = Duration::minutes(5);

#[cfg(test)]
mod tests {
    use serde_json::json;
    use time::macros::datetime;

    use super::*;

    const START: OffsetDateTime = datetime!(2026-01-01 00:00 UTC);

    fn object(version: u64) -> Object {
        json!({"version": version}).as_object().cloned().unwrap()
    }

    fn seen(row: &Row, seconds: i64, reads: u64, stale: bool) -> Option<u64> {
        let now = START + Duration::seconds(seconds);
        let glance = Glance::new(now, reads, stale, Replication::default());
        row.seen(Kind::Application, &glance)?["version"].as_u64()
    }

    #[test]
    fn a_new_object_comes_and_goes_until_the_delay_has_passed() {
        let row = Row::fresh(object(1), START);
        let answers: Vec<_> = (0..6).map(|reads| seen(&row, 4, reads, false)).collect();
        assert_eq!(answers, [Some(1), None, Some(1), None, None, Some(1)]);
        assert!((0..6).all(|reads| seen(&row, 5, reads, false) == Some(1)));
    }

    #[test]
    fn readers_fall_back_to_the_last_settled_state() {
        let mut row = Row::settled(object(1));
        row.write(object(2), START, Duration::seconds(5));
        row.write(
            object(3),
            START + Duration::seconds(1),
            Duration::seconds(5),
        );
        assert_eq!(seen(&row, 2, 0, false), Some(3));
        assert_eq!(seen(&row, 2, 1, false), Some(1));
        assert_eq!(seen(&row, 6, 1, false), Some(3));
    }

    #[test]
    fn a_stale_replica_has_missed_the_last_write_whatever_the_delay() {
        let mut row = Row::settled(object(1));
        row.write(object(2), START, Duration::ZERO);
        assert_eq!(seen(&row, 60, 0, true), Some(1));
        assert_eq!(seen(&row, 300, 0, true), Some(2));
    }
}
