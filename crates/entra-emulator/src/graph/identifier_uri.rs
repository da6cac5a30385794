//! App ID URIs (Learn, "Restrictions on identifier URIs of Microsoft Entra applications" and
//! "Validation differences by supported account types").

use serde_json::Value;
use url::Url;

use super::Exchange;
use super::app_policy::AppPolicy;
use super::error::GraphError;
use crate::tenant::{Kind, Object, Tenant, items_of, text_of};

/// Checks the URIs that a write adds. Those that were there stay as they are.
pub(crate) fn check(
    exchange: &Exchange<'_>,
    old: Option<&Object>,
    new: &Object,
) -> Result<(), GraphError> {
    let before = old
        .map(|old| items_of(old, "identifierUris"))
        .unwrap_or_default();
    let uris = items_of(new, "identifierUris");
    for (place, uri) in uris.iter().enumerate() {
        if before.contains(uri) {
            continue;
        }
        let text = uri.as_str().unwrap_or_default();
        if uris.iter().take(place).any(|other| other == uri) {
            return Err(GraphError::bad_request(
                "Request contains a property with duplicate values.",
            )
            .with_detail("InvalidValue", "identifierUris"));
        }
        check_form(exchange.tenant, text_of(new, "appId"), text)?;
        check_unique(exchange.tenant, text_of(new, "id"), text)?;
        check_policy(exchange.tenant, new, text)?;
    }
    Ok(())
}

/// Whether every tenant accepts the URI for this application, whatever its policy.
fn is_default(tenant: &Tenant, app_id: &str, uri: &str) -> bool {
    let within = uri.strip_prefix("api://").unwrap_or_default();
    let with_tenant = [tenant.id(), "/", app_id].concat();
    within.eq_ignore_ascii_case(app_id) || within.eq_ignore_ascii_case(&with_tenant)
}

fn check_form(tenant: &Tenant, app_id: &str, uri: &str) -> Result<(), GraphError> {
    let malformed = || {
        GraphError::bad_request(format!(
            "Invalid value specified for property 'identifierUris' of resource 'Application': \
             '{uri}' is no valid identifier URI."
        ))
        .with_detail("InvalidIdentifierUri", "identifierUris")
    };
    let parsed = Url::parse(uri).map_err(|_| malformed())?;
    let too_long = uri.len() > 255;
    if too_long || uri.contains(['*', '#', '?']) || uri.chars().any(char::is_whitespace) {
        return Err(malformed());
    }
    let host = parsed.host_str().unwrap_or_default();
    let accepted = match parsed.scheme() {
        "https" => is_at_verified_domain(tenant, host),
        "api" => {
            let path = parsed.path().trim_matches('/');
            host.eq_ignore_ascii_case(app_id)
                || host.eq_ignore_ascii_case(tenant.id())
                || path.eq_ignore_ascii_case(app_id)
                || is_at_verified_domain(tenant, host)
        }
        "http" | "urn" | "spn" => false,
        _ => return Err(malformed()),
    };
    if accepted {
        return Ok(());
    }
    Err(GraphError::new(
        http::StatusCode::BAD_REQUEST,
        "HostNameNotOnVerifiedDomain",
        format!(
            "Failed to add identifier URI {uri}. All newly added URIs must contain a tenant \
             verified domain, tenant ID, or app ID, as per the default tenant policy of your \
             organization. See https://aka.ms/identifier-uri-addition-error for more information \
             on this error."
        ),
    )
    .with_detail("HostNameNotOnVerifiedDomain", "identifierUris"))
}

fn is_at_verified_domain(tenant: &Tenant, host: &str) -> bool {
    tenant
        .all(Kind::Domain)
        .filter(|domain| domain.get("isVerified") == Some(&Value::Bool(true)))
        .map(|domain| text_of(domain, "id"))
        .any(|domain| {
            host.eq_ignore_ascii_case(domain)
                || host.to_ascii_lowercase().ends_with(&[".", domain].concat())
        })
}

/// An identifier stays reserved while an application that bore it can be restored.
fn check_unique(tenant: &Tenant, id: &str, uri: &str) -> Result<(), GraphError> {
    let deleted = tenant.deleted().values().map(|deleted| &deleted.object);
    let taken = tenant
        .all(Kind::Application)
        .chain(deleted)
        .filter(|other| text_of(other, "id") != id)
        .flat_map(|other| items_of(other, "identifierUris"))
        .filter_map(Value::as_str)
        .any(|other| other.eq_ignore_ascii_case(uri));
    if taken {
        return Err(GraphError::duplicate("identifierUris"));
    }
    Ok(())
}

fn check_policy(tenant: &Tenant, application: &Object, uri: &str) -> Result<(), GraphError> {
    let app_id = text_of(application, "appId");
    let policy = AppPolicy::of(tenant, Kind::Application, application);
    if policy.allows_identifier_uri() || is_default(tenant, app_id, uri) {
        return Ok(());
    }
    Err(GraphError::bad_request(format!(
        "Failed to add identifier URI {uri}. All newly added URIs must use the default format \
         api://{app_id} or api://{}/{app_id}, as per the assigned policy {}.",
        tenant.id(),
        policy.id()
    ))
    .with_detail("IdentifierUriNotAllowedAsPerAppPolicy", "identifierUris"))
}
