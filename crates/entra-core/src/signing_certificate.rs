//! Certificates that an application signs in with: made, loaded, checked.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    KeyPair as _, RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaEncoding, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
#[cfg(feature = "certificates")]
use time::OffsetDateTime;
use zeroize::Zeroizing;

use crate::certificate::{PKCS8, is_pkcs12, pem_blocks, to_pem};
use crate::encrypted_key::decrypt;
use crate::{Certificate, CertificateError, Secret};

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
    /// Generates an RSA key and a self-signed certificate that is valid from `now`, which a
    /// [`Clock`](crate::Clock) tells: `SystemClock.now()`.
    ///
    /// It takes a fraction of a second of processor time, more for larger keys: call it on a
    /// thread that may block.
    #[cfg(feature = "certificates")]
    pub fn generate(
        options: &CertificateOptions,
        now: OffsetDateTime,
    ) -> Result<Self, CertificateError> {
        generation::generate(options, KeyPurpose::Signing, now)
    }

    /// Reads a private key and its certificate, and further certificates of the chain, from one
    /// PEM text, in any order. The certificate that belongs to the key is found by its public key,
    /// those above it by their names; others are left out.
    pub fn from_pem(text: &Secret) -> Result<Self, CertificateError> {
        let blocks = pem_blocks(text.expose())?;
        if blocks.is_empty()
            && let Ok(der) = STANDARD.decode(text.expose().trim())
            && is_pkcs12(&der)
        {
            return Err(CertificateError::Pkcs12);
        }
        let block = private_key_block(text.expose(), &blocks)?;
        let certificates = Certificate::all_from_pem(text.expose())?;
        let key = pkcs8(block).map_err(|error| too_short(&certificates).unwrap_or(error))?;
        Self::assemble(key, certificates)
    }

    /// Like [`from_pem`](Self::from_pem), for a private key that is protected by a password
    /// (`ENCRYPTED PRIVATE KEY`: PKCS#8 with PBES2, RFC 5958 3 and RFC 8018 6.2; AES in CBC mode
    /// and PBKDF2, as `openssl pkcs8 -topk8 -v2 aes-256-cbc` writes it). A key without a password is
    /// read too. `openssl req` and `genrsa` of OpenSSL 3.0 still use triple DES, which is refused.
    ///
    /// The older way (`Proc-Type: 4,ENCRYPTED`, RFC 1423) derives its key by a single round of MD5
    /// and is refused. Deriving the key takes a moment: call it on a thread that may block.
    pub fn from_encrypted_pem(text: &Secret, password: &Secret) -> Result<Self, CertificateError> {
        let blocks = pem_blocks(text.expose())?;
        let Some(block) = blocks.iter().find(|block| block.tag() == ENCRYPTED_KEY) else {
            return Self::from_pem(text);
        };
        let certificates = Certificate::all_from_pem(text.expose())?;
        Self::assemble(decrypt(block.contents(), password)?, certificates)
    }

    /// Reads a private key, its certificate and the chain from a PKCS#12 file (RFC 7292), in the
    /// forms that Windows, OpenSSL, Java and Azure Key Vault write; the last has an empty password.
    ///
    /// Deriving the key takes a moment: call it on a thread that may block.
    #[cfg(feature = "pkcs12")]
    pub fn from_pkcs12(bytes: &[u8], password: &Secret) -> Result<Self, CertificateError> {
        let (keys, certificates) = crate::pkcs12::read(bytes, password)?;
        let mut outcome = Err(CertificateError::NoPrivateKey);
        for key in keys {
            outcome = Self::assemble(key, certificates.clone());
            if outcome.is_ok() {
                break;
            }
        }
        outcome
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
        self.sign(&RSA_PSS_SHA256, message)
    }

    /// Signs with RSASSA-PKCS1-v1_5 and SHA-256: the JOSE algorithm `RS256` (RFC 7518 3.3), which
    /// Microsoft Graph's proofs of possession are documented with.
    pub fn sign_rs256(&self, message: &[u8]) -> Result<Vec<u8>, CertificateError> {
        self.sign(&RSA_PKCS1_SHA256, message)
    }

    fn sign(
        &self,
        algorithm: &'static dyn RsaEncoding,
        message: &[u8],
    ) -> Result<Vec<u8>, CertificateError> {
        let mut signature = vec![0; self.0.key.public_modulus_len()];
        self.0
            .key
            .sign(algorithm, &SystemRandom::new(), message, &mut signature)
            .map_err(|_| CertificateError::CannotSign)?;
        Ok(signature)
    }

    /// The same with a certificate that others encrypt to.
    #[cfg(feature = "certificates")]
    pub(crate) fn generate_for_encryption(
        options: &CertificateOptions,
        now: OffsetDateTime,
    ) -> Result<Self, CertificateError> {
        generation::generate(options, KeyPurpose::Encryption, now)
    }

    /// The private key as PKCS#8 in DER.
    pub(crate) fn pkcs8(&self) -> &[u8] {
        &self.0.pkcs8
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
            .position(|certificate| {
                let key = certificate.rsa_key();
                key.is_some_and(|key| key.spki == public.as_ref())
            })
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

/// The block of the private key, unless it is encrypted.
fn private_key_block<'a>(
    text: &str,
    blocks: &'a [pem::Pem],
) -> Result<&'a pem::Pem, CertificateError> {
    if blocks.iter().any(|block| block.tag() == ENCRYPTED_KEY) {
        return Err(CertificateError::EncryptedKey { format: PKCS8 });
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
        .filter_map(|certificate| certificate.rsa_key())
        .map(|key| key.bits)
        .find(|bits| *bits < 2048)?;
    Some(CertificateError::KeyTooShort { bits })
}

/// The certificates above `certificate` up to the root, each followed by the one that issued it,
/// as `x5c` has them (RFC 7515 4.1.6).
fn issuers_of(certificate: &Certificate, mut others: Vec<Certificate>) -> Vec<Certificate> {
    let mut chain: Vec<Certificate> = Vec::new();
    loop {
        let last = chain.last().unwrap_or(certificate);
        let issuer = others
            .iter()
            .position(|other| other.is_named_issuer_of(last));
        match issuer {
            Some(position) => chain.push(others.swap_remove(position)),
            None => return chain,
        }
    }
}

/// What the key of a generated certificate is for. A key has one use (NIST SP 800-57 5.2).
#[cfg(feature = "certificates")]
#[derive(Clone, Copy)]
enum KeyPurpose {
    Signing,
    Encryption,
}

const PRIVATE_KEY: &str = "PRIVATE KEY";
const ENCRYPTED_KEY: &str = "ENCRYPTED PRIVATE KEY";

#[cfg(feature = "certificates")]
mod generation {
    use rcgen::{
        CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair,
        KeyUsagePurpose, PKCS_RSA_SHA256,
    };
    use time::OffsetDateTime;
    use zeroize::Zeroizing;

    use super::{
        Certificate, CertificateError, CertificateOptions, KeyPurpose, RsaKeySize,
        SigningCertificate,
    };

    pub(super) fn generate(
        options: &CertificateOptions,
        purpose: KeyPurpose,
        now: OffsetDateTime,
    ) -> Result<SigningCertificate, CertificateError> {
        let params = params(options, purpose, now)?;
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
        purpose: KeyPurpose,
        now: OffsetDateTime,
    ) -> Result<CertificateParams, CertificateError> {
        let length = options.common_name.chars().count();
        let is_printable = !options.common_name.chars().any(char::is_control);
        if !(1..=64).contains(&length) || !is_printable {
            return Err(CertificateError::CommonName { length });
        }
        let not_after = now
            .checked_add(options.validity)
            .filter(|end| options.validity.is_positive() && end.year() < 9999)
            // RFC 5280 4.1.2.5.1: the first year that UTCTime has.
            .filter(|_| now.year() > 1950)
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
        match purpose {
            KeyPurpose::Signing => {
                params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
                params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
            }
            KeyPurpose::Encryption => params.key_usages = vec![KeyUsagePurpose::KeyEncipherment],
        }
        Ok(params)
    }
}
