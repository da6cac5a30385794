//! The [`TokenCache`] in Redis.

use std::time::Duration;

use ::redis::{Cmd, Value};
use async_trait::async_trait;
use entra_core::{CacheName, TokenCache, TokenCacheError};

use super::{Redis, RedisError};

/// Sealed tokens that several processes share in Redis.
///
/// One key per entry, `<prefix>token:<64 hexadecimal digits>`, that ends by itself. What Redis sees
/// is sealed and says nothing about client, tenant or user. An eviction or a restart costs a token
/// request and nothing else, so that any `maxmemory-policy` will do.
///
/// ```no_run
/// use entra_store::{Redis, RedisOptions, RedisTokenCache};
///
/// let redis = Redis::new(RedisOptions::new("redis://redis.example")?)?;
/// let cache = RedisTokenCache::new(&redis);
/// # Ok::<(), entra_store::RedisOptionsError>(())
/// ```
#[derive(Clone, Debug)]
pub struct RedisTokenCache(Redis);

impl RedisTokenCache {
    /// A cache in this Redis.
    pub fn new(redis: &Redis) -> Self {
        Self(redis.clone())
    }

    pub(super) fn redis(&self) -> &Redis {
        &self.0
    }

    async fn run(&self, command: &Cmd) -> Result<Value, TokenCacheError> {
        let answer = self.0.run(command, self.0.deadline()).await;
        answer.map_err(TokenCacheError::new)
    }

    fn key(&self, name: &CacheName) -> String {
        self.0.key("token", name)
    }
}

#[async_trait]
impl TokenCache for RedisTokenCache {
    async fn load(&self, name: &CacheName) -> Result<Option<Vec<u8>>, TokenCacheError> {
        match self.run(&Cmd::get(self.key(name))).await? {
            Value::Nil => Ok(None),
            Value::BulkString(value) => Ok(Some(value)),
            _ => Err(TokenCacheError::new(RedisError::Protocol {
                server: self.0.server().clone(),
            })),
        }
    }

    async fn store(
        &self,
        name: &CacheName,
        value: &[u8],
        time_to_live: Duration,
    ) -> Result<(), TokenCacheError> {
        // Rounded down: a token is never offered longer than it lives.
        let milliseconds = u64::try_from(time_to_live.as_millis()).unwrap_or(u64::MAX);
        if milliseconds == 0 {
            return self.remove(name).await;
        }
        let longest = u64::try_from(LONGEST.as_millis()).unwrap_or(u64::MAX);
        let command = Cmd::pset_ex(self.key(name), value, milliseconds.min(longest));
        self.run(&command).await?;
        Ok(())
    }

    async fn remove(&self, name: &CacheName) -> Result<(), TokenCacheError> {
        self.run(&Cmd::del(self.key(name))).await?;
        Ok(())
    }
}

/// No token lives for a year, and Redis refuses times beyond its own calendar.
const LONGEST: Duration = Duration::from_secs(366 * 86_400);
