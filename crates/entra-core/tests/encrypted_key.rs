//! Keys that a password protects, made by OpenSSL (`fixtures/openssl/make.sh`).

use entra_core::{CertificateError, Secret, SigningCertificate};

#[test]
fn every_usual_encryption_opens_with_its_password() {
    for encrypted in [
        include_str!("fixtures/openssl/rsa2048-encrypted-pkcs8.key"),
        include_str!("fixtures/openssl/rsa2048-encrypted-aes128-sha512.key"),
        include_str!("fixtures/openssl/rsa2048-encrypted-aes192-sha1.key"),
        include_str!("fixtures/openssl/rsa2048-encrypted-aes256-sha384.key"),
    ] {
        for text in [format!("{CRT}{encrypted}"), format!("{encrypted}{CRT}")] {
            let opened = open(&text, "test").unwrap();
            assert_eq!(opened.private_key_pem(), Secret::new(PLAIN_KEY));
            assert_eq!(opened.certificate().to_pem(), CRT);
        }
    }
}

#[test]
fn a_key_without_a_password_is_read_whatever_is_entered() {
    let opened = open(&format!("{CRT}{PLAIN_KEY}"), "").unwrap();
    assert_eq!(opened.private_key_pem(), Secret::new(PLAIN_KEY));
}

#[test]
fn a_wrong_password_is_never_taken_for_another_error() {
    // One of 256 wrong passwords leaves a padding that looks right: some of these do. The file
    // has one round, so that they take no time.
    let encrypted = include_str!("fixtures/openssl/rsa2048-encrypted-aes128-sha512.key");
    let text = format!("{CRT}{encrypted}");
    for guess in 0..2_000 {
        assert_eq!(
            open(&text, &format!("guess {guess}")).map(|_| ()),
            Err(CertificateError::WrongPassword),
            "{guess}"
        );
    }
    assert_eq!(
        open(&text, "").map(|_| ()),
        Err(CertificateError::WrongPassword)
    );
}

#[test]
fn what_is_not_read_is_refused_by_name() {
    use CertificateError::{
        EncryptedKey, KeyMismatch, KeyNotRsa, NoCertificate, NoPrivateKey, UnsupportedEncryption,
    };
    let pkcs8 = include_str!("fixtures/openssl/rsa2048-encrypted-pkcs8.key");
    let rfc1423 = include_str!("fixtures/openssl/rsa2048-encrypted-rfc1423.key");
    let rounds = include_str!("fixtures/openssl/rsa2048-encrypted-too-many-rounds.key");
    let des3 = include_str!("fixtures/openssl/rsa2048-encrypted-des3.key");
    let pbes1 = include_str!("fixtures/openssl/rsa2048-encrypted-pbes1.key");
    let scrypt = include_str!("fixtures/openssl/rsa2048-encrypted-scrypt.key");
    let ec = include_str!("fixtures/openssl/ec-encrypted-pkcs8.key");
    let ec_crt = include_str!("fixtures/openssl/ec.crt");
    let other_crt = include_str!("fixtures/openssl/chain-leaf.crt");
    let damaged =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nQUJD\n-----END ENCRYPTED PRIVATE KEY-----\n";
    for (parts, expected) in [
        ([CRT, ""], NoPrivateKey),
        ([pkcs8, ""], NoCertificate),
        ([CRT, rfc1423], EncryptedKey { format: "RFC 1423" }),
        ([CRT, rounds], UnsupportedEncryption),
        ([CRT, des3], UnsupportedEncryption),
        ([CRT, pbes1], UnsupportedEncryption),
        ([CRT, scrypt], UnsupportedEncryption),
        ([CRT, damaged], UnsupportedEncryption),
        ([other_crt, pkcs8], KeyMismatch),
        ([ec_crt, ec], KeyNotRsa),
    ] {
        let error = open(&parts.concat(), "test").map(|_| ()).unwrap_err();
        assert_eq!(error, expected, "{parts:?}");
        assert!(error.admin_hint().len() > 20);
    }
}

fn open(text: &str, password: &str) -> Result<SigningCertificate, CertificateError> {
    SigningCertificate::from_encrypted_pem(&Secret::new(text), &Secret::new(password))
}

const CRT: &str = include_str!("fixtures/openssl/rsa2048.crt");
const PLAIN_KEY: &str = include_str!("fixtures/openssl/rsa2048-pkcs8.key");
