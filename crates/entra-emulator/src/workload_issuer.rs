//! A Kubernetes cluster as an issuer of service account tokens: what workload identity federation
//! needs beside the tenant.
//!
//! Kubernetes documentation, "Configure Service Accounts for Pods" (service account issuer
//! discovery) and "Managing Service Accounts" (the claims of a bound token); OpenID Connect
//! Discovery 1.0 section 4.

use std::sync::Arc;

use bytes::Bytes;
use entra_core::{Clock, MovableClock, Secret};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use serde_json::{Value, json};
use url::Url;
use uuid::Uuid;

use crate::keys::SigningKey;
use crate::seed::derived_id;

/// The cluster beside the tenant, which signs tokens of its service accounts.
///
/// ```
/// use entra_emulator::{Cluster, Emulator, Seed};
///
/// let tenant = Emulator::new(Seed::new());
/// let cluster = tenant.cluster();
/// // What a federated identity credential of an application names …
/// assert_eq!(cluster.issuer(), "https://localhost/_cluster");
/// assert_eq!(Cluster::subject("shop", "api"), "system:serviceaccount:shop:api");
/// // … and what Kubernetes puts into the file at AZURE_FEDERATED_TOKEN_FILE.
/// let token = cluster.token("shop", "api", "api://AzureADTokenExchange");
/// # assert_eq!(token.expose().split('.').count(), 3);
/// ```
#[derive(Clone, Debug)]
pub struct Cluster {
    issuer: String,
    clock: Arc<MovableClock>,
}

impl Cluster {
    pub(crate) fn new(origin: &Url, clock: Arc<MovableClock>) -> Self {
        Self {
            issuer: issuer(origin),
            clock,
        }
    }

    /// The same cluster under another issuer: one whose keys the tenant cannot fetch, as those of
    /// a cluster behind a firewall.
    #[must_use]
    pub fn with_issuer(mut self, issuer: impl Into<String>) -> Self {
        self.issuer = issuer.into();
        self
    }

    /// `iss` of its tokens.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// `sub` of a service account's tokens.
    pub fn subject(namespace: &str, service_account: &str) -> String {
        format!("system:serviceaccount:{namespace}:{service_account}")
    }

    /// A token of a service account, valid for an hour from now.
    pub fn token(&self, namespace: &str, service_account: &str, audience: &str) -> Secret {
        let now = self.clock.now().unix_timestamp();
        let claims = json!({
            "aud": [audience],
            "exp": now + LIFETIME,
            "iat": now,
            "iss": self.issuer,
            "jti": Uuid::new_v4().to_string(),
            "kubernetes.io": {
                "namespace": namespace,
                "serviceaccount": {
                    "name": service_account,
                    "uid": derived_id(&["serviceaccount", namespace, service_account]),
                },
            },
            "nbf": now,
            "sub": Self::subject(namespace, service_account),
        });
        Secret::new(SigningKey::of_cluster().sign(&claims))
    }
}

/// The cluster's issuer, which its tokens and its discovery document name.
pub(crate) fn issuer(origin: &Url) -> String {
    format!("{origin}_cluster")
}

/// Answers a request to the cluster's issuer, or `None` where the path is not its own.
pub(crate) fn handle(origin: &Url, request: &Request<Bytes>) -> Option<Response<Bytes>> {
    let path = request.uri().path().strip_prefix("/_cluster/")?;
    Some(match (path, request.method()) {
        (".well-known/openid-configuration", &Method::GET) => {
            respond(StatusCode::OK, &configuration(origin))
        }
        ("openid/v1/jwks", &Method::GET) => respond(StatusCode::OK, &keys()),
        _ => {
            let text = format!("the cluster does not speak {} {path}", request.method());
            respond(
                StatusCode::NOT_FOUND,
                &json!({"message": text, "code": 404}),
            )
        }
    })
}

fn configuration(origin: &Url) -> Value {
    let issuer = issuer(origin);
    json!({
        "issuer": issuer,
        "jwks_uri": format!("{issuer}/openid/v1/jwks"),
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
    })
}

fn keys() -> Value {
    let mut key = SigningKey::of_cluster().jwk();
    // Kubernetes publishes bare keys.
    for name in ["x5c", "x5t"] {
        key.remove(name);
    }
    key.insert("alg".to_owned(), json!("RS256"));
    json!({"keys": [key]})
}

fn respond(status: StatusCode, body: &Value) -> Response<Bytes> {
    let mut answer = Response::new(Bytes::from(body.to_string()));
    *answer.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    answer.headers_mut().insert(CONTENT_TYPE, json);
    answer
}

/// What Kubernetes gives a projected token where nothing else is said, in seconds.
const LIFETIME: i64 = 3_600;
