//! The app's own registration, as the app itself may see and change it.

use entra_core::{
    Certificate, ClientId, CredentialKind, ObjectId, RetryClass, SigningCertificate, TokenError,
    TokenErrorKind,
};
use time::OffsetDateTime;
use uuid::Uuid;

use super::obstacle::Obstacle;
use super::record::{LeftoverKind, StoredCredential, Value};
use crate::token_claims::TokenClaims;
use crate::{
    AppManagementPolicy, Application, Error, GraphClient, GraphErrorCode, KeyProof, NewKey,
    PasswordCredential,
};

/// Why something was not done.
#[derive(Debug)]
pub(super) enum Stop {
    /// Another process wrote to the vault in between; it has the turn.
    Overtaken,
    /// An administrator has to act.
    Obstacle(Obstacle),
    /// It may work later.
    Failed(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// The registration.
#[derive(Debug)]
pub(super) struct OwnApplication {
    graph: GraphClient,
    pub(super) object_id: ObjectId,
    application: Application,
}

impl OwnApplication {
    pub(super) async fn read(graph: &GraphClient, client_id: &ClientId) -> Result<Self, Stop> {
        let applications = graph.applications();
        let application = match applications.by_app_id(client_id).await {
            Ok(Some(application)) => application,
            Ok(None) => return Err(Stop::Obstacle(Obstacle::NotRegisteredHere(*client_id))),
            Err(error) if error.is_forbidden() => {
                return Err(Stop::Obstacle(Obstacle::NotReadable));
            }
            Err(error) => return Err(refused_sign_in(error)),
        };
        let object_id = application.id.ok_or(Error::InvalidRequest(
            "the app's registration was read without its id",
        ))?;
        Ok(Self {
            graph: graph.clone(),
            object_id,
            application,
        })
    }

    /// When the app was registered, by which policies tell old apps from new ones.
    pub(super) fn created(&self) -> Option<OffsetDateTime> {
        self.application.created_date_time
    }

    /// The policy that holds for the app, where it may be read: its own one, or else the tenant's.
    pub(super) async fn policy(&self) -> Result<Option<AppManagementPolicy>, Stop> {
        let policies = self.graph.policies();
        let own = policies.app_management_policy_of(&self.object_id).await;
        if let Some(own) = readable(own)?.flatten() {
            return Ok(Some(own));
        }
        readable(policies.default_app_management_policy().await)
    }

    /// What the registration knows of a credential and the record does not. `None` if there is
    /// nothing new.
    pub(super) fn learn(&self, stored: &StoredCredential) -> Option<StoredCredential> {
        let mut learnt = stored.clone();
        match &stored.value {
            Value::Secret(_) => {
                let secret = self.secret(stored).ok()??;
                learnt.key_id = secret.key_id;
                learnt.starts_on = secret.start_date_time;
                learnt.expires_on = secret.end_date_time;
            }
            Value::Certificate(certificate) => {
                let keys = self.application.key_credentials.iter().flatten();
                let key = keys
                    .into_iter()
                    .find(|key| key.is_certificate(certificate.certificate()))?;
                learnt.key_id = key.key_id;
            }
        }
        let is_new = learnt.key_id != stored.key_id
            || learnt.starts_on != stored.starts_on
            || learnt.expires_on != stored.expires_on;
        is_new.then_some(learnt)
    }

    /// The secret of the registration that this is: by its id, or else by its first characters.
    fn secret(&self, stored: &StoredCredential) -> Result<Option<&PasswordCredential>, Obstacle> {
        let secrets = || self.application.password_credentials.iter().flatten();
        if stored.key_id.is_some() {
            return Ok(secrets().find(|secret| secret.key_id == stored.key_id));
        }
        let credential = stored.credential();
        let hint = credential.secret_hint();
        let mut alike = secrets().filter(|secret| hint.is_some() && secret.hint.as_deref() == hint);
        match (alike.next(), alike.next()) {
            (found, None) => Ok(found),
            (_, Some(_)) => Err(Obstacle::Ambiguous {
                hint: hint.unwrap_or_default().to_owned(),
            }),
        }
    }

    /// Registers a certificate beside the others, unless it is there: by proof where the app holds
    /// another one, which needs no permission, or by writing to the registration.
    pub(super) async fn register(
        &self,
        certificate: &Certificate,
        signer: Option<&SigningCertificate>,
        now: OffsetDateTime,
    ) -> Result<Option<Uuid>, Error> {
        let applications = self.graph.applications();
        if let Some(signer) = signer {
            if let Some(there) = self.key_ids(certificate).await?.first() {
                return Ok(Some(*there));
            }
            let proof = KeyProof::sign(signer, &self.object_id, now)?;
            let new = NewKey::from(certificate);
            match applications.add_key(&self.object_id, new, &proof).await {
                Err(error) if is_proof_refused(&error) => {
                    tracing::warn!(%error, "the proof of the certificate was refused");
                }
                added => return added.map(|key| key.key_id),
            }
        }
        let added = applications
            .add_certificate(&self.object_id, NewKey::from(certificate))
            .await?;
        Ok(added.key_id)
    }

    /// Removes a credential; `false` if it is not there.
    pub(super) async fn remove(
        &self,
        stored: &StoredCredential,
        signer: Option<&SigningCertificate>,
        now: OffsetDateTime,
    ) -> Result<bool, Stop> {
        match &stored.value {
            Value::Secret(_) => {
                let secret = self.secret(stored).map_err(Stop::Obstacle)?;
                let listed = secret.and_then(|secret| secret.key_id);
                // Its id is enough, also where it is not listed yet.
                if let Some(key_id) = listed.or(stored.key_id) {
                    self.remove_secret(&key_id).await?;
                }
                Ok(listed.is_some())
            }
            Value::Certificate(certificate) => {
                self.remove_certificate(certificate.certificate(), signer, now)
                    .await
            }
        }
    }

    /// Looks for what a rotation left behind and removes it. What `is_kept` is never touched.
    pub(super) async fn sweep(
        &self,
        leftover: &LeftoverKind,
        is_kept: impl Fn(&Uuid) -> bool + Sync,
        signer: Option<&SigningCertificate>,
        now: OffsetDateTime,
    ) -> Result<(), Stop> {
        let key_ids = match leftover {
            LeftoverKind::Certificate(certificate) => {
                return self
                    .remove_certificate(certificate, signer, now)
                    .await
                    .map(drop);
            }
            LeftoverKind::Secret(key_id) => vec![*key_id],
            LeftoverKind::SecretNamed(name) => self.secrets_named(name).await?,
        };
        for key_id in key_ids.iter().filter(|key_id| !is_kept(key_id)) {
            self.remove_secret(key_id).await?;
        }
        Ok(())
    }

    /// Waits for replicas to agree: the secret may have been made a moment ago.
    async fn secrets_named(&self, name: &str) -> Result<Vec<Uuid>, Stop> {
        let applications = self.graph.applications();
        let secrets = self
            .graph
            .recently_created("the client secrets")
            .until_agreed(|| async {
                let application = applications.get(&self.object_id).await?;
                Ok(application.password_credentials.unwrap_or_default())
            })
            .await?;
        Ok(secrets
            .into_iter()
            .filter(|secret| secret.display_name.as_deref() == Some(name))
            .filter_map(|secret| secret.key_id)
            .collect())
    }

    pub(super) async fn remove_secret(&self, key_id: &Uuid) -> Result<(), Stop> {
        let applications = self.graph.applications();
        let removed = applications.remove_password(&self.object_id, key_id).await;
        match removed {
            Err(error) => Err(self.stop(error, CredentialKind::ClientSecret).await),
            Ok(()) => Ok(()),
        }
    }

    /// Whether it was there.
    async fn remove_certificate(
        &self,
        certificate: &Certificate,
        signer: Option<&SigningCertificate>,
        now: OffsetDateTime,
    ) -> Result<bool, Stop> {
        let key_ids = self.key_ids(certificate).await?;
        for key_id in &key_ids {
            if let Err(error) = self.remove_key(key_id, signer, now).await {
                return Err(self.stop(error, CredentialKind::Certificate).await);
            }
        }
        Ok(!key_ids.is_empty())
    }

    async fn remove_key(
        &self,
        key_id: &Uuid,
        signer: Option<&SigningCertificate>,
        now: OffsetDateTime,
    ) -> Result<(), Error> {
        let applications = self.graph.applications();
        if let Some(signer) = signer {
            let proof = KeyProof::sign(signer, &self.object_id, now)?;
            match applications
                .remove_key(&self.object_id, key_id, &proof)
                .await
            {
                Err(error) if is_proof_refused(&error) => {}
                removed => return removed,
            }
        }
        let removed = applications.remove_certificate(&self.object_id, key_id);
        removed.await.map(drop)
    }

    /// The ids under which a certificate is registered, once several replicas in a row agree.
    async fn key_ids(&self, certificate: &Certificate) -> Result<Vec<Uuid>, Error> {
        let applications = self.graph.applications();
        let keys = self
            .graph
            .recently_created("the app's certificates")
            .until_agreed(|| applications.key_credentials(&self.object_id))
            .await?;
        Ok(keys
            .iter()
            .filter(|key| key.is_certificate(certificate))
            .filter_map(|key| key.key_id)
            .collect())
    }

    /// Why a renewal to this kind would be refused, as far as it can be told without trying.
    pub(super) async fn foresee(
        &self,
        kind: CredentialKind,
        signer: Option<&SigningCertificate>,
    ) -> Result<Option<Obstacle>, Error> {
        if kind == CredentialKind::Certificate && signer.is_some() {
            return Ok(None);
        }
        let Some(claims) = self.claims().await? else {
            return Ok(None);
        };
        if claims.roles.contains(WRITE_ALL) {
            return Ok(None);
        }
        if !claims.roles.contains(WRITE_OWNED) {
            return Ok(Some(Obstacle::NoPermission { needed: NEEDED }));
        }
        let mut owners = self.graph.applications().owners(&self.object_id);
        while let Some(owner) = owners.try_next().await? {
            if owner.id == claims.object_id {
                return Ok(None);
            }
        }
        Ok(Some(Obstacle::NotOwner))
    }

    /// What a refusal of Graph means for a change of the registration.
    pub(super) async fn stop(&self, error: Error, kind: CredentialKind) -> Stop {
        if error.has_code(&GraphErrorCode::CredentialTypeNotAllowed) {
            return Stop::Obstacle(Obstacle::Forbidden { kind });
        }
        if error.has_code(&GraphErrorCode::CredentialLifetimeTooLong) {
            let allowed = None;
            return Stop::Obstacle(Obstacle::Lifetime { kind, allowed });
        }
        if !error.is_forbidden() {
            return refused_sign_in(error);
        }
        let claims = self.claims().await.ok().flatten();
        let is_owner_wanted = claims.is_some_and(|claims| claims.roles.contains(WRITE_OWNED));
        Stop::Obstacle(if is_owner_wanted {
            Obstacle::NotOwner
        } else {
            Obstacle::NoPermission { needed: NEEDED }
        })
    }

    async fn claims(&self) -> Result<Option<TokenClaims>, Error> {
        let token = self
            .graph
            .credential()
            .token(self.graph.token_request())
            .await?;
        Ok(TokenClaims::read(&token))
    }
}

/// Nothing for what the app may not read.
fn readable<T>(result: Result<T, Error>) -> Result<Option<T>, Stop> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.is_forbidden() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Where the sign-in refuses the credential, nothing will be better later.
pub(super) fn refused_sign_in(error: Error) -> Stop {
    match &error {
        Error::Core(entra_core::Error::Token(refusal)) if is_final(refusal) => {
            Stop::Obstacle(Obstacle::Refused {
                kind: refusal.kind(),
            })
        }
        _ => Stop::Failed(error),
    }
}

/// Whether the app cannot sign in until an administrator has acted.
fn is_final(refusal: &TokenError) -> bool {
    let is_app_gone = matches!(
        refusal.kind(),
        TokenErrorKind::AppNotFound | TokenErrorKind::AppDisabled
    );
    is_app_gone || refusal.class() == RetryClass::Credential
}

/// Graph answers 401 where it does not accept a proof, and 403 where it wants a permission.
fn is_proof_refused(error: &Error) -> bool {
    let is_proof = |error: &crate::GraphError| {
        error.status.as_u16() == 401 && error.has_code(&GraphErrorCode::MissingOrMalformedProof)
    };
    error.is_forbidden() || error.graph().is_some_and(is_proof)
}

const WRITE_ALL: &str = "Application.ReadWrite.All";
const WRITE_OWNED: &str = "Application.ReadWrite.OwnedBy";
const NEEDED: &[&str] = &[WRITE_OWNED, WRITE_ALL];
