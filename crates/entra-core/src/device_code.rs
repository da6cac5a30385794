//! Sign-in by device code (RFC 8628): the user signs in on another device.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use time::OffsetDateTime;
use url::form_urlencoded::Serializer;

use crate::registration::Registration;
use crate::token_endpoint::{Effort, Grant, TokenEndpoint};
use crate::user_session::{UserSession, login_scope};
use crate::{Error, Operation, Secret, TokenRequest};

/// A login that waits for its user. Show [`message`](Self::message), then
/// [`finish`](Self::finish).
#[derive(Clone)]
pub struct DeviceLogin {
    registration: Arc<Registration>,
    request: TokenRequest,
    device_code: Secret,
    user_code: String,
    verification_uri: String,
    verification_uri_complete: Option<String>,
    message: String,
    expires_on: OffsetDateTime,
    interval: Duration,
}

impl DeviceLogin {
    /// The code that the user enters.
    pub fn user_code(&self) -> &str {
        &self.user_code
    }

    /// Where the user enters it.
    pub fn verification_uri(&self) -> &str {
        &self.verification_uri
    }

    /// The same with the code in it, for a QR code, where the service offers it.
    pub fn verification_uri_complete(&self) -> Option<&str> {
        self.verification_uri_complete.as_deref()
    }

    /// What to tell the user, in one sentence, in English.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Until when the user must have signed in.
    pub fn expires_on(&self) -> OffsetDateTime {
        self.expires_on
    }

    /// Waits until the user has signed in, declined or let the code expire. `progress` hears of
    /// each look. Drop the future to give up; call again to go on.
    ///
    /// # Errors
    /// [`Error::Token`] with [`TokenErrorKind::DeviceCodeExpired`](crate::TokenErrorKind) or
    /// `DeviceCodeDeclined`, or whatever else the service refuses the sign-in with. A network that
    /// is gone for a moment is waited for as long as the code lives.
    pub async fn finish(
        &self,
        mut progress: impl FnMut(DeviceProgress) + Send,
    ) -> Result<UserSession, Error> {
        let clock = Arc::clone(self.registration.pipeline().clock());
        let mut interval = self.interval;
        let mut pause = interval;
        loop {
            clock.sleep(pause).await;
            let error = match self.look().await {
                Ok(session) => return Ok(session),
                Err(error) => error,
            };
            let left = self.expires_on - clock.now();
            let left = Duration::try_from(left).unwrap_or_default();
            let next = match Pending::of(&error) {
                Some(Pending::Waiting) => DeviceProgress::Waiting { left },
                Some(Pending::SlowDown) => {
                    // RFC 8628 3.5: from now on five seconds more.
                    interval = interval.saturating_add(SLOW_DOWN);
                    DeviceProgress::SlowedDown { left, interval }
                }
                Some(Pending::Unreachable) => {
                    // RFC 8628 3.5: back off exponentially.
                    interval = interval.saturating_mul(2).min(MAX_INTERVAL);
                    DeviceProgress::Unreachable { left }
                }
                None => return Err(error),
            };
            if left.is_zero() {
                return Err(error);
            }
            // What the service asks for counts once, and the code does not die unseen.
            let wait = error.retry_after().unwrap_or_default();
            pause = interval.max(wait).min(left);
            progress(next);
        }
    }

    pub(crate) async fn begin(
        registration: Arc<Registration>,
        request: &TokenRequest,
    ) -> Result<Self, Error> {
        let authority = registration.authority_of(request)?;
        let client = &registration.settings().client;
        let endpoint = TokenEndpoint::for_device_codes(&authority, client);
        let form = Serializer::new(String::new())
            .append_pair("client_id", &client.to_string())
            .append_pair("scope", &login_scope(request))
            .finish();
        let pipeline = registration.pipeline();
        let started = pipeline.clock().now();
        let response = endpoint
            .post(pipeline, (Operation::Idempotent, Effort::Full), || async {
                Ok(form.clone().into())
            })
            .await
            .map_err(|(error, _)| error)?;
        let answer: DeviceAuthorization =
            endpoint.read_json(&response, "a body that is no device code")?;
        drop(authority);
        Ok(answer.into_login(registration, request.clone(), started))
    }

    /// Asks once whether the user has signed in.
    async fn look(&self) -> Result<UserSession, Error> {
        let grant = Grant::DeviceCode(&self.device_code);
        // The scopes were named when the code was asked for.
        let issued = self
            .registration
            .redeem(grant, &self.request, "".into(), Effort::Once)
            .await?;
        Ok(UserSession::new(&self.registration, &self.request, issued))
    }
}

impl fmt::Debug for DeviceLogin {
    /// Without the codes: whoever has one of them may finish the login.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeviceLogin")
            .field("verification_uri", &self.verification_uri)
            .field("expires_on", &self.expires_on)
            .field("interval", &self.interval)
            .finish_non_exhaustive()
    }
}

/// How a login by device code is going.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeviceProgress {
    /// The user has not signed in yet.
    Waiting {
        /// How long the code lives.
        left: Duration,
    },
    /// The service wants to be asked less often.
    SlowedDown {
        /// How long the code lives.
        left: Duration,
        /// How long it is waited between two looks now.
        interval: Duration,
    },
    /// The service cannot be reached or is busy; it is asked again.
    Unreachable {
        /// How long the code lives.
        left: Duration,
    },
}

impl fmt::Display for DeviceProgress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, left) = match self {
            Self::Waiting { left } => ("waiting for the user", left),
            Self::SlowedDown { left, .. } => ("waiting for the user, asking less often", left),
            Self::Unreachable { left } => ("the sign-in service does not answer", left),
        };
        write!(f, "{what}; the code lives {} s longer", left.as_secs())
    }
}

/// Why a look was not the last one.
enum Pending {
    Waiting,
    SlowDown,
    Unreachable,
}

impl Pending {
    /// RFC 8628 3.5: `error` decides, not the code.
    fn of(error: &Error) -> Option<Self> {
        match error {
            Error::Token(refusal) if refusal.error == "authorization_pending" => {
                Some(Self::Waiting)
            }
            Error::Token(refusal) if refusal.error == "slow_down" => Some(Self::SlowDown),
            error if error.is_retryable() => Some(Self::Unreachable),
            _ => None,
        }
    }
}

/// RFC 8628 3.2, with `message` of Entra.
#[derive(Deserialize)]
struct DeviceAuthorization {
    device_code: Secret,
    user_code: String,
    // Older versions of the service write it differently.
    #[serde(alias = "verification_url")]
    verification_uri: String,
    verification_uri_complete: Option<String>,
    expires_in: u32,
    interval: Option<u32>,
    message: Option<String>,
}

impl DeviceAuthorization {
    fn into_login(
        self,
        registration: Arc<Registration>,
        request: TokenRequest,
        started: OffsetDateTime,
    ) -> DeviceLogin {
        let message = self.message.unwrap_or_else(|| {
            format!(
                "To sign in, open {} in a browser and enter the code {}.",
                self.verification_uri, self.user_code
            )
        });
        DeviceLogin {
            registration,
            request,
            device_code: self.device_code,
            user_code: self.user_code,
            verification_uri: self.verification_uri,
            verification_uri_complete: self.verification_uri_complete,
            message,
            expires_on: started.saturating_add(time::Duration::seconds(self.expires_in.into())),
            interval: Duration::from_secs(self.interval.unwrap_or(5).max(1).into()),
        }
    }
}

const SLOW_DOWN: Duration = Duration::from_secs(5);
const MAX_INTERVAL: Duration = Duration::from_secs(60);
