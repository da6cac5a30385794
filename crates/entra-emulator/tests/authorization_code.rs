//! Authorization codes and the tokens that they are redeemed for.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod client;

use std::time::Duration;

use client::user::{
    EVERYTHING, GRAPH, Pairs, administer, claims, emulator, form_request, post_to, principal_id,
    public_redemption, public_request, public_tokens, refusal, sign_in, text, tokens, user,
    web_redemption, web_request, web_tokens, with, withdraw,
};
use client::{graph, json};
use entra_emulator::Emulator;
use http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue, ORIGIN};
use serde_json::{Value, json as value};

#[test]
fn a_user_signs_in_to_a_web_application() {
    let emulator = emulator();
    let redirect = sign_in(&emulator, &web_request(&emulator, EVERYTHING));
    assert_eq!(redirect.location.path(), "/signin-oidc");
    assert_eq!(redirect.parameter("state").as_deref(), Some("s1"));
    assert!(redirect.parameter("session_state").is_some());
    assert_eq!(redirect.form, None);
    let code = redirect.parameter("code").unwrap();

    let body = tokens(&emulator, &web_redemption(&emulator, &code));
    assert_eq!(body["token_type"], "Bearer");
    assert_eq!(body["expires_in"], 3599);
    assert_eq!(body["scope"], "openid profile email User.Read");
    assert!(body["refresh_token"].is_string());
    assert_eq!(body.get("refresh_in"), None);
    let seeded = emulator.users().remove(0);
    let (tenant, app) = (emulator.tenant_id(), emulator.web_app());

    let access = claims(text(&body, "access_token"));
    assert_eq!(access["aud"], GRAPH);
    assert_eq!(access["iss"], format!("https://sts.windows.net/{tenant}/"));
    assert_eq!(access["scp"], "openid profile email User.Read");
    assert_eq!(access["oid"], seeded.object_id);
    assert_eq!(access["upn"], seeded.user_principal_name);
    assert_eq!(access["appid"], app.client_id);
    assert_eq!(access["appidacr"], "1");
    assert_eq!(access["idtyp"], "user");
    assert_eq!(access["tid"], tenant);
    assert_eq!(access["ver"], "1.0");
    assert_eq!(access.get("roles"), None);

    let id = claims(text(&body, "id_token"));
    assert_eq!(id["aud"], app.client_id);
    assert_eq!(id["iss"], format!("https://localhost/{tenant}/v2.0"));
    assert_eq!(id["nonce"], "n1");
    assert_eq!(id["oid"], seeded.object_id);
    assert_eq!(id["name"], "Mara Lindqvist");
    assert_eq!(id["preferred_username"], seeded.user_principal_name);
    assert_eq!(id["email"], seeded.user_principal_name);
    assert_eq!(id["tid"], tenant);
    assert_eq!(id["ver"], "2.0");
    assert_ne!(id["sub"], access["sub"]);
    assert_eq!(id.get("at_hash"), None);
    assert_eq!(id.get("auth_time"), None);
}

#[test]
fn the_account_is_named_by_client_info() {
    let emulator = emulator();
    let body = web_tokens(&emulator, "openid profile");
    let info = claims(&format!(".{}.", text(&body, "client_info")));
    let user = emulator.users().remove(0).object_id;
    assert_eq!(info, value!({"uid": user, "utid": emulator.tenant_id()}));
}

#[test]
fn microsoft_graph_serves_the_signed_in_user() {
    let emulator = emulator();
    let body = web_tokens(&emulator, "openid User.Read");
    let token = text(&body, "access_token");
    let me = json(&emulator.handle(&graph(token, "GET", "/v1.0/me", &Value::Null)));
    assert_eq!(me["userPrincipalName"], user(&emulator));
}

#[test]
fn tokens_carry_what_was_asked_for_and_no_more() {
    let emulator = emulator();
    let plain = web_tokens(&emulator, "User.Read");
    assert_eq!(plain.get("id_token"), None);
    assert_eq!(plain.get("refresh_token"), None);
    assert_eq!(plain["scope"], "User.Read");
    let id = claims(text(&web_tokens(&emulator, "openid"), "id_token"));
    for absent in ["oid", "name", "preferred_username", "email"] {
        assert_eq!(id.get(absent), None, "{absent}");
    }
}

#[test]
fn the_answer_names_the_resource_as_the_client_did() {
    let emulator = emulator();
    for (scope, answered) in [
        (
            "https://graph.microsoft.com/.default",
            "https://graph.microsoft.com/User.Read https://graph.microsoft.com/.default",
        ),
        (
            "openid https://graph.microsoft.com/user.read",
            "openid https://graph.microsoft.com/User.Read",
        ),
    ] {
        assert_eq!(web_tokens(&emulator, scope)["scope"], answered);
    }
}

#[test]
fn an_api_of_ones_own_gets_a_token_of_its_version_with_its_scope() {
    let emulator = emulator();
    let api = emulator.web_app().client_id;
    let body = public_tokens(&emulator, &format!("api://{api}/access_as_user"));
    assert_eq!(body["scope"], format!("api://{api}/access_as_user"));
    let access = claims(text(&body, "access_token"));
    let tenant = emulator.tenant_id();
    assert_eq!(access["aud"], api);
    assert_eq!(access["azp"], emulator.public_app().client_id);
    assert_eq!(access["azpacr"], "0");
    assert_eq!(access["iss"], format!("https://localhost/{tenant}/v2.0"));
    assert_eq!(access["preferred_username"], user(&emulator));
    assert_eq!(access["scp"], "access_as_user");
    assert_eq!(access["ver"], "2.0");
}

#[test]
fn app_roles_of_the_user_are_in_both_tokens() {
    let emulator = emulator();
    let app = emulator.web_app();
    let role = "11111111-2222-4333-8444-555555555555";
    let roles = value!({"appRoles": [{"allowedMemberTypes": ["User"], "description": "d",
        "displayName": "Editors", "id": role, "isEnabled": true, "value": "Editor"}]});
    let path = format!("/applications/{}", app.object_id);
    administer(&emulator, "PATCH", &path, &roles);
    let principal = principal_id(&emulator, &app.client_id);
    let user = emulator.users().remove(0).object_id;
    let assignment = value!({"principalId": user, "resourceId": principal, "appRoleId": role});
    let path = format!("/users/{user}/appRoleAssignments");
    administer(&emulator, "POST", &path, &assignment);

    let id = claims(text(&web_tokens(&emulator, "openid"), "id_token"));
    assert_eq!(id["roles"], value!(["Editor"]));
    let scope = format!("api://{}/access_as_user", app.client_id);
    let access = public_tokens(&emulator, &scope);
    assert_eq!(
        claims(text(&access, "access_token"))["roles"],
        value!(["Editor"])
    );
}

#[test]
fn optional_claims_and_groups_come_where_the_registration_asks_for_them() {
    let emulator = emulator();
    let wanted = [
        "auth_time",
        "family_name",
        "login_hint",
        "sid",
        "upn",
        "acct",
    ];
    let wanted: Vec<Value> = wanted.iter().map(|name| value!({"name": name})).collect();
    let path = format!("/applications/{}", emulator.web_app().object_id);
    let change = value!({"optionalClaims": {"idToken": wanted},
        "groupMembershipClaims": "SecurityGroup"});
    administer(&emulator, "PATCH", &path, &change);
    let redirect = sign_in(&emulator, &web_request(&emulator, "openid profile"));
    let code = redirect.parameter("code").unwrap();
    let body = tokens(&emulator, &web_redemption(&emulator, &code));
    let id = claims(text(&body, "id_token"));
    assert_eq!(id["auth_time"], 1_767_225_600);
    assert_eq!(id["family_name"], "Lindqvist");
    assert_eq!(id["upn"], user(&emulator));
    assert_eq!(id["acct"], 0);
    assert_eq!(
        id["sid"].as_str().map(str::to_owned),
        redirect.parameter("session_state")
    );
    assert!(
        id["groups"]
            .as_array()
            .is_some_and(|groups| !groups.is_empty())
    );
    // The hint finds the user again.
    let hinted = with(
        web_request(&emulator, "openid"),
        "login_hint",
        text(&id, "login_hint"),
    );
    assert!(sign_in(&emulator, &hinted).parameter("code").is_some());
}

#[test]
fn more_than_two_hundred_groups_are_left_out_with_a_sign() {
    let emulator = emulator();
    let user = emulator.users().remove(0).object_id;
    for number in 0..201 {
        let name = format!("many-{number}");
        let group = value!({"displayName": name, "mailNickname": name, "mailEnabled": false,
            "securityEnabled": true,
            "members@odata.bind": [format!("https://graph.microsoft.com/v1.0/users/{user}")]});
        administer(&emulator, "POST", "/groups", &group);
    }
    let path = format!("/applications/{}", emulator.web_app().object_id);
    let change = value!({"groupMembershipClaims": "All"});
    administer(&emulator, "PATCH", &path, &change);
    let id = claims(text(&web_tokens(&emulator, "openid"), "id_token"));
    assert_eq!(id.get("groups"), None);
    assert_eq!(id["_claim_names"], value!({"groups": "src1"}));
    let endpoint = format!("https://localhost/v1.0/users/{user}/getMemberObjects");
    assert_eq!(id["_claim_sources"]["src1"]["endpoint"], endpoint);
}

#[test]
fn a_client_that_understands_challenges_gets_a_long_token_that_says_so() {
    let emulator = emulator();
    let redirect = sign_in(&emulator, &web_request(&emulator, EVERYTHING));
    let code = redirect.parameter("code").unwrap();
    let form = web_redemption(&emulator, &code);
    let claims_text = r#"{"access_token": {"xms_cc": {"values": ["cp1"]}}}"#;
    let body = tokens(&emulator, &with(form, "claims", claims_text));
    assert_eq!(body["expires_in"], 86_399);
    assert_eq!(body["refresh_in"], 43_199);
    let access = claims(text(&body, "access_token"));
    assert_eq!(access["xms_cc"], value!(["cp1"]));
    assert_eq!(access["exp"], 1_767_225_600 + 86_400);
}

#[test]
fn an_authentication_context_that_was_asked_for_is_in_the_id_token() {
    let emulator = emulator();
    let wanted = r#"{"id_token": {"acrs": {"essential": true, "value": "c1"}}}"#;
    let request = with(web_request(&emulator, "openid"), "claims", wanted);
    let code = sign_in(&emulator, &request).parameter("code").unwrap();
    let body = tokens(&emulator, &web_redemption(&emulator, &code));
    assert_eq!(claims(text(&body, "id_token"))["acrs"], value!(["c1"]));
}

#[test]
fn a_redemption_with_one_thing_wrong_is_refused_by_its_code_and_the_code_stays_good() {
    let emulator = emulator();
    let code = sign_in(&emulator, &web_request(&emulator, EVERYTHING)).parameter("code");
    let form = web_redemption(&emulator, &code.unwrap());
    for (name, changed, error, code) in [
        ("code", "", "invalid_request", 900_144),
        ("redirect_uri", "", "invalid_request", 900_144),
        ("client_id", "", "invalid_request", 900_144),
        ("code", "1.Anonsense", "invalid_grant", 9_002_313),
        ("client_id", NOBODY, "unauthorized_client", 700_016),
        ("client_secret", "", "invalid_client", 7_000_218),
        ("client_secret", "wrong", "invalid_client", 7_000_215),
        (
            "redirect_uri",
            "http://localhost/signin-oidc",
            "invalid_client",
            500_112,
        ),
        ("code_verifier", "", "invalid_grant", 501_481),
        ("code_verifier", "wrong", "invalid_grant", 501_481),
        ("scope", "Mail.Read", "invalid_grant", 65001),
        ("scope", "Unheard.Of", "invalid_client", 650_053),
        ("scope", "api://nothing/a", "invalid_resource", 500_011),
        ("scope", "User.Read api://other/a", "invalid_scope", 700_022),
        ("claims", "cp1", "invalid_request", 90023),
    ] {
        let refused = refusal(&emulator, &with(form.clone(), name, changed));
        assert_eq!(refused, (error.to_owned(), code), "{name}={changed}");
    }
    let other = with(form.clone(), "client_id", &emulator.public_app().client_id);
    let refused = refusal(&emulator, &with(other, "client_secret", ""));
    assert_eq!(refused, ("invalid_grant".to_owned(), 70000));
    tokens(&emulator, &form);
}

#[test]
fn missing_consent_is_told_apart_by_its_suberror() {
    let emulator = emulator();
    let code = sign_in(&emulator, &web_request(&emulator, EVERYTHING)).parameter("code");
    let form = web_redemption(&emulator, &code.unwrap());
    let form = with(form, "scope", "Mail.Read");
    let path = format!("{}/oauth2/v2.0/token", emulator.tenant_id());
    let body = json(&post_to(&emulator, &path, &form));
    assert_eq!(body["suberror"], "consent_required");
}

#[test]
fn a_code_is_good_once_and_for_ten_minutes() {
    let emulator = emulator();
    let code = || sign_in(&emulator, &web_request(&emulator, EVERYTHING)).parameter("code");
    let form = web_redemption(&emulator, &code().unwrap());
    tokens(&emulator, &form);
    assert_eq!(refusal(&emulator, &form).1, 54005);

    let form = web_redemption(&emulator, &code().unwrap());
    emulator.advance(Duration::from_secs(600));
    assert_eq!(
        refusal(&emulator, &form),
        ("invalid_grant".to_owned(), 70008)
    );
}

#[test]
fn a_code_for_several_resources_needs_a_scope_when_it_is_redeemed() {
    let emulator = emulator();
    let scope = format!(
        "User.Read api://{}/access_as_user",
        emulator.web_app().client_id
    );
    let code = sign_in(&emulator, &public_request(&emulator, &scope)).parameter("code");
    let form = public_redemption(&emulator, &code.unwrap());
    assert_eq!(
        refusal(&emulator, &form),
        ("invalid_request".to_owned(), 28003)
    );
    tokens(&emulator, &with(form, "scope", "User.Read"));
}

#[test]
fn a_public_client_has_no_secret_and_no_web_origin() {
    let emulator = emulator();
    let code = sign_in(&emulator, &public_request(&emulator, EVERYTHING)).parameter("code");
    let form = public_redemption(&emulator, &code.unwrap());
    let with_secret = with(form.clone(), "client_secret", "anything");
    assert_eq!(
        refusal(&emulator, &with_secret),
        ("invalid_client".to_owned(), 700_025)
    );
    assert_eq!(
        from_page(&emulator, &form)["error_codes"],
        value!([9_002_326])
    );
    tokens(&emulator, &form);
}

#[test]
fn a_page_redeems_its_code_from_its_origin_and_with_a_verifier_alone() {
    let emulator = emulator();
    let path = format!("/applications/{}", emulator.web_app().object_id);
    let uri = "https://page.example/";
    let change = value!({"spa": {"redirectUris": [uri]}});
    administer(&emulator, "PATCH", &path, &change);
    let request = with(web_request(&emulator, EVERYTHING), "redirect_uri", uri);
    let redemption = |request: &Pairs| {
        let code = sign_in(&emulator, request).parameter("code").unwrap();
        let form = with(web_redemption(&emulator, &code), "client_secret", "");
        with(form, "redirect_uri", uri)
    };

    let form = redemption(&request);
    assert_eq!(refusal(&emulator, &form).1, 9_002_327);
    let body = from_page(&emulator, &form);
    let refresh = vec![
        ("grant_type", "refresh_token".to_owned()),
        ("client_id", emulator.web_app().client_id),
        ("refresh_token", text(&body, "refresh_token").to_owned()),
    ];
    // The next refresh token ends when the first one ends.
    emulator.advance(Duration::from_secs(23 * 3_600));
    let next = from_page(&emulator, &refresh);
    let refresh = with(refresh, "refresh_token", text(&next, "refresh_token"));
    emulator.advance(Duration::from_secs(3_600));
    assert_eq!(
        from_page(&emulator, &refresh)["error_codes"],
        value!([700_084])
    );

    let unproven = with(
        with(request, "code_challenge", ""),
        "code_challenge_method",
        "",
    );
    let form = with(redemption(&unproven), "code_verifier", "");
    assert_eq!(
        from_page(&emulator, &form)["error_codes"],
        value!([9_002_325])
    );
}

#[test]
fn a_user_who_may_no_longer_sign_in_gets_no_token() {
    let emulator = emulator();
    let user = emulator.users().remove(0).object_id;
    let form = || {
        let redirect = sign_in(&emulator, &web_request(&emulator, EVERYTHING));
        web_redemption(&emulator, &redirect.parameter("code").unwrap())
    };
    let path = format!("/users/{user}");

    let revoked = form();
    let revoke = format!("{path}/revokeSignInSessions");
    administer(&emulator, "POST", &revoke, &value!({}));
    assert_eq!(refusal(&emulator, &revoked).1, 50173);

    let disabled = form();
    let change = |enabled: bool| value!({"accountEnabled": enabled});
    administer(&emulator, "PATCH", &path, &change(false));
    assert_eq!(refusal(&emulator, &disabled).1, 50057);
    administer(&emulator, "PATCH", &path, &change(true));

    let unassigned = form();
    let principal = principal_id(&emulator, &emulator.web_app().client_id);
    let principal = format!("/servicePrincipals/{principal}");
    let required = value!({"appRoleAssignmentRequired": true});
    administer(&emulator, "PATCH", &principal, &required);
    assert_eq!(refusal(&emulator, &unassigned).1, 50105);
    let required = value!({"appRoleAssignmentRequired": false});
    administer(&emulator, "PATCH", &principal, &required);

    let withdrawn = form();
    withdraw(&emulator, &emulator.web_app().client_id, GRAPH);
    assert_eq!(refusal(&emulator, &withdrawn).1, 65001);

    let deleted = public_redemption(
        &emulator,
        &sign_in(&emulator, &public_request(&emulator, EVERYTHING))
            .parameter("code")
            .unwrap(),
    );
    administer(&emulator, "DELETE", &path, &Value::Null);
    assert_eq!(refusal(&emulator, &deleted).1, 50034);
}

/// The body of an answer to a form that a page sends.
fn from_page(emulator: &Emulator, form: &Pairs) -> Value {
    let path = format!("{}/oauth2/v2.0/token", emulator.tenant_id());
    let mut request = form_request(&path, form);
    let origin = HeaderValue::from_static("https://page.example");
    request.headers_mut().insert(ORIGIN, origin);
    let answer = emulator.handle(&request);
    assert_eq!(answer.headers()[ACCESS_CONTROL_ALLOW_ORIGIN], "*");
    json(&answer)
}

const NOBODY: &str = "00000000-0000-4000-8000-000000000000";
