//! Continuous Access Evaluation: who answers challenges, and who does not.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod client;

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use client::{graph, json, token};
use entra_core::{
    Authority, Call, ClientCredential, ClientId, ClientSecret, ConfidentialClient, Error, Pipeline,
    Tenant, TokenRequest,
};
use entra_emulator::{Emulator, Seed, SeededApp};
use http::header::{CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{Request, Response, StatusCode};
use serde_json::{Value, json as value};

const CP1: &str = r#"{"access_token":{"xms_cc":{"values":["cp1"]}}}"#;

#[test]
fn who_understands_challenges_gets_a_token_for_a_day() {
    let tenant = tenant();
    let answer = ask(&tenant, &graph_scope(&tenant), CP1);
    assert_eq!(answer["expires_in"], 86_399);
    assert_eq!(answer["ext_expires_in"], 86_399);
    assert_eq!(answer["refresh_in"], 43_199);
    let claims = claims(&answer["access_token"]);
    assert_eq!(claims["xms_cc"], value!(["cp1"]));
    assert_eq!(claims["exp"], 1_767_312_000);

    let plain = ask(&tenant, &graph_scope(&tenant), "{}");
    assert_eq!(plain["expires_in"], 3_599);
    assert_eq!(plain["refresh_in"], Value::Null);
    let other = ask(&tenant, "https://management.azure.com/.default", CP1);
    assert_eq!(other["expires_in"], 3_599);
    assert_eq!(self::claims(&other["access_token"])["xms_cc"], Value::Null);
}

#[test]
fn a_claims_parameter_that_is_no_json_is_refused() {
    let tenant = tenant();
    let answer = ask(&tenant, &graph_scope(&tenant), "cp1");
    assert_eq!(answer["error"], "invalid_request");
    assert_eq!(answer["error_codes"], value!([90_023]));
}

#[test]
fn a_revoked_token_is_challenged_and_its_successor_accepted() {
    let tenant = tenant();
    let app = tenant.setup_app();
    let first = access_token(&ask(&tenant, &graph_scope(&tenant), CP1));
    assert_eq!(groups(&tenant, &first).status(), 200);
    tenant.revoke(&app.client_id).unwrap();
    let refusal = groups(&tenant, &first);
    assert_eq!(refusal.status(), 401);
    let body = json(&refusal);
    assert_eq!(body["error"]["code"], "InvalidAuthenticationToken");
    assert_eq!(
        body["error"]["message"],
        "Continuous access evaluation resulted in challenge with result: InteractionRequired and \
         code: TokenIssuedBeforeRevocationTimestamp"
    );
    let claims = r#"{"access_token":{"nbf":{"essential":true,"value":"1767225600"}}}"#;
    let header = refusal.headers()[WWW_AUTHENTICATE].to_str().unwrap();
    let expected = format!(
        "Bearer realm=\"\", authorization_uri=\"https://localhost/common/oauth2/authorize\", \
         client_id=\"00000003-0000-0000-c000-000000000000\", error=\"insufficient_claims\", \
         claims=\"{}\"",
        STANDARD.encode(claims)
    );
    assert_eq!(header, expected);

    let both = r#"{"access_token":{"nbf":{"essential":true,"value":"1767225600"},
        "xms_cc":{"values":["cp1"]}}}"#;
    let second = access_token(&ask(&tenant, &graph_scope(&tenant), both));
    assert_eq!(groups(&tenant, &second).status(), 200);
    assert_eq!(groups(&tenant, &first).status(), 401);
}

#[test]
fn a_token_of_who_does_not_understand_challenges_lives_until_it_ends() {
    let tenant = tenant();
    let app = tenant.setup_app();
    let plain = token(&tenant, &app);
    tenant.revoke(&app.client_id).unwrap();
    assert_eq!(groups(&tenant, &plain).status(), 200);
    tenant.advance(Duration::from_secs(3_600 + 300));
    let refusal = groups(&tenant, &plain);
    assert_eq!(refusal.status(), 401);
    assert_eq!(
        json(&refusal)["error"]["message"],
        "Lifetime validation failed, the token is expired."
    );
}

#[test]
fn a_disabled_application_loses_access_at_once_if_it_understands_challenges() {
    let tenant = tenant();
    let first = access_token(&ask(&tenant, &graph_scope(&tenant), CP1));
    let path = format!(
        "/v1.0/servicePrincipals(appId='{}')",
        tenant.setup_app().client_id
    );
    let body = value!({"accountEnabled": false});
    let disable = graph(&first, "PATCH", &path, &body);
    assert_eq!(tenant.handle(&disable).status(), 204);
    let refusal = groups(&tenant, &first);
    assert_eq!(refusal.status(), 401);
    let header = refusal.headers()[WWW_AUTHENTICATE].to_str().unwrap();
    assert!(header.contains("error=\"insufficient_claims\""), "{header}");
    let answer = ask(&tenant, &graph_scope(&tenant), CP1);
    assert_eq!(answer["error_codes"], value!([7_000_112]));
}

#[tokio::test]
async fn a_client_answers_the_challenge_by_itself() {
    let tenant = tenant();
    let client = client(&tenant).with_continuous_access_evaluation();
    assert_eq!(send(&tenant, &client).await.unwrap(), 200);
    tenant.revoke(&tenant.setup_app().client_id).unwrap();
    assert_eq!(send(&tenant, &client).await.unwrap(), 200);
    let path = format!("/{}/oauth2/v2.0/token", tenant.tenant_id());
    assert_eq!(tenant.journal().count("POST", &path), 2);
    assert_eq!(tenant.journal().count("GET", "/v1.0/groups"), 3);
    assert_eq!(send(&tenant, &client).await.unwrap(), 200);
    assert_eq!(tenant.journal().count("POST", &path), 2);
}

#[test]
fn a_revocation_over_http_names_who_is_meant() {
    let tenant = tenant();
    let revoke = |body: &str| {
        let body = Bytes::from(body.to_owned());
        tenant.handle(&Request::post("/_emulator/revoke").body(body).unwrap())
    };
    let first = access_token(&ask(&tenant, &graph_scope(&tenant), CP1));
    let body = value!({"principal": tenant.setup_app().client_id}).to_string();
    assert_eq!(revoke(&body).status(), 200);
    assert_eq!(groups(&tenant, &first).status(), 401);
    let refusal = revoke(r#"{"principal": "nobody"}"#);
    assert_eq!(refusal.status(), 400);
    assert_eq!(
        json(&refusal)["error"],
        "\"nobody\" is no user name, client id or object id of this tenant"
    );
    assert_eq!(revoke("{}").status(), 400);
    tenant.reset();
    assert_eq!(groups(&tenant, &first).status(), 200);
}

fn tenant() -> Emulator {
    Emulator::new(Seed::new().with_replication_delay(Duration::ZERO))
}

fn graph_scope(tenant: &Emulator) -> String {
    tenant.cloud().graph_scope()
}

/// The answer to a request for a token with this claims parameter.
fn ask(tenant: &Emulator, scope: &str, claims: &str) -> Value {
    let SeededApp {
        client_id,
        client_secret,
        ..
    } = tenant.setup_app();
    let body = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("grant_type", "client_credentials")
        .append_pair("client_id", &client_id)
        .append_pair("client_secret", client_secret.expose())
        .append_pair("scope", scope)
        .append_pair("claims", claims)
        .finish();
    let request = Request::post(format!("/{}/oauth2/v2.0/token", tenant.tenant_id()))
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Bytes::from(body));
    json(&tenant.handle(&request.unwrap()))
}

fn access_token(answer: &Value) -> String {
    answer["access_token"].as_str().unwrap().to_owned()
}

fn groups(tenant: &Emulator, token: &str) -> Response<Bytes> {
    tenant.handle(&graph(token, "GET", "/v1.0/groups", &Value::Null))
}

fn claims(token: &Value) -> Value {
    let payload = token.as_str().unwrap().split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

fn client(tenant: &Emulator) -> ConfidentialClient {
    let app = tenant.setup_app();
    ConfidentialClient::new(
        Authority::new(tenant.cloud(), Tenant::parse(&tenant.tenant_id()).unwrap()),
        ClientId::parse(&app.client_id).unwrap(),
        ClientCredential::secret(ClientSecret::try_from(&app.client_secret).unwrap()),
        Pipeline::new(tenant.clone()).with_clock(tenant.clock()),
    )
    .unwrap()
}

async fn send(tenant: &Emulator, client: &ConfidentialClient) -> Result<StatusCode, Error> {
    let request = Request::get("https://localhost/v1.0/groups").body(Bytes::new());
    let call = Call::new("GET /groups", request.unwrap()).with_credential(
        Arc::new(client.clone()),
        TokenRequest::new([graph_scope(tenant)]),
    );
    Ok(client.pipeline().send(call).await?.status())
}
