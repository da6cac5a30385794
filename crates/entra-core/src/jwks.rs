//! The keys of an issuer, fetched when needed and remembered for as long as they count.

use std::collections::HashMap;
use std::fmt;
use std::future::poll_fn;
use std::hash::{BuildHasherDefault, Hasher};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use tokio::sync::Mutex;
use url::Url;

use crate::clock::work_until;
use crate::pipeline::CallSettings;
use crate::{Error, JwkSet, JwkSetError, Operation, Pipeline, UnverifiedJwt, VerificationKey};

/// The keys that an issuer publishes at one address (its `jwks_uri`).
///
/// It follows Microsoft's own rules (Microsoft Learn, "Signing key rollover in the Microsoft
/// identity platform"): the document is fetched anew each hour, and once more where a token names
/// a key that is not known, but that at most every five minutes, however many such tokens come. A
/// key counts for 24 hours after it was last listed, since Entra's document leaves out keys for
/// hours that are in use. While the document cannot be had, the keys that are known count on.
///
/// A clone is cheap and shares the keys. A known key costs no lock. However many tasks wait for
/// one fetch, one request is sent, and all share its outcome; if the task that drives it is
/// cancelled, another one drives it on.
///
/// ```
/// # async fn f(http: impl entra_core::HttpClient + 'static) -> Result<(), Box<dyn std::error::Error>> {
/// use entra_core::{Jwks, Pipeline};
///
/// let uri = "https://login.microsoftonline.com/common/discovery/v2.0/keys".parse()?;
/// let keys = Jwks::new(Pipeline::new(http), uri);
/// let key = keys.key("JDNa_4i4r7FgigL3sHIlI3xV-IU").await?;
/// println!("signs for {:?}", key.issuer());
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Jwks {
    inner: Arc<Inner>,
}

impl Jwks {
    /// The keys at this address. Nothing is fetched before the first key is asked for.
    pub fn new(pipeline: Pipeline, uri: Url) -> Self {
        Self {
            inner: Arc::new(Inner {
                pipeline,
                uri,
                known: ArcSwap::default(),
                due: AtomicU64::new(0),
                finished: AtomicU64::new(0),
                flight: Mutex::default(),
            }),
        }
    }

    /// The key of this id.
    ///
    /// While a key is known nobody waits for the hourly fetch but the one caller that makes it,
    /// or nobody at all where [`refresh_ahead`](Self::refresh_ahead) runs; if it fails, the next
    /// one comes five minutes later. For an unknown key the document is fetched at most every
    /// five minutes, or every ten seconds while there is no key at all; in between it is refused
    /// at once.
    pub async fn key(&self, id: &str) -> Result<Arc<VerificationKey>, JwksError> {
        if let Some(key) = self.cached(id) {
            return Ok(key);
        }
        // The rare path is boxed, so that the future of a hit stays small.
        Box::pin(self.inner.look_up(Wanted::Id(id))).await
    }

    /// The key that a token names.
    pub async fn key_for(
        &self,
        jwt: &UnverifiedJwt<'_>,
    ) -> Result<Arc<VerificationKey>, JwksError> {
        let id = jwt.key_id().ok_or(JwksError::NoKeyId)?;
        self.key(id).await
    }

    /// The key of this id, if it is known and the document needs no fetch yet. It does no I/O and
    /// takes no lock.
    pub fn cached(&self, id: &str) -> Option<Arc<VerificationKey>> {
        let now = self.inner.now();
        if now >= self.inner.due.load(Ordering::Relaxed) {
            return None;
        }
        self.inner.find(Wanted::Id(id), now)
    }

    /// Fetches the keys unless some are known: at the start, so that a wrong address is noticed
    /// before the first token comes.
    pub async fn prime(&self) -> Result<(), JwksError> {
        Box::pin(self.inner.prime()).await
    }

    /// Fetches the keys now, whenever that was done last, and says how many can be used: for a
    /// connection test.
    pub async fn fetch(&self) -> Result<usize, JwksError> {
        Box::pin(self.inner.fetch_now()).await
    }

    /// The key of an issuer that lists no other, for a token that names none (OpenID Connect
    /// Core 10.1). It fetches as [`key`](Self::key) does.
    ///
    /// # Errors
    /// [`JwksError::SeveralKeys`] where several are listed: which one it was would be a guess.
    pub async fn only_key(&self) -> Result<Arc<VerificationKey>, JwksError> {
        if let Some(key) = self.cached_only() {
            return Ok(key);
        }
        Box::pin(self.inner.look_up(Wanted::Only)).await
    }

    fn cached_only(&self) -> Option<Arc<VerificationKey>> {
        let now = self.inner.now();
        if now >= self.inner.due.load(Ordering::Relaxed) {
            return None;
        }
        self.inner.find(Wanted::Only, now)
    }

    /// Fetches the keys at once, and each hour before a caller has to, until `shutdown` ends. The
    /// host spawns it if it wants that; without it one caller refreshes.
    pub async fn refresh_ahead(&self, shutdown: impl Future<Output = ()> + Send) {
        work_until(shutdown, self.inner.refresh_for_ever()).await;
    }

    /// Where the keys are published.
    pub fn uri(&self) -> &Url {
        &self.inner.uri
    }
}

impl fmt::Debug for Jwks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jwks")
            .field("uri", &self.inner.uri.as_str())
            .field("known", &self.inner.known.load().len())
            .finish_non_exhaustive()
    }
}

/// Why there is no key for a token.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JwksError {
    /// The token names no key. Every token of Entra does.
    #[error("the token does not name the key that signed it")]
    NoKeyId,
    /// The token names no key, and the issuer lists several.
    #[error("the token does not name its key, and the issuer has several")]
    SeveralKeys,
    /// The issuer does not list a key of this id, nor did it within the last day.
    #[error("the issuer has no key of the id that the token names")]
    UnknownKey,
    /// The keys could not be fetched.
    #[error("the keys of the issuer could not be fetched")]
    Fetch(#[source] Error),
    /// The document that was fetched is no key set.
    #[error("what {host} publishes as its keys cannot be used")]
    Document {
        /// Who published it.
        host: String,
        /// What is wrong with it.
        source: JwkSetError,
    },
}

impl JwksError {
    /// Whether the same token may be accepted later, without anybody changing anything. If so,
    /// the fault is not the token's.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Fetch(error) => error.is_retryable(),
            Self::NoKeyId | Self::SeveralKeys | Self::UnknownKey | Self::Document { .. } => false,
        }
    }

    /// What an administrator can do about it.
    pub fn admin_hint(&self) -> String {
        match self {
            Self::NoKeyId => "The token is not one of Microsoft Entra ID. Look at where it comes \
                              from."
                .to_owned(),
            Self::SeveralKeys => "The issuer has to name the key in each token (kid), since it \
                                  lists several."
                .to_owned(),
            Self::UnknownKey => "The token is from another issuer, or the application has a \
                                 signing key of its own, as with claims mapping: then the \
                                 address of the keys needs the application's id, \
                                 ?appid={client id}."
                .to_owned(),
            Self::Fetch(error) => error.admin_hint(),
            Self::Document { host, .. } => format!(
                "Check that the address of the keys is right and that no proxy answers in the \
                 place of {host}."
            ),
        }
    }
}

/// Times are seconds of the monotonic clock: the time of day may jump.
struct Inner {
    pipeline: Pipeline,
    uri: Url,
    known: ArcSwap<Known>,
    /// When the document is to be fetched again.
    due: AtomicU64,
    /// How many fetches ended.
    finished: AtomicU64,
    /// Held by whoever drives a fetch.
    flight: Mutex<Flight>,
}

/// Which key a token needs.
#[derive(Clone, Copy)]
enum Wanted<'a> {
    Id(&'a str),
    /// The only one that is listed.
    Only,
}

type Known = HashMap<String, KnownKey, BuildHasherDefault<IdHasher>>;

#[derive(Clone)]
struct KnownKey {
    key: Arc<VerificationKey>,
    until: u64,
}

/// Takes eight bytes at a time, without a key: only the issuer chooses which ids are in the map, so
/// that nobody can fill it with such that collide.
#[derive(Default)]
struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        // The upper half of a product is the better mixed one; the map looks at the lower.
        self.0.rotate_left(32)
    }

    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks();
        let rest = rest
            .iter()
            .fold(0, |word, byte| word << 8 | u64::from(*byte));
        for word in words.iter().map(|word| u64::from_le_bytes(*word)) {
            self.add(word);
        }
        self.add(rest);
    }
}

impl IdHasher {
    fn add(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(MULTIPLIER);
    }
}

/// The fetch under way, and what the last one says about the next.
#[derive(Default)]
struct Flight {
    /// It stays here if whoever drives it is cancelled, so that a caller who goes away does not
    /// cause a second request.
    fetch: Option<Fetch>,
    /// No fetch for the sake of an unknown key before this moment.
    closed_until: u64,
    /// Why the last fetch failed, if it did.
    failure: Option<JwksError>,
}

struct Fetch {
    /// When it began. What it brings is as old as that, however late somebody takes it in.
    begun: u64,
    answer: Pin<Box<dyn Future<Output = Result<JwkSet, JwksError>> + Send>>,
}

impl Flight {
    /// Why a key is not known.
    fn refusal(&self, wanted: Wanted<'_>) -> JwksError {
        self.failure.clone().unwrap_or(match wanted {
            Wanted::Id(_) => JwksError::UnknownKey,
            Wanted::Only => JwksError::SeveralKeys,
        })
    }
}

impl Inner {
    fn now(&self) -> u64 {
        self.pipeline.clock().monotonic().as_secs()
    }

    fn find(&self, wanted: Wanted<'_>, now: u64) -> Option<Arc<VerificationKey>> {
        let known = self.known.load();
        let found = match wanted {
            Wanted::Id(id) => known.get(id),
            Wanted::Only => only_listed(&known),
        };
        let found = found.filter(|known| now < known.until)?;
        Some(Arc::clone(&found.key))
    }

    fn is_due(&self, lead: u64) -> bool {
        self.now().saturating_add(lead) >= self.due.load(Ordering::Relaxed)
    }

    /// A key that is not known, or known while the document is due.
    async fn look_up(&self, wanted: Wanted<'_>) -> Result<Arc<VerificationKey>, JwksError> {
        let finished = self.finished.load(Ordering::Acquire);
        let known = self.find(wanted, self.now());
        let mut flight = match (self.flight.try_lock(), &known) {
            (Ok(flight), _) => flight,
            // Somebody refreshes already, and the key counts until then.
            (Err(_), Some(key)) => return Ok(Arc::clone(key)),
            (Err(_), None) => self.flight.lock().await,
        };
        let is_shared = self.finished.load(Ordering::Acquire) != finished;
        let may_fetch = match known {
            _ if flight.fetch.is_some() => true,
            Some(_) => self.is_due(0),
            // Before any I/O: tokens with made-up ids cost the issuer nothing.
            None => self.now() >= flight.closed_until,
        };
        if may_fetch && !is_shared {
            self.fetch(&mut flight, known.is_some()).await;
            if self.find(wanted, self.now()).is_none() {
                flight.closed_until = self.now().saturating_add(self.pause());
            }
        }
        self.find(wanted, self.now())
            .ok_or_else(|| flight.refusal(wanted))
    }

    async fn prime(&self) -> Result<(), JwksError> {
        let mut flight = self.flight.lock().await;
        if !self.has_keys() {
            self.fetch(&mut flight, false).await;
        }
        match &flight.failure {
            Some(failure) if !self.has_keys() => Err(failure.clone()),
            _ => Ok(()),
        }
    }

    async fn fetch_now(&self) -> Result<usize, JwksError> {
        let mut flight = self.flight.lock().await;
        self.fetch(&mut flight, false).await;
        match &flight.failure {
            Some(failure) => Err(failure.clone()),
            None => Ok(self.known.load().len()),
        }
    }

    async fn refresh_for_ever(&self) {
        loop {
            if self.is_due(REFRESH_LEAD) {
                let mut flight = self.flight.lock().await;
                if flight.fetch.is_some() || self.is_due(REFRESH_LEAD) {
                    self.fetch(&mut flight, self.has_keys()).await;
                }
            }
            self.pipeline.clock().sleep(REFRESH_TICK).await;
        }
    }

    /// Begins a fetch, or goes on with one that was left, and takes in what comes.
    async fn fetch(&self, flight: &mut Flight, once: bool) {
        let (outcome, begun) = poll_fn(|context| {
            // Taken out while it runs, so that one which panics is not asked again.
            let mut fetch = flight.fetch.take().unwrap_or_else(|| Fetch {
                begun: self.now(),
                answer: Box::pin(fetch(self.pipeline.clone(), self.uri.clone(), once)),
            });
            let answer = fetch.answer.as_mut().poll(context);
            let begun = fetch.begun;
            if answer.is_pending() {
                flight.fetch = Some(fetch);
            }
            answer.map(|outcome| (outcome, begun))
        })
        .await;
        let wait = match &outcome {
            Ok(set) => {
                self.remember(set, begun);
                REFRESH_AFTER
            }
            Err(error) => {
                tracing::warn!(%error, "the keys of an issuer could not be refreshed");
                self.pause()
            }
        };
        flight.failure = outcome.err();
        self.due
            .store(begun.saturating_add(wait), Ordering::Relaxed);
        self.finished.fetch_add(1, Ordering::Release);
    }

    /// Adds what is listed to what is known. A key that is not listed any more counts until its
    /// day is over.
    fn remember(&self, set: &JwkSet, seen: u64) {
        let now = self.now();
        let mut known = Known::clone(&self.known.load());
        known.retain(|_, key| now < key.until);
        if known.len() > MAX_KNOWN {
            // No issuer has so many; this one makes new ones all the time.
            known.clear();
        }
        for key in set.keys() {
            // No key has an empty id: that is the place of the one without.
            let id = key.id().unwrap_or_default().to_owned();
            let (key, until) = (Arc::clone(key), seen.saturating_add(COUNTS_FOR));
            known.insert(id, KnownKey { key, until });
        }
        self.known.store(Arc::new(known));
    }

    /// How long after a fetch without success the next one may come.
    fn pause(&self) -> u64 {
        if self.has_keys() {
            PAUSE
        } else {
            PAUSE_WITHOUT_KEYS
        }
    }

    fn has_keys(&self) -> bool {
        let now = self.now();
        self.known.load().values().any(|known| now < known.until)
    }
}

/// The key of the document that was fetched last, if it lists one alone. Those of it count longest.
fn only_listed(known: &Known) -> Option<&KnownKey> {
    let last = known.values().map(|known| known.until).max()?;
    let mut listed = known.values().filter(|known| known.until == last);
    match (listed.next(), listed.next()) {
        (only, None) => only,
        _ => None,
    }
}

/// One fetch of the document. With keys at hand there is no need for a second attempt.
async fn fetch(pipeline: Pipeline, uri: Url, once: bool) -> Result<JwkSet, JwksError> {
    let mut settings = CallSettings::new("GET jwks_uri", Operation::Read);
    settings.once = once;
    let response = pipeline
        .send_each(settings, || async {
            http::Request::get(uri.as_str())
                .header(http::header::ACCEPT, "application/json")
                .body(Bytes::new())
                .map_err(|_| Error::InvalidRequest("the address of the keys cannot be called"))
        })
        .await
        .map_err(JwksError::Fetch)?;
    let set = JwkSet::parse(response.body()).map_err(|source| JwksError::Document {
        host: uri.host_str().unwrap_or_default().to_owned(),
        source,
    })?;
    for skipped in set.skipped() {
        tracing::debug!(id = skipped.id, problem = %skipped.problem, "a key is not used");
    }
    Ok(set)
}

/// 2^64 divided by the golden ratio (Knuth, The Art of Computer Programming 6.4).
const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;
/// How long a key counts after it was last listed, in seconds: a day.
const COUNTS_FOR: u64 = 24 * 60 * 60;
/// How long after a fetch the next one is due, in seconds: an hour.
const REFRESH_AFTER: u64 = 60 * 60;
/// How long there is no further fetch, in seconds, after one that failed or did not bring the key
/// that it was made for.
const PAUSE: u64 = 5 * 60;
/// The same where there is no key at all, so that nobody can sign in.
const PAUSE_WITHOUT_KEYS: u64 = 10;
/// How often the background work looks.
const REFRESH_TICK: Duration = Duration::from_secs(30);
/// How much earlier than a caller it fetches, in seconds, so that no caller does: two ticks.
const REFRESH_LEAD: u64 = 60;
/// How many keys are remembered at the most, besides those of one document.
const MAX_KNOWN: usize = 4000;
