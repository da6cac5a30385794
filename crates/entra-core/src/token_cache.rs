//! The second level of a token cache: what several processes share.

use std::fmt;
use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;

/// Keeps tokens where other processes find them: Redis, a database, a file.
///
/// It sees opaque bytes under opaque names: tokens are sealed and names are hashed before they
/// come here by the client. Losing entries is allowed, mixing them up
/// is not. A failure slows a call down and never fails it, so an implementation answers within a
/// bounded time; a second is long.
#[async_trait]
pub trait TokenCache: Debug + Send + Sync {
    /// The bytes under this name, if they are there and have not ended.
    async fn load(&self, name: &CacheName) -> Result<Option<Vec<u8>>, TokenCacheError>;

    /// Keeps the bytes under this name for `time_to_live`, in place of what was there.
    async fn store(
        &self,
        name: &CacheName,
        value: &[u8],
        time_to_live: Duration,
    ) -> Result<(), TokenCacheError>;

    /// Forgets what is under this name. Nothing there is no error.
    async fn remove(&self, name: &CacheName) -> Result<(), TokenCacheError>;
}

/// The name of one entry: 32 bytes that say nothing about client, tenant or user.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CacheName([u8; 32]);

impl CacheName {
    /// The name that consists of these bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// 64 hexadecimal digits.
impl fmt::Display for CacheName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Debug for CacheName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CacheName({self})")
    }
}

/// The cache cannot be reached or did not answer in time.
#[derive(Debug, thiserror::Error)]
#[error("the token cache is not available")]
pub struct TokenCacheError(#[source] Box<dyn std::error::Error + Send + Sync>);

impl TokenCacheError {
    /// The error with its cause, which must carry neither a value nor a password.
    pub fn new(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(source.into())
    }
}
