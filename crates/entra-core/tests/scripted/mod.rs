//! An [`HttpClient`] that answers from a script and remembers what it was asked.

#![allow(dead_code, reason = "each test program uses its part")]

pub(crate) mod app;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use entra_core::{Clock, HttpClient, Limits, MovableClock, TransportError, TransportErrorKind};
use serde_json::{Value, json};
use time::OffsetDateTime;
use tokio::sync::Semaphore;

/// Answers in the order of the script. A request beyond its end fails the test.
#[derive(Clone)]
pub(crate) struct ScriptedHttp(Arc<Inner>);

impl std::fmt::Debug for ScriptedHttp {
    /// Without what it has seen, which is full of secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ScriptedHttp")
    }
}

struct Inner {
    clock: Arc<MovableClock>,
    script: Mutex<VecDeque<Reply>>,
    seen: Mutex<Vec<Seen>>,
}

/// A request with the moment it came and what it was allowed to cost.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) at: OffsetDateTime,
    pub(crate) limits: Limits,
    pub(crate) method: http::Method,
    pub(crate) uri: http::Uri,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: Bytes,
}

impl Seen {
    /// A parameter of the form in the body.
    pub(crate) fn form(&self, name: &str) -> Option<String> {
        let form: HashMap<_, _> = url::form_urlencoded::parse(&self.body)
            .into_owned()
            .collect();
        form.get(name).cloned()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

impl ScriptedHttp {
    pub(crate) fn new(clock: &Arc<MovableClock>, script: impl IntoIterator<Item = Reply>) -> Self {
        Self(Arc::new(Inner {
            clock: Arc::clone(clock),
            script: Mutex::new(script.into_iter().collect()),
            seen: Mutex::default(),
        }))
    }

    pub(crate) fn push(&self, reply: Reply) {
        self.0.script.lock().unwrap().push_back(reply);
    }

    pub(crate) fn count(&self) -> usize {
        self.0.seen.lock().unwrap().len()
    }

    /// The requests so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.0.seen.lock().unwrap().clone()
    }

    /// Waits until `count` requests came.
    pub(crate) async fn arrived(&self, count: usize) {
        for _ in 0..100_000 {
            if self.count() >= count {
                return;
            }
            tokio::task::yield_now().await;
        }
        panic!("{} requests came instead of {count}", self.count());
    }
}

#[async_trait]
impl HttpClient for ScriptedHttp {
    async fn send(
        &self,
        request: http::Request<Bytes>,
        limits: Limits,
    ) -> Result<http::Response<Bytes>, TransportError> {
        let (parts, body) = request.into_parts();
        self.0.seen.lock().unwrap().push(Seen {
            at: self.0.clock.now(),
            limits,
            method: parts.method,
            uri: parts.uri,
            headers: parts.headers,
            body,
        });
        let reply = self.0.script.lock().unwrap().pop_front();
        let reply = reply.expect("a request that the script does not foresee");
        self.0.clock.advance(reply.takes);
        if let Some(gate) = reply.gate {
            gate.passed().await;
        }
        reply
            .outcome
            .map_err(TransportError::new)
            .map(|response| *response)
    }
}

/// One answer of the script.
#[derive(Debug)]
pub(crate) struct Reply {
    outcome: Result<Box<http::Response<Bytes>>, TransportErrorKind>,
    gate: Option<Gate>,
    takes: Duration,
}

impl Reply {
    pub(crate) fn new(status: u16, content_type: &str, body: impl Into<Bytes>) -> Self {
        let response = http::Response::builder()
            .status(status)
            .header("content-type", content_type)
            .body(body.into())
            .unwrap();
        Self {
            outcome: Ok(Box::new(response)),
            gate: None,
            takes: Duration::ZERO,
        }
    }

    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::new(status, "application/json; charset=utf-8", body.to_string())
    }

    pub(crate) fn token(token: &str, expires_in: u64) -> Self {
        Self::json(
            200,
            &json!({"token_type": "Bearer", "expires_in": expires_in, "access_token": token}),
        )
    }

    /// A refusal of the token endpoint.
    pub(crate) fn refusal(status: u16, error: &str, code: u32) -> Self {
        Self::json(
            status,
            &json!({
                "error": error,
                "error_description": format!("AADSTS{code}: Refused. Trace ID: t Correlation ID: c"),
                "error_codes": [code],
                "timestamp": "2026-01-01 00:00:00Z",
                "trace_id": "7f3c6f5e-0000-4000-8000-000000000001",
                "correlation_id": "7f3c6f5e-0000-4000-8000-000000000002",
            }),
        )
    }

    pub(crate) fn fails(kind: TransportErrorKind) -> Self {
        Self {
            outcome: Err(kind),
            gate: None,
            takes: Duration::ZERO,
        }
    }

    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        if let Ok(response) = &mut self.outcome {
            response.headers_mut().append(name, value.parse().unwrap());
        }
        self
    }

    /// It comes once the gate is open.
    pub(crate) fn behind(mut self, gate: &Gate) -> Self {
        self.gate = Some(gate.clone());
        self
    }

    /// The clock moves on by this much before it comes.
    pub(crate) fn after(mut self, takes: Duration) -> Self {
        self.takes = takes;
        self
    }
}

/// Holds an answer back until it is opened.
#[derive(Clone, Debug)]
pub(crate) struct Gate(Arc<Semaphore>);

impl Gate {
    pub(crate) fn closed() -> Self {
        Self(Arc::new(Semaphore::new(0)))
    }

    pub(crate) fn open(&self) {
        self.0.close();
    }

    pub(crate) async fn passed(&self) {
        // A closed semaphore lets everybody through, with an error.
        let _ = self.0.acquire().await;
    }
}

/// Lets every task go on until it waits for something.
pub(crate) async fn settle() {
    for _ in 0..5_000 {
        tokio::task::yield_now().await;
    }
}
