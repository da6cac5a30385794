//! The stores against Redis itself: the contracts on a server that runs at its usual port, and
//! restarts, passwords and policies on servers that the tests start.

#![cfg(feature = "redis")]
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails"
)]

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use entra_core::{
    CacheName, Clock as _, Finding, MovableClock, OneTimeError, OneTimeKey, OneTimeStore, Outcome,
    Probe, SessionIndex, SystemClock, TokenCache, contract,
};
use entra_store::{
    Redis, RedisError, RedisOneTimeStore, RedisOptions, RedisSessionIndex, RedisTokenCache,
};
use time::macros::datetime;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Redis on 127.0.0.1:6379"]
async fn the_token_cache_holds_the_contract_across_two_connections() {
    let [one, other] = two_nodes("cache").map(|redis| RedisTokenCache::new(&redis));
    let nodes: [Arc<dyn TokenCache>; 2] = [Arc::new(one), Arc::new(other)];
    let [one, other] = &nodes;
    contract::token_cache::all([one, other], &SystemClock).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Redis on 127.0.0.1:6379"]
async fn the_one_time_store_holds_the_contract_across_two_connections() {
    let [one, other] = two_nodes("once").map(|redis| RedisOneTimeStore::new(&redis));
    let nodes: [Arc<dyn OneTimeStore>; 2] = [Arc::new(one), Arc::new(other)];
    let [one, other] = &nodes;
    contract::one_time_store::all([one, other], &SystemClock).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Redis on 127.0.0.1:6379"]
async fn the_index_of_sessions_holds_the_contract_across_two_connections() {
    let [one, other] = two_nodes("sessions").map(|redis| RedisSessionIndex::new(&redis));
    let nodes: [Arc<dyn SessionIndex>; 2] = [Arc::new(one), Arc::new(other)];
    let [one, other] = &nodes;
    contract::session_index::all([one, other], &SystemClock).await;
}

#[tokio::test]
#[ignore = "needs Redis on 127.0.0.1:6379"]
async fn prefixes_keep_products_apart() {
    let [one, _] = two_nodes("one");
    let [other, _] = two_nodes("other");
    let name = CacheName::from_bytes([1; 32]);
    let (one, other) = (RedisTokenCache::new(&one), RedisTokenCache::new(&other));
    one.store(&name, b"one", MINUTE).await.unwrap();
    assert_eq!(other.load(&name).await.unwrap(), None);
}

#[tokio::test]
#[ignore = "needs the redis-server program"]
async fn a_restart_is_not_noticed_and_what_is_on_disk_is_still_known() {
    let mut server = Server::start(&["--appendonly", "yes"]).await;
    let redis = server.redis(|options| options);
    let (cache, store) = (RedisTokenCache::new(&redis), RedisOneTimeStore::new(&redis));
    let (name, key) = (
        CacheName::from_bytes([2; 32]),
        OneTimeKey::new("test", ["a"]),
    );
    let end = SystemClock.now() + MINUTE;
    cache.store(&name, b"token", MINUTE).await.unwrap();
    assert!(store.insert_once(&key, end).await.unwrap());

    server.restart().await;
    assert!(!store.insert_once(&key, end).await.unwrap());
    assert_eq!(cache.load(&name).await.unwrap().unwrap(), b"token");
}

#[tokio::test]
#[ignore = "needs the redis-server program"]
async fn a_server_that_is_stopped_in_the_middle_fails_calls_in_time_and_comes_back() {
    let server = Server::start(&[]).await;
    let clock = Arc::new(MovableClock::frozen_at(datetime!(2026-01-01 12:00 UTC)));
    let timeout = Duration::from_millis(200);
    let redis = server.redis(|options| options.with_timeout(timeout).with_clock(clock.clone()));
    let (cache, store) = (RedisTokenCache::new(&redis), RedisOneTimeStore::new(&redis));
    let (name, key) = (
        CacheName::from_bytes([3; 32]),
        OneTimeKey::new("test", ["b"]),
    );
    let end = clock.now() + MINUTE;
    cache.store(&name, b"token", MINUTE).await.unwrap();

    // The system still takes connections for a process that is stopped.
    server.signal("-STOP").await;
    let before = SystemClock.monotonic();
    cache.load(&name).await.unwrap_err();
    for _ in 0..100 {
        let refused = store.insert_once(&key, end).await;
        assert!(matches!(refused, Err(OneTimeError::Unavailable(_))));
    }
    let took = SystemClock.monotonic() - before;
    assert!(took >= timeout && took < 5 * timeout, "{took:?}");

    server.signal("-CONT").await;
    clock.advance(Duration::from_secs(1));
    assert_eq!(cache.load(&name).await.unwrap().unwrap(), b"token");
    assert!(store.insert_once(&key, end).await.unwrap());
}

#[tokio::test]
#[ignore = "needs the redis-server program"]
async fn the_password_opens_and_a_wrong_one_is_named_as_the_cause() {
    let server = Server::start(&["--requirepass", "hunter2"]).await;
    let name = CacheName::from_bytes([4; 32]);
    let cache = |password: Option<&str>| {
        RedisTokenCache::new(&server.redis(|options| match password {
            Some(password) => options.with_password(password.into()),
            None => options,
        }))
    };
    assert_eq!(cache(Some("hunter2")).load(&name).await.unwrap(), None);
    for wrong in [None, Some("hunter3")] {
        let cause = cause(&cache(wrong).load(&name).await.unwrap_err());
        assert!(matches!(cause, RedisError::SignIn { .. }), "{cause:?}");
    }
}

#[tokio::test]
#[ignore = "needs the redis-server program"]
async fn a_database_that_is_not_there_is_named_as_the_cause() {
    let server = Server::start(&["--databases", "2"]).await;
    let url = |database| format!("redis://127.0.0.1:{}/{database}", server.port);
    let cache = |database| {
        let options = RedisOptions::new(&url(database)).unwrap();
        RedisTokenCache::new(&Redis::new(options).unwrap())
    };
    let name = CacheName::from_bytes([5; 32]);
    assert_eq!(cache(1).load(&name).await.unwrap(), None);
    let finding = Probe::run(&cache(2)).await;
    assert_eq!(finding.outcome, Outcome::Failed);
    assert!(finding.detail.ends_with("has no database 2"), "{finding}");
}

#[tokio::test]
#[ignore = "needs the redis-server program"]
async fn a_full_server_refuses_one_time_keys_and_forgets_none() {
    let server = Server::start(&["--maxmemory", "1", "--maxmemory-policy", "noeviction"]).await;
    let store = RedisOneTimeStore::new(&server.redis(|options| options));
    let end = SystemClock.now() + MINUTE;
    let refused = store
        .insert_once(&OneTimeKey::new("test", ["c"]), end)
        .await;
    let Err(OneTimeError::Unavailable(cause)) = refused else {
        panic!("{refused:?}");
    };
    assert!(cause.to_string().ends_with("the error OOM"), "{cause}");
}

#[tokio::test]
#[ignore = "needs the redis-server program"]
async fn the_connection_test_says_whether_redis_may_forget() {
    async fn finding(settings: &[&str]) -> Finding {
        let server = Server::start(settings).await;
        Probe::run(&RedisOneTimeStore::new(&server.redis(|options| options))).await
    }
    let good = ["--maxmemory-policy", "noeviction", "--appendonly", "yes"];
    let evicts = ["--maxmemory-policy", "allkeys-lru", "--appendonly", "yes"];
    let found = finding(&good).await;
    assert_eq!(found.outcome, Outcome::Passed, "{found}");
    let found = finding(&evicts).await;
    assert_eq!(found.outcome, Outcome::Warning);
    assert!(found.detail.contains("allkeys-lru"), "{found}");
    let found = finding(&[]).await;
    assert_eq!(found.outcome, Outcome::Warning);
    assert!(found.detail.contains("appendonly is off"), "{found}");
    let found = finding(&["--replicaof", "127.0.0.1", "1"]).await;
    assert_eq!(found.outcome, Outcome::Failed);
    assert!(found.detail.contains("is a replica"), "{found}");
}

#[cfg(feature = "redis-tls")]
#[tokio::test]
#[ignore = "needs the redis-server program"]
async fn tls_needs_a_certificate_of_the_host_by_an_authority_that_is_trusted() {
    let files = tempfile::tempdir().unwrap();
    let authority = write_certificate(files.path());
    let path = |name: &str| files.path().join(name).to_str().unwrap().to_owned();
    let tls_port = free_port().await;
    let server = Server::start(&[
        "--tls-port",
        &tls_port.to_string(),
        "--tls-cert-file",
        &path("server.crt"),
        "--tls-key-file",
        &path("server.key"),
        "--tls-auth-clients",
        "no",
    ])
    .await;
    let name = CacheName::from_bytes([6; 32]);
    let load = async |url: String, trusted: bool| {
        let mut options = RedisOptions::new(&url).unwrap();
        if trusted {
            options = options.with_root_certificate(authority.clone());
        }
        let cache = RedisTokenCache::new(&Redis::new(options).unwrap());
        cache.load(&name).await.map_err(|error| cause(&error))
    };
    let found = load(format!("rediss://localhost:{tls_port}"), true).await;
    assert_eq!(found.unwrap(), None);
    for (url, trusted) in [
        (format!("rediss://localhost:{tls_port}"), false),
        (format!("rediss://127.0.0.1:{tls_port}"), true),
    ] {
        let error = load(url.clone(), trusted).await.unwrap_err();
        assert!(matches!(error, RedisError::Tls { .. }), "{url}: {error:?}");
    }
    for (url, expected) in [
        (format!("rediss://localhost:{}", server.port), "Timeout"),
        (format!("redis://localhost:{tls_port}"), "Interrupted"),
    ] {
        let error = load(url, true).await.unwrap_err();
        assert!(format!("{error:?}").starts_with(expected), "{error:?}");
        assert!(error.admin_hint().contains("rediss://"), "{error:?}");
    }
}

/// Writes the certificate and the key of a server on `localhost`, and returns its authority.
#[cfg(feature = "redis-tls")]
fn write_certificate(folder: &std::path::Path) -> entra_core::Certificate {
    let mut ca = rcgen::CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca_key = rcgen::KeyPair::generate().unwrap();
    let ca = rcgen::CertifiedIssuer::self_signed(ca, ca_key).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let server = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let server = server.signed_by(&key, &ca).unwrap();
    std::fs::write(folder.join("server.crt"), server.pem()).unwrap();
    std::fs::write(folder.join("server.key"), key.serialize_pem()).unwrap();
    entra_core::Certificate::from_der(ca.der().to_vec()).unwrap()
}

fn cause(error: &entra_core::TokenCacheError) -> RedisError {
    let cause = std::error::Error::source(error).unwrap();
    cause.downcast_ref::<RedisError>().unwrap().clone()
}

async fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().port()
}

/// Two connections to the server at the usual port, as two processes have them.
fn two_nodes(test: &str) -> [Redis; 2] {
    let prefix = format!("entra-store-test:{test}:{}:", std::process::id());
    [(); 2].map(|()| {
        let options = RedisOptions::new("redis://127.0.0.1:6379/15").unwrap();
        let options = options.with_prefix(&prefix).with_timeout(MINUTE);
        Redis::new(options).unwrap()
    })
}

/// A Redis of the test's own.
struct Server {
    port: u16,
    folder: tempfile::TempDir,
    settings: Vec<String>,
    process: Child,
}

impl Server {
    async fn start(settings: &[&str]) -> Self {
        let port = free_port().await;
        let folder = tempfile::tempdir().unwrap();
        let settings: Vec<String> = settings.iter().map(|&text| text.to_owned()).collect();
        let process = Self::launch(port, folder.path(), &settings);
        let server = Self {
            port,
            folder,
            settings,
            process,
        };
        server.is_up().await;
        server
    }

    fn launch(port: u16, folder: &std::path::Path, settings: &[String]) -> Child {
        Command::new("redis-server")
            .args([
                "--port",
                &port.to_string(),
                "--bind",
                "127.0.0.1",
                "--save",
                "",
            ])
            .args(["--dir".as_ref(), folder.as_os_str()])
            .args(settings)
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap()
    }

    async fn restart(&mut self) {
        self.signal("-TERM").await;
        self.process.wait().await.unwrap();
        self.process = Self::launch(self.port, self.folder.path(), &self.settings);
        self.is_up().await;
    }

    /// Waits until the server answers, which it does not while it reads its disk.
    async fn is_up(&self) {
        let ping = async || {
            let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
            stream.write_all(b"PING\r\n").await?;
            let mut answer = [0; 4];
            stream.read_exact(&mut answer).await?;
            std::io::Result::Ok(matches!(&answer, b"+PON" | b"-NOA"))
        };
        while !ping().await.unwrap_or(false) {
            tokio::task::yield_now().await;
        }
    }

    async fn signal(&self, signal: &str) {
        let process = self.process.id().unwrap().to_string();
        let mut kill = Command::new("kill");
        assert!(
            kill.args([signal, &process])
                .status()
                .await
                .unwrap()
                .success()
        );
    }

    fn redis(&self, with: impl FnOnce(RedisOptions) -> RedisOptions) -> Redis {
        let options = RedisOptions::new(&format!("redis://127.0.0.1:{}", self.port)).unwrap();
        Redis::new(with(options.with_timeout(MINUTE))).unwrap()
    }
}
