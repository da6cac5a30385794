//! An application that signs in as itself: cached tokens, one request per wanted token, refresh
//! ahead of the end.

use std::borrow::Cow;
use std::sync::Arc;

use async_trait::async_trait;

use crate::cached_tokens::{CachedTokens, TokenSource};
use crate::on_behalf_of::OnBehalfOf;
use crate::registration::{Registration, Settings};
use crate::secret::lower_hex;
use crate::token::TokenData;
use crate::token_endpoint::{Effort, Grant};
use crate::{
    AccessToken, AllowedTenants, Authority, AuthorizationCode, CacheMetrics, ClientCredential,
    ClientCredentials, ClientId, Clock, CredentialSource, Error, KeyRing, Pipeline, SealedSession,
    Secret, SharedTokens, TokenCredential, TokenRequest, UserSession,
};

/// An application with credentials of its own (RFC 6749 2.1), in one tenant or in many.
///
/// A clone is cheap and shares the cache. A cached token costs no lock. However many tasks ask
/// for the same missing token, one request is sent, and all share its outcome; if the task that
/// sends it is cancelled, the next one takes over. Different tokens never wait for each other.
///
/// ```
/// # async fn f(http: impl entra_core::HttpClient + 'static) -> Result<(), Box<dyn std::error::Error>> {
/// use entra_core::{
///     Authority, ClientCredential, ClientId, ClientSecret, Cloud, ConfidentialClient, Pipeline,
///     Tenant, TokenRequest,
/// };
///
/// let cloud = Cloud::public();
/// let client = ConfidentialClient::new(
///     Authority::new(cloud.clone(), Tenant::parse("contoso.onmicrosoft.com")?),
///     ClientId::parse("11111111-2222-4333-8444-555555555555")?,
///     ClientCredential::secret(ClientSecret::parse("Ab8Q~pasted-from-the-portal")?),
///     Pipeline::new(http),
/// )?;
/// let token = client.token(&TokenRequest::new([cloud.graph_scope()])).await?;
/// # Ok(()) }
/// ```
///
/// What is set with a `with_…` belongs to the returned value, which starts with an empty cache:
/// set a client up first, then hand clones out.
#[derive(Clone, Debug)]
pub struct ConfidentialClient {
    inner: Arc<CachedTokens<AppSource>>,
}

impl ConfidentialClient {
    /// A client with one credential, or several in the order in which to try them.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] for `consumers`, where no application of an organisation signs
    /// in. `common` and `organizations` do for users alone: a token for the application itself
    /// must then name a tenant.
    pub fn new(
        authority: Authority,
        client_id: ClientId,
        credentials: impl Into<ClientCredentials>,
        pipeline: Pipeline,
    ) -> Result<Self, Error> {
        if *authority.tenant() == crate::Tenant::Consumers {
            return Err(Error::InvalidRequest(
                "an application signs in as itself in one tenant, not in consumers",
            ));
        }
        let settings = Settings {
            authority,
            client: client_id,
            pipeline,
            credentials: Some(credentials.into()),
            source: None,
            tenants: AllowedTenants::Own,
            cae: false,
        };
        Ok(Self::assemble(settings, DEFAULT_CAPACITY, None))
    }

    /// Lets requests name these tenants beside the client's own.
    #[must_use]
    pub fn with_tenants(self, tenants: AllowedTenants) -> Self {
        self.with(|settings| settings.tenants = tenants)
    }

    /// Declares that whoever uses the tokens answers claims challenges, as [`Pipeline::send`] does
    /// (Continuous Access Evaluation, client capability `cp1`). Tokens then live about a day, and
    /// the service may end them at any moment.
    #[must_use]
    pub fn with_continuous_access_evaluation(self) -> Self {
        self.with(|settings| settings.cae = true)
    }

    /// Asks `source` for other credentials where all are refused: another process may have rotated
    /// them.
    #[must_use]
    pub fn with_credential_source(self, source: Arc<dyn CredentialSource>) -> Self {
        self.with(|settings| settings.source = Some(source))
    }

    /// Keeps at most this many tokens, two at least; 10,000 by default. The one that was not used
    /// for the longest time goes first.
    #[must_use]
    pub fn with_cache_capacity(self, tokens: usize) -> Self {
        Self::assemble(
            self.current_settings(),
            tokens,
            self.inner.shared().cloned(),
        )
    }

    /// Shares tokens with other processes. Losing the shared cache slows calls down and fails none.
    #[must_use]
    pub fn with_shared_tokens(self, shared: SharedTokens) -> Self {
        Self::assemble(self.current_settings(), self.inner.capacity(), Some(shared))
    }

    /// A token for this request, from the cache or from the token endpoint.
    ///
    /// While a token is valid nobody waits for its successor but the one caller that fetches it,
    /// or nobody at all where [`refresh_ahead`](Self::refresh_ahead) runs. If a new token cannot
    /// be had in one attempt, the old one is returned as long as it is valid, and the next attempt
    /// comes half a minute later.
    ///
    /// A refusal is remembered for as long as the service asks for, or for half a minute where
    /// somebody has to mend it first; other credentials, and a request that
    /// [bypasses the cache](TokenRequest::bypassing_cache), are tried at once.
    pub fn token<'a>(
        &'a self,
        request: &'a TokenRequest,
    ) -> impl Future<Output = Result<AccessToken, Error>> + Send + 'a {
        self.inner.token(request)
    }

    /// The cached token, if there is one that needs no refresh yet. It does no I/O and takes no
    /// lock.
    pub fn cached(&self, request: &TokenRequest) -> Option<AccessToken> {
        self.inner.cached(request)
    }

    /// Refreshes tokens before their callers have to wait for it, until `shutdown` ends. The host
    /// spawns it if it wants that; without it one caller refreshes.
    pub async fn refresh_ahead(&self, shutdown: impl Future<Output = ()> + Send) {
        self.inner.refresh_ahead(shutdown).await;
    }

    /// Tokens on behalf of the user whose access token for this application is given: what an API
    /// needs to call another API (RFC 7523 2.1; Microsoft Learn, "OAuth 2.0 On-Behalf-Of flow").
    ///
    /// The user's token must have been validated. Each user's tokens are kept apart by the hash of
    /// that token.
    pub fn on_behalf_of(&self, user_token: Secret) -> OnBehalfOf {
        OnBehalfOf::new(self.clone(), user_token)
    }

    /// Redeems the code that a user's browser brought back; see
    /// [`AuthorizationRequest`](crate::AuthorizationRequest). A code is good for one attempt.
    pub async fn redeem_code(&self, code: &AuthorizationCode) -> Result<UserSession, Error> {
        UserSession::from_code(self.registration(), code).await
    }

    /// Goes on with a user's session that [`UserSession::seal`] put away.
    pub fn open_session(
        &self,
        keys: &KeyRing,
        sealed: &SealedSession,
    ) -> Result<UserSession, Error> {
        UserSession::open(self.registration(), keys, sealed)
    }

    /// Works with these credentials from now on. Tokens that are valid stay; what was refused with
    /// the old credentials is tried again at once.
    pub fn replace_credentials(&self, credentials: impl Into<ClientCredentials>) {
        self.registration().replace_credentials(credentials.into());
    }

    /// Signs in with `credential` alone, which need not be one of the client's, and keeps nothing:
    /// whether a new credential is known to the service yet.
    pub async fn check_credential(
        &self,
        credential: &ClientCredential,
        request: &TokenRequest,
    ) -> Result<AccessToken, Error> {
        let issued = self.registration().redeem_with(credential, request).await?;
        Ok(AccessToken::shared(Arc::new(issued.data)))
    }

    /// Where it signs in.
    pub fn authority(&self) -> &Authority {
        &self.settings().authority
    }

    /// The application.
    pub fn client_id(&self) -> &ClientId {
        &self.settings().client
    }

    /// The credential that is tried first: the one that was accepted last, or the first.
    pub fn credential(&self) -> ClientCredential {
        let in_use = self.registration().in_use();
        let clock = self.pipeline().clock();
        in_use.first(clock.monotonic(), clock.now()).clone()
    }

    /// All its credentials.
    pub fn credentials(&self) -> ClientCredentials {
        self.registration().in_use().set.clone()
    }

    /// The pipeline through which it asks for tokens.
    pub fn pipeline(&self) -> &Pipeline {
        &self.settings().pipeline
    }

    /// What the service's clock is ahead of this machine's, as its last answer told. Zero before
    /// the first answer.
    pub fn clock_offset(&self) -> time::Duration {
        self.registration().clock_offset()
    }

    /// What the cache did.
    pub fn metrics(&self) -> CacheMetrics {
        self.inner.metrics()
    }

    pub(crate) fn registration(&self) -> &Arc<Registration> {
        &self.inner.source().registration
    }

    pub(crate) fn invalidate(&self, request: &TokenRequest, token: &AccessToken) {
        self.inner.invalidate(request, token);
    }

    fn settings(&self) -> &Settings {
        self.registration().settings()
    }

    fn with(self, change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = self.current_settings();
        change(&mut settings);
        let shared = self.inner.shared().cloned();
        Self::assemble(settings, self.inner.capacity(), shared)
    }

    fn current_settings(&self) -> Settings {
        Settings {
            credentials: Some(self.credentials()),
            ..self.settings().clone()
        }
    }

    fn assemble(settings: Settings, capacity: usize, shared: Option<SharedTokens>) -> Self {
        let registration = Arc::new(Registration::new(settings));
        let source = AppSource { registration };
        Self {
            inner: Arc::new(CachedTokens::new(source, capacity, shared)),
        }
    }
}

#[async_trait]
impl TokenCredential for ConfidentialClient {
    async fn token(&self, request: &TokenRequest) -> Result<AccessToken, Error> {
        Self::token(self, request).await
    }

    fn invalidate(&self, request: &TokenRequest, token: &AccessToken) {
        Self::invalidate(self, request, token);
    }
}

/// Tokens of the application itself, or of a user on whose behalf it acts.
#[derive(Debug)]
struct AppSource {
    registration: Arc<Registration>,
}

impl TokenSource for AppSource {
    fn clock(&self) -> &Arc<dyn Clock> {
        self.registration.pipeline().clock()
    }

    async fn fetch(&self, request: &TokenRequest, effort: Effort) -> Result<TokenData, Error> {
        let grant = match request.user() {
            None => Grant::ClientCredentials,
            Some(user) => Grant::OnBehalfOf(user.token().ok_or(Error::InvalidRequest(
                "the user's token is not at hand any more",
            ))?),
        };
        let scope = Cow::Borrowed(request.scope());
        let issued = self
            .registration
            .redeem(grant, request, scope, effort)
            .await?;
        Ok(issued.data)
    }

    fn clock_offset(&self) -> time::Duration {
        self.registration.clock_offset()
    }

    fn admit(&self, request: &TokenRequest) -> Result<(), Error> {
        if request.scope().is_empty() {
            return Err(Error::InvalidRequest("the request names no scope"));
        }
        let authority = self.registration.authority_of(request)?;
        if authority.tenant().is_single() {
            return Ok(());
        }
        Err(Error::InvalidRequest(
            "an application signs in as itself in one tenant, not in common, organizations or consumers",
        ))
    }

    fn generation(&self) -> u64 {
        self.registration.generation()
    }

    fn owner(&self, request: &TokenRequest) -> Option<Vec<String>> {
        let user = request.user().map(|user| lower_hex(user.hash()));
        let user = user.unwrap_or_default();
        self.registration.owner(request, user)
    }
}

/// About 30 megabytes of tokens.
const DEFAULT_CAPACITY: usize = 10_000;
