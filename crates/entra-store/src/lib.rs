//! Stores for the Entra SDK that outlive a process, or that several processes share.
//!
//! # Redis
//!
//! Feature `redis`; `redis-tls` for `rediss://`. [`Redis`] is one connection,
//! [`RedisTokenCache`], [`RedisOneTimeStore`] and [`RedisSessionIndex`] are stores upon it.
//!
//! ```no_run
//! # #[cfg(feature = "redis")]
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use entra_core::{Clock, OneTimeKey, OneTimeStore, SystemClock};
//! use entra_store::{Redis, RedisOneTimeStore, RedisOptions, RedisTokenCache};
//!
//! // No connection yet: a product starts while Redis is down.
//! let redis = Redis::new(RedisOptions::new("redis://redis.example:6379/0")?)?;
//! let cache = RedisTokenCache::new(&redis);
//! let store = RedisOneTimeStore::new(&redis);
//!
//! let key = OneTimeKey::new("saml assertion", ["https://idp.example", "_8f3a"]);
//! let expires_on = SystemClock.now() + time::Duration::minutes(5);
//! if !store.insert_once(&key, expires_on).await? {
//!     return Err("the assertion was used before".into());
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # What holds
//!
//! No call takes longer than its timeout, and while Redis is down calls fail at once. A lost
//! connection is replaced without anybody's help. A caller that gives up leaves its answer to
//! nobody else. Where the one-time store cannot know, it refuses. Redis sees sealed tokens and a
//! product's names of its sessions under hashed names, and no password is in any `Debug`, error or log line.
//!
//! | File | Follows | Checked by |
//! |---|---|---|
//! | `redis`, `redis/connection`, `redis/tls` | one deadline for a call, one attempt at a time | `tests/redis_outage.rs`, `tests/redis_server.rs` |
//! | `redis/token_cache`, `redis/one_time_store`, `redis/session_index` | the contracts of entra-core | `tests/redis_server.rs`, `tests/two_processes.rs` |
//! | `redis/options`, `redis/probe` | the configuration of Redis | beside the code |

// Without the feature the guide names what is not there.
#![cfg_attr(not(feature = "redis"), allow(rustdoc::broken_intra_doc_links))]

#[cfg(feature = "redis")]
mod redis;

#[cfg(feature = "redis")]
pub use redis::{
    Redis, RedisError, RedisOneTimeStore, RedisOptions, RedisOptionsError, RedisSessionIndex,
    RedisTokenCache,
};

/// The README's example is compiled with the others.
#[cfg(all(doctest, feature = "redis"))]
#[doc = include_str!("../README.md")]
struct Readme;
