//! What an application wants to do for the person.

use bytes::Bytes;
use http::Response;

use super::{BrowserCall, Pending, Person};
use crate::authorization::{ConsentTo, Interaction, Step};
use crate::authorize::{AuthorizationRequest, Denial};
use crate::client::Client;
use crate::form::Form;
use crate::page::{Html, HtmlForm};
use crate::refusal::Refusal;
use crate::sign_in::SignIn;

impl SignIn<'_> {
    /// The form about consent came back, with a mark as that of the second factor.
    pub(super) fn consent(&mut self, call: &BrowserCall<'_>) -> Result<Response<Bytes>, Denial> {
        let raw = call.form.get("request").unwrap_or_default();
        let parameters = Form::parse(raw.as_bytes());
        let request =
            AuthorizationRequest::parse(self.tenant, call.segment, &parameters, self.now)?;
        let pending = Pending {
            raw,
            request: &request,
        };
        let Some(person) = call.marked_person(raw) else {
            return Ok(self.sign_in_page(call, pending, None));
        };
        if call.form.get("action") != Some("accept") {
            return Err(Denial::Replied(Refusal::consent_declined(), request.reply));
        }
        let mut interaction = Interaction {
            is_fresh: true,
            has_consented: false,
        };
        let step = self.next_step(&request, Some(&person.session), interaction)?;
        if let Step::Consent(consents) = step {
            self.accept(&request.app_id, &person.session.user_id, &consents);
        }
        interaction.has_consented = true;
        self.proceed(call, pending, Some(&person), interaction)
    }

    pub(super) fn consent_page(
        &self,
        call: &BrowserCall<'_>,
        pending: Pending<'_>,
        person: &Person,
        consents: &[ConsentTo],
    ) -> Response<Bytes> {
        let client = Client::find(self.tenant, &pending.request.app_id, self.now);
        let client = client.map_or("", |client| client.name());
        let mut body = Html::default()
            .paragraph(self.user_name(&person.session))
            .paragraph(&[client, " would like to use:"].concat())
            .open("ul", &[]);
        for consent in consents {
            let permissions = consent.shown.join(", ");
            let text = [&consent.resource_name, ": ", &permissions].concat();
            body = body.line("li", &[], &text);
        }
        let form = HtmlForm {
            action: self.form_action(call, "consent"),
            hidden: vec![
                ("request", pending.raw.to_owned()),
                ("sid", person.session.id.clone()),
                ("canary", person.canary(pending.raw)),
            ],
            buttons: vec![("Accept", "accept"), ("Cancel", "cancel")],
            ..HtmlForm::default()
        };
        let body = body.close("ul").and(form.html());
        self.page("Permissions requested", body).answer()
    }
}
