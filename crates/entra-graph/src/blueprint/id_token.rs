//! What a registration has tokens say of a user: optional claims, groups, roles.
//!
//! Source: Microsoft Learn, "Optional claims reference", "Configure group claims for applications"
//! and "Add app roles to your application and receive them in the token".

use uuid::Uuid;

use super::Blueprint;
use crate::{AppRole, Application, OptionalClaim, OptionalClaims};

/// Which groups stand in tokens (`groupMembershipClaims`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GroupClaims {
    /// Those that are assigned to the application, and no nested ones. A token has room for them.
    Assigned,
    /// All security groups, nested ones included. A user may be in more than a token has room for.
    Security,
    /// All groups, distribution lists and directory roles.
    All,
}

impl GroupClaims {
    /// The value as Graph writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Assigned => "ApplicationGroup",
            Self::Security => "SecurityGroup",
            Self::All => "All",
        }
    }

    /// As the portal names it.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Assigned => "Groups assigned to the application",
            Self::Security => "Security groups",
            Self::All => "All groups",
        }
    }

    /// Whether tokens have these groups already. The setting may hold several values.
    fn is_in(self, setting: &str) -> bool {
        let mut values = setting.split(',').map(str::trim);
        values.any(|value| {
            value.eq_ignore_ascii_case(self.as_str())
                || (self == Self::Security && value.eq_ignore_ascii_case("All"))
        })
    }
}

/// An application role for users as declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RoleDeclaration {
    pub(super) value: String,
    pub(super) display_name: String,
    pub(super) description: String,
}

impl Blueprint {
    /// The claims that ID tokens lack.
    pub(super) fn missing_claims<'a>(
        &'a self,
        application: &'a Application,
    ) -> impl Iterator<Item = &'a str> {
        let has = |claim: &str| {
            id_token_claims(application)
                .iter()
                .any(|present| present.name.as_deref() == Some(claim))
        };
        let wanted = self.id_token_claims.iter().map(String::as_str);
        wanted.filter(move |claim| !has(claim))
    }

    /// Which groups tokens lack.
    pub(super) fn missing_group_claims(&self, application: &Application) -> Option<GroupClaims> {
        let present = group_claims(application).unwrap_or_default();
        self.groups.filter(|wanted| !wanted.is_in(present))
    }

    /// The roles that are not there, in whatever form.
    pub(super) fn missing_app_roles<'a>(
        &'a self,
        application: &'a Application,
    ) -> impl Iterator<Item = &'a RoleDeclaration> {
        let wanted = self.app_roles.iter();
        wanted.filter(|role| app_role(application, &role.value).is_none())
    }

    /// Roles that are there and cannot be assigned to users: an administrator made them so.
    pub(super) fn unlike_app_roles(&self, application: &Application) -> Vec<String> {
        let unlike = self.app_roles.iter().filter_map(|wanted| {
            let role = app_role(application, &wanted.value)?;
            let what = if role.is_enabled == Some(false) {
                "is disabled"
            } else if is_for_users(role) {
                return None;
            } else {
                "is for applications alone"
            };
            Some(format!("app role {} {what}, and is kept so", wanted.value))
        });
        unlike.collect()
    }

    /// The optional claims with those that are missing; nothing if none is. What other tokens
    /// carry goes along, since the setting is replaced as a whole.
    pub(super) fn optional_claims_patch_for(
        &self,
        current: &Application,
    ) -> Option<OptionalClaims> {
        let mut claims = current
            .optional_claims
            .clone()
            .flatten()
            .unwrap_or_default();
        let missing: Vec<OptionalClaim> = self.missing_claims(current).map(claim).collect();
        if missing.is_empty() {
            return None;
        }
        claims.id_token.get_or_insert_default().extend(missing);
        Some(claims)
    }

    /// The app roles with those that are missing; nothing if none is.
    pub(super) fn app_roles_patch_for(&self, current: &Application) -> Option<Vec<AppRole>> {
        let missing: Vec<AppRole> = self.missing_app_roles(current).map(new_role).collect();
        if missing.is_empty() {
            return None;
        }
        let mut roles = current.app_roles.clone().unwrap_or_default();
        roles.extend(missing);
        Some(roles)
    }
}

/// Which groups stand in tokens.
pub(super) fn group_claims(application: &Application) -> Option<&str> {
    application.group_membership_claims.as_ref()?.as_deref()
}

fn id_token_claims(application: &Application) -> &[OptionalClaim] {
    let claims = application
        .optional_claims
        .as_ref()
        .and_then(Option::as_ref);
    claims
        .and_then(|claims| claims.id_token.as_deref())
        .unwrap_or_default()
}

fn app_role<'a>(application: &'a Application, value: &str) -> Option<&'a AppRole> {
    let mut roles = application.app_roles.iter().flatten();
    roles.find(|role| role.value.as_deref() == Some(value))
}

fn is_for_users(role: &AppRole) -> bool {
    let mut members = role.allowed_member_types.iter().flatten();
    members.any(|kind| kind == "User")
}

fn claim(name: &str) -> OptionalClaim {
    OptionalClaim {
        name: Some(name.to_owned()),
        essential: Some(false),
        ..OptionalClaim::default()
    }
}

fn new_role(role: &RoleDeclaration) -> AppRole {
    AppRole {
        id: Some(Uuid::new_v4()),
        value: Some(role.value.clone()),
        is_enabled: Some(true),
        allowed_member_types: Some(vec!["User".to_owned()]),
        display_name: Some(role.display_name.clone()),
        description: Some(role.description.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_that_tokens_have_already_are_not_asked_for() {
        use GroupClaims::{All, Assigned, Security};
        for (wanted, setting, expected) in [
            (Assigned, "ApplicationGroup", true),
            (Assigned, "SecurityGroup, ApplicationGroup", true),
            (Assigned, "All", false),
            (Security, "All", true),
            (Security, "securitygroup", true),
            (Security, "DirectoryRole", false),
            (Security, "None", false),
            (Security, "", false),
            (All, "SecurityGroup", false),
        ] {
            assert_eq!(wanted.is_in(setting), expected, "{wanted:?} in {setting}");
        }
    }
}
