//! Tokens of the local tenant, validated with the keys that it publishes.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use entra_core::{
    AuthorizationRequest, ClientCredential, ClientId, ClientSecret, Clock as _, ConfidentialClient,
    HttpClient, JwtRefusal, Limits, MovableClock, Pipeline, PublicClient, Tenant, TokenRequest,
    TransportError, TransportErrorKind, UserSession,
};
use entra_emulator::{Emulator, Seed};
use entra_oidc::{
    ApiRefusal, ApiValidator, Authority, ExpectedLogin, ExpectedNonce, IdTokenRules,
    IdTokenValidator, TokenRefusal,
};
use time::macros::datetime;

#[tokio::test]
async fn a_user_of_the_local_tenant_calls_an_api_which_calls_graph_on_behalf_of_the_user() {
    let tenant = Emulator::new(Seed::new());
    let (session, scope) = signed_in(&tenant).await;
    let token = session.token(&TokenRequest::new([scope])).await.unwrap();
    let api = api(&tenant).await;
    let caller = api.validate_token(token.secret().expose()).await.unwrap();
    caller.require_scope("access_as_user").unwrap();
    assert!(caller.require_scope("access_as").is_err());
    assert_eq!(caller.client().to_string(), tenant.public_app().client_id);
    let user = tenant.users().remove(0);
    assert_eq!(caller.key().object(), user.object_id.parse().ok());

    let graph = tenant.cloud().graph_url().join("User.Read").unwrap();
    let for_user = web_app(&tenant).on_behalf_of(caller.token().clone());
    let token = for_user.token(&TokenRequest::new([graph])).await.unwrap();
    // It is for Graph, and not for the API.
    let found = api.validate_token(token.secret().expose()).await;
    assert!(matches!(
        found,
        Err(ApiRefusal::GraphToken | ApiRefusal::Token(_))
    ));
}

#[tokio::test]
async fn an_application_of_the_local_tenant_is_served_where_applications_are() {
    let tenant = Emulator::new(Seed::new());
    let app = web_app(&tenant);
    let scope = format!("{}/.default", tenant.web_app().client_id);
    let token = app
        .token(&TokenRequest::new([scope]))
        .await
        .unwrap()
        .secret();
    let api = api(&tenant).await.with_applications();
    // Nobody assigned a role to it.
    let found = api.validate_token(token.expose()).await.unwrap_err();
    assert_eq!(found, ApiRefusal::PermissionsMissing);
}

#[tokio::test]
async fn an_id_token_of_the_local_tenant_is_accepted_for_its_time_and_no_access_token_is() {
    let tenant = Emulator::new(Seed::new());
    let (session, scope) = signed_in(&tenant).await;
    let id_token = session.unverified_id_token().unwrap();
    let public = tenant.public_app().client_id;
    let rules = IdTokenRules::new();
    let validator =
        IdTokenValidator::connect(authority(&tenant), &public, rules, pipeline(&tenant))
            .await
            .unwrap();
    let expected = ExpectedLogin::new(ExpectedNonce::NotCheckedOnRefresh);
    let now = tenant.clock().now();
    let verified = validator.validate(id_token.expose(), &expected, now).await;
    let user = tenant.users().remove(0);
    let verified = verified.unwrap();
    assert_eq!(verified.key().object(), user.object_id.parse().ok());
    assert_eq!(
        verified.user("local").profile().user_name.as_deref(),
        Some(user.user_principal_name.as_str())
    );

    let later = now + Duration::from_secs(2 * 3600);
    let found = validator
        .validate(id_token.expose(), &expected, later)
        .await;
    let found = found.unwrap_err();
    assert!(
        matches!(
            &found,
            entra_oidc::Error::IdToken(entra_oidc::IdTokenRefusal::Token(TokenRefusal::Jwt(
                JwtRefusal::Expired { .. }
            )))
        ),
        "{found:?}"
    );
    let access = session.token(&TokenRequest::new([scope])).await.unwrap();
    let found = validator
        .validate(access.secret().expose(), &expected, now)
        .await;
    assert!(found.is_err());
    let api = ApiValidator::connect(authority(&tenant), [public], pipeline(&tenant)).await;
    let found = api.unwrap().validate_token(id_token.expose()).await;
    assert_eq!(found.unwrap_err(), ApiRefusal::IdToken);
}

#[tokio::test]
async fn without_the_providers_keys_nobody_is_let_in_and_no_token_is_blamed() {
    let clock = Arc::new(MovableClock::frozen_at(datetime!(2026-01-01 00:00 UTC)));
    let tenant = Emulator::new(Seed::new()).with_clock(clock);
    let (session, scope) = signed_in(&tenant).await;
    let (http, is_cut) = cut(&tenant, false);
    let api = api_over(&tenant, http).await.unwrap();
    let call = async || {
        let token = session.token(&TokenRequest::new([scope.as_str()])).await;
        let found = api.validate_token(token.unwrap().secret().expose()).await;
        found.map(drop)
    };
    assert_eq!(call().await, Ok(()));
    is_cut.store(true, Ordering::Relaxed);
    tenant.advance(Duration::from_secs(23 * 3600));
    assert_eq!(call().await, Ok(()), "the keys count for a day");
    tenant.advance(Duration::from_secs(3600));
    assert_eq!(call().await, Err(ApiRefusal::KeysUnavailable));
    is_cut.store(false, Ordering::Relaxed);
    tenant.advance(Duration::from_secs(10));
    assert_eq!(call().await, Ok(()));

    let (http, _) = cut(&tenant, true);
    let connected = api_over(&tenant, http).await;
    assert!(matches!(connected, Err(entra_oidc::Error::Keys(_))));
}

/// The first user, on a device, and the scope of the API.
async fn signed_in(tenant: &Emulator) -> (UserSession, String) {
    let scope = format!("api://{}/access_as_user", tenant.web_app().client_id);
    let client = PublicClient::new(
        entra_core::Authority::new(tenant.cloud(), tenant_id(tenant)),
        ClientId::parse(&tenant.public_app().client_id).unwrap(),
        pipeline(tenant),
    );
    let request = TokenRequest::new([scope.as_str()]);
    let redirect = "http://localhost:12345";
    let pending =
        AuthorizationRequest::new(client.authority(), client.client_id(), redirect, &request)
            .unwrap();
    let user = tenant.users().remove(0).user_principal_name;
    let back = tenant.sign_in_as(pending.url(), &user).unwrap();
    let code = pending.read_callback(back.location.as_str()).unwrap();
    (client.redeem_code(&code).await.unwrap(), scope)
}

async fn api(tenant: &Emulator) -> ApiValidator {
    let audience = tenant.web_app().client_id;
    ApiValidator::connect(authority(tenant), [audience], pipeline(tenant))
        .await
        .unwrap()
}

fn web_app(tenant: &Emulator) -> ConfidentialClient {
    let app = tenant.web_app();
    ConfidentialClient::new(
        entra_core::Authority::new(tenant.cloud(), tenant_id(tenant)),
        ClientId::parse(&app.client_id).unwrap(),
        ClientCredential::secret(ClientSecret::parse(app.client_secret.expose()).unwrap()),
        pipeline(tenant),
    )
    .unwrap()
}

fn authority(tenant: &Emulator) -> Authority {
    Authority::single_tenant(tenant.cloud(), tenant_id(tenant)).unwrap()
}

fn tenant_id(tenant: &Emulator) -> Tenant {
    Tenant::parse(&tenant.tenant_id()).unwrap()
}

fn pipeline(tenant: &Emulator) -> Pipeline {
    Pipeline::new(tenant.clone()).with_clock(tenant.clock())
}

async fn api_over(tenant: &Emulator, http: Cut) -> Result<ApiValidator, entra_oidc::Error> {
    let pipeline = Pipeline::new(http).with_clock(tenant.clock());
    ApiValidator::connect(authority(tenant), [tenant.web_app().client_id], pipeline).await
}

fn cut(tenant: &Emulator, is_cut: bool) -> (Cut, Arc<AtomicBool>) {
    let is_cut = Arc::new(AtomicBool::new(is_cut));
    let tenant = tenant.clone();
    (
        Cut {
            tenant,
            is_cut: Arc::clone(&is_cut),
        },
        is_cut,
    )
}

/// The tenant, whose keys cannot be reached at times.
#[derive(Debug)]
struct Cut {
    tenant: Emulator,
    is_cut: Arc<AtomicBool>,
}

#[async_trait]
impl HttpClient for Cut {
    async fn send(
        &self,
        request: http::Request<Bytes>,
        limits: Limits,
    ) -> Result<http::Response<Bytes>, TransportError> {
        if request.uri().path().ends_with("/keys") && self.is_cut.load(Ordering::Relaxed) {
            return Err(TransportError::new(TransportErrorKind::Connect));
        }
        self.tenant.send(request, limits).await
    }
}
