//! The applications of a new tenant: Microsoft's own, and three of the company.

use std::sync::LazyLock;

use entra_core::Secret;
use serde_json::{Map, Value, json};
use time::{Duration, OffsetDateTime};

use super::{Seed, SeededApp, SeededManagedIdentity, derived_id};
use crate::managed_identity::BY_SYSTEM;
use crate::tenant::{
    GRAPH_APP_ID, Kind, Object, TOKEN_EXCHANGE_APP_ID, Tenant, items_of, text_of, timestamp,
};

/// Microsoft Graph with all its permissions, and the other resources that tools look for.
pub(super) fn add_microsoft_apps(seed: &Seed, tenant: &mut Tenant) {
    for (app_id, name, names) in MICROSOFT_APPS {
        let is_graph = app_id == GRAPH_APP_ID;
        let (roles, scopes) = if is_graph {
            GRAPH_PERMISSIONS.clone()
        } else {
            (Vec::new(), Vec::new())
        };
        let mut service_principal_names = vec![app_id];
        service_principal_names.extend(names);
        tenant.insert_settled(
            Kind::ServicePrincipal,
            object(json!({
                "id": seed.id("servicePrincipal", app_id),
                "accountEnabled": true,
                "appDisplayName": name,
                "appId": app_id,
                "appOwnerOrganizationId": MICROSOFT_TENANT,
                "appRoleAssignmentRequired": false,
                "appRoles": roles,
                "displayName": name,
                "oauth2PermissionScopes": scopes,
                "servicePrincipalNames": service_principal_names,
                "servicePrincipalType": "Application",
                "signInAudience": "AzureADMultipleOrgs"
            })),
        );
    }
}

/// The company's own: one for setting up, one with little, one with an expired secret.
pub(super) fn add_apps(seed: &Seed, tenant: &mut Tenant, now: OffsetDateTime) -> Vec<SeededApp> {
    let day = Duration::days(1);
    [
        ("setup", None, 730 * day),
        ("Staff Directory", Some(&["User.Read.All"][..]), 365 * day),
        ("Old Intranet", Some(&["User.Read.All"][..]), -30 * day),
    ]
    .into_iter()
    .map(|(name, permissions, ends_in)| {
        let seeded = SeededApp {
            display_name: name.to_owned(),
            client_id: seed.id("appId", name),
            object_id: seed.id("application", name),
            client_secret: seed.secret("application", name),
        };
        add_app(seed, tenant, &seeded, (now - 365 * day, now + ends_in));
        grant(seed, tenant, &seeded, permissions);
        seeded
    })
    .collect()
}

/// An application that a product brings along. Here it has its registration in the tenant too,
/// where it would have a service principal alone.
pub(super) fn add_product(
    seed: &Seed,
    tenant: &mut Tenant,
    now: OffsetDateTime,
    (client_id, client_secret): &(String, Secret),
) -> SeededApp {
    let name = "Product";
    let seeded = SeededApp {
        display_name: name.to_owned(),
        client_id: client_id.clone(),
        object_id: seed.id("application", name),
        client_secret: client_secret.clone(),
    };
    let year = Duration::days(365);
    add_app(seed, tenant, &seeded, (now - year, now + year));
    grant(seed, tenant, &seeded, Some(&["User.Read.All"]));
    seeded
}

/// The identity that the system assigned to the company's machine, and one that was assigned to it
/// by hand. They hold no permission.
pub(super) fn add_managed_identities(
    seed: &Seed,
    tenant: &mut Tenant,
) -> Vec<SeededManagedIdentity> {
    let group = format!(
        "/subscriptions/{}/resourcegroups/production/providers",
        seed.id("subscription", "")
    );
    [
        ("vm-0001", BY_SYSTEM, "Microsoft.Compute/virtualMachines"),
        (
            "worker",
            "isExplicit=True",
            "Microsoft.ManagedIdentity/userAssignedIdentities",
        ),
    ]
    .into_iter()
    .map(|(name, explicit, provider)| {
        let seeded = SeededManagedIdentity {
            display_name: name.to_owned(),
            client_id: seed.id("appId", name),
            object_id: seed.id("servicePrincipal", name),
            resource_id: format!("{group}/{provider}/{name}"),
        };
        let names = [explicit, &seeded.resource_id];
        tenant.insert_settled(
            Kind::ServicePrincipal,
            object(json!({
                "id": seeded.object_id,
                "accountEnabled": true,
                "alternativeNames": names,
                "appDisplayName": null,
                "appId": seeded.client_id,
                "appRoleAssignmentRequired": false,
                "displayName": name,
                "servicePrincipalNames": [seeded.client_id],
                "servicePrincipalType": "ManagedIdentity"
            })),
        );
        seeded
    })
    .collect()
}

pub(super) fn add_app(
    seed: &Seed,
    tenant: &mut Tenant,
    app: &SeededApp,
    (start, end): (OffsetDateTime, OffsetDateTime),
) {
    let key_id = seed.id("keyId", &app.display_name);
    tenant.remember_secret(&key_id, &app.client_secret);
    let hint: String = app.client_secret.expose().chars().take(3).collect();
    let created = timestamp(start);
    tenant.insert_settled(
        Kind::Application,
        object(json!({
            "id": app.object_id,
            "appId": app.client_id,
            "createdDateTime": created,
            "displayName": app.display_name,
            "passwordCredentials": [{
                "customKeyIdentifier": null,
                "displayName": "seed",
                "endDateTime": timestamp(end),
                "hint": hint,
                "keyId": key_id,
                "startDateTime": created
            }],
            "publisherDomain": seed.custom_domain(),
            "signInAudience": "AzureADMyOrg"
        })),
    );
    tenant.insert_settled(
        Kind::ServicePrincipal,
        object(json!({
            "id": seed.id("servicePrincipal", &app.display_name),
            "accountEnabled": true,
            "appDisplayName": app.display_name,
            "appId": app.client_id,
            "appOwnerOrganizationId": tenant.id(),
            "appRoleAssignmentRequired": false,
            "displayName": app.display_name,
            "servicePrincipalNames": [app.client_id],
            "servicePrincipalType": "Application",
            "signInAudience": "AzureADMyOrg"
        })),
    );
}

/// Consents to the named application permissions of Graph, or to all.
fn grant(seed: &Seed, tenant: &mut Tenant, app: &SeededApp, permissions: Option<&[&str]>) {
    let graph = tenant.find(Kind::ServicePrincipal, "appId", GRAPH_APP_ID);
    let Some(graph) = graph else { return };
    let graph_id = text_of(graph, "id").to_owned();
    let roles: Vec<String> = items_of(graph, "appRoles")
        .iter()
        .filter_map(Value::as_object)
        .filter(|role| permissions.is_none_or(|wanted| wanted.contains(&text_of(role, "value"))))
        .map(|role| text_of(role, "id").to_owned())
        .collect();
    let created = tenant
        .current(Kind::Application, &app.object_id)
        .map(|application| text_of(application, "createdDateTime").to_owned());
    for role in roles {
        let assignment = json!({
            "id": derived_id(&[&app.object_id, &role]),
            "appRoleId": role,
            "createdDateTime": created,
            "principalDisplayName": app.display_name,
            "principalId": seed.id("servicePrincipal", &app.display_name),
            "principalType": "ServicePrincipal",
            "resourceDisplayName": "Microsoft Graph",
            "resourceId": graph_id
        });
        tenant.insert_settled(Kind::AppRoleAssignment, object(assignment));
    }
}

static GRAPH_PERMISSIONS: LazyLock<(Vec<Value>, Vec<Value>)> = LazyLock::new(graph_permissions);

/// Graph's application permissions and its delegated ones. Microsoft's table of paths knows some
/// that its list of ids does not; their ids are made up here, and a client has to ask the service
/// principal anyhow.
fn graph_permissions() -> (Vec<Value>, Vec<Value>) {
    let index: Map<String, Value> = serde_json::from_str(PERMISSION_IDS).unwrap_or_default();
    let (mut roles, mut scopes) = (Vec::new(), Vec::new());
    for (name, ids) in &index {
        if let Some(id) = ids.get("applicationScopesList").and_then(Value::as_str) {
            roles.push(app_role(name, id));
        }
        if let Some(id) = ids.get("delegatedScopesList").and_then(Value::as_str) {
            scopes.push(scope(name, id));
        }
    }
    for (name, scheme) in table_permissions() {
        let id = derived_id(&["permission", scheme, name]);
        match scheme {
            "Application" if !has(&roles, name) => roles.push(app_role(name, &id)),
            "DelegatedWork" if !has(&scopes, name) => scopes.push(scope(name, &id)),
            _ => {}
        }
    }
    (roles, scopes)
}

fn table_permissions() -> impl Iterator<Item = (&'static str, &'static str)> {
    PERMISSION_TABLE.lines().flat_map(|line| {
        let mut columns = line.split('\t').skip(2);
        let scheme = columns.next().unwrap_or_default();
        let names = columns.next().unwrap_or_default();
        names
            .split(", ")
            .map(move |name| (name.trim_start_matches('*'), scheme))
    })
}

fn has(permissions: &[Value], name: &str) -> bool {
    permissions
        .iter()
        .any(|permission| permission.get("value").and_then(Value::as_str) == Some(name))
}

fn app_role(value: &str, id: &str) -> Value {
    json!({
        "allowedMemberTypes": ["Application"],
        "description": value,
        "displayName": value,
        "id": id,
        "isEnabled": true,
        "origin": "Application",
        "value": value
    })
}

fn scope(value: &str, id: &str) -> Value {
    let by_user = USER_CONSENT.contains(&value);
    json!({
        "adminConsentDescription": value,
        "adminConsentDisplayName": value,
        "id": id,
        "isEnabled": true,
        "origin": "Application",
        "type": if by_user { "User" } else { "Admin" },
        "userConsentDescription": value,
        "userConsentDisplayName": value,
        "value": value
    })
}

fn object(value: Value) -> Object {
    match value {
        Value::Object(object) => object,
        _ => Object::new(),
    }
}

const PERMISSION_IDS: &str = include_str!("../../data/permidx.json");
const PERMISSION_TABLE: &str = include_str!("../../data/permtable.tsv");

/// Delegated permissions to which a user may consent alone (Learn, "Microsoft Graph permissions
/// reference", AdminConsentRequired: No). Not complete.
const USER_CONSENT: [&str; 7] = [
    "openid",
    "profile",
    "email",
    "offline_access",
    "User.Read",
    "User.ReadWrite",
    "User.ReadBasic.All",
];

/// The tenant that owns Microsoft's first-party applications.
const MICROSOFT_TENANT: &str = "f8cdef31-a31e-4b4a-93e4-5f571e91255a";

/// App id, display name, service principal names.
const MICROSOFT_APPS: [(&str, &str, &[&str]); 4] = [
    (
        GRAPH_APP_ID,
        "Microsoft Graph",
        &[
            "https://graph.microsoft.com/",
            "https://graph.microsoft.com",
            "https://graph.microsoft.us",
            "https://dod-graph.microsoft.us",
            "https://microsoftgraph.chinacloudapi.cn",
            "https://canary.graph.microsoft.com",
        ],
    ),
    (
        "00000002-0000-0000-c000-000000000000",
        "Windows Azure Active Directory",
        &["https://graph.windows.net", "https://graph.windows.net/"],
    ),
    (
        "797f4846-ba00-4fd7-ba43-dac1f8f63013",
        "Windows Azure Service Management API",
        &[
            "https://management.core.windows.net/",
            "https://management.azure.com/",
        ],
    ),
    (
        TOKEN_EXCHANGE_APP_ID,
        "AAD Token Exchange Endpoint: Public",
        &["api://AzureADTokenExchange"],
    ),
];
