//! One of several processes that share their tokens through Redis: signs in and says which token it
//! has. Start it twice, and the second process makes no request for a token.
//!
//! `shared_tokens <Redis' URL> <sealing key> <endpoint of the cloud> <tenant> <client id> <secret>`
//!
//! The local tenant is such an endpoint; `openssl rand -base64 32` makes a key. A product takes the
//! key and the secret from its vault, and the cloud from `Cloud::public()`.

#![expect(clippy::print_stdout, reason = "an example prints")]

use std::sync::Arc;

use entra_core::{
    Authority, ClientCredential, ClientId, ClientSecret, Cloud, ConfidentialClient, HttpsClient,
    KeyRing, Pipeline, Probe as _, SealingKey, Secret, SharedTokens, Tenant, TokenRequest,
};
use entra_store::{Redis, RedisOptions, RedisTokenCache};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [redis, key, endpoint, tenant, client_id, secret] = arguments.as_slice() else {
        return Err(
            "usage: shared_tokens <redis> <key> <endpoint> <tenant> <client> <secret>".into(),
        );
    };

    // 1. The cache: sealed under a key that all processes have and Redis has not.
    let cache = RedisTokenCache::new(&Redis::new(RedisOptions::new(redis)?)?);
    println!("{}", cache.run().await);
    let keys = KeyRing::new(SealingKey::from_base64(&Secret::new(key))?);

    // 2. The client, as it would be without it.
    let cloud = Cloud::custom(endpoint, endpoint)?;
    let app = ConfidentialClient::new(
        Authority::new(cloud.clone(), Tenant::parse(tenant)?),
        ClientId::parse(client_id)?,
        ClientCredential::secret(ClientSecret::parse(secret)?),
        Pipeline::new(HttpsClient::new()?),
    )?
    .with_shared_tokens(SharedTokens::new(Arc::new(cache), keys));

    let token = app.token(&TokenRequest::new([cloud.graph_scope()])).await?;
    println!("valid until {}", token.expires_on());
    println!("token {}", token.secret().fingerprint());
    Ok(())
}
