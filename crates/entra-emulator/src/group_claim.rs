//! The groups of a user in an ID token: by id or by name, as groups or as roles, or the sign that
//! there are more than fit.
//!
//! Microsoft Learn, "Configure group claims for applications by using Microsoft Entra ID",
//! "Configure and manage optional claims in ID tokens, access tokens, and SAML tokens" and "ID
//! token claims reference" (`hasgroups`).

use serde_json::{Map, Value, json};

use crate::client::Client;
use crate::delegated_token::optional_claims;
use crate::tenant::{Kind, Link, Object, Tenant, items_of, text_of};

/// What a registration wants to know of groups.
#[derive(Debug)]
pub(crate) struct GroupClaim<'a> {
    tenant: &'a Tenant,
    client: &'a Client<'a>,
    /// `groupMembershipClaims`
    wanted: &'a str,
    /// `additionalProperties` of the optional claim `groups`.
    properties: Vec<&'a str>,
}

impl<'a> GroupClaim<'a> {
    /// That of a client, where it wants any.
    pub(crate) fn of(tenant: &'a Tenant, client: &'a Client<'a>) -> Option<Self> {
        let wanted = text_of(client.application, "groupMembershipClaims");
        if !["SecurityGroup", "All", "ApplicationGroup"].contains(&wanted) {
            return None;
        }
        let properties = optional_claims(Some(client.application), "idToken")
            .iter()
            .filter_map(Value::as_object)
            .filter(|claim| text_of(claim, "name") == "groups")
            .flat_map(|claim| items_of(claim, "additionalProperties"))
            .filter_map(Value::as_str);
        Some(Self {
            tenant,
            client,
            wanted,
            properties: properties.collect(),
        })
    }

    /// Whether groups take the place of roles.
    pub(crate) fn replaces_roles(&self) -> bool {
        self.properties.contains(&"emit_as_roles")
    }

    /// Adds the claim. In a fragment five groups fit, elsewhere two hundred.
    pub(crate) fn add(&self, user_id: &str, is_in_fragment: bool, claims: &mut Map<String, Value>) {
        let groups = self.groups(user_id);
        if is_in_fragment && groups.len() > MOST_GROUPS_IN_FRAGMENT {
            claims.insert("hasgroups".to_owned(), json!(true));
        } else if groups.len() > MOST_GROUPS {
            claims.insert("_claim_names".to_owned(), json!({"groups": "src1"}));
            let graph = &self.tenant.graph_url;
            let endpoint = format!("{graph}v1.0/users/{user_id}/getMemberObjects");
            let sources = json!({"src1": {"endpoint": endpoint}});
            claims.insert("_claim_sources".to_owned(), sources);
        } else if !groups.is_empty() {
            let name = match self.replaces_roles() {
                true => "roles",
                false => "groups",
            };
            claims.insert(name.to_owned(), json!(groups));
        }
    }

    fn groups(&self, user_id: &str) -> Vec<String> {
        let is_direct = self.wanted == "ApplicationGroup";
        let groups = if is_direct {
            self.tenant.linking(user_id, Link::Member)
        } else {
            self.tenant.linking_transitively(user_id, Link::Member)
        };
        groups
            .into_iter()
            .filter_map(|(kind, id)| {
                self.tenant
                    .current(kind, id)
                    .filter(|_| kind == Kind::Group)
            })
            .filter(|group| self.is_wanted(group))
            .filter_map(|group| self.name(group))
            .collect()
    }

    fn is_wanted(&self, group: &Object) -> bool {
        match self.wanted {
            "SecurityGroup" => group.get("securityEnabled") == Some(&Value::Bool(true)),
            "ApplicationGroup" => {
                let id = text_of(group, "id");
                self.tenant.is_group_assigned(id, self.client.principal)
            }
            _ => true,
        }
    }

    /// The id, or a name where the registration wants one. A group without such a name is left
    /// out.
    fn name(&self, group: &Object) -> Option<String> {
        let format = self.properties.iter().find(|name| SYNCED.contains(name));
        let has_display_names =
            self.wanted == "ApplicationGroup" && self.properties.contains(&"cloud_displayname");
        let account = text_of(group, "onPremisesSamAccountName");
        match format {
            None if !has_display_names => Some(text_of(group, "id").to_owned()),
            Some(format) if !account.is_empty() => {
                let domain = match *format {
                    "dns_domain_and_sam_account_name" => text_of(group, "onPremisesDomainName"),
                    "netbios_domain_and_sam_account_name" => {
                        text_of(group, "onPremisesNetBiosName")
                    }
                    _ => return Some(account.to_owned()),
                };
                Some([domain, "\\", account].concat())
            }
            _ if has_display_names && account.is_empty() => {
                Some(text_of(group, "displayName").to_owned())
            }
            _ => None,
        }
    }
}

/// The names that a group has from Active Directory.
const SYNCED: [&str; 3] = [
    "sam_account_name",
    "dns_domain_and_sam_account_name",
    "netbios_domain_and_sam_account_name",
];

/// Of a JWT.
const MOST_GROUPS: usize = 200;

/// Of one in the fragment of a URL.
const MOST_GROUPS_IN_FRAGMENT: usize = 5;
