//! A client that looks keys up and verifies signatures with them.

use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use entra_emulator::Emulator;
use http::Request;
use serde_json::Value;

use super::json;

/// The key set of a tenant or of several, with `?appid=` or without.
pub(crate) fn key_set(emulator: &Emulator, path: &str) -> Vec<Value> {
    let request = Request::get(format!("/{path}")).body(Bytes::new()).unwrap();
    let answer = emulator.handle(&request);
    let body = json(&answer);
    assert_eq!(answer.status(), 200, "{body}");
    body["keys"].as_array().unwrap().clone()
}

/// The key set of the tenant.
pub(crate) fn tenant_keys(emulator: &Emulator) -> Vec<Value> {
    let path = format!("{}/discovery/v2.0/keys", emulator.tenant_id());
    key_set(emulator, &path)
}

pub(crate) fn kids(keys: &[Value]) -> Vec<String> {
    keys.iter()
        .map(|key| key["kid"].as_str().unwrap().to_owned())
        .collect()
}

/// `kid` of a token.
pub(crate) fn kid(token: &str) -> String {
    header(token)["kid"].as_str().unwrap().to_owned()
}

pub(crate) fn header(token: &str) -> Value {
    let header = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap());
    serde_json::from_slice(&header.unwrap()).unwrap()
}

/// Whether the key of the set that the token names made its signature.
pub(crate) fn is_signed_by_one_of(token: &str, keys: &[Value]) -> bool {
    let kid = kid(token);
    keys.iter()
        .find(|key| key["kid"] == kid.as_str())
        .is_some_and(|key| is_signed_by(token, key))
}

/// Whether this key made the signature, with RS256.
pub(crate) fn is_signed_by(token: &str, key: &Value) -> bool {
    let (message, signature) = token.rsplit_once('.').unwrap();
    let part = |name: &str| URL_SAFE_NO_PAD.decode(key[name].as_str().unwrap()).unwrap();
    let public = RsaPublicKeyComponents {
        n: part("n"),
        e: part("e"),
    };
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    public
        .verify(&RSA_PKCS1_2048_8192_SHA256, message.as_bytes(), &signature)
        .is_ok()
}
