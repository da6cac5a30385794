//! The local tenant as a program: a folder with certificates, a listener, one line of JSON.

use std::error::Error;
use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use entra_core::{Clock, MovableClock, SystemClock};
use entra_emulator::{CertificateFolder, Emulator, Seed, Server};
use serde_json::{Value, json};
use tracing_subscriber::EnvFilter;

/// A local Microsoft Entra tenant over TLS.
///
/// When it is ready it prints one line of JSON: where everything is, whom to trust, and the
/// applications and users with their secrets. The first application holds every application
/// permission of Microsoft Graph. Logs go to standard error (RUST_LOG sets the level); SIGTERM and
/// Ctrl-C end it.
#[derive(Debug, Parser)]
#[command(name = "entra-emulator", version, after_long_help = CONTROL)]
struct Arguments {
    /// Where to listen. Port 0 lets the system choose.
    #[arg(long, default_value = "127.0.0.1:8443")]
    listen: SocketAddr,
    /// The folder of ca.pem, tls.pem and tls.key; they are made when they are missing.
    #[arg(long, default_value = "tenant")]
    dir: PathBuf,
    /// How many users the tenant has.
    #[arg(long)]
    users: Option<usize>,
    /// The tenant's name; its initial domain becomes <name>.onmicrosoft.com.
    #[arg(long)]
    name: Option<String>,
    /// Lets customers sign in at the path /<name>.ciamlogin.com, as with External ID.
    #[arg(long)]
    external_id: Option<String>,
    /// How many seconds a write takes to be seen by every read; 0 shows it at once.
    #[arg(long)]
    replication_delay: Option<u32>,
    /// Plays the agent of Azure Arc, which writes the keys of its challenges to this folder.
    #[arg(long)]
    arc_folder: Option<PathBuf>,
    /// Listens beyond this machine. The control interface and the printed secrets are then open
    /// to whoever reaches the port.
    #[arg(long)]
    dangerous_listen_anywhere: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(
            EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info")),
        )
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .init();
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{}", entra_core::error_chain(&*error));
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), Box<dyn Error>> {
    if !arguments.listen.ip().is_loopback() && !arguments.dangerous_listen_anywhere {
        return Err("--listen is not on loopback; see --dangerous-listen-anywhere".into());
    }
    // Before the line is printed, so that no signal is missed.
    let shutdown = shutdown()?;
    let certificates = CertificateFolder::open(&arguments.dir, SystemClock.now())?;
    let server = Server::bind(arguments.listen).await?;
    let mut emulator = Emulator::new(seed(&arguments))
        .with_clock(Arc::new(MovableClock::ticking()))
        .with_origin(&format!(
            "https://localhost:{}",
            server.local_addr()?.port()
        ))?
        .with_root_ca_pem(certificates.ca_pem()?);
    if let Some(folder) = &arguments.arc_folder {
        emulator = emulator.with_arc_folder(std::path::absolute(folder)?);
    }
    announce(&emulator, &certificates)?;
    server.run(emulator, &certificates, shutdown).await?;
    Ok(())
}

/// Ends at SIGTERM or Ctrl-C.
#[cfg(unix)]
fn shutdown() -> io::Result<impl Future<Output = ()> + Send> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Ends at Ctrl-C.
#[cfg(not(unix))]
fn shutdown() -> io::Result<impl Future<Output = ()> + Send> {
    Ok(async {
        if tokio::signal::ctrl_c().await.is_err() {
            // Nothing can be waited for; the program is ended from outside.
            std::future::pending::<()>().await;
        }
    })
}

fn seed(arguments: &Arguments) -> Seed {
    let mut seed = Seed::new();
    if let Some(users) = arguments.users {
        seed = seed.with_users(users);
    }
    if let Some(name) = &arguments.name {
        seed = seed.with_name(name);
    }
    if let Some(name) = &arguments.external_id {
        seed = seed.with_external_id(name);
    }
    if let Some(seconds) = arguments.replication_delay {
        seed = seed.with_replication_delay(Duration::from_secs(seconds.into()));
    }
    seed
}

/// The one line on standard output.
fn announce(emulator: &Emulator, certificates: &CertificateFolder) -> Result<(), Box<dyn Error>> {
    let cloud = emulator.cloud();
    let login = cloud.login_url().as_str().trim_end_matches('/');
    let graph = cloud.graph_url().as_str().trim_end_matches('/');
    let apps: Vec<Value> = emulator
        .apps()
        .iter()
        .map(|app| {
            json!({
                "display_name": app.display_name,
                "client_id": app.client_id,
                "object_id": app.object_id,
                "client_secret": app.client_secret.expose(),
            })
        })
        .collect();
    let users: Vec<Value> = emulator
        .users()
        .iter()
        .map(|user| {
            json!({
                "user_principal_name": user.user_principal_name,
                "password": user.password.expose(),
                "object_id": user.object_id,
            })
        })
        .collect();
    let public_app = emulator.public_app();
    let identities: Vec<Value> = emulator
        .managed_identities()
        .iter()
        .map(|identity| {
            json!({
                "display_name": identity.display_name,
                "client_id": identity.client_id,
                "object_id": identity.object_id,
                "resource_id": identity.resource_id,
            })
        })
        .collect();
    // There is one host over TLS, so that the other becomes a part of the path.
    let external_id = emulator
        .external_id_url()
        .and_then(|url| Some([login, "/", url.host_str()?].concat()));
    let line = json!({
        "authority": login,
        "external_id": external_id,
        "graph": graph,
        "tenant_id": emulator.tenant_id(),
        "domain": emulator.domain(),
        "ca": std::path::absolute(certificates.ca_path())?,
        "control": format!("{graph}/_emulator"),
        "apps": apps,
        "public_app": {
            "display_name": public_app.display_name,
            "client_id": public_app.client_id,
            "object_id": public_app.object_id,
        },
        "users": users,
        "managed_identities": identities,
        "identity_header": emulator.identity_header().expose(),
    });
    let mut output = io::stdout().lock();
    writeln!(output, "{line}")?;
    output.flush()?;
    Ok(())
}

const CONTROL: &str = "\
The line on standard output, an object:
  authority, graph  where sign-in and Microsoft Graph are, without a path
  external_id       where customers sign in, with --external-id; otherwise null
  tenant_id, domain the tenant and its initial domain
  ca                the file with the certificate authority to trust
  control           the address of the control interface, with its path
  apps              a list of {display_name, client_id, object_id, client_secret}
  public_app        an application without a secret: {display_name, client_id, object_id}
  users             a list of {user_principal_name, password, object_id}
  managed_identities
                    a list of {display_name, client_id, object_id, resource_id}; the first is
                    assigned by the system
  identity_header   the IDENTITY_HEADER of App Service, whose IDENTITY_ENDPOINT is /msi/token

Control interface (JSON, at the same address; what cannot be used is answered with 400 and
{\"error\": why}, and changes nothing):
  GET    /_emulator/clock    {now}, the tenant's time
  POST   /_emulator/clock    {\"advance_seconds\": 3600} moves it forward
  GET    /_emulator/journal  {value}, the last 10,000 requests: a list of {time, method, path,
                             query (of Graph), status, caller (client id), permission (that
                             allowed it), fault}
  DELETE /_emulator/journal  forgets it
  GET    /_emulator/faults   {value}, the faults that are still to come
  POST   /_emulator/faults   a list of {path, times, fault, retry_after, retry_after_as_date}
  DELETE /_emulator/faults   removes them
  GET    /_emulator/keys     {signing, value}, the tenant's signing keys: {kid, is_signing,
                             is_published}
  POST   /_emulator/keys     {\"action\": \"roll_over\"} changes them: roll_over, add, sign_with,
                             withdraw, restore, publish_decoys, publish_jwk, give_own_key
  GET    /_emulator/conditional-access
                             {value}, the policies; DELETE lifts all
  POST   /_emulator/conditional-access
                             {\"client_id\" or \"context\", \"require\": require_mfa, enrol_mfa,
                             require_compliant_device or block}; without \"require\" it is lifted
  POST   /_emulator/cluster/token
                             {namespace, service_account, audience} to {token, issuer, subject}:
                             a token of a Kubernetes service account
  POST   /_emulator/revoke   {\"principal\": user name, client id or object id} ends its access:
                             tokens of clients that understand it are answered with a challenge
  POST   /_emulator/sign-in  {\"url\", \"user_principal_name\"} signs the user in at an authorization
                             request; {location, form}, what the browser brings back
  POST   /_emulator/sign-out {\"user_principal_name\"} ends every session of the user;
                             {front_channel}, what a browser would load in frames
  POST   /_emulator/device-code
                             {\"user_code\", \"user_principal_name\"} enters the code of a device;
                             without a name it is declined
  POST   /_emulator/reset    content as at the start with the same ids and secrets, no faults, an
                             empty journal; the clock stays

  path         the beginning of the path, or the whole path with * for any characters;
               optionally after a method and a space: \"POST /v1.0/applications\"
  times        how many requests suffer it (default 1)
  retry_after  seconds, for 429, 502 and 503; without it the header is missing;
               with \"retry_after_as_date\": true it is a date
  fault        throttled           429 in the service's shape, not handled
               throttled_text      429 with a plain text body, not handled
               unavailable_before  503, not handled
               unavailable_after   503, although handled
               bad_gateway_html    502 with a proxy's HTML page, not handled
               not_found, gone     404, 410: a metadata service that is being updated, not
                                   handled
               dropped             the connection ends, not handled
               dropped_after       the connection ends, although handled
               truncated           the connection ends in the middle of the body
               oversized           32 MiB of spaces follow the answer
               stale_replica       the answer does not know the last writes
               {\"aadsts\": 50196}   a token request is refused with this code
               {\"authentication_context\": 1}
                                   a user has to sign in to the context c1
               {\"latency\": {\"milliseconds\": 500}}
                                   the answer comes late";
