//! Signing a client assertion with PS256, against aws-lc-rs alone with a key that is parsed once.
//!
//! Goal: at most 1.03 times the floor for the signature, and 1.05 for a whole token request, whose
//! rest is two small JSON texts and Base64.

#[path = "measure.rs"]
mod measure;
#[path = "service.rs"]
mod service;

use std::hint::black_box;
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PSS_SHA256, RsaKeyPair};
use entra_core::{
    CertificateOptions, ClientCredential, RsaKeySize, SigningCertificate, TokenRequest,
};
use futures_util::FutureExt as _;
use measure::{Side, compare, goal};
use service::Service;
use time::OffsetDateTime;

fn main() {
    for (title, size) in [
        ("PS256 with RSA 2048", RsaKeySize::Bits2048),
        ("PS256 with RSA 4096", RsaKeySize::Bits4096),
    ] {
        let options = CertificateOptions::new("bench").with_key_size(size);
        let certificate =
            SigningCertificate::generate(&options, OffsetDateTime::now_utc()).unwrap();
        bench(title, &certificate);
    }
}

fn bench(title: &str, certificate: &SigningCertificate) {
    let message = [b'a'; 520];
    let pem = certificate.private_key_pem();
    let base64: String = pem
        .expose()
        .lines()
        .filter(|line| !line.starts_with('-'))
        .collect();
    let der = decode(&base64);
    let key = RsaKeyPair::from_pkcs8(&der).unwrap();
    let mut signature = vec![0; key.public_modulus_len()];
    let client = Service::answering_after(Duration::ZERO)
        .client_with(ClientCredential::certificate(certificate.clone()));
    let request = TokenRequest::new(["s"]).bypassing_cache();
    let mut sides = [
        Side::new("floor: aws-lc-rs, parsed key", |n| {
            for _ in 0..n {
                let random = SystemRandom::new();
                key.sign(
                    &RSA_PSS_SHA256,
                    &random,
                    black_box(&message),
                    &mut signature,
                )
                .unwrap();
            }
        }),
        Side::new("SigningCertificate::sign_ps256", |n| {
            for _ in 0..n {
                black_box(certificate.sign_ps256(black_box(&message))).unwrap();
            }
        }),
        Side::new("a whole token request", |n| {
            for _ in 0..n {
                client.token(&request).now_or_never().unwrap().unwrap();
            }
        }),
    ];
    compare(title, &mut sides, 15, 40);
    goal(
        "signature, times the floor",
        sides[1].min() / sides[0].min(),
        1.03,
    );
    goal(
        "token request, times the floor",
        sides[2].min() / sides[0].min(),
        1.05,
    );
}

/// Standard Base64 (RFC 4648 4).
fn decode(text: &str) -> Vec<u8> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bytes, mut bits, mut count) = (Vec::new(), 0_u32, 0);
    for byte in text.bytes().filter(|byte| *byte != b'=') {
        let value = ALPHABET.iter().position(|letter| *letter == byte).unwrap();
        bits = bits << 6 | value as u32;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    bytes
}
