//! The nouns against the local tenant.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

use std::sync::Arc;

use entra_core::{
    Authority, CertificateOptions, ClientCredential, ClientId, ClientSecret, Clock as _,
    ConfidentialClient, ObjectId, Pipeline, SigningCertificate, Tenant,
};
use entra_emulator::{Emulator, Seed};
use entra_graph::{
    Application, BatchRequest, Filter, GRAPH_APP_ID, Granted, GraphClient, GraphErrorCode, NewKey,
    Permission, PermissionCatalog, Query, Upserted, User,
};

fn graph(emulator: &Emulator) -> GraphClient {
    let app = emulator.setup_app();
    let tenant = Tenant::parse(&emulator.tenant_id()).unwrap();
    let pipeline = Pipeline::new(emulator.clone()).with_clock(emulator.clock());
    let credential = ConfidentialClient::new(
        Authority::new(emulator.cloud(), tenant),
        ClientId::parse(&app.client_id).unwrap(),
        ClientCredential::secret(ClientSecret::try_from(&app.client_secret).unwrap()),
        pipeline.clone(),
    )
    .unwrap();
    GraphClient::new(&emulator.cloud(), Arc::new(credential), pipeline)
}

async fn new_app(graph: &GraphClient, name: &str) -> Application {
    let app = Application {
        display_name: Some(name.to_owned()),
        ..Application::default()
    };
    let Upserted::Created(made) = graph.applications().upsert(name, &app).await.unwrap() else {
        panic!("{name} was there before")
    };
    // Replicas learn of it one after the other.
    let id = made.id.unwrap();
    graph
        .recently_created("the app")
        .until_visible(|| async { graph.applications().get(&id).await.map(Some) })
        .await
        .unwrap()
}

#[tokio::test]
async fn the_directory_is_read() {
    let emulator = Emulator::new(Seed::default());
    let graph = graph(&emulator);
    let tenant = graph.organization().get().await.unwrap();
    assert_eq!(
        tenant.id.unwrap().to_string(),
        emulator.tenant_id().to_string()
    );
    assert!(!tenant.verified_domains.unwrap().is_empty());
    let domains = graph.domains().list().collect_all().await.unwrap();
    let name = domains[0].id.clone().unwrap();
    assert_eq!(graph.domains().get(&name).await.unwrap().id, Some(name));

    let users = graph
        .users()
        .list(Query::new().top(7))
        .collect_all()
        .await
        .unwrap();
    assert!(users.len() > 7, "{}", users.len());
    assert!(users.iter().any(|user| user.account_enabled == Some(false)));
    let first = &users[0];
    let by_name = graph
        .users()
        .get(first.user_principal_name.as_deref().unwrap())
        .await
        .unwrap();
    assert_eq!(
        by_name,
        graph
            .users()
            .get(&first.id.unwrap().to_string())
            .await
            .unwrap()
    );

    let devices = graph
        .devices()
        .list(Query::new())
        .collect_all()
        .await
        .unwrap();
    let device_id = devices[0].device_id.unwrap();
    let found = graph
        .devices()
        .by_device_id(&device_id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(found.id, devices[0].id);
    assert_eq!(
        graph.devices().get(&found.id.unwrap()).await.unwrap(),
        found
    );
}

#[tokio::test]
async fn filters_and_counts_work() {
    let graph = graph(&Emulator::new(Seed::default()));
    let all = graph
        .users()
        .list(Query::new())
        .collect_all()
        .await
        .unwrap();
    let disabled = Query::new().filter(Filter::eq("accountEnabled", false));
    let disabled = graph.users().list(disabled).collect_all().await.unwrap();
    let expected = all
        .iter()
        .filter(|user| user.account_enabled == Some(false))
        .count();
    assert_eq!(disabled.len(), expected);

    let mut counted = graph.users().list(Query::new().count().top(5));
    counted.try_next().await.unwrap().unwrap();
    assert_eq!(counted.count(), u64::try_from(all.len()).ok());

    let name = all[0].display_name.clone().unwrap();
    let searched = Query::new().search("displayName", &name);
    let searched = graph.users().list(searched).collect_all().await.unwrap();
    assert!(searched.iter().any(|user| user.id == all[0].id));
    let starting =
        Filter::starts_with("displayName", &name).and(Filter::eq("accountEnabled", true));
    graph
        .users()
        .list(Query::new().filter(starting))
        .collect_all()
        .await
        .unwrap();
}

#[tokio::test]
async fn members_are_read_through_nested_groups() {
    let graph = graph(&Emulator::new(Seed::default()));
    let groups = graph
        .groups()
        .list(Query::new())
        .collect_all()
        .await
        .unwrap();
    let mut nested = 0;
    for group in &groups {
        let id = group.id.unwrap();
        let direct = graph.groups().members(&id).collect_all().await.unwrap();
        let all = graph
            .groups()
            .transitive_members(&id)
            .collect_all()
            .await
            .unwrap();
        nested += usize::from(all.len() > direct.len());
        let users = graph
            .groups()
            .transitive_users(&id)
            .collect_all()
            .await
            .unwrap();
        let expected = all
            .iter()
            .filter(|member| member.kind() == Some("user"))
            .count();
        assert_eq!(users.len(), expected, "{:?}", group.display_name);
        for user in users.iter().take(1) {
            let user = user.id.unwrap().to_string();
            let groups = graph
                .users()
                .transitive_groups(&user)
                .collect_all()
                .await
                .unwrap();
            assert!(groups.iter().any(|found| found.id == group.id));
            graph.users().member_of(&user).collect_all().await.unwrap();
        }
    }
    assert!(nested > 0, "the tenant has nested groups");
    assert_eq!(
        graph.groups().get(&groups[0].id.unwrap()).await.unwrap().id,
        groups[0].id
    );
}

#[tokio::test]
async fn an_app_is_made_once_found_and_deleted() {
    let graph = graph(&Emulator::new(Seed::default()));
    let app = new_app(&graph, "it's/mine").await;
    let id = app.id.unwrap();
    let again = graph
        .applications()
        .upsert("it's/mine", &Application::default())
        .await
        .unwrap();
    assert_eq!(again, Upserted::Updated);
    let found = graph
        .applications()
        .by_unique_name("it's/mine")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(found.id, Some(id));
    let by_client = graph
        .applications()
        .by_app_id(&app.app_id.unwrap())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(by_client, graph.applications().get(&id).await.unwrap());
    let patch = Application {
        notes: Some("n".into()),
        ..Application::default()
    };
    graph.applications().update(&id, &patch).await.unwrap();
    let listed = Query::new().filter(Filter::eq("displayName", "it's/mine"));
    assert_eq!(
        graph
            .applications()
            .list(listed)
            .collect_all()
            .await
            .unwrap()
            .len(),
        1
    );
    graph.applications().delete(&id).await.unwrap();
    graph.applications().delete(&id).await.unwrap();
    assert_eq!(
        graph
            .applications()
            .by_unique_name("it's/mine")
            .await
            .unwrap(),
        None
    );
}

#[tokio::test]
async fn secrets_and_certificates_come_and_go() {
    let emulator = Emulator::new(Seed::default());
    let graph = graph(&emulator);
    let id = new_app(&graph, "app").await.id.unwrap();
    let apps = graph.applications();
    let end = emulator.clock().now() + time::Duration::days(30);
    let password = apps.add_password(&id, "first", Some(end)).await.unwrap();
    assert_eq!(password.end, Some(end));
    let hints = apps.get(&id).await.unwrap().password_credentials.unwrap();
    assert_eq!(hints[0].key_id, Some(password.key_id));
    apps.remove_password(&id, &password.key_id).await.unwrap();
    apps.remove_password(&id, &password.key_id).await.unwrap();

    let mut keys: Vec<NewKey> = Vec::new();
    for name in ["CN=one", "CN=two"] {
        let now = emulator.clock().now();
        let made = SigningCertificate::generate(&CertificateOptions::new(name), now).unwrap();
        keys.push(made.certificate().into());
    }
    for key in &keys {
        apps.add_certificate(&id, key.clone()).await.unwrap();
    }
    let there = apps.key_credentials(&id).await.unwrap();
    assert_eq!(there.len(), 2);
    assert_eq!(there[0].key.as_ref().unwrap().as_bytes(), keys[0].der);
    let gone = there[0].key_id.unwrap();
    assert!(apps.remove_certificate(&id, &gone).await.unwrap());
    assert!(!apps.remove_certificate(&id, &gone).await.unwrap());
    assert_eq!(apps.key_credentials(&id).await.unwrap().len(), 1);
}

#[tokio::test]
async fn consent_is_given_once() {
    let graph = graph(&Emulator::new(Seed::default()));
    let app = new_app(&graph, "app").await;
    let client_id = app.app_id.unwrap();
    let principals = graph.service_principals();
    let principal = graph
        .recently_created("the app")
        .once_known(|| async { principals.create(&client_id).await })
        .await
        .unwrap();
    let id = principal.id.unwrap();
    assert_eq!(principals.create(&client_id).await.unwrap().id, Some(id));
    let seen = graph
        .recently_created("the service principal")
        .until_visible(|| async { principals.get(&id).await.map(Some) })
        .await
        .unwrap();
    assert_eq!(seen.app_id, Some(client_id));

    let catalog = PermissionCatalog::read(&graph).await.unwrap();
    let resource: ObjectId = *catalog.resource().unwrap();
    let role = catalog
        .resolve(&Permission::application("User.Read.All"))
        .unwrap()
        .id;
    let consent = graph.consent();
    let granted = graph
        .recently_created("the service principal")
        .once_known(|| async { consent.grant_app_role(&id, &resource, &role).await })
        .await
        .unwrap();
    let Granted::New(assignment) = granted else {
        panic!("{granted:?}")
    };
    let again = consent.grant_app_role(&id, &resource, &role).await.unwrap();
    assert_eq!(again, Granted::AlreadyThere);
    let assignment = assignment.id.unwrap();
    let seen = graph
        .recently_created("the consent")
        .until_visible(|| consent.app_role_assignment(&resource, &assignment))
        .await
        .unwrap();
    assert_eq!(seen.app_role_id, Some(role));
    consent
        .revoke_app_role(&resource, &assignment)
        .await
        .unwrap();

    for (scopes, is_new) in [
        (&["openid"][..], true),
        (&["profile", "openid"], true),
        (&["profile"], false),
    ] {
        let granted = consent.grant_scopes(&id, &resource, scopes).await.unwrap();
        assert_eq!(matches!(granted, Granted::New(_)), is_new, "{scopes:?}");
    }
    let grant = consent
        .tenant_wide_grant(&id, &resource)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(grant.scopes().collect::<Vec<_>>(), ["openid", "profile"]);
    let graph_app = ClientId::parse(GRAPH_APP_ID).unwrap();
    assert_eq!(
        principals.by_app_id(&graph_app).await.unwrap().unwrap().id,
        Some(resource)
    );
}

#[tokio::test]
async fn a_batch_reads_many_users() {
    let graph = graph(&Emulator::new(Seed::default()));
    let users = graph
        .users()
        .list(Query::new())
        .collect_all()
        .await
        .unwrap();
    let mut batch = graph.batch();
    for user in &users {
        batch.add(BatchRequest::get([
            "users".to_owned(),
            user.id.unwrap().to_string(),
        ]));
    }
    batch.add(BatchRequest::get([
        "users",
        "00000000-0000-0000-0000-00000000dead",
    ]));
    let outcomes = batch.send().await;
    assert_eq!(outcomes.len(), users.len() + 1);
    for (user, outcome) in users.iter().zip(&outcomes) {
        assert_eq!(outcome.parse::<User>().unwrap().id, user.id);
    }
    let missing = outcomes.last().unwrap().result.as_ref().unwrap_err();
    assert_eq!(missing.code(), Some(&GraphErrorCode::ResourceNotFound));
}

#[tokio::test]
async fn the_tenants_policy_is_read() {
    let graph = graph(&Emulator::new(Seed::default()));
    graph
        .policies()
        .default_app_management_policy()
        .await
        .unwrap();
}
