//! One HTTP exchange: the seam behind which the network, a proxy or a local tenant stands.

use std::error::Error as StdError;
use std::fmt;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

/// Performs exactly one HTTP exchange.
///
/// An implementation does not retry, does not follow redirects, and never returns more bytes
/// than the limit. Any status is `Ok`. [`HttpsClient`](crate::HttpsClient) is the one for the network; the local
/// tenant of `entra-emulator` is another, so that tests and examples need no socket.
#[async_trait]
pub trait HttpClient: Debug + Send + Sync {
    /// Sends the request and reads the whole answer within the limits.
    async fn send(
        &self,
        request: http::Request<Bytes>,
        limits: Limits,
    ) -> Result<http::Response<Bytes>, TransportError>;
}

/// What one exchange may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The largest accepted body of the answer, in bytes, after decompression.
    pub body: usize,
    /// The longest accepted time from connecting to the last byte.
    pub deadline: Duration,
}

/// Marks a request to the endpoint where a machine in Azure hands out its own tokens: by plain
/// http, to an address that does not leave the machine's network. Only this crate sets it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MachineEndpoint;

/// Why no answer came. It never carries a URL, since a query may hold a secret.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{kind}")]
pub struct TransportError {
    kind: TransportErrorKind,
    #[source]
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl TransportError {
    /// An error of this kind without a cause to show.
    pub fn new(kind: TransportErrorKind) -> Self {
        Self { kind, source: None }
    }

    /// Adds the cause. It must not carry a URL or a body.
    #[must_use]
    pub fn with_source(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// What went wrong; it decides whether a retry is right.
    pub fn kind(&self) -> TransportErrorKind {
        self.kind
    }
}

/// What went wrong on the way. The question behind the kinds is whether the service may have
/// acted on the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TransportErrorKind {
    /// No connection: name resolution, TCP or the proxy. The service has seen nothing, so any
    /// request may be sent again.
    Connect,
    /// TLS was refused, most often because of an unknown certificate authority. The service has
    /// seen nothing, and asking again does not help.
    Tls,
    /// The connection ended before the whole answer came. The service may have acted.
    Interrupted,
    /// The deadline passed. The service may have acted.
    Timeout,
    /// The answer is larger than the limit. The service has acted; asking again does not help.
    BodyTooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The request cannot be sent at all: not https, or not a valid request.
    Request,
}

impl TransportErrorKind {
    /// Whether the service surely has not acted on the request.
    pub fn is_before_sending(self) -> bool {
        matches!(self, Self::Connect | Self::Tls | Self::Request)
    }

    /// Whether the same request may succeed a moment later.
    pub fn is_transient(self) -> bool {
        matches!(self, Self::Connect | Self::Interrupted | Self::Timeout)
    }
}

impl fmt::Display for TransportErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect => f.write_str("no connection to the service"),
            Self::Tls => f.write_str("the service's TLS certificate was not accepted"),
            Self::Interrupted => f.write_str("the connection ended before the whole answer came"),
            Self::Timeout => f.write_str("the service did not answer in time"),
            Self::BodyTooLarge { limit } => {
                write!(f, "the answer is larger than the limit of {limit} bytes")
            }
            Self::Request => f.write_str("the request cannot be sent"),
        }
    }
}
