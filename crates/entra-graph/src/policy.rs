//! The tenant's policy for apps: which credentials and App ID URIs it allows.

use entra_core::ObjectId;
use serde::Deserialize;
use time::OffsetDateTime;

use crate::client::Route;
use crate::open_enum::open_enum;
use crate::{Error, GraphClient, IsoDuration, Query};

/// The default app management policy of a tenant
/// (`microsoft.graph.tenantAppManagementPolicy`).
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct AppManagementPolicy {
    /// The name to show.
    pub display_name: Option<String>,
    /// Whether it is enforced at all.
    pub is_enabled: Option<bool>,
    /// What it restricts for app registrations.
    pub application_restrictions: Option<AppRestrictions>,
    /// What it restricts for service principals.
    pub service_principal_restrictions: Option<AppRestrictions>,
}

impl AppManagementPolicy {
    /// The restrictions of client secrets for an app that was made at `created`, if the policy is
    /// enforced.
    pub fn password_restrictions(
        &self,
        created: OffsetDateTime,
    ) -> impl Iterator<Item = &CredentialRestriction> {
        let restrictions = self
            .enforced()
            .and_then(|found| found.password_credentials.as_deref());
        in_force(restrictions.unwrap_or_default(), created)
    }

    /// The restrictions of certificates for an app that was made at `created`, if the policy is
    /// enforced.
    pub fn key_restrictions(
        &self,
        created: OffsetDateTime,
    ) -> impl Iterator<Item = &CredentialRestriction> {
        let restrictions = self
            .enforced()
            .and_then(|found| found.key_credentials.as_deref());
        in_force(restrictions.unwrap_or_default(), created)
    }

    /// The restrictions of App ID URIs, if the policy is enforced.
    pub fn identifier_uri_restrictions(&self) -> Option<&IdentifierUriRestrictions> {
        self.enforced()?.identifier_uris.as_ref()
    }

    fn enforced(&self) -> Option<&AppRestrictions> {
        self.application_restrictions
            .as_ref()
            .filter(|_| self.is_enabled.unwrap_or(true))
    }
}

/// What a policy restricts.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct AppRestrictions {
    /// Of client secrets.
    pub password_credentials: Option<Vec<CredentialRestriction>>,
    /// Of certificates.
    pub key_credentials: Option<Vec<CredentialRestriction>>,
    /// Of App ID URIs.
    pub identifier_uris: Option<IdentifierUriRestrictions>,
}

/// One restriction of a kind of credential.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct CredentialRestriction {
    /// What is restricted.
    pub restriction_type: Option<RestrictionType>,
    /// Whether it is enforced.
    pub state: Option<RestrictionState>,
    /// The longest lifetime, where lifetimes are restricted.
    pub max_lifetime: Option<IsoDuration>,
    /// It holds for apps that were made after this moment alone.
    #[serde(with = "time::serde::rfc3339::option")]
    pub restrict_for_apps_created_after_date_time: Option<OffsetDateTime>,
}

impl CredentialRestriction {
    /// Whether it holds for an app that was made at `created`.
    pub fn applies_to(&self, created: OffsetDateTime) -> bool {
        applies(
            self.state.as_ref(),
            self.restrict_for_apps_created_after_date_time,
            created,
        )
    }
}

open_enum! {
    /// What a policy restricts about credentials.
    RestrictionType {
        /// New client secrets are forbidden.
        PasswordAddition = "passwordAddition",
        /// Client secrets live for a limited time.
        PasswordLifetime = "passwordLifetime",
        /// Client secrets are chosen by Entra alone.
        CustomPasswordAddition = "customPasswordAddition",
        /// New symmetric keys are forbidden.
        SymmetricKeyAddition = "symmetricKeyAddition",
        /// Symmetric keys live for a limited time.
        SymmetricKeyLifetime = "symmetricKeyLifetime",
        /// Certificates live for a limited time.
        AsymmetricKeyLifetime = "asymmetricKeyLifetime",
        /// Certificates come from a trusted authority.
        TrustedCertificateAuthority = "trustedCertificateAuthority",
    }
}

open_enum! {
    /// Whether a restriction is enforced.
    RestrictionState {
        /// It is.
        Enabled = "enabled",
        /// It is not.
        Disabled = "disabled",
    }
}

/// What a policy says about App ID URIs.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct IdentifierUriRestrictions {
    /// Only the default forms `api://<client id>` and `api://<tenant id>/<client id>` are allowed.
    pub non_default_uri_addition: Option<IdentifierUriRestriction>,
    /// Only forms that carry the client id, the tenant id or a verified domain are allowed.
    pub uri_addition_without_unique_tenant_identifier: Option<IdentifierUriRestriction>,
}

/// One restriction of App ID URIs.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct IdentifierUriRestriction {
    /// Whether it is enforced.
    pub state: Option<RestrictionState>,
    /// It holds for apps that were made after this moment alone.
    #[serde(with = "time::serde::rfc3339::option")]
    pub restrict_for_apps_created_after_date_time: Option<OffsetDateTime>,
    /// Apps that ask for access tokens of version 2 are exempt.
    pub exclude_apps_receiving_v2_tokens: Option<bool>,
    /// Apps that use SAML are exempt.
    pub exclude_saml: Option<bool>,
    /// Microsoft chose the state, not the tenant.
    pub is_state_set_by_microsoft: Option<bool>,
}

impl IdentifierUriRestriction {
    /// Whether it holds for an app that was made at `created`, exemptions aside.
    pub fn applies_to(&self, created: OffsetDateTime) -> bool {
        applies(
            self.state.as_ref(),
            self.restrict_for_apps_created_after_date_time,
            created,
        )
    }
}

impl GraphClient {
    /// The tenant's policies.
    pub fn policies(&self) -> Policies<'_> {
        Policies { client: self }
    }
}

/// Calls on policies.
#[derive(Clone, Copy, Debug)]
pub struct Policies<'a> {
    client: &'a GraphClient,
}

impl Policies<'_> {
    /// Reads the policy that holds for all apps without one of their own.
    pub async fn default_app_management_policy(&self) -> Result<AppManagementPolicy, Error> {
        let path = ["policies", "defaultAppManagementPolicy"];
        self.client.get(DEFAULT_POLICY, &path, &Query::new()).await
    }

    /// Reads the policy that holds for this app in the place of the tenant's, if it has one
    /// (Microsoft Learn, "Microsoft Entra application management policies API overview").
    pub async fn app_management_policy_of(
        &self,
        app: &ObjectId,
    ) -> Result<Option<AppManagementPolicy>, Error> {
        let path = ["applications", &app.to_string(), "appManagementPolicies"];
        let mut policies = self
            .client
            .list::<PolicyOfApps>(POLICIES_OF_APP, &path, &Query::new());
        Ok(policies.try_next().await?.map(Into::into))
    }
}

/// A policy for single apps (`microsoft.graph.appManagementPolicy`). It says the same elsewhere.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PolicyOfApps {
    display_name: Option<String>,
    is_enabled: Option<bool>,
    restrictions: Option<RestrictionsOfApps>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RestrictionsOfApps {
    password_credentials: Option<Vec<CredentialRestriction>>,
    key_credentials: Option<Vec<CredentialRestriction>>,
    application_restrictions: Option<AppRestrictions>,
}

impl From<PolicyOfApps> for AppManagementPolicy {
    fn from(policy: PolicyOfApps) -> Self {
        let restrictions = policy.restrictions.map(|found| AppRestrictions {
            password_credentials: found.password_credentials,
            key_credentials: found.key_credentials,
            identifier_uris: found
                .application_restrictions
                .and_then(|found| found.identifier_uris),
        });
        Self {
            display_name: policy.display_name,
            is_enabled: policy.is_enabled,
            application_restrictions: restrictions,
            service_principal_restrictions: None,
        }
    }
}

fn in_force(
    restrictions: &[CredentialRestriction],
    created: OffsetDateTime,
) -> impl Iterator<Item = &CredentialRestriction> {
    restrictions
        .iter()
        .filter(move |restriction| restriction.applies_to(created))
}

fn applies(
    state: Option<&RestrictionState>,
    after: Option<OffsetDateTime>,
    created: OffsetDateTime,
) -> bool {
    state == Some(&RestrictionState::Enabled) && after.is_none_or(|after| created >= after)
}

const DEFAULT_POLICY: Route = Route::new(
    "GET /policies/defaultAppManagementPolicy",
    "Policy.Read.All",
);

const POLICIES_OF_APP: Route = Route::new(
    "GET /applications/{id}/appManagementPolicies",
    "Policy.Read.All",
);

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn only_what_is_enabled_and_new_enough_is_in_force() {
        let policy: AppManagementPolicy = serde_json::from_str(
            r#"{"isEnabled":true,"applicationRestrictions":{"passwordCredentials":[
                {"restrictionType":"passwordAddition","maxLifetime":null,"state":"disabled","restrictForAppsCreatedAfterDateTime":"2020-01-01T00:00:00Z"},
                {"restrictionType":"passwordLifetime","maxLifetime":"P180D","state":"enabled","restrictForAppsCreatedAfterDateTime":"2026-01-01T00:00:00Z"}],
              "keyCredentials":[],"identifierUris":{"nonDefaultUriAddition":{"state":"enabled","excludeSaml":true}}}}"#,
        )
        .unwrap();
        let types = |created| -> Vec<_> {
            policy
                .password_restrictions(created)
                .map(|found| found.max_lifetime)
                .collect()
        };
        assert_eq!(types(datetime!(2025-12-31 00:00 UTC)), []);
        assert_eq!(
            types(datetime!(2026-06-01 00:00 UTC)),
            [Some(IsoDuration::from(time::Duration::days(180)))]
        );
        let uris = policy.identifier_uri_restrictions().unwrap();
        assert!(
            uris.non_default_uri_addition
                .as_ref()
                .unwrap()
                .applies_to(datetime!(2026-06-01 00:00 UTC))
        );
    }

    #[test]
    fn a_policy_that_is_off_restricts_nothing() {
        let policy: AppManagementPolicy = serde_json::from_str(
            r#"{"isEnabled":false,"applicationRestrictions":{"passwordCredentials":[
                {"restrictionType":"passwordAddition","state":"enabled"}]}}"#,
        )
        .unwrap();
        assert_eq!(
            policy
                .password_restrictions(datetime!(2026-06-01 00:00 UTC))
                .count(),
            0
        );
    }
}
