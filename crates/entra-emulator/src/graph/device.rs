//! Devices (Learn, "device resource type" and its operations).

use super::error::GraphError;
use super::list::{self as collection, Rows};
use super::noun::Noun;
use super::{Answer, Exchange, body};
use crate::tenant::{Kind, Link, text_of};

pub(crate) fn list(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    let rows = Rows::Table(KIND, exchange.tenant.rows(KIND));
    collection::answer(exchange, &rows)
}

pub(crate) fn get(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    let device = exchange.subject(KIND)?;
    exchange.single(KIND, device).map(Answer::Object)
}

/// Learn, "Update device": `isCompliant` and `isManaged` can only be updated by Intune or an
/// approved device management app; here every caller counts as one.
pub(crate) fn update(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    let patch = body::check(Noun::of(KIND), exchange.json()?, &[])?.properties;
    let mut device = exchange.subject_to_write(KIND)?;
    body::merge(&mut device, patch);
    let id = text_of(&device, "id").to_owned();
    exchange.tenant.replace(KIND, &id, device, exchange.now());
    Ok(Answer::Empty)
}

pub(crate) fn delete(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    let id = exchange.subject_id(KIND)?;
    exchange.tenant.remove(KIND, &id);
    Ok(Answer::Empty)
}

pub(crate) fn registered_owners(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    linked(exchange, Link::RegisteredOwner)
}

pub(crate) fn registered_users(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    linked(exchange, Link::RegisteredUser)
}

pub(crate) fn member_of(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    let id = exchange.subject_id(KIND)?;
    let ids = exchange.tenant.linking(&id, Link::Member);
    let rows = Rows::linked(exchange.tenant, &exchange.glance, ids);
    collection::answer(exchange, &rows)
}

fn linked(exchange: &mut Exchange<'_>, link: Link) -> Result<Answer, GraphError> {
    let id = exchange.subject_id(KIND)?;
    let ids = exchange.tenant.linked(&id, link);
    let rows = Rows::linked(exchange.tenant, &exchange.glance, ids);
    collection::answer(exchange, &rows)
}

const KIND: Kind = Kind::Device;
