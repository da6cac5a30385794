//! Keys and key sets, made by joserfc.

use entra_core::{JwkSet, JwkSetError, JwtAlgorithm, KeyProblem};
use serde_json::{Value, json};

#[test]
fn a_key_keeps_what_entra_says_of_it() {
    let set = JwkSet::parse(KEYS.as_bytes()).unwrap();
    assert_eq!(set.keys().len(), 3);
    assert_eq!(set.skipped(), []);
    let rsa = set.key("rsa").unwrap();
    assert_eq!(
        rsa.issuer(),
        Some("https://login.microsoftonline.com/{tenantid}/v2.0")
    );
    assert_eq!(rsa.cloud_instance_name(), Some("microsoftonline.com"));
    assert!(rsa.is_for(JwtAlgorithm::Rs256) && rsa.is_for(JwtAlgorithm::Ps256));
    assert!(!rsa.is_for(JwtAlgorithm::Es256));
    let ec = set.key("ec").unwrap();
    assert!(ec.is_for(JwtAlgorithm::Es256) && !ec.is_for(JwtAlgorithm::Rs256));
    assert_eq!((ec.issuer(), ec.cloud_instance_name()), (None, None));
    assert!(set.key("RSA").is_none());
}

#[test]
fn keys_that_cannot_be_used_are_skipped_each_for_its_reason() {
    let set = JwkSet::parse(include_bytes!("fixtures/jose/unusable.json")).unwrap();
    let ids: Vec<_> = set.keys().iter().map(|key| key.id()).collect();
    assert_eq!(ids, [Some("good")]);
    let skipped: Vec<_> = set
        .skipped()
        .iter()
        .map(|skipped| (skipped.id.as_deref().unwrap_or("none"), skipped.problem))
        .collect();
    assert_eq!(
        skipped,
        [
            ("enc", KeyProblem::OtherUse),
            ("sign-only", KeyProblem::OtherUse),
            ("wrong-algorithm", KeyProblem::OtherAlgorithm),
            ("algorithm-of-another-type", KeyProblem::OtherAlgorithm),
            ("private", KeyProblem::PrivatePart),
            ("short", KeyProblem::Size { bits: 1024 }),
            ("long", KeyProblem::Size { bits: 8193 }),
            ("even", KeyProblem::Numbers),
            ("exponent-one", KeyProblem::Numbers),
            ("exponent-even", KeyProblem::Numbers),
            ("exponent-long", KeyProblem::Numbers),
            ("leading-zero", KeyProblem::Malformed),
            ("padded", KeyProblem::Malformed),
            ("no-modulus", KeyProblem::Malformed),
            ("modulus-is-a-number", KeyProblem::Malformed),
            ("symmetric", KeyProblem::OtherType),
            ("ed25519", KeyProblem::OtherType),
            ("p384", KeyProblem::OtherType),
            ("off-the-curve", KeyProblem::Numbers),
            ("short-coordinate", KeyProblem::Numbers),
            ("", KeyProblem::NoId),
            ("none", KeyProblem::NoId),
            ("good", KeyProblem::Repeated),
            ("twice", KeyProblem::Ambiguous),
            ("none", KeyProblem::Malformed),
            ("twice", KeyProblem::Ambiguous),
            ("none", KeyProblem::NoId),
        ]
    );
}

#[test]
fn a_key_without_an_id_is_used_if_it_is_the_only_one() {
    let keys: Value = serde_json::from_str(KEYS).unwrap();
    let without_id = |index: usize| {
        let mut key = keys["keys"][index].clone();
        key.as_object_mut().unwrap().remove("kid");
        key
    };
    let (first, second, named) = (without_id(0), without_id(1), keys["keys"][1].clone());
    let bad = json!({"kty": "oct", "k": "AQAB"});
    let parse = |keys: &[&Value]| JwkSet::parse(json!({"keys": keys}).to_string().as_bytes());

    let one = parse(&[&first]).unwrap();
    assert!(one.only_key().unwrap().is_for(JwtAlgorithm::Rs256));
    assert_eq!(one.only_key().unwrap().id(), None);
    let beside = parse(&[&first, &named]).unwrap();
    assert_eq!(beside.only_key().unwrap().id(), Some("other"));
    assert_eq!(beside.skipped()[0].problem, KeyProblem::NoId);
    assert!(parse(&[&first, &second]).is_err());
    assert!(parse(&[&first, &bad]).is_err());
    assert!(parse(&[&bad]).is_err());
    let all: Vec<&Value> = keys["keys"].as_array().unwrap().iter().collect();
    assert!(parse(&all).unwrap().only_key().is_none());
}

#[test]
fn a_document_that_is_no_key_set_is_refused() {
    let many = json!({"keys": vec![json!({}); 1001]}).to_string();
    let deep = format!("{{\"keys\":{}{}}}", "[".repeat(500), "]".repeat(500));
    let enc = json!({"keys": [{"kid": "a", "kty": "oct", "k": "AQAB"}]}).to_string();
    for (document, expected) in [
        ("", JwkSetError::NotJson),
        ("<html>", JwkSetError::NotJson),
        ("[]", JwkSetError::NotJson),
        (&deep, JwkSetError::NotJson),
        ("{}", JwkSetError::NoKeys),
        (r#"{"keys":{}}"#, JwkSetError::NoKeys),
        (r#"{"keys":null}"#, JwkSetError::NoKeys),
        (r#"{"keys":[],"keys":[]}"#, JwkSetError::Names),
        (r#"{"keys":[{"kid":"a","kid":"b"}]}"#, JwkSetError::Names),
        (
            &many,
            JwkSetError::TooManyKeys {
                limit: 1000,
                found: 1001,
            },
        ),
        (
            r#"{"keys":[]}"#,
            JwkSetError::NoUsableKey { skipped: vec![] },
        ),
    ] {
        let found = JwkSet::parse(document.as_bytes()).unwrap_err();
        assert_eq!(
            found,
            expected,
            "{}",
            &document.get(..40).unwrap_or(document)
        );
    }
    let JwkSetError::NoUsableKey { skipped } = JwkSet::parse(enc.as_bytes()).unwrap_err() else {
        panic!("a symmetric key was used");
    };
    assert_eq!(skipped[0].problem, KeyProblem::OtherType);
}

const KEYS: &str = include_str!("fixtures/jose/keys.json");
