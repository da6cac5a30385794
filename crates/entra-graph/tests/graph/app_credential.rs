use std::sync::{Arc, Mutex};

use entra_core::{TransportError, TransportErrorKind};
use entra_graph::{Error, GraphErrorCode, NewKey};
use serde_json::{Value, json};
use time::macros::datetime;

use crate::fake::{Answer, Fake, Seen, json, no_content, object_id, refusal};

/// The certificates of one app, with Graph's rules: a PATCH replaces the collection, null keeps
/// the bytes of a key that is there, and such a key cannot be changed.
#[derive(Clone, Default)]
struct Keys(Arc<Mutex<Vec<Value>>>);

impl Keys {
    fn with(names: &[&str]) -> Self {
        let keys = (100_u128..).zip(names).map(|(number, name)| {
            json!({"keyId": uuid::Uuid::from_u128(number), "displayName": name,
                "key": "b2xk", "type": "AsymmetricX509Cert", "usage": "Verify",
                "endDateTime": "2027-01-01T00:00:03.9014347Z", "startDateTime": null,
                "customKeyIdentifier": "dGh1bWI="})
        });
        Self(Arc::new(Mutex::new(keys.collect())))
    }

    fn answer(&self, seen: &Seen) -> Answer {
        let mut keys = self.0.lock().unwrap();
        if seen.method == "GET" {
            assert!(
                seen.path().ends_with("?$select=id,keyCredentials"),
                "{}",
                seen.path()
            );
            return json(200, &json!({"id": object_id(1), "keyCredentials": *keys}));
        }
        let sent = seen.body["keyCredentials"].as_array().unwrap();
        let mut next = Vec::new();
        for key in sent {
            let old = keys.iter().find(|old| old["keyId"] == key["keyId"]);
            let Some(old) = old else {
                next.push(key.clone());
                continue;
            };
            let same = |name: &str| {
                key.get(name).unwrap_or(&Value::Null) == old.get(name).unwrap_or(&Value::Null)
            };
            let kept = key["key"] == old["key"] || key.get("key") == Some(&Value::Null);
            let others = [
                "displayName",
                "endDateTime",
                "customKeyIdentifier",
                "usage",
                "type",
            ];
            if !kept || !others.iter().all(|name| same(name)) {
                return refusal(
                    400,
                    "KeyNotUpdatable",
                    "Update to existing credential is not allowed.",
                );
            }
            next.push(old.clone());
        }
        *keys = next;
        no_content()
    }

    fn names(&self) -> Vec<String> {
        let keys = self.0.lock().unwrap();
        let mut names: Vec<_> = keys
            .iter()
            .map(|key| key["displayName"].as_str().unwrap().to_owned())
            .collect();
        names.sort();
        names
    }
}

#[tokio::test]
async fn a_certificate_is_added_beside_those_that_are_there() {
    let keys = Keys::with(&["old-a", "old-b"]);
    let server = keys.clone();
    let fake = Fake::new(move |seen| server.answer(seen));
    let new = NewKey::new("new", *b"der").with_validity(
        datetime!(2026-01-01 00:00 UTC),
        datetime!(2028-01-01 00:00 UTC),
    );
    let added = fake
        .client()
        .applications()
        .add_certificate(&object_id(1), new)
        .await
        .unwrap();
    assert_eq!(keys.names(), ["new", "old-a", "old-b"]);
    assert_eq!(added.key.unwrap().as_bytes(), b"der");
    let patch = fake
        .seen()
        .into_iter()
        .find(|seen| seen.method == "PATCH")
        .unwrap();
    assert_eq!(patch.body["keyCredentials"][0]["key"], Value::Null);
    assert!(
        patch.body["keyCredentials"][0]
            .as_object()
            .unwrap()
            .contains_key("key")
    );
    assert_eq!(patch.body["keyCredentials"][2]["key"], "ZGVy");
    assert_eq!(
        patch.body["keyCredentials"][2]["endDateTime"],
        "2028-01-01T00:00:00Z"
    );
}

#[tokio::test]
async fn twenty_writers_at_once_lose_no_certificate() {
    let keys = Keys::with(&["old"]);
    let server = keys.clone();
    let fake = Fake::new(move |seen| server.answer(seen));
    let client = fake.client();
    let app = object_id(1);
    let all = (0..20_u8).map(|number| {
        let client = client.clone();
        let new = NewKey::new(format!("new-{number:02}"), [number]);
        async move { client.applications().add_certificate(&app, new).await }
    });
    for added in futures_util::future::join_all(all).await {
        added.unwrap();
    }
    let mut expected: Vec<_> = (0..20).map(|number| format!("new-{number:02}")).collect();
    expected.push("old".to_owned());
    assert_eq!(keys.names(), expected);
}

#[tokio::test]
async fn a_certificate_that_is_there_is_not_added_again() {
    let keys = Keys::with(&["old"]);
    let server = keys.clone();
    let fake = Fake::new(move |seen| server.answer(seen));
    let found = fake
        .client()
        .applications()
        .add_certificate(&object_id(1), NewKey::new("again", *b"old"))
        .await
        .unwrap();
    assert_eq!(found.display_name.as_deref(), Some("old"));
    assert_eq!(fake.seen().len(), 1);
}

#[tokio::test]
async fn what_a_writer_elsewhere_undid_is_done_again() {
    let keys = Keys::with(&["old"]);
    let server = keys.clone();
    let undone = Mutex::new(false);
    let fake = Fake::new(move |seen| {
        let answer = server.answer(seen);
        let mut undone = undone.lock().unwrap();
        if seen.method == "PATCH" && !*undone {
            *undone = true;
            let mut keys = server.0.lock().unwrap();
            keys.retain(|key| key["displayName"] != "new");
            keys.push(json!({"keyId": uuid::Uuid::from_u128(7), "displayName": "theirs"}));
        }
        answer
    });
    let new = NewKey::new("new", *b"der");
    fake.client()
        .applications()
        .add_certificate(&object_id(1), new)
        .await
        .unwrap();
    assert_eq!(keys.names(), ["new", "old", "theirs"]);
}

#[tokio::test]
async fn removing_a_certificate_keeps_the_others() {
    let keys = Keys::with(&["a", "b"]);
    let server = keys.clone();
    let fake = Fake::new(move |seen| server.answer(seen));
    let client = fake.client();
    let b = uuid::Uuid::from_u128(101);
    assert!(
        client
            .applications()
            .remove_certificate(&object_id(1), &b)
            .await
            .unwrap()
    );
    assert_eq!(keys.names(), ["a"]);
    assert!(
        !client
            .applications()
            .remove_certificate(&object_id(1), &b)
            .await
            .unwrap()
    );
}

#[tokio::test]
async fn a_refused_certificate_is_an_error_by_name() {
    let fake = Fake::new(|seen| match seen.method.as_str() {
        "GET" => json(200, &json!({"keyCredentials": []})),
        _ => refusal(400, "CredentialInvalidLifetimeAsPerAppPolicy", "too long"),
    });
    let new = NewKey::new("new", *b"der");
    let error = fake
        .client()
        .applications()
        .add_certificate(&object_id(1), new)
        .await
        .unwrap_err();
    assert!(error.has_code(&GraphErrorCode::CredentialLifetimeTooLong));
    assert!(error.admin_hint().contains("shorter"));
}

#[tokio::test]
async fn a_client_secret_is_made_once_and_not_shown() {
    let fake = Fake::script([json(
        200,
        &json!({"keyId": uuid::Uuid::from_u128(5), "secretText": "canary~secret", "hint": "can",
            "displayName": "d", "endDateTime": "2027-01-01T00:00:00Z", "startDateTime": null,
            "customKeyIdentifier": null}),
    )]);
    let end = datetime!(2027-01-01 00:00 UTC);
    let client = fake.client();
    let made = client
        .applications()
        .add_password(&object_id(1), "d", Some(end))
        .await
        .unwrap();
    assert_eq!(made.secret.expose(), "canary~secret");
    assert_eq!((made.end, made.hint.as_deref()), (Some(end), Some("can")));
    assert!(!format!("{made:?}").contains("canary"));
    assert_eq!(
        fake.seen()[0].body,
        json!({"passwordCredential": {"displayName": "d", "endDateTime": "2027-01-01T00:00:00Z"}})
    );
}

#[tokio::test]
async fn a_client_secret_whose_answer_was_lost_is_not_made_again() {
    let fake = Fake::new(|_| Err(TransportError::new(TransportErrorKind::Interrupted)));
    let error = fake
        .client()
        .applications()
        .add_password(&object_id(1), "d", None)
        .await
        .unwrap_err();
    assert!(matches!(
        error,
        Error::Core(entra_core::Error::Transport { .. })
    ));
    assert_eq!(fake.seen().len(), 1);
    assert_eq!(
        fake.seen()[0].body,
        json!({"passwordCredential": {"displayName": "d"}})
    );
}

#[tokio::test]
async fn a_broken_answer_with_a_secret_in_it_does_not_show_it() {
    let fake = Fake::script([json(
        200,
        &json!({"keyId": "canary~secret", "secretText": "canary~2"}),
    )]);
    let error = fake
        .client()
        .applications()
        .add_password(&object_id(1), "d", None)
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Malformed(_)));
    assert!(!format!("{error} {error:?}").contains("canary"));
}

#[tokio::test]
async fn removing_a_secret_that_is_gone_succeeds() {
    let fake = Fake::script([
        refusal(
            400,
            "Request_BadRequest",
            "No password credential found with keyId.",
        ),
        refusal(400, "Request_BadRequest", "Something else."),
    ]);
    let client = fake.client();
    let id = uuid::Uuid::from_u128(5);
    client
        .applications()
        .remove_password(&object_id(1), &id)
        .await
        .unwrap();
    assert!(
        client
            .applications()
            .remove_password(&object_id(1), &id)
            .await
            .is_err()
    );
}
