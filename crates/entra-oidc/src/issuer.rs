//! Which issuer a token may have, and which tenant that makes it one of.

use entra_core::{Cloud, TenantId};

use crate::authority::personal_tenant;

/// Which issuers are accepted, in which form, and for which tenants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IssuerRule {
    form: Form,
    tenants: Accepted,
    /// Whether the issuers of version 1.0 are accepted too, and where theirs are.
    v1: Option<String>,
    /// The policy of Azure AD B2C by which users sign in.
    policy: Option<String>,
}

impl IssuerRule {
    /// An External ID tenant, whose issuer its configuration names.
    pub(crate) fn external_id(issuer: &str, tenant: TenantId) -> Self {
        Self {
            form: Form::Exact(issuer.to_owned()),
            tenants: Accepted::One(tenant),
            v1: None,
            policy: None,
        }
    }

    /// A provider that is not Entra.
    pub(crate) fn generic(issuer: &str) -> Self {
        Self {
            form: Form::Exact(issuer.to_owned()),
            tenants: Accepted::None,
            v1: None,
            policy: None,
        }
    }

    /// A policy of Azure AD B2C, whose issuer its configuration names.
    pub(crate) fn b2c(issuer: &str, policy: &str) -> Self {
        Self {
            policy: Some(policy.to_owned()),
            ..Self::generic(issuer)
        }
    }

    /// The policy of Azure AD B2C by which users sign in.
    pub(crate) fn policy(&self) -> Option<&str> {
        self.policy.as_deref()
    }

    /// The same, and issuers of version 1.0.
    pub(crate) fn with_v1(mut self) -> Self {
        if let Form::Template(template) = &self.form {
            self.v1 = Some(template.v1.clone());
        }
        self
    }

    /// Whether tokens are Entra's, with a tenant.
    pub(crate) fn is_entra(&self) -> bool {
        self.tenants != Accepted::None
    }

    /// The tenant, where it is one alone.
    pub(crate) fn one_tenant(&self) -> Option<TenantId> {
        match self.tenants {
            Accepted::One(tenant) => Some(tenant),
            _ => None,
        }
    }

    /// Whether the configuration may name itself so: with `{tenantid}` where it is one for several
    /// tenants.
    pub(crate) fn accepts_configuration(&self, issuer: &str) -> bool {
        match (&self.form, &self.tenants) {
            (Form::Exact(exact), _) => exact == issuer,
            (Form::Template(template), Accepted::One(tenant)) => {
                template.issuer(&tenant.to_string()) == issuer
            }
            (Form::Template(template), _) => template.issuer(PLACEHOLDER) == issuer,
        }
    }

    /// How the configuration should name itself.
    pub(crate) fn expected_configuration(&self) -> String {
        match (&self.form, &self.tenants) {
            (Form::Exact(exact), _) => exact.clone(),
            (Form::Template(template), Accepted::One(tenant)) => {
                template.issuer(&tenant.to_string())
            }
            (Form::Template(template), _) => template.issuer(PLACEHOLDER),
        }
    }

    /// Whether it is an issuer of version 1.0 of the same cloud, which is not accepted.
    pub(crate) fn is_v1(&self, issuer: &str) -> bool {
        match &self.form {
            Form::Exact(_) => false,
            Form::Template(template) => template.read(issuer, &template.v1, "/").is_some(),
        }
    }

    /// What a key for the tenant should say of its issuer.
    pub(crate) fn expected_key_issuer(&self, tenant: Option<TenantId>) -> String {
        match (&self.form, tenant) {
            (Form::Template(template), Some(tenant)) => template.issuer(&tenant.to_string()),
            _ => self.expected_configuration(),
        }
    }

    /// Reads a token's issuer: which form it is of, and which tenant it names.
    pub(crate) fn read(&self, issuer: &str) -> Option<FoundIssuer> {
        match &self.form {
            Form::Exact(exact) => (exact == issuer).then_some(FoundIssuer {
                tenant: match self.tenants {
                    Accepted::One(tenant) => Some(tenant),
                    _ => None,
                },
                is_v1: false,
            }),
            Form::Template(template) => template
                .read(issuer, &template.v2, "/v2.0")
                .map(|tenant| (tenant, false))
                .or_else(|| {
                    let v1 = self.v1.as_deref()?;
                    template.read(issuer, v1, "/").map(|tenant| (tenant, true))
                })
                .map(|(tenant, is_v1)| FoundIssuer {
                    tenant: Some(tenant),
                    is_v1,
                }),
        }
    }

    /// Whether a key that says this of its issuer may sign for the tenant. Keys are published in
    /// the form of version 2.0, with `{tenantid}` or one tenant, and without any by some providers.
    pub(crate) fn accepts_key_issuer(&self, key_issuer: &str, tenant: Option<TenantId>) -> bool {
        match (&self.form, tenant) {
            (Form::Exact(exact), None) => key_issuer == exact,
            (Form::Exact(exact), Some(tenant)) => {
                key_issuer.replace(PLACEHOLDER, &tenant.to_string()) == *exact
            }
            (Form::Template(template), Some(tenant)) => template
                .tenant_text(key_issuer)
                .is_some_and(|text| text == PLACEHOLDER || is_written_as(text, tenant.as_uuid())),
            (Form::Template(_), None) => false,
        }
    }

    /// Whether users of this tenant may sign in.
    pub(crate) fn accepts_tenant(&self, tenant: TenantId) -> TenantVerdict {
        let is_personal = tenant == personal_tenant();
        let accepted = match &self.tenants {
            Accepted::None => false,
            Accepted::One(one) => *one == tenant,
            Accepted::These(list) => list.contains(&tenant),
            Accepted::Organizations => !is_personal,
            Accepted::Anybody => true,
        };
        match (accepted, is_personal) {
            (true, _) => TenantVerdict::Accepted,
            (false, true) => TenantVerdict::PersonalAccount,
            (false, false) => TenantVerdict::NotAllowed,
        }
    }
}

/// What a token's issuer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FoundIssuer {
    pub(crate) tenant: Option<TenantId>,
    pub(crate) is_v1: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TenantVerdict {
    Accepted,
    PersonalAccount,
    NotAllowed,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Form {
    Exact(String),
    Template(Template),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Accepted {
    /// It has no tenants.
    None,
    One(TenantId),
    These(Vec<TenantId>),
    Organizations,
    Anybody,
}

/// The issuers of a cloud: a tenant's id between two fixed texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template {
    /// What stands before the tenant in version 2.0.
    v2: String,
    /// The same in version 1.0.
    v1: String,
}

impl Template {
    /// Microsoft Learn, "Access tokens in the Microsoft identity platform" and "National clouds".
    pub(crate) fn of(cloud: &Cloud) -> Self {
        let v1 = match cloud.name() {
            "china" => "https://sts.chinacloudapi.cn/",
            _ => "https://sts.windows.net/",
        };
        Self {
            v2: cloud.login_url().to_string(),
            v1: v1.to_owned(),
        }
    }

    pub(crate) fn for_tenant(self, tenant: TenantId) -> IssuerRule {
        self.rule(Accepted::One(tenant))
    }

    pub(crate) fn for_tenants(self, tenants: Vec<TenantId>) -> IssuerRule {
        match tenants.as_slice() {
            [one] => self.rule(Accepted::One(*one)),
            _ => self.rule(Accepted::These(tenants)),
        }
    }

    pub(crate) fn for_organizations(self) -> IssuerRule {
        self.rule(Accepted::Organizations)
    }

    pub(crate) fn for_anybody(self) -> IssuerRule {
        self.rule(Accepted::Anybody)
    }

    /// The tenant of a configuration that was fetched by a domain.
    pub(crate) fn tenant_of(&self, issuer: &str) -> Option<TenantId> {
        self.read(issuer, &self.v2, "/v2.0")
    }

    fn issuer(&self, tenant: &str) -> String {
        format!("{}{tenant}/v2.0", self.v2)
    }

    /// What stands in the tenant's place in an issuer of version 2.0.
    fn tenant_text<'a>(&self, issuer: &'a str) -> Option<&'a str> {
        issuer.strip_prefix(&self.v2)?.strip_suffix("/v2.0")
    }

    fn read(&self, issuer: &str, before: &str, after: &str) -> Option<TenantId> {
        let tenant = issuer.strip_prefix(before)?.strip_suffix(after)?;
        canonical_tenant(tenant)
    }

    fn rule(self, tenants: Accepted) -> IssuerRule {
        IssuerRule {
            form: Form::Template(self),
            tenants,
            v1: None,
            policy: None,
        }
    }
}

/// A tenant's id in the one form in which Entra writes it: lower case, with hyphens.
pub(crate) fn canonical_tenant(text: &str) -> Option<TenantId> {
    let tenant: TenantId = text.parse().ok()?;
    is_written_as(text, tenant.as_uuid()).then_some(tenant)
}

/// Whether the text is the id in the one form in which Entra writes it.
pub(crate) fn is_written_as(text: &str, id: &uuid::Uuid) -> bool {
    let mut buffer = [0; uuid::fmt::Hyphenated::LENGTH];
    *id.hyphenated().encode_lower(&mut buffer) == *text
}

const PLACEHOLDER: &str = "{tenantid}";

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "9b3c2a10-0d5f-4f2e-9c55-5a0f3a3d7d11";
    const PERSONAL: &str = "9188040d-6c67-4c5b-b112-36a304b66dad";

    fn id() -> TenantId {
        ID.parse().unwrap()
    }

    #[test]
    fn an_issuer_is_read_letter_by_letter() {
        let rule = Template::of(&Cloud::public()).for_organizations();
        let found = rule.read(&format!("https://login.microsoftonline.com/{ID}/v2.0"));
        assert_eq!(
            found,
            Some(FoundIssuer {
                tenant: Some(id()),
                is_v1: false
            })
        );
        for other in [
            format!("https://login.microsoftonline.com/{ID}/v2.0/"),
            format!("https://login.microsoftonline.com/{ID}"),
            format!(
                "https://login.microsoftonline.com/{}/v2.0",
                ID.to_uppercase()
            ),
            format!("https://login.microsoftonline.com/{{{ID}}}/v2.0"),
            format!("https://LOGIN.microsoftonline.com/{ID}/v2.0"),
            format!("http://login.microsoftonline.com/{ID}/v2.0"),
            format!("https://login.microsoftonline.com:443/{ID}/v2.0"),
            format!("https://login.microsoftonline.us/{ID}/v2.0"),
            format!("https://login.microsoftonline.com@evil.example/{ID}/v2.0"),
            "https://login.microsoftonline.com/{tenantid}/v2.0".to_owned(),
            "https://login.microsoftonline.com/common/v2.0".to_owned(),
            format!("https://sts.windows.net/{ID}/"),
            String::new(),
        ] {
            assert_eq!(rule.read(&other), None, "{other}");
        }
    }

    #[test]
    fn an_issuer_of_version_1_is_read_only_when_asked_for() {
        let v1 = format!("https://sts.windows.net/{ID}/");
        let rule = Template::of(&Cloud::public()).for_tenant(id());
        assert_eq!(rule.read(&v1), None);
        let found = rule.with_v1().read(&v1).unwrap();
        assert!(found.is_v1);
        let china = Template::of(&Cloud::china()).for_tenant(id()).with_v1();
        assert_eq!(china.read(&v1), None);
        assert!(
            china
                .read(&format!("https://sts.chinacloudapi.cn/{ID}/"))
                .is_some()
        );
    }

    #[test]
    fn a_configuration_for_several_tenants_names_itself_with_a_placeholder() {
        let several = Template::of(&Cloud::public()).for_organizations();
        let template = "https://login.microsoftonline.com/{tenantid}/v2.0";
        let exact = format!("https://login.microsoftonline.com/{ID}/v2.0");
        assert!(several.accepts_configuration(template));
        assert!(!several.accepts_configuration(&exact));
        let one = Template::of(&Cloud::public()).for_tenant(id());
        assert!(one.accepts_configuration(&exact));
        assert!(!one.accepts_configuration(template));
    }

    #[test]
    fn the_key_of_personal_accounts_signs_for_no_organisation() {
        let rule = Template::of(&Cloud::public()).for_anybody();
        let personal = format!("https://login.microsoftonline.com/{PERSONAL}/v2.0");
        let template = "https://login.microsoftonline.com/{tenantid}/v2.0";
        let tenant = Some(id());
        assert!(rule.accepts_key_issuer(template, tenant));
        assert!(!rule.accepts_key_issuer(&personal, tenant));
        assert!(rule.accepts_key_issuer(&personal, PERSONAL.parse().ok()));
    }

    #[test]
    fn who_may_sign_in_depends_on_the_tenant() {
        let public = || Template::of(&Cloud::public());
        let personal: TenantId = PERSONAL.parse().unwrap();
        let other: TenantId = "11111111-2222-4333-8444-555555555555".parse().unwrap();
        use TenantVerdict::{Accepted, NotAllowed, PersonalAccount};
        for (rule, expected) in [
            (
                public().for_tenant(id()),
                [Accepted, NotAllowed, PersonalAccount],
            ),
            (
                public().for_tenants(vec![id(), other]),
                [Accepted, Accepted, PersonalAccount],
            ),
            (
                public().for_organizations(),
                [Accepted, Accepted, PersonalAccount],
            ),
            (public().for_anybody(), [Accepted, Accepted, Accepted]),
        ] {
            let found = [id(), other, personal].map(|tenant| rule.accepts_tenant(tenant));
            assert_eq!(found, expected, "{rule:?}");
        }
    }
}
