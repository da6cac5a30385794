//! Continuous Access Evaluation: tokens that live for a day and end when their principal is
//! disabled, deleted or revoked.
//!
//! Microsoft Learn, "How to use Continuous Access Evaluation enabled APIs in your applications",
//! "Continuous access evaluation for workload identities", "Claims challenges, claims requests,
//! and client capabilities". A client that did not say that it understands challenges gets tokens
//! of an hour, which are accepted until they end.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use time::{Duration, OffsetDateTime};

use crate::access_token::LIFETIME;
use crate::claims_request::ClaimsRequest;
use crate::tenant::{GRAPH_APP_ID, Kind, Object, Tenant, text_of};

/// When the tokens of a principal were revoked last, by the object id of the user or service
/// principal.
pub(crate) type Revocations = HashMap<String, OffsetDateTime>;

/// How long a token lives and what it says of its client.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TokenTerms {
    /// In seconds, as `expires_in` says it.
    pub(crate) lifetime: i64,
    refresh_in: Option<i64>,
    /// `xms_cc`, where the client understands challenges.
    pub(crate) claims: Map<String, Value>,
}

impl TokenTerms {
    /// A day for a client that understands challenges, at a resource that issues them; otherwise
    /// an hour. Of the resources of this tenant that is Microsoft Graph.
    pub(crate) fn of(request: &ClaimsRequest, resource: &Object) -> Self {
        if !request.understands_challenges() || text_of(resource, "appId") != GRAPH_APP_ID {
            return Self {
                lifetime: LIFETIME,
                refresh_in: None,
                claims: Map::new(),
            };
        }
        Self {
            lifetime: LONG_LIFETIME,
            refresh_in: Some(LONG_LIFETIME / 2),
            claims: Map::from_iter([("xms_cc".to_owned(), json!(["cp1"]))]),
        }
    }

    /// The token response (RFC 6749 5.1) with Entra's `ext_expires_in` and, in long ones,
    /// `refresh_in`.
    pub(crate) fn response(&self, access_token: &str) -> Map<String, Value> {
        let mut response = Map::from_iter(
            [
                ("token_type", json!("Bearer")),
                ("expires_in", json!(self.lifetime)),
                ("ext_expires_in", json!(self.lifetime)),
                ("access_token", json!(access_token)),
            ]
            .map(|(name, value)| (name.to_owned(), value)),
        );
        if let Some(seconds) = self.refresh_in {
            response.insert("refresh_in".to_owned(), json!(seconds));
        }
        response
    }
}

/// What a resource has to know of a token to judge it.
#[derive(Debug)]
pub(crate) struct IssuedToken<'a> {
    /// The object id of the user, or of the service principal that acts for itself.
    pub(crate) subject: &'a str,
    /// Whether that is a user.
    pub(crate) is_user: bool,
    pub(crate) issued_at: OffsetDateTime,
    pub(crate) understands_challenges: bool,
}

impl Tenant {
    /// Revokes the tokens that a user or a service principal has; those issued from now on are
    /// accepted. Names it by object id, client id or user name.
    pub(crate) fn revoke_access(&mut self, principal: &str, now: OffsetDateTime) -> Option<()> {
        let user = self.user_id(principal).unwrap_or(principal);
        let found = self
            .current(Kind::User, user)
            .or_else(|| self.current(Kind::ServicePrincipal, principal))
            .or_else(|| self.find(Kind::ServicePrincipal, "appId", principal))?;
        let id = text_of(found, "id").to_owned();
        self.access_revocations.insert(id, now);
        Some(())
    }

    /// The second with which a token for this principal is stamped. After a revocation it is a
    /// later one, so that the two can be told apart while the clock stands.
    pub(crate) fn issue_time(&self, principal_id: &str, now: OffsetDateTime) -> OffsetDateTime {
        match self.access_revocations.get(principal_id) {
            Some(revoked) => now.max(*revoked + Duration::SECOND),
            None => now,
        }
    }

    /// The claims challenge with which a resource answers a token that is not accepted any more:
    /// JSON in base64. `None` where it is.
    pub(crate) fn claims_challenge(
        &self,
        token: &IssuedToken<'_>,
        now: OffsetDateTime,
    ) -> Option<String> {
        if !token.understands_challenges {
            return None;
        }
        let revoked = self.access_revocations.get(token.subject);
        let since = match revoked {
            Some(revoked) if token.issued_at.unix_timestamp() <= revoked.unix_timestamp() => {
                *revoked
            }
            _ if !self.is_enabled(token) => now,
            _ => return None,
        };
        let seconds = since.unix_timestamp().to_string();
        Some(challenge(&json!({
            "access_token": {"nbf": {"essential": true, "value": seconds}},
        })))
    }

    fn is_enabled(&self, token: &IssuedToken<'_>) -> bool {
        let kind = if token.is_user {
            Kind::User
        } else {
            Kind::ServicePrincipal
        };
        self.current(kind, token.subject)
            .is_some_and(|principal| principal.get("accountEnabled") != Some(&Value::Bool(false)))
    }
}

/// A claims request as a challenge carries it.
pub(crate) fn challenge(claims: &Value) -> String {
    STANDARD.encode(claims.to_string())
}

/// 24 hours: Learn has "up to 24 hours" for workload identities and "up to 28 hours" for users.
const LONG_LIFETIME: i64 = 86_399;

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;
    use crate::seed::Seed;

    const NOW: OffsetDateTime = datetime!(2026-01-01 00:00 UTC);

    fn token(subject: &str, issued_at: OffsetDateTime) -> IssuedToken<'_> {
        IssuedToken {
            subject,
            is_user: false,
            issued_at,
            understands_challenges: true,
        }
    }

    #[test]
    fn a_token_of_the_second_of_its_revocation_is_not_accepted_and_its_successor_is() {
        let (mut tenant, seeded) = Seed::new().build(NOW);
        let app_id = &seeded.apps[0].client_id;
        let principal = tenant.service_principal_by_app_id(app_id, NOW).unwrap();
        let id = text_of(principal, "id").to_owned();
        let first = tenant.issue_time(&id, NOW);
        assert_eq!(tenant.claims_challenge(&token(&id, first), NOW), None);
        tenant.revoke_access(app_id, NOW).unwrap();
        // `printf '{"access_token":{"nbf":{"essential":true,"value":"1767225600"}}}' | base64 -w0`
        assert_eq!(
            tenant.claims_challenge(&token(&id, first), NOW).as_deref(),
            Some(
                "eyJhY2Nlc3NfdG9rZW4iOnsibmJmIjp7ImVzc2VudGlhbCI6dHJ1ZSwidmFsdWUiOiIxNzY3MjI1NjAw\
                 In19fQ=="
            )
        );
        let second = tenant.issue_time(&id, NOW);
        assert_eq!(tenant.claims_challenge(&token(&id, second), NOW), None);
    }

    #[test]
    fn who_revokes_the_sessions_of_a_user_ends_the_access_tokens_too() {
        let (mut tenant, seeded) = Seed::new().build(NOW);
        let id = &seeded.users[0].object_id;
        let of_user = |issued_at| IssuedToken {
            is_user: true,
            ..token(id, issued_at)
        };
        let first = of_user(tenant.issue_time(id, NOW));
        assert_eq!(tenant.claims_challenge(&first, NOW), None);
        tenant.revoke_sessions(id, NOW);
        assert!(tenant.claims_challenge(&first, NOW).is_some());
        let second = of_user(tenant.issue_time(id, NOW));
        assert_eq!(tenant.claims_challenge(&second, NOW), None);
    }

    #[test]
    fn a_principal_is_named_by_any_of_its_ids_and_nobody_by_another() {
        let (mut tenant, seeded) = Seed::new().build(NOW);
        let user = &seeded.users[0];
        for name in [
            &user.object_id,
            &user.user_principal_name,
            &seeded.apps[0].client_id,
            &seeded.managed_identities[0].object_id,
        ] {
            assert_eq!(tenant.revoke_access(name, NOW), Some(()), "{name}");
        }
        assert_eq!(tenant.revoke_access("nobody", NOW), None);
    }
}
