//! Managed identities: what the environment tells, what each host is asked, retries, refusals.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails"
)]

mod scripted;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use entra_core::{
    ClientCredential, Cloud, Error, ManagedIdentity, ManagedIdentityError, ManagedIdentityHost,
    ManagedIdentityId, MovableClock, ObjectId, Pipeline, TokenErrorKind, TransportErrorKind,
    error_chain,
};
use scripted::app::{
    CLIENT, SECOND, client, client_id, forms, frozen, graph, kind, request, tenant, text,
};
use scripted::{Reply, ScriptedHttp};
use serde_json::json;
use time::macros::datetime;

const IMDS: &str = "http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01";
const APP_SERVICE: &[(&str, &str)] = &[
    ("IDENTITY_ENDPOINT", "http://169.254.129.5:8081/msi/token"),
    ("IDENTITY_HEADER", "853b9a84~header"),
];
const ARC: &[(&str, &str)] = &[
    (
        "IDENTITY_ENDPOINT",
        "http://localhost:40342/metadata/identity/oauth2/token",
    ),
    ("IMDS_ENDPOINT", "http://localhost:40342"),
];

#[tokio::test]
async fn a_virtual_machine_asks_its_metadata_service_after_looking_for_it() {
    let (identity, http, _) = machine(&[], [present(), answer("t1"), answer("t2")]);
    assert_eq!(identity.host(), ManagedIdentityHost::VirtualMachine);
    let token = identity.token(&graph()).await.unwrap();
    assert_eq!(text(&token), "t1");
    assert_eq!(token.expires_on(), datetime!(2026-01-02 00:00 UTC));
    identity.token(&graph()).await.unwrap();
    identity
        .token(&request("https://vault.azure.net/.default"))
        .await
        .unwrap();
    let seen = http.seen();
    assert_eq!(
        seen.iter()
            .map(|seen| seen.uri.to_string())
            .collect::<Vec<_>>(),
        [
            IMDS.to_owned(),
            format!("{IMDS}&resource=https%3A%2F%2Fgraph.microsoft.com"),
            format!("{IMDS}&resource=https%3A%2F%2Fvault.azure.net"),
        ]
    );
    let headers: Vec<_> = seen.iter().map(|seen| seen.header("metadata")).collect();
    assert_eq!(headers, [None, Some("true"), Some("true")]);
    assert!(
        seen.iter()
            .all(|seen| seen.method == "GET" && seen.body.is_empty())
    );
    assert_eq!(seen.first().unwrap().limits.deadline, SECOND);
}

#[tokio::test]
async fn a_machine_without_a_metadata_service_says_so_after_one_attempt() {
    for reply in [
        Reply::fails(TransportErrorKind::Timeout),
        Reply::fails(TransportErrorKind::Connect),
        Reply::new(403, "text/html", "<html>the proxy says no</html>"),
    ] {
        let (identity, http, _) = machine(&[], [reply]);
        for _ in 0..2 {
            // The second time it is remembered.
            let error = identity.token(&graph()).await.unwrap_err();
            let Error::NotAvailable { credential, source } = &error else {
                panic!("{error:?}");
            };
            assert_eq!(*credential, "managed identity");
            assert_eq!(
                source.to_string(),
                "this machine has no instance metadata service"
            );
        }
        assert_eq!(http.count(), 1);
    }
}

#[tokio::test]
async fn the_metadata_service_s_troubles_are_waited_for_as_its_documentation_says() {
    let status = |status| Reply::new(status, "application/json", "{}");
    for (troubles, waits) in [
        (vec![404, 429, 500], vec![1, 2, 4]),
        (vec![503, 504], vec![1, 2]),
        (vec![410; 7], vec![10; 7]),
    ] {
        let script = [present()]
            .into_iter()
            .chain(troubles.iter().map(|code| status(*code)));
        let (identity, http, _) = machine(&[], script.chain([answer("t1")]));
        assert_eq!(text(&identity.token(&graph()).await.unwrap()), "t1");
        let times: Vec<_> = http.seen().iter().skip(1).map(|seen| seen.at).collect();
        let waited: Vec<_> = times
            .iter()
            .zip(times.iter().skip(1))
            .map(|(one, next)| (*next - *one).whole_seconds())
            .collect();
        assert_eq!(waited, waits, "{troubles:?}");
    }
}

#[tokio::test]
async fn a_metadata_service_that_stays_down_is_given_up() {
    for (status, asked) in [(500, 4), (404, 4), (410, 8), (400, 1), (403, 1)] {
        let refusals = (0..asked).map(|_| Reply::new(status, "application/json", "{}"));
        let (identity, http, _) = machine(&[], [present()].into_iter().chain(refusals));
        identity.token(&graph()).await.unwrap_err();
        assert_eq!(http.count(), asked + 1, "{status}");
    }
}

#[tokio::test]
async fn a_wait_that_the_metadata_service_asks_for_is_honoured() {
    let busy = Reply::new(429, "application/json", "{}").header("retry-after", "7");
    let (identity, http, _) = machine(&[], [present(), busy, answer("t1")]);
    identity.token(&graph()).await.unwrap();
    let at = http.seen().last().unwrap().at;
    assert_eq!(at, datetime!(2026-01-01 00:00:07 UTC));
}

#[tokio::test]
async fn a_machine_without_an_identity_is_not_available_and_a_wrong_id_is_a_refusal() {
    let unknown = || {
        let body = json!({"error": "invalid_request", "error_description": "Identity not found"});
        Reply::json(400, &body)
    };
    let (identity, _, _) = machine(&[], [present(), unknown()]);
    let error = identity.token(&graph()).await.unwrap_err();
    assert_eq!(
        error_chain(&error),
        "managed identity is not available here: no identity is assigned to this machine"
    );
    let (identity, _, _) = machine_as(&[], client_identity(), [present(), unknown()]);
    let error = identity.token(&graph()).await.unwrap_err();
    assert!(matches!(&error, Error::Token(token) if token.description == "Identity not found"));
}

#[tokio::test]
async fn a_refusal_of_entra_that_the_metadata_service_hands_on_is_read() {
    let refusal = Reply::refusal(400, "invalid_resource", 500_011);
    let (identity, _, _) = machine(&[], [present(), refusal]);
    let error = identity.token(&graph()).await.unwrap_err();
    assert_eq!(kind(&error), TokenErrorKind::ResourceNotAvailable);
}

#[tokio::test]
async fn a_user_assigned_identity_is_named_in_each_host_s_own_words() {
    let object = ObjectId::parse("22222222-2222-4333-8444-555555555555").unwrap();
    let resource = "/subscriptions/s/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/w";
    let on_machine = [
        (client_identity(), "client_id", CLIENT.to_owned()),
        (
            ManagedIdentityId::Object(object),
            "object_id",
            object.to_string(),
        ),
        (
            ManagedIdentityId::Resource(resource.into()),
            "msi_res_id",
            resource.to_owned(),
        ),
    ];
    for (id, name, value) in on_machine {
        let (identity, http, _) = machine_as(&[], id, [present(), answer("t1")]);
        identity.token(&graph()).await.unwrap();
        assert_eq!(query(&http, name), Some(value));
    }
    let on_app_service = [
        (client_identity(), "client_id", CLIENT.to_owned()),
        (
            ManagedIdentityId::Object(object),
            "principal_id",
            object.to_string(),
        ),
        (
            ManagedIdentityId::Resource(resource.into()),
            "mi_res_id",
            resource.to_owned(),
        ),
    ];
    for (id, name, value) in on_app_service {
        let (identity, http, _) = machine_as(APP_SERVICE, id, [answer("t1")]);
        identity.token(&graph()).await.unwrap();
        assert_eq!(query(&http, name), Some(value));
    }
}

#[tokio::test]
async fn app_service_is_asked_with_its_header() {
    let body = json!({"access_token": "t1", "expires_on": 1_767_312_000, "token_type": "Bearer"});
    let (identity, http, _) = machine(APP_SERVICE, [Reply::json(200, &body)]);
    assert_eq!(identity.host(), ManagedIdentityHost::AppService);
    let token = identity.token(&graph()).await.unwrap();
    assert_eq!(token.expires_on(), datetime!(2026-01-02 00:00 UTC));
    let seen = http.seen().pop().unwrap();
    assert_eq!(
        seen.uri,
        "http://169.254.129.5:8081/msi/token?api-version=2019-08-01&resource=https%3A%2F%2Fgraph.microsoft.com"
    );
    assert_eq!(seen.header("x-identity-header"), Some("853b9a84~header"));
    assert!(
        seen.headers
            .get("x-identity-header")
            .unwrap()
            .is_sensitive()
    );
    assert_eq!(seen.header("metadata"), None);
    assert!(!format!("{identity:?}").contains("853b9a84"));
}

#[tokio::test]
async fn a_refusal_of_app_service_is_told_in_its_words() {
    let body =
        json!({"statusCode": 400, "message": "No Managed Identity found.", "correlationId": "c"});
    let (identity, _, _) = machine(APP_SERVICE, [Reply::json(400, &body)]);
    let error = identity.token(&graph()).await.unwrap_err();
    assert_eq!(
        error_chain(&error),
        "the host's own credential failed: App Service answered 400 Bad Request: No Managed Identity found."
    );
    assert!(error.admin_hint().contains("Assign the identity"));
}

#[tokio::test]
async fn an_answer_that_is_no_token_is_malformed_and_not_repeated() {
    for body in [
        json!({"access_token": "s3cr3t"}),
        json!({"access_token": "s3cr3t", "expires_on": "soon"}),
        json!({"access_token": "s3cr3t\n", "expires_on": "1767312000"}),
        json!({"expires_on": "1767312000"}),
    ] {
        let (identity, _, _) = machine(APP_SERVICE, [Reply::json(200, &body)]);
        let error = identity.token(&graph()).await.unwrap_err();
        assert!(matches!(error, Error::Malformed { .. }), "{body}");
        assert!(!format!("{error:?}{}", error_chain(&error)).contains("s3cr3t"));
    }
}

#[tokio::test]
async fn azure_arc_s_challenge_is_answered_with_the_key_in_its_file() {
    let folder = Folder::new("answered");
    let key = folder.write("a.key", "k3y~value\n");
    let (identity, http, _) = machine(ARC, [challenge(&key), answer("t1")]);
    assert_eq!(identity.host(), ManagedIdentityHost::AzureArc);
    let identity = identity.with_arc_key_folder(&folder.0);
    assert_eq!(text(&identity.token(&graph()).await.unwrap()), "t1");
    let seen = http.seen();
    let keys: Vec<_> = seen
        .iter()
        .map(|seen| seen.header("authorization"))
        .collect();
    assert_eq!(keys, [None, Some("Basic k3y~value")]);
    let last = seen.last().unwrap();
    assert_eq!(last.header("metadata"), Some("true"));
    assert!(last.headers.get("authorization").unwrap().is_sensitive());
    assert_eq!(
        last.uri,
        "http://localhost:40342/metadata/identity/oauth2/token?api-version=2020-06-01&resource=https%3A%2F%2Fgraph.microsoft.com"
    );
}

#[tokio::test]
async fn a_file_that_is_not_a_key_of_the_agent_is_not_read() {
    let folder = Folder::new("foreign");
    std::fs::create_dir_all(folder.0.join("sub")).unwrap();
    folder.write("sub/a.key", "s3cr3t");
    folder.write("a.txt", "s3cr3t");
    let outside = Folder::new("outside");
    outside.write("a.key", "s3cr3t");
    for refused in [
        folder.0.join("a.txt"),
        folder.0.join("sub/a.key"),
        folder.0.join("sub/../a.key"),
        outside.0.join("a.key"),
        folder
            .0
            .join("../")
            .join(outside.0.file_name().unwrap())
            .join("a.key"),
        PathBuf::from("a.key"),
        PathBuf::from("/etc/shadow"),
    ] {
        let (identity, http, _) = machine(ARC, [challenge(&refused)]);
        let identity = identity.with_arc_key_folder(&folder.0);
        let error = identity.token(&graph()).await.unwrap_err();
        assert!(
            matches!(reason(&error), ManagedIdentityError::ForeignKeyFile),
            "{refused:?}"
        );
        assert_eq!(http.count(), 1);
    }
}

#[tokio::test]
async fn without_an_option_the_agent_s_own_folder_is_expected() {
    let (identity, _, _) = machine(
        ARC,
        [challenge(Path::new("/var/opt/azcmagent/tokens/none.key"))],
    );
    let error = identity.token(&graph()).await.unwrap_err();
    if cfg!(target_os = "linux") {
        // It is looked for, and is not there.
        assert!(
            matches!(reason(&error), ManagedIdentityError::KeyFile(_)),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn a_key_larger_than_four_kibibytes_is_refused() {
    let folder = Folder::new("large");
    for (size, accepted) in [(4096, true), (4097, false)] {
        let key = folder.write("a.key", &"k".repeat(size));
        let (identity, http, _) = machine(ARC, [challenge(&key), answer("t1")]);
        let outcome = identity
            .with_arc_key_folder(&folder.0)
            .token(&graph())
            .await;
        assert_eq!(outcome.is_ok(), accepted, "{size}");
        assert_eq!(http.count(), if accepted { 2 } else { 1 });
    }
}

#[tokio::test]
async fn a_challenge_that_names_no_file_is_refused() {
    for challenge in [
        None,
        Some("Basic realm="),
        Some("Bearer realm=/a.key"),
        Some("Basic"),
    ] {
        let mut reply = Reply::new(401, "application/json", "{}");
        if let Some(challenge) = challenge {
            reply = reply.header("www-authenticate", challenge);
        }
        let (identity, _, _) = machine(ARC, [reply]);
        let error = identity.token(&graph()).await.unwrap_err();
        assert!(
            matches!(reason(&error), ManagedIdentityError::NoChallenge),
            "{challenge:?}"
        );
    }
}

#[tokio::test]
async fn a_key_that_is_refused_is_not_tried_again() {
    let folder = Folder::new("twice");
    let key = folder.write("a.key", "k3y");
    let (identity, http, _) = machine(ARC, [challenge(&key), challenge(&key)]);
    let identity = identity.with_arc_key_folder(&folder.0);
    let error = identity.token(&graph()).await.unwrap_err();
    assert!(matches!(reason(&error), ManagedIdentityError::KeyRefused));
    assert_eq!(http.count(), 2);
}

#[test]
fn the_environment_decides_in_the_order_of_microsoft_s_libraries() {
    use ManagedIdentityHost::{AppService, AzureArc, VirtualMachine};
    let (endpoint, header) = (
        ("IDENTITY_ENDPOINT", "http://127.0.0.1:1/token"),
        ("IDENTITY_HEADER", "h"),
    );
    let imds = ("IMDS_ENDPOINT", "http://127.0.0.1:1");
    let msi = ("MSI_ENDPOINT", "http://127.0.0.1:1/token");
    for (environment, expected) in [
        (&[][..], Ok(VirtualMachine)),
        (&[endpoint], Ok(VirtualMachine)),
        (&[endpoint, header], Ok(AppService)),
        (&[endpoint, header, imds, msi], Ok(AppService)),
        (&[endpoint, imds], Ok(AzureArc)),
        (
            &[endpoint, header, ("IDENTITY_SERVER_THUMBPRINT", "t")],
            Err("Service Fabric"),
        ),
        (&[msi], Err("Cloud Shell")),
        (&[msi, ("MSI_SECRET", "s")], Err("Azure Machine Learning")),
    ] {
        let environment: Vec<_> = environment.iter().copied().chain(windows()).collect();
        let found = detect(&environment, ManagedIdentityId::System);
        match (found, expected) {
            (Ok(identity), Ok(host)) => assert_eq!(identity.host(), host, "{environment:?}"),
            (Err(ManagedIdentityError::Unsupported(name)), Err(host)) => assert_eq!(name, host),
            (found, _) => panic!("{environment:?}: {found:?}"),
        }
    }
}

#[test]
fn a_host_that_is_not_supported_is_passed_over_in_a_chain() {
    let environment = [("MSI_ENDPOINT", "http://127.0.0.1:1/token")];
    let error = detect(&environment, ManagedIdentityId::System).unwrap_err();
    assert!(matches!(Error::from(error), Error::NotAvailable { .. }));
}

#[test]
fn an_endpoint_beyond_the_machine_is_refused_in_the_clear() {
    for refused in [
        "http://evil.example/msi/token",
        "http://8.8.8.8/msi/token",
        "http://user@127.0.0.1/msi/token",
        "http://127.0.0.1/msi/token?resource=x",
        "ftp://127.0.0.1/",
        "169.254.169.254",
    ] {
        let environment = [("IDENTITY_ENDPOINT", refused), ("IDENTITY_HEADER", "h")];
        let error = detect(&environment, ManagedIdentityId::System).unwrap_err();
        assert!(
            matches!(error, ManagedIdentityError::Endpoint("IDENTITY_ENDPOINT")),
            "{refused}"
        );
        let environment = [("AZURE_POD_IDENTITY_AUTHORITY_HOST", refused)];
        assert!(
            detect(&environment, ManagedIdentityId::System).is_err(),
            "{refused}"
        );
    }
}

#[test]
fn an_identity_that_the_host_cannot_have_is_refused() {
    let arc: Vec<_> = ARC.iter().copied().chain(windows()).collect();
    assert!(matches!(
        detect(&arc, client_identity()),
        Err(ManagedIdentityError::UserAssigned)
    ));
    let resource = ManagedIdentityId::Resource("worker".into());
    assert!(matches!(
        detect(&[], resource),
        Err(ManagedIdentityError::ResourceId)
    ));
}

#[tokio::test]
async fn what_names_no_single_resource_is_refused_before_anything_is_sent() {
    let (identity, http, _) = machine(&[], []);
    for refused in [
        request("https://graph.microsoft.com/User.Read"),
        request("/.default"),
        request("https://a/.default https://b/.default"),
        graph().in_tenant(tenant("fabrikam.example")),
    ] {
        let error = identity.token(&refused).await.unwrap_err();
        assert!(matches!(error, Error::InvalidRequest(_)), "{error:?}");
    }
    assert_eq!(http.count(), 0);
}

#[tokio::test]
async fn the_identity_proves_an_application_that_trusts_it() {
    let (identity, machine, clock) = machine(&[], [present(), answer("e30.e30.machine")]);
    let audience = Cloud::public().token_exchange_audience().unwrap();
    let http = ScriptedHttp::new(&clock, ["t1", "t2"].map(|token| Reply::token(token, 3600)));
    let credential = ClientCredential::assertion(identity.as_assertion(audience));
    let app = client(&http, &clock, credential);
    for scope in ["api://a/.default", "api://b/.default"] {
        app.token(&request(scope)).await.unwrap();
    }
    assert_eq!(
        query(&machine, "resource").as_deref(),
        Some("api://AzureADTokenExchange")
    );
    assert_eq!(machine.count(), 2, "the machine's token is kept");
    let assertion = Some("e30.e30.machine".to_owned());
    assert_eq!(
        forms(&http, "client_assertion"),
        [assertion.clone(), assertion]
    );
}

#[tokio::test]
async fn an_application_whose_machine_has_no_identity_is_not_available() {
    let (identity, _, clock) = machine(&[], [Reply::fails(TransportErrorKind::Timeout)]);
    let http = ScriptedHttp::new(&clock, []);
    let credential = ClientCredential::assertion(identity.as_assertion("api://x"));
    let error = client(&http, &clock, credential)
        .token(&graph())
        .await
        .unwrap_err();
    assert!(matches!(error, Error::NotAvailable { .. }), "{error:?}");
}

#[test]
fn each_cloud_that_documents_one_has_its_own_exchange_audience() {
    let audiences = Cloud::all().map(|cloud| cloud.token_exchange_audience());
    assert_eq!(
        audiences,
        [
            Some("api://AzureADTokenExchange"),
            Some("api://AzureADTokenExchangeUSGov"),
            Some("api://AzureADTokenExchangeUSGov"),
            Some("api://AzureADTokenExchangeChina"),
            None,
            None,
            None,
        ]
    );
}

fn machine(
    environment: &[(&str, &str)],
    script: impl IntoIterator<Item = Reply>,
) -> (ManagedIdentity, ScriptedHttp, Arc<MovableClock>) {
    machine_as(environment, ManagedIdentityId::System, script)
}

fn machine_as(
    environment: &[(&str, &str)],
    identity: ManagedIdentityId,
    script: impl IntoIterator<Item = Reply>,
) -> (ManagedIdentity, ScriptedHttp, Arc<MovableClock>) {
    let clock = frozen();
    let http = ScriptedHttp::new(&clock, script);
    let pipeline = Pipeline::new(http.clone()).with_clock(clock.clone());
    let environment: Vec<_> = environment.iter().copied().chain(windows()).collect();
    let identity = ManagedIdentity::from_environment(&map(&environment), identity, pipeline);
    (identity.unwrap(), http, clock)
}

fn detect(
    environment: &[(&str, &str)],
    identity: ManagedIdentityId,
) -> Result<ManagedIdentity, ManagedIdentityError> {
    let pipeline = Pipeline::new(ScriptedHttp::new(&frozen(), []));
    ManagedIdentity::from_environment(&map(environment), identity, pipeline)
}

fn map(environment: &[(&str, &str)]) -> HashMap<String, String> {
    environment
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

/// What every process on Windows has in its environment.
fn windows() -> Option<(&'static str, &'static str)> {
    cfg!(windows).then_some(("ProgramData", r"C:\ProgramData"))
}

/// The metadata service is there, and wants its header.
fn present() -> Reply {
    let text = "Required metadata header not specified";
    Reply::json(
        400,
        &json!({"error": "bad_request_102", "error_description": text}),
    )
}

/// A token for a day, with numbers as texts.
fn answer(token: &str) -> Reply {
    Reply::json(
        200,
        &json!({
            "access_token": token,
            "client_id": CLIENT,
            "expires_in": "86400",
            "expires_on": "1767312000",
            "resource": "https://graph.microsoft.com",
            "token_type": "Bearer",
        }),
    )
}

fn challenge(key: &Path) -> Reply {
    let challenge = format!("Basic realm={}", key.to_str().unwrap());
    Reply::new(401, "application/json", "{}").header("www-authenticate", &challenge)
}

fn client_identity() -> ManagedIdentityId {
    ManagedIdentityId::Client(client_id())
}

/// A parameter of the last request.
fn query(http: &ScriptedHttp, name: &str) -> Option<String> {
    let seen = http.seen().pop()?;
    url::form_urlencoded::parse(seen.uri.query()?.as_bytes())
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
}

fn reason(error: &Error) -> &ManagedIdentityError {
    match error {
        Error::Credential(source) => source.downcast_ref().unwrap(),
        other => panic!("{other:?}"),
    }
}

/// A folder for keys, gone with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = format!("entra-core-arc-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(folder);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, content).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
