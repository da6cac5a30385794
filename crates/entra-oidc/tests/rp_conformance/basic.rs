//! The plan for the code flow: what an ID token has to be, and who UserInfo is about.

use entra_core::JwtRefusal;
use entra_oidc::{Error, IdTokenRefusal, TokenRefusal, UserInfoRefusal};
use serde_json::json;

use crate::provider::{CLIENT, Draft, ISSUER, Op, Signer, other_hash, refusal, token_refusal};

/// A login with one thing changed in its ID token.
async fn with(change: impl Fn(&mut Draft) + Send + 'static) -> Error {
    let op = Op::default();
    op.id_token(change);
    op.sign_in().await.unwrap_err()
}

async fn accepted(change: impl Fn(&mut Draft) + Send + 'static) {
    let op = Op::default();
    op.id_token(change);
    op.sign_in().await.unwrap();
}

#[tokio::test]
async fn oidcc_client_test() {
    let done = Op::default().sign_in().await.unwrap();
    assert_eq!(done.user.issuer(), ISSUER);
    assert_eq!(done.user.subject(), "a user");
}

#[tokio::test]
async fn oidcc_client_test_nonce_unless_code_flow() {
    // The nonce is sent, and asked for, in the code flow as well.
    let error = with(|token| token.without("nonce")).await;
    assert_eq!(refusal(error), IdTokenRefusal::NonceMissing);
}

#[tokio::test]
async fn oidcc_client_test_nonce_invalid() {
    let error = with(|token| token.claim("nonce", "another")).await;
    assert_eq!(refusal(error), IdTokenRefusal::Nonce);
}

#[tokio::test]
async fn oidcc_client_test_client_secret_basic() {
    let op = Op::default();
    op.sign_in().await.unwrap();
    let requests = op.requests();
    let (_, authorization) = requests.iter().find(|(path, _)| path == "/token").unwrap();
    // base64("a+client:a+client%27s+secret")
    let expected = "Basic YStjbGllbnQ6YStjbGllbnQlMjdzK3NlY3JldA==";
    assert_eq!(authorization.as_deref(), Some(expected));
}

#[tokio::test]
async fn oidcc_client_test_scope_userinfo_claims() {
    let op = Op::default();
    let login = op.connect(Op::options()).await.unwrap();
    let done = op.sign_in_at(&login).await.unwrap();
    assert_eq!(done.user.display_name(), Some("A. User"));
    let info = login.user_info(&done.user, &done.tokens).await.unwrap();
    assert_eq!(info.get::<String>("given_name").as_deref(), Some("A."));
}

#[tokio::test]
async fn oidcc_client_test_userinfo_bearer_header() {
    let op = Op::default();
    let login = op.connect(Op::options()).await.unwrap();
    let done = op.sign_in_at(&login).await.unwrap();
    login.user_info(&done.user, &done.tokens).await.unwrap();
    let expected = (
        "/userinfo".to_owned(),
        Some("Bearer an access token".to_owned()),
    );
    assert_eq!(op.requests().last(), Some(&expected));
}

#[tokio::test]
async fn oidcc_client_test_userinfo_invalid_sub() {
    let op = Op::default();
    op.user_info(|answer| answer["sub"] = "another user".into());
    let login = op.connect(Op::options()).await.unwrap();
    let done = op.sign_in_at(&login).await.unwrap();
    let error = login.user_info(&done.user, &done.tokens).await.unwrap_err();
    assert!(
        matches!(error, Error::UserInfo(UserInfoRefusal::Subject)),
        "{error:?}"
    );
}

#[tokio::test]
async fn oidcc_client_test_userinfo_signed() {
    // Nobody asked for it, so it is refused and not read as if it were verified.
    let op = Op::default();
    let signed = op.draft().signed();
    op.user_info(move |answer| *answer = signed.clone().into());
    let login = op.connect(Op::options()).await.unwrap();
    let done = op.sign_in_at(&login).await.unwrap();
    let error = login.user_info(&done.user, &done.tokens).await.unwrap_err();
    assert!(
        matches!(error, Error::UserInfo(UserInfoRefusal::NotJson)),
        "{error:?}"
    );
}

#[tokio::test]
async fn oidcc_client_test_aggregated_claims() {
    let jwt = Op::default().draft().signed();
    accepted(move |token| {
        token.claim("_claim_names", json!({"address": "src1"}));
        token.claim("_claim_sources", json!({"src1": {"JWT": jwt}}));
    })
    .await;
}

#[tokio::test]
async fn oidcc_client_test_distributed_claims() {
    // The provider panics where another host is asked: the source is never called.
    accepted(|token| {
        token.claim("_claim_names", json!({"age": "src1"}));
        let source = json!({"src1": {"endpoint": "http://169.254.169.254/", "access_token": "x"}});
        token.claim("_claim_sources", source);
    })
    .await;
}

#[tokio::test]
async fn oidcc_client_test_mtls_endpoint_aliases() {
    let op = Op::default();
    op.configuration(|answer| {
        answer["mtls_endpoint_aliases"] = json!({"token_endpoint": "https://mtls.example/token"});
    });
    op.sign_in().await.unwrap();
}

#[tokio::test]
async fn oidcc_client_test_invalid_iss() {
    let error = with(|token| token.claim("iss", "https://evil.example")).await;
    assert_eq!(
        token_refusal(error),
        TokenRefusal::Issuer {
            expected: ISSUER.to_owned(),
            found: "https://evil.example".to_owned()
        }
    );
}

#[tokio::test]
async fn oidcc_client_test_missing_sub() {
    let error = with(|token| token.without("sub")).await;
    assert_eq!(token_refusal(error), TokenRefusal::SubjectMissing);
}

#[tokio::test]
async fn oidcc_client_test_invalid_aud() {
    let error = with(|token| token.claim("aud", "another client")).await;
    assert_eq!(
        token_refusal(error),
        TokenRefusal::Audience {
            expected: CLIENT.to_owned(),
            found: "another client".to_owned()
        }
    );
}

#[tokio::test]
async fn oidcc_client_test_missing_aud() {
    let error = with(|token| token.without("aud")).await;
    assert_eq!(token_refusal(error), TokenRefusal::AudienceMissing);
}

#[tokio::test]
async fn oidcc_client_test_missing_iat() {
    let error = with(|token| token.without("iat")).await;
    assert_eq!(token_refusal(error), TokenRefusal::IssuedAtMissing);
}

#[tokio::test]
async fn oidcc_client_test_idtoken_sig_rs256() {
    accepted(|token| assert_eq!(token.header["alg"], "RS256")).await;
}

#[tokio::test]
async fn oidcc_client_test_idtoken_sig_none() {
    // The suite lets a client of the code flow take it. This one does not.
    let error = with(|token| token.alg("none", Signer::Nothing)).await;
    assert_eq!(token_refusal(error), JwtRefusal::Algorithm.into());
}

#[tokio::test]
async fn oidcc_client_test_invalid_sig_rs256() {
    let error = with(|token| token.signer = Signer::Broken(0)).await;
    assert_eq!(token_refusal(error), JwtRefusal::Signature.into());
}

#[tokio::test]
async fn oidcc_client_test_invalid_sig_es256() {
    let error = with(|token| token.alg("ES256", Signer::Es256)).await;
    assert_eq!(token_refusal(error), JwtRefusal::Algorithm.into());
}

#[tokio::test]
async fn oidcc_client_test_invalid_sig_hs256() {
    let error = with(|token| token.alg("HS256", Signer::Hs256)).await;
    assert_eq!(token_refusal(error), JwtRefusal::Algorithm.into());
}

#[tokio::test]
async fn oidcc_client_test_invalid_athash() {
    let error = with(|token| token.claim("at_hash", other_hash())).await;
    assert_eq!(refusal(error), IdTokenRefusal::AccessTokenHash);
}

#[tokio::test]
async fn fapi1_advanced_final_client_test_valid_aud_as_array() {
    accepted(|token| token.claim("aud", json!([CLIENT]))).await;
}

#[tokio::test]
async fn fapi1_advanced_final_client_test_invalid_secondary_aud() {
    let error = with(|token| token.claim("aud", json!([CLIENT, "another"]))).await;
    assert_eq!(
        token_refusal(error),
        TokenRefusal::AudienceUntrusted {
            found: "another".to_owned()
        }
    );
}

#[tokio::test]
async fn fapi1_advanced_final_client_test_invalid_missing_iss() {
    let error = with(|token| token.without("iss")).await;
    assert_eq!(token_refusal(error), TokenRefusal::IssuerMissing);
}

#[tokio::test]
async fn fapi1_advanced_final_client_test_invalid_missing_exp() {
    let error = with(|token| token.without("exp")).await;
    assert_eq!(token_refusal(error), JwtRefusal::NoExpiry.into());
}

#[tokio::test]
async fn fapi1_advanced_final_client_test_invalid_expired_exp() {
    let error =
        with(|token| token.claim("exp", token.claims["iat"].as_i64().unwrap() - 3600)).await;
    assert!(matches!(
        token_refusal(error),
        TokenRefusal::Jwt(JwtRefusal::Expired { .. })
    ));
}

#[tokio::test]
async fn fapi1_advanced_final_client_test_iat_is_week_in_past() {
    let error = with(|token| {
        let week = token.claims["iat"].as_i64().unwrap() - 7 * 24 * 3600;
        token.claim("iat", week);
    })
    .await;
    assert!(matches!(
        token_refusal(error),
        TokenRefusal::LifetimeTooLong { .. }
    ));
}

#[tokio::test]
async fn fapi1_advanced_final_client_test_encrypted_idtoken() {
    let op = Op::default();
    op.token_response(|answer| answer["id_token"] = "e30.e30.e30.e30.e30".into());
    let error = op.sign_in().await.unwrap_err();
    assert_eq!(token_refusal(error), JwtRefusal::Encrypted.into());
}

#[tokio::test]
async fn fapi1_advanced_final_client_test_token_type_case_insensitivity() {
    let op = Op::default();
    op.token_response(|answer| answer["token_type"] = "bEaReR".into());
    op.sign_in().await.unwrap();
}

#[tokio::test]
async fn fapi1_advanced_final_client_test_no_scope_in_token_endpoint_response() {
    let op = Op::default();
    op.token_response(|answer| {
        answer.as_object_mut().unwrap().remove("scope");
    });
    op.sign_in().await.unwrap();
}

#[tokio::test]
async fn fapi1_advanced_final_client_test_token_endpoint_response_without_expires_in() {
    let op = Op::default();
    op.token_response(|answer| {
        answer.as_object_mut().unwrap().remove("expires_in");
    });
    op.sign_in().await.unwrap();
}
