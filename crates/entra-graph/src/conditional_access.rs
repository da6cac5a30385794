//! Conditional Access, as far as a product must know it: authentication contexts and the policies
//! that are about them.

use serde::Deserialize;
use time::OffsetDateTime;

use crate::client::Route;
use crate::open_enum::open_enum;
use crate::{GraphClient, Pages, Query};

/// An authentication context (`microsoft.graph.authenticationContextClassReference`): a name that
/// a product asks for before an action, and that policies give a meaning to.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct AuthenticationContext {
    /// What stands in the claim `acrs`: `c1` and so on.
    pub id: Option<String>,
    /// The name to show.
    pub display_name: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// Whether it is published to apps.
    pub is_available: Option<bool>,
}

/// A Conditional Access policy (`microsoft.graph.conditionalAccessPolicy`), in part.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct ConditionalAccessPolicy {
    /// The id.
    pub id: Option<String>,
    /// The name to show.
    pub display_name: Option<String>,
    /// Whether it is enforced.
    pub state: Option<ConditionalAccessPolicyState>,
    /// What it is about.
    pub conditions: Option<ConditionalAccessConditions>,
    /// When it was made.
    #[serde(with = "time::serde::rfc3339::option")]
    pub created_date_time: Option<OffsetDateTime>,
    /// When it was changed last.
    #[serde(with = "time::serde::rfc3339::option")]
    pub modified_date_time: Option<OffsetDateTime>,
}

impl ConditionalAccessPolicy {
    /// Whether it is about this authentication context.
    pub fn is_about(&self, context: &str) -> bool {
        let applications = self
            .conditions
            .as_ref()
            .and_then(|conditions| conditions.applications.as_ref());
        applications
            .and_then(|found| {
                found
                    .include_authentication_context_class_references
                    .as_ref()
            })
            .is_some_and(|contexts| contexts.iter().any(|found| found == context))
    }
}

/// What a policy is about, in part.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct ConditionalAccessConditions {
    /// Applications and authentication contexts.
    pub applications: Option<ConditionalAccessApplications>,
}

/// The applications and authentication contexts that a policy is about, in part.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct ConditionalAccessApplications {
    /// Client ids, `All`, or groups of applications.
    pub include_applications: Option<Vec<String>>,
    /// Authentication contexts.
    pub include_authentication_context_class_references: Option<Vec<String>>,
}

open_enum! {
    /// Whether a policy is enforced.
    ConditionalAccessPolicyState {
        /// It is.
        Enabled = "enabled",
        /// It is not.
        Disabled = "disabled",
        /// It only reports what it would have done.
        ReportOnly = "enabledForReportingButNotEnforced",
    }
}

impl GraphClient {
    /// Conditional Access.
    pub fn conditional_access(&self) -> ConditionalAccess<'_> {
        ConditionalAccess { client: self }
    }
}

/// Calls on Conditional Access. Graph allows few of them in a second.
#[derive(Clone, Copy, Debug)]
pub struct ConditionalAccess<'a> {
    client: &'a GraphClient,
}

impl ConditionalAccess<'_> {
    /// The authentication contexts of the tenant.
    pub fn authentication_contexts(&self) -> Pages<AuthenticationContext> {
        let path = [ROOT[0], ROOT[1], "authenticationContextClassReferences"];
        self.client.list(CONTEXTS, &path, &Query::new())
    }

    /// The policies of the tenant.
    pub fn policies(&self) -> Pages<ConditionalAccessPolicy> {
        let path = [ROOT[0], ROOT[1], "policies"];
        self.client.list(POLICIES, &path, &Query::new())
    }
}

const ROOT: [&str; 2] = ["identity", "conditionalAccess"];
const CONTEXTS: Route = Route::new(
    "GET /identity/conditionalAccess/authenticationContextClassReferences",
    "AuthenticationContext.Read.All",
);
const POLICIES: Route = Route::new(
    "GET /identity/conditionalAccess/policies",
    "Policy.Read.All",
);
