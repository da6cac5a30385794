//! «Test connection»: what works, what does not, and the one step that mends it.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use entra_core::{
    AccessToken, Call, ConfidentialClient, Finding, TokenErrorKind, TokenRequest, error_chain,
};
use serde::Deserialize;
use time::{Duration, OffsetDateTime};
use url::Url;

use super::Blueprint;
use super::login_registration::{LOGIN, may_not_look};
use super::tenant_view::TenantView;
use crate::token_claims::TokenClaims;
use crate::{
    Application, Error, GraphClient, Permission, PermissionCatalog, PermissionKind, Query,
};

impl Blueprint {
    /// Tests the link as the product will use it: with its own credential, past every cache.
    ///
    /// The findings come in this order: network, tenant, application and credential (the sign-in
    /// tells them apart), clock, the credential's end, each permission by name, Microsoft Graph,
    /// the registration where a [login](Self::with_oidc_login) is declared, and then those of
    /// [`with_probe`](Self::with_probe).
    /// What depends on a failed check is skipped, and says so. It fails never: not being able to
    /// look is a finding too.
    pub async fn test_connection(&self, client: &ConfidentialClient) -> Vec<Finding> {
        let mut test = ConnectionTest {
            blueprint: self,
            client,
            findings: Vec::new(),
        };
        test.run().await;
        for probe in &self.probes {
            test.findings.push(probe.run().await);
        }
        test.findings
    }

    /// Waits until tokens carry every application permission of the blueprint: Entra takes from
    /// seconds to some minutes to spread a consent that was given just now, and a credential as
    /// well. It asks for a new token each second and gives up after five minutes with
    /// [`Error::NotReplicated`]; any other refusal of the sign-in ends it at once.
    pub async fn wait_until_effective(&self, client: &ConfidentialClient) -> Result<(), Error> {
        let graph = runtime_graph(client);
        let request = TokenRequest::new([graph.cloud().graph_scope()]).bypassing_cache();
        graph
            .recently_created("the consent in new tokens")
            .until_visible(|| async {
                let token = match client.token(&request).await {
                    Ok(token) => token,
                    Err(entra_core::Error::Token(error)) if error.may_be_propagation() => {
                        return Ok(None);
                    }
                    Err(error) => return Err(error.into()),
                };
                let roles = TokenClaims::read(&token).map(|claims| claims.roles);
                let complete = roles.is_none_or(|roles| {
                    self.application_permissions()
                        .all(|permission| roles.contains(permission.name()))
                });
                Ok(complete.then_some(()))
            })
            .await
    }
}

/// Graph as the product itself calls it.
fn runtime_graph(client: &ConfidentialClient) -> GraphClient {
    GraphClient::new(
        client.authority().cloud(),
        Arc::new(client.clone()),
        client.pipeline().clone(),
    )
}

/// A test under way.
struct ConnectionTest<'a> {
    blueprint: &'a Blueprint,
    client: &'a ConfidentialClient,
    findings: Vec<Finding>,
}

impl ConnectionTest<'_> {
    async fn run(&mut self) {
        if !self.network_and_tenant().await {
            self.skip_rest("the tenant could not be reached");
            return;
        }
        let Some(token) = self.sign_in().await else {
            self.skip_rest("the application could not sign in");
            return;
        };
        self.clock();
        let claims = TokenClaims::read(&token);
        let own = self.own_view(claims.as_ref()).await;
        self.credential_end(&own);
        self.permissions(claims.as_ref(), &own);
        self.graph(claims.map(|claims| claims.roles).unwrap_or_default())
            .await;
        self.login(&own);
    }

    /// The tenant's metadata needs no credential, so it tells the network from the tenant.
    async fn network_and_tenant(&mut self) -> bool {
        let authority = self.client.authority();
        let url = authority.openid_configuration();
        let host = url.host_str().unwrap_or_default().to_owned();
        let Ok(request) = http::Request::get(url.as_str()).body(Bytes::new()) else {
            self.push(Finding::failed(
                "network",
                format!("{url} cannot be called"),
            ));
            return false;
        };
        let call = Call::new("GET openid-configuration", request);
        let answer = self.client.pipeline().send(call).await;
        let body = match answer {
            Ok(response) => response.into_body(),
            Err(entra_core::Error::Response(refusal)) if refusal.status.is_client_error() => {
                self.push(Finding::passed("network", format!("{host} answers")));
                self.push(
                    Finding::failed(
                        "tenant",
                        format!("{} is not a tenant here", authority.tenant()),
                    )
                    .with_remedy(
                        "compare the directory (tenant) id with the tenant's overview page, \
                             and check which national cloud it lives in",
                    )
                    .with_request_id(refusal.ids.request_id.clone()),
                );
                return false;
            }
            Err(error) => {
                self.push(failure("network", &error.into()));
                return false;
            }
        };
        let Ok(metadata) = serde_json::from_slice::<TenantMetadata>(&body) else {
            self.push(
                Finding::failed("network", format!("{host} does not answer as Entra does"))
                    .with_remedy(format!("exempt {host} from proxies that change answers")),
            );
            return false;
        };
        self.push(Finding::passed("network", format!("{host} answers")));
        self.tenant(&metadata)
    }

    /// The tenant's own metadata names its Graph: a tenant of another cloud is noticed here.
    fn tenant(&mut self, metadata: &TenantMetadata) -> bool {
        let cloud = self.client.authority().cloud();
        let expected = cloud.graph_url().host_str().unwrap_or_default();
        match &metadata.msgraph_host {
            Some(found) if !same_host(found, cloud.graph_url()) => {
                self.push(
                    Finding::failed(
                        "tenant",
                        format!("the tenant's Microsoft Graph is {found}, not {expected}"),
                    )
                    .with_remedy("choose the tenant's own national cloud in the settings"),
                );
                false
            }
            _ => {
                let tenant = self.client.authority().tenant();
                self.push(Finding::passed(
                    "tenant",
                    format!("{tenant} exists in this cloud"),
                ));
                true
            }
        }
    }

    /// One token request tells whether application and credential fit.
    async fn sign_in(&mut self) -> Option<AccessToken> {
        let scope = self.client.authority().cloud().graph_scope();
        let request = TokenRequest::new([scope]).bypassing_cache();
        let described = self.client.credential().describe();
        match self.client.token(&request).await {
            Ok(token) => {
                let client_id = self.client.client_id();
                self.push(Finding::passed(
                    "application",
                    format!("{client_id} is in the tenant"),
                ));
                self.push(Finding::passed(
                    "credential",
                    format!("{described} is accepted"),
                ));
                Some(token)
            }
            Err(entra_core::Error::Token(error)) => {
                let check = check_of(error.kind());
                if check == "credential" {
                    let client_id = self.client.client_id();
                    self.push(Finding::passed(
                        "application",
                        format!("{client_id} is in the tenant"),
                    ));
                }
                self.push(
                    Finding::failed(check, format!("{described}: {error}"))
                        .with_remedy(error.admin_hint())
                        .with_request_id(error.trace_id.clone()),
                );
                // A wrong clock may be the cause, and the answer told it.
                self.skip_credential();
                self.clock();
                None
            }
            Err(error) => {
                self.push(failure("credential", &error.into()));
                None
            }
        }
    }

    /// Where the application is not known, its credential was not looked at.
    fn skip_credential(&mut self) {
        if !self
            .findings
            .iter()
            .any(|finding| finding.check == "credential")
        {
            self.push(Finding::skipped(
                "credential",
                "the application was not found",
            ));
        }
    }

    fn clock(&mut self) {
        let offset = self.client.clock_offset();
        let seconds = offset.whole_seconds().unsigned_abs();
        let finding = if offset.abs() > LARGE_SKEW {
            let direction = if offset.is_positive() {
                "behind"
            } else {
                "ahead of"
            };
            Finding::warning(
                "clock",
                format!("this machine is {seconds} s {direction} Entra"),
            )
            .with_remedy("synchronise this machine's clock with a time server")
        } else {
            Finding::passed("clock", format!("within {seconds} s of Entra's"))
        };
        self.push(finding);
    }

    /// What the application may read of itself. Where a permission is neither in the token nor
    /// among the grants it looks again: lists of grants are stale for a while.
    async fn own_view(&self, claims: Option<&TokenClaims>) -> OwnView {
        let graph = runtime_graph(self.client);
        let own = self.blueprint.clone().adopt(*self.client.client_id());
        let Ok(catalog) = PermissionCatalog::read(&graph).await.map(Arc::new) else {
            return OwnView { tenant: None };
        };
        let mut looks = 1;
        loop {
            let tenant = TenantView::read_with(Arc::clone(&catalog), &own, &graph).await;
            let view = OwnView {
                tenant: tenant.ok(),
            };
            let is_missing = |permission: &Permission| {
                let in_token =
                    claims.is_some_and(|claims| claims.roles.contains(permission.name()));
                !in_token && view.is_granted(permission) == Some(false)
            };
            if looks == LOOKS || !own.application_permissions().any(is_missing) {
                return view;
            }
            looks += 1;
            self.client.pipeline().clock().sleep(BETWEEN_LOOKS).await;
        }
    }

    /// When the credential ends: a certificate says it itself, a secret is known to the tenant.
    fn credential_end(&mut self, own: &OwnView) {
        let check = "credential expiry";
        let now = self.client.pipeline().clock().now();
        let credential = self.client.credential();
        let end = credential
            .expires_on()
            .or_else(|| own.secret_end(credential.secret_hint()?, now));
        let Some(end) = end else {
            self.push(Finding::skipped(
                check,
                "the application may not read its own registration",
            ));
            return;
        };
        let left = end - now;
        let detail = format!("valid until {} ({} days)", end.date(), left.whole_days());
        let finding = if left < SOON {
            Finding::warning(check, detail).with_remedy(match &self.blueprint.secret {
                Some(_) => "apply the blueprint again, which issues a successor",
                None => "register its successor now, beside it",
            })
        } else {
            Finding::passed(check, detail)
        };
        self.push(finding);
    }

    fn permissions(&mut self, claims: Option<&TokenClaims>, own: &OwnView) {
        for permission in self.blueprint.permissions() {
            let check = check_name(permission);
            let finding = if permission.kind() == PermissionKind::Application {
                application_permission(check, permission, claims, own)
            } else {
                delegated_permission(check, permission, own)
            };
            self.findings.push(finding);
        }
    }

    /// One cheap read that the granted permissions allow.
    async fn graph(&mut self, roles: BTreeSet<String>) {
        let graph = runtime_graph(self.client);
        let query = || Query::new().top(1).select(["id"]);
        let has = |names: &[&str]| names.iter().any(|name| roles.contains(*name));
        let read = if has(&["User.Read.All", "User.ReadWrite.All", "Directory.Read.All"]) {
            graph.users().list(query()).try_next().await.map(drop)
        } else if has(&[
            "Group.Read.All",
            "Group.ReadWrite.All",
            "GroupMember.Read.All",
        ]) {
            graph.groups().list(query()).try_next().await.map(drop)
        } else if has(&["Device.Read.All", "Device.ReadWrite.All"]) {
            graph.devices().list(query()).try_next().await.map(drop)
        } else {
            graph.organization().get().await.map(drop)
        };
        let host = graph
            .cloud()
            .graph_url()
            .host_str()
            .unwrap_or_default()
            .to_owned();
        let finding = match read {
            Ok(()) => Finding::passed(GRAPH, format!("{host} answers")),
            // A refusal for want of a permission comes from Graph itself.
            Err(error) if error.is_forbidden() && !self.expects_read() => {
                Finding::passed(GRAPH, format!("{host} answers"))
            }
            Err(error) => failure(GRAPH, &error),
        };
        self.push(finding);
    }

    /// What a login needs of the registration, where one is declared.
    fn login(&mut self, own: &OwnView) {
        if !self.blueprint.has_login() {
            return;
        }
        let now = self.client.pipeline().clock().now();
        let compare = |application| self.blueprint.compare_login(application, now);
        let finding = own.application().map_or_else(may_not_look, compare);
        self.push(finding);
    }

    /// Whether the blueprint has a permission by which something could be read.
    fn expects_read(&self) -> bool {
        self.blueprint.application_permissions().next().is_some()
    }

    fn push(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    /// Says which checks were not made.
    fn skip_rest(&mut self, why: &str) {
        let done: BTreeSet<String> = self
            .findings
            .iter()
            .map(|finding| finding.check.to_string())
            .collect();
        let fixed = FIXED_CHECKS.iter().map(|check| (*check).to_owned());
        let permissions = self.blueprint.permissions().iter().map(check_name);
        let login = self.blueprint.has_login().then(|| LOGIN.to_owned());
        let all = fixed
            .chain(permissions)
            .chain([GRAPH.to_owned()])
            .chain(login);
        for check in all.filter(|check| !done.contains(check)) {
            self.findings.push(Finding::skipped(check, why));
        }
    }
}

/// What the application may read of itself.
struct OwnView {
    tenant: Option<TenantView>,
}

impl OwnView {
    fn application(&self) -> Option<&Application> {
        self.tenant.as_ref()?.application.as_ref()
    }

    /// Whether consent is recorded. `None` if that may not be read.
    fn is_granted(&self, permission: &Permission) -> Option<bool> {
        let tenant = self.tenant.as_ref()?;
        tenant.service_principal.as_ref()?;
        tenant.grants(permission)
    }

    /// The end of the secret in use. Graph shows the first characters of each; where two begin
    /// alike, the earlier end is the one to look after.
    fn secret_end(&self, hint: &str, now: OffsetDateTime) -> Option<OffsetDateTime> {
        self.application()?
            .password_credentials
            .iter()
            .flatten()
            .filter(|secret| secret.hint.as_deref() == Some(hint))
            .filter_map(|secret| secret.end_date_time)
            .filter(|end| *end > now)
            .min()
    }
}

/// Missing, granted and effective are three things.
fn application_permission(
    check: String,
    permission: &Permission,
    claims: Option<&TokenClaims>,
    own: &OwnView,
) -> Finding {
    let Some(claims) = claims else {
        return Finding::skipped(check, "the token is opaque to the application");
    };
    if claims.roles.contains(permission.name()) {
        return Finding::passed(check, "granted");
    }
    match own.is_granted(permission) {
        Some(true) => Finding::failed(check, "granted, but not in the token yet")
            .with_remedy("wait some minutes: a new consent takes a while to reach every server"),
        _ => Finding::failed(check, "missing").with_remedy(consent_remedy(permission)),
    }
}

fn delegated_permission(check: String, permission: &Permission, own: &OwnView) -> Finding {
    match own.is_granted(permission) {
        Some(true) => Finding::passed(check, "granted for all users"),
        Some(false) => Finding::failed(check, "missing").with_remedy(consent_remedy(permission)),
        None => Finding::skipped(
            check,
            "seen only when a user signs in; the application may not read its own consent",
        ),
    }
}

fn consent_remedy(permission: &Permission) -> String {
    format!(
        "App registrations > API permissions > Add a permission > Microsoft Graph > {} > {}, then \
         «Grant admin consent»",
        super::portal_section(permission.kind()),
        permission.name()
    )
}

fn check_of(kind: TokenErrorKind) -> &'static str {
    match kind {
        TokenErrorKind::TenantNotFound | TokenErrorKind::WrongCloud => "tenant",
        TokenErrorKind::AppNotFound
        | TokenErrorKind::AppDisabled
        | TokenErrorKind::ResourceNotAvailable
        | TokenErrorKind::ConsentRequired
        | TokenErrorKind::ConditionalAccess
        | TokenErrorKind::TenantPolicy => "application",
        _ => "credential",
    }
}

fn failure(check: &'static str, error: &Error) -> Finding {
    let request_id = error.request_ids().and_then(|ids| ids.request_id.clone());
    Finding::failed(check, error_chain(error))
        .with_remedy(error.admin_hint())
        .with_request_id(request_id)
}

/// `msgraph_host` has no scheme, and a port only where it is not the usual one.
fn same_host(found: &str, expected: &Url) -> bool {
    let host = found.split(':').next().unwrap_or_default();
    expected
        .host_str()
        .is_some_and(|expected| expected.eq_ignore_ascii_case(host))
}

#[derive(Deserialize)]
struct TenantMetadata {
    #[serde(rename = "token_endpoint")]
    _token_endpoint: String,
    msgraph_host: Option<String>,
}

fn check_name(permission: &Permission) -> String {
    format!("permission {}", permission.name())
}

/// The checks before those of the permissions, in order.
const FIXED_CHECKS: [&str; 6] = [
    "network",
    "tenant",
    "application",
    "credential",
    "clock",
    "credential expiry",
];
const GRAPH: &str = "Microsoft Graph";

/// A difference of clocks at which tokens and assertions begin to be refused.
const LARGE_SKEW: Duration = Duration::minutes(2);
/// When the end of a credential is worth a warning.
const SOON: Duration = Duration::days(30);
/// How often grants are looked at before one is called missing.
const LOOKS: u32 = 3;
const BETWEEN_LOOKS: std::time::Duration = std::time::Duration::from_secs(1);
