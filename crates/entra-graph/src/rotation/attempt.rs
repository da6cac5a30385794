//! Which successors to try, in which order: what the tenant's policy allows comes first.

use entra_core::CredentialKind;
use time::{Duration, OffsetDateTime};

use super::obstacle::Obstacle;
use crate::{AppManagementPolicy, CredentialRestriction, RestrictionType};

/// A successor to try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Attempt {
    pub(super) kind: CredentialKind,
    pub(super) lifetime: Duration,
}

/// What is wanted, policies aside.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    pub(super) kind: CredentialKind,
    pub(super) secret_lifetime: Duration,
    pub(super) certificate_lifetime: Duration,
}

impl Wanted {
    /// The wanted kind with the longest lifetime that the policy allows, then shorter ones, since
    /// not every policy may be read; a certificate where secrets are forbidden.
    pub(super) fn attempts(
        self,
        policy: Option<&AppManagementPolicy>,
        created: OffsetDateTime,
    ) -> Result<Vec<Attempt>, Obstacle> {
        let kinds = [CredentialKind::ClientSecret, CredentialKind::Certificate];
        let kinds = kinds.iter().skip_while(|kind| **kind != self.kind);
        let mut attempts = Vec::new();
        let mut refused = None;
        for kind in kinds {
            match self.lifetimes(*kind, policy, created) {
                Ok(lifetimes) => attempts.extend(lifetimes.into_iter().map(|lifetime| Attempt {
                    kind: *kind,
                    lifetime,
                })),
                Err(obstacle) => refused = Some(obstacle),
            }
        }
        match refused {
            Some(obstacle) if attempts.is_empty() => Err(obstacle),
            _ => Ok(attempts),
        }
    }

    fn lifetimes(
        self,
        kind: CredentialKind,
        policy: Option<&AppManagementPolicy>,
        created: OffsetDateTime,
    ) -> Result<Vec<Duration>, Obstacle> {
        let is_secret = kind == CredentialKind::ClientSecret;
        let restrictions: Vec<&CredentialRestriction> = match policy {
            None => Vec::new(),
            Some(policy) if is_secret => policy.password_restrictions(created).collect(),
            Some(policy) => policy.key_restrictions(created).collect(),
        };
        let is = |restriction: &&&CredentialRestriction, of: &RestrictionType| {
            restriction.restriction_type.as_ref() == Some(of)
        };
        let has = |of: &RestrictionType| restrictions.iter().any(|found| is(&found, of));
        if is_secret && has(&RestrictionType::PasswordAddition) {
            return Err(Obstacle::Forbidden { kind });
        }
        if !is_secret && has(&RestrictionType::TrustedCertificateAuthority) {
            return Err(Obstacle::TrustedAuthority);
        }
        let (wanted, limit) = if is_secret {
            (self.secret_lifetime, RestrictionType::PasswordLifetime)
        } else {
            (
                self.certificate_lifetime,
                RestrictionType::AsymmetricKeyLifetime,
            )
        };
        let allowed = restrictions
            .iter()
            .filter(|found| is(found, &limit))
            .filter_map(|found| found.max_lifetime)
            .map(|lifetime| lifetime.as_duration())
            .min();
        let longest = allowed.map_or(wanted, |allowed| wanted.min(allowed - CLOCKS_DIFFER));
        if longest < SHORTEST {
            return Err(Obstacle::Lifetime { kind, allowed });
        }
        let shorter = SHORTER.into_iter().filter(|lifetime| *lifetime < longest);
        Ok(std::iter::once(longest).chain(shorter).collect())
    }
}

/// Entra counts from its own now, and from a certificate's first moment.
const CLOCKS_DIFFER: Duration = Duration::HOUR;
/// What lives for less could end between two daily looks.
const SHORTEST: Duration = Duration::days(4);
/// What policies commonly allow, in place of what one that may not be read refused.
const SHORTER: [Duration; 4] = [
    Duration::days(179),
    Duration::days(89),
    Duration::days(29),
    Duration::days(6),
];

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const CREATED: OffsetDateTime = datetime!(2026-01-01 00:00 UTC);

    fn attempts(
        kind: CredentialKind,
        policy: &str,
    ) -> Result<Vec<(CredentialKind, i64)>, Obstacle> {
        let wanted = Wanted {
            kind,
            secret_lifetime: Duration::days(180),
            certificate_lifetime: Duration::days(365),
        };
        let policy = (!policy.is_empty()).then(|| serde_json::from_str(policy).unwrap());
        let attempts = wanted.attempts(policy.as_ref(), CREATED)?;
        Ok(attempts
            .into_iter()
            .map(|attempt| (attempt.kind, attempt.lifetime.whole_hours()))
            .collect())
    }

    #[test]
    fn without_a_policy_the_wanted_lifetime_comes_first_and_shorter_ones_after() {
        let found = attempts(CredentialKind::ClientSecret, "").unwrap();
        let secret = |days: i64| (CredentialKind::ClientSecret, days * 24);
        let certificate = |days: i64| (CredentialKind::Certificate, days * 24);
        assert_eq!(
            found,
            [
                secret(180),
                secret(179),
                secret(89),
                secret(29),
                secret(6),
                certificate(365),
                certificate(179),
                certificate(89),
                certificate(29),
                certificate(6)
            ]
        );
    }

    #[test]
    fn a_limit_is_kept_with_an_hour_to_spare() {
        let policy = r#"{"isEnabled":true,"applicationRestrictions":{"keyCredentials":[
            {"restrictionType":"asymmetricKeyLifetime","state":"enabled","maxLifetime":"P90D"}]}}"#;
        let found = attempts(CredentialKind::Certificate, policy).unwrap();
        assert_eq!(
            found.first(),
            Some(&(CredentialKind::Certificate, 90 * 24 - 1))
        );
    }

    #[test]
    fn where_secrets_are_forbidden_a_certificate_is_next() {
        let policy = r#"{"isEnabled":true,"applicationRestrictions":{"passwordCredentials":[
            {"restrictionType":"passwordAddition","state":"enabled"}]}}"#;
        let found = attempts(CredentialKind::ClientSecret, policy).unwrap();
        assert_eq!(
            found.first(),
            Some(&(CredentialKind::Certificate, 365 * 24))
        );
    }

    #[test]
    fn what_no_policy_allows_is_an_obstacle() {
        let trusted = r#"{"isEnabled":true,"applicationRestrictions":{"keyCredentials":[
            {"restrictionType":"trustedCertificateAuthority","state":"enabled"}]}}"#;
        assert_eq!(
            attempts(CredentialKind::Certificate, trusted),
            Err(Obstacle::TrustedAuthority)
        );
        let short = r#"{"isEnabled":true,"applicationRestrictions":{"keyCredentials":[
            {"restrictionType":"asymmetricKeyLifetime","state":"enabled","maxLifetime":"P2D"}]}}"#;
        assert_eq!(
            attempts(CredentialKind::Certificate, short),
            Err(Obstacle::Lifetime {
                kind: CredentialKind::Certificate,
                allowed: Some(Duration::days(2))
            })
        );
    }
}
