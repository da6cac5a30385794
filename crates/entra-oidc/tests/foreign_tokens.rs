//! Tokens that other implementations made.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(clippy::panic, reason = "a test that cannot go on fails")]

mod minting;

use std::collections::BTreeMap;

use entra_core::JwkSet;
use entra_oidc::{IdTokenRefusal, IdTokenRules};
use minting::{expected, one_tenant, validate_with, with_keys};
use serde::Deserialize;

#[derive(Deserialize)]
struct Foreign {
    token: String,
    refusal: Option<String>,
}

#[test]
fn tokens_of_joserfc_and_cryptography_are_accepted_or_refused_as_they_were_made_to_be() {
    let tokens: BTreeMap<String, Foreign> =
        serde_json::from_str(include_str!("fixtures/jose/tokens.json")).unwrap();
    assert_eq!(tokens.len(), 32);
    let keys = JwkSet::parse(include_bytes!("fixtures/jose/keys.json")).unwrap();
    assert_eq!(keys.skipped(), []);
    let validator = with_keys(&one_tenant(), keys, IdTokenRules::new());
    for (name, Foreign { token, refusal }) in &tokens {
        let mut login = expected();
        if matches!(name.as_str(), "hybrid" | "code-of-another") {
            login.code = Some("0.AVgAthe-code_of_the-hybrid.answer");
        }
        let found = validate_with(&validator, token, &login).err();
        let found = found.map(|refusal| variant(&refusal));
        assert_eq!(&found, refusal, "{name}");
    }
}

/// The name of the innermost variant.
fn variant(refusal: &IdTokenRefusal) -> String {
    let text = format!("{refusal:?}");
    let inner = text.trim_start_matches("Token(").trim_start_matches("Jwt(");
    let end = inner.find(|c: char| !c.is_alphanumeric());
    inner.get(..end.unwrap_or(inner.len())).unwrap().to_owned()
}
