//! Workload identity federation: a token that the platform projects into a file is the proof.

use std::collections::HashMap;
use std::error::Error as StdError;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use url::Url;

use crate::machine_file::read_machine_file;
use crate::{
    Authority, ClientAssertion, ClientCredential, ClientId, Clock, Cloud, ConfidentialClient,
    Error, IdError, Pipeline, Secret, SystemClock, Tenant,
};

/// An application whose proof is a token in a file, as Kubernetes projects it for a service
/// account (Microsoft Learn, "Use Microsoft Entra Workload ID with Azure Kubernetes Service").
///
/// The file is read for each token request, since the platform replaces it before its token ends;
/// a token that has ended is not sent. Other platforms, GitHub Actions for one, hand their token
/// out in an answer instead of a file: a [`ClientAssertion`] of the host's own does there.
///
/// ```
/// # fn f(http: impl entra_core::HttpClient + 'static) -> Result<(), Box<dyn std::error::Error>> {
/// use entra_core::{Pipeline, WorkloadIdentity};
///
/// let environment = std::env::vars().collect();
/// let app = WorkloadIdentity::from_environment(&environment)?.into_client(Pipeline::new(http))?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct WorkloadIdentity {
    authority: Authority,
    client_id: ClientId,
    token_file: PathBuf,
    clock: Arc<dyn Clock>,
}

impl WorkloadIdentity {
    /// An application whose tokens are in `token_file`.
    pub fn new(authority: Authority, client_id: ClientId, token_file: impl Into<PathBuf>) -> Self {
        Self {
            authority,
            client_id,
            token_file: token_file.into(),
            clock: Arc::new(SystemClock),
        }
    }

    /// What the webhook of the platform puts into the environment of a workload:
    /// `AZURE_TENANT_ID`, `AZURE_CLIENT_ID`, `AZURE_FEDERATED_TOKEN_FILE`, and
    /// `AZURE_AUTHORITY_HOST` where it is not the public cloud's. The host passes the environment
    /// in, for example `std::env::vars().collect()`.
    ///
    /// # Errors
    /// What is missing or cannot be read, by the names of the variables and without their values.
    pub fn from_environment(
        environment: &HashMap<String, String>,
    ) -> Result<Self, WorkloadIdentityError> {
        let cloud = match value(environment, AUTHORITY_HOST) {
            None => Cloud::public(),
            Some(url) => Cloud::all()
                .into_iter()
                .find(|cloud| is_host_of(cloud, url))
                .ok_or(WorkloadIdentityError::AuthorityHost)?,
        };
        Self::in_cloud(environment, cloud)
    }

    /// The same in a cloud that the host names: a custom one, or US Government DoD, which shares
    /// its sign-in host with L4.
    ///
    /// # Errors
    /// As [`from_environment`](Self::from_environment), and
    /// [`AuthorityHost`](WorkloadIdentityError::AuthorityHost) where the environment names another
    /// cloud's host.
    pub fn in_cloud(
        environment: &HashMap<String, String>,
        cloud: Cloud,
    ) -> Result<Self, WorkloadIdentityError> {
        let [tenant, client, token_file] = required(environment)?;
        if value(environment, AUTHORITY_HOST).is_some_and(|url| !is_host_of(&cloud, url)) {
            return Err(WorkloadIdentityError::AuthorityHost);
        }
        let tenant = Tenant::parse(tenant).map_err(WorkloadIdentityError::Id)?;
        let client_id = ClientId::parse(client).map_err(WorkloadIdentityError::Id)?;
        Ok(Self::new(
            Authority::new(cloud, tenant),
            client_id,
            token_file,
        ))
    }

    /// Takes the time from this clock.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// The client that signs in with it, by the pipeline's clock.
    ///
    /// # Errors
    /// As [`ConfidentialClient::new`].
    pub fn into_client(self, pipeline: Pipeline) -> Result<ConfidentialClient, Error> {
        let (authority, client_id) = (self.authority.clone(), self.client_id);
        let assertion = self.with_clock(Arc::clone(pipeline.clock()));
        let credential = ClientCredential::assertion(Arc::new(assertion));
        ConfidentialClient::new(authority, client_id, credential, pipeline)
    }

    /// Where it signs in.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The application.
    pub fn client_id(&self) -> &ClientId {
        &self.client_id
    }

    /// The file with the token.
    pub fn token_file(&self) -> &Path {
        &self.token_file
    }

    async fn read(&self) -> Result<Secret, WorkloadIdentityError> {
        let token = read_machine_file(self.token_file.clone(), LONGEST_TOKEN)
            .await
            .map_err(WorkloadIdentityError::TokenFile)?;
        let end = end_of(&token).ok_or(WorkloadIdentityError::NotAToken)?;
        if end <= self.clock.unix_time() {
            return Err(WorkloadIdentityError::Ended);
        }
        Ok(token)
    }
}

#[async_trait]
impl ClientAssertion for WorkloadIdentity {
    async fn assertion(&self, _audience: &str) -> Result<Secret, Box<dyn StdError + Send + Sync>> {
        Ok(self.read().await?)
    }
}

/// Why a workload has no proof. It repeats no value of the environment and nothing of the token.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkloadIdentityError {
    /// These variables are not set: the workload is not federated.
    #[error("the environment lacks {}", .0.join(", "))]
    Missing(Vec<&'static str>),
    /// The tenant or the client id cannot be read.
    #[error("an id in the environment cannot be read")]
    Id(#[source] IdError),
    /// The sign-in host is not the cloud's.
    #[error("AZURE_AUTHORITY_HOST is not a sign-in host of the cloud")]
    AuthorityHost,
    /// The file cannot be read, or is too large for a token.
    #[error("the file with the federated token cannot be read")]
    TokenFile(#[source] io::Error),
    /// What is in the file is no token with an end (RFC 7519 4.1.4).
    #[error("the file with the federated token holds no token")]
    NotAToken,
    /// The token has ended: the platform has not replaced it.
    #[error("the federated token in the file has ended")]
    Ended,
}

impl WorkloadIdentityError {
    /// What an administrator can do about it.
    pub fn admin_hint(&self) -> &'static str {
        match self {
            Self::Missing(_) => {
                "Give the pod a service account that is federated with the application, and the \
                 label azure.workload.identity/use: \"true\"."
            }
            Self::Id(_) => {
                "Correct the annotations of the service account: tenant id and client id."
            }
            Self::AuthorityHost => "Name the cloud in the settings of the product.",
            Self::TokenFile(_) | Self::NotAToken | Self::Ended => {
                "Look whether the platform projects the token of the service account into the pod, \
                 and whether the product may read it."
            }
        }
    }
}

impl From<WorkloadIdentityError> for Error {
    fn from(error: WorkloadIdentityError) -> Self {
        match error {
            WorkloadIdentityError::Missing(_) => Self::NotAvailable {
                credential: "workload identity",
                source: Arc::new(error),
            },
            _ => Self::Credential(Arc::new(error)),
        }
    }
}

fn required(environment: &HashMap<String, String>) -> Result<[&str; 3], WorkloadIdentityError> {
    match REQUIRED.map(|name| value(environment, name)) {
        [Some(tenant), Some(client), Some(file)] => Ok([tenant, client, file]),
        values => Err(WorkloadIdentityError::Missing(
            REQUIRED
                .into_iter()
                .zip(values)
                .filter_map(|(name, value)| value.is_none().then_some(name))
                .collect(),
        )),
    }
}

/// A variable that is set, and not to nothing.
pub(crate) fn value<'a>(environment: &'a HashMap<String, String>, name: &str) -> Option<&'a str> {
    let value = environment.get(name)?.trim();
    (!value.is_empty()).then_some(value)
}

fn is_host_of(cloud: &Cloud, url: &str) -> bool {
    Url::parse(url).is_ok_and(|url| {
        url.scheme() == cloud.login_url().scheme()
            && url.port_or_known_default() == cloud.login_url().port_or_known_default()
            && url.host_str().is_some_and(|host| cloud.is_login_host(host))
    })
}

/// `exp`, in Unix seconds. Nobody relies on it but for not sending what is over: the service
/// checks the token.
pub(crate) fn end_of(token: &Secret) -> Option<i64> {
    #[derive(Deserialize)]
    struct Claims {
        exp: i64,
    }

    let payload = token.expose().split('.').nth(1)?;
    let payload = URL_SAFE_NO_PAD.decode(payload).ok()?;
    serde_json::from_slice::<Claims>(&payload)
        .ok()
        .map(|claims| claims.exp)
}

const REQUIRED: [&str; 3] = [
    "AZURE_TENANT_ID",
    "AZURE_CLIENT_ID",
    "AZURE_FEDERATED_TOKEN_FILE",
];
const AUTHORITY_HOST: &str = "AZURE_AUTHORITY_HOST";
/// In bytes. Tokens of a service account have one or two thousand.
const LONGEST_TOKEN: u64 = 64 * 1024;
