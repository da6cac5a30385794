//! The token endpoint's refusal: what it says, what it means, what to do.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use serde::Deserialize;

use crate::aadsts::{class_of, codes_in, explain_aadsts, kind_of};
use crate::error::{ErrorResponse, RequestIds};
use crate::{Error, Explanation, RetryClass, TokenErrorKind};

/// The token endpoint's refusal (RFC 6749 5.2, with Entra's extensions).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TokenError {
    /// The HTTP status.
    pub status: StatusCode,
    /// `error`, for example `invalid_client`.
    pub error: String,
    /// `suberror`, where there is one.
    pub suberror: Option<String>,
    /// `error_description`, in English.
    pub description: String,
    /// The AADSTS codes, the first one first.
    pub codes: Vec<u32>,
    /// The service's id of the request.
    pub trace_id: Option<String>,
    /// The id that ties several requests together, as the sign-in log shows it.
    pub correlation_id: Option<String>,
    /// When the service refused, as it writes it.
    pub timestamp: Option<String>,
    /// A claims request to repeat the sign-in with.
    pub claims: Option<String>,
    /// How long the service asks to wait.
    pub retry_after: Option<Duration>,
    /// The ids of the request.
    pub ids: RequestIds,
}

impl TokenError {
    fn new(body: ErrorBody, refusal: &ErrorResponse) -> Self {
        let description = body.error_description.unwrap_or_default();
        let mut codes = listed_codes(body.error_codes.as_ref());
        if codes.is_empty() {
            codes = codes_in(&description);
        }
        let mut ids = refusal.ids.clone();
        if body.trace_id.is_some() {
            ids.request_id.clone_from(&body.trace_id);
        }
        Self {
            status: refusal.status,
            error: body.error,
            suberror: body.suberror,
            description,
            codes,
            trace_id: body.trace_id,
            correlation_id: body.correlation_id,
            timestamp: body.timestamp,
            claims: body.claims,
            retry_after: refusal.retry_after,
            ids,
        }
    }

    /// A refusal that came by a redirect (RFC 6749 4.1.2.1), with 302 as its status: the codes
    /// stand in its description. Whoever holds the browser may have written it.
    pub fn from_redirect(error: impl Into<String>, description: impl Into<String>) -> Self {
        let description = description.into();
        Self {
            status: StatusCode::FOUND,
            error: error.into(),
            suberror: None,
            codes: codes_in(&description),
            description,
            trace_id: None,
            correlation_id: None,
            timestamp: None,
            claims: None,
            retry_after: None,
            ids: RequestIds::default(),
        }
    }

    /// What is wrong, as the first known code tells.
    pub fn kind(&self) -> TokenErrorKind {
        if let Some(kind) = kind_of(&self.error) {
            return kind;
        }
        match self.explanation() {
            Some(explanation) => explanation.kind,
            None if self.status == StatusCode::TOO_MANY_REQUESTS => TokenErrorKind::Throttled,
            None if self.status.is_server_error() => TokenErrorKind::ServiceUnavailable,
            None => TokenErrorKind::Other,
        }
    }

    /// What to do. Status and `error` decide where the code is unknown.
    pub fn class(&self) -> RetryClass {
        if self.status == StatusCode::TOO_MANY_REQUESTS {
            return RetryClass::Throttled;
        }
        if self.claims.is_some() && self.error == "interaction_required" {
            // The service says itself what the next sign-in must carry, whatever the code is.
            return RetryClass::UserInteraction;
        }
        match self.explanation() {
            Some(explanation) => explanation.class,
            None if self.status.is_server_error() => RetryClass::Transient,
            None => class_of(&self.error),
        }
    }

    /// Whether it passes by itself within minutes if the app, its credential or its consent was
    /// changed just now.
    pub fn may_be_propagation(&self) -> bool {
        self.explanation().is_some_and(|row| row.propagation)
    }

    /// Whether the same request may succeed later.
    pub fn is_retryable(&self) -> bool {
        matches!(self.class(), RetryClass::Transient | RetryClass::Throttled)
    }

    /// The step that mends it, for an administrator.
    pub fn admin_hint(&self) -> &'static str {
        match self.explanation() {
            Some(explanation) => explanation.remedy,
            None if self.is_retryable() => "The sign-in service is busy. Try again later.",
            None => {
                "Look the code up in Microsoft's list of AADSTS errors, or quote the trace id in a \
                 support case."
            }
        }
    }

    fn explanation(&self) -> Option<&'static Explanation> {
        self.codes.iter().find_map(|code| explain_aadsts(*code))
    }
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The description repeats the ids over several lines; its first line says it.
        let first = self.description.lines().next().unwrap_or_default();
        let message = match first.split_once(" Trace ID:") {
            Some((message, _)) => message,
            None => first,
        };
        if message.is_empty() {
            write!(f, "{} ({})", self.error, self.ids)
        } else {
            write!(f, "{}: {message} ({})", self.error, self.ids)
        }
    }
}

impl std::error::Error for TokenError {}

/// The service's own error comes first; only where it cannot be read is the answer malformed.
pub(crate) fn read_refusal(refusal: &ErrorResponse) -> Error {
    match serde_json::from_slice::<ErrorBody>(&refusal.body) {
        Ok(body) => Error::Token(Arc::new(TokenError::new(body, refusal))),
        // A throttled request is answered in plain text.
        Err(_) if refusal.status == StatusCode::TOO_MANY_REQUESTS => Error::Throttled {
            host: refusal.host.clone(),
            retry_after: refusal.retry_after.unwrap_or(DEFAULT_THROTTLE),
            ids: refusal.ids.clone(),
        },
        Err(error) => refusal.malformed(Unreadable::from(error)),
    }
}

#[derive(Deserialize)]
struct ErrorBody {
    error: String,
    error_description: Option<String>,
    suberror: Option<String>,
    error_codes: Option<serde_json::Value>,
    timestamp: Option<String>,
    trace_id: Option<String>,
    correlation_id: Option<String>,
    claims: Option<String>,
}

/// Where a body stops being what it should be. The parser's own message may quote the body, and
/// with it a token.
#[derive(Debug, thiserror::Error)]
#[error("{what} at line {line}, column {column}")]
pub(crate) struct Unreadable {
    what: &'static str,
    line: usize,
    column: usize,
}

impl From<serde_json::Error> for Unreadable {
    fn from(error: serde_json::Error) -> Self {
        use serde_json::error::Category;
        Self {
            what: match error.classify() {
                Category::Eof => "the JSON ends too early",
                Category::Data => "the JSON has another shape",
                Category::Syntax | Category::Io => "not JSON",
            },
            line: error.line(),
            column: error.column(),
        }
    }
}

/// `error_codes` as numbers, or as text. What is neither must not hide the rest of the error.
fn listed_codes(codes: Option<&serde_json::Value>) -> Vec<u32> {
    codes
        .and_then(serde_json::Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|code| match code {
            serde_json::Value::String(text) => text.trim().parse().ok(),
            other => u32::try_from(other.as_u64()?).ok(),
        })
        .collect()
}

/// What Entra asks for as a rule where it throttles.
const DEFAULT_THROTTLE: Duration = Duration::from_secs(60);
