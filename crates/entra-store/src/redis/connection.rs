//! One connection to Redis, over TCP or TLS.

use std::fmt;
use std::sync::Arc;

use ::redis::aio::MultiplexedConnection;
use ::redis::{AsyncConnectionConfig, Cmd, RedisConnectionInfo, Value};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::{RedisError, RedisOptions, RedisOptionsError};

/// Opens connections.
#[derive(Debug)]
pub(super) struct Dialer {
    options: RedisOptions,
    server: Arc<str>,
    #[cfg(feature = "redis-tls")]
    tls: Option<super::tls::Tls>,
}

impl Dialer {
    pub(super) fn new(options: RedisOptions) -> Result<Self, RedisOptionsError> {
        Ok(Self {
            server: options.server(),
            #[cfg(feature = "redis-tls")]
            tls: super::tls::Tls::new(&options)?,
            options,
        })
    }

    pub(super) fn options(&self) -> &RedisOptions {
        &self.options
    }

    pub(super) fn server(&self) -> &Arc<str> {
        &self.server
    }

    pub(super) async fn dial(&self) -> Result<Connection, RedisError> {
        let RedisOptions { host, port, .. } = &self.options;
        let connect = async {
            let stream = TcpStream::connect((host.as_str(), *port)).await?;
            // Commands are small and each is waited for.
            stream.set_nodelay(true)?;
            Ok(stream)
        };
        let stream = connect.await.map_err(|source| RedisError::Connect {
            server: Arc::clone(&self.server),
            source: Arc::new(source),
        })?;
        #[cfg(feature = "redis-tls")]
        if let Some(tls) = &self.tls {
            let stream = tls.connect(stream).await;
            return self
                .greet(stream.map_err(|source| RedisError::Tls {
                    server: Arc::clone(&self.server),
                    source: Arc::new(source),
                })?)
                .await;
        }
        self.greet(stream).await
    }

    /// Signs in, chooses the database, and starts what reads and writes the stream.
    async fn greet<S>(&self, stream: S) -> Result<Connection, RedisError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let database = self.options.database;
        let mut info = RedisConnectionInfo::default()
            .set_db(database.into())
            .set_lib_name("entra-store", env!("CARGO_PKG_VERSION"));
        if let Some(user) = &self.options.user {
            info = info.set_username(user);
        }
        if let Some(password) = &self.options.password {
            info = info.set_password(password.expose());
        }
        // The caller keeps the time, for all of a call together.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None);
        let (commands, driver) = MultiplexedConnection::new_with_config(&info, stream, config)
            .await
            .map_err(|error| RedisError::of_greeting(&self.server, database, &error))?;
        let mut task = JoinSet::new();
        task.spawn(driver);
        Ok(Connection {
            commands,
            server: Arc::clone(&self.server),
            _driver: task,
        })
    }
}

/// A connection that many calls use at once. Its one task moves bytes and ends with it.
pub(super) struct Connection {
    commands: MultiplexedConnection,
    server: Arc<str>,
    _driver: JoinSet<()>,
}

impl Connection {
    pub(super) async fn run(&self, command: &Cmd) -> Result<Value, RedisError> {
        // A clone of the sending half; the answer comes back to this call alone, dropped or not.
        let answer = command.query_async(&mut self.commands.clone()).await;
        answer.map_err(|error| RedisError::of_command(&self.server, &error))
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}
