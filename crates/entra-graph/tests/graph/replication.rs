use std::sync::Mutex;
use std::time::Duration;

use entra_graph::{Error, Replication};
use serde_json::json;

use crate::fake::{Fake, json, object_id, refusal};

/// Whether the object is there at each look; the last entry repeats.
fn replicas(looks: &'static [bool]) -> Fake {
    let look = Mutex::new(0);
    Fake::new(move |_| {
        let mut look = look.lock().unwrap();
        let there = looks.get(*look).or_else(|| looks.last()).unwrap();
        *look += 1;
        if *there {
            json(200, &json!({"displayName": "new"}))
        } else {
            refusal(404, "Request_ResourceNotFound", "Resource does not exist.")
        }
    })
}

#[tokio::test]
async fn five_looks_in_a_row_must_succeed() {
    let fake = replicas(&[false, true, true, true, true, false, true]);
    let client = fake.client();
    let app = client
        .recently_created("the app")
        .until_visible(|| async { client.applications().get(&object_id(1)).await.map(Some) })
        .await
        .unwrap();
    assert_eq!(app.display_name.as_deref(), Some("new"));
    assert_eq!(fake.seen().len(), 11);
    assert_eq!(fake.elapsed(), Duration::from_secs(10));
}

#[tokio::test]
async fn what_does_not_appear_in_time_is_a_typed_error() {
    let fake = replicas(&[true, false]);
    let client = fake
        .client()
        .with_replication(Replication::default().with_window(Duration::from_secs(30)));
    let error = client
        .recently_created("the app")
        .until_visible(|| async { client.applications().get(&object_id(1)).await.map(Some) })
        .await
        .unwrap_err();
    let Error::NotReplicated {
        what,
        waited,
        source,
    } = &error
    else {
        panic!("{error:?}")
    };
    assert_eq!((&**what, waited.as_secs()), ("the app", 30));
    assert!(source.as_ref().unwrap().is_not_found());
    assert!(error.is_retryable());
    assert_eq!(
        error.to_string(),
        "the app is not visible everywhere after 30 s"
    );
}

#[tokio::test]
async fn another_refusal_is_not_waited_out() {
    let fake = Fake::new(|_| {
        refusal(
            403,
            "Authorization_RequestDenied",
            "Insufficient privileges.",
        )
    });
    let client = fake.client();
    let error = client
        .recently_created("the app")
        .until_visible(|| async { client.applications().get(&object_id(1)).await.map(Some) })
        .await
        .unwrap_err();
    assert!(error.is_forbidden());
    assert_eq!(fake.seen().len(), 1);
}

#[tokio::test]
async fn a_write_waits_until_graph_knows_what_it_refers_to() {
    let fake = Fake::script([
        refusal(
            400,
            "Request_BadRequest",
            "The appId 'x' of the service principal does not reference a valid application object.",
        ),
        json(201, &json!({"displayName": "new"})),
    ]);
    let client = fake.client();
    let client_id = uuid::Uuid::from_u128(2).into();
    let principal = client
        .recently_created("the app")
        .once_known(|| async { client.service_principals().create(&client_id).await })
        .await
        .unwrap();
    assert_eq!(principal.display_name.as_deref(), Some("new"));
    assert_eq!(fake.elapsed(), Duration::from_secs(1));
}

#[tokio::test]
async fn outside_of_a_window_not_found_is_an_error_at_once() {
    let fake = replicas(&[false, true]);
    let error = fake
        .client()
        .applications()
        .get(&object_id(1))
        .await
        .unwrap_err();
    assert!(error.is_not_found());
    assert_eq!(fake.seen().len(), 1);
}

#[tokio::test]
async fn what_is_to_be_replaced_is_read_until_five_reads_agree() {
    let fake = Fake::script([]);
    let client = fake.client();
    let mut seen = [1, 2, 1, 1, 1, 1, 1, 9].into_iter();
    let mut reads = 0;
    let agreed = client
        .recently_created("the list")
        .until_agreed(|| {
            reads += 1;
            let next = seen.next();
            async move { Ok(next) }
        })
        .await
        .unwrap();
    assert_eq!((agreed, reads), (Some(1), 7));
}
