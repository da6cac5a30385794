//! What a product stores of a link that a blueprint made.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod local;

use entra_core::{Clock as _, ConnectionProfile, NextStep, TenantId};
use entra_graph::{Blueprint, MemoryHost, Permission};
use local::LocalTenant;
use time::Duration;

#[tokio::test]
async fn a_blueprint_that_was_applied_fills_a_profile_which_holds_no_secret() {
    let tenant = LocalTenant::new();
    let blueprint = Blueprint::new("acme-mdm", "Acme Device Manager")
        .with_web_redirect_uri("https://mdm.acme.example/login/callback")
        .with_permission(Permission::application("User.Read.All"))
        .with_permission(Permission::delegated("User.Read"))
        .with_secret(Duration::days(180));
    let host = MemoryHost::default();
    let linked = blueprint.apply(&tenant.setup_graph(), &host).await.unwrap();
    let secret = host.secret().unwrap();
    let now = tenant.emulator.clock().now();

    let mut profile = blueprint.draft_profile(now).unwrap();
    assert_eq!(profile.next_step(now), Some(NextStep::Tenant));
    let tenant_id = TenantId::parse(&tenant.emulator.tenant_id()).unwrap();
    profile
        .set_tenant(tenant.emulator.cloud(), tenant_id)
        .unwrap();
    profile.set_client_id(linked.client_id).unwrap();
    profile.set_credential(secret.reference("vault:acme").unwrap());
    profile.link(now).unwrap();

    let client = tenant.client(profile.client_id().unwrap(), secret.credential().unwrap());
    blueprint.wait_until_effective(&client).await.unwrap();
    let findings = blueprint.test_connection(&client).await;
    profile.record_test(&findings, now).unwrap();
    assert_eq!(profile.next_step(now), None);

    let stored = profile.to_json().unwrap();
    assert!(!stored.contains(secret.value.expose()), "{stored}");
    let read = ConnectionProfile::from_json(&stored).unwrap();
    assert_eq!(read, profile);
    assert_eq!(read.authority().unwrap(), *client.authority());
    let wanted: Vec<_> = read.permissions().iter().map(ToString::to_string).collect();
    assert_eq!(wanted.len(), 2);
    let credential = read.credential().unwrap();
    assert_eq!(credential.key_id(), Some(secret.key_id));
    assert_eq!(credential.hint(), secret.value.expose().get(..3));
    assert!(credential.has_expired(now + Duration::days(181)));
}
