//! What a tenant would refuse, and the step that mends it.

use time::{Duration, OffsetDateTime};

use super::CLIENT_ID_PLACEHOLDER;
use super::redirect_uri::{Platform, RedirectUriFault};
use crate::UnknownPermission;

/// Something that the tenant would refuse. Plain data.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The key of the blueprint is not 1 to 128 letters, digits, dots, hyphens and underscores.
    #[error("the key {key:?} is not 1 to 128 letters, digits, dots, hyphens and underscores")]
    Key {
        /// The key.
        key: String,
    },
    /// A name is blank, longer than 120 characters, or has line breaks or other control characters.
    #[error("the {what} is not 1 to 120 printable characters")]
    Name {
        /// Which name.
        what: &'static str,
    },
    /// The front-channel logout URL is not an https URL of at most 255 characters.
    #[error("the logout URL {url:?} is not an https URL of at most 255 characters")]
    LogoutUrl {
        /// The URL.
        url: String,
    },
    /// There are more redirect URIs than a registration may have.
    #[error("{count} redirect URIs are more than the 256 that an application may have")]
    TooManyRedirectUris {
        /// How many there are.
        count: usize,
    },
    /// A client secret cannot live that long.
    #[error("a client secret cannot be valid for {wanted}; one hour to ten years is possible")]
    SecretSpan {
        /// The lifetime in the blueprint.
        wanted: Duration,
    },
    /// The set-up credential lacks a permission that applying needs.
    #[error("the set-up credential has none of {}", needed.join(", "))]
    SetUpPermission {
        /// Any of these would do.
        needed: Vec<&'static str>,
    },
    /// The host of an App ID URI is not a verified domain of the tenant.
    #[error("App ID URI {uri}: {host} is not a verified domain of the tenant")]
    UnverifiedHost {
        /// The App ID URI.
        uri: String,
        /// Its host.
        host: String,
        /// The domains that would be accepted.
        verified: Vec<String>,
    },
    /// A tenant policy accepts only the app's default App ID URIs.
    #[error(
        "App ID URI {uri}: a policy of the tenant accepts only api://<client id> and api://<tenant id>/<client id>"
    )]
    AppIdUriPolicy {
        /// The App ID URI.
        uri: String,
    },
    /// It is no URI of an accepted form.
    #[error("App ID URI {uri:?} has a form that Entra does not accept")]
    AppIdUriForm {
        /// The App ID URI.
        uri: String,
    },
    /// Another application has it.
    #[error("App ID URI {uri} belongs to the application «{owner}»")]
    AppIdUriTaken {
        /// The App ID URI.
        uri: String,
        /// The display name of the other application.
        owner: String,
    },
    /// A redirect URI would not be accepted.
    #[error("{platform} redirect URI {uri:?}: {fault}")]
    RedirectUri {
        /// The platform.
        platform: Platform,
        /// The redirect URI.
        uri: String,
        /// What is wrong with it.
        fault: RedirectUriFault,
    },
    /// A claim has a name that no claim has.
    #[error("{claim:?} is not the name of a claim")]
    Claim {
        /// The name.
        claim: String,
    },
    /// The value of an app role is there twice, or not 1 to 120 characters without white space.
    #[error(
        "the app role {value:?} is there twice, or not 1 to 120 characters without white space"
    )]
    AppRole {
        /// The value.
        value: String,
    },
    /// Microsoft Graph has no such permission.
    #[error(transparent)]
    UnknownPermission(#[from] UnknownPermission),
    /// A policy of the tenant forbids client secrets.
    #[error("a policy of the tenant forbids client secrets")]
    SecretsForbidden,
    /// The secret would live longer than a policy of the tenant allows.
    #[error("a client secret for {} days: a policy of the tenant allows {}", wanted.whole_days(), allowed.whole_days())]
    SecretLifetime {
        /// The lifetime in the blueprint.
        wanted: Duration,
        /// The longest lifetime that is allowed.
        allowed: Duration,
    },
    /// The certificate lives longer than a policy of the tenant allows.
    #[error("a certificate for {} days: a policy of the tenant allows {}", wanted.whole_days(), allowed.whole_days())]
    CertificateLifetime {
        /// The certificate's lifetime.
        wanted: Duration,
        /// The longest lifetime that is allowed.
        allowed: Duration,
    },
    /// The certificate is over, or not valid yet.
    #[error("the certificate is not valid now (valid until {})", not_after.date())]
    CertificateNotValid {
        /// Its end.
        not_after: OffsetDateTime,
    },
}

impl Refusal {
    /// The one step that mends it.
    pub fn remedy(&self) -> String {
        match self {
            Self::Key { .. } => "give the blueprint a short key of plain characters".to_owned(),
            Self::Name { what } => format!("give the blueprint another {what}"),
            Self::LogoutUrl { .. } => "correct the URL in the blueprint".to_owned(),
            Self::TooManyRedirectUris { .. } => "leave out those that nobody uses".to_owned(),
            Self::SecretSpan { .. } => "choose 90 or 180 days, for example".to_owned(),
            Self::SetUpPermission { needed } => format!(
                "grant {} to the application with which you set up, not to the product's own",
                needed.first().unwrap_or(&"the permission")
            ),
            Self::UnverifiedHost { host, verified, .. } => format!(
                "add and verify {host} under Settings > Domain names, or use api://{CLIENT_ID_PLACEHOLDER}; \
                 verified today: {}",
                verified.join(", ")
            ),
            Self::AppIdUriPolicy { .. } => format!(
                "use api://{CLIENT_ID_PLACEHOLDER}, or exempt the app in the app management policy"
            ),
            Self::AppIdUriForm { .. } => {
                format!("use https://<a verified domain> or api://{CLIENT_ID_PLACEHOLDER}")
            }
            Self::AppIdUriTaken { owner, .. } => {
                format!("adopt the application «{owner}», or remove the URI from it")
            }
            Self::RedirectUri { fault, .. } => match fault {
                RedirectUriFault::NotHttps => "serve the product by https".to_owned(),
                RedirectUriFault::TwoPlatforms => "keep it under one platform".to_owned(),
                _ => "correct the URI in the blueprint".to_owned(),
            },
            Self::Claim { .. } => "take a name of Microsoft's list of optional claims".to_owned(),
            Self::AppRole { .. } => "give the role another value in the blueprint".to_owned(),
            Self::UnknownPermission(unknown) => unknown.remedy(),
            Self::SecretsForbidden => "let the blueprint use a certificate instead".to_owned(),
            Self::SecretLifetime { allowed, .. } | Self::CertificateLifetime { allowed, .. } => {
                format!("choose at most {} days", allowed.whole_days())
            }
            Self::CertificateNotValid { .. } => "generate a new certificate".to_owned(),
        }
    }
}
