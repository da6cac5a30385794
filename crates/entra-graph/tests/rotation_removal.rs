//! The old credential is removed where the new one works, whatever other processes see.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod local;
mod rotating;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use entra_core::{HttpClient, Limits, Secret, TransportError};
use entra_emulator::Emulator;
use entra_graph::{CredentialRecord, CredentialVault, Kept, Rotation, RotationOutcome, VaultError};
use time::Duration;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use local::LocalTenant;
use rotating::{Kind, Product};

/// A product whose credential was replaced, and the old one is to be removed.
async fn replaced() -> Product {
    let product = Product::link(LocalTenant::new(), Kind::Secret).await;
    product.rotation().rotate_now().await.unwrap();
    assert_eq!(product.happened(), ["Rotated"]);
    product.days(3);
    product
}

#[tokio::test]
async fn what_one_process_is_removing_no_other_one_falls_back_to() {
    let product = replaced().await;
    let new = product.vault.record().current().credential();
    let between = Between::new(&product);
    let client = product.client_over(between.clone());
    let removing = product.rotation_of(client, product.vault.clone());
    let report = removing.rotate_if_due().await.unwrap();
    assert!(between.has_looked.load(Ordering::SeqCst));
    // What the other one told is in the vault, so the look ends here.
    assert_eq!(report.outcome, RotationOutcome::InOtherHands);
    assert_eq!(product.vault.record().current().credential(), new);
    assert!(product.signs_in().await);

    product.days(1);
    removing.rotate_if_due().await.unwrap();
    assert_eq!(product.vault.record().retiring().count(), 0);
    assert_eq!(product.secrets().await.len(), 1);
    assert!(product.signs_in().await);
}

#[tokio::test]
async fn what_one_process_fell_back_to_no_other_one_removes() {
    let product = replaced().await;
    let old = product
        .vault
        .record()
        .retiring()
        .next()
        .unwrap()
        .credential();
    let between = Between::new(&product);
    let removing = product.rotation_of(product.client(), between.clone());
    let report = removing.rotate_if_due().await.unwrap();
    assert!(between.has_looked.load(Ordering::SeqCst));
    assert_eq!(report.outcome, RotationOutcome::InOtherHands);
    assert_eq!(product.happened(), ["FellBack"]);
    assert_eq!(product.vault.record().current().credential(), old);
    assert_eq!(product.secrets().await.len(), 2);
    assert!(product.signs_in().await);
}

#[tokio::test]
async fn a_single_refusal_brings_no_old_credential_back() {
    let product = replaced().await;
    let new = product.vault.record().current().credential();
    let client = product.client_over(Refusing::current_of(&product, 2));
    let rotation = product.rotation_of(client, product.vault.clone());
    rotation.rotate_if_due().await.unwrap();
    assert_eq!(product.happened(), ["Removed"]);
    assert_eq!(product.vault.record().current().credential(), new);
}

/// A product whose secret was replaced by a certificate, and which does not own itself any more.
async fn disowned() -> (Product, Rotation, Vec<String>) {
    let product = Product::link(LocalTenant::new(), Kind::ToCertificate).await;
    let rotation = product.rotation().to_certificate();
    rotation.rotate_if_due().await.unwrap();
    let graph = product.tenant.setup_graph();
    let mut owners = graph.applications().owners(&product.object_id);
    let mut ids = Vec::new();
    while let Some(owner) = owners.try_next().await.unwrap() {
        ids.push(owner.id.unwrap().to_string());
    }
    for id in &ids {
        let path = format!("/applications/{}/owners/{id}/$ref", product.object_id);
        product.write("DELETE", &path, "").await;
    }
    product.days(2);
    let report = rotation.rotate_if_due().await.unwrap();
    assert_eq!(report.outcome, RotationOutcome::NotDue);
    assert_eq!(
        product.happened(),
        [
            "Rotated",
            "Left the app may change registrations that it owns, and does not own its own"
        ]
    );
    (product, rotation, ids)
}

#[tokio::test]
async fn what_may_not_be_removed_is_told_once_and_tried_each_day() {
    let (product, rotation, owners) = disowned().await;
    product.days(1);
    rotation.rotate_if_due().await.unwrap();
    assert_eq!(product.happened(), <[String; 0]>::default());
    assert_eq!(product.vault.record().retiring().count(), 1);

    for id in owners {
        let path = format!("/applications/{}/owners/$ref", product.object_id);
        let owner = format!(r#"{{"@odata.id":"https://localhost/v1.0/directoryObjects/{id}"}}"#);
        product.write("POST", &path, &owner).await;
    }
    product.days(1);
    rotation.rotate_if_due().await.unwrap();
    assert_eq!(product.happened(), ["Removed"]);
    assert_eq!(product.vault.record().retiring().count(), 0);
    assert_eq!(product.secrets().await, []);
}

#[tokio::test]
async fn what_could_not_be_removed_is_forgotten_once_it_has_ended() {
    let (product, rotation, _) = disowned().await;
    for _ in 0..179 {
        product.days(1);
        rotation.rotate_if_due().await.unwrap();
    }
    assert_eq!(product.happened(), <[String; 0]>::default());
    assert_eq!(product.vault.record().retiring().count(), 0);
}

#[tokio::test]
async fn what_a_replica_does_not_list_is_removed_a_day_later() {
    let product = Product::link(LocalTenant::new(), Kind::CertificateByProof).await;
    product.rotation().rotate_now().await.unwrap();
    let old = product
        .vault
        .record()
        .retiring()
        .next()
        .unwrap()
        .credential();
    product.days(3);
    let client = product.client_over(Arc::new(Unlisting(product.tenant.emulator.clone())));
    let unlisting = product.rotation_of(client, product.vault.clone());
    unlisting.rotate_if_due().await.unwrap();
    assert_eq!(product.happened(), ["Rotated"]);
    assert_eq!(product.vault.record().retiring().count(), 1);

    product.days(1);
    product.rotation().rotate_if_due().await.unwrap();
    assert_eq!(product.happened(), ["Removed"]);
    assert_eq!(product.keys().await.len(), 1);
    assert!(!product.accepts(&old).await);
}

#[tokio::test]
async fn a_leftover_that_may_not_be_removed_keeps_nothing_else_from_being_done() {
    let product = Product::link(LocalTenant::new(), Kind::Secret).await;
    let stays = product.leave_secret_behind("Stays").await;
    product.leave_secret_behind("Goes").await;
    let client = product.client_over(Arc::new(Forbidding {
        emulator: product.tenant.emulator.clone(),
        key_id: stays.to_string(),
    }));
    let rotation = product.rotation_of(client, product.vault.clone());
    let report = rotation.rotate_now().await.unwrap();
    assert_eq!(report.outcome, RotationOutcome::Rotated);
    assert_eq!(product.happened(), ["Rotated"]);
    let secrets = product.secrets().await;
    assert_eq!(secrets.len(), 3, "{secrets:?}");
    assert!(secrets.iter().any(|found| found.key_id == Some(stays)));

    product.days(3);
    let report = rotation.rotate_if_due().await.unwrap();
    assert_eq!(report.outcome, RotationOutcome::NotDue);
    let told = "Left the app may change registrations that it owns, and does not own its own";
    assert_eq!(product.happened(), [told, "Removed"]);
    let record: serde_json::Value =
        serde_json::from_str(product.vault.record().to_json().expose()).unwrap();
    assert_eq!(record["leftovers"], serde_json::json!([]));
}

/// Before the old secret is removed, or the vault is written to, another process looks, to which
/// the new secret is refused.
#[derive(Debug)]
struct Between {
    product: Product,
    has_looked: AtomicBool,
}

impl Between {
    fn new(product: &Product) -> Arc<Self> {
        Arc::new(Self {
            product: product.clone(),
            has_looked: AtomicBool::new(false),
        })
    }

    async fn look(&self) {
        if self.has_looked.swap(true, Ordering::SeqCst) {
            return;
        }
        let refusing = Refusing::current_of(&self.product, usize::MAX);
        let client = self.product.client_over(refusing);
        let other = self.product.rotation_of(client, self.product.vault.clone());
        Box::pin(other.rotate_if_due()).await.unwrap();
    }
}

#[async_trait]
impl HttpClient for Between {
    async fn send(
        &self,
        request: http::Request<Bytes>,
        limits: Limits,
    ) -> Result<http::Response<Bytes>, TransportError> {
        if request.uri().path().ends_with("/removePassword") {
            self.look().await;
        }
        self.product.tenant.emulator.send(request, limits).await
    }
}

#[async_trait]
impl CredentialVault for Between {
    async fn load(&self) -> Result<Kept, VaultError> {
        self.product.vault.load().await
    }

    async fn store(&self, record: &CredentialRecord, replaces: u64) -> Result<bool, VaultError> {
        self.look().await;
        self.product.vault.store(record, replaces).await
    }
}

/// A way to the tenant on which the secret in use is refused, so many times.
#[derive(Debug)]
struct Refusing {
    emulator: Emulator,
    secret: String,
    left: AtomicUsize,
}

impl Refusing {
    fn current_of(product: &Product, times: usize) -> Arc<Self> {
        let record = product.vault.record().to_json();
        let record: serde_json::Value = serde_json::from_str(record.expose()).unwrap();
        // The part of it that a form does not escape.
        let secret = record["current"]["secret"].as_str().unwrap();
        let parts = secret.split(|part: char| !part.is_ascii_alphanumeric());
        Arc::new(Self {
            emulator: product.tenant.emulator.clone(),
            secret: parts.max_by_key(|part| part.len()).unwrap().to_owned(),
            left: AtomicUsize::new(times),
        })
    }
}

#[async_trait]
impl HttpClient for Refusing {
    async fn send(
        &self,
        request: http::Request<Bytes>,
        limits: Limits,
    ) -> Result<http::Response<Bytes>, TransportError> {
        let form = String::from_utf8_lossy(request.body());
        if form.contains(&self.secret) && self.left.load(Ordering::SeqCst) > 0 {
            self.left.fetch_sub(1, Ordering::SeqCst);
            let body = r#"{"error":"invalid_client","error_codes":[7000215],
                "error_description":"AADSTS7000215: Invalid client secret provided."}"#;
            let answer = http::Response::builder().status(401).body(body.into());
            return Ok(answer.unwrap());
        }
        self.emulator.send(request, limits).await
    }
}

impl Product {
    /// A client secret at Entra that the vault tells to remove.
    async fn leave_secret_behind(&self, name: &str) -> Uuid {
        let graph = self.tenant.setup_graph();
        let applications = graph.applications();
        let added = applications.add_password(&self.object_id, name, None).await;
        let key_id = added.unwrap().key_id;
        let kept = self.vault.load().await.unwrap();
        let mut record: serde_json::Value =
            serde_json::from_str(kept.record.to_json().expose()).unwrap();
        let look_until = (self.now() + Duration::days(2)).format(&Rfc3339).unwrap();
        let leftovers = record["leftovers"].as_array_mut().unwrap();
        leftovers.push(serde_json::json!({"secret": key_id, "look_until": look_until}));
        let record = CredentialRecord::from_json(&Secret::new(record.to_string())).unwrap();
        assert!(self.vault.store(&record, kept.revision).await.unwrap());
        key_id
    }
}

/// A way to the tenant on which one client secret may not be removed.
#[derive(Debug)]
struct Forbidding {
    emulator: Emulator,
    key_id: String,
}

#[async_trait]
impl HttpClient for Forbidding {
    async fn send(
        &self,
        request: http::Request<Bytes>,
        limits: Limits,
    ) -> Result<http::Response<Bytes>, TransportError> {
        let body = String::from_utf8_lossy(request.body());
        if request.uri().path().ends_with("/removePassword") && body.contains(&self.key_id) {
            let body = r#"{"error":{"code":"Authorization_RequestDenied",
                "message":"Insufficient privileges to complete the operation."}}"#;
            let answer = http::Response::builder().status(403).body(body.into());
            return Ok(answer.unwrap());
        }
        self.emulator.send(request, limits).await
    }
}

/// A way to replicas that list no certificates.
#[derive(Debug)]
struct Unlisting(Emulator);

#[async_trait]
impl HttpClient for Unlisting {
    async fn send(
        &self,
        request: http::Request<Bytes>,
        limits: Limits,
    ) -> Result<http::Response<Bytes>, TransportError> {
        let mut answer = self.0.send(request, limits).await?;
        if let Ok(mut body) = serde_json::from_slice::<serde_json::Value>(answer.body())
            && let Some(keys) = body.get_mut("keyCredentials")
        {
            *keys = serde_json::json!([]);
            *answer.body_mut() = body.to_string().into();
        }
        Ok(answer)
    }
}
