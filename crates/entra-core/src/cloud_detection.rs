//! In which national cloud a tenant lives, as the sign-in services themselves say.

use std::fmt;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use serde::Deserialize;
use url::{Position, Url};

use crate::error::RequestIds;
use crate::token_error::read_refusal;
use crate::{
    Authority, Call, Cloud, Error, Finding, Pipeline, Tenant, TenantId, TokenErrorKind, error_chain,
};

/// Asks every built-in cloud for a tenant, at once, by its OpenID configuration (OpenID Connect
/// Discovery 1.0, section 4). It needs no credential.
///
/// A tenant's id is found in one cloud at most, and the first cloud that has it ends the search. A
/// domain may be a different tenant in two clouds, so every cloud is waited for. US Government L4
/// and DoD share a sign-in host: they are told apart by what the configuration says of the tenant.
///
/// Each host is asked within the limits of the pipeline. It fails only for what names no single
/// tenant: `common`, `organizations`, `consumers`.
///
/// ```
/// # async fn f(http: impl entra_core::HttpClient + 'static) -> Result<(), Box<dyn std::error::Error>> {
/// use entra_core::{CloudDetection, Pipeline, Tenant, detect_cloud};
///
/// let pipeline = Pipeline::new(http);
/// match detect_cloud(&pipeline, &Tenant::parse("contoso.onmicrosoft.com")?).await? {
///     CloudDetection::Found { location, .. } => {
///         println!("{} in {}", location.tenant_id, location.cloud.name());
///     }
///     CloudDetection::Ambiguous { locations, .. } => {
///         println!("which of {} tenants is it?", locations.len());
///     }
///     other => println!("{}", other.finding()),
/// }
/// # Ok(()) }
/// ```
pub async fn detect_cloud(pipeline: &Pipeline, tenant: &Tenant) -> Result<CloudDetection, Error> {
    detect_cloud_among(pipeline, tenant, &Cloud::all()).await
}

/// The same among these clouds alone: without those that a firewall closes, or with a custom one.
pub async fn detect_cloud_among(
    pipeline: &Pipeline,
    tenant: &Tenant,
    clouds: &[Cloud],
) -> Result<CloudDetection, Error> {
    if !tenant.is_single() {
        return Err(Error::InvalidRequest(
            "a cloud can be found for one tenant only, not for common, organizations or consumers",
        ));
    }
    let mut hosts: Vec<&Cloud> = Vec::new();
    for cloud in clouds {
        if !hosts
            .iter()
            .any(|host| host.login_url() == cloud.login_url())
        {
            hosts.push(cloud);
        }
    }
    let mut questions: FuturesUnordered<_> = hosts
        .into_iter()
        .enumerate()
        .map(|(index, asked)| async move { (index, ask(pipeline, tenant, asked, clouds).await) })
        .collect();
    let mut answers = Vec::new();
    while let Some((index, answer)) = questions.next().await {
        match (answer, tenant) {
            (Answer::Here(location), Tenant::Id(_)) => {
                return Ok(CloudDetection::Found {
                    location,
                    failures: Vec::new(),
                });
            }
            (answer, _) => answers.push((index, answer)),
        }
    }
    // As the clouds stand, not as they answered.
    answers.sort_by_key(|(index, _)| *index);
    Ok(CloudDetection::of(
        answers.into_iter().map(|(_, answer)| answer),
    ))
}

/// Where a tenant was found, or why not.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum CloudDetection {
    /// There is one such tenant.
    Found {
        /// Where it is.
        location: TenantLocation,
        /// For a domain, the hosts that could not be asked: one of them might know another tenant
        /// by the same name.
        failures: Vec<HostFailure>,
    },
    /// The domain belongs to several tenants: somebody has to choose.
    Ambiguous {
        /// All of them.
        locations: Vec<TenantLocation>,
        /// The hosts that could not be asked.
        failures: Vec<HostFailure>,
    },
    /// Every host was asked, and none knows the tenant.
    NotFound,
    /// None of the hosts that answered knows the tenant, and some could not be asked.
    Undecided {
        /// Those that could not be asked, or gave an answer that does not tell.
        failures: Vec<HostFailure>,
    },
}

impl CloudDetection {
    /// Where the tenant is, if there is one answer.
    pub fn location(&self) -> Option<&TenantLocation> {
        match self {
            Self::Found { location, .. } => Some(location),
            _ => None,
        }
    }

    /// The result as one line of a connection test, with the step that mends it.
    pub fn finding(&self) -> Finding {
        match self {
            Self::Found { location, failures } if failures.is_empty() => {
                Finding::passed(CHECK, location.to_string())
            }
            Self::Found { location, failures } => {
                let hosts: Vec<&str> = failures.iter().map(|it| it.host.as_str()).collect();
                let hosts = hosts.join(", ");
                Finding::warning(CHECK, format!("{location}; not asked: {hosts}"))
                    .with_remedy(PREFER_THE_ID)
            }
            Self::Ambiguous { locations, .. } => {
                let all: Vec<String> = locations.iter().map(ToString::to_string).collect();
                Finding::failed(
                    CHECK,
                    format!("the domain is ambiguous: {}", all.join("; ")),
                )
                .with_remedy(PREFER_THE_ID)
            }
            Self::NotFound => Finding::failed(CHECK, "no cloud knows the tenant").with_remedy(
                "Compare the directory (tenant) id or the domain with the tenant's overview page.",
            ),
            Self::Undecided { failures } => {
                let all: Vec<String> = failures.iter().map(|it| error_chain(it)).collect();
                Finding::failed(CHECK, format!("the cloud is unknown: {}", all.join("; ")))
                    .with_remedy(
                        "Let this machine reach the sign-in host of the tenant's cloud on port 443, \
                         or choose the cloud by hand.",
                    )
            }
        }
    }

    fn of(answers: impl Iterator<Item = Answer>) -> Self {
        let mut locations: Vec<TenantLocation> = Vec::new();
        let mut failures = Vec::new();
        for answer in answers {
            match answer {
                Answer::Here(location) => {
                    // One sign-in host may answer for a tenant of another's cloud.
                    if !locations.iter().any(|other| other.is_same(&location)) {
                        locations.push(location);
                    }
                }
                Answer::NotHere => {}
                Answer::Failed(failure) => failures.push(failure),
            }
        }
        match (locations.len(), locations.pop()) {
            (1, Some(location)) => Self::Found { location, failures },
            (_, Some(last)) => {
                locations.push(last);
                Self::Ambiguous {
                    locations,
                    failures,
                }
            }
            (_, None) if failures.is_empty() => Self::NotFound,
            (_, None) => Self::Undecided { failures },
        }
    }
}

/// A tenant in its cloud.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TenantLocation {
    /// The cloud.
    pub cloud: Cloud,
    /// The tenant's id, also where it was asked for by a domain.
    pub tenant_id: TenantId,
    /// The continent or the sovereign region, for example `EU` or `USGov`
    /// (`tenant_region_scope`).
    pub region_scope: Option<String>,
    /// `GCC`, `DODCON` (GCC High) or `DOD` for tenants of a United States government
    /// (`tenant_region_sub_scope`).
    pub region_sub_scope: Option<String>,
    /// What the cloud calls itself, for example `microsoftonline.com` (`cloud_instance_name`).
    pub instance_name: Option<String>,
}

impl TenantLocation {
    /// The authority of the tenant.
    pub fn authority(&self) -> Authority {
        Authority::new(self.cloud.clone(), self.tenant_id)
    }

    fn is_same(&self, other: &Self) -> bool {
        self.tenant_id == other.tenant_id && self.cloud == other.cloud
    }
}

impl fmt::Display for TenantLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            cloud, tenant_id, ..
        } = self;
        write!(f, "tenant {tenant_id} in the cloud {}", cloud.name())
    }
}

/// A host that could not say whether it knows the tenant.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{host} does not tell where the tenant is")]
#[non_exhaustive]
pub struct HostFailure {
    /// The sign-in host.
    pub host: String,
    /// Why.
    #[source]
    pub error: DetectionError,
}

/// Why a host's answer does not say where the tenant is.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DetectionError {
    /// The host did not answer, or with something else than a configuration or "not found".
    #[error("no usable answer")]
    Exchange(#[from] Error),
    /// The tenant is there, and its Microsoft Graph is not that of a known cloud, or contradicts
    /// its region. The cloud is not guessed.
    #[error(
        "tenant {tenant_id} is there, with a Microsoft Graph of no known cloud ({})",
        msgraph_host.as_deref().unwrap_or("none")
    )]
    UnknownGraph {
        /// The tenant's id.
        tenant_id: TenantId,
        /// The host of its Microsoft Graph.
        msgraph_host: Option<String>,
        /// Its region.
        region_scope: Option<String>,
    },
    /// The configuration is not that of the tenant that was asked for, or of another issuer than
    /// the host.
    #[error("the answer has the issuer {issuer}")]
    OtherIssuer {
        /// The issuer in the answer.
        issuer: String,
    },
}

/// What one host said.
enum Answer {
    Here(TenantLocation),
    NotHere,
    Failed(HostFailure),
}

/// What is read of an OpenID configuration. Beside `issuer` it is Microsoft's own.
#[derive(Deserialize)]
struct Configuration {
    issuer: String,
    msgraph_host: Option<String>,
    cloud_instance_name: Option<String>,
    tenant_region_scope: Option<String>,
    tenant_region_sub_scope: Option<String>,
}

async fn ask(pipeline: &Pipeline, tenant: &Tenant, asked: &Cloud, clouds: &[Cloud]) -> Answer {
    let outcome = match configuration(pipeline, tenant, asked).await {
        Ok(Some(configuration)) => locate(configuration, tenant, asked, clouds),
        Ok(None) => return Answer::NotHere,
        Err(error) => Err(DetectionError::Exchange(error)),
    };
    match outcome {
        Ok(location) => Answer::Here(location),
        Err(error) => Answer::Failed(HostFailure {
            host: authority(asked.login_url()).to_owned(),
            error,
        }),
    }
}

/// The tenant's configuration at one host; nothing if the host does not know the tenant.
async fn configuration(
    pipeline: &Pipeline,
    tenant: &Tenant,
    asked: &Cloud,
) -> Result<Option<Configuration>, Error> {
    let url = Authority::new(asked.clone(), tenant.clone()).openid_configuration();
    let request = http::Request::get(url.as_str())
        .header(http::header::ACCEPT, "application/json")
        .body(Bytes::new())
        .map_err(|_| Error::InvalidRequest("the address of the configuration is no URI"))?;
    match pipeline.send(Call::new(ROUTE, request)).await {
        Ok(response) => match serde_json::from_slice(response.body()) {
            Ok(configuration) => Ok(Some(configuration)),
            Err(_) => Err(Error::Malformed {
                host: authority(asked.login_url()).to_owned(),
                status: response.status(),
                retry_after: None,
                what: "a body that is no OpenID configuration".to_owned(),
                ids: Box::new(RequestIds::from_headers(response.headers())),
                source: None,
            }),
        },
        Err(Error::Response(refusal)) => match read_refusal(&refusal) {
            Error::Token(error) if says_not_here(&error) => Ok(None),
            error @ Error::Token(_) => Err(error),
            _ => Err(Error::Response(refusal)),
        },
        Err(error) => Err(error),
    }
}

/// AADSTS90002 and its kin, or AADSTS90038: the tenant is another cloud's.
fn says_not_here(error: &crate::TokenError) -> bool {
    error.error == "invalid_tenant"
        || matches!(
            error.kind(),
            TokenErrorKind::TenantNotFound | TokenErrorKind::WrongCloud
        )
}

/// Reads where a tenant is out of its configuration, and believes nothing that does not fit.
fn locate(
    configuration: Configuration,
    tenant: &Tenant,
    asked: &Cloud,
    clouds: &[Cloud],
) -> Result<TenantLocation, DetectionError> {
    let issuer = Url::parse(&configuration.issuer).ok();
    let tenant_id = issuer
        .as_ref()
        .and_then(tenant_of)
        .filter(|id| match tenant {
            Tenant::Id(wanted) => wanted == id,
            _ => true,
        });
    let (Some(issuer), Some(tenant_id)) = (issuer, tenant_id) else {
        return Err(DetectionError::OtherIssuer {
            issuer: configuration.issuer,
        });
    };
    let Some(cloud) = cloud_of(&configuration, clouds) else {
        return Err(DetectionError::UnknownGraph {
            tenant_id,
            msgraph_host: configuration.msgraph_host,
            region_scope: configuration.tenant_region_scope,
        });
    };
    if ![asked, cloud].iter().any(|it| issues(it, &issuer)) {
        return Err(DetectionError::OtherIssuer {
            issuer: configuration.issuer,
        });
    }
    Ok(TenantLocation {
        cloud: cloud.clone(),
        tenant_id,
        region_scope: configuration.tenant_region_scope,
        region_sub_scope: configuration.tenant_region_sub_scope,
        instance_name: configuration.cloud_instance_name,
    })
}

/// The cloud whose Microsoft Graph the tenant uses. Microsoft Learn, "Microsoft Graph national
/// cloud deployments".
fn cloud_of<'a>(configuration: &Configuration, clouds: &'a [Cloud]) -> Option<&'a Cloud> {
    let host = configuration.msgraph_host.as_deref()?;
    let cloud = clouds
        .iter()
        .find(|cloud| authority(cloud.graph_url()).eq_ignore_ascii_case(host))?;
    let (l4, dod) = (Cloud::us_government(), Cloud::us_government_dod());
    let is_government = *cloud == l4 || *cloud == dod;
    let region = configuration.tenant_region_scope.as_deref();
    if region.is_some_and(|region| region.starts_with(US_GOVERNMENT)) && !is_government {
        return None;
    }
    // The host of L4 is what the cloud answers for all of its tenants where it does not know DoD.
    let is_dod = configuration.tenant_region_sub_scope.as_deref() == Some(DOD);
    if *cloud == l4 && is_dod {
        return clouds.iter().find(|cloud| **cloud == dod);
    }
    Some(cloud)
}

/// The tenant in an issuer of version 2.0, `https://<host>/<tenant id>/v2.0`.
fn tenant_of(issuer: &Url) -> Option<TenantId> {
    TenantId::parse(issuer.path_segments()?.next()?).ok()
}

fn issues(cloud: &Cloud, issuer: &Url) -> bool {
    issuer
        .host_str()
        .is_some_and(|host| cloud.is_login_host(host))
}

/// Host and, where it is not the scheme's own, port.
fn authority(url: &Url) -> &str {
    &url[Position::BeforeHost..Position::AfterPort]
}

const CHECK: &str = "cloud";
const PREFER_THE_ID: &str = "Enter the directory (tenant) id in place of the domain.";
const ROUTE: &str = "GET /{tenant}/v2.0/.well-known/openid-configuration";
/// How the region scopes of the United States' governments begin.
const US_GOVERNMENT: &str = "USG";
/// The sub-scope of DoD; GCC High has `DODCON`.
const DOD: &str = "DOD";
