//! The plan for the hybrid flow: the ID token beside the code.

use entra_oidc::{Error, IdTokenRefusal, Login};

use crate::provider::{Draft, Op, other_hash, refusal};

async fn with(change: impl Fn(&mut Draft) + Send + 'static) -> Result<Login, Error> {
    let op = Op::default();
    op.front_id_token(change);
    let options = Op::options().with_form_post().unwrap();
    let login = op
        .connect(options.with_hybrid_flow().unwrap())
        .await
        .unwrap();
    op.sign_in_at(&login).await
}

#[tokio::test]
async fn oidcc_client_test_in_the_hybrid_plan() {
    with(|_| {}).await.unwrap();
}

#[tokio::test]
async fn oidcc_client_test_invalid_chash() {
    let error = with(|token| token.claim("c_hash", other_hash()))
        .await
        .unwrap_err();
    assert_eq!(refusal(error), IdTokenRefusal::CodeHash);
}

#[tokio::test]
async fn oidcc_client_test_missing_chash() {
    let error = with(|token| token.without("c_hash")).await.unwrap_err();
    assert_eq!(refusal(error), IdTokenRefusal::CodeHashMissing);
}

#[tokio::test]
async fn oidcc_client_test_nonce_invalid() {
    let error = with(|token| token.claim("nonce", "another"))
        .await
        .unwrap_err();
    assert_eq!(refusal(error), IdTokenRefusal::Nonce);
}

#[tokio::test]
async fn fapi1_advanced_final_client_test_invalid_shash() {
    let error = with(|token| token.claim("s_hash", other_hash()))
        .await
        .unwrap_err();
    assert_eq!(refusal(error), IdTokenRefusal::StateHash);
}

#[tokio::test]
async fn both_id_tokens_are_about_one_user() {
    let error = with(|token| token.claim("sub", "another user"))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::TokenPair("sub")), "{error:?}");
}
