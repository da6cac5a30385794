//! Keys that others encrypt to: RSA-OAEP with a certificate.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::rsa::{
    OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey, OaepPublicEncryptingKey,
    PrivateDecryptingKey, PublicEncryptingKey,
};
#[cfg(feature = "certificates")]
use time::OffsetDateTime;
use zeroize::Zeroizing;

#[cfg(feature = "certificates")]
use crate::CertificateOptions;
use crate::{Certificate, CertificateError, Secret, SigningCertificate};

/// The private key of one who may open a [`SealedProfile`](crate::SealedProfile), with the
/// certificate that it is sealed to.
///
/// It is no credential for signing in: a key has one use (NIST SP 800-57 part 1, 5.2), and a
/// generated certificate says so in its key usage. A clone is cheap.
///
/// ```
/// # #[cfg(feature = "certificates")] {
/// use entra_core::{CertificateOptions, RecipientKey};
/// use time::{Duration, OffsetDateTime};
///
/// let now = OffsetDateTime::UNIX_EPOCH + Duration::days(20_500);
/// let key = RecipientKey::generate(&CertificateOptions::new("Workstation 7"), now)?;
///
/// let stays_there = key.to_pem(); // key and certificate, a secret
/// let to_whom_seals = key.certificate().to_pem();
/// assert_eq!(RecipientKey::from_pem(&stays_there)?.certificate().to_pem(), to_whom_seals);
/// # }
/// # Ok::<(), entra_core::CertificateError>(())
/// ```
#[derive(Clone)]
pub struct RecipientKey(Arc<Inner>);

struct Inner {
    pair: SigningCertificate,
    key: OaepPrivateDecryptingKey,
}

impl RecipientKey {
    /// Generates an RSA key and a self-signed certificate with the key usage of key encipherment
    /// (RFC 5280 4.2.1.3), valid from `now`. As slow as
    /// [`SigningCertificate::generate`].
    #[cfg(feature = "certificates")]
    pub fn generate(
        options: &CertificateOptions,
        now: OffsetDateTime,
    ) -> Result<Self, CertificateError> {
        Self::new(&SigningCertificate::generate_for_encryption(options, now)?)
    }

    /// The key of a certificate that was loaded in any of the ways in which
    /// [`SigningCertificate`] loads one. Its key usage is not looked at: whoever seals does that.
    pub fn new(pair: &SigningCertificate) -> Result<Self, CertificateError> {
        let key = PrivateDecryptingKey::from_pkcs8(pair.pkcs8())
            .map_err(|_| CertificateError::KeyNotRsa)?;
        let key = OaepPrivateDecryptingKey::new(key).map_err(|_| CertificateError::KeyNotRsa)?;
        Ok(Self(Arc::new(Inner {
            pair: pair.clone(),
            key,
        })))
    }

    /// Reads key and certificate from one PEM text, as [`SigningCertificate::from_pem`] does.
    pub fn from_pem(text: &Secret) -> Result<Self, CertificateError> {
        Self::new(&SigningCertificate::from_pem(text)?)
    }

    /// The certificate to seal to.
    pub fn certificate(&self) -> &Certificate {
        self.0.pair.certificate()
    }

    /// Key and certificate in one PEM text.
    pub fn to_pem(&self) -> Secret {
        self.0.pair.to_pem()
    }

    /// Decrypts a key of 256 bits that [`encrypt_key`] encrypted; nothing if it is another's, or
    /// damaged, or of another length.
    pub(crate) fn decrypt_key(&self, encrypted: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
        if encrypted.len() != self.0.key.key_size_bytes() {
            return None;
        }
        let mut buffer = Zeroizing::new(vec![0; self.0.key.min_output_size()]);
        let plain = self
            .0
            .key
            .decrypt(&OAEP_SHA256_MGF1SHA256, encrypted, &mut buffer, None)
            .ok()?;
        <[u8; 32]>::try_from(&*plain).ok().map(Zeroizing::new)
    }
}

impl fmt::Debug for RecipientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecipientKey")
            .field("certificate", self.certificate())
            .finish_non_exhaustive()
    }
}

/// Encrypts a key to a certificate by RSAES-OAEP with SHA-256 and MGF1 with SHA-256: the JOSE
/// algorithm `RSA-OAEP-256` (RFC 7518 4.3).
pub(crate) fn encrypt_key(
    recipient: &Certificate,
    key: &[u8; 32],
) -> Result<Vec<u8>, CertificateError> {
    let public = PublicEncryptingKey::from_der(&recipient.key_to_encrypt_to()?.spki)
        .map_err(|_| CertificateError::KeyNotRsa)?;
    let public = OaepPublicEncryptingKey::new(public).map_err(|_| CertificateError::KeyNotRsa)?;
    let mut encrypted = vec![0; public.ciphertext_size()];
    public
        .encrypt(&OAEP_SHA256_MGF1SHA256, key, &mut encrypted, None)
        .map_err(|_| CertificateError::KeyNotRsa)?;
    Ok(encrypted)
}
