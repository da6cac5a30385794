//! A Graph that says what a test wants it to say.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use entra_core::{
    AccessToken, Clock, Cloud, Error, HttpClient, Limits, MovableClock, Pipeline, TokenCredential,
    TokenRequest, TransportError, TransportErrorKind,
};
use entra_graph::GraphClient;
use serde_json::Value;
use time::macros::datetime;

/// What one exchange ends in.
pub(crate) type Answer = Result<http::Response<Bytes>, TransportError>;

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) url: String,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: Value,
    /// When it arrived.
    pub(crate) at: Duration,
}

impl Seen {
    /// The path without host and version.
    pub(crate) fn path(&self) -> &str {
        self.url
            .strip_prefix("https://graph.microsoft.com/v1.0/")
            .unwrap_or(&self.url)
    }

    /// Method and path.
    pub(crate) fn line(&self) -> String {
        format!("{} {}", self.method, self.path())
    }
}

/// The fake service, and what it needs around it.
#[derive(Clone)]
pub(crate) struct Fake {
    pub(crate) clock: Arc<MovableClock>,
    handler: Arc<dyn Fn(&Seen) -> Answer + Send + Sync>,
    seen: Arc<Mutex<Vec<Seen>>>,
    tokens: Arc<AtomicUsize>,
}

impl Fake {
    /// Answers each request by a function.
    pub(crate) fn new(handler: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Self {
        Self {
            clock: Arc::new(MovableClock::frozen_at(datetime!(2026-06-01 00:00 UTC))),
            handler: Arc::new(handler),
            seen: Arc::default(),
            tokens: Arc::default(),
        }
    }

    /// Gives these answers, one after the other.
    pub(crate) fn script(answers: impl IntoIterator<Item = Answer>) -> Self {
        let answers = Mutex::new(answers.into_iter().collect::<VecDeque<_>>());
        Self::new(move |seen| {
            let next = answers.lock().unwrap().pop_front();
            next.unwrap_or_else(|| panic!("no answer for {}", seen.line()))
        })
    }

    pub(crate) fn client(&self) -> GraphClient {
        let pipeline = Pipeline::new(self.clone()).with_clock(self.clock.clone());
        GraphClient::new(&Cloud::public(), Arc::new(self.clone()), pipeline)
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.seen().iter().map(Seen::line).collect()
    }

    pub(crate) fn tokens(&self) -> usize {
        self.tokens.load(Ordering::Relaxed)
    }

    /// How long everybody slept.
    pub(crate) fn elapsed(&self) -> Duration {
        self.clock.monotonic()
    }
}

impl std::fmt::Debug for Fake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Fake")
    }
}

#[async_trait]
impl HttpClient for Fake {
    async fn send(&self, request: http::Request<Bytes>, limits: Limits) -> Answer {
        let seen = Seen {
            method: request.method().to_string(),
            url: request.uri().to_string(),
            headers: request.headers().clone(),
            body: serde_json::from_slice(request.body()).unwrap_or_default(),
            at: self.clock.monotonic(),
        };
        self.seen.lock().unwrap().push(seen.clone());
        // Others get their turn in the middle of an exchange, as on a network.
        tokio::task::yield_now().await;
        let response = (self.handler)(&seen)?;
        if response.body().len() > limits.body {
            let kind = TransportErrorKind::BodyTooLarge { limit: limits.body };
            return Err(TransportError::new(kind));
        }
        Ok(response)
    }
}

#[async_trait]
impl TokenCredential for Fake {
    async fn token(&self, _: &TokenRequest) -> Result<AccessToken, Error> {
        self.tokens.fetch_add(1, Ordering::Relaxed);
        let end = self.clock.now() + time::Duration::hours(1);
        Ok(AccessToken::new("canary-token".into(), end).unwrap())
    }

    fn invalidate(&self, _: &TokenRequest, _: &AccessToken) {}
}

pub(crate) fn json(status: u16, body: &Value) -> Answer {
    text(
        status,
        &[("content-type", "application/json"), ("request-id", "r-1")],
        &body.to_string(),
    )
}

pub(crate) fn text(status: u16, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut response = http::Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    Ok(response
        .body(Bytes::copy_from_slice(body.as_bytes()))
        .unwrap())
}

pub(crate) fn refusal(status: u16, code: &str, message: &str) -> Answer {
    json(
        status,
        &serde_json::json!({"error": {"code": code, "message": message}}),
    )
}

pub(crate) fn no_content() -> Answer {
    text(204, &[], "")
}

pub(crate) fn object_id(number: u128) -> entra_core::ObjectId {
    uuid::Uuid::from_u128(number).into()
}
