//! What the connection test says about Redis.

use std::collections::HashMap;

use ::redis::{Value, cmd};
use async_trait::async_trait;
use entra_core::{Finding, Probe};

use super::{Redis, RedisError, RedisOneTimeStore, RedisSessionIndex, RedisTokenCache};

/// Whether Redis answers and takes writes.
#[async_trait]
impl Probe for RedisTokenCache {
    async fn run(&self) -> Finding {
        look("redis token cache", self.redis(), |_| None).await
    }
}

/// Whether Redis answers, takes writes, and is set up not to forget.
#[async_trait]
impl Probe for RedisOneTimeStore {
    async fn run(&self) -> Finding {
        look("redis one-time keys", self.redis(), Info::forgets).await
    }
}

/// Whether Redis answers, takes writes, and is set up not to forget.
#[async_trait]
impl Probe for RedisSessionIndex {
    async fn run(&self) -> Finding {
        look("redis index of sessions", self.redis(), Info::forgets).await
    }
}

async fn look(
    check: &'static str,
    redis: &Redis,
    concern: impl Fn(&Info) -> Option<(String, &'static str)> + Send,
) -> Finding {
    let info = match redis.run(&cmd("INFO"), redis.deadline()).await {
        Ok(answer) => Info::read(&answer),
        Err(RedisError::Refused { code, .. }) if code == "NOPERM" => {
            return Finding::warning(
                check,
                format!(
                    "{} answers, and may not be asked how it is set up",
                    redis.server()
                ),
            )
            .with_remedy("Allow the user the command INFO in the access control list of Redis.");
        }
        Err(error) => {
            let cause = entra_core::error_chain(&error);
            return Finding::failed(check, cause).with_remedy(error.admin_hint());
        }
    };
    let server = format!(
        "{}, version {},",
        redis.server(),
        info.text("redis_version")
    );
    if info.text("role") == "slave" {
        return Finding::failed(check, format!("{server} is a replica and takes no writes"))
            .with_remedy("Give the address of the primary.");
    }
    match concern(&info) {
        Some((what, remedy)) => {
            Finding::warning(check, format!("{server} {what}")).with_remedy(remedy)
        }
        None => Finding::passed(check, format!("{server} answers")),
    }
}

/// The answer to `INFO`: lines of `name:value`.
struct Info(HashMap<String, String>);

impl Info {
    fn read(answer: &Value) -> Self {
        let text = match answer {
            Value::BulkString(bytes) => String::from_utf8_lossy(bytes),
            Value::VerbatimString { text, .. } => text.as_str().into(),
            _ => "".into(),
        };
        let fields = text.lines().filter_map(|line| line.split_once(':'));
        Self(
            fields
                .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
                .collect(),
        )
    }

    fn text(&self, name: &str) -> &str {
        self.0.get(name).map_or("unknown", String::as_str)
    }

    /// Why this server may forget a key that is still good, and what to do about it.
    fn forgets(&self) -> Option<(String, &'static str)> {
        let policy = self.text("maxmemory_policy");
        if policy != "noeviction" {
            return Some((
                format!("may drop keys that are still good: its maxmemory-policy is {policy}"),
                "Set maxmemory-policy to noeviction, or give these keys a Redis of their own.",
            ));
        }
        (self.text("aof_enabled") != "1").then(|| {
            (
                "forgets its keys at a restart: appendonly is off".to_owned(),
                "Set appendonly to yes.",
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_evicts_or_keeps_nothing_on_disk_forgets() {
        for (info, what) in [
            ("maxmemory_policy:noeviction\r\naof_enabled:1\r\n", None),
            (
                "maxmemory_policy:noeviction\r\naof_enabled:0\r\n",
                Some("at a restart"),
            ),
            (
                "maxmemory_policy:allkeys-lru\r\naof_enabled:1\r\n",
                Some("allkeys-lru"),
            ),
            (
                "maxmemory_policy:volatile-ttl\r\naof_enabled:1\r\n",
                Some("volatile-ttl"),
            ),
            ("# Server\r\nredis_version:7.0.15\r\n", Some("unknown")),
        ] {
            let info = Info::read(&Value::BulkString(info.into()));
            let found = info.forgets();
            match what {
                Some(what) => assert!(found.unwrap().0.contains(what), "{what}"),
                None => assert_eq!(found, None),
            }
        }
    }
}
