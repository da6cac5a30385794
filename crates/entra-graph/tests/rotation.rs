//! Credentials are renewed with overlap; what cannot be done is told.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod local;
mod rotating;

use entra_graph::{CredentialKind, RotationOutcome};

use local::LocalTenant;
use rotating::{Kind, Product};

#[tokio::test]
async fn a_client_secret_gets_a_successor_thirty_days_before_its_end() {
    let product = Product::link(LocalTenant::new(), Kind::Secret).await;
    let rotation = product.rotation();
    product.days(149);
    let report = rotation.rotate_if_due().await.unwrap();
    assert_eq!(report.outcome, RotationOutcome::NotDue);
    product.days(1);
    let old = product.vault.record().current().credential();
    let report = rotation.rotate_if_due().await.unwrap();
    assert_eq!(report.outcome, RotationOutcome::Rotated);
    let new = product.vault.record().current().credential();
    assert_eq!(product.secrets().await.len(), 2);
    assert!(product.accepts(&old).await && product.accepts(&new).await);

    product.days(1);
    rotation.rotate_if_due().await.unwrap();
    assert_eq!(product.happened(), ["Expiring 60", "Rotated", "Removed"]);
    assert_eq!(
        product.secrets().await[0].key_id,
        product.vault.record().current().key_id()
    );
    assert!(!product.accepts(&old).await && product.accepts(&new).await);
    assert!(product.signs_in().await);
}

#[tokio::test]
async fn a_certificate_is_renewed_by_proof_and_without_a_permission() {
    let product = Product::link(LocalTenant::new(), Kind::CertificateByProof).await;
    let rotation = product.rotation();
    let old = product.vault.record().current().credential();
    product.days(340);
    let report = rotation.rotate_if_due().await.unwrap();
    assert_eq!(report.outcome, RotationOutcome::Rotated);
    assert_eq!(product.keys().await.len(), 2);
    product.days(2);
    rotation.rotate_if_due().await.unwrap();
    assert_eq!(product.happened(), ["Rotated", "Removed"]);
    assert_eq!(product.keys().await.len(), 1);
    assert!(!product.accepts(&old).await && product.signs_in().await);
}

#[tokio::test]
async fn a_pasted_secret_ends_as_a_certificate() {
    let product = Product::link(LocalTenant::new(), Kind::ToCertificate).await;
    let rotation = product.rotation().to_certificate();
    let report = rotation.rotate_if_due().await.unwrap();
    assert_eq!(report.outcome, RotationOutcome::Rotated);
    product.days(2);
    rotation.rotate_if_due().await.unwrap();
    assert_eq!(product.happened(), ["Rotated", "Removed"]);
    assert_eq!(product.secrets().await, []);
    assert_eq!(product.keys().await.len(), 1);
    let record = product.vault.record();
    assert_eq!(record.current().kind(), CredentialKind::Certificate);
    assert!(product.signs_in().await);
}
