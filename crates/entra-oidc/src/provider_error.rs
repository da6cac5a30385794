//! The provider's own refusal of a login (OpenID Connect Core 3.1.2.6).

use std::fmt;

use entra_core::{RetryClass, TokenError, TokenErrorKind};

/// The provider refused the login and said why, by way of the browser.
///
/// Whoever holds the browser may have written any of it: it is shown to nobody as it stands. The
/// text is cut off at 1,000 characters and has no control characters; a page has to escape it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderError(TokenError);

impl ProviderError {
    pub(crate) fn new(
        error: &str,
        description: Option<&str>,
        subcode: Option<&str>,
        claims: Option<&str>,
    ) -> Self {
        let mut inner = TokenError::from_redirect(
            tidy(error, MAX_CODE),
            tidy(description.unwrap_or_default(), MAX_DESCRIPTION),
        );
        inner.suberror = subcode.map(|subcode| tidy(subcode, MAX_CODE));
        // Cut off it would be no JSON any more.
        inner.claims = claims
            .filter(|claims| claims.len() <= MAX_CLAIMS)
            .map(str::to_owned);
        Self(inner)
    }

    /// `error`: `access_denied`, for example.
    pub fn error(&self) -> &str {
        &self.0.error
    }

    /// `error_description`, cut off and without control characters.
    pub fn description(&self) -> &str {
        &self.0.description
    }

    /// The AADSTS codes that stand in the description, the first one first.
    pub fn codes(&self) -> &[u32] {
        &self.0.codes
    }

    /// What is wrong, as far as it is known.
    pub fn kind(&self) -> TokenErrorKind {
        self.0.kind()
    }

    /// The claims request that the next login must carry, where the provider asks for one
    /// (`interaction_required`): [`Begin::with_claims`](crate::Begin::with_claims).
    pub fn claims(&self) -> Option<&str> {
        self.0.claims.as_deref()
    }

    /// Whether a login that shows pages may succeed where this one showed none (`prompt=none`).
    pub fn needs_interaction(&self) -> bool {
        const INTERACTIVE: [&str; 4] = [
            "interaction_required",
            "login_required",
            "consent_required",
            "account_selection_required",
        ];
        INTERACTIVE.contains(&self.error()) || self.0.class() == RetryClass::UserInteraction
    }

    /// Whether the user cancelled.
    pub fn is_cancelled(&self) -> bool {
        // Entra says by a code what was denied, and by whom; others have the word alone.
        let is_bare = self.codes().is_empty() && !self.is_password_reset();
        (is_bare && self.error() == "access_denied")
            || self.kind() == TokenErrorKind::ConsentDeclined
            || self.is_b2c(CANCELLED)
    }

    /// Whether the user asked for a new password at Azure AD B2C, which the product answers by a
    /// login with the policy for that.
    pub fn is_password_reset(&self) -> bool {
        self.is_b2c(PASSWORD_RESET)
    }

    /// Azure AD B2C writes its codes before the description (Microsoft Learn, "Azure AD B2C: error
    /// codes").
    fn is_b2c(&self, code: &str) -> bool {
        self.description().starts_with(code)
    }

    /// Whether the same login may succeed later.
    pub fn is_temporary(&self) -> bool {
        self.0.is_retryable()
    }

    /// A sentence for the user at the browser. Nothing of the provider's text is in it.
    pub fn user_message(&self) -> &'static str {
        if self.is_cancelled() {
            return "The sign-in was cancelled.";
        }
        if self.is_temporary() {
            return "The sign-in service is busy. Please try again in a few minutes.";
        }
        if self.needs_interaction() {
            return "The sign-in service asks you to do something. Please sign in again.";
        }
        "The sign-in service did not let you in. Please tell your administrator."
    }

    /// What an administrator can do about it.
    pub fn admin_hint(&self) -> &'static str {
        self.0.admin_hint()
    }
}

impl fmt::Display for ProviderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the provider refused the login: {}", self.error())?;
        self.codes()
            .iter()
            .try_for_each(|code| write!(f, ", AADSTS{code}"))
    }
}

impl std::error::Error for ProviderError {}

/// What a stranger wrote, cut off and without control characters.
pub(crate) fn tidy(text: &str, limit: usize) -> String {
    text.chars()
        .filter(|c| !c.is_control())
        .take(limit)
        .collect()
}

const CANCELLED: &str = "AADB2C90091";
const PASSWORD_RESET: &str = "AADB2C90118";
const MAX_CODE: usize = 100;
const MAX_DESCRIPTION: usize = 1000;
const MAX_CLAIMS: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_browser_brought_is_cut_off_and_has_no_control_characters() {
        let description = format!("AADSTS65004: <script>\r\n\u{7}{}", "x".repeat(5000));
        let error = ProviderError::new("access_denied", Some(&description), None, None);
        assert_eq!(error.description().chars().count(), 1000);
        assert!(!error.description().contains(['\r', '\n', '\u{7}']));
        assert_eq!(error.codes(), [65004]);
        assert!(error.is_cancelled());
        assert!(!error.user_message().contains("script"));
        assert_eq!(
            error.to_string(),
            "the provider refused the login: access_denied, AADSTS65004"
        );
    }

    #[test]
    fn a_user_who_cancelled_is_told_so_by_every_provider() {
        for (error, description, is_cancelled) in [
            (
                "access_denied",
                "AADSTS65004: User declined to consent.",
                true,
            ),
            (
                "access_denied",
                "AADB2C90091: The user has cancelled.",
                true,
            ),
            ("server_error", "AADB2C90091: The user has cancelled.", true),
            ("access_denied", "", true),
            (
                "access_denied",
                "AADSTS53003: Access has been blocked.",
                false,
            ),
            ("login_required", "", false),
        ] {
            let found = ProviderError::new(error, Some(description), None, None);
            assert_eq!(found.is_cancelled(), is_cancelled, "{error} {description}");
        }
        let reset = ProviderError::new("access_denied", Some("AADB2C90118: forgot"), None, None);
        assert!(reset.is_password_reset() && !reset.is_cancelled());
    }

    #[test]
    fn a_claims_request_that_is_too_long_is_none() {
        let claims = "x".repeat(4097);
        let error = ProviderError::new("interaction_required", None, None, Some(&claims));
        assert_eq!(error.claims(), None);
        assert!(error.needs_interaction());
    }
}
