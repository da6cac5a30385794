//! Access tokens with which a client acts for a user.
//!
//! Microsoft Learn, "Access token claims reference" and "Optional claims reference" (`xms_cc`,
//! `acrs`).

use std::collections::BTreeSet;

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use url::Url;
use uuid::Uuid;

use crate::access_token::{ClientProof, SKEW, TENANT_CREATED, is_version_2, issuer_v1, issuer_v2};
use crate::account::{account_status, identity_provider, is_guest, sign_in_mail, sign_in_name};
use crate::claims_request::ClaimsRequest;
use crate::client::Client;
use crate::revocation::TokenTerms;
use crate::sessions::BrowserSession;
use crate::tenant::{Object, Tenant, items_of, text_of};

/// A delegated access token before it is signed.
#[derive(Debug)]
pub(crate) struct DelegatedToken<'a> {
    pub(crate) client: &'a Client<'a>,
    /// The service principal of the resource.
    pub(crate) resource: &'a Object,
    /// The resource as the client named it.
    pub(crate) audience: &'a str,
    pub(crate) user: &'a Object,
    pub(crate) session: &'a BrowserSession,
    /// `scp`
    pub(crate) scopes: Vec<String>,
    pub(crate) proof: ClientProof,
    pub(crate) claims: &'a ClaimsRequest,
}

impl DelegatedToken<'_> {
    /// How long it lives.
    pub(crate) fn terms(&self) -> TokenTerms {
        TokenTerms::of(self.claims, self.resource)
    }

    /// The signed token.
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
        let version = if is_version_2(tenant, self.resource, now) {
            self.version_2(tenant, origin)
        } else {
            self.version_1(tenant)
        };
        let mut claims = self.common_claims(tenant, now);
        if let Value::Object(version) = version {
            claims.extend(version);
        }
        claims
    }

    /// The registration of the resource, where it is the company's own.
    fn resource_application<'t>(
        &self,
        tenant: &'t Tenant,
        now: OffsetDateTime,
    ) -> Option<&'t Object> {
        tenant.application_by_app_id(text_of(self.resource, "appId"), now)
    }

    fn version_1(&self, tenant: &Tenant) -> Value {
        let mut claims = json!({
            "acct": account_status(self.user),
            "acr": "1",
            "amr": amr(self.session),
            "app_displayname": self.client.name(),
            "appid": self.client.app_id(),
            "appidacr": self.proof.as_str(),
            "aud": self.audience,
            "family_name": text_of(self.user, "surname"),
            "given_name": text_of(self.user, "givenName"),
            "iss": issuer_v1(tenant.id()),
            "unique_name": sign_in_name(self.user),
            "ver": "1.0",
            "xms_tcdt": TENANT_CREATED,
        });
        // A guest has none here, and an address instead.
        let (name, value) = if is_guest(self.user) {
            ("email", sign_in_mail(self.user))
        } else {
            ("upn", text_of(self.user, "userPrincipalName"))
        };
        if let Some(claims) = claims.as_object_mut() {
            claims.insert(name.to_owned(), json!(value));
        }
        claims
    }

    fn version_2(&self, tenant: &Tenant, origin: &Url) -> Value {
        json!({
            "aud": text_of(self.resource, "appId"),
            "azp": self.client.app_id(),
            "azpacr": self.proof.as_str(),
            "iss": issuer_v2(origin, tenant.id()),
            "preferred_username": sign_in_name(self.user),
            "ver": "2.0",
        })
    }

    fn common_claims(&self, tenant: &Tenant, now: OffsetDateTime) -> Map<String, Value> {
        let user_id = text_of(self.user, "id");
        let issued = tenant.issue_time(user_id, now).unix_timestamp() - SKEW;
        let expiry = now.unix_timestamp() + self.terms().lifetime + 1;
        let mut claims = Map::new();
        for (name, value) in [
            ("exp", json!(expiry)),
            ("iat", json!(issued)),
            ("idtyp", json!("user")),
            ("name", json!(text_of(self.user, "displayName"))),
            ("nbf", json!(issued)),
            ("oid", json!(user_id)),
            ("scp", json!(self.scopes.join(" "))),
            ("sid", json!(self.session.id)),
            (
                "sub",
                json!(pairwise(tenant, user_id, text_of(self.resource, "appId"))),
            ),
            ("tid", json!(tenant.id())),
            ("uti", json!(token_id())),
        ] {
            claims.insert(name.to_owned(), value);
        }
        if let Some(provider) = identity_provider(self.user) {
            claims.insert("idp".to_owned(), json!(provider));
        }
        let contexts = contexts_of(
            (tenant, self.session),
            &self.claims.access_token_contexts,
            optional_claims(self.resource_application(tenant, now), "accessToken"),
        );
        for (name, values) in [
            ("acrs", &contexts),
            ("roles", &tenant.user_roles(user_id, self.resource)),
            ("xms_cc", &self.claims.capabilities),
        ] {
            if !values.is_empty() {
                claims.insert(name.to_owned(), json!(values));
            }
        }
        claims
    }
}

/// `acrs`: what was asked for, and where the registration has that optional claim, whatever else the
/// session satisfies (Microsoft Learn, "Developer guide to Conditional Access authentication
/// context": implicit auth context satisfaction).
pub(crate) fn contexts_of(
    (tenant, session): (&Tenant, &BrowserSession),
    asked: &[String],
    optional: &[Value],
) -> Vec<String> {
    let mut contexts = asked.to_vec();
    if optional
        .iter()
        .any(|claim| claim.get("name") == Some(&json!("acrs")))
    {
        contexts.extend(tenant.satisfied_contexts(session));
    }
    let mut seen = BTreeSet::new();
    contexts.retain(|context| seen.insert(context.clone()));
    contexts
}

/// The optional claims that a registration asks for in one kind of token.
pub(crate) fn optional_claims<'a>(registration: Option<&'a Object>, kind: &str) -> &'a [Value] {
    registration
        .and_then(|registration| registration.get("optionalClaims")?.as_object())
        .map(|claims| items_of(claims, kind))
        .unwrap_or_default()
}

fn amr(session: &BrowserSession) -> Value {
    match session.second_factor {
        Some(_) => json!(["pwd", "mfa"]),
        None => json!(["pwd"]),
    }
}

/// `sub`: another one for each application (Microsoft Learn, "ID token claims reference").
pub(crate) fn pairwise(tenant: &Tenant, user_id: &str, app_id: &str) -> String {
    let text = [tenant.id(), user_id, app_id].join("\n");
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, text.as_bytes()))
}

/// `uti`
pub(crate) fn token_id() -> String {
    URL_SAFE_NO_PAD.encode(Uuid::new_v4().as_bytes())
}
