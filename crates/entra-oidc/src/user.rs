//! The signed-in user, as the host keeps it in its session.

use std::fmt;

use entra_core::{Groups, UserKey, UserProfile};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::AuthContext;

/// The signed-in user. The host keeps it in its session: it can be serialised, and holds no token.
///
/// The one identity is the [`key`](Self::key). There is no `email()`: an address is no identity,
/// and whether it was verified matters wherever one is used ([`UserProfile`]).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct User {
    pub(crate) profile: UserProfile,
    pub(crate) issuer: String,
    pub(crate) subject: String,
    pub(crate) session_id: Option<String>,
    pub(crate) login_hint: Option<String>,
    pub(crate) auth_contexts: Vec<AuthContext>,
    #[serde(with = "time::serde::timestamp::option")]
    pub(crate) authenticated_on: Option<OffsetDateTime>,
    #[serde(with = "time::serde::timestamp::option")]
    pub(crate) issued_on: Option<OffsetDateTime>,
}

impl User {
    /// All that the token says of the user.
    pub fn profile(&self) -> &UserProfile {
        &self.profile
    }

    /// Who it is.
    pub fn key(&self) -> &UserKey {
        &self.profile.key
    }

    /// The name to show.
    pub fn display_name(&self) -> Option<&str> {
        self.profile.display_name.as_deref()
    }

    /// The application roles that were assigned.
    pub fn roles(&self) -> &[String] {
        &self.profile.roles
    }

    /// The groups, as far as they are known.
    pub fn groups(&self) -> &Groups {
        &self.profile.groups
    }

    /// The session at the provider: `sid`, by which a logout that starts there names it.
    pub fn session_id(&self) -> Option<&str> {
        self.session_id.as_deref()
    }

    /// The authentication contexts that the user passed.
    pub fn auth_contexts(&self) -> &[AuthContext] {
        &self.auth_contexts
    }

    /// Whether the user passed this authentication context.
    pub fn has_auth_context(&self, context: &AuthContext) -> bool {
        self.auth_contexts.contains(context)
    }

    /// When the user signed in at the provider: `auth_time`, an optional claim of Entra's.
    pub fn authenticated_on(&self) -> Option<OffsetDateTime> {
        self.authenticated_on
    }

    /// When the provider said all this: `iat`.
    pub fn issued_on(&self) -> Option<OffsetDateTime> {
        self.issued_on
    }

    /// What a later login or logout may name the account by: `login_hint`, an optional claim of
    /// Entra's.
    pub fn login_hint(&self) -> Option<&str> {
        self.login_hint.as_deref()
    }

    /// Who says so: `iss`.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The user's name at the issuer for this application: `sub`.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The same user with groups that were read elsewhere.
    #[must_use]
    pub fn with_groups(mut self, groups: Groups) -> Self {
        self.profile.groups = groups;
        self
    }
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User")
            .field("key", self.key())
            .finish_non_exhaustive()
    }
}
