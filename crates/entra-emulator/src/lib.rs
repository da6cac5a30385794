//! A local Microsoft Entra tenant: sign-in, tokens and Microsoft Graph, in the process of a test
//! or over TLS for clients in any language.
//!
//! [`Emulator`] is the tenant. It is an [`entra_core::HttpClient`], so that code under test uses
//! it in place of the network; its [`MovableClock`](entra_core::MovableClock) lets a year pass
//! without waiting, [`Faults`] make it fail in the ways of the real service, and the [`Journal`]
//! says what was asked. [`Server`] puts the same value behind TLS; the program of this crate is
//! made of it.
//!
//! What it does follows Microsoft's documentation, and each file names its sources. What could
//! not be verified is listed in the README. A path or an option that it does not know is an error
//! that says so, never an empty answer.

mod access_token;
mod bearer;
mod ca;
mod caller;
mod client_assertion;
mod control;
mod emulator;
mod fault;
mod graph;
mod journal;
mod keys;
mod origin;
mod refusal;
mod resource_manager;
mod schema;
mod seed;
mod server;
mod sign_in;
mod tenant;
mod token;

pub use ca::{CertificateFolder, CertificateFolderError};
pub use emulator::Emulator;
pub use fault::{Fault, FaultRule, FaultRuleError, Faults};
pub use journal::{Journal, JournalEntry};
pub use seed::{Seed, SeededApp, SeededUser};
pub use server::{Server, ServerError};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
