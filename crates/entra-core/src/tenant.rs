//! Tenants, applications and objects by their ids, and the authority that signs them in.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use url::Url;
use uuid::Uuid;

use crate::Cloud;

/// Declares a GUID newtype that is parsed from what people paste.
macro_rules! guid {
    ($(#[$doc:meta])* $name:ident, $kind:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// Reads an id as it is pasted: surrounding spaces, quotes and braces are dropped.
            pub fn parse(text: &str) -> Result<Self, IdError> {
                parse_guid(text, $kind).map(Self)
            }

            /// The GUID.
            pub fn as_uuid(&self) -> &Uuid {
                &self.0
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::parse(text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }
    };
}

guid! {
    /// The id of a tenant («Directory (tenant) ID» in the portal).
    ///
    /// ```
    /// use entra_core::{IdError, IdKind, TenantId};
    ///
    /// let pasted = " {72F988BF-86F1-41AF-91AB-2D7CD011DB47} ";
    /// let tenant = TenantId::parse(pasted)?;
    /// assert_eq!(tenant.to_string(), "72f988bf-86f1-41af-91ab-2d7cd011db47");
    ///
    /// let error = TenantId::parse("https://contoso.example/").unwrap_err();
    /// assert!(matches!(error, IdError::Url { kind: IdKind::Tenant, .. }));
    /// # Ok::<(), IdError>(())
    /// ```
    TenantId, IdKind::Tenant
}

guid! {
    /// The id of an application («Application (client) ID» in the portal).
    ClientId, IdKind::Client
}

guid! {
    /// The id of one object in a directory: an application's registration, a service principal,
    /// a user, a group or a device («Object ID» in the portal).
    ObjectId, IdKind::Object
}

/// Which tenant to sign in to: by id, by one of its domains, or an endpoint for several tenants.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Tenant {
    /// The tenant's id: the form to prefer, since a domain may move.
    Id(TenantId),
    /// One of the tenant's verified domains, in lower case.
    Domain(String),
    /// Any organisation's accounts.
    Organizations,
    /// Any organisation's and personal accounts.
    Common,
    /// Personal Microsoft accounts.
    Consumers,
}

impl Tenant {
    /// Reads a tenant as it is pasted: an id, a verified domain, or one of `organizations`,
    /// `common`, `consumers`.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let trimmed = trim(text);
        match trimmed.to_ascii_lowercase().as_str() {
            "organizations" => return Ok(Self::Organizations),
            "common" => return Ok(Self::Common),
            "consumers" => return Ok(Self::Consumers),
            _ => {}
        }
        match TenantId::parse(trimmed) {
            Ok(id) => Ok(Self::Id(id)),
            Err(IdError::NotAGuid { .. }) if is_domain(trimmed) => {
                Ok(Self::Domain(trimmed.to_ascii_lowercase()))
            }
            Err(error) => Err(error),
        }
    }

    /// The path segment that stands for it in an authority's URLs.
    pub fn segment(&self) -> String {
        match self {
            Self::Id(id) => id.to_string(),
            Self::Domain(domain) => domain.clone(),
            Self::Organizations => "organizations".to_owned(),
            Self::Common => "common".to_owned(),
            Self::Consumers => "consumers".to_owned(),
        }
    }

    /// Whether it names one tenant. Grants without a user work with such a tenant alone.
    pub fn is_single(&self) -> bool {
        matches!(self, Self::Id(_) | Self::Domain(_))
    }
}

impl From<TenantId> for Tenant {
    fn from(id: TenantId) -> Self {
        Self::Id(id)
    }
}

impl FromStr for Tenant {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        Self::parse(text)
    }
}

impl fmt::Display for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.segment())
    }
}

/// A tenant in a cloud: the party that issues tokens.
///
/// ```
/// use entra_core::{Authority, Cloud, Tenant};
///
/// let authority = Authority::new(Cloud::public(), Tenant::parse("contoso.onmicrosoft.com")?);
/// assert_eq!(
///     authority.token_endpoint().as_str(),
///     "https://login.microsoftonline.com/contoso.onmicrosoft.com/oauth2/v2.0/token",
/// );
/// # Ok::<(), entra_core::IdError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Authority {
    cloud: Cloud,
    tenant: Tenant,
}

impl Authority {
    /// The authority of `tenant` in `cloud`.
    pub fn new(cloud: Cloud, tenant: impl Into<Tenant>) -> Self {
        Self {
            cloud,
            tenant: tenant.into(),
        }
    }

    /// The cloud in which the tenant lives.
    pub fn cloud(&self) -> &Cloud {
        &self.cloud
    }

    /// The tenant.
    pub fn tenant(&self) -> &Tenant {
        &self.tenant
    }

    /// The OAuth 2.0 token endpoint (RFC 6749 3.2), version 2.0 of the platform.
    pub fn token_endpoint(&self) -> Url {
        self.url("oauth2/v2.0/token")
    }

    /// The authorization endpoint (RFC 6749 3.1), to which a user's browser is sent.
    pub fn authorization_endpoint(&self) -> Url {
        self.url("oauth2/v2.0/authorize")
    }

    /// The device authorization endpoint (RFC 8628 3.1).
    pub fn device_code_endpoint(&self) -> Url {
        self.url("oauth2/v2.0/devicecode")
    }

    /// The same cloud's authority of another tenant.
    #[must_use]
    pub fn with_tenant(&self, tenant: impl Into<Tenant>) -> Self {
        Self::new(self.cloud.clone(), tenant)
    }

    /// The OpenID Provider configuration (OpenID Connect Discovery 1.0, section 4).
    pub fn openid_configuration(&self) -> Url {
        self.url("v2.0/.well-known/openid-configuration")
    }

    fn url(&self, path: &str) -> Url {
        let mut url = self.cloud.login_url().clone();
        url.set_path(&format!("{}/{path}", self.tenant.segment()));
        url
    }
}

/// Why a text is not an id. Plain data, without the text itself where it may be a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdError {
    /// Nothing was given.
    #[error("the {kind} is empty")]
    Empty {
        /// Which id was expected.
        kind: IdKind,
    },
    /// A URL was pasted, maybe the portal's address.
    #[error("a URL was given where the {kind} is expected{}", hint(.contains))]
    Url {
        /// Which id was expected.
        kind: IdKind,
        /// The first GUID in the URL, often the one that was meant.
        contains: Option<Uuid>,
    },
    /// It is no GUID. The text is not repeated, since it may be a secret in the wrong field.
    #[error(
        "the {kind} is a GUID like 00000000-0000-0000-0000-000000000000{}, not a text of {length} characters",
        or_domain(.kind)
    )]
    NotAGuid {
        /// Which id was expected.
        kind: IdKind,
        /// How many characters were given.
        length: usize,
    },
    /// The GUID of zeros, which names nothing.
    #[error("the {kind} consists of zeros only")]
    Nil {
        /// Which id was expected.
        kind: IdKind,
    },
}

/// Which of the ids a text was read as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum IdKind {
    /// The directory (tenant) id.
    Tenant,
    /// The application (client) id.
    Client,
    /// An object id.
    Object,
}

impl fmt::Display for IdKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tenant => "directory (tenant) id",
            Self::Client => "application (client) id",
            Self::Object => "object id",
        })
    }
}

/// Whether a text has the form of a GUID, in any of the ways in which one is pasted.
pub(crate) fn is_guid(text: &str) -> bool {
    Uuid::try_parse(trim(text)).is_ok()
}

fn parse_guid(text: &str, kind: IdKind) -> Result<Uuid, IdError> {
    let trimmed = trim(text);
    if trimmed.is_empty() {
        return Err(IdError::Empty { kind });
    }
    if trimmed.contains("://") {
        return Err(IdError::Url {
            kind,
            contains: guid_within(trimmed),
        });
    }
    let id = Uuid::try_parse(trimmed).map_err(|_| IdError::NotAGuid {
        kind,
        length: trimmed.chars().count(),
    })?;
    if id.is_nil() {
        return Err(IdError::Nil { kind });
    }
    Ok(id)
}

fn trim(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || matches!(c, '{' | '}' | '"' | '\''))
}

fn guid_within(text: &str) -> Option<Uuid> {
    text.split(|c: char| !(c.is_ascii_hexdigit() || c == '-'))
        .filter(|part| part.len() == 36)
        .find_map(|part| Uuid::try_parse(part).ok())
}

fn or_domain(kind: &IdKind) -> &'static str {
    match kind {
        IdKind::Tenant => ", or one of the tenant's domains like contoso.onmicrosoft.com",
        IdKind::Client | IdKind::Object => "",
    }
}

fn hint(contains: &Option<Uuid>) -> String {
    contains
        .map(|id| format!("; it contains {id}"))
        .unwrap_or_default()
}

/// A name with at least two labels of letters, digits and hyphens (RFC 1035 2.3.1).
fn is_domain(text: &str) -> bool {
    text.len() <= 253
        && text.contains('.')
        && text.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_is_an_id_a_domain_or_a_well_known_name() {
        let id = TenantId::parse("72f988bf-86f1-41af-91ab-2d7cd011db47").unwrap();
        for (text, expected) in [
            ("72f988bf-86f1-41af-91ab-2d7cd011db47", Tenant::Id(id)),
            ("\"72F988BF-86F1-41AF-91AB-2D7CD011DB47\"", Tenant::Id(id)),
            (
                "Contoso.OnMicrosoft.com",
                Tenant::Domain("contoso.onmicrosoft.com".into()),
            ),
            ("Common", Tenant::Common),
            ("organizations", Tenant::Organizations),
            ("consumers", Tenant::Consumers),
        ] {
            assert_eq!(Tenant::parse(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_not_an_id_is_refused_by_name() {
        let kind = IdKind::Tenant;
        let contains = Uuid::try_parse("72f988bf-86f1-41af-91ab-2d7cd011db47").ok();
        for (text, expected) in [
            ("", IdError::Empty { kind }),
            (" {} ", IdError::Empty { kind }),
            ("contoso", IdError::NotAGuid { kind, length: 7 }),
            ("-a.example", IdError::NotAGuid { kind, length: 10 }),
            (
                "00000000-0000-0000-0000-000000000000",
                IdError::Nil { kind },
            ),
            (
                "https://contoso.com",
                IdError::Url {
                    kind,
                    contains: None,
                },
            ),
            (
                "https://login.microsoftonline.com/72f988bf-86f1-41af-91ab-2d7cd011db47/v2.0",
                IdError::Url { kind, contains },
            ),
        ] {
            assert_eq!(Tenant::parse(text), Err(expected), "{text}");
        }
    }

    #[test]
    fn a_refusal_does_not_repeat_the_text() {
        let error = ClientId::parse("my~secret~in~the~wrong~field").unwrap_err();
        assert!(!error.to_string().contains("secret~in"));
        assert!(!format!("{error:?}").contains("secret~in"));
    }
}
