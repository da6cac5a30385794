//! Refresh tokens (RFC 6749 6).
//!
//! Microsoft Learn, "Refresh tokens in the Microsoft identity platform": bound to user and client,
//! not to a resource; each use gives a new one, and the old one stays valid.

use crate::client::{Client, Platform};
use crate::form::Form;
use crate::refusal::Refusal;
use crate::scope::ScopeRequest;
use crate::sessions::UserGrant;
use crate::tickets::Ticket;
use crate::token::{Issued, TokenCall};
use crate::user_tokens::{Redemption, refresh_until};

impl TokenCall<'_> {
    /// RFC 6749 6.
    pub(crate) fn refresh(&self, form: &Form) -> Result<Issued, Refusal> {
        let text = form.required("refresh_token")?;
        let app_id = form.client_id()?;
        let client = Client::for_users(self.tenant, self.segment, &app_id, self.now)?;
        let known = self.sessions.open().refresh_tokens.find(text).cloned();
        let token = known.ok_or_else(Refusal::malformed_grant)?;
        if !token.value.app_id.eq_ignore_ascii_case(&app_id) {
            return Err(Refusal::grant_of_another_client());
        }
        let platform = token.value.platform;
        let proof = self.prove_client(&client, platform, form)?;
        if token.is_expired(self.now) {
            return Err(expired(&token));
        }
        let scope = ScopeRequest::parse(form.get("scope").unwrap_or(&token.value.scope))?;
        // That of a page ends when the first one ends.
        let until = match platform {
            Platform::Spa => token.expires,
            Platform::Web | Platform::PublicClient => refresh_until(platform, self.now),
        };
        self.redeem(
            form,
            Redemption {
                client,
                proof,
                grant: token.value,
                scope,
                refresh_until: Some(until),
            },
        )
    }
}

fn expired(token: &Ticket<UserGrant>) -> Refusal {
    match token.value.platform {
        Platform::Spa => Refusal::refresh_token_of_page_expired(token.issued),
        Platform::Web | Platform::PublicClient => Refusal::refresh_token_inactive(token.issued),
    }
}
