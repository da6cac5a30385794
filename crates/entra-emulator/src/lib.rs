//! A local Microsoft Entra tenant: sign-in, tokens and Microsoft Graph, in the process of a test
//! or over TLS for clients in any language.
//!
//! [`Emulator`] is the tenant. It is an [`entra_core::HttpClient`], so that code under test uses
//! it in place of the network; its [`MovableClock`](entra_core::MovableClock) lets a year pass
//! without waiting, [`Faults`] make it fail in the ways of the real service, and the [`Journal`]
//! says what was asked. Users sign in with [`Emulator::sign_in_as`] or with a browser,
//! [`ConditionalAccess`] asks them for more, [`Keys`] roll over and vanish, and [`Forge`] makes what
//! a validator has to refuse. [`Server`] puts the same value behind TLS; the program of this crate is
//! made of it.
//!
//! ```
//! use entra_core::{
//!     Authority, ClientCredential, ClientId, ClientSecret, ConfidentialClient, Pipeline, Tenant,
//!     TokenRequest,
//! };
//! use entra_emulator::{Emulator, Fault, FaultRule, Seed};
//!
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! let tenant = Emulator::new(Seed::default());
//! let app = tenant.setup_app(); // it holds every application permission
//! let client = ConfidentialClient::new(
//!     Authority::new(tenant.cloud(), Tenant::parse(&tenant.tenant_id())?),
//!     ClientId::parse(&app.client_id)?,
//!     ClientCredential::secret(ClientSecret::try_from(&app.client_secret)?),
//!     // The tenant in place of the network, and its clock: waits cost no time.
//!     Pipeline::new(tenant.clone()).with_clock(tenant.clock()),
//! )?;
//! tenant.faults().inject(FaultRule::new("*/token", Fault::ThrottledText).with_times(1))?;
//! client.token(&TokenRequest::new([tenant.cloud().graph_scope()])).await?;
//! assert_eq!(tenant.journal().entries().len(), 2); // once throttled, once answered
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! What it does follows Microsoft's documentation, and each file names its sources. What could
//! not be verified is listed in the README. A path or an option that it does not know is an error
//! that says so, never an empty answer.

mod access_token;
mod account;
mod arc_agent;
mod authorization;
mod authorization_code;
mod authorize;
mod bearer;
mod browser;
mod ca;
mod caller;
mod claims_request;
mod client;
mod client_assertion;
mod conditional_access;
mod consent;
mod control;
mod delegated_token;
mod device_code;
mod dispatch;
mod emulator;
mod external_id;
mod fault;
mod forge;
mod form;
mod graph;
mod group_claim;
mod id_token;
mod journal;
mod key_ring;
mod keys;
mod managed_identity;
mod on_behalf_of;
mod optional_claim;
mod origin;
mod page;
mod refresh_token;
mod refusal;
mod resource_manager;
mod revocation;
mod schema;
mod scope;
mod seed;
mod server;
mod sessions;
mod sign_in;
mod tenant;
mod tenant_keys;
mod tickets;
mod token;
mod user_sign_in;
mod user_tokens;
mod workload_issuer;

pub use authorization::Redirect;
pub use ca::{CertificateFolder, CertificateFolderError};
pub use conditional_access::{ConditionalAccess, ConditionalAccessError};
pub use emulator::{Emulator, UnknownPrincipal};
pub use fault::{Fault, FaultRule, FaultRuleError, Faults};
pub use forge::{AnswerChange, Forge, IdTokenChange, ParameterChange, Signer};
pub use journal::{Journal, JournalEntry};
pub use seed::{Seed, SeededApp, SeededManagedIdentity, SeededPublicApp, SeededUser};
pub use server::{Server, ServerError};
pub use tenant_keys::{Keys, UnknownKey};
pub use user_sign_in::SignInError;
pub use workload_issuer::Cluster;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
