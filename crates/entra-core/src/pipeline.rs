//! The steps of one call to a service, from the request to a final answer.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::uri::Authority;
use http::{HeaderName, HeaderValue, StatusCode};
use tracing::Instrument as _;
use uuid::Uuid;

use crate::error::{ErrorResponse, RequestIds};
use crate::throttle::ThrottleGate;
use crate::{
    AccessToken, Clock, Error, HttpClient, Limits, Operation, RetryPolicy, SystemClock,
    ThrottleScope, TokenCredential, TokenRequest, TransportError,
};

/// Sends calls with everything that a careful client does: ids, tokens, retries by operation,
/// waits that the service asks for, deadlines and size limits.
///
/// A clone is cheap, and clones share the throttle gate: one 429 makes all calls wait that share
/// the limit. Build one per process and hand clones out.
///
/// ```
/// # async fn f(http: impl entra_core::HttpClient + 'static) -> Result<(), Box<dyn std::error::Error>> {
/// use entra_core::{Call, Pipeline};
///
/// let pipeline = Pipeline::new(http);
/// let request = http::Request::get("https://graph.microsoft.com/v1.0/$metadata")
///     .body(bytes::Bytes::new())?;
/// let answer = pipeline.send(Call::new("GET /$metadata", request)).await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Pipeline {
    http: Arc<dyn HttpClient>,
    clock: Arc<dyn Clock>,
    gate: Arc<ThrottleGate>,
    retry: RetryPolicy,
}

impl Pipeline {
    /// A pipeline over an HTTP client, with the system's clock and the default retry policy.
    pub fn new(http: impl HttpClient + 'static) -> Self {
        Self::over(Arc::new(http))
    }

    /// The same over a shared HTTP client.
    pub fn over(http: Arc<dyn HttpClient>) -> Self {
        Self {
            http,
            clock: Arc::new(SystemClock),
            gate: Arc::default(),
            retry: RetryPolicy::default(),
        }
    }

    /// Takes time from this clock.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Retries by this policy.
    #[must_use]
    pub fn with_retry_policy(mut self, retry: RetryPolicy) -> Self {
        self.retry = retry;
        self
    }

    /// The policy by which the pipeline retries.
    pub fn retry_policy(&self) -> &RetryPolicy {
        &self.retry
    }

    /// Makes the calls of `scope` wait: for a 429 that stands within an answer, as in a batch.
    pub fn throttle(&self, scope: &ThrottleScope, wait: Duration) {
        self.gate.close(scope, self.clock.monotonic(), wait);
    }

    /// The clock by which the pipeline waits.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// Sends a call until it succeeds, is refused for good, or its deadline passes.
    ///
    /// A 2xx status is `Ok`, and so is 304. Any other is [`Error::Response`], with the body for
    /// whoever knows the service; a redirect is not followed and counts as a refusal.
    pub async fn send(&self, call: Call) -> Result<http::Response<Bytes>, Error> {
        let Call { request, settings } = call;
        let request = &request;
        self.send_each(settings, || async { Ok(copy_of(request)) })
            .await
    }

    /// Like [`send`](Self::send), with a request that is made anew for each attempt: a client
    /// assertion must be fresh each time.
    pub(crate) async fn send_each<F, Fut>(
        &self,
        settings: CallSettings,
        make: F,
    ) -> Result<http::Response<Bytes>, Error>
    where
        F: Fn() -> Fut + Send + Sync,
        Fut: Future<Output = Result<http::Request<Bytes>, Error>> + Send,
    {
        let span = tracing::debug_span!("entra.http", route = settings.route);
        let mut run = Run::new(self, settings);
        async {
            loop {
                match run.attempt(&make).await? {
                    Step::Done(response) => return Ok(response),
                    Step::Again(Duration::ZERO) => {}
                    Step::Again(wait) => self.clock.sleep(wait).await,
                }
            }
        }
        .instrument(span)
        .await
    }
}

/// One call: the request and how to treat it. `Debug` shows neither its URL nor its body.
pub struct Call {
    request: http::Request<Bytes>,
    settings: CallSettings,
}

impl Call {
    /// A call of `request`. `route` names it in logs, for example `GET /users/{id}`: no id and no
    /// query, since both may be personal or secret.
    pub fn new(route: &'static str, request: http::Request<Bytes>) -> Self {
        let operation = Operation::of(request.method());
        Self {
            request,
            settings: CallSettings::new(route, operation),
        }
    }

    /// Says what repeating it does, where the method does not.
    #[must_use]
    pub fn with_operation(mut self, operation: Operation) -> Self {
        self.settings.operation = operation;
        self
    }

    /// Attaches a token that `credential` yields for `request`.
    #[must_use]
    pub fn with_credential(
        mut self,
        credential: Arc<dyn TokenCredential>,
        request: TokenRequest,
    ) -> Self {
        self.settings.authorization = Some((credential, request));
        self
    }

    /// Waits with everybody who shares this limit.
    #[must_use]
    pub fn with_throttle_scope(mut self, scope: Arc<ThrottleScope>) -> Self {
        self.settings.scope = Some(scope);
        self
    }

    /// Accepts a body of up to `limit` bytes; one MiB by default.
    #[must_use]
    pub fn with_body_limit(mut self, limit: usize) -> Self {
        self.settings.body_limit = limit;
        self
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("method", self.request.method())
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// How to treat a call.
#[derive(Debug)]
pub(crate) struct CallSettings {
    pub(crate) route: &'static str,
    pub(crate) operation: Operation,
    pub(crate) authorization: Option<(Arc<dyn TokenCredential>, TokenRequest)>,
    pub(crate) scope: Option<Arc<ThrottleScope>>,
    pub(crate) body_limit: usize,
    /// No retry and no wait: the caller has something better to do.
    pub(crate) once: bool,
}

impl CallSettings {
    pub(crate) fn new(route: &'static str, operation: Operation) -> Self {
        Self {
            route,
            operation,
            authorization: None,
            scope: None,
            body_limit: DEFAULT_BODY_LIMIT,
            once: false,
        }
    }
}

/// What comes after one attempt.
enum Step {
    Done(http::Response<Bytes>),
    Again(Duration),
}

/// A call under way.
struct Run<'a> {
    pipeline: &'a Pipeline,
    settings: CallSettings,
    client_request_id: Uuid,
    deadline: Duration,
    attempts: u32,
    /// A 401 gets one new token, not a loop.
    token_renewed: bool,
}

impl<'a> Run<'a> {
    fn new(pipeline: &'a Pipeline, settings: CallSettings) -> Self {
        Self {
            deadline: pipeline
                .clock
                .monotonic()
                .saturating_add(pipeline.retry.deadline),
            pipeline,
            settings,
            client_request_id: Uuid::new_v4(),
            attempts: 0,
            token_renewed: false,
        }
    }

    /// The steps of one attempt, in order.
    async fn attempt<F, Fut>(&mut self, make: &F) -> Result<Step, Error>
    where
        F: Fn() -> Fut + Send + Sync,
        Fut: Future<Output = Result<http::Request<Bytes>, Error>> + Send,
    {
        if let Some((host, wait)) = self.gate_wait() {
            return self.wait_at_gate(host, wait).map(Step::Again);
        }
        let mut request = make().await?;
        self.stamp_ids(&mut request)?;
        let token = self.attach_token(&mut request).await?;
        // Kept for an error, and made a text only for one.
        let authority = request.uri().authority().cloned();
        let host = || authority.as_ref().map_or("", Authority::host).to_owned();
        self.attempts += 1;
        let limits = self.limits().ok_or_else(|| self.timed_out(host()))?;
        match self.pipeline.http.send(request, limits).await {
            Ok(response) if is_final(response.status()) => {
                tracing::debug!(
                    status = response.status().as_u16(),
                    attempt = self.attempts,
                    "answered"
                );
                Ok(Step::Done(response))
            }
            Ok(response) => self.after_refusal(&host(), response, token),
            Err(error) => self.after_no_answer(host(), error),
        }
    }

    fn gate_wait(&self) -> Option<(String, Duration)> {
        let scope = self.settings.scope.as_deref()?;
        let now = self.pipeline.clock.monotonic();
        let wait = self.pipeline.gate.wait(scope, now)?;
        Some((scope.host().to_owned(), wait))
    }

    fn wait_at_gate(&self, host: String, wait: Duration) -> Result<Duration, Error> {
        if wait < self.time_left() && !self.settings.once {
            return Ok(wait);
        }
        Err(Error::Throttled {
            host,
            retry_after: wait,
            ids: self.ids(None),
        })
    }

    fn stamp_ids(&self, request: &mut http::Request<Bytes>) -> Result<(), Error> {
        let mut buffer = Uuid::encode_buffer();
        let text = self.client_request_id.as_hyphenated();
        let id = HeaderValue::from_str(text.encode_lower(&mut buffer))
            .map_err(|_| Error::InvalidRequest("the request id is no header value"))?;
        let headers = request.headers_mut();
        headers.insert(CLIENT_REQUEST_ID, id);
        headers.insert(RETURN_CLIENT_REQUEST_ID, HeaderValue::from_static("true"));
        Ok(())
    }

    async fn attach_token(
        &self,
        request: &mut http::Request<Bytes>,
    ) -> Result<Option<AccessToken>, Error> {
        let Some((credential, wanted)) = &self.settings.authorization else {
            return Ok(None);
        };
        let token = credential.token(wanted).await?;
        request
            .headers_mut()
            .insert(http::header::AUTHORIZATION, token.authorization().clone());
        Ok(Some(token))
    }

    /// What the next exchange may cost; nothing if no time is left.
    fn limits(&self) -> Option<Limits> {
        let left = self.time_left();
        (!left.is_zero()).then(|| Limits {
            body: self.settings.body_limit,
            deadline: left.min(self.pipeline.retry.attempt_timeout),
        })
    }

    /// An error status: a new token, a wait, or the end.
    fn after_refusal(
        &mut self,
        host: &str,
        response: http::Response<Bytes>,
        token: Option<AccessToken>,
    ) -> Result<Step, Error> {
        let ids = self.ids(RequestIds::from_headers(response.headers()).request_id);
        let now = self.pipeline.clock.now();
        let refusal = ErrorResponse::read(host, self.attempts, ids, response, now);
        tracing::debug!(
            status = refusal.status.as_u16(),
            attempt = self.attempts,
            request_id = refusal.ids.request_id,
            "refused"
        );
        if refusal.status == StatusCode::TOO_MANY_REQUESTS {
            self.close_gate(refusal.retry_after);
        }
        if refusal.status == StatusCode::UNAUTHORIZED && self.renew_token(&refusal, token) {
            return Ok(Step::Again(Duration::ZERO));
        }
        let repeats = self
            .settings
            .operation
            .repeats_after_status(refusal.status, refusal.retry_after.is_some());
        if !repeats || !self.may_try_again() {
            return Err(Error::Response(Arc::new(refusal)));
        }
        let wait = self.backoff().max(refusal.retry_after.unwrap_or_default());
        match refusal.retry_after {
            _ if wait < self.time_left() => Ok(Step::Again(wait)),
            Some(retry_after) if retry_after >= self.time_left() => Err(Error::Throttled {
                host: refusal.host,
                retry_after,
                ids: refusal.ids,
            }),
            _ => Err(Error::Response(Arc::new(refusal))),
        }
    }

    /// No answer: the end, or once more if the operation allows it.
    fn after_no_answer(&mut self, host: String, error: TransportError) -> Result<Step, Error> {
        tracing::debug!(kind = ?error.kind(), attempt = self.attempts, "no answer");
        let wait = self.backoff();
        let repeats = self.settings.operation.repeats_after_error(error.kind())
            && self.may_try_again()
            && wait < self.time_left();
        if repeats {
            return Ok(Step::Again(wait));
        }
        Err(Error::Transport {
            host,
            ids: self.ids(None),
            source: error,
        })
    }

    /// Drops the token that was refused. Once a call, and only if there was one.
    fn renew_token(&mut self, refusal: &ErrorResponse, token: Option<AccessToken>) -> bool {
        let (Some(token), Some((credential, wanted))) = (token, &mut self.settings.authorization)
        else {
            return false;
        };
        if self.token_renewed {
            return false;
        }
        self.token_renewed = true;
        if let Some(claims) = &refusal.claims {
            *wanted = wanted.clone().with_claims(claims.as_str());
        }
        credential.invalidate(wanted, &token);
        true
    }

    fn close_gate(&self, retry_after: Option<Duration>) {
        if let (Some(scope), Some(wait)) = (self.settings.scope.as_deref(), retry_after) {
            let now = self.pipeline.clock.monotonic();
            self.pipeline.gate.close(scope, now, wait);
        }
    }

    fn may_try_again(&self) -> bool {
        !self.settings.once && self.attempts < self.pipeline.retry.max_attempts
    }

    fn time_left(&self) -> Duration {
        self.deadline
            .saturating_sub(self.pipeline.clock.monotonic())
    }

    fn backoff(&self) -> Duration {
        self.pipeline.retry.wait(self.attempts, jitter())
    }

    fn timed_out(&self, host: String) -> Error {
        Error::Transport {
            host,
            ids: self.ids(None),
            source: TransportError::new(crate::TransportErrorKind::Timeout),
        }
    }

    fn ids(&self, request_id: Option<String>) -> RequestIds {
        RequestIds {
            client_request_id: self.client_request_id.to_string(),
            request_id,
        }
    }
}

/// A copy to send, with room for the headers that are added to it: a clone would have none.
fn copy_of(request: &http::Request<Bytes>) -> http::Request<Bytes> {
    let mut copy = http::Request::new(request.body().clone());
    copy.method_mut().clone_from(request.method());
    copy.uri_mut().clone_from(request.uri());
    *copy.version_mut() = request.version();
    copy.extensions_mut().clone_from(request.extensions());
    let headers = copy.headers_mut();
    headers.reserve(request.headers().len() + ADDED_HEADERS);
    for (name, value) in request.headers() {
        headers.append(name, value.clone());
    }
    copy
}

fn is_final(status: StatusCode) -> bool {
    status.is_success() || status == StatusCode::NOT_MODIFIED
}

/// A number between 0 and 1 that nobody needs to be unable to guess.
pub(crate) fn jitter() -> f64 {
    let (_, random) = Uuid::new_v4().as_u64_pair();
    // The lowest 32 bits of a version 4 UUID are random (RFC 9562 5.4).
    let low = u32::try_from(random & u64::from(u32::MAX)).unwrap_or_default();
    f64::from(low) / f64::from(u32::MAX)
}

/// Two ids and the token.
const ADDED_HEADERS: usize = 3;
const CLIENT_REQUEST_ID: HeaderName = HeaderName::from_static("client-request-id");
const RETURN_CLIENT_REQUEST_ID: HeaderName = HeaderName::from_static("return-client-request-id");

/// Enough for every answer of the token endpoint and for single objects of Graph.
const DEFAULT_BODY_LIMIT: usize = 1024 * 1024;
