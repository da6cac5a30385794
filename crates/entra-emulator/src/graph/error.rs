//! Refusals in Microsoft Graph's shape (Learn, "Microsoft Graph error responses and resource
//! types").

use http::StatusCode;
use serde_json::{Value, json};

/// Why a call is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GraphError {
    pub(crate) status: StatusCode,
    pub(crate) code: &'static str,
    pub(crate) message: String,
    detail: Option<Detail>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Detail {
    code: &'static str,
    target: String,
}

impl GraphError {
    /// A refusal with a code of its own.
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            detail: None,
        }
    }

    /// Adds the property that is at fault.
    pub(crate) fn with_detail(mut self, code: &'static str, target: &str) -> Self {
        let target = target.to_owned();
        self.detail = Some(Detail { code, target });
        self
    }

    /// The directory refuses the request.
    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "Request_BadRequest", message)
    }

    /// Graph's front refuses the request: it cannot be parsed.
    pub(crate) fn malformed(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BadRequest", message)
    }

    /// The query is understood and not supported.
    pub(crate) fn unsupported_query(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "Request_UnsupportedQuery", message)
    }

    /// There is no such object, or this replica does not know it.
    pub(crate) fn not_found(id: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "Request_ResourceNotFound",
            format!(
                "Resource '{id}' does not exist or one of its queried reference-property objects \
                 are not present."
            ),
        )
    }

    /// The path leads nowhere.
    pub(crate) fn no_segment(segment: &str) -> Self {
        Self::malformed(format!("Resource not found for the segment '{segment}'."))
    }

    /// The path is known, the method is not.
    pub(crate) fn no_method() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "Request_BadRequest",
            "Specified HTTP method is not allowed for the request target.",
        )
    }

    /// A permission is missing.
    pub(crate) fn denied() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "Authorization_RequestDenied",
            "Insufficient privileges to complete the operation.",
        )
    }

    /// A property has a value of the wrong type or out of its range.
    pub(crate) fn invalid_value(property: &str, label: &str) -> Self {
        Self::bad_request(format!(
            "Invalid value specified for property '{property}' of resource '{label}'."
        ))
        .with_detail("InvalidValue", property)
    }

    /// A property that only the directory writes.
    pub(crate) fn read_only(property: &str) -> Self {
        Self::bad_request(format!(
            "Property '{property}' is read-only and cannot be set."
        ))
    }

    /// A property that an object cannot be made without.
    pub(crate) fn missing(property: &str, label: &str) -> Self {
        Self::bad_request(format!(
            "A value is required for property '{property}' of resource '{label}'."
        ))
        .with_detail("MissingValue", property)
    }

    /// Another object has this value already.
    pub(crate) fn duplicate(property: &str) -> Self {
        Self::bad_request(format!(
            "Another object with the same value for property {property} already exists."
        ))
        .with_detail("ObjectConflict", property)
    }

    /// The body of the answer.
    pub(crate) fn body(&self, request: &RequestIds) -> Value {
        let mut error = json!({
            "code": self.code,
            "message": self.message,
            "innerError": {
                "date": request.date,
                "request-id": request.request_id,
                "client-request-id": request.client_request_id
            }
        });
        if let (Some(detail), Some(error)) = (&self.detail, error.as_object_mut()) {
            let detail = json!({
                "code": detail.code,
                "message": self.message,
                "target": detail.target
            });
            error.insert("details".to_owned(), json!([detail]));
        }
        json!({ "error": error })
    }
}

/// By which ids a call is known.
#[derive(Clone, Debug)]
pub(crate) struct RequestIds {
    /// The tenant's time, without a zone, as Graph writes it here.
    pub(crate) date: String,
    /// Given by the service.
    pub(crate) request_id: String,
    /// Given by the client, or the service's own.
    pub(crate) client_request_id: String,
}
