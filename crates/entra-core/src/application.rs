//! An application that signs in as itself: cached tokens, one request per wanted token, refresh
//! ahead of the end.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use time::OffsetDateTime;
use tracing::Instrument as _;

use crate::clock::work_until;
use crate::token::TokenData;
use crate::token_endpoint::{Effort, Grant, TokenEndpoint};
use crate::token_slot::{TokenSlot, TokenSlots};
use crate::{
    AccessToken, Authority, ClientCredential, ClientId, Error, Pipeline, TokenCredential,
    TokenErrorKind, TokenRequest,
};

/// An application with a credential of its own (RFC 6749 2.1), in one tenant.
///
/// A clone is cheap and shares the cache. A cached token costs no lock. However many tasks ask
/// for the same missing token, one request is sent, and all share its outcome; if the task that
/// sends it is cancelled, the next one takes over. Different tokens never wait for each other.
///
/// ```
/// # async fn f(http: impl entra_core::HttpClient + 'static) -> Result<(), Box<dyn std::error::Error>> {
/// use entra_core::{
///     Authority, ClientCredential, ClientId, ClientSecret, Cloud, ConfidentialClient, Pipeline,
///     Tenant, TokenRequest,
/// };
///
/// let cloud = Cloud::public();
/// let client = ConfidentialClient::new(
///     Authority::new(cloud.clone(), Tenant::parse("contoso.onmicrosoft.com")?),
///     ClientId::parse("11111111-2222-4333-8444-555555555555")?,
///     ClientCredential::secret(ClientSecret::parse("Ab8Q~pasted-from-the-portal")?),
///     Pipeline::new(http),
/// )?;
/// let token = client.token(&TokenRequest::new([cloud.graph_scope()])).await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct ConfidentialClient {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    endpoint: TokenEndpoint,
    credential: ClientCredential,
    slots: TokenSlots,
    /// What the service's clock is ahead of this machine's, in seconds.
    clock_offset: AtomicI64,
}

impl ConfidentialClient {
    /// A client of one tenant. `common`, `organizations` and `consumers` are refused: an app that
    /// signs in as itself does so in one tenant.
    pub fn new(
        authority: Authority,
        client_id: ClientId,
        credential: ClientCredential,
        pipeline: Pipeline,
    ) -> Result<Self, Error> {
        if !authority.tenant().is_single() {
            return Err(Error::InvalidRequest(
                "an application signs in as itself in one tenant, not in common, organizations or consumers",
            ));
        }
        Ok(Self {
            inner: Arc::new(Inner {
                endpoint: TokenEndpoint::new(authority, client_id, pipeline),
                credential,
                slots: TokenSlots::default(),
                clock_offset: AtomicI64::new(0),
            }),
        })
    }

    /// A token for this request, from the cache or from the token endpoint.
    ///
    /// While a token is valid nobody waits for its successor but the one caller that fetches it,
    /// or nobody at all where [`refresh_ahead`](Self::refresh_ahead) runs. If a new token cannot
    /// be had in one attempt, the old one is returned as long as it is valid, and the next attempt
    /// comes half a minute later.
    pub async fn token(&self, request: &TokenRequest) -> Result<AccessToken, Error> {
        if !request.bypasses_cache()
            && let Some(token) = self.cached(request)
        {
            return Ok(token);
        }
        let slot = self.inner.slots.slot(request, || self.inner.now());
        // The rare path is boxed, so that the future of a hit stays small.
        Box::pin(self.inner.renew(&slot, request, time::Duration::ZERO)).await
    }

    /// The cached token, if there is one that needs no refresh yet. It does no I/O and takes no
    /// lock.
    pub fn cached(&self, request: &TokenRequest) -> Option<AccessToken> {
        let token = self
            .inner
            .slots
            .read(request, |slot| AccessToken::leased(slot.current.load()))??;
        let now = self.pipeline().clock().unix_time();
        (now < token.data().fresh_until_unix()).then_some(token)
    }

    /// Refreshes tokens before their callers have to wait for it, until `shutdown` ends. The host
    /// spawns it if it wants that; without it one caller refreshes.
    pub async fn refresh_ahead(&self, shutdown: impl Future<Output = ()> + Send) {
        work_until(shutdown, self.inner.refresh_for_ever()).await;
    }

    /// Where it signs in.
    pub fn authority(&self) -> &Authority {
        self.inner.endpoint.authority()
    }

    /// The application.
    pub fn client_id(&self) -> &ClientId {
        self.inner.endpoint.client()
    }

    /// What it signs in with.
    pub fn credential(&self) -> &ClientCredential {
        &self.inner.credential
    }

    /// The pipeline through which it asks for tokens.
    pub fn pipeline(&self) -> &Pipeline {
        self.inner.endpoint.pipeline()
    }

    /// What the service's clock is ahead of this machine's, as its last answer told. Zero before
    /// the first answer.
    pub fn clock_offset(&self) -> time::Duration {
        self.inner.clock_offset()
    }
}

#[async_trait]
impl TokenCredential for ConfidentialClient {
    async fn token(&self, request: &TokenRequest) -> Result<AccessToken, Error> {
        Self::token(self, request).await
    }

    fn invalidate(&self, request: &TokenRequest, token: &AccessToken) {
        self.inner
            .slots
            .read(request, |slot| slot.invalidate(token));
    }
}

impl Inner {
    fn now(&self) -> OffsetDateTime {
        self.endpoint.pipeline().clock().now()
    }

    fn clock_offset(&self) -> time::Duration {
        time::Duration::seconds(self.clock_offset.load(Ordering::Relaxed))
    }

    /// One attempt to renew a slot, shared by all who wait for it. Nothing is done if the token
    /// needs no refresh for longer than `lead`.
    async fn renew(
        &self,
        slot: &TokenSlot,
        request: &TokenRequest,
        lead: time::Duration,
    ) -> Result<AccessToken, Error> {
        let bypass = request.bypasses_cache();
        let seen = slot.finished.load(Ordering::Acquire);
        let mut outcome = match slot.outcome.try_lock() {
            Ok(outcome) => outcome,
            Err(_) => match slot.usable_at(self.now()) {
                // Somebody refreshes already, and there is a token until then.
                Some(token) if !bypass => return Ok(token),
                _ => slot.outcome.lock().await,
            },
        };
        if !bypass {
            if let Some(token) = slot.fresh_at(self.now(), lead) {
                return Ok(token);
            }
            if slot.finished.load(Ordering::Acquire) != seen
                && let Some(shared) = slot.shared(&outcome, self.now())
            {
                return shared;
            }
        }
        let effort = match slot.valid_at(self.now()) {
            // The old token still does, so nobody waits for retries.
            Some(_) if !bypass => Effort::Once,
            _ => Effort::Full,
        };
        let result = self.fetch(request, effort).await;
        slot.finished.fetch_add(1, Ordering::Release);
        match result {
            Ok(data) => {
                *outcome = None;
                Ok(self.store(slot, request, Arc::new(data)))
            }
            Err(error) => {
                *outcome = Some(error.clone());
                match slot.valid_at(self.now()) {
                    Some(token) if !request.bypasses_cache() => {
                        tracing::warn!(%error, "a token could not be refreshed; the old one is still valid");
                        slot.hold_off(self.now());
                        Ok(token)
                    }
                    _ => Err(error),
                }
            }
        }
    }

    fn store(&self, slot: &TokenSlot, request: &TokenRequest, data: Arc<TokenData>) -> AccessToken {
        slot.current.store(Some(Arc::clone(&data)));
        if request.claims().is_some() {
            // A token that answers a challenge does for requests without it as well.
            let plain = self.slots.slot(&request.without_claims(), || self.now());
            plain.current.store(Some(Arc::clone(&data)));
        }
        AccessToken::shared(data)
    }

    /// Asks the token endpoint; once more where only the clocks differ.
    async fn fetch(&self, request: &TokenRequest, effort: Effort) -> Result<TokenData, Error> {
        let authority = self.endpoint.authority();
        let span = tracing::debug_span!(
            "entra.token",
            cloud = authority.cloud().name(),
            tenant = %authority.tenant(),
            client_id = %self.endpoint.client(),
            scope = request.scope(),
        );
        async {
            let before = self.clock_offset();
            let (error, date) = match self.redeem(request, effort).await {
                Ok(data) => return Ok(data),
                Err(failure) => failure,
            };
            if let Some(date) = date {
                self.learn_clock(date);
            }
            let corrected = (self.clock_offset() - before).abs() > CLOCK_TOLERANCE;
            if is_clock_skew(&error) && corrected {
                tracing::warn!(
                    offset_seconds = self.clock_offset().whole_seconds(),
                    "the clock of this machine is wrong; signing by the service's clock"
                );
                let second = self.redeem(request, effort).await;
                return second.map_err(|(error, _)| error);
            }
            Err(error)
        }
        .instrument(span)
        .await
    }

    async fn redeem(
        &self,
        request: &TokenRequest,
        effort: Effort,
    ) -> Result<TokenData, (Error, Option<OffsetDateTime>)> {
        let issued = self
            .endpoint
            .redeem(
                Grant::ClientCredentials(request),
                &self.credential,
                self.clock_offset(),
                effort,
            )
            .await?;
        if let Some(date) = issued.date {
            self.learn_clock(date);
        }
        Ok(issued.data)
    }

    fn learn_clock(&self, service: OffsetDateTime) {
        let offset = service - self.now();
        self.clock_offset
            .store(offset.whole_seconds(), Ordering::Relaxed);
    }

    async fn refresh_for_ever(&self) {
        loop {
            let now = self.now();
            let mut due = self.slots.all();
            // A token that answered a challenge is kept for its twin without claims.
            due.retain(|(request, slot)| {
                request.claims().is_none() && slot.is_due_at(now, REFRESH_LEAD)
            });
            for (request, slot) in due {
                // A failure is logged and tried again after the hold-off.
                let _ = self.renew(&slot, &request, REFRESH_LEAD).await;
            }
            self.endpoint.pipeline().clock().sleep(REFRESH_TICK).await;
        }
    }
}

fn is_clock_skew(error: &Error) -> bool {
    matches!(error, Error::Token(error) if error.kind() == TokenErrorKind::ClockSkew)
}

/// A difference of clocks that is not worth a second request.
const CLOCK_TOLERANCE: time::Duration = time::Duration::seconds(30);
/// How often the background work looks.
const REFRESH_TICK: Duration = Duration::from_secs(30);
/// How much earlier than a caller it refreshes, so that no caller does: two ticks.
const REFRESH_LEAD: time::Duration = time::Duration::seconds(60);
