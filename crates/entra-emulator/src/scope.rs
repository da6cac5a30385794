//! The `scope` parameter of a request that acts for a user.
//!
//! Microsoft Learn, "Scopes and permissions in the Microsoft identity platform": a permission is
//! named by its resource and its value, one without a resource is Microsoft Graph's, and
//! `{resource}/.default` means everything that was consented to.

use crate::refusal::Refusal;

/// What a request asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ScopeRequest {
    pub(crate) openid: bool,
    pub(crate) profile: bool,
    pub(crate) email: bool,
    pub(crate) offline_access: bool,
    /// Permissions by resource, in the order of the request.
    resources: Vec<ResourceScopes>,
}

/// What a request asks of one resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ResourceScopes {
    /// As the client named it; none where it named permissions of Microsoft Graph by value alone.
    pub(crate) resource: Option<String>,
    /// The values of the permissions.
    pub(crate) permissions: Vec<String>,
    /// Whether `.default` was asked for.
    pub(crate) is_default: bool,
}

impl ScopeRequest {
    /// Takes the parameter apart.
    pub(crate) fn parse(text: &str) -> Result<Self, Refusal> {
        let mut request = Self::default();
        for scope in text.split_whitespace() {
            match scope.to_ascii_lowercase().as_str() {
                "openid" => request.openid = true,
                "profile" => request.profile = true,
                "email" => request.email = true,
                "offline_access" => request.offline_access = true,
                _ => request.add(scope, text)?,
            }
        }
        if request
            .resources
            .iter()
            .any(|scopes| scopes.is_default && !scopes.permissions.is_empty())
        {
            return Err(Refusal::default_scope_among_others(text));
        }
        Ok(request)
    }

    /// The permissions of each resource; those of Microsoft Graph where none is named.
    pub(crate) fn resources(&self) -> Vec<ResourceScopes> {
        if self.resources.is_empty() {
            return vec![ResourceScopes::default()];
        }
        self.resources.clone()
    }

    /// The wanted scopes of OpenID Connect that show in tokens and answers.
    pub(crate) fn open_id_scopes(&self) -> impl Iterator<Item = &'static str> {
        self.names().filter(|name| *name != "offline_access")
    }

    /// The wanted scopes of OpenID Connect.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> {
        [
            (self.openid, "openid"),
            (self.profile, "profile"),
            (self.email, "email"),
            (self.offline_access, "offline_access"),
        ]
        .into_iter()
        .filter_map(|(is_wanted, name)| is_wanted.then_some(name))
    }

    /// Whether this is one of OpenID Connect's scopes.
    pub(crate) fn is_open_id_scope(name: &str) -> bool {
        matches!(name, "openid" | "profile" | "email" | "offline_access")
    }

    fn add(&mut self, scope: &str, all: &str) -> Result<(), Refusal> {
        let (resource, value) = match scope.rsplit_once('/') {
            Some((resource, value)) => (Some(resource), value),
            None => (None, scope),
        };
        if value.is_empty() || resource.is_some_and(str::is_empty) {
            return Err(Refusal::invalid_scope(all));
        }
        let known = self
            .resources
            .iter()
            .position(|scopes| scopes.resource.as_deref() == resource);
        let scopes = match known.and_then(|place| self.resources.get_mut(place)) {
            Some(scopes) => scopes,
            None => {
                self.resources.push(ResourceScopes {
                    resource: resource.map(str::to_owned),
                    ..ResourceScopes::default()
                });
                let Some(last) = self.resources.last_mut() else {
                    return Ok(());
                };
                last
            }
        };
        if value == ".default" {
            scopes.is_default = true;
        } else {
            scopes.permissions.push(value.to_owned());
        }
        Ok(())
    }
}

impl ResourceScopes {
    /// The resource as a token for it names its audience.
    pub(crate) fn audience(&self) -> &str {
        self.resource.as_deref().unwrap_or(GRAPH)
    }

    /// A permission in the form in which the client named the resource.
    pub(crate) fn named(&self, permission: &str) -> String {
        match &self.resource {
            Some(resource) => [resource, "/", permission].concat(),
            None => permission.to_owned(),
        }
    }
}

/// What tokens for Microsoft Graph that nobody named have as audience, as users show them.
const GRAPH: &str = "00000003-0000-0000-c000-000000000000";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions_are_sorted_by_resource_and_those_without_one_are_graphs() {
        let request =
            ScopeRequest::parse("openid User.Read api://app/a Mail.Read api://app/b").unwrap();
        assert_eq!(request.names().collect::<Vec<_>>(), ["openid"]);
        let scopes = |resource: Option<&str>, permissions: &[&str]| ResourceScopes {
            resource: resource.map(str::to_owned),
            permissions: permissions.iter().map(|name| (*name).to_owned()).collect(),
            is_default: false,
        };
        assert_eq!(
            request.resources(),
            [
                scopes(None, &["User.Read", "Mail.Read"]),
                scopes(Some("api://app"), &["a", "b"])
            ]
        );
    }

    #[test]
    fn a_resource_keeps_a_slash_of_its_own() {
        let request = ScopeRequest::parse("https://graph.microsoft.com//.default").unwrap();
        let scopes = request.resources().remove(0);
        assert_eq!(scopes.audience(), "https://graph.microsoft.com/");
        assert!(scopes.is_default);
        assert_eq!(
            scopes.named("User.Read"),
            "https://graph.microsoft.com//User.Read"
        );
    }

    #[test]
    fn everything_and_something_of_a_resource_exclude_each_other() {
        let scope = "https://graph.microsoft.com/.default https://graph.microsoft.com/User.Read";
        let refusal = ScopeRequest::parse(scope).unwrap_err();
        assert_eq!(refusal.code(), 70011);
        assert_eq!(ScopeRequest::parse("/a").unwrap_err().code(), 70011);
        assert_eq!(ScopeRequest::parse("a/").unwrap_err().code(), 70011);
    }
}
