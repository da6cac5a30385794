//! The directory: every object of the tenant, and the rules that hold between them.

use serde_json::{Map, Value};
use time::OffsetDateTime;

/// An object of the directory in the shape of Microsoft Graph v1.0.
pub(crate) type Object = Map<String, Value>;

/// The directory's state. `Emulator` keeps it behind a mutex.
#[derive(Debug, Default)]
pub(crate) struct Tenant {}

/// What the token endpoint learns about a client secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SecretCheck {
    /// It is one of the application's secrets and within its lifetime.
    Valid,
    /// It was valid until then (AADSTS7000222).
    Expired(OffsetDateTime),
    /// It is no secret of this application (AADSTS7000215).
    Wrong,
    /// It is the `keyId` of a secret instead of its value (AADSTS7000215).
    IsKeyId,
}

/// What the token endpoint needs of the directory. Reads here see the sign-in service's replica.
impl Tenant {
    /// The tenant's id.
    pub(crate) fn id(&self) -> &str {
        todo!()
    }

    /// `contoso.onmicrosoft.com` and the like.
    pub(crate) fn initial_domain(&self) -> &str {
        todo!()
    }

    /// Whether a path segment of an authority (id or a verified domain) names this tenant.
    pub(crate) fn is_named(&self, _segment: &str) -> bool {
        todo!()
    }

    /// The registration of an application, unless it is not replicated to sign-in yet.
    pub(crate) fn application_by_app_id(
        &self,
        _app_id: &str,
        _now: OffsetDateTime,
    ) -> Option<&Object> {
        todo!()
    }

    /// The service principal of an application, likewise.
    pub(crate) fn service_principal_by_app_id(
        &self,
        _app_id: &str,
        _now: OffsetDateTime,
    ) -> Option<&Object> {
        todo!()
    }

    /// The service principal that answers to a resource URI, an App ID URI or an app id.
    pub(crate) fn resource(&self, _identifier: &str) -> Option<&Object> {
        todo!()
    }

    /// The values of the application permissions of `resource_id` that `client_id` (object ids
    /// of service principals) holds in a token issued at `now`.
    pub(crate) fn granted_roles(
        &self,
        _client_id: &str,
        _resource_id: &str,
        _now: OffsetDateTime,
    ) -> Vec<String> {
        todo!()
    }

    /// Compares a client secret with those of an application.
    pub(crate) fn check_secret(
        &self,
        _app_id: &str,
        _secret: &str,
        _now: OffsetDateTime,
    ) -> SecretCheck {
        todo!()
    }
}
