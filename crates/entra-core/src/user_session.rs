//! A user's session: access tokens for months from one sign-in, by a refresh token that rotates.

use std::borrow::Cow;
use std::fmt;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use crate::cached_tokens::{CachedTokens, TokenSource};
use crate::registration::Registration;
use crate::token::TokenData;
use crate::token_endpoint::{Effort, Grant, Issued};
use crate::{
    AccessToken, AuthorizationCode, CacheMetrics, Clock, Error, KeyRing, ObjectId, SealError,
    Secret, TenantId, TokenCredential, TokenRequest,
};

/// A signed-in user of one application. It yields access tokens and renews them by its refresh
/// token, which the service replaces each time (RFC 6749 6). A clone is cheap and shares all of it.
///
/// Keep it beyond the process by [`seal`](Self::seal), and keep it up to date by
/// [`with_keeper`](Self::with_keeper). When the session ends, by a new password or by an
/// administrator, the error says [`needs_user`](Error::needs_user).
#[derive(Clone, Debug)]
pub struct UserSession {
    inner: Arc<CachedTokens<SessionSource>>,
}

impl UserSession {
    /// A token for this request, which may name other scopes than the sign-in: the user's consent
    /// decides.
    pub async fn token(&self, request: &TokenRequest) -> Result<AccessToken, Error> {
        self.inner.token(request).await
    }

    /// Who signed in, where the service said so. It comes from the token endpoint over TLS, and is
    /// enough to tell accounts apart; a login needs the validated ID token.
    pub fn account(&self) -> Option<Account> {
        self.source().account
    }

    /// The latest ID token, of the sign-in or of a renewal, as it came: **not validated**. It is
    /// there for a validator.
    pub fn unverified_id_token(&self) -> Option<Secret> {
        self.source().id_token()
    }

    /// Whether it can be renewed. Without the scope `offline_access` it ends with its access token.
    pub fn has_refresh_token(&self) -> bool {
        self.source().refresh_token().is_some()
    }

    /// The session for the host's store, encrypted: nobody reads it without the key ring, and it
    /// opens for the same application in the same cloud alone.
    pub fn seal(&self, keys: &KeyRing) -> Result<SealedSession, SealError> {
        self.source().seal(keys)
    }

    /// Hands the sealed session to `keeper` each time the refresh token is replaced.
    ///
    /// Entra lets the old token live on for a while, so a keeper that fails once loses nothing:
    /// the failure is logged and the next renewal tries again.
    #[must_use]
    pub fn with_keeper(self, keys: KeyRing, keeper: Arc<dyn SessionKeeper>) -> Self {
        let source = self.source();
        let source = SessionSource {
            registration: Arc::clone(&source.registration),
            refresh: Mutex::new(source.refresh_token()),
            keeper: Some((keys, keeper)),
            account: source.account,
            id_token: Mutex::new(source.id_token()),
        };
        Self::with_source(source, &self.inner)
    }

    /// What the cache did.
    pub fn metrics(&self) -> CacheMetrics {
        self.inner.metrics()
    }

    pub(crate) async fn from_code(
        registration: &Arc<Registration>,
        code: &AuthorizationCode,
    ) -> Result<Self, Error> {
        let grant = Grant::AuthorizationCode {
            code: code.code(),
            redirect_uri: code.redirect_uri(),
            verifier: code.verifier(),
        };
        let request = code.request();
        let scope = if code.asks_exactly() {
            Cow::Owned(request.scope().to_owned())
        } else {
            login_scope(request)
        };
        let issued = registration
            .redeem(grant, request, scope, Effort::Full)
            .await?;
        Ok(Self::new(registration, request, issued))
    }

    pub(crate) fn new(
        registration: &Arc<Registration>,
        request: &TokenRequest,
        issued: Issued,
    ) -> Self {
        let source = SessionSource {
            registration: Arc::clone(registration),
            account: issued.client_info.as_deref().and_then(Account::read),
            refresh: Mutex::new(issued.refresh_token),
            id_token: Mutex::new(issued.id_token),
            keeper: None,
        };
        let tokens = CachedTokens::new(source, CAPACITY, None);
        tokens.insert(&request.without_claims(), Arc::new(issued.data));
        Self {
            inner: Arc::new(tokens),
        }
    }

    pub(crate) fn open(
        registration: &Arc<Registration>,
        keys: &KeyRing,
        sealed: &SealedSession,
    ) -> Result<Self, Error> {
        let text = keys
            .open(PURPOSE, &bound_to(registration), &sealed.0)
            .map_err(Error::Session)?;
        let stored: Stored<'_> = serde_json::from_str(text.expose())
            .map_err(|_| Error::Session(SealError::NotSealed))?;
        let source = SessionSource {
            registration: Arc::clone(registration),
            refresh: Mutex::new(Some(Secret::new(&*stored.refresh_token))),
            account: stored.account,
            id_token: Mutex::default(),
            keeper: None,
        };
        Ok(Self {
            inner: Arc::new(CachedTokens::new(source, CAPACITY, None)),
        })
    }

    fn source(&self) -> &SessionSource {
        self.inner.source()
    }

    /// The same tokens under another source.
    fn with_source(source: SessionSource, tokens: &CachedTokens<SessionSource>) -> Self {
        let next = CachedTokens::new(source, CAPACITY, None);
        tokens.hand_over(&next);
        Self {
            inner: Arc::new(next),
        }
    }
}

#[async_trait]
impl TokenCredential for UserSession {
    async fn token(&self, request: &TokenRequest) -> Result<AccessToken, Error> {
        Self::token(self, request).await
    }

    fn invalidate(&self, request: &TokenRequest, token: &AccessToken) {
        self.inner.invalidate(request, token);
    }
}

/// Keeps a session that changes: a row of the host's database.
#[async_trait]
pub trait SessionKeeper: Debug + Send + Sync {
    /// Puts this in the place of what was kept before.
    async fn keep(
        &self,
        session: &SealedSession,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>>;
}

/// An encrypted [`UserSession`]: safe to store, useless without its key ring.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedSession(Vec<u8>);

impl SealedSession {
    /// Takes the stored bytes over.
    pub fn from_bytes(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// The bytes to store.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Reads what [`to_base64`](Self::to_base64) wrote.
    pub fn from_base64(text: &str) -> Result<Self, SealError> {
        let bytes = STANDARD.decode(text.trim());
        bytes.map(Self).map_err(|_| SealError::NotSealed)
    }

    /// The bytes in Base64, for a column of text.
    pub fn to_base64(&self) -> String {
        STANDARD.encode(&self.0)
    }
}

impl Debug for SealedSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealedSession({} bytes)", self.0.len())
    }
}

/// An account at its home: the tenant where it lives, which for a guest is not the one that it
/// signed in to, and its object id there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Account {
    /// The account's object id in its home tenant.
    pub object_id: ObjectId,
    /// The home tenant.
    pub tenant_id: TenantId,
}

impl Account {
    /// Reads `client_info`: base64url of `{"uid":"…","utid":"…"}`.
    fn read(client_info: &str) -> Option<Self> {
        #[derive(Deserialize)]
        struct ClientInfo {
            uid: ObjectId,
            utid: TenantId,
        }

        let json = URL_SAFE_NO_PAD
            .decode(client_info.trim_end_matches('='))
            .ok()?;
        let ClientInfo { uid, utid } = serde_json::from_slice(&json).ok()?;
        Some(Self {
            object_id: uid,
            tenant_id: utid,
        })
    }
}

/// Tokens of one user, by the refresh token.
#[derive(Debug)]
struct SessionSource {
    registration: Arc<Registration>,
    refresh: Mutex<Option<Secret>>,
    keeper: Option<(KeyRing, Arc<dyn SessionKeeper>)>,
    account: Option<Account>,
    id_token: Mutex<Option<Secret>>,
}

impl SessionSource {
    fn refresh_token(&self) -> Option<Secret> {
        locked(&self.refresh).clone()
    }

    fn id_token(&self) -> Option<Secret> {
        locked(&self.id_token).clone()
    }

    /// Takes the next refresh token over and has it kept.
    async fn rotate(&self, next: Secret) {
        *locked(&self.refresh) = Some(next);
        let Some((keys, keeper)) = &self.keeper else {
            return;
        };
        let kept = match self.seal(keys) {
            Ok(sealed) => keeper.keep(&sealed).await,
            Err(error) => Err(error.into()),
        };
        if let Err(error) = kept {
            tracing::warn!(error = &*error, "the renewed session was not kept");
        }
    }

    fn seal(&self, keys: &KeyRing) -> Result<SealedSession, SealError> {
        let refresh_token = self.refresh_token().ok_or(SealError::NothingToSeal)?;
        let stored = Stored {
            refresh_token: Cow::Borrowed(refresh_token.expose()),
            account: self.account,
        };
        let secret = Secret::of_json(&stored).ok_or(SealError::Failed)?;
        keys.seal(PURPOSE, &bound_to(&self.registration), &secret)
            .map(SealedSession)
    }
}

impl TokenSource for SessionSource {
    fn clock(&self) -> &Arc<dyn Clock> {
        self.registration.pipeline().clock()
    }

    async fn fetch(&self, request: &TokenRequest, effort: Effort) -> Result<TokenData, Error> {
        let refresh_token = self.refresh_token().ok_or(Error::InvalidRequest(
            "the session has no refresh token; sign in with the scope offline_access",
        ))?;
        let grant = Grant::RefreshToken(&refresh_token);
        let issued = self
            .registration
            .redeem(grant, request, login_scope(request), effort)
            .await?;
        if let Some(id_token) = issued.id_token {
            *locked(&self.id_token) = Some(id_token);
        }
        if let Some(next) = issued.refresh_token {
            self.rotate(next).await;
        }
        Ok(issued.data)
    }

    fn generation(&self) -> u64 {
        self.registration.generation()
    }
}

/// What was left by a panic elsewhere is still good: it is replaced as a whole.
fn locked(secret: &Mutex<Option<Secret>>) -> MutexGuard<'_, Option<Secret>> {
    secret.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is sealed.
#[derive(Serialize, Deserialize)]
struct Stored<'a> {
    #[serde(borrow)]
    refresh_token: Cow<'a, str>,
    account: Option<Account>,
}

/// The scopes of a request with those that make a session: an ID token, the profile and a refresh
/// token (OpenID Connect Core 5.4 and 11).
pub(crate) fn login_scope(request: &TokenRequest) -> Cow<'static, str> {
    let mut scopes: Vec<&str> = request.scope().split(' ').collect();
    for needed in ["openid", "profile", "offline_access"] {
        if !scopes.contains(&needed) {
            scopes.push(needed);
        }
    }
    Cow::Owned(scopes.join(" "))
}

/// A session opens for the application at the authority that sealed it.
fn bound_to(registration: &Registration) -> Vec<u8> {
    let settings = registration.settings();
    let (cloud, tenant) = (settings.authority.cloud(), settings.authority.tenant());
    format!("{} {tenant} {}", cloud.login_url(), settings.client).into_bytes()
}

const PURPOSE: &str = "user-session";
/// A user's tokens: one for each API and claims challenge.
const CAPACITY: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_read_from_client_info() {
        let text = URL_SAFE_NO_PAD.encode(
            r#"{"uid":"00000000-0000-4000-8000-000000000001","utid":"00000000-0000-4000-8000-000000000002"}"#,
        );
        let account = Account::read(&text).unwrap();
        let id = "00000000-0000-4000-8000-000000000001";
        assert_eq!(account.object_id.to_string(), id);
        assert_eq!(Account::read("e30"), None);
        assert_eq!(Account::read("!"), None);
    }

    #[test]
    fn a_session_is_asked_for_with_the_scopes_that_make_one() {
        let scope = |scopes: &[&str]| login_scope(&TokenRequest::new(scopes.to_vec()));
        assert_eq!(
            scope(&["User.Read"]),
            "User.Read openid profile offline_access"
        );
        assert_eq!(scope(&["openid"]), "openid profile offline_access");
    }
}
