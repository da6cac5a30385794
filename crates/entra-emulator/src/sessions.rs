//! What the sign-in service remembers between requests: who signed in, for which client.

use std::collections::{BTreeSet, HashMap};
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
    pub(crate) browsers: Tickets<Browser>,
    pub(crate) codes: Tickets<AuthorizationCode>,
    pub(crate) devices: Tickets<DeviceFlow>,
    pub(crate) refresh_tokens: Tickets<UserGrant>,
    /// `sid` of the sessions that went through the second factor, with when: what a token that
    /// comes back as an assertion does not say.
    pub(crate) second_factors: HashMap<String, OffsetDateTime>,
    /// By `sid`: what a sign-out has to end.
    pub(crate) visits: HashMap<String, Visits>,
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

/// The accounts that are signed in with one browser, the one that was used last first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Browser {
    pub(crate) sessions: Vec<BrowserSession>,
}

impl Browser {
    /// The session with this `sid`.
    pub(crate) fn find(&self, sid: &str) -> Option<&BrowserSession> {
        self.sessions.iter().find(|session| session.id == sid)
    }

    /// The session of a user.
    pub(crate) fn of_user(&self, user_id: &str) -> Option<&BrowserSession> {
        let mut sessions = self.sessions.iter();
        sessions.find(|session| session.user_id == user_id)
    }

    /// Adds a session, in the place of what its user had.
    pub(crate) fn put(&mut self, session: BrowserSession) {
        self.sessions
            .retain(|known| known.user_id != session.user_id);
        self.sessions.insert(0, session);
    }
}

/// The applications that a session was used for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Visits {
    pub(crate) user_id: String,
    pub(crate) app_ids: BTreeSet<String>,
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
