//! The tenant's domains.

use serde::Deserialize;

use crate::client::Route;
use crate::open_enum::open_enum;
use crate::{Error, GraphClient, Pages, Query};

/// A domain (`microsoft.graph.domain`).
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct Domain {
    /// The name: `contoso.com`.
    pub id: Option<String>,
    /// Whether the tenant has proved that it owns the domain.
    pub is_verified: Option<bool>,
    /// Whether new users get it by default.
    pub is_default: Option<bool>,
    /// Whether it is the tenant's first, `….onmicrosoft.com`.
    pub is_initial: Option<bool>,
    /// Whether it is no subdomain of another one of the tenant's.
    pub is_root: Option<bool>,
    /// Who checks passwords.
    pub authentication_type: Option<AuthenticationType>,
    /// What it is used for: `Email`, `OfficeCommunicationsOnline` and others.
    pub supported_services: Option<Vec<String>>,
}

open_enum! {
    /// Who checks the passwords of a domain's users.
    AuthenticationType {
        /// Microsoft Entra ID.
        Managed = "Managed",
        /// Another identity provider.
        Federated = "Federated",
    }
}

impl GraphClient {
    /// The tenant's domains.
    pub fn domains(&self) -> Domains<'_> {
        Domains { client: self }
    }
}

/// Calls on domains.
#[derive(Clone, Copy, Debug)]
pub struct Domains<'a> {
    client: &'a GraphClient,
}

impl Domains<'_> {
    /// Lists the domains.
    pub fn list(&self) -> Pages<Domain> {
        self.client.list(LIST, &["domains"], &Query::new())
    }

    /// Reads a domain by name.
    pub async fn get(&self, name: &str) -> Result<Domain, Error> {
        self.client
            .get(GET, &["domains", name], &Query::new())
            .await
    }
}

const LIST: Route = Route::new("GET /domains", "Domain.Read.All");
const GET: Route = Route::new("GET /domains/{id}", "Domain.Read.All");
