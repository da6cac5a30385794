//! Calls of an API: good ones, and what becomes of them when one thing is changed.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails"
)]

mod minting;

use std::sync::Arc;

use entra_core::{Cloud, JwtRefusal, MovableClock, UserKey};
use entra_oidc::{
    ApiCaller, ApiRefusal, ApiValidator, AuthContext, Authority, OptionsError, TokenRefusal,
};
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use minting::{
    CALLER, CLIENT, FIRST, NOW, OBJECT, OTHER_TENANT, SECOND, TENANT, Token, any_organization,
    at_once, jwk, key_set, keys, now, one_tenant, tenant, with,
};
use serde_json::json;
use time::macros::datetime;

#[test]
fn a_good_token_says_who_calls_for_whom_and_what_is_allowed() {
    let token = Token::access_token()
        .claim("roles", ["Reader"])
        .claim("acrs", ["c1"])
        .claim("xms_cc", ["CP1"]);
    let text = token.signed();
    let caller = at_once(api().validate_token(&text)).unwrap();
    let key = UserKey::entra(tenant(TENANT), OBJECT.parse().unwrap());
    assert_eq!(caller.key(), &key);
    assert_eq!(caller.client().to_string(), CALLER);
    assert_eq!(caller.scopes(), ["Files.Read", "Files.Write"]);
    assert_eq!(caller.roles(), ["Reader"]);
    assert_eq!(caller.capabilities(), ["CP1"]);
    assert_eq!(caller.auth_contexts(), [context("c1")]);
    assert!(caller.understands_challenges() && !caller.is_app_only());
    assert_eq!(caller.token().expose(), text);
    assert_eq!(caller.get("name"), Ok(Some("Zoë Zed".to_owned())));
    assert_eq!(caller.get::<String>("upn"), Ok(None));
    let shown = format!("{caller:?} {:?}", api());
    assert!(!shown.contains("eyJ") && !shown.contains("Zoë"), "{shown}");
}

#[test]
fn one_authorization_header_of_the_scheme_bearer_is_a_call() {
    let text = Token::access_token().signed();
    let call = |values: &[&str]| {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        }
        at_once(api().validate(&headers)).map(drop)
    };
    for scheme in ["Bearer", "bearer", "BEARER", "Bearer "] {
        assert_eq!(call(&[&format!("{scheme} {text}")]), Ok(()), "{scheme}");
    }
    let good = format!("Bearer {text}");
    for (values, expected) in [
        (vec![], ApiRefusal::NoToken),
        (vec!["Basic dTpw"], ApiRefusal::NoToken),
        (vec![text.as_str()], ApiRefusal::NoToken),
        (vec![""], ApiRefusal::NoToken),
        (vec!["Bearer"], ApiRefusal::Malformed),
        (vec!["Bearer   "], ApiRefusal::Malformed),
        (vec!["Bearer a b"], ApiRefusal::Malformed),
        (vec!["Bearer a,b"], ApiRefusal::Malformed),
        (vec!["Bearer \"a\""], ApiRefusal::Malformed),
        (vec![&good, &good], ApiRefusal::SeveralHeaders),
        (vec!["Basic dTpw", &good], ApiRefusal::SeveralHeaders),
        (
            vec!["Bearer a"],
            JwtRefusal::NotThreeParts { found: 1 }.into(),
        ),
    ] {
        assert_eq!(call(&values), Err(expected), "{values:?}");
    }
}

#[test]
fn what_id_tokens_are_refused_for_access_tokens_are_refused_for_as_well() {
    let good = Token::access_token();
    let audience = TokenRefusal::Audience {
        expected: CLIENT.to_owned(),
        found: "api://other".to_owned(),
    };
    let untrusted = TokenRefusal::AudienceUntrusted {
        found: "other".to_owned(),
    };
    let other_tenant = TokenRefusal::TenantMismatch {
        issuer: tenant(TENANT),
        found: tenant(OTHER_TENANT),
    };
    let version = TokenRefusal::Version {
        expected: "2.0",
        found: "1.0".to_owned(),
    };
    for (token, expected) in [
        (
            good.clone().header("alg", "none"),
            JwtRefusal::Algorithm.into(),
        ),
        (
            good.clone().header("typ", "at+jwt"),
            JwtRefusal::Type.into(),
        ),
        (good.clone().without("iss"), TokenRefusal::IssuerMissing),
        (good.clone().without("tid"), TokenRefusal::TenantMissing),
        (good.clone().claim("tid", OTHER_TENANT), other_tenant),
        (good.clone().without("aud"), TokenRefusal::AudienceMissing),
        (good.clone().claim("aud", "api://other"), audience),
        (good.clone().claim("aud", [CLIENT, "other"]), untrusted),
        (
            good.clone().header_without("kid"),
            TokenRefusal::KeyIdMissing,
        ),
        (
            good.clone().header("kid", "third"),
            TokenRefusal::KeyUnknown,
        ),
        (
            good.clone().header("kid", "second"),
            JwtRefusal::Signature.into(),
        ),
        (
            good.clone().claim("exp", NOW - 60),
            JwtRefusal::Expired {
                expired_on: datetime!(2025-12-31 23:59 UTC),
            }
            .into(),
        ),
        (good.clone().without("iat"), TokenRefusal::IssuedAtMissing),
        (good.clone().claim("ver", "1.0"), version),
        (good.clone().without("oid"), TokenRefusal::ObjectIdMissing),
        (good.clone().without("sub"), TokenRefusal::SubjectMissing),
        (
            good.clone().claim("scp", ["Files.Read"]),
            TokenRefusal::Claim("scp"),
        ),
        (
            good.clone().claim("roles", "Admin"),
            TokenRefusal::Claim("roles"),
        ),
        (good.clone().claim("acrs", 1), TokenRefusal::Claim("acrs")),
        (
            good.clone().claim("azp", "no guid"),
            TokenRefusal::Claim("azp"),
        ),
        (good.clone().claim("azp", 1), TokenRefusal::Claim("azp")),
        (
            good.clone().claim("idtyp", "device"),
            TokenRefusal::Claim("idtyp"),
        ),
        (
            good.clone().claim("idtyp", "app"),
            TokenRefusal::Claim("scp"),
        ),
    ] {
        assert_eq!(refusal(&api(), &token), expected.into());
    }
}

#[test]
fn a_token_may_be_valid_for_as_long_as_continuous_access_evaluation_allows() {
    let good = Token::access_token();
    let until = |seconds: i64| good.clone().claim("exp", NOW - 300 + seconds);
    assert!(call(&api(), &until(28 * 3600 + 300)).is_ok());
    assert!(matches!(
        refusal(&api(), &until(29 * 3600 + 1)),
        ApiRefusal::Token(TokenRefusal::LifetimeTooLong { .. })
    ));
}

#[test]
fn keys_of_other_issuers_and_clouds_sign_for_no_call() {
    for (name, value) in [
        (
            "issuer",
            "https://login.microsoftonline.com/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0",
        ),
        ("cloud_instance_name", "microsoftonline.us"),
    ] {
        let keys = key_set(&[
            with(jwk(&FIRST, "first"), name, value),
            jwk(&SECOND, "second"),
        ]);
        let api = ApiValidator::with_keys(&one_tenant(), [CLIENT], keys, clock()).unwrap();
        let found = refusal(&api, &Token::access_token());
        assert!(matches!(
            found,
            ApiRefusal::Token(TokenRefusal::KeyIssuer { .. } | TokenRefusal::KeyCloud { .. })
        ));
    }
}

#[test]
fn only_callers_of_allowed_tenants_come_in() {
    let of = |id: &str| {
        let issuer = minting::ISSUER.replace(TENANT, id);
        Token::access_token().claim("tid", id).claim("iss", issuer)
    };
    let not_allowed = TokenRefusal::TenantNotAllowed {
        found: tenant(OTHER_TENANT),
    };
    assert_eq!(refusal(&api(), &of(OTHER_TENANT)), not_allowed.into());
    let any = api_of(&any_organization());
    assert!(call(&any, &of(OTHER_TENANT)).is_ok());
    let personal = of(minting::PERSONAL_TENANT);
    assert_eq!(
        refusal(&any, &personal),
        TokenRefusal::PersonalAccount.into()
    );
}

#[test]
fn a_token_for_graph_is_refused_as_that() {
    for audience in [
        "00000003-0000-0000-c000-000000000000",
        "https://graph.microsoft.com",
        "https://graph.microsoft.com/",
        "https://graph.microsoft.us",
    ] {
        let token = Token::access_token().claim("aud", audience);
        assert_eq!(
            refusal(&api(), &token),
            ApiRefusal::GraphToken,
            "{audience}"
        );
        // Graph's own are of version 1.0.
        let issuer = format!("https://sts.windows.net/{}/", TENANT);
        let token = token.claim("iss", issuer).claim("ver", "1.0");
        assert_eq!(refusal(&api(), &token), ApiRefusal::GraphToken);
    }
}

#[test]
fn an_id_token_allows_nothing_even_with_roles() {
    let api = api().with_applications();
    let id_token = Token::id_token();
    for token in [
        id_token.clone(),
        id_token.clone().claim("roles", ["Admin"]),
        id_token.claim("roles", ["Admin"]).without("nonce"),
        Token::access_token().without("azp"),
        Token::access_token().claim("nonce", "n"),
        Token::access_token().claim("at_hash", "h"),
        Token::app_only().claim("c_hash", 1),
    ] {
        assert_eq!(refusal(&api, &token), ApiRefusal::IdToken);
    }
}

#[test]
fn nobody_comes_in_whom_nobody_allowed_anything() {
    let api = api().with_applications();
    let good = Token::access_token();
    for token in [
        good.clone().without("scp"),
        good.clone().claim("scp", ""),
        good.clone().claim("scp", "  "),
        good.clone().without("scp").claim("roles", json!([])),
        // A user's roles without a scope: the application was not allowed to act for the user.
        good.clone().without("scp").claim("roles", ["Admin"]),
        good.without("scp")
            .claim("roles", ["Admin"])
            .claim("idtyp", "user"),
        Token::app_only().without("roles"),
    ] {
        assert_eq!(refusal(&api, &token), ApiRefusal::PermissionsMissing);
    }
}

#[test]
fn users_alone_are_served_unless_it_is_said_otherwise() {
    let (user, app) = (Token::access_token(), Token::app_only());
    let untyped = app.clone().without("idtyp");
    assert!(call(&api(), &user).is_ok());
    for token in [&app, &untyped] {
        assert_eq!(refusal(&api(), token), ApiRefusal::ApplicationToken);
        let caller = call(&api().with_applications(), token).unwrap();
        assert!(caller.is_app_only());
        assert_eq!(caller.key().object(), Some(OBJECT.parse().unwrap()));
        assert!(call(&api().with_applications_alone(), token).is_ok());
    }
    assert!(call(&api().with_applications(), &user).is_ok());
    let alone = api().with_applications_alone();
    assert_eq!(refusal(&alone, &user), ApiRefusal::UserToken);
}

#[test]
fn only_applications_that_may_call_do() {
    let caller = CALLER.parse().unwrap();
    let other = CLIENT.parse().unwrap();
    let good = Token::access_token();
    assert!(call(&api().with_clients([caller, other]), &good).is_ok());
    let found = refusal(&api().with_clients([other]), &good);
    assert_eq!(found, ApiRefusal::ClientNotAllowed { found: caller });
    let found = refusal(&api().with_clients([]), &good);
    assert_eq!(found, ApiRefusal::ClientNotAllowed { found: caller });

    let confidential = api().without_public_clients();
    for (proof, is_public) in [
        ("1", false),
        ("2", false),
        ("0", true),
        ("", true),
        ("3", true),
    ] {
        let token = good.clone().claim("azpacr", proof);
        assert!(call(&api(), &token).is_ok());
        let found = call(&confidential, &token).err();
        assert_eq!(
            found,
            is_public.then_some(ApiRefusal::PublicClient),
            "{proof}"
        );
    }
    let unsaid = refusal(&confidential, &good.clone().without("azpacr"));
    assert_eq!(unsaid, ApiRefusal::PublicClient);
    let number = refusal(&confidential, &good.claim("azpacr", 1));
    assert_eq!(number, TokenRefusal::Claim("azpacr").into());
}

#[test]
fn scopes_and_roles_are_compared_word_for_word() {
    let caller = call(&api(), &Token::access_token().claim("roles", ["Reader"])).unwrap();
    assert_eq!(caller.require_scope("Files.Read"), Ok(()));
    assert_eq!(caller.require_any_scope(&["x", "Files.Write"]), Ok(()));
    assert_eq!(caller.require_role("Reader"), Ok(()));
    assert_eq!(caller.require_any_role(&["Admin", "Reader"]), Ok(()));
    assert_eq!(caller.require_scope_or_app_role("Files.Read", "x"), Ok(()));
    for wanted in [
        "Files",
        "Files.Rea",
        "files.read",
        "Files.ReadWrite",
        "Files.Read Files.Write",
        "",
    ] {
        let wanted_text = wanted.to_owned();
        let refusal = ApiRefusal::ScopeMissing {
            wanted: wanted_text,
        };
        assert_eq!(caller.require_scope(wanted), Err(refusal), "{wanted}");
    }
    let wide = call(
        &api(),
        &Token::access_token().claim("scp", "Files.ReadWrite"),
    )
    .unwrap();
    assert!(wide.require_scope("Files.Read").is_err());
    assert_eq!(
        caller.require_any_role(&["reader", "Read"]),
        Err(ApiRefusal::RoleMissing {
            wanted: "reader Read".to_owned()
        })
    );
    assert!(caller.require_scope_or_app_role("x", "Reader").is_err());
    assert_eq!(caller.require_application(), Err(ApiRefusal::UserToken));

    let app = call(&api().with_applications(), &Token::app_only()).unwrap();
    assert_eq!(app.require_application(), Ok(()));
    assert_eq!(app.require_role("Files.Read.All"), Ok(()));
    assert_eq!(app.require_scope_or_app_role("x", "Files.Read.All"), Ok(()));
    let refusal = app.require_scope("Files.Read.All");
    assert_eq!(refusal, Err(ApiRefusal::ApplicationToken));
    assert!(
        app.require_scope_or_app_role("Files.Read.All", "x")
            .is_err()
    );
}

#[test]
fn an_authentication_context_is_asked_for_where_the_caller_understands_it() {
    let good = Token::access_token();
    let wanted = context("c1");
    let requires = |token: Token| call(&api(), &token).unwrap().require_auth_context(wanted);
    assert_eq!(requires(good.clone().claim("acrs", ["c2", "c1"])), Ok(()));
    for (token, understood) in [
        (good.clone(), false),
        (good.clone().claim("acrs", ["c10"]), false),
        (good.clone().claim("xms_cc", ["cp1"]), true),
        (good.clone().claim("xms_cc", ["other", "Cp1"]), true),
        (good.clone().claim("xms_cc", "cp1"), true),
        (good.clone().claim("xms_cc", ["cp10"]), false),
    ] {
        let refusal = ApiRefusal::AuthContextMissing { wanted, understood };
        assert_eq!(requires(token), Err(refusal));
    }
}

#[test]
fn tokens_of_version_1_are_taken_only_where_they_are_asked_for() {
    let v1 = Token::access_token()
        .without("azp")
        .without("azpacr")
        .claim("ver", "1.0")
        .claim("iss", format!("https://sts.windows.net/{TENANT}/"))
        .claim("aud", "api://contoso/files")
        .claim("appid", CALLER)
        .claim("appidacr", "1");
    let version = TokenRefusal::Version {
        expected: "2.0",
        found: "1.0".to_owned(),
    };
    let found = refusal(&api(), &v1);
    assert_eq!(found, version.into());
    assert!(found.admin_hint().contains("requestedAccessTokenVersion"));

    let authority = one_tenant().with_v1_tokens();
    let audiences = ["api://contoso/files", CLIENT];
    let api = ApiValidator::with_keys(&authority, audiences, keys(), clock()).unwrap();
    let api = api.without_public_clients();
    let caller = call(&api, &v1).unwrap();
    assert_eq!(caller.client().to_string(), CALLER);
    assert!(call(&api, &v1.clone().claim("aud", CLIENT)).is_ok());
    assert!(call(&api, &Token::access_token()).is_ok());
    for other in [
        "api://contoso/files/",
        "api://contoso",
        "API://contoso/files",
    ] {
        assert!(
            call(&api, &v1.clone().claim("aud", other)).is_err(),
            "{other}"
        );
    }
    let mixed = v1.clone().claim("ver", "2.0");
    assert!(matches!(
        refusal(&api, &mixed),
        ApiRefusal::Token(TokenRefusal::Version {
            expected: "1.0",
            ..
        })
    ));
    let without_client = v1.clone().without("appid").claim("azp", CALLER);
    assert_eq!(refusal(&api, &without_client), ApiRefusal::IdToken);
    let public = v1.claim("appidacr", "0");
    assert_eq!(refusal(&api, &public), ApiRefusal::PublicClient);
}

/// The claims that Microsoft Learn, "Microsoft Entra integration with MDM", names for the token at
/// the terms of use: the object, the UPN, the tenant and the resource; and at the enrolment service
/// the device beside them.
#[test]
fn windows_calls_the_terms_of_use_of_a_device_management_service() {
    let customers = any_organization().with_v1_tokens();
    let audiences = ["https://mdm.example", CLIENT];
    let api = ApiValidator::with_keys(&customers, audiences, keys(), clock()).unwrap();
    let terms_of_use = Token::new(json!({
        "aud": "https://mdm.example", "iss": format!("https://sts.windows.net/{OTHER_TENANT}/"),
        "iat": NOW - 300, "nbf": NOW - 300, "exp": NOW + 3600, "acr": "1", "amr": ["pwd", "mfa"],
        "appid": "29d9ed98-a469-4536-ade2-f981bc1d605e", "appidacr": "0", "oid": OBJECT,
        "scp": "mdm_delegation", "sub": "CCCCCCCCCCCCCCCCCCCCCIkzqFVrSaSaFHy782bbtaQ",
        "tid": OTHER_TENANT, "unique_name": "zoe@fabrikam.example", "upn": "zoe@fabrikam.example",
        "uti": "Xb3Q", "ver": "1.0",
    }));
    let caller = call(&api, &terms_of_use).unwrap();
    assert_eq!(caller.require_scope("mdm_delegation"), Ok(()));
    assert_eq!(caller.key().tenant(), Some(tenant(OTHER_TENANT)));
    assert_eq!(
        caller.get("upn"),
        Ok(Some("zoe@fabrikam.example".to_owned()))
    );
    assert_eq!(caller.get::<String>("deviceid"), Ok(None));

    let device = "5b7a1a8e-6a1c-4d0e-8b1f-0c2d3e4f5a6b";
    let enrolment = terms_of_use.clone().claim("deviceid", device);
    let caller = call(&api, &enrolment).unwrap();
    assert_eq!(caller.get("deviceid"), Ok(Some(device.to_owned())));
    // In version 2.0, which Microsoft asks new services for.
    let v2 = enrolment
        .claim("ver", "2.0")
        .claim("aud", CLIENT)
        .claim("iss", minting::ISSUER.replace(TENANT, OTHER_TENANT))
        .claim("azp", "29d9ed98-a469-4536-ade2-f981bc1d605e");
    assert!(call(&api, &v2).is_ok());
    let elsewhere = terms_of_use.claim("aud", "https://mdm.example.evil.example");
    assert!(call(&api, &elsewhere).is_err());
}

#[test]
fn each_refusal_has_its_status_and_its_challenge() {
    let context = |understood| ApiRefusal::AuthContextMissing {
        wanted: context("c1"),
        understood,
    };
    let audience = TokenRefusal::Audience {
        expected: CLIENT.to_owned(),
        found: "\"; drop".to_owned(),
    };
    let token =
        |text: &str| format!("Bearer error=\"invalid_token\", error_description=\"{text}\"");
    let scope =
        |text: &str| format!("Bearer error=\"insufficient_scope\", error_description=\"{text}\"");
    for (refusal, status, challenge) in [
        (ApiRefusal::NoToken, 401, "Bearer".to_owned()),
        (
            ApiRefusal::SeveralHeaders,
            400,
            "Bearer error=\"invalid_request\", \
             error_description=\"the call has no single bearer token\""
                .to_owned(),
        ),
        (audience.into(), 401, token("the token is not for this API")),
        (
            JwtRefusal::Expired { expired_on: now() }.into(),
            401,
            token("the token has expired"),
        ),
        (JwtRefusal::Algorithm.into(), 401, token("the token is malformed")),
        (ApiRefusal::GraphToken, 401, token("the token is one for Graph")),
        (ApiRefusal::IdToken, 401, token("the token is an ID token")),
        (
            ApiRefusal::PermissionsMissing,
            401,
            token("the token has neither scopes nor roles"),
        ),
        (
            ApiRefusal::ApplicationToken,
            403,
            scope("the token is an application's own, not a user's"),
        ),
        (
            ApiRefusal::ScopeMissing { wanted: "Files.Read".to_owned() },
            403,
            scope("the token does not have the scope Files.Read") + ", scope=\"Files.Read\"",
        ),
        (
            ApiRefusal::RoleMissing { wanted: "Admin".to_owned() },
            403,
            scope("the token does not have the role Admin"),
        ),
        (
            context(true),
            401,
            // `printf '{"access_token":{"acrs":{"essential":true,"value":"c1"}}}' | base64`
            "Bearer error=\"insufficient_claims\", \
             error_description=\"the user has to pass an authentication context\", \
             claims=\"eyJhY2Nlc3NfdG9rZW4iOnsiYWNycyI6eyJlc3NlbnRpYWwiOnRydWUsInZhbHVlIjoiYzEifX19\""
                .to_owned(),
        ),
        (
            context(false),
            403,
            scope("the user did not pass the authentication context c1"),
        ),
    ] {
        assert_eq!(refusal.http_status(), status, "{refusal:?}");
        let header = refusal.www_authenticate().unwrap();
        assert_eq!(header.to_str().unwrap(), challenge, "{refusal:?}");
    }
    assert_eq!(ApiRefusal::KeysUnavailable.http_status(), 503);
    assert_eq!(ApiRefusal::KeysUnavailable.www_authenticate(), None);
}

#[test]
fn an_api_has_a_name_and_tokens_of_entra() {
    let with = |authority: &Authority, audiences: &[&str]| {
        let audiences = audiences.iter().copied();
        ApiValidator::with_keys(authority, audiences, keys(), clock()).err()
    };
    assert_eq!(with(&one_tenant(), &[]), Some(OptionsError::Audience));
    assert_eq!(
        with(&one_tenant(), &[CLIENT, ""]),
        Some(OptionsError::Audience)
    );
    let generic = Authority::generic("https://login.example").unwrap();
    assert_eq!(with(&generic, &[CLIENT]), Some(OptionsError::NotEntra));
    let domain = entra_core::Tenant::parse("contoso.onmicrosoft.com").unwrap();
    let domain = Authority::single_tenant(Cloud::public(), domain).unwrap();
    assert_eq!(with(&domain, &[CLIENT]), Some(OptionsError::NotResolved));
}

fn api() -> ApiValidator {
    api_of(&one_tenant())
}

fn api_of(authority: &Authority) -> ApiValidator {
    ApiValidator::with_keys(authority, [CLIENT], keys(), clock()).unwrap()
}

fn clock() -> Arc<MovableClock> {
    Arc::new(MovableClock::frozen_at(now()))
}

fn call(api: &ApiValidator, token: &Token) -> Result<ApiCaller, ApiRefusal> {
    at_once(api.validate_token(&token.signed()))
}

fn refusal(api: &ApiValidator, token: &Token) -> ApiRefusal {
    call(api, token).unwrap_err()
}

fn context(text: &str) -> AuthContext {
    AuthContext::parse(text).unwrap()
}
