//! A local Microsoft Entra tenant.
#![allow(
    dead_code,
    unused_imports,
    reason = "the sign-in half, which uses it, comes next"
)]

mod caller;
mod graph;
mod schema;
mod seed;
mod tenant;

pub use seed::{Seed, SeededApp, SeededUser};
