//! Service principals (Learn, "servicePrincipal resource type" and its operations).

use http::StatusCode;
use serde_json::{Value, json};
use time::OffsetDateTime;
use uuid::Uuid;

use super::error::GraphError;
use super::list::{self as collection, Rows};
use super::noun::Noun;
use super::{Answer, Exchange, application, body, reference};
use crate::tenant::{Kind, Link, Object, Tenant, text_of};

pub(crate) fn list(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    let rows = Rows::Table(KIND, exchange.tenant.rows(KIND));
    collection::answer(exchange, &rows)
}

pub(crate) fn get(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    let principal = exchange.subject(KIND)?;
    exchange.single(KIND, principal).map(Answer::Object)
}

/// Makes the service principal of an application that every replica knows.
pub(crate) fn create(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    let body = body::check(Noun::of(KIND), exchange.json()?, &[])?;
    let properties = body.properties;
    let app_id = text_of(&properties, "appId").to_owned();
    if app_id.is_empty() {
        return Err(GraphError::missing("appId", LABEL));
    }
    let application = backing_application(exchange, &app_id)?;
    if exchange.tenant.find(KIND, "appId", &app_id).is_some() {
        return Err(GraphError::new(
            StatusCode::CONFLICT,
            "Request_MultipleObjectsWithSameKeyValue",
            format!(
                "The service principal cannot be created, updated, or restored because the \
                 service principal name {app_id} is already in use."
            ),
        ));
    }
    let mut principal = application::repeated(&application);
    let given = json!({
        "id": Uuid::new_v4().to_string(),
        "accountEnabled": true,
        "appId": text_of(&application, "appId"),
        "appOwnerOrganizationId": exchange.tenant.id(),
        "appRoleAssignmentRequired": false,
        "createdByAppId": exchange.call.caller.app_id,
        "servicePrincipalType": "Application"
    });
    principal.extend(given.as_object().cloned().unwrap_or_default());
    principal.extend(properties.into_iter().filter(|(_, value)| !value.is_null()));
    let now = exchange.now();
    let id = exchange.tenant.insert(KIND, principal.clone(), now);
    application::own(exchange, &id);
    let shown = exchange.single(KIND, &principal)?;
    Ok(Answer::Created(shown))
}

pub(crate) fn update(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    let body = body::check(Noun::of(KIND), exchange.json()?, &[])?;
    let old = exchange.subject_to_write(KIND)?;
    let patch = body.properties;
    if patch
        .get("appId")
        .is_some_and(|id| Some(id) != old.get("appId"))
    {
        return Err(GraphError::read_only("appId"));
    }
    for property in ["passwordCredentials", "keyCredentials"] {
        if patch
            .get(property)
            .is_some_and(|value| Some(value) != old.get(property))
        {
            return Err(GraphError::read_only(property));
        }
    }
    check_sign_on_mode(&patch)?;
    let mut new = old;
    body::merge(&mut new, patch);
    let id = text_of(&new, "id").to_owned();
    exchange.tenant.replace(KIND, &id, new, exchange.now());
    Ok(Answer::Empty)
}

pub(crate) fn delete(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    let principal = exchange.subject_to_write(KIND)?;
    let now = exchange.now();
    soft_delete(exchange.tenant, text_of(&principal, "id"), now);
    Ok(Answer::Empty)
}

/// Deletes a service principal; consent given to it and assignments to it are gone for good.
pub(crate) fn soft_delete(tenant: &mut Tenant, id: &str, now: OffsetDateTime) {
    for (kind, properties) in [
        (Kind::AppRoleAssignment, ["principalId", "resourceId"]),
        (Kind::PermissionGrant, ["clientId", "resourceId"]),
    ] {
        let gone: Vec<String> = tenant
            .all(kind)
            .filter(|object| properties.iter().any(|name| text_of(object, name) == id))
            .map(|object| text_of(object, "id").to_owned())
            .collect();
        for id in gone {
            tenant.remove(kind, &id);
        }
    }
    tenant.soft_delete(KIND, id, now);
}

pub(crate) fn owners(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    let id = exchange.subject_id(KIND)?;
    let ids = exchange.tenant.linked(&id, Link::Owner);
    let rows = Rows::linked(exchange.tenant, &exchange.glance, ids);
    collection::answer(exchange, &rows)
}

pub(crate) fn add_owner(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    reference::add(exchange, KIND, Link::Owner, &application::OWNERS)
}

pub(crate) fn remove_owner(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    reference::remove(exchange, KIND, Link::Owner)
}

pub(crate) fn member_of(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    let id = exchange.subject_id(KIND)?;
    let ids = exchange.tenant.linking(&id, Link::Member);
    let rows = Rows::linked(exchange.tenant, &exchange.glance, ids);
    collection::answer(exchange, &rows)
}

/// An application that is not there and one that is not replicated yet are refused alike. With
/// `Application.ReadWrite.OwnedBy` it has to be the caller's own.
fn backing_application(exchange: &Exchange<'_>, app_id: &str) -> Result<Object, GraphError> {
    let tenant = &exchange.tenant;
    let application = tenant
        .application_by_app_id(app_id, exchange.now())
        .and_then(|seen| tenant.current(Kind::Application, text_of(seen, "id")))
        .ok_or_else(|| {
            GraphError::bad_request(format!(
                "The appId '{app_id}' of the service principal does not reference a valid \
                 application object."
            ))
            .with_detail("NoBackingApplicationObject", "appId")
        })?;
    let owner = &exchange.call.caller.service_principal_id;
    let owns = tenant.is_linked(text_of(application, "id"), Link::Owner, owner);
    if exchange.access.owned_only && !owns {
        return Err(GraphError::denied());
    }
    Ok(application.clone())
}

fn check_sign_on_mode(patch: &Object) -> Result<(), GraphError> {
    match patch.get("preferredSingleSignOnMode") {
        None | Some(Value::Null) => Ok(()),
        Some(Value::String(mode))
            if matches!(mode.as_str(), "password" | "saml" | "notSupported" | "oidc") =>
        {
            Ok(())
        }
        Some(_) => Err(GraphError::invalid_value(
            "preferredSingleSignOnMode",
            LABEL,
        )),
    }
}

const KIND: Kind = Kind::ServicePrincipal;
const LABEL: &str = "ServicePrincipal";

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::graph::testing::{Desk, values};

    #[test]
    fn a_principal_repeats_its_application_and_follows_it() {
        let mut desk = Desk::new();
        let body = json!({"displayName": "Relay", "web": {"redirectUris": ["https://a.example/"]}});
        let app = desk.ok("POST", "/applications", body);
        let made = desk.ok("POST", "/servicePrincipals", json!({"appId": app["appId"]}));
        assert_eq!(made["appDisplayName"], "Relay");
        assert_eq!(made["replyUrls"], json!(["https://a.example/"]));
        assert_eq!(made["servicePrincipalNames"], json!([app["appId"]]));
        let path = format!("/applications/{}", app["id"].as_str().unwrap());
        let change = json!({"displayName": "New", "identifierUris": ["https://alpenglow.example"]});
        desk.ok("PATCH", &path, change);
        let path = format!("/servicePrincipals/{}", made["id"].as_str().unwrap());
        let principal = desk.ok("GET", &path, Value::Null);
        assert_eq!(principal["appDisplayName"], "New");
        assert!(desk.tenant.resource("https://alpenglow.example/").is_some());
        desk.ok(
            "PATCH",
            &path,
            json!({"accountEnabled": false, "tags": ["x"]}),
        );
        assert_eq!(desk.ok("GET", &path, Value::Null)["accountEnabled"], false);
    }

    #[test]
    fn a_principal_is_made_once_and_for_an_application_of_the_tenant() {
        let mut desk = Desk::new();
        let setup = desk.seeded.apps[0].client_id.clone();
        let (status, code, _) = desk.refusal("POST", "/servicePrincipals", json!({"appId": setup}));
        assert_eq!(
            (status, code.as_str()),
            (409, "Request_MultipleObjectsWithSameKeyValue")
        );
        let unknown = json!({"appId": "99999999-9999-4999-8999-999999999999"});
        assert_eq!(desk.call("POST", "/servicePrincipals", unknown).0, 400);
        let message = desk.refusal("POST", "/servicePrincipals", json!({})).2;
        assert_eq!(
            message,
            "A value is required for property 'appId' of resource 'ServicePrincipal'."
        );
        let path = format!("/servicePrincipals(appId='{setup}')");
        for body in [
            json!({"appId": "99999999-9999-4999-8999-999999999999"}),
            json!({"keyCredentials": [{}]}),
            json!({"preferredSingleSignOnMode": "magic"}),
        ] {
            assert_eq!(desk.call("PATCH", &path, body).0, 400);
        }
    }

    #[test]
    fn graph_offers_its_permissions_by_name() {
        let mut desk = Desk::new();
        let path = "/servicePrincipals(appId='00000003-0000-0000-c000-000000000000')\
                    ?$select=id,appRoles,oauth2PermissionScopes";
        let graph = desk.ok("GET", path, Value::Null);
        let id = |list: &str, value: &str| {
            let all = graph[list].as_array().unwrap();
            all.iter().find(|entry| entry["value"] == value).unwrap()["id"].clone()
        };
        assert_eq!(
            id("appRoles", "User.Read.All"),
            "df021288-bdef-4463-88db-98f22de89214"
        );
        assert_eq!(
            id("oauth2PermissionScopes", "User.Read"),
            "e1fe6dd8-ba31-4d61-89e7-88639da4683d"
        );
        let list = "/servicePrincipals?$filter=servicePrincipalNames/any(n:n eq \
                    'https://management.azure.com/')";
        let found = desk.ok("GET", list, Value::Null);
        assert_eq!(
            values(&found, "displayName"),
            ["Windows Azure Service Management API"]
        );
    }

    #[test]
    fn a_deleted_principal_loses_its_consent() {
        let mut desk = Desk::new();
        let app = &desk.seeded.apps[1];
        let path = format!("/servicePrincipals(appId='{}')", app.client_id);
        let principal = desk.ok("GET", &path, Value::Null);
        let id = principal["id"].as_str().unwrap();
        desk.ok("DELETE", &path, Value::Null);
        desk.ok(
            "POST",
            &format!("/directory/deletedItems/{id}/restore"),
            json!({}),
        );
        let list = format!("/servicePrincipals/{id}/appRoleAssignments");
        assert_eq!(desk.ok("GET", &list, Value::Null)["value"], json!([]));
    }
}
