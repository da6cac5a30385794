//! Just-in-time provisioning: the account that a product keeps for a user who signs in.

use std::fmt::Debug;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::UserProfile;

/// The host's accounts, as a sign-in needs them; for OpenID Connect and SAML alike.
///
/// At each sign-in the profile is handed over, and the host answers which account it is. An
/// implementation finds accounts by [`UserProfile::key`] alone. Where none has this key, but there
/// is one that looks like the same person (the same address or user name), it answers
/// [`Provisioned::LinkRequired`]: whoever controls a directory can write any address there, so an
/// account that was there before is linked once, by its owner or an administrator, and never by
/// an address alone.
#[async_trait]
pub trait UserProvisioner: Debug + Send + Sync {
    /// Creates or updates the account of a user. Doing it twice is as good as once.
    async fn provision(&self, user: &UserProfile) -> Result<Provisioned, ProvisionerError>;

    /// Links an account that was there before to the user, from now on found by the key. `consent`
    /// says who agreed; the sign-in has shown who the user is, not that the account is theirs.
    /// Doing it twice is as good as once.
    ///
    /// What the host refuses ([`Provisioned::Refused`]): linking an account to a second key, or a
    /// key to a second account; an account that is locked or not there; the consent of an owner of
    /// another account.
    async fn link(
        &self,
        user: &UserProfile,
        account: &AccountId,
        consent: &LinkConsent,
    ) -> Result<Provisioned, ProvisionerError>;
}

/// What became of the account.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Provisioned {
    /// There was none; now there is.
    Created(AccountId),
    /// There was one, and it carries the profile as it is now.
    Updated(AccountId),
    /// The user may not have an account, or theirs is locked. The reason is shown to the user.
    Refused {
        /// A sentence for the user.
        reason: String,
    },
    /// An account like this exists and was never linked: nobody is signed in to it yet. A
    /// [`LinkOffer`](crate::LinkOffer) keeps who it was until somebody agrees.
    LinkRequired(AccountId),
}

impl Provisioned {
    /// The account that the user is signed in to.
    pub fn account(&self) -> Option<&AccountId> {
        match self {
            Self::Created(account) | Self::Updated(account) => Some(account),
            Self::Refused { .. } | Self::LinkRequired(_) => None,
        }
    }
}

/// The host's own name of an account: the key of a row, for example.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AccountId(String);

impl AccountId {
    /// Takes the host's name over.
    pub fn new(id: impl Into<String>) -> Self {
        Self(id.into())
    }

    /// The host's name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for AccountId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Who agreed that an account belongs to a user.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LinkConsent {
    /// The account's owner, who has just signed in to it as before: by its password, for example.
    Owner {
        /// The account that they signed in to.
        account: AccountId,
    },
    /// An administrator of the product.
    Administrator {
        /// Who, for the audit.
        name: String,
    },
}

/// The host's store of accounts failed; nobody is signed in.
#[derive(Debug, thiserror::Error)]
#[error("the product's accounts are not available")]
pub struct ProvisionerError(#[source] Box<dyn std::error::Error + Send + Sync>);

impl ProvisionerError {
    /// What the host's store says.
    pub fn new(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(source.into())
    }
}
