//! Service principals: what an app is within a tenant.

use std::time::Duration;

use entra_core::{ClientId, ObjectId};
use http::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_with::rust::double_option;
use serde_with::skip_serializing_none;
use uuid::Uuid;

use crate::application::WRITE_PERMISSION;
use crate::client::{Request, Route};
use crate::query::alternate_key;
use crate::{
    AppRole, Error, GraphClient, KeyCredential, Pages, PasswordCredential, PermissionScope, Query,
};

/// A service principal (`microsoft.graph.servicePrincipal`), «enterprise application» in the
/// portal.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct ServicePrincipal {
    /// The object id.
    #[serde(skip_serializing)]
    pub id: Option<ObjectId>,
    /// The client id of the app.
    #[serde(skip_serializing)]
    pub app_id: Option<ClientId>,
    /// The name to show.
    #[serde(skip_serializing)]
    pub display_name: Option<String>,
    /// Whether anybody may sign in to it, or it itself.
    pub account_enabled: Option<bool>,
    /// The tenant in which the app is registered.
    #[serde(skip_serializing)]
    pub app_owner_organization_id: Option<Uuid>,
    /// Whether only those may sign in who are assigned.
    pub app_role_assignment_required: Option<bool>,
    /// The roles that the app offers: its application permissions.
    #[serde(skip_serializing)]
    pub app_roles: Option<Vec<AppRole>>,
    /// The delegated permissions that the app offers.
    #[serde(skip_serializing)]
    pub oauth2_permission_scopes: Option<Vec<PermissionScope>>,
    /// `Application`, `ManagedIdentity` and others.
    #[serde(skip_serializing)]
    pub service_principal_type: Option<String>,
    /// The names by which tokens for it are asked for.
    #[serde(skip_serializing)]
    pub service_principal_names: Option<Vec<String>>,
    /// How users sign in: `saml`, `oidc`, `password`.
    #[serde(with = "double_option")]
    pub preferred_single_sign_on_mode: Option<Option<String>>,
    /// Where sign-in starts.
    #[serde(with = "double_option")]
    pub login_url: Option<Option<String>>,
    /// Who is told about an expiring SAML certificate.
    pub notification_email_addresses: Option<Vec<String>>,
    /// The SAML signing certificate in use.
    pub preferred_token_signing_key_thumbprint: Option<String>,
    /// Notes for administrators.
    pub notes: Option<String>,
    /// Marks. `WindowsAzureActiveDirectoryIntegratedApp` shows it among the enterprise apps.
    pub tags: Option<Vec<String>>,
    /// Certificates, those for SAML among them.
    #[serde(skip_serializing)]
    pub key_credentials: Option<Vec<KeyCredential>>,
    /// Client secrets, without their text.
    #[serde(skip_serializing)]
    pub password_credentials: Option<Vec<PasswordCredential>>,
}

impl GraphClient {
    /// Service principals («enterprise applications»).
    pub fn service_principals(&self) -> ServicePrincipals<'_> {
        ServicePrincipals { client: self }
    }
}

/// Calls on service principals.
#[derive(Clone, Copy, Debug)]
pub struct ServicePrincipals<'a> {
    client: &'a GraphClient,
}

impl ServicePrincipals<'_> {
    /// Lists service principals, with the properties that tell them apart unless the query names
    /// others.
    pub fn list(&self, query: Query) -> Pages<ServicePrincipal> {
        self.client
            .list(LIST, &["servicePrincipals"], &query.or_select(SELECT))
    }

    /// Reads a service principal by its object id.
    pub async fn get(&self, principal: &ObjectId) -> Result<ServicePrincipal, Error> {
        let path = ["servicePrincipals", &principal.to_string()];
        self.client.get(GET, &path, &Query::new()).await
    }

    /// Reads the service principal of an app.
    pub async fn by_app_id(&self, client_id: &ClientId) -> Result<Option<ServicePrincipal>, Error> {
        let key = alternate_key("servicePrincipals", "appId", &client_id.to_string());
        self.client.find(GET, &[&key], &Query::new()).await
    }

    /// Makes the service principal of an app, or returns the one that is there.
    ///
    /// Graph refuses for a while after the app was made: see
    /// [`RecentlyCreated::once_known`](crate::RecentlyCreated::once_known).
    pub async fn create(&self, client_id: &ClientId) -> Result<ServicePrincipal, Error> {
        let url = self.client.url(&["servicePrincipals"])?;
        // Graph allows one per app, so that a repetition is refused by name.
        let request = Request::new(Method::POST, CREATE, url)
            .with_json(&json!({"appId": client_id}))?
            .idempotent();
        let error = match self.client.send(request).await {
            Ok(response) => return response.json(),
            Err(error) => error,
        };
        if error.status() != Some(StatusCode::CONFLICT) && !error.says_already_there() {
            return Err(error);
        }
        // It was made elsewhere or just now, and the replica that is asked may not know it yet.
        let window = self
            .client
            .recently_created("the service principal")
            .within(EXISTING_VISIBLE_WITHIN);
        loop {
            if let Some(existing) = self.by_app_id(client_id).await? {
                return Ok(existing);
            }
            if window.pause(None).await.is_err() {
                return Err(error);
            }
        }
    }

    /// Updates what is set in `patch`.
    pub async fn update(
        &self,
        principal: &ObjectId,
        patch: &ServicePrincipal,
    ) -> Result<(), Error> {
        let url = self
            .client
            .url(&["servicePrincipals", &principal.to_string()])?;
        let request = Request::new(Method::PATCH, UPDATE, url)
            .with_json(patch)?
            .idempotent();
        self.client.send(request).await.map(drop)
    }

    /// Deletes a service principal: the app can no longer sign in to this tenant. One that does
    /// not exist counts as deleted.
    pub async fn delete(&self, principal: &ObjectId) -> Result<(), Error> {
        let url = self
            .client
            .url(&["servicePrincipals", &principal.to_string()])?;
        match self
            .client
            .send(Request::new(Method::DELETE, DELETE, url))
            .await
        {
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(()),
        }
    }

    /// The properties `select` of an app's service principal alone.
    pub(crate) async fn select_by_app_id(
        &self,
        client_id: &str,
        select: &[&'static str],
    ) -> Result<Option<ServicePrincipal>, Error> {
        let key = alternate_key("servicePrincipals", "appId", client_id);
        self.client
            .find(GET, &[&key], &Query::new().or_select(select))
            .await
    }
}

const LIST: Route = Route::new("GET /servicePrincipals", "Application.Read.All");
const GET: Route = Route::new("GET /servicePrincipals/{id}", "Application.Read.All");
const CREATE: Route = Route::new("POST /servicePrincipals", WRITE_PERMISSION);
const UPDATE: Route = Route::new("PATCH /servicePrincipals/{id}", WRITE_PERMISSION);
const DELETE: Route = Route::new("DELETE /servicePrincipals/{id}", WRITE_PERMISSION);

/// How long one that is said to exist may stay out of sight. After that something else has its
/// name.
const EXISTING_VISIBLE_WITHIN: Duration = Duration::from_secs(60);

const SELECT: &[&str] = &[
    "id",
    "appId",
    "displayName",
    "accountEnabled",
    "appOwnerOrganizationId",
    "appRoleAssignmentRequired",
    "servicePrincipalType",
    "tags",
];
