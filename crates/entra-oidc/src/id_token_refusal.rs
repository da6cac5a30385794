//! Why an ID token is refused.

use entra_core::JwtRefusal;
use time::OffsetDateTime;

/// Why an ID token is refused: one variant for each check, in the order of the checks. It holds
/// what was expected and found where that is no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdTokenRefusal {
    /// It is no signed token as Entra makes them, its signature is wrong, or the time is not its.
    #[error(transparent)]
    Jwt(#[from] JwtRefusal),
}

impl IdTokenRefusal {
    /// A sentence for the user at the browser.
    pub fn user_message(&self) -> &'static str {
        "Your sign-in could not be confirmed. Please tell your administrator."
    }

    /// What an administrator can do about it.
    pub fn admin_hint(&self) -> &'static str {
        "Check the connection's tenant and client id."
    }
}

#[expect(dead_code, reason = "a date in a refusal")]
type When = OffsetDateTime;
