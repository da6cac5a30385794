//! A connection profile with its secret, sealed to the certificates of those who may use it.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;
use zeroize::Zeroizing;

use crate::jwe::Jwe;
use crate::{
    Certificate, CertificateError, ClientCredential, ClientSecret, ClientSecretError,
    ConnectionProfile, CredentialKind, NextStep, ProfileError, RecipientKey, Secret,
    SigningCertificate,
};

/// A profile and its secret in one text that only the holders of listed certificates can read: a
/// configuration file that may lie on a share or travel with an installer.
///
/// The text is a JWE (RFC 7516) in the General JSON Serialization: the content under `A256GCM`, its
/// key under `RSA-OAEP-256` once per recipient, who is named by `x5t#S256`. Others' tools read it.
///
/// Sealing says who may read the text, not who wrote it: anybody can seal another profile to the
/// same certificates. Where the text lies, only those may write who may change the configuration.
///
/// ```
/// # #[cfg(feature = "certificates")] {
/// # use entra_core::*;
/// # use time::macros::datetime;
/// # let now = datetime!(2026-02-03 09:00 UTC);
/// # let reception = RecipientKey::generate(&CertificateOptions::new("Reception"), now)?;
/// # let workshop = RecipientKey::generate(&CertificateOptions::new("Workshop"), now)?;
/// let mut profile = ConnectionProfile::draft("Contoso", now);
/// profile.set_credential(CredentialReference::client_secret("sealed")?);
/// let secret = ProfileSecret::ClientSecret(ClientSecret::parse("Ab8Q~pasted-from-the-portal")?);
///
/// let unsealed = UnsealedProfile::new(profile, secret)?;
/// let sealed = unsealed.seal([reception.certificate()])?;
/// std::fs::write(std::env::temp_dir().join("entra.jwe"), sealed.as_str())?;
///
/// // On the workstation:
/// let opened = SealedProfile::parse(sealed.as_str())?.open(&reception)?;
/// assert_eq!(opened.profile().name(), "Contoso");
/// let credential: ClientCredential = opened.secret().credential();
///
/// // One more recipient, or one fewer: sealed anew, under a new key.
/// let everybody = opened.recipients().iter().chain([workshop.certificate()]);
/// let resealed = opened.seal(everybody)?;
/// assert!(resealed.open(&workshop).is_ok());
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct SealedProfile {
    text: String,
    jwe: Jwe,
}

impl SealedProfile {
    /// Reads a sealed profile, of up to four MiB. Its form and its algorithms are checked here,
    /// its content when it is opened.
    ///
    /// The Flattened JSON and the Compact Serialization of others are read as well; a recipient
    /// without `x5t#S256` is tried where it is the only one.
    pub fn parse(text: &str) -> Result<Self, SealedProfileError> {
        let jwe = Jwe::parse(text)?;
        if jwe.content_type() != Some(CONTENT_TYPE) {
            return Err(SealedProfileError::ContentType);
        }
        Ok(Self {
            text: text.to_owned(),
            jwe,
        })
    }

    /// The text, in ASCII.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The SHA-256 thumbprints of the certificates that it is sealed to, in upper-case
    /// hexadecimal. They are not protected: a reader of the file may know them, a writer change
    /// them.
    pub fn thumbprints(&self) -> Vec<String> {
        self.jwe.thumbprints()
    }

    /// Opens it with the key of one recipient.
    pub fn open(&self, key: &RecipientKey) -> Result<UnsealedProfile, SealedProfileError> {
        let plaintext = self.jwe.open(key)?;
        let content: Content =
            serde_json::from_slice(&plaintext).map_err(|_| SealedProfileError::Content)?;
        content.try_into()
    }
}

impl fmt::Debug for SealedProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.jwe.fmt(f)
    }
}

/// A profile with the secret that belongs to it, opened or not yet sealed.
#[derive(Clone, Debug)]
pub struct UnsealedProfile {
    profile: ConnectionProfile,
    secret: ProfileSecret,
    recipients: Vec<Certificate>,
}

impl UnsealedProfile {
    /// Puts a profile and its secret together. The secret must be the one that the profile's
    /// credential refers to: of its kind, with its thumbprint or its hint.
    pub fn new(
        profile: ConnectionProfile,
        secret: ProfileSecret,
    ) -> Result<Self, SealedProfileError> {
        if profile.credential().is_none() {
            return Err(ProfileError::Missing(NextStep::Credential).into());
        }
        if !secret.belongs_to(&profile) {
            return Err(SealedProfileError::OtherCredential);
        }
        Ok(Self {
            profile,
            secret,
            recipients: Vec::new(),
        })
    }

    /// Seals both to the holders of these certificates: RSA of at least 2048 bits, up to a
    /// thousand. Who stands twice is counted once.
    ///
    /// Each call draws a new key, so that somebody who is left out cannot read what is sealed from
    /// now on. What was sealed before stays readable for them: replace the credential, too.
    pub fn seal<'a>(
        &self,
        recipients: impl IntoIterator<Item = &'a Certificate>,
    ) -> Result<SealedProfile, SealedProfileError> {
        let mut unique: Vec<Certificate> = Vec::new();
        for certificate in recipients {
            if !unique.contains(certificate) {
                unique.push(certificate.clone());
            }
        }
        let plaintext = self.plaintext(&unique)?;
        SealedProfile::parse(&Jwe::seal(&plaintext, CONTENT_TYPE, &unique)?)
    }

    /// The profile.
    pub fn profile(&self) -> &ConnectionProfile {
        &self.profile
    }

    /// Its secret.
    pub fn secret(&self) -> &ProfileSecret {
        &self.secret
    }

    /// To whom it was sealed, by the word of whoever sealed it: for sealing it anew. Empty for one
    /// that was never sealed, or by another tool.
    pub fn recipients(&self) -> &[Certificate] {
        &self.recipients
    }

    fn plaintext(
        &self,
        recipients: &[Certificate],
    ) -> Result<Zeroizing<Vec<u8>>, SealedProfileError> {
        let profile = serde_json::to_value(&self.profile)
            .map_err(|_| SealedProfileError::Profile(ProfileError::UnwritableTime))?;
        let content = Content {
            profile,
            secret: self.secret.member(),
            recipients: recipients
                .iter()
                .map(|certificate| STANDARD.encode(certificate.der()))
                .collect(),
        };
        // A buffer that grows leaves copies behind that are not wiped.
        let mut plaintext = Zeroizing::new(Vec::with_capacity(ROOM + recipients.len() * ROOM));
        serde_json::to_writer(&mut *plaintext, &content).map_err(|_| SealedProfileError::Failed)?;
        Ok(plaintext)
    }
}

/// The secret of a profile.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ProfileSecret {
    /// A client secret.
    ClientSecret(ClientSecret),
    /// A certificate with its private key.
    Certificate(SigningCertificate),
}

impl ProfileSecret {
    /// The credential to sign in with.
    pub fn credential(&self) -> ClientCredential {
        match self {
            Self::ClientSecret(secret) => ClientCredential::secret(secret.clone()),
            Self::Certificate(certificate) => ClientCredential::certificate(certificate.clone()),
        }
    }

    fn belongs_to(&self, profile: &ConnectionProfile) -> bool {
        let Some(reference) = profile.credential() else {
            return false;
        };
        match self {
            Self::ClientSecret(secret) => {
                let text = secret.secret().expose();
                reference.kind() == CredentialKind::ClientSecret
                    && reference.hint().is_none_or(|hint| text.starts_with(hint))
            }
            Self::Certificate(pair) => {
                let thumbprint = pair.certificate().thumbprint_sha256();
                reference.thumbprint_sha256() == Some(thumbprint.as_str())
            }
        }
    }

    fn member(&self) -> SecretMember {
        match self {
            Self::ClientSecret(secret) => SecretMember::ClientSecret(secret.secret().clone()),
            Self::Certificate(pair) => SecretMember::CertificatePem(pair.to_pem()),
        }
    }
}

/// Why a profile cannot be sealed, or a text cannot be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealedProfileError {
    /// There is nobody to seal it to.
    #[error("there is no recipient")]
    NoRecipient,
    /// More than a thousand recipients.
    #[error("there are more than 1000 recipients")]
    TooManyRecipients,
    /// A certificate cannot be sealed to.
    #[error("the certificate with the SHA-256 thumbprint {thumbprint} cannot be sealed to")]
    Recipient {
        /// Which certificate, in upper-case hexadecimal.
        thumbprint: String,
        /// What is wrong with it.
        source: CertificateError,
    },
    /// The secret is not the one that the profile refers to.
    #[error("the secret is not the one that the profile refers to")]
    OtherCredential,
    /// The text is longer than four MiB.
    #[error("the text is longer than four MiB")]
    TooLarge,
    /// The text is not a JWE as RFC 7516 has it.
    #[error("the text is not a sealed profile: {what}")]
    Malformed {
        /// The part that is not as it must be.
        what: &'static str,
    },
    /// An algorithm or an extension that is not accepted. It is `RSA-OAEP-256` with `A256GCM`, and
    /// neither `crit` nor `zip`.
    #[error("the header's {parameter} is not accepted")]
    Unsupported {
        /// The header parameter.
        parameter: &'static str,
    },
    /// It is sealed, and holds something else than a profile.
    #[error("the text is sealed and is not a profile")]
    ContentType,
    /// It is sealed to others.
    #[error("it is sealed to {} other certificate(s)", thumbprints.len())]
    NotARecipient {
        /// To whom, by SHA-256 thumbprint in upper-case hexadecimal.
        thumbprints: Vec<String>,
    },
    /// The key or the text does not fit: damaged, changed, or another's. Which one is not told.
    #[error("it cannot be decrypted with this key")]
    Undecryptable,
    /// What was sealed is not a profile with a secret.
    #[error("what was sealed is not a profile with its secret")]
    Content,
    /// What was sealed holds a profile that cannot be read.
    #[error("the sealed profile cannot be used")]
    Profile(#[from] ProfileError),
    /// What was sealed holds a certificate that cannot be read.
    #[error("the sealed certificate cannot be used")]
    Certificate(#[from] CertificateError),
    /// What was sealed holds something else in the place of a client secret.
    #[error("the sealed client secret cannot be used")]
    ClientSecret(#[from] ClientSecretError),
    /// The machine has no random numbers, or no memory for a key.
    #[error("the machine could not seal it")]
    Failed,
}

impl SealedProfileError {
    /// What an administrator can do about it.
    pub fn admin_hint(&self) -> &'static str {
        match self {
            Self::NoRecipient => "Name at least one certificate that may open the file.",
            Self::TooManyRecipients => "Seal it to fewer certificates, in several files.",
            Self::Recipient { source, .. } | Self::Certificate(source) => source.admin_hint(),
            Self::Profile(ProfileError::Missing(step)) => step.admin_hint(),
            Self::OtherCredential => "Choose the credential that this connection uses.",
            Self::TooLarge | Self::Malformed { .. } | Self::ContentType => {
                "Choose the configuration file that the product sealed, whole and unchanged."
            }
            Self::NotARecipient { .. } => {
                "Have it sealed to this machine's certificate, too; or choose the certificate that \
                 it is sealed to."
            }
            Self::Unsupported { .. } | Self::Undecryptable | Self::Content | Self::Profile(_) => {
                "Have it sealed anew: the file was changed, damaged, or made by something else."
            }
            Self::ClientSecret(error) => error.admin_hint(),
            Self::Failed => "Try again; then look at the memory of this machine.",
        }
    }
}

/// What is sealed.
#[derive(Serialize, Deserialize)]
struct Content {
    profile: Value,
    secret: SecretMember,
    /// The certificates in DER and standard Base64.
    #[serde(default)]
    recipients: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum SecretMember {
    ClientSecret(#[serde(serialize_with = "expose")] Secret),
    CertificatePem(#[serde(serialize_with = "expose")] Secret),
}

impl TryFrom<Content> for UnsealedProfile {
    type Error = SealedProfileError;

    fn try_from(content: Content) -> Result<Self, SealedProfileError> {
        let secret = match &content.secret {
            SecretMember::ClientSecret(secret) => {
                ProfileSecret::ClientSecret(ClientSecret::try_from(secret)?)
            }
            SecretMember::CertificatePem(pem) => {
                ProfileSecret::Certificate(SigningCertificate::from_pem(pem)?)
            }
        };
        let mut unsealed = Self::new(ConnectionProfile::from_value(content.profile)?, secret)?;
        for text in &content.recipients {
            let der = STANDARD
                .decode(text)
                .map_err(|_| SealedProfileError::Content)?;
            unsealed.recipients.push(Certificate::from_der(der)?);
        }
        Ok(unsealed)
    }
}

/// The one place where a secret is written: into what is sealed.
fn expose<S: Serializer>(secret: &Secret, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose())
}

/// More than a profile with its secret takes, or a certificate.
const ROOM: usize = 16 * 1024;
/// The media type of what is sealed, without `application/` (RFC 7516 4.1.12).
const CONTENT_TYPE: &str = "entra-connection-profile+json";
