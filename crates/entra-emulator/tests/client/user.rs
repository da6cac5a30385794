//! A client of the tenant that signs users in.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use entra_emulator::{Emulator, Redirect, Seed};
use http::header::CONTENT_TYPE;
use http::{Request, Response};
use serde_json::Value;
use url::Url;

use super::json;

pub(crate) const WEB_REDIRECT: &str = "https://localhost/signin-oidc";
pub(crate) const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
pub(crate) const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
pub(crate) const EVERYTHING: &str = "openid profile email offline_access User.Read";

/// A tenant in which every write is seen at once.
pub(crate) fn emulator() -> Emulator {
    Emulator::new(Seed::new().with_replication_delay(std::time::Duration::ZERO))
}

/// Names and values of a query or a form.
pub(crate) type Pairs = Vec<(&'static str, String)>;

/// An authorization request of the web application.
pub(crate) fn web_request(emulator: &Emulator, scope: &str) -> Pairs {
    vec![
        ("client_id", emulator.web_app().client_id),
        ("redirect_uri", WEB_REDIRECT.to_owned()),
        ("response_type", "code".to_owned()),
        ("scope", scope.to_owned()),
        ("state", "s1".to_owned()),
        ("nonce", "n1".to_owned()),
        ("code_challenge", CHALLENGE.to_owned()),
        ("code_challenge_method", "S256".to_owned()),
    ]
}

/// An authorization request of the application on devices.
pub(crate) fn public_request(emulator: &Emulator, scope: &str) -> Pairs {
    let request = web_request(emulator, scope);
    let request = with(request, "client_id", &emulator.public_app().client_id);
    with(request, "redirect_uri", "http://localhost:12345")
}

/// The same with one parameter changed; an empty value leaves it out.
pub(crate) fn with(mut pairs: Pairs, name: &'static str, value: &str) -> Pairs {
    pairs.retain(|(known, _)| *known != name);
    if !value.is_empty() {
        pairs.push((name, value.to_owned()));
    }
    pairs
}

pub(crate) fn authorize_url(emulator: &Emulator, segment: &str, pairs: &Pairs) -> Url {
    let tenant = emulator.tenant_id();
    let segment = if segment.is_empty() { &tenant } else { segment };
    let path = format!("{segment}/oauth2/v2.0/authorize");
    let mut url = emulator.cloud().login_url().join(&path).unwrap();
    url.query_pairs_mut().extend_pairs(pairs);
    url
}

/// The first user of the seed signs in.
pub(crate) fn sign_in(emulator: &Emulator, pairs: &Pairs) -> Redirect {
    let url = authorize_url(emulator, "", pairs);
    emulator.sign_in_as(&url, &user(emulator)).unwrap()
}

pub(crate) fn user(emulator: &Emulator) -> String {
    emulator.users().remove(0).user_principal_name
}

/// The form with which the web application redeems a code.
pub(crate) fn web_redemption(emulator: &Emulator, code: &str) -> Pairs {
    let app = emulator.web_app();
    vec![
        ("grant_type", "authorization_code".to_owned()),
        ("client_id", app.client_id),
        ("client_secret", app.client_secret.expose().to_owned()),
        ("redirect_uri", WEB_REDIRECT.to_owned()),
        ("code", code.to_owned()),
        ("code_verifier", VERIFIER.to_owned()),
        ("client_info", "1".to_owned()),
    ]
}

/// The form with which the application on devices redeems a code.
pub(crate) fn public_redemption(emulator: &Emulator, code: &str) -> Pairs {
    let form = web_redemption(emulator, code);
    let form = with(form, "client_id", &emulator.public_app().client_id);
    let form = with(form, "client_secret", "");
    with(form, "redirect_uri", "http://localhost:12345")
}

/// A refresh of the web application.
pub(crate) fn web_refresh(emulator: &Emulator, refresh_token: &str, scope: &str) -> Pairs {
    let app = emulator.web_app();
    vec![
        ("grant_type", "refresh_token".to_owned()),
        ("client_id", app.client_id),
        ("client_secret", app.client_secret.expose().to_owned()),
        ("refresh_token", refresh_token.to_owned()),
        ("scope", scope.to_owned()),
    ]
}

pub(crate) fn post(emulator: &Emulator, form: &Pairs) -> Response<Bytes> {
    post_to(
        emulator,
        &format!("{}/oauth2/v2.0/token", emulator.tenant_id()),
        form,
    )
}

pub(crate) fn post_to(emulator: &Emulator, path: &str, form: &Pairs) -> Response<Bytes> {
    emulator.handle(&form_request(path, form))
}

pub(crate) fn form_request(path: &str, form: &Pairs) -> Request<Bytes> {
    let body = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(form)
        .finish();
    Request::post(format!("/{path}"))
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Bytes::from(body))
        .unwrap()
}

/// The token response to a sign-in of the web application.
pub(crate) fn web_tokens(emulator: &Emulator, scope: &str) -> Value {
    let redirect = sign_in(emulator, &web_request(emulator, scope));
    let code = redirect.parameter("code").expect("a code");
    tokens(emulator, &web_redemption(emulator, &code))
}

/// The token response to a sign-in of the application on devices.
pub(crate) fn public_tokens(emulator: &Emulator, scope: &str) -> Value {
    let redirect = sign_in(emulator, &public_request(emulator, scope));
    let code = redirect.parameter("code").expect("a code");
    tokens(emulator, &public_redemption(emulator, &code))
}

/// A token response that has to succeed.
pub(crate) fn tokens(emulator: &Emulator, form: &Pairs) -> Value {
    let answer = post(emulator, form);
    let body = json(&answer);
    assert_eq!(answer.status(), 200, "{body}");
    body
}

/// `error` and the AADSTS code of a token response that has to fail.
pub(crate) fn refusal(emulator: &Emulator, form: &Pairs) -> (String, u64) {
    let body = json(&post(emulator, form));
    assert!(body["error"].is_string(), "{body}");
    let code = body["error_codes"][0].as_u64();
    (text(&body, "error").to_owned(), code.unwrap())
}

pub(crate) fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    assert!(value[name].is_string(), "{name} of {value}");
    value[name].as_str().unwrap()
}

/// The claims of a token, unverified.
pub(crate) fn claims(token: &str) -> Value {
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap());
    serde_json::from_slice(&payload.unwrap()).unwrap()
}

/// A change by the application that may do everything.
pub(crate) fn administer(emulator: &Emulator, method: &str, path: &str, body: &Value) -> Value {
    let token = super::token(emulator, &emulator.setup_app());
    let path = format!("/v1.0{path}");
    let answer = emulator.handle(&super::graph(&token, method, &path, body));
    assert!(
        answer.status().is_success(),
        "{path}: {}",
        String::from_utf8_lossy(answer.body())
    );
    if answer.body().is_empty() {
        return Value::Null;
    }
    json(&answer)
}

/// The id of the service principal of an application.
pub(crate) fn principal_id(emulator: &Emulator, app_id: &str) -> String {
    let path = format!("/servicePrincipals(appId='{app_id}')");
    text(&administer(emulator, "GET", &path, &Value::Null), "id").to_owned()
}

/// Takes every delegated permission of a client at a resource away.
pub(crate) fn withdraw(emulator: &Emulator, app_id: &str, resource_app_id: &str) {
    let (client, resource) = (
        principal_id(emulator, app_id),
        principal_id(emulator, resource_app_id),
    );
    let grants = administer(emulator, "GET", "/oauth2PermissionGrants", &Value::Null);
    for grant in grants["value"].as_array().unwrap() {
        if grant["clientId"] == client.as_str() && grant["resourceId"] == resource.as_str() {
            let path = format!("/oauth2PermissionGrants/{}", text(grant, "id"));
            administer(emulator, "DELETE", &path, &Value::Null);
        }
    }
}

pub(crate) const GRAPH: &str = "00000003-0000-0000-c000-000000000000";
