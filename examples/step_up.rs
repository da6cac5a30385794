//! A page that asks for more than a sign-in: an authentication context of Conditional Access. The
//! tenant decides what that takes, here a second factor.

#[path = "web/browser.rs"]
mod browser;

use std::error::Error;
use std::process::ExitCode;

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use clap::Parser;
use entra_core::{ClientCredential, ClientSecret, KeyRing, Pipeline, SealingKey, Tenant};
use entra_emulator::{Emulator, Seed};
use entra_oidc::{
    Authority, Challenge, EntraLogin, LoginOptions, RedirectUri, Sessions, SignedIn, WebLogin,
};

use browser::Browser;
use entra_examples::at;

/// Shows a page, and one that asks for an authentication context, in a local tenant.
#[derive(Parser)]
struct Arguments {
    /// The authentication context that the payroll asks for, c1 to c99.
    #[arg(long, default_value = "c1")]
    context: String,
}

#[tokio::main]
async fn main() -> ExitCode {
    entra_examples::exit(run(Arguments::parse()).await)
}

async fn run(Arguments { context }: Arguments) -> Result<(), Box<dyn Error>> {
    let tenant = Emulator::new(Seed::default());
    // In Entra: a Conditional Access policy that is assigned to the context.
    tenant
        .authentication_context(&context)
        .map_err(at("--context"))?
        .require_mfa();
    let login = WebLogin::new(
        login(&tenant).await?,
        Sessions::in_memory().with_clock(tenant.clock()),
    )?;

    let product = Router::new()
        .route("/", get(home))
        .route("/payroll", get(payroll))
        .merge(login.routes())
        .with_state(App { login, context });
    let user = &tenant.users()[0].user_principal_name;
    let mut browser = Browser::new(product);
    for page in ["/", "/payroll", "/payroll"] {
        println!("{page}");
        println!("  -> {}", browser.open(page, &tenant, user).await?);
    }
    Ok(())
}

#[derive(Clone)]
struct App {
    login: WebLogin,
    context: String,
}

impl axum::extract::FromRef<App> for WebLogin {
    fn from_ref(app: &App) -> Self {
        app.login.clone()
    }
}

async fn home(user: SignedIn) -> String {
    format!("Hello {}", user.display_name().unwrap_or("you"))
}

/// Whoever has not passed the context goes there first, and comes back to this page as the same
/// user.
async fn payroll(State(app): State<App>, user: SignedIn) -> Result<String, Challenge> {
    user.require_auth_context(&app.context)?;
    Ok(format!("The payroll, for {}", user.key()))
}

/// The web application of the tenant.
async fn login(tenant: &Emulator) -> Result<EntraLogin, Box<dyn Error>> {
    let app = tenant.web_app();
    let authority = Authority::single_tenant(tenant.cloud(), Tenant::parse(&tenant.tenant_id())?)?;
    let redirect_uri = RedirectUri::web("https://localhost/signin-oidc")?;
    let keys = KeyRing::new(SealingKey::generate());
    let secret = ClientCredential::secret(ClientSecret::try_from(&app.client_secret)?);
    let options = LoginOptions::new(authority, &app.client_id, redirect_uri, keys)?
        .with_credential(secret)?;
    let pipeline = Pipeline::new(tenant.clone()).with_clock(tenant.clock());
    Ok(EntraLogin::connect(options, pipeline).await?)
}
