//! The plan for the configuration: where the provider says what it is, and which keys it signs
//! with.

use entra_oidc::{DiscoveryError, Error, TokenRefusal};

use crate::provider::{ISSUER, Op, token_refusal};

#[tokio::test]
async fn oidcc_client_test_discovery_openid_config() {
    let op = Op::default();
    op.connect(Op::options()).await.unwrap();
    let requests = op.requests();
    assert_eq!(requests[0].0, "/.well-known/openid-configuration");
}

#[tokio::test]
async fn oidcc_client_test_discovery_jwks_uri_keys() {
    let op = Op::default();
    op.connect(Op::options()).await.unwrap();
    assert_eq!(op.requests()[1].0, "/jwks");
}

#[tokio::test]
async fn oidcc_client_test_discovery_issuer_mismatch() {
    let op = Op::default();
    op.configuration(|answer| answer["issuer"] = "https://evil.example".into());
    let error = op.connect(Op::options()).await.unwrap_err();
    let Error::Discovery(DiscoveryError::Issuer { expected, found }) = error else {
        panic!("another refusal: {error:?}");
    };
    assert_eq!(
        (expected.as_str(), found.as_str()),
        (ISSUER, "https://evil.example")
    );
}

#[tokio::test]
async fn oidcc_client_test_kid_absent_single_jwks() {
    let op = Op::default();
    op.publish(&[(0, None)]);
    op.sign_in().await.unwrap();
    // Also where the key has an id, and the token does not say it.
    let op = Op::default();
    op.id_token(|token| {
        token.header.remove("kid");
    });
    op.sign_in().await.unwrap();
}

#[tokio::test]
async fn oidcc_client_test_kid_absent_multiple_jwks() {
    let op = Op::default();
    op.publish(&[(0, Some("key-0")), (1, Some("key-1"))]);
    op.id_token(|token| {
        token.header.remove("kid");
    });
    let error = op.sign_in().await.unwrap_err();
    assert_eq!(token_refusal(error), TokenRefusal::KeyAmbiguous);
}

#[tokio::test]
async fn oidcc_client_test_signing_key_rotation() {
    let op = Op::default();
    let login = op.connect(Op::options()).await.unwrap();
    op.sign_in_at(&login).await.unwrap();
    op.publish(&[(1, Some("key-1")), (0, Some("key-0"))]);
    op.sign_with(1);
    op.advance(600);
    op.sign_in_at(&login).await.unwrap();
}

#[tokio::test]
async fn oidcc_client_test_signing_key_rotation_just_before_signing() {
    let op = Op::default();
    let login = op.connect(Op::options()).await.unwrap();
    op.advance(600);
    // After the user left for the provider, and without a word before.
    let done = op
        .sign_in_with(&login, |_| {
            op.publish(&[(1, Some("key-1"))]);
            op.sign_with(1);
        })
        .await;
    done.unwrap();
}
