use std::time::Duration;

use entra_graph::{Application, GraphErrorCode, Upserted};
use serde_json::json;

use crate::fake::{Fake, json, no_content, object_id, refusal, text};

#[tokio::test]
async fn an_upsert_makes_one_app_or_updates_it() {
    let fake = Fake::script([json(201, &json!({"displayName": "a"})), no_content()]);
    let client = fake.client();
    let app = Application {
        display_name: Some("a".into()),
        ..Application::default()
    };
    let first = client
        .applications()
        .upsert("it's mine", &app)
        .await
        .unwrap();
    assert!(matches!(first, Upserted::Created(made) if made.display_name.as_deref() == Some("a")));
    let second = client
        .applications()
        .upsert("it's mine", &app)
        .await
        .unwrap();
    assert_eq!(second, Upserted::Updated);
    for request in fake.seen() {
        assert_eq!(
            request.line(),
            "PATCH applications(uniqueName='it''s%20mine')"
        );
        assert_eq!(request.headers["prefer"], "create-if-missing");
        assert_eq!(request.body, json!({"displayName": "a"}));
    }
}

#[tokio::test]
async fn an_upsert_is_sent_again_after_a_problem_and_a_create_is_not() {
    let fake = Fake::script([text(503, &[], ""), no_content(), text(503, &[], "")]);
    let client = fake.client();
    client
        .applications()
        .upsert("u", &Application::default())
        .await
        .unwrap();
    let error = client
        .applications()
        .create(&Application::default())
        .await
        .unwrap_err();
    assert_eq!(error.status().unwrap().as_u16(), 503);
    assert_eq!(fake.seen().len(), 3);
}

#[tokio::test]
async fn an_app_that_does_not_exist_is_none() {
    let fake = Fake::new(|_| refusal(404, "Request_ResourceNotFound", "no such thing"));
    let client = fake.client();
    assert_eq!(
        client.applications().by_unique_name("u").await.unwrap(),
        None
    );
    let id = uuid::Uuid::from_u128(1).into();
    assert_eq!(client.applications().by_app_id(&id).await.unwrap(), None);
    client.applications().delete(&object_id(1)).await.unwrap();
}

#[tokio::test]
async fn a_403_for_an_app_is_not_taken_for_absence() {
    let fake = Fake::new(|_| refusal(403, "Authorization_RequestDenied", "no"));
    assert!(
        fake.client()
            .applications()
            .by_unique_name("u")
            .await
            .unwrap_err()
            .is_forbidden()
    );
}

#[tokio::test]
async fn conflicts_by_design_are_waited_out_and_taken_keys_are_not() {
    let conflict = || refusal(409, "Directory_ConcurrencyViolation", "busy");
    let fake = Fake::script([conflict(), conflict(), no_content()]);
    fake.client()
        .applications()
        .update(&object_id(1), &Application::default())
        .await
        .unwrap();
    assert_eq!(fake.elapsed(), Duration::from_secs(3));

    let fake = Fake::new(move |_| conflict());
    let result = fake
        .client()
        .applications()
        .update(&object_id(1), &Application::default())
        .await;
    assert_eq!(
        result.unwrap_err().code(),
        Some(&GraphErrorCode::ConcurrencyViolation)
    );
    assert_eq!(fake.seen().len(), 5);

    let fake = Fake::new(|_| refusal(409, "Request_MultipleObjectsWithSameKeyValue", "taken"));
    let result = fake
        .client()
        .applications()
        .update(&object_id(1), &Application::default())
        .await;
    assert_eq!(
        result.unwrap_err().code(),
        Some(&GraphErrorCode::DuplicateKey)
    );
    assert_eq!(fake.seen().len(), 1);
}

#[tokio::test]
async fn an_owner_who_is_one_already_stays_one() {
    let fake = Fake::script([
        no_content(),
        refusal(
            400,
            "Request_BadRequest",
            "One or more added object references already exist for the following modified properties: 'owners'.",
        ),
    ]);
    let client = fake.client();
    client
        .applications()
        .add_owner(&object_id(1), &object_id(2))
        .await
        .unwrap();
    client
        .applications()
        .add_owner(&object_id(1), &object_id(2))
        .await
        .unwrap();
    assert_eq!(
        fake.seen()[0].body,
        json!({"@odata.id":
            "https://graph.microsoft.com/v1.0/directoryObjects/00000000-0000-0000-0000-000000000002"})
    );
}
