//! The tenant of the example: a local one, or yours.

use std::error::Error;
use std::sync::Arc;

use clap::Parser;
use entra_core::{
    Authority, ClientCredential, ClientId, ClientSecret, Cloud, ConfidentialClient, HttpsClient,
    Pipeline, Secret, SigningCertificate, SystemClock, Tenant,
};
use entra_emulator::{Emulator, Seed};
use entra_graph::GraphClient;
use time::OffsetDateTime;

/// Links two products to a tenant: to a local one, or to yours.
#[derive(Parser)]
pub struct Arguments {
    /// Directory (tenant) id or domain. Without it a local tenant is started in this process.
    #[arg(long, requires = "client_id")]
    tenant: Option<Tenant>,
    /// Application (client) id of the set-up application.
    #[arg(long, requires = "tenant")]
    client_id: Option<ClientId>,
    /// The cloud of the tenant, for example public or us-government.
    #[arg(long, default_value = "public")]
    cloud: String,
    /// Sign-in and Microsoft Graph at one address of your own, as `entra-emulator` prints it.
    #[arg(long, requires = "tenant", conflicts_with = "cloud")]
    endpoint: Option<String>,
    /// PEM file with the certificate authority of that address.
    #[arg(long, requires = "endpoint")]
    ca: Option<std::path::PathBuf>,
    /// Client secret of the set-up application.
    #[arg(long, env = "ENTRA_CLIENT_SECRET", hide_env_values = true)]
    client_secret: Option<String>,
    /// PEM file with the certificate and the private key of the set-up application.
    #[arg(long, env = "ENTRA_CERTIFICATE", hide_env_values = true)]
    certificate: Option<std::path::PathBuf>,
}

impl Arguments {
    fn cloud(&self) -> Result<Cloud, Box<dyn Error>> {
        let Some(endpoint) = &self.endpoint else {
            let mut built_in = Cloud::all().into_iter();
            return built_in
                .find(|cloud| cloud.name() == self.cloud)
                .ok_or_else(|| format!("there is no cloud named {}", self.cloud).into());
        };
        let cloud = Cloud::custom(endpoint, endpoint)?;
        Ok(match &self.ca {
            Some(path) => cloud.with_root_ca_pem(std::fs::read_to_string(path)?),
            None => cloud,
        })
    }
}

/// A tenant, and a Graph client with the set-up credential.
pub struct TenantAccess {
    pub cloud: Cloud,
    pub tenant: Tenant,
    pub pipeline: Pipeline,
    pub graph: GraphClient,
}

impl TenantAccess {
    pub fn open(arguments: &Arguments) -> Result<Self, Box<dyn Error>> {
        match (&arguments.tenant, &arguments.client_id) {
            (Some(tenant), Some(client_id)) => Self::real(arguments, tenant.clone(), *client_id),
            _ => Self::local(),
        }
    }

    /// A local tenant in this process. It is an HTTP client, and its clock jumps over waits.
    fn local() -> Result<Self, Box<dyn Error>> {
        let emulator = Emulator::new(Seed::default());
        let setup = emulator.setup_app();
        Self::connect(
            emulator.cloud(),
            Tenant::parse(&emulator.tenant_id())?,
            ClientId::parse(&setup.client_id)?,
            ClientCredential::secret(ClientSecret::try_from(&setup.client_secret)?),
            Pipeline::new(emulator.clone()).with_clock(emulator.clock()),
        )
    }

    fn real(
        arguments: &Arguments,
        tenant: Tenant,
        client_id: ClientId,
    ) -> Result<Self, Box<dyn Error>> {
        let cloud = arguments.cloud()?;
        let credential = match (&arguments.client_secret, &arguments.certificate) {
            (_, Some(path)) => {
                let pem = Secret::new(std::fs::read_to_string(path)?);
                ClientCredential::certificate(SigningCertificate::from_pem(&pem)?)
            }
            (Some(secret), None) => ClientCredential::secret(ClientSecret::parse(secret)?),
            (None, None) => return Err("set ENTRA_CLIENT_SECRET or ENTRA_CERTIFICATE".into()),
        };
        let pipeline =
            Pipeline::new(HttpsClient::for_cloud(&cloud)?).with_clock(Arc::new(SystemClock));
        Self::connect(cloud, tenant, client_id, credential, pipeline)
    }

    fn connect(
        cloud: Cloud,
        tenant: Tenant,
        client_id: ClientId,
        credential: ClientCredential,
        pipeline: Pipeline,
    ) -> Result<Self, Box<dyn Error>> {
        let authority = Authority::new(cloud.clone(), tenant.clone());
        let setup = ConfidentialClient::new(authority, client_id, credential, pipeline.clone())?;
        let graph = GraphClient::new(&cloud, Arc::new(setup), pipeline.clone());
        Ok(Self {
            cloud,
            tenant,
            pipeline,
            graph,
        })
    }

    /// The tenant's default domain: a verified one, so that an App ID URI may lie below it.
    pub async fn default_domain(&self) -> Result<String, entra_graph::Error> {
        let organization = self.graph.organization().get().await?;
        Ok(organization
            .verified_domains
            .into_iter()
            .flatten()
            .find(|domain| domain.is_default == Some(true))
            .and_then(|domain| domain.name)
            .unwrap_or_default())
    }

    pub fn now(&self) -> OffsetDateTime {
        self.pipeline.clock().now()
    }
}
