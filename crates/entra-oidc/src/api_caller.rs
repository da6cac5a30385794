//! Who calls an API, and what they may do.

use std::fmt;
use std::sync::Arc;

use entra_core::{ClientId, JwtRefusal, Secret, UserKey, VerifiedJwt};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::verified_id_token::claim;
use crate::{ApiRefusal, AuthContext};

/// Who calls, by a token that passed every check. Only [`ApiValidator`](crate::ApiValidator) makes
/// one. A clone is cheap.
///
/// The `require_…` functions answer with the refusal to send back, so that a handler reads as what
/// it needs. Names of scopes and roles are compared letter by letter.
#[derive(Clone)]
pub struct ApiCaller(Arc<Inner>);

struct Inner {
    jwt: VerifiedJwt,
    token: Secret,
    key: UserKey,
    client: ClientId,
    permissions: Permissions,
}

/// What somebody allowed the caller.
#[derive(Debug)]
pub(crate) struct Permissions {
    pub(crate) is_app_only: bool,
    pub(crate) scopes: Vec<String>,
    pub(crate) roles: Vec<String>,
    pub(crate) auth_contexts: Vec<AuthContext>,
    pub(crate) capabilities: Vec<String>,
}

impl ApiCaller {
    pub(crate) fn new(
        jwt: VerifiedJwt,
        token: Secret,
        key: UserKey,
        client: ClientId,
        permissions: Permissions,
    ) -> Self {
        Self(Arc::new(Inner {
            jwt,
            token,
            key,
            client,
            permissions,
        }))
    }

    /// The user for whom the application acts; the application's own object in the tenant, its
    /// service principal, where it acts for itself.
    pub fn key(&self) -> &UserKey {
        &self.0.key
    }

    /// The calling application.
    pub fn client(&self) -> ClientId {
        self.0.client
    }

    /// Whether the application acts for itself.
    pub fn is_app_only(&self) -> bool {
        self.0.permissions.is_app_only
    }

    /// What the application may do for the user: `scp`.
    pub fn scopes(&self) -> &[String] {
        &self.0.permissions.scopes
    }

    /// The roles of the user, or of the application that acts for itself.
    pub fn roles(&self) -> &[String] {
        &self.0.permissions.roles
    }

    /// The authentication contexts that the user passed.
    pub fn auth_contexts(&self) -> &[AuthContext] {
        &self.0.permissions.auth_contexts
    }

    /// What the application says that it understands: `xms_cc`.
    pub fn capabilities(&self) -> &[String] {
        &self.0.permissions.capabilities
    }

    /// Whether the application understands claims challenges: the capability `cp1`.
    pub fn understands_challenges(&self) -> bool {
        let mut capabilities = self.capabilities().iter();
        capabilities.any(|capability| capability.eq_ignore_ascii_case("cp1"))
    }

    /// The token itself, to call another API on behalf of the user
    /// ([`ConfidentialClient::on_behalf_of`](entra_core::ConfidentialClient::on_behalf_of)).
    pub fn token(&self) -> &Secret {
        &self.0.token
    }

    /// The application acts for a user, and may do this.
    ///
    /// # Errors
    /// [`ApiRefusal::ApplicationToken`] and [`ApiRefusal::ScopeMissing`].
    pub fn require_scope(&self, scope: &str) -> Result<(), ApiRefusal> {
        self.require_any_scope(&[scope])
    }

    /// The application acts for a user, and may do one of these.
    ///
    /// # Errors
    /// [`ApiRefusal::ApplicationToken`] and [`ApiRefusal::ScopeMissing`].
    pub fn require_any_scope(&self, scopes: &[&str]) -> Result<(), ApiRefusal> {
        if self.is_app_only() {
            return Err(ApiRefusal::ApplicationToken);
        }
        if has_any(self.scopes(), scopes) {
            return Ok(());
        }
        Err(ApiRefusal::ScopeMissing {
            wanted: scopes.join(" "),
        })
    }

    /// The user, or the application that acts for itself, has this role.
    ///
    /// # Errors
    /// [`ApiRefusal::RoleMissing`].
    pub fn require_role(&self, role: &str) -> Result<(), ApiRefusal> {
        self.require_any_role(&[role])
    }

    /// The user, or the application that acts for itself, has one of these roles.
    ///
    /// # Errors
    /// [`ApiRefusal::RoleMissing`].
    pub fn require_any_role(&self, roles: &[&str]) -> Result<(), ApiRefusal> {
        if has_any(self.roles(), roles) {
            return Ok(());
        }
        Err(ApiRefusal::RoleMissing {
            wanted: roles.join(" "),
        })
    }

    /// The application acts for a user and has the scope, or for itself and has the role: for a
    /// call that serves both.
    ///
    /// # Errors
    /// [`ApiRefusal::ScopeMissing`] and [`ApiRefusal::RoleMissing`].
    pub fn require_scope_or_app_role(&self, scope: &str, role: &str) -> Result<(), ApiRefusal> {
        if self.is_app_only() {
            self.require_role(role)
        } else {
            self.require_scope(scope)
        }
    }

    /// The application acts for itself, not for a user.
    ///
    /// # Errors
    /// [`ApiRefusal::UserToken`].
    pub fn require_application(&self) -> Result<(), ApiRefusal> {
        if self.is_app_only() {
            return Ok(());
        }
        Err(ApiRefusal::UserToken)
    }

    /// The user passed this authentication context. If not, the answer asks for it where the
    /// application understands that (Microsoft Learn, "Claims challenges, claims requests, and
    /// client capabilities").
    ///
    /// # Errors
    /// [`ApiRefusal::AuthContextMissing`].
    pub fn require_auth_context(&self, context: AuthContext) -> Result<(), ApiRefusal> {
        if self.auth_contexts().contains(&context) {
            return Ok(());
        }
        Err(ApiRefusal::AuthContextMissing {
            wanted: context,
            understood: self.understands_challenges(),
        })
    }

    /// A claim; none where it is absent.
    ///
    /// # Errors
    /// [`JwtRefusal::Claims`] where it has another shape.
    pub fn get<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, JwtRefusal> {
        claim(&self.0.jwt, name)
    }

    /// All claims, read into a type of the caller's.
    ///
    /// # Errors
    /// [`JwtRefusal::Claims`] where they have another shape.
    pub fn claims<'de, T: Deserialize<'de>>(&'de self) -> Result<T, JwtRefusal> {
        self.0.jwt.claims()
    }
}

impl fmt::Debug for ApiCaller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiCaller")
            .field("key", &self.0.key)
            .field("client", &self.0.client)
            .field("is_app_only", &self.is_app_only())
            .finish_non_exhaustive()
    }
}

/// Whether one of the wanted is there, word for word.
fn has_any(found: &[String], wanted: &[&str]) -> bool {
    found.iter().any(|found| wanted.contains(&found.as_str()))
}
