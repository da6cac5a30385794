//! Sign-in of a program on a user's machine, with the system's browser (RFC 8252 7.3): a listener
//! on loopback that takes one answer.

mod request;

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use entra_core::Clock;
use futures_util::future::{self, Either};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use http::StatusCode;
use tokio::net::{TcpListener, TcpStream};
use url::Url;

use crate::page::Page;
use crate::transaction::LIFETIME;
use crate::{
    Begin, Callback, CallbackRefusal, EntraLogin, Error, Login, PendingLogin, RedirectUri,
};
use request::{Asked, answer, read};

impl EntraLogin {
    /// Begins a login with the system's browser: listens on a free port of this machine, at
    /// `http://localhost:{port}`. `http://localhost` has to be registered on the platform for
    /// native clients; Entra passes over the port. No credential is used.
    ///
    /// The host opens the [URL](NativeLogin::url) in the browser and [waits](NativeLogin::wait).
    ///
    /// ```
    /// # async fn f(login: entra_oidc::EntraLogin, open: fn(&str)) -> Result<(), entra_oidc::LoopbackError> {
    /// use entra_oidc::Begin;
    ///
    /// let native = login.loopback(Begin::to("/")).await?;
    /// open(native.url().as_str());
    /// let user = native.wait().await?.user;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`LoopbackError::Listen`] where no port can be had, [`LoopbackError::Login`] as
    /// [`begin`](Self::begin).
    pub async fn loopback(&self, begin: Begin) -> Result<NativeLogin, LoopbackError> {
        let listeners = Listeners::bind().await.map_err(LoopbackError::Listen)?;
        let redirect_uri = RedirectUri::loopback().at_port(listeners.port);
        let login = self.with_redirect_uri(redirect_uri)?;
        let begun = login.begin(begin)?;
        let handle = begun.handle().cloned();
        Ok(NativeLogin {
            handle: handle.ok_or(Error::Callback(CallbackRefusal::TransactionNotFound))?,
            url: begun.location().clone(),
            login,
            listeners,
        })
    }
}

/// A login that waits for the system's browser. Dropping it gives up, and closes the port.
pub struct NativeLogin {
    login: EntraLogin,
    listeners: Listeners,
    handle: PendingLogin,
    url: Url,
}

impl NativeLogin {
    /// Where the browser goes.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Waits for the browser to come back, for ten minutes at the most, and finishes the login. The
    /// browser shows what became of it; the port is closed then.
    ///
    /// What is no answer to this login, a tab of another one or a page on the web that tries its
    /// luck at ports, is answered with an error and changes nothing.
    ///
    /// # Errors
    /// [`LoopbackError::Login`] where the login was refused, or nobody came.
    pub async fn wait(self) -> Result<Login, LoopbackError> {
        let Self {
            login,
            listeners,
            handle,
            ..
        } = self;
        let clock = Arc::clone(login.0.provider.pipeline().clock());
        let over = clock.sleep(Duration::from_secs(LIFETIME.unsigned_abs()));
        let work = Box::pin(take(&login, &listeners, &handle));
        match future::select(work, over).await {
            Either::Left((done, _)) => done,
            Either::Right(_) => Err(Error::Callback(CallbackRefusal::TransactionExpired).into()),
        }
    }
}

impl fmt::Debug for NativeLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NativeLogin")
            .field("login", &self.login)
            .field("port", &self.listeners.port)
            .finish_non_exhaustive()
    }
}

/// Why a login with the system's browser failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoopbackError {
    /// This machine gives no port to listen on.
    #[error("no port of this machine can be listened on")]
    Listen(#[source] io::Error),
    /// The login was refused.
    #[error(transparent)]
    Login(#[from] Error),
}

/// Takes connections until one brings the answer. Several at a time: a browser opens some ahead and
/// says nothing on them.
async fn take(
    login: &EntraLogin,
    listeners: &Listeners,
    handle: &PendingLogin,
) -> Result<Login, LoopbackError> {
    let clock: &dyn Clock = &**login.0.provider.pipeline().clock();
    let mut open = FuturesUnordered::new();
    loop {
        let accepted = Box::pin(listeners.accept_unless(open.len() >= MOST_CONNECTIONS));
        let came = if open.is_empty() {
            Either::Left(accepted.await)
        } else {
            match future::select(accepted, open.next()).await {
                Either::Left((stream, _)) => Either::Left(stream),
                Either::Right((asked, _)) => Either::Right(asked.flatten()),
            }
        };
        match came {
            Either::Left(stream) => {
                let stream = stream.map_err(LoopbackError::Listen)?;
                open.push(within(clock, converse(stream, listeners.port)));
            }
            Either::Right(Some((stream, query))) => {
                if let Some(done) = settle(login, handle, stream, &query, clock).await {
                    return Ok(done?);
                }
            }
            Either::Right(None) => {}
        }
    }
}

/// Reads one request. What cannot be the answer to a login is answered here.
async fn converse(mut stream: TcpStream, port: u16) -> Option<(TcpStream, String)> {
    let refusal = match read(&mut stream, port).await? {
        Asked::Answer(query) => return Some((stream, query)),
        Asked::Refused(status) => status,
    };
    let page = Page::new(refusal, "There is nothing here").with_text(
        "This address waits for a sign-in. Go back to the window in which you began it.",
    );
    answer(&mut stream, &page).await;
    None
}

/// Finishes the login with what came, and tells the browser. Nothing where it belongs to another
/// login: then this one goes on waiting.
async fn settle(
    login: &EntraLogin,
    handle: &PendingLogin,
    mut stream: TcpStream,
    query: &str,
    clock: &dyn Clock,
) -> Option<Result<Login, Error>> {
    let callback = Callback::of_client(handle.clone(), query);
    let done = Box::pin(login.finish(&callback)).await;
    let page = match &done {
        Ok(_) => Page::new(StatusCode::OK, "You have signed in")
            .with_text("You can close this window and go back to the program."),
        Err(failed) => Page::new(failed.error().http_status(), "Sign-in did not work")
            .with_text(failed.error().user_message()),
    };
    within(clock, async {
        answer(&mut stream, &page).await;
        None::<()>
    })
    .await;
    match done.map_err(crate::FailedLogin::into_error) {
        Err(Error::Callback(refusal)) if is_of_another_login(&refusal) => None,
        done => Some(done),
    }
}

/// Whether it does not even have the `state` of this login, which nobody else knows.
fn is_of_another_login(refusal: &CallbackRefusal) -> bool {
    matches!(
        refusal,
        CallbackRefusal::StateMissing
            | CallbackRefusal::TransactionNotFound
            | CallbackRefusal::DuplicateParameter(_)
    )
}

/// Does something, for ten seconds at the most.
async fn within<T>(clock: &dyn Clock, work: impl Future<Output = Option<T>>) -> Option<T> {
    match future::select(Box::pin(work), clock.sleep(MOST_TIME)).await {
        Either::Left((done, _)) => done,
        Either::Right(_) => None,
    }
}

/// A port of this machine, under both of its addresses where it has both: a browser may try either
/// of them for `localhost`.
struct Listeners {
    v4: Option<TcpListener>,
    v6: Option<TcpListener>,
    port: u16,
}

impl Listeners {
    async fn bind() -> io::Result<Self> {
        for _ in 0..TRIES {
            let v4 = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
            let port = match &v4 {
                Ok(listener) => listener.local_addr()?.port(),
                // A machine may have the other one alone.
                Err(_) => 0,
            };
            let v6 = TcpListener::bind(SocketAddr::from((Ipv6Addr::LOCALHOST, port))).await;
            match (v4, v6) {
                // Somebody else would be asked for half of the browsers: another port.
                (Ok(_), Err(error)) if error.kind() == io::ErrorKind::AddrInUse => {}
                (Err(error), Err(_)) => return Err(error),
                (v4, v6) => {
                    let port = match &v6 {
                        Ok(listener) => listener.local_addr()?.port(),
                        Err(_) => port,
                    };
                    let (v4, v6) = (v4.ok(), v6.ok());
                    return Ok(Self { v4, v6, port });
                }
            }
        }
        Err(io::ErrorKind::AddrInUse.into())
    }

    /// The next connection; none where there are enough.
    async fn accept_unless(&self, is_full: bool) -> io::Result<TcpStream> {
        if is_full {
            return future::pending().await;
        }
        let v4 = Box::pin(accept(self.v4.as_ref()));
        let v6 = Box::pin(accept(self.v6.as_ref()));
        let (accepted, _) = future::select(v4, v6).await.factor_first();
        accepted
    }
}

async fn accept(listener: Option<&TcpListener>) -> io::Result<TcpStream> {
    match listener {
        Some(listener) => listener.accept().await.map(|(stream, _)| stream),
        None => future::pending().await,
    }
}

const TRIES: usize = 8;
const MOST_CONNECTIONS: usize = 32;
const MOST_TIME: Duration = Duration::from_secs(10);
