//! A program without a browser signs a user in: the user enters a code on another device, and the
//! program works in the user's name from then on, in this process and in the next one.

use entra_core::{
    Authority, ClientId, Cloud, KeyRing, Pipeline, PublicClient, SealedSession, SealingKey, Tenant,
    TokenRequest, UserSession,
};
use entra_emulator::{Emulator, Seed};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // A local tenant. For a real one: `Cloud::public()`, `HttpsClient`, an app of your own with
    // «Allow public client flows», and `Tenant::Organizations` for the users of any organisation.
    let tenant = Emulator::new(Seed::default());
    let client = PublicClient::new(
        Authority::new(tenant.cloud(), Tenant::parse(&tenant.tenant_id())?),
        ClientId::parse(&tenant.public_app().client_id)?,
        Pipeline::new(tenant.clone()).with_clock(tenant.clock()),
    );
    let request = user_read(&tenant.cloud());

    let login = client.device_login(&request).await?;
    println!("{}", login.message());
    let session = login
        .finish(|progress| {
            println!("  {progress}");
            // Meanwhile, on the user's phone:
            enter_code(&tenant, login.user_code());
        })
        .await?;
    println!(
        "signed in, token valid until {}",
        valid_until(&session, &request).await?
    );

    // An hour later the session renews itself.
    tenant.advance(std::time::Duration::from_secs(3600));
    println!(
        "renewed, token valid until {}",
        valid_until(&session, &request).await?
    );

    // Between two runs of the program: sealed, under a key from the host's vault.
    let keys = KeyRing::new(SealingKey::generate());
    let stored = session.seal(&keys)?.to_base64();
    println!(
        "stored {} characters, which nobody reads without the key",
        stored.len()
    );
    let session = client.open_session(&keys, &SealedSession::from_base64(&stored)?)?;
    println!(
        "opened, token valid until {}",
        valid_until(&session, &request).await?
    );
    Ok(())
}

fn user_read(cloud: &Cloud) -> TokenRequest {
    TokenRequest::new([format!("{}User.Read", cloud.graph_url())])
}

async fn valid_until(
    session: &UserSession,
    request: &TokenRequest,
) -> Result<time::OffsetDateTime, entra_core::Error> {
    Ok(session.token(request).await?.expires_on())
}

/// Opens the page, enters the code, signs in.
fn enter_code(tenant: &Emulator, code: &str) {
    let user = &tenant.users()[0].user_principal_name;
    // Who has signed in already need not do so again.
    let _ = tenant.approve_device(code, user);
}
