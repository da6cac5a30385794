//! The calls that every test of the tenant makes.
#![allow(dead_code, reason = "each file of tests uses a part")]

pub(crate) mod browser;
pub(crate) mod keys;
pub(crate) mod user;

use bytes::Bytes;
use entra_emulator::{Emulator, SeededApp};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{Request, Response};
use serde_json::Value;

/// An access token for Microsoft Graph, by client secret.
pub(crate) fn token(emulator: &Emulator, app: &SeededApp) -> String {
    let body = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("grant_type", "client_credentials")
        .append_pair("client_id", &app.client_id)
        .append_pair("client_secret", app.client_secret.expose())
        .append_pair("scope", &emulator.cloud().graph_scope())
        .finish();
    let request = Request::post(format!("/{}/oauth2/v2.0/token", emulator.tenant_id()))
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Bytes::from(body))
        .unwrap();
    let answer = json(&emulator.handle(&request));
    answer["access_token"].as_str().expect("a token").to_owned()
}

/// A call with a token; `body` null sends none.
pub(crate) fn graph(token: &str, method: &str, path: &str, body: &Value) -> Request<Bytes> {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(AUTHORIZATION, format!("Bearer {token}"));
    if body.is_null() {
        return request.body(Bytes::new()).unwrap();
    }
    request
        .header(CONTENT_TYPE, "application/json")
        .body(Bytes::from(body.to_string()))
        .unwrap()
}

/// The body of an answer.
pub(crate) fn json(answer: &Response<Bytes>) -> Value {
    serde_json::from_slice(answer.body()).expect("an answer in JSON")
}
