//! The hybrid flow (OpenID Connect Core 3.3): an ID token beside the code, which binds it.
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
use entra_oidc::{Begin, CallbackRefusal, Error, IdTokenRefusal, OptionsError};
use serde_json::json;
use stage::{Browser, Stage};

async fn stage() -> Stage {
    let stage = Stage::new();
    let on = json!({"web": {
        "redirectUris": [stage::REDIRECT_URI],
        "implicitGrantSettings": {"enableIdTokenIssuance": true},
    }});
    stage.patch_app(&on).await;
    stage
}

async fn refusal(change: IdTokenChange) -> Error {
    let stage = stage().await;
    let options = stage
        .options()
        .with_form_post()
        .unwrap()
        .with_hybrid_flow()
        .unwrap();
    let login = stage.connect(options).await;
    stage.emulator.forge().next_id_token(change).unwrap();
    stage.finish(&login).await.unwrap_err()
}

fn front() -> IdTokenChange {
    IdTokenChange::new().at_authorization_endpoint()
}

#[tokio::test]
async fn both_id_tokens_are_validated() {
    let stage = stage().await;
    let options = stage
        .options()
        .with_form_post()
        .unwrap()
        .with_hybrid_flow()
        .unwrap();
    let login = stage.connect(options).await;
    assert!(stage.finish(&login).await.is_ok());
}

#[tokio::test]
async fn a_code_that_the_id_token_does_not_bind_is_refused() {
    let other = front().with_claim("c_hash", "AAAAAAAAAAAAAAAAAAAAAA");
    for (change, expected) in [
        (
            front().without_claim("c_hash"),
            IdTokenRefusal::CodeHashMissing,
        ),
        (other, IdTokenRefusal::CodeHash),
    ] {
        let error = refusal(change).await;
        let is_expected = matches!(&error, Error::IdToken(found) if *found == expected);
        assert!(is_expected, "{error:?}");
    }
}

#[tokio::test]
async fn a_state_that_is_not_that_of_the_id_token_is_refused() {
    let error = refusal(front().with_claim("s_hash", "AAAAAAAAAAAAAAAAAAAAAA")).await;
    let expected = matches!(&error, Error::IdToken(IdTokenRefusal::StateHash));
    assert!(expected, "{error:?}");
}

#[tokio::test]
async fn two_id_tokens_about_different_users_are_refused() {
    let back = || IdTokenChange::new().at_token_endpoint();
    let object = "5f2c7a4e-93d1-4d6e-a9a2-0d7c5b1e8f60";
    for (claim, value, told) in [("sub", "somebody else", "sub"), ("oid", object, "the user")] {
        let error = refusal(back().with_claim(claim, value)).await;
        assert!(
            matches!(error, Error::TokenPair(found) if found == told),
            "{claim}: {error:?}"
        );
    }
}

#[tokio::test]
async fn an_id_token_beside_the_code_names_the_issuer_for_the_answer() {
    let stage = stage().await;
    stage
        .between
        .change_json("openid-configuration", |document| {
            document["authorization_response_iss_parameter_supported"] = true.into();
        });
    let options = stage.options().with_form_post().unwrap();
    let login = stage.connect(options.with_hybrid_flow().unwrap()).await;
    assert!(stage.finish(&login).await.is_ok());
}

#[tokio::test]
async fn an_access_token_beside_the_code_is_refused() {
    let stage = stage().await;
    let options = stage.options().with_form_post().unwrap();
    let login = stage.connect(options.with_hybrid_flow().unwrap()).await;
    for name in ["access_token", "response"] {
        let mut browser = Browser::default();
        let begun = login.begin(Begin::to("/")).unwrap();
        browser.take(begun.set_cookies());
        let form = format!("{}&{name}=x", stage.sign_in(&begun).form.unwrap());
        let error = login.finish(&browser.post(&form)).await.unwrap_err();
        let expected = CallbackRefusal::UnexpectedParameter(name);
        assert!(matches!(error.error(), Error::Callback(found) if *found == expected));
    }
}

#[tokio::test]
async fn an_access_token_that_is_not_that_of_the_id_token_is_refused() {
    let other = IdTokenChange::new()
        .at_token_endpoint()
        .with_claim("at_hash", "AAAAAAAAAAAAAAAAAAAAAA");
    let error = refusal(other).await;
    let expected = matches!(&error, Error::IdToken(IdTokenRefusal::AccessTokenHash));
    assert!(expected, "{error:?}");
}

#[tokio::test]
async fn an_answer_without_its_id_token_is_refused() {
    let stage = stage().await;
    let options = stage
        .options()
        .with_form_post()
        .unwrap()
        .with_hybrid_flow()
        .unwrap();
    let login = stage.connect(options).await;
    let mut browser = Browser::default();
    let begun = login.begin(Begin::to("/")).unwrap();
    browser.take(begun.set_cookies());
    let form = stage.sign_in(&begun).form.unwrap();
    let kept = url::form_urlencoded::parse(form.as_bytes()).filter(|(name, _)| name != "id_token");
    let form = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(kept)
        .finish();
    let error = login.finish(&browser.post(&form)).await.unwrap_err();
    assert!(matches!(error.error(), Error::IdTokenMissing), "{error:?}");
}

#[tokio::test]
async fn an_id_token_never_comes_in_a_query() {
    let stage = Stage::new();
    let refused = stage.options().with_hybrid_flow().unwrap_err();
    assert_eq!(refused, OptionsError::HybridNeedsFormPost);
}
