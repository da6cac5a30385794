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
use crate::client::Client;
use crate::delegated_token::{account_status, contexts_of, optional_claims, pairwise, token_id};
use crate::forge::IdTokenEndpoint;
use crate::scope::ScopeRequest;
use crate::sessions::{BrowserSession, UserGrant};
use crate::tenant::{Kind, Link, Object, Tenant, text_of};

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
        self.add_groups(tenant, &mut claims);
        let contexts = contexts_of(
            (tenant, &self.grant.session),
            &self.grant.claims.id_token_contexts,
            optional_claims(Some(self.client.application), "idToken"),
        );
        let roles = tenant.user_roles(text_of(self.user, "id"), self.client.principal);
        for (name, values) in [("acrs", &contexts), ("roles", &roles)] {
            if !values.is_empty() {
                claims.insert(name.to_owned(), json!(values));
            }
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
            for (name, property) in [
                ("name", "displayName"),
                ("oid", "id"),
                ("preferred_username", "userPrincipalName"),
            ] {
                claims.insert(name.to_owned(), json!(text_of(self.user, property)));
            }
        }
        let mail = text_of(self.user, "mail");
        if !mail.is_empty() && (self.scope.email || account_status(self.user) == 1) {
            claims.insert("email".to_owned(), json!(mail));
        }
    }

    /// What the registration asks for; what is not known here is left out, as where a user has no
    /// value.
    fn add_optional(&self, tenant: &Tenant, claims: &mut Map<String, Value>) {
        let wanted = optional_claims(Some(self.client.application), "idToken");
        let session = &self.grant.session;
        let of_user = |property| json!(text_of(self.user, property));
        for claim in wanted.iter().filter_map(Value::as_object) {
            let name = text_of(claim, "name");
            let value = match name {
                "acct" => json!(account_status(self.user)),
                "auth_time" => json!(session.signed_in.unix_timestamp()),
                "ctry" => of_user("usageLocation"),
                "email" => of_user("mail"),
                "family_name" => of_user("surname"),
                "given_name" => of_user("givenName"),
                "login_hint" => json!(login_hint(self.user)),
                "sid" => json!(session.id),
                "tenant_ctry" => tenant
                    .current(Kind::Organization, tenant.id())
                    .map_or(Value::Null, |organization| {
                        json!(text_of(organization, "countryLetterCode"))
                    }),
                "upn" => of_user("userPrincipalName"),
                _ => continue,
            };
            if value != json!("") && !value.is_null() {
                claims.insert(name.to_owned(), value);
            }
        }
    }

    /// `groups`, or the sign that there are more than fit (Microsoft Learn, "Configure group claims
    /// for applications by using Microsoft Entra ID": 200 in a JWT).
    fn add_groups(&self, tenant: &Tenant, claims: &mut Map<String, Value>) {
        let wanted = text_of(self.client.application, "groupMembershipClaims");
        if !matches!(wanted, "SecurityGroup" | "All" | "ApplicationGroup") {
            return;
        }
        let user_id = text_of(self.user, "id");
        let groups = groups_of(tenant, user_id, wanted, self.client.principal);
        if groups.len() > MOST_GROUPS {
            claims.insert("_claim_names".to_owned(), json!({"groups": "src1"}));
            let endpoint = format!("{}v1.0/users/{user_id}/getMemberObjects", tenant.graph_url);
            let sources = json!({"src1": {"endpoint": endpoint}});
            claims.insert("_claim_sources".to_owned(), sources);
        } else if !groups.is_empty() {
            claims.insert("groups".to_owned(), json!(groups));
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

fn groups_of<'a>(
    tenant: &'a Tenant,
    user_id: &str,
    wanted: &str,
    application: &Object,
) -> Vec<&'a str> {
    let groups = if wanted == "ApplicationGroup" {
        tenant.linking(user_id, Link::Member)
    } else {
        tenant.linking_transitively(user_id, Link::Member)
    };
    groups
        .into_iter()
        .filter(|(kind, _)| *kind == Kind::Group)
        .filter(|(kind, id)| {
            let group = tenant.current(*kind, id);
            match wanted {
                "SecurityGroup" => group
                    .is_some_and(|group| group.get("securityEnabled") == Some(&Value::Bool(true))),
                "ApplicationGroup" => tenant.is_group_assigned(id, application),
                _ => true,
            }
        })
        .map(|(_, id)| id)
        .collect()
}

/// Of an ID token.
const MOST_GROUPS: usize = 200;
