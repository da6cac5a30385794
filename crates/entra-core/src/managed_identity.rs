//! Tokens of the identity that Azure gives to a machine: no secret to keep, none to rotate.

use std::collections::HashMap;
use std::error::Error as StdError;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use http::StatusCode;

use crate::cached_tokens::CachedTokens;
use crate::identity_host::IdentityHost;
use crate::identity_source::IdentitySource;
use crate::{
    AccessToken, CacheMetrics, ClientAssertion, ClientId, Error, ManagedIdentityHost, ObjectId,
    Pipeline, Secret, TokenCredential, TokenRequest, TransportError,
};

/// Yields tokens of a managed identity: on a virtual machine, on App Service and its relatives, on
/// a server with Azure Arc (Microsoft Learn, "How to use managed identities on an Azure VM to
/// acquire an access token", "Use managed identities for App Service and Azure Functions",
/// "Authenticate against Azure resources with Azure Arc-enabled servers").
///
/// A clone is cheap and shares the cache. A request names one resource as `<resource>/.default`;
/// claims are not passed on, since these endpoints know none.
///
/// The endpoint is reached by plain http at an address of the machine's own network, and never
/// through a proxy. `HttpsClient` allows that for these requests alone.
///
/// ```
/// # async fn f(http: impl entra_core::HttpClient + 'static) -> Result<(), Box<dyn std::error::Error>> {
/// use entra_core::{Cloud, ManagedIdentity, ManagedIdentityId, Pipeline, TokenRequest};
///
/// let environment = std::env::vars().collect();
/// let pipeline = Pipeline::new(http);
/// let identity =
///     ManagedIdentity::from_environment(&environment, ManagedIdentityId::System, pipeline)?;
/// let token = identity.token(&TokenRequest::new([Cloud::public().graph_scope()])).await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct ManagedIdentity {
    tokens: Arc<CachedTokens<IdentitySource>>,
}

impl ManagedIdentity {
    /// The identity of this machine, by what its environment tells (`IDENTITY_ENDPOINT`,
    /// `IDENTITY_HEADER`, `IMDS_ENDPOINT`, …). The host passes the environment in, for example
    /// `std::env::vars().collect()`.
    ///
    /// Where the environment tells nothing there may be an instance metadata service. Whether
    /// there is one shows within a second at the first token:
    /// [`Error::NotAvailable`] where there is none.
    ///
    /// # Errors
    /// A host that is not supported, an endpoint that is not on the machine's network, an identity
    /// that the host cannot have.
    pub fn from_environment(
        environment: &HashMap<String, String>,
        identity: ManagedIdentityId,
        pipeline: Pipeline,
    ) -> Result<Self, ManagedIdentityError> {
        let host = IdentityHost::detect(environment)?;
        let by_system = identity == ManagedIdentityId::System;
        if host.kind() == ManagedIdentityHost::AzureArc && !by_system {
            return Err(ManagedIdentityError::UserAssigned);
        }
        if matches!(&identity, ManagedIdentityId::Resource(id) if !id.starts_with('/')) {
            return Err(ManagedIdentityError::ResourceId);
        }
        Ok(Self::assemble(IdentitySource::new(
            host, identity, pipeline,
        )))
    }

    /// Looks for the keys of Azure Arc's agent in this folder, where it is not the usual one. On
    /// other hosts it changes nothing.
    #[must_use]
    pub fn with_arc_key_folder(self, folder: impl Into<PathBuf>) -> Self {
        let source = self.tokens.source();
        let mut host = source.host.clone();
        host.set_key_folder(folder.into());
        let (identity, pipeline) = (source.identity.clone(), source.pipeline.clone());
        Self::assemble(IdentitySource::new(host, identity, pipeline))
    }

    /// A token for this request, from the cache or from the machine's endpoint.
    pub async fn token(&self, request: &TokenRequest) -> Result<AccessToken, Error> {
        self.tokens.token(request).await
    }

    /// Refreshes tokens before their callers have to wait for it, until `shutdown` ends.
    pub async fn refresh_ahead(&self, shutdown: impl Future<Output = ()> + Send) {
        self.tokens.refresh_ahead(shutdown).await;
    }

    /// The identity's token as the proof of an application that trusts it: a federated credential
    /// with the managed identity as its subject, and `audience` as its audience
    /// ([`Cloud::token_exchange_audience`](crate::Cloud::token_exchange_audience)).
    ///
    /// ```
    /// # fn f(identity: entra_core::ManagedIdentity) {
    /// use entra_core::{ClientCredential, Cloud};
    ///
    /// let audience = Cloud::public().token_exchange_audience().unwrap();
    /// let credential = ClientCredential::assertion(identity.as_assertion(audience));
    /// # }
    /// ```
    pub fn as_assertion(&self, audience: &str) -> Arc<dyn ClientAssertion> {
        Arc::new(IdentityAssertion {
            identity: self.clone(),
            request: TokenRequest::new([format!("{audience}{DEFAULT_SCOPE}")]),
        })
    }

    /// What kind of host it found.
    pub fn host(&self) -> ManagedIdentityHost {
        self.tokens.source().host.kind()
    }

    /// What the cache did.
    pub fn metrics(&self) -> CacheMetrics {
        self.tokens.metrics()
    }

    fn assemble(source: IdentitySource) -> Self {
        Self {
            tokens: Arc::new(CachedTokens::new(source, CAPACITY, None)),
        }
    }
}

#[async_trait]
impl TokenCredential for ManagedIdentity {
    async fn token(&self, request: &TokenRequest) -> Result<AccessToken, Error> {
        Self::token(self, request).await
    }

    fn invalidate(&self, request: &TokenRequest, token: &AccessToken) {
        self.tokens.invalidate(request, token);
    }
}

/// Which identity of the machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ManagedIdentityId {
    /// The one that lives and dies with the machine.
    #[default]
    System,
    /// A user-assigned one, by its client id.
    Client(ClientId),
    /// A user-assigned one, by the object id of its service principal.
    Object(ObjectId),
    /// A user-assigned one, by its resource in Azure, like
    /// `/subscriptions/…/userAssignedIdentities/name`.
    Resource(String),
}

/// Why a machine yields no token of a managed identity.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManagedIdentityError {
    /// The environment is that of a host which is not supported.
    #[error("managed identities on {0} are not supported")]
    Unsupported(&'static str),
    /// The URL in this variable leads beyond the machine's network in the clear, or is none.
    #[error("the URL in {0} is not an endpoint of this machine")]
    Endpoint(&'static str),
    /// On Windows the environment lacks `ProgramData`, where Azure Arc's agent has its keys.
    #[error("the environment lacks ProgramData")]
    NoProgramData,
    /// Azure Arc knows the identity of the system alone.
    #[error("a server with Azure Arc has no user-assigned identity")]
    UserAssigned,
    /// The id is not that of a resource in Azure.
    #[error("the id of the identity is not that of a resource in Azure")]
    ResourceId,
    /// Nothing that is an instance metadata service answers.
    #[error("this machine has no instance metadata service")]
    NoMetadataService(#[source] Option<TransportError>),
    /// No identity is assigned to the machine.
    #[error("no identity is assigned to this machine")]
    NoIdentity,
    /// Azure Arc's agent did not say where its key is.
    #[error("the agent of Azure Arc named no file with its key")]
    NoChallenge,
    /// The file that was named is not a key in the agent's folder. It was not read.
    #[error("the file that was named as the key of Azure Arc's agent is not one")]
    ForeignKeyFile,
    /// The key cannot be read, or is too large for one.
    #[error("the key of Azure Arc's agent cannot be read")]
    KeyFile(#[source] io::Error),
    /// The agent refused the key that it had written itself.
    #[error("the agent of Azure Arc refused its own key")]
    KeyRefused,
    /// App Service refused.
    #[error("App Service answered {status}: {message}")]
    Refused {
        /// The status of the answer.
        status: StatusCode,
        /// What it says, in English.
        message: String,
    },
}

impl ManagedIdentityError {
    /// What an administrator can do about it.
    pub fn admin_hint(&self) -> &'static str {
        match self {
            Self::Unsupported(_) => "Use another credential on this host.",
            Self::Endpoint(_) | Self::NoProgramData => {
                "Correct the environment of the product: it is not as Azure sets it."
            }
            Self::UserAssigned => "Use the identity that the system assigned to the server.",
            Self::ResourceId => "Copy the resource id from the properties of the identity.",
            Self::NoMetadataService(_) => {
                "Use another credential outside Azure; within it, let the product reach \
                 169.254.169.254 without a proxy."
            }
            Self::NoIdentity | Self::Refused { .. } => {
                "Assign the identity to the machine, in the portal under Identity."
            }
            Self::NoChallenge | Self::ForeignKeyFile | Self::KeyRefused => {
                "Look what listens at the address of Azure Arc's agent: it is not the agent."
            }
            Self::KeyFile(_) => {
                "Add the product's account to the group himds, or on Windows to the group Hybrid \
                 Agent Extension Applications."
            }
        }
    }
}

impl From<ManagedIdentityError> for Error {
    fn from(error: ManagedIdentityError) -> Self {
        use ManagedIdentityError::{NoIdentity, NoMetadataService, Unsupported};
        match error {
            Unsupported(_) | NoMetadataService(_) | NoIdentity => Self::NotAvailable {
                credential: "managed identity",
                source: Arc::new(error),
            },
            _ => Self::Credential(Arc::new(error)),
        }
    }
}

/// A machine's token as an application's proof.
#[derive(Debug)]
struct IdentityAssertion {
    identity: ManagedIdentity,
    request: TokenRequest,
}

#[async_trait]
impl ClientAssertion for IdentityAssertion {
    async fn assertion(&self, _audience: &str) -> Result<Secret, Box<dyn StdError + Send + Sync>> {
        Ok(self.identity.token(&self.request).await?.secret())
    }
}

/// What a scope adds to the resource.
pub(crate) const DEFAULT_SCOPE: &str = "/.default";
/// A machine's workload asks for a handful of resources.
const CAPACITY: usize = 1000;
