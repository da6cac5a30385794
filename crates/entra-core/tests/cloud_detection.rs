//! Where a tenant lives, by what each sign-in host answers.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use entra_core::{
    Cloud, CloudDetection, DetectionError, Error, HostFailure, HttpClient, Limits, MovableClock,
    Outcome, Pipeline, Tenant, TenantId, TenantLocation, TransportError, TransportErrorKind,
    detect_cloud, detect_cloud_among,
};
use serde_json::{Value, json};
use time::macros::datetime;

#[tokio::test]
async fn every_cloud_is_recognised_by_its_own_answer() {
    for (host, issuer_host, graph, region, sub_region, expected) in [
        (COM, COM, "graph.microsoft.com", "EU", None, Cloud::public()),
        (
            COM,
            COM,
            "graph.microsoft.com",
            "NA",
            Some("GCC"),
            Cloud::public(),
        ),
        (
            US,
            US,
            "graph.microsoft.us",
            "USGov",
            Some("DODCON"),
            Cloud::us_government(),
        ),
        (
            US,
            US,
            "graph.microsoft.us",
            "USGov",
            None,
            Cloud::us_government(),
        ),
        (
            US,
            US,
            "dod-graph.microsoft.us",
            "USGov",
            Some("DOD"),
            Cloud::us_government_dod(),
        ),
        (
            US,
            US,
            "graph.microsoft.us",
            "USGov",
            Some("DOD"),
            Cloud::us_government_dod(),
        ),
        (
            CN,
            "login.partner.microsoftonline.cn",
            "microsoftgraph.chinacloudapi.cn",
            "AS",
            None,
            Cloud::china(),
        ),
        (FR, FR, "graph.svc.sovcloud.fr", "EU", None, Cloud::bleu()),
        (DE, DE, "graph.svc.sovcloud.de", "EU", None, Cloud::delos()),
        (SG, SG, "graph.svc.sovcloud.sg", "AS", None, Cloud::gov_sg()),
        // The public host may answer for a government's tenant: the answer counts, not the host.
        (
            COM,
            US,
            "graph.microsoft.us",
            "USGov",
            Some("DODCON"),
            Cloud::us_government(),
        ),
    ] {
        let mut answer = configuration(issuer_host, ID, graph);
        answer["tenant_region_scope"] = json!(region);
        answer["tenant_region_sub_scope"] = json!(sub_region);
        let hosts = Hosts::new([(host, Says::Json(200, answer))]);
        for tenant in [ID, "contoso.example"] {
            let found = hosts.detect(tenant).await;
            let CloudDetection::Found { location, .. } = &found else {
                panic!("{host} {graph}: {found:?}");
            };
            assert_eq!(location.cloud, expected, "{host} {graph}");
            assert_eq!(location.tenant_id, TenantId::parse(ID).unwrap());
            assert_eq!(location.region_scope.as_deref(), Some(region));
            assert_eq!(location.region_sub_scope.as_deref(), sub_region);
            assert_eq!(location.authority().cloud(), &expected);
            assert_eq!(found.finding().outcome, Outcome::Passed);
        }
    }
}

#[tokio::test]
async fn each_sign_in_host_is_asked_once_for_the_tenant_and_nothing_else() {
    let hosts = Hosts::new([]);
    let detection = hosts.detect("contoso.example").await;
    assert!(matches!(detection, CloudDetection::NotFound));
    assert_eq!(detection.finding().outcome, Outcome::Failed);
    let mut asked = hosts.0.asked.lock().unwrap().clone();
    asked.sort();
    let path = "/contoso.example/v2.0/.well-known/openid-configuration";
    assert_eq!(
        asked,
        [CN, COM, US, DE, FR, SG].map(|host| format!("GET https://{host}{path}"))
    );
}

#[tokio::test]
async fn a_domain_of_several_tenants_is_ambiguous_and_all_are_named() {
    let hosts = Hosts::new([
        (COM, Says::Json(200, configuration(COM, ID, GRAPH))),
        (
            US,
            Says::Json(200, configuration(US, OTHER_ID, "graph.microsoft.us")),
        ),
        (CN, Says::Fails(TransportErrorKind::Request)),
    ]);
    let detection = hosts.detect("contoso.example").await;
    let CloudDetection::Ambiguous {
        locations,
        failures,
    } = &detection
    else {
        panic!("{detection:?}");
    };
    assert_eq!(
        seen(locations),
        [
            ("public", ID.to_owned()),
            ("us-government", OTHER_ID.to_owned())
        ]
    );
    assert_eq!(hosts_of(failures), [CN]);
    let finding = detection.finding();
    assert_eq!(finding.outcome, Outcome::Failed);
    assert!(finding.detail.contains(ID) && finding.detail.contains(OTHER_ID));
    assert!(finding.remedy.unwrap().contains("tenant) id"));
}

#[tokio::test]
async fn one_tenant_that_two_hosts_know_is_one_tenant() {
    let government = || configuration(US, ID, "graph.microsoft.us");
    let hosts = Hosts::new([
        (COM, Says::Json(200, government())),
        (US, Says::Json(200, government())),
    ]);
    let detection = hosts.detect("contoso.example").await;
    assert_eq!(
        detection.location().map(|it| it.cloud.name().to_owned()),
        Some("us-government".to_owned())
    );
}

#[tokio::test]
async fn an_id_that_is_found_is_waited_for_no_longer() {
    let hosts = Hosts::new([
        (COM, Says::Nothing),
        (US, Says::Fails(TransportErrorKind::Request)),
        (
            DE,
            Says::Json(200, configuration(DE, ID, "graph.svc.sovcloud.de")),
        ),
    ]);
    let detection = hosts.detect(ID).await;
    assert_eq!(
        detection.location().map(|it| it.cloud.clone()),
        Some(Cloud::delos())
    );
    assert_eq!(detection.finding().outcome, Outcome::Passed);
}

#[tokio::test]
async fn a_host_that_cannot_be_asked_is_named_with_its_error() {
    let refusal = json!({"error": "server_error", "error_description": "AADSTS90033: busy"});
    let page = "<html>Sign in to the guest network</html>";
    for (says, expected) in [
        (Says::Fails(TransportErrorKind::Request), "Transport"),
        (Says::Fails(TransportErrorKind::Tls), "Transport"),
        (Says::Text(200, page), "Malformed"),
        (Says::Text(302, page), "Response"),
        (Says::Text(404, page), "Response"),
        (Says::Json(400, refusal), "Token"),
        (Says::Json(200, json!({"msgraph_host": GRAPH})), "Malformed"),
    ] {
        let hosts = Hosts::new([(COM, says.clone())]);
        let detection = hosts.detect("contoso.example").await;
        let CloudDetection::Undecided { failures } = &detection else {
            panic!("{says:?}: {detection:?}");
        };
        assert_eq!(hosts_of(failures), [COM], "{says:?}");
        let DetectionError::Exchange(error) = &failures[0].error else {
            panic!("{says:?}: {failures:?}");
        };
        let name = match error {
            Error::Transport { .. } => "Transport",
            Error::Malformed { .. } => "Malformed",
            Error::Response(_) => "Response",
            Error::Token(_) => "Token",
            other => panic!("{other:?}"),
        };
        assert_eq!(name, expected, "{says:?}");
        assert!(detection.finding().detail.contains(COM));

        // Where another host has the tenant, the failure is kept beside it.
        let hosts = Hosts::new([
            (COM, says),
            (
                FR,
                Says::Json(200, configuration(FR, ID, "graph.svc.sovcloud.fr")),
            ),
        ]);
        let detection = hosts.detect("contoso.example").await;
        assert_eq!(detection.finding().outcome, Outcome::Warning);
        let CloudDetection::Found { location, failures } = detection else {
            panic!("{detection:?}");
        };
        assert_eq!(location.cloud, Cloud::bleu());
        assert_eq!(hosts_of(&failures), [COM]);
    }
}

#[tokio::test]
async fn a_graph_of_no_known_cloud_is_reported_and_never_guessed() {
    let mut contradiction = configuration(COM, ID, GRAPH);
    contradiction["tenant_region_scope"] = json!("USGov");
    for (answer, graph) in [
        (
            configuration(COM, ID, "graph.microsoft.de"),
            Some("graph.microsoft.de"),
        ),
        (
            configuration(COM, ID, "graph.microsoft.com.evil.example"),
            Some("graph.microsoft.com.evil.example"),
        ),
        (json!({"issuer": format!("https://{COM}/{ID}/v2.0")}), None),
        (contradiction, Some(GRAPH)),
    ] {
        let hosts = Hosts::new([(COM, Says::Json(200, answer))]);
        let detection = hosts.detect("contoso.example").await;
        let CloudDetection::Undecided { failures } = &detection else {
            panic!("{detection:?}");
        };
        let DetectionError::UnknownGraph {
            tenant_id,
            msgraph_host,
            ..
        } = &failures[0].error
        else {
            panic!("{failures:?}");
        };
        assert_eq!(tenant_id.to_string(), ID);
        assert_eq!(msgraph_host.as_deref(), graph);
    }
}

#[tokio::test]
async fn the_answer_for_another_tenant_or_of_another_issuer_is_not_believed() {
    for (tenant, issuer) in [
        (ID, format!("https://{COM}/{OTHER_ID}/v2.0")),
        (ID, format!("https://login.evil.example/{ID}/v2.0")),
        (ID, format!("https://{US}/{ID}/v2.0")),
        (ID, "nonsense".to_owned()),
        (
            "contoso.example",
            format!("https://{COM}/{{tenantid}}/v2.0"),
        ),
    ] {
        let mut answer = configuration(COM, ID, GRAPH);
        answer["issuer"] = json!(issuer);
        let hosts = Hosts::new([(COM, Says::Json(200, answer))]);
        let detection = hosts.detect(tenant).await;
        let CloudDetection::Undecided { failures } = &detection else {
            panic!("{issuer}: {detection:?}");
        };
        assert!(matches!(
            &failures[0].error,
            DetectionError::OtherIssuer { issuer: found } if *found == issuer
        ));
    }
}

#[tokio::test]
async fn every_way_of_saying_that_a_tenant_is_not_here_is_understood() {
    for body in [
        json!({"error": "invalid_tenant", "error_description": "AADSTS90002: not found", "error_codes": [90002]}),
        json!({"error": "invalid_request", "error_description": "AADSTS90002: not found"}),
        json!({"error": "invalid_tenant", "error_description": "In other words."}),
        json!({"error": "invalid_request", "error_description": "AADSTS90038: redirected to the National Cloud"}),
    ] {
        let hosts = Hosts::new([(COM, Says::Json(400, body.clone()))]);
        let detection = hosts.detect(ID).await;
        assert!(matches!(detection, CloudDetection::NotFound), "{body}");
    }
}

#[tokio::test]
async fn what_names_no_single_tenant_is_refused_before_anybody_is_asked() {
    for tenant in ["common", "organizations", "consumers"] {
        let hosts = Hosts::new([]);
        let outcome = detect_cloud(&hosts.pipeline(), &Tenant::parse(tenant).unwrap()).await;
        assert!(matches!(outcome, Err(Error::InvalidRequest(_))), "{tenant}");
        assert!(hosts.0.asked.lock().unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_custom_cloud_is_found_among_those_that_are_named() {
    let custom = Cloud::custom("https://localhost:8443", "https://localhost:8444").unwrap();
    let hosts = Hosts::new([(
        "localhost:8443",
        Says::Json(200, configuration("localhost:8443", ID, "localhost:8444")),
    )]);
    let clouds = [Cloud::public(), custom.clone()];
    let tenant = Tenant::parse("contoso.example").unwrap();
    let detection = detect_cloud_among(&hosts.pipeline(), &tenant, &clouds)
        .await
        .unwrap();
    assert_eq!(detection.location().map(|it| &it.cloud), Some(&custom));
    assert_eq!(hosts.0.asked.lock().unwrap().len(), 2);
}

fn configuration(issuer_host: &str, id: &str, graph: &str) -> Value {
    json!({
        "issuer": format!("https://{issuer_host}/{id}/v2.0"),
        "msgraph_host": graph,
        "cloud_instance_name": "an instance",
        "token_endpoint": format!("https://{issuer_host}/{id}/oauth2/v2.0/token"),
    })
}

fn seen(locations: &[TenantLocation]) -> Vec<(&str, String)> {
    locations
        .iter()
        .map(|it| (it.cloud.name(), it.tenant_id.to_string()))
        .collect()
}

fn hosts_of(failures: &[HostFailure]) -> Vec<&str> {
    failures.iter().map(|it| it.host.as_str()).collect()
}

/// Sign-in hosts by name. One that is not named does not know any tenant.
#[derive(Clone, Debug)]
struct Hosts(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    answers: HashMap<&'static str, Says>,
    asked: Mutex<Vec<String>>,
}

#[derive(Clone, Debug)]
enum Says {
    Json(u16, Value),
    Text(u16, &'static str),
    Fails(TransportErrorKind),
    /// It never answers.
    Nothing,
}

impl Hosts {
    fn new<const N: usize>(answers: [(&'static str, Says); N]) -> Self {
        Self(Arc::new(Inner {
            answers: answers.into_iter().collect(),
            asked: Mutex::default(),
        }))
    }

    fn pipeline(&self) -> Pipeline {
        let clock = MovableClock::frozen_at(datetime!(2026-02-03 09:00 UTC));
        Pipeline::new(self.clone()).with_clock(Arc::new(clock))
    }

    async fn detect(&self, tenant: &str) -> CloudDetection {
        let tenant = Tenant::parse(tenant).unwrap();
        detect_cloud(&self.pipeline(), &tenant).await.unwrap()
    }
}

#[async_trait]
impl HttpClient for Hosts {
    async fn send(
        &self,
        request: http::Request<Bytes>,
        _: Limits,
    ) -> Result<http::Response<Bytes>, TransportError> {
        assert!(!request.headers().contains_key("authorization"));
        let asked = format!("{} {}", request.method(), request.uri());
        self.0.asked.lock().unwrap().push(asked);
        let unknown = || {
            Says::Json(
                400,
                json!({"error": "invalid_tenant", "error_description": "AADSTS90002: Not found."}),
            )
        };
        let host = request.uri().authority().unwrap().as_str();
        let says = self.0.answers.get(host).cloned().unwrap_or_else(unknown);
        let (status, body) = match says {
            Says::Json(status, body) => (status, body.to_string()),
            Says::Text(status, body) => (status, body.to_owned()),
            Says::Fails(kind) => return Err(TransportError::new(kind)),
            Says::Nothing => std::future::pending().await,
        };
        Ok(http::Response::builder()
            .status(status)
            .body(body.into())
            .unwrap())
    }
}

const ID: &str = "72f988bf-86f1-41af-91ab-2d7cd011db47";
const OTHER_ID: &str = "22222222-86f1-41af-91ab-2d7cd011db47";
const GRAPH: &str = "graph.microsoft.com";
const COM: &str = "login.microsoftonline.com";
const US: &str = "login.microsoftonline.us";
const CN: &str = "login.chinacloudapi.cn";
const FR: &str = "login.sovcloud-identity.fr";
const DE: &str = "login.sovcloud-identity.de";
const SG: &str = "login.sovcloud-identity.sg";
