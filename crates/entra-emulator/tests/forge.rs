//! Forged tokens are what they are said to be, and the tenant sends what a test asks for.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod client;

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{RSA_PSS_2048_8192_SHA256, RsaPublicKeyComponents};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use client::json;
use client::keys::{header, is_signed_by, is_signed_by_one_of, key_set, tenant_keys};
use client::user::{
    claims, emulator, post, sign_in, text, tokens, user, web_redemption, web_request, web_tokens,
    with,
};
use entra_emulator::{
    AnswerChange, Emulator, FaultRuleError, IdTokenChange, ParameterChange, Signer, UnknownKey,
    UnknownPrincipal,
};
use http::Request;
use serde_json::{Value, json as value};

#[test]
fn the_claims_to_forge_are_those_of_a_sign_in() {
    let emulator = emulator();
    let app = emulator.web_app().client_id;
    let real = web_tokens(&emulator, "openid profile email");
    let forge = emulator.forge();
    let mut real_id = claims(text(&real, "id_token"));
    let mut forged = forge.id_token_claims(&app, &user(&emulator), "n1").unwrap();
    assert_ne!(forged["uti"], real_id["uti"]);
    for token in [&mut real_id, &mut forged] {
        token["uti"] = Value::Null;
    }
    assert_eq!(forged, real_id);

    let scope = format!("api://{app}");
    let delegated = forge
        .access_token_claims((&app, &user(&emulator)), &scope, "access_as_user")
        .unwrap();
    assert_eq!(delegated["aud"], app);
    assert_eq!(delegated["scp"], "access_as_user");
    assert_eq!(delegated["oid"], real_id["oid"]);
    let own = forge
        .app_token_claims(&app, &scope, &["Files.Read"])
        .unwrap();
    assert_eq!(own["roles"], value!(["Files.Read"]));
    assert_eq!(own["idtyp"], "app");
    let nobody = |found: &str| {
        Err(UnknownPrincipal {
            found: found.to_owned(),
        })
    };
    let name = user(&emulator);
    assert_eq!(forge.id_token_claims("app", &name, ""), nobody("app"));
    assert_eq!(forge.id_token_claims(&app, "nobody", ""), nobody("nobody"));
    let refused = forge.access_token_claims((&app, &name), "api://nothing", "");
    assert_eq!(refused, nobody("api://nothing"));
    assert_eq!(forge.app_token_claims("app", &scope, &[]), nobody("app"));
}

#[test]
fn each_signer_has_the_key_that_its_name_says() {
    let emulator = emulator();
    let app = emulator.web_app().client_id;
    let withdrawn = emulator.keys().signing();
    emulator.keys().roll_over();
    emulator.keys().withdraw(&withdrawn).unwrap();
    emulator.keys().give_own_key(&app).unwrap();
    let body = value!({"ver": "2.0", "sub": "s"});
    let token = |signer: Signer| emulator.forge().token(&body, &signer).unwrap();

    let tenant = tenant_keys(&emulator);
    let common = key_set(&emulator, "common/discovery/v2.0/keys");
    let path = format!("{}/discovery/v2.0/keys?appid={app}", emulator.tenant_id());
    let own = key_set(&emulator, &path);
    for (signer, in_tenant, in_common, in_own) in [
        (Signer::Current, true, true, true),
        (Signer::Key(withdrawn.clone()), false, false, false),
        (Signer::App(app.clone()), false, false, true),
        (Signer::Consumers, false, true, false),
        (Signer::Government, false, true, false),
        (Signer::Stranger, false, false, false),
    ] {
        let token = token(signer.clone());
        assert_eq!(claims(&token), body);
        let found = [&tenant, &common, &own].map(|set| is_signed_by_one_of(&token, set));
        assert_eq!(found, [in_tenant, in_common, in_own], "{signer:?}");
        let jwk = emulator.forge().jwk(&signer).unwrap().unwrap();
        assert!(is_signed_by(&token, &jwk), "{signer:?}");
    }
    assert!(token(Signer::Nobody).ends_with('.'));
    for unknown in [Signer::Key("k".to_owned()), Signer::App("k".to_owned())] {
        let error = UnknownKey {
            found: "k".to_owned(),
        };
        let forge = emulator.forge();
        assert_eq!(forge.token(&body, &unknown), Err(error.clone()));
        assert_eq!(forge.jwk(&unknown), Err(error.clone()));
        let change = IdTokenChange::new().signed_by(unknown);
        assert_eq!(forge.next_id_token(change), Err(error));
    }
}

#[test]
fn the_algorithm_is_that_of_the_header() {
    let emulator = emulator();
    let forge = emulator.forge();
    let body = value!({"sub": "s"});
    let sign = |algorithm: &str, signer: &Signer| {
        let header = value!({"alg": algorithm, "kid": emulator.keys().signing()});
        let token = forge.sign(&header, &body, signer).unwrap();
        assert_eq!(crate::header(&token), header);
        let (input, signature) = token.rsplit_once('.').unwrap();
        (input.to_owned(), URL_SAFE_NO_PAD.decode(signature).unwrap())
    };
    let jwk = forge.jwk(&Signer::Current).unwrap().unwrap();
    let part = |name: &str| URL_SAFE_NO_PAD.decode(text(&jwk, name)).unwrap();
    let key = RsaPublicKeyComponents {
        n: part("n"),
        e: part("e"),
    };
    let (input, signature) = sign("PS256", &Signer::Current);
    key.verify(&RSA_PSS_2048_8192_SHA256, input.as_bytes(), &signature)
        .unwrap();
    let pem = forge.public_key_pem(&Signer::Current).unwrap().unwrap();
    assert!(pem.starts_with("-----BEGIN PUBLIC KEY-----"));
    for secret in [
        pem.into_bytes(),
        forge.public_key_der(&Signer::Current).unwrap().unwrap(),
        jwk.to_string().into_bytes(),
    ] {
        let (input, signature) = sign("HS256", &Signer::Hmac(secret.clone()));
        let key = hmac::Key::new(hmac::HMAC_SHA256, &secret);
        hmac::verify(&key, input.as_bytes(), &signature).unwrap();
    }
    for (algorithm, signer, length) in [
        ("RS384", Signer::Current, 256),
        ("RS512", Signer::Current, 256),
        ("PS384", Signer::Current, 256),
        ("ES256", Signer::Stranger, 64),
        ("EdDSA", Signer::Stranger, 64),
        ("HS512", Signer::Hmac(b"s".to_vec()), 64),
        ("none", Signer::Nobody, 0),
        // Whoever has no such key signs all the same.
        ("none", Signer::Current, 256),
    ] {
        assert_eq!(sign(algorithm, &signer).1.len(), length, "{algorithm}");
    }
    let shown = format!("{:?}", Signer::Hmac(b"secret".to_vec()));
    assert_eq!(shown, "Hmac(..)");
}

#[test]
fn header_and_payload_may_be_no_json_at_all() {
    let emulator = emulator();
    let header = r#"{"alg":"RS256","alg":"none"}"#;
    let token = emulator
        .forge()
        .sign_text(header, "tid=1&tid=2", &Signer::Current)
        .unwrap();
    let parts: Vec<_> = token.split('.').collect();
    assert_eq!(URL_SAFE_NO_PAD.decode(parts[0]).unwrap(), header.as_bytes());
    assert_eq!(URL_SAFE_NO_PAD.decode(parts[1]).unwrap(), b"tid=1&tid=2");
}

#[test]
fn the_next_id_token_is_changed_and_the_one_after_it_is_not() {
    let emulator = emulator();
    let change = IdTokenChange::new()
        .with_claim("nonce", "another")
        .without_claim("oid")
        .with_header("crit", value!(["b64"]))
        .without_header("typ");
    emulator.forge().next_id_token(change).unwrap();
    let body = web_tokens(&emulator, "openid profile");
    let token = text(&body, "id_token");
    assert_eq!(claims(token)["nonce"], "another");
    assert_eq!(claims(token).get("oid"), None);
    assert!(claims(token)["name"].is_string());
    assert_eq!(
        header(token),
        value!({"alg": "RS256", "kid": emulator.keys().signing(), "crit": ["b64"]})
    );
    assert!(is_signed_by_one_of(token, &tenant_keys(&emulator)));
    let body = web_tokens(&emulator, "openid profile");
    assert_eq!(claims(text(&body, "id_token"))["nonce"], "n1");

    let change = IdTokenChange::new().signed_by(Signer::Stranger);
    emulator.forge().next_id_token(change).unwrap();
    let body = web_tokens(&emulator, "openid profile");
    assert!(!is_signed_by_one_of(
        text(&body, "id_token"),
        &tenant_keys(&emulator)
    ));
}

#[test]
fn a_change_waits_for_the_endpoint_that_it_is_meant_for() {
    let emulator = emulator();
    let change = |value: &str| IdTokenChange::new().with_claim("sub", value);
    let forge = emulator.forge();
    forge
        .next_id_token(change("token").at_token_endpoint())
        .unwrap();
    let front = change("front").at_authorization_endpoint();
    forge.next_id_token(front).unwrap();
    for response_type in ["code id_token", "id_token"] {
        let request = with(
            web_request(&emulator, "openid"),
            "response_type",
            response_type,
        );
        let redirect = sign_in(&emulator, &request);
        let front = claims(&redirect.parameter("id_token").unwrap());
        assert_eq!(front["sub"] == "front", response_type == "code id_token");
        if let Some(code) = redirect.parameter("code") {
            let body = tokens(&emulator, &web_redemption(&emulator, &code));
            assert_eq!(claims(text(&body, "id_token"))["sub"], "token");
        }
    }
}

#[test]
fn what_the_browser_brings_back_is_changed_once() {
    let emulator = emulator();
    let forge = emulator.forge();
    let add = |name: &str, value: &str| ParameterChange::Add(name.to_owned(), value.to_owned());
    forge.next_authorization_response(add("code", "second"));
    forge.next_authorization_response(ParameterChange::Set("state".to_owned(), "x".to_owned()));
    forge.next_authorization_response(ParameterChange::Remove("session_state".to_owned()));
    let redirect = sign_in(&emulator, &web_request(&emulator, "openid"));
    let pairs: Vec<(String, String)> = redirect.location.query_pairs().into_owned().collect();
    let values = |name: &str| -> Vec<&str> {
        let named = pairs.iter().filter(|(known, _)| known == name);
        named.map(|(_, value)| value.as_str()).collect()
    };
    assert_eq!(values("code").len(), 2);
    assert_eq!(values("code")[1], "second");
    assert_eq!(values("state"), ["x"]);
    assert_eq!(values("session_state"), Vec::<&str>::new());
    let redirect = sign_in(&emulator, &web_request(&emulator, "openid"));
    assert_eq!(redirect.parameter("state").as_deref(), Some("s1"));
}

#[test]
fn a_token_response_is_malformed_in_the_way_that_was_asked_for() {
    let emulator = emulator();
    let respond = |change: AnswerChange| {
        let redirect = sign_in(&emulator, &web_request(&emulator, "openid"));
        let code = redirect.parameter("code").unwrap();
        emulator.forge().next_token_response(change);
        post(&emulator, &web_redemption(&emulator, &code))
    };
    let body = json(&respond(AnswerChange::Remove("id_token".to_owned())));
    assert_eq!(body.get("id_token"), None);
    assert!(body["access_token"].is_string());
    let wrong = AnswerChange::Set("token_type".to_owned(), value!("mac"));
    assert_eq!(json(&respond(wrong))["token_type"], "mac");
    let page = respond(AnswerChange::Html);
    assert_eq!(page.status(), 200);
    assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
    let cut = respond(AnswerChange::Truncated);
    assert!(cut.body().starts_with(b"{"));
    assert!(serde_json::from_slice::<Value>(cut.body()).is_err());
    let list = AnswerChange::Body("application/json".to_owned(), b"[]".to_vec());
    assert_eq!(json(&respond(list)), value!([]));
    let elsewhere = AnswerChange::Redirect("https://evil.example/token".parse().unwrap());
    let redirect = respond(elsewhere);
    assert_eq!(redirect.status(), 302);
    assert_eq!(redirect.headers()["location"], "https://evil.example/token");
    assert!(redirect.body().is_empty());
    // Afterwards everything is as before.
    web_tokens(&emulator, "openid");
}

#[test]
fn any_answer_can_be_changed_as_often_as_needed() {
    let emulator = emulator();
    let path = "*/.well-known/openid-configuration";
    let change = AnswerChange::Set("issuer".to_owned(), value!("https://evil.example"));
    let forge = emulator.forge();
    forge.answers(path, 2, change.clone()).unwrap();
    let ours = format!("https://localhost/{}/v2.0", emulator.tenant_id());
    for expected in ["https://evil.example", "https://evil.example", &ours] {
        assert_eq!(configuration(&emulator)["issuer"], expected);
    }
    assert_eq!(
        forge.answers(path, 0, change.clone()),
        Err(FaultRuleError::Times)
    );
    assert!(forge.answers("nowhere", 1, change.clone()).is_err());
    forge.answers(path, 1, change).unwrap();
    emulator.reset();
    assert_eq!(configuration(&emulator)["issuer"], ours);
}

fn configuration(emulator: &Emulator) -> Value {
    let path = format!(
        "/{}/v2.0/.well-known/openid-configuration",
        emulator.tenant_id()
    );
    json(&emulator.handle(&Request::get(path).body(Bytes::new()).unwrap()))
}
