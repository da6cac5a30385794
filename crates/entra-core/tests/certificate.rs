//! Certificates and keys: made here, and made by OpenSSL (`fixtures/openssl/make.sh`).

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails"
)]

use entra_core::{Certificate, CertificateError, Secret, SigningCertificate};
use time::macros::datetime;

#[test]
fn a_certificate_reads_as_openssl_reads_it() {
    let certificate = Certificate::from_pem(CRT).unwrap();
    assert_eq!(certificate.thumbprint_sha1(), fact("sha1"));
    assert_eq!(certificate.thumbprint_sha256(), fact("sha256"));
    assert_eq!(certificate.x5t_s256(), fact("x5t#S256"));
    assert_eq!(fact("subject"), "CN=Contoso Help Desk,O=Contoso");
    assert_eq!(certificate.subject(), "O=Contoso, CN=Contoso Help Desk");
    let written =
        time::macros::format_description!("[year]-[month]-[day] [hour]:[minute]:[second]Z");
    assert_eq!(
        certificate.not_before().format(written).unwrap(),
        fact("notBefore")
    );
    assert_eq!(
        certificate.not_after().format(written).unwrap(),
        fact("notAfter")
    );
    assert!(certificate.is_valid_at(certificate.not_before()));
    assert!(certificate.is_valid_at(certificate.not_after()));
    assert!(!certificate.is_valid_at(datetime!(2020-01-01 00:00 UTC)));
}

#[test]
fn every_dress_of_a_certificate_is_the_same_certificate() {
    let certificate = Certificate::from_der(CER).unwrap();
    let base64: String = CRT.lines().filter(|line| !line.starts_with('-')).collect();
    for text in [
        CRT.to_owned(),
        CRT.replace('\n', "\r\n"),
        format!("\u{feff}{CRT}"),
        format!("subject=CN = Contoso\nissuer=CN = Contoso\n{CRT}\nSent from my phone\n"),
        format!("{CRT}{}", EC_CRT),
        base64.clone(),
        format!("\u{feff}  {base64}\r\n"),
        CRT.lines()
            .filter(|line| !line.starts_with('-'))
            .collect::<Vec<_>>()
            .join("\r\n"),
        certificate.to_pem(),
    ] {
        assert_eq!(
            Certificate::from_pem(&text).as_ref(),
            Ok(&certificate),
            "{text}"
        );
    }
    assert_eq!(certificate.der(), CER);
    assert_eq!(certificate.to_pem(), CRT);
}

#[test]
fn what_is_no_certificate_is_refused_by_name() {
    use CertificateError::{DamagedPem, NoCertificate, NotACertificate};
    let cut_off = &CRT[..CRT.len() / 2];
    let beheaded = &CRT[30..];
    let damaged = CRT.replacen("MII", "M!I", 1);
    let shortened = CRT.lines().enumerate().filter(|(index, _)| *index != 3);
    let shortened: Vec<&str> = shortened.map(|(_, line)| line).collect();
    for (text, expected) in [
        ("", NoCertificate),
        ("no certificate!", NoCertificate),
        ("QUJD", NotACertificate),
        (cut_off, DamagedPem),
        (beheaded, DamagedPem),
        (damaged.as_str(), DamagedPem),
        (shortened.join("\n").as_str(), NotACertificate),
        (PKCS8_KEY, NoCertificate),
    ] {
        assert_eq!(Certificate::from_pem(text), Err(expected), "{text}");
    }
    let trailing = [CER, b"\0"].concat();
    assert_eq!(Certificate::from_der(trailing), Err(NotACertificate));
    assert_eq!(Certificate::from_der(CRT.as_bytes()), Err(NotACertificate));
}

#[test]
fn a_key_and_its_certificate_load_in_every_order_and_dress() {
    for text in [
        format!("{PKCS8_KEY}{CRT}"),
        format!("{CRT}{PKCS8_KEY}"),
        format!("{CRT}{PKCS1_KEY}"),
        format!("\u{feff}{CRT}\n\n{PKCS1_KEY}").replace('\n', "\r\n"),
        format!("Bag Attributes\n    friendlyName: help desk\n{PKCS8_KEY}Bag Attributes\n{CRT}"),
        // Other certificates in the file, and the same one twice.
        format!("{EC_CRT}{CRT}{CRT}{PKCS8_KEY}{CHAIN_ROOT}"),
    ] {
        let loaded = SigningCertificate::from_pem(&Secret::new(text.as_str())).unwrap();
        assert_eq!(loaded.certificate().der(), CER);
        assert_eq!(loaded.chain(), []);
        assert_eq!(loaded.private_key_pem(), Secret::new(PKCS8_KEY));
        assert_eq!(loaded.to_pem(), Secret::new(format!("{PKCS8_KEY}{CRT}")));
    }
    let parts = SigningCertificate::from_pem_parts(CRT.trim_end(), &Secret::new(PKCS1_KEY));
    assert_eq!(parts.unwrap().certificate().der(), CER);
}

#[test]
fn a_chain_is_put_in_order_from_the_leaf_to_the_root() {
    let expected: Vec<Certificate> = [CHAIN_ISSUING, CHAIN_ROOT]
        .iter()
        .map(|pem| Certificate::from_pem(pem).unwrap())
        .collect();
    for parts in [
        [CHAIN_LEAF_KEY, CHAIN_LEAF, CHAIN_ISSUING, CHAIN_ROOT, CRT],
        [CHAIN_ROOT, CRT, CHAIN_ISSUING, CHAIN_LEAF, CHAIN_LEAF_KEY],
        [CHAIN_ISSUING, CHAIN_LEAF_KEY, CHAIN_ROOT, CRT, CHAIN_LEAF],
    ] {
        let loaded = SigningCertificate::from_pem(&Secret::new(parts.concat())).unwrap();
        assert_eq!(
            loaded.certificate(),
            &Certificate::from_pem(CHAIN_LEAF).unwrap()
        );
        assert_eq!(loaded.chain(), expected);
        let reloaded = SigningCertificate::from_pem(&loaded.to_pem()).unwrap();
        assert_eq!(reloaded.chain(), expected);
    }
}

#[test]
fn what_entra_would_refuse_is_refused_by_name() {
    use CertificateError::{
        DamagedPem, EncryptedKey, KeyMismatch, KeyNotRsa, KeyTooShort, NoCertificate, NoPrivateKey,
        NotACertificate,
    };
    let cut_off = &PKCS8_KEY[..PKCS8_KEY.len() / 2];
    let rfc1423 = EncryptedKey { format: "RFC 1423" };
    let broken_der = "-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----\n";
    let broken_key = "-----BEGIN PRIVATE KEY-----\nQUJD\n-----END PRIVATE KEY-----\n";
    for (parts, expected) in [
        (["", ""], NoPrivateKey),
        (["garbage", ""], NoPrivateKey),
        ([CRT, ""], NoPrivateKey),
        ([PKCS8_KEY, ""], NoCertificate),
        ([CRT, cut_off], DamagedPem),
        ([CRT, &PKCS8_KEY[5..]], DamagedPem),
        (
            [CRT, ENCRYPTED_PKCS8_KEY],
            EncryptedKey { format: "PKCS#8" },
        ),
        ([CRT, ENCRYPTED_RFC1423_KEY], rfc1423.clone()),
        ([CRT, &ENCRYPTED_RFC1423_KEY.replace('\n', "\r\n")], rfc1423),
        ([CRT, CHAIN_LEAF_KEY], KeyMismatch),
        ([EC_CRT, PKCS8_KEY], KeyMismatch),
        ([EC_CRT, EC_PKCS8_KEY], KeyNotRsa),
        ([EC_CRT, EC_SEC1_KEY], KeyNotRsa),
        ([CRT, broken_key], KeyNotRsa),
        ([RSA1024_CRT, RSA1024_KEY], KeyTooShort { bits: 1024 }),
        ([RSA1024_CRT, RSA1024_PKCS1_KEY], KeyTooShort { bits: 1024 }),
        ([broken_der, PKCS8_KEY], NotACertificate),
    ] {
        let outcome = SigningCertificate::from_pem(&Secret::new(parts.concat()));
        let error = outcome.map(|_| ()).unwrap_err();
        assert_eq!(error, expected, "{parts:?}");
        assert!(error.admin_hint().len() > 20);
    }
}

#[cfg(feature = "certificates")]
mod generated {
    use entra_core::{CertificateOptions, RsaKeySize};
    use time::Duration;

    use super::*;

    #[test]
    fn every_size_of_key_makes_a_certificate_that_loads_again() {
        let now = datetime!(2026-01-01 00:00:00.75 UTC);
        for (size, signature_length) in [
            (RsaKeySize::Bits2048, 256),
            (RsaKeySize::Bits3072, 384),
            (RsaKeySize::Bits4096, 512),
        ] {
            let options = CertificateOptions::new("Contoso Help Desk")
                .with_key_size(size)
                .with_validity(Duration::days(180));
            let made = SigningCertificate::generate(&options, now).unwrap();
            let loaded = SigningCertificate::from_pem(&made.to_pem()).unwrap();
            assert_eq!(loaded.certificate(), made.certificate());
            assert_eq!(loaded.private_key_pem(), made.private_key_pem());
            assert_eq!(made.sign_ps256(b"message").unwrap().len(), signature_length);
            assert_eq!(made.certificate().subject(), "CN=Contoso Help Desk");
            assert_eq!(
                made.certificate().not_before(),
                datetime!(2025-12-31 23:55 UTC)
            );
            assert_eq!(
                made.certificate().not_after(),
                datetime!(2026-06-30 00:00 UTC)
            );
            let twin = SigningCertificate::generate(&options, now).unwrap();
            assert_ne!(twin.private_key_pem(), made.private_key_pem());
        }
    }

    #[test]
    fn a_certificate_that_cannot_be_is_refused_before_a_key_is_made() {
        let now = datetime!(2026-01-01 00:00 UTC);
        let named = |name: &str| CertificateOptions::new(name);
        for (options, expected) in [
            (named(""), CertificateError::CommonName { length: 0 }),
            (
                named(&"ü".repeat(65)),
                CertificateError::CommonName { length: 65 },
            ),
            (
                named("a").with_validity(Duration::ZERO),
                CertificateError::Validity,
            ),
            (
                named("a").with_validity(Duration::days(-1)),
                CertificateError::Validity,
            ),
            (
                named("a").with_validity(Duration::days(365 * 8000)),
                CertificateError::Validity,
            ),
            (
                named("a").with_validity(Duration::MAX),
                CertificateError::Validity,
            ),
        ] {
            let outcome = SigningCertificate::generate(&options, now);
            assert_eq!(outcome.map(|_| ()).unwrap_err(), expected, "{options:?}");
        }
        for year in [-9999, 0, 1950] {
            let day = time::Date::from_ordinal_date(year, 1).unwrap().midnight();
            let outcome = SigningCertificate::generate(&named("a"), day.assume_utc());
            assert_eq!(outcome.unwrap_err(), CertificateError::Validity, "{year}");
        }
        let widest = "ü".repeat(64);
        let made = SigningCertificate::generate(&named(&widest), now).unwrap();
        assert_eq!(made.certificate().subject(), format!("CN={widest}"));
    }

    #[test]
    fn a_certificate_may_outlive_the_year_2050() {
        let options = CertificateOptions::new("a").with_validity(Duration::days(365 * 40));
        let made = SigningCertificate::generate(&options, datetime!(2026-01-01 00:00 UTC)).unwrap();
        assert_eq!(
            made.certificate().not_after(),
            datetime!(2065-12-22 00:00 UTC)
        );
    }
}

fn fact(name: &str) -> &'static str {
    let facts = include_str!("fixtures/openssl/rsa2048.facts");
    facts
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
        .unwrap()
}

const CRT: &str = include_str!("fixtures/openssl/rsa2048.crt");
const CER: &[u8] = include_bytes!("fixtures/openssl/rsa2048.cer");
const PKCS8_KEY: &str = include_str!("fixtures/openssl/rsa2048-pkcs8.key");
const PKCS1_KEY: &str = include_str!("fixtures/openssl/rsa2048-pkcs1.key");
const ENCRYPTED_PKCS8_KEY: &str = include_str!("fixtures/openssl/rsa2048-encrypted-pkcs8.key");
const ENCRYPTED_RFC1423_KEY: &str = include_str!("fixtures/openssl/rsa2048-encrypted-rfc1423.key");
const RSA1024_CRT: &str = include_str!("fixtures/openssl/rsa1024.crt");
const RSA1024_KEY: &str = include_str!("fixtures/openssl/rsa1024.key");
const RSA1024_PKCS1_KEY: &str = include_str!("fixtures/openssl/rsa1024-pkcs1.key");
const EC_CRT: &str = include_str!("fixtures/openssl/ec.crt");
const EC_PKCS8_KEY: &str = include_str!("fixtures/openssl/ec-pkcs8.key");
const EC_SEC1_KEY: &str = include_str!("fixtures/openssl/ec-sec1.key");
const CHAIN_LEAF: &str = include_str!("fixtures/openssl/chain-leaf.crt");
const CHAIN_LEAF_KEY: &str = include_str!("fixtures/openssl/chain-leaf.key");
const CHAIN_ISSUING: &str = include_str!("fixtures/openssl/chain-issuing.crt");
const CHAIN_ROOT: &str = include_str!("fixtures/openssl/chain-root.crt");

#[cfg(feature = "certificates")]
#[test]
fn a_pem_text_in_one_line_is_read_and_a_pkcs12_file_is_named() {
    let now = datetime!(2026-01-01 00:00 UTC);
    let made = SigningCertificate::generate(&entra_core::CertificateOptions::new("One line"), now)
        .unwrap();
    let line = made.to_pem().expose().replace('\n', "\\n");
    let read = SigningCertificate::from_pem(&Secret::new(line)).unwrap();
    assert_eq!(read.certificate(), made.certificate());

    // The first bytes of any PKCS#12 file: SEQUENCE, its length, INTEGER 3.
    let pfx = [0x30, 0x82, 0x0a, 0x00, 0x02, 0x01, 0x03, 0x30];
    assert_eq!(Certificate::from_der(pfx), Err(CertificateError::Pkcs12));
    let pasted = Secret::new("MIIKAAIBAzA=");
    let error = SigningCertificate::from_pem(&pasted).unwrap_err();
    assert_eq!(error, CertificateError::Pkcs12);
    assert!(error.admin_hint().contains("openssl pkcs12"));
}

#[cfg(feature = "certificates")]
#[test]
fn a_common_name_is_printable() {
    let now = datetime!(2026-01-01 00:00 UTC);
    for (name, length) in [("", 0), ("two\nlines", 9), (&"x".repeat(65), 65)] {
        let error = SigningCertificate::generate(&entra_core::CertificateOptions::new(name), now)
            .unwrap_err();
        assert_eq!(error, CertificateError::CommonName { length });
    }
}
