//! A rotation is killed at every single request and every call of the vault, before and after it
//! was acted on; then another process looks. There must always be a credential that works, in the
//! end one new one and nothing else.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

mod local;
mod rotating;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use entra_core::{HttpClient, Limits, TransportError};
use entra_emulator::Emulator;
use entra_graph::{CredentialRecord, CredentialVault, Kept, MemoryVault, Rotation, VaultError};
use tokio::sync::Notify;

use rotating::{Kind, Product};

#[tokio::test]
async fn a_secret_for_a_secret_before_each_deed() {
    kill_at_every_deed(Kind::Secret, Moment::Before).await;
}

#[tokio::test]
async fn a_secret_for_a_secret_after_each_deed() {
    kill_at_every_deed(Kind::Secret, Moment::After).await;
}

#[tokio::test]
async fn a_certificate_for_a_certificate_before_each_deed() {
    kill_at_every_deed(Kind::CertificateByProof, Moment::Before).await;
}

#[tokio::test]
async fn a_certificate_for_a_certificate_after_each_deed() {
    kill_at_every_deed(Kind::CertificateByProof, Moment::After).await;
}

#[tokio::test]
async fn a_certificate_for_a_certificate_without_proof_before_each_deed() {
    kill_at_every_deed(Kind::CertificateByPatch, Moment::Before).await;
}

#[tokio::test]
async fn a_certificate_for_a_certificate_without_proof_after_each_deed() {
    kill_at_every_deed(Kind::CertificateByPatch, Moment::After).await;
}

#[tokio::test]
async fn a_certificate_for_a_secret_before_each_deed() {
    kill_at_every_deed(Kind::ToCertificate, Moment::Before).await;
}

#[tokio::test]
async fn a_certificate_for_a_secret_after_each_deed() {
    kill_at_every_deed(Kind::ToCertificate, Moment::After).await;
}

#[tokio::test]
async fn a_rotation_that_is_killed_again_and_again_ends_with_one_credential() {
    let product = Product::seeded(Kind::Secret).await;
    product.days(701);
    for deed in 1..20 {
        kill_rotation(&product, Kind::Secret, deed, Moment::After).await;
        assert!(product.signs_in().await, "deed {deed}");
        product.tenant.emulator.advance(HOUR);
    }
    finish(&product, Kind::Secret, "twenty kills").await;
    check(&product, Kind::Secret, "twenty kills").await;
}

async fn kill_at_every_deed(kind: Kind, moment: Moment) {
    let mut deeds = 0;
    loop {
        let product = Product::seeded(kind).await;
        match kind {
            Kind::Secret => product.days(701),
            Kind::CertificateByProof | Kind::CertificateByPatch => product.days(340),
            Kind::ToCertificate => {}
        }
        if !kill_rotation(&product, kind, deeds + 1, moment).await {
            break;
        }
        deeds += 1;
        let when = format!("{kind:?} killed at deed {deeds} {moment:?}");
        assert!(product.signs_in().await, "{when}");
        finish(&product, kind, &when).await;
        check(&product, kind, &when).await;
    }
    assert!(deeds > 20, "a rotation has more than {deeds} deeds");
}

/// Whether the process was killed before the old credential was gone.
async fn kill_rotation(product: &Product, kind: Kind, deed: usize, moment: Moment) -> bool {
    let mortal = Arc::new(Mortal {
        emulator: product.tenant.emulator.clone(),
        vault: product.vault.clone(),
        left: AtomicUsize::new(deed),
        moment,
        died: Notify::new(),
    });
    let client = product.client_over(mortal.clone());
    let rotation = rotation_to(kind, product.rotation_of(client, mortal.clone()));
    tokio::select! {
        biased;
        () = mortal.died.notified() => true,
        () = whole_life(product, &rotation) => false,
    }
}

/// From the first look to the removal of the old credential.
async fn whole_life(product: &Product, rotation: &Rotation) {
    rotation.rotate_if_due().await.unwrap();
    product.days(2);
    rotation.rotate_if_due().await.unwrap();
}

/// Another process looks as often as it is told to, for five days.
async fn finish(product: &Product, kind: Kind, when: &str) {
    let rotation = rotation_to(kind, product.rotation());
    let mut waited = std::time::Duration::ZERO;
    while waited < HOUR * 120 {
        let report = rotation.rotate_if_due().await;
        let report = report.unwrap_or_else(|error| panic!("{when}, then: {error:?}"));
        assert!(product.signs_in().await, "{when}");
        product.tenant.emulator.advance(report.next_look);
        waited += report.next_look;
    }
}

async fn check(product: &Product, kind: Kind, when: &str) {
    let record = product.vault.record();
    assert!(!record.is_rotating(), "{when}");
    assert_eq!(record.retiring().count(), 0, "{when}");
    assert_eq!(record.credentials().iter().count(), 1, "{when}");

    // What an administrator made is there; the certificate product has the seed's secret as well.
    let (secrets, keys) = match kind {
        Kind::Secret => (2, 1),
        Kind::CertificateByProof | Kind::CertificateByPatch => (2, 2),
        Kind::ToCertificate => (1, 2),
    };
    let registration = product.registration().await;
    let found_secrets = registration.password_credentials.unwrap();
    let found_keys = registration.key_credentials.unwrap();
    assert_eq!(found_secrets.len(), secrets, "{when}: {found_secrets:?}");
    assert_eq!(found_keys.len(), keys, "{when}: {found_keys:?}");

    // It is the new one.
    assert!(
        product.accepts(&record.current().credential()).await,
        "{when}"
    );
    let left = record.current().expires_on().unwrap() - product.now();
    assert!(left > time::Duration::days(130), "{when}: {left}");
}

fn rotation_to(kind: Kind, rotation: Rotation) -> Rotation {
    match kind {
        Kind::ToCertificate => rotation.to_certificate(),
        Kind::Secret | Kind::CertificateByProof | Kind::CertificateByPatch => rotation,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    Before,
    After,
}

/// A process that dies at its n-th deed: a request, or a call of the vault.
#[derive(Debug)]
struct Mortal {
    emulator: Emulator,
    vault: Arc<MemoryVault>,
    left: AtomicUsize,
    moment: Moment,
    died: Notify,
}

impl Mortal {
    async fn act<T: Send>(&self, deed: impl Future<Output = T> + Send) -> T {
        if self.left.fetch_sub(1, Ordering::SeqCst) > 1 {
            return deed.await;
        }
        if self.moment == Moment::After {
            deed.await;
        }
        self.died.notify_one();
        std::future::pending().await
    }
}

#[async_trait]
impl HttpClient for Mortal {
    async fn send(
        &self,
        request: http::Request<Bytes>,
        limits: Limits,
    ) -> Result<http::Response<Bytes>, TransportError> {
        self.act(self.emulator.send(request, limits)).await
    }
}

#[async_trait]
impl CredentialVault for Mortal {
    async fn load(&self) -> Result<Kept, VaultError> {
        self.act(self.vault.load()).await
    }

    async fn store(&self, record: &CredentialRecord, replaces: u64) -> Result<bool, VaultError> {
        self.act(self.vault.store(record, replaces)).await
    }
}

const HOUR: std::time::Duration = std::time::Duration::from_secs(3_600);
