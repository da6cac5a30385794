//! The groups of a user, read in a local tenant with a product's own credential.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod local;

use entra_core::{GroupResolver, GroupResolverError, UserKey};
use entra_graph::{Blueprint, GraphGroups, Permission, Query};
use time::Duration;

use local::LocalTenant;

#[tokio::test]
async fn groups_are_read_through_nested_ones_with_the_least_permission() {
    let tenant = LocalTenant::new();
    let (resolver, id) = resolver(&tenant, "GroupMember.Read.All").await;
    let groups = resolver
        .groups(&UserKey::entra(id, samuel(&tenant).await))
        .await
        .unwrap();

    let all = tenant.setup_graph().groups().list(Query::new());
    let all = all.collect_all().await.unwrap();
    let mut names: Vec<_> = all
        .into_iter()
        .filter(|group| groups.contains(&group.id.unwrap().to_string()))
        .map(|group| group.display_name.unwrap())
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["All Staff", "Engineering", "Technology"]);
    assert_eq!(groups.len(), 3);
}

#[tokio::test]
async fn a_user_who_is_not_there_has_no_empty_list_of_groups() {
    let tenant = LocalTenant::new();
    let (resolver, id) = resolver(&tenant, "GroupMember.Read.All").await;
    let nobody = "99999999-9999-4999-8999-999999999999".parse().unwrap();
    let refused = resolver.groups(&UserKey::entra(id, nobody)).await;
    assert!(
        matches!(refused, Err(GroupResolverError::UnknownUser { tenant }) if tenant == id),
        "{refused:?}"
    );
}

#[tokio::test]
async fn without_the_permission_an_administrator_is_told_which_one_it_is() {
    let tenant = LocalTenant::new();
    let (resolver, id) = resolver(&tenant, "Organization.Read.All").await;
    let user = UserKey::entra(id, samuel(&tenant).await);
    let error = resolver.groups(&user).await.unwrap_err();
    assert!(
        error.admin_hint().contains("GroupMember.Read.All"),
        "{}",
        error.admin_hint()
    );
}

#[tokio::test]
async fn the_credential_decides_in_which_tenants_groups_are_read() {
    let tenant = LocalTenant::new();
    let product = Blueprint::new("groups", "Groups")
        .with_permission(Permission::application("GroupMember.Read.All"))
        .with_secret(Duration::days(30));
    let (_, client) = tenant.link(&product).await;
    let own = tenant.emulator.tenant_id().parse().unwrap();
    let other = "99999999-9999-4999-8999-999999999999".parse().unwrap();
    let user = UserKey::entra(other, samuel(&tenant).await);
    let resolver = GraphGroups::new(tenant.graph_of(&client), own).in_each_users_tenant();
    tenant.emulator.journal().clear();
    let refused = resolver.groups(&user).await;
    assert!(
        matches!(refused, Err(GroupResolverError::Unavailable { .. })),
        "{refused:?}"
    );
    // Neither a token nor the groups were asked for.
    assert_eq!(tenant.emulator.journal().entries().len(), 0);
}

async fn resolver(
    tenant: &LocalTenant,
    permission: &'static str,
) -> (GraphGroups, entra_core::TenantId) {
    let product = Blueprint::new("groups", "Groups")
        .with_permission(Permission::application(permission))
        .with_secret(Duration::days(30));
    let (_, client) = tenant.link(&product).await;
    let id = tenant.emulator.tenant_id().parse().unwrap();
    (GraphGroups::new(tenant.graph_of(&client), id), id)
}

async fn samuel(tenant: &LocalTenant) -> entra_core::ObjectId {
    let graph = tenant.setup_graph();
    let user = graph.users().get("samuel.osei@alpenglow.example").await;
    user.unwrap().id.unwrap()
}
