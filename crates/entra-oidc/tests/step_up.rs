//! A second factor by Conditional Access: asked for, checked, and of the same user.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    reason = "what a test cannot do fails it"
)]

mod stage;

use entra_core::Clock as _;
use entra_emulator::IdTokenChange;
use entra_oidc::{
    AuthContext, Begin, EntraLogin, Error, FailedLogin, IdTokenRefusal, Login, Prompt,
};
use stage::{Browser, Stage};

fn c1() -> AuthContext {
    AuthContext::parse("c1").unwrap()
}

/// A login and a step-up after it, in which this user signs in.
async fn step_up(stage: &Stage, login: &EntraLogin, user: usize) -> Result<Login, FailedLogin> {
    let first = stage.finish(login).await.unwrap();
    assert!(!first.user.has_auth_context(&c1()));
    let mut browser = Browser::default();
    let begun = login
        .step_up(&first.user, c1(), Begin::to("/payroll"))
        .unwrap();
    browser.take(begun.set_cookies());
    let name = &stage.emulator.users()[user].user_principal_name;
    let redirect = stage.emulator.sign_in_as(begun.location(), name).unwrap();
    login.finish(&browser.callback(&redirect)).await
}

#[tokio::test]
async fn a_step_up_brings_the_context_and_the_same_user_back() {
    let stage = Stage::new();
    let login = stage.login().await;
    let done = step_up(&stage, &login, 0).await.unwrap();
    assert!(done.user.has_auth_context(&c1()));
    assert_eq!(done.return_to.as_str(), "/payroll");
}

#[tokio::test]
async fn the_request_asks_for_the_context_and_proposes_the_user() {
    let stage = Stage::new();
    let login = stage.login().await;
    let user = stage.finish(&login).await.unwrap().user;
    let begun = login.step_up(&user, c1(), Begin::to("/")).unwrap();
    let query: std::collections::HashMap<_, _> = begun.location().query_pairs().collect();
    assert_eq!(
        query["claims"],
        r#"{"id_token":{"acrs":{"essential":true,"value":"c1"}}}"#
    );
    assert_eq!(query["login_hint"], stage.user());
}

#[tokio::test]
async fn a_claims_request_of_an_api_goes_along_with_the_context() {
    let stage = Stage::new();
    let login = stage.login().await;
    let asked = r#"{"access_token":{"acrs":{"essential":true,"value":"c2"}}}"#;
    let begin = Begin::to("/").with_claims(asked).with_auth_context(c1());
    let begun = login.begin(begin).unwrap();
    let query: std::collections::HashMap<_, _> = begun.location().query_pairs().collect();
    let claims: serde_json::Value = serde_json::from_str(&query["claims"]).unwrap();
    assert_eq!(claims["access_token"]["acrs"]["value"], "c2");
    assert_eq!(claims["id_token"]["acrs"]["value"], "c1");
}

#[tokio::test]
async fn another_user_who_comes_back_from_a_step_up_is_refused() {
    let stage = Stage::new();
    let login = stage.login().await;
    let error = step_up(&stage, &login, 1).await.unwrap_err();
    assert!(matches!(error.error(), Error::UserChanged), "{error:?}");
}

#[tokio::test]
async fn the_same_object_of_another_tenant_is_another_user() {
    let stage = Stage::new();
    stage
        .patch_app(&serde_json::json!({"signInAudience": "AzureADMultipleOrgs"}))
        .await;
    let cloud = stage.emulator.cloud();
    let any = entra_oidc::Authority::any_organization(cloud);
    let login = stage.connect(stage.options_of(any)).await;
    let user = stage.finish(&login).await.unwrap().user;
    let mut browser = Browser::default();
    let begun = login.step_up(&user, c1(), Begin::to("/")).unwrap();
    browser.take(begun.set_cookies());
    let other = "9b3c2a10-0d5f-4f2e-9c55-5a0f3a3d7d11";
    let change = IdTokenChange::new()
        .with_claim("tid", other)
        .with_claim("iss", format!("https://localhost/{other}/v2.0"));
    stage.emulator.forge().next_id_token(change).unwrap();
    let error = login
        .finish(&browser.callback(&stage.sign_in(&begun)))
        .await
        .unwrap_err();
    assert!(matches!(error.error(), Error::UserChanged), "{error:?}");
}

#[tokio::test]
async fn an_answer_without_the_context_is_refused() {
    for acrs in [
        serde_json::json!([]),
        serde_json::json!(["c10"]),
        serde_json::json!("c10"),
    ] {
        let stage = Stage::new();
        let login = stage.login().await;
        let change = IdTokenChange::new().with_claim("acrs", acrs);
        let user = stage.finish(&login).await.unwrap().user;
        stage.emulator.forge().next_id_token(change).unwrap();
        let begin = Begin::to("/").with_user(&user).with_auth_context(c1());
        let error = stage.finish_with(&login, begin).await.unwrap_err();
        let expected = IdTokenRefusal::AuthContextMissing { wanted: c1() };
        assert!(
            matches!(&error, Error::IdToken(refusal) if *refusal == expected),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn who_has_to_do_something_is_told_so_where_no_page_may_be_shown() {
    let stage = Stage::new();
    let login = stage.login().await;
    let app = stage.emulator.web_app();
    stage
        .emulator
        .conditional_access(&app.client_id)
        .unwrap()
        .require_mfa();
    let mut browser = Browser::default();
    let begun = login
        .begin(Begin::to("/").with_prompt(Prompt::None))
        .unwrap();
    browser.take(begun.set_cookies());
    let redirect = stage.sign_in(&begun);
    let error = login
        .finish(&browser.callback(&redirect))
        .await
        .unwrap_err();
    assert!(error.error().needs_user(), "{error:?}");
    assert_eq!(error.error().http_status(), http::StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_sign_in_that_was_to_be_recent_is() {
    let stage = Stage::new();
    let login = stage.login().await;
    let now = stage.emulator.clock().now().unix_timestamp();
    for (change, expected) in [
        (
            IdTokenChange::new().with_claim("auth_time", now - 300),
            None,
        ),
        (
            IdTokenChange::new().with_claim("auth_time", now - 361),
            Some("ReauthenticationRequired"),
        ),
        (
            IdTokenChange::new().without_claim("auth_time"),
            Some("AuthTimeMissing"),
        ),
    ] {
        stage.emulator.forge().next_id_token(change).unwrap();
        let begin = Begin::to("/").with_max_age(std::time::Duration::from_secs(300));
        let refusal = match stage.finish_with(&login, begin).await {
            Ok(_) => None,
            Err(Error::IdToken(refusal)) => Some(format!("{refusal:?}")),
            Err(other) => panic!("{other:?}"),
        };
        let is_expected = match (&refusal, expected) {
            (None, None) => true,
            (Some(refusal), Some(expected)) => refusal.starts_with(expected),
            _ => false,
        };
        assert!(is_expected, "{expected:?}: {refusal:?}");
    }
}
