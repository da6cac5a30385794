//! Sign-in, consent, device codes and sign-out for a person at a browser.
//!
//! Each form carries the authorization request along, and the request is checked again when the
//! form comes back: nothing depends on what a browser might have changed.

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use entra_core::Secret;
use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use time::Duration;

use crate::authorization::{ConsentTo, Interaction, Parameters, Step};
use crate::authorize::{AuthorizationRequest, Denial, Prompt, ReplyTo, ResponseMode};
use crate::client::{Client, Platform};
use crate::device_code::DeviceState;
use crate::form::Form;
use crate::page::{self, FormPage};
use crate::refusal::{Refusal, RequestIds};
use crate::sessions::BrowserSession;
use crate::sign_in::SignIn;
use crate::tenant::{Kind, Tenant, text_of};

/// A request of a browser.
#[derive(Debug)]
pub(crate) struct BrowserCall<'a> {
    /// The tenant as the path names it.
    segment: &'a str,
    /// Query and form together.
    form: Form,
    /// The parameters of an authorization request as they were sent.
    raw: String,
    /// The session cookie and what it stands for.
    session: Option<(String, BrowserSession)>,
    ids: RequestIds,
}

impl SignIn<'_> {
    /// Answers a browser, or `None` where the path leads to no page.
    pub(crate) fn browse(
        &mut self,
        segments: &[&str],
        request: &Request<Bytes>,
    ) -> Option<Response<Bytes>> {
        let is_post = request.method() == Method::POST;
        if !is_post && request.method() != Method::GET {
            return None;
        }
        let segment = segments.first()?;
        let call = self.browser_call(segment, request);
        let answer = match segments.get(1..)? {
            ["oauth2", "v2.0", "authorize"] => self.authorize(&call),
            ["login"] if is_post => self.login(&call),
            ["mfa"] if is_post => self.second_factor(&call),
            ["consent"] if is_post => self.consent(&call),
            ["oauth2", "v2.0", "logout"] => Ok(self.logout(&call)),
            ["oauth2", "deviceauth"] if is_post => Ok(self.enter_device_code(&call)),
            ["oauth2", "deviceauth"] => Ok(device_page(&call, None)),
            _ => return None,
        };
        Some(answer.unwrap_or_else(|denial| self.deny(denial, &call)))
    }

    fn browser_call<'c>(&self, segment: &'c str, request: &Request<Bytes>) -> BrowserCall<'c> {
        let query = request.uri().query().unwrap_or_default();
        let body = if request.method() == Method::POST {
            String::from_utf8_lossy(request.body()).into_owned()
        } else {
            String::new()
        };
        let raw = [query, &body].join("&");
        let cookie = cookie(request);
        let session = cookie.and_then(|cookie| {
            let sessions = self.sessions.open();
            let session = sessions.browsers.find(&cookie)?;
            let session = (!session.is_expired(self.now)).then(|| session.value.clone())?;
            Some((cookie, session))
        });
        BrowserCall {
            segment,
            form: Form::parse(raw.as_bytes()),
            raw: raw.trim_matches('&').to_owned(),
            session,
            ids: RequestIds::of(request),
        }
    }

    fn authorize(&mut self, call: &BrowserCall<'_>) -> Result<Response<Bytes>, Denial> {
        let request = AuthorizationRequest::parse(self.tenant, call.segment, &call.form, self.now)?;
        let session = call.session.as_ref();
        self.proceed(call, &call.raw, &request, session, Interaction::default())
    }

    /// Shows what is needed, or answers the client.
    fn proceed(
        &self,
        call: &BrowserCall<'_>,
        raw: &str,
        request: &AuthorizationRequest,
        session: Option<&(String, BrowserSession)>,
        interaction: Interaction,
    ) -> Result<Response<Bytes>, Denial> {
        let known = session.map(|(_, session)| session);
        match (self.next_step(request, known, interaction)?, session) {
            (Step::Grant, Some((_, session))) => {
                let parameters = self
                    .grant(request, session)
                    .map_err(|refusal| Denial::Replied(refusal, request.reply.clone()))?;
                Ok(reply(self.tenant, &request.reply, parameters))
            }
            (Step::Consent(consents), Some((cookie, session))) => {
                let user = self.tenant.current(Kind::User, &session.user_id);
                let name = user.map_or("", |user| text_of(user, "userPrincipalName"));
                let client = Client::find(self.tenant, &request.app_id, self.now);
                let client = client.map_or("", |client| client.name());
                Ok(consent_page(call, raw, cookie, (name, client), &consents))
            }
            (Step::SecondFactor { is_first }, Some((cookie, _))) => Ok(second_factor_page(
                call.segment,
                (cookie, raw),
                is_first,
                None,
            )),
            _ => Ok(self.sign_in_page(call, raw, request, None)),
        }
    }

    /// The form with name and password came back.
    fn login(&mut self, call: &BrowserCall<'_>) -> Result<Response<Bytes>, Denial> {
        let raw = call.form.get("request").unwrap_or_default();
        let parameters = Form::parse(raw.as_bytes());
        let mut request =
            AuthorizationRequest::parse(self.tenant, call.segment, &parameters, self.now)?;
        match call.form.get("action") {
            Some("cancel") => {
                return Err(Denial::Replied(Refusal::consent_declined(), request.reply));
            }
            // The account that is signed in already was selected.
            Some("continue") if request.prompt == Prompt::SelectAccount => {
                request.prompt = Prompt::AsNeeded;
                let session = call.session.as_ref();
                return self.proceed(call, raw, &request, session, Interaction::default());
            }
            _ => {}
        }
        let session = match self.password_session(&call.form) {
            Ok(session) => session,
            Err(refusal) => {
                let problem = Some(refusal.description(&call.ids, self.now));
                return Ok(self.sign_in_page(call, raw, &request, problem));
            }
        };
        let interaction = Interaction {
            is_fresh: true,
            has_consented: false,
        };
        let cookie = self.remember(&session);
        let session = (cookie.clone(), session);
        let answer = self.proceed(call, raw, &request, Some(&session), interaction);
        let answer = answer.unwrap_or_else(|denial| self.deny(denial, call));
        Ok(with_cookie(answer, &cookie))
    }

    /// The form with the code of the second factor came back. Its mark proves what that of consent
    /// does.
    fn second_factor(&mut self, call: &BrowserCall<'_>) -> Result<Response<Bytes>, Denial> {
        let raw = call.form.get("request").unwrap_or_default();
        let parameters = Form::parse(raw.as_bytes());
        let request =
            AuthorizationRequest::parse(self.tenant, call.segment, &parameters, self.now)?;
        let session = call
            .session
            .as_ref()
            .filter(|(cookie, _)| call.form.get("canary") == Some(&canary(cookie, raw)));
        let Some((cookie, session)) = session else {
            return Ok(self.sign_in_page(call, raw, &request, None));
        };
        if call.form.get("action") == Some("cancel") {
            return Err(Denial::Replied(Refusal::consent_declined(), request.reply));
        }
        let code = second_factor_code(cookie, raw);
        if call.form.get("otc").map(str::trim) != Some(&code) {
            let problem = Refusal::wrong_second_factor().description(&call.ids, self.now);
            let is_first = call.form.get("first") == Some("1");
            let page = second_factor_page(call.segment, (cookie, raw), is_first, Some(problem));
            return Ok(page);
        }
        let mut session = session.clone();
        self.confirm_second_factor(&mut session);
        if let Some(known) = self.sessions.open().browsers.find_mut(cookie) {
            known.value = session.clone();
        }
        let interaction = Interaction {
            is_fresh: true,
            has_consented: false,
        };
        let session = (cookie.clone(), session);
        self.proceed(call, raw, &request, Some(&session), interaction)
    }

    /// The form about consent came back. Its mark proves that this browser was shown it for this
    /// request, after whatever sign-in the request asked for.
    fn consent(&mut self, call: &BrowserCall<'_>) -> Result<Response<Bytes>, Denial> {
        let raw = call.form.get("request").unwrap_or_default();
        let parameters = Form::parse(raw.as_bytes());
        let request =
            AuthorizationRequest::parse(self.tenant, call.segment, &parameters, self.now)?;
        let session = call
            .session
            .as_ref()
            .filter(|(cookie, _)| call.form.get("canary") == Some(&canary(cookie, raw)));
        let Some((cookie, session)) = session else {
            return Ok(self.sign_in_page(call, raw, &request, None));
        };
        if call.form.get("action") != Some("accept") {
            return Err(Denial::Replied(Refusal::consent_declined(), request.reply));
        }
        let mut interaction = Interaction {
            is_fresh: true,
            has_consented: false,
        };
        if let Step::Consent(consents) = self.next_step(&request, Some(session), interaction)? {
            self.accept(&request.app_id, &session.user_id, &consents);
        }
        interaction.has_consented = true;
        let session = (cookie.clone(), session.clone());
        self.proceed(call, raw, &request, Some(&session), interaction)
    }

    /// Microsoft Learn, "OpenID Connect (OIDC) on the Microsoft identity platform" (Send a sign-out
    /// request): back to the application only where that URI is registered.
    fn logout(&self, call: &BrowserCall<'_>) -> Response<Bytes> {
        if let Some((cookie, _)) = &call.session {
            self.sessions.open().browsers.remove(cookie);
        }
        let answer = call
            .form
            .get("post_logout_redirect_uri")
            .filter(|uri| self.is_redirect_uri(uri))
            .and_then(|uri| {
                let reply = ReplyTo {
                    uri: uri.to_owned(),
                    platform: Platform::Web,
                    mode: ResponseMode::Query,
                    state: call.form.get("state").map(str::to_owned),
                };
                reply.return_only()
            })
            .map_or_else(
                || {
                    let text = "You signed out of your account. It's a good idea to close all \
                                browser windows.";
                    page::message(StatusCode::OK, "Signed out", &[text.to_owned()])
                },
                |redirect| page::redirect(redirect.location.as_str()),
            );
        with_cookie(answer, "")
    }

    fn is_redirect_uri(&self, uri: &str) -> bool {
        self.tenant.all(Kind::Application).any(|application| {
            let app_id = text_of(application, "appId");
            Client::find(self.tenant, app_id, self.now).is_ok_and(|client| {
                Platform::ALL
                    .into_iter()
                    .flat_map(|platform| client.redirect_uris(platform))
                    .any(|registered| registered == uri)
            })
        })
    }

    /// The page for device codes came back: code, name and password at once.
    fn enter_device_code(&mut self, call: &BrowserCall<'_>) -> Response<Bytes> {
        let user_code = call.form.get("otc").unwrap_or_default();
        let outcome = self.password_session(&call.form).and_then(|session| {
            if call.form.get("action") == Some("cancel") {
                return Ok((self.settle_device(user_code, DeviceState::Declined), false));
            }
            Ok((self.approve_device(user_code, &session)?, true))
        });
        match outcome {
            Ok((true, is_approved)) => {
                let text = if is_approved {
                    "You have signed in on your device. You may now close this window."
                } else {
                    "The sign-in was declined. You may now close this window."
                };
                page::message(StatusCode::OK, "Device sign-in", &[text.to_owned()])
            }
            Ok((false, _)) => {
                let problem = "That code didn't work. Check the code and try again.";
                device_page(call, Some(problem.to_owned()))
            }
            Err(refusal) => device_page(call, Some(refusal.description(&call.ids, self.now))),
        }
    }

    fn password_session(&self, form: &Form) -> Result<BrowserSession, Refusal> {
        let name = form.get("login").unwrap_or_default();
        let password = Secret::new(form.get("passwd").unwrap_or_default());
        let user = self.tenant.authenticate_user(name, &password)?;
        Ok(self.new_session(text_of(user, "id")))
    }

    fn remember(&self, session: &BrowserSession) -> String {
        let expires = self.now + SESSION_LIFETIME;
        let mut sessions = self.sessions.open();
        sessions.browsers.issue(session.clone(), self.now, expires)
    }

    fn deny(&self, denial: Denial, call: &BrowserCall<'_>) -> Response<Bytes> {
        match denial {
            Denial::Replied(refusal, to) => {
                let parameters = refusal.parameters(self.origin, &call.ids, self.now);
                reply(self.tenant, &to, parameters)
            }
            Denial::Shown(refusal) => {
                let text = [
                    "Sorry, but we're having trouble signing you in.".to_owned(),
                    refusal.description(&call.ids, self.now),
                ];
                page::message(StatusCode::OK, "Sign in to your account", &text)
            }
        }
    }

    fn sign_in_page(
        &self,
        call: &BrowserCall<'_>,
        raw: &str,
        request: &AuthorizationRequest,
        problem: Option<String>,
    ) -> Response<Bytes> {
        let name = call.form.get("login").or(request.login_hint.as_deref());
        let mut buttons = vec![("Sign in", "next"), ("Cancel", "cancel")];
        let signed_in = call
            .session
            .as_ref()
            .filter(|_| request.prompt == Prompt::SelectAccount);
        let mut text = Vec::new();
        if let Some((_, session)) = signed_in
            && let Some(user) = self.tenant.current(Kind::User, &session.user_id)
        {
            text.push(format!("Signed in: {}", text_of(user, "userPrincipalName")));
            buttons.push(("Continue with this account", "continue"));
        }
        FormPage {
            title: "Sign in to your account",
            problem,
            text,
            action: format!("/{}/login", call.segment),
            hidden: vec![("request", raw.to_owned())],
            fields: vec![
                (
                    "User name",
                    "login",
                    "text",
                    name.unwrap_or_default().to_owned(),
                ),
                ("Password", "passwd", "password", String::new()),
            ],
            buttons,
            output: None,
        }
        .answer()
    }
}

fn consent_page(
    call: &BrowserCall<'_>,
    raw: &str,
    cookie: &str,
    (user, client): (&str, &str),
    consents: &[ConsentTo],
) -> Response<Bytes> {
    let mut text = vec![
        format!("Signed in: {user}"),
        format!("{client} would like to use:"),
    ];
    for consent in consents {
        let permissions = consent.permissions.join(", ");
        text.push(format!("{}: {permissions}", consent.resource_name));
    }
    FormPage {
        title: "Permissions requested",
        problem: None,
        text,
        action: format!("/{}/consent", call.segment),
        hidden: vec![("request", raw.to_owned()), ("canary", canary(cookie, raw))],
        fields: Vec::new(),
        buttons: vec![("Accept", "accept"), ("Cancel", "cancel")],
        output: None,
    }
    .answer()
}

/// The code is shown where the phone would be.
fn second_factor_page(
    segment: &str,
    (cookie, raw): (&str, &str),
    is_first: bool,
    problem: Option<String>,
) -> Response<Bytes> {
    let title = if is_first {
        "Keep your account secure"
    } else {
        "Verify your identity"
    };
    FormPage {
        title,
        problem,
        text: vec!["Enter the code that your phone shows.".to_owned()],
        action: format!("/{segment}/mfa"),
        hidden: vec![
            ("request", raw.to_owned()),
            ("canary", canary(cookie, raw)),
            ("first", u8::from(is_first).to_string()),
        ],
        fields: vec![("Code", "otc", "text", String::new())],
        buttons: vec![("Verify", "next"), ("Cancel", "cancel")],
        output: Some(second_factor_code(cookie, raw)),
    }
    .answer()
}

/// Six digits that follow from the browser and the request.
fn second_factor_code(cookie: &str, raw: &str) -> String {
    let text = ["second factor", cookie, raw].join("\n");
    let hash = digest::digest(&digest::SHA256, text.as_bytes());
    let number = hash
        .as_ref()
        .iter()
        .take(8)
        .fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    format!("{:06}", number % 1_000_000)
}

fn device_page(call: &BrowserCall<'_>, problem: Option<String>) -> Response<Bytes> {
    let sent = |name| call.form.get(name).unwrap_or_default().to_owned();
    FormPage {
        title: "Enter code to allow access",
        problem,
        text: vec!["Enter the code that your app or device shows.".to_owned()],
        action: format!("/{}/oauth2/deviceauth", call.segment),
        hidden: Vec::new(),
        fields: vec![
            ("Code", "otc", "text", sent("otc")),
            ("User name", "login", "text", sent("login")),
            ("Password", "passwd", "password", String::new()),
        ],
        buttons: vec![("Sign in", "next"), ("Decline", "cancel")],
        output: None,
    }
    .answer()
}

/// Sends the browser back to the client.
fn reply(tenant: &Tenant, to: &ReplyTo, parameters: Parameters) -> Response<Bytes> {
    let Some(redirect) = to.answer(tenant, parameters) else {
        let text = "The redirect URI cannot be used.".to_owned();
        return page::message(StatusCode::BAD_REQUEST, "Sign in to your account", &[text]);
    };
    match &redirect.form {
        Some(form) => {
            let parameters: Parameters = url::form_urlencoded::parse(form.as_bytes())
                .into_owned()
                .collect();
            page::form_post(redirect.location.as_str(), &parameters)
        }
        None => page::redirect(redirect.location.as_str()),
    }
}

/// Binds a form to the browser and the request that it was shown for.
fn canary(cookie: &str, raw: &str) -> String {
    let text = [cookie, "\n", raw].concat();
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, text.as_bytes()))
}

fn cookie(request: &Request<Bytes>) -> Option<String> {
    request
        .headers()
        .get_all(COOKIE)
        .iter()
        .filter_map(|header| header.to_str().ok())
        .flat_map(|header| header.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(name, _)| *name == SESSION_COOKIE)
        .map(|(_, value)| value.to_owned())
}

/// An empty value ends the session.
fn with_cookie(mut answer: Response<Bytes>, value: &str) -> Response<Bytes> {
    let end = if value.is_empty() { "; Max-Age=0" } else { "" };
    let text = format!("{SESSION_COOKIE}={value}; Path=/; Secure; HttpOnly; SameSite=None{end}");
    if let Ok(mut cookie) = HeaderValue::from_str(&text) {
        cookie.set_sensitive(true);
        answer.headers_mut().append(SET_COOKIE, cookie);
    }
    answer
}

/// The name that Entra's session cookie has too.
const SESSION_COOKIE: &str = "ESTSAUTH";

/// Learn, "Configure adaptive session lifetime policies": a session that is not persistent ends
/// after 24 hours.
const SESSION_LIFETIME: Duration = Duration::hours(24);
