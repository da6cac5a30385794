//! Users.

use entra_core::ObjectId;
use http::Method;
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;
use time::OffsetDateTime;

use crate::client::{Request, Route};
use crate::open_enum::open_enum;
use crate::{DirectoryObject, Error, GraphClient, Group, Pages, Query, Removed};

/// A user of the tenant (`microsoft.graph.user`). What was not read, or is null, is `None`.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct User {
    /// The object id. It never changes; names and addresses do.
    #[serde(skip_serializing)]
    pub id: Option<ObjectId>,
    /// The sign-in name.
    pub user_principal_name: Option<String>,
    /// The name to show.
    pub display_name: Option<String>,
    /// Whether the user may sign in. Graph leaves it out unless it is asked for.
    pub account_enabled: Option<bool>,
    /// Member or guest.
    pub user_type: Option<UserType>,
    /// The e-mail address. Not verified for guests.
    pub mail: Option<String>,
    /// The first name.
    pub given_name: Option<String>,
    /// The last name.
    pub surname: Option<String>,
    /// The job title.
    pub job_title: Option<String>,
    /// The department.
    pub department: Option<String>,
    /// The company.
    pub company_name: Option<String>,
    /// The office.
    pub office_location: Option<String>,
    /// The mobile number.
    pub mobile_phone: Option<String>,
    /// Business numbers; Graph keeps one.
    pub business_phones: Option<Vec<String>>,
    /// The language, for example `de-DE`.
    pub preferred_language: Option<String>,
    /// The country in which licences are used, in two letters.
    pub usage_location: Option<String>,
    /// The number of the employee.
    pub employee_id: Option<String>,
    /// When the user was made.
    #[serde(skip_serializing, with = "time::serde::rfc3339::option")]
    pub created_date_time: Option<OffsetDateTime>,
    /// Whether the user comes from a directory on the premises.
    #[serde(skip_serializing)]
    pub on_premises_sync_enabled: Option<bool>,
    /// The key by which the directory on the premises knows the user.
    pub on_premises_immutable_id: Option<String>,
    /// The security identifier on the premises.
    #[serde(skip_serializing)]
    pub on_premises_security_identifier: Option<String>,
    /// The account name on the premises.
    #[serde(skip_serializing)]
    pub on_premises_sam_account_name: Option<String>,
    /// Whether a guest has accepted the invitation.
    #[serde(skip_serializing)]
    pub external_user_state: Option<String>,
    /// In delta queries: the user is gone.
    #[serde(skip_serializing, rename = "@removed")]
    pub removed: Option<Removed>,
}

open_enum! {
    /// What kind of user it is.
    UserType {
        /// Of the tenant.
        Member = "Member",
        /// Invited.
        Guest = "Guest",
    }
}

impl GraphClient {
    /// Users.
    pub fn users(&self) -> Users<'_> {
        Users { client: self }
    }
}

/// Calls on users.
#[derive(Clone, Copy, Debug)]
pub struct Users<'a> {
    client: &'a GraphClient,
}

impl Users<'_> {
    /// Lists users, with [`User`]'s properties unless the query names others.
    pub fn list(&self, query: Query) -> Pages<User> {
        self.client.list(LIST, &["users"], &query.or_select(SELECT))
    }

    /// Reads a user by object id or user principal name.
    pub async fn get(&self, user: &str) -> Result<User, Error> {
        let query = Query::new().or_select(SELECT);
        self.client
            .get(GET, &path(user, None).as_segments(), &query)
            .await
    }

    /// The groups, roles and administrative units that the user belongs to directly.
    pub fn member_of(&self, user: &str) -> Pages<DirectoryObject> {
        let path = path(user, Some("memberOf"));
        self.client
            .list(MEMBER_OF, &path.as_segments(), &Query::new())
    }

    /// The ids of all groups, directory roles and administrative units that the user belongs to,
    /// through other groups as well; or of the security groups among them alone.
    ///
    /// Graph tells up to 11,000 of them, and refuses with
    /// [`ResultSizeLimitExceeded`](crate::GraphErrorCode::ResultSizeLimitExceeded) where there are more
    /// (Microsoft Learn, "directoryObject: getMemberObjects").
    pub async fn member_objects(
        &self,
        user: &str,
        security_enabled_only: bool,
    ) -> Result<Vec<ObjectId>, Error> {
        let path = path(user, Some("getMemberObjects"));
        let url = self.client.url(&path.as_segments())?;
        let asked = MemberObjects {
            security_enabled_only,
        };
        // It reads, so it may be asked twice.
        let request = Request::new(Method::POST, MEMBER_OBJECTS, url)
            .with_json(&asked)?
            .idempotent();
        let found: Ids = self.client.send(request).await?.json()?;
        Ok(found.value)
    }

    /// All groups that the user belongs to, through other groups as well.
    pub fn transitive_groups(&self, user: &str) -> Pages<Group> {
        let mut path = path(user, Some("transitiveMemberOf"));
        path.0.push("microsoft.graph.group".to_owned());
        // A cast to one type is an advanced query.
        let query = Query::new()
            .or_select(&["id", "displayName", "securityEnabled"])
            .eventual();
        self.client
            .list(TRANSITIVE_MEMBER_OF, &path.as_segments(), &query)
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MemberObjects {
    security_enabled_only: bool,
}

#[derive(Deserialize)]
struct Ids {
    value: Vec<ObjectId>,
}

/// Path segments. A name that starts with `$` stands in parentheses (Microsoft Learn, "Get a
/// user").
struct UserPath(Vec<String>);

impl UserPath {
    fn as_segments(&self) -> Vec<&str> {
        self.0.iter().map(String::as_str).collect()
    }
}

fn path(user: &str, relationship: Option<&str>) -> UserPath {
    let mut segments = if user.starts_with('$') {
        vec![format!("users('{}')", user.replace('\'', "''"))]
    } else {
        vec!["users".to_owned(), user.to_owned()]
    };
    segments.extend(relationship.map(str::to_owned));
    UserPath(segments)
}

const LIST: Route = Route::new("GET /users", "User.Read.All");
const GET: Route = Route::new("GET /users/{id}", "User.Read.All");
const MEMBER_OF: Route = Route::new("GET /users/{id}/memberOf", "GroupMember.Read.All");
/// Microsoft Learn asks for `User.ReadBasic.All` beside it, or for `User.Read.All` instead; its
/// permission table for this one alone.
const MEMBER_OBJECTS: Route =
    Route::new("POST /users/{id}/getMemberObjects", "GroupMember.Read.All");
const TRANSITIVE_MEMBER_OF: Route =
    Route::new("GET /users/{id}/transitiveMemberOf", "GroupMember.Read.All");

/// Without `$select` Graph sends eleven properties, and `accountEnabled` is none of them: every
/// disabled user would look like an enabled one.
const SELECT: &[&str] = &[
    "id",
    "userPrincipalName",
    "displayName",
    "accountEnabled",
    "userType",
    "mail",
    "givenName",
    "surname",
    "jobTitle",
    "department",
    "companyName",
    "officeLocation",
    "mobilePhone",
    "businessPhones",
    "preferredLanguage",
    "usageLocation",
    "employeeId",
    "createdDateTime",
    "onPremisesSyncEnabled",
    "onPremisesImmutableId",
    "onPremisesSecurityIdentifier",
    "onPremisesSamAccountName",
    "externalUserState",
];

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn dates_with_seven_digits_and_the_first_year_are_read() {
        for (text, expected) in [
            (
                "2025-06-01T08:00:50.9014347Z",
                datetime!(2025-06-01 08:00:50.901_434_7 UTC),
            ),
            ("0001-01-01T00:00:00Z", datetime!(0001-01-01 00:00 UTC)),
        ] {
            let json = serde_json::json!({"createdDateTime": text}).to_string();
            let user: User = serde_json::from_str(&json).unwrap();
            assert_eq!(user.created_date_time, Some(expected));
        }
    }

    #[test]
    fn unknown_properties_and_kinds_are_accepted() {
        let user: User = serde_json::from_str(
            r#"{"@odata.id":"x","userType":"Robot","mail":null,"assignedPlans":[{"a":{}}]}"#,
        )
        .unwrap();
        assert_eq!(user.user_type, Some(UserType::Other("Robot".into())));
        assert_eq!(user.mail, None);
    }

    #[test]
    fn only_what_is_set_and_may_be_written_is_sent() {
        let user = User {
            id: Some(ObjectId::from(uuid::Uuid::from_u128(1))),
            account_enabled: Some(false),
            ..User::default()
        };
        assert_eq!(
            serde_json::to_string(&user).unwrap(),
            r#"{"accountEnabled":false}"#
        );
    }

    #[test]
    fn a_name_with_a_dollar_stands_in_parentheses() {
        assert_eq!(path("$a'b@c", None).0, ["users('$a''b@c')"]);
        assert_eq!(
            path("a@c", Some("memberOf")).0,
            ["users", "a@c", "memberOf"]
        );
    }
}
