//! What was deleted and can be restored, and objects of any type by id (Learn, "List deletedItems
//! (directory objects)", "directoryObject: getByIds").

use http::StatusCode;
use serde_json::{Value, json};

use super::error::GraphError;
use super::list::{self as collection, Rows};
use super::noun::Noun;
use super::{Answer, Exchange};
use crate::tenant::{Kind, Link, Object, Tenant, items_of, text_of};

/// Deleted objects of the type at the end of the path.
pub(crate) fn list_deleted(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    let Some(cast) = exchange.cast.as_deref() else {
        return Err(GraphError::malformed(
            "A type is required at the end of the path, as in \
             /directory/deletedItems/microsoft.graph.application.",
        ));
    };
    let kind = Kind::DIRECTORY_OBJECTS
        .into_iter()
        .find(|kind| Noun::of(*kind).type_name == cast);
    if kind.is_some_and(|kind| !exchange.holds(reading(kind))) {
        return Err(GraphError::denied());
    }
    let deleted = exchange.tenant.deleted().values();
    let objects = deleted
        .map(|deleted| (deleted.kind, &deleted.object))
        .collect();
    collection::answer(exchange, &Rows::Mixed(objects))
}

pub(crate) fn get_deleted(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    let id = exchange.key(0)?.text();
    let deleted = exchange
        .tenant
        .deleted()
        .get(id)
        .ok_or_else(|| GraphError::not_found(id))?;
    if !exchange.holds(reading(deleted.kind)) {
        return Err(GraphError::denied());
    }
    let mut shown = exchange.single(deleted.kind, &deleted.object)?;
    let odata_type = Noun::of(deleted.kind).odata_type();
    shown.insert("@odata.type".to_owned(), json!(odata_type));
    Ok(Answer::Object(shown))
}

pub(crate) fn purge(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    let id = exchange.key(0)?.text().to_owned();
    check_kind(exchange, &id)?;
    // Learn, "Permanently delete an item (directory object)": groups not by an application.
    let deleted = exchange.tenant.deleted().get(&id);
    let is_group = deleted.is_some_and(|deleted| deleted.kind == Kind::Group);
    if is_group && exchange.call.caller.user_id.is_none() {
        return Err(GraphError::denied());
    }
    exchange.tenant.purge(&id);
    Ok(Answer::Empty)
}

pub(crate) fn restore(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    let id = exchange.key(0)?.text().to_owned();
    let object = check_kind(exchange, &id)?;
    check_restorable(exchange.tenant, &object)?;
    let now = exchange.now();
    let kind = exchange
        .tenant
        .restore(&id, now)
        .ok_or_else(|| GraphError::not_found(&id))?;
    let object = exchange
        .tenant
        .current(kind, &id)
        .cloned()
        .unwrap_or_default();
    let mut shown = exchange.single(kind, &object)?;
    shown.insert("@odata.type".to_owned(), json!(Noun::of(kind).odata_type()));
    Ok(Answer::Object(shown))
}

pub(crate) fn get_object(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    let id = exchange.key(0)?.text();
    let kind = exchange
        .tenant
        .kind_of(id)
        .ok_or_else(|| GraphError::not_found(id))?;
    let object = exchange.subject(kind)?;
    let mut shown = exchange.single(kind, object)?;
    shown.insert("@odata.type".to_owned(), json!(Noun::of(kind).odata_type()));
    Ok(Answer::Object(shown))
}

/// Unknown ids are left out, as in Graph.
pub(crate) fn get_by_ids(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    let json = exchange.json()?;
    let ids = items_of(&json, "ids");
    if ids.is_empty() || ids.len() > MOST_IDS {
        return Err(
            GraphError::bad_request("Between 1 and 1000 ids must be specified.")
                .with_detail("InvalidValue", "ids"),
        );
    }
    let types = items_of(&json, "types");
    let found: Vec<(Kind, &str)> = ids
        .iter()
        .filter_map(Value::as_str)
        .filter_map(|id| Some((exchange.tenant.kind_of(id)?, id)))
        .filter(|(kind, _)| {
            let name = Noun::of(*kind).type_name;
            types.is_empty()
                || types
                    .iter()
                    .any(|kind| kind == name || kind == "directoryObject")
        })
        .collect();
    let rows = Rows::linked(exchange.tenant, &exchange.glance, found);
    collection::answer(exchange, &rows)
}

/// The deleted object, if the caller may write objects of its type or owns it.
fn check_kind(exchange: &Exchange<'_>, id: &str) -> Result<Object, GraphError> {
    let deleted = exchange
        .tenant
        .deleted()
        .get(id)
        .ok_or_else(|| GraphError::not_found(id))?;
    let owner = &exchange.call.caller.service_principal_id;
    let owns = matches!(deleted.kind, Kind::Application | Kind::ServicePrincipal)
        && exchange.holds(&["Application.ReadWrite.OwnedBy"])
        && exchange.tenant.is_linked(id, Link::Owner, owner);
    if owns || exchange.holds(writing(deleted.kind)) {
        Ok(deleted.object.clone())
    } else {
        Err(GraphError::denied())
    }
}

/// Learn, "Get deleted item (directory object)": the permission depends on the type.
fn reading(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::User => &["User.Read.All"],
        Kind::Group => &["Group.Read.All"],
        _ => &["Application.Read.All"],
    }
}

/// Learn, "Restore deleted item (directory object)", "Permanently delete an item (directory
/// object)".
fn writing(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::User => &["User.DeleteRestore.All", "User.ReadWrite.All"],
        Kind::Group => &["Group.ReadWrite.All"],
        _ => &["Application.ReadWrite.All"],
    }
}

/// A user's name may have been given to another since; a service principal comes back only
/// beside its application.
fn check_restorable(tenant: &Tenant, object: &Object) -> Result<(), GraphError> {
    let name = text_of(object, "userPrincipalName");
    let taken = !name.is_empty() && tenant.user_id(name).is_some();
    let app_id = text_of(object, "appId");
    let is_principal = !text_of(object, "servicePrincipalType").is_empty();
    let doubled = is_principal
        && tenant
            .find(Kind::ServicePrincipal, "appId", app_id)
            .is_some();
    if taken || doubled {
        return Err(GraphError::new(
            StatusCode::CONFLICT,
            "Request_MultipleObjectsWithSameKeyValue",
            "The object cannot be restored because another object has taken its place.",
        ));
    }
    Ok(())
}

const MOST_IDS: usize = 1_000;

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::graph::testing::{Desk, values};

    #[test]
    fn objects_are_found_by_id_whatever_their_type() {
        let mut desk = Desk::new();
        let user = desk.seeded.users[0].object_id.clone();
        let principal = desk.caller.service_principal_id.clone();
        let nobody = "99999999-9999-4999-8999-999999999999";
        let body = json!({"ids": [user, principal, nobody]});
        let found = desk.ok("POST", "/directoryObjects/getByIds", body);
        let types = values(&found, "@odata.type");
        assert_eq!(
            types,
            ["#microsoft.graph.user", "#microsoft.graph.servicePrincipal"]
        );
        let body = json!({"ids": [user, principal], "types": ["user"]});
        let found = desk.ok("POST", "/directoryObjects/getByIds", body);
        assert_eq!(values(&found, "id"), std::slice::from_ref(&user));
        let one = desk.ok("GET", &format!("/directoryObjects/{user}"), Value::Null);
        assert_eq!(one["@odata.type"], "#microsoft.graph.user");
        let none = desk.call("POST", "/directoryObjects/getByIds", json!({"ids": []}));
        assert_eq!(none.0, 400);
    }

    #[test]
    fn restoring_needs_the_permission_for_the_type() {
        let mut desk = Desk::new();
        let app = desk.ok("POST", "/applications", json!({"displayName": "a"}));
        let id = app["id"].as_str().unwrap();
        desk.ok("DELETE", &format!("/applications/{id}"), Value::Null);
        let deleted = format!("/directory/deletedItems/{id}");
        let restore = format!("{deleted}/restore");
        let mut desk = desk.served_to(&["User.ReadWrite.All"]);
        assert_eq!(desk.get(&deleted).0, 403);
        let list = "/directory/deletedItems/microsoft.graph.";
        assert_eq!(desk.get(&[list, "application"].concat()).0, 403);
        assert_eq!(desk.get(&[list, "user"].concat()).0, 200);
        assert_eq!(desk.call("POST", &restore, json!({})).0, 403);
        let mut desk = desk.served_to(&["Application.ReadWrite.All"]);
        assert_eq!(desk.call("POST", &restore, json!({})).0, 200);
    }

    #[test]
    fn an_owner_restores_and_purges_what_it_owns_alone() {
        let owned_by = &["Application.ReadWrite.OwnedBy"];
        let mut desk = Desk::new();
        let foreign = desk.ok("POST", "/applications", json!({"displayName": "foreign"}));
        let mut desk = desk.served_to(owned_by);
        let own = desk.ok("POST", "/applications", json!({"displayName": "own"}));
        let mut desk = desk.served_to(&["Application.ReadWrite.All"]);
        for app in [&own, &foreign] {
            let path = format!("/applications/{}", app["id"].as_str().unwrap());
            desk.ok("DELETE", &path, Value::Null);
        }
        let mut desk = desk.served_to(owned_by);
        let deleted =
            |app: &Value| format!("/directory/deletedItems/{}", app["id"].as_str().unwrap());
        let restore = [&deleted(&own), "/restore"].concat();
        assert_eq!(desk.call("DELETE", &deleted(&foreign), Value::Null).0, 403);
        assert_eq!(desk.call("POST", &restore, json!({})).0, 200);
        let path = format!("/applications/{}", own["id"].as_str().unwrap());
        desk.ok("DELETE", &path, Value::Null);
        assert_eq!(desk.call("DELETE", &deleted(&own), Value::Null).0, 204);
    }

    #[test]
    fn an_application_restores_a_group_and_does_not_purge_it() {
        let mut desk = Desk::new();
        let group = json!({"displayName": "g", "mailNickname": "g", "mailEnabled": true,
            "securityEnabled": false, "groupTypes": ["Unified"]});
        let group = desk.ok("POST", "/groups", group);
        let id = group["id"].as_str().unwrap();
        desk.ok("DELETE", &format!("/groups/{id}"), Value::Null);
        let deleted = format!("/directory/deletedItems/{id}");
        assert_eq!(desk.call("DELETE", &deleted, Value::Null).0, 403);
        let restore = format!("{deleted}/restore");
        assert_eq!(desk.call("POST", &restore, json!({})).0, 200);
    }

    #[test]
    fn a_name_that_was_given_away_is_not_restored() {
        let mut desk = Desk::new();
        let user = desk.seeded.users[1].clone();
        desk.ok("DELETE", &format!("/users/{}", user.object_id), Value::Null);
        let successor = json!({"accountEnabled": true, "displayName": "s", "mailNickname": "s",
            "userPrincipalName": user.user_principal_name,
            "passwordProfile": {"password": "Correct-Horse-1"}});
        desk.ok("POST", "/users", successor);
        let restore = format!("/directory/deletedItems/{}/restore", user.object_id);
        assert_eq!(desk.call("POST", &restore, json!({})).0, 409);
    }
}
