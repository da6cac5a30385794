//! ID tokens: a good one, and what becomes of it when one thing is changed.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails"
)]

mod minting;

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use entra_core::{ClockSkew, JwtPart, JwtRefusal, UserKey};
use entra_oidc::{IdTokenRefusal, IdTokenRules, IdTokenValidator, TokenRefusal};
use minting::{
    CLIENT, FIRST, ISSUER, NOW, OBJECT, OTHER_TENANT, PERSONAL_TENANT, SECOND, TENANT, Token,
    expected, jwk, key_set, keys, one_tenant, outcome, refuses, sign, tenant, validate,
    validate_with, with, with_keys,
};
use serde_json::{Value, json};
use time::macros::datetime;

#[test]
fn a_good_token_says_who_signed_in() {
    let verified = validate(&Token::id_token().signed()).unwrap();
    let key = UserKey::entra(tenant(TENANT), OBJECT.parse().unwrap());
    assert_eq!(verified.key(), &key);
    assert_eq!(verified.issuer(), ISSUER);
    assert_eq!(
        verified.subject(),
        "AAAAAAAAAAAAAAAAAAAAAIkzqFVrSaSaFHy782bbtaQ"
    );
    assert_eq!(verified.tenant(), Some(tenant(TENANT)));
    assert_eq!(verified.issued_on(), Some(datetime!(2025-12-31 23:55 UTC)));
    assert_eq!(verified.expires_on(), Some(datetime!(2026-01-01 01:00 UTC)));
    assert_eq!(verified.get::<String>("uti"), Ok(Some("Xb3Q".to_owned())));
    assert_eq!(verified.get::<String>("sid"), Ok(None));
    assert!(verified.get::<i64>("uti").is_err());
    let claims: Value = verified.claims().unwrap();
    assert_eq!(claims["name"], "Zoë Zed");
}

#[test]
fn what_specifications_and_entra_allow_is_accepted() {
    let good = Token::id_token();
    for (why, token) in [
        (
            "one audience in a list",
            good.clone().claim("aud", [CLIENT]),
        ),
        ("azp is the application", good.clone().claim("azp", CLIENT)),
        (
            "fractions",
            good.clone()
                .claim("exp", 1_767_229_200.5)
                .claim("iat", 1_767_225_300.25),
        ),
        ("no typ", good.clone().header_without("typ")),
        ("typ in lower case", good.clone().header("typ", "jwt")),
        (
            "the other key",
            Token {
                header: good.header.clone(),
                ..good.clone()
            },
        ),
        ("no name", good.clone().without("name")),
        ("no nbf", good.clone().without("nbf")),
        ("no amr, as in version 2.0", good.clone().without("amr")),
        (
            "names that are not texts",
            good.clone().claim("name", 1).claim("email", json!([])),
        ),
        (
            "unknown claims",
            good.clone()
                .claim("xms_new", json!({"a": [1, {"b": null}]})),
        ),
        (
            "unknown members of the header",
            good.clone().header("x5t", "abc"),
        ),
        ("after 2038", good.clone().claim("nbf", 0)),
        ("within the skew", good.clone().claim("exp", NOW - 59)),
        (
            "issued in a minute",
            good.clone().claim("iat", NOW + 60).claim("nbf", NOW + 60),
        ),
        ("a day", good.clone().claim("exp", NOW - 300 + 86_400)),
        (
            "at_hash of nothing that is known",
            good.clone().claim("at_hash", "abc"),
        ),
        ("a guest", good.clone().claim("acct", 1)),
        ("an escape", good.clone().claim("aio", "\u{1}\"")),
    ] {
        let found = validate(&token.signed());
        assert!(found.is_ok(), "{why}: {found:?}");
    }
    let by_second = sign(
        &SECOND,
        br#"{"alg":"RS256","kid":"second"}"#,
        json!(good.claims).to_string().as_bytes(),
    );
    assert!(validate(&by_second).is_ok());
}

#[test]
fn a_token_of_another_form_is_refused() {
    let good = Token::id_token();
    let text = good.signed();
    let (signed, signature) = text.rsplit_once('.').unwrap();
    let (header, payload) = signed.split_once('.').unwrap();
    let three = |a: &str, b: &str, c: &str| format!("{a}.{b}.{c}");
    let padded = URL_SAFE_NO_PAD.encode(br#"{"alg":"RS256","k":""}"#) + "==";
    for (token, expected) in [
        (String::new(), JwtRefusal::NotThreeParts { found: 1 }),
        (header.to_owned(), JwtRefusal::NotThreeParts { found: 1 }),
        (signed.to_owned(), JwtRefusal::NotThreeParts { found: 2 }),
        (format!("{text}."), JwtRefusal::NotThreeParts { found: 4 }),
        (format!("{text}.a.b"), JwtRefusal::Encrypted),
        (
            three("", payload, signature),
            JwtRefusal::NotAnObject(JwtPart::Header),
        ),
        (
            three(header, "", signature),
            JwtRefusal::NotAnObject(JwtPart::Payload),
        ),
        (three(header, payload, ""), JwtRefusal::Signature),
        (
            ".".repeat(65_000),
            JwtRefusal::NotThreeParts { found: 65_001 },
        ),
        (
            ".".repeat(1_000_000),
            JwtRefusal::TooLarge {
                limit: 65_536,
                found: 1_000_000,
            },
        ),
        (
            three(&padded, payload, signature),
            JwtRefusal::Base64(JwtPart::Header),
        ),
        (
            three(header, &format!("{payload}="), signature),
            JwtRefusal::Base64(JwtPart::Payload),
        ),
        (
            three(header, &format!("{payload}\n"), signature),
            JwtRefusal::Base64(JwtPart::Payload),
        ),
        (
            three(header, payload, "+/+/"),
            JwtRefusal::Base64(JwtPart::Signature),
        ),
        (good.over(b"[]"), JwtRefusal::NotAnObject(JwtPart::Payload)),
        (
            good.over(br#"{"a":1,"a":1}"#),
            JwtRefusal::DuplicateMember(JwtPart::Payload),
        ),
        (
            good.over(br#"{"tid":"a","TID":"b"}"#),
            JwtRefusal::DuplicateMember(JwtPart::Payload),
        ),
        (
            good.over(br#"{"tid":"a","t\u0069d":"b"}"#),
            JwtRefusal::DuplicateMember(JwtPart::Payload),
        ),
    ] {
        refuses(&token, expected);
    }
}

#[test]
fn a_header_that_asks_for_something_else_is_refused() {
    let good = Token::id_token();
    for algorithm in [
        "none", "None", "nOnE", "HS256", "RS384", "RS512", "PS256", "ES256", "EdDSA",
    ] {
        refuses(
            &good.clone().header("alg", algorithm).signed(),
            JwtRefusal::Algorithm,
        );
    }
    for algorithm in [json!(null), json!(256), json!(["RS256"])] {
        refuses(
            &good.clone().header("alg", algorithm).signed(),
            JwtRefusal::Algorithm,
        );
    }
    refuses(
        &good.clone().header_without("alg").signed(),
        JwtRefusal::Algorithm,
    );
    for kind in ["at+jwt", "logout+jwt", "dpop+jwt", "JOSE"] {
        refuses(&good.clone().header("typ", kind).signed(), JwtRefusal::Type);
    }
    for (member, value) in [
        ("crit", json!(["exp"])),
        ("crit", json!([])),
        ("b64", json!(false)),
        ("zip", json!("DEF")),
        ("cty", json!("JWT")),
        ("enc", json!("A256GCM")),
        ("jku", json!("https://evil.example/keys")),
        ("jwk", jwk(&FIRST, "first")),
        ("x5u", json!("https://evil.example/certificate")),
        ("x5c", json!(["MIIB"])),
    ] {
        let token = good.clone().header(member, value).signed();
        refuses(&token, JwtRefusal::HeaderMember(member));
    }
    for id in [
        json!(1),
        json!(null),
        json!(""),
        json!("k".repeat(129)),
        json!("k".repeat(10_000)),
    ] {
        let refusal = match id.as_str() {
            Some(text) if text.len() > 4096 => JwtRefusal::HeaderTooLarge { limit: 4096 },
            _ => JwtRefusal::KeyId,
        };
        refuses(&good.clone().header("kid", id).signed(), refusal);
    }
    let duplicate = sign(&FIRST, br#"{"alg":"RS256","alg":"none"}"#, b"{}");
    refuses(&duplicate, JwtRefusal::DuplicateMember(JwtPart::Header));
}

#[test]
fn a_token_of_another_issuer_is_refused() {
    let good = Token::id_token();
    refuses(
        &good.clone().without("iss").signed(),
        TokenRefusal::IssuerMissing,
    );
    for other in [
        json!(null),
        json!(1),
        json!(""),
        json!({}),
        json!([ISSUER, "https://evil.example"]),
    ] {
        refuses(
            &good.clone().claim("iss", other).signed(),
            JwtRefusal::Claim("iss"),
        );
    }
    for other in [
        format!("https://evil.example/{TENANT}/v2.0"),
        ISSUER.replace("https:", "http:"),
        ISSUER.replace("login", "LOGIN"),
        ISSUER.replace(".com", ".us"),
        ISSUER.replace(".com", ".com:443"),
        ISSUER.replace(".com", ".com@evil.example"),
        ISSUER.replace(TENANT, &TENANT.to_uppercase()),
        ISSUER.replace(TENANT, "{tenantid}"),
        ISSUER.replace(TENANT, "common"),
        ISSUER.replace("/v2.0", ""),
        format!("{ISSUER}/"),
        format!(" {ISSUER}"),
        format!("https://{TENANT}.ciamlogin.com/{TENANT}/v2.0"),
    ] {
        let refusal = TokenRefusal::Issuer {
            expected: ISSUER.to_owned(),
            found: other.clone(),
        };
        refuses(&good.clone().claim("iss", other).signed(), refusal);
    }
    let v1 = good.claim("iss", format!("https://sts.windows.net/{TENANT}/"));
    let refusal = TokenRefusal::Version {
        expected: "2.0",
        found: "1.0".to_owned(),
    };
    refuses(&v1.signed(), refusal);
}

#[test]
fn the_issuer_in_a_refusal_is_short_and_of_one_line() {
    let other = format!("https://evil.example/\n{}", "x".repeat(1000));
    let refusal = validate(&Token::id_token().claim("iss", other).signed()).unwrap_err();
    let IdTokenRefusal::Token(TokenRefusal::Issuer { found, .. }) = &refusal else {
        panic!("{refusal:?}");
    };
    assert_eq!(found.len(), 200);
    assert!(!found.contains('\n'));
}

#[test]
fn a_tenant_that_is_not_the_issuers_is_refused() {
    let good = Token::id_token();
    refuses(
        &good.clone().without("tid").signed(),
        TokenRefusal::TenantMissing,
    );
    refuses(
        &good.clone().claim("tid", 1).signed(),
        JwtRefusal::Claim("tid"),
    );
    for other in [
        "common".to_owned(),
        format!("{TENANT}/"),
        "../x".to_owned(),
        TENANT.to_uppercase(),
        TENANT.replace('-', ""),
        format!("{{{TENANT}}}"),
        format!("urn:uuid:{TENANT}"),
        "00000000-0000-0000-0000-000000000000".to_owned(),
    ] {
        refuses(
            &good.clone().claim("tid", other).signed(),
            TokenRefusal::TenantInvalid,
        );
    }
    let mismatch = TokenRefusal::TenantMismatch {
        issuer: tenant(TENANT),
        found: tenant(OTHER_TENANT),
    };
    refuses(&good.claim("tid", OTHER_TENANT).signed(), mismatch);
}

#[test]
fn a_token_for_another_application_is_refused() {
    let good = Token::id_token();
    refuses(
        &good.clone().without("aud").signed(),
        TokenRefusal::AudienceMissing,
    );
    for other in [
        json!(null),
        json!(1),
        json!(""),
        json!([]),
        json!([CLIENT, 1]),
    ] {
        refuses(
            &good.clone().claim("aud", other).signed(),
            JwtRefusal::Claim("aud"),
        );
    }
    let upper = "AAAAAAAA-2222-4333-8444-555555555555";
    for other in [
        OTHER_TENANT,
        upper,
        "11111111",
        "api://11111111-2222-4333-8444-555555555555",
    ] {
        let refusal = TokenRefusal::Audience {
            expected: CLIENT.to_owned(),
            found: other.to_owned(),
        };
        refuses(&good.clone().claim("aud", other).signed(), refusal);
    }
    let untrusted = TokenRefusal::AudienceUntrusted {
        found: "other".to_owned(),
    };
    refuses(
        &good.clone().claim("aud", [CLIENT, "other"]).signed(),
        untrusted,
    );
    refuses(
        &good.clone().claim("azp", "other").signed(),
        IdTokenRefusal::AuthorizedParty {
            expected: CLIENT.to_owned(),
            found: "other".to_owned(),
        },
    );
    refuses(&good.claim("azp", 1).signed(), TokenRefusal::Claim("azp"));
}

#[test]
fn the_client_id_is_compared_as_entra_writes_it() {
    let validator = IdTokenValidator::with_keys(
        &one_tenant(),
        " {ABCDEF12-2222-4333-8444-555555555555} ",
        keys(),
        IdTokenRules::new(),
    )
    .unwrap();
    let token = Token::id_token().claim("aud", "abcdef12-2222-4333-8444-555555555555");
    assert!(validate_with(&validator, &token.signed(), &expected()).is_ok());
    let token = Token::id_token().claim("aud", "ABCDEF12-2222-4333-8444-555555555555");
    assert!(validate_with(&validator, &token.signed(), &expected()).is_err());
}

#[test]
fn a_token_whose_key_is_not_the_providers_is_refused() {
    let good = Token::id_token();
    for id in ["third", "../first", "first' OR 1=1", "FIRST"] {
        refuses(
            &good.clone().header("kid", id).signed(),
            TokenRefusal::KeyUnknown,
        );
    }
    let nameless = good.clone().header_without("kid").signed();
    refuses(&nameless, TokenRefusal::KeyIdMissing);
    // Of Entra, not even where there is one key alone.
    let one = key_set(&[jwk(&FIRST, "first")]);
    let validator = with_keys(&one_tenant(), one, IdTokenRules::new());
    let found = validate_with(&validator, &nameless, &expected()).unwrap_err();
    assert_eq!(found, TokenRefusal::KeyIdMissing.into());
    assert!(found.admin_hint().contains("with_own_signing_keys"));
    let unknown = IdTokenRefusal::from(TokenRefusal::KeyUnknown);
    assert!(unknown.admin_hint().contains("with_own_signing_keys"));
}

#[test]
fn a_key_signs_for_its_issuer_and_its_cloud_alone() {
    let template = "https://login.microsoftonline.com/{tenantid}/v2.0";
    let of = |tenant: &str| template.replace("{tenantid}", tenant);
    let government = template.replace(".com", ".us");
    for found in [
        of(PERSONAL_TENANT),
        of(OTHER_TENANT),
        government,
        String::new(),
    ] {
        let refusal = TokenRefusal::KeyIssuer {
            expected: ISSUER.to_owned(),
            found: found.clone(),
        };
        let key = with(jwk(&FIRST, "first"), "issuer", found);
        assert_eq!(outcome_with_key(key), Err(refusal.into()));
    }
    let key = with(
        jwk(&FIRST, "first"),
        "cloud_instance_name",
        "microsoftonline.us",
    );
    let refusal = TokenRefusal::KeyCloud {
        expected: "microsoftonline.com".to_owned(),
        found: "microsoftonline.us".to_owned(),
    };
    assert_eq!(outcome_with_key(key), Err(refusal.into()));
    // The tenant's own key, and keys that say nothing.
    let key = with(jwk(&FIRST, "first"), "issuer", ISSUER);
    assert_eq!(outcome_with_key(key), Ok(()));
    let key = with(jwk(&FIRST, "first"), "issuer", Value::Null);
    let key = with(key, "cloud_instance_name", Value::Null);
    assert_eq!(outcome_with_key(key), Ok(()));
}

#[test]
fn keys_that_are_not_for_signatures_or_not_safe_are_no_keys() {
    let good = jwk(&FIRST, "first");
    for (name, value) in [
        ("use", json!("enc")),
        ("key_ops", json!(["sign"])),
        ("kty", json!("oct")),
        ("kty", json!("EC")),
        ("alg", json!("PS512")),
        ("n", json!("AQAB")),
        ("e", json!("AQ")),
        ("d", json!("AQAB")),
    ] {
        let key = with(good.clone(), name, value.clone());
        let found = outcome_with_key(key);
        assert_eq!(
            found,
            Err(TokenRefusal::KeyUnknown.into()),
            "{name} {value}"
        );
    }
    let twice = key_set(&[
        jwk(&FIRST, "first"),
        jwk(&SECOND, "first"),
        jwk(&SECOND, "second"),
    ]);
    let found = outcome(&one_tenant(), twice, &Token::id_token().signed());
    assert_eq!(found, Err(TokenRefusal::KeyUnknown.into()));
    // A certificate beside the numbers is not looked at.
    let certificate = with(good, "x5c", json!(["of another key, and expired"]));
    assert_eq!(outcome_with_key(certificate), Ok(()));
}

#[test]
fn a_signature_that_is_not_the_keys_is_refused() {
    let good = Token::id_token();
    let text = good.signed();
    let (signed, signature) = text.rsplit_once('.').unwrap();
    let (header, _) = signed.split_once('.').unwrap();
    let claims = json!(good.claims).to_string();
    let changed = good
        .clone()
        .claim("oid", "00000000-0000-4000-8000-00000000000b")
        .signed();
    let (changed, _) = changed.rsplit_once('.').unwrap();
    let other_header = good.clone().header("x", 1).signed();
    let (other_header, _) = other_header.rsplit_once('.').unwrap();
    let short = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let short = URL_SAFE_NO_PAD.encode(short.split_last().unwrap().1);
    for token in [
        format!("{changed}.{signature}"),
        format!("{other_header}.{signature}"),
        format!("{signed}.{short}"),
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode([0; 256])),
        sign(
            &SECOND,
            &URL_SAFE_NO_PAD.decode(header).unwrap(),
            claims.as_bytes(),
        ),
    ] {
        refuses(&token, JwtRefusal::Signature);
    }
}

#[test]
fn a_token_out_of_its_time_is_refused() {
    let good = Token::id_token();
    refuses(&good.clone().without("exp").signed(), JwtRefusal::NoExpiry);
    for name in ["exp", "nbf", "iat"] {
        for value in [
            json!("1767229200"),
            json!(null),
            json!(true),
            json!(1e300),
            json!([NOW]),
        ] {
            refuses(
                &good.clone().claim(name, value).signed(),
                JwtRefusal::Claim(name),
            );
        }
    }
    refuses(
        &good.clone().claim("exp", NOW - 60).signed(),
        JwtRefusal::Expired {
            expired_on: datetime!(2025-12-31 23:59 UTC),
        },
    );
    refuses(
        &good.clone().claim("exp", -1).signed(),
        JwtRefusal::Expired {
            expired_on: datetime!(1969-12-31 23:59:59 UTC),
        },
    );
    refuses(
        &good.clone().claim("nbf", NOW + 61).signed(),
        JwtRefusal::NotYetValid {
            not_before: datetime!(2026-01-01 00:01:01 UTC),
        },
    );
    refuses(
        &good.clone().claim("iat", NOW + 61).signed(),
        JwtRefusal::IssuedInFuture {
            issued_on: datetime!(2026-01-01 00:01:01 UTC),
        },
    );
    refuses(
        &good.clone().without("iat").signed(),
        TokenRefusal::IssuedAtMissing,
    );
    refuses(
        &good
            .clone()
            .claim("iat", NOW + 10)
            .claim("exp", NOW)
            .signed(),
        TokenRefusal::IssuedAfterExpiry {
            issued_on: datetime!(2026-01-01 00:00:10 UTC),
            expires_on: datetime!(2026-01-01 00:00 UTC),
        },
    );
    let week_ago = NOW - 7 * 86_400;
    refuses(
        &good
            .clone()
            .claim("iat", week_ago)
            .claim("nbf", week_ago)
            .signed(),
        TokenRefusal::LifetimeTooLong {
            issued_on: datetime!(2025-12-25 00:00 UTC),
            expires_on: datetime!(2026-01-01 01:00 UTC),
        },
    );
    refuses(
        &good.claim("exp", 253_402_300_799_i64).signed(),
        TokenRefusal::LifetimeTooLong {
            issued_on: datetime!(2025-12-31 23:55 UTC),
            expires_on: datetime!(9999-12-31 23:59:59 UTC),
        },
    );
}

#[test]
fn a_host_may_allow_other_clocks_and_longer_lives() {
    let five_minutes = ClockSkew::new(Duration::from_secs(300)).unwrap();
    let rules = IdTokenRules::new()
        .with_clock_skew(five_minutes)
        .with_longest_lifetime(Duration::from_secs(3600));
    let validator = with_keys(&one_tenant(), keys(), rules);
    let good = Token::id_token();
    for (token, is_accepted) in [
        (good.clone().claim("exp", NOW - 299), true),
        (good.clone().claim("exp", NOW - 300), false),
        (good.clone().claim("exp", NOW + 3300), true),
        (good.claim("exp", NOW + 3301), false),
    ] {
        let found = validate_with(&validator, &token.signed(), &expected());
        assert_eq!(found.is_ok(), is_accepted, "{found:?}");
    }
}

/// A good token's, where the first key is this one.
fn outcome_with_key(key: Value) -> Result<(), IdTokenRefusal> {
    let keys = key_set(&[key, jwk(&SECOND, "second")]);
    outcome(&one_tenant(), keys, &Token::id_token().signed())
}
