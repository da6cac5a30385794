//! A tenant, a product with a login, and a browser between them.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    reason = "what a test cannot do fails it, and no test needs all of this"
)]

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use entra_core::{
    Call, ClientCredential, ClientSecret, ConfidentialClient, HttpClient, KeyRing, Limits,
    Pipeline, SealingKey, Tenant, TokenRequest, TransportError,
};
use entra_emulator::{Emulator, Redirect, Seed};
use entra_oidc::{
    Authority, Begin, Begun, Callback, EntraLogin, Error, Login, LoginOptions, RedirectUri,
};
use http::header::{CONTENT_TYPE, COOKIE};
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use url::Url;

pub(crate) const REDIRECT_URI: &str = "https://localhost/signin-oidc";

/// The tenant, with somebody in the middle who may answer in its place.
#[derive(Clone)]
pub(crate) struct Stage {
    pub(crate) emulator: Emulator,
    pub(crate) between: Between,
}

impl Stage {
    pub(crate) fn new() -> Self {
        Self::of(Seed::new())
    }

    pub(crate) fn of(seed: Seed) -> Self {
        Self::around(Emulator::new(seed))
    }

    pub(crate) fn around(emulator: Emulator) -> Self {
        let between = Between {
            emulator: emulator.clone(),
            answer: Arc::default(),
        };
        Self { emulator, between }
    }

    pub(crate) fn tenant(&self) -> Tenant {
        Tenant::parse(&self.emulator.tenant_id()).unwrap()
    }

    pub(crate) fn authority(&self) -> Authority {
        Authority::single_tenant(self.emulator.cloud(), self.tenant()).unwrap()
    }

    pub(crate) fn options(&self) -> LoginOptions {
        self.options_of(self.authority())
    }

    pub(crate) fn options_of(&self, authority: Authority) -> LoginOptions {
        let app = self.emulator.web_app();
        let uri = RedirectUri::web(REDIRECT_URI).unwrap();
        let secret = ClientSecret::parse(app.client_secret.expose()).unwrap();
        LoginOptions::new(authority, &app.client_id, uri, keys())
            .unwrap()
            .with_credential(ClientCredential::secret(secret))
            .unwrap()
    }

    pub(crate) fn pipeline(&self) -> Pipeline {
        Pipeline::new(self.between.clone()).with_clock(self.emulator.clock())
    }

    pub(crate) async fn login(&self) -> EntraLogin {
        self.connect(self.options()).await
    }

    pub(crate) async fn connect(&self, options: LoginOptions) -> EntraLogin {
        EntraLogin::connect(options, self.pipeline()).await.unwrap()
    }

    /// An administrator changes the registration of the web application.
    pub(crate) async fn patch_app(&self, change: &serde_json::Value) {
        let web = self.emulator.web_app().object_id;
        self.patch(&format!("applications/{web}"), change).await;
    }

    /// An administrator changes an object of the tenant.
    pub(crate) async fn patch(&self, path: &str, change: &serde_json::Value) {
        let app = self.emulator.setup_app();
        let cloud = self.emulator.cloud();
        let client = ConfidentialClient::new(
            entra_core::Authority::new(cloud.clone(), self.tenant()),
            app.client_id.parse().unwrap(),
            ClientCredential::secret(ClientSecret::parse(app.client_secret.expose()).unwrap()),
            self.pipeline(),
        )
        .unwrap();
        let scope = TokenRequest::new([cloud.graph_scope()]);
        let url = format!("{}v1.0/{path}", cloud.graph_url());
        let request = Request::patch(url)
            .header(CONTENT_TYPE, "application/json")
            .body(Bytes::from(change.to_string()))
            .unwrap();
        let call = Call::new("PATCH /{object}", request).with_credential(Arc::new(client), scope);
        self.pipeline().send(call).await.unwrap();
        // Until every replica has seen it.
        self.advance(120);
    }

    /// The name of the first user.
    pub(crate) fn user(&self) -> String {
        self.emulator.users()[0].user_principal_name.clone()
    }

    /// The user signs in where the browser was sent to.
    pub(crate) fn sign_in(&self, begun: &Begun) -> Redirect {
        self.emulator
            .sign_in_as(begun.location(), &self.user())
            .unwrap()
    }

    pub(crate) fn advance(&self, seconds: u64) {
        self.emulator.advance(Duration::from_secs(seconds));
    }

    /// A whole login of the first user.
    pub(crate) async fn finish(&self, login: &EntraLogin) -> Result<Login, Error> {
        self.finish_with(login, Begin::to("/vault")).await
    }

    pub(crate) async fn finish_with(
        &self,
        login: &EntraLogin,
        begin: Begin,
    ) -> Result<Login, Error> {
        let mut browser = Browser::default();
        let begun = login.begin(begin).unwrap();
        browser.take(begun.set_cookies());
        let callback = browser.callback(&self.sign_in(&begun));
        login
            .finish(&callback)
            .await
            .map_err(entra_oidc::FailedLogin::into_error)
    }
}

pub(crate) fn keys() -> KeyRing {
    KeyRing::new(SealingKey::from_bytes([7; 32]))
}

/// Cookies, and what is sent with them.
#[derive(Clone, Default)]
pub(crate) struct Browser {
    pub(crate) cookies: BTreeMap<String, String>,
}

impl Browser {
    /// Keeps cookies and forgets those that are taken away.
    pub(crate) fn take(&mut self, set_cookies: &[HeaderValue]) {
        for header in set_cookies {
            let text = header.to_str().unwrap();
            let (name, rest) = text.split_once('=').unwrap();
            let value = rest.split(';').next().unwrap();
            if text.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
    }

    pub(crate) fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let cookies = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"));
        let cookies: Vec<String> = cookies.collect();
        headers.insert(COOKIE, HeaderValue::from_str(&cookies.join("; ")).unwrap());
        headers
    }

    /// The request with which it comes back.
    pub(crate) fn callback(&self, redirect: &Redirect) -> Callback {
        match &redirect.form {
            Some(form) => self.post(form),
            None => self.get(redirect.location.query().unwrap_or_default()),
        }
    }

    pub(crate) fn get(&self, query: &str) -> Callback {
        let uri = format!("/signin-oidc?{query}").parse().unwrap();
        Callback::from_parts(&Method::GET, &uri, &self.headers(), b"")
    }

    pub(crate) fn post(&self, form: &str) -> Callback {
        let mut headers = self.headers();
        let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
        headers.insert(CONTENT_TYPE, kind);
        let uri = "/signin-oidc".parse().unwrap();
        Callback::from_parts(&Method::POST, &uri, &headers, form.as_bytes())
    }
}

/// A query without one parameter, and with others.
pub(crate) fn changed(location: &Url, without: &str, with: &[(&str, &str)]) -> String {
    let kept = location.query_pairs().filter(|(name, _)| name != without);
    url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(kept)
        .extend_pairs(with)
        .finish()
}

type Answer = Box<dyn Fn(&Request<Bytes>, Response<Bytes>) -> Response<Bytes> + Send + Sync>;

/// Hands requests on to the tenant, and changes what comes back.
#[derive(Clone)]
pub(crate) struct Between {
    emulator: Emulator,
    answer: Arc<Mutex<Option<Answer>>>,
}

impl Between {
    pub(crate) fn change(
        &self,
        answer: impl Fn(&Request<Bytes>, Response<Bytes>) -> Response<Bytes> + Send + Sync + 'static,
    ) {
        *self.answer.lock().unwrap() = Some(Box::new(answer));
    }

    /// Changes what a path that ends so answers, as JSON.
    pub(crate) fn change_json(
        &self,
        path: &'static str,
        change: impl Fn(&mut serde_json::Value) + Send + Sync + 'static,
    ) {
        self.change(move |request, response| {
            if !request.uri().path().ends_with(path) {
                return response;
            }
            let mut json = serde_json::from_slice(response.body()).unwrap();
            change(&mut json);
            response.map(|_| Bytes::from(json.to_string()))
        });
    }

    pub(crate) fn leave(&self) {
        *self.answer.lock().unwrap() = None;
    }
}

impl fmt::Debug for Between {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Between")
    }
}

#[async_trait]
impl HttpClient for Between {
    async fn send(
        &self,
        request: Request<Bytes>,
        limits: Limits,
    ) -> Result<Response<Bytes>, TransportError> {
        let asked = request.clone();
        let response = self.emulator.send(request, limits).await?;
        let answer = self.answer.lock().unwrap();
        Ok(match &*answer {
            Some(change) => change(&asked, response),
            None => response,
        })
    }
}
