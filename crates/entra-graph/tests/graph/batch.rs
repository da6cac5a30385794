use std::sync::Mutex;

use entra_core::{Operation, TransportError, TransportErrorKind};
use entra_graph::{BatchRequest, Error, Filter, Query};
use serde_json::{Value, json};

use crate::fake::{Answer, Fake, Seen, json};

/// Answers the requests of a batch one by one, in reverse order.
fn each(answer: impl Fn(&Value) -> Option<Value> + Send + Sync + 'static) -> Fake {
    Fake::new(move |seen| respond(seen, &answer))
}

fn respond(seen: &Seen, answer: &impl Fn(&Value) -> Option<Value>) -> Answer {
    assert_eq!(seen.line(), "POST $batch");
    let requests = seen.body["requests"].as_array().unwrap();
    assert!(requests.len() <= 20);
    let responses: Vec<_> = requests
        .iter()
        .rev()
        .filter_map(|request| {
            let mut response = answer(request)?;
            response["id"] = request["id"].clone();
            Some(response)
        })
        .collect();
    json(200, &json!({"responses": responses}))
}

fn ok(request: &Value) -> Option<Value> {
    Some(json!({"status": 200, "headers": {}, "body": {"url": request["url"]}}))
}

fn refused(status: u16, code: &str) -> Option<Value> {
    Some(
        json!({"status": status, "headers": {"request-id": "i-1"}, "body": {"error": {"code": code}}}),
    )
}

/// The ids of each `$batch` call.
fn ids(fake: &Fake) -> Vec<Vec<String>> {
    fake.seen()
        .iter()
        .map(|seen| {
            let requests = seen.body["requests"].as_array().unwrap();
            requests
                .iter()
                .map(|request| request["id"].as_str().unwrap().to_owned())
                .collect()
        })
        .collect()
}

#[tokio::test]
async fn outcomes_come_in_the_order_of_the_requests() {
    let fake = each(ok);
    let mut batch = fake.client().batch();
    let added: Vec<_> = (0..45)
        .map(|number| batch.add(BatchRequest::get(["users".to_owned(), number.to_string()])))
        .collect();
    let outcomes = batch.send().await;
    assert_eq!(
        outcomes
            .iter()
            .map(|outcome| outcome.id)
            .collect::<Vec<_>>(),
        added
    );
    for (number, outcome) in outcomes.iter().enumerate() {
        let body: Value = outcome.parse().unwrap();
        assert_eq!(body["url"], format!("/users/{number}"));
    }
    assert_eq!(
        ids(&fake).iter().map(Vec::len).collect::<Vec<_>>(),
        [20, 20, 5]
    );
}

#[tokio::test]
async fn a_throttled_request_is_sent_again_by_itself_under_its_id() {
    let throttled = Mutex::new(false);
    let fake = each(move |request| {
        let mut throttled = throttled.lock().unwrap();
        if request["id"] == "2" && !std::mem::replace(&mut *throttled, true) {
            return Some(json!({"status": 429, "headers": {"Retry-After": "11"},
                "body": {"error": {"code": "TooManyRequests"}}}));
        }
        ok(request)
    });
    let mut batch = fake.client().batch();
    for name in ["a", "b", "c"] {
        // A 429 was not acted on, so that even what must not be repeated is sent again.
        batch.add(BatchRequest::post(["users", name], &json!({})).unwrap());
    }
    let outcomes = batch.send().await;
    assert!(outcomes.iter().all(|outcome| outcome.result.is_ok()));
    assert_eq!(ids(&fake), [vec!["1", "2", "3"], vec!["2"]]);
    assert_eq!(fake.elapsed().as_secs(), 11);
}

#[tokio::test]
async fn one_throttled_request_makes_the_next_call_wait() {
    let throttled = Mutex::new(false);
    let fake = each(move |request| {
        let mut throttled = throttled.lock().unwrap();
        if request["id"] == "2" && !std::mem::replace(&mut *throttled, true) {
            return Some(json!({"status": 429, "headers": {"Retry-After": "11"}, "body": null}));
        }
        ok(request)
    });
    let mut batch = fake.client().batch();
    for _ in 0..25 {
        batch.add(BatchRequest::get(["users", "a"]));
    }
    let outcomes = batch.send().await;
    assert!(outcomes.iter().all(|outcome| outcome.result.is_ok()));
    let times: Vec<_> = fake.seen().iter().map(|seen| seen.at.as_secs()).collect();
    assert_eq!(times, [0, 11, 11]);
}

#[tokio::test]
async fn only_what_may_be_repeated_is_repeated() {
    let fake = each(|_| refused(503, "ServiceUnavailable"));
    let mut batch = fake.client().batch();
    batch.add(BatchRequest::get(["users", "a"]));
    batch.add(BatchRequest::post(["users"], &json!({})).unwrap());
    batch.add(
        BatchRequest::patch(["users", "a"], &json!({}))
            .unwrap()
            .with_operation(Operation::Idempotent),
    );
    let outcomes = batch.send().await;
    for outcome in &outcomes {
        let error = outcome.result.as_ref().unwrap_err();
        assert_eq!(error.status().unwrap().as_u16(), 503);
        assert_eq!(
            error.request_ids().unwrap().request_id.as_deref(),
            Some("i-1")
        );
    }
    let sent = ids(&fake);
    assert_eq!(sent[0], ["1", "2", "3"]);
    assert_eq!(sent.len(), 5);
    assert!(sent[1..].iter().all(|ids| ids == &["1", "3"]));
}

#[tokio::test]
async fn a_request_that_is_left_out_has_an_outcome_too() {
    let fake = each(|request| {
        if request["method"] == "POST" {
            None
        } else {
            ok(request)
        }
    });
    let mut batch = fake.client().batch();
    batch.add(BatchRequest::get(["users", "a"]));
    batch.add(BatchRequest::post(["users"], &json!({})).unwrap());
    let outcomes = batch.send().await;
    assert!(outcomes[0].result.is_ok());
    assert!(matches!(outcomes[1].result, Err(Error::NotAnswered { .. })));
    assert_eq!(fake.seen().len(), 1);
}

#[tokio::test]
async fn each_request_has_its_own_error() {
    let fake = each(|request| match request["url"].as_str().unwrap() {
        "/users/gone" => refused(404, "Request_ResourceNotFound"),
        "/users/denied" => refused(403, "Authorization_RequestDenied"),
        _ => ok(request),
    });
    let mut batch = fake.client().batch();
    for name in ["gone", "there", "denied"] {
        batch.add(BatchRequest::get(["users".to_owned(), name.to_string()]));
    }
    let outcomes = batch.send().await;
    assert!(outcomes[0].result.as_ref().unwrap_err().is_not_found());
    assert!(outcomes[1].result.is_ok());
    assert!(outcomes[2].result.as_ref().unwrap_err().is_forbidden());
}

#[tokio::test]
async fn where_the_call_fails_each_of_its_requests_fails() {
    let first = Mutex::new(true);
    let fake = Fake::new(move |seen| {
        if std::mem::replace(&mut *first.lock().unwrap(), false) {
            return Err(TransportError::new(TransportErrorKind::Interrupted));
        }
        respond(seen, &ok)
    });
    let mut batch = fake.client().batch();
    for _ in 0..25 {
        batch.add(BatchRequest::post(["users"], &json!({})).unwrap());
    }
    let outcomes = batch.send().await;
    assert_eq!(outcomes.len(), 25);
    assert!(outcomes[..20].iter().all(|outcome| outcome.result.is_err()));
    assert!(outcomes[20..].iter().all(|outcome| outcome.result.is_ok()));
    assert_eq!(fake.seen().len(), 2);
}

#[tokio::test]
async fn a_sequence_stops_at_the_first_failure() {
    let fake = each(|request| match request["id"].as_str().unwrap() {
        "1" => ok(request),
        "2" => refused(400, "Request_BadRequest"),
        _ => refused(424, "FailedDependency"),
    });
    let mut batch = fake.client().batch().sequential();
    for _ in 0..30 {
        batch.add(BatchRequest::get(["users", "a"]));
    }
    let outcomes = batch.send().await;
    assert_eq!(outcomes.len(), 30);
    assert!(outcomes[0].result.is_ok());
    assert_eq!(
        outcomes[1]
            .result
            .as_ref()
            .unwrap_err()
            .status()
            .unwrap()
            .as_u16(),
        400
    );
    for outcome in &outcomes[2..] {
        assert!(matches!(outcome.result, Err(Error::DependencyFailed)));
    }
    let seen = fake.seen();
    assert_eq!(seen.len(), 1, "the second twenty are not sent");
    assert_eq!(seen[0].body["requests"][0].get("dependsOn"), None);
    assert_eq!(seen[0].body["requests"][1]["dependsOn"], json!(["1"]));
}

#[tokio::test]
async fn a_throttled_sequence_goes_on_where_it_stopped() {
    let throttled = Mutex::new(false);
    let fake = each(move |request| {
        let mut throttled = throttled.lock().unwrap();
        let first_round = !*throttled;
        match request["id"].as_str().unwrap() {
            // Answers are asked for from the last to the first.
            "3" if first_round => refused(424, "FailedDependency"),
            "2" if first_round => {
                *throttled = true;
                refused(429, "TooManyRequests")
            }
            _ => ok(request),
        }
    });
    let mut batch = fake.client().batch().sequential();
    for _ in 0..3 {
        batch.add(BatchRequest::post(["users"], &json!({})).unwrap());
    }
    let outcomes = batch.send().await;
    assert!(outcomes.iter().all(|outcome| outcome.result.is_ok()));
    assert_eq!(ids(&fake), [vec!["1", "2", "3"], vec!["2", "3"]]);
}

#[tokio::test]
async fn queries_carry_their_headers_and_answers_do_not_show_bodies() {
    let fake = each(|_| Some(json!({"status": 200, "body": {"secretText": "canary~secret"}})));
    let mut batch = fake.client().batch();
    let query = Query::new().filter(Filter::ne("displayName", "a"));
    batch.add(BatchRequest::get(["users"]).with_query(&query));
    let outcomes = batch.send().await;
    assert!(!format!("{outcomes:?}").contains("canary"));
    let request = &fake.seen()[0].body["requests"][0];
    assert_eq!(request["headers"], json!({"ConsistencyLevel": "eventual"}));
    assert_eq!(
        request["url"],
        "/users?$filter=displayName%20ne%20%27a%27&$count=true"
    );
}

#[tokio::test]
async fn a_path_is_encoded_and_an_empty_id_is_an_outcome_of_its_own() {
    let fake = each(ok);
    let mut batch = fake.client().batch();
    batch.add(BatchRequest::get(["users", "a/../b#c?d"]));
    batch.add(BatchRequest::get(["users", ""]));
    batch.add(BatchRequest::delete(["users", ".."]));
    let outcomes = batch.send().await;
    let body: Value = outcomes[0].parse().unwrap();
    assert_eq!(body["url"], "/users/a%2F..%2Fb%23c%3Fd");
    for outcome in &outcomes[1..] {
        assert!(matches!(outcome.result, Err(Error::InvalidRequest(_))));
    }

    let mut batch = fake.client().batch().sequential();
    batch.add(BatchRequest::get(["users", ""]));
    batch.add(BatchRequest::get(["users", "a"]));
    let outcomes = batch.send().await;
    assert!(matches!(outcomes[1].result, Err(Error::DependencyFailed)));
    assert_eq!(fake.seen().len(), 1);
}
