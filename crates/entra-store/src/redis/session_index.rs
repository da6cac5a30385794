//! The [`SessionIndex`] in Redis.

use std::time::Duration;

use ::redis::{Cmd, Value, cmd};
use async_trait::async_trait;
use entra_core::{SessionIndex, SessionIndexError, SessionKey};
use time::OffsetDateTime;
use uuid::Uuid;

use super::one_time_store::milliseconds;
use super::{Redis, RedisError};

/// Which sessions of a product end with a session at the identity provider, for all processes that
/// share a Redis.
///
/// One sorted set per session of the provider, `<prefix>session:{<64 hexadecimal digits>}`, with the
/// product's sessions and when each ends; it ends with its last one. The keys say nothing of the
/// provider's session, the values are the names that the product gave. A short script each reads
/// and writes in one go, so that a session is taken by one process alone; the user of an access
/// control list needs `+eval +time +@sortedset +exists +rename +pexpire +pexpireat` for them.
///
/// What Redis forgets, by an eviction or a restart, is a session that outlives a sign-out
/// elsewhere, until it ends by itself. Its [`Probe`](entra_core::Probe) says whether that may
/// happen. The time to live is what is left on this process' clock; from then on the clock of Redis
/// counts.
///
/// ```no_run
/// use entra_core::{Clock, SessionIndex, SessionKey, SystemClock};
/// use entra_store::{Redis, RedisOptions, RedisSessionIndex};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let redis = Redis::new(RedisOptions::new("redis://redis.example")?)?;
/// let index = RedisSessionIndex::new(&redis);
/// let key = SessionKey::new("contoso", "001d6a9b-2f0e-4f7b-8f3a-6e2f5b6c7d80");
/// index.add(&key, "session 7", SystemClock.now() + time::Duration::hours(8)).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct RedisSessionIndex(Redis);

impl RedisSessionIndex {
    /// An index in this Redis.
    pub fn new(redis: &Redis) -> Self {
        Self(redis.clone())
    }

    pub(super) fn redis(&self) -> &Redis {
        &self.0
    }

    async fn run(&self, command: &Cmd) -> Result<Value, SessionIndexError> {
        let answer = self.0.run(command, self.0.deadline()).await;
        answer.map_err(unavailable)
    }

    /// In braces, so that a proxy which spreads keys keeps those of one session together.
    fn key(&self, key: &SessionKey) -> String {
        self.0
            .key("session", &format_args!("{{{}}}", key.store_name()))
    }

    /// Where what this call takes out is put. A command is sent again where a connection was lost,
    /// and its first answer may have been lost with it: the second finds the same here.
    fn claim(&self, key: &str) -> (String, u128) {
        let keep = self.0.options().timeout.min(LONGEST_CLAIM) + CLAIM_MARGIN;
        (format!("{key}:{}", Uuid::new_v4()), keep.as_millis())
    }

    fn names(&self, answer: Value) -> Result<Vec<String>, RedisError> {
        let unexpected = || RedisError::Protocol {
            server: self.0.server().clone(),
        };
        let Value::Array(values) = answer else {
            return Err(unexpected());
        };
        let names = values.into_iter().map(|value| match value {
            Value::BulkString(name) => String::from_utf8(name).map_err(|_| unexpected()),
            _ => Err(unexpected()),
        });
        names.collect()
    }
}

#[async_trait]
impl SessionIndex for RedisSessionIndex {
    async fn add(
        &self,
        key: &SessionKey,
        session: &str,
        expires_on: OffsetDateTime,
    ) -> Result<(), SessionIndexError> {
        let left = expires_on - self.0.options().clock.now();
        let Some(milliseconds) = milliseconds(left) else {
            return Ok(());
        };
        let mut command = cmd("EVAL");
        command.arg(ADD).arg(1).arg(self.key(key));
        command.arg(session).arg(milliseconds);
        self.run(&command).await?;
        Ok(())
    }

    async fn take(&self, key: &SessionKey) -> Result<Vec<String>, SessionIndexError> {
        let key = self.key(key);
        let (claim, keep) = self.claim(&key);
        let mut command = cmd("EVAL");
        command.arg(TAKE).arg(2).arg(key).arg(claim);
        command.arg(keep.to_string());
        let answer = self.run(&command).await?;
        self.names(answer).map_err(unavailable)
    }

    async fn remove(&self, key: &SessionKey, session: &str) -> Result<(), SessionIndexError> {
        self.run(&Cmd::zrem(self.key(key), session)).await?;
        Ok(())
    }
}

fn unavailable(error: RedisError) -> SessionIndexError {
    SessionIndexError::Unavailable(error.into())
}

/// Notes a session; the later end counts. Ends are milliseconds on the clock of Redis, which a
/// number of Lua holds exactly. What adds comes first: a server without memory refuses a script at its
/// first write or not at all. Redis before 5 replicates what a script writes only if told so.
const ADD: &str = "\
if redis.replicate_commands then redis.replicate_commands() end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local ends = now + ARGV[2]
local held = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not held or tonumber(held) < ends then
  redis.call('ZADD', KEYS[1], string.format('%.0f', ends), ARGV[1])
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now))
local last = redis.call('ZREVRANGE', KEYS[1], 0, 0, 'WITHSCORES')
redis.call('PEXPIREAT', KEYS[1], string.format('%.0f', last[2]))
return 1";

/// Takes a set out and returns what has not ended.
const TAKE: &str = "\
if redis.replicate_commands then redis.replicate_commands() end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if redis.call('EXISTS', KEYS[2]) == 0 then
  if redis.call('EXISTS', KEYS[1]) == 0 then return {} end
  redis.call('RENAME', KEYS[1], KEYS[2])
  redis.call('PEXPIRE', KEYS[2], ARGV[1])
end
return redis.call('ZRANGEBYSCORE', KEYS[2], string.format('(%.0f', now), '+inf')";

/// No call takes longer.
const LONGEST_CLAIM: Duration = Duration::from_secs(86_400);
const CLAIM_MARGIN: Duration = Duration::from_secs(1);
