//! What an API answers to a caller whom it refuses: the header `WWW-Authenticate` (RFC 6750,
//! section 3).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use serde::Serialize;

use crate::AuthContext;

/// A challenge of the scheme `Bearer`, with its parameters.
pub(crate) struct Challenge(String);

impl Challenge {
    /// Without parameters: there was no token (RFC 6750 3.1).
    pub(crate) fn bare() -> Self {
        Self("Bearer".to_owned())
    }

    pub(crate) fn of(error: &str, description: &str) -> Self {
        Self::bare()
            .with("error", error)
            .with("error_description", description)
    }

    /// A parameter. What may not stand in one is left out (RFC 6750 3: `%x20-21 / %x23-5B /
    /// %x5D-7E`), so that nothing ends the text or the header early.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        let separator = if self.0.contains('=') { ", " } else { " " };
        let may_stand = |c: &char| matches!(c, ' '..='~') && !matches!(c, '"' | '\\');
        self.0.extend([separator, name, "=\""]);
        self.0.extend(value.chars().filter(may_stand));
        self.0.push('"');
        self
    }

    /// The claims that the next token has to have (Microsoft Learn, "Claims challenges, claims
    /// requests, and client capabilities").
    pub(crate) fn with_auth_context(self, context: AuthContext) -> Self {
        let request = ClaimsRequest {
            access_token: AccessTokenClaims {
                acrs: ClaimRequest {
                    essential: true,
                    value: context,
                },
            },
        };
        let json = serde_json::to_vec(&request).unwrap_or_default();
        self.with("claims", &STANDARD.encode(json))
    }

    pub(crate) fn into_header(self) -> Option<HeaderValue> {
        HeaderValue::try_from(self.0).ok()
    }
}

/// OpenID Connect Core 5.5, for an access token.
#[derive(Serialize)]
struct ClaimsRequest {
    access_token: AccessTokenClaims,
}

#[derive(Serialize)]
struct AccessTokenClaims {
    acrs: ClaimRequest,
}

#[derive(Serialize)]
struct ClaimRequest {
    essential: bool,
    value: AuthContext,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_is_one_header_whatever_its_texts_are() {
        let header = |challenge: Challenge| challenge.into_header().unwrap();
        assert_eq!(header(Challenge::bare()), "Bearer");
        assert_eq!(
            header(
                Challenge::of("invalid_token", "a \"b\"\\\r\nSet-Cookie: c=d é")
                    .with("scope", "x y")
            ),
            "Bearer error=\"invalid_token\", error_description=\"a bSet-Cookie: c=d \", scope=\"x y\""
        );
    }

    #[test]
    fn an_authentication_context_is_asked_for_as_a_claims_request() {
        let context = AuthContext::parse("c25").unwrap();
        let challenge = Challenge::bare()
            .with_auth_context(context)
            .into_header()
            .unwrap();
        // `printf '{"access_token":{"acrs":{"essential":true,"value":"c25"}}}' | base64`
        assert_eq!(
            challenge,
            "Bearer claims=\"eyJhY2Nlc3NfdG9rZW4iOnsiYWNycyI6eyJlc3NlbnRpYWwiOnRydWUsInZhbHVlIjoiYzI1In19fQ==\""
        );
    }
}
