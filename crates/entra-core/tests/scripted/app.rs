//! A confidential client over the script, and what tests read off its tokens and requests.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use entra_core::{
    AccessToken, Authority, ClientCredential, ClientCredentials, ClientId, ClientSecret, Cloud,
    ConfidentialClient, Error, MovableClock, Pipeline, Secret, SigningCertificate, Tenant,
    TokenErrorKind, TokenRequest,
};
use serde_json::Value;
use time::macros::datetime;

use super::{Reply, ScriptedHttp, Seen};

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const CLIENT: &str = "11111111-2222-4333-8444-555555555555";

pub(crate) fn app(
    script: impl IntoIterator<Item = Reply>,
) -> (ConfidentialClient, ScriptedHttp, Arc<MovableClock>) {
    let clock = frozen();
    let http = ScriptedHttp::new(&clock, script);
    (client(&http, &clock, secret("s3cr3t~value")), http, clock)
}

pub(crate) fn client(
    http: &ScriptedHttp,
    clock: &Arc<MovableClock>,
    credentials: impl Into<ClientCredentials>,
) -> ConfidentialClient {
    ConfidentialClient::new(
        Authority::new(Cloud::public(), tenant("contoso.onmicrosoft.com")),
        client_id(),
        credentials,
        Pipeline::new(http.clone()).with_clock(clock.clone()),
    )
    .unwrap()
}

pub(crate) fn frozen() -> Arc<MovableClock> {
    Arc::new(MovableClock::frozen_at(datetime!(2026-01-01 00:00 UTC)))
}

pub(crate) fn tenant(text: &str) -> Tenant {
    Tenant::parse(text).unwrap()
}

pub(crate) fn client_id() -> ClientId {
    ClientId::parse(CLIENT).unwrap()
}

pub(crate) fn secret(text: &str) -> ClientCredential {
    ClientCredential::secret(ClientSecret::parse(text).unwrap())
}

pub(crate) fn certificate() -> ClientCredential {
    let certificates = include_str!("../fixtures/openssl/rsa2048.crt");
    let key = Secret::new(include_str!("../fixtures/openssl/rsa2048-pkcs8.key"));
    let certificate = SigningCertificate::from_pem_parts(certificates, &key);
    ClientCredential::certificate(certificate.unwrap())
}

pub(crate) fn graph() -> TokenRequest {
    request("https://graph.microsoft.com/.default")
}

pub(crate) fn request(scope: &str) -> TokenRequest {
    TokenRequest::new([scope])
}

pub(crate) fn text(token: &AccessToken) -> String {
    token.secret().expose().to_owned()
}

pub(crate) fn kind(error: &Error) -> TokenErrorKind {
    match error {
        Error::Token(error) => error.kind(),
        other => panic!("{other:?}"),
    }
}

/// A parameter of the form, of each request in turn.
pub(crate) fn forms(http: &ScriptedHttp, name: &str) -> Vec<Option<String>> {
    http.seen().iter().map(|seen| seen.form(name)).collect()
}

/// The claims of the client assertion in a request.
pub(crate) fn assertion_claims(seen: &Seen) -> Value {
    let assertion = seen.form("client_assertion").unwrap();
    let payload = assertion.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}
