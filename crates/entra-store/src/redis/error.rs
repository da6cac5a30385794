//! Why Redis did not do what it was asked.

use std::sync::Arc;
use std::time::Duration;

use ::redis::{ErrorKind, ServerErrorKind};

/// Why Redis did not do what it was asked. It names the server and never a password, a key or a
/// value; a server's own words are left out, since some repeat what they were sent.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RedisError {
    /// No connection came up: the name is not known, or nobody listens there.
    #[error("{server} cannot be reached")]
    Connect {
        /// Which server.
        server: Arc<str>,
        /// What the system said.
        source: Arc<std::io::Error>,
    },
    /// TLS did not come up: its certificate is not trusted, or it does not speak TLS.
    #[error("TLS with {server} did not come up")]
    Tls {
        /// Which server.
        server: Arc<str>,
        /// What was refused.
        source: Arc<std::io::Error>,
    },
    /// What answers there is not Redis.
    #[error("{server} does not speak the protocol of Redis")]
    Protocol {
        /// Which server.
        server: Arc<str>,
    },
    /// The user name or the password is wrong or missing.
    #[error("{server} refused the sign-in")]
    SignIn {
        /// Which server.
        server: Arc<str>,
    },
    /// The server has no database of this number.
    #[error("{server} has no database {database}")]
    Database {
        /// Which server.
        server: Arc<str>,
        /// The number that was asked for.
        database: u32,
    },
    /// There was no answer in time.
    #[error("{server} did not answer within {timeout:?}")]
    Timeout {
        /// Which server.
        server: Arc<str>,
        /// How long a call may take.
        timeout: Duration,
    },
    /// The connection was lost, and another one did not bring an answer either.
    #[error("the connection to {server} was lost")]
    Interrupted {
        /// Which server.
        server: Arc<str>,
    },
    /// The server answered with an error.
    #[error("{server} answered with the error {code}")]
    Refused {
        /// Which server.
        server: Arc<str>,
        /// The first word of the error, such as `OOM`, `NOPERM` or `READONLY`.
        code: String,
    },
    /// The server failed a moment ago, so it was not asked.
    #[error("{server} failed a moment ago and is not asked again yet")]
    Paused {
        /// Which server.
        server: Arc<str>,
        /// How it failed.
        source: Arc<Self>,
    },
}

impl RedisError {
    /// The one step that mends it, for an administrator.
    pub fn admin_hint(&self) -> &'static str {
        match self {
            Self::Connect { .. } => {
                "Check that Redis runs and that this machine can reach its port: name resolution, \
                 firewall, `bind` and `protected-mode`."
            }
            Self::Timeout { .. } | Self::Interrupted { .. } => {
                "Check that Redis runs and is not overloaded, and that `rediss://` is used where \
                 its port has TLS and only there."
            }
            Self::Tls { .. } => {
                "Check that the port speaks TLS, that the certificate names the host, and that its \
                 certificate authority is trusted here."
            }
            Self::Protocol { .. } => {
                "Check host and port: something else than Redis answers, or Redis with TLS, which \
                 needs `rediss://`."
            }
            Self::SignIn { .. } => "Correct the user name and the password for Redis.",
            Self::Database { .. } => {
                "Correct the database number at the end of the URL; a cluster has database 0 alone."
            }
            Self::Refused { code, .. } => refused_hint(code),
            Self::Paused { source, .. } => source.admin_hint(),
        }
    }

    /// Whether nobody would do better, so that the server is left alone for a while.
    pub(super) fn is_outage(&self) -> bool {
        match self {
            Self::Refused { code, .. } => STALE.contains(&code.as_str()) || code == "LOADING",
            Self::Paused { .. } => false,
            _ => true,
        }
    }

    /// Whether another connection may do better: this one is dead, or leads to a server that has
    /// become a replica.
    pub(super) fn is_stale_connection(&self) -> bool {
        match self {
            Self::Interrupted { .. } => true,
            Self::Refused { code, .. } => STALE.contains(&code.as_str()),
            _ => false,
        }
    }

    /// Reads what the client of Redis says of a command.
    pub(super) fn of_command(server: &Arc<str>, error: &::redis::RedisError) -> Self {
        let server = Arc::clone(server);
        match error.kind() {
            ErrorKind::Parse | ErrorKind::UnexpectedReturnType => Self::Protocol { server },
            ErrorKind::AuthenticationFailed => Self::SignIn { server },
            _ => match error.code() {
                Some("NOAUTH" | "WRONGPASS") => Self::SignIn { server },
                Some(code) => Self::Refused {
                    server,
                    code: code.chars().take(CODE_LEN).collect(),
                },
                None => Self::Interrupted { server },
            },
        }
    }

    /// Reads what the client of Redis says of the first commands on a connection: sign-in, then the
    /// choice of a database.
    pub(super) fn of_greeting(
        server: &Arc<str>,
        database: u32,
        error: &::redis::RedisError,
    ) -> Self {
        match error.kind() {
            ErrorKind::Server(ServerErrorKind::ResponseError) => Self::Database {
                server: Arc::clone(server),
                database,
            },
            _ => Self::of_command(server, error),
        }
    }
}

fn refused_hint(code: &str) -> &'static str {
    match code {
        "OOM" => "Redis is full. Give it more memory, or its other users a Redis of their own.",
        "NOPERM" => {
            "Allow the user in the access control list of Redis, on keys with the prefix: GET, SET, \
             DEL and INFO; for an index of sessions EVAL, TIME, EXISTS, RENAME, PEXPIRE, PEXPIREAT \
             and the commands on sorted sets."
        }
        "MISCONF" => "Redis cannot write to its disk. Look at its log.",
        "MOVED" | "ASK" | "CLUSTERDOWN" => {
            "This is a cluster. Give the address of one server, or of a proxy before the cluster."
        }
        "READONLY" | "MASTERDOWN" => "This is a replica. Give the address of the primary.",
        _ => "Look at the log of Redis.",
    }
}

/// What a server answers that is no longer the primary, for example after a fail-over.
const STALE: [&str; 2] = ["READONLY", "MASTERDOWN"];
/// Error codes are short; something else than Redis may send anything.
const CODE_LEN: usize = 32;
