//! Private keys that are protected by a password: PKCS#8 with PBES2.

use std::num::NonZeroU32;

use aws_lc_rs::cipher::{
    AES_128, AES_192, AES_256, Algorithm, DecryptionContext, PaddedBlockDecryptingKey,
    UnboundCipherKey,
};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::pbkdf2;
use der::asn1::{AnyRef, OctetStringRef};
use der::{Decode as _, Reader as _, SliceReader, Tag, Tagged as _};
use pkcs5::EncryptionScheme;
use pkcs5::pbes2::{EncryptionScheme as Cipher, Parameters, Pbkdf2Params, Pbkdf2Prf};
use zeroize::Zeroizing;

use crate::{CertificateError, Secret};

/// Deciphers an `EncryptedPrivateKeyInfo` (RFC 5958 3) to the `PrivateKeyInfo` in it.
pub(crate) fn decrypt(
    der: &[u8],
    password: &Secret,
) -> Result<Zeroizing<Vec<u8>>, CertificateError> {
    let (parameters, ciphertext) = read(der)?;
    let (algorithm, iv) = match parameters.encryption {
        Cipher::Aes128Cbc { iv } => (&AES_128, iv),
        Cipher::Aes192Cbc { iv } => (&AES_192, iv),
        Cipher::Aes256Cbc { iv } => (&AES_256, iv),
        _ => return Err(CertificateError::UnsupportedEncryption),
    };
    let derivation = parameters
        .kdf
        .pbkdf2()
        .ok_or(CertificateError::UnsupportedEncryption)?;
    let key = derive(derivation, algorithm, password)?;
    let wrong = |_| CertificateError::WrongPassword;
    let key = UnboundCipherKey::new(algorithm, &key).map_err(wrong)?;
    let key = PaddedBlockDecryptingKey::cbc_pkcs7(key).map_err(wrong)?;
    let mut buffer = Zeroizing::new(ciphertext.to_vec());
    let plain = key
        .decrypt(&mut buffer, DecryptionContext::Iv128(FixedLength::from(iv)))
        .map_err(wrong)?;
    // One wrong password in 256 leaves a padding that looks right.
    match AnyRef::from_der(plain) {
        Ok(any) if any.tag() == Tag::Sequence => Ok(Zeroizing::new(plain.to_vec())),
        _ => Err(CertificateError::WrongPassword),
    }
}

fn read(der: &[u8]) -> Result<(Parameters, &[u8]), CertificateError> {
    let mut reader = SliceReader::new(der).map_err(|_| CertificateError::UnsupportedEncryption)?;
    let (scheme, ciphertext) = reader
        .sequence(|reader| {
            let scheme = EncryptionScheme::decode(reader)?;
            let ciphertext = <&OctetStringRef>::decode(reader)?;
            Ok::<_, der::Error>((scheme, ciphertext.as_bytes()))
        })
        .map_err(|_| CertificateError::UnsupportedEncryption)?;
    match scheme {
        EncryptionScheme::Pbes2(parameters) => Ok((parameters, ciphertext)),
        _ => Err(CertificateError::UnsupportedEncryption),
    }
}

/// PBKDF2 (RFC 8018 5.2).
fn derive(
    parameters: &Pbkdf2Params,
    cipher: &Algorithm,
    password: &Secret,
) -> Result<Zeroizing<Vec<u8>>, CertificateError> {
    let algorithm = match parameters.prf {
        Pbkdf2Prf::HmacWithSha1 => pbkdf2::PBKDF2_HMAC_SHA1,
        Pbkdf2Prf::HmacWithSha256 => pbkdf2::PBKDF2_HMAC_SHA256,
        Pbkdf2Prf::HmacWithSha384 => pbkdf2::PBKDF2_HMAC_SHA384,
        Pbkdf2Prf::HmacWithSha512 => pbkdf2::PBKDF2_HMAC_SHA512,
        _ => return Err(CertificateError::UnsupportedEncryption),
    };
    let length = if *cipher == AES_128 {
        16
    } else if *cipher == AES_192 {
        24
    } else {
        32
    };
    let iterations = NonZeroU32::new(parameters.iteration_count)
        .filter(|count| count.get() <= MAX_ITERATIONS)
        .ok_or(CertificateError::UnsupportedEncryption)?;
    let fits = parameters
        .key_length
        .is_none_or(|wanted| usize::from(wanted) == length);
    if !fits {
        return Err(CertificateError::UnsupportedEncryption);
    }
    let mut key = Zeroizing::new(vec![0; length]);
    pbkdf2::derive(
        algorithm,
        iterations,
        parameters.salt.as_ref(),
        password.expose().as_bytes(),
        &mut key,
    );
    Ok(key)
}

/// A file must not keep the processor busy at will: sixteen times what OWASP recommends, a few
/// seconds.
const MAX_ITERATIONS: u32 = 10_000_000;
