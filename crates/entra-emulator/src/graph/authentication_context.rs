//! Authentication contexts (Learn, "authenticationContextClassReference resource type" and its
//! operations).

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

pub(crate) fn get(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    let context = exchange.subject(KIND)?;
    exchange.single(KIND, context).map(Answer::Object)
}

/// Learn, "Create authenticationContextClassReference": the caller chooses the id.
pub(crate) fn create(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    let context = body::check(Noun::of(KIND), exchange.json()?, &["id"])?.properties;
    let id = text_of(&context, "id").to_owned();
    if exchange.tenant.current(KIND, &id).is_some() {
        return Err(GraphError::duplicate("id"));
    }
    make(exchange, &id, context)
}

/// Learn, "Update authenticationContextClassReference": it makes one that is not there.
pub(crate) fn update(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    let patch = body::check(Noun::of(KIND), exchange.json()?, &[])?.properties;
    let id = exchange.key(0)?.text().to_owned();
    if exchange.tenant.current(KIND, &id).is_none() {
        return make(exchange, &id, patch);
    }
    let mut context = exchange.subject_to_write(KIND)?;
    body::merge(&mut context, patch);
    exchange.tenant.replace(KIND, &id, context, exchange.now());
    Ok(Answer::Empty)
}

/// Learn, "Delete authenticationContextClassReference": not while it is published or a policy is
/// about it. The wording of the refusal is this tenant's.
pub(crate) fn delete(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    let context = exchange.subject_to_write(KIND)?;
    let id = text_of(&context, "id");
    let is_published = context.get("isAvailable") == Some(&Value::Bool(true));
    let is_used = exchange.tenant.policies_of_context(id).next().is_some();
    if is_published || is_used {
        return Err(GraphError::bad_request(
            "The authentication context is published or used by a Conditional Access policy.",
        ));
    }
    exchange.tenant.remove(KIND, id);
    Ok(Answer::Empty)
}

fn make(exchange: &mut Exchange<'_>, id: &str, mut context: Object) -> Result<Answer, GraphError> {
    if !is_id(id) {
        return Err(GraphError::invalid_value("id", LABEL));
    }
    if text_of(&context, "displayName").is_empty() {
        return Err(GraphError::missing("displayName", LABEL));
    }
    context.insert("id".to_owned(), Value::String(id.to_owned()));
    let now = exchange.now();
    exchange.tenant.insert(KIND, context.clone(), now);
    let shown = exchange.single(KIND, &context)?;
    Ok(Answer::Created(shown))
}

/// Learn, "Conditional Access: Cloud apps, actions, and authentication context": c1 to c99.
fn is_id(id: &str) -> bool {
    let number = id.strip_prefix('c').unwrap_or_default();
    !number.starts_with('0')
        && !number.starts_with('+')
        && number
            .parse()
            .is_ok_and(|number| (1..=99).contains(&number))
}

const KIND: Kind = Kind::AuthenticationContext;
const LABEL: &str = "AuthenticationContextClassReference";

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::graph::testing::{Desk, values};

    const LIST: &str = "/identity/conditionalAccess/authenticationContextClassReferences";

    #[test]
    fn a_context_has_the_id_that_it_was_given() {
        let mut desk = Desk::new();
        let context = json!({"id": "c1", "displayName": "Vault", "isAvailable": true});
        let made = desk.ok("POST", LIST, context.clone());
        assert_eq!(
            (&made["id"], &made["isAvailable"]),
            (&json!("c1"), &json!(true))
        );
        assert_eq!(made["description"], Value::Null);
        let (status, code, _) = desk.refusal("POST", LIST, context);
        assert_eq!(status, 400, "{code}");
        let path = format!("{LIST}/c1");
        desk.ok("PATCH", &path, json!({"isAvailable": false}));
        assert_eq!(desk.ok("GET", &path, Value::Null)["isAvailable"], false);
        // An update makes what is not there.
        desk.ok(
            "PATCH",
            &format!("{LIST}/c2"),
            json!({"displayName": "Audit"}),
        );
        assert_eq!(
            values(&desk.ok("GET", LIST, Value::Null), "id"),
            ["c1", "c2"]
        );
        assert_eq!(desk.get(&format!("{LIST}/c3")).0, 404);
    }

    #[test]
    fn only_c1_to_c99_are_contexts_and_they_have_a_name() {
        let mut desk = Desk::new();
        for id in ["", "c", "c0", "c01", "c+1", "c100", "C1", "x1", "1"] {
            let context = json!({"id": id, "displayName": "n"});
            assert_eq!(desk.call("POST", LIST, context).0, 400, "{id}");
        }
        assert_eq!(desk.call("POST", LIST, json!({"id": "c99"})).0, 400);
        desk.ok("POST", LIST, json!({"id": "c99", "displayName": "n"}));
    }

    #[test]
    fn a_context_that_is_published_or_used_is_not_deleted() {
        let mut desk = Desk::new();
        let path = format!("{LIST}/c1");
        desk.ok(
            "POST",
            LIST,
            json!({"id": "c1", "displayName": "n", "isAvailable": true}),
        );
        assert_eq!(desk.call("DELETE", &path, Value::Null).0, 400);
        desk.ok("PATCH", &path, json!({"isAvailable": false}));
        let policy = json!({
            "displayName": "p", "state": "disabled",
            "conditions": {
                "applications": {"includeAuthenticationContextClassReferences": ["c1"]},
                "users": {"includeUsers": ["All"]}
            },
            "grantControls": {"operator": "OR", "builtInControls": ["mfa"]}
        });
        let policies = "/identity/conditionalAccess/policies";
        let policy = desk.ok("POST", policies, policy);
        assert_eq!(desk.call("DELETE", &path, Value::Null).0, 400);
        let policy = format!("{policies}/{}", policy["id"].as_str().unwrap());
        desk.ok("DELETE", &policy, Value::Null);
        desk.ok("DELETE", &path, Value::Null);
        assert_eq!(desk.get(&path).0, 404);
    }

    #[test]
    fn contexts_have_permissions_of_their_own() {
        for (role, reads, writes) in [
            ("AuthenticationContext.Read.All", 200, 403),
            ("AuthenticationContext.ReadWrite.All", 200, 201),
            ("Policy.Read.ConditionalAccess", 200, 403),
            ("Policy.ReadWrite.ConditionalAccess", 200, 201),
            ("Policy.Read.All", 403, 403),
            ("Directory.Read.All", 403, 403),
        ] {
            let mut desk = Desk::new().served_to(&[role]);
            assert_eq!(desk.get(LIST).0, reads, "{role}");
            let context = json!({"id": "c1", "displayName": "n"});
            assert_eq!(desk.call("POST", LIST, context).0, writes, "{role}");
        }
    }
}
