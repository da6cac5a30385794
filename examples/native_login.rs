//! A program on a user's machine signs the user in with the system's browser, and keeps no secret.
//!
//! Without `--tenant` the tenant is a local one in this process, and the program plays the browser.

use std::error::Error;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use entra_core::{Cloud, HttpsClient, KeyRing, MovableClock, Pipeline, SealingKey, Tenant};
use entra_emulator::{Emulator, Seed};
use entra_examples::{at, explained};
use entra_oidc::{Authority, Begin, EntraLogin, LoginOptions, RedirectUri};
use url::{Position, Url};

/// Signs a user in with the system's browser. The application needs the redirect URI
/// http://localhost among those for mobile and desktop applications.
#[derive(Parser)]
struct Arguments {
    /// Directory (tenant) id or domain.
    #[arg(long, requires = "client_id")]
    tenant: Option<Tenant>,
    /// Application (client) id.
    #[arg(long, requires = "tenant")]
    client_id: Option<String>,
}

#[tokio::main]
async fn main() -> ExitCode {
    entra_examples::exit(run(Arguments::parse()).await)
}

async fn run(arguments: Arguments) -> Result<(), Box<dyn Error>> {
    // The listener waits for a browser, so time has to pass.
    let local = Emulator::new(Seed::default()).with_clock(Arc::new(MovableClock::ticking()));
    let login = match (arguments.tenant.clone(), &arguments.client_id) {
        (Some(tenant), Some(client_id)) => {
            let pipeline = Pipeline::new(HttpsClient::new()?);
            connect(Cloud::public(), tenant, client_id, pipeline).await?
        }
        _ => {
            let (tenant, app) = (Tenant::parse(&local.tenant_id())?, local.public_app());
            connect(
                local.cloud(),
                tenant,
                &app.client_id,
                Pipeline::new(local.clone()).with_clock(local.clock()),
            )
            .await?
        }
    };

    let native = login.loopback(Begin::to("/")).await?;
    println!("open {}", native.url());
    let browser = arguments.tenant.is_none().then(|| {
        let url = native.url().clone();
        tokio::task::spawn_blocking(move || {
            browse(&local, &url).map_err(|error| explained(&*error))
        })
    });
    // Ten minutes at the most; dropping it gives up.
    let done = native.wait().await?;
    if let Some(browser) = browser {
        browser.await??;
    }
    println!(
        "{} is {}",
        done.user.key(),
        done.user.display_name().unwrap_or("somebody")
    );
    Ok(())
}

async fn connect(
    cloud: Cloud,
    tenant: Tenant,
    client_id: &str,
    pipeline: Pipeline,
) -> Result<EntraLogin, Box<dyn Error>> {
    let place = format!("--tenant {tenant}");
    let authority = Authority::single_tenant(cloud, tenant).map_err(at(place))?;
    // What is sealed never leaves this process, so neither does the key.
    let keys = KeyRing::new(SealingKey::generate());
    let options = LoginOptions::new(authority, client_id, RedirectUri::loopback(), keys)
        .map_err(at(format!("--client-id {client_id}")))?;
    Ok(EntraLogin::connect(options, pipeline).await?)
}

/// Signs in and goes back to the program, as a browser does.
fn browse(tenant: &Emulator, url: &Url) -> Result<(), Box<dyn Error>> {
    let user = &tenant.users()[0].user_principal_name;
    let back = tenant.sign_in_as(url, user)?.location;
    let port = back.port().unwrap_or(80);
    let target = &back[Position::BeforePath..];
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    write!(
        stream,
        "GET {target} HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    println!(
        "the browser sees: {}",
        answer.lines().next().unwrap_or_default()
    );
    Ok(())
}
