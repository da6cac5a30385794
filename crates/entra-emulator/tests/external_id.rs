//! External ID: a tenant whose customers sign in at one host and whose tokens another one issues.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod client;

use bytes::Bytes;
use client::browser::Browser;
use client::json;
use client::keys::{is_signed_by_one_of, key_set};
use client::user::{
    authorize_url, claims, text, user, web_redemption, web_refresh, web_request, web_tokens,
};
use entra_emulator::{Emulator, Seed, SignInError};
use http::header::{CONTENT_TYPE, HOST};
use http::{Request, Response};
use serde_json::Value;
use url::Url;

#[test]
fn the_document_is_at_the_name_and_the_issuer_at_the_id() {
    let emulator = emulator();
    let tenant = emulator.tenant_id();
    let issuer = format!("https://{tenant}.ciamlogin.com/{tenant}/v2.0");
    for (base, issuer) in [
        ("https://contoso.ciamlogin.com", issuer.as_str()),
        ("https://CONTOSO.ciamlogin.com", &issuer),
        (
            "https://localhost/contoso.ciamlogin.com",
            &format!("https://localhost/{tenant}.ciamlogin.com/{tenant}/v2.0"),
        ),
    ] {
        for segment in [&tenant, &emulator.domain()] {
            let url = format!("{base}/{segment}/v2.0/.well-known/openid-configuration");
            let document = json(&get(&emulator, &url));
            assert_eq!(document["issuer"], issuer);
            let base = base.to_lowercase();
            for (name, path) in [
                ("authorization_endpoint", "oauth2/v2.0/authorize"),
                ("token_endpoint", "oauth2/v2.0/token"),
                ("end_session_endpoint", "oauth2/v2.0/logout"),
                ("jwks_uri", "discovery/v2.0/keys"),
            ] {
                assert_eq!(document[name], format!("{base}/{tenant}/{path}"));
            }
            // Microsoft Graph is where it is for everybody.
            assert_eq!(
                document["userinfo_endpoint"],
                "https://localhost/oidc/userinfo"
            );
            assert_eq!(document["msgraph_host"], "localhost");
            assert_eq!(document["cloud_instance_name"], "localhost");
            let keys = json(&get(&emulator, text(&document, "jwks_uri")));
            assert_eq!(keys["keys"][0]["issuer"], issuer);
            assert_eq!(keys["keys"][0]["cloud_instance_name"], "localhost");
        }
    }
    assert_eq!(
        emulator.external_id_url().unwrap().as_str(),
        "https://contoso.ciamlogin.com/"
    );
}

#[test]
fn a_customer_gets_tokens_of_that_issuer_and_an_employee_does_not() {
    let emulator = emulator();
    let tenant = emulator.tenant_id();
    for (base, issuing) in [
        (
            "https://contoso.ciamlogin.com",
            format!("https://{tenant}.ciamlogin.com/{tenant}/v2.0"),
        ),
        (
            "https://localhost/contoso.ciamlogin.com",
            format!("https://localhost/{tenant}.ciamlogin.com/{tenant}/v2.0"),
        ),
    ] {
        let scope = "openid profile offline_access";
        let mut url = Url::parse(&format!("{base}/{tenant}/oauth2/v2.0/authorize")).unwrap();
        url.query_pairs_mut()
            .extend_pairs(web_request(&emulator, scope));
        let redirect = emulator.sign_in_as(&url, &user(&emulator)).unwrap();
        let code = redirect.parameter("code").unwrap();
        let token_endpoint = format!("{base}/{tenant}/oauth2/v2.0/token");
        let body = post(
            &emulator,
            &token_endpoint,
            &web_redemption(&emulator, &code),
        );
        let id = text(&body, "id_token");
        assert_eq!(claims(id)["iss"], issuing);
        assert_eq!(claims(id)["tid"], tenant);
        let path = format!("{tenant}/discovery/v2.0/keys");
        assert!(is_signed_by_one_of(id, &key_set(&emulator, &path)));
        let refresh = web_refresh(&emulator, text(&body, "refresh_token"), scope);
        let body = post(&emulator, &token_endpoint, &refresh);
        assert_eq!(claims(text(&body, "id_token"))["iss"], issuing);
    }
    let employee = web_tokens(&emulator, "openid");
    assert_eq!(
        claims(text(&employee, "id_token"))["iss"],
        format!("https://localhost/{tenant}/v2.0")
    );
}

#[test]
fn the_pages_stay_where_they_were_opened() {
    let emulator = emulator();
    let url = authorize_url(&emulator, "", &web_request(&emulator, "openid"));
    let place = format!("/contoso.ciamlogin.com{}", url.path());
    let mut by_path = url.clone();
    by_path.set_path(&place);
    let mut browser = Browser::new(&emulator);
    let page = browser.get(&by_path);
    let action = format!("/contoso.ciamlogin.com/{}/login", emulator.tenant_id());
    assert!(page.html().contains(&format!("action=\"{action}\"")));
    let answer = browser.sign_in_at(&page, &emulator.users()[0]);
    assert!(answer.parameter("code").is_some());

    let mut by_host = url;
    by_host.set_host(Some("contoso.ciamlogin.com")).unwrap();
    let page = Browser::new(&emulator).get(&by_host);
    let action = format!("action=\"/{}/login\"", emulator.tenant_id());
    assert!(page.html().contains(&action));
}

#[test]
fn the_header_says_the_host_where_the_request_line_does_not() {
    let emulator = emulator();
    let tenant = emulator.tenant_id();
    let path = format!("/{tenant}/v2.0/.well-known/openid-configuration");
    let request = Request::get(path).header(HOST, "contoso.ciamlogin.com:443");
    let document = json(&emulator.handle(&request.body(Bytes::new()).unwrap()));
    assert_eq!(
        document["issuer"],
        format!("https://{tenant}.ciamlogin.com/{tenant}/v2.0")
    );
}

#[test]
fn another_name_several_tenants_and_graph_are_not_there() {
    let emulator = emulator();
    let tenant = emulator.tenant_id();
    let path = "v2.0/.well-known/openid-configuration";
    for url in [
        format!("https://fabrikam.ciamlogin.com/{tenant}/{path}"),
        format!("https://localhost/fabrikam.ciamlogin.com/{tenant}/{path}"),
        format!("https://contoso.ciamlogin.com/common/{path}"),
        format!("https://contoso.ciamlogin.com/fabrikam.onmicrosoft.com/{path}"),
    ] {
        let answer = get(&emulator, &url);
        assert_eq!(answer.status(), 400, "{url}");
        assert_eq!(json(&answer)["error_codes"], serde_json::json!([90002]));
    }
    let graph = get(&emulator, "https://contoso.ciamlogin.com/v1.0/users");
    assert_eq!(graph.status(), 404);

    let plain = client::user::emulator();
    assert_eq!(plain.external_id_url(), None);
    let url = format!(
        "https://alpenglow.ciamlogin.com/{}/{path}",
        plain.tenant_id()
    );
    assert_eq!(get(&plain, &url).status(), 400);
    let url = Url::parse("https://fabrikam.ciamlogin.com/t/oauth2/v2.0/authorize").unwrap();
    let refused = emulator.sign_in_as(&url, &user(&emulator));
    assert_eq!(refused, Err(SignInError::NotAuthorizeUrl));
}

fn emulator() -> Emulator {
    let seed = Seed::new().with_replication_delay(std::time::Duration::ZERO);
    Emulator::new(seed.with_external_id("Contoso!"))
}

fn get(emulator: &Emulator, url: &str) -> Response<Bytes> {
    emulator.handle(&Request::get(url).body(Bytes::new()).unwrap())
}

fn post(emulator: &Emulator, url: &str, form: &client::user::Pairs) -> Value {
    let mut request = client::user::form_request("", form);
    *request.uri_mut() = url.parse().unwrap();
    assert!(request.headers().contains_key(CONTENT_TYPE));
    let answer = emulator.handle(&request);
    assert_eq!(answer.status(), 200, "{:?}", answer.body());
    json(&answer)
}
