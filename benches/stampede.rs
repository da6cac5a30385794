//! Many tasks that want tokens which nobody has yet, from a sign-in service that answers after
//! 50 ms.
//!
//! Goals: one request for a thousand tasks that want the same token; 20 different tokens in 60 ms;
//! a hit in less than a microsecond while another token is on the way, for 999 of 1,000 hits. The
//! floor is the service's 50 ms.

#[path = "measure.rs"]
mod measure;
#[path = "service.rs"]
mod service;

use std::time::{Duration, Instant};

use entra_core::TokenRequest;
use measure::goal;
use service::Service;
use tokio::task::JoinSet;

const DELAY: Duration = Duration::from_millis(50);

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    same_token().await;
    different_tokens().await;
    hits_during_a_fetch().await;
}

async fn same_token() {
    let service = Service::answering_after(DELAY);
    let client = service.client();
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..1000 {
        let client = client.clone();
        tasks.spawn(async move { client.token(&request(0)).await.is_ok() });
    }
    assert!(tasks.join_all().await.into_iter().all(|ok| ok));
    println!("1,000 tasks, one cold token: {:.1} ms", milliseconds(start));
    goal("requests", service.requests() as f64, 1.0);
    assert_eq!(service.requests(), 1);
}

async fn different_tokens() {
    let mut fastest = f64::INFINITY;
    for _ in 0..5 {
        let service = Service::answering_after(DELAY);
        let client = service.client();
        let start = Instant::now();
        let mut tasks = JoinSet::new();
        for scope in 0..20 {
            let client = client.clone();
            tasks.spawn(async move { client.token(&request(scope)).await.is_ok() });
        }
        assert!(tasks.join_all().await.into_iter().all(|ok| ok));
        fastest = fastest.min(milliseconds(start));
        assert_eq!(service.requests(), 20);
    }
    println!("20 cold tokens at once");
    goal("ms", fastest, 60.0);
}

async fn hits_during_a_fetch() {
    let service = Service::answering_after(DELAY);
    let client = service.client();
    client.token(&request(0)).await.unwrap();
    let mut fetch = JoinSet::new();
    let mut times = Vec::with_capacity(1_000_000);
    let other = client.clone();
    fetch.spawn(async move { other.token(&request(1)).await.is_ok() });
    while service.requests() < 2 {
        tokio::task::yield_now().await;
    }
    let warm = request(0);
    let end = Instant::now() + DELAY / 2;
    while Instant::now() < end {
        let start = Instant::now();
        std::hint::black_box(client.token(&warm).await).unwrap();
        times.push(start.elapsed());
    }
    assert!(
        fetch.try_join_next().is_none(),
        "the fetch is still under way"
    );
    assert!(fetch.join_all().await.into_iter().all(|ok| ok));
    times.sort_unstable();
    let at = |part: f64| times[(times.len() as f64 * part) as usize].as_nanos() as f64;
    println!("{} hits while another token was on the way", times.len());
    println!("  median {} ns (with two readings of the clock)", at(0.5));
    goal("ns at 99.9 %", at(0.999), 1000.0);
}

fn request(scope: usize) -> TokenRequest {
    TokenRequest::new([format!("api://{scope}/.default")])
}

fn milliseconds(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1000.0
}
