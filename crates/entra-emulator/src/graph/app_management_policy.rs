//! Policies for single applications and service principals, in the place of the tenant's (Learn,
//! "appManagementPolicy resource type" and its operations). What they forbid is in
//! `app_policy.rs`.

use http::StatusCode;

use super::error::GraphError;
use super::list::{self as collection, Rows};
use super::noun::Noun;
use super::{Answer, Exchange, body};
use crate::tenant::{Kind, Link, Object, text_of};

pub(crate) fn list(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    let rows = Rows::Table(KIND, exchange.tenant.rows(KIND));
    collection::answer(exchange, &rows)
}

pub(crate) fn get(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    let policy = exchange.subject(KIND)?;
    exchange.single(KIND, policy).map(Answer::Object)
}

pub(crate) fn create(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    let policy = body::check(Noun::of(KIND), exchange.json()?, &[])?.properties;
    for property in ["displayName", "restrictions"] {
        if policy.get(property).is_none_or(serde_json::Value::is_null) {
            return Err(GraphError::missing(property, LABEL));
        }
    }
    let now = exchange.now();
    let id = exchange.tenant.insert(KIND, policy, now);
    let policy = exchange.tenant.current(KIND, &id);
    let shown = exchange.single(KIND, &policy.cloned().unwrap_or_default())?;
    Ok(Answer::Created(shown))
}

pub(crate) fn update(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    let patch = body::check(Noun::of(KIND), exchange.json()?, &[])?.properties;
    let mut policy = exchange.subject_to_write(KIND)?;
    body::merge(&mut policy, patch);
    let id = text_of(&policy, "id").to_owned();
    exchange.tenant.replace(KIND, &id, policy, exchange.now());
    Ok(Answer::Empty)
}

/// What it applied to falls back to the tenant's policy.
pub(crate) fn delete(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    let id = exchange.subject_id(KIND)?;
    exchange.tenant.remove(KIND, &id);
    Ok(Answer::Empty)
}

pub(crate) fn applies_to(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    let id = exchange.subject_id(KIND)?;
    let ids = exchange.tenant.linking(&id, Link::AppManagementPolicy);
    let rows = Rows::linked(exchange.tenant, &exchange.glance, ids);
    collection::answer(exchange, &rows)
}

pub(crate) fn list_of_application(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    let id = exchange.subject_id(Kind::Application)?;
    let policy = exchange
        .tenant
        .first_link(&id, Link::AppManagementPolicy)
        .and_then(|policy| exchange.tenant.current(KIND, policy));
    let policies: Vec<&Object> = policy.into_iter().collect();
    collection::answer(exchange, &Rows::Some(KIND, policies))
}

pub(crate) fn assign_to_application(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    assign(exchange, Kind::Application)
}

pub(crate) fn assign_to_service_principal(
    exchange: &mut Exchange<'_>,
) -> Result<Answer, GraphError> {
    assign(exchange, Kind::ServicePrincipal)
}

pub(crate) fn take_from_application(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    super::reference::remove(exchange, Kind::Application, Link::AppManagementPolicy)
}

pub(crate) fn take_from_service_principal(
    exchange: &mut Exchange<'_>,
) -> Result<Answer, GraphError> {
    super::reference::remove(exchange, Kind::ServicePrincipal, Link::AppManagementPolicy)
}

/// Learn, "Assign appliesTo": only one policy for each object. The code and the wording of the
/// refusal are this tenant's.
fn assign(exchange: &mut Exchange<'_>, kind: Kind) -> Result<Answer, GraphError> {
    let subject = exchange.subject_id(kind)?;
    let json = exchange.json()?;
    let reference = text_of(&json, "@odata.id");
    let id = reference.rsplit('/').next().unwrap_or_default().to_owned();
    if exchange.tenant.current(KIND, &id).is_none() {
        return Err(GraphError::not_found(&id));
    }
    if exchange
        .tenant
        .first_link(&subject, Link::AppManagementPolicy)
        .is_some()
    {
        return Err(GraphError::new(
            StatusCode::BAD_REQUEST,
            "Request_BadRequest",
            "An app management policy is already assigned to the object.",
        )
        .with_detail("ObjectConflict", "appManagementPolicies"));
    }
    exchange
        .tenant
        .link(&subject, Link::AppManagementPolicy, &id);
    Ok(Answer::Empty)
}

const KIND: Kind = Kind::AppManagementPolicy;
const LABEL: &str = "AppManagementPolicy";

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::graph::testing::{Desk, values};

    fn policy(restriction: &Value) -> Value {
        json!({"displayName": "p", "isEnabled": true,
            "restrictions": {"passwordCredentials": [restriction], "keyCredentials": []}})
    }

    fn assign(desk: &mut Desk, policy: &Value) -> (u16, String, String) {
        let app = desk.seeded.apps[1].object_id.clone();
        let id = policy["id"].as_str().unwrap();
        let reference = format!("https://graph.test/v1.0/policies/appManagementPolicies/{id}");
        desk.refusal(
            "POST",
            &format!("/applications/{app}/appManagementPolicies/$ref"),
            json!({"@odata.id": reference}),
        )
    }

    #[test]
    fn a_policy_of_its_own_takes_the_place_of_the_tenants() {
        let mut desk = Desk::new();
        let tenants = json!({"isEnabled": true, "applicationRestrictions": {
        "passwordCredentials": [
            {"restrictionType": "passwordAddition", "state": "enabled", "maxLifetime": null}
        ]}});
        desk.ok("PATCH", "/policies/defaultAppManagementPolicy", tenants);
        let app = desk.seeded.apps[1].object_id.clone();
        let add = format!("/applications/{app}/addPassword");
        let code = desk.refusal("POST", &add, Value::Null).1;
        assert_eq!(code, "CredentialTypeNotAllowedAsPerAppPolicy");

        let own = policy(
            &json!({"restrictionType": "passwordLifetime", "state": "enabled",
            "maxLifetime": "P90D"}),
        );
        let own = desk.ok("POST", "/policies/appManagementPolicies", own);
        assert_eq!(assign(&mut desk, &own).0, 204);
        let code = desk.refusal("POST", &add, Value::Null).1;
        assert_eq!(code, "CredentialInvalidLifetimeAsPerAppPolicy");
        let short = json!({"passwordCredential": {"endDateTime": "2026-03-01T00:00:00Z"}});
        desk.ok("POST", &add, short.clone());

        let id = own["id"].as_str().unwrap();
        let list = format!("/applications/{app}/appManagementPolicies");
        assert_eq!(values(&desk.ok("GET", &list, Value::Null), "id"), [id]);
        let applies = format!("/policies/appManagementPolicies/{id}/appliesTo");
        let found = desk.ok("GET", &applies, Value::Null);
        assert_eq!(values(&found, "id"), [app.as_str()]);

        desk.ok("DELETE", &format!("{list}/{id}/$ref"), Value::Null);
        let code = desk.refusal("POST", &add, short).1;
        assert_eq!(code, "CredentialTypeNotAllowedAsPerAppPolicy");
    }

    #[test]
    fn an_object_has_one_policy_at_most_and_one_that_exists() {
        let mut desk = Desk::new();
        let restriction = json!({"restrictionType": "passwordAddition", "state": "disabled"});
        let made: Vec<Value> = (0..2)
            .map(|_| {
                let body = policy(&restriction);
                desk.ok("POST", "/policies/appManagementPolicies", body)
            })
            .collect();
        assert_eq!(assign(&mut desk, &made[0]).0, 204);
        assert_eq!(assign(&mut desk, &made[1]).0, 400);
        let path = format!(
            "/policies/appManagementPolicies/{}",
            made[0]["id"].as_str().unwrap()
        );
        desk.ok("PATCH", &path, json!({"description": "d"}));
        assert_eq!(desk.ok("GET", &path, Value::Null)["description"], "d");
        desk.ok("DELETE", &path, Value::Null);
        assert_eq!(assign(&mut desk, &made[0]).0, 404);
        assert_eq!(assign(&mut desk, &made[1]).0, 204);
    }

    #[test]
    fn reading_policies_needs_one_permission_and_writing_them_another() {
        let mut desk = Desk::new().served_to(&["Policy.Read.All"]);
        let list = "/policies/appManagementPolicies";
        assert_eq!(desk.get(list).0, 200);
        assert_eq!(desk.get("/policies/defaultAppManagementPolicy").0, 200);
        assert_eq!(desk.call("POST", list, json!({})).0, 403);
        let mut desk = desk.served_to(&["Policy.ReadWrite.ApplicationConfiguration"]);
        let message = desk.refusal("POST", list, json!({})).2;
        assert_eq!(
            message,
            "A value is required for property 'displayName' of resource 'AppManagementPolicy'."
        );
        let mut desk = desk.served_to(&["Application.ReadWrite.OwnedBy"]);
        assert_eq!(desk.get(list).0, 403);
    }
}
