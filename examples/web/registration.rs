//! Registers a redirect URI with the web application of a local tenant, as an administrator does.

use std::error::Error;
use std::sync::Arc;

use bytes::Bytes;
use entra_core::{
    Authority, Call, ClientCredential, ClientSecret, ConfidentialClient, Pipeline, Tenant,
    TokenRequest,
};
use entra_emulator::Emulator;
use serde_json::json;

pub async fn register(tenant: &Emulator, redirect_uri: &str) -> Result<(), Box<dyn Error>> {
    let setup = tenant.setup_app();
    let authority = Authority::new(tenant.cloud(), Tenant::parse(&tenant.tenant_id())?);
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
    let call =
        Call::new("PATCH /applications/{id}", request).with_credential(Arc::new(client), scope);
    pipeline.send(call).await?;
    Ok(())
}
