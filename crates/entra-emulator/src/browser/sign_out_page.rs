//! Sign-out: of one account, at every application that the session was used for.
//!
//! OpenID Connect RP-Initiated Logout 1.0, as Microsoft Learn, "OpenID Connect (OIDC) on the
//! Microsoft identity platform" (Send a sign-out request) has it: back to the application only
//! where that URI is registered. OpenID Connect Front-Channel Logout 1.0, but each `logoutUrl` gets
//! `sid` alone and no `iss`, as users of Entra report.

use bytes::Bytes;
use http::Response;
use url::Url;

use super::{BrowserCall, with_cookie};
use crate::authorization::is_hinted;
use crate::authorize::{ReplyTo, ResponseMode, is_registered};
use crate::client::{Client, Platform};
use crate::id_token::IdTokenHint;
use crate::page::{self, Html, HtmlForm};
use crate::sessions::BrowserSession;
use crate::sign_in::SignIn;
use crate::tenant::{Kind, text_of};

impl SignIn<'_> {
    pub(super) fn logout(&mut self, call: &BrowserCall<'_>) -> Response<Bytes> {
        let hint = call.form.get("id_token_hint");
        let hint = hint.and_then(|token| IdTokenHint::verify(token, self.tenant));
        let Some(ending) = self.sessions_to_end(call, hint.as_ref()) else {
            return self.account_to_sign_out(call);
        };
        let frames = self.end_sessions(&ending);
        let mut browser = call.browser.clone();
        browser.sessions.retain(|session| !ending.contains(session));
        let next = self.place_after(call, hint.as_ref());
        let answer = match &next {
            Some(next) if frames.is_empty() => page::redirect(next.as_str()),
            _ => self.signed_out_page(frames, next.as_ref()),
        };
        let Some(cookie) = &call.cookie else {
            return answer;
        };
        let mut sessions = self.sessions.open();
        if browser.sessions.is_empty() {
            sessions.browsers.remove(cookie);
            return with_cookie(answer, "");
        }
        if let Some(known) = sessions.browsers.find_mut(cookie) {
            known.value = browser;
        }
        answer
    }

    /// The sessions of the account that is meant; the only one where there is one. Nothing where
    /// the person has to say which.
    fn sessions_to_end(
        &self,
        call: &BrowserCall<'_>,
        hint: Option<&IdTokenHint>,
    ) -> Option<Vec<BrowserSession>> {
        let sessions = &call.browser.sessions;
        let chosen = call
            .form
            .get("account")
            .and_then(|sid| call.browser.find(sid));
        let hinted = sessions.iter().find(|session| {
            let user = self.tenant.current(Kind::User, &session.user_id);
            let by_name = call
                .form
                .get("logout_hint")
                .zip(user)
                .is_some_and(|(hint, user)| is_hinted(user, hint));
            by_name || hint.is_some_and(|hint| hint.is_of(session, self.tenant))
        });
        match (chosen.or(hinted), sessions.as_slice()) {
            (Some(session), _) => Some(vec![session.clone()]),
            (None, [] | [_]) => Some(sessions.clone()),
            (None, _) => None,
        }
    }

    /// Ends sessions; what the browser has to load so that the applications learn of it.
    fn end_sessions(&self, ending: &[BrowserSession]) -> Vec<Url> {
        ending
            .iter()
            .flat_map(|session| self.end_session(&session.id))
            .collect()
    }

    /// The same for one session.
    pub(crate) fn end_session(&self, sid: &str) -> Vec<Url> {
        let visits = self.sessions.open().visits.remove(sid).unwrap_or_default();
        visits
            .app_ids
            .iter()
            .filter_map(|app_id| {
                let application = self.tenant.application_by_app_id(app_id, self.now)?;
                let registered = application.get("web")?.get("logoutUrl")?.as_str()?;
                let mut url = Url::parse(registered).ok()?;
                url.query_pairs_mut().append_pair("sid", sid);
                Some(url)
            })
            .collect()
    }

    /// The place to go back to. Where the application is known, it has to be one of its own.
    fn place_after(&self, call: &BrowserCall<'_>, hint: Option<&IdTokenHint>) -> Option<Url> {
        let uri = call.form.get("post_logout_redirect_uri")?;
        let named = call.form.get("client_id").map(str::to_lowercase);
        let app_id = named.or_else(|| hint.map(|hint| hint.audience.clone()));
        if !self.is_redirect_uri(uri, app_id.as_deref()) {
            return None;
        }
        let reply = ReplyTo {
            uri: uri.to_owned(),
            platform: Platform::Web,
            mode: ResponseMode::Query,
            state: call.form.get("state").map(str::to_owned),
        };
        Some(reply.return_only()?.location)
    }

    fn is_redirect_uri(&self, uri: &str, app_id: Option<&str>) -> bool {
        let applications = self.tenant.all(Kind::Application);
        applications
            .map(|application| text_of(application, "appId"))
            .filter(|known| app_id.is_none_or(|app_id| app_id == *known))
            .filter_map(|app_id| Client::find(self.tenant, app_id, self.now).ok())
            .any(|client| {
                Platform::ALL
                    .into_iter()
                    .flat_map(|platform| client.redirect_uris(platform))
                    .any(|registered| is_registered(registered, uri))
            })
    }

    fn signed_out_page(&self, frames: Vec<Url>, next: Option<&Url>) -> Response<Bytes> {
        let mut body = Html::default().paragraph("It's a good idea to close all browser windows.");
        if let Some(next) = next {
            let link = [("class", "button"), ("href", next.as_str())];
            body = body
                .open("div", &[("class", "buttons")])
                .line("a", &link, "Continue")
                .close("div");
        }
        let mut page = self.page("You signed out of your account", body);
        page.frames = frames.into_iter().map(String::from).collect();
        page.next = next.map(Url::to_string);
        page.answer()
    }

    fn account_to_sign_out(&self, call: &BrowserCall<'_>) -> Response<Bytes> {
        let kept = [
            "post_logout_redirect_uri",
            "state",
            "client_id",
            "id_token_hint",
        ];
        let hidden = kept
            .into_iter()
            .filter_map(|name| Some((name, call.form.get(name)?.to_owned())));
        let form = HtmlForm {
            action: self.form_action(call, "oauth2/v2.0/logout"),
            hidden: hidden.collect(),
            accounts: self.accounts(call),
            ..HtmlForm::default()
        };
        let body = Html::default()
            .paragraph("Which account do you want to sign out of?")
            .and(form.html());
        self.page("Pick an account", body).answer()
    }
}
