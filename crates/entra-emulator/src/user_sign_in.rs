//! A user signs in without a browser: for tests, and for the control interface.

use url::Url;

use crate::authorization::{Interaction, Redirect, Step};
use crate::authorize::{AuthorizationRequest, Denial};
use crate::device_code::DeviceState;
use crate::emulator::Emulator;
use crate::external_id;
use crate::form::Form;
use crate::origin::is_same_origin;
use crate::refusal::{Refusal, RequestIds};
use crate::sign_in::SignIn;
use crate::tenant::text_of;

impl Emulator {
    /// Signs a user in where an application sends the browser, and answers what the browser brings
    /// back: also an error, if it is one that the application learns of. The user enters the right
    /// password and consents to what a user may consent to.
    pub fn sign_in_as(
        &self,
        authorize_url: &Url,
        user_principal_name: &str,
    ) -> Result<Redirect, SignInError> {
        self.with_sign_in(|sign_in| {
            let front = external_id::front_of_url(sign_in.tenant, sign_in.home, authorize_url);
            match front {
                Some((origin, url)) => SignIn {
                    tenant: sign_in.tenant,
                    sessions: sign_in.sessions,
                    origin: &origin,
                    home: sign_in.home,
                    now: sign_in.now,
                }
                .as_user(&url, user_principal_name),
                None => sign_in.as_user(authorize_url, user_principal_name),
            }
        })
    }

    /// Enters the code that a device shows, as this user.
    pub fn approve_device(
        &self,
        user_code: &str,
        user_principal_name: &str,
    ) -> Result<(), SignInError> {
        self.with_sign_in(|sign_in| sign_in.approve(user_code, user_principal_name))
    }

    /// Signs the user out of every session, and answers what the browser loads in frames to tell
    /// the applications: the `logoutUrl` of each, with the `sid` of the session.
    pub fn sign_out(&self, user_principal_name: &str) -> Result<Vec<Url>, SignInError> {
        self.with_sign_in(|sign_in| {
            let user_id = sign_in.user_id(user_principal_name)?;
            Ok(sign_in.sign_out(&user_id))
        })
    }

    /// Enters the code that a device shows, and declines.
    pub fn decline_device(&self, user_code: &str) -> Result<(), SignInError> {
        let is_known =
            self.with_sign_in(|sign_in| sign_in.settle_device(user_code, DeviceState::Declined));
        is_known.then_some(()).ok_or(SignInError::NoSuchDevice)
    }
}

/// Why a user is not signed in, and no application learns of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignInError {
    /// The URL does not lead to the authorization endpoint of this tenant.
    #[error("the URL does not lead to the authorization endpoint of this tenant")]
    NotAuthorizeUrl,
    /// There is no user of this name.
    #[error("there is no user of this name")]
    NoSuchUser,
    /// No device that waits for its user shows this code.
    #[error("no device waits with this code")]
    NoSuchDevice,
    /// The user sees an error page.
    #[error("the user sees an error page: {description}")]
    Refused {
        /// The number of the AADSTS code.
        code: u32,
        /// The text of the page, with the code.
        description: String,
    },
}

impl SignIn<'_> {
    fn as_user(&mut self, url: &Url, name: &str) -> Result<Redirect, SignInError> {
        let segment = authorize_segment(url, self.home)?;
        let user_id = self.user_id(name)?;
        let parameters = Form::parse(url.query().unwrap_or_default().as_bytes());
        let ids = RequestIds::fresh();
        let outcome = AuthorizationRequest::parse(self.tenant, &segment, &parameters, self.now)
            .and_then(|request| self.walk_through(&request, &user_id));
        let refused = |refusal: &Refusal| SignInError::Refused {
            code: refusal.code(),
            description: refusal.description(&ids, self.now),
        };
        match outcome {
            Ok(redirect) => redirect.ok_or(SignInError::NotAuthorizeUrl),
            Err(Denial::Shown(refusal)) => Err(refused(&refusal)),
            Err(Denial::Replied(refusal, reply)) => reply
                .answer(self.tenant, refusal.parameters(self.origin, &ids, self.now))
                .ok_or_else(|| refused(&refusal)),
        }
    }

    /// Signs in, consents, and takes the answer.
    fn walk_through(
        &mut self,
        request: &AuthorizationRequest,
        user_id: &str,
    ) -> Result<Option<Redirect>, Denial> {
        let mut session = self.new_session(user_id);
        let mut interaction = Interaction {
            is_fresh: true,
            has_consented: false,
        };
        loop {
            match self.next_step(request, Some(&session), interaction)? {
                Step::SecondFactor { .. } if session.second_factor.is_none() => {
                    self.confirm_second_factor(&mut session);
                }
                Step::Consent(consents) if !interaction.has_consented => {
                    self.accept(&request.app_id, user_id, &consents);
                    interaction.has_consented = true;
                }
                _ => break,
            }
        }
        let parameters = self
            .grant(request, &session)
            .map_err(|refusal| Denial::Replied(refusal, request.reply.clone()))?;
        Ok(request.reply.answer(self.tenant, parameters))
    }

    fn sign_out(&self, user_id: &str) -> Vec<Url> {
        let ending: Vec<String> = {
            let mut sessions = self.sessions.open();
            for browser in sessions.browsers.iter_mut() {
                let known = &mut browser.value.sessions;
                known.retain(|session| session.user_id != user_id);
            }
            let visits = sessions.visits.iter();
            visits
                .filter(|(_, visits)| visits.user_id == user_id)
                .map(|(sid, _)| sid.clone())
                .collect()
        };
        let mut frames: Vec<Url> = ending
            .iter()
            .flat_map(|sid| self.end_session(sid))
            .collect();
        frames.sort();
        frames
    }

    fn approve(&mut self, user_code: &str, name: &str) -> Result<(), SignInError> {
        let mut session = self.new_session(&self.user_id(name)?);
        self.confirm_second_factor(&mut session);
        match self.approve_device(user_code, &session) {
            Ok(true) => Ok(()),
            Ok(false) => Err(SignInError::NoSuchDevice),
            Err(refusal) => Err(SignInError::Refused {
                code: refusal.code(),
                description: refusal.description(&RequestIds::fresh(), self.now),
            }),
        }
    }

    fn user_id(&self, name: &str) -> Result<String, SignInError> {
        let user = self.tenant.find_user(name).ok_or(SignInError::NoSuchUser)?;
        Ok(text_of(user, "id").to_owned())
    }
}

/// The tenant in the path of an authorization request.
fn authorize_segment(url: &Url, origin: &Url) -> Result<String, SignInError> {
    let segments: Vec<&str> = url.path_segments().into_iter().flatten().collect();
    match segments.as_slice() {
        [segment, "oauth2", "v2.0", "authorize"] if is_same_origin(url, origin) => {
            Ok((*segment).to_owned())
        }
        _ => Err(SignInError::NotAuthorizeUrl),
    }
}
