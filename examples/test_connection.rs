//! «Test connection»: for an application that an administrator made by hand, and for five ways
//! to get it wrong.

use entra_core::{
    Authority, ClientCredential, ClientId, ClientSecret, ConfidentialClient, Pipeline, Tenant,
};
use entra_emulator::{Emulator, Fault, FaultRule, Seed};
use entra_graph::{Blueprint, Permission};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let tenant = Emulator::new(Seed::default());
    let app = tenant.setup_app();
    let tenant_id = tenant.tenant_id();

    // What the product needs; the application is the administrator's.
    let blueprint = |client_id: ClientId| {
        Blueprint::new("acme-sync", "Acme Sync")
            .adopt(client_id)
            .with_permission(Permission::application("User.Read.All"))
            .with_permission(Permission::application("Group.Read.All"))
    };
    let secret = app.client_secret.expose();
    let unknown = "99999999-9999-4999-8999-999999999999";
    for (title, tenant_id, client_id, secret) in [
        (
            "everything right",
            tenant_id.as_str(),
            app.client_id.as_str(),
            secret,
        ),
        (
            "another application's secret",
            &tenant_id,
            &app.client_id,
            "wrong~secret~value",
        ),
        ("a mistyped application id", &tenant_id, unknown, secret),
        ("a mistyped tenant", unknown, &app.client_id, secret),
    ] {
        println!("\n# {title}");
        let client_id = ClientId::parse(client_id)?;
        let client = ConfidentialClient::new(
            Authority::new(tenant.cloud(), Tenant::parse(tenant_id)?),
            client_id,
            ClientCredential::secret(ClientSecret::parse(secret)?),
            Pipeline::new(tenant.clone()).with_clock(tenant.clock()),
        )?;
        for finding in blueprint(client_id).test_connection(&client).await {
            println!("{finding}");
        }
    }

    // What is pasted wrongly is refused before anybody is asked.
    println!("\n# a Secret ID in place of the secret");
    if let Err(error) = ClientSecret::parse("1a2b3c4d-0000-4000-8000-5e6f70819203") {
        println!("{error}");
    }

    println!("\n# a proxy that answers in place of Entra");
    tenant
        .faults()
        .inject(FaultRule::new("*", Fault::BadGatewayHtml).with_times(50))?;
    let client_id = ClientId::parse(&app.client_id)?;
    let client = ConfidentialClient::new(
        Authority::new(tenant.cloud(), Tenant::parse(&tenant_id)?),
        client_id,
        ClientCredential::secret(ClientSecret::parse(secret)?),
        Pipeline::new(tenant.clone()).with_clock(tenant.clock()),
    )?;
    for finding in blueprint(client_id).test_connection(&client).await {
        println!("{finding}");
    }
    Ok(())
}
