//! A cached token: `ConfidentialClient::token` against the least that a cache can do, which is to
//! read the clock, load a pointer and compare two times.
//!
//! Goals: at most 60 ns and twice the floor, no allocation, and at most 1.2 times as long where
//! two threads do it at once. The floor reads the clock as the client does.

#[path = "measure.rs"]
mod measure;
#[path = "service.rs"]
mod service;

use std::hint::black_box;
use std::sync::{Arc, Barrier};
use std::time::Duration;

use arc_swap::ArcSwap;
use entra_core::{Clock as _, SystemClock, TokenRequest};
use measure::{Side, allocations, compare, goal, thread_time};
use service::Service;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let client = Service::answering_after(Duration::ZERO).client();
    let request = TokenRequest::new(["https://graph.microsoft.com/.default"]);
    runtime.block_on(client.token(&request)).unwrap();
    let slot = ArcSwap::from_pointee(SystemClock.unix_time() + 3600);
    let floor = |n: u64| {
        for _ in 0..n {
            let until = slot.load();
            black_box(SystemClock.unix_time() < **until);
        }
    };
    let clock = |n: u64| {
        for _ in 0..n {
            black_box(SystemClock.unix_time());
        }
    };
    let cached = |n: u64| {
        for _ in 0..n {
            black_box(client.cached(black_box(&request)));
        }
    };
    let token = |n: u64| {
        futures_util::FutureExt::now_or_never(async {
            for _ in 0..n {
                black_box(client.token(black_box(&request)).await).unwrap();
            }
        })
        .unwrap();
    };
    let mut one = [
        Side::new("floor: clock and ArcSwap", floor),
        Side::new("of it: the clock", clock),
        Side::new("ConfidentialClient::cached", cached),
        Side::new("ConfidentialClient::token", token),
    ];
    compare("a cached token, one thread", &mut one, 41, 200_000);
    goal("ns", one[3].min(), 60.0);
    goal("times the floor", one[3].min() / one[0].min(), 2.0);
    goal(
        "allocations in 1,000 hits",
        allocations(|| token(1000)) as f64,
        0.0,
    );

    let mut two = [
        Side::timed("floor: clock and ArcSwap", |n| on_two_threads(n, &floor)),
        Side::timed("ConfidentialClient::token", |n| on_two_threads(n, &token)),
    ];
    compare("a cached token, two threads at once", &mut two, 41, 200_000);
    goal("times one thread", two[1].min() / one[3].min(), 1.2);
}

/// The time of the slower of two threads.
fn on_two_threads(n: u64, work: &(impl Fn(u64) + Sync)) -> Duration {
    let start = Arc::new(Barrier::new(2));
    std::thread::scope(|scope| {
        let threads = [(); 2].map(|()| {
            let start = Arc::clone(&start);
            scope.spawn(move || {
                start.wait();
                let before = thread_time();
                work(n);
                thread_time() - before
            })
        });
        threads
            .map(|thread| thread.join().unwrap())
            .into_iter()
            .max()
            .unwrap()
    })
}
