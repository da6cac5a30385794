//! A login with the system's browser, which comes back to a port of this machine.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "what a test cannot do fails it, and its browser is a task of its own"
)]

mod stage;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use entra_core::{Clock, MovableClock, Pipeline};
use entra_oidc::{
    Begin, CallbackRefusal, EntraLogin, Error, Login, LoginOptions, LoopbackError, NativeLogin,
    RedirectUri,
};
use stage::{Stage, keys};
use time::OffsetDateTime;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;
use url::Url;

/// The tenant's time of day, and waits that end when the test says so.
#[derive(Debug)]
struct TestClock {
    day: Arc<MovableClock>,
    passed: watch::Sender<Duration>,
}

#[async_trait]
impl Clock for TestClock {
    fn now(&self) -> OffsetDateTime {
        self.day.now()
    }

    fn monotonic(&self) -> Duration {
        *self.passed.borrow()
    }

    async fn sleep(&self, duration: Duration) {
        let end = self.monotonic() + duration;
        let mut passed = self.passed.subscribe();
        let _ = passed.wait_for(|now| *now >= end).await;
    }
}

struct Desk {
    stage: Stage,
    login: EntraLogin,
    clock: Arc<TestClock>,
}

impl Desk {
    async fn new() -> Self {
        let stage = Stage::new();
        let clock = Arc::new(TestClock {
            day: stage.emulator.clock(),
            passed: watch::Sender::new(Duration::ZERO),
        });
        let options = LoginOptions::new(
            stage.authority(),
            &stage.emulator.public_app().client_id,
            RedirectUri::loopback(),
            keys(),
        )
        .unwrap();
        let pipeline = Pipeline::new(stage.between.clone()).with_clock(clock.clone());
        let login = EntraLogin::connect(options, pipeline).await.unwrap();
        Self {
            stage,
            login,
            clock,
        }
    }

    async fn begin(&self) -> NativeLogin {
        self.login.loopback(Begin::to("/")).await.unwrap()
    }

    /// The user signs in; where the browser goes then.
    fn sign_in(&self, url: &Url) -> Url {
        let user = self.stage.user();
        let redirect = self.stage.emulator.sign_in_as(url, &user).unwrap();
        redirect.location
    }

    fn pass(&self, time: Duration) {
        self.clock.passed.send_modify(|passed| *passed += time);
    }
}

type Waiting = tokio::task::JoinHandle<Result<Login, LoopbackError>>;

fn wait(native: NativeLogin) -> (Url, Waiting) {
    let url = native.url().clone();
    (url, tokio::spawn(native.wait()))
}

fn port_of(authorize: &Url) -> u16 {
    let uri = authorize
        .query_pairs()
        .find(|(name, _)| name == "redirect_uri")
        .unwrap();
    let uri = Url::parse(&uri.1).unwrap();
    assert_eq!(uri.host_str(), Some("localhost"));
    uri.port().unwrap()
}

/// Sends these bytes and reads what comes until the end.
async fn send(port: u16, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer).await;
    answer
}

async fn get(url: &Url) -> String {
    let port = url.port().unwrap();
    let target = &url[url::Position::BeforePath..];
    let request = format!("GET {target} HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n");
    send(port, request.as_bytes()).await
}

#[tokio::test]
async fn a_user_signs_in_with_the_systems_browser() {
    let desk = Desk::new().await;
    let (url, waiting) = wait(desk.begin().await);
    let page = get(&desk.sign_in(&url)).await;
    assert!(page.starts_with("HTTP/1.1 200 OK\r\n"), "{page}");
    assert!(page.contains("You have signed in"));
    assert!(page.contains("cache-control: no-store\r\n"));
    assert!(page.contains("content-security-policy: default-src 'none'; "));
    let done = waiting.await.unwrap().unwrap();
    let user = &desk.stage.emulator.users()[0];
    assert_eq!(
        done.user.key().object().unwrap().to_string(),
        user.object_id
    );
    // Nobody listens any more.
    let again = TcpStream::connect(("127.0.0.1", port_of(&url))).await;
    assert!(again.is_err());
}

#[tokio::test]
async fn a_browser_may_come_by_either_address() {
    let desk = Desk::new().await;
    let (url, waiting) = wait(desk.begin().await);
    let back = desk.sign_in(&url);
    let port = back.port().unwrap();
    let Ok(mut stream) = TcpStream::connect(("::1", port)).await else {
        // This machine has no such address; nor then has the browser.
        assert!(tokio::net::TcpListener::bind(("::1", 0)).await.is_err());
        return;
    };
    let target = &back[url::Position::BeforePath..];
    let request = format!("GET {target} HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).await.unwrap();
    assert!(page.starts_with("HTTP/1.1 200 OK\r\n"), "{page}");
    assert!(waiting.await.unwrap().is_ok());
}

#[tokio::test]
async fn what_is_no_answer_changes_nothing() {
    let desk = Desk::new().await;
    let (url, waiting) = wait(desk.begin().await);
    let port = port_of(&url);
    let host = format!("Host: localhost:{port}");
    let long = format!(
        "GET /?code={} HTTP/1.1\r\n{host}\r\n\r\n",
        "a".repeat(16 << 10)
    );
    let requests = [
        (format!("GET /favicon.ico HTTP/1.1\r\n{host}\r\n\r\n"), 404),
        (format!("GET / HTTP/1.1\r\n{host}\r\n\r\n"), 404),
        (
            format!("POST /?code=a&state=b HTTP/1.1\r\n{host}\r\ncontent-length: 0\r\n\r\n"),
            405,
        ),
        (
            "GET /?code=a&state=b HTTP/1.1\r\nHost: evil.example\r\n\r\n".to_owned(),
            421,
        ),
        ("\u{16}\u{3}\u{1}\u{2}garbage\r\n\r\n".to_owned(), 400),
        (long, 431),
        // Another login's, somebody's guess, and one with two codes.
        (
            format!("GET /?code=a&state=b HTTP/1.1\r\n{host}\r\n\r\n"),
            400,
        ),
        (
            format!("GET /?error=access_denied HTTP/1.1\r\n{host}\r\n\r\n"),
            400,
        ),
        (
            format!("GET /?code=a&code=b&state=c HTTP/1.1\r\n{host}\r\n\r\n"),
            400,
        ),
    ];
    for (request, status) in requests {
        let answer = send(port, request.as_bytes()).await;
        let start = format!("HTTP/1.1 {status} ");
        assert!(
            answer.starts_with(&start) || (status == 431 && answer.is_empty()),
            "{answer}"
        );
        assert!(!answer.contains("<script"));
    }
    // A connection that says nothing, and one that goes away in the middle.
    let silent = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let mut broken = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    broken.write_all(b"GET /?co").await.unwrap();
    drop(broken);
    assert!(!waiting.is_finished());
    let page = get(&desk.sign_in(&url)).await;
    assert!(page.contains("You have signed in"), "{page}");
    assert!(waiting.await.unwrap().is_ok());
    drop(silent);
}

#[tokio::test]
async fn two_logins_at_a_time_have_a_port_each() {
    let desk = Desk::new().await;
    let (first_url, first) = wait(desk.begin().await);
    let (second_url, second) = wait(desk.begin().await);
    assert_ne!(port_of(&first_url), port_of(&second_url));
    // The answer of one at the port of the other is refused there.
    let back = desk.sign_in(&second_url);
    let mut stray = back.clone();
    stray.set_port(Some(port_of(&first_url))).unwrap();
    let answer = get(&stray).await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(get(&back).await.starts_with("HTTP/1.1 200 "));
    assert!(second.await.unwrap().is_ok());
    assert!(
        get(&desk.sign_in(&first_url))
            .await
            .starts_with("HTTP/1.1 200 ")
    );
    assert!(first.await.unwrap().is_ok());
}

#[tokio::test]
async fn a_user_who_declines_is_told_so_and_so_is_the_program() {
    let desk = Desk::new().await;
    let (url, waiting) = wait(desk.begin().await);
    let state = url.query_pairs().find(|(name, _)| name == "state").unwrap();
    let port = port_of(&url);
    let declined = format!(
        "http://localhost:{port}/?error=access_denied&error_description=AADSTS65004:%20%3Cscript%3E&state={}",
        state.1
    );
    let page = get(&Url::parse(&declined).unwrap()).await;
    assert!(page.starts_with("HTTP/1.1 403 "), "{page}");
    assert!(page.contains("The sign-in was cancelled."));
    assert!(!page.contains("<script"));
    let error = waiting.await.unwrap().unwrap_err();
    assert!(
        matches!(&error, LoopbackError::Login(Error::Provider(error)) if error.is_cancelled()),
        "{error:?}"
    );
}

#[tokio::test]
async fn whoever_says_nothing_is_hung_up_on_after_ten_seconds() {
    let desk = Desk::new().await;
    let (url, waiting) = wait(desk.begin().await);
    let port = port_of(&url);
    // As many as are listened to at a time.
    let mut silent = Vec::new();
    for _ in 0..32 {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        stream.write_all(b"GET /?code=").await.unwrap();
        silent.push(stream);
    }
    let back = desk.sign_in(&url);
    let answer = tokio::spawn(async move { get(&back).await });
    // All of them are listened to by now: those that wait are first in the queue.
    while desk.clock.passed.receiver_count() < 33 {
        tokio::task::yield_now().await;
    }
    assert!(!waiting.is_finished());
    desk.pass(Duration::from_secs(10));
    for stream in &mut silent {
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
        assert_eq!(rest, b"");
    }
    assert!(answer.await.unwrap().starts_with("HTTP/1.1 200 "));
    assert!(waiting.await.unwrap().is_ok());
}

#[tokio::test]
async fn nobody_is_waited_for_longer_than_ten_minutes() {
    let desk = Desk::new().await;
    let (url, waiting) = wait(desk.begin().await);
    while desk.clock.passed.receiver_count() < 1 {
        tokio::task::yield_now().await;
    }
    desk.pass(Duration::from_secs(600));
    let error = waiting.await.unwrap().unwrap_err();
    let expected = CallbackRefusal::TransactionExpired;
    assert!(
        matches!(&error, LoopbackError::Login(Error::Callback(refusal)) if *refusal == expected),
        "{error:?}"
    );
    let again = TcpStream::connect(("127.0.0.1", port_of(&url))).await;
    assert!(again.is_err());
}

#[tokio::test]
async fn a_program_that_gives_up_closes_the_port() {
    let desk = Desk::new().await;
    let native = desk.begin().await;
    let port = port_of(native.url());
    assert!(!format!("{native:?}").contains("code_challenge"));
    drop(native);
    assert!(TcpStream::connect(("127.0.0.1", port)).await.is_err());
}

#[tokio::test]
async fn the_web_applications_login_lends_itself_without_its_credential() {
    let desk = Desk::new().await;
    // As the registration of a product that has both platforms.
    let web = desk.stage.login().await;
    let native = web.loopback(Begin::to("/")).await.unwrap();
    let uri = native
        .url()
        .query_pairs()
        .find(|(name, _)| name == "redirect_uri");
    assert!(uri.unwrap().1.starts_with("http://localhost:"));
}
