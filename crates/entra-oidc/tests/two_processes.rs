//! A login that one process begins and another one finishes: they share a key and nothing else.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "what a test cannot do fails it, and the other process learns its part from its environment"
)]

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use entra_core::{
    ClientCredential, ClientSecret, Clock as _, Cloud, HttpsClient, KeyRing, MovableClock,
    Pipeline, SealingKey, Secret, SystemClock, Tenant,
};
use entra_emulator::{CertificateFolder, Emulator, Seed, Server};
use entra_oidc::{Authority, Begin, Callback, EntraLogin, LoginOptions, RedirectUri};
use http::header::COOKIE;
use http::{HeaderMap, HeaderValue, Method};
use serde_json::{Value, json};
use tokio::sync::oneshot;

const REDIRECT_URI: &str = "https://localhost/signin-oidc";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_process_begins_and_another_one_finishes() {
    let folder = std::env::temp_dir().join(format!("entra-oidc-{}", std::process::id()));
    let certificates = CertificateFolder::open(&folder, SystemClock.now()).unwrap();
    let server = Server::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
    let origin = format!("https://localhost:{}", server.local_addr().unwrap().port());
    let emulator = Emulator::new(Seed::new())
        .with_clock(Arc::new(MovableClock::ticking()))
        .with_origin(&origin)
        .unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let serve = {
        let (emulator, folder) = (emulator.clone(), folder.clone());
        async move {
            let certificates = CertificateFolder::open(&folder, SystemClock.now()).unwrap();
            let stopped = async { drop(stopped.await) };
            server.run(emulator, &certificates, stopped).await.unwrap();
        }
    };
    let story = tokio::task::spawn_blocking(move || {
        let settings = settings(&emulator, &origin, &certificates.ca_path());
        let begun = process("begins", &settings);
        let location = begun["location"].as_str().unwrap().parse().unwrap();
        let user = &emulator.users()[0];
        let redirect = emulator
            .sign_in_as(&location, &user.user_principal_name)
            .unwrap();
        let mut settings = settings;
        settings["cookie"] = begun["cookie"].clone();
        settings["query"] = redirect.location.query().unwrap().into();
        let finished = process("finishes", &settings);
        let key = format!("{}/{}", emulator.tenant_id(), user.object_id);
        assert_eq!(finished["key"], key);
        assert_eq!(finished["return_to"], "/vault");
        // A process with another key of its own is another product.
        settings["sealing_key"] = SealingKey::generate().to_base64().expose().into();
        let refused = process("finishes", &settings);
        assert_eq!(refused["refused"], "the pending login cannot be opened");
        stop.send(()).unwrap();
    });
    let ((), story) = tokio::join!(serve, story);
    std::fs::remove_dir_all(&folder).unwrap();
    story.unwrap();
}

fn settings(emulator: &Emulator, origin: &str, ca: &Path) -> Value {
    let app = emulator.web_app();
    json!({
        "origin": origin,
        "ca": ca,
        "tenant": emulator.tenant_id(),
        "client_id": app.client_id,
        "client_secret": app.client_secret.expose(),
        "sealing_key": SealingKey::generate().to_base64().expose(),
    })
}

/// Runs this program once more, as a replica of the product.
fn process(role: &str, settings: &Value) -> Value {
    let mut replica = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_replica", "--ignored", "--nocapture"])
        .env(ROLE, role)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = replica.stdin.take().unwrap();
    input.write_all(settings.to_string().as_bytes()).unwrap();
    drop(input);
    let output = replica.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("replica: "));
    let line = line.unwrap_or_else(|| panic!("{text} {:?}", String::from_utf8(output.stderr)));
    serde_json::from_str(line).unwrap()
}

/// What the other process does.
#[tokio::test]
#[ignore = "is run by the test above, as another process"]
async fn a_replica() {
    let Ok(role) = std::env::var(ROLE) else {
        return;
    };
    let settings: Value = serde_json::from_reader(std::io::stdin()).unwrap();
    let text = |name: &str| settings[name].as_str().unwrap();
    let ca = std::fs::read_to_string(text("ca")).unwrap();
    let origin = text("origin");
    let cloud = Cloud::custom(origin, origin).unwrap().with_root_ca_pem(ca);
    let key = SealingKey::from_base64(&Secret::new(text("sealing_key"))).unwrap();
    let secret = ClientSecret::parse(text("client_secret")).unwrap();
    let tenant = Tenant::parse(text("tenant")).unwrap();
    let options = LoginOptions::new(
        Authority::single_tenant(cloud.clone(), tenant).unwrap(),
        text("client_id"),
        RedirectUri::web(REDIRECT_URI).unwrap(),
        KeyRing::new(key),
    )
    .unwrap()
    .with_credential(ClientCredential::secret(secret))
    .unwrap();
    let pipeline = Pipeline::new(HttpsClient::for_cloud(&cloud).unwrap());
    let login = EntraLogin::connect(options, pipeline).await.unwrap();
    let told = match role.as_str() {
        "begins" => begin(&login),
        _ => finish(&login, text("cookie"), text("query")).await,
    };
    println!("\nreplica: {told}");
}

fn begin(login: &EntraLogin) -> Value {
    let begun = login.begin(Begin::to("/vault")).unwrap();
    let cookie = begun.set_cookies()[0].to_str().unwrap();
    let cookie = cookie.split(';').next().unwrap();
    json!({"location": begun.location().as_str(), "cookie": cookie})
}

async fn finish(login: &EntraLogin, cookie: &str, query: &str) -> Value {
    let mut headers = HeaderMap::new();
    headers.insert(COOKIE, HeaderValue::from_str(cookie).unwrap());
    let uri = format!("/signin-oidc?{query}").parse().unwrap();
    let callback = Callback::from_parts(&Method::GET, &uri, &headers, b"");
    match login.finish(&callback).await {
        Ok(done) => json!({
            "key": done.user.key().to_string(),
            "return_to": done.return_to.as_str(),
        }),
        Err(failed) => json!({"refused": failed.to_string()}),
    }
}

const ROLE: &str = "ENTRA_OIDC_REPLICA";
