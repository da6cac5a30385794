//! A web product whose users sign in with OpenID Connect.
//!
//! Without `--issuer` the provider is a local tenant in this process, and a line on standard error
//! says what to open and as whom to sign in.

#[path = "web/local_tenant.rs"]
mod local_tenant;
#[path = "web/provider.rs"]
mod provider;
#[path = "web/registration.rs"]
mod registration;
#[path = "web/serve.rs"]
mod serve;

use std::error::Error;
use std::io::{IsTerminal as _, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use axum::Router;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Json};
use axum::routing::{get, post};
use clap::{Parser, ValueEnum};
use entra_core::Groups;
use entra_examples::at;
use entra_oidc::{
    Challenge, EntraLogin, LoginOptions, MaybeSignedIn, RedirectUri, Sessions, SignedIn, User,
    WebLogin,
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// A web product whose users sign in with OpenID Connect.
///
/// When it is ready it prints one line of JSON: `url` (where the product is), `redirect_uri` and
/// `logout_url` (to be registered with the application: the redirect URI, which is also where the
/// browser comes back to from a sign-out, and the front-channel logout URL). `GET /login` begins a
/// login. `GET /me` answers with JSON: `signed_in`, `key`, `name`, `roles`, `groups` (null where
/// they are not known), `auth_contexts`; with 401 and `signed_in: false` for everybody else.
/// `POST /renew` asks the provider whether the user may still sign in, and answers like `/me`
/// (with `--scope offline_access`). `POST /logout` signs out. What comes back to the redirect URI
/// and is refused is answered with a page of status 4xx, and makes no session. Ctrl-C ends it.
#[derive(Parser)]
#[command(version, verbatim_doc_comment)]
pub struct Arguments {
    /// Where to listen; the product is at `localhost` and this port, and port 0 lets the system
    /// choose. The path of the redirect URI is /signin-oidc.
    #[arg(long, default_value = "127.0.0.1:8400", verbatim_doc_comment)]
    listen: SocketAddr,
    /// The issuer, for Entra https://login.microsoftonline.com/{tenant}/v2.0. Another host than
    /// those of Microsoft's clouds is taken as a cloud of your own, with Microsoft Graph at the
    /// same address. Without it the provider is a local tenant in this process.
    #[arg(long, requires = "client_id", verbatim_doc_comment)]
    issuer: Option<String>,
    /// The application (client) id.
    #[arg(long, requires = "issuer")]
    client_id: Option<String>,
    /// The client secret.
    #[arg(
        long,
        requires = "issuer",
        env = "OIDC_CLIENT_SECRET",
        hide_env_values = true
    )]
    client_secret: Option<String>,
    /// PEM file with certificate authorities to trust beside those of the system.
    #[arg(long, requires = "issuer")]
    ca: Option<PathBuf>,
    /// PEM file with the certificate of this server. Without it the product is reached by http.
    #[arg(long, requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// PEM file with the private key of this server.
    #[arg(long, requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// How the provider's answer comes; form_post needs https.
    #[arg(long, value_enum, default_value = "query")]
    response_mode: ResponseMode,
    /// Another scope to ask for beside openid and profile; may be repeated.
    #[arg(long)]
    scope: Vec<String>,
    /// The issuer is a provider of another kind than Entra.
    #[arg(long, requires = "issuer")]
    generic: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
enum ResponseMode {
    Query,
    FormPost,
}

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    entra_examples::exit(run(Arguments::parse()).await)
}

async fn run(arguments: Arguments) -> Result<(), Box<dyn Error>> {
    if arguments.response_mode == ResponseMode::FormPost && arguments.tls_cert.is_none() {
        return Err("--response-mode form_post needs https: give --tls-cert and --tls-key".into());
    }
    // Before anything is made that has to be removed.
    let end = serve::end()?;
    tokio::select! {
        served = serve(&arguments) => served,
        () = end => Ok(()),
    }
}

async fn serve(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let place = format!("--listen {}", arguments.listen);
    let listener = TcpListener::bind(arguments.listen)
        .await
        .map_err(at(place))?;
    let tls = match (&arguments.tls_cert, &arguments.tls_key) {
        (Some(certificate), Some(key)) => Some(serve::tls(certificate, key)?),
        _ => None,
    };
    let scheme = if tls.is_some() { "https" } else { "http" };
    let url = format!("{scheme}://localhost:{}", listener.local_addr()?.port());
    let redirect_uri = RedirectUri::web(&format!("{url}/signin-oidc"))?;

    // The folder is removed when this ends.
    let (login, _folder) = match &arguments.issuer {
        Some(issuer) => {
            let login = provider::login(arguments, issuer, &redirect_uri).await?;
            (login, None)
        }
        None => {
            let (login, folder) = local_tenant::login(arguments, &url, &redirect_uri).await?;
            (login, Some(folder))
        }
    };
    let web = web(login)?;
    let profile = &entra_oidc::ProfileName::default();
    let line = json!({
        "url": url,
        "redirect_uri": redirect_uri.as_str(),
        "logout_url": web.front_channel_url(profile),
    });
    writeln!(std::io::stdout(), "{line}")?;
    serve::run(listener, tls, app(web)).await
}

/// What the arguments ask for at any provider.
fn asked_for(
    options: LoginOptions,
    arguments: &Arguments,
    redirect_uri: &RedirectUri,
) -> Result<LoginOptions, entra_oidc::OptionsError> {
    let options = options
        .with_post_logout_redirect_uri(redirect_uri)
        .with_scopes(arguments.scope.iter().cloned());
    match arguments.response_mode {
        ResponseMode::Query => Ok(options),
        ResponseMode::FormPost => options.with_form_post(),
    }
}

/// Sessions of this process. They keep the ID token, as a hint for the sign-out.
fn web(login: EntraLogin) -> Result<WebLogin, entra_oidc::OptionsError> {
    let sessions = Sessions::in_memory().keeping_tokens();
    WebLogin::new(login, sessions)
}

fn app(web: WebLogin) -> Router {
    Router::new()
        .route("/", get(home))
        .route("/me", get(me))
        .route("/renew", post(renew))
        .merge(web.routes())
        .with_state(web)
}

async fn home(MaybeSignedIn(user): MaybeSignedIn) -> Html<&'static str> {
    Html(if user.is_some() {
        "<!DOCTYPE html><title>Product</title><p><a href=\"/me\">Who am I?</a></p>\
         <form method=\"post\" action=\"/logout\"><button>Sign out</button></form>"
    } else {
        "<!DOCTYPE html><title>Product</title><p><a href=\"/login\">Sign in</a></p>"
    })
}

async fn me(MaybeSignedIn(user): MaybeSignedIn) -> impl IntoResponse {
    match user {
        Some(user) => (StatusCode::OK, Json(describe(&user))),
        None => (StatusCode::UNAUTHORIZED, Json(json!({"signed_in": false}))),
    }
}

async fn renew(user: SignedIn) -> Result<impl IntoResponse, Challenge> {
    let renewal = user.renew(None).await?;
    let answer = Json(describe(&renewal.user));
    Ok((renewal, answer))
}

fn describe(user: &User) -> Value {
    let contexts: Vec<_> = user
        .auth_contexts()
        .iter()
        .map(ToString::to_string)
        .collect();
    json!({
        "signed_in": true,
        "key": user.key(),
        "name": user.display_name(),
        "roles": user.roles(),
        "groups": groups(user.groups()),
        "auth_contexts": contexts,
    })
}

/// That somebody has no groups and that they are not known are two things.
fn groups(groups: &Groups) -> Value {
    match groups {
        Groups::Complete(groups) => json!(groups),
        _ => Value::Null,
    }
}
