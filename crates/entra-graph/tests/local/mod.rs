//! A local tenant with a set-up client, for tests of the blueprint.

use std::sync::Arc;

use entra_core::{
    Authority, ClientCredential, ClientId, ClientSecret, ConfidentialClient, HttpClient, Pipeline,
    Tenant,
};
use entra_emulator::{Emulator, Seed};
use entra_graph::GraphClient;

/// A tenant, and what a test reaches it with.
pub(crate) struct LocalTenant {
    pub(crate) emulator: Emulator,
}

impl LocalTenant {
    pub(crate) fn new() -> Self {
        Self {
            emulator: Emulator::new(Seed::default()),
        }
    }

    #[allow(dead_code, reason = "not every test program needs it")]
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
