//! Objects of any kind, as members and owners are.

use entra_core::ObjectId;
use serde::Deserialize;

/// An object of the directory whose kind is known only when it is read.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct DirectoryObject {
    /// What it is, for example `#microsoft.graph.user`.
    #[serde(rename = "@odata.type")]
    pub odata_type: Option<String>,
    /// The object id.
    pub id: Option<ObjectId>,
    /// The name to show. Hidden where the app may not read this kind of object.
    pub display_name: Option<String>,
    /// Of a user: the sign-in name.
    pub user_principal_name: Option<String>,
    /// Of a user or group: the e-mail address.
    pub mail: Option<String>,
    /// Of a user or device: whether it is enabled, if it was asked for.
    pub account_enabled: Option<bool>,
}

impl DirectoryObject {
    /// The kind without its name space, for example `user`.
    pub fn kind(&self) -> Option<&str> {
        let full = self.odata_type.as_deref()?;
        Some(full.rsplit_once('.').map_or(full, |(_, kind)| kind))
    }
}
