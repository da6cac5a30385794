//! The application that asks for a token, as the directory knows it.

use serde_json::Value;
use time::OffsetDateTime;

use crate::refusal::Refusal;
use crate::tenant::{Object, Tenant, items_of, text_of};

/// A registered application that may sign in, and its service principal.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Client<'a> {
    pub(crate) application: &'a Object,
    pub(crate) principal: &'a Object,
}

impl<'a> Client<'a> {
    /// The client with this id.
    pub(crate) fn find(
        tenant: &'a Tenant,
        app_id: &str,
        now: OffsetDateTime,
    ) -> Result<Self, Refusal> {
        let application = tenant
            .application_by_app_id(app_id, now)
            .ok_or_else(|| Refusal::app_not_found(app_id, tenant.initial_domain()))?;
        let principal = tenant
            .service_principal_by_app_id(app_id, now)
            .ok_or_else(|| Refusal::no_service_principal(app_id, tenant.id()))?;
        let is_disabled = principal.get("accountEnabled") == Some(&Value::Bool(false))
            || application.get("isDisabled") == Some(&Value::Bool(true));
        if is_disabled {
            let name = text_of(principal, "displayName");
            return Err(Refusal::app_disabled(app_id, name));
        }
        Ok(Self {
            application,
            principal,
        })
    }

    /// The client with this id, where a user may sign in to it at this endpoint: a tenant, or
    /// several for an application of several (Microsoft Learn, "Microsoft identity platform and
    /// OAuth 2.0 authorization code flow": tenant).
    pub(crate) fn for_users(
        tenant: &'a Tenant,
        segment: &str,
        app_id: &str,
        now: OffsetDateTime,
    ) -> Result<Self, Refusal> {
        let is_shared = ["common", "organizations", "consumers"].contains(&segment);
        if !is_shared && !tenant.is_named(segment) {
            return Err(Refusal::tenant_not_found(segment));
        }
        let client = Self::find(tenant, app_id, now)?;
        if segment == "consumers" {
            return Err(Refusal::no_consumers(app_id, client.name()));
        }
        if is_shared && !client.is_multi_tenant() {
            return Err(Refusal::not_multi_tenant(app_id, client.name(), segment));
        }
        Ok(client)
    }

    /// `appId`
    pub(crate) fn app_id(&self) -> &'a str {
        text_of(self.application, "appId")
    }

    /// `displayName`
    pub(crate) fn name(&self) -> &'a str {
        text_of(self.principal, "displayName")
    }

    /// Whether this user may sign in to it.
    pub(crate) fn admit(&self, tenant: &Tenant, user: &Object) -> Result<(), Refusal> {
        if user.get("accountEnabled") != Some(&Value::Bool(true)) {
            return Err(Refusal::user_disabled());
        }
        if !tenant.is_assigned(text_of(user, "id"), self.principal) {
            let name = text_of(user, "userPrincipalName");
            return Err(Refusal::user_not_assigned(name, self.app_id(), self.name()));
        }
        Ok(())
    }

    /// What it is where no redirect URI says so (Microsoft Learn, "application resource type":
    /// `isFallbackPublicClient`).
    pub(crate) fn fallback_platform(&self) -> Platform {
        match self.application.get("isFallbackPublicClient") {
            Some(Value::Bool(true)) => Platform::PublicClient,
            _ => Platform::Web,
        }
    }

    /// The redirect URIs of a platform.
    pub(crate) fn redirect_uris(&self, platform: Platform) -> impl Iterator<Item = &'a str> {
        self.application
            .get(platform.property())
            .and_then(Value::as_object)
            .map(|platform| items_of(platform, "redirectUris"))
            .unwrap_or_default()
            .iter()
            .filter_map(Value::as_str)
    }

    fn is_multi_tenant(&self) -> bool {
        matches!(
            text_of(self.application, "signInAudience"),
            "AzureADMultipleOrgs" | "AzureADandPersonalMicrosoftAccount"
        )
    }
}

/// How an application was registered, which decides whether it has to prove itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Platform {
    /// A server, with a credential.
    Web,
    /// A page, without.
    Spa,
    /// An app on a device, without.
    PublicClient,
}

impl Platform {
    /// Each of them.
    pub(crate) const ALL: [Self; 3] = [Self::Web, Self::Spa, Self::PublicClient];

    fn property(self) -> &'static str {
        match self {
            Self::Web => "web",
            Self::Spa => "spa",
            Self::PublicClient => "publicClient",
        }
    }
}
