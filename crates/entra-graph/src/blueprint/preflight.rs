//! What the tenant would refuse, found before anything is changed.

use time::{Duration, OffsetDateTime};
use url::Url;

use super::secret_state::SecretState;
use super::tenant_view::TenantView;
use super::{Blueprint, CLIENT_ID_PLACEHOLDER, Refusal, Registration};
use crate::{
    AppManagementPolicy, Application, CredentialRestriction, Error, Filter, GraphClient, Query,
    RestrictionType,
};

/// What a look ahead found.
#[derive(Debug, Default)]
pub(super) struct Preflight {
    pub(super) refusals: Vec<Refusal>,
    pub(super) notes: Vec<String>,
}

/// What this tenant would refuse.
pub(super) async fn check(
    blueprint: &Blueprint,
    graph: &GraphClient,
    tenant: &TenantView,
) -> Result<Preflight, Error> {
    let now = graph.pipeline().clock().now();
    let mut found = Preflight::default();
    check_permissions(blueprint, tenant, &mut found);
    check_certificate(blueprint, now, &mut found);
    check_app_id_uris(blueprint, graph, tenant, &mut found).await?;
    check_policy(blueprint, graph, tenant, &mut found).await?;
    Ok(found)
}

/// The App ID URIs that have to be added and that depend on the tenant: those with the client id
/// in them are accepted everywhere.
fn tenant_uris<'a>(blueprint: &'a Blueprint, application: Option<&Application>) -> Vec<&'a String> {
    let present = application.and_then(|app| app.identifier_uris.as_deref());
    blueprint
        .app_id_uris
        .iter()
        .filter(|uri| !present.unwrap_or_default().contains(uri))
        .filter(|uri| !uri.contains(CLIENT_ID_PLACEHOLDER))
        .collect()
}

fn check_permissions(blueprint: &Blueprint, tenant: &TenantView, found: &mut Preflight) {
    for permission in &blueprint.permissions {
        if let Err(unknown) = tenant.catalog.resolve(permission) {
            found.refusals.push(unknown.into());
        }
    }
}

fn check_certificate(blueprint: &Blueprint, now: OffsetDateTime, found: &mut Preflight) {
    if let Some(certificate) = &blueprint.certificate
        && !certificate.is_valid_at(now)
    {
        found.refusals.push(Refusal::CertificateNotValid {
            not_after: certificate.not_after(),
        });
    }
}

/// Microsoft Learn, "Restrictions on identifier URIs of Microsoft Entra applications".
async fn check_app_id_uris(
    blueprint: &Blueprint,
    graph: &GraphClient,
    tenant: &TenantView,
    found: &mut Preflight,
) -> Result<(), Error> {
    let wanted = tenant_uris(blueprint, tenant.application.as_ref());
    if wanted.is_empty() {
        return Ok(());
    }
    let organization = match graph.organization().get().await {
        Ok(organization) => organization,
        Err(error) if error.is_forbidden() => {
            found.notes.push(UNREAD_DOMAINS.to_owned());
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    let verified: Vec<String> = organization
        .verified_domains
        .iter()
        .flatten()
        .filter_map(|domain| domain.name.as_deref())
        .map(str::to_ascii_lowercase)
        .collect();
    for uri in wanted {
        let tenant_id = organization.id.map(|id| id.to_string());
        if let Some(host) = unverified_host(uri, &verified, tenant_id) {
            found.refusals.push(Refusal::UnverifiedHost {
                uri: uri.clone(),
                host,
                verified: verified.clone(),
            });
        }
        if let Some(owner) = owner_of(blueprint, graph, uri).await? {
            found.refusals.push(Refusal::AppIdUriTaken {
                uri: uri.clone(),
                owner,
            });
        }
    }
    Ok(())
}

/// The host of an App ID URI, unless the tenant may use it. The blueprint's own checks have made
/// sure that there is one, below `https` or `api`.
fn unverified_host(uri: &str, verified: &[String], tenant_id: Option<String>) -> Option<String> {
    let url = Url::parse(uri).ok()?;
    let host = url.host_str()?.to_ascii_lowercase();
    let is_verified = verified
        .iter()
        .any(|domain| host == *domain || host.ends_with(&format!(".{domain}")));
    let is_own_tenant = url.scheme() == "api" && tenant_id.is_some_and(|id| host == id);
    (!is_verified && !is_own_tenant).then_some(host)
}

/// The display name of the other application that has the URI already.
async fn owner_of(
    blueprint: &Blueprint,
    graph: &GraphClient,
    uri: &str,
) -> Result<Option<String>, Error> {
    let query = Query::new()
        .select(["id", "appId", "displayName", "uniqueName"])
        .filter(Filter::any("identifierUris", uri));
    let owner = match graph.applications().list(query).try_next().await {
        Ok(owner) => owner,
        Err(error) if error.is_forbidden() => return Ok(None),
        Err(error) => return Err(error),
    };
    // The blueprint's own application may have it, where a replica did not show that just now.
    let is_other = |owner: &Application| match &blueprint.registration {
        Registration::Keyed(key) => owner.unique_name.as_ref() != Some(key),
        Registration::Adopted(client_id) => owner.app_id.as_ref() != Some(client_id),
    };
    Ok(owner
        .filter(is_other)
        .map(|owner| owner.display_name.unwrap_or_default()))
}

/// Microsoft Learn, "Microsoft Entra application management policies API overview".
async fn check_policy(
    blueprint: &Blueprint,
    graph: &GraphClient,
    tenant: &TenantView,
    found: &mut Preflight,
) -> Result<(), Error> {
    let policy = match graph.policies().default_app_management_policy().await {
        Ok(policy) => policy,
        Err(error) if error.is_forbidden() => {
            if blueprint.secret.is_some() || blueprint.certificate.is_some() {
                found.notes.push(UNREAD_POLICY.to_owned());
            }
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    let application = tenant.application.as_ref();
    let now = graph.pipeline().clock().now();
    let created = application
        .and_then(|app| app.created_date_time)
        .unwrap_or(now);
    if let Some(secret) = &blueprint.secret
        && SecretState::of(application, secret, now).kept.is_none()
    {
        found
            .refusals
            .extend(secret_refusal(secret.lifetime, &policy, created));
    }
    if let Some(certificate) = &blueprint.certificate
        && !application.is_some_and(|app| super::registration::has_certificate(app, certificate))
    {
        let wanted = certificate.not_after() - certificate.not_before();
        let limits = policy.key_restrictions(created);
        let allowed = shortest(limits, &RestrictionType::AsymmetricKeyLifetime);
        if let Some(allowed) = allowed.filter(|allowed| wanted > *allowed) {
            found
                .refusals
                .push(Refusal::CertificateLifetime { wanted, allowed });
        }
    }
    let uris = policy.identifier_uri_restrictions();
    if let Some(restriction) = uris.and_then(|found| found.non_default_uri_addition.as_ref())
        && restriction.applies_to(created)
    {
        let refused = tenant_uris(blueprint, application)
            .into_iter()
            .map(|uri| Refusal::AppIdUriPolicy { uri: uri.clone() });
        found.refusals.extend(refused);
    }
    Ok(())
}

fn secret_refusal(
    wanted: Duration,
    policy: &AppManagementPolicy,
    created: OffsetDateTime,
) -> Option<Refusal> {
    let is_forbidden = policy
        .password_restrictions(created)
        .any(|found| found.restriction_type == Some(RestrictionType::PasswordAddition));
    if is_forbidden {
        return Some(Refusal::SecretsForbidden);
    }
    let limits = policy.password_restrictions(created);
    let allowed = shortest(limits, &RestrictionType::PasswordLifetime)?;
    (wanted > allowed).then_some(Refusal::SecretLifetime { wanted, allowed })
}

/// The shortest of the lifetimes that a kind of restriction allows.
fn shortest<'a>(
    restrictions: impl Iterator<Item = &'a CredentialRestriction>,
    kind: &RestrictionType,
) -> Option<Duration> {
    restrictions
        .filter(|found| found.restriction_type.as_ref() == Some(kind))
        .filter_map(|found| found.max_lifetime)
        .map(|lifetime| lifetime.as_duration())
        .min()
}

const UNREAD_DOMAINS: &str = "the tenant's domains may not be read (Organization.Read.All), so \
                              that the App ID URI was not checked";
const UNREAD_POLICY: &str = "the tenant's policy for apps may not be read (Policy.Read.All), so \
                             that lifetimes were not checked";
