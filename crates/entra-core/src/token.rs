//! Access tokens, what is asked for, and who yields them.

use std::fmt;
use std::fmt::Debug;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::Guard;
use async_trait::async_trait;
use aws_lc_rs::digest;
use bytes::Bytes;
use http::HeaderValue;
use time::OffsetDateTime;
use zeroize::Zeroizing;

use crate::{Error, Secret, Tenant};

/// Yields access tokens. Cheap to call: whoever implements it caches.
#[async_trait]
pub trait TokenCredential: Debug + Send + Sync {
    /// A token that is valid for at least the refresh margin of the implementation, five minutes
    /// as a rule.
    async fn token(&self, request: &TokenRequest) -> Result<AccessToken, Error>;

    /// The service refused `token` before its time: the next call must not return it again, nor
    /// must one for the same request without its claims, with which the challenge was met.
    /// Many callers may say so at once; one new token is the answer to all of them.
    fn invalidate(&self, request: &TokenRequest, token: &AccessToken);
}

/// What a token is asked for: scopes in any order, maybe a claims request, maybe another tenant.
///
/// ```
/// use entra_core::{Cloud, TokenRequest};
///
/// let request = TokenRequest::new([Cloud::public().graph_scope()]);
/// assert_eq!(request.scope(), "https://graph.microsoft.com/.default");
/// assert_eq!(TokenRequest::new(["b", "a", "B"]), TokenRequest::new(["A", "b"]));
/// ```
#[derive(Clone)]
pub struct TokenRequest {
    /// One allocation, which a cache's key shares: a lookup with a request that was used before
    /// compares two pointers and reads none of the texts.
    parts: Arc<Parts>,
    hash: u64,
    bypass_cache: bool,
}

#[derive(Clone)]
struct Parts {
    scope: String,
    /// The scopes in lower case.
    key: String,
    claims: Option<String>,
    tenant: Option<Tenant>,
    user: Option<UserAssertion>,
}

impl TokenRequest {
    /// Asks for these scopes. Order, case and repetitions make no difference to a cache.
    pub fn new<S: Into<String>>(scopes: impl IntoIterator<Item = S>) -> Self {
        // A text of several scopes counts as these scopes (RFC 6749 3.3).
        let mut scopes: Vec<String> = scopes
            .into_iter()
            .flat_map(|scope| {
                let scope: String = scope.into();
                scope
                    .split_whitespace()
                    .map(str::to_owned)
                    .collect::<Vec<_>>()
            })
            .collect();
        scopes.sort_by_key(|scope| scope.to_ascii_lowercase());
        scopes.dedup_by_key(|scope| scope.to_ascii_lowercase());
        let scope = scopes.join(" ");
        let parts = Parts {
            key: scope.to_ascii_lowercase(),
            scope,
            claims: None,
            tenant: None,
            user: None,
        };
        let request = Self {
            parts: Arc::new(parts),
            hash: 0,
            bypass_cache: false,
        };
        request.with(|_| ())
    }

    /// Adds a claims request (OpenID Connect Core 5.5), as a claims challenge brings it.
    #[must_use]
    pub fn with_claims(self, claims: impl Into<String>) -> Self {
        self.with(|parts| parts.claims = Some(claims.into()))
    }

    /// Asks in this tenant instead of the client's own. The client must allow it, see
    /// [`ConfidentialClient::with_tenants`](crate::ConfidentialClient::with_tenants).
    #[must_use]
    pub fn in_tenant(self, tenant: impl Into<Tenant>) -> Self {
        self.with(|parts| parts.tenant = Some(tenant.into()))
    }

    /// Asks the token endpoint even where a cached token would do, and does not count a recent
    /// failure: what a «Test connection» button wants.
    #[must_use]
    pub fn bypassing_cache(mut self) -> Self {
        self.bypass_cache = true;
        self
    }

    /// The scopes, separated by spaces (RFC 6749 3.3).
    pub fn scope(&self) -> &str {
        &self.parts.scope
    }

    /// Asks on behalf of the user whose token this is.
    pub(crate) fn for_user(self, user: UserAssertion) -> Self {
        self.with(|parts| parts.user = Some(user))
    }

    /// The same request without claims.
    pub(crate) fn without_claims(&self) -> Self {
        self.clone().with(|parts| parts.claims = None)
    }

    /// The same request as a cache knows it: without the user's token, which it must not keep.
    pub(crate) fn as_key(&self) -> Self {
        let key = Self {
            bypass_cache: false,
            ..self.clone()
        };
        match &self.parts.user {
            Some(user) => {
                let hash_alone = UserAssertion {
                    hash: user.hash,
                    token: None,
                };
                key.for_user(hash_alone)
            }
            None => key,
        }
    }

    fn with(mut self, change: impl FnOnce(&mut Parts)) -> Self {
        let parts = Arc::make_mut(&mut self.parts);
        change(parts);
        let mut hasher = DefaultHasher::new();
        (&parts.key, &parts.claims, &parts.tenant).hash(&mut hasher);
        parts.user.as_ref().map(|user| user.hash).hash(&mut hasher);
        self.hash = hasher.finish();
        self
    }

    /// The hash, for whoever divides requests into groups.
    pub(crate) fn hash_code(&self) -> u64 {
        self.hash
    }

    /// The scopes as a cache compares them: sorted, in lower case.
    pub(crate) fn scope_key(&self) -> &str {
        &self.parts.key
    }

    /// On whose behalf it asks.
    pub(crate) fn user(&self) -> Option<&UserAssertion> {
        self.parts.user.as_ref()
    }

    /// The tenant, where it is not the client's own.
    pub fn tenant(&self) -> Option<&Tenant> {
        self.parts.tenant.as_ref()
    }

    /// The claims request, as JSON text.
    pub fn claims(&self) -> Option<&str> {
        self.parts.claims.as_deref()
    }

    /// Whether caches are to be passed by.
    pub fn bypasses_cache(&self) -> bool {
        self.bypass_cache
    }
}

impl PartialEq for TokenRequest {
    /// Two requests are equal if one token answers both.
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash
            && (Arc::ptr_eq(&self.parts, &other.parts) || self.parts.is_same(&other.parts))
    }
}

impl Eq for TokenRequest {}

impl Parts {
    fn is_same(&self, other: &Self) -> bool {
        self.key == other.key
            && self.claims == other.claims
            && self.tenant == other.tenant
            && self.user == other.user
    }
}

impl Debug for TokenRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenRequest")
            .field("scope", &self.scope())
            .field("claims", &self.claims())
            .field("tenant", &self.tenant())
            .field("for_user", &self.user().is_some())
            .field("bypass_cache", &self.bypass_cache)
            .finish()
    }
}

impl Hash for TokenRequest {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

/// The token of a user on whose behalf an application asks. Two are the same if their hashes are.
#[derive(Clone)]
pub(crate) struct UserAssertion {
    hash: [u8; 32],
    token: Option<Secret>,
}

impl UserAssertion {
    pub(crate) fn new(token: Secret) -> Self {
        let hash = digest::digest(&digest::SHA256, token.expose().as_bytes());
        Self {
            hash: <[u8; 32]>::try_from(hash.as_ref()).unwrap_or_default(),
            token: Some(token),
        }
    }

    pub(crate) fn hash(&self) -> &[u8; 32] {
        &self.hash
    }

    /// The token; a cache's own copy of a request has none.
    pub(crate) fn token(&self) -> Option<&Secret> {
        self.token.as_ref()
    }
}

impl Debug for UserAssertion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UserAssertion([redacted])")
    }
}

impl PartialEq for UserAssertion {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash
    }
}

impl Eq for UserAssertion {}

/// An access token and its times. Opaque to the client (RFC 6749 1.4).
///
/// A clone is cheap. What a cache returns is a lease on its entry, so that a hit touches no
/// shared counter; keep it for a call, not for a day.
#[derive(Clone)]
pub struct AccessToken(Held);

impl AccessToken {
    /// A token that is valid until `expires_on`. It fails where the token cannot stand in an
    /// HTTP header.
    pub fn new(
        token: Secret,
        expires_on: OffsetDateTime,
    ) -> Result<Self, http::header::InvalidHeaderValue> {
        Ok(Self(Held::Shared(Arc::new(TokenData::new(
            token.expose(),
            expires_on,
            None,
        )?))))
    }

    /// A copy of the token's text, for code that makes its own requests.
    pub fn secret(&self) -> Secret {
        Secret::new(self.data().text())
    }

    /// When it ends.
    pub fn expires_on(&self) -> OffsetDateTime {
        self.data().expires_on
    }

    /// From when on it is better to ask for a new one, where the service said so.
    pub fn refresh_on(&self) -> Option<OffsetDateTime> {
        self.data().refresh_on
    }

    /// The value of an `Authorization` header (RFC 6750 2.1), marked as sensitive.
    pub fn authorization(&self) -> &HeaderValue {
        &self.data().authorization
    }

    pub(crate) fn shared(data: Arc<TokenData>) -> Self {
        Self(Held::Shared(data))
    }

    /// A lease on a cache's slot, or nothing where the slot is empty.
    pub(crate) fn leased(slot: Guard<Option<Arc<TokenData>>>) -> Option<Self> {
        slot.is_some().then_some(Self(Held::Leased(slot)))
    }

    pub(crate) fn data(&self) -> &TokenData {
        match &self.0 {
            Held::Shared(data) => data,
            #[expect(clippy::expect_used, reason = "`leased` refuses an empty slot")]
            Held::Leased(slot) => slot.as_ref().expect("a leased slot holds a token"),
        }
    }
}

impl PartialEq for AccessToken {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.data(), other.data()) || self.data().text() == other.data().text()
    }
}

impl Eq for AccessToken {}

impl Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessToken")
            .field("expires_on", &self.expires_on())
            .field("refresh_on", &self.refresh_on())
            .finish_non_exhaustive()
    }
}

/// What is known of a token. One allocation that all its holders share.
pub(crate) struct TokenData {
    /// `Bearer …`. The header shares this one copy of the token, which is wiped with the last of
    /// its holders.
    text: Bytes,
    authorization: HeaderValue,
    pub(crate) expires_on: OffsetDateTime,
    pub(crate) refresh_on: Option<OffsetDateTime>,
    issued_on: Option<OffsetDateTime>,
    /// Goes up with each token that this process sees: clocks of machines differ.
    sequence: u64,
    fresh_until: OffsetDateTime,
    /// The same in Unix seconds, for the path that must be fast.
    fresh_until_unix: i64,
    usable_until: OffsetDateTime,
}

impl TokenData {
    /// A token without a cache's times.
    pub(crate) fn new(
        token: &str,
        expires_on: OffsetDateTime,
        refresh_on: Option<OffsetDateTime>,
    ) -> Result<Self, http::header::InvalidHeaderValue> {
        let mut text = Zeroizing::new(Vec::with_capacity(BEARER.len() + token.len()));
        text.extend_from_slice(BEARER.as_bytes());
        text.extend_from_slice(token.as_bytes());
        let text = Bytes::from_owner(text);
        let mut authorization = HeaderValue::from_maybe_shared(text.clone())?;
        authorization.set_sensitive(true);
        let fresh_until = refresh_on.unwrap_or(expires_on);
        Ok(Self {
            text,
            authorization,
            expires_on,
            refresh_on,
            issued_on: None,
            sequence: SEQUENCE.fetch_add(1, Ordering::Relaxed),
            fresh_until,
            fresh_until_unix: fresh_until.unix_timestamp(),
            usable_until: expires_on,
        })
    }

    /// The same token, issued at `now`: from when on a cache should renew it. That is when the
    /// service says so, else at half its life if it is long and at three quarters if it is short,
    /// but never later than five minutes before the end.
    pub(crate) fn issued_at(mut self, now: OffsetDateTime) -> Self {
        self.issued_on = Some(now);
        let lifetime: time::Duration = self.expires_on - now;
        let margin = REFRESH_MARGIN.min(lifetime / 2);
        self.usable_until = self.expires_on.saturating_sub(margin);
        let ahead = if lifetime > LONG_LIFE {
            lifetime / 2
        } else {
            lifetime / 4
        };
        let by_age = self.expires_on.saturating_sub(ahead);
        self.fresh_until = self.refresh_on.unwrap_or(by_age).min(self.usable_until);
        self.fresh_until_unix = self.fresh_until.unix_timestamp();
        self
    }

    /// The same token in a process that did not fetch it: whoever fetched it renews it first, and
    /// the others find the new one `trail` later.
    pub(crate) fn trailing_by(mut self, trail: time::Duration) -> Self {
        let later = self.fresh_until.saturating_add(trail);
        self.fresh_until = later.min(self.usable_until.max(self.fresh_until));
        self.fresh_until_unix = self.fresh_until.unix_timestamp();
        self
    }

    /// The token without the scheme.
    pub(crate) fn text(&self) -> &str {
        let token = self.text.get(BEARER.len()..).unwrap_or_default();
        std::str::from_utf8(token).unwrap_or_default()
    }

    /// When it was asked for, where that is known.
    pub(crate) fn issued_on(&self) -> Option<OffsetDateTime> {
        self.issued_on
    }

    /// Whether this process saw it before `other`.
    pub(crate) fn came_before(&self, other: &Self) -> bool {
        self.sequence < other.sequence
    }

    /// Whether it was asked for earlier than `other`, as far as both are known.
    pub(crate) fn is_older_than(&self, other: &Self) -> bool {
        matches!((self.issued_on, other.issued_on), (Some(own), Some(other)) if own < other)
    }

    /// Until when a cache returns it without a second thought.
    pub(crate) fn fresh_until(&self) -> OffsetDateTime {
        self.fresh_until
    }

    /// The same in whole Unix seconds.
    pub(crate) fn fresh_until_unix(&self) -> i64 {
        self.fresh_until_unix
    }

    /// Until when a caller gets it while its successor is on the way.
    pub(crate) fn usable_until(&self) -> OffsetDateTime {
        self.usable_until
    }
}

enum Held {
    Shared(Arc<TokenData>),
    Leased(Guard<Option<Arc<TokenData>>>),
}

impl Clone for Held {
    fn clone(&self) -> Self {
        match self {
            Self::Shared(data) => Self::Shared(Arc::clone(data)),
            Self::Leased(slot) => match &**slot {
                Some(data) => Self::Shared(Arc::clone(data)),
                None => Self::Leased(Guard::from_inner(None)),
            },
        }
    }
}

static SEQUENCE: AtomicU64 = AtomicU64::new(0);

const BEARER: &str = "Bearer ";
/// Tokens of apps with Continuous Access Evaluation live a day or longer.
const LONG_LIFE: time::Duration = time::Duration::hours(2);
/// A caller gets a token that is valid for at least this long.
const REFRESH_MARGIN: time::Duration = time::Duration::minutes(5);

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn claims_make_another_request() {
        let plain = TokenRequest::new(["a"]);
        assert_ne!(plain, plain.clone().with_claims("{}"));
        assert_eq!(plain, plain.clone().bypassing_cache());
    }

    #[test]
    fn another_tenant_or_another_user_makes_another_request() {
        let plain = TokenRequest::new(["a"]);
        let tenant = |name: &str| plain.clone().in_tenant(Tenant::parse(name).unwrap());
        assert_ne!(plain, tenant("contoso.example"));
        assert_ne!(tenant("contoso.example"), tenant("fabrikam.example"));
        assert_eq!(tenant("contoso.example"), tenant("Contoso.example"));
        let user = |token: &str| {
            plain
                .clone()
                .for_user(UserAssertion::new(Secret::new(token)))
        };
        assert_ne!(plain, user("1"));
        assert_ne!(user("1"), user("2"));
        assert_eq!(user("1"), user("1").as_key());
        assert!(user("1").as_key().user().unwrap().token().is_none());
    }

    #[test]
    fn a_token_is_sent_as_a_sensitive_header_and_not_shown() {
        let token = AccessToken::new("e30.e30.x".into(), datetime!(2026-01-01 00:00 UTC)).unwrap();
        assert_eq!(token.authorization(), "Bearer e30.e30.x");
        assert!(token.authorization().is_sensitive());
        assert_eq!(token.secret().expose(), "e30.e30.x");
        assert!(!format!("{token:?}").contains("e30"));
    }

    #[test]
    fn a_token_with_a_line_break_is_refused() {
        assert!(AccessToken::new("a\r\nb".into(), datetime!(2026-01-01 00:00 UTC)).is_err());
    }
}
