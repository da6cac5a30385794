//! The keys of the tenant: sets, roll-over, keys that come and go, keys of one application.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod client;

use std::time::Duration;

use bytes::Bytes;
use client::json;
use client::keys::{is_signed_by_one_of, key_set, kid, kids, tenant_keys};
use client::user::{
    emulator, public_tokens, sign_in, text, tokens, web_redemption, web_request, web_tokens, with,
};
use entra_emulator::{Emulator, UnknownKey, UnknownPrincipal};
use http::Request;
use serde_json::{Value, json as value};

#[test]
fn the_set_of_a_tenant_has_the_signing_key_and_the_next_one() {
    let emulator = emulator();
    let keys = tenant_keys(&emulator);
    assert_eq!(kids(&keys), emulator.keys().published());
    assert_eq!(keys.len(), 2);
    assert_eq!(keys[0]["kid"], emulator.keys().signing());
    assert_ne!(keys[0]["n"], keys[1]["n"]);
    let issuer = format!("https://localhost/{}/v2.0", emulator.tenant_id());
    for key in &keys {
        assert_eq!(key["kty"], "RSA");
        assert_eq!(key["use"], "sig");
        assert_eq!(key["e"], "AQAB");
        assert_eq!(key["kid"], key["x5t"]);
        assert_eq!(key["x5c"].as_array().unwrap().len(), 1);
        assert_eq!(key["issuer"], issuer);
        assert_eq!(key["cloud_instance_name"], "localhost");
        assert_eq!(key.get("alg"), None);
    }
    // The endpoint of version 1.0 says nothing of issuers.
    let old = key_set(
        &emulator,
        &format!("{}/discovery/keys", emulator.tenant_id()),
    );
    assert_eq!(kids(&old), kids(&keys));
    assert_eq!(old[0].get("issuer"), None);
}

#[test]
fn the_set_for_several_tenants_lists_keys_that_sign_no_token_of_a_tenant() {
    let emulator = emulator();
    for segment in ["common", "organizations"] {
        let keys = key_set(&emulator, &format!("{segment}/discovery/v2.0/keys"));
        let issued: Vec<(&str, &str)> = keys
            .iter()
            .map(|key| (text(key, "issuer"), text(key, "cloud_instance_name")))
            .collect();
        let template = "https://localhost/{tenantid}/v2.0";
        let consumers = "https://localhost/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0";
        assert_eq!(
            issued,
            [
                (template, "localhost"),
                (template, "localhost"),
                (consumers, "localhost"),
                (template, "microsoftonline.us"),
            ]
        );
        assert_eq!(kids(&keys[..2]), emulator.keys().published());
    }
}

#[test]
fn after_a_roll_over_the_announced_key_signs_and_the_old_one_stays_published() {
    let emulator = emulator();
    let keys = emulator.keys();
    let (old, announced) = (keys.signing(), keys.published().remove(1));
    let before = id_token(&emulator);
    let of_old = client::token(&emulator, &emulator.setup_app());
    assert_eq!(keys.roll_over(), announced);
    let after = id_token(&emulator);
    assert_eq!((kid(&before), kid(&after)), (old, announced));
    let set = tenant_keys(&emulator);
    assert_eq!(set.len(), 3);
    assert!(is_signed_by_one_of(&before, &set));
    assert!(is_signed_by_one_of(&after, &set));
    // Resources accept what either of them signed.
    for token in [of_old, client::token(&emulator, &emulator.setup_app())] {
        let request = client::graph(&token, "GET", "/v1.0/organization", &Value::Null);
        assert_eq!(emulator.handle(&request).status(), 200);
    }
}

#[test]
fn a_key_vanishes_for_hours_and_comes_back() {
    let emulator = emulator();
    let keys = emulator.keys();
    let signing = keys.signing();
    keys.withdraw_for(&signing, Duration::from_secs(3 * 3_600))
        .unwrap();
    let token = id_token(&emulator);
    assert_eq!(kid(&token), signing);
    assert!(!is_signed_by_one_of(&token, &tenant_keys(&emulator)));
    emulator.advance(Duration::from_secs(3 * 3_600 - 1));
    assert!(!keys.published().contains(&signing));
    emulator.advance(Duration::from_secs(1));
    assert!(is_signed_by_one_of(&token, &tenant_keys(&emulator)));

    keys.withdraw(&signing).unwrap();
    emulator.advance(Duration::from_secs(86_400));
    assert!(!keys.published().contains(&signing));
    keys.restore(&signing).unwrap();
    assert!(keys.published().contains(&signing));
}

#[test]
fn a_key_signs_before_it_is_published() {
    let emulator = emulator();
    let keys = emulator.keys();
    let early = keys.add();
    assert!(!keys.published().contains(&early));
    keys.sign_with(&early).unwrap();
    let token = id_token(&emulator);
    assert_eq!(kid(&token), early);
    assert!(!is_signed_by_one_of(&token, &tenant_keys(&emulator)));
    keys.restore(&early).unwrap();
    assert!(is_signed_by_one_of(&token, &tenant_keys(&emulator)));
}

#[test]
fn decoys_and_any_entry_stand_beside_the_keys() {
    let emulator = emulator();
    emulator.keys().publish_decoys(3);
    emulator
        .keys()
        .publish_jwk(value!({"kty": "oct", "k": "AA"}));
    let set = tenant_keys(&emulator);
    assert_eq!(set.len(), 6);
    assert_ne!(set[2]["n"], set[3]["n"]);
    assert_eq!(set[5], value!({"kty": "oct", "k": "AA"}));
    let token = id_token(&emulator);
    assert!(is_signed_by_one_of(&token, &set));
    emulator.reset();
    assert_eq!(tenant_keys(&emulator).len(), 2);
}

#[test]
fn an_application_with_a_key_of_its_own_is_found_with_its_id_alone() {
    let emulator = emulator();
    let (web, tenant) = (emulator.web_app(), emulator.tenant_id());
    let own = emulator.keys().give_own_key(&web.client_id).unwrap();
    assert_eq!(
        emulator.keys().give_own_key(&web.client_id),
        Ok(own.clone())
    );

    let path = format!("/{tenant}/v2.0/.well-known/openid-configuration");
    let plain = json(&get(&emulator, &path));
    let with_id = json(&get(&emulator, &format!("{path}?appid={}", web.client_id)));
    let jwks = format!("https://localhost/{tenant}/discovery/v2.0/keys");
    assert_eq!(plain["jwks_uri"], jwks);
    assert_eq!(
        with_id["jwks_uri"],
        format!("{jwks}?appid={}", web.client_id)
    );

    let token = id_token(&emulator);
    assert_eq!(kid(&token), own);
    assert!(!is_signed_by_one_of(&token, &tenant_keys(&emulator)));
    let path = format!("{tenant}/discovery/v2.0/keys?appid={}", web.client_id);
    assert!(is_signed_by_one_of(&token, &key_set(&emulator, &path)));
    // So is what is meant for its API; what it gets for others is not.
    let scope = format!("api://{}/access_as_user", web.client_id);
    let api = public_tokens(&emulator, &scope);
    assert_eq!(kid(text(&api, "access_token")), own);
    let graph = web_tokens(&emulator, "User.Read");
    assert_eq!(kid(text(&graph, "access_token")), emulator.keys().signing());
    let other = format!(
        "{tenant}/discovery/v2.0/keys?appid={}",
        emulator.public_app().client_id
    );
    assert!(!kids(&key_set(&emulator, &other)).contains(&own));
}

#[test]
fn an_unknown_key_or_application_is_refused() {
    let emulator = emulator();
    let keys = emulator.keys();
    let unknown = Err(UnknownKey {
        found: "k".to_owned(),
    });
    assert_eq!(keys.sign_with("k"), unknown);
    assert_eq!(keys.withdraw("k"), unknown);
    assert_eq!(keys.withdraw_for("k", Duration::ZERO), unknown);
    assert_eq!(keys.restore("k"), unknown);
    let nobody = keys.give_own_key("nobody");
    assert_eq!(
        nobody,
        Err(UnknownPrincipal {
            found: "nobody".to_owned()
        })
    );
    for path in [
        "v2.0/.well-known/openid-configuration",
        "discovery/v2.0/keys",
    ] {
        let path = format!("/{}/{path}?appid=nobody", emulator.tenant_id());
        let answer = get(&emulator, &path);
        assert_eq!(answer.status(), 400);
        assert_eq!(json(&answer)["error_codes"], value!([700_016]));
    }
}

#[test]
fn the_control_interface_changes_keys_too() {
    let emulator = emulator();
    let control = |body: &Value| {
        let request = Request::post("/_emulator/keys").body(Bytes::from(body.to_string()));
        let answer = emulator.handle(&request.unwrap());
        (answer.status().as_u16(), json(&answer))
    };
    let old = emulator.keys().signing();
    let (_, report) = control(&value!({"action": "roll_over"}));
    assert_eq!(report["signing"], emulator.keys().signing());
    assert_ne!(report["signing"], old.as_str());
    let (_, report) = control(&value!({"action": "withdraw", "kid": old}));
    assert_eq!(
        report["value"][0],
        value!({"kid": old, "is_signing": false, "is_published": false})
    );
    let (_, report) = control(&value!({"action": "restore", "kid": old}));
    assert_eq!(report["value"][0]["is_published"], true);
    let (_, report) = control(&value!({"action": "withdraw", "kid": old, "for_seconds": 60}));
    assert_eq!(report["value"][0]["is_published"], false);
    emulator.advance(Duration::from_secs(60));
    assert!(emulator.keys().published().contains(&old));
    let (_, report) = control(&value!({"action": "add"}));
    assert_eq!(report["value"][3]["is_published"], false);
    control(&value!({"action": "sign_with", "kid": old}));
    assert_eq!(emulator.keys().signing(), old);
    control(&value!({"action": "publish_decoys", "count": 2}));
    control(&value!({"action": "publish_jwk", "jwk": {"kty": "oct"}}));
    assert_eq!(tenant_keys(&emulator).len(), 6);
    let web = emulator.web_app().client_id;
    control(&value!({"action": "give_own_key", "client_id": web}));
    assert_ne!(kid(&id_token(&emulator)), old);
    for refused in [
        value!({"action": "withdraw", "kid": "k"}),
        value!({"action": "give_own_key", "client_id": "nobody"}),
        value!({"action": "telepathy"}),
        value!({}),
    ] {
        let (status, answer) = control(&refused);
        assert_eq!(status, 400, "{refused}");
        assert!(answer["error"].is_string());
    }
}

/// The ID token of a sign-in to the web application, from the authorization endpoint.
fn id_token(emulator: &Emulator) -> String {
    let request = with(
        web_request(emulator, "openid profile"),
        "response_type",
        "code id_token",
    );
    let redirect = sign_in(emulator, &request);
    let code = redirect.parameter("code").unwrap();
    let body = tokens(emulator, &web_redemption(emulator, &code));
    let front = redirect.parameter("id_token").unwrap();
    assert_eq!(kid(&front), kid(text(&body, "id_token")));
    front
}

fn get(emulator: &Emulator, path: &str) -> http::Response<Bytes> {
    emulator.handle(&Request::get(path).body(Bytes::new()).unwrap())
}
