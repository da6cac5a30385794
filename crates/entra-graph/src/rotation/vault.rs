//! Where the host keeps an app's credentials.

use std::error::Error as StdError;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use entra_core::{ClientCredentials, CredentialSource};

use super::record::CredentialRecord;

/// What the host's own store may fail with.
pub type VaultError = Box<dyn StdError + Send + Sync>;

/// Where the host keeps the credentials of one connection: a row of its database, an entry of its
/// vault. All processes that sign in as the same app share it.
///
/// It stores one [record](CredentialRecord) as a whole, under a number that goes up with each
/// write. Rotation writes down what it is about to do before it does it, so the record is all that
/// is needed to go on after a crash, and to keep two processes from rotating at once.
///
/// ```
/// use entra_graph::{CredentialRecord, CredentialVault, Kept, VaultError};
/// # struct Row { json: String, revision: u64 }
/// # #[derive(Debug)] struct Db;
/// # impl Db {
/// #     async fn select(&self, _: &str) -> Result<Row, VaultError> { Err("".into()) }
/// #     async fn update(&self, _: &str, _: &[&(dyn ToString + Sync)]) -> Result<u64, VaultError> { Ok(0) }
/// # }
///
/// #[derive(Debug)]
/// struct DatabaseVault { db: Db }
///
/// #[async_trait::async_trait]
/// impl CredentialVault for DatabaseVault {
///     async fn load(&self) -> Result<Kept, VaultError> {
///         let row = self.db.select("SELECT record, revision FROM entra_credentials").await?;
///         let record = CredentialRecord::from_json(&row.json.into())?;
///         Ok(Kept::new(record, row.revision))
///     }
///
///     async fn store(&self, record: &CredentialRecord, replaces: u64) -> Result<bool, VaultError> {
///         let sql = "UPDATE entra_credentials SET record = $1, revision = $2 + 1 WHERE revision = $2";
///         let json = record.to_json(); // seal it first, with an `entra_core::KeyRing` for example
///         Ok(self.db.update(sql, &[&json.expose(), &replaces]).await? == 1)
///     }
/// }
/// ```
#[async_trait]
pub trait CredentialVault: Debug + Send + Sync {
    /// The record as it was stored last, and its revision.
    async fn load(&self) -> Result<Kept, VaultError>;

    /// Replaces the record if its revision is still `replaces`; the next revision is then
    /// `replaces + 1`. `false`, and nothing changed, if it is another by now: compare and write
    /// are one step.
    ///
    /// It returns once the record is durable. After an error the record may be stored or not.
    async fn store(&self, record: &CredentialRecord, replaces: u64) -> Result<bool, VaultError>;
}

/// A record as a vault keeps it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Kept {
    /// The record.
    pub record: CredentialRecord,
    /// How often it was stored.
    pub revision: u64,
}

impl Kept {
    /// A record at this revision.
    pub fn new(record: CredentialRecord, revision: u64) -> Self {
        Self { record, revision }
    }
}

/// A [`CredentialVault`] in memory: for tests, and the model for others.
#[derive(Debug)]
pub struct MemoryVault {
    kept: Mutex<Kept>,
}

impl MemoryVault {
    /// A vault that keeps this record.
    pub fn new(record: CredentialRecord) -> Self {
        Self {
            kept: Mutex::new(Kept::new(record, 0)),
        }
    }

    /// What it keeps now.
    pub fn record(&self) -> CredentialRecord {
        self.kept().record.clone()
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl CredentialVault for MemoryVault {
    async fn load(&self) -> Result<Kept, VaultError> {
        Ok(self.kept().clone())
    }

    async fn store(&self, record: &CredentialRecord, replaces: u64) -> Result<bool, VaultError> {
        let mut kept = self.kept();
        if kept.revision != replaces {
            return Ok(false);
        }
        *kept = Kept::new(record.clone(), replaces + 1);
        Ok(true)
    }
}

/// Lets a client that is refused look into the vault for what another process put there.
///
/// ```
/// # use std::sync::Arc;
/// # use entra_core::ConfidentialClient;
/// # use entra_graph::{CredentialVault, VaultSource};
/// fn watching(client: ConfidentialClient, vault: Arc<dyn CredentialVault>) -> ConfidentialClient {
///     client.with_credential_source(Arc::new(VaultSource::new(vault)))
/// }
/// ```
#[derive(Clone, Debug)]
pub struct VaultSource(Arc<dyn CredentialVault>);

impl VaultSource {
    /// Looks into this vault.
    pub fn new(vault: Arc<dyn CredentialVault>) -> Self {
        Self(vault)
    }
}

#[async_trait]
impl CredentialSource for VaultSource {
    async fn load(&self) -> Result<ClientCredentials, VaultError> {
        Ok(self.0.load().await?.record.credentials())
    }
}
