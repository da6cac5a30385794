//! Several credentials of one application: which to try first, and what to try when it is refused.

use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use time::OffsetDateTime;

use crate::{ClientCredential, Error, RetryClass, TokenErrorKind};

/// The credentials of an application in the order in which to try them. There is at least one.
///
/// Where the sign-in service refuses one, the next is tried in the same call, so that a new
/// credential which is not known everywhere yet, or an old one that has just ended, costs nobody
/// a failure.
///
/// ```
/// use entra_core::{ClientCredential, ClientCredentials, ClientSecret};
///
/// let new = ClientCredential::secret(ClientSecret::parse("New8Q~value")?);
/// let old = ClientCredential::secret(ClientSecret::parse("Old8Q~value")?);
/// let both = ClientCredentials::new(new).or(old);
/// assert_eq!(both.iter().count(), 2);
/// # Ok::<(), entra_core::ClientSecretError>(())
/// ```
#[derive(Clone, Debug)]
pub struct ClientCredentials(Arc<[ClientCredential]>);

impl ClientCredentials {
    /// This credential alone.
    pub fn new(first: ClientCredential) -> Self {
        Self(Arc::new([first]))
    }

    /// And this one, if all before it are refused. One that is there already is not added.
    #[must_use]
    pub fn or(self, next: ClientCredential) -> Self {
        if self.0.contains(&next) {
            return self;
        }
        Self(self.0.iter().cloned().chain([next]).collect())
    }

    /// The credentials in their order.
    pub fn iter(&self) -> impl Iterator<Item = &ClientCredential> {
        self.0.iter()
    }

    /// Whether it has this credential.
    pub fn contains(&self, credential: &ClientCredential) -> bool {
        self.0.contains(credential)
    }
}

impl PartialEq for ClientCredentials {
    /// Two sets are equal if they hold the same credentials in the same order.
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for ClientCredentials {}

impl From<ClientCredential> for ClientCredentials {
    fn from(credential: ClientCredential) -> Self {
        Self::new(credential)
    }
}

/// Where the host keeps the credentials: a vault, a mounted file.
///
/// It is asked when the sign-in service refuses every credential that the client knows: another
/// process may have rotated them. What it returns replaces the client's credentials if it differs
/// from them.
#[async_trait]
pub trait CredentialSource: Debug + Send + Sync {
    /// The credentials as they are kept now.
    async fn load(&self) -> Result<ClientCredentials, Box<dyn std::error::Error + Send + Sync>>;
}

/// The credentials that a client works with.
#[derive(Debug)]
pub(crate) struct CredentialsInUse {
    pub(crate) set: ClientCredentials,
    /// Goes up with each replacement.
    pub(crate) generation: u64,
    preferred: Mutex<Preferred>,
}

/// Which one was accepted last, and until when the ones before it are passed over.
#[derive(Clone, Copy, Debug, Default)]
struct Preferred {
    index: usize,
    until: Duration,
}

impl CredentialsInUse {
    pub(crate) fn new(set: ClientCredentials, generation: u64) -> Self {
        Self {
            set,
            generation,
            preferred: Mutex::default(),
        }
    }

    /// All credentials, the one that was accepted last first. Certificates that are over come
    /// last: only the service's clock decides, so they are not left out.
    pub(crate) fn order(
        &self,
        monotonic: Duration,
        now: OffsetDateTime,
    ) -> Vec<(usize, &ClientCredential)> {
        let preferred = self.preferred(monotonic);
        let mut order: Vec<_> = self.set.iter().enumerate().collect();
        order.sort_by_key(|(index, credential)| {
            let is_over = credential.expires_on().is_some_and(|end| end < now);
            (is_over, *index != preferred, *index)
        });
        order
    }

    /// The credential that is tried first.
    pub(crate) fn first(&self, monotonic: Duration, now: OffsetDateTime) -> &ClientCredential {
        let first = self.order(monotonic, now).into_iter().next();
        #[expect(clippy::expect_used, reason = "a set holds at least one")]
        let (_, credential) = first.expect("a set of credentials is never empty");
        credential
    }

    /// The service accepted this one.
    pub(crate) fn accepted(&self, index: usize, monotonic: Duration) {
        let mut preferred = self
            .preferred
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if index != preferred.index || index != 0 && monotonic >= preferred.until {
            *preferred = Preferred {
                index,
                until: monotonic.saturating_add(FIRST_AGAIN),
            };
        }
    }

    fn preferred(&self, monotonic: Duration) -> usize {
        let preferred = *self
            .preferred
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if monotonic < preferred.until {
            preferred.index
        } else {
            0
        }
    }
}

/// Whether another credential may fare better.
pub(crate) fn is_credential_error(error: &Error) -> bool {
    match error {
        Error::Token(error) => {
            error.class() == RetryClass::Credential
                || matches!(
                    error.kind(),
                    TokenErrorKind::FederatedCredential | TokenErrorKind::CertificateNotAuthorized
                )
        }
        Error::Certificate(_) | Error::Credential(_) | Error::NotAvailable { .. } => true,
        _ => false,
    }
}

/// After this time the first credential is tried again: it may have become known everywhere.
const FIRST_AGAIN: Duration = Duration::from_secs(300);

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;
    use crate::ClientSecret;

    #[test]
    fn the_accepted_one_is_tried_first_for_five_minutes() {
        let secret = |text| ClientCredential::secret(ClientSecret::parse(text).unwrap());
        let set = ClientCredentials::new(secret("a"))
            .or(secret("b"))
            .or(secret("c"))
            .or(secret("b"));
        let in_use = CredentialsInUse::new(set, 0);
        let now = datetime!(2026-01-01 00:00 UTC);
        let order = |seconds| {
            let order = in_use.order(Duration::from_secs(seconds), now);
            order.iter().map(|(index, _)| *index).collect::<Vec<_>>()
        };
        assert_eq!(order(0), [0, 1, 2]);
        in_use.accepted(1, Duration::from_secs(10));
        assert_eq!(order(11), [1, 0, 2]);
        in_use.accepted(1, Duration::from_secs(200));
        assert_eq!(order(309), [1, 0, 2]);
        assert_eq!(order(310), [0, 1, 2]);
        in_use.accepted(1, Duration::from_secs(311));
        assert_eq!(order(610), [1, 0, 2]);
    }
}
