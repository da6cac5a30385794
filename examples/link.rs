//! Links two products to a tenant, tests both links, reads the directory, and does it all again.
//!
//! Without arguments the tenant is a local one in this process. With `--tenant` and `--client-id`
//! it is yours; the set-up credential comes from the environment: `ENTRA_CLIENT_SECRET`, or
//! `ENTRA_CERTIFICATE` with the path of a PEM file. It needs `Application.ReadWrite.All`,
//! `AppRoleAssignment.ReadWrite.All` and `Organization.Read.All`.

#[path = "link/products.rs"]
mod products;
#[path = "link/screen.rs"]
mod screen;
#[path = "link/tenant.rs"]
mod tenant;

use std::error::Error;
use std::process::ExitCode;

use clap::Parser as _;
use entra_core::{Authority, ConfidentialClient, Outcome};
use entra_graph::{GraphClient, Query};

use products::Product;
use screen::{ProgressBar, findings_table, heading, objects_table};
use tenant::{Arguments, TenantAccess};

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Arguments::parse()).await {
        Ok(()) => {
            println!("\nBoth products are linked, and a second run changed nothing.");
            ExitCode::SUCCESS
        }
        Err(error) => {
            screen::report(error.as_ref());
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let access = TenantAccess::open(arguments)?;
    let domain = access.default_domain().await?;
    for product in [
        products::device_management(&domain),
        products::help_desk(&access)?,
    ] {
        let linked = link(&access, &product).await?;
        test(&product, &linked).await?;
        read_directory(&product, &linked).await?;
        link_again(&access, &product).await?;
    }
    Ok(())
}

/// Shows what would change, changes it, and returns the product's own client.
async fn link(
    access: &TenantAccess,
    product: &Product,
) -> Result<ConfidentialClient, Box<dyn Error>> {
    heading(&format!("{}: plan", product.blueprint.display_name()));
    print!("{}", product.blueprint.plan(&access.graph).await?);

    heading(&format!("{}: apply", product.blueprint.display_name()));
    let bar = ProgressBar::default();
    let linked = product.blueprint.apply(&access.graph, &bar).await?;
    bar.finish();
    println!("application (client) id {}", linked.client_id);

    // From here on the product is on its own: its credential, not that of the set-up.
    let client = ConfidentialClient::new(
        Authority::new(access.cloud.clone(), access.tenant.clone()),
        linked.client_id,
        product.credential(bar.secret())?,
        access.pipeline.clone(),
    )?;
    product.blueprint.wait_until_effective(&client).await?;
    Ok(client)
}

async fn test(product: &Product, client: &ConfidentialClient) -> Result<(), Box<dyn Error>> {
    heading(&format!(
        "{}: test connection",
        product.blueprint.display_name()
    ));
    let findings = product.blueprint.test_connection(client).await;
    println!("{}", findings_table(&findings));
    if findings
        .iter()
        .any(|finding| finding.outcome == Outcome::Failed)
    {
        return Err("the connection does not work yet".into());
    }
    Ok(())
}

/// Reads the first objects of each kind that the product may read.
async fn read_directory(
    product: &Product,
    client: &ConfidentialClient,
) -> Result<(), Box<dyn Error>> {
    heading(&format!("{}: first look", product.blueprint.display_name()));
    let credential = std::sync::Arc::new(client.clone());
    let cloud = client.authority().cloud();
    let graph = GraphClient::new(cloud, credential, client.pipeline().clone());
    let first = || Query::new().top(5);

    let mut rows = Vec::new();
    let mut users = graph.users().list(first());
    while let Some(user) = users.try_next().await? {
        let enabled = if user.account_enabled == Some(true) {
            "enabled"
        } else {
            "disabled"
        };
        rows.push([
            "user".into(),
            user.display_name.unwrap_or_default(),
            enabled.into(),
        ]);
        if rows.len() == 5 {
            break;
        }
    }
    let mut groups = graph.groups().list(first());
    while let Some(group) = groups.try_next().await? {
        let kind = if group.security_enabled == Some(true) {
            "security"
        } else {
            "other"
        };
        rows.push([
            "group".into(),
            group.display_name.unwrap_or_default(),
            kind.into(),
        ]);
        if rows.len() == 10 {
            break;
        }
    }
    let mut devices = graph.devices().list(first());
    while let Some(device) = devices.try_next().await? {
        let system = device.operating_system.unwrap_or_default();
        rows.push([
            "device".into(),
            device.display_name.unwrap_or_default(),
            system,
        ]);
        if rows.len() == 15 {
            break;
        }
    }
    println!("{}", objects_table(&rows));
    Ok(())
}

/// Applies the same blueprint once more: there must be nothing to do.
async fn link_again(access: &TenantAccess, product: &Product) -> Result<(), Box<dyn Error>> {
    heading(&format!("{}: once more", product.blueprint.display_name()));
    let plan = product.blueprint.plan(&access.graph).await?;
    print!("{plan}");
    let bar = ProgressBar::default();
    product.blueprint.apply(&access.graph, &bar).await?;
    bar.finish();
    if !plan.is_empty() || bar.secret().is_some() {
        return Err("the second run found something to change".into());
    }
    Ok(())
}
