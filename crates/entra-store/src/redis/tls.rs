//! TLS to Redis, with the provider and the roots that the HTTPS client of entra-core has.

use std::fmt;
use std::io;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls_platform_verifier::Verifier;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{RedisOptions, RedisOptionsError};

pub(super) struct Tls {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl Tls {
    pub(super) fn new(options: &RedisOptions) -> Result<Option<Self>, RedisOptionsError> {
        if !options.tls {
            return Ok(None);
        }
        let name = ServerName::try_from(options.host.clone()).map_err(failed)?;
        let config = config(options).map_err(failed)?;
        Ok(Some(Self {
            connector: TlsConnector::from(Arc::new(config)),
            name,
        }))
    }

    pub(super) async fn connect(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        self.connector.connect(self.name.clone(), stream).await
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tls").field(&self.name).finish()
    }
}

/// The provider is named, since a process in which another one is compiled in as well has no
/// default, and rustls would panic.
fn config(options: &RedisOptions) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let roots = &options.roots;
    let verifier = if roots.is_empty() {
        Verifier::new(Arc::clone(&provider))?
    } else {
        let roots = roots.iter().map(|root| root.der().to_vec());
        Verifier::new_with_extra_roots(roots.map(CertificateDer::from), Arc::clone(&provider))?
    };
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth())
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> RedisOptionsError {
    RedisOptionsError::Tls(error.into())
}
