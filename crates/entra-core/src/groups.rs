//! The groups of a user: known, left out, or not to be had, which are three things.

use std::fmt::Debug;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{Error, UserKey};

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
    async fn groups(&self, user: &UserKey) -> Result<Vec<String>, Error>;
}
