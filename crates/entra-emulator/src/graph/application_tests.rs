use serde_json::{Value, json};

use crate::graph::testing::{Desk, values};

fn create(desk: &mut Desk, name: &str) -> (String, String) {
    let app = desk.ok("POST", "/applications", json!({"displayName": name}));
    let text = |name: &str| app[name].as_str().unwrap().to_owned();
    (format!("/applications/{}", text("id")), text("appId"))
}

/// A self-signed certificate, DER in base64, valid from 2025 to 2035.
fn certificate() -> String {
    use base64::Engine;
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.not_before = rcgen::date_time_ymd(2025, 1, 1);
    params.not_after = rcgen::date_time_ymd(2035, 1, 1);
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    base64::engine::general_purpose::STANDARD.encode(certificate.der())
}

fn key(certificate: &str) -> Value {
    json!({"type": "AsymmetricX509Cert", "usage": "Verify", "key": certificate})
}

#[test]
fn a_new_application_has_its_full_shape_and_can_be_found() {
    let mut desk = Desk::new();
    let (path, app_id) = create(&mut desk, "Relay");
    let app = desk.ok("GET", &path, Value::Null);
    assert_eq!(app["passwordCredentials"], json!([]));
    assert_eq!(app["web"]["redirectUris"], json!([]));
    assert_eq!(app["publisherDomain"], "alpenglow.example");
    assert_eq!(app["createdDateTime"], "2026-01-01T00:00:00Z");
    let context = "https://graph.test/v1.0/$metadata#applications/$entity";
    assert_eq!(app["@odata.context"], context);
    for path in [
        format!("/applications(appId='{app_id}')"),
        format!("/applications?$filter=appId eq '{app_id}'"),
        "/applications?$filter=startswith(displayName,'rel')".to_owned(),
    ] {
        let found = desk.ok("GET", &path, Value::Null).to_string();
        assert!(found.contains(&app_id), "{path}");
    }
}

#[test]
fn an_upsert_creates_once_and_then_updates() {
    let mut desk = Desk::new();
    let path = "/applications(uniqueName='relay')";
    let body = json!({"displayName": "Relay"});
    assert_eq!(desk.call("PATCH", path, body.clone()).0, 404);
    desk.headers = vec![("Prefer", "create-if-missing")];
    let (status, app) = desk.call("PATCH", path, body.clone());
    assert_eq!((status, &app["uniqueName"]), (201, &json!("relay")));
    assert_eq!(desk.call("PATCH", path, body).0, 204);
    let found = desk.ok("GET", path, Value::Null);
    assert_eq!(found["id"], app["id"]);

    let path = format!("/applications/{}", app["id"].as_str().unwrap());
    desk.ok("DELETE", &path, Value::Null);
    let again = json!({"displayName": "Relay"});
    let (status, code, _) = desk.refusal("PATCH", "/applications(uniqueName='relay')", again);
    assert_eq!(
        (status, code.as_str()),
        (409, "Request_MultipleObjectsWithSameKeyValue")
    );
}

#[test]
fn an_upsert_is_answered_by_the_true_copy() {
    let mut desk = Desk::with_replication();
    desk.headers = vec![("Prefer", "create-if-missing")];
    let path = "/applications(uniqueName='relay')";
    let statuses: Vec<u16> = (0..7)
        .map(|_| desk.call("PATCH", path, json!({"displayName": "Relay"})).0)
        .collect();
    assert_eq!(statuses, [201, 204, 204, 204, 204, 204, 204]);
}

#[test]
fn bad_properties_are_refused_by_name() {
    let mut desk = Desk::new();
    for (body, expected) in [
        (
            json!({}),
            "A value is required for property 'displayName' of resource 'Application'.",
        ),
        (
            json!({"displayName": "a", "displayname2": "b"}),
            "Invalid property 'displayname2'.",
        ),
        (
            json!({"displayName": 5}),
            "Invalid value specified for property 'displayName' of resource 'Application'.",
        ),
        (
            json!({"displayName": "a", "web": {"redirectUris": "x"}}),
            "Invalid value specified for property 'web.redirectUris' of resource 'Application'.",
        ),
        (
            json!({"displayName": "a", "appId": "x"}),
            "Property 'appId' is read-only and cannot be set.",
        ),
        (
            json!({"displayName": "a", "uniqueName": "x"}),
            "Property 'uniqueName' is read-only and cannot be set.",
        ),
        (
            json!({"displayName": "a", "signInAudience": "Everybody"}),
            "Invalid value specified for property 'signInAudience' of resource 'Application'.",
        ),
        (
            json!({"displayName": "a", "requiredResourceAccess": [
                {"resourceAppId": "graph", "resourceAccess": []}
            ]}),
            "Invalid value specified for property 'requiredResourceAccess' of resource 'Application'.",
        ),
        (
            json!({"displayName": "a", "passwordCredentials": [{"displayName": "p"}]}),
            "Updates to passwordCredentials are not allowed here. Use addPassword and removePassword.",
        ),
    ] {
        let (status, _, message) = desk.refusal("POST", "/applications", body);
        assert_eq!((status, message.as_str()), (400, expected));
    }
}

#[test]
fn identifier_uris_lie_at_a_verified_domain_or_name_app_or_tenant() {
    let mut desk = Desk::new();
    let (path, app_id) = create(&mut desk, "Relay");
    let tenant = desk.tenant.id().to_owned();
    for (uri, accepted) in [
        (format!("api://{app_id}"), true),
        (format!("api://{tenant}/relay"), true),
        (format!("api://relay/{app_id}"), true),
        ("https://alpenglow.example".to_owned(), true),
        ("https://mdm.alpenglow.example/x".to_owned(), true),
        ("api://mdm.alpenglow.example/x".to_owned(), true),
        ("https://alpenglow.onmicrosoft.com/x".to_owned(), true),
        ("https://alpenglow-shop.example".to_owned(), false),
        ("https://notalpenglow.example".to_owned(), false),
        ("api://relay".to_owned(), false),
    ] {
        let (status, code, _) = desk.refusal("PATCH", &path, json!({"identifierUris": [uri]}));
        if accepted {
            assert_eq!(status, 204, "{uri}");
        } else {
            assert_eq!(
                (status, code.as_str()),
                (400, "HostNameNotOnVerifiedDomain"),
                "{uri}"
            );
        }
    }
}

#[test]
fn an_identifier_uri_belongs_to_one_application_even_after_its_deletion() {
    let mut desk = Desk::new();
    let (first, _) = create(&mut desk, "First");
    let (second, _) = create(&mut desk, "Second");
    let body = json!({"identifierUris": ["https://alpenglow.example"]});
    desk.ok("PATCH", &first, body.clone());
    let expected = "Another object with the same value for property identifierUris already exists.";
    assert_eq!(desk.refusal("PATCH", &second, body.clone()).2, expected);
    desk.ok("DELETE", &first, Value::Null);
    assert_eq!(desk.refusal("PATCH", &second, body.clone()).2, expected);
    let deleted = first.replace("/applications", "/directory/deletedItems");
    desk.ok("DELETE", &deleted, Value::Null);
    desk.ok("PATCH", &second, body);
}

#[test]
fn the_tenants_policy_may_allow_default_identifier_uris_only() {
    let mut desk = Desk::new();
    let (path, app_id) = create(&mut desk, "Relay");
    let restriction = json!({"state": "enabled", "excludeAppsReceivingV2Tokens": true});
    let policy = json!({"isEnabled": true, "applicationRestrictions": {
        "identifierUris": {"nonDefaultUriAddition": restriction}
    }});
    desk.ok("PATCH", "/policies/defaultAppManagementPolicy", policy);
    let domain = json!({"identifierUris": ["https://alpenglow.example"]});
    let (status, _, message) = desk.refusal("PATCH", &path, domain.clone());
    assert_eq!(status, 400);
    assert!(message.contains("must use the default format"), "{message}");
    desk.ok(
        "PATCH",
        &path,
        json!({"identifierUris": [format!("api://{app_id}")]}),
    );
    desk.ok(
        "PATCH",
        &path,
        json!({"api": {"requestedAccessTokenVersion": 2}}),
    );
    desk.ok("PATCH", &path, domain);
}

#[test]
fn key_credentials_are_replaced_as_a_whole() {
    let mut desk = Desk::new();
    let (path, app_id) = create(&mut desk, "Relay");
    let (first, second) = (certificate(), certificate());
    let (line, rest) = first.split_at(64);
    let broken = format!("{line}\n{rest}");
    desk.ok("PATCH", &path, json!({"keyCredentials": [key(&broken)]}));
    let app = desk.ok("GET", &path, Value::Null);
    let known = app["keyCredentials"][0].clone();
    assert_eq!(known["key"], Value::Null);
    assert_eq!(known["endDateTime"], "2035-01-01T00:00:00Z");
    assert_eq!(known["customKeyIdentifier"].as_str().unwrap().len(), 40);

    desk.ok(
        "PATCH",
        &path,
        json!({"keyCredentials": [known, key(&second)]}),
    );
    let select = format!("{path}?$select=id,keyCredentials");
    let app = desk.ok("GET", &select, Value::Null);
    assert_eq!(app["keyCredentials"][0]["key"], json!(first));
    assert_eq!(app["keyCredentials"][1]["key"], json!(second));
    assert_eq!(desk.tenant.signing_keys_of(&app_id, desk.now).len(), 2);

    let mut changed = known.clone();
    changed["displayName"] = json!("other");
    let (status, code, message) =
        desk.refusal("PATCH", &path, json!({"keyCredentials": [changed]}));
    assert_eq!((status, code.as_str()), (400, "KeyNotUpdatable"));
    assert!(message.starts_with("Update to existing credential with KeyId"));

    desk.ok("PATCH", &path, json!({"keyCredentials": []}));
    assert_eq!(desk.tenant.signing_keys_of(&app_id, desk.now).len(), 0);
}

#[test]
fn a_certificate_has_to_be_one_and_bounds_its_dates() {
    let mut desk = Desk::new();
    let (path, _) = create(&mut desk, "Relay");
    let with = |name: &str, value: &str| {
        let mut key = key(&certificate());
        key[name] = json!(value);
        key
    };
    for (credential, expected_code, expected) in [
        (
            with("key", "AQID"),
            "Request_BadRequest",
            "Invalid value specified for property 'key' of resource 'KeyCredential'.",
        ),
        (
            with("type", "Symmetric"),
            "Request_BadRequest",
            "Invalid value specified for property 'type' of resource 'KeyCredential'.",
        ),
        (
            with("usage", "Sign"),
            "Request_BadRequest",
            "Invalid value specified for property 'usage' of resource 'KeyCredential'.",
        ),
        (
            with("endDateTime", "2036-01-01T00:00:00Z"),
            "KeyCredentialsInvalidEndDate",
            "Key credential end date is invalid.",
        ),
        (
            with("startDateTime", "2024-01-01T00:00:00Z"),
            "KeyCredentialsInvalidStartDate",
            "Key credential start date is invalid.",
        ),
    ] {
        let body = json!({"keyCredentials": [credential]});
        let (status, code, message) = desk.refusal("PATCH", &path, body);
        assert_eq!(
            (status, code.as_str(), message.as_str()),
            (400, expected_code, expected)
        );
    }
}

#[test]
fn a_secret_is_shown_once_and_recognised_until_it_is_removed() {
    use crate::tenant::SecretCheck;
    let mut desk = Desk::new();
    let (path, app_id) = create(&mut desk, "Relay");
    let body = json!({"passwordCredential": {"displayName": "one"}});
    let added = desk.ok("POST", &format!("{path}/addPassword"), body);
    let secret = added["secretText"].as_str().unwrap().to_owned();
    assert_eq!(secret.len(), 40);
    assert_eq!(added["hint"].as_str(), secret.get(..3));
    assert_eq!(added["endDateTime"], "2028-01-01T00:00:00Z");
    let app = desk.ok("GET", &path, Value::Null);
    assert_eq!(app["passwordCredentials"][0]["displayName"], "one");
    assert_eq!(app["passwordCredentials"][0]["secretText"], Value::Null);
    assert!(!format!("{:?}", desk.tenant).contains(&secret));
    let check = desk.tenant.check_secret(&app_id, &secret, desk.now);
    assert_eq!(check, SecretCheck::Valid);

    let remove = format!("{path}/removePassword");
    let body = json!({"keyId": added["keyId"]});
    desk.ok("POST", &remove, body.clone());
    let check = desk.tenant.check_secret(&app_id, &secret, desk.now);
    assert_eq!(check, SecretCheck::Wrong);
    let expected = "No password credential found with keyId.";
    assert_eq!(desk.refusal("POST", &remove, body).2, expected);
}

#[test]
fn the_tenants_policy_may_forbid_secrets_or_limit_their_lifetime() {
    let mut desk = Desk::new();
    let (path, _) = create(&mut desk, "Relay");
    let restrict = |desk: &mut Desk, restriction: Value| {
        let restrictions = json!({"passwordCredentials": [restriction.clone()], "keyCredentials": [
            {"restrictionType": "asymmetricKeyLifetime", "state": "enabled", "maxLifetime": "P365D"}
        ]});
        let policy = json!({"isEnabled": true, "applicationRestrictions": restrictions});
        desk.ok("PATCH", "/policies/defaultAppManagementPolicy", policy);
    };
    let add = format!("{path}/addPassword");
    restrict(
        &mut desk,
        json!({"restrictionType": "passwordAddition", "state": "enabled"}),
    );
    let code = desk.refusal("POST", &add, json!({})).1;
    assert_eq!(code, "CredentialTypeNotAllowedAsPerAppPolicy");
    restrict(
        &mut desk,
        json!({"restrictionType": "passwordLifetime", "state": "enabled", "maxLifetime": "P90D"}),
    );
    let code = desk.refusal("POST", &add, json!({})).1;
    assert_eq!(code, "CredentialInvalidLifetimeAsPerAppPolicy");
    let short = json!({"passwordCredential": {"endDateTime": "2026-03-01T00:00:00Z"}});
    desk.ok("POST", &add, short);
    let code = desk
        .refusal(
            "PATCH",
            &path,
            json!({"keyCredentials": [key(&certificate())]}),
        )
        .1;
    assert_eq!(code, "CredentialInvalidLifetimeAsPerAppPolicy");
    let spared = json!({"restrictionType": "passwordAddition", "state": "enabled",
        "restrictForAppsCreatedAfterDateTime": "2026-06-01T00:00:00Z"});
    restrict(&mut desk, spared);
    desk.ok("POST", &add, json!({}));
}

#[test]
fn a_permission_is_disabled_before_it_is_removed() {
    let mut desk = Desk::new();
    let (path, _) = create(&mut desk, "Relay");
    let role = |enabled: bool| {
        json!({"id": "11111111-1111-4111-8111-111111111111", "value": "Read", "displayName": "r",
            "description": "r", "allowedMemberTypes": ["Application"], "isEnabled": enabled})
    };
    desk.ok("PATCH", &path, json!({"appRoles": [role(true)]}));
    let (status, code, message) = desk.refusal("PATCH", &path, json!({"appRoles": []}));
    assert_eq!(status, 400);
    assert_eq!(code, "CannotDeleteOrUpdateEnabledEntitlement");
    assert_eq!(
        message,
        "Permission (scope or role) cannot be deleted or updated unless disabled first."
    );
    let twice = json!({"appRoles": [role(true), role(true)]});
    let message = desk.refusal("PATCH", &path, twice).2;
    assert_eq!(
        message,
        "Request contains a property with duplicate values."
    );
    desk.ok("PATCH", &path, json!({"appRoles": [role(false)]}));
    desk.ok("PATCH", &path, json!({"appRoles": []}));
}

#[test]
fn owned_by_limits_an_app_to_what_it_owns_itself_included() {
    let mut desk = Desk::new();
    let (foreign, foreign_id) = create(&mut desk, "Foreign");
    let mut desk = desk.served_to(&["Application.ReadWrite.OwnedBy"]);
    let (own, own_id) = create(&mut desk, "Own");
    assert_eq!(
        desk.allowed_by.as_deref(),
        Some("Application.ReadWrite.OwnedBy")
    );
    let rename = json!({"displayName": "Renamed"});
    desk.ok("PATCH", &own, rename.clone());
    desk.ok("POST", &format!("{own}/addPassword"), json!({}));
    let itself = format!("/applications(appId='{}')", desk.caller.app_id);
    assert_eq!(desk.call("PATCH", &itself, rename.clone()).0, 403);
    assert_eq!(desk.call("PATCH", &foreign, rename).0, 403);
    assert_eq!(desk.call("GET", &foreign, Value::Null).0, 200);
    let owners = desk.ok("GET", &format!("{own}/owners"), Value::Null);
    assert_eq!(
        values(&owners, "id"),
        [desk.caller.service_principal_id.clone()]
    );
    let principal = |id: &str| json!({"appId": id});
    assert_eq!(
        desk.call("POST", "/servicePrincipals", principal(&foreign_id))
            .0,
        403
    );
    assert_eq!(
        desk.call("POST", "/servicePrincipals", principal(&own_id))
            .0,
        201
    );
}

#[test]
fn an_application_may_read_itself_without_a_permission() {
    let mut desk = Desk::new().served_to(&[]);
    let itself = format!("/applications(appId='{}')", desk.caller.app_id);
    assert_eq!(desk.get(&itself).0, 200);
    assert_eq!(desk.allowed_by.as_deref(), Some("(self)"));
    assert_eq!(desk.get("/applications").0, 403);
    let other = format!("/applications/{}", desk.seeded.apps[0].object_id);
    let (status, code, message) = desk.refusal("GET", &other, Value::Null);
    assert_eq!(
        (status, code.as_str()),
        (403, "Authorization_RequestDenied")
    );
    assert_eq!(
        message,
        "Insufficient privileges to complete the operation."
    );
}

#[test]
fn a_fresh_application_comes_and_goes_and_cannot_have_a_principal_yet() {
    let mut desk = Desk::with_replication();
    let (path, app_id) = create(&mut desk, "Relay");
    let mut statuses: Vec<u16> = (0..6).map(|_| desk.get(&path).0).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 200, 200, 404, 404, 404]);
    let body = json!({"appId": app_id});
    let message = desk.refusal("POST", "/servicePrincipals", body.clone()).2;
    let expected = format!(
        "The appId '{app_id}' of the service principal does not reference a valid application \
         object."
    );
    assert_eq!(message, expected);
    desk.wait(5);
    assert!((0..6).all(|_| desk.get(&path).0 == 200));
    assert_eq!(desk.call("POST", "/servicePrincipals", body).0, 201);
}

#[test]
fn a_stale_replica_has_not_seen_the_last_write() {
    let mut desk = Desk::new();
    let (path, _) = create(&mut desk, "Relay");
    desk.wait(600);
    desk.ok("PATCH", &path, json!({"displayName": "Renamed"}));
    desk.stale = true;
    assert_eq!(desk.ok("GET", &path, Value::Null)["displayName"], "Relay");
    desk.stale = false;
    assert_eq!(desk.ok("GET", &path, Value::Null)["displayName"], "Renamed");
}

#[test]
fn a_deleted_application_takes_its_principal_along_and_comes_back_alone() {
    let mut desk = Desk::new();
    let (path, app_id) = create(&mut desk, "Relay");
    desk.ok("POST", "/servicePrincipals", json!({"appId": app_id}));
    let principal = format!("/servicePrincipals(appId='{app_id}')");
    assert_eq!(desk.get(&principal).0, 200);
    desk.ok("DELETE", &path, Value::Null);
    assert_eq!((desk.get(&path).0, desk.get(&principal).0), (404, 404));
    let list = "/directory/deletedItems/microsoft.graph.application";
    assert_eq!(
        values(&desk.ok("GET", list, Value::Null), "appId"),
        [app_id]
    );
    let deleted = path.replace("/applications", "/directory/deletedItems");
    desk.ok("POST", &format!("{deleted}/restore"), json!({}));
    assert_eq!((desk.get(&path).0, desk.get(&principal).0), (200, 404));
}
