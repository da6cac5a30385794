//! One machine's endpoint of managed identities: finding it, asking it, waiting for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use serde::Deserialize;
use time::OffsetDateTime;

use crate::arc_key::read_key;
use crate::cached_tokens::TokenSource;
use crate::error::ErrorResponse;
use crate::identity_host::IdentityHost;
use crate::managed_identity::DEFAULT_SCOPE;
use crate::pipeline::CallSettings;
use crate::token::TokenData;
use crate::token_endpoint::{Effort, seconds};
use crate::token_error::{Unreadable, read_refusal};
use crate::{
    Clock, Error, ManagedIdentityError, ManagedIdentityHost, ManagedIdentityId, Operation,
    Pipeline, RequestIds, RetryPolicy, Secret, TokenRequest,
};

/// The endpoint of one machine.
#[derive(Debug)]
pub(crate) struct IdentitySource {
    pub(crate) host: IdentityHost,
    pub(crate) identity: ManagedIdentityId,
    pub(crate) pipeline: Pipeline,
    /// Whether a metadata service answered before.
    found: AtomicBool,
}

impl IdentitySource {
    pub(crate) fn new(host: IdentityHost, identity: ManagedIdentityId, pipeline: Pipeline) -> Self {
        Self {
            host,
            identity,
            pipeline,
            found: AtomicBool::new(false),
        }
    }

    /// Makes sure that there is a metadata service, so that a machine without one fails in a
    /// second and not after all attempts.
    async fn find(&self) -> Result<(), Error> {
        let on_machine = self.host.kind() == ManagedIdentityHost::VirtualMachine;
        if !on_machine || self.found.load(Ordering::Relaxed) {
            return Ok(());
        }
        let once = RetryPolicy {
            deadline: PROBE_TIME,
            ..RetryPolicy::none()
        };
        let pipeline = self.pipeline.clone().with_retry_policy(once);
        let settings = CallSettings::new("GET /metadata/identity", Operation::Read);
        let make = || async { self.host.probe_request() };
        match pipeline.send_each(settings, make).await {
            Err(Error::Transport { source, .. }) => {
                return Err(ManagedIdentityError::NoMetadataService(Some(source)).into());
            }
            // A proxy's page in its place.
            Err(Error::Response(answer)) if answer.is_html() => {
                return Err(ManagedIdentityError::NoMetadataService(None).into());
            }
            // What it says does not matter.
            _ => self.found.store(true, Ordering::Relaxed),
        }
        Ok(())
    }

    async fn ask(&self, resource: &str) -> Result<http::Response<Bytes>, Error> {
        let outcome = self.send(resource, None).await;
        let (Some(folder), Some(refusal)) = (self.host.key_folder(), unauthorized(&outcome)) else {
            return outcome;
        };
        let key = read_key(refusal.challenge.as_deref(), folder).await?;
        let outcome = self.send(resource, Some(&key)).await;
        match unauthorized(&outcome) {
            Some(_) => Err(ManagedIdentityError::KeyRefused.into()),
            None => outcome,
        }
    }

    async fn send(
        &self,
        resource: &str,
        key: Option<&Secret>,
    ) -> Result<http::Response<Bytes>, Error> {
        let mut settings = CallSettings::new("GET managed identity token", Operation::Read);
        settings.once = true;
        let make = || async { self.host.token_request(resource, &self.identity, key) };
        self.pipeline.send_each(settings, make).await
    }

    /// How long to wait before the next attempt, if there is one (Microsoft Learn, "How to use
    /// managed identities on an Azure VM to acquire an access token", "Retry guidance").
    fn wait_after(&self, error: &Error, attempts: u32) -> Option<Duration> {
        let on_machine = self.host.kind() == ManagedIdentityHost::VirtualMachine;
        let updating =
            matches!(error, Error::Response(answer) if answer.status == StatusCode::GONE);
        if on_machine && updating {
            return (attempts <= UPDATE_ATTEMPTS).then_some(UPDATE_WAIT);
        }
        let repeats = match error {
            Error::Response(answer) if answer.status == StatusCode::NOT_FOUND => on_machine,
            error => error.is_retryable(),
        };
        let backoff = FIRST_WAIT * 2_u32.pow(attempts.min(ATTEMPTS) - 1);
        let wait = backoff.max(error.retry_after().unwrap_or_default());
        (repeats && attempts <= ATTEMPTS && wait <= LONGEST_WAIT).then_some(wait)
    }

    fn read(
        &self,
        answer: &http::Response<Bytes>,
        started: OffsetDateTime,
    ) -> Result<TokenData, Error> {
        let malformed = |source| Error::Malformed {
            host: "the managed identity's endpoint".to_owned(),
            status: answer.status(),
            retry_after: None,
            what: "a body that is no token response".to_owned(),
            ids: Box::new(RequestIds::from_headers(answer.headers())),
            source,
        };
        let token: IdentityToken = serde_json::from_slice(answer.body())
            .map_err(|error| malformed(Some(Arc::new(Unreadable::from(error)))))?;
        i64::try_from(token.expires_on)
            .ok()
            .and_then(|end| OffsetDateTime::from_unix_timestamp(end).ok())
            .and_then(|end| TokenData::new(token.access_token.expose(), end, None).ok())
            .map(|data| data.issued_at(started))
            .ok_or_else(|| malformed(None))
    }

    /// The endpoint's own refusal, as far as it can be read.
    fn told(&self, error: Error) -> Error {
        let Error::Response(refusal) = &error else {
            return error;
        };
        if self.host.kind() == ManagedIdentityHost::AppService {
            return app_service_refusal(refusal).map_or(error, Error::from);
        }
        match read_refusal(refusal) {
            Error::Token(token)
                if self.identity == ManagedIdentityId::System
                    && token.description.eq_ignore_ascii_case("Identity not found") =>
            {
                ManagedIdentityError::NoIdentity.into()
            }
            told => told,
        }
    }
}

impl TokenSource for IdentitySource {
    fn clock(&self) -> &Arc<dyn Clock> {
        self.pipeline.clock()
    }

    async fn fetch(&self, request: &TokenRequest, effort: Effort) -> Result<TokenData, Error> {
        let resource = resource_of(request)?;
        self.find().await?;
        let mut attempts = 0;
        loop {
            let started = self.clock().now();
            let error = match self.ask(resource).await {
                Ok(answer) => return self.read(&answer, started),
                Err(error) => error,
            };
            attempts += 1;
            match self.wait_after(&error, attempts) {
                Some(wait) if effort == Effort::Full => self.clock().sleep(wait).await,
                _ => return Err(self.told(error)),
            }
        }
    }
}

#[derive(Deserialize)]
struct IdentityToken {
    access_token: Secret,
    /// In Unix seconds.
    #[serde(deserialize_with = "seconds")]
    expires_on: u64,
}

/// The resource that the one scope stands for.
fn resource_of(request: &TokenRequest) -> Result<&str, Error> {
    if request.tenant().is_some() {
        return Err(Error::InvalidRequest(
            "a managed identity has tokens of its own tenant alone",
        ));
    }
    request
        .scope()
        .strip_suffix(DEFAULT_SCOPE)
        .filter(|resource| !resource.is_empty() && !resource.contains(' '))
        .ok_or(Error::InvalidRequest(
            "a managed identity is asked for one resource, as <resource>/.default",
        ))
}

fn unauthorized<T>(outcome: &Result<T, Error>) -> Option<&ErrorResponse> {
    match outcome {
        Err(Error::Response(refusal)) if refusal.status == StatusCode::UNAUTHORIZED => {
            Some(refusal)
        }
        _ => None,
    }
}

/// `{"statusCode":400,"message":"…","correlationId":"…"}`. A server error stays what it is.
fn app_service_refusal(refusal: &ErrorResponse) -> Option<ManagedIdentityError> {
    #[derive(Deserialize)]
    struct Body {
        message: String,
    }

    if !refusal.status.is_client_error() || refusal.status == StatusCode::TOO_MANY_REQUESTS {
        return None;
    }
    let body: Body = serde_json::from_slice(&refusal.body).ok()?;
    Some(ManagedIdentityError::Refused {
        status: refusal.status,
        message: body.message,
    })
}

/// How long a metadata service may take to show that it is there.
const PROBE_TIME: Duration = Duration::from_secs(1);
/// After 410 the service is back within 70 seconds.
const UPDATE_WAIT: Duration = Duration::from_secs(10);
const UPDATE_ATTEMPTS: u32 = 7;
/// The wait before the second attempt; it doubles with each further one.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const ATTEMPTS: u32 = 3;
/// Who is asked to wait for longer is told so instead.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
