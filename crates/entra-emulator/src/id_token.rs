//! ID tokens of version 2.0.
//!
//! Microsoft Learn, "ID token claims reference" and "Optional claims reference"; OpenID Connect
//! Core 3.1.3.6 and 3.3.2.11.

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use url::Url;

use crate::access_token::{LIFETIME, SKEW, issuer_v2};
use crate::account::{identity_provider, is_guest, sign_in_mail, sign_in_name};
use crate::client::Client;
use crate::delegated_token::{contexts_of, optional_claims, pairwise, token_id};
use crate::forge::IdTokenEndpoint;
use crate::group_claim::GroupClaim;
use crate::optional_claim::OptionalClaims;
use crate::scope::ScopeRequest;
use crate::sessions::{BrowserSession, UserGrant};
use crate::tenant::{Object, Tenant, text_of};

/// An ID token before it is signed.
#[derive(Debug)]
pub(crate) struct IdToken<'a> {
    pub(crate) client: &'a Client<'a>,
    pub(crate) user: &'a Object,
    pub(crate) grant: &'a UserGrant,
    pub(crate) scope: &'a ScopeRequest,
    /// The code that is issued with it, for `c_hash`.
    pub(crate) code: Option<&'a str>,
    pub(crate) endpoint: IdTokenEndpoint,
    /// Whether it comes in the fragment of a URL, where less fits.
    pub(crate) is_in_fragment: bool,
}

impl IdToken<'_> {
    /// The signed token.
    pub(crate) fn issue(&self, tenant: &Tenant, origin: &Url, now: OffsetDateTime) -> String {
        let claims = self.claims(tenant, origin, now);
        let client = (self.client.app_id(), self.endpoint);
        tenant.forgeries.id_token(claims, client, &tenant.keys)
    }

    /// What it says.
    pub(crate) fn claims(
        &self,
        tenant: &Tenant,
        origin: &Url,
        now: OffsetDateTime,
    ) -> Map<String, Value> {
        let mut claims = self.base_claims(tenant, origin, now);
        self.add_profile(&mut claims);
        self.add_optional(tenant, &mut claims);
        let contexts = contexts_of(
            (tenant, &self.grant.session),
            &self.grant.claims.id_token_contexts,
            optional_claims(Some(self.client.application), "idToken"),
        );
        let user_id = text_of(self.user, "id");
        let groups = GroupClaim::of(tenant, self.client);
        let roles = match &groups {
            Some(groups) if groups.replaces_roles() => Vec::new(),
            _ => tenant.user_roles(user_id, self.client.principal),
        };
        for (name, values) in [("acrs", &contexts), ("roles", &roles)] {
            if !values.is_empty() {
                claims.insert(name.to_owned(), json!(values));
            }
        }
        if let Some(groups) = groups {
            groups.add(user_id, self.is_in_fragment, &mut claims);
        }
        claims
    }

    fn base_claims(
        &self,
        tenant: &Tenant,
        origin: &Url,
        now: OffsetDateTime,
    ) -> Map<String, Value> {
        let now = now.unix_timestamp();
        let app_id = self.client.app_id();
        let mut claims = Map::new();
        for (name, value) in [
            ("aud", json!(app_id)),
            ("exp", json!(now + LIFETIME + 1)),
            ("iat", json!(now - SKEW)),
            ("iss", json!(issuer_v2(origin, tenant.id()))),
            ("nbf", json!(now - SKEW)),
            (
                "sub",
                json!(pairwise(tenant, text_of(self.user, "id"), app_id)),
            ),
            ("tid", json!(tenant.id())),
            ("uti", json!(token_id())),
            ("ver", json!("2.0")),
        ] {
            claims.insert(name.to_owned(), value);
        }
        if let Some(nonce) = &self.grant.nonce {
            claims.insert("nonce".to_owned(), json!(nonce));
        }
        if let Some(code) = self.code {
            claims.insert("c_hash".to_owned(), json!(half_hash(code)));
        }
        claims
    }

    /// `oid`, `name` and `preferred_username` need the scope `profile`, `email` the scope `email`
    /// or, for guests, nothing.
    fn add_profile(&self, claims: &mut Map<String, Value>) {
        if self.scope.profile {
            for (name, value) in [
                ("name", text_of(self.user, "displayName")),
                ("oid", text_of(self.user, "id")),
                ("preferred_username", sign_in_name(self.user)),
            ] {
                claims.insert(name.to_owned(), json!(value));
            }
        }
        let mail = sign_in_mail(self.user);
        if !mail.is_empty() && (self.scope.email || is_guest(self.user)) {
            claims.insert("email".to_owned(), json!(mail));
        }
        if let Some(provider) = identity_provider(self.user) {
            claims.insert("idp".to_owned(), json!(provider));
        }
    }

    /// What the registration asks for.
    fn add_optional(&self, tenant: &Tenant, claims: &mut Map<String, Value>) {
        let wanted = optional_claims(Some(self.client.application), "idToken");
        let wanted = || wanted.iter().filter_map(Value::as_object);
        let optional = OptionalClaims {
            tenant,
            user: self.user,
            session: &self.grant.session,
            has_profile: self.scope.profile,
        };
        for claim in wanted() {
            if let Some(value) = optional.value(claim) {
                claims.insert(text_of(claim, "name").to_owned(), value);
            }
        }
        if claims.contains_key("email")
            && wanted().any(|claim| text_of(claim, "name") == "xms_edov")
        {
            let is_verified = optional.email_domain_owner_verified();
            claims.insert("xms_edov".to_owned(), json!(is_verified));
        }
    }
}

/// An ID token of this tenant that comes back, expired or not.
#[derive(Debug, Deserialize)]
pub(crate) struct IdTokenHint {
    #[serde(rename = "aud")]
    pub(crate) audience: String,
    sub: String,
    sid: Option<String>,
}

impl IdTokenHint {
    /// The token, if this tenant signed it.
    pub(crate) fn verify(token: &str, tenant: &Tenant) -> Option<Self> {
        let (message, signature) = token.rsplit_once('.')?;
        let (header, payload) = message.split_once('.')?;
        let decoded = |part: &str| URL_SAFE_NO_PAD.decode(part).ok();
        let header: Map<String, Value> = serde_json::from_slice(&decoded(header)?).ok()?;
        let key = tenant.keys.find(text_of(&header, "kid"))?;
        if !key.has_signed(message.as_bytes(), &decoded(signature)?) {
            return None;
        }
        serde_json::from_slice(&decoded(payload)?).ok()
    }

    /// Whether it was issued for this session; where it does not say, for its user.
    pub(crate) fn is_of(&self, session: &BrowserSession, tenant: &Tenant) -> bool {
        match &self.sid {
            Some(sid) => *sid == session.id,
            None => self.sub == pairwise(tenant, &session.user_id, &self.audience),
        }
    }
}

/// The `login_hint` claim, which a later request may send back: opaque, and here the user's id
/// after a mark.
pub(crate) fn login_hint(user: &Object) -> String {
    ["O.", &URL_SAFE_NO_PAD.encode(text_of(user, "id"))].concat()
}

/// `c_hash` (OpenID Connect Core 3.3.2.11).
fn half_hash(text: &str) -> String {
    let hash = digest::digest(&digest::SHA256, text.as_bytes());
    let half: Vec<u8> = hash.as_ref().iter().take(16).copied().collect();
    URL_SAFE_NO_PAD.encode(half)
}
