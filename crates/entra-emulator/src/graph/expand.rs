//! `$expand`: owners and members beside an object, at most twenty (Learn, "Use query
//! parameters to customize responses", expand: 20 items of a directory object).

use serde_json::Value;

use super::Exchange;
use super::error::GraphError;
use super::list::referred;
use super::noun::Noun;
use crate::tenant::{Kind, Link, Object, text_of};

/// Adds what the query expands.
pub(crate) fn add(
    exchange: &Exchange<'_>,
    kind: Kind,
    object: &Object,
    shown: &mut Object,
) -> Result<(), GraphError> {
    for name in &exchange.query.expand {
        let (link, reverse) = relation(kind, name).ok_or_else(|| refusal(kind, name))?;
        let id = text_of(object, "id");
        let ids = if reverse {
            exchange.tenant.linking(id, link)
        } else {
            exchange.tenant.linked(id, link)
        };
        let items: Vec<Value> = ids
            .into_iter()
            .filter_map(|(kind, id)| {
                let object = exchange.tenant.seen(kind, id, &exchange.glance)?;
                Some(Value::Object(referred(exchange, kind, object, None)))
            })
            .take(20)
            .collect();
        let value = match link {
            Link::Manager => items.into_iter().next().unwrap_or_default(),
            _ => Value::Array(items),
        };
        shown.insert(name.clone(), value);
    }
    Ok(())
}

fn relation(kind: Kind, name: &str) -> Option<(Link, bool)> {
    Some(match (kind, name) {
        (Kind::Application | Kind::ServicePrincipal | Kind::Group, "owners") => {
            (Link::Owner, false)
        }
        (Kind::Group, "members") => (Link::Member, false),
        (Kind::User | Kind::Group | Kind::Device | Kind::ServicePrincipal, "memberOf") => {
            (Link::Member, true)
        }
        (Kind::User, "manager") => (Link::Manager, false),
        (Kind::Device, "registeredOwners") => (Link::RegisteredOwner, false),
        (Kind::Device, "registeredUsers") => (Link::RegisteredUser, false),
        _ => return None,
    })
}

fn refusal(kind: Kind, name: &str) -> GraphError {
    let noun = Noun::of(kind);
    if noun.shape().is_some_and(|shape| shape.has_navigation(name)) {
        return GraphError::unsupported_query(format!(
            "This tenant does not support expanding '{name}' of '{}'.",
            noun.type_name
        ));
    }
    GraphError::malformed(format!(
        "Parsing OData Select and Expand failed: Could not find a property named '{name}' on type \
         'microsoft.graph.{}'.",
        noun.type_name
    ))
}
