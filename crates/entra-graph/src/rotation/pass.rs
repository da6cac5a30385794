//! One look at the credentials: what is due is done, one resumable step after the other.
//!
//! Each step that changes something at Entra is in the vault before it is taken, and what the
//! vault holds says what to do next. A write to the vault that finds another revision means that
//! another process has the turn: this one stops.

use std::sync::Arc;

use entra_core::{
    CertificateOptions, ClientCredential, ClientSecret, SigningCertificate, TokenRequest,
};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::attempt::{Attempt, Wanted};
use super::event::{CredentialKind, CredentialRole, CredentialStatus, RotationEvent, threshold};
use super::obstacle::Obstacle;
use super::own_application::{OwnApplication, Stop, refused_sign_in};
use super::record::{CredentialRecord, Pending, Retiring, Stage, StoredCredential};
use super::vault::Kept;
use super::{Rotation, RotationOutcome, RotationReport};
use crate::{Error, GraphClient};

/// One look.
pub(super) struct Pass<'a> {
    rotation: &'a Rotation,
    graph: GraphClient,
    kept: Kept,
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
        let renewed = self.renew(force).await;
        let tidied = match &renewed {
            Err(Stop::Overtaken) => Ok(()),
            _ => self.tidy().await,
        };
        let met = match &renewed {
            Err(Stop::Obstacle(obstacle)) => Some(obstacle.clone()),
            _ => None,
        };
        let told = match &renewed {
            Err(Stop::Overtaken) => Ok(()),
            _ => self.tell(met).await,
        };
        let outcome = match renewed {
            Ok(true) => RotationOutcome::Rotated,
            Ok(false) => RotationOutcome::NotDue,
            Err(Stop::Obstacle(obstacle)) => RotationOutcome::CannotRotate(obstacle),
            Err(Stop::Overtaken) => return self.overtaken().await,
            Err(Stop::Failed(error)) => return Err(error),
        };
        for done in [tidied, told] {
            match done {
                Ok(()) | Err(Stop::Obstacle(_)) => {}
                Err(Stop::Overtaken) => return self.overtaken().await,
                Err(Stop::Failed(error)) => return Err(error),
            }
        }
        Ok(self.report(outcome, self.until_next_removal()))
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

/// The renewal.
impl Pass<'_> {
    /// Whether a successor took over.
    async fn renew(&mut self, force: bool) -> Result<bool, Stop> {
        if self.resume().await? {
            return Ok(true);
        }
        let own = match self.own().await {
            Err(Stop::Obstacle(obstacle)) if !force && !self.is_due() => {
                // It is told when it matters.
                tracing::debug!(%obstacle, "the credential will not be renewed");
                return Ok(false);
            }
            own => own?,
        };
        if let Some(learnt) = own.learn(&self.kept.record.current) {
            self.commit(|record| record.current = learnt).await?;
        }
        if !force && !self.is_due() {
            return Ok(false);
        }
        // It tells Entra's time of day as well, by which the end may be far away after all.
        self.check(&self.kept.record.current.credential()).await?;
        if !force && !self.is_due() {
            return Ok(false);
        }
        self.rotate(&own).await?;
        Ok(true)
    }

    /// Ends a rotation that was interrupted, in one way or the other.
    async fn resume(&mut self) -> Result<bool, Stop> {
        let Some(pending) = self.kept.record.pending.clone() else {
            return Ok(false);
        };
        let Stage::Added(successor) = &pending.stage else {
            self.abandon().await?;
            return Ok(false);
        };
        let credential = successor.credential();
        self.hold(pending.stage).await?;
        // The old one may have ended in the meantime, and with it the access to Graph.
        if self.is_accepted(&credential).await?.is_none() {
            let own = self.own().await?;
            self.register(&own).await?;
        }
        self.finish().await?;
        Ok(true)
    }

    async fn rotate(&mut self, own: &OwnApplication) -> Result<(), Stop> {
        let policy = own.policy().await?;
        let created = own.created().unwrap_or_else(|| self.now());
        let attempts = self
            .wanted()
            .attempts(policy.as_ref(), created)
            .map_err(Stop::Obstacle)?;
        let mut refused = None;
        for attempt in attempts {
            if refused == Some(Obstacle::Forbidden { kind: attempt.kind }) {
                continue;
            }
            match self.attempt(own, attempt).await {
                Err(Stop::Obstacle(
                    obstacle @ (Obstacle::Forbidden { .. } | Obstacle::Lifetime { .. }),
                )) => refused = Some(obstacle),
                done => return done,
            }
        }
        let kind = self.wanted_kind();
        Err(Stop::Obstacle(
            refused.unwrap_or(Obstacle::Forbidden { kind }),
        ))
    }

    async fn attempt(&mut self, own: &OwnApplication, attempt: Attempt) -> Result<(), Stop> {
        match attempt.kind {
            CredentialKind::Secret => self.add_secret(own, attempt.lifetime).await?,
            CredentialKind::Certificate => {
                let certificate = self.generate(attempt.lifetime).await?;
                self.hold(Stage::Added(StoredCredential::certificate(certificate)))
                    .await?;
                self.register(own).await?;
            }
        }
        self.finish().await
    }

    /// Has Entra make a client secret. Its text is in one answer and then in the vault; if it gets
    /// lost in between, its name was announced.
    async fn add_secret(&mut self, own: &OwnApplication, lifetime: Duration) -> Result<(), Stop> {
        let nonce = Uuid::new_v4().simple().to_string();
        let nonce: String = nonce.chars().take(8).collect();
        let name = format!("{} ({nonce})", self.rotation.secret_name);
        let end = self.now().saturating_add(lifetime);
        self.hold(Stage::Announced { name: name.clone() }).await?;
        let applications = self.graph.applications();
        let added = match applications
            .add_password(&own.object_id, &name, Some(end))
            .await
        {
            Ok(added) => added,
            Err(error) => {
                self.abandon().await?;
                return Err(own.stop(error, CredentialKind::Secret).await);
            }
        };
        let kept = match ClientSecret::try_from(&added.secret) {
            Ok(secret) => {
                let mut successor = StoredCredential::secret(secret).with_key_id(added.key_id);
                successor.starts_on = Some(self.now());
                successor.expires_on = added.end.or(Some(end));
                self.hold(Stage::Added(successor)).await
            }
            Err(_) => Err(Stop::Failed(Error::InvalidRequest(
                "Entra made a client secret that is none",
            ))),
        };
        if kept.is_err() {
            // A later look would do it; there is no reason to leave it lying about until then.
            if let Err(stop) = own.remove_secret(&added.key_id).await {
                tracing::warn!(?stop, "a client secret that was not kept is still there");
            }
        }
        kept
    }

    /// Registers the successor, if it is a certificate. It is in the vault, so a second time does
    /// no harm.
    async fn register(&mut self, own: &OwnApplication) -> Result<(), Stop> {
        let record = &self.kept.record;
        let Some(certificate) = record
            .successor()
            .and_then(StoredCredential::as_certificate)
        else {
            return Ok(());
        };
        let certificate = certificate.certificate().clone();
        let signer = record.valid_certificate(self.now());
        match own.register(&certificate, signer, self.now()).await {
            Ok(key_id) => {
                let mut successor = self.kept.record.successor().cloned();
                if let Some(successor) = &mut successor {
                    successor.key_id = key_id;
                }
                match successor {
                    Some(successor) => self.hold(Stage::Added(successor)).await,
                    None => Ok(()),
                }
            }
            Err(error) if error.is_retryable() => Err(Stop::Failed(error)),
            Err(error) => {
                let stop = own.stop(error, CredentialKind::Certificate).await;
                self.abandon().await?;
                Err(stop)
            }
        }
    }

    /// Waits until Entra knows the successor everywhere, and hands over to it.
    async fn finish(&mut self) -> Result<(), Stop> {
        let Some(successor) = self.kept.record.successor().cloned() else {
            return Ok(());
        };
        let credential = successor.credential();
        let recent = self.graph.recently_created("the new credential");
        let this = &*self;
        let accepted = recent
            .until_visible(|| async {
                match this.is_accepted(&credential).await {
                    Ok(accepted) => Ok(accepted),
                    Err(Stop::Failed(error)) => Err(error),
                    Err(_) => Ok(None),
                }
            })
            .await;
        match accepted {
            Ok(()) => self.hand_over(successor).await,
            Err(error @ Error::NotReplicated { .. }) => {
                self.abandon().await?;
                Err(Stop::Failed(error))
            }
            Err(error) => Err(Stop::Failed(error)),
        }
    }

    async fn hand_over(&mut self, successor: StoredCredential) -> Result<(), Stop> {
        let remove_on = self.now().saturating_add(self.rotation.grace);
        let new = CredentialStatus::of(&successor, CredentialRole::InUse);
        let old = CredentialStatus::of(&self.kept.record.current, CredentialRole::Retiring);
        self.commit(|record| {
            let credential = std::mem::replace(&mut record.current, successor);
            let retiring = Retiring {
                credential,
                remove_on,
            };
            record.retiring.insert(0, retiring);
            record.pending = None;
            record.told = None;
        })
        .await?;
        self.adopt();
        self.rotation.tell(&RotationEvent::Rotated { old, new });
        Ok(())
    }

    /// Gives the rotation up. What may be left of it at Entra is looked for from now on.
    async fn abandon(&mut self) -> Result<(), Stop> {
        let now = self.now();
        self.commit(|record| {
            let pending = record.pending.take();
            let leftover = pending.and_then(|pending| pending.stage.leftover(now));
            record.leftovers.extend(leftover);
        })
        .await
    }

    /// Off the asynchronous thread: it takes a fraction of a second of processor time.
    async fn generate(&self, lifetime: Duration) -> Result<SigningCertificate, Stop> {
        let options = self.certificate_options().with_validity(lifetime);
        let now = self.now();
        let generate = move || SigningCertificate::generate(&options, now);
        let generated = match tokio::runtime::Handle::try_current() {
            Ok(runtime) => runtime.spawn_blocking(generate).await.map_err(|_| {
                Error::InvalidRequest("the runtime ended while a certificate was made")
            })?,
            Err(_) => generate(),
        };
        generated.map_err(|error| Stop::Failed(entra_core::Error::from(error).into()))
    }

    fn certificate_options(&self) -> CertificateOptions {
        if let Some(options) = &self.rotation.certificate {
            return options.clone();
        }
        let current = self.kept.record.current.as_certificate();
        let name = current
            .and_then(|current| current.certificate().subject().strip_prefix("CN="))
            .filter(|name| !name.contains([',', '\\', '"']))
            .map(str::to_owned);
        CertificateOptions::new(
            name.unwrap_or_else(|| self.rotation.client.client_id().to_string()),
        )
    }

    fn wanted(&self) -> Wanted {
        let rotation = self.rotation;
        Wanted {
            kind: self.wanted_kind(),
            secret_lifetime: rotation.secret_lifetime,
            certificate_lifetime: self.certificate_options().validity,
        }
    }

    fn wanted_kind(&self) -> CredentialKind {
        let current = self.kept.record.current.kind();
        self.rotation.target.unwrap_or(current)
    }

    fn is_due(&self) -> bool {
        let current = &self.kept.record.current;
        let is_soon = current.renews_on().is_some_and(|from| from <= self.now());
        is_soon || self.wanted_kind() != current.kind()
    }
}

/// What is left of earlier rotations.
impl Pass<'_> {
    async fn tidy(&mut self) -> Result<(), Stop> {
        let swept = self.sweep().await;
        if matches!(swept, Err(Stop::Overtaken)) {
            return swept;
        }
        let retired = self.retire().await;
        swept.and(retired)
    }

    /// Removes what interrupted rotations left at Entra.
    async fn sweep(&mut self) -> Result<(), Stop> {
        let record = &self.kept.record;
        if record.leftovers.is_empty() {
            return Ok(());
        }
        let now = self.now();
        let own = self.own().await?;
        own.sweep(
            &record.leftovers,
            |key_id| record.has_key_id(key_id),
            record.valid_certificate(now),
            now,
        )
        .await?;
        if record.leftovers.iter().all(|left| left.look_until > now) {
            return Ok(());
        }
        self.commit(|record| record.leftovers.retain(|left| left.look_until > now))
            .await
    }

    /// Removes the credentials that were replaced long enough ago.
    async fn retire(&mut self) -> Result<(), Stop> {
        let now = self.now();
        while let Some(old) = self.first_to_remove(now) {
            // The last moment to notice that its successor does not work.
            self.check(&self.kept.record.current.credential()).await?;
            let credential = CredentialStatus::of(&old.credential, CredentialRole::Retiring);
            let event = match self.remove(&old.credential).await {
                Ok(()) => RotationEvent::Removed { credential },
                Err(Stop::Obstacle(obstacle)) => RotationEvent::Left {
                    credential,
                    obstacle,
                },
                Err(stop) => return Err(stop),
            };
            let removed = old.credential.credential();
            self.commit(|record| {
                let is_kept = |old: &Retiring| old.credential.credential() != removed;
                record.retiring.retain(is_kept);
            })
            .await?;
            self.adopt();
            self.rotation.tell(&event);
        }
        Ok(())
    }

    async fn remove(&self, old: &StoredCredential) -> Result<(), Stop> {
        let own = self.own().await?;
        let record = &self.kept.record;
        // A certificate does not prove its own removal where another one can.
        let signer = record.current.as_certificate();
        let signer = signer.or_else(|| record.valid_certificate(self.now()));
        own.remove(old, signer, self.now()).await
    }

    fn first_to_remove(&self, now: OffsetDateTime) -> Option<Retiring> {
        let mut retiring = self.kept.record.retiring.iter();
        retiring.find(|old| old.remove_on <= now).cloned()
    }

    fn until_next_removal(&self) -> Duration {
        let retiring = self.kept.record.retiring.iter();
        let next = retiring.map(|old| old.remove_on).min();
        next.map_or(Duration::DAY, |next| next - self.now())
    }

    /// Warns of the end, and of what keeps the credential from being renewed.
    async fn tell(&mut self, met: Option<Obstacle>) -> Result<(), Stop> {
        let current = &self.kept.record.current;
        let reached = current
            .expires_on
            .and_then(|end| threshold(end, self.now()));
        let days = reached.filter(|days| current.warned.is_none_or(|warned| *days < warned));
        let obstacle = match (met, days) {
            (None, Some(_)) => match self.own().await {
                Ok(own) => self.foresee(&own).await,
                Err(Stop::Obstacle(obstacle)) => Some(obstacle),
                Err(_) => None,
            },
            (met, _) => met,
        };
        let code = obstacle.as_ref().map(Obstacle::code);
        let is_news = code.is_some() && code != self.kept.record.told;
        if days.is_none() && !is_news {
            return Ok(());
        }
        // Written first: a warning that comes twice is worse than one of five that is lost.
        self.commit(|record| {
            record.current.warned = days.or(record.current.warned);
            record.told = code.or_else(|| record.told.take());
        })
        .await?;
        let mut credential = CredentialStatus::of(&self.kept.record.current, CredentialRole::InUse);
        credential.obstacle.clone_from(&obstacle);
        if days == Some(0) {
            let credential = credential.clone();
            self.rotation.tell(&RotationEvent::Expired { credential });
        }
        match (days, obstacle) {
            (_, Some(obstacle)) => self.rotation.tell(&RotationEvent::CannotRotate {
                credential,
                obstacle,
            }),
            (Some(days), None) if days > 0 => {
                self.rotation
                    .tell(&RotationEvent::Expiring { credential, days });
            }
            _ => {}
        }
        Ok(())
    }

    async fn foresee(&self, own: &OwnApplication) -> Option<Obstacle> {
        let signer = self.kept.record.valid_certificate(self.now());
        own.foresee(self.wanted_kind(), signer)
            .await
            .unwrap_or_default()
    }
}

/// The vault, the client, the registration.
impl Pass<'_> {
    /// Writes a change to the vault.
    async fn commit(&mut self, change: impl FnOnce(&mut CredentialRecord)) -> Result<(), Stop> {
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
    async fn hold(&mut self, stage: Stage) -> Result<(), Stop> {
        let pending = Pending {
            holder: self.rotation.holder,
            held_until: self.now().saturating_add(HELD_FOR),
            stage,
        };
        self.commit(|record| record.pending = Some(pending)).await
    }

    fn in_other_hands(&self) -> Option<OffsetDateTime> {
        let pending = self.kept.record.pending.as_ref()?;
        // A clock that is wrong must not make anybody wait for longer.
        let until = pending.held_until.min(self.now().saturating_add(HELD_FOR));
        let is_held = pending.holder != self.rotation.holder && until > self.now();
        is_held.then_some(until)
    }

    /// Has the client sign in with what is kept.
    fn adopt(&self) {
        let credentials = self.kept.record.credentials();
        self.rotation.client.replace_credentials(credentials);
    }

    async fn own(&self) -> Result<OwnApplication, Stop> {
        OwnApplication::read(&self.graph, self.rotation.client.client_id()).await
    }

    /// Whether Entra accepts a credential; nothing while it is not known.
    async fn is_accepted(&self, credential: &ClientCredential) -> Result<Option<()>, Stop> {
        match self.check(credential).await {
            Ok(()) => Ok(Some(())),
            Err(Stop::Obstacle(_)) => Ok(None),
            Err(Stop::Failed(Error::Core(entra_core::Error::Token(error))))
                if error.may_be_propagation() =>
            {
                Ok(None)
            }
            Err(stop) => Err(stop),
        }
    }

    async fn check(&self, credential: &ClientCredential) -> Result<(), Stop> {
        let client = &self.rotation.client;
        let scope = client.authority().cloud().graph_scope();
        let request = TokenRequest::new([scope]).bypassing_cache();
        match client.check_credential(credential, &request).await {
            Ok(_) => Ok(()),
            Err(error) => Err(refused_sign_in(error.into())),
        }
    }

    fn now(&self) -> OffsetDateTime {
        self.rotation.now()
    }
}

/// Longer than a rotation takes, with its wait of five minutes for the successor to be known.
const HELD_FOR: Duration = Duration::minutes(15);
