//! The record as JSON, with a version.

use entra_core::{Certificate, ClientSecret, Secret, SigningCertificate};
use serde::{Deserialize, Serialize, Serializer};
use time::OffsetDateTime;
use uuid::Uuid;

use super::record::{
    CredentialRecord, Leftover, LeftoverKind, Pending, Retiring, Stage, StoredCredential, Value,
};
use crate::Binary;

impl CredentialRecord {
    /// The record as JSON. It holds the secrets themselves.
    pub fn to_json(&self) -> Secret {
        // A document of texts, numbers and times is always written.
        Secret::new(serde_json::to_string(&Document::from(self)).unwrap_or_default())
    }

    /// Reads what [`to_json`](Self::to_json) wrote.
    pub fn from_json(json: &Secret) -> Result<Self, RecordError> {
        let Version { version } =
            serde_json::from_str(json.expose()).map_err(|_| RecordError::Malformed)?;
        if version != VERSION {
            return Err(RecordError::Version { version });
        }
        let document: Document =
            serde_json::from_str(json.expose()).map_err(|_| RecordError::Malformed)?;
        document.try_into()
    }
}

/// Why a stored record cannot be read. It does not repeat the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// It was written by another version of this crate.
    #[error("the record of credentials has version {version}, not {VERSION}")]
    Version {
        /// The version that was found.
        version: u32,
    },
    /// It is not what was written.
    #[error("the record of credentials cannot be read")]
    Malformed,
}

#[derive(Deserialize)]
struct Version {
    version: u32,
}

#[derive(Serialize, Deserialize)]
struct Document {
    version: u32,
    current: StoredDocument,
    #[serde(default)]
    pending: Option<PendingDocument>,
    #[serde(default)]
    retiring: Vec<RetiringDocument>,
    #[serde(default)]
    leftovers: Vec<LeftoverDocument>,
    #[serde(default)]
    told: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct StoredDocument {
    #[serde(flatten)]
    value: ValueDocument,
    key_id: Option<Uuid>,
    #[serde(with = "time::serde::rfc3339::option")]
    starts_on: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339::option")]
    expires_on: Option<OffsetDateTime>,
    warned: Option<u16>,
    #[serde(default)]
    is_due: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ValueDocument {
    #[serde(serialize_with = "expose")]
    Secret(Secret),
    #[serde(serialize_with = "expose")]
    Pem(Secret),
}

#[derive(Serialize, Deserialize)]
struct PendingDocument {
    holder: Uuid,
    #[serde(with = "time::serde::rfc3339")]
    held_until: OffsetDateTime,
    announced: Option<String>,
    added: Option<StoredDocument>,
}

#[derive(Serialize, Deserialize)]
struct RetiringDocument {
    credential: StoredDocument,
    #[serde(with = "time::serde::rfc3339")]
    remove_on: OffsetDateTime,
    #[serde(default)]
    is_being_removed: bool,
    #[serde(default)]
    is_told: bool,
}

#[derive(Serialize, Deserialize)]
struct LeftoverDocument {
    #[serde(flatten)]
    what: LeftoverKindDocument,
    #[serde(with = "time::serde::rfc3339")]
    look_until: OffsetDateTime,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum LeftoverKindDocument {
    SecretNamed(String),
    Secret(Uuid),
    Certificate(Binary),
}

/// The one place where a secret is written.
fn expose<S: Serializer>(secret: &Secret, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(secret.expose())
}

impl From<&CredentialRecord> for Document {
    fn from(record: &CredentialRecord) -> Self {
        Self {
            version: VERSION,
            current: (&record.current).into(),
            pending: record.pending.as_ref().map(Into::into),
            retiring: record.retiring.iter().map(Into::into).collect(),
            leftovers: record.leftovers.iter().map(Into::into).collect(),
            told: record.told.clone(),
        }
    }
}

impl TryFrom<Document> for CredentialRecord {
    type Error = RecordError;

    fn try_from(document: Document) -> Result<Self, RecordError> {
        let pending = document.pending.map(TryInto::try_into).transpose()?;
        let retiring = document.retiring.into_iter().map(TryInto::try_into);
        let leftovers = document.leftovers.into_iter().map(TryInto::try_into);
        Ok(Self {
            current: document.current.try_into()?,
            pending,
            retiring: retiring.collect::<Result<_, _>>()?,
            leftovers: leftovers.collect::<Result<_, _>>()?,
            told: document.told,
        })
    }
}

impl From<&StoredCredential> for StoredDocument {
    fn from(stored: &StoredCredential) -> Self {
        Self {
            value: match &stored.value {
                Value::Secret(secret) => ValueDocument::Secret(secret.secret().clone()),
                Value::Certificate(certificate) => ValueDocument::Pem(certificate.to_pem()),
            },
            key_id: stored.key_id,
            starts_on: stored.starts_on,
            expires_on: stored.expires_on,
            warned: stored.warned,
            is_due: stored.is_due,
        }
    }
}

impl TryFrom<StoredDocument> for StoredCredential {
    type Error = RecordError;

    fn try_from(document: StoredDocument) -> Result<Self, RecordError> {
        let value = match &document.value {
            ValueDocument::Secret(secret) => ClientSecret::try_from(secret)
                .map(Value::Secret)
                .map_err(|_| RecordError::Malformed)?,
            ValueDocument::Pem(pem) => SigningCertificate::from_pem(pem)
                .map(Value::Certificate)
                .map_err(|_| RecordError::Malformed)?,
        };
        Ok(Self {
            value,
            key_id: document.key_id,
            starts_on: document.starts_on,
            expires_on: document.expires_on,
            warned: document.warned,
            is_due: document.is_due,
        })
    }
}

impl From<&Pending> for PendingDocument {
    fn from(pending: &Pending) -> Self {
        let (announced, added) = match &pending.stage {
            Stage::Announced { name } => (Some(name.clone()), None),
            Stage::Added(successor) => (None, Some(successor.into())),
        };
        Self {
            holder: pending.holder,
            held_until: pending.held_until,
            announced,
            added,
        }
    }
}

impl TryFrom<PendingDocument> for Pending {
    type Error = RecordError;

    fn try_from(document: PendingDocument) -> Result<Self, RecordError> {
        Ok(Self {
            holder: document.holder,
            held_until: document.held_until,
            stage: match (document.announced, document.added) {
                (Some(name), None) => Stage::Announced { name },
                (None, Some(successor)) => Stage::Added(successor.try_into()?),
                _ => return Err(RecordError::Malformed),
            },
        })
    }
}

impl From<&Retiring> for RetiringDocument {
    fn from(retiring: &Retiring) -> Self {
        Self {
            credential: (&retiring.credential).into(),
            remove_on: retiring.remove_on,
            is_being_removed: retiring.is_being_removed,
            is_told: retiring.is_told,
        }
    }
}

impl TryFrom<RetiringDocument> for Retiring {
    type Error = RecordError;

    fn try_from(document: RetiringDocument) -> Result<Self, RecordError> {
        Ok(Self {
            credential: document.credential.try_into()?,
            remove_on: document.remove_on,
            is_being_removed: document.is_being_removed,
            is_told: document.is_told,
        })
    }
}

impl From<&Leftover> for LeftoverDocument {
    fn from(leftover: &Leftover) -> Self {
        Self {
            what: match &leftover.what {
                LeftoverKind::SecretNamed(name) => LeftoverKindDocument::SecretNamed(name.clone()),
                LeftoverKind::Secret(key_id) => LeftoverKindDocument::Secret(*key_id),
                LeftoverKind::Certificate(certificate) => {
                    LeftoverKindDocument::Certificate(certificate.der().to_vec().into())
                }
            },
            look_until: leftover.look_until,
        }
    }
}

impl TryFrom<LeftoverDocument> for Leftover {
    type Error = RecordError;

    fn try_from(document: LeftoverDocument) -> Result<Self, RecordError> {
        Ok(Self {
            what: match document.what {
                LeftoverKindDocument::SecretNamed(name) => LeftoverKind::SecretNamed(name),
                LeftoverKindDocument::Secret(key_id) => LeftoverKind::Secret(key_id),
                LeftoverKindDocument::Certificate(der) => Certificate::from_der(der.as_bytes())
                    .map(LeftoverKind::Certificate)
                    .map_err(|_| RecordError::Malformed)?,
            },
            look_until: document.look_until,
        })
    }
}

const VERSION: u32 = 1;

#[cfg(test)]
mod tests {
    use entra_core::{CertificateOptions, ClientSecret};
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-01-01 00:00 UTC);

    fn record() -> CredentialRecord {
        let secret = ClientSecret::parse("canary~current").unwrap();
        let options = CertificateOptions::new("Record");
        let certificate = SigningCertificate::generate(&options, NOW).unwrap();
        let mut record = CredentialRecord::new(
            StoredCredential::secret(secret)
                .with_key_id(Uuid::from_u128(1))
                .with_end(datetime!(2026-06-30 00:00 UTC)),
        );
        record.current.warned = Some(30);
        record.current.is_due = true;
        record.told = Some("not-owner".to_owned());
        let successor = Stage::Added(StoredCredential::certificate(certificate.clone()));
        let announced = Stage::Announced {
            name: "Name (0a1b2c3d)".to_owned(),
        };
        record.leftovers = [&successor, &announced]
            .into_iter()
            .filter_map(|stage| stage.leftover(NOW))
            .collect();
        record.pending = Some(Pending {
            holder: Uuid::from_u128(2),
            held_until: NOW,
            stage: successor,
        });
        record.retiring = vec![Retiring {
            credential: StoredCredential::certificate(certificate),
            remove_on: NOW,
            is_being_removed: true,
            is_told: true,
        }];
        record
    }

    #[test]
    fn a_record_comes_back_as_it_was_written() {
        let record = record();
        let read = CredentialRecord::from_json(&record.to_json()).unwrap();
        assert_eq!(format!("{read:?}"), format!("{record:?}"));
        assert_eq!(read.to_json(), record.to_json());
        assert_eq!(read.credentials(), record.credentials());
    }

    #[test]
    fn a_record_shows_no_secret() {
        let shown = format!("{:?}", record());
        assert!(!shown.contains("canary"), "{shown}");
        assert!(!shown.contains("PRIVATE"), "{shown}");
    }

    #[test]
    fn another_version_and_what_is_no_record_are_refused() {
        let read = |text: &str| CredentialRecord::from_json(&Secret::new(text)).unwrap_err();
        assert_eq!(
            read(r#"{"version":2}"#),
            RecordError::Version { version: 2 }
        );
        for text in [
            "",
            "{}",
            r#"{"version":1}"#,
            r#"{"version":1,"current":{"secret":"","key_id":null,"starts_on":null,"expires_on":null,"warned":null}}"#,
        ] {
            assert_eq!(read(text), RecordError::Malformed, "{text}");
        }
    }
}
