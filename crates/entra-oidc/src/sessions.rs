//! Sessions begin with a login and end with a sign-out, wherever that happens.

use std::sync::Arc;
use std::time::Duration;

use entra_core::{
    Clock, MemorySessionIndex, SessionIndex, SessionIndexError, SessionKey, SystemClock,
};
use http::{HeaderMap, HeaderValue};
use time::OffsetDateTime;

use crate::cookie::{CookieKind, Cookies};
use crate::session::SessionId;
use crate::{
    Error, Login, MemorySessionStore, ProfileName, RedirectUri, Renewed, Session, SessionName,
    SessionStore, SessionStoreError,
};

/// The sessions of a product: where they are kept, how long they last, and the cookie that leads
/// to one.
///
/// The cookie, `__Host-entra_session`, holds 256 random bits and nothing else: no token, no name.
/// It is kept from scripts (`HttpOnly`), bound to https and to this host, and not sent along when
/// another site posts a form (`SameSite=Lax`).
///
/// ```
/// use entra_oidc::Sessions;
/// use std::time::Duration;
///
/// let sessions = Sessions::in_memory()
///     .with_lifetime(Duration::from_secs(12 * 60 * 60))
///     .with_idle_time(Duration::from_secs(30 * 60));
/// ```
#[derive(Clone, Debug)]
pub struct Sessions {
    store: Arc<dyn SessionStore>,
    index: Arc<dyn SessionIndex>,
    /// Whether the index is the host's.
    is_index_given: bool,
    clock: Arc<dyn Clock>,
    lifetime: Duration,
    idle_time: Duration,
    keeps_tokens: bool,
    is_secure: bool,
}

impl Sessions {
    /// Sessions that are kept here, on the system's clock, for eight hours at the most and one hour
    /// without use, without tokens. Which of them a sign-out at the provider ends, this process
    /// notes in its memory: products on several machines share an index
    /// ([`with_index`](Self::with_index)).
    pub fn new(store: Arc<dyn SessionStore>) -> Self {
        Self {
            store,
            index: Arc::new(MemorySessionIndex::new()),
            is_index_given: false,
            clock: Arc::new(SystemClock),
            lifetime: LIFETIME,
            idle_time: IDLE_TIME,
            keeps_tokens: false,
            is_secure: true,
        }
    }

    /// Sessions of this process, which end with it.
    pub fn in_memory() -> Self {
        Self::new(Arc::new(MemorySessionStore::new()))
    }

    /// Notes here which session came of which at the provider, so that a sign-out there ends it,
    /// whichever machine the provider tells.
    #[must_use]
    pub fn with_index(mut self, index: Arc<dyn SessionIndex>) -> Self {
        self.index = index;
        self.is_index_given = true;
        self
    }

    /// Takes the time from another clock.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        if !self.is_index_given {
            self.index = Arc::new(MemorySessionIndex::new().with_clock(Arc::clone(&clock)));
        }
        self.clock = clock;
        self
    }

    /// How long a session lasts at the most.
    #[must_use]
    pub fn with_lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// How long a session lasts without use.
    #[must_use]
    pub fn with_idle_time(mut self, idle_time: Duration) -> Self {
        self.idle_time = idle_time;
        self
    }

    /// Keeps the tokens of a login in its session, for a product that calls APIs in the user's name
    /// or renews sessions. They stay with the store; the browser has none.
    #[must_use]
    pub fn keeping_tokens(mut self) -> Self {
        self.keeps_tokens = true;
        self
    }

    /// At the site of this redirect URI: by https, or on `localhost` without it. The cookie has
    /// another name there, which a product that is reached by https never reads. The
    /// routes for axum see to that by themselves.
    #[must_use]
    pub fn at(mut self, redirect_uri: &RedirectUri) -> Self {
        self.is_secure = redirect_uri.is_https();
        self
    }

    /// Begins a session for a user who just signed in, always under a new id, and ends the one that
    /// this browser had (session fixation; OWASP ASVS 7.2.4). Answers the `Set-Cookie` value.
    ///
    /// # Errors
    /// [`SessionError`] where the session cannot be kept: the user is not signed in.
    pub async fn begin(
        &self,
        login: &Login,
        headers: &HeaderMap,
    ) -> Result<HeaderValue, SessionError> {
        let now = self.clock.now();
        let session = Session {
            user: login.user.clone(),
            profile: ProfileName::new(&login.user.profile().connection).unwrap_or_default(),
            created_on: now,
            signed_in_on: now,
            expires_on: add(now, self.lifetime),
            idle_until: add(now, self.idle_time),
            tokens: self.keeps_tokens.then(|| login.tokens.clone()),
        };
        let id = SessionId::generate()?;
        // The index first: a sign-out at the provider must find every session that there is.
        self.note(&id.name(), &session).await?;
        let cookie = self.cookie(&id, session.expires_on - now)?;
        self.store.insert(&id.name(), session, now).await?;
        if let Some(before) = self.id(headers) {
            self.end(&before.name()).await?;
        }
        Ok(cookie)
    }

    /// The session to which the cookie of a request leads, with its name.
    ///
    /// # Errors
    /// [`SessionStoreError`] where it cannot be told.
    pub async fn load(
        &self,
        headers: &HeaderMap,
    ) -> Result<Option<(SessionName, Session)>, SessionStoreError> {
        let Some(name) = self.id(headers).map(|id| id.name()) else {
            return Ok(None);
        };
        let Some(session) = self.store.load(&name).await? else {
            return Ok(None);
        };
        let now = self.clock.now();
        if session.has_ended(now) {
            return Ok(None);
        }
        let idle_until = add(now, self.idle_time);
        // Not for every request: the store may be a long way off.
        if idle_until - session.idle_until >= NOTED_EACH {
            self.store.touch(&name, idle_until, now).await?;
        }
        Ok(Some((name, session)))
    }

    /// Puts what a renewal says in the place of what a session holds, under a new id. None where
    /// the session ended meanwhile: it stays so.
    ///
    /// # Errors
    /// [`SessionError`] where it cannot be kept.
    pub async fn renew(
        &self,
        (name, session): (&SessionName, &Session),
        renewed: &Renewed,
    ) -> Result<Option<HeaderValue>, SessionError> {
        let now = self.clock.now();
        let next = Session {
            user: renewed.user.clone(),
            tokens: self.keeps_tokens.then(|| renewed.tokens.clone()),
            idle_until: add(now, self.idle_time),
            ..session.clone()
        };
        let id = SessionId::generate()?;
        self.note(&id.name(), &next).await?;
        let cookie = self.cookie(&id, next.expires_on - now)?;
        let new = (&id.name(), next.clone());
        let was_there = self.store.replace(name, new, now).await?;
        let gone = if was_there {
            (name, session)
        } else {
            (&id.name(), &next)
        };
        self.forget(gone.0, gone.1).await;
        Ok(was_there.then_some(cookie))
    }

    /// Ends a session, and says what it was.
    ///
    /// # Errors
    /// [`SessionStoreError`] where it may live on.
    pub async fn end(&self, name: &SessionName) -> Result<Option<Session>, SessionStoreError> {
        let session = self.store.remove(name).await?;
        if let Some(session) = &session {
            self.forget(name, session).await;
        }
        Ok(session)
    }

    /// Ends the sessions that came of one at the provider, which ended there; says how many.
    ///
    /// # Errors
    /// [`SessionError`] where some may live on.
    pub async fn end_by(&self, key: &SessionKey) -> Result<usize, SessionError> {
        let mut ended = 0;
        for name in self.index.take(key).await? {
            let name = SessionName::from_text(name);
            ended += usize::from(self.store.remove(&name).await?.is_some());
        }
        Ok(ended)
    }

    /// The `Set-Cookie` value that takes the cookie away.
    pub fn clear(&self) -> Option<HeaderValue> {
        let kind = self.cookie_kind();
        kind.clear(&kind.name(COOKIE))
    }

    #[cfg(feature = "axum")]
    pub(crate) fn now(&self) -> OffsetDateTime {
        self.clock.now()
    }

    /// The cookie's name.
    pub(crate) fn cookie_name(&self) -> String {
        self.cookie_kind().name(COOKIE)
    }

    fn id(&self, headers: &HeaderMap) -> Option<SessionId> {
        let cookies = Cookies::starting_with(headers, COOKIE);
        SessionId::parse(cookies.get(&self.cookie_name())?)
    }

    fn cookie(&self, id: &SessionId, lasts: time::Duration) -> Result<HeaderValue, SessionError> {
        let kind = self.cookie_kind();
        let seconds = lasts.whole_seconds().unsigned_abs();
        let cookie = kind.set(&kind.name(COOKIE), id.expose(), seconds);
        cookie.ok_or(SessionError::Login(Error::Seal(
            entra_core::SealError::Failed,
        )))
    }

    fn cookie_kind(&self) -> CookieKind {
        CookieKind {
            is_secure: self.is_secure,
            crosses_sites: false,
        }
    }

    async fn note(&self, name: &SessionName, session: &Session) -> Result<(), SessionIndexError> {
        if let Some(key) = key_of(session) {
            self.index
                .add(&key, name.as_str(), session.expires_on)
                .await?;
        }
        Ok(())
    }

    /// An entry that stays behind names a session that is not there: it does no harm.
    async fn forget(&self, name: &SessionName, session: &Session) {
        if let Some(key) = key_of(session)
            && let Err(error) = self.index.remove(&key, name.as_str()).await
        {
            tracing::warn!(%error, "the index of sessions keeps one that has ended");
        }
    }
}

/// Why a session is not begun, changed or ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// The store does not do what it should.
    #[error(transparent)]
    Store(#[from] SessionStoreError),
    /// The index does not do what it should.
    #[error(transparent)]
    Index(#[from] SessionIndexError),
    /// There is no id for it.
    #[error(transparent)]
    Login(#[from] Error),
}

/// The session at the provider of which it came.
fn key_of(session: &Session) -> Option<SessionKey> {
    let session_id = session.user.session_id()?;
    Some(SessionKey::new(session.profile.as_str(), session_id))
}

fn add(now: OffsetDateTime, duration: Duration) -> OffsetDateTime {
    let duration = time::Duration::try_from(duration).unwrap_or(time::Duration::MAX);
    now.saturating_add(duration)
}

const COOKIE: &str = "entra_session";
/// A working day, as OWASP's Session Management Cheat Sheet advises for office software.
const LIFETIME: Duration = Duration::from_secs(8 * 60 * 60);
const IDLE_TIME: Duration = Duration::from_secs(60 * 60);
const NOTED_EACH: time::Duration = time::Duration::minutes(1);
