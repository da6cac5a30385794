//! Where the routes are: beside the redirect URIs.

use std::convert::Infallible;

use axum::extract::{FromRequestParts, RawPathParams};
use http::request::Parts;
use url::Url;

use crate::{EntraLogin, OptionsError, ProfileName, RedirectUri};

/// The paths of the routes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Paths {
    /// What they begin with, without a slash at the end.
    base: String,
    /// The path of the redirect URI, where there is one profile alone.
    callback: Option<String>,
}

impl Paths {
    pub(super) fn of_one(login: &EntraLogin) -> Result<Self, OptionsError> {
        if !login.redirect_uri().has_cookies() {
            return Err(OptionsError::NoCallbackPath);
        }
        let callback = path(login.redirect_uri().as_str()).ok_or(OptionsError::NoCallbackPath)?;
        let (base, name) = callback
            .rsplit_once('/')
            .ok_or(OptionsError::NoCallbackPath)?;
        if name.is_empty() || OTHERS.contains(&name) {
            return Err(OptionsError::NoCallbackPath);
        }
        Ok(Self {
            base: base.to_owned(),
            callback: Some(callback.clone()),
        })
    }

    pub(super) fn of_several(base: &RedirectUri) -> Result<Self, OptionsError> {
        let base = path(base.as_str()).ok_or(OptionsError::NoCallbackPath)?;
        Ok(Self {
            base: base.trim_end_matches('/').to_owned(),
            callback: None,
        })
    }

    /// Whether there is one profile alone.
    pub(super) fn is_of_one(&self) -> bool {
        self.callback.is_some()
    }

    pub(super) fn logout(&self) -> String {
        self.plain("logout")
    }

    /// The path of this name for all profiles.
    pub(super) fn plain(&self, name: &str) -> String {
        format!("{}/{name}", self.base)
    }

    /// The path of this name for one profile.
    pub(super) fn of_profile(&self, profile: &ProfileName, name: &str) -> String {
        match &self.callback {
            Some(_) => self.plain(name),
            None => format!("{}/{profile}/{name}", self.base),
        }
    }

    /// The routes of this name.
    pub(super) fn all(&self, name: &str) -> Vec<String> {
        match &self.callback {
            Some(_) => vec![self.plain(name)],
            // The provider's request must say which profile it is for.
            None if name.ends_with("-channel-logout") => vec![self.template(name)],
            None => vec![self.plain(name), self.template(name)],
        }
    }

    pub(super) fn callbacks(&self) -> Vec<String> {
        match &self.callback {
            Some(callback) => vec![callback.clone()],
            None => self.all("callback"),
        }
    }

    /// Whether a browser that comes back from this login finds a route.
    pub(super) fn serves_callback_of(&self, login: &EntraLogin) -> bool {
        match (&self.callback, path(login.redirect_uri().as_str())) {
            (Some(callback), found) => found.as_deref() == Some(callback),
            (None, Some(found)) => {
                found == self.of_profile(login.profile(), "callback")
                    || found == self.plain("callback")
            }
            (None, None) => false,
        }
    }

    fn template(&self, name: &str) -> String {
        format!("{}/{{profile}}/{name}", self.base)
    }
}

/// The profile in the path of a request.
pub(super) struct Named(pub(super) Option<String>);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        // A name that is no text is the name of nobody.
        let parameters = RawPathParams::from_request_parts(parts, state).await;
        let name = parameters.ok().and_then(|parameters| {
            let profile = parameters.iter().find(|(name, _)| *name == "profile");
            profile.map(|(_, value)| value.to_owned())
        });
        Ok(Self(name))
    }
}

/// A path of the site on which a login ends.
pub(super) fn beside(login: &EntraLogin, path: &str) -> Option<String> {
    let url = Url::parse(login.redirect_uri().as_str()).ok()?;
    url.join(path).ok().map(String::from)
}

fn path(uri: &str) -> Option<String> {
    Url::parse(uri).ok().map(|url| url.path().to_owned())
}

/// The names of the routes beside a callback.
const OTHERS: [&str; 5] = [
    "login",
    "logout",
    "signed-out",
    "front-channel-logout",
    "back-channel-logout",
];
