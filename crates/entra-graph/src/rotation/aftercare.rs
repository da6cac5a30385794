//! After a rotation: leftovers go, the old credential goes, and people are told what comes.

use entra_core::ClientCredential;
use time::Duration;
use uuid::Uuid;

use super::event::{CredentialRole, CredentialStatus, RotationEvent, threshold};
use super::obstacle::Obstacle;
use super::own_application::{OwnApplication, Stop};
use super::pass::Pass;
use super::record::{Leftover, Retiring, Stage, StoredCredential};
use crate::Error;

impl Pass<'_> {
    pub(super) async fn tidy(&mut self) -> Result<(), Stop> {
        let swept = self.sweep().await;
        if matches!(swept, Err(Stop::Overtaken)) {
            return swept;
        }
        let retired = self.retire().await;
        swept.and(retired)
    }

    /// Removes what interrupted rotations left at Entra: each, whatever became of the one before.
    async fn sweep(&mut self) -> Result<(), Stop> {
        if self.kept.record.leftovers.is_empty() {
            return Ok(());
        }
        let own = match self.own().await {
            Ok(own) => Some(own),
            Err(Stop::Obstacle(_)) => None,
            Err(stop) => return Err(stop),
        };
        let mut outcome = Ok(());
        let mut kept = Vec::new();
        let mut left = Vec::new();
        for leftover in &self.kept.record.leftovers {
            let is_late = leftover.look_until <= self.now();
            match self.sweep_one(own.as_ref(), leftover).await {
                Err(Stop::Failed(error)) => {
                    if !is_late || error.is_retryable() {
                        kept.push(leftover.clone());
                    }
                    outcome = Err(Stop::Failed(error));
                }
                _ if !is_late => kept.push(leftover.clone()),
                Err(Stop::Obstacle(obstacle)) => left.push((leftover.clone(), obstacle)),
                Ok(()) | Err(Stop::Overtaken) => {}
            }
        }
        self.keep_leftovers(kept, left).await?;
        outcome
    }

    async fn sweep_one(
        &self,
        own: Option<&OwnApplication>,
        leftover: &Leftover,
    ) -> Result<(), Stop> {
        let Some(own) = own else {
            // Nobody knows whether it is there. What keeps the app out is told of its credential.
            return Ok(());
        };
        let record = &self.kept.record;
        let now = self.now();
        let signer = record.valid_certificate(now);
        let is_kept = |key_id: &Uuid| record.has_key_id(key_id);
        own.sweep(&leftover.what, is_kept, signer, now).await
    }

    /// Goes on with the leftovers that are `kept`, and tells of those that are `left` for good.
    async fn keep_leftovers(
        &mut self,
        kept: Vec<Leftover>,
        left: Vec<(Leftover, Obstacle)>,
    ) -> Result<(), Stop> {
        if kept.len() == self.kept.record.leftovers.len() {
            return Ok(());
        }
        self.commit(|record| record.leftovers = kept).await?;
        for (leftover, obstacle) in left {
            let credential = CredentialStatus::of_leftover(&leftover.what);
            self.rotation.tell(&RotationEvent::Left {
                credential,
                obstacle,
            });
        }
        Ok(())
    }

    /// Removes the credentials that were replaced long enough ago.
    async fn retire(&mut self) -> Result<(), Stop> {
        while let Some(old) = self.first_to_remove() {
            // The last moment to notice that its successor does not work.
            if !self.is_current_accepted().await? {
                return self.fall_back().await;
            }
            // The answer told Entra's time of day, by which the grace may not be over after all.
            if old.remove_on > self.now() {
                return Ok(());
            }
            let removed = old.credential.credential();
            self.announce_removal(&removed).await?;
            match self.remove(&old.credential).await {
                Ok(true) => self.forget(&old).await?,
                Ok(false) => self.keep(old, None).await?,
                Err(Stop::Obstacle(obstacle)) => self.keep(old, Some(obstacle)).await?,
                Err(stop) => return Err(stop),
            }
        }
        Ok(())
    }

    async fn forget(&mut self, old: &Retiring) -> Result<(), Stop> {
        let removed = old.credential.credential();
        self.commit(|record| record.forget(&removed)).await?;
        self.adopt();
        let credential = CredentialStatus::of(&old.credential, CredentialRole::Retiring);
        self.rotation.tell(&RotationEvent::Removed { credential });
        Ok(())
    }

    /// Tries it again a day later, until the credential ends by itself.
    async fn keep(&mut self, old: Retiring, obstacle: Option<Obstacle>) -> Result<(), Stop> {
        let now = self.now();
        let kept = old.credential.credential();
        let has_ended = old.credential.expires_on.is_some_and(|end| end <= now);
        self.commit(|record| {
            if has_ended {
                record.forget(&kept);
            } else if let Some(old) = record.retiring_mut(&kept) {
                old.remove_on = now.saturating_add(Duration::DAY);
                // One that was not found may be gone for all that.
                old.is_being_removed &= obstacle.is_none();
                old.is_told |= obstacle.is_some();
            }
        })
        .await?;
        self.adopt();
        if let Some(obstacle) = obstacle.filter(|_| !old.is_told) {
            let credential = CredentialStatus::of(&old.credential, CredentialRole::Retiring);
            self.rotation.tell(&RotationEvent::Left {
                credential,
                obstacle,
            });
        }
        Ok(())
    }

    /// One refusal may be that of a single replica: several in a row have to agree.
    async fn is_current_accepted(&self) -> Result<bool, Error> {
        let current = self.kept.record.current.credential();
        if self.is_accepted(&current).await?.is_some() {
            return Ok(true);
        }
        let recent = self.graph.recently_created("the credential in use");
        let agreed = recent.until_agreed(|| self.is_accepted(&current)).await?;
        Ok(agreed.is_some())
    }

    /// Written also where an earlier process wrote it: of two that remove it, one is overtaken.
    async fn announce_removal(&mut self, credential: &ClientCredential) -> Result<(), Stop> {
        self.commit(|record| {
            if let Some(old) = record.retiring_mut(credential) {
                old.is_being_removed = true;
            }
        })
        .await
    }

    /// The newest one that still works takes its place again, until it gets another successor at
    /// the next look. One that is being removed does not: it may end at any moment.
    async fn fall_back(&mut self) -> Result<(), Stop> {
        let mut candidates = self.kept.record.retiring.clone();
        candidates.retain(|old| !old.is_being_removed);
        for old in candidates {
            let credential = old.credential.credential();
            if self.is_accepted(&credential).await?.is_none() {
                continue;
            }
            let failed = CredentialStatus::of(&self.kept.record.current, CredentialRole::Retiring);
            let restored = CredentialStatus::of(&old.credential, CredentialRole::InUse);
            let now = self.now();
            self.commit(|record| {
                let failed = std::mem::replace(&mut record.current, old.credential);
                record.current.is_due = true;
                record.leftovers.extend(Stage::Added(failed).leftover(now));
                record.forget(&credential);
            })
            .await?;
            self.adopt();
            self.rotation
                .tell(&RotationEvent::FellBack { failed, restored });
            return Ok(());
        }
        self.check(&self.kept.record.current.credential()).await
    }

    /// Whether it is gone. One that was not found may be unknown to the replica that was asked, so
    /// it is gone once it is refused as well.
    async fn remove(&self, old: &StoredCredential) -> Result<bool, Stop> {
        let own = self.own().await?;
        let record = &self.kept.record;
        // A certificate does not prove its own removal where another one can.
        let signer = record.current.as_certificate();
        let signer = signer.or_else(|| record.valid_certificate(self.now()));
        if own.remove(old, signer, self.now()).await? {
            return Ok(true);
        }
        Ok(self.is_accepted(&old.credential()).await?.is_none())
    }

    fn first_to_remove(&self) -> Option<Retiring> {
        let now = self.now();
        let mut retiring = self.kept.record.retiring.iter();
        retiring.find(|old| old.remove_on <= now).cloned()
    }

    pub(super) fn until_next_removal(&self) -> Duration {
        let retiring = self.kept.record.retiring.iter();
        let next = retiring.map(|old| old.remove_on).min();
        next.map_or(Duration::DAY, |next| next - self.now())
    }

    /// Warns of the end, and of what keeps the credential from being renewed.
    pub(super) async fn tell(&mut self, met: Option<Obstacle>) -> Result<(), Stop> {
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

    pub(super) async fn foresee(&self, own: &OwnApplication) -> Option<Obstacle> {
        let signer = self.kept.record.valid_certificate(self.now());
        own.foresee(self.wanted_kind(), signer)
            .await
            .unwrap_or_default()
    }
}
