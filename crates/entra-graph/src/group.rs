//! Groups and their members.

use entra_core::ObjectId;
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;
use time::OffsetDateTime;

use crate::client::Route;
use crate::{DirectoryObject, Error, GraphClient, MemberChange, Pages, Query, Removed, User};

/// A group (`microsoft.graph.group`). What was not read, or is null, is `None`.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct Group {
    /// The object id.
    #[serde(skip_serializing)]
    pub id: Option<ObjectId>,
    /// The name to show.
    pub display_name: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// The e-mail address.
    #[serde(skip_serializing)]
    pub mail: Option<String>,
    /// The part of the address before the `@`.
    pub mail_nickname: Option<String>,
    /// Whether it receives mail.
    pub mail_enabled: Option<bool>,
    /// Whether it grants access.
    pub security_enabled: Option<bool>,
    /// `Unified` for Microsoft 365 groups, `DynamicMembership` for those with a rule.
    pub group_types: Option<Vec<String>>,
    /// The rule of a dynamic group.
    pub membership_rule: Option<String>,
    /// Whether administrator roles may be assigned to it.
    pub is_assignable_to_role: Option<bool>,
    /// `Public`, `Private` or `HiddenMembership`.
    pub visibility: Option<String>,
    /// When it was made.
    #[serde(skip_serializing, with = "time::serde::rfc3339::option")]
    pub created_date_time: Option<OffsetDateTime>,
    /// Whether it comes from a directory on the premises.
    #[serde(skip_serializing)]
    pub on_premises_sync_enabled: Option<bool>,
    /// The security identifier on the premises.
    #[serde(skip_serializing)]
    pub on_premises_security_identifier: Option<String>,
    /// The account name on the premises.
    #[serde(skip_serializing)]
    pub on_premises_sam_account_name: Option<String>,
    /// In delta queries: changes of the members. Of a large group they come in several pieces.
    #[serde(skip_serializing, rename = "members@delta")]
    pub members_delta: Option<Vec<MemberChange>>,
    /// In delta queries: the group is gone.
    #[serde(skip_serializing, rename = "@removed")]
    pub removed: Option<Removed>,
}

impl GraphClient {
    /// Groups and their members.
    pub fn groups(&self) -> Groups<'_> {
        Groups { client: self }
    }
}

/// Calls on groups.
#[derive(Clone, Copy, Debug)]
pub struct Groups<'a> {
    client: &'a GraphClient,
}

impl Groups<'_> {
    /// Lists groups, with [`Group`]'s properties unless the query names others.
    pub fn list(&self, query: Query) -> Pages<Group> {
        self.client
            .list(LIST, &["groups"], &query.or_select(SELECT))
    }

    /// Reads a group.
    pub async fn get(&self, group: &ObjectId) -> Result<Group, Error> {
        let query = Query::new().or_select(SELECT);
        self.client
            .get(GET, &["groups", &group.to_string()], &query)
            .await
    }

    /// The direct members: users, groups, devices, service principals, contacts.
    pub fn members(&self, group: &ObjectId) -> Pages<DirectoryObject> {
        let query = Query::new().or_select(MEMBER_SELECT).top(999);
        self.client
            .list(MEMBERS, &["groups", &group.to_string(), "members"], &query)
    }

    /// All members, those of nested groups as well. Five times as expensive as
    /// [`members`](Self::members) by Graph's throttling.
    pub fn transitive_members(&self, group: &ObjectId) -> Pages<DirectoryObject> {
        let query = Query::new().or_select(MEMBER_SELECT).top(999);
        let path = ["groups", &group.to_string(), "transitiveMembers"];
        self.client.list(TRANSITIVE_MEMBERS, &path, &query)
    }

    /// All users among the members, those of nested groups as well.
    pub fn transitive_users(&self, group: &ObjectId) -> Pages<User> {
        // A cast to one type is an advanced query.
        let query = Query::new().or_select(MEMBER_SELECT).top(999).eventual();
        let path = [
            "groups",
            &group.to_string(),
            "transitiveMembers",
            "microsoft.graph.user",
        ];
        self.client.list(TRANSITIVE_MEMBERS, &path, &query)
    }
}

const LIST: Route = Route::new("GET /groups", "Group.Read.All");
const GET: Route = Route::new("GET /groups/{id}", "Group.Read.All");
const MEMBERS: Route = Route::new("GET /groups/{id}/members", "GroupMember.Read.All");
const TRANSITIVE_MEMBERS: Route =
    Route::new("GET /groups/{id}/transitiveMembers", "GroupMember.Read.All");

const SELECT: &[&str] = &[
    "id",
    "displayName",
    "description",
    "mail",
    "mailNickname",
    "mailEnabled",
    "securityEnabled",
    "groupTypes",
    "membershipRule",
    "isAssignableToRole",
    "visibility",
    "createdDateTime",
    "onPremisesSyncEnabled",
    "onPremisesSecurityIdentifier",
    "onPremisesSamAccountName",
];

const MEMBER_SELECT: &[&str] = &[
    "id",
    "displayName",
    "userPrincipalName",
    "mail",
    "accountEnabled",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RemovedReason;

    #[test]
    fn changes_of_members_are_read() {
        let group: Group = serde_json::from_str(
            r##"{"id":"00000000-0000-0000-0000-000000000001","members@delta":[
                {"@odata.type":"#microsoft.graph.user","id":"00000000-0000-0000-0000-000000000002"},
                {"id":"00000000-0000-0000-0000-000000000003","@removed":{"reason":"deleted"}}]}"##,
        )
        .unwrap();
        let changes = group.members_delta.unwrap();
        assert_eq!(changes[0].removed, None);
        let removed = changes[1].removed.as_ref().unwrap();
        assert_eq!(removed.reason, RemovedReason::Deleted);
    }
}
