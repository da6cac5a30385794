//! Behaviour on the wire, one module per source file.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod app_credential;
mod application;
mod batch;
mod client;
mod consent;
mod fake;
mod graph_groups;
mod page;
mod permission;
mod replication;
mod service_principal;
