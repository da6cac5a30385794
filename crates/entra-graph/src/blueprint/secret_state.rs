//! Which of an application's client secrets are the product's, and which were lost on the way.
//!
//! Graph shows the value of a secret once. Issuing one is therefore announced first, by a tag of
//! the registration that stands from before Graph makes the secret until the product has stored
//! it: a secret whose announcement still stands may be lost, any other one of the declared name
//! has reached somebody, the administrator who made it by hand among them.

use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::SecretDeclaration;
use crate::{Application, PasswordCredential};

/// The product's client secrets, as a registration shows them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct SecretState {
    /// The one that lasts longest, if it does not end soon.
    pub(super) kept: Option<PasswordCredential>,
    /// Those that are being issued, or whose issue was interrupted.
    pub(super) announced: Vec<Announced>,
}

impl SecretState {
    pub(super) fn of(
        application: Option<&Application>,
        declared: &SecretDeclaration,
        now: OffsetDateTime,
    ) -> Self {
        let Some(application) = application else {
            return Self::default();
        };
        let secrets = application
            .password_credentials
            .as_deref()
            .unwrap_or_default();
        let tags = application.tags.as_deref().unwrap_or_default();
        let announced: Vec<Announced> = tags
            .iter()
            .filter_map(|tag| Announcement::parse(tag))
            .map(|announcement| {
                let name = announcement.secret_name(&declared.name);
                let secret = secrets
                    .iter()
                    .find(|secret| secret.display_name.as_ref() == Some(&name));
                Announced {
                    key_id: secret.and_then(|secret| secret.key_id),
                    announcement,
                }
            })
            .collect();
        let needed_until = now.saturating_add(declared.renewal_margin());
        let kept = secrets
            .iter()
            .filter(|secret| declared.is_named_in(secret))
            .filter(|secret| !announced.iter().any(|found| found.key_id == secret.key_id))
            .filter(|secret| secret.end_date_time.is_none_or(|end| end > needed_until))
            .max_by_key(|secret| secret.end_date_time)
            .cloned();
        Self { kept, announced }
    }
}

/// An announcement, and the secret that was made under it, if Graph got that far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Announced {
    pub(super) announcement: Announcement,
    pub(super) key_id: Option<Uuid>,
}

/// Says that a client secret is being issued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Announcement {
    nonce: String,
    at: i64,
}

impl Announcement {
    pub(super) fn new(now: OffsetDateTime) -> Self {
        let nonce: String = Uuid::new_v4()
            .simple()
            .to_string()
            .chars()
            .take(8)
            .collect();
        Self {
            nonce,
            at: now.unix_timestamp(),
        }
    }

    /// The tag of the registration.
    pub(super) fn tag(&self) -> String {
        format!("{TAG}:{}:{}", self.nonce, self.at)
    }

    fn parse(tag: &str) -> Option<Self> {
        let (nonce, at) = tag.strip_prefix(TAG)?.strip_prefix(':')?.split_once(':')?;
        Some(Self {
            nonce: nonce.to_owned(),
            at: at.parse().ok()?,
        })
    }

    /// The name of the secret that is made under it, as the portal lists it.
    pub(super) fn secret_name(&self, name: &str) -> String {
        format!("{name} ({})", self.nonce)
    }

    /// How long whoever announced it may still be at it.
    pub(super) fn time_left(&self, now: OffsetDateTime) -> std::time::Duration {
        let left = self.at.saturating_add(GRACE.whole_seconds()) - now.unix_timestamp();
        // A clock that is wrong must not make anybody wait for longer.
        let left = left.clamp(0, GRACE.whole_seconds());
        std::time::Duration::from_secs(left.unsigned_abs())
    }
}

impl SecretDeclaration {
    /// Whether a secret has the declared name, with or without the addition of an announcement.
    fn is_named_in(&self, secret: &PasswordCredential) -> bool {
        let rest = secret
            .display_name
            .as_deref()
            .and_then(|name| name.strip_prefix(&*self.name));
        rest.is_some_and(|rest| {
            rest.is_empty() || (rest.starts_with(" (") && rest.len() == 11 && rest.ends_with(')'))
        })
    }

    /// How long before its end a secret gets a successor: thirty days, or a third of a short life.
    pub(super) fn renewal_margin(&self) -> Duration {
        Duration::days(30).min(self.lifetime / 3)
    }
}

const TAG: &str = "EntraSdkIssuingSecret";
/// As long as the step of another apply may take.
const GRACE: Duration = Duration::minutes(2);

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-01-01 00:00 UTC);

    #[test]
    fn a_secret_under_an_announcement_may_be_lost_and_any_other_was_kept() {
        let announcement = Announcement {
            nonce: "0a1b2c3d".to_owned(),
            at: NOW.unix_timestamp(),
        };
        let application = Application {
            tags: Some(vec!["another".to_owned(), announcement.tag()]),
            password_credentials: Some(vec![
                secret(1, "Name", 90),
                secret(2, "Name (0a1b2c3d)", 365),
                secret(3, "Name (ffffffff)", 100),
                secret(4, "Another name", 200),
                secret(5, "Name (of another kind)", 300),
            ]),
            ..Application::default()
        };
        let state = SecretState::of(Some(&application), &declared(), NOW);
        assert_eq!(
            state.kept.and_then(|kept| kept.key_id),
            Some(Uuid::from_u128(3))
        );
        assert_eq!(
            state.announced,
            [Announced {
                announcement,
                key_id: Some(Uuid::from_u128(2)),
            }]
        );
    }

    #[test]
    fn a_secret_that_ends_soon_does_not_count() {
        for (days, is_kept) in [(31, true), (30, false), (-1, false)] {
            let application = Application {
                password_credentials: Some(vec![secret(1, "Name", days)]),
                ..Application::default()
            };
            let state = SecretState::of(Some(&application), &declared(), NOW);
            assert_eq!(state.kept.is_some(), is_kept, "{days} days");
        }
    }

    #[test]
    fn nobody_is_waited_for_longer_than_the_grace() {
        let at = |seconds| Announcement {
            nonce: "0a1b2c3d".to_owned(),
            at: NOW.unix_timestamp() + seconds,
        };
        for (seconds, left) in [(0, 120), (-100, 20), (-120, 0), (-9999, 0), (9999, 120)] {
            assert_eq!(at(seconds).time_left(NOW).as_secs(), left);
        }
    }

    fn declared() -> SecretDeclaration {
        SecretDeclaration {
            name: "Name".to_owned(),
            lifetime: Duration::days(365),
        }
    }

    fn secret(id: u128, name: &str, days: i64) -> PasswordCredential {
        PasswordCredential {
            key_id: Some(Uuid::from_u128(id)),
            display_name: Some(name.to_owned()),
            end_date_time: Some(NOW + Duration::days(days)),
            ..PasswordCredential::default()
        }
    }
}
