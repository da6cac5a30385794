//! Registers an application by blueprint, and prints the page for those who prefer to click.

use std::sync::Arc;

use entra_core::{
    Authority, ClientCredential, ClientId, ClientSecret, ConfidentialClient, Pipeline, Tenant,
};
use entra_emulator::{Emulator, Seed};
use entra_graph::{Blueprint, GraphClient, MemoryHost, Permission};
use time::Duration;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // A local tenant in this process; with `HttpsClient` in its place it is a real one.
    let tenant = Emulator::new(Seed::default());
    let pipeline = Pipeline::new(tenant.clone()).with_clock(tenant.clock());

    // The set-up credential: an application that may register others.
    let setup = tenant.setup_app();
    let credential = ConfidentialClient::new(
        Authority::new(tenant.cloud(), Tenant::parse(&tenant.tenant_id())?),
        ClientId::parse(&setup.client_id)?,
        ClientCredential::secret(ClientSecret::try_from(&setup.client_secret)?),
        pipeline.clone(),
    )?;
    let graph = GraphClient::new(&tenant.cloud(), Arc::new(credential), pipeline);

    let blueprint = Blueprint::new("acme-reports", "Acme Reports")
        .with_app_id_uri("api://{client_id}")
        .with_web_redirect_uri("https://reports.acme.example/callback")
        .with_permission(Permission::application("User.Read.All"))
        .with_permission(Permission::delegated("openid"))
        .with_permission(Permission::delegated("profile"))
        .with_secret(Duration::days(90));

    print!("{}", blueprint.plan(&graph).await?);
    let host = MemoryHost::default();
    let linked = blueprint.apply(&graph, &host).await?;
    println!("\nregistered as {}", linked.client_id);
    if let Some(secret) = host.secret() {
        // The value goes into a vault; here only its fingerprint is shown.
        println!(
            "secret {} with fingerprint {}",
            secret.key_id,
            secret.value.fingerprint()
        );
    }
    println!("\n{}", blueprint.guide(&tenant.cloud()));
    Ok(())
}
