//! A product that several customers sign in to, each with a tenant of their own.

#[path = "web/browser.rs"]
mod browser;
#[path = "web/registration.rs"]
mod registration;

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use clap::Parser;
use entra_core::{ClientCredential, ClientSecret, KeyRing, Pipeline, SealingKey, Tenant};
use entra_emulator::{Emulator, Seed};
use entra_examples::at;
use entra_oidc::{
    Authority, EntraLogin, LoginOptions, Profile, ProfileName, Profiles, Sessions, SignedIn,
    WebLogin,
};
use url::Url;

use browser::Browser;

/// Two customers with a local tenant each sign in to one product. The profile is chosen by the
/// domain of the user name, and stands in the path of the redirect URI.
#[derive(Parser)]
struct Arguments {
    /// Where the product is, with what the paths of its login begin with: a URL by https, or by
    /// http at localhost.
    #[arg(long, default_value = "https://pw.example.com/auth")]
    base: String,
}

#[tokio::main]
async fn main() -> ExitCode {
    entra_examples::exit(run(Arguments::parse()).await)
}

async fn run(Arguments { base }: Arguments) -> Result<(), Box<dyn Error>> {
    let login_path = login_path(&base).map_err(at(format!("--base {base}")))?;
    // Pending logins of all profiles are sealed with the same keys.
    let keys = KeyRing::new(SealingKey::generate());
    let customers = ["contoso", "fabrikam"].map(|name| {
        let tenant = Emulator::new(
            Seed::new()
                .with_name(name)
                .with_replication_delay(Duration::ZERO),
        );
        (name, tenant)
    });
    let profiles = Profiles::new();
    for (name, tenant) in &customers {
        let login = connect(&base, name, tenant, &keys)
            .await
            .map_err(at(format!("--base {base}, profile {name}")))?;
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
        let login = format!("{login_path}?login_hint={user}");
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
    registration::register(tenant, redirect_uri.as_str()).await?;

    let app = tenant.web_app();
    let authority = Authority::single_tenant(tenant.cloud(), Tenant::parse(&tenant.tenant_id())?)?;
    let secret = ClientCredential::secret(ClientSecret::try_from(&app.client_secret)?);
    let options = LoginOptions::new(authority, &app.client_id, redirect_uri, keys.clone())?
        .with_credential(secret)?
        .with_profile(profile);
    let pipeline = Pipeline::new(tenant.clone()).with_clock(tenant.clock());
    Ok(EntraLogin::connect(options, pipeline).await?)
}

/// Where a login begins in this product.
fn login_path(base: &str) -> Result<String, Box<dyn Error>> {
    let url = Url::parse(base)?;
    if url.query().is_some() || url.fragment().is_some() {
        return Err("paths are added to it, so it has neither query nor fragment".into());
    }
    Ok(format!("{}/login", url.path().trim_end_matches('/')))
}

/// The domain in the names of a tenant's users.
fn domain_of(tenant: &Emulator) -> String {
    let user = &tenant.users()[0].user_principal_name;
    user.rsplit('@').next().unwrap_or_default().to_owned()
}
