//! An assertion that another issuer signed: workload identity federation.
//!
//! Microsoft Learn, "Workload identity federation concepts" and "Configure an application to trust
//! a managed identity". Issuer, subject and audience have to be those of one federated identity
//! credential, letter by letter (Learn, "What's new for authentication?": case-sensitive matching
//! since September 2024). The codes and texts are as users report them.

use serde_json::Value;
use time::OffsetDateTime;
use url::Url;

use super::ClientAssertion;
use crate::access_token::issuer_v2;
use crate::keys::SigningKey;
use crate::refusal::Refusal;
use crate::tenant::{
    FEDERATED_CREDENTIALS, Object, TOKEN_EXCHANGE_APP_ID, Tenant, items_of, text_of,
};
use crate::workload_issuer;

impl ClientAssertion<'_> {
    /// Whether it was not the application itself that signed it.
    pub(super) fn is_federated(&self) -> bool {
        self.claims.iss.contains("://")
    }

    /// Every check, in this order: issuer, subject, audience, key, signature, time.
    pub(super) fn verify_federated(
        &self,
        tenant: &Tenant,
        (app_id, origin): (&str, &Url),
        now: OffsetDateTime,
    ) -> Result<(), Refusal> {
        let entra = issuer_v2(origin, tenant.id());
        self.match_credential(tenant, app_id, &entra, now)?;
        self.verify_with(self.key(tenant, origin, &entra)?)?;
        self.verify_time(now)
    }

    fn match_credential(
        &self,
        tenant: &Tenant,
        app_id: &str,
        entra: &str,
        now: OffsetDateTime,
    ) -> Result<(), Refusal> {
        let issuer = &self.claims.iss;
        let application = tenant.application_by_app_id(app_id, now);
        let all: Vec<&Object> = application
            .map(|application| items_of(application, FEDERATED_CREDENTIALS))
            .unwrap_or_default()
            .iter()
            .filter_map(Value::as_object)
            .collect();
        if all.is_empty() {
            let name = application.map(|application| text_of(application, "displayName"));
            return Err(Refusal::no_federated_credential(
                app_id,
                name.unwrap_or_default(),
            ));
        }
        let of_issuer = || all.iter().filter(|fic| text_of(fic, "issuer") == issuer);
        if of_issuer().next().is_none() {
            return Err(Refusal::no_federated_issuer(issuer));
        }
        let subject = &self.claims.sub;
        let Some(fic) = of_issuer().find(|fic| text_of(fic, "subject") == subject) else {
            let almost =
                of_issuer().any(|fic| text_of(fic, "subject").eq_ignore_ascii_case(subject));
            return Err(match (issuer == entra, almost) {
                (_, true) => Refusal::federated_subject_in_another_case(subject),
                (true, _) => Refusal::no_federated_principal(subject),
                (false, _) => Refusal::no_federated_subject(subject),
            });
        };
        let audience = items_of(fic, "audiences").first().and_then(Value::as_str);
        self.match_audience(audience.unwrap_or_default(), issuer == entra)
    }

    /// Tokens of Entra itself name the audience by the id of its application.
    fn match_audience(&self, expected: &str, is_entra: bool) -> Result<(), Refusal> {
        if is_entra && expected != EXCHANGE {
            return Err(Refusal::federated_audience_of_entra(expected));
        }
        let expected = if is_entra {
            TOKEN_EXCHANGE_APP_ID
        } else {
            expected
        };
        if self.claims.aud.contains(expected) {
            return Ok(());
        }
        Err(Refusal::no_federated_audience(&self.claims.aud.to_string()))
    }

    /// The issuer's key of the name that the assertion gives. Only this tenant and its cluster can
    /// be asked for theirs.
    fn key(
        &self,
        tenant: &Tenant,
        origin: &Url,
        entra: &str,
    ) -> Result<&'static SigningKey, Refusal> {
        let issuer = &self.claims.iss;
        let kid = self.header.kid.as_deref().unwrap_or_default();
        let key = if issuer == entra {
            tenant.keys.find(kid)
        } else if *issuer == workload_issuer::issuer(origin) {
            Some(SigningKey::of_cluster()).filter(|key| key.key_id() == kid)
        } else {
            return Err(Refusal::issuer_unreachable());
        };
        if self.header.alg != "RS256" {
            return Err(Refusal::invalid_assertion(
                "The algorithm of the signature is not supported.",
            ));
        }
        key.ok_or_else(|| Refusal::federated_key_not_found(kid, issuer))
    }

    fn verify_with(&self, key: &SigningKey) -> Result<(), Refusal> {
        if key.has_signed(self.message.as_bytes(), &self.signature) {
            Ok(())
        } else {
            Err(Refusal::invalid_assertion("The signature does not verify."))
        }
    }
}

const EXCHANGE: &str = "api://AzureADTokenExchange";
