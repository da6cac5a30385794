//! The plans for logout: begun by the product, and by the provider in a frame or behind the scenes.

use entra_oidc::{EntraLogin, Error, LogoutRefusal, RedirectUri};
use http::Uri;
use serde_json::{Value, json};

use crate::provider::{CLIENT, Draft, ISSUER, Op, Signer};
use crate::stage::Browser;

const BACK: &str = "https://rp.example/signed-out";

/// A sign-out that the provider answers with this query, made of the state that it got.
async fn sign_out(answer: impl Fn(&str) -> String) -> Result<String, LogoutRefusal> {
    let op = Op::default();
    let back = RedirectUri::web(BACK).unwrap();
    let options = Op::options().with_post_logout_redirect_uri(&back);
    let login = op.connect(options).await.unwrap();
    let done = op.sign_in_at(&login).await.unwrap();
    let begun = login.logout(&done.user, Some(&done.tokens), "/bye");
    let begun = begun.unwrap().unwrap();
    let query: std::collections::HashMap<_, _> = begun.location().query_pairs().collect();
    assert_eq!(begun.location().path(), "/end");
    assert_eq!(query["post_logout_redirect_uri"], BACK);
    assert_eq!(query["id_token_hint"].split('.').count(), 3);
    let mut browser = Browser::default();
    browser.take(begun.set_cookies());
    let uri: Uri = format!("/signed-out?{}", answer(&query["state"]))
        .parse()
        .unwrap();
    let finished = login.finish_logout(&uri, &browser.headers());
    finished.map(|finished| finished.return_to.as_str().to_owned())
}

#[tokio::test]
async fn oidcc_client_test_rp_init_logout() {
    let back = sign_out(|state| format!("state={state}")).await;
    assert_eq!(back.as_deref(), Ok("/bye"));
}

#[tokio::test]
async fn oidcc_client_test_rp_init_logout_no_state() {
    assert_eq!(sign_out(|_| String::new()).await, Err(LogoutRefusal::State));
}

#[tokio::test]
async fn oidcc_client_test_rp_init_logout_other_state() {
    let back = sign_out(|_| "state=another".to_owned()).await;
    assert_eq!(back, Err(LogoutRefusal::State));
}

#[tokio::test]
async fn oidcc_client_test_rp_frontchannel_opinitlogout() {
    let login = Op::default().connect(Op::options()).await.unwrap();
    let uri = "/front-channel-logout?iss=https%3A%2F%2Fop.example&sid=08a5"
        .parse()
        .unwrap();
    let key = login.front_channel(&uri).unwrap();
    assert_eq!((key.connection(), key.session_id()), ("default", "08a5"));
    let other = "/front-channel-logout?iss=https%3A%2F%2Fevil.example&sid=08a5";
    assert_eq!(login.front_channel(&other.parse().unwrap()), None);
}

/// A logout token with one thing changed.
async fn back_channel(change: impl Fn(&mut Draft)) -> Result<(), Error> {
    let op = Op::default();
    let login = op.connect(Op::options()).await.unwrap();
    end(&login, &logout_token(&op, change)).await
}

fn logout_token(op: &Op, change: impl Fn(&mut Draft)) -> Draft {
    let mut token = op.draft();
    token.claims.clear();
    let now = op.now();
    for (name, value) in [
        ("iss", Value::from(ISSUER)),
        ("sub", "a user".into()),
        ("aud", CLIENT.into()),
        ("iat", now.into()),
        ("exp", (now + 120).into()),
        ("jti", "bWJq".into()),
        ("sid", "08a5".into()),
        (
            "events",
            json!({"http://schemas.openid.net/event/backchannel-logout": {}}),
        ),
    ] {
        token.claim(name, value);
    }
    change(&mut token);
    token
}

async fn end(login: &EntraLogin, token: &Draft) -> Result<(), Error> {
    let ended = login.back_channel(&token.signed()).await?;
    let session = ended.session.unwrap();
    assert_eq!(session.session_id(), "08a5");
    Ok(())
}

async fn back_channel_refusal(change: impl Fn(&mut Draft)) -> &'static str {
    match back_channel(change).await.unwrap_err() {
        Error::Logout(LogoutRefusal::Token(why)) => why,
        other => panic!("another refusal: {other:?}"),
    }
}

#[tokio::test]
async fn oidcc_client_test_rp_backchannel_rpinitlogout() {
    back_channel(|_| {}).await.unwrap();
}

#[tokio::test]
async fn oidcc_client_test_rp_backchannel_rpinitlogout_alg_none() {
    let why = back_channel_refusal(|token| token.alg("none", Signer::Nothing)).await;
    assert_eq!(why, "it is no signed token of this kind");
}

#[tokio::test]
async fn oidcc_client_test_rp_backchannel_rpinitlogout_wrong_alg() {
    let why = back_channel_refusal(|token| token.alg("HS256", Signer::Hs256)).await;
    assert_eq!(why, "it is no signed token of this kind");
}

#[tokio::test]
async fn oidcc_client_test_rp_backchannel_rpinitlogout_no_event() {
    let why = back_channel_refusal(|token| token.without("events")).await;
    assert_eq!(why, "its claims have another shape");
}

#[tokio::test]
async fn oidcc_client_test_rp_backchannel_rpinitlogout_wrong_event() {
    let why = back_channel_refusal(|token| token.claim("events", json!({"urn:x": {}}))).await;
    assert_eq!(why, "it is no event of a logout");
}

#[tokio::test]
async fn oidcc_client_test_rp_backchannel_rpinitlogout_with_nonce() {
    let why = back_channel_refusal(|token| token.claim("nonce", "n")).await;
    assert_eq!(why, "it has a nonce, as an ID token has");
}

#[tokio::test]
async fn oidcc_client_test_rp_backchannel_rpinitlogout_wrong_aud() {
    let why = back_channel_refusal(|token| token.claim("aud", "another client")).await;
    assert_eq!(why, "it is for another client");
}

#[tokio::test]
async fn oidcc_client_test_rp_backchannel_rpinitlogout_wrong_iss() {
    let why = back_channel_refusal(|token| token.claim("iss", "https://evil.example")).await;
    assert_eq!(why, "its issuer is another one");
}

#[cfg(feature = "axum")]
mod routes {
    use std::sync::Arc;

    use axum::Router;
    use axum::body::Body;
    use entra_core::MemorySessionIndex;
    use entra_oidc::{Login, Sessions, WebLogin};
    use http::{HeaderMap, Request};
    use tower::ServiceExt as _;

    use super::*;

    struct Site {
        op: Op,
        sessions: Sessions,
        routes: Router,
        cookie: HeaderMap,
    }

    impl Site {
        /// A product in which somebody has signed in, at the session `08a5` of the provider.
        async fn new() -> Self {
            let op = Op::default();
            let clock = op.clock();
            op.id_token(|token| token.claim("sid", "08a5"));
            let login = op.connect(Op::options()).await.unwrap();
            let done: Login = op.sign_in_at(&login).await.unwrap();
            let index = MemorySessionIndex::new().with_clock(clock.clone());
            let sessions = Sessions::in_memory()
                .with_clock(clock)
                .with_index(Arc::new(index));
            let set_cookie = sessions.begin(&done, &HeaderMap::new()).await.unwrap();
            let pair = set_cookie.to_str().unwrap().split(';').next().unwrap();
            let mut cookie = HeaderMap::new();
            cookie.insert("cookie", pair.parse().unwrap());
            let routes = WebLogin::new(login, sessions.clone()).unwrap().routes();
            Self {
                op,
                sessions,
                routes,
                cookie,
            }
        }

        async fn post(&self, body: String) -> u16 {
            let request = Request::post("/back-channel-logout").body(Body::from(body));
            let response = self.routes.clone().oneshot(request.unwrap()).await.unwrap();
            assert_eq!(response.headers()["cache-control"], "no-store");
            response.status().as_u16()
        }

        async fn is_signed_in(&self) -> bool {
            self.sessions.load(&self.cookie).await.unwrap().is_some()
        }
    }

    #[tokio::test]
    async fn a_logout_token_ends_the_session_that_it_names_and_no_other() {
        let site = Site::new().await;
        let form = |token: &Draft| format!("logout_token={}", token.signed());
        let other = logout_token(&site.op, |token| {
            token.claim("sid", "another");
            token.claim("jti", "of another");
        });
        assert_eq!(site.post(form(&other)).await, 200);
        assert!(site.is_signed_in().await);
        let token = logout_token(&site.op, |_| {});
        assert_eq!(site.post(form(&token)).await, 200);
        assert!(!site.is_signed_in().await);
    }

    #[tokio::test]
    async fn what_is_no_logout_token_ends_nothing() {
        let site = Site::new().await;
        let unsigned = logout_token(&site.op, |token| token.alg("none", Signer::Nothing));
        let nameless = logout_token(&site.op, |token| token.without("sid"));
        for (body, status) in [
            (String::new(), 400),
            ("logout_token=".to_owned(), 400),
            (format!("logout_token={}", unsigned.signed()), 400),
            (format!("logout_token={}", nameless.signed()), 400),
            (format!("logout_token={}", "a".repeat(65 << 10)), 413),
        ] {
            assert_eq!(site.post(body).await, status);
            assert!(site.is_signed_in().await);
        }
    }
}
