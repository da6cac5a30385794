//! Authorization codes (RFC 6749 4.1, RFC 7636).
//!
//! Microsoft Learn, "Microsoft identity platform and OAuth 2.0 authorization code flow".

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use time::Duration;

use crate::client::{Client, Platform};
use crate::form::Form;
use crate::refusal::Refusal;
use crate::scope::ScopeRequest;
use crate::sessions::UserGrant;
use crate::token::{Issued, TokenCall};
use crate::user_tokens::{Redemption, refresh_until};

/// What a code stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AuthorizationCode {
    pub(crate) grant: UserGrant,
    pub(crate) redirect_uri: String,
    pub(crate) challenge: Option<Challenge>,
    pub(crate) is_redeemed: bool,
}

/// `code_challenge` with its method.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Challenge {
    Plain(String),
    S256(String),
}

impl TokenCall<'_> {
    /// RFC 6749 4.1.3.
    pub(crate) fn authorization_code(&self, form: &Form) -> Result<Issued, Refusal> {
        let text = form.required("code")?;
        let redirect_uri = form.required("redirect_uri")?;
        let app_id = form.client_id()?;
        let client = Client::for_users(self.tenant, self.segment, &app_id, self.now)?;
        let code = self.code(text, &app_id)?;
        let platform = code.grant.platform;
        let proof = self.prove_client(&client, platform, form)?;
        if code.redirect_uri != redirect_uri {
            let expected = &code.redirect_uri;
            return Err(Refusal::redirect_uri_changed(redirect_uri, expected));
        }
        if code.challenge.is_none() && platform == Platform::Spa {
            return Err(Refusal::code_challenge_needed());
        }
        check_verifier(code.challenge.as_ref(), form.get("code_verifier"))?;
        let scope = ScopeRequest::parse(form.get("scope").unwrap_or(&code.grant.scope))?;
        let wants_refresh =
            scope.offline_access || ScopeRequest::parse(&code.grant.scope)?.offline_access;
        let issued = self.redeem(
            form,
            Redemption {
                client,
                proof,
                grant: code.grant,
                scope,
                refresh_until: wants_refresh.then(|| refresh_until(platform, self.now)),
            },
        )?;
        if let Some(code) = self.sessions.open().codes.find_mut(text) {
            code.value.is_redeemed = true;
        }
        Ok(issued)
    }

    fn code(&self, text: &str, app_id: &str) -> Result<AuthorizationCode, Refusal> {
        let sessions = self.sessions.open();
        let code = sessions
            .codes
            .find(text)
            .ok_or_else(Refusal::malformed_grant)?;
        if !code.value.grant.app_id.eq_ignore_ascii_case(app_id) {
            return Err(Refusal::grant_of_another_client());
        }
        if code.value.is_redeemed {
            return Err(Refusal::code_redeemed());
        }
        if code.is_expired(self.now) {
            return Err(Refusal::code_expired());
        }
        Ok(code.value.clone())
    }
}

/// RFC 7636 4.6. A verifier where there was no challenge is refused too: RFC 9700 2.1.1 asks for
/// it against downgrades.
fn check_verifier(challenge: Option<&Challenge>, verifier: Option<&str>) -> Result<(), Refusal> {
    let matches = match (challenge, verifier) {
        (None, None) => true,
        (Some(Challenge::Plain(challenge)), Some(verifier)) => challenge == verifier,
        (Some(Challenge::S256(challenge)), Some(verifier)) => {
            let hash = digest::digest(&digest::SHA256, verifier.as_bytes());
            *challenge == URL_SAFE_NO_PAD.encode(hash)
        }
        _ => false,
    };
    if matches {
        Ok(())
    } else {
        Err(Refusal::code_verifier_mismatch())
    }
}

/// How long a code is valid: about ten minutes.
pub(crate) const CODE_LIFETIME: Duration = Duration::minutes(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verifier_of_the_example_in_rfc_7636_matches_its_challenge() {
        let challenge = Challenge::S256("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM".to_owned());
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        assert_eq!(check_verifier(Some(&challenge), Some(verifier)), Ok(()));
        for (challenge, verifier) in [
            (Some(&challenge), Some("another")),
            (Some(&challenge), None),
            (None, Some(verifier)),
            (Some(&Challenge::Plain("a".to_owned())), Some("b")),
        ] {
            let refusal = check_verifier(challenge, verifier).unwrap_err();
            assert_eq!(refusal.code(), 501_481);
        }
        let plain = Challenge::Plain("a".to_owned());
        assert_eq!(check_verifier(Some(&plain), Some("a")), Ok(()));
    }
}
