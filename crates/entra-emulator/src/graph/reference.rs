//! References by URL: `{"@odata.id": "https://graph.microsoft.com/v1.0/directoryObjects/{id}"}`.

use super::error::GraphError;
use super::{Answer, Exchange};
use crate::tenant::{Kind, Link, text_of};

/// Adds what the body refers to.
pub(crate) fn add(
    exchange: &mut Exchange<'_>,
    kind: Kind,
    link: Link,
    allowed: &[Kind],
) -> Result<Answer, GraphError> {
    let from = exchange.subject_id(kind)?;
    let json = exchange.json()?;
    let to = target(exchange, text_of(&json, "@odata.id"), allowed)?;
    bind(exchange, &from, link, &to)?;
    Ok(Answer::Empty)
}

/// Adds one reference that the body of another call carries.
pub(crate) fn bind(
    exchange: &mut Exchange<'_>,
    from: &str,
    link: Link,
    to: &str,
) -> Result<(), GraphError> {
    if exchange.tenant.link(from, link, to) {
        return Ok(());
    }
    let property = match link {
        Link::Member => "members",
        Link::Owner => "owners",
        Link::Manager => "manager",
        Link::RegisteredOwner => "registeredOwners",
        Link::RegisteredUser => "registeredUsers",
        Link::AppManagementPolicy => "appManagementPolicies",
    };
    Err(GraphError::bad_request(format!(
        "One or more added object references already exist for the following modified properties: \
         '{property}'."
    )))
}

/// Removes the reference that the second key names.
pub(crate) fn remove(
    exchange: &mut Exchange<'_>,
    kind: Kind,
    link: Link,
) -> Result<Answer, GraphError> {
    let from = exchange.subject_id(kind)?;
    let to = exchange.key(1)?.text().to_owned();
    if exchange.tenant.unlink(&from, link, &to) {
        Ok(Answer::Empty)
    } else {
        Err(GraphError::not_found(&to))
    }
}

/// The id that a reference leads to. The object must be known to every replica.
pub(crate) fn target(
    exchange: &Exchange<'_>,
    reference: &str,
    allowed: &[Kind],
) -> Result<String, GraphError> {
    let id = reference.rsplit('/').next().unwrap_or_default();
    if uuid::Uuid::try_parse(id).is_err() {
        return Err(GraphError::bad_request(format!(
            "Invalid URL format specified in @odata.id for the reference '{reference}'."
        )));
    }
    let kind = exchange
        .tenant
        .kind_of(id)
        .ok_or_else(|| GraphError::not_found(id))?;
    if !allowed.contains(&kind) {
        return Err(GraphError::bad_request(
            "Invalid object reference: an object of this type cannot be referred to here.",
        ));
    }
    let delay = exchange.tenant.replication().of(kind);
    match exchange.tenant.row(kind, id) {
        Some(row) if row.settled_after(exchange.now(), delay).is_some() => {
            Ok(text_of(row.current(), "id").to_owned())
        }
        _ => Err(GraphError::not_found(id)),
    }
}
