//! Graph's own errors: codes, details, ids (Microsoft Learn, "Microsoft Graph error responses and
//! resource types").

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use entra_core::{ErrorResponse, RequestIds};
use http::StatusCode;
use serde_json::Value;

use crate::Error;
use crate::error::Answer;

/// Graph's refusal of a request.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct GraphError {
    /// The status of the answer.
    pub status: StatusCode,
    /// The code. Inner codes are often the telling ones: see [`has_code`](Self::has_code).
    pub code: GraphErrorCode,
    /// Graph's words, for a log. They change without notice.
    pub message: String,
    /// The codes of the nested inner errors, from the outside in.
    pub inner_codes: Vec<GraphErrorCode>,
    /// What is wrong with single properties.
    pub details: Vec<ErrorDetail>,
    /// How long Graph asks to wait.
    pub retry_after: Option<Duration>,
    /// The permission with which the call is allowed, where the call is one of this crate's.
    pub permission: Option<&'static str>,
    /// The request's ids.
    pub ids: RequestIds,
}

impl GraphError {
    /// Whether the error, one of its inner errors or one of its details has this code.
    pub fn has_code(&self, code: &GraphErrorCode) -> bool {
        self.code == *code
            || self.inner_codes.contains(code)
            || self.details.iter().any(|detail| detail.code == *code)
    }

    /// Whether the same call may succeed later without anybody changing anything.
    pub fn is_retryable(&self) -> bool {
        match self.status.as_u16() {
            408 | 429 | 500 | 502 | 503 | 504 | 509 => true,
            409 => self.is_concurrency_conflict(),
            _ => false,
        }
    }

    /// A 409 that means "somebody else is writing", not "this key is taken".
    pub(crate) fn is_concurrency_conflict(&self) -> bool {
        self.status == StatusCode::CONFLICT && !self.has_code(&GraphErrorCode::DuplicateKey)
    }

    /// What an administrator can do about it, in one or two sentences.
    pub fn admin_hint(&self) -> String {
        if let Some((_, hint)) = HINTS.iter().find(|(code, _)| self.has_code(code)) {
            return (*hint).to_owned();
        }
        match (self.status.as_u16(), self.permission) {
            (403, Some(permission)) => format!(
                "Give the app the permission {permission} and grant admin consent for it (App \
                 registrations > API permissions). A token that was issued before lacks it for up \
                 to an hour."
            ),
            (403, None) => "Give the app the permission that the call needs and grant admin \
                 consent for it (App registrations > API permissions)."
                .to_owned(),
            (300..=399, _) => "Something answers in the place of Microsoft Graph and redirects, \
                 most often a firewall's sign-in page. Exempt the host of Microsoft Graph from it."
                .to_owned(),
            (404, _) => "The object does not exist in this tenant. Check that it was not deleted, \
                 and that the tenant is the right one."
                .to_owned(),
            (429, _) => {
                "Microsoft Graph is busy with this app's requests. Wait a little.".to_owned()
            }
            (500..=599, _) => "Microsoft Graph has a problem. Try again later, and quote the \
                 request id in a support case."
                .to_owned(),
            _ => "Quote the request id in a support case.".to_owned(),
        }
    }
}

impl fmt::Display for GraphError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Graph refused with {} {}",
            self.status.as_u16(),
            self.code
        )?;
        if !self.message.is_empty() {
            write!(f, ": {}", self.message)?;
        }
        write!(f, " ({})", self.ids)
    }
}

/// What is wrong with one property.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ErrorDetail {
    /// The code.
    pub code: GraphErrorCode,
    /// Graph's words.
    pub message: String,
    /// The property.
    pub target: Option<String>,
}

/// Declares the codes once: the variant, the code on the wire and what it means.
macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $wire:literal,)*) => {
        /// An error code of Graph. Compared without regard to case.
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum GraphErrorCode {
            $($(#[$doc])* $variant,)*
            /// Any other code.
            Other(String),
        }

        impl GraphErrorCode {
            /// Reads a code.
            pub fn parse(text: &str) -> Self {
                $(if text.eq_ignore_ascii_case($wire) {
                    return Self::$variant;
                })*
                Self::Other(text.to_owned())
            }

            /// The code as Graph writes it.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $wire,)*
                    Self::Other(text) => text,
                }
            }
        }
    };
}

codes! {
    /// The caller's permissions do not suffice.
    RequestDenied = "Authorization_RequestDenied",
    /// The caller's identity is unknown to the tenant.
    IdentityNotFound = "Authorization_IdentityNotFound",
    /// The object does not exist.
    ResourceNotFound = "Request_ResourceNotFound",
    /// Something in the request is wrong; the details say what.
    BadRequest = "Request_BadRequest",
    /// The query needs `ConsistencyLevel: eventual`, or is not supported at all.
    UnsupportedQuery = "Request_UnsupportedQuery",
    /// Another object has this key.
    DuplicateKey = "Request_MultipleObjectsWithSameKeyValue",
    /// The App ID URI's host is no verified domain of the tenant.
    HostNameNotOnVerifiedDomain = "HostNameNotOnVerifiedDomain",
    /// A tenant's policy forbids this kind of credential.
    CredentialTypeNotAllowed = "CredentialTypeNotAllowedAsPerAppPolicy",
    /// A tenant's policy allows only shorter lifetimes.
    CredentialLifetimeTooLong = "CredentialInvalidLifetimeAsPerAppPolicy",
    /// The proof with which an app rolls its own key was not accepted.
    MissingOrMalformedProof = "Authentication_MissingOrMalformed",
    /// A key that exists cannot be changed, only removed.
    KeyNotUpdatable = "KeyNotUpdatable",
    /// The listing took too long; it must start again.
    ExpiredPageToken = "Directory_ExpiredPageToken",
    /// There are more results than one answer may hold.
    ResultSizeLimitExceeded = "Directory_ResultSizeLimitExceeded",
    /// The delta token is unknown; synchronise from the start.
    SyncStateNotFound = "syncStateNotFound",
    /// The delta token is too old; synchronise from the start.
    ResyncRequired = "resyncRequired",
    /// The access token was refused.
    InvalidAuthenticationToken = "InvalidAuthenticationToken",
    /// Too many requests.
    TooManyRequests = "TooManyRequests",
    /// The tenant's quota of objects is used up.
    QuotaExceeded = "Directory_QuotaExceeded",
    /// Somebody else is writing to the same object.
    ConcurrencyViolation = "Directory_ConcurrencyViolation",
    /// The tenant lacks a licence.
    RequiresLicense = "Authentication_RequestFromNonPremiumTenantOrB2CTenant",
}

impl fmt::Display for GraphErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.as_str() {
            "" => f.write_str("(no code)"),
            code => f.write_str(code),
        }
    }
}

/// Reads the error of an answer as the pipeline hands it over.
pub(crate) fn decode_response(response: &ErrorResponse, permission: Option<&'static str>) -> Error {
    decode(Refusal {
        status: response.status,
        body: &response.body,
        ids: &response.ids,
        retry_after: response.retry_after,
        permission,
    })
}

/// An error answer, of a request of its own or of one in a batch.
pub(crate) struct Refusal<'a> {
    pub(crate) status: StatusCode,
    pub(crate) body: &'a [u8],
    pub(crate) ids: &'a RequestIds,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) permission: Option<&'static str>,
}

pub(crate) fn decode(refusal: Refusal<'_>) -> Error {
    let Refusal {
        status, body, ids, ..
    } = refusal;
    // A gate in front of Graph answers 429 and 503 without a body; the status says it all.
    let value = if body.trim_ascii().is_empty() {
        Value::Null
    } else {
        match serde_json::from_slice(body) {
            Ok(value) => value,
            // So do gateways that answer 429 in plain text.
            Err(_) if status == StatusCode::TOO_MANY_REQUESTS => Value::Null,
            Err(error) => return Error::from_json(&error, Answer { status, body, ids }),
        }
    };
    decode_value(&value, refusal)
}

pub(crate) fn decode_value(value: &Value, refusal: Refusal<'_>) -> Error {
    let error = value.get("error").unwrap_or(&Value::Null);
    let mut ids = refusal.ids.clone();
    let mut inner_codes = Vec::new();
    let mut inner = inner_error(error);
    while let Some(level) = inner {
        if let Some(code) = text(level, "code") {
            inner_codes.push(GraphErrorCode::parse(code));
        }
        if ids.request_id.is_none() {
            ids.request_id = text(level, "request-id").map(str::to_owned);
        }
        inner = inner_error(level);
    }
    Error::Graph(Arc::new(GraphError {
        status: refusal.status,
        code: GraphErrorCode::parse(text(error, "code").unwrap_or_default()),
        message: text(error, "message").unwrap_or_default().to_owned(),
        inner_codes,
        details: details(error),
        retry_after: refusal.retry_after,
        permission: refusal.permission,
        ids,
    }))
}

/// Both spellings occur.
fn inner_error(error: &Value) -> Option<&Value> {
    error.get("innerError").or_else(|| error.get("innererror"))
}

fn details(error: &Value) -> Vec<ErrorDetail> {
    let list = error.get("details").and_then(Value::as_array);
    list.into_iter()
        .flatten()
        .map(|detail| ErrorDetail {
            code: GraphErrorCode::parse(
                ["code", "PropertyErrorCode", "propertyErrorCode"]
                    .iter()
                    .find_map(|name| text(detail, name))
                    .unwrap_or_default(),
            ),
            message: text(detail, "message").unwrap_or_default().to_owned(),
            target: text(detail, "target").map(str::to_owned),
        })
        .collect()
}

fn text<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    value.get(name)?.as_str()
}

const HINTS: &[(GraphErrorCode, &str)] = &[
    (
        GraphErrorCode::HostNameNotOnVerifiedDomain,
        "The host of the App ID URI is no verified domain of the tenant. Verify the domain (Entra \
         admin center > Domain names) or use an App ID URI of the form api://<client id>.",
    ),
    (
        GraphErrorCode::CredentialTypeNotAllowed,
        "The tenant's app management policy forbids this kind of credential. Use a certificate, \
         or have the policy exempt the app.",
    ),
    (
        GraphErrorCode::CredentialLifetimeTooLong,
        "The tenant's app management policy allows only shorter lifetimes. Choose an earlier end.",
    ),
    (
        GraphErrorCode::ExpiredPageToken,
        "Reading the list took too long. Start it again.",
    ),
    (
        GraphErrorCode::InvalidAuthenticationToken,
        "Microsoft Graph does not accept the token. Check that the cloud is the right one and \
         that the clock of this machine is right.",
    ),
    (
        GraphErrorCode::IdentityNotFound,
        "The app has no service principal in this tenant. Grant admin consent, which makes one.",
    ),
    (
        GraphErrorCode::QuotaExceeded,
        "The tenant or the app's owner has used up its quota of directory objects. Delete what is \
         not needed, in the recycle bin as well.",
    ),
    (
        GraphErrorCode::RequiresLicense,
        "The tenant needs Microsoft Entra ID P1 or P2 for this.",
    ),
    (
        GraphErrorCode::DuplicateKey,
        "Another object has the same key, maybe one in the recycle bin (Deleted applications). \
         Remove it there or choose another key.",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn read(status: u16, body: &str) -> Error {
        decode(Refusal {
            status: StatusCode::from_u16(status).unwrap(),
            body: body.as_bytes(),
            ids: &RequestIds::default(),
            retry_after: None,
            permission: Some("User.Read.All"),
        })
    }

    #[test]
    fn the_codes_of_all_levels_count() {
        for body in [
            r#"{"error":{"code":"KeyNotUpdatable"}}"#,
            r#"{"error":{"code":"Request_BadRequest","innerError":{"code":"keynotupdatable"}}}"#,
            r#"{"error":{"code":"","innererror":{"innerError":{"code":"KeyNotUpdatable"}}}}"#,
            r#"{"error":{"code":"x","details":[{"code":"KeyNotUpdatable","target":"keyCredentials"}]}}"#,
            r#"{"error":{"code":"x","details":[{"PropertyErrorCode":"KeyNotUpdatable"}]}}"#,
        ] {
            assert!(
                read(400, body).has_code(&GraphErrorCode::KeyNotUpdatable),
                "{body}"
            );
        }
    }

    #[test]
    fn the_request_id_is_found_in_the_inner_error() {
        let error = read(
            403,
            r#"{"error":{"code":"Authorization_RequestDenied","message":"Insufficient privileges to complete the operation.",
            "innerError":{"date":"2026-01-01T00:00:00","request-id":"r1","client-request-id":"c1"}}}"#,
        );
        assert_eq!(
            error.request_ids().unwrap().request_id.as_deref(),
            Some("r1")
        );
        assert_eq!(error.code(), Some(&GraphErrorCode::RequestDenied));
    }

    #[test]
    fn a_missing_permission_is_named_in_the_hint() {
        let error = read(403, r#"{"error":{"code":"Authorization_RequestDenied"}}"#);
        assert!(
            error.admin_hint().contains("User.Read.All"),
            "{}",
            error.admin_hint()
        );
    }

    #[test]
    fn what_graph_did_not_send_is_named() {
        use crate::Malformation::{Html, NotJson, Truncated};
        for (status, body, kind, retryable) in [
            (502, "<html>Bad gateway</html>", Html, true),
            (403, "\r\n<!DOCTYPE html>", Html, false),
            (400, r#"{"error":{"code":"x""#, Truncated, true),
            (400, "no", NotJson, false),
        ] {
            let error = read(status, body);
            let Error::Malformed(answer) = &error else {
                panic!("{error:?}")
            };
            assert_eq!(answer.kind, kind, "{body}");
            assert_eq!(error.is_retryable(), retryable, "{body}");
        }
    }

    #[test]
    fn a_refusal_without_a_body_keeps_its_status() {
        let error = read(503, "");
        assert_eq!(error.status(), Some(StatusCode::SERVICE_UNAVAILABLE));
        assert!(error.is_retryable());
        assert_eq!(
            error.to_string(),
            "Graph refused with 503 (no code) (client-request-id )"
        );
    }

    #[test]
    fn a_conflict_of_keys_is_not_retryable_and_another_conflict_is() {
        let taken = r#"{"error":{"code":"Request_MultipleObjectsWithSameKeyValue"}}"#;
        assert!(!read(409, taken).is_retryable());
        assert!(
            read(
                409,
                r#"{"error":{"code":"Directory_ConcurrencyViolation"}}"#
            )
            .is_retryable()
        );
    }

    #[test]
    fn replication_is_recognised_by_status_and_text() {
        for (status, message, expected) in [
            (404, "Resource 'x' does not exist", true),
            (
                400,
                "The appId 'a' of the service principal does not reference a valid application object.",
                true,
            ),
            (400, "Not a valid reference update.", true),
            (400, "Invalid value specified for property 'appId'", false),
            (
                403,
                "Insufficient privileges to complete the operation.",
                false,
            ),
            (
                403,
                "When using this permission, the backing application of the service principal being created must in the local tenant",
                true,
            ),
            (500, "does not reference a valid application object", false),
        ] {
            let body = serde_json::json!({"error": {"code": "x", "message": message}}).to_string();
            assert_eq!(
                read(status, &body).may_be_replication(),
                expected,
                "{status} {message}"
            );
        }
    }
}
