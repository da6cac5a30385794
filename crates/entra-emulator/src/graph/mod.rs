//! Microsoft Graph: routing, OData, one file per noun, permissions enforced from the table.
//!
//! A call goes through the same steps whichever noun it is about: read the path, find the route,
//! check the permission, read the query options, let the noun's handler answer. Items of a batch
//! take the same way.
//!
//! The answers follow Microsoft's documentation in kind, and in wording as far as a public source
//! repeats it. The rest is this tenant's guess; the README lists what matters of it.

mod app_management_policy;
mod app_policy;
mod application;
mod authentication_context;
mod batch;
mod body;
mod certificate;
mod certificate_roll;
mod conditional_access;
mod consent;
mod credential;
mod device;
mod directory;
mod domain;
mod error;
mod expand;
mod federated_credential;
mod filter;
mod filter_parser;
mod grant;
mod group;
mod identifier_uri;
mod list;
mod lookup;
mod noun;
mod organization;
mod path;
mod permission;
mod policy;
mod query;
mod redirect_uri;
mod reference;
mod route;
mod service_principal;
#[cfg(test)]
mod testing;
mod user;
mod user_info;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use serde_json::{Value, json};
use time::OffsetDateTime;
use url::Url;
use uuid::Uuid;

use self::error::{GraphError, RequestIds};
use self::path::{Key, Path};
use self::permission::Access;
use self::query::Query;
use crate::caller::Caller;
use crate::tenant::{Glance, Kind, Object, Tenant};

/// What one Graph call brings beside its HTTP request.
#[derive(Clone, Debug)]
pub(crate) struct GraphCall<'a> {
    /// Who calls.
    pub(crate) caller: &'a Caller,
    /// The tenant's time.
    pub(crate) now: OffsetDateTime,
    /// Where this tenant is reached, without a path: links in answers start with it.
    pub(crate) origin: &'a Url,
    /// Answer as a replica that has not seen the last writes (an injected fault).
    pub(crate) stale_replica: bool,
}

/// Whether a path is Microsoft Graph's.
pub(crate) fn is_path(path: &str) -> bool {
    ["/v1.0", "/beta"].iter().any(|version| {
        path.strip_prefix(version)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }) || user_info::is_path(path)
}

/// Answers one call below `/v1.0` or `/beta`, `$batch` included. The second value is the
/// permission that allowed it, for the journal.
pub(crate) fn handle(
    tenant: &mut Tenant,
    call: &GraphCall<'_>,
    request: &Request<Bytes>,
) -> (Response<Bytes>, Option<String>) {
    tenant.purge_expired(call.now);
    let ids = request_ids(request.headers(), call.now);
    if user_info::is_path(request.uri().path()) {
        let answer = user_info::answer(tenant, call, request);
        let permission = answer.is_ok().then(|| "openid".to_owned());
        let answer = answer.unwrap_or_else(|error| respond(Err(error), &ids, call.now));
        return (answer, permission);
    }
    let (result, allowed_by) = if batch::is_batch(request.uri().path()) {
        match batch::answer(tenant, call, request) {
            Ok((answer, allowed_by)) => (Ok(answer), allowed_by),
            Err(error) => (Err(error), None),
        }
    } else {
        match dispatch(tenant, call, request) {
            Ok((answer, access)) => (Ok(answer), Some(access.by)),
            Err(error) => (Err(error), None),
        }
    };
    (respond(result, &ids, call.now), allowed_by)
}

/// One call on its way through the steps.
#[derive(Debug)]
pub(crate) struct Exchange<'a> {
    pub(crate) tenant: &'a mut Tenant,
    pub(crate) call: &'a GraphCall<'a>,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) keys: Vec<Key>,
    pub(crate) query: Query,
    pub(crate) access: Access,
    /// Which replica answers.
    pub(crate) glance: Glance,
    /// The type at the end of the path.
    pub(crate) cast: Option<String>,
    /// Whether the path ends in `/$count`.
    pub(crate) counts_only: bool,
    body: &'a Bytes,
    version: String,
    path: String,
}

impl Exchange<'_> {
    /// The tenant's time.
    pub(crate) fn now(&self) -> OffsetDateTime {
        self.call.now
    }

    /// The body, which has to be a JSON object.
    pub(crate) fn json(&self) -> Result<Object, GraphError> {
        serde_json::from_slice(self.body).map_err(|_| {
            GraphError::malformed(
                "Unable to read JSON request payload. Please ensure Content-Type header is set \
                 and payload is of valid JSON format.",
            )
        })
    }

    /// The body of an action whose parameters may all be left out.
    pub(crate) fn json_if_any(&self) -> Result<Object, GraphError> {
        if self.body.is_empty() {
            return Ok(Object::new());
        }
        self.json()
    }

    /// The key at a place in the path.
    pub(crate) fn key(&self, place: usize) -> Result<&Key, GraphError> {
        self.keys
            .get(place)
            .ok_or_else(|| GraphError::malformed("A key is missing in the path."))
    }

    /// The object that the first key names, as this replica sees it.
    pub(crate) fn subject(&self, kind: Kind) -> Result<&Object, GraphError> {
        self.named(kind, 0)
    }

    /// The object that a key names, as this replica sees it.
    pub(crate) fn named(&self, kind: Kind, place: usize) -> Result<&Object, GraphError> {
        let key = self.key(place)?;
        let found = lookup::find(self.tenant, kind, key)?;
        found
            .and_then(|id| self.tenant.seen(kind, id, &self.glance))
            .ok_or_else(|| GraphError::not_found(key.text()))
    }

    /// The id of the object that the first key names.
    pub(crate) fn subject_id(&self, kind: Kind) -> Result<String, GraphError> {
        let subject = self.subject(kind)?;
        Ok(crate::tenant::text_of(subject, "id").to_owned())
    }

    /// The true copy of the object that the first key names: what a write starts from. A replica
    /// that does not know the object yet refuses the write.
    pub(crate) fn subject_to_write(&self, kind: Kind) -> Result<Object, GraphError> {
        let id = self.subject_id(kind)?;
        self.tenant
            .current(kind, &id)
            .cloned()
            .ok_or_else(|| GraphError::not_found(&id))
    }

    /// One object of its own, with its context.
    pub(crate) fn single(&self, kind: Kind, object: &Object) -> Result<Object, GraphError> {
        self.query.check_single()?;
        let noun = noun::Noun::of(kind);
        noun.check_select(self.query.select.as_deref().unwrap_or_default())?;
        let mut shown = noun.project(object, self.query.select.as_deref(), true);
        expand::add(self, kind, object, &mut shown)?;
        let context = self.context(noun.set, &self.query, true);
        shown.insert("@odata.context".to_owned(), json!(context));
        Ok(shown)
    }

    /// `@odata.context` (OData 4.01 part 1, section 10).
    pub(crate) fn context(&self, set: &str, query: &Query, single: bool) -> String {
        let selected = query
            .select
            .as_ref()
            .map(|names| format!("({})", names.join(",")))
            .unwrap_or_default();
        let entity = if single { "/$entity" } else { "" };
        let origin = self.origin();
        let version = &self.version;
        format!("{origin}/{version}/$metadata#{set}{selected}{entity}")
    }

    /// `@odata.context` of a complex value.
    pub(crate) fn context_of_type(&self, name: &str) -> String {
        let (origin, version) = (self.origin(), &self.version);
        format!("{origin}/{version}/$metadata#microsoft.graph.{name}")
    }

    /// This path with another query.
    pub(crate) fn link(&self, query: &str) -> String {
        format!("{}{}?{query}", self.origin(), self.path)
    }

    /// Whether the caller may list objects of a kind: otherwise it sees their ids at most.
    pub(crate) fn may_read(&self, kind: Kind) -> bool {
        let template = ["/", noun::Noun::of(kind).set].concat();
        permission::allows(self.call.caller, "GET", &template)
    }

    /// Whether the caller holds one of these permissions.
    pub(crate) fn holds(&self, permissions: &[&str]) -> bool {
        permission::holds_any(self.call.caller, permissions)
    }

    fn origin(&self) -> &str {
        self.call.origin.as_str().trim_end_matches('/')
    }
}

/// What a handler answers.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Answer {
    /// 200 with a body.
    Object(Object),
    /// 201 with a body.
    Created(Object),
    /// 204.
    Empty,
    /// 200 with plain text: `/$count`.
    Text(String),
}

impl Answer {
    /// An answer of this JSON object.
    pub(crate) fn json(value: Value) -> Self {
        match value {
            Value::Object(object) => Self::Object(object),
            _ => Self::Empty,
        }
    }
}

fn dispatch(
    tenant: &mut Tenant,
    call: &GraphCall<'_>,
    request: &Request<Bytes>,
) -> Result<(Answer, Access), GraphError> {
    let raw = request.uri().path();
    let path = of_caller(Path::parse(raw)?, call.caller)?;
    let (route, keys) = route::find(request.method().as_str(), &path)?;
    let access = permission::authorize(tenant, call.caller, route, &keys)?;
    let query = Query::parse(request.uri().query().unwrap_or_default())?;
    let glance = tenant.glance(call.now, call.stale_replica);
    let mut exchange = Exchange {
        tenant,
        call,
        headers: request.headers(),
        keys,
        query,
        access,
        glance,
        cast: path.cast,
        counts_only: path.count,
        body: request.body(),
        version: path.version,
        path: raw.to_owned(),
    };
    let answer = (route.handler)(&mut exchange)?;
    Ok((answer, exchange.access))
}

/// `/me` is the user of a delegated token (Learn, "Use the Microsoft Graph API").
fn of_caller(path: Path, caller: &Caller) -> Result<Path, GraphError> {
    let user_id = caller.user_id.as_deref();
    match (path.of_user(user_id.unwrap_or_default()), user_id) {
        (Some(path), Some(_)) => Ok(path),
        (Some(_), None) => Err(GraphError::malformed(
            "/me request is only valid with delegated authentication flow.",
        )),
        (None, _) => Ok(path),
    }
}

fn request_ids(headers: &HeaderMap, now: OffsetDateTime) -> RequestIds {
    let request_id = Uuid::new_v4().to_string();
    let client_request_id = headers
        .get("client-request-id")
        .and_then(|value| value.to_str().ok())
        .unwrap_or(&request_id)
        .to_owned();
    RequestIds {
        date: crate::tenant::timestamp(now)
            .trim_end_matches('Z')
            .to_owned(),
        request_id,
        client_request_id,
    }
}

fn respond(
    result: Result<Answer, GraphError>,
    ids: &RequestIds,
    now: OffsetDateTime,
) -> Response<Bytes> {
    let (status, content_type, body) = match result {
        Ok(Answer::Object(object)) => (StatusCode::OK, JSON, encode(&object)),
        Ok(Answer::Created(object)) => (StatusCode::CREATED, JSON, encode(&object)),
        Ok(Answer::Empty) => (StatusCode::NO_CONTENT, "", Bytes::new()),
        Ok(Answer::Text(text)) => (StatusCode::OK, "text/plain", Bytes::from(text)),
        Err(error) => (error.status, "application/json", encode(&error.body(ids))),
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    let date = httpdate::fmt_http_date(now.into());
    for (name, value) in [
        (header::CONTENT_TYPE.as_str(), content_type),
        (header::CACHE_CONTROL.as_str(), "no-cache"),
        (header::DATE.as_str(), &date),
        ("odata-version", "4.0"),
        ("request-id", &ids.request_id),
        ("client-request-id", &ids.client_request_id),
    ] {
        if let (false, Ok(value)) = (value.is_empty(), HeaderValue::from_str(value))
            && let Ok(name) = header::HeaderName::from_bytes(name.as_bytes())
        {
            headers.insert(name, value);
        }
    }
    response
}

fn encode(value: &impl serde::Serialize) -> Bytes {
    Bytes::from(serde_json::to_vec(value).unwrap_or_default())
}

const JSON: &str = "application/json;odata.metadata=minimal;odata.streaming=true;\
                    IEEE754Compatible=false;charset=utf-8";
