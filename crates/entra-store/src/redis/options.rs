//! Where Redis is and how to behave towards it.

use std::sync::Arc;
use std::time::Duration;

#[cfg(feature = "redis-tls")]
use entra_core::Certificate;
use entra_core::{Clock, Secret, SystemClock};
use percent_encoding::percent_decode_str;
use url::{Host, Url};

/// Where Redis is, who signs in there, and how to behave towards it.
///
/// ```
/// use entra_core::Secret;
/// use entra_store::RedisOptions;
///
/// let options = RedisOptions::new("redis://redis.example:6379/2")?
///     .with_user("entra")
///     .with_password(Secret::new("from the vault"))
///     .with_prefix("acme:");
/// assert!(!format!("{options:?}").contains("vault"));
/// # Ok::<(), entra_store::RedisOptionsError>(())
/// ```
#[derive(Clone, Debug)]
pub struct RedisOptions {
    pub(super) host: String,
    pub(super) port: u16,
    #[cfg_attr(
        not(feature = "redis-tls"),
        expect(dead_code, reason = "without the feature it is refused")
    )]
    pub(super) tls: bool,
    pub(super) database: u32,
    pub(super) user: Option<String>,
    pub(super) password: Option<Secret>,
    pub(super) prefix: String,
    pub(super) timeout: Duration,
    pub(super) pause: Duration,
    pub(super) clock: Arc<dyn Clock>,
    #[cfg(feature = "redis-tls")]
    pub(super) roots: Vec<Certificate>,
}

impl RedisOptions {
    /// Reads a URL: `redis://host`, or `rediss://host` for TLS, then optionally a port (6379), a
    /// database as `/2` (0), and a user and password before the host, percent-encoded where they
    /// hold other characters than letters and digits.
    ///
    /// Without TLS the password is readable on the way, so keep that within a network of your own.
    pub fn new(url: &str) -> Result<Self, RedisOptionsError> {
        let url = url.trim();
        if !url.contains("://") {
            return Err(RedisOptionsError::Scheme);
        }
        let url = Url::parse(url).map_err(|_| RedisOptionsError::Url)?;
        if url.query().is_some() || url.fragment().is_some() {
            return Err(RedisOptionsError::Extras);
        }
        let tls = tls(&url)?;
        let port = url.port().unwrap_or(DEFAULT_PORT);
        if port == 0 {
            return Err(RedisOptionsError::Url);
        }
        let host = match url.host() {
            Some(Host::Ipv6(address)) => address.to_string(),
            // Another scheme than those of the web leaves its host unchecked.
            Some(host) if is_host_name(&host.to_string()) => host.to_string(),
            _ => return Err(RedisOptionsError::Url),
        };
        let (user, password) = credentials(&url)?;
        Ok(Self {
            host,
            port,
            tls,
            database: database(&url)?,
            user,
            password,
            prefix: "entra:".to_owned(),
            timeout: Duration::from_secs(1),
            pause: Duration::from_secs(1),
            clock: Arc::new(SystemClock),
            #[cfg(feature = "redis-tls")]
            roots: Vec::new(),
        })
    }

    /// Signs in as this user of the access control list. Without it as the default user.
    #[must_use]
    pub fn with_user(mut self, user: impl Into<String>) -> Self {
        self.user = Some(user.into());
        self
    }

    /// Signs in with this password, in place of one in the URL.
    #[must_use]
    pub fn with_password(mut self, password: Secret) -> Self {
        self.password = Some(password);
        self
    }

    /// What the name of every key begins with, `entra:` by default. Products that share a Redis
    /// need different ones.
    #[must_use]
    pub fn with_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// How long one call may take with all that it needs: to connect, to sign in, to ask, and to
    /// ask once more where a connection was lost. A second by default, a day at the most.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How long Redis is left alone after it failed; calls fail at once in the meantime. A second
    /// by default.
    #[must_use]
    pub fn with_pause(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }

    /// Trusts this certificate authority beside those of the system.
    #[cfg(feature = "redis-tls")]
    #[must_use]
    pub fn with_root_certificate(mut self, root: Certificate) -> Self {
        self.roots.push(root);
        self
    }

    /// Takes the time from another clock. A network that stalls takes real time all the same.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Host and port, for people.
    pub(super) fn server(&self) -> Arc<str> {
        match self.host.contains(':') {
            true => format!("redis at [{}]:{}", self.host, self.port),
            false => format!("redis at {}:{}", self.host, self.port),
        }
        .into()
    }
}

/// Why the address of Redis cannot be used. The address is not repeated, since it may hold a
/// password.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RedisOptionsError {
    /// Not a URL with a host. A password with `/`, `#`, `?` or `@` in it must be percent-encoded.
    #[error("the address of Redis is not a URL like redis://host:6379/0")]
    Url,
    /// Another scheme.
    #[error("the address of Redis does not begin with redis:// or rediss://")]
    Scheme,
    /// `rediss://`, and this program was built without it.
    #[error("the address of Redis asks for TLS, which needs the feature redis-tls")]
    TlsFeature,
    /// Something after `?` or `#`.
    #[error("the address of Redis has options behind it; set them with RedisOptions")]
    Extras,
    /// What follows the host is not a number.
    #[error("the database in the address of Redis is not a number")]
    Database,
    /// User or password are not UTF-8 after percent-decoding.
    #[error("the user or the password in the address of Redis cannot be read")]
    Credentials,
    /// A user and no password: most often the password itself, given as the user.
    #[error("the address of Redis names a user and no password, like redis://:password@host")]
    PasswordMissing,
    /// TLS could not be set up: a certificate authority cannot be read, or the system has none.
    #[error("TLS for Redis could not be set up")]
    Tls(#[source] Box<dyn std::error::Error + Send + Sync>),
}

fn tls(url: &Url) -> Result<bool, RedisOptionsError> {
    match url.scheme() {
        "redis" => Ok(false),
        "rediss" if cfg!(feature = "redis-tls") => Ok(true),
        "rediss" => Err(RedisOptionsError::TlsFeature),
        // What stands there may be a user or a password.
        _ => Err(RedisOptionsError::Scheme),
    }
}

/// Letters, digits, hyphens, underscores and dots: what resolvers take.
fn is_host_name(name: &str) -> bool {
    let is_part_of_it = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !name.is_empty() && name.chars().all(is_part_of_it)
}

fn database(url: &Url) -> Result<u32, RedisOptionsError> {
    match url.path().trim_start_matches('/') {
        "" => Ok(0),
        number => number.parse().map_err(|_| RedisOptionsError::Database),
    }
}

fn credentials(url: &Url) -> Result<(Option<String>, Option<Secret>), RedisOptionsError> {
    let decode = |text| {
        let decoded = percent_decode_str(text).decode_utf8();
        decoded.map_err(|_| RedisOptionsError::Credentials)
    };
    let user = Some(decode(url.username())?).filter(|user| !user.is_empty());
    let password = url.password().map(decode).transpose()?;
    if user.is_some() && password.is_none() {
        return Err(RedisOptionsError::PasswordMissing);
    }
    let password = password.filter(|password| !password.is_empty());
    Ok((
        user.map(Into::into),
        password.map(|text| Secret::new(text.into_owned())),
    ))
}

const DEFAULT_PORT: u16 = 6379;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_host_port_database_user_and_password() {
        let options = RedisOptions::new("redis://ann:p%2Fw%C3%B6rd@cache.example:7000/3").unwrap();
        assert_eq!(options.host, "cache.example");
        assert_eq!((options.port, options.database), (7000, 3));
        assert_eq!(options.user.as_deref(), Some("ann"));
        assert_eq!(options.password.unwrap().expose(), "p/wörd");

        let options = RedisOptions::new(" redis://:pw@[::1] ").unwrap();
        assert_eq!(&*options.server(), "redis at [::1]:6379");
        assert_eq!((options.host.as_str(), options.database), ("::1", 0));
        assert_eq!(options.user, None);
        assert_eq!(options.password.unwrap().expose(), "pw");

        let options = RedisOptions::new("redis://127.0.0.1/").unwrap();
        assert_eq!(&*options.server(), "redis at 127.0.0.1:6379");
        assert!(options.user.is_none() && options.password.is_none());
    }

    #[test]
    fn what_is_no_address_of_redis_is_refused_without_repeating_it() {
        use RedisOptionsError as E;
        type Check = fn(&E) -> bool;
        let table: [(&str, Check); 17] = [
            ("", |e| matches!(e, E::Scheme)),
            ("hunter2.example:6379", |e| matches!(e, E::Url | E::Scheme)),
            ("redis:///0", |e| matches!(e, E::Url)),
            ("localhost:6379", |e| matches!(e, E::Scheme)),
            ("ann:hunter2@host", |e| matches!(e, E::Scheme)),
            ("redis://%20/", |e| matches!(e, E::Url)),
            ("redis://a,b:1/", |e| matches!(e, E::Url)),
            ("redis://host:0/", |e| matches!(e, E::Url)),
            ("redis://:hunter2/x@host", |e| matches!(e, E::Url)),
            ("redis://:hunter2#x@host", |e| matches!(e, E::Url)),
            ("redis://user:12/hunter2@host/0", |e| {
                matches!(e, E::Database)
            }),
            ("redis://host/hunter2", |e| matches!(e, E::Database)),
            ("redis://user:12?hunter2@host", |e| matches!(e, E::Extras)),
            ("redis://host/0?password=hunter2", |e| {
                matches!(e, E::Extras)
            }),
            ("redis://hunter2@host", |e| matches!(e, E::PasswordMissing)),
            ("redis://:%ffhunter2@host", |e| matches!(e, E::Credentials)),
            ("https://:hunter2@host", |e| matches!(e, E::Scheme)),
        ];
        for (url, check) in table {
            let error = RedisOptions::new(url).unwrap_err();
            assert!(check(&error), "{url}: {error:?}");
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn debug_shows_no_password() {
        let options = RedisOptions::new("redis://ann:hunter2@host").unwrap();
        assert!(!format!("{options:?}").contains("hunter2"));
    }

    #[test]
    #[cfg(not(feature = "redis-tls"))]
    fn tls_without_its_feature_is_refused() {
        let error = RedisOptions::new("rediss://host").unwrap_err();
        assert!(matches!(error, RedisOptionsError::TlsFeature));
    }
}
