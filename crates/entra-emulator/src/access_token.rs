//! Access tokens: issued as Entra issues them, verified as a resource verifies them.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use url::Url;
use uuid::Uuid;

use crate::caller::Caller;
use crate::external_id::issuing_origin;
use crate::tenant::{Object, TOKEN_EXCHANGE_APP_ID, Tenant, text_of};

/// How long a token lives where nothing else is said.
pub(crate) const LIFETIME: i64 = 3599;

/// An app-only access token before it is signed.
#[derive(Debug)]
pub(crate) struct AppToken<'a> {
    /// The service principal of the client.
    pub(crate) client: &'a Object,
    /// The service principal of the resource.
    pub(crate) resource: &'a Object,
    /// The resource as the client named it.
    pub(crate) audience: &'a str,
    /// Its application permissions on the resource.
    pub(crate) roles: Vec<String>,
    /// How the client proved itself.
    pub(crate) proof: ClientProof,
    /// How long it lives, in seconds, as `expires_in` says it.
    pub(crate) lifetime: i64,
    /// Further claims.
    pub(crate) extra: Map<String, Value>,
}

/// How a client proved itself, as `appidacr` says it (Microsoft Learn, "Access token claims
/// reference").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClientProof {
    /// `0`: not at all, as a public client.
    None,
    /// `1`
    Secret,
    /// `2`
    Certificate,
}

impl AppToken<'_> {
    /// The signed token. Its version is the resource's choice
    /// (`api.requestedAccessTokenVersion`); Graph's is 1.0.
    pub(crate) fn issue(&self, tenant: &Tenant, origin: &Url, now: OffsetDateTime) -> String {
        let claims = Value::Object(self.claims(tenant, origin, now));
        let key = tenant.keys.signing_for(text_of(self.resource, "appId"));
        key.sign(&claims)
    }

    /// What it says.
    pub(crate) fn claims(
        &self,
        tenant: &Tenant,
        origin: &Url,
        now: OffsetDateTime,
    ) -> Map<String, Value> {
        let app_id = text_of(self.client, "appId");
        let version = if is_version_2(tenant, self.resource, now) {
            json!({
                "aud": text_of(self.resource, "appId"),
                "iss": issuer_v2(origin, tenant.id()),
                "azp": app_id,
                "azpacr": self.proof.as_str(),
                "ver": "2.0",
            })
        } else {
            json!({
                "aud": self.audience,
                "iss": issuer_v1(tenant.id()),
                "app_displayname": text_of(self.client, "displayName"),
                "appid": app_id,
                "appidacr": self.proof.as_str(),
                "idp": issuer_v1(tenant.id()),
                "wids": [DEFAULT_WID],
                "xms_tcdt": TENANT_CREATED,
                "ver": "1.0",
            })
        };
        let mut claims = self.common_claims(tenant, now);
        claims.extend(self.extra.clone());
        if let Value::Object(version) = version {
            claims.extend(version);
        }
        claims
    }

    /// `iat` equals `nbf` and lies 3,900 seconds before `exp`, as in the sample tokens of Microsoft
    /// Learn, "Access tokens in the Microsoft identity platform": an hour, and five minutes back so
    /// that clocks may differ. `idtyp` is an optional claim there; here every token has it.
    fn common_claims(&self, tenant: &Tenant, now: OffsetDateTime) -> Map<String, Value> {
        let issued = tenant.issue_time(text_of(self.client, "id"), now);
        let issued = issued.unix_timestamp() - SKEW;
        let now = now.unix_timestamp();
        let mut claims = Map::new();
        for (name, value) in [
            ("iat", json!(issued)),
            ("nbf", json!(issued)),
            ("exp", json!(now + self.lifetime + 1)),
            ("idtyp", json!("app")),
            ("oid", json!(text_of(self.client, "id"))),
            ("sub", json!(text_of(self.client, "id"))),
            ("tid", json!(tenant.id())),
            (
                "uti",
                json!(URL_SAFE_NO_PAD.encode(Uuid::new_v4().as_bytes())),
            ),
        ] {
            claims.insert(name.to_owned(), value);
        }
        // The claim is missing where nothing was consented to.
        if !self.roles.is_empty() {
            claims.insert("roles".to_owned(), json!(self.roles));
        }
        claims
    }
}

impl ClientProof {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::None => "0",
            Self::Secret => "1",
            Self::Certificate => "2",
        }
    }
}

/// An access token whose signature, issuer and lifetime were verified.
#[derive(Debug)]
pub(crate) struct VerifiedToken {
    /// For which resource.
    pub(crate) audience: String,
    /// By whom.
    pub(crate) caller: Caller,
    /// When it was issued.
    pub(crate) issued_at: OffsetDateTime,
    /// Whether its client understands claims challenges.
    pub(crate) understands_challenges: bool,
}

/// Why a resource refuses a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenFault {
    Malformed,
    Signature,
    Issuer,
    Expired,
    NotYetValid,
}

impl VerifiedToken {
    /// Verifies a token of this tenant.
    pub(crate) fn verify(
        token: &str,
        tenant: &Tenant,
        origin: &Url,
        now: OffsetDateTime,
    ) -> Result<Self, TokenFault> {
        let (message, signature) = token.rsplit_once('.').ok_or(TokenFault::Malformed)?;
        let (header, payload) = message.split_once('.').ok_or(TokenFault::Malformed)?;
        let header: Header = decode(header)?;
        let claims: Claims = decode(payload)?;
        let signature = URL_SAFE_NO_PAD
            .decode(signature)
            .map_err(|_| TokenFault::Malformed)?;
        let is_signed = tenant
            .keys
            .find(&header.kid)
            .is_some_and(|key| key.has_signed(message.as_bytes(), &signature));
        if header.alg != "RS256" || !is_signed {
            return Err(TokenFault::Signature);
        }
        let issuers = [issuer_v1(tenant.id()), issuer_v2(origin, tenant.id())];
        if !issuers.contains(&claims.iss) {
            return Err(TokenFault::Issuer);
        }
        // Clocks may differ by what is usual; how much Graph allows is not verified.
        let now = now.unix_timestamp();
        if now >= claims.exp + SKEW {
            return Err(TokenFault::Expired);
        }
        if now + SKEW < claims.nbf {
            return Err(TokenFault::NotYetValid);
        }
        let issued_at = OffsetDateTime::from_unix_timestamp(claims.iat + SKEW)
            .map_err(|_| TokenFault::Malformed)?;
        Ok(Self {
            audience: claims.aud.clone(),
            issued_at,
            understands_challenges: claims.xms_cc.iter().any(|name| name == "cp1"),
            caller: claims.into_caller(),
        })
    }
}

/// Whether tokens for this resource have version 2.0, by its own choice.
pub(crate) fn is_version_2(tenant: &Tenant, resource: &Object, now: OffsetDateTime) -> bool {
    let app_id = text_of(resource, "appId");
    app_id == TOKEN_EXCHANGE_APP_ID
        || tenant
            .application_by_app_id(app_id, now)
            .and_then(|app| app.get("api")?.get("requestedAccessTokenVersion")?.as_i64())
            == Some(2)
}

/// `iss` of version 1.0, which every resource of Microsoft's gets.
pub(crate) fn issuer_v1(tenant_id: &str) -> String {
    format!("https://sts.windows.net/{tenant_id}/")
}

/// `iss` of version 2.0, and of the OpenID Connect metadata.
pub(crate) fn issuer_v2(origin: &Url, tenant_id: &str) -> String {
    let origin = issuing_origin(origin, tenant_id);
    format!("{origin}{tenant_id}/v2.0")
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: String,
}

#[derive(Deserialize)]
struct Claims {
    aud: String,
    iss: String,
    exp: i64,
    nbf: i64,
    iat: i64,
    #[serde(default)]
    xms_cc: Vec<String>,
    #[serde(alias = "azp")]
    appid: String,
    oid: String,
    idtyp: Option<String>,
    #[serde(default)]
    roles: Vec<String>,
    #[serde(default)]
    scp: String,
}

impl Claims {
    fn into_caller(self) -> Caller {
        let is_app = self.idtyp.as_deref() == Some("app");
        Caller {
            app_id: self.appid,
            service_principal_id: if is_app {
                self.oid.clone()
            } else {
                String::new()
            },
            roles: self.roles,
            scopes: self.scp.split_whitespace().map(str::to_owned).collect(),
            user_id: (!is_app).then_some(self.oid),
        }
    }
}

fn decode<T: serde::de::DeserializeOwned>(part: &str) -> Result<T, TokenFault> {
    let json = URL_SAFE_NO_PAD
        .decode(part)
        .map_err(|_| TokenFault::Malformed)?;
    serde_json::from_slice(&json).map_err(|_| TokenFault::Malformed)
}

/// How far clocks may differ, in seconds.
pub(crate) const SKEW: i64 = 300;

/// `wids` in app-only tokens, as users show them; no page describes it.
const DEFAULT_WID: &str = "0997a1d0-0d1d-4acb-b408-d5ca73121e90";

/// 2020-01-01, the tenant's creation.
pub(crate) const TENANT_CREATED: i64 = 1_577_836_800;
