//! What every implementation of a store, and of a host's accounts, must hold, as functions that a
//! test calls.
//!
//! Each property is one function that panics where it does not hold; `all` runs them one after the
//! other. They take the store as two nodes, which are two handles of the same data: two
//! connections to one server, or the same store twice where it serves one process. Names and keys
//! are random, so that the data may be left over from earlier runs; a thousand small entries must
//! fit in. Time passes on the clock that comes with them, the one that the store goes by: a
//! [`MovableClock`](crate::MovableClock) passes at once, and with a
//! [`SystemClock`](crate::SystemClock) a suite takes some seconds.
//!
//! ```
//! use std::sync::Arc;
//! use entra_core::{Clock, MemoryOneTimeStore, MovableClock, OneTimeStore, contract};
//! use time::OffsetDateTime;
//!
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! let clock = Arc::new(MovableClock::frozen_at(OffsetDateTime::UNIX_EPOCH));
//! let store: Arc<dyn OneTimeStore> =
//!     Arc::new(MemoryOneTimeStore::new().with_clock(clock.clone()));
//! contract::one_time_store::all([&store, &store], &*clock).await;
//! # });
//! ```

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a property that does not hold fails the test"
)]

pub mod one_time_store;
pub mod session_index;
pub mod token_cache;
pub mod user_provisioner;

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

fn random() -> [u8; 32] {
    let mut bytes = [0; 32];
    aws_lc_rs::rand::fill(&mut bytes).expect("the system's source of randomness answers");
    bytes
}

/// Starts a call and gives it up at its first wait, as a caller does that ran out of time.
async fn start_and_drop(call: impl Future) {
    let mut call = pin!(call);
    poll_fn(|context| {
        let _ = call.as_mut().poll(context);
        Poll::Ready(())
    })
    .await;
}

/// Long enough that a busy machine does not end it early.
const SHORT: Duration = Duration::from_secs(1);
/// After this what lived for [`SHORT`] has ended.
const PAST_SHORT: Duration = Duration::from_millis(1100);
const HOUR: Duration = Duration::from_secs(3600);
