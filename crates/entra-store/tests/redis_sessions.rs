//! The index of sessions against servers that the tests start: what they see, what a lost answer
//! does, and what an access control list must allow.

#![cfg(feature = "redis")]
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails"
)]

use std::process::Stdio;
use std::time::Duration;

use entra_core::{Clock as _, SessionIndex, SessionIndexError, SessionKey, SystemClock};
use entra_store::{Redis, RedisError, RedisOptions, RedisSessionIndex};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;

const MINUTE: Duration = Duration::from_secs(60);
const NOTHING: [&str; 0] = [];

#[tokio::test]
#[ignore = "needs the redis-server program"]
async fn keys_show_no_session_of_the_provider_and_end_with_the_last_session() {
    let server = Server::start(&[]).await;
    let index = server.index("");
    let now = SystemClock.now();
    index.add(&key(), "row 1", now + MINUTE).await.unwrap();
    index.add(&key(), "row 2", now + 10 * MINUTE).await.unwrap();
    let name = key().store_name();
    assert_eq!(
        server.ask("KEYS *").await,
        format!("entra:session:{{{name}}}")
    );
    let left: i64 = server
        .ask(&format!("PTTL entra:session:{{{name}}}"))
        .await
        .parse()
        .unwrap();
    assert!((590_000..=600_001).contains(&left), "{left}");

    index.remove(&key(), "row 1").await.unwrap();
    index.remove(&key(), "row 2").await.unwrap();
    assert_eq!(server.ask("KEYS *").await, "");
}

#[tokio::test]
#[ignore = "needs the redis-server program"]
async fn what_was_taken_out_is_gone_a_moment_later() {
    let server = Server::start(&[]).await;
    let index = server.index("");
    let end = SystemClock.now() + MINUTE;
    index.add(&key(), "row 1", end).await.unwrap();
    assert_eq!(index.take(&key()).await.unwrap(), ["row 1"]);
    let held = server.ask("KEYS *").await;
    let left: i64 = server.ask(&format!("PTTL {held}")).await.parse().unwrap();
    assert!(left <= 61_000, "{left}");
    assert_eq!(index.take(&key()).await.unwrap(), NOTHING);
}

#[tokio::test]
#[ignore = "needs the redis-server program"]
async fn an_answer_that_was_lost_loses_no_session() {
    let server = Server::start(&[]).await;
    let end = SystemClock.now() + MINUTE;
    let direct = server.index("");
    direct.add(&key(), "row 1", end).await.unwrap();
    direct.add(&key(), "row 2", end).await.unwrap();

    let (port, _proxy) = proxy_that_loses_the_first_answer("RENAME", server.port).await;
    let mut taken = index(port, "").take(&key()).await.unwrap();
    taken.sort_unstable();
    assert_eq!(taken, ["row 1", "row 2"]);
    assert_eq!(direct.take(&key()).await.unwrap(), NOTHING);
}

#[tokio::test]
#[ignore = "needs the redis-server program"]
async fn the_commands_that_the_documentation_names_are_enough_and_needed() {
    let allowed = "+eval +time +@sortedset +exists +rename +pexpire +pexpireat";
    let server = Server::start(&[]).await;
    server
        .ask(&format!("ACL SETUSER ann on >pw ~entra:* {allowed}"))
        .await;
    server
        .ask("ACL SETUSER bob on >pw ~entra:* +get +set")
        .await;
    let end = SystemClock.now() + MINUTE;
    let index = server.index("ann:pw@");
    index.add(&key(), "row 1", end).await.unwrap();
    index.add(&key(), "row 2", end).await.unwrap();
    index.remove(&key(), "row 1").await.unwrap();
    assert_eq!(index.take(&key()).await.unwrap(), ["row 2"]);

    let cause = cause(server.index("bob:pw@").take(&key()).await.unwrap_err());
    assert!(
        matches!(&cause, RedisError::Refused { code, .. } if code == "NOPERM"),
        "{cause:?}"
    );
    assert!(cause.admin_hint().contains("EVAL"), "{cause:?}");
}

#[tokio::test]
#[ignore = "needs the redis-server program"]
async fn a_full_server_says_so() {
    let server = Server::start(&["--maxmemory", "1", "--maxmemory-policy", "noeviction"]).await;
    let end = SystemClock.now() + MINUTE;
    let refused = server.index("").add(&key(), "row 1", end).await;
    let cause = cause(refused.unwrap_err());
    assert!(cause.to_string().ends_with("the error OOM"), "{cause}");
}

#[tokio::test]
#[ignore = "needs the redis-server program"]
async fn a_replica_takes_no_sessions_and_is_called_one() {
    let server = Server::start(&["--replicaof", "127.0.0.1", "1"]).await;
    let end = SystemClock.now() + MINUTE;
    let refused = server.index("").add(&key(), "row 1", end).await;
    let cause = cause(refused.unwrap_err());
    assert!(cause.admin_hint().contains("primary"), "{cause:?}");
}

#[tokio::test]
async fn an_index_that_cannot_be_reached_says_so() {
    // Nobody listens on the port of discarded bytes.
    let index = index(9, "");
    let end = SystemClock.now() + MINUTE;
    for error in [
        index.take(&key()).await.unwrap_err(),
        index.add(&key(), "row 1", end).await.unwrap_err(),
        index.remove(&key(), "row 1").await.unwrap_err(),
    ] {
        assert!(!format!("{error:?}").contains("row 1"), "{error:?}");
        assert!(matches!(error, SessionIndexError::Unavailable(_)));
    }
    // What has ended is not worth a question.
    let over = SystemClock.now() - MINUTE;
    index.add(&key(), "row 1", over).await.unwrap();
}

fn key() -> SessionKey {
    SessionKey::new("contoso", "001d6a9b-2f0e-4f7b-8f3a-6e2f5b6c7d80")
}

fn cause(error: SessionIndexError) -> RedisError {
    let SessionIndexError::Unavailable(cause) = error else {
        panic!("{error:?}");
    };
    cause.downcast_ref::<RedisError>().unwrap().clone()
}

fn index(port: u16, user: &str) -> RedisSessionIndex {
    let options = RedisOptions::new(&format!("redis://{user}127.0.0.1:{port}")).unwrap();
    RedisSessionIndex::new(&Redis::new(options.with_timeout(MINUTE)).unwrap())
}

/// Stands before a server and hangs up once it has an answer to a command that contains `word`;
/// after that it passes everything on.
async fn proxy_that_loses_the_first_answer(word: &'static str, to: u16) -> (u16, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut task = JoinSet::new();
    task.spawn(async move {
        let (mut client, _) = listener.accept().await.unwrap();
        let mut server = TcpStream::connect(("127.0.0.1", to)).await.unwrap();
        let mut bytes = vec![0; 64 * 1024];
        loop {
            let count = client.read(&mut bytes).await.unwrap();
            let sent = bytes.get(..count).unwrap();
            server.write_all(sent).await.unwrap();
            let is_last = String::from_utf8_lossy(sent).contains(word);
            let count = server.read(&mut bytes).await.unwrap();
            if is_last {
                break;
            }
            let answer = bytes.get(..count).unwrap();
            client.write_all(answer).await.unwrap();
        }
        drop(client);
        let (mut client, _) = listener.accept().await.unwrap();
        let mut server = TcpStream::connect(("127.0.0.1", to)).await.unwrap();
        tokio::io::copy_bidirectional(&mut client, &mut server)
            .await
            .ok();
    });
    (port, task)
}

/// A Redis of the test's own.
struct Server {
    port: u16,
    _process: Child,
}

impl Server {
    async fn start(settings: &[&str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let process = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", ""])
            .args(settings)
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            tokio::task::yield_now().await;
        }
        Self {
            port,
            _process: process,
        }
    }

    fn index(&self, user: &str) -> RedisSessionIndex {
        index(self.port, user)
    }

    /// What the server answers to a command.
    async fn ask(&self, command: &str) -> String {
        let output = Command::new("redis-cli")
            .args(["-p", &self.port.to_string(), "--raw"])
            .args(command.split(' '))
            .output()
            .await
            .unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}
