//! What a registration has, and what a blueprint has to write to it.

use entra_core::{Certificate, ClientId};

use super::{Blueprint, Platform};
use crate::{
    Application, GRAPH_APP_ID, ImplicitGrantSettings, PermissionCatalog, PublicClientSettings,
    RequiredResourceAccess, SpaSettings, UnknownPermission, WebSettings,
};

impl Blueprint {
    /// What to write to a registration: its collections with what is missing, the rest where it
    /// differs. The default value if there is nothing to write.
    pub(super) fn patch_for(
        &self,
        current: &Application,
        catalog: &PermissionCatalog,
    ) -> Result<Application, UnknownPermission> {
        let spa = self.missing_redirect_uris(current, Platform::SinglePage);
        let public_client = self.missing_redirect_uris(current, Platform::PublicClient);
        let mut patch = Application {
            web: self.web_patch_for(current),
            spa: spa.map(|uris| SpaSettings {
                redirect_uris: Some(uris),
            }),
            public_client: public_client.map(|uris| PublicClientSettings {
                redirect_uris: Some(uris),
            }),
            optional_claims: self.optional_claims_patch_for(current).map(Some),
            group_membership_claims: self
                .missing_group_claims(current)
                .map(|groups| Some(groups.as_str().to_owned())),
            app_roles: self.app_roles_patch_for(current),
            required_resource_access: self.declarations_for(current, catalog)?,
            ..Application::default()
        };
        if !self.is_adopted() {
            let named = self.named();
            patch.display_name = named
                .display_name
                .filter(|name| current.display_name.as_ref() != Some(name));
            patch.sign_in_audience = named
                .sign_in_audience
                .filter(|audience| current.sign_in_audience.as_ref() != Some(audience));
        }
        Ok(patch)
    }

    /// A new registration with no more than its name and audience.
    pub(super) fn named(&self) -> Application {
        Application {
            display_name: Some(self.display_name.clone()),
            sign_in_audience: Some(self.audience.clone()),
            ..Application::default()
        }
    }

    /// The App ID URIs with those that are missing; nothing if none is.
    pub(super) fn app_id_uri_patch_for(
        &self,
        current: &Application,
        client_id: &ClientId,
    ) -> Option<Application> {
        let present = current.identifier_uris.as_deref().unwrap_or_default();
        let uris = with_missing(present, self.app_id_uris_for(client_id))?;
        Some(Application {
            identifier_uris: Some(uris),
            ..Application::default()
        })
    }

    fn web_patch_for(&self, current: &Application) -> Option<WebSettings> {
        let present = current.web.clone().unwrap_or_default();
        let off = issues_tokens(&present).then_some(ImplicitGrantSettings {
            enable_id_token_issuance: Some(false),
            enable_access_token_issuance: Some(false),
        });
        let logout_url = Some(self.logout_url.clone())
            .filter(|url| url.is_some() && present.logout_url.as_ref() != Some(url));
        let web = WebSettings {
            redirect_uris: self.missing_redirect_uris(current, Platform::Web),
            implicit_grant_settings: off,
            logout_url,
            ..WebSettings::default()
        };
        (web != WebSettings::default()).then_some(web)
    }

    fn missing_redirect_uris(
        &self,
        current: &Application,
        platform: Platform,
    ) -> Option<Vec<String>> {
        let wanted = self.redirect_uris_of(platform).map(str::to_owned);
        with_missing(redirect_uris(current, platform), wanted)
    }

    /// `requiredResourceAccess` with the permissions that are missing; nothing if none is.
    fn declarations_for(
        &self,
        current: &Application,
        catalog: &PermissionCatalog,
    ) -> Result<Option<Vec<RequiredResourceAccess>>, UnknownPermission> {
        let mut declared = current.required_resource_access.clone().unwrap_or_default();
        let position = declared
            .iter()
            .position(|resource| resource.resource_app_id == GRAPH_APP_ID);
        let mut resource = match position {
            Some(position) => declared.remove(position),
            None => RequiredResourceAccess {
                resource_app_id: GRAPH_APP_ID.to_owned(),
                resource_access: Vec::new(),
            },
        };
        let before = resource.resource_access.len();
        for permission in &self.permissions {
            let access = catalog.resolve(permission)?.resource_access();
            if !resource.resource_access.contains(&access) {
                resource.resource_access.push(access);
            }
        }
        if resource.resource_access.len() == before {
            return Ok(None);
        }
        declared.push(resource);
        Ok(Some(declared))
    }
}

/// Whether tokens are issued from the authorization endpoint (the implicit grant).
pub(super) fn issues_tokens(web: &WebSettings) -> bool {
    web.implicit_grant_settings
        .as_ref()
        .is_some_and(|implicit| {
            implicit.enable_id_token_issuance == Some(true)
                || implicit.enable_access_token_issuance == Some(true)
        })
}

/// The redirect URIs of one platform.
pub(super) fn redirect_uris(application: &Application, platform: Platform) -> &[String] {
    let uris = match platform {
        Platform::Web => application
            .web
            .as_ref()
            .and_then(|web| web.redirect_uris.as_ref()),
        Platform::SinglePage => application
            .spa
            .as_ref()
            .and_then(|spa| spa.redirect_uris.as_ref()),
        Platform::PublicClient => application
            .public_client
            .as_ref()
            .and_then(|client| client.redirect_uris.as_ref()),
    };
    uris.map(Vec::as_slice).unwrap_or_default()
}

/// Whether a certificate is registered. Graph identifies it by its SHA-1 thumbprint unless told
/// otherwise, and shows the certificate itself only where one object is read with a selection.
pub(super) fn has_certificate(application: &Application, certificate: &Certificate) -> bool {
    application
        .key_credentials
        .iter()
        .flatten()
        .any(|key| key.is_certificate(certificate))
}

/// A collection with what is missing in it; nothing if nothing is.
fn with_missing(present: &[String], wanted: impl Iterator<Item = String>) -> Option<Vec<String>> {
    let mut all = present.to_vec();
    for uri in wanted {
        if !all.contains(&uri) {
            all.push(uri);
        }
    }
    (all.len() > present.len()).then_some(all)
}
