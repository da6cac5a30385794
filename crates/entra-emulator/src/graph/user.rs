//! Users (Learn, "user resource type" and its operations).

use serde_json::{Value, json};

use super::error::GraphError;
use super::list::{self as collection, Rows};
use super::noun::Noun;
use super::{Answer, Exchange, body};
use crate::tenant::{Kind, Link, Object, Tenant, text_of, timestamp};

pub(crate) fn list(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    let rows = Rows::Table(KIND, exchange.tenant.rows(KIND));
    collection::answer(exchange, &rows)
}

pub(crate) fn get(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    let user = exchange.subject(KIND)?;
    exchange.single(KIND, user).map(Answer::Object)
}

/// Learn, "Create user": what has to be given, and that the domain has to be the tenant's.
pub(crate) fn create(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    let mut user = body::check(Noun::of(KIND), exchange.json()?, &[])?.properties;
    for property in ["displayName", "mailNickname", "userPrincipalName"] {
        if text_of(&user, property).is_empty() {
            return Err(GraphError::missing(property, LABEL));
        }
    }
    if user.get("accountEnabled").is_none_or(Value::is_null) {
        return Err(GraphError::missing("accountEnabled", LABEL));
    }
    check_name(exchange.tenant, &user, "")?;
    let password =
        take_password(&mut user)?.ok_or_else(|| GraphError::missing("passwordProfile", LABEL))?;
    if is_federated(exchange.tenant, text_of(&user, "userPrincipalName"))
        && text_of(&user, "onPremisesImmutableId").is_empty()
    {
        return Err(GraphError::bad_request(
            "SourceAnchor is a required property for creation of a federated user.",
        )
        .with_detail("MissingValue", "onPremisesImmutableId"));
    }
    let created = timestamp(exchange.now());
    user.insert("createdDateTime".to_owned(), json!(created));
    user.entry("userType").or_insert_with(|| json!("Member"));
    let now = exchange.now();
    let id = exchange.tenant.insert(KIND, user, now);
    exchange.tenant.set_password(&id, password);
    let user = exchange
        .tenant
        .current(KIND, &id)
        .cloned()
        .unwrap_or_default();
    let shown = exchange.single(KIND, &user)?;
    Ok(Answer::Created(shown))
}

pub(crate) fn update(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    let mut patch = body::check(Noun::of(KIND), exchange.json()?, &[])?.properties;
    check_narrow_permission(&exchange.access.by, &patch)?;
    let mut user = exchange.subject_to_write(KIND)?;
    let password = take_password(&mut patch)?;
    body::merge(&mut user, patch);
    let id = text_of(&user, "id").to_owned();
    check_name(exchange.tenant, &user, &id)?;
    exchange.tenant.replace(KIND, &id, user, exchange.now());
    if let Some(password) = password {
        exchange.tenant.set_password(&id, password);
    }
    Ok(Answer::Empty)
}

pub(crate) fn delete(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    let user = exchange.subject_to_write(KIND)?;
    let now = exchange.now();
    exchange.tenant.soft_delete(KIND, text_of(&user, "id"), now);
    Ok(Answer::Empty)
}

pub(crate) fn manager(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    let id = exchange.subject_id(KIND)?;
    let managers = exchange.tenant.linked(&id, Link::Manager);
    let manager = managers
        .first()
        .and_then(|(kind, id)| exchange.tenant.seen(*kind, id, &exchange.glance))
        .ok_or_else(|| GraphError::not_found("manager"))?;
    exchange.single(KIND, manager).map(Answer::Object)
}

pub(crate) fn member_of(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    let id = exchange.subject_id(KIND)?;
    let ids = exchange.tenant.linking(&id, Link::Member);
    let rows = Rows::linked(exchange.tenant, &exchange.glance, ids);
    collection::answer(exchange, &rows)
}

pub(crate) fn transitive_member_of(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    let id = exchange.subject_id(KIND)?;
    let ids = exchange.tenant.linking_transitively(&id, Link::Member);
    let rows = Rows::linked(exchange.tenant, &exchange.glance, ids);
    collection::answer(exchange, &rows)
}

/// Learn, "directoryObject: getMemberObjects". There are no directory roles here.
pub(crate) fn get_member_objects(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    let id = exchange.subject_id(KIND)?;
    let json = exchange.json()?;
    let security_only = json
        .get("securityEnabledOnly")
        .and_then(Value::as_bool)
        .ok_or_else(|| GraphError::missing("securityEnabledOnly", LABEL))?;
    let groups = exchange.tenant.linking_transitively(&id, Link::Member);
    let ids: Vec<&str> = groups
        .into_iter()
        .filter(|(kind, id)| {
            let group = exchange.tenant.current(*kind, id);
            let security = group.and_then(|group| group.get("securityEnabled"));
            !security_only || security == Some(&Value::Bool(true))
        })
        .map(|(_, id)| id)
        .collect();
    let query = super::query::Query::default();
    let context = exchange.context("Collection(Edm.String)", &query, false);
    Ok(Answer::json(
        json!({"@odata.context": context, "value": ids}),
    ))
}

/// The name has the form of an address, its domain is verified, and nobody else bears it.
fn check_name(tenant: &Tenant, user: &Object, id: &str) -> Result<(), GraphError> {
    let name = text_of(user, "userPrincipalName");
    let (alias, domain) = name.rsplit_once('@').unwrap_or_default();
    let well_formed = !alias.is_empty() && !alias.contains(char::is_whitespace);
    if !well_formed || !tenant.is_verified_domain(domain) {
        return Err(GraphError::bad_request(
            "The domain portion of the userPrincipalName property is invalid. You must use one of \
             the verified domain names in your organization.",
        )
        .with_detail("InvalidValue", "userPrincipalName"));
    }
    if tenant.user_id(name).is_some_and(|other| other != id) {
        return Err(GraphError::duplicate("userPrincipalName"));
    }
    Ok(())
}

fn is_federated(tenant: &Tenant, name: &str) -> bool {
    let (_, domain) = name.rsplit_once('@').unwrap_or_default();
    tenant
        .current(Kind::Domain, domain)
        .is_some_and(|domain| text_of(domain, "authenticationType") == "Federated")
}

/// The password out of `passwordProfile`; the rest of the profile is of no consequence here.
fn take_password(user: &mut Object) -> Result<Option<entra_core::Secret>, GraphError> {
    let profile = match user.remove("passwordProfile") {
        None | Some(Value::Null) => return Ok(None),
        Some(profile) => profile,
    };
    let Some(password) = profile.get("password").and_then(Value::as_str) else {
        return Ok(None);
    };
    // Learn, "Microsoft Entra password policies": 8 to 256 characters, three of four classes.
    let classes: [fn(char) -> bool; 4] = [
        |c| c.is_lowercase(),
        |c| c.is_uppercase(),
        |c| c.is_ascii_digit(),
        |c| !c.is_alphanumeric(),
    ];
    let used = classes.iter().filter(|class| password.chars().any(class));
    if !(8..=256).contains(&password.chars().count()) || used.count() < 3 {
        return Err(GraphError::bad_request(
            "The specified password does not comply with password complexity requirements. Please \
             provide a different password.",
        )
        .with_detail("PasswordComplexity", "passwordProfile"));
    }
    Ok(Some(entra_core::Secret::new(password)))
}

/// Learn, "Update user": some permissions allow one property.
fn check_narrow_permission(permission: &str, patch: &Object) -> Result<(), GraphError> {
    let allowed: &[&str] = match permission {
        "User.EnableDisableAccount.All" => &["accountEnabled"],
        "User-PasswordProfile.ReadWrite.All" => &["passwordProfile"],
        "User.ManageIdentities.All" => &["identities"],
        "User-Phone.ReadWrite.All" => &["businessPhones", "mobilePhone"],
        "User-Mail.ReadWrite.All" => &["mail", "otherMails"],
        _ => return Ok(()),
    };
    if patch.keys().all(|name| allowed.contains(&name.as_str())) {
        Ok(())
    } else {
        Err(GraphError::denied())
    }
}

const KIND: Kind = Kind::User;
const LABEL: &str = "User";
