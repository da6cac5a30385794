//! The applications of a new tenant that users sign in to: a web application with an API of its
//! own, and an application on devices that calls it.

use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};

use super::{Seed, SeededApp, SeededPublicApp, principal};
use crate::tenant::{GRAPH_APP_ID, Kind, Object, Tenant, text_of, timestamp};

/// Adds both, with an administrator's consent to what they need.
pub(super) fn add(
    seed: &Seed,
    tenant: &mut Tenant,
    now: OffsetDateTime,
) -> (SeededApp, SeededPublicApp) {
    let web = add_web_app(seed, tenant, now);
    let public = add_public_app(seed, tenant, now);
    consent(seed, tenant, WEB, GRAPH_APP_ID, GRAPH_SCOPES);
    consent(seed, tenant, PUBLIC, GRAPH_APP_ID, GRAPH_SCOPES);
    consent(seed, tenant, PUBLIC, &web.client_id, "access_as_user");
    (web, public)
}

fn add_web_app(seed: &Seed, tenant: &mut Tenant, now: OffsetDateTime) -> SeededApp {
    let app = SeededApp {
        display_name: WEB.to_owned(),
        client_id: seed.id("appId", WEB),
        object_id: seed.id("application", WEB),
        client_secret: seed.secret("application", WEB),
    };
    let lifetime = (now - Duration::days(365), now + Duration::days(365));
    principal::add_app(seed, tenant, &app, lifetime);
    let identifier = ["api://", &app.client_id].concat();
    let scopes = json!([{
        "adminConsentDescription": "Use the portal as the signed-in user.",
        "adminConsentDisplayName": "Use the portal",
        "id": seed.id("scope", WEB),
        "isEnabled": true,
        "type": "User",
        "userConsentDescription": "Use the portal as you.",
        "userConsentDisplayName": "Use the portal",
        "value": "access_as_user",
    }]);
    tenant.amend(Kind::Application, &app.object_id, |registration| {
        set(registration, "identifierUris", json!([identifier]));
        let api = json!({
            "knownClientApplications": [],
            "oauth2PermissionScopes": scopes,
            "preAuthorizedApplications": [],
            "requestedAccessTokenVersion": 2,
        });
        set(registration, "api", api);
        let web = json!({
            "implicitGrantSettings": {
                "enableAccessTokenIssuance": false,
                "enableIdTokenIssuance": true,
            },
            "logoutUrl": "https://localhost/signout-oidc",
            "redirectUris": ["https://localhost/signin-oidc", "http://localhost/signin-oidc"],
        });
        set(registration, "web", web);
    });
    let id = seed.id("servicePrincipal", WEB);
    tenant.amend(Kind::ServicePrincipal, &id, |principal| {
        set(principal, "oauth2PermissionScopes", scopes.clone());
        let names = json!([app.client_id, identifier]);
        set(principal, "servicePrincipalNames", names);
    });
    app
}

fn add_public_app(seed: &Seed, tenant: &mut Tenant, now: OffsetDateTime) -> SeededPublicApp {
    let app = SeededPublicApp {
        display_name: PUBLIC.to_owned(),
        client_id: seed.id("appId", PUBLIC),
        object_id: seed.id("application", PUBLIC),
    };
    let registration = json!({
        "id": app.object_id,
        "appId": app.client_id,
        "createdDateTime": timestamp(now - Duration::days(365)),
        "displayName": PUBLIC,
        "isFallbackPublicClient": true,
        "publicClient": {"redirectUris": ["http://localhost"]},
        "publisherDomain": seed.custom_domain(),
        "signInAudience": "AzureADMyOrg",
    });
    let principal = json!({
        "id": seed.id("servicePrincipal", PUBLIC),
        "accountEnabled": true,
        "appDisplayName": PUBLIC,
        "appId": app.client_id,
        "appOwnerOrganizationId": tenant.id(),
        "appRoleAssignmentRequired": false,
        "displayName": PUBLIC,
        "servicePrincipalNames": [app.client_id],
        "servicePrincipalType": "Application",
        "signInAudience": "AzureADMyOrg",
    });
    for (kind, object) in [
        (Kind::Application, registration),
        (Kind::ServicePrincipal, principal),
    ] {
        if let Value::Object(object) = object {
            tenant.insert_settled(kind, object);
        }
    }
    app
}

/// An administrator's consent for everybody.
fn consent(seed: &Seed, tenant: &mut Tenant, client: &str, resource: &str, scope: &str) {
    let resource_id = tenant
        .resource(resource)
        .map(|resource| text_of(resource, "id").to_owned());
    let grant = json!({
        "id": seed.id("oauth2PermissionGrant", &[client, resource].concat()),
        "clientId": seed.id("servicePrincipal", client),
        "consentType": "AllPrincipals",
        "principalId": null,
        "resourceId": resource_id,
        "scope": scope,
    });
    if let Value::Object(grant) = grant {
        tenant.insert_settled(Kind::PermissionGrant, grant);
    }
}

fn set(object: &mut Object, name: &str, value: Value) {
    object.insert(name.to_owned(), value);
}

const WEB: &str = "Staff Portal";
const PUBLIC: &str = "Field App";
const GRAPH_SCOPES: &str = "openid profile email offline_access User.Read";
