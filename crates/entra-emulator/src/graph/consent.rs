//! App role assignments: consent to application permissions, and assignment of people to an
//! application (Learn, "Grant an appRoleAssignment for a service principal").

use aws_lc_rs::rand;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use uuid::Uuid;

use super::error::GraphError;
use super::list::{self as collection, Rows};
use super::noun::Noun;
use super::{Answer, Exchange, body};
use crate::tenant::{Kind, Object, items_of, text_of, timestamp};

/// Who was assigned to this resource.
pub(crate) fn list_assigned_to(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    list(exchange, Kind::ServicePrincipal, "resourceId")
}

/// What was assigned to this client.
pub(crate) fn list_of_service_principal(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    list(exchange, Kind::ServicePrincipal, "principalId")
}

pub(crate) fn list_of_user(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    list(exchange, Kind::User, "principalId")
}

pub(crate) fn list_of_group(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    list(exchange, Kind::Group, "principalId")
}

pub(crate) fn assign_as_resource(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    assign(exchange, Kind::ServicePrincipal, "resourceId")
}

pub(crate) fn assign_to_service_principal(
    exchange: &mut Exchange<'_>,
) -> Result<Answer, GraphError> {
    assign(exchange, Kind::ServicePrincipal, "principalId")
}

pub(crate) fn assign_to_user(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    assign(exchange, Kind::User, "principalId")
}

pub(crate) fn assign_to_group(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    assign(exchange, Kind::Group, "principalId")
}

/// One assignment by its id. Unlike the lists it is seen at once.
pub(crate) fn get_of_service_principal(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    let assignment = second(exchange)?;
    exchange.single(KIND, &assignment).map(Answer::Object)
}

pub(crate) fn remove(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    let assignment = second(exchange)?;
    exchange.tenant.remove(KIND, text_of(&assignment, "id"));
    Ok(Answer::Empty)
}

fn list(exchange: &mut Exchange<'_>, owner: Kind, property: &str) -> Result<Answer, GraphError> {
    let id = exchange.subject_id(owner)?;
    let seen = exchange
        .tenant
        .rows(KIND)
        .into_iter()
        .flat_map(|rows| rows.values())
        .filter(|row| text_of(row.current(), property) == id)
        .filter_map(|row| row.seen(KIND, &exchange.glance))
        .collect();
    collection::answer(exchange, &Rows::Some(KIND, seen))
}

/// The assignment that the second key names, if it is one of the first key's.
fn second(exchange: &Exchange<'_>) -> Result<Object, GraphError> {
    let owner = exchange.subject_id(Kind::ServicePrincipal)?;
    let id = exchange.key(1)?.text();
    exchange
        .tenant
        .current(KIND, id)
        .filter(|assignment| {
            text_of(assignment, "principalId") == owner
                || text_of(assignment, "resourceId") == owner
        })
        .cloned()
        .ok_or_else(|| GraphError::not_found(id))
}

fn assign(
    exchange: &mut Exchange<'_>,
    owner: Kind,
    own_property: &str,
) -> Result<Answer, GraphError> {
    let owner_id = exchange.subject_id(owner)?;
    let wanted = body::check(Noun::of(KIND), exchange.json()?, &[])?.properties;
    for property in ["principalId", "resourceId", "appRoleId"] {
        if text_of(&wanted, property).is_empty() {
            return Err(GraphError::missing(property, "AppRoleAssignment"));
        }
    }
    if !text_of(&wanted, own_property).eq_ignore_ascii_case(&owner_id) {
        return Err(GraphError::bad_request(format!(
            "The value of '{own_property}' does not match the object in the path."
        )));
    }
    let principal_id = text_of(&wanted, "principalId").to_ascii_lowercase();
    let resource_id = text_of(&wanted, "resourceId").to_ascii_lowercase();
    let role_id = text_of(&wanted, "appRoleId").to_ascii_lowercase();
    let (principal_kind, principal) = principal(exchange, &principal_id)?;
    let resource = settled(exchange, Kind::ServicePrincipal, &resource_id)?;
    check_role(&resource, &role_id, principal_kind)?;
    check_new(exchange, [&principal_id, &resource_id, &role_id])?;
    let created = timestamp(exchange.now());
    let assignment = json!({
        "id": new_id(),
        "appRoleId": role_id,
        "createdDateTime": created,
        "principalDisplayName": principal.get("displayName"),
        "principalId": principal_id,
        "principalType": match principal_kind {
            Kind::User => "User",
            Kind::Group => "Group",
            _ => "ServicePrincipal",
        },
        "resourceDisplayName": resource.get("displayName"),
        "resourceId": resource_id
    });
    let assignment = assignment.as_object().cloned().unwrap_or_default();
    let now = exchange.now();
    exchange.tenant.insert(KIND, assignment.clone(), now);
    let shown = exchange.single(KIND, &assignment)?;
    Ok(Answer::Created(shown))
}

fn principal(exchange: &Exchange<'_>, id: &str) -> Result<(Kind, Object), GraphError> {
    let kind = exchange
        .tenant
        .kind_of(id)
        .filter(|kind| matches!(kind, Kind::User | Kind::Group | Kind::ServicePrincipal))
        .ok_or_else(|| GraphError::not_found(id))?;
    Ok((kind, settled(exchange, kind, id)?))
}

/// Microsoft's Terraform provider retries both refusals: 404, and for an object that not every
/// replica knows, "Not a valid reference update".
fn settled(exchange: &Exchange<'_>, kind: Kind, id: &str) -> Result<Object, GraphError> {
    let tenant = &exchange.tenant;
    let row = tenant
        .row(kind, id)
        .ok_or_else(|| GraphError::not_found(id))?;
    let delay = tenant.replication().of(kind);
    row.settled_after(exchange.now(), delay)
        .map(|_| row.current().clone())
        .ok_or_else(|| GraphError::bad_request("Not a valid reference update."))
}

/// The role has to be enabled and open to this type of principal. The zero id stands for default
/// access, where the resource declares no role for this type.
fn check_role(resource: &Object, role_id: &str, principal: Kind) -> Result<(), GraphError> {
    let member_type = match principal {
        Kind::ServicePrincipal => "Application",
        _ => "User",
    };
    let mut open = items_of(resource, "appRoles")
        .iter()
        .filter_map(Value::as_object)
        .filter(|role| {
            let types = items_of(role, "allowedMemberTypes");
            role.get("isEnabled") == Some(&Value::Bool(true))
                && types.iter().any(|allowed| allowed == member_type)
        });
    let found = if role_id == Uuid::nil().to_string() {
        open.next().is_none()
    } else {
        open.any(|role| text_of(role, "id").eq_ignore_ascii_case(role_id))
    };
    if found {
        return Ok(());
    }
    Err(GraphError::bad_request(format!(
        "Permission being assigned was not found on application '{}'.",
        text_of(resource, "appId")
    ))
    .with_detail("InvalidUpdate", "appRoleId"))
}

fn check_new(
    exchange: &Exchange<'_>,
    [principal, resource, role]: [&str; 3],
) -> Result<(), GraphError> {
    let exists = exchange.tenant.all(KIND).any(|assignment| {
        text_of(assignment, "principalId") == principal
            && text_of(assignment, "resourceId") == resource
            && text_of(assignment, "appRoleId").eq_ignore_ascii_case(role)
    });
    if exists {
        return Err(GraphError::bad_request(
            "Permission being assigned already exists on the object",
        )
        .with_detail("InvalidUpdate", "appRoleId"));
    }
    Ok(())
}

/// Ids of assignments are no GUIDs: 32 bytes in base64url.
fn new_id() -> String {
    let mut bytes = [0; 32];
    match rand::fill(&mut bytes) {
        Ok(()) => URL_SAFE_NO_PAD.encode(bytes),
        Err(_) => Uuid::new_v4().to_string(),
    }
}

const KIND: Kind = Kind::AppRoleAssignment;
