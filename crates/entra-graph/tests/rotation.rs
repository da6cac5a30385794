//! Credentials are renewed with overlap; what cannot be done is told.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod local;
mod rotating;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use entra_core::{
    CredentialKind, HttpClient, Limits, Outcome, Probe, TokenRequest, TransportError,
};
use entra_graph::{
    Blueprint, Change, CredentialRecord, CredentialRole, CredentialVault, Kept, MemoryHost,
    MemoryVault, Permission, RotationOutcome, VaultError, VaultSource,
};
use time::Duration;

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

    product.days(2);
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

#[tokio::test]
async fn of_two_processes_one_renews_and_the_other_one_follows() {
    let product = Product::link(LocalTenant::new(), Kind::Secret).await;
    product.days(150);
    let (one, two) = (product.client(), product.client());
    let rotations =
        [&one, &two].map(|client| product.rotation_of(client.clone(), product.vault.clone()));
    let [first, second] = &rotations;
    let (a, b) = tokio::join!(
        Box::pin(first.rotate_if_due()),
        Box::pin(second.rotate_if_due())
    );
    let outcomes = [a.unwrap().outcome, b.unwrap().outcome];
    assert!(outcomes.contains(&RotationOutcome::Rotated), "{outcomes:?}");
    assert!(
        outcomes.contains(&RotationOutcome::InOtherHands),
        "{outcomes:?}"
    );
    assert_eq!(product.secrets().await.len(), 2);
    let path = format!("/v1.0/applications/{}/addPassword", product.object_id);
    // The other one was made when the product was linked.
    assert_eq!(product.tenant.emulator.journal().count("POST", &path), 2);

    for rotation in &rotations {
        let report = rotation.rotate_if_due().await.unwrap();
        assert_eq!(report.outcome, RotationOutcome::NotDue);
    }
    assert_eq!(one.credentials(), two.credentials());
}

#[tokio::test]
async fn a_process_that_does_not_look_finds_the_successor_when_it_is_refused() {
    let product = Product::link(LocalTenant::new(), Kind::Secret).await;
    let source = VaultSource::new(product.vault.clone());
    let idle = product.client().with_credential_source(Arc::new(source));
    product.days(150);
    let rotation = product.rotation();
    rotation.rotate_if_due().await.unwrap();
    product.days(2);
    rotation.rotate_if_due().await.unwrap();
    assert_eq!(product.secrets().await.len(), 1);
    let request = TokenRequest::new([product.tenant.emulator.cloud().graph_scope()]);
    idle.token(&request).await.unwrap();
    assert_eq!(idle.credentials(), product.vault.record().credentials());
}

#[tokio::test]
async fn a_credential_that_leaked_is_renewed_at_once() {
    let product = Product::link(LocalTenant::new(), Kind::Secret).await;
    let leaked = product.vault.record().current().credential();
    let rotation = product.rotation().with_grace(Duration::ZERO);
    let report = rotation.rotate_now().await.unwrap();
    assert_eq!(report.outcome, RotationOutcome::Rotated);
    assert_eq!(product.happened(), ["Rotated", "Removed"]);
    product.days(1);
    assert!(!product.accepts(&leaked).await && product.signs_in().await);
}

#[tokio::test]
async fn what_an_administrator_made_is_never_touched() {
    let product = Product::link(LocalTenant::new(), Kind::ToCertificate).await;
    product.add_by_hand().await;
    let rotation = product.rotation().to_certificate();
    for _ in 0..3 {
        rotation.rotate_if_due().await.unwrap();
        product.days(2);
    }
    let names: Vec<_> = product
        .secrets()
        .await
        .into_iter()
        .filter_map(|secret| secret.display_name)
        .collect();
    assert_eq!(names, ["Issued by blueprint (0a1b2c3d)"]);
    assert_eq!(product.keys().await.len(), 2);
}

#[tokio::test]
async fn the_health_page_shows_each_credential_and_its_end() {
    let product = Product::link(LocalTenant::new(), Kind::Secret).await;
    let rotation = product.rotation();
    let statuses = rotation.check().await.unwrap();
    let [status] = statuses.as_slice() else {
        unreachable!("{statuses:?}")
    };
    assert_eq!(
        (status.kind, status.role, status.obstacle.clone()),
        (CredentialKind::ClientSecret, CredentialRole::InUse, None)
    );
    let (end, renewal) = (status.expires_on.unwrap(), status.renews_on.unwrap());
    assert_eq!((end - renewal).whole_days(), 30);
    assert_eq!(status.finding(product.now()).outcome, Outcome::Passed);
    assert_eq!(
        status.finding(renewal + Duration::days(20)).outcome,
        Outcome::Warning
    );
    assert_eq!(status.finding(end).outcome, Outcome::Failed);

    product.days(150);
    rotation.rotate_if_due().await.unwrap();
    let statuses = rotation.check().await.unwrap();
    let roles: Vec<_> = statuses.iter().map(|status| status.role).collect();
    assert_eq!(roles, [CredentialRole::InUse, CredentialRole::Retiring]);
    assert!(Probe::run(&rotation).await.is_ok());
}

#[tokio::test]
async fn a_pasted_secret_is_known_by_its_first_characters() {
    let product = Product::seeded(Kind::Secret).await;
    assert_eq!(product.vault.record().current().key_id(), None);
    product.rotation().rotate_if_due().await.unwrap();
    let record = product.vault.record();
    let end = record.current().expires_on().unwrap();
    assert_eq!((end - product.now()).whole_days(), 729);
    assert!(record.current().key_id().is_some());
}

#[tokio::test]
async fn it_runs_until_it_is_told_to_stop_and_looks_once_a_day() {
    let product = Product::link(LocalTenant::new(), Kind::Secret).await;
    let vault = Arc::new(Counting::new(&product));
    let rotation = product.rotation_of(product.client(), vault.clone());
    let end = product.now() + Duration::days(365);
    let tenant = product.clone();
    let shutdown = async move {
        while tenant.now() < end {
            tokio::task::yield_now().await;
        }
    };
    rotation.run(shutdown).await;
    let expected = ["Expiring 60", "Rotated", "Removed"].repeat(2);
    assert_eq!(product.happened(), expected);
    let looks = vault.loads.load(Ordering::SeqCst);
    assert!((330..=370).contains(&looks), "{looks} looks in a year");
}

#[tokio::test]
async fn during_an_outage_it_looks_less_and_less() {
    let product = Product::link(LocalTenant::new(), Kind::Secret).await;
    let vault = Arc::new(Counting::new(&product));
    vault.is_broken.store(true, Ordering::SeqCst);
    let rotation = product.rotation_of(product.client(), vault.clone());
    let end = product.now() + Duration::days(3);
    let tenant = product.clone();
    let shutdown = async move {
        while tenant.now() < end {
            tokio::task::yield_now().await;
        }
    };
    rotation.run(shutdown).await;
    // After 1, 2, 4, … minutes, then each six hours.
    let looks = vault.loads.load(Ordering::SeqCst);
    assert!((15..=21).contains(&looks), "{looks} looks in three days");
}

#[tokio::test]
async fn a_blueprint_makes_the_app_own_itself() {
    let tenant = LocalTenant::new();
    let blueprint = Blueprint::new("own", "Own").with_self_rotation();
    let graph = tenant.setup_graph();
    let plan = blueprint.plan(&graph).await.unwrap();
    assert!(plan.changes.contains(&Change::OwnItself), "{plan}");
    let permission = Permission::application("Application.ReadWrite.OwnedBy");
    assert!(
        plan.changes.contains(&Change::Consent(permission)),
        "{plan}"
    );

    let linked = blueprint
        .apply(&graph, &MemoryHost::default())
        .await
        .unwrap();
    let plan = blueprint.plan(&graph).await.unwrap();
    assert!(plan.is_empty(), "{plan}");
    let mut owners = Vec::new();
    let mut pages = graph.applications().owners(&linked.object_id);
    while let Some(owner) = pages.try_next().await.unwrap() {
        owners.extend(owner.id);
    }
    assert!(owners.contains(&linked.service_principal_id), "{owners:?}");
    let guide = blueprint.guide(&tenant.emulator.cloud());
    assert!(guide.contains("az ad app owner add"), "{guide}");
}

/// The first process asks for a secret and then stands still, until another one has taken over and
/// is done.
#[tokio::test]
async fn a_process_that_stood_still_is_overtaken_and_leaves_nothing_behind() {
    let product = Product::link(LocalTenant::new(), Kind::Secret).await;
    product.days(150);
    let client = product.client_over(Arc::new(Stalling {
        product: product.clone(),
        has_stalled: AtomicBool::new(false),
    }));
    let stalled = product.rotation_of(client.clone(), product.vault.clone());
    let report = stalled.rotate_if_due().await.unwrap();
    assert_eq!(report.outcome, RotationOutcome::InOtherHands);
    assert_eq!(product.happened(), ["Rotated"]);
    assert_eq!(client.credentials(), product.vault.record().credentials());
    assert_eq!(product.secrets().await.len(), 2);

    product.days(2);
    stalled.rotate_if_due().await.unwrap();
    let secrets = product.secrets().await;
    let [left] = secrets.as_slice() else {
        unreachable!("{secrets:?}")
    };
    assert_eq!(left.key_id, product.vault.record().current().key_id());
    assert!(product.signs_in().await);
}

/// A way to the tenant that stands still for an hour after a secret was made.
#[derive(Debug)]
struct Stalling {
    product: Product,
    has_stalled: AtomicBool,
}

#[async_trait]
impl HttpClient for Stalling {
    async fn send(
        &self,
        request: http::Request<Bytes>,
        limits: Limits,
    ) -> Result<http::Response<Bytes>, TransportError> {
        let is_secret = request.uri().path().ends_with("/addPassword");
        let answer = self.product.tenant.emulator.send(request, limits).await;
        if is_secret && !self.has_stalled.swap(true, Ordering::SeqCst) {
            let hour = std::time::Duration::from_secs(3_600);
            self.product.tenant.emulator.advance(hour);
            let other = self.product.rotation();
            let report = Box::pin(other.rotate_if_due()).await.unwrap();
            assert_eq!(report.outcome, RotationOutcome::Rotated);
        }
        answer
    }
}

/// A vault that counts how often it is asked.
#[derive(Debug)]
struct Counting {
    vault: Arc<MemoryVault>,
    loads: AtomicUsize,
    is_broken: AtomicBool,
}

impl Counting {
    fn new(product: &Product) -> Self {
        Self {
            vault: product.vault.clone(),
            loads: AtomicUsize::new(0),
            is_broken: AtomicBool::new(false),
        }
    }
}

#[async_trait]
impl CredentialVault for Counting {
    async fn load(&self) -> Result<Kept, VaultError> {
        self.loads.fetch_add(1, Ordering::SeqCst);
        if self.is_broken.load(Ordering::SeqCst) {
            return Err("the network is gone".into());
        }
        self.vault.load().await
    }

    async fn store(&self, record: &CredentialRecord, replaces: u64) -> Result<bool, VaultError> {
        self.vault.store(record, replaces).await
    }
}
