//! What a blueprint reads of a tenant, as far as the caller may read it.

use std::collections::BTreeSet;
use std::sync::Arc;

use entra_core::ObjectId;

use super::{Blueprint, Registration, Target};
use crate::{
    Application, Error, GRAPH_APP_ID, GraphClient, Permission, PermissionCatalog, PermissionKind,
    ServicePrincipal,
};

/// What was read of the tenant.
#[derive(Debug)]
pub(super) struct TenantView {
    pub(super) catalog: Arc<PermissionCatalog>,
    pub(super) application: Option<Application>,
    pub(super) service_principal: Option<ServicePrincipal>,
    /// The application permissions that are consented to, where that may be read.
    pub(super) granted_roles: Option<BTreeSet<Permission>>,
    /// The delegated ones, likewise.
    pub(super) granted_scopes: Option<BTreeSet<Permission>>,
    /// Whether the service principal owns the registration, where the blueprint wants that and it
    /// may be read.
    pub(super) owns_itself: Option<bool>,
    pub(super) notes: Vec<String>,
}

impl TenantView {
    pub(super) async fn read(blueprint: &Blueprint, graph: &GraphClient) -> Result<Self, Error> {
        let catalog = Arc::new(PermissionCatalog::read(graph).await?);
        Self::read_with(catalog, blueprint, graph).await
    }

    /// Reads the tenant once more. The catalog is large, and stays the same.
    pub(super) async fn read_with(
        catalog: Arc<PermissionCatalog>,
        blueprint: &Blueprint,
        graph: &GraphClient,
    ) -> Result<Self, Error> {
        let mut view = Self {
            catalog,
            application: None,
            service_principal: None,
            granted_roles: Some(BTreeSet::new()),
            granted_scopes: Some(BTreeSet::new()),
            owns_itself: Some(false),
            notes: Vec::new(),
        };
        if readable(view.read_registration(blueprint, graph).await)?.is_none() {
            if !blueprint.is_adopted() {
                return Err(Error::InvalidRequest(
                    "the set-up credential may not read applications; it needs Application.ReadWrite.All",
                ));
            }
            view.notes.push(UNREADABLE.to_owned());
            return Ok(view);
        }
        let Some(client_id) = view.application.as_ref().and_then(|app| app.app_id) else {
            return Ok(view);
        };
        let found = graph.service_principals().by_app_id(&client_id).await;
        let Some(found) = readable(found)? else {
            (view.granted_roles, view.granted_scopes) = (None, None);
            view.owns_itself = None;
            return Ok(view);
        };
        view.service_principal = found;
        if let Some(principal) = view.service_principal.as_ref().and_then(|sp| sp.id) {
            view.granted_roles = readable(known(view.read_roles(graph, &principal).await))?;
            view.granted_scopes = readable(view.read_scopes(graph, &principal).await)?.flatten();
            if blueprint.self_rotation {
                view.owns_itself = readable(known(view.read_ownership(graph, &principal).await))?;
            }
        }
        Ok(view)
    }

    async fn read_registration(
        &mut self,
        blueprint: &Blueprint,
        graph: &GraphClient,
    ) -> Result<(), Error> {
        self.application = match &blueprint.registration {
            Registration::Keyed(key) => graph.applications().by_unique_name(key).await?,
            Registration::Adopted(client_id) => {
                let found = graph.applications().by_app_id(client_id).await?;
                Some(found.ok_or(Error::ApplicationNotFound(*client_id))?)
            }
        };
        Ok(())
    }

    async fn read_roles(
        &self,
        graph: &GraphClient,
        principal: &ObjectId,
    ) -> Result<BTreeSet<Permission>, Error> {
        let mut granted = BTreeSet::new();
        let mut roles = graph.consent().app_roles_of(principal);
        while let Some(assignment) = roles.try_next().await? {
            let name = assignment
                .app_role_id
                .and_then(|id| self.catalog.name(PermissionKind::Application, &id));
            // Where the resource may not be read, the role's id alone identifies it.
            let of_graph = self
                .catalog
                .resource()
                .is_none_or(|resource| assignment.resource_id.as_ref() == Some(resource));
            if let (true, Some(name)) = (of_graph, name) {
                granted.insert(Permission::application(name.to_owned()));
            }
        }
        Ok(granted)
    }

    async fn read_ownership(
        &self,
        graph: &GraphClient,
        principal: &ObjectId,
    ) -> Result<bool, Error> {
        let Some(application) = self.application.as_ref().and_then(|app| app.id) else {
            return Ok(false);
        };
        let mut owners = graph.applications().owners(&application);
        while let Some(owner) = owners.try_next().await? {
            if owner.id.as_ref() == Some(principal) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Nothing where the resource may not be read: a grant names it by its object id alone.
    async fn read_scopes(
        &self,
        graph: &GraphClient,
        principal: &ObjectId,
    ) -> Result<Option<BTreeSet<Permission>>, Error> {
        let Some(resource) = self.catalog.resource() else {
            return Ok(None);
        };
        let grant = graph
            .consent()
            .tenant_wide_grant(principal, resource)
            .await?;
        let scopes = grant
            .iter()
            .flat_map(|grant| grant.scopes())
            .map(|scope| Permission::delegated(scope.to_owned()))
            .collect();
        Ok(Some(scopes))
    }

    pub(super) fn target(&self, blueprint: &Blueprint) -> Target {
        let ids = self
            .application
            .as_ref()
            .and_then(|app| Some((app.app_id?, app.id?)));
        match (&blueprint.registration, ids) {
            (Registration::Adopted(client_id), None) => Target::Unreadable {
                client_id: *client_id,
            },
            (Registration::Adopted(_), Some((client_id, object_id))) => Target::Adopted {
                client_id,
                object_id,
            },
            (Registration::Keyed(_), Some((client_id, object_id))) => Target::Existing {
                client_id,
                object_id,
            },
            (Registration::Keyed(_), None) => Target::New,
        }
    }

    /// Whether the registration lists the permission.
    pub(super) fn declares(&self, permission: &Permission) -> bool {
        let Ok(wanted) = self.catalog.resolve(permission) else {
            return false;
        };
        self.application
            .iter()
            .flat_map(|app| app.required_resource_access.iter().flatten())
            .filter(|resource| resource.resource_app_id == GRAPH_APP_ID)
            .flat_map(|resource| &resource.resource_access)
            .any(|access| access.id == wanted.id)
    }

    /// Whether an administrator consented to the permission, where that may be read.
    pub(super) fn grants(&self, permission: &Permission) -> Option<bool> {
        let granted = match permission.kind() {
            PermissionKind::Application => &self.granted_roles,
            PermissionKind::Delegated => &self.granted_scopes,
        };
        granted.as_ref().map(|granted| granted.contains(permission))
    }
}

/// Empty for what hangs on an object that a replica does not know yet: an earlier apply made it
/// a moment ago.
fn known<T: Default>(result: Result<T, Error>) -> Result<T, Error> {
    match result {
        Err(error) if error.is_not_found() => Ok(T::default()),
        other => other,
    }
}

/// Nothing for what the caller may not read.
fn readable<T>(result: Result<T, Error>) -> Result<Option<T>, Error> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.is_forbidden() => Ok(None),
        Err(error) => Err(error),
    }
}

const UNREADABLE: &str = "the application may not read itself; test the connection to see which \
                          permissions it has, and compare the rest with the guide";
