//! Refresh tokens, device codes and the on-behalf-of flow.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod client;

use std::time::Duration;

use client::user::{
    EVERYTHING, GRAPH, Pairs, administer, claims, emulator, post_to, public_tokens, refusal, text,
    tokens, user, web_refresh, web_tokens, with, withdraw,
};
use client::{graph, json, token};
use entra_emulator::{Emulator, SignInError};
use serde_json::{Value, json as value};

#[test]
fn a_password_is_no_grant() {
    let emulator = emulator();
    let user = emulator.users().remove(0);
    let form = vec![
        ("grant_type", "password".to_owned()),
        ("client_id", emulator.public_app().client_id),
        ("username", user.user_principal_name),
        ("password", user.password.expose().to_owned()),
        ("scope", "openid".to_owned()),
    ];
    let refused = refusal(&emulator, &form);
    assert_eq!(refused, ("unsupported_grant_type".to_owned(), 70003));
}

#[test]
fn each_refresh_gives_a_new_token_and_the_old_one_stays_good() {
    let emulator = emulator();
    let first = web_tokens(&emulator, EVERYTHING);
    let form = web_refresh(&emulator, text(&first, "refresh_token"), "User.Read");
    let second = tokens(&emulator, &form);
    let third = tokens(&emulator, &form);
    assert_ne!(first["refresh_token"], second["refresh_token"]);
    assert_ne!(second["refresh_token"], third["refresh_token"]);
    let form = with(form, "refresh_token", text(&third, "refresh_token"));
    tokens(&emulator, &form);
}

#[test]
fn a_refreshed_id_token_is_of_the_same_person_and_has_no_nonce() {
    let emulator = emulator();
    let first = web_tokens(&emulator, EVERYTHING);
    let form = web_refresh(&emulator, text(&first, "refresh_token"), EVERYTHING);
    let second = tokens(&emulator, &form);
    let (first, second) = (
        claims(text(&first, "id_token")),
        claims(text(&second, "id_token")),
    );
    for same in ["iss", "sub", "aud", "oid", "tid"] {
        assert_eq!(first[same], second[same], "{same}");
    }
    assert_eq!(second.get("nonce"), None);
}

#[test]
fn a_refresh_token_is_bound_to_no_resource() {
    let emulator = emulator();
    let api = emulator.web_app().client_id;
    let first = public_tokens(&emulator, EVERYTHING);
    let form = vec![
        ("grant_type", "refresh_token".to_owned()),
        ("client_id", emulator.public_app().client_id),
        ("refresh_token", text(&first, "refresh_token").to_owned()),
        ("scope", format!("api://{api}/.default")),
    ];
    let body = tokens(&emulator, &form);
    assert_eq!(claims(text(&body, "access_token"))["aud"], api);
    let undeclared = "https://management.azure.com/.default";
    assert_eq!(
        refusal(&emulator, &with(form, "scope", undeclared)),
        ("invalid_resource".to_owned(), 650_057)
    );
}

#[test]
fn a_refresh_with_one_thing_wrong_is_refused_by_its_code() {
    let emulator = emulator();
    let first = web_tokens(&emulator, EVERYTHING);
    let form = web_refresh(&emulator, text(&first, "refresh_token"), "User.Read");
    let public = emulator.public_app().client_id;
    for (name, changed, error, code) in [
        ("refresh_token", "", "invalid_request", 900_144),
        ("refresh_token", "1.Anonsense", "invalid_grant", 9_002_313),
        ("client_id", &public, "invalid_grant", 70000),
        ("client_secret", "", "invalid_client", 7_000_218),
        ("client_secret", "wrong", "invalid_client", 7_000_215),
        ("scope", "Mail.Read", "invalid_grant", 65001),
    ] {
        let refused = refusal(&emulator, &with(form.clone(), name, changed));
        assert_eq!(refused, (error.to_owned(), code), "{name}={changed}");
    }
}

#[test]
fn a_refresh_token_ends_after_ninety_days_without_use() {
    let emulator = emulator();
    let first = web_tokens(&emulator, EVERYTHING);
    let form = web_refresh(&emulator, text(&first, "refresh_token"), "User.Read");
    emulator.advance(Duration::from_secs(89 * 86_400));
    let second = tokens(&emulator, &form);
    emulator.advance(Duration::from_secs(86_400));
    let path = format!("{}/oauth2/v2.0/token", emulator.tenant_id());
    let body = json(&post_to(&emulator, &path, &form));
    assert_eq!(body["error_codes"], value!([700_082]));
    assert_eq!(body["suberror"], "bad_token");
    tokens(
        &emulator,
        &with(form, "refresh_token", text(&second, "refresh_token")),
    );
}

#[test]
fn revoked_sessions_and_a_new_password_end_refresh_tokens_and_a_new_sign_in_is_good() {
    let emulator = emulator();
    let path = format!("/users/{}", emulator.users().remove(0).object_id);
    for (method, path, body) in [
        ("POST", format!("{path}/revokeSignInSessions"), value!({})),
        (
            "PATCH",
            path,
            value!({"passwordProfile": {"password": "Correct-Horse-1"}}),
        ),
    ] {
        let first = web_tokens(&emulator, EVERYTHING);
        let form = web_refresh(&emulator, text(&first, "refresh_token"), "User.Read");
        tokens(&emulator, &form);
        administer(&emulator, method, &path, &body);
        assert_eq!(
            refusal(&emulator, &form),
            ("invalid_grant".to_owned(), 50173)
        );
    }
    let first = web_tokens(&emulator, EVERYTHING);
    let form = web_refresh(&emulator, text(&first, "refresh_token"), "User.Read");
    tokens(&emulator, &form);
}

#[test]
fn a_reset_forgets_every_refresh_token() {
    let emulator = emulator();
    let first = web_tokens(&emulator, EVERYTHING);
    emulator.reset();
    let form = web_refresh(&emulator, text(&first, "refresh_token"), "User.Read");
    assert_eq!(refusal(&emulator, &form).1, 9_002_313);
}

#[test]
fn a_device_gets_its_tokens_once_its_user_has_entered_the_code() {
    let emulator = emulator();
    let flow = begin(&emulator, "openid offline_access User.Read");
    assert_eq!(flow["expires_in"], 900);
    assert_eq!(flow["interval"], 5);
    let page = "https://localhost/common/oauth2/deviceauth";
    assert_eq!(flow["verification_uri"], page);
    let user_code = text(&flow, "user_code");
    assert_eq!(user_code.len(), 9);
    assert!(text(&flow, "message").contains(user_code));
    let form = poll(&emulator, &flow);
    let pending = ("authorization_pending".to_owned(), 70016);
    assert_eq!(refusal(&emulator, &form), pending);

    emulator
        .approve_device(user_code, &user(&emulator))
        .unwrap();
    let body = tokens(&emulator, &form);
    assert_eq!(body["scope"], "openid User.Read");
    assert_eq!(claims(text(&body, "access_token"))["upn"], user(&emulator));
    assert_eq!(refusal(&emulator, &form).1, 54005);
    let refresh = vec![
        ("grant_type", "refresh_token".to_owned()),
        ("client_id", emulator.public_app().client_id),
        ("refresh_token", text(&body, "refresh_token").to_owned()),
    ];
    tokens(&emulator, &refresh);
}

#[test]
fn a_device_that_asks_too_often_is_slowed_down_by_five_seconds_each_time() {
    let emulator = emulator();
    let form = poll(&emulator, &begin(&emulator, "User.Read"));
    let errors: Vec<String> = [0, 5, 4, 3, 9, 8, 14]
        .into_iter()
        .map(|seconds| {
            emulator.advance(Duration::from_secs(seconds));
            refusal(&emulator, &form).0
        })
        .collect();
    let (pending, slow) = ("authorization_pending", "slow_down");
    assert_eq!(
        errors,
        [pending, pending, pending, slow, pending, slow, pending].map(str::to_owned)
    );
}

#[test]
fn a_code_that_is_declined_expired_or_unknown_is_refused_by_its_error() {
    let emulator = emulator();
    let flow = begin(&emulator, "User.Read");
    emulator.decline_device(text(&flow, "user_code")).unwrap();
    assert_eq!(
        refusal(&emulator, &poll(&emulator, &flow)).0,
        "authorization_declined"
    );

    let flow = begin(&emulator, "User.Read");
    emulator.advance(Duration::from_secs(900));
    let form = poll(&emulator, &flow);
    assert_eq!(
        refusal(&emulator, &form),
        ("expired_token".to_owned(), 70020)
    );
    let late = emulator.approve_device(text(&flow, "user_code"), &user(&emulator));
    assert_eq!(late, Err(SignInError::NoSuchDevice));

    let form = with(form, "device_code", "1.Anonsense");
    assert_eq!(refusal(&emulator, &form).0, "bad_verification_code");
    assert_eq!(
        refusal(&emulator, &with(form, "device_code", "")).1,
        900_144
    );
    assert_eq!(
        emulator.decline_device("NONSENSE"),
        Err(SignInError::NoSuchDevice)
    );
}

#[test]
fn a_device_needs_an_application_that_is_public() {
    let emulator = emulator();
    let flow = begin(&emulator, "User.Read");
    let form = with(poll(&emulator, &flow), "client_secret", "anything");
    assert_eq!(
        refusal(&emulator, &form),
        ("invalid_client".to_owned(), 700_025)
    );

    let path = format!("/applications/{}", emulator.public_app().object_id);
    let change = value!({"isFallbackPublicClient": false});
    administer(&emulator, "PATCH", &path, &change);
    let form = poll(&emulator, &flow);
    assert_eq!(
        refusal(&emulator, &form),
        ("invalid_client".to_owned(), 7_000_218)
    );
}

#[test]
fn an_application_of_one_tenant_has_no_device_code_at_the_endpoint_of_several() {
    let emulator = emulator();
    let form = device_form(&emulator, "User.Read");
    for (segment, code) in [
        ("common", 50194),
        ("organizations", 50194),
        ("consumers", 9_002_332),
        ("fabrikam.onmicrosoft.com", 90002),
    ] {
        let path = format!("{segment}/oauth2/v2.0/devicecode");
        let body = json(&post_to(&emulator, &path, &form));
        assert_eq!(body["error_codes"], value!([code]), "{segment}");
    }
    let path = format!("/applications/{}", emulator.public_app().object_id);
    let change = value!({"signInAudience": "AzureADMultipleOrgs"});
    administer(&emulator, "PATCH", &path, &change);
    let answer = post_to(&emulator, "common/oauth2/v2.0/devicecode", &form);
    assert_eq!(answer.status(), 200);
}

#[test]
fn a_service_acts_for_the_user_who_called_it() {
    let emulator = emulator();
    let form = on_behalf_of(&emulator, &api_token(&emulator));
    let body = tokens(&emulator, &form);
    assert_eq!(body["scope"], "https://graph.microsoft.com/User.Read");
    assert_eq!(body.get("refresh_token"), None);
    let access = text(&body, "access_token");
    assert_eq!(claims(access)["appid"], emulator.web_app().client_id);
    let me = json(&emulator.handle(&graph(access, "GET", "/v1.0/me", &Value::Null)));
    assert_eq!(me["userPrincipalName"], user(&emulator));

    let scope = "openid offline_access https://graph.microsoft.com/.default";
    let body = tokens(&emulator, &with(form, "scope", scope));
    assert!(body["id_token"].is_string());
    let refresh = web_refresh(&emulator, text(&body, "refresh_token"), "User.Read");
    tokens(&emulator, &refresh);
}

#[test]
fn a_request_on_behalf_of_a_user_with_one_thing_wrong_is_refused_by_its_code() {
    let emulator = emulator();
    let assertion = api_token(&emulator);
    let form = on_behalf_of(&emulator, &assertion);
    let for_graph = public_tokens(&emulator, "User.Read");
    let for_graph = text(&for_graph, "access_token");
    let (message, _) = assertion.rsplit_once('.').unwrap();
    let forged = format!("{message}.{}", "A".repeat(342));
    for (name, changed, error, code) in [
        ("assertion", "", "invalid_request", 900_144),
        ("scope", "", "invalid_request", 900_144),
        ("requested_token_use", "", "invalid_request", 900_144),
        ("requested_token_use", "self", "invalid_request", 90023),
        ("client_secret", "", "invalid_client", 7_000_218),
        ("client_secret", "wrong", "invalid_client", 7_000_215),
        ("assertion", for_graph, "invalid_grant", 500_131),
        ("assertion", &forged, "invalid_grant", 50013),
        ("assertion", "no token", "invalid_grant", 50013),
        ("scope", "Mail.Read", "invalid_grant", 65001),
    ] {
        let refused = refusal(&emulator, &with(form.clone(), name, changed));
        assert_eq!(refused, (error.to_owned(), code), "{name}={changed:.20}");
    }
    withdraw(&emulator, &emulator.web_app().client_id, GRAPH);
    assert_eq!(
        refusal(&emulator, &form),
        ("invalid_grant".to_owned(), 65001)
    );
}

#[test]
fn an_assertion_that_expired_is_refused_as_that() {
    let emulator = emulator();
    let form = on_behalf_of(&emulator, &api_token(&emulator));
    emulator.advance(Duration::from_secs(3_600 + 300));
    assert_eq!(
        refusal(&emulator, &form),
        ("invalid_grant".to_owned(), 500_133)
    );
}

#[test]
fn nobody_acts_on_behalf_of_an_application() {
    let emulator = emulator();
    let app = emulator.web_app();
    let form = vec![
        ("grant_type", "client_credentials".to_owned()),
        ("client_id", app.client_id.clone()),
        ("client_secret", app.client_secret.expose().to_owned()),
        ("scope", format!("{}/.default", app.client_id)),
    ];
    let body = tokens(&emulator, &form);
    let form = on_behalf_of(&emulator, text(&body, "access_token"));
    assert_eq!(
        refusal(&emulator, &form),
        ("invalid_grant".to_owned(), 7_000_114)
    );
    // Nor with the token of another application for another resource.
    let form = with(form, "assertion", &token(&emulator, &emulator.setup_app()));
    assert_eq!(refusal(&emulator, &form).1, 500_131);
}

/// A token with which the application on devices calls the web application.
fn api_token(emulator: &Emulator) -> String {
    let scope = format!("api://{}/access_as_user", emulator.web_app().client_id);
    text(&public_tokens(emulator, &scope), "access_token").to_owned()
}

fn on_behalf_of(emulator: &Emulator, assertion: &str) -> Pairs {
    let app = emulator.web_app();
    let grant = "urn:ietf:params:oauth:grant-type:jwt-bearer";
    vec![
        ("grant_type", grant.to_owned()),
        ("client_id", app.client_id),
        ("client_secret", app.client_secret.expose().to_owned()),
        ("assertion", assertion.to_owned()),
        ("requested_token_use", "on_behalf_of".to_owned()),
        ("scope", "https://graph.microsoft.com/User.Read".to_owned()),
    ]
}

fn device_form(emulator: &Emulator, scope: &str) -> Pairs {
    vec![
        ("client_id", emulator.public_app().client_id),
        ("scope", scope.to_owned()),
    ]
}

fn begin(emulator: &Emulator, scope: &str) -> Value {
    let path = format!("{}/oauth2/v2.0/devicecode", emulator.tenant_id());
    let answer = post_to(emulator, &path, &device_form(emulator, scope));
    assert_eq!(answer.status(), 200);
    json(&answer)
}

fn poll(emulator: &Emulator, flow: &Value) -> Pairs {
    let grant = "urn:ietf:params:oauth:grant-type:device_code";
    vec![
        ("grant_type", grant.to_owned()),
        ("client_id", emulator.public_app().client_id),
        ("device_code", text(flow, "device_code").to_owned()),
    ]
}
