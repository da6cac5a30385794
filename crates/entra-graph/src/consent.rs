//! Consent: which app may do what. Application permissions are app role assignments, delegated
//! ones are permission grants (Microsoft Learn, "Grant or revoke API permissions
//! programmatically").

use std::collections::BTreeSet;

use entra_core::ObjectId;
use http::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::json;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::client::{Request, Route};
use crate::open_enum::open_enum;
use crate::{Error, Filter, GraphClient, Pages, Query};

/// An app role that was assigned to a user, a group or an app
/// (`microsoft.graph.appRoleAssignment`). Assigned to an app, it is admin consent to an
/// application permission.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct AppRoleAssignment {
    /// The id of the assignment.
    pub id: Option<String>,
    /// The role; zeros stand for the default access.
    pub app_role_id: Option<Uuid>,
    /// Who has the role.
    pub principal_id: Option<ObjectId>,
    /// The name of who has it.
    pub principal_display_name: Option<String>,
    /// `User`, `Group` or `ServicePrincipal`.
    pub principal_type: Option<String>,
    /// The service principal whose role it is.
    pub resource_id: Option<ObjectId>,
    /// The name of whose role it is.
    pub resource_display_name: Option<String>,
    /// When it was assigned.
    #[serde(with = "time::serde::rfc3339::option")]
    pub created_date_time: Option<OffsetDateTime>,
}

/// Consent to delegated permissions (`microsoft.graph.oAuth2PermissionGrant`).
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct OAuth2PermissionGrant {
    /// The id of the grant.
    pub id: Option<String>,
    /// The service principal that may act.
    pub client_id: Option<ObjectId>,
    /// The API.
    pub resource_id: Option<ObjectId>,
    /// For whom.
    pub consent_type: Option<ConsentType>,
    /// The one user, where it is for one.
    pub principal_id: Option<ObjectId>,
    /// The permissions, separated by spaces.
    pub scope: Option<String>,
}

impl OAuth2PermissionGrant {
    /// The permissions.
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        self.scope
            .as_deref()
            .unwrap_or_default()
            .split_ascii_whitespace()
    }
}

open_enum! {
    /// For whom a delegated permission was consented to.
    ConsentType {
        /// For all users of the tenant, by an administrator.
        AllPrincipals = "AllPrincipals",
        /// For one user.
        Principal = "Principal",
    }
}

/// How a grant ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Granted<T> {
    /// It was granted, or more was.
    New(T),
    /// It was granted before.
    AlreadyThere,
}

impl GraphClient {
    /// Consent: what was granted to whom.
    pub fn consent(&self) -> Consent<'_> {
        Consent { client: self }
    }
}

/// Calls on consent.
#[derive(Clone, Copy, Debug)]
pub struct Consent<'a> {
    client: &'a GraphClient,
}

impl Consent<'_> {
    /// The app roles that a service principal has: its application permissions.
    ///
    /// The list may be stale for a minute after a change; look at a new assignment with
    /// [`app_role_assignment`](Self::app_role_assignment).
    pub fn app_roles_of(&self, principal: &ObjectId) -> Pages<AppRoleAssignment> {
        let path = [
            "servicePrincipals",
            &principal.to_string(),
            "appRoleAssignments",
        ];
        self.client.list(ROLES_OF, &path, &Query::new())
    }

    /// Who has which of the app roles of a service principal.
    pub fn app_roles_assigned_to(&self, resource: &ObjectId) -> Pages<AppRoleAssignment> {
        let path = [
            "servicePrincipals",
            &resource.to_string(),
            "appRoleAssignedTo",
        ];
        self.client.list(ROLES_ASSIGNED_TO, &path, &Query::new())
    }

    /// Reads one assignment of a role of `resource`.
    pub async fn app_role_assignment(
        &self,
        resource: &ObjectId,
        assignment: &str,
    ) -> Result<Option<AppRoleAssignment>, Error> {
        let path = [
            "servicePrincipals",
            &resource.to_string(),
            "appRoleAssignedTo",
            assignment,
        ];
        self.client
            .find(ROLE_ASSIGNMENT, &path, &Query::new())
            .await
    }

    /// Gives `principal` the role `role` of `resource`. For an app this is admin consent to an
    /// application permission.
    pub async fn grant_app_role(
        &self,
        principal: &ObjectId,
        resource: &ObjectId,
        role: &Uuid,
    ) -> Result<Granted<AppRoleAssignment>, Error> {
        let path = [
            "servicePrincipals",
            &resource.to_string(),
            "appRoleAssignedTo",
        ];
        let body = json!({"principalId": principal, "resourceId": resource, "appRoleId": role});
        let request = Request::new(Method::POST, GRANT_ROLE, self.client.url(&path)?)
            .with_json(&body)?
            .idempotent();
        match self.client.send(request).await {
            Ok(response) => Ok(Granted::New(response.json()?)),
            Err(error) if error.says_already_there() => Ok(Granted::AlreadyThere),
            Err(error) => Err(error),
        }
    }

    /// Takes a role of `resource` back. One that is not there counts as taken back.
    pub async fn revoke_app_role(
        &self,
        resource: &ObjectId,
        assignment: &str,
    ) -> Result<(), Error> {
        let path = [
            "servicePrincipals",
            &resource.to_string(),
            "appRoleAssignedTo",
            assignment,
        ];
        let url = self.client.url(&path)?;
        match self
            .client
            .send(Request::new(Method::DELETE, REVOKE_ROLE, url))
            .await
        {
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(()),
        }
    }

    /// The delegated permissions that a service principal has, for all users and for single ones.
    pub fn scopes_of(&self, client: &ObjectId) -> Pages<OAuth2PermissionGrant> {
        let query = Query::new().filter(Filter::eq("clientId", *client));
        self.client
            .list(SCOPES_OF, &["oauth2PermissionGrants"], &query)
    }

    /// Consents for all users to delegated permissions of `resource`, beside those that are
    /// consented to already.
    ///
    /// There is one grant per client and API, and its scopes are replaced as a whole: what is
    /// there is read and kept, and where another writer was faster, it is read again.
    pub async fn grant_scopes(
        &self,
        client: &ObjectId,
        resource: &ObjectId,
        scopes: &[&str],
    ) -> Result<Granted<OAuth2PermissionGrant>, Error> {
        let _turn = self.client.locks().lock(client.as_uuid()).await;
        let window = self
            .client
            .recently_created("the consent to delegated permissions");
        loop {
            let existing = self.tenant_wide_grant(client, resource).await?;
            let written = match existing {
                Some(grant) => match with_scopes(&grant, scopes) {
                    Some(union) => self.replace_scopes(grant, union).await,
                    None => return Ok(Granted::AlreadyThere),
                },
                None => self.create_grant(client, resource, scopes).await,
            };
            match written {
                Ok(grant) => return Ok(Granted::New(grant)),
                // Another writer made the grant, or the list did not show it yet.
                Err(error) if is_taken(&error) => window.pause(Some(error)).await?,
                Err(error) => return Err(error),
            }
        }
    }

    /// Reads the grant for all users of one client and API.
    pub async fn tenant_wide_grant(
        &self,
        client: &ObjectId,
        resource: &ObjectId,
    ) -> Result<Option<OAuth2PermissionGrant>, Error> {
        let mut grants = self.scopes_of(client);
        while let Some(grant) = grants.try_next().await? {
            let is_for_all = grant.consent_type == Some(ConsentType::AllPrincipals);
            if is_for_all && grant.resource_id.as_ref() == Some(resource) {
                return Ok(Some(grant));
            }
        }
        Ok(None)
    }

    /// Takes consent to delegated permissions back. One that is not there counts as taken back.
    pub async fn revoke_scopes(&self, grant: &str) -> Result<(), Error> {
        let url = self.client.url(&["oauth2PermissionGrants", grant])?;
        match self
            .client
            .send(Request::new(Method::DELETE, REVOKE_SCOPES, url))
            .await
        {
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(()),
        }
    }

    async fn create_grant(
        &self,
        client: &ObjectId,
        resource: &ObjectId,
        scopes: &[&str],
    ) -> Result<OAuth2PermissionGrant, Error> {
        let body = NewGrant {
            client_id: client,
            consent_type: ConsentType::AllPrincipals,
            principal_id: None,
            resource_id: resource,
            scope: scopes.join(" "),
        };
        let url = self.client.url(&["oauth2PermissionGrants"])?;
        let request = Request::new(Method::POST, GRANT_SCOPES, url)
            .with_json(&body)?
            .idempotent();
        self.client.send(request).await?.json()
    }

    async fn replace_scopes(
        &self,
        grant: OAuth2PermissionGrant,
        scope: String,
    ) -> Result<OAuth2PermissionGrant, Error> {
        let url = self.client.url(&[
            "oauth2PermissionGrants",
            grant.id.as_deref().unwrap_or_default(),
        ])?;
        let request = Request::new(Method::PATCH, REPLACE_SCOPES, url)
            .with_json(&json!({"scope": scope}))?
            .idempotent();
        self.client.send(request).await?;
        Ok(OAuth2PermissionGrant {
            scope: Some(scope),
            ..grant
        })
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NewGrant<'a> {
    client_id: &'a ObjectId,
    consent_type: ConsentType,
    /// Null for all users, and Graph wants to see it.
    principal_id: Option<&'a ObjectId>,
    resource_id: &'a ObjectId,
    scope: String,
}

/// The union of what is granted and what is asked for, or nothing if that is no change.
fn with_scopes(grant: &OAuth2PermissionGrant, asked: &[&str]) -> Option<String> {
    let granted: BTreeSet<&str> = grant.scopes().collect();
    let missing: Vec<&str> = asked
        .iter()
        .copied()
        .filter(|scope| !granted.contains(scope))
        .collect();
    if missing.is_empty() {
        return None;
    }
    Some(grant.scopes().chain(missing).collect::<Vec<_>>().join(" "))
}

fn is_taken(error: &Error) -> bool {
    error.says_already_there() || error.status() == Some(StatusCode::CONFLICT)
}

const ROLES_OF: Route = Route::new(
    "GET /servicePrincipals/{id}/appRoleAssignments",
    "Application.Read.All",
);
const ROLES_ASSIGNED_TO: Route = Route::new(
    "GET /servicePrincipals/{id}/appRoleAssignedTo",
    "Application.Read.All",
);
const ROLE_ASSIGNMENT: Route = Route::new(
    "GET /servicePrincipals/{id}/appRoleAssignedTo/{id}",
    "Application.Read.All",
);
const GRANT_ROLE: Route = Route::new(
    "POST /servicePrincipals/{id}/appRoleAssignedTo",
    "AppRoleAssignment.ReadWrite.All",
);
const REVOKE_ROLE: Route = Route::new(
    "DELETE /servicePrincipals/{id}/appRoleAssignedTo/{id}",
    "AppRoleAssignment.ReadWrite.All",
);
const SCOPES_OF: Route = Route::new("GET /oauth2PermissionGrants", "Directory.Read.All");
const GRANT_SCOPES: Route = Route::new(
    "POST /oauth2PermissionGrants",
    "DelegatedPermissionGrant.ReadWrite.All",
);
const REPLACE_SCOPES: Route = Route::new(
    "PATCH /oauth2PermissionGrants/{id}",
    "DelegatedPermissionGrant.ReadWrite.All",
);
const REVOKE_SCOPES: Route = Route::new(
    "DELETE /oauth2PermissionGrants/{id}",
    "DelegatedPermissionGrant.ReadWrite.All",
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_united_in_order_and_without_repetition() {
        for (granted, asked, expected) in [
            (Some(" openid profile"), &["openid", "profile"][..], None),
            (
                Some("openid"),
                &["profile", "openid"],
                Some("openid profile"),
            ),
            (None, &["openid"], Some("openid")),
            (
                Some("User.Read"),
                &["user.read"],
                Some("User.Read user.read"),
            ),
        ] {
            let grant = OAuth2PermissionGrant {
                scope: granted.map(str::to_owned),
                ..OAuth2PermissionGrant::default()
            };
            assert_eq!(with_scopes(&grant, asked).as_deref(), expected);
        }
    }
}
