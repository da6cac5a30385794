//! The check of a registration against what a login needs: each gap by itself.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod local;

use std::sync::Arc;

use entra_core::{ClientId, Finding, Outcome, Probe};
use entra_graph::{
    Application, Blueprint, GroupClaims, ImplicitGrantSettings, Linked, LoginRegistration,
    OidcLogin, OptionalClaims, Permission, Platform, PublicClientSettings, SpaSettings,
    WebSettings,
};
use time::Duration;

use local::LocalTenant;

const CALLBACK: &str = "https://vault.example/callback";
const LOGOUT: &str = "https://vault.example/logout";

#[tokio::test]
async fn a_registration_that_a_blueprint_made_passes() {
    let (tenant, linked) = vault_tenant().await;
    let found = check(&tenant, &linked).await;
    assert_eq!(found.outcome, Outcome::Passed, "{found}");
    assert_eq!(found.check, "app registration for login");
}

#[tokio::test]
async fn each_gap_is_told_with_the_step_that_closes_it() {
    let (tenant, linked) = vault_tenant().await;
    let web = |uris: &[&str]| WebSettings {
        redirect_uris: Some(uris.iter().map(|&uri| uri.to_owned()).collect()),
        logout_url: Some(Some(LOGOUT.to_owned())),
        ..WebSettings::default()
    };
    let with_web = |web| Application {
        web: Some(web),
        ..Application::default()
    };
    let table = [
        (
            with_web(web(&[])),
            Outcome::Failed,
            "there is no web redirect URI https://vault.example/callback",
            "App registrations > Authentication > Web: add https://vault.example/callback",
        ),
        (
            with_web(web(&["https://vault.example/callback/"])),
            Outcome::Failed,
            "the web redirect URI https://vault.example/callback is registered as \
             https://vault.example/callback/, which is another one",
            "App registrations > Authentication > Web: add https://vault.example/callback",
        ),
        (
            Application {
                web: Some(web(&[])),
                spa: Some(SpaSettings {
                    redirect_uris: Some(vec![CALLBACK.to_owned()]),
                }),
                ..Application::default()
            },
            Outcome::Failed,
            "the redirect URI https://vault.example/callback stands under single-page and not \
             under web",
            "App registrations > Authentication > Web: add https://vault.example/callback",
        ),
        (
            Application {
                public_client: Some(PublicClientSettings {
                    redirect_uris: Some(Vec::new()),
                }),
                ..Application::default()
            },
            Outcome::Failed,
            "there is no public client redirect URI http://localhost",
            "App registrations > Authentication > Mobile and desktop applications: add \
             http://localhost",
        ),
        (
            with_web(WebSettings {
                logout_url: Some(Some("https://vault.example/other".to_owned())),
                ..web(&[CALLBACK])
            }),
            Outcome::Warning,
            "the logout URL is https://vault.example/other, not https://vault.example/logout",
            "App registrations > Authentication > Front-channel logout URL: \
             https://vault.example/logout",
        ),
        (
            with_web(WebSettings {
                implicit_grant_settings: Some(ImplicitGrantSettings {
                    enable_id_token_issuance: Some(true),
                    ..ImplicitGrantSettings::default()
                }),
                ..web(&[CALLBACK])
            }),
            Outcome::Warning,
            "tokens are issued from the authorization endpoint, and nobody needs them",
            "App registrations > Authentication > Implicit grant and hybrid flows: clear both \
             boxes",
        ),
        (
            Application {
                group_membership_claims: Some(None),
                ..Application::default()
            },
            Outcome::Warning,
            "tokens lack the groups",
            "App registrations > Token configuration > Add groups claim: Groups assigned to the \
             application",
        ),
    ];
    let good = read(&tenant, &linked).await;
    for (patch, outcome, detail, remedy) in table {
        update(&tenant, &linked, &patch).await;
        let found = check(&tenant, &linked).await;
        assert_eq!(found.outcome, outcome, "{found}");
        assert_eq!(found.detail, detail);
        assert_eq!(found.remedy.as_deref(), Some(remedy));
        // As it was, with the platforms one after the other: a URI stands under one of them.
        let spa = Application {
            spa: good.spa.clone(),
            ..Application::default()
        };
        update(&tenant, &linked, &spa).await;
        let back = Application {
            web: good.web.clone(),
            public_client: good.public_client.clone(),
            group_membership_claims: good.group_membership_claims.clone(),
            ..Application::default()
        };
        update(&tenant, &linked, &back).await;
        assert_eq!(check(&tenant, &linked).await.outcome, Outcome::Passed);
    }
}

#[tokio::test]
async fn all_claims_that_are_missing_are_told_at_once() {
    let (tenant, linked) = vault_tenant().await;
    let none = Application {
        optional_claims: Some(Some(OptionalClaims {
            id_token: Some(Vec::new()),
            ..OptionalClaims::default()
        })),
        ..Application::default()
    };
    update(&tenant, &linked, &none).await;
    let found = check(&tenant, &linked).await;
    assert_eq!(found.outcome, Outcome::Warning);
    assert_eq!(
        found.detail,
        "ID tokens lack the claim login_hint; ID tokens lack the claim auth_time; ID tokens lack \
         the claim acct; ID tokens lack the claim sid"
    );
    assert!(
        found
            .remedy
            .unwrap()
            .contains("Token configuration > Add optional claim > ID: sid")
    );
}

#[tokio::test]
async fn a_secret_is_warned_of_before_it_ends_and_fails_after() {
    let (tenant, linked) = vault_tenant().await;
    for (days, outcome, detail) in [
        (59, Outcome::Passed, "as the product needs it"),
        (2, Outcome::Warning, "the last credential ends on "),
        (30, Outcome::Failed, "the last credential ended on "),
    ] {
        let days = std::time::Duration::from_secs(days * 86_400);
        tenant.emulator.advance(days);
        let found = check(&tenant, &linked).await;
        assert_eq!(found.outcome, outcome, "{found}");
        assert!(found.detail.starts_with(detail), "{found}");
    }
}

#[tokio::test]
async fn a_registration_that_is_not_there_fails() {
    let tenant = LocalTenant::new();
    let unknown = ClientId::parse("99999999-9999-4999-8999-999999999999").unwrap();
    let probe = LoginRegistration::new(tenant.setup_graph(), unknown, &vault());
    let found = probe.run().await;
    assert_eq!(found.outcome, Outcome::Failed);
    assert!(found.remedy.unwrap().contains("client) id"));
}

#[tokio::test]
async fn a_connection_test_of_a_login_looks_at_the_registration() {
    let tenant = LocalTenant::new();
    let vault = vault().with_permission(Permission::application("Application.Read.All"));
    let (linked, client) = tenant.link(&vault).await;
    let found = login(&vault.test_connection(&client).await);
    assert_eq!(found.outcome, Outcome::Passed, "{found}");

    let wrong = Application {
        web: Some(WebSettings {
            redirect_uris: Some(Vec::new()),
            ..WebSettings::default()
        }),
        ..Application::default()
    };
    update(&tenant, &linked, &wrong).await;
    let found = login(&vault.test_connection(&client).await);
    assert_eq!(found.outcome, Outcome::Failed, "{found}");
}

#[tokio::test]
async fn what_the_application_may_not_read_is_skipped() {
    let tenant = LocalTenant::new();
    let apps = tenant.emulator.apps();
    let own = apps.iter().find(|app| app.client_id != apps[0].client_id);
    let own = own.unwrap();
    let credential = entra_core::ClientCredential::secret(
        entra_core::ClientSecret::try_from(&own.client_secret).unwrap(),
    );
    let client_id = ClientId::parse(&own.client_id).unwrap();
    let client = tenant.client(client_id, credential);
    let other = ClientId::parse(&apps[0].client_id).unwrap();
    let probe = LoginRegistration::new(tenant.graph_of(&client), other, &vault());
    let found = probe.run().await;
    assert_eq!(found.outcome, Outcome::Skipped, "{found}");
    assert!(found.remedy.unwrap().contains("Application.Read.All"));
}

#[tokio::test]
async fn a_connection_that_does_not_come_up_says_that_the_registration_was_not_looked_at() {
    let tenant = LocalTenant::new();
    let unknown = ClientId::parse("99999999-9999-4999-8999-999999999999").unwrap();
    let secret = entra_core::ClientCredential::secret(
        entra_core::ClientSecret::parse("some~secret").unwrap(),
    );
    let findings = vault()
        .test_connection(&tenant.client(unknown, secret))
        .await;
    assert_eq!(login(&findings).outcome, Outcome::Skipped);
}

fn vault() -> Blueprint {
    let login = OidcLogin::new()
        .with_web_redirect_uri(CALLBACK)
        .with_redirect_uri(Platform::PublicClient, "http://localhost")
        .with_logout_url(LOGOUT)
        .with_groups(GroupClaims::Assigned);
    Blueprint::new("vault", "Vault")
        .with_oidc_login(login)
        .with_secret(Duration::days(90))
}

async fn vault_tenant() -> (LocalTenant, Linked) {
    let tenant = LocalTenant::new();
    let (linked, _) = tenant.link(&vault()).await;
    (tenant, linked)
}

async fn check(tenant: &LocalTenant, linked: &Linked) -> Finding {
    let graph = tenant.setup_graph();
    let probe: Arc<dyn Probe> = Arc::new(LoginRegistration::new(graph, linked.client_id, &vault()));
    probe.run().await
}

fn login(findings: &[Finding]) -> Finding {
    let found = findings
        .iter()
        .find(|finding| finding.check == "app registration for login");
    found.unwrap().clone()
}

async fn read(tenant: &LocalTenant, linked: &Linked) -> Application {
    let graph = tenant.setup_graph();
    graph.applications().get(&linked.object_id).await.unwrap()
}

/// Changes the registration as an administrator does, and waits until all replicas know.
async fn update(tenant: &LocalTenant, linked: &Linked, patch: &Application) {
    let graph = tenant.setup_graph();
    let updated = graph.applications().update(&linked.object_id, patch).await;
    updated.unwrap();
    tenant.emulator.advance(std::time::Duration::from_secs(60));
}
