//! Processes that share their tokens through Redis.

#![cfg(feature = "redis")]
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails"
)]

use std::path::PathBuf;
use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use entra_core::SealingKey;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::task::JoinSet;

#[tokio::test]
#[ignore = "needs Redis on 127.0.0.1:6379"]
async fn a_second_process_has_the_token_of_the_first_and_requests_none() {
    let service = TokenService::start().await;
    let key = SealingKey::generate();
    let first = service.process(&key, REDIS).await;
    assert_eq!(service.requests(), 1);
    let second = service.process(&key, REDIS).await;
    assert_eq!(service.requests(), 1);
    assert_eq!(token_line(&first), token_line(&second));
}

#[tokio::test]
#[ignore = "needs Redis on 127.0.0.1:6379"]
async fn a_process_with_another_key_finds_nothing_and_signs_in_by_itself() {
    let service = TokenService::start().await;
    let first = service.process(&SealingKey::generate(), REDIS).await;
    let second = service.process(&SealingKey::generate(), REDIS).await;
    assert_eq!(service.requests(), 2);
    assert_ne!(token_line(&first), token_line(&second));
}

#[tokio::test]
async fn a_process_signs_in_by_itself_while_redis_is_down() {
    let service = TokenService::start().await;
    // Nobody listens on the port of discarded bytes.
    let output = service
        .process(&SealingKey::generate(), "redis://127.0.0.1:9")
        .await;
    assert_eq!(service.requests(), 1);
    assert!(token_line(&output).starts_with("token "));
}

const REDIS: &str = "redis://127.0.0.1:6379/15";

fn token_line(output: &Output) -> String {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    text.lines().last().unwrap_or_default().to_owned()
}

/// A token endpoint that numbers its tokens.
struct TokenService {
    port: u16,
    requests: Arc<AtomicUsize>,
    _task: JoinSet<()>,
}

impl TokenService {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&requests);
        let mut task = JoinSet::new();
        task.spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let number = counter.fetch_add(1, Ordering::SeqCst);
                let mut request = Vec::new();
                // The form ends with its last parameter; nothing follows it.
                while !String::from_utf8_lossy(&request).contains("grant_type=client_credentials") {
                    assert_ne!(stream.read_buf(&mut request).await.unwrap(), 0);
                }
                let body = format!(
                    r#"{{"token_type":"Bearer","expires_in":3600,"access_token":"token-{number}"}}"#
                );
                let answer = format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\
                     content-length: {}\r\nconnection: close\r\n\r\n{body}",
                    body.len()
                );
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        Self {
            port,
            requests,
            _task: task,
        }
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    /// Runs the example as a process of its own.
    async fn process(&self, key: &SealingKey, redis: &str) -> Output {
        let endpoint = format!("http://127.0.0.1:{}", self.port);
        let output = Command::new(example())
            .args([redis, key.to_base64().expose(), &endpoint])
            .args([
                "contoso.onmicrosoft.com",
                "11111111-2222-4333-8444-555555555555",
            ])
            .arg("Ab8Q~a-secret-of-the-test")
            .output()
            .await
            .unwrap();
        let log = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{log}");
        output
    }
}

/// Cargo builds the examples of a package before its tests, beside their folder; where one test
/// program is chosen with `--test`, it does not.
fn example() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test.ancestors().nth(2).unwrap();
    profile
        .join("examples/shared_tokens")
        .with_extension(std::env::consts::EXE_EXTENSION)
}
