//! Answers of the authorization endpoint, by query and by form.

use entra_oidc::{CallbackRefusal, Error, Login};

use crate::provider::{ISSUER, Op};

type Answer = Vec<(String, String)>;

async fn with(change: impl Fn(&mut Answer)) -> Result<Login, Error> {
    let op = Op::default();
    let login = op.connect(Op::options()).await.unwrap();
    op.sign_in_with(&login, change).await
}

fn set(answer: &mut Answer, name: &str, value: &str) {
    answer.retain(|(own, _)| own != name);
    answer.push((name.to_owned(), value.to_owned()));
}

fn refusal(done: Result<Login, Error>) -> CallbackRefusal {
    match done.unwrap_err() {
        Error::Callback(refusal) => refusal,
        other => panic!("another refusal: {other:?}"),
    }
}

#[tokio::test]
async fn oidcc_client_test_in_the_form_post_plan() {
    let op = Op::default();
    let options = Op::options().with_form_post().unwrap();
    let login = op.connect(options).await.unwrap();
    op.sign_in_at(&login).await.unwrap();
}

#[tokio::test]
async fn oidcc_client_test_form_post_error() {
    let op = Op::default();
    let options = Op::options().with_form_post().unwrap();
    let login = op.connect(options).await.unwrap();
    let done = op.sign_in_with(&login, |answer| {
        answer.retain(|(name, _)| name == "state");
        set(answer, "error", "access_denied");
    });
    let error = done.await.unwrap_err();
    assert!(
        matches!(&error, Error::Provider(error) if error.error() == "access_denied"),
        "{error:?}"
    );
}

#[tokio::test]
async fn fapi2_security_profile_final_client_test_ensure_authorization_response_with_invalid_state_fails()
 {
    let done = with(|answer| set(answer, "state", "another")).await;
    assert_eq!(refusal(done), CallbackRefusal::TransactionNotFound);
}

#[tokio::test]
async fn fapi2_security_profile_final_client_test_ensure_authorization_response_with_invalid_missing_state_fails()
 {
    let done = with(|answer| answer.retain(|(name, _)| name != "state")).await;
    assert_eq!(refusal(done), CallbackRefusal::StateMissing);
}

#[tokio::test]
async fn fapi2_security_profile_final_client_test_invalid_authorization_response_iss() {
    let done = with(|answer| set(answer, "iss", "https://evil.example")).await;
    assert_eq!(refusal(done), CallbackRefusal::Issuer);
    assert!(with(|answer| set(answer, "iss", ISSUER)).await.is_ok());
}

#[tokio::test]
async fn fapi2_security_profile_final_client_test_remove_authorization_response_iss() {
    let op = Op::default();
    op.configuration(|answer| {
        answer["authorization_response_iss_parameter_supported"] = true.into();
    });
    let login = op.connect(Op::options()).await.unwrap();
    assert_eq!(
        refusal(op.sign_in_at(&login).await),
        CallbackRefusal::IssuerMissing
    );
    let named = op.sign_in_with(&login, |answer| set(answer, "iss", ISSUER));
    assert!(named.await.is_ok());
}
