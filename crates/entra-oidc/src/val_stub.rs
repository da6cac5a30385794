#![allow(missing_docs, clippy::all, dead_code, unused_variables)]
use crate::{Authority, Error, OptionsError, provider::Provider};
use entra_core::{Groups, UserKey, UserProfile};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
#[derive(Clone, Debug, Default)]
pub struct IdTokenRules;
impl IdTokenRules {
    pub fn new() -> Self {
        Self
    }
}
#[derive(Clone, Debug)]
pub struct IdTokenValidator;
impl IdTokenValidator {
    pub(crate) fn new(provider: Provider, client_id: &str, rules: IdTokenRules) -> Self {
        Self
    }
    pub async fn validate(
        &self,
        token: &str,
        expected: &ExpectedLogin<'_>,
        now: OffsetDateTime,
    ) -> Result<VerifiedIdToken, Error> {
        Err(Error::IdTokenMissing)
    }
}
pub struct ExpectedLogin<'a> {
    pub nonce: ExpectedNonce<'a>,
    pub code: Option<&'a str>,
    pub access_token: Option<&'a str>,
    pub state: Option<&'a str>,
    pub max_age: Option<std::time::Duration>,
    pub auth_contexts: &'a [AuthContext],
}
pub enum ExpectedNonce<'a> {
    Is(&'a str),
    NotExpected,
}
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthContext(String);
impl AuthContext {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
pub struct VerifiedIdToken;
impl VerifiedIdToken {
    pub fn key(&self) -> &UserKey {
        todo!()
    }
    pub fn issuer(&self) -> &str {
        todo!()
    }
    pub fn subject(&self) -> &str {
        todo!()
    }
    pub fn nonce(&self) -> Option<&str> {
        todo!()
    }
    pub fn issued_on(&self) -> OffsetDateTime {
        todo!()
    }
    pub fn user(&self, c: &str) -> User {
        todo!()
    }
}
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct User {
    p: UserProfile,
}
impl User {
    pub fn profile(&self) -> &UserProfile {
        &self.p
    }
    pub fn key(&self) -> &UserKey {
        &self.p.key
    }
    pub fn groups(&self) -> &Groups {
        &self.p.groups
    }
    pub fn with_groups(self, g: Groups) -> Self {
        self
    }
    pub fn login_hint(&self) -> Option<&str> {
        None
    }
    pub fn issuer(&self) -> &str {
        todo!()
    }
    pub fn subject(&self) -> &str {
        todo!()
    }
    pub fn issued_on(&self) -> OffsetDateTime {
        todo!()
    }
}
