//! Generates a certificate before anything is known of a tenant, exports its public part, and
//! signs in with it.

use std::sync::Arc;

use entra_core::{
    Authority, CertificateOptions, ClientCredential, ClientId, ClientSecret, Clock as _,
    ConfidentialClient, Pipeline, RsaKeySize, SigningCertificate, Tenant, TokenRequest,
};
use entra_emulator::{Emulator, Seed};
use entra_graph::{Blueprint, GraphClient, MemoryHost, Permission};
use time::Duration;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let tenant = Emulator::new(Seed::default());

    // 1. The product generates its key pair. It needs neither a tenant nor a client id for it.
    let options = CertificateOptions::new("Acme Help Desk")
        .with_key_size(RsaKeySize::Bits3072)
        .with_validity(Duration::days(365));
    let certificate = SigningCertificate::generate(&options, tenant.clock().now())?;
    println!("subject     {}", certificate.certificate().subject());
    println!(
        "thumbprint  {}",
        certificate.certificate().thumbprint_sha1()
    );
    println!(
        "valid until {}",
        certificate.certificate().not_after().date()
    );

    // 2. The public part is what an administrator uploads, or what a blueprint registers.
    println!("\n{}", certificate.certificate().to_pem());

    // 3. Registered here by blueprint, with the credential of the set-up.
    let pipeline = Pipeline::new(tenant.clone()).with_clock(tenant.clock());
    let authority = Authority::new(tenant.cloud(), Tenant::parse(&tenant.tenant_id())?);
    let setup = tenant.setup_app();
    let credential = ConfidentialClient::new(
        authority.clone(),
        ClientId::parse(&setup.client_id)?,
        ClientCredential::secret(ClientSecret::try_from(&setup.client_secret)?),
        pipeline.clone(),
    )?;
    let graph = GraphClient::new(&tenant.cloud(), Arc::new(credential), pipeline.clone());
    let blueprint = Blueprint::new("acme-help-desk", "Acme Help Desk")
        .with_permission(Permission::application("Device.Read.All"))
        .with_certificate(certificate.certificate().clone());
    let linked = blueprint.apply(&graph, &MemoryHost::default()).await?;

    // 4. The product signs in: no secret was ever shared.
    let product = ConfidentialClient::new(
        authority,
        linked.client_id,
        ClientCredential::certificate(certificate),
        pipeline,
    )?;
    blueprint.wait_until_effective(&product).await?;
    let token = product
        .token(&TokenRequest::new([tenant.cloud().graph_scope()]))
        .await?;
    println!("signed in; the token ends at {}", token.expires_on());
    Ok(())
}
