//! Several profiles side by side.

use entra_oidc::{
    EntraLogin, OptionsError, Profile, ProfileName, Profiles, RedirectUri, Sessions, WebLogin,
};
use http::Request;
use serde_json::json;
use url::Url;

use crate::site::{Browser, Site, sessions};
use crate::stage::{REDIRECT_URI, Stage};

const BASE: &str = "https://localhost/auth";

async fn profile(stage: &Stage, name: &str, uri: &str) -> EntraLogin {
    let options = stage
        .options()
        .with_profile(ProfileName::new(name).unwrap());
    let login = stage.connect(options).await;
    login
        .with_redirect_uri(RedirectUri::web(uri).unwrap())
        .unwrap()
}

/// Two customers with a path each.
async fn two() -> Site {
    let stage = Stage::new();
    let uris = ["contoso", "fabrikam"].map(|name| format!("{BASE}/{name}/callback"));
    let app = json!({
        "web": {"redirectUris": [uris[0], uris[1], REDIRECT_URI]},
        "optionalClaims": {"idToken": [{"name": "sid"}]},
    });
    stage.patch_app(&app).await;
    let profiles = Profiles::new();
    let contoso = profile(&stage, "contoso", &uris[0]).await;
    let fabrikam = profile(&stage, "fabrikam", &uris[1]).await;
    profiles
        .put(Profile::new(contoso).with_domains(["contoso.com"]))
        .unwrap();
    profiles
        .put(Profile::new(fabrikam).with_hosts(["fabrikam.localhost"]))
        .unwrap();
    let web = WebLogin::of_profiles(BASE, profiles, sessions(&stage)).unwrap();
    Site::of_web(stage, web)
}

fn redirect_path(url: &Url) -> String {
    let uri = url
        .query_pairs()
        .find(|(name, _)| name == "redirect_uri")
        .unwrap();
    Url::parse(&uri.1).unwrap().path().to_owned()
}

#[tokio::test]
async fn a_profile_is_chosen_by_path_parameter_user_name_or_host() {
    let mut site = two().await;
    for (path, expected) in [
        ("/auth/contoso/login", "/auth/contoso/callback"),
        ("/auth/fabrikam/login", "/auth/fabrikam/callback"),
        ("/auth/login?profile=fabrikam", "/auth/fabrikam/callback"),
        (
            "/auth/login?login_hint=ada%40Contoso.com",
            "/auth/contoso/callback",
        ),
    ] {
        let url = site.go_to_provider(path).await;
        assert_eq!(redirect_path(&url), expected, "{path}");
    }
    let request = Request::get("/auth/login").header("host", "fabrikam.localhost:8443");
    let answer = site.browser.send(request, "").await;
    let url = Url::parse(&answer.location()).unwrap();
    assert_eq!(redirect_path(&url), "/auth/fabrikam/callback");
}

#[tokio::test]
async fn who_says_nothing_is_asked_for_the_user_name_and_not_shown_the_customers() {
    let mut site = two().await;
    let page = site
        .browser
        .get("/auth/login?return_to=%2Fvault%3Fa%3D%22")
        .await;
    assert_eq!(page.status.as_u16(), 200);
    page.is_safe_page();
    assert!(page.body.contains("name=\"login_hint\""));
    assert!(page.body.contains("value=\"/vault?a=&quot;\""));
    assert!(!page.body.contains("contoso"));
    let page = site
        .browser
        .get("/auth/login?login_hint=ada%40adatum.example")
        .await;
    assert!(page.body.contains("Nobody signs in here with this name."));
    assert!(!page.body.contains("adatum"));
    for path in ["/auth/adatum/login", "/auth/login?profile=adatum"] {
        let page = site.browser.get(path).await;
        assert_eq!(page.status.as_u16(), 404);
        page.is_safe_page();
    }
}

#[tokio::test]
async fn a_login_ends_at_the_path_of_its_profile_alone() {
    let mut site = two().await;
    let redirect = site
        .sign_in_elsewhere("/auth/contoso/login?return_to=%2Fvault")
        .await;
    let query = redirect.location.query().unwrap().to_owned();
    let pending = site.browser.clone();
    site.browser
        .get(&format!("/auth/fabrikam/callback?{query}"))
        .await
        .is_failure(400);
    assert_eq!(site.me().await, "nobody");
    let nowhere = format!("/auth/adatum/callback?{query}");
    assert_eq!(site.browser.get(&nowhere).await.status.as_u16(), 404);
    site.browser = pending;
    let back = site.browser.come_back(&redirect).await;
    assert_eq!(back.location(), "/vault");
    assert_ne!(site.me().await, "nobody");
}

#[tokio::test]
async fn profiles_that_share_a_redirect_uri_are_told_apart_by_what_was_sealed() {
    let stage = Stage::new();
    let shared = format!("{BASE}/callback");
    let app = json!({"web": {"redirectUris": [shared]}});
    stage.patch_app(&app).await;
    let profiles = Profiles::new();
    for name in ["contoso", "fabrikam"] {
        let login = profile(&stage, name, &shared).await;
        profiles.put(Profile::new(login)).unwrap();
    }
    let web = WebLogin::of_profiles(BASE, profiles, sessions(&stage)).unwrap();
    let mut site = Site::of_web(stage, web);
    let back = site
        .sign_in_at("/auth/fabrikam/login?return_to=%2Fvault")
        .await;
    assert_eq!(back.location(), "/vault");
    let (_, session) = site.session().await;
    assert_eq!(session.profile.as_str(), "fabrikam");
}

#[tokio::test]
async fn a_sign_out_at_one_customers_provider_ends_no_session_of_another() {
    let mut site = two().await;
    site.sign_in_at("/auth/contoso/login").await;
    let (_, session) = site.session().await;
    let sid = session.user.session_id().unwrap().to_owned();
    let mut frame = Browser::of(&site.web);
    for other in ["fabrikam", "adatum"] {
        let path = format!("/auth/{other}/front-channel-logout?sid={sid}");
        assert_eq!(frame.get(&path).await.status.as_u16(), 200);
        assert_ne!(site.me().await, "nobody");
    }
    // It says for which profile it is, or does nothing.
    let path = format!("/auth/front-channel-logout?sid={sid}");
    assert_eq!(frame.get(&path).await.status.as_u16(), 404);
    frame
        .get(&format!("/auth/contoso/front-channel-logout?sid={sid}"))
        .await;
    assert_eq!(site.me().await, "nobody");
}

#[tokio::test]
async fn a_profile_that_comes_later_has_its_routes_and_one_that_goes_has_none() {
    let mut site = two().await;
    let fabrikam = ProfileName::new("fabrikam").unwrap();
    site.sign_in_at("/auth/fabrikam/login").await;
    site.web.profiles().remove(&fabrikam);
    let answer = site.browser.get("/auth/fabrikam/login").await;
    assert_eq!(answer.status.as_u16(), 404);
    // A session of it can still be ended, here.
    assert_eq!(
        site.browser.post("/auth/logout").await.location(),
        "/auth/signed-out"
    );
    assert_eq!(site.me().await, "nobody");

    let uri = WebLogin::redirect_uri(BASE, &fabrikam).unwrap();
    assert_eq!(uri.as_str(), "https://localhost/auth/fabrikam/callback");
    let login = profile(&site.stage, "fabrikam", uri.as_str()).await;
    site.web.profiles().put(Profile::new(login)).unwrap();
    site.sign_in_at("/auth/fabrikam/login").await;
    assert_ne!(site.me().await, "nobody");
}

#[tokio::test]
async fn a_profile_whose_users_would_come_back_to_no_route_is_told_so_at_once() {
    let mut site = two().await;
    let stray = profile(&site.stage, "stray", "https://localhost/elsewhere/callback").await;
    site.web.profiles().put(Profile::new(stray)).unwrap();
    site.browser.get("/auth/stray/login").await.is_failure(500);
}

#[test]
fn the_base_is_where_redirect_uris_can_be() {
    let web = |base| WebLogin::of_profiles(base, Profiles::new(), Sessions::in_memory());
    assert!(web("https://pw.example.com/auth/").is_ok());
    assert!(web("https://pw.example.com").is_ok());
    for refused in [
        "http://pw.example.com/auth",
        "/auth",
        "https://*.example.com",
    ] {
        assert!(
            matches!(web(refused).err(), Some(OptionsError::RedirectUri(_))),
            "{refused}"
        );
    }
}
