//! The authorization endpoint: what it accepts, and each of its refusals.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod client;

use bytes::Bytes;
use client::json;
use client::user::{
    GRAPH, Pairs, WEB_REDIRECT, administer, authorize_url, claims, emulator, post_to,
    public_request, sign_in, text, tokens, user, web_redemption, web_request, with, withdraw,
};
use entra_emulator::SignInError;
use http::Request;
use serde_json::json as value;
use url::Url;

#[test]
fn a_request_that_cannot_be_trusted_is_refused_on_a_page() {
    let emulator = emulator();
    let request = web_request(&emulator, "openid");
    for (name, changed, code) in [
        ("client_id", "", 900_144),
        ("client_id", "00000000-0000-4000-8000-000000000000", 700_016),
        ("redirect_uri", "", 900_971),
        ("redirect_uri", "https://localhost/signin-oidc/", 50011),
        ("redirect_uri", "https://evil.example/", 50011),
    ] {
        let url = authorize_url(&emulator, "", &with(request.clone(), name, changed));
        let refused = emulator.sign_in_as(&url, &user(&emulator));
        assert_eq!(page_code(refused), code, "{name}={changed}");
    }
    for (segment, code) in [
        ("common", 50194),
        ("consumers", 9_002_332),
        ("x.example", 90002),
    ] {
        let url = authorize_url(&emulator, segment, &request);
        assert_eq!(page_code(emulator.sign_in_as(&url, &user(&emulator))), code);
    }
}

#[test]
fn a_request_with_one_thing_wrong_sends_its_error_and_state_back() {
    let emulator = emulator();
    let request = web_request(&emulator, "openid");
    for (name, changed, error, code) in [
        ("response_type", "", "invalid_request", 900_144),
        (
            "response_type",
            "telepathy",
            "unsupported_response_type",
            70005,
        ),
        (
            "response_type",
            "token",
            "unsupported_response_type",
            700_051,
        ),
        ("response_mode", "telepathy", "invalid_request", 70007),
        ("scope", "", "invalid_request", 900_144),
        ("scope", "Unheard.Of", "invalid_client", 650_053),
        ("scope", "api://nothing/a", "invalid_resource", 500_011),
        ("code_challenge", "short", "invalid_request", 50147),
        ("code_challenge", "", "invalid_request", 50147),
        ("code_challenge_method", "S512", "invalid_request", 90023),
        ("prompt", "telepathy", "invalid_request", 90023),
        ("max_age", "-1", "invalid_request", 90023),
        ("claims", "cp1", "invalid_request", 90023),
    ] {
        let redirect = sign_in(&emulator, &with(request.clone(), name, changed));
        assert!(redirect.location.as_str().starts_with(WEB_REDIRECT));
        let found = redirect.parameter("error");
        assert_eq!(found.as_deref(), Some(error), "{name}={changed}");
        let description = redirect.parameter("error_description").unwrap();
        let expected = format!("AADSTS{code}: ");
        assert!(description.starts_with(&expected), "{name}: {description}");
        assert_eq!(redirect.parameter("state").as_deref(), Some("s1"));
        assert_eq!(redirect.parameter("code"), None);
    }
}

#[test]
fn an_id_token_comes_from_the_authorization_endpoint_where_the_registration_allows_it() {
    let emulator = emulator();
    let request = with(
        web_request(&emulator, "openid"),
        "response_type",
        "code id_token",
    );
    let redirect = sign_in(&emulator, &request);
    assert_eq!(redirect.location.query(), None);
    let id = claims(&redirect.parameter("id_token").unwrap());
    assert_eq!(id["nonce"], "n1");
    assert!(id["c_hash"].is_string());
    let code = redirect.parameter("code").unwrap();
    tokens(&emulator, &web_redemption(&emulator, &code));

    let only = with(request.clone(), "response_type", "id_token");
    assert_eq!(sign_in(&emulator, &only).parameter("code"), None);
    let error = |request: &Pairs| {
        let redirect = sign_in(&emulator, request);
        assert_eq!(redirect.location.query(), None);
        redirect.parameter("error_description").unwrap()
    };
    let refused = |name, changed| error(&with(request.clone(), name, changed));
    assert!(refused("nonce", "").starts_with("AADSTS900144: "));
    assert!(refused("scope", "User.Read").starts_with("AADSTS70005: "));
    assert!(refused("response_mode", "query").starts_with("AADSTS70007: "));
    let path = format!("/applications/{}", emulator.web_app().object_id);
    let change = value!({"web": {"redirectUris": [WEB_REDIRECT],
        "implicitGrantSettings": {"enableIdTokenIssuance": false}}});
    administer(&emulator, "PATCH", &path, &change);
    assert!(error(&request).starts_with("AADSTS700054: "));
}

#[test]
fn the_answer_comes_in_the_mode_that_was_asked_for() {
    let emulator = emulator();
    let in_mode = |mode| {
        let request = with(web_request(&emulator, "openid"), "response_mode", mode);
        sign_in(&emulator, &request)
    };
    let query = in_mode("query");
    assert!(query.location.query().unwrap().starts_with("code="));
    let fragment = in_mode("fragment");
    assert_eq!(fragment.location.query(), None);
    assert!(fragment.location.fragment().unwrap().starts_with("code="));
    let form = in_mode("form_post");
    assert_eq!(form.location.as_str(), WEB_REDIRECT);
    assert!(form.form.as_deref().unwrap().starts_with("code="));
    assert!(!format!("{query:?}{form:?}").contains("code="));
}

#[test]
fn a_user_consents_where_it_may_and_an_administrator_where_it_may_not() {
    let emulator = emulator();
    let app = emulator.web_app().client_id;
    withdraw(&emulator, &app, GRAPH);
    let silent = with(web_request(&emulator, "openid User.Read"), "prompt", "none");
    let url = authorize_url(&emulator, "", &with(silent.clone(), "scope", "Mail.Read"));
    let refused = emulator.sign_in_as(&url, &user(&emulator));
    assert_eq!(
        refused.unwrap().parameter("error").as_deref(),
        Some("consent_required")
    );
    let url = authorize_url(
        &emulator,
        "",
        &web_request(&emulator, "Group.ReadWrite.All"),
    );
    assert_eq!(
        page_code(emulator.sign_in_as(&url, &user(&emulator))),
        90094
    );

    let redirect = sign_in(&emulator, &web_request(&emulator, "openid User.Read"));
    let code = redirect.parameter("code").unwrap();
    let body = tokens(&emulator, &web_redemption(&emulator, &code));
    assert_eq!(
        claims(text(&body, "access_token"))["scp"],
        "openid User.Read"
    );
    // It was consent of this user alone.
    assert!(sign_in(&emulator, &silent).parameter("code").is_some());
    let another = emulator.users().remove(1).user_principal_name;
    let url = authorize_url(&emulator, "", &silent);
    let refused = emulator.sign_in_as(&url, &another).unwrap();
    assert_eq!(
        refused.parameter("error").as_deref(),
        Some("consent_required")
    );
}

#[test]
fn a_client_that_the_resource_trusts_needs_no_consent() {
    let emulator = emulator();
    let (web, public) = (emulator.web_app(), emulator.public_app());
    withdraw(&emulator, &public.client_id, &web.client_id);
    let path = format!("/applications/{}", web.object_id);
    let registration = administer(&emulator, "GET", &path, &value!(null));
    let mut api = registration["api"].clone();
    let scope = api["oauth2PermissionScopes"][0]["id"].clone();
    api["preAuthorizedApplications"] =
        value!([{"appId": public.client_id, "delegatedPermissionIds": [scope]}]);
    administer(&emulator, "PATCH", &path, &value!({"api": api}));
    let scope = format!("api://{}/access_as_user", web.client_id);
    let request = with(public_request(&emulator, &scope), "prompt", "none");
    assert!(sign_in(&emulator, &request).parameter("code").is_some());
}

#[test]
fn a_user_without_the_assignment_that_an_application_asks_for_sees_why() {
    let emulator = emulator();
    let principal = client::user::principal_id(&emulator, &emulator.web_app().client_id);
    let path = format!("/servicePrincipals/{principal}");
    let change = value!({"appRoleAssignmentRequired": true});
    administer(&emulator, "PATCH", &path, &change);
    let request = web_request(&emulator, "openid");
    let url = authorize_url(&emulator, "", &request);
    assert_eq!(
        page_code(emulator.sign_in_as(&url, &user(&emulator))),
        50105
    );
    let silent = sign_in(&emulator, &with(request, "prompt", "none"));
    assert_eq!(
        silent.parameter("error").as_deref(),
        Some("interaction_required")
    );
}

#[test]
fn nobody_is_signed_in_elsewhere_or_under_a_name_that_is_not_there() {
    let emulator = emulator();
    let url = authorize_url(&emulator, "", &web_request(&emulator, "openid"));
    let nobody = emulator.sign_in_as(&url, "nobody@alpenglow.example");
    assert_eq!(nobody, Err(SignInError::NoSuchUser));
    for elsewhere in ["https://evil.example", "https://localhost:1"] {
        let url = Url::parse(&format!("{elsewhere}{}", url.path())).unwrap();
        let refused = emulator.sign_in_as(&url, &user(&emulator));
        assert_eq!(refused, Err(SignInError::NotAuthorizeUrl));
    }
}

#[test]
fn the_control_interface_signs_in_and_answers_devices() {
    let emulator = emulator();
    let control = |path: &str, body: serde_json::Value| {
        let request = Request::post(format!("/_emulator{path}"));
        emulator.handle(&request.body(Bytes::from(body.to_string())).unwrap())
    };
    let url = authorize_url(&emulator, "", &web_request(&emulator, "openid"));
    let name = user(&emulator);
    let sign_in = value!({"url": url, "user_principal_name": name});
    let answer = json(&control("/sign-in", sign_in));
    assert!(text(&answer, "location").starts_with("https://localhost/signin-oidc?code="));
    assert_eq!(answer["form"], value!(null));
    let refused = control(
        "/sign-in",
        value!({"url": url, "user_principal_name": "nobody"}),
    );
    assert_eq!(refused.status(), 400);
    assert_eq!(json(&refused)["error"], "there is no user of this name");

    for name in [value!(name), value!(null)] {
        let form = vec![
            ("client_id", emulator.public_app().client_id),
            ("scope", "User.Read".to_owned()),
        ];
        let path = format!("{}/oauth2/v2.0/devicecode", emulator.tenant_id());
        let flow = json(&post_to(&emulator, &path, &form));
        let body = value!({"user_code": flow["user_code"], "user_principal_name": name});
        assert_eq!(control("/device-code", body.clone()).status(), 200);
        assert_eq!(control("/device-code", body).status(), 400);
    }
}

/// The AADSTS code of the page that a user sees.
fn page_code(outcome: Result<entra_emulator::Redirect, SignInError>) -> u32 {
    match outcome {
        Err(SignInError::Refused { code, .. }) => code,
        _ => 0,
    }
}
