//! What keeps a credential from being renewed: the old one stays, and somebody is told.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod local;
mod rotating;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use entra_core::{
    ConfidentialClient, CredentialKind, HttpClient, Limits, MovableClock, TokenErrorKind,
    TransportError,
};
use entra_emulator::{Emulator, Fault, FaultRule};
use entra_graph::{
    Blueprint, CredentialRecord, CredentialVault, Error, Kept, MemoryVault, Obstacle, Permission,
    RotationEvent, RotationOutcome, VaultError,
};
use time::Duration;

use local::LocalTenant;
use rotating::{Kind, Product};

/// A product that manages nothing, with a client secret of 180 days.
async fn humble() -> Product {
    let blueprint = Blueprint::new("humble", "Humble")
        .with_permission(Permission::application("User.Read.All"))
        .with_secret(Duration::days(180));
    Product::link_by(LocalTenant::new(), &blueprint).await
}

async fn outcome(product: &Product) -> RotationOutcome {
    product.rotation().rotate_if_due().await.unwrap().outcome
}

#[tokio::test]
async fn without_a_permission_an_administrator_is_told_which_and_by_when() {
    let product = humble().await;
    product.days(120);
    assert_eq!(outcome(&product).await, RotationOutcome::NotDue);
    let told = product.events.lock().unwrap().first().cloned();
    let Some(RotationEvent::CannotRotate {
        credential,
        obstacle,
    }) = told
    else {
        unreachable!("{told:?}")
    };
    let expected = Obstacle::NoPermission {
        needed: &["Application.ReadWrite.OwnedBy", "Application.ReadWrite.All"],
    };
    assert_eq!(obstacle, expected);
    let end = credential.expires_on.unwrap();
    assert_eq!((end - product.now()).whole_days(), 59);
    assert!(obstacle.remedy().contains("Application.ReadWrite.OwnedBy"));

    product.days(30);
    assert_eq!(
        outcome(&product).await,
        RotationOutcome::CannotRotate(expected)
    );
    assert!(product.signs_in().await);
    assert_eq!(product.secrets().await.len(), 1);
}

#[tokio::test]
async fn an_app_that_does_not_own_itself_is_told_so() {
    let blueprint = Blueprint::new("stranger", "Stranger")
        .with_permission(Permission::application("Application.ReadWrite.OwnedBy"))
        .with_secret(Duration::days(180));
    let product = Product::link_by(LocalTenant::new(), &blueprint).await;
    product.days(150);
    assert_eq!(
        outcome(&product).await,
        RotationOutcome::CannotRotate(Obstacle::NotOwner)
    );
    assert_eq!(product.secrets().await.len(), 1);
    assert!(!product.vault.record().is_rotating());
    let statuses = product.rotation().check().await.unwrap();
    let obstacle = statuses.first().unwrap().obstacle.clone();
    assert_eq!(obstacle, Some(Obstacle::NotOwner));
}

#[tokio::test]
async fn each_warning_comes_once_also_after_a_restart() {
    let product = humble().await;
    for _ in 0..182 {
        // Each look is a process of its own, and there are two a day.
        for _ in 0..2 {
            product.rotation().rotate_if_due().await.unwrap();
        }
        product.days(1);
    }
    let told: Vec<String> = product
        .happened()
        .into_iter()
        .map(|told| told.split(" (").next().unwrap_or_default().to_owned())
        .collect();
    let none = "CannotRotate the app has none of Application.ReadWrite.OwnedBy, \
                Application.ReadWrite.All";
    let refused = "CannotRotate the credential in use is refused";
    assert_eq!(
        told,
        [none, none, none, none, none, "Expired", refused],
        "60, 30, 14, 7, 1 days, the end"
    );
}

#[tokio::test]
async fn where_secrets_are_forbidden_a_certificate_takes_over() {
    let product = Product::link(LocalTenant::new(), Kind::Secret).await;
    let forbidden =
        r#"{"passwordCredentials":[{"restrictionType":"passwordAddition","state":"enabled"}]}"#;
    product.set_policy(forbidden).await;
    product.days(150);
    assert_eq!(outcome(&product).await, RotationOutcome::Rotated);
    let record = product.vault.record();
    assert_eq!(record.current().kind(), CredentialKind::Certificate);
    product.days(2);
    outcome(&product).await;
    assert_eq!(product.secrets().await, []);
    assert!(product.signs_in().await);
}

#[tokio::test]
async fn a_lifetime_that_a_policy_refuses_is_followed_by_a_shorter_one() {
    let product = Product::link(LocalTenant::new(), Kind::Secret).await;
    let limit = r#"{"passwordCredentials":[{"restrictionType":"passwordLifetime","state":"enabled","maxLifetime":"P90D"}]}"#;
    product.set_policy(limit).await;
    product.days(150);
    // It may not read the policy.
    assert_eq!(outcome(&product).await, RotationOutcome::Rotated);
    let end = product.vault.record().current().expires_on().unwrap();
    assert_eq!((end - product.now()).whole_days(), 88);
    assert_eq!(product.secrets().await.len(), 2);
}

#[tokio::test]
async fn the_policy_of_the_app_takes_the_place_of_the_tenants() {
    let product = Product::seeded(Kind::ToCertificate).await;
    let trusted = r#"{"keyCredentials":[{"restrictionType":"trustedCertificateAuthority","state":"enabled"}]}"#;
    product.set_policy(trusted).await;
    let rotation = product.rotation().to_certificate();
    let report = rotation.rotate_if_due().await.unwrap();
    assert_eq!(
        report.outcome,
        RotationOutcome::CannotRotate(Obstacle::TrustedAuthority)
    );
    let own = r#"{"displayName":"Short","isEnabled":true,"restrictions":{"keyCredentials":[
        {"restrictionType":"asymmetricKeyLifetime","state":"enabled","maxLifetime":"P100D"}]}}"#;
    let policy = product
        .write("POST", "/policies/appManagementPolicies", own)
        .await;
    let id = policy
        .get("id")
        .and_then(serde_json::Value::as_str)
        .unwrap();
    let reference =
        format!(r#"{{"@odata.id":"https://localhost/v1.0/policies/appManagementPolicies/{id}"}}"#);
    let path = format!(
        "/applications/{}/appManagementPolicies/$ref",
        product.object_id
    );
    product.write("POST", &path, &reference).await;
    let report = rotation.rotate_if_due().await.unwrap();
    assert_eq!(report.outcome, RotationOutcome::Rotated);
    let end = product.vault.record().current().expires_on().unwrap();
    assert_eq!((end - product.now()).whole_days(), 99);
}

#[tokio::test]
async fn a_registration_that_was_deleted_is_told_at_once() {
    let product = Product::link(LocalTenant::new(), Kind::Secret).await;
    let graph = product.tenant.setup_graph();
    let rotation = product.rotation();
    graph
        .applications()
        .delete(&product.object_id)
        .await
        .unwrap();
    product.days(1);
    let report = rotation.rotate_if_due().await.unwrap();
    let kind = TokenErrorKind::AppNotFound;
    let obstacle = Obstacle::Refused { kind };
    assert_eq!(report.outcome, RotationOutcome::CannotRotate(obstacle));
}

#[tokio::test]
async fn a_credential_that_has_ended_needs_an_administrator_now() {
    let product = Product::link(LocalTenant::new(), Kind::Secret).await;
    product.days(181);
    let kind = TokenErrorKind::SecretExpired;
    let obstacle = Obstacle::Refused { kind };
    assert_eq!(
        outcome(&product).await,
        RotationOutcome::CannotRotate(obstacle)
    );
    assert_eq!(
        product.happened(),
        [
            "Expired",
            "CannotRotate the credential in use is refused (SecretExpired)"
        ]
    );
}

#[tokio::test]
async fn a_clock_that_is_ahead_renews_nothing_too_early_and_in_the_right_time() {
    // Replicas go by the tenant's clock, which does not move here.
    let tenant = LocalTenant::with_replication_delay(std::time::Duration::ZERO);
    let product = Product::link(tenant, Kind::CertificateByProof).await;
    let ahead = |days: i64| {
        let clock = MovableClock::frozen_at(product.now() + Duration::days(days));
        let pipeline = product.tenant.pipeline().with_clock(Arc::new(clock));
        let credentials = product.vault.record().credentials();
        let authority = product.tenant.authority();
        ConfidentialClient::new(authority, product.client_id, credentials, pipeline).unwrap()
    };
    // Fifty and fifteen days before the end, by this clock.
    for days in [315, 350] {
        let rotation = product.rotation_of(ahead(days), product.vault.clone());
        let report = rotation.rotate_if_due().await.unwrap();
        assert_eq!(report.outcome, RotationOutcome::NotDue);
    }
    assert_eq!(product.happened(), <[String; 0]>::default());

    product.days(340);
    let rotation = product.rotation_of(ahead(-3), product.vault.clone());
    let report = rotation.rotate_now().await.unwrap();
    assert_eq!(report.outcome, RotationOutcome::Rotated);
    let end = product.vault.record().current().expires_on().unwrap();
    assert_eq!(end - product.now(), Duration::days(365));
}

#[tokio::test]
async fn a_secret_that_the_vault_does_not_take_is_removed_again() {
    let product = Product::link(LocalTenant::new(), Kind::Secret).await;
    product.days(150);
    // The first write announces the secret, the second one would keep it.
    let vault = Arc::new(Failing::at(&product, 2));
    let rotation = product.rotation_of(product.client(), vault.clone());
    let error = rotation.rotate_if_due().await.unwrap_err();
    assert!(matches!(error, Error::Vault(_)), "{error:?}");
    assert_eq!(product.secrets().await.len(), 1);
    assert!(product.signs_in().await);
    assert_eq!(
        product.happened(),
        [
            "Expiring 30",
            "Failed the vault of the app's credentials failed: the disk is full"
        ]
    );

    let report = rotation.rotate_if_due().await.unwrap();
    assert_eq!(report.outcome, RotationOutcome::Rotated);
    assert_eq!(product.secrets().await.len(), 2);
}

#[tokio::test]
async fn a_vault_that_fails_at_any_write_costs_no_sign_in() {
    for kind in [
        Kind::Secret,
        Kind::CertificateByProof,
        Kind::CertificateByPatch,
        Kind::ToCertificate,
    ] {
        for write in 1..6 {
            let product = Product::seeded(kind).await;
            product.days(if kind == Kind::Secret { 701 } else { 340 });
            let vault = Arc::new(Failing::at(&product, write));
            let rotation = product.rotation_of(product.client(), vault);
            let rotation = match kind {
                Kind::ToCertificate => rotation.to_certificate(),
                _ => rotation,
            };
            let mut failures = 0;
            for _ in 0..7 {
                failures += usize::from(rotation.rotate_if_due().await.is_err());
                assert!(product.signs_in().await, "{kind:?} {write}");
                product.days(1);
            }
            assert_eq!(failures, 1, "{kind:?} {write}");
            let made = product.secrets().await.len() + product.keys().await.len();
            let expected = match kind {
                Kind::CertificateByProof | Kind::CertificateByPatch => 4,
                Kind::Secret | Kind::ToCertificate => 3,
            };
            assert_eq!(made, expected, "{kind:?} {write}");
        }
    }
}

#[tokio::test]
async fn a_successor_that_is_never_accepted_is_removed_and_the_old_one_stays() {
    let product = Product::link(LocalTenant::new(), Kind::Secret).await;
    product.days(150);
    let garbling = Arc::new(Garbling(product.tenant.emulator.clone()));
    let client = product.client_over(garbling);
    let rotation = product.rotation_of(client, product.vault.clone());
    let error = rotation.rotate_if_due().await.unwrap_err();
    assert!(matches!(error, Error::NotReplicated { .. }), "{error:?}");
    assert!(!product.vault.record().is_rotating());
    assert_eq!(product.secrets().await.len(), 1);
    assert!(product.signs_in().await);
    let happened = product.happened();
    assert!(
        happened.contains(
            &"Failed the new credential is not visible everywhere after 300 s".to_owned()
        ),
        "{happened:?}"
    );
    assert_eq!(outcome(&product).await, RotationOutcome::Rotated);
}

#[tokio::test]
async fn an_outage_ends_a_look_and_the_next_one_goes_on() {
    let product = Product::link(LocalTenant::new(), Kind::Secret).await;
    product.days(150);
    let lost = FaultRule::new("POST */addPassword", Fault::DroppedAfter);
    product.tenant.emulator.faults().inject(lost).unwrap();
    let rotation = product.rotation();
    rotation.rotate_if_due().await.unwrap_err();
    assert!(product.signs_in().await);
    let report = rotation.rotate_if_due().await.unwrap();
    assert_eq!(report.outcome, RotationOutcome::Rotated);
    // The one that was lost is gone.
    assert_eq!(product.secrets().await.len(), 2);
}

#[tokio::test]
async fn where_the_new_credential_was_deleted_the_old_one_is_in_use_again() {
    let product = Product::link(LocalTenant::new(), Kind::Secret).await;
    let rotation = product.rotation();
    let old = product.vault.record().current().credential();
    rotation.rotate_now().await.unwrap();
    let successor = product.vault.record().current().key_id().unwrap();
    let graph = product.tenant.setup_graph();
    let applications = graph.applications();
    applications
        .remove_password(&product.object_id, &successor)
        .await
        .unwrap();
    product.days(3);
    let report = rotation.rotate_if_due().await.unwrap();
    assert_eq!(report.outcome, RotationOutcome::NotDue);
    assert_eq!(product.happened(), ["Rotated", "FellBack"]);
    let record = product.vault.record();
    assert_eq!(record.current().credential(), old);
    assert_eq!(record.credentials().iter().count(), 1);
    assert!(product.signs_in().await);
    // It may have been replaced because it leaked, so it does not stay.
    product.days(1);
    assert_eq!(outcome(&product).await, RotationOutcome::Rotated);
}

#[tokio::test]
async fn where_both_were_deleted_an_administrator_is_told() {
    let product = Product::link(LocalTenant::new(), Kind::Secret).await;
    let rotation = product.rotation();
    rotation.rotate_now().await.unwrap();
    let graph = product.tenant.setup_graph();
    for secret in product.secrets().await {
        let removed = graph
            .applications()
            .remove_password(&product.object_id, &secret.key_id.unwrap())
            .await;
        removed.unwrap();
    }
    product.days(3);
    let report = rotation.rotate_if_due().await.unwrap();
    let kind = TokenErrorKind::SecretInvalid;
    let obstacle = Obstacle::Refused { kind };
    assert_eq!(
        report.outcome,
        RotationOutcome::CannotRotate(obstacle.clone())
    );
    assert_eq!(
        product.happened(),
        ["Rotated".to_owned(), format!("CannotRotate {obstacle}")]
    );
}

/// A vault whose n-th write fails.
#[derive(Debug)]
struct Failing {
    vault: Arc<MemoryVault>,
    left: AtomicUsize,
}

impl Failing {
    fn at(product: &Product, write: usize) -> Self {
        Self {
            vault: product.vault.clone(),
            left: AtomicUsize::new(write),
        }
    }
}

#[async_trait]
impl CredentialVault for Failing {
    async fn load(&self) -> Result<Kept, VaultError> {
        self.vault.load().await
    }

    async fn store(&self, record: &CredentialRecord, replaces: u64) -> Result<bool, VaultError> {
        if self.left.fetch_sub(1, Ordering::SeqCst) == 1 {
            return Err("the disk is full".into());
        }
        self.vault.store(record, replaces).await
    }
}

/// A way to the tenant on which new secrets arrive as others.
#[derive(Debug)]
struct Garbling(Emulator);

#[async_trait]
impl HttpClient for Garbling {
    async fn send(
        &self,
        request: http::Request<Bytes>,
        limits: Limits,
    ) -> Result<http::Response<Bytes>, TransportError> {
        let is_new = request.uri().path().ends_with("/addPassword");
        let mut answer = self.0.send(request, limits).await?;
        if is_new && answer.status().is_success() {
            let mut made: serde_json::Value = serde_json::from_slice(answer.body()).unwrap();
            made["secretText"] = "Wrong~secret~value".into();
            *answer.body_mut() = made.to_string().into();
        }
        Ok(answer)
    }
}
