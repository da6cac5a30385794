//! The programs are the examples of this package: `cargo run --example link`.

/// The quick start of the project's front page compiles.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

/// So do those of the crates.
#[cfg(doctest)]
#[doc = include_str!("../../crates/entra-core/README.md")]
struct CoreReadme;

/// So do those of the crates.
#[cfg(doctest)]
#[doc = include_str!("../../crates/entra-graph/README.md")]
struct GraphReadme;

/// So do those of the crates.
#[cfg(doctest)]
#[doc = include_str!("../../crates/entra-oidc/README.md")]
struct OidcReadme;
