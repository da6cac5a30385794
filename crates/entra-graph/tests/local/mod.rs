//! A local tenant with a set-up client, for tests of the blueprint.
#![allow(dead_code, reason = "each test program uses its part")]

use std::sync::Arc;

use entra_core::{
    Authority, CertificateOptions, ClientCredential, ClientId, ClientSecret, Clock as _,
    ConfidentialClient, HttpClient, Pipeline, SigningCertificate, Tenant,
};
use entra_emulator::{Emulator, Seed};
use entra_graph::{Blueprint, GraphClient, Linked, MemoryHost, Permission};
use time::Duration;

/// A tenant, and what a test reaches it with.
#[derive(Clone, Debug)]
pub(crate) struct LocalTenant {
    pub(crate) emulator: Emulator,
}

impl LocalTenant {
    pub(crate) fn new() -> Self {
        Self {
            emulator: Emulator::new(Seed::default()),
        }
    }

    pub(crate) fn with_replication_delay(delay: std::time::Duration) -> Self {
        Self {
            emulator: Emulator::new(Seed::default().with_replication_delay(delay)),
        }
    }

    pub(crate) fn authority(&self) -> Authority {
        let tenant = Tenant::parse(&self.emulator.tenant_id()).unwrap();
        Authority::new(self.emulator.cloud(), tenant)
    }

    pub(crate) fn pipeline(&self) -> Pipeline {
        self.pipeline_over(Arc::new(self.emulator.clone()))
    }

    pub(crate) fn pipeline_over(&self, http: Arc<dyn HttpClient>) -> Pipeline {
        Pipeline::over(http).with_clock(self.emulator.clock())
    }

    pub(crate) fn client(
        &self,
        client_id: ClientId,
        credential: ClientCredential,
    ) -> ConfidentialClient {
        ConfidentialClient::new(self.authority(), client_id, credential, self.pipeline()).unwrap()
    }

    /// Graph with the credential of the application that may set others up.
    pub(crate) fn setup_graph(&self) -> GraphClient {
        self.setup_graph_over(Arc::new(self.emulator.clone()))
    }

    pub(crate) fn setup_graph_over(&self, http: Arc<dyn HttpClient>) -> GraphClient {
        let app = self.emulator.setup_app();
        let pipeline = self.pipeline_over(http);
        let credential = ConfidentialClient::new(
            self.authority(),
            ClientId::parse(&app.client_id).unwrap(),
            ClientCredential::secret(ClientSecret::try_from(&app.client_secret).unwrap()),
            pipeline.clone(),
        )
        .unwrap();
        GraphClient::new(&self.emulator.cloud(), Arc::new(credential), pipeline)
    }

    /// Applies a blueprint with the set-up credential, and returns the product's own client once
    /// its consent is effective.
    pub(crate) async fn link(&self, blueprint: &Blueprint) -> (Linked, ConfidentialClient) {
        let host = MemoryHost::default();
        let linked = blueprint.apply(&self.setup_graph(), &host).await.unwrap();
        let credential = host.secret().unwrap().credential().unwrap();
        let client = self.client(linked.client_id, credential);
        blueprint.wait_until_effective(&client).await.unwrap();
        (linked, client)
    }

    /// Graph with a product's own credential.
    pub(crate) fn graph_of(&self, client: &ConfidentialClient) -> GraphClient {
        GraphClient::new(
            &self.emulator.cloud(),
            Arc::new(client.clone()),
            self.pipeline(),
        )
    }

    /// The tenant's default domain.
    pub(crate) async fn domain(&self) -> String {
        let organization = self.setup_graph().organization().get().await.unwrap();
        let domains = organization.verified_domains.unwrap();
        let default = domains
            .into_iter()
            .find(|domain| domain.is_default == Some(true));
        default.unwrap().name.unwrap()
    }
}

/// A product with one permission of each kind and a secret.
pub(crate) fn help_desk() -> Blueprint {
    Blueprint::new("help-desk", "Help Desk")
        .with_permission(Permission::application("User.Read.All"))
        .with_permission(Permission::delegated("openid"))
        .with_secret(Duration::days(90))
}

pub(crate) fn certificate(tenant: &LocalTenant) -> SigningCertificate {
    let now = tenant.emulator.clock().now();
    SigningCertificate::generate(&CertificateOptions::new("Test"), now).unwrap()
}
