//! The provider's configuration: what is refused, and that a change by surprise changes nothing.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    reason = "what a test cannot do fails it"
)]

mod stage;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use entra_core::{Tenant, TenantId};
use entra_oidc::{Authority, Begin, DiscoveryError, EntraLogin, Error, OptionsError};
use http::{Response, StatusCode};
use serde_json::Value;
use stage::Stage;

const CONFIGURATION: &str = "openid-configuration";

/// Connects while the configuration is a changed one.
async fn refusal(change: impl Fn(&mut Value) + Send + Sync + 'static) -> DiscoveryError {
    let stage = Stage::new();
    stage.between.change_json(CONFIGURATION, change);
    match EntraLogin::connect(stage.options(), stage.pipeline()).await {
        Err(Error::Discovery(error)) => error,
        other => panic!("{other:?}"),
    }
}

/// Connects while something else comes in the place of the configuration.
async fn refusal_of(answer: fn(Response<Bytes>) -> Response<Bytes>) -> DiscoveryError {
    let stage = Stage::new();
    stage.between.change(move |request, response| {
        if request.uri().path().ends_with(CONFIGURATION) {
            answer(response)
        } else {
            response
        }
    });
    match EntraLogin::connect(stage.options(), stage.pipeline()).await {
        Err(Error::Discovery(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_configuration_of_another_issuer_is_refused() {
    for other in [
        "https://localhost/{tenantid}/v2.0",
        "https://localhost/9b3c2a10-0d5f-4f2e-9c55-5a0f3a3d7d11/v2.0",
        "https://evil.example/v2.0",
        "",
    ] {
        let error = refusal(move |document| document["issuer"] = other.into()).await;
        let DiscoveryError::Issuer { found, .. } = error else {
            panic!("{error:?}");
        };
        assert_eq!(found, other);
    }
}

#[tokio::test]
async fn an_endpoint_elsewhere_is_refused() {
    for member in [
        "authorization_endpoint",
        "token_endpoint",
        "jwks_uri",
        "userinfo_endpoint",
        "end_session_endpoint",
    ] {
        for elsewhere in [
            "https://evil.example/x",
            "https://localhost.evil.example/x",
            "https://localhost@evil.example/x",
            "https://localhost:8443/x",
            "http://localhost/x",
        ] {
            let error = refusal(move |document| document[member] = elsewhere.into()).await;
            let DiscoveryError::Endpoint { member: found, .. } = error else {
                panic!("{error:?}");
            };
            assert_eq!(found, member, "{elsewhere}");
        }
    }
}

#[tokio::test]
async fn a_configuration_without_its_members_is_refused() {
    for member in [
        "issuer",
        "authorization_endpoint",
        "token_endpoint",
        "jwks_uri",
    ] {
        let error = refusal(move |document| {
            document.as_object_mut().unwrap().remove(member);
        })
        .await;
        assert!(
            matches!(error, DiscoveryError::NotAConfiguration(_)),
            "{member}"
        );
        let error = refusal(move |document| document[member] = 7.into()).await;
        assert!(
            matches!(error, DiscoveryError::NotAConfiguration(_)),
            "{member}"
        );
    }
}

#[tokio::test]
async fn a_provider_that_takes_no_s256_is_refused() {
    let methods = "code_challenge_methods_supported";
    let error = refusal(move |document| document[methods] = serde_json::json!(["plain"])).await;
    assert!(matches!(error, DiscoveryError::NoS256), "{error:?}");
}

#[tokio::test]
async fn what_is_no_configuration_is_refused() {
    let error = refusal_of(|response| response.map(|_| Bytes::from_static(b"<html>"))).await;
    assert!(
        matches!(error, DiscoveryError::NotAConfiguration(_)),
        "{error:?}"
    );
    let error = refusal_of(|response| response.map(|_| Bytes::from_static(b"[]"))).await;
    assert!(
        matches!(error, DiscoveryError::NotAConfiguration(_)),
        "{error:?}"
    );
    let error = refusal_of(|mut response| {
        *response.status_mut() = StatusCode::NOT_FOUND;
        response
    })
    .await;
    assert!(matches!(error, DiscoveryError::Fetch(_)), "{error:?}");
    let error = refusal_of(|mut response| {
        *response.status_mut() = StatusCode::ACCEPTED;
        response
    })
    .await;
    assert!(
        matches!(error, DiscoveryError::Status(StatusCode::ACCEPTED)),
        "{error:?}"
    );
    let error = refusal_of(|mut response| {
        *response.status_mut() = StatusCode::FOUND;
        let elsewhere = http::HeaderValue::from_static("https://evil.example/");
        response
            .headers_mut()
            .insert(http::header::LOCATION, elsewhere);
        response
    })
    .await;
    assert!(matches!(error, DiscoveryError::Fetch(_)), "{error:?}");
}

#[tokio::test]
async fn a_configuration_that_changes_by_surprise_is_not_taken() {
    let stage = Stage::new();
    stage.between.change_json(CONFIGURATION, |_| {});
    let login = stage.login().await;
    stage.between.change_json(CONFIGURATION, |document| {
        document["token_endpoint"] = "https://evil.example/token".into();
        document["authorization_endpoint"] = "https://evil.example/authorize".into();
    });
    // A day later a login looks at it again, and stays with what it knew.
    stage.advance(25 * 60 * 60);
    assert!(stage.finish(&login).await.is_ok());
    let begun = login.begin(Begin::to("/")).unwrap();
    assert_eq!(begun.location().host_str(), Some("localhost"));
}

#[tokio::test]
async fn a_change_within_the_provider_is_taken_after_a_day() {
    let stage = Stage::new();
    let login = stage.login().await;
    stage.between.change_json(CONFIGURATION, |document| {
        let endpoint = document["authorization_endpoint"].as_str().unwrap();
        document["authorization_endpoint"] = format!("{endpoint}?x=1").into();
    });
    let asks = |login: &EntraLogin| {
        let begun = login.begin(Begin::to("/")).unwrap();
        begun.location().query().unwrap().starts_with("x=1&")
    };
    stage.finish(&login).await.unwrap();
    assert!(!asks(&login));
    stage.advance(24 * 60 * 60 + 1);
    stage.finish(&login).await.unwrap();
    assert!(asks(&login));
}

#[tokio::test]
async fn keys_that_moved_are_taken_once_they_are_there() {
    let stage = Stage::new();
    let login = stage.login().await;
    stage.between.change_json(CONFIGURATION, |document| {
        let keys = document["jwks_uri"].as_str().unwrap();
        document["jwks_uri"] = format!("{keys}/not-there").into();
    });
    stage.advance(24 * 60 * 60 + 1);
    assert!(stage.finish(&login).await.is_ok());
}

#[tokio::test]
async fn a_key_that_left_the_document_counts_on_when_the_configuration_is_renewed() {
    let stage = Stage::new();
    let keys = stage.emulator.keys();
    let signing = keys.signing();
    keys.add();
    let login = stage.login().await;
    stage.advance(24 * 60 * 60 - 600);
    stage.finish(&login).await.unwrap();
    keys.withdraw(&signing).unwrap();
    stage.advance(601);
    assert!(stage.finish(&login).await.is_ok());
}

#[tokio::test]
async fn a_configuration_that_was_not_renewed_is_read_again_after_five_minutes() {
    let stage = Stage::new();
    let login = stage.login().await;
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    stage.between.change_json(CONFIGURATION, move |document| {
        count.fetch_add(1, Ordering::Relaxed);
        document["issuer"] = "https://evil.example".into();
    });
    for (wait, expected) in [(24 * 60 * 60 - 1, 0), (1, 1), (299, 1), (2, 2), (1, 2)] {
        stage.advance(wait);
        stage.finish(&login).await.unwrap();
        assert_eq!(asked.load(Ordering::Relaxed), expected);
    }
}

#[tokio::test]
async fn a_tenant_that_is_known_by_a_domain_is_pinned_to_its_id() {
    let stage = Stage::new();
    let domain = Tenant::parse(&stage.emulator.domain()).unwrap();
    let authority = Authority::single_tenant(stage.emulator.cloud(), domain).unwrap();
    let login = stage.connect(stage.options_of(authority)).await;
    let done = stage.finish(&login).await.unwrap();
    let tenant: TenantId = stage.emulator.tenant_id().parse().unwrap();
    assert_eq!(done.user.key().tenant(), Some(tenant));
    // The domain moves to another tenant.
    stage.between.change_json(CONFIGURATION, |document| {
        let other = "https://localhost/9b3c2a10-0d5f-4f2e-9c55-5a0f3a3d7d11/v2.0";
        document["issuer"] = other.into();
    });
    stage.advance(25 * 60 * 60);
    let done = stage.finish(&login).await.unwrap();
    assert_eq!(done.user.key().tenant(), Some(tenant));
}

#[tokio::test]
async fn a_provider_that_does_not_answer_at_this_moment_may_be_asked_again() {
    let stage = Stage::new();
    stage.between.change(|_, mut response| {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        response
    });
    let error = EntraLogin::connect(stage.options(), stage.pipeline())
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Discovery(_)), "{error:?}");
    assert_eq!(error.http_status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(error.is_retryable());
}

#[tokio::test]
async fn keys_that_cannot_be_had_are_noticed_at_the_start() {
    let stage = Stage::new();
    stage.between.change(|request, response| {
        if request.uri().path().ends_with("/keys") {
            return response.map(|_| Bytes::from_static(b"{\"keys\":[]}"));
        }
        response
    });
    let error = EntraLogin::connect(stage.options(), stage.pipeline())
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Keys(_)), "{error:?}");
    assert_eq!(error.http_status(), StatusCode::BAD_GATEWAY);
}

#[tokio::test]
async fn settings_that_cannot_be_are_refused_by_name() {
    let stage = Stage::new();
    let cloud = stage.emulator.cloud();
    let refused = |made: Result<Authority, OptionsError>| made.unwrap_err();
    assert_eq!(
        refused(Authority::single_tenant(cloud.clone(), Tenant::Common)),
        OptionsError::NotOneTenant
    );
    assert_eq!(
        refused(Authority::tenants(cloud, [])),
        OptionsError::NoTenant
    );
    for issuer in [
        "login.example",
        "http://login.example",
        "https://a@login.example",
        "https://login.example?x",
        "https://login.example#x",
    ] {
        assert_eq!(
            refused(Authority::generic(issuer)),
            OptionsError::Issuer,
            "{issuer}"
        );
    }
    for subdomain in ["", "a.b", "a/b", "evil.example#"] {
        let tenant = stage.tenant();
        assert_eq!(
            refused(Authority::external_id(subdomain, tenant)),
            OptionsError::Issuer
        );
    }
    let uri = entra_oidc::RedirectUri::web(stage::REDIRECT_URI).unwrap();
    let options = |client| {
        entra_oidc::LoginOptions::new(stage.authority(), client, uri.clone(), stage::keys())
    };
    assert!(matches!(options("my app"), Err(OptionsError::ClientId(_))));
    let without_credential = options(&stage.emulator.web_app().client_id).unwrap();
    let error = EntraLogin::connect(without_credential, stage.pipeline())
        .await
        .unwrap_err();
    assert!(
        matches!(error, Error::Options(OptionsError::NoCredential)),
        "{error:?}"
    );
}
