//! The token endpoint (RFC 6749 3.2): the request of every grant, and what comes back.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use serde::Deserialize;
use time::OffsetDateTime;
use url::form_urlencoded::Serializer;

use crate::aadsts::{class_of, codes_in, explain_aadsts};
use crate::client_credential::Proof;
use crate::error::{ErrorResponse, RequestIds};
use crate::pipeline::CallSettings;
use crate::token::TokenData;
use crate::{
    Authority, ClientCredential, ClientId, Error, Explanation, Operation, Pipeline, RetryClass,
    Secret, ThrottleScope, TokenErrorKind, TokenRequest, retry,
};

/// One application at one authority's token endpoint.
#[derive(Debug)]
pub(crate) struct TokenEndpoint {
    authority: Authority,
    client: ClientId,
    pipeline: Pipeline,
    scope: Arc<ThrottleScope>,
    url: String,
}

impl TokenEndpoint {
    pub(crate) fn new(authority: Authority, client: ClientId, pipeline: Pipeline) -> Self {
        let url = authority.token_endpoint();
        let scope = ThrottleScope::new(
            url.host_str().unwrap_or_default(),
            authority.tenant().segment(),
            client.to_string(),
        );
        Self {
            authority,
            client,
            pipeline,
            scope: Arc::new(scope),
            url: url.into(),
        }
    }

    pub(crate) fn authority(&self) -> &Authority {
        &self.authority
    }

    pub(crate) fn client(&self) -> &ClientId {
        &self.client
    }

    pub(crate) fn pipeline(&self) -> &Pipeline {
        &self.pipeline
    }

    /// Asks for a token. `clock_offset` is what the service's clock is known to be ahead of this
    /// machine's.
    pub(crate) async fn redeem(
        &self,
        grant: Grant<'_>,
        credential: &ClientCredential,
        clock_offset: time::Duration,
        effort: Effort,
    ) -> Result<Issued, (Error, Option<OffsetDateTime>)> {
        let mut settings = CallSettings::new("POST /oauth2/v2.0/token", grant.operation());
        settings.scope = Some(Arc::clone(&self.scope));
        settings.once = effort == Effort::Once;
        let clock = self.pipeline.clock();
        let started = clock.now();
        let answer = self
            .pipeline
            .send_each(settings, || async {
                let now = clock.now().saturating_add(clock_offset);
                let proof = credential.proof(&self.url, &self.client, now).await?;
                self.request(&grant, &proof)
            })
            .await;
        match answer {
            Ok(response) => {
                let date = retry::date(response.headers());
                let data = self
                    .read(&response, started)
                    .map_err(|error| (error, date))?;
                Ok(Issued { data, date })
            }
            Err(Error::Response(refusal)) => Err((self.read_refusal(&refusal), refusal.date)),
            Err(error) => Err((error, None)),
        }
    }

    fn request(&self, grant: &Grant<'_>, proof: &Proof) -> Result<http::Request<Bytes>, Error> {
        let mut form = Serializer::new(String::new());
        form.append_pair("client_id", &self.client.to_string());
        grant.append_to(&mut form);
        match proof {
            Proof::Secret(secret) => {
                form.append_pair("client_secret", secret.expose());
            }
            Proof::Assertion(assertion) => {
                form.append_pair("client_assertion_type", JWT_BEARER);
                form.append_pair("client_assertion", assertion.expose());
            }
        }
        http::Request::post(&self.url)
            .header(
                http::header::CONTENT_TYPE,
                "application/x-www-form-urlencoded",
            )
            .header(http::header::ACCEPT, "application/json")
            // The sign-in service answers a real 429 only to clients that say they honour it.
            .header("x-ms-lib-capability", "retry-after, h429")
            .header("x-client-sku", "entra-core")
            .header("x-client-ver", env!("CARGO_PKG_VERSION"))
            .body(Bytes::from(form.finish()))
            .map_err(|_| Error::InvalidRequest("the token endpoint's URL cannot be called"))
    }

    fn read(
        &self,
        response: &http::Response<Bytes>,
        started: OffsetDateTime,
    ) -> Result<TokenData, Error> {
        let malformed = |what: &str, source: Option<serde_json::Error>| Error::Malformed {
            host: self.host(),
            status: response.status(),
            what: what.to_owned(),
            ids: RequestIds::from_headers(response.headers()),
            source: match source {
                Some(error) => Some(Arc::new(Unreadable::from(error))),
                None => None,
            },
        };
        let answer: TokenResponse = serde_json::from_slice(response.body())
            .map_err(|error| malformed("a body that is no token response", Some(error)))?;
        if !answer.token_type.eq_ignore_ascii_case("bearer") {
            return Err(malformed("a token that is no bearer token", None));
        }
        answer
            .into_data(started)
            .ok_or_else(|| malformed("a token that cannot be sent", None))
    }

    /// The service's own error comes first; only where it cannot be read is the answer malformed.
    fn read_refusal(&self, refusal: &ErrorResponse) -> Error {
        match serde_json::from_slice::<ErrorBody>(&refusal.body) {
            Ok(body) => Error::Token(Arc::new(TokenError::new(body, refusal))),
            // A throttled request is answered in plain text.
            Err(_) if refusal.status == StatusCode::TOO_MANY_REQUESTS => Error::Throttled {
                host: refusal.host.clone(),
                retry_after: refusal.retry_after.unwrap_or(DEFAULT_THROTTLE),
                ids: refusal.ids.clone(),
            },
            Err(error) => refusal.malformed(Unreadable::from(error)),
        }
    }

    fn host(&self) -> String {
        self.authority
            .cloud()
            .login_url()
            .host_str()
            .unwrap_or_default()
            .to_owned()
    }
}

/// How hard to try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effort {
    /// With all retries and waits of the pipeline: without the token nothing goes on.
    Full,
    /// One attempt: there is a token that still does.
    Once,
}

/// What is presented for a token.
#[derive(Debug)]
#[non_exhaustive]
pub(crate) enum Grant<'a> {
    /// The application itself (RFC 6749 4.4).
    ClientCredentials(&'a TokenRequest),
}

impl Grant<'_> {
    fn operation(&self) -> Operation {
        match self {
            Self::ClientCredentials(_) => Operation::Idempotent,
        }
    }

    fn append_to(&self, form: &mut Serializer<'_, String>) {
        match self {
            Self::ClientCredentials(request) => {
                form.append_pair("grant_type", "client_credentials");
                form.append_pair("scope", request.scope());
                if let Some(claims) = request.claims() {
                    form.append_pair("claims", claims);
                }
            }
        }
    }
}

/// A token with the service's time of day.
pub(crate) struct Issued {
    pub(crate) data: TokenData,
    pub(crate) date: Option<OffsetDateTime>,
}

/// The token endpoint's refusal (RFC 6749 5.2, with Entra's extensions).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TokenError {
    /// The HTTP status.
    pub status: StatusCode,
    /// `error`, for example `invalid_client`.
    pub error: String,
    /// `suberror`, where there is one.
    pub suberror: Option<String>,
    /// `error_description`, in English.
    pub description: String,
    /// The AADSTS codes, the first one first.
    pub codes: Vec<u32>,
    /// The service's id of the request.
    pub trace_id: Option<String>,
    /// The id that ties several requests together, as the sign-in log shows it.
    pub correlation_id: Option<String>,
    /// When the service refused, as it writes it.
    pub timestamp: Option<String>,
    /// A claims request to repeat the sign-in with.
    pub claims: Option<String>,
    /// How long the service asks to wait.
    pub retry_after: Option<Duration>,
    /// The ids of the request.
    pub ids: RequestIds,
}

impl TokenError {
    fn new(body: ErrorBody, refusal: &ErrorResponse) -> Self {
        let description = body.error_description.unwrap_or_default();
        let mut codes = listed_codes(body.error_codes.as_ref());
        if codes.is_empty() {
            codes = codes_in(&description);
        }
        let mut ids = refusal.ids.clone();
        if body.trace_id.is_some() {
            ids.request_id.clone_from(&body.trace_id);
        }
        Self {
            status: refusal.status,
            error: body.error,
            suberror: body.suberror,
            description,
            codes,
            trace_id: body.trace_id,
            correlation_id: body.correlation_id,
            timestamp: body.timestamp,
            claims: body.claims,
            retry_after: refusal.retry_after,
            ids,
        }
    }

    /// What is wrong, as the first known code tells.
    pub fn kind(&self) -> TokenErrorKind {
        match self.explanation() {
            Some(explanation) => explanation.kind,
            None if self.status == StatusCode::TOO_MANY_REQUESTS => TokenErrorKind::Throttled,
            None if self.status.is_server_error() => TokenErrorKind::ServiceUnavailable,
            None => TokenErrorKind::Other,
        }
    }

    /// What to do. Status and `error` decide where the code is unknown.
    pub fn class(&self) -> RetryClass {
        if self.status == StatusCode::TOO_MANY_REQUESTS {
            return RetryClass::Throttled;
        }
        match self.explanation() {
            Some(explanation) => explanation.class,
            None if self.status.is_server_error() => RetryClass::Transient,
            None => class_of(&self.error),
        }
    }

    /// Whether it passes by itself within minutes if the app, its credential or its consent was
    /// changed just now.
    pub fn may_be_propagation(&self) -> bool {
        self.explanation().is_some_and(|row| row.propagation)
    }

    /// Whether the same request may succeed later.
    pub fn is_retryable(&self) -> bool {
        matches!(self.class(), RetryClass::Transient | RetryClass::Throttled)
    }

    /// The step that mends it, for an administrator.
    pub fn admin_hint(&self) -> &'static str {
        match self.explanation() {
            Some(explanation) => explanation.remedy,
            None if self.is_retryable() => "The sign-in service is busy. Try again later.",
            None => {
                "Look the code up in Microsoft's list of AADSTS errors, or quote the trace id in a \
                 support case."
            }
        }
    }

    fn explanation(&self) -> Option<&'static Explanation> {
        self.codes.iter().find_map(|code| explain_aadsts(*code))
    }
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The description repeats the ids over several lines; its first line says it.
        let first = self.description.lines().next().unwrap_or_default();
        let message = match first.split_once(" Trace ID:") {
            Some((message, _)) => message,
            None => first,
        };
        if message.is_empty() {
            write!(f, "{} ({})", self.error, self.ids)
        } else {
            write!(f, "{}: {message} ({})", self.error, self.ids)
        }
    }
}

impl std::error::Error for TokenError {}

/// RFC 6749 5.1, with `refresh_in` of Entra. Some services send numbers as text.
#[derive(Deserialize)]
struct TokenResponse {
    access_token: Secret,
    token_type: String,
    #[serde(deserialize_with = "seconds")]
    expires_in: u64,
    #[serde(default, deserialize_with = "optional_seconds")]
    refresh_in: Option<u64>,
}

impl TokenResponse {
    fn into_data(self, started: OffsetDateTime) -> Option<TokenData> {
        let after = |seconds: u64| {
            let seconds = i64::try_from(seconds).ok()?;
            started.checked_add(time::Duration::seconds(seconds))
        };
        let expires_on = after(self.expires_in)?;
        // A refresh at once would make every caller refresh.
        let refresh_on = self
            .refresh_in
            .filter(|seconds| *seconds > 0)
            .and_then(after);
        let data = TokenData::new(self.access_token, expires_on, refresh_on).ok()?;
        Some(data.issued_at(started))
    }
}

#[derive(Deserialize)]
struct ErrorBody {
    error: String,
    error_description: Option<String>,
    suberror: Option<String>,
    error_codes: Option<serde_json::Value>,
    timestamp: Option<String>,
    trace_id: Option<String>,
    correlation_id: Option<String>,
    claims: Option<String>,
}

/// Where a body stops being what it should be. The parser's own message may quote the body, and
/// with it a token.
#[derive(Debug, thiserror::Error)]
#[error("{what} at line {line}, column {column}")]
struct Unreadable {
    what: &'static str,
    line: usize,
    column: usize,
}

impl From<serde_json::Error> for Unreadable {
    fn from(error: serde_json::Error) -> Self {
        use serde_json::error::Category;
        Self {
            what: match error.classify() {
                Category::Eof => "the JSON ends too early",
                Category::Data => "the JSON has another shape",
                Category::Syntax | Category::Io => "not JSON",
            },
            line: error.line(),
            column: error.column(),
        }
    }
}

/// `error_codes` as numbers, or as text. What is neither must not hide the rest of the error.
fn listed_codes(codes: Option<&serde_json::Value>) -> Vec<u32> {
    codes
        .and_then(serde_json::Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|code| match code {
            serde_json::Value::String(text) => text.trim().parse().ok(),
            other => u32::try_from(other.as_u64()?).ok(),
        })
        .collect()
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Seconds {
    Number(u64),
    Text(String),
}

fn seconds<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    match Seconds::deserialize(deserializer)? {
        Seconds::Number(seconds) => Ok(seconds),
        Seconds::Text(text) => text.trim().parse().map_err(serde::de::Error::custom),
    }
}

fn optional_seconds<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<u64>, D::Error> {
    seconds(deserializer).map(Some)
}

/// RFC 7523 2.2.
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// What Entra asks for as a rule where it throttles.
const DEFAULT_THROTTLE: Duration = Duration::from_secs(60);
