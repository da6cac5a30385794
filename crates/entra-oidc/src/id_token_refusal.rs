//! Why an ID token is refused.

use entra_core::JwtRefusal;
use time::OffsetDateTime;

use crate::{AuthContext, Error, Stage, TokenRefusal};

/// Why an ID token is refused: one variant for each check. What concerns access tokens as well is
/// a [`TokenRefusal`]. It holds what was expected and found where that is no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdTokenRefusal {
    /// It fails a check that every token has to pass.
    #[error(transparent)]
    Token(#[from] TokenRefusal),
    /// `azp` is another application (OpenID Connect Core 3.1.3.7, rule 5).
    #[error("the token was issued to {found:?}, not to {expected:?}")]
    AuthorizedParty {
        /// The client id.
        expected: String,
        /// The token's `azp`.
        found: String,
    },
    /// It has the claims of an access token (RFC 8725 3.12).
    #[error("the token is an access token")]
    AccessToken,
    /// There is no `nonce`, although one was sent.
    #[error("the token has no nonce")]
    NonceMissing,
    /// `nonce` is that of another login (OpenID Connect Core 3.1.3.7, rule 11).
    #[error("the token is of another login")]
    Nonce,
    /// There is no `c_hash`, although the token came with a code (OpenID Connect Core 3.3.2.11).
    #[error("the token does not say which code it came with")]
    CodeHashMissing,
    /// `c_hash` is that of another code.
    #[error("the token came with another code")]
    CodeHash,
    /// `at_hash` is that of another access token (OpenID Connect Core 3.1.3.8).
    #[error("the token came with another access token")]
    AccessTokenHash,
    /// `s_hash` is that of another `state`.
    #[error("the token came with another state")]
    StateHash,
    /// A recent sign-in was asked for, and there is no `auth_time` (OpenID Connect Core 3.1.3.7,
    /// rule 13).
    #[error("the token does not say when the user signed in")]
    AuthTimeMissing,
    /// `auth_time` has not come yet.
    #[error("the user signed in in the future, on {authenticated_on}")]
    AuthTimeInFuture {
        /// When, as the token says.
        authenticated_on: OffsetDateTime,
    },
    /// The user signed in longer ago than was asked for.
    #[error("the user signed in too long ago, on {authenticated_on}")]
    ReauthenticationRequired {
        /// When the user signed in.
        authenticated_on: OffsetDateTime,
    },
    /// The user did not pass an authentication context that was asked for.
    #[error("the user did not pass the authentication context {wanted}")]
    AuthContextMissing {
        /// The one that is missing.
        wanted: AuthContext,
    },
    /// The user signed in by another policy of Azure AD B2C, which may ask for less.
    #[error("the user signed in by the policy {found:?}, not by {expected:?}")]
    Policy {
        /// The policy of the connection.
        expected: String,
        /// The policy in the token: `tfp`, or else `acr`.
        found: String,
    },
    /// The user is a guest, and members alone may come in.
    #[error("guests are not allowed")]
    Guest,
}

impl IdTokenRefusal {
    /// Which step of the validation refused it.
    pub fn stage(&self) -> Stage {
        match self {
            Self::Token(refusal) => refusal.stage(),
            Self::AuthorizedParty { .. } => Stage::Audience,
            Self::AccessToken => Stage::Claims,
            Self::NonceMissing | Self::Nonce => Stage::Nonce,
            Self::CodeHashMissing | Self::CodeHash | Self::AccessTokenHash | Self::StateHash => {
                Stage::Hashes
            }
            Self::AuthTimeMissing
            | Self::AuthTimeInFuture { .. }
            | Self::ReauthenticationRequired { .. }
            | Self::AuthContextMissing { .. } => Stage::Authentication,
            Self::Policy { .. } => Stage::Version,
            Self::Guest => Stage::Tenant,
        }
    }

    /// A sentence for the user at the browser.
    pub fn user_message(&self) -> &'static str {
        match self {
            Self::Token(TokenRefusal::TenantNotAllowed { .. }) => {
                "Your organization has no access here. Please tell your administrator."
            }
            Self::Token(TokenRefusal::PersonalAccount) => {
                "Please sign in with the account of your organization."
            }
            Self::Guest => "Guests have no access here. Please tell your administrator.",
            Self::ReauthenticationRequired { .. } => "Please sign in again.",
            Self::AuthContextMissing { .. } => {
                "This needs a stronger sign-in than yours. Please try again."
            }
            Self::NonceMissing | Self::Nonce => {
                "This sign-in belongs to another one that was begun before. Please try again."
            }
            _ => "Your sign-in could not be confirmed. Please tell your administrator.",
        }
    }

    /// What an administrator can do about it.
    pub fn admin_hint(&self) -> &'static str {
        match self {
            Self::Token(refusal) => refusal.admin_hint(),
            Self::AuthorizedParty { .. } => {
                "Compare the application's id in the connection with that in the token."
            }
            Self::AccessToken => "The product takes an access token for an ID token.",
            Self::NonceMissing | Self::Nonce => {
                "Nothing if it is rare. If not, look for a proxy that repeats answers, or for \
                 somebody who uses the answers of others."
            }
            Self::CodeHashMissing | Self::CodeHash | Self::AccessTokenHash | Self::StateHash => {
                "The parts of one answer do not belong together: look for a proxy that changes \
                 them, or for somebody who does."
            }
            Self::Policy { .. } => {
                "Compare the policy of the connection with the one that the application calls."
            }
            Self::AuthTimeMissing => {
                "Add the optional claim auth_time for ID tokens to the application's registration."
            }
            Self::AuthTimeInFuture { .. } => "Check the clock of this machine.",
            Self::ReauthenticationRequired { .. } => "Nothing: the user has to sign in again.",
            Self::AuthContextMissing { .. } => {
                "Check that the authentication context exists in the tenant and is published, and \
                 add the optional claim acrs for ID tokens to the application's registration."
            }
            Self::Guest => "Allow guests, or let the user come as a member.",
        }
    }
}

impl From<JwtRefusal> for IdTokenRefusal {
    fn from(refusal: JwtRefusal) -> Self {
        Self::Token(refusal.into())
    }
}

impl From<TokenRefusal> for Error {
    fn from(refusal: TokenRefusal) -> Self {
        Self::IdToken(refusal.into())
    }
}
