//! Makes a tenant as a blueprint wants it, one resumable step after the other.

use std::sync::Arc;

use entra_core::{ClientId, ObjectId};
use time::OffsetDateTime;

use super::registration::has_certificate;
use super::secret_state::{Announced, Announcement, SecretState};
use super::tenant_view::TenantView;
use super::{Blueprint, IssuedSecret, LinkHost, Progress, Registration, SecretDeclaration};
use crate::{
    Application, Error, GraphClient, NewKey, Permission, PermissionId, RecentlyCreated, Upserted,
};

impl Blueprint {
    /// Makes the tenant as the blueprint wants it, and returns once the tenant shows it.
    ///
    /// It may be interrupted at any moment and called again: each step looks first at what is
    /// there, and the application is found by its key. The steps, in order: registration, App ID
    /// URIs, service principal, consent, ownership, certificate, client secret, a last look. A client secret
    /// counts as kept only once [`LinkHost::keep_secret`] returned; one that was lost on the way
    /// is removed, and another one issued. One that ends within thirty days, or within a third of
    /// its lifetime, gets a successor and stays valid beside it.
    ///
    /// It takes half a minute as a rule, since Entra's replicas learn of a change one after the
    /// other; each step gives up after [the window](crate::Replication) of five minutes, with
    /// [`Error::NotReplicated`], and goes on from there when it is called again. What the tenant
    /// would refuse is [`Error::Refused`], before anything is changed.
    pub async fn apply(&self, graph: &GraphClient, host: &dyn LinkHost) -> Result<Linked, Error> {
        let faults = self.faults();
        if !faults.is_empty() {
            return Err(Error::Refused(faults.into()));
        }
        let survey = Box::pin(self.survey(graph)).await?;
        let mut refusals = survey.plan.refusals;
        refusals.extend(survey.missing);
        if !refusals.is_empty() {
            return Err(Error::Refused(refusals.into()));
        }
        let steps = Steps {
            blueprint: self,
            graph,
            host,
            tenant: &survey.tenant,
        };
        let application = steps.registration().await?;
        let (client_id, object_id) = ids(&application)?;
        let application = steps.app_id_uris(application).await?;
        let service_principal_id = steps.service_principal(&client_id).await?;
        steps.consent(&service_principal_id).await?;
        steps.ownership(&application, &service_principal_id).await?;
        steps.certificate(&application).await?;
        steps.secret(&application).await?;
        steps.last_look().await?;
        Ok(Linked {
            client_id,
            object_id,
            service_principal_id,
        })
    }
}

/// A linked application: what the product stores beside its credential.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Linked {
    /// The application (client) id.
    pub client_id: ClientId,
    /// The object id of the registration.
    pub object_id: ObjectId,
    /// The object id of the service principal.
    pub service_principal_id: ObjectId,
}

fn ids(application: &Application) -> Result<(ClientId, ObjectId), Error> {
    match (application.app_id, application.id) {
        (Some(client_id), Some(object_id)) => Ok((client_id, object_id)),
        _ => Err(Error::InvalidRequest(
            "the application was read without its ids",
        )),
    }
}

/// One apply under way.
struct Steps<'a> {
    blueprint: &'a Blueprint,
    graph: &'a GraphClient,
    host: &'a dyn LinkHost,
    tenant: &'a TenantView,
}

impl Steps<'_> {
    fn begin(&self, step: usize, what: &'static str) {
        tracing::info!(step, what, "applying a blueprint");
        self.host.progress(&Progress {
            step,
            steps: STEPS,
            what,
        });
    }

    /// Step 1: the registration is there and says what the blueprint says.
    async fn registration(&self) -> Result<Application, Error> {
        self.begin(1, "app registration");
        let object_id = match (&self.blueprint.registration, &self.tenant.application) {
            (_, Some(application)) => {
                if self.patch_for(application)? == Application::default() {
                    return Ok(application.clone());
                }
                ids(application)?.1
            }
            (Registration::Adopted(client_id), None) => {
                return Err(Error::ApplicationNotFound(*client_id));
            }
            (Registration::Keyed(key), None) => self.create(key).await?,
        };
        // Collections are replaced as a whole: what a replica that is behind leaves out would be
        // lost.
        let applications = self.graph.applications();
        let recent = self.recent("the app registration");
        let current = recent.until_agreed(|| applications.get(&object_id)).await?;
        let patch = self.patch_for(&current)?;
        if patch != Application::default() {
            recent
                .once_known(|| applications.update(&object_id, &patch))
                .await?;
        }
        self.settled(&object_id, |application| {
            Ok(self.patch_for(application)? == Application::default())
        })
        .await
    }

    /// Makes the registration, with its name alone: if it was there all the same, and a replica
    /// did not know, nothing of it is lost.
    async fn create(&self, key: &str) -> Result<ObjectId, Error> {
        let applications = self.graph.applications();
        let named = self.blueprint.named();
        let recent = self.recent("the app registration");
        let upserted = recent
            .once_known(|| applications.upsert(key, &named))
            .await?;
        let application = match upserted {
            Upserted::Created(application) => *application,
            Upserted::Updated => {
                recent
                    .until_visible(|| applications.by_unique_name(key))
                    .await?
            }
        };
        Ok(ids(&application)?.1)
    }

    /// Reads the registration until every replica shows what was written.
    async fn settled(
        &self,
        object_id: &ObjectId,
        is_written: impl Fn(&Application) -> Result<bool, Error> + Send + Sync,
    ) -> Result<Application, Error> {
        let is_written = &is_written;
        self.recent("the app registration")
            .until_visible(|| async move {
                let application = self.graph.applications().get(object_id).await?;
                Ok(is_written(&application)?.then_some(application))
            })
            .await
    }

    /// Step 2: the App ID URIs. A call of its own, since the default URI contains the client id.
    async fn app_id_uris(&self, application: Application) -> Result<Application, Error> {
        self.begin(2, "App ID URI");
        let (client_id, object_id) = ids(&application)?;
        let Some(patch) = self
            .blueprint
            .app_id_uri_patch_for(&application, &client_id)
        else {
            return Ok(application);
        };
        let applications = self.graph.applications();
        self.recent("the app registration")
            .once_known(|| applications.update(&object_id, &patch))
            .await?;
        self.settled(&object_id, |application| {
            let missing = self.blueprint.app_id_uri_patch_for(application, &client_id);
            Ok(missing.is_none())
        })
        .await
    }

    /// Step 3: the service principal, without which nothing can be consented to.
    async fn service_principal(&self, client_id: &ClientId) -> Result<ObjectId, Error> {
        self.begin(3, "service principal");
        let principals = self.graph.service_principals();
        let found = principals.by_app_id(client_id).await?;
        let principal = match found.and_then(|principal| principal.id) {
            Some(principal) => return Ok(principal),
            None => {
                let recent = self.recent("the service principal");
                recent.once_known(|| principals.create(client_id)).await?;
                recent
                    .until_visible(|| principals.by_app_id(client_id))
                    .await?
            }
        };
        principal.id.ok_or(Error::InvalidRequest(
            "the service principal was read without its id",
        ))
    }

    /// Step 4: admin consent. What is granted already is left as it is.
    async fn consent(&self, principal: &ObjectId) -> Result<(), Error> {
        self.begin(4, "admin consent");
        let consent = self.graph.consent();
        let Some(resource) = self.tenant.catalog.resource() else {
            return if self.blueprint.permissions.is_empty() {
                Ok(())
            } else {
                Err(Error::InvalidRequest(
                    "the set-up credential may not read Microsoft Graph's service principal; it needs Application.Read.All",
                ))
            };
        };
        let missing = |permission: &&Permission| self.tenant.grants(permission) != Some(true);
        for permission in self.blueprint.application_permissions().filter(missing) {
            let role = self.resolve(permission)?.id;
            self.recent("the service principal")
                .once_known(|| consent.grant_app_role(principal, resource, &role))
                .await?;
        }
        let scopes: Vec<&str> = self
            .blueprint
            .delegated_permissions()
            .filter(missing)
            .map(Permission::name)
            .collect();
        if !scopes.is_empty() {
            self.recent("the service principal")
                .once_known(|| consent.grant_scopes(principal, resource, &scopes))
                .await?;
        }
        Ok(())
    }

    /// Step 5: the application owns itself, where it renews its own credentials.
    async fn ownership(
        &self,
        application: &Application,
        principal: &ObjectId,
    ) -> Result<(), Error> {
        self.begin(5, "ownership");
        if !self.blueprint.self_rotation || self.tenant.owns_itself == Some(true) {
            return Ok(());
        }
        let (_, object_id) = ids(application)?;
        let applications = self.graph.applications();
        self.recent("the service principal")
            .once_known(|| applications.add_owner(&object_id, principal))
            .await
    }

    /// Step 6: the certificate, beside those that are there.
    async fn certificate(&self, application: &Application) -> Result<(), Error> {
        self.begin(6, "certificate");
        let Some(certificate) = &self.blueprint.certificate else {
            return Ok(());
        };
        if has_certificate(application, certificate) {
            return Ok(());
        }
        let (_, object_id) = ids(application)?;
        let applications = self.graph.applications();
        self.recent("the app registration")
            .once_known(|| applications.add_certificate(&object_id, NewKey::from(certificate)))
            .await
            .map(drop)
    }

    /// Step 7: the client secret. Interrupted issues are cleaned up; one that the product has and
    /// that lasts stays, else one is issued.
    async fn secret(&self, application: &Application) -> Result<(), Error> {
        self.begin(7, "client secret");
        let Some(declared) = &self.blueprint.secret else {
            return Ok(());
        };
        let (_, object_id) = ids(application)?;
        let mut state = self.agreed_secrets(&object_id, declared).await?;
        while let Some(interrupted) = state.announced.first() {
            self.clean_up(&object_id, declared, interrupted).await?;
            state = self.agreed_secrets(&object_id, declared).await?;
        }
        if let Some(key_id) = state.kept.and_then(|kept| kept.key_id)
            && self.host.has_secret(&key_id).await != Some(false)
        {
            return Ok(());
        }
        self.issue_secret(application, declared).await
    }

    /// Ends an issue that was interrupted: the secret goes, unless the product has it. Another
    /// apply that is at it just now is waited for.
    async fn clean_up(
        &self,
        object_id: &ObjectId,
        declared: &SecretDeclaration,
        interrupted: &Announced,
    ) -> Result<(), Error> {
        let is_kept = match &interrupted.key_id {
            Some(key_id) => self.host.has_secret(key_id).await == Some(true),
            None => false,
        };
        let left = interrupted.announcement.time_left(self.now());
        if !is_kept && !left.is_zero() {
            self.graph.pipeline().clock().sleep(left).await;
            let state = self.agreed_secrets(object_id, declared).await?;
            if !state.announced.contains(interrupted) {
                return Ok(());
            }
        }
        if let (false, Some(key_id)) = (is_kept, &interrupted.key_id) {
            let applications = self.graph.applications();
            applications.remove_password(object_id, key_id).await?;
        }
        self.take_back(object_id, &interrupted.announcement).await
    }

    async fn issue_secret(
        &self,
        application: &Application,
        declared: &SecretDeclaration,
    ) -> Result<(), Error> {
        let (client_id, object_id) = ids(application)?;
        let announcement = Announcement::new(self.now());
        let (tag, name) = (announcement.tag(), announcement.secret_name(&declared.name));
        let applications = self.graph.applications();
        self.recent("the app registration")
            .once_known(|| applications.edit_tags(&object_id, |tags| tags.push(tag.clone())))
            .await?;
        let end = self.now().saturating_add(declared.lifetime);
        let issued = self
            .recent("the app registration")
            .once_known(|| applications.add_password(&object_id, &name, Some(end)))
            .await?;
        let secret = IssuedSecret {
            client_id,
            key_id: issued.key_id,
            value: issued.secret,
            expires_on: issued.end,
        };
        if let Err(error) = self.host.keep_secret(&secret).await {
            // The next apply would do it; there is no reason to leave it lying about until then.
            applications
                .remove_password(&object_id, &secret.key_id)
                .await?;
            self.take_back(&object_id, &announcement).await?;
            return Err(Error::Host(error.into()));
        }
        self.take_back(&object_id, &announcement).await
    }

    async fn take_back(
        &self,
        object_id: &ObjectId,
        announcement: &Announcement,
    ) -> Result<(), Error> {
        let applications = self.graph.applications();
        let tag = announcement.tag();
        self.recent("the app registration")
            .once_known(|| {
                applications.edit_tags(object_id, |tags| tags.retain(|found| *found != tag))
            })
            .await
    }

    /// The product's secrets, once several reads in a row agree on them: a replica that is behind
    /// may still show an announcement that was taken back.
    async fn agreed_secrets(
        &self,
        object_id: &ObjectId,
        declared: &SecretDeclaration,
    ) -> Result<SecretState, Error> {
        self.recent("the client secrets")
            .until_agreed(|| async {
                let application = self.graph.applications().get(object_id).await?;
                Ok(SecretState::of(Some(&application), declared, self.now()))
            })
            .await
    }

    /// Step 8: the tenant shows everything, on every replica.
    async fn last_look(&self) -> Result<(), Error> {
        self.begin(8, "last look");
        self.recent("what was applied")
            .until_visible(|| async {
                let catalog = Arc::clone(&self.tenant.catalog);
                let tenant = TenantView::read_with(catalog, self.blueprint, self.graph).await?;
                let plan = self.blueprint.compare(&tenant, self.now());
                Ok(plan.is_empty().then_some(()))
            })
            .await
    }

    fn patch_for(&self, current: &Application) -> Result<Application, Error> {
        Ok(self.blueprint.patch_for(current, &self.tenant.catalog)?)
    }

    fn resolve(&self, permission: &Permission) -> Result<PermissionId, Error> {
        Ok(self.tenant.catalog.resolve(permission)?)
    }

    fn recent(&self, what: &'static str) -> RecentlyCreated {
        self.graph.recently_created(what)
    }

    fn now(&self) -> OffsetDateTime {
        self.graph.pipeline().clock().now()
    }
}

const STEPS: usize = 8;
