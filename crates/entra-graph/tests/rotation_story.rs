//! Two years of three products under load: every credential is renewed several times, and nobody
//! is ever refused a token.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod local;
mod rotating;

use std::sync::Arc;

use entra_core::{ConfidentialClient, CredentialKind, TokenRequest};
use entra_graph::{Rotation, RotationEvent, VaultSource};
use futures_util::future::join_all;
use time::Duration;

use local::LocalTenant;
use rotating::{Kind, Product};

#[tokio::test]
async fn in_two_years_nobody_is_refused() {
    // Replicas learn late throughout.
    let tenant = LocalTenant::new();
    let mut services = Vec::new();
    for (key, kind) in [
        ("secret", Kind::Secret),
        ("certificate", Kind::CertificateByProof),
        ("both", Kind::ToCertificate),
    ] {
        services.push(Service::start(
            Product::link_as(tenant.clone(), kind, key).await,
            kind,
        ));
    }
    let end = services.first().unwrap().product.now() + Duration::days(730);
    let mut requests = 0;
    while services.first().unwrap().product.now() < end {
        // A look, and the load before, during and after it.
        for service in &services {
            let look = Box::pin(service.rotation.rotate_if_due());
            let (report, load) = tokio::join!(look, service.load());
            report.unwrap();
            requests += load + service.load().await;
        }
        tenant.emulator.advance(STEP);
    }
    assert!(requests > 10_000, "{requests} requests");
    for service in &services {
        service.check().await;
    }
}

/// A product with two processes: one looks after the credentials, the other one just works.
struct Service {
    product: Product,
    rotation: Rotation,
    clients: [ConfidentialClient; 2],
    kind: Kind,
}

impl Service {
    fn start(product: Product, kind: Kind) -> Self {
        let source = || Arc::new(VaultSource::new(product.vault.clone()));
        let clients = [(); 2].map(|()| product.client().with_credential_source(source()));
        let [first, _] = &clients;
        let rotation = product.rotation_of(first.clone(), product.vault.clone());
        let rotation = match kind {
            Kind::ToCertificate => rotation.to_certificate(),
            _ => rotation,
        };
        Self {
            rotation,
            clients,
            product,
            kind,
        }
    }

    /// Twenty callers of each process, half of them past the cache. Each gets its token.
    async fn load(&self) -> usize {
        let request = TokenRequest::new([self.product.tenant.emulator.cloud().graph_scope()]);
        let callers = self.clients.iter().flat_map(|client| {
            [request.clone(), request.clone().bypassing_cache()]
                .into_iter()
                .cycle()
                .take(20)
                .map(move |request| async move {
                    tokio::task::yield_now().await;
                    let token = client.token(&request).await;
                    token
                        .map(drop)
                        .map_err(|error| entra_core::error_chain(&error))
                })
        });
        let results = join_all(callers).await;
        let count = results.len();
        let refused: Vec<_> = results.into_iter().filter_map(Result::err).collect();
        assert_eq!(refused, <[String; 0]>::default(), "{:?}", self.kind);
        count
    }

    async fn check(&self) {
        let events = self.product.events.lock().unwrap().clone();
        let count = |is: fn(&RotationEvent) -> bool| events.iter().filter(|e| is(e)).count();
        let rotated = count(|event| matches!(event, RotationEvent::Rotated { .. }));
        let removed = count(|event| matches!(event, RotationEvent::Removed { .. }));
        // Secrets live for 180 days and certificates for 365, and go thirty days before.
        let (expected, secrets, keys) = match self.kind {
            Kind::Secret => (4, 1, 0),
            Kind::ToCertificate => (3, 0, 1),
            _ => (2, 0, 1),
        };
        assert_eq!((rotated, removed), (expected, expected), "{:?}", self.kind);
        let is_trouble = |event: &&RotationEvent| {
            !matches!(
                event,
                RotationEvent::Rotated { .. }
                    | RotationEvent::Removed { .. }
                    | RotationEvent::Expiring { days: 60, .. }
            )
        };
        let trouble: Vec<_> = events.iter().filter(is_trouble).collect();
        assert!(trouble.is_empty(), "{:?}: {trouble:?}", self.kind);
        assert_eq!(
            self.product.secrets().await.len(),
            secrets,
            "{:?}",
            self.kind
        );
        assert_eq!(self.product.keys().await.len(), keys, "{:?}", self.kind);
        let kind = self.product.vault.record().current().kind();
        assert_eq!(
            kind == CredentialKind::ClientSecret,
            self.kind == Kind::Secret
        );
    }
}

const STEP: std::time::Duration = std::time::Duration::from_secs(4 * 86_400);
