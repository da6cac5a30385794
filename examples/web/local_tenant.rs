//! A local tenant in this process: the product talks to it without a socket, browsers over TLS.
#![expect(
    clippy::disallowed_methods,
    reason = "a program spawns what libraries may not"
)]

use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use entra_core::{
    ClientCredential, ClientSecret, Clock as _, KeyRing, MovableClock, Pipeline, SealingKey,
    SystemClock, Tenant,
};
use entra_emulator::{CertificateFolder, Emulator, Seed, Server};
use entra_oidc::{Authority, EntraLogin, LoginOptions, RedirectUri};
use tempfile::TempDir;

use crate::{Arguments, asked_for, registration};

/// The login, and the folder of the tenant's certificate, which is gone when it is dropped.
pub async fn login(
    arguments: &Arguments,
    product: &str,
    redirect_uri: &RedirectUri,
) -> Result<(EntraLogin, TempDir), Box<dyn Error>> {
    let folder = private_folder()?;
    let certificates = CertificateFolder::open(folder.path(), SystemClock.now())?;
    let server = Server::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
    let origin = format!("https://localhost:{}", server.local_addr()?.port());
    let tenant = Emulator::new(Seed::default().with_replication_delay(Duration::ZERO))
        .with_clock(Arc::new(MovableClock::ticking()))
        .with_origin(&origin)?;

    registration::register(&tenant, redirect_uri.as_str()).await?;
    let options = asked_for(options(&tenant, redirect_uri)?, arguments, redirect_uri)?;
    let login = EntraLogin::connect(options, Pipeline::new(tenant.clone())).await?;
    let user = &tenant.users()[0];
    eprintln!(
        "open {product} and sign in as {} with the password {}; the tenant at {origin} has a \
         certificate by {}",
        user.user_principal_name,
        user.password.expose(),
        certificates.ca_path().display(),
    );
    tokio::spawn(async move {
        let served = server.run(tenant, &certificates, std::future::pending());
        if let Err(error) = served.await {
            eprintln!("the tenant ended: {}", entra_core::error_chain(&error));
        }
    });
    Ok((login, folder))
}

/// A folder for this user alone, with a name that nobody can make first.
fn private_folder() -> std::io::Result<TempDir> {
    let mut folder = tempfile::Builder::new();
    folder.prefix("entra-oidc-login-");
    #[cfg(unix)]
    folder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700));
    folder.tempdir()
}

/// The web application of the tenant.
fn options(tenant: &Emulator, redirect_uri: &RedirectUri) -> Result<LoginOptions, Box<dyn Error>> {
    let app = tenant.web_app();
    let authority = Authority::single_tenant(tenant.cloud(), Tenant::parse(&tenant.tenant_id())?)?;
    let keys = KeyRing::new(SealingKey::generate());
    let secret = ClientCredential::secret(ClientSecret::try_from(&app.client_secret)?);
    Ok(
        LoginOptions::new(authority, &app.client_id, redirect_uri.clone(), keys)?
            .with_credential(secret)?,
    )
}
