//! The parts of an app registration: platforms, API, permissions, roles, claims.

use entra_core::ClientId;
use serde::{Deserialize, Serialize};
use serde_with::rust::double_option;
use serde_with::skip_serializing_none;
use uuid::Uuid;

use crate::open_enum::open_enum;

/// The web platform of an app.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct WebSettings {
    /// Where sign-ins return to. Compared letter by letter.
    pub redirect_uris: Option<Vec<String>>,
    /// The order of the redirect URIs, for SAML.
    pub redirect_uri_settings: Option<Vec<RedirectUriSettings>>,
    /// The home page.
    #[serde(with = "double_option")]
    pub home_page_url: Option<Option<String>>,
    /// The front-channel logout URL.
    #[serde(with = "double_option")]
    pub logout_url: Option<Option<String>>,
    /// Which tokens the authorization endpoint issues itself.
    pub implicit_grant_settings: Option<ImplicitGrantSettings>,
}

/// The place of one redirect URI.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct RedirectUriSettings {
    /// The URI.
    pub uri: Option<String>,
    /// Its index.
    pub index: Option<i32>,
}

/// Which tokens the authorization endpoint issues itself.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct ImplicitGrantSettings {
    /// Access tokens.
    pub enable_access_token_issuance: Option<bool>,
    /// ID tokens.
    pub enable_id_token_issuance: Option<bool>,
}

/// The single-page platform of an app.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct SpaSettings {
    /// Where sign-ins return to.
    pub redirect_uris: Option<Vec<String>>,
}

/// The mobile and desktop platform of an app.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct PublicClientSettings {
    /// Where sign-ins return to. Custom schemes are allowed here alone.
    pub redirect_uris: Option<Vec<String>>,
}

/// What an app offers as an API.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct ApiSettings {
    /// Whether claims mapping without a key of the app's own is accepted.
    pub accept_mapped_claims: Option<bool>,
    /// Clients whose consent covers this API too.
    pub known_client_applications: Option<Vec<ClientId>>,
    /// Delegated permissions that the app offers.
    pub oauth2_permission_scopes: Option<Vec<PermissionScope>>,
    /// Clients that need no consent.
    pub pre_authorized_applications: Option<Vec<PreAuthorizedApplication>>,
    /// The version of access tokens, 1 or 2; null stands for 1.
    #[serde(with = "double_option")]
    pub requested_access_token_version: Option<Option<i32>>,
}

/// A client that needs no consent.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct PreAuthorizedApplication {
    /// The client.
    pub app_id: Option<ClientId>,
    /// For which of the API's permissions.
    pub delegated_permission_ids: Option<Vec<Uuid>>,
}

/// A delegated permission that an app offers.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct PermissionScope {
    /// The id.
    pub id: Option<Uuid>,
    /// The name, as it stands in `scp`.
    pub value: Option<String>,
    /// Whether it may be granted.
    pub is_enabled: Option<bool>,
    /// `Admin` or `User`: who may consent.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// The title that an administrator sees.
    pub admin_consent_display_name: Option<String>,
    /// The explanation that an administrator sees.
    pub admin_consent_description: Option<String>,
    /// The title that a user sees.
    pub user_consent_display_name: Option<String>,
    /// The explanation that a user sees.
    pub user_consent_description: Option<String>,
}

/// A role of an app: an application permission that it offers, or a role for users and groups.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct AppRole {
    /// The id.
    pub id: Option<Uuid>,
    /// The name, as it stands in `roles`.
    pub value: Option<String>,
    /// Whether it may be assigned.
    pub is_enabled: Option<bool>,
    /// `Application`, `User` or both.
    pub allowed_member_types: Option<Vec<String>>,
    /// The title.
    pub display_name: Option<String>,
    /// The explanation.
    pub description: Option<String>,
}

/// The permissions of one API that an app asks for.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct RequiredResourceAccess {
    /// The client id of the API, as text: Graph accepts those of Microsoft's own services.
    pub resource_app_id: String,
    /// The permissions.
    pub resource_access: Vec<ResourceAccess>,
}

/// One permission that an app asks for.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq, Hash)]
pub struct ResourceAccess {
    /// The id of the role or scope.
    pub id: Uuid,
    /// Whether it is a role or a scope.
    #[serde(rename = "type")]
    pub kind: AccessKind,
}

open_enum! {
    /// Whether a permission is a role of the app or a scope on behalf of a user.
    AccessKind {
        /// An application permission.
        Role = "Role",
        /// A delegated permission.
        Scope = "Scope",
    }
}

/// Claims to add to tokens.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct OptionalClaims {
    /// To access tokens of the app as an API.
    pub access_token: Option<Vec<OptionalClaim>>,
    /// To ID tokens.
    pub id_token: Option<Vec<OptionalClaim>>,
    /// To SAML tokens.
    pub saml2_token: Option<Vec<OptionalClaim>>,
}

/// A claim to add.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct OptionalClaim {
    /// The name.
    pub name: Option<String>,
    /// Whether the app cannot do without it.
    pub essential: Option<bool>,
    /// Where it comes from: `user` for extension properties.
    pub source: Option<String>,
    /// How it is written.
    pub additional_properties: Option<Vec<String>>,
}
