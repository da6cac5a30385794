//! The TLS front: the same tenant for clients in other processes and languages.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use entra_core::{Clock, SystemClock};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::ca::{CertificateFolder, CertificateFolderError};
use crate::dispatch::Ending;
use crate::emulator::Emulator;

/// A listener with TLS in front of an [`Emulator`].
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
}

impl Server {
    /// Takes the address; port 0 lets the system choose one.
    pub async fn bind(address: SocketAddr) -> Result<Self, ServerError> {
        let listener = TcpListener::bind(address)
            .await
            .map_err(|source| ServerError::Bind { address, source })?;
        Ok(Self { listener })
    }

    /// The address that was taken.
    pub fn local_addr(&self) -> Result<SocketAddr, ServerError> {
        self.listener.local_addr().map_err(ServerError::Address)
    }

    /// Serves until `shutdown` ends, then lets running requests finish.
    pub async fn run(
        self,
        emulator: Emulator,
        certificates: &CertificateFolder,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<(), ServerError> {
        let config = certificates
            .tls_config()
            .map_err(ServerError::Certificate)?;
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let graceful = GracefulShutdown::new();
        let mut connections = JoinSet::new();
        let mut shutdown = Box::pin(shutdown);
        loop {
            tokio::select! {
                () = &mut shutdown => break,
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, _)) => {
                        let (acceptor, emulator) = (acceptor.clone(), emulator.clone());
                        connections.spawn(serve(stream, acceptor, emulator, graceful.watcher()));
                    }
                    // Out of file handles, most often: the next ones may work.
                    Err(error) => tracing::warn!(%error, "a connection was not accepted"),
                },
                // Connections that are over.
                Some(_) = connections.join_next(), if !connections.is_empty() => {}
            }
        }
        drop(self.listener);
        // Whoever is in the middle of a handshake by then is not waited for.
        tokio::select! {
            () = graceful.shutdown() => {}
            () = SystemClock.sleep(GRACE) => connections.shutdown().await,
        }
        Ok(())
    }
}

/// Why the tenant cannot be served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// The address is taken or not ours.
    #[error("cannot listen on {address}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
    /// The system does not say where it listens.
    #[error("the address of the listener is not known")]
    Address(#[source] io::Error),
    /// There is no certificate to serve.
    #[error("there is no TLS certificate")]
    Certificate(#[source] CertificateFolderError),
}

async fn serve(stream: TcpStream, acceptor: TlsAcceptor, emulator: Emulator, watcher: Watcher) {
    // Answers are written at once; waiting for more would only add delay.
    let _ = stream.set_nodelay(true);
    let stream = match acceptor.accept(stream).await {
        Ok(stream) => stream,
        Err(error) => {
            tracing::debug!(%error, "the TLS handshake failed");
            return;
        }
    };
    let service = service_fn(move |request| answer(emulator.clone(), request));
    let mut builder = auto::Builder::new(TokioExecutor::new());
    // A token with every permission is longer than the default allows a header to be.
    builder.http2().max_header_list_size(HEADER_LIMIT);
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    if let Err(error) = watcher.watch(connection.into_owned()).await {
        // Injected faults end here too.
        tracing::debug!(%error, "a connection ended");
    }
}

async fn answer(
    emulator: Emulator,
    request: Request<Incoming>,
) -> Result<Response<AnswerBody>, Cut> {
    let (head, body) = request.into_parts();
    let body = match Limited::new(body, REQUEST_LIMIT).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => {
            return Ok(too_large().map(AnswerBody::whole));
        }
        Err(_) => return Err(Cut),
    };
    let request = Request::from_parts(head, body);
    let exchange = emulator.exchange(&request, false);
    tracing::info!(
        method = %request.method(),
        path = request.uri().path(),
        status = exchange.answer.status().as_u16(),
    );
    if !exchange.latency.is_zero() {
        emulator.clock().sleep(exchange.latency).await;
    }
    match exchange.ending {
        Ending::Complete => Ok(exchange.answer.map(AnswerBody::whole)),
        Ending::MiddleOfBody => Ok(exchange.answer.map(AnswerBody::half)),
        Ending::NoAnswer => Err(Cut),
    }
}

fn too_large() -> Response<Bytes> {
    let mut answer = Response::new(Bytes::from_static(b"Request entity too large"));
    *answer.status_mut() = StatusCode::PAYLOAD_TOO_LARGE;
    answer
}

/// A body that comes whole, or announces its length and breaks off in the middle.
struct AnswerBody {
    rest: Option<Bytes>,
    announced: u64,
    is_cut: bool,
}

impl AnswerBody {
    fn whole(body: Bytes) -> Self {
        Self {
            announced: length(&body),
            rest: Some(body),
            is_cut: false,
        }
    }

    fn half(body: Bytes) -> Self {
        Self {
            announced: length(&body),
            rest: Some(body.slice(..body.len() / 2)),
            is_cut: true,
        }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        match self.rest.take() {
            Some(bytes) if !bytes.is_empty() => Poll::Ready(Some(Ok(Frame::data(bytes)))),
            _ if self.is_cut => {
                self.is_cut = false;
                Poll::Ready(Some(Err(Cut)))
            }
            _ => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        !self.is_cut && self.rest.as_ref().is_none_or(Bytes::is_empty)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.announced)
    }
}

/// Ends the connection, or the stream of HTTP/2, without more bytes.
#[derive(Debug, thiserror::Error)]
#[error("the connection is cut")]
struct Cut;

fn length(body: &Bytes) -> u64 {
    body.len().try_into().unwrap_or(u64::MAX)
}

/// Graph's own limit for a write request, here for its body (Microsoft Learn, "Use the Microsoft
/// Graph API": 4 MB, and 413 with this message beyond).
const REQUEST_LIMIT: usize = 4 * 1024 * 1024;

/// In bytes, of HTTP/2; HTTP/1 has a larger one by default.
const HEADER_LIMIT: u32 = 256 * 1024;

/// How long running requests may take after the shutdown began.
const GRACE: Duration = Duration::from_secs(5);
