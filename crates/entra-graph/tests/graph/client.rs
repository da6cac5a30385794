use entra_core::ObjectId;
use entra_graph::{Error, Malformation};
use http::StatusCode;
use serde_json::json;

use crate::fake::{Fake, json, object_id, refusal, text};

#[tokio::test]
async fn a_web_page_in_place_of_graph_is_named() {
    let html = || {
        text(
            502,
            &[("content-type", "text/html")],
            "<html>Bad gateway</html>",
        )
    };
    let fake = Fake::new(move |_| html());
    let error = fake
        .client()
        .users()
        .get("ada@contoso.com")
        .await
        .unwrap_err();
    let Error::Malformed(answer) = &error else {
        panic!("{error:?}")
    };
    assert_eq!(
        (answer.status, answer.kind),
        (StatusCode::BAD_GATEWAY, Malformation::Html)
    );
    assert!(error.admin_hint().contains("proxy"));
    assert_eq!(fake.seen().len(), 5, "a read is tried again");
}

#[tokio::test]
async fn a_sign_in_page_with_status_200_is_named() {
    let fake = Fake::script([text(
        200,
        &[("content-type", "text/html")],
        "<!DOCTYPE html>",
    )]);
    let error = fake.client().groups().get(&object_id(1)).await.unwrap_err();
    let Error::Malformed(answer) = &error else {
        panic!("{error:?}")
    };
    assert_eq!(answer.kind, Malformation::Html);
}

#[tokio::test]
async fn a_403_names_the_missing_permission() {
    let fake = Fake::new(|_| {
        refusal(
            403,
            "Authorization_RequestDenied",
            "Insufficient privileges to complete the operation.",
        )
    });
    let client = fake.client();
    let group = object_id(1);
    for (error, permission) in [
        (client.users().get("a").await.unwrap_err(), "User.Read.All"),
        (
            client
                .groups()
                .members(&group)
                .try_next()
                .await
                .unwrap_err(),
            "GroupMember.Read.All",
        ),
        (
            client.devices().get(&group).await.unwrap_err(),
            "Device.Read.All",
        ),
        (
            client
                .consent()
                .grant_app_role(&group, &group, group.as_uuid())
                .await
                .unwrap_err(),
            "AppRoleAssignment.ReadWrite.All",
        ),
    ] {
        assert!(error.is_forbidden());
        assert!(
            error.admin_hint().contains(permission),
            "{}",
            error.admin_hint()
        );
        assert_eq!(
            error.request_ids().unwrap().request_id.as_deref(),
            Some("r-1")
        );
        assert!(!format!("{error:?} {error}").contains("canary-token"));
    }
}

#[tokio::test]
async fn ids_cannot_lead_to_another_path() {
    let fake = Fake::new(|_| json(200, &json!({})));
    let client = fake.client();
    for id in ["", ".", ".."] {
        let error = client.users().get(id).await.unwrap_err();
        assert!(matches!(error, Error::InvalidRequest(_)), "{id}");
        let error = client.users().member_of(id).try_next().await.unwrap_err();
        assert!(matches!(error, Error::InvalidRequest(_)), "{id}");
    }
    for (id, expected) in [
        ("a/../../groups", "users/a%2F..%2F..%2Fgroups?"),
        ("a#EXT#@b?c", "users/a%23EXT%23@b%3Fc?"),
        ("100%", "users/100%25?"),
        ("$x'@b", "users('$x''@b')?"),
    ] {
        client.users().get(id).await.unwrap();
        let seen = fake.seen();
        let path = seen.last().unwrap().path();
        assert!(path.starts_with(expected), "{path}");
    }
}

#[tokio::test]
async fn clients_of_one_identity_wait_together_and_others_do_not() {
    let fake = Fake::new(|_| json(200, &json!({})));
    let client = fake.client();
    let (tenant, app) = (
        uuid::Uuid::from_u128(7).into(),
        uuid::Uuid::from_u128(8).into(),
    );
    let one = client.clone().with_identity(tenant, app);
    let two = client.clone().with_identity(tenant, app);
    let other = client.with_identity(uuid::Uuid::from_u128(9).into(), app);
    let scope = entra_core::ThrottleScope::new(
        "graph.microsoft.com",
        "00000000-0000-0000-0000-000000000007",
        "00000000-0000-0000-0000-000000000008",
    );
    one.pipeline()
        .throttle(&scope, std::time::Duration::from_secs(9));
    other.users().get("a").await.unwrap();
    assert_eq!(fake.elapsed().as_secs(), 0);
    two.users().get("a").await.unwrap();
    assert_eq!(fake.elapsed().as_secs(), 9);
}

#[tokio::test]
async fn nouns_read_what_graph_sends() {
    let id = "00000000-0000-0000-0000-000000000001";
    let fake = Fake::new(move |seen| {
        let body = match seen.path().split(['?', '/']).next().unwrap() {
            "organization" => json!({"value": [{"id": id, "verifiedDomains": [
                {"name": "contoso.com", "isDefault": true, "type": "Managed"}]}]}),
            "domains" => json!({"value": [
                {"id": "contoso.com", "authenticationType": "Federated", "isVerified": true}]}),
            "groups" => json!({"value": [{"@odata.type": "#microsoft.graph.device", "id": id}]}),
            other => panic!("{other}"),
        };
        json(200, &body)
    });
    let client = fake.client();
    let tenant = client.organization().get().await.unwrap();
    assert_eq!(tenant.id.unwrap().to_string(), id);
    assert_eq!(
        tenant.verified_domains.unwrap()[0].name.as_deref(),
        Some("contoso.com")
    );
    let domains = client.domains().list().collect_all().await.unwrap();
    assert_eq!(
        domains[0].authentication_type,
        Some(entra_graph::AuthenticationType::Federated)
    );
    let group = ObjectId::parse(id).unwrap();
    let members = client.groups().members(&group).collect_all().await.unwrap();
    assert_eq!(members[0].kind(), Some("device"));
    client
        .groups()
        .transitive_users(&group)
        .collect_all()
        .await
        .unwrap();
    let casted = fake.seen().pop().unwrap();
    assert!(
        casted
            .path()
            .contains("transitiveMembers/microsoft.graph.user?")
    );
    assert_eq!(casted.headers["consistencylevel"], "eventual");
}

#[tokio::test]
async fn a_429_in_plain_text_is_throttling_and_no_broken_proxy() {
    let fake = Fake::new(|_| {
        Ok(http::Response::builder()
            .status(429)
            .header("retry-after", "7")
            .header("content-type", "text/plain")
            .body("Too Many Requests".into())
            .unwrap())
    });
    let error = fake.client().organization().get().await.unwrap_err();
    assert!(error.is_retryable(), "{error:?}");
    assert_eq!(error.status().map(|status| status.as_u16()), Some(429));
    assert!(
        !error.admin_hint().contains("proxy"),
        "{}",
        error.admin_hint()
    );
}

#[tokio::test]
async fn an_id_with_a_control_character_is_refused_before_it_names_another_object() {
    let fake = Fake::script([]);
    let client = fake.client();
    let error = client
        .applications()
        .by_unique_name("a\tb")
        .await
        .unwrap_err();
    assert!(matches!(error, Error::InvalidRequest(_)), "{error:?}");
    assert_eq!(fake.seen().len(), 0);
}
