//! One look at the credentials: what is due is done, one resumable step after the other.
//!
//! Each step that changes something at Entra is in the vault before it is taken, and what the
//! vault holds says what to do next. A write to the vault that finds another revision means that
//! another process has the turn: this one stops.

use std::sync::Arc;

use entra_core::{ClientCredential, TokenRequest};
use time::{Duration, OffsetDateTime};

use super::event::{CredentialRole, CredentialStatus};
use super::own_application::{OwnApplication, Stop, refused_sign_in};
use super::record::{CredentialRecord, Pending, Stage};
use super::vault::Kept;
use super::{Rotation, RotationOutcome, RotationReport};
use crate::{Error, GraphClient};

/// One look.
pub(super) struct Pass<'a> {
    pub(super) rotation: &'a Rotation,
    pub(super) graph: GraphClient,
    pub(super) kept: Kept,
}

impl<'a> Pass<'a> {
    pub(super) async fn begin(rotation: &'a Rotation) -> Result<Self, Error> {
        let kept = rotation.vault.load().await;
        Ok(Self {
            rotation,
            graph: rotation.graph(),
            kept: kept.map_err(|error| Error::Vault(error.into()))?,
        })
    }

    /// The whole look. `force` renews whatever the end.
    pub(super) async fn run(mut self, force: bool) -> Result<RotationReport, Error> {
        self.adopt();
        if let Some(until) = self.in_other_hands() {
            return Ok(self.report(RotationOutcome::InOtherHands, until - self.now()));
        }
        let outcome = match self.act(force).await {
            Ok(outcome) => outcome,
            Err(Stop::Overtaken) => return self.overtaken().await,
            Err(Stop::Obstacle(obstacle)) => RotationOutcome::CannotRotate(obstacle),
            Err(Stop::Failed(error)) => return Err(error),
        };
        Ok(self.report(outcome, self.until_next_removal()))
    }

    /// Each part is done whatever became of the one before, unless another process has the turn.
    async fn act(&mut self, force: bool) -> Result<RotationOutcome, Stop> {
        let renewed = self.renew(force).await;
        if matches!(renewed, Err(Stop::Overtaken)) {
            return Err(Stop::Overtaken);
        }
        let tidied = self.tidy().await;
        if matches!(tidied, Err(Stop::Overtaken)) {
            return Err(Stop::Overtaken);
        }
        let met = match (&renewed, &tidied) {
            (Err(Stop::Obstacle(obstacle)), _) | (_, Err(Stop::Obstacle(obstacle))) => {
                Some(obstacle.clone())
            }
            _ => None,
        };
        let told = self.tell(met).await;
        let outcome = match renewed? {
            true => RotationOutcome::Rotated,
            false => RotationOutcome::NotDue,
        };
        tidied.and(told).map(|()| outcome)
    }

    /// The state of all that is kept.
    pub(super) async fn statuses(mut self) -> Vec<CredentialStatus> {
        let own = self.own().await;
        let obstacle = match &own {
            Err(Stop::Obstacle(obstacle)) => Some(obstacle.clone()),
            Ok(own) => self.foresee(own).await,
            Err(_) => None,
        };
        if let Some(learnt) = own
            .ok()
            .and_then(|own| own.learn(&self.kept.record.current))
        {
            self.kept.record.current = learnt;
        }
        let record = &self.kept.record;
        let mut in_use = CredentialStatus::of(&record.current, CredentialRole::InUse);
        in_use.obstacle = obstacle;
        let successor = record
            .successor()
            .map(|stored| CredentialStatus::of(stored, CredentialRole::Successor));
        let retiring = record
            .retiring()
            .map(|stored| CredentialStatus::of(stored, CredentialRole::Retiring));
        std::iter::once(in_use)
            .chain(successor)
            .chain(retiring)
            .collect()
    }

    /// Another process wrote in between. What it wrote holds.
    async fn overtaken(mut self) -> Result<RotationReport, Error> {
        let kept = self.rotation.vault.load().await;
        self.kept = kept.map_err(|error| Error::Vault(error.into()))?;
        self.adopt();
        let until = self.in_other_hands().unwrap_or_else(|| self.now());
        Ok(self.report(RotationOutcome::InOtherHands, until - self.now()))
    }

    fn report(&self, outcome: RotationOutcome, wait: Duration) -> RotationReport {
        let wait = wait.clamp(Duration::MINUTE, Duration::DAY);
        RotationReport {
            outcome,
            next_look: std::time::Duration::try_from(wait).unwrap_or_default(),
        }
    }
}

/// The vault, the client, the registration.
impl Pass<'_> {
    /// Writes a change to the vault.
    pub(super) async fn commit(
        &mut self,
        change: impl FnOnce(&mut CredentialRecord),
    ) -> Result<(), Stop> {
        let mut record = self.kept.record.clone();
        change(&mut record);
        let revision = self.kept.revision;
        match self.rotation.vault.store(&record, revision).await {
            Ok(true) => {
                self.kept = Kept::new(record, revision + 1);
                Ok(())
            }
            Ok(false) => Err(Stop::Overtaken),
            Err(error) => Err(Stop::Failed(Error::Vault(Arc::from(error)))),
        }
    }

    /// Writes down how far the rotation is, and that it is this process's for a while.
    pub(super) async fn hold(&mut self, stage: Stage) -> Result<(), Stop> {
        let pending = Pending {
            holder: self.rotation.holder,
            held_until: self.now().saturating_add(HELD_FOR),
            stage,
        };
        self.commit(|record| record.pending = Some(pending)).await
    }

    pub(super) fn in_other_hands(&self) -> Option<OffsetDateTime> {
        let pending = self.kept.record.pending.as_ref()?;
        // A clock that is wrong must not make anybody wait for longer.
        let until = pending.held_until.min(self.now().saturating_add(HELD_FOR));
        let is_held = pending.holder != self.rotation.holder && until > self.now();
        is_held.then_some(until)
    }

    /// Has the client sign in with what is kept.
    pub(super) fn adopt(&self) {
        let credentials = self.kept.record.credentials();
        self.rotation.client.replace_credentials(credentials);
    }

    pub(super) async fn own(&self) -> Result<OwnApplication, Stop> {
        OwnApplication::read(&self.graph, self.rotation.client.client_id()).await
    }

    /// Whether Entra accepts a credential; nothing while it is not known.
    pub(super) async fn is_accepted(
        &self,
        credential: &ClientCredential,
    ) -> Result<Option<()>, Error> {
        match self.check(credential).await {
            Ok(()) => Ok(Some(())),
            Err(Stop::Failed(Error::Core(entra_core::Error::Token(error))))
                if error.may_be_propagation() =>
            {
                Ok(None)
            }
            Err(Stop::Failed(error)) => Err(error),
            Err(Stop::Obstacle(_) | Stop::Overtaken) => Ok(None),
        }
    }

    pub(super) async fn check(&self, credential: &ClientCredential) -> Result<(), Stop> {
        let client = &self.rotation.client;
        let scope = client.authority().cloud().graph_scope();
        let request = TokenRequest::new([scope]).bypassing_cache();
        match client.check_credential(credential, &request).await {
            Ok(_) => Ok(()),
            Err(error) => Err(refused_sign_in(error.into())),
        }
    }

    pub(super) fn now(&self) -> OffsetDateTime {
        self.rotation.now()
    }
}

/// Longer than a rotation takes, with its wait of five minutes for the successor to be known.
const HELD_FOR: Duration = Duration::minutes(15);
