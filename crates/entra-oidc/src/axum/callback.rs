//! The redirect URI: where the browser comes back from the provider.

use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::response::Response;
use http::request::Parts;
use http::{HeaderMap, Method};

use super::logout::has_pending_sign_out;
use super::page::unknown_profile;
use super::paths::Named;
use super::request::{is_cross_site, original_uri, parameter};
use super::{WebLogin, empty, with_cookies};
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
    if parts.method == Method::GET && parts.uri.query() == Some(AGAIN) {
        return web.look_again(&parts.headers).await;
    }
    let Ok(body) = to_bytes(body, MOST_BYTES).await else {
        let error = CallbackRefusal::TooLarge { limit: MOST_BYTES }.into();
        return web.failed(None, &error, &web.login_path(None, None));
    };
    let uri = original_uri(&parts);
    let callback = Callback::from_parts(&parts.method, uri, &parts.headers, &body);
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
        if let Some(onward) = self
            .onward(&failed, login.as_ref(), return_to.as_ref(), parts)
            .await
        {
            return empty(redirect(&onward, failed.set_cookies()));
        }
        let try_again = self.login_path(login.as_ref(), return_to.as_ref().map(ReturnTo::as_str));
        let profile = login.as_ref().map(EntraLogin::profile);
        let page = self.failed(profile, failed.error(), &try_again);
        with_cookies(page, failed.set_cookies())
    }

    /// Where a browser goes on that sent its answer twice, and whom the first one has signed in: a
    /// double click, a way back to the provider's page. The second answer signs nobody in.
    async fn onward(
        &self,
        failed: &FailedLogin,
        login: Option<&EntraLogin>,
        return_to: Option<&ReturnTo>,
        parts: &Parts,
    ) -> Option<String> {
        let Error::Callback(refusal) = failed.error() else {
            return None;
        };
        // With a form from another site the browser keeps the session's cookie back.
        let is_blind = parts.method == Method::POST && is_cross_site(&parts.headers);
        match (refusal, login, return_to) {
            (CallbackRefusal::TransactionReplayed, Some(login), Some(return_to)) => {
                let is_ours = is_blind || self.has_session_of(login, &parts.headers).await;
                is_ours.then(|| return_to.as_str().to_owned())
            }
            // What was pending is gone: a GET of ours shows who is signed in.
            (CallbackRefusal::TransactionNotFound, ..) if is_blind => {
                Some(format!("{}?{AGAIN}", original_uri(parts).path()))
            }
            _ => None,
        }
    }

    /// The GET of a browser whose answer belongs to no pending login.
    async fn look_again(&self, headers: &HeaderMap) -> Response {
        match self.sessions().load(headers).await {
            Ok(Some(_)) => empty(redirect("/", &[])),
            Ok(None) => {
                let error = CallbackRefusal::TransactionNotFound.into();
                self.failed(None, &error, &self.login_path(None, None))
            }
            Err(error) => self.unavailable(&error),
        }
    }

    async fn has_session_of(&self, login: &EntraLogin, headers: &HeaderMap) -> bool {
        let session = self.sessions().load(headers).await;
        matches!(session, Ok(Some((_, session))) if session.profile == *login.profile())
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

/// A hybrid answer with two hundred groups in its ID token has a tenth of it.
const MOST_BYTES: usize = 128 << 10;
/// The query with which a browser is sent from a form to a GET.
const AGAIN: &str = "again";
