//! What a product stores of its link to a tenant, from the first draft to the last test.

use std::fmt;

use serde::{Deserialize, Serialize};
use time::{OffsetDateTime, UtcOffset};
use url::Url;

use crate::profile_document::{Document, Rest};
use crate::{
    Authority, ClientId, Cloud, CloudError, CredentialReference, Finding, Outcome, TenantId,
};

/// The link of a product to one tenant: where the tenant lives, which application the product is
/// there, where its credential is kept, what it wants, and how the last test ended.
///
/// It has no place for a secret, so that it may be stored, shown and logged; one that is recognised
/// in a wrong place is refused when it is read or written. It begins as a draft, before
/// anything is known of a tenant, becomes linked once everything is known, and is tested as often
/// as one likes. What was tested and then changed counts as untested.
///
/// ```
/// use entra_core::{
///     Authority, ClientId, Cloud, ConnectionProfile, CredentialReference, Finding, NextStep,
///     TenantId, WantedPermission,
/// };
/// use time::macros::datetime;
///
/// let now = datetime!(2026-02-03 09:00 UTC);
/// let mut profile = ConnectionProfile::draft("Contoso", now)
///     .with_permission(WantedPermission::application("User.Read.All"));
/// assert_eq!(profile.next_step(now), Some(NextStep::Tenant));
///
/// let tenant = TenantId::parse("72f988bf-86f1-41af-91ab-2d7cd011db47")?;
/// profile.set_tenant(Cloud::public(), tenant)?;
/// profile.set_client_id(ClientId::parse("11111111-2222-4333-8444-555555555555")?)?;
/// profile.set_credential(CredentialReference::client_secret("vault:entra/contoso")?);
/// profile.link(now)?;
/// assert_eq!(profile.next_step(now), Some(NextStep::Test));
///
/// profile.record_test(&[Finding::passed("credential", "accepted")], now)?;
/// assert_eq!(profile.next_step(now), None);
///
/// let stored = profile.to_json()?;
/// let read = ConnectionProfile::from_json(&stored)?;
/// assert_eq!(read.authority()?, Authority::new(Cloud::public(), tenant));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Times are kept in UTC and to the second. Stored, it is a JSON object with a `version`. Another version is refused; members that this
/// version does not know are kept and written again, so that an older product does not lose what a
/// newer one stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Document", into = "Document")]
pub struct ConnectionProfile {
    pub(crate) name: String,
    pub(crate) cloud: Cloud,
    pub(crate) permissions: Vec<WantedPermission>,
    pub(crate) redirect_uris: Vec<String>,
    pub(crate) drafted_at: OffsetDateTime,
    pub(crate) stage: Stage,
    pub(crate) rest: Rest,
}

/// What is known: anything or nothing in a draft, everything in a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Draft {
        tenant_id: Option<TenantId>,
        client_id: Option<ClientId>,
        credential: Option<CredentialReference>,
    },
    Linked {
        tenant_id: TenantId,
        client_id: ClientId,
        credential: CredentialReference,
        linked_at: OffsetDateTime,
        last_test: Option<TestRecord>,
    },
}

impl ConnectionProfile {
    /// A draft of which nothing is known but what people call it.
    pub fn draft(name: impl Into<String>, now: OffsetDateTime) -> Self {
        Self {
            name: name.into(),
            cloud: Cloud::public(),
            permissions: Vec::new(),
            redirect_uris: Vec::new(),
            drafted_at: utc(now),
            stage: Stage::Draft {
                tenant_id: None,
                client_id: None,
                credential: None,
            },
            rest: Rest::default(),
        }
    }

    /// Wants this permission, too.
    #[must_use]
    pub fn with_permission(mut self, permission: WantedPermission) -> Self {
        if !self.permissions.contains(&permission) {
            self.permissions.push(permission);
            self.forget_test();
        }
        self
    }

    /// Wants sign-ins to come back to this URI, too. It is kept to the letter, since Entra
    /// compares it so.
    pub fn with_redirect_uri(mut self, uri: impl Into<String>) -> Result<Self, ProfileError> {
        let uri = redirect_uri(uri.into())?;
        if !self.redirect_uris.contains(&uri) {
            self.redirect_uris.push(uri);
            self.forget_test();
        }
        Ok(self)
    }

    /// Wants these permissions and no others.
    pub fn set_permissions(&mut self, permissions: impl IntoIterator<Item = WantedPermission>) {
        self.permissions = permissions.into_iter().collect();
        self.forget_test();
    }

    /// What people call it from now on.
    pub fn rename(&mut self, name: impl Into<String>) {
        self.name = name.into();
    }

    /// The tenant, and the cloud in which it was found. A linked profile stays with its tenant.
    pub fn set_tenant(&mut self, cloud: Cloud, tenant: TenantId) -> Result<(), ProfileError> {
        let Stage::Draft { tenant_id, .. } = &mut self.stage else {
            return Err(ProfileError::AlreadyLinked);
        };
        *tenant_id = Some(tenant);
        self.cloud = cloud;
        self.rest.cloud.clear();
        Ok(())
    }

    /// The application that the product is in the tenant. A linked profile stays with it.
    pub fn set_client_id(&mut self, client: ClientId) -> Result<(), ProfileError> {
        let Stage::Draft { client_id, .. } = &mut self.stage else {
            return Err(ProfileError::AlreadyLinked);
        };
        *client_id = Some(client);
        Ok(())
    }

    /// Where the credential is: the first one, or the one that follows it in a rotation.
    pub fn set_credential(&mut self, reference: CredentialReference) {
        match &mut self.stage {
            Stage::Draft { credential, .. } => *credential = Some(reference),
            Stage::Linked { credential, .. } => *credential = reference,
        }
        self.forget_test();
    }

    /// The draft is complete and registered in the tenant: from now on the product uses it.
    pub fn link(&mut self, now: OffsetDateTime) -> Result<(), ProfileError> {
        let Stage::Draft {
            tenant_id,
            client_id,
            credential,
        } = &self.stage
        else {
            return Err(ProfileError::AlreadyLinked);
        };
        self.stage = Stage::Linked {
            tenant_id: tenant_id.ok_or(ProfileError::Missing(NextStep::Tenant))?,
            client_id: client_id.ok_or(ProfileError::Missing(NextStep::Application))?,
            credential: credential
                .clone()
                .ok_or(ProfileError::Missing(NextStep::Credential))?,
            linked_at: utc(now),
            last_test: None,
        };
        Ok(())
    }

    /// A draft again: the application and its credential are forgotten, the tenant and what the
    /// product wants are kept.
    pub fn unlink(&mut self) {
        self.forget_test();
        self.stage = Stage::Draft {
            tenant_id: self.tenant_id(),
            client_id: None,
            credential: None,
        };
    }

    /// Keeps how a connection test ended. A draft cannot be tested, and neither is a list of no
    /// findings a test.
    pub fn record_test(
        &mut self,
        findings: &[Finding],
        now: OffsetDateTime,
    ) -> Result<(), ProfileError> {
        let Stage::Linked { last_test, .. } = &mut self.stage else {
            return Err(ProfileError::NotLinked);
        };
        *last_test = Some(TestRecord::of(findings, now).ok_or(ProfileError::NothingTested)?);
        self.rest.last_test.clear();
        Ok(())
    }

    /// The step that is missing, the most urgent first; nothing where all is well.
    pub fn next_step(&self, now: OffsetDateTime) -> Option<NextStep> {
        if self.credential().is_some_and(|it| it.has_expired(now)) {
            return Some(NextStep::RenewCredential);
        }
        match &self.stage {
            Stage::Draft {
                tenant_id: None, ..
            } => Some(NextStep::Tenant),
            Stage::Draft {
                client_id: None, ..
            } => Some(NextStep::Application),
            Stage::Draft {
                credential: None, ..
            } => Some(NextStep::Credential),
            Stage::Draft { .. } => Some(NextStep::Link),
            Stage::Linked {
                last_test: None, ..
            } => Some(NextStep::Test),
            Stage::Linked {
                last_test: Some(test),
                ..
            } => match test.outcome {
                Outcome::Failed => Some(NextStep::Repair),
                Outcome::Skipped => Some(NextStep::Test),
                Outcome::Passed | Outcome::Warning => None,
            },
        }
    }

    /// The authority that signs the product in, once the tenant is known.
    pub fn authority(&self) -> Result<Authority, ProfileError> {
        let tenant = self
            .tenant_id()
            .ok_or(ProfileError::Missing(NextStep::Tenant))?;
        Ok(Authority::new(self.cloud.clone(), tenant))
    }

    /// What people call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The cloud of the tenant.
    pub fn cloud(&self) -> &Cloud {
        &self.cloud
    }

    /// The tenant, once it is known.
    pub fn tenant_id(&self) -> Option<TenantId> {
        match &self.stage {
            Stage::Draft { tenant_id, .. } => *tenant_id,
            Stage::Linked { tenant_id, .. } => Some(*tenant_id),
        }
    }

    /// The application, once it is known.
    pub fn client_id(&self) -> Option<ClientId> {
        match &self.stage {
            Stage::Draft { client_id, .. } => *client_id,
            Stage::Linked { client_id, .. } => Some(*client_id),
        }
    }

    /// Where the credential is kept, once there is one.
    pub fn credential(&self) -> Option<&CredentialReference> {
        match &self.stage {
            Stage::Draft { credential, .. } => credential.as_ref(),
            Stage::Linked { credential, .. } => Some(credential),
        }
    }

    /// The permissions that the product wants.
    pub fn permissions(&self) -> &[WantedPermission] {
        &self.permissions
    }

    /// The URIs to which sign-ins come back.
    pub fn redirect_uris(&self) -> &[String] {
        &self.redirect_uris
    }

    /// When it was drafted.
    pub fn drafted_at(&self) -> OffsetDateTime {
        self.drafted_at
    }

    /// When it was linked; nothing for a draft.
    pub fn linked_at(&self) -> Option<OffsetDateTime> {
        match &self.stage {
            Stage::Draft { .. } => None,
            Stage::Linked { linked_at, .. } => Some(*linked_at),
        }
    }

    /// How the last test of what stands here ended.
    pub fn last_test(&self) -> Option<&TestRecord> {
        match &self.stage {
            Stage::Draft { .. } => None,
            Stage::Linked { last_test, .. } => last_test.as_ref(),
        }
    }

    fn forget_test(&mut self) {
        if let Stage::Linked { last_test, .. } = &mut self.stage {
            *last_test = None;
            self.rest.last_test.clear();
        }
    }
}

/// A permission of Microsoft Graph that the product wants, by name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", content = "name", rename_all = "snake_case")]
#[non_exhaustive]
pub enum WantedPermission {
    /// One that the app has of its own.
    Application(String),
    /// One on behalf of a user who is signed in.
    Delegated(String),
}

impl WantedPermission {
    /// A permission that the app has of its own.
    pub fn application(name: impl Into<String>) -> Self {
        Self::Application(name.into())
    }

    /// A permission on behalf of a user who is signed in.
    pub fn delegated(name: impl Into<String>) -> Self {
        Self::Delegated(name.into())
    }
}

impl fmt::Display for WantedPermission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Application(name) => write!(f, "{name} (application)"),
            Self::Delegated(name) => write!(f, "{name} (delegated)"),
        }
    }
}

/// How a connection test ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TestRecord {
    /// When it ended.
    pub at: OffsetDateTime,
    /// Failed if any check failed, else a warning if any warned, else passed if any passed.
    pub outcome: Outcome,
    /// The names of the checks that failed.
    pub failed: Vec<String>,
}

impl TestRecord {
    fn of(findings: &[Finding], at: OffsetDateTime) -> Option<Self> {
        let any = |outcome| findings.iter().any(|finding| finding.outcome == outcome);
        let outcome = [
            Outcome::Failed,
            Outcome::Warning,
            Outcome::Passed,
            Outcome::Skipped,
        ]
        .into_iter()
        .find(|outcome| any(*outcome))?;
        Some(Self {
            at: utc(at),
            outcome,
            failed: findings
                .iter()
                .filter(|finding| finding.outcome == Outcome::Failed)
                .map(|finding| finding.check.to_string())
                .collect(),
        })
    }
}

/// What has to be done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NextStep {
    /// Say which tenant.
    Tenant,
    /// Register the product in the tenant, or say which application it is.
    Application,
    /// Make or enter a credential.
    Credential,
    /// Everything is known: register the credential and consent, then link.
    Link,
    /// Test the connection.
    Test,
    /// The last test failed: mend what it found, and test again.
    Repair,
    /// The credential has ended.
    RenewCredential,
}

impl NextStep {
    /// The step as a sentence for an administrator.
    pub fn admin_hint(self) -> &'static str {
        match self {
            Self::Tenant => "Enter the directory (tenant) id or one of the tenant's domains.",
            Self::Application => {
                "Register the product in the tenant, or enter its application (client) id."
            }
            Self::Credential => "Generate a certificate, or enter a client secret.",
            Self::Link => "Add the credential to the app registration and grant admin consent.",
            Self::Test => "Test the connection.",
            Self::Repair => "Mend what the last test found, then test the connection again.",
            Self::RenewCredential => "Replace the credential: it has expired.",
        }
    }
}

impl fmt::Display for NextStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Tenant => "tenant",
            Self::Application => "application",
            Self::Credential => "credential",
            Self::Link => "link",
            Self::Test => "test",
            Self::Repair => "repair",
            Self::RenewCredential => "renew credential",
        })
    }
}

/// Why a profile is not what it is asked to be, or a text is no profile. Plain data, and never a
/// secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProfileError {
    /// A step comes first.
    #[error("the profile lacks a step: {0}")]
    Missing(NextStep),
    /// It is linked: its tenant and its application stay. Unlink it first.
    #[error("the profile is linked already")]
    AlreadyLinked,
    /// It is a draft, and a draft cannot be tested.
    #[error("the profile is a draft that is not linked")]
    NotLinked,
    /// There are no findings to keep.
    #[error("a test without findings is no test")]
    NothingTested,
    /// The text is not the JSON of a profile.
    #[error("the text is not a connection profile: {detail}")]
    NotAProfile {
        /// What the parser misses, and where.
        detail: String,
    },
    /// A time lies outside of the years 0 to 9999, and cannot be written.
    #[error("a time of the profile cannot be written")]
    UnwritableTime,
    /// It was written in a format that this version does not know.
    #[error("the profile has the format version {found}; this product reads version 1")]
    UnsupportedVersion {
        /// The version found.
        found: u64,
    },
    /// A field is not what it must be.
    #[error("the profile's {field} is not valid")]
    Invalid {
        /// The field's name in JSON.
        field: &'static str,
    },
    /// A secret stands where it must not. It is not repeated.
    #[error("the profile's {field} holds a secret, and a profile must not")]
    SecretInProfile {
        /// The field's name in JSON.
        field: &'static str,
    },
    /// The cloud is none of those that are built in, and has no URLs. Its name is not repeated.
    #[error("the profile's cloud is not known, and has no URLs")]
    UnknownCloud,
    /// A URL of a custom cloud cannot be used.
    #[error("the profile's cloud cannot be used")]
    Cloud(#[from] CloudError),
}

/// A URI with a scheme and no fragment (RFC 6749 3.1.2), to the letter.
pub(crate) fn redirect_uri(text: String) -> Result<String, ProfileError> {
    match Url::parse(&text) {
        Ok(uri) if uri.password().is_some() => Err(ProfileError::SecretInProfile {
            field: "redirect_uris",
        }),
        Ok(uri) if uri.fragment().is_none() && text.trim() == text => Ok(text),
        _ => Err(ProfileError::Invalid {
            field: "redirect_uris",
        }),
    }
}

/// Times are kept in UTC and to the second.
pub(crate) fn utc(time: OffsetDateTime) -> OffsetDateTime {
    let time = time.checked_to_offset(UtcOffset::UTC).unwrap_or(time);
    time.replace_nanosecond(0).unwrap_or(time)
}
