//! What the token endpoint needs of the directory. It sees what every replica knows.

use aws_lc_rs::{constant_time, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use entra_core::Secret;
use serde_json::Value;
use time::OffsetDateTime;
use url::Url;

use super::{Kind, Object, Tenant, items_of, parse_time, text_of, timestamp};
use crate::refusal::Refusal;

/// What the token endpoint learns about a client secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SecretCheck {
    /// It is one of the application's secrets and within its lifetime.
    Valid,
    /// It was valid until then (AADSTS7000222).
    Expired(OffsetDateTime),
    /// It is no secret of this application (AADSTS7000215).
    Wrong,
    /// It is the `keyId` of a secret instead of its value (AADSTS7000215).
    IsKeyId,
}

/// A certificate with which an application may sign its assertions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SigningKey {
    /// Its `keyId`.
    pub(crate) key_id: String,
    /// The certificate, DER.
    pub(crate) der: Vec<u8>,
    /// Valid from.
    pub(crate) start: OffsetDateTime,
    /// Valid until.
    pub(crate) end: OffsetDateTime,
}

impl Tenant {
    /// The tenant's id.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// `alpenglow.onmicrosoft.com` and the like.
    pub(crate) fn initial_domain(&self) -> &str {
        &self.initial_domain
    }

    /// Whether a path segment of an authority (id or a verified domain) names this tenant.
    pub(crate) fn is_named(&self, segment: &str) -> bool {
        segment.eq_ignore_ascii_case(&self.id) || self.is_verified_domain(segment)
    }

    /// Whether this is a verified domain of the tenant.
    pub(crate) fn is_verified_domain(&self, name: &str) -> bool {
        self.current(Kind::Domain, name)
            .is_some_and(|domain| domain.get("isVerified") == Some(&Value::Bool(true)))
    }

    /// The registration of an application, unless it is not replicated to sign-in yet.
    pub(crate) fn application_by_app_id(
        &self,
        app_id: &str,
        now: OffsetDateTime,
    ) -> Option<&Object> {
        self.settled(Kind::Application, now)
            .find(|application| text_of(application, "appId").eq_ignore_ascii_case(app_id))
    }

    /// The service principal of an application, likewise.
    pub(crate) fn service_principal_by_app_id(
        &self,
        app_id: &str,
        now: OffsetDateTime,
    ) -> Option<&Object> {
        self.settled(Kind::ServicePrincipal, now)
            .find(|principal| text_of(principal, "appId").eq_ignore_ascii_case(app_id))
    }

    /// The service principal that answers to a resource URI, an App ID URI or an app id. Slashes
    /// at the end do not count: the Azure CLI asks for `https://graph…//.default`.
    pub(crate) fn resource(&self, identifier: &str) -> Option<&Object> {
        let wanted = identifier.trim_end_matches('/');
        self.all(Kind::ServicePrincipal).find(|principal| {
            text_of(principal, "appId").eq_ignore_ascii_case(wanted)
                || items_of(principal, "servicePrincipalNames")
                    .iter()
                    .filter_map(Value::as_str)
                    .any(|name| name.trim_end_matches('/').eq_ignore_ascii_case(wanted))
        })
    }

    /// Makes Microsoft Graph's service principal answer to the address of this tenant too.
    pub(crate) fn serve_graph_at(&mut self, origin: &Url) {
        origin.as_str().clone_into(&mut self.graph_url);
        let name = origin.as_str().trim_end_matches('/').to_owned();
        let id = self
            .find(Kind::ServicePrincipal, "appId", GRAPH_APP_ID)
            .map(|graph| text_of(graph, "id").to_owned());
        self.amend(Kind::ServicePrincipal, &id.unwrap_or_default(), |graph| {
            let names = graph
                .entry("servicePrincipalNames")
                .or_insert_with(|| Value::Array(Vec::new()));
            if let Some(names) = names.as_array_mut()
                && !names.iter().any(|known| known == name.as_str())
            {
                names.push(Value::String(name));
            }
        });
    }

    /// The values of the application permissions of `resource_id` that `client_id` (object ids
    /// of service principals) holds in a token issued at `now`.
    pub(crate) fn granted_roles(
        &self,
        client_id: &str,
        resource_id: &str,
        now: OffsetDateTime,
    ) -> Vec<String> {
        let delay = self.replication.tokens;
        let assigned: Vec<&str> = self
            .rows(Kind::AppRoleAssignment)
            .into_iter()
            .flat_map(|rows| rows.values())
            .filter_map(|row| row.settled_after(now, delay))
            .filter(|assignment| {
                text_of(assignment, "principalId") == client_id
                    && text_of(assignment, "resourceId") == resource_id
            })
            .map(|assignment| text_of(assignment, "appRoleId"))
            .collect();
        let Some(resource) = self.current(Kind::ServicePrincipal, resource_id) else {
            return Vec::new();
        };
        let assigned: std::collections::HashSet<&str> = assigned.into_iter().collect();
        items_of(resource, "appRoles")
            .iter()
            .filter_map(Value::as_object)
            .filter(|role| {
                assigned.contains(text_of(role, "id"))
                    && role.get("isEnabled") == Some(&Value::Bool(true))
            })
            .map(|role| text_of(role, "value").to_owned())
            .filter(|value| !value.is_empty())
            .collect()
    }

    /// Compares a client secret with those of an application.
    pub(crate) fn check_secret(
        &self,
        app_id: &str,
        secret: &str,
        now: OffsetDateTime,
    ) -> SecretCheck {
        let digest = digest_of(secret);
        let mut answer = SecretCheck::Wrong;
        for credential in self.credentials_of(app_id, "passwordCredentials", now) {
            let key_id = text_of(credential, "keyId");
            if key_id.eq_ignore_ascii_case(secret) {
                answer = SecretCheck::IsKeyId;
            }
            let matches = self.secret_digests.get(key_id).is_some_and(|known| {
                constant_time::verify_slices_are_equal(known, &digest).is_ok()
            });
            if !matches {
                continue;
            }
            match parse_time(text_of(credential, "endDateTime")) {
                Some(end) if end <= now => answer = SecretCheck::Expired(end),
                _ => return SecretCheck::Valid,
            }
        }
        answer
    }

    /// The certificates that an application and its service principal have registered.
    pub(crate) fn signing_keys_of(&self, app_id: &str, now: OffsetDateTime) -> Vec<SigningKey> {
        self.credentials_of(app_id, "keyCredentials", now)
            .filter(|credential| text_of(credential, "usage") == "Verify")
            .filter_map(signing_key)
            .collect()
    }

    /// Keeps what is needed to recognise a client secret. Its text is not kept.
    pub(crate) fn remember_secret(&mut self, key_id: &str, secret: &Secret) {
        self.secret_digests
            .insert(key_id.to_owned(), digest_of(secret.expose()));
    }

    /// A user by name.
    pub(crate) fn find_user(&self, user_principal_name: &str) -> Option<&Object> {
        self.current(Kind::User, self.user_id(user_principal_name)?)
    }

    /// Gives a user a password.
    pub(crate) fn set_password(&mut self, user_id: &str, password: Secret) {
        self.passwords.insert(user_id.to_owned(), password);
    }

    /// Gives a user another password, which ends every session.
    pub(crate) fn change_password(&mut self, user_id: &str, password: Secret, now: OffsetDateTime) {
        self.set_password(user_id, password);
        self.revoke_sessions(user_id, now);
    }

    /// The user, if the name and the password are right.
    pub(crate) fn authenticate_user(
        &self,
        user_principal_name: &str,
        password: &Secret,
    ) -> Result<&Object, Refusal> {
        let user = self
            .find_user(user_principal_name)
            .ok_or_else(|| Refusal::user_not_found(user_principal_name, self.initial_domain()))?;
        if self.passwords.get(text_of(user, "id")) != Some(password) {
            return Err(Refusal::wrong_password());
        }
        if user.get("accountEnabled") != Some(&Value::Bool(true)) {
            return Err(Refusal::user_disabled());
        }
        Ok(user)
    }

    /// Ends every session of a user: refresh tokens and cookies of before count no more, nor do
    /// access tokens whose client understands claims challenges.
    pub(crate) fn revoke_sessions(&mut self, user_id: &str, now: OffsetDateTime) {
        let generation = self.session_generation(user_id) + 1;
        self.revocations
            .insert(user_id.to_owned(), (generation, now));
        self.access_revocations.insert(user_id.to_owned(), now);
        self.amend(Kind::User, user_id, |user| {
            let now = Value::String(timestamp(now));
            user.insert("signInSessionsValidFromDateTime".to_owned(), now);
        });
    }

    /// How often the sessions of a user were revoked. Times would not do: the clock may stand
    /// still between a sign-in and what revokes it.
    pub(crate) fn session_generation(&self, user_id: &str) -> u64 {
        self.revocations
            .get(user_id)
            .map_or(0, |(generation, _)| *generation)
    }

    /// When the sessions of this generation were revoked, if they were.
    pub(crate) fn revoked_since(&self, user_id: &str, generation: u64) -> Option<OffsetDateTime> {
        self.revocations
            .get(user_id)
            .filter(|(current, _)| *current != generation)
            .map(|(_, since)| *since)
    }

    fn settled(&self, kind: Kind, now: OffsetDateTime) -> impl Iterator<Item = &Object> {
        let delay = self.replication.objects;
        self.rows(kind)
            .into_iter()
            .flat_map(|rows| rows.values())
            .filter_map(move |row| row.settled_after(now, delay))
    }

    fn credentials_of<'a>(
        &'a self,
        app_id: &str,
        property: &'static str,
        now: OffsetDateTime,
    ) -> impl Iterator<Item = &'a Object> {
        self.application_by_app_id(app_id, now)
            .into_iter()
            .chain(self.service_principal_by_app_id(app_id, now))
            .flat_map(move |owner| items_of(owner, property))
            .filter_map(Value::as_object)
    }
}

/// What tokens are for that are exchanged for those of an application. They have version 2.0 (seen
/// in tokens of managed identities).
pub(crate) const TOKEN_EXCHANGE_APP_ID: &str = "fb60f99c-7a34-4190-8149-302f77469936";

/// Where an application keeps its federated identity credentials. The name is not that of a
/// property, so that no answer shows it.
pub(crate) const FEDERATED_CREDENTIALS: &str = "federatedIdentityCredentials";

/// Microsoft Graph.
pub(crate) const GRAPH_APP_ID: &str = "00000003-0000-0000-c000-000000000000";

fn digest_of(secret: &str) -> Vec<u8> {
    digest::digest(&digest::SHA256, secret.as_bytes())
        .as_ref()
        .to_vec()
}

fn signing_key(credential: &Object) -> Option<SigningKey> {
    let der = STANDARD.decode(text_of(credential, "key")).ok()?;
    Some(SigningKey {
        key_id: text_of(credential, "keyId").to_owned(),
        der,
        start: parse_time(text_of(credential, "startDateTime"))?,
        end: parse_time(text_of(credential, "endDateTime"))?,
    })
}
