//! The JSON of a connection profile.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use time::OffsetDateTime;

use crate::credential_reference::{CredentialDocument, looks_like_a_secret};
use crate::profile::{Stage, redirect_uri};
use crate::{
    ClientId, Cloud, ConnectionProfile, CredentialReference, NextStep, Outcome, ProfileError,
    TenantId, TestRecord, WantedPermission,
};

impl ConnectionProfile {
    /// Reads a profile from JSON. Members that this version does not know are kept.
    pub fn from_json(text: &str) -> Result<Self, ProfileError> {
        // The version comes first: the members of another one may have any shape.
        let Versioned { version } = serde_json::from_str(text).map_err(not_a_profile)?;
        check_version(version)?;
        let document = serde_json::from_str::<Document>(text).map_err(not_a_profile)?;
        document.without_secrets()?.try_into()
    }

    /// Reads a profile that is a part of some other JSON.
    pub(crate) fn from_value(value: Value) -> Result<Self, ProfileError> {
        let Versioned { version } = Versioned::deserialize(&value).map_err(not_a_profile)?;
        check_version(version)?;
        let document = Document::deserialize(value).map_err(not_a_profile)?;
        document.without_secrets()?.try_into()
    }

    /// The profile as JSON, for a person to read. It holds no secret.
    pub fn to_json(&self) -> Result<String, ProfileError> {
        let document = Document::from(self.clone()).without_secrets()?;
        serde_json::to_string_pretty(&document).map_err(|_| ProfileError::UnwritableTime)
    }
}

/// The members that this version does not know, object by object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rest {
    pub(crate) profile: Map<String, Value>,
    pub(crate) cloud: Map<String, Value>,
    pub(crate) last_test: Map<String, Value>,
}

/// A profile as it is stored.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Document {
    version: u64,
    name: String,
    cloud: CloudDocument,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tenant_id: Option<TenantId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    client_id: Option<ClientId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    credential: Option<CredentialDocument>,
    #[serde(default)]
    permissions: Vec<WantedPermission>,
    #[serde(default)]
    redirect_uris: Vec<String>,
    #[serde(with = "time::serde::rfc3339")]
    drafted_at: OffsetDateTime,
    #[serde(
        default,
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    linked_at: Option<OffsetDateTime>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_test: Option<TestDocument>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

impl Document {
    /// The same, unless a secret stands in it: where people type a name, or in a member that this
    /// version does not know.
    fn without_secrets(self) -> Result<Self, ProfileError> {
        let in_it = |field| ProfileError::SecretInProfile { field };
        if looks_like_a_secret(&self.name) {
            return Err(in_it("name"));
        }
        let credential = self.credential.as_ref().map(CredentialDocument::rest);
        let test = self.last_test.as_ref().map(|test| &test.rest);
        let unknown = [Some(&self.rest), Some(&self.cloud.rest), credential, test];
        if unknown.into_iter().flatten().any(has_a_secret) {
            return Err(in_it("unknown member"));
        }
        Ok(self)
    }
}

fn has_a_secret(members: &Map<String, Value>) -> bool {
    let mut members = members.iter();
    members.any(|(name, value)| looks_like_a_secret(name) || holds_a_secret(value))
}

fn holds_a_secret(value: &Value) -> bool {
    match value {
        Value::String(text) => looks_like_a_secret(text),
        Value::Array(values) => values.iter().any(holds_a_secret),
        Value::Object(members) => has_a_secret(members),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// A built-in cloud by name, or `custom` with its URLs.
#[derive(Clone, Serialize, Deserialize)]
struct CloudDocument {
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    login: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    graph: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    aliases: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    root_ca_pem: Option<String>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

#[derive(Clone, Serialize, Deserialize)]
struct TestDocument {
    #[serde(with = "time::serde::rfc3339")]
    at: OffsetDateTime,
    outcome: OutcomeName,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    failed: Vec<String>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum OutcomeName {
    Passed,
    Warning,
    Failed,
    Skipped,
}

#[derive(Deserialize)]
struct Versioned {
    version: u64,
}

impl TryFrom<Document> for ConnectionProfile {
    type Error = ProfileError;

    fn try_from(document: Document) -> Result<Self, ProfileError> {
        check_version(document.version)?;
        let mut rest = Rest {
            profile: document.rest,
            ..Rest::default()
        };
        let last_test = document.last_test.map(|test| {
            rest.last_test = test.rest;
            TestRecord {
                at: test.at,
                outcome: test.outcome.into(),
                failed: test.failed,
            }
        });
        let credential = document
            .credential
            .map(CredentialReference::try_from)
            .transpose()?;
        let stage = match (document.linked_at, last_test) {
            (None, Some(_)) => return Err(ProfileError::NotLinked),
            (None, None) => Stage::Draft {
                tenant_id: document.tenant_id,
                client_id: document.client_id,
                credential,
            },
            (Some(linked_at), last_test) => Stage::Linked {
                tenant_id: present(document.tenant_id, NextStep::Tenant)?,
                client_id: present(document.client_id, NextStep::Application)?,
                credential: present(credential, NextStep::Credential)?,
                linked_at,
                last_test,
            },
        };
        rest.cloud.clone_from(&document.cloud.rest);
        Ok(Self {
            name: document.name,
            cloud: document.cloud.try_into()?,
            permissions: document.permissions,
            redirect_uris: document
                .redirect_uris
                .into_iter()
                .map(redirect_uri)
                .collect::<Result<_, _>>()?,
            drafted_at: document.drafted_at,
            stage,
            rest,
        })
    }
}

impl From<ConnectionProfile> for Document {
    fn from(profile: ConnectionProfile) -> Self {
        let mut cloud = CloudDocument::from(&profile.cloud);
        cloud.rest = profile.rest.cloud.clone();
        Self {
            version: VERSION,
            cloud,
            tenant_id: profile.tenant_id(),
            client_id: profile.client_id(),
            credential: profile.credential().cloned().map(Into::into),
            drafted_at: profile.drafted_at,
            linked_at: profile.linked_at(),
            last_test: profile.last_test().map(|test| TestDocument {
                at: test.at,
                outcome: test.outcome.into(),
                failed: test.failed.clone(),
                rest: profile.rest.last_test.clone(),
            }),
            name: profile.name,
            permissions: profile.permissions,
            redirect_uris: profile.redirect_uris,
            rest: profile.rest.profile,
        }
    }
}

impl TryFrom<CloudDocument> for Cloud {
    type Error = ProfileError;

    fn try_from(document: CloudDocument) -> Result<Self, ProfileError> {
        let cloud = match (Self::named(&document.name), document.login, document.graph) {
            (Some(cloud), None, None) => cloud,
            (None, Some(login), Some(graph)) if document.name == CUSTOM => {
                Self::custom(&login, &graph)?
            }
            (Some(_), ..) => return Err(ProfileError::Invalid { field: "cloud" }),
            (None, ..) => {
                return Err(ProfileError::UnknownCloud);
            }
        };
        let cloud = if document.aliases.is_empty() {
            cloud
        } else {
            cloud.with_aliases(document.aliases)
        };
        Ok(match document.root_ca_pem {
            Some(pem) => cloud.with_root_ca_pem(pem),
            None => cloud,
        })
    }
}

impl From<&Cloud> for CloudDocument {
    fn from(cloud: &Cloud) -> Self {
        let built_in = Cloud::named(cloud.name());
        let known: Vec<&str> = built_in.iter().flat_map(Cloud::aliases).collect();
        let url = |url: &url::Url| built_in.is_none().then(|| url.as_str().to_owned());
        Self {
            name: cloud.name().to_owned(),
            login: url(cloud.login_url()),
            graph: url(cloud.graph_url()),
            aliases: cloud
                .aliases()
                .filter(|alias| !known.contains(alias))
                .map(str::to_owned)
                .collect(),
            root_ca_pem: cloud.root_ca_pem().map(str::to_owned),
            rest: Map::new(),
        }
    }
}

impl From<OutcomeName> for Outcome {
    fn from(name: OutcomeName) -> Self {
        match name {
            OutcomeName::Passed => Self::Passed,
            OutcomeName::Warning => Self::Warning,
            OutcomeName::Failed => Self::Failed,
            OutcomeName::Skipped => Self::Skipped,
        }
    }
}

impl From<Outcome> for OutcomeName {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Passed => Self::Passed,
            Outcome::Warning => Self::Warning,
            Outcome::Failed => Self::Failed,
            Outcome::Skipped => Self::Skipped,
        }
    }
}

fn check_version(found: u64) -> Result<(), ProfileError> {
    if found == VERSION {
        Ok(())
    } else {
        Err(ProfileError::UnsupportedVersion { found })
    }
}

/// What the parser misses. Its own text repeats values, and one of them may be a secret in the
/// wrong place.
fn not_a_profile(error: serde_json::Error) -> ProfileError {
    let text = error.to_string();
    let names_a_field = ["missing field", "duplicate field"]
        .iter()
        .any(|start| text.starts_with(start));
    let detail = if names_a_field || !error.is_data() {
        text
    } else {
        let (line, column) = (error.line(), error.column());
        format!("an unexpected value at line {line} column {column}")
    };
    ProfileError::NotAProfile { detail }
}

fn present<T>(value: Option<T>, step: NextStep) -> Result<T, ProfileError> {
    value.ok_or(ProfileError::Missing(step))
}

/// The format that is written and read.
const VERSION: u64 = 1;
/// The name of every custom cloud.
const CUSTOM: &str = "custom";
