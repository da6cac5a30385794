//! The page of a login that failed.

use std::fmt;

use axum::response::{IntoResponse, Response};
use entra_core::error_chain;
use http::{HeaderValue, StatusCode};

use crate::page::{HEADERS, Page};
use crate::{Error, ProfileName};

/// A login or a sign-out that failed, as the user is told.
///
/// The page says a sentence and a number that the log has too, and nothing that came with the
/// request: whoever sent the user here must not write on it.
pub struct LoginFailure<'a> {
    profile: Option<&'a ProfileName>,
    error: &'a Error,
    try_again: &'a str,
    reference: String,
}

impl<'a> LoginFailure<'a> {
    pub(super) fn new(
        profile: Option<&'a ProfileName>,
        error: &'a Error,
        try_again: &'a str,
    ) -> Self {
        Self {
            profile,
            error,
            try_again,
            reference: reference(),
        }
    }

    /// What went wrong. It belongs in the log, not on a page.
    pub fn error(&self) -> &Error {
        self.error
    }

    /// The profile, where it is known.
    pub fn profile(&self) -> Option<&ProfileName> {
        self.profile
    }

    /// The status of the answer.
    pub fn status(&self) -> StatusCode {
        self.error.http_status()
    }

    /// A sentence for the user. An account's refusal is in the words of the product's own
    /// provisioner, so escape it.
    pub fn user_message(&self) -> &str {
        self.error.user_message()
    }

    /// What the user may tell an administrator, who finds it in the log.
    pub fn reference(&self) -> &str {
        &self.reference
    }

    /// The path at which a new login begins.
    pub fn try_again(&self) -> &str {
        self.try_again
    }

    pub(super) fn log(&self) {
        tracing::warn!(
            reference = self.reference,
            profile = self.profile.map(ProfileName::as_str),
            status = self.status().as_u16(),
            error = %error_chain(self.error),
            hint = %self.error.admin_hint(),
            "a login or a sign-out failed"
        );
    }
}

/// The page as it is where the product has none of its own.
impl IntoResponse for LoginFailure<'_> {
    fn into_response(self) -> Response {
        let title = match self.error {
            Error::Logout(_) => "Sign-out did not work",
            _ => "Sign-in did not work",
        };
        Page::new(self.status(), title)
            .with_text(self.user_message())
            .with_link("Sign in again", self.try_again)
            .with_note(&format!("Reference: {}", self.reference))
            .answer()
    }
}

impl fmt::Debug for LoginFailure<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoginFailure")
            .field("profile", &self.profile)
            .field("error", &self.error)
            .field("reference", &self.reference)
            .finish_non_exhaustive()
    }
}

impl Page {
    pub(super) fn answer(self) -> Response {
        let mut response = (self.status, self.html()).into_response();
        for (name, value) in HEADERS {
            let value = HeaderValue::from_static(value);
            response.headers_mut().insert(name, value);
        }
        response
    }
}

/// The answer where the product's own sessions do not work.
pub(super) fn unavailable(error: &(dyn std::error::Error + 'static)) -> Response {
    let reference = reference();
    tracing::error!(reference, error = %error_chain(error), "the sessions do not answer");
    Page::new(StatusCode::SERVICE_UNAVAILABLE, "Sign-in did not work")
        .with_text("Sign-in does not work at this moment. Please try again in a few minutes.")
        .with_note(&format!("Reference: {reference}"))
        .answer()
}

pub(super) fn unknown_profile() -> Response {
    Page::new(StatusCode::NOT_FOUND, "Sign-in did not work")
        .with_text("There is no sign-in of this name.")
        .answer()
}

/// A number to find in the log, of 48 random bits.
fn reference() -> String {
    let id = uuid::Uuid::new_v4().simple().to_string();
    id.chars().take(12).collect()
}
