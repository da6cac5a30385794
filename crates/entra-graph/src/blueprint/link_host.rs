//! What the product itself contributes while a blueprint is applied.

use std::error::Error as StdError;
use std::fmt::Debug;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use entra_core::{ClientCredential, ClientId, ClientSecret, ClientSecretError, Secret};
use time::OffsetDateTime;
use uuid::Uuid;

/// What the product contributes while it is linked.
#[async_trait]
pub trait LinkHost: Debug + Send + Sync {
    /// A step begins.
    fn progress(&self, progress: &Progress);

    /// A client secret was issued, and Entra will never show it again. Store it durably before
    /// returning: only then is the secret counted as kept. An error ends the apply, and the next
    /// one issues another secret in its place.
    async fn keep_secret(
        &self,
        secret: &IssuedSecret,
    ) -> Result<(), Box<dyn StdError + Send + Sync>>;

    /// Whether the product has the secret with this id («Secret ID»); `None` if it cannot tell.
    ///
    /// `Some(true)` keeps a secret whose issue was interrupted from being removed. `Some(false)`
    /// makes an apply issue another one, as is right where the product lost its own.
    async fn has_secret(&self, _key_id: &Uuid) -> Option<bool> {
        None
    }
}

/// What is being done.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// The number of this step, from 1 on.
    pub step: usize,
    /// How many steps there are.
    pub steps: usize,
    /// What it does, for people.
    pub what: &'static str,
}

/// A client secret at the one moment at which its value is known.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct IssuedSecret {
    /// The application that it belongs to.
    pub client_id: ClientId,
    /// The id under which the portal lists it («Secret ID»).
    pub key_id: Uuid,
    /// The value.
    pub value: Secret,
    /// When it ends.
    pub expires_on: Option<OffsetDateTime>,
}

impl IssuedSecret {
    /// The credential that the product signs in with.
    pub fn credential(&self) -> Result<ClientCredential, ClientSecretError> {
        ClientSecret::try_from(&self.value).map(ClientCredential::secret)
    }
}

/// A [`LinkHost`] that keeps the secret in memory and reports no progress: for tests and for
/// programs that store it themselves once [`apply`](super::Blueprint::apply) returned.
#[derive(Debug, Default)]
pub struct MemoryHost {
    secret: Mutex<Option<IssuedSecret>>,
}

impl MemoryHost {
    /// The secret that was issued last.
    pub fn secret(&self) -> Option<IssuedSecret> {
        self.secret
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

#[async_trait]
impl LinkHost for MemoryHost {
    fn progress(&self, _progress: &Progress) {}

    async fn keep_secret(
        &self,
        secret: &IssuedSecret,
    ) -> Result<(), Box<dyn StdError + Send + Sync>> {
        *self.secret.lock().unwrap_or_else(PoisonError::into_inner) = Some(secret.clone());
        Ok(())
    }

    async fn has_secret(&self, key_id: &Uuid) -> Option<bool> {
        let secret = self.secret()?;
        Some(secret.key_id == *key_id)
    }
}
