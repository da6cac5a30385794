//! The control interface: the clock, the journal, faults, revocations and a reset, as JSON over the same
//! listener. It has no access control; the program serves it on loopback alone.

use std::time::Duration;

use bytes::Bytes;
use entra_core::Clock;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;

use crate::conditional_access::{self, PolicyChange};
use crate::emulator::Emulator;
use crate::fault::FaultRule;
use crate::tenant_keys::KeyChange;
use crate::workload_issuer::Cluster;

/// Where the control interface lives.
pub(crate) const PREFIX: &str = "/_emulator";

/// Answers a request to the control interface. A refused one has changed nothing.
pub(crate) fn handle(emulator: &Emulator, request: &Request<Bytes>) -> Response<Bytes> {
    match route(emulator, request) {
        Ok(body) => respond(StatusCode::OK, &body),
        Err(refusal) => respond(refusal.0, &json!({"error": refusal.1})),
    }
}

fn route(emulator: &Emulator, request: &Request<Bytes>) -> Result<Value, Refusal> {
    let path = request.uri().path();
    let resource = path.strip_prefix(PREFIX).unwrap_or_default();
    match (resource, request.method()) {
        ("/clock", &Method::GET) => Ok(clock(emulator)),
        ("/clock", &Method::POST) => {
            advance(emulator, &read(request)?)?;
            Ok(clock(emulator))
        }
        ("/journal", &Method::GET) => Ok(json!({"value": emulator.journal().entries()})),
        ("/journal", &Method::DELETE) => {
            emulator.journal().clear();
            Ok(json!({"value": []}))
        }
        ("/faults", &Method::GET) => Ok(faults(emulator)),
        ("/faults", &Method::POST) => {
            let rules: Vec<FaultRule> = read(request)?;
            emulator
                .faults()
                .inject_all(rules)
                .map_err(|error| Refusal::bad_request(error.to_string()))?;
            Ok(faults(emulator))
        }
        ("/faults", &Method::DELETE) => {
            emulator.faults().clear();
            Ok(faults(emulator))
        }
        ("/cluster/token", &Method::POST) => Ok(service_account_token(emulator, &read(request)?)),
        ("/keys", &Method::GET) => Ok(emulator.keys().report()),
        ("/keys", &Method::POST) => {
            let change: KeyChange = read(request)?;
            change
                .apply(&emulator.keys())
                .map_err(Refusal::bad_request)?;
            Ok(emulator.keys().report())
        }
        ("/conditional-access", &Method::GET) => Ok(conditional_access::report(emulator)),
        ("/conditional-access", &Method::POST) => {
            let change: PolicyChange = read(request)?;
            change.apply(emulator).map_err(Refusal::bad_request)?;
            Ok(conditional_access::report(emulator))
        }
        ("/conditional-access", &Method::DELETE) => {
            conditional_access::lift_all(emulator);
            Ok(conditional_access::report(emulator))
        }
        ("/revoke", &Method::POST) => {
            let revoke: Revoke = read(request)?;
            emulator
                .revoke(&revoke.principal)
                .map_err(|error| Refusal::bad_request(error.to_string()))?;
            Ok(clock(emulator))
        }
        ("/sign-in", &Method::POST) => sign_in(emulator, &read(request)?),
        ("/sign-out", &Method::POST) => sign_out(emulator, &read(request)?),
        ("/device-code", &Method::POST) => {
            answer_device(emulator, &read(request)?)?;
            Ok(clock(emulator))
        }
        ("/reset", &Method::POST) => {
            emulator.reset();
            Ok(clock(emulator))
        }
        (
            "/clock"
            | "/cluster/token"
            | "/conditional-access"
            | "/journal"
            | "/faults"
            | "/keys"
            | "/revoke"
            | "/sign-in"
            | "/sign-out"
            | "/device-code"
            | "/reset",
            method,
        ) => Err(Refusal(
            StatusCode::METHOD_NOT_ALLOWED,
            format!("{path} does not take {method}"),
        )),
        _ => Err(Refusal(
            StatusCode::NOT_FOUND,
            format!(
                "{path} is not there; there are /_emulator/clock, cluster/token, conditional-access, journal, faults, keys, \
                 revoke, sign-in, sign-out, device-code and reset"
            ),
        )),
    }
}

/// At most 136 years at once.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    advance_seconds: u32,
}

/// Which service account, and for whom its token is.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ServiceAccount {
    namespace: String,
    service_account: String,
    audience: String,
}

fn service_account_token(emulator: &Emulator, wanted: &ServiceAccount) -> Value {
    let ServiceAccount {
        namespace,
        service_account,
        audience,
    } = wanted;
    let cluster = emulator.cluster();
    let token = cluster.token(namespace, service_account, audience);
    json!({
        "token": token.expose(),
        "issuer": cluster.issuer(),
        "subject": Cluster::subject(namespace, service_account),
    })
}

/// A user name, a client id or an object id.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Revoke {
    principal: String,
}

/// A user signs in where an application sent the browser.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UserSignIn {
    url: url::Url,
    user_principal_name: String,
}

fn sign_in(emulator: &Emulator, sign_in: &UserSignIn) -> Result<Value, Refusal> {
    let redirect = emulator
        .sign_in_as(&sign_in.url, &sign_in.user_principal_name)
        .map_err(|error| Refusal::bad_request(error.to_string()))?;
    Ok(json!({"location": redirect.location, "form": redirect.form}))
}

/// A user signs out everywhere.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UserSignOut {
    user_principal_name: String,
}

fn sign_out(emulator: &Emulator, sign_out: &UserSignOut) -> Result<Value, Refusal> {
    let frames = emulator
        .sign_out(&sign_out.user_principal_name)
        .map_err(|error| Refusal::bad_request(error.to_string()))?;
    Ok(json!({ "front_channel": frames }))
}

/// A user enters the code of a device, or nobody does and it is declined.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DeviceAnswer {
    user_code: String,
    user_principal_name: Option<String>,
}

fn answer_device(emulator: &Emulator, answer: &DeviceAnswer) -> Result<(), Refusal> {
    match &answer.user_principal_name {
        Some(name) => emulator.approve_device(&answer.user_code, name),
        None => emulator.decline_device(&answer.user_code),
    }
    .map_err(|error| Refusal::bad_request(error.to_string()))
}

/// Far from the last date that can be written, so that everything with a lifetime has an end.
fn advance(emulator: &Emulator, advance: &Advance) -> Result<(), Refusal> {
    let by = Duration::from_secs(advance.advance_seconds.into());
    let moved = time::Duration::try_from(by)
        .ok()
        .and_then(|by| emulator.clock().now().checked_add(by));
    if moved.is_none_or(|moved| moved.year() > LAST_YEAR) {
        return Err(Refusal::bad_request(format!(
            "the tenant's clock ends with the year {LAST_YEAR}"
        )));
    }
    emulator.advance(by);
    Ok(())
}

struct Refusal(StatusCode, String);

impl Refusal {
    fn bad_request(message: String) -> Self {
        Self(StatusCode::BAD_REQUEST, message)
    }
}

fn clock(emulator: &Emulator) -> Value {
    let now = emulator.clock().now();
    json!({"now": now.format(&Rfc3339).unwrap_or_default()})
}

fn faults(emulator: &Emulator) -> Value {
    json!({"value": emulator.faults().pending()})
}

fn read<T: DeserializeOwned>(request: &Request<Bytes>) -> Result<T, Refusal> {
    serde_json::from_slice(request.body())
        .map_err(|error| Refusal::bad_request(format!("the body cannot be used: {error}")))
}

fn respond(status: StatusCode, body: &Value) -> Response<Bytes> {
    let mut answer = Response::new(Bytes::from(body.to_string()));
    *answer.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    answer.headers_mut().insert(CONTENT_TYPE, json);
    answer
}

const LAST_YEAR: i32 = 9000;
