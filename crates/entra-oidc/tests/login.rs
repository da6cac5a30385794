//! The login from begin to finish: what is refused, and by which name.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    reason = "what a test cannot do fails it"
)]

mod stage;

use bytes::Bytes;
use entra_core::{Clock as _, KeyRing, SealingKey, UserKey};
use entra_oidc::{
    Authority, Begin, CallbackRefusal, EntraLogin, Error, PendingLogin, ProfileName, Prompt,
    RedirectUri,
};
use http::header::LOCATION;
use http::{HeaderValue, Response, StatusCode};
use stage::{Browser, Stage, changed, keys};

/// Begins a login, lets the user sign in, and changes the query with which the browser comes back.
async fn refusal(change: impl Fn(&url::Url) -> String) -> Error {
    let stage = Stage::new();
    let login = stage.login().await;
    let mut browser = Browser::default();
    let begun = login.begin(Begin::to("/vault")).unwrap();
    browser.take(begun.set_cookies());
    let redirect = stage.sign_in(&begun);
    let callback = browser.get(&change(&redirect.location));
    login.finish(&callback).await.unwrap_err().into_error()
}

fn callback_refusal(error: &Error) -> &CallbackRefusal {
    match error {
        Error::Callback(refusal) => refusal,
        other => panic!("another refusal: {other:?}"),
    }
}

#[tokio::test]
async fn a_user_signs_in_and_goes_where_they_were_going() {
    let stage = Stage::new();
    let login = stage.login().await;
    let done = stage.finish(&login).await.unwrap();
    let user = &stage.emulator.users()[0];
    let key = format!("{}/{}", stage.emulator.tenant_id(), user.object_id);
    assert_eq!(done.user.key().to_string(), key);
    assert_eq!(done.return_to.as_str(), "/vault");
    assert_eq!(done.account, None);
    // A login that calls nothing has no refresh token.
    assert!(!done.tokens.session().unwrap().has_refresh_token());
}

#[tokio::test]
async fn the_request_asks_for_a_code_bound_to_this_login() {
    let stage = Stage::new();
    let login = stage.login().await;
    let begin = Begin::to("/")
        .with_prompt(Prompt::Login)
        .with_login_hint("ada@contoso.example")
        .with_domain_hint("organizations")
        .with_ui_locales("de en");
    let begun = login.begin(begin).unwrap();
    let query: std::collections::HashMap<_, _> =
        begun.location().query_pairs().into_owned().collect();
    for (name, value) in [
        ("response_type", "code"),
        ("response_mode", "query"),
        ("redirect_uri", stage::REDIRECT_URI),
        ("scope", "openid profile"),
        ("code_challenge_method", "S256"),
        ("prompt", "login"),
        ("login_hint", "ada@contoso.example"),
        ("domain_hint", "organizations"),
        ("ui_locales", "de en"),
    ] {
        assert_eq!(query[name], value, "{name}");
    }
    for random in ["state", "nonce", "code_challenge"] {
        assert_eq!(query[random].len(), 43, "{random}");
    }
    let response = begun.response();
    assert_eq!(response.status(), StatusCode::SEE_OTHER);
    assert_eq!(response.headers()["cache-control"], "no-store");
    let cookie = begun.set_cookies()[0].to_str().unwrap();
    assert!(cookie.starts_with("__Host-entra_tx_"));
    assert!(cookie.ends_with("; Path=/; Max-Age=600; HttpOnly; SameSite=Lax; Secure"));
}

#[tokio::test]
async fn two_replicas_share_a_login_by_their_keys_alone() {
    let stage = Stage::new();
    let (one, other) = (stage.login().await, stage.login().await);
    let mut browser = Browser::default();
    let begun = one.begin(Begin::to("/vault")).unwrap();
    browser.take(begun.set_cookies());
    let callback = browser.callback(&stage.sign_in(&begun));
    assert!(other.finish(&callback).await.is_ok());
}

#[tokio::test]
async fn a_form_is_answered_where_a_form_was_asked_for() {
    let stage = Stage::new();
    let login = stage
        .connect(stage.options().with_form_post().unwrap())
        .await;
    let mut browser = Browser::default();
    let begun = login.begin(Begin::to("/vault")).unwrap();
    let cookie = begun.set_cookies()[0].to_str().unwrap();
    assert!(cookie.contains("SameSite=None; Secure"));
    browser.take(begun.set_cookies());
    let redirect = stage.sign_in(&begun);
    assert!(redirect.form.is_some());
    let done = login.finish(&browser.callback(&redirect)).await.unwrap();
    browser.take(&done.set_cookies);
    assert!(browser.cookies.is_empty());
}

#[tokio::test]
async fn an_answer_without_state_is_refused() {
    let error = refusal(|url| changed(url, "state", &[])).await;
    assert_eq!(callback_refusal(&error), &CallbackRefusal::StateMissing);
    let error = refusal(|url| changed(url, "state", &[("state", "")])).await;
    assert_eq!(callback_refusal(&error), &CallbackRefusal::StateMissing);
}

#[tokio::test]
async fn an_answer_with_another_state_is_refused() {
    let error = refusal(|url| changed(url, "state", &[("state", "other")])).await;
    assert_eq!(
        callback_refusal(&error),
        &CallbackRefusal::TransactionNotFound
    );
}

#[tokio::test]
async fn an_answer_in_another_browser_is_refused() {
    let stage = Stage::new();
    let login = stage.login().await;
    let begun = login.begin(Begin::to("/vault")).unwrap();
    let redirect = stage.sign_in(&begun);
    let mut other = Browser::default();
    other.take(login.begin(Begin::to("/")).unwrap().set_cookies());
    let error = login.finish(&other.callback(&redirect)).await.unwrap_err();
    assert_eq!(
        callback_refusal(error.error()),
        &CallbackRefusal::TransactionNotFound
    );
    assert!(error.set_cookies().is_empty());
}

#[tokio::test]
async fn a_cookie_that_was_changed_is_refused() {
    let stage = Stage::new();
    let login = stage.login().await;
    let begun = login.begin(Begin::to("/vault")).unwrap();
    let redirect = stage.sign_in(&begun);
    let mut browser = Browser::default();
    browser.take(begun.set_cookies());
    let (name, value) = browser.cookies.pop_first().unwrap();
    let sealed = &value["default.".len()..];
    let first = if sealed.starts_with('A') { "B" } else { "A" };
    for changed in [
        format!("default.{first}{}", &sealed[1..]),
        value[..value.len() - 4].to_owned(),
        "default.".to_owned(),
        "default.!".to_owned(),
        sealed.to_owned(),
        String::new(),
    ] {
        browser.cookies.insert(name.clone(), changed.clone());
        let error = login
            .finish(&browser.callback(&redirect))
            .await
            .unwrap_err();
        assert_eq!(
            callback_refusal(error.error()),
            &CallbackRefusal::TransactionInvalid,
            "{changed}"
        );
        // The pending login is over all the same.
        assert_eq!(error.set_cookies().len(), 1);
    }
}

#[tokio::test]
async fn a_cookie_under_another_name_or_key_is_refused() {
    let stage = Stage::new();
    let login = stage.login().await;
    let (one, two) = (
        login.begin(Begin::to("/")).unwrap(),
        login.begin(Begin::to("/")).unwrap(),
    );
    let mut browser = Browser::default();
    browser.take(one.set_cookies());
    let (name, _) = browser.cookies.pop_first().unwrap();
    browser.take(two.set_cookies());
    let (_, other) = browser.cookies.pop_first().unwrap();
    browser.cookies.insert(name, other);
    let error = login
        .finish(&browser.callback(&stage.sign_in(&one)))
        .await
        .unwrap_err();
    assert_eq!(
        callback_refusal(error.error()),
        &CallbackRefusal::TransactionInvalid
    );
}

#[tokio::test]
async fn a_pending_login_ends_after_ten_minutes() {
    for (seconds, ends) in [(600, false), (601, true)] {
        let stage = Stage::new();
        let login = stage.login().await;
        let mut browser = Browser::default();
        let begun = login.begin(Begin::to("/vault")).unwrap();
        browser.take(begun.set_cookies());
        stage.advance(seconds);
        let callback = browser.callback(&stage.sign_in(&begun));
        let finished = login.finish(&callback).await;
        match finished {
            Ok(_) => assert!(!ends),
            Err(error) => {
                assert!(ends);
                assert_eq!(
                    callback_refusal(error.error()),
                    &CallbackRefusal::TransactionExpired
                );
            }
        }
    }
}

#[tokio::test]
async fn an_answer_for_one_profile_is_worth_nothing_at_another() {
    let stage = Stage::new();
    let named = |name| {
        stage
            .options()
            .with_profile(ProfileName::new(name).unwrap())
    };
    let (contoso, fabrikam) = (
        stage.connect(named("contoso")).await,
        stage.connect(named("fabrikam")).await,
    );
    let mut browser = Browser::default();
    let begun = contoso.begin(Begin::to("/vault")).unwrap();
    browser.take(begun.set_cookies());
    let redirect = stage.sign_in(&begun);
    let error = fabrikam
        .finish(&browser.callback(&redirect))
        .await
        .unwrap_err();
    assert_eq!(
        callback_refusal(error.error()),
        &CallbackRefusal::OtherProfile
    );
    // Nor where the cookie claims to be the other's.
    let (name, value) = browser.cookies.pop_first().unwrap();
    let claimed = value.replacen("contoso.", "fabrikam.", 1);
    browser.cookies.insert(name, claimed);
    let error = fabrikam
        .finish(&browser.callback(&redirect))
        .await
        .unwrap_err();
    assert_eq!(
        callback_refusal(error.error()),
        &CallbackRefusal::TransactionInvalid
    );
}

#[tokio::test]
async fn an_answer_is_good_for_one_login() {
    let stage = Stage::new();
    let login = stage.login().await;
    let mut browser = Browser::default();
    let begun = login.begin(Begin::to("/vault")).unwrap();
    browser.take(begun.set_cookies());
    let callback = browser.callback(&stage.sign_in(&begun));
    assert!(login.finish(&callback).await.is_ok());
    // For as long as the browser could still hold the pending login.
    for wait in [0, 1, 598] {
        stage.advance(wait);
        let error = login.finish(&callback).await.unwrap_err();
        assert_eq!(
            callback_refusal(error.error()),
            &CallbackRefusal::TransactionReplayed
        );
    }
}

#[tokio::test]
async fn a_parameter_that_stands_there_twice_is_refused() {
    for name in ["code", "state", "error"] {
        let error = refusal(|url| format!("{}&{name}=x&{name}=y", changed(url, name, &[]))).await;
        assert_eq!(
            callback_refusal(&error),
            &CallbackRefusal::DuplicateParameter(name)
        );
    }
}

#[tokio::test]
async fn a_code_and_an_error_together_are_refused() {
    let error = refusal(|url| changed(url, "", &[("error", "access_denied")])).await;
    assert_eq!(
        callback_refusal(&error),
        &CallbackRefusal::Malformed("both a code and an error")
    );
}

#[tokio::test]
async fn an_answer_with_neither_code_nor_error_is_refused() {
    for with in [&[][..], &[("code", "")]] {
        let error = refusal(|url| changed(url, "code", with)).await;
        assert_eq!(callback_refusal(&error), &CallbackRefusal::CodeMissing);
    }
}

#[tokio::test]
async fn an_answer_of_another_issuer_is_refused() {
    let error = refusal(|url| changed(url, "", &[("iss", "https://evil.example")])).await;
    assert_eq!(callback_refusal(&error), &CallbackRefusal::Issuer);
}

#[tokio::test]
async fn an_answer_may_name_its_issuer() {
    let stage = Stage::new();
    let login = stage.login().await;
    let mut browser = Browser::default();
    let begun = login.begin(Begin::to("/vault")).unwrap();
    browser.take(begun.set_cookies());
    let issuer = format!("https://localhost/{}/v2.0", stage.emulator.tenant_id());
    let location = stage.sign_in(&begun).location;
    let query = changed(&location, "iss", &[("iss", &issuer)]);
    assert!(login.finish(&browser.get(&query)).await.is_ok());
}

#[tokio::test]
async fn a_pending_login_is_finished_where_it_was_begun() {
    let stage = Stage::new();
    let login = stage.login().await;
    let elsewhere = RedirectUri::web("https://localhost/other").unwrap();
    let elsewhere = login.with_redirect_uri(elsewhere).unwrap();
    let any = Authority::any_organization(stage.emulator.cloud());
    let other_issuer = stage.connect(stage.options_of(any)).await;
    for other in [elsewhere, other_issuer] {
        let mut browser = Browser::default();
        let begun = login.begin(Begin::to("/vault")).unwrap();
        browser.take(begun.set_cookies());
        let callback = browser.callback(&stage.sign_in(&begun));
        let error = other.finish(&callback).await.unwrap_err();
        assert_eq!(
            callback_refusal(error.error()),
            &CallbackRefusal::TransactionInvalid
        );
    }
}

#[tokio::test]
async fn an_answer_that_names_no_issuer_is_refused_where_the_provider_says_it_does() {
    let stage = Stage::new();
    stage
        .between
        .change_json("openid-configuration", |document| {
            document["authorization_response_iss_parameter_supported"] = true.into();
        });
    let login = stage.login().await;
    let error = stage.finish(&login).await.unwrap_err();
    assert_eq!(callback_refusal(&error), &CallbackRefusal::IssuerMissing);
}

#[tokio::test]
async fn an_answer_that_came_another_way_is_refused() {
    // A form, though a query was asked for.
    let stage = Stage::new();
    let login = stage.login().await;
    let mut browser = Browser::default();
    let begun = login.begin(Begin::to("/vault")).unwrap();
    browser.take(begun.set_cookies());
    let redirect = stage.sign_in(&begun);
    let callback = browser.post(redirect.location.query().unwrap());
    let error = login.finish(&callback).await.unwrap_err();
    assert_eq!(
        callback_refusal(error.error()),
        &CallbackRefusal::ResponseMode
    );
    // And the other way round.
    let login = stage
        .connect(stage.options().with_form_post().unwrap())
        .await;
    let begun = login.begin(Begin::to("/vault")).unwrap();
    browser.take(begun.set_cookies());
    let callback = browser.get(&stage.sign_in(&begun).form.unwrap());
    let error = login.finish(&callback).await.unwrap_err();
    assert_eq!(
        callback_refusal(error.error()),
        &CallbackRefusal::ResponseMode
    );
}

#[tokio::test]
async fn a_token_that_nobody_asked_for_is_refused() {
    for name in ["id_token", "access_token", "response"] {
        let error = refusal(|url| changed(url, "", &[(name, "e30.e30.")])).await;
        assert_eq!(
            callback_refusal(&error),
            &CallbackRefusal::UnexpectedParameter(name)
        );
    }
}

#[tokio::test]
async fn a_declined_consent_is_told_without_the_providers_words() {
    let error = refusal(|url| {
        let state = url.query_pairs().find(|(name, _)| name == "state").unwrap();
        let description = "AADSTS65004: <script>alert(1)</script>";
        url::form_urlencoded::Serializer::new(String::new())
            .append_pair("state", &state.1)
            .append_pair("error", "access_denied")
            .append_pair("error_description", description)
            .finish()
    })
    .await;
    let Error::Provider(provider) = &error else {
        panic!("{error:?}");
    };
    assert_eq!(provider.error(), "access_denied");
    assert_eq!(provider.codes(), [65004]);
    assert_eq!(error.http_status(), StatusCode::FORBIDDEN);
    assert_eq!(error.user_message(), "The sign-in was cancelled.");
    assert!(!error.to_string().contains("script"));
}

#[tokio::test]
async fn what_the_provider_asks_for_comes_with_its_claims() {
    let claims = r#"{"id_token":{"acrs":{"essential":true,"value":"c1"}}}"#;
    let error = refusal(|url| {
        changed(
            url,
            "code",
            &[("error", "interaction_required"), ("claims", claims)],
        )
    })
    .await;
    assert!(error.needs_user());
    assert_eq!(error.claims(), Some(claims));
}

#[tokio::test]
async fn an_answer_without_id_token_is_refused() {
    let stage = Stage::new();
    let login = stage.login().await;
    stage.between.change_json("/oauth2/v2.0/token", |answer| {
        answer.as_object_mut().unwrap().remove("id_token");
    });
    let error = stage.finish(&login).await.unwrap_err();
    assert!(matches!(error, Error::IdTokenMissing), "{error:?}");
    assert_eq!(error.http_status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn what_is_no_token_response_is_refused() {
    for body in ["<html></html>", "[]", "{\"access_token\":\"a", "null"] {
        let stage = Stage::new();
        let login = stage.login().await;
        stage.between.change(move |request, response| {
            if request.uri().path().ends_with("/token") {
                return response.map(|_| Bytes::from_static(body.as_bytes()));
            }
            response
        });
        let error = stage.finish(&login).await.unwrap_err();
        let is_malformed = matches!(&error, Error::Token(entra_core::Error::Malformed { .. }));
        assert!(is_malformed, "{body}: {error:?}");
        assert_eq!(error.http_status(), StatusCode::BAD_GATEWAY);
    }
}

#[tokio::test]
async fn a_token_endpoint_that_redirects_is_not_followed() {
    for status in [302, 307] {
        let stage = Stage::new();
        let login = stage.login().await;
        stage.between.change(move |request, response| {
            if !request.uri().path().ends_with("/token") {
                return response;
            }
            let mut redirect = Response::new(Bytes::new());
            *redirect.status_mut() = StatusCode::from_u16(status).unwrap();
            let elsewhere = HeaderValue::from_static("https://evil.example/token");
            redirect.headers_mut().insert(LOCATION, elsewhere);
            redirect
        });
        let error = stage.finish(&login).await.unwrap_err();
        let Error::Token(token) = &error else {
            panic!("{error:?}");
        };
        assert!(!format!("{token:?}").contains("evil.example/token?"));
        let journal = stage.emulator.journal();
        assert_eq!(journal.count("POST", "https://evil.example/token"), 0);
    }
}

#[tokio::test]
async fn a_token_that_is_no_bearer_token_is_refused() {
    let stage = Stage::new();
    let login = stage.login().await;
    let token = "/oauth2/v2.0/token";
    stage
        .between
        .change_json(token, |answer| answer["token_type"] = "mac".into());
    let error = stage.finish(&login).await.unwrap_err();
    assert!(matches!(error, Error::Token(_)), "{error:?}");
    stage
        .between
        .change_json(token, |answer| answer["token_type"] = "bEARER".into());
    assert!(stage.finish(&login).await.is_ok());
}

#[tokio::test]
async fn a_code_of_somebody_else_is_not_redeemed() {
    // The attacker's code in the victim's browser: PKCE ties it to the attacker's login.
    let stage = Stage::new();
    let login = stage.login().await;
    let attackers = login.begin(Begin::to("/")).unwrap();
    let stolen = stage.sign_in(&attackers).parameter("code").unwrap();
    let mut victim = Browser::default();
    let begun = login.begin(Begin::to("/vault")).unwrap();
    victim.take(begun.set_cookies());
    let redirect = stage.sign_in(&begun);
    let query = changed(&redirect.location, "code", &[("code", &stolen)]);
    let error = login.finish(&victim.get(&query)).await.unwrap_err();
    let Error::Token(entra_core::Error::Token(refusal)) = error.error() else {
        panic!("{error:?}");
    };
    assert_eq!(refusal.error, "invalid_grant");
    assert_eq!(error.error().http_status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_credential_that_is_refused_is_no_fault_of_the_user() {
    let stage = Stage::new();
    let secret = entra_core::ClientSecret::parse("Ab8Q~wrong").unwrap();
    let options = stage
        .options()
        .with_credential(entra_core::ClientCredential::secret(secret));
    let login = stage.connect(options.unwrap()).await;
    let error = stage.finish(&login).await.unwrap_err();
    assert!(matches!(error, Error::Token(_)), "{error:?}");
    assert_eq!(error.http_status(), StatusCode::BAD_GATEWAY);
    assert!(!error.ends_session() && !error.is_retryable());
}

#[tokio::test]
async fn five_logins_may_be_pending_and_the_oldest_make_room() {
    let stage = Stage::new();
    let login = stage.login().await;
    let mut browser = Browser::default();
    let mut begun = Vec::new();
    for _ in 0..50 {
        let next = Begin::to("/vault").with_cookies_of(&browser.headers());
        let next = login.begin(next).unwrap();
        browser.take(next.set_cookies());
        stage.advance(1);
        begun.push(next);
    }
    assert_eq!(browser.cookies.len(), 5);
    let header = browser.headers()[http::header::COOKIE].len();
    assert!(header < 8 << 10, "{header}");
    for old in &begun[..45] {
        let callback = browser.callback(&stage.sign_in(old));
        assert!(login.finish(&callback).await.is_err());
    }
    for recent in &begun[45..] {
        let callback = browser.callback(&stage.sign_in(recent));
        assert!(login.finish(&callback).await.is_ok());
    }
}

#[tokio::test]
async fn long_return_urls_do_not_fill_the_header() {
    let stage = Stage::new();
    let login = stage.login().await;
    let mut browser = Browser::default();
    let long = format!("/vault?q={}", "a".repeat(2000));
    for _ in 0..5 {
        let begun = login
            .begin(Begin::to(&long).with_cookies_of(&browser.headers()))
            .unwrap();
        for cookie in begun.set_cookies() {
            assert!(cookie.len() < 4096, "{}", cookie.len());
        }
        browser.take(begun.set_cookies());
    }
    assert!(browser.headers()[http::header::COOKIE].len() < 8 << 10);
}

#[tokio::test]
async fn what_is_no_pending_login_makes_room_first() {
    let stage = Stage::new();
    let login = stage.login().await;
    let mut browser = Browser::default();
    let junk = ["__Host-entra_tx_a", "entra_tx_b"].map(str::to_owned);
    for name in &junk {
        browser.cookies.insert(name.clone(), "default.AAAA".into());
    }
    let other = ("theme".to_owned(), "dark".to_owned());
    browser.cookies.extend([other]);
    let begin = Begin::to("/").with_cookies_of(&browser.headers());
    browser.take(login.begin(begin).unwrap().set_cookies());
    assert!(junk.iter().all(|name| !browser.cookies.contains_key(name)));
    assert!(browser.cookies.contains_key("theme"));
    assert_eq!(browser.cookies.len(), 2);
}

#[tokio::test]
async fn a_return_url_fits_into_the_cookie_however_it_is_written() {
    let stage = Stage::new();
    let login = stage.login().await;
    for text in ["a", "\"", "ü", "%22", "\\", "\u{1}"] {
        let begun = login
            .begin(Begin::to(&format!("/{}", text.repeat(10_000))))
            .unwrap();
        let size = begun.set_cookies()[0].len();
        assert!(size < 4096, "{text}: {size}");
    }
}

#[tokio::test]
async fn a_return_url_that_leads_elsewhere_becomes_the_start_page() {
    let stage = Stage::new();
    let login = stage.login().await;
    let done = stage
        .finish_with(&login, Begin::to("//evil.example"))
        .await
        .unwrap();
    assert_eq!(done.return_to.as_str(), "/");
}

#[tokio::test]
async fn a_client_without_cookies_keeps_a_handle() {
    let stage = Stage::new();
    let app = stage.emulator.public_app();
    let options = entra_oidc::LoginOptions::new(
        stage.authority(),
        &app.client_id,
        RedirectUri::loopback(),
        keys(),
    );
    let login = stage.connect(options.unwrap()).await;
    let begun = login.begin(Begin::to("/")).unwrap();
    assert!(begun.set_cookies().is_empty());
    let kept = begun.handle().unwrap().as_str().to_owned();
    let redirect = stage.sign_in(&begun);
    let handle = PendingLogin::from_text(&kept);
    let callback = entra_oidc::Callback::of_client(handle, redirect.location.as_str());
    let done = login.finish(&callback).await.unwrap();
    assert!(done.set_cookies.is_empty());
    assert!(matches!(done.user.key(), UserKey::Entra { .. }));
}

#[tokio::test]
async fn a_client_was_called_at_its_own_redirect_uri_with_its_own_state() {
    let stage = Stage::new();
    let app = stage.emulator.public_app();
    let uri = RedirectUri::loopback();
    let options =
        entra_oidc::LoginOptions::new(stage.authority(), &app.client_id, uri, keys()).unwrap();
    let login = stage.connect(options).await;
    let (begun, other) = (
        login.begin(Begin::to("/")).unwrap(),
        login.begin(Begin::to("/")).unwrap(),
    );
    let redirect = stage.sign_in(&begun);
    let query = redirect.location.query().unwrap();
    let finish = |handle: &PendingLogin, url: &str| {
        let callback = entra_oidc::Callback::of_client(handle.clone(), url);
        let login = login.clone();
        async move { login.finish(&callback).await }
    };
    // RFC 8252 8.10.
    for elsewhere in [
        "http://localhost:8400/",
        "http://localhost/other",
        "https://localhost/",
        "psrmobile://auth",
    ] {
        let url = format!("{elsewhere}?{query}");
        let error = finish(begun.handle().unwrap(), &url).await.unwrap_err();
        let refusal = callback_refusal(error.error());
        assert_eq!(refusal, &CallbackRefusal::Place, "{elsewhere}");
    }
    let error = finish(other.handle().unwrap(), query).await.unwrap_err();
    assert_eq!(
        callback_refusal(error.error()),
        &CallbackRefusal::TransactionNotFound
    );
    let url = format!("HTTP://LocalHost/?{query}");
    assert!(finish(begun.handle().unwrap(), &url).await.is_ok());
}

#[tokio::test]
async fn an_extension_and_an_app_beside_a_site_with_forms_are_handed_a_url() {
    let stage = Stage::new();
    let site = stage.options().with_form_post().unwrap();
    let site = stage.connect(site.with_hybrid_flow().unwrap()).await;
    let extension = RedirectUri::chromium_extension("abcdefghijklmnopabcdefghijklmnop").unwrap();
    for uri in [extension.clone(), RedirectUri::loopback()] {
        let client = site.with_redirect_uri(uri).unwrap();
        let begun = client.begin(Begin::to("/")).unwrap();
        let query: std::collections::HashMap<_, _> = begun.location().query_pairs().collect();
        assert_eq!(query["response_mode"], "query");
        assert_eq!(query["response_type"], "code");
    }
    let app = stage.emulator.public_app();
    let authority = stage.authority();
    let options = entra_oidc::LoginOptions::new(authority, &app.client_id, extension, keys());
    let refused = options.unwrap().with_form_post().unwrap_err();
    assert_eq!(refused, entra_oidc::OptionsError::FormPostNeedsHttps);
}

#[tokio::test]
async fn a_handle_is_no_cookie_and_a_cookie_no_handle() {
    let stage = Stage::new();
    let login = stage.login().await;
    let mut browser = Browser::default();
    let begun = login.begin(Begin::to("/")).unwrap();
    browser.take(begun.set_cookies());
    let redirect = stage.sign_in(&begun);
    let (_, value) = browser.cookies.pop_first().unwrap();
    let handle = PendingLogin::from_text(&value);
    let callback = entra_oidc::Callback::of_client(handle, redirect.location.as_str());
    let error = login.finish(&callback).await.unwrap_err();
    assert_eq!(
        callback_refusal(error.error()),
        &CallbackRefusal::TransactionInvalid
    );
}

#[tokio::test]
async fn a_replaced_key_opens_what_it_sealed() {
    let stage = Stage::new();
    let before = stage.login().await;
    let app = stage.emulator.web_app();
    let ring = KeyRing::new(SealingKey::from_bytes([8; 32]))
        .with_previous(SealingKey::from_bytes([7; 32]));
    let secret = entra_core::ClientSecret::parse(app.client_secret.expose()).unwrap();
    let options = entra_oidc::LoginOptions::new(
        stage.authority(),
        &app.client_id,
        RedirectUri::web(stage::REDIRECT_URI).unwrap(),
        ring,
    )
    .unwrap()
    .with_credential(entra_core::ClientCredential::secret(secret))
    .unwrap();
    let after = stage.connect(options).await;
    let mut browser = Browser::default();
    let begun = before.begin(Begin::to("/")).unwrap();
    browser.take(begun.set_cookies());
    let callback = browser.callback(&stage.sign_in(&begun));
    assert!(after.finish(&callback).await.is_ok());
}

#[tokio::test]
async fn wishes_that_exclude_each_other_are_refused() {
    let stage = Stage::new();
    let login = stage.login().await;
    let begin = Begin::to("/")
        .with_prompt(Prompt::SelectAccount)
        .with_login_hint("ada@contoso.example");
    assert!(matches!(login.begin(begin), Err(Error::Options(_))));
    let begin = Begin::to("/").with_claims("[]");
    assert!(matches!(login.begin(begin), Err(Error::Options(_))));
}

#[tokio::test]
async fn the_account_that_was_required_has_to_come_back() {
    let stage = Stage::new();
    let login = stage.login().await;
    let begin = Begin::to("/").with_required_account(stage.user().to_uppercase());
    assert!(stage.finish_with(&login, begin).await.is_ok());
    // The one who signs in ignores the hint.
    let mut browser = Browser::default();
    let other = stage.emulator.users()[1].user_principal_name.clone();
    let begun = login
        .begin(Begin::to("/").with_required_account(other))
        .unwrap();
    browser.take(begun.set_cookies());
    let callback = browser.callback(&stage.sign_in(&begun));
    let error = login.finish(&callback).await.unwrap_err();
    assert!(matches!(error.error(), Error::WrongAccount), "{error:?}");
}

#[tokio::test]
async fn users_of_any_organisation_sign_in_at_one_endpoint() {
    let stage = Stage::new();
    let several = serde_json::json!({"signInAudience": "AzureADMultipleOrgs"});
    stage.patch_app(&several).await;
    let cloud = stage.emulator.cloud();
    let login = stage
        .connect(stage.options_of(Authority::any_organization(cloud)))
        .await;
    let begun = login.begin(Begin::to("/")).unwrap();
    assert!(begun.location().path().starts_with("/organizations/"));
    assert!(stage.finish(&login).await.is_ok());
}

#[tokio::test]
async fn nothing_secret_is_in_what_is_shown() {
    let stage = Stage::new();
    let login = stage.login().await;
    let mut browser = Browser::default();
    let begun = login.begin(Begin::to("/vault")).unwrap();
    browser.take(begun.set_cookies());
    let redirect = stage.sign_in(&begun);
    let callback = browser.callback(&redirect);
    let done = login.finish(&callback).await.unwrap();
    let again = login.finish(&callback).await.unwrap_err();
    let query: std::collections::HashMap<_, _> =
        begun.location().query_pairs().into_owned().collect();
    let shown = format!("{begun:?} {callback:?} {done:?} {again:?} {again} {login:?}");
    let id_token = done.tokens.id_token().unwrap();
    for secret in [
        &query["state"],
        &query["nonce"],
        &redirect.parameter("code").unwrap(),
        browser.cookies.values().next().unwrap(),
        id_token.expose(),
    ] {
        assert!(!shown.contains(secret));
    }
    let _ = stage.emulator.clock().now();
}

async fn _is_send(login: EntraLogin, callback: entra_oidc::Callback) {
    fn send<T: Send>(value: T) -> T {
        value
    }
    let _ = send(login.finish(&callback)).await;
}
