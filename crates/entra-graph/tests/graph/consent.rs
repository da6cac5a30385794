use std::sync::{Arc, Mutex};

use entra_graph::Granted;
use serde_json::{Value, json};

use crate::fake::{Answer, Fake, json, no_content, object_id, refusal};

const DUPLICATE: &str = "Permission being assigned already exists on the object";

#[tokio::test]
async fn a_role_that_was_granted_before_counts_as_granted() {
    let fake = Fake::script([
        json(201, &json!({"id": "x-1"})),
        refusal(400, "Request_BadRequest", DUPLICATE),
        refusal(400, "Request_BadRequest", "Not a valid reference update."),
    ]);
    let client = fake.client();
    let (app, graph, role) = (object_id(1), object_id(2), uuid::Uuid::from_u128(3));
    let grant = || async { client.consent().grant_app_role(&app, &graph, &role).await };
    let Granted::New(assignment) = grant().await.unwrap() else {
        panic!()
    };
    assert_eq!(assignment.id.as_deref(), Some("x-1"));
    assert_eq!(grant().await.unwrap(), Granted::AlreadyThere);
    assert!(grant().await.unwrap_err().may_be_replication());
    assert_eq!(
        fake.seen()[0].body,
        json!({"principalId": app, "resourceId": graph, "appRoleId": role})
    );
    assert_eq!(
        fake.lines()[0],
        "POST servicePrincipals/00000000-0000-0000-0000-000000000002/appRoleAssignedTo"
    );
}

/// A tenant's grants for client 1 and resource 2.
fn tenant(grants: &Arc<Mutex<Vec<Value>>>) -> Fake {
    let grants = Arc::clone(grants);
    Fake::new(move |seen| answer(&mut grants.lock().unwrap(), &seen.line(), &seen.body))
}

fn answer(grants: &mut Vec<Value>, line: &str, body: &Value) -> Answer {
    if line.starts_with("GET oauth2PermissionGrants?$filter=clientId%20eq%20%27") {
        return json(200, &json!({"value": grants}));
    }
    if line == "POST oauth2PermissionGrants" {
        if grants
            .iter()
            .any(|grant| grant["resourceId"] == body["resourceId"])
        {
            return refusal(
                409,
                "Request_MultipleObjectsWithSameKeyValue",
                "Permission entry already exists.",
            );
        }
        let mut grant = body.clone();
        grant["id"] = json!(format!("g{}", grants.len()));
        grants.push(grant.clone());
        return json(201, &grant);
    }
    let id = line
        .strip_prefix("PATCH oauth2PermissionGrants/")
        .unwrap_or_else(|| panic!("{line}"));
    let grant = grants.iter_mut().find(|grant| grant["id"] == id).unwrap();
    grant["scope"] = body["scope"].clone();
    no_content()
}

#[tokio::test]
async fn scopes_are_added_to_those_that_are_there() {
    let grants = Arc::new(Mutex::new(vec![
        json!({"id": "one-user", "clientId": object_id(1), "consentType": "Principal",
            "principalId": object_id(9), "resourceId": object_id(3), "scope": "openid"}),
    ]));
    let fake = tenant(&grants);
    let client = fake.client();
    let grant = |scopes: &'static [&'static str]| {
        let client = client.clone();
        async move {
            client
                .consent()
                .grant_scopes(&object_id(1), &object_id(2), scopes)
                .await
        }
    };
    assert!(matches!(grant(&["openid"]).await, Ok(Granted::New(_))));
    assert!(matches!(
        grant(&["profile", "openid"]).await,
        Ok(Granted::New(_))
    ));
    assert_eq!(grant(&["openid"]).await.unwrap(), Granted::AlreadyThere);
    let grants = grants.lock().unwrap();
    assert_eq!(grants.len(), 2);
    assert_eq!(grants[1]["scope"], "openid profile");
    assert_eq!(grants[1]["principalId"], Value::Null);
    assert_eq!(grants[1]["consentType"], "AllPrincipals");
    assert_eq!(
        grants[0]["scope"], "openid",
        "one user's consent is left alone"
    );
}

#[tokio::test]
async fn a_grant_that_another_writer_made_meanwhile_is_extended() {
    let grants = Arc::new(Mutex::new(Vec::new()));
    let inner = Arc::clone(&grants);
    let fake = Fake::new(move |seen| {
        let mut grants = inner.lock().unwrap();
        // Somebody else is faster than our first POST.
        if seen.method == "POST" && grants.is_empty() {
            grants.push(
                json!({"id": "g0", "clientId": object_id(1), "scope": "email",
                "consentType": "AllPrincipals", "resourceId": object_id(2)}),
            );
        }
        answer(&mut grants, &seen.line(), &seen.body)
    });
    let client = fake.client();
    let granted = client
        .consent()
        .grant_scopes(&object_id(1), &object_id(2), &["openid"])
        .await;
    assert!(matches!(granted, Ok(Granted::New(_))), "{granted:?}");
    assert_eq!(grants.lock().unwrap()[0]["scope"], "email openid");
}

#[tokio::test]
async fn concurrent_grants_lose_nothing() {
    let grants = Arc::new(Mutex::new(Vec::new()));
    let fake = tenant(&grants);
    let client = fake.client();
    let scopes: Vec<String> = (0..10).map(|number| format!("Scope.{number}")).collect();
    let all = scopes.iter().map(|scope| {
        let client = client.clone();
        async move {
            client
                .consent()
                .grant_scopes(&object_id(1), &object_id(2), &[scope.as_str()])
                .await
        }
    });
    for granted in futures_util::future::join_all(all).await {
        assert!(matches!(granted, Ok(Granted::New(_))));
    }
    let grants = grants.lock().unwrap();
    let mut found: Vec<_> = grants[0]["scope"]
        .as_str()
        .unwrap()
        .split(' ')
        .map(str::to_owned)
        .collect();
    found.sort();
    assert_eq!(found, scopes);
}
