//! From a blueprint to what the product stores of the link.

use entra_core::{ConnectionProfile, CredentialReference, ProfileError, WantedPermission};
use time::OffsetDateTime;

use super::{Blueprint, IssuedSecret};
use crate::PermissionKind;

impl Blueprint {
    /// The draft of a profile that wants what this blueprint declares: its name, its permissions
    /// and its redirect URIs.
    ///
    /// ```
    /// use entra_core::{Cloud, ConnectionProfile, NextStep, ProfileError, TenantId};
    /// use entra_graph::{Blueprint, IssuedSecret, Linked, Permission};
    /// use time::OffsetDateTime;
    ///
    /// fn stored(
    ///     blueprint: &Blueprint,
    ///     (tenant, linked, secret): (TenantId, &Linked, &IssuedSecret),
    ///     now: OffsetDateTime,
    /// ) -> Result<ConnectionProfile, ProfileError> {
    ///     let mut profile = blueprint.draft_profile(now)?;
    ///     profile.set_tenant(Cloud::public(), tenant)?;
    ///     profile.set_client_id(linked.client_id)?;
    ///     // Where the product's own vault keeps the secret; the profile holds none.
    ///     profile.set_credential(secret.reference("vault:entra/contoso")?);
    ///     profile.link(now)?;
    ///     Ok(profile)
    /// }
    /// ```
    ///
    /// # Errors
    /// A redirect URI that is no URI.
    pub fn draft_profile(&self, now: OffsetDateTime) -> Result<ConnectionProfile, ProfileError> {
        let mut profile = ConnectionProfile::draft(self.display_name(), now);
        profile.set_permissions(self.permissions().iter().map(|wanted| match wanted.kind() {
            PermissionKind::Application => WantedPermission::application(wanted.name()),
            PermissionKind::Delegated => WantedPermission::delegated(wanted.name()),
        }));
        for (_, uri) in &self.redirect_uris {
            profile = profile.with_redirect_uri(uri)?;
        }
        Ok(profile)
    }
}

impl IssuedSecret {
    /// What a profile stores of this secret: where the host keeps it, by which id the portal lists
    /// it and when it ends. Not its value.
    pub fn reference(
        &self,
        location: impl Into<String>,
    ) -> Result<CredentialReference, ProfileError> {
        // Graph shows the first three characters of each secret.
        let hint: String = self.value.expose().chars().take(3).collect();
        let reference = CredentialReference::client_secret(location)?
            .with_key_id(self.key_id)
            .with_hint(hint)?;
        Ok(match self.expires_on {
            Some(end) => reference.with_expiry(end),
            None => reference,
        })
    }
}
