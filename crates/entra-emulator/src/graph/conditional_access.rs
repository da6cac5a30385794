//! Conditional Access policies (Learn, "conditionalAccessPolicy resource type" and its operations).
//!
//! They are kept, checked and shown. What a sign-in asks for is not decided here.

use serde_json::{Value, json};

use super::error::GraphError;
use super::list::{self as collection, Rows};
use super::noun::Noun;
use super::{Answer, Exchange, body};
use crate::tenant::{Kind, Object, contexts_of, items_of, text_of, timestamp};

pub(crate) fn list(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    let rows = Rows::Table(KIND, exchange.tenant.rows(KIND));
    collection::answer(exchange, &rows)
}

pub(crate) fn get(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    let policy = exchange.subject(KIND)?;
    exchange.single(KIND, policy).map(Answer::Object)
}

pub(crate) fn create(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    let mut policy = body::check(Noun::of(KIND), exchange.json()?, &[])?.properties;
    check(exchange, &policy)?;
    let created = timestamp(exchange.now());
    policy.insert("createdDateTime".to_owned(), json!(created));
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
    check(exchange, &policy)?;
    let modified = timestamp(exchange.now());
    policy.insert("modifiedDateTime".to_owned(), json!(modified));
    let id = text_of(&policy, "id").to_owned();
    exchange.tenant.replace(KIND, &id, policy, exchange.now());
    Ok(Answer::Empty)
}

pub(crate) fn delete(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    let id = exchange.subject_id(KIND)?;
    exchange.tenant.remove(KIND, &id);
    Ok(Answer::Empty)
}

/// Learn, "Create conditionalAccessPolicy": what a policy is at least. The wording of the refusals
/// is this tenant's.
fn check(exchange: &Exchange<'_>, policy: &Object) -> Result<(), GraphError> {
    if text_of(policy, "displayName").is_empty() {
        return Err(GraphError::missing("displayName", LABEL));
    }
    if !STATES.contains(&text_of(policy, "state")) {
        return Err(GraphError::invalid_value("state", LABEL));
    }
    let condition = |name: &str| policy.get("conditions")?.get(name)?.as_object();
    let has_one = |found: Option<&Object>, names: &[&str]| {
        found.is_some_and(|found| names.iter().any(|name| !items_of(found, name).is_empty()))
    };
    if !has_one(condition("applications"), &TARGETS) {
        return Err(GraphError::missing("conditions.applications", LABEL));
    }
    if !has_one(condition("users"), &USERS) {
        return Err(GraphError::missing("conditions.users", LABEL));
    }
    let controls = ["grantControls", "sessionControls"];
    if controls
        .iter()
        .all(|name| policy.get(*name).is_none_or(Value::is_null))
    {
        return Err(GraphError::missing("grantControls", LABEL));
    }
    for context in contexts_of(policy).iter().filter_map(Value::as_str) {
        let kind = Kind::AuthenticationContext;
        if exchange.tenant.current(kind, context).is_none() {
            return Err(GraphError::bad_request(format!(
                "The authentication context '{context}' does not exist."
            )));
        }
    }
    Ok(())
}

const KIND: Kind = Kind::ConditionalAccessPolicy;
const LABEL: &str = "ConditionalAccessPolicy";
const STATES: [&str; 3] = ["enabled", "disabled", "enabledForReportingButNotEnforced"];
const TARGETS: [&str; 3] = [
    "includeApplications",
    "includeAuthenticationContextClassReferences",
    "includeUserActions",
];
const USERS: [&str; 3] = ["includeUsers", "includeGroups", "includeRoles"];

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::graph::testing::{Desk, values};

    const LIST: &str = "/identity/conditionalAccess/policies";

    fn policy() -> Value {
        json!({
            "displayName": "Vault asks for a second factor", "state": "enabled",
            "conditions": {
                "applications": {"includeAuthenticationContextClassReferences": ["c1"]},
                "users": {"includeUsers": ["All"]}
            },
            "grantControls": {"operator": "OR", "builtInControls": ["mfa"]}
        })
    }

    fn desk() -> Desk {
        let mut desk = Desk::new();
        let context = json!({"id": "c1", "displayName": "Vault"});
        let contexts = "/identity/conditionalAccess/authenticationContextClassReferences";
        desk.ok("POST", contexts, context);
        desk
    }

    #[test]
    fn a_policy_is_made_read_changed_and_deleted() {
        let mut desk = desk();
        let made = desk.ok("POST", LIST, policy());
        let applications = &made["conditions"]["applications"];
        assert_eq!(
            applications["includeAuthenticationContextClassReferences"],
            json!(["c1"])
        );
        assert_eq!(applications["includeApplications"], json!([]));
        assert_eq!(made["createdDateTime"], "2026-01-01T00:00:00Z");
        let id = made["id"].as_str().unwrap();
        let path = format!("{LIST}/{id}");
        desk.ok("PATCH", &path, json!({"state": "disabled"}));
        let read = desk.ok("GET", &path, Value::Null);
        assert_eq!(read["state"], "disabled");
        assert_eq!(read["grantControls"]["builtInControls"], json!(["mfa"]));
        assert_eq!(values(&desk.ok("GET", LIST, Value::Null), "id"), [id]);
        desk.ok("DELETE", &path, Value::Null);
        assert_eq!(desk.get(&path).0, 404);
    }

    #[test]
    fn the_policies_of_a_context_are_found() {
        let mut desk = desk();
        let mut other = policy();
        other["conditions"]["applications"] = json!({"includeApplications": ["All"]});
        desk.ok("POST", LIST, other);
        assert_eq!(desk.tenant.policies_of_context("c1").count(), 0);
        desk.ok("POST", LIST, policy());
        assert_eq!(desk.tenant.policies_of_context("c1").count(), 1);
        assert_eq!(desk.tenant.policies_of_context("c10").count(), 0);
    }

    #[test]
    fn what_makes_no_policy_is_refused() {
        let mut desk = desk();
        for (pointer, value) in [
            ("/displayName", json!("")),
            ("/state", json!("on")),
            ("/conditions/applications", json!({})),
            ("/conditions/users", json!({})),
            ("/conditions/unknown", json!({})),
            ("/grantControls", Value::Null),
            (
                "/conditions/applications",
                json!({"includeAuthenticationContextClassReferences": ["c2"]}),
            ),
        ] {
            let mut body = policy();
            match body.pointer_mut(pointer) {
                Some(found) => *found = value,
                None => body["conditions"]["unknown"] = value,
            }
            assert_eq!(desk.call("POST", LIST, body).0, 400, "{pointer}");
        }
    }

    #[test]
    fn reading_needs_one_permission_and_writing_three() {
        let mut desk = desk().served_to(&["Policy.Read.All"]);
        assert_eq!(desk.get(LIST).0, 200);
        assert_eq!(desk.call("POST", LIST, policy()).0, 403);
        let mut desk = desk.served_to(&["Policy.ReadWrite.ConditionalAccess"]);
        assert_eq!(desk.get(LIST).0, 403);
        let all = [
            "Policy.ReadWrite.ConditionalAccess",
            "Policy.Read.All",
            "Application.Read.All",
        ];
        assert_eq!(desk.served_to(&all).call("POST", LIST, policy()).0, 201);
    }
}
