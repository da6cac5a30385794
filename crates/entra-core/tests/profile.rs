//! The life of a connection profile, and its JSON.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use entra_core::{
    Authority, Certificate, ClientId, Cloud, CloudError, ConnectionProfile, CredentialKind,
    CredentialReference, Finding, NextStep, Outcome, ProfileError, TenantId, WantedPermission,
};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::macros::datetime;
use uuid::uuid;

#[test]
fn a_draft_becomes_a_link_step_by_step() {
    let mut profile = ConnectionProfile::draft("Contoso", NOW);
    assert_eq!(profile.next_step(NOW), Some(NextStep::Tenant));
    assert_eq!(
        profile.authority(),
        Err(ProfileError::Missing(NextStep::Tenant))
    );
    assert_eq!(
        profile.link(NOW),
        Err(ProfileError::Missing(NextStep::Tenant))
    );

    profile.set_tenant(Cloud::china(), tenant()).unwrap();
    assert_eq!(profile.next_step(NOW), Some(NextStep::Application));
    assert_eq!(
        profile.authority(),
        Ok(Authority::new(Cloud::china(), tenant()))
    );
    assert_eq!(
        profile.link(NOW),
        Err(ProfileError::Missing(NextStep::Application))
    );

    profile.set_client_id(client()).unwrap();
    assert_eq!(profile.next_step(NOW), Some(NextStep::Credential));
    assert_eq!(
        profile.link(NOW),
        Err(ProfileError::Missing(NextStep::Credential))
    );

    profile.set_credential(secret());
    assert_eq!(profile.next_step(NOW), Some(NextStep::Link));
    assert_eq!(profile.linked_at(), None);

    profile.link(NOW).unwrap();
    assert_eq!(profile.next_step(NOW), Some(NextStep::Test));
    assert_eq!(profile.linked_at(), Some(NOW));
    assert_eq!(profile.last_test(), None);
}

#[test]
fn a_certificate_may_be_there_before_the_tenant_is_known() {
    let mut profile = ConnectionProfile::draft("Contoso", NOW);
    profile.set_credential(certificate());
    assert_eq!(profile.next_step(NOW), Some(NextStep::Tenant));
    let read = ConnectionProfile::from_json(&profile.to_json().unwrap()).unwrap();
    assert_eq!(read, profile);
    assert_eq!(
        read.credential().unwrap().kind(),
        CredentialKind::Certificate
    );
}

#[test]
fn a_linked_profile_stays_with_its_tenant_and_its_application() {
    let mut profile = linked();
    for refused in [
        profile.set_tenant(Cloud::public(), tenant()),
        profile.set_client_id(client()),
        profile.link(NOW),
    ] {
        assert_eq!(refused, Err(ProfileError::AlreadyLinked));
    }
    profile.unlink();
    assert_eq!(profile.tenant_id(), Some(tenant()));
    assert_eq!(profile.client_id(), None);
    assert_eq!(profile.credential(), None);
    assert_eq!(profile.permissions().len(), 2);
    assert_eq!(profile.next_step(NOW), Some(NextStep::Application));
}

#[test]
fn a_draft_cannot_be_tested_and_nothing_is_no_test() {
    let mut draft = ConnectionProfile::draft("Contoso", NOW);
    let finding = Finding::passed("network", "reached");
    assert_eq!(
        draft.record_test(&[finding], NOW),
        Err(ProfileError::NotLinked)
    );
    assert_eq!(
        linked().record_test(&[], NOW),
        Err(ProfileError::NothingTested)
    );
}

#[test]
fn the_worst_finding_decides_how_a_test_ended() {
    let passed = || Finding::passed("network", "reached");
    let warning = || Finding::warning("credential", "ends soon");
    let skipped = || Finding::skipped("devices", "not asked");
    let failed = || Finding::failed("permission User.Read.All", "missing");
    for (findings, outcome, next) in [
        (vec![passed(), skipped()], Outcome::Passed, None),
        (vec![passed(), warning(), skipped()], Outcome::Warning, None),
        (vec![skipped()], Outcome::Skipped, Some(NextStep::Test)),
        (
            vec![warning(), failed(), passed()],
            Outcome::Failed,
            Some(NextStep::Repair),
        ),
    ] {
        let mut profile = linked();
        profile.record_test(&findings, NOW).unwrap();
        let test = profile.last_test().unwrap();
        assert_eq!(test.at, NOW);
        assert_eq!(test.outcome, outcome);
        assert_eq!(test.failed.len(), usize::from(outcome == Outcome::Failed));
        assert_eq!(profile.next_step(NOW), next);
        let read = ConnectionProfile::from_json(&profile.to_json().unwrap()).unwrap();
        assert_eq!(read, profile);
    }
}

#[test]
fn what_was_changed_counts_as_untested() {
    let tested = || {
        let mut profile = linked();
        let finding = Finding::passed("network", "reached");
        profile.record_test(&[finding], NOW).unwrap();
        assert_eq!(profile.next_step(NOW), None);
        profile
    };
    let mut rotated = tested();
    rotated.set_credential(certificate());
    assert_eq!(rotated.next_step(NOW), Some(NextStep::Test));

    let mut narrowed = tested();
    narrowed.set_permissions([]);
    assert_eq!(narrowed.next_step(NOW), Some(NextStep::Test));

    let widened = tested().with_permission(WantedPermission::delegated("User.Read"));
    assert_eq!(widened.next_step(NOW), Some(NextStep::Test));

    let elsewhere = tested()
        .with_redirect_uri("https://mdm.example/new")
        .unwrap();
    assert_eq!(elsewhere.next_step(NOW), Some(NextStep::Test));

    // What it has already, or is called, changes nothing.
    let mut same = tested().with_permission(WantedPermission::application("User.Read.All"));
    same.rename("Contoso Ltd.");
    assert_eq!(same.next_step(NOW), None);
    assert_eq!(same.name(), "Contoso Ltd.");
}

#[test]
fn an_expired_credential_comes_before_everything_else() {
    let mut profile = linked();
    let end = datetime!(2026-12-31 00:00 UTC);
    profile.set_credential(secret().with_expiry(end));
    assert_eq!(
        profile.next_step(end - time::Duration::SECOND),
        Some(NextStep::Test)
    );
    assert_eq!(profile.next_step(end), Some(NextStep::RenewCredential));
}

#[test]
fn the_stored_form_is_this() {
    let mut profile = linked();
    let findings = [Finding::failed("permission User.Read.All", "missing")];
    let berlin = datetime!(2026-02-04 10:30:00.75 +1);
    profile.record_test(&findings, berlin).unwrap();
    let stored: Value = serde_json::from_str(&profile.to_json().unwrap()).unwrap();
    assert_eq!(
        stored,
        json!({
            "version": 1,
            "name": "Contoso",
            "cloud": {"name": "us-government-dod"},
            "tenant_id": "72f988bf-86f1-41af-91ab-2d7cd011db47",
            "client_id": "11111111-2222-4333-8444-555555555555",
            "credential": {
                "kind": "client_secret",
                "location": "vault:entra/contoso",
                "key_id": "00000000-1111-4222-8333-444444444444",
                "hint": "Ab8",
                "issued_at": "2026-01-01T00:00:00Z",
                "expires_at": "2026-12-31T00:00:00Z",
            },
            "permissions": [
                {"kind": "application", "name": "User.Read.All"},
                {"kind": "delegated", "name": "email"},
            ],
            "redirect_uris": ["https://mdm.example/callback"],
            "drafted_at": "2026-02-03T09:00:00Z",
            "linked_at": "2026-02-03T09:00:00Z",
            "last_test": {
                "at": "2026-02-04T09:30:00Z",
                "outcome": "failed",
                "failed": ["permission User.Read.All"],
            },
        })
    );
}

#[test]
fn a_certificate_is_stored_by_its_thumbprint_and_its_validity() {
    let mut profile = ConnectionProfile::draft("Contoso", NOW);
    profile.set_credential(certificate());
    let stored: Value = serde_json::from_str(&profile.to_json().unwrap()).unwrap();
    let crt = Certificate::from_pem(CRT).unwrap();
    let read = ConnectionProfile::from_json(&profile.to_json().unwrap()).unwrap();
    let reference = read.credential().unwrap();
    assert_eq!(
        stored.pointer("/credential/thumbprint_sha256"),
        Some(&json!(crt.thumbprint_sha256()))
    );
    assert_eq!(reference.issued_at(), Some(crt.not_before()));
    assert_eq!(reference.expires_at(), Some(crt.not_after()));
}

#[test]
fn every_cloud_comes_back_as_it_was() {
    let custom = || Cloud::custom("https://localhost:8443", "https://localhost:8444").unwrap();
    let alias = || ["login.example".to_owned()];
    for cloud in Cloud::all().into_iter().chain([
        custom(),
        custom().with_aliases(alias()).with_root_ca_pem("PEM"),
        Cloud::china().with_aliases(alias()).with_root_ca_pem("PEM"),
    ]) {
        let mut profile = ConnectionProfile::draft("Contoso", NOW);
        profile.set_tenant(cloud.clone(), tenant()).unwrap();
        let read = ConnectionProfile::from_json(&profile.to_json().unwrap()).unwrap();
        assert_eq!(read.cloud(), &cloud);
        assert_eq!(read.cloud().name(), cloud.name());
        assert_eq!(read.cloud().root_ca_pem(), cloud.root_ca_pem());
        assert_eq!(
            read.cloud().is_login_host("login.example"),
            cloud.is_login_host("login.example")
        );
        assert_eq!(read.to_json(), profile.to_json());
    }
}

#[test]
fn what_a_newer_product_stored_is_not_lost() {
    let mut newer = stored();
    for object in ["", "/cloud", "/credential", "/last_test"] {
        let members = newer.pointer_mut(object).unwrap().as_object_mut().unwrap();
        members.insert("of_tomorrow".to_owned(), json!({"a": [1, null]}));
    }
    let read = ConnectionProfile::from_json(&newer.to_string()).unwrap();
    let written: Value = serde_json::from_str(&read.to_json().unwrap()).unwrap();
    assert_eq!(written, newer);
    // It comes through a host's own structures as well.
    let embedded: ConnectionProfile = serde_json::from_value(newer.clone()).unwrap();
    assert_eq!(serde_json::to_value(&embedded).unwrap(), newer);
}

#[test]
fn what_was_said_of_an_old_test_is_not_said_of_a_new_one() {
    let mut newer = stored();
    let test = newer.pointer_mut("/last_test").unwrap();
    test.as_object_mut()
        .unwrap()
        .insert("took_ms".to_owned(), json!(7));
    let mut read = ConnectionProfile::from_json(&newer.to_string()).unwrap();
    read.record_test(&[Finding::passed("network", "reached")], NOW)
        .unwrap();
    assert!(!read.to_json().unwrap().contains("took_ms"));
}

#[test]
fn another_version_is_refused_whatever_its_shape() {
    for text in [
        r#"{"version": 2}"#.to_owned(),
        changed("/version", json!(2)).to_string(),
    ] {
        assert_eq!(
            ConnectionProfile::from_json(&text),
            Err(ProfileError::UnsupportedVersion { found: 2 })
        );
    }
}

#[test]
fn what_is_not_a_profile_is_refused_by_name() {
    let invalid = |field| ProfileError::Invalid { field };
    let secret = |field| ProfileError::SecretInProfile { field };
    let value = Value::Null;
    for (pointer, value, expected) in [
        ("/last_test", value.clone(), None),
        ("/linked_at", value.clone(), Some(ProfileError::NotLinked)),
        (
            "/tenant_id",
            value.clone(),
            Some(ProfileError::Missing(NextStep::Tenant)),
        ),
        (
            "/client_id",
            value.clone(),
            Some(ProfileError::Missing(NextStep::Application)),
        ),
        ("/name", json!(SECRET), Some(secret("name"))),
        (
            "/future",
            json!([{"a": SECRET}]),
            Some(secret("unknown member")),
        ),
        (
            "/cloud/future",
            json!(SECRET),
            Some(secret("unknown member")),
        ),
        (
            "/credential/future",
            json!({SECRET: 1}),
            Some(secret("unknown member")),
        ),
        (
            "/cloud/name",
            json!(SECRET),
            Some(ProfileError::UnknownCloud),
        ),
        (
            "/redirect_uris",
            json!(["https://a:b@app.example/"]),
            Some(secret("redirect_uris")),
        ),
        (
            "/credential/location",
            json!("redis://:b@vault.example"),
            Some(secret("location")),
        ),
        (
            "/credential",
            value,
            Some(ProfileError::Missing(NextStep::Credential)),
        ),
        (
            "/cloud/name",
            json!("moon"),
            Some(ProfileError::UnknownCloud {}),
        ),
        (
            "/cloud",
            json!({"name": "public", "login": "https://a.example"}),
            Some(invalid("cloud")),
        ),
        (
            "/cloud",
            json!({"name": "custom", "login": "http://a.example", "graph": "https://b.example"}),
            Some(ProfileError::Cloud(CloudError::NotHttps {
                host: "a.example".to_owned(),
            })),
        ),
        (
            "/redirect_uris",
            json!(["https://a.example/#x"]),
            Some(invalid("redirect_uris")),
        ),
        (
            "/redirect_uris",
            json!(["/callback"]),
            Some(invalid("redirect_uris")),
        ),
        (
            "/credential/location",
            json!(" "),
            Some(invalid("location")),
        ),
        (
            "/credential/location",
            json!("-----BEGIN PRIVATE KEY-----"),
            Some(secret("location")),
        ),
        (
            "/credential/location",
            json!("Ab8Q~SaMpLe"),
            None, // too short for a client secret
        ),
        (
            "/credential/location",
            json!("1a7Q~SaMpLeSaMpLeSaMpLeSaMpLeSaMpLe0"),
            None, // the digit stands elsewhere in a client secret
        ),
        (
            "/credential/location",
            json!("Ab~8Q~SaMpLeSaMpLeSaMpLeSaMpLeSaMpLe"),
            Some(secret("location")),
        ),
        ("/credential/hint", json!("Ab8Q"), Some(secret("hint"))),
        ("/credential/hint", json!(""), Some(invalid("hint"))),
        (
            "/credential/kind",
            json!("certificate"),
            Some(invalid("hint")),
        ),
        (
            "/credential/thumbprint_sha256",
            json!("00"),
            Some(invalid("thumbprint_sha256")),
        ),
    ] {
        let text = changed(pointer, value.clone()).to_string();
        let outcome = ConnectionProfile::from_json(&text).err();
        assert_eq!(outcome, expected, "{pointer}: {value}");
    }
}

#[test]
fn a_text_of_another_shape_is_refused_without_repeating_it() {
    let duplicate = stored()
        .to_string()
        .replacen('{', r#"{"name":"Fabrikam","#, 1);
    let typed = changed("/drafted_at", json!("my~secret~in~the~wrong~field"));
    for (text, detail) in [
        ("", "EOF while parsing a value at line 1 column 0"),
        ("{", "EOF while parsing an object at line 1 column 1"),
        ("{}", "missing field `version` at line 1 column 2"),
        (
            r#"{"version": 1}"#,
            "missing field `name` at line 1 column 14",
        ),
        ("[]", "an unexpected value at line 1 column 2"),
        (&duplicate, "duplicate field `name`"),
        (&typed.to_string(), "an unexpected value at line"),
    ] {
        let error = ConnectionProfile::from_json(text).unwrap_err();
        let ProfileError::NotAProfile { detail: found } = &error else {
            panic!("{error:?}");
        };
        assert!(found.starts_with(detail), "{text}: {found}");
        assert!(!error.to_string().contains("my~secret"));
    }
}

#[test]
fn a_time_that_cannot_be_written_is_no_empty_file() {
    let profile = ConnectionProfile::draft("Contoso", datetime!(-0001-01-01 00:00 UTC));
    assert_eq!(profile.to_json(), Err(ProfileError::UnwritableTime));
}

fn linked() -> ConnectionProfile {
    let mut profile = ConnectionProfile::draft("Contoso", NOW)
        .with_permission(WantedPermission::application("User.Read.All"))
        .with_permission(WantedPermission::delegated("email"))
        .with_redirect_uri("https://mdm.example/callback")
        .unwrap();
    profile
        .set_tenant(Cloud::us_government_dod(), tenant())
        .unwrap();
    profile.set_client_id(client()).unwrap();
    profile.set_credential(secret());
    profile.link(NOW).unwrap();
    profile
}

fn stored() -> Value {
    let mut profile = linked();
    let findings = [Finding::passed("network", "reached")];
    profile.record_test(&findings, NOW).unwrap();
    serde_json::to_value(&profile).unwrap()
}

fn changed(pointer: &str, value: Value) -> Value {
    let mut stored = stored();
    let (parent, member) = pointer.rsplit_once('/').unwrap();
    let parent = stored.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    parent.insert(member.to_owned(), value);
    stored
}

fn secret() -> CredentialReference {
    CredentialReference::client_secret("vault:entra/contoso")
        .unwrap()
        .with_key_id(uuid!("00000000-1111-4222-8333-444444444444"))
        .with_hint("Ab8")
        .unwrap()
        .with_issue(datetime!(2026-01-01 00:00 UTC))
        .with_expiry(datetime!(2026-12-31 00:00 UTC))
}

fn certificate() -> CredentialReference {
    let certificate = Certificate::from_pem(CRT).unwrap();
    CredentialReference::certificate(&certificate, "file:/etc/acme/entra.pem").unwrap()
}

fn tenant() -> TenantId {
    TenantId::parse("72f988bf-86f1-41af-91ab-2d7cd011db47").unwrap()
}

fn client() -> ClientId {
    ClientId::parse("11111111-2222-4333-8444-555555555555").unwrap()
}

const NOW: OffsetDateTime = datetime!(2026-02-03 09:00 UTC);
const CRT: &str = include_str!("fixtures/openssl/rsa2048.crt");

/// In the form of Entra's client secrets.
const SECRET: &str = "Ab18Q~0123456789abcdefghijklmnopqrstuv";
