//! Signing out: here, at the provider, and when the provider says so.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use entra_core::{Secret, SessionKey};
use http::header::{CACHE_CONTROL, LOCATION, ORIGIN, SET_COOKIE};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Uri};
use serde::{Deserialize, Serialize};
use url::{Url, form_urlencoded};

use crate::cookie::Cookies;
use crate::transaction::{LIFETIME, is_expired};
use crate::{EntraLogin, Error, ReturnTo, Tokens, User};

impl EntraLogin {
    /// Begins a sign-out at the provider, after the host has ended its own session (OpenID Connect
    /// RP-Initiated Logout 1.0). The browser comes back to the
    /// [post-logout redirect URI](crate::LoginOptions::with_post_logout_redirect_uri), if there is
    /// one, and goes on to `return_to`.
    ///
    /// None where the provider has no such endpoint.
    ///
    /// # Errors
    /// [`Error::Seal`] where the machine's cryptography fails.
    pub fn logout(
        &self,
        user: &User,
        tokens: Option<&Tokens>,
        return_to: &str,
    ) -> Result<Option<LogoutBegun>, Error> {
        let published = self.0.provider.published();
        let Some(endpoint) = &published.configuration.end_session_endpoint else {
            return Ok(None);
        };
        let mut location = endpoint.clone();
        let id_token = tokens.and_then(Tokens::id_token);
        let mut set_cookies = Vec::new();
        let mut query = location.query_pairs_mut();
        query.append_pair("client_id", &self.0.options.client.id());
        // Without a hint the user is asked which account to sign out. An ID token with two hundred
        // groups is longer than an address should be.
        let hint = user.login_hint().map(|hint| ("logout_hint", hint));
        let token = id_token.as_ref().map(Secret::expose);
        if let Some((name, value)) = hint.or_else(|| Some(("id_token_hint", token?))) {
            query.append_pair(name, value);
        }
        if let Some(uri) = &self.0.options.post_logout_redirect_uri {
            let state = Secret::generate().map_err(Error::Token)?;
            query.append_pair("post_logout_redirect_uri", uri);
            query.append_pair("state", state.expose());
            set_cookies.extend(self.keep_logout(&state, return_to)?);
        }
        drop(query);
        Ok(Some(LogoutBegun {
            location,
            set_cookies,
        }))
    }

    /// Finishes a sign-out: the browser is back from the provider. Says where it goes.
    ///
    /// # Errors
    /// [`LogoutRefusal::State`] where this browser has begun no sign-out with this `state`: nothing
    /// is to be done.
    pub fn finish_logout(
        &self,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Result<LogoutFinished, LogoutRefusal> {
        let name = self.logout_cookie();
        let cookies = Cookies::starting_with(headers, COOKIE);
        let sealed = cookies.get(&name).ok_or(LogoutRefusal::State)?;
        let sealed = URL_SAFE_NO_PAD.decode(sealed);
        let sealed = sealed.map_err(|_| LogoutRefusal::State)?;
        let opened = self
            .0
            .options
            .keys
            .open(PURPOSE, self.profile().as_str().as_bytes(), &sealed)
            .map_err(|_| LogoutRefusal::State)?;
        let pending: PendingLogout<'_> =
            serde_json::from_str(opened.expose()).map_err(|_| LogoutRefusal::State)?;
        let found = single(uri, "state").ok_or(LogoutRefusal::State)?;
        let is_expired = is_expired(pending.begun_on, self.now());
        if Secret::new(pending.state) != Secret::new(found) || is_expired {
            return Err(LogoutRefusal::State);
        }
        Ok(LogoutFinished {
            return_to: self.return_to(pending.return_to),
            set_cookies: self.cookie_kind().clear(&name).into_iter().collect(),
        })
    }

    /// Whose session ends when the provider calls the front-channel logout URL (OpenID Connect
    /// Front-Channel Logout 1.0): the key to take from the product's
    /// [`SessionIndex`](entra_core::SessionIndex).
    ///
    /// Entra sends `sid` and no `iss`, in a frame that carries no cookie; the path says which
    /// profile it is. Anybody may call it, so nothing but sessions of this `sid` ends, no token is
    /// revoked, and whatever comes is answered with 200 and `no-store`:
    /// [`front_channel_response`]. None where there is nothing to do.
    pub fn front_channel(&self, uri: &Uri) -> Option<SessionKey> {
        let session_id = single(uri, "sid")?;
        let published = self.0.provider.published();
        let is_issuer = |issuer: &String| published.rule.read(issuer).is_some();
        let issuers: Vec<_> = values(uri, "iss").collect();
        let is_ours = issuers.iter().all(is_issuer) && issuers.len() < 2;
        let can_be_one = (1..=MAX_SESSION_ID).contains(&session_id.len());
        (is_ours && can_be_one).then(|| SessionKey::new(self.profile().as_str(), session_id))
    }

    /// Whether a request to sign out comes from a page of the product: a POST of the same origin. A
    /// link on another site signs nobody out.
    ///
    /// # Errors
    /// [`LogoutRefusal::CrossSite`].
    pub fn check_sign_out(
        &self,
        method: &Method,
        headers: &HeaderMap,
    ) -> Result<(), LogoutRefusal> {
        if *method == Method::POST && self.is_same_origin(headers) {
            return Ok(());
        }
        Err(LogoutRefusal::CrossSite)
    }

    /// What browsers say of where a request comes from (Fetch Metadata; RFC 6454 7).
    fn is_same_origin(&self, headers: &HeaderMap) -> bool {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        if let Some(site) = text("sec-fetch-site") {
            return site == "same-origin";
        }
        let Some(origin) = text(ORIGIN.as_str()).and_then(|origin| Url::parse(origin).ok()) else {
            return false;
        };
        let own = Url::parse(self.redirect_uri().as_str());
        own.is_ok_and(|own| own.origin() == origin.origin())
    }

    fn keep_logout(&self, state: &Secret, return_to: &str) -> Result<Option<HeaderValue>, Error> {
        if !self.redirect_uri().has_cookies() {
            return Ok(None);
        }
        let return_to = self.return_to(return_to);
        let pending = PendingLogout {
            state: state.expose(),
            return_to: return_to.as_str(),
            begun_on: self.now().unix_timestamp(),
        };
        let sealing = Error::Seal(entra_core::SealError::Failed);
        let json = Secret::of_json(&pending).ok_or(sealing)?;
        let keys = &self.0.options.keys;
        let sealed = keys
            .seal(PURPOSE, self.profile().as_str().as_bytes(), &json)
            .map_err(Error::Seal)?;
        let value = URL_SAFE_NO_PAD.encode(sealed);
        let kind = self.cookie_kind();
        Ok(kind.set(&self.logout_cookie(), &value, LIFETIME.unsigned_abs()))
    }

    fn logout_cookie(&self) -> String {
        let name = format!("{COOKIE}{}", self.profile());
        self.cookie_kind().name(&name)
    }
}

/// The answer to a call of the front-channel logout URL, whatever was done.
pub fn front_channel_response() -> Response<()> {
    let mut response = Response::new(());
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A sign-out that was begun: send the browser to the provider, with the cookies.
pub struct LogoutBegun {
    location: Url,
    set_cookies: Vec<HeaderValue>,
}

impl LogoutBegun {
    /// Where the browser goes. It may hold an ID token, so it belongs in no log.
    pub fn location(&self) -> &Url {
        &self.location
    }

    /// The values of `Set-Cookie` headers.
    pub fn set_cookies(&self) -> &[HeaderValue] {
        &self.set_cookies
    }

    /// The answer to the browser.
    pub fn response(&self) -> Response<()> {
        redirect(self.location.as_str(), &self.set_cookies)
    }
}

impl fmt::Debug for LogoutBegun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogoutBegun")
            .field("host", &self.location.host_str())
            .finish_non_exhaustive()
    }
}

/// A sign-out from which the browser is back.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LogoutFinished {
    /// Where the browser goes.
    pub return_to: ReturnTo,
    /// The values of `Set-Cookie` headers.
    pub set_cookies: Vec<HeaderValue>,
}

/// Why a sign-out is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LogoutRefusal {
    /// The browser came back from a sign-out that was not begun here.
    #[error("the sign-out was not begun in this browser")]
    State,
    /// Another site asked for it.
    #[error("the sign-out was asked for by another site")]
    CrossSite,
    /// A logout token is refused (OpenID Connect Back-Channel Logout 1.0, section 2.6).
    #[error("the logout token is refused: {0}")]
    Token(&'static str),
}

impl LogoutRefusal {
    /// What an administrator can do about it.
    pub fn admin_hint(&self) -> &'static str {
        match self {
            Self::State => {
                "Nothing if it is rare: somebody came back a second time, or in another browser."
            }
            Self::CrossSite => {
                "A sign-out is a form that a page of the product posts. The request was no POST, or \
                 its Sec-Fetch-Site or Origin names another origin than that of the redirect URI, \
                 as behind a proxy that changes it."
            }
            Self::Token(_) => {
                "Compare the provider and the client id of the connection with those of the token."
            }
        }
    }
}

#[derive(Serialize, Deserialize)]
struct PendingLogout<'a> {
    state: &'a str,
    return_to: &'a str,
    begun_on: i64,
}

/// A redirect that nothing on the way keeps, after which a form is not sent again.
pub(crate) fn redirect(location: &str, set_cookies: &[HeaderValue]) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::SEE_OTHER;
    let headers = response.headers_mut();
    if let Ok(location) = HeaderValue::from_str(location) {
        headers.insert(LOCATION, location);
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    for cookie in set_cookies {
        headers.append(SET_COOKIE, cookie.clone());
    }
    response
}

fn values<'a>(uri: &'a Uri, name: &'static str) -> impl Iterator<Item = String> + 'a {
    let query = uri.query().unwrap_or_default().as_bytes();
    form_urlencoded::parse(query)
        .filter(move |(own, _)| own == name)
        .map(|(_, value)| value.into_owned())
}

/// A parameter that stands there once.
fn single(uri: &Uri, name: &'static str) -> Option<String> {
    let mut found = values(uri, name);
    match (found.next(), found.next()) {
        (Some(one), None) => Some(one),
        _ => None,
    }
}

pub(crate) const COOKIE: &str = "entra_logout_";
const PURPOSE: &str = "oidc pending logout v1";
/// Entra's are GUIDs.
const MAX_SESSION_ID: usize = 255;
