//! App registrations.

use std::time::Duration;

use entra_core::{ClientId, ObjectId};
use http::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_with::rust::double_option;
use serde_with::skip_serializing_none;
use time::OffsetDateTime;

use crate::client::{PREFER, Request, Route};
use crate::open_enum::open_enum;
use crate::query::alternate_key;
use crate::{
    ApiSettings, AppRole, DirectoryObject, Error, GraphClient, GraphError, KeyCredential,
    OptionalClaims, Pages, PasswordCredential, PublicClientSettings, Query, RequiredResourceAccess,
    SpaSettings, WebSettings,
};

/// An app registration (`microsoft.graph.application`).
///
/// What is `None` is not sent, so that a value of this type is a patch as well. Where Graph takes
/// null as "none of it", the field is an option within an option: `Some(None)` sends null.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct Application {
    /// The object id of the registration. Not the client id.
    #[serde(skip_serializing)]
    pub id: Option<ObjectId>,
    /// The client id.
    #[serde(skip_serializing)]
    pub app_id: Option<ClientId>,
    /// The name to show.
    pub display_name: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// Notes for administrators.
    pub notes: Option<String>,
    /// A key of one's own by which the app is found again. It is set when the app is made.
    #[serde(skip_serializing)]
    pub unique_name: Option<String>,
    /// Whose accounts may sign in.
    pub sign_in_audience: Option<SignInAudience>,
    /// The App ID URIs.
    pub identifier_uris: Option<Vec<String>>,
    /// The web platform.
    pub web: Option<WebSettings>,
    /// The single-page platform.
    pub spa: Option<SpaSettings>,
    /// The mobile and desktop platform.
    pub public_client: Option<PublicClientSettings>,
    /// What the app offers as an API.
    pub api: Option<ApiSettings>,
    /// The permissions that the app asks for. A declaration: consent is separate.
    pub required_resource_access: Option<Vec<RequiredResourceAccess>>,
    /// Roles of the app. One must be disabled in one update before another one may remove it.
    pub app_roles: Option<Vec<AppRole>>,
    /// Claims to add to tokens.
    #[serde(with = "double_option")]
    pub optional_claims: Option<Option<OptionalClaims>>,
    /// Which groups stand in tokens: `None`, `SecurityGroup`, `All` and others.
    #[serde(with = "double_option")]
    pub group_membership_claims: Option<Option<String>>,
    /// Whether flows without a platform count as those of a public client.
    pub is_fallback_public_client: Option<bool>,
    /// Marks.
    pub tags: Option<Vec<String>>,
    /// Where the app is registered in an inventory of one's own.
    pub service_management_reference: Option<String>,
    /// Certificates. Written by [`add_certificate`](Applications::add_certificate) and
    /// [`remove_certificate`](Applications::remove_certificate) alone, since Graph replaces the
    /// whole collection.
    #[serde(skip_serializing)]
    pub key_credentials: Option<Vec<KeyCredential>>,
    /// Client secrets, without their text.
    #[serde(skip_serializing)]
    pub password_credentials: Option<Vec<PasswordCredential>>,
    /// When the app was made.
    #[serde(skip_serializing, with = "time::serde::rfc3339::option")]
    pub created_date_time: Option<OffsetDateTime>,
    /// The verified domain of the publisher.
    #[serde(skip_serializing)]
    pub publisher_domain: Option<String>,
}

open_enum! {
    /// Whose accounts may sign in to an app.
    SignInAudience {
        /// The tenant's own.
        MyOrganization = "AzureADMyOrg",
        /// Any organisation's.
        AnyOrganization = "AzureADMultipleOrgs",
        /// Any organisation's, and personal ones.
        AnyOrganizationAndPersonal = "AzureADandPersonalMicrosoftAccount",
        /// Personal ones alone.
        Personal = "PersonalMicrosoftAccount",
    }
}

/// How an upsert ended.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Upserted {
    /// The app did not exist and was made.
    Created(Box<Application>),
    /// The app existed and was updated. Graph does not send it along.
    Updated,
}

impl GraphClient {
    /// App registrations and their credentials.
    pub fn applications(&self) -> Applications<'_> {
        Applications { client: self }
    }
}

/// Calls on app registrations.
#[derive(Clone, Copy, Debug)]
pub struct Applications<'a> {
    pub(crate) client: &'a GraphClient,
}

impl Applications<'_> {
    /// Lists app registrations, with the properties that tell them apart unless the query names
    /// others.
    pub fn list(&self, query: Query) -> Pages<Application> {
        self.client
            .list(LIST, &["applications"], &query.or_select(SELECT))
    }

    /// Reads an app by its object id.
    pub async fn get(&self, app: &ObjectId) -> Result<Application, Error> {
        self.client
            .get(GET, &["applications", &app.to_string()], &Query::new())
            .await
    }

    /// Reads an app by its client id.
    pub async fn by_app_id(&self, client_id: &ClientId) -> Result<Option<Application>, Error> {
        let key = alternate_key("applications", "appId", &client_id.to_string());
        self.client.find(GET, &[&key], &Query::new()).await
    }

    /// Reads an app by its unique name.
    pub async fn by_unique_name(&self, unique_name: &str) -> Result<Option<Application>, Error> {
        let key = alternate_key("applications", "uniqueName", unique_name);
        self.client.find(GET, &[&key], &Query::new()).await
    }

    /// Makes the app of this unique name, or updates it: however often it is called, there is one
    /// app (Microsoft Learn, "Upsert application").
    pub async fn upsert(&self, unique_name: &str, app: &Application) -> Result<Upserted, Error> {
        let key = alternate_key("applications", "uniqueName", unique_name);
        let url = self.client.url(&[&key])?;
        let request = Request::new(Method::PATCH, UPSERT, url)
            .with_header(PREFER, http::HeaderValue::from_static("create-if-missing"))
            .with_json(app)?
            .idempotent();
        let response = self.client.send(request).await?;
        if response.status == StatusCode::CREATED {
            return Ok(Upserted::Created(Box::new(response.json()?)));
        }
        Ok(Upserted::Updated)
    }

    /// Makes an app. A repetition makes another one: prefer [`upsert`](Self::upsert).
    pub async fn create(&self, app: &Application) -> Result<Application, Error> {
        let url = self.client.url(&["applications"])?;
        let request = Request::new(Method::POST, CREATE, url).with_json(app)?;
        self.client.send(request).await?.json()
    }

    /// Updates what is set in `patch`.
    ///
    /// Graph answers 409 while another change to the app is under way; a few of those are waited
    /// out.
    pub async fn update(&self, app: &ObjectId, patch: &Application) -> Result<(), Error> {
        self.patch(app, patch).await
    }

    /// Deletes an app. It stays in the recycle bin for 30 days, and its unique name and App ID
    /// URIs stay taken until then. An app that does not exist counts as deleted.
    pub async fn delete(&self, app: &ObjectId) -> Result<(), Error> {
        let url = self.client.url(&["applications", &app.to_string()])?;
        match self
            .client
            .send(Request::new(Method::DELETE, DELETE, url))
            .await
        {
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(()),
        }
    }

    /// Who owns the app.
    pub fn owners(&self, app: &ObjectId) -> Pages<DirectoryObject> {
        let path = ["applications", &app.to_string(), "owners"];
        self.client.list(OWNERS, &path, &Query::new())
    }

    /// Adds a user or service principal to the owners. One who is an owner already stays one.
    pub async fn add_owner(&self, app: &ObjectId, owner: &ObjectId) -> Result<(), Error> {
        let reference = self.client.url(&["directoryObjects", &owner.to_string()])?;
        let url = self
            .client
            .url(&["applications", &app.to_string(), "owners", "$ref"])?;
        let request = Request::new(Method::POST, ADD_OWNER, url)
            .with_json(&json!({"@odata.id": reference.as_str()}))?
            .idempotent();
        match self.client.send(request).await {
            Err(error) if !error.says_already_there() => Err(error),
            _ => Ok(()),
        }
    }

    /// Adds a mark and keeps the others. Writers of one process wait for each other.
    pub async fn add_tag(&self, app: &ObjectId, tag: &str) -> Result<(), Error> {
        let _turn = self.client.locks().lock(app.as_uuid()).await;
        let mut tags = self
            .client
            .recently_created("the app's tags")
            .until_agreed(|| async { Ok(self.get(app).await?.tags.unwrap_or_default()) })
            .await?;
        if tags.iter().any(|found| found == tag) {
            return Ok(());
        }
        tags.push(tag.to_owned());
        let patch = Application {
            tags: Some(tags),
            ..Application::default()
        };
        self.patch(app, &patch).await
    }

    /// Sends a patch and waits out the conflicts that Graph answers by design while it is busy
    /// with another change.
    pub(crate) async fn patch(
        &self,
        app: &ObjectId,
        body: &(impl Serialize + Sync),
    ) -> Result<(), Error> {
        let url = self.client.url(&["applications", &app.to_string()])?;
        let mut waits = CONFLICT_WAITS.iter();
        loop {
            let request = Request::new(Method::PATCH, UPDATE, url.clone())
                .with_json(body)?
                .idempotent();
            let Err(error) = self.client.send(request).await else {
                return Ok(());
            };
            let is_conflict = error
                .graph()
                .is_some_and(GraphError::is_concurrency_conflict);
            match waits.next() {
                Some(wait) if is_conflict => self.client.clock().sleep(*wait).await,
                _ => return Err(error),
            }
        }
    }
}

pub(crate) const WRITE_PERMISSION: &str = "Application.ReadWrite.All";

const LIST: Route = Route::new("GET /applications", "Application.Read.All");
const GET: Route = Route::new("GET /applications/{id}", "Application.Read.All");
const UPSERT: Route = Route::new("PATCH /applications(uniqueName)", WRITE_PERMISSION);
const CREATE: Route = Route::new("POST /applications", WRITE_PERMISSION);
const UPDATE: Route = Route::new("PATCH /applications/{id}", WRITE_PERMISSION);
const DELETE: Route = Route::new("DELETE /applications/{id}", WRITE_PERMISSION);
const OWNERS: Route = Route::new("GET /applications/{id}/owners", "Application.Read.All");
const ADD_OWNER: Route = Route::new("POST /applications/{id}/owners/$ref", WRITE_PERMISSION);

const CONFLICT_WAITS: &[Duration] = &[
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(8),
];

const SELECT: &[&str] = &[
    "id",
    "appId",
    "displayName",
    "uniqueName",
    "signInAudience",
    "identifierUris",
    "createdDateTime",
    "keyCredentials",
    "passwordCredentials",
    "tags",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_and_absent_are_told_apart() {
        let absent: Application = serde_json::from_str("{}").unwrap();
        let null: Application = serde_json::from_str(r#"{"groupMembershipClaims":null}"#).unwrap();
        assert_eq!(absent.group_membership_claims, None);
        assert_eq!(null.group_membership_claims, Some(None));
        assert_eq!(
            serde_json::to_string(&null).unwrap(),
            r#"{"groupMembershipClaims":null}"#
        );
        assert_eq!(serde_json::to_string(&absent).unwrap(), "{}");
    }

    #[test]
    fn what_graph_sets_itself_is_not_sent_back() {
        let app: Application = serde_json::from_str(
            r#"{"id":"00000000-0000-0000-0000-000000000001","appId":"00000000-0000-0000-0000-000000000002",
            "uniqueName":"u","displayName":"a","createdDateTime":"2026-01-01T00:00:00Z",
            "publisherDomain":"d","keyCredentials":[],"passwordCredentials":[]}"#,
        )
        .unwrap();
        assert_eq!(
            serde_json::to_string(&app).unwrap(),
            r#"{"displayName":"a"}"#
        );
    }
}
