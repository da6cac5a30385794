//! Delegated permission grants (Learn, "oAuth2PermissionGrant resource type").

use http::StatusCode;
use serde_json::Value;

use super::error::GraphError;
use super::list::{self as collection, Rows};
use super::noun::Noun;
use super::{Answer, Exchange, body};
use crate::tenant::{Kind, Object, text_of};

pub(crate) fn list(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    let rows = Rows::Table(KIND, exchange.tenant.rows(KIND));
    collection::answer(exchange, &rows)
}

pub(crate) fn list_of_service_principal(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    let id = exchange.subject_id(Kind::ServicePrincipal)?;
    let grants = exchange
        .tenant
        .rows(KIND)
        .into_iter()
        .flat_map(|rows| rows.values())
        .filter_map(|row| row.seen(KIND, &exchange.glance))
        .filter(|grant| text_of(grant, "clientId") == id)
        .collect();
    collection::answer(exchange, &Rows::Some(KIND, grants))
}

pub(crate) fn get(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    let grant = exchange.subject(KIND)?;
    exchange.single(KIND, grant).map(Answer::Object)
}

pub(crate) fn create(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    let json = without_times(exchange.json()?);
    let grant = body::check(Noun::of(KIND), json, &[])?.properties;
    for property in ["clientId", "consentType", "resourceId"] {
        if text_of(&grant, property).is_empty() {
            return Err(GraphError::missing(property, LABEL));
        }
    }
    check_principal(exchange, &grant)?;
    for property in ["clientId", "resourceId"] {
        let id = text_of(&grant, property);
        let row = exchange.tenant.row(Kind::ServicePrincipal, id);
        let delay = exchange.tenant.replication().of(Kind::ServicePrincipal);
        if row.is_none_or(|row| row.settled_after(exchange.now(), delay).is_none()) {
            return Err(GraphError::not_found(id));
        }
    }
    let repeats = exchange.tenant.all(KIND).any(|other| {
        ["clientId", "consentType", "principalId", "resourceId"]
            .into_iter()
            .all(|name| text_of(other, name).eq_ignore_ascii_case(text_of(&grant, name)))
    });
    if repeats {
        return Err(GraphError::new(
            StatusCode::CONFLICT,
            "Request_MultipleObjectsWithSameKeyValue",
            "Permission entry already exists.",
        ));
    }
    let now = exchange.now();
    let id = exchange.tenant.insert(KIND, grant, now);
    let grant = exchange
        .tenant
        .current(KIND, &id)
        .cloned()
        .unwrap_or_default();
    let shown = exchange.single(KIND, &grant)?;
    Ok(Answer::Created(shown))
}

/// Learn, "Update a delegated permission grant (oAuth2PermissionGrant)": only the scope can be
/// changed, and it is replaced.
pub(crate) fn update(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    let patch = body::check(Noun::of(KIND), exchange.json()?, &[])?.properties;
    if let Some(name) = patch.keys().find(|name| *name != "scope") {
        return Err(GraphError::read_only(name));
    }
    let mut grant = exchange.subject_to_write(KIND)?;
    body::merge(&mut grant, patch);
    let id = text_of(&grant, "id").to_owned();
    exchange.tenant.replace(KIND, &id, grant, exchange.now());
    Ok(Answer::Empty)
}

pub(crate) fn delete(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    let id = exchange.subject_id(KIND)?;
    exchange.tenant.remove(KIND, &id);
    Ok(Answer::Empty)
}

fn check_principal(exchange: &Exchange<'_>, grant: &Object) -> Result<(), GraphError> {
    let principal = text_of(grant, "principalId");
    match text_of(grant, "consentType") {
        "AllPrincipals" if principal.is_empty() => Ok(()),
        "AllPrincipals" => Err(GraphError::bad_request(
            "principalId must be null when consentType is AllPrincipals.",
        )
        .with_detail("InvalidValue", "principalId")),
        "Principal" => match exchange.tenant.current(Kind::User, principal) {
            Some(_) => Ok(()),
            None if principal.is_empty() => Err(GraphError::missing("principalId", LABEL)),
            None => Err(GraphError::not_found(principal)),
        },
        _ => Err(GraphError::invalid_value("consentType", LABEL)),
    }
}

/// Clients of the beta version send `startTime` and `expiryTime`, which mean nothing (Learn,
/// "oAuth2PermissionGrant resource type", beta).
fn without_times(mut json: Object) -> Object {
    json.retain(|name, _: &mut Value| name != "startTime" && name != "expiryTime");
    json
}

const KIND: Kind = Kind::PermissionGrant;
const LABEL: &str = "OAuth2PermissionGrant";

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::graph::testing::Desk;
    use crate::tenant::text_of;

    #[test]
    fn a_grant_is_made_once_and_its_scope_replaced() {
        let mut desk = Desk::new();
        let graph = desk.tenant.resource("https://graph.microsoft.com").unwrap();
        let graph = text_of(graph, "id").to_owned();
        let client = desk.caller.service_principal_id.clone();
        let body = json!({"clientId": client, "consentType": "AllPrincipals",
            "resourceId": graph, "scope": "openid profile"});
        let made = desk.ok("POST", "/oauth2PermissionGrants", body.clone());
        assert_eq!(made["principalId"], Value::Null);
        let (status, code, _) = desk.refusal("POST", "/oauth2PermissionGrants", body);
        assert_eq!(
            (status, code.as_str()),
            (409, "Request_MultipleObjectsWithSameKeyValue")
        );
        let path = format!("/oauth2PermissionGrants/{}", made["id"].as_str().unwrap());
        desk.ok("PATCH", &path, json!({"scope": "openid"}));
        assert_eq!(desk.ok("GET", &path, Value::Null)["scope"], "openid");
        let message = desk
            .refusal("PATCH", &path, json!({"resourceId": client}))
            .2;
        assert_eq!(
            message,
            "Property 'resourceId' is read-only and cannot be set."
        );
        let filter = format!("/oauth2PermissionGrants?$filter=clientId eq '{client}'");
        assert_eq!(
            desk.ok("GET", &filter, Value::Null)["value"][0]["scope"],
            "openid"
        );
        desk.ok("DELETE", &path, Value::Null);
        assert_eq!(desk.get(&path).0, 404);
    }

    #[test]
    fn consent_for_all_names_nobody() {
        let mut desk = Desk::new();
        let client = desk.caller.service_principal_id.clone();
        let user = desk.seeded.users[0].object_id.clone();
        let grant = |kind: &str, principal: Option<&str>| {
            json!({"clientId": client, "consentType": kind, "principalId": principal,
                "resourceId": client, "scope": "openid"})
        };
        for (body, expected) in [
            (
                grant("AllPrincipals", Some(&user)),
                "principalId must be null when consentType is AllPrincipals.",
            ),
            (
                grant("Principal", None),
                "A value is required for property 'principalId' of resource 'OAuth2PermissionGrant'.",
            ),
            (
                grant("Everybody", None),
                "Invalid value specified for property 'consentType' of resource \
                 'OAuth2PermissionGrant'.",
            ),
        ] {
            assert_eq!(
                desk.refusal("POST", "/oauth2PermissionGrants", body).2,
                expected
            );
        }
    }
}
