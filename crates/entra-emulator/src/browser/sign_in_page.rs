//! Name and password, or one of the accounts that are signed in already.

use bytes::Bytes;
use entra_core::Secret;
use http::Response;

use super::{BrowserCall, Pending, with_cookie};
use crate::authorization::Interaction;
use crate::authorize::{AuthorizationRequest, Denial, Prompt};
use crate::client::Client;
use crate::form::Form;
use crate::page::{Account, Field, FieldKind, Html, HtmlForm};
use crate::refusal::Refusal;
use crate::sessions::{Browser, BrowserSession};
use crate::sign_in::SignIn;
use crate::tenant::{Kind, text_of};

impl SignIn<'_> {
    /// The form with name and password came back, or with the account that was chosen.
    pub(super) fn login(&mut self, call: &BrowserCall<'_>) -> Result<Response<Bytes>, Denial> {
        let raw = call.form.get("request").unwrap_or_default();
        let parameters = Form::parse(raw.as_bytes());
        let mut request =
            AuthorizationRequest::parse(self.tenant, call.segment, &parameters, self.now)?;
        if call.form.get("action") == Some("cancel") {
            return Err(Denial::Replied(Refusal::consent_declined(), request.reply));
        }
        let chosen = call.form.get("account");
        if let Some(session) = chosen.and_then(|sid| call.browser.find(sid)) {
            // Who chooses an account has been asked for one, whatever a hint said.
            if request.prompt == Prompt::SelectAccount {
                request.prompt = Prompt::AsNeeded;
            }
            request.login_hint = None;
            let person = call.person(session);
            let pending = Pending {
                raw,
                request: &request,
            };
            return self.proceed(call, pending, person.as_ref(), Interaction::default());
        }
        let pending = Pending {
            raw,
            request: &request,
        };
        let session = match self.password_session(&call.form, &call.browser) {
            Ok(session) => session,
            Err(refusal) => return Ok(self.sign_in_page(call, pending, Some(&refusal))),
        };
        let interaction = Interaction {
            is_fresh: true,
            has_consented: false,
        };
        let person = self.remember(call, &session);
        let answer = self.proceed(call, pending, Some(&person), interaction);
        let answer = answer.unwrap_or_else(|denial| self.deny(denial, call));
        Ok(with_cookie(answer, &person.cookie))
    }

    /// A session of whoever knows the password. Who was signed in with the browser before keeps
    /// the `sid`, by which applications know the session.
    pub(super) fn password_session(
        &self,
        form: &Form,
        browser: &Browser,
    ) -> Result<BrowserSession, Refusal> {
        let name = form.get("loginfmt").unwrap_or_default();
        let password = Secret::new(form.get("passwd").unwrap_or_default());
        let user = self.tenant.authenticate_user(name, &password)?;
        let mut session = self.new_session(text_of(user, "id"));
        if let Some(known) = browser.of_user(&session.user_id) {
            session.id.clone_from(&known.id);
        }
        Ok(session)
    }

    pub(super) fn sign_in_page(
        &self,
        call: &BrowserCall<'_>,
        pending: Pending<'_>,
        refusal: Option<&Refusal>,
    ) -> Response<Bytes> {
        let request = pending.request;
        let accounts = self.accounts_to_choose(call, request);
        let has_accounts = !accounts.is_empty();
        let client = Client::find(self.tenant, &request.app_id, self.now);
        let client = client.map_or("", |client| client.name());
        let action = self.form_action(call, "login");
        let hidden = || vec![("request", pending.raw.to_owned())];
        let problem = refusal.map(Refusal::sentence);
        let mut body = Html::default()
            .paragraph(&["to continue to ", client].concat())
            .problem(problem.as_deref());
        if has_accounts {
            let form = HtmlForm {
                action: action.clone(),
                hidden: hidden(),
                accounts,
                ..HtmlForm::default()
            };
            body = body.and(form.html()).line("h2", &[], "Use another account");
        }
        let form = HtmlForm {
            action,
            hidden: hidden(),
            fields: name_and_password(self.name_to_show(call, request, has_accounts)),
            buttons: vec![("Sign in", "next"), ("Cancel", "cancel")],
            is_wrong: refusal.is_some(),
            ..HtmlForm::default()
        };
        let title = if has_accounts {
            "Pick an account"
        } else {
            "Sign in"
        };
        self.page(title, body.and(form.html())).answer()
    }

    /// The accounts to choose from, where the request leaves a choice or asks for one.
    fn accounts_to_choose(
        &self,
        call: &BrowserCall<'_>,
        request: &AuthorizationRequest,
    ) -> Vec<Account> {
        let is_open = request.login_hint.is_none() && call.browser.sessions.len() > 1;
        match request.prompt {
            Prompt::SelectAccount => self.accounts(call),
            Prompt::AsNeeded | Prompt::Consent if is_open => self.accounts(call),
            _ => Vec::new(),
        }
    }

    /// The accounts that are signed in with the browser.
    pub(super) fn accounts(&self, call: &BrowserCall<'_>) -> Vec<Account> {
        let sessions = call.browser.sessions.iter();
        sessions
            .filter_map(|session| {
                let user = self.tenant.current(Kind::User, &session.user_id)?;
                Some(Account {
                    value: session.id.clone(),
                    name: text_of(user, "displayName").to_owned(),
                    user_name: text_of(user, "userPrincipalName").to_owned(),
                })
            })
            .collect()
    }

    /// What was typed, what the request hints at, or who has to sign in again.
    fn name_to_show(
        &self,
        call: &BrowserCall<'_>,
        request: &AuthorizationRequest,
        has_accounts: bool,
    ) -> String {
        let typed = call.form.get("loginfmt");
        if let Some(name) = typed.or(request.login_hint.as_deref()) {
            return name.to_owned();
        }
        match call.browser.sessions.as_slice() {
            [session] if !has_accounts => self.user_name(session).to_owned(),
            _ => String::new(),
        }
    }
}

/// The fields by the names that Entra's have.
pub(super) fn name_and_password(name: String) -> Vec<Field<'static>> {
    vec![
        Field {
            label: "User name",
            name: "loginfmt",
            value: name,
            kind: FieldKind::UserName,
        },
        Field {
            label: "Password",
            name: "passwd",
            value: String::new(),
            kind: FieldKind::Password,
        },
    ]
}
