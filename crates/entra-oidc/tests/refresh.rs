//! Sessions that are renewed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    reason = "what a test cannot do fails it"
)]

mod stage;

use entra_emulator::IdTokenChange;
use entra_oidc::{EntraLogin, Error, Login, RefreshRefusal};
use stage::Stage;

async fn signed_in() -> (Stage, EntraLogin, Login) {
    let stage = Stage::new();
    let options = stage.options().with_scopes(["offline_access"]);
    let login = stage.connect(options).await;
    let done = stage.finish(&login).await.unwrap();
    (stage, login, done)
}

#[tokio::test]
async fn a_renewed_session_is_of_the_same_user_as_they_are_now() {
    let (stage, login, done) = signed_in().await;
    stage.advance(3600);
    let change = IdTokenChange::new().with_claim("roles", serde_json::json!(["Auditor"]));
    stage.emulator.forge().next_id_token(change).unwrap();
    let renewed = login.refresh(&done.user, &done.tokens, None).await.unwrap();
    assert_eq!(renewed.user.key(), done.user.key());
    assert_eq!(renewed.user.roles(), ["Auditor"]);
    assert!(renewed.user.issued_on() > done.user.issued_on());
    assert_ne!(renewed.tokens.id_token(), None);
}

#[tokio::test]
async fn a_claim_that_must_stay_the_same_is_watched() {
    let object = "5f2c7a4e-93d1-4d6e-a9a2-0d7c5b1e8f60";
    for (claim, value, told) in [
        ("sub", "somebody else", "sub"),
        ("oid", object, "the user"),
        ("nonce", "of another login", "nonce"),
    ] {
        let (stage, login, done) = signed_in().await;
        stage.advance(3600);
        let change = IdTokenChange::new().with_claim(claim, value);
        stage.emulator.forge().next_id_token(change).unwrap();
        let error = login
            .refresh(&done.user, &done.tokens, None)
            .await
            .unwrap_err();
        let expected = RefreshRefusal::Changed(told);
        assert!(
            matches!(error, Error::Refresh(found) if found == expected),
            "{claim}: {error:?}"
        );
        assert!(error.needs_user());
    }
}

#[tokio::test]
async fn an_id_token_of_another_application_is_refused() {
    let (stage, login, done) = signed_in().await;
    let change = IdTokenChange::new().with_claim("aud", stage.emulator.setup_app().client_id);
    stage.emulator.forge().next_id_token(change).unwrap();
    let error = login
        .refresh(&done.user, &done.tokens, None)
        .await
        .unwrap_err();
    assert!(matches!(error, Error::IdToken(_)), "{error:?}");
}

#[tokio::test]
async fn an_older_id_token_is_refused() {
    let (stage, login, done) = signed_in().await;
    let earlier = done.user.issued_on().unwrap().unix_timestamp() - 1;
    let change = IdTokenChange::new()
        .with_claim("iat", earlier)
        .with_claim("nbf", earlier);
    stage.emulator.forge().next_id_token(change).unwrap();
    let error = login
        .refresh(&done.user, &done.tokens, None)
        .await
        .unwrap_err();
    assert!(
        matches!(error, Error::Refresh(RefreshRefusal::Older)),
        "{error:?}"
    );
}

#[tokio::test]
async fn the_session_of_a_user_who_was_disabled_is_over() {
    let (stage, login, done) = signed_in().await;
    let path = format!("users/{}", stage.emulator.users()[0].object_id);
    stage
        .patch(&path, &serde_json::json!({"accountEnabled": false}))
        .await;
    let error = login
        .refresh(&done.user, &done.tokens, None)
        .await
        .unwrap_err();
    assert!(error.ends_session(), "{error:?}");
    // Signing in again would be no use.
    assert!(!error.needs_user());
}

#[tokio::test]
async fn a_policy_that_came_into_force_asks_for_the_user_with_its_claims() {
    let (stage, login, done) = signed_in().await;
    let app = stage.emulator.web_app();
    stage
        .emulator
        .conditional_access(&app.client_id)
        .unwrap()
        .require_mfa();
    let error = login
        .refresh(&done.user, &done.tokens, None)
        .await
        .unwrap_err();
    assert!(error.needs_user(), "{error:?}");
}

#[tokio::test]
async fn a_login_without_refresh_token_cannot_be_renewed() {
    let stage = Stage::new();
    let login = stage.login().await;
    let done = stage.finish(&login).await.unwrap();
    let error = login
        .refresh(&done.user, &done.tokens, None)
        .await
        .unwrap_err();
    assert!(matches!(error, Error::NoRefreshToken), "{error:?}");
}

#[tokio::test]
async fn a_session_that_was_kept_sealed_is_renewed_after_a_restart() {
    let (stage, login, done) = signed_in().await;
    let sealed = done.tokens.session().unwrap().seal(&stage::keys()).unwrap();
    let restarted = stage
        .connect(stage.options().with_scopes(["offline_access"]))
        .await;
    let tokens = restarted.open_session(&stage::keys(), &sealed).unwrap();
    stage.advance(3600);
    let renewed = restarted.refresh(&done.user, &tokens, None).await.unwrap();
    assert_eq!(renewed.user.key(), done.user.key());
    assert!(renewed.user.issued_on() > done.user.issued_on());
    drop(login);
}
