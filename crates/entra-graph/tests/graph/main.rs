//! Behaviour on the wire, one module per source file.

mod app_credential;
mod application;
mod batch;
mod client;
mod consent;
mod fake;
mod page;
mod permission;
mod replication;
mod service_principal;
