//! Other tenants than the client's own: which are allowed, and what is kept apart.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails"
)]

mod scripted;

use entra_core::{
    AllowedTenants, Authority, Clock as _, Cloud, ConfidentialClient, Error, Pipeline, TokenRequest,
};
use scripted::app::{SECOND, app, client_id, frozen, graph, request, secret, tenant, text};
use scripted::{Reply, ScriptedHttp};

#[tokio::test]
async fn a_tenant_that_is_not_allowed_is_refused_before_anything_is_sent() {
    let (own, http, _) = app([]);
    let these = AllowedTenants::These(vec![tenant("fabrikam.example")]);
    for app in [own.clone(), own.with_tenants(these)] {
        let error = app.token(&in_tenant("evil.example")).await.unwrap_err();
        assert!(matches!(error, Error::InvalidRequest(_)), "{error:?}");
    }
    assert_eq!(http.count(), 0);
}

#[tokio::test]
async fn its_own_tenant_may_always_be_named() {
    let (app, http, _) = app([Reply::token("t1", 3600)]);
    app.token(&in_tenant("Contoso.onmicrosoft.com"))
        .await
        .unwrap();
    assert_eq!(paths(&http), ["/contoso.onmicrosoft.com/oauth2/v2.0/token"]);
}

#[tokio::test]
async fn each_tenant_has_its_own_endpoint_and_its_own_tokens() {
    let (app, http, _) = app(["own", "fabrikam", "tailspin"].map(|t| Reply::token(t, 3600)));
    let app = app.with_tenants(AllowedTenants::Any);
    let wanted = [
        (graph(), "own"),
        (in_tenant("fabrikam.example"), "fabrikam"),
        (in_tenant("tailspin.example"), "tailspin"),
    ];
    for _ in 0..2 {
        for (request, expected) in &wanted {
            assert_eq!(text(&app.token(request).await.unwrap()), *expected);
        }
    }
    assert_eq!(
        paths(&http),
        [
            "/contoso.onmicrosoft.com/oauth2/v2.0/token",
            "/fabrikam.example/oauth2/v2.0/token",
            "/tailspin.example/oauth2/v2.0/token",
        ]
    );
}

#[tokio::test]
async fn a_tenant_that_is_throttled_does_not_hold_up_another() {
    let (app, http, clock) = app([
        Reply::new(429, "text/plain", "Too Many Requests").header("retry-after", "600"),
        Reply::token("tailspin", 3600),
    ]);
    let app = app.with_tenants(AllowedTenants::Any);
    let before = clock.now();
    let error = app.token(&in_tenant("fabrikam.example")).await.unwrap_err();
    assert_eq!(error.retry_after(), Some(600 * SECOND));
    // Another scope in the throttled tenant waits at the gate...
    let other = request("api://other/.default").in_tenant(tenant("fabrikam.example"));
    let error = app.token(&other).await.unwrap_err();
    assert!(matches!(error, Error::Throttled { .. }), "{error:?}");
    // ...another tenant does not.
    let token = app.token(&in_tenant("tailspin.example")).await.unwrap();
    assert_eq!(text(&token), "tailspin");
    assert_eq!(http.count(), 2);
    assert_eq!(clock.now(), before, "nobody waited");
}

#[tokio::test]
async fn a_client_of_all_organisations_signs_in_where_the_request_says() {
    let clock = frozen();
    let http = ScriptedHttp::new(&clock, [Reply::token("t1", 3600)]);
    let authority = Authority::new(Cloud::public(), tenant("organizations"));
    let pipeline = Pipeline::new(http.clone()).with_clock(clock);
    let app = ConfidentialClient::new(authority, client_id(), secret("s"), pipeline)
        .unwrap()
        .with_tenants(AllowedTenants::Any);
    assert!(matches!(
        app.token(&graph()).await,
        Err(Error::InvalidRequest(_))
    ));
    for nowhere in ["common", "organizations", "consumers"] {
        let error = app.token(&in_tenant(nowhere)).await.unwrap_err();
        assert!(matches!(error, Error::InvalidRequest(_)), "{nowhere}");
    }
    app.token(&in_tenant("fabrikam.example")).await.unwrap();
    assert_eq!(paths(&http), ["/fabrikam.example/oauth2/v2.0/token"]);
}

fn in_tenant(name: &str) -> TokenRequest {
    graph().in_tenant(tenant(name))
}

fn paths(http: &ScriptedHttp) -> Vec<String> {
    http.seen()
        .iter()
        .map(|seen| seen.uri.path().to_owned())
        .collect()
}
