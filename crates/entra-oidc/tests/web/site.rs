//! A product in axum, and a browser that keeps its cookies as browsers do.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::FromRef;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use entra_emulator::Redirect;
use entra_oidc::{
    Challenge, EntraLogin, LoginOptions, MaybeSignedIn, Session, SessionName, Sessions, SignedIn,
    WebLogin,
};
use http::request::Builder;
use http::{HeaderMap, Request, StatusCode};
use tower::ServiceExt as _;
use url::Url;

use crate::stage::Stage;

/// The tenant, the product with its routes, and one browser.
pub(crate) struct Site {
    pub(crate) stage: Stage,
    pub(crate) web: WebLogin,
    pub(crate) browser: Browser,
}

/// A product has more in its state than the login.
#[derive(Clone)]
struct AppState {
    login: WebLogin,
}

impl FromRef<AppState> for WebLogin {
    fn from_ref(state: &AppState) -> Self {
        state.login.clone()
    }
}

impl Site {
    pub(crate) async fn new() -> Self {
        Self::with(|options| options).await
    }

    /// With another setting.
    pub(crate) async fn with(change: impl FnOnce(LoginOptions) -> LoginOptions) -> Self {
        let stage = Stage::new();
        let options = change(stage.options());
        Self::of(stage, options).await
    }

    pub(crate) async fn of(stage: Stage, options: LoginOptions) -> Self {
        let login = stage.connect(options).await;
        let sessions = sessions(&stage).keeping_tokens();
        Self::of_login(stage, login, sessions)
    }

    pub(crate) fn of_login(stage: Stage, login: EntraLogin, sessions: Sessions) -> Self {
        let web = WebLogin::new(login, sessions).unwrap();
        Self::of_web(stage, web)
    }

    pub(crate) fn of_web(stage: Stage, web: WebLogin) -> Self {
        let browser = Browser::of(&web);
        Self {
            stage,
            web,
            browser,
        }
    }

    /// Asks for a page, goes to the provider, signs in, and comes back to the product: what the
    /// redirect URI answers.
    pub(crate) async fn sign_in_at(&mut self, page: &str) -> Answer {
        let redirect = self.sign_in_elsewhere(page).await;
        self.browser.come_back(&redirect).await
    }

    /// The same up to the provider's answer.
    pub(crate) async fn sign_in_elsewhere(&mut self, page: &str) -> Redirect {
        let authorize = self.go_to_provider(page).await;
        let user = self.stage.user();
        let emulator = &self.stage.emulator;
        emulator.sign_in_as(&authorize, &user).unwrap()
    }

    /// Asks for a page and follows as far as the provider.
    pub(crate) async fn go_to_provider(&mut self, page: &str) -> Url {
        let mut answer = self.browser.get(page).await;
        for _ in 0..3 {
            let location = answer.location();
            if let Ok(url) = Url::parse(&location) {
                return url;
            }
            answer = self.browser.get(&location).await;
        }
        panic!("no way leads to the provider");
    }

    /// The session of the browser's cookie.
    pub(crate) async fn session(&self) -> (SessionName, Session) {
        let id = self.browser.session_cookie().unwrap();
        let mut headers = HeaderMap::new();
        let cookie = format!("__Host-entra_session={id}");
        headers.insert("cookie", cookie.parse().unwrap());
        let loaded = self.web.sessions().load(&headers).await;
        loaded.unwrap().unwrap()
    }

    /// What the session is, as the product sees it.
    pub(crate) async fn me(&mut self) -> String {
        self.browser.get("/me").await.body
    }
}

/// Sessions and their index on the clock of the tenant.
pub(crate) fn sessions(stage: &Stage) -> Sessions {
    let clock = stage.emulator.clock();
    Sessions::in_memory().with_clock(clock)
}

fn product(login: WebLogin) -> Router {
    Router::new()
        .route("/me", get(me))
        .route("/vault", get(vault))
        .route("/vault/open", post(vault))
        .route("/maybe", get(maybe))
        .route("/payroll", get(payroll))
        .route("/transfer", get(transfer))
        .route("/renew", get(renew))
        .nest("/nested", Router::new().route("/page", get(vault)))
        .merge(login.routes())
        .with_state(AppState { login })
}

async fn me(MaybeSignedIn(user): MaybeSignedIn) -> String {
    user.map_or_else(|| "nobody".to_owned(), |user| user.key().to_string())
}

async fn vault(user: SignedIn) -> String {
    format!("the vault of {}", user.key())
}

async fn payroll(user: SignedIn) -> Result<String, Challenge> {
    user.require_auth_context("c1")?;
    Ok(format!("the payroll for {}", user.key()))
}

async fn maybe(user: Option<SignedIn>) -> &'static str {
    if user.is_some() { "somebody" } else { "nobody" }
}

async fn transfer(user: SignedIn) -> Result<&'static str, Challenge> {
    user.require_recent_auth_context("c1", Duration::from_secs(300))?;
    Ok("transferred")
}

async fn renew(user: SignedIn) -> Result<impl IntoResponse, Challenge> {
    let renewal = user.renew(None).await?;
    let roles = renewal.user.roles().join(",");
    Ok((renewal, roles))
}

/// Cookies with their attributes, in front of the product's routes.
#[derive(Clone)]
pub(crate) struct Browser {
    router: Router,
    /// The value, and whether it comes along with a form from another site.
    pub(crate) cookies: BTreeMap<String, (String, bool)>,
}

impl Browser {
    /// One that has never been here.
    pub(crate) fn of(web: &WebLogin) -> Self {
        Self {
            router: product(web.clone()),
            cookies: BTreeMap::new(),
        }
    }

    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        self.send(Request::get(path), "").await
    }

    /// A page of the product posts a form.
    pub(crate) async fn post(&mut self, path: &str) -> Answer {
        let request = Request::post(path).header("sec-fetch-site", "same-origin");
        self.send(request, "").await
    }

    /// Another site's page posts a form: what does not say `SameSite=None` stays at home.
    pub(crate) async fn post_from_elsewhere(&mut self, path: &str, form: &str) -> Answer {
        let kept = self.cookies.clone();
        self.cookies.retain(|_, (_, crosses_sites)| *crosses_sites);
        let request = Request::post(path)
            .header("content-type", "application/x-www-form-urlencoded")
            .header("sec-fetch-site", "cross-site");
        let sent: Vec<String> = self.cookies.keys().cloned().collect();
        let answer = self.send(request, form).await;
        for (name, cookie) in kept {
            let is_replaced = self.cookies.contains_key(&name) || sent.contains(&name);
            if !is_replaced && !answer.takes_away(&name) {
                self.cookies.insert(name, cookie);
            }
        }
        answer
    }

    /// The way the provider's answer says.
    pub(crate) async fn come_back(&mut self, redirect: &Redirect) -> Answer {
        let path = redirect.location.path();
        match &redirect.form {
            Some(form) => self.post_from_elsewhere(path, form).await,
            None => {
                let query = redirect.location.query().unwrap_or_default();
                self.get(&format!("{path}?{query}")).await
            }
        }
    }

    pub(crate) async fn send(&mut self, request: Builder, body: &str) -> Answer {
        let cookies: Vec<String> = self
            .cookies
            .iter()
            .map(|(name, (value, _))| format!("{name}={value}"))
            .collect();
        let request = request
            .header("cookie", cookies.join("; "))
            .body(Body::from(body.to_owned()))
            .unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
        let answer = Answer {
            status: head.status,
            headers: head.headers,
            body: String::from_utf8(body.to_vec()).unwrap(),
        };
        self.take(&answer);
        answer
    }

    fn take(&mut self, answer: &Answer) {
        for text in answer.set_cookies() {
            let (name, rest) = text.split_once('=').unwrap();
            let value = rest.split(';').next().unwrap();
            if text.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                let crosses_sites = text.contains("SameSite=None");
                let cookie = (value.to_owned(), crosses_sites);
                self.cookies.insert(name.to_owned(), cookie);
            }
        }
    }

    pub(crate) fn session_cookie(&self) -> Option<&str> {
        let cookie = self.cookies.get("__Host-entra_session");
        cookie.map(|(value, _)| value.as_str())
    }
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    /// Where a redirect leads that turns a form into a GET.
    pub(crate) fn location(&self) -> String {
        assert_eq!(self.status, StatusCode::SEE_OTHER, "{}", self.body);
        assert_eq!(self.header("cache-control"), "no-store");
        assert_eq!(self.header("referrer-policy"), "no-referrer");
        self.header("location").to_owned()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn set_cookies(&self) -> Vec<String> {
        let values = self.headers.get_all("set-cookie");
        let texts = values.iter().map(|value| value.to_str().unwrap());
        texts.map(str::to_owned).collect()
    }

    fn takes_away(&self, name: &str) -> bool {
        let start = format!("{name}=;");
        self.set_cookies()
            .iter()
            .any(|text| text.starts_with(&start))
    }

    /// It is the page of something that failed: with this status, without scripts, shown in no
    /// frame, kept by nobody.
    pub(crate) fn is_failure(&self, status: u16) {
        assert_eq!(self.status.as_u16(), status, "{}", self.body);
        assert!(self.body.contains(" did not work</h1>"));
        assert!(self.body.contains("Reference: "));
        self.is_safe_page();
    }

    pub(crate) fn is_safe_page(&self) {
        assert!(!self.body.contains("<script"));
        assert_eq!(self.header("content-type"), "text/html; charset=utf-8");
        assert_eq!(self.header("cache-control"), "no-store");
        assert_eq!(self.header("referrer-policy"), "no-referrer");
        assert_eq!(self.header("x-content-type-options"), "nosniff");
        let policy = self.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"));
        assert!(policy.ends_with("base-uri 'none'; frame-ancestors 'none'"));
    }
}
