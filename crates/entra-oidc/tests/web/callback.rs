//! What comes back to the redirect URI and is refused.

use http::Request;
use url::Url;

use crate::site::{Answer, Site};
use crate::stage::changed;

/// A login whose answer is changed on the way back.
async fn refused(change: impl Fn(&Url) -> String) -> (Site, Answer) {
    let mut site = Site::new().await;
    let redirect = site.sign_in_elsewhere("/vault").await;
    let path = format!("/signin-oidc?{}", change(&redirect.location));
    let answer = site.browser.get(&path).await;
    (site, answer)
}

#[tokio::test]
async fn a_refused_answer_is_a_page_and_no_session() {
    type Row = (&'static str, fn(&Url) -> String);
    let cases: [Row; 7] = [
        ("no state", |url| changed(url, "state", &[])),
        ("another state", |url| {
            changed(url, "state", &[("state", "x")])
        }),
        ("two states", |url| changed(url, "", &[("state", "x")])),
        ("two codes", |url| changed(url, "", &[("code", "x")])),
        ("no code", |url| changed(url, "code", &[])),
        ("code and error", |url| {
            changed(url, "", &[("error", "access_denied")])
        }),
        ("another issuer", |url| {
            changed(url, "", &[("iss", "https://evil.example")])
        }),
    ];
    for (what, change) in cases {
        let (mut site, answer) = refused(change).await;
        println!("{what}");
        answer.is_failure(400);
        assert_eq!(site.browser.session_cookie(), None);
        assert_eq!(site.me().await, "nobody");
    }
}

#[tokio::test]
async fn nothing_of_what_came_stands_on_the_page() {
    let hostile = "AADSTS65004: <script>alert(1)</script> call 555-0100";
    let (_, answer) = refused(|url| {
        changed(
            url,
            "code",
            &[
                ("error", "access_denied<b>"),
                ("error_description", hostile),
            ],
        )
    })
    .await;
    answer.is_failure(403);
    for word in ["script", "555", "AADSTS", "<b>", "access_denied"] {
        assert!(!answer.body.contains(word), "{word}");
    }
}

#[tokio::test]
async fn a_login_that_was_cancelled_can_be_begun_again_for_the_same_page() {
    let (_, answer) = refused(|url| {
        let description = "AADSTS65004: User declined to consent to access the app.";
        changed(
            url,
            "code",
            &[
                ("error", "access_denied"),
                ("error_description", description),
            ],
        )
    })
    .await;
    answer.is_failure(403);
    assert!(answer.body.contains("The sign-in was cancelled."));
    assert!(answer.body.contains("href=\"/login?return_to=%2Fvault\""));
}

#[tokio::test]
async fn an_answer_in_another_browser_is_refused() {
    let mut site = Site::new().await;
    let redirect = site.sign_in_elsewhere("/vault").await;
    site.browser.cookies.clear();
    site.browser.come_back(&redirect).await.is_failure(400);
    assert_eq!(site.me().await, "nobody");
}

#[tokio::test]
async fn a_form_where_none_was_asked_for_is_refused_and_the_other_way_round() {
    let mut site = Site::new().await;
    let redirect = site.sign_in_elsewhere("/vault").await;
    let query = redirect.location.query().unwrap().to_owned();
    let request =
        Request::post("/signin-oidc").header("content-type", "application/x-www-form-urlencoded");
    site.browser.send(request, &query).await.is_failure(400);

    let mut site = Site::with(|options| options.with_form_post().unwrap()).await;
    let redirect = site.sign_in_elsewhere("/vault").await;
    let form = redirect.form.unwrap();
    let path = format!("/signin-oidc?{form}");
    site.browser.get(&path).await.is_failure(400);
    assert_eq!(site.me().await, "nobody");
}

#[tokio::test]
async fn a_body_that_is_no_form_or_too_large_is_refused() {
    let mut site = Site::with(|options| options.with_form_post().unwrap()).await;
    let redirect = site.sign_in_elsewhere("/vault").await;
    let form = redirect.form.unwrap();
    let large = format!("{form}&x={}", "a".repeat(128 << 10));
    for (kind, body) in [
        ("application/json", form.as_str()),
        ("multipart/form-data; boundary=x", &form),
        ("application/x-www-form-urlencoded", &large),
    ] {
        let request = Request::post("/signin-oidc").header("content-type", kind);
        site.browser.send(request, body).await.is_failure(400);
    }
    for method in ["PUT", "DELETE"] {
        let request = Request::builder().method(method).uri("/signin-oidc");
        let answer = site.browser.send(request, &form).await;
        assert_eq!(answer.status.as_u16(), 405);
    }
    assert_eq!(site.me().await, "nobody");
}

#[tokio::test]
async fn a_look_at_the_address_uses_nothing_up() {
    let mut site = Site::new().await;
    let redirect = site.sign_in_elsewhere("/vault").await;
    let path = format!("/signin-oidc?{}", redirect.location.query().unwrap());
    // A scanner of links, without cookies.
    let mut scanner = crate::site::Browser::of(&site.web);
    let answer = scanner.send(Request::head(&path), "").await;
    assert_eq!(answer.status.as_u16(), 400);
    assert_eq!(scanner.get(&path).await.status.as_u16(), 400);
    assert_eq!(site.browser.get(&path).await.location(), "/vault");
}

#[tokio::test]
async fn an_answer_that_a_browser_sends_twice_goes_on_where_its_first_one_did() {
    let mut site = Site::new().await;
    let redirect = site.sign_in_elsewhere("/vault").await;
    let pending = site.browser.cookies.clone();
    site.browser.come_back(&redirect).await;
    let session = site.browser.session_cookie().unwrap().to_owned();
    // Both were on the way when the first one was answered.
    site.browser.cookies.extend(pending.clone());
    let second = site.browser.come_back(&redirect).await;
    assert_eq!(second.location(), "/vault");
    assert_eq!(site.browser.session_cookie(), Some(session.as_str()));

    // Without the session it is a replay.
    site.browser.cookies = pending;
    site.browser.come_back(&redirect).await.is_failure(400);
    assert_eq!(site.me().await, "nobody");
}

#[tokio::test]
async fn a_form_that_a_browser_sends_twice_goes_on_though_the_session_is_not_seen() {
    let mut site = Site::with(|options| options.with_form_post().unwrap()).await;
    let redirect = site.sign_in_elsewhere("/vault").await;
    let pending = site.browser.cookies.clone();
    site.browser.come_back(&redirect).await;
    site.browser.cookies.extend(pending.clone());
    let second = site.browser.come_back(&redirect).await;
    assert_eq!(second.location(), "/vault");
    // It made no session: who has none is asked to sign in there.
    assert_no_session(&second);
    // Also when what was pending has been taken away by the first answer.
    let third = site.browser.come_back(&redirect).await;
    assert_eq!(third.location(), "/signin-oidc?again");
    assert_no_session(&third);
    assert_eq!(site.browser.get("/signin-oidc?again").await.location(), "/");
    // Whoever has no session sees what is wrong.
    let mut other = crate::site::Browser::of(&site.web);
    other.get("/signin-oidc?again").await.is_failure(400);

    let form = redirect.form.unwrap();
    let request =
        Request::post("/signin-oidc").header("content-type", "application/x-www-form-urlencoded");
    site.browser.cookies = pending;
    site.browser.send(request, &form).await.is_failure(400);
}

fn assert_no_session(answer: &Answer) {
    for cookie in answer.set_cookies() {
        assert!(!cookie.contains("entra_session"), "{cookie}");
    }
}

#[tokio::test]
async fn a_page_of_the_product_stands_in_the_place_of_the_failure() {
    use axum::response::IntoResponse as _;

    let mut site = Site::new().await;
    let web = site.web.clone().with_failure_page(|failure| {
        let text = format!(
            "{} {} {}",
            failure.user_message(),
            failure.try_again(),
            failure.reference().len()
        );
        (failure.status(), text).into_response()
    });
    site.browser = crate::site::Browser::of(&web);
    let answer = site.browser.get("/signin-oidc?code=a&state=b").await;
    assert_eq!(answer.status.as_u16(), 400);
    assert_eq!(
        answer.body,
        "This sign-in was begun in another browser or long ago. Please try again. /login 12"
    );
}
