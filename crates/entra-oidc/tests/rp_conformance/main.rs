//! The cases of the OpenID Foundation's conformance suite for relying parties, by the names that
//! its modules have there (`oidcc-client-test-…`, and those of its FAPI plans that concern any
//! relying party), re-implemented against a provider that the test plays. This is no certification:
//! the suite itself was not run.
//!
//! Left out is what a relying party of this kind does not speak: WebFinger, dynamic registration,
//! request objects, the implicit flow, and session management by frames.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "what a test cannot do fails it"
)]

mod authorization;
mod basic;
mod hybrid;
mod keys;
mod logout;
mod provider;
mod refresh;
#[path = "../stage/mod.rs"]
mod stage;
