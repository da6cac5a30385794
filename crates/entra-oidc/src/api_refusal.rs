//! Why a call of an API is refused, and what to answer.

use entra_core::{ClientId, JwtRefusal};
use http::{HeaderValue, StatusCode};

use crate::challenge::Challenge;
use crate::{AuthContext, Stage, TokenRefusal};

/// Why a call of an API is refused: one variant for each check. What concerns ID tokens as well is
/// a [`TokenRefusal`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ApiRefusal {
    /// There is no `Authorization` header with the scheme `Bearer`.
    #[error("the call has no bearer token")]
    NoToken,
    /// There are several `Authorization` headers: which one counts would be a guess.
    #[error("the call has several Authorization headers")]
    SeveralHeaders,
    /// What follows the scheme cannot be a token (RFC 6750 2.1).
    #[error("the Authorization header has no token in it that could be one")]
    Malformed,
    /// It fails a check that every token has to pass.
    #[error(transparent)]
    Token(#[from] TokenRefusal),
    /// It is a token for Microsoft Graph, which the caller sent to the wrong place.
    #[error("the token is one for Microsoft Graph")]
    GraphToken,
    /// It is an ID token, which says who signed in and allows nothing.
    #[error("the token is an ID token")]
    IdToken,
    /// It has neither scopes nor roles: nobody allowed the caller anything.
    #[error("the token has neither scopes nor roles")]
    PermissionsMissing,
    /// The caller acts for itself where users alone are served.
    #[error("the token is an application's own, not a user's")]
    ApplicationToken,
    /// The caller acts for a user where applications alone are served.
    #[error("the token is a user's, not an application's own")]
    UserToken,
    /// The calling application is not one of those that are allowed.
    #[error("the application {found} is not allowed")]
    ClientNotAllowed {
        /// The caller.
        found: ClientId,
    },
    /// The calling application did not prove who it is, and those that do are served alone.
    #[error("the calling application has not proved who it is")]
    PublicClient,
    /// The token does not have the scope that the call needs.
    #[error("the token does not have the scope {wanted}")]
    ScopeMissing {
        /// The scope; several, where one of them would do.
        wanted: String,
    },
    /// The token does not have the role that the call needs.
    #[error("the token does not have the role {wanted}")]
    RoleMissing {
        /// The role; several, where one of them would do.
        wanted: String,
    },
    /// The user did not pass the authentication context that the call needs.
    #[error("the user did not pass the authentication context {wanted}")]
    AuthContextMissing {
        /// The one that is missing.
        wanted: AuthContext,
        /// Whether the caller says that it understands being asked for it (`xms_cc`).
        understood: bool,
    },
    /// The provider's keys could not be had: nobody can be let in at this moment.
    #[error("the keys of the provider could not be had")]
    KeysUnavailable,
}

impl ApiRefusal {
    /// The status of the answer (RFC 6750 3.1).
    pub fn http_status(&self) -> StatusCode {
        match self {
            Self::SeveralHeaders | Self::Malformed => StatusCode::BAD_REQUEST,
            Self::NoToken
            | Self::Token(_)
            | Self::GraphToken
            | Self::IdToken
            | Self::PermissionsMissing => StatusCode::UNAUTHORIZED,
            // A caller that does not understand the challenge would come again for ever.
            Self::AuthContextMissing { understood, .. } if *understood => StatusCode::UNAUTHORIZED,
            Self::AuthContextMissing { .. }
            | Self::ApplicationToken
            | Self::UserToken
            | Self::ClientNotAllowed { .. }
            | Self::PublicClient
            | Self::ScopeMissing { .. }
            | Self::RoleMissing { .. } => StatusCode::FORBIDDEN,
            Self::KeysUnavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The header `WWW-Authenticate` of the answer (RFC 6750, section 3), where there is one. It
    /// holds nothing of the token.
    pub fn www_authenticate(&self) -> Option<HeaderValue> {
        let challenge = match self {
            Self::KeysUnavailable => return None,
            Self::NoToken => Challenge::bare(),
            Self::SeveralHeaders | Self::Malformed => {
                Challenge::of("invalid_request", "the call has no single bearer token")
            }
            Self::Token(refusal) => Challenge::of("invalid_token", description(refusal)),
            Self::GraphToken => Challenge::of("invalid_token", "the token is one for Graph"),
            Self::IdToken => Challenge::of("invalid_token", "the token is an ID token"),
            Self::PermissionsMissing => {
                Challenge::of("invalid_token", "the token has neither scopes nor roles")
            }
            Self::AuthContextMissing { wanted, understood } if *understood => Challenge::of(
                "insufficient_claims",
                "the user has to pass an authentication context",
            )
            .with_auth_context(*wanted),
            Self::ScopeMissing { wanted } => insufficient(self).with("scope", wanted),
            Self::AuthContextMissing { .. }
            | Self::ApplicationToken
            | Self::UserToken
            | Self::ClientNotAllowed { .. }
            | Self::PublicClient
            | Self::RoleMissing { .. } => insufficient(self),
        };
        challenge.into_header()
    }

    /// Which step of the validation refused it.
    pub fn stage(&self) -> Stage {
        match self {
            Self::NoToken | Self::SeveralHeaders | Self::Malformed => Stage::Form,
            Self::Token(refusal) => refusal.stage(),
            Self::GraphToken => Stage::Audience,
            Self::KeysUnavailable => Stage::Key,
            Self::IdToken => Stage::Claims,
            Self::PermissionsMissing
            | Self::ApplicationToken
            | Self::UserToken
            | Self::ClientNotAllowed { .. }
            | Self::PublicClient
            | Self::ScopeMissing { .. }
            | Self::RoleMissing { .. }
            | Self::AuthContextMissing { .. } => Stage::Permission,
        }
    }

    /// What an administrator can do about it.
    pub fn admin_hint(&self) -> &'static str {
        match self {
            Self::Token(TokenRefusal::Audience { .. }) => {
                "The caller has to ask for a token for this API: the scope is one of its own, \
                 api://{its id}/{scope}."
            }
            Self::Token(refusal) => refusal.admin_hint(),
            Self::NoToken | Self::SeveralHeaders | Self::Malformed => {
                "The caller has to send one header, Authorization: Bearer, and the token."
            }
            Self::GraphToken => {
                "The caller has to ask for a token for this API: its scope among those of Graph \
                 in one request is left out."
            }
            Self::IdToken => "The caller has to send the access token, not the ID token.",
            Self::PermissionsMissing => {
                "Expose a scope or a role in the API's registration, let the caller's \
                 registration ask for it, and consent to it."
            }
            Self::ApplicationToken => "This call is for users: the caller has to act for one.",
            Self::UserToken => "This call is for applications: the caller has to act for itself.",
            Self::ClientNotAllowed { .. } => "Allow the application, if it is to come in.",
            Self::PublicClient => {
                "The calling application has to have a certificate, a secret or a federation."
            }
            Self::ScopeMissing { .. } | Self::RoleMissing { .. } => {
                "Let the caller's registration ask for the permission, and consent to it."
            }
            Self::AuthContextMissing { .. } => {
                "The caller has to declare the client capability cp1 and to answer claims \
                 challenges; the authentication context has to exist in the tenant."
            }
            Self::KeysUnavailable => "Check the way from this machine to the provider.",
        }
    }
}

impl From<JwtRefusal> for ApiRefusal {
    fn from(refusal: JwtRefusal) -> Self {
        Self::Token(refusal.into())
    }
}

/// Enough for the caller's developer, and nothing of the token.
fn description(refusal: &TokenRefusal) -> &'static str {
    match refusal.stage() {
        Stage::Issuer | Stage::Tenant => "the token is from an issuer that is not accepted",
        Stage::Audience => "the token is not for this API",
        Stage::Key | Stage::Signature => "the signature of the token is not accepted",
        Stage::Times => match refusal {
            TokenRefusal::Jwt(JwtRefusal::Expired { .. }) => "the token has expired",
            _ => "the token is not in force",
        },
        Stage::Version => "the token is of another version than is accepted",
        _ => "the token is malformed",
    }
}

fn insufficient(refusal: &ApiRefusal) -> Challenge {
    Challenge::of("insufficient_scope", &refusal.to_string())
}
