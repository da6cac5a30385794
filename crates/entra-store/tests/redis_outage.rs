//! What the stores do when Redis is not there, does not answer, is something else, or hangs up.

#![cfg(feature = "redis")]
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails"
)]

use std::collections::VecDeque;
use std::error::Error as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use entra_core::{
    CacheName, Clock as _, MovableClock, OneTimeError, OneTimeKey, OneTimeStore, Outcome, Probe,
    TokenCache,
};
use entra_store::{Redis, RedisError, RedisOneTimeStore, RedisOptions, RedisTokenCache};
use time::macros::datetime;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;

const NAME: CacheName = CacheName::from_bytes([7; 32]);
const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_store_is_made_while_redis_is_down_and_works_once_it_is_up() {
    let (socket, port) = closed_port();
    let (redis, clock) = redis(port, |options| options);
    let cache = RedisTokenCache::new(&redis);
    assert!(matches!(failure(&cache).await, RedisError::Connect { .. }));

    let listener = socket.listen(8).unwrap();
    let server = Server::on(listener, [vec![Step::Answer("GET", "$2\r\nup\r\n")]]);
    // Nobody asks during the pause, and the error says why.
    let paused = failure(&cache).await;
    assert!(matches!(paused, RedisError::Paused { .. }));
    let cause = paused.source().unwrap().to_string();
    assert_eq!(
        cause,
        format!("redis at 127.0.0.1:{port} cannot be reached")
    );
    assert_eq!(server.connections(), 0);

    clock.advance(SECOND);
    assert_eq!(cache.load(&NAME).await.unwrap().unwrap(), b"up");
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_server_that_is_down_is_asked_once_a_pause_however_many_call() {
    let server = Server::start([vec![], vec![], vec![]]).await;
    let (redis, clock) = redis(server.port, |options| options);
    let cache = RedisTokenCache::new(&redis);
    // The server hangs up at once, so each round is one connection.
    for connections in 1..=3 {
        let mut calls = JoinSet::new();
        for _ in 0..20 {
            let cache = cache.clone();
            calls.spawn(async move { cache.load(&NAME).await.is_err() });
        }
        assert!(calls.join_all().await.into_iter().all(|failed| failed));
        assert_eq!(server.connections(), connections);
        clock.advance(SECOND);
    }
}

#[tokio::test]
async fn the_one_time_store_says_that_it_does_not_know() {
    let (_socket, port) = closed_port();
    let (redis, clock) = redis(port, |options| options);
    let store = RedisOneTimeStore::new(&redis);
    for _ in 0..2 {
        let end = clock.now() + SECOND;
        let refused = store.insert_once(&key(), end).await;
        assert!(matches!(refused, Err(OneTimeError::Unavailable(_))));
    }
}

#[tokio::test]
async fn a_server_that_says_nothing_costs_one_timeout_and_no_more() {
    let steps = vec![Step::Silence];
    let server = Server::start([steps]).await;
    let (redis, _) = redis(server.port, |options| {
        options.with_timeout(Duration::from_millis(50))
    });
    let cache = RedisTokenCache::new(&redis);
    assert!(matches!(
        failure(&cache).await,
        RedisError::Timeout { timeout, .. } if timeout == Duration::from_millis(50)
    ));
    for _ in 0..1000 {
        assert!(matches!(failure(&cache).await, RedisError::Paused { .. }));
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_connection_that_stalls_is_given_up_and_replaced_after_the_pause() {
    let stalls = vec![Step::Answer("GET", "$-1\r\n"), Step::Silence];
    let server = Server::start([stalls, vec![Step::Answer("GET", "$3\r\nnew\r\n")]]).await;
    let (redis, clock) = redis(server.port, |options| {
        options.with_timeout(Duration::from_millis(100))
    });
    let cache = RedisTokenCache::new(&redis);
    assert_eq!(cache.load(&NAME).await.unwrap(), None);
    assert!(matches!(failure(&cache).await, RedisError::Timeout { .. }));
    clock.advance(SECOND);
    assert_eq!(cache.load(&NAME).await.unwrap().unwrap(), b"new");
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn a_connection_that_was_closed_is_replaced_within_the_call() {
    let first = vec![Step::Answer("GET", "$3\r\none\r\n"), Step::HangUp("GET")];
    let server = Server::start([first, vec![Step::Answer("GET", "$3\r\ntwo\r\n")]]).await;
    let (redis, _) = redis(server.port, |options| options);
    let cache = RedisTokenCache::new(&redis);
    assert_eq!(cache.load(&NAME).await.unwrap().unwrap(), b"one");
    assert_eq!(cache.load(&NAME).await.unwrap().unwrap(), b"two");
}

#[tokio::test]
async fn a_primary_that_became_a_replica_is_dialled_anew() {
    let replica = vec![Step::Answer(
        "PSETEX",
        "-READONLY You can't write here.\r\n",
    )];
    let primary = vec![Step::Answer("PSETEX", "+OK\r\n")];
    let server = Server::start([replica, primary]).await;
    let (redis, _) = redis(server.port, |options| options);
    let cache = RedisTokenCache::new(&redis);
    cache.store(&NAME, b"token", SECOND).await.unwrap();
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn an_answer_that_was_lost_makes_nobody_second_to_themselves() {
    // The first connection takes the command and hangs up; on the second the key is there.
    let first = vec![Step::HangUp("SET")];
    let second = vec![Step::Answer("SET", "$-1\r\n"), Step::Repeat("GET")];
    let server = Server::start([first, second]).await;
    let (redis, clock) = redis(server.port, |options| options);
    let store = RedisOneTimeStore::new(&redis);
    let end = clock.now() + SECOND;
    assert!(store.insert_once(&key(), end).await.unwrap());
}

#[tokio::test]
async fn a_key_with_the_value_of_another_call_is_used() {
    let steps = vec![
        Step::Answer("SET", "$-1\r\n"),
        Step::Answer("GET", "$16\r\n0123456789abcdef\r\n"),
        Step::Answer("SET", "$-1\r\n"),
        Step::Answer("GET", "$-1\r\n"),
    ];
    let server = Server::start([steps]).await;
    let (redis, clock) = redis(server.port, |options| options);
    let store = RedisOneTimeStore::new(&redis);
    let end = clock.now() + SECOND;
    assert!(!store.insert_once(&key(), end).await.unwrap());
    // It ended between the two commands, and was used all the same.
    assert!(!store.insert_once(&key(), end).await.unwrap());
}

#[tokio::test]
async fn a_full_redis_refuses_and_is_not_left_alone() {
    let full = || Step::Answer("SET", "-OOM command not allowed\r\n");
    let server = Server::start([vec![full(), full(), Step::Answer("SET", "+OK\r\n")]]).await;
    let (redis, clock) = redis(server.port, |options| options);
    let store = RedisOneTimeStore::new(&redis);
    let end = clock.now() + SECOND;
    for _ in 0..2 {
        let Err(OneTimeError::Unavailable(cause)) = store.insert_once(&key(), end).await else {
            panic!("it was not refused");
        };
        let cause = cause.downcast::<RedisError>().unwrap();
        assert!(matches!(*cause, RedisError::Refused { ref code, .. } if code == "OOM"));
    }
    assert!(store.insert_once(&key(), end).await.unwrap());
}

#[tokio::test]
async fn what_is_not_redis_is_called_so() {
    let steps = vec![Step::Raw("HTTP/1.1 400 Bad Request\r\n\r\n"), Step::Silence];
    let server = Server::start([steps]).await;
    let (redis, _) = redis(server.port, |options| options);
    let cache = RedisTokenCache::new(&redis);
    assert!(matches!(failure(&cache).await, RedisError::Protocol { .. }));
}

#[tokio::test]
async fn no_answer_of_a_server_brings_the_password_into_an_error() {
    let answer = "-ERR unknown command 'AUTH', with args beginning with: 'hunter2'\r\n\
        +OK\r\n+OK\r\n";
    let server = Server::start([vec![Step::Raw(answer), Step::Silence]]).await;
    let (redis, _) = redis(server.port, |options| {
        options.with_password("hunter2".into())
    });
    let cache = RedisTokenCache::new(&redis);
    let finding = Probe::run(&cache).await;
    assert_eq!(finding.outcome, Outcome::Failed);
    let error = cache.load(&NAME).await.unwrap_err();
    let shown = format!(
        "{redis:?} {finding:?} {error:?} {}",
        entra_core::error_chain(&error)
    );
    assert!(shown.contains("SignIn"), "{shown}");
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[tokio::test]
async fn a_caller_that_gives_up_leaves_its_answer_to_nobody() {
    let steps = vec![
        Step::Read("GET"),
        Step::Answer("GET", "$5\r\nfirst\r\n$6\r\nsecond\r\n"),
    ];
    let server = Server::start([steps]).await;
    let (redis, _) = redis(server.port, |options| options.with_timeout(Duration::MAX));
    let cache = RedisTokenCache::new(&redis);
    tokio::select! {
        biased;
        _ = cache.load(&NAME) => panic!("the server has not answered"),
        () = server.has_read() => {}
    }
    assert_eq!(cache.load(&NAME).await.unwrap().unwrap(), b"second");
}

fn redis(port: u16, with: impl FnOnce(RedisOptions) -> RedisOptions) -> (Redis, Arc<MovableClock>) {
    let clock = Arc::new(MovableClock::frozen_at(datetime!(2026-01-01 12:00 UTC)));
    let options = RedisOptions::new(&format!("redis://127.0.0.1:{port}")).unwrap();
    let options = with(options.with_timeout(10 * SECOND).with_clock(clock.clone()));
    (Redis::new(options).unwrap(), clock)
}

fn key() -> OneTimeKey {
    OneTimeKey::new("test", ["id"])
}

async fn failure(cache: &RedisTokenCache) -> RedisError {
    let error = cache.load(&NAME).await.unwrap_err();
    let cause = error.source().unwrap().downcast_ref::<RedisError>();
    cause.unwrap().clone()
}

/// A port that is taken and that nobody listens on.
fn closed_port() -> (TcpSocket, u16) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let port = socket.local_addr().unwrap().port();
    (socket, port)
}

/// One thing that the server does on a connection, after which it hangs up.
enum Step {
    /// Reads a command of this name and answers so.
    Answer(&'static str, &'static str),
    /// Reads a command of this name and answers with the value of the last `SET` that it saw.
    Repeat(&'static str),
    /// Reads a command of this name and leaves the answer to the next step.
    Read(&'static str),
    /// Reads a command of this name and hangs up.
    HangUp(&'static str),
    /// Answers so, whatever comes first.
    Raw(&'static str),
    /// Says nothing any more.
    Silence,
}

/// A Redis that follows a script, one list of steps per connection.
struct Server {
    port: u16,
    connections: Arc<Mutex<usize>>,
    read: Arc<Notify>,
    _task: JoinSet<()>,
}

impl Server {
    async fn start(script: impl IntoIterator<Item = Vec<Step>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::on(listener, script)
    }

    fn on(listener: TcpListener, script: impl IntoIterator<Item = Vec<Step>>) -> Self {
        let port = listener.local_addr().unwrap().port();
        let connections = Arc::new(Mutex::new(0));
        let mut script: VecDeque<_> = script.into_iter().collect();
        let counter = Arc::clone(&connections);
        let read = Arc::new(Notify::new());
        let has_read = Arc::clone(&read);
        let mut task = JoinSet::new();
        task.spawn(async move {
            let (mut set, mut silent) = (Vec::new(), Vec::new());
            while let Ok((stream, _)) = listener.accept().await {
                *counter.lock().unwrap() += 1;
                let client = Client {
                    stream,
                    read: Vec::new(),
                };
                let steps = script.pop_front().unwrap();
                silent.extend(client.follow(steps, &mut set, &has_read).await);
            }
        });
        Self {
            port,
            connections,
            read,
            _task: task,
        }
    }

    /// Returns once a [`Step::Read`] is done.
    async fn has_read(&self) {
        self.read.notified().await;
    }

    fn connections(&self) -> usize {
        *self.connections.lock().unwrap()
    }
}

struct Client {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Client {
    /// Returns a connection that is kept open. `set` is the value of the last `SET`.
    async fn follow(mut self, steps: Vec<Step>, set: &mut Vec<u8>, read: &Notify) -> Option<Self> {
        for step in steps {
            match step {
                Step::Silence => return Some(self),
                Step::Read(name) => {
                    self.expect(name, set).await;
                    read.notify_one();
                }
                Step::HangUp(name) => {
                    self.expect(name, set).await;
                    return None;
                }
                Step::Answer(name, answer) => {
                    self.expect(name, set).await;
                    self.stream.write_all(answer.as_bytes()).await.unwrap();
                }
                Step::Repeat(name) => {
                    self.expect(name, set).await;
                    let length = format!("${}\r\n", set.len());
                    let answer = [length.as_bytes(), set, b"\r\n"].concat();
                    self.stream.write_all(&answer).await.unwrap();
                }
                Step::Raw(answer) => {
                    self.command().await;
                    self.stream.write_all(answer.as_bytes()).await.unwrap();
                }
            }
        }
        None
    }

    /// Reads the next command but for the greeting's, which it accepts.
    async fn expect(&mut self, name: &str, set: &mut Vec<u8>) {
        loop {
            let command = self.command().await;
            match command.first().unwrap().as_slice() {
                b"CLIENT" => self.stream.write_all(b"+OK\r\n").await.unwrap(),
                found => {
                    assert_eq!(String::from_utf8_lossy(found), name);
                    if name == "SET" {
                        set.clone_from(command.get(2).unwrap());
                    }
                    return;
                }
            }
        }
    }

    /// One array of bulk strings.
    async fn command(&mut self) -> Vec<Vec<u8>> {
        let parts = self.number(b'*').await;
        let mut command = Vec::new();
        for _ in 0..parts {
            let length = self.number(b'$').await;
            while self.read.len() < length + 2 {
                self.more().await;
            }
            command.push(self.read.drain(..length).collect());
            self.read.drain(..2);
        }
        command
    }

    async fn number(&mut self, kind: u8) -> usize {
        loop {
            if let Some(end) = self.read.windows(2).position(|pair| pair == b"\r\n") {
                let line: Vec<u8> = self.read.drain(..end + 2).collect();
                let text = String::from_utf8(line).unwrap();
                let digits = text.trim_end().strip_prefix(char::from(kind)).unwrap();
                return digits.parse().unwrap();
            }
            self.more().await;
        }
    }

    async fn more(&mut self) {
        let read = self.stream.read_buf(&mut self.read).await.unwrap();
        assert_ne!(read, 0, "the client hung up in the middle of a script");
    }
}
