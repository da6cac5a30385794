//! Permissions of Microsoft Graph, by the names that people know.

use std::borrow::Cow;
use std::fmt;

use entra_core::ObjectId;
use uuid::Uuid;

use crate::well_known::WELL_KNOWN;
use crate::{AccessKind, Error, GraphClient, ResourceAccess, ServicePrincipal};

/// The client id of Microsoft Graph, in every cloud.
pub const GRAPH_APP_ID: &str = "00000003-0000-0000-c000-000000000000";

/// A permission of Microsoft Graph by name.
///
/// ```
/// use entra_graph::Permission;
///
/// let permission = Permission::application("User.Read.All");
/// assert_eq!(permission.to_string(), "User.Read.All (application)");
/// ```
///
/// A name is compared with what the tenant offers when it is
/// [resolved](PermissionCatalog::resolve).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Permission {
    kind: PermissionKind,
    name: Cow<'static, str>,
}

impl Permission {
    /// A permission that the app has of its own.
    pub fn application(name: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind: PermissionKind::Application,
            name: name.into(),
        }
    }

    /// A permission on behalf of a user who is signed in.
    pub fn delegated(name: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind: PermissionKind::Delegated,
            name: name.into(),
        }
    }

    /// Whether it is the app's own or on behalf of a user.
    pub fn kind(&self) -> PermissionKind {
        self.kind
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.kind)
    }
}

/// Whether a permission is the app's own or on behalf of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum PermissionKind {
    /// The app's own: an app role.
    Application,
    /// On behalf of a user: a scope.
    Delegated,
}

impl fmt::Display for PermissionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Application => "application",
            Self::Delegated => "delegated",
        })
    }
}

/// The id behind a permission's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct PermissionId {
    /// Whether it is an app role or a scope.
    pub kind: PermissionKind,
    /// Its id.
    pub id: Uuid,
}

impl PermissionId {
    /// The entry by which an app asks for it.
    pub fn resource_access(&self) -> ResourceAccess {
        let kind = match self.kind {
            PermissionKind::Application => AccessKind::Role,
            PermissionKind::Delegated => AccessKind::Scope,
        };
        ResourceAccess { id: self.id, kind }
    }
}

/// A name that the tenant's Graph does not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Microsoft Graph has no permission {:?} ({}){}", .permission.name, .permission.kind, suggestion(.similar, .exists_as))]
#[non_exhaustive]
pub struct UnknownPermission {
    /// What was looked for.
    pub permission: Permission,
    /// Names that are written almost like it.
    pub similar: Vec<String>,
    /// The other kind, if the name exists as such.
    pub exists_as: Option<PermissionKind>,
}

impl UnknownPermission {
    /// The step that mends it.
    pub fn remedy(&self) -> String {
        let name = self.permission.name();
        if name.eq_ignore_ascii_case(".default") {
            return "name each permission: .default stands for all of them".to_owned();
        }
        if name.contains("://") {
            return "give the last part alone, like User.Read.All: this is a scope".to_owned();
        }
        if name.trim().contains(char::is_whitespace) {
            return "give the permissions one by one".to_owned();
        }
        match (self.exists_as, self.similar.as_slice()) {
            (Some(kind), _) => format!("ask for it as {kind} permission"),
            (None, []) => {
                "correct the name; see the Microsoft Graph permissions reference".to_owned()
            }
            (None, names) => format!("correct the name; maybe {}", names.join(" or ")),
        }
    }
}

/// The permissions that Microsoft Graph offers in a tenant: names and ids.
///
/// They are read from the tenant's service principal of Microsoft Graph, so that a permission
/// that is newer than this crate is known as well.
#[derive(Clone, Debug)]
pub struct PermissionCatalog {
    resource: Option<ObjectId>,
    entries: Vec<Entry>,
}

impl PermissionCatalog {
    /// Reads the catalog of a tenant. Where the app may not read it, it is the
    /// [built-in one](Self::built_in).
    pub async fn read(graph: &GraphClient) -> Result<Self, Error> {
        let select = &["id", "appId", "appRoles", "oauth2PermissionScopes"];
        let found = graph
            .service_principals()
            .select_by_app_id(GRAPH_APP_ID, select)
            .await;
        match found {
            Ok(Some(principal)) => Ok(Self::of(&principal)),
            Ok(None) => Ok(Self::built_in()),
            Err(error) if error.is_forbidden() => Ok(Self::built_in()),
            Err(error) => Err(error),
        }
    }

    /// The catalog of an API's service principal.
    pub fn of(principal: &ServicePrincipal) -> Self {
        let roles = principal.app_roles.iter().flatten().filter_map(|role| {
            let is_for_apps = role
                .allowed_member_types
                .as_ref()
                .is_none_or(|types| types.iter().any(|kind| kind == "Application"));
            let entry = Entry::new(
                PermissionKind::Application,
                role.value.as_deref()?,
                role.id?,
            );
            is_for_apps.then_some(entry)
        });
        let scopes = principal
            .oauth2_permission_scopes
            .iter()
            .flatten()
            .filter_map(|scope| {
                Some(Entry::new(
                    PermissionKind::Delegated,
                    scope.value.as_deref()?,
                    scope.id?,
                ))
            });
        Self {
            resource: principal.id,
            entries: roles.chain(scopes).collect(),
        }
    }

    /// The permissions that this crate knows by itself.
    pub fn built_in() -> Self {
        let entries = WELL_KNOWN.iter().flat_map(|(name, role, scope)| {
            [
                (PermissionKind::Application, *role),
                (PermissionKind::Delegated, *scope),
            ]
            .into_iter()
            .filter(|(_, id)| *id != 0)
            .map(|(kind, id)| Entry::new(kind, name, Uuid::from_u128(id)))
        });
        Self {
            resource: None,
            entries: entries.collect(),
        }
    }

    /// Whether the tenant was not asked.
    pub fn is_built_in(&self) -> bool {
        self.resource.is_none()
    }

    /// The tenant's service principal of Microsoft Graph, if it was read.
    pub fn resource(&self) -> Option<&ObjectId> {
        self.resource.as_ref()
    }

    /// The id of a permission.
    pub fn resolve(&self, permission: &Permission) -> Result<PermissionId, UnknownPermission> {
        let named = |kind| {
            self.entries
                .iter()
                .find(|entry| entry.kind == kind && entry.name == permission.name)
        };
        if let Some(entry) = named(permission.kind) {
            return Ok(PermissionId {
                kind: entry.kind,
                id: entry.id,
            });
        }
        let other = match permission.kind {
            PermissionKind::Application => PermissionKind::Delegated,
            PermissionKind::Delegated => PermissionKind::Application,
        };
        Err(UnknownPermission {
            exists_as: named(other).map(|entry| entry.kind),
            similar: self.similar(permission),
            permission: permission.clone(),
        })
    }

    /// The name behind an id.
    pub fn name(&self, kind: PermissionKind, id: &Uuid) -> Option<&str> {
        let found = self
            .entries
            .iter()
            .find(|entry| entry.kind == kind && entry.id == *id)?;
        Some(&found.name)
    }

    /// Up to three names of the same kind, the nearest first.
    fn similar(&self, permission: &Permission) -> Vec<String> {
        let wanted = permission.name.trim().to_ascii_lowercase();
        let limit = 2 + wanted.len() / 6;
        let mut near: Vec<(usize, &str)> = self
            .entries
            .iter()
            .filter(|entry| entry.kind == permission.kind)
            .map(|entry| {
                (
                    distance(&wanted, &entry.name.to_ascii_lowercase()),
                    &*entry.name,
                )
            })
            .filter(|(distance, _)| *distance <= limit)
            .collect();
        near.sort_unstable();
        if near.first().is_some_and(|(distance, _)| *distance == 0) {
            near.truncate(1);
        }
        near.into_iter()
            .take(3)
            .map(|(_, name)| name.to_owned())
            .collect()
    }
}

#[derive(Clone, Debug)]
struct Entry {
    kind: PermissionKind,
    name: String,
    id: Uuid,
}

impl Entry {
    fn new(kind: PermissionKind, name: &str, id: Uuid) -> Self {
        Self {
            kind,
            name: name.to_owned(),
            id,
        }
    }
}

fn suggestion(similar: &[String], exists_as: &Option<PermissionKind>) -> String {
    match (exists_as, similar) {
        (Some(kind), _) => format!("; it exists as {kind} permission"),
        (None, []) => String::new(),
        (None, names) => format!("; did you mean {}?", names.join(", ")),
    }
}

/// How many letters must be changed, added or left out to make `b` of `a` (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        for (to, cell) in b.iter().zip(row.iter_mut().skip(1)) {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = *cell;
            left = replaced.min(left + 1).min(diagonal + 1);
            *cell = left;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_name_at_all_is_told_from_a_misspelt_one() {
        let catalog = PermissionCatalog::built_in();
        for (name, expected) in [
            (".default", "name each permission"),
            (
                "https://graph.microsoft.com/User.Read",
                "give the last part alone",
            ),
            ("openid profile", "give the permissions one by one"),
            (
                "Device.ReadWrite.All",
                "ask for it as application permission",
            ),
            ("opneid", "correct the name; maybe openid"),
            ("Zebra", "correct the name; see"),
        ] {
            let unknown = catalog.resolve(&Permission::delegated(name)).unwrap_err();
            assert!(
                unknown.remedy().starts_with(expected),
                "{}",
                unknown.remedy()
            );
        }
    }

    #[test]
    fn an_id_is_found_by_kind_and_name() {
        let catalog = PermissionCatalog::built_in();
        for (permission, id) in [
            (
                Permission::application("User.Read.All"),
                "df021288-bdef-4463-88db-98f22de89214",
            ),
            (
                Permission::delegated("User.Read.All"),
                "a154be20-db9c-4678-8ab7-66f6cc099a59",
            ),
            (
                Permission::delegated("openid"),
                "37f7f235-527c-4136-accd-4a02d197296e",
            ),
        ] {
            let found = catalog.resolve(&permission).unwrap();
            assert_eq!(found.id.to_string(), id);
            assert_eq!(catalog.name(found.kind, &found.id), Some(permission.name()));
        }
    }

    #[test]
    fn an_unknown_name_comes_with_near_ones_or_with_the_other_kind() {
        let catalog = PermissionCatalog::built_in();
        for (permission, expected) in [
            (
                Permission::application("User.ReadAll"),
                "Microsoft Graph has no permission \"User.ReadAll\" (application); did you mean User.Read.All",
            ),
            (
                Permission::application("user.read.all"),
                "Microsoft Graph has no permission \"user.read.all\" (application); did you mean User.Read.All",
            ),
            (
                Permission::delegated("Device.ReadWrite.All"),
                "Microsoft Graph has no permission \"Device.ReadWrite.All\" (delegated); it exists as \
                 application permission",
            ),
            (
                Permission::application("Zebra"),
                "Microsoft Graph has no permission \"Zebra\" (application)",
            ),
        ] {
            let error = catalog.resolve(&permission).unwrap_err();
            let text = error.to_string();
            assert!(text.starts_with(expected), "{text}");
        }
    }

    #[test]
    fn the_distance_counts_changes() {
        for (a, b, expected) in [
            ("", "", 0),
            ("abc", "", 3),
            ("kitten", "sitting", 3),
            ("a", "a", 0),
        ] {
            assert_eq!(distance(a, b), expected);
            assert_eq!(distance(b, a), expected);
        }
    }
}
