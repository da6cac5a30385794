//! Sealed profiles, against jwcrypto (`fixtures/jose-jwe/make.sh`) and against every bit turned.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use entra_core::{
    Certificate, CertificateError, ClientSecret, ConnectionProfile, CredentialReference,
    ProfileError, ProfileSecret, RecipientKey, SealedProfile, SealedProfileError, Secret,
    SigningCertificate, UnsealedProfile,
};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::macros::datetime;

/// A message that jwcrypto made.
macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!("fixtures/jose-jwe/", $name))
    };
}
#[test]
fn a_client_secret_opens_for_each_recipient_and_nobody_else() {
    let sealed = unsealed().seal([&alice_crt(), &bob_crt()]).unwrap();
    let read = SealedProfile::parse(sealed.as_str()).unwrap();
    for key in [alice(), bob()] {
        let opened = read.open(&key).unwrap();
        assert_eq!(opened.profile(), unsealed().profile());
        let ProfileSecret::ClientSecret(secret) = opened.secret() else {
            panic!("{opened:?}");
        };
        assert_eq!(secret.secret().expose(), SECRET);
        assert_eq!(opened.recipients(), [alice_crt(), bob_crt()]);
    }
    assert_eq!(
        read.open(&carol()).map(|_| ()),
        Err(SealedProfileError::NotARecipient {
            thumbprints: vec![
                alice_crt().thumbprint_sha256(),
                bob_crt().thumbprint_sha256()
            ],
        })
    );
}

#[test]
fn a_certificate_travels_with_its_key_and_its_chain() {
    let pem = [
        include_str!("fixtures/openssl/chain-leaf.key"),
        include_str!("fixtures/openssl/chain-leaf.crt"),
        include_str!("fixtures/openssl/chain-issuing.crt"),
        include_str!("fixtures/openssl/chain-root.crt"),
    ]
    .concat();
    let pair = SigningCertificate::from_pem(&Secret::new(pem)).unwrap();
    let mut profile = ConnectionProfile::draft("Contoso", NOW);
    profile.set_credential(CredentialReference::certificate(pair.certificate(), "sealed").unwrap());
    let unsealed = UnsealedProfile::new(profile, ProfileSecret::Certificate(pair.clone())).unwrap();
    let opened = unsealed
        .seal([&alice_crt()])
        .unwrap()
        .open(&alice())
        .unwrap();
    let ProfileSecret::Certificate(travelled) = opened.secret() else {
        panic!("{opened:?}");
    };
    assert_eq!(travelled.to_pem(), pair.to_pem());
    let credential = opened.secret().credential();
    assert_eq!(credential.as_certificate(), Some(pair.certificate()));
}

#[test]
fn the_secret_must_be_the_one_that_the_profile_refers_to() {
    let pair = SigningCertificate::from_pem_parts(
        include_str!("fixtures/openssl/rsa2048.crt"),
        &Secret::new(include_str!("fixtures/openssl/rsa2048-pkcs8.key")),
    )
    .unwrap();
    let own = CredentialReference::certificate(pair.certificate(), "sealed").unwrap();
    let other = CredentialReference::certificate(&alice_crt(), "sealed").unwrap();
    let hinted = |hint| reference().with_hint(hint).unwrap();
    let assertion = CredentialReference::assertion("federation").unwrap();
    let secret = || ProfileSecret::ClientSecret(ClientSecret::parse(SECRET).unwrap());
    let certificate = || ProfileSecret::Certificate(pair.clone());
    for (reference, secret, fits) in [
        (None, secret(), false),
        (Some(reference()), secret(), true),
        (Some(hinted("Ab8")), secret(), true),
        (Some(hinted("Cd9")), secret(), false),
        (Some(assertion), secret(), false),
        (Some(own.clone()), secret(), false),
        (Some(own), certificate(), true),
        (Some(other), certificate(), false),
        (Some(reference()), certificate(), false),
    ] {
        let mut profile = ConnectionProfile::draft("Contoso", NOW);
        if let Some(reference) = reference.clone() {
            profile.set_credential(reference);
        }
        let outcome = UnsealedProfile::new(profile, secret).map(|_| ());
        let expected = if fits {
            Ok(())
        } else if reference.is_none() {
            Err(ProfileError::Missing(entra_core::NextStep::Credential).into())
        } else {
            Err(SealedProfileError::OtherCredential)
        };
        assert_eq!(outcome, expected, "{reference:?}");
    }
}

#[test]
fn whoever_is_left_out_cannot_read_what_is_sealed_anew() {
    let first = unsealed().seal([&alice_crt(), &bob_crt()]).unwrap();
    let opened = first.open(&alice()).unwrap();
    let remaining = opened.recipients().iter().filter(|it| **it != bob_crt());
    let carol_crt = carol().certificate().clone();
    let second = opened.seal(remaining.chain([&carol_crt])).unwrap();
    assert!(second.open(&alice()).is_ok());
    assert!(second.open(&carol()).is_ok());
    assert!(matches!(
        second.open(&bob()),
        Err(SealedProfileError::NotARecipient { .. })
    ));
    // Nor by putting the old entry into the new message: the key is another one.
    let (old, mut new) = (json_of(&first), json_of(&second));
    new["recipients"][0] = old["recipients"][1].clone();
    let forged = SealedProfile::parse(&new.to_string()).unwrap();
    assert_eq!(
        forged.open(&bob()).map(|_| ()),
        Err(SealedProfileError::Undecryptable)
    );
}

#[test]
fn nothing_of_a_secret_or_of_two_sealings_is_the_same() {
    let sealed = unsealed().seal([&alice_crt()]).unwrap();
    let again = unsealed().seal([&alice_crt()]).unwrap();
    let (one, two) = (json_of(&sealed), json_of(&again));
    for part in ["iv", "ciphertext", "tag"] {
        assert_ne!(one[part], two[part], "{part}");
    }
    assert_ne!(
        one["recipients"][0]["encrypted_key"],
        two["recipients"][0]["encrypted_key"]
    );
    for shown in [
        sealed.as_str().to_owned(),
        format!("{sealed:?}"),
        format!("{:?}", unsealed()),
        format!("{:?}", alice()),
    ] {
        assert!(!shown.contains(SECRET));
        assert!(!shown.contains("PRIVATE KEY"));
    }
}

#[test]
fn who_stands_twice_is_sealed_to_once() {
    let sealed = unsealed().seal([&alice_crt(), &alice_crt()]).unwrap();
    assert_eq!(sealed.thumbprints(), [alice_crt().thumbprint_sha256()]);
}

#[test]
fn a_certificate_that_nothing_may_be_encrypted_to_is_refused_by_name() {
    for (pem, expected) in [
        (
            include_str!("fixtures/jose-jwe/signer.crt"),
            CertificateError::NotForEncryption,
        ),
        (
            include_str!("fixtures/openssl/rsa1024.crt"),
            CertificateError::KeyTooShort { bits: 1024 },
        ),
        (
            include_str!("fixtures/openssl/ec.crt"),
            CertificateError::KeyNotRsa,
        ),
    ] {
        let certificate = Certificate::from_pem(pem).unwrap();
        let error = unsealed()
            .seal([&alice_crt(), &certificate])
            .map(|_| ())
            .unwrap_err();
        assert_eq!(
            error,
            SealedProfileError::Recipient {
                thumbprint: certificate.thumbprint_sha256(),
                source: expected,
            }
        );
        assert!(error.admin_hint().len() > 20);
    }
    assert_eq!(
        unsealed().seal([]).map(|_| ()),
        Err(SealedProfileError::NoRecipient)
    );
}

#[test]
fn what_jwcrypto_seals_opens_in_every_form() {
    for (name, text, for_bob) in [
        ("general", fixture!("general.json"), true),
        (
            "general-alg-per-recipient",
            fixture!("general-alg-per-recipient.json"),
            true,
        ),
        ("general-aad", fixture!("general-aad.json"), true),
        ("flattened", fixture!("flattened.json"), false),
        (
            "flattened-alg-unprotected",
            fixture!("flattened-alg-unprotected.json"),
            false,
        ),
        ("compact", fixture!("compact.txt"), false),
        ("compact-x5t", fixture!("compact-x5t.txt"), false),
    ] {
        let sealed = SealedProfile::parse(text).unwrap();
        let opened = sealed.open(&alice()).unwrap();
        assert_eq!(opened.profile().name(), "Sealed by jwcrypto", "{name}");
        let ProfileSecret::ClientSecret(secret) = opened.secret() else {
            panic!("{name}");
        };
        assert_eq!(secret.secret().expose(), "Ab8-a-secret-of-nobody");
        assert_eq!(sealed.open(&bob()).is_ok(), for_bob, "{name}");
        assert!(sealed.open(&carol()).is_err(), "{name}");
    }
}

#[test]
fn without_a_thumbprint_another_key_fails_like_a_changed_message() {
    for text in [
        fixture!("compact.txt"),
        fixture!("flattened-alg-unprotected.json"),
    ] {
        let sealed = SealedProfile::parse(text).unwrap();
        for key in [bob(), carol()] {
            assert_eq!(
                sealed.open(&key).map(|_| ()),
                Err(SealedProfileError::Undecryptable)
            );
        }
    }
}

#[test]
fn other_algorithms_are_refused_before_a_key_is_used() {
    for (text, parameter) in [
        (fixture!("alg-rsa1_5.json"), "alg"),
        (fixture!("alg-rsa-oaep.json"), "alg"),
        (fixture!("alg-dir.json"), "alg"),
        (fixture!("enc-a128gcm.json"), "enc"),
        (fixture!("enc-a256cbc.json"), "enc"),
        (fixture!("zip.json"), "zip"),
    ] {
        assert_eq!(
            SealedProfile::parse(text).map(|_| ()),
            Err(SealedProfileError::Unsupported { parameter })
        );
    }
}

#[test]
fn what_is_sealed_must_be_a_profile_with_its_secret() {
    assert_eq!(
        SealedProfile::parse(fixture!("other-content-type.json")).map(|_| ()),
        Err(SealedProfileError::ContentType)
    );
    for (text, expected) in [
        (fixture!("other-content.json"), SealedProfileError::Content),
        (
            fixture!("newer-profile.json"),
            SealedProfileError::Profile(ProfileError::UnsupportedVersion { found: 2 }),
        ),
        (
            fixture!("other-secret.json"),
            SealedProfileError::OtherCredential,
        ),
    ] {
        let sealed = SealedProfile::parse(text).unwrap();
        let error = sealed.open(&alice()).map(|_| ()).unwrap_err();
        assert_eq!(error, expected);
        assert!(error.admin_hint().len() > 20);
    }
}

#[test]
fn a_header_that_says_more_or_says_it_twice_is_refused() {
    let unsupported = |parameter| SealedProfileError::Unsupported { parameter };
    let malformed = |what| SealedProfileError::Malformed { what };
    let good = json_of(&unsealed().seal([&alice_crt()]).unwrap());
    let header = r#"{"alg":"RSA-OAEP-256","enc":"A256GCM","#;
    for (protected, expected) in [
        (
            format!(r#"{header}"crit":["x"],"x":1}}"#),
            unsupported("crit"),
        ),
        (format!(r#"{header}"crit":[]}}"#), unsupported("crit")),
        (format!(r#"{header}"zip":"DEF"}}"#), unsupported("zip")),
        (
            format!(r#"{header}"alg":"RSA-OAEP-256"}}"#),
            malformed("header"),
        ),
        (format!(r#"{header}"enc":"A256GCM"}}"#), malformed("header")),
        (
            format!(r#"{header}"x5t#S256":"AAAA"}}"#),
            malformed("header"),
        ),
        (r#"{"alg":"RSA-OAEP-256"}"#.to_owned(), unsupported("enc")),
        (r#"{"enc":"A256GCM"}"#.to_owned(), unsupported("alg")),
        (
            r#"{"alg":1,"enc":"A256GCM"}"#.to_owned(),
            malformed("header"),
        ),
        (
            r#"{"alg":"rsa-oaep-256","enc":"A256GCM"}"#.to_owned(),
            unsupported("alg"),
        ),
        ("[]".to_owned(), malformed("header")),
        (String::new(), malformed("header")),
    ] {
        let mut message = good.clone();
        message["protected"] = json!(URL_SAFE_NO_PAD.encode(&protected));
        let outcome = SealedProfile::parse(&message.to_string()).map(|_| ());
        assert_eq!(outcome, Err(expected), "{protected}");
    }
    for (pointer, member, expected) in [
        (
            "",
            json!({"unprotected": {"crit": ["x"]}}),
            unsupported("crit"),
        ),
        (
            "",
            json!({"unprotected": {"zip": "DEF"}}),
            unsupported("zip"),
        ),
        (
            "",
            json!({"unprotected": {"alg": "RSA-OAEP-256"}}),
            malformed("header"),
        ),
        (
            "",
            json!({"unprotected": {"enc": "A256GCM"}}),
            malformed("header"),
        ),
        (
            "/recipients/0",
            json!({"header": {"alg": "dir"}}),
            malformed("header"),
        ),
        (
            "/recipients/0",
            json!({"header": {"x5t#S256": "AAAA"}}),
            malformed("x5t#S256"),
        ),
        (
            "",
            json!({"recipients": []}),
            SealedProfileError::NoRecipient,
        ),
    ] {
        let mut message = good.clone();
        let object = message.pointer_mut(pointer).unwrap();
        object
            .as_object_mut()
            .unwrap()
            .extend(member.as_object().unwrap().clone());
        let outcome = SealedProfile::parse(&message.to_string()).map(|_| ());
        assert_eq!(outcome, Err(expected), "{member}");
    }
}

#[test]
fn a_message_of_another_form_is_refused_by_name() {
    let malformed = |what| SealedProfileError::Malformed { what };
    let no_json = malformed("not JSON of the expected form");
    let good = json_of(&unsealed().seal([&alice_crt()]).unwrap());
    let text = good.to_string();
    let with = |member: &str, value: Value| {
        let mut message = good.clone();
        message[member] = value;
        message.to_string()
    };
    let twice = {
        let entry = good["recipients"][0].clone();
        with("recipients", json!([entry, entry]))
    };
    let crowd = vec![good["recipients"][0].clone(); 1001];
    for (text, expected) in [
        (
            String::new(),
            malformed("neither JSON nor five parts between dots"),
        ),
        (
            "a.b.c.d".to_owned(),
            malformed("neither JSON nor five parts between dots"),
        ),
        ("....".to_owned(), malformed("header")),
        ("{}".to_owned(), no_json.clone()),
        (text.replacen('{', r#"{"tag":"","#, 1), no_json.clone()),
        (
            text.replacen('{', r#"{"recipients":[],"#, 1),
            no_json.clone(),
        ),
        (
            text.replacen(r#"{"x5t#S256""#, r#"{"x5t#S256":"","x5t#S256""#, 1),
            no_json,
        ),
        (
            with("encrypted_key", json!("AAAA")),
            malformed("both the general and the flattened form"),
        ),
        (
            with("header", json!({})),
            malformed("both the general and the flattened form"),
        ),
        (twice, malformed("a recipient who stands twice")),
        (
            with("recipients", json!(crowd)),
            SealedProfileError::TooManyRecipients,
        ),
        (with("iv", json!("AAAA")), malformed("iv")),
        (with("tag", json!("AAAA")), malformed("tag")),
        (with("ciphertext", json!("AA==")), malformed("ciphertext")),
        (with("ciphertext", json!("A+A/")), malformed("ciphertext")),
        (with("aad", json!("é")), malformed("aad")),
        (
            " ".repeat(4 * 1024 * 1024 + 1),
            SealedProfileError::TooLarge,
        ),
    ] {
        let outcome = SealedProfile::parse(&text).map(|_| ());
        assert_eq!(
            outcome,
            Err(expected),
            "{}",
            text.get(..80).unwrap_or(&text)
        );
    }
}

#[test]
fn a_turned_bit_anywhere_is_refused() {
    let good = json_of(&unsealed().seal([&alice_crt()]).unwrap());
    let key = alice();
    let opens = |message: &Value| {
        SealedProfile::parse(&message.to_string()).and_then(|sealed| sealed.open(&key))
    };
    assert!(opens(&good).is_ok());
    for (pointer, expected) in [
        // A changed header may be no header any more, or one of another algorithm.
        ("/protected", None),
        (
            "/recipients/0/encrypted_key",
            Some(SealedProfileError::Undecryptable),
        ),
        ("/iv", Some(SealedProfileError::Undecryptable)),
        ("/ciphertext", Some(SealedProfileError::Undecryptable)),
        ("/tag", Some(SealedProfileError::Undecryptable)),
    ] {
        let part = good.pointer(pointer).unwrap().as_str().unwrap();
        let bytes = URL_SAFE_NO_PAD.decode(part).unwrap();
        // Every byte, and in turn every bit of it.
        for position in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[position] ^= 1 << (position % 8);
            let mut message = good.clone();
            *message.pointer_mut(pointer).unwrap() = json!(URL_SAFE_NO_PAD.encode(changed));
            let error = opens(&message).map(|_| ()).unwrap_err();
            assert!(
                expected.as_ref().is_none_or(|expected| *expected == error),
                "{pointer} {position}: {error:?}"
            );
        }
        // A part cut off at its end.
        let mut message = good.clone();
        *message.pointer_mut(pointer).unwrap() =
            json!(URL_SAFE_NO_PAD.encode(&bytes[..bytes.len() - 1]));
        assert!(opens(&message).is_err(), "{pointer}");
    }
    let mut more = good.clone();
    more["aad"] = json!("bW9yZQ");
    assert_eq!(
        opens(&more).map(|_| ()),
        Err(SealedProfileError::Undecryptable)
    );
    let mut renamed = good;
    renamed["recipients"][0]["header"]["x5t#S256"] = json!(bob_crt().x5t_s256());
    assert_eq!(
        opens(&renamed).map(|_| ()),
        Err(SealedProfileError::NotARecipient {
            thumbprints: vec![bob_crt().thumbprint_sha256()],
        })
    );
}

#[test]
#[ignore = "installs jwcrypto for Python"]
fn what_is_sealed_here_opens_with_jwcrypto() {
    let sealed = unsealed().seal([&alice_crt(), &bob_crt()]).unwrap();
    let folder = std::env::temp_dir().join(format!("entra-core-jwe-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let message = folder.join("sealed.json");
    std::fs::write(&message, sealed.as_str()).unwrap();
    let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/jose-jwe");
    for name in ["alice", "bob"] {
        let output = Command::new("bash")
            .arg(format!("{fixtures}/open.sh"))
            .arg(&message)
            .arg(format!("{fixtures}/{name}.pem"))
            .output()
            .unwrap();
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{complaint}");
        let content: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(content["profile"]["name"], "Contoso");
        assert_eq!(content["secret"], json!({"client_secret": SECRET}));
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

fn unsealed() -> UnsealedProfile {
    let mut profile = ConnectionProfile::draft("Contoso", NOW);
    profile.set_credential(reference());
    let secret = ProfileSecret::ClientSecret(ClientSecret::parse(SECRET).unwrap());
    UnsealedProfile::new(profile, secret).unwrap()
}

fn reference() -> CredentialReference {
    CredentialReference::client_secret("sealed").unwrap()
}

fn json_of(sealed: &SealedProfile) -> Value {
    serde_json::from_str(sealed.as_str()).unwrap()
}

fn alice() -> RecipientKey {
    RecipientKey::from_pem(&Secret::new(fixture!("alice.pem"))).unwrap()
}

fn bob() -> RecipientKey {
    RecipientKey::from_pem(&Secret::new(fixture!("bob.pem"))).unwrap()
}

fn carol() -> RecipientKey {
    RecipientKey::from_pem(&Secret::new(fixture!("carol.pem"))).unwrap()
}

fn alice_crt() -> Certificate {
    Certificate::from_pem(fixture!("alice.crt")).unwrap()
}

fn bob_crt() -> Certificate {
    Certificate::from_pem(fixture!("bob.crt")).unwrap()
}

const NOW: OffsetDateTime = datetime!(2026-02-03 09:00 UTC);
const SECRET: &str = "Ab8~canary~of~the~sealed~profile";
