//! The sign-in service by path: discovery, keys, the token endpoint; pages are elsewhere.
//!
//! OpenID Connect Discovery 1.0 section 4; Microsoft Learn, "OpenID Connect (OIDC) on the Microsoft
//! identity platform" (the configuration document and its Microsoft fields). Instance discovery is
//! what the authentication libraries ask before anything else.

use bytes::Bytes;
use http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_TYPE, ORIGIN};
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use serde_json::{Value, json};
use time::OffsetDateTime;
use url::Url;

use crate::access_token::issuer_v2;
use crate::client::Client;
use crate::external_id::is_external;
use crate::fault::Outage;
use crate::form::Form;
use crate::key_ring::KeyEndpoint;
use crate::optional_claim::REGION;
use crate::origin::is_same_origin;
use crate::refusal::{Refusal, RequestIds};
use crate::sessions::Sessions;
use crate::tenant::Tenant;
use crate::token::{Issued, TokenCall};

/// What one request to the sign-in service needs beside itself.
#[derive(Debug)]
pub(crate) struct SignIn<'a> {
    pub(crate) tenant: &'a mut Tenant,
    pub(crate) sessions: &'a Sessions,
    /// What links in answers begin with.
    pub(crate) origin: &'a Url,
    /// Where Microsoft Graph is.
    pub(crate) home: &'a Url,
    pub(crate) now: OffsetDateTime,
}

impl SignIn<'_> {
    /// Answers a request. The second value is the client id that proved itself.
    pub(crate) fn handle(&mut self, request: &Request<Bytes>) -> (Response<Bytes>, Option<String>) {
        let ids = RequestIds::of(request);
        let (answer, caller) = match self.route(request, ids) {
            Ok(Issued { body, app_id }) => (Ok(body), app_id),
            Err(refusal) => (Err(refusal), None),
        };
        let answer = answer.unwrap_or_else(|refusal| refusal.answer(self.origin, &ids, self.now));
        (stamp(answer, request, &ids), caller)
    }

    fn route(&mut self, request: &Request<Bytes>, ids: RequestIds) -> Result<Issued, Refusal> {
        // Some clients put two slashes between the host and the path.
        let segments: Vec<&str> = request
            .uri()
            .path()
            .split('/')
            .filter(|part| !part.is_empty())
            .collect();
        let get = request.method() == Method::GET;
        let post = request.method() == Method::POST;
        match segments.as_slice() {
            ["common", "discovery", "instance"] if get => self.instance(request),
            [tenant, "v2.0", ".well-known", "openid-configuration"] if get => {
                self.configuration(tenant, app_id(request).as_deref())
            }
            [tenant, "discovery", "v2.0", "keys"] if get => {
                self.keys(tenant, true, app_id(request).as_deref())
            }
            [tenant, "discovery", "keys"] if get => {
                self.keys(tenant, false, app_id(request).as_deref())
            }
            [tenant, "oauth2", "v2.0", "token"] if post => {
                return self.token_call(tenant).answer(request);
            }
            [tenant, "oauth2", "v2.0", "devicecode"] if post => {
                let form = Form::read(request);
                return self.token_call(tenant).begin_device_flow(&form);
            }
            segments => Ok(self
                .browse(segments, request, ids)
                .unwrap_or_else(|| unknown_path(request))),
        }
        .map(Issued::to_nobody)
    }

    fn token_call<'s>(&'s self, segment: &'s str) -> TokenCall<'s> {
        TokenCall {
            tenant: self.tenant,
            sessions: self.sessions,
            origin: self.origin,
            now: self.now,
            segment,
        }
    }

    /// Where an authority is described, and which hosts are one cloud.
    fn instance(&self, request: &Request<Bytes>) -> Result<Response<Bytes>, Refusal> {
        let query = request.uri().query().unwrap_or_default();
        let endpoint = url::form_urlencoded::parse(query.as_bytes())
            .find(|(name, _)| name == "authorization_endpoint")
            .map(|(_, value)| value.into_owned())
            .ok_or_else(|| Refusal::missing_parameter("authorization_endpoint"))?;
        let endpoint = Url::parse(&endpoint).map_err(|_| Refusal::unknown_instance())?;
        if !is_same_origin(&endpoint, self.origin) {
            return Err(Refusal::unknown_instance());
        }
        let segment = endpoint.path_segments().and_then(|mut parts| parts.next());
        let segment = segment.filter(|part| !part.is_empty()).unwrap_or("common");
        let host = authority_host(self.origin);
        Ok(json_response(&json!({
            "tenant_discovery_endpoint": format!(
                "{}{segment}/v2.0/.well-known/openid-configuration", self.origin
            ),
            "api-version": "1.1",
            "metadata": [
                {"preferred_network": host, "preferred_cache": host, "aliases": [host]},
            ],
        })))
    }

    fn configuration(
        &self,
        segment: &str,
        app_id: Option<&str>,
    ) -> Result<Response<Bytes>, Refusal> {
        let (tenant, issuer_tenant) = self.tenant_of(segment)?;
        self.check_app(app_id)?;
        let origin = self.origin;
        let home = self.home;
        let host = authority_host(home);
        let own_keys = app_id.map(|app_id| ["?appid=", app_id].concat());
        let own_keys = own_keys.unwrap_or_default();
        let mut document = json!({
            "token_endpoint": format!("{origin}{tenant}/oauth2/v2.0/token"),
            "token_endpoint_auth_methods_supported":
                ["client_secret_post", "private_key_jwt", "client_secret_basic"],
            "jwks_uri": format!("{origin}{tenant}/discovery/v2.0/keys{own_keys}"),
            "response_modes_supported": ["query", "fragment", "form_post"],
            "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "response_types_supported": ["code", "id_token", "code id_token", "id_token token"],
            "scopes_supported": ["openid", "profile", "email", "offline_access"],
            "issuer": issuer_v2(origin, issuer_tenant),
            "request_uri_parameter_supported": false,
            "userinfo_endpoint": format!("{home}oidc/userinfo"),
            "authorization_endpoint": format!("{origin}{tenant}/oauth2/v2.0/authorize"),
            "device_authorization_endpoint": format!("{origin}{tenant}/oauth2/v2.0/devicecode"),
            "http_logout_supported": true,
            "frontchannel_logout_supported": true,
            "end_session_endpoint": format!("{origin}{tenant}/oauth2/v2.0/logout"),
            "claims_supported": CLAIMS,
            "kerberos_endpoint": format!("{origin}{tenant}/kerberos"),
            "tenant_region_scope": null,
            "cloud_instance_name": host,
            "cloud_graph_host_name": host,
            "msgraph_host": host,
            "rbac_url": home,
        });
        // The endpoints of several tenants are in no region.
        if tenant == self.tenant.id() {
            set(&mut document, "tenant_region_scope", json!(REGION));
        }
        Ok(json_response(&document))
    }

    fn keys(
        &self,
        segment: &str,
        is_version_2: bool,
        app_id: Option<&str>,
    ) -> Result<Response<Bytes>, Refusal> {
        let (endpoint, tenant) = self.tenant_of(segment)?;
        self.check_app(app_id)?;
        let set = self.tenant.keys.set(
            &KeyEndpoint {
                origin: self.origin,
                tenant,
                cloud_instance: &authority_host(self.home),
                is_shared: endpoint != tenant,
                is_version_2,
                app_id,
            },
            self.now,
        );
        Ok(json_response(&set))
    }

    fn check_app(&self, app_id: Option<&str>) -> Result<(), Refusal> {
        match app_id {
            Some(app_id) => Client::find(self.tenant, app_id, self.now).map(|_| ()),
            None => Ok(()),
        }
    }

    /// The segment that the endpoints of an authority carry, and the one in its issuer.
    fn tenant_of<'a>(&'a self, segment: &'a str) -> Result<(&'a str, &'a str), Refusal> {
        match segment {
            "common" | "organizations" if !is_external(self.origin) => Ok((segment, "{tenantid}")),
            _ if self.tenant.is_named(segment) => Ok((self.tenant.id(), self.tenant.id())),
            _ => Err(Refusal::tenant_not_found(segment)),
        }
    }
}

fn authority_host(origin: &Url) -> String {
    let host = origin.host_str().unwrap_or_default();
    match origin.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

/// The answer of a service that is overloaded (429) or down (503), or that refuses as a fault
/// orders.
pub(crate) fn outage(
    what: Outage,
    request: &Request<Bytes>,
    origin: &Url,
    now: OffsetDateTime,
) -> Response<Bytes> {
    let refusal = match what {
        Outage::Status(status) => Refusal::outage(status),
        Outage::Aadsts(code) => Refusal::ordered(code, request)
            .unwrap_or_else(|| Refusal::outage(StatusCode::SERVICE_UNAVAILABLE)),
        Outage::Context(context) => Refusal::authentication_context(context, request)
            .unwrap_or_else(|| Refusal::outage(StatusCode::SERVICE_UNAVAILABLE)),
    };
    let ids = RequestIds::of(request);
    stamp(refusal.answer(origin, &ids, now), request, &ids)
}

/// There is no tenant of this name at External ID.
pub(crate) fn no_such_tenant(
    name: &str,
    request: &Request<Bytes>,
    origin: &Url,
    now: OffsetDateTime,
) -> Response<Bytes> {
    let ids = RequestIds::of(request);
    let refusal = Refusal::tenant_not_found(name);
    stamp(refusal.answer(origin, &ids, now), request, &ids)
}

/// The application whose own keys are asked for (Microsoft Learn, "Access tokens in the Microsoft
/// identity platform": custom signing keys).
fn app_id(request: &Request<Bytes>) -> Option<String> {
    url::form_urlencoded::parse(request.uri().query()?.as_bytes())
        .find(|(name, _)| name == "appid")
        .map(|(_, value)| value.to_lowercase())
}

fn set(document: &mut Value, name: &str, value: Value) {
    if let Some(object) = document.as_object_mut() {
        object.insert(name.to_owned(), value);
    }
}

/// 404, in words: a path that is not spoken must not look like an empty answer.
fn unknown_path(request: &Request<Bytes>) -> Response<Bytes> {
    let what = format!("{} {}", request.method(), request.uri().path());
    let mut answer = json_response(&json!({
        "error": "not_found",
        "error_description": format!("the local tenant does not speak {what}"),
    }));
    *answer.status_mut() = StatusCode::NOT_FOUND;
    answer
}

/// The headers of every answer of the sign-in service.
fn stamp(
    mut answer: Response<Bytes>,
    request: &Request<Bytes>,
    ids: &RequestIds,
) -> Response<Bytes> {
    let wants_echo = request
        .headers()
        .get("return-client-request-id")
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"true"));
    let headers = answer.headers_mut();
    let json = HeaderValue::from_static("application/json; charset=utf-8");
    headers.entry(CONTENT_TYPE).or_insert(json);
    let no_store = HeaderValue::from_static("no-store, no-cache");
    headers.insert(CACHE_CONTROL, no_store);
    // A page of another origin may read what it was given (Fetch, "CORS protocol").
    if request.headers().contains_key(ORIGIN) {
        let anyone = HeaderValue::from_static("*");
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, anyone);
    }
    let server = HeaderValue::from_static("1.0.0.0 - LOCAL ProdSlices");
    headers.insert(HeaderName::from_static("x-ms-ests-server"), server);
    if let Ok(trace) = HeaderValue::from_str(&ids.trace.to_string()) {
        headers.insert(HeaderName::from_static("x-ms-request-id"), trace);
    }
    if let Some(id) = request
        .headers()
        .get("client-request-id")
        .filter(|_| wants_echo)
    {
        headers.insert(HeaderName::from_static("client-request-id"), id.clone());
    }
    answer
}

fn json_response(body: &Value) -> Response<Bytes> {
    Response::new(Bytes::from(body.to_string()))
}

const CLAIMS: [&str; 19] = [
    "sub",
    "iss",
    "cloud_instance_name",
    "cloud_instance_host_name",
    "cloud_graph_host_name",
    "msgraph_host",
    "aud",
    "exp",
    "iat",
    "auth_time",
    "acr",
    "nonce",
    "preferred_username",
    "name",
    "tid",
    "ver",
    "at_hash",
    "c_hash",
    "email",
];
