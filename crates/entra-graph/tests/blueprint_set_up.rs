//! What the set-up credential must be allowed to do, and what it may not.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod local;

use entra_graph::{Application, Blueprint, Error, MemoryHost, Permission};
use time::Duration;

use local::{LocalTenant, help_desk};

#[tokio::test]
async fn a_set_up_credential_that_may_not_consent_is_noticed_before_anything_is_made() {
    let tenant = LocalTenant::new();
    let setup = Blueprint::new("setup", "May not consent")
        .with_permission(Permission::application("Application.ReadWrite.All"))
        .with_secret(Duration::days(1));
    let (_, client) = tenant.link(&setup).await;
    let graph = tenant.graph_of(&client);
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
async fn a_set_up_credential_that_may_not_make_owners_is_noticed_before_anything_is_made() {
    let tenant = LocalTenant::new();
    let setup = Blueprint::new("setup", "May not make owners")
        .with_permission(Permission::application("Application.ReadWrite.All"))
        .with_permission(Permission::application("AppRoleAssignment.ReadWrite.All"))
        .with_secret(Duration::days(1));
    let (_, client) = tenant.link(&setup).await;
    let graph = tenant.graph_of(&client);
    let blueprint = Blueprint::new("own", "Own").with_self_rotation();
    let error = blueprint
        .apply(&graph, &MemoryHost::default())
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "the tenant would refuse the blueprint: the set-up credential has none of \
         Directory.Read.All, Directory.ReadWrite.All"
    );
    let made = graph.applications().by_unique_name("own").await.unwrap();
    assert_eq!(made, None);
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
    let graph = tenant.graph_of(&client);
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

        let graph = tenant.graph_of(&client);
        let plan = help_desk().plan(&graph).await.unwrap();
        assert!(plan.to_string().contains("Policy.Read.All"), "{plan}");
        help_desk()
            .apply(&graph, &MemoryHost::default())
            .await
            .unwrap();
        assert!(help_desk().plan(&graph).await.unwrap().is_empty());
    }
}
