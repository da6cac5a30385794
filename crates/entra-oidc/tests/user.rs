//! What a good token says of its user.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails"
)]

mod minting;

use entra_core::Groups;
use entra_oidc::{AuthContext, Authority, IdTokenRules, IdTokenValidator, TokenRefusal, User};
use minting::{
    FIRST, ISSUER, NONCE, NOW, OBJECT, OTHER_TENANT, TENANT, Token, expected, key_set, plain,
    refuses, validate, validate_with,
};
use serde_json::{Value, json};
use time::macros::datetime;

#[test]
fn a_user_is_what_the_token_says() {
    let user = user(
        Token::id_token()
            .claim("given_name", "Zoë")
            .claim("family_name", "Zed")
            .claim("email", "zoe@contoso.example")
            .claim("roles", ["Admin", "Reader"])
            .claim("groups", ["g1", "g2"])
            .claim("sid", "00212a34")
            .claim("login_hint", "O.CiQ")
            .claim("auth_time", NOW - 10)
            .claim("acrs", ["p1", "c1", "c25"])
            .claim("acct", 0),
    );
    assert_eq!(user.key().to_string(), format!("{TENANT}/{OBJECT}"));
    assert_eq!(user.issuer(), ISSUER);
    assert_eq!(
        user.subject(),
        "AAAAAAAAAAAAAAAAAAAAAIkzqFVrSaSaFHy782bbtaQ"
    );
    assert_eq!(user.display_name(), Some("Zoë Zed"));
    assert_eq!(user.roles(), ["Admin", "Reader"]);
    assert_eq!(user.groups().contains("g2"), Some(true));
    assert_eq!(user.session_id(), Some("00212a34"));
    assert_eq!(user.login_hint(), Some("O.CiQ"));
    assert_eq!(
        user.authenticated_on(),
        Some(datetime!(2025-12-31 23:59:50 UTC))
    );
    let contexts = ["c1", "c25"].map(|text| AuthContext::parse(text).unwrap());
    assert_eq!(user.auth_contexts(), contexts);
    assert!(user.has_auth_context(&contexts[0]));
    assert!(!user.has_auth_context(&AuthContext::parse("c2").unwrap()));
    let profile = user.profile();
    assert_eq!(profile.connection, "contoso");
    assert_eq!(profile.given_name.as_deref(), Some("Zoë"));
    assert_eq!(profile.family_name.as_deref(), Some("Zed"));
    assert_eq!(profile.user_name.as_deref(), Some("zoe@contoso.example"));
    assert_eq!(
        profile.unverified_email.as_deref(),
        Some("zoe@contoso.example")
    );
    assert_eq!(profile.verified_email, None);
    assert_eq!(profile.is_guest, Some(false));
}

#[test]
fn what_a_token_leaves_out_is_not_known() {
    let user = user(
        Token::id_token()
            .without("name")
            .without("preferred_username"),
    );
    assert_eq!(user.display_name(), None);
    assert_eq!(user.roles(), [""; 0]);
    assert_eq!(user.groups(), &Groups::NotEmitted);
    assert_eq!(user.session_id(), None);
    assert_eq!(user.authenticated_on(), None);
    assert_eq!(user.profile().is_guest, None);
    assert_eq!(user.profile().user_name, None);
}

#[test]
fn a_user_survives_the_session_of_the_host() {
    let user = user(
        Token::id_token()
            .claim("auth_time", NOW)
            .claim("acrs", ["c1"])
            .claim("groups", json!([])),
    );
    let json = serde_json::to_string(&user).unwrap();
    assert!(!json.contains(NONCE), "{json}");
    assert_eq!(serde_json::from_str::<User>(&json).unwrap(), user);
    assert_eq!(user.groups(), &Groups::Complete(vec![]));
    let resolved = user.with_groups(Groups::Complete(vec!["g".to_owned()]));
    assert_eq!(resolved.groups().contains("g"), Some(true));
}

#[test]
fn only_what_entra_says_of_the_domain_verifies_an_address() {
    let with = |name: &str, value: Value| {
        user(
            Token::id_token()
                .claim("email", "zoe@contoso.example")
                .claim(name, value),
        )
    };
    for value in [json!(true), json!(1), json!("1"), json!("true")] {
        let user = with("xms_edov", value.clone());
        let profile = user.profile();
        assert_eq!(
            profile.verified_email.as_deref(),
            Some("zoe@contoso.example"),
            "{value}"
        );
        assert_eq!(profile.unverified_email, None);
    }
    for (name, value) in [
        ("xms_edov", json!(false)),
        ("xms_edov", json!(0)),
        ("xms_edov", json!("0")),
        ("xms_edov", json!("false")),
        ("xms_edov", json!("True")),
        ("xms_edov", json!(2)),
        ("xms_edov", json!(1.5)),
        ("xms_edov", json!(null)),
        ("xms_edov", json!([true])),
        ("xms_edov", json!({"true": true})),
        ("email_verified", json!(true)),
    ] {
        let user = with(name, value.clone());
        assert_eq!(user.profile().verified_email, None, "{name} {value}");
        assert!(user.profile().unverified_email.is_some());
    }
}

#[test]
fn an_address_that_is_none_is_left_out() {
    for address in [
        json!("zoe"),
        json!("zoe@contoso.example@evil.example"),
        json!("@contoso.example"),
        json!("zoe@"),
        json!("zoe@contoso.example\n"),
        json!("zoe\u{0}@contoso.example"),
        json!("zoe @contoso.example"),
        json!("zoe@contoso.example,eve@evil.example"),
        json!("<zoe@contoso.example>"),
        json!("\"zoe\"@contoso.example"),
        json!(format!("{}@contoso.example", "z".repeat(240))),
        json!(["zoe@contoso.example"]),
        json!(null),
        json!(""),
    ] {
        let token = Token::id_token().claim("xms_edov", true);
        let user = user(token.claim("email", address.clone()));
        assert_eq!(user.profile().verified_email, None, "{address}");
        assert_eq!(user.profile().unverified_email, None, "{address}");
    }
}

#[test]
fn groups_that_were_left_out_are_not_no_groups() {
    let good = Token::id_token();
    let some = json!(["g1"]);
    let named = json!({"groups": "src1"});
    let inside = json!({"src1": {"endpoint": "http://169.254.169.254/latest/meta-data"}});
    for (token, expected) in [
        (
            good.clone().claim("groups", some.clone()),
            Groups::Complete(vec!["g1".to_owned()]),
        ),
        (
            good.clone().claim("groups", json!([])),
            Groups::Complete(vec![]),
        ),
        (
            good.clone().claim("_claim_names", named.clone()),
            Groups::Overage,
        ),
        (
            good.clone()
                .claim("_claim_names", named.clone())
                .claim("_claim_sources", inside),
            Groups::Overage,
        ),
        (
            good.clone()
                .claim("_claim_names", named)
                .claim("groups", some.clone()),
            Groups::Overage,
        ),
        (good.clone().claim("hasgroups", true), Groups::Overage),
        (good.clone().claim("hasgroups", "true"), Groups::Overage),
        (
            good.clone().claim("hasgroups", true).claim("groups", some),
            Groups::Overage,
        ),
        (good.clone().claim("hasgroups", false), Groups::NotEmitted),
        (
            good.clone().claim("_claim_names", json!({"other": "src1"})),
            Groups::NotEmitted,
        ),
        (good.clone(), Groups::NotEmitted),
    ] {
        let shown = format!("{:?}", token.claims);
        assert_eq!(user(token).groups(), &expected, "{shown}");
    }
}

#[test]
fn lists_that_are_none_are_refused() {
    let good = Token::id_token();
    let many = |count: usize| json!(vec!["g"; count]);
    for name in ["roles", "groups"] {
        for value in [
            json!("Admin"),
            json!(null),
            json!(1),
            json!({"Admin": true}),
            json!([["Admin"]]),
            json!(["Admin", 1]),
            json!(["Admin", null]),
            many(2001),
            many(10_000),
        ] {
            refuses(
                &good.clone().claim(name, value).signed(),
                TokenRefusal::Claim(name),
            );
        }
        assert!(validate(&good.clone().claim(name, many(2000)).signed()).is_ok());
    }
    for value in [json!("groups"), json!(["groups"]), json!(null)] {
        let token = good.clone().claim("_claim_names", value);
        refuses(&token.signed(), TokenRefusal::Claim("_claim_names"));
    }
}

#[test]
fn a_guest_is_known_by_the_account_or_by_who_signed_the_user_in() {
    let good = Token::id_token();
    for (token, expected) in [
        (good.clone(), None),
        (good.clone().claim("acct", 1), Some(true)),
        (
            good.clone().claim("acct", 0).claim("idp", "live.com"),
            Some(false),
        ),
        (good.clone().claim("idp", "live.com"), Some(true)),
        (
            good.clone()
                .claim("idp", format!("https://sts.windows.net/{OTHER_TENANT}/")),
            Some(true),
        ),
        (
            good.clone()
                .claim("idp", format!("https://sts.windows.net/{TENANT}/")),
            Some(false),
        ),
        (good.clone().claim("idp", ISSUER), Some(false)),
    ] {
        assert_eq!(user(token).profile().is_guest, expected);
    }
}

#[test]
fn another_provider_verifies_addresses_and_writes_lists_in_its_own_way() {
    let authority = Authority::generic("https://login.example").unwrap();
    let keys = key_set(&[plain(&FIRST, "first")]);
    let validator =
        IdTokenValidator::with_keys(&authority, "web", keys, IdTokenRules::new()).unwrap();
    let token = Token::new(json!({
        "iss": "https://login.example", "aud": "web", "sub": "1", "nonce": NONCE, "iat": NOW,
        "exp": NOW + 600, "email": "zoe@example.com", "roles": "Admin",
    }));
    let user = |token: Token| {
        let verified = validate_with(&validator, &token.signed(), &expected());
        verified.unwrap().user("c")
    };
    let verified = user(token.clone().claim("email_verified", true));
    assert_eq!(verified.roles(), ["Admin"]);
    assert_eq!(
        verified.profile().verified_email.as_deref(),
        Some("zoe@example.com")
    );
    for (name, value) in [("email_verified", json!(false)), ("xms_edov", json!(true))] {
        let unverified = user(token.clone().claim(name, value));
        assert_eq!(unverified.profile().verified_email, None, "{name}");
    }
    assert_eq!(user(token.claim("acct", 1)).profile().is_guest, None);
}

fn user(token: Token) -> User {
    validate(&token.signed()).unwrap().user("contoso")
}
