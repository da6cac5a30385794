//! What is kept of an app's credentials: the one in use, its successor on the way, those that are
//! on their way out.

use entra_core::{
    Certificate, ClientCredential, ClientCredentials, ClientSecret, CredentialKind,
    CredentialReference, ProfileError, SigningCertificate,
};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::IssuedSecret;

/// What a [`CredentialVault`](super::CredentialVault) keeps: one record per connection.
///
/// It holds secrets. [`to_json`](Self::to_json) writes it as one text, which the host stores as
/// it stores other secrets.
///
/// ```
/// use entra_core::ClientSecret;
/// use entra_graph::{CredentialRecord, StoredCredential};
///
/// let pasted = ClientSecret::parse("Ab8Q~pasted-from-the-portal")?;
/// let record = CredentialRecord::new(StoredCredential::secret(pasted));
/// let stored = record.to_json();
/// let read = CredentialRecord::from_json(&stored)?;
/// assert_eq!(read.credentials(), record.credentials());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct CredentialRecord {
    pub(super) current: StoredCredential,
    pub(super) pending: Option<Pending>,
    /// Newest first.
    pub(super) retiring: Vec<Retiring>,
    pub(super) leftovers: Vec<Leftover>,
    /// The obstacle that was reported last.
    pub(super) told: Option<String>,
}

impl CredentialRecord {
    /// A record of this credential alone: the one that an administrator entered, or that was
    /// issued when the product was linked.
    pub fn new(current: StoredCredential) -> Self {
        Self {
            current,
            pending: None,
            retiring: Vec::new(),
            leftovers: Vec::new(),
            told: None,
        }
    }

    /// The credential in use.
    pub fn current(&self) -> &StoredCredential {
        &self.current
    }

    /// The successor that was made and is not in use yet.
    pub fn successor(&self) -> Option<&StoredCredential> {
        match &self.pending.as_ref()?.stage {
            Stage::Added(successor) => Some(successor),
            Stage::Announced { .. } => None,
        }
    }

    /// Those that still work and will be removed, newest first.
    pub fn retiring(&self) -> impl Iterator<Item = &StoredCredential> {
        self.retiring.iter().map(|retiring| &retiring.credential)
    }

    /// Whether a rotation has begun and is not at its end.
    pub fn is_rotating(&self) -> bool {
        self.pending.is_some()
    }

    /// What a client signs in with: the one in use, then those that still work.
    pub fn credentials(&self) -> ClientCredentials {
        let first = ClientCredentials::new(self.current.credential());
        self.retiring()
            .fold(first, |set, old| set.or(old.credential()))
    }

    /// The one among those on their way out.
    pub(super) fn retiring_mut(&mut self, credential: &ClientCredential) -> Option<&mut Retiring> {
        let mut retiring = self.retiring.iter_mut();
        retiring.find(|old| old.credential.credential() == *credential)
    }

    /// Forgets one of those on their way out.
    pub(super) fn forget(&mut self, credential: &ClientCredential) {
        let is_kept = |old: &Retiring| old.credential.credential() != *credential;
        self.retiring.retain(is_kept);
    }

    /// The newest certificate that is valid: with it the app proves who it is.
    pub(super) fn valid_certificate(&self, now: OffsetDateTime) -> Option<&SigningCertificate> {
        std::iter::once(&self.current)
            .chain(self.retiring())
            .filter_map(StoredCredential::as_certificate)
            .find(|certificate| certificate.certificate().is_valid_at(now))
    }

    /// Whether the credential with this id is one of those that are kept.
    pub(super) fn has_key_id(&self, key_id: &Uuid) -> bool {
        std::iter::once(&self.current)
            .chain(self.successor())
            .chain(self.retiring())
            .any(|kept| kept.key_id.as_ref() == Some(key_id))
    }
}

/// A credential with what is known of it beside the secret itself. `Debug` does not show that.
#[derive(Clone, Debug)]
pub struct StoredCredential {
    pub(super) value: Value,
    pub(super) key_id: Option<Uuid>,
    pub(super) starts_on: Option<OffsetDateTime>,
    pub(super) expires_on: Option<OffsetDateTime>,
    /// The smallest number of days before the end that was warned of.
    pub(super) warned: Option<u16>,
    /// It gets a successor whatever its end: the one that it had failed.
    pub(super) is_due: bool,
}

#[derive(Clone, Debug)]
pub(super) enum Value {
    Secret(ClientSecret),
    Certificate(SigningCertificate),
}

impl StoredCredential {
    /// A client secret. What else there is to know of it is read from the tenant.
    pub fn secret(secret: ClientSecret) -> Self {
        Self {
            value: Value::Secret(secret),
            key_id: None,
            starts_on: None,
            expires_on: None,
            warned: None,
            is_due: false,
        }
    }

    /// A certificate, which says itself until when it is valid.
    pub fn certificate(certificate: SigningCertificate) -> Self {
        Self {
            starts_on: Some(certificate.certificate().not_before()),
            expires_on: Some(certificate.certificate().not_after()),
            value: Value::Certificate(certificate),
            key_id: None,
            warned: None,
            is_due: false,
        }
    }

    /// With the id under which the portal lists it («Secret ID»).
    #[must_use]
    pub fn with_key_id(mut self, key_id: Uuid) -> Self {
        self.key_id = Some(key_id);
        self
    }

    /// With its end, for an app that may not read its own registration.
    #[must_use]
    pub fn with_end(mut self, expires_on: OffsetDateTime) -> Self {
        self.expires_on = Some(expires_on);
        self
    }

    /// What a client signs in with.
    pub fn credential(&self) -> ClientCredential {
        match &self.value {
            Value::Secret(secret) => ClientCredential::secret(secret.clone()),
            Value::Certificate(certificate) => ClientCredential::certificate(certificate.clone()),
        }
    }

    /// Which kind it is.
    pub fn kind(&self) -> CredentialKind {
        match self.value {
            Value::Secret(_) => CredentialKind::ClientSecret,
            Value::Certificate(_) => CredentialKind::Certificate,
        }
    }

    /// The id within the app, as far as it is known.
    pub fn key_id(&self) -> Option<Uuid> {
        self.key_id
    }

    /// Until when it is accepted, as far as that is known.
    pub fn expires_on(&self) -> Option<OffsetDateTime> {
        self.expires_on
    }

    /// What a profile stores of it: where the host keeps the record, and until when the credential
    /// is valid. Not the credential itself.
    ///
    /// # Errors
    /// [`ProfileError`] for a location that a profile does not take.
    pub fn reference(
        &self,
        location: impl Into<String>,
    ) -> Result<CredentialReference, ProfileError> {
        let mut reference = match &self.value {
            Value::Secret(_) => CredentialReference::client_secret(location)?,
            Value::Certificate(certificate) => {
                CredentialReference::certificate(certificate.certificate(), location)?
            }
        };
        if let Some(hint) = self.credential().secret_hint() {
            reference = reference.with_hint(hint)?;
        }
        if let Some(key_id) = self.key_id {
            reference = reference.with_key_id(key_id);
        }
        if let Some(start) = self.starts_on {
            reference = reference.with_issue(start);
        }
        if let Some(end) = self.expires_on {
            reference = reference.with_expiry(end);
        }
        Ok(reference)
    }

    /// The certificate, if it is one.
    pub fn as_certificate(&self) -> Option<&SigningCertificate> {
        match &self.value {
            Value::Certificate(certificate) => Some(certificate),
            Value::Secret(_) => None,
        }
    }

    /// From when on it gets a successor: thirty days before its end, or a third of a short life.
    pub(super) fn renews_on(&self) -> Option<OffsetDateTime> {
        let end = self.expires_on?;
        let margin = match self.starts_on {
            Some(start) => LONGEST_MARGIN.min((end - start) / 3),
            None => LONGEST_MARGIN,
        };
        Some(end.saturating_sub(margin))
    }
}

impl TryFrom<&IssuedSecret> for StoredCredential {
    type Error = entra_core::ClientSecretError;

    /// The secret that a blueprint issued.
    fn try_from(issued: &IssuedSecret) -> Result<Self, Self::Error> {
        let mut stored = Self::secret(ClientSecret::try_from(&issued.value)?);
        stored.key_id = Some(issued.key_id);
        stored.expires_on = issued.expires_on;
        Ok(stored)
    }
}

/// A rotation under way, and whose it is.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    pub(super) holder: Uuid,
    /// After this moment another process may take it over.
    pub(super) held_until: OffsetDateTime,
    pub(super) stage: Stage,
}

#[derive(Clone, Debug)]
pub(super) enum Stage {
    /// Entra is being asked for a client secret of this name. Its text may be lost.
    Announced { name: String },
    /// The successor is kept. It may not be registered yet, or not known everywhere.
    Added(StoredCredential),
}

/// A credential that was replaced.
#[derive(Clone, Debug)]
pub(super) struct Retiring {
    pub(super) credential: StoredCredential,
    pub(super) remove_on: OffsetDateTime,
    /// Entra is being asked to remove it. Whether it works by now is not known.
    pub(super) is_being_removed: bool,
    /// It was told that an administrator has to remove it.
    pub(super) is_told: bool,
}

impl Retiring {
    pub(super) fn new(credential: StoredCredential, remove_on: OffsetDateTime) -> Self {
        Self {
            credential,
            remove_on,
            is_being_removed: false,
            is_told: false,
        }
    }
}

/// What may be left at Entra of a rotation that did not come to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Leftover {
    pub(super) what: LeftoverKind,
    /// Replicas and requests under way may bring it to light until then.
    pub(super) look_until: OffsetDateTime,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum LeftoverKind {
    /// A client secret of this name. The name was announced, so that nobody else gave it.
    SecretNamed(String),
    /// A client secret with this id.
    Secret(Uuid),
    /// A certificate. Its key is forgotten.
    Certificate(Certificate),
}

impl Stage {
    /// What may be left of it at Entra if it ends here.
    pub(super) fn leftover(&self, now: OffsetDateTime) -> Option<Leftover> {
        let what = match self {
            Self::Announced { name } => LeftoverKind::SecretNamed(name.clone()),
            Self::Added(successor) => match &successor.value {
                Value::Certificate(certificate) => {
                    LeftoverKind::Certificate(certificate.certificate().clone())
                }
                Value::Secret(_) => LeftoverKind::Secret(successor.key_id?),
            },
        };
        Some(Leftover {
            what,
            look_until: now.saturating_add(LOOK_FOR_LEFTOVERS),
        })
    }
}

const LONGEST_MARGIN: Duration = Duration::days(30);
const LOOK_FOR_LEFTOVERS: Duration = Duration::days(2);

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const END: OffsetDateTime = datetime!(2026-07-01 00:00 UTC);

    fn secret() -> StoredCredential {
        StoredCredential::secret(ClientSecret::parse("Ab8Q~canary").unwrap())
    }

    #[test]
    fn a_successor_is_due_thirty_days_before_the_end_or_a_third_of_a_short_life() {
        let mut stored = secret();
        assert_eq!(stored.renews_on(), None);
        stored.expires_on = Some(END);
        assert_eq!(stored.renews_on(), Some(datetime!(2026-06-01 00:00 UTC)));
        for (days, expected) in [(365, 30), (90, 30), (60, 20), (6, 2)] {
            stored.starts_on = Some(END - Duration::days(days));
            let expected = END - Duration::days(expected);
            assert_eq!(stored.renews_on(), Some(expected), "{days}");
        }
    }

    #[test]
    fn a_profile_stores_where_a_credential_is_and_not_what_it_is() {
        let stored = secret().with_key_id(Uuid::from_u128(1)).with_end(END);
        let reference = stored.reference("table:entra_credentials").unwrap();
        assert_eq!(reference.kind(), CredentialKind::ClientSecret);
        assert_eq!(reference.key_id(), Some(Uuid::from_u128(1)));
        assert_eq!(reference.hint(), Some("Ab8"));
        assert_eq!(reference.expires_at(), Some(END));
        assert!(!format!("{reference:?}").contains("canary"));
    }
}
