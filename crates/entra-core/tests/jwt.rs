//! Signed tokens, made by joserfc and pyca/cryptography, and those of RFC 7515.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use entra_core::{
    ClockSkew, JwkSet, JwtAlgorithm, JwtPart, JwtRefusal, JwtRules, KeyProblem, UnverifiedJwt,
    VerificationKey, VerifiedJwt,
};
use serde::Deserialize;
use serde_json::{Value, json};
use time::macros::datetime;

#[test]
fn a_token_of_entra_is_verified_and_its_claims_are_read() {
    #[derive(Deserialize)]
    struct Claims<'a> {
        oid: &'a str,
        nonce: Option<&'a str>,
        name: String,
        groups: Vec<&'a str>,
    }

    let jwt = verify("rs256").unwrap();
    assert_eq!(jwt.issuer(), Some(ISSUER));
    assert_eq!(jwt.tenant_id(), Some(TENANT));
    assert_eq!(jwt.audiences(), [CLIENT]);
    assert_eq!(jwt.expires_on(), Some(datetime!(2026-01-01 01:00 UTC)));
    assert_eq!(jwt.not_before(), Some(datetime!(2025-12-31 23:59:55 UTC)));
    assert_eq!(jwt.issued_on(), Some(datetime!(2025-12-31 23:59:55 UTC)));
    assert_eq!(jwt.algorithm(), JwtAlgorithm::Rs256);
    assert_eq!(jwt.key().id(), Some("rsa"));
    assert_eq!(jwt.key().cloud_instance_name(), Some("microsoftonline.com"));
    let claims: Claims<'_> = jwt.claims().unwrap();
    assert_eq!(claims.oid, "0f1e2d3c-0000-4000-8000-00000000000a");
    assert_eq!(claims.nonce, Some("n-0S6_WzA2Mj"));
    assert_eq!(claims.name, "Zoë \"Zed\" Ångström");
    assert_eq!(claims.groups.len(), 2);
}

#[test]
fn what_finds_the_key_can_be_read_before_the_signature_is_checked() {
    let jwt = UnverifiedJwt::parse(&TOKENS["changed-payload"], &JwtRules::new()).unwrap();
    assert_eq!(jwt.key_id(), Some("rsa"));
    assert_eq!(jwt.algorithm(), JwtAlgorithm::Rs256);
    assert_eq!(jwt.unverified_issuer(), Some(ISSUER));
    assert_eq!(jwt.unverified_tenant_id(), Some(TENANT));
    assert_eq!(jwt.unverified_audiences(), [CLIENT]);
}

#[test]
fn tokens_are_accepted_in_all_the_forms_that_the_specifications_allow() {
    for name in [
        "rs256",
        "ps256",
        "es256",
        "no-typ",
        "typ-lower-case",
        "no-kid",
        "unknown-header-member",
        "kid-with-escape",
        "spaced-json",
        "audience-array",
        "audiences",
        "fractional-times",
        "year-2038",
        "no-claims",
    ] {
        assert!(verify(name).is_ok(), "{name}: {:?}", verify(name).err());
    }
    assert_eq!(verify("audiences").unwrap().audiences(), ["a", "b"]);
    assert_eq!(
        verify("fractional-times").unwrap().expires_on(),
        Some(datetime!(2026-01-01 01:00:00.5 UTC))
    );
    assert_eq!(
        verify("year-2038").unwrap().expires_on(),
        Some(datetime!(2038-01-19 03:14:09 UTC))
    );
}

#[test]
fn the_examples_of_rfc_7515_are_accepted() {
    let rs256 = VerificationKey::from_jwk(
        r#"{"kty":"RSA","e":"AQAB","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"}"#,
    );
    let es256 = VerificationKey::from_jwk(
        r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#,
    );
    for (section, key, token) in [
        (
            "A.2",
            rs256,
            "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
        ),
        (
            "A.3",
            es256,
            "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
        ),
    ] {
        let jwt = UnverifiedJwt::parse(token, &all_algorithms()).unwrap();
        let jwt = jwt.verify(Arc::new(key.unwrap())).unwrap();
        assert_eq!(jwt.issuer(), Some("joe"), "{section}");
        let claims: Value = jwt.claims().unwrap();
        assert_eq!(
            claims["http://example.com/is_root"],
            json!(true),
            "{section}"
        );
    }
}

#[test]
fn a_token_larger_than_the_limit_is_refused() {
    let token = "x".repeat(1_048_576);
    assert_eq!(
        parse(&token),
        Err(JwtRefusal::TooLarge {
            limit: 65_536,
            found: 1_048_576
        })
    );
    let good = TOKENS["rs256"].as_str();
    let exactly = JwtRules::new().with_max_length(good.len());
    assert!(UnverifiedJwt::parse(good, &exactly).is_ok());
    let smaller = JwtRules::new().with_max_length(good.len() - 1);
    assert!(UnverifiedJwt::parse(good, &smaller).is_err());
}

#[test]
fn a_token_of_other_than_three_parts_is_refused() {
    for (token, found) in [
        (String::new(), 1),
        ("e30".to_owned(), 1),
        ("e30.e30".to_owned(), 2),
        (format!("{}.", TOKENS["rs256"]), 4),
        (format!(".{}", TOKENS["rs256"]), 4),
        (".".repeat(65_536), 65_537),
    ] {
        assert_eq!(parse(&token), Err(JwtRefusal::NotThreeParts { found }));
    }
}

#[test]
fn an_encrypted_token_is_refused() {
    assert_eq!(refusal("jwe"), JwtRefusal::Encrypted);
}

#[test]
fn a_part_in_another_base64_is_refused() {
    let parts: Vec<&str> = TOKENS["rs256"].split('.').collect();
    let kinds = [JwtPart::Header, JwtPart::Payload, JwtPart::Signature];
    for (index, kind) in kinds.into_iter().enumerate() {
        let last_bit_set = with_last_bit(parts[index]);
        for changed in [
            format!("{}=", parts[index]),
            format!("{}==", parts[index]),
            format!("{}+", parts[index]),
            format!("{}/", parts[index]),
            format!("{} ", parts[index]),
            format!("{}\n", parts[index]),
            format!("ä{}", parts[index]),
            last_bit_set,
        ] {
            let mut token = parts.clone();
            token[index] = &changed;
            let expected = Err(JwtRefusal::Base64(kind));
            assert_eq!(parse(&token.join(".")), expected, "{changed}");
        }
    }
}

#[test]
fn a_header_that_is_too_large_is_refused_before_it_is_read() {
    assert_eq!(
        refusal("header-large"),
        JwtRefusal::HeaderTooLarge { limit: 4096 }
    );
}

#[test]
fn a_part_that_is_no_object_is_refused() {
    refuses(
        &[
            "header-array",
            "header-text",
            "header-empty",
            "header-not-utf8",
        ],
        &JwtRefusal::NotAnObject(JwtPart::Header),
    );
    refuses(
        &[
            "payload-array",
            "payload-text",
            "payload-empty",
            "payload-not-utf8",
            "payload-two",
        ],
        &JwtRefusal::NotAnObject(JwtPart::Payload),
    );
}

#[test]
fn an_object_with_a_name_that_stands_twice_is_refused() {
    refuses(
        &[
            "header-duplicate",
            "header-duplicate-by-case",
            "header-duplicate-by-escape",
        ],
        &JwtRefusal::DuplicateMember(JwtPart::Header),
    );
    refuses(
        &[
            "payload-duplicate",
            "payload-duplicate-by-case",
            "payload-duplicate-inside",
        ],
        &JwtRefusal::DuplicateMember(JwtPart::Payload),
    );
}

#[test]
fn an_object_with_too_many_members_is_refused() {
    assert_eq!(
        refusal("payload-members"),
        JwtRefusal::TooManyMembers(JwtPart::Payload)
    );
}

#[test]
fn an_algorithm_that_is_not_allowed_is_refused() {
    refuses(
        &[
            "alg-none",
            "alg-None",
            "alg-nOnE",
            "alg-lower-case",
            "alg-missing",
            "alg-null",
            "alg-number",
            "alg-array",
            "hs256-public-pem",
            "hs256-public-der",
            "hs256-public-jwk",
            "hs256-secret",
            "rs384",
            "rs512",
            "eddsa",
        ],
        &JwtRefusal::Algorithm,
    );
    for name in ["ps256", "es256"] {
        assert_eq!(parse(&TOKENS[name]), Err(JwtRefusal::Algorithm), "{name}");
    }
    let none = JwtRules::new().with_algorithms([]);
    let refused = UnverifiedJwt::parse(&TOKENS["rs256"], &none).err();
    assert_eq!(refused, Some(JwtRefusal::Algorithm));
}

#[test]
fn a_type_that_is_not_expected_is_refused() {
    refuses(
        &[
            "typ-at",
            "typ-logout",
            "typ-dpop",
            "typ-jose",
            "typ-null",
            "typ-array",
        ],
        &JwtRefusal::Type,
    );
    let access_tokens = JwtRules::new().with_types(["AT+JWT"]);
    assert!(UnverifiedJwt::parse(&TOKENS["typ-at"], &access_tokens).is_ok());
    let refused = UnverifiedJwt::parse(&TOKENS["rs256"], &access_tokens).err();
    assert_eq!(refused, Some(JwtRefusal::Type));
}

#[test]
fn a_header_that_brings_a_key_or_changes_how_the_token_is_read_is_refused() {
    for name in [
        "crit", "b64", "zip", "cty", "enc", "jku", "jwk", "x5u", "x5c",
    ] {
        assert_eq!(refusal(name), JwtRefusal::HeaderMember(name));
    }
    refuses(
        &["crit-empty", "crit-b64"],
        &JwtRefusal::HeaderMember("crit"),
    );
}

#[test]
fn a_key_id_that_cannot_be_one_is_refused() {
    refuses(
        &["kid-number", "kid-null", "kid-empty", "kid-long"],
        &JwtRefusal::KeyId,
    );
}

#[test]
fn a_registered_claim_of_the_wrong_type_is_refused() {
    for (claim, names) in [
        ("iss", &["iss-null", "iss-array", "iss-empty"][..]),
        ("sub", &["sub-number"]),
        (
            "aud",
            &[
                "aud-null",
                "aud-number",
                "aud-empty",
                "aud-empty-array",
                "aud-mixed",
            ],
        ),
        ("tid", &["tid-number"]),
        ("exp", &["exp-text", "exp-huge", "exp-null"]),
        ("nbf", &["nbf-text"]),
        ("iat", &["iat-bool"]),
    ] {
        refuses(names, &JwtRefusal::Claim(claim));
    }
}

#[test]
fn a_key_of_another_id_is_refused() {
    let jwt = UnverifiedJwt::parse(&TOKENS["rs256"], &JwtRules::new()).unwrap();
    let refused = jwt.verify(Arc::clone(KEYS.key("other").unwrap())).err();
    assert_eq!(refused, Some(JwtRefusal::OtherKey));
}

#[test]
fn a_key_for_another_algorithm_is_refused() {
    let for_ps256 = Arc::new(rsa_for("PS256").unwrap());
    for key in [KEYS.key("ec").unwrap(), &for_ps256] {
        let jwt = UnverifiedJwt::parse(&TOKENS["no-kid"], &JwtRules::new()).unwrap();
        let refused = jwt.verify(Arc::clone(key)).err();
        assert_eq!(refused, Some(JwtRefusal::KeyAlgorithm));
    }
    assert!(rsa_for("RS256").unwrap().is_for(JwtAlgorithm::Rs256));
    assert!(!rsa_for("RS256").unwrap().is_for(JwtAlgorithm::Ps256));
    assert_eq!(rsa_for("RS512").err(), Some(KeyProblem::OtherAlgorithm));
}

#[test]
fn a_wrong_signature_is_refused() {
    refuses(
        &[
            "other-key",
            "changed-payload",
            "changed-header",
            "signature-empty",
            "signature-short",
            "signature-long",
            "signature-of-ps256",
            "es256-der",
            "es256-zeros",
        ],
        &JwtRefusal::Signature,
    );
}

#[test]
fn every_single_changed_character_is_refused() {
    let good = &TOKENS["es256"];
    for index in 0..good.len() {
        let mut changed = good.clone().into_bytes();
        changed[index] = if changed[index] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).unwrap();
        assert!(verify_text(&changed).is_err(), "character {index}");
    }
}

#[test]
fn claims_of_another_shape_are_refused_without_a_word_of_them() {
    #[derive(Debug, Deserialize)]
    struct Claims {
        #[expect(dead_code, reason = "it is never read")]
        preferred_username: u32,
    }

    let jwt = verify("rs256").unwrap();
    let refused = jwt.claims::<Claims>().unwrap_err();
    assert!(matches!(refused, JwtRefusal::Claims { .. }), "{refused}");
    assert!(!refused.to_string().contains("zoe"), "{refused}");
    assert!(!format!("{refused:?}").contains("zoe"), "{refused:?}");
}

#[test]
fn times_are_validated_by_the_clock_of_the_caller() {
    let jwt = verify("rs256").unwrap();
    let check = |now| jwt.validate_times(now, ClockSkew::default());
    assert_eq!(check(datetime!(2026-01-01 00:00 UTC)), Ok(()));
    assert_eq!(check(datetime!(2026-01-01 01:00:59 UTC)), Ok(()));
    assert_eq!(
        check(datetime!(2026-01-01 01:01 UTC)),
        Err(JwtRefusal::Expired {
            expired_on: datetime!(2026-01-01 01:00 UTC)
        })
    );
    assert_eq!(
        check(datetime!(2025-12-31 23:58:54 UTC)),
        Err(JwtRefusal::NotYetValid {
            not_before: datetime!(2025-12-31 23:59:55 UTC)
        })
    );
    let without = verify("no-exp").unwrap();
    assert_eq!(
        without.validate_times(datetime!(2026-01-01 00:00 UTC), ClockSkew::default()),
        Err(JwtRefusal::NoExpiry)
    );
}

#[test]
fn no_text_of_a_token_is_seen() {
    let unverified = UnverifiedJwt::parse(&TOKENS["rs256"], &JwtRules::new()).unwrap();
    assert_eq!(
        format!("{unverified:?}"),
        "UnverifiedJwt { algorithm: Rs256, .. }"
    );
    let verified = format!("{:?}", verify("rs256").unwrap());
    assert!(!verified.contains("zoe"), "{verified}");
    assert!(!verified.contains("n-0S6_WzA2Mj"), "{verified}");
}

/// Refused by name, each.
fn refuses(names: &[&str], expected: &JwtRefusal) {
    for name in names {
        assert_eq!(&refusal(name), expected, "{name}");
    }
}

fn refusal(name: &str) -> JwtRefusal {
    verify(name).err().unwrap()
}

fn verify(name: &str) -> Result<VerifiedJwt, JwtRefusal> {
    verify_text(&TOKENS[name])
}

/// With the key that the token names, or `rsa`, and all algorithms allowed.
fn verify_text(token: &str) -> Result<VerifiedJwt, JwtRefusal> {
    let jwt = UnverifiedJwt::parse(token, &all_algorithms())?;
    let key = KEYS.key(jwt.key_id().unwrap_or("rsa"));
    jwt.verify(Arc::clone(key.ok_or(JwtRefusal::OtherKey)?))
}

/// By the default rules.
fn parse(token: &str) -> Result<(), JwtRefusal> {
    UnverifiedJwt::parse(token, &JwtRules::new()).map(|_| ())
}

fn all_algorithms() -> JwtRules {
    JwtRules::new().with_algorithms([
        JwtAlgorithm::Rs256,
        JwtAlgorithm::Ps256,
        JwtAlgorithm::Es256,
    ])
}

/// The key `rsa`, published for one algorithm alone.
fn rsa_for(algorithm: &str) -> Result<VerificationKey, KeyProblem> {
    let mut key = serde_json::from_str::<Value>(KEYS_JSON).unwrap()["keys"][0].take();
    key["alg"] = json!(algorithm);
    VerificationKey::from_jwk(&key.to_string())
}

/// The same part with a bit set that base64 leaves over, or with one character too many.
fn with_last_bit(part: &str) -> String {
    const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let (head, last) = part.split_at(part.len() - 1);
    match part.len() % 4 {
        0 => format!("{part}A"),
        _ => {
            let next = ALPHABET.find(last).unwrap() + 1;
            format!("{head}{}", ALPHABET.chars().nth(next).unwrap())
        }
    }
}

static TOKENS: LazyLock<HashMap<String, String>> =
    LazyLock::new(|| serde_json::from_str(include_str!("fixtures/jose/tokens.json")).unwrap());
static KEYS: LazyLock<JwkSet> = LazyLock::new(|| JwkSet::parse(KEYS_JSON.as_bytes()).unwrap());
const KEYS_JSON: &str = include_str!("fixtures/jose/keys.json");
const TENANT: &str = "9b3c2a10-0d5f-4f2e-9c55-5a0f3a3d7d11";
const ISSUER: &str = "https://login.microsoftonline.com/9b3c2a10-0d5f-4f2e-9c55-5a0f3a3d7d11/v2.0";
const CLIENT: &str = "11111111-2222-4333-8444-555555555555";
