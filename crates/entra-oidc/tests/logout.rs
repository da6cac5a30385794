//! Signing out, here and at the provider.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    reason = "what a test cannot do fails it"
)]

mod stage;

use entra_oidc::{Authority, LogoutRefusal, ProfileName, RedirectUri};
use http::header::COOKIE;
use http::{HeaderMap, HeaderValue, Method, Uri};
use serde_json::json;
use stage::{Browser, Stage, changed};

const POST_LOGOUT: &str = "https://localhost/signin-oidc";

fn uri(query: &str) -> Uri {
    format!("/logout?{query}").parse().unwrap()
}

async fn stage_with_hints() -> Stage {
    let stage = Stage::new();
    let claims = json!({"optionalClaims": {"idToken": [{"name": "sid"}, {"name": "login_hint"}]}});
    stage.patch_app(&claims).await;
    stage
}

#[tokio::test]
async fn a_sign_out_names_the_account_and_comes_back() {
    let stage = stage_with_hints().await;
    let back = RedirectUri::web(POST_LOGOUT).unwrap();
    let login = stage
        .connect(stage.options().with_post_logout_redirect_uri(&back))
        .await;
    let done = stage.finish(&login).await.unwrap();
    let begun = login
        .logout(&done.user, Some(&done.tokens), "/bye")
        .unwrap()
        .unwrap();
    let query: std::collections::HashMap<_, _> = begun.location().query_pairs().collect();
    assert_eq!(query["post_logout_redirect_uri"], POST_LOGOUT);
    assert_eq!(query["logout_hint"], done.user.login_hint().unwrap());
    assert!(!query.contains_key("id_token_hint"));
    assert!(!format!("{begun:?}").contains("ey"));

    let mut browser = Browser::default();
    browser.take(begun.set_cookies());
    let state = query["state"].to_string();
    let finished = login
        .finish_logout(&uri(&format!("state={state}")), &browser.headers())
        .unwrap();
    assert_eq!(finished.return_to.as_str(), "/bye");
    browser.take(&finished.set_cookies);
    assert!(browser.cookies.is_empty());
}

#[tokio::test]
async fn a_sign_out_that_was_not_begun_here_is_refused() {
    let stage = Stage::new();
    let back = RedirectUri::web(POST_LOGOUT).unwrap();
    let login = stage
        .connect(stage.options().with_post_logout_redirect_uri(&back))
        .await;
    let done = stage.finish(&login).await.unwrap();
    let begun = login.logout(&done.user, None, "/").unwrap().unwrap();
    let mut browser = Browser::default();
    browser.take(begun.set_cookies());
    let location = begun.location();
    let right = changed(location, "", &[]);
    let finish =
        |query: &str, headers: &HeaderMap| login.finish_logout(&uri(query), headers).map(|_| ());
    assert_eq!(finish(&right, &HeaderMap::new()), Err(LogoutRefusal::State));
    for wrong in ["", "state=", "state=other"] {
        assert_eq!(
            finish(wrong, &browser.headers()),
            Err(LogoutRefusal::State),
            "{wrong}"
        );
    }
    let twice = format!("{right}&state=x");
    assert_eq!(
        finish(&twice, &browser.headers()),
        Err(LogoutRefusal::State)
    );
    let (name, value) = browser.cookies.pop_first().unwrap();
    for tampered in [value[1..].to_owned(), String::new(), "!".to_owned()] {
        let mut headers = HeaderMap::new();
        headers.insert(
            COOKIE,
            HeaderValue::from_str(&format!("{name}={tampered}")).unwrap(),
        );
        assert_eq!(finish(&right, &headers), Err(LogoutRefusal::State));
    }
    browser.cookies.insert(name, value);
    assert_eq!(finish(&right, &browser.headers()), Ok(()));
    stage.advance(601);
    assert_eq!(
        finish(&right, &browser.headers()),
        Err(LogoutRefusal::State)
    );
}

#[tokio::test]
async fn where_a_sign_out_ends_fits_into_a_cookie_and_is_a_place_of_the_product() {
    let stage = Stage::new();
    let back = RedirectUri::web(POST_LOGOUT).unwrap();
    let login = stage
        .connect(stage.options().with_post_logout_redirect_uri(&back))
        .await;
    let done = stage.finish(&login).await.unwrap();
    for elsewhere in [
        "//evil.example".to_owned(),
        format!("/{}", "a".repeat(10 << 10)),
    ] {
        let begun = login.logout(&done.user, None, &elsewhere).unwrap().unwrap();
        assert!(begun.set_cookies()[0].len() < 4096);
        let mut browser = Browser::default();
        browser.take(begun.set_cookies());
        let query = changed(begun.location(), "", &[]);
        let finished = login.finish_logout(&uri(&query), &browser.headers());
        assert_eq!(finished.unwrap().return_to.as_str(), "/");
    }
}

#[tokio::test]
async fn a_sign_out_of_another_profile_is_refused() {
    let stage = Stage::new();
    let back = RedirectUri::web(POST_LOGOUT).unwrap();
    let options = || stage.options().with_post_logout_redirect_uri(&back);
    let (contoso, fabrikam) = (
        stage.connect(options()).await,
        stage
            .connect(options().with_profile(ProfileName::new("fabrikam").unwrap()))
            .await,
    );
    let done = stage.finish(&contoso).await.unwrap();
    let begun = contoso.logout(&done.user, None, "/").unwrap().unwrap();
    let mut browser = Browser::default();
    browser.take(begun.set_cookies());
    let (name, value) = browser.cookies.pop_first().unwrap();
    let name = name.replace("default", "fabrikam");
    browser.cookies.insert(name, value);
    let query = changed(begun.location(), "", &[]);
    let finished = fabrikam.finish_logout(&uri(&query), &browser.headers());
    assert_eq!(finished.map(|_| ()), Err(LogoutRefusal::State));
}

#[tokio::test]
async fn a_call_names_an_issuer_as_the_tokens_do_where_several_tenants_sign_in() {
    let stage = Stage::new();
    let any = Authority::any_organization(stage.emulator.cloud());
    let login = stage.connect(stage.options_of(any)).await;
    let tenant = stage.emulator.tenant_id();
    for (issuer, is_ours) in [
        (format!("https://localhost/{tenant}/v2.0"), true),
        ("https://localhost/{tenantid}/v2.0".to_owned(), false),
        (format!("https://evil.example/{tenant}/v2.0"), false),
    ] {
        let issuer: String = url::form_urlencoded::byte_serialize(issuer.as_bytes()).collect();
        let found = login.front_channel(&uri(&format!("sid=a&iss={issuer}")));
        assert_eq!(found.is_some(), is_ours, "{issuer}");
    }
}

#[tokio::test]
async fn entras_call_names_a_session_of_this_profile_alone() {
    let stage = Stage::new();
    let named = |name| {
        stage
            .options()
            .with_profile(ProfileName::new(name).unwrap())
    };
    let contoso = stage.connect(named("contoso")).await;
    let key = contoso
        .front_channel(&uri("sid=00000000-0000-4000-8000-000000000001"))
        .unwrap();
    assert_eq!(key.connection(), "contoso");
    assert_eq!(key.session_id(), "00000000-0000-4000-8000-000000000001");
    let fabrikam = stage.connect(named("fabrikam")).await;
    assert_ne!(
        fabrikam.front_channel(&uri("sid=00000000-0000-4000-8000-000000000001")),
        Some(key)
    );
}

#[tokio::test]
async fn a_call_that_names_no_session_or_another_issuer_does_nothing() {
    let stage = Stage::new();
    let login = stage.login().await;
    let issuer = format!("https://localhost/{}/v2.0", stage.emulator.tenant_id());
    let encoded: String = url::form_urlencoded::byte_serialize(issuer.as_bytes()).collect();
    assert!(
        login
            .front_channel(&uri(&format!("sid=a&iss={encoded}")))
            .is_some()
    );
    let long = format!("sid={}", "a".repeat(1 << 14));
    let twice = format!("sid=a&iss={encoded}&iss={encoded}");
    for nothing in [
        "",
        "sid=",
        "sid=a&sid=b",
        "sid=a&iss=https%3A%2F%2Fevil.example",
        "sid=a&iss=",
        &long,
        &twice,
    ] {
        assert_eq!(
            login.front_channel(&uri(nothing)),
            None,
            "{}",
            &nothing[..nothing.len().min(40)]
        );
    }
    let response = entra_oidc::front_channel_response();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["cache-control"], "no-store");
}

#[tokio::test]
async fn a_sign_out_is_asked_for_by_a_page_of_the_product() {
    let stage = Stage::new();
    let login = stage.login().await;
    let headers = |pairs: &[(&'static str, &'static str)]| {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(*name, HeaderValue::from_static(value));
        }
        headers
    };
    for own in [
        headers(&[("sec-fetch-site", "same-origin")]),
        headers(&[("origin", "https://localhost")]),
    ] {
        assert_eq!(login.check_sign_out(&Method::POST, &own), Ok(()));
        assert_eq!(
            login.check_sign_out(&Method::GET, &own),
            Err(LogoutRefusal::CrossSite)
        );
    }
    for other in [
        headers(&[]),
        headers(&[
            ("sec-fetch-site", "cross-site"),
            ("origin", "https://localhost"),
        ]),
        headers(&[("sec-fetch-site", "same-site")]),
        headers(&[("sec-fetch-site", "none")]),
        headers(&[("origin", "https://evil.example")]),
        headers(&[("origin", "http://localhost")]),
        headers(&[("origin", "null")]),
    ] {
        assert_eq!(
            login.check_sign_out(&Method::POST, &other),
            Err(LogoutRefusal::CrossSite),
            "{other:?}"
        );
    }
}
