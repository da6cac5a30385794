//! Authorization codes and the tokens that they are redeemed for.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod client;

use client::user::{
    EVERYTHING, claims, emulator, sign_in, text, tokens, web_redemption, web_request,
};

#[test]
fn a_user_signs_in_to_a_web_application() {
    let emulator = emulator();
    let redirect = sign_in(&emulator, &web_request(&emulator, EVERYTHING));
    assert_eq!(redirect.location.path(), "/signin-oidc");
    assert_eq!(redirect.parameter("state").as_deref(), Some("s1"));
    assert!(redirect.parameter("session_state").is_some());
    assert_eq!(redirect.form, None);
    let code = redirect.parameter("code").unwrap();

    let body = tokens(&emulator, &web_redemption(&emulator, &code));
    assert_eq!(body["token_type"], "Bearer");
    assert_eq!(body["expires_in"], 3599);
    assert_eq!(body["scope"], "openid profile email User.Read");
    assert!(body["refresh_token"].is_string());
    assert_eq!(body.get("refresh_in"), None);
    let seeded = emulator.users().remove(0);
    let (tenant, app) = (emulator.tenant_id(), emulator.web_app());

    let access = claims(text(&body, "access_token"));
    assert_eq!(access["aud"], "00000003-0000-0000-c000-000000000000");
    assert_eq!(access["iss"], format!("https://sts.windows.net/{tenant}/"));
    assert_eq!(access["scp"], "openid profile email User.Read");
    assert_eq!(access["oid"], seeded.object_id);
    assert_eq!(access["upn"], seeded.user_principal_name);
    assert_eq!(access["appid"], app.client_id);
    assert_eq!(access["appidacr"], "1");
    assert_eq!(access["idtyp"], "user");
    assert_eq!(access["tid"], tenant);
    assert_eq!(access["ver"], "1.0");
    assert_eq!(access.get("roles"), None);

    let id = claims(text(&body, "id_token"));
    assert_eq!(id["aud"], app.client_id);
    assert_eq!(id["iss"], format!("https://localhost/{tenant}/v2.0"));
    assert_eq!(id["nonce"], "n1");
    assert_eq!(id["oid"], seeded.object_id);
    assert_eq!(id["name"], "Mara Lindqvist");
    assert_eq!(id["preferred_username"], seeded.user_principal_name);
    assert_eq!(id["email"], seeded.user_principal_name);
    assert_eq!(id["tid"], tenant);
    assert_eq!(id["ver"], "2.0");
    assert_ne!(id["sub"], access["sub"]);
    assert_eq!(id.get("at_hash"), None);
    assert_eq!(id.get("auth_time"), None);
}
