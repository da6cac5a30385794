//! What can go wrong on the way to a token or a service's answer.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use time::OffsetDateTime;

use crate::token_error::read_refusal;
use crate::{
    CertificateError, ManagedIdentityError, Operation, RetryClass, SealError, TokenError,
    TransportError, WorkloadIdentityError, retry,
};

/// Why a call failed. No variant carries a secret, a token or a request's body.
///
/// A clone is cheap: many callers may share one failure.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No answer came, or none that was accepted.
    #[error("the exchange with {host} failed ({ids})")]
    Transport {
        /// Who was asked.
        host: String,
        /// The request's ids.
        ids: RequestIds,
        /// What happened.
        source: TransportError,
    },
    /// The token endpoint refused to issue a token, and said why.
    #[error("no token was issued")]
    Token(#[source] Arc<TokenError>),
    /// A service answered with an error status. Whoever knows the service reads the body.
    #[error("{0}")]
    Response(Arc<ErrorResponse>),
    /// The service asks for a longer wait than the call's deadline leaves.
    #[error("{host} asks to wait {} s, longer than the call may take ({ids})", retry_after.as_secs())]
    Throttled {
        /// Who asked for the wait.
        host: String,
        /// How long to wait before the next call.
        retry_after: Duration,
        /// The request's ids.
        ids: RequestIds,
    },
    /// The service's answer cannot be read: another format, a page of a proxy, cut off.
    #[error("{host} answered {status} with {what} ({ids})")]
    Malformed {
        /// Who answered.
        host: String,
        /// The answer's status.
        status: StatusCode,
        /// How long the answer asks to wait.
        retry_after: Option<Duration>,
        /// What was found, for example `text/html instead of JSON`.
        what: String,
        /// The request's ids.
        ids: Box<RequestIds>,
        /// The parser's complaint, where there is one.
        source: Option<Arc<dyn StdError + Send + Sync>>,
    },
    /// The credential cannot sign.
    #[error("the certificate cannot be used to sign in")]
    Certificate(#[from] CertificateError),
    /// The host's own source of assertions or tokens failed.
    #[error("the host's own credential failed")]
    Credential(#[source] Arc<dyn StdError + Send + Sync>),
    /// A stored session cannot be opened: the user has to sign in again, unless its key is found.
    #[error("the stored session cannot be opened")]
    Session(#[source] SealError),
    /// The machine lacks what the credential needs: nobody refused anything, and another
    /// credential may do ([`CredentialChain`](crate::CredentialChain)).
    #[error("{credential} is not available here")]
    NotAvailable {
        /// What kind of credential it is, for example `managed identity`.
        credential: &'static str,
        /// What is missing.
        source: Arc<dyn StdError + Send + Sync>,
    },
    /// None of several credentials yielded a token. The reasons are told in their order.
    #[error("no credential yielded a token: {}", in_one_line(.0))]
    NoCredential(Arc<[Self]>),
    /// A request cannot be made as asked: a wrong URL, a grant that does not fit the tenant.
    #[error("{0}")]
    InvalidRequest(&'static str),
}

impl Error {
    /// Whether the same call may succeed later without anybody changing anything.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Transport { source, .. } => source.kind().is_transient(),
            Self::Throttled { .. } => true,
            Self::Token(error) => error.is_retryable(),
            Self::Response(response) => is_transient(response.status),
            Self::Malformed { status, .. } => is_transient(*status),
            Self::NoCredential(reasons) => reasons.iter().any(Self::is_retryable),
            Self::Certificate(_)
            | Self::Credential(_)
            | Self::Session(_)
            | Self::NotAvailable { .. }
            | Self::InvalidRequest(_) => false,
        }
    }

    /// How long the service asks to wait before the next call.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Throttled { retry_after, .. } => Some(*retry_after),
            Self::Token(error) => error.retry_after,
            Self::Response(response) => response.retry_after,
            Self::Malformed { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// The same failure, a while later: what is left of the wait.
    #[must_use]
    pub(crate) fn with_retry_after(mut self, left: Duration) -> Self {
        match &mut self {
            Self::Throttled { retry_after, .. } => *retry_after = left,
            Self::Malformed {
                retry_after: Some(retry_after),
                ..
            } => *retry_after = left,
            Self::Token(error) if error.retry_after.is_some() => {
                Arc::make_mut(error).retry_after = Some(left);
            }
            _ => {}
        }
        self
    }

    /// Whether only a person who signs in again can go on: consent, a second factor, a new session.
    pub fn needs_user(&self) -> bool {
        match self {
            Self::Token(error) => error.class() == RetryClass::UserInteraction,
            Self::Session(_) => true,
            _ => false,
        }
    }

    /// The claims request (OpenID Connect Core 5.5, JSON) that the next sign-in must carry, where
    /// the service asked for one: [`TokenRequest::with_claims`](crate::TokenRequest::with_claims).
    pub fn claims(&self) -> Option<&str> {
        match self {
            Self::Token(error) => error.claims.as_deref(),
            Self::Response(response) => response.claims.as_deref(),
            _ => None,
        }
    }

    /// The ids to quote in a support case.
    pub fn request_ids(&self) -> Option<&RequestIds> {
        match self {
            Self::Transport { ids, .. } | Self::Throttled { ids, .. } => Some(ids),
            Self::Malformed { ids, .. } => Some(ids),
            Self::Token(error) => Some(&error.ids),
            Self::Response(response) => Some(&response.ids),
            Self::Certificate(_)
            | Self::Credential(_)
            | Self::Session(_)
            | Self::NotAvailable { .. }
            | Self::NoCredential(_)
            | Self::InvalidRequest(_) => None,
        }
    }

    /// What an administrator can do about it, in one or two sentences.
    pub fn admin_hint(&self) -> String {
        match self {
            Self::Transport { host, source, .. } => transport_hint(host, source),
            Self::Token(error) => error.admin_hint().to_owned(),
            Self::Response(response) if response.status.is_redirection() => format!(
                "Something answers in the place of {0} and redirects, most often a firewall's \
                 sign-in page. Exempt {0} from it.",
                response.host
            ),
            Self::Response(response) if response.is_html() => malformed_hint(&response.host),
            Self::Response(response) => format!(
                "{} answered {}; try again later, and quote the request id in a support case.",
                response.host, response.status
            ),
            Self::Throttled { retry_after, .. } => format!(
                "The service is busy with this app's requests. Wait {} seconds.",
                retry_after.as_secs()
            ),
            Self::Malformed { host, .. } => malformed_hint(host),
            Self::Certificate(error) => error.admin_hint().to_owned(),
            Self::Credential(source) | Self::NotAvailable { source, .. } => {
                credential_hint(&**source).to_owned()
            }
            Self::Session(_) => {
                "The user has to sign in again. If that happens to all users, the product has lost \
                 the key under which it keeps sessions."
                    .to_owned()
            }
            Self::NoCredential(reasons) => match reasons.first() {
                Some(reason) => reason.admin_hint(),
                None => "Set a credential up.".to_owned(),
            },
            Self::InvalidRequest(_) => "Correct the settings of the connection.".to_owned(),
        }
    }
}

/// An error with its causes, as one line. Each error's own text leaves its cause out, so that
/// nothing is said twice; a log or a page for an administrator wants the whole.
///
/// ```
/// let error = "x".parse::<u8>().unwrap_err();
/// assert_eq!(entra_core::error_chain(&error), "invalid digit found in string");
/// ```
pub fn error_chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// The ids by which Microsoft's support finds a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RequestIds {
    /// The id that this side gave to the call: `client-request-id`.
    pub client_request_id: String,
    /// The id that the service gave to it: `request-id`, or the `trace_id` of the token endpoint.
    pub request_id: Option<String>,
}

impl RequestIds {
    /// The ids in the headers of an answer. Graph sends `request-id`, the sign-in service
    /// `x-ms-request-id`; both echo `client-request-id` where they are asked to.
    pub fn from_headers(headers: &http::HeaderMap) -> Self {
        let text = |name: &str| headers.get(name)?.to_str().ok().map(str::to_owned);
        Self {
            client_request_id: text("client-request-id").unwrap_or_default(),
            request_id: text("request-id").or_else(|| text("x-ms-request-id")),
        }
    }
}

impl fmt::Display for RequestIds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(id) = &self.request_id {
            write!(f, "request-id {id}, ")?;
        }
        write!(f, "client-request-id {}", self.client_request_id)
    }
}

/// An answer with an error status, as it came. The body is not part of `Debug`.
#[derive(Clone)]
#[non_exhaustive]
pub struct ErrorResponse {
    /// Who answered.
    pub host: String,
    /// The status.
    pub status: StatusCode,
    /// How long the service asks to wait.
    pub retry_after: Option<Duration>,
    /// The claims challenge of a 401 (OpenID Connect Core 5.5, decoded), where there was one.
    pub claims: Option<String>,
    /// The service's time of day.
    pub date: Option<OffsetDateTime>,
    /// What the service wants to be shown (RFC 9110 11.6.1): `WWW-Authenticate`.
    pub challenge: Option<String>,
    /// The media type of the body.
    pub content_type: Option<String>,
    /// How often the request was sent.
    pub attempts: u32,
    /// The ids of the request.
    pub ids: RequestIds,
    /// The body, for whoever knows the service.
    pub body: Bytes,
}

impl ErrorResponse {
    /// Reads it as a token endpoint's refusal (RFC 6749 5.2): [`Error::Token`] where it is one.
    pub fn token_error(&self) -> Error {
        read_refusal(self)
    }

    pub(crate) fn read(
        host: &str,
        attempts: u32,
        ids: RequestIds,
        response: http::Response<Bytes>,
        now: OffsetDateTime,
    ) -> Self {
        let (parts, body) = response.into_parts();
        let text = |name| parts.headers.get(name)?.to_str().ok().map(str::to_owned);
        Self {
            host: host.to_owned(),
            status: parts.status,
            retry_after: retry::retry_after(&parts.headers, now),
            claims: claims_challenge(&parts.headers),
            date: retry::date(&parts.headers),
            challenge: text(http::header::WWW_AUTHENTICATE),
            content_type: text(http::header::CONTENT_TYPE),
            attempts,
            ids,
            body,
        }
    }

    /// No service of Microsoft answers with a web page: something else does in its place.
    pub(crate) fn is_html(&self) -> bool {
        let content_type = self.content_type.as_deref().unwrap_or_default();
        content_type.to_ascii_lowercase().starts_with("text/html")
    }

    /// The error for a body that is not what the service answers with.
    pub fn malformed(&self, source: impl StdError + Send + Sync + 'static) -> Error {
        Error::Malformed {
            host: self.host.clone(),
            status: self.status,
            retry_after: self.retry_after,
            what: match &self.content_type {
                Some(found) => format!("{found} that cannot be read"),
                None => "a body that cannot be read".to_owned(),
            },
            ids: Box::new(self.ids.clone()),
            source: Some(Arc::new(source)),
        }
    }
}

impl fmt::Debug for ErrorResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ErrorResponse")
            .field("host", &self.host)
            .field("status", &self.status)
            .field("retry_after", &self.retry_after)
            .field("content_type", &self.content_type)
            .field("attempts", &self.attempts)
            .field("ids", &self.ids)
            .field("body", &format_args!("{} bytes", self.body.len()))
            .finish_non_exhaustive()
    }
}

impl fmt::Display for ErrorResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            host, status, ids, ..
        } = self;
        write!(f, "{host} answered {status} ({ids})")
    }
}

/// Several errors with their causes.
fn in_one_line(errors: &[Error]) -> String {
    let errors: Vec<_> = errors.iter().map(|error| error_chain(error)).collect();
    errors.join("; ")
}

/// 501 and 505 never change, whoever asks.
fn is_transient(status: StatusCode) -> bool {
    Operation::Read.repeats_after_status(status, true)
}

/// The claims of a challenge `Bearer …, error="insufficient_claims", claims="<base64>"`
/// (Microsoft Learn, "Claims challenges, claims requests, and client capabilities").
fn claims_challenge(headers: &http::HeaderMap) -> Option<String> {
    use base64::Engine as _;

    headers
        .get_all(http::header::WWW_AUTHENTICATE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .filter(|value| value.contains("insufficient_claims"))
        .find_map(|value| {
            let (_, rest) = value.split_once("claims=\"")?;
            let (encoded, _) = rest.split_once('"')?;
            // Services differ in the alphabet and in the padding.
            let url_safe = encoded
                .trim_end_matches('=')
                .replace('+', "-")
                .replace('/', "_");
            let decoded = base64::engine::general_purpose::URL_SAFE_NO_PAD
                .decode(url_safe)
                .ok()?;
            String::from_utf8(decoded).ok()
        })
}

fn credential_hint(source: &(dyn StdError + Send + Sync + 'static)) -> &'static str {
    if let Some(error) = source.downcast_ref::<ManagedIdentityError>() {
        return error.admin_hint();
    }
    if let Some(error) = source.downcast_ref::<WorkloadIdentityError>() {
        return error.admin_hint();
    }
    #[cfg(feature = "azure-cli")]
    if let Some(error) = source.downcast_ref::<crate::AzureCliError>() {
        return error.admin_hint();
    }
    "Look at the log of the product: its own source of credentials failed."
}

fn malformed_hint(host: &str) -> String {
    format!(
        "Something between this machine and {host} changes the answers, most often a proxy or a \
         firewall's sign-in page. Exempt {host} from it."
    )
}

fn transport_hint(host: &str, error: &TransportError) -> String {
    use crate::TransportErrorKind::{BodyTooLarge, Connect, Interrupted, Request, Timeout, Tls};
    match error.kind() {
        Connect => format!(
            "Check that this machine can reach {host} on port 443: name resolution, firewall, proxy."
        ),
        Tls => format!(
            "The certificate that answers for {host} is not trusted by this machine. If a proxy \
             inspects TLS, trust its certificate authority or exempt {host}."
        ),
        Interrupted | Timeout => {
            format!(
                "The connection to {host} is slow or was cut. Try again, then look at the network."
            )
        }
        BodyTooLarge { .. } => {
            format!("{host} sent more than expected. Check that no proxy answers in its place.")
        }
        Request => "Correct the settings of the connection: the URL cannot be called.".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::*;

    #[test]
    fn a_claims_challenge_is_decoded() {
        let mut headers = HeaderMap::new();
        headers.append(
            "www-authenticate",
            HeaderValue::from_static(
                "Bearer realm=\"\", error=\"insufficient_claims\", \
                 claims=\"eyJhY2Nlc3NfdG9rZW4iOnsibmJmIjp7ImVzc2VudGlhbCI6dHJ1ZX19fQ==\"",
            ),
        );
        assert_eq!(
            claims_challenge(&headers).as_deref(),
            Some(r#"{"access_token":{"nbf":{"essential":true}}}"#)
        );
    }

    #[test]
    fn another_401_is_no_claims_challenge() {
        let mut headers = HeaderMap::new();
        headers.append(
            "www-authenticate",
            HeaderValue::from_static("Bearer realm=\"\""),
        );
        assert_eq!(claims_challenge(&headers), None);
    }
}
