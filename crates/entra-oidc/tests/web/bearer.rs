//! An API behind an extractor.

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use entra_oidc::{ApiCaller, ApiRefusal, ApiValidator};
use http::Request;
use tower::ServiceExt as _;

use crate::stage::Stage;

async fn files(caller: ApiCaller) -> Result<String, ApiRefusal> {
    caller.require_scope("access_as_user")?;
    Ok(caller.key().to_string())
}

#[tokio::test]
async fn a_call_without_a_good_token_is_answered_by_the_extractor() {
    let stage = Stage::new();
    let audience = stage.emulator.web_app().client_id;
    let api = ApiValidator::connect(stage.authority(), [audience], stage.pipeline()).await;
    let app = Router::new()
        .route("/files", get(files))
        .with_state(api.unwrap());
    for (authorization, challenge) in [
        (None, "Bearer"),
        (Some("Bearer e30"), "Bearer error=\"invalid_token\""),
    ] {
        let mut request = Request::get("/files");
        if let Some(authorization) = authorization {
            request = request.header("authorization", authorization);
        }
        let request = request.body(Body::empty()).unwrap();
        let response = app.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), 401);
        assert_eq!(response.headers()["cache-control"], "no-store");
        let found = response.headers()["www-authenticate"].to_str().unwrap();
        assert!(found.starts_with(challenge), "{found}");
    }
}
