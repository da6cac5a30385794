//! A provider that is not Entra, played by the test: its tokens, its sign-out, its UserInfo.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    reason = "what a test cannot do fails it"
)]

mod stage;

use std::fmt;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize, PublicKeyComponents};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use entra_core::{
    Clock as _, HttpClient, Limits, MovableClock, Pipeline, Secret, TransportError, UserKey,
};
use entra_oidc::{
    Authority, Begin, EntraLogin, Error, IdTokenRefusal, Login, LoginOptions, LogoutRefusal,
    OptionsError, RedirectUri, TokenRefusal, UserInfoRefusal,
};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Request, Response};
use serde_json::{Value, json};
use stage::{Browser, keys};
use time::macros::datetime;

const ISSUER: &str = "https://login.example";
const CLIENT: &str = "my app";

static KEY: LazyLock<KeyPair> = LazyLock::new(|| KeyPair::generate(KeySize::Rsa2048).unwrap());

fn sign(header: &Value, claims: &Value) -> String {
    let text = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let signed = format!("{}.{}", text(header), text(claims));
    let mut signature = vec![0; KEY.public_modulus_len()];
    let random = SystemRandom::new();
    KEY.sign(
        &RSA_PKCS1_SHA256,
        &random,
        signed.as_bytes(),
        &mut signature,
    )
    .unwrap();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn header() -> Value {
    json!({"alg": "RS256", "kid": "one"})
}

type Change = Box<dyn Fn(&str, &mut Value) + Send>;
type TokenRequest = (Option<String>, String);

/// The provider. What it answers may be changed, by the last part of the path.
#[derive(Clone)]
struct Provider {
    clock: Arc<MovableClock>,
    nonce: Arc<Mutex<String>>,
    change: Arc<Mutex<Option<Change>>>,
    /// How much is read of the answer of a path.
    limits: Arc<Mutex<Vec<(String, usize)>>>,
    /// The token requests: the header of authorization and the form.
    asked: Arc<Mutex<Vec<TokenRequest>>>,
}

impl Provider {
    fn new() -> Self {
        Self {
            clock: Arc::new(MovableClock::frozen_at(datetime!(2026-01-01 00:00 UTC))),
            nonce: Arc::default(),
            change: Arc::default(),
            limits: Arc::default(),
            asked: Arc::default(),
        }
    }

    fn change(&self, change: impl Fn(&str, &mut Value) + Send + 'static) {
        *self.change.lock().unwrap() = Some(Box::new(change));
    }

    fn options() -> LoginOptions {
        let uri = RedirectUri::web("https://pw.example/callback").unwrap();
        LoginOptions::new(Authority::generic(ISSUER).unwrap(), CLIENT, uri, keys())
            .unwrap()
            .with_client_secret(Secret::new("s3cr3t:/ü"))
            .unwrap()
    }

    async fn connect(&self, options: LoginOptions) -> Result<EntraLogin, Error> {
        let pipeline = Pipeline::new(self.clone()).with_clock(self.clock.clone());
        EntraLogin::connect(options, pipeline).await
    }

    async fn login(&self) -> EntraLogin {
        self.connect(Self::options()).await.unwrap()
    }

    async fn finish(&self, login: &EntraLogin) -> Result<Login, Error> {
        let mut browser = Browser::default();
        let begun = login.begin(Begin::to("/")).unwrap();
        browser.take(begun.set_cookies());
        let query: std::collections::HashMap<_, _> =
            begun.location().query_pairs().into_owned().collect();
        self.nonce.lock().unwrap().clone_from(&query["nonce"]);
        let answer = format!("code=c&state={}", query["state"]);
        let finished = login.finish(&browser.get(&answer)).await;
        finished.map_err(entra_oidc::FailedLogin::into_error)
    }

    fn claims(&self) -> Value {
        let now = self.clock.now().unix_timestamp();
        json!({
            "iss": ISSUER, "aud": CLIENT, "sub": "248289761001", "iat": now, "exp": now + 300,
            "nonce": *self.nonce.lock().unwrap(), "name": "Jane Doe",
            "email": "jane@example.com", "email_verified": true,
        })
    }

    fn answer(&self, path: &str) -> Value {
        match path {
            path if path.ends_with("/.well-known/openid-configuration") => json!({
                "issuer": ISSUER,
                "authorization_endpoint": "https://login.example/authorize",
                "token_endpoint": "https://login.example/token",
                "jwks_uri": "https://login.example/jwks",
                "userinfo_endpoint": "https://login.example/userinfo",
            }),
            "/jwks" => {
                let public = PublicKeyComponents::<Vec<u8>>::from(KEY.public_key());
                json!({"keys": [{
                    "kty": "RSA", "kid": "one", "use": "sig", "alg": "RS256",
                    "n": URL_SAFE_NO_PAD.encode(public.n), "e": URL_SAFE_NO_PAD.encode(public.e),
                }]})
            }
            "/token" => json!({
                "access_token": "opaque", "token_type": "Bearer", "refresh_token": "again",
                "id_token": self.claims(),
            }),
            "/userinfo" => json!({"sub": "248289761001", "locale": "en"}),
            other => panic!("{other} is not there"),
        }
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Provider")
    }
}

#[async_trait]
impl HttpClient for Provider {
    async fn send(
        &self,
        request: Request<Bytes>,
        limits: Limits,
    ) -> Result<Response<Bytes>, TransportError> {
        let path = request.uri().path().to_owned();
        self.limits
            .lock()
            .unwrap()
            .push((path.clone(), limits.body));
        if path == "/token" {
            let authorization = request.headers().get(AUTHORIZATION);
            let authorization = authorization.map(|value| value.to_str().unwrap().to_owned());
            let form = String::from_utf8(request.body().to_vec()).unwrap();
            self.asked.lock().unwrap().push((authorization, form));
        }
        let mut answer = self.answer(&path);
        if let Some(change) = &*self.change.lock().unwrap() {
            change(&path, &mut answer);
        }
        if let Some(claims) = answer.get("id_token").filter(|claims| claims.is_object()) {
            answer["id_token"] = sign(&header(), claims).into();
        }
        let mut response = Response::new(Bytes::from(answer.to_string()));
        let kind = match answer["sent_as"].as_str() {
            Some(kind) => HeaderValue::from_str(kind).unwrap(),
            None => HeaderValue::from_static("application/json;charset=utf-8"),
        };
        response.headers_mut().insert(CONTENT_TYPE, kind);
        Ok(response)
    }
}

#[tokio::test]
async fn the_user_is_known_by_issuer_and_subject() {
    let provider = Provider::new();
    let login = provider.login().await;
    let done = provider.finish(&login).await.unwrap();
    let key = UserKey::other(ISSUER, "248289761001").unwrap();
    assert_eq!(done.user.key(), &key);
    assert_eq!(done.user.display_name(), Some("Jane Doe"));
    assert_eq!(done.tokens.access_token(), Some(&Secret::new("opaque")));
    assert!(done.tokens.session().is_none());
}

#[tokio::test]
async fn the_client_proves_itself_by_basic_or_by_the_form() {
    let provider = Provider::new();
    let login = provider.login().await;
    provider.finish(&login).await.unwrap();
    provider.change(|path, answer| {
        if path.ends_with("configuration") {
            answer["token_endpoint_auth_methods_supported"] = json!(["client_secret_post"]);
        }
    });
    let login = provider.login().await;
    provider.finish(&login).await.unwrap();
    let asked = provider.asked.lock().unwrap();
    // RFC 6749 2.3.1 and appendix B: form-encoded before Base64.
    let basic = STANDARD.encode("my+app:s3cr3t%3A%2F%C3%BC");
    assert_eq!(asked[0].0, Some(format!("Basic {basic}")));
    assert!(!asked[0].1.contains("client_secret"));
    assert_eq!(asked[1].0, None);
    assert!(
        asked[1]
            .1
            .contains("client_id=my+app&client_secret=s3cr3t%3A%2F%C3%BC")
    );
    for (_, form) in &*asked {
        assert!(form.contains("grant_type=authorization_code&code=c"));
        assert!(form.contains("&redirect_uri=https%3A%2F%2Fpw.example%2Fcallback"));
        assert!(form.contains("&code_verifier="));
    }
}

#[tokio::test]
async fn a_token_response_is_a_token_response() {
    for change in [
        |answer: &mut Value| answer["token_type"] = "mac".into(),
        |answer: &mut Value| answer["access_token"] = Value::Null,
        |answer: &mut Value| *answer = json!([]),
    ] {
        let provider = Provider::new();
        let login = provider.login().await;
        provider.change(move |path, answer| {
            if path == "/token" {
                change(answer);
            }
        });
        let error = provider.finish(&login).await.unwrap_err();
        assert!(matches!(error, Error::TokenResponse), "{error:?}");
    }
    let provider = Provider::new();
    let login = provider.login().await;
    provider.change(|path, answer| {
        if path == "/token" {
            answer.as_object_mut().unwrap().remove("id_token");
        }
    });
    let error = provider.finish(&login).await.unwrap_err();
    assert!(matches!(error, Error::IdTokenMissing), "{error:?}");
}

#[tokio::test]
async fn an_endpoint_on_another_host_has_to_be_allowed() {
    let provider = Provider::new();
    provider.change(|path, answer| {
        if path.ends_with("configuration") {
            answer["jwks_uri"] = "https://keys.example/jwks".into();
        }
    });
    let error = provider.connect(Provider::options()).await.unwrap_err();
    assert!(error.admin_hint().contains("keys.example"), "{error:?}");
    let authority = Authority::generic(ISSUER)
        .unwrap()
        .with_endpoint_hosts(["Keys.example"]);
    let uri = RedirectUri::web("https://pw.example/callback").unwrap();
    let options = LoginOptions::new(authority, CLIENT, uri, keys()).unwrap();
    assert!(provider.connect(options).await.is_ok());
}

#[tokio::test]
async fn of_a_configuration_no_more_is_read_than_any_provider_has() {
    let provider = Provider::new();
    provider.login().await;
    let limits = provider.limits.lock().unwrap();
    let path = "/.well-known/openid-configuration".to_owned();
    assert_eq!(limits[0], (path, 256 << 10));
}

#[tokio::test]
async fn keys_do_not_move_to_another_host_while_the_product_runs() {
    let provider = Provider::new();
    let authority = Authority::generic(ISSUER)
        .unwrap()
        .with_endpoint_hosts(["keys.example"]);
    let uri = RedirectUri::web("https://pw.example/callback").unwrap();
    let options = LoginOptions::new(authority, CLIENT, uri, keys()).unwrap();
    let login = provider.connect(options).await.unwrap();
    provider.change(|path, answer| {
        if path.ends_with("configuration") {
            answer["jwks_uri"] = "https://keys.example/jwks".into();
            answer["authorization_endpoint"] = "https://login.example/other".into();
        }
    });
    provider.clock.advance(Duration::from_secs(25 * 60 * 60));
    provider.finish(&login).await.unwrap();
    let begun = login.begin(Begin::to("/")).unwrap();
    assert_eq!(begun.location().path(), "/authorize");
}

#[tokio::test]
async fn a_session_is_renewed_and_the_refresh_token_goes_on() {
    let provider = Provider::new();
    let login = provider.login().await;
    let done = provider.finish(&login).await.unwrap();
    provider.clock.advance(Duration::from_secs(60));
    provider.change(|path, answer| {
        if path == "/token" {
            answer.as_object_mut().unwrap().remove("refresh_token");
            answer["id_token"]["name"] = "Jane Roe".into();
        }
    });
    let renewed = login.refresh(&done.user, &done.tokens, None).await.unwrap();
    assert_eq!(renewed.user.display_name(), Some("Jane Roe"));
    assert_eq!(renewed.tokens.refresh_token(), Some(&Secret::new("again")));
    // Without an ID token the user is the one of before (OpenID Connect Core 12.2).
    provider.change(|path, answer| {
        if path == "/token" {
            answer.as_object_mut().unwrap().remove("id_token");
        }
    });
    let again = login
        .refresh(&renewed.user, &renewed.tokens, None)
        .await
        .unwrap();
    assert_eq!(again.user, renewed.user);
}

#[tokio::test]
async fn user_info_is_about_the_user_who_signed_in() {
    let provider = Provider::new();
    let login = provider.login().await;
    let done = provider.finish(&login).await.unwrap();
    let info = login.user_info(&done.user, &done.tokens).await.unwrap();
    assert_eq!(info.get::<String>("locale").as_deref(), Some("en"));
    provider.change(|path, answer| {
        if path == "/userinfo" {
            answer["sub"] = "somebody else".into();
        }
    });
    let error = login.user_info(&done.user, &done.tokens).await.unwrap_err();
    assert!(
        matches!(error, Error::UserInfo(UserInfoRefusal::Subject)),
        "{error:?}"
    );
    provider.change(|path, answer| {
        if path == "/userinfo" {
            answer["sent_as"] = "text/html".into();
        }
    });
    let error = login.user_info(&done.user, &done.tokens).await.unwrap_err();
    assert!(
        matches!(error, Error::UserInfo(UserInfoRefusal::NotJson)),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_provider_without_end_session_endpoint_signs_nobody_out() {
    let provider = Provider::new();
    let login = provider.login().await;
    let done = provider.finish(&login).await.unwrap();
    assert!(login.logout(&done.user, None, "/").unwrap().is_none());
}

#[tokio::test]
async fn the_credential_of_the_other_kind_is_refused() {
    let secret = entra_core::ClientSecret::parse("Ab8Q~secret").unwrap();
    let credential = entra_core::ClientCredential::secret(secret);
    let refused = Provider::options().with_credential(credential).unwrap_err();
    assert_eq!(refused, OptionsError::Credential);
    let authority = Authority::generic(ISSUER).unwrap();
    let made = |id| LoginOptions::new(authority.clone(), id, RedirectUri::loopback(), keys());
    assert_eq!(made("").unwrap_err(), OptionsError::ClientIdText);
    assert_eq!(made("a\nb").unwrap_err(), OptionsError::ClientIdText);
    let on_device = made(CLIENT).unwrap().with_client_secret(Secret::new("x"));
    assert_eq!(on_device.unwrap_err(), OptionsError::CredentialOnDevice);
}

/// A logout token as the provider makes it, changed (OpenID Connect Back-Channel Logout 1.0, 2.4).
fn logout_token(provider: &Provider, change: impl Fn(&mut Value, &mut Value)) -> String {
    let now = provider.clock.now().unix_timestamp();
    let mut header = json!({"alg": "RS256", "kid": "one", "typ": "logout+jwt"});
    let mut claims = json!({
        "iss": ISSUER, "aud": CLIENT, "iat": now, "exp": now + 120, "jti": "bWJq",
        "sub": "248289761001", "sid": "08a5019c",
        "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
    });
    change(&mut header, &mut claims);
    sign(&header, &claims)
}

#[tokio::test]
async fn a_logout_token_names_whose_sessions_end_once() {
    let provider = Provider::new();
    let login = provider.login().await;
    let token = logout_token(&provider, |_, _| {});
    let ended = login.back_channel(&token).await.unwrap();
    let session = ended.session.unwrap();
    assert_eq!(
        (session.connection(), session.session_id()),
        ("default", "08a5019c")
    );
    assert_eq!(ended.user, UserKey::other(ISSUER, "248289761001").ok());
    let again = login.back_channel(&token).await.unwrap_err();
    let expected = LogoutRefusal::Token("it was used before");
    assert!(
        matches!(again, Error::Logout(found) if found == expected),
        "{again:?}"
    );
}

#[tokio::test]
async fn a_logout_token_that_is_none_is_refused_by_name() {
    type Row = (fn(&mut Value, &mut Value), &'static str);
    let rows: [Row; 16] = [
        (
            |_, claims| claims["nonce"] = "n".into(),
            "it has a nonce, as an ID token has",
        ),
        (
            |_, claims| claims["nonce"] = Value::Null,
            "it has a nonce, as an ID token has",
        ),
        (
            |header, _| header["alg"] = "PS256".into(),
            "it is no signed token of this kind",
        ),
        (
            |_, claims| claims["events"] = json!({}),
            "it is no event of a logout",
        ),
        (
            |_, claims| claims["events"] = json!({"http://x": {}}),
            "it is no event of a logout",
        ),
        (
            |_, claims| claims["events"] = json!([]),
            "its claims have another shape",
        ),
        (
            |_, claims| {
                claims.as_object_mut().unwrap().remove("events");
            },
            "its claims have another shape",
        ),
        (
            |_, claims| {
                claims.as_object_mut().unwrap().remove("exp");
            },
            "it is not in force",
        ),
        (|_, claims| claims["exp"] = 1.into(), "it is not in force"),
        (
            |_, claims| {
                claims.as_object_mut().unwrap().remove("iat");
            },
            "it has no iat",
        ),
        (
            |_, claims| {
                claims.as_object_mut().unwrap().remove("jti");
            },
            "its claims have another shape",
        ),
        (
            |_, claims| claims["aud"] = "another".into(),
            "it is for another client",
        ),
        (
            |_, claims| claims["iss"] = "https://evil.example".into(),
            "its issuer is another one",
        ),
        (
            |header, _| header["alg"] = "none".into(),
            "it is no signed token of this kind",
        ),
        (
            |header, _| header["typ"] = "at+jwt".into(),
            "it is no signed token of this kind",
        ),
        (
            |_, claims| {
                claims.as_object_mut().unwrap().remove("sub");
                claims.as_object_mut().unwrap().remove("sid");
            },
            "it names neither a user nor a session",
        ),
    ];
    let provider = Provider::new();
    let login = provider.login().await;
    for (change, expected) in rows {
        let token = logout_token(&provider, change);
        let error = login.back_channel(&token).await.unwrap_err();
        let expected = LogoutRefusal::Token(expected);
        assert!(
            matches!(error, Error::Logout(found) if found == expected),
            "{expected:?}: {error:?}"
        );
        assert_eq!(error.http_status(), 400);
    }
    let mut token = logout_token(&provider, |_, _| {});
    let signature = token.rfind('.').unwrap() + 1;
    let other = if token[signature..].starts_with('A') {
        "B"
    } else {
        "A"
    };
    token.replace_range(signature..=signature, other);
    let error = login.back_channel(&token).await.unwrap_err();
    let expected = LogoutRefusal::Token("its signature is wrong");
    assert!(
        matches!(error, Error::Logout(found) if found == expected),
        "{error:?}"
    );
}

#[tokio::test]
async fn the_key_of_a_logout_token_is_the_providers_and_may_be_its_only_one() {
    let provider = Provider::new();
    let login = provider.login().await;
    // Anybody may send one: it is no fault of the provider's.
    let token = logout_token(&provider, |header, _| header["kid"] = "two".into());
    let error = login.back_channel(&token).await.unwrap_err();
    let expected = LogoutRefusal::Token("its key is none of the provider's");
    assert!(
        matches!(error, Error::Logout(found) if found == expected),
        "{error:?}"
    );
    assert_eq!(error.http_status(), 400);
    let token = logout_token(&provider, |header, _| {
        header.as_object_mut().unwrap().remove("kid");
    });
    assert!(login.back_channel(&token).await.is_ok());
}

#[tokio::test]
async fn a_logout_token_is_remembered_for_as_long_as_it_could_come_again() {
    let provider = Provider::new();
    let login = provider.login().await;
    let token = logout_token(&provider, |_, _| {});
    login.back_channel(&token).await.unwrap();
    // Its end, and the difference that clocks may have.
    provider.clock.advance(Duration::from_secs(120 + 59));
    let error = login.back_channel(&token).await.unwrap_err();
    let expected = LogoutRefusal::Token("it was used before");
    assert!(
        matches!(error, Error::Logout(found) if found == expected),
        "{error:?}"
    );
}

const B2C_TENANT: &str = "9b3c2a10-0d5f-4f2e-9c55-5a0f3a3d7d11";
const B2C_OBJECT: &str = "5f2c7a4e-93d1-4d6e-a9a2-0d7c5b1e8f60";

/// A login at Azure AD B2C, whose issuer is this one and whose token has these claims beside.
async fn b2c_login(issuer: &'static str, claims: Value) -> Result<Login, Error> {
    let provider = Provider::new();
    provider.change(move |path, answer| {
        if path.ends_with("configuration") {
            assert_eq!(
                path,
                format!("/{B2C_TENANT}/B2C_1_SignIn/v2.0/.well-known/openid-configuration")
            );
            *answer = serde_json::from_str(
                &answer
                    .to_string()
                    .replace("login.example", "contoso.b2clogin.com"),
            )
            .unwrap();
            answer["issuer"] = issuer.into();
        }
        if path == "/token" {
            answer["id_token"]["iss"] = issuer.into();
            answer["id_token"]["sub"] = "Not supported currently. Use oid claim.".into();
            for (claim, value) in claims.as_object().unwrap() {
                answer["id_token"][claim] = value.clone();
            }
        }
    });
    let tenant = B2C_TENANT.parse().unwrap();
    let authority = Authority::b2c("contoso", tenant, "B2C_1_SignIn").unwrap();
    let uri = RedirectUri::web("https://pw.example/callback").unwrap();
    let options = LoginOptions::new(authority, CLIENT, uri, keys()).unwrap();
    let login = provider.connect(options).await?;
    provider.finish(&login).await
}

const B2C_ISSUER: &str = "https://contoso.b2clogin.com/9b3c2a10-0d5f-4f2e-9c55-5a0f3a3d7d11/v2.0/";

#[tokio::test]
async fn a_user_of_azure_ad_b2c_is_known_by_issuer_and_object() {
    let by_policy =
        "https://contoso.b2clogin.com/tfp/9b3c2a10-0d5f-4f2e-9c55-5a0f3a3d7d11/b2c_1_signin/v2.0/";
    for issuer in [B2C_ISSUER, by_policy] {
        for policy in ["tfp", "acr"] {
            let claims = json!({"oid": B2C_OBJECT, policy: "b2c_1_signin"});
            let done = b2c_login(issuer, claims).await.unwrap();
            assert_eq!(
                done.user.key(),
                &UserKey::other(issuer, B2C_OBJECT).unwrap()
            );
        }
    }
}

#[tokio::test]
async fn a_token_of_another_policy_of_azure_ad_b2c_is_refused() {
    for (claims, found) in [
        (
            json!({"oid": B2C_OBJECT, "tfp": "B2C_1_weak"}),
            "B2C_1_weak",
        ),
        (
            json!({"oid": B2C_OBJECT, "acr": "b2c_1_weak"}),
            "b2c_1_weak",
        ),
        (
            json!({"oid": B2C_OBJECT, "tfp": "B2C_1_weak", "acr": "B2C_1_SignIn"}),
            "B2C_1_weak",
        ),
        (json!({"oid": B2C_OBJECT}), ""),
    ] {
        let error = b2c_login(B2C_ISSUER, claims).await.unwrap_err();
        let expected = IdTokenRefusal::Policy {
            expected: "B2C_1_SignIn".to_owned(),
            found: found.to_owned(),
        };
        assert!(
            matches!(&error, Error::IdToken(refusal) if *refusal == expected),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn a_user_of_azure_ad_b2c_without_object_is_nobody() {
    let claims = json!({"tfp": "B2C_1_SignIn"});
    let error = b2c_login(B2C_ISSUER, claims).await.unwrap_err();
    let expected = IdTokenRefusal::Token(TokenRefusal::ObjectIdMissing);
    assert!(
        matches!(&error, Error::IdToken(refusal) if *refusal == expected),
        "{error:?}"
    );
}

#[tokio::test]
async fn another_tenant_or_policy_of_azure_ad_b2c_is_another_issuer() {
    for issuer in [
        "https://contoso.b2clogin.com/11111111-2222-4333-8444-555555555555/v2.0/",
        "https://contoso.b2clogin.com/tfp/9b3c2a10-0d5f-4f2e-9c55-5a0f3a3d7d11/b2c_1_weak/v2.0/",
        "https://contoso.b2clogin.com/9b3c2a10-0d5f-4f2e-9c55-5a0f3a3d7d11/v2.0",
    ] {
        let error = b2c_login(issuer, json!({})).await.unwrap_err();
        assert!(matches!(error, Error::Discovery(_)), "{issuer}: {error:?}");
    }
    let tenant = B2C_TENANT.parse().unwrap();
    for (name, policy) in [
        ("a.b", "B2C_1"),
        ("contoso", ""),
        ("contoso", "../x"),
        ("", "B2C_1"),
    ] {
        let refused = Authority::b2c(name, tenant, policy).unwrap_err();
        assert_eq!(refused, OptionsError::Issuer, "{name} {policy}");
    }
}
