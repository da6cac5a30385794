//! Devices (Learn, "device resource type" and its operations).

use super::error::GraphError;
use super::list::{self as collection, Rows};
use super::noun::Noun;
use super::{Answer, Exchange, body};
use crate::tenant::{Kind, Link, text_of};

pub(crate) fn list(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    let rows = Rows::Table(KIND, exchange.tenant.rows(KIND));
    collection::answer(exchange, &rows)
}

pub(crate) fn get(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    let device = exchange.subject(KIND)?;
    exchange.single(KIND, device).map(Answer::Object)
}

/// Learn, "Update device": an application may update Windows devices; of all others only
/// `extensionAttributes` (the refusal is as users report it: issue 16641 of
/// microsoft-graph-docs). That `isCompliant` and `isManaged` are open to approved device
/// management apps alone is not modelled: here every caller counts as one.
pub(crate) fn update(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    let patch = body::check(Noun::of(KIND), exchange.json()?, &[])?.properties;
    let mut device = exchange.subject_to_write(KIND)?;
    let app_only = exchange.call.caller.user_id.is_none();
    let windows = text_of(&device, "operatingSystem").eq_ignore_ascii_case("Windows");
    if app_only && !windows && patch.keys().any(|name| name != "extensionAttributes") {
        return Err(GraphError::bad_request(
            "Properties other than ExtendedAttribute1..15 can be modified only on windows devices.",
        ));
    }
    body::merge(&mut device, patch);
    let id = text_of(&device, "id").to_owned();
    exchange.tenant.replace(KIND, &id, device, exchange.now());
    Ok(Answer::Empty)
}

pub(crate) fn delete(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    let id = exchange.subject_id(KIND)?;
    exchange.tenant.remove(KIND, &id);
    Ok(Answer::Empty)
}

pub(crate) fn registered_owners(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    linked(exchange, Link::RegisteredOwner)
}

pub(crate) fn registered_users(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    linked(exchange, Link::RegisteredUser)
}

pub(crate) fn member_of(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    let id = exchange.subject_id(KIND)?;
    let ids = exchange.tenant.linking(&id, Link::Member);
    let rows = Rows::linked(exchange.tenant, &exchange.glance, ids);
    collection::answer(exchange, &rows)
}

fn linked(exchange: &mut Exchange<'_>, link: Link) -> Result<Answer, GraphError> {
    let id = exchange.subject_id(KIND)?;
    let ids = exchange.tenant.linked(&id, link);
    let rows = Rows::linked(exchange.tenant, &exchange.glance, ids);
    collection::answer(exchange, &rows)
}

const KIND: Kind = Kind::Device;

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::graph::testing::{Desk, values};

    #[test]
    fn a_device_is_found_by_both_ids_and_its_compliance_is_written() {
        let mut desk = Desk::new();
        let list = "/devices?$filter=operatingSystem eq 'Windows' and isCompliant eq false";
        let found = desk.ok("GET", list, Value::Null);
        assert_eq!(values(&found, "displayName"), ["LT-0004", "LT-0005"]);
        let device = &found["value"][0];
        let path = format!("/devices/{}", device["id"].as_str().unwrap());
        desk.ok("PATCH", &path, json!({"isCompliant": true}));
        let key = format!(
            "/devices(deviceId='{}')",
            device["deviceId"].as_str().unwrap()
        );
        assert_eq!(desk.ok("GET", &key, Value::Null)["isCompliant"], true);
        let owners = desk.ok("GET", &format!("{path}/registeredOwners"), Value::Null);
        assert_eq!(values(&owners, "displayName"), ["Tomas Novak"]);
        let message = desk.refusal("PATCH", &path, json!({"deviceId": "x"})).2;
        assert_eq!(
            message,
            "Property 'deviceId' is read-only and cannot be set."
        );
        let phones = desk.ok(
            "GET",
            "/devices?$filter=operatingSystem eq 'IPhone'",
            Value::Null,
        );
        let phone = format!("/devices/{}", values(&phones, "id")[0]);
        let (status, code, message) = desk.refusal("PATCH", &phone, json!({"isCompliant": false}));
        assert_eq!((status, code.as_str()), (400, "Request_BadRequest"));
        assert_eq!(
            message,
            "Properties other than ExtendedAttribute1..15 can be modified only on windows devices."
        );
        let attributes = json!({"extensionAttributes": {"extensionAttribute1": "x"}});
        desk.ok("PATCH", &phone, attributes.clone());
        let shown = desk.ok("GET", &phone, Value::Null);
        assert_eq!(
            shown["extensionAttributes"],
            attributes["extensionAttributes"]
        );
        let other = "/devices(serial='x')";
        let expected = "Invalid key 'serial': it is no alternate key of this resource.";
        assert_eq!(desk.refusal("GET", other, Value::Null).2, expected);
        desk.ok("DELETE", &path, Value::Null);
        assert_eq!(desk.get(&path).0, 404);
    }
}
