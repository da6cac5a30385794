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
