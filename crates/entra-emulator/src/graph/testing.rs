//! A tenant and callers for the tests of this half.

use bytes::Bytes;
use http::Request;
use serde_json::Value;
use time::macros::datetime;
use time::{Duration, OffsetDateTime};
use url::Url;

use super::{GraphCall, handle};
use crate::caller::Caller;
use crate::seed::{Seed, Seeded};
use crate::tenant::{Tenant, text_of};

/// A seeded tenant in which every write is seen at once, and somebody who calls it.
pub(crate) struct Desk {
    pub(crate) tenant: Tenant,
    pub(crate) seeded: Seeded,
    pub(crate) caller: Caller,
    pub(crate) now: OffsetDateTime,
    pub(crate) headers: Vec<(&'static str, &'static str)>,
    pub(crate) stale: bool,
    pub(crate) allowed_by: Option<String>,
}

impl Desk {
    /// The caller is the second app of the seed with every permission.
    pub(crate) fn new() -> Self {
        Self::with(Seed::new().with_replication_delay(std::time::Duration::ZERO))
    }

    /// Writes take five seconds to be seen.
    pub(crate) fn with_replication() -> Self {
        Self::with(Seed::new())
    }

    pub(crate) fn with(seed: Seed) -> Self {
        let now = datetime!(2026-01-01 00:00 UTC);
        let (tenant, seeded) = seed.build(now);
        let mut desk = Self {
            tenant,
            seeded,
            caller: Caller::default(),
            now,
            headers: Vec::new(),
            stale: false,
            allowed_by: None,
        };
        let setup = desk.seeded.apps[0].client_id.clone();
        let graph = desk.tenant.resource("https://graph.microsoft.com").unwrap();
        let graph = text_of(graph, "id").to_owned();
        let principal = desk
            .tenant
            .service_principal_by_app_id(&setup, now)
            .unwrap();
        let principal = text_of(principal, "id").to_owned();
        desk.caller = Caller {
            roles: desk.tenant.granted_roles(&principal, &graph, now),
            app_id: setup,
            service_principal_id: principal,
            ..Caller::default()
        };
        desk
    }

    /// The same desk before which an app with these permissions alone stands.
    pub(crate) fn served_to(mut self, roles: &[&str]) -> Self {
        let app = self.seeded.apps[1].client_id.clone();
        let principal = self
            .tenant
            .service_principal_by_app_id(&app, self.now)
            .unwrap();
        self.caller = Caller {
            service_principal_id: text_of(principal, "id").to_owned(),
            app_id: app,
            roles: roles.iter().map(|role| (*role).to_owned()).collect(),
            ..Caller::default()
        };
        self
    }

    /// Lets time pass.
    pub(crate) fn wait(&mut self, seconds: i64) {
        self.now += Duration::seconds(seconds);
    }

    pub(crate) fn call(&mut self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let body = if body.is_null() {
            Bytes::new()
        } else {
            Bytes::from(body.to_string())
        };
        let mut request = Request::builder().method(method).uri(format!(
            "/v1.0{}",
            path.replace(' ', "%20").replace('"', "%22")
        ));
        for (name, value) in &self.headers {
            request = request.header(*name, *value);
        }
        let origin = Url::parse("https://graph.test/").unwrap();
        let call = GraphCall {
            caller: &self.caller,
            now: self.now,
            origin: &origin,
            stale_replica: self.stale,
        };
        let request = request.body(body).unwrap();
        let (response, allowed_by) = handle(&mut self.tenant, &call, &request);
        self.allowed_by = allowed_by;
        let text = response.body();
        let value = serde_json::from_slice(text)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(text).into_owned()));
        (response.status().as_u16(), value)
    }

    pub(crate) fn get(&mut self, path: &str) -> (u16, Value) {
        self.call("GET", path, Value::Null)
    }

    /// A call that succeeds.
    pub(crate) fn ok(&mut self, method: &str, path: &str, body: Value) -> Value {
        let (status, answer) = self.call(method, path, body);
        assert!(
            (200..300).contains(&status),
            "{method} {path}: {status} {answer}"
        );
        answer
    }

    /// The status, code and message of a refusal.
    pub(crate) fn refusal(
        &mut self,
        method: &str,
        path: &str,
        body: Value,
    ) -> (u16, String, String) {
        let (status, answer) = self.call(method, path, body);
        let text = |name: &str| {
            answer["error"][name]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        };
        (status, text("code"), text("message"))
    }
}

/// The texts of one property in a list.
pub(crate) fn values(answer: &Value, property: &str) -> Vec<String> {
    answer["value"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item[property].as_str().unwrap_or_default().to_owned())
        .collect()
}
