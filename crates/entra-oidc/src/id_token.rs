//! Validation of ID tokens: who signed in, and that it was for this login.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::{constant_time, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use entra_core::{ClockSkew, JwkSet, JwtRules, Pipeline, UnverifiedJwt, UserKey, VerifiedJwt};
use serde::Deserialize;
use time::OffsetDateTime;

use crate::claims::{AuthContexts, Claim, ListShape, Moment, NamesGroups, Text, Truth, is_guest};
use crate::issuer::FoundIssuer;
use crate::provider::{Provider, short};
use crate::token_keys::TokenKeys;
use crate::{
    AuthContext, Authority, Error, IdTokenRefusal, OptionsError, TokenRefusal, VerifiedIdToken,
    token_checks as checks,
};

/// Validates the ID tokens of one application. A clone is cheap.
#[derive(Clone)]
pub struct IdTokenValidator(Arc<Inner>);

struct Inner {
    keys: TokenKeys,
    client_id: String,
    form: JwtRules,
    rules: IdTokenRules,
}

impl IdTokenValidator {
    /// Reads the provider's configuration and its keys: to validate ID tokens that were not got by
    /// a login of this crate, such as those that an app on a device sends along. The host knows
    /// the nonce.
    ///
    /// # Errors
    /// [`Error::Options`], [`Error::Discovery`] and [`Error::Keys`].
    pub async fn connect(
        authority: Authority,
        client_id: &str,
        rules: IdTokenRules,
        pipeline: Pipeline,
    ) -> Result<Self, Error> {
        let client_id = authority.client_id(client_id)?;
        let provider = Provider::connect(authority, &client_id, pipeline).await?;
        Ok(Self::new(provider, &client_id, rules))
    }

    /// With the keys that the provider publishes.
    pub(crate) fn new(provider: Provider, client_id: &str, rules: IdTokenRules) -> Self {
        let form = provider.authority().jwt_rules();
        Self(Arc::new(Inner {
            keys: TokenKeys::Published(provider),
            client_id: client_id.to_owned(),
            form,
            rules,
        }))
    }

    /// With a key set that does not change: to look at a token from elsewhere, and for tests. What
    /// a provider publishes does change; a login follows it.
    ///
    /// # Errors
    /// [`OptionsError::NotResolved`] where the authority is known by a domain, or is an External ID
    /// tenant: what its issuer is, it says itself. [`OptionsError::ClientId`] and
    /// [`OptionsError::ClientIdText`].
    pub fn with_keys(
        authority: &Authority,
        client_id: &str,
        keys: JwkSet,
        rules: IdTokenRules,
    ) -> Result<Self, OptionsError> {
        Ok(Self(Arc::new(Inner {
            keys: TokenKeys::given(authority, keys)?,
            client_id: authority.client_id(client_id)?,
            form: authority.jwt_rules(),
            rules,
        })))
    }

    /// Validates a token: every check, in this order, whoever calls.
    ///
    /// # Errors
    /// [`Error::IdToken`] where it is refused, [`Error::Keys`] where the provider's keys could not
    /// be had.
    pub async fn validate(
        &self,
        token: &str,
        expected: &ExpectedLogin<'_>,
        now: OffsetDateTime,
    ) -> Result<VerifiedIdToken, Error> {
        let Inner {
            keys,
            client_id,
            form,
            rules,
        } = &*self.0;
        keys.refresh_if_due().await;
        let known = keys.known();
        // 1. to 3. It is a signed token in form: size, parts, header, types of the registered
        //    claims, no name twice (RFC 7515 7.1 and 4, RFC 7519 4.1, RFC 8725 3.1 and 3.11).
        let jwt = UnverifiedJwt::parse(token, form).map_err(TokenRefusal::from)?;
        // 4. Its issuer is the authority, and its tenant is the issuer's (OpenID Connect
        //    Core 3.1.3.7, rule 2).
        let issuer = checks::issuer(&jwt, &known)?;
        // 5. It is for this application and for nobody else (Core 3.1.3.7, rule 3).
        audience(&jwt, client_id)?;
        // 6. The provider has its key (Core 10.1; Microsoft Learn, "Signing key rollover").
        let key = known.key_for(&jwt).await?;
        // 7. The key signs for this issuer, in this cloud (Microsoft Learn, "Validation of the
        //    signing key issuer"). What the key itself is, was checked when it was read.
        checks::key(&key, &known, issuer)?;
        // 8. The signature is right (RFC 7515 5.2).
        let jwt = jwt.verify(key).map_err(TokenRefusal::from)?;
        // 9. It is in force, and not for longer than is usual (Core 3.1.3.7, rules 9 and 10).
        checks::times(&jwt, now, rules.skew, rules.longest_lifetime)?;
        // The rest of the claims, which are the issuer's own words now: an ID token's, issued to
        // this application (RFC 8725 3.12; Core 3.1.3.7, rule 5).
        let claims = Claims::read(&jwt, issuer)?;
        kind(&claims, client_id)?;
        // 10. It is of this login (Core 3.1.3.7, rule 11).
        nonce(&claims, expected.nonce)?;
        // 11. It came with this code, this access token and this state (Core 3.3.2.11, 3.1.3.8).
        hashes(&claims, expected)?;
        // 12. The user signed in as it was asked for (Core 3.1.3.7, rule 13; Microsoft Learn,
        //     "Developer guide to Conditional Access authentication context").
        authentication(&claims, expected, now, rules.skew)?;
        // 13. Users of the tenant may come in, and guests if the host takes them.
        checks::tenant(&known, issuer)?;
        guest(&claims, issuer, rules)?;
        // 14. It is of the version of its issuer, and of its policy, where it has one.
        checks::version(issuer, claims.version.text("ver")?)?;
        policy(&claims, known.rule().policy())?;
        // 15. It names one user (Core 5.7; Microsoft Learn, "ID token claims reference").
        let (key, subject) = match known.rule().policy() {
            Some(_) => b2c_user(&claims, &jwt)?,
            None => user(&claims, &jwt, issuer)?,
        };
        let auth_contexts = claims.auth_contexts()?;
        Ok(VerifiedIdToken::new(jwt, key, subject, auth_contexts))
    }
}

impl fmt::Debug for IdTokenValidator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdTokenValidator")
            .field("client_id", &self.0.client_id)
            .field("rules", &self.0.rules)
            .finish_non_exhaustive()
    }
}

/// What a host may decide about ID tokens. Nothing here turns a check off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdTokenRules {
    skew: ClockSkew,
    longest_lifetime: Duration,
    guests: bool,
}

impl IdTokenRules {
    /// Clocks may differ by a minute, a token is valid for a day at the most, guests may come in.
    pub fn new() -> Self {
        Self {
            skew: ClockSkew::default(),
            longest_lifetime: LONGEST_LIFETIME,
            guests: true,
        }
    }

    /// How far the clocks may differ.
    #[must_use]
    pub fn with_clock_skew(mut self, skew: ClockSkew) -> Self {
        self.skew = skew;
        self
    }

    /// For how long a token may be valid, from `iat` to `exp`.
    #[must_use]
    pub fn with_longest_lifetime(mut self, longest: Duration) -> Self {
        self.longest_lifetime = longest;
        self
    }

    /// Lets members of the tenant in alone. A guest is whom the optional claim `acct` says to be
    /// one, and who signed in at another identity provider than the tenant (`idp`).
    #[must_use]
    pub fn without_guests(mut self) -> Self {
        self.guests = false;
        self
    }
}

impl Default for IdTokenRules {
    fn default() -> Self {
        Self::new()
    }
}

/// What the login that a token must belong to asked for.
#[derive(Clone)]
#[non_exhaustive]
pub struct ExpectedLogin<'a> {
    /// The nonce that was sent.
    pub nonce: ExpectedNonce<'a>,
    /// The code that came with the token from the authorization endpoint: `c_hash` must be there
    /// and be that of the code.
    pub code: Option<&'a str>,
    /// The access token that came with it: `at_hash`, where it is there, must be its.
    pub access_token: Option<&'a str>,
    /// The `state` that came with it: `s_hash`, where it is there, must be its.
    pub state: Option<&'a str>,
    /// How long ago the user may have signed in; none where it was not asked for.
    pub max_age: Option<Duration>,
    /// The authentication contexts that the user has to have passed.
    pub auth_contexts: &'a [AuthContext],
}

impl<'a> ExpectedLogin<'a> {
    /// A login that asked for nothing but the nonce.
    pub fn new(nonce: ExpectedNonce<'a>) -> Self {
        Self {
            nonce,
            code: None,
            access_token: None,
            state: None,
            max_age: None,
            auth_contexts: &[],
        }
    }
}

impl fmt::Debug for ExpectedLogin<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExpectedLogin")
            .field("nonce", &self.nonce)
            .field("max_age", &self.max_age)
            .field("auth_contexts", &self.auth_contexts)
            .finish_non_exhaustive()
    }
}

/// Which nonce a token must have.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub enum ExpectedNonce<'a> {
    /// This one.
    Is(&'a str),
    /// None has to be there: a renewed session's token has none most often (OpenID Connect
    /// Core 12.2). Whether one that is there is that of the login, the caller compares
    /// ([`VerifiedIdToken::has_nonce`]).
    NotCheckedOnRefresh,
}

impl fmt::Debug for ExpectedNonce<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Is(_) => "Is([redacted])",
            Self::NotCheckedOnRefresh => "NotCheckedOnRefresh",
        })
    }
}

/// The claims that the checks need. What is for display is read when the user is made.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Claims<'a> {
    #[serde(borrow)]
    nonce: Claim<Text<'a>>,
    #[serde(borrow, rename = "sub")]
    subject: Claim<Text<'a>>,
    #[serde(borrow, rename = "oid")]
    object: Claim<Text<'a>>,
    #[serde(borrow, rename = "ver")]
    version: Claim<Text<'a>>,
    /// The policy of Azure AD B2C, in its new and its old form.
    #[serde(borrow)]
    tfp: Claim<Text<'a>>,
    #[serde(borrow)]
    acr: Claim<Text<'a>>,
    #[serde(borrow, rename = "azp")]
    authorized_party: Claim<Text<'a>>,
    #[serde(borrow)]
    c_hash: Claim<Text<'a>>,
    #[serde(borrow)]
    at_hash: Claim<Text<'a>>,
    #[serde(borrow)]
    s_hash: Claim<Text<'a>>,
    #[serde(borrow, rename = "idp")]
    identity_provider: Claim<Text<'a>>,
    #[serde(rename = "acct")]
    guest: Claim<Truth>,
    auth_time: Claim<Moment>,
    acrs: Claim<AuthContexts>,
    roles: Claim<ListShape>,
    groups: Claim<ListShape>,
    #[serde(rename = "_claim_names")]
    left_out: Claim<NamesGroups>,
    /// What only access tokens have: the scopes, and how the client proved itself.
    #[serde(borrow)]
    scp: Claim<Text<'a>>,
    #[serde(borrow)]
    azpacr: Claim<Text<'a>>,
    #[serde(borrow)]
    appidacr: Claim<Text<'a>>,
}

impl<'a> Claims<'a> {
    /// Lists that are read later have the shape of lists now.
    fn read(jwt: &'a VerifiedJwt, issuer: FoundIssuer) -> Result<Self, TokenRefusal> {
        let claims: Self = jwt.claims()?;
        let is_entra = issuer.tenant.is_some();
        claims.roles.check("roles", is_entra)?;
        claims.groups.check("groups", is_entra)?;
        claims.left_out.value("_claim_names")?;
        Ok(claims)
    }

    fn auth_contexts(&self) -> Result<Vec<AuthContext>, TokenRefusal> {
        let contexts = self.acrs.value("acrs")?;
        Ok(contexts
            .map(|contexts| contexts.0.clone())
            .unwrap_or_default())
    }
}

fn audience(jwt: &UnverifiedJwt<'_>, client_id: &str) -> Result<(), TokenRefusal> {
    let audiences = jwt.unverified_audiences();
    let first = audiences.first().ok_or(TokenRefusal::AudienceMissing)?;
    if !audiences.iter().any(|audience| audience == client_id) {
        return Err(TokenRefusal::Audience {
            expected: client_id.to_owned(),
            found: short(first),
        });
    }
    match audiences.iter().find(|audience| *audience != client_id) {
        Some(other) => Err(TokenRefusal::AudienceUntrusted {
            found: short(other),
        }),
        None => Ok(()),
    }
}

fn kind(claims: &Claims<'_>, client_id: &str) -> Result<(), IdTokenRefusal> {
    if claims.scp.is_present() || claims.azpacr.is_present() || claims.appidacr.is_present() {
        return Err(IdTokenRefusal::AccessToken);
    }
    match claims.authorized_party.text("azp")? {
        Some(found) if found != client_id => Err(IdTokenRefusal::AuthorizedParty {
            expected: client_id.to_owned(),
            found: short(found),
        }),
        _ => Ok(()),
    }
}

fn nonce(claims: &Claims<'_>, expected: ExpectedNonce<'_>) -> Result<(), IdTokenRefusal> {
    let found = claims.nonce.text("nonce")?;
    match expected {
        ExpectedNonce::NotCheckedOnRefresh => Ok(()),
        ExpectedNonce::Is(expected) => {
            let found = found.ok_or(IdTokenRefusal::NonceMissing)?;
            is_same(found, expected)
                .then_some(())
                .ok_or(IdTokenRefusal::Nonce)
        }
    }
}

fn hashes(claims: &Claims<'_>, expected: &ExpectedLogin<'_>) -> Result<(), IdTokenRefusal> {
    let c_hash = claims.c_hash.text("c_hash")?;
    if let Some(code) = expected.code {
        let found = c_hash.ok_or(IdTokenRefusal::CodeHashMissing)?;
        if !is_same(found, &half_hash(code)) {
            return Err(IdTokenRefusal::CodeHash);
        }
    }
    let is_of = |found: Option<&str>, text: Option<&str>| match (found, text) {
        (Some(found), Some(text)) => is_same(found, &half_hash(text)),
        _ => true,
    };
    if !is_of(claims.at_hash.text("at_hash")?, expected.access_token) {
        return Err(IdTokenRefusal::AccessTokenHash);
    }
    if !is_of(claims.s_hash.text("s_hash")?, expected.state) {
        return Err(IdTokenRefusal::StateHash);
    }
    Ok(())
}

fn authentication(
    claims: &Claims<'_>,
    expected: &ExpectedLogin<'_>,
    now: OffsetDateTime,
    skew: ClockSkew,
) -> Result<(), IdTokenRefusal> {
    let authenticated_on = claims.auth_time.value("auth_time")?;
    if let Some(max_age) = expected.max_age {
        let authenticated_on = authenticated_on.ok_or(IdTokenRefusal::AuthTimeMissing)?.0;
        if authenticated_on > now.saturating_add(skew.as_duration()) {
            return Err(IdTokenRefusal::AuthTimeInFuture { authenticated_on });
        }
        let age = now - authenticated_on - skew.as_duration();
        if age > max_age {
            return Err(IdTokenRefusal::ReauthenticationRequired { authenticated_on });
        }
    }
    let passed = claims.acrs.value("acrs")?;
    let has = |wanted: &AuthContext| passed.is_some_and(|passed| passed.0.contains(wanted));
    match expected.auth_contexts.iter().find(|wanted| !has(wanted)) {
        Some(wanted) => Err(IdTokenRefusal::AuthContextMissing { wanted: *wanted }),
        None => Ok(()),
    }
}

fn guest(
    claims: &Claims<'_>,
    issuer: FoundIssuer,
    rules: &IdTokenRules,
) -> Result<(), IdTokenRefusal> {
    let acct = claims.guest.value("acct")?;
    let provider = claims.identity_provider.text("idp")?;
    let is_guest = issuer
        .tenant
        .and_then(|tenant| is_guest(acct, provider, tenant));
    if is_guest == Some(true) && !rules.guests {
        return Err(IdTokenRefusal::Guest);
    }
    Ok(())
}

fn user(
    claims: &Claims<'_>,
    jwt: &VerifiedJwt,
    issuer: FoundIssuer,
) -> Result<(UserKey, String), TokenRefusal> {
    let subject = checks::subject(claims.subject.text("sub")?)?;
    let object = claims.object.text("oid")?;
    let key = match issuer.tenant {
        Some(tenant) => UserKey::entra(tenant, checks::object_id(object)?),
        None => UserKey::other(jwt.issuer().unwrap_or_default(), subject)
            .map_err(|_| TokenRefusal::SubjectInvalid)?,
    };
    Ok((key, subject.to_owned()))
}

/// The policy by which the user signed in is the one that was asked for: another one may ask for no
/// second factor (Microsoft Learn, "Azure AD B2C: tokens", claims `tfp` and `acr`).
fn policy(claims: &Claims<'_>, expected: Option<&str>) -> Result<(), IdTokenRefusal> {
    let Some(expected) = expected else {
        return Ok(());
    };
    let found = match claims.tfp.text("tfp")? {
        Some(policy) => Some(policy),
        None => claims.acr.text("acr")?,
    };
    if found.is_some_and(|found| found.eq_ignore_ascii_case(expected)) {
        return Ok(());
    }
    Err(IdTokenRefusal::Policy {
        expected: expected.to_owned(),
        found: short(found.unwrap_or_default()),
    })
}

/// A user of Azure AD B2C, whose `sub` may be a sentence that all have in common.
fn b2c_user(claims: &Claims<'_>, jwt: &VerifiedJwt) -> Result<(UserKey, String), TokenRefusal> {
    let subject = match claims.subject.text("sub")? {
        Some(subject) if checks::is_constant(subject) => subject,
        subject => checks::subject(subject)?,
    };
    let object = checks::object_id(claims.object.text("oid")?)?;
    let key = UserKey::other(jwt.issuer().unwrap_or_default(), &object.to_string());
    let key = key.map_err(|_| TokenRefusal::SubjectInvalid)?;
    Ok((key, subject.to_owned()))
}

/// In a time that does not tell where the first difference is.
fn is_same(found: &str, expected: &str) -> bool {
    constant_time::verify_slices_are_equal(found.as_bytes(), expected.as_bytes()).is_ok()
}

/// The left half of the SHA-256, which is the hash of every algorithm that is allowed (OpenID
/// Connect Core 3.1.3.6 and 3.3.2.11).
fn half_hash(text: &str) -> String {
    let hash = digest::digest(&digest::SHA256, text.as_bytes());
    let (half, _) = hash.as_ref().split_at(hash.as_ref().len() / 2);
    URL_SAFE_NO_PAD.encode(half)
}

/// Entra's are valid for an hour; a token lifetime policy allows up to a day (Microsoft Learn,
/// "Configurable token lifetimes").
const LONGEST_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);
