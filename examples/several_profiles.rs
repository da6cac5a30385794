//! A product that several customers sign in to, each with a tenant of their own.

#[path = "web/browser.rs"]
mod browser;

use std::error::Error;

use axum::Router;
use axum::routing::get;
use bytes::Bytes;
use clap::Parser;
use entra_core::{
    Call, ClientCredential, ClientSecret, ConfidentialClient, KeyRing, Pipeline, SealingKey,
    Tenant, TokenRequest,
};
use entra_emulator::{Emulator, Seed};
use entra_oidc::{
    Authority, EntraLogin, LoginOptions, Profile, ProfileName, Profiles, Sessions, SignedIn,
    WebLogin,
};
use serde_json::json;

use browser::Browser;

/// Two customers with a local tenant each sign in to one product. The profile is chosen by the
/// domain of the user name, and stands in the path of the redirect URI.
#[derive(Parser)]
struct Arguments {
    /// Where the product is, with what the paths of its login begin with.
    #[arg(long, default_value = "https://pw.example.com/auth")]
    base: String,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let Arguments { base } = Arguments::parse();
    // Pending logins of all profiles are sealed with the same keys.
    let keys = KeyRing::new(SealingKey::generate());
    let customers = ["contoso", "fabrikam"].map(|name| {
        let tenant = Emulator::new(Seed::new().with_name(name));
        (name, tenant)
    });
    let profiles = Profiles::new();
    for (name, tenant) in &customers {
        let login = connect(&base, name, tenant, &keys).await?;
        profiles.put(Profile::new(login).with_domains([domain_of(tenant)]))?;
    }

    let web = WebLogin::of_profiles(&base, profiles, Sessions::in_memory())?;
    let product = Router::new()
        .route("/", get(home))
        .merge(web.routes())
        .with_state(web);
    for (name, tenant) in &customers {
        println!("{name}");
        let user = &tenant.users()[0].user_principal_name;
        let login = format!("/auth/login?login_hint={user}");
        let mut browser = Browser::new(product.clone());
        println!("  -> {}", browser.open(&login, tenant, user).await?);
    }
    Ok(())
}

async fn home(user: SignedIn) -> String {
    format!(
        "{} of {}: {}",
        user.display_name().unwrap_or("you"),
        user.profile_name(),
        user.key()
    )
}

/// Registers the redirect URI with the customer's application, as an administrator does, and
/// connects the profile.
async fn connect(
    base: &str,
    name: &str,
    tenant: &Emulator,
    keys: &KeyRing,
) -> Result<EntraLogin, Box<dyn Error>> {
    let profile = ProfileName::new(name)?;
    let redirect_uri = WebLogin::redirect_uri(base, &profile)?;
    register(tenant, redirect_uri.as_str()).await?;

    let app = tenant.web_app();
    let authority = Authority::single_tenant(tenant.cloud(), Tenant::parse(&tenant.tenant_id())?)?;
    let secret = ClientCredential::secret(ClientSecret::try_from(&app.client_secret)?);
    let options = LoginOptions::new(authority, &app.client_id, redirect_uri, keys.clone())?
        .with_credential(secret)?
        .with_profile(profile);
    let pipeline = Pipeline::new(tenant.clone()).with_clock(tenant.clock());
    Ok(EntraLogin::connect(options, pipeline).await?)
}

async fn register(tenant: &Emulator, redirect_uri: &str) -> Result<(), Box<dyn Error>> {
    let setup = tenant.setup_app();
    let authority = entra_core::Authority::new(tenant.cloud(), Tenant::parse(&tenant.tenant_id())?);
    let secret = ClientCredential::secret(ClientSecret::try_from(&setup.client_secret)?);
    let pipeline = Pipeline::new(tenant.clone()).with_clock(tenant.clock());
    let client = ConfidentialClient::new(
        authority,
        setup.client_id.parse()?,
        secret,
        pipeline.clone(),
    )?;
    let body = json!({"web": {"redirectUris": [redirect_uri]}}).to_string();
    let url = format!(
        "{}v1.0/applications/{}",
        tenant.cloud().graph_url(),
        tenant.web_app().object_id
    );
    let request = http::Request::patch(url)
        .header("content-type", "application/json")
        .body(Bytes::from(body))?;
    let scope = TokenRequest::new([tenant.cloud().graph_scope()]);
    let call = Call::new("PATCH /applications/{id}", request)
        .with_credential(std::sync::Arc::new(client), scope);
    pipeline.send(call).await?;
    // Until every replica of the directory has seen it.
    tenant.advance(std::time::Duration::from_secs(120));
    Ok(())
}

/// The domain in the names of a tenant's users.
fn domain_of(tenant: &Emulator) -> String {
    let user = &tenant.users()[0].user_principal_name;
    user.rsplit('@').next().unwrap_or_default().to_owned()
}
