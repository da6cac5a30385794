//! Which handler answers which path.

use super::error::GraphError;
use super::path::{Key, Path};
use super::{Answer, Exchange};
use super::{
    app_management_policy, application, authentication_context, certificate_roll,
    conditional_access, consent, credential, device, directory, domain, federated_credential,
    grant, group, organization, policy, service_principal, user,
};

/// One operation.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) method: &'static str,
    pub(crate) template: &'static str,
    pub(crate) handler: Handler,
    /// Whether it answers a collection, which a cast or `/$count` may follow.
    lists: bool,
}

/// What answers.
pub(crate) type Handler = fn(&mut Exchange<'_>) -> Result<Answer, GraphError>;

/// The operation that a path names, with its keys.
pub(crate) fn find(method: &str, path: &Path) -> Result<(&'static Route, Vec<Key>), GraphError> {
    let mut known = false;
    for route in ROUTES {
        let Some(keys) = path.matches(route.template) else {
            continue;
        };
        if (path.cast.is_some() || path.count) && !route.lists {
            continue;
        }
        known = true;
        if route.method == method {
            return Ok((route, keys));
        }
    }
    if known {
        return Err(GraphError::no_method());
    }
    let templates: Vec<&str> = ROUTES.iter().map(|route| route.template).collect();
    Err(GraphError::no_segment(&path.stray_segment(&templates)))
}

const fn list(template: &'static str, handler: Handler) -> Route {
    Route {
        lists: true,
        ..on("GET", template, handler)
    }
}

const fn get(template: &'static str, handler: Handler) -> Route {
    on("GET", template, handler)
}

const fn post(template: &'static str, handler: Handler) -> Route {
    on("POST", template, handler)
}

const fn patch(template: &'static str, handler: Handler) -> Route {
    on("PATCH", template, handler)
}

const fn delete(template: &'static str, handler: Handler) -> Route {
    on("DELETE", template, handler)
}

const fn on(method: &'static str, template: &'static str, handler: Handler) -> Route {
    Route {
        method,
        template,
        handler,
        lists: false,
    }
}

/// More specific templates first.
const ROUTES: &[Route] = &[
    list("/applications", application::list),
    post("/applications", application::create),
    get("/applications/{id}", application::get),
    patch("/applications/{id}", application::update),
    delete("/applications/{id}", application::delete),
    post(
        "/applications/{id}/addPassword",
        credential::add_password_to_application,
    ),
    post(
        "/applications/{id}/removePassword",
        credential::remove_password_of_application,
    ),
    post("/applications/{id}/addKey", certificate_roll::add_key),
    post("/applications/{id}/removeKey", certificate_roll::remove_key),
    list("/applications/{id}/owners", application::owners),
    post("/applications/{id}/owners/$ref", application::add_owner),
    delete(
        "/applications/{id}/owners/{id}/$ref",
        application::remove_owner,
    ),
    list(
        "/applications/{id}/federatedIdentityCredentials",
        federated_credential::list,
    ),
    post(
        "/applications/{id}/federatedIdentityCredentials",
        federated_credential::create,
    ),
    get(
        "/applications/{id}/federatedIdentityCredentials/{id}",
        federated_credential::get,
    ),
    patch(
        "/applications/{id}/federatedIdentityCredentials/{id}",
        federated_credential::update,
    ),
    delete(
        "/applications/{id}/federatedIdentityCredentials/{id}",
        federated_credential::delete,
    ),
    list(
        "/applications/{id}/appManagementPolicies",
        app_management_policy::list_of_application,
    ),
    post(
        "/applications/{id}/appManagementPolicies/$ref",
        app_management_policy::assign_to_application,
    ),
    delete(
        "/applications/{id}/appManagementPolicies/{id}/$ref",
        app_management_policy::take_from_application,
    ),
    list("/servicePrincipals", service_principal::list),
    post("/servicePrincipals", service_principal::create),
    get("/servicePrincipals/{id}", service_principal::get),
    patch("/servicePrincipals/{id}", service_principal::update),
    delete("/servicePrincipals/{id}", service_principal::delete),
    post(
        "/servicePrincipals/{id}/addPassword",
        credential::add_password_to_service_principal,
    ),
    post(
        "/servicePrincipals/{id}/removePassword",
        credential::remove_password_of_service_principal,
    ),
    list("/servicePrincipals/{id}/owners", service_principal::owners),
    post(
        "/servicePrincipals/{id}/owners/$ref",
        service_principal::add_owner,
    ),
    delete(
        "/servicePrincipals/{id}/owners/{id}/$ref",
        service_principal::remove_owner,
    ),
    post(
        "/servicePrincipals/{id}/appManagementPolicies/$ref",
        app_management_policy::assign_to_service_principal,
    ),
    delete(
        "/servicePrincipals/{id}/appManagementPolicies/{id}/$ref",
        app_management_policy::take_from_service_principal,
    ),
    list(
        "/servicePrincipals/{id}/memberOf",
        service_principal::member_of,
    ),
    list(
        "/servicePrincipals/{id}/appRoleAssignedTo",
        consent::list_assigned_to,
    ),
    post(
        "/servicePrincipals/{id}/appRoleAssignedTo",
        consent::assign_as_resource,
    ),
    get(
        "/servicePrincipals/{id}/appRoleAssignedTo/{id}",
        consent::get_of_service_principal,
    ),
    delete(
        "/servicePrincipals/{id}/appRoleAssignedTo/{id}",
        consent::remove,
    ),
    list(
        "/servicePrincipals/{id}/appRoleAssignments",
        consent::list_of_service_principal,
    ),
    post(
        "/servicePrincipals/{id}/appRoleAssignments",
        consent::assign_to_service_principal,
    ),
    get(
        "/servicePrincipals/{id}/appRoleAssignments/{id}",
        consent::get_of_service_principal,
    ),
    delete(
        "/servicePrincipals/{id}/appRoleAssignments/{id}",
        consent::remove,
    ),
    list(
        "/servicePrincipals/{id}/oauth2PermissionGrants",
        grant::list_of_service_principal,
    ),
    list("/oauth2PermissionGrants", grant::list),
    post("/oauth2PermissionGrants", grant::create),
    get("/oauth2PermissionGrants/{id}", grant::get),
    patch("/oauth2PermissionGrants/{id}", grant::update),
    delete("/oauth2PermissionGrants/{id}", grant::delete),
    list("/users", user::list),
    post("/users", user::create),
    get("/users/{id}", user::get),
    patch("/users/{id}", user::update),
    delete("/users/{id}", user::delete),
    get("/users/{id}/manager", user::manager),
    list("/users/{id}/memberOf", user::member_of),
    list("/users/{id}/transitiveMemberOf", user::transitive_member_of),
    post("/users/{id}/getMemberObjects", user::get_member_objects),
    post(
        "/users/{id}/revokeSignInSessions",
        user::revoke_sign_in_sessions,
    ),
    list("/users/{id}/appRoleAssignments", consent::list_of_user),
    post("/users/{id}/appRoleAssignments", consent::assign_to_user),
    list("/groups", group::list),
    post("/groups", group::create),
    get("/groups/{id}", group::get),
    patch("/groups/{id}", group::update),
    delete("/groups/{id}", group::delete),
    list("/groups/{id}/members", group::members),
    post("/groups/{id}/members/$ref", group::add_member),
    delete("/groups/{id}/members/{id}/$ref", group::remove_member),
    list("/groups/{id}/transitiveMembers", group::transitive_members),
    list("/groups/{id}/memberOf", group::member_of),
    list("/groups/{id}/owners", group::owners),
    post("/groups/{id}/owners/$ref", group::add_owner),
    delete("/groups/{id}/owners/{id}/$ref", group::remove_owner),
    list("/groups/{id}/appRoleAssignments", consent::list_of_group),
    post("/groups/{id}/appRoleAssignments", consent::assign_to_group),
    list("/devices", device::list),
    get("/devices/{id}", device::get),
    patch("/devices/{id}", device::update),
    delete("/devices/{id}", device::delete),
    list("/devices/{id}/registeredOwners", device::registered_owners),
    list("/devices/{id}/registeredUsers", device::registered_users),
    list("/devices/{id}/memberOf", device::member_of),
    list("/domains", domain::list),
    get("/domains/{id}", domain::get),
    list("/organization", organization::list),
    get("/organization/{id}", organization::get),
    get("/policies/defaultAppManagementPolicy", policy::get),
    patch("/policies/defaultAppManagementPolicy", policy::update),
    list(
        "/policies/appManagementPolicies",
        app_management_policy::list,
    ),
    post(
        "/policies/appManagementPolicies",
        app_management_policy::create,
    ),
    get(
        "/policies/appManagementPolicies/{id}",
        app_management_policy::get,
    ),
    patch(
        "/policies/appManagementPolicies/{id}",
        app_management_policy::update,
    ),
    delete(
        "/policies/appManagementPolicies/{id}",
        app_management_policy::delete,
    ),
    list(
        "/policies/appManagementPolicies/{id}/appliesTo",
        app_management_policy::applies_to,
    ),
    list(
        "/identity/conditionalAccess/policies",
        conditional_access::list,
    ),
    post(
        "/identity/conditionalAccess/policies",
        conditional_access::create,
    ),
    get(
        "/identity/conditionalAccess/policies/{id}",
        conditional_access::get,
    ),
    patch(
        "/identity/conditionalAccess/policies/{id}",
        conditional_access::update,
    ),
    delete(
        "/identity/conditionalAccess/policies/{id}",
        conditional_access::delete,
    ),
    list(
        "/identity/conditionalAccess/authenticationContextClassReferences",
        authentication_context::list,
    ),
    post(
        "/identity/conditionalAccess/authenticationContextClassReferences",
        authentication_context::create,
    ),
    get(
        "/identity/conditionalAccess/authenticationContextClassReferences/{id}",
        authentication_context::get,
    ),
    patch(
        "/identity/conditionalAccess/authenticationContextClassReferences/{id}",
        authentication_context::update,
    ),
    delete(
        "/identity/conditionalAccess/authenticationContextClassReferences/{id}",
        authentication_context::delete,
    ),
    list("/directory/deletedItems", directory::list_deleted),
    get("/directory/deletedItems/{id}", directory::get_deleted),
    delete("/directory/deletedItems/{id}", directory::purge),
    post("/directory/deletedItems/{id}/restore", directory::restore),
    post("/directoryObjects/getByIds", directory::get_by_ids),
    get("/directoryObjects/{id}", directory::get_object),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::permission;

    #[test]
    fn every_route_has_a_permission() {
        let uncovered: Vec<_> = ROUTES
            .iter()
            .filter(|route| !permission::is_covered(route.method, route.template))
            .map(|route| [route.method, " ", route.template].concat())
            .collect();
        assert_eq!(uncovered, Vec::<String>::new());
    }

    #[test]
    fn an_unknown_path_and_an_unknown_method_are_told_apart() {
        let path = |text| Path::parse(text).unwrap();
        let error = find("GET", &path("/v1.0/users/a/photo")).unwrap_err();
        assert_eq!(error.message, "Resource not found for the segment 'photo'.");
        let error = find("GET", &path("/v1.0/users/a/$count")).unwrap_err();
        assert_eq!(
            error.message,
            "Resource not found for the segment '$count'."
        );
        let error = find("PUT", &path("/v1.0/users/a")).unwrap_err();
        assert_eq!(error.status, http::StatusCode::METHOD_NOT_ALLOWED);
        assert!(find("GET", &path("/v1.0/Users/$count")).is_ok());
    }
}
