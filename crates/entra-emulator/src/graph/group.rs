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
            targets.push((link, reference::target(exchange, reference, allowed)?));
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

/// Learn, "Add member": what a security group may hold.
const MEMBERS: [Kind; 4] = [
    Kind::User,
    Kind::Group,
    Kind::Device,
    Kind::ServicePrincipal,
];
