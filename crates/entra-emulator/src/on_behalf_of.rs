//! A service acts for the user of the token that it was called with.
//!
//! Microsoft Learn, "Microsoft identity platform and OAuth 2.0 On-Behalf-Of flow"; RFC 7523.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use time::OffsetDateTime;

use crate::access_token::{TokenFault, VerifiedToken};
use crate::claims_request::ClaimsRequest;
use crate::client::{Client, Platform};
use crate::form::Form;
use crate::refusal::Refusal;
use crate::scope::ScopeRequest;
use crate::sessions::{BrowserSession, UserGrant};
use crate::tenant::text_of;
use crate::token::{Issued, TokenCall};
use crate::user_tokens::{Redemption, refresh_until};

impl TokenCall<'_> {
    /// The middle tier has to prove itself, and the assertion to be for it and from a user.
    pub(crate) fn on_behalf_of(&self, form: &Form) -> Result<Issued, Refusal> {
        let assertion = form.required("assertion")?;
        let scope_text = form.required("scope")?;
        match form.required("requested_token_use")? {
            "on_behalf_of" => {}
            other => return Err(Refusal::not_on_behalf_of(other)),
        }
        let app_id = form.client_id()?;
        let client = Client::for_users(self.tenant, self.segment, &app_id, self.now)?;
        let proof = self.prove_client(&client, Platform::Web, form)?;
        let token = self.user_assertion(&client, assertion)?;
        let user_id = token
            .caller
            .user_id
            .ok_or_else(|| Refusal::not_allowed_on_behalf_of(client.app_id()))?;
        let scope = ScopeRequest::parse(scope_text)?;
        let sid = claim(assertion, "sid")
            .and_then(|sid| sid.as_str().map(str::to_owned))
            .unwrap_or_default();
        let session = BrowserSession {
            second_factor: self.sessions.open().second_factors.get(&sid).copied(),
            id: sid,
            generation: self.tenant.session_generation(&user_id),
            user_id,
            signed_in: self.now,
        };
        let grant = UserGrant {
            app_id,
            platform: Platform::Web,
            session,
            scope: scope_text.to_owned(),
            claims: ClaimsRequest::default(),
            nonce: None,
        };
        let refresh_until = scope
            .offline_access
            .then(|| refresh_until(Platform::Web, self.now));
        self.redeem(
            form,
            Redemption {
                client,
                proof,
                grant,
                scope,
                refresh_until,
            },
        )
    }

    /// The token of the caller: signed here, for this client, and still valid.
    fn user_assertion(
        &self,
        client: &Client<'_>,
        assertion: &str,
    ) -> Result<VerifiedToken, Refusal> {
        let token = VerifiedToken::verify(assertion, self.tenant, self.origin, self.now)
            .map_err(|fault| self.assertion_refusal(fault, assertion))?;
        let is_for_client = self
            .tenant
            .resource(&token.audience)
            .is_some_and(|resource| text_of(resource, "appId") == client.app_id());
        if is_for_client {
            Ok(token)
        } else {
            let (id, name) = (client.app_id(), client.name());
            Err(Refusal::user_assertion_for_another(
                &token.audience,
                id,
                name,
            ))
        }
    }

    fn assertion_refusal(&self, fault: TokenFault, assertion: &str) -> Refusal {
        let reason = match fault {
            TokenFault::Expired => {
                let expiry = claim(assertion, "exp")
                    .and_then(|expiry| expiry.as_i64())
                    .and_then(|expiry| OffsetDateTime::from_unix_timestamp(expiry).ok());
                return Refusal::user_assertion_expired(self.now, expiry.unwrap_or(self.now));
            }
            TokenFault::Malformed => "The token is malformed.",
            TokenFault::Signature => {
                "The provided signature value did not match the expected signature value."
            }
            TokenFault::Issuer => "The token was issued by another tenant.",
            TokenFault::NotYetValid => "The token is not yet valid.",
        };
        Refusal::user_assertion_invalid(reason)
    }
}

/// A claim of a token whose signature was checked before.
fn claim(token: &str, name: &str) -> Option<Value> {
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let mut claims: serde_json::Map<String, Value> = serde_json::from_slice(&payload).ok()?;
    claims.remove(name)
}
