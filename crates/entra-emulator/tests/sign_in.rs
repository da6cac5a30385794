//! Discovery, keys, the resource manager's few answers, and paths that are not spoken.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "what a test cannot do fails it"
)]

mod client;

use bytes::Bytes;
use client::{graph, json, token};
use entra_emulator::{Emulator, Seed};
use http::{Request, Response};
use serde_json::{Value, json as value};

#[test]
fn the_configuration_names_the_tenant_by_id_however_it_was_asked_for() {
    let emulator = emulator();
    let tenant = emulator.tenant_id();
    for segment in [&tenant, &emulator.domain(), &tenant.to_uppercase()] {
        let document = configuration(&emulator, segment);
        let base = format!("https://localhost:8443/{tenant}");
        assert_eq!(document["issuer"], format!("{base}/v2.0"));
        assert_eq!(
            document["token_endpoint"],
            format!("{base}/oauth2/v2.0/token")
        );
        assert_eq!(document["jwks_uri"], format!("{base}/discovery/v2.0/keys"));
        assert_eq!(document["tenant_region_scope"], "EU");
        assert_eq!(document["msgraph_host"], "localhost:8443");
        assert_eq!(document["cloud_instance_name"], "localhost:8443");
    }
}

#[test]
fn the_configuration_for_several_tenants_has_a_placeholder_in_its_issuer() {
    let emulator = emulator();
    for segment in ["common", "organizations"] {
        let document = configuration(&emulator, segment);
        assert_eq!(document["issuer"], "https://localhost:8443/{tenantid}/v2.0");
        assert_eq!(
            document["token_endpoint"],
            format!("https://localhost:8443/{segment}/oauth2/v2.0/token")
        );
        assert_eq!(document["tenant_region_scope"], Value::Null);
    }
}

#[test]
fn the_configuration_has_the_members_of_entras_and_no_other() {
    let emulator = emulator();
    let document = configuration(&emulator, &emulator.tenant_id());
    let mut names: Vec<&String> = document.as_object().unwrap().keys().collect();
    names.sort();
    // Neither `code_challenge_methods_supported` nor
    // `authorization_response_iss_parameter_supported`, although codes have challenges.
    assert_eq!(
        names,
        [
            "authorization_endpoint",
            "claims_supported",
            "cloud_graph_host_name",
            "cloud_instance_name",
            "device_authorization_endpoint",
            "end_session_endpoint",
            "frontchannel_logout_supported",
            "http_logout_supported",
            "id_token_signing_alg_values_supported",
            "issuer",
            "jwks_uri",
            "kerberos_endpoint",
            "msgraph_host",
            "rbac_url",
            "request_uri_parameter_supported",
            "response_modes_supported",
            "response_types_supported",
            "scopes_supported",
            "subject_types_supported",
            "tenant_region_scope",
            "token_endpoint",
            "token_endpoint_auth_methods_supported",
            "userinfo_endpoint",
        ]
    );
    assert_eq!(
        document["response_modes_supported"],
        value!(["query", "fragment", "form_post"])
    );
    assert_eq!(
        document["userinfo_endpoint"],
        "https://localhost:8443/oidc/userinfo"
    );
}

#[test]
fn instance_discovery_knows_this_host_and_no_other() {
    let emulator = emulator();
    let ask = |endpoint: &str| {
        get(
            &emulator,
            &format!(
                "/common/discovery/instance?api-version=1.1&authorization_endpoint={endpoint}"
            ),
        )
    };
    let answer = json(&ask(
        "https%3A%2F%2Flocalhost%3A8443%2Ft%2Foauth2%2Fv2.0%2Fauthorize",
    ));
    assert_eq!(
        answer,
        value!({
            "tenant_discovery_endpoint":
                "https://localhost:8443/t/v2.0/.well-known/openid-configuration",
            "api-version": "1.1",
            "metadata": [{
                "preferred_network": "localhost:8443",
                "preferred_cache": "localhost:8443",
                "aliases": ["localhost:8443"],
            }],
        })
    );
    for unknown in [
        "https://login.example:8443/t/oauth2/v2.0/authorize",
        "nonsense",
    ] {
        let answer = ask(unknown);
        assert_eq!(answer.status(), 400);
        assert_eq!(json(&answer)["error"], "invalid_instance");
    }
}

#[test]
fn the_resource_manager_describes_itself_and_wants_a_token_for_the_rest() {
    let emulator = emulator();
    let metadata = json(&get(
        &emulator,
        "//metadata/endpoints?api-version=2022-09-01",
    ));
    assert_eq!(metadata["resourceManager"], "https://localhost:8443/");
    assert_eq!(
        metadata["authentication"]["loginEndpoint"],
        "https://localhost:8443/"
    );

    let token = token(&emulator, &emulator.setup_app());
    for (path, values) in [("/subscriptions", 0), ("/tenants", 1)] {
        let path = format!("{path}?api-version=2022-12-01");
        let refused = get(&emulator, &path);
        assert_eq!(refused.status(), 401);
        assert_eq!(
            json(&refused)["error"]["code"],
            "InvalidAuthenticationToken"
        );
        let answer = emulator.handle(&graph(&token, "GET", &path, &Value::Null));
        assert_eq!(answer.status(), 200);
        assert_eq!(json(&answer)["value"].as_array().unwrap().len(), values);
    }
}

#[test]
fn an_unknown_tenant_is_refused_and_an_unknown_path_says_so() {
    let emulator = emulator();
    for path in [
        "v2.0/.well-known/openid-configuration",
        "discovery/v2.0/keys",
    ] {
        let answer = get(&emulator, &format!("/fabrikam.onmicrosoft.com/{path}"));
        assert_eq!(answer.status(), 400);
        assert_eq!(json(&answer)["error_codes"], value!([90002]));
    }
    for path in [
        "/",
        "/common",
        "/common/oauth2/token",
        "/v1.1/users",
        "/common/oauth2/v2.0/token",
    ] {
        let answer = get(&emulator, path);
        assert_eq!(answer.status(), 404);
        let text = json(&answer)["error_description"]
            .as_str()
            .unwrap()
            .to_owned();
        assert_eq!(text, format!("the local tenant does not speak GET {path}"));
    }
}

fn emulator() -> Emulator {
    Emulator::new(Seed::new())
        .with_origin("https://localhost:8443")
        .unwrap()
}

fn configuration(emulator: &Emulator, segment: &str) -> Value {
    let path = format!("/{segment}/v2.0/.well-known/openid-configuration");
    let answer = get(emulator, &path);
    assert_eq!(answer.status(), 200);
    json(&answer)
}

fn get(emulator: &Emulator, path: &str) -> Response<Bytes> {
    // A path with two slashes is not the start of a URI, so the host is spelt out.
    let request = Request::get(format!("https://localhost:8443{path}")).body(Bytes::new());
    emulator.handle(&request.unwrap())
}
