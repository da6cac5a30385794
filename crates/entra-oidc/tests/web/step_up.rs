//! A page that asks for more than a sign-in.

use http::Request;

use crate::site::Site;

#[tokio::test]
async fn a_page_that_asks_for_a_context_sends_there_and_is_come_back_to() {
    let mut site = Site::new().await;
    site.sign_in_at("/vault").await;
    let before = site.browser.session_cookie().unwrap().to_owned();
    let redirect = site.sign_in_elsewhere("/payroll?month=5").await;
    let back = site.browser.come_back(&redirect).await;
    assert_eq!(back.location(), "/payroll?month=5");
    let page = site.browser.get("/payroll?month=5").await;
    assert!(page.body.starts_with("the payroll for "), "{}", page.body);
    assert_ne!(site.browser.session_cookie(), Some(before.as_str()));
}

#[tokio::test]
async fn the_provider_is_asked_for_the_context_and_the_same_user() {
    let mut site = Site::new().await;
    site.sign_in_at("/vault").await;
    let url = site.go_to_provider("/payroll").await;
    let query: std::collections::HashMap<_, _> = url.query_pairs().into_owned().collect();
    assert_eq!(
        query["claims"],
        r#"{"id_token":{"acrs":{"essential":true,"value":"c1"}}}"#
    );
    assert_eq!(query["login_hint"], site.stage.user());
}

#[tokio::test]
async fn another_user_who_comes_back_changes_nothing() {
    let mut site = Site::new().await;
    site.sign_in_at("/vault").await;
    let me = site.me().await;
    let url = site.go_to_provider("/payroll").await;
    let other = site.stage.emulator.users()[1].user_principal_name.clone();
    let redirect = site.stage.emulator.sign_in_as(&url, &other).unwrap();
    site.browser.come_back(&redirect).await.is_failure(403);
    assert_eq!(site.me().await, me);
    assert!(
        Site::go_to_provider(&mut site, "/payroll")
            .await
            .query()
            .is_some()
    );
}

#[tokio::test]
async fn a_script_learns_where_the_step_up_is_and_the_browser_goes_there() {
    let mut site = Site::new().await;
    site.sign_in_at("/vault").await;
    let request = Request::get("/payroll").header("accept", "application/json");
    let answer = site.browser.send(request, "").await;
    assert_eq!(answer.status.as_u16(), 401);
    let body: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(body["error"], "auth_context_required");
    assert_eq!(body["auth_context"], "c1");
    let login = body["login"].as_str().unwrap();
    assert_eq!(login, "/login?auth_context=c1&return_to=%2Fpayroll");

    // Another user who comes back by that way is refused as well.
    let url = site.go_to_provider(login).await;
    let other = site.stage.emulator.users()[1].user_principal_name.clone();
    let redirect = site.stage.emulator.sign_in_as(&url, &other).unwrap();
    site.browser.come_back(&redirect).await.is_failure(403);
    let back = site.sign_in_at(login).await;
    assert_eq!(back.location(), "/payroll");
    assert_eq!(site.browser.get("/payroll").await.status.as_u16(), 200);
}

#[tokio::test]
async fn a_context_that_was_passed_long_ago_is_passed_again_where_it_must_be_recent() {
    let mut site = Site::new().await;
    site.sign_in_at("/vault").await;
    site.sign_in_at("/transfer").await;
    assert_eq!(site.browser.get("/transfer").await.body, "transferred");
    site.stage.advance(300);
    assert_eq!(site.browser.get("/transfer").await.body, "transferred");
    site.stage.advance(1);
    // It is still there for a page that does not mind.
    assert_eq!(site.browser.get("/payroll").await.status.as_u16(), 200);
    let back = site.sign_in_at("/transfer").await;
    assert_eq!(back.location(), "/transfer");
    assert_eq!(site.browser.get("/transfer").await.body, "transferred");
}

#[tokio::test]
async fn a_link_that_asks_for_what_is_no_context_asks_for_none() {
    let mut site = Site::new().await;
    let url = site.go_to_provider("/login?auth_context=mfa").await;
    assert!(url.query_pairs().all(|(name, _)| name != "claims"));
}
