//! How a login begins: what the host wishes, and the request that is made of it (OpenID Connect
//! Core 3.1.2.1).

use std::fmt;
use std::time::Duration;

use entra_core::UserKey;
use http::{HeaderMap, HeaderValue, Response};
use serde_json::{Map, Value, json};
use url::Url;

use crate::cookie::Cookies;
use crate::logout::redirect;
use crate::transaction::{Sealed, pending_cookies};
use crate::{AuthContext, OptionsError, User};

/// What a host wishes of one login.
///
/// ```
/// use entra_oidc::{Begin, Prompt};
///
/// let begin = Begin::to("/vault").with_prompt(Prompt::SelectAccount);
/// ```
#[derive(Clone, Debug)]
pub struct Begin {
    pub(crate) return_to: String,
    pub(crate) prompt: Option<Prompt>,
    pub(crate) login_hint: Option<String>,
    pub(crate) is_account_required: bool,
    pub(crate) domain_hint: Option<String>,
    pub(crate) ui_locales: Option<String>,
    pub(crate) max_age: Option<Duration>,
    pub(crate) auth_contexts: Vec<AuthContext>,
    pub(crate) claims: Option<String>,
    pub(crate) scopes: Vec<String>,
    pub(crate) user: Option<UserKey>,
    pub(crate) cookies: Cookies,
}

impl Begin {
    /// A login after which the user goes to this place in the product. What leads elsewhere is
    /// logged, and the start page taken in its place ([`ReturnTo`](crate::ReturnTo)).
    pub fn to(return_to: &str) -> Self {
        Self {
            return_to: return_to.to_owned(),
            prompt: None,
            login_hint: None,
            is_account_required: false,
            domain_hint: None,
            ui_locales: None,
            max_age: None,
            auth_contexts: Vec::new(),
            claims: None,
            scopes: Vec::new(),
            user: None,
            cookies: Cookies::default(),
        }
    }

    /// The headers of the browser's request, in which pending logins are found: five are kept, and
    /// the oldest make room.
    #[must_use]
    pub fn with_cookies_of(mut self, headers: &HeaderMap) -> Self {
        self.cookies = pending_cookies(headers);
        self
    }

    /// Which pages the user sees.
    #[must_use]
    pub fn with_prompt(mut self, prompt: Prompt) -> Self {
        self.prompt = Some(prompt);
        self
    }

    /// Proposes an account: a user name, or what an earlier login said ([`User::login_hint`]).
    #[must_use]
    pub fn with_login_hint(mut self, hint: impl Into<String>) -> Self {
        self.login_hint = Some(hint.into());
        self
    }

    /// Proposes an account and takes no other one:
    /// [`Error::WrongAccount`](crate::Error::WrongAccount). It is compared with the name that the
    /// user's directory gives, which is no identity: to have a certain user come back, take
    /// [`with_user`](Self::with_user).
    #[must_use]
    pub fn with_required_account(mut self, user_name: impl Into<String>) -> Self {
        self.login_hint = Some(user_name.into());
        self.is_account_required = true;
        self
    }

    /// Where the account lives, to skip the page that asks: `organizations`, `consumers` or a
    /// domain (`domain_hint`).
    #[must_use]
    pub fn with_domain_hint(mut self, domain: impl Into<String>) -> Self {
        self.domain_hint = Some(domain.into());
        self
    }

    /// In which languages the pages should be, as BCP 47 tags with spaces between (`ui_locales`).
    #[must_use]
    pub fn with_ui_locales(mut self, locales: impl Into<String>) -> Self {
        self.ui_locales = Some(locales.into());
        self
    }

    /// Asks the user to sign in again unless that was done within this time (`max_age`), and
    /// checks it by `auth_time`, which an application of Entra has to ask for as an optional
    /// claim.
    #[must_use]
    pub fn with_max_age(mut self, age: Duration) -> Self {
        self.max_age = Some(age);
        self
    }

    /// Asks for an authentication context of Conditional Access and refuses an answer without it:
    /// the way to a second factor that can be checked, once a policy is assigned to the context
    /// ([`EntraLogin::step_up`](crate::EntraLogin::step_up)). `amr`, which says something like it,
    /// is not in ID tokens of version 2.0.
    #[must_use]
    pub fn with_auth_context(mut self, context: AuthContext) -> Self {
        if !self.auth_contexts.contains(&context) {
            self.auth_contexts.push(context);
        }
        self
    }

    /// Passes a claims request on (OpenID Connect Core 5.5) that an API or the provider asked for:
    /// [`Error::claims`](crate::Error::claims).
    #[must_use]
    pub fn with_claims(mut self, claims: impl Into<String>) -> Self {
        self.claims = Some(claims.into());
        self
    }

    /// Asks for further scopes in this login.
    #[must_use]
    pub fn with_scopes<T: Into<String>>(mut self, scopes: impl IntoIterator<Item = T>) -> Self {
        self.scopes.extend(scopes.into_iter().map(Into::into));
        self
    }

    /// Takes this user alone, who is signed in already:
    /// [`Error::UserChanged`](crate::Error::UserChanged). It proposes the account as well.
    #[must_use]
    pub fn with_user(mut self, user: &User) -> Self {
        self.user = Some(user.key().clone());
        if self.login_hint.is_none() {
            let hint = user.login_hint().map(str::to_owned);
            self.login_hint = hint.or_else(|| user.profile().user_name.clone());
        }
        self
    }

    /// The claims request: what was asked for, with the authentication contexts in it.
    pub(crate) fn claims_request(&self) -> Result<Option<String>, OptionsError> {
        let mut request: Map<String, Value> = match &self.claims {
            Some(claims) => serde_json::from_str(claims).map_err(|_| OptionsError::Claims)?,
            None => Map::new(),
        };
        if let Some(acrs) = self.acrs() {
            let id_token = request.entry("id_token").or_insert_with(|| json!({}));
            let id_token = id_token.as_object_mut().ok_or(OptionsError::Claims)?;
            id_token.insert("acrs".to_owned(), acrs);
        }
        Ok((!request.is_empty()).then(|| Value::Object(request).to_string()))
    }

    /// Microsoft Learn, "Developer guide to Conditional Access authentication context".
    fn acrs(&self) -> Option<Value> {
        match self.auth_contexts.as_slice() {
            [] => None,
            [one] => Some(json!({"essential": true, "value": one})),
            several => Some(json!({"essential": true, "values": several})),
        }
    }

    pub(crate) fn check(&self) -> Result<(), OptionsError> {
        match (self.prompt, &self.login_hint) {
            (Some(Prompt::SelectAccount), Some(_)) => Err(OptionsError::HintWithSelectAccount),
            _ => Ok(()),
        }
    }
}

/// Which pages the user sees (`prompt`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Prompt {
    /// None: who is not signed in, or has to do something, is refused
    /// ([`ProviderError::needs_interaction`](crate::ProviderError::needs_interaction)).
    None,
    /// The password again.
    Login,
    /// What the product may do.
    Consent,
    /// Which account. It does not go with a proposed one.
    SelectAccount,
    /// A new account, at an External ID tenant.
    Create,
}

impl Prompt {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Login => "login",
            Self::Consent => "consent",
            Self::SelectAccount => "select_account",
            Self::Create => "create",
        }
    }
}

/// A login that was begun: send the browser to [`location`](Self::location), with the cookies.
pub struct Begun {
    pub(crate) location: Url,
    pub(crate) set_cookies: Vec<HeaderValue>,
    pub(crate) handle: Option<PendingLogin>,
}

impl Begun {
    /// Where the browser goes.
    pub fn location(&self) -> &Url {
        &self.location
    }

    /// The values of `Set-Cookie` headers, each a header of its own. None for a client without
    /// cookies.
    pub fn set_cookies(&self) -> &[HeaderValue] {
        &self.set_cookies
    }

    /// What a client without cookies keeps until the browser is back: a native app, a phone, a
    /// browser extension. None for a web client.
    pub fn handle(&self) -> Option<&PendingLogin> {
        self.handle.as_ref()
    }

    /// The answer to the browser: a redirect with the cookies, which nothing on the way keeps.
    pub fn response(&self) -> Response<()> {
        redirect(self.location.as_str(), &self.set_cookies)
    }
}

impl fmt::Debug for Begun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Begun")
            .field("host", &self.location.host_str())
            .field("cookies", &self.set_cookies.len())
            .field("handle", &self.handle)
            .finish_non_exhaustive()
    }
}

/// A pending login that a client keeps by itself, sealed. It is worth nothing without the answer
/// that the browser brings, and is a secret all the same.
#[derive(Clone, PartialEq, Eq)]
pub struct PendingLogin(pub(crate) Sealed);

impl PendingLogin {
    /// Takes the kept text over.
    pub fn from_text(text: &str) -> Self {
        Self(Sealed::from_text(text))
    }

    /// The text to keep: letters, digits, `.`, `-` and `_`.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Debug for PendingLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PendingLogin([redacted])")
    }
}
