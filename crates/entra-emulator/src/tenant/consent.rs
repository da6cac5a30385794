//! What users and administrators allowed an application to do.

use serde_json::{Value, json};
use time::OffsetDateTime;

use super::{Kind, Link, Object, Tenant, items_of, text_of};

impl Tenant {
    /// The delegated permissions of a resource that a client may use for a user: by a grant for
    /// everybody or for this user, or because the resource trusts the client (Microsoft Learn,
    /// "preAuthorizedApplication resource type"). All ids are those of objects.
    pub(crate) fn granted_scopes(
        &self,
        client: &Object,
        resource: &Object,
        user_id: &str,
        now: OffsetDateTime,
    ) -> Vec<String> {
        let granted: Vec<&str> = self
            .grants_to(text_of(client, "id"), user_id, now)
            .filter(|grant| text_of(grant, "resourceId") == text_of(resource, "id"))
            .flat_map(|grant| text_of(grant, "scope").split_whitespace())
            .chain(self.pre_authorized(client, resource, now))
            .collect();
        enabled_scopes(resource)
            .map(|scope| text_of(scope, "value"))
            .filter(|value| granted.iter().any(|name| name.eq_ignore_ascii_case(value)))
            .map(str::to_owned)
            .collect()
    }

    /// Whether anybody consented to anything that the client may do for this user.
    pub(crate) fn has_consent(&self, client: &Object, user_id: &str, now: OffsetDateTime) -> bool {
        let client_id = text_of(client, "id");
        self.grants_to(client_id, user_id, now).next().is_some()
    }

    /// Adds delegated permissions for one user.
    pub(crate) fn consent(
        &mut self,
        client_id: &str,
        resource_id: &str,
        user_id: &str,
        permissions: &[String],
    ) {
        let known = self
            .all(Kind::PermissionGrant)
            .find(|grant| {
                text_of(grant, "principalId") == user_id
                    && text_of(grant, "clientId") == client_id
                    && text_of(grant, "resourceId") == resource_id
            })
            .map(|grant| {
                let scope = text_of(grant, "scope").to_owned();
                (text_of(grant, "id").to_owned(), scope)
            });
        if let Some((id, scope)) = known {
            let scope = [&[scope], permissions].concat().join(" ");
            self.amend(Kind::PermissionGrant, &id, |grant| {
                grant.insert("scope".to_owned(), json!(scope.trim()));
            });
            return;
        }
        let grant = json!({
            "clientId": client_id,
            "consentType": "Principal",
            "principalId": user_id,
            "resourceId": resource_id,
            "scope": permissions.join(" "),
        });
        if let Value::Object(grant) = grant {
            self.insert_settled(Kind::PermissionGrant, grant);
        }
    }

    /// The values of the app roles of a resource that a user holds, also through a group that the
    /// user is a direct member of.
    pub(crate) fn user_roles(&self, user_id: &str, resource: &Object) -> Vec<String> {
        let held: Vec<&str> = self
            .assignments(user_id, text_of(resource, "id"))
            .map(|assignment| text_of(assignment, "appRoleId"))
            .collect();
        items_of(resource, "appRoles")
            .iter()
            .filter_map(Value::as_object)
            .filter(|role| held.contains(&text_of(role, "id")))
            .map(|role| text_of(role, "value").to_owned())
            .filter(|value| !value.is_empty())
            .collect()
    }

    /// Whether a user may sign in to an application that asks for an assignment.
    pub(crate) fn is_assigned(&self, user_id: &str, application: &Object) -> bool {
        application.get("appRoleAssignmentRequired") != Some(&Value::Bool(true))
            || self
                .assignments(user_id, text_of(application, "id"))
                .next()
                .is_some()
    }

    /// Whether a group itself is assigned to an application.
    pub(crate) fn is_group_assigned(&self, group_id: &str, application: &Object) -> bool {
        self.all(Kind::AppRoleAssignment).any(|assignment| {
            text_of(assignment, "resourceId") == text_of(application, "id")
                && text_of(assignment, "principalId") == group_id
        })
    }

    fn assignments<'a>(
        &'a self,
        user_id: &'a str,
        resource_id: &'a str,
    ) -> impl Iterator<Item = &'a Object> {
        let mut principals = vec![user_id];
        principals.extend(
            self.linking(user_id, Link::Member)
                .into_iter()
                .filter(|(kind, _)| *kind == Kind::Group)
                .map(|(_, id)| id),
        );
        self.all(Kind::AppRoleAssignment).filter(move |assignment| {
            text_of(assignment, "resourceId") == resource_id
                && principals.contains(&text_of(assignment, "principalId"))
        })
    }

    fn grants_to<'a>(
        &'a self,
        client_id: &'a str,
        user_id: &'a str,
        now: OffsetDateTime,
    ) -> impl Iterator<Item = &'a Object> {
        let delay = self.replication.tokens;
        self.rows(Kind::PermissionGrant)
            .into_iter()
            .flat_map(|rows| rows.values())
            .filter_map(move |row| row.settled_after(now, delay))
            .filter(move |grant| {
                let is_for_all = text_of(grant, "consentType") == "AllPrincipals";
                text_of(grant, "clientId") == client_id
                    && (is_for_all || text_of(grant, "principalId") == user_id)
            })
    }

    fn pre_authorized<'a>(
        &'a self,
        client: &Object,
        resource: &'a Object,
        now: OffsetDateTime,
    ) -> impl Iterator<Item = &'a str> {
        let app_id = text_of(client, "appId").to_owned();
        self.application_by_app_id(text_of(resource, "appId"), now)
            .and_then(|application| application.get("api")?.as_object())
            .map(|api| items_of(api, "preAuthorizedApplications"))
            .unwrap_or_default()
            .iter()
            .filter_map(Value::as_object)
            .filter(move |trusted| text_of(trusted, "appId").eq_ignore_ascii_case(&app_id))
            .flat_map(|trusted| items_of(trusted, "delegatedPermissionIds"))
            .filter_map(Value::as_str)
            .filter_map(move |id| {
                enabled_scopes(resource)
                    .find(|scope| text_of(scope, "id").eq_ignore_ascii_case(id))
                    .map(|scope| text_of(scope, "value"))
            })
    }
}

/// The delegated permissions that a resource offers.
pub(crate) fn enabled_scopes(resource: &Object) -> impl Iterator<Item = &Object> {
    items_of(resource, "oauth2PermissionScopes")
        .iter()
        .filter_map(Value::as_object)
        .filter(|scope| scope.get("isEnabled") != Some(&Value::Bool(false)))
}
