//! The endpoints where a workload in Azure gets tokens of its managed identity: the instance
//! metadata service of a virtual machine, App Service, and the agent of Azure Arc.
//!
//! Microsoft Learn, "How to use managed identities on an Azure VM to acquire an access token",
//! "Use managed identities for App Service and Azure Functions" (REST endpoint reference),
//! "Authenticate against Azure resources with Azure Arc-enabled servers". The refusals of App
//! Service are as users report them. One machine of this tenant stands for all three.

use std::collections::HashMap;
use std::io;

use bytes::Bytes;
use entra_core::Secret;
use http::header::{CONTENT_TYPE, SERVER, WWW_AUTHENTICATE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use url::Url;
use uuid::Uuid;

use crate::access_token::{AppToken, ClientProof};
use crate::arc_agent::{ArcAgent, Challenge};
use crate::refusal::{Refusal, RequestIds};
use crate::tenant::{Kind, Object, Tenant, items_of, text_of};

/// One request from within the machine.
#[derive(Debug)]
pub(crate) struct MachineCall<'a> {
    pub(crate) tenant: &'a Tenant,
    pub(crate) origin: &'a Url,
    pub(crate) now: OffsetDateTime,
    /// What App Service wants in `X-IDENTITY-HEADER`.
    pub(crate) identity_header: &'a Secret,
    /// The agent of Azure Arc, where there is one.
    pub(crate) arc: Option<&'a ArcAgent>,
}

/// Whether a path belongs to these endpoints.
pub(crate) fn is_path(path: &str) -> bool {
    path.starts_with("/metadata/identity/") || is_app_service(path)
}

/// The answer of the instance metadata service when it is overloaded or down. The bodies are not
/// verified.
pub(crate) fn outage(status: StatusCode) -> Response<Bytes> {
    let (error, text) = match status {
        StatusCode::TOO_MANY_REQUESTS => ("too_many_requests", "Too many requests"),
        StatusCode::GONE => ("gone", "The service is being updated"),
        StatusCode::NOT_FOUND => ("not_found", "The service is being updated"),
        _ => (
            "unknown",
            "Failed to retrieve token from the Active directory",
        ),
    };
    imds(status, &json!({"error": error, "error_description": text}))
}

impl MachineCall<'_> {
    /// Answers a request. The second value is the client id of the identity that got a token.
    pub(crate) fn handle(&self, request: &Request<Bytes>) -> (Response<Bytes>, Option<String>) {
        let query = Query::of(request);
        let answer = if is_app_service(request.uri().path()) {
            self.app_service(request, &query)
                .map_err(|flaw| flaw.of_app_service())
        } else {
            self.metadata_service(request, &query)
                .map_err(|flaw| self.of_imds(flaw))
        };
        match answer {
            Ok(token) => (token.body, Some(token.client_id)),
            Err(refusal) => (refusal, None),
        }
    }

    /// The instance metadata service or Azure Arc's agent, which have the same path and are told
    /// apart by the version of the interface.
    fn metadata_service(&self, request: &Request<Bytes>, query: &Query) -> Result<Token, Flaw> {
        if request.uri().path().trim_end_matches('/') != IMDS_PATH {
            return Err(Flaw::Path);
        }
        if request.method() != Method::GET {
            return Err(Flaw::Method);
        }
        // The header keeps requests out that a server was tricked into sending.
        if request.headers().get("metadata") != Some(&HeaderValue::from_static("true")) {
            return Err(Flaw::Metadata);
        }
        match query.get("api-version") {
            Some(version) if ARC_VERSIONS.contains(&version) => self.arc(request, query),
            Some(version) if version >= IMDS_VERSION => {
                self.token(query, &["client_id", "object_id", "msi_res_id"])
            }
            _ => Err(Flaw::Version),
        }
    }

    /// The agent writes a file that only members of its group can read, and hands a token to who
    /// knows what is in it.
    fn arc(&self, request: &Request<Bytes>, query: &Query) -> Result<Token, Flaw> {
        match self.arc.ok_or(Flaw::NoAgent)?.check(request) {
            // A server has the identity that the system assigned to it, and no other.
            Challenge::Met => self.token(query, &[]),
            Challenge::Set(path) => Err(Flaw::Challenge(path)),
            Challenge::Failed(error) => Err(Flaw::Agent(error)),
        }
    }

    /// A token as the metadata service and the agent hand it out: numbers are texts.
    fn token(&self, query: &Query, selectors: &[&str]) -> Result<Token, Flaw> {
        let (identity, audience) = self.wanted(query, selectors)?;
        let client_id = text_of(identity, "appId");
        let body = json!({
            "access_token": self.issue(identity, audience)?,
            "client_id": client_id,
            "expires_in": LIFETIME.to_string(),
            "expires_on": self.expires_on(),
            "ext_expires_in": LIFETIME.to_string(),
            "not_before": (self.now.unix_timestamp() - 300).to_string(),
            "resource": audience,
            "token_type": "Bearer",
        });
        Ok(Token {
            body: imds(StatusCode::OK, &body),
            client_id: client_id.to_owned(),
        })
    }

    fn app_service(&self, request: &Request<Bytes>, query: &Query) -> Result<Token, Flaw> {
        if request.method() != Method::GET {
            return Err(Flaw::Method);
        }
        let header = request.headers().get("x-identity-header");
        let header = header.and_then(|value| value.to_str().ok());
        if header.map(Secret::from).as_ref() != Some(self.identity_header) {
            return Err(Flaw::IdentityHeader);
        }
        if query.get("api-version") != Some(APP_SERVICE_VERSION) {
            return Err(Flaw::Version);
        }
        let selectors = ["client_id", "principal_id", "object_id", "mi_res_id"];
        let (identity, audience) = self.wanted(query, &selectors)?;
        let client_id = text_of(identity, "appId");
        let body = json!({
            "access_token": self.issue(identity, audience)?,
            "client_id": client_id,
            "expires_on": self.expires_on(),
            "resource": audience,
            "token_type": "Bearer",
        });
        Ok(Token {
            body: respond(StatusCode::OK, &body),
            client_id: client_id.to_owned(),
        })
    }

    /// The identity and the resource that a request names. Without a name it is the identity that
    /// the system assigned, or else the only one.
    fn wanted<'q>(&self, query: &'q Query, selectors: &[&str]) -> Result<(&Object, &'q str), Flaw> {
        let audience = query.get("resource").ok_or(Flaw::NoResource)?;
        let mut named = selectors
            .iter()
            .filter_map(|name| Some((*name, query.get(name)?)));
        let identity = match (named.next(), named.next()) {
            (Some(_), Some(_)) => return Err(Flaw::TwoIdentities),
            (Some((name, value)), None) => self
                .identities()
                .find(|identity| is_named(identity, name, value)),
            (None, _) => self.unnamed_identity()?,
        };
        Ok((identity.ok_or(Flaw::NoIdentity)?, audience))
    }

    fn unnamed_identity(&self) -> Result<Option<&Object>, Flaw> {
        let by_system = self
            .identities()
            .find(|identity| items_of(identity, "alternativeNames").contains(&json!(BY_SYSTEM)));
        let mut all = self.identities();
        match (by_system, all.next(), all.next()) {
            (Some(identity), ..) => Ok(Some(identity)),
            (None, _, Some(_)) => Err(Flaw::SeveralIdentities),
            (None, only, None) => Ok(only),
        }
    }

    fn identities(&self) -> impl Iterator<Item = &Object> {
        self.tenant
            .all(Kind::ServicePrincipal)
            .filter(|principal| text_of(principal, "servicePrincipalType") == "ManagedIdentity")
    }

    fn issue(&self, identity: &Object, audience: &str) -> Result<String, Flaw> {
        if identity.get("accountEnabled") == Some(&Value::Bool(false)) {
            let (id, name) = (text_of(identity, "appId"), text_of(identity, "displayName"));
            return Err(Flaw::Refused(Refusal::app_disabled(id, name)));
        }
        let resource = self.tenant.resource(audience).ok_or_else(|| {
            let domain = self.tenant.initial_domain();
            Flaw::Refused(Refusal::resource_not_found(audience, domain))
        })?;
        let ids = (text_of(identity, "id"), text_of(resource, "id"));
        let token = AppToken {
            client: identity,
            resource,
            audience,
            roles: self.tenant.granted_roles(ids.0, ids.1, self.now),
            proof: ClientProof::Certificate,
            lifetime: LIFETIME,
            extra: Map::from_iter([("xms_mirid".to_owned(), json!(resource_id(identity)))]),
        };
        Ok(token.issue(self.tenant, self.origin, self.now))
    }

    fn expires_on(&self) -> String {
        (self.now.unix_timestamp() + LIFETIME + 1).to_string()
    }

    fn of_imds(&self, flaw: Flaw) -> Response<Bytes> {
        match flaw {
            // What the sign-in service says is handed on.
            Flaw::Refused(refusal) => {
                let ids = RequestIds {
                    trace: Uuid::new_v4(),
                    correlation: Uuid::new_v4(),
                };
                let answer = refusal.answer(self.origin, &ids, self.now);
                let body = serde_json::from_slice(answer.body()).unwrap_or_default();
                imds(StatusCode::BAD_REQUEST, &body)
            }
            Flaw::Challenge(key_file) => challenge(&key_file),
            flaw => {
                let (status, error) = flaw.kind();
                let body = json!({"error": error, "error_description": flaw.to_string()});
                imds(status, &body)
            }
        }
    }
}

struct Token {
    body: Response<Bytes>,
    client_id: String,
}

/// What is wrong with a request. Learn has the text for the header, users report those for an
/// unknown identity and for several; the rest is not verified.
#[derive(Debug, thiserror::Error)]
enum Flaw {
    #[error("Not found")]
    Path,
    #[error("The method is not allowed")]
    Method,
    #[error("Required metadata header not specified")]
    Metadata,
    #[error("The identity header is missing or wrong.")]
    IdentityHeader,
    #[error("The api-version is missing or not supported")]
    Version,
    #[error("Required query variable 'resource' is missing")]
    NoResource,
    #[error("Identity not found")]
    NoIdentity,
    #[error("Only one of client_id, object_id and the resource id may be given")]
    TwoIdentities,
    #[error(
        "Multiple user assigned identities exist, please specify the clientId / resourceId of the \
         identity in the token request"
    )]
    SeveralIdentities,
    #[error("the local tenant has no agent of Azure Arc: it needs a folder for its keys")]
    NoAgent,
    #[error("the key of the challenge cannot be written: {0}")]
    Agent(io::Error),
    #[error("the file of the challenge has to be read")]
    Challenge(String),
    #[error("An unexpected error occured while fetching the AAD Token.")]
    Refused(Refusal),
}

impl Flaw {
    /// Status and `error`.
    fn kind(&self) -> (StatusCode, &'static str) {
        match self {
            Self::Path | Self::NoAgent => (StatusCode::NOT_FOUND, "not_found"),
            Self::Method => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"),
            Self::Metadata => (StatusCode::BAD_REQUEST, "bad_request_102"),
            Self::IdentityHeader | Self::Challenge(_) => {
                (StatusCode::UNAUTHORIZED, "unauthorized_client")
            }
            Self::Agent(_) => (StatusCode::INTERNAL_SERVER_ERROR, "unknown"),
            _ => (StatusCode::BAD_REQUEST, "invalid_request"),
        }
    }

    fn of_app_service(&self) -> Response<Bytes> {
        let (status, _) = self.kind();
        let message = match self {
            Self::NoIdentity => {
                "No Managed Identity found for specified ClientId/ResourceId/PrincipalId."
                    .to_owned()
            }
            flaw => flaw.to_string(),
        };
        let body = json!({
            "statusCode": status.as_u16(),
            "message": message,
            "correlationId": Uuid::new_v4().to_string(),
        });
        respond(status, &body)
    }
}

/// The parameters of a request; empty ones count as missing.
struct Query(HashMap<String, String>);

impl Query {
    fn of(request: &Request<Bytes>) -> Self {
        let query = request.uri().query().unwrap_or_default();
        Self(
            url::form_urlencoded::parse(query.as_bytes())
                .filter(|(_, value)| !value.is_empty())
                .map(|(name, value)| (name.to_ascii_lowercase(), value.into_owned()))
                .collect(),
        )
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

fn is_app_service(path: &str) -> bool {
    path.trim_end_matches('/')
        .eq_ignore_ascii_case("/msi/token")
}

fn is_named(identity: &Object, selector: &str, value: &str) -> bool {
    let name = match selector {
        "client_id" => text_of(identity, "appId"),
        "object_id" | "principal_id" => text_of(identity, "id"),
        _ => resource_id(identity),
    };
    name.eq_ignore_ascii_case(value)
}

/// The id of the Azure resource that the identity is or belongs to.
fn resource_id(identity: &Object) -> &str {
    items_of(identity, "alternativeNames")
        .iter()
        .filter_map(Value::as_str)
        .find(|name| name.starts_with('/'))
        .unwrap_or_default()
}

fn challenge(key_file: &str) -> Response<Bytes> {
    let mut answer = Response::new(Bytes::new());
    *answer.status_mut() = StatusCode::UNAUTHORIZED;
    if let Ok(value) = HeaderValue::from_str(&["Basic realm=", key_file].concat()) {
        answer.headers_mut().insert(WWW_AUTHENTICATE, value);
    }
    answer
}

fn imds(status: StatusCode, body: &Value) -> Response<Bytes> {
    let mut answer = respond(status, body);
    let server = HeaderValue::from_static("IMDS/150.870.65.476");
    answer.headers_mut().insert(SERVER, server);
    answer
}

fn respond(status: StatusCode, body: &Value) -> Response<Bytes> {
    let mut answer = Response::new(Bytes::from(body.to_string()));
    *answer.status_mut() = status;
    let json = HeaderValue::from_static("application/json; charset=utf-8");
    answer.headers_mut().insert(CONTENT_TYPE, json);
    answer
}

/// Learn, "Managed identities for Azure resources frequently asked questions": tokens of managed
/// identities live for 24 hours.
const LIFETIME: i64 = 86_399;

/// In `alternativeNames` of an identity that the system assigned to a resource.
pub(crate) const BY_SYSTEM: &str = "isExplicit=False";

const IMDS_PATH: &str = "/metadata/identity/oauth2/token";
const IMDS_VERSION: &str = "2018-02-01";
const APP_SERVICE_VERSION: &str = "2019-08-01";
const ARC_VERSIONS: [&str; 2] = ["2019-11-01", "2020-06-01"];
