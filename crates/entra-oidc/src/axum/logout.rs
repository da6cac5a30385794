//! Signing out: asked for by a page of the product, and by the provider.

use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::response::Response;
use http::header::SET_COOKIE;
use http::request::Parts;
use http::{HeaderMap, StatusCode, Uri};
use url::form_urlencoded;

use super::paths::Named;
use super::request::{parameter, with_query};
use super::{WebLogin, empty, with_cookies};
use crate::cookie::Cookies;
use crate::logout::{COOKIE, redirect};
use crate::page::Page;
use crate::{EntraLogin, LogoutFinished, LogoutRefusal, ReturnTo, Session, front_channel_response};

/// POST: ends the session here, then at the provider.
pub(super) async fn begin(State(web): State<WebLogin>, parts: Parts) -> Response {
    let session = match web.sessions().load(&parts.headers).await {
        Ok(session) => session,
        Err(error) => return web.unavailable(&error),
    };
    let profile = session.as_ref().map(|(_, session)| &session.profile);
    let login = match profile {
        Some(profile) => web.profiles().by_name(profile.as_str()),
        None => None,
    };
    // Without a session any profile knows what this site is.
    let asked = login.clone().or_else(|| web.profiles().all().pop());
    let checked = asked
        .ok_or(LogoutRefusal::CrossSite)
        .and_then(|asked| asked.check_sign_out(&parts.method, &parts.headers));
    if let Err(refusal) = checked {
        return web.failed(profile, &refusal.into(), &web.login_path(None, None));
    }
    let Some((name, session)) = session else {
        return empty(redirect(&web.after_sign_out(None, &parts.uri), &[]));
    };
    if let Err(error) = web.sessions().end(&name).await {
        return web.unavailable(&error);
    }
    web.sign_out_at_provider(login.as_ref(), &session, &parts.uri)
}

/// GET: the browser is back from a sign-out at the provider, or somebody looks.
pub(super) async fn signed_out(
    State(web): State<WebLogin>,
    named: Named,
    parts: Parts,
) -> Response {
    let is_back = match has_pending_sign_out(&parts.headers) {
        true => true,
        // Whoever loads the page once more has signed out already.
        false => parameter(&parts.uri, "state").is_some() && web.has_session(&parts.headers).await,
    };
    if is_back {
        return web.back_from_sign_out(&named, &parts.uri, &parts.headers);
    }
    signed_out_page(&web, web.login_of(&named).as_ref())
}

/// GET, by the provider, in a frame without cookies (OpenID Connect Front-Channel Logout 1.0). It
/// is answered in the same way whatever was done.
pub(super) async fn front_channel(
    State(web): State<WebLogin>,
    named: Named,
    parts: Parts,
) -> Response {
    let login = web.login_of(&named);
    if let Some(key) = login.and_then(|login| login.front_channel(&parts.uri)) {
        match web.sessions().end_by(&key).await {
            Ok(ended) => tracing::info!(profile = key.connection(), ended, "signed out elsewhere"),
            Err(error) => tracing::error!(
                profile = key.connection(),
                %error,
                "a sign-out at the provider may have left sessions here"
            ),
        }
    }
    empty(front_channel_response())
}

/// POST, by the provider's server (OpenID Connect Back-Channel Logout 1.0, sections 2.5 to 2.8). A
/// token that names no session is refused: which sessions a user has, nobody notes.
pub(super) async fn back_channel(
    State(web): State<WebLogin>,
    named: Named,
    request: Request,
) -> Response {
    let Some(login) = web.login_of(&named) else {
        return answer(StatusCode::NOT_FOUND);
    };
    let Ok(body) = to_bytes(request.into_body(), MOST_BYTES).await else {
        return answer(StatusCode::PAYLOAD_TOO_LARGE);
    };
    let token = form_urlencoded::parse(&body).find(|(name, _)| name == "logout_token");
    let Some((_, token)) = token else {
        return answer(StatusCode::BAD_REQUEST);
    };
    let key = match login.back_channel(&token).await {
        Ok(ended) => ended.session,
        Err(error) => {
            let error = entra_core::error_chain(&error);
            tracing::warn!(
                profile = login.profile().as_str(),
                error,
                "a logout token is refused"
            );
            return answer(StatusCode::BAD_REQUEST);
        }
    };
    let Some(key) = key else {
        return answer(StatusCode::BAD_REQUEST);
    };
    match web.sessions().end_by(&key).await {
        Ok(ended) => {
            tracing::info!(profile = key.connection(), ended, "signed out elsewhere");
            answer(StatusCode::OK)
        }
        Err(error) => {
            tracing::error!(profile = key.connection(), %error, "sessions may be left here");
            answer(StatusCode::INTERNAL_SERVER_ERROR)
        }
    }
}

impl WebLogin {
    async fn has_session(&self, headers: &HeaderMap) -> bool {
        !matches!(self.sessions().load(headers).await, Ok(None))
    }

    /// Finishes the sign-out that this browser has begun.
    pub(super) fn back_from_sign_out(
        &self,
        named: &Named,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Response {
        let logins = match self.login_of(named) {
            Some(login) => vec![login],
            None => self.profiles().all(),
        };
        let finish = |login: EntraLogin| {
            let finished = login.finish_logout(uri, headers).ok()?;
            Some((login, finished))
        };
        match logins.into_iter().find_map(finish) {
            Some((login, finished)) => self.say_goodbye(&login, &finished),
            None => {
                let error = LogoutRefusal::State.into();
                self.failed(None, &error, &self.login_path(None, None))
            }
        }
    }

    fn say_goodbye(&self, login: &EntraLogin, finished: &LogoutFinished) -> Response {
        let return_to = finished.return_to.as_str();
        if return_to != self.signed_out_path(Some(login)) {
            return empty(redirect(return_to, &finished.set_cookies));
        }
        with_cookies(signed_out_page(self, Some(login)), &finished.set_cookies)
    }

    /// The session is over here. What the provider does about its own is no reason to keep it.
    fn sign_out_at_provider(
        &self,
        login: Option<&EntraLogin>,
        session: &Session,
        uri: &Uri,
    ) -> Response {
        let after = self.after_sign_out(login, uri);
        let begun = login.map(|login| login.logout(&session.user, session.tokens.as_ref(), &after));
        let mut response = match begun {
            Some(Ok(Some(begun))) => empty(begun.response()),
            None | Some(Ok(None)) => empty(redirect(&after, &[])),
            Some(Err(error)) => {
                let again = self.login_path(login, None);
                self.failed(login.map(EntraLogin::profile), &error, &again)
            }
        };
        if let Some(cookie) = self.sessions().clear() {
            response.headers_mut().append(SET_COOKIE, cookie);
        }
        response
    }

    /// Where the browser goes in the end: where the page asked for, or to a page that says so.
    fn after_sign_out(&self, login: Option<&EntraLogin>, uri: &Uri) -> String {
        let asked = parameter(uri, "return_to");
        let asked = asked.and_then(|path| ReturnTo::parse(&path).ok());
        asked.map_or_else(
            || self.signed_out_path(login),
            |path| path.as_str().to_owned(),
        )
    }

    fn signed_out_path(&self, login: Option<&EntraLogin>) -> String {
        self.path(login, "signed-out")
    }

    /// Where a login begins that ends at `return_to`.
    pub(super) fn login_path(&self, login: Option<&EntraLogin>, return_to: Option<&str>) -> String {
        let parameters = return_to.map(|return_to| ("return_to", return_to));
        with_query(&self.path(login, "login"), parameters)
    }

    /// The route of this name, for one profile or for all.
    fn path(&self, login: Option<&EntraLogin>, name: &str) -> String {
        match login {
            Some(login) => self.0.paths.of_profile(login.profile(), name),
            None => self.0.paths.plain(name),
        }
    }

    /// The profile of a route: the one in its path, or the only one that there can be.
    pub(super) fn login_of(&self, named: &Named) -> Option<EntraLogin> {
        match &named.0 {
            Some(name) => self.profiles().by_name(name),
            None if self.0.paths.is_of_one() => self.profiles().all().pop(),
            None => None,
        }
    }
}

/// Whether this browser has a sign-out pending.
pub(super) fn has_pending_sign_out(headers: &HeaderMap) -> bool {
    let cookies = Cookies::starting_with(headers, COOKIE);
    cookies.iter().next().is_some()
}

/// An answer to the provider's server, which nothing on the way keeps.
fn answer(status: StatusCode) -> Response {
    let mut response = empty(front_channel_response());
    *response.status_mut() = status;
    response
}

fn signed_out_page(web: &WebLogin, login: Option<&EntraLogin>) -> Response {
    Page::new(StatusCode::OK, "You have signed out")
        .with_text("Close the window if others use this computer.")
        .with_link("Sign in again", &web.login_path(login, None))
        .answer()
}

/// A logout token has a kilobyte.
const MOST_BYTES: usize = 64 << 10;
