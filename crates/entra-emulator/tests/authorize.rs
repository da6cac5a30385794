//! The authorization endpoint: what it accepts, each of its refusals, and its pages.
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
    GRAPH, Pairs, WEB_REDIRECT, administer, authorize_url, claims, emulator, form_request, post_to,
    public_request, sign_in, text, tokens, user, web_redemption, web_request, with, withdraw,
};
use entra_emulator::{Emulator, SignInError};
use http::header::{COOKIE, LOCATION, SET_COOKIE};
use http::{Request, Response};
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
        let page = get(&emulator, &url, "");
        assert_eq!(page.status(), 200);
        assert!(html(&page).contains(&format!("AADSTS{code}: ")), "{name}");
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
fn a_person_signs_in_with_the_form_and_is_known_the_next_time() {
    let emulator = emulator();
    let seeded = emulator.users().remove(0);
    let url = authorize_url(&emulator, "", &web_request(&emulator, "openid"));
    let page = get(&emulator, &url, "");
    assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
    assert!(html(&page).contains("name=\"passwd\""));

    let wrong = login(&emulator, &url, &seeded.user_principal_name, "wrong");
    assert!(html(&wrong).contains("AADSTS50126: "));
    assert!(html(&wrong).contains(&seeded.user_principal_name));
    assert!(!wrong.headers().contains_key(SET_COOKIE));
    let unknown = login(&emulator, &url, "nobody@alpenglow.example", "wrong");
    assert!(html(&unknown).contains("AADSTS50034: "));

    let answer = login(
        &emulator,
        &url,
        &seeded.user_principal_name,
        seeded.password.expose(),
    );
    let cookie = session_cookie(&answer);
    assert!(
        answer.headers()[SET_COOKIE]
            .to_str()
            .unwrap()
            .ends_with("; Path=/; Secure; HttpOnly; SameSite=None")
    );
    let code = code_of(&answer);
    let body = tokens(&emulator, &web_redemption(&emulator, &code));
    assert_eq!(claims(text(&body, "id_token"))["oid"], value!(null));

    let silent = with(web_request(&emulator, "openid"), "prompt", "none");
    let silent = authorize_url(&emulator, "", &silent);
    assert!(!code_of(&get(&emulator, &silent, &cookie)).is_empty());
    let refused = get(&emulator, &silent, "ESTSAUTH=1.Anonsense");
    assert!(location(&refused).contains("error=login_required"));
    // Sent as a form, the request means the same.
    let mut post = form_request(
        url.path().trim_start_matches('/'),
        &web_request(&emulator, "openid"),
    );
    post.headers_mut().insert(COOKIE, cookie.parse().unwrap());
    assert!(!code_of(&emulator.handle(&post)).is_empty());
}

#[test]
fn a_session_does_not_serve_where_a_sign_in_is_asked_for() {
    let emulator = emulator();
    let seeded = emulator.users().remove(0);
    let request = web_request(&emulator, "openid");
    let url = authorize_url(&emulator, "", &request);
    let answer = login(
        &emulator,
        &url,
        &seeded.user_principal_name,
        seeded.password.expose(),
    );
    let cookie = session_cookie(&answer);
    let other = emulator.users().remove(1).user_principal_name;
    let own = &seeded.user_principal_name;
    for (name, value, asks) in [
        ("state", "s2", false),
        ("prompt", "login", true),
        ("prompt", "select_account", true),
        ("max_age", "0", true),
        ("max_age", "3600", false),
        ("login_hint", &other, true),
        ("login_hint", own, false),
    ] {
        let url = authorize_url(&emulator, "", &with(request.clone(), name, value));
        let answer = get(&emulator, &url, &cookie);
        assert_eq!(answer.status() == 200, asks, "{name}={value}");
    }
    // The account that is signed in can be selected, but not where its password is asked for.
    for (prompt, goes_on) in [("select_account", true), ("login", false)] {
        let raw = with(request.clone(), "prompt", prompt);
        let raw = authorize_url(&emulator, "", &raw)
            .query()
            .unwrap()
            .to_owned();
        let form = vec![("request", raw), ("action", "continue".to_owned())];
        let path = format!("{}/login", emulator.tenant_id());
        let mut post = form_request(&path, &form);
        post.headers_mut().insert(COOKIE, cookie.parse().unwrap());
        assert_eq!(emulator.handle(&post).status() == 302, goes_on, "{prompt}");
    }
    let path = format!("/users/{}/revokeSignInSessions", seeded.object_id);
    administer(&emulator, "POST", &path, &value!({}));
    assert_eq!(get(&emulator, &url, &cookie).status(), 200);
}

#[test]
fn a_person_is_asked_for_consent_and_may_decline() {
    let emulator = emulator();
    let seeded = emulator.users().remove(0);
    let (name, password) = (&seeded.user_principal_name, seeded.password.expose());
    withdraw(&emulator, &emulator.web_app().client_id, GRAPH);
    let url = authorize_url(&emulator, "", &web_request(&emulator, "openid User.Read"));
    let page = login(&emulator, &url, name, password);
    let cookie = session_cookie(&page);
    let shown = html(&page);
    assert!(
        shown.contains("Microsoft Graph: openid, User.Read"),
        "{shown}"
    );

    let consent = |action: &str, canary: &str| {
        let raw = url.query().unwrap().to_owned();
        let form = vec![
            ("request", raw),
            ("canary", canary.to_owned()),
            ("action", action.to_owned()),
        ];
        let path = format!("{}/consent", emulator.tenant_id());
        let mut post = form_request(&path, &form);
        post.headers_mut().insert(COOKIE, cookie.parse().unwrap());
        emulator.handle(&post)
    };
    let canary = hidden(&shown, "canary");
    let declined = consent("cancel", &canary);
    assert!(location(&declined).contains("error=access_denied"));
    assert!(location(&declined).contains("error_subcode=cancel"));
    // A form that this browser was not shown consents to nothing.
    assert!(html(&consent("accept", "forged")).contains("name=\"passwd\""));
    let code = code_of(&consent("accept", &canary));
    tokens(&emulator, &web_redemption(&emulator, &code));
}

#[test]
fn a_person_enters_the_code_of_a_device() {
    let emulator = emulator();
    let seeded = emulator.users().remove(0);
    let form = vec![
        ("client_id", emulator.public_app().client_id),
        ("scope", "User.Read".to_owned()),
    ];
    let path = format!("{}/oauth2/v2.0/devicecode", emulator.tenant_id());
    let flow = json(&post_to(&emulator, &path, &form));
    let page = Url::parse(text(&flow, "verification_uri")).unwrap();
    assert!(html(&get(&emulator, &page, "")).contains("name=\"otc\""));
    let enter = |otc: &str, password: &str| {
        let form = vec![
            ("otc", otc.to_owned()),
            ("login", seeded.user_principal_name.clone()),
            ("passwd", password.to_owned()),
            ("action", "next".to_owned()),
        ];
        html(&post_to(&emulator, "common/oauth2/deviceauth", &form))
    };
    let (code, password) = (text(&flow, "user_code"), seeded.password.expose());
    assert!(enter(code, "wrong").contains("AADSTS50126: "));
    assert!(enter("NONSENSE", password).contains("code didn&#39;t work"));
    assert!(enter(&code.to_lowercase(), password).contains("You have signed in on your device"));
    let poll = vec![
        (
            "grant_type",
            "urn:ietf:params:oauth:grant-type:device_code".to_owned(),
        ),
        ("client_id", emulator.public_app().client_id),
        ("device_code", text(&flow, "device_code").to_owned()),
    ];
    tokens(&emulator, &poll);
}

#[test]
fn a_sign_out_ends_the_session_and_goes_back_to_a_registered_uri_alone() {
    let emulator = emulator();
    let seeded = emulator.users().remove(0);
    let request = web_request(&emulator, "openid");
    let url = authorize_url(&emulator, "", &request);
    let answer = login(
        &emulator,
        &url,
        &seeded.user_principal_name,
        seeded.password.expose(),
    );
    let cookie = session_cookie(&answer);
    let logout = |uri: &str| {
        let path = format!("{}/oauth2/v2.0/logout", emulator.tenant_id());
        let mut url = emulator.cloud().login_url().join(&path).unwrap();
        url.query_pairs_mut()
            .append_pair("post_logout_redirect_uri", uri)
            .append_pair("state", "s2");
        get(&emulator, &url, &cookie)
    };
    let answer = logout("https://evil.example/");
    assert_eq!(answer.status(), 200);
    assert!(
        answer.headers()[SET_COOKIE]
            .to_str()
            .unwrap()
            .contains("Max-Age=0")
    );
    let answer = logout(WEB_REDIRECT);
    assert_eq!(location(&answer), format!("{WEB_REDIRECT}?state=s2"));
    assert_eq!(get(&emulator, &url, &cookie).status(), 200);
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

fn get(emulator: &Emulator, url: &Url, cookie: &str) -> Response<Bytes> {
    let request = Request::get(url.as_str()).header(COOKIE, cookie);
    emulator.handle(&request.body(Bytes::new()).unwrap())
}

/// The sign-in form comes back with this name and password.
fn login(emulator: &Emulator, url: &Url, name: &str, password: &str) -> Response<Bytes> {
    let form = vec![
        ("request", url.query().unwrap().to_owned()),
        ("login", name.to_owned()),
        ("passwd", password.to_owned()),
        ("action", "next".to_owned()),
    ];
    post_to(emulator, &format!("{}/login", emulator.tenant_id()), &form)
}

fn html(answer: &Response<Bytes>) -> String {
    String::from_utf8(answer.body().to_vec()).unwrap()
}

/// The value of a hidden field.
fn hidden(html: &str, name: &str) -> String {
    let start = format!("name=\"{name}\" value=\"");
    let (_, rest) = html.split_once(&start).unwrap();
    rest.split_once('"').unwrap().0.to_owned()
}

fn location(answer: &Response<Bytes>) -> String {
    answer.headers()[LOCATION].to_str().unwrap().to_owned()
}

fn code_of(answer: &Response<Bytes>) -> String {
    let url = Url::parse(&location(answer)).unwrap();
    let code = url.query_pairs().find(|(name, _)| name == "code");
    code.unwrap().1.into_owned()
}

fn session_cookie(answer: &Response<Bytes>) -> String {
    let cookie = answer.headers()[SET_COOKIE].to_str().unwrap();
    cookie.split_once(';').unwrap().0.to_owned()
}
