//! The program: one line of JSON, TLS with its own authority, faults on the wire, a clean end.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what a test cannot do fails it"
)]

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use bytes::Bytes;
use entra_core::{Cloud, HttpClient, HttpsClient, Limits, TransportErrorKind};
use http::{Request, Response};
use serde_json::Value;

#[tokio::test]
async fn the_program_announces_itself_serves_and_ends_cleanly_on_sigterm() {
    let folder = Folder::new("serves");
    let program = Program::start(&folder);
    let line = &program.line;
    let mut names: Vec<&str> = line
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "apps",
            "authority",
            "ca",
            "control",
            "domain",
            "external_id",
            "graph",
            "identity_header",
            "managed_identities",
            "public_app",
            "tenant_id",
            "users"
        ]
    );
    assert_eq!(line["authority"], line["graph"]);
    assert_eq!(line["external_id"], Value::Null);
    // Guests and disabled accounts have no password here.
    assert_eq!(line["users"].as_array().unwrap().len(), 33);

    let client = program.client();
    let app = &line["apps"][0];
    let body = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("grant_type", "client_credentials")
        .append_pair("client_id", app["client_id"].as_str().unwrap())
        .append_pair("client_secret", app["client_secret"].as_str().unwrap())
        .append_pair(
            "scope",
            &format!("{}/.default", line["graph"].as_str().unwrap()),
        )
        .finish();
    let path = format!("/{}/oauth2/v2.0/token", line["domain"].as_str().unwrap());
    let request = Request::post(program.url(&path))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Bytes::from(body));
    let answer = client.send(request.unwrap(), LIMITS).await.unwrap();
    assert_eq!(answer.status(), 200);
    let token: Value = serde_json::from_slice(answer.body()).unwrap();

    let request = Request::get(program.url("/v1.0/users?$top=2"))
        .header(
            "authorization",
            format!("Bearer {}", token["access_token"].as_str().unwrap()),
        )
        .body(Bytes::new());
    let answer = client.send(request.unwrap(), LIMITS).await.unwrap();
    let users: Value = serde_json::from_slice(answer.body()).unwrap();
    assert_eq!(users["value"].as_array().map(Vec::len), Some(2), "{users}");

    let password = line["users"][0]["password"].as_str().unwrap().to_owned();
    let secret = app["client_secret"].as_str().unwrap().to_owned();
    assert!(program.terminate().await.success());

    let log = std::fs::read_to_string(folder.log()).unwrap();
    assert!(log.contains("/oauth2/v2.0/token"));
    let token = token["access_token"].as_str().unwrap();
    for secret in [password.as_str(), &secret, token] {
        assert!(!log.contains(secret), "the log holds a secret");
    }
}

#[tokio::test]
async fn faults_of_the_connection_happen_on_the_wire() {
    let folder = Folder::new("faults");
    let program = Program::start(&folder);
    let client = program.client();
    for (fault, kind) in [
        ("dropped", TransportErrorKind::Interrupted),
        ("dropped_after", TransportErrorKind::Interrupted),
        ("truncated", TransportErrorKind::Interrupted),
        (
            "oversized",
            TransportErrorKind::BodyTooLarge { limit: 1 << 20 },
        ),
    ] {
        let body = format!(r#"[{{"path": "/common/", "fault": "{fault}"}}]"#);
        let request = Request::post(program.url("/_emulator/faults")).body(Bytes::from(body));
        assert_eq!(
            client
                .send(request.unwrap(), LIMITS)
                .await
                .unwrap()
                .status(),
            200
        );
        let error = keys(&program, &client).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{fault}");
        assert_eq!(
            keys(&program, &client).await.unwrap().status(),
            200,
            "{fault}"
        );
    }
    assert!(program.terminate().await.success());
}

#[tokio::test]
async fn a_request_beyond_the_limit_of_the_service_is_refused_with_413() {
    let program = Program::start(&Folder::new("large"));
    for (size, status) in [(4 << 20, 401), ((4 << 20) + 1, 413)] {
        let body = Bytes::from(vec![b' '; size]);
        let request = Request::post(program.url("/v1.0/users")).body(body);
        let answer = program.client().send(request.unwrap(), LIMITS).await;
        assert_eq!(answer.unwrap().status(), status, "{size}");
    }
    assert!(program.terminate().await.success());
}

#[tokio::test]
async fn a_client_that_does_not_know_the_authority_refuses_it() {
    let folder = Folder::new("authority");
    let program = Program::start(&folder);
    let error = keys(&program, &HttpsClient::new().unwrap())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Tls);
}

#[tokio::test]
async fn certificates_are_used_again_and_their_key_is_private() {
    let folder = Folder::new("again");
    let read =
        || ["ca.pem", "tls.pem", "tls.key"].map(|name| std::fs::read(folder.0.join(name)).unwrap());
    let first = {
        let _program = Program::start(&folder);
        read()
    };
    let mode = std::fs::metadata(folder.0.join("tls.key"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);

    let program = Program::start(&folder);
    assert!(read() == first);
    assert_eq!(
        keys(&program, &program.client()).await.unwrap().status(),
        200
    );
    drop(program);

    std::fs::write(folder.0.join("tls.key"), "not a key").unwrap();
    let program = Program::start(&folder);
    assert!(read() != first);
    assert_eq!(
        keys(&program, &program.client()).await.unwrap().status(),
        200
    );
}

#[test]
fn the_program_does_not_listen_beyond_this_machine_unless_told() {
    let folder = Folder::new("anywhere");
    let output = Command::new(PROGRAM)
        .args(["--listen", "0.0.0.0:0", "--dir"])
        .arg(&folder.0)
        .output()
        .unwrap();
    assert!(!output.status.success());
    assert_eq!(output.stdout, b"");
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("--dangerous-listen-anywhere"), "{text}");
}

async fn keys(
    program: &Program,
    client: &HttpsClient,
) -> Result<Response<Bytes>, entra_core::TransportError> {
    let request = Request::get(program.url("/common/discovery/v2.0/keys")).body(Bytes::new());
    client.send(request.unwrap(), LIMITS).await
}

struct Program {
    child: Child,
    line: Value,
}

impl Program {
    fn start(folder: &Folder) -> Self {
        let mut child = Command::new(PROGRAM)
            .args(["--listen", "127.0.0.1:0", "--dir"])
            .arg(&folder.0)
            .stdout(Stdio::piped())
            .env("RUST_LOG", "trace")
            .stderr(std::fs::File::create(folder.log()).unwrap())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let output = child.stdout.take().unwrap();
        BufReader::new(output).read_line(&mut line).unwrap();
        Self {
            child,
            line: serde_json::from_str(&line).unwrap(),
        }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.line["authority"].as_str().unwrap())
    }

    fn client(&self) -> HttpsClient {
        let origin = self.line["authority"].as_str().unwrap();
        let ca = std::fs::read_to_string(self.line["ca"].as_str().unwrap()).unwrap();
        let cloud = Cloud::custom(origin, origin).unwrap().with_root_ca_pem(ca);
        HttpsClient::for_cloud(&cloud).unwrap()
    }

    async fn terminate(mut self) -> ExitStatus {
        let id = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &id])
                .status()
                .unwrap()
                .success()
        );
        // Not blocking, since the client has to answer the server's good-bye.
        tokio::task::spawn_blocking(move || self.child.wait().unwrap())
            .await
            .unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Folder(std::path::PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = std::fs::remove_dir_all(&path);
        Self(path)
    }

    fn log(&self) -> std::path::PathBuf {
        self.0.with_extension("log")
    }
}

const PROGRAM: &str = env!("CARGO_BIN_EXE_entra-emulator");

const LIMITS: Limits = Limits {
    body: 1 << 20,
    deadline: Duration::from_secs(20),
};
