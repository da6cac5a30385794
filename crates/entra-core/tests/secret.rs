//! No secret is seen in any `Debug`, error or log line, whatever goes wrong.

#![cfg(all(feature = "http", feature = "certificates"))]
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails"
)]

use std::error::Error as StdError;
use std::fmt::Debug;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use entra_core::{
    AccessToken, Authority, Call, CertificateOptions, ClientAssertion, ClientCredential, ClientId,
    ClientSecret, Cloud, ConfidentialClient, HttpClient as _, HttpsClient, HttpsClientOptions,
    Limits, Pipeline, Proxy, RetryPolicy, Secret, SigningCertificate, Tenant, TokenCredential as _,
    TokenRequest,
};
use serde_json::json;
use time::macros::datetime;
use tracing_subscriber::fmt::MakeWriter;

const SECRET: &str = "canary0secret";
const TOKEN: &str = "canary1token";
const ASSERTION: &str = "canary2assertion";
const PASSWORD: &str = "canary3password";
const BODY: &str = "canary4body";
const QUERY: &str = "canary5query";

#[tokio::test]
async fn no_path_shows_a_secret() {
    let captured = Captured::everything();
    let key = key_material();
    let mut server = mockito::Server::new_async().await;
    for credential in [
        ClientCredential::secret(ClientSecret::parse(SECRET).unwrap()),
        ClientCredential::certificate(key.clone()).with_chain(),
        ClientCredential::assertion(Arc::new(Federated)),
    ] {
        captured.note(&credential.describe());
        sign_in(&captured, &mut server, credential).await;
    }
    call_a_service(&captured, &mut server).await;
    configure(&captured).await;
    paste(&captured, &key);
    captured.check(&key);
}

/// Every answer of a token endpoint.
async fn sign_in(captured: &Captured, server: &mut mockito::Server, credential: ClientCredential) {
    let client = client(server, credential);
    captured.note(&client);
    captured.note(&client.credential());
    let good = json!({"token_type": "Bearer", "expires_in": 3600, "access_token": TOKEN});
    let header = format!("Bearer error=\"{BODY}\"");
    for (status, body) in [
        (200, good.to_string()),
        (200, good.to_string().replace("3600", "{}")),
        (200, good.to_string().replace("Bearer", TOKEN)),
        (200, format!("\"{TOKEN}\"")),
        (200, format!("{{\"access_token\":\"{TOKEN}")),
        (
            200,
            json!({"access_token": format!("{TOKEN}\n"), "token_type": "Bearer", "expires_in": 1})
                .to_string(),
        ),
        (
            400,
            json!({"error": "invalid_client", "error_codes": [7_000_215]}).to_string(),
        ),
        (400, format!("{{\"error\":{{\"{BODY}\":1}}}}")),
        (429, BODY.to_owned()),
        (502, format!("<html>{BODY}</html>")),
        (302, BODY.to_owned()),
    ] {
        let mock = server
            .mock("POST", mockito::Matcher::Any)
            .with_status(status)
            .with_header("www-authenticate", &header)
            .with_body(body)
            .create_async()
            .await;
        let request = TokenRequest::new(["s"]).bypassing_cache();
        match client.token(&request).await {
            Ok(token) => {
                captured.note(&token);
                captured.note(token.authorization());
                captured.note(&token.secret());
                client.invalidate(&request, &token);
            }
            Err(error) => captured.note_error(&error),
        }
        captured.note(&client);
        mock.remove_async().await;
    }
}

/// Every answer of a service to a call with a token.
async fn call_a_service(captured: &Captured, server: &mut mockito::Server) {
    let pipeline =
        Pipeline::new(HttpsClient::new().unwrap()).with_retry_policy(RetryPolicy::none());
    captured.note(&pipeline);
    let nobody = "http://127.0.0.1:1";
    for (origin, status) in [
        (server.url(), 200),
        (server.url(), 401),
        (server.url(), 500),
        (nobody.to_owned(), 200),
    ] {
        let mock = server
            .mock("POST", mockito::Matcher::Any)
            .with_status(status)
            .with_body(BODY)
            .create_async()
            .await;
        let request = http::Request::post(format!("{origin}/users?$filter={QUERY}"))
            .body(Bytes::from_static(BODY.as_bytes()))
            .unwrap();
        let call = Call::new("POST /users", request)
            .with_credential(Arc::new(Fixed), TokenRequest::new(["s"]));
        captured.note(&call);
        match pipeline.send(call).await {
            Ok(_) => {}
            Err(error) => captured.note_error(&error),
        }
        mock.remove_async().await;
    }
}

/// Settings with secrets in them, right and wrong.
async fn configure(captured: &Captured) {
    for url in [
        format!("http://user:{PASSWORD}@127.0.0.1:1"),
        format!("http://user:{PASSWORD}@[proxy"),
        format!("{PASSWORD}://"),
    ] {
        let mut options = HttpsClientOptions::default();
        options.proxy = Proxy::Url(Secret::new(url));
        captured.note(&options);
        match HttpsClient::with_options(options) {
            Ok(client) => {
                captured.note(&client);
                let request = http::Request::get(format!("https://entra.example/?{QUERY}"))
                    .header("authorization", format!("Bearer {TOKEN}"))
                    .body(Bytes::new())
                    .unwrap();
                let limits = Limits {
                    body: 1,
                    deadline: Duration::from_secs(20),
                };
                captured.note_error(&client.send(request, limits).await.unwrap_err());
            }
            Err(error) => captured.note_error(&error),
        }
    }
}

/// Secrets in the wrong field, and keys that do not load.
fn paste(captured: &Captured, key: &SigningCertificate) {
    for text in [
        SECRET.to_owned(),
        format!("https://{SECRET}"),
        format!("a {SECRET}"),
    ] {
        if let Err(error) = ClientSecret::parse(&text) {
            captured.note_error(&error);
        }
        captured.note_error(&ClientId::parse(&text).unwrap_err());
        captured.note_error(&Tenant::parse(&text).unwrap_err());
    }
    let pem = key.to_pem();
    captured.note(key);
    captured.note(&pem);
    let whole = pem.expose();
    for text in [
        whole.replacen("-----END PRIVATE KEY-----", "", 1),
        whole.replacen("MII", "MI!", 1),
        whole.replace("CERTIFICATE", "SOMETHING"),
        whole.replacen(" PRIVATE KEY", " EC PRIVATE KEY", 2),
    ] {
        let error = SigningCertificate::from_pem(&Secret::new(text))
            .map(|_| ())
            .unwrap_err();
        captured.note_error(&error);
    }
}

/// All that a careless host could print.
#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Captured {
    /// Takes every event and span of this process, at the finest level, and every line that
    /// libraries log.
    fn everything() -> Self {
        let captured = Self::default();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_span_events(tracing_subscriber::fmt::format::FmtSpan::FULL)
            .with_writer(captured.clone())
            .finish();
        tracing::subscriber::set_global_default(subscriber).unwrap();
        log::set_boxed_logger(Box::new(captured.clone())).unwrap();
        log::set_max_level(log::LevelFilter::Trace);
        captured
    }

    fn note(&self, value: &impl Debug) {
        self.write(&format!("{value:?}\n{value:#?}\n"));
    }

    fn note_error(&self, error: &(dyn StdError + 'static)) {
        self.write(&format!("{error}\n{error:?}\n{error:#?}\n"));
        if let Some(error) = error.downcast_ref::<entra_core::Error>() {
            self.write(&error.admin_hint());
        }
        if let Some(source) = error.source() {
            self.note_error(source);
        }
    }

    fn write(&self, text: &str) {
        self.0.lock().unwrap().extend_from_slice(text.as_bytes());
    }

    fn check(&self, key: &SigningCertificate) {
        let text = String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned();
        // It did capture: our spans and events, those of the libraries below, and the notes.
        for expected in [
            "entra.token",
            "entra.http",
            "POST /users",
            "refused",
            "answered",
            "[redacted]",
            "hyper",
        ] {
            assert!(text.contains(expected), "{expected} is not in\n{text}");
        }
        let basic = STANDARD.encode(format!("user:{PASSWORD}"));
        let pem = key.private_key_pem();
        let mut canaries = vec![
            SECRET, TOKEN, ASSERTION, PASSWORD, BODY, QUERY, &basic, "eyJ",
        ];
        canaries.extend(
            pem.expose()
                .lines()
                .filter(|line| line.len() > 32 && !line.starts_with('-')),
        );
        for canary in canaries {
            let line = text.lines().find(|line| line.contains(canary));
            assert_eq!(line, None, "{canary} is seen");
        }
    }
}

impl<'a> MakeWriter<'a> for Captured {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl io::Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl log::Log for Captured {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        // The server of this test logs the requests that it gets.
        if !record.target().starts_with("mockito") {
            self.write(&format!("{} {}\n", record.target(), record.args()));
        }
    }

    fn flush(&self) {}
}

#[derive(Debug)]
struct Federated;

#[async_trait]
impl ClientAssertion for Federated {
    async fn assertion(&self, _: &str) -> Result<Secret, Box<dyn StdError + Send + Sync>> {
        Ok(ASSERTION.into())
    }
}

#[derive(Debug)]
struct Fixed;

#[async_trait]
impl entra_core::TokenCredential for Fixed {
    async fn token(&self, _: &TokenRequest) -> Result<AccessToken, entra_core::Error> {
        Ok(AccessToken::new(TOKEN.into(), datetime!(2999-01-01 00:00 UTC)).unwrap())
    }

    fn invalidate(&self, _: &TokenRequest, _: &AccessToken) {}
}

fn client(server: &mockito::Server, credential: ClientCredential) -> ConfidentialClient {
    let cloud = Cloud::custom(&server.url(), &server.url()).unwrap();
    ConfidentialClient::new(
        Authority::new(cloud, Tenant::parse("contoso.com").unwrap()),
        ClientId::parse("11111111-2222-4333-8444-555555555555").unwrap(),
        credential,
        Pipeline::new(HttpsClient::new().unwrap()).with_retry_policy(RetryPolicy::none()),
    )
    .unwrap()
}

fn key_material() -> SigningCertificate {
    let options = CertificateOptions::new("Contoso");
    SigningCertificate::generate(&options, datetime!(2026-01-01 00:00 UTC)).unwrap()
}
