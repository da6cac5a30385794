//! The [`HttpClient`] for the network, over reqwest. No other file knows reqwest.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use url::Url;

use crate::cloud::{is_loopback, is_machine};
use crate::http_client::MachineEndpoint;
use crate::{Certificate, Cloud, HttpClient, Limits, Secret, TransportError, TransportErrorKind};

/// An HTTPS client: https only but for loopback, redirects off (a redirect would carry the
/// form body, and with it a client secret, to another origin), the system's certificate
/// authorities, no proxy unless asked for, and none for loopback.
///
/// ```no_run
/// use entra_core::{Cloud, HttpsClient};
///
/// let cloud = Cloud::custom("https://localhost:8443", "https://localhost:8443")?
///     .with_root_ca_pem(std::fs::read_to_string("tenant/ca.pem")?);
/// let client = HttpsClient::for_cloud(&cloud)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct HttpsClient {
    client: reqwest::Client,
    /// For this machine's own ports and the endpoint of its managed identity, which no proxy may
    /// see: plain http is safe only there.
    direct: reqwest::Client,
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
        let roots = options.roots()?;
        let direct = options.builder(&roots).no_proxy();
        let proxied = match &options.proxy {
            Proxy::None => None,
            Proxy::System => Some(options.builder(&roots)),
            Proxy::Url(url) => Some(options.builder(&roots).no_proxy().proxy(proxy(url)?)),
        };
        let build = |builder: reqwest::ClientBuilder| {
            builder
                .build()
                .map_err(|error| HttpsClientError::Client(error.without_url().into()))
        };
        let direct = build(direct)?;
        let client = match proxied {
            Some(proxied) => build(proxied)?,
            None => direct.clone(),
        };
        Ok(Self { client, direct })
    }

    async fn exchange(
        &self,
        request: http::Request<Bytes>,
        limits: Limits,
    ) -> Result<http::Response<Bytes>, TransportError> {
        let for_machine = request.extensions().get::<MachineEndpoint>().is_some();
        let mut request = reqwest::Request::try_from(request).map_err(transport_error)?;
        let Some(route) = Route::of(request.url(), for_machine) else {
            return Err(TransportError::new(TransportErrorKind::Request).with_source(InsecureUrl));
        };
        *request.timeout_mut() = Some(limits.deadline);
        let client = match route {
            Route::Direct => &self.direct,
            Route::Outward => &self.client,
        };
        let mut answer = client.execute(request).await.map_err(transport_error)?;
        let mut response = http::Response::new(());
        *response.status_mut() = answer.status();
        std::mem::swap(response.headers_mut(), answer.headers_mut());
        let body = read_body(answer, limits.body).await?;
        Ok(response.map(|()| body))
    }
}

impl fmt::Debug for HttpsClient {
    /// Without the options: reqwest shows a proxy's URL.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpsClient").finish_non_exhaustive()
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

impl HttpsClientOptions {
    fn roots(&self) -> Result<Vec<reqwest::Certificate>, HttpsClientError> {
        let Some(pem) = &self.root_ca_pem else {
            return Ok(Vec::new());
        };
        let roots = Certificate::all_from_pem(pem)
            .map_err(|error| HttpsClientError::RootCa(error.into()))?;
        if roots.is_empty() {
            return Err(HttpsClientError::NoRootCa);
        }
        roots
            .iter()
            .map(|root| reqwest::Certificate::from_der(root.der()))
            .collect::<Result<_, _>>()
            .map_err(|error| HttpsClientError::RootCa(error.without_url().into()))
    }

    fn builder(&self, roots: &[reqwest::Certificate]) -> reqwest::ClientBuilder {
        let builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .connect_timeout(self.connect_timeout)
            .user_agent(concat!("entra-core/", env!("CARGO_PKG_VERSION")));
        if roots.is_empty() {
            return builder;
        }
        builder.tls_certs_merge(roots.iter().cloned())
    }
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
    /// This proxy, like `http://proxy.example:8080`. The URL may carry a user and a password, so
    /// it is a secret.
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

/// How a request leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route {
    /// By no proxy.
    Direct,
    /// As the options say.
    Outward,
}

impl Route {
    /// Nothing for a URL that must not be called: plain http leaves this machine for the endpoint
    /// of its managed identity alone.
    fn of(url: &Url, for_machine: bool) -> Option<Self> {
        let is_near = is_loopback(url) || for_machine && is_machine(url);
        match url.scheme() {
            "http" | "https" if is_near => Some(Self::Direct),
            "https" => Some(Self::Outward),
            _ => None,
        }
    }
}

/// The URL is neither https nor on loopback.
#[derive(Debug, thiserror::Error)]
#[error("the URL is not https")]
struct InsecureUrl;

/// Stricter than reqwest, which would take a password without a host for a host.
fn proxy(url: &Secret) -> Result<reqwest::Proxy, HttpsClientError> {
    Url::parse(url.expose())
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
        .and_then(|url| reqwest::Proxy::all(url).ok())
        .ok_or(HttpsClientError::ProxyUrl)
}

async fn read_body(mut answer: reqwest::Response, limit: usize) -> Result<Bytes, TransportError> {
    let too_large = || TransportError::new(TransportErrorKind::BodyTooLarge { limit });
    let announced = answer
        .content_length()
        .and_then(|length| usize::try_from(length).ok())
        .unwrap_or(0);
    if announced > limit {
        return Err(too_large());
    }
    let mut first = Bytes::new();
    let mut body = BytesMut::new();
    while let Some(chunk) = answer.chunk().await.map_err(transport_error)? {
        if first.len() + body.len() + chunk.len() > limit {
            return Err(too_large());
        }
        if first.is_empty() && body.is_empty() {
            // Most answers come in one piece, which is returned as it is.
            first = chunk;
            continue;
        }
        body.reserve(announced.saturating_sub(body.len()).max(chunk.len()));
        body.extend_from_slice(&std::mem::take(&mut first));
        body.extend_from_slice(&chunk);
    }
    if body.is_empty() {
        return Ok(first);
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

/// reqwest reports a failed handshake as a failed connection. rustls' refusals come as invalid
/// data; a peer that hangs up in the middle does not, and may do better the next time.
fn is_tls(error: &reqwest::Error) -> bool {
    let mut source = StdError::source(error);
    while let Some(cause) = source {
        if is_invalid_data(cause) {
            return true;
        }
        source = cause.source();
    }
    false
}

/// An I/O error within an I/O error is not among its sources.
fn is_invalid_data(error: &(dyn StdError + 'static)) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| {
        error.kind() == std::io::ErrorKind::InvalidData
            || error.get_ref().is_some_and(|inner| is_invalid_data(inner))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_goes_to_this_machine_and_to_the_endpoint_of_its_identity_past_any_proxy() {
        let route = |url, for_machine| Route::of(&Url::parse(url).unwrap(), for_machine);
        for (url, for_others, for_machine) in [
            (
                "https://login.example",
                Some(Route::Outward),
                Some(Route::Outward),
            ),
            (
                "http://127.0.0.1:40342",
                Some(Route::Direct),
                Some(Route::Direct),
            ),
            (
                "https://localhost",
                Some(Route::Direct),
                Some(Route::Direct),
            ),
            ("http://169.254.169.254/metadata", None, Some(Route::Direct)),
            (
                "http://169.254.129.5:8081/msi/token",
                None,
                Some(Route::Direct),
            ),
            (
                "http://172.16.1.7:8081/msi/token",
                None,
                Some(Route::Direct),
            ),
            (
                "https://10.0.0.1",
                Some(Route::Outward),
                Some(Route::Direct),
            ),
            ("http://172.32.0.1", None, None),
            ("http://8.8.8.8", None, None),
            ("http://metadata.example", None, None),
            ("http://169.254.169.254.example", None, None),
            ("ftp://169.254.169.254", None, None),
        ] {
            assert_eq!(route(url, false), for_others, "{url}");
            assert_eq!(route(url, true), for_machine, "{url}");
        }
    }
}
