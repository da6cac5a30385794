//! The token endpoint: what it accepts, and each of its refusals.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what a test cannot do fails it"
)]

mod client;

use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaEncoding, RsaKeyPair,
    RsaPublicKeyComponents,
};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use bytes::Bytes;
use client::{graph, json, token};
use entra_core::Clock;
use entra_emulator::{Emulator, Seed};
use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, DATE, WWW_AUTHENTICATE};
use http::{Request, Response};
use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256};
use serde_json::{Value, json as value};

#[test]
fn a_client_secret_yields_a_token_with_the_claims_of_version_1() {
    let emulator = emulator();
    let answer = post(&emulator, "", &secret_form(&emulator));
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()[CACHE_CONTROL], "no-store, no-cache");
    assert_eq!(answer.headers()[DATE], "Thu, 01 Jan 2026 00:00:00 GMT");
    let body = json(&answer);
    assert_eq!(body["token_type"], "Bearer");
    assert_eq!(body["expires_in"], 3599);
    assert_eq!(body["ext_expires_in"], 3599);

    let claims = claims(body["access_token"].as_str().unwrap());
    let tenant = emulator.tenant_id();
    let app = emulator.setup_app();
    assert_eq!(claims["aud"], "https://graph.microsoft.com");
    assert_eq!(claims["iss"], format!("https://sts.windows.net/{tenant}/"));
    assert_eq!(claims["nbf"], 1_767_225_300);
    assert_eq!(claims["exp"], 1_767_229_200);
    assert_eq!(claims["appid"], app.client_id);
    assert_eq!(claims["appidacr"], "1");
    assert_eq!(claims["idtyp"], "app");
    assert_eq!(claims["oid"], claims["sub"]);
    assert_eq!(claims["tid"], tenant);
    assert_eq!(claims["ver"], "1.0");
    let roles = claims["roles"].as_array().unwrap();
    assert!(roles.contains(&value!("User.Read.All")));
}

#[test]
fn the_published_key_verifies_a_token() {
    let emulator = emulator();
    let request = Request::get("/common/discovery/v2.0/keys").body(Bytes::new());
    let keys = json(&emulator.handle(&request.unwrap()));
    let key = &keys["keys"][0];
    let token = token(&emulator, &emulator.setup_app());
    let (message, signature) = token.rsplit_once('.').unwrap();
    let (header, _) = message.split_once('.').unwrap();
    let header: Value = serde_json::from_slice(&decode(header)).unwrap();
    assert_eq!(header["kid"], key["kid"]);
    let public = RsaPublicKeyComponents {
        n: decode(key["n"].as_str().unwrap()),
        e: decode(key["e"].as_str().unwrap()),
    };
    public
        .verify(
            &RSA_PKCS1_2048_8192_SHA256,
            message.as_bytes(),
            &decode(signature),
        )
        .unwrap();
}

#[test]
fn id_and_secret_may_come_by_http_basic() {
    let emulator = emulator();
    let app = emulator.setup_app();
    let secret: String =
        url::form_urlencoded::byte_serialize(app.client_secret.expose().as_bytes()).collect();
    let credentials = STANDARD.encode(format!("{}:{secret}", app.client_id));
    let request = Request::post(endpoint(&emulator, ""))
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .header(AUTHORIZATION, format!("Basic {credentials}"))
        .body(Bytes::from_static(
            b"grant_type=client_credentials&scope=https://graph.microsoft.com/.default",
        ));
    assert_eq!(emulator.handle(&request.unwrap()).status(), 200);
}

#[test]
fn a_resource_is_named_by_uri_by_app_id_and_with_a_slash_of_its_own() {
    let emulator = emulator();
    for (scope, audience) in [
        (
            "https://graph.microsoft.com/.default",
            "https://graph.microsoft.com",
        ),
        (
            "https://graph.microsoft.com//.default",
            "https://graph.microsoft.com/",
        ),
        ("https://localhost//.default", "https://localhost/"),
        (
            "00000003-0000-0000-c000-000000000000/.default",
            "00000003-0000-0000-c000-000000000000",
        ),
    ] {
        let form = changed(secret_form(&emulator), "scope", scope);
        let answer = json(&post(&emulator, "", &form));
        let token = answer["access_token"]
            .as_str()
            .unwrap_or_else(|| panic!("{scope}: {answer}"));
        assert_eq!(claims(token)["aud"], audience);
    }
}

#[test]
fn a_request_with_one_thing_wrong_is_refused_by_its_code() {
    let emulator = emulator();
    let apps = emulator.apps();
    for (name, text, status, error, code) in [
        ("grant_type", "", 400, "invalid_request", 900_144),
        (
            "grant_type",
            "telepathy",
            400,
            "unsupported_grant_type",
            70003,
        ),
        ("client_id", "", 400, "invalid_request", 900_144),
        ("client_id", NOBODY, 400, "unauthorized_client", 700_016),
        (
            "client_id",
            &apps[1].client_id,
            401,
            "invalid_client",
            7_000_215,
        ),
        ("client_secret", "", 401, "invalid_client", 7_000_216),
        ("client_secret", "wrong", 401, "invalid_client", 7_000_215),
        ("scope", "", 400, "invalid_request", 900_144),
        (
            "scope",
            "https://graph.microsoft.com/User.Read",
            400,
            "invalid_scope",
            1_002_012,
        ),
        (
            "scope",
            "a/.default b/.default",
            400,
            "invalid_scope",
            70011,
        ),
        (
            "scope",
            "https://unknown.example/.default",
            400,
            "invalid_resource",
            500_011,
        ),
    ] {
        let form = changed(secret_form(&emulator), name, text);
        let answer = post(&emulator, "", &form);
        let body = json(&answer);
        assert_eq!(answer.status(), status, "{name}={text}: {body}");
        assert_eq!(body["error"], error, "{name}={text}: {body}");
        assert_eq!(body["error_codes"], value!([code]), "{name}={text}: {body}");
    }
}

#[test]
fn a_tenant_with_another_name_is_refused_and_a_domain_of_this_one_is_not() {
    let emulator = emulator();
    let domain = emulator.domain();
    for (segment, code) in [
        (domain.as_str(), Value::Null),
        (NOBODY, value!([90002])),
        ("fabrikam.onmicrosoft.com", value!([90002])),
        ("common", value!([50059])),
        ("organizations", value!([50059])),
    ] {
        let body = json(&post(&emulator, segment, &secret_form(&emulator)));
        assert_eq!(body["error_codes"], code, "{segment}: {body}");
    }
}

#[test]
fn an_expired_secret_is_refused() {
    let emulator = emulator();
    let expired = emulator.apps().remove(2);
    let form = vec![
        ("grant_type".to_owned(), "client_credentials".to_owned()),
        ("client_id".to_owned(), expired.client_id.clone()),
        (
            "client_secret".to_owned(),
            expired.client_secret.expose().to_owned(),
        ),
        (
            "scope".to_owned(),
            "https://graph.microsoft.com/.default".to_owned(),
        ),
    ];
    assert_eq!(
        json(&post(&emulator, "", &form))["error_codes"],
        value!([7_000_222])
    );
}

#[test]
fn a_secret_ends_with_the_tenants_clock() {
    let emulator = emulator();
    let form = secret_form(&emulator);
    assert_eq!(post(&emulator, "", &form).status(), 200);
    emulator.advance(Duration::from_secs(10 * 366 * 86_400));
    assert_eq!(
        json(&post(&emulator, "", &form))["error_codes"],
        value!([7_000_222])
    );
}

#[test]
fn the_id_of_a_secret_is_not_the_secret() {
    let emulator = emulator();
    let app = emulator.setup_app();
    let token = token(&emulator, &app);
    let path = format!("/v1.0/applications/{}", app.object_id);
    let application = json(&emulator.handle(&graph(&token, "GET", &path, &Value::Null)));
    let key_id = application["passwordCredentials"][0]["keyId"]
        .as_str()
        .unwrap();
    let form = changed(secret_form(&emulator), "client_secret", key_id);
    let body = json(&post(&emulator, "", &form));
    assert_eq!(body["error_codes"], value!([7_000_215]));
    let description = body["error_description"].as_str().unwrap();
    assert!(
        description.contains("not the client secret ID"),
        "{description}"
    );
}

#[test]
fn an_app_that_is_disabled_or_has_no_service_principal_gets_no_token() {
    let emulator = emulator();
    let setup = token(&emulator, &emulator.setup_app());
    let other = emulator.apps().remove(1);
    let mut form = changed(secret_form(&emulator), "client_id", &other.client_id);
    form = changed(form, "client_secret", other.client_secret.expose());
    assert_eq!(post(&emulator, "", &form).status(), 200);

    let principal = format!("/v1.0/servicePrincipals(appId='{}')", other.client_id);
    let call = |method: &str, body: &Value| {
        let answer = emulator.handle(&graph(&setup, method, &principal, body));
        assert_eq!(answer.status(), 204, "{method}: {answer:?}");
        emulator.advance(Duration::from_secs(60));
    };
    call("PATCH", &value!({"accountEnabled": false}));
    assert_eq!(
        json(&post(&emulator, "", &form))["error_codes"],
        value!([7_000_112])
    );
    call("DELETE", &Value::Null);
    assert_eq!(
        json(&post(&emulator, "", &form))["error_codes"],
        value!([7_000_229])
    );
}

#[test]
fn a_resource_gets_the_version_of_token_that_it_asks_for() {
    let emulator = emulator();
    let setup = token(&emulator, &emulator.setup_app());
    let resource = emulator.apps().remove(1);
    let scope = format!("{}/.default", resource.client_id);
    let form = changed(secret_form(&emulator), "scope", &scope);
    let first = json(&post(&emulator, "", &form));
    let first = claims(first["access_token"].as_str().unwrap());
    assert_eq!(first["ver"], "1.0");
    assert_eq!(first["roles"], Value::Null);

    let path = format!("/v1.0/applications/{}", resource.object_id);
    let body = value!({"api": {"requestedAccessTokenVersion": 2}});
    let answer = emulator.handle(&graph(&setup, "PATCH", &path, &body));
    assert_eq!(answer.status(), 204, "{answer:?}");
    emulator.advance(Duration::from_secs(60));
    let second = json(&post(&emulator, "", &form));
    let second = claims(second["access_token"].as_str().unwrap());
    let tenant = emulator.tenant_id();
    assert_eq!(second["ver"], "2.0");
    assert_eq!(second["iss"], format!("https://localhost/{tenant}/v2.0"));
    assert_eq!(second["aud"], resource.client_id);
    assert_eq!(second["azp"], emulator.setup_app().client_id);
    assert_eq!(second["azpacr"], "1");
    assert_eq!(second["appid"], Value::Null);
}

#[test]
fn a_resource_that_requires_an_assignment_refuses_a_client_without_one() {
    let emulator = emulator();
    let setup = token(&emulator, &emulator.setup_app());
    let resource = emulator.apps().remove(1);
    let path = format!("/v1.0/servicePrincipals(appId='{}')", resource.client_id);
    let body = value!({"appRoleAssignmentRequired": true});
    let answer = emulator.handle(&graph(&setup, "PATCH", &path, &body));
    assert_eq!(answer.status(), 204, "{answer:?}");
    emulator.advance(Duration::from_secs(60));
    let scope = format!("{}/.default", resource.client_id);
    let form = changed(secret_form(&emulator), "scope", &scope);
    let body = json(&post(&emulator, "", &form));
    assert_eq!(body["error_codes"], value!([501_051]), "{body}");
    assert_eq!(body["error"], "invalid_grant");
}

#[test]
fn a_refusal_has_the_shape_of_entra() {
    let emulator = emulator();
    let request = Request::post(endpoint(&emulator, ""))
        .header("client-request-id", "6ee9ec92-6726-422a-85ce-86a1a6502800")
        .header("return-client-request-id", "true")
        .body(Bytes::new());
    let answer = emulator.handle(&request.unwrap());
    assert_eq!(answer.status(), 400);
    let trace = answer.headers()["x-ms-request-id"].to_str().unwrap();
    let echoed = &answer.headers()["client-request-id"];
    assert_eq!(echoed, "6ee9ec92-6726-422a-85ce-86a1a6502800");
    assert!(answer.headers().contains_key("x-ms-ests-server"));
    assert_eq!(
        json(&answer),
        value!({
            "error": "invalid_request",
            "error_description": format!(
                "AADSTS900144: The request body must contain the following parameter: \
                 'grant_type'. Trace ID: {trace} Correlation ID: \
                 6ee9ec92-6726-422a-85ce-86a1a6502800 Timestamp: 2026-01-01 00:00:00Z"
            ),
            "error_codes": [900_144],
            "timestamp": "2026-01-01 00:00:00Z",
            "trace_id": trace,
            "correlation_id": "6ee9ec92-6726-422a-85ce-86a1a6502800",
            "error_uri": "https://localhost/error?code=900144",
        })
    );
}

#[test]
fn a_registered_certificate_signs_in_with_either_algorithm_and_either_thumbprint() {
    let signer = Signer::registered();
    for (algorithm, thumbprint) in [
        ("PS256", "x5t#S256"),
        ("RS256", "x5t"),
        ("PS256", "x5t"),
        ("RS256", "x5t#S256"),
    ] {
        let answer = signer.post(&signer.header(algorithm, thumbprint), &signer.claims());
        let body = json(&answer);
        assert_eq!(answer.status(), 200, "{algorithm} {thumbprint}: {body}");
        assert_eq!(
            claims(body["access_token"].as_str().unwrap())["appidacr"],
            "2"
        );
    }
}

#[test]
fn an_assertion_is_accepted_in_the_forms_that_libraries_send() {
    let signer = Signer::registered();
    let header = signer.header("PS256", "x5t#S256");
    let wrapped = STANDARD.encode(&signer.certificate);
    let (first, rest) = wrapped.split_at(64);
    let mut with_x5c = header.clone();
    with_x5c["x5c"] = value!([format!("{first}\n{rest}\n")]);
    let mut only_x5c = with_x5c.clone();
    only_x5c.as_object_mut().unwrap().remove("x5t#S256");
    let mut padded = header.clone();
    padded["x5t#S256"] = value!(URL_SAFE.encode(sha256(&signer.certificate)));
    let mut fractions = signer.claims();
    fractions["nbf"] = value!(1_767_225_600.25);
    fractions["exp"] = value!(1_767_226_200.75);
    let mut without_nbf = signer.claims();
    without_nbf.as_object_mut().unwrap().remove("nbf");
    let mut issuer_audience = signer.claims();
    issuer_audience["aud"] = value!(format!(
        "https://localhost/{}/v2.0",
        signer.emulator.tenant_id()
    ));
    for (header, claims) in [
        (&with_x5c, &signer.claims()),
        (&only_x5c, &signer.claims()),
        (&padded, &signer.claims()),
        (&header, &fractions),
        (&header, &without_nbf),
        (&header, &issuer_audience),
    ] {
        let answer = signer.post(header, claims);
        assert_eq!(answer.status(), 200, "{header} {claims}: {}", json(&answer));
    }
}

#[test]
fn an_assertion_with_one_thing_wrong_is_refused_by_its_code() {
    let signer = Signer::registered();
    for (part, name, wrong, code) in [
        ("header", "alg", value!("none"), 50027),
        ("header", "alg", value!("HS256"), 50027),
        ("header", "x5t#S256", value!("****"), 50027),
        ("header", "x5t#S256", Value::Null, 50027),
        (
            "header",
            "x5t#S256",
            value!(URL_SAFE_NO_PAD.encode([0; 32])),
            700_027,
        ),
        ("claims", "iss", value!(NOBODY), 700_021),
        ("claims", "sub", value!(NOBODY), 700_021),
        (
            "claims",
            "aud",
            value!("https://localhost/other/oauth2/v2.0/token"),
            700_023,
        ),
        (
            "claims",
            "aud",
            value!("https://login.microsoftonline.com/"),
            700_023,
        ),
        ("claims", "nbf", value!(1_767_225_600 + 301), 700_024),
        ("claims", "exp", value!(1_767_225_600 - 301), 700_024),
        ("claims", "exp", value!(1e300), 50027),
        ("claims", "exp", Value::Null, 50027),
    ] {
        let (mut header, mut claims) = (signer.header("PS256", "x5t#S256"), signer.claims());
        let changed = if part == "header" {
            &mut header
        } else {
            &mut claims
        };
        changed[name] = wrong.clone();
        let answer = signer.post(&header, &claims);
        let body = json(&answer);
        assert_eq!(
            body["error_codes"],
            value!([code]),
            "{name}={wrong}: {body}"
        );
        let expected = match code {
            50027 => ("invalid_request", 400),
            _ => ("invalid_client", 401),
        };
        assert_eq!(body["error"], expected.0, "{name}={wrong}: {body}");
        assert_eq!(answer.status(), expected.1, "{name}={wrong}: {body}");
    }
}

#[test]
fn a_signature_by_another_key_or_over_another_text_is_refused() {
    let signer = Signer::registered();
    let assertion = signer.sign(&signer.header("PS256", "x5t#S256"), &signer.claims());
    let (message, signature) = assertion.rsplit_once('.').unwrap();
    let (header, _) = message.split_once('.').unwrap();
    let mut later = signer.claims();
    later["exp"] = value!(1_767_226_201);
    let other = format!(
        "{header}.{}.{signature}",
        URL_SAFE_NO_PAD.encode(later.to_string())
    );
    let stranger = Signer::new(signer.emulator.clone());
    let foreign = stranger.sign(&signer.header("PS256", "x5t#S256"), &signer.claims());
    for assertion in [other, foreign] {
        let body = json(&signer.post_assertion(&assertion));
        assert_eq!(body["error_codes"], value!([700_027]), "{body}");
        let description = body["error_description"].as_str().unwrap();
        assert!(
            description.contains("verify the signature failed"),
            "{description}"
        );
    }
    for broken in ["", "a.b", "a.b.c", "…"] {
        let body = json(&signer.post_assertion(broken));
        assert_ne!(body["error_codes"], Value::Null, "{broken}: {body}");
    }
}

#[test]
fn graph_refuses_a_token_that_is_missing_changed_expired_or_for_another_resource() {
    let emulator = emulator();
    let good = token(&emulator, &emulator.setup_app());
    let (rest, signature) = good.rsplit_once('.').unwrap();
    let foreign = {
        let form = changed(
            secret_form(&emulator),
            "scope",
            "00000002-0000-0000-c000-000000000000/.default",
        );
        let answer = json(&post(&emulator, "", &form));
        answer["access_token"].as_str().unwrap().to_owned()
    };
    let claims = rest.split_once('.').unwrap().1;
    let unsigned = format!(
        "{}.{claims}.",
        URL_SAFE_NO_PAD.encode(r#"{"alg":"none","kid":""}"#)
    );
    let changed = format!("{}.{signature}", rest.replace('A', "B"));
    for (token, message) in [
        ("", "Access token is empty."),
        ("abc", "IDX14100: JWT is not well formed"),
        (&unsigned, "Signature is invalid"),
        (&changed, ""),
        (
            &foreign,
            "Access token validation failure. Invalid audience.",
        ),
    ] {
        refused_by_graph(&emulator, token, message);
    }
    let users = graph(&good, "GET", "/v1.0/users", &Value::Null);
    assert_eq!(emulator.handle(&users).status(), 200);
    emulator.advance(Duration::from_secs(3600 + 300));
    refused_by_graph(
        &emulator,
        &good,
        "Lifetime validation failed, the token is expired.",
    );
}

fn refused_by_graph(emulator: &Emulator, token: &str, message: &str) {
    let answer = emulator.handle(&graph(token, "GET", "/v1.0/users", &Value::Null));
    assert_eq!(answer.status(), 401, "{message}");
    let challenge = answer.headers()[WWW_AUTHENTICATE].to_str().unwrap();
    assert!(challenge.starts_with("Bearer realm=\"\", authorization_uri="));
    let body = json(&answer);
    assert_eq!(body["error"]["code"], "InvalidAuthenticationToken");
    let found = body["error"]["message"].as_str().unwrap();
    assert!(found.starts_with(message), "{found}");
}

/// A key, its certificate, and the set-up application that it is registered on.
struct Signer {
    emulator: Emulator,
    key: RsaKeyPair,
    certificate: Vec<u8>,
}

impl Signer {
    fn new(emulator: Emulator) -> Self {
        let key = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
        let mut params = CertificateParams::default();
        let now = emulator.clock().now();
        params.not_before = now - time::Duration::days(1);
        params.not_after = now + time::Duration::days(300);
        Self {
            emulator,
            certificate: params.self_signed(&key).unwrap().der().to_vec(),
            key: RsaKeyPair::from_pkcs8(&key.serialize_der()).unwrap(),
        }
    }

    fn registered() -> Self {
        let signer = Self::new(Emulator::new(
            Seed::new().with_replication_delay(Duration::ZERO),
        ));
        let app = signer.emulator.setup_app();
        let token = token(&signer.emulator, &app);
        let credential = value!({
            "type": "AsymmetricX509Cert",
            "usage": "Verify",
            "key": STANDARD.encode(&signer.certificate),
        });
        let path = format!("/v1.0/applications/{}", app.object_id);
        let body = value!({"keyCredentials": [credential]});
        let answer = signer
            .emulator
            .handle(&graph(&token, "PATCH", &path, &body));
        assert_eq!(answer.status(), 204, "{answer:?}");
        signer
    }

    fn header(&self, algorithm: &str, thumbprint: &str) -> Value {
        let x5t = match thumbprint {
            "x5t" => URL_SAFE_NO_PAD.encode(aws_lc_rs::digest::digest(
                &aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY,
                &self.certificate,
            )),
            _ => URL_SAFE_NO_PAD.encode(sha256(&self.certificate)),
        };
        value!({"typ": "JWT", "alg": algorithm, thumbprint: x5t})
    }

    fn claims(&self) -> Value {
        let client_id = self.emulator.setup_app().client_id;
        value!({
            "aud": format!("https://localhost{}", endpoint(&self.emulator, "")),
            "iss": client_id,
            "sub": client_id,
            "jti": "1",
            "nbf": 1_767_225_600,
            "exp": 1_767_226_200,
        })
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        let mut assertion = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(header.to_string()),
            URL_SAFE_NO_PAD.encode(claims.to_string())
        );
        let padding: &dyn RsaEncoding = if header["alg"] == "RS256" {
            &RSA_PKCS1_SHA256
        } else {
            &RSA_PSS_SHA256
        };
        let mut signature = vec![0; self.key.public_modulus_len()];
        self.key
            .sign(
                padding,
                &SystemRandom::new(),
                assertion.as_bytes(),
                &mut signature,
            )
            .unwrap();
        assertion.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut assertion);
        assertion
    }

    fn post(&self, header: &Value, claims: &Value) -> Response<Bytes> {
        self.post_assertion(&self.sign(header, claims))
    }

    fn post_assertion(&self, assertion: &str) -> Response<Bytes> {
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", &self.emulator.setup_app().client_id),
            (
                "client_assertion_type",
                "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            ),
            ("client_assertion", assertion),
            ("scope", "https://graph.microsoft.com/.default"),
        ]
        .map(|(name, text)| (name.to_owned(), text.to_owned()));
        post(&self.emulator, "", &form)
    }
}

fn emulator() -> Emulator {
    Emulator::new(Seed::new())
}

fn endpoint(emulator: &Emulator, segment: &str) -> String {
    let tenant = emulator.tenant_id();
    let segment = if segment.is_empty() { &tenant } else { segment };
    format!("/{segment}/oauth2/v2.0/token")
}

fn secret_form(emulator: &Emulator) -> Vec<(String, String)> {
    let app = emulator.setup_app();
    [
        ("grant_type", "client_credentials"),
        ("client_id", &app.client_id),
        ("client_secret", app.client_secret.expose()),
        ("scope", "https://graph.microsoft.com/.default"),
    ]
    .map(|(name, text)| (name.to_owned(), text.to_owned()))
    .to_vec()
}

/// The form with one parameter set, or removed by an empty text.
fn changed(mut form: Vec<(String, String)>, name: &str, text: &str) -> Vec<(String, String)> {
    form.retain(|(known, _)| known != name);
    if !text.is_empty() {
        form.push((name.to_owned(), text.to_owned()));
    }
    form
}

fn post(emulator: &Emulator, segment: &str, form: &[(String, String)]) -> Response<Bytes> {
    let body = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(form)
        .finish();
    let request = Request::post(endpoint(emulator, segment))
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Bytes::from(body));
    emulator.handle(&request.unwrap())
}

fn claims(token: &str) -> Value {
    serde_json::from_slice(&decode(token.split('.').nth(1).unwrap())).unwrap()
}

fn decode(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).unwrap()
}

fn sha256(bytes: &[u8]) -> Vec<u8> {
    aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes)
        .as_ref()
        .to_vec()
}

const NOBODY: &str = "99999999-9999-4999-8999-999999999999";
