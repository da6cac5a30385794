//! Several profiles side by side.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    reason = "what a test cannot do fails it"
)]

mod stage;

use entra_oidc::{
    Authority, Begin, Callback, CallbackRefusal, EntraLogin, Error, LoginOptions, OptionsError,
    Profile, ProfileName, Profiles, RedirectUri,
};
use stage::{Browser, Stage, keys};

async fn named(stage: &Stage, name: &str) -> EntraLogin {
    let name = ProfileName::new(name).unwrap();
    stage.connect(stage.options().with_profile(name)).await
}

fn name_of(login: Option<EntraLogin>) -> Option<String> {
    login.map(|login| login.profile().as_str().to_owned())
}

#[tokio::test]
async fn a_profile_is_chosen_by_name_user_name_or_host() {
    let stage = Stage::new();
    let profiles = Profiles::new();
    let contoso = Profile::new(named(&stage, "contoso").await).with_domains(["Contoso.com"]);
    let fabrikam =
        Profile::new(named(&stage, "fabrikam").await).with_hosts(["fabrikam.pw.example"]);
    profiles.put(contoso).unwrap();
    profiles.put(fabrikam).unwrap();
    let contoso = Some("contoso".to_owned());
    let fabrikam = Some("fabrikam".to_owned());
    assert_eq!(name_of(profiles.by_name("contoso")), contoso);
    assert_eq!(name_of(profiles.by_name("Contoso")), None);
    for (user_name, expected) in [
        ("ada@contoso.com", &contoso),
        (" Ada@CONTOSO.com ", &contoso),
        ("a@b@contoso.com", &contoso),
        ("ada@evil-contoso.com", &None),
        ("ada@contoso.com.evil.example", &None),
        ("contoso.com", &None),
        ("", &None),
    ] {
        assert_eq!(
            &name_of(profiles.by_user_name(user_name)),
            expected,
            "{user_name}"
        );
    }
    for (host, expected) in [
        ("fabrikam.pw.example", &fabrikam),
        ("FABRIKAM.pw.example:8443", &fabrikam),
        ("pw.example", &None),
        ("x.fabrikam.pw.example", &None),
    ] {
        assert_eq!(&name_of(profiles.by_host(host)), expected, "{host}");
    }
}

#[tokio::test]
async fn a_shared_redirect_uri_finds_the_profile_in_what_was_sealed() {
    let stage = Stage::new();
    let profiles = Profiles::new();
    for name in ["contoso", "fabrikam"] {
        profiles
            .put(Profile::new(named(&stage, name).await))
            .unwrap();
    }
    for name in ["fabrikam", "contoso"] {
        let login = profiles.by_name(name).unwrap();
        let mut browser = Browser::default();
        let begun = login.begin(Begin::to("/vault")).unwrap();
        browser.take(begun.set_cookies());
        let callback = browser.callback(&stage.sign_in(&begun));
        let done = profiles.finish(&callback).await.unwrap();
        assert_eq!(done.user.profile().connection, name);
    }
}

#[tokio::test]
async fn an_extension_shares_its_redirect_uri_by_its_handle() {
    let stage = Stage::new();
    let app = stage.emulator.public_app();
    let profiles = Profiles::new();
    for name in ["contoso", "fabrikam"] {
        let options = LoginOptions::new(
            stage.authority(),
            &app.client_id,
            RedirectUri::loopback(),
            keys(),
        );
        let options = options
            .unwrap()
            .with_profile(ProfileName::new(name).unwrap());
        profiles
            .put(Profile::new(stage.connect(options).await))
            .unwrap();
    }
    let begun = profiles
        .by_name("fabrikam")
        .unwrap()
        .begin(Begin::to("/"))
        .unwrap();
    let location = stage.sign_in(&begun).location;
    let handle = begun.handle().unwrap().clone();
    let done = profiles
        .finish(&Callback::of_client(handle, location.as_str()))
        .await
        .unwrap();
    assert_eq!(done.user.profile().connection, "fabrikam");
}

#[tokio::test]
async fn a_pending_login_of_a_profile_that_was_taken_out_comes_to_nothing() {
    let stage = Stage::new();
    let profiles = Profiles::new();
    let contoso = named(&stage, "contoso").await;
    profiles.put(Profile::new(contoso.clone())).unwrap();
    let mut browser = Browser::default();
    let begun = contoso.begin(Begin::to("/vault")).unwrap();
    browser.take(begun.set_cookies());
    let callback = browser.callback(&stage.sign_in(&begun));
    profiles.remove(contoso.profile());
    assert!(profiles.all().is_empty());
    let error = profiles.finish(&callback).await.unwrap_err();
    let expected = Error::Callback(CallbackRefusal::OtherProfile);
    assert_eq!(error.to_string(), expected.to_string());
}

#[tokio::test]
async fn a_domain_leads_to_one_profile() {
    let stage = Stage::new();
    let profiles = Profiles::new();
    let contoso = named(&stage, "contoso").await;
    let first = Profile::new(contoso)
        .with_domains(["contoso.com"])
        .with_hosts(["a.example"]);
    profiles.put(first.clone()).unwrap();
    // The same profile once more takes the place of itself.
    profiles.put(first).unwrap();
    let other = Profile::new(named(&stage, "other").await);
    let by_domain = other.clone().with_domains(["CONTOSO.com"]);
    assert_eq!(profiles.put(by_domain), Err(OptionsError::ProfileTaken));
    let by_host = other.clone().with_hosts(["a.example"]);
    assert_eq!(profiles.put(by_host), Err(OptionsError::ProfileTaken));
    profiles.put(other).unwrap();
    assert_eq!(profiles.all().len(), 2);
}

#[tokio::test]
async fn providers_whose_answers_cannot_be_told_apart_share_no_redirect_uri() {
    let stage = Stage::new();
    let profiles = Profiles::new();
    profiles
        .put(Profile::new(named(&stage, "contoso").await))
        .unwrap();
    // The same tenant, taken for a provider of another kind, which does not name itself.
    let issuer = format!("https://localhost/{}/v2.0", stage.emulator.tenant_id());
    let app = stage.emulator.web_app();
    let uri = RedirectUri::web(stage::REDIRECT_URI).unwrap();
    let options = LoginOptions::new(
        Authority::generic(&issuer).unwrap(),
        &app.client_id,
        uri,
        keys(),
    );
    let options = options
        .unwrap()
        .with_profile(ProfileName::new("other").unwrap());
    let other = Profile::new(stage.connect(options).await);
    assert_eq!(profiles.put(other), Err(OptionsError::SharedRedirectUri));
}

/// A profile of a provider that is not Entra, which is the tenant once more and does not name
/// itself in its answers.
async fn generic(stage: &Stage, name: &str, redirect_uri: &str) -> EntraLogin {
    let issuer = format!("https://localhost/{}/v2.0", stage.emulator.tenant_id());
    let app = stage.emulator.web_app();
    let authority = Authority::generic(&issuer)
        .unwrap()
        .with_endpoint_hosts(["graph.localhost"]);
    let uri = RedirectUri::web(redirect_uri).unwrap();
    let options = LoginOptions::new(authority, &app.client_id, uri, keys()).unwrap();
    let name = ProfileName::new(name).unwrap();
    stage.connect(options.with_profile(name)).await
}

#[tokio::test]
async fn an_answer_that_came_to_the_redirect_uri_of_another_provider_is_not_redeemed() {
    let stage = Stage::new();
    let profiles = Profiles::new();
    let honest = named(&stage, "honest").await;
    let other = generic(&stage, "other", "https://localhost/other/signin-oidc").await;
    profiles.put(Profile::new(honest.clone())).unwrap();
    profiles.put(Profile::new(other.clone())).unwrap();
    // The user of one provider is sent on to the other, whose redirect URI is another one.
    let mut browser = Browser::default();
    let begun = other.begin(Begin::to("/vault")).unwrap();
    browser.take(begun.set_cookies());
    let state = begun
        .location()
        .query_pairs()
        .find(|(name, _)| name == "state");
    let query = format!("code=of-the-honest&state={}", state.unwrap().1);
    let error = profiles.finish(&browser.get(&query)).await.unwrap_err();
    assert!(
        matches!(error.error(), Error::Callback(CallbackRefusal::Place)),
        "{error:?}"
    );
    // The answers of the others find their way.
    let begun = honest.begin(Begin::to("/vault")).unwrap();
    browser.take(begun.set_cookies());
    let callback = browser.callback(&stage.sign_in(&begun));
    assert!(profiles.finish(&callback).await.is_ok());
    let uri = format!("/other/signin-oidc?{query}").parse().unwrap();
    let callback = Callback::from_parts(&http::Method::GET, &uri, &browser.headers(), b"");
    let error = profiles.finish(&callback).await.unwrap_err();
    assert!(matches!(error.error(), Error::Token(_)), "{error:?}");
}

#[tokio::test]
async fn providers_share_a_redirect_uri_only_where_both_name_themselves() {
    for (first, second, expected) in [
        (false, true, Err(OptionsError::SharedRedirectUri)),
        (true, false, Err(OptionsError::SharedRedirectUri)),
        (true, true, Ok(())),
    ] {
        let profiles = Profiles::new();
        let mut put = Ok(());
        for (name, names_itself) in [("first", first), ("second", second)] {
            let stage = Stage::new();
            stage
                .between
                .change_json("openid-configuration", move |document| {
                    let member = "authorization_response_iss_parameter_supported";
                    document[member] = names_itself.into();
                });
            let login = generic(&stage, name, stage::REDIRECT_URI).await;
            put = profiles.put(Profile::new(login));
        }
        assert_eq!(put, expected, "{first} {second}");
    }
}

#[tokio::test]
async fn two_clouds_share_no_redirect_uri() {
    let profiles = Profiles::new();
    let here = named(&Stage::new(), "here").await;
    profiles.put(Profile::new(here)).unwrap();
    let emulator = entra_emulator::Emulator::new(entra_emulator::Seed::new());
    let elsewhere = Stage::around(emulator.with_origin("https://localhost:8443").unwrap());
    let elsewhere = Profile::new(named(&elsewhere, "elsewhere").await);
    assert_eq!(
        profiles.put(elsewhere),
        Err(OptionsError::SharedRedirectUri)
    );
}
