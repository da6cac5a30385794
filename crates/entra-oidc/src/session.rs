//! A session of the product: what is left of a login when it is over, and the cookie that leads
//! to it.

use std::fmt;
use std::fmt::Debug;

use async_trait::async_trait;
use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use entra_core::Secret;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::{Error, ProfileName, Tokens, User};

/// One user who is signed in at one browser.
///
/// It can be serialised, so that a store may keep it elsewhere. Tokens are left out there: a store
/// that keeps them seals them ([`UserSession::seal`](entra_core::UserSession::seal)).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Session {
    /// Who is signed in.
    pub user: User,
    /// By which profile.
    pub profile: ProfileName,
    /// When it began. A session that takes the place of another keeps that one's beginning.
    #[serde(with = "time::serde::timestamp")]
    pub created_on: OffsetDateTime,
    /// When the user came from the provider last.
    #[serde(with = "time::serde::timestamp")]
    pub signed_in_on: OffsetDateTime,
    /// When it ends, however busy it is.
    #[serde(with = "time::serde::timestamp")]
    pub expires_on: OffsetDateTime,
    /// When it ends unless it is used until then.
    #[serde(with = "time::serde::timestamp")]
    pub idle_until: OffsetDateTime,
    /// The tokens of the login, if they are kept.
    #[serde(skip)]
    pub tokens: Option<Tokens>,
}

impl Session {
    /// Whether it has ended.
    pub fn has_ended(&self, now: OffsetDateTime) -> bool {
        self.ends_on() <= now
    }

    /// When it ends if it is not used any more: until then a store keeps it, and no longer.
    pub fn ends_on(&self) -> OffsetDateTime {
        self.expires_on.min(self.idle_until)
    }
}

/// Keeps the sessions of a product, for all of its machines.
///
/// It never sees the id that a browser holds, but a hash of it ([`SessionName`]): who reads the
/// store cannot take a session over. It reads no clock: whoever keeps something says what time it
/// is. Sessions that have ended may be dropped at any time, others not.
#[async_trait]
pub trait SessionStore: Debug + Send + Sync {
    /// Keeps a session under a name that is new.
    async fn insert(
        &self,
        name: &SessionName,
        session: Session,
        now: OffsetDateTime,
    ) -> Result<(), SessionStoreError>;

    /// The session of this name, if there is one. Whoever asks checks whether it has ended.
    async fn load(&self, name: &SessionName) -> Result<Option<Session>, SessionStoreError>;

    /// Notes that a session was used. Nothing where there is none: it ended meanwhile, and must not
    /// come back.
    async fn touch(
        &self,
        name: &SessionName,
        idle_until: OffsetDateTime,
        now: OffsetDateTime,
    ) -> Result<(), SessionStoreError>;

    /// Puts a session under a new name in the place of another, in one step: true if the other was
    /// there, and false if it was not, in which case nothing is kept.
    async fn replace(
        &self,
        old: &SessionName,
        (new, session): (&SessionName, Session),
        now: OffsetDateTime,
    ) -> Result<bool, SessionStoreError>;

    /// Takes a session out, for one caller alone.
    async fn remove(&self, name: &SessionName) -> Result<Option<Session>, SessionStoreError>;
}

/// Why a store does not do what it should. Nobody is signed in by it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SessionStoreError {
    /// It holds as many sessions as it may.
    #[error("the store of sessions is full with {capacity} sessions")]
    Full {
        /// How many it holds.
        capacity: usize,
    },
    /// It cannot be reached or did not answer in time.
    #[error("the store of sessions is not available")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// What a browser holds: 256 random bits, of which nobody but the browser keeps a copy.
pub(crate) struct SessionId(Secret);

impl SessionId {
    /// A new one: never one that a browser brought (session fixation; OWASP ASVS 7.2.4).
    pub(crate) fn generate() -> Result<Self, Error> {
        Secret::generate().map(Self).map_err(Error::Token)
    }

    /// Reads the value of a cookie; nothing where it cannot be one.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        (bytes.len() == ID_LENGTH).then(|| Self(Secret::new(text)))
    }

    pub(crate) fn expose(&self) -> &str {
        self.0.expose()
    }

    pub(crate) fn name(&self) -> SessionName {
        let mut hash = digest::Context::new(&digest::SHA256);
        hash.update(DOMAIN);
        hash.update(self.expose().as_bytes());
        SessionName(URL_SAFE_NO_PAD.encode(hash.finish()))
    }
}

/// The name under which a session is kept: a SHA-256 of what the browser holds, and worth nothing
/// as a cookie. It may stand in logs, and in a [`SessionIndex`](entra_core::SessionIndex).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionName(String);

impl SessionName {
    /// Takes a name over that a [`SessionIndex`](entra_core::SessionIndex) or a log keeps.
    pub fn from_text(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// 43 letters, digits, `-` and `_`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SessionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Debug for SessionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionName({self})")
    }
}

const ID_LENGTH: usize = 32;
/// Separates these hashes from all others.
const DOMAIN: &[u8] = b"entra-sdk session v1 ";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_32_bytes_and_nothing_else() {
        let id = SessionId::generate().unwrap();
        assert_eq!(id.expose().len(), 43);
        let same = SessionId::parse(id.expose()).unwrap();
        assert_eq!(same.name(), id.name());
        assert_ne!(id.name().as_str(), id.expose());
        for other in ["", "default.AAAA", "QQ", "../../etc", &"A".repeat(44)] {
            assert!(SessionId::parse(other).is_none(), "{other}");
        }
        // The last character has bits that do not count: two texts would be one id.
        assert!(SessionId::parse(&"B".repeat(43)).is_none());
    }

    #[test]
    fn a_name_is_the_sha_256_of_an_id() {
        // printf 'entra-sdk session v1 %s' $(printf 'A%.0s' {1..43}) | openssl dgst -sha256 -binary | base64
        let id = SessionId::parse(&"A".repeat(43)).unwrap();
        assert_eq!(
            id.name().as_str(),
            "tjO_qMk-7-LEU602zoDhgTR17hzwNTBjcZ20VrB_snI"
        );
    }
}
