//! The pages, as a person with a browser sees and fills them.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod client;

use std::time::Duration;

use client::browser::{Browser, Shown};
use client::json;
use client::user::{
    GRAPH, WEB_REDIRECT, administer, authorize_url, claims, emulator, form_request, post_to, text,
    tokens, web_redemption, web_request, with, withdraw,
};
use entra_emulator::{Emulator, SeededUser};
use http::header::COOKIE;
use serde_json::json as value;
use url::Url;

#[test]
fn a_person_signs_in_with_the_form_and_is_known_the_next_time() {
    let emulator = emulator();
    let seeded = first(&emulator);
    let url = authorize_url(&emulator, "", &web_request(&emulator, "openid"));
    let mut browser = Browser::new(&emulator);
    let page = browser.get(&url);
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    assert_eq!(page.heading(), "Sign in");
    assert!(page.html().contains("to continue to Staff Portal"));

    let name = seeded.user_principal_name.as_str();
    let wrong = browser.submit(&page, &[("loginfmt", name), ("passwd", "wrong")]);
    assert!(wrong.html().contains("AADSTS50126: "));
    assert!(wrong.html().contains(&format!("value=\"{name}\"")));
    assert_eq!(browser.cookie, "");
    let nobody = [("loginfmt", "nobody@alpenglow.example"), ("passwd", "x")];
    let unknown = browser.submit(&page, &nobody);
    assert!(unknown.html().contains("AADSTS50034: "));

    let answer = browser.sign_in(&url, &seeded);
    assert!(
        answer
            .header("set-cookie")
            .ends_with("; Path=/; Secure; HttpOnly; SameSite=None")
    );
    let code = answer.parameter("code").unwrap();
    let body = tokens(&emulator, &web_redemption(&emulator, &code));
    assert_eq!(claims(text(&body, "id_token"))["oid"], value!(null));

    let silent = silent(&emulator);
    assert!(browser.get(&silent).parameter("code").is_some());
    let mut stranger = Browser::new(&emulator);
    stranger.cookie = "ESTSAUTH=1.Anonsense".to_owned();
    let refused = stranger.get(&silent).parameter("error");
    assert_eq!(refused.as_deref(), Some("login_required"));
    // Sent as a form, the request means the same.
    let request = web_request(&emulator, "openid");
    let mut post = form_request(url.path().trim_start_matches('/'), &request);
    let cookie = browser.cookie.parse().unwrap();
    post.headers_mut().insert(COOKIE, cookie);
    assert_eq!(emulator.handle(&post).status(), 302);
}

#[test]
fn a_session_does_not_serve_where_a_sign_in_is_asked_for() {
    let emulator = emulator();
    let seeded = first(&emulator);
    let request = web_request(&emulator, "openid");
    let url = authorize_url(&emulator, "", &request);
    let mut browser = Browser::new(&emulator);
    browser.sign_in(&url, &seeded);
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
        let shown = browser.get(&url);
        assert_eq!(shown.status() == 200, asks, "{name}={value}");
        // Who is known need not type the name again.
        if asks && value != other.as_str() && value != "select_account" {
            assert!(shown.html().contains(&format!("value=\"{own}\"")), "{name}");
        }
    }
    let path = format!("/users/{}/revokeSignInSessions", seeded.object_id);
    administer(&emulator, "POST", &path, &value!({}));
    assert_eq!(browser.get(&url).heading(), "Sign in");
}

#[test]
fn the_account_that_is_signed_in_can_be_selected_and_another_one_added() {
    let emulator = emulator();
    let users = emulator.users();
    let request = web_request(&emulator, "openid profile");
    let url = authorize_url(&emulator, "", &request);
    let select = authorize_url(
        &emulator,
        "",
        &with(request.clone(), "prompt", "select_account"),
    );
    let mut browser = Browser::new(&emulator);
    let signed_in = browser.sign_in(&url, &users[0]);
    let page = browser.get(&select);
    assert_eq!(page.heading(), "Pick an account");
    let first_sid = account(&page, &users[0]);
    assert_eq!(
        signed_in.parameter("session_state"),
        Some(first_sid.clone())
    );
    let code = browser.submit(&page, &[("account", &first_sid)]);
    assert_eq!(name_of(&emulator, &code), users[0].user_principal_name);

    let second = browser.sign_in_at(&page, &users[1]);
    assert_eq!(name_of(&emulator, &second), users[1].user_principal_name);
    // Now there is a choice, and whoever may not ask learns of it.
    let page = browser.get(&url);
    assert_eq!(page.heading(), "Pick an account");
    let chosen = browser.submit(&page, &[("account", &account(&page, &users[1]))]);
    assert_eq!(name_of(&emulator, &chosen), users[1].user_principal_name);
    let refused = browser.get(&silent(&emulator));
    assert_eq!(
        refused.parameter("error").as_deref(),
        Some("interaction_required")
    );
    let description = refused.parameter("error_description").unwrap();
    assert!(description.starts_with("AADSTS16000: "));
    for user in &users[..2] {
        let name = &user.user_principal_name;
        let hinted = authorize_url(&emulator, "", &with(request.clone(), "login_hint", name));
        let answer = browser.get(&hinted);
        assert_eq!(name_of(&emulator, &answer), *name);
    }
}

#[test]
fn an_account_cannot_be_selected_where_its_password_is_asked_for() {
    let emulator = emulator();
    let seeded = first(&emulator);
    let request = web_request(&emulator, "openid");
    let mut browser = Browser::new(&emulator);
    let url = authorize_url(&emulator, "", &request);
    let signed_in = browser.sign_in(&url, &seeded);
    let sid = signed_in.parameter("session_state").unwrap();
    let login = authorize_url(&emulator, "", &with(request, "prompt", "login"));
    let page = browser.get(&login);
    assert!(!page.html().contains("name=\"account\""));
    let refused = browser.submit(&page, &[("passwd", "wrong"), ("account", &sid)]);
    assert_eq!(refused.status(), 200);
    // A new sign-in of the same person goes on under the same `sid`.
    let answer = browser.sign_in(&login, &seeded);
    assert_eq!(answer.parameter("session_state"), Some(sid));
}

#[test]
fn the_second_factor_is_asked_for_once_and_the_session_remembers() {
    let emulator = emulator();
    let seeded = first(&emulator);
    let app = emulator.web_app().client_id;
    let url = authorize_url(&emulator, "", &web_request(&emulator, "openid"));
    let mut browser = Browser::new(&emulator);
    browser.sign_in(&url, &seeded);
    emulator.conditional_access(&app).unwrap().require_mfa();
    let refused = browser.get(&silent(&emulator)).parameter("error");
    assert_eq!(refused.as_deref(), Some("interaction_required"));

    let page = browser.get(&url);
    assert_eq!(page.heading(), "Verify your identity");
    let code = page.code();
    assert_eq!(code.len(), 6);
    let other = if code == "000000" { "000001" } else { "000000" };
    let wrong = browser.submit(&page, &[("otc", other)]);
    assert!(wrong.html().contains("AADSTS500121: "));
    assert_eq!(wrong.code(), code);
    let cancelled = browser.submit(&wrong, &[("action", "cancel"), ("otc", &code)]);
    assert_eq!(
        cancelled.parameter("error").as_deref(),
        Some("access_denied")
    );
    let answer = browser.submit(&wrong, &[("otc", &format!(" {code} "))]);
    assert!(answer.parameter("code").is_some());
    assert!(browser.get(&silent(&emulator)).parameter("code").is_some());

    // Another browser, and a new password, ask anew.
    let mut other = Browser::new(&emulator);
    assert_eq!(
        other.sign_in(&url, &seeded).heading(),
        "Verify your identity"
    );
    assert!(
        !other
            .submit(&page, &[("otc", &code)])
            .html()
            .contains("<output")
    );
}

#[test]
fn a_person_registers_the_second_factor_once() {
    let emulator = emulator();
    let seeded = first(&emulator);
    let app = emulator.web_app().client_id;
    let url = authorize_url(&emulator, "", &web_request(&emulator, "openid"));
    emulator.conditional_access(&app).unwrap().enrol_mfa();
    for heading in ["Keep your account secure", "Verify your identity"] {
        let mut browser = Browser::new(&emulator);
        let page = browser.sign_in(&url, &seeded);
        assert_eq!(page.heading(), heading);
        let answer = browser.submit(&page, &[("otc", &page.code())]);
        assert!(answer.parameter("code").is_some());
    }
}

#[test]
fn a_step_up_keeps_the_session_and_gives_the_context() {
    let emulator = emulator();
    let seeded = first(&emulator);
    emulator.authentication_context("c1").unwrap().require_mfa();
    let request = web_request(&emulator, "openid");
    let mut browser = Browser::new(&emulator);
    let url = authorize_url(&emulator, "", &request);
    let before = browser.sign_in(&url, &seeded);
    let ask = r#"{"id_token":{"acrs":{"essential":true,"value":"c1"}}}"#;
    let url = authorize_url(&emulator, "", &with(request, "claims", ask));
    let page = browser.get(&url);
    let answer = browser.submit(&page, &[("otc", &page.code())]);
    assert_eq!(
        answer.parameter("session_state"),
        before.parameter("session_state")
    );
    let code = answer.parameter("code").unwrap();
    let body = tokens(&emulator, &web_redemption(&emulator, &code));
    assert_eq!(claims(text(&body, "id_token"))["acrs"], value!(["c1"]));
}

#[test]
fn an_error_is_shown_with_everything_that_support_asks_for() {
    let emulator = emulator();
    let request = web_request(&emulator, "openid");
    let url = authorize_url(
        &emulator,
        "",
        &with(request.clone(), "redirect_uri", "https://evil.example/<b>"),
    );
    let page = Browser::new(&emulator).get(&url);
    assert_eq!(page.status(), 400);
    assert!(page.html().contains("AADSTS50011: "));
    assert!(page.html().contains("https://evil.example/&lt;b&gt;"));
    assert!(!page.html().contains("<b>"));
    let trace = page.between("<dt>Trace ID</dt>\n<dd>", "</dd>");
    assert_eq!(trace, page.header("x-ms-request-id"));
    assert_eq!(
        page.between("<dt>Correlation ID</dt>\n<dd>", "</dd>").len(),
        36
    );
    assert_eq!(
        page.between("<dt>Timestamp</dt>\n<dd>", "</dd>"),
        "2026-01-01 00:00:00Z"
    );
    // So is a block, which the person can do nothing about.
    let policy = emulator.conditional_access(&emulator.web_app().client_id);
    policy.unwrap().block();
    let url = authorize_url(&emulator, "", &request);
    let mut browser = Browser::new(&emulator);
    let page = browser.sign_in(&url, &first(&emulator));
    assert_eq!(page.status(), 400);
    assert!(page.html().contains("AADSTS53003: "));
}

#[test]
fn a_person_is_asked_for_consent_and_may_decline() {
    let emulator = emulator();
    let seeded = first(&emulator);
    withdraw(&emulator, &emulator.web_app().client_id, GRAPH);
    let url = authorize_url(&emulator, "", &web_request(&emulator, "openid User.Read"));
    let mut browser = Browser::new(&emulator);
    let page = browser.sign_in(&url, &seeded);
    assert_eq!(page.heading(), "Permissions requested");
    assert!(page.html().contains("Microsoft Graph: openid, User.Read"));
    assert!(page.html().contains(&seeded.user_principal_name));

    let declined = browser.submit(&page, &[("action", "cancel")]);
    let error = declined.parameter("error");
    assert_eq!(error.as_deref(), Some("access_denied"));
    let subcode = declined.parameter("error_subcode");
    assert_eq!(subcode.as_deref(), Some("cancel"));
    // Who is asked anew sees what was granted already.
    let request = web_request(&emulator, "openid User.Read");
    let anew = authorize_url(&emulator, "", &with(request, "prompt", "consent"));
    let mut granted = Browser::new(&emulator);
    let first_time = granted.sign_in(&anew, &seeded);
    granted.submit(&first_time, &[("action", "accept")]);
    let again = granted.get(&anew);
    assert_eq!(again.heading(), "Permissions requested");
    let shown = again.between("<li>", "</li>");
    assert!(
        shown.contains("openid") && shown.contains("User.Read"),
        "{shown}"
    );
    withdraw(&emulator, &emulator.web_app().client_id, GRAPH);
    // A form that this browser was not shown consents to nothing.
    let mut other = Browser::new(&emulator);
    other.sign_in(&url, &seeded);
    let forged = other.submit(&page, &[("action", "accept")]);
    assert_eq!(forged.heading(), "Sign in");
    let answer = browser.submit(&page, &[("action", "accept")]);
    let code = answer.parameter("code").unwrap();
    tokens(&emulator, &web_redemption(&emulator, &code));
}

#[test]
fn a_person_enters_the_code_of_a_device() {
    let emulator = emulator();
    let seeded = first(&emulator);
    let flow = device_flow(&emulator);
    let url = Url::parse(text(&flow, "verification_uri")).unwrap();
    let name = seeded.user_principal_name.as_str();
    let enter = |otc: &str, password: &str, action: &str| {
        let mut browser = Browser::new(&emulator);
        let page = browser.get(&url);
        let fields = [
            ("otc", otc),
            ("loginfmt", name),
            ("passwd", password),
            ("action", action),
        ];
        browser.submit(&page, &fields).html()
    };
    let (code, password) = (text(&flow, "user_code"), seeded.password.expose());
    assert!(enter(code, "wrong", "next").contains("AADSTS50126: "));
    assert!(enter("NONSENSE", password, "next").contains("code didn&#39;t work"));
    let done = enter(&code.to_lowercase(), password, "next");
    assert!(done.contains("You have signed in on your device"));
    tokens(&emulator, &poll(&emulator, &flow));
    let other = device_flow(&emulator);
    let declined = enter(text(&other, "user_code"), password, "cancel");
    assert!(declined.contains("declined"));
}

#[test]
fn a_device_waits_for_the_second_factor_too() {
    let emulator = emulator();
    let seeded = first(&emulator);
    let app = emulator.public_app().client_id;
    emulator.conditional_access(&app).unwrap().require_mfa();
    for action in ["next", "cancel"] {
        let flow = device_flow(&emulator);
        let url = Url::parse(text(&flow, "verification_uri")).unwrap();
        let mut browser = Browser::new(&emulator);
        let page = browser.get(&url);
        let fields = [
            ("otc", text(&flow, "user_code")),
            ("loginfmt", seeded.user_principal_name.as_str()),
            ("passwd", seeded.password.expose()),
        ];
        let page = browser.submit(&page, &fields);
        assert_eq!(page.heading(), "Verify your identity");
        let wrong = browser.submit(&page, &[("otc", "wrong")]);
        assert!(wrong.html().contains("AADSTS500121: "));
        let done = browser.submit(&wrong, &[("otc", &wrong.code()), ("action", action)]);
        assert_eq!(done.heading(), "Device sign-in");
        let answer = client::user::post(&emulator, &poll(&emulator, &flow));
        assert_eq!(answer.status() == 200, action == "next");
    }
}

#[test]
fn pages_load_nothing_run_nothing_and_say_what_they_are() {
    let emulator = emulator();
    let request = web_request(&emulator, "openid");
    let url = authorize_url(&emulator, "", &request);
    let mut browser = Browser::new(&emulator);
    let page = browser.get(&url);
    let policy = page.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"));
    assert!(policy.contains("frame-ancestors 'none'"));
    assert!(!policy.contains("script-src") && !policy.contains("unsafe"));
    assert_eq!(page.header("referrer-policy"), "no-referrer");
    let html = page.html();
    for part in [
        "<html lang=\"en\">",
        "width=device-width",
        "<label for=\"loginfmt\">",
        "autocomplete=\"username\"",
        "<label for=\"passwd\">",
        "autocomplete=\"current-password\"",
        "autofocus",
    ] {
        assert!(html.contains(part), "{part}");
    }
    for part in ["<script", "<link", "<img", "@import", "url(", "style=\""] {
        assert!(!html.contains(part), "{part}");
    }
    assert_eq!(html.matches("<h1>").count(), 1);

    let form_post = authorize_url(&emulator, "", &with(request, "response_mode", "form_post"));
    let page = browser.sign_in(&form_post, &first(&emulator));
    let html = page.html();
    assert!(html.contains(&format!("action=\"{WEB_REDIRECT}\"")));
    assert!(html.contains("<script>document.forms[0].submit()</script>"));
    assert!(html.contains("<noscript>"));
    let policy = page.header("content-security-policy");
    assert!(policy.contains("; script-src 'sha256-"));
    // A client may renew its tokens in a frame.
    assert!(!policy.contains("frame-ancestors"));
}

fn first(emulator: &Emulator) -> SeededUser {
    emulator.users().remove(0)
}

/// A request that may show nothing.
fn silent(emulator: &Emulator) -> Url {
    let request = web_request(emulator, "openid");
    authorize_url(emulator, "", &with(request, "prompt", "none"))
}

/// The value of the button of an account.
fn account(page: &Shown, user: &SeededUser) -> String {
    let html = page.html();
    let button = html
        .split("<button class=\"account\" name=\"account\" value=\"")
        .skip(1)
        .find(|button| button.contains(&user.user_principal_name));
    button.unwrap().split_once('"').unwrap().0.to_owned()
}

/// Who signed in, by the ID token of the code.
fn name_of(emulator: &Emulator, answer: &Shown) -> String {
    let code = answer.parameter("code").unwrap();
    let body = tokens(emulator, &web_redemption(emulator, &code));
    text(&claims(text(&body, "id_token")), "preferred_username").to_owned()
}

fn device_flow(emulator: &Emulator) -> serde_json::Value {
    let form = vec![
        ("client_id", emulator.public_app().client_id),
        ("scope", "User.Read".to_owned()),
    ];
    let path = format!("{}/oauth2/v2.0/devicecode", emulator.tenant_id());
    json(&post_to(emulator, &path, &form))
}

fn poll(emulator: &Emulator, flow: &serde_json::Value) -> client::user::Pairs {
    emulator.advance(Duration::from_secs(5));
    vec![
        (
            "grant_type",
            "urn:ietf:params:oauth:grant-type:device_code".to_owned(),
        ),
        ("client_id", emulator.public_app().client_id),
        ("device_code", text(flow, "device_code").to_owned()),
    ]
}
