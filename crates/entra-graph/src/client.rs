//! The client: one Graph host, one API version, one credential.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use entra_core::{
    Call, ClientId, Cloud, Operation, Pipeline, RequestIds, TenantId, ThrottleScope,
    TokenCredential, TokenRequest,
};
use http::{HeaderName, HeaderValue, Method, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use url::Url;
use uuid::Uuid;

use crate::error::Answer;
use crate::graph_error;
use crate::replication::Replication;
use crate::write_lock::WriteLocks;
use crate::{Error, PageCursor, Pages, Query, RecentlyCreated};

/// Calls Microsoft Graph v1.0 of one cloud with one credential.
///
/// A clone is cheap; clones share the throttle gate and the locks that keep writes to one app in
/// order.
///
/// ```no_run
/// # async fn f(
/// #     credential: std::sync::Arc<dyn entra_core::TokenCredential>,
/// #     pipeline: entra_core::Pipeline,
/// # ) -> Result<(), entra_graph::Error> {
/// use entra_core::Cloud;
/// use entra_graph::{GraphClient, Query};
///
/// let graph = GraphClient::new(&Cloud::public(), credential, pipeline);
/// let mut users = graph.users().list(Query::new().top(999));
/// while let Some(user) = users.try_next().await? {
///     println!("{:?} {:?}", user.user_principal_name, user.account_enabled);
/// }
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct GraphClient(Arc<Inner>);

impl GraphClient {
    /// A client for Graph of `cloud`. The credential is asked for a token of the cloud's
    /// `.default` scope before each request, so that long listings outlive a token.
    pub fn new(cloud: &Cloud, credential: Arc<dyn TokenCredential>, pipeline: Pipeline) -> Self {
        let base = cloud
            .graph_url()
            .join(VERSION)
            .unwrap_or_else(|_| cloud.graph_url().clone());
        // Until the identity is known, nobody else shares this client's limit.
        let unknown = Uuid::new_v4().to_string();
        Self(Arc::new(Inner {
            token_request: TokenRequest::new([cloud.graph_scope()]),
            scope: Arc::new(throttle_scope(&base, "", &unknown)),
            client: unknown,
            cloud: cloud.clone(),
            base,
            credential,
            pipeline,
            body_limit: DEFAULT_BODY_LIMIT,
            replication: Replication::default(),
            locks: Arc::default(),
        }))
    }

    /// Says whose requests these are. Graph throttles per tenant and app, so clients with the same
    /// identity over the same pipeline wait together.
    #[must_use]
    pub fn with_identity(self, tenant: TenantId, client: ClientId) -> Self {
        self.map(|inner| {
            inner.client = client.to_string();
            let scope = throttle_scope(&inner.base, &tenant.to_string(), &inner.client);
            inner.scope = Arc::new(scope);
        })
    }

    /// Calls in another tenant: tokens are asked for there, and its throttling is its own. The
    /// credential decides whether it may ([`AllowedTenants`](entra_core::AllowedTenants)).
    #[must_use]
    pub fn in_tenant(self, tenant: TenantId) -> Self {
        self.map(|inner| {
            inner.token_request = inner.token_request.clone().in_tenant(tenant);
            let scope = throttle_scope(&inner.base, &tenant.to_string(), &inner.client);
            inner.scope = Arc::new(scope);
        })
    }

    /// Accepts answers of up to `limit` bytes; 16 MiB by default. A page of 999 users with the
    /// default properties has some 600 kB.
    #[must_use]
    pub fn with_body_limit(self, limit: usize) -> Self {
        self.map(|inner| inner.body_limit = limit)
    }

    /// Waits for new objects by this rule.
    #[must_use]
    pub fn with_replication(self, replication: Replication) -> Self {
        self.map(|inner| inner.replication = replication)
    }

    /// Asks for tokens in this way, for example past the caches.
    #[must_use]
    pub fn with_token_request(self, request: TokenRequest) -> Self {
        self.map(|inner| inner.token_request = request)
    }

    /// Waits for what was made just now. See [`RecentlyCreated`].
    pub fn recently_created(
        &self,
        what: impl Into<std::borrow::Cow<'static, str>>,
    ) -> RecentlyCreated {
        RecentlyCreated::new(self.0.replication, self.clock().clone(), what.into())
    }

    /// Goes on with a listing where [`Pages::cursor`] or [`Pages::delta_cursor`] stands.
    pub fn resume<T: DeserializeOwned>(&self, cursor: &PageCursor) -> Result<Pages<T>, Error> {
        let url = self.own_link(&cursor.link)?;
        Ok(Pages::new(self.clone(), RESUME, url, cursor.eventual))
    }

    /// The cloud.
    pub fn cloud(&self) -> &Cloud {
        &self.0.cloud
    }

    /// The credential with which the client calls.
    pub fn credential(&self) -> &Arc<dyn TokenCredential> {
        &self.0.credential
    }

    /// What the client asks the credential for.
    pub fn token_request(&self) -> &TokenRequest {
        &self.0.token_request
    }

    /// The pipeline through which it calls.
    pub fn pipeline(&self) -> &Pipeline {
        &self.0.pipeline
    }

    fn map(mut self, change: impl FnOnce(&mut Inner)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }
}

/// What the nouns call.
impl GraphClient {
    /// Starts a URL below the version's segment; each segment is percent-encoded.
    pub(crate) fn url(&self, segments: &[&str]) -> Result<Url, Error> {
        let mut url = self.0.base.clone();
        // The URL standard drops such segments and characters, and the call would go to another
        // object.
        let is_dropped = |segment: &&str| {
            matches!(*segment, "" | "." | "..") || segment.contains(char::is_control)
        };
        if segments.iter().any(is_dropped) {
            return Err(Error::InvalidRequest(
                "an id in the path is empty, consists of dots or has control characters",
            ));
        }
        url.path_segments_mut()
            .map_err(|()| Error::InvalidRequest("Graph's URL has no path"))?
            .pop_if_empty()
            .extend(segments);
        Ok(url)
    }

    /// A listing. It starts when it is polled.
    pub(crate) fn list<T: DeserializeOwned>(
        &self,
        route: Route,
        segments: &[&str],
        query: &Query,
    ) -> Pages<T> {
        match self.url(segments) {
            Ok(mut url) => {
                url.set_query(query.to_query().as_deref());
                Pages::new(self.clone(), route, url, query.is_advanced())
            }
            Err(error) => Pages::failed(self.clone(), route, error),
        }
    }

    pub(crate) async fn get<T: DeserializeOwned>(
        &self,
        route: Route,
        segments: &[&str],
        query: &Query,
    ) -> Result<T, Error> {
        let mut url = self.url(segments)?;
        url.set_query(query.to_query().as_deref());
        let mut request = Request::new(Method::GET, route, url);
        if query.is_advanced() {
            request = request.with_header(CONSISTENCY_LEVEL, EVENTUAL);
        }
        self.send(request).await?.json()
    }

    /// Like `get`, with nothing for an object that does not exist.
    pub(crate) async fn find<T: DeserializeOwned>(
        &self,
        route: Route,
        segments: &[&str],
        query: &Query,
    ) -> Result<Option<T>, Error> {
        match self.get(route, segments, query).await {
            Ok(found) => Ok(Some(found)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(crate) async fn send(&self, request: Request) -> Result<Response, Error> {
        let inner = &*self.0;
        let mut builder = http::Request::builder()
            .method(request.method)
            .uri(request.url.as_str())
            .header(http::header::ACCEPT, JSON);
        for (name, value) in request.headers {
            builder = builder.header(name, value);
        }
        if !request.body.is_empty() {
            builder = builder.header(http::header::CONTENT_TYPE, JSON);
        }
        let message = builder
            .body(request.body)
            .map_err(|_| Error::InvalidRequest("the request is not valid HTTP"))?;
        let route = request.route;
        let call = Call::new(route.name, message)
            .with_operation(request.operation)
            .with_credential(Arc::clone(&inner.credential), inner.token_request.clone())
            .with_throttle_scope(Arc::clone(&inner.scope))
            .with_body_limit(inner.body_limit);
        match inner.pipeline.send(call).await {
            Ok(response) => Ok(Response::new(response)),
            Err(entra_core::Error::Response(response)) => {
                Err(graph_error::decode_response(&response, route.permission))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// A link of an answer, if it stays with this host and version. The token goes along with the
    /// request, so any other link is refused.
    pub(crate) fn own_link(&self, link: &str) -> Result<Url, Error> {
        let base = &self.0.base;
        let foreign = |found: String| Error::ForeignLink {
            expected: base.to_string(),
            found,
        };
        let url = Url::parse(link).map_err(|_| foreign("no URL".to_owned()))?;
        let is_own = url.origin() == base.origin()
            && url.username().is_empty()
            && url.password().is_none()
            && url.path().starts_with(base.path());
        if is_own {
            return Ok(url);
        }
        let version = url
            .path_segments()
            .and_then(|mut parts| parts.next())
            .unwrap_or_default();
        Err(foreign(format!(
            "{}/{version}",
            url.origin().ascii_serialization()
        )))
    }

    /// Where all URLs begin: host and version, with a slash at the end.
    pub(crate) fn base(&self) -> &str {
        self.0.base.as_str()
    }

    pub(crate) fn clock(&self) -> &Arc<dyn entra_core::Clock> {
        self.0.pipeline.clock()
    }

    pub(crate) fn throttle_scope(&self) -> &ThrottleScope {
        &self.0.scope
    }

    pub(crate) fn locks(&self) -> &WriteLocks {
        &self.0.locks
    }
}

impl fmt::Debug for GraphClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GraphClient")
            .field("base", &self.0.base.as_str())
            .finish_non_exhaustive()
    }
}

/// What a call is named in logs, and the permission with which it is allowed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Route {
    pub(crate) name: &'static str,
    pub(crate) permission: Option<&'static str>,
}

impl Route {
    pub(crate) const fn new(name: &'static str, permission: &'static str) -> Self {
        Self {
            name,
            permission: Some(permission),
        }
    }

    /// A call whose permission depends on what it carries.
    pub(crate) const fn without_permission(name: &'static str) -> Self {
        Self {
            name,
            permission: None,
        }
    }
}

/// A request to Graph.
#[derive(Debug)]
pub(crate) struct Request {
    method: Method,
    route: Route,
    url: Url,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Bytes,
    operation: Operation,
}

impl Request {
    pub(crate) fn new(method: Method, route: Route, url: Url) -> Self {
        Self {
            operation: Operation::of(&method),
            method,
            route,
            url,
            headers: Vec::new(),
            body: Bytes::new(),
        }
    }

    pub(crate) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    pub(crate) fn with_json(mut self, body: &impl Serialize) -> Result<Self, Error> {
        self.body = serde_json::to_vec(body)
            .map_err(|_| Error::InvalidRequest("the body cannot be written as JSON"))?
            .into();
        Ok(self)
    }

    /// Repeating it does no harm: Graph refuses the repetition by name, or it sets what it set.
    pub(crate) fn idempotent(mut self) -> Self {
        self.operation = Operation::Idempotent;
        self
    }
}

/// A successful answer.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
    pub(crate) ids: RequestIds,
}

impl Response {
    fn new(response: http::Response<Bytes>) -> Self {
        Self {
            status: response.status(),
            ids: RequestIds::from_headers(response.headers()),
            body: response.into_body(),
        }
    }

    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(&self.body).map_err(|error| {
            let answer = Answer {
                status: self.status,
                body: &self.body,
                ids: &self.ids,
            };
            Error::from_json(&error, answer)
        })
    }
}

#[derive(Clone)]
struct Inner {
    cloud: Cloud,
    base: Url,
    credential: Arc<dyn TokenCredential>,
    token_request: TokenRequest,
    pipeline: Pipeline,
    scope: Arc<ThrottleScope>,
    /// Whose limit it is within a tenant.
    client: String,
    body_limit: usize,
    replication: Replication,
    locks: Arc<WriteLocks>,
}

fn throttle_scope(base: &Url, tenant: &str, client: &str) -> ThrottleScope {
    ThrottleScope::new(base.host_str().unwrap_or_default(), tenant, client)
}

pub(crate) const CONSISTENCY_LEVEL: HeaderName = HeaderName::from_static("consistencylevel");
pub(crate) const EVENTUAL: HeaderValue = HeaderValue::from_static("eventual");
pub(crate) const PREFER: HeaderName = HeaderName::from_static("prefer");

const JSON: &str = "application/json";
const VERSION: &str = "v1.0/";
const RESUME: Route = Route::without_permission("GET (next page)");
const DEFAULT_BODY_LIMIT: usize = 16 * 1024 * 1024;
