//! The tenant itself.

use entra_core::TenantId;
use serde::Deserialize;
use time::OffsetDateTime;

use crate::client::Route;
use crate::{Error, GraphClient, Pages, Query};

/// The tenant (`microsoft.graph.organization`).
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct Organization {
    /// The tenant's id.
    pub id: Option<TenantId>,
    /// The name to show.
    pub display_name: Option<String>,
    /// `AAD` for a workforce tenant, `CIAM` for an external one.
    pub tenant_type: Option<String>,
    /// The domains that the tenant has proved to own.
    pub verified_domains: Option<Vec<VerifiedDomain>>,
    /// Whether users come from a directory on the premises.
    pub on_premises_sync_enabled: Option<bool>,
    /// The country, in two letters.
    pub country_letter_code: Option<String>,
    /// When the tenant was made.
    #[serde(with = "time::serde::rfc3339::option")]
    pub created_date_time: Option<OffsetDateTime>,
}

/// A domain that the tenant owns.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct VerifiedDomain {
    /// The name: `contoso.com`.
    pub name: Option<String>,
    /// Whether new users get it by default.
    pub is_default: Option<bool>,
    /// Whether it is the tenant's first, `….onmicrosoft.com`.
    pub is_initial: Option<bool>,
    /// `Managed` or `Federated`.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// What it is used for.
    pub capabilities: Option<String>,
}

impl GraphClient {
    /// The tenant itself.
    pub fn organization(&self) -> OrganizationInfo<'_> {
        OrganizationInfo { client: self }
    }
}

/// Calls on the tenant.
#[derive(Clone, Copy, Debug)]
pub struct OrganizationInfo<'a> {
    client: &'a GraphClient,
}

impl OrganizationInfo<'_> {
    /// Reads the tenant of the token.
    pub async fn get(&self) -> Result<Organization, Error> {
        let mut found: Pages<Organization> =
            self.client
                .list(LIST, &["organization"], &Query::new().or_select(SELECT));
        found
            .try_next()
            .await?
            .ok_or(Error::InvalidRequest("the token belongs to no tenant"))
    }
}

const LIST: Route = Route::new("GET /organization", "Organization.Read.All");

const SELECT: &[&str] = &[
    "id",
    "displayName",
    "tenantType",
    "verifiedDomains",
    "onPremisesSyncEnabled",
    "countryLetterCode",
    "createdDateTime",
];
