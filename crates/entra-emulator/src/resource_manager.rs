//! The little of Azure's resource manager without which the Azure CLI does not sign in.
//!
//! Microsoft Learn, "Subscriptions - List" and "Tenants - List" of the Azure Resource Manager REST
//! API; the metadata document in the form that the Azure CLI reads (`azure-cli-core`, cloud.py).

use bytes::Bytes;
use http::header::{CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use serde_json::{Value, json};
use time::OffsetDateTime;
use url::Url;

use crate::bearer;
use crate::tenant::Tenant;

/// Answers a request, or `None` where the path is not the resource manager's. The second value of
/// an answer is the client id of the caller.
pub(crate) fn handle(
    tenant: &Tenant,
    origin: &Url,
    request: &Request<Bytes>,
    now: OffsetDateTime,
) -> Option<(Response<Bytes>, Option<String>)> {
    // The Azure CLI asks for `//metadata/endpoints`.
    let path = request.uri().path().trim_matches('/');
    if request.method() != Method::GET {
        return None;
    }
    if path == "metadata/endpoints" {
        return Some((respond(StatusCode::OK, &metadata(origin)), None));
    }
    let list = match path {
        // The tenant has no Azure subscription; `az login` then needs --allow-no-subscriptions.
        "subscriptions" => json!({"value": [], "count": {"type": "Total", "value": 0}}),
        "tenants" => json!({"value": [{
            "id": format!("/tenants/{}", tenant.id()),
            "tenantId": tenant.id(),
            "tenantCategory": "Home",
            "defaultDomain": tenant.initial_domain(),
            "domains": [tenant.initial_domain()],
            "tenantType": "AAD",
        }]}),
        _ => return None,
    };
    Some(match bearer::verify(tenant, origin, request, now) {
        Ok(token) => (respond(StatusCode::OK, &list), Some(token.caller.app_id)),
        Err(_) => (unauthorized(tenant, origin), None),
    })
}

/// One cloud, as from version 2022-09-01 on; older versions answered a list.
fn metadata(origin: &Url) -> Value {
    json!({
        "name": "LocalTenant",
        "portal": origin,
        "authentication": {
            "loginEndpoint": origin,
            "audiences": [origin],
            "tenant": "common",
            "identityProvider": "AAD",
        },
        "graphAudience": origin,
        "graph": origin,
        "microsoftGraphResourceId": origin,
        "resourceManager": origin,
        "activeDirectoryDataLake": null,
        "azmirrorStorageAccountResourceId": null,
        "batch": null,
        "gallery": null,
        "media": null,
        "sqlManagement": null,
        "vmImageAliasDoc": null,
        "suffixes": {},
    })
}

fn unauthorized(tenant: &Tenant, origin: &Url) -> Response<Bytes> {
    let body = json!({"error": {
        "code": "InvalidAuthenticationToken",
        "message": "The access token is missing or invalid.",
    }});
    let mut answer = respond(StatusCode::UNAUTHORIZED, &body);
    let challenge = format!(
        "Bearer authorization_uri=\"{origin}{}\", error=\"invalid_token\", \
         error_description=\"The access token is missing or invalid.\"",
        tenant.id(),
    );
    if let Ok(challenge) = HeaderValue::from_str(&challenge) {
        answer.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    }
    answer
}

fn respond(status: StatusCode, body: &Value) -> Response<Bytes> {
    let mut answer = Response::new(Bytes::from(body.to_string()));
    *answer.status_mut() = status;
    let json = HeaderValue::from_static("application/json; charset=utf-8");
    answer.headers_mut().insert(CONTENT_TYPE, json);
    answer
}
