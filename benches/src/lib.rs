//! The benchmarks are the bench targets of this package: `cargo bench -p entra-benches`.
