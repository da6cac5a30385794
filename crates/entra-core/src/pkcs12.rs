//! PKCS#12 files: private keys and certificates in one, protected by a password.

use p12_keystore::Pkcs12Archive;
use p12_keystore::error::Error as Pkcs12Error;
use zeroize::Zeroizing;

use crate::certificate::is_pkcs12;
use crate::{Certificate, CertificateError, Secret};

/// The private keys in a file, as PKCS#8 in DER, and its certificates.
pub(crate) type Contents = (Vec<Zeroizing<Vec<u8>>>, Vec<Certificate>);

/// Reads a file (RFC 7292 4). Its password is checked by its MAC.
pub(crate) fn read(bytes: &[u8], password: &Secret) -> Result<Contents, CertificateError> {
    if !is_pkcs12(bytes) {
        return Err(CertificateError::NotPkcs12);
    }
    let archive = Pkcs12Archive::from_pkcs12(bytes, password.expose()).map_err(refusal)?;
    let keys = archive
        .keys
        .iter()
        .map(|bag| Zeroizing::new(bag.key.as_der().to_vec()))
        .collect();
    let certificates = archive
        .certs
        .iter()
        .map(|bag| Certificate::from_der(bag.cert.as_der()))
        .collect::<Result<_, _>>()?;
    Ok((keys, certificates))
}

fn refusal(error: Pkcs12Error) -> CertificateError {
    match error {
        Pkcs12Error::MacError(_) | Pkcs12Error::UnpadError | Pkcs12Error::Pkcs5Error(_) => {
            CertificateError::WrongPassword
        }
        // The limits of the work that a file may ask for are among them.
        Pkcs12Error::UnsupportedEncryptionScheme
        | Pkcs12Error::UnsupportedMacAlgorithm
        | Pkcs12Error::InvalidParameters => CertificateError::UnsupportedEncryption,
        _ => CertificateError::NotPkcs12,
    }
}
