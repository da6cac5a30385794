//! Which of a product's sessions belong to one session at the identity provider.

use std::fmt;
use std::fmt::Debug;

use async_trait::async_trait;
use aws_lc_rs::digest;
use time::OffsetDateTime;

use crate::one_time::absorb;
use crate::secret::lower_hex;

/// Finds the sessions of a product that end when the user signs out at the identity provider.
///
/// Entra's front-channel logout names its own session alone (`sid`), in a request that carries no
/// cookie of the product; SAML names a `SessionIndex`. So the product notes at each sign-in which
/// session came of which.
///
/// Losing an entry lets a session live until it expires; mixing keys up ends the session of
/// somebody else.
///
/// ```
/// use entra_core::{
///     Clock, MemorySessionIndex, SessionIndex, SessionIndexError, SessionKey, SystemClock,
/// };
///
/// async fn logout() -> Result<(), SessionIndexError> {
///     let index = MemorySessionIndex::new();
///     // At the sign-in: the `sid` of the ID token, and the row that the product's session is.
///     let key = SessionKey::new("contoso", "001d6a9b-2f0e-4f7b-8f3a-6e2f5b6c7d80");
///     index.add(&key, "session 7", SystemClock.now() + time::Duration::hours(8)).await?;
///     // When Entra says that this user signed out.
///     assert_eq!(index.take(&key).await?, ["session 7"]);
///     assert!(index.take(&key).await?.is_empty());
///     Ok(())
/// }
/// # tokio::runtime::Runtime::new().unwrap().block_on(logout()).unwrap();
/// ```
#[async_trait]
pub trait SessionIndex: Debug + Send + Sync {
    /// Notes that `session`, the product's own name of it, came of `key`. Noting it twice is as
    /// good as once; the later end counts. One that has ended already is not noted, which is no
    /// error.
    ///
    /// The name is what the product ends its session by. Where the cookie itself is the name, hand
    /// over a hash of it: an index is not made to keep secrets.
    async fn add(
        &self,
        key: &SessionKey,
        session: &str,
        expires_on: OffsetDateTime,
    ) -> Result<(), SessionIndexError>;

    /// Takes out all sessions of this key that have not expired: each is returned to one caller
    /// alone, among all nodes that share the index. They come in no order.
    ///
    /// A call that failed or was dropped may have taken them out.
    async fn take(&self, key: &SessionKey) -> Result<Vec<String>, SessionIndexError>;

    /// Forgets one session, which ended otherwise. Nothing there is no error.
    async fn remove(&self, key: &SessionKey, session: &str) -> Result<(), SessionIndexError>;
}

/// One session at an identity provider.
///
/// The connection is part of it: a provider ends sessions that came by its own connection, and no
/// other's. `Debug` leaves the session's id out, since whoever knows it can end the session.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
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

    /// The name of this key in a store: 64 hexadecimal digits of a SHA-256 over both parts with
    /// their lengths, by which nobody ends a session.
    ///
    /// ```
    /// use entra_core::SessionKey;
    ///
    /// let key = SessionKey::new("contoso", "001d6a9b");
    /// assert_ne!(key.store_name(), SessionKey::new("contoso0", "01d6a9b").store_name());
    /// ```
    pub fn store_name(&self) -> String {
        lower_hex(&self.digest())
    }

    pub(crate) fn digest(&self) -> SessionKeyDigest {
        let mut hash = digest::Context::new(&digest::SHA256);
        hash.update(DOMAIN);
        absorb(&mut hash, self.connection.as_bytes());
        absorb(&mut hash, self.session_id.as_bytes());
        let mut name = SessionKeyDigest::default();
        name.copy_from_slice(hash.finish().as_ref());
        name
    }
}

impl Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionKey")
            .field("connection", &self.connection)
            .finish_non_exhaustive()
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

pub(crate) type SessionKeyDigest = [u8; 32];

/// Separates these hashes from all others.
const DOMAIN: &[u8] = b"entra-sdk session key v1";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_stored_as_the_sha_256_of_its_parts_with_their_lengths() {
        // printf 'entra-sdk session key v1\0\0\0\0\0\0\0\1a\0\0\0\0\0\0\0\2bc' | sha256sum
        assert_eq!(
            SessionKey::new("a", "bc").store_name(),
            "267f88816fcdd676df8724a0495b95065e12de6105e80ca2b0f98e52f0c62dee"
        );
    }

    #[test]
    fn debug_shows_no_session_id() {
        let shown = format!("{:?}", SessionKey::new("contoso", "001d6a9b"));
        assert_eq!(shown, r#"SessionKey { connection: "contoso", .. }"#);
    }
}
