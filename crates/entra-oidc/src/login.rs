//! The login: begun, finished, renewed.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use entra_core::{
    ConfidentialClient, Groups, KeyRing, LinkOffer, MemoryOneTimeStore, OneTimeError, OneTimeKey,
    OneTimeStore, Pipeline, Pkce, Provisioned, SealedSession, Secret,
};
use http::HeaderValue;
use time::OffsetDateTime;
use url::Url;

use crate::callback::{Answer, Place};
use crate::cookie::CookieKind;
use crate::options::{LoginOptions, ResponseMode};
use crate::provider::{Provider, Published};
use crate::relying_party::{RelyingParty, Tokens};
use crate::transaction::{HANDLE, LIFETIME, Sealed, Transaction, cookie_name, read};
use crate::{
    AuthContext, Begin, Begun, Callback, CallbackRefusal, Error, ExpectedLogin, ExpectedNonce,
    IdTokenValidator, PendingLogin, ProfileName, RedirectUri, ReturnTo, User, VerifiedIdToken,
};

/// OpenID Connect login of one profile: one application, one authority, one redirect URI.
///
/// A clone is cheap and shares everything. It keeps no state between [`begin`](Self::begin) and
/// [`finish`](Self::finish): what is pending travels sealed with the browser or the client, so that
/// any machine of the product may finish what another one began.
///
/// ```
/// # async fn f(http: impl entra_core::HttpClient + 'static, options: entra_oidc::LoginOptions, request: http::Request<Vec<u8>>) -> Result<(), Box<dyn std::error::Error>> {
/// use entra_core::Pipeline;
/// use entra_oidc::{Begin, Callback, EntraLogin};
///
/// let login = EntraLogin::connect(options, Pipeline::new(http)).await?;
///
/// // GET /login: off to the provider, with a cookie.
/// let begun = login.begin(Begin::to("/vault").with_cookies_of(request.headers()))?;
/// let response = begun.response();
///
/// // GET or POST of the redirect URI.
/// let (parts, body) = request.into_parts();
/// let callback = Callback::from_parts(&parts.method, &parts.uri, &parts.headers, &body);
/// match login.finish(&callback).await {
///     Ok(done) => println!("{} goes to {}", done.user.key(), done.return_to.as_str()),
///     Err(failed) => println!("{} {}", failed.error().http_status(), failed.error().user_message()),
/// }
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct EntraLogin(pub(crate) Arc<Inner>);

impl EntraLogin {
    /// Reads the provider's configuration and keys, and fails where they are not those of the
    /// authority.
    ///
    /// # Errors
    /// [`Error::Options`] for a web client of Entra without a credential; [`Error::Discovery`] and
    /// [`Error::Keys`] where the provider does not answer or is another one.
    pub async fn connect(options: LoginOptions, pipeline: Pipeline) -> Result<Self, Error> {
        options.check_credential()?;
        let id = options.client.id();
        let provider = Provider::connect(options.authority.clone(), &id, pipeline).await?;
        let used = options.used.clone().unwrap_or_else(|| {
            let clock = Arc::clone(provider.pipeline().clock());
            Arc::new(MemoryOneTimeStore::new().with_clock(clock))
        });
        Self::assemble(options, provider, used)
    }

    /// The same application with another redirect URI: its native app, its browser extension.
    /// What was read of the provider is shared.
    ///
    /// # Errors
    /// [`OptionsError::NoCredential`](crate::OptionsError::NoCredential) for a web client of an application that has none.
    pub fn with_redirect_uri(&self, redirect_uri: RedirectUri) -> Result<Self, Error> {
        let mut options = self.0.options.clone();
        if !redirect_uri.takes_forms() {
            options.response_mode = ResponseMode::Query;
            options.is_hybrid = false;
        }
        options.redirect_uri = redirect_uri;
        Self::assemble(options, self.0.provider.clone(), Arc::clone(&self.0.used))
    }

    /// Begins a login. It does no I/O.
    ///
    /// # Errors
    /// [`Error::Options`] for wishes that exclude each other.
    pub fn begin(&self, begin: Begin) -> Result<Begun, Error> {
        begin.check()?;
        let published = self.0.provider.published();
        let fresh = |error| Error::Token(error);
        let (state, nonce) = (
            Secret::generate().map_err(fresh)?,
            Secret::generate().map_err(fresh)?,
        );
        let pkce = Pkce::generate().map_err(fresh)?;
        let scope = self.scope(&begin);
        let pending = Transaction {
            state: state.expose().into(),
            nonce: nonce.expose().into(),
            verifier: pkce.verifier().expose().into(),
            issuer: published.configuration.issuer.clone(),
            redirect_uri: self.0.options.redirect_uri.as_str().to_owned(),
            response_mode: self.0.options.response_mode,
            return_to: self.return_to(&begin.return_to).as_str().to_owned(),
            begun_on: self.now().unix_timestamp(),
            user: begin.user.clone(),
            required_account: begin
                .is_account_required
                .then(|| begin.login_hint.clone())
                .flatten(),
            auth_contexts: begin.auth_contexts.clone(),
            max_age: begin.max_age.map(|age| age.as_secs()),
            scope: scope.clone(),
        };
        let location = self.location(&published, &begin, &pending, &pkce)?;
        let (set_cookies, handle) = self.keep(&pending, &begin)?;
        Ok(Begun {
            location,
            set_cookies,
            handle,
        })
    }

    /// Begins a step-up: the same user once more, with an authentication context of Conditional
    /// Access, a second factor for example. Another user who comes back is refused.
    ///
    /// What the context asks for is for the tenant's administrator to say: while no policy is
    /// assigned to it, Entra issues it to everybody (Microsoft Learn, "Developer guide to
    /// Conditional Access authentication context"). entra-graph has a probe that warns of that.
    /// [`Begin::with_max_age`] asks for a fresh sign-in besides.
    ///
    /// # Errors
    /// As [`begin`](Self::begin).
    pub fn step_up(&self, user: &User, context: AuthContext, begin: Begin) -> Result<Begun, Error> {
        self.begin(begin.with_user(user).with_auth_context(context))
    }

    /// Finishes a login: redeems the code, validates the ID token, and says who signed in.
    ///
    /// Whatever the outcome is, the pending login is over: send the cookies that it says.
    ///
    /// # Errors
    /// [`FailedLogin`], whose [`error`](FailedLogin::error) says which check refused it, with which
    /// status to answer and what to show.
    pub async fn finish(&self, callback: &Callback) -> Result<Login, FailedLogin> {
        self.0.provider.refresh_if_due().await;
        let set_cookies = self.clear(callback);
        match Box::pin(self.try_finish(callback)).await {
            Ok(done) => Ok(Login {
                set_cookies,
                ..done
            }),
            Err(error) => {
                tracing::info!(
                    profile = self.profile().as_str(),
                    %error,
                    "a login was not finished"
                );
                Err(FailedLogin { error, set_cookies })
            }
        }
    }

    /// The name of the profile.
    pub fn profile(&self) -> &ProfileName {
        &self.0.options.profile
    }

    /// Where the browser comes back to.
    pub fn redirect_uri(&self) -> &RedirectUri {
        &self.0.options.redirect_uri
    }

    /// The application at Entra, to call APIs on behalf of users or to replace its credentials.
    /// None for a client on a device and at other providers.
    pub fn application(&self) -> Option<&ConfidentialClient> {
        match &self.0.party {
            RelyingParty::Confidential(client) => Some(client),
            RelyingParty::Public(_) | RelyingParty::Generic(_) => None,
        }
    }

    /// The tokens of a session at Entra that was kept sealed
    /// ([`UserSession::seal`](entra_core::UserSession::seal)) since a login here, for
    /// [`refresh`](Self::refresh) and [`logout`](Self::logout).
    ///
    /// # Errors
    /// [`Error::Token`] where it does not open: the user signs in again. [`Error::NoRefreshToken`]
    /// at a provider that is not Entra.
    pub fn open_session(&self, keys: &KeyRing, sealed: &SealedSession) -> Result<Tokens, Error> {
        let scope = self.scope(&Begin::to("/"));
        self.0.party.open_session(keys, sealed, scope)
    }

    /// Renews the provider's keys and configuration ahead of every login, until `shutdown` ends.
    /// The host spawns it if it wants that; without it a login does so now and then.
    pub async fn refresh_ahead(&self, shutdown: impl Future<Output = ()> + Send) {
        self.0.provider.refresh_until(shutdown).await;
    }

    pub(crate) fn now(&self) -> OffsetDateTime {
        self.0.provider.pipeline().clock().now()
    }

    fn assemble(
        options: LoginOptions,
        provider: Provider,
        used: Arc<dyn OneTimeStore>,
    ) -> Result<Self, Error> {
        let published = provider.published();
        let pipeline = provider.pipeline().clone();
        let party = RelyingParty::new(&options, &published.rule, pipeline)?;
        let validator = IdTokenValidator::new(
            provider.clone(),
            &options.client.id(),
            options.rules.clone(),
        );
        Ok(Self(Arc::new(Inner {
            options,
            provider,
            party,
            validator,
            used,
        })))
    }

    /// The authorization request (OpenID Connect Core 3.1.2.1).
    fn location(
        &self,
        published: &Published,
        begin: &Begin,
        pending: &Transaction<'_>,
        pkce: &Pkce,
    ) -> Result<Url, Error> {
        let options = &self.0.options;
        let claims = begin.claims_request()?;
        let mut url = published.configuration.authorization_endpoint.clone();
        let mut query = url.query_pairs_mut();
        query
            .append_pair("client_id", &options.client.id())
            .append_pair("response_type", options.response_type())
            .append_pair("redirect_uri", &pending.redirect_uri)
            .append_pair("response_mode", options.response_mode.as_str())
            .append_pair("scope", &pending.scope)
            .append_pair("state", &pending.state)
            .append_pair("nonce", &pending.nonce)
            .append_pair("code_challenge", &pkce.challenge())
            .append_pair("code_challenge_method", "S256");
        let max_age = pending.max_age.map(|age| age.to_string());
        for (name, value) in [
            ("prompt", begin.prompt.map(|prompt| prompt.as_str())),
            ("login_hint", begin.login_hint.as_deref()),
            ("domain_hint", begin.domain_hint.as_deref()),
            ("ui_locales", begin.ui_locales.as_deref()),
            ("max_age", max_age.as_deref()),
            ("claims", claims.as_deref()),
        ] {
            if let Some(value) = value {
                query.append_pair(name, value);
            }
        }
        drop(query);
        Ok(url)
    }

    /// Where the pending login is kept: in a cookie, or with the client.
    fn keep(
        &self,
        pending: &Transaction<'_>,
        begin: &Begin,
    ) -> Result<(Vec<HeaderValue>, Option<PendingLogin>), Error> {
        let options = &self.0.options;
        let seal = |place: &str| {
            pending
                .seal(&options.keys, &options.profile, place)
                .map_err(Error::Seal)
        };
        if !options.redirect_uri.has_cookies() {
            return Ok((Vec::new(), Some(PendingLogin(seal(HANDLE)?))));
        }
        let kind = self.cookie_kind();
        let name = kind.name(&cookie_name(&pending.state));
        let sealed = seal(&name)?;
        let mut headers = self.make_room(begin, sealed.as_str().len());
        headers.extend(kind.set(&name, sealed.as_str(), LIFETIME.unsigned_abs()));
        Ok((headers, None))
    }

    /// Takes the oldest pending logins away, so that five are left and their cookies fit into a
    /// request.
    fn make_room(&self, begin: &Begin, size: usize) -> Vec<HeaderValue> {
        let mut pending: Vec<_> = begin
            .cookies
            .iter()
            .map(|(name, value)| (self.begun_on(name, value), name, value.len()))
            .collect();
        pending.sort_by_key(|(begun_on, ..)| std::cmp::Reverse(*begun_on));
        let mut left = MOST_BYTES.saturating_sub(size);
        let mut is_full = false;
        let mut gone = Vec::new();
        for (place, (begun_on, name, size)) in pending.into_iter().enumerate() {
            is_full = is_full || begun_on.is_none() || place + 1 >= MOST_PENDING || size > left;
            if is_full {
                gone.extend(self.cookie_kind().clear(name));
            } else {
                left -= size;
            }
        }
        gone
    }

    /// When a pending login was begun, whichever profile it is of; nothing where it is none.
    fn begun_on(&self, name: &str, value: &str) -> Option<i64> {
        let sealed = Sealed::from_text(value);
        let profile = sealed.claimed_profile()?;
        let opened = sealed.open(&self.0.options.keys, &profile, name).ok()?;
        let begun_on = read(&opened).ok()?.begun_on;
        Some(begun_on)
    }

    /// Takes the cookie of this login away, if there is one.
    fn clear(&self, callback: &Callback) -> Vec<HeaderValue> {
        let kind = self.cookie_kind();
        let state = callback
            .answer
            .as_ref()
            .ok()
            .and_then(|answer| answer.filled("state"));
        let name = state.map(|state| kind.name(&cookie_name(state)));
        let name = name.filter(|name| callback.cookies.get(name).is_some());
        name.and_then(|name| kind.clear(&name))
            .into_iter()
            .collect()
    }

    async fn try_finish(&self, callback: &Callback) -> Result<Login, Error> {
        let published = self.0.provider.published();
        // 1. It can be read, and no parameter stands there twice (RFC 6749 3.1).
        let answer = callback.answer.as_ref().map_err(Clone::clone)?;
        // 2. It has a state (RFC 6749 10.12).
        let state = answer
            .filled("state")
            .ok_or(CallbackRefusal::StateMissing)?;
        // 3. This browser, or this client, has a pending login, of this profile, that opens.
        let opened = self.pending(callback, state)?;
        let pending = read(&opened)?;
        // 4. It is the one of this state.
        check_state(&pending, state)?;
        // 5. It is not older than ten minutes.
        self.check_age(&pending)?;
        // 6. It was begun here: with this issuer and redirect URI, to which the answer came.
        self.check_place(&pending, &published)?;
        check_arrival(&pending, callback)?;
        // 7. The answer came the way that was asked for.
        check_mode(&pending, answer, callback)?;
        // 8. Nobody has finished it before.
        self.use_up(&pending).await?;
        // 9. It is from the issuer that was asked (RFC 9207 2.4).
        self.check_issuer(answer, &published)?;
        // 10. Nothing came that was not asked for.
        self.check_parameters(answer)?;
        // 11. It is a code, or the provider's refusal (OpenID Connect Core 3.1.2.6), and not both.
        let code = code_of(answer)?;
        // 12. In a hybrid flow the ID token beside the code is valid and binds the code (OpenID
        //     Connect Core 3.3.2).
        let front = self.validate_front(answer, &pending, code).await?;
        // 13. The token endpoint takes the code, with the verifier and this redirect URI.
        let tokens = self
            .0
            .party
            .redeem(&published.configuration, code, &pending)
            .await?;
        // 14. Its ID token is valid (OpenID Connect Core 3.1.3.7).
        let token = self.validate(&tokens, &pending).await?;
        // 15. Both ID tokens are about the same user (OpenID Connect Core 3.3.3.6).
        check_pair(front.as_ref(), &token)?;
        // 16. It is the user who was expected, if somebody was.
        let user = token.user(self.profile().as_str());
        check_user(&pending, &user)?;
        // 17. Groups that were left out are read.
        let user = self.with_groups(user).await;
        // 18. The product has an account for the user, or makes one.
        let account = self.provision(&user).await?;
        Ok(Login {
            user,
            account,
            return_to: self.return_to(&pending.return_to),
            tokens,
            set_cookies: Vec::new(),
        })
    }

    fn pending(&self, callback: &Callback, state: &str) -> Result<Secret, CallbackRefusal> {
        let options = &self.0.options;
        if let Some(handle) = &callback.handle {
            return handle.0.open(&options.keys, &options.profile, HANDLE);
        }
        let name = self.cookie_kind().name(&cookie_name(state));
        let sealed = callback
            .cookies
            .get(&name)
            .ok_or(CallbackRefusal::TransactionNotFound)?;
        Sealed::from_text(sealed).open(&options.keys, &options.profile, &name)
    }

    fn check_age(&self, pending: &Transaction<'_>) -> Result<(), CallbackRefusal> {
        if pending.is_expired(self.now()) {
            return Err(CallbackRefusal::TransactionExpired);
        }
        Ok(())
    }

    fn check_place(
        &self,
        pending: &Transaction<'_>,
        published: &Published,
    ) -> Result<(), CallbackRefusal> {
        let redirect_uri = &self.0.options.redirect_uri;
        let is_here = pending.redirect_uri == redirect_uri.as_str()
            || redirect_uri.is_loopback_of(&pending.redirect_uri);
        if !is_here || pending.issuer != published.configuration.issuer {
            return Err(CallbackRefusal::TransactionInvalid);
        }
        Ok(())
    }

    async fn use_up(&self, pending: &Transaction<'_>) -> Result<(), Error> {
        let key = OneTimeKey::new(
            "oidc pending login",
            [self.profile().as_str(), &*pending.state],
        );
        // As long as it could be brought again, whatever the clocks of the machines say.
        let until = self
            .now()
            .saturating_add(time::Duration::seconds(2 * LIFETIME));
        match self.0.used.insert_once(&key, until).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(CallbackRefusal::TransactionReplayed.into()),
            // Whoever fills the memory of this machine must not keep everybody out: the provider
            // takes each code once in any case. A store that the host set is one to rely on.
            Err(OneTimeError::Full { .. }) if self.0.options.used.is_none() => {
                tracing::warn!("too many logins end at once to remember which ones did");
                Ok(())
            }
            Err(error) => Err(Error::OneTime(Arc::new(error))),
        }
    }

    fn check_issuer(&self, answer: &Answer, published: &Published) -> Result<(), CallbackRefusal> {
        let configuration = &published.configuration;
        match answer.get("iss") {
            Some(issuer) if issuer == configuration.issuer => Ok(()),
            Some(_) => Err(CallbackRefusal::Issuer),
            // An ID token beside the code carries it (RFC 9207 2.4).
            None if configuration.authorization_response_iss_parameter_supported
                && answer.get("id_token").is_none() =>
            {
                Err(CallbackRefusal::IssuerMissing)
            }
            None => Ok(()),
        }
    }

    fn check_parameters(&self, answer: &Answer) -> Result<(), CallbackRefusal> {
        let asked_for = self.0.options.is_hybrid;
        for name in ["id_token", "access_token", "response"] {
            let is_expected = asked_for && name == "id_token";
            if answer.get(name).is_some() && !is_expected {
                return Err(CallbackRefusal::UnexpectedParameter(name));
            }
        }
        Ok(())
    }

    async fn validate_front(
        &self,
        answer: &Answer,
        pending: &Transaction<'_>,
        code: &str,
    ) -> Result<Option<VerifiedIdToken>, Error> {
        if !self.0.options.is_hybrid {
            return Ok(None);
        }
        let token = answer.filled("id_token").ok_or(Error::IdTokenMissing)?;
        let expected = ExpectedLogin {
            code: Some(code),
            state: Some(&pending.state),
            ..expected_login(pending)
        };
        let validator = &self.0.validator;
        validator
            .validate(token, &expected, self.now())
            .await
            .map(Some)
    }

    async fn validate(
        &self,
        tokens: &Tokens,
        pending: &Transaction<'_>,
    ) -> Result<VerifiedIdToken, Error> {
        let token = tokens.id_token().ok_or(Error::IdTokenMissing)?;
        let access_token = tokens.login_access_token().await?;
        let expected = ExpectedLogin {
            access_token: Some(access_token.expose()),
            ..expected_login(pending)
        };
        let validator = &self.0.validator;
        validator
            .validate(token.expose(), &expected, self.now())
            .await
    }

    /// Reads the groups that the token left out. A failure keeps nobody out: it is said.
    pub(crate) async fn with_groups(&self, user: User) -> User {
        let (Groups::Overage, Some(resolver)) = (user.groups(), &self.0.options.groups) else {
            return user;
        };
        let groups = match resolver.groups(user.key()).await {
            Ok(groups) => Groups::Complete(groups),
            Err(error) => {
                tracing::warn!(%error, "the groups of a user could not be read");
                Groups::Unavailable
            }
        };
        user.with_groups(groups)
    }

    async fn provision(&self, user: &User) -> Result<Option<Provisioned>, Error> {
        let Some(provisioner) = &self.0.options.provisioner else {
            return Ok(None);
        };
        let provisioned = provisioner.provision(user.profile()).await;
        match provisioned.map_err(|error| Error::Provisioner(Arc::new(error)))? {
            Provisioned::Refused { reason } => Err(Error::AccountRefused { reason }),
            Provisioned::LinkRequired(account) => {
                let offer = LinkOffer::new(user.profile().clone(), account, self.now());
                Err(Error::LinkRequired(Box::new(offer.map_err(Error::Token)?)))
            }
            done => Ok(Some(done)),
        }
    }

    pub(crate) fn return_to(&self, text: &str) -> ReturnTo {
        ReturnTo::parse_within(text, &self.0.options.return_origins).unwrap_or_else(|error| {
            tracing::warn!(%error, "the start page was taken in the place of a return URL");
            ReturnTo::default()
        })
    }

    fn scope(&self, begin: &Begin) -> String {
        let mut scopes: Vec<&str> = Vec::new();
        for scope in self.0.options.scopes.iter().chain(&begin.scopes) {
            if !scopes.contains(&scope.as_str()) {
                scopes.push(scope);
            }
        }
        scopes.join(" ")
    }

    pub(crate) fn cookie_kind(&self) -> CookieKind {
        CookieKind {
            is_secure: self.0.options.redirect_uri.is_https(),
            crosses_sites: self.0.options.response_mode == ResponseMode::FormPost,
        }
    }
}

impl fmt::Debug for EntraLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EntraLogin")
            .field("profile", self.profile())
            .field("provider", &self.0.provider)
            .field("redirect_uri", &self.0.options.redirect_uri)
            .finish_non_exhaustive()
    }
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) options: LoginOptions,
    pub(crate) provider: Provider,
    pub(crate) party: RelyingParty,
    pub(crate) validator: IdTokenValidator,
    pub(crate) used: Arc<dyn OneTimeStore>,
}

/// A login that was finished.
#[derive(Debug)]
#[non_exhaustive]
pub struct Login {
    /// Who signed in. A host gives the browser a session under a new name now, whatever it had
    /// before (session fixation, OWASP ASVS 7.2).
    pub user: User,
    /// What became of the product's account, where a provisioner is set.
    pub account: Option<Provisioned>,
    /// Where to send the browser: by 303, so that a form is not sent once more (RFC 9700 4.12).
    pub return_to: ReturnTo,
    /// The tokens, for a product that calls APIs. Another one drops them.
    pub tokens: Tokens,
    /// The values of `Set-Cookie` headers that take the pending login away.
    pub set_cookies: Vec<HeaderValue>,
}

/// A login that was not finished, and the cookies to send along.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct FailedLogin {
    error: Error,
    set_cookies: Vec<HeaderValue>,
}

impl FailedLogin {
    /// Why.
    pub fn error(&self) -> &Error {
        &self.error
    }

    /// Why.
    pub fn into_error(self) -> Error {
        self.error
    }

    /// The values of `Set-Cookie` headers that take the pending login away.
    pub fn set_cookies(&self) -> &[HeaderValue] {
        &self.set_cookies
    }
}

/// A login that found no profile leaves the cookies as they are.
impl From<Error> for FailedLogin {
    fn from(error: Error) -> Self {
        Self {
            error,
            set_cookies: Vec::new(),
        }
    }
}

fn check_state(pending: &Transaction<'_>, state: &str) -> Result<(), CallbackRefusal> {
    // In a time that depends on the lengths alone.
    if Secret::new(&*pending.state) != Secret::new(state) {
        return Err(CallbackRefusal::TransactionNotFound);
    }
    Ok(())
}

/// A client that says where it was called was called there for this login (RFC 8252 8.10). The
/// path at a web server is the router's; where several profiles meet,
/// [`Profiles`](crate::Profiles) looks at it.
fn check_arrival(pending: &Transaction<'_>, callback: &Callback) -> Result<(), CallbackRefusal> {
    let is_client = matches!(callback.place, Place::Uri(_));
    if is_client && !callback.place.can_be(&pending.redirect_uri) {
        return Err(CallbackRefusal::Place);
    }
    Ok(())
}

fn check_mode(
    pending: &Transaction<'_>,
    answer: &Answer,
    callback: &Callback,
) -> Result<(), CallbackRefusal> {
    // A client hands over what it was given, whichever way that came.
    if callback.handle.is_none() && pending.response_mode != answer.mode {
        return Err(CallbackRefusal::ResponseMode);
    }
    Ok(())
}

fn code_of(answer: &Answer) -> Result<&str, Error> {
    match (answer.provider_error(), answer.get("code")) {
        (Some(_), Some(_)) => Err(CallbackRefusal::Malformed("both a code and an error").into()),
        (Some(error), None) => Err(error.into()),
        (None, Some(code)) if !code.is_empty() => Ok(code),
        (None, _) => Err(CallbackRefusal::CodeMissing.into()),
    }
}

fn expected_login<'a>(pending: &'a Transaction<'a>) -> ExpectedLogin<'a> {
    ExpectedLogin {
        max_age: pending.max_age.map(Duration::from_secs),
        auth_contexts: &pending.auth_contexts,
        ..ExpectedLogin::new(ExpectedNonce::Is(&pending.nonce))
    }
}

fn check_pair(front: Option<&VerifiedIdToken>, token: &VerifiedIdToken) -> Result<(), Error> {
    let Some(front) = front else {
        return Ok(());
    };
    for (claim, is_same) in [
        ("iss", front.issuer() == token.issuer()),
        ("sub", front.subject() == token.subject()),
        ("the user", front.key() == token.key()),
    ] {
        if !is_same {
            return Err(Error::TokenPair(claim));
        }
    }
    Ok(())
}

fn check_user(pending: &Transaction<'_>, user: &User) -> Result<(), Error> {
    if pending
        .user
        .as_ref()
        .is_some_and(|expected| expected != user.key())
    {
        return Err(Error::UserChanged);
    }
    let Some(required) = &pending.required_account else {
        return Ok(());
    };
    let names = [user.profile().user_name.as_deref(), user.login_hint()];
    let is_required = |name: &&str| name.eq_ignore_ascii_case(required);
    match names.into_iter().flatten().find(is_required) {
        Some(_) => Ok(()),
        None => Err(Error::WrongAccount),
    }
}

impl LoginOptions {
    fn response_type(&self) -> &'static str {
        if self.is_hybrid {
            "code id_token"
        } else {
            "code"
        }
    }
}

/// How many logins of one browser may be pending, and how large their cookies may be together.
const MOST_PENDING: usize = 5;
const MOST_BYTES: usize = 7 << 10;
