//! X.509 certificates, and what keeps one from being used.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use time::OffsetDateTime;
use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::public_key::PublicKey;
use zeroize::Zeroizing;

/// An X.509 certificate without its private key: what is uploaded to the portal.
///
/// Reading one needs neither a tenant nor an application id.
#[derive(Clone, PartialEq, Eq)]
pub struct Certificate {
    der: Arc<[u8]>,
    subject: String,
    not_before: OffsetDateTime,
    not_after: OffsetDateTime,
    /// The names in DER, by which a chain is put in order.
    subject_name: Vec<u8>,
    issuer_name: Vec<u8>,
    rsa_key: Option<RsaKey>,
    /// Whether a key may be encrypted to it (RFC 5280 4.2.1.3).
    takes_keys: bool,
}

/// The public key of an RSA certificate.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct RsaKey {
    pub(crate) bits: usize,
    /// The SubjectPublicKeyInfo in DER (RFC 5280 4.1.2.7).
    pub(crate) spki: Vec<u8>,
}

impl Certificate {
    /// Reads a certificate in DER.
    pub fn from_der(der: impl Into<Vec<u8>>) -> Result<Self, CertificateError> {
        let der: Vec<u8> = der.into();
        if is_pkcs12(&der) {
            return Err(CertificateError::Pkcs12);
        }
        let (rest, parsed) =
            X509Certificate::from_der(&der).map_err(|_| CertificateError::NotACertificate)?;
        if !rest.is_empty() {
            return Err(CertificateError::NotACertificate);
        }
        let rsa_key = match parsed.public_key().parsed() {
            Ok(PublicKey::RSA(key)) => Some(RsaKey {
                bits: key.key_size(),
                spki: parsed.public_key().raw.to_vec(),
            }),
            _ => None,
        };
        Ok(Self {
            subject: parsed.subject().to_string(),
            not_before: parsed.validity().not_before.to_datetime(),
            not_after: parsed.validity().not_after.to_datetime(),
            subject_name: parsed.subject().as_raw().to_vec(),
            issuer_name: parsed.issuer().as_raw().to_vec(),
            rsa_key,
            takes_keys: match parsed.key_usage() {
                Ok(usage) => usage.is_none_or(|usage| usage.value.key_encipherment()),
                Err(_) => false,
            },
            der: der.into(),
        })
    }

    /// Reads the first certificate of a PEM text (RFC 7468), or the Base64 of one without the
    /// lines around it.
    pub fn from_pem(text: &str) -> Result<Self, CertificateError> {
        let blocks = pem_blocks(text)?;
        match blocks.iter().find(|block| block.tag() == CERTIFICATE) {
            Some(block) => Self::from_der(block.contents()),
            None if blocks.is_empty() => {
                let compact: String = text
                    .trim_start_matches(BYTE_ORDER_MARK)
                    .split_whitespace()
                    .collect();
                match STANDARD.decode(compact) {
                    Ok(der) if !der.is_empty() => Self::from_der(der),
                    _ => Err(CertificateError::NoCertificate),
                }
            }
            None => Err(CertificateError::NoCertificate),
        }
    }

    /// All certificates of a PEM text, maybe none.
    pub(crate) fn all_from_pem(text: &str) -> Result<Vec<Self>, CertificateError> {
        pem_blocks(text)?
            .iter()
            .filter(|block| block.tag() == CERTIFICATE)
            .map(|block| Self::from_der(block.contents()))
            .collect()
    }

    /// The certificate in DER: the `.cer` file that the portal accepts.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The certificate in PEM, which the portal accepts as well.
    pub fn to_pem(&self) -> String {
        to_pem(CERTIFICATE, self.der.to_vec())
    }

    /// The subject's distinguished name.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The first moment of validity.
    pub fn not_before(&self) -> OffsetDateTime {
        self.not_before
    }

    /// The last moment of validity.
    pub fn not_after(&self) -> OffsetDateTime {
        self.not_after
    }

    /// Whether `now` lies within the validity.
    pub fn is_valid_at(&self, now: OffsetDateTime) -> bool {
        (self.not_before..=self.not_after).contains(&now)
    }

    /// The SHA-1 thumbprint in upper-case hexadecimal, as the portal shows it.
    pub fn thumbprint_sha1(&self) -> String {
        upper_hex(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &self.der).as_ref())
    }

    /// The SHA-256 thumbprint in upper-case hexadecimal.
    pub fn thumbprint_sha256(&self) -> String {
        upper_hex(digest::digest(&digest::SHA256, &self.der).as_ref())
    }

    /// The `x5t#S256` of a JOSE header (RFC 7515 4.1.8): base64url without padding of the SHA-256
    /// of the DER.
    pub fn x5t_s256(&self) -> String {
        URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, &self.der))
    }
}

impl Certificate {
    pub(crate) fn rsa_key(&self) -> Option<&RsaKey> {
        self.rsa_key.as_ref()
    }

    /// The RSA key that another key may be encrypted to, if the certificate allows it.
    pub(crate) fn key_to_encrypt_to(&self) -> Result<&RsaKey, CertificateError> {
        match &self.rsa_key {
            None => Err(CertificateError::KeyNotRsa),
            Some(key) if key.bits < 2048 => Err(CertificateError::KeyTooShort { bits: key.bits }),
            Some(_) if !self.takes_keys => Err(CertificateError::NotForEncryption),
            Some(key) => Ok(key),
        }
    }

    /// Whether `self` is named as the issuer of `certificate`, which is not self-signed.
    pub(crate) fn is_named_issuer_of(&self, certificate: &Self) -> bool {
        certificate.issuer_name != certificate.subject_name
            && certificate.issuer_name == self.subject_name
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate")
            .field("subject", &self.subject)
            .field("thumbprint_sha1", &self.thumbprint_sha1())
            .field("not_before", &self.not_before)
            .field("not_after", &self.not_after)
            .finish_non_exhaustive()
    }
}

/// Why a certificate or a key cannot be used. Plain data.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// The PEM text is cut off or damaged.
    #[error("the text looks like PEM and cannot be read")]
    DamagedPem,
    /// There is no certificate in the text.
    #[error("there is no certificate in the text")]
    NoCertificate,
    /// The bytes are no X.509 certificate.
    #[error("the bytes are not an X.509 certificate")]
    NotACertificate,
    /// It is a PKCS#12 file (.pfx, .p12) where a certificate or PEM is expected.
    #[error("it is a PKCS#12 file")]
    Pkcs12,
    /// The bytes are no PKCS#12 file, or not the whole of one.
    #[error("the bytes are not a whole PKCS#12 file")]
    NotPkcs12,
    /// The password does not open the key or the file; or it is damaged, which looks the same.
    #[error("the password does not open it")]
    WrongPassword,
    /// It is encrypted by an algorithm that is not read here, or that asks for too much work.
    #[error("it is encrypted by an algorithm that is not read here")]
    UnsupportedEncryption,
    /// There is no private key in the text.
    #[error("there is no private key in the text")]
    NoPrivateKey,
    /// The private key is protected by a password.
    #[error("the private key is encrypted ({format})")]
    EncryptedKey {
        /// How it is encrypted: `PKCS#8` or `RFC 1423`.
        format: &'static str,
    },
    /// The private key is not an RSA key, or damaged. Entra accepts RSA only.
    #[error("the private key is not a usable RSA key")]
    KeyNotRsa,
    /// The RSA key is shorter than 2048 bits.
    #[error("the RSA key has {bits} bits, fewer than 2048")]
    KeyTooShort {
        /// The size of the key.
        bits: usize,
    },
    /// The private key belongs to none of the certificates.
    #[error("the private key does not belong to the certificate")]
    KeyMismatch,
    /// The wanted validity does not fit into a certificate.
    #[error("the validity is not a positive span of time between the years 1950 and 9999")]
    Validity,
    /// The common name is empty, longer than 64 characters (RFC 5280, ub-common-name) or has
    /// control characters.
    #[error("the common name must have 1 to 64 printable characters, not {length}")]
    CommonName {
        /// How many characters were given.
        length: usize,
    },
    /// The key could not be generated.
    #[error("the key could not be generated")]
    Generation,
    /// The key could not sign.
    #[error("the key could not sign")]
    CannotSign,
    /// The certificate's key usage (RFC 5280 4.2.1.3) does not let anything be encrypted to it.
    #[error("the certificate's key usage has no key encipherment")]
    NotForEncryption,
}

impl CertificateError {
    /// What an administrator can do about it.
    pub fn admin_hint(&self) -> &'static str {
        match self {
            Self::DamagedPem => {
                "Copy the whole file, from the first -----BEGIN to the last END----- line."
            }
            Self::NoCertificate | Self::NotACertificate => {
                "Choose a certificate file in PEM or DER (.pem, .cer, .crt)."
            }
            Self::Pkcs12 => {
                "Choose it where a PKCS#12 file and its password are asked for; if that is nowhere, \
                 convert it: openssl pkcs12 -in file.pfx -nodes -out file.pem"
            }
            Self::NotPkcs12 => {
                "Choose the whole .pfx or .p12 file; or convert it: \
                 openssl pkcs12 -in file.pfx -nodes -out file.pem"
            }
            Self::WrongPassword => {
                "Enter the password that was set when the key was exported, then try the file from \
                 its source."
            }
            Self::UnsupportedEncryption => {
                "Encrypt it anew with AES: openssl pkcs8 -topk8 -v2 aes-256-cbc -in key.pem \
                 -out new.pem"
            }
            Self::NoPrivateKey => {
                "Choose the file that holds the private key too; the .cer file for the portal does \
                 not."
            }
            Self::EncryptedKey { format: PKCS8 } => {
                "Enter it where the key's password is asked for, too; if that is nowhere, remove the \
                 password: openssl pkcs8 -topk8 -nocrypt -in key.pem -out plain.pem"
            }
            Self::EncryptedKey { .. } => {
                "Remove the password first: openssl pkcs8 -topk8 -nocrypt -in key.pem -out plain.pem"
            }
            Self::KeyNotRsa | Self::KeyTooShort { .. } => {
                "Generate a new certificate with an RSA key of 2048 bits or more: Entra accepts no \
                 other."
            }
            Self::KeyMismatch => {
                "The key and the certificate come from two different files. Choose the pair that \
                 belongs together."
            }
            Self::Validity | Self::CommonName { .. } => "Correct the certificate's settings.",
            Self::Generation | Self::CannotSign => "Generate a new certificate.",
            Self::NotForEncryption => {
                "Choose a certificate with the key usage «Key Encipherment»: one for documents or \
                 for a computer, not one for signing alone."
            }
        }
    }
}

/// The blocks of a PEM text. A text without any is no error: it may be plain Base64.
pub(crate) fn pem_blocks(text: &str) -> Result<Vec<pem::Pem>, CertificateError> {
    // Environment variables and JSON often hold a PEM text in one line.
    let lines = Zeroizing::new(if text.contains('\n') {
        String::new()
    } else {
        text.replace("\\r", "").replace("\\n", "\n")
    });
    let text = if lines.is_empty() {
        text
    } else {
        lines.as_str()
    };
    pem::parse_many(text)
        .map_err(|_| CertificateError::DamagedPem)
        .and_then(|blocks| {
            // The parser skips what it cannot match, so a cut-off block must be noticed here.
            let complete = ["-----BEGIN ", "-----END "]
                .iter()
                .all(|line| text.matches(line).count() == blocks.len());
            if complete {
                Ok(blocks)
            } else {
                Err(CertificateError::DamagedPem)
            }
        })
}

pub(crate) fn to_pem(tag: &str, contents: Vec<u8>) -> String {
    pem::encode_config(
        &pem::Pem::new(tag, contents),
        pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF),
    )
}

pub(crate) fn upper_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

/// Whether it begins like a PKCS#12 file: a sequence with the version 3 (RFC 7292 4).
pub(crate) fn is_pkcs12(der: &[u8]) -> bool {
    let [0x30, length, rest @ ..] = der else {
        return false;
    };
    // Longer lengths say how many bytes they take (X.690 8.1.3.5).
    let skip = if *length < 0x80 {
        0
    } else {
        usize::from(length & 0x7f)
    };
    rest.get(skip..)
        .is_some_and(|content| content.starts_with(&[2, 1, 3]))
}

/// What Windows editors put before a text.
const BYTE_ORDER_MARK: char = '\u{feff}';
pub(crate) const CERTIFICATE: &str = "CERTIFICATE";
/// How keys are encrypted since the nineties (RFC 5958 3).
pub(crate) const PKCS8: &str = "PKCS#8";
