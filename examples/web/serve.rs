//! A listener, with or without TLS. A product behind a proxy that ends TLS needs none of it.
#![expect(
    clippy::disallowed_methods,
    reason = "a program spawns what libraries may not"
)]

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::serve::Listener;
use entra_examples::at;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// The certificate and the key of this server.
pub fn tls(certificate: &Path, key: &Path) -> Result<ServerConfig, Box<dyn Error>> {
    let in_certificate = || at(format!("--tls-cert {}", certificate.display()));
    let chain = CertificateDer::pem_file_iter(certificate)
        .map_err(in_certificate())?
        .collect::<Result<Vec<_>, _>>()
        .map_err(in_certificate())?;
    let in_key = at(format!("--tls-key {}", key.display()));
    let key = PrivateKeyDer::from_pem_file(key).map_err(in_key)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(at("--tls-cert and --tls-key"))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// Serves until it is dropped.
pub async fn run(
    listener: TcpListener,
    tls: Option<ServerConfig>,
    app: Router,
) -> Result<(), Box<dyn Error>> {
    match tls {
        Some(config) => axum::serve(TlsListener::start(listener, config)?, app).await?,
        None => axum::serve(listener, app).await?,
    }
    Ok(())
}

/// Is there at SIGTERM or Ctrl-C, from this call on.
#[cfg(unix)]
pub fn end() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Is there at Ctrl-C.
#[cfg(not(unix))]
pub fn end() -> io::Result<impl Future<Output = ()>> {
    Ok(async {
        if tokio::signal::ctrl_c().await.is_err() {
            // Nothing can be waited for; the program is ended from outside.
            std::future::pending::<()>().await;
        }
    })
}

/// Each handshake is done by a task of its own: a browser opens connections ahead and says nothing
/// on them for a while.
struct TlsListener {
    ready: mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr)>,
    address: SocketAddr,
}

impl TlsListener {
    fn start(listener: TcpListener, config: ServerConfig) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let (sender, ready) = mpsc::channel(64);
        tokio::spawn(async move {
            loop {
                let Ok((stream, peer)) = listener.accept().await else {
                    continue;
                };
                let (acceptor, sender) = (acceptor.clone(), sender.clone());
                tokio::spawn(async move {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        let _ = sender.send((stream, peer)).await;
                    }
                });
            }
        });
        Ok(Self { ready, address })
    }
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.ready.recv().await {
            Some(connection) => connection,
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}
