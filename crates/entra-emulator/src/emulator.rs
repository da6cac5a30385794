//! The local tenant as a value: it answers requests in the process, or behind a TLS front.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use entra_core::{
    Clock, Cloud, CloudError, HttpClient, Limits, MovableClock, Secret, TransportError,
    TransportErrorKind,
};
use http::{Request, Response};
use time::macros::datetime;

use crate::arc_agent::ArcAgent;
use crate::dispatch::Ending;
use crate::fault::Faults;
use crate::journal::Journal;
use crate::seed::{Seed, Seeded, SeededApp, SeededManagedIdentity, SeededPublicApp, SeededUser};
use crate::sessions::Sessions;
use crate::sign_in::SignIn;
use crate::tenant::Tenant;
use crate::workload_issuer::Cluster;

/// A local Microsoft Entra tenant.
///
/// It is an [`HttpClient`], so that code under test talks to it without a socket. Clones share
/// the same tenant. Requests are told apart by their path alone: sign-in and Microsoft Graph live
/// at one origin, and the host of a request is not looked at, unless it is one of External ID.
///
/// ```
/// use entra_core::{HttpClient, Limits};
/// use entra_emulator::{Emulator, Seed};
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let emulator = Emulator::new(Seed::default());
/// let url = format!("https://localhost/{}/discovery/v2.0/keys", emulator.tenant_id());
/// let request = http::Request::get(url).body(bytes::Bytes::new())?;
/// let limits = Limits { body: 1 << 20, deadline: std::time::Duration::from_secs(10) };
/// let answer = emulator.send(request, limits).await?;
/// assert_eq!(answer.status(), 200);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Emulator {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) settings: Settings,
    /// The agent of Azure Arc, where it has a folder.
    pub(crate) arc: Option<ArcAgent>,
    /// Built at the first request, so that the `with_…` of a new value cost nothing.
    content: OnceLock<(Mutex<Tenant>, Seeded)>,
    pub(crate) faults: Faults,
    pub(crate) journal: Journal,
    pub(crate) sessions: Sessions,
}

/// What a tenant is made from.
#[derive(Clone)]
pub(crate) struct Settings {
    seed: Seed,
    pub(crate) cloud: Cloud,
    pub(crate) clock: Arc<MovableClock>,
    arc_folder: Option<PathBuf>,
}

impl Emulator {
    /// A tenant with this content at `https://localhost`. Its clock stands at 2026-01-01 until
    /// someone sleeps on it or moves it.
    pub fn new(seed: Seed) -> Self {
        let clock = MovableClock::frozen_at(datetime!(2026-01-01 00:00 UTC));
        Self::assemble(Settings {
            seed,
            cloud: default_cloud(),
            clock: Arc::new(clock),
            arc_folder: None,
        })
    }

    /// The same content, fresh, at this origin: scheme, host and port, without a path. It is what
    /// links in answers and audiences begin with.
    pub fn with_origin(self, origin: &str) -> Result<Self, CloudError> {
        let mut settings = self.settings();
        let mut cloud = Cloud::custom(origin, origin)?;
        if let Some(pem) = settings.cloud.root_ca_pem() {
            cloud = cloud.with_root_ca_pem(pem);
        }
        settings.cloud = cloud;
        Ok(Self::assemble(settings))
    }

    /// The same content, fresh, with the certificate authority that clients have to trust, for
    /// [`cloud`](Self::cloud).
    #[must_use]
    pub fn with_root_ca_pem(self, pem: impl Into<String>) -> Self {
        let mut settings = self.settings();
        settings.cloud = settings.cloud.with_root_ca_pem(pem);
        Self::assemble(settings)
    }

    /// The same content, fresh, with this clock.
    #[must_use]
    pub fn with_clock(self, clock: Arc<MovableClock>) -> Self {
        let mut settings = self.settings();
        settings.clock = clock;
        Self::assemble(settings)
    }

    /// The same content, fresh, on a machine with the agent of Azure Arc, which writes the keys of
    /// its challenges to this folder. Microsoft's own libraries accept `/var/opt/azcmagent/tokens`
    /// alone, and on Windows `%ProgramData%\\AzureConnectedMachineAgent\\Tokens`.
    #[must_use]
    pub fn with_arc_folder(self, folder: impl Into<PathBuf>) -> Self {
        let mut settings = self.settings();
        settings.arc_folder = Some(folder.into());
        Self::assemble(settings)
    }

    /// Answers a request. Faults that break connections or come late do not apply here, and wait
    /// for a request through [`HttpClient::send`] or the TLS front.
    pub fn handle(&self, request: &Request<Bytes>) -> Response<Bytes> {
        self.exchange(request, true).answer
    }

    /// The cloud of this tenant, for clients: one origin for sign-in and Microsoft Graph.
    pub fn cloud(&self) -> Cloud {
        self.shared.settings.cloud.clone()
    }

    /// The tenant's id.
    pub fn tenant_id(&self) -> String {
        self.tenant().id().to_owned()
    }

    /// The tenant's initial domain, `<name>.onmicrosoft.com`.
    pub fn domain(&self) -> String {
        self.tenant().initial_domain().to_owned()
    }

    /// The tenant's clock. Give it to the code under test too.
    pub fn clock(&self) -> Arc<MovableClock> {
        Arc::clone(&self.shared.settings.clock)
    }

    /// Lets time pass: secrets expire, replication catches up.
    pub fn advance(&self, duration: Duration) {
        self.shared.settings.clock.advance(duration);
    }

    /// Ends the access of a user or an application, named by object id, client id or user name:
    /// Microsoft Graph answers tokens that it has with a claims challenge, where their client said
    /// that it understands one (`cp1`), and accepts those issued from now on. Other tokens live
    /// until they end (Microsoft Learn, "Continuous access evaluation").
    pub fn revoke(&self, principal: &str) -> Result<(), UnknownPrincipal> {
        let now = self.shared.settings.clock.now();
        self.tenant()
            .revoke_access(principal, now)
            .ok_or_else(|| UnknownPrincipal {
                found: principal.to_owned(),
            })
    }

    /// The applications of the seed that have a secret. The first holds every application
    /// permission of Microsoft Graph.
    pub fn apps(&self) -> Vec<SeededApp> {
        self.content().1.apps.clone()
    }

    /// The application with which an administrator sets others up: it holds every application
    /// permission of Microsoft Graph.
    #[expect(clippy::expect_used, reason = "every seed begins with it")]
    pub fn setup_app(&self) -> SeededApp {
        let apps = &self.content().1.apps;
        apps.first()
            .expect("the seed has a set-up application")
            .clone()
    }

    /// The application of the seed that users sign in to with a browser. It keeps a secret, its
    /// redirect URI is `https://localhost/signin-oidc`, its `logoutUrl`
    /// `https://localhost/signout-oidc`, and its API has the permission
    /// `api://<client id>/access_as_user`. An administrator consented to `User.Read`.
    #[expect(clippy::expect_used, reason = "every seed ends with it")]
    pub fn web_app(&self) -> SeededApp {
        let apps = &self.content().1.apps;
        apps.last().expect("the seed has a web application").clone()
    }

    /// The application of the seed on devices: without a secret, with the redirect URI
    /// `http://localhost` at any port and with device codes. It may call the API of
    /// [`web_app`](Self::web_app).
    pub fn public_app(&self) -> SeededPublicApp {
        self.content().1.public_app.clone()
    }

    /// The users of the seed that have a password.
    pub fn users(&self) -> Vec<SeededUser> {
        self.content().1.users.clone()
    }

    /// The Kubernetes cluster beside the tenant, for workload identity federation.
    pub fn cluster(&self) -> Cluster {
        let origin = self.shared.settings.cloud.graph_url();
        Cluster::new(origin, self.clock())
    }

    /// The managed identities of the company's machine, reached at the endpoints that Azure has
    /// within a machine. The first is assigned by the system.
    pub fn managed_identities(&self) -> Vec<SeededManagedIdentity> {
        self.content().1.managed_identities.clone()
    }

    /// What App Service tells its workload in `IDENTITY_HEADER`. Its `IDENTITY_ENDPOINT` is
    /// `/msi/token` of this tenant.
    pub fn identity_header(&self) -> Secret {
        self.content().1.identity_header.clone()
    }

    /// The faults that are still to come.
    pub fn faults(&self) -> Faults {
        self.shared.faults.clone()
    }

    /// What was asked so far.
    pub fn journal(&self) -> Journal {
        self.shared.journal.clone()
    }

    /// Puts the content back to the seed, and forgets faults and journal. The clock goes on, and
    /// the secrets of the seed stay the same.
    pub fn reset(&self) {
        let (fresh, _) = self.build();
        *self.tenant() = fresh;
        self.shared.sessions.clear();
        self.shared.faults.clear();
        self.shared.journal.clear();
    }

    /// What happens at the sign-in service without a request.
    pub(crate) fn with_sign_in<T>(&self, act: impl FnOnce(&mut SignIn<'_>) -> T) -> T {
        let home = self.shared.settings.cloud.graph_url();
        act(&mut SignIn {
            tenant: &mut self.tenant(),
            sessions: &self.shared.sessions,
            origin: home,
            home,
            now: self.shared.settings.clock.now(),
        })
    }

    /// Looks into the directory, or changes it.
    pub(crate) fn with_tenant<T>(&self, act: impl FnOnce(&mut Tenant) -> T) -> T {
        act(&mut self.tenant())
    }

    fn settings(&self) -> Settings {
        self.shared.settings.clone()
    }

    fn assemble(settings: Settings) -> Self {
        Self {
            shared: Arc::new(Shared {
                arc: settings.arc_folder.clone().map(ArcAgent::new),
                settings,
                content: OnceLock::new(),
                faults: Faults::default(),
                journal: Journal::default(),
                sessions: Sessions::default(),
            }),
        }
    }

    fn build(&self) -> (Tenant, Seeded) {
        let Settings {
            seed, cloud, clock, ..
        } = &self.shared.settings;
        let (mut tenant, seeded) = seed.build(clock.now());
        tenant.serve_graph_at(cloud.graph_url());
        (tenant, seeded)
    }

    pub(crate) fn content(&self) -> &(Mutex<Tenant>, Seeded) {
        self.shared.content.get_or_init(|| {
            let (tenant, seeded) = self.build();
            (Mutex::new(tenant), seeded)
        })
    }

    pub(crate) fn tenant(&self) -> MutexGuard<'_, Tenant> {
        let (tenant, _) = self.content();
        tenant.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// There is no such user or application.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is no user name, client id or object id of this tenant")]
pub struct UnknownPrincipal {
    /// What was given.
    pub found: String,
}

impl fmt::Debug for Emulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Emulator")
            .field("cloud", &self.shared.settings.cloud)
            .field("clock", &self.shared.settings.clock)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl HttpClient for Emulator {
    async fn send(
        &self,
        request: Request<Bytes>,
        limits: Limits,
    ) -> Result<Response<Bytes>, TransportError> {
        let exchange = self.exchange(&request, false);
        let clock = &self.shared.settings.clock;
        if exchange.latency > limits.deadline {
            clock.sleep(limits.deadline).await;
            return Err(TransportError::new(TransportErrorKind::Timeout));
        }
        if !exchange.latency.is_zero() {
            clock.sleep(exchange.latency).await;
        }
        if exchange.ending != Ending::Complete {
            return Err(TransportError::new(TransportErrorKind::Interrupted));
        }
        if exchange.answer.body().len() > limits.body {
            let kind = TransportErrorKind::BodyTooLarge { limit: limits.body };
            return Err(TransportError::new(kind));
        }
        Ok(exchange.answer)
    }
}

#[expect(
    clippy::expect_used,
    reason = "the constant is an origin; every test uses it"
)]
fn default_cloud() -> Cloud {
    Cloud::custom("https://localhost", "https://localhost").expect("a constant origin is valid")
}
