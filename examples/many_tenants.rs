//! A product with many customers: one application, a token for each customer's tenant, one bounded
//! cache that several machines share.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use entra_core::{
    AllowedTenants, Authority, ClientCredential, ClientId, ClientSecret, Cloud, ConfidentialClient,
    HttpClient, KeyRing, Limits, MemoryTokenCache, MovableClock, Pipeline, SealingKey, Secret,
    SharedTokens, Tenant, TenantId, TokenRequest, TransportError,
};
use entra_emulator::{Emulator, Seed};

const CLIENT_ID: &str = "3f0b1c62-7d5a-4c9e-8a51-90d2f6b7c1aa";

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Three customers, and a stranger. For the real ones: `Cloud::public()` and `HttpsClient`.
    let secret = Secret::new("Ab8Q~the-secret-of-the-product-itself");
    let world = World::new(["Contoso", "Fabrikam", "Northwind", "Stranger"], &secret);
    let [contoso, fabrikam, northwind, stranger] = world.tenants.as_slice() else {
        unreachable!("there are four");
    };

    // What all machines of the product share: a cache (Redis in earnest) and the key to it.
    let shared = SharedTokens::new(
        Arc::new(MemoryTokenCache::new().with_clock(world.clock.clone())),
        KeyRing::new(SealingKey::generate()),
    );
    let machine = || -> Result<ConfidentialClient, Box<dyn std::error::Error>> {
        let customers = [contoso, fabrikam, northwind].map(|id| Tenant::Id(*id));
        Ok(ConfidentialClient::new(
            Authority::new(world.cloud.clone(), *contoso),
            ClientId::parse(CLIENT_ID)?,
            ClientCredential::secret(ClientSecret::try_from(&secret)?),
            Pipeline::new(world.clone()).with_clock(world.clock.clone()),
        )?
        // `AllowedTenants::Any` where the product's own database decides.
        .with_tenants(AllowedTenants::These(customers.to_vec()))
        .with_cache_capacity(100_000)
        .with_shared_tokens(shared.clone()))
    };

    let request = TokenRequest::new([world.cloud.graph_scope()]);
    let first = machine()?;
    for tenant in [contoso, fabrikam, northwind] {
        let token = first.token(&request.clone().in_tenant(*tenant)).await?;
        println!("{tenant}: a token until {}", token.expires_on());
    }
    let refused = first.token(&request.clone().in_tenant(*stranger)).await;
    println!("{stranger}: {}", refused.map(|_| ()).unwrap_err());

    // Another machine finds all of it in the shared cache: nobody is asked.
    let second = machine()?;
    for tenant in [contoso, fabrikam, northwind, contoso] {
        second.token(&request.clone().in_tenant(*tenant)).await?;
    }
    println!("the first machine:  {:?}", first.metrics());
    println!("the second machine: {:?}", second.metrics());
    assert_eq!(second.metrics().requests, 0);
    Ok(())
}

/// Several local tenants behind one sign-in service.
#[derive(Clone, Debug)]
struct World {
    cloud: Cloud,
    clock: Arc<MovableClock>,
    tenants: Vec<TenantId>,
    by_id: Arc<HashMap<String, Emulator>>,
}

impl World {
    fn new(names: [&str; 4], secret: &Secret) -> Self {
        let seed = |name: &str| {
            Seed::new()
                .with_name(name)
                .with_product(CLIENT_ID, secret.clone())
        };
        let emulators = names.map(|name| Emulator::new(seed(name)));
        let tenants = emulators
            .iter()
            .map(|one| TenantId::parse(&one.tenant_id()));
        Self {
            cloud: emulators[0].cloud(),
            clock: emulators[0].clock(),
            tenants: tenants.flatten().collect(),
            by_id: Arc::new(
                emulators
                    .into_iter()
                    .map(|one| (one.tenant_id(), one))
                    .collect(),
            ),
        }
    }
}

#[async_trait]
impl HttpClient for World {
    async fn send(
        &self,
        request: http::Request<Bytes>,
        limits: Limits,
    ) -> Result<http::Response<Bytes>, TransportError> {
        // The path of a sign-in begins with the tenant.
        let tenant = request.uri().path().split('/').nth(1).unwrap_or_default();
        self.by_id[tenant].send(request, limits).await
    }
}
