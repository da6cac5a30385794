//! The pages that a user sees where no page of the product can be: plain HTML without scripts,
//! and nothing of the request in it.

use std::fmt;

use axum::response::{IntoResponse, Response};
use entra_core::error_chain;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderValue, StatusCode};

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
            "a login failed"
        );
    }
}

/// The page as it is where the product has none of its own.
impl IntoResponse for LoginFailure<'_> {
    fn into_response(self) -> Response {
        Page::new(self.status(), "Sign-in did not work")
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

/// A page with a few sentences.
pub(super) struct Page {
    status: StatusCode,
    title: &'static str,
    body: String,
}

impl Page {
    pub(super) fn new(status: StatusCode, title: &'static str) -> Self {
        Self {
            status,
            title,
            body: String::new(),
        }
    }

    pub(super) fn with_text(mut self, text: &str) -> Self {
        self.body += &format!("<p>{}</p>\n", escape(text));
        self
    }

    pub(super) fn with_link(mut self, text: &str, href: &str) -> Self {
        let (text, href) = (escape(text), escape(href));
        self.body += &format!("<p><a href=\"{href}\">{text}</a></p>\n");
        self
    }

    pub(super) fn with_note(mut self, text: &str) -> Self {
        self.body += &format!("<p class=\"note\">{}</p>\n", escape(text));
        self
    }

    /// A form with one field, which a GET carries to `action` with what is hidden.
    pub(super) fn with_field(
        mut self,
        action: &str,
        (label, name, kind): (&str, &str, &str),
        hidden: &[(&str, &str)],
    ) -> Self {
        let action = escape(action);
        self.body += &format!("<form method=\"get\" action=\"{action}\">\n");
        for (name, value) in hidden {
            let (name, value) = (escape(name), escape(value));
            self.body += &format!("<input type=\"hidden\" name=\"{name}\" value=\"{value}\">\n");
        }
        let (label, name, kind) = (escape(label), escape(name), escape(kind));
        self.body += &format!(
            "<p><label for=\"field\">{label}</label>\n<input id=\"field\" type=\"{kind}\" \
             name=\"{name}\" autocomplete=\"username\" required autofocus></p>\n\
             <p><button>Continue</button></p>\n</form>\n"
        );
        self
    }

    pub(super) fn answer(self) -> Response {
        let title = escape(self.title);
        let html = format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n\
             <h1>{title}</h1>\n{}</main>\n</body>\n</html>\n",
            self.body
        );
        let mut response = (self.status, html).into_response();
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

/// Text that cannot become markup, in elements and in quoted attributes.
fn escape(text: &str) -> String {
    text.chars().fold(String::new(), |mut escaped, c| {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
        escaped
    })
}

/// Nothing is loaded, nothing runs, nobody frames it, and no address of a login leaves with a
/// `Referer` (RFC 9700 4.2.4). Not `form-action`: browsers apply it to the redirect that follows a
/// form, and ours lead to the provider.
const HEADERS: [(HeaderName, &str); 5] = [
    (CONTENT_TYPE, "text/html; charset=utf-8"),
    (CACHE_CONTROL, "no-store"),
    (REFERRER_POLICY, "no-referrer"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (
        CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'sha256-Pd2CZlRSBHYfdCTZ6wBRYzznuzSupOOMidAeLCwv0e8='; base-uri 'none'; frame-ancestors 'none'",
    ),
];

/// Its hash stands in the policy above.
const STYLE: &str = ":root{color-scheme:light dark;font:1.0625rem/1.5 system-ui,sans-serif}\
    body{margin:0;display:grid;place-items:center;min-height:100vh}\
    main{max-width:26rem;padding:2rem}\
    h1{font-size:1.375rem;margin:0 0 1rem}\
    p{margin:0 0 1rem}\
    .note{font-size:.875rem;opacity:.75}\
    input{font:inherit;display:block;box-sizing:border-box;width:100%;margin-top:.25rem;padding:.5rem}\
    button{font:inherit;padding:.5rem 1rem}";

#[cfg(test)]
mod tests {
    use aws_lc_rs::digest;
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    #[test]
    fn the_policy_allows_the_style_and_nothing_else() {
        let hash = STANDARD.encode(digest::digest(&digest::SHA256, STYLE.as_bytes()));
        let (_, policy) = HEADERS[4];
        assert_eq!(
            policy,
            format!(
                "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; \
                 frame-ancestors 'none'"
            )
        );
    }

    #[test]
    fn text_cannot_become_markup() {
        let hostile = "\"><script>alert('1')</script>&";
        let page = Page::new(StatusCode::OK, "t")
            .with_text(hostile)
            .with_link(hostile, hostile)
            .with_note(hostile)
            .with_field(hostile, (hostile, hostile, hostile), &[(hostile, hostile)]);
        assert!(!page.body.contains("<script"));
        assert!(!page.body.contains("\"\""));
        let escaped = "&quot;&gt;&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&amp;";
        assert_eq!(page.body.matches(escaped).count(), 9);
    }
}
