//! What a person at a browser is asked and shown, by path: sign-in, second factor, consent, device
//! codes, sign-out.
//!
//! Each form carries the authorization request along, and the request is checked again when the
//! form comes back: nothing depends on what a browser might have changed.

mod consent_page;
mod device_page;
mod second_factor_page;
mod sign_in_page;
mod sign_out_page;

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use time::Duration;

use crate::authorization::{Interaction, Parameters, Step, is_hinted};
use crate::authorize::{AuthorizationRequest, Denial, Prompt, ReplyTo};
use crate::form::Form;
use crate::page::{self, Html, Page};
use crate::refusal::{Refusal, RequestIds, timestamp};
use crate::sessions::{Browser, BrowserSession};
use crate::sign_in::SignIn;
use crate::tenant::{Kind, Tenant, text_of};

/// A request of a browser.
#[derive(Debug)]
struct BrowserCall<'a> {
    /// The tenant as the path names it.
    segment: &'a str,
    /// Query and form together.
    form: Form,
    /// The parameters of an authorization request as they were sent.
    raw: String,
    /// The session cookie, where it stands for anything.
    cookie: Option<String>,
    /// The accounts that it stands for.
    browser: Browser,
    ids: RequestIds,
}

/// An authorization request under way.
#[derive(Clone, Copy, Debug)]
struct Pending<'a> {
    /// Its parameters as they were sent.
    raw: &'a str,
    request: &'a AuthorizationRequest,
}

/// The account with which the person at the browser goes on.
#[derive(Clone, Debug)]
struct Person {
    cookie: String,
    session: BrowserSession,
}

impl SignIn<'_> {
    /// Answers a browser, or `None` where the path leads to no page.
    pub(crate) fn browse(
        &mut self,
        segments: &[&str],
        request: &Request<Bytes>,
        ids: RequestIds,
    ) -> Option<Response<Bytes>> {
        let is_post = request.method() == Method::POST;
        if !is_post && request.method() != Method::GET {
            return None;
        }
        let segment = segments.first()?;
        let call = self.browser_call(segment, request, ids);
        let answer = match segments.get(1..)? {
            ["oauth2", "v2.0", "authorize"] => self.authorize(&call),
            ["login"] if is_post => self.login(&call),
            ["mfa"] if is_post => self.second_factor(&call),
            ["consent"] if is_post => self.consent(&call),
            ["oauth2", "v2.0", "logout"] => Ok(self.logout(&call)),
            ["oauth2", "deviceauth"] if is_post => Ok(self.enter_device_code(&call)),
            ["oauth2", "deviceauth"] => Ok(self.device_page(&call, None)),
            _ => return None,
        };
        Some(answer.unwrap_or_else(|denial| self.deny(denial, &call)))
    }

    fn browser_call<'c>(
        &self,
        segment: &'c str,
        request: &Request<Bytes>,
        ids: RequestIds,
    ) -> BrowserCall<'c> {
        let query = request.uri().query().unwrap_or_default();
        let body = if request.method() == Method::POST {
            String::from_utf8_lossy(request.body()).into_owned()
        } else {
            String::new()
        };
        let raw = [query, &body].join("&");
        let known = cookie(request).and_then(|cookie| {
            let sessions = self.sessions.open();
            let browser = sessions.browsers.find(&cookie)?;
            let browser = (!browser.is_expired(self.now)).then(|| browser.value.clone())?;
            Some((cookie, browser))
        });
        let (cookie, mut browser) = known.unzip();
        if let Some(browser) = &mut browser {
            browser.sessions.retain(|session| {
                let user_id = &session.user_id;
                let revoked = self.tenant.revoked_since(user_id, session.generation);
                revoked.is_none() && self.tenant.current(Kind::User, user_id).is_some()
            });
        }
        BrowserCall {
            segment,
            form: Form::parse(raw.as_bytes()),
            raw: raw.trim_matches('&').to_owned(),
            cookie,
            browser: browser.unwrap_or_default(),
            ids,
        }
    }

    fn authorize(&mut self, call: &BrowserCall<'_>) -> Result<Response<Bytes>, Denial> {
        let request = AuthorizationRequest::parse(self.tenant, call.segment, &call.form, self.now)?;
        let pending = Pending {
            raw: &call.raw,
            request: &request,
        };
        let person = match call.browser.sessions.as_slice() {
            [_, _, ..] => match self.hinted(call, &request) {
                Some(session) => call.person(session),
                None if request.prompt == Prompt::None => {
                    let refusal = Refusal::several_accounts();
                    return Err(Denial::Replied(refusal, request.reply));
                }
                None => None,
            },
            sessions => sessions.first().and_then(|session| call.person(session)),
        };
        self.proceed(call, pending, person.as_ref(), Interaction::default())
    }

    fn hinted<'c>(
        &self,
        call: &'c BrowserCall<'_>,
        request: &AuthorizationRequest,
    ) -> Option<&'c BrowserSession> {
        let hint = request.login_hint.as_deref()?;
        call.browser.sessions.iter().find(|session| {
            let user = self.tenant.current(Kind::User, &session.user_id);
            user.is_some_and(|user| is_hinted(user, hint))
        })
    }

    /// Shows what is needed, or answers the client.
    fn proceed(
        &self,
        call: &BrowserCall<'_>,
        pending: Pending<'_>,
        person: Option<&Person>,
        interaction: Interaction,
    ) -> Result<Response<Bytes>, Denial> {
        let request = pending.request;
        let session = person.map(|person| &person.session);
        match (self.next_step(request, session, interaction)?, person) {
            (Step::Grant, Some(person)) => {
                let parameters = self
                    .grant(request, &person.session)
                    .map_err(|refusal| Denial::Replied(refusal, request.reply.clone()))?;
                Ok(self.reply(&request.reply, parameters))
            }
            (Step::SecondFactor { is_first }, Some(person)) => {
                Ok(self.second_factor_page(call, pending.raw, person, is_first, None))
            }
            (Step::Consent(consents), Some(person)) => {
                Ok(self.consent_page(call, pending, person, &consents))
            }
            _ => Ok(self.sign_in_page(call, pending, None)),
        }
    }

    fn deny(&self, denial: Denial, call: &BrowserCall<'_>) -> Response<Bytes> {
        match denial {
            Denial::Replied(refusal, to) => {
                let parameters = refusal.parameters(self.origin, &call.ids, self.now);
                self.reply(&to, parameters)
            }
            Denial::Shown(refusal) => self.error_page(&refusal, call),
        }
    }

    /// What went wrong, and what support asks for.
    fn error_page(&self, refusal: &Refusal, call: &BrowserCall<'_>) -> Response<Bytes> {
        let RequestIds { trace, correlation } = call.ids;
        let mut body = Html::default()
            .paragraph("Sorry, but we're having trouble signing you in.")
            .problem(Some(&refusal.sentence()))
            .open("dl", &[]);
        for (name, value) in [
            ("Trace ID", trace.to_string()),
            ("Correlation ID", correlation.to_string()),
            ("Timestamp", timestamp(self.now)),
        ] {
            body = body.line("dt", &[], name).line("dd", &[], &value);
        }
        self.page("Sign in to your account", body.close("dl"))
            .with_status(StatusCode::BAD_REQUEST)
            .answer()
    }

    /// Sends the browser back to the client.
    fn reply(&self, to: &ReplyTo, parameters: Parameters) -> Response<Bytes> {
        let Some(redirect) = to.answer(self.tenant, parameters) else {
            let text = Html::default().paragraph("The redirect URI cannot be used.");
            let page = self.page("Sign in to your account", text);
            return page.with_status(StatusCode::BAD_REQUEST).answer();
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

    /// Remembers that this account is signed in with the browser. The cookie is a new one, so that
    /// nobody who knew the old one profits.
    fn remember(&self, call: &BrowserCall<'_>, session: &BrowserSession) -> Person {
        let expires = self.now + SESSION_LIFETIME;
        let mut browser = call.browser.clone();
        browser.put(session.clone());
        let mut sessions = self.sessions.open();
        if let Some(old) = &call.cookie {
            sessions.browsers.remove(old);
        }
        Person {
            cookie: sessions.browsers.issue(browser, self.now, expires),
            session: session.clone(),
        }
    }

    fn page<'p>(&'p self, title: &'p str, body: Html) -> Page<'p> {
        Page::new(organization(self.tenant), title, body)
    }

    /// The address of a form.
    fn form_action(&self, call: &BrowserCall<'_>, path: &str) -> String {
        [self.origin.path(), call.segment, "/", path].concat()
    }

    fn user_name(&self, session: &BrowserSession) -> &str {
        let user = self.tenant.current(Kind::User, &session.user_id);
        user.map_or("", |user| text_of(user, "userPrincipalName"))
    }
}

impl BrowserCall<'_> {
    fn person(&self, session: &BrowserSession) -> Option<Person> {
        Some(Person {
            cookie: self.cookie.clone()?,
            session: session.clone(),
        })
    }

    /// The person who was shown this form, if the browser was, for what the form carries along.
    fn marked_person(&self, subject: &str) -> Option<Person> {
        let session = self.browser.find(self.form.get("sid")?)?;
        let person = self.person(session)?;
        let is_marked = self.form.get("canary") == Some(&person.canary(subject));
        is_marked.then_some(person)
    }
}

impl Person {
    /// Binds a form to the browser, the account and the request that it was shown for.
    fn canary(&self, subject: &str) -> String {
        let text = [&self.cookie, &self.session.id, subject].join("\n");
        URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, text.as_bytes()))
    }
}

fn organization(tenant: &Tenant) -> &str {
    let organization = tenant.current(Kind::Organization, tenant.id());
    organization.map_or("", |organization| text_of(organization, "displayName"))
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
