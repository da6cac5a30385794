//! Who may be retried, how often, and after how long.

use std::time::Duration;

use http::StatusCode;
use time::OffsetDateTime;

use crate::TransportErrorKind;

/// What repeating a request would do: the question behind every retry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// It changes nothing (RFC 9110 9.2.1).
    Read,
    /// It may be repeated with the same effect (RFC 9110 9.2.2), or the service refuses the
    /// repetition by name, as an upsert by a unique key or a token request without a one-time
    /// code.
    Idempotent,
    /// Repeating it may do the work twice. It is sent again only where the service says that it
    /// did not do the work: 429, 503 with Retry-After, or no connection at all.
    Unsafe,
    /// It uses up what it carries, an authorization code for example. It is sent again only where
    /// no connection came up.
    Once,
}

/// How long and how often to try.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetryPolicy {
    /// How often a request is sent at the most, the first time included.
    pub max_attempts: u32,
    /// The longest wait before the second attempt; it doubles with each further one. The wait is
    /// drawn between nothing and this («full jitter»), so that many clients do not return at once.
    pub backoff: Duration,
    /// The longest wait that is drawn. A `Retry-After` of the service may be longer.
    pub max_backoff: Duration,
    /// The time for the whole call with all its attempts and waits.
    pub deadline: Duration,
    /// The time for one attempt.
    pub attempt_timeout: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            max_attempts: 5,
            backoff: Duration::from_millis(800),
            max_backoff: Duration::from_secs(30),
            deadline: Duration::from_secs(100),
            attempt_timeout: Duration::from_secs(30),
        }
    }
}

impl RetryPolicy {
    /// One attempt, no wait.
    pub fn none() -> Self {
        Self {
            max_attempts: 1,
            ..Self::default()
        }
    }

    /// The wait before attempt `attempt + 1`, where `jitter` is between 0 and 1.
    pub(crate) fn wait(&self, attempt: u32, jitter: f64) -> Duration {
        let doubled = 2_u32.saturating_pow(attempt.saturating_sub(1));
        let longest = self.backoff.saturating_mul(doubled).min(self.max_backoff);
        longest.mul_f64(jitter.clamp(0.0, 1.0))
    }
}

impl Operation {
    /// What the method alone says. A `PATCH` or `POST` is unsafe unless whoever calls knows
    /// better.
    pub fn of(method: &http::Method) -> Self {
        match *method {
            http::Method::GET | http::Method::HEAD | http::Method::OPTIONS => Self::Read,
            http::Method::PUT | http::Method::DELETE => Self::Idempotent,
            _ => Self::Unsafe,
        }
    }

    /// Whether to send again after this status.
    pub fn repeats_after_status(self, status: StatusCode, has_retry_after: bool) -> bool {
        match self {
            // 509 is Graph's "bandwidth limit exceeded". 501 and 505 never change.
            Self::Read | Self::Idempotent => {
                matches!(status.as_u16(), 408 | 429 | 500 | 502 | 503 | 504 | 509)
            }
            Self::Unsafe => match status.as_u16() {
                429 => true,
                503 => has_retry_after,
                _ => false,
            },
            Self::Once => false,
        }
    }

    /// Whether to send again after no answer came.
    pub(crate) fn repeats_after_error(self, kind: TransportErrorKind) -> bool {
        match self {
            Self::Read | Self::Idempotent => kind.is_transient(),
            Self::Unsafe | Self::Once => kind == TransportErrorKind::Connect,
        }
    }
}

/// The wait that a service asks for: `Retry-After` in seconds or as a date (RFC 9110 10.2.3), or
/// `x-ms-retry-after-ms`. A date is compared with the service's own `Date`, since the clock of
/// this machine may be wrong.
pub fn retry_after(headers: &http::HeaderMap, now: OffsetDateTime) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    for name in ["x-ms-retry-after-ms", "retry-after-ms"] {
        if let Some(milliseconds) = text(name).and_then(|value| value.parse().ok()) {
            return Some(Duration::from_millis(milliseconds));
        }
    }
    let value = text("retry-after")?;
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = OffsetDateTime::from(httpdate::parse_http_date(value).ok()?);
    let sent = date(headers).unwrap_or(now);
    Some(Duration::try_from(until - sent).unwrap_or(Duration::ZERO))
}

/// The service's time of day when it answered (RFC 9110 6.6.1).
pub(crate) fn date(headers: &http::HeaderMap) -> Option<OffsetDateTime> {
    let value = headers.get(http::header::DATE)?.to_str().ok()?;
    Some(httpdate::parse_http_date(value).ok()?.into())
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};
    use time::macros::datetime;

    use super::*;

    #[test]
    fn the_status_and_the_operation_decide() {
        use Operation::{Idempotent, Once, Read, Unsafe};
        for (status, retry_after, repeated) in [
            (400, false, &[][..]),
            (401, false, &[]),
            (408, false, &[Read, Idempotent]),
            (409, false, &[]),
            (429, false, &[Read, Idempotent, Unsafe]),
            (500, true, &[Read, Idempotent]),
            (501, true, &[]),
            (502, false, &[Read, Idempotent]),
            (503, false, &[Read, Idempotent]),
            (503, true, &[Read, Idempotent, Unsafe]),
            (504, true, &[Read, Idempotent]),
            (505, true, &[]),
            (509, false, &[Read, Idempotent]),
        ] {
            for operation in [Read, Idempotent, Unsafe, Once] {
                let code = StatusCode::from_u16(status).unwrap();
                assert_eq!(
                    operation.repeats_after_status(code, retry_after),
                    repeated.contains(&operation),
                    "{operation:?} after {status}, Retry-After: {retry_after}",
                );
            }
        }
    }

    #[test]
    fn a_request_that_may_have_been_acted_on_is_repeated_only_if_that_is_harmless() {
        use TransportErrorKind::{BodyTooLarge, Connect, Interrupted, Request, Timeout, Tls};
        for kind in [Interrupted, Timeout] {
            assert!(Operation::Read.repeats_after_error(kind));
            assert!(Operation::Idempotent.repeats_after_error(kind));
            assert!(!Operation::Unsafe.repeats_after_error(kind));
            assert!(!Operation::Once.repeats_after_error(kind));
        }
        for kind in [Tls, Request, BodyTooLarge { limit: 1 }] {
            assert!(!Operation::Read.repeats_after_error(kind));
        }
        assert!(Operation::Unsafe.repeats_after_error(Connect));
        assert!(Operation::Once.repeats_after_error(Connect));
    }

    #[test]
    fn retry_after_is_read_in_seconds_milliseconds_and_as_a_date() {
        let now = datetime!(2026-01-01 00:00 UTC);
        let late_clock = ("date", "Thu, 01 Jan 2026 05:00:00 GMT");
        for (headers, expected) in [
            (&[("retry-after", "120")][..], Some(120_000)),
            (&[("retry-after", " 7 ")], Some(7_000)),
            (
                &[("x-ms-retry-after-ms", "1500"), ("retry-after", "9")],
                Some(1_500),
            ),
            (
                &[("retry-after", "Thu, 01 Jan 2026 00:01:30 GMT")],
                Some(90_000),
            ),
            (
                &[("retry-after", "Thu, 01 Jan 2026 05:00:10 GMT"), late_clock],
                Some(10_000),
            ),
            (&[("retry-after", "Wed, 31 Dec 2025 00:00:00 GMT")], Some(0)),
            (&[("retry-after", "-1")], None),
            (&[("retry-after", "soon")], None),
            (&[], None),
        ] {
            let map: HeaderMap = headers
                .iter()
                .map(|(name, value)| {
                    (
                        http::HeaderName::from_static(name),
                        HeaderValue::from_static(value),
                    )
                })
                .collect();
            let expected = expected.map(Duration::from_millis);
            assert_eq!(retry_after(&map, now), expected, "{headers:?}");
        }
    }

    #[test]
    fn waits_grow_up_to_the_cap() {
        let policy = RetryPolicy::default();
        assert_eq!(policy.wait(1, 1.0), Duration::from_millis(800));
        assert_eq!(policy.wait(3, 1.0), Duration::from_millis(3200));
        assert_eq!(policy.wait(3, 0.5), Duration::from_millis(1600));
        assert_eq!(policy.wait(40, 1.0), Duration::from_secs(30));
    }
}
