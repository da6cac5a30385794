//! What the sign-in service remembers between requests: who signed in, for which client.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use time::OffsetDateTime;

use crate::authorization_code::AuthorizationCode;
use crate::claims_request::ClaimsRequest;
use crate::client::Platform;
use crate::device_code::DeviceFlow;
use crate::tickets::Tickets;

/// Everything that was handed out and may come back.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    open: Mutex<OpenSessions>,
}

/// The same, to be read and changed.
#[derive(Debug, Default)]
pub(crate) struct OpenSessions {
    pub(crate) browsers: Tickets<BrowserSession>,
    pub(crate) codes: Tickets<AuthorizationCode>,
    pub(crate) devices: Tickets<DeviceFlow>,
    pub(crate) refresh_tokens: Tickets<UserGrant>,
    /// `sid` of the sessions that went through the second factor, with when: what a token that
    /// comes back as an assertion does not say.
    pub(crate) second_factors: HashMap<String, OffsetDateTime>,
}

impl Sessions {
    /// Opens them to one request at a time.
    pub(crate) fn open(&self) -> MutexGuard<'_, OpenSessions> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets everything.
    pub(crate) fn clear(&self) {
        *self.open() = OpenSessions::default();
    }
}

/// A user who signed in with a browser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BrowserSession {
    /// `sid`
    pub(crate) id: String,
    /// The object id of the user.
    pub(crate) user_id: String,
    /// `auth_time`
    pub(crate) signed_in: OffsetDateTime,
    /// When the second factor was there.
    pub(crate) second_factor: Option<OffsetDateTime>,
    /// How often the user's sessions had been revoked by then.
    pub(crate) generation: u64,
}

/// That a user signed in for a client: what a code and a refresh token stand for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UserGrant {
    pub(crate) app_id: String,
    pub(crate) platform: Platform,
    pub(crate) session: BrowserSession,
    /// `scope` of the request.
    pub(crate) scope: String,
    /// `claims` of the request.
    pub(crate) claims: ClaimsRequest,
    /// `nonce` of the request.
    pub(crate) nonce: Option<String>,
}
