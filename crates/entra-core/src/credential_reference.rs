//! Where a product keeps a credential, and what must be known of it without looking at it.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use time::OffsetDateTime;
use url::Url;
use uuid::Uuid;

use crate::profile::utc;
use crate::{Certificate, ProfileError};

/// A credential by reference: its kind, where the product keeps it, how it is recognised in the
/// tenant, and when it ends. Never the credential itself.
///
/// ```
/// use entra_core::{CredentialKind, CredentialReference, ProfileError};
/// use time::macros::datetime;
///
/// let secret = CredentialReference::client_secret("vault:entra/contoso")?
///     .with_hint("Ab.")?
///     .with_expiry(datetime!(2026-12-31 00:00 UTC));
/// assert_eq!(secret.kind(), CredentialKind::ClientSecret);
///
/// // The secret in the place of its location is noticed.
/// let pasted = "Ab.8Q~SaMpLeSaMpLeSaMpLeSaMpLeSaMpLe0123";
/// let error = CredentialReference::client_secret(pasted).unwrap_err();
/// assert_eq!(error, ProfileError::SecretInProfile { field: "location" });
/// # Ok::<(), ProfileError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialReference(CredentialDocument);

/// What kind of credential an application has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CredentialKind {
    /// A certificate with its private key.
    Certificate,
    /// A client secret.
    ClientSecret,
    /// Assertions that the host brings: federation, a key in an HSM.
    Assertion,
}

impl fmt::Display for CredentialKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Certificate => "certificate",
            Self::ClientSecret => "client secret",
            Self::Assertion => "client assertion",
        })
    }
}

impl CredentialReference {
    /// A certificate whose private key is kept at `location`, in the product's own words. Begin
    /// and end are the certificate's.
    pub fn certificate(
        certificate: &Certificate,
        location: impl Into<String>,
    ) -> Result<Self, ProfileError> {
        let mut document = CredentialDocument::new(CredentialKind::Certificate, location);
        document.thumbprint_sha256 = Some(certificate.thumbprint_sha256());
        document.issued_at = Some(certificate.not_before());
        document.expires_at = Some(certificate.not_after());
        document.try_into()
    }

    /// A client secret that is kept at `location`.
    pub fn client_secret(location: impl Into<String>) -> Result<Self, ProfileError> {
        CredentialDocument::new(CredentialKind::ClientSecret, location).try_into()
    }

    /// Assertions that come from `location`.
    pub fn assertion(location: impl Into<String>) -> Result<Self, ProfileError> {
        CredentialDocument::new(CredentialKind::Assertion, location).try_into()
    }

    /// Known to Graph by this `keyId`.
    #[must_use]
    pub fn with_key_id(mut self, key_id: Uuid) -> Self {
        self.0.key_id = Some(key_id);
        self
    }

    /// A client secret that begins with these characters, at most three, as Graph shows them
    /// (`hint`).
    pub fn with_hint(mut self, hint: impl Into<String>) -> Result<Self, ProfileError> {
        self.0.hint = Some(hint.into());
        self.0.try_into()
    }

    /// Issued at this time.
    #[must_use]
    pub fn with_issue(mut self, issued_at: OffsetDateTime) -> Self {
        self.0.issued_at = Some(utc(issued_at));
        self
    }

    /// Ending at this time.
    #[must_use]
    pub fn with_expiry(mut self, expires_at: OffsetDateTime) -> Self {
        self.0.expires_at = Some(utc(expires_at));
        self
    }

    /// Its kind.
    pub fn kind(&self) -> CredentialKind {
        self.0.kind
    }

    /// Where the product keeps it, in the product's own words.
    pub fn location(&self) -> &str {
        &self.0.location
    }

    /// The SHA-256 thumbprint of a certificate, in upper-case hexadecimal.
    pub fn thumbprint_sha256(&self) -> Option<&str> {
        self.0.thumbprint_sha256.as_deref()
    }

    /// The `keyId` by which Graph knows it.
    pub fn key_id(&self) -> Option<Uuid> {
        self.0.key_id
    }

    /// The first characters of a client secret.
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// When it was issued, as far as is known.
    pub fn issued_at(&self) -> Option<OffsetDateTime> {
        self.0.issued_at
    }

    /// When it ends, as far as is known.
    pub fn expires_at(&self) -> Option<OffsetDateTime> {
        self.0.expires_at
    }

    /// Whether it is known to have ended at `now`.
    pub fn has_expired(&self, now: OffsetDateTime) -> bool {
        self.expires_at().is_some_and(|end| end <= now)
    }
}

/// The reference as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CredentialDocument {
    kind: CredentialKind,
    location: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    thumbprint_sha256: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key_id: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    #[serde(
        default,
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    issued_at: Option<OffsetDateTime>,
    #[serde(
        default,
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    expires_at: Option<OffsetDateTime>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

impl CredentialDocument {
    fn new(kind: CredentialKind, location: impl Into<String>) -> Self {
        Self {
            kind,
            location: location.into(),
            thumbprint_sha256: None,
            key_id: None,
            hint: None,
            issued_at: None,
            expires_at: None,
            rest: Map::new(),
        }
    }
}

impl CredentialDocument {
    /// The members that this version does not know.
    pub(crate) fn rest(&self) -> &Map<String, Value> {
        &self.rest
    }
}

impl From<CredentialReference> for CredentialDocument {
    fn from(reference: CredentialReference) -> Self {
        reference.0
    }
}

impl TryFrom<CredentialDocument> for CredentialReference {
    type Error = ProfileError;

    fn try_from(document: CredentialDocument) -> Result<Self, ProfileError> {
        let invalid = |field| ProfileError::Invalid { field };
        if document.location.trim().is_empty() {
            return Err(invalid("location"));
        }
        let url = Url::parse(&document.location);
        if looks_like_a_secret(&document.location)
            || document.location.contains("-----BEGIN")
            || url.is_ok_and(|url| url.password().is_some())
        {
            return Err(ProfileError::SecretInProfile { field: "location" });
        }
        if let Some(hint) = &document.hint {
            if document.kind != CredentialKind::ClientSecret || hint.is_empty() {
                return Err(invalid("hint"));
            }
            if hint.chars().count() > HINT_LENGTH {
                return Err(ProfileError::SecretInProfile { field: "hint" });
            }
        }
        let is_certificate = document.kind == CredentialKind::Certificate;
        let thumbprint_fits = match &document.thumbprint_sha256 {
            Some(thumbprint) => is_certificate && is_sha256(thumbprint),
            None => !is_certificate,
        };
        if !thumbprint_fits {
            return Err(invalid("thumbprint_sha256"));
        }
        Ok(Self(document))
    }
}

/// A private key in PEM, or a client secret: Entra's have `Q~` behind three characters and a
/// digit.
pub(crate) fn looks_like_a_secret(text: &str) -> bool {
    let bytes = text.trim().as_bytes();
    let is_client_secret = bytes.len() >= 34
        && bytes.get(3).is_some_and(u8::is_ascii_digit)
        && bytes.get(4..6) == Some(b"Q~");
    is_client_secret || text.contains("PRIVATE KEY-----")
}

fn is_sha256(thumbprint: &str) -> bool {
    thumbprint.len() == 64
        && thumbprint
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'A'..=b'F'))
}

/// How much of a client secret Graph shows.
const HINT_LENGTH: usize = 3;
