//! Protection of a product's own API: bearer tokens of Entra (RFC 6750).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use entra_core::{
    ClientId, Clock, ClockSkew, Cloud, JwkSet, JwtRules, Pipeline, Secret, UnverifiedJwt, UserKey,
};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use serde::Deserialize;

use crate::api_caller::{ApiCaller, Permissions};
use crate::claims::{AuthContexts, Claim, List, Text};
use crate::issuer::FoundIssuer;
use crate::provider::{Provider, short};
use crate::token_keys::{KeyFault, TokenKeys};
use crate::{ApiRefusal, Authority, Error, OptionsError, TokenRefusal, token_checks as checks};

/// Validates the access tokens with which a product's API is called. A clone is cheap.
///
/// It knows whom tokens are for and from which tenants, or it does not exist. Users' tokens alone
/// are taken, unless it is told otherwise ([`with_applications`](Self::with_applications)). What a
/// caller may do is the question that each call asks of the [`ApiCaller`].
///
/// ```
/// # use entra_core::{Cloud, HttpClient, Pipeline, TenantId};
/// use entra_oidc::{ApiRefusal, ApiValidator, Authority};
///
/// # async fn f(http: impl HttpClient + 'static, contoso: TenantId, headers: &http::HeaderMap) -> Result<(), Box<dyn std::error::Error>> {
/// // Once.
/// let authority = Authority::single_tenant(Cloud::public(), contoso)?;
/// let client_id = "11111111-2222-4333-8444-555555555555";
/// let api = ApiValidator::connect(authority, [client_id], Pipeline::new(http)).await?;
///
/// // For each call.
/// async fn answer(api: &ApiValidator, headers: &http::HeaderMap) -> Result<String, ApiRefusal> {
///     let caller = api.validate(headers).await?;
///     caller.require_scope("Files.Read")?;
///     Ok(format!("the files of {}", caller.key()))
/// }
/// if let Err(refusal) = answer(&api, headers).await {
///     println!("{} {:?}", refusal.http_status(), refusal.www_authenticate());
/// }
/// # Ok(()) }
/// ```
///
/// # The terms-of-use page of a device-management service
///
/// Windows calls it while a device joins Entra, and the enrolment service after it, with a bearer
/// token whose audience is the service's id URI, or its client id in version 2.0, and whose scope
/// is `mdm_delegation` (Microsoft Learn, "Microsoft Entra integration with MDM").
///
/// ```
/// # use entra_core::{Cloud, HttpClient, Pipeline};
/// # use entra_oidc::{ApiRefusal, ApiValidator, Authority};
/// # async fn f(http: impl HttpClient + 'static, headers: &http::HeaderMap) -> Result<(), Box<dyn std::error::Error>> {
/// let customers = Authority::any_organization(Cloud::public()).with_v1_tokens();
/// let audiences = ["https://mdm.example", "11111111-2222-4333-8444-555555555555"];
/// let api = ApiValidator::connect(customers, audiences, Pipeline::new(http)).await?;
///
/// let caller = api.validate(headers).await?;
/// caller.require_scope("mdm_delegation")?;
/// let user_name: Option<String> = caller.get("upn")?;
/// // Missing at the terms of use, where the device may not be registered yet.
/// let device: Option<String> = caller.get("deviceid")?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct ApiValidator(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    keys: TokenKeys,
    clock: Arc<dyn Clock>,
    form: JwtRules,
    audiences: Vec<String>,
    skew: ClockSkew,
    serves: Serves,
    /// The applications that may call; any, where none is named.
    clients: Option<Vec<ClientId>>,
    takes_public_clients: bool,
}

/// Whose tokens are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Serves {
    Users,
    Applications,
    Both,
}

impl ApiValidator {
    /// Reads the provider's configuration and its keys. `audiences` are all names of the API in
    /// tokens, compared letter by letter: its client id in version 2.0, in version 1.0 its id URI
    /// as callers write it, with and without a slash at the end.
    ///
    /// # Errors
    /// [`Error::Options`], [`Error::Discovery`] and [`Error::Keys`].
    pub async fn connect<T: Into<String>>(
        authority: Authority,
        audiences: impl IntoIterator<Item = T>,
        pipeline: Pipeline,
    ) -> Result<Self, Error> {
        let audiences = checked(&authority, audiences)?;
        let (form, clock) = (authority.jwt_rules(), Arc::clone(pipeline.clock()));
        // For an API with signing keys of its own, which are listed by its client id.
        let is_id = |audience: &&String| audience.parse::<ClientId>().is_ok();
        let client_id = audiences.iter().find(is_id).cloned().unwrap_or_default();
        let provider = Provider::connect(authority, &client_id, pipeline).await?;
        Ok(Self::new(
            TokenKeys::Published(provider),
            clock,
            form,
            audiences,
        ))
    }

    /// With a key set that does not change, for tests.
    ///
    /// # Errors
    /// [`OptionsError::Audience`], [`OptionsError::NotEntra`] and [`OptionsError::NotResolved`].
    pub fn with_keys<T: Into<String>>(
        authority: &Authority,
        audiences: impl IntoIterator<Item = T>,
        keys: JwkSet,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, OptionsError> {
        let audiences = checked(authority, audiences)?;
        let keys = TokenKeys::given(authority, keys)?;
        Ok(Self::new(keys, clock, authority.jwt_rules(), audiences))
    }

    /// How far the clocks may differ.
    #[must_use]
    pub fn with_clock_skew(mut self, skew: ClockSkew) -> Self {
        Arc::make_mut(&mut self.0).skew = skew;
        self
    }

    /// Takes tokens of applications that act for themselves, beside those of users.
    #[must_use]
    pub fn with_applications(mut self) -> Self {
        Arc::make_mut(&mut self.0).serves = Serves::Both;
        self
    }

    /// Takes tokens of applications that act for themselves, and none of users.
    #[must_use]
    pub fn with_applications_alone(mut self) -> Self {
        Arc::make_mut(&mut self.0).serves = Serves::Applications;
        self
    }

    /// Lets these applications call and no others.
    #[must_use]
    pub fn with_clients(mut self, clients: impl IntoIterator<Item = ClientId>) -> Self {
        Arc::make_mut(&mut self.0).clients = Some(clients.into_iter().collect());
        self
    }

    /// Lets only applications call that proved who they are (`azpacr`): none that runs in a browser
    /// or on a device.
    #[must_use]
    pub fn without_public_clients(mut self) -> Self {
        Arc::make_mut(&mut self.0).takes_public_clients = false;
        self
    }

    /// Renews the provider's keys and configuration ahead of every call, until `shutdown` ends. The
    /// host spawns it if it wants that; without it a call does so now and then.
    pub async fn refresh_ahead(&self, shutdown: impl Future<Output = ()> + Send) {
        match &self.0.keys {
            TokenKeys::Published(provider) => provider.refresh_until(shutdown).await,
            TokenKeys::Given(_) => shutdown.await,
        }
    }

    /// Validates the token of a call: the one `Authorization` header's. A token elsewhere, in the
    /// query or in a form, is not looked at (RFC 9700 2.6).
    ///
    /// # Errors
    /// [`ApiRefusal`], which says what to answer.
    pub async fn validate(&self, headers: &HeaderMap) -> Result<ApiCaller, ApiRefusal> {
        self.validate_token(bearer(headers)?).await
    }

    /// Validates a token: every check, in this order, whoever calls.
    ///
    /// # Errors
    /// [`ApiRefusal`], which says what to answer.
    pub async fn validate_token(&self, token: &str) -> Result<ApiCaller, ApiRefusal> {
        let Inner {
            keys,
            form,
            audiences,
            ..
        } = &*self.0;
        keys.refresh_if_due().await;
        let known = keys.known();
        // 1. to 3. It is a signed token in form (RFC 7515 7.1 and 4, RFC 7519 4.1, RFC 8725 3.1).
        let jwt = UnverifiedJwt::parse(token, form)?;
        // The commonest mistake has a name of its own: Graph's tokens are nobody else's.
        not_for_graph(&jwt)?;
        // 4. Its issuer is the authority, and its tenant is the issuer's (RFC 8725 3.8).
        let issuer = checks::issuer(&jwt, &known)?;
        // 5. It is for this API and for nobody else (RFC 8725 3.9).
        audience(&jwt, audiences)?;
        // 6. and 7. The provider has its key, which signs for this issuer, in this cloud.
        let key = known.key_for(&jwt).await?;
        checks::key(&key, &known, issuer)?;
        // 8. The signature is right (RFC 7515 5.2).
        let jwt = jwt.verify(key)?;
        // 9. It is in force, and not for longer than is usual.
        checks::times(&jwt, self.0.clock.now(), self.0.skew, LONGEST_LIFETIME)?;
        // 10. It is an access token, which an application asked for (RFC 8725 3.12).
        let claims: Claims<'_> = jwt.claims()?;
        let client = claims.client(issuer)?;
        // 11. Users of the tenant may come in.
        checks::tenant(&known, issuer)?;
        // 12. It is of the version of its issuer.
        checks::version(issuer, claims.ver.text("ver")?)?;
        // 13. It names one user, or one application (Microsoft Learn, "Access token claims
        //     reference").
        let key = claims.key(issuer)?;
        // 14. Somebody allowed the caller something, and callers of this kind are served.
        let permissions = claims.permissions()?;
        self.kind(&permissions)?;
        // 15. This application may call.
        self.actor(client, claims.proof(issuer)?)?;
        Ok(ApiCaller::new(
            jwt,
            Secret::new(token),
            key,
            client,
            permissions,
        ))
    }

    fn new(keys: TokenKeys, clock: Arc<dyn Clock>, form: JwtRules, audiences: Vec<String>) -> Self {
        Self(Arc::new(Inner {
            keys,
            clock,
            form,
            audiences,
            skew: ClockSkew::default(),
            serves: Serves::Users,
            clients: None,
            takes_public_clients: true,
        }))
    }

    fn kind(&self, permissions: &Permissions) -> Result<(), ApiRefusal> {
        if permissions.scopes.is_empty() && permissions.roles.is_empty() {
            return Err(ApiRefusal::PermissionsMissing);
        }
        match (self.0.serves, permissions.is_app_only) {
            (Serves::Users, true) => Err(ApiRefusal::ApplicationToken),
            (Serves::Applications, false) => Err(ApiRefusal::UserToken),
            // Roles of a user allow nothing without a scope: the application has to be allowed to
            // act for the user.
            (_, false) if permissions.scopes.is_empty() => Err(ApiRefusal::PermissionsMissing),
            _ => Ok(()),
        }
    }

    fn actor(&self, client: ClientId, proof: Option<&str>) -> Result<(), ApiRefusal> {
        let clients = self.0.clients.as_ref();
        if clients.is_some_and(|clients| !clients.contains(&client)) {
            return Err(ApiRefusal::ClientNotAllowed { found: client });
        }
        let is_proved = matches!(proof, Some("1" | "2"));
        if !is_proved && !self.0.takes_public_clients {
            return Err(ApiRefusal::PublicClient);
        }
        Ok(())
    }
}

impl fmt::Debug for ApiValidator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiValidator")
            .field("audiences", &self.0.audiences)
            .field("serves", &self.0.serves)
            .field("clients", &self.0.clients)
            .finish_non_exhaustive()
    }
}

/// The claims that the checks need.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Claims<'a> {
    #[serde(borrow)]
    ver: Claim<Text<'a>>,
    #[serde(borrow)]
    oid: Claim<Text<'a>>,
    #[serde(borrow)]
    sub: Claim<Text<'a>>,
    #[serde(borrow)]
    azp: Claim<Text<'a>>,
    #[serde(borrow)]
    azpacr: Claim<Text<'a>>,
    /// What version 1.0 has in the place of `azp` and `azpacr`.
    #[serde(borrow)]
    appid: Claim<Text<'a>>,
    #[serde(borrow)]
    appidacr: Claim<Text<'a>>,
    #[serde(borrow)]
    idtyp: Claim<Text<'a>>,
    #[serde(borrow)]
    scp: Claim<Text<'a>>,
    #[serde(borrow)]
    roles: Claim<List<'a>>,
    #[serde(borrow)]
    xms_cc: Claim<List<'a>>,
    acrs: Claim<AuthContexts>,
    /// What only ID tokens have.
    #[serde(borrow)]
    nonce: Claim<Text<'a>>,
    #[serde(borrow)]
    c_hash: Claim<Text<'a>>,
    #[serde(borrow)]
    at_hash: Claim<Text<'a>>,
}

impl Claims<'_> {
    /// The application that asked for the token. An ID token has none: it is what tells the two
    /// apart, since Entra gives both the same type.
    fn client(&self, issuer: FoundIssuer) -> Result<ClientId, ApiRefusal> {
        let of_id_tokens = [&self.nonce, &self.c_hash, &self.at_hash];
        let is_id_token = of_id_tokens.iter().any(|claim| claim.is_present());
        let (name, claim) = match issuer.is_v1 {
            true => ("appid", &self.appid),
            false => ("azp", &self.azp),
        };
        match claim.text(name)? {
            Some(client) if !is_id_token => {
                let client: Result<ClientId, _> = client.parse();
                Ok(client.map_err(|_| TokenRefusal::Claim(name))?)
            }
            _ => Err(ApiRefusal::IdToken),
        }
    }

    fn key(&self, issuer: FoundIssuer) -> Result<UserKey, TokenRefusal> {
        checks::subject(self.sub.text("sub")?)?;
        let object = checks::object_id(self.oid.text("oid")?)?;
        let tenant = issuer.tenant.ok_or(TokenRefusal::TenantMissing)?;
        Ok(UserKey::entra(tenant, object))
    }

    /// How the application proved who it is: not at all (`0`), by a secret, by a certificate.
    fn proof(&self, issuer: FoundIssuer) -> Result<Option<&str>, TokenRefusal> {
        match issuer.is_v1 {
            true => self.appidacr.text("appidacr"),
            false => self.azpacr.text("azpacr"),
        }
    }

    fn permissions(&self) -> Result<Permissions, TokenRefusal> {
        let scopes = self.scp.text("scp")?.unwrap_or_default();
        let contexts = self.acrs.value("acrs")?;
        Ok(Permissions {
            is_app_only: self.is_app_only()?,
            scopes: scopes.split_ascii_whitespace().map(str::to_owned).collect(),
            roles: self.roles.strings("roles", true)?,
            auth_contexts: contexts
                .map(|contexts| contexts.0.clone())
                .unwrap_or_default(),
            capabilities: self.xms_cc.strings("xms_cc", false)?,
        })
    }

    /// Whether the application acts for itself (Microsoft Learn, "Access token claims reference",
    /// `idtyp`; where that is missing: no scopes, and the subject is the object).
    fn is_app_only(&self) -> Result<bool, TokenRefusal> {
        let has_scopes = self.scp.text("scp")?.is_some();
        match self.idtyp.text("idtyp")? {
            Some("app") if has_scopes => Err(TokenRefusal::Claim("scp")),
            Some("app") => Ok(true),
            Some("user") => Ok(false),
            Some(_) => Err(TokenRefusal::Claim("idtyp")),
            None => Ok(!has_scopes && self.oid.text("oid")? == self.sub.text("sub")?),
        }
    }
}

/// The token of the one `Authorization` header (RFC 6750 2.1, RFC 9110 11.1: letter case of the
/// scheme does not matter).
fn bearer(headers: &HeaderMap) -> Result<&str, ApiRefusal> {
    let mut all = headers.get_all(AUTHORIZATION).iter();
    let value = match (all.next(), all.next()) {
        (None, _) => return Err(ApiRefusal::NoToken),
        (Some(one), None) => one,
        (Some(_), Some(_)) => return Err(ApiRefusal::SeveralHeaders),
    };
    let text = value.to_str().map_err(|_| ApiRefusal::Malformed)?;
    let (scheme, token) = text.split_once(' ').unwrap_or((text, ""));
    if !scheme.eq_ignore_ascii_case("Bearer") {
        return Err(ApiRefusal::NoToken);
    }
    let token = token.trim_matches(' ');
    let may_stand = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
    if token.is_empty() || !token.bytes().all(may_stand) {
        return Err(ApiRefusal::Malformed);
    }
    Ok(token)
}

fn audience(jwt: &UnverifiedJwt<'_>, expected: &[String]) -> Result<(), ApiRefusal> {
    let found = jwt.unverified_audiences();
    let first = found.first().ok_or(TokenRefusal::AudienceMissing)?;
    if !found.iter().any(|found| expected.contains(found)) {
        return Err(ApiRefusal::Token(TokenRefusal::Audience {
            expected: expected.first().cloned().unwrap_or_default(),
            found: short(first),
        }));
    }
    match found.iter().find(|found| !expected.contains(found)) {
        Some(other) => Err(ApiRefusal::Token(TokenRefusal::AudienceUntrusted {
            found: short(other),
        })),
        None => Ok(()),
    }
}

fn not_for_graph(jwt: &UnverifiedJwt<'_>) -> Result<(), ApiRefusal> {
    match jwt.unverified_audiences() {
        [audience] if is_graph(audience) => Err(ApiRefusal::GraphToken),
        _ => Ok(()),
    }
}

/// Graph by its client id or by its URL in one of the clouds.
fn is_graph(audience: &str) -> bool {
    let url = audience.trim_end_matches('/');
    let is_url = |cloud: &Cloud| cloud.graph_url().as_str().trim_end_matches('/') == url;
    audience == GRAPH_ID || Cloud::all().iter().any(is_url)
}

fn checked<T: Into<String>>(
    authority: &Authority,
    audiences: impl IntoIterator<Item = T>,
) -> Result<Vec<String>, OptionsError> {
    if !authority.is_entra() {
        return Err(OptionsError::NotEntra);
    }
    let audiences: Vec<String> = audiences.into_iter().map(Into::into).collect();
    if audiences.is_empty() || audiences.iter().any(String::is_empty) {
        return Err(OptionsError::Audience);
    }
    Ok(audiences)
}

impl From<KeyFault> for ApiRefusal {
    fn from(fault: KeyFault) -> Self {
        match fault {
            KeyFault::Refused(refusal) => refusal.into(),
            KeyFault::Unavailable(error) => {
                tracing::warn!(%error, "no call can be let in");
                Self::KeysUnavailable
            }
        }
    }
}

/// A token for a client that answers claims challenges is valid for up to 28 hours (Microsoft
/// Learn, "Continuous access evaluation"), and is dated back by five minutes.
const LONGEST_LIFETIME: Duration = Duration::from_secs(29 * 60 * 60);
/// Microsoft Learn, "Verify first-party Microsoft applications in sign-in reports".
const GRAPH_ID: &str = "00000003-0000-0000-c000-000000000000";
