//! Domains: whether they are verified, and who signs their users in (Learn, "domain resource type").

use super::error::GraphError;
use super::list::{self as collection, Rows};
use super::{Answer, Exchange};
use crate::tenant::Kind;

pub(crate) fn list(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    let rows = Rows::Table(KIND, exchange.tenant.rows(KIND));
    collection::answer(exchange, &rows)
}

pub(crate) fn get(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    let domain = exchange.subject(KIND)?;
    exchange.single(KIND, domain).map(Answer::Object)
}

const KIND: Kind = Kind::Domain;
