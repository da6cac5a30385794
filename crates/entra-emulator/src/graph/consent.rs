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

/// Terraform's provider for Entra retries both refusals: 404, and for an object that not every
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::graph::testing::{Desk, values};
    use crate::tenant::text_of;

    const READ_ALL: &str = "df021288-bdef-4463-88db-98f22de89214";

    /// An application with a principal, and the ids of the principal and of Graph's.
    fn client(desk: &mut Desk) -> (String, String) {
        let app = desk.ok("POST", "/applications", json!({"displayName": "Relay"}));
        desk.wait(10);
        let principal = desk.ok("POST", "/servicePrincipals", json!({"appId": app["appId"]}));
        let graph = desk.tenant.resource("https://graph.microsoft.com").unwrap();
        let graph = text_of(graph, "id").to_owned();
        (principal["id"].as_str().unwrap().to_owned(), graph)
    }

    fn assignment(principal: &str, resource: &str, role: &str) -> Value {
        json!({"principalId": principal, "resourceId": resource, "appRoleId": role})
    }

    #[test]
    fn consent_reaches_the_token_and_is_given_once() {
        let mut desk = Desk::new();
        let (principal, graph) = client(&mut desk);
        let path = format!("/servicePrincipals/{graph}/appRoleAssignedTo");
        let body = assignment(&principal, &graph, READ_ALL);
        let granted = desk.ok("POST", &path, body.clone());
        assert_eq!(granted["resourceDisplayName"], "Microsoft Graph");
        assert_eq!(granted["principalType"], "ServicePrincipal");
        let roles = desk.tenant.granted_roles(&principal, &graph, desk.now);
        assert_eq!(roles, ["User.Read.All"]);

        let (status, _, message) = desk.refusal("POST", &path, body);
        let expected = "Permission being assigned already exists on the object";
        assert_eq!((status, message.as_str()), (400, expected));

        let list = format!("/servicePrincipals/{principal}/appRoleAssignments");
        assert_eq!(
            values(&desk.ok("GET", &list, Value::Null), "appRoleId"),
            [READ_ALL]
        );
        let one = format!("{path}/{}", granted["id"].as_str().unwrap());
        desk.ok("DELETE", &one, Value::Null);
        assert_eq!(
            desk.tenant
                .granted_roles(&principal, &graph, desk.now)
                .len(),
            0
        );
        assert_eq!(desk.get(&one).0, 404);
    }

    #[test]
    fn lists_and_tokens_learn_of_consent_later_than_its_own_id() {
        let mut desk = Desk::with_replication();
        let (principal, graph) = client(&mut desk);
        let path = format!("/servicePrincipals/{graph}/appRoleAssignedTo");
        let body = assignment(&principal, &graph, READ_ALL);
        let (status, _, message) = desk.refusal("POST", &path, body.clone());
        assert_eq!(
            (status, message.as_str()),
            (400, "Not a valid reference update.")
        );
        desk.wait(5);
        let granted = desk.ok("POST", &path, body);
        let one = format!("{path}/{}", granted["id"].as_str().unwrap());
        assert!((0..6).all(|_| desk.get(&one).0 == 200));
        let list = format!("/servicePrincipals/{principal}/appRoleAssignments");
        let listed = |desk: &mut Desk| -> usize {
            (0..6)
                .map(|_| values(&desk.ok("GET", &list, Value::Null), "id").len())
                .sum()
        };
        desk.wait(9);
        assert_eq!(
            desk.tenant
                .granted_roles(&principal, &graph, desk.now)
                .len(),
            0
        );
        desk.wait(1);
        assert_eq!(
            desk.tenant
                .granted_roles(&principal, &graph, desk.now)
                .len(),
            1
        );
        assert_eq!(listed(&mut desk), 3);
        desk.wait(20);
        assert_eq!(listed(&mut desk), 6);
    }

    #[test]
    fn what_cannot_be_assigned_is_refused() {
        let mut desk = Desk::new();
        let (principal, graph) = client(&mut desk);
        let user = desk.seeded.users[0].object_id.clone();
        let nobody = "99999999-9999-4999-8999-999999999999";
        let unknown = "Permission being assigned was not found on application \
                       '00000003-0000-0000-c000-000000000000'.";
        let missing = "Resource '99999999-9999-4999-8999-999999999999' does not exist or one of \
                       its queried reference-property objects are not present.";
        let path = format!("/servicePrincipals/{graph}/appRoleAssignedTo");
        for (body, expected) in [
            (assignment(&principal, &graph, nobody), unknown),
            (assignment(&user, &graph, READ_ALL), unknown),
            (assignment(nobody, &graph, READ_ALL), missing),
            (
                assignment(&principal, &principal, READ_ALL),
                "The value of 'resourceId' does not match the object in the path.",
            ),
            (
                json!({"principalId": principal}),
                "A value is required for property 'resourceId' of resource 'AppRoleAssignment'.",
            ),
        ] {
            assert_eq!(desk.refusal("POST", &path, body).2, expected);
        }
        let zero = "00000000-0000-0000-0000-000000000000";
        let path = format!("/servicePrincipals/{principal}/appRoleAssignedTo");
        desk.ok("POST", &path, assignment(&user, &principal, zero));
    }

    #[test]
    fn consent_needs_two_permissions() {
        let mut desk = Desk::new();
        let (principal, graph) = client(&mut desk);
        let path = format!("/servicePrincipals/{graph}/appRoleAssignedTo");
        let body = assignment(&principal, &graph, READ_ALL);
        let mut desk = desk.served_to(&["AppRoleAssignment.ReadWrite.All"]);
        assert_eq!(desk.call("POST", &path, body.clone()).0, 403);
        let mut desk = desk.served_to(&["Application.ReadWrite.All"]);
        assert_eq!(desk.call("POST", &path, body.clone()).0, 403);
        let roles = ["AppRoleAssignment.ReadWrite.All", "Application.Read.All"];
        let mut desk = desk.served_to(&roles);
        assert_eq!(desk.call("POST", &path, body).0, 201);
        assert_eq!(desk.allowed_by, Some(roles.join(" ")));
    }
}
