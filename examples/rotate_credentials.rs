//! A product begins with a client secret that an administrator pasted, replaces it by a certificate
//! of its own, and renews that for three years, without anybody noticing.

use std::sync::Arc;

use entra_core::{
    Authority, CertificateOptions, ClientId, ClientSecret, Clock as _, ConfidentialClient,
    Pipeline, Tenant, TokenRequest,
};
use entra_emulator::{Emulator, Seed};
use entra_graph::{
    CredentialRecord, CredentialVault, MemoryVault, Rotation, StoredCredential, VaultSource,
};

type Error = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Error> {
    // A local tenant, whose clock jumps ahead whenever somebody sleeps on it. For a real one:
    // `Cloud::public()` and `HttpsClient`, and an application that a blueprint made with
    // `with_self_rotation`.
    let tenant = Emulator::new(Seed::default());
    let app = tenant.setup_app();
    let pipeline = Pipeline::new(tenant.clone()).with_clock(tenant.clock());
    let authority = Authority::new(tenant.cloud(), Tenant::parse(&tenant.tenant_id())?);

    // 1. The product stores what was pasted. In place of memory: a row of its database.
    let pasted = StoredCredential::secret(ClientSecret::try_from(&app.client_secret)?);
    let vault: Arc<dyn CredentialVault> = Arc::new(MemoryVault::new(CredentialRecord::new(pasted)));

    // 2. Its client signs in with what is stored, in this process and in any other one.
    let credentials = vault.load().await?.record.credentials();
    let client_id = ClientId::parse(&app.client_id)?;
    let client = ConfidentialClient::new(authority, client_id, credentials, pipeline)?
        .with_credential_source(Arc::new(VaultSource::new(Arc::clone(&vault))));

    // 3. One future looks after the rest. A product spawns it.
    let clock = tenant.clock();
    let rotation = Rotation::new(client.clone(), vault)
        .to_certificate()
        .with_certificate(CertificateOptions::new("Acme Help Desk"))
        .on_event(move |event| println!("{}  {event}", clock.now().date()));
    rotation.run(three_years(tenant.clone())).await;

    // 4. The health page of the product.
    println!();
    for status in rotation.check().await? {
        println!("{}", status.finding(tenant.clock().now()));
    }
    let token = TokenRequest::new([tenant.cloud().graph_scope()]);
    println!(
        "signed in until {}",
        client.token(&token).await?.expires_on()
    );
    Ok(())
}

/// What ends the background work: here the time, in a product its own shutdown.
async fn three_years(tenant: Emulator) {
    let end = tenant.clock().now() + time::Duration::days(3 * 365);
    while tenant.clock().now() < end {
        tokio::task::yield_now().await;
    }
}
