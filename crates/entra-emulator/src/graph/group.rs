//! Groups and their members (Learn, "group resource type" and its operations).

use serde_json::{Value, json};

use super::error::GraphError;
use super::list::{self as collection, Rows};
use super::noun::Noun;
use super::{Answer, Exchange, application, body, reference};
use crate::tenant::{Kind, Link, Object, items_of, text_of, timestamp};

pub(crate) fn list(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    let rows = Rows::Table(KIND, exchange.tenant.rows(KIND));
    collection::answer(exchange, &rows)
}

pub(crate) fn get(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    let group = exchange.subject(KIND)?;
    exchange.single(KIND, group).map(Answer::Object)
}

/// Learn, "Create group": a security group, or a Microsoft 365 group, which has an address.
pub(crate) fn create(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    let body = body::check(Noun::of(KIND), exchange.json()?, &[])?;
    let mut group = body.properties;
    for property in ["displayName", "mailNickname"] {
        if text_of(&group, property).is_empty() {
            return Err(GraphError::missing(property, LABEL));
        }
    }
    for property in ["mailEnabled", "securityEnabled"] {
        if !group.get(property).is_some_and(Value::is_boolean) {
            return Err(GraphError::missing(property, LABEL));
        }
    }
    check_kind(&group)?;
    let targets = bound(exchange, &body.bindings)?;
    let created = timestamp(exchange.now());
    group.insert("createdDateTime".to_owned(), json!(created));
    group.insert("renewedDateTime".to_owned(), json!(created));
    if is_unified(&group) {
        let domain = exchange.tenant.initial_domain();
        let mail = format!("{}@{domain}", text_of(&group, "mailNickname"));
        group.insert("mail".to_owned(), json!(mail));
        group.insert("proxyAddresses".to_owned(), json!([format!("SMTP:{mail}")]));
    }
    let now = exchange.now();
    let id = exchange.tenant.insert(KIND, group, now);
    for (link, target) in targets {
        reference::bind(exchange, &id, link, &target)?;
    }
    let group = exchange
        .tenant
        .current(KIND, &id)
        .cloned()
        .unwrap_or_default();
    let shown = exchange.single(KIND, &group)?;
    Ok(Answer::Created(shown))
}

/// Learn, "Update group": up to 20 members may be added by `members@odata.bind`.
pub(crate) fn update(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    let body = body::check(Noun::of(KIND), exchange.json()?, &[])?;
    let old = exchange.subject_to_write(KIND)?;
    for property in ["groupTypes", "isAssignableToRole"] {
        if body
            .properties
            .get(property)
            .is_some_and(|value| Some(value) != old.get(property))
        {
            return Err(GraphError::read_only(property));
        }
    }
    let targets = bound(exchange, &body.bindings)?;
    let mut group = old;
    body::merge(&mut group, body.properties);
    let id = text_of(&group, "id").to_owned();
    for (link, target) in targets {
        reference::bind(exchange, &id, link, &target)?;
    }
    exchange.tenant.replace(KIND, &id, group, exchange.now());
    Ok(Answer::Empty)
}

/// Learn, "Delete group": only a Microsoft 365 group can be restored.
pub(crate) fn delete(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    let group = exchange.subject_to_write(KIND)?;
    let (id, now) = (text_of(&group, "id"), exchange.now());
    if is_unified(&group) {
        exchange.tenant.soft_delete(KIND, id, now);
    } else {
        exchange.tenant.remove(KIND, id);
    }
    Ok(Answer::Empty)
}

pub(crate) fn members(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    let id = exchange.subject_id(KIND)?;
    let ids = exchange.tenant.linked(&id, Link::Member);
    let rows = Rows::linked(exchange.tenant, &exchange.glance, ids);
    collection::answer(exchange, &rows)
}

pub(crate) fn transitive_members(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    let id = exchange.subject_id(KIND)?;
    let ids = exchange.tenant.linked_transitively(&id, Link::Member);
    let rows = Rows::linked(exchange.tenant, &exchange.glance, ids);
    collection::answer(exchange, &rows)
}

pub(crate) fn member_of(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    let id = exchange.subject_id(KIND)?;
    let ids = exchange.tenant.linking(&id, Link::Member);
    let rows = Rows::linked(exchange.tenant, &exchange.glance, ids);
    collection::answer(exchange, &rows)
}

pub(crate) fn owners(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    let id = exchange.subject_id(KIND)?;
    let ids = exchange.tenant.linked(&id, Link::Owner);
    let rows = Rows::linked(exchange.tenant, &exchange.glance, ids);
    collection::answer(exchange, &rows)
}

pub(crate) fn add_member(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    let json = exchange.json()?;
    let target = reference::target(exchange, text_of(&json, "@odata.id"), &MEMBERS)?;
    check_member(exchange, &target)?;
    reference::add(exchange, KIND, Link::Member, &MEMBERS)
}

pub(crate) fn remove_member(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    reference::remove(exchange, KIND, Link::Member)
}

pub(crate) fn add_owner(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    reference::add(exchange, KIND, Link::Owner, &application::OWNERS)
}

pub(crate) fn remove_owner(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    reference::remove(exchange, KIND, Link::Owner)
}

/// Learn, "Add members": for a device or a service principal a second permission is needed. Some
/// versions of the page ask for one for users and groups too; that is not verified.
fn check_member(exchange: &Exchange<'_>, id: &str) -> Result<(), GraphError> {
    let app_only = exchange.call.caller.user_id.is_none();
    let needed: &[&str] = match exchange.tenant.kind_of(id) {
        Some(Kind::Device) if app_only => &["Device.ReadWrite.All", "Directory.ReadWrite.All"],
        Some(Kind::Device) => &["Device.Read.All", "Directory.Read.All"],
        Some(Kind::ServicePrincipal) => &["Application.ReadWrite.All", "Directory.ReadWrite.All"],
        _ => return Ok(()),
    };
    if exchange.holds(needed) {
        Ok(())
    } else {
        Err(GraphError::denied())
    }
}

/// The references in a body, each checked before any is written.
fn bound(
    exchange: &Exchange<'_>,
    bindings: &[(String, Vec<String>)],
) -> Result<Vec<(Link, String)>, GraphError> {
    let mut targets = Vec::new();
    for (name, references) in bindings {
        let (link, allowed): (Link, &[Kind]) = match name.as_str() {
            "members" => (Link::Member, &MEMBERS),
            "owners" => (Link::Owner, &application::OWNERS),
            _ => {
                return Err(GraphError::bad_request(format!(
                    "Invalid property '{name}'."
                )));
            }
        };
        if references.len() > MOST_REFERENCES {
            return Err(GraphError::bad_request(format!(
                "The number of references in '{name}@odata.bind' exceeds the limit of 20."
            )));
        }
        for reference in references {
            let target = reference::target(exchange, reference, allowed)?;
            if link == Link::Member {
                check_member(exchange, &target)?;
            }
            targets.push((link, target));
        }
    }
    Ok(targets)
}

fn check_kind(group: &Object) -> Result<(), GraphError> {
    let flag = |name| group.get(name) == Some(&Value::Bool(true));
    let types = items_of(group, "groupTypes");
    let known = types
        .iter()
        .all(|kind| kind == "Unified" || kind == "DynamicMembership");
    if !known {
        return Err(GraphError::invalid_value("groupTypes", LABEL));
    }
    // Distribution lists and mail-enabled security groups cannot be made by Graph.
    if flag("mailEnabled") != is_unified(group) || !(flag("securityEnabled") || is_unified(group)) {
        return Err(GraphError::bad_request(
            "The service does not currently support writes of mail-enabled groups. Please ensure \
             that the mail-enablement property is unset and the security-enablement property is \
             set.",
        ));
    }
    Ok(())
}

fn is_unified(group: &Object) -> bool {
    items_of(group, "groupTypes")
        .iter()
        .any(|kind| kind == "Unified")
}

const KIND: Kind = Kind::Group;
const LABEL: &str = "Group";
const MOST_REFERENCES: usize = 20;

/// Learn, "Add members": what a security group may hold.
const MEMBERS: [Kind; 4] = [
    Kind::User,
    Kind::Group,
    Kind::Device,
    Kind::ServicePrincipal,
];

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::graph::testing::{Desk, values};
    use crate::tenant::{Kind, text_of};

    fn path(desk: &Desk, name: &str) -> String {
        let group = desk.tenant.find(Kind::Group, "displayName", name).unwrap();
        format!("/groups/{}", text_of(group, "id"))
    }

    fn reference(id: &str) -> Value {
        json!({"@odata.id": format!("https://graph.microsoft.com/v1.0/directoryObjects/{id}")})
    }

    #[test]
    fn members_are_added_once_and_removed() {
        let mut desk = Desk::new();
        let partners = path(&desk, "Partners");
        let user = desk.seeded.users[0].object_id.clone();
        let add = format!("{partners}/members/$ref");
        desk.ok("POST", &add, reference(&user));
        let message = desk.refusal("POST", &add, reference(&user)).2;
        let expected = "One or more added object references already exist for the following \
                        modified properties: 'members'.";
        assert_eq!(message, expected);
        let remove = format!("{partners}/members/{user}/$ref");
        desk.ok("DELETE", &remove, Value::Null);
        assert_eq!(desk.call("DELETE", &remove, Value::Null).0, 404);
        let nobody = reference("99999999-9999-4999-8999-999999999999");
        assert_eq!(desk.call("POST", &add, nobody).0, 404);
        assert_eq!(desk.call("POST", &add, reference("x")).0, 400);
        let bound = json!({"members@odata.bind": [reference(&user)["@odata.id"]]});
        desk.ok("PATCH", &partners, bound);
        let members = desk.ok("GET", &format!("{partners}/members"), Value::Null);
        assert_eq!(values(&members, "id").len(), 5);
    }

    #[test]
    fn a_device_needs_a_permission_of_its_own_to_be_added() {
        let mut desk = Desk::new();
        let partners = path(&desk, "Partners");
        let devices = desk.ok("GET", "/devices?$top=1", Value::Null);
        let device = reference(&values(&devices, "id")[0]);
        let user = reference(&desk.seeded.users[0].object_id);
        let add = format!("{partners}/members/$ref");
        let mut desk = desk.served_to(&["GroupMember.ReadWrite.All"]);
        assert_eq!(desk.call("POST", &add, user).0, 204);
        assert_eq!(desk.call("POST", &add, device.clone()).0, 403);
        let both = ["GroupMember.ReadWrite.All", "Device.ReadWrite.All"];
        assert_eq!(desk.served_to(&both).call("POST", &add, device).0, 204);
    }

    #[test]
    fn members_are_of_several_types_and_a_cast_narrows_them() {
        let mut desk = Desk::new();
        let staff = path(&desk, "All Staff");
        let members = desk.ok("GET", &format!("{staff}/members"), Value::Null);
        let types = values(&members, "@odata.type");
        assert_eq!(
            types,
            [
                "#microsoft.graph.group",
                "#microsoft.graph.group",
                "#microsoft.graph.user"
            ]
        );
        let cast = format!("{staff}/transitiveMembers/microsoft.graph.group");
        let groups = desk.ok("GET", &cast, Value::Null);
        assert_eq!(
            values(&groups, "displayName"),
            ["Technology", "Commercial", "Engineering", "IT Operations"]
        );
        desk.headers = vec![("ConsistencyLevel", "eventual")];
        let count = format!("{staff}/transitiveMembers/microsoft.graph.user/$count");
        assert_eq!(desk.get(&count).1, json!(29));
    }

    #[test]
    fn a_cycle_of_groups_ends() {
        let mut desk = Desk::new();
        let (staff, engineering) = (path(&desk, "All Staff"), path(&desk, "Engineering"));
        let id = staff.trim_start_matches("/groups/").to_owned();
        desk.ok(
            "POST",
            &format!("{engineering}/members/$ref"),
            reference(&id),
        );
        let all = desk.ok(
            "GET",
            &format!("{staff}/transitiveMembers?$top=999"),
            Value::Null,
        );
        assert_eq!(values(&all, "id").len(), 33);
    }

    #[test]
    fn of_members_that_the_caller_may_not_read_only_the_id_is_told() {
        let desk = Desk::new();
        let partners = path(&desk, "Partners");
        let mut desk = desk.served_to(&["GroupMember.Read.All"]);
        let members = desk.ok("GET", &format!("{partners}/members"), Value::Null);
        let member = &members["value"][0];
        assert!(member["id"].is_string());
        assert_eq!(member["@odata.type"], "#microsoft.graph.user");
        assert_eq!(member["displayName"], Value::Null);
    }

    #[test]
    fn a_group_is_for_security_or_unified() {
        let mut desk = Desk::new();
        let group = |types: Value, mail: bool, security: bool| {
            json!({"displayName": "g", "mailNickname": "g", "groupTypes": types,
                "mailEnabled": mail, "securityEnabled": security})
        };
        assert_eq!(
            desk.call("POST", "/groups", group(json!([]), true, true)).0,
            400
        );
        assert_eq!(
            desk.call("POST", "/groups", group(json!([]), false, false))
                .0,
            400
        );
        assert_eq!(
            desk.call("POST", "/groups", group(json!(["x"]), false, true))
                .0,
            400
        );
        desk.ok("POST", "/groups", group(json!([]), false, true));
        let unified = desk.ok("POST", "/groups", group(json!(["Unified"]), true, false));
        assert_eq!(unified["mail"], "g@alpenglow.onmicrosoft.com");
    }

    #[test]
    fn only_a_unified_group_can_be_restored() {
        let mut desk = Desk::new();
        for (name, status) in [("Alpine Project", 200), ("Partners", 404)] {
            let path = path(&desk, name);
            desk.ok("DELETE", &path, Value::Null);
            let deleted = path.replace("/groups", "/directory/deletedItems");
            assert_eq!(desk.get(&deleted).0, status, "{name}");
        }
    }
}
