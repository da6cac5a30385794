//! The [`HttpClient`] for the network, over reqwest. No other file knows reqwest.

use std::error::Error as StdError;
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};

use crate::cloud::is_secure;
use crate::{Cloud, HttpClient, Limits, Secret, TransportError, TransportErrorKind};

/// An HTTPS client: https only but for loopback, redirects off (a redirect would carry the
/// form body, and with it a client secret, to another origin), the system's certificate
/// authorities, no proxy unless asked for.
///
/// ```no_run
/// use entra_core::{Cloud, HttpsClient};
///
/// let cloud = Cloud::custom("https://localhost:8443", "https://localhost:8443")?
///     .with_root_ca_pem(std::fs::read_to_string("tenant/ca.pem")?);
/// let client = HttpsClient::for_cloud(&cloud)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct HttpsClient {
    client: reqwest::Client,
}

impl HttpsClient {
    /// A client with the default options.
    pub fn new() -> Result<Self, HttpsClientError> {
        Self::with_options(HttpsClientOptions::default())
    }

    /// A client that trusts the cloud's own certificate authorities too.
    pub fn for_cloud(cloud: &Cloud) -> Result<Self, HttpsClientError> {
        Self::with_options(HttpsClientOptions {
            root_ca_pem: cloud.root_ca_pem().map(str::to_owned),
            ..HttpsClientOptions::default()
        })
    }

    /// A client with these options.
    pub fn with_options(options: HttpsClientOptions) -> Result<Self, HttpsClientError> {
        let mut builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .connect_timeout(options.connect_timeout)
            .user_agent(concat!("entra-core/", env!("CARGO_PKG_VERSION")));
        builder = match options.proxy {
            Proxy::None => builder.no_proxy(),
            Proxy::System => builder,
            Proxy::Url(url) => builder
                .no_proxy()
                .proxy(reqwest::Proxy::all(url.expose()).map_err(|_| HttpsClientError::ProxyUrl)?),
        };
        if let Some(pem) = options.root_ca_pem {
            let roots = reqwest::Certificate::from_pem_bundle(pem.as_bytes())
                .map_err(|error| HttpsClientError::RootCa(error.without_url().into()))?;
            if roots.is_empty() {
                return Err(HttpsClientError::NoRootCa);
            }
            builder = builder.tls_certs_merge(roots);
        }
        let client = builder
            .build()
            .map_err(|error| HttpsClientError::Client(error.without_url().into()))?;
        Ok(Self { client })
    }

    async fn exchange(
        &self,
        request: http::Request<Bytes>,
        limits: Limits,
    ) -> Result<http::Response<Bytes>, TransportError> {
        let mut request = reqwest::Request::try_from(request).map_err(transport_error)?;
        if !is_secure(request.url()) {
            return Err(TransportError::new(TransportErrorKind::Request).with_source(InsecureUrl));
        }
        *request.timeout_mut() = Some(limits.deadline);
        let mut answer = self
            .client
            .execute(request)
            .await
            .map_err(transport_error)?;
        let mut response = http::Response::new(());
        *response.status_mut() = answer.status();
        std::mem::swap(response.headers_mut(), answer.headers_mut());
        let body = read_body(answer, limits.body).await?;
        Ok(response.map(|()| body))
    }
}

#[async_trait]
impl HttpClient for HttpsClient {
    async fn send(
        &self,
        request: http::Request<Bytes>,
        limits: Limits,
    ) -> Result<http::Response<Bytes>, TransportError> {
        self.exchange(request, limits).await
    }
}

/// How to reach the service.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HttpsClientOptions {
    /// Certificate authorities to trust beside those of the system, in PEM.
    pub root_ca_pem: Option<String>,
    /// The way out of the network.
    pub proxy: Proxy,
    /// How long a connection may take to come up; ten seconds by default.
    pub connect_timeout: Duration,
}

impl Default for HttpsClientOptions {
    fn default() -> Self {
        Self {
            root_ca_pem: None,
            proxy: Proxy::None,
            connect_timeout: Duration::from_secs(10),
        }
    }
}

/// The way out of the network.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum Proxy {
    /// Straight.
    #[default]
    None,
    /// As the system's settings and the environment (`HTTPS_PROXY`, `NO_PROXY`) say.
    System,
    /// This proxy. The URL may carry a user and a password, so it is a secret.
    Url(Secret),
}

/// Why an HTTPS client cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpsClientError {
    /// The proxy's URL cannot be read. It is not repeated, since it may carry a password.
    #[error("the proxy's URL cannot be read")]
    ProxyUrl,
    /// The certificate authorities cannot be read.
    #[error("the certificate authorities are not certificates in PEM")]
    RootCa(#[source] Box<dyn StdError + Send + Sync>),
    /// The text holds no certificate.
    #[error("no certificate in the text of the certificate authorities")]
    NoRootCa,
    /// TLS could not be set up.
    #[error("the HTTPS client could not be set up")]
    Client(#[source] Box<dyn StdError + Send + Sync>),
}

/// The URL is neither https nor on loopback.
#[derive(Debug, thiserror::Error)]
#[error("the URL is not https")]
struct InsecureUrl;

async fn read_body(mut answer: reqwest::Response, limit: usize) -> Result<Bytes, TransportError> {
    let too_large = || TransportError::new(TransportErrorKind::BodyTooLarge { limit });
    let announced = answer
        .content_length()
        .and_then(|length| usize::try_from(length).ok())
        .unwrap_or(0);
    if announced > limit {
        return Err(too_large());
    }
    let mut body = BytesMut::with_capacity(announced);
    while let Some(chunk) = answer.chunk().await.map_err(transport_error)? {
        if body.len() + chunk.len() > limit {
            return Err(too_large());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

fn transport_error(error: reqwest::Error) -> TransportError {
    let kind = if error.is_timeout() && !error.is_connect() {
        TransportErrorKind::Timeout
    } else if error.is_connect() {
        if is_tls(&error) {
            TransportErrorKind::Tls
        } else {
            TransportErrorKind::Connect
        }
    } else if error.is_builder() {
        TransportErrorKind::Request
    } else {
        TransportErrorKind::Interrupted
    };
    // The URL may hold a secret in its query, and reqwest would print it.
    TransportError::new(kind).with_source(error.without_url())
}

/// reqwest reports a failed handshake as a failed connection; rustls' own text tells them apart.
fn is_tls(error: &reqwest::Error) -> bool {
    let mut source = StdError::source(error);
    while let Some(cause) = source {
        let text = cause.to_string();
        if text.contains("certificate") || text.contains("handshake") {
            return true;
        }
        source = cause.source();
    }
    false
}
