//! What app management policies allow an application or a service principal (Learn, "Microsoft
//! Entra application management policies API overview": who has a policy of its own does not
//! inherit from the tenant's).

use serde_json::Value;
use time::{Duration, OffsetDateTime};

use super::error::GraphError;
use crate::tenant::{Kind, Link, Object, Tenant, parse_time, text_of};

/// The policy that holds for one application or service principal.
#[derive(Debug)]
pub(crate) struct AppPolicy<'a> {
    policy: Option<&'a Object>,
    /// What it says of credentials.
    credentials: Option<&'a Value>,
    /// What it says of applications alone.
    application: Option<&'a Value>,
    owner: &'a Object,
}

impl<'a> AppPolicy<'a> {
    /// The policy of its own, or else the tenant's, as far as it is enabled. Of the tenant's
    /// restrictions those for service principals are apart (Learn, "tenantAppManagementPolicy
    /// resource type").
    pub(crate) fn of(tenant: &'a Tenant, kind: Kind, owner: &'a Object) -> Self {
        let own = tenant
            .first_link(text_of(owner, "id"), Link::AppManagementPolicy)
            .and_then(|id| tenant.current(Kind::AppManagementPolicy, id));
        let policy = own
            .or_else(|| tenant.all(Kind::TenantAppManagementPolicy).next())
            .filter(|policy| policy.get("isEnabled") == Some(&Value::Bool(true)));
        let property = match (own, kind) {
            (Some(_), _) => "restrictions",
            (None, Kind::ServicePrincipal) => "servicePrincipalRestrictions",
            (None, _) => "applicationRestrictions",
        };
        let credentials = policy.and_then(|policy| policy.get(property));
        let application = match own {
            Some(_) => credentials.and_then(|own| own.get("applicationRestrictions")),
            None => credentials,
        };
        Self {
            policy,
            credentials,
            application,
            owner,
        }
    }

    /// The policy's id, for messages.
    pub(crate) fn id(&self) -> &str {
        self.policy
            .map(|policy| text_of(policy, "id"))
            .unwrap_or_default()
    }

    /// Whether other App ID URIs than the default forms may be added. Applications that receive
    /// tokens of version 2.0 are exempt where the policy says so.
    pub(crate) fn allows_identifier_uri(&self) -> bool {
        let Some(restriction) = self
            .application
            .and_then(|restrictions| restrictions.get("identifierUris"))
            .and_then(|uris| uris.get("nonDefaultUriAddition"))
            .filter(|restriction| self.applies(restriction))
        else {
            return true;
        };
        let api = self.owner.get("api");
        let version = api.and_then(|api| api.get("requestedAccessTokenVersion"));
        let gets_v2 = version.and_then(Value::as_i64) == Some(2);
        gets_v2 && restriction.get("excludeAppsReceivingV2Tokens") == Some(&Value::Bool(true))
    }

    /// Refuses a client secret that the policy forbids.
    pub(crate) fn check_password(
        &self,
        start: OffsetDateTime,
        end: OffsetDateTime,
    ) -> Result<(), GraphError> {
        for restriction in self.restrictions("passwordCredentials") {
            match restriction.get("restrictionType").and_then(Value::as_str) {
                Some("passwordAddition") => {
                    return Err(GraphError::new(
                        http::StatusCode::BAD_REQUEST,
                        "CredentialTypeNotAllowedAsPerAppPolicy",
                        format!(
                            "Credential type not allowed as per assigned policy '{}'.",
                            self.id()
                        ),
                    ));
                }
                Some("passwordLifetime") => self.check_lifetime(restriction, end - start)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// Refuses a certificate that lives longer than the policy allows.
    pub(crate) fn check_certificate(
        &self,
        start: OffsetDateTime,
        end: OffsetDateTime,
    ) -> Result<(), GraphError> {
        self.restrictions("keyCredentials")
            .filter(|restriction| {
                restriction.get("restrictionType").and_then(Value::as_str)
                    == Some("asymmetricKeyLifetime")
            })
            .try_for_each(|restriction| self.check_lifetime(restriction, end - start))
    }

    fn check_lifetime(&self, restriction: &Value, lifetime: Duration) -> Result<(), GraphError> {
        let longest = restriction
            .get("maxLifetime")
            .and_then(Value::as_str)
            .and_then(parse_duration);
        match longest {
            Some(longest) if lifetime > longest => Err(GraphError::new(
                http::StatusCode::BAD_REQUEST,
                "CredentialInvalidLifetimeAsPerAppPolicy",
                format!(
                    "Credential lifetime exceeds the max value allowed as per assigned policy \
                     '{}'.",
                    self.id()
                ),
            )),
            _ => Ok(()),
        }
    }

    fn restrictions(&self, property: &str) -> impl Iterator<Item = &'a Value> {
        self.credentials
            .and_then(|restrictions| restrictions.get(property))
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter(|restriction| self.applies(restriction))
    }

    /// A restriction may spare applications that were made before a date.
    fn applies(&self, restriction: &Value) -> bool {
        let enabled = restriction.get("state").and_then(Value::as_str) == Some("enabled");
        let since = restriction
            .get("restrictForAppsCreatedAfterDateTime")
            .and_then(Value::as_str)
            .and_then(parse_time);
        let created = parse_time(text_of(self.owner, "createdDateTime"));
        let spared = matches!((since, created), (Some(since), Some(created)) if created < since);
        enabled && !spared
    }
}

/// An ISO 8601 duration; a year has 365 days and a month 30.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    let mut total = Duration::ZERO;
    let mut number = String::new();
    let mut in_time = false;
    for c in text.strip_prefix('P')?.chars() {
        let unit = match (c, in_time) {
            ('T', false) => {
                in_time = true;
                continue;
            }
            (c, _) if c.is_ascii_digit() => {
                number.push(c);
                continue;
            }
            ('Y', false) => Duration::days(365),
            ('M', false) => Duration::days(30),
            ('W', false) => Duration::days(7),
            ('D', false) => Duration::days(1),
            ('H', true) => Duration::hours(1),
            ('M', true) => Duration::minutes(1),
            ('S', true) => Duration::seconds(1),
            _ => return None,
        };
        let count: i32 = std::mem::take(&mut number).parse().ok()?;
        total = total.saturating_add(unit.saturating_mul(count));
    }
    number.is_empty().then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_iso_8601_writes_them() {
        for (text, expected) in [
            ("P90D", Some(Duration::days(90))),
            ("P4DT12H30M5S", Some(Duration::seconds(390_605))),
            ("P1Y6M", Some(Duration::days(545))),
            ("PT", Some(Duration::ZERO)),
            ("90D", None),
            ("P90", None),
            ("PT1D", None),
        ] {
            assert_eq!(parse_duration(text), expected, "{text}");
        }
    }
}
