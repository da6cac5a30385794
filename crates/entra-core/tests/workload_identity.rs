//! Workload identity: what the environment says, and the token in the file.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails"
)]

mod scripted;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use entra_core::{
    Authority, Cloud, ConfidentialClient, Error, MovableClock, Pipeline, WorkloadIdentity,
    WorkloadIdentityError, error_chain,
};
use scripted::app::{CLIENT, SECOND, client_id, forms, frozen, graph, tenant, text};
use scripted::{Reply, ScriptedHttp};

/// 2026-01-01 00:00 UTC, when the clocks of these tests begin.
const START: i64 = 1_767_225_600;

#[tokio::test]
async fn the_token_in_the_file_is_the_proof() {
    let file = TokenFile::new("proof");
    file.write(&token("a", START + 3600));
    let (app, http, _) = file.client([Reply::token("t1", 3600)]);
    assert_eq!(text(&app.token(&graph()).await.unwrap()), "t1");
    assert_eq!(
        forms(&http, "client_assertion"),
        [Some(token("a", START + 3600))]
    );
    assert_eq!(
        forms(&http, "client_assertion_type"),
        [Some(
            "urn:ietf:params:oauth:client-assertion-type:jwt-bearer".to_owned()
        )]
    );
    assert_eq!(forms(&http, "client_secret"), [None]);
}

#[tokio::test]
async fn a_token_that_the_platform_replaced_is_read_at_once() {
    let file = TokenFile::new("replaced");
    let (app, http, clock) = file.client([Reply::token("t1", 3600), Reply::token("t2", 3600)]);
    file.write(&format!("{}\n", token("a", START + 3600)));
    app.token(&graph()).await.unwrap();
    clock.advance(SECOND);
    file.write(&token("b", START + 7200));
    app.token(&graph().bypassing_cache()).await.unwrap();
    assert_eq!(
        forms(&http, "client_assertion"),
        [token("a", START + 3600), token("b", START + 7200)].map(Some)
    );
}

#[tokio::test]
async fn a_token_that_has_ended_is_not_sent() {
    let file = TokenFile::new("ended");
    file.write(&token("a", START + 60));
    let (app, http, clock) = file.client([Reply::token("t1", 3600)]);
    clock.advance(59 * SECOND);
    app.token(&graph()).await.unwrap();
    clock.advance(SECOND);
    let error = app.token(&graph().bypassing_cache()).await.unwrap_err();
    assert_eq!(
        error_chain(&error),
        "the host's own credential failed: the federated token in the file has ended"
    );
    assert_eq!(http.count(), 1);
}

#[tokio::test]
async fn a_file_without_a_token_is_refused_and_not_repeated() {
    let no_end = format!("e30.{}.x", URL_SAFE_NO_PAD.encode("{}"));
    for content in ["", "not~a~token", "e30.not~base64.x", &no_end] {
        let file = TokenFile::new("garbage");
        file.write(content);
        let (app, http, _) = file.client([]);
        let error = app.token(&graph()).await.unwrap_err();
        assert_eq!(
            error_chain(&error),
            "the host's own credential failed: the file with the federated token holds no token"
        );
        assert!(!format!("{error:?}").contains("not~"));
        assert_eq!(http.count(), 0);
    }
}

#[tokio::test]
async fn a_file_that_is_not_there_or_too_large_is_told() {
    let file = TokenFile::new("missing");
    let (app, _, _) = file.client([]);
    let error = app.token(&graph()).await.unwrap_err();
    assert!(
        error_chain(&error).contains("the file with the federated token cannot be read: "),
        "{error:?}"
    );
    assert!(
        error.admin_hint().contains("service account"),
        "{}",
        error.admin_hint()
    );
    file.write(&"x".repeat(64 * 1024 + 1));
    let error = app.token(&graph()).await.unwrap_err();
    assert!(
        error_chain(&error).ends_with(": the file is larger than 65536 bytes"),
        "{error:?}"
    );
}

#[test]
fn the_environment_names_tenant_client_file_and_cloud() {
    let identity = WorkloadIdentity::from_environment(&environment(&[])).unwrap();
    assert_eq!(
        *identity.authority(),
        Authority::new(Cloud::public(), tenant("contoso.onmicrosoft.com"))
    );
    assert_eq!(*identity.client_id(), client_id());
    assert_eq!(identity.token_file().to_str(), Some("/var/run/token"));
    for (host, cloud) in [
        ("https://login.microsoftonline.com/", Cloud::public()),
        ("https://login.microsoftonline.us/", Cloud::us_government()),
        ("https://login.chinacloudapi.cn", Cloud::china()),
        ("https://login.partner.microsoftonline.cn/", Cloud::china()),
    ] {
        let environment = environment(&[("AZURE_AUTHORITY_HOST", host)]);
        let identity = WorkloadIdentity::from_environment(&environment).unwrap();
        assert_eq!(*identity.authority().cloud(), cloud, "{host}");
    }
}

#[test]
fn a_cloud_that_the_host_names_must_be_the_environment_s() {
    let local = || Cloud::custom("https://localhost:8443", "https://localhost:8443").unwrap();
    let host = |url| environment(&[("AZURE_AUTHORITY_HOST", url)]);
    let own = host("https://localhost:8443/");
    let identity = WorkloadIdentity::in_cloud(&own, local()).unwrap();
    assert_eq!(*identity.authority().cloud(), local());
    WorkloadIdentity::in_cloud(&environment(&[]), local()).unwrap();
    for refused in [
        "https://login.microsoftonline.com",
        "http://localhost:8443",
        "https://localhost:8444",
        "localhost:8443",
    ] {
        assert!(matches!(
            WorkloadIdentity::in_cloud(&host(refused), local()),
            Err(WorkloadIdentityError::AuthorityHost)
        ));
    }
}

#[test]
fn an_unknown_sign_in_host_is_refused_without_repeating_it() {
    let environment = environment(&[("AZURE_AUTHORITY_HOST", "https://evil.example/")]);
    let error = WorkloadIdentity::from_environment(&environment).unwrap_err();
    assert!(matches!(error, WorkloadIdentityError::AuthorityHost));
    assert!(!format!("{error} {error:?}").contains("evil"));
}

#[test]
fn what_the_environment_lacks_is_named_and_makes_it_not_available_here() {
    let error = WorkloadIdentity::from_environment(&HashMap::new()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the environment lacks AZURE_TENANT_ID, AZURE_CLIENT_ID, AZURE_FEDERATED_TOKEN_FILE"
    );
    let environment = environment(&[("AZURE_CLIENT_ID", " ")]);
    let error = WorkloadIdentity::from_environment(&environment).unwrap_err();
    assert_eq!(error.to_string(), "the environment lacks AZURE_CLIENT_ID");
    let error = Error::from(error);
    assert!(matches!(
        error,
        Error::NotAvailable {
            credential: "workload identity",
            ..
        }
    ));
}

#[test]
fn an_id_that_cannot_be_read_is_told_without_its_value() {
    for name in ["AZURE_TENANT_ID", "AZURE_CLIENT_ID"] {
        let environment = environment(&[(name, "s3cr3t~in~the~wrong~place")]);
        let error = WorkloadIdentity::from_environment(&environment).unwrap_err();
        assert!(matches!(error, WorkloadIdentityError::Id(_)), "{error:?}");
        assert!(!format!("{error:?}{}", error_chain(&error)).contains("s3cr3t"));
        assert!(matches!(Error::from(error), Error::Credential(_)));
    }
}

/// A federated token; nobody here checks its signature.
fn token(subject: &str, end: i64) -> String {
    let claims = format!(r#"{{"sub":"{subject}","exp":{end}}}"#);
    format!("e30.{}.x", URL_SAFE_NO_PAD.encode(claims))
}

fn environment(changes: &[(&str, &str)]) -> HashMap<String, String> {
    [
        ("AZURE_TENANT_ID", "contoso.onmicrosoft.com"),
        ("AZURE_CLIENT_ID", CLIENT),
        ("AZURE_FEDERATED_TOKEN_FILE", "/var/run/token"),
    ]
    .iter()
    .chain(changes)
    .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
    .collect()
}

/// A file in the folder for temporary files, gone with the test.
struct TokenFile(PathBuf);

impl TokenFile {
    fn new(name: &str) -> Self {
        let file = format!("entra-core-workload-{}-{name}", std::process::id());
        Self(std::env::temp_dir().join(file))
    }

    fn write(&self, content: &str) {
        std::fs::write(&self.0, content).unwrap();
    }

    fn client(
        &self,
        script: impl IntoIterator<Item = Reply>,
    ) -> (ConfidentialClient, ScriptedHttp, Arc<MovableClock>) {
        let clock = frozen();
        let http = ScriptedHttp::new(&clock, script);
        let authority = Authority::new(Cloud::public(), tenant("contoso.onmicrosoft.com"));
        let app = WorkloadIdentity::new(authority, client_id(), &self.0)
            .into_client(Pipeline::new(http.clone()).with_clock(clock.clone()))
            .unwrap();
        (app, http, clock)
    }
}

impl Drop for TokenFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
