//! Makes a tenant as a blueprint wants it, one resumable step after the other.

use std::error::Error as StdError;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use entra_core::{
    Certificate, ClientCredential, ClientId, ClientSecret, ClientSecretError, ObjectId, Secret,
};
use time::OffsetDateTime;
use uuid::Uuid;

use super::tenant_view::TenantView;
use super::{Blueprint, Platform, Registration, SecretDeclaration, preflight};
use crate::{
    Application, Error, GRAPH_APP_ID, GraphClient, ImplicitGrantSettings, KeyCredential, NewKey,
    PasswordCredential, Permission, PermissionId, PublicClientSettings, RecentlyCreated,
    RequiredResourceAccess, SpaSettings, Upserted, WebSettings,
};

impl Blueprint {
    /// Makes the tenant as the blueprint wants it, and returns once the tenant shows it.
    ///
    /// It may be interrupted at any moment and called again: each step looks first at what is
    /// there, and the application is found by its key. The steps, in order: registration, App ID
    /// URIs, service principal, consent, certificate, client secret, a last look. A client secret
    /// counts as kept only once [`LinkHost::keep_secret`] returned; one that was lost on the way
    /// is removed, and another one issued. Apply one blueprint from one place at a time.
    pub async fn apply(&self, graph: &GraphClient, host: &dyn LinkHost) -> Result<Linked, Error> {
        let tenant = TenantView::read(self, graph).await?;
        let refusals = preflight::check(self, graph, &tenant).await?.refusals;
        if !refusals.is_empty() {
            return Err(Error::Refused(refusals.into()));
        }
        let steps = Steps {
            blueprint: self,
            graph,
            host,
            tenant: &tenant,
        };
        let application = steps.registration().await?;
        let (client_id, object_id) = ids(&application)?;
        let application = steps.app_id_uris(application).await?;
        let service_principal_id = steps.service_principal(&client_id).await?;
        steps.consent(&service_principal_id).await?;
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

/// What the product contributes while it is linked.
#[async_trait]
pub trait LinkHost: Debug + Send + Sync {
    /// A step begins.
    fn progress(&self, progress: &Progress);

    /// A client secret was issued, and Entra will never show it again. Store it durably before
    /// returning: only then is the secret counted as kept. An error ends the apply, and the next
    /// one issues another secret in its place.
    async fn keep_secret(
        &self,
        secret: &IssuedSecret,
    ) -> Result<(), Box<dyn StdError + Send + Sync>>;
}

/// What is being done.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// The number of this step, from 1 on.
    pub step: usize,
    /// How many steps there are.
    pub steps: usize,
    /// What it does, for people.
    pub what: &'static str,
}

/// A client secret at the one moment at which its value is known.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct IssuedSecret {
    /// The application that it belongs to.
    pub client_id: ClientId,
    /// The id under which the portal lists it («Secret ID»).
    pub key_id: Uuid,
    /// The value.
    pub value: Secret,
    /// When it ends.
    pub expires_on: Option<OffsetDateTime>,
}

impl IssuedSecret {
    /// The credential that the product signs in with.
    pub fn credential(&self) -> Result<ClientCredential, ClientSecretError> {
        ClientSecret::try_from(&self.value).map(ClientCredential::secret)
    }
}

/// A [`LinkHost`] that keeps the secret in memory and reports no progress: for tests and for
/// programs that store it themselves once [`apply`](Blueprint::apply) returned.
#[derive(Debug, Default)]
pub struct MemoryHost {
    secret: Mutex<Option<IssuedSecret>>,
}

impl MemoryHost {
    /// The secret that was issued last.
    pub fn secret(&self) -> Option<IssuedSecret> {
        self.secret
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

#[async_trait]
impl LinkHost for MemoryHost {
    fn progress(&self, _progress: &Progress) {}

    async fn keep_secret(
        &self,
        secret: &IssuedSecret,
    ) -> Result<(), Box<dyn StdError + Send + Sync>> {
        *self.secret.lock().unwrap_or_else(PoisonError::into_inner) = Some(secret.clone());
        Ok(())
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

/// The redirect URIs of one platform.
pub(super) fn redirect_uris(application: &Application, platform: Platform) -> &[String] {
    let uris = match platform {
        Platform::Web => application
            .web
            .as_ref()
            .and_then(|web| web.redirect_uris.as_ref()),
        Platform::SinglePage => application
            .spa
            .as_ref()
            .and_then(|spa| spa.redirect_uris.as_ref()),
        Platform::PublicClient => application
            .public_client
            .as_ref()
            .and_then(|client| client.redirect_uris.as_ref()),
    };
    uris.map(Vec::as_slice).unwrap_or_default()
}

/// Whether a certificate is registered. Graph identifies it by its SHA-1 thumbprint unless told
/// otherwise, and shows the certificate itself only where one object is read with a selection.
pub(super) fn has_certificate(application: &Application, certificate: &Certificate) -> bool {
    application
        .key_credentials
        .iter()
        .flatten()
        .any(|key| is_certificate(key, certificate))
}

fn is_certificate(key: &KeyCredential, certificate: &Certificate) -> bool {
    let thumbprint = certificate.thumbprint_sha1();
    key.key
        .as_ref()
        .is_some_and(|key| key.as_bytes() == certificate.der())
        || key
            .custom_key_identifier
            .as_ref()
            .is_some_and(|found| found.eq_ignore_ascii_case(&thumbprint))
}

/// The product's client secrets, as the tenant knows them.
pub(super) struct SecretState<'a> {
    /// The one that reached the product and is valid.
    pub(super) kept: Option<&'a PasswordCredential>,
    /// Those whose value was lost on the way.
    pub(super) orphans: Vec<Uuid>,
}

/// Tells a secret that reached the product from one that was lost: the registration carries a
/// tag for each that was kept.
pub(super) fn secret_state<'a>(
    application: Option<&'a Application>,
    name: &str,
    now: OffsetDateTime,
) -> SecretState<'a> {
    let mut state = SecretState {
        kept: None,
        orphans: Vec::new(),
    };
    let Some(application) = application else {
        return state;
    };
    let secrets = application
        .password_credentials
        .iter()
        .flatten()
        .filter(|secret| secret.display_name.as_deref() == Some(name));
    for secret in secrets {
        let Some(key_id) = secret.key_id else {
            continue;
        };
        let is_kept = application
            .tags
            .iter()
            .flatten()
            .any(|tag| *tag == kept_tag(&key_id));
        if !is_kept {
            state.orphans.push(key_id);
        } else if secret.end_date_time.is_none_or(|end| end > now) {
            state.kept = Some(secret);
        }
    }
    state
}

fn kept_tag(key_id: &Uuid) -> String {
    format!("{KEPT_TAG}{key_id}")
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
        let applications = self.graph.applications();
        let object_id = match (&self.blueprint.registration, &self.tenant.application) {
            (_, Some(application)) => {
                let (_, object_id) = ids(application)?;
                let patch = self.wanted(Some(application))?;
                if patch == Application::default() {
                    return Ok(application.clone());
                }
                self.recent("the app registration")
                    .once_known(|| applications.update(&object_id, &patch))
                    .await?;
                object_id
            }
            (Registration::Adopted(client_id), None) => {
                return Err(Error::ApplicationNotFound(*client_id));
            }
            (Registration::Keyed(key), None) => self.create(key).await?,
        };
        self.settled(&object_id, |application| {
            Ok(self.wanted(Some(application))? == Application::default())
        })
        .await
    }

    /// Makes the registration. Repeated, it updates the same one.
    async fn create(&self, key: &str) -> Result<ObjectId, Error> {
        let applications = self.graph.applications();
        let wanted = self.wanted(None)?;
        // An earlier apply may have made it a moment ago: a replica then neither finds it nor
        // makes another one.
        let upserted = self
            .recent("the app registration")
            .once_known(|| applications.upsert(key, &wanted))
            .await?;
        match upserted {
            Upserted::Created(application) => Ok(ids(&application)?.1),
            Upserted::Updated => {
                let application = self
                    .recent("the app registration")
                    .until_visible(|| applications.by_unique_name(key))
                    .await?;
                Ok(ids(&application)?.1)
            }
        }
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

    /// What to write: everything for a new registration, else what differs.
    fn wanted(&self, current: Option<&Application>) -> Result<Application, Error> {
        let blueprint = self.blueprint;
        let mut patch = Application {
            web: self.wanted_web(current),
            spa: self
                .wanted_uris(current, Platform::SinglePage)
                .map(|uris| SpaSettings {
                    redirect_uris: Some(uris),
                }),
            public_client: self
                .wanted_uris(current, Platform::PublicClient)
                .map(|uris| PublicClientSettings {
                    redirect_uris: Some(uris),
                }),
            required_resource_access: self.wanted_declarations(current)?,
            ..Application::default()
        };
        let is_ours = !blueprint.is_adopted();
        let name = current.and_then(|app| app.display_name.as_deref());
        if is_ours && name != Some(&blueprint.display_name) {
            patch.display_name = Some(blueprint.display_name.clone());
        }
        let audience = current.and_then(|app| app.sign_in_audience.as_ref());
        if is_ours && audience != Some(&blueprint.audience) {
            patch.sign_in_audience = Some(blueprint.audience.clone());
        }
        Ok(patch)
    }

    fn wanted_web(&self, current: Option<&Application>) -> Option<WebSettings> {
        let present = current.and_then(|app| app.web.clone()).unwrap_or_default();
        let implicit = present.implicit_grant_settings.unwrap_or_default();
        let tokens_on = implicit.enable_id_token_issuance == Some(true)
            || implicit.enable_access_token_issuance == Some(true);
        let off = (current.is_none() || tokens_on).then_some(ImplicitGrantSettings {
            enable_id_token_issuance: Some(false),
            enable_access_token_issuance: Some(false),
        });
        let logout = self.blueprint.logout_url.as_ref();
        let logout =
            logout.filter(|url| present.logout_url.as_ref() != Some(&Some((*url).clone())));
        let web = WebSettings {
            redirect_uris: self.wanted_uris(current, Platform::Web),
            implicit_grant_settings: off,
            logout_url: logout.map(|url| Some(url.clone())),
            ..WebSettings::default()
        };
        (web != WebSettings::default()).then_some(web)
    }

    /// The redirect URIs of a platform with those that are missing; nothing if none is.
    fn wanted_uris(
        &self,
        current: Option<&Application>,
        platform: Platform,
    ) -> Option<Vec<String>> {
        let present = current
            .map(|app| redirect_uris(app, platform))
            .unwrap_or_default();
        let mut uris = present.to_vec();
        for uri in self.blueprint.redirect_uris_of(platform) {
            if !uris.iter().any(|other| other == uri) {
                uris.push(uri.to_owned());
            }
        }
        (uris.len() > present.len()).then_some(uris)
    }

    /// `requiredResourceAccess` with the permissions that are missing; nothing if none is.
    fn wanted_declarations(
        &self,
        current: Option<&Application>,
    ) -> Result<Option<Vec<RequiredResourceAccess>>, Error> {
        let mut declared = current
            .and_then(|app| app.required_resource_access.clone())
            .unwrap_or_default();
        let position = declared
            .iter()
            .position(|resource| resource.resource_app_id == GRAPH_APP_ID);
        let mut resource = match position {
            Some(position) => declared.remove(position),
            None => RequiredResourceAccess {
                resource_app_id: GRAPH_APP_ID.to_owned(),
                resource_access: Vec::new(),
            },
        };
        let before = resource.resource_access.len();
        for permission in &self.blueprint.permissions {
            let access = self.resolve(permission)?.resource_access();
            if !resource.resource_access.contains(&access) {
                resource.resource_access.push(access);
            }
        }
        if resource.resource_access.len() == before {
            return Ok(None);
        }
        declared.push(resource);
        Ok(Some(declared))
    }

    /// Step 2: the App ID URIs. A call of its own, since the default URI contains the client id.
    async fn app_id_uris(&self, application: Application) -> Result<Application, Error> {
        self.begin(2, "App ID URI");
        let (client_id, object_id) = ids(&application)?;
        let mut uris = application.identifier_uris.clone().unwrap_or_default();
        let before = uris.len();
        for uri in self.blueprint.app_id_uris_for(&client_id) {
            if !uris.contains(&uri) {
                uris.push(uri);
            }
        }
        if uris.len() == before {
            return Ok(application);
        }
        let patch = Application {
            identifier_uris: Some(uris),
            ..Application::default()
        };
        let applications = self.graph.applications();
        self.recent("the app registration")
            .once_known(|| applications.update(&object_id, &patch))
            .await?;
        self.settled(&object_id, |application| {
            let present = application.identifier_uris.as_deref().unwrap_or_default();
            Ok(self
                .blueprint
                .app_id_uris_for(&client_id)
                .all(|uri| present.contains(&uri)))
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

    /// Step 5: the certificate, beside those that are there.
    async fn certificate(&self, application: &Application) -> Result<(), Error> {
        self.begin(5, "certificate");
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

    /// Step 6: the client secret. Lost ones go, one that is kept stays, else one is issued.
    async fn secret(&self, application: &Application) -> Result<(), Error> {
        self.begin(6, "client secret");
        let Some(declared) = &self.blueprint.secret else {
            return Ok(());
        };
        let (_, object_id) = ids(application)?;
        // A replica that is behind may show a secret without its mark: look until they agree.
        let known = self.agreed_secrets(&object_id, &declared.name).await?;
        if !known.has_kept {
            self.issue_secret(application, declared).await?;
        }
        let orphans = self
            .agreed_secrets(&object_id, &declared.name)
            .await?
            .orphans;
        for orphan in &orphans {
            self.graph
                .applications()
                .remove_password(&object_id, orphan)
                .await?;
        }
        Ok(())
    }

    async fn issue_secret(
        &self,
        application: &Application,
        declared: &SecretDeclaration,
    ) -> Result<(), Error> {
        let (client_id, object_id) = ids(application)?;
        let applications = self.graph.applications();
        let end = self.now().saturating_add(declared.lifetime);
        let issued = self
            .recent("the app registration")
            .once_known(|| applications.add_password(&object_id, &declared.name, Some(end)))
            .await?;
        let secret = IssuedSecret {
            client_id,
            key_id: issued.key_id,
            value: issued.secret,
            expires_on: issued.end,
        };
        self.host
            .keep_secret(&secret)
            .await
            .map_err(|error| Error::Host(error.into()))?;
        let tag = kept_tag(&secret.key_id);
        self.recent("the app registration")
            .once_known(|| applications.add_tag(&object_id, &tag))
            .await
    }

    /// The product's secrets, once several reads in a row agree on them.
    async fn agreed_secrets(
        &self,
        object_id: &ObjectId,
        name: &str,
    ) -> Result<AgreedSecrets, Error> {
        self.recent("the client secrets")
            .until_agreed(|| async {
                let application = self.graph.applications().get(object_id).await?;
                let state = secret_state(Some(&application), name, self.now());
                Ok(AgreedSecrets {
                    has_kept: state.kept.is_some(),
                    orphans: state.orphans,
                })
            })
            .await
    }

    /// Step 7: the tenant shows everything, on every replica.
    async fn last_look(&self) -> Result<(), Error> {
        self.begin(7, "last look");
        self.recent("what was applied")
            .until_visible(|| async {
                let catalog = Arc::clone(&self.tenant.catalog);
                let tenant = TenantView::read_with(catalog, self.blueprint, self.graph).await?;
                let plan = self.blueprint.compare(&tenant, self.now());
                Ok(plan.is_empty().then_some(()))
            })
            .await
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

/// The product's secrets, as several replicas show them.
#[derive(PartialEq, Eq)]
struct AgreedSecrets {
    has_kept: bool,
    orphans: Vec<Uuid>,
}

const STEPS: usize = 7;

/// Marks a client secret whose value reached the product.
const KEPT_TAG: &str = "EntraSdkKeptSecret:";
