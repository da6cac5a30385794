//! An application that owns itself renews its credentials, for years.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod client;

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use client::{graph, json, token};
use entra_core::{
    Authority, CertificateOptions, ClientCredential, ClientId, Clock, ConfidentialClient, Pipeline,
    Secret, SigningCertificate, Tenant, TokenRequest,
};
use entra_emulator::{Emulator, Seed, SeededApp};
use serde_json::{Value, json as value};

#[test]
fn an_application_that_owns_itself_renews_its_secret() {
    let home = Home::new(&["Application.ReadWrite.OwnedBy"]);
    let old = token(&home.tenant, &home.app);
    let added = home.ok(&old, "POST", "/addPassword", &Value::Null);
    let renewed = SeededApp {
        client_secret: Secret::new(added["secretText"].as_str().unwrap()),
        ..home.app.clone()
    };
    let new = token(&home.tenant, &renewed);
    let secrets = home.ok(&new, "GET", "", &Value::Null)["passwordCredentials"].clone();
    assert_eq!(secrets.as_array().unwrap().len(), 2);
    let gone = value!({"keyId": secrets[0]["keyId"]});
    home.ok(&new, "POST", "/removePassword", &gone);
    let left = home.ok(&new, "GET", "", &Value::Null)["passwordCredentials"].clone();
    assert_eq!(left, value!([secrets[1]]));
}

#[test]
fn without_being_its_own_owner_an_application_reads_itself_and_no_more() {
    let home = Home::new(&["Application.ReadWrite.OwnedBy"]);
    let principal = home.principal.clone();
    let disown = format!("/owners/{principal}/$ref");
    home.ok(&home.admin, "DELETE", &disown, &Value::Null);
    let own = token(&home.tenant, &home.app);
    assert_eq!(home.call(&own, "GET", "", &Value::Null).0, 200);
    for (method, path) in [("PATCH", ""), ("POST", "/addPassword"), ("DELETE", "")] {
        let (status, answer) = home.call(&own, method, path, &value!({}));
        assert_eq!(status, 403, "{method} {path}");
        assert_eq!(answer["error"]["code"], "Authorization_RequestDenied");
    }
}

/// Each certificate lives for 180 days and is replaced after 90; of two years no day is without a
/// valid one, and each proof is made with the one before.
#[tokio::test]
async fn certificates_are_rolled_for_two_years_without_a_permission() {
    let home = Home::new(&[]);
    let first = home.certificate();
    let keys = value!({"keyCredentials": [credential(&first)]});
    home.ok(&home.admin, "PATCH", "", &keys);
    let mut current = first;
    for _ in 0..8 {
        home.tenant.advance(QUARTER);
        let token = home.sign_in(&current).await;
        let next = home.certificate();
        let body = value!({"keyCredential": credential(&next), "passwordCredential": null,
            "proof": home.proof(&current)});
        home.ok(&token, "POST", "/addKey", &body);
        let token = home.sign_in(&next).await;
        let keys = home.ok(&token, "GET", "", &Value::Null)["keyCredentials"].clone();
        assert_eq!(keys.as_array().unwrap().len(), 2);
        let gone = value!({"keyId": keys[0]["keyId"], "proof": home.proof(&next)});
        home.ok(&token, "POST", "/removeKey", &gone);
        current = next;
    }
    let keys = home.ok(&home.admin_now(), "GET", "", &Value::Null)["keyCredentials"].clone();
    let thumbprint = current.certificate().thumbprint_sha1();
    assert_eq!(
        keys[0]["customKeyIdentifier"],
        thumbprint.replace(':', "").to_uppercase()
    );
}

#[tokio::test]
async fn who_let_every_certificate_expire_registers_a_new_one_as_its_owner() {
    let home = Home::new(&["Application.ReadWrite.OwnedBy"]);
    let old = home.certificate();
    let keys = value!({"keyCredentials": [credential(&old)]});
    home.ok(&home.admin, "PATCH", "", &keys);
    home.tenant.advance(QUARTER * 3);
    let own = token(&home.tenant, &home.app);
    let new = home.certificate();
    let body = value!({"keyCredential": credential(&new), "proof": home.proof(&old)});
    let (status, answer) = home.call(&own, "POST", "/addKey", &body);
    assert_eq!(status, 401);
    assert_eq!(answer["error"]["code"], "Authentication_MissingOrMalformed");
    let keys = value!({"keyCredentials": [credential(&new)]});
    home.ok(&own, "PATCH", "", &keys);
    home.sign_in(&new).await;
}

#[test]
fn the_tenants_policy_is_read_and_limits_what_is_added() {
    let home = Home::new(&["Application.ReadWrite.OwnedBy", "Policy.Read.All"]);
    let policy = value!({"isEnabled": true, "applicationRestrictions": {
        "passwordCredentials": [{"restrictionType": "passwordAddition", "state": "enabled"}],
        "keyCredentials": [{"restrictionType": "asymmetricKeyLifetime", "state": "enabled",
            "maxLifetime": "P90D"}]}});
    let path = "/v1.0/policies/defaultAppManagementPolicy";
    let request = graph(&home.admin, "PATCH", path, &policy);
    assert_eq!(home.tenant.handle(&request).status(), 204);

    let own = token(&home.tenant, &home.app);
    let seen = json(&home.tenant.handle(&graph(&own, "GET", path, &Value::Null)));
    assert_eq!(
        seen["applicationRestrictions"]["keyCredentials"][0]["maxLifetime"],
        "P90D"
    );
    let (status, answer) = home.call(&own, "POST", "/addPassword", &Value::Null);
    let code = &answer["error"]["code"];
    assert_eq!(
        (status, code),
        (400, &value!("CredentialTypeNotAllowedAsPerAppPolicy"))
    );
    let long = value!({"keyCredentials": [credential(&home.certificate())]});
    let (status, answer) = home.call(&own, "PATCH", "", &long);
    let code = &answer["error"]["code"];
    assert_eq!(
        (status, code),
        (400, &value!("CredentialInvalidLifetimeAsPerAppPolicy"))
    );
}

/// A tenant with an application that owns itself.
struct Home {
    tenant: Emulator,
    admin: String,
    app: SeededApp,
    principal: String,
}

impl Home {
    fn new(permissions: &[&str]) -> Self {
        let tenant = Emulator::new(Seed::new().with_replication_delay(Duration::ZERO));
        let admin = token(&tenant, &tenant.setup_app());
        let call = |method: &str, path: &str, body: Value| {
            let answer = tenant.handle(&graph(&admin, method, &["/v1.0", path].concat(), &body));
            assert!(
                answer.status().is_success(),
                "{method} {path}: {:?}",
                answer.body()
            );
            serde_json::from_slice(answer.body()).unwrap_or(Value::Null)
        };
        let app: Value = call(
            "POST",
            "/applications",
            value!({"displayName": "Help Desk"}),
        );
        let (id, client_id) = (text(&app, "id"), text(&app, "appId"));
        let principal = call("POST", "/servicePrincipals", value!({"appId": client_id}));
        let principal = text(&principal, "id");
        let graph_app = call("GET", GRAPH_PRINCIPAL, Value::Null);
        for permission in permissions {
            let roles = graph_app["appRoles"].as_array().unwrap();
            let role = roles.iter().find(|role| role["value"] == *permission);
            let assignment = value!({"principalId": principal, "resourceId": graph_app["id"],
                "appRoleId": role.unwrap()["id"]});
            let path = format!("/servicePrincipals/{principal}/appRoleAssignments");
            call("POST", &path, assignment);
        }
        let owner = format!("https://localhost/v1.0/servicePrincipals/{principal}");
        let path = format!("/applications/{id}/owners/$ref");
        call("POST", &path, value!({"@odata.id": owner}));
        let secret = call(
            "POST",
            &format!("/applications/{id}/addPassword"),
            Value::Null,
        );
        let app = SeededApp {
            client_id,
            object_id: id,
            client_secret: Secret::new(secret["secretText"].as_str().unwrap()),
            ..tenant.setup_app()
        };
        Self {
            tenant,
            admin,
            app,
            principal,
        }
    }

    /// A token of the administrator, however late it is.
    fn admin_now(&self) -> String {
        let late = token(&self.tenant, &self.tenant.setup_app());
        assert_ne!(late, self.admin);
        late
    }

    fn call(&self, token: &str, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let path = format!("/v1.0/applications/{}{path}", self.app.object_id);
        let answer = self.tenant.handle(&graph(token, method, &path, body));
        let body = serde_json::from_slice(answer.body()).unwrap_or(Value::Null);
        (answer.status().as_u16(), body)
    }

    fn ok(&self, token: &str, method: &str, path: &str, body: &Value) -> Value {
        let (status, answer) = self.call(token, method, path, body);
        assert!(
            (200..300).contains(&status),
            "{method} {path}: {status} {answer}"
        );
        answer
    }

    fn certificate(&self) -> SigningCertificate {
        let options = CertificateOptions::new("Help Desk").with_validity(time::Duration::days(180));
        SigningCertificate::generate(&options, self.tenant.clock().now()).unwrap()
    }

    async fn sign_in(&self, certificate: &SigningCertificate) -> String {
        let client = ConfidentialClient::new(
            Authority::new(
                self.tenant.cloud(),
                Tenant::parse(&self.tenant.tenant_id()).unwrap(),
            ),
            ClientId::parse(&self.app.client_id).unwrap(),
            ClientCredential::certificate(certificate.clone()),
            Pipeline::new(self.tenant.clone()).with_clock(self.tenant.clock()),
        );
        let request = TokenRequest::new([self.tenant.cloud().graph_scope()]);
        let token = client.unwrap().token(&request).await.unwrap();
        token.secret().expose().to_owned()
    }

    /// Learn, "Generate proof of possession tokens for rolling keys".
    fn proof(&self, certificate: &SigningCertificate) -> String {
        let now = self.tenant.clock().now().unix_timestamp();
        let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = [
            part(value!({"alg": "PS256", "typ": "JWT"})),
            part(value!({"aud": "00000002-0000-0000-c000-000000000000",
                "iss": self.app.object_id, "nbf": now, "exp": now + 600})),
        ]
        .join(".");
        let signature = certificate.sign_ps256(signed.as_bytes()).unwrap();
        [signed, URL_SAFE_NO_PAD.encode(signature)].join(".")
    }
}

fn credential(certificate: &SigningCertificate) -> Value {
    let key = STANDARD.encode(certificate.certificate().der());
    value!({"type": "AsymmetricX509Cert", "usage": "Verify", "key": key})
}

fn text(object: &Value, property: &str) -> String {
    object[property].as_str().expect("a text").to_owned()
}

const QUARTER: Duration = Duration::from_secs(90 * 86_400);
const GRAPH_PRINCIPAL: &str = "/servicePrincipals(appId='00000003-0000-0000-c000-000000000000')";
