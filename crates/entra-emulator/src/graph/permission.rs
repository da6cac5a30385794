//! Which permission a call needs.
//!
//! `data/permtable.tsv` is a part of Microsoft's own table (`permissions/new/permissions.json` of
//! microsoft-graph-devx-content, of 2026-08), from which Learn's pages take theirs.
//! `data/permcorrections.tsv` has further rows of that table and replaces those that Learn
//! contradicts, each with its source; permissions for agents and for Intune are left out. There
//! `+` stands between permissions of which both are needed, `,` between alternatives, and
//! `(self)` lets an application act on itself without any permission.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::error::GraphError;
use super::lookup;
use super::path::Key;
use super::route::Route;
use crate::caller::Caller;
use crate::tenant::{Kind, Link, Tenant, text_of};

/// Why a call is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Access {
    /// The permissions that allowed it.
    pub(crate) by: String,
    /// It was `Application.ReadWrite.OwnedBy` alone: the caller may write what it owns, and owns
    /// what it makes.
    pub(crate) owned_only: bool,
}

/// Allows a call or refuses it with 403.
pub(crate) fn authorize(
    tenant: &Tenant,
    caller: &Caller,
    route: &Route,
    keys: &[Key],
) -> Result<Access, GraphError> {
    let rule = rule(caller, route.method, route.template).ok_or_else(GraphError::denied)?;
    let target = target(tenant, route, keys);
    let is_self = target.is_some_and(|target| is_self(tenant, caller, target));
    if rule.by_itself && is_self {
        return Ok(Access {
            by: "(self)".to_owned(),
            owned_only: false,
        });
    }
    let access = rule.access(caller).ok_or_else(GraphError::denied)?;
    if OF_ONESELF.contains(&access.by.as_str()) && !is_own_account(tenant, caller, keys) {
        return Err(GraphError::denied());
    }
    let writes = route.method != "GET";
    if let (true, true, Some((kind, id))) = (access.owned_only, writes, target) {
        // An application does not own itself unless it was made its owner.
        let owns = tenant.is_linked(id, Link::Owner, &caller.service_principal_id)
            || owns_backing_application(tenant, caller, (kind, id));
        if !owns {
            return Err(GraphError::denied());
        }
    }
    Ok(access)
}

/// Whether the caller holds the permissions for a call, whatever it is about.
pub(crate) fn allows(caller: &Caller, method: &str, template: &str) -> bool {
    rule(caller, method, template).is_some_and(|rule| rule.access(caller).is_some())
}

/// Whether the caller holds one of these permissions, or the write that includes it.
pub(crate) fn holds_any(caller: &Caller, permissions: &[&str]) -> bool {
    let held = held(caller);
    permissions.iter().any(|name| holds(held, name).is_some())
}

/// Whether the table has a row for this call with an application's token or a user's.
#[cfg(test)]
pub(crate) fn is_covered(method: &str, template: &str) -> bool {
    let key = key(method, template, APPLICATION);
    let delegated = self::key(method, template, DELEGATED);
    RULES.contains_key(&key) || RULES.contains_key(&delegated)
}

fn rule(caller: &Caller, method: &str, template: &str) -> Option<&'static Rule> {
    let scheme = if caller.user_id.is_some() || !caller.scopes.is_empty() {
        DELEGATED
    } else {
        APPLICATION
    };
    RULES.get(&key(method, template, scheme))
}

/// What one call needs: one of each group.
#[derive(Debug, Default)]
struct Rule {
    groups: Vec<Vec<&'static str>>,
    by_itself: bool,
}

impl Rule {
    fn parse(expression: &'static str) -> Self {
        let mut rule = Self::default();
        for group in expression.split(" + ") {
            let names = group.split(", ").map(|name| name.trim_start_matches('*'));
            let (special, names): (Vec<_>, Vec<_>) = names.partition(|name| name.starts_with('('));
            rule.by_itself |= special.contains(&"(self)");
            if !names.is_empty() {
                rule.groups.push(names);
            }
        }
        rule
    }

    fn access(&self, caller: &Caller) -> Option<Access> {
        let held = held(caller);
        let mut used = Vec::new();
        for group in &self.groups {
            let mut usable = group.iter().filter_map(|name| holds(held, name));
            let first = usable.next()?;
            let other = usable.find(|name| *name != OWNED);
            used.push(if first == OWNED {
                other.unwrap_or(first)
            } else {
                first
            });
        }
        if used.is_empty() {
            return None;
        }
        Some(Access {
            owned_only: used.contains(&OWNED),
            by: used.join(" "),
        })
    }
}

fn held(caller: &Caller) -> &[String] {
    if caller.scopes.is_empty() {
        &caller.roles
    } else {
        &caller.scopes
    }
}

/// The permission among those held that grants `name`: itself, or the write that includes the
/// read.
fn holds<'a>(held: &'a [String], name: &str) -> Option<&'a str> {
    let writing = name.replace(".Read.", ".ReadWrite.");
    let found = held.iter().find(|role| role.as_str() == name);
    found
        .or_else(|| held.iter().find(|role| **role == writing))
        .map(String::as_str)
}

fn target<'a>(tenant: &'a Tenant, route: &Route, keys: &[Key]) -> Option<(Kind, &'a str)> {
    let kind = if route.template.starts_with("/applications/") {
        Kind::Application
    } else if route.template.starts_with("/servicePrincipals/") {
        Kind::ServicePrincipal
    } else {
        return None;
    };
    let id = lookup::find(tenant, kind, keys.first()?).ok()??;
    Some((kind, id))
}

fn is_self(tenant: &Tenant, caller: &Caller, (kind, id): (Kind, &str)) -> bool {
    tenant
        .current(kind, id)
        .is_some_and(|object| text_of(object, "appId").eq_ignore_ascii_case(&caller.app_id))
}

fn is_own_account(tenant: &Tenant, caller: &Caller, keys: &[Key]) -> bool {
    let named = keys
        .first()
        .and_then(|key| lookup::find(tenant, Kind::User, key).ok().flatten());
    named.is_some() && named == caller.user_id.as_deref()
}

fn owns_backing_application(tenant: &Tenant, caller: &Caller, (kind, id): (Kind, &str)) -> bool {
    let app_id = tenant
        .current(kind, id)
        .map(|object| text_of(object, "appId"));
    app_id
        .and_then(|app_id| tenant.find(Kind::Application, "appId", app_id))
        .is_some_and(|application| {
            let id = text_of(application, "id");
            tenant.is_linked(id, Link::Owner, &caller.service_principal_id)
        })
}

fn key(method: &str, template: &str, scheme: &str) -> String {
    [template, "\t", method, "\t", scheme]
        .concat()
        .to_ascii_lowercase()
}

static RULES: LazyLock<HashMap<String, Rule>> = LazyLock::new(|| {
    [TABLE, CORRECTIONS]
        .into_iter()
        .flat_map(str::lines)
        .filter(|line| line.starts_with('/'))
        .filter_map(|line| {
            let mut columns = line.split('\t');
            let (template, method) = (columns.next()?, columns.next()?);
            let (schemes, expression) = (columns.next()?, columns.next()?);
            Some((template, method, schemes, expression))
        })
        .flat_map(|(template, method, schemes, expression)| {
            schemes
                .split(',')
                .map(move |scheme| (key(method, template, scheme), Rule::parse(expression)))
        })
        .collect()
});

/// Delegated permissions that are about the signed-in user alone (Learn, "Microsoft Graph
/// permissions reference").
const OF_ONESELF: [&str; 2] = ["User.Read", "User.ReadWrite"];

const OWNED: &str = "Application.ReadWrite.OwnedBy";
const APPLICATION: &str = "Application";
const DELEGATED: &str = "DelegatedWork";
const TABLE: &str = include_str!("../../data/permtable.tsv");
const CORRECTIONS: &str = include_str!("../../data/permcorrections.tsv");

#[cfg(test)]
mod tests {
    use super::*;

    fn access(expression: &'static str, roles: &[&str]) -> Option<(String, bool)> {
        let caller = Caller {
            roles: roles.iter().map(|role| (*role).to_owned()).collect(),
            ..Caller::default()
        };
        let access = Rule::parse(expression).access(&caller)?;
        Some((access.by, access.owned_only))
    }

    #[test]
    fn one_of_each_group_is_needed() {
        let both = "*A.ReadWrite.All + *B.Read.All, C.Read.All";
        for (roles, expected) in [
            (&["A.ReadWrite.All"][..], None),
            (&["B.Read.All", "C.Read.All"], None),
            (
                &["A.ReadWrite.All", "C.Read.All"],
                Some("A.ReadWrite.All C.Read.All"),
            ),
            (
                &["A.ReadWrite.All", "B.ReadWrite.All"],
                Some("A.ReadWrite.All B.ReadWrite.All"),
            ),
        ] {
            let by = access(both, roles).map(|(by, _)| by);
            assert_eq!(by.as_deref(), expected);
        }
    }

    #[test]
    fn owned_by_limits_only_where_nothing_wider_is_held() {
        let expression = "*Application.ReadWrite.OwnedBy, Application.ReadWrite.All";
        let owned = access(expression, &[OWNED]);
        assert_eq!(owned, Some((OWNED.to_owned(), true)));
        let all = access(expression, &[OWNED, "Application.ReadWrite.All"]);
        assert_eq!(all, Some(("Application.ReadWrite.All".to_owned(), false)));
    }

    #[test]
    fn every_correction_names_its_source() {
        for line in CORRECTIONS.lines().filter(|line| line.starts_with('/')) {
            assert_eq!(line.split('\t').count(), 5, "{line}");
            assert!(line.split('\t').all(|column| !column.is_empty()), "{line}");
        }
    }
}
