//! `keyCredentials` (Learn, "keyCredential resource type" and "Add a certificate to an app using
//! Microsoft Graph"). A write replaces the whole collection: what it leaves out is gone.

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use time::OffsetDateTime;
use uuid::Uuid;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::app_policy::AppPolicy;
use super::error::GraphError;
use crate::tenant::{Object, parse_time, text_of, timestamp};

/// The collection after a write: known keys as they are, new ones completed from the certificate.
pub(crate) fn replace(
    before: &[Value],
    written: &[Value],
    policy: &AppPolicy<'_>,
    now: OffsetDateTime,
) -> Result<Vec<Value>, GraphError> {
    let mut keys: Vec<Value> = Vec::new();
    for credential in written {
        let credential = credential
            .as_object()
            .ok_or_else(|| invalid("keyCredentials"))?;
        let id = text_of(credential, "keyId");
        let is_same = |other: &&Value| {
            let other = other.get("keyId").and_then(Value::as_str);
            other.is_some_and(|other| other.eq_ignore_ascii_case(id))
        };
        if keys.iter().any(|key| is_same(&key)) {
            return Err(GraphError::bad_request(
                "Request contains a property with duplicate values.",
            )
            .with_detail("InvalidValue", "keyCredentials"));
        }
        match before.iter().find(is_same) {
            Some(known) => keys.push(keep(known, credential)?),
            None => keys.push(add(credential, policy, now)?),
        }
    }
    Ok(keys)
}

/// A known key comes back without its content or with it, and otherwise as it was. Times are
/// compared as times, since a client may write them with more digits.
fn keep(known: &Value, credential: &Object) -> Result<Value, GraphError> {
    let unchanged = credential.iter().all(|(name, value)| {
        let old = known.get(name).unwrap_or(&Value::Null);
        value.is_null() || old == value || same(name, old, value)
    });
    if unchanged {
        return Ok(known.clone());
    }
    let id = text_of(credential, "keyId");
    Err(GraphError::new(
        http::StatusCode::BAD_REQUEST,
        "KeyNotUpdatable",
        format!("Update to existing credential with KeyId '{id}' is not allowed."),
    )
    .with_detail("KeyNotUpdatable", "keyCredentials"))
}

fn same(name: &str, old: &Value, new: &Value) -> bool {
    let (Some(old), Some(new)) = (old.as_str(), new.as_str()) else {
        return false;
    };
    match name {
        "startDateTime" | "endDateTime" => parse_time(old) == parse_time(new),
        "keyId" => old.eq_ignore_ascii_case(new),
        "key" => decode(old) == decode(new),
        _ => false,
    }
}

fn add(
    credential: &Object,
    policy: &AppPolicy<'_>,
    now: OffsetDateTime,
) -> Result<Value, GraphError> {
    let kind = text_of(credential, "type");
    if kind != "AsymmetricX509Cert" {
        return Err(invalid("type"));
    }
    let usage = text_of(credential, "usage");
    if !matches!(usage, "Verify" | "Encrypt") {
        return Err(invalid("usage"));
    }
    let der = decode(text_of(credential, "key")).ok_or_else(|| invalid("key"))?;
    let (_, certificate) = X509Certificate::from_der(&der).map_err(|_| invalid("key"))?;
    let not_before = certificate.validity().not_before.to_datetime();
    let not_after = certificate.validity().not_after.to_datetime();
    let start = time_or(credential, "startDateTime", not_before)?;
    let end = time_or(credential, "endDateTime", not_after)?;
    if start < not_before || start > not_after {
        return Err(invalid_date("start"));
    }
    if end > not_after || end <= start || end <= now {
        return Err(invalid_date("end"));
    }
    policy.check_certificate(start, end)?;
    let identifier = match text_of(credential, "customKeyIdentifier") {
        "" => thumbprint(&der),
        identifier => identifier.to_owned(),
    };
    // Clients choose the id: Terraform's provider does, and Learn, "Microsoft identity platform
    // application authentication certificate credentials", has one given.
    let id = match text_of(credential, "keyId") {
        "" => Uuid::new_v4().to_string(),
        id => id.to_owned(),
    };
    let subject = certificate.subject().to_string();
    Ok(json!({
        "customKeyIdentifier": identifier,
        "displayName": credential.get("displayName").filter(|name| !name.is_null())
            .cloned().unwrap_or(Value::String(subject)),
        "endDateTime": timestamp(end),
        "key": STANDARD.encode(&der),
        "keyId": id,
        "startDateTime": timestamp(start),
        "type": kind,
        "usage": usage
    }))
}

fn time_or(
    credential: &Object,
    property: &str,
    default: OffsetDateTime,
) -> Result<OffsetDateTime, GraphError> {
    match text_of(credential, property) {
        "" => Ok(default),
        text => parse_time(text).ok_or_else(|| invalid(property)),
    }
}

/// Base64 with line breaks, as the Azure CLI writes it; PEM within base64 is not accepted.
fn decode(text: &str) -> Option<Vec<u8>> {
    let dense: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let bytes = STANDARD.decode(dense).ok()?;
    (!bytes.is_empty()).then_some(bytes)
}

fn thumbprint(der: &[u8]) -> String {
    digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, der)
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02X}"))
        .collect()
}

fn invalid(property: &str) -> GraphError {
    GraphError::invalid_value(property, "KeyCredential")
}

/// For the end as users of Terraform's provider report it; for the start likewise, which is not
/// verified.
fn invalid_date(which: &str) -> GraphError {
    let code = match which {
        "start" => "KeyCredentialsInvalidStartDate",
        _ => "KeyCredentialsInvalidEndDate",
    };
    GraphError::new(
        http::StatusCode::BAD_REQUEST,
        code,
        format!("Key credential {which} date is invalid."),
    )
    .with_detail(code, "keyCredentials")
}
