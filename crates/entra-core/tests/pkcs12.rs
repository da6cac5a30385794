//! PKCS#12 files made by OpenSSL (`fixtures/openssl/make.sh`).

#![cfg(feature = "pkcs12")]

use entra_core::{Certificate, CertificateError, Secret, SigningCertificate};

#[test]
fn a_modern_file_opens_with_its_password_or_without_one() {
    let key = Secret::new(include_str!("fixtures/openssl/rsa2048-pkcs8.key"));
    for (file, password) in [
        (MODERN, "test"),
        (include_bytes!("fixtures/openssl/no-password.pfx"), ""),
        (include_bytes!("fixtures/openssl/no-mac.pfx"), "test"),
    ] {
        let opened = open(file, password).unwrap();
        assert_eq!(opened.private_key_pem(), key);
        assert_eq!(opened.certificate().to_pem(), CRT);
        assert_eq!(opened.chain(), []);
    }
}

#[test]
fn a_legacy_file_opens_with_its_chain_in_order() {
    let chain: Vec<Certificate> = [
        include_str!("fixtures/openssl/chain-issuing.crt"),
        include_str!("fixtures/openssl/chain-root.crt"),
    ]
    .iter()
    .map(|pem| Certificate::from_pem(pem).unwrap())
    .collect();
    let legacy: &[u8] = include_bytes!("fixtures/openssl/chain-legacy.pfx");
    let des3: &[u8] = include_bytes!("fixtures/openssl/chain-3des.pfx");
    for (file, password) in [(legacy, "test"), (des3, "grün")] {
        let opened = open(file, password).unwrap();
        assert_eq!(
            opened.certificate().to_pem(),
            include_str!("fixtures/openssl/chain-leaf.crt")
        );
        assert_eq!(opened.chain(), chain);
    }
}

#[test]
fn what_does_not_open_is_refused_by_name() {
    use CertificateError::{KeyNotRsa, NoCertificate, NoPrivateKey, NotPkcs12, WrongPassword};
    let no_key = include_bytes!("fixtures/openssl/no-key.pfx");
    let no_certificate = include_bytes!("fixtures/openssl/no-certificate.pfx");
    let ec = include_bytes!("fixtures/openssl/ec.pfx");
    let files: [(&[u8], &str, CertificateError); 9] = [
        (MODERN, "Test", WrongPassword),
        (MODERN, "", WrongPassword),
        (
            include_bytes!("fixtures/openssl/no-mac.pfx"),
            "Test",
            WrongPassword,
        ),
        (b"", "test", NotPkcs12),
        (CRT.as_bytes(), "test", NotPkcs12),
        (&MODERN[..MODERN.len() - 1], "test", NotPkcs12),
        (no_key, "test", NoPrivateKey),
        (no_certificate, "test", NoCertificate),
        (ec, "test", KeyNotRsa),
    ];
    for (file, password, expected) in files {
        let error = open(file, password).map(|_| ()).unwrap_err();
        assert_eq!(error, expected, "{password:?}");
        assert!(error.admin_hint().len() > 20);
    }
}

#[test]
fn a_damaged_file_is_refused_and_never_panics() {
    // One round of everything, so that each try takes no time.
    let file = include_bytes!("fixtures/openssl/one-round.pfx");
    assert!(open(file, "test").is_ok());
    for position in 0..file.len() {
        let mut damaged = file.to_vec();
        damaged[position] ^= 1;
        // The MAC does not cover its own version and the like; whatever opens is the same.
        if let Ok(opened) = open(&damaged, "test") {
            assert_eq!(opened.certificate().to_pem(), CRT, "{position}");
        }
        assert!(open(&file[..position], "test").is_err(), "{position}");
    }
}

fn open(file: &[u8], password: &str) -> Result<SigningCertificate, CertificateError> {
    SigningCertificate::from_pkcs12(file, &Secret::new(password))
}

const CRT: &str = include_str!("fixtures/openssl/rsa2048.crt");
const MODERN: &[u8] = include_bytes!("fixtures/openssl/rsa2048.pfx");
