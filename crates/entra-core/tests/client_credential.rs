//! Client assertions, judged by OpenSSL.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails"
)]
#![cfg(feature = "certificates")]

mod scripted;

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use entra_core::{
    Authority, CertificateOptions, ClientAssertion, ClientCredential, ClientId, Cloud,
    ConfidentialClient, Error, MovableClock, Pipeline, RsaKeySize, Secret, SigningCertificate,
    Tenant, TokenRequest,
};
use scripted::{Reply, ScriptedHttp};
use serde_json::{Value, json};
use time::macros::datetime;

#[tokio::test]
async fn an_assertion_has_the_header_and_the_claims_that_entra_documents() {
    let certificate = generated();
    let thumbprint = certificate.certificate().x5t_s256();
    let assertion = assertion(ClientCredential::certificate(certificate)).await;
    assert_eq!(
        part(&assertion, 0),
        json!({"typ": "JWT", "alg": "PS256", "x5t#S256": thumbprint})
    );
    let mut claims = part(&assertion, 1);
    let jti = claims.as_object_mut().unwrap().remove("jti").unwrap();
    assert_eq!(jti.as_str().unwrap().len(), 36);
    assert_eq!(
        claims,
        json!({
            "aud": "https://login.microsoftonline.com/contoso.com/oauth2/v2.0/token",
            "iss": CLIENT,
            "sub": CLIENT,
            "iat": 1_767_225_600,
            "nbf": 1_767_225_600 - 60,
            "exp": 1_767_225_600 + 600,
        })
    );
}

#[tokio::test]
async fn the_chain_is_sent_as_standard_base64_of_der_the_leaf_first() {
    let parts = [
        include_str!("fixtures/openssl/chain-root.crt"),
        include_str!("fixtures/openssl/chain-issuing.crt"),
        include_str!("fixtures/openssl/chain-leaf.crt"),
        include_str!("fixtures/openssl/chain-leaf.key"),
    ];
    let certificate = SigningCertificate::from_pem(&Secret::new(parts.concat())).unwrap();
    let credential = ClientCredential::certificate(certificate).with_chain();
    let header = part(&assertion(credential).await, 0);
    let base64 =
        |pem: &str| -> String { pem.lines().filter(|line| !line.starts_with('-')).collect() };
    assert_eq!(
        header["x5c"],
        json!([base64(parts[2]), base64(parts[1]), base64(parts[0])])
    );
    assert!(STANDARD.decode(header["x5c"][0].as_str().unwrap()).is_ok());
}

#[tokio::test]
async fn an_assertion_of_the_host_is_sent_as_it_is() {
    #[derive(Debug)]
    struct Federated(Result<&'static str, &'static str>);

    #[async_trait::async_trait]
    impl ClientAssertion for Federated {
        async fn assertion(
            &self,
            audience: &str,
        ) -> Result<Secret, Box<dyn std::error::Error + Send + Sync>> {
            assert_eq!(
                audience,
                "https://login.microsoftonline.com/contoso.com/oauth2/v2.0/token"
            );
            self.0.map(Secret::from).map_err(Into::into)
        }
    }

    let federated = ClientCredential::assertion(Arc::new(Federated(Ok("a.b.c"))));
    assert_eq!(assertion(federated).await, "a.b.c");
    let failing = ClientCredential::assertion(Arc::new(Federated(Err("no token file"))));
    let (client, http) = client(failing, []);
    let error = client.token(&TokenRequest::new(["s"])).await.unwrap_err();
    assert!(matches!(&error, Error::Credential(source) if source.to_string() == "no token file"));
    assert_eq!(http.count(), 0);
}

#[tokio::test]
#[ignore = "needs the openssl program"]
async fn openssl_verifies_a_client_assertion_signed_by_the_sdk() {
    for size in [
        RsaKeySize::Bits2048,
        RsaKeySize::Bits3072,
        RsaKeySize::Bits4096,
    ] {
        let options = CertificateOptions::new("Contoso").with_key_size(size);
        let made = SigningCertificate::generate(&options, datetime!(2026-01-01 00:00 UTC)).unwrap();
        let folder = folder(&format!("assertion-{size:?}"));
        std::fs::write(folder.join("certificate.pem"), made.certificate().to_pem()).unwrap();
        let assertion = assertion(ClientCredential::certificate(made)).await;
        let (signed, signature) = assertion.rsplit_once('.').unwrap();
        std::fs::write(folder.join("signed"), signed).unwrap();
        std::fs::write(
            folder.join("signature"),
            URL_SAFE_NO_PAD.decode(signature).unwrap(),
        )
        .unwrap();
        let public = openssl(&folder, "x509 -in certificate.pem -noout -pubkey");
        std::fs::write(folder.join("public.pem"), public).unwrap();
        let verify = "dgst -sha256 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:32 \
                      -sigopt rsa_mgf1_md:sha256 -verify public.pem -signature signature signed";
        assert_eq!(openssl(&folder, verify), "Verified OK\n");
        // A look at whether openssl could have said otherwise.
        std::fs::write(folder.join("signed"), format!("{signed}x")).unwrap();
        assert!(!run(&folder, verify).status.success());
    }
}

#[test]
#[ignore = "needs the openssl program"]
fn openssl_verifies_what_the_sdk_signs_with_rs256() {
    let made = generated();
    let folder = folder("rs256");
    let message = "message";
    let signature = made.sign_rs256(message.as_bytes()).unwrap();
    std::fs::write(folder.join("certificate.pem"), made.certificate().to_pem()).unwrap();
    std::fs::write(folder.join("signature"), signature).unwrap();
    std::fs::write(folder.join("signed"), message).unwrap();
    let public = openssl(&folder, "x509 -in certificate.pem -noout -pubkey");
    std::fs::write(folder.join("public.pem"), public).unwrap();
    let verify = "dgst -sha256 -verify public.pem -signature signature signed";
    assert_eq!(openssl(&folder, verify), "Verified OK\n");
    std::fs::write(folder.join("signed"), "another").unwrap();
    assert!(!run(&folder, verify).status.success());
}

#[test]
#[ignore = "needs the openssl program"]
fn openssl_reads_an_exported_certificate_and_its_key() {
    let made = generated();
    let (folder, certificate) = (folder("export"), made.certificate());
    std::fs::write(folder.join("c.cer"), certificate.der()).unwrap();
    std::fs::write(folder.join("c.pem"), certificate.to_pem()).unwrap();
    std::fs::write(folder.join("key.pem"), made.private_key_pem().expose()).unwrap();
    std::fs::write(folder.join("both.pem"), made.to_pem().expose()).unwrap();
    for input in ["-inform DER -in c.cer", "-in c.pem", "-in both.pem"] {
        let read = |what: &str| openssl(&folder, &format!("x509 {input} -noout {what}"));
        assert_eq!(
            read("-subject -nameopt RFC2253"),
            "subject=CN=Contoso Help Desk\n"
        );
        assert_eq!(
            read("-startdate -enddate -dateopt iso_8601"),
            "notBefore=2025-12-31 23:55:00Z\nnotAfter=2027-01-01 00:00:00Z\n"
        );
        for (digest, ours) in [
            ("-sha1", certificate.thumbprint_sha1()),
            ("-sha256", certificate.thumbprint_sha256()),
        ] {
            let line = read(&format!("-fingerprint {digest}"));
            let (_, theirs) = line.trim_end().split_once('=').unwrap();
            assert_eq!(theirs.replace(':', ""), ours);
        }
        assert!(read("-text").contains("TLS Web Client Authentication"));
    }
    openssl(&folder, "pkey -in key.pem -check -noout");
    let from_key = openssl(&folder, "pkey -in key.pem -pubout");
    assert_eq!(openssl(&folder, "x509 -in c.pem -noout -pubkey"), from_key);
    // It signed itself.
    assert_eq!(
        openssl(
            &folder,
            "verify -check_ss_sig -CAfile c.pem -no_check_time c.pem"
        ),
        "c.pem: OK\n"
    );
}

const CLIENT: &str = "11111111-2222-4333-8444-555555555555";

fn generated() -> SigningCertificate {
    let options = CertificateOptions::new("Contoso Help Desk");
    SigningCertificate::generate(&options, datetime!(2026-01-01 00:00 UTC)).unwrap()
}

fn client(
    credential: ClientCredential,
    script: impl IntoIterator<Item = Reply>,
) -> (ConfidentialClient, ScriptedHttp) {
    let clock = Arc::new(MovableClock::frozen_at(datetime!(2026-01-01 00:00 UTC)));
    let http = ScriptedHttp::new(&clock, script);
    let client = ConfidentialClient::new(
        Authority::new(Cloud::public(), Tenant::parse("contoso.com").unwrap()),
        ClientId::parse(CLIENT).unwrap(),
        credential,
        Pipeline::new(http.clone()).with_clock(clock),
    );
    (client.unwrap(), http)
}

/// The assertion that the token endpoint gets.
async fn assertion(credential: ClientCredential) -> String {
    let (client, http) = client(credential, [Reply::token("t", 3600)]);
    client.token(&TokenRequest::new(["s"])).await.unwrap();
    let request = &http.seen()[0];
    assert_eq!(
        request.form("client_assertion_type").as_deref(),
        Some("urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
    );
    assert_eq!(request.form("client_secret"), None);
    request.form("client_assertion").unwrap()
}

fn part(assertion: &str, index: usize) -> Value {
    let part = assertion.split('.').nth(index).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

fn folder(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn run(folder: &PathBuf, arguments: &str) -> std::process::Output {
    Command::new("openssl")
        .args(arguments.split_whitespace())
        .current_dir(folder)
        .output()
        .unwrap()
}

fn openssl(folder: &PathBuf, arguments: &str) -> String {
    let output = run(folder, arguments);
    assert!(output.status.success(), "openssl {arguments}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}
