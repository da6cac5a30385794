//! Where a workload in Azure gets the tokens of its managed identity, and how it asks there.

use std::collections::HashMap;
use std::path::PathBuf;

use bytes::Bytes;
use http::HeaderValue;
use http::header::AUTHORIZATION;
use url::Url;

use crate::arc_key::key_folder;
use crate::cloud::{is_loopback, is_machine};
use crate::http_client::MachineEndpoint;
use crate::workload_identity::value;
use crate::{Error, ManagedIdentityError, ManagedIdentityId, Secret};

/// What kind of host a workload runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ManagedIdentityHost {
    /// A virtual machine or a container on one: the instance metadata service (IMDS).
    VirtualMachine,
    /// App Service, Functions, Container Apps.
    AppService,
    /// A server of one's own with the agent of Azure Arc.
    AzureArc,
}

/// The endpoint of the machine.
#[derive(Clone, Debug)]
pub(crate) struct IdentityHost {
    endpoint: Url,
    access: Access,
}

#[derive(Clone, Debug)]
enum Access {
    Metadata,
    Header(Secret),
    Arc { key_folder: PathBuf },
}

impl IdentityHost {
    /// What the environment tells, in the order of Microsoft's own libraries. Where it tells
    /// nothing there may be an instance metadata service.
    pub(crate) fn detect(
        environment: &HashMap<String, String>,
    ) -> Result<Self, ManagedIdentityError> {
        let is_set = |name| value(environment, name).is_some();
        let header = value(environment, IDENTITY_HEADER);
        match (value(environment, IDENTITY_ENDPOINT), header) {
            (Some(_), Some(_)) if is_set("IDENTITY_SERVER_THUMBPRINT") => {
                Err(ManagedIdentityError::Unsupported("Service Fabric"))
            }
            (Some(endpoint), Some(header)) => Ok(Self {
                endpoint: machine_url(endpoint, IDENTITY_ENDPOINT)?,
                access: Access::Header(Secret::new(header)),
            }),
            (Some(endpoint), None) if is_set("IMDS_ENDPOINT") => Ok(Self {
                endpoint: machine_url(endpoint, IDENTITY_ENDPOINT)?,
                access: Access::Arc {
                    key_folder: key_folder(environment)?,
                },
            }),
            _ if is_set("MSI_ENDPOINT") && is_set("MSI_SECRET") => {
                Err(ManagedIdentityError::Unsupported("Azure Machine Learning"))
            }
            _ if is_set("MSI_ENDPOINT") => Err(ManagedIdentityError::Unsupported("Cloud Shell")),
            _ => Self::metadata_service(value(environment, IMDS_HOST)),
        }
    }

    fn metadata_service(host: Option<&str>) -> Result<Self, ManagedIdentityError> {
        let mut endpoint = machine_url(host.unwrap_or(DEFAULT_IMDS_HOST), IMDS_HOST)?;
        endpoint.set_path(IMDS_PATH);
        Ok(Self {
            endpoint,
            access: Access::Metadata,
        })
    }

    pub(crate) fn kind(&self) -> ManagedIdentityHost {
        match &self.access {
            Access::Metadata => ManagedIdentityHost::VirtualMachine,
            Access::Header(_) => ManagedIdentityHost::AppService,
            Access::Arc { .. } => ManagedIdentityHost::AzureArc,
        }
    }

    pub(crate) fn key_folder(&self) -> Option<&PathBuf> {
        match &self.access {
            Access::Arc { key_folder } => Some(key_folder),
            Access::Metadata | Access::Header(_) => None,
        }
    }

    pub(crate) fn set_key_folder(&mut self, folder: PathBuf) {
        if let Access::Arc { key_folder } = &mut self.access {
            *key_folder = folder;
        }
    }

    /// Asks for a token; `key` answers the challenge of Azure Arc.
    pub(crate) fn token_request(
        &self,
        resource: &str,
        identity: &ManagedIdentityId,
        key: Option<&Secret>,
    ) -> Result<http::Request<Bytes>, Error> {
        let mut url = self.versioned();
        url.query_pairs_mut().append_pair("resource", resource);
        if let Some((name, id)) = self.selector(identity) {
            url.query_pairs_mut().append_pair(name, &id);
        }
        let mut request = http::Request::get(url.as_str());
        request = match &self.access {
            Access::Header(secret) => {
                request.header("x-identity-header", sensitive(secret.expose())?)
            }
            // A request that a server was tricked into sending does not carry it.
            Access::Metadata | Access::Arc { .. } => request.header("metadata", "true"),
        };
        if let Some(key) = key {
            request = request.header(
                AUTHORIZATION,
                sensitive(&format!("Basic {}", key.expose()))?,
            );
        }
        finish(request)
    }

    /// Asks whether anybody is there. Without the header a metadata service refuses at once.
    pub(crate) fn probe_request(&self) -> Result<http::Request<Bytes>, Error> {
        finish(http::Request::get(self.versioned().as_str()))
    }

    fn versioned(&self) -> Url {
        let mut url = self.endpoint.clone();
        let version = match &self.access {
            Access::Metadata => "2018-02-01",
            Access::Header(_) => "2019-08-01",
            Access::Arc { .. } => "2020-06-01",
        };
        url.query_pairs_mut().append_pair("api-version", version);
        url
    }

    /// The parameter that names a user-assigned identity.
    fn selector(&self, identity: &ManagedIdentityId) -> Option<(&'static str, String)> {
        let on_app_service = matches!(self.access, Access::Header(_));
        match identity {
            ManagedIdentityId::System => None,
            ManagedIdentityId::Client(id) => Some(("client_id", id.to_string())),
            ManagedIdentityId::Object(id) if on_app_service => {
                Some(("principal_id", id.to_string()))
            }
            ManagedIdentityId::Object(id) => Some(("object_id", id.to_string())),
            ManagedIdentityId::Resource(id) if on_app_service => Some(("mi_res_id", id.clone())),
            ManagedIdentityId::Resource(id) => Some(("msi_res_id", id.clone())),
        }
    }
}

/// An endpoint on this machine or on its own network, or by https. Anything else would get the
/// machine's tokens and secrets sent to it in the clear.
fn machine_url(text: &str, variable: &'static str) -> Result<Url, ManagedIdentityError> {
    Url::parse(text)
        .ok()
        .filter(|url| match url.scheme() {
            "http" => is_loopback(url) || is_machine(url),
            "https" => url.has_host(),
            _ => false,
        })
        .filter(|url| {
            let has_user = !url.username().is_empty() || url.password().is_some();
            !has_user && url.query().is_none() && url.fragment().is_none()
        })
        .ok_or(ManagedIdentityError::Endpoint(variable))
}

fn sensitive(text: &str) -> Result<HeaderValue, Error> {
    let mut value = HeaderValue::from_str(text)
        .map_err(|_| Error::InvalidRequest("a secret of the machine is no header value"))?;
    value.set_sensitive(true);
    Ok(value)
}

fn finish(request: http::request::Builder) -> Result<http::Request<Bytes>, Error> {
    request
        .header(http::header::ACCEPT, "application/json")
        .extension(MachineEndpoint)
        .body(Bytes::new())
        .map_err(|_| Error::InvalidRequest("the endpoint of the machine cannot be called"))
}

const IDENTITY_ENDPOINT: &str = "IDENTITY_ENDPOINT";
const IDENTITY_HEADER: &str = "IDENTITY_HEADER";
/// Set where a proxy on the machine stands in for the metadata service.
const IMDS_HOST: &str = "AZURE_POD_IDENTITY_AUTHORITY_HOST";
const DEFAULT_IMDS_HOST: &str = "http://169.254.169.254";
const IMDS_PATH: &str = "/metadata/identity/oauth2/token";
