//! The extractors: who is signed in.

use std::convert::Infallible;
use std::fmt;
use std::ops::Deref;

use axum::body::Body;
use axum::extract::{FromRef, FromRequestParts, OptionalFromRequestParts};
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{HeaderValue, StatusCode};
use serde_json::{Value, json};

use super::request::{is_navigation, place};
use super::{WebLogin, empty};
use crate::cookie::Cookies;
use crate::logout::redirect;
use crate::transaction::pending_cookies;
use crate::{ProfileName, ReturnTo, Session, SessionName, User};

/// The user who is signed in, as an extractor: whoever is not goes to the login and comes back to
/// this place, by GET. A form that was posted meanwhile is not posted again: the user comes back to
/// the page on which it stands. A script is answered with 401 and JSON that names the login's path.
///
/// It reads as the [`User`].
#[derive(Clone)]
pub struct SignedIn {
    pub(super) web: WebLogin,
    pub(super) name: SessionName,
    pub(super) session: Session,
    pub(super) place: ReturnTo,
    pub(super) is_navigation: bool,
    /// The logins that this browser has pending.
    pub(super) pending: Cookies,
}

impl SignedIn {
    /// The user.
    pub fn user(&self) -> &User {
        &self.session.user
    }

    /// The session: the profile, the times, the tokens if they are kept.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// The profile by which the user came.
    pub fn profile_name(&self) -> &ProfileName {
        &self.session.profile
    }

    /// The name under which the session is kept, for logs and audits.
    pub fn session_name(&self) -> &SessionName {
        &self.name
    }

    async fn of(web: WebLogin, parts: &Parts) -> Result<Option<Self>, SignInRequired> {
        let loaded = web.sessions().load(&parts.headers).await;
        let found = loaded.map_err(|error| SignInRequired(Box::new(web.unavailable(&error))))?;
        Ok(found.map(|(name, session)| Self {
            web,
            name,
            session,
            place: place(parts),
            is_navigation: is_navigation(&parts.headers),
            pending: pending_cookies(&parts.headers),
        }))
    }
}

impl Deref for SignedIn {
    type Target = User;

    fn deref(&self) -> &User {
        self.user()
    }
}

impl fmt::Debug for SignedIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedIn")
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}

impl<S> FromRequestParts<S> for SignedIn
where
    S: Send + Sync,
    WebLogin: FromRef<S>,
{
    type Rejection = SignInRequired;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, SignInRequired> {
        let web = WebLogin::from_ref(state);
        match Self::of(web.clone(), parts).await? {
            Some(user) => Ok(user),
            None => Err(SignInRequired::new(&web, parts)),
        }
    }
}

impl<S> OptionalFromRequestParts<S> for SignedIn
where
    S: Send + Sync,
    WebLogin: FromRef<S>,
{
    type Rejection = SignInRequired;

    async fn from_request_parts(
        parts: &mut Parts,
        state: &S,
    ) -> Result<Option<Self>, SignInRequired> {
        Self::of(WebLogin::from_ref(state), parts).await
    }
}

/// The user who is signed in, or nobody, as an extractor that never refuses: where the sessions do
/// not answer it is nobody, and the log says so. `Option<SignedIn>` answers with 503 then.
#[derive(Clone, Debug)]
pub struct MaybeSignedIn(pub Option<SignedIn>);

impl<S> FromRequestParts<S> for MaybeSignedIn
where
    S: Send + Sync,
    WebLogin: FromRef<S>,
{
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        let found = SignedIn::of(WebLogin::from_ref(state), parts).await;
        Ok(Self(found.ok().flatten()))
    }
}

/// Nobody is signed in: the answer that sends a browser to the login, and a script away.
pub struct SignInRequired(Box<Response>);

impl SignInRequired {
    fn new(web: &WebLogin, parts: &Parts) -> Self {
        let login = web.login_path(None, Some(place(parts).as_str()));
        let response = if is_navigation(&parts.headers) {
            empty(redirect(&login, &[]))
        } else {
            unauthorized(web, &json!({"error": "sign_in_required", "login": login}))
        };
        Self(Box::new(response))
    }
}

impl IntoResponse for SignInRequired {
    fn into_response(self) -> Response {
        *self.0
    }
}

impl fmt::Debug for SignInRequired {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SignInRequired({})", self.0.status())
    }
}

/// What a script gets. RFC 9110 15.5.2 wants the scheme named; there is none for cookies, so that
/// browsers pass over it.
pub(super) fn unauthorized(web: &WebLogin, body: &Value) -> Response {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = StatusCode::UNAUTHORIZED;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let scheme = format!("Cookie cookie-name=\"{}\"", web.sessions().cookie_name());
    if let Ok(scheme) = HeaderValue::try_from(scheme) {
        headers.insert(WWW_AUTHENTICATE, scheme);
    }
    response
}
