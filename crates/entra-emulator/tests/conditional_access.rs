//! Conditional Access: what applications and authentication contexts ask of a sign-in, at every
//! endpoint where a client notices it.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod client;

use bytes::Bytes;
use client::json;
use client::user::{
    EVERYTHING, Pairs, administer, authorize_url, claims, emulator, post, post_to, public_tokens,
    refusal, sign_in, text, tokens, user, web_redemption, web_refresh, web_request, web_tokens,
    with,
};
use entra_emulator::{ConditionalAccess, ConditionalAccessError, Emulator, SignInError};
use http::Request;
use serde_json::{Value, json as value};

#[test]
fn a_silent_request_learns_what_is_missing_and_an_interactive_one_gets_through() {
    let emulator = emulator();
    let app = emulator.web_app().client_id;
    let request = web_request(&emulator, "openid");
    let silent = with(request.clone(), "prompt", "none");
    assert!(sign_in(&emulator, &silent).parameter("code").is_some());
    let policy = emulator.conditional_access(&app).unwrap();
    let cases: [(Require, u32); 2] = [
        (ConditionalAccess::require_mfa, 50076),
        (ConditionalAccess::enrol_mfa, 50079),
    ];
    for (require, code) in cases {
        require(&policy);
        let redirect = sign_in(&emulator, &silent);
        assert_eq!(
            redirect.parameter("error").as_deref(),
            Some("interaction_required")
        );
        assert_eq!(
            redirect.parameter("suberror").as_deref(),
            Some("basic_action")
        );
        let description = redirect.parameter("error_description").unwrap();
        assert!(description.starts_with(&format!("AADSTS{code}: ")));
        assert!(description.contains(&app), "{description}");
        assert!(redirect.parameter("claims").unwrap().contains("capolids"));
    }
    assert!(sign_in(&emulator, &request).parameter("code").is_some());
    // The user has registered once and for all; the factor is asked for all the same.
    let redirect = sign_in(&emulator, &silent);
    let description = redirect.parameter("error_description").unwrap();
    assert!(description.starts_with("AADSTS50076: "), "{description}");
    policy.lift();
    assert!(sign_in(&emulator, &silent).parameter("code").is_some());
}

#[test]
fn a_block_and_a_device_are_shown_to_the_person_and_told_to_a_silent_client() {
    let emulator = emulator();
    let app = emulator.web_app().client_id;
    let request = web_request(&emulator, "openid");
    let silent = with(request.clone(), "prompt", "none");
    let url = authorize_url(&emulator, "", &request);
    let policy = emulator.conditional_access(&app).unwrap();
    let cases: [(Require, u32, &str); 2] = [
        (
            ConditionalAccess::require_compliant_device,
            53000,
            "interaction_required",
        ),
        (ConditionalAccess::block, 53003, "access_denied"),
    ];
    for (require, code, error) in cases {
        require(&policy);
        let refused = emulator.sign_in_as(&url, &user(&emulator)).unwrap_err();
        assert!(
            matches!(refused, SignInError::Refused { code: found, .. } if found == code),
            "{refused:?}"
        );
        let redirect = sign_in(&emulator, &silent);
        assert_eq!(redirect.parameter("error").as_deref(), Some(error));
        let description = redirect.parameter("error_description").unwrap();
        assert!(description.starts_with(&format!("AADSTS{code}: ")));
        assert_eq!(
            redirect.parameter("suberror").as_deref(),
            Some("message_only")
        );
    }
}

#[test]
fn a_policy_that_comes_into_force_meets_the_next_refresh() {
    let emulator = emulator();
    let app = emulator.web_app().client_id;
    let first = web_tokens(&emulator, EVERYTHING);
    let refresh = |body: &Value| web_refresh(&emulator, text(body, "refresh_token"), EVERYTHING);
    tokens(&emulator, &refresh(&first));
    emulator.conditional_access(&app).unwrap().require_mfa();
    let answer = post(&emulator, &refresh(&first));
    assert_eq!(answer.status(), 400);
    let body = json(&answer);
    assert_eq!(body["error"], "interaction_required");
    assert_eq!(body["suberror"], "basic_action");
    assert_eq!(body["error_codes"], value!([50076]));
    let wanted: Value = serde_json::from_str(text(&body, "claims")).unwrap();
    assert_eq!(wanted["access_token"]["capolids"]["essential"], true);

    // Who signs in now has shown the second factor, and the grant remembers that.
    let second = web_tokens(&emulator, EVERYTHING);
    assert_eq!(
        claims(text(&second, "access_token"))["amr"],
        value!(["pwd", "mfa"])
    );
    let third = tokens(&emulator, &refresh(&second));
    tokens(&emulator, &refresh(&third));
    assert_eq!(claims(text(&first, "access_token"))["amr"], value!(["pwd"]));

    let policy = emulator.conditional_access(&app).unwrap();
    policy.require_compliant_device();
    let refused = refusal(&emulator, &refresh(&third));
    assert_eq!(refused, ("interaction_required".to_owned(), 53000));
    policy.block();
    let refused = refusal(&emulator, &refresh(&third));
    assert_eq!(refused, ("invalid_grant".to_owned(), 53003));
}

#[test]
fn a_policy_of_a_resource_meets_whoever_calls_it() {
    let emulator = emulator();
    let web = emulator.web_app().client_id;
    let scope = format!("api://{web}/access_as_user");
    emulator.conditional_access(&web).unwrap().require_mfa();
    let request = client::user::public_request(&emulator, &scope);
    let silent = with(request.clone(), "prompt", "none");
    let error = sign_in(&emulator, &silent).parameter("error");
    assert_eq!(error.as_deref(), Some("interaction_required"));
    // Another resource is none of its business.
    let other = with(silent, "scope", "User.Read");
    assert!(sign_in(&emulator, &other).parameter("code").is_some());
    public_tokens(&emulator, &scope);
}

#[test]
fn a_context_without_a_policy_is_issued_to_whoever_asks() {
    let emulator = emulator();
    let request = asking(&emulator, "id_token", "c1");
    let silent = with(request, "prompt", "none");
    let body = redeem(&emulator, &silent);
    assert_eq!(claims(text(&body, "id_token"))["acrs"], value!(["c1"]));
}

#[test]
fn a_context_with_a_policy_is_issued_after_the_second_factor_alone() {
    let emulator = emulator();
    let context = emulator.authentication_context("c1").unwrap();
    context.require_mfa();
    // Who does not ask for it is not bothered, and does not get it.
    let plain = with(web_request(&emulator, "openid"), "prompt", "none");
    let body = redeem(&emulator, &plain);
    assert_eq!(claims(text(&body, "id_token")).get("acrs"), None);

    for token in ["id_token", "access_token"] {
        let request = asking(&emulator, token, "c1");
        let redirect = sign_in(&emulator, &with(request.clone(), "prompt", "none"));
        assert_eq!(
            redirect.parameter("error").as_deref(),
            Some("interaction_required")
        );
        let description = redirect.parameter("error_description").unwrap();
        assert!(description.starts_with("AADSTS50076: "));
        assert_eq!(
            redirect.parameter("claims").as_deref(),
            Some(r#"{"access_token":{"acrs":{"essential":true,"value":"c1"}}}"#)
        );
        let body = redeem(&emulator, &request);
        assert_eq!(claims(text(&body, token))["acrs"], value!(["c1"]));
    }
    // Another context has no policy.
    let other = with(asking(&emulator, "id_token", "c2"), "prompt", "none");
    let body = redeem(&emulator, &other);
    assert_eq!(claims(text(&body, "id_token"))["acrs"], value!(["c2"]));
    context.lift();
    let request = with(asking(&emulator, "id_token", "c1"), "prompt", "none");
    assert!(sign_in(&emulator, &request).parameter("code").is_some());
}

#[test]
fn a_refresh_that_asks_for_a_context_needs_the_second_factor_too() {
    let emulator = emulator();
    let first = web_tokens(&emulator, EVERYTHING);
    emulator.authentication_context("c1").unwrap().require_mfa();
    let form = web_refresh(&emulator, text(&first, "refresh_token"), EVERYTHING);
    tokens(&emulator, &form);
    let ask = r#"{"access_token":{"acrs":{"essential":true,"value":"c1"}}}"#;
    let body = json(&post(&emulator, &with(form, "claims", ask)));
    assert_eq!(body["error"], "interaction_required");
    assert_eq!(body["claims"], ask);
}

#[test]
fn an_application_that_opts_in_is_told_of_every_context_that_the_session_satisfies() {
    let emulator = emulator();
    let path = format!("/applications/{}", emulator.web_app().object_id);
    let change = value!({"optionalClaims": {"idToken": [{"name": "acrs"}]}});
    administer(&emulator, "PATCH", &path, &change);
    emulator.authentication_context("c1").unwrap().require_mfa();
    emulator.authentication_context("c3").unwrap().block();
    let acrs = |request: &Pairs| {
        let body = redeem(&emulator, request);
        claims(text(&body, "id_token"))["acrs"].clone()
    };
    let plain = web_request(&emulator, "openid");
    assert_eq!(acrs(&plain), Value::Null);
    // The second factor was asked for by another policy.
    let app = emulator.web_app().client_id;
    emulator.conditional_access(&app).unwrap().require_mfa();
    assert_eq!(acrs(&plain), value!(["c1"]));
    // Of access tokens it is the resource that opts in.
    let scope = format!("api://{app}/access_as_user");
    let access = || claims(text(&public_tokens(&emulator, &scope), "access_token"));
    assert_eq!(access().get("acrs"), None);
    let change = value!({"optionalClaims": {"idToken": [{"name": "acrs"}],
        "accessToken": [{"name": "acrs"}]}});
    administer(&emulator, "PATCH", &path, &change);
    assert_eq!(access()["acrs"], value!(["c1"]));
    assert_eq!(
        acrs(&asking(&emulator, "id_token", "c2")),
        value!(["c2", "c1"])
    );
}

#[test]
fn on_behalf_of_a_user_the_second_factor_counts_that_the_session_had() {
    let emulator = emulator();
    let web = emulator.web_app();
    let scope = format!("api://{}/access_as_user", web.client_id);
    let assertion = |emulator: &Emulator| {
        let body = public_tokens(emulator, &scope);
        text(&body, "access_token").to_owned()
    };
    let form = |assertion: &str| -> Pairs {
        vec![
            (
                "grant_type",
                "urn:ietf:params:oauth:grant-type:jwt-bearer".to_owned(),
            ),
            ("client_id", web.client_id.clone()),
            ("client_secret", web.client_secret.expose().to_owned()),
            ("assertion", assertion.to_owned()),
            ("requested_token_use", "on_behalf_of".to_owned()),
            ("scope", "User.Read".to_owned()),
        ]
    };
    let before = assertion(&emulator);
    tokens(&emulator, &form(&before));
    emulator
        .conditional_access(&web.client_id)
        .unwrap()
        .require_mfa();
    let refused = refusal(&emulator, &form(&before));
    assert_eq!(refused, ("interaction_required".to_owned(), 50076));
    tokens(&emulator, &form(&assertion(&emulator)));
}

#[test]
fn a_device_is_approved_with_the_second_factor() {
    let emulator = emulator();
    let app = emulator.public_app().client_id;
    let form = vec![
        ("client_id", app.clone()),
        ("scope", "User.Read".to_owned()),
    ];
    let path = format!("{}/oauth2/v2.0/devicecode", emulator.tenant_id());
    let flow = || json(&post_to(&emulator, &path, &form));
    let policy = emulator.conditional_access(&app).unwrap();
    policy.require_mfa();
    let waiting = flow();
    let code = text(&waiting, "user_code");
    emulator.approve_device(code, &user(&emulator)).unwrap();
    let poll = |grant: &str| -> Pairs {
        vec![
            ("grant_type", grant.to_owned()),
            ("client_id", app.clone()),
            ("device_code", text(&waiting, "device_code").to_owned()),
        ]
    };
    // The name of the grant before RFC 8628, which a client of Microsoft's sends.
    tokens(&emulator, &poll("device_code"));
    policy.block();
    let blocked = flow();
    let code = text(&blocked, "user_code");
    let refused = emulator.approve_device(code, &user(&emulator)).unwrap_err();
    assert!(matches!(refused, SignInError::Refused { code: 53003, .. }));
}

#[test]
fn the_control_interface_sets_and_lifts_policies() {
    let emulator = emulator();
    let app = emulator.web_app().client_id;
    let control = |method: &str, body: &Value| {
        let request = Request::builder()
            .method(method)
            .uri("/_emulator/conditional-access");
        let answer = emulator.handle(&request.body(Bytes::from(body.to_string())).unwrap());
        (answer.status().as_u16(), json(&answer))
    };
    for require in [
        "require_mfa",
        "enrol_mfa",
        "require_compliant_device",
        "block",
    ] {
        let set = value!({"client_id": app, "require": require});
        let (status, report) = control("POST", &set);
        assert_eq!(
            (status, report),
            (
                200,
                value!({"value": [{"client_id": app, "require": [require]}]})
            )
        );
        let silent = with(web_request(&emulator, "openid"), "prompt", "none");
        assert!(sign_in(&emulator, &silent).parameter("error").is_some());
        let (_, report) = control("POST", &value!({"client_id": app}));
        assert_eq!(report, value!({"value": []}));
        assert!(sign_in(&emulator, &silent).parameter("code").is_some());
    }
    let context = value!({"context": "c7", "require": "require_mfa"});
    control("POST", &context);
    let (_, report) = control("GET", &Value::Null);
    let expected = value!({"value": [{"context": "c7", "require": ["require_mfa"]}]});
    assert_eq!(report, expected);
    let (_, report) = control("DELETE", &Value::Null);
    assert_eq!(report, value!({"value": []}));
    for refused in [
        value!({"client_id": "nobody", "require": "block"}),
        value!({"context": "c100", "require": "block"}),
        value!({"client_id": app, "context": "c1", "require": "block"}),
        value!({"require": "block"}),
        value!({"client_id": app, "require": "telepathy"}),
    ] {
        assert_eq!(control("POST", &refused).0, 400, "{refused}");
    }
    control("POST", &context);
    emulator.reset();
    assert_eq!(control("GET", &Value::Null).1, value!({"value": []}));
}

#[test]
fn what_is_no_application_and_no_context_has_no_policy() {
    let emulator = emulator();
    let found = "nobody".to_owned();
    assert_eq!(
        emulator.conditional_access("nobody").unwrap_err(),
        ConditionalAccessError::Application { found }
    );
    let found = "c0".to_owned();
    assert_eq!(
        emulator.authentication_context("c0").unwrap_err(),
        ConditionalAccessError::Context { found }
    );
}

type Require = fn(&ConditionalAccess);

/// A request of the web application that asks for a context in one of its tokens.
fn asking(emulator: &Emulator, token: &str, context: &str) -> Pairs {
    let mut wanted = serde_json::Map::new();
    let acrs = value!({"acrs": {"essential": true, "value": context}});
    wanted.insert(token.to_owned(), acrs);
    let wanted = Value::Object(wanted).to_string();
    let request = web_request(emulator, "openid User.Read");
    with(request, "claims", &wanted)
}

/// The token response to a sign-in that has to succeed.
fn redeem(emulator: &Emulator, request: &Pairs) -> Value {
    let redirect = sign_in(emulator, request);
    let code = redirect.parameter("code").expect("a code");
    tokens(emulator, &web_redemption(emulator, &code))
}
