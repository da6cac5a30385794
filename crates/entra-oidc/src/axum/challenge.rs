//! What a signed-in user has to do first: pass an authentication context, or sign in once more.

use std::convert::Infallible;
use std::fmt;
use std::time::Duration;

use axum::response::{IntoResponse, IntoResponseParts, Response, ResponseParts};
use http::HeaderValue;
use http::header::SET_COOKIE;
use serde_json::json;

use super::SignedIn;
use super::request::with_query;
use super::signed_in::unauthorized;
use crate::{AuthContext, Begin, EntraLogin, Error, User};

impl SignedIn {
    /// Lets the user go on who passed this authentication context of Conditional Access (`c1`), and
    /// sends others there and back to this place, by GET: the way to a second factor before a
    /// sensitive action. The target of a form that was posted is not posted again; ask on the page
    /// that shows the form as well.
    ///
    /// Who comes back as another user is refused. While no policy is assigned to the context, Entra
    /// issues it to everybody ([`EntraLogin::step_up`]); once passed it counts for the session.
    ///
    /// # Errors
    /// [`Challenge`], the answer for the browser.
    pub fn require_auth_context(&self, context: &str) -> Result<(), Challenge> {
        self.require(context, None)
    }

    /// The same where it must not be long ago that the user came from the provider: Entra puts
    /// contexts into tokens that nobody asked for as well. The provider may know the user from a
    /// session of its own; [`Begin::with_max_age`] has them type a password.
    ///
    /// # Errors
    /// [`Challenge`], the answer for the browser.
    pub fn require_recent_auth_context(
        &self,
        context: &str,
        within: Duration,
    ) -> Result<(), Challenge> {
        self.require(context, Some(within))
    }

    /// Renews the session: asks the provider whether the user may still sign in, and takes over
    /// the roles and groups of now. `claims` answers a claims challenge of an API. The session goes
    /// on under a new id: put the [`Renewal`] into the answer.
    ///
    /// It needs [`Sessions::keeping_tokens`](crate::Sessions::keeping_tokens) and the scope
    /// `offline_access`. Two requests of one browser at once must not both renew: the second finds
    /// the session gone.
    ///
    /// # Errors
    /// [`Challenge`], the answer for the browser: off to the provider where the user has to do
    /// something, an error page where the provider does not answer.
    pub async fn renew(&self, claims: Option<&str>) -> Result<Renewal, Challenge> {
        let login = self.login()?;
        let Some(tokens) = &self.session.tokens else {
            return Err(self.again(&login, Begin::to(self.place.as_str())));
        };
        let renewed = match login.refresh(self.user(), tokens, claims).await {
            Ok(renewed) => renewed,
            Err(error) => return Err(self.not_renewed(&login, error).await),
        };
        let sessions = self.web.sessions();
        match sessions.renew((&self.name, &self.session), &renewed).await {
            Ok(Some(set_cookie)) => Ok(Renewal {
                user: renewed.user,
                set_cookie,
            }),
            Ok(None) => Err(self.again(&login, Begin::to(self.place.as_str()))),
            Err(error) => Err(Challenge::new(self.web.unavailable(&error))),
        }
    }

    fn require(&self, context: &str, within: Option<Duration>) -> Result<(), Challenge> {
        let login = self.login()?;
        let context = AuthContext::parse(context).map_err(|error| self.failed(&error.into()))?;
        if self.has_auth_context(&context) && self.is_recent(within) {
            return Ok(());
        }
        if self.is_navigation {
            let begin = Begin::to(self.place.as_str()).with_auth_context(context);
            return Err(self.again(&login, begin));
        }
        let context = context.to_string();
        let path = self.web.login_path(Some(&login), None);
        let parameters = [
            ("auth_context", context.as_str()),
            ("return_to", self.place.as_str()),
        ];
        let body = json!({
            "error": "auth_context_required",
            "auth_context": context,
            "login": with_query(&path, parameters),
        });
        Err(Challenge::new(unauthorized(&self.web, &body)))
    }

    /// The token of this session is from the last time that the user came from the provider.
    fn is_recent(&self, within: Option<Duration>) -> bool {
        let Some(within) = within else {
            return true;
        };
        let age = self.web.sessions().now() - self.session.signed_in_on;
        time::Duration::try_from(within).is_ok_and(|within| age <= within)
    }

    async fn not_renewed(&self, login: &EntraLogin, error: Error) -> Challenge {
        if !error.needs_user() {
            return self.failed(&error);
        }
        let begin = Begin::to(self.place.as_str());
        match error.claims() {
            // Something is asked for; the session itself is as good as before.
            Some(claims) => self.again(login, begin.with_claims(claims)),
            None => match self.web.sessions().end(&self.name).await {
                Ok(_) => self.again(login, begin),
                Err(error) => Challenge::new(self.web.unavailable(&error)),
            },
        }
    }

    /// To the provider, as the same user.
    fn again(&self, login: &EntraLogin, begin: Begin) -> Challenge {
        if !self.is_navigation {
            let login = self.web.login_path(Some(login), Some(self.place.as_str()));
            let body = json!({"error": "sign_in_required", "login": login});
            return Challenge::new(unauthorized(&self.web, &body));
        }
        let mut begin = begin.with_user(self.user());
        begin.cookies = self.pending.clone();
        Challenge::new(self.web.leave(login, begin))
    }

    fn login(&self) -> Result<EntraLogin, Challenge> {
        let name = self.session.profile.as_str();
        let login = self.web.profiles().by_name(name);
        // Its profile was taken out: nobody can vouch for the user any more.
        login.ok_or_else(|| Challenge::new(super::page::unknown_profile()))
    }

    fn failed(&self, error: &Error) -> Challenge {
        let again = self.web.login_path(None, Some(self.place.as_str()));
        Challenge::new(self.web.failed(Some(&self.session.profile), error, &again))
    }
}

/// The answer to a user who has to do something first: most often a redirect to the provider.
pub struct Challenge(Box<Response>);

impl Challenge {
    fn new(response: Response) -> Self {
        Self(Box::new(response))
    }
}

impl IntoResponse for Challenge {
    fn into_response(self) -> Response {
        *self.0
    }
}

impl fmt::Debug for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Challenge({})", self.0.status())
    }
}

/// A renewed session: put it into the answer, `(renewal, page)`, so that the browser learns the new
/// id.
#[non_exhaustive]
pub struct Renewal {
    /// The user, as the provider sees them now.
    pub user: User,
    set_cookie: HeaderValue,
}

impl IntoResponseParts for Renewal {
    type Error = Infallible;

    fn into_response_parts(self, mut parts: ResponseParts) -> Result<ResponseParts, Infallible> {
        parts.headers_mut().append(SET_COOKIE, self.set_cookie);
        Ok(parts)
    }
}

impl fmt::Debug for Renewal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Renewal")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}
