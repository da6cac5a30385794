//! Redis as a store: one handle that keeps a connection, and the stores upon it.

mod connection;
mod error;
mod one_time_store;
mod options;
mod probe;
mod session_index;
#[cfg(feature = "redis-tls")]
mod tls;
mod token_cache;

pub use error::RedisError;
pub use one_time_store::RedisOneTimeStore;
pub use options::{RedisOptions, RedisOptionsError};
pub use session_index::RedisSessionIndex;
pub use token_cache::RedisTokenCache;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ::redis::{Cmd, Value};
use tokio::time::{Instant, timeout_at};

use connection::{Connection, Dialer};

/// One Redis server, 4.0 or later, with the connection that all stores upon it share.
///
/// Nothing is opened before the first call, so a product starts while Redis is down. A connection
/// that is lost is replaced by the next call, which then asks once more. No call takes longer than
/// [`RedisOptions::with_timeout`]. Where Redis fails, it is left alone for
/// [`RedisOptions::with_pause`], so that calls in the meantime fail at once instead of each waiting
/// for the same timeout; after it one call tries. Each connection has one task on the runtime of
/// the call that opened it.
///
/// The server is one primary, or a proxy before others. The protocol of clusters is not spoken.
/// A clone is cheap and shares the connection.
#[derive(Clone)]
pub struct Redis(Arc<Inner>);

struct Inner {
    dialer: Dialer,
    state: Mutex<State>,
    /// One caller opens a connection, the others wait for it.
    dialing: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    connection: Option<Arc<Connection>>,
    outage: Option<Outage>,
}

struct Outage {
    error: Arc<RedisError>,
    /// On the monotonic clock.
    until: Duration,
}

impl Redis {
    /// A handle; nothing is connected yet.
    pub fn new(options: RedisOptions) -> Result<Self, RedisOptionsError> {
        Ok(Self(Arc::new(Inner {
            dialer: Dialer::new(options)?,
            state: Mutex::default(),
            dialing: tokio::sync::Mutex::default(),
        })))
    }

    fn options(&self) -> &RedisOptions {
        self.0.dialer.options()
    }

    fn server(&self) -> &Arc<str> {
        self.0.dialer.server()
    }

    /// The name of a key for one purpose.
    fn key(&self, purpose: &str, name: &impl fmt::Display) -> String {
        format!("{}{purpose}:{name}", self.options().prefix)
    }

    /// Until when a call that begins now may take. In real time, whatever a clock says, since that
    /// is what a network that stalls takes.
    fn deadline(&self) -> Instant {
        Instant::now() + self.options().timeout.min(A_DAY)
    }

    /// Runs a command, which may reach the server twice.
    async fn run(&self, command: &Cmd, deadline: Instant) -> Result<Value, RedisError> {
        let mut used = None;
        let answer = match timeout_at(deadline, self.attempt(command, &mut used)).await {
            Ok(answer) => answer,
            Err(_) => Err(RedisError::Timeout {
                server: Arc::clone(self.server()),
                timeout: self.options().timeout,
            }),
        };
        answer.inspect_err(|error| {
            if error.is_outage() {
                self.pause(used.as_ref(), error);
            }
        })
    }

    /// Leaves in `used` the connection that the command last went through.
    async fn attempt(
        &self,
        command: &Cmd,
        used: &mut Option<Arc<Connection>>,
    ) -> Result<Value, RedisError> {
        let connection = used.insert(self.connection().await?);
        match connection.run(command).await {
            Err(error) if error.is_stale_connection() => {
                self.discard(connection);
                *used = None;
                used.insert(self.connection().await?).run(command).await
            }
            answer => answer,
        }
    }

    async fn connection(&self) -> Result<Arc<Connection>, RedisError> {
        if let Some(connection) = self.ready()? {
            return Ok(connection);
        }
        let _turn = match self.0.dialing.try_lock() {
            Ok(turn) => turn,
            Err(_) => {
                // After a pause one caller tries; for as long again others do not wait for it.
                self.refuse_after_outage(self.options().pause)?;
                self.0.dialing.lock().await
            }
        };
        // Whoever had the turn before may have opened it, or failed to.
        if let Some(connection) = self.ready()? {
            return Ok(connection);
        }
        // Those who wait for their turn learn of a failure before they have it.
        let dialled = self.0.dialer.dial().await;
        let connection = Arc::new(dialled.inspect_err(|error| self.pause(None, error))?);
        let mut state = self.state();
        state.connection = Some(Arc::clone(&connection));
        if state.outage.take().is_some() {
            tracing::info!(server = &**self.server(), "Redis answers again");
        }
        Ok(connection)
    }

    /// The open connection, or nothing where one is to be opened.
    fn ready(&self) -> Result<Option<Arc<Connection>>, RedisError> {
        let connection = self.state().connection.clone();
        if connection.is_none() {
            self.refuse_after_outage(Duration::ZERO)?;
        }
        Ok(connection)
    }

    /// Fails during the pause after an outage, and for `longer`.
    fn refuse_after_outage(&self, longer: Duration) -> Result<(), RedisError> {
        let now = self.options().clock.monotonic();
        match &self.state().outage {
            Some(outage) if now < outage.until.saturating_add(longer) => Err(RedisError::Paused {
                server: Arc::clone(self.server()),
                source: Arc::clone(&outage.error),
            }),
            _ => Ok(()),
        }
    }

    fn discard(&self, dead: &Arc<Connection>) {
        let connection = &mut self.state().connection;
        // Another caller may have replaced it already.
        connection.take_if(|current| Arc::ptr_eq(current, dead));
    }

    fn pause(&self, used: Option<&Arc<Connection>>, error: &RedisError) {
        let RedisOptions { clock, pause, .. } = self.options();
        if let Some(used) = used {
            self.discard(used);
        }
        let mut state = self.state();
        if state.connection.is_some() {
            return;
        }
        if state.outage.is_none() {
            tracing::warn!(
                server = &**self.server(),
                error = entra_core::error_chain(error),
                "Redis failed and is left alone for {pause:?}"
            );
        }
        state.outage = Some(Outage {
            error: Arc::new(error.clone()),
            until: clock.monotonic().saturating_add(*pause),
        });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis")
            .field("options", self.options())
            .finish_non_exhaustive()
    }
}

/// The calendar of a timer ends somewhere.
const A_DAY: Duration = Duration::from_secs(86_400);
