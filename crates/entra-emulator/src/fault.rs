//! Faults that a test orders: throttling, outages before and after the write, lost connections.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::json;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::refusal::Refusal;

/// The faults that are still to come. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    rules: Arc<Mutex<Vec<FaultRule>>>,
}

impl Faults {
    /// Adds a rule after those that are there. For each request the first one that matches is
    /// applied, until it was applied `times` times.
    pub fn inject(&self, rule: FaultRule) -> Result<(), FaultRuleError> {
        self.inject_all(vec![rule])
    }

    /// Adds several rules, or none of them where one is not valid.
    pub fn inject_all(&self, rules: Vec<FaultRule>) -> Result<(), FaultRuleError> {
        for rule in &rules {
            rule.check()?;
        }
        self.lock().extend(rules);
        Ok(())
    }

    /// The rules that were not used up.
    pub fn pending(&self) -> Vec<FaultRule> {
        self.lock().clone()
    }

    /// Removes every rule.
    pub fn clear(&self) {
        self.lock().clear();
    }

    /// The fault for this request, which is used up by asking. `answers_only` leaves those alone
    /// that need a connection to be broken.
    pub(crate) fn take(&self, method: &str, path: &str, answers_only: bool) -> Option<FaultRule> {
        let mut rules = self.lock();
        let position = rules.iter().position(|rule| {
            is_match(&rule.path, method, path)
                && rule.fault.concerns(path)
                && !(answers_only && rule.fault.needs_connection())
        })?;
        let rule = rules.get_mut(position)?;
        rule.times = rule.times.saturating_sub(1);
        let taken = rule.clone();
        if taken.times == 0 {
            rules.remove(position);
        }
        Some(taken)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<FaultRule>> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Which requests suffer which fault, and how often.
///
/// ```
/// use entra_emulator::{Fault, FaultRule};
///
/// let rule = FaultRule::new("POST /v1.0/applications", Fault::UnavailableAfter).with_times(2);
/// let read: FaultRule = serde_json::from_str(
///     r#"{"path": "POST /v1.0/applications", "times": 2, "fault": "unavailable_after"}"#,
/// )?;
/// assert_eq!(rule, read);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct FaultRule {
    /// The beginning of the path, or with `*` (any characters) the whole path; optionally after a
    /// method and a space.
    pub path: String,
    /// How many requests suffer it; one by default.
    #[serde(default = "once")]
    pub times: u32,
    /// What happens to them.
    pub fault: Fault,
    /// Seconds in `Retry-After`, for the faults that answer 429, 502, 503 or an AADSTS code. Without
    /// it the header is missing, as happens with Graph too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u32>,
    /// Writes `Retry-After` as a date (RFC 9110 10.2.3).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub retry_after_as_date: bool,
}

impl FaultRule {
    /// The fault, once, without `Retry-After`.
    pub fn new(path: impl Into<String>, fault: Fault) -> Self {
        Self {
            path: path.into(),
            times: 1,
            fault,
            retry_after: None,
            retry_after_as_date: false,
        }
    }

    /// Applies it to that many requests.
    #[must_use]
    pub fn with_times(mut self, times: u32) -> Self {
        self.times = times;
        self
    }

    /// Answers with `Retry-After` in seconds.
    #[must_use]
    pub fn with_retry_after(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// Answers with `Retry-After` as a date that many seconds ahead.
    #[must_use]
    pub fn with_retry_after_date(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
        self.retry_after_as_date = true;
        self
    }

    /// The answer instead of the request being handled, or `None` to handle it. `outage` makes
    /// the service's own error for 429 or 503.
    pub(crate) fn answer_before(
        &self,
        now: OffsetDateTime,
        outage: impl Fn(Outage) -> Response<Bytes>,
    ) -> Option<Response<Bytes>> {
        let answer = match self.fault {
            Fault::Throttled => outage(Outage::Status(StatusCode::TOO_MANY_REQUESTS)),
            Fault::ThrottledText => text(
                StatusCode::TOO_MANY_REQUESTS,
                "text/plain",
                "Too Many Requests",
            ),
            Fault::UnavailableBefore => outage(Outage::Status(StatusCode::SERVICE_UNAVAILABLE)),
            Fault::Aadsts(code) => outage(Outage::Aadsts(code)),
            Fault::AuthenticationContext(context) => outage(Outage::Context(context)),
            Fault::BadGatewayHtml => text(StatusCode::BAD_GATEWAY, "text/html", PROXY_PAGE),
            Fault::NotFound => outage(Outage::Status(StatusCode::NOT_FOUND)),
            Fault::Gone => outage(Outage::Status(StatusCode::GONE)),
            _ => return None,
        };
        Some(self.with_header(answer, now))
    }

    /// What becomes of the answer once the request was handled.
    pub(crate) fn answer_after(
        &self,
        answer: Response<Bytes>,
        now: OffsetDateTime,
        outage: impl Fn(Outage) -> Response<Bytes>,
    ) -> Response<Bytes> {
        match self.fault {
            Fault::UnavailableAfter => {
                self.with_header(outage(Outage::Status(StatusCode::SERVICE_UNAVAILABLE)), now)
            }
            Fault::Oversized => answer.map(|body| {
                let mut padded = body.to_vec();
                padded.resize(padded.len() + OVERSIZE, b' ');
                Bytes::from(padded)
            }),
            _ => answer,
        }
    }

    fn with_header(&self, mut answer: Response<Bytes>, now: OffsetDateTime) -> Response<Bytes> {
        if let Some(seconds) = self.retry_after {
            let value = if self.retry_after_as_date {
                let at = now + Duration::from_secs(seconds.into());
                HeaderValue::from_str(&httpdate::fmt_http_date(at.into())).ok()
            } else {
                Some(HeaderValue::from(seconds))
            };
            if let Some(value) = value {
                answer.headers_mut().insert(RETRY_AFTER, value);
            }
        }
        answer
    }

    fn check(&self) -> Result<(), FaultRuleError> {
        check_path(&self.path)?;
        if self.times == 0 {
            return Err(FaultRuleError::Times);
        }
        if let Fault::Aadsts(code) = self.fault
            && !Refusal::is_known(code)
        {
            return Err(FaultRuleError::Code { found: code });
        }
        if let Fault::AuthenticationContext(context) = self.fault
            && !(1..=99).contains(&context)
        {
            return Err(FaultRuleError::Context { found: context });
        }
        if self.retry_after.is_some() && !self.fault.answers() {
            return Err(FaultRuleError::RetryAfter);
        }
        if self.retry_after_as_date && self.retry_after.is_none() {
            return Err(FaultRuleError::RetryAfterDate);
        }
        Ok(())
    }
}

/// Whether a request is one of those that a rule's path means.
pub(crate) fn is_match(rule: &str, method: &str, path: &str) -> bool {
    let (wanted, pattern) = split(rule);
    if wanted.is_some_and(|wanted| !wanted.eq_ignore_ascii_case(method)) {
        return false;
    }
    if pattern.contains('*') {
        is_glob_match(pattern, path)
    } else {
        path.starts_with(pattern)
    }
}

/// Whether any request can match a rule's path.
pub(crate) fn check_path(rule: &str) -> Result<(), FaultRuleError> {
    let (method, pattern) = split(rule);
    if let Some(method) = method.filter(|method| !is_method(method)) {
        return Err(FaultRuleError::Method {
            found: method.to_owned(),
        });
    }
    if !pattern.starts_with(['/', '*']) {
        return Err(FaultRuleError::Path {
            found: rule.to_owned(),
        });
    }
    Ok(())
}

fn split(rule: &str) -> (Option<&str>, &str) {
    match rule.split_once(' ') {
        Some((method, pattern)) => (Some(method), pattern),
        None => (None, rule),
    }
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Fault {
    /// 429 in the shape of the service, without handling the request.
    Throttled,
    /// 429 with a body of plain text, as the token endpoint answers.
    ThrottledText,
    /// 503, without handling the request.
    UnavailableBefore,
    /// The request is handled, writes included, and then answered with 503.
    UnavailableAfter,
    /// 502 with the HTML page of a proxy, without handling the request.
    BadGatewayHtml,
    /// 404, without handling the request: an instance metadata service that is being updated.
    NotFound,
    /// 410, without handling the request: an instance metadata service that is being updated.
    Gone,
    /// A token request is refused with this AADSTS code, in Entra's shape: one of those that
    /// [`entra_core::aadsts_codes`] explains. Other requests are left alone.
    Aadsts(u32),
    /// A user has to sign in to an authentication context of Conditional Access, `c1` to `c99`: a
    /// token request is refused with `interaction_required` and the claims to ask for, Microsoft
    /// Graph answers with a claims challenge.
    AuthenticationContext(u8),
    /// The connection ends without the request having been handled.
    Dropped,
    /// The request is handled, writes included, and the connection ends without an answer.
    DroppedAfter,
    /// The request is handled, and the connection ends in the middle of the answer's body.
    Truncated,
    /// The answer is followed by more than 32 MiB of spaces.
    Oversized,
    /// The answer comes from a replica that has not seen the last writes.
    StaleReplica,
    /// The answer comes late. In the process a frozen clock moves instead of waiting.
    Latency {
        /// By how much.
        milliseconds: u32,
    },
}

impl Fault {
    pub(crate) fn latency(self) -> Duration {
        match self {
            Self::Latency { milliseconds } => Duration::from_millis(milliseconds.into()),
            _ => Duration::ZERO,
        }
    }

    /// Whether it has a meaning for requests to this path.
    fn concerns(self, path: &str) -> bool {
        let is_token_request = path.trim_end_matches('/').ends_with("/oauth2/v2.0/token");
        match self {
            Self::Aadsts(_) => is_token_request,
            Self::AuthenticationContext(_) => is_token_request || crate::graph::is_path(path),
            _ => true,
        }
    }

    /// Whether it answers in the place of the service, with a header of its own.
    fn answers(self) -> bool {
        matches!(
            self,
            Self::Throttled
                | Self::ThrottledText
                | Self::UnavailableBefore
                | Self::UnavailableAfter
                | Self::BadGatewayHtml
                | Self::Aadsts(_)
        )
    }

    fn needs_connection(self) -> bool {
        matches!(
            self,
            Self::Dropped | Self::DroppedAfter | Self::Truncated | Self::Latency { .. }
        )
    }
}

/// What a service says in the place of an answer, each in its own shape.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Outage {
    Status(StatusCode),
    Aadsts(u32),
    /// An authentication context is missing.
    Context(u8),
}

/// Why a rule cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FaultRuleError {
    /// The path neither starts with a slash nor with a star.
    #[error("the path {found:?} of a fault starts with / or *, optionally after a method")]
    Path {
        /// What was given.
        found: String,
    },
    /// The method is none.
    #[error("{found:?} is not an HTTP method")]
    Method {
        /// What was given.
        found: String,
    },
    /// No answer with this AADSTS code is known.
    #[error("there is no answer with the code AADSTS{found}")]
    Code {
        /// What was given.
        found: u32,
    },
    /// No authentication context has this number.
    #[error("authentication contexts are numbered from 1 to 99, and {found} is none")]
    Context {
        /// What was given.
        found: u8,
    },
    /// Zero times.
    #[error("a fault is applied at least once: \"times\" is 0")]
    Times,
    /// `Retry-After` with a fault that has no answer of its own.
    #[error("\"retry_after\" goes with a fault that answers 429, 502, 503 or an AADSTS code")]
    RetryAfter,
    /// A date without saying which.
    #[error("\"retry_after_as_date\" needs \"retry_after\", the seconds until that date")]
    RetryAfterDate,
}

/// Graph's own error for an outage in the shape of Microsoft Learn, "Microsoft Graph error
/// responses and resource types"; the texts, and the codes but for 429, are not verified.
pub(crate) fn graph_outage(status: StatusCode) -> Response<Bytes> {
    let (code, message) = match status {
        StatusCode::TOO_MANY_REQUESTS => ("TooManyRequests", "Too many requests"),
        StatusCode::NOT_FOUND => ("NotFound", "Not found."),
        StatusCode::GONE => ("Gone", "Gone."),
        _ => (
            "serviceNotAvailable",
            "The service is temporarily unavailable.",
        ),
    };
    let request_id = Uuid::new_v4().to_string();
    let body = json!({"error": {
        "code": code,
        "message": message,
        "innerError": {"request-id": request_id},
    }});
    let mut answer = text(status, "application/json", &body.to_string());
    if let Ok(id) = HeaderValue::from_str(&request_id) {
        answer.headers_mut().insert("request-id", id);
    }
    answer
}

fn once() -> u32 {
    1
}

fn is_method(text: &str) -> bool {
    ["GET", "POST", "PATCH", "PUT", "DELETE", "HEAD"]
        .iter()
        .any(|method| method.eq_ignore_ascii_case(text))
}

fn text(status: StatusCode, content_type: &'static str, body: &str) -> Response<Bytes> {
    let mut answer = Response::new(Bytes::copy_from_slice(body.as_bytes()));
    *answer.status_mut() = status;
    let content_type = HeaderValue::from_static(content_type);
    answer.headers_mut().insert(CONTENT_TYPE, content_type);
    answer
}

fn is_glob_match(pattern: &str, path: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = path.strip_prefix(first) else {
        return false;
    };
    let Some(last) = parts.next_back() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.split_once(part) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(last)
}

const OVERSIZE: usize = 32 * 1024 * 1024;

const PROXY_PAGE: &str = "<!DOCTYPE html>\n<html><head><title>502 Bad Gateway</title></head>\
    <body><center><h1>502 Bad Gateway</h1></center><hr><center>proxy</center></body></html>\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_matches_as_a_prefix_or_as_a_whole_with_stars() {
        for (pattern, method, path, expected) in [
            ("/v1.0", "GET", "/v1.0/users", true),
            ("/v1.0/users", "GET", "/v1.0/groups", false),
            ("POST /v1.0/users", "GET", "/v1.0/users", false),
            ("post /v1.0/users", "POST", "/v1.0/users", true),
            (
                "/*/oauth2/v2.0/token",
                "POST",
                "/contoso/oauth2/v2.0/token",
                true,
            ),
            (
                "/*/oauth2/v2.0/token",
                "POST",
                "/contoso/oauth2/v2.0/token/x",
                false,
            ),
            (
                "/v1.0/*/owners/*",
                "GET",
                "/v1.0/applications/1/owners/2",
                true,
            ),
            ("*", "GET", "/anything", true),
            ("*/users", "GET", "/v1.0/users", true),
            ("*/users", "GET", "/v1.0/users/1", false),
        ] {
            let rule = FaultRule::new(pattern, Fault::Dropped);
            assert_eq!(
                is_match(&rule.path, method, path),
                expected,
                "{pattern} {method} {path}"
            );
        }
    }

    #[test]
    fn a_rule_that_can_never_apply_is_refused_by_name() {
        let faults = Faults::default();
        for (rule, error) in [
            (
                FaultRule::new("v1.0", Fault::Dropped),
                FaultRuleError::Path {
                    found: "v1.0".into(),
                },
            ),
            (
                FaultRule::new("FETCH /v1.0", Fault::Dropped),
                FaultRuleError::Method {
                    found: "FETCH".into(),
                },
            ),
            (
                FaultRule::new("/", Fault::Dropped).with_times(0),
                FaultRuleError::Times,
            ),
        ] {
            assert_eq!(faults.inject(rule), Err(error));
        }
        assert_eq!(faults.pending(), []);
    }

    #[test]
    fn a_rule_is_used_up_after_its_times() {
        let faults = Faults::default();
        faults
            .inject(FaultRule::new("/a", Fault::Throttled).with_times(2))
            .unwrap();
        faults.inject(FaultRule::new("/a", Fault::Dropped)).unwrap();
        let taken = |answers_only| {
            faults
                .take("GET", "/a", answers_only)
                .map(|rule| rule.fault)
        };
        assert_eq!(taken(false), Some(Fault::Throttled));
        assert_eq!(taken(false), Some(Fault::Throttled));
        assert_eq!(taken(true), None);
        assert_eq!(taken(false), Some(Fault::Dropped));
        assert_eq!(taken(false), None);
    }
}
