//! JSON Web Encryption (RFC 7516) to RSA certificates: `RSA-OAEP-256` and `A256GCM`, nothing else.

use std::collections::HashSet;
use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::{digest, rand};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::json;
use zeroize::Zeroizing;

use crate::certificate::upper_hex;
use crate::jose_header::{Header, read_unique};
use crate::recipient_key::encrypt_key;
use crate::{Certificate, RecipientKey, SealedProfileError};

/// A message that was read and not yet decrypted.
#[derive(Clone)]
pub(crate) struct Jwe {
    /// What the tag covers beside the ciphertext: the protected header as it came, in Base64url,
    /// and behind a dot the `aad` member (RFC 7516 5.1 step 14).
    associated: String,
    content_type: Option<String>,
    recipients: Vec<Recipient>,
    nonce: [u8; NONCE_LEN],
    /// The ciphertext with the tag behind it.
    sealed: Vec<u8>,
}

#[derive(Clone)]
struct Recipient {
    /// The SHA-256 of the certificate, where the sender says so.
    thumbprint: Option<[u8; 32]>,
    encrypted_key: Vec<u8>,
}

impl Jwe {
    /// Encrypts to every one of `recipients`, in the General JSON Serialization (RFC 7516 7.2.1).
    pub(crate) fn seal(
        plaintext: &[u8],
        content_type: &str,
        recipients: &[Certificate],
    ) -> Result<String, SealedProfileError> {
        check_count(recipients.len())?;
        let protected = json!({
            "alg": ALG, "enc": ENC, "typ": "JOSE+JSON", "cty": content_type,
        });
        let protected = URL_SAFE_NO_PAD.encode(protected.to_string());
        // A key for this message alone, so that a random nonce cannot repeat under it.
        let key = random_key()?;
        let mut nonce = [0; NONCE_LEN];
        rand::fill(&mut nonce).map_err(|_| SealedProfileError::Failed)?;
        let mut ciphertext = Zeroizing::new(plaintext.to_vec());
        let tag = aead(&key)?
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(&protected),
                &mut ciphertext,
            )
            .map_err(|_| SealedProfileError::Failed)?;
        let message = Message {
            recipients: Some(
                recipients
                    .iter()
                    .map(|certificate| RecipientMember::seal(certificate, &key))
                    .collect::<Result<_, _>>()?,
            ),
            protected: Some(protected),
            iv: URL_SAFE_NO_PAD.encode(nonce),
            ciphertext: URL_SAFE_NO_PAD.encode(&*ciphertext),
            tag: URL_SAFE_NO_PAD.encode(tag),
            ..Message::default()
        };
        serde_json::to_string(&message).map_err(|_| SealedProfileError::Failed)
    }

    /// Reads a message in the General or Flattened JSON Serialization or the Compact one. What is
    /// not exactly as this module writes or understands it is refused before any key is used.
    pub(crate) fn parse(text: &str) -> Result<Self, SealedProfileError> {
        if text.len() > MAX_TEXT {
            return Err(SealedProfileError::TooLarge);
        }
        let text = text.trim();
        let message = if text.starts_with('{') {
            read_unique(text).map_err(|_| malformed("not JSON of the expected form"))?
        } else {
            Message::from_compact(text)?
        };
        message.try_into()
    }

    /// Decrypts with `key`.
    pub(crate) fn open(
        &self,
        key: &RecipientKey,
    ) -> Result<Zeroizing<Vec<u8>>, SealedProfileError> {
        let recipient = self.recipient(key.certificate())?;
        // A wrong key and a wrong message must look alike: a random key takes the place of one
        // that cannot be decrypted, and fails at the tag (RFC 7516 11.5).
        let content_key = match key.decrypt_key(&recipient.encrypted_key) {
            Some(content_key) => content_key,
            None => random_key()?,
        };
        let mut buffer = Zeroizing::new(self.sealed.clone());
        let length = aead(&content_key)?
            .open_in_place(
                Nonce::assume_unique_for_key(self.nonce),
                Aad::from(&self.associated),
                &mut buffer,
            )
            .map_err(|_| SealedProfileError::Undecryptable)?
            .len();
        buffer.truncate(length);
        Ok(buffer)
    }

    /// The media type of what is in it (RFC 7516 4.1.12).
    pub(crate) fn content_type(&self) -> Option<&str> {
        self.content_type.as_deref()
    }

    /// The SHA-256 thumbprints of the recipients' certificates, in upper-case hexadecimal.
    pub(crate) fn thumbprints(&self) -> Vec<String> {
        self.recipients
            .iter()
            .filter_map(|recipient| recipient.thumbprint)
            .map(|thumbprint| upper_hex(&thumbprint))
            .collect()
    }

    /// The recipient that `certificate` names, or the only one that the sender did not name.
    fn recipient(&self, certificate: &Certificate) -> Result<&Recipient, SealedProfileError> {
        let own = digest::digest(&digest::SHA256, certificate.der());
        self.recipients
            .iter()
            .find(|recipient| match &recipient.thumbprint {
                Some(thumbprint) => thumbprint == own.as_ref(),
                None => self.recipients.len() == 1,
            })
            .ok_or_else(|| SealedProfileError::NotARecipient {
                thumbprints: self.thumbprints(),
            })
    }
}

impl fmt::Debug for Jwe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jwe")
            .field("content_type", &self.content_type)
            .field("thumbprints", &self.thumbprints())
            .finish_non_exhaustive()
    }
}

/// The members of a message (RFC 7516 7.2). Members that are not understood are ignored, as 7.2.1
/// wants it; a member that stands twice is refused.
#[derive(Default, Serialize, Deserialize)]
struct Message {
    #[serde(skip_serializing_if = "Option::is_none")]
    protected: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unprotected: Option<Header>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recipients: Option<Vec<RecipientMember>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    header: Option<Header>,
    #[serde(skip_serializing_if = "Option::is_none")]
    encrypted_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aad: Option<String>,
    iv: String,
    ciphertext: String,
    tag: String,
}

#[derive(Serialize, Deserialize)]
struct RecipientMember {
    #[serde(skip_serializing_if = "Option::is_none")]
    header: Option<Header>,
    #[serde(skip_serializing_if = "Option::is_none")]
    encrypted_key: Option<String>,
}

impl Message {
    /// Five parts between dots (RFC 7516 7.1).
    fn from_compact(text: &str) -> Result<Self, SealedProfileError> {
        let parts: Vec<&str> = text.split('.').collect();
        let [protected, encrypted_key, iv, ciphertext, tag] = parts.as_slice() else {
            return Err(malformed("neither JSON nor five parts between dots"));
        };
        Ok(Self {
            protected: Some((*protected).to_owned()),
            encrypted_key: Some((*encrypted_key).to_owned()),
            iv: (*iv).to_owned(),
            ciphertext: (*ciphertext).to_owned(),
            tag: (*tag).to_owned(),
            ..Self::default()
        })
    }
}

impl RecipientMember {
    fn seal(certificate: &Certificate, key: &[u8; 32]) -> Result<Self, SealedProfileError> {
        let encrypted =
            encrypt_key(certificate, key).map_err(|source| SealedProfileError::Recipient {
                thumbprint: certificate.thumbprint_sha256(),
                source,
            })?;
        Ok(Self {
            header: Some(Header::new(X5T_S256, certificate.x5t_s256())),
            encrypted_key: Some(URL_SAFE_NO_PAD.encode(encrypted)),
        })
    }
}

impl TryFrom<Message> for Jwe {
    type Error = SealedProfileError;

    fn try_from(message: Message) -> Result<Self, SealedProfileError> {
        let protected_text = message.protected.unwrap_or_default();
        let protected = Header::from_bytes(&decode(&protected_text, "protected")?)?;
        if protected.text("enc")? != Some(ENC) {
            return Err(SealedProfileError::Unsupported { parameter: "enc" });
        }
        let shared = message.unprotected.unwrap_or_default();
        let members = match (message.recipients, message.header, message.encrypted_key) {
            (Some(members), None, None) => members,
            (None, header, encrypted_key) => vec![RecipientMember {
                header,
                encrypted_key,
            }],
            // RFC 7516 7.2.2.
            _ => return Err(malformed("both the general and the flattened form")),
        };
        let recipients = recipients(&protected, &shared, members)?;
        let mut sealed = decode(&message.ciphertext, "ciphertext")?;
        sealed.extend(exactly::<16>(&message.tag, "tag")?);
        Ok(Self {
            content_type: protected.text("cty")?.map(str::to_owned),
            recipients,
            nonce: exactly(&message.iv, "iv")?,
            sealed,
            associated: match message.aad {
                Some(aad) => {
                    decode(&aad, "aad")?;
                    format!("{protected_text}.{aad}")
                }
                None => protected_text,
            },
        })
    }
}

/// The recipients, each of whom stands there once.
fn recipients(
    protected: &Header,
    shared: &Header,
    members: Vec<RecipientMember>,
) -> Result<Vec<Recipient>, SealedProfileError> {
    check_count(members.len())?;
    let mut thumbprints = HashSet::new();
    let mut recipients = Vec::with_capacity(members.len());
    for member in members {
        let recipient = recipient(protected, shared, member)?;
        if !recipient.thumbprint.is_none_or(|it| thumbprints.insert(it)) {
            return Err(malformed("a recipient who stands twice"));
        }
        recipients.push(recipient);
    }
    Ok(recipients)
}

/// One recipient, whose header is the union of three (RFC 7516 7.2.1).
fn recipient(
    protected: &Header,
    shared: &Header,
    member: RecipientMember,
) -> Result<Recipient, SealedProfileError> {
    let own = member.header.unwrap_or_default();
    let header = Header::union([protected, shared, &own])?;
    // An extension that must be understood, and a compression that leaks (RFC 7516 4.1.13, 4.1.3).
    for parameter in ["crit", "zip"] {
        if header.has(parameter) {
            return Err(SealedProfileError::Unsupported { parameter });
        }
    }
    if header.text("alg")? != Some(ALG) {
        return Err(SealedProfileError::Unsupported { parameter: "alg" });
    }
    let thumbprint = header
        .text(X5T_S256)?
        .map(|thumbprint| exactly(thumbprint, X5T_S256))
        .transpose()?;
    let encrypted_key = member.encrypted_key.unwrap_or_default();
    Ok(Recipient {
        thumbprint,
        encrypted_key: decode(&encrypted_key, "encrypted_key")?,
    })
}

fn check_count(recipients: usize) -> Result<(), SealedProfileError> {
    match recipients {
        0 => Err(SealedProfileError::NoRecipient),
        1..=MAX_RECIPIENTS => Ok(()),
        _ => Err(SealedProfileError::TooManyRecipients),
    }
}

/// Base64url without padding, in its one canonical form (RFC 7515 2).
fn decode(text: &str, part: &'static str) -> Result<Vec<u8>, SealedProfileError> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| malformed(part))
}

fn exactly<const N: usize>(text: &str, part: &'static str) -> Result<[u8; N], SealedProfileError> {
    decode(text, part)?.try_into().map_err(|_| malformed(part))
}

fn malformed(what: &'static str) -> SealedProfileError {
    SealedProfileError::Malformed { what }
}

fn random_key() -> Result<Zeroizing<[u8; 32]>, SealedProfileError> {
    let mut key = Zeroizing::new([0; 32]);
    rand::fill(&mut *key).map_err(|_| SealedProfileError::Failed)?;
    Ok(key)
}

fn aead(key: &[u8; 32]) -> Result<LessSafeKey, SealedProfileError> {
    UnboundKey::new(&AES_256_GCM, key)
        .map(LessSafeKey::new)
        .map_err(|_| SealedProfileError::Failed)
}

/// RFC 7518 4.3.
const ALG: &str = "RSA-OAEP-256";
/// RFC 7518 5.3.
const ENC: &str = "A256GCM";
/// RFC 7516 4.1.8.
const X5T_S256: &str = "x5t#S256";
/// Enough for a thousand recipients.
const MAX_TEXT: usize = 4 * 1024 * 1024;
const MAX_RECIPIENTS: usize = 1000;
