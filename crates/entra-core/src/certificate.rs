//! Certificates that an application signs in with: made, loaded, exported, checked.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{KeyPair as _, RSA_PSS_SHA256, RsaKeyPair};
use aws_lc_rs::{digest, encoding::AsDer as _};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use time::OffsetDateTime;
use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::public_key::PublicKey;
use zeroize::Zeroizing;

use crate::Secret;

/// An X.509 certificate without its private key: what is uploaded to the portal.
///
/// Reading one needs neither a tenant nor an application id.
#[derive(Clone, PartialEq, Eq)]
pub struct Certificate {
    der: Arc<[u8]>,
    subject: String,
    not_before: OffsetDateTime,
    not_after: OffsetDateTime,
    rsa_bits: Option<usize>,
}

impl Certificate {
    /// Reads a certificate in DER.
    pub fn from_der(der: impl Into<Vec<u8>>) -> Result<Self, CertificateError> {
        let der: Vec<u8> = der.into();
        let (rest, parsed) =
            X509Certificate::from_der(&der).map_err(|_| CertificateError::NotACertificate)?;
        if !rest.is_empty() {
            return Err(CertificateError::NotACertificate);
        }
        let rsa_bits = match parsed.public_key().parsed() {
            Ok(PublicKey::RSA(key)) => Some(key.key_size()),
            _ => None,
        };
        Ok(Self {
            subject: parsed.subject().to_string(),
            not_before: parsed.validity().not_before.to_datetime(),
            not_after: parsed.validity().not_after.to_datetime(),
            rsa_bits,
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
        hex(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &self.der).as_ref())
    }

    /// The SHA-256 thumbprint in upper-case hexadecimal.
    pub fn thumbprint_sha256(&self) -> String {
        hex(digest::digest(&digest::SHA256, &self.der).as_ref())
    }

    /// The `x5t#S256` of a JOSE header (RFC 7515 4.1.8): base64url without padding of the SHA-256
    /// of the DER.
    pub fn x5t_s256(&self) -> String {
        URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, &self.der))
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

/// A certificate with its private key and, maybe, the certificates above it.
///
/// It is checked when it is made: the key is RSA of at least 2048 bits and belongs to the
/// certificate. The key is parsed once.
///
/// ```
/// # #[cfg(feature = "certificates")] {
/// use entra_core::{CertificateOptions, SigningCertificate};
/// use time::{Duration, OffsetDateTime};
///
/// let now = OffsetDateTime::UNIX_EPOCH + Duration::days(20_500);
/// let options = CertificateOptions::new("Contoso Helpdesk").with_validity(Duration::days(365));
/// let generated = SigningCertificate::generate(&options, now)?;
///
/// let for_the_portal: Vec<u8> = generated.certificate().der().to_vec();
/// let for_the_vault = generated.to_pem(); // key and certificate, a secret
/// let loaded = SigningCertificate::from_pem(&for_the_vault)?;
/// assert_eq!(loaded.certificate().der(), for_the_portal);
/// # }
/// # Ok::<(), entra_core::CertificateError>(())
/// ```
#[derive(Clone)]
pub struct SigningCertificate(Arc<Inner>);

struct Inner {
    certificate: Certificate,
    chain: Vec<Certificate>,
    key: RsaKeyPair,
    /// PKCS#8 in DER.
    pkcs8: Zeroizing<Vec<u8>>,
}

impl SigningCertificate {
    /// Generates an RSA key and a self-signed certificate that is valid from `now`.
    ///
    /// It takes a fraction of a second of processor time, more for larger keys: call it on a
    /// thread that may block.
    #[cfg(feature = "certificates")]
    pub fn generate(
        options: &CertificateOptions,
        now: OffsetDateTime,
    ) -> Result<Self, CertificateError> {
        generation::generate(options, now)
    }

    /// Reads a private key and its certificate, and further certificates of the chain, from one
    /// PEM text, in any order. The certificate that belongs to the key is found by its public key,
    /// those above it by their names; others are left out.
    pub fn from_pem(text: &Secret) -> Result<Self, CertificateError> {
        let blocks = pem_blocks(text.expose())?;
        let block = private_key_block(text.expose(), &blocks)?;
        let certificates = Certificate::all_from_pem(text.expose())?;
        let key = pkcs8(block).map_err(|error| too_short(&certificates).unwrap_or(error))?;
        Self::assemble(key, certificates)
    }

    /// Reads a certificate (with its chain) and a private key from two PEM texts.
    pub fn from_pem_parts(certificates: &str, key: &Secret) -> Result<Self, CertificateError> {
        let joined = Zeroizing::new(format!("{certificates}\n{}", key.expose()));
        Self::from_pem(&Secret::new(joined.as_str()))
    }

    /// The public part.
    pub fn certificate(&self) -> &Certificate {
        &self.0.certificate
    }

    /// The certificates above it, the nearest first.
    pub fn chain(&self) -> &[Certificate] {
        &self.0.chain
    }

    /// The private key as PKCS#8 in PEM (RFC 5958, RFC 7468 10).
    pub fn private_key_pem(&self) -> Secret {
        Secret::new(to_pem(PRIVATE_KEY, self.0.pkcs8.to_vec()))
    }

    /// Private key, certificate and chain in one PEM text, as [`from_pem`](Self::from_pem) reads it.
    pub fn to_pem(&self) -> Secret {
        let mut text = Zeroizing::new(self.private_key_pem().expose().to_owned());
        for certificate in std::iter::once(self.certificate()).chain(self.chain()) {
            text.push_str(&certificate.to_pem());
        }
        Secret::new(text.as_str())
    }

    /// Signs with RSASSA-PSS, SHA-256 and a salt of 32 bytes: the JOSE algorithm `PS256`
    /// (RFC 7518 3.5).
    pub fn sign_ps256(&self, message: &[u8]) -> Result<Vec<u8>, CertificateError> {
        let mut signature = vec![0; self.0.key.public_modulus_len()];
        self.0
            .key
            .sign(
                &RSA_PSS_SHA256,
                &SystemRandom::new(),
                message,
                &mut signature,
            )
            .map_err(|_| CertificateError::CannotSign)?;
        Ok(signature)
    }

    /// Pairs a key with its certificate, and refuses what Entra would refuse.
    fn assemble(
        pkcs8: Zeroizing<Vec<u8>>,
        mut certificates: Vec<Certificate>,
    ) -> Result<Self, CertificateError> {
        // A key of fewer than 2048 bits is not even read.
        let key = RsaKeyPair::from_pkcs8(&pkcs8)
            .map_err(|_| too_short(&certificates).unwrap_or(CertificateError::KeyNotRsa))?;
        if certificates.is_empty() {
            return Err(CertificateError::NoCertificate);
        }
        let public = key
            .public_key()
            .as_der()
            .map_err(|_| CertificateError::KeyNotRsa)?;
        let position = certificates
            .iter()
            .position(|certificate| public_key_of(certificate).as_deref() == Some(public.as_ref()))
            .ok_or(CertificateError::KeyMismatch)?;
        let certificate = certificates.swap_remove(position);
        let chain = issuers_of(&certificate, certificates);
        Ok(Self(Arc::new(Inner {
            certificate,
            chain,
            key,
            pkcs8,
        })))
    }
}

impl fmt::Debug for SigningCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningCertificate")
            .field("certificate", self.certificate())
            .field("chain", &self.0.chain.len())
            .finish_non_exhaustive()
    }
}

/// What a generated certificate looks like.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CertificateOptions {
    /// The subject's common name, by which an administrator recognises it in the portal.
    pub common_name: String,
    /// The size of the RSA key; 2048 bits by default.
    pub key_size: RsaKeySize,
    /// How long it is valid; one year by default.
    pub validity: time::Duration,
}

impl CertificateOptions {
    /// A certificate with this common name.
    pub fn new(common_name: impl Into<String>) -> Self {
        Self {
            common_name: common_name.into(),
            key_size: RsaKeySize::Bits2048,
            validity: time::Duration::days(365),
        }
    }

    /// With a key of this size.
    #[must_use]
    pub fn with_key_size(mut self, key_size: RsaKeySize) -> Self {
        self.key_size = key_size;
        self
    }

    /// Valid for this long.
    #[must_use]
    pub fn with_validity(mut self, validity: time::Duration) -> Self {
        self.validity = validity;
        self
    }
}

/// The size of an RSA key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RsaKeySize {
    /// 2048 bits.
    #[default]
    Bits2048,
    /// 3072 bits.
    Bits3072,
    /// 4096 bits.
    Bits4096,
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
    #[error("the validity is not a positive span of time before the year 9999")]
    Validity,
    /// The common name is empty or longer than 64 characters (RFC 5280, ub-common-name).
    #[error("the common name must have 1 to 64 characters, not {length}")]
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
            Self::NoPrivateKey => {
                "Choose the file that holds the private key too; the .cer file for the portal does \
                 not."
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
        }
    }
}

/// The blocks of a PEM text. A text without any is no error: it may be plain Base64.
fn pem_blocks(text: &str) -> Result<Vec<pem::Pem>, CertificateError> {
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

/// The block of the private key, unless it is encrypted.
fn private_key_block<'a>(
    text: &str,
    blocks: &'a [pem::Pem],
) -> Result<&'a pem::Pem, CertificateError> {
    if blocks
        .iter()
        .any(|block| block.tag() == "ENCRYPTED PRIVATE KEY")
    {
        return Err(CertificateError::EncryptedKey { format: "PKCS#8" });
    }
    if text.contains("Proc-Type: 4,ENCRYPTED") || text.contains("DEK-Info:") {
        return Err(CertificateError::EncryptedKey { format: "RFC 1423" });
    }
    blocks
        .iter()
        .find(|block| block.tag().ends_with(PRIVATE_KEY))
        .ok_or(CertificateError::NoPrivateKey)
}

/// The private key as PKCS#8. Traditional RSA keys (RFC 8017 A.1.2) are wrapped.
fn pkcs8(block: &pem::Pem) -> Result<Zeroizing<Vec<u8>>, CertificateError> {
    match block.tag() {
        PRIVATE_KEY => Ok(Zeroizing::new(block.contents().to_vec())),
        "RSA PRIVATE KEY" => {
            let key =
                RsaKeyPair::from_der(block.contents()).map_err(|_| CertificateError::KeyNotRsa)?;
            let pkcs8: aws_lc_rs::encoding::Pkcs8V1Der<'_> =
                key.as_der().map_err(|_| CertificateError::KeyNotRsa)?;
            Ok(Zeroizing::new(pkcs8.as_ref().to_vec()))
        }
        _ => Err(CertificateError::KeyNotRsa),
    }
}

/// The complaint about certificates of short RSA keys, if there is one among them.
fn too_short(certificates: &[Certificate]) -> Option<CertificateError> {
    let bits = certificates
        .iter()
        .filter_map(|certificate| certificate.rsa_bits)
        .find(|bits| *bits < 2048)?;
    Some(CertificateError::KeyTooShort { bits })
}

/// The certificates above `certificate` up to the root, each followed by the one that issued it,
/// as `x5c` has them (RFC 7515 4.1.6).
fn issuers_of(certificate: &Certificate, mut others: Vec<Certificate>) -> Vec<Certificate> {
    let mut chain = Vec::new();
    let mut wanted = issuer_of(certificate);
    while let Some(issuer) = wanted.take() {
        let Some(position) = others
            .iter()
            .position(|other| subject_of(other).as_ref() == Some(&issuer))
        else {
            break;
        };
        let above = others.swap_remove(position);
        wanted = issuer_of(&above);
        chain.push(above);
    }
    chain
}

/// The issuer's name in DER; nothing for a self-signed certificate.
fn issuer_of(certificate: &Certificate) -> Option<Vec<u8>> {
    let (_, parsed) = X509Certificate::from_der(&certificate.der).ok()?;
    let issuer = parsed.issuer().as_raw();
    (issuer != parsed.subject().as_raw()).then(|| issuer.to_vec())
}

fn subject_of(certificate: &Certificate) -> Option<Vec<u8>> {
    let (_, parsed) = X509Certificate::from_der(&certificate.der).ok()?;
    Some(parsed.subject().as_raw().to_vec())
}

/// The SubjectPublicKeyInfo of an RSA certificate (RFC 5280 4.1.2.7).
fn public_key_of(certificate: &Certificate) -> Option<Vec<u8>> {
    certificate.rsa_bits?;
    let (_, parsed) = X509Certificate::from_der(&certificate.der).ok()?;
    Some(parsed.public_key().raw.to_vec())
}

fn to_pem(tag: &str, contents: Vec<u8>) -> String {
    pem::encode_config(
        &pem::Pem::new(tag, contents),
        pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF),
    )
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

/// What Windows editors put before a text.
const BYTE_ORDER_MARK: char = '\u{feff}';
const CERTIFICATE: &str = "CERTIFICATE";
const PRIVATE_KEY: &str = "PRIVATE KEY";

#[cfg(feature = "certificates")]
mod generation {
    use rcgen::{
        CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair,
        KeyUsagePurpose, PKCS_RSA_SHA256,
    };
    use time::OffsetDateTime;
    use zeroize::Zeroizing;

    use super::{
        Certificate, CertificateError, CertificateOptions, RsaKeySize, SigningCertificate,
    };

    pub(super) fn generate(
        options: &CertificateOptions,
        now: OffsetDateTime,
    ) -> Result<SigningCertificate, CertificateError> {
        let params = params(options, now)?;
        let size = match options.key_size {
            RsaKeySize::Bits2048 => rcgen::RsaKeySize::_2048,
            RsaKeySize::Bits3072 => rcgen::RsaKeySize::_3072,
            RsaKeySize::Bits4096 => rcgen::RsaKeySize::_4096,
        };
        let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, size)
            .map_err(|_| CertificateError::Generation)?;
        // rcgen wipes a key only when asked to, so the copy that lives on is wrapped at once.
        let pkcs8 = Zeroizing::new(key.serialize_der());
        let certificate = params
            .self_signed(&key)
            .map_err(|_| CertificateError::Generation)?;
        let certificate = Certificate::from_der(certificate.der().to_vec())?;
        SigningCertificate::assemble(pkcs8, vec![certificate])
    }

    fn params(
        options: &CertificateOptions,
        now: OffsetDateTime,
    ) -> Result<CertificateParams, CertificateError> {
        let length = options.common_name.chars().count();
        if !(1..=64).contains(&length) {
            return Err(CertificateError::CommonName { length });
        }
        let not_after = now
            .checked_add(options.validity)
            .filter(|end| options.validity.is_positive() && end.year() < 9999)
            .ok_or(CertificateError::Validity)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::CommonName, options.common_name.as_str());
        // Clocks differ: a certificate that starts now is refused by a service that is a minute
        // behind.
        params.not_before = now.saturating_sub(time::Duration::minutes(5));
        params.not_after = not_after;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        Ok(params)
    }
}
