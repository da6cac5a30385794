//! One application as the token endpoint knows it: its ids, its credentials, its tenants.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use tokio::sync::Mutex;
use tracing::Instrument as _;

use crate::credential_set::{CredentialsInUse, is_credential_error};
use crate::token_endpoint::{Effort, Grant, Issued, TokenCall, TokenEndpoint};
use crate::{
    Authority, ClientCredential, ClientCredentials, ClientId, CredentialSource, Error, Pipeline,
    Tenant, TokenErrorKind, TokenRequest,
};

/// In which tenants an application may ask for tokens.
///
/// A request that names a tenant ([`TokenRequest::in_tenant`]) is refused unless the client allows
/// it: a tenant's name often comes from outside, and a token for the wrong one is a leak.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum AllowedTenants {
    /// In the one of its authority.
    #[default]
    Own,
    /// In these too.
    These(Vec<Tenant>),
    /// In any: for an application of many customers, where the host itself decides.
    Any,
}

impl AllowedTenants {
    fn allow(&self, tenant: &Tenant) -> bool {
        match self {
            Self::Own => false,
            Self::These(tenants) => tenants.contains(tenant),
            Self::Any => true,
        }
    }
}

/// What an application is set up with.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) authority: Authority,
    pub(crate) client: ClientId,
    pub(crate) pipeline: Pipeline,
    /// None for a public client.
    pub(crate) credentials: Option<ClientCredentials>,
    pub(crate) source: Option<Arc<dyn CredentialSource>>,
    pub(crate) tenants: AllowedTenants,
    /// Whether it declares that it answers claims challenges.
    pub(crate) cae: bool,
}

/// One application at its authority.
pub(crate) struct Registration {
    settings: Settings,
    endpoint: TokenEndpoint,
    credentials: Option<ArcSwap<CredentialsInUse>>,
    /// What the service's clock is ahead of this machine's, in seconds.
    clock_offset: AtomicI64,
    /// Held while the source is asked; when it was asked last.
    reloaded: Mutex<Option<Duration>>,
}

impl Registration {
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            endpoint: TokenEndpoint::new(&settings.authority, &settings.client),
            credentials: settings
                .credentials
                .clone()
                .map(|set| ArcSwap::from_pointee(CredentialsInUse::new(set, 0))),
            settings,
            clock_offset: AtomicI64::new(0),
            reloaded: Mutex::default(),
        }
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(crate) fn pipeline(&self) -> &Pipeline {
        &self.settings.pipeline
    }

    pub(crate) fn credentials(&self) -> Option<Arc<CredentialsInUse>> {
        self.credentials.as_ref().map(ArcSwap::load_full)
    }

    /// The credentials of a confidential client.
    #[expect(clippy::expect_used, reason = "a confidential client is made with one")]
    pub(crate) fn in_use(&self) -> Arc<CredentialsInUse> {
        self.credentials()
            .expect("a confidential client has credentials")
    }

    /// Whose token this would be: what must differ for tokens that must not be mixed up.
    pub(crate) fn owner(&self, request: &TokenRequest, user: String) -> Option<Vec<String>> {
        let authority = self.authority_of(request).ok()?;
        let credentials = self.credentials().map_or_else(String::new, |in_use| {
            let identities: Vec<_> = in_use.set.iter().map(ClientCredential::identity).collect();
            identities.join(" ")
        });
        Some(vec![
            authority.cloud().login_url().to_string(),
            authority.tenant().segment(),
            self.settings.client.to_string(),
            credentials,
            user,
            request.scope_key().to_owned(),
            request.claims().unwrap_or_default().to_owned(),
            self.settings.cae.to_string(),
        ])
    }

    /// Goes up with each replacement of the credentials.
    pub(crate) fn generation(&self) -> u64 {
        let current = self.credentials.as_ref().map(ArcSwap::load);
        current.map_or(0, |current| current.generation)
    }

    /// Works with these credentials from now on. Equal ones change nothing.
    pub(crate) fn replace_credentials(&self, set: ClientCredentials) {
        if let Some(credentials) = &self.credentials {
            credentials.rcu(|current| {
                if current.set == set {
                    Arc::clone(current)
                } else {
                    Arc::new(CredentialsInUse::new(set.clone(), current.generation + 1))
                }
            });
        }
    }

    pub(crate) fn clock_offset(&self) -> time::Duration {
        time::Duration::seconds(self.clock_offset.load(Ordering::Relaxed))
    }

    /// The authority that answers this request, if the application may ask there.
    pub(crate) fn authority_of(&self, request: &TokenRequest) -> Result<Cow<'_, Authority>, Error> {
        let own = &self.settings.authority;
        match request.tenant() {
            Some(tenant) if tenant != own.tenant() => {
                if !self.settings.tenants.allow(tenant) {
                    return Err(Error::InvalidRequest(
                        "the tenant is not among those that this client may ask in",
                    ));
                }
                Ok(Cow::Owned(own.with_tenant(tenant.clone())))
            }
            _ => Ok(Cow::Borrowed(own)),
        }
    }

    /// Redeems a grant with whichever credential is accepted.
    pub(crate) async fn redeem(
        &self,
        grant: Grant<'_>,
        request: &TokenRequest,
        scope: Cow<'_, str>,
        effort: Effort,
    ) -> Result<Issued, Error> {
        let authority = self.authority_of(request)?;
        let endpoint = match &authority {
            Cow::Borrowed(_) => Cow::Borrowed(&self.endpoint),
            Cow::Owned(other) => Cow::Owned(TokenEndpoint::new(other, &self.settings.client)),
        };
        let call = TokenCall {
            client: &self.settings.client,
            grant,
            scope,
            claims: self.claims_of(request)?,
            credential: None,
        };
        let span = tracing::debug_span!(
            "entra.token",
            cloud = authority.cloud().name(),
            tenant = %authority.tenant(),
            client_id = %self.settings.client,
            scope = request.scope(),
        );
        self.redeem_with_any(&endpoint, call, effort)
            .instrument(span)
            .await
    }

    /// The same with one credential, which need not be one of the client's.
    pub(crate) async fn redeem_with(
        &self,
        credential: &ClientCredential,
        request: &TokenRequest,
    ) -> Result<Issued, Error> {
        let authority = self.authority_of(request)?;
        let endpoint = TokenEndpoint::new(&authority, &self.settings.client);
        let call = TokenCall {
            client: &self.settings.client,
            grant: Grant::ClientCredentials,
            scope: Cow::Borrowed(request.scope()),
            claims: self.claims_of(request)?,
            credential: Some(credential),
        };
        self.redeem_on_time(&endpoint, &call, Effort::Full).await
    }

    async fn redeem_with_any(
        &self,
        endpoint: &TokenEndpoint,
        call: TokenCall<'_>,
        effort: Effort,
    ) -> Result<Issued, Error> {
        let Some(in_use) = self.credentials() else {
            return self.redeem_on_time(endpoint, &call, effort).await;
        };
        let refused = match self.try_each(&in_use, endpoint, &call, effort).await {
            Err(error) if is_credential_error(&error) => error,
            other => return other,
        };
        match self.reload(&in_use).await {
            Some(reloaded) => self.try_each(&reloaded, endpoint, &call, effort).await,
            None => Err(refused),
        }
    }

    /// Tries the credentials in their order. The first one's error is the one to tell.
    async fn try_each(
        &self,
        in_use: &CredentialsInUse,
        endpoint: &TokenEndpoint,
        call: &TokenCall<'_>,
        effort: Effort,
    ) -> Result<Issued, Error> {
        let clock = self.pipeline().clock();
        let mut refused = None;
        for (index, credential) in in_use.order(clock.monotonic(), self.service_time()) {
            let call = TokenCall {
                credential: Some(credential),
                claims: call.claims.clone(),
                scope: call.scope.clone(),
                ..*call
            };
            match self.redeem_on_time(endpoint, &call, effort).await {
                Ok(issued) => {
                    in_use.accepted(index, clock.monotonic());
                    return Ok(issued);
                }
                Err(error) if is_credential_error(&error) => {
                    tracing::warn!(credential = credential.describe(), %error, "refused");
                    refused.get_or_insert(error);
                }
                Err(error) => return Err(error),
            }
        }
        Err(refused.unwrap_or(Error::InvalidRequest("there is no credential")))
    }

    /// Other credentials than those in use, if somebody has replaced them or the source has some.
    async fn reload(&self, refused: &CredentialsInUse) -> Option<Arc<CredentialsInUse>> {
        // Who is refused meanwhile waits for what the source says.
        let mut reloaded = self.reloaded.lock().await;
        let current = self.credentials()?;
        if current.generation != refused.generation {
            return Some(current);
        }
        let source = self.settings.source.as_ref()?;
        let now = self.pipeline().clock().monotonic();
        if reloaded.is_some_and(|last| now < last.saturating_add(RELOAD_INTERVAL)) {
            return None;
        }
        *reloaded = Some(now);
        match source.load().await {
            Ok(set) if set != current.set => {
                tracing::info!("the credentials were replaced by those of their source");
                self.replace_credentials(set);
                self.credentials()
            }
            Ok(_) => None,
            Err(error) => {
                tracing::warn!(error = &*error, "the source of the credentials failed");
                None
            }
        }
    }

    /// Asks the token endpoint; once more where only the clocks differ.
    async fn redeem_on_time(
        &self,
        endpoint: &TokenEndpoint,
        call: &TokenCall<'_>,
        effort: Effort,
    ) -> Result<Issued, Error> {
        let before = self.clock_offset();
        let (error, date) = match self.redeem_once(endpoint, call, effort).await {
            Ok(issued) => return Ok(issued),
            Err(failure) => failure,
        };
        if let Some(date) = date {
            self.learn_clock(date);
        }
        let corrected = (self.clock_offset() - before).abs() > CLOCK_TOLERANCE;
        if is_clock_skew(&error) && corrected {
            tracing::warn!(
                offset_seconds = self.clock_offset().whole_seconds(),
                "the clock of this machine is wrong; signing by the service's clock"
            );
            let second = self.redeem_once(endpoint, call, effort).await;
            return second.map_err(|(error, _)| error);
        }
        Err(error)
    }

    async fn redeem_once(
        &self,
        endpoint: &TokenEndpoint,
        call: &TokenCall<'_>,
        effort: Effort,
    ) -> Result<Issued, (Error, Option<OffsetDateTime>)> {
        let issued = endpoint
            .redeem(self.pipeline(), call, self.clock_offset(), effort)
            .await?;
        if let Some(date) = issued.date {
            self.learn_clock(date);
        }
        Ok(issued)
    }

    fn learn_clock(&self, service: OffsetDateTime) {
        let offset = service - self.pipeline().clock().now();
        self.clock_offset
            .store(offset.whole_seconds(), Ordering::Relaxed);
    }

    fn service_time(&self) -> OffsetDateTime {
        let now = self.pipeline().clock().now();
        now.saturating_add(self.clock_offset())
    }

    /// The claims request with the client's capabilities in it.
    fn claims_of<'a>(&self, request: &'a TokenRequest) -> Result<Option<Cow<'a, str>>, Error> {
        match (request.claims(), self.settings.cae) {
            (None, false) => Ok(None),
            (None, true) => Ok(Some(Cow::Borrowed(CAPABILITIES))),
            (Some(claims), false) => object(claims).map(|_| Some(Cow::Borrowed(claims))),
            (Some(claims), true) => with_capabilities(claims).map(|all| Some(Cow::Owned(all))),
        }
    }
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let credentials = self.credentials();
        f.debug_struct("Registration")
            .field("authority", &self.settings.authority)
            .field("client", &self.settings.client)
            .field("credentials", &credentials.map(|in_use| in_use.set.clone()))
            .field("tenants", &self.settings.tenants)
            .finish_non_exhaustive()
    }
}

/// Adds `xms_cc` to a claims request (OpenID Connect Core 5.5; Microsoft Learn, "Claims challenges,
/// claims requests, and client capabilities").
fn with_capabilities(claims: &str) -> Result<String, Error> {
    let mut claims = object(claims)?;
    let token = claims
        .entry("access_token")
        .or_insert_with(|| Value::Object(Map::new()));
    if token.is_null() {
        *token = Value::Object(Map::new());
    }
    let token = token.as_object_mut().ok_or_else(broken)?;
    token.insert("xms_cc".to_owned(), json!({"values": ["cp1"]}));
    serde_json::to_string(&claims).map_err(|_| broken())
}

fn object(claims: &str) -> Result<Map<String, Value>, Error> {
    serde_json::from_str(claims).map_err(|_| broken())
}

fn broken() -> Error {
    Error::InvalidRequest("the claims request is no JSON object")
}

fn is_clock_skew(error: &Error) -> bool {
    matches!(error, Error::Token(error) if error.kind() == TokenErrorKind::ClockSkew)
}

/// What a client says that answers claims challenges.
const CAPABILITIES: &str = r#"{"access_token":{"xms_cc":{"values":["cp1"]}}}"#;
/// A difference of clocks that is not worth a second request.
const CLOCK_TOLERANCE: time::Duration = time::Duration::seconds(30);
/// A vault is not asked more often than this.
const RELOAD_INTERVAL: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_capability_joins_the_claims_of_a_challenge() {
        for (challenge, expected) in [
            (
                r#"{"access_token":{"nbf":{"essential":true,"value":"1"}}}"#,
                r#"{"access_token":{"nbf":{"essential":true,"value":"1"},"xms_cc":{"values":["cp1"]}}}"#,
            ),
            (
                r#"{"id_token":{"acrs":null}}"#,
                r#"{"access_token":{"xms_cc":{"values":["cp1"]}},"id_token":{"acrs":null}}"#,
            ),
            (r#"{"access_token":null}"#, CAPABILITIES),
        ] {
            let merged: Value =
                serde_json::from_str(&with_capabilities(challenge).unwrap()).unwrap();
            let expected: Value = serde_json::from_str(expected).unwrap();
            assert_eq!(merged, expected, "{challenge}");
        }
    }

    #[test]
    fn a_claims_request_that_is_no_object_is_refused() {
        for broken in ["", "[]", "{", r#"{"access_token":1}"#] {
            assert!(with_capabilities(broken).is_err(), "{broken}");
        }
    }
}
