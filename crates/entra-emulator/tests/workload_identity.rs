//! Workload identity federation: a Kubernetes cluster and a managed identity as credentials.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod client;

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use client::{graph, json, token};
use entra_core::Secret;
use entra_emulator::{Cluster, Emulator, Seed};
use http::header::CONTENT_TYPE;
use http::{Request, Response};
use serde_json::{Value, json as value};

const EXCHANGE: &str = "api://AzureADTokenExchange";

#[test]
fn a_service_account_signs_in_as_the_application_that_trusts_it() {
    let home = Home::new();
    home.trust_cluster();
    let answer = home.sign_in(&home.tenant.cluster().token("shop", "api", EXCHANGE));
    assert_eq!(answer.status(), 200);
    let claims = claims(&json(&answer)["access_token"]);
    assert_eq!(claims["appid"], home.client_id);
    assert_eq!(claims["appidacr"], "2");
    assert_eq!(claims["roles"], value!(["User.Read.All"]));
}

#[test]
fn a_managed_identity_signs_in_as_the_application_that_trusts_it() {
    let home = Home::new();
    let worker = home.tenant.managed_identities()[1].clone();
    let issuer = format!("https://localhost/{}/v2.0", home.tenant.tenant_id());
    home.trust("msi", &issuer, &worker.object_id, EXCHANGE);
    let assertion = home.token_of_identity(&worker.client_id);
    let claims = claims(&value!(assertion.expose()));
    for (claim, expected) in [
        ("aud", "fb60f99c-7a34-4190-8149-302f77469936"),
        ("iss", &issuer),
        ("sub", &worker.object_id),
        ("oid", &worker.object_id),
        ("azp", &worker.client_id),
        ("ver", "2.0"),
    ] {
        assert_eq!(claims[claim], expected, "{claim}");
    }
    assert_eq!(home.sign_in(&assertion).status(), 200);
}

#[test]
fn what_does_not_match_is_refused_by_what_does_not_match() {
    let home = Home::new();
    let cluster = home.tenant.cluster();
    let token = cluster.token("shop", "api", EXCHANGE);
    let nothing = format!(
        "The client '{}'(Staff Directory) has no configured federated identity credentials.",
        home.client_id
    );
    home.refused(&token, (401, "invalid_client", 70_025), &nothing);

    home.trust_cluster();
    let advice = "Check your federated identity credential Subject, Audience and Issuer against \
                  the presented assertion. \
                  https://learn.microsoft.com/entra/workload-id/workload-identity-federation";
    let slash = cluster.clone().with_issuer("https://localhost/_cluster/");
    for (assertion, code, text) in [
        (
            slash.token("shop", "api", EXCHANGE),
            700_211,
            format!("issuer 'https://localhost/_cluster/'. {advice}"),
        ),
        (
            cluster.token("shop", "api", "api://other"),
            700_212,
            format!("audience 'api://other'. {advice}"),
        ),
        (
            cluster.token("shop", "web", EXCHANGE),
            700_213,
            format!("subject 'system:serviceaccount:shop:web'. {advice}"),
        ),
        (
            cluster.token("Shop", "api", EXCHANGE),
            7_002_138,
            "subject 'system:serviceaccount:Shop:api'. The subject matches with case-insensitive \
             comparison, but not with case-sensitive comparison. \
             https://learn.microsoft.com/entra/workload-id/workload-identity-federation"
                .to_owned(),
        ),
    ] {
        let text =
            format!("No matching federated identity record found for presented assertion {text}");
        home.refused(&assertion, (401, "invalid_client", code), &text);
    }
}

#[test]
fn another_managed_identity_than_the_trusted_one_is_refused() {
    let home = Home::new();
    let [system, worker] = home.tenant.managed_identities().try_into().unwrap();
    let issuer = format!("https://localhost/{}/v2.0", home.tenant.tenant_id());
    home.trust("msi", &issuer, &worker.object_id, EXCHANGE);
    let answer = home.sign_in(&home.token_of_identity(&system.client_id));
    assert_eq!(json(&answer)["error_codes"], value!([7_002_137]));
}

#[test]
fn a_managed_identity_is_trusted_for_the_exchange_alone() {
    let home = Home::new();
    let worker = home.tenant.managed_identities()[1].clone();
    let issuer = format!("https://localhost/{}/v2.0", home.tenant.tenant_id());
    home.trust("msi", &issuer, &worker.object_id, "api://other");
    let answer = home.sign_in(&home.token_of_identity(&worker.client_id));
    assert_eq!(json(&answer)["error_codes"], value!([700_214]));
}

#[test]
fn an_assertion_is_refused_outside_its_time() {
    let home = Home::new();
    home.trust_cluster();
    let assertion = home.tenant.cluster().token("shop", "api", EXCHANGE);
    home.tenant.advance(Duration::from_secs(3_600 + 301));
    let answer = home.sign_in(&assertion);
    assert_eq!(answer.status(), 401);
    assert_eq!(json(&answer)["error_codes"], value!([700_024]));
}

#[test]
fn an_issuer_that_cannot_be_reached_is_no_help() {
    let home = Home::new();
    let issuer = "https://cluster.internal.example";
    home.trust(
        "private",
        issuer,
        "system:serviceaccount:shop:api",
        EXCHANGE,
    );
    let cluster = home.tenant.cluster().with_issuer(issuer);
    home.refused(
        &cluster.token("shop", "api", EXCHANGE),
        (400, "invalid_request", 50_166),
        "Request to External OIDC endpoint failed.",
    );
}

#[test]
fn a_key_that_the_issuer_does_not_publish_is_refused() {
    let home = Home::new();
    home.trust_cluster();
    let token = home.tenant.cluster().token("shop", "api", EXCHANGE);
    let (_, rest) = token.expose().split_once('.').unwrap();
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"RS256","kid":"other"}"#);
    home.refused(
        &Secret::new(format!("{header}.{rest}")),
        (401, "invalid_client", 7_000_272),
        "The certificate with identifier other used to sign the federated credential could not be \
         found in the metadata of identity provider https://localhost/_cluster. Please validate \
         that your Identity Provider's metadata exposes the key used to sign the incoming token.",
    );
}

#[test]
fn claims_that_were_changed_are_refused() {
    let home = Home::new();
    home.trust_cluster();
    let cluster = home.tenant.cluster();
    let own = cluster.token("shop", "web", EXCHANGE);
    let wanted = cluster.token("shop", "api", EXCHANGE);
    let parts =
        |token: &Secret| -> Vec<String> { token.expose().split('.').map(str::to_owned).collect() };
    let forged = [&parts(&own)[0], &parts(&wanted)[1], &parts(&own)[2]];
    let forged = Secret::new(forged.map(String::as_str).join("."));
    home.refused(
        &forged,
        (400, "invalid_request", 50_027),
        "JWT token is invalid or malformed. The signature does not verify.",
    );
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#);
    let unsigned = Secret::new([header.as_str(), &parts(&wanted)[1], ""].join("."));
    home.refused(
        &unsigned,
        (400, "invalid_request", 50_027),
        "JWT token is invalid or malformed. The algorithm of the signature is not supported.",
    );
}

#[test]
fn trust_that_is_withdrawn_ends() {
    let home = Home::new();
    home.trust_cluster();
    let path = format!(
        "/v1.0/applications/{}/federatedIdentityCredentials/cluster",
        home.object_id
    );
    let gone = home
        .tenant
        .handle(&graph(&home.admin, "DELETE", &path, &Value::Null));
    assert_eq!(gone.status(), 204);
    let answer = home.sign_in(&home.tenant.cluster().token("shop", "api", EXCHANGE));
    assert_eq!(json(&answer)["error_codes"], value!([70_025]));
}

/// The discovery document leads to the key that verifies the cluster's tokens.
#[test]
fn the_cluster_publishes_its_issuer_and_its_key() {
    let tenant = Emulator::new(Seed::new());
    let get = |path: &str| {
        let answer = tenant.handle(&Request::get(path).body(Bytes::new()).unwrap());
        assert_eq!(answer.status(), 200, "{path}");
        json(&answer)
    };
    let issuer = tenant.cluster().issuer().to_owned();
    assert_eq!(
        get("/_cluster/.well-known/openid-configuration"),
        value!({
            "issuer": issuer,
            "jwks_uri": "https://localhost/_cluster/openid/v1/jwks",
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
        })
    );
    let key = get("/_cluster/openid/v1/jwks")["keys"][0].clone();
    let names: Vec<&String> = key.as_object().unwrap().keys().collect();
    assert_eq!(names, ["alg", "e", "kid", "kty", "n", "use"]);
    let part = |name: &str| URL_SAFE_NO_PAD.decode(key[name].as_str().unwrap()).unwrap();
    let public = aws_lc_rs::signature::RsaPublicKeyComponents {
        n: part("n"),
        e: part("e"),
    };
    let token = tenant.cluster().token("shop", "api", EXCHANGE);
    let (message, signature) = token.expose().rsplit_once('.').unwrap();
    let algorithm = &aws_lc_rs::signature::RSA_PKCS1_2048_8192_SHA256;
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    public
        .verify(algorithm, message.as_bytes(), &signature)
        .unwrap();
    let stray = Request::get("/_cluster/api").body(Bytes::new()).unwrap();
    assert_eq!(tenant.handle(&stray).status(), 404);
}

#[test]
fn a_token_of_a_service_account_is_had_over_http() {
    let home = Home::new();
    home.trust_cluster();
    let body = value!({"namespace": "shop", "service_account": "api", "audience": EXCHANGE});
    let request = Request::post("/_emulator/cluster/token").body(Bytes::from(body.to_string()));
    let answer = json(&home.tenant.handle(&request.unwrap()));
    assert_eq!(answer["issuer"], "https://localhost/_cluster");
    assert_eq!(answer["subject"], "system:serviceaccount:shop:api");
    let token = Secret::new(answer["token"].as_str().unwrap());
    assert_eq!(home.sign_in(&token).status(), 200);
}

/// A tenant with an application of one permission.
struct Home {
    tenant: Emulator,
    admin: String,
    client_id: String,
    object_id: String,
}

impl Home {
    fn new() -> Self {
        let tenant = Emulator::new(Seed::new().with_replication_delay(Duration::ZERO));
        let admin = token(&tenant, &tenant.setup_app());
        let app = tenant.apps()[1].clone();
        Self {
            tenant,
            admin,
            client_id: app.client_id,
            object_id: app.object_id,
        }
    }

    fn trust(&self, name: &str, issuer: &str, subject: &str, audience: &str) {
        let path = format!(
            "/v1.0/applications/{}/federatedIdentityCredentials",
            self.object_id
        );
        let body = value!({"name": name, "issuer": issuer, "subject": subject,
            "audiences": [audience]});
        let made = self
            .tenant
            .handle(&graph(&self.admin, "POST", &path, &body));
        assert_eq!(made.status(), 201, "{:?}", made.body());
    }

    fn trust_cluster(&self) {
        let cluster = self.tenant.cluster();
        let subject = Cluster::subject("shop", "api");
        self.trust("cluster", cluster.issuer(), &subject, EXCHANGE);
    }

    fn token_of_identity(&self, client_id: &str) -> Secret {
        let path = format!(
            "/metadata/identity/oauth2/token?api-version=2018-02-01&resource={EXCHANGE}\
             &client_id={client_id}"
        );
        let request = Request::get(path).header("Metadata", "true");
        let answer = self.tenant.handle(&request.body(Bytes::new()).unwrap());
        Secret::new(json(&answer)["access_token"].as_str().unwrap())
    }

    fn sign_in(&self, assertion: &Secret) -> Response<Bytes> {
        let body = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "client_credentials")
            .append_pair("client_id", &self.client_id)
            .append_pair(
                "client_assertion_type",
                "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            )
            .append_pair("client_assertion", assertion.expose())
            .append_pair("scope", &self.tenant.cloud().graph_scope())
            .finish();
        let request = Request::post(format!("/{}/oauth2/v2.0/token", self.tenant.tenant_id()))
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Bytes::from(body));
        self.tenant.handle(&request.unwrap())
    }

    fn refused(&self, assertion: &Secret, (status, error, code): (u16, &str, u32), text: &str) {
        let answer = self.sign_in(assertion);
        assert_eq!(answer.status(), status, "{code}");
        let answer = json(&answer);
        assert_eq!(answer["error"], error, "{code}");
        assert_eq!(answer["error_codes"], value!([code]));
        let description = answer["error_description"].as_str().unwrap();
        let (message, _) = description.split_once(" Trace ID: ").unwrap();
        assert_eq!(message, format!("AADSTS{code}: {text}"));
    }
}

fn claims(token: &Value) -> Value {
    let payload = token.as_str().unwrap().split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}
