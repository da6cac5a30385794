//! The routes and extractors for axum, with a browser in front and a tenant behind.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "what a test cannot do fails it"
)]

mod bearer;
mod callback;
mod login;
mod logout;
mod profiles;
mod session;
mod site;
#[path = "../stage/mod.rs"]
mod stage;
mod step_up;
