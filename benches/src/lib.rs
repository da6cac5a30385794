//! The benchmarks are the bench targets of this package: `cargo bench -p entra-benches`, or one of
//! them, `cargo bench -p entra-benches --bench token_cache`. Each compares a hot path with its
//! floor, the least that any implementation must do, in rounds that take turns, and says whether
//! its goals are reached. Ratios travel between machines, times do not.
//!
//! On two shared cores of an AMD EPYC (Zen 4), Rust 1.95, November 2026:
//!
//! | Benchmark | Path | Found | Floor | Goal |
//! |---|---|---|---|---|
//! | `token_cache` | a cached token, one thread | 60 ns to 64 ns, 1.6x, no allocation | 37 ns to 39 ns (of it the clock: 25 to 27) | 60 ns, 2x |
//! | | two threads at once | the same each, 1.0x one thread | 37 ns to 38 ns | 1.2x |
//! | `many_tenants` | a cached token of one of 1,000, 10,000, 100,000 tenants | 1.5x, 1.7x, 1.7x | 51 ns, 88 ns, 400 ns (memory) | 3x |
//! | | what each costs, with a token of 1,500 characters | 2,054 bytes | | 3,000 bytes |
//! | `stampede` | 1,000 tasks, one cold token | 1 request | 1 | 1 |
//! | | 20 cold tokens at once, 50 ms each | 51 ms | 50 ms | 60 ms |
//! | | hits while another token is on the way, 99.9 % | 0.12 µs | | 1 µs |
//! | `one_time` | a key that may be used once, 10,000 held | 340 ns, 1.8x | 190 ns (of it the clocks: 80) | 2x |
//! | | the same, 100,000 held | 540 ns, 1.7x | 320 ns | 2x |
//! | `pipeline` | the pipeline alone | 0.8 µs, 4 allocations | | 1.5 µs, 4 |
//! | | with `HttpsClient`, over reqwest | 1.05x to 1.09x | 12 µs to 40 µs | 1.09x |
//! | `signing` | a PS256 signature, RSA 2048 | 1.02x | 273 µs | 1.03x |
//! | | a whole token request with it | 1.02x | 273 µs | 1.05x |
//! | `jwt` | a token, all checks | 1.05x to 1.06x, 8 allocations | 16.0 µs | 1.07x, 8 |
//! | | a known key among 8, among 1,000 | 55 ns, 55 ns, no allocation | 58 ns | 60 ns |
//! | `id_token` | an ID token, all checks | 1.07x to 1.09x, 9 allocations | 16.6 µs | 1.07x, 9 |
//! | | the same among 1,000 keys | 1.0x | | 1.02x |
//! | `users_stream` | 100,000 users | 0.072 s, 0.9x, 1.2 MB | 0.082 s, 1.2 MB | 1.1x, 10 MB |
