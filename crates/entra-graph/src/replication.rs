//! Waiting for what was made just now to be visible everywhere.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use entra_core::Clock;

use crate::Error;

/// How long and how often to look for something new.
///
/// Reads of Entra go to replicas that learn of a write one after the other, so that one success
/// proves nothing: the next read may be answered by a replica that knows nothing yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Replication {
    /// How long "not there" means "not there yet".
    pub window: Duration,
    /// The time between two looks.
    pub spacing: Duration,
    /// How many looks must succeed in a row.
    pub consecutive: u32,
}

impl Default for Replication {
    fn default() -> Self {
        Self {
            window: Duration::from_secs(300),
            spacing: Duration::from_secs(1),
            consecutive: 5,
        }
    }
}

impl Replication {
    /// Waits up to `window` for something new.
    #[must_use]
    pub fn with_window(mut self, window: Duration) -> Self {
        self.window = window;
        self
    }

    /// Waits `spacing` between two looks.
    #[must_use]
    pub fn with_spacing(mut self, spacing: Duration) -> Self {
        self.spacing = spacing;
        self
    }

    /// Believes a look after this many in a row succeeded.
    #[must_use]
    pub fn with_consecutive(mut self, looks: u32) -> Self {
        self.consecutive = looks.max(1);
        self
    }
}

/// A thing that was made just now, and the time in which Graph may not know it yet.
///
/// Only here does a 404, or one of the few documented 400 and 403, mean "not yet"; anywhere else
/// it is an error. The time begins when this value is made.
///
/// ```no_run
/// # async fn f(graph: entra_graph::GraphClient, app: entra_core::ObjectId) -> Result<(), entra_graph::Error> {
/// let application = graph
///     .recently_created("the app registration")
///     .until_visible(|| async { graph.applications().get(&app).await.map(Some) })
///     .await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct RecentlyCreated {
    policy: Replication,
    clock: Arc<dyn Clock>,
    since: Duration,
    what: Cow<'static, str>,
}

impl RecentlyCreated {
    pub(crate) fn new(policy: Replication, clock: Arc<dyn Clock>, what: Cow<'static, str>) -> Self {
        Self {
            since: clock.monotonic(),
            policy,
            clock,
            what,
        }
    }

    /// Gives up after `window` already, if that is less.
    pub(crate) fn within(mut self, window: Duration) -> Self {
        self.policy.window = self.policy.window.min(window);
        self
    }

    /// Reads until it was there several times in a row, and returns what the last read saw.
    /// A read says `None` where what it found is not what was written.
    pub async fn until_visible<T, F, Fut>(&self, mut read: F) -> Result<T, Error>
    where
        F: FnMut() -> Fut + Send,
        Fut: Future<Output = Result<Option<T>, Error>> + Send,
        T: Send,
    {
        let mut in_a_row = 0;
        loop {
            let refusal = match read().await {
                Ok(Some(found)) => {
                    in_a_row += 1;
                    if in_a_row >= self.policy.consecutive {
                        return Ok(found);
                    }
                    None
                }
                Ok(None) => {
                    in_a_row = 0;
                    None
                }
                Err(error) if error.may_be_replication() => {
                    in_a_row = 0;
                    Some(error)
                }
                Err(error) => return Err(error),
            };
            self.pause(refusal).await?;
        }
    }

    /// Reads until several reads in a row saw the same, and returns that. What is about to be
    /// replaced as a whole is read in this way: a replica that is behind would drop what it does
    /// not know yet.
    pub async fn until_agreed<T, F, Fut>(&self, mut read: F) -> Result<T, Error>
    where
        F: FnMut() -> Fut + Send,
        Fut: Future<Output = Result<T, Error>> + Send,
        T: PartialEq + Send,
    {
        let mut last = None;
        let mut in_a_row = 0;
        loop {
            let refusal = match read().await {
                Ok(found) => {
                    let is_same = last.as_ref() == Some(&found);
                    in_a_row = if is_same { in_a_row + 1 } else { 1 };
                    if in_a_row >= self.policy.consecutive {
                        return Ok(found);
                    }
                    last = Some(found);
                    None
                }
                Err(error) if error.may_be_replication() => {
                    last = None;
                    Some(error)
                }
                Err(error) => return Err(error),
            };
            self.pause(refusal).await?;
        }
    }

    /// Does something with it as soon as Graph lets one. `write` is called again only after a
    /// refusal that says that nothing was done.
    pub async fn once_known<T, F, Fut>(&self, mut write: F) -> Result<T, Error>
    where
        F: FnMut() -> Fut + Send,
        Fut: Future<Output = Result<T, Error>> + Send,
        T: Send,
    {
        loop {
            match write().await {
                Err(error) if error.may_be_replication() => self.pause(Some(error)).await?,
                result => return result,
            }
        }
    }

    /// Waits for the next look, or says that the time is over.
    pub(crate) async fn pause(&self, refusal: Option<Error>) -> Result<(), Error> {
        let waited = self.clock.monotonic().saturating_sub(self.since);
        if waited.saturating_add(self.policy.spacing) > self.policy.window {
            return Err(Error::NotReplicated {
                what: self.what.clone(),
                waited,
                source: refusal.map(Box::new),
            });
        }
        tracing::debug!(what = %self.what, "not visible everywhere yet");
        self.clock.sleep(self.policy.spacing).await;
        Ok(())
    }
}
