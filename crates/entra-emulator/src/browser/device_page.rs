//! The code that a device shows, with the name and the password of who has it in hand.

use bytes::Bytes;
use http::Response;

use super::second_factor_page::SecondFactor;
use super::sign_in_page::name_and_password;
use super::{BrowserCall, Person, with_cookie};
use crate::conditional_access::Requirement;
use crate::device_code::DeviceState;
use crate::page::{Field, FieldKind, Html, HtmlForm};
use crate::refusal::Refusal;
use crate::sign_in::SignIn;

impl SignIn<'_> {
    /// The form came back: code, name and password at once, or the second factor.
    pub(super) fn enter_device_code(&mut self, call: &BrowserCall<'_>) -> Response<Bytes> {
        if let Some(user_code) = call.form.get("user_code") {
            return match call.marked_person(user_code) {
                Some(person) => self.device_second_factor(call, person, user_code),
                None => self.device_page(call, None),
            };
        }
        let user_code = call.form.get("otc").unwrap_or_default();
        let session = match self.password_session(&call.form, &call.browser) {
            Ok(session) => session,
            Err(refusal) => return self.device_refused(call, &refusal),
        };
        if call.form.get("action") == Some("cancel") {
            return self.decline(call, user_code);
        }
        let person = self.remember(call, &session);
        let answer = self.approve_on_page(call, &person, user_code);
        with_cookie(answer, &person.cookie)
    }

    fn device_second_factor(
        &mut self,
        call: &BrowserCall<'_>,
        mut person: Person,
        user_code: &str,
    ) -> Response<Bytes> {
        if call.form.get("action") == Some("cancel") {
            return self.decline(call, user_code);
        }
        if !self.has_shown_code(call, &mut person, user_code) {
            let is_first = call.form.get("first") == Some("1");
            let factor = self.factor_of_device(call, &person, user_code, is_first);
            return self.ask_second_factor(&factor, Some(&Refusal::wrong_second_factor()));
        }
        self.approve_on_page(call, &person, user_code)
    }

    fn approve_on_page(
        &mut self,
        call: &BrowserCall<'_>,
        person: &Person,
        user_code: &str,
    ) -> Response<Bytes> {
        let unmet = self.unmet_for_device(user_code, &person.session);
        if let Some(unmet) = unmet.filter(|unmet| unmet.requirement.can_be_met()) {
            let is_first = unmet.requirement == Requirement::EnrolMfa;
            let factor = self.factor_of_device(call, person, user_code, is_first);
            return self.ask_second_factor(&factor, None);
        }
        match self.approve_device(user_code, &person.session) {
            Ok(true) => self
                .device_done("You have signed in on your device. You may now close this window."),
            Ok(false) => self.device_page(call, Some(UNKNOWN_CODE)),
            Err(refusal) => self.device_refused(call, &refusal),
        }
    }

    fn decline(&self, call: &BrowserCall<'_>, user_code: &str) -> Response<Bytes> {
        if self.settle_device(user_code, DeviceState::Declined) {
            return self.device_done("The sign-in was declined. You may now close this window.");
        }
        self.device_page(call, Some(UNKNOWN_CODE))
    }

    fn factor_of_device<'a>(
        &self,
        call: &BrowserCall<'_>,
        person: &'a Person,
        user_code: &'a str,
        is_first: bool,
    ) -> SecondFactor<'a> {
        SecondFactor {
            person,
            action: self.form_action(call, "oauth2/deviceauth"),
            subject: ("user_code", user_code),
            is_first,
        }
    }

    fn device_done(&self, text: &str) -> Response<Bytes> {
        let body = Html::default().paragraph(text);
        self.page("Device sign-in", body).answer()
    }

    fn device_refused(&self, call: &BrowserCall<'_>, refusal: &Refusal) -> Response<Bytes> {
        self.device_page(call, Some(&refusal.sentence()))
    }

    pub(super) fn device_page(
        &self,
        call: &BrowserCall<'_>,
        problem: Option<&str>,
    ) -> Response<Bytes> {
        let sent = |name| call.form.get(name).unwrap_or_default().to_owned();
        let mut fields = vec![Field {
            label: "Code",
            name: "otc",
            value: sent("otc"),
            kind: FieldKind::DeviceCode,
        }];
        fields.extend(name_and_password(sent("loginfmt")));
        let form = HtmlForm {
            action: self.form_action(call, "oauth2/deviceauth"),
            fields,
            buttons: vec![("Sign in", "next"), ("Decline", "cancel")],
            is_wrong: problem.is_some(),
            ..HtmlForm::default()
        };
        let body = Html::default()
            .paragraph("Enter the code that your app or device shows, and sign in.")
            .problem(problem)
            .and(form.html());
        self.page("Enter code to allow access", body).answer()
    }
}

const UNKNOWN_CODE: &str = "That code didn't work. Check the code and try again.";
