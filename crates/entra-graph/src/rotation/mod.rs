//! Credentials that never expire in a customer's face: watched, renewed with overlap, replaced.

mod aftercare;
mod attempt;
mod event;
mod obstacle;
mod own_application;
mod pass;
mod record;
mod record_document;
mod renewal;
mod vault;

pub use event::{CredentialRole, CredentialStatus, RotationEvent};
pub use obstacle::Obstacle;
pub use record::{CredentialRecord, StoredCredential};
pub use record_document::RecordError;
pub use vault::{CredentialVault, Kept, MemoryVault, VaultError, VaultSource};

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use entra_core::{
    CertificateOptions, ConfidentialClient, CredentialKind, Finding, Probe, error_chain, work_until,
};
use time::{Duration, OffsetDateTime};
use tokio::sync::Mutex;
use uuid::Uuid;

use self::pass::Pass;
use crate::blueprint::DEFAULT_SECRET_NAME;
use crate::{Error, GraphClient};

/// Looks after the credentials of one app: warns before they end, renews them, and removes the
/// old ones.
///
/// ```no_run
/// # use std::sync::Arc;
/// # use entra_core::{Authority, ClientId, ConfidentialClient, Pipeline};
/// use entra_graph::{CredentialVault, Rotation, VaultSource};
///
/// # async fn f(authority: Authority, client_id: ClientId, pipeline: Pipeline, vault: Arc<dyn CredentialVault>,
/// #     shutdown: impl Future<Output = ()> + Send + 'static) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
/// let credentials = vault.load().await?.record.credentials();
/// let client = ConfidentialClient::new(authority, client_id, credentials, pipeline)?
///     .with_credential_source(Arc::new(VaultSource::new(Arc::clone(&vault))));
///
/// let rotation = Rotation::new(client.clone(), vault)
///     .to_certificate() // begin with a pasted secret, end with a certificate
///     .on_event(|event| println!("{event}"));
/// tokio::spawn(async move { rotation.run(shutdown).await });
/// # Ok(()) }
/// ```
///
/// # What it needs
///
/// To renew a client secret, or to replace one by a certificate, the app has the permission
/// `Application.ReadWrite.OwnedBy` and owns itself:
/// [`Blueprint::with_self_rotation`](crate::Blueprint::with_self_rotation). To renew a certificate
/// it needs nothing: the old one proves who asks for the new one. Where the tenant's policy may be
/// read (`Policy.Read.All`) the lifetime is chosen to fit; else shorter ones are tried in turn. What
/// only an administrator can do is told by [`RotationEvent::CannotRotate`], with the steps.
///
/// # What holds
///
/// * At each moment there is a credential in the vault that works. A successor is used once Entra
///   has accepted it five times in a row; if it never does, it is removed and the old one stays.
///   Before the old one is removed the new one is tried once more, and if it is refused several
///   times in a row the old one is in use again, until the next look renews it.
/// * It may be killed at any moment. What it is about to do is in the [vault](CredentialVault)
///   before it is done, and the next look ends it, or takes it back. What was made and lost on the
///   way is known by a name that was announced before: what an administrator made is not touched.
/// * Of several processes one renews. The others find the successor in the vault, at their next
///   look, or at once when they are refused: [`VaultSource`].
/// * All times are Entra's, as its answers tell them: a clock that is wrong renews nothing too
///   early.
pub struct Rotation {
    client: ConfidentialClient,
    vault: Arc<dyn CredentialVault>,
    target: Option<CredentialKind>,
    secret_name: String,
    secret_lifetime: Duration,
    certificate: Option<CertificateOptions>,
    grace: Duration,
    listener: Option<Arc<Listener>>,
    /// This process, in the vault.
    holder: Uuid,
    turn: Mutex<()>,
}

type Listener = dyn Fn(&RotationEvent) + Send + Sync;

impl Rotation {
    /// Looks after the credentials in the vault, which `client` signs in with: it and its clones
    /// are given each successor. A credential is renewed by one of its kind.
    pub fn new(client: ConfidentialClient, vault: Arc<dyn CredentialVault>) -> Self {
        Self {
            client,
            vault,
            target: None,
            secret_name: DEFAULT_SECRET_NAME.to_owned(),
            secret_lifetime: Duration::days(180),
            certificate: None,
            grace: Duration::days(2),
            listener: None,
            holder: Uuid::new_v4(),
            turn: Mutex::default(),
        }
    }

    /// Replaces a client secret by a certificate, at the first look. Its key is made here and
    /// never leaves the vault. The secret is removed in the end.
    #[must_use]
    pub fn to_certificate(mut self) -> Self {
        self.target = Some(CredentialKind::Certificate);
        self
    }

    /// Makes client secrets that live for this long; 180 days by default.
    #[must_use]
    pub fn with_secret_lifetime(mut self, lifetime: Duration) -> Self {
        self.secret_lifetime = lifetime;
        self
    }

    /// Gives client secrets this name, as the portal lists them. It should be that of
    /// [`Blueprint::with_named_secret`](crate::Blueprint::with_named_secret), so that an apply
    /// knows them again; the default is the same.
    #[must_use]
    pub fn with_secret_name(mut self, name: impl Into<String>) -> Self {
        self.secret_name = name.into();
        self
    }

    /// Makes certificates that look like this. By default they live for a year, and have the name
    /// of the one before them, or the client id.
    #[must_use]
    pub fn with_certificate(mut self, options: CertificateOptions) -> Self {
        self.certificate = Some(options);
        self
    }

    /// Keeps what was replaced for this long; two days by default. Other processes that sign in
    /// with it have that time to notice: longer than from one look to the next.
    #[must_use]
    pub fn with_grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Tells this function what happens. It is called within the look, so it should not take long.
    #[must_use]
    pub fn on_event(mut self, listener: impl Fn(&RotationEvent) + Send + Sync + 'static) -> Self {
        self.listener = Some(Arc::new(listener));
        self
    }

    /// Looks once a day, and does what is due, until `shutdown` ends. The host spawns it.
    ///
    /// After a failure it looks again a minute later, then after twice the time, or when the
    /// service asked to be asked again, up to six hours.
    pub async fn run(&self, shutdown: impl Future<Output = ()> + Send) {
        work_until(shutdown, self.run_for_ever()).await;
    }

    /// Looks once, and does what is due: for a host with a scheduler of its own.
    ///
    /// # Errors
    /// What may work later. The same is told by [`RotationEvent::Failed`].
    pub async fn rotate_if_due(&self) -> Result<RotationReport, Error> {
        self.look(false).await
    }

    /// Renews the credential now, whatever its end: it may have leaked. The old one is removed
    /// once [its grace](Self::with_grace) is over.
    ///
    /// # Errors
    /// As [`rotate_if_due`](Self::rotate_if_due).
    pub async fn rotate_now(&self) -> Result<RotationReport, Error> {
        self.look(true).await
    }

    /// The state of the credentials, for a health page. It changes nothing. What the app may not
    /// read of its own registration is told as far as the vault knows it.
    ///
    /// # Errors
    /// [`Error::Vault`] if the vault cannot be read.
    pub async fn check(&self) -> Result<Vec<CredentialStatus>, Error> {
        Ok(Pass::begin(self).await?.statuses().await)
    }

    async fn look(&self, now: bool) -> Result<RotationReport, Error> {
        let _turn = self.turn.lock().await;
        let report = match Pass::begin(self).await {
            Ok(pass) => Box::pin(pass.run(now)).await,
            Err(error) => Err(error),
        };
        if let Err(error) = &report {
            self.tell(&RotationEvent::Failed {
                error: Arc::new(error.clone()),
            });
        }
        report
    }

    async fn run_for_ever(&self) {
        let clock = self.client.pipeline().clock();
        let mut failures = 0;
        loop {
            let wait = match self.rotate_if_due().await {
                Ok(report) => {
                    failures = 0;
                    report.next_look
                }
                Err(error) => {
                    failures += 1;
                    wait_after(failures, error.retry_after())
                }
            };
            clock.sleep(spread(wait)).await;
        }
    }

    fn tell(&self, event: &RotationEvent) {
        tracing::info!(%event, "credential rotation");
        if let Some(listener) = &self.listener {
            listener(event);
        }
    }

    /// Graph as the app itself calls it.
    fn graph(&self) -> GraphClient {
        GraphClient::new(
            self.client.authority().cloud(),
            Arc::new(self.client.clone()),
            self.client.pipeline().clone(),
        )
    }

    /// Entra's time of day, as far as it is known.
    fn now(&self) -> OffsetDateTime {
        let now = self.client.pipeline().clock().now();
        now.saturating_add(self.client.clock_offset())
    }
}

impl fmt::Debug for Rotation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rotation")
            .field("client_id", self.client.client_id())
            .field("target", &self.target)
            .field("vault", &self.vault)
            .finish_non_exhaustive()
    }
}

/// For [`Blueprint::with_probe`](crate::Blueprint::with_probe): the state of the credential in use.
#[async_trait]
impl Probe for Rotation {
    async fn run(&self) -> Finding {
        let statuses = self.check().await;
        let in_use = statuses.map(|statuses| {
            let mut in_use = statuses.into_iter();
            in_use.find(|status| status.role == CredentialRole::InUse)
        });
        match in_use {
            Ok(Some(status)) => status.finding(self.now()),
            Ok(None) => Finding::skipped("credential renewal", "there is no credential"),
            Err(error) => Finding::failed("credential renewal", error_chain(&error))
                .with_remedy(error.admin_hint()),
        }
    }
}

/// What a look came to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RotationReport {
    /// What was done.
    pub outcome: RotationOutcome,
    /// When to look again at the latest.
    pub next_look: std::time::Duration,
}

/// What a look did.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RotationOutcome {
    /// The credential in use is good for some time.
    NotDue,
    /// A successor took over.
    Rotated,
    /// Another process is at it.
    InOtherHands,
    /// An administrator has to act.
    CannotRotate(Obstacle),
}

/// The wait after so many failures in a row, the last of which asked for this one.
fn wait_after(failures: u32, asked: Option<std::time::Duration>) -> std::time::Duration {
    let doublings = failures.saturating_sub(1).min(16);
    let wait = FIRST_WAIT * 2_u32.pow(doublings);
    wait.max(asked.unwrap_or_default()).min(LONGEST_WAIT)
}

/// A tenth more at most, so that many products do not come at once.
fn spread(wait: std::time::Duration) -> std::time::Duration {
    let parts = Uuid::new_v4().as_u128() % 101;
    let more = (wait / 1_000).saturating_mul(u32::try_from(parts).unwrap_or_default());
    wait.saturating_add(more)
}

const FIRST_WAIT: std::time::Duration = std::time::Duration::from_secs(60);
const LONGEST_WAIT: std::time::Duration = std::time::Duration::from_secs(6 * 3_600);

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn waits_double_from_a_minute_to_six_hours() {
        let minutes = |failures| wait_after(failures, None).as_secs() / 60;
        let waits: Vec<_> = [1, 2, 3, 9, 10, 1_000].map(minutes).into();
        assert_eq!(waits, [1, 2, 4, 256, 360, 360]);
    }

    #[test]
    fn a_service_may_ask_for_a_longer_wait_up_to_six_hours() {
        let wait = |seconds| wait_after(1, Some(Duration::from_secs(seconds))).as_secs();
        let waits = [1, 600, 86_400, u64::MAX].map(wait);
        assert_eq!(waits, [60, 600, 21_600, 21_600]);
        assert_eq!(spread(Duration::MAX), Duration::MAX);
    }

    #[test]
    fn a_wait_is_never_shorter_and_a_tenth_longer_at_most() {
        for _ in 0..100 {
            let wait = spread(Duration::from_secs(1_000));
            assert!((1_000..=1_100).contains(&wait.as_secs()), "{wait:?}");
        }
    }
}
