//! The `claims` parameter (OpenID Connect Core 5.5).
//!
//! Microsoft Learn, "Claims challenges, claims requests and client capabilities": `xms_cc` says
//! what the client can do, `acrs` asks for an authentication context.

use serde_json::{Map, Value};

use crate::refusal::Refusal;

/// What a request says about the claims of its tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ClaimsRequest {
    /// `access_token.xms_cc`: `cp1` where the client understands claims challenges.
    pub(crate) capabilities: Vec<String>,
    /// `access_token.acrs`
    pub(crate) access_token_contexts: Vec<String>,
    /// `id_token.acrs`
    pub(crate) id_token_contexts: Vec<String>,
}

impl ClaimsRequest {
    /// Reads the parameter, where there is one.
    pub(crate) fn parse(text: Option<&str>) -> Result<Self, Refusal> {
        let Some(text) = text else {
            return Ok(Self::default());
        };
        let claims: Map<String, Value> = serde_json::from_str(text)
            .map_err(|_| Refusal::invalid_claims("it is not a JSON object"))?;
        let of = |token: &str, claim: &str| values(claims.get(token), token, claim);
        Ok(Self {
            capabilities: of("access_token", "xms_cc")?,
            access_token_contexts: of("access_token", "acrs")?,
            id_token_contexts: of("id_token", "acrs")?,
        })
    }

    /// The authentication contexts of all tokens.
    pub(crate) fn contexts(&self) -> impl Iterator<Item = &str> {
        let all = self.access_token_contexts.iter();
        all.chain(&self.id_token_contexts).map(String::as_str)
    }

    /// Whether the client understands claims challenges.
    pub(crate) fn understands_challenges(&self) -> bool {
        self.capabilities
            .iter()
            .any(|name| name.eq_ignore_ascii_case("cp1"))
    }
}

/// `{"value": "c1"}` or `{"values": ["c1", "c2"]}`; null asks for the claim and for no value.
fn values(token: Option<&Value>, part: &str, claim: &str) -> Result<Vec<String>, Refusal> {
    let malformed = || Refusal::invalid_claims(&format!("'{part}.{claim}' is malformed"));
    let claim = match token {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Object(claims)) => claims.get(claim),
        Some(_) => return Err(malformed()),
    };
    let wanted = match claim {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Object(wanted)) => wanted,
        Some(_) => return Err(malformed()),
    };
    let text = |value: &Value| value.as_str().map(str::to_owned).ok_or_else(malformed);
    match (wanted.get("values"), wanted.get("value")) {
        (Some(Value::Array(values)), _) => values.iter().map(text).collect(),
        (Some(_), _) => Err(malformed()),
        (None, Some(value)) => Ok(vec![text(value)?]),
        (None, None) => Ok(Vec::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_and_contexts_are_read() {
        let text = r#"{"access_token": {"xms_cc": {"values": ["CP1"]}, "nbf": {"value": "1"}},
            "id_token": {"acrs": {"essential": true, "value": "c1"}, "email": null}}"#;
        let claims = ClaimsRequest::parse(Some(text)).unwrap();
        assert!(claims.understands_challenges());
        assert_eq!(claims.id_token_contexts, ["c1"]);
        assert_eq!(claims.access_token_contexts, Vec::<String>::new());
        assert_eq!(ClaimsRequest::parse(None), Ok(ClaimsRequest::default()));
    }

    #[test]
    fn what_is_no_request_for_claims_is_refused() {
        for text in [
            "cp1",
            "[]",
            r#"{"access_token": []}"#,
            r#"{"access_token": {"xms_cc": "cp1"}}"#,
            r#"{"access_token": {"xms_cc": {"values": "cp1"}}}"#,
            r#"{"id_token": {"acrs": {"value": 1}}}"#,
        ] {
            let refusal = ClaimsRequest::parse(Some(text)).unwrap_err();
            assert_eq!(refusal.code(), 90023, "{text}");
        }
    }
}
