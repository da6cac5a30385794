//! The findings of a connection test: each thing that is wrong fails its own check.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

mod local;

use entra_core::{ClientCredential, ClientId, ClientSecret, Clock as _, Finding, Outcome};
use entra_emulator::{Fault, FaultRule};
use entra_graph::{Blueprint, MemoryHost, Permission, PermissionCatalog};
use time::Duration;

use local::{LocalTenant, certificate, help_desk};

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
    let own = tenant.graph_of(&client);
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
async fn what_may_not_be_read_is_no_empty_plan() {
    let tenant = LocalTenant::new();
    let apps = tenant.emulator.apps();
    let (other, own) = (&apps[0], &apps[1]);
    let credential = ClientCredential::secret(ClientSecret::try_from(&own.client_secret).unwrap());
    let client = tenant.client(ClientId::parse(&own.client_id).unwrap(), credential);
    let adopted = help_desk().adopt(ClientId::parse(&other.client_id).unwrap());
    let plan = adopted.plan(&tenant.graph_of(&client)).await.unwrap();
    assert_eq!(plan.changes, []);
    assert!(!plan.is_empty());
    assert!(!plan.to_string().contains("nothing to do"), "{plan}");
}

#[tokio::test]
async fn a_good_connection_passes_every_check_in_order() {
    let tenant = LocalTenant::new();
    let (_, client) = tenant.link(&help_desk()).await;
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
