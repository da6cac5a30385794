//! The national clouds of Microsoft, and custom ones such as a local tenant.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, LazyLock};

use url::{Host, Url};

/// Where a tenant lives: the hosts of sign-in, Microsoft Graph and the portal.
///
/// The cloud cannot be derived from the sign-in host alone: US Government L4 and DoD share one.
///
/// ```
/// use entra_core::Cloud;
///
/// assert_eq!(Cloud::public().graph_scope(), "https://graph.microsoft.com/.default");
/// assert_eq!(Cloud::us_government_dod().graph_url().as_str(), "https://dod-graph.microsoft.us/");
///
/// let local = Cloud::custom("https://localhost:8443", "https://localhost:8443")?;
/// assert!(Cloud::custom("http://entra.example", "https://graph.example").is_err());
/// # Ok::<(), entra_core::CloudError>(())
/// ```
#[derive(Clone)]
pub struct Cloud(Arc<Inner>);

impl Cloud {
    /// Microsoft's public cloud, with GCC tenants.
    pub fn public() -> Self {
        built_in(Builtin::Public)
    }

    /// US Government L4 (GCC High).
    pub fn us_government() -> Self {
        built_in(Builtin::UsGovernment)
    }

    /// US Government L5 (DoD): the sign-in of L4, a Graph of its own.
    pub fn us_government_dod() -> Self {
        built_in(Builtin::UsGovernmentDod)
    }

    /// China, operated by 21Vianet.
    pub fn china() -> Self {
        built_in(Builtin::China)
    }

    /// Bleu, the sovereign cloud in France.
    pub fn bleu() -> Self {
        built_in(Builtin::Bleu)
    }

    /// Delos, the sovereign cloud in Germany.
    pub fn delos() -> Self {
        built_in(Builtin::Delos)
    }

    /// GovSG, the sovereign cloud in Singapore.
    pub fn gov_sg() -> Self {
        built_in(Builtin::GovSg)
    }

    /// Every built-in cloud.
    pub fn all() -> [Self; 7] {
        [
            Self::public(),
            Self::us_government(),
            Self::us_government_dod(),
            Self::china(),
            Self::bleu(),
            Self::delos(),
            Self::gov_sg(),
        ]
    }

    /// The built-in cloud with this [`name`](Self::name).
    pub fn named(name: &str) -> Option<Self> {
        Self::all().into_iter().find(|cloud| cloud.name() == name)
    }

    /// A cloud of one's own: a local tenant, an air-gapped installation. Both URLs carry a host
    /// and maybe a port, and no path. Plain http is accepted on loopback only.
    pub fn custom(login: &str, graph: &str) -> Result<Self, CloudError> {
        let login = endpoint(login)?;
        let graph = endpoint(graph)?;
        Ok(Self(Arc::new(Inner {
            name: Cow::Borrowed("custom"),
            aliases: Vec::new(),
            portal: None,
            login,
            graph,
            root_ca: None,
        })))
    }

    /// Trusts the certificate authorities in `pem`, beside those of the system, for this cloud.
    /// [`HttpsClient::for_cloud`](crate::HttpsClient::for_cloud) takes them from here.
    #[must_use]
    pub fn with_root_ca_pem(self, pem: impl Into<String>) -> Self {
        let mut inner = Arc::unwrap_or_clone(self.0);
        inner.root_ca = Some(pem.into());
        Self(Arc::new(inner))
    }

    /// Accepts `hosts` as further names of the sign-in host, in an issuer for example.
    #[must_use]
    pub fn with_aliases(self, hosts: impl IntoIterator<Item = String>) -> Self {
        let mut inner = Arc::unwrap_or_clone(self.0);
        inner.aliases.extend(
            hosts
                .into_iter()
                .map(|host| Cow::Owned(host.to_ascii_lowercase())),
        );
        Self(Arc::new(inner))
    }

    /// A short name for people and logs, for example `public` or `us-government`.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The sign-in service, `https://login.microsoftonline.com/` in the public cloud.
    pub fn login_url(&self) -> &Url {
        &self.0.login
    }

    /// Microsoft Graph, without a version.
    pub fn graph_url(&self) -> &Url {
        &self.0.graph
    }

    /// The administrator's portal, where its address is public knowledge.
    pub fn portal_url(&self) -> Option<&Url> {
        self.0.portal.as_ref()
    }

    /// The scope that asks for every permission that was consented to on Microsoft Graph.
    pub fn graph_scope(&self) -> String {
        format!("{}.default", self.0.graph)
    }

    /// Whether `host` is the sign-in host of this cloud, under any of its names. The comparison
    /// ignores case.
    pub fn is_login_host(&self, host: &str) -> bool {
        self.0
            .login
            .host_str()
            .is_some_and(|login| login.eq_ignore_ascii_case(host))
            || self
                .0
                .aliases
                .iter()
                .any(|alias| alias.eq_ignore_ascii_case(host))
    }

    /// The further names of the sign-in host.
    pub(crate) fn aliases(&self) -> impl Iterator<Item = &str> {
        self.0.aliases.iter().map(AsRef::as_ref)
    }

    /// The audience of an assertion that is exchanged for a token of an application (Microsoft
    /// Learn, "Configure an application to trust a managed identity"). The sovereign clouds'
    /// audiences are not documented.
    pub fn token_exchange_audience(&self) -> Option<&'static str> {
        match self.name() {
            "public" | "custom" => Some("api://AzureADTokenExchange"),
            "us-government" | "us-government-dod" => Some("api://AzureADTokenExchangeUSGov"),
            "china" => Some("api://AzureADTokenExchangeChina"),
            _ => None,
        }
    }

    /// The certificate authorities to trust beside those of the system, in PEM.
    pub fn root_ca_pem(&self) -> Option<&str> {
        self.0.root_ca.as_deref()
    }

    fn identity(&self) -> (&Url, &Url) {
        (&self.0.login, &self.0.graph)
    }
}

impl Default for Cloud {
    fn default() -> Self {
        Self::public()
    }
}

impl PartialEq for Cloud {
    fn eq(&self, other: &Self) -> bool {
        self.identity() == other.identity()
    }
}

impl Eq for Cloud {}

impl std::hash::Hash for Cloud {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.identity().hash(state);
    }
}

impl fmt::Debug for Cloud {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cloud")
            .field("name", &self.0.name)
            .field("login", &self.0.login.as_str())
            .field("graph", &self.0.graph.as_str())
            .finish_non_exhaustive()
    }
}

/// Why a URL cannot be an endpoint of a custom cloud.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CloudError {
    /// It is not a URL with a host.
    #[error("{found:?} is not a URL with a host, like https://localhost:8443")]
    NotAUrl {
        /// What was given.
        found: String,
    },
    /// Plain http beyond this machine, or another scheme.
    #[error("{host} must be reached by https; plain http is for loopback only")]
    NotHttps {
        /// The host of the URL.
        host: String,
    },
    /// Only scheme, host and port belong there.
    #[error("the URL of {host} carries a path, a query, a fragment or a user")]
    NotAnOrigin {
        /// The host of the URL.
        host: String,
    },
}

/// Whether a URL may be called at all: https, or http to this machine (RFC 6761 6.3 for its names).
///
/// ```
/// let is_secure = |url: &str| entra_core::is_secure_url(&url.parse().unwrap());
/// assert!(is_secure("https://login.example"));
/// assert!(is_secure("http://localhost:8080"));
/// assert!(!is_secure("http://login.example"));
/// ```
pub fn is_secure_url(url: &Url) -> bool {
    match url.scheme() {
        "https" => true,
        "http" => is_loopback(url),
        _ => false,
    }
}

/// Whether a URL leads to this machine (RFC 6761 6.3 for the names).
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        // A URL's host is in lower case (WHATWG URL 3.5).
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Whether a URL leads to an address that a machine in Azure hands its own tokens out at:
/// link-local (RFC 3927), or private (RFC 1918), where App Service on Linux has it.
pub(crate) fn is_machine(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_link_local() || address.is_private(),
        _ => false,
    }
}

#[derive(Clone)]
struct Inner {
    name: Cow<'static, str>,
    login: Url,
    aliases: Vec<Cow<'static, str>>,
    graph: Url,
    portal: Option<Url>,
    root_ca: Option<String>,
}

fn endpoint(text: &str) -> Result<Url, CloudError> {
    let not_a_url = || CloudError::NotAUrl {
        found: text.to_owned(),
    };
    let url = Url::parse(text.trim()).map_err(|_| not_a_url())?;
    let host = url.host_str().ok_or_else(not_a_url)?.to_owned();
    if !is_secure_url(&url) {
        return Err(CloudError::NotHttps { host });
    }
    let is_origin = url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    if !is_origin {
        return Err(CloudError::NotAnOrigin { host });
    }
    Ok(url)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Builtin {
    Public,
    UsGovernment,
    UsGovernmentDod,
    China,
    Bleu,
    Delos,
    GovSg,
}

struct Row {
    cloud: Builtin,
    name: &'static str,
    login: &'static str,
    aliases: &'static [&'static str],
    graph: &'static str,
    portal: Option<&'static str>,
}

/// Microsoft Learn, "National clouds" and "Microsoft Graph national cloud deployments"; the
/// sovereign clouds as MSAL has them built in.
const CLOUDS: [Row; 7] = [
    Row {
        cloud: Builtin::Public,
        name: "public",
        login: "https://login.microsoftonline.com",
        aliases: &[
            "login.windows.net",
            "login.microsoft.com",
            "sts.windows.net",
        ],
        graph: "https://graph.microsoft.com",
        portal: Some("https://entra.microsoft.com"),
    },
    Row {
        cloud: Builtin::UsGovernment,
        name: "us-government",
        login: "https://login.microsoftonline.us",
        aliases: &["login.usgovcloudapi.net"],
        graph: "https://graph.microsoft.us",
        portal: Some("https://entra.microsoft.us"),
    },
    Row {
        cloud: Builtin::UsGovernmentDod,
        name: "us-government-dod",
        login: "https://login.microsoftonline.us",
        aliases: &["login.usgovcloudapi.net"],
        graph: "https://dod-graph.microsoft.us",
        portal: Some("https://entra.microsoft.us"),
    },
    // The documented authority; the issuer uses the partner host.
    Row {
        cloud: Builtin::China,
        name: "china",
        login: "https://login.chinacloudapi.cn",
        aliases: &["login.partner.microsoftonline.cn", "sts.chinacloudapi.cn"],
        graph: "https://microsoftgraph.chinacloudapi.cn",
        portal: Some("https://entra.microsoftonline.cn"),
    },
    Row {
        cloud: Builtin::Bleu,
        name: "bleu",
        login: "https://login.sovcloud-identity.fr",
        aliases: &[],
        graph: "https://graph.svc.sovcloud.fr",
        portal: None,
    },
    Row {
        cloud: Builtin::Delos,
        name: "delos",
        login: "https://login.sovcloud-identity.de",
        aliases: &[],
        graph: "https://graph.svc.sovcloud.de",
        portal: None,
    },
    Row {
        cloud: Builtin::GovSg,
        name: "gov-sg",
        login: "https://login.sovcloud-identity.sg",
        aliases: &[],
        graph: "https://graph.svc.sovcloud.sg",
        portal: None,
    },
];

static BUILT_IN: LazyLock<Vec<(Builtin, Cloud)>> = LazyLock::new(|| {
    CLOUDS
        .iter()
        .filter_map(|row| {
            let inner = Inner {
                name: Cow::Borrowed(row.name),
                login: Url::parse(row.login).ok()?,
                aliases: row.aliases.iter().copied().map(Cow::Borrowed).collect(),
                graph: Url::parse(row.graph).ok()?,
                portal: row.portal.and_then(|url| Url::parse(url).ok()),
                root_ca: None,
            };
            Some((row.cloud, Cloud(Arc::new(inner))))
        })
        .collect()
});

#[expect(
    clippy::expect_used,
    reason = "every row of the constant table parses; a test enumerates them"
)]
fn built_in(cloud: Builtin) -> Cloud {
    BUILT_IN
        .iter()
        .find(|(key, _)| *key == cloud)
        .map(|(_, cloud)| cloud.clone())
        .expect("every built-in cloud is in the table")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_cloud_has_its_own_graph() {
        let graphs: std::collections::HashSet<_> = Cloud::all()
            .iter()
            .map(|cloud| cloud.graph_url().clone())
            .collect();
        assert_eq!(graphs.len(), 7);
    }

    #[test]
    fn the_issuer_host_of_china_is_an_alias() {
        assert!(Cloud::china().is_login_host("LOGIN.partner.microsoftonline.cn"));
        assert!(!Cloud::public().is_login_host("login.partner.microsoftonline.cn"));
    }

    #[test]
    fn a_custom_cloud_is_two_origins_by_https_or_on_loopback() {
        for accepted in [
            "https://localhost:8443",
            "https://localhost:8443/",
            "http://127.0.0.1:80",
            "http://[::1]:80",
            "http://localhost",
            "http://login.localhost",
            "http://LocalHost",
        ] {
            assert!(
                Cloud::custom(accepted, "https://graph.example").is_ok(),
                "{accepted}"
            );
        }
        let host = || "entra.example".to_owned();
        for (refused, error) in [
            (
                "http://entra.example",
                CloudError::NotHttps { host: host() },
            ),
            ("ftp://entra.example", CloudError::NotHttps { host: host() }),
            (
                "https://entra.example/path",
                CloudError::NotAnOrigin { host: host() },
            ),
            (
                "https://entra.example?x",
                CloudError::NotAnOrigin { host: host() },
            ),
            (
                "https://me@entra.example",
                CloudError::NotAnOrigin { host: host() },
            ),
            ("entra.example", CloudError::NotAUrl { found: host() }),
        ] {
            assert_eq!(
                Cloud::custom(refused, "https://g.example"),
                Err(error),
                "{refused}"
            );
        }
    }

    #[test]
    fn loopback_cannot_be_imitated_by_a_name() {
        for refused in [
            "http://localhost.example",
            "http://127.0.0.1.example",
            "http://0.0.0.0",
        ] {
            assert!(
                Cloud::custom(refused, "https://graph.example").is_err(),
                "{refused}"
            );
        }
    }
}
