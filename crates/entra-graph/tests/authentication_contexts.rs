//! The check of authentication contexts against a local tenant: each thing that makes a step-up
//! worth nothing.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod local;

use bytes::Bytes;
use entra_core::{Call, Finding, Outcome, Probe};
use entra_graph::{AuthenticationContexts, Blueprint, GraphClient, Permission};
use serde_json::{Value, json};
use time::Duration;

use local::LocalTenant;

const CONTEXTS: &str = "v1.0/identity/conditionalAccess/authenticationContextClassReferences";
const POLICIES: &str = "v1.0/identity/conditionalAccess/policies";

#[tokio::test]
async fn a_published_context_with_a_policy_that_is_enforced_passes() {
    let tenant = LocalTenant::new();
    make_context(&tenant, "c1", true).await;
    make_policy(&tenant, "c1", "enabled").await;
    let found = check(&tenant, &["c1"]).await;
    assert_eq!(found.outcome, Outcome::Passed, "{found}");
    assert_eq!(found.detail, "c1: published, with a policy");
    // Those that the product does not ask for are the tenant's matter.
    make_context(&tenant, "c2", false).await;
    assert_eq!(check(&tenant, &["c1"]).await.outcome, Outcome::Passed);
    assert_eq!(check(&tenant, &[]).await.outcome, Outcome::Passed);
}

#[tokio::test]
async fn a_context_that_is_not_there_is_warned_of() {
    let tenant = LocalTenant::new();
    make_context(&tenant, "c10", true).await;
    make_policy(&tenant, "c10", "enabled").await;
    let found = check(&tenant, &["c1"]).await;
    assert_eq!(found.outcome, Outcome::Warning);
    assert_eq!(found.detail, "c1 is not there");
    let remedy = found.remedy.unwrap();
    assert!(
        remedy.contains("New authentication context, with the ID c1"),
        "{remedy}"
    );
}

#[tokio::test]
async fn a_context_that_is_not_published_is_warned_of() {
    let tenant = LocalTenant::new();
    make_context(&tenant, "c1", false).await;
    make_policy(&tenant, "c1", "enabled").await;
    let found = check(&tenant, &["c1"]).await;
    assert_eq!(found.outcome, Outcome::Warning);
    assert_eq!(found.detail, "c1 («Name of c1») is not published to apps");
    assert!(found.remedy.unwrap().contains("Publish to apps"));
}

#[tokio::test]
async fn a_context_without_a_policy_is_warned_of() {
    let tenant = LocalTenant::new();
    make_context(&tenant, "c1", true).await;
    make_context(&tenant, "c2", true).await;
    make_policy(&tenant, "c2", "enabled").await;
    let found = check(&tenant, &["c1", "c2"]).await;
    assert_eq!(found.outcome, Outcome::Warning);
    assert_eq!(
        found.detail,
        "c1 («Name of c1») has no policy, so that everybody fulfils it"
    );
    assert!(found.remedy.unwrap().contains("New policy"));
}

#[tokio::test]
async fn a_policy_that_is_not_enforced_is_warned_of() {
    for state in ["disabled", "enabledForReportingButNotEnforced"] {
        let tenant = LocalTenant::new();
        make_context(&tenant, "c1", true).await;
        make_policy(&tenant, "c1", state).await;
        let found = check(&tenant, &["c1"]).await;
        assert_eq!(found.outcome, Outcome::Warning);
        assert_eq!(
            found.detail,
            "c1 («Name of c1») has the policy «Policy of c1», which is not enforced, so that \
             everybody fulfils it"
        );
        assert!(found.remedy.unwrap().contains("Policy of c1, and set"));
        // One that is enforced beside it is enough.
        make_policy(&tenant, "c1", "enabled").await;
        assert_eq!(check(&tenant, &["c1"]).await.outcome, Outcome::Passed);
    }
}

#[tokio::test]
async fn each_context_has_its_own_step() {
    let tenant = LocalTenant::new();
    make_context(&tenant, "c2", false).await;
    let found = check(&tenant, &["c2", "c1"]).await;
    assert_eq!(
        found.detail,
        "c1 is not there; c2 («Name of c2») is not published to apps"
    );
    assert_eq!(found.remedy.unwrap().matches("; ").count(), 2);
}

#[tokio::test]
async fn a_product_needs_two_permissions_and_is_told_which_one_is_missing() {
    let both = ["AuthenticationContext.Read.All", "Policy.Read.All"];
    for (granted, outcome, missing) in [
        (&both[..], Outcome::Warning, "c1"),
        (&both[..1], Outcome::Skipped, both[1]),
        (&both[1..], Outcome::Skipped, both[0]),
    ] {
        let tenant = LocalTenant::new();
        let product = granted
            .iter()
            .fold(Blueprint::new("vault", "Vault"), |product, name| {
                product.with_permission(Permission::application(*name))
            })
            .with_secret(Duration::days(30));
        let (_, client) = tenant.link(&product).await;
        let probe = AuthenticationContexts::new(tenant.graph_of(&client), ["c1"]);
        let found = probe.run().await;
        assert_eq!(found.outcome, outcome, "{found}");
        assert!(found.remedy.as_ref().unwrap().contains(missing), "{found}");
    }
}

async fn check(tenant: &LocalTenant, contexts: &[&str]) -> Finding {
    let probe = AuthenticationContexts::new(tenant.setup_graph(), contexts.iter().copied());
    probe.run().await
}

async fn make_context(tenant: &LocalTenant, id: &str, is_available: bool) {
    let name = format!("Name of {id}");
    let context = json!({"id": id, "displayName": name, "isAvailable": is_available});
    post(tenant, CONTEXTS, &context).await;
}

async fn make_policy(tenant: &LocalTenant, context: &str, state: &str) {
    let policy = json!({
        "displayName": format!("Policy of {context}"),
        "state": state,
        "conditions": {
            "applications": {"includeAuthenticationContextClassReferences": [context]},
            "users": {"includeUsers": ["All"]}
        },
        "grantControls": {"operator": "OR", "builtInControls": ["mfa"]}
    });
    post(tenant, POLICIES, &policy).await;
}

/// As an administrator does it: the SDK itself writes no policies.
async fn post(tenant: &LocalTenant, path: &str, body: &Value) {
    let graph: GraphClient = tenant.setup_graph();
    let url = graph.cloud().graph_url().join(path).unwrap();
    let request = http::Request::post(url.as_str())
        .header("content-type", "application/json")
        .body(Bytes::from(body.to_string()))
        .unwrap();
    let call = Call::new("POST (a test)", request)
        .with_credential(graph.credential().clone(), graph.token_request().clone());
    graph.pipeline().send(call).await.unwrap();
}
