//! Plan, apply, test connection and guide against a local tenant.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

mod local;

use entra_core::{
    CertificateOptions, ClientCredential, ClientId, ClientSecret, Clock as _, Finding, Outcome,
    SigningCertificate,
};
use entra_emulator::{Fault, FaultRule};
use entra_graph::{
    Application, Blueprint, Change, Error, GraphClient, ImplicitGrantSettings, MemoryHost,
    Permission, PermissionCatalog, Platform, RedirectUriFault, Refusal, SignInAudience, Target,
    WebSettings,
};
use time::Duration;

use local::LocalTenant;

#[tokio::test]
async fn a_second_plan_after_apply_is_empty() {
    let tenant = LocalTenant::new();
    let graph = tenant.setup_graph();
    let server = format!("https://mdm.{}", tenant.domain().await);
    let blueprint = Blueprint::new("mdm", "Device Manager")
        .with_audience(SignInAudience::AnyOrganization)
        .with_app_id_uri(&server)
        .with_app_id_uri("api://{client_id}")
        .with_web_redirect_uri(format!("{server}/callback"))
        .with_redirect_uri(Platform::PublicClient, "psrmobile://auth")
        .with_redirect_uri(Platform::SinglePage, format!("{server}/app"))
        .with_logout_url(format!("{server}/logout"))
        .with_permission(Permission::application("User.Read.All"))
        .with_permission(Permission::application("Group.Read.All"))
        .with_permission(Permission::delegated("openid"))
        .with_permission(Permission::delegated("profile"))
        .with_secret(Duration::days(180))
        .with_certificate(certificate(&tenant).certificate().clone());

    let plan = blueprint.plan(&graph).await.unwrap();
    assert_eq!(plan.target, Target::New);
    assert_eq!(plan.refusals, []);
    assert_eq!(plan.changes.first(), Some(&Change::CreateApplication));

    let linked = blueprint
        .apply(&graph, &MemoryHost::default())
        .await
        .unwrap();
    let second = blueprint.plan(&graph).await.unwrap();
    assert!(second.is_empty(), "{second}");
    assert!(
        matches!(second.target, Target::Existing { client_id, .. } if client_id == linked.client_id)
    );
}

#[tokio::test]
async fn a_second_apply_changes_nothing_and_issues_no_secret() {
    let tenant = LocalTenant::new();
    let graph = tenant.setup_graph();
    let first = help_desk()
        .apply(&graph, &MemoryHost::default())
        .await
        .unwrap();
    tenant.emulator.journal().clear();
    let host = MemoryHost::default();
    let second = help_desk().apply(&graph, &host).await.unwrap();
    assert_eq!(first, second);
    assert!(host.secret().is_none());
    let writes: Vec<_> = tenant
        .emulator
        .journal()
        .entries()
        .into_iter()
        .filter(|entry| entry.method != "GET" && entry.path.starts_with("/v1.0"))
        .map(|entry| format!("{} {}", entry.method, entry.path))
        .collect();
    assert_eq!(writes, [""; 0]);
}

#[tokio::test]
async fn what_an_administrator_added_is_kept() {
    let tenant = LocalTenant::new();
    let graph = tenant.setup_graph();
    let more = help_desk()
        .with_web_redirect_uri("https://other.example/callback")
        .with_permission(Permission::application("Application.Read.All"))
        .with_permission(Permission::delegated("email"));
    let linked = more.apply(&graph, &MemoryHost::default()).await.unwrap();

    let renamed = Blueprint::new("help-desk", "Help Desk 2")
        .with_web_redirect_uri("https://desk.example/callback")
        .with_permission(Permission::application("User.Read.All"))
        .with_permission(Permission::delegated("openid"))
        .with_secret(Duration::days(90));
    let plan = renamed.plan(&graph).await.unwrap();
    let text = plan.to_string();
    assert!(
        text.contains("redirect URI https://other.example/callback is kept"),
        "{text}"
    );
    assert!(
        text.contains("~ display name: Help Desk => Help Desk 2"),
        "{text}"
    );
    renamed.apply(&graph, &MemoryHost::default()).await.unwrap();

    let application = graph.applications().get(&linked.object_id).await.unwrap();
    let web = application.web.unwrap();
    assert_eq!(
        web.redirect_uris.unwrap(),
        [
            "https://other.example/callback",
            "https://desk.example/callback"
        ]
    );
    let mut grants = graph.consent().scopes_of(&linked.service_principal_id);
    let grant = grants.try_next().await.unwrap().unwrap();
    let mut scopes: Vec<_> = grant.scope.as_deref().unwrap().split(' ').collect();
    scopes.sort_unstable();
    assert_eq!(scopes, ["email", "openid"]);
}

#[tokio::test]
async fn id_tokens_that_were_switched_on_are_switched_off() {
    let tenant = LocalTenant::new();
    let graph = tenant.setup_graph();
    let linked = help_desk()
        .apply(&graph, &MemoryHost::default())
        .await
        .unwrap();
    let application = Application {
        web: Some(WebSettings {
            implicit_grant_settings: Some(ImplicitGrantSettings {
                enable_id_token_issuance: Some(true),
                ..ImplicitGrantSettings::default()
            }),
            ..WebSettings::default()
        }),
        ..Application::default()
    };
    graph
        .applications()
        .update(&linked.object_id, &application)
        .await
        .unwrap();
    tenant.emulator.advance(std::time::Duration::from_secs(600));

    let plan = help_desk().plan(&graph).await.unwrap();
    assert_eq!(plan.changes, [Change::DisableImplicitGrant]);
    help_desk()
        .apply(&graph, &MemoryHost::default())
        .await
        .unwrap();
    assert!(help_desk().plan(&graph).await.unwrap().is_empty());
}

#[tokio::test]
async fn an_expired_secret_is_replaced() {
    let tenant = LocalTenant::new();
    help_desk()
        .apply(&tenant.setup_graph(), &MemoryHost::default())
        .await
        .unwrap();
    tenant
        .emulator
        .advance(std::time::Duration::from_secs(91 * 86_400));
    let graph = tenant.setup_graph();
    let plan = help_desk().plan(&graph).await.unwrap();
    assert!(
        matches!(plan.changes.as_slice(), [Change::AddSecret { .. }]),
        "{plan}"
    );
    let host = MemoryHost::default();
    help_desk().apply(&graph, &host).await.unwrap();
    assert!(host.secret().is_some());
}

#[tokio::test]
async fn each_refusal_of_the_tenant_is_found_before_anything_is_changed() {
    let tenant = LocalTenant::new();
    let graph = tenant.setup_graph();
    let now = tenant.emulator.clock().now();
    let expired = SigningCertificate::generate(
        &CertificateOptions::new("Old").with_validity(Duration::days(1)),
        now - Duration::days(30),
    )
    .unwrap();
    let base = || Blueprint::new("refused", "Refused");
    for (blueprint, expected) in [
        (Blueprint::new("", "Name"), "key"),
        (Blueprint::new("a\tb", "Name"), "key"),
        (Blueprint::new("key", "two\nlines"), "display name"),
        (Blueprint::new("key", "  "), "display name"),
        (base().with_secret(Duration::ZERO), "cannot be valid for"),
        (base().with_secret(Duration::MIN), "cannot be valid for"),
        (base().with_secret(Duration::MAX), "cannot be valid for"),
        (
            base().with_named_secret("", Duration::days(9)),
            "name of the client secret",
        ),
        (base().with_logout_url("http://a.example/"), "logout URL"),
        (base().with_logout_url("not a url"), "logout URL"),
        (
            base().with_app_id_uri("api://{clientId}"),
            "a form that Entra does not accept",
        ),
        (
            base().with_app_id_uri("ftp://{client_id}"),
            "a form that Entra does not accept",
        ),
        (
            base().with_app_id_uri("api://mdm.unverified.example"),
            "not a verified domain",
        ),
        (
            base().with_web_redirect_uri("https://a.example/ b"),
            "white space",
        ),
        (
            (0..257).fold(base(), |blueprint, number| {
                blueprint.with_web_redirect_uri(format!("https://a.example/{number}"))
            }),
            "257 redirect URIs",
        ),
        (
            base().with_permission(Permission::application("")),
            "no permission \"\"",
        ),
        (Blueprint::new("it's", "Name"), "key"),
        (Blueprint::new("key", ""), "display name"),
        (Blueprint::new("key", "x".repeat(121)), "display name"),
        (
            base().with_app_id_uri("https://mdm.unverified.example"),
            "not a verified domain",
        ),
        (
            base().with_app_id_uri("urn:acme"),
            "a form that Entra does not accept",
        ),
        (
            base().with_web_redirect_uri("http://mdm.example/"),
            "must be https",
        ),
        (
            base().with_web_redirect_uri("psrmobile://auth"),
            "for public clients only",
        ),
        (
            base()
                .with_web_redirect_uri("https://a.example/")
                .with_redirect_uri(Platform::SinglePage, "https://a.example/"),
            "two platforms",
        ),
        (
            base().with_permission(Permission::application("User.Raed.All")),
            "has no permission \"User.Raed.All\"",
        ),
        (
            base().with_permission(Permission::application("openid")),
            "has no permission \"openid\"",
        ),
        (
            base().with_certificate(expired.certificate().clone()),
            "not valid now",
        ),
    ] {
        let plan = blueprint.plan(&graph).await.unwrap();
        assert_eq!(plan.refusals.len(), 1, "{expected}: {plan}");
        let refusal = plan.refusals[0].to_string();
        assert!(refusal.contains(expected), "{refusal}");
        assert!(!plan.refusals[0].remedy().is_empty());
        tenant.emulator.journal().clear();
        let error = blueprint
            .apply(&graph, &MemoryHost::default())
            .await
            .unwrap_err();
        assert!(matches!(error, Error::Refused(_)), "{error:?}");
        assert_eq!(
            tenant
                .emulator
                .journal()
                .count("POST", "/v1.0/applications"),
            0
        );
    }
}

#[tokio::test]
async fn a_misspelt_permission_is_answered_with_the_right_one() {
    let tenant = LocalTenant::new();
    let plan = Blueprint::new("typo", "Typo")
        .with_permission(Permission::application("User.Raed.All"))
        .plan(&tenant.setup_graph())
        .await
        .unwrap();
    let [refusal] = plan.refusals.as_slice() else {
        panic!("{plan}");
    };
    assert!(
        refusal.remedy().contains("User.Read.All"),
        "{}",
        refusal.remedy()
    );
}

#[tokio::test]
async fn an_app_id_uri_of_another_application_is_refused() {
    let tenant = LocalTenant::new();
    let graph = tenant.setup_graph();
    let uri = format!("https://mdm.{}", tenant.domain().await);
    let first = Blueprint::new("first", "First").with_app_id_uri(&uri);
    first.apply(&graph, &MemoryHost::default()).await.unwrap();
    let plan = Blueprint::new("second", "Second")
        .with_app_id_uri(&uri)
        .plan(&graph)
        .await
        .unwrap();
    assert_eq!(
        plan.refusals,
        [Refusal::AppIdUriTaken {
            uri,
            owner: "First".to_owned()
        }]
    );
}

#[tokio::test]
async fn a_policy_that_forbids_secrets_or_long_lifetimes_is_found_by_the_plan() {
    let tenant = LocalTenant::new();
    let graph = tenant.setup_graph();
    set_policy(
        &tenant,
        r#"{"isEnabled":true,"applicationRestrictions":{
            "passwordCredentials":[{"restrictionType":"passwordLifetime","maxLifetime":"P90D","state":"enabled"}],
            "keyCredentials":[{"restrictionType":"asymmetricKeyLifetime","maxLifetime":"P30D","state":"enabled"}]}}"#,
    )
    .await;
    let long = Blueprint::new("long", "Long")
        .with_secret(Duration::days(180))
        .with_certificate(certificate(&tenant).certificate().clone());
    let plan = long.plan(&graph).await.unwrap();
    let texts: Vec<_> = plan.refusals.iter().map(Refusal::remedy).collect();
    assert_eq!(texts, ["choose at most 90 days", "choose at most 30 days"]);

    set_policy(
        &tenant,
        r#"{"isEnabled":true,"applicationRestrictions":{
            "passwordCredentials":[{"restrictionType":"passwordAddition","state":"enabled"}],
            "identifierUris":{"nonDefaultUriAddition":{"state":"enabled"}}}}"#,
    )
    .await;
    let uri = format!("https://mdm.{}", tenant.domain().await);
    let plan = Blueprint::new("long", "Long")
        .with_secret(Duration::days(30))
        .with_app_id_uri(&uri)
        .plan(&graph)
        .await
        .unwrap();
    assert_eq!(
        plan.refusals,
        [Refusal::SecretsForbidden, Refusal::AppIdUriPolicy { uri }]
    );
}

#[tokio::test]
async fn a_host_that_cannot_store_the_secret_gets_another_one_the_next_time() {
    let tenant = LocalTenant::new();
    let graph = tenant.setup_graph();
    let error = help_desk().apply(&graph, &FullVault).await.unwrap_err();
    assert!(matches!(error, Error::Host(_)), "{error:?}");
    let host = MemoryHost::default();
    let linked = help_desk().apply(&graph, &host).await.unwrap();
    let application = graph.applications().get(&linked.object_id).await.unwrap();
    let secrets = application.password_credentials.unwrap();
    assert_eq!(secrets.len(), 1, "the lost one is removed");
    assert_eq!(secrets[0].key_id, host.secret().map(|secret| secret.key_id));
}

#[tokio::test]
async fn a_secret_that_an_administrator_made_by_the_guide_stays() {
    let tenant = LocalTenant::new();
    let graph = tenant.setup_graph();
    let by_hand = Blueprint::new("by-hand", "Made by hand");
    let made = by_hand.apply(&graph, &MemoryHost::default()).await.unwrap();
    // The name that the guide tells.
    let end = tenant.emulator.clock().now() + Duration::days(90);
    let applications = graph.applications();
    let secret = applications
        .add_password(&made.object_id, "Issued by blueprint", Some(end))
        .await
        .unwrap();
    tenant.emulator.advance(std::time::Duration::from_secs(600));

    let adopted = help_desk().adopt(made.client_id);
    let host = MemoryHost::default();
    adopted.apply(&graph, &host).await.unwrap();
    assert!(host.secret().is_none(), "the product has one");
    let application = applications.get(&made.object_id).await.unwrap();
    let secrets = application.password_credentials.unwrap();
    assert_eq!(secrets.len(), 1);
    assert_eq!(secrets[0].key_id, Some(secret.key_id));
}

#[tokio::test]
async fn a_secret_that_ends_soon_gets_a_successor_beside_it() {
    let tenant = LocalTenant::new();
    let graph = tenant.setup_graph();
    let (first, second) = (MemoryHost::default(), MemoryHost::default());
    let linked = help_desk().apply(&graph, &first).await.unwrap();
    tenant
        .emulator
        .advance(std::time::Duration::from_secs(61 * 86_400));
    let plan = help_desk().plan(&graph).await.unwrap();
    assert!(
        matches!(plan.changes.as_slice(), [Change::AddSecret { .. }]),
        "{plan}"
    );
    help_desk().apply(&graph, &second).await.unwrap();
    assert!(help_desk().plan(&graph).await.unwrap().is_empty());
    for host in [first, second] {
        let credential = host.secret().unwrap().credential().unwrap();
        let client = tenant.client(linked.client_id, credential);
        let request = entra_core::TokenRequest::new([tenant.emulator.cloud().graph_scope()]);
        client.token(&request).await.unwrap();
    }
}

#[tokio::test]
async fn two_applies_at_once_end_in_one_application_and_no_dead_secret() {
    for _ in 0..10 {
        let tenant = LocalTenant::new();
        let (first, second) = (MemoryHost::default(), MemoryHost::default());
        let (one, two) = (tenant.setup_graph(), tenant.setup_graph());
        let blueprint = help_desk();
        let both = futures_util::future::join(
            blueprint.apply(&one, &first),
            blueprint.apply(&two, &second),
        );
        let (one, two) = both.await;
        let (one, two) = (one.unwrap(), two.unwrap());
        assert_eq!(one, two);
        tenant.emulator.advance(std::time::Duration::from_secs(600));
        let mut secrets = 0;
        for host in [first, second] {
            let Some(secret) = host.secret() else {
                continue;
            };
            secrets += 1;
            let client = tenant.client(one.client_id, secret.credential().unwrap());
            let request = entra_core::TokenRequest::new([tenant.emulator.cloud().graph_scope()]);
            client.token(&request).await.unwrap();
        }
        assert!(secrets > 0);
        assert!(
            blueprint
                .plan(&tenant.setup_graph())
                .await
                .unwrap()
                .is_empty()
        );
    }
}

#[tokio::test]
async fn an_adopted_application_is_completed_and_keeps_its_name() {
    let tenant = LocalTenant::new();
    let graph = tenant.setup_graph();
    let by_hand = Blueprint::new("by-hand", "Made by hand");
    let made = by_hand.apply(&graph, &MemoryHost::default()).await.unwrap();

    let adopted = Blueprint::new("ignored", "Product")
        .adopt(made.client_id)
        .with_permission(Permission::application("User.Read.All"))
        .with_secret(Duration::days(30));
    let plan = adopted.plan(&graph).await.unwrap();
    assert!(matches!(plan.target, Target::Adopted { .. }));
    let linked = adopted.apply(&graph, &MemoryHost::default()).await.unwrap();
    assert_eq!(linked.client_id, made.client_id);
    assert!(adopted.plan(&graph).await.unwrap().is_empty());
    let application = graph.applications().get(&linked.object_id).await.unwrap();
    assert_eq!(application.display_name.as_deref(), Some("Made by hand"));
}

#[tokio::test]
async fn an_adopted_application_plans_and_tests_with_its_own_credential() {
    let tenant = LocalTenant::new();
    let host = MemoryHost::default();
    let linked = help_desk()
        .apply(&tenant.setup_graph(), &host)
        .await
        .unwrap();
    let credential = host.secret().unwrap().credential().unwrap();
    let client = tenant.client(linked.client_id, credential);
    help_desk().wait_until_effective(&client).await.unwrap();

    let adopted = Blueprint::new("ignored", "Help Desk")
        .adopt(linked.client_id)
        .with_permission(Permission::application("User.Read.All"))
        .with_permission(Permission::application("Device.Read.All"));
    let own = GraphClient::new(
        &tenant.emulator.cloud(),
        std::sync::Arc::new(client.clone()),
        tenant.pipeline(),
    );
    // Readable or not, planning is no error; what cannot be seen is said.
    let plan = adopted.plan(&own).await.unwrap();
    assert!(!plan.to_string().is_empty());

    let findings = adopted.test_connection(&client).await;
    assert_eq!(
        outcome(&findings, "permission User.Read.All"),
        Outcome::Passed
    );
    assert_eq!(
        outcome(&findings, "permission Device.Read.All"),
        Outcome::Failed
    );
    let missing = finding(&findings, "permission Device.Read.All");
    assert!(
        missing
            .remedy
            .as_deref()
            .unwrap()
            .contains("Device.Read.All")
    );
}

#[tokio::test]
async fn a_good_connection_passes_every_check_in_order() {
    let tenant = LocalTenant::new();
    let host = MemoryHost::default();
    let linked = help_desk()
        .apply(&tenant.setup_graph(), &host)
        .await
        .unwrap();
    let client = tenant.client(
        linked.client_id,
        host.secret().unwrap().credential().unwrap(),
    );
    help_desk().wait_until_effective(&client).await.unwrap();
    let findings = help_desk().test_connection(&client).await;
    let checks: Vec<_> = findings.iter().map(|finding| &*finding.check).collect();
    assert_eq!(checks, ALL_CHECKS);
    for finding in &findings {
        assert_ne!(finding.outcome, Outcome::Failed, "{finding}");
    }
}

#[tokio::test]
async fn a_check_of_the_product_runs_after_the_others_whatever_they_found() {
    let tenant = LocalTenant::new();
    let unknown = ClientId::parse("99999999-9999-4999-8999-999999999999").unwrap();
    let secret = ClientCredential::secret(ClientSecret::parse("some~secret").unwrap());
    let blueprint = help_desk().with_probe(std::sync::Arc::new(OwnServer));
    let findings = blueprint
        .test_connection(&tenant.client(unknown, secret))
        .await;
    assert_eq!(findings.len(), ALL_CHECKS.len() + 1);
    assert_eq!(findings.last().unwrap().check, "own server");
}

/// A check that a product brings.
#[derive(Debug)]
struct OwnServer;

#[async_trait::async_trait]
impl entra_core::Probe for OwnServer {
    async fn run(&self) -> Finding {
        Finding::passed("own server", "it is reachable")
    }
}

#[tokio::test]
async fn each_thing_that_is_wrong_fails_its_own_check_with_a_remedy() {
    let tenant = LocalTenant::new();
    let app = tenant.emulator.setup_app();
    let good = || ClientCredential::secret(ClientSecret::try_from(&app.client_secret).unwrap());
    let client_id = ClientId::parse(&app.client_id).unwrap();
    let blueprint = help_desk().adopt(client_id);

    let wrong = ClientCredential::secret(ClientSecret::parse("wrong~secret").unwrap());
    let findings = blueprint
        .test_connection(&tenant.client(client_id, wrong))
        .await;
    assert_failed(&findings, "credential", "Secret ID");

    let foreign = ClientCredential::certificate(certificate(&tenant));
    let findings = blueprint
        .test_connection(&tenant.client(client_id, foreign))
        .await;
    assert_failed(&findings, "credential", "not registered");

    let unknown = ClientId::parse("99999999-9999-4999-8999-999999999999").unwrap();
    let findings = blueprint
        .test_connection(&tenant.client(unknown, good()))
        .await;
    assert_failed(&findings, "application", "application (client) id");
    let checks: Vec<_> = findings.iter().map(|finding| &*finding.check).collect();
    assert_eq!(
        checks, ALL_CHECKS,
        "each check once, in order, whatever failed"
    );
}

#[tokio::test]
async fn a_proxy_or_a_dead_network_is_told_from_a_wrong_tenant() {
    let tenant = LocalTenant::new();
    let app = tenant.emulator.setup_app();
    let client_id = ClientId::parse(&app.client_id).unwrap();
    let credential = ClientCredential::secret(ClientSecret::try_from(&app.client_secret).unwrap());
    let client = tenant.client(client_id, credential);
    for fault in [Fault::BadGatewayHtml, Fault::Dropped, Fault::Truncated] {
        let rule = FaultRule::new("*", fault).with_times(100);
        tenant.emulator.faults().inject(rule).unwrap();
        let findings = help_desk().adopt(client_id).test_connection(&client).await;
        tenant.emulator.faults().clear();
        let network = finding(&findings, "network");
        assert_eq!(network.outcome, Outcome::Failed, "{fault:?}: {network}");
        assert!(network.remedy.is_some());
        let checks: Vec<_> = findings.iter().map(|finding| &*finding.check).collect();
        assert_eq!(checks, ALL_CHECKS);
        assert_eq!(outcome(&findings, "Microsoft Graph"), Outcome::Skipped);
    }
}

#[tokio::test]
async fn consent_that_is_not_in_the_token_yet_is_told_from_missing_consent() {
    let tenant = LocalTenant::with_replication_delay(std::time::Duration::from_secs(20));
    let host = MemoryHost::default();
    // The application may read itself, so that the test can tell the two apart.
    let blueprint = help_desk().with_permission(Permission::application("Application.Read.All"));
    let graph = tenant.setup_graph();
    let linked = blueprint.apply(&graph, &host).await.unwrap();
    let client = tenant.client(
        linked.client_id,
        host.secret().unwrap().credential().unwrap(),
    );
    blueprint.wait_until_effective(&client).await.unwrap();

    let device = Permission::application("Device.Read.All");
    let more = blueprint.clone().with_permission(device.clone());
    let check = "permission Device.Read.All";
    assert_failed(
        &more.test_connection(&client).await,
        check,
        "Grant admin consent",
    );

    let catalog = PermissionCatalog::read(&graph).await.unwrap();
    let role = catalog.resolve(&device).unwrap().id;
    let resource = *catalog.resource().unwrap();
    let principal = linked.service_principal_id;
    graph
        .consent()
        .grant_app_role(&principal, &resource, &role)
        .await
        .unwrap();
    let findings = more.test_connection(&client).await;
    assert_failed(&findings, check, "wait some minutes");
    assert_eq!(
        finding(&findings, check).detail,
        "granted, but not in the token yet"
    );

    more.wait_until_effective(&client).await.unwrap();
    assert_eq!(
        outcome(&more.test_connection(&client).await, check),
        Outcome::Passed
    );
}

#[tokio::test]
async fn an_expired_secret_and_a_wrong_clock_are_told_apart() {
    let tenant = LocalTenant::new();
    let host = MemoryHost::default();
    let linked = help_desk()
        .apply(&tenant.setup_graph(), &host)
        .await
        .unwrap();
    let client = tenant.client(
        linked.client_id,
        host.secret().unwrap().credential().unwrap(),
    );
    tenant
        .emulator
        .advance(std::time::Duration::from_secs(91 * 86_400));
    let findings = help_desk().test_connection(&client).await;
    assert_failed(&findings, "credential", "The client secret expired");

    // A machine whose clock is five hours behind.
    let slow = std::sync::Arc::new(entra_core::MovableClock::frozen_at(
        tenant.emulator.clock().now() - Duration::hours(5),
    ));
    let setup = tenant.emulator.setup_app();
    let client = entra_core::ConfidentialClient::new(
        tenant.authority(),
        ClientId::parse(&setup.client_id).unwrap(),
        ClientCredential::secret(ClientSecret::try_from(&setup.client_secret).unwrap()),
        entra_core::Pipeline::new(tenant.emulator.clone()).with_clock(slow),
    )
    .unwrap();
    let findings = help_desk()
        .adopt(*client.client_id())
        .test_connection(&client)
        .await;
    let clock = finding(&findings, "clock");
    assert_eq!(clock.outcome, Outcome::Warning, "{clock}");
    assert_eq!(clock.detail, "this machine is 18000 s behind Entra");
}

#[tokio::test]
async fn the_end_of_a_certificate_is_warned_of() {
    let tenant = LocalTenant::new();
    let certificate = certificate(&tenant);
    let blueprint = Blueprint::new("cert", "Cert")
        .with_permission(Permission::application("User.Read.All"))
        .with_certificate(certificate.certificate().clone());
    let linked = blueprint
        .apply(&tenant.setup_graph(), &MemoryHost::default())
        .await
        .unwrap();
    tenant
        .emulator
        .advance(std::time::Duration::from_secs(340 * 86_400));
    let client = tenant.client(linked.client_id, ClientCredential::certificate(certificate));
    let findings = blueprint.test_connection(&client).await;
    let expiry = finding(&findings, "credential expiry");
    assert_eq!(expiry.outcome, Outcome::Warning, "{expiry}");
}

#[tokio::test]
async fn a_set_up_credential_that_may_not_consent_is_noticed_before_anything_is_made() {
    let tenant = LocalTenant::new();
    let host = MemoryHost::default();
    let setup = Blueprint::new("setup", "May not consent")
        .with_permission(Permission::application("Application.ReadWrite.All"))
        .with_secret(Duration::days(1));
    let linked = setup.apply(&tenant.setup_graph(), &host).await.unwrap();
    let client = tenant.client(
        linked.client_id,
        host.secret().unwrap().credential().unwrap(),
    );
    setup.wait_until_effective(&client).await.unwrap();
    let graph = GraphClient::new(
        &tenant.emulator.cloud(),
        std::sync::Arc::new(client),
        tenant.pipeline(),
    );
    let plan = help_desk().plan(&graph).await.unwrap();
    assert!(
        plan.to_string()
            .contains("to apply this: the set-up credential has none of"),
        "{plan}"
    );
    let error = help_desk()
        .apply(&graph, &MemoryHost::default())
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Refused(_)), "{error:?}");
    assert!(
        error
            .admin_hint()
            .contains("AppRoleAssignment.ReadWrite.All")
    );
    assert!(
        graph
            .applications()
            .by_unique_name("help-desk")
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn a_set_up_credential_that_owns_its_applications_may_not_change_those_of_others() {
    let tenant = LocalTenant::new();
    let host = MemoryHost::default();
    let setup = Blueprint::new("setup", "Owner")
        .with_permission(Permission::application("Application.ReadWrite.OwnedBy"))
        .with_permission(Permission::application("Application.Read.All"))
        .with_secret(Duration::days(1));
    let everything = tenant.setup_graph();
    let linked = setup.apply(&everything, &host).await.unwrap();
    let others = Blueprint::new("others", "Of another owner");
    others
        .apply(&everything, &MemoryHost::default())
        .await
        .unwrap();
    let client = tenant.client(
        linked.client_id,
        host.secret().unwrap().credential().unwrap(),
    );
    setup.wait_until_effective(&client).await.unwrap();
    let graph = GraphClient::new(
        &tenant.emulator.cloud(),
        std::sync::Arc::new(client),
        tenant.pipeline(),
    );
    let error = others
        .with_web_redirect_uri("https://mine.example/")
        .apply(&graph, &MemoryHost::default())
        .await
        .unwrap_err();
    assert!(error.is_forbidden(), "{error:?}");
    let named = Application {
        display_name: Some("Mine".to_owned()),
        ..Application::default()
    };
    let error = graph
        .applications()
        .upsert("others", &named)
        .await
        .unwrap_err();
    assert!(error.is_forbidden(), "{error:?}");
}

#[tokio::test]
async fn a_name_with_line_breaks_does_not_forge_lines_of_a_plan() {
    let tenant = LocalTenant::new();
    let plan = Blueprint::new("forged", "Acme\n  nothing to do")
        .plan(&tenant.setup_graph())
        .await
        .unwrap();
    assert!(!plan.to_string().contains("\n  nothing to do"), "{plan}");
}

#[tokio::test]
async fn a_set_up_credential_needs_three_or_four_permissions_and_no_more() {
    let owner = ["Application.ReadWrite.OwnedBy", "Application.Read.All"];
    for registration in [&["Application.ReadWrite.All"][..], &owner] {
        let tenant = LocalTenant::new();
        let host = MemoryHost::default();
        let setup = registration
            .iter()
            .chain(&[
                "AppRoleAssignment.ReadWrite.All",
                "DelegatedPermissionGrant.ReadWrite.All",
            ])
            .fold(Blueprint::new("setup", "Least privilege"), |setup, name| {
                setup.with_permission(Permission::application(*name))
            })
            .with_secret(Duration::days(1));
        let linked = setup.apply(&tenant.setup_graph(), &host).await.unwrap();
        let credential = host.secret().unwrap().credential().unwrap();
        let client = tenant.client(linked.client_id, credential);
        setup.wait_until_effective(&client).await.unwrap();

        let graph = GraphClient::new(
            &tenant.emulator.cloud(),
            std::sync::Arc::new(client),
            tenant.pipeline(),
        );
        let plan = help_desk().plan(&graph).await.unwrap();
        assert!(plan.to_string().contains("Policy.Read.All"), "{plan}");
        help_desk()
            .apply(&graph, &MemoryHost::default())
            .await
            .unwrap();
        assert!(help_desk().plan(&graph).await.unwrap().is_empty());
    }
}

#[test]
fn the_guide_names_every_value_and_escapes_names() {
    let certificate_free = Blueprint::new("guide", "A *bold* name")
        .with_app_id_uri("https://mdm.contoso.example")
        .with_web_redirect_uri("https://mdm.contoso.example/callback")
        .with_permission(Permission::application("User.Read.All"))
        .with_permission(Permission::delegated("openid"))
        .with_secret(Duration::days(180));
    let guide = certificate_free.guide(&entra_core::Cloud::public());
    for expected in [
        "# Link A \\*bold\\* name to Microsoft Entra ID",
        "<https://entra.microsoft.com/>",
        "`https://mdm.contoso.example/callback`",
        "**ID tokens**, unchecked",
        "`User.Read.All`",
        "**Delegated permissions**",
        "180 days",
        "Directory (tenant) ID",
        "Secret ID",
    ] {
        assert!(
            guide.contains(expected),
            "{expected} is missing in\n{guide}"
        );
    }
    assert!(!guide.contains("Upload the certificate"));
}

#[test]
fn a_redirect_uri_fault_is_plain_data() {
    assert_eq!(
        RedirectUriFault::NotHttps.to_string(),
        "it must be https, or http on localhost"
    );
}

/// What the test of `help_desk` looks at.
const ALL_CHECKS: [&str; 9] = [
    "network",
    "tenant",
    "application",
    "credential",
    "clock",
    "credential expiry",
    "permission User.Read.All",
    "permission openid",
    "Microsoft Graph",
];

fn help_desk() -> Blueprint {
    Blueprint::new("help-desk", "Help Desk")
        .with_permission(Permission::application("User.Read.All"))
        .with_permission(Permission::delegated("openid"))
        .with_secret(Duration::days(90))
}

fn certificate(tenant: &LocalTenant) -> SigningCertificate {
    let now = tenant.emulator.clock().now();
    SigningCertificate::generate(&CertificateOptions::new("Test"), now).unwrap()
}

fn finding<'a>(findings: &'a [Finding], check: &str) -> &'a Finding {
    findings
        .iter()
        .find(|finding| finding.check == check)
        .unwrap_or_else(|| panic!("no finding of {check} in {findings:#?}"))
}

fn outcome(findings: &[Finding], check: &str) -> Outcome {
    finding(findings, check).outcome
}

fn assert_failed(findings: &[Finding], check: &str, remedy: &str) {
    let failed = finding(findings, check);
    assert_eq!(failed.outcome, Outcome::Failed, "{failed}");
    assert!(
        failed
            .remedy
            .as_deref()
            .unwrap_or_default()
            .contains(remedy),
        "{failed}"
    );
}

/// A host whose vault is full.
#[derive(Debug)]
struct FullVault;

#[async_trait::async_trait]
impl entra_graph::LinkHost for FullVault {
    fn progress(&self, _progress: &entra_graph::Progress) {}

    async fn keep_secret(
        &self,
        _secret: &entra_graph::IssuedSecret,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        Err("the vault is full".into())
    }
}

/// Sets the tenant's policy as an administrator does it.
async fn set_policy(tenant: &LocalTenant, policy: &'static str) {
    let setup = tenant.setup_graph();
    let url = tenant
        .emulator
        .cloud()
        .graph_url()
        .join("v1.0/policies/defaultAppManagementPolicy")
        .unwrap();
    let request = http::Request::patch(url.as_str())
        .header("content-type", "application/json")
        .body(bytes::Bytes::from_static(policy.as_bytes()))
        .unwrap();
    let call = entra_core::Call::new("PATCH /policies/defaultAppManagementPolicy", request)
        .with_credential(setup.credential().clone(), setup.token_request().clone());
    setup.pipeline().send(call).await.unwrap();
}
