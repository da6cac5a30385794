//! The single things that applying a blueprint changes.

use std::fmt;

use entra_core::Certificate;
use time::Duration;

use super::{GroupClaims, Platform};
use crate::{Permission, SignInAudience};

/// One thing that applying changes.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Change {
    /// The registration is made.
    CreateApplication,
    /// The display name is set.
    Rename {
        /// As it is.
        from: String,
        /// As it shall be.
        to: String,
    },
    /// The audience is set.
    SetAudience {
        /// As it is.
        from: Option<SignInAudience>,
        /// As it shall be.
        to: SignInAudience,
    },
    /// An App ID URI is added.
    AddAppIdUri(String),
    /// A redirect URI is added to a platform.
    AddRedirectUri(Platform, String),
    /// Tokens are no longer issued from the authorization endpoint.
    DisableImplicitGrant,
    /// The front-channel logout URL is set.
    SetLogoutUrl {
        /// As it is.
        from: Option<String>,
        /// As it shall be.
        to: String,
    },
    /// A claim is added to ID tokens.
    AddIdTokenClaim(String),
    /// Which groups stand in tokens is set.
    SetGroupClaims {
        /// As it is.
        from: Option<String>,
        /// As it shall be.
        to: GroupClaims,
    },
    /// A role is made, to be assigned to users and groups.
    AddAppRole(String),
    /// The permission is declared, so that the portal lists it.
    DeclarePermission(Permission),
    /// The service principal (enterprise application) is made.
    CreateServicePrincipal,
    /// Admin consent is granted.
    Consent(Permission),
    /// The application becomes an owner of its own registration, so that it may renew its
    /// credentials.
    OwnItself,
    /// The certificate is registered beside those that are there.
    AddCertificate(Certificate),
    /// The issue of client secrets was interrupted; what is left of it is cleaned up.
    FinishSecrets {
        /// Their name.
        name: String,
        /// How many.
        count: usize,
    },
    /// A client secret is issued.
    AddSecret {
        /// Its name.
        name: String,
        /// How long it is valid.
        lifetime: Duration,
    },
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreateApplication => f.write_str("+ app registration"),
            Self::Rename { from, to } => write!(f, "~ display name: {from} => {to}"),
            Self::SetAudience { from, to } => {
                let from = from.as_ref().map_or("none", SignInAudience::as_str);
                write!(f, "~ audience: {from} => {}", to.as_str())
            }
            Self::AddAppIdUri(uri) => write!(f, "+ App ID URI {uri}"),
            Self::AddRedirectUri(platform, uri) => write!(f, "+ {platform} redirect URI {uri}"),
            Self::DisableImplicitGrant => {
                f.write_str("~ ID and access tokens from the authorization endpoint: on => off")
            }
            Self::SetLogoutUrl { from, to } => {
                write!(
                    f,
                    "~ front-channel logout URL: {} => {to}",
                    from.as_deref().unwrap_or("none")
                )
            }
            Self::AddIdTokenClaim(claim) => write!(f, "+ claim {claim} in ID tokens"),
            Self::SetGroupClaims { from, to } => {
                let from = from.as_deref().unwrap_or("none");
                write!(f, "~ groups in tokens: {from} => {}", to.as_str())
            }
            Self::AddAppRole(role) => write!(f, "+ app role {role}"),
            Self::DeclarePermission(permission) => write!(f, "+ API permission {permission}"),
            Self::CreateServicePrincipal => f.write_str("+ service principal"),
            Self::Consent(permission) => write!(f, "+ admin consent to {permission}"),
            Self::OwnItself => f.write_str("+ the application as an owner of itself"),
            Self::AddCertificate(certificate) => write!(
                f,
                "+ certificate {} valid until {}",
                certificate.thumbprint_sha1(),
                certificate.not_after().date()
            ),
            Self::FinishSecrets { name, count } => {
                write!(
                    f,
                    "- {count} interrupted issue(s) of client secret «{name}»"
                )
            }
            Self::AddSecret { name, lifetime } => {
                write!(
                    f,
                    "+ client secret «{name}» for {} days",
                    lifetime.whole_days()
                )
            }
        }
    }
}
