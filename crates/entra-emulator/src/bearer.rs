//! The access token of a call to Microsoft Graph or to the resource manager.

use bytes::Bytes;
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{HeaderValue, Request, Response, StatusCode};
use serde_json::json;
use time::OffsetDateTime;
use time::macros::format_description;
use url::Url;
use uuid::Uuid;

use crate::access_token::{TokenFault, VerifiedToken};
use crate::refusal::context_claim;
use crate::revocation::{self, IssuedToken};
use crate::tenant::Tenant;

/// Verifies the bearer token of a request.
pub(crate) fn verify(
    tenant: &Tenant,
    origin: &Url,
    request: &Request<Bytes>,
    now: OffsetDateTime,
) -> Result<VerifiedToken, BearerRefusal> {
    let header = request
        .headers()
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .ok_or(BearerRefusal::Missing)?;
    let token = match header.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
        _ => return Err(BearerRefusal::Missing),
    };
    if token.is_empty() {
        return Err(BearerRefusal::Missing);
    }
    let token = VerifiedToken::verify(token, tenant, origin, now).map_err(BearerRefusal::Token)?;
    let user = token.caller.user_id.as_deref();
    let issued = IssuedToken {
        subject: user.unwrap_or(&token.caller.service_principal_id),
        is_user: user.is_some(),
        issued_at: token.issued_at,
        understands_challenges: token.understands_challenges,
    };
    match tenant.claims_challenge(&issued, now) {
        Some(challenge) => Err(BearerRefusal::Claims(challenge)),
        None => Ok(token),
    }
}

/// Why a call has no caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum BearerRefusal {
    Missing,
    Token(TokenFault),
    Audience,
    /// The token is not enough: what it lacks, as a claims challenge.
    Claims(String),
    /// The user has to sign in to this authentication context.
    Context(u8),
}

impl BearerRefusal {
    /// Graph's answer: 401 with the code `InvalidAuthenticationToken` and a challenge (Microsoft
    /// Learn, "Resolve Microsoft Graph authorization errors"; the header and the messages as
    /// clients report them).
    pub(crate) fn answer(
        &self,
        origin: &Url,
        request: &Request<Bytes>,
        now: OffsetDateTime,
    ) -> Response<Bytes> {
        let request_id = Uuid::new_v4().to_string();
        let client_request_id = request
            .headers()
            .get("client-request-id")
            .cloned()
            .or_else(|| HeaderValue::from_str(&request_id).ok());
        let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]");
        let body = json!({
            "error": {
                "code": "InvalidAuthenticationToken",
                "message": self.message(),
                "innerError": {
                    "date": now.format(format).unwrap_or_default(),
                    "request-id": request_id,
                    "client-request-id": client_request_id.as_ref().and_then(|id| id.to_str().ok()),
                },
            },
        });
        let mut answer = Response::new(Bytes::from(body.to_string()));
        *answer.status_mut() = StatusCode::UNAUTHORIZED;
        let mut challenge = format!(
            "Bearer realm=\"\", authorization_uri=\"{origin}common/oauth2/authorize\", \
             client_id=\"00000003-0000-0000-c000-000000000000\""
        );
        let claims = match self {
            Self::Claims(claims) => Some(claims.clone()),
            Self::Context(context) => {
                let claims = json!({"access_token": context_claim(*context)});
                Some(revocation::challenge(&claims))
            }
            _ => None,
        };
        if let Some(claims) = claims {
            challenge.push_str(&format!(
                ", error=\"insufficient_claims\", claims=\"{claims}\""
            ));
        }
        let headers = [
            (
                http::header::CONTENT_TYPE.as_str(),
                HeaderValue::from_str("application/json").ok(),
            ),
            (
                WWW_AUTHENTICATE.as_str(),
                HeaderValue::from_str(&challenge).ok(),
            ),
            ("request-id", HeaderValue::from_str(&request_id).ok()),
            ("client-request-id", client_request_id),
        ];
        for (name, value) in headers {
            if let (Ok(name), Some(value)) = (http::HeaderName::try_from(name), value) {
                answer.headers_mut().insert(name, value);
            }
        }
        answer
    }

    fn message(&self) -> &'static str {
        match self {
            Self::Missing => "Access token is empty.",
            Self::Claims(_) => {
                "Continuous access evaluation resulted in challenge with result: \
                 InteractionRequired and code: TokenIssuedBeforeRevocationTimestamp"
            }
            Self::Context(_) => "The access token lacks a required authentication context.",
            Self::Audience => "Access token validation failure. Invalid audience.",
            Self::Token(TokenFault::Malformed) => {
                "IDX14100: JWT is not well formed, there are no dots (.).\nThe token needs to be \
                 in JWS or JWE Compact Serialization Format."
            }
            Self::Token(TokenFault::Signature) => "Signature is invalid",
            Self::Token(TokenFault::Issuer) => "Access token validation failure. Invalid issuer.",
            Self::Token(TokenFault::Expired) => "Lifetime validation failed, the token is expired.",
            Self::Token(TokenFault::NotYetValid) => "Access token has expired or is not yet valid.",
        }
    }
}
