//! An API that users' programs call with access tokens of Entra: who calls, and what they may.

use std::error::Error;
use std::process::ExitCode;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{FromRef, State};
use axum::http::Request;
use axum::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use axum::response::Response;
use axum::routing::get;
use clap::Parser;
use entra_core::{Pipeline, PublicClient, Tenant, TokenRequest, UserSession};
use entra_emulator::{Emulator, Seed};
use entra_oidc::{ApiCaller, ApiRefusal, ApiValidator, Authority};
use tower::ServiceExt as _;

/// Calls an API in a local tenant: as a user, as nobody, and with tokens that are not for it.
#[derive(Parser)]
struct Arguments {
    /// The scope that the API asks for. Users' tokens have access_as_user, so with another one
    /// everybody is refused.
    #[arg(long, default_value = "access_as_user")]
    scope: String,
}

#[tokio::main]
async fn main() -> ExitCode {
    entra_examples::exit(run(Arguments::parse()).await)
}

async fn run(Arguments { scope }: Arguments) -> Result<(), Box<dyn Error>> {
    let tenant = Emulator::new(Seed::default());
    let pipeline = Pipeline::new(tenant.clone()).with_clock(tenant.clock());
    // Whose tokens, and for whom: without either there is no validator.
    let authority = Authority::single_tenant(tenant.cloud(), Tenant::parse(&tenant.tenant_id())?)?;
    let app = tenant.web_app();
    let validator = ApiValidator::connect(authority, [&app.client_id], pipeline).await?;
    let api = Router::new()
        .route("/files", get(files))
        .with_state(Api { validator, scope });

    let session = sign_in(&tenant).await?;
    let api_scope = format!("api://{}/access_as_user", app.client_id);
    let graph_scope = format!("{}User.Read", tenant.cloud().graph_url());
    let token = |scope: String| {
        let session = session.clone();
        async move {
            session
                .token(&TokenRequest::new([scope]))
                .await
                .map(|token| token.secret())
        }
    };
    for (who, bearer) in [
        ("the user's program", Some(token(api_scope).await?)),
        ("with a token for Graph", Some(token(graph_scope).await?)),
        ("with an ID token", session.unverified_id_token()),
        ("nobody", None),
    ] {
        let mut request = Request::get("/files");
        if let Some(bearer) = bearer {
            request = request.header(AUTHORIZATION, format!("Bearer {}", bearer.expose()));
        }
        let response = api.clone().oneshot(request.body(Body::empty())?).await?;
        println!("{who}: {}", show(response).await?);
    }
    Ok(())
}

#[derive(Clone)]
struct Api {
    validator: ApiValidator,
    scope: String,
}

impl FromRef<Api> for ApiValidator {
    fn from_ref(api: &Api) -> Self {
        api.validator.clone()
    }
}

/// Whoever has no good token does not get here.
async fn files(caller: ApiCaller, State(api): State<Api>) -> Result<String, ApiRefusal> {
    caller.require_scope(&api.scope)?;
    Ok(format!("the files of {}", caller.key()))
}

/// The user signs in to the program, which has no secret.
async fn sign_in(tenant: &Emulator) -> Result<UserSession, Box<dyn Error>> {
    let client = PublicClient::new(
        entra_core::Authority::new(tenant.cloud(), Tenant::parse(&tenant.tenant_id())?),
        tenant.public_app().client_id.parse()?,
        Pipeline::new(tenant.clone()).with_clock(tenant.clock()),
    );
    let scopes = TokenRequest::new(["openid", "offline_access"]);
    let login = client.device_login(&scopes).await?;
    tenant.approve_device(login.user_code(), &tenant.users()[0].user_principal_name)?;
    Ok(login.finish(|_| ()).await?)
}

async fn show(response: Response) -> Result<String, Box<dyn Error>> {
    let status = response.status();
    let challenge = response.headers().get(WWW_AUTHENTICATE).cloned();
    let body = to_bytes(response.into_body(), 1 << 20).await?;
    let body = String::from_utf8(body.to_vec())?;
    Ok(match challenge {
        Some(challenge) => format!("{status}, {}", challenge.to_str()?),
        None => format!("{status}, {body}"),
    })
}
