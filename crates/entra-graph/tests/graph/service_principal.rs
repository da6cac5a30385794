use entra_core::ClientId;
use serde_json::json;

use crate::fake::{Fake, json, refusal};

fn client_id() -> ClientId {
    uuid::Uuid::from_u128(2).into()
}

#[tokio::test]
async fn one_that_exists_is_returned() {
    let fake = Fake::script([
        refusal(
            409,
            "Request_MultipleObjectsWithSameKeyValue",
            "The service principal cannot be created, updated, or restored because the service \
             principal name 00000000-0000-0000-0000-000000000002 is already in use.",
        ),
        json(200, &json!({"displayName": "there"})),
    ]);
    let principal = fake
        .client()
        .service_principals()
        .create(&client_id())
        .await
        .unwrap();
    assert_eq!(principal.display_name.as_deref(), Some("there"));
    assert_eq!(
        fake.lines(),
        [
            "POST servicePrincipals",
            "GET servicePrincipals(appId='00000000-0000-0000-0000-000000000002')",
        ]
    );
}

#[tokio::test]
async fn one_that_exists_and_is_not_visible_yet_is_waited_for() {
    let gone = || refusal(404, "Request_ResourceNotFound", "no such thing");
    let fake = Fake::script([
        refusal(
            409,
            "Request_MultipleObjectsWithSameKeyValue",
            "already in use",
        ),
        gone(),
        gone(),
        json(200, &json!({"displayName": "there"})),
    ]);
    let principal = fake
        .client()
        .service_principals()
        .create(&client_id())
        .await
        .unwrap();
    assert_eq!(principal.display_name.as_deref(), Some("there"));
    assert_eq!(fake.elapsed().as_secs(), 2);
}

#[tokio::test]
async fn a_name_that_something_else_has_taken_is_an_error() {
    let fake = Fake::new(|seen| match seen.method.as_str() {
        "POST" => refusal(
            409,
            "Request_MultipleObjectsWithSameKeyValue",
            "already in use",
        ),
        _ => refusal(404, "Request_ResourceNotFound", "no such thing"),
    });
    let error = fake
        .client()
        .service_principals()
        .create(&client_id())
        .await
        .unwrap_err();
    assert_eq!(error.status().unwrap().as_u16(), 409);
    assert_eq!(fake.elapsed().as_secs(), 60);
}

#[tokio::test]
async fn deleting_what_is_gone_succeeds() {
    let fake = Fake::script([refusal(404, "Request_ResourceNotFound", "no such thing")]);
    let id = crate::fake::object_id(1);
    fake.client()
        .service_principals()
        .delete(&id)
        .await
        .unwrap();
}
