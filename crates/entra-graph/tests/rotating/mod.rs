//! A product with a credential of its own in a local tenant, for tests of the rotation.
#![allow(dead_code, reason = "each test program uses its part")]

use std::sync::{Arc, LazyLock, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use entra_core::{
    CertificateOptions, ClientCredential, ClientId, ClientSecret, Clock as _, ConfidentialClient,
    HttpClient, Limits, ObjectId, SigningCertificate, TokenRequest, TransportError,
};
use entra_graph::{
    Application, Blueprint, CredentialRecord, CredentialVault, KeyCredential, MemoryHost,
    MemoryVault, NewKey, PasswordCredential, Permission, Rotation, RotationEvent, StoredCredential,
};
use time::{Duration, OffsetDateTime};

use crate::local::LocalTenant;

/// The kinds of rotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One client secret by another.
    Secret,
    /// One certificate by another, with a proof and without any permission.
    CertificateByProof,
    /// One certificate by another, written to the registration since no proof is accepted.
    CertificateByPatch,
    /// A client secret by a certificate, written to the registration.
    ToCertificate,
}

/// A product that is linked.
#[derive(Clone, Debug)]
pub(crate) struct Product {
    pub(crate) tenant: LocalTenant,
    pub(crate) client_id: ClientId,
    pub(crate) object_id: ObjectId,
    pub(crate) vault: Arc<MemoryVault>,
    pub(crate) refuses_proofs: bool,
    pub(crate) events: Arc<Mutex<Vec<RotationEvent>>>,
}

impl Product {
    /// A product of this kind: one that owns itself, but where it needs no permission.
    pub(crate) async fn link(tenant: LocalTenant, kind: Kind) -> Self {
        Self::link_as(tenant, kind, "help-desk").await
    }

    /// The same under a key of its own.
    pub(crate) async fn link_as(tenant: LocalTenant, kind: Kind, key: &str) -> Self {
        let blueprint = Blueprint::new(key, "Help Desk")
            .with_permission(Permission::application("User.Read.All"));
        match kind {
            Kind::Secret | Kind::ToCertificate => {
                let blueprint = blueprint.with_self_rotation();
                Self::link_by(tenant, &blueprint.with_secret(Duration::days(180))).await
            }
            Kind::CertificateByProof | Kind::CertificateByPatch => {
                Self::link_with_certificate(tenant, &blueprint).await
            }
        }
    }

    /// The same with an application of the seed, for tests that need many tenants: the one that
    /// may do everything, or one with a certificate and next to no permission.
    pub(crate) async fn seeded(kind: Kind) -> Self {
        let tenant = LocalTenant::new();
        let app = match kind {
            Kind::Secret | Kind::CertificateByPatch | Kind::ToCertificate => {
                tenant.emulator.setup_app()
            }
            Kind::CertificateByProof => tenant.emulator.apps().swap_remove(1),
        };
        let object_id = ObjectId::parse(&app.object_id).unwrap();
        let stored = match kind {
            Kind::Secret | Kind::ToCertificate => {
                StoredCredential::secret(ClientSecret::try_from(&app.client_secret).unwrap())
            }
            Kind::CertificateByProof | Kind::CertificateByPatch => {
                let graph = tenant.setup_graph();
                let new = NewKey::from(SEEDED.certificate());
                let added = graph.applications().add_certificate(&object_id, new).await;
                added.unwrap();
                StoredCredential::certificate(SEEDED.clone())
            }
        };
        let vault = Arc::new(MemoryVault::new(CredentialRecord::new(stored)));
        let product = Self {
            tenant,
            client_id: ClientId::parse(&app.client_id).unwrap(),
            object_id,
            vault,
            refuses_proofs: kind == Kind::CertificateByPatch,
            events: Arc::default(),
        };
        product.add_by_hand().await;
        product
    }

    /// A product with a client secret, as the blueprint says it.
    pub(crate) async fn link_by(tenant: LocalTenant, blueprint: &Blueprint) -> Self {
        let host = MemoryHost::default();
        let graph = tenant.setup_graph();
        let linked = blueprint.apply(&graph, &host).await.unwrap();
        let issued = host.secret().unwrap();
        let stored = StoredCredential::try_from(&issued).unwrap();
        tenant.emulator.advance(std::time::Duration::from_secs(60));
        Self {
            tenant,
            client_id: linked.client_id,
            object_id: linked.object_id,
            vault: Arc::new(MemoryVault::new(CredentialRecord::new(stored))),
            refuses_proofs: false,
            events: Arc::default(),
        }
    }

    /// A product with a certificate of a year.
    pub(crate) async fn link_with_certificate(tenant: LocalTenant, blueprint: &Blueprint) -> Self {
        let certificate = certificate_of(&tenant, "Help Desk", Duration::days(365));
        let blueprint = blueprint
            .clone()
            .with_certificate(certificate.certificate().clone());
        let host = MemoryHost::default();
        let graph = tenant.setup_graph();
        let linked = blueprint.apply(&graph, &host).await.unwrap();
        tenant.emulator.advance(std::time::Duration::from_secs(60));
        let stored = StoredCredential::certificate(certificate);
        Self {
            tenant,
            client_id: linked.client_id,
            object_id: linked.object_id,
            vault: Arc::new(MemoryVault::new(CredentialRecord::new(stored))),
            refuses_proofs: false,
            events: Arc::default(),
        }
    }

    /// A process of the product: its client.
    pub(crate) fn client(&self) -> ConfidentialClient {
        self.client_over(Arc::new(self.tenant.emulator.clone()))
    }

    pub(crate) fn client_over(&self, http: Arc<dyn HttpClient>) -> ConfidentialClient {
        let http = if self.refuses_proofs {
            Arc::new(RefusingProofs(http))
        } else {
            http
        };
        ConfidentialClient::new(
            self.tenant.authority(),
            self.client_id,
            self.vault.record().credentials(),
            self.tenant.pipeline_over(http),
        )
        .unwrap()
    }

    /// A rotation in a process of its own.
    pub(crate) fn rotation(&self) -> Rotation {
        self.rotation_of(self.client(), self.vault.clone())
    }

    pub(crate) fn rotation_of(
        &self,
        client: ConfidentialClient,
        vault: Arc<dyn CredentialVault>,
    ) -> Rotation {
        let events = Arc::clone(&self.events);
        Rotation::new(client, vault)
            .on_event(move |event| events.lock().unwrap().push(event.clone()))
    }

    /// What happened since the last question, as `Debug` names it.
    pub(crate) fn happened(&self) -> Vec<String> {
        let events = std::mem::take(&mut *self.events.lock().unwrap());
        events
            .iter()
            .map(|event| match event {
                RotationEvent::Expiring { days, .. } => format!("Expiring {days}"),
                RotationEvent::CannotRotate { obstacle, .. } => format!("CannotRotate {obstacle}"),
                RotationEvent::Failed { error } => {
                    format!("Failed {}", entra_core::error_chain(error.as_ref()))
                }
                RotationEvent::Expired { .. } => "Expired".to_owned(),
                RotationEvent::Rotated { .. } => "Rotated".to_owned(),
                RotationEvent::FellBack { .. } => "FellBack".to_owned(),
                RotationEvent::Removed { .. } => "Removed".to_owned(),
                RotationEvent::Left { obstacle, .. } => format!("Left {obstacle}"),
                other => format!("{other:?}"),
            })
            .collect()
    }

    /// The registration as the tenant has it.
    pub(crate) async fn registration(&self) -> Application {
        self.tenant
            .emulator
            .advance(std::time::Duration::from_secs(60));
        // An application may always read itself.
        let graph = self.tenant.graph_of(&self.client());
        graph.applications().get(&self.object_id).await.unwrap()
    }

    pub(crate) async fn secrets(&self) -> Vec<PasswordCredential> {
        self.registration()
            .await
            .password_credentials
            .unwrap_or_default()
    }

    pub(crate) async fn keys(&self) -> Vec<KeyCredential> {
        self.registration()
            .await
            .key_credentials
            .unwrap_or_default()
    }

    /// The set-up application writes to Graph what this crate has no call for.
    pub(crate) async fn write(&self, method: &str, path: &str, body: &str) -> serde_json::Value {
        let app = self.tenant.emulator.setup_app();
        let secret = ClientSecret::try_from(&app.client_secret).unwrap();
        let client_id = ClientId::parse(&app.client_id).unwrap();
        let client = self
            .tenant
            .client(client_id, ClientCredential::secret(secret));
        let request = TokenRequest::new([self.tenant.emulator.cloud().graph_scope()]);
        let token = client.token(&request).await.unwrap();
        let request = http::Request::builder()
            .method(method)
            .uri(format!("https://localhost/v1.0{path}"))
            .header(
                "authorization",
                format!("Bearer {}", token.secret().expose()),
            )
            .header("content-type", "application/json")
            .body(Bytes::copy_from_slice(body.as_bytes()))
            .unwrap();
        let answer = self.tenant.emulator.handle(&request);
        assert!(answer.status().is_success(), "{:?}", answer.body());
        serde_json::from_slice(answer.body()).unwrap_or_default()
    }

    /// Sets the tenant's policy for apps.
    pub(crate) async fn set_policy(&self, restrictions: &str) {
        let body = format!(r#"{{"isEnabled":true,"applicationRestrictions":{restrictions}}}"#);
        self.write("PATCH", "/policies/defaultAppManagementPolicy", &body)
            .await;
    }

    pub(crate) fn now(&self) -> OffsetDateTime {
        self.tenant.emulator.clock().now()
    }

    /// Lets days pass.
    pub(crate) fn days(&self, days: u64) {
        let day = std::time::Duration::from_secs(86_400);
        self.tenant
            .emulator
            .advance(day * u32::try_from(days).unwrap());
    }

    /// Whether a new process signs in with what is in the vault.
    pub(crate) async fn signs_in(&self) -> bool {
        let request = TokenRequest::new([self.tenant.emulator.cloud().graph_scope()]);
        self.client().token(&request).await.is_ok()
    }

    /// Whether this very credential is accepted.
    pub(crate) async fn accepts(&self, credential: &ClientCredential) -> bool {
        let request = TokenRequest::new([self.tenant.emulator.cloud().graph_scope()]);
        let client = self.client();
        client.check_credential(credential, &request).await.is_ok()
    }

    /// What an administrator adds by hand.
    pub(crate) async fn add_by_hand(&self) {
        let graph = self.tenant.setup_graph();
        let applications = graph.applications();
        applications
            .add_password(&self.object_id, "Issued by blueprint (0a1b2c3d)", None)
            .await
            .unwrap();
        applications
            .add_certificate(&self.object_id, NewKey::from(BY_HAND.certificate()))
            .await
            .unwrap();
        self.tenant
            .emulator
            .advance(std::time::Duration::from_secs(60));
    }
}

/// A tenant that accepts no proof of an app that rolls its own keys.
#[derive(Debug)]
struct RefusingProofs(Arc<dyn HttpClient>);

#[async_trait]
impl HttpClient for RefusingProofs {
    async fn send(
        &self,
        request: http::Request<Bytes>,
        limits: Limits,
    ) -> Result<http::Response<Bytes>, TransportError> {
        let path = request.uri().path();
        if !path.ends_with("/addKey") && !path.ends_with("/removeKey") {
            return self.0.send(request, limits).await;
        }
        let body = r#"{"error":{"code":"Authentication_MissingOrMalformed",
            "message":"Access Token missing or malformed."}}"#;
        let answer = http::Response::builder().status(401).body(body.into());
        Ok(answer.unwrap())
    }
}

/// Made once: an RSA key takes its time.
static SEEDED: LazyLock<SigningCertificate> =
    LazyLock::new(|| certificate_of(&LocalTenant::new(), "Staff Directory", Duration::days(365)));
static BY_HAND: LazyLock<SigningCertificate> = LazyLock::new(|| {
    certificate_of(
        &LocalTenant::new(),
        "Staff Directory",
        Duration::days(3_000),
    )
});

pub(crate) fn certificate_of(
    tenant: &LocalTenant,
    name: &str,
    validity: Duration,
) -> SigningCertificate {
    let now = tenant.emulator.clock().now();
    let options = CertificateOptions::new(name).with_validity(validity);
    SigningCertificate::generate(&options, now).unwrap()
}
