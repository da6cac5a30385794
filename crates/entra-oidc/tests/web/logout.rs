//! Signing out, by a page and by the provider.

use entra_oidc::RedirectUri;
use http::Request;
use serde_json::json;
use url::Url;

use crate::site::{Browser, Site};
use crate::stage::Stage;

const BACK: &str = "https://localhost/signed-out";

/// A site whose users come back from the provider's sign-out, with `sid` in their tokens.
async fn site_at(back: &str) -> Site {
    let stage = Stage::new();
    let claims = json!({"optionalClaims": {"idToken": [{"name": "sid"}, {"name": "login_hint"}]}});
    stage.patch_app(&claims).await;
    let back = RedirectUri::web(back).unwrap();
    let options = stage.options().with_post_logout_redirect_uri(&back);
    let mut site = Site::of(stage, options).await;
    site.sign_in_at("/vault").await;
    site
}

fn state_of(location: &str) -> String {
    let url = Url::parse(location).unwrap();
    let state = url.query_pairs().find(|(name, _)| name == "state").unwrap();
    state.1.into_owned()
}

#[tokio::test]
async fn a_sign_out_ends_the_session_here_and_goes_on_to_the_provider_and_back() {
    let mut site = site_at(BACK).await;
    let before = site.browser.clone();
    let location = site.browser.post("/logout").await.location();
    assert!(location.contains("/oauth2/v2.0/logout?"), "{location}");
    assert_eq!(site.browser.session_cookie(), None);
    // Also for whoever has a copy of the cookie.
    let after = std::mem::replace(&mut site.browser, before);
    assert_eq!(site.me().await, "nobody");
    site.browser = after;

    let path = format!("/signed-out?state={}", state_of(&location));
    let page = site.browser.get(&path).await;
    assert_eq!(page.status.as_u16(), 200);
    assert!(page.body.contains("You have signed out"));
    page.is_safe_page();
    assert!(site.browser.cookies.is_empty());
}

#[tokio::test]
async fn the_browser_comes_back_to_the_redirect_uri_itself_where_no_other_is_registered() {
    let mut site = site_at("https://localhost/signin-oidc").await;
    let location = site
        .browser
        .post("/logout?return_to=%2Fbye")
        .await
        .location();
    let path = format!("/signin-oidc?state={}", state_of(&location));
    assert_eq!(site.browser.get(&path).await.location(), "/bye");
    assert!(site.browser.cookies.is_empty());
}

#[tokio::test]
async fn a_sign_out_does_not_end_on_another_site() {
    let mut site = site_at(BACK).await;
    let path = "/logout?return_to=%2F%2Fevil.example";
    let location = site.browser.post(path).await.location();
    let path = format!("/signed-out?state={}", state_of(&location));
    assert_eq!(site.browser.get(&path).await.status.as_u16(), 200);
}

#[tokio::test]
async fn another_site_signs_nobody_out() {
    let mut site = site_at(BACK).await;
    for (name, value) in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "https://evil.example"),
        ("x-nothing", "said"),
    ] {
        let request = Request::post("/logout").header(name, value);
        site.browser.send(request, "").await.is_failure(400);
    }
    // A link is no form.
    assert_eq!(site.browser.get("/logout").await.status.as_u16(), 405);
    assert_ne!(site.me().await, "nobody");
}

#[tokio::test]
async fn a_return_from_a_sign_out_that_was_not_begun_here_is_refused() {
    let mut site = site_at(BACK).await;
    // Nobody asked.
    site.browser
        .get("/signed-out?state=x")
        .await
        .is_failure(400);
    let location = site.browser.post("/logout").await.location();
    let right = state_of(&location);
    for path in [
        "/signed-out".to_owned(),
        "/signed-out?state=x".to_owned(),
        format!("/signed-out?state={right}&state=x"),
    ] {
        site.browser.get(&path).await.is_failure(400);
    }
    let mut other = Browser::of(&site.web);
    let path = format!("/signed-out?state={right}");
    let page = other.get(&path).await;
    assert!(page.body.contains("You have signed out"));
    assert_eq!(site.browser.get(&path).await.status.as_u16(), 200);
    // The page is loaded once more.
    let page = site.browser.get(&path).await;
    assert!(page.body.contains("You have signed out"));
}

#[tokio::test]
async fn whoever_looks_at_the_page_sees_it() {
    let mut site = site_at(BACK).await;
    let page = site.browser.get("/signed-out").await;
    assert!(page.body.contains("You have signed out"));
    assert!(page.body.contains("href=\"/login\""));
    assert_ne!(site.me().await, "nobody");
}

#[tokio::test]
async fn a_sign_out_at_the_provider_ends_the_session_without_its_cookie() {
    let mut site = site_at(BACK).await;
    let sid = sid_of(&site).await;
    // In a frame of the provider's page.
    let mut frame = Browser::of(&site.web);
    for nothing in [
        "/front-channel-logout".to_owned(),
        "/front-channel-logout?sid=".to_owned(),
        "/front-channel-logout?sid=00000000-0000-4000-8000-000000000000".to_owned(),
        format!("/front-channel-logout?sid={sid}&sid={sid}"),
        format!("/front-channel-logout?sid={sid}&iss=https%3A%2F%2Fevil.example"),
        format!("/front-channel-logout?sid={}", "a".repeat(1 << 15)),
    ] {
        is_answered(&frame.get(&nothing).await);
        assert_ne!(site.me().await, "nobody");
    }
    is_answered(&frame.get(&format!("/front-channel-logout?sid={sid}")).await);
    assert_eq!(site.me().await, "nobody");
}

fn is_answered(answer: &crate::site::Answer) {
    assert_eq!(answer.status.as_u16(), 200);
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("x-frame-options"), "");
    assert_eq!(answer.header("content-security-policy"), "");
    assert_eq!(answer.body, "");
}

async fn sid_of(site: &Site) -> String {
    let (_, session) = site.session().await;
    session.user.session_id().unwrap().to_owned()
}

#[tokio::test]
async fn who_was_not_signed_in_is_not_sent_to_the_provider() {
    let mut site = site_at(BACK).await;
    site.browser.cookies.clear();
    assert_eq!(site.browser.post("/logout").await.location(), "/signed-out");
    let location = site
        .browser
        .post("/logout?return_to=%2Fbye")
        .await
        .location();
    assert_eq!(location, "/bye");
}
