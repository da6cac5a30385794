//! `apply` is killed after every single request, before and after the tenant acted on it; then it
//! runs again. There must be one application, complete, and nothing twice.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "a test that cannot go on fails"
)]

mod local;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use entra_core::{HttpClient, Limits, TokenRequest, TransportError};
use entra_emulator::Emulator;
use entra_graph::{Blueprint, LinkHost, Linked, MemoryHost, Permission, Query};
use time::Duration;
use tokio::sync::Notify;

use local::LocalTenant;

#[tokio::test]
async fn an_apply_that_is_killed_before_any_request_is_finished_by_the_next_one() {
    kill_at_every_request(Moment::BeforeTheTenantActs).await;
}

#[tokio::test]
async fn an_apply_that_is_killed_after_any_request_is_finished_by_the_next_one() {
    kill_at_every_request(Moment::AfterTheTenantActed).await;
}

async fn kill_at_every_request(moment: Moment) {
    let mut requests = 0;
    loop {
        let tenant = LocalTenant::new();
        let blueprint = blueprint(&tenant).await;
        let vault = MemoryHost::default();
        if !kill_apply(&tenant, &blueprint, &vault, requests + 1, moment).await {
            break;
        }
        requests += 1;
        let when = format!("killed at request {requests} {moment:?}");
        let linked = blueprint.apply(&tenant.setup_graph(), &vault).await;
        let linked = linked.unwrap_or_else(|error| panic!("{when}, then: {error:?}"));
        check(&tenant, &blueprint, &vault, &linked, &when).await;
    }
    assert!(requests > 40, "an apply has more than {requests} requests");
}

#[tokio::test]
async fn an_apply_that_is_killed_again_and_again_ends_in_one_application() {
    let tenant = LocalTenant::new();
    let blueprint = blueprint(&tenant).await;
    let vault = MemoryHost::default();
    for request in 1..40 {
        kill_apply(
            &tenant,
            &blueprint,
            &vault,
            request,
            Moment::AfterTheTenantActed,
        )
        .await;
    }
    let linked = blueprint
        .apply(&tenant.setup_graph(), &vault)
        .await
        .unwrap();
    check(&tenant, &blueprint, &vault, &linked, "forty kills").await;
}

async fn blueprint(tenant: &LocalTenant) -> Blueprint {
    let server = format!("https://mdm.{}", tenant.domain().await);
    Blueprint::new("resume", "Resume")
        .with_app_id_uri(&server)
        .with_web_redirect_uri(format!("{server}/callback"))
        .with_permission(Permission::application("User.Read.All"))
        .with_permission(Permission::application("Device.ReadWrite.All"))
        .with_permission(Permission::delegated("openid"))
        .with_secret(Duration::days(90))
}

/// Whether the process was killed before the apply was done.
async fn kill_apply(
    tenant: &LocalTenant,
    blueprint: &Blueprint,
    vault: &dyn LinkHost,
    request: usize,
    moment: Moment,
) -> bool {
    let mortal = Arc::new(Mortal {
        emulator: tenant.emulator.clone(),
        left: AtomicUsize::new(request),
        moment,
        died: Notify::new(),
    });
    let graph = tenant.setup_graph_over(Arc::clone(&mortal) as Arc<dyn HttpClient>);
    tokio::select! {
        biased;
        () = mortal.died.notified() => true,
        result = blueprint.apply(&graph, vault) => {
            result.unwrap();
            false
        }
    }
}

async fn check(
    tenant: &LocalTenant,
    blueprint: &Blueprint,
    vault: &MemoryHost,
    linked: &Linked,
    when: &str,
) {
    tenant.emulator.advance(std::time::Duration::from_secs(600));
    let graph = tenant.setup_graph();
    let plan = blueprint.plan(&graph).await.unwrap();
    assert!(plan.is_empty(), "{when}: {plan}");

    let mut named = 0;
    let mut applications = graph.applications().list(Query::new());
    while let Some(application) = applications.try_next().await.unwrap() {
        named += usize::from(application.display_name.as_deref() == Some("Resume"));
    }
    assert_eq!(named, 1, "{when}: applications");

    let application = graph.applications().get(&linked.object_id).await.unwrap();
    let secrets = application.password_credentials.unwrap_or_default();
    assert_eq!(secrets.len(), 1, "{when}: secrets");

    let principal = linked.service_principal_id;
    let mut roles = graph.consent().app_roles_of(&principal);
    let mut granted = 0;
    while roles.try_next().await.unwrap().is_some() {
        granted += 1;
    }
    assert_eq!(granted, 2, "{when}: consent");

    // The secret that the product holds is the one that the tenant knows.
    let secret = vault
        .secret()
        .unwrap_or_else(|| panic!("{when}: no secret was kept"));
    assert_eq!(secrets[0].key_id, Some(secret.key_id), "{when}");
    let client = tenant.client(linked.client_id, secret.credential().unwrap());
    let request = TokenRequest::new([tenant.emulator.cloud().graph_scope()]);
    client.token(&request).await.unwrap();
}

#[derive(Clone, Copy, Debug)]
enum Moment {
    BeforeTheTenantActs,
    AfterTheTenantActed,
}

/// A process that dies at its n-th request.
#[derive(Debug)]
struct Mortal {
    emulator: Emulator,
    left: AtomicUsize,
    moment: Moment,
    died: Notify,
}

#[async_trait]
impl HttpClient for Mortal {
    async fn send(
        &self,
        request: http::Request<Bytes>,
        limits: Limits,
    ) -> Result<http::Response<Bytes>, TransportError> {
        if self.left.fetch_sub(1, Ordering::SeqCst) > 1 {
            return self.emulator.send(request, limits).await;
        }
        if matches!(self.moment, Moment::AfterTheTenantActed) {
            let _ = self.emulator.send(request, limits).await;
        }
        self.died.notify_one();
        std::future::pending().await
    }
}
