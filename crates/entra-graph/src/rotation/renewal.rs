//! A credential gets its successor: made, kept, accepted by Entra, handed over to.

use entra_core::{CertificateOptions, ClientSecret, CredentialKind, SigningCertificate};
use time::Duration;
use uuid::Uuid;

use super::attempt::{Attempt, Wanted};
use super::event::{CredentialRole, CredentialStatus, RotationEvent};
use super::obstacle::Obstacle;
use super::own_application::{OwnApplication, Stop};
use super::pass::Pass;
use super::record::{Retiring, Stage, StoredCredential};
use crate::Error;

impl Pass<'_> {
    /// Whether a successor took over.
    pub(super) async fn renew(&mut self, force: bool) -> Result<bool, Stop> {
        if self.resume().await? {
            return Ok(true);
        }
        let own = match self.own().await {
            // That the app cannot sign in matters now, all else when the end comes nearer.
            Err(Stop::Obstacle(obstacle))
                if !force && !self.is_due() && !matches!(obstacle, Obstacle::Refused { .. }) =>
            {
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
        if attempt.kind == CredentialKind::ClientSecret {
            self.add_secret(own, attempt.lifetime).await?;
        } else {
            let certificate = self.generate(attempt.lifetime).await?;
            let successor = StoredCredential::certificate(certificate);
            self.hold(Stage::Added(successor)).await?;
            self.register(own).await?;
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
                return Err(own.stop(error, CredentialKind::ClientSecret).await);
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
        let accepted = recent.until_visible(|| this.is_accepted(&credential));
        match accepted.await {
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
            record
                .retiring
                .insert(0, Retiring::new(credential, remove_on));
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

    pub(super) fn wanted_kind(&self) -> CredentialKind {
        let current = self.kept.record.current.kind();
        self.rotation.target.unwrap_or(current)
    }

    fn is_due(&self) -> bool {
        let current = &self.kept.record.current;
        let is_soon = current.renews_on().is_some_and(|from| from <= self.now());
        is_soon || current.is_due || self.wanted_kind() != current.kind()
    }
}
