//! Who may sign users in: which tenants of Entra, an External ID tenant, or another provider.

use entra_core::{ClientId, Cloud, JwtAlgorithm, JwtRules, Tenant, TenantId};
use url::Url;

use crate::OptionsError;
use crate::issuer::{IssuerRule, Template, canonical_tenant};

/// Whose users may sign in, and who says so.
///
/// ```
/// use entra_core::{Cloud, Tenant};
/// use entra_oidc::Authority;
///
/// // The users of one tenant: what most products want.
/// let one = Authority::single_tenant(Cloud::public(), Tenant::parse("contoso.onmicrosoft.com")?)?;
/// // Those of any customer; the product itself decides which tenants it knows.
/// let any = Authority::any_organization(Cloud::public());
/// // An External ID tenant («CIAM»), and a provider of another kind.
/// let external = Authority::external_id("contoso", Tenant::parse("contoso.onmicrosoft.com")?)?;
/// let other = Authority::generic("https://login.example")?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    kind: Kind,
    own_signing_keys: bool,
    v1_tokens: bool,
}

impl Authority {
    /// The users of one tenant, guests included. A domain is resolved once and then pinned: the
    /// tenant does not change behind the product's back when the domain moves.
    ///
    /// # Errors
    /// [`OptionsError::NotOneTenant`] for `common`, `organizations` and `consumers`.
    pub fn single_tenant(cloud: Cloud, tenant: impl Into<Tenant>) -> Result<Self, OptionsError> {
        let tenant = tenant.into();
        if !tenant.is_single() {
            return Err(OptionsError::NotOneTenant);
        }
        Ok(Self::entra(cloud, Tenants::One(tenant)))
    }

    /// The users of these tenants and no others.
    ///
    /// # Errors
    /// [`OptionsError::NoTenant`] for an empty list.
    pub fn tenants(
        cloud: Cloud,
        tenants: impl IntoIterator<Item = TenantId>,
    ) -> Result<Self, OptionsError> {
        let tenants: Vec<TenantId> = tenants.into_iter().collect();
        if tenants.is_empty() {
            return Err(OptionsError::NoTenant);
        }
        Ok(Self::entra(cloud, Tenants::These(tenants)))
    }

    /// The users of any organisation, without personal accounts. Whoever has a tenant can sign in,
    /// and anybody can have one: what they may do is for the product to decide by the tenant in
    /// the user's key.
    pub fn any_organization(cloud: Cloud) -> Self {
        Self::entra(cloud, Tenants::AnyOrganization)
    }

    /// The users of any organisation, and personal Microsoft accounts.
    pub fn any_account(cloud: Cloud) -> Self {
        Self::entra(cloud, Tenants::AnyAccount)
    }

    /// Personal Microsoft accounts alone.
    pub fn personal_accounts(cloud: Cloud) -> Self {
        Self::entra(cloud, Tenants::Personal)
    }

    /// The users of an External ID tenant, which signs them in at `{subdomain}.ciamlogin.com` and
    /// is named in tokens by its id as the host (Microsoft Learn, "Microsoft Entra External ID").
    ///
    /// # Errors
    /// [`OptionsError::Issuer`] where `subdomain` is not one label of a host name,
    /// [`OptionsError::NotOneTenant`] where the tenant is none.
    pub fn external_id(subdomain: &str, tenant: impl Into<Tenant>) -> Result<Self, OptionsError> {
        if !is_label(subdomain) {
            return Err(OptionsError::Issuer);
        }
        let login = format!("https://{subdomain}{EXTERNAL_ID_DOMAIN}");
        let cloud = Cloud::custom(&login, Cloud::public().graph_url().as_str())
            .map_err(|_| OptionsError::Issuer)?;
        Self::external_id_at(cloud, tenant)
    }

    /// The same where the tenant has a domain of its own for sign-in: the cloud's login URL.
    ///
    /// # Errors
    /// [`OptionsError::NotOneTenant`] where the tenant is none.
    pub fn external_id_at(cloud: Cloud, tenant: impl Into<Tenant>) -> Result<Self, OptionsError> {
        let tenant = tenant.into();
        if !tenant.is_single() {
            return Err(OptionsError::NotOneTenant);
        }
        Ok(Self::new(Kind::ExternalId { cloud, tenant }))
    }

    /// The users of an Azure AD B2C tenant at `{name}.b2clogin.com`, who sign in by one of its
    /// policies («user flows»): `B2C_1_signin`. A token of another policy, which may ask for less,
    /// is refused. A user is known by issuer and object id, since `sub` may be the same for all.
    ///
    /// Its application has a client secret
    /// ([`with_client_secret`](crate::LoginOptions::with_client_secret)), and its ID tokens need
    /// the claim `oid` («User's Object ID»).
    ///
    /// # Errors
    /// [`OptionsError::Issuer`] where the name is not one label of a host name, or the policy has
    /// other characters than letters, digits, hyphen and underscore.
    pub fn b2c(name: &str, tenant: TenantId, policy: &str) -> Result<Self, OptionsError> {
        let is_policy = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if !is_label(name) || policy.is_empty() || !policy.bytes().all(is_policy) {
            return Err(OptionsError::Issuer);
        }
        let host = format!("{}.b2clogin.com", name.to_ascii_lowercase());
        Ok(Self::new(Kind::Generic(Generic {
            issuer: format!("https://{host}/{tenant}/v2.0/"),
            hosts: vec![host],
            algorithms: vec![JwtAlgorithm::Rs256],
            b2c: Some(B2c {
                tenant,
                policy: policy.to_owned(),
            }),
        })))
    }

    /// The users of a provider that speaks OpenID Connect and is not Entra. The user is known by
    /// issuer and subject. `issuer` is the provider's own name, exactly as its configuration says
    /// it (OpenID Connect Discovery 1.0, section 4.3).
    ///
    /// Its endpoints are expected on the issuer's host ([`with_endpoint_hosts`]), and ID tokens
    /// signed with RS256 ([`with_algorithms`]).
    ///
    /// [`with_endpoint_hosts`]: Self::with_endpoint_hosts
    /// [`with_algorithms`]: Self::with_algorithms
    ///
    /// # Errors
    /// [`OptionsError::Issuer`] where it is no URL by https (http on this machine alone), or has a
    /// query, a fragment or a user.
    pub fn generic(issuer: &str) -> Result<Self, OptionsError> {
        let url = Url::parse(issuer).map_err(|_| OptionsError::Issuer)?;
        let is_plain = url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none();
        if !is_plain || !entra_core::is_secure_url(&url) {
            return Err(OptionsError::Issuer);
        }
        Ok(Self::new(Kind::Generic(Generic {
            issuer: issuer.to_owned(),
            hosts: url.host_str().map(str::to_owned).into_iter().collect(),
            algorithms: vec![JwtAlgorithm::Rs256],
            b2c: None,
        })))
    }

    /// Expects endpoints of a [`generic`](Self::generic) provider on these hosts too. For Entra it
    /// changes nothing: its hosts are those of the cloud.
    #[must_use]
    pub fn with_endpoint_hosts<T: Into<String>>(
        mut self,
        hosts: impl IntoIterator<Item = T>,
    ) -> Self {
        if let Kind::Generic(generic) = &mut self.kind {
            generic.hosts.extend(
                hosts
                    .into_iter()
                    .map(|host| host.into().to_ascii_lowercase()),
            );
        }
        self
    }

    /// Expects ID tokens of a [`generic`](Self::generic) provider to be signed with one of these.
    /// For Entra it changes nothing: it signs with RS256.
    #[must_use]
    pub fn with_algorithms(mut self, algorithms: impl IntoIterator<Item = JwtAlgorithm>) -> Self {
        if let Kind::Generic(generic) = &mut self.kind {
            generic.algorithms = algorithms.into_iter().collect();
        }
        self
    }

    /// Says that the application has signing keys of its own, as with claims mapping: they are
    /// listed for the application alone (`?appid=`; Microsoft Learn, "Access tokens in the
    /// Microsoft identity platform", "Validate the signature").
    #[must_use]
    pub fn with_own_signing_keys(mut self) -> Self {
        self.own_signing_keys = true;
        self
    }

    /// Takes tokens of version 1.0 too, whose issuer is `https://sts.windows.net/{tenant}/`: for an
    /// API whose registration still asks for them.
    #[must_use]
    pub fn with_v1_tokens(mut self) -> Self {
        self.v1_tokens = true;
        self
    }

    pub(crate) fn kind(&self) -> &Kind {
        &self.kind
    }

    /// Where the configuration is published (OpenID Connect Discovery 1.0, section 4).
    pub(crate) fn openid_configuration(&self, client_id: &str) -> Result<Url, OptionsError> {
        let mut url = match &self.kind {
            Kind::Entra { cloud, tenants } => {
                entra_core::Authority::new(cloud.clone(), tenants.at()).openid_configuration()
            }
            Kind::ExternalId { cloud, tenant } => {
                entra_core::Authority::new(cloud.clone(), tenant.clone()).openid_configuration()
            }
            Kind::Generic(generic) => {
                Url::parse(&generic.openid_configuration()).map_err(|_| OptionsError::Issuer)?
            }
        };
        if self.own_signing_keys {
            url.query_pairs_mut().append_pair("appid", client_id);
        }
        Ok(url)
    }

    /// Whether it is one of Entra's, with tenants.
    pub(crate) fn is_entra(&self) -> bool {
        !matches!(self.kind, Kind::Generic(_))
    }

    /// The client id as it stands in tokens: a GUID in lower case for Entra, any text for others.
    pub(crate) fn client_id(&self, text: &str) -> Result<String, OptionsError> {
        match &self.kind {
            Kind::Entra { .. } | Kind::ExternalId { .. } => {
                let id: ClientId = text.parse().map_err(OptionsError::ClientId)?;
                Ok(id.to_string())
            }
            Kind::Generic(_) if text.is_empty() || text.contains(char::is_control) => {
                Err(OptionsError::ClientIdText)
            }
            Kind::Generic(_) => Ok(text.to_owned()),
        }
    }

    /// Which tokens are read at all.
    pub(crate) fn jwt_rules(&self) -> JwtRules {
        JwtRules::new().with_algorithms(self.algorithms())
    }

    /// How its keys name its cloud, as the configurations of these clouds say
    /// (`cloud_instance_name`). Of the others it is not known without asking them.
    pub(crate) fn cloud_instance_name(&self) -> Option<String> {
        let Kind::Entra { cloud, .. } = &self.kind else {
            return None;
        };
        let name = match cloud.login_url().host_str()? {
            "login.microsoftonline.com" => "microsoftonline.com",
            "login.microsoftonline.us" => "microsoftonline.us",
            "login.partner.microsoftonline.cn" => "partner.microsoftonline.cn",
            _ => return None,
        };
        Some(name.to_owned())
    }

    /// Whether it is Azure AD B2C.
    pub(crate) fn is_b2c(&self) -> bool {
        matches!(&self.kind, Kind::Generic(generic) if generic.b2c.is_some())
    }

    /// The algorithms with which it may sign.
    pub(crate) fn algorithms(&self) -> Vec<JwtAlgorithm> {
        match &self.kind {
            Kind::Entra { .. } | Kind::ExternalId { .. } => vec![JwtAlgorithm::Rs256],
            Kind::Generic(generic) => generic.algorithms.clone(),
        }
    }

    /// Which issuers its tokens may have, as far as the authority itself tells: nothing where
    /// something has to be resolved first.
    pub(crate) fn issuer_rule(&self) -> Option<IssuerRule> {
        let rule = match &self.kind {
            Kind::Entra { cloud, tenants } => {
                let template = Template::of(cloud);
                match tenants {
                    Tenants::One(Tenant::Id(id)) => template.for_tenant(*id),
                    Tenants::One(_) => return None,
                    Tenants::Personal => template.for_tenant(personal_tenant()),
                    Tenants::These(list) => template.for_tenants(list.clone()),
                    Tenants::AnyOrganization => template.for_organizations(),
                    Tenants::AnyAccount => template.for_anybody(),
                }
            }
            Kind::ExternalId { .. } => return None,
            // What its issuer is, it says itself.
            Kind::Generic(Generic { b2c: Some(_), .. }) => return None,
            Kind::Generic(generic) => IssuerRule::generic(&generic.issuer),
        };
        Some(self.widened(rule))
    }

    /// The same with what the configuration says: nothing where it names an issuer that this
    /// authority does not have.
    pub(crate) fn discovered_issuer_rule(&self, issuer: &str) -> Option<IssuerRule> {
        if let Some(rule) = self.issuer_rule() {
            return rule.accepts_configuration(issuer).then_some(rule);
        }
        let rule = match &self.kind {
            Kind::Entra { cloud, .. } => {
                let template = Template::of(cloud);
                let tenant = template.tenant_of(issuer)?;
                template.for_tenant(tenant)
            }
            Kind::ExternalId { cloud, tenant } => {
                let found = tenant_of_external_id(cloud, issuer)?;
                let is_other = matches!(tenant, Tenant::Id(id) if *id != found);
                if is_other {
                    return None;
                }
                IssuerRule::external_id(issuer, found)
            }
            Kind::Generic(generic) => {
                let b2c = generic.b2c.as_ref()?;
                let is_own = [generic.issuer.clone(), generic.policy_issuer(b2c)];
                if !is_own.iter().any(|own| own == issuer) {
                    return None;
                }
                IssuerRule::b2c(issuer, &b2c.policy)
            }
        };
        Some(self.widened(rule))
    }

    /// What the configuration should name as its issuer, for people.
    pub(crate) fn expected_issuer(&self) -> String {
        match (&self.kind, self.issuer_rule()) {
            (_, Some(rule)) => rule.expected_configuration(),
            (Kind::ExternalId { .. }, None) => {
                "https://{tenant id}.ciamlogin.com/{tenant id}/v2.0".to_owned()
            }
            (Kind::Entra { cloud, .. }, None) => {
                format!("{}{{tenant id}}/v2.0", cloud.login_url())
            }
            (Kind::Generic(generic), None) => generic.issuer.clone(),
        }
    }

    /// Whether an endpoint may be here: by https, on a host of the authority.
    pub(crate) fn accepts_endpoint(&self, endpoint: &Url) -> bool {
        let Some(host) = endpoint.host_str() else {
            return false;
        };
        let is_at = |url: &Url| {
            (url.scheme(), url.port_or_known_default())
                == (endpoint.scheme(), endpoint.port_or_known_default())
        };
        match &self.kind {
            Kind::Entra { cloud, .. } => {
                let login = cloud.is_login_host(host) && is_at(cloud.login_url());
                login || endpoint.origin() == cloud.graph_url().origin()
            }
            Kind::ExternalId { cloud, .. } => {
                let login = cloud.is_login_host(host) || host.ends_with(EXTERNAL_ID_DOMAIN);
                (login && is_at(cloud.login_url()))
                    || endpoint.origin() == cloud.graph_url().origin()
            }
            Kind::Generic(generic) => {
                entra_core::is_secure_url(endpoint) && generic.hosts.iter().any(|own| own == host)
            }
        }
    }

    fn widened(&self, rule: IssuerRule) -> IssuerRule {
        if self.v1_tokens { rule.with_v1() } else { rule }
    }

    fn entra(cloud: Cloud, tenants: Tenants) -> Self {
        Self::new(Kind::Entra { cloud, tenants })
    }

    fn new(kind: Kind) -> Self {
        Self {
            kind,
            own_signing_keys: false,
            v1_tokens: false,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Entra { cloud: Cloud, tenants: Tenants },
    ExternalId { cloud: Cloud, tenant: Tenant },
    Generic(Generic),
}

/// Which tenants of a cloud.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Tenants {
    One(Tenant),
    These(Vec<TenantId>),
    AnyOrganization,
    AnyAccount,
    Personal,
}

impl Tenants {
    /// At which of Entra's endpoints they all sign in.
    pub(crate) fn at(&self) -> Tenant {
        match self {
            Self::One(tenant) => tenant.clone(),
            Self::These(tenants) => match tenants.as_slice() {
                [one] => Tenant::Id(*one),
                several if several.contains(&personal_tenant()) => Tenant::Common,
                _ => Tenant::Organizations,
            },
            Self::AnyOrganization => Tenant::Organizations,
            Self::AnyAccount => Tenant::Common,
            Self::Personal => Tenant::Consumers,
        }
    }
}

/// A provider that is not Entra.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Generic {
    pub(crate) issuer: String,
    /// Where its endpoints may be.
    pub(crate) hosts: Vec<String>,
    pub(crate) algorithms: Vec<JwtAlgorithm>,
    /// What is different where it is Azure AD B2C.
    pub(crate) b2c: Option<B2c>,
}

impl Generic {
    /// Where its configuration is published.
    fn openid_configuration(&self) -> String {
        let base = match &self.b2c {
            // The issuer does not name the policy, whose configuration it is.
            Some(B2c { tenant, policy }) => self.issuer.replace(
                &format!("{tenant}/v2.0"),
                &format!("{tenant}/{policy}/v2.0"),
            ),
            None => self.issuer.clone(),
        };
        let base = base.trim_end_matches('/');
        format!("{base}/.well-known/openid-configuration")
    }

    /// The other issuer that a policy of Azure AD B2C may have (Microsoft Learn, "Configure
    /// tokens - Azure Active Directory B2C", "Issuer (iss) claim").
    fn policy_issuer(&self, b2c: &B2c) -> String {
        let B2c { tenant, policy } = b2c;
        let policy = policy.to_ascii_lowercase();
        let path = format!("/tfp/{tenant}/{policy}/v2.0");
        self.issuer.replace(&format!("/{tenant}/v2.0"), &path)
    }
}

/// One policy of an Azure AD B2C tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct B2c {
    pub(crate) tenant: TenantId,
    pub(crate) policy: String,
}

fn is_label(text: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    !text.is_empty() && text.bytes().all(is_letter)
}

/// The tenant in the issuer of an External ID tenant: most often host and path, sometimes under the
/// host of its sign-in or of the public cloud.
fn tenant_of_external_id(cloud: &Cloud, issuer: &str) -> Option<TenantId> {
    let path = issuer.strip_suffix("/v2.0")?;
    let (host, tenant) = path.rsplit_once('/')?;
    let tenant = canonical_tenant(tenant)?;
    let own = cloud.login_url().as_str().trim_end_matches('/');
    let public = Cloud::public();
    let public = public.login_url().as_str().trim_end_matches('/');
    let by_id = format!("https://{tenant}{EXTERNAL_ID_DOMAIN}");
    [own, public, &by_id].contains(&host).then_some(tenant)
}

const EXTERNAL_ID_DOMAIN: &str = ".ciamlogin.com";

/// The tenant of personal Microsoft accounts (Microsoft Learn, "ID token claims reference").
pub(crate) fn personal_tenant() -> TenantId {
    TenantId::from(PERSONAL)
}

const PERSONAL: uuid::Uuid = uuid::uuid!("9188040d-6c67-4c5b-b112-36a304b66dad");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_on_hosts_of_the_authority_by_https() {
        let tenant: TenantId = "9b3c2a10-0d5f-4f2e-9c55-5a0f3a3d7d11".parse().unwrap();
        let external = Authority::external_id("contoso", Tenant::Id(tenant)).unwrap();
        let generic = Authority::generic("https://login.example/x").unwrap();
        let entra = Authority::any_organization(Cloud::public());
        for (authority, endpoint, expected) in [
            (&external, "https://contoso.ciamlogin.com/keys", true),
            (&external, "https://graph.microsoft.com/oidc/userinfo", true),
            (&external, "http://contoso.ciamlogin.com/keys", false),
            (&external, "https://contoso.ciamlogin.com:8443/keys", false),
            (&external, "https://ciamlogin.com.evil.example/keys", false),
            (&external, "https://evilciamlogin.com/keys", false),
            (&external, "https://login.microsoftonline.com/keys", false),
            (&generic, "https://login.example/keys", true),
            (&generic, "http://login.example/keys", false),
            (&generic, "https://keys.login.example/keys", false),
            (&entra, "https://login.microsoftonline.com/keys", true),
            (&entra, "https://login.microsoftonline.us/keys", false),
            (&entra, "https://contoso.ciamlogin.com/keys", false),
        ] {
            let url = endpoint.parse().unwrap();
            assert_eq!(authority.accepts_endpoint(&url), expected, "{endpoint}");
        }
    }

    #[test]
    fn an_external_id_tenant_is_named_by_a_host_of_its_own() {
        let id = "9b3c2a10-0d5f-4f2e-9c55-5a0f3a3d7d11";
        let other = "11111111-2222-4333-8444-555555555555";
        let tenant: TenantId = id.parse().unwrap();
        let pinned = Authority::external_id("contoso", Tenant::Id(tenant)).unwrap();
        for (issuer, expected) in [
            (format!("https://{id}.ciamlogin.com/{id}/v2.0"), true),
            (format!("https://contoso.ciamlogin.com/{id}/v2.0"), true),
            (format!("https://{other}.ciamlogin.com/{other}/v2.0"), false),
            (format!("https://{other}.ciamlogin.com/{id}/v2.0"), false),
            (format!("https://evil.example/{id}/v2.0"), false),
            (format!("http://{id}.ciamlogin.com/{id}/v2.0"), false),
        ] {
            let rule = pinned.discovered_issuer_rule(&issuer);
            assert_eq!(rule.is_some(), expected, "{issuer}");
        }
    }
}
