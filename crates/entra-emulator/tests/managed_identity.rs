//! Tokens of managed identities: from a virtual machine, from App Service, from Azure Arc.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod client;

use std::path::PathBuf;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use client::{graph, json, token};
use entra_emulator::{Emulator, Fault, FaultRule, Seed};
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{Request, Response};
use serde_json::{Value, json as value};

const IMDS: &str =
    "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https://graph.microsoft.com";
const APP_SERVICE: &str = "/msi/token?api-version=2019-08-01&resource=https://graph.microsoft.com/";
const ARC: &str =
    "/metadata/identity/oauth2/token?api-version=2020-06-01&resource=https://graph.microsoft.com";
const METADATA: &[(&str, &str)] = &[("Metadata", "true")];

#[test]
fn a_virtual_machine_gets_a_token_of_the_identity_that_the_system_assigned() {
    let tenant = tenant();
    let identity = &tenant.managed_identities()[0];
    let answer = get(&tenant, IMDS, METADATA);
    assert_eq!(answer.status(), 200);
    let answer = json(&answer);
    let access_token = answer["access_token"].clone();
    assert_eq!(
        answer,
        value!({
            "access_token": access_token,
            "client_id": identity.client_id,
            "expires_in": "86399",
            "expires_on": "1767312000",
            "ext_expires_in": "86399",
            "not_before": "1767225300",
            "resource": "https://graph.microsoft.com",
            "token_type": "Bearer",
        })
    );
    let claims = claims(&access_token);
    for (claim, expected) in [
        ("aud", value!("https://graph.microsoft.com")),
        ("ver", value!("1.0")),
        ("appid", value!(identity.client_id)),
        ("appidacr", value!("2")),
        ("idtyp", value!("app")),
        ("oid", value!(identity.object_id)),
        ("sub", value!(identity.object_id)),
        ("exp", value!(1_767_312_000)),
        ("xms_mirid", value!(identity.resource_id)),
    ] {
        assert_eq!(claims[claim], expected, "{claim}");
    }
    assert!(claims.get("roles").is_none());
}

#[test]
fn an_identity_is_chosen_by_any_of_its_ids() {
    let tenant = tenant();
    let worker = &tenant.managed_identities()[1];
    for (name, id) in [
        ("client_id", &worker.client_id),
        ("object_id", &worker.object_id),
        ("msi_res_id", &worker.resource_id),
    ] {
        let answer = json(&get(&tenant, &format!("{IMDS}&{name}={id}"), METADATA));
        assert_eq!(answer["client_id"], worker.client_id, "{name}");
    }
    let header = tenant.identity_header();
    let headers = [("X-IDENTITY-HEADER", header.expose())];
    for (name, id) in [
        ("client_id", &worker.client_id),
        ("principal_id", &worker.object_id),
        ("object_id", &worker.object_id),
        ("mi_res_id", &worker.resource_id),
    ] {
        let answer = json(&get(
            &tenant,
            &format!("{APP_SERVICE}&{name}={id}"),
            &headers,
        ));
        assert_eq!(answer["client_id"], worker.client_id, "{name}");
    }
}

#[test]
fn an_app_role_that_is_assigned_opens_the_door() {
    let tenant = tenant();
    let worker = tenant.managed_identities()[1].clone();
    let path = format!("{IMDS}&client_id={}", worker.client_id);
    let fresh = || {
        let answer = json(&get(&tenant, &path, METADATA));
        answer["access_token"].as_str().unwrap().to_owned()
    };
    let groups = |token: &str| {
        let request = graph(token, "GET", "/v1.0/groups", &Value::Null);
        tenant.handle(&request).status()
    };
    assert_eq!(groups(&fresh()), 403);
    let admin = token(&tenant, &tenant.setup_app());
    let graph_app = "/v1.0/servicePrincipals(appId='00000003-0000-0000-c000-000000000000')";
    let graph_app = json(&tenant.handle(&graph(&admin, "GET", graph_app, &Value::Null)));
    let roles = graph_app["appRoles"].as_array().unwrap();
    let role = roles.iter().find(|role| role["value"] == "Group.Read.All");
    let body = value!({"principalId": worker.object_id, "resourceId": graph_app["id"],
        "appRoleId": role.unwrap()["id"]});
    let path = format!(
        "/v1.0/servicePrincipals/{}/appRoleAssignments",
        worker.object_id
    );
    assert_eq!(
        tenant.handle(&graph(&admin, "POST", &path, &body)).status(),
        201
    );
    assert_eq!(groups(&fresh()), 200);
}

#[test]
fn a_token_lives_for_a_day() {
    let tenant = tenant();
    let answer = json(&get(&tenant, IMDS, METADATA));
    let own = answer["access_token"].as_str().unwrap();
    let status = |path: &str| {
        let request = graph(own, "GET", path, &Value::Null);
        tenant.handle(&request).status()
    };
    tenant.advance(Duration::from_secs(86_000));
    assert_eq!(status("/v1.0/users"), 403);
    tenant.advance(Duration::from_secs(900));
    assert_eq!(status("/v1.0/users"), 401);
}

#[test]
fn the_metadata_service_says_what_is_wrong() {
    let tenant = tenant();
    let graph = "resource=https://graph.microsoft.com";
    let base = "/metadata/identity/oauth2/token";
    let worker = tenant.managed_identities()[1].clone();
    let both = format!(
        "{IMDS}&client_id={}&object_id={}",
        worker.client_id, worker.object_id
    );
    for (path, headers, error, text) in [
        (
            IMDS,
            &[][..],
            "bad_request_102",
            "Required metadata header not specified",
        ),
        (
            IMDS,
            &[("Metadata", "True")],
            "bad_request_102",
            "Required metadata header not specified",
        ),
        (
            &format!("{base}?{graph}"),
            METADATA,
            "invalid_request",
            "The api-version is missing or not supported",
        ),
        (
            &format!("{base}?api-version=2017-08-01&{graph}"),
            METADATA,
            "invalid_request",
            "The api-version is missing or not supported",
        ),
        (
            &format!("{base}?api-version=2018-02-01"),
            METADATA,
            "invalid_request",
            "Required query variable 'resource' is missing",
        ),
        (
            &format!("{IMDS}&client_id=99999999-9999-4999-8999-999999999999"),
            METADATA,
            "invalid_request",
            "Identity not found",
        ),
        (
            &both,
            METADATA,
            "invalid_request",
            "Only one of client_id, object_id and the resource id may be given",
        ),
    ] {
        let answer = get(&tenant, path, headers);
        assert_eq!(answer.status(), 400, "{path}");
        let expected = value!({"error": error, "error_description": text});
        assert_eq!(json(&answer), expected, "{path}");
    }
    let request = Request::post(IMDS).body(Bytes::new()).unwrap();
    assert_eq!(tenant.handle(&request).status(), 405);
}

#[test]
fn an_unknown_resource_is_refused_in_the_words_of_the_sign_in_service() {
    let tenant = tenant();
    let path = IMDS.replace("graph.microsoft.com", "nobody.example");
    let answer = get(&tenant, &path, METADATA);
    assert_eq!(answer.status(), 400);
    let answer = json(&answer);
    assert_eq!(answer["error"], "invalid_resource");
    assert_eq!(answer["error_codes"], value!([500_011]));
}

#[test]
fn a_disabled_identity_gets_no_token() {
    let tenant = tenant();
    let admin = token(&tenant, &tenant.setup_app());
    let id = tenant.managed_identities()[0].object_id.clone();
    let path = format!("/v1.0/servicePrincipals/{id}");
    let body = value!({"accountEnabled": false});
    assert_eq!(
        tenant
            .handle(&graph(&admin, "PATCH", &path, &body))
            .status(),
        204
    );
    let answer = json(&get(&tenant, IMDS, METADATA));
    assert_eq!(answer["error_codes"], value!([7_000_112]));
}

#[test]
fn without_an_identity_of_the_system_the_only_other_one_is_meant() {
    let tenant = tenant();
    let admin = token(&tenant, &tenant.setup_app());
    let [system, worker] = tenant.managed_identities().try_into().unwrap();
    let path = format!("/v1.0/servicePrincipals/{}", system.object_id);
    let gone = tenant.handle(&graph(&admin, "DELETE", &path, &Value::Null));
    assert_eq!(gone.status(), 204);
    let answer = json(&get(&tenant, IMDS, METADATA));
    assert_eq!(answer["client_id"], worker.client_id);
}

#[test]
fn a_metadata_service_that_is_updated_or_overloaded_says_so_in_its_own_shape() {
    let tenant = tenant();
    for (fault, status, error) in [
        (Fault::NotFound, 404, "not_found"),
        (Fault::Gone, 410, "gone"),
        (Fault::Throttled, 429, "too_many_requests"),
        (Fault::UnavailableBefore, 503, "unknown"),
    ] {
        let rule = FaultRule::new("/metadata/identity", fault);
        tenant.faults().inject(rule).unwrap();
        let answer = get(&tenant, IMDS, METADATA);
        assert_eq!(answer.status(), status);
        assert_eq!(json(&answer)["error"], error);
    }
    assert_eq!(get(&tenant, IMDS, METADATA).status(), 200);
}

#[test]
fn app_service_wants_its_header_and_answers_in_its_own_shape() {
    let tenant = tenant();
    let header = tenant.identity_header();
    let headers = [("X-IDENTITY-HEADER", header.expose())];
    let answer = json(&get(&tenant, APP_SERVICE, &headers));
    let expected = value!({
        "access_token": answer["access_token"],
        "client_id": tenant.managed_identities()[0].client_id,
        "expires_on": "1767312000",
        "resource": "https://graph.microsoft.com/",
        "token_type": "Bearer",
    });
    assert_eq!(answer, expected);

    let unknown = format!("{APP_SERVICE}&client_id=99999999-9999-4999-8999-999999999999");
    let not_found = "No Managed Identity found for specified ClientId/ResourceId/PrincipalId.";
    let version = "The api-version is missing or not supported";
    let old = APP_SERVICE.replace("2019-08-01", "2017-09-01");
    for (path, headers, status, message) in [
        (
            APP_SERVICE,
            &[][..],
            401,
            "The identity header is missing or wrong.",
        ),
        (
            APP_SERVICE,
            &[("X-IDENTITY-HEADER", "wrong")],
            401,
            "The identity header is missing or wrong.",
        ),
        (&old, &headers, 400, version),
        (&unknown, &headers, 400, not_found),
    ] {
        let answer = get(&tenant, path, headers);
        assert_eq!(answer.status(), status, "{path}");
        let answer = json(&answer);
        assert_eq!(answer["statusCode"], status, "{path}");
        assert_eq!(answer["message"], message, "{path}");
        assert!(answer["correlationId"].is_string(), "{path}");
    }
}

#[test]
fn azure_arc_hands_a_token_to_who_can_read_its_file() {
    let folder = Folder::new("read");
    let tenant = tenant().with_arc_folder(&folder.0);
    let challenge = get(&tenant, ARC, METADATA);
    assert_eq!(challenge.status(), 401);
    let file = key_file(&challenge);
    assert_eq!(file.extension().unwrap(), "key");
    assert_eq!(file.parent().unwrap(), folder.0);
    let basic = format!("Basic {}", std::fs::read_to_string(&file).unwrap());
    let headers = [("Metadata", "true"), ("Authorization", &*basic)];
    let answer = get(&tenant, ARC, &headers);
    assert_eq!(answer.status(), 200);
    let identity = &tenant.managed_identities()[0];
    assert_eq!(json(&answer)["client_id"], identity.client_id);
    assert!(!file.exists());
    let again = get(&tenant, ARC, &headers);
    assert_eq!(again.status(), 401);
    assert_ne!(key_file(&again), file);
}

#[test]
fn azure_arc_challenges_whoever_does_not_know_the_key() {
    let folder = Folder::new("guess");
    let tenant = tenant().with_arc_folder(&folder.0);
    get(&tenant, ARC, METADATA);
    let headers = [
        ("Metadata", "true"),
        (AUTHORIZATION.as_str(), "Basic guess"),
    ];
    assert_eq!(get(&tenant, ARC, &headers).status(), 401);
    assert_eq!(json(&get(&tenant, ARC, &[]))["error"], "bad_request_102");
    let missing = tenant.with_arc_folder(folder.0.join("missing"));
    assert_eq!(get(&missing, ARC, METADATA).status(), 500);
}

#[test]
fn without_a_folder_there_is_no_agent_of_azure_arc() {
    let answer = get(&tenant(), ARC, METADATA);
    assert_eq!(answer.status(), 404);
    assert_eq!(
        json(&answer)["error_description"],
        "the local tenant has no agent of Azure Arc: it needs a folder for its keys"
    );
}

/// A folder that goes away with its files.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("arc-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn tenant() -> Emulator {
    Emulator::new(Seed::new().with_replication_delay(Duration::ZERO))
}

fn get(tenant: &Emulator, path: &str, headers: &[(&str, &str)]) -> Response<Bytes> {
    let mut request = Request::get(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    tenant.handle(&request.body(Bytes::new()).unwrap())
}

fn key_file(challenge: &Response<Bytes>) -> PathBuf {
    let header = challenge.headers()[WWW_AUTHENTICATE].to_str().unwrap();
    PathBuf::from(header.strip_prefix("Basic realm=").unwrap())
}

fn claims(token: &Value) -> Value {
    let payload = token.as_str().unwrap().split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}
