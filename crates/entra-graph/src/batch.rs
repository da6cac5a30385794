//! JSON batching: twenty requests in one (Microsoft Learn, "Combine multiple HTTP requests using
//! JSON batching").

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use entra_core::{Operation, RequestIds, retry_after};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_with::skip_serializing_none;

use crate::client::{Request, Route};
use crate::error::Answer;
use crate::graph_error::{self, Refusal};
use crate::{Error, GraphClient, Query};

/// Requests that go out together, twenty at a time.
///
/// Each request has exactly one outcome, and the outcomes come in the order of the requests. A
/// request that was throttled, or that may be repeated and met a passing problem, is sent again
/// by itself, under the same id.
///
/// ```no_run
/// # async fn f(graph: entra_graph::GraphClient) -> Result<(), entra_graph::Error> {
/// use entra_graph::{BatchRequest, User};
///
/// let mut batch = graph.batch();
/// for name in ["ada@contoso.com", "grace@contoso.com"] {
///     batch.add(BatchRequest::get(["users", name]));
/// }
/// for outcome in batch.send().await {
///     let user: User = outcome.parse()?;
///     println!("{:?}", user.display_name);
/// }
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Batch {
    client: GraphClient,
    requests: Vec<BatchRequest>,
    sequential: bool,
}

impl GraphClient {
    /// An empty batch.
    pub fn batch(&self) -> Batch {
        Batch::new(self.clone())
    }
}

impl Batch {
    pub(crate) fn new(client: GraphClient) -> Self {
        Self {
            client,
            requests: Vec::new(),
            sequential: false,
        }
    }

    /// Does one request after the other, and none after one that failed. Otherwise Graph does
    /// them in any order.
    #[must_use]
    pub fn sequential(mut self) -> Self {
        self.sequential = true;
        self
    }

    /// Adds a request. Its id tells its outcome apart from the others.
    pub fn add(&mut self, request: BatchRequest) -> BatchId {
        self.requests.push(request);
        BatchId(self.requests.len())
    }

    /// Sends everything, and returns one outcome for each request in the order in which they were
    /// added.
    pub async fn send(self) -> Vec<BatchOutcome> {
        let mut run = Run::new(self);
        let mut pending = run.prepare();
        while !pending.is_empty() {
            let again = run.round(&pending).await;
            if !again.is_empty() {
                run.pause().await;
            }
            pending = again;
        }
        run.finish()
    }
}

/// Names a request of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BatchId(usize);

/// One request of a batch.
#[derive(Clone, Debug)]
pub struct BatchRequest {
    method: Method,
    segments: Vec<String>,
    query: Option<String>,
    headers: BTreeMap<&'static str, String>,
    body: Option<Value>,
    operation: Operation,
}

impl BatchRequest {
    /// Reads. The path is given in segments, which are percent-encoded here: an id with a slash in
    /// it leads to no other path.
    pub fn get<S: Into<String>>(path: impl IntoIterator<Item = S>) -> Self {
        Self::new(Method::GET, path)
    }

    /// Makes something.
    pub fn post<S: Into<String>>(
        path: impl IntoIterator<Item = S>,
        body: &impl Serialize,
    ) -> Result<Self, Error> {
        Self::new(Method::POST, path).with_body(body)
    }

    /// Changes something.
    pub fn patch<S: Into<String>>(
        path: impl IntoIterator<Item = S>,
        body: &impl Serialize,
    ) -> Result<Self, Error> {
        Self::new(Method::PATCH, path).with_body(body)
    }

    /// Deletes something.
    pub fn delete<S: Into<String>>(path: impl IntoIterator<Item = S>) -> Self {
        Self::new(Method::DELETE, path)
    }

    /// Asks by this query.
    #[must_use]
    pub fn with_query(mut self, query: &Query) -> Self {
        self.query = query.to_query();
        if query.is_advanced() {
            self.headers
                .insert("ConsistencyLevel", "eventual".to_owned());
        }
        self
    }

    /// Says what repeating it does, where the method does not.
    #[must_use]
    pub fn with_operation(mut self, operation: Operation) -> Self {
        self.operation = operation;
        self
    }

    fn new<S: Into<String>>(method: Method, path: impl IntoIterator<Item = S>) -> Self {
        Self {
            operation: Operation::of(&method),
            method,
            segments: path.into_iter().map(Into::into).collect(),
            query: None,
            headers: BTreeMap::new(),
            body: None,
        }
    }

    /// The URL as it stands in a batch: after the version.
    fn relative_url(&self, client: &GraphClient) -> Result<String, Error> {
        let segments: Vec<&str> = self.segments.iter().map(String::as_str).collect();
        let mut url = client.url(&segments)?;
        url.set_query(self.query.as_deref());
        let relative = url.as_str().strip_prefix(client.base());
        let relative = relative.ok_or(Error::InvalidRequest("the path of a request is empty"))?;
        Ok(format!("/{relative}"))
    }

    fn with_body(mut self, body: &impl Serialize) -> Result<Self, Error> {
        let body = serde_json::to_value(body)
            .map_err(|_| Error::InvalidRequest("the body cannot be written as JSON"))?;
        self.body = Some(body);
        self.headers
            .insert("Content-Type", "application/json".to_owned());
        Ok(self)
    }
}

/// How one request of a batch ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct BatchOutcome {
    /// Which request.
    pub id: BatchId,
    /// The answer, or why there is none.
    pub result: Result<BatchAnswer, Error>,
}

impl BatchOutcome {
    /// The answer's body as a value of this type.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, Error> {
        match &self.result {
            Ok(answer) => answer.parse(),
            Err(error) => Err(error.clone()),
        }
    }
}

/// A successful answer within a batch.
#[derive(Clone)]
#[non_exhaustive]
pub struct BatchAnswer {
    /// The status.
    pub status: StatusCode,
    /// The body; null where there is none.
    pub body: Value,
    ids: RequestIds,
}

impl BatchAnswer {
    /// The body as a value of this type.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, Error> {
        T::deserialize(&self.body).map_err(|error| {
            // The place is of no use: the body has been taken apart already.
            let answer = Answer {
                status: self.status,
                body: b"{}",
                ids: &self.ids,
            };
            Error::from_json(&error, answer)
        })
    }
}

/// The body may hold a secret, as the answer to `addPassword` does.
impl std::fmt::Debug for BatchAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BatchAnswer")
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

/// A batch under way.
struct Run {
    batch: Batch,
    urls: HashMap<usize, String>,
    outcomes: HashMap<usize, Result<BatchAnswer, Error>>,
    attempts: u32,
    until: Duration,
    /// When the next round may begin. Calls in between may have waited already.
    not_before: Duration,
}

impl Run {
    fn new(batch: Batch) -> Self {
        let deadline = batch.client.pipeline().retry_policy().deadline;
        Self {
            until: batch.client.clock().monotonic().saturating_add(deadline),
            urls: HashMap::new(),
            outcomes: HashMap::new(),
            attempts: 0,
            not_before: Duration::ZERO,
            batch,
        }
    }

    /// Writes the URLs. Returns what can be sent; a sequence ends before what cannot.
    fn prepare(&mut self) -> Vec<usize> {
        let mut pending = Vec::new();
        let mut stopped = false;
        for index in 0..self.batch.requests.len() {
            let url = match self.batch.requests.get(index) {
                Some(_) if stopped => Err(Error::DependencyFailed),
                Some(request) => request.relative_url(&self.batch.client),
                None => continue,
            };
            match url {
                Ok(url) => {
                    self.urls.insert(index, url);
                    pending.push(index);
                }
                Err(error) => {
                    stopped = self.batch.sequential;
                    self.give_up(index, error);
                }
            }
        }
        pending
    }

    /// Sends what is pending, once. Returns what is to be sent again.
    async fn round(&mut self, pending: &[usize]) -> Vec<usize> {
        self.attempts += 1;
        self.not_before = self.now().saturating_add(self.backoff());
        let mut again = Vec::new();
        let mut sent = 0;
        for chunk in pending.chunks(LIMIT) {
            let results = self.exchange(chunk).await;
            sent += chunk.len();
            let stopped = self.settle(chunk, results, &mut again);
            if self.batch.sequential && stopped {
                let rest = pending.iter().skip(sent).copied();
                if again.is_empty() {
                    rest.for_each(|index| self.give_up(index, Error::DependencyFailed));
                } else {
                    again.extend(rest);
                }
                break;
            }
        }
        again
    }

    /// Files the results of one exchange. Returns whether one of them was no success.
    fn settle(
        &mut self,
        chunk: &[usize],
        mut results: HashMap<usize, Result<BatchAnswer, Error>>,
        again: &mut Vec<usize>,
    ) -> bool {
        let mut stopped = false;
        for index in chunk {
            let result = results.remove(index).unwrap_or_else(|| {
                Err(Error::NotAnswered {
                    ids: RequestIds::default(),
                })
            });
            // Whatever comes after a failure in a sequence shares its fate.
            if self.batch.sequential && stopped {
                if again.is_empty() {
                    self.give_up(*index, Error::DependencyFailed);
                } else {
                    again.push(*index);
                }
                continue;
            }
            match result {
                Err(error) if self.may_repeat(*index, &error) => again.push(*index),
                result => {
                    stopped |= result.is_err();
                    self.outcomes.insert(*index, result);
                    continue;
                }
            }
            stopped = true;
        }
        stopped
    }

    fn give_up(&mut self, index: usize, error: Error) {
        self.outcomes.insert(index, Err(error));
    }

    /// Whether this request is worth another round; notes how long to wait for it.
    fn may_repeat(&mut self, index: usize, error: &Error) -> bool {
        let Some(request) = self.batch.requests.get(index) else {
            return false;
        };
        let asked_for = error.retry_after();
        let repeats = match error {
            Error::NotAnswered { .. } => {
                matches!(request.operation, Operation::Read | Operation::Idempotent)
            }
            Error::Graph(found) => request
                .operation
                .repeats_after_status(found.status, asked_for.is_some()),
            // The exchange as a whole failed, and was repeated by the pipeline already.
            _ => false,
        };
        let asked_until = self.now().saturating_add(asked_for.unwrap_or_default());
        let not_before = self.not_before.max(asked_until);
        let in_time = not_before < self.until;
        let max_attempts = self.batch.client.pipeline().retry_policy().max_attempts;
        if !repeats || !in_time || self.attempts >= max_attempts {
            return false;
        }
        self.not_before = not_before;
        true
    }

    /// One `$batch` call.
    async fn exchange(&self, chunk: &[usize]) -> HashMap<usize, Result<BatchAnswer, Error>> {
        match self.call(chunk).await {
            Ok(responses) => {
                let mut results = HashMap::new();
                for response in responses {
                    let index = response
                        .id
                        .parse::<usize>()
                        .ok()
                        .and_then(|id| id.checked_sub(1));
                    if let Some(index) = index.filter(|index| chunk.contains(index)) {
                        results.entry(index).or_insert_with(|| self.read(response));
                    }
                }
                results
            }
            Err(error) => chunk
                .iter()
                .map(|index| (*index, Err(error.clone())))
                .collect(),
        }
    }

    async fn call(&self, chunk: &[usize]) -> Result<Vec<WireResponse>, Error> {
        let mut requests = Vec::with_capacity(chunk.len());
        let mut before: Option<String> = None;
        let mut repeatable = true;
        for index in chunk {
            let found = self.batch.requests.get(*index).zip(self.urls.get(index));
            let Some((request, url)) = found else {
                continue;
            };
            repeatable &= matches!(request.operation, Operation::Read | Operation::Idempotent);
            let id = (index + 1).to_string();
            let depends_on = before.replace(id.clone()).filter(|_| self.batch.sequential);
            requests.push(WireRequest {
                id,
                method: request.method.as_str(),
                url,
                headers: &request.headers,
                body: request.body.as_ref(),
                depends_on: depends_on.map(|id| [id]),
            });
        }
        let url = self.batch.client.url(&["$batch"])?;
        let mut call = Request::new(Method::POST, BATCH, url).with_json(&WireBatch { requests })?;
        if repeatable {
            call = call.idempotent();
        }
        let answer: WireAnswers = self.batch.client.send(call).await?.json()?;
        Ok(answer.responses)
    }

    /// One answer within the batch. A 429 makes everybody wait who shares the limit.
    fn read(&self, response: WireResponse) -> Result<BatchAnswer, Error> {
        let headers = response.header_map();
        let status = StatusCode::from_u16(response.status).unwrap_or(StatusCode::BAD_GATEWAY);
        let ids = RequestIds::from_headers(&headers);
        if status.is_success() {
            return Ok(BatchAnswer {
                status,
                body: response.body,
                ids,
            });
        }
        let client = &self.batch.client;
        let wait = retry_after(&headers, client.clock().now());
        if let (StatusCode::TOO_MANY_REQUESTS, Some(wait)) = (status, wait) {
            client.pipeline().throttle(client.throttle_scope(), wait);
        }
        Err(graph_error::decode_value(
            &response.body,
            Refusal {
                status,
                body: &[],
                ids: &ids,
                retry_after: wait,
                permission: None,
            },
        ))
    }

    async fn pause(&self) {
        let wait = self.not_before.saturating_sub(self.now());
        self.batch.client.clock().sleep(wait).await;
    }

    fn now(&self) -> Duration {
        self.batch.client.clock().monotonic()
    }

    fn backoff(&self) -> Duration {
        let policy = self.batch.client.pipeline().retry_policy();
        let doubled = 2_u32.saturating_pow(self.attempts.saturating_sub(1));
        policy
            .backoff
            .saturating_mul(doubled)
            .min(policy.max_backoff)
    }

    fn finish(mut self) -> Vec<BatchOutcome> {
        (0..self.batch.requests.len())
            .map(|index| BatchOutcome {
                id: BatchId(index + 1),
                result: self.outcomes.remove(&index).unwrap_or_else(|| {
                    Err(Error::NotAnswered {
                        ids: RequestIds::default(),
                    })
                }),
            })
            .collect()
    }
}

#[derive(Serialize)]
struct WireBatch<'a> {
    requests: Vec<WireRequest<'a>>,
}

#[skip_serializing_none]
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WireRequest<'a> {
    id: String,
    method: &'a str,
    url: &'a str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    headers: &'a BTreeMap<&'static str, String>,
    body: Option<&'a Value>,
    depends_on: Option<[String; 1]>,
}

#[derive(Deserialize)]
struct WireAnswers {
    responses: Vec<WireResponse>,
}

#[derive(Deserialize)]
struct WireResponse {
    id: String,
    status: u16,
    #[serde(default)]
    headers: Option<HashMap<String, Value>>,
    #[serde(default)]
    body: Value,
}

impl WireResponse {
    fn header_map(&self) -> HeaderMap {
        let headers = self.headers.iter().flatten();
        headers
            .filter_map(|(name, value)| {
                let text = match value {
                    Value::String(text) => text.clone(),
                    other => other.to_string(),
                };
                let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
                Some((name, HeaderValue::from_str(&text).ok()?))
            })
            .collect()
    }
}

const BATCH: Route = Route::without_permission("POST /$batch");

/// Graph refuses batches with more.
const LIMIT: usize = 20;
