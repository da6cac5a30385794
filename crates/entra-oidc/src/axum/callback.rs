//! The redirect URI: where the browser comes back from the provider.

use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::response::Response;
use http::header::SET_COOKIE;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method};

use super::logout::has_pending_sign_out;
use super::page::unknown_profile;
use super::paths::Named;
use super::request::{is_cross_site, parameter};
use super::{WebLogin, empty};
use crate::logout::redirect;
use crate::transaction::{Sealed, cookie_name, read};
use crate::{Callback, CallbackRefusal, EntraLogin, Error, FailedLogin, Login, ReturnTo};

/// GET and POST.
pub(super) async fn finish(
    State(web): State<WebLogin>,
    named: Named,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    if is_from_sign_out(&parts) {
        return web.back_from_sign_out(&named, &parts.uri, &parts.headers);
    }
    let Ok(body) = to_bytes(body, MOST_BYTES).await else {
        let error = CallbackRefusal::TooLarge { limit: MOST_BYTES }.into();
        return web.failed(None, &error, &web.login_path(None, None));
    };
    let callback = Callback::from_parts(&parts.method, &parts.uri, &parts.headers, &body);
    let login = web.login_of(&named);
    let done = match (&login, &named.0) {
        (Some(login), _) => login.finish(&callback).await,
        (None, None) => web.profiles().finish(&callback).await,
        (None, Some(_)) => return unknown_profile(),
    };
    match done {
        Ok(done) => web.welcome(done, &parts.headers).await,
        Err(failed) => {
            let pending = web.pending(login.as_ref(), &callback);
            web.turn_away(failed, pending, &parts).await
        }
    }
}

impl WebLogin {
    /// The user is signed in: a new session, and on to where they wanted to go, by 303, so that a
    /// form with a code is not sent on (RFC 9700 4.12).
    async fn welcome(&self, done: Login, headers: &HeaderMap) -> Response {
        let cookie = match self.sessions().begin(&done, headers).await {
            Ok(cookie) => cookie,
            Err(error) => return with_cookies(self.unavailable(&error), &done.set_cookies),
        };
        let mut cookies = done.set_cookies;
        cookies.push(cookie);
        empty(redirect(done.return_to.as_str(), &cookies))
    }

    async fn turn_away(
        &self,
        failed: FailedLogin,
        pending: Option<(EntraLogin, ReturnTo)>,
        parts: &Parts,
    ) -> Response {
        let (login, return_to) = pending.unzip();
        if is_replay(failed.error())
            && let (Some(login), Some(return_to)) = (&login, &return_to)
            && self.was_sent_twice(login, parts).await
        {
            return empty(redirect(return_to.as_str(), failed.set_cookies()));
        }
        let try_again = self.login_path(login.as_ref(), return_to.as_ref().map(ReturnTo::as_str));
        let profile = login.as_ref().map(EntraLogin::profile);
        let page = self.failed(profile, failed.error(), &try_again);
        with_cookies(page, failed.set_cookies())
    }

    /// Whether an answer came a second time because a browser sent it twice: its first one has
    /// signed the user in. Where the provider's page posted a form the browser keeps the session's
    /// cookie back, so that cannot be seen; the browser holds the pending login itself, and the
    /// page to which it goes asks for a session.
    async fn was_sent_twice(&self, login: &EntraLogin, parts: &Parts) -> bool {
        let session = self.sessions().load(&parts.headers).await;
        match session {
            Ok(Some((_, session))) => session.profile == *login.profile(),
            Ok(None) => parts.method == Method::POST && is_cross_site(&parts.headers),
            Err(_) => false,
        }
    }

    /// The login that this browser has pending with the `state` of an answer, and where it was to
    /// end.
    fn pending(
        &self,
        login: Option<&EntraLogin>,
        callback: &Callback,
    ) -> Option<(EntraLogin, ReturnTo)> {
        let logins = match login {
            Some(login) => vec![login.clone()],
            None => self.profiles().all(),
        };
        logins.into_iter().find_map(|login| {
            let return_to = login.pending_return_to(callback)?;
            Some((login, return_to))
        })
    }
}

impl EntraLogin {
    fn pending_return_to(&self, callback: &Callback) -> Option<ReturnTo> {
        let options = &self.0.options;
        let state = callback.answer.as_ref().ok()?.filled("state")?;
        let name = self.cookie_kind().name(&cookie_name(state));
        let sealed = Sealed::from_text(callback.cookies.get(&name)?);
        let opened = sealed.open(&options.keys, &options.profile, &name).ok()?;
        let return_to = read(&opened).ok()?.return_to;
        ReturnTo::parse_within(&return_to, &options.return_origins).ok()
    }
}

fn is_replay(error: &Error) -> bool {
    matches!(error, Error::Callback(CallbackRefusal::TransactionReplayed))
}

/// Where the post-logout redirect URI is the redirect URI itself: what comes has a `state` of ours
/// and nothing else, and this browser has a sign-out pending.
fn is_from_sign_out(parts: &Parts) -> bool {
    let has = |name| parameter(&parts.uri, name).is_some();
    parts.method == Method::GET
        && has("state")
        && !has("code")
        && !has("error")
        && has_pending_sign_out(&parts.headers)
}

fn with_cookies(mut response: Response, cookies: &[HeaderValue]) -> Response {
    for cookie in cookies {
        response.headers_mut().append(SET_COOKIE, cookie.clone());
    }
    response
}

/// A hybrid answer with two hundred groups in its ID token has a tenth of it.
const MOST_BYTES: usize = 128 << 10;
