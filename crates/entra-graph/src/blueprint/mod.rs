//! A product's integration as values: what differs from the tenant, made so, tested, explained.
//!
//! A [`Blueprint`] declares what a product needs of a tenant. [`Blueprint::plan`] compares,
//! [`Blueprint::apply`] makes it so, [`Blueprint::test_connection`] says what works, and
//! [`Blueprint::guide`] writes the same as a page for an administrator who prefers to click.
//!
//! The credential that applies a blueprint and the credential that the product runs with are two
//! different things. The first needs `Application.ReadWrite.All` (or `.OwnedBy`) and
//! `AppRoleAssignment.ReadWrite.All`, which is as much as everything, and is dropped afterwards.

mod apply;
mod change;
mod connection_test;
mod declaration;
mod guide;
mod id_token;
mod link_host;
mod login_registration;
mod oidc_login;
mod plan;
mod preflight;
mod profile;
mod redirect_uri;
mod refusal;
mod registration;
mod secret_state;
mod set_up_permission;
mod tenant_view;

pub use apply::Linked;
pub use change::Change;
pub use id_token::GroupClaims;
pub use link_host::{IssuedSecret, LinkHost, MemoryHost, Progress};
pub use login_registration::LoginRegistration;
pub use oidc_login::OidcLogin;
pub use plan::{Plan, Target};
pub use redirect_uri::{Platform, RedirectUriFault};
pub use refusal::Refusal;

use std::sync::Arc;

use entra_core::{Certificate, ClientId, Probe};
use time::Duration;

use crate::{Permission, PermissionKind, SignInAudience};
use id_token::RoleDeclaration;

/// What a product needs of a tenant. Declared once, by the product's developer.
///
/// What an administrator added beside it, further redirect URIs or permissions, is left alone.
///
/// ```
/// use entra_graph::{Blueprint, Permission};
/// use time::Duration;
///
/// let blueprint = Blueprint::new("acme-mdm-prod", "Acme Device Manager")
///     .with_app_id_uri("https://mdm.contoso.example")
///     .with_web_redirect_uri("https://mdm.contoso.example/login/callback")
///     .with_permission(Permission::application("User.Read.All"))
///     .with_permission(Permission::application("Group.Read.All"))
///     .with_secret(Duration::days(180));
/// println!("{}", blueprint.guide(&entra_core::Cloud::public()));
/// ```
#[derive(Clone, Debug)]
pub struct Blueprint {
    registration: Registration,
    display_name: String,
    audience: SignInAudience,
    app_id_uris: Vec<String>,
    redirect_uris: Vec<(Platform, String)>,
    logout_url: Option<String>,
    id_token_claims: Vec<String>,
    groups: Option<GroupClaims>,
    app_roles: Vec<RoleDeclaration>,
    permissions: Vec<Permission>,
    secret: Option<SecretDeclaration>,
    certificate: Option<Certificate>,
    self_rotation: bool,
    probes: Vec<Arc<dyn Probe>>,
}

impl Blueprint {
    /// A blueprint under a key that stays the same for ever, and a name that people see.
    ///
    /// The key becomes the application's `uniqueName`: 1 to 128 letters, digits, dots, hyphens and
    /// underscores. Two applies with one key end in one application, also when the first was
    /// interrupted. A product that is linked several times
    /// to one tenant makes the key different, with its own host name for example.
    pub fn new(key: impl Into<String>, display_name: impl Into<String>) -> Self {
        Self {
            registration: Registration::Keyed(key.into()),
            display_name: display_name.into(),
            audience: SignInAudience::MyOrganization,
            app_id_uris: Vec::new(),
            redirect_uris: Vec::new(),
            logout_url: None,
            id_token_claims: Vec::new(),
            groups: None,
            app_roles: Vec::new(),
            permissions: Vec::new(),
            secret: None,
            certificate: None,
            self_rotation: false,
            probes: Vec::new(),
        }
    }

    /// Takes the application that an administrator made by hand instead of making one. Its name
    /// and audience are left as they are.
    ///
    /// Planning and testing then need no more than what the app may read of itself; what it may
    /// not read is part of the plan's notes.
    #[must_use]
    pub fn adopt(mut self, client_id: ClientId) -> Self {
        self.registration = Registration::Adopted(client_id);
        self
    }

    /// Who may sign in; the tenant's own accounts by default.
    #[must_use]
    pub fn with_audience(mut self, audience: SignInAudience) -> Self {
        self.audience = audience;
        self
    }

    /// Adds an App ID URI (`identifierUris`). Its host must be a verified domain of the tenant or
    /// below one; `api://{client_id}` in this very spelling stands for the app's own default URI.
    #[must_use]
    pub fn with_app_id_uri(mut self, uri: impl Into<String>) -> Self {
        self.app_id_uris.push(uri.into());
        self
    }

    /// Adds a redirect URI of the web platform. ID and access tokens are not issued from the
    /// authorization endpoint (the implicit grant stays off), codes are.
    #[must_use]
    pub fn with_web_redirect_uri(self, uri: impl Into<String>) -> Self {
        self.with_redirect_uri(Platform::Web, uri)
    }

    /// Adds a redirect URI of a platform.
    #[must_use]
    pub fn with_redirect_uri(mut self, platform: Platform, uri: impl Into<String>) -> Self {
        self.redirect_uris.push((platform, uri.into()));
        self
    }

    /// Sets the URL that Entra calls when a user signs out elsewhere (front-channel logout).
    #[must_use]
    pub fn with_logout_url(mut self, url: impl Into<String>) -> Self {
        self.logout_url = Some(url.into());
        self
    }

    /// Adds an optional claim to ID tokens (Microsoft Learn, "Optional claims reference"). One that
    /// is there stays as it is.
    #[must_use]
    pub fn with_id_token_claim(mut self, name: impl Into<String>) -> Self {
        let name = name.into();
        if !self.id_token_claims.contains(&name) {
            self.id_token_claims.push(name);
        }
        self
    }

    /// Puts groups into tokens. A setting that includes these groups is left as it is.
    #[must_use]
    pub fn with_group_claims(mut self, groups: GroupClaims) -> Self {
        self.groups = Some(groups);
        self
    }

    /// Adds a role that administrators assign to users and groups (**Enterprise applications >
    /// Users and groups**). `value` stands in the claim `roles` of a token: up to 120 characters
    /// without white space.
    #[must_use]
    pub fn with_app_role(
        mut self,
        value: impl Into<String>,
        display_name: impl Into<String>,
        description: impl Into<String>,
    ) -> Self {
        self.app_roles.push(RoleDeclaration {
            value: value.into(),
            display_name: display_name.into(),
            description: description.into(),
        });
        self
    }

    /// Adds a permission on Microsoft Graph, to be declared and consented to.
    #[must_use]
    pub fn with_permission(mut self, permission: Permission) -> Self {
        if !self.permissions.contains(&permission) {
            self.permissions.push(permission);
        }
        self
    }

    /// Wants a client secret that is valid for `lifetime` (a [`time::Duration`], one hour to ten
    /// years). Its value goes to [`LinkHost::keep_secret`] once.
    #[must_use]
    pub fn with_secret(mut self, lifetime: Duration) -> Self {
        self.secret = Some(SecretDeclaration {
            name: DEFAULT_SECRET_NAME.to_owned(),
            lifetime,
        });
        self
    }

    /// The same under a name of its own, as the portal lists it. The name tells the product's
    /// secret from those that an administrator made.
    #[must_use]
    pub fn with_named_secret(mut self, name: impl Into<String>, lifetime: Duration) -> Self {
        self.secret = Some(SecretDeclaration {
            name: name.into(),
            lifetime,
        });
        self
    }

    /// Wants this certificate registered. The private key never leaves the product.
    #[must_use]
    pub fn with_certificate(mut self, certificate: Certificate) -> Self {
        self.certificate = Some(certificate);
        self
    }

    /// Lets the app renew its own credentials ([`Rotation`](crate::Rotation)): it gets the
    /// permission `Application.ReadWrite.OwnedBy`, which is for registrations that it owns, and
    /// owns its own one alone.
    ///
    /// To make it so the set-up credential needs `Directory.Read.All` too.
    #[must_use]
    pub fn with_self_rotation(self) -> Self {
        let mut blueprint = self.with_permission(Permission::application(MANAGE_OWNED));
        blueprint.self_rotation = true;
        blueprint
    }

    /// Adds a check of the product's own to [`test_connection`](Self::test_connection), that its
    /// server is reachable from outside for example. It runs after the others, whatever they found.
    #[must_use]
    pub fn with_probe(mut self, probe: Arc<dyn Probe>) -> Self {
        self.probes.push(probe);
        self
    }

    /// The name that people see.
    pub fn display_name(&self) -> &str {
        &self.display_name
    }

    /// The permissions on Microsoft Graph.
    pub fn permissions(&self) -> &[Permission] {
        &self.permissions
    }

    fn is_adopted(&self) -> bool {
        matches!(self.registration, Registration::Adopted(_))
    }

    fn application_permissions(&self) -> impl Iterator<Item = &Permission> {
        self.permissions
            .iter()
            .filter(|permission| permission.kind() == PermissionKind::Application)
    }

    fn delegated_permissions(&self) -> impl Iterator<Item = &Permission> {
        self.permissions
            .iter()
            .filter(|permission| permission.kind() == PermissionKind::Delegated)
    }

    fn redirect_uris_of(&self, platform: Platform) -> impl Iterator<Item = &str> {
        self.redirect_uris
            .iter()
            .filter(move |(of, _)| *of == platform)
            .map(|(_, uri)| uri.as_str())
    }

    /// The App ID URIs once the client id is known.
    fn app_id_uris_for(&self, client_id: &ClientId) -> impl Iterator<Item = String> {
        let client_id = client_id.to_string();
        self.app_id_uris
            .iter()
            .map(move |uri| uri.replace(CLIENT_ID_PLACEHOLDER, &client_id))
    }
}

/// Which application the blueprint is about.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Registration {
    /// The one with this `uniqueName`.
    Keyed(String),
    /// One that an administrator made.
    Adopted(ClientId),
}

/// A client secret as declared.
#[derive(Clone, Debug, PartialEq, Eq)]
struct SecretDeclaration {
    name: String,
    lifetime: Duration,
}

/// Where the portal lists a kind of permission.
fn portal_section(kind: PermissionKind) -> &'static str {
    match kind {
        PermissionKind::Application => "Application permissions",
        PermissionKind::Delegated => "Delegated permissions",
    }
}

const CLIENT_ID_PLACEHOLDER: &str = "{client_id}";
const MANAGE_OWNED: &str = "Application.ReadWrite.OwnedBy";
pub(crate) const DEFAULT_SECRET_NAME: &str = "Issued by blueprint";
