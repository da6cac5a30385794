//! API protection: the caller as an extractor, and what is answered to others.

use axum::extract::{FromRef, FromRequestParts};
use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use http::header::{CACHE_CONTROL, WWW_AUTHENTICATE};
use http::request::Parts;

use crate::{ApiCaller, ApiRefusal, ApiValidator};

/// Who calls, as an extractor: a call without a good token is answered as RFC 6750 says.
///
/// ```
/// use axum::Router;
/// use axum::routing::get;
/// use entra_oidc::{ApiCaller, ApiRefusal, ApiValidator};
///
/// fn app(api: ApiValidator) -> Router {
///     Router::new().route("/files", get(files)).with_state(api)
/// }
///
/// async fn files(caller: ApiCaller) -> Result<String, ApiRefusal> {
///     caller.require_scope("Files.Read")?;
///     Ok(format!("the files of {}", caller.key()))
/// }
/// ```
impl<S> FromRequestParts<S> for ApiCaller
where
    S: Send + Sync,
    ApiValidator: FromRef<S>,
{
    type Rejection = ApiRefusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiRefusal> {
        ApiValidator::from_ref(state).validate(&parts.headers).await
    }
}

/// Status and `WWW-Authenticate` (RFC 6750 3), without a body.
impl IntoResponse for ApiRefusal {
    fn into_response(self) -> Response {
        let mut response = self.http_status().into_response();
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(challenge) = self.www_authenticate() {
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
        response
    }
}
