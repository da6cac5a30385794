//! Sign-out: whose, where it leads, and which applications learn of it.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod client;

use bytes::Bytes;
use client::browser::{Browser, Shown};
use client::json;
use client::user::{
    WEB_REDIRECT, administer, authorize_url, claims, emulator, public_request, sign_in, text,
    tokens, web_redemption, web_request, with,
};
use entra_emulator::{Emulator, SignInError, Signer};
use http::Request;
use serde_json::{Value, json as value};
use url::Url;

#[test]
fn a_sign_out_ends_the_session_and_tells_the_application_in_a_frame() {
    let emulator = emulator();
    let url = authorize_url(&emulator, "", &web_request(&emulator, "openid"));
    let mut browser = Browser::new(&emulator);
    let signed_in = browser.sign_in(&url, &emulator.users()[0]);
    let sid = signed_in.parameter("session_state").unwrap();

    let page = sign_out(&mut browser, &emulator, &[]);
    assert_eq!(page.status(), 200);
    assert_eq!(page.heading(), "You signed out of your account");
    let frame = format!("https://localhost/signout-oidc?sid={sid}");
    assert_eq!(frames(&page), [frame]);
    assert!(
        page.header("content-security-policy")
            .ends_with("; frame-src https://localhost/signout-oidc")
    );
    assert!(page.header("set-cookie").contains("Max-Age=0"));
    assert_eq!(browser.get(&url).heading(), "Sign in");
    // There is nobody left to sign out.
    assert_eq!(frames(&sign_out(&mut browser, &emulator, &[])), [""; 0]);
}

#[test]
fn the_browser_goes_back_to_a_registered_uri_alone_and_brings_the_state() {
    let emulator = emulator();
    let url = authorize_url(&emulator, "", &web_request(&emulator, "openid"));
    let go = |uri: &str, client_id: &str| {
        let mut browser = Browser::new(&emulator);
        browser.sign_in(&url, &emulator.users()[0]);
        let parameters = [
            ("post_logout_redirect_uri", uri),
            ("state", "s2"),
            ("client_id", client_id),
        ];
        let page = sign_out(&mut browser, &emulator, &parameters);
        assert_eq!(frames(&page).len(), 1);
        page.html()
    };
    let (web, public) = (
        emulator.web_app().client_id,
        emulator.public_app().client_id,
    );
    let back = format!("href=\"{WEB_REDIRECT}?state=s2\"");
    for (uri, client_id, goes) in [
        (WEB_REDIRECT, "", true),
        (WEB_REDIRECT, &web, true),
        (WEB_REDIRECT, &public, false),
        ("https://localhost/signin-oidc/", "", false),
        ("https://evil.example/", "", false),
        ("https://evil.example/", &web, false),
    ] {
        let html = go(uri, client_id);
        assert_eq!(html.contains(&back), goes, "{uri} {client_id}");
        let refresh = format!("http-equiv=\"refresh\" content=\"1;url={WEB_REDIRECT}?state=s2\"");
        assert_eq!(html.contains(&refresh), goes, "{uri} {client_id}");
        assert!(!html.contains("evil"));
    }
    // Where no application has to learn of it the browser is sent on at once.
    change_logout_url(&emulator, &Value::Null);
    let mut browser = Browser::new(&emulator);
    browser.sign_in(&url, &emulator.users()[0]);
    let parameters = [("post_logout_redirect_uri", WEB_REDIRECT), ("state", "s2")];
    let answer = sign_out(&mut browser, &emulator, &parameters);
    let expected = format!("{WEB_REDIRECT}?state=s2");
    assert_eq!(answer.location().as_str(), expected);
}

#[test]
fn of_several_accounts_the_hint_or_the_person_says_which() {
    let emulator = emulator();
    let users = emulator.users();
    let path = format!("/applications/{}", emulator.web_app().object_id);
    let optional = value!({"optionalClaims": {"idToken": [{"name": "login_hint"}]}});
    administer(&emulator, "PATCH", &path, &optional);
    let request = web_request(&emulator, "openid profile");
    let select = authorize_url(&emulator, "", &with(request, "prompt", "select_account"));
    let by_hint = |of: &dyn Fn(&str) -> Vec<(&'static str, String)>| {
        let mut browser = Browser::new(&emulator);
        browser.sign_in(&select, &users[0]);
        let second = browser.sign_in(&select, &users[1]);
        let code = second.parameter("code").unwrap();
        let body = tokens(&emulator, &web_redemption(&emulator, &code));
        let hints = of(text(&body, "id_token"));
        let hints: Vec<(&str, &str)> = hints.iter().map(|(n, v)| (*n, v.as_str())).collect();
        let page = sign_out(&mut browser, &emulator, &hints);
        (browser, second, page)
    };
    let hints: [(&str, Hint); 3] = [
        ("logout_hint", |token| {
            text(&claims(token), "login_hint").to_owned()
        }),
        ("logout_hint", |token| {
            text(&claims(token), "preferred_username").to_owned()
        }),
        ("id_token_hint", str::to_owned),
    ];
    for (name, of) in hints {
        let (mut browser, second, page) = by_hint(&|token| vec![(name, of(token))]);
        let sid = second.parameter("session_state").unwrap();
        assert!(frames(&page)[0].ends_with(&sid), "{name}");
        // The other account is still signed in.
        let shown = browser.get(&select).html();
        assert!(shown.contains(&users[0].user_principal_name));
        assert!(!shown.contains(&users[1].user_principal_name));
    }
    // A hint that the tenant did not sign is none.
    let stranger = |token: &str| {
        let forge = emulator.forge();
        vec![(
            "id_token_hint",
            forge.token(&claims(token), &Signer::Stranger).unwrap(),
        )]
    };
    let (mut browser, second, page) = by_hint(&stranger);
    assert_eq!(page.heading(), "Pick an account");
    let sid = second.parameter("session_state").unwrap();
    let page = browser.submit(&page, &[("account", &sid)]);
    assert!(frames(&page)[0].ends_with(&sid));
}

#[test]
fn every_application_of_the_session_is_told_and_no_other() {
    let emulator = emulator();
    let users = emulator.users();
    let (first, second) = (&users[0].user_principal_name, &users[1].user_principal_name);
    let registered = "https://portal.example/out?app=1";
    change_logout_url(&emulator, &value!(registered));
    let silent = |name: &str| {
        let url = authorize_url(&emulator, "", &web_request(&emulator, "openid"));
        let redirect = emulator.sign_in_as(&url, name).unwrap();
        redirect.parameter("session_state").unwrap()
    };
    let mut expected: Vec<String> = [silent(first), silent(first)]
        .iter()
        .map(|sid| format!("{registered}&sid={sid}"))
        .collect();
    expected.sort();
    let other = silent(second);
    // The other application has no address to be told at.
    sign_in(&emulator, &public_request(&emulator, "openid"));

    let told = |name: &str| -> Vec<String> {
        let frames = emulator.sign_out(name).unwrap();
        frames.into_iter().map(String::from).collect()
    };
    assert_eq!(told(first), expected);
    assert_eq!(told(first), [""; 0]);
    assert_eq!(told(second), [format!("{registered}&sid={other}")]);
    assert_eq!(emulator.sign_out("nobody"), Err(SignInError::NoSuchUser));
}

#[test]
fn the_control_interface_signs_out_too() {
    let emulator = emulator();
    let redirect = sign_in(&emulator, &web_request(&emulator, "openid"));
    let sid = redirect.parameter("session_state").unwrap();
    let name = &emulator.users()[0].user_principal_name;
    let post = |name: &str| {
        let body = value!({"user_principal_name": name}).to_string();
        let request = Request::post("/_emulator/sign-out").body(Bytes::from(body));
        emulator.handle(&request.unwrap())
    };
    assert_eq!(
        json(&post(name)),
        value!({"front_channel": [format!("https://localhost/signout-oidc?sid={sid}")]})
    );
    assert_eq!(post("nobody").status(), 400);
}

/// What a hint is made of an ID token.
type Hint = fn(&str) -> String;

fn change_logout_url(emulator: &Emulator, url: &Value) {
    let path = format!("/applications/{}", emulator.web_app().object_id);
    let change = value!({"web": {"redirectUris": [WEB_REDIRECT], "logoutUrl": url}});
    administer(emulator, "PATCH", &path, &change);
}

fn sign_out(browser: &mut Browser<'_>, emulator: &Emulator, parameters: &[(&str, &str)]) -> Shown {
    let path = format!("{}/oauth2/v2.0/logout", emulator.tenant_id());
    let mut url: Url = emulator.cloud().login_url().join(&path).unwrap();
    url.query_pairs_mut().extend_pairs(parameters);
    browser.get(&url)
}

/// What the frames of a page load.
fn frames(page: &Shown) -> Vec<String> {
    page.html()
        .split("<iframe src=\"")
        .skip(1)
        .map(|rest| rest.split_once('"').unwrap().0.replace("&amp;", "&"))
        .collect()
}
