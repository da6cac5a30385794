//! The tenant's app management policy (Learn, "tenantAppManagementPolicy resource type"). What it
//! forbids is in `app_policy.rs`.

use super::error::GraphError;
use super::noun::Noun;
use super::{Answer, Exchange, body};
use crate::tenant::{Kind, Object, text_of};

pub(crate) fn get(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    let policy = policy(exchange)?;
    exchange.single(KIND, &policy).map(Answer::Object)
}

pub(crate) fn update(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    let patch = body::check(Noun::of(KIND), exchange.json()?, &[])?.properties;
    let mut policy = policy(exchange)?;
    body::merge(&mut policy, patch);
    let id = text_of(&policy, "id").to_owned();
    exchange.tenant.replace(KIND, &id, policy, exchange.now());
    Ok(Answer::Empty)
}

fn policy(exchange: &Exchange<'_>) -> Result<Object, GraphError> {
    exchange
        .tenant
        .all(KIND)
        .next()
        .cloned()
        .ok_or_else(|| GraphError::not_found("defaultAppManagementPolicy"))
}

const KIND: Kind = Kind::TenantAppManagementPolicy;
