//! The second factor. The code is shown on the page itself, where there would be a telephone.

use aws_lc_rs::digest;
use bytes::Bytes;
use http::Response;

use super::{BrowserCall, Pending, Person};
use crate::authorization::Interaction;
use crate::authorize::{AuthorizationRequest, Denial};
use crate::form::Form;
use crate::page::{Field, FieldKind, Html, HtmlForm};
use crate::refusal::Refusal;
use crate::sign_in::SignIn;

/// Where the form of a second factor goes, and what goes along.
#[derive(Debug)]
pub(super) struct SecondFactor<'a> {
    pub(super) person: &'a Person,
    pub(super) action: String,
    /// The name of the hidden field with what the form is shown for, and that.
    pub(super) subject: (&'a str, &'a str),
    /// Whether the person registers it.
    pub(super) is_first: bool,
}

impl SignIn<'_> {
    /// The form with the code came back. Its mark proves that this browser was shown it for this
    /// request, after whatever sign-in the request asked for.
    pub(super) fn second_factor(
        &mut self,
        call: &BrowserCall<'_>,
    ) -> Result<Response<Bytes>, Denial> {
        let raw = call.form.get("request").unwrap_or_default();
        let parameters = Form::parse(raw.as_bytes());
        let request =
            AuthorizationRequest::parse(self.tenant, call.segment, &parameters, self.now)?;
        let pending = Pending {
            raw,
            request: &request,
        };
        let Some(mut person) = call.marked_person(raw) else {
            return Ok(self.sign_in_page(call, pending, None));
        };
        if call.form.get("action") == Some("cancel") {
            return Err(Denial::Replied(Refusal::consent_declined(), request.reply));
        }
        if !self.has_shown_code(call, &mut person, raw) {
            let is_first = call.form.get("first") == Some("1");
            let refusal = Refusal::wrong_second_factor();
            return Ok(self.second_factor_page(call, raw, &person, is_first, Some(&refusal)));
        }
        let interaction = Interaction {
            is_fresh: true,
            has_consented: false,
        };
        self.proceed(call, pending, Some(&person), interaction)
    }

    /// Compares the code. If it is right, the session has a second factor from now on.
    pub(super) fn has_shown_code(
        &mut self,
        call: &BrowserCall<'_>,
        person: &mut Person,
        subject: &str,
    ) -> bool {
        let code = person.code(subject);
        if call.form.get("otc").map(str::trim) != Some(&code) {
            return false;
        }
        self.confirm_second_factor(&mut person.session);
        let mut sessions = self.sessions.open();
        if let Some(browser) = sessions.browsers.find_mut(&person.cookie) {
            browser.value.put(person.session.clone());
        }
        true
    }

    pub(super) fn second_factor_page(
        &self,
        call: &BrowserCall<'_>,
        raw: &str,
        person: &Person,
        is_first: bool,
        refusal: Option<&Refusal>,
    ) -> Response<Bytes> {
        let factor = SecondFactor {
            person,
            action: self.form_action(call, "mfa"),
            subject: ("request", raw),
            is_first,
        };
        self.ask_second_factor(&factor, refusal)
    }

    pub(super) fn ask_second_factor(
        &self,
        factor: &SecondFactor<'_>,
        refusal: Option<&Refusal>,
    ) -> Response<Bytes> {
        let SecondFactor {
            person,
            subject: (name, subject),
            ..
        } = *factor;
        let problem = refusal.map(Refusal::sentence);
        let (title, lead, button) = if factor.is_first {
            (
                "Keep your account secure",
                "Your organization needs a second factor. Here is the code of your new telephone; \
                 enter it to register it.",
                "Register",
            )
        } else {
            (
                "Verify your identity",
                "Here is the code that your telephone would show. Enter it below.",
                "Verify",
            )
        };
        let form = HtmlForm {
            action: factor.action.clone(),
            hidden: vec![
                (name, subject.to_owned()),
                ("sid", person.session.id.clone()),
                ("canary", person.canary(subject)),
                ("first", u8::from(factor.is_first).to_string()),
            ],
            fields: vec![Field {
                label: "Code",
                name: "otc",
                value: String::new(),
                kind: FieldKind::OneTimeCode,
            }],
            buttons: vec![(button, "next"), ("Cancel", "cancel")],
            is_wrong: refusal.is_some(),
            ..HtmlForm::default()
        };
        let body = Html::default()
            .paragraph(self.user_name(&person.session))
            .paragraph(lead)
            .line("output", &[("id", "code")], &person.code(subject))
            .problem(problem.as_deref())
            .and(form.html());
        self.page(title, body).answer()
    }
}

impl Person {
    /// Six digits that follow from the browser, the account and the request.
    fn code(&self, subject: &str) -> String {
        let text = ["second factor", &self.canary(subject)].concat();
        let hash = digest::digest(&digest::SHA256, text.as_bytes());
        let start = hash.as_ref().iter().take(8);
        let number = start.fold(0_u64, |number, byte| (number << 8) | u64::from(*byte));
        format!("{:06}", number % 1_000_000)
    }
}
