//! The groups of a user as Graph is asked for them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use entra_core::{
    AccessToken, Cloud, Error, GroupResolver, GroupResolverError, Pipeline, RetryPolicy, Tenant,
    TenantId, TokenCredential, TokenRequest, UserKey,
};
use entra_graph::{GraphClient, GraphGroups};
use serde_json::json;
use tokio::task::JoinSet;

use crate::fake::{Fake, json, object_id, refusal};

fn tenant(number: u128) -> TenantId {
    uuid::Uuid::from_u128(number).into()
}

fn user(number: u128) -> UserKey {
    UserKey::entra(tenant(1), object_id(number))
}

/// Answers with one group, which has the number of the answer.
fn counting() -> Fake {
    let count = std::sync::atomic::AtomicU64::new(0);
    Fake::new(move |_| {
        let number = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        json(200, &json!({"value": [object_id(u128::from(number))]}))
    })
}

#[tokio::test]
async fn the_host_is_asked_by_the_object_id_with_its_own_token() {
    let fake = Fake::script([json(200, &json!({"value": [object_id(8), object_id(9)]}))]);
    let resolver = GraphGroups::new(fake.client(), tenant(1));
    assert_eq!(
        resolver.groups(&user(5)).await.unwrap(),
        [
            "00000000-0000-0000-0000-000000000008",
            "00000000-0000-0000-0000-000000000009"
        ]
    );
    let seen = fake.seen();
    assert_eq!(
        seen[0].line(),
        "POST users/00000000-0000-0000-0000-000000000005/getMemberObjects"
    );
    assert_eq!(seen[0].body, json!({"securityEnabledOnly": false}));
    assert!(seen[0].headers.contains_key("authorization"));
}

#[tokio::test]
async fn security_groups_alone_are_asked_for_where_that_is_wanted() {
    let fake = Fake::script([json(200, &json!({"value": []}))]);
    let resolver = GraphGroups::new(fake.client(), tenant(1)).with_security_groups_only();
    let none: [String; 0] = [];
    assert_eq!(resolver.groups(&user(5)).await.unwrap(), none);
    assert_eq!(fake.seen()[0].body, json!({"securityEnabledOnly": true}));
}

#[tokio::test]
async fn a_user_of_another_provider_or_tenant_is_refused_and_nobody_is_asked() {
    let fake = Fake::script([]);
    let resolver = GraphGroups::new(fake.client(), tenant(1));
    let stranger = UserKey::other("https://login.example", "7").unwrap();
    let refused = resolver.groups(&stranger).await;
    assert!(
        matches!(refused, Err(GroupResolverError::NotEntra)),
        "{refused:?}"
    );
    let other = UserKey::entra(tenant(2), object_id(5));
    let refused = resolver.groups(&other).await;
    assert!(
        matches!(
            refused,
            Err(GroupResolverError::OtherTenant { expected, found })
                if expected == tenant(1) && found == tenant(2)
        ),
        "{refused:?}"
    );
    assert_eq!(fake.tokens(), 0);
}

#[tokio::test]
async fn a_product_of_many_customers_asks_in_the_tenant_of_the_user() {
    let fake = counting();
    let asked = Arc::new(Asked {
        inner: fake.clone(),
        tenants: Mutex::default(),
    });
    let pipeline = Pipeline::new(fake.clone()).with_clock(fake.clock.clone());
    let graph = GraphClient::new(&Cloud::public(), asked.clone(), pipeline);
    let resolver = GraphGroups::new(graph, tenant(1)).in_each_users_tenant();
    for number in [1, 2, 3] {
        let user = UserKey::entra(tenant(number), object_id(5));
        // The same object id in another tenant is another user.
        let groups = resolver.groups(&user).await.unwrap();
        assert_eq!(groups, [object_id(number - 1).to_string()]);
    }
    let expected = [None, Some(tenant(2).into()), Some(tenant(3).into())];
    assert_eq!(*asked.tenants.lock().unwrap(), expected);
}

#[tokio::test]
async fn what_was_read_is_kept_for_five_minutes() {
    let fake = counting();
    let resolver = GraphGroups::new(fake.client(), tenant(1));
    let first = resolver.groups(&user(5)).await.unwrap();
    fake.clock.advance(Duration::from_secs(299));
    assert_eq!(resolver.groups(&user(5)).await.unwrap(), first);
    assert_ne!(resolver.groups(&user(6)).await.unwrap(), first);
    fake.clock.advance(Duration::from_secs(1));
    assert_ne!(resolver.groups(&user(5)).await.unwrap(), first);
    assert_eq!(fake.seen().len(), 3);
}

#[tokio::test]
async fn without_time_nothing_is_kept() {
    let fake = counting();
    let resolver = GraphGroups::new(fake.client(), tenant(1)).with_cache_time(Duration::ZERO);
    for _ in 0..3 {
        resolver.groups(&user(5)).await.unwrap();
    }
    assert_eq!(fake.seen().len(), 3);
    assert!(format!("{resolver:?}").contains("users: 0"));
}

#[tokio::test]
async fn many_at_once_read_a_user_once() {
    let fake = counting();
    let resolver = Arc::new(GraphGroups::new(fake.client(), tenant(1)));
    let mut calls = JoinSet::new();
    for _ in 0..100 {
        let resolver = Arc::clone(&resolver);
        calls.spawn(async move { resolver.groups(&user(5)).await.unwrap() });
    }
    while let Some(call) = calls.join_next().await {
        assert_eq!(call.unwrap(), [object_id(0).to_string()]);
    }
    assert_eq!(fake.seen().len(), 1);
}

#[tokio::test]
async fn many_at_once_share_a_failure_and_the_next_one_asks_again() {
    let fake = Fake::new(|_| refusal(403, "Authorization_RequestDenied", "no"));
    let resolver = Arc::new(GraphGroups::new(fake.client(), tenant(1)));
    for round in 1..=2 {
        let mut calls = JoinSet::new();
        for _ in 0..100 {
            let resolver = Arc::clone(&resolver);
            calls.spawn(async move { resolver.groups(&user(5)).await.unwrap_err() });
        }
        while let Some(call) = calls.join_next().await {
            call.unwrap();
        }
        assert_eq!(fake.seen().len(), round);
    }
}

#[tokio::test]
async fn a_reader_that_gives_up_leaves_the_others_to_read() {
    let fake = counting();
    let resolver = GraphGroups::new(fake.client(), tenant(1));
    let user = user(5);
    {
        let mut given_up = std::pin::pin!(resolver.groups(&user));
        std::future::poll_fn(|context| {
            assert!(given_up.as_mut().poll(context).is_pending());
            std::task::Poll::Ready(())
        })
        .await;
    }
    resolver.groups(&user).await.unwrap();
    assert_eq!(fake.seen().len(), 2);
}

#[tokio::test]
async fn the_cache_is_bounded() {
    let fake = counting();
    let resolver = GraphGroups::new(fake.client(), tenant(1));
    for number in 0..3000 {
        resolver.groups(&user(number)).await.unwrap();
    }
    let shown = format!("{resolver:?}");
    let (_, users) = shown.split_once("users: ").unwrap();
    let users: usize = users.split([' ', ',']).next().unwrap().parse().unwrap();
    assert!((875..=1000).contains(&users), "{shown}");
    // The latest one is still there.
    resolver.groups(&user(2999)).await.unwrap();
    assert_eq!(fake.seen().len(), 3000);
}

#[tokio::test]
async fn a_user_with_very_many_groups_is_read_and_not_kept() {
    let many: Vec<_> = (0..2001).map(object_id).collect();
    let fake = Fake::new(move |_| json(200, &json!({"value": many})));
    let resolver = GraphGroups::new(fake.client(), tenant(1));
    for _ in 0..2 {
        assert_eq!(resolver.groups(&user(5)).await.unwrap().len(), 2001);
    }
    assert_eq!(fake.seen().len(), 2);
}

#[tokio::test]
async fn each_refusal_of_graph_is_told_apart() {
    type Check = fn(&GroupResolverError) -> bool;
    let table: [(u16, &str, Check, &str); 4] = [
        (
            400,
            "Directory_ResultSizeLimitExceeded",
            |error| matches!(error, GroupResolverError::TooMany),
            "Assign application roles",
        ),
        (
            404,
            "Request_ResourceNotFound",
            |error| matches!(error, GroupResolverError::UnknownUser { .. }),
            "was not deleted",
        ),
        (
            403,
            "Authorization_RequestDenied",
            |error| matches!(error, GroupResolverError::Unavailable { .. }),
            "GroupMember.Read.All and User.ReadBasic.All",
        ),
        (
            400,
            "Request_BadRequest",
            |error| matches!(error, GroupResolverError::Unavailable { .. }),
            "support case",
        ),
    ];
    for (status, code, check, hint) in table {
        let fake = Fake::new(move |_| refusal(status, code, "message"));
        let resolver = GraphGroups::new(fake.client(), tenant(1));
        let error = resolver.groups(&user(5)).await.unwrap_err();
        assert!(check(&error), "{code}: {error:?}");
        assert!(error.admin_hint().contains(hint), "{}", error.admin_hint());
    }
}

#[tokio::test]
async fn what_is_no_list_of_ids_is_an_error_and_no_empty_list() {
    for body in [
        json!({}),
        json!({"value": null}),
        json!({"value": ["admins"]}),
        json!({"value": [1]}),
    ] {
        let answer = body.clone();
        let fake = Fake::new(move |_| json(200, &answer));
        let resolver = GraphGroups::new(fake.client(), tenant(1));
        let refused = resolver.groups(&user(5)).await;
        assert!(
            matches!(refused, Err(GroupResolverError::Unavailable { .. })),
            "{body}: {refused:?}"
        );
    }
}

#[tokio::test]
async fn a_busy_graph_is_waited_for_and_not_beyond_the_deadline() {
    let busy = || {
        crate::fake::text(
            429,
            &[("content-type", "application/json"), ("retry-after", "3")],
            r#"{"error":{"code":"TooManyRequests","message":"busy"}}"#,
        )
    };
    let fake = Fake::script([busy(), json(200, &json!({"value": []}))]);
    GraphGroups::new(fake.client(), tenant(1))
        .groups(&user(5))
        .await
        .unwrap();
    assert_eq!(fake.elapsed(), Duration::from_secs(3));

    let fake = Fake::script([busy()]);
    let mut retry = RetryPolicy::default();
    retry.deadline = Duration::from_secs(2);
    let pipeline = Pipeline::new(fake.clone())
        .with_clock(fake.clock.clone())
        .with_retry_policy(retry);
    let graph = GraphClient::new(&Cloud::public(), Arc::new(fake.clone()), pipeline);
    let refused = GraphGroups::new(graph, tenant(1)).groups(&user(5)).await;
    assert!(
        matches!(refused, Err(GroupResolverError::Unavailable { .. })),
        "{refused:?}"
    );
    assert_eq!(fake.elapsed(), Duration::ZERO);
}

/// A credential that notes in which tenants it was asked.
#[derive(Debug)]
struct Asked {
    inner: Fake,
    tenants: Mutex<Vec<Option<Tenant>>>,
}

#[async_trait]
impl TokenCredential for Asked {
    async fn token(&self, request: &TokenRequest) -> Result<AccessToken, Error> {
        let tenant = request.tenant().cloned();
        self.tenants.lock().unwrap().push(tenant);
        self.inner.token(request).await
    }

    fn invalidate(&self, _: &TokenRequest, _: &AccessToken) {}
}
