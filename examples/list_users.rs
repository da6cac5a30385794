//! Lists users: a typed query, and a stream that holds one page at a time.

use std::sync::Arc;

use entra_core::{
    Authority, ClientCredential, ClientId, ClientSecret, ConfidentialClient, Pipeline, Tenant,
};
use entra_emulator::{Emulator, Seed};
use entra_graph::{Filter, GraphClient, Query, UserType};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let tenant = Emulator::new(Seed::default().with_users(2_500));
    let pipeline = Pipeline::new(tenant.clone()).with_clock(tenant.clock());
    let app = tenant.setup_app();
    let credential = ConfidentialClient::new(
        Authority::new(tenant.cloud(), Tenant::parse(&tenant.tenant_id())?),
        ClientId::parse(&app.client_id)?,
        ClientCredential::secret(ClientSecret::try_from(&app.client_secret)?),
        pipeline.clone(),
    )?;
    let graph = GraphClient::new(&tenant.cloud(), Arc::new(credential), pipeline);

    // Every user, page by page. The memory that it takes is that of one page.
    let (mut enabled, mut guests, mut all) = (0, 0, 0);
    let mut users = graph.users().list(Query::new().top(999));
    while let Some(user) = users.try_next().await? {
        all += 1;
        enabled += usize::from(user.account_enabled == Some(true));
        guests += usize::from(user.user_type == Some(UserType::Guest));
    }
    println!("{all} users, {enabled} of them enabled, {guests} guests");

    // Values of a filter are typed and escaped: an apostrophe does no harm.
    let query = Query::new()
        .filter(Filter::starts_with("displayName", "A").and(Filter::eq("accountEnabled", true)))
        .select(["displayName", "userPrincipalName"])
        .top(10);
    let mut some = graph.users().list(query);
    for _ in 0..10 {
        let Some(user) = some.try_next().await? else {
            break;
        };
        println!(
            "{:<28} {}",
            user.display_name.unwrap_or_default(),
            user.user_principal_name.unwrap_or_default()
        );
    }
    Ok(())
}
