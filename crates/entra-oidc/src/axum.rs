//! Routes and extractors for axum.

mod bearer;
mod callback;
mod challenge;
mod login;
mod logout;
mod page;
mod paths;
mod request;
mod signed_in;

use std::fmt;
use std::sync::Arc;

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

pub use challenge::{Challenge, Renewal};
pub use page::LoginFailure;
pub use signed_in::{MaybeSignedIn, SignInRequired, SignedIn};

use crate::{
    EntraLogin, Error, OptionsError, Profile, ProfileName, Profiles, RedirectUri, Sessions,
};
use paths::Paths;

/// Login for an axum application: routes for the browser, and what the extractors [`SignedIn`] and
/// [`MaybeSignedIn`] need of its state.
///
/// | Path | Method | |
/// |---|---|---|
/// | `…/login` | GET | begins a login; `return_to` is a path of the product, `login_hint`, `domain_hint`, `prompt` (`login`, `select_account`, `create`), `auth_context` and `profile` are passed on; also the `initiate_login_uri` of OpenID Connect (`iss`, `target_link_uri`) |
/// | the redirect URI's | GET, POST | finishes it |
/// | `…/logout` | POST | ends the session here and at the provider, for a page of the product alone |
/// | `…/signed-out` | GET | where the browser comes back to from there, if it is the [post-logout redirect URI](crate::LoginOptions::with_post_logout_redirect_uri); a page |
/// | `…/front-channel-logout` | GET | ends the session that the provider names (`sid`) |
/// | `…/back-channel-logout` | POST | the same behind the scenes, by a signed token; Entra does not speak it |
///
/// The paths stand beside the redirect URI's: with `https://pw.example.com/auth/callback` the
/// login begins at `/auth/login`. Merge the routes at the root of the application. Register the
/// front-channel URL with Entra as the application's logout URL, and have no layer forbid frames
/// there (`X-Frame-Options`): Entra's sign-out page loads it in one. A page of the product with a
/// sign-out form must not limit `form-action` to itself, or the browser does not go on to the
/// provider.
///
/// ```
/// use axum::Router;
/// use axum::routing::get;
/// use entra_oidc::{Challenge, EntraLogin, Sessions, SignedIn, WebLogin};
///
/// fn app(login: EntraLogin) -> Result<Router, entra_oidc::OptionsError> {
///     let login = WebLogin::new(login, Sessions::in_memory())?;
///     Ok(Router::new()
///         .route("/", get(home))
///         .route("/vault", get(vault))
///         .merge(login.routes())
///         // A product with more state implements `FromRef<AppState> for WebLogin`.
///         .with_state(login))
/// }
///
/// async fn home(user: SignedIn) -> String {
///     format!("Hello {}", user.display_name().unwrap_or("you"))
/// }
///
/// async fn vault(user: SignedIn) -> Result<String, Challenge> {
///     user.require_auth_context("c1")?; // off to a second factor, and back here
///     Ok(format!("the vault of {}", user.key()))
/// }
/// ```
#[derive(Clone)]
pub struct WebLogin(Arc<Inner>);

struct Inner {
    paths: Paths,
    profiles: Profiles,
    sessions: Sessions,
    page: Option<FailurePage>,
}

type FailurePage = Arc<dyn Fn(&LoginFailure<'_>) -> Response + Send + Sync>;

impl WebLogin {
    /// The login of a product with one profile.
    ///
    /// # Errors
    /// [`OptionsError::NoCallbackPath`] where a browser does not come back to a path of a web
    /// server.
    pub fn new(login: EntraLogin, sessions: Sessions) -> Result<Self, OptionsError> {
        let paths = Paths::of_one(&login)?;
        let sessions = sessions.at(login.redirect_uri());
        let profiles = Profiles::new();
        profiles.put(Profile::new(login))?;
        Ok(Self::assemble(paths, profiles, sessions))
    }

    /// The logins of a product with several profiles, all beside `base`
    /// (`https://pw.example.com/auth`), with the profile's name in the path: `…/{profile}/login`,
    /// `…/{profile}/callback` ([`redirect_uri`](Self::redirect_uri)),
    /// `…/{profile}/front-channel-logout`, `…/{profile}/signed-out`. Profiles that share a redirect
    /// URI have `…/callback`.
    ///
    /// `…/login` without a name chooses the profile by `?profile=`, the domain of the `login_hint`,
    /// the host, or asks for the user name. Profiles may come and go later.
    ///
    /// # Errors
    /// [`OptionsError::RedirectUri`] where `base` cannot be the beginning of a redirect URI.
    pub fn of_profiles(
        base: &str,
        profiles: Profiles,
        sessions: Sessions,
    ) -> Result<Self, OptionsError> {
        let base = RedirectUri::web(base.trim_end_matches('/'))?;
        let paths = Paths::of_several(&base)?;
        let sessions = sessions.at(&base);
        Ok(Self::assemble(paths, profiles, sessions))
    }

    /// The redirect URI of a profile of [`of_profiles`](Self::of_profiles), to be registered.
    ///
    /// # Errors
    /// As there.
    pub fn redirect_uri(base: &str, profile: &ProfileName) -> Result<RedirectUri, OptionsError> {
        let base = base.trim_end_matches('/');
        Ok(RedirectUri::web(&format!("{base}/{profile}/callback"))?)
    }

    /// Answers failed logins with pages of the product's own. The host's place to offer that an
    /// account be linked, too ([`Error::LinkRequired`]).
    #[must_use]
    pub fn with_failure_page(
        self,
        page: impl Fn(&LoginFailure<'_>) -> Response + Send + Sync + 'static,
    ) -> Self {
        let Inner {
            paths,
            profiles,
            sessions,
            ..
        } = &*self.0;
        Self(Arc::new(Inner {
            paths: paths.clone(),
            profiles: profiles.clone(),
            sessions: sessions.clone(),
            page: Some(Arc::new(page)),
        }))
    }

    /// The routes, to be merged into the application's.
    pub fn routes<S: Clone + Send + Sync + 'static>(&self) -> Router<S> {
        let paths = &self.0.paths;
        let mut router = Router::new()
            .without_v07_checks()
            .route(&paths.logout(), post(logout::begin));
        for path in paths.callbacks() {
            router = router.route(&path, get(callback::finish).post(callback::finish));
        }
        for path in paths.all("login") {
            router = router.route(&path, get(login::begin));
        }
        for path in paths.all("signed-out") {
            router = router.route(&path, get(logout::signed_out));
        }
        for path in paths.all("front-channel-logout") {
            router = router.route(&path, get(logout::front_channel));
        }
        for path in paths.all("back-channel-logout") {
            router = router.route(&path, post(logout::back_channel));
        }
        router.with_state(self.clone())
    }

    /// The front-channel logout URL of a profile, to be registered with Entra.
    pub fn front_channel_url(&self, profile: &ProfileName) -> Option<String> {
        let login = self.0.profiles.by_name(profile.as_str())?;
        let path = self.0.paths.of_profile(profile, "front-channel-logout");
        paths::beside(&login, &path)
    }

    /// Where the browser comes back to from a sign-out at the provider of a profile: one more
    /// redirect URI to register, and the
    /// [post-logout redirect URI](crate::LoginOptions::with_post_logout_redirect_uri) of its login.
    pub fn signed_out_url(&self, profile: &ProfileName) -> Option<String> {
        let login = self.0.profiles.by_name(profile.as_str())?;
        let path = self.0.paths.of_profile(profile, "signed-out");
        paths::beside(&login, &path)
    }

    /// The sessions.
    pub fn sessions(&self) -> &Sessions {
        &self.0.sessions
    }

    /// The profiles.
    pub fn profiles(&self) -> &Profiles {
        &self.0.profiles
    }

    fn assemble(paths: Paths, profiles: Profiles, sessions: Sessions) -> Self {
        Self(Arc::new(Inner {
            paths,
            profiles,
            sessions,
            page: None,
        }))
    }

    /// The product's sessions do not answer, so nobody is signed in or out.
    fn unavailable(&self, error: &(dyn std::error::Error + 'static)) -> Response {
        page::unavailable(error)
    }

    /// What became of a login that failed, told to the log and to the browser.
    fn failed(&self, profile: Option<&ProfileName>, error: &Error, try_again: &str) -> Response {
        let failure = LoginFailure::new(profile, error, try_again);
        failure.log();
        match &self.0.page {
            Some(page) => page(&failure),
            None => failure.into_response(),
        }
    }
}

/// The answer of the crate's own types as axum's, without the address of a login in the `Referer`
/// of what follows.
fn empty(response: http::Response<()>) -> Response {
    let mut response = response.map(|()| axum::body::Body::empty());
    let policy = http::HeaderValue::from_static("no-referrer");
    response
        .headers_mut()
        .insert(http::header::REFERRER_POLICY, policy);
    response
}

fn with_cookies(mut response: Response, cookies: &[http::HeaderValue]) -> Response {
    for cookie in cookies {
        response
            .headers_mut()
            .append(http::header::SET_COOKIE, cookie.clone());
    }
    response
}

impl fmt::Debug for WebLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebLogin")
            .field("paths", &self.0.paths)
            .field("profiles", &self.0.profiles)
            .field("sessions", &self.0.sessions)
            .finish_non_exhaustive()
    }
}
