//! ID tokens: whether they are of this login, and whether their user may come in.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails"
)]

mod minting;

use std::time::Duration;

use entra_core::{Cloud, JwtAlgorithm, JwtRefusal};
use entra_oidc::{
    AuthContext, Authority, ExpectedLogin, ExpectedNonce, IdTokenRefusal, IdTokenRules,
    IdTokenValidator, Stage, TokenRefusal,
};
use minting::{
    CLIENT, FIRST, ISSUER, NONCE, NOW, OBJECT, OTHER_TENANT, PERSONAL_TENANT, SECOND, TENANT,
    Token, any_organization, expected, jwk, key_set, keys, one_tenant, outcome, plain, refuses,
    tenant, validate, validate_with, validator_of, with, with_keys,
};
use serde_json::{Value, json};
use time::macros::datetime;

#[test]
fn an_access_token_is_no_id_token() {
    let good = Token::id_token();
    for (name, value) in [("scp", "Files.Read"), ("azpacr", "1"), ("appidacr", "1")] {
        refuses(
            &good.clone().claim(name, value).signed(),
            IdTokenRefusal::AccessToken,
        );
    }
    for token in [Token::access_token(), Token::app_only()] {
        refuses(&token.signed(), IdTokenRefusal::AccessToken);
    }
}

#[test]
fn a_token_of_another_login_is_refused() {
    let good = Token::id_token();
    refuses(
        &good.clone().without("nonce").signed(),
        IdTokenRefusal::NonceMissing,
    );
    for other in ["", "other", "N-0S6_WzA2Mj", "n-0S6_WzA2M", "n-0S6_WzA2Mj "] {
        refuses(
            &good.clone().claim("nonce", other).signed(),
            IdTokenRefusal::Nonce,
        );
    }
    refuses(
        &good.clone().claim("nonce", [NONCE]).signed(),
        TokenRefusal::Claim("nonce"),
    );
    let text = good.signed();
    let refreshed = ExpectedLogin::new(ExpectedNonce::NotCheckedOnRefresh);
    let validator = validator_of(&one_tenant());
    let with_nonce = validate_with(&validator, &text, &refreshed).unwrap();
    assert_eq!(with_nonce.has_nonce(NONCE), Some(true));
    assert_eq!(with_nonce.has_nonce("other"), Some(false));
    let none = good.without("nonce").signed();
    let without = validate_with(&validator, &none, &refreshed).unwrap();
    assert_eq!(without.has_nonce(NONCE), None);
}

/// The hashes are those of OpenID Connect Core A.3 and A.6.
#[test]
fn a_token_that_came_with_another_code_access_token_or_state_is_refused() {
    let good = Token::id_token();
    let (code, c_hash) = (
        "Qcb0Orv1zh30vL1MPRsbm-diHiMwcLyZvn1arpZv-Jxf_11jnpEX3Tgfvk",
        "LDktKdoQak3Pk0cnXxCltA",
    );
    let (access_token, at_hash) = (
        "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y",
        "77QmUPtjPfzWtF2AnpK9RQ",
    );
    let state = "af0ifjsldkj";
    let came_with = |change: fn(&mut ExpectedLogin<'static>), token: Token| {
        let mut login = expected();
        login.code = Some(code);
        login.access_token = Some(access_token);
        login.state = Some(state);
        change(&mut login);
        validate_with(&validator_of(&one_tenant()), &token.signed(), &login).map(drop)
    };
    let all = good
        .clone()
        .claim("c_hash", c_hash)
        .claim("at_hash", at_hash);
    assert_eq!(came_with(|_| {}, all.clone()), Ok(()));
    // Only the code's has to be there.
    assert_eq!(came_with(|_| {}, all.clone().without("at_hash")), Ok(()));
    assert_eq!(
        came_with(|_| {}, all.clone().without("c_hash")),
        Err(IdTokenRefusal::CodeHashMissing)
    );
    assert_eq!(
        came_with(|login| login.code = Some("other"), all.clone()),
        Err(IdTokenRefusal::CodeHash)
    );
    assert_eq!(
        came_with(|login| login.access_token = Some("other"), all.clone()),
        Err(IdTokenRefusal::AccessTokenHash)
    );
    assert_eq!(
        came_with(|_| {}, all.clone().claim("s_hash", "other")),
        Err(IdTokenRefusal::StateHash)
    );
    // `printf %s af0ifjsldkj | sha256sum`, the first half.
    let s_hash = "bOhtX8F73IMjSPeVAqxyTQ";
    assert_eq!(
        came_with(|_| {}, all.clone().claim("s_hash", s_hash)),
        Ok(())
    );
    for name in ["c_hash", "at_hash", "s_hash"] {
        let found = came_with(|_| {}, all.clone().claim(name, 1));
        assert_eq!(found, Err(TokenRefusal::Claim(name).into()));
        let full = came_with(|_| {}, all.clone().claim(name, ""));
        assert!(full.is_err(), "{name}");
    }
}

#[test]
fn a_sign_in_that_is_older_than_was_asked_for_is_refused() {
    let good = Token::id_token();
    let asked = |token: Token| {
        let mut login = expected();
        login.max_age = Some(Duration::from_secs(600));
        validate_with(&validator_of(&one_tenant()), &token.signed(), &login).map(drop)
    };
    assert_eq!(asked(good.clone()), Err(IdTokenRefusal::AuthTimeMissing));
    assert_eq!(asked(good.clone().claim("auth_time", NOW - 660)), Ok(()));
    assert_eq!(asked(good.clone().claim("auth_time", NOW + 60)), Ok(()));
    assert_eq!(
        asked(good.clone().claim("auth_time", NOW - 661)),
        Err(IdTokenRefusal::ReauthenticationRequired {
            authenticated_on: datetime!(2025-12-31 23:48:59 UTC)
        })
    );
    assert_eq!(
        asked(good.clone().claim("auth_time", NOW + 61)),
        Err(IdTokenRefusal::AuthTimeInFuture {
            authenticated_on: datetime!(2026-01-01 00:01:01 UTC)
        })
    );
    for value in [json!("now"), json!(null), json!(1e300), json!([NOW])] {
        let token = good.clone().claim("auth_time", value);
        assert_eq!(
            asked(token.clone()),
            Err(TokenRefusal::Claim("auth_time").into())
        );
        // In whatever case: it is what the user's session keeps.
        refuses(&token.signed(), TokenRefusal::Claim("auth_time"));
    }
}

#[test]
fn an_authentication_context_that_was_asked_for_has_to_be_passed() {
    let good = Token::id_token();
    let [c1, c10] = ["c1", "c10"].map(|text| AuthContext::parse(text).unwrap());
    let asked = |wanted: &[AuthContext], token: Token| {
        let mut login = expected();
        login.auth_contexts = wanted;
        validate_with(&validator_of(&one_tenant()), &token.signed(), &login).map(drop)
    };
    let missing = |wanted| Err(IdTokenRefusal::AuthContextMissing { wanted });
    assert_eq!(asked(&[c1], good.clone()), missing(c1));
    assert_eq!(
        asked(&[c1], good.clone().claim("acrs", ["c10", "p1"])),
        missing(c1)
    );
    assert_eq!(
        asked(&[c10], good.clone().claim("acrs", ["c1"])),
        missing(c10)
    );
    assert_eq!(
        asked(&[c1], good.clone().claim("acrs", "c1 c2")),
        missing(c1)
    );
    assert_eq!(
        asked(&[c1], good.clone().claim("acrs", ["C1"])),
        missing(c1)
    );
    let both = good
        .clone()
        .claim("acrs", ["p1", "c1", "urn:user:registersecurityinfo"]);
    assert_eq!(asked(&[c1], both.clone()), Ok(()));
    assert_eq!(asked(&[c1, c10], both), missing(c10));
    assert_eq!(asked(&[c1], good.clone().claim("acrs", "c1")), Ok(()));
    for value in [
        json!(1),
        json!([1]),
        json!({"c1": true}),
        json!(null),
        json!([["c1"]]),
    ] {
        refuses(
            &good.clone().claim("acrs", value).signed(),
            TokenRefusal::Claim("acrs"),
        );
    }
}

#[test]
fn only_users_of_allowed_tenants_come_in() {
    let of = |tenant: &str| {
        let issuer = ISSUER.replace(TENANT, tenant);
        let token = Token::id_token().claim("tid", tenant).claim("iss", issuer);
        token.signed()
    };
    let not_allowed = |found: &str| TokenRefusal::TenantNotAllowed {
        found: tenant(found),
    };
    let public = Cloud::public;
    let list = Authority::tenants(public(), [tenant(TENANT), tenant(PERSONAL_TENANT)]).unwrap();
    for (authority, home, other, personal) in [
        (
            one_tenant(),
            None,
            Some(not_allowed(OTHER_TENANT)),
            Some(TokenRefusal::PersonalAccount),
        ),
        (list, None, Some(not_allowed(OTHER_TENANT)), None),
        (
            any_organization(),
            None,
            None,
            Some(TokenRefusal::PersonalAccount),
        ),
        (Authority::any_account(public()), None, None, None),
        (
            Authority::personal_accounts(public()),
            Some(not_allowed(TENANT)),
            Some(not_allowed(OTHER_TENANT)),
            None,
        ),
    ] {
        for (tenant, expected) in [
            (TENANT, home),
            (OTHER_TENANT, other),
            (PERSONAL_TENANT, personal),
        ] {
            let found = outcome(&authority, keys(), &of(tenant));
            let expected = expected.map_or(Ok(()), |refusal| Err(refusal.into()));
            assert_eq!(found, expected, "{tenant} at {authority:?}");
        }
    }
}

#[test]
fn guests_come_in_unless_the_host_takes_members_alone() {
    let rules = IdTokenRules::new().without_guests();
    let members = with_keys(&one_tenant(), keys(), rules);
    let good = Token::id_token();
    let own_v1 = format!("https://sts.windows.net/{TENANT}/");
    let other_v1 = format!("https://sts.windows.net/{OTHER_TENANT}/");
    for (token, is_guest) in [
        (good.clone(), false),
        (good.clone().claim("acct", 0), false),
        (good.clone().claim("acct", "0"), false),
        (good.clone().claim("idp", ISSUER), false),
        (good.clone().claim("idp", own_v1), false),
        (good.clone().claim("acct", 1), true),
        (good.clone().claim("acct", "1"), true),
        (good.clone().claim("idp", other_v1.as_str()), true),
        (good.clone().claim("idp", "live.com"), true),
        (good.clone().claim("idp", TENANT), true),
        (good.clone().claim("idp", ""), true),
        // A member whose home is elsewhere is a member.
        (good.clone().claim("idp", other_v1).claim("acct", 0), false),
    ] {
        let text = token.signed();
        assert!(validate(&text).is_ok());
        let expected_outcome = if is_guest {
            Err(IdTokenRefusal::Guest)
        } else {
            Ok(())
        };
        let found = validate_with(&members, &text, &expected()).map(drop);
        assert_eq!(found, expected_outcome, "{:?}", token.claims);
    }
    for (name, value) in [
        ("acct", json!([1])),
        ("acct", json!(null)),
        ("idp", json!(["x"])),
    ] {
        refuses(
            &good.clone().claim(name, value).signed(),
            TokenRefusal::Claim(name),
        );
    }
}

#[test]
fn a_token_of_another_version_is_refused() {
    let good = Token::id_token();
    let refusal = |found: &str| TokenRefusal::Version {
        expected: "2.0",
        found: found.to_owned(),
    };
    refuses(&good.clone().without("ver").signed(), refusal(""));
    for other in ["1.0", "3.0", "2", "2.0 "] {
        refuses(&good.clone().claim("ver", other).signed(), refusal(other));
    }
    refuses(&good.claim("ver", 2.0).signed(), TokenRefusal::Claim("ver"));
}

#[test]
fn a_token_that_does_not_name_one_user_is_refused() {
    let good = Token::id_token();
    refuses(
        &good.clone().without("oid").signed(),
        TokenRefusal::ObjectIdMissing,
    );
    for other in [
        "".to_owned(),
        "zoe".to_owned(),
        OBJECT.to_uppercase(),
        format!("{{{OBJECT}}}"),
        format!(" {OBJECT}"),
        "00000000-0000-0000-0000-000000000000".to_owned(),
    ] {
        refuses(
            &good.clone().claim("oid", other).signed(),
            TokenRefusal::ObjectIdInvalid,
        );
    }
    for other in [json!(["x"]), json!(1), json!(null)] {
        refuses(
            &good.clone().claim("oid", other).signed(),
            TokenRefusal::Claim("oid"),
        );
    }
    refuses(
        &good.clone().without("sub").signed(),
        TokenRefusal::SubjectMissing,
    );
    refuses(
        &good.clone().claim("sub", 1).signed(),
        JwtRefusal::Claim("sub"),
    );
    for other in [
        "".to_owned(),
        "x".repeat(256),
        "a\nb".to_owned(),
        "zoë".to_owned(),
    ] {
        refuses(
            &good.clone().claim("sub", other).signed(),
            TokenRefusal::SubjectInvalid,
        );
    }
    let constant = "Not supported currently. Use oid claim.";
    refuses(
        &good.clone().claim("sub", constant).signed(),
        TokenRefusal::SubjectConstant,
    );
    assert!(validate(&good.claim("sub", "x".repeat(255)).signed()).is_ok());
}

#[test]
fn another_provider_is_believed_about_its_own_subjects_alone() {
    let authority = Authority::generic("https://login.example/tenant").unwrap();
    let token = |issuer: &str| {
        Token::new(json!({
            "iss": issuer, "aud": "web", "sub": "248289761001", "nonce": NONCE,
            "iat": NOW, "exp": NOW + 600, "ver": 7, "tid": "anything",
        }))
        .claim("ver", "7")
    };
    let key = with(
        with(jwk(&FIRST, "first"), "issuer", Value::Null),
        "cloud_instance_name",
        "x",
    );
    let check = |token: &str| {
        let keys = key_set(std::slice::from_ref(&key));
        let validator =
            IdTokenValidator::with_keys(&authority, "web", keys, IdTokenRules::new()).unwrap();
        validate_with(&validator, token, &expected())
    };
    let good = token("https://login.example/tenant");
    let verified = check(&good.signed()).unwrap();
    assert_eq!(
        verified.key().to_string(),
        "https://login.example/tenant 248289761001"
    );
    // There is one key, so that the token need not name it.
    assert!(check(&good.clone().header_without("kid").signed()).is_ok());
    let other = token("https://login.example/other").signed();
    assert!(matches!(
        check(&other),
        Err(IdTokenRefusal::Token(TokenRefusal::Issuer { .. }))
    ));
    let constant = good
        .claim("sub", "Not supported currently. Use oid claim.")
        .signed();
    assert_eq!(
        check(&constant).unwrap_err(),
        TokenRefusal::SubjectConstant.into()
    );
}

#[test]
fn another_provider_with_several_keys_has_to_name_the_one() {
    let authority = Authority::generic("https://login.example").unwrap();
    let token = Token::new(json!({
        "iss": "https://login.example", "aud": CLIENT, "sub": "1", "nonce": NONCE,
        "iat": NOW, "exp": NOW + 600,
    }));
    let keys = || {
        key_set(&[
            plain(&FIRST, "first"),
            with(jwk(&SECOND, "second"), "issuer", Value::Null),
        ])
    };
    let nameless = token.clone().header_without("kid").signed();
    let found = outcome(&authority, keys(), &nameless);
    assert_eq!(found, Err(TokenRefusal::KeyAmbiguous.into()));
    assert_eq!(outcome(&authority, keys(), &token.signed()), Ok(()));
    // A key that says whose it is signs for nobody else.
    let found = outcome(&authority, minting::keys(), &token.signed());
    assert!(matches!(
        found,
        Err(IdTokenRefusal::Token(TokenRefusal::KeyIssuer { .. }))
    ));
}

#[test]
fn another_provider_may_be_allowed_another_algorithm() {
    let authority = Authority::generic("https://login.example").unwrap();
    let ps256 = authority.clone().with_algorithms([JwtAlgorithm::Ps256]);
    let token = Token::new(json!({
        "iss": "https://login.example", "aud": CLIENT, "sub": "1", "nonce": NONCE,
        "iat": NOW, "exp": NOW + 600,
    }));
    let keys = || key_set(&[plain(&FIRST, "first")]);
    assert_eq!(outcome(&authority, keys(), &token.signed()), Ok(()));
    let found = outcome(&ps256, keys(), &token.signed());
    assert_eq!(found, Err(JwtRefusal::Algorithm.into()));
    // What Entra signs with is no matter of settings.
    let entra = one_tenant().with_algorithms([JwtAlgorithm::Ps256]);
    assert_eq!(
        outcome(&entra, minting::keys(), &Token::id_token().signed()),
        Ok(())
    );
}

#[test]
fn the_clouds_do_not_sign_for_each_other() {
    let government = Authority::single_tenant(Cloud::us_government(), tenant(TENANT)).unwrap();
    let issuer = ISSUER.replace(".com", ".us");
    let token = Token::id_token().claim("iss", issuer.as_str()).signed();
    let key = |cloud: &str| {
        let key = with(
            jwk(&FIRST, "first"),
            "issuer",
            issuer.replace(TENANT, "{tenantid}"),
        );
        key_set(&[with(key, "cloud_instance_name", cloud)])
    };
    assert_eq!(
        outcome(&government, key("microsoftonline.us"), &token),
        Ok(())
    );
    let found = outcome(&government, key("microsoftonline.com"), &token);
    let refusal = TokenRefusal::KeyCloud {
        expected: "microsoftonline.us".to_owned(),
        found: "microsoftonline.com".to_owned(),
    };
    assert_eq!(found, Err(refusal.into()));
}

#[test]
fn the_first_check_that_fails_is_the_one_that_refuses() {
    let mut stages = Vec::new();
    let mut token = Token::id_token();
    for (name, value) in [
        ("oid", json!("x")),
        ("ver", json!("3.0")),
        ("nonce", json!("other")),
        ("scp", json!("x")),
        ("exp", json!(NOW - 3600)),
        ("aud", json!("other")),
        ("iss", json!("https://evil.example")),
        ("sub", json!(1)),
    ] {
        token = token.claim(name, value);
        stages.push(validate(&token.signed()).unwrap_err().stage());
    }
    use Stage::{Audience, Claims, Form, Issuer, Nonce, Times, User, Version};
    let expected = [User, Version, Nonce, Claims, Times, Audience, Issuer, Form];
    assert_eq!(stages, expected);
    assert!(stages.iter().rev().is_sorted());
}

#[test]
fn nothing_of_a_token_is_in_any_debug_text() {
    let text = Token::id_token().signed();
    let verified = validate(&text).unwrap();
    let mut login = expected();
    login.code = Some("the code");
    login.state = Some("the state");
    login.access_token = Some("the token");
    for shown in [
        format!("{verified:?} {:?}", verified.user("c")),
        format!("{login:?}"),
        format!("{:?}", validator_of(&one_tenant())),
    ] {
        for secret in [
            NONCE,
            "the code",
            "the state",
            "the token",
            "Zoë",
            "zoe@",
            "ATQA",
        ] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
    let key = format!("{verified:?}");
    assert!(key.contains(OBJECT), "{key}");
}
