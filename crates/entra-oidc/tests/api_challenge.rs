//! A client of these crates calls an API of these crates, which wants more of the user.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails"
)]

mod minting;

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use entra_core::{
    AccessToken, Call, Error, HttpClient, Limits, MovableClock, Pipeline, Secret, TokenCredential,
    TokenRequest, TransportError,
};
use entra_oidc::{ApiRefusal, ApiValidator, AuthContext};
use http::header::WWW_AUTHENTICATE;
use http::{HeaderMap, Request, Response, StatusCode};
use minting::{CLIENT, Token, keys, now, one_tenant};

#[tokio::test]
async fn our_client_answers_the_challenge_of_our_api_with_a_token_that_has_the_context() {
    let (outcome, wishes) = deleted(Token::access_token().claim("xms_cc", ["cp1"])).await;
    assert_eq!(outcome.unwrap().status(), StatusCode::NO_CONTENT);
    let claims = r#"{"access_token":{"acrs":{"essential":true,"value":"c1"}}}"#;
    assert_eq!(wishes, [None, Some(claims.to_owned())]);
}

#[tokio::test]
async fn a_client_that_does_not_understand_challenges_is_refused_once_and_for_all() {
    let (outcome, wishes) = deleted(Token::access_token()).await;
    let Err(Error::Response(response)) = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!(response.status, StatusCode::FORBIDDEN);
    assert_eq!(response.claims, None);
    assert_eq!(wishes, [None]);
}

/// A client with this token deletes the vault, for which the API wants `c1`; and the claims that it
/// asked its tokens for, in turn.
async fn deleted(token: Token) -> (Result<Response<Bytes>, Error>, Vec<Option<String>>) {
    let clock = Arc::new(MovableClock::frozen_at(now()));
    let api = ApiValidator::with_keys(&one_tenant(), [CLIENT], keys(), clock.clone()).unwrap();
    let credential = Arc::new(Credential {
        token,
        wishes: Mutex::default(),
    });
    let request = Request::delete("https://api.example/vault").body(Bytes::new());
    let call = Call::new("DELETE /vault", request.unwrap()).with_credential(
        credential.clone(),
        TokenRequest::new(["api://files/.default"]),
    );
    let pipeline = Pipeline::new(Api(api)).with_clock(clock);
    let outcome = pipeline.send(call).await;
    let wishes = credential.wishes.lock().unwrap().clone();
    (outcome, wishes)
}

#[derive(Debug)]
struct Api(ApiValidator);

impl Api {
    async fn delete_the_vault(&self, headers: &HeaderMap) -> Result<(), ApiRefusal> {
        let caller = self.0.validate(headers).await?;
        caller.require_scope("Files.Write")?;
        caller.require_auth_context(AuthContext::parse("c1").unwrap())
    }
}

#[async_trait]
impl HttpClient for Api {
    async fn send(
        &self,
        request: Request<Bytes>,
        _: Limits,
    ) -> Result<Response<Bytes>, TransportError> {
        let mut answer = Response::new(Bytes::new());
        *answer.status_mut() = StatusCode::NO_CONTENT;
        if let Err(refusal) = self.delete_the_vault(request.headers()).await {
            *answer.status_mut() = refusal.http_status();
            let challenge = refusal.www_authenticate();
            answer
                .headers_mut()
                .extend(challenge.map(|value| (WWW_AUTHENTICATE, value)));
        }
        Ok(answer)
    }
}

/// Yields the token, with `c1` once the claims ask for it.
#[derive(Debug)]
struct Credential {
    token: Token,
    wishes: Mutex<Vec<Option<String>>>,
}

#[async_trait]
impl TokenCredential for Credential {
    async fn token(&self, request: &TokenRequest) -> Result<AccessToken, Error> {
        let wish = request.claims().map(str::to_owned);
        let token = match &wish {
            Some(claims) if claims.contains("c1") => self.token.clone().claim("acrs", ["c1"]),
            _ => self.token.clone(),
        };
        self.wishes.lock().unwrap().push(wish);
        let secret = Secret::new(token.signed());
        let expires_on = now() + time::Duration::HOUR;
        Ok(AccessToken::new(secret, expires_on).unwrap())
    }

    fn invalidate(&self, _: &TokenRequest, _: &AccessToken) {}
}
