//! Federated identity credentials of an application (Learn, "federatedIdentityCredential resource
//! type" and its operations). They are kept with their application: what happens to it happens to
//! them.

use http::StatusCode;
use serde_json::{Value, json};
use url::Url;
use uuid::Uuid;

use super::error::GraphError;
use super::list::{self as collection, Rows};
use super::noun::Noun;
use super::path::Key;
use super::{Answer, Exchange, body};
use crate::access_token::issuer_v2;
use crate::tenant::{FEDERATED_CREDENTIALS, Kind, Object, items_of, text_of};

pub(crate) fn list(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    let application = exchange.subject(Kind::Application)?;
    let id = text_of(application, "id").to_owned();
    let credentials = items_of(application, FEDERATED_CREDENTIALS)
        .iter()
        .filter_map(Value::as_object)
        .collect();
    let answer = collection::answer(exchange, &Rows::Some(KIND, credentials))?;
    Ok(with_context(exchange, answer, &id, false))
}

pub(crate) fn get(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    let application = exchange.subject(Kind::Application)?;
    let id = text_of(application, "id").to_owned();
    let credentials = items_of(application, FEDERATED_CREDENTIALS);
    let (_, credential) = find(credentials, exchange.key(1)?)?;
    let answer = exchange.single(KIND, credential).map(Answer::Object)?;
    Ok(with_context(exchange, answer, &id, true))
}

pub(crate) fn create(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    let application = exchange.subject_to_write(Kind::Application)?;
    let mut credential = body::check(Noun::of(KIND), exchange.json()?, &[])?.properties;
    let mut all = items_of(&application, FEDERATED_CREDENTIALS).to_vec();
    if all.len() >= MOST {
        return Err(GraphError::new(
            StatusCode::BAD_REQUEST,
            "Request_BadRequest",
            "An application has at most 20 federated identity credentials.",
        )
        .with_detail("MaximumValueExceeded", "federatedIdentityCredentials"));
    }
    credential.insert("id".to_owned(), json!(Uuid::new_v4().to_string()));
    check(exchange, &all, &credential)?;
    let id = text_of(&application, "id").to_owned();
    all.push(Value::Object(credential.clone()));
    write(exchange, application, all);
    let answer = exchange.single(KIND, &credential).map(Answer::Created)?;
    Ok(with_context(exchange, answer, &id, true))
}

/// The name cannot be changed (Learn, "Update federatedIdentityCredential"); clients send it along.
pub(crate) fn update(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    let application = exchange.subject_to_write(Kind::Application)?;
    let patch = body::check(Noun::of(KIND), exchange.json()?, &[])?.properties;
    let mut all = items_of(&application, FEDERATED_CREDENTIALS).to_vec();
    let (place, old) = find(&all, exchange.key(1)?)?;
    if patch
        .get("name")
        .is_some_and(|name| Some(name) != old.get("name"))
    {
        return Err(GraphError::read_only("name"));
    }
    let mut credential = old.clone();
    body::merge(&mut credential, patch);
    check(exchange, &all, &credential)?;
    if let Some(slot) = all.get_mut(place) {
        *slot = Value::Object(credential);
    }
    write(exchange, application, all);
    Ok(Answer::Empty)
}

pub(crate) fn delete(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    let application = exchange.subject_to_write(Kind::Application)?;
    let mut all = items_of(&application, FEDERATED_CREDENTIALS).to_vec();
    let (place, _) = find(&all, exchange.key(1)?)?;
    all.remove(place);
    write(exchange, application, all);
    Ok(Answer::Empty)
}

fn write(exchange: &mut Exchange<'_>, mut application: Object, credentials: Vec<Value>) {
    let id = text_of(&application, "id").to_owned();
    application.insert(FEDERATED_CREDENTIALS.to_owned(), Value::Array(credentials));
    let now = exchange.now();
    exchange
        .tenant
        .replace(Kind::Application, &id, application, now);
}

/// One is named by its id or by its name.
fn find<'a>(all: &'a [Value], key: &Key) -> Result<(usize, &'a Object), GraphError> {
    let wanted = key.text();
    let properties: &[&str] = match key {
        Key::Id(_) => &["id", "name"],
        Key::Alternate(name, _) if name == "name" => &["name"],
        Key::Alternate(name, _) => {
            return Err(GraphError::malformed(format!(
                "Invalid key '{name}': it is no alternate key of this resource."
            )));
        }
    };
    all.iter()
        .filter_map(Value::as_object)
        .enumerate()
        .find(|(_, credential)| {
            properties
                .iter()
                .any(|name| text_of(credential, name).eq_ignore_ascii_case(wanted))
        })
        .ok_or_else(|| GraphError::not_found(wanted))
}

fn check(exchange: &Exchange<'_>, all: &[Value], credential: &Object) -> Result<(), GraphError> {
    for property in ["name", "issuer", "subject"] {
        if text_of(credential, property).is_empty() {
            return Err(GraphError::missing(property, LABEL));
        }
    }
    check_name(text_of(credential, "name"))?;
    for property in ["issuer", "subject", "description"] {
        if text_of(credential, property).chars().count() > LONGEST {
            return Err(GraphError::invalid_value(property, LABEL));
        }
    }
    if Url::parse(text_of(credential, "issuer").trim()).is_err() {
        return Err(GraphError::invalid_value("issuer", LABEL));
    }
    match items_of(credential, "audiences") {
        [] => return Err(GraphError::missing("audiences", LABEL)),
        [Value::String(audience)] if (1..=LONGEST).contains(&audience.chars().count()) => {}
        _ => return Err(GraphError::invalid_value("audiences", LABEL)),
    }
    check_principal(exchange, credential)?;
    check_unique(all, credential)
}

/// "Must be URL friendly": the unreserved characters of RFC 3986 2.3.
fn check_name(name: &str) -> Result<(), GraphError> {
    let is_friendly = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
    if name.chars().count() <= 120 && name.chars().all(is_friendly) {
        Ok(())
    } else {
        Err(GraphError::invalid_value("name", LABEL))
    }
}

/// A credential for a token of this tenant names a service principal that is there.
fn check_principal(exchange: &Exchange<'_>, credential: &Object) -> Result<(), GraphError> {
    let entra = issuer_v2(exchange.call.origin, exchange.tenant.id());
    let subject = text_of(credential, "subject");
    let is_there = exchange
        .tenant
        .current(Kind::ServicePrincipal, subject)
        .is_some();
    if text_of(credential, "issuer") == entra && !is_there {
        return Err(GraphError::invalid_value("subject", LABEL));
    }
    Ok(())
}

/// The name, and issuer with subject. The wording for the latter is this tenant's.
fn check_unique(all: &[Value], credential: &Object) -> Result<(), GraphError> {
    let mut others = all
        .iter()
        .filter_map(Value::as_object)
        .filter(|other| other.get("id") != credential.get("id"));
    let repeated = others.find_map(|other| {
        let same = |name: &str| text_of(other, name) == text_of(credential, name);
        let name = text_of(credential, "name");
        if text_of(other, "name").eq_ignore_ascii_case(name) {
            return Some(format!(
                "FederatedIdentityCredential with name {name} already exists."
            ));
        }
        (same("issuer") && same("subject")).then(|| {
            "FederatedIdentityCredential with this issuer and subject already exists.".to_owned()
        })
    });
    match repeated {
        Some(message) => Err(GraphError::new(
            StatusCode::CONFLICT,
            "Request_MultipleObjectsWithSameKeyValue",
            message,
        )),
        None => Ok(()),
    }
}

/// The context names the application (Learn, "Create federatedIdentityCredential").
fn with_context(
    exchange: &Exchange<'_>,
    mut answer: Answer,
    application: &str,
    single: bool,
) -> Answer {
    let set = format!("applications('{application}')/federatedIdentityCredentials");
    let context = exchange.context(&set, &exchange.query, single);
    if let Answer::Object(object) | Answer::Created(object) = &mut answer {
        object.insert("@odata.context".to_owned(), json!(context));
    }
    answer
}

const KIND: Kind = Kind::FederatedIdentityCredential;
const LABEL: &str = "FederatedIdentityCredential";
const MOST: usize = 20;
const LONGEST: usize = 600;

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::graph::testing::{Desk, values};

    fn path(desk: &Desk) -> String {
        let app = &desk.seeded.apps[1].object_id;
        format!("/applications/{app}/federatedIdentityCredentials")
    }

    fn credential(name: &str, subject: &str) -> Value {
        json!({"name": name, "issuer": "https://issuer.example/", "subject": subject,
            "audiences": ["api://AzureADTokenExchange"]})
    }

    #[test]
    fn a_credential_is_made_read_changed_and_deleted() {
        let mut desk = Desk::new();
        let path = path(&desk);
        let app = desk.seeded.apps[1].object_id.clone();
        let made = desk.ok("POST", &path, credential("prod", "a"));
        assert_eq!(
            made["@odata.context"],
            format!(
                "https://graph.test/v1.0/$metadata#applications('{app}')/\
                 federatedIdentityCredentials/$entity"
            )
        );
        assert_eq!(made["description"], Value::Null);
        let by_id = format!("{path}/{}", made["id"].as_str().unwrap());
        for one in [
            by_id.clone(),
            format!("{path}/prod"),
            format!("{path}(name='prod')"),
        ] {
            assert_eq!(desk.ok("GET", &one, Value::Null), made, "{one}");
        }
        desk.ok("PATCH", &by_id, json!({"name": "prod", "subject": "b"}));
        let listed = desk.ok(
            "GET",
            &format!("{path}?$filter=subject eq 'b'"),
            Value::Null,
        );
        assert_eq!(values(&listed, "name"), ["prod"]);
        let message = desk.refusal("PATCH", &by_id, json!({"name": "test"})).2;
        assert_eq!(message, "Property 'name' is read-only and cannot be set.");
        desk.ok("DELETE", &by_id, Value::Null);
        assert_eq!(desk.get(&by_id).0, 404);
        assert_eq!(desk.get(&format!("{path}(subject='b')")).0, 400);
    }

    #[test]
    fn name_and_issuer_with_subject_are_unique_in_an_application() {
        let mut desk = Desk::new();
        let path = path(&desk);
        desk.ok("POST", &path, credential("prod", "a"));
        for (body, message) in [
            (
                credential("Prod", "b"),
                "FederatedIdentityCredential with name Prod already exists.",
            ),
            (
                credential("test", "a"),
                "FederatedIdentityCredential with this issuer and subject already exists.",
            ),
        ] {
            let refusal = desk.refusal("POST", &path, body);
            let code = "Request_MultipleObjectsWithSameKeyValue".to_owned();
            assert_eq!(refusal, (409, code, message.to_owned()));
        }
        let other = format!(
            "/applications/{}/federatedIdentityCredentials",
            desk.seeded.apps[0].object_id
        );
        desk.ok("POST", &other, credential("prod", "a"));
    }

    #[test]
    fn what_can_never_match_is_refused() {
        let mut desk = Desk::new();
        let path = path(&desk);
        let long = "x".repeat(601);
        for (property, value) in [
            ("name", json!("with space")),
            ("name", json!("x".repeat(121))),
            ("issuer", json!("issuer.example")),
            ("subject", json!(long)),
            ("description", json!(long)),
            ("audiences", json!(["a", "b"])),
            ("audiences", json!([""])),
        ] {
            let mut body = credential("prod", "a");
            body[property] = value;
            let message = desk.refusal("POST", &path, body).2;
            let expected = format!(
                "Invalid value specified for property '{property}' of resource \
                 'FederatedIdentityCredential'."
            );
            assert_eq!(message, expected);
        }
        for (property, empty) in [
            ("name", json!("")),
            ("issuer", json!("")),
            ("subject", Value::Null),
            ("audiences", json!([])),
        ] {
            let mut body = credential("prod", "a");
            body[property] = empty;
            let message = desk.refusal("POST", &path, body).2;
            let expected = format!(
                "A value is required for property '{property}' of resource \
                 'FederatedIdentityCredential'."
            );
            assert_eq!(message, expected);
        }
    }

    #[test]
    fn a_principal_of_this_tenant_has_to_be_there() {
        let mut desk = Desk::new();
        let path = path(&desk);
        let mut body = credential("msi", "99999999-9999-4999-8999-999999999999");
        body["issuer"] = json!(format!("https://graph.test/{}/v2.0", desk.tenant.id()));
        assert_eq!(desk.call("POST", &path, body.clone()).0, 400);
        body["subject"] = json!(desk.seeded.managed_identities[1].object_id);
        desk.ok("POST", &path, body);
    }

    #[test]
    fn an_application_has_twenty_at_most() {
        let mut desk = Desk::new();
        let path = path(&desk);
        for place in 0..20 {
            let name = format!("c{place}");
            desk.ok("POST", &path, credential(&name, &name));
        }
        let message = desk.refusal("POST", &path, credential("c20", "c20")).2;
        assert_eq!(
            message,
            "An application has at most 20 federated identity credentials."
        );
    }

    #[test]
    fn an_owner_adds_one_to_its_own_application_alone() {
        let mut desk = Desk::new().served_to(&["Application.ReadWrite.OwnedBy"]);
        let own = desk.ok("POST", "/applications", json!({"displayName": "own"}));
        let own = format!(
            "/applications/{}/federatedIdentityCredentials",
            own["id"].as_str().unwrap()
        );
        let made = desk.ok("POST", &own, credential("prod", "a"));
        let foreign = path(&desk);
        let body = credential("prod", "a");
        assert_eq!(desk.call("POST", &foreign, body).0, 403);
        assert_eq!(desk.get(&foreign).0, 200);
        let one = format!("{own}/{}", made["id"].as_str().unwrap());
        desk.ok("DELETE", &one, Value::Null);
        let mut desk = desk.served_to(&["Application.Read.All"]);
        assert_eq!(desk.get(&own).0, 200);
        assert_eq!(desk.call("POST", &own, credential("prod", "a")).0, 403);
    }
}
