//! Which of a product's sessions belong to one session at the identity provider.

use std::fmt::Debug;

use async_trait::async_trait;
use time::OffsetDateTime;

/// Finds the sessions of a product that end when the user signs out at the identity provider.
///
/// Entra's front-channel logout names its own session alone (`sid`), in a request that carries no
/// cookie of the product; SAML names a `SessionIndex`. So the product notes at each sign-in which
/// session came of which.
///
/// Losing an entry lets a session live until it expires; mixing keys up ends the session of
/// somebody else.
#[async_trait]
pub trait SessionIndex: Debug + Send + Sync {
    /// Notes that `session`, the product's own name of it, came of `key`. Noting it twice is as
    /// good as once; the later end counts.
    async fn add(
        &self,
        key: &SessionKey,
        session: &str,
        expires_on: OffsetDateTime,
    ) -> Result<(), SessionIndexError>;

    /// Takes out all sessions of this key that have not expired: each is returned to one caller
    /// alone, among all nodes that share the index.
    async fn take(&self, key: &SessionKey) -> Result<Vec<String>, SessionIndexError>;

    /// Forgets one session, which ended otherwise.
    async fn remove(&self, key: &SessionKey, session: &str) -> Result<(), SessionIndexError>;
}

/// One session at an identity provider.
///
/// The connection is part of it: a provider ends sessions that came by its own connection, and no
/// other's.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionKey {
    connection: String,
    session_id: String,
}

impl SessionKey {
    /// The session `session_id` (`sid`, or SAML's SessionIndex) of the provider of this connection
    /// ("profile").
    pub fn new(connection: impl Into<String>, session_id: impl Into<String>) -> Self {
        Self {
            connection: connection.into(),
            session_id: session_id.into(),
        }
    }

    /// The connection.
    pub fn connection(&self) -> &str {
        &self.connection
    }

    /// The provider's name of its session.
    pub fn session_id(&self) -> &str {
        &self.session_id
    }
}

/// The index does not answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SessionIndexError {
    /// It holds as many entries as it may.
    #[error("the index of sessions is full with {capacity} entries")]
    Full {
        /// How many entries it holds.
        capacity: usize,
    },
    /// It cannot be reached or did not answer in time.
    #[error("the index of sessions is not available")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}
