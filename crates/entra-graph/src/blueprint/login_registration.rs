//! Whether a registration has what a login needs.

use async_trait::async_trait;
use entra_core::{ClientId, Finding, Probe, error_chain};
use time::{Duration, OffsetDateTime};

use super::{Blueprint, Change, Platform, registration};
use crate::{Application, Error, GraphClient};

/// The check «app registration for login» of a connection test: compares what a blueprint declares
/// for a login with the registration as Graph shows it, whoever made it.
///
/// Redirect URIs by platform, the claims that ID tokens leave out, the logout URL, groups and roles
/// in tokens, no tokens from the authorization endpoint, and whether a credential lasts. Each gap
/// comes with the step in the portal that closes it. It changes nothing.
///
/// The client needs to read the registration: its own with `Application.Read.All`. Where it may not,
/// the check is skipped. [`Blueprint::test_connection`] runs the same comparison for a blueprint
/// [with a login](Blueprint::with_oidc_login).
#[derive(Debug)]
pub struct LoginRegistration {
    graph: GraphClient,
    client_id: ClientId,
    blueprint: Blueprint,
}

impl LoginRegistration {
    /// Compares the registration of this client id with the blueprint.
    pub fn new(graph: GraphClient, client_id: ClientId, blueprint: &Blueprint) -> Self {
        Self {
            graph,
            client_id,
            blueprint: blueprint.clone().adopt(client_id),
        }
    }
}

#[async_trait]
impl Probe for LoginRegistration {
    async fn run(&self) -> Finding {
        let read = self.graph.applications().by_app_id(&self.client_id).await;
        match read {
            Ok(Some(application)) => {
                let now = self.graph.clock().now();
                self.blueprint.compare_login(&application, now)
            }
            Ok(None) => {
                let error = Error::ApplicationNotFound(self.client_id);
                Finding::failed(LOGIN, error.to_string()).with_remedy(error.admin_hint())
            }
            Err(error) if error.is_forbidden() => may_not_look(),
            Err(error) => {
                let ids = error.request_ids();
                let request_id = ids.and_then(|ids| ids.request_id.clone());
                Finding::failed(LOGIN, error_chain(&error))
                    .with_remedy(error.admin_hint())
                    .with_request_id(request_id)
            }
        }
    }
}

impl Blueprint {
    /// Whether a login is declared.
    pub(super) fn has_login(&self) -> bool {
        !self.id_token_claims.is_empty()
    }

    /// What a registration lacks for the login.
    pub(super) fn compare_login(&self, application: &Application, now: OffsetDateTime) -> Finding {
        let mut gaps: Vec<Gap> = self
            .registration_changes(application)
            .iter()
            .filter_map(|change| Gap::of(change, application))
            .collect();
        gaps.extend(expiry_gap(application, now));
        if gaps.is_empty() {
            return Finding::passed(LOGIN, "as the product needs it");
        }
        let details: Vec<&str> = gaps.iter().map(|gap| gap.detail.as_str()).collect();
        let remedies: Vec<&str> = gaps.iter().map(|gap| gap.remedy.as_str()).collect();
        let finding = if gaps.iter().any(|gap| gap.is_fatal) {
            Finding::failed(LOGIN, details.join("; "))
        } else {
            Finding::warning(LOGIN, details.join("; "))
        };
        finding.with_remedy(remedies.join("; "))
    }
}

/// What to say where the registration may not be read.
pub(super) fn may_not_look() -> Finding {
    Finding::skipped(LOGIN, "the application may not read its own registration").with_remedy(
        "compare the registration with the guide, or grant Application.Read.All so that the \
         product does",
    )
}

/// Something that is missing, and the step that mends it.
struct Gap {
    /// Whether nobody can sign in because of it.
    is_fatal: bool,
    detail: String,
    remedy: String,
}

impl Gap {
    fn of(change: &Change, application: &Application) -> Option<Self> {
        let (is_fatal, detail, step) = match change {
            Change::AddRedirectUri(platform, uri) => (
                true,
                missing_uri(*platform, uri, application),
                format!("Authentication > {}: add {uri}", platform.label()),
            ),
            Change::DisableImplicitGrant => (
                false,
                "tokens are issued from the authorization endpoint, and nobody needs them".into(),
                "Authentication > Implicit grant and hybrid flows: clear both boxes".into(),
            ),
            Change::SetLogoutUrl { from, to } => (
                false,
                match from {
                    Some(from) => format!("the logout URL is {from}, not {to}"),
                    None => "there is no front-channel logout URL".to_owned(),
                },
                format!("Authentication > Front-channel logout URL: {to}"),
            ),
            Change::AddIdTokenClaim(claim) => (
                false,
                format!("ID tokens lack the claim {claim}"),
                format!("Token configuration > Add optional claim > ID: {claim}"),
            ),
            Change::SetGroupClaims { to, .. } => (
                false,
                "tokens lack the groups".to_owned(),
                format!("Token configuration > Add groups claim: {}", to.label()),
            ),
            Change::AddAppRole(role) => (
                false,
                format!("there is no app role {role}"),
                format!("App roles > Create app role, for users and groups: {role}"),
            ),
            _ => return None,
        };
        Some(Self {
            is_fatal,
            detail,
            remedy: format!("App registrations > {step}"),
        })
    }
}

/// A URI that is nearly there is harder to see than one that is missing: Entra compares letter by
/// letter, and one under another platform is refused when its code is redeemed (AADSTS9002326).
fn missing_uri(platform: Platform, uri: &str, application: &Application) -> String {
    let others = Platform::ALL
        .into_iter()
        .filter(|other| *other != platform)
        .find(|other| {
            registration::redirect_uris(application, *other)
                .iter()
                .any(|it| it == uri)
        });
    if let Some(other) = others {
        return format!("the redirect URI {uri} stands under {other} and not under {platform}");
    }
    let plain = |uri: &str| uri.trim_end_matches('/').to_lowercase();
    let present = registration::redirect_uris(application, platform);
    match present.iter().find(|found| plain(found) == plain(uri)) {
        Some(near) => format!(
            "the {platform} redirect URI {uri} is registered as {near}, which is another one"
        ),
        None => format!("there is no {platform} redirect URI {uri}"),
    }
}

/// Which credential is in use is not known here, so the one that ends last counts. An application
/// without any is a public client, or has a federated one.
fn expiry_gap(application: &Application, now: OffsetDateTime) -> Option<Gap> {
    let secrets = application.password_credentials.iter().flatten();
    let secrets = secrets.map(|secret| secret.end_date_time);
    let keys = application.key_credentials.iter().flatten();
    let ends: Option<Vec<OffsetDateTime>> =
        keys.map(|key| key.end_date_time).chain(secrets).collect();
    // One without an end lasts.
    let end = ends?.into_iter().max()?;
    let is_fatal = end <= now;
    if !is_fatal && end - now >= SOON {
        return None;
    }
    let tense = if is_fatal { "ended" } else { "ends" };
    Some(Gap {
        is_fatal,
        detail: format!("the last credential {tense} on {}", end.date()),
        remedy: "App registrations > Certificates & secrets: add its successor".to_owned(),
    })
}

pub(super) const LOGIN: &str = "app registration for login";
const SOON: Duration = Duration::days(30);
