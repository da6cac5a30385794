//! Tokens that several processes share: sealed, under names that tell nothing.

use std::borrow::Cow;
use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, select};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::token::TokenData;
use crate::{
    CacheName, Clock, KeyRing, SealError, Secret, TokenCache, TokenCacheError, error_chain,
};

/// A [`TokenCache`] with the keys that seal what is put into it.
///
/// An entry's name is a keyed hash over cloud, tenant, client, credential, user, scopes and claims,
/// each with its length, so that no two can be mixed up. Its value is sealed with AES-256-GCM,
/// bound to its name. A client with another secret or certificate, though of the same application,
/// has entries of its own: whoever cannot sign in finds nothing. Where there are several credentials,
/// all of them count, in their order. (Assertions that a host makes
/// itself cannot be told apart, and count as one credential.)
///
/// A cache that fails, or does not answer within two seconds, counts as empty.
#[derive(Clone)]
pub struct SharedTokens {
    cache: Arc<dyn TokenCache>,
    keys: KeyRing,
}

impl SharedTokens {
    /// Shares tokens through `cache`, sealed under `keys`.
    pub fn new(cache: Arc<dyn TokenCache>, keys: KeyRing) -> Self {
        Self { cache, keys }
    }

    /// The token under these parts of a name. Whatever fails counts as «none», and is logged.
    ///
    /// Times are kept as the service's clock has them, which is ahead of this machine's by
    /// `offset`: the machines that share tokens may not agree on the time.
    pub(crate) async fn load(
        &self,
        parts: &[String],
        (clock, offset): (&dyn Clock, time::Duration),
    ) -> Option<TokenData> {
        match in_time(self.try_load(parts, offset), clock).await {
            Ok(data) => data.filter(|data| clock.now() < data.expires_on),
            Err(error) => {
                tracing::warn!(
                    error = error_chain(&error),
                    "no token from the shared cache"
                );
                None
            }
        }
    }

    /// Keeps a token until it ends. A failure is logged.
    pub(crate) async fn store(
        &self,
        parts: &[String],
        data: &TokenData,
        (clock, offset): (&dyn Clock, time::Duration),
    ) {
        let Ok(time_to_live) = Duration::try_from(data.expires_on - clock.now()) else {
            return;
        };
        let value = Entry::of(data, offset);
        if let Err(error) = in_time(self.try_store(parts, &value, time_to_live), clock).await {
            tracing::warn!(
                error = error_chain(&error),
                "a token was not put into the shared cache"
            );
        }
    }

    async fn try_load(
        &self,
        parts: &[String],
        offset: time::Duration,
    ) -> Result<Option<TokenData>, SharedTokensError> {
        let name = self.name(parts)?;
        let Some(sealed) = self.cache.load(&name).await? else {
            return Ok(None);
        };
        let json = self.keys.open(PURPOSE, name.as_bytes(), &sealed)?;
        let entry: Entry<'_> =
            serde_json::from_str(json.expose()).map_err(|_| SharedTokensError::Unreadable)?;
        entry
            .into_data(offset)
            .map(Some)
            .ok_or(SharedTokensError::Unreadable)
    }

    async fn try_store(
        &self,
        parts: &[String],
        entry: &Entry<'_>,
        time_to_live: Duration,
    ) -> Result<(), SharedTokensError> {
        let name = self.name(parts)?;
        let secret = Secret::of_json(entry).ok_or(SharedTokensError::Unreadable)?;
        let sealed = self.keys.seal(PURPOSE, name.as_bytes(), &secret)?;
        Ok(self.cache.store(&name, &sealed, time_to_live).await?)
    }

    fn name(&self, parts: &[String]) -> Result<CacheName, SealError> {
        let parts: Vec<_> = parts.iter().map(String::as_bytes).collect();
        self.keys.name(PURPOSE, &parts).map(CacheName::from_bytes)
    }
}

impl fmt::Debug for SharedTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedTokens")
            .field("cache", &self.cache)
            .field("keys", &self.keys)
            .finish()
    }
}

/// What is sealed. Times in Unix seconds, by the service's clock.
#[derive(Deserialize, Serialize)]
struct Entry<'a> {
    #[serde(borrow)]
    token: Cow<'a, str>,
    expires_on: i64,
    refresh_on: Option<i64>,
    issued_on: Option<i64>,
}

impl<'a> Entry<'a> {
    fn of(data: &'a TokenData, offset: time::Duration) -> Self {
        let unix = |time: OffsetDateTime| time.saturating_add(offset).unix_timestamp();
        Self {
            token: Cow::Borrowed(data.text()),
            expires_on: unix(data.expires_on),
            refresh_on: data.refresh_on.map(unix),
            issued_on: data.issued_on().map(unix),
        }
    }

    fn into_data(self, offset: time::Duration) -> Option<TokenData> {
        let time = |seconds: i64| {
            let time = OffsetDateTime::from_unix_timestamp(seconds).ok()?;
            time.checked_sub(offset)
        };
        let refresh_on = self.refresh_on.and_then(time);
        let data = TokenData::new(&self.token, time(self.expires_on)?, refresh_on).ok()?;
        Some(match self.issued_on.and_then(time) {
            Some(issued_on) => data.issued_at(issued_on),
            None => data,
        })
    }
}

/// Gives a cache up that takes too long.
async fn in_time<T>(
    call: impl Future<Output = Result<T, SharedTokensError>> + Send,
    clock: &dyn Clock,
) -> Result<T, SharedTokensError> {
    match select(pin!(call), clock.sleep(LONGEST_WAIT)).await {
        Either::Left((answer, _)) => answer,
        Either::Right(_) => Err(SharedTokensError::TooSlow),
    }
}

/// For the log alone.
#[derive(Debug, thiserror::Error)]
enum SharedTokensError {
    #[error("the cache failed")]
    Cache(#[from] TokenCacheError),
    #[error("an entry could not be sealed or opened")]
    Seal(#[from] SealError),
    #[error("an entry cannot be read")]
    Unreadable,
    #[error("the cache did not answer in time")]
    TooSlow,
}

const PURPOSE: &str = "shared-tokens";
/// A cache that takes longer costs more than it saves.
const LONGEST_WAIT: Duration = Duration::from_secs(2);
