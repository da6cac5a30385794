//! Which authorities sign in, and with which keys.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "what a test cannot do fails it"
)]

mod stage;

use std::time::Duration;

use entra_core::TenantId;
use entra_emulator::{IdTokenChange, Signer};
use entra_oidc::{Authority, EntraLogin, Error, IdTokenRefusal, TokenRefusal};
use serde_json::json;
use stage::Stage;

const OTHER: &str = "9b3c2a10-0d5f-4f2e-9c55-5a0f3a3d7d11";
const PERSONAL: &str = "9188040d-6c67-4c5b-b112-36a304b66dad";

/// A tenant whose application takes users of any organisation.
async fn open_stage() -> Stage {
    let stage = Stage::new();
    let audience = json!({"signInAudience": "AzureADandPersonalMicrosoftAccount"});
    stage.patch_app(&audience).await;
    stage
}

async fn login_of(stage: &Stage, authority: Authority) -> EntraLogin {
    stage.connect(stage.options_of(authority)).await
}

/// The refusal's name.
fn refusal(error: &Error) -> String {
    let Error::IdToken(refusal) = error else {
        panic!("{error:?}");
    };
    refusal.to_string()
}

fn of_tenant(tenant: &str) -> IdTokenChange {
    IdTokenChange::new()
        .with_claim("tid", tenant)
        .with_claim("iss", format!("https://localhost/{tenant}/v2.0"))
}

#[tokio::test]
async fn tenants_that_are_listed_sign_in_and_no_others() {
    let stage = open_stage().await;
    let own: TenantId = stage.emulator.tenant_id().parse().unwrap();
    let other: TenantId = OTHER.parse().unwrap();
    let third: TenantId = "11111111-2222-4333-8444-555555555555".parse().unwrap();
    let cloud = stage.emulator.cloud();
    let listed = Authority::tenants(cloud.clone(), [own, other]).unwrap();
    let login = login_of(&stage, listed).await;
    assert!(stage.finish(&login).await.is_ok());
    stage
        .emulator
        .forge()
        .next_id_token(of_tenant(OTHER))
        .unwrap();
    let done = stage.finish(&login).await.unwrap();
    assert_eq!(done.user.key().tenant(), Some(other));
    let not_listed = Authority::tenants(cloud, [other, third]).unwrap();
    let login = login_of(&stage, not_listed).await;
    let error = stage.finish(&login).await.unwrap_err();
    assert!(refusal(&error).contains("tenant"), "{error:?}");
}

#[tokio::test]
async fn personal_accounts_sign_in_where_they_are_asked_for() {
    let stage = open_stage().await;
    let cloud = stage.emulator.cloud();
    let personal = || of_tenant(PERSONAL).signed_by(Signer::Consumers);
    let login = login_of(&stage, Authority::any_account(cloud.clone())).await;
    stage.emulator.forge().next_id_token(personal()).unwrap();
    assert!(stage.finish(&login).await.is_ok());
    let login = login_of(&stage, Authority::any_organization(cloud)).await;
    stage.emulator.forge().next_id_token(personal()).unwrap();
    let error = stage.finish(&login).await.unwrap_err();
    assert!(refusal(&error).contains("personal"), "{error:?}");
}

#[tokio::test]
async fn keys_of_the_set_that_are_for_others_sign_for_nobody_here() {
    let stage = open_stage().await;
    let login = login_of(&stage, Authority::any_organization(stage.emulator.cloud())).await;
    for signer in [Signer::Consumers, Signer::Government, Signer::Stranger] {
        let change = IdTokenChange::new().signed_by(signer.clone());
        stage.emulator.forge().next_id_token(change).unwrap();
        let error = stage.finish(&login).await.unwrap_err();
        assert!(refusal(&error).contains("key"), "{signer:?}: {error:?}");
    }
    assert!(stage.finish(&login).await.is_ok());
}

#[tokio::test]
async fn an_application_with_signing_keys_of_its_own_says_so() {
    let stage = Stage::new();
    let app = stage.emulator.web_app();
    stage.emulator.keys().give_own_key(&app.client_id).unwrap();
    let login = stage.login().await;
    let error = stage.finish(&login).await.unwrap_err();
    assert!(
        error.admin_hint().contains("signing keys"),
        "{}",
        error.admin_hint()
    );
    let own = stage.authority().with_own_signing_keys();
    let login = login_of(&stage, own).await;
    assert!(stage.finish(&login).await.is_ok());
}

#[tokio::test]
async fn keys_roll_over_without_anybody_noticing() {
    let stage = Stage::new();
    let login = stage.login().await;
    for _ in 0..5 {
        stage.emulator.keys().roll_over();
        stage.advance(3 * 60 * 60);
        stage.finish(&login).await.unwrap();
    }
}

#[tokio::test]
async fn a_key_that_vanishes_for_hours_still_counts() {
    let stage = Stage::new();
    let login = stage.login().await;
    let keys = stage.emulator.keys();
    keys.withdraw_for(&keys.signing(), Duration::from_secs(20 * 60 * 60))
        .unwrap();
    for _ in 0..19 {
        stage.finish(&login).await.unwrap();
        stage.advance(60 * 60);
    }
}

#[tokio::test]
async fn a_key_that_was_gone_for_a_day_counts_no_more() {
    let stage = Stage::new();
    let login = stage.login().await;
    let keys = stage.emulator.keys();
    keys.withdraw(&keys.signing()).unwrap();
    stage.advance(25 * 60 * 60);
    let error = stage.finish(&login).await.unwrap_err();
    assert!(refusal(&error).contains("key"), "{error:?}");
}

/// The tenant at `contoso.ciamlogin.com`, with the Graph of the local one.
fn external(stage: &Stage, tenant: entra_core::Tenant) -> Authority {
    let graph = stage.emulator.cloud().graph_url().to_string();
    let cloud = entra_core::Cloud::custom("https://contoso.ciamlogin.com", &graph).unwrap();
    Authority::external_id_at(cloud, tenant).unwrap()
}

#[tokio::test]
async fn an_external_id_tenant_is_named_by_its_id_and_asked_by_its_name() {
    let seed = entra_emulator::Seed::new().with_external_id("contoso");
    let stage = Stage::of(seed);
    let domain = entra_core::Tenant::parse(&stage.emulator.domain()).unwrap();
    for tenant in [stage.tenant(), domain] {
        let authority = external(&stage, tenant);
        let login = login_of(&stage, authority).await;
        let done = stage.finish(&login).await.unwrap();
        let id = stage.emulator.tenant_id();
        let issuer = format!("https://{id}.ciamlogin.com/{id}/v2.0");
        assert_eq!(done.user.issuer(), issuer);
        assert_eq!(done.user.key().tenant(), id.parse().ok());
    }
}

#[tokio::test]
async fn an_external_id_tenant_that_is_another_one_is_refused() {
    let seed = entra_emulator::Seed::new().with_external_id("contoso");
    let stage = Stage::of(seed);
    let id = stage.emulator.tenant_id();
    stage
        .between
        .change_json("openid-configuration", move |document| {
            let other = document.to_string().replace(&id, OTHER);
            *document = serde_json::from_str(&other).unwrap();
        });
    let authority = external(&stage, stage.tenant());
    let options = stage.options_of(authority);
    let error = EntraLogin::connect(options, stage.pipeline())
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Discovery(_)), "{error:?}");
}

#[tokio::test]
async fn an_issuer_under_the_name_of_an_external_id_tenant_is_refused() {
    let seed = entra_emulator::Seed::new().with_external_id("contoso");
    let stage = Stage::of(seed);
    let authority = external(&stage, stage.tenant());
    let login = login_of(&stage, authority).await;
    let id = stage.emulator.tenant_id();
    for issuer in [
        format!("https://contoso.ciamlogin.com/{id}/v2.0"),
        format!("https://login.microsoftonline.com/{id}/v2.0"),
        format!("https://localhost/{id}/v2.0"),
    ] {
        let change = IdTokenChange::new().with_claim("iss", issuer.clone());
        stage.emulator.forge().next_id_token(change).unwrap();
        let error = stage.finish(&login).await.unwrap_err();
        let Error::IdToken(IdTokenRefusal::Token(TokenRefusal::Issuer { found, .. })) = error
        else {
            panic!("{error:?}");
        };
        assert_eq!(found, issuer);
    }
}
