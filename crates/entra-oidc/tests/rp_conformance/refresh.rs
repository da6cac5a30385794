//! The plan for refresh tokens.

use entra_oidc::{Error, RefreshRefusal, Renewed, TokenRefusal};

use crate::provider::{Draft, Op, token_refusal};

async fn with(change: impl Fn(&mut Draft) + Send + 'static) -> Result<Renewed, Error> {
    let op = Op::default();
    let login = op.connect(Op::options()).await.unwrap();
    let done = op.sign_in_at(&login).await.unwrap();
    op.advance(60);
    op.id_token(change);
    login.refresh(&done.user, &done.tokens, None).await
}

#[tokio::test]
async fn oidcc_client_test_refresh_token() {
    let renewed = with(|token| {
        token.without("nonce");
        token.claim("name", "A. N. Other");
    });
    let user = renewed.await.unwrap().user;
    assert_eq!(user.display_name(), Some("A. N. Other"));
}

#[tokio::test]
async fn oidcc_client_test_refresh_token_invalid_issuer() {
    let error = with(|token| token.claim("iss", "https://evil.example"));
    let error = error.await.unwrap_err();
    assert!(matches!(token_refusal(error), TokenRefusal::Issuer { .. }));
}

#[tokio::test]
async fn oidcc_client_test_refresh_token_invalid_sub() {
    let error = with(|token| token.claim("sub", "another user"));
    let error = error.await.unwrap_err();
    assert!(
        matches!(error, Error::Refresh(RefreshRefusal::Changed("sub"))),
        "{error:?}"
    );
}
