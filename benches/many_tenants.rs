//! One client with the tokens of very many tenants: what each costs in memory, what a hit costs in
//! time, and that the bound holds.
//!
//! Goals: a token of 1,500 characters takes at most 3,000 bytes, with a thousand tenants as well
//! as with a hundred thousand; a hit is at most three times the floor, which reads the clock and
//! looks the tenant up by its name in a hash map of as many (both wait for memory that no cache
//! of the processor holds, and the more so the more tenants there are).

#[path = "measure.rs"]
mod measure;
#[path = "service.rs"]
mod service;

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Arc;

use entra_core::{
    AllowedTenants, Clock as _, ConfidentialClient, SystemClock, Tenant, TenantId, TokenRequest,
};
use measure::{Side, compare, goal, held_bytes};
use service::Service;
use uuid::Uuid;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    for tenants in [1_000, 10_000, 100_000] {
        let requests = requests(tenants);
        let client = client(tenants as usize + 1);
        let bytes = held_bytes(|| {
            runtime.block_on(async {
                for request in &requests {
                    client.token(request).await.unwrap();
                }
            });
        });
        println!("{tenants} tenants");
        goal("bytes each", bytes as f64 / tenants as f64, 3000.0);
        hits(&client, &requests);
    }
    bound(&runtime);
}

/// In an order in which no entry is near the last one.
fn hits(client: &ConfidentialClient, requests: &[TokenRequest]) {
    let until = SystemClock.unix_time() + 3600;
    let name = |number: usize| Uuid::from_u128(number as u128 + 1).to_string();
    let map: HashMap<String, Arc<i64>> = (0..requests.len())
        .map(|number| (name(number), Arc::new(until)))
        .collect();
    let mut order: Vec<_> = (0..requests.len()).collect();
    order.sort_by_key(|number| scrambled(*number as u128));
    let keys: Vec<String> = order.iter().map(|at| name(*at)).collect();
    let requests: Vec<TokenRequest> = order.iter().map(|at| requests[*at].clone()).collect();
    let floor = |n: u64| {
        for at in 0..n as usize {
            let key = &keys[at % keys.len()];
            black_box(SystemClock.unix_time() < **map.get(key).unwrap());
        }
    };
    let cached = |n: u64| {
        for at in 0..n as usize {
            black_box(client.cached(&requests[at % requests.len()])).unwrap();
        }
    };
    let mut sides = [
        Side::new("floor: clock and hash map", floor),
        Side::new("ConfidentialClient::cached", cached),
    ];
    compare("a cached token of any tenant", &mut sides, 11, 200_000);
    goal("times the floor", sides[1].min() / sides[0].min(), 3.0);
}

fn bound(runtime: &tokio::runtime::Runtime) {
    let client = client(10_000);
    runtime.block_on(async {
        for request in &requests(30_000) {
            client.token(request).await.unwrap();
        }
    });
    let metrics = client.metrics();
    println!("30,000 tenants in a cache for 10,000: {metrics:?}");
    goal("tokens", metrics.len as f64, 10_000.0);
}

fn client(capacity: usize) -> ConfidentialClient {
    // As long as a token of Microsoft Graph with a few roles.
    Service::with_token(&"x".repeat(1_500))
        .client()
        .with_tenants(AllowedTenants::Any)
        .with_cache_capacity(capacity)
}

fn requests(tenants: u32) -> Vec<TokenRequest> {
    (0..tenants)
        .map(|number| {
            let tenant = TenantId::from(Uuid::from_u128(u128::from(number) + 1));
            TokenRequest::new(["https://graph.microsoft.com/.default"])
                .in_tenant(Tenant::Id(tenant))
        })
        .collect()
}

/// Spreads numbers over all of their space.
fn scrambled(number: u128) -> u128 {
    (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)
}
