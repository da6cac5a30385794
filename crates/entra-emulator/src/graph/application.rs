//! Applications (Learn, "application resource type" and its operations).
//!
//! Sources of the rules beyond the reference pages: the error texts that Terraform's provider for
//! Entra and Microsoft's Teams Toolkit wait for, and Learn's "Security best practices for
//! application properties", "Redirect URI (reply URL) outline and restrictions" and "Restrictions
//! on identifier URIs of Microsoft Entra applications".

use http::StatusCode;
use serde_json::{Value, json};
use uuid::Uuid;

use super::error::GraphError;
use super::list::{self as collection, Rows};
use super::noun::Noun;
use super::path::Key;
use super::{Answer, Exchange, body, certificate, identifier_uri, redirect_uri, reference};
use crate::tenant::{Kind, Link, Object, Tenant, items_of, text_of, timestamp};

pub(crate) fn list(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    let rows = Rows::Table(KIND, exchange.tenant.rows(KIND));
    collection::answer(exchange, &rows)
}

pub(crate) fn get(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    let application = exchange.subject(KIND)?;
    exchange.single(KIND, application).map(Answer::Object)
}

pub(crate) fn create(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    let body = body::check(Noun::of(KIND), exchange.json()?, &[])?;
    let properties = body.properties;
    if properties.contains_key("uniqueName") {
        return Err(GraphError::read_only("uniqueName"));
    }
    make(exchange, properties)
}

/// PATCH by id, or by `uniqueName` with `Prefer: create-if-missing` (Learn, "Upsert application").
pub(crate) fn update(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    let body = body::check(Noun::of(KIND), exchange.json()?, &["uniqueName"])?;
    let mut patch = body.properties;
    let old = match upserted(exchange)? {
        Some(name) => match exchange.tenant.find(KIND, "uniqueName", &name) {
            // Whoever asks to create what is missing is answered by the true copy.
            Some(application) => application.clone(),
            None => {
                patch.insert("uniqueName".to_owned(), Value::String(name));
                return make(exchange, patch);
            }
        },
        None => exchange.subject_to_write(KIND)?,
    };
    if patch
        .get("uniqueName")
        .is_some_and(|name| Some(name) != old.get("uniqueName"))
    {
        return Err(GraphError::read_only("uniqueName"));
    }
    let mut new = old.clone();
    body::merge(&mut new, patch);
    check(exchange, Some(&old), &mut new)?;
    let id = text_of(&new, "id").to_owned();
    exchange
        .tenant
        .replace(KIND, &id, new.clone(), exchange.now());
    carry_over(exchange.tenant, &new);
    Ok(Answer::Empty)
}

/// Deletes the application and with it its service principal in this tenant; both can be
/// restored, each by itself (Learn, "Delete application").
pub(crate) fn delete(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    let application = exchange.subject_to_write(KIND)?;
    let principal = exchange
        .tenant
        .find(
            Kind::ServicePrincipal,
            "appId",
            text_of(&application, "appId"),
        )
        .map(|principal| text_of(principal, "id").to_owned());
    let now = exchange.now();
    if let Some(id) = principal {
        super::service_principal::soft_delete(exchange.tenant, &id, now);
    }
    exchange
        .tenant
        .soft_delete(KIND, text_of(&application, "id"), now);
    Ok(Answer::Empty)
}

pub(crate) fn owners(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    let id = exchange.subject_id(KIND)?;
    let ids = exchange.tenant.linked(&id, Link::Owner);
    let rows = Rows::linked(exchange.tenant, &exchange.glance, ids);
    collection::answer(exchange, &rows)
}

pub(crate) fn add_owner(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    reference::add(exchange, KIND, Link::Owner, &OWNERS)
}

pub(crate) fn remove_owner(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    reference::remove(exchange, KIND, Link::Owner)
}

/// What may own an application or a service principal.
pub(crate) const OWNERS: [Kind; 2] = [Kind::User, Kind::ServicePrincipal];

fn make(exchange: &mut Exchange<'_>, properties: Object) -> Result<Answer, GraphError> {
    if text_of(&properties, "displayName").is_empty() {
        return Err(GraphError::missing("displayName", "Application"));
    }
    let now = exchange.now();
    let mut application = properties;
    let given = json!({
        "id": Uuid::new_v4().to_string(),
        "appId": Uuid::new_v4().to_string(),
        "createdByAppId": exchange.call.caller.app_id,
        "createdDateTime": timestamp(now),
        "publisherDomain": default_domain(exchange.tenant)
    });
    application.extend(given.as_object().cloned().unwrap_or_default());
    check(exchange, None, &mut application)?;
    let id = exchange.tenant.insert(KIND, application.clone(), now);
    own(exchange, &id);
    let shown = exchange.single(KIND, &application)?;
    Ok(Answer::Created(shown))
}

/// Who makes an application with `Application.ReadWrite.OwnedBy` owns it; so does a user.
pub(crate) fn own(exchange: &mut Exchange<'_>, id: &str) {
    let caller = exchange.call.caller;
    let owner = match &caller.user_id {
        Some(user) => Some(user.as_str()),
        None => exchange
            .access
            .owned_only
            .then_some(caller.service_principal_id.as_str()),
    };
    if let Some(owner) = owner {
        exchange.tenant.link(id, Link::Owner, owner);
    }
}

/// What the service principal repeats of its application.
pub(crate) fn carry_over(tenant: &mut Tenant, application: &Object) {
    let principal = tenant
        .find(
            Kind::ServicePrincipal,
            "appId",
            text_of(application, "appId"),
        )
        .map(|principal| text_of(principal, "id").to_owned());
    if let Some(id) = principal {
        let repeated = repeated(application);
        tenant.amend(Kind::ServicePrincipal, &id, |principal| {
            principal.extend(repeated);
        });
    }
}

/// The properties of a service principal that follow from its application.
pub(crate) fn repeated(application: &Object) -> Object {
    let value = |path: &str| {
        path.split('/')
            .try_fold(None, |value: Option<&Value>, name| {
                match value {
                    None => application.get(name),
                    Some(value) => value.get(name),
                }
                .map(Some)
            })
            .flatten()
            .cloned()
    };
    let list = |path: &str| value(path).unwrap_or_else(|| json!([]));
    let mut names = vec![json!(text_of(application, "appId"))];
    names.extend(items_of(application, "identifierUris").iter().cloned());
    let mut replies = Vec::new();
    for path in [
        "web/redirectUris",
        "spa/redirectUris",
        "publicClient/redirectUris",
    ] {
        replies.extend(list(path).as_array().cloned().unwrap_or_default());
    }
    let repeated = json!({
        "appDescription": value("description"),
        "appDisplayName": value("displayName"),
        "appRoles": list("appRoles"),
        "displayName": value("displayName"),
        "homepage": value("web/homePageUrl"),
        "logoutUrl": value("web/logoutUrl"),
        "oauth2PermissionScopes": list("api/oauth2PermissionScopes"),
        "replyUrls": replies,
        "servicePrincipalNames": names,
        "signInAudience": value("signInAudience").unwrap_or_else(|| json!("AzureADMyOrg"))
    });
    repeated.as_object().cloned().unwrap_or_default()
}

/// All rules on an application's content.
fn check(
    exchange: &Exchange<'_>,
    old: Option<&Object>,
    new: &mut Object,
) -> Result<(), GraphError> {
    let unchanged =
        |name: &str| old.and_then(|old| old.get(name)) == new.get(name) || new.get(name).is_none();
    check_name(new)?;
    check_audience(new)?;
    if !unchanged("passwordCredentials") && !items_of(new, "passwordCredentials").is_empty() {
        // Learn, "Update application": passwords are added by addPassword alone.
        return Err(GraphError::bad_request(
            "Updates to passwordCredentials are not allowed here. Use addPassword and \
             removePassword.",
        )
        .with_detail("InvalidValue", "passwordCredentials"));
    }
    check_unique_name(exchange.tenant, new)?;
    identifier_uri::check(exchange, old, new)?;
    redirect_uri::check(new)?;
    check_permissions(old.map(app_roles), app_roles(new))?;
    check_permissions(old.map(scopes), scopes(new))?;
    check_required_access(items_of(new, "requiredResourceAccess"))?;
    if !unchanged("keyCredentials") {
        let policy = super::app_policy::AppPolicy::of(exchange.tenant, KIND, new);
        let before = old
            .map(|old| items_of(old, "keyCredentials"))
            .unwrap_or_default();
        let keys = certificate::replace(
            before,
            items_of(new, "keyCredentials"),
            &policy,
            exchange.now(),
        )?;
        new.insert("keyCredentials".to_owned(), Value::Array(keys));
    }
    Ok(())
}

fn check_name(new: &Object) -> Result<(), GraphError> {
    match text_of(new, "displayName").chars().count() {
        1..=256 => Ok(()),
        _ => Err(GraphError::invalid_value("displayName", LABEL)),
    }
}

fn check_audience(new: &Object) -> Result<(), GraphError> {
    match new.get("signInAudience") {
        None | Some(Value::Null) => Ok(()),
        Some(Value::String(audience)) if AUDIENCES.contains(&audience.as_str()) => Ok(()),
        Some(_) => Err(GraphError::invalid_value("signInAudience", LABEL)),
    }
}

/// `uniqueName` stays reserved while an application that bore it can be restored.
fn check_unique_name(tenant: &Tenant, new: &Object) -> Result<(), GraphError> {
    let name = text_of(new, "uniqueName");
    if name.is_empty() {
        return Ok(());
    }
    let deleted = tenant.deleted().values().map(|deleted| &deleted.object);
    let taken = tenant.all(KIND).chain(deleted).any(|other| {
        text_of(other, "uniqueName").eq_ignore_ascii_case(name)
            && text_of(other, "id") != text_of(new, "id")
    });
    if taken {
        return Err(GraphError::new(
            StatusCode::CONFLICT,
            "Request_MultipleObjectsWithSameKeyValue",
            "Another object with the same value for property uniqueName already exists.",
        ));
    }
    Ok(())
}

/// App roles and scopes: ids and values are unique among the enabled, and a permission has to be
/// disabled in one call before another removes or changes it.
fn check_permissions(old: Option<&[Value]>, new: &[Value]) -> Result<(), GraphError> {
    for (place, permission) in new.iter().enumerate() {
        let id = permission.get("id");
        let value = permission.get("value").filter(|value| !value.is_null());
        let repeats = new
            .iter()
            .take(place)
            .any(|other| other.get("id") == id || (value.is_some() && other.get("value") == value));
        if repeats || id.is_none_or(Value::is_null) {
            return Err(GraphError::bad_request(
                "Request contains a property with duplicate values.",
            )
            .with_detail("InvalidValue", "id"));
        }
    }
    for before in old.unwrap_or_default() {
        let is_enabled = before.get("isEnabled") == Some(&Value::Bool(true));
        let after = new.iter().find(|after| after.get("id") == before.get("id"));
        if is_enabled && !after.is_some_and(|after| differs_in_enabled_only(before, after)) {
            let code = "CannotDeleteOrUpdateEnabledEntitlement";
            return Err(GraphError::new(
                StatusCode::BAD_REQUEST,
                code,
                "Permission (scope or role) cannot be deleted or updated unless disabled first.",
            )
            .with_detail(code, "permission"));
        }
    }
    Ok(())
}

/// Texts for people may change at any time; what tokens are made of may not.
fn differs_in_enabled_only(before: &Value, after: &Value) -> bool {
    ["value", "allowedMemberTypes", "type"]
        .into_iter()
        .all(|name| before.get(name) == after.get(name))
}

/// Learn, "application resource type", requiredResourceAccess: at most 50 resources and 400
/// permissions. The wording of the refusal is this tenant's.
fn check_required_access(required: &[Value]) -> Result<(), GraphError> {
    let mut permissions = 0;
    for (place, resource) in required.iter().enumerate() {
        let app_id = resource.get("resourceAppId").and_then(Value::as_str);
        let is_id = app_id.is_some_and(|id| Uuid::try_parse(id).is_ok());
        let repeats = required
            .iter()
            .take(place)
            .any(|other| other.get("resourceAppId") == resource.get("resourceAppId"));
        let access = resource.get("resourceAccess").and_then(Value::as_array);
        let accesses = access.map(Vec::as_slice).unwrap_or_default();
        let well_formed = accesses.iter().all(|access| {
            let kind = access.get("type").and_then(Value::as_str);
            access.get("id").is_some_and(Value::is_string) && matches!(kind, Some("Scope" | "Role"))
        });
        permissions += accesses.len();
        if !is_id || repeats || !well_formed {
            return Err(GraphError::invalid_value("requiredResourceAccess", LABEL));
        }
    }
    if required.len() > 50 || permissions > 400 {
        return Err(GraphError::bad_request(
            "The number of required resource accesses exceeds the limit: 50 resources, 400 \
             permissions.",
        )
        .with_detail("InvalidValue", "requiredResourceAccess"));
    }
    Ok(())
}

fn app_roles(application: &Object) -> &[Value] {
    items_of(application, "appRoles")
}

fn scopes(application: &Object) -> &[Value] {
    application
        .get("api")
        .and_then(Value::as_object)
        .map(|api| items_of(api, "oauth2PermissionScopes"))
        .unwrap_or_default()
}

/// The unique name, where the call is to create what is missing.
fn upserted(exchange: &Exchange<'_>) -> Result<Option<String>, GraphError> {
    let prefers = exchange
        .headers
        .get_all("Prefer")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|preference| preference.trim().eq_ignore_ascii_case("create-if-missing"));
    Ok(match exchange.key(0)? {
        Key::Alternate(name, value) if name == "uniqueName" && prefers => Some(value.clone()),
        _ => None,
    })
}

fn default_domain(tenant: &Tenant) -> String {
    tenant
        .all(Kind::Domain)
        .find(|domain| domain.get("isDefault") == Some(&Value::Bool(true)))
        .map_or_else(|| tenant.initial_domain(), |domain| text_of(domain, "id"))
        .to_owned()
}

const KIND: Kind = Kind::Application;
const LABEL: &str = "Application";
const AUDIENCES: [&str; 4] = [
    "AzureADMyOrg",
    "AzureADMultipleOrgs",
    "AzureADandPersonalMicrosoftAccount",
    "PersonalMicrosoftAccount",
];

#[cfg(test)]
#[path = "application_tests.rs"]
mod tests;
