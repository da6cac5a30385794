//! The [`OneTimeStore`] in Redis.

use ::redis::{Cmd, ExistenceCheck, SetExpiry, SetOptions, Value};
use async_trait::async_trait;
use entra_core::{OneTimeError, OneTimeKey, OneTimeStore};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::{Redis, RedisError};

/// Keys that may be used once, among all processes that share a Redis.
///
/// One key per entry, `<prefix>once:<64 hexadecimal digits>`, set by `SET … NX PX`: the server
/// decides who is first, and the key ends by itself. Where Redis does not answer, nobody is first.
///
/// What Redis forgets could be used a second time, so it must not forget:
///
/// - `maxmemory-policy` must be `noeviction`. Any other drops keys once memory is short; with this
///   one Redis refuses new ones, and so does this store.
/// - `appendonly` should be on. Without it, or a snapshot at the right moment, a restart forgets.
/// - A fail-over to a replica loses what was not copied yet, most often less than a second of it.
///
/// Its [`Probe`](entra_core::Probe) says how the server is set up. The time to live is what is left
/// on this process' clock; from then on the clock of Redis counts.
///
/// ```no_run
/// use entra_core::Probe;
/// use entra_store::{Redis, RedisOneTimeStore, RedisOptions};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let redis = Redis::new(RedisOptions::new("redis://redis.example")?)?;
/// let store = RedisOneTimeStore::new(&redis);
/// println!("{}", store.run().await);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct RedisOneTimeStore(Redis);

impl RedisOneTimeStore {
    /// A store in this Redis.
    pub fn new(redis: &Redis) -> Self {
        Self(redis.clone())
    }

    pub(super) fn redis(&self) -> &Redis {
        &self.0
    }

    async fn insert(&self, key: &OneTimeKey, milliseconds: u64) -> Result<bool, RedisError> {
        let key = self.0.key("once", key);
        let mine = Uuid::new_v4();
        let options = SetOptions::default()
            .conditional_set(ExistenceCheck::NX)
            .with_expiration(SetExpiry::PX(milliseconds));
        let set = Cmd::set_options(&key, mine.as_bytes(), options);
        let deadline = self.0.deadline();
        match self.0.run(&set, deadline).await? {
            Value::Okay => return Ok(true),
            Value::Nil => {}
            _ => return Err(self.unexpected()),
        }
        // The command is sent again where a connection was lost, and its first answer may have
        // been lost with it: the value says whose key it is.
        match self.0.run(&Cmd::get(&key), deadline).await? {
            Value::BulkString(value) => Ok(value == mine.as_bytes()),
            Value::Nil => Ok(false),
            _ => Err(self.unexpected()),
        }
    }

    fn unexpected(&self) -> RedisError {
        RedisError::Protocol {
            server: self.0.server().clone(),
        }
    }
}

#[async_trait]
impl OneTimeStore for RedisOneTimeStore {
    async fn insert_once(
        &self,
        key: &OneTimeKey,
        expires_on: OffsetDateTime,
    ) -> Result<bool, OneTimeError> {
        let left = expires_on - self.0.options().clock.now();
        let Some(milliseconds) = milliseconds(left) else {
            return Err(OneTimeError::Expired { expires_on });
        };
        let inserted = self.insert(key, milliseconds).await;
        inserted.map_err(|error| OneTimeError::Unavailable(error.into()))
    }
}

/// Rounded up: nothing is forgotten before its end. Redis refuses times beyond its own calendar,
/// so nothing is remembered for longer than a thousand years.
pub(super) fn milliseconds(left: Duration) -> Option<u64> {
    if !left.is_positive() {
        return None;
    }
    let left = left.min(LONGEST);
    let milliseconds = u64::try_from(left.whole_milliseconds()).ok()?;
    Some(milliseconds.saturating_add(1))
}

const LONGEST: Duration = Duration::days(365_250);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_to_live_is_rounded_up_and_bounded() {
        assert_eq!(milliseconds(Duration::ZERO), None);
        assert_eq!(milliseconds(Duration::nanoseconds(-1)), None);
        assert_eq!(milliseconds(Duration::nanoseconds(1)), Some(1));
        assert_eq!(milliseconds(Duration::milliseconds(1500)), Some(1501));
        assert_eq!(milliseconds(Duration::MAX), Some(31_557_600_000_001));
    }
}
