//! The way to the provider and back.

use std::collections::HashMap;

use entra_oidc::{LoginOptions, RedirectUri, Sessions, WebLogin};
use http::Request;
use url::Url;

use crate::site::Site;
use crate::stage::keys;

#[tokio::test]
async fn whoever_is_not_signed_in_goes_to_the_provider_and_comes_back_to_the_page() {
    let mut site = Site::new().await;
    let answer = site.browser.get("/vault?id=7").await;
    assert_eq!(answer.location(), "/login?return_to=%2Fvault%3Fid%3D7");
    let back = site.sign_in_at("/vault?id=7").await;
    assert_eq!(back.location(), "/vault?id=7");

    let user = &site.stage.emulator.users()[0];
    let key = format!("{}/{}", site.stage.emulator.tenant_id(), user.object_id);
    let page = site.browser.get("/vault?id=7").await;
    assert_eq!(page.body, format!("the vault of {key}"));
    assert_eq!(site.me().await, key);
    // Nothing is left of the way.
    let names: Vec<_> = site.browser.cookies.keys().collect();
    assert_eq!(names, ["__Host-entra_session"]);
}

#[tokio::test]
async fn a_form_from_the_provider_signs_in_without_the_sessions_cookie() {
    let mut site = Site::with(|options| options.with_form_post().unwrap()).await;
    let redirect = site.sign_in_elsewhere("/vault").await;
    assert!(redirect.form.is_some());
    let back = site.browser.come_back(&redirect).await;
    assert_eq!(back.location(), "/vault");
    assert_ne!(site.me().await, "nobody");
}

#[tokio::test]
async fn the_sessions_cookie_is_kept_from_scripts_http_and_other_sites() {
    let mut site = Site::with(|options| options.with_form_post().unwrap()).await;
    let back = site.sign_in_at("/vault").await;
    let cookies = back.set_cookies();
    let session = cookies
        .iter()
        .find(|cookie| cookie.starts_with("__Host-entra_session="))
        .unwrap();
    let (_, attributes) = session.split_once(';').unwrap();
    assert_eq!(
        attributes,
        " Path=/; Max-Age=28800; HttpOnly; SameSite=Lax; Secure"
    );
    // No token and no name is in it, but 256 bits.
    assert_eq!(site.browser.session_cookie().unwrap().len(), 43);
}

#[tokio::test]
async fn a_script_is_told_so_and_where_the_login_is() {
    let mut site = Site::new().await;
    let request = Request::get("/vault").header("accept", "application/json");
    let answer = site.browser.send(request, "").await;
    assert_eq!(answer.status.as_u16(), 401);
    assert_eq!(
        answer.body,
        r#"{"error":"sign_in_required","login":"/login?return_to=%2Fvault"}"#
    );
    assert_eq!(
        answer.header("www-authenticate"),
        "Cookie cookie-name=\"__Host-entra_session\""
    );
}

#[tokio::test]
async fn a_form_that_was_posted_ends_at_its_page() {
    let mut site = Site::new().await;
    let request = Request::post("/vault/open").header("referer", "https://localhost/vault?id=7");
    let answer = site.browser.send(request, "").await;
    assert_eq!(answer.location(), "/login?return_to=%2Fvault%3Fid%3D7");
}

#[tokio::test]
async fn a_page_of_a_nested_router_is_come_back_to() {
    let mut site = Site::new().await;
    let answer = site.browser.get("/nested/page?x=1").await;
    assert_eq!(
        answer.location(),
        "/login?return_to=%2Fnested%2Fpage%3Fx%3D1"
    );
}

#[tokio::test]
async fn a_link_to_the_login_may_wish_for_little() {
    let mut site = Site::new().await;
    let wish = "/login?login_hint=ada%40contoso.com&domain_hint=contoso.com&prompt=login\
                &scope=Mail.Read&claims=%7B%7D&redirect_uri=https%3A%2F%2Fevil.example\
                &client_id=x&response_mode=fragment&max_age=0&nonce=n&state=s";
    let url = site.go_to_provider(wish).await;
    let query: HashMap<_, _> = url.query_pairs().into_owned().collect();
    assert_eq!(query["login_hint"], "ada@contoso.com");
    assert_eq!(query["domain_hint"], "contoso.com");
    assert_eq!(query["prompt"], "login");
    assert_eq!(query["scope"], "openid profile");
    assert_eq!(query["redirect_uri"], "https://localhost/signin-oidc");
    assert_eq!(query["response_mode"], "query");
    for name in ["claims", "max_age"] {
        assert!(!query.contains_key(name), "{name}");
    }
    assert_ne!(query["nonce"], "n");
    assert_ne!(query["state"], "s");

    for (prompt, expected) in [
        ("none", None),
        ("consent", None),
        ("create", Some("create")),
        ("select_account", Some("select_account")),
    ] {
        let path = format!("/login?prompt={prompt}&login_hint=a");
        let url = site.go_to_provider(&path).await;
        let query: HashMap<_, _> = url.query_pairs().into_owned().collect();
        assert_eq!(query.get("prompt").map(String::as_str), expected);
        // Both would be refused.
        let has_hint = query.contains_key("login_hint");
        assert_eq!(has_hint, prompt != "select_account");
    }
}

/// The hostile return URLs of many products' past.
#[tokio::test]
async fn no_login_ends_on_another_site() {
    for return_to in [
        "//evil.example",
        "/\\evil.example",
        "/%2fevil.example",
        "/%5Cevil.example",
        "https:evil.example",
        "https://evil.example/",
        "javascript:alert(1)",
        "\t/evil.example",
        "https://localhost//evil.example",
        "https://localhost@evil.example",
    ] {
        let mut site = Site::new().await;
        let query = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("return_to", return_to)
            .finish();
        let back = site.sign_in_at(&format!("/login?{query}")).await;
        assert_eq!(back.location(), "/", "{return_to}");
        assert_ne!(site.me().await, "nobody");
    }
}

#[tokio::test]
async fn somebody_else_may_initiate_a_login_at_the_right_issuer() {
    let mut site = Site::new().await;
    let issuer = format!("https://localhost/{}/v2.0", site.stage.emulator.tenant_id());
    let initiate = |issuer: &str, target: &str| {
        let query = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("iss", issuer)
            .append_pair("login_hint", "ada@contoso.com")
            .append_pair("target_link_uri", target)
            .finish();
        format!("/login?{query}")
    };
    let path = initiate(&issuer, "https://localhost/vault?id=7");
    let back = site.sign_in_at(&path).await;
    assert_eq!(back.location(), "/vault?id=7");
    for elsewhere in [
        "https://localhost.evil.example/x",
        "https://localhost//evil.example",
    ] {
        let path = initiate(&issuer, elsewhere);
        assert_eq!(site.sign_in_at(&path).await.location(), "/", "{elsewhere}");
    }
    let path = initiate("https://evil.example", "https://localhost/");
    let refused = site.browser.get(&path).await;
    assert_eq!(refused.status.as_u16(), 404);
    refused.is_safe_page();
}

#[tokio::test]
async fn the_routes_stand_beside_the_redirect_uri() {
    let site = Site::new().await;
    for (uri, login, front_channel) in [
        (
            "https://localhost/auth/callback",
            "/auth/login",
            "https://localhost/auth/front-channel-logout",
        ),
        (
            "https://localhost/signin-oidc",
            "/login",
            "https://localhost/front-channel-logout",
        ),
    ] {
        let uri = RedirectUri::web(uri).unwrap();
        let other = site.stage.login().await.with_redirect_uri(uri).unwrap();
        let profile = other.profile().clone();
        let web = WebLogin::new(other, Sessions::in_memory()).unwrap();
        assert_eq!(
            web.front_channel_url(&profile).as_deref(),
            Some(front_channel)
        );
        let mut browser = crate::site::Browser::of(&web);
        let answer = browser.get(login).await;
        assert!(Url::parse(&answer.location()).is_ok());
    }
}

#[tokio::test]
async fn a_redirect_uri_without_a_path_of_its_own_has_no_routes() {
    let stage = crate::stage::Stage::new();
    let web = |uri: RedirectUri| {
        let stage = stage.clone();
        async move {
            let login = stage.login().await.with_redirect_uri(uri).unwrap();
            WebLogin::new(login, Sessions::in_memory()).err()
        }
    };
    for uri in [
        RedirectUri::web("https://localhost").unwrap(),
        RedirectUri::web("https://localhost/auth/").unwrap(),
        RedirectUri::web("https://localhost/auth/login").unwrap(),
    ] {
        let expected = Some(entra_oidc::OptionsError::NoCallbackPath);
        assert_eq!(web(uri).await, expected);
    }
    // A native client has no cookies at a web server.
    let options = LoginOptions::new(
        stage.authority(),
        &stage.emulator.public_app().client_id,
        RedirectUri::loopback(),
        keys(),
    )
    .unwrap();
    let login = stage.connect(options).await;
    assert_eq!(
        WebLogin::new(login, Sessions::in_memory()).err(),
        Some(entra_oidc::OptionsError::NoCallbackPath)
    );
}

#[tokio::test]
async fn over_plain_http_the_cookie_has_another_name_which_https_never_reads() {
    let stage = crate::stage::Stage::new();
    let uri = RedirectUri::web("http://localhost/signin-oidc").unwrap();
    let login = stage.login().await.with_redirect_uri(uri).unwrap();
    let sessions = crate::site::sessions(&stage);
    let mut local = Site::of_login(stage.clone(), login, sessions.clone());
    local.sign_in_at("/vault").await;
    assert_ne!(local.me().await, "nobody");
    let (name, cookie) = local.browser.cookies.pop_first().unwrap();
    assert_eq!(name, "entra_session");
    // The same sessions by https: a cookie that a neighbouring host may have planted is no session.
    let mut secure = Site::of_login(stage.clone(), stage.login().await, sessions);
    secure.browser.cookies.insert(name, cookie);
    assert_eq!(secure.me().await, "nobody");
}
