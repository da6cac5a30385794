//! The client secret of a blueprint: kept, lost, successors, several applies at once.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod local;

use entra_core::Clock as _;
use entra_graph::{Blueprint, Change, Error, MemoryHost};
use time::Duration;

use local::{LocalTenant, help_desk};

#[tokio::test]
async fn an_expired_secret_is_replaced() {
    let tenant = LocalTenant::new();
    help_desk()
        .apply(&tenant.setup_graph(), &MemoryHost::default())
        .await
        .unwrap();
    tenant
        .emulator
        .advance(std::time::Duration::from_secs(91 * 86_400));
    let graph = tenant.setup_graph();
    let plan = help_desk().plan(&graph).await.unwrap();
    assert!(
        matches!(plan.changes.as_slice(), [Change::AddSecret { .. }]),
        "{plan}"
    );
    let host = MemoryHost::default();
    help_desk().apply(&graph, &host).await.unwrap();
    assert!(host.secret().is_some());
}

#[tokio::test]
async fn a_host_that_cannot_store_the_secret_gets_another_one_the_next_time() {
    let tenant = LocalTenant::new();
    let graph = tenant.setup_graph();
    let error = help_desk().apply(&graph, &FullVault).await.unwrap_err();
    assert!(matches!(error, Error::Host(_)), "{error:?}");
    let host = MemoryHost::default();
    let linked = help_desk().apply(&graph, &host).await.unwrap();
    let application = graph.applications().get(&linked.object_id).await.unwrap();
    let secrets = application.password_credentials.unwrap();
    assert_eq!(secrets.len(), 1, "the lost one is removed");
    assert_eq!(secrets[0].key_id, host.secret().map(|secret| secret.key_id));
}

#[tokio::test]
async fn a_secret_that_an_administrator_made_by_the_guide_stays() {
    let tenant = LocalTenant::new();
    let graph = tenant.setup_graph();
    let by_hand = Blueprint::new("by-hand", "Made by hand");
    let made = by_hand.apply(&graph, &MemoryHost::default()).await.unwrap();
    // The name that the guide tells.
    let end = tenant.emulator.clock().now() + Duration::days(90);
    let applications = graph.applications();
    let secret = applications
        .add_password(&made.object_id, "Issued by blueprint", Some(end))
        .await
        .unwrap();
    tenant.emulator.advance(std::time::Duration::from_secs(600));

    let adopted = help_desk().adopt(made.client_id);
    let host = MemoryHost::default();
    adopted.apply(&graph, &host).await.unwrap();
    assert!(host.secret().is_none(), "the product has one");
    let application = applications.get(&made.object_id).await.unwrap();
    let secrets = application.password_credentials.unwrap();
    assert_eq!(secrets.len(), 1);
    assert_eq!(secrets[0].key_id, Some(secret.key_id));
}

#[tokio::test]
async fn a_secret_that_ends_soon_gets_a_successor_beside_it() {
    let tenant = LocalTenant::new();
    let graph = tenant.setup_graph();
    let (first, second) = (MemoryHost::default(), MemoryHost::default());
    let linked = help_desk().apply(&graph, &first).await.unwrap();
    tenant
        .emulator
        .advance(std::time::Duration::from_secs(61 * 86_400));
    let plan = help_desk().plan(&graph).await.unwrap();
    assert!(
        matches!(plan.changes.as_slice(), [Change::AddSecret { .. }]),
        "{plan}"
    );
    help_desk().apply(&graph, &second).await.unwrap();
    assert!(help_desk().plan(&graph).await.unwrap().is_empty());
    for host in [first, second] {
        let credential = host.secret().unwrap().credential().unwrap();
        let client = tenant.client(linked.client_id, credential);
        let request = entra_core::TokenRequest::new([tenant.emulator.cloud().graph_scope()]);
        client.token(&request).await.unwrap();
    }
}

#[tokio::test]
async fn two_applies_at_once_end_in_one_application_and_no_dead_secret() {
    for _ in 0..10 {
        let tenant = LocalTenant::new();
        let (first, second) = (MemoryHost::default(), MemoryHost::default());
        let (one, two) = (tenant.setup_graph(), tenant.setup_graph());
        let blueprint = help_desk();
        let both = futures_util::future::join(
            blueprint.apply(&one, &first),
            blueprint.apply(&two, &second),
        );
        let (one, two) = Box::pin(both).await;
        let (one, two) = (one.unwrap(), two.unwrap());
        assert_eq!(one, two);
        tenant.emulator.advance(std::time::Duration::from_secs(600));
        let mut secrets = 0;
        for host in [first, second] {
            let Some(secret) = host.secret() else {
                continue;
            };
            secrets += 1;
            let client = tenant.client(one.client_id, secret.credential().unwrap());
            let request = entra_core::TokenRequest::new([tenant.emulator.cloud().graph_scope()]);
            client.token(&request).await.unwrap();
        }
        assert!(secrets > 0);
        assert!(
            blueprint
                .plan(&tenant.setup_graph())
                .await
                .unwrap()
                .is_empty()
        );
    }
}

/// A host whose vault is full.
#[derive(Debug)]
struct FullVault;

#[async_trait::async_trait]
impl entra_graph::LinkHost for FullVault {
    fn progress(&self, _progress: &entra_graph::Progress) {}

    async fn keep_secret(
        &self,
        _secret: &entra_graph::IssuedSecret,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        Err("the vault is full".into())
    }
}
