//! UserInfo of OpenID Connect.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod client;

use bytes::Bytes;
use client::user::{
    EVERYTHING, GRAPH, claims, emulator, public_tokens, text, web_tokens, withdraw,
};
use client::{graph, json, token};
use entra_emulator::Emulator;
use http::Response;
use serde_json::{Value, json as value};

#[test]
fn the_user_is_described_as_far_as_the_scopes_go() {
    for (scope, mut expected) in [
        ("openid User.Read", value!({})),
        (
            "openid profile User.Read",
            value!({
                "name": "Mara Lindqvist", "family_name": "Lindqvist", "given_name": "Mara",
                "picture": "https://localhost/v1.0/me/photo/$value",
            }),
        ),
        (
            "openid email User.Read",
            value!({"email": "mara.lindqvist@alpenglow.example"}),
        ),
    ] {
        let emulator = emulator();
        let app = emulator.web_app().client_id;
        // What an administrator consented to would be in every token.
        withdraw(&emulator, &app, GRAPH);
        let body = web_tokens(&emulator, scope);
        let access = text(&body, "access_token");
        expected["sub"] = claims(text(&body, "id_token"))["sub"].clone();
        assert_ne!(expected["sub"], claims(access)["sub"]);
        for method in ["GET", "POST"] {
            let answer = ask(&emulator, access, method);
            assert_eq!(answer.status(), 200);
            assert_eq!(answer.headers()["content-type"], "application/json");
            assert_eq!(json(&answer), expected, "{scope}");
        }
        let last = emulator.journal().entries().pop().unwrap();
        assert_eq!(last.permission.as_deref(), Some("openid"));
        assert_eq!(last.caller, Some(app));
    }
}

#[test]
fn the_subject_is_another_one_for_each_application() {
    let emulator = emulator();
    let subject = |body: &Value| {
        let access = text(body, "access_token");
        json(&ask(&emulator, access, "GET"))["sub"].clone()
    };
    let web = subject(&web_tokens(&emulator, EVERYTHING));
    let public = subject(&public_tokens(&emulator, EVERYTHING));
    assert_ne!(web, public);
}

#[test]
fn a_call_without_a_user_a_token_or_a_known_method_is_refused() {
    let emulator = emulator();
    let own = token(&emulator, &emulator.setup_app());
    assert_eq!(ask(&emulator, &own, "GET").status(), 403);
    let bare = self::emulator();
    withdraw(&bare, &bare.web_app().client_id, GRAPH);
    let body = web_tokens(&bare, "User.Read");
    let without_openid = ask(&bare, text(&body, "access_token"), "GET");
    assert_eq!(without_openid.status(), 403);
    let body = web_tokens(&emulator, EVERYTHING);
    let access = text(&body, "access_token");
    assert_eq!(ask(&emulator, access, "DELETE").status(), 405);
    for wrong in ["nonsense", text(&body, "id_token")] {
        let answer = ask(&emulator, wrong, "GET");
        assert_eq!(answer.status(), 401);
        assert!(answer.headers().contains_key("www-authenticate"));
        assert_eq!(json(&answer)["error"]["code"], "InvalidAuthenticationToken");
    }
    // So is a token for another resource.
    let scope = format!("api://{}/access_as_user", emulator.web_app().client_id);
    let other = public_tokens(&emulator, &scope);
    let answer = ask(&emulator, text(&other, "access_token"), "GET");
    assert_eq!(answer.status(), 401);
}

fn ask(emulator: &Emulator, token: &str, method: &str) -> Response<Bytes> {
    emulator.handle(&graph(token, method, "/oidc/userinfo", &Value::Null))
}
