//! The groups of a user: known, left out, or not to be had, which are three things.

use std::error::Error as StdError;
use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{TenantId, UserKey};

/// What is known of a user's groups. «No groups» is never confused with «not known».
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Groups {
    /// All of them, maybe none: object ids, or the names that the application asks for.
    Complete(Vec<String>),
    /// The token left them out because there are too many (Microsoft Learn, "Groups overage
    /// claim"); a [`GroupResolver`] reads them.
    Overage,
    /// The application does not ask for groups.
    NotEmitted,
    /// They were left out, and reading them failed.
    Unavailable,
}

impl Groups {
    /// Whether the user is a member; none where it is not known.
    ///
    /// ```
    /// use entra_core::Groups;
    ///
    /// let groups = Groups::Complete(vec!["admins".to_owned()]);
    /// assert_eq!(groups.contains("admins"), Some(true));
    /// assert_eq!(groups.contains("users"), Some(false));
    /// assert_eq!(Groups::Overage.contains("admins"), None);
    /// ```
    pub fn contains(&self, group: &str) -> Option<bool> {
        let groups = self.as_complete()?;
        Some(groups.iter().any(|member| member == group))
    }

    /// All groups, where they are known.
    pub fn as_complete(&self) -> Option<&[String]> {
        match self {
            Self::Complete(groups) => Some(groups),
            Self::Overage | Self::NotEmitted | Self::Unavailable => None,
        }
    }
}

/// Reads the groups of a user whose token left them out.
///
/// entra-graph implements it. It asks the directory that the host has configured, with the host's
/// own credential, and never an address that the token names.
#[async_trait]
pub trait GroupResolver: Debug + Send + Sync {
    /// The object ids of all groups of the user, nested ones included.
    ///
    /// Whoever asks treats an error as [`Groups::Unavailable`], and logs it with its hint.
    async fn groups(&self, user: &UserKey) -> Result<Vec<String>, GroupResolverError>;
}

/// Why the groups of a user cannot be told.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GroupResolverError {
    /// The user comes from another provider, whose groups are not in this directory.
    #[error("the user is not of a Microsoft Entra tenant")]
    NotEntra,
    /// The directory that is asked is another tenant's.
    #[error("the user is of tenant {found}, and groups are read in {expected} alone")]
    OtherTenant {
        /// Whose users may be asked for.
        expected: TenantId,
        /// Whose user it is.
        found: TenantId,
    },
    /// The directory does not know the user, or no longer.
    #[error("the user is not in the directory of tenant {tenant}")]
    UnknownUser {
        /// The tenant that was asked.
        tenant: TenantId,
    },
    /// The directory does not tell that many groups.
    #[error("the user is in more groups than the directory tells")]
    TooMany,
    /// The directory refused, or did not answer.
    #[error("the directory does not tell the groups of the user")]
    Unavailable {
        /// What an administrator can do about it.
        hint: String,
        /// What happened.
        source: Arc<dyn StdError + Send + Sync>,
    },
}

impl GroupResolverError {
    /// The directory's failure, with what an administrator can do about it.
    pub fn unavailable(
        hint: impl Into<String>,
        source: impl StdError + Send + Sync + 'static,
    ) -> Self {
        Self::Unavailable {
            hint: hint.into(),
            source: Arc::new(source),
        }
    }

    /// What an administrator can do about it, in one or two sentences.
    pub fn admin_hint(&self) -> &str {
        match self {
            Self::NotEntra => {
                "Have the provider send the groups along: those of its users are not in Microsoft \
                 Entra ID."
            }
            Self::OtherTenant { .. } => {
                "Let the product read groups in the tenants of its customers, or let only users of \
                 its own tenant sign in."
            }
            Self::UnknownUser { .. } => {
                "Check that the user was not deleted, and that the tenant is the right one."
            }
            Self::TooMany => {
                "Assign application roles to a few groups and use those, or emit only the groups \
                 that are assigned to the application."
            }
            Self::Unavailable { hint, .. } => hint,
        }
    }
}
