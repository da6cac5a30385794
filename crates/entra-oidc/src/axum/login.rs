//! The route at which a login begins.

use axum::extract::State;
use axum::response::Response;
use http::header::HOST;
use http::request::Parts;
use http::{HeaderMap, StatusCode, Uri};
use url::Url;

use super::page::unknown_profile;
use super::paths::Named;
use super::request::parameter;
use super::{WebLogin, empty};
use crate::page::Page;
use crate::{AuthContext, Begin, EntraLogin, OptionsError, Prompt, ReturnTo};

/// GET: off to the provider, with a cookie.
pub(super) async fn begin(State(web): State<WebLogin>, named: Named, parts: Parts) -> Response {
    let login = match web.choose(&named, &parts.uri, &parts.headers) {
        Choice::Found(login) => login,
        Choice::Ask => return web.ask_for_user_name(&parts.uri),
        Choice::Unknown => return unknown_profile(),
    };
    let mut begin = begin_of(&login, &parts.uri);
    if let Some(context) = parameter(&parts.uri, "auth_context")
        && let Ok(context) = AuthContext::parse(&context)
    {
        begin = begin.with_auth_context(context);
        // Somebody who is signed in stays who they are.
        match web.sessions().load(&parts.headers).await {
            Ok(Some((_, session))) if session.profile == *login.profile() => {
                begin = begin.with_user(&session.user);
            }
            Ok(_) => {}
            Err(error) => return web.unavailable(&error),
        }
    }
    web.leave(&login, begin.with_cookies_of(&parts.headers))
}

/// Which profile a login is for.
enum Choice {
    Found(EntraLogin),
    /// It depends on the user.
    Ask,
    /// One that is not there.
    Unknown,
}

impl WebLogin {
    /// Sends the browser to the provider.
    pub(super) fn leave(&self, login: &EntraLogin, begin: Begin) -> Response {
        let return_to = begin.return_to.clone();
        let begun = if self.0.paths.serves_callback_of(login) {
            login.begin(begin)
        } else {
            // The user would come back to a page that is not there.
            Err(OptionsError::NoCallbackPath.into())
        };
        match begun {
            Ok(begun) => empty(begun.response()),
            Err(error) => {
                let try_again = self.login_path(Some(login), Some(&return_to));
                self.failed(Some(login.profile()), &error, &try_again)
            }
        }
    }

    fn choose(&self, named: &Named, uri: &Uri, headers: &HeaderMap) -> Choice {
        let profiles = self.profiles();
        let name = named.0.clone().or_else(|| parameter(uri, "profile"));
        let issuer = parameter(uri, "iss");
        if let Some(name) = name {
            let found = profiles.by_name(&name);
            let found = found.filter(|login| issuer.is_none_or(|issuer| login.is_of(&issuer)));
            return found.map_or(Choice::Unknown, Choice::Found);
        }
        if let Some(issuer) = issuer {
            let found = profiles
                .all()
                .into_iter()
                .find(|login| login.is_of(&issuer));
            return found.map_or(Choice::Unknown, Choice::Found);
        }
        let hint = parameter(uri, "login_hint");
        let host = headers.get(HOST).and_then(|host| host.to_str().ok());
        let found = hint
            .and_then(|hint| profiles.by_user_name(&hint))
            .or_else(|| profiles.by_host(host?));
        match (found, profiles.all().as_slice()) {
            (Some(login), _) => Choice::Found(login),
            (None, [one]) => Choice::Found(one.clone()),
            (None, []) => Choice::Unknown,
            (None, _) => Choice::Ask,
        }
    }

    /// Where somebody works is asked, and not shown as a list: who the product's customers are is
    /// nobody's business.
    fn ask_for_user_name(&self, uri: &Uri) -> Response {
        let return_to = parameter(uri, "return_to");
        let hidden: Vec<_> = return_to
            .as_deref()
            .map(|return_to| ("return_to", return_to))
            .into_iter()
            .collect();
        let mut page = Page::new(StatusCode::OK, "Sign in");
        if parameter(uri, "login_hint").is_some() {
            page = page.with_text("Nobody signs in here with this name.");
        }
        let field = ("Your work e-mail address", "login_hint", "email");
        page.with_field(&self.0.paths.plain("login"), field, &hidden)
            .answer()
    }
}

impl EntraLogin {
    fn is_of(&self, issuer: &str) -> bool {
        self.0.provider.published().configuration.issuer == issuer
    }
}

/// What may be wished for by whoever writes a link to the login (OpenID Connect Core 4): nothing
/// that widens what the product gets.
fn begin_of(login: &EntraLogin, uri: &Uri) -> Begin {
    let return_to = parameter(uri, "return_to").or_else(|| target_link(login, uri));
    let mut begin = Begin::to(return_to.as_deref().unwrap_or("/"));
    let prompt = match parameter(uri, "prompt").as_deref() {
        Some("login") => Some(Prompt::Login),
        Some("select_account") => Some(Prompt::SelectAccount),
        Some("create") => Some(Prompt::Create),
        _ => None,
    };
    if let Some(prompt) = prompt {
        begin = begin.with_prompt(prompt);
    }
    match parameter(uri, "login_hint") {
        Some(hint) if prompt != Some(Prompt::SelectAccount) => begin = begin.with_login_hint(hint),
        _ => {}
    }
    if let Some(domain) = parameter(uri, "domain_hint") {
        begin = begin.with_domain_hint(domain);
    }
    begin
}

/// `target_link_uri` of a login that somebody else initiates, as a path of this site.
fn target_link(login: &EntraLogin, uri: &Uri) -> Option<String> {
    let target = parameter(uri, "target_link_uri")?;
    let own = Url::parse(login.redirect_uri().as_str()).ok()?;
    let origin = own.origin().ascii_serialization();
    match target.strip_prefix(&origin) {
        Some(path) => ReturnTo::parse(path)
            .ok()
            .map(|path| path.as_str().to_owned()),
        None => Some(target),
    }
}
