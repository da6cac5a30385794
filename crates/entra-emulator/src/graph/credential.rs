//! Client secrets: `addPassword` and `removePassword` (Learn, "application: addPassword"). The
//! text of a secret is in that one answer and nowhere else.

use aws_lc_rs::rand;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use entra_core::Secret;
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::app_policy::AppPolicy;
use super::error::GraphError;
use super::{Answer, Exchange};
use crate::tenant::{Kind, Object, items_of, parse_time, text_of, timestamp};

pub(crate) fn add_password_to_application(
    exchange: &mut Exchange<'_>,
) -> Result<Answer, GraphError> {
    add(exchange, Kind::Application)
}

pub(crate) fn add_password_to_service_principal(
    exchange: &mut Exchange<'_>,
) -> Result<Answer, GraphError> {
    add(exchange, Kind::ServicePrincipal)
}

pub(crate) fn remove_password_of_application(
    exchange: &mut Exchange<'_>,
) -> Result<Answer, GraphError> {
    remove(exchange, Kind::Application)
}

pub(crate) fn remove_password_of_service_principal(
    exchange: &mut Exchange<'_>,
) -> Result<Answer, GraphError> {
    remove(exchange, Kind::ServicePrincipal)
}

fn add(exchange: &mut Exchange<'_>, kind: Kind) -> Result<Answer, GraphError> {
    let mut owner = exchange.subject_to_write(kind)?;
    let wanted = wanted(&exchange.json_if_any()?)?;
    let now = exchange.now();
    let start = time(&wanted, "startDateTime")?.unwrap_or(now);
    let end = time(&wanted, "endDateTime")?.unwrap_or(start + LIFETIME);
    if end <= start || end <= now {
        // As for certificates; for secrets the code is not verified.
        return Err(
            GraphError::bad_request("Password credential end date is invalid.")
                .with_detail("PasswordCredentialsInvalidEndDate", "endDateTime"),
        );
    }
    AppPolicy::of(exchange.tenant, kind, &owner).check_password(start, end)?;
    let secret = new_secret()?;
    let key_id = Uuid::new_v4().to_string();
    let hint: String = secret.expose().chars().take(3).collect();
    let credential = json!({
        "customKeyIdentifier": null,
        "displayName": wanted.get("displayName"),
        "endDateTime": timestamp(end),
        "hint": hint,
        "keyId": key_id,
        "startDateTime": timestamp(start)
    });
    let mut credentials = items_of(&owner, "passwordCredentials").to_vec();
    credentials.push(credential.clone());
    owner.insert("passwordCredentials".to_owned(), Value::Array(credentials));
    let id = text_of(&owner, "id").to_owned();
    exchange.tenant.remember_secret(&key_id, &secret);
    exchange.tenant.replace(kind, &id, owner, now);
    let mut shown = credential.as_object().cloned().unwrap_or_default();
    shown.insert("secretText".to_owned(), json!(secret.expose()));
    let context = exchange.context_of_type("passwordCredential");
    shown.insert("@odata.context".to_owned(), json!(context));
    Ok(Answer::Object(shown))
}

fn remove(exchange: &mut Exchange<'_>, kind: Kind) -> Result<Answer, GraphError> {
    let mut owner = exchange.subject_to_write(kind)?;
    let json = exchange.json()?;
    let key_id = text_of(&json, "keyId");
    let before = items_of(&owner, "passwordCredentials");
    let after: Vec<Value> = before
        .iter()
        .filter(|credential| {
            let id = credential.get("keyId").and_then(Value::as_str);
            !id.is_some_and(|id| id.eq_ignore_ascii_case(key_id))
        })
        .cloned()
        .collect();
    // The wording is not verified.
    if after.len() == before.len() {
        return Err(
            GraphError::bad_request("No password credential found with keyId.")
                .with_detail("InvalidValue", "keyId"),
        );
    }
    owner.insert("passwordCredentials".to_owned(), Value::Array(after));
    let id = text_of(&owner, "id").to_owned();
    exchange.tenant.replace(kind, &id, owner, exchange.now());
    Ok(Answer::Empty)
}

/// The `passwordCredential` of the body; it may be left out.
fn wanted(json: &Object) -> Result<Object, GraphError> {
    if let Some(stray) = json.keys().find(|name| *name != "passwordCredential") {
        return Err(GraphError::malformed(format!(
            "The parameter '{stray}' in the request payload is not a valid parameter for the \
             operation 'addPassword'."
        )));
    }
    let wanted = match json.get("passwordCredential") {
        None | Some(Value::Null) => return Ok(Object::new()),
        Some(Value::Object(wanted)) => wanted.clone(),
        Some(_) => return Err(invalid("passwordCredential")),
    };
    for (name, value) in &wanted {
        match name.as_str() {
            "displayName" | "startDateTime" | "endDateTime" => {}
            name if name.contains("@odata.") => {}
            // The service chooses these; a client that sends back null means nothing by it.
            "customKeyIdentifier" | "hint" | "keyId" | "secretText" if value.is_null() => {}
            "customKeyIdentifier" | "hint" | "keyId" | "secretText" => {
                return Err(GraphError::read_only(name));
            }
            _ => {
                return Err(GraphError::bad_request(format!(
                    "Invalid property '{name}'."
                )));
            }
        }
    }
    Ok(wanted)
}

fn time(wanted: &Object, property: &str) -> Result<Option<OffsetDateTime>, GraphError> {
    match wanted.get(property) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => value
            .as_str()
            .and_then(parse_time)
            .map(Some)
            .ok_or_else(|| invalid(property)),
    }
}

/// A random client secret.
fn new_secret() -> Result<Secret, GraphError> {
    let mut bytes = [0; 28];
    rand::fill(&mut bytes).map_err(|_| {
        GraphError::new(
            http::StatusCode::INTERNAL_SERVER_ERROR,
            "Service_InternalServerError",
            "No random bytes.",
        )
    })?;
    let encoded = URL_SAFE_NO_PAD.encode(bytes);
    Ok(crate::seed::client_secret(&encoded))
}

fn invalid(property: &str) -> GraphError {
    GraphError::invalid_value(property, "PasswordCredential")
}

/// Learn, "application: addPassword": without an end date, two years.
const LIFETIME: Duration = Duration::days(730);
