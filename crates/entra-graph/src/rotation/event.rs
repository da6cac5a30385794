//! What a rotation tells its host: the state of each credential, and what happened.

use std::fmt;
use std::sync::Arc;

use entra_core::{CredentialKind, Finding, error_chain};
use time::OffsetDateTime;
use uuid::Uuid;

use super::obstacle::Obstacle;
use super::record::{LeftoverKind, StoredCredential};
use crate::Error;

/// What a credential is to the product.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CredentialRole {
    /// It is the one that the product signs in with.
    InUse,
    /// It will be, once it is known everywhere.
    Successor,
    /// It was, still works, and will be removed.
    Retiring,
    /// It is not to be used: a rotation that came to no end made it, or it failed.
    Leftover,
}

/// The state of a credential, for a health page.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CredentialStatus {
    /// Its kind.
    pub kind: CredentialKind,
    /// What it is to the product.
    pub role: CredentialRole,
    /// How it is recognised, for people. Never the secret itself.
    pub name: String,
    /// The id within the app, as far as it is known.
    pub key_id: Option<Uuid>,
    /// Until when it is accepted, as far as that is known.
    pub expires_on: Option<OffsetDateTime>,
    /// From when on it gets a successor.
    pub renews_on: Option<OffsetDateTime>,
    /// Why it will not get one, as far as that can be foreseen.
    pub obstacle: Option<Obstacle>,
}

impl CredentialStatus {
    pub(super) fn of(stored: &StoredCredential, role: CredentialRole) -> Self {
        Self {
            kind: stored.kind(),
            role,
            name: stored.credential().describe(),
            key_id: stored.key_id,
            expires_on: stored.expires_on,
            renews_on: stored.renews_on(),
            obstacle: None,
        }
    }

    pub(super) fn of_leftover(leftover: &LeftoverKind) -> Self {
        let secret = CredentialKind::ClientSecret;
        let (kind, name, key_id, expires_on) = match leftover {
            LeftoverKind::SecretNamed(name) => (secret, format!("{secret} {name}"), None, None),
            LeftoverKind::Secret(key_id) => {
                let name = format!("{secret} with id {key_id}");
                (secret, name, Some(*key_id), None)
            }
            LeftoverKind::Certificate(certificate) => {
                let (subject, thumbprint) = (certificate.subject(), certificate.thumbprint_sha1());
                let name = format!("certificate {subject} with thumbprint {thumbprint}");
                let end = certificate.not_after();
                (CredentialKind::Certificate, name, None, Some(end))
            }
        };
        Self {
            kind,
            role: CredentialRole::Leftover,
            name,
            key_id,
            expires_on,
            renews_on: None,
            obstacle: None,
        }
    }

    /// The same as a finding of a connection test.
    ///
    /// A credential that renews itself is fine until its end comes nearer than the renewal should
    /// have let it; one that does not is a warning from sixty days before its end on.
    pub fn finding(&self, now: OffsetDateTime) -> Finding {
        let check = match self.role {
            CredentialRole::InUse => "credential renewal",
            CredentialRole::Successor => "credential renewal (successor)",
            CredentialRole::Retiring => "credential renewal (retiring)",
            CredentialRole::Leftover => "credential renewal (leftover)",
        };
        let Some(end) = self.expires_on else {
            return Finding::skipped(check, format!("{}: its end may not be read", self.name));
        };
        let days = (end - now).whole_days();
        let detail = format!("{} is valid until {} ({days} days)", self.name, end.date());
        if self.role != CredentialRole::InUse {
            return Finding::passed(check, detail);
        }
        let finding = if end <= now {
            Finding::failed(check, format!("{} expired on {}", self.name, end.date()))
        } else {
            match &self.obstacle {
                Some(_) if days < FIRST_WARNING => Finding::warning(check, detail),
                None if self.is_late(now) => Finding::warning(check, detail),
                _ => Finding::passed(check, detail),
            }
        };
        match &self.obstacle {
            Some(obstacle) => finding.with_remedy(obstacle.remedy()),
            None => finding,
        }
    }

    /// Whether half of the time in which it should have got a successor has passed.
    fn is_late(&self, now: OffsetDateTime) -> bool {
        match (self.renews_on, self.expires_on) {
            (Some(renews_on), Some(end)) => now - renews_on > (end - renews_on) / 2,
            _ => false,
        }
    }
}

/// What happened to the credentials. `Display` says it to people.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum RotationEvent {
    /// The credential in use ends soon. It is told once for each of 60, 30, 14, 7 and 1 days, also
    /// after a restart.
    Expiring {
        /// The credential.
        credential: CredentialStatus,
        /// Which of the numbers of days it is.
        days: u16,
    },
    /// The credential in use has ended.
    Expired {
        /// The credential.
        credential: CredentialStatus,
    },
    /// A successor took over. The old one works on for a while.
    Rotated {
        /// The one that was replaced.
        old: CredentialStatus,
        /// The one in use from now on.
        new: CredentialStatus,
    },
    /// The credential in use is not accepted any more, and the one before it took its place again:
    /// somebody removed the new one. The next look renews the restored one.
    FellBack {
        /// The one that is not accepted.
        failed: CredentialStatus,
        /// The one in use from now on.
        restored: CredentialStatus,
    },
    /// A credential that was replaced is removed.
    Removed {
        /// The credential.
        credential: CredentialStatus,
    },
    /// A credential that was replaced could not be removed, and an administrator has to. It is
    /// told once; the removal is tried again each day until the credential ends. What a rotation
    /// made in vain is told after two days of trying, and not tried again.
    Left {
        /// The credential.
        credential: CredentialStatus,
        /// Why.
        obstacle: Obstacle,
    },
    /// A look failed, and will be repeated. The credential that was in use still is.
    Failed {
        /// Why.
        error: Arc<Error>,
    },
    /// The app cannot renew its credential, and an administrator has to act before the credential
    /// ends. It is told once per obstacle, and again at 60, 30, 14, 7 and 1 days.
    CannotRotate {
        /// The credential: its `expires_on` is by when.
        credential: CredentialStatus,
        /// Why, with the [steps](Obstacle::remedy).
        obstacle: Obstacle,
    },
}

impl fmt::Display for RotationEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expiring { credential, .. } => {
                write!(
                    f,
                    "{} ends on {}",
                    credential.name,
                    Date(credential.expires_on)
                )
            }
            Self::Expired { credential } => {
                write!(
                    f,
                    "{} ended on {}",
                    credential.name,
                    Date(credential.expires_on)
                )
            }
            Self::Rotated { old, new } => write!(
                f,
                "{} took over from {} and is valid until {}",
                new.name,
                old.name,
                Date(new.expires_on)
            ),
            Self::FellBack { failed, restored } => write!(
                f,
                "{} is not accepted any more; {} is in use again",
                failed.name, restored.name
            ),
            Self::Removed { credential } => write!(f, "{} was removed", credential.name),
            Self::Left {
                credential,
                obstacle,
            } => write!(
                f,
                "{} is not in use and stays: {obstacle}. {}",
                credential.name,
                obstacle.remedy()
            ),
            Self::Failed { error } => write!(
                f,
                "the credentials could not be looked after: {}. {}",
                error_chain(error.as_ref()),
                error.admin_hint()
            ),
            Self::CannotRotate {
                credential,
                obstacle,
            } => write!(
                f,
                "{} ends on {} and cannot be renewed: {obstacle}. {}",
                credential.name,
                Date(credential.expires_on),
                obstacle.remedy()
            ),
        }
    }
}

/// A date, for people.
struct Date(Option<OffsetDateTime>);

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(end) => write!(f, "{}", end.date()),
            None => f.write_str("a day that may not be read"),
        }
    }
}

/// The days before the end at which to warn; zero is the end.
pub(super) const THRESHOLDS: [u16; 6] = [60, 30, 14, 7, 1, 0];
const FIRST_WARNING: i64 = 60;

/// The threshold that a credential has reached.
pub(super) fn threshold(end: OffsetDateTime, now: OffsetDateTime) -> Option<u16> {
    let left = end - now;
    THRESHOLDS
        .into_iter()
        .filter(|days| left <= time::Duration::days(i64::from(*days)))
        .min()
}

#[cfg(test)]
mod tests {
    use entra_core::{ClientSecret, Outcome};
    use time::macros::datetime;

    use super::*;

    const END: OffsetDateTime = datetime!(2026-07-01 00:00 UTC);

    #[test]
    fn a_threshold_is_reached_to_the_day() {
        for (days, expected) in [
            (61, None),
            (60, Some(60)),
            (31, Some(60)),
            (30, Some(30)),
            (8, Some(14)),
            (7, Some(7)),
            (2, Some(7)),
            (1, Some(1)),
            (0, Some(0)),
            (-5, Some(0)),
        ] {
            let now = END - time::Duration::days(days);
            assert_eq!(threshold(END, now), expected, "{days}");
        }
    }

    #[test]
    fn an_administrator_reads_by_when_to_do_what() {
        let secret = ClientSecret::parse("canary~secret").unwrap();
        let stored = StoredCredential::secret(secret).with_end(END);
        let event = RotationEvent::CannotRotate {
            credential: CredentialStatus::of(&stored, CredentialRole::InUse),
            obstacle: Obstacle::NotOwner,
        };
        // `printf %s 'canary~secret' | sha256sum`
        assert_eq!(
            event.to_string(),
            "client secret with fingerprint 33357e2b ends on 2026-07-01 and cannot be renewed: the \
             app may change registrations that it owns, and does not own its own. Make the app's \
             service principal an owner of its registration, by applying the blueprint again or \
             with az ad app owner add; or, each time, make a new credential under App \
             registrations > Certificates & secrets, and enter it in the product."
        );
        assert!(!format!("{event:?}").contains("canary"));
    }

    #[test]
    fn a_finding_warns_where_nobody_renews() {
        let secret = ClientSecret::parse("canary~secret").unwrap();
        let stored = StoredCredential::secret(secret);
        let mut status = CredentialStatus::of(&stored, CredentialRole::InUse);
        let outcome = |status: &CredentialStatus, days| {
            let finding = status.finding(END - time::Duration::days(days));
            (finding.outcome, finding.remedy.is_some())
        };
        assert_eq!(outcome(&status, 1), (Outcome::Skipped, false));
        status.expires_on = Some(END);
        status.renews_on = Some(END - time::Duration::days(30));
        assert_eq!(outcome(&status, 16), (Outcome::Passed, false));
        assert_eq!(outcome(&status, 14), (Outcome::Warning, false));
        status.obstacle = Some(Obstacle::NotOwner);
        assert_eq!(outcome(&status, 61), (Outcome::Passed, true));
        assert_eq!(outcome(&status, 59), (Outcome::Warning, true));
        assert_eq!(outcome(&status, 0), (Outcome::Failed, true));
    }
}
