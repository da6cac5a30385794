//! The HTTPS client against servers on loopback that behave badly.

#![cfg(feature = "http")]
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails"
)]

use std::error::Error as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use entra_core::{
    Cloud, HttpClient as _, HttpsClient, HttpsClientError, HttpsClientOptions, Limits, Proxy,
    Secret, TransportError, TransportErrorKind,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::{ServerConfig, crypto};

#[tokio::test]
async fn any_status_is_an_answer_with_its_headers_and_body() {
    let mut server = mockito::Server::new_async().await;
    for status in [200, 204, 304, 404, 429, 500] {
        let mock = server
            .mock("POST", "/token")
            .match_header(
                "user-agent",
                concat!("entra-core/", env!("CARGO_PKG_VERSION")),
            )
            .match_body("client_secret=s")
            .with_status(status)
            .with_header("request-id", "r-1")
            .create_async()
            .await;
        let answer = post(&client(), &format!("{}/token", server.url()))
            .await
            .unwrap();
        assert_eq!(usize::from(answer.status().as_u16()), status);
        assert_eq!(answer.headers()["request-id"], "r-1");
        mock.remove_async().await;
    }
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_the_form_goes_nowhere_else() {
    let mut origin = mockito::Server::new_async().await;
    let mut elsewhere = mockito::Server::new_async().await;
    for status in [301, 302, 303, 307, 308] {
        let trap = elsewhere.mock("POST", "/").expect(0).create_async().await;
        let also = elsewhere.mock("GET", "/").expect(0).create_async().await;
        let redirect = origin
            .mock("POST", "/token")
            .with_status(status)
            .with_header("location", &format!("{}/", elsewhere.url()))
            .create_async()
            .await;
        let answer = post(&client(), &format!("{}/token", origin.url()))
            .await
            .unwrap();
        assert_eq!(usize::from(answer.status().as_u16()), status);
        trap.assert_async().await;
        also.assert_async().await;
        redirect.remove_async().await;
    }
}

#[tokio::test]
async fn plain_http_beyond_this_machine_is_refused_before_any_packet() {
    // If anything were sent, the proxy would see it.
    let proxy = RawServer::start(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let mut options = HttpsClientOptions::default();
    options.proxy = Proxy::Url(Secret::new(format!("http://{}", proxy.address)));
    let client = HttpsClient::with_options(options).unwrap();
    for url in [
        "http://entra.example/token?canary=1",
        "http://192.0.2.1/token?canary=1",
        "http://localhost.example/?canary=1",
        "ftp://localhost/?canary=1",
    ] {
        let error = post(&client, url).await.unwrap_err();
        assert_eq!(error.kind(), TransportErrorKind::Request, "{url}");
        assert_silent(&error);
    }
    assert_eq!(proxy.heard(), "");
}

#[tokio::test]
async fn a_body_is_read_up_to_the_limit_and_not_a_byte_further() {
    let fits = RawServer::start(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n0123456789").await;
    let answer = send(&client(), &fits.url(), limits(10)).await.unwrap();
    assert_eq!(answer.body(), "0123456789");
    let announced = RawServer::start(b"HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\n").await;
    let chunked = RawServer::start(
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n6\r\n012345\r\n5\r\n6789x\r\n0\r\n\r\n",
    )
    .await;
    let until_closed = RawServer::start(b"HTTP/1.1 200 OK\r\n\r\n0123456789x").await;
    let huge = RawServer::start(b"HTTP/1.1 200 OK\r\ncontent-length: 9000000000000\r\n\r\n").await;
    for server in [&announced, &chunked, &until_closed, &huge] {
        let error = send(&client(), &server.url(), limits(10))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), TransportErrorKind::BodyTooLarge { limit: 10 });
    }
}

#[tokio::test]
async fn the_limit_counts_after_unpacking() {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    packed.write_all(&vec![b'a'; 50_000_000]).unwrap();
    let packed = packed.finish().unwrap();
    assert!(packed.len() < 60_000);
    let head = "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: ";
    let answer = [
        format!("{head}{}\r\n\r\n", packed.len()).as_bytes(),
        &packed,
    ]
    .concat();
    let server = RawServer::start(&answer).await;
    let error = send(&client(), &server.url(), limits(1_000_000))
        .await
        .unwrap_err();
    assert_eq!(
        error.kind(),
        TransportErrorKind::BodyTooLarge { limit: 1_000_000 }
    );
    let answer = send(&client(), &server.url(), limits(50_000_000))
        .await
        .unwrap();
    assert_eq!(answer.body().len(), 50_000_000);
}

#[tokio::test]
async fn an_answer_that_does_not_come_in_time_is_given_up() {
    let soon = Limits {
        body: 1000,
        deadline: Duration::from_millis(60),
    };
    let silent = RawServer::silent().await;
    let stuck = RawServer::stuck_after(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n01").await;
    for server in [&silent, &stuck] {
        let error = send(&client(), &server.url(), soon).await.unwrap_err();
        assert_eq!(error.kind(), TransportErrorKind::Timeout);
        assert_silent(&error);
    }
}

#[tokio::test]
async fn what_fails_on_the_way_is_told_apart_without_the_url() {
    use TransportErrorKind::{Connect, Interrupted, Request};
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = closed.local_addr().unwrap();
    drop(closed);
    let cut_off =
        RawServer::start(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n0123456789").await;
    let hung_up = RawServer::start(b"").await;
    let gibberish = RawServer::start(b"220 smtp.example ESMTP\r\n").await;
    let not_gzip = RawServer::start(
        b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\nnope",
    )
    .await;
    for (url, kind) in [
        (format!("http://{nobody}/?secret=canary"), Connect),
        (format!("https://{nobody}/?secret=canary"), Connect),
        ("https://name.invalid/?secret=canary".to_owned(), Connect),
        (cut_off.url(), Interrupted),
        (hung_up.url(), Interrupted),
        (gibberish.url(), Interrupted),
        (not_gzip.url(), Interrupted),
        ("/relative?secret=canary".to_owned(), Request),
    ] {
        let error = send(&client(), &url, limits(1000)).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{url}: {error:?}");
        assert_silent(&error);
    }
}

#[tokio::test]
async fn a_certificate_authority_is_trusted_by_those_who_were_told_to() {
    let (ca, server) = TlsServer::start("localhost").await;
    let url = format!("https://localhost:{}", server.port());
    let answer = send(&trusting(&ca), &url, limits(10)).await.unwrap();
    assert_eq!(answer.body(), "ok");
    let error = send(&client(), &url, limits(10)).await.unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Tls, "{error:?}");
    let (other_ca, _) = TlsServer::start("localhost").await;
    let error = send(&trusting(&other_ca), &url, limits(10))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Tls, "{error:?}");
    // Several in one text, with what an editor leaves around them.
    let bundle = format!("# roots\r\n{}\r\n{}", other_ca.replace('\n', "\r\n"), ca);
    assert!(send(&trusting(&bundle), &url, limits(10)).await.is_ok());
}

#[tokio::test]
async fn a_certificate_for_another_name_is_not_accepted() {
    let (ca, server) = TlsServer::start("entra.example").await;
    let url = format!("https://localhost:{}/?secret=canary", server.port());
    let error = send(&trusting(&ca), &url, limits(10)).await.unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Tls, "{error:?}");
    assert_silent(&error);
}

#[tokio::test]
async fn a_handshake_that_is_cut_off_may_be_tried_again_and_plain_text_may_not() {
    let hung_up = RawServer::start(b"").await;
    let plain = RawServer::start(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    for (server, kind) in [
        (&hung_up, TransportErrorKind::Connect),
        (&plain, TransportErrorKind::Tls),
    ] {
        let url = format!("https://{}/?secret=canary", server.address);
        let error = send(&client(), &url, limits(10)).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error:?}");
    }
}

#[test]
fn what_are_no_certificate_authorities_is_refused() {
    for (pem, no_root) in [
        ("", true),
        ("garbage", true),
        (include_str!("fixtures/openssl/rsa2048-pkcs8.key"), true),
        (
            "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n",
            false,
        ),
        (
            "-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----\n",
            false,
        ),
        ("-----BEGIN CERTIFICATE-----\nMIIC", false),
    ] {
        let cloud = Cloud::custom("https://localhost:1", "https://localhost:1").unwrap();
        let error = HttpsClient::for_cloud(&cloud.with_root_ca_pem(pem)).unwrap_err();
        assert_eq!(
            matches!(error, HttpsClientError::NoRootCa),
            no_root,
            "{pem}: {error:?}"
        );
        assert_eq!(
            matches!(error, HttpsClientError::RootCa(_)),
            !no_root,
            "{pem}: {error:?}"
        );
    }
}

#[tokio::test]
async fn https_goes_through_the_proxy_and_loopback_does_not() {
    let refusing = b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n";
    let proxy = RawServer::start(refusing).await;
    let mut options = HttpsClientOptions::default();
    let url = format!("http://user:pass~canary@{}", proxy.address);
    options.proxy = Proxy::Url(Secret::new(url));
    let client = HttpsClient::with_options(options).unwrap();
    assert!(!format!("{client:?}").contains("canary"));
    let local = RawServer::start(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    assert_eq!(post(&client, &local.url()).await.unwrap().body(), "ok");
    assert_eq!(proxy.heard(), "");
    let error = post(&client, "https://entra.example/?secret=canary")
        .await
        .unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Connect, "{error:?}");
    assert_silent(&error);
    let heard = proxy.heard();
    assert!(
        heard.starts_with("CONNECT entra.example:443 HTTP/1.1\r\n"),
        "{heard}"
    );
    // `printf %s 'user:pass~canary' | base64`
    assert!(heard.contains("Basic dXNlcjpwYXNzfmNhbmFyeQ=="), "{heard}");
}

#[test]
fn a_proxy_s_url_that_cannot_be_read_is_not_repeated() {
    let mut options = HttpsClientOptions::default();
    options.proxy = Proxy::Url(Secret::new("http://user:canary@[proxy"));
    assert!(!format!("{options:?}").contains("canary"));
    let error = HttpsClient::with_options(options).unwrap_err();
    assert!(matches!(error, HttpsClientError::ProxyUrl));
    assert!(!format!("{error:?} {error}").contains("canary"));
    assert!(error.source().is_none());
}

fn client() -> HttpsClient {
    HttpsClient::new().unwrap()
}

fn trusting(ca: &str) -> HttpsClient {
    let cloud = Cloud::custom("https://localhost:1", "https://localhost:1").unwrap();
    HttpsClient::for_cloud(&cloud.with_root_ca_pem(ca)).unwrap()
}

fn limits(body: usize) -> Limits {
    Limits {
        body,
        deadline: Duration::from_secs(20),
    }
}

async fn post(client: &HttpsClient, url: &str) -> Result<http::Response<Bytes>, TransportError> {
    send(client, url, limits(1000)).await
}

async fn send(
    client: &HttpsClient,
    url: &str,
    limits: Limits,
) -> Result<http::Response<Bytes>, TransportError> {
    let request = http::Request::post(url)
        .header("authorization", "Bearer canary")
        .body(Bytes::from_static(b"client_secret=s"))
        .unwrap();
    client.send(request, limits).await
}

/// Nothing of the URL or the request is in the error or in its causes.
fn assert_silent(error: &TransportError) {
    let mut shown = format!("{error} {error:?}");
    let mut source = error.source();
    while let Some(cause) = source {
        shown.push_str(&format!("\n{cause}\n{cause:?}"));
        source = cause.source();
    }
    assert!(!shown.contains("canary"), "{shown}");
    assert!(!shown.contains("client_secret"), "{shown}");
}

/// Writes the same bytes to whoever connects, after the request came.
struct RawServer {
    address: SocketAddr,
    heard: Arc<Mutex<Vec<u8>>>,
    _task: JoinSet<()>,
}

impl RawServer {
    async fn start(answer: &[u8]) -> Self {
        Self::serve(Some(answer), true).await
    }

    async fn stuck_after(answer: &[u8]) -> Self {
        Self::serve(Some(answer), false).await
    }

    async fn silent() -> Self {
        Self::serve(None, false).await
    }

    async fn serve(answer: Option<&[u8]>, closes: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let (log, answer) = (Arc::clone(&heard), answer.map(<[u8]>::to_vec));
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut open = Vec::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                hear(&mut stream, &log).await;
                if let Some(answer) = &answer {
                    let _ = stream.write_all(answer).await;
                }
                match closes {
                    true => drop(stream.shutdown().await),
                    false => open.push(stream),
                }
            }
        });
        Self {
            address,
            heard,
            _task: task,
        }
    }

    fn url(&self) -> String {
        format!("http://{}/?secret=canary", self.address)
    }

    fn heard(&self) -> String {
        String::from_utf8_lossy(&self.heard.lock().unwrap()).into_owned()
    }
}

/// Reads what comes first: the head of a request and, with luck, its body.
async fn hear(stream: &mut TcpStream, log: &Mutex<Vec<u8>>) {
    let mut buffer = vec![0; 4096];
    let mut read = 0;
    while let Ok(count) = stream.read(&mut buffer[read..]).await {
        read += count;
        let text = String::from_utf8_lossy(&buffer[..read]);
        let tls = buffer[0] == 22;
        if count == 0 || tls || text.ends_with("client_secret=s") || text.starts_with("CONNECT") {
            break;
        }
    }
    log.lock().unwrap().extend_from_slice(&buffer[..read]);
}

/// Answers `ok` over TLS, with a certificate of an authority made for it.
struct TlsServer {
    address: SocketAddr,
    _task: JoinSet<()>,
}

impl TlsServer {
    async fn start(name: &str) -> (String, Self) {
        let ca_key = rcgen::KeyPair::generate().unwrap();
        let mut ca = rcgen::CertificateParams::new(Vec::new()).unwrap();
        ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let ca = rcgen::CertifiedIssuer::self_signed(ca, ca_key).unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        let leaf = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
        let leaf = leaf.signed_by(&key, &ca).unwrap();
        let provider = Arc::new(crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![leaf.der().clone()],
                PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            )
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut task = JoinSet::new();
        task.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Ok(mut stream) = acceptor.accept(stream).await else {
                    continue;
                };
                let mut buffer = [0; 4096];
                let _ = stream.read(&mut buffer).await;
                let _ = stream
                    .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
                    .await;
                let _ = stream.shutdown().await;
            }
        });
        (
            ca.pem(),
            Self {
                address,
                _task: task,
            },
        )
    }

    fn port(&self) -> u16 {
        self.address.port()
    }
}
