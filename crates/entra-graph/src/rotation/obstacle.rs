//! Why an app cannot renew its own credential, and what an administrator does instead.

use entra_core::{ClientId, CredentialKind, TokenErrorKind};
use time::Duration;

/// Why an app cannot renew its own credential. Nothing but an administrator mends it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Obstacle {
    /// The app has no permission to write to its own registration.
    #[error("the app has none of {}", needed.join(", "))]
    NoPermission {
        /// Any of these would do.
        needed: &'static [&'static str],
    },
    /// The app may write to what it owns, and does not own itself.
    #[error("the app may change registrations that it owns, and does not own its own")]
    NotOwner,
    /// The app may not read its own registration.
    #[error("the app may not read its own registration")]
    NotReadable,
    /// The registration is not in this tenant: it belongs to another one, or was deleted.
    #[error("the registration of app {0} is not in this tenant")]
    NotRegisteredHere(ClientId),
    /// The credential in use is not accepted any more.
    #[error("the credential in use is refused ({kind:?})")]
    Refused {
        /// What the sign-in says of it.
        kind: TokenErrorKind,
    },
    /// A policy of the tenant forbids this kind of credential.
    #[error("a policy of the tenant forbids to add a {kind}")]
    Forbidden {
        /// The kind.
        kind: CredentialKind,
    },
    /// A policy of the tenant accepts certificates of its own authority alone.
    #[error("a policy of the tenant accepts only certificates of a trusted authority")]
    TrustedAuthority,
    /// A policy of the tenant allows only lifetimes that are too short to be renewed in time.
    #[error("a policy of the tenant allows a {kind} to live for too short a time")]
    Lifetime {
        /// The kind.
        kind: CredentialKind,
        /// The longest that is allowed, where it is known.
        allowed: Option<Duration>,
    },
    /// Several client secrets begin like the one to remove.
    #[error("several client secrets begin like the one to remove ({hint}…)")]
    Ambiguous {
        /// Their first three characters.
        hint: String,
    },
}

impl Obstacle {
    /// What an administrator does, step by step.
    pub fn remedy(&self) -> String {
        match self {
            Self::NoPermission { needed } => format!(
                "Give the app the permission {} and grant admin consent for it (App registrations > \
                 API permissions), and make the app an owner of itself; or, each time, {BY_HAND}",
                needed.first().unwrap_or(&"Application.ReadWrite.OwnedBy")
            ),
            Self::NotOwner => format!(
                "Make the app's service principal an owner of its registration, by applying the \
                 blueprint again or with az ad app owner add; or, each time, {BY_HAND}"
            ),
            Self::NotReadable => format!(
                "Give the app the permission Application.ReadWrite.OwnedBy and grant admin consent \
                 for it; or, each time, {BY_HAND}"
            ),
            Self::NotRegisteredHere(_) => {
                format!("In the tenant in which the app is registered, {BY_HAND}")
            }
            Self::Refused { .. } => format!("Now, {BY_HAND}"),
            Self::Forbidden { .. } | Self::Lifetime { .. } => format!(
                "Have the app management policy exempt the app (Entra ID > Enterprise apps > \
                 Application policies); or {BY_HAND}"
            ),
            Self::TrustedAuthority => "Have a certificate issued by the authority that the policy \
                 names, upload it under App registrations > Certificates & secrets, and enter it \
                 with its key in the product."
                .to_owned(),
            Self::Ambiguous { .. } => "Delete the client secret that is not in use any more under \
                 App registrations > Certificates & secrets."
                .to_owned(),
        }
    }

    /// What tells it from others, once a text of it was shown.
    pub(super) fn code(&self) -> String {
        self.to_string()
    }
}

const BY_HAND: &str = "make a new credential under App registrations > Certificates & secrets, and \
                       enter it in the product.";
