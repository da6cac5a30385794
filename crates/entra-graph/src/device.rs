//! Devices.

use entra_core::ObjectId;
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::client::Route;
use crate::query::alternate_key;
use crate::{Error, GraphClient, Pages, Query, Removed};

/// A device that is registered with or joined to the tenant (`microsoft.graph.device`).
#[skip_serializing_none]
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct Device {
    /// The object id.
    #[serde(skip_serializing)]
    pub id: Option<ObjectId>,
    /// The id that the device itself knows.
    #[serde(skip_serializing)]
    pub device_id: Option<Uuid>,
    /// The name to show.
    pub display_name: Option<String>,
    /// Whether the device may sign in.
    pub account_enabled: Option<bool>,
    /// The operating system.
    pub operating_system: Option<String>,
    /// Its version.
    pub operating_system_version: Option<String>,
    /// How it is trusted: `Workplace`, `AzureAd` or `ServerAd`.
    #[serde(skip_serializing)]
    pub trust_type: Option<String>,
    /// Whether it complies with the rules of device management. Graph accepts it from approved
    /// device management apps alone.
    pub is_compliant: Option<bool>,
    /// Whether a device management app manages it. Graph accepts it from those alone.
    pub is_managed: Option<bool>,
    /// Which device management app manages it.
    pub mdm_app_id: Option<String>,
    /// The maker.
    #[serde(skip_serializing)]
    pub manufacturer: Option<String>,
    /// The model.
    #[serde(skip_serializing)]
    pub model: Option<String>,
    /// Roughly when somebody last signed in on it.
    #[serde(skip_serializing, with = "time::serde::rfc3339::option")]
    pub approximate_last_sign_in_date_time: Option<OffsetDateTime>,
    /// When it was registered.
    #[serde(skip_serializing, with = "time::serde::rfc3339::option")]
    pub registration_date_time: Option<OffsetDateTime>,
    /// Whether it comes from a directory on the premises.
    #[serde(skip_serializing)]
    pub on_premises_sync_enabled: Option<bool>,
    /// In delta queries: the device is gone.
    #[serde(skip_serializing, rename = "@removed")]
    pub removed: Option<Removed>,
}

impl GraphClient {
    /// Devices.
    pub fn devices(&self) -> Devices<'_> {
        Devices { client: self }
    }
}

/// Calls on devices.
#[derive(Clone, Copy, Debug)]
pub struct Devices<'a> {
    client: &'a GraphClient,
}

impl Devices<'_> {
    /// Lists devices, with [`Device`]'s properties unless the query names others.
    pub fn list(&self, query: Query) -> Pages<Device> {
        self.client
            .list(LIST, &["devices"], &query.or_select(SELECT))
    }

    /// Reads a device by its object id.
    pub async fn get(&self, device: &ObjectId) -> Result<Device, Error> {
        let query = Query::new().or_select(SELECT);
        self.client
            .get(GET, &["devices", &device.to_string()], &query)
            .await
    }

    /// Reads a device by the id that it knows of itself.
    pub async fn by_device_id(&self, device_id: &Uuid) -> Result<Option<Device>, Error> {
        let query = Query::new().or_select(SELECT);
        let key = alternate_key("devices", "deviceId", &device_id.to_string());
        self.client.find(GET, &[&key], &query).await
    }
}

const LIST: Route = Route::new("GET /devices", "Device.Read.All");
const GET: Route = Route::new("GET /devices/{id}", "Device.Read.All");

const SELECT: &[&str] = &[
    "id",
    "deviceId",
    "displayName",
    "accountEnabled",
    "operatingSystem",
    "operatingSystemVersion",
    "trustType",
    "isCompliant",
    "isManaged",
    "mdmAppId",
    "manufacturer",
    "model",
    "approximateLastSignInDateTime",
    "registrationDateTime",
    "onPremisesSyncEnabled",
];
