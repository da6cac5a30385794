//! Whether a client may do for a user what it asks for.
//!
//! Microsoft Learn, "Scopes and permissions in the Microsoft identity platform" (consent,
//! `.default`) and "Overview of permissions and consent in the Microsoft identity platform".

use serde_json::Value;
use time::OffsetDateTime;

use crate::client::Client;
use crate::refusal::Refusal;
use crate::scope::{ResourceScopes, ScopeRequest};
use crate::tenant::{GRAPH_APP_ID, Object, Tenant, enabled_scopes, items_of, text_of};

/// The permissions of one resource: wanted, granted, missing.
#[derive(Debug)]
pub(crate) struct Consent<'a> {
    /// The service principal of the resource.
    pub(crate) resource: &'a Object,
    /// Everything that was consented to, wanted or not: a token carries it all.
    pub(crate) granted: Vec<String>,
    /// What nobody consented to.
    pub(crate) missing: Vec<String>,
}

impl<'a> Consent<'a> {
    /// Looks the wanted permissions of one resource up.
    pub(crate) fn find(
        tenant: &'a Tenant,
        client: &Client<'_>,
        user_id: &str,
        request: (&ScopeRequest, &ResourceScopes),
        now: OffsetDateTime,
    ) -> Result<Self, Refusal> {
        let (scope, wanted) = request;
        let audience = wanted.audience();
        let resource = tenant
            .resource(audience)
            .ok_or_else(|| Refusal::resource_not_found(audience, tenant.initial_domain()))?;
        let granted = tenant.granted_scopes(client.principal, resource, user_id, now);
        let wanted = match (wanted.is_default, granted.is_empty()) {
            (true, true) => declared(client, resource, audience)?,
            (true, false) => Vec::new(),
            (false, _) => known(client, resource, &wanted.permissions)?,
        };
        let mut missing: Vec<String> = wanted
            .into_iter()
            .filter(|name| !granted.contains(name))
            .collect();
        // The first consent of all names OpenID Connect's scopes too; later ones imply them.
        if is_graph(resource) && !tenant.has_consent(client.principal, user_id, now) {
            let mut names: Vec<String> = scope.names().map(str::to_owned).collect();
            names.append(&mut missing);
            missing = names;
        }
        Ok(Self {
            resource,
            granted,
            missing,
        })
    }

    /// Whether a user may consent to what is missing, without an administrator.
    pub(crate) fn is_open_to_users(&self) -> bool {
        self.missing.iter().all(|name| {
            enabled_scopes(self.resource)
                .any(|scope| text_of(scope, "value") == name && text_of(scope, "type") == "User")
        })
    }
}

/// Whether this is Microsoft Graph, which owns OpenID Connect's scopes.
pub(crate) fn is_graph(resource: &Object) -> bool {
    text_of(resource, "appId") == GRAPH_APP_ID
}

/// The names as the resource spells them.
fn known(client: &Client<'_>, resource: &Object, names: &[String]) -> Result<Vec<String>, Refusal> {
    names
        .iter()
        .map(|name| {
            enabled_scopes(resource)
                .map(|scope| text_of(scope, "value"))
                .find(|value| value.eq_ignore_ascii_case(name))
                .map(str::to_owned)
                .ok_or_else(|| {
                    let resource = text_of(resource, "appId");
                    Refusal::unknown_permission(client.name(), name, resource)
                })
        })
        .collect()
}

/// The delegated permissions of the resource that the registration of the client lists.
fn declared(
    client: &Client<'_>,
    resource: &Object,
    audience: &str,
) -> Result<Vec<String>, Refusal> {
    let ids: Vec<&str> = items_of(client.application, "requiredResourceAccess")
        .iter()
        .filter_map(Value::as_object)
        .filter(|access| text_of(access, "resourceAppId") == text_of(resource, "appId"))
        .flat_map(|access| items_of(access, "resourceAccess"))
        .filter_map(Value::as_object)
        .filter(|permission| text_of(permission, "type") == "Scope")
        .map(|permission| text_of(permission, "id"))
        .collect();
    let values: Vec<String> = enabled_scopes(resource)
        .filter(|scope| ids.contains(&text_of(scope, "id")))
        .map(|scope| text_of(scope, "value").to_owned())
        .collect();
    if values.is_empty() {
        let client = (client.app_id(), client.name());
        let resource = (audience, text_of(resource, "appId"));
        return Err(Refusal::resource_not_declared(client, resource));
    }
    Ok(values)
}
