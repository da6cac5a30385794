//! What may be used once: SAML assertions, pending logins, ids of client assertions.

use std::fmt;
use std::fmt::Debug;

use async_trait::async_trait;
use aws_lc_rs::digest;
use time::OffsetDateTime;

/// Remembers what was used, so that a captured message is good for nothing.
///
/// SAML asks a service provider to refuse an assertion that it has seen (SAML Core 2.5.1.5, SAML
/// Profiles 4.1.4.5), RFC 7523 3 does the same for the `jti` of an assertion, and OpenID Connect
/// Core 15.5.2 for a nonce.
///
/// Losing an entry lets a replay through, so an implementation that cannot remember refuses: an
/// error is a refusal.
///
/// ```
/// use entra_core::{Clock, MemoryOneTimeStore, OneTimeError, OneTimeKey, OneTimeStore, SystemClock};
///
/// async fn replay() -> Result<(), OneTimeError> {
///     let store = MemoryOneTimeStore::new();
///     let assertion = OneTimeKey::new("saml assertion", ["https://idp.example", "_8f3a"]);
///     let expires_on = SystemClock.now() + time::Duration::minutes(5);
///     assert!(store.insert_once(&assertion, expires_on).await?);
///     assert!(!store.insert_once(&assertion, expires_on).await?);
///     Ok(())
/// }
/// # tokio::runtime::Runtime::new().unwrap().block_on(replay()).unwrap();
/// ```
#[async_trait]
pub trait OneTimeStore: Debug + Send + Sync {
    /// True for the first who brings this key, among all nodes that share the store; false for
    /// everybody after that, until `expires_on`.
    ///
    /// A call that failed or was dropped may have used the key up.
    async fn insert_once(
        &self,
        key: &OneTimeKey,
        expires_on: OffsetDateTime,
    ) -> Result<bool, OneTimeError>;
}

/// The key of one thing that may be used once: a SHA-256 that shows neither what nor whose.
///
/// Every use has a purpose of its own, so that the id of an assertion is never taken for a `state`.
///
/// ```
/// use entra_core::OneTimeKey;
///
/// let key = OneTimeKey::new("oidc state", ["client", "q8Xk"]);
/// assert_ne!(key, OneTimeKey::new("device code", ["client", "q8Xk"]));
/// assert_ne!(key, OneTimeKey::new("oidc state", ["clientq8Xk"]));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OneTimeKey([u8; 32]);

impl OneTimeKey {
    /// The key of these parts, in this order, for one purpose. Parts say who chose the id and what
    /// it is: an issuer and its id for an assertion, for example.
    pub fn new(purpose: &str, parts: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Self {
        let mut hash = digest::Context::new(&digest::SHA256);
        hash.update(DOMAIN);
        absorb(&mut hash, purpose.as_bytes());
        for part in parts {
            absorb(&mut hash, part.as_ref());
        }
        let mut key = [0; 32];
        key.copy_from_slice(hash.finish().as_ref());
        Self(key)
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// 64 hexadecimal digits.
impl fmt::Display for OneTimeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Debug for OneTimeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OneTimeKey({self})")
    }
}

/// Why a store does not say whether a key is new. Whoever asked must refuse.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OneTimeError {
    /// The key had ended before it came, so there is nothing left to remember.
    #[error("the entry had expired on {expires_on}")]
    Expired {
        /// When it ended.
        expires_on: OffsetDateTime,
    },
    /// The store holds as many keys as it may. It forgets none that is still good.
    #[error("the store of one-time keys is full with {capacity} keys")]
    Full {
        /// How many keys it holds.
        capacity: usize,
    },
    /// The store cannot be reached or did not answer in time.
    #[error("the store of one-time keys is not available")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A part and its length, so that parts cannot run into each other.
pub(crate) fn absorb(hash: &mut digest::Context, part: &[u8]) {
    let length = u64::try_from(part.len()).unwrap_or(u64::MAX);
    hash.update(&length.to_be_bytes());
    hash.update(part);
}

/// Separates these hashes from all others.
const DOMAIN: &[u8] = b"entra-sdk one-time key v1";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_the_sha_256_of_its_parts_with_their_lengths() {
        // printf 'entra-sdk one-time key v1\0\0\0\0\0\0\0\1a\0\0\0\0\0\0\0\2bc' | sha256sum
        assert_eq!(
            OneTimeKey::new("a", ["bc"]).to_string(),
            "1867b1b02a0c4ff2f4d48dd328d1d99aed6df0b22abffbde933a05051fe4719e"
        );
    }

    #[test]
    fn purposes_and_parts_cannot_run_into_each_other() {
        let none: [&str; 0] = [];
        let keys = [
            OneTimeKey::new("a", none),
            OneTimeKey::new("a", [""]),
            OneTimeKey::new("a", ["", ""]),
            OneTimeKey::new("a", ["b"]),
            OneTimeKey::new("ab", none),
            OneTimeKey::new("", ["a", "b"]),
            OneTimeKey::new("", ["ab"]),
        ];
        let different: std::collections::HashSet<_> = keys.iter().collect();
        assert_eq!(different.len(), keys.len());
    }
}
