//! Identity of an application at Microsoft Entra ID: clouds, tenants, credentials, tokens, and an
//! HTTP pipeline for calls to its services.
//!
//! # Sign in as an application
//!
//! ```
//! use entra_core::{
//!     Authority, ClientCredential, ClientId, ClientSecret, Cloud, ConfidentialClient, HttpClient,
//!     Pipeline, Tenant, TokenRequest, error_chain,
//! };
//!
//! async fn graph_token(http: impl HttpClient + 'static) -> Result<(), Box<dyn std::error::Error>> {
//!     // Everything pasted is checked: a secret's id given as the secret is refused here.
//!     let authority = Authority::new(Cloud::public(), Tenant::parse("contoso.onmicrosoft.com")?);
//!     let client_id = ClientId::parse("11111111-2222-4333-8444-555555555555")?;
//!     let secret = ClientSecret::parse("Ab8Q~pasted-from-the-portal")?;
//!     // `HttpsClient` is the client for the network. One pipeline does for the whole process.
//!     let app = ConfidentialClient::new(
//!         authority,
//!         client_id,
//!         ClientCredential::secret(secret),
//!         Pipeline::new(http),
//!     )?;
//!     match app.token(&TokenRequest::new([Cloud::public().graph_scope()])).await {
//!         Ok(token) => println!("valid until {}", token.expires_on()),
//!         Err(error) => println!("{}. {}", error_chain(&error), error.admin_hint()),
//!     }
//!     Ok(())
//! }
//! ```
//!
//! # What is where
//!
//! | To | use |
//! |---|---|
//! | sign in as the application | [`ConfidentialClient`] |
//! | sign a user in without a browser, or with one | [`PublicClient`], [`DeviceLogin`], [`AuthorizationRequest`] |
//! | stay signed in as that user | [`UserSession`], [`SealedSession`] |
//! | call another API as the user who called this one | [`ConfidentialClient::on_behalf_of`] |
//! | make, load and check certificates | [`SigningCertificate`], [`Certificate`] |
//! | work with several credentials, replace them at run time | [`ClientCredentials`], [`CredentialSource`] |
//! | keep no credential at all | [`WorkloadIdentity`], [`ManagedIdentity`], [`CredentialChain`] |
//! | ask in many customers' tenants | [`AllowedTenants`], [`TokenRequest::in_tenant`] |
//! | share tokens between machines | [`SharedTokens`], [`TokenCache`], [`KeyRing`] |
//! | store a link to a tenant, or send it sealed | [`ConnectionProfile`], [`SealedProfile`] |
//! | find the national cloud of a tenant | [`detect_cloud`] |
//! | check tokens that others present | [`UnverifiedJwt`], [`Jwks`] |
//! | let something be used once | [`OneTimeStore`] |
//! | keep accounts for users who sign in, link those that were there | [`UserProvisioner`], [`LinkOffer`] |
//! | end sessions when a user signs out elsewhere | [`SessionIndex`] |
//! | call any service with care | [`Pipeline`], [`Call`] |
//!
//! [`TokenCredential`], [`HttpClient`] and [`Clock`] are the seams for a host's own.
//!
//! # What holds
//!
//! One request per missing token, however many ask; no lock for a cached one; a valid token is
//! never withheld because its refresh failed. A request is repeated only where that is harmless,
//! and never beyond its deadline. The claims of a presented token cannot be read before its
//! signature is verified, and no header of it chooses the key or the algorithm. Redirects are not
//! followed, bodies are limited, plain http stays on this machine and its managed identity's
//! endpoint. No secret is in any `Debug`, error or log line, and no feature changes that.
//!
//! | File | Follows | Checked by |
//! |---|---|---|
//! | `application`, `cached_tokens`, `token_slot` | RFC 6749 4.4; claims challenges of Microsoft Learn | `tests/{application,cached_tokens,cae}.rs` |
//! | `public_client`, `user_session`, `authorization_code`, `device_code`, `on_behalf_of` | RFC 6749 4.1 and 6, RFC 7636, RFC 8628, RFC 7523 2.1 | `tests/user_session.rs`, the local tenant |
//! | `credential_set`, `registration` | RFC 7523 2.2; client capabilities of Microsoft Learn | `tests/{credential_set,registration}.rs` |
//! | `workload_identity` | RFC 7523 2.2; Microsoft Learn, "Workload Identity" | `tests/workload_identity.rs` |
//! | `managed_identity`, `identity_host`, `identity_source`, `arc_key` | Microsoft Learn, "Managed identities for Azure resources" | `tests/managed_identity.rs`, the local tenant |
//! | `azure_cli`, `credential_chain` | Microsoft Learn, "az account" | `tests/{azure_cli,credential_chain}.rs` |
//! | `shared_tokens`, `key_ring` | NIST SP 800-38D, RFC 5869 | `tests/shared_tokens.rs` |
//! | `token_endpoint`, `token_error`, `aadsts` | RFC 6749 5; error codes of Microsoft Learn | `tests/token_endpoint.rs` |
//! | `client_credential` | RFC 7523 2.2 and 3, RFC 7515 4.1.6 and 4.1.8 | `tests/client_credential.rs`, OpenSSL |
//! | `certificate`, `signing_certificate` | RFC 5280, RFC 5958, RFC 7468 | `tests/certificate.rs`, files made by OpenSSL |
//! | `encrypted_key`, `pkcs12` | RFC 5958 3, RFC 8018, RFC 7292 | `tests/{encrypted_key,pkcs12}.rs`, files made by OpenSSL |
//! | `profile`, `profile_document`, `credential_reference` | a format of its own, version 1 | `tests/profile.rs` |
//! | `sealed_profile`, `jwe`, `jose_header`, `recipient_key` | RFC 7516, RFC 7518 4.3 and 5.3 | `tests/sealed_profile.rs`, jwcrypto in both directions |
//! | `cloud`, `tenant`, `cloud_detection` | OpenID Connect Discovery 1.0 4; national clouds of Microsoft Learn | `tests/cloud_detection.rs`, beside the code |
//! | `jwt`, `jwk` | RFC 7515, RFC 7517, RFC 7518, RFC 7519, RFC 8725 | `tests/{jwt,jwk}.rs`, tokens made by joserfc |
//! | `jwks` | signing key rollover of Microsoft Learn | `tests/jwks.rs`, five months of Entra's key sets |
//! | `one_time`, `memory_one_time_store` | SAML Core 2.5.1.5, RFC 7523 3 | `tests/one_time.rs`, `contract` |
//! | `identity`, `groups`, `user_provisioner`, `memory_provisioner` | OpenID Connect Core 5.7; Microsoft Learn, "Secure applications and APIs by validating claims" | `tests/user_provisioner.rs`, `contract` |
//! | `link_offer` | an account is linked by consent, once | `tests/link_offer.rs` |
//! | `session_index`, `memory_session_index` | OpenID Connect Front-Channel Logout 1.0 3; SAML Core 3.7 | `tests/session_index.rs`, `contract` |
//! | `token_cache`, `memory_token_cache` | nothing is mixed up | `tests/token_cache.rs`, `contract` |
//! | `pipeline`, `retry`, `throttle`, `https_client` | RFC 9110; throttling of Microsoft Graph; RFC 6761 6.3 | `tests/{pipeline,https_client}.rs` |
//! | `secret` | nothing is shown | `tests/secret.rs` |
//!
//! # Features
//!
//! `http` (default): `HttpsClient`, over reqwest. `certificates` (default): generating
//! certificates, over rcgen; loading them needs no feature. `pkcs12`: reading PKCS#12 files, over
//! p12-keystore. `azure-cli`: tokens of a developer's Azure CLI. `contract-tests`: what an
//! implementation of a store must hold, as functions for its tests. The only crypto provider is
//! aws-lc-rs.

mod aadsts;
mod application;
mod arc_key;
mod authorization_code;
#[cfg(feature = "azure-cli")]
mod azure_cli;
mod cache_metrics;
mod cached_tokens;
mod certificate;
mod client_credential;
mod clock;
mod cloud;
mod cloud_detection;
#[cfg(feature = "contract-tests")]
pub mod contract;
mod credential_chain;
mod credential_reference;
mod credential_set;
mod device_code;
mod encrypted_key;
mod error;
mod finding;
mod groups;
mod http_client;
#[cfg(feature = "http")]
mod https_client;
mod identity;
mod identity_host;
mod identity_source;
mod jose_header;
mod jwe;
mod jwk;
mod jwks;
mod jwt;
mod key_ring;
mod link_offer;
mod machine_file;
mod managed_identity;
mod memory_one_time_store;
mod memory_provisioner;
mod memory_session_index;
mod memory_token_cache;
mod on_behalf_of;
mod one_time;
mod pipeline;
mod pkce;
#[cfg(feature = "pkcs12")]
mod pkcs12;
mod profile;
mod profile_document;
mod public_client;
mod recipient_key;
mod registration;
mod retry;
mod sealed_profile;
mod secret;
mod session_index;
mod shared_tokens;
mod signing_certificate;
mod stay;
mod tenant;
mod throttle;
mod token;
mod token_cache;
mod token_endpoint;
mod token_error;
mod token_slot;
mod user_provisioner;
mod user_session;
mod workload_identity;

pub use aadsts::{Explanation, RetryClass, TokenErrorKind, aadsts_codes, explain_aadsts};
pub use application::ConfidentialClient;
pub use authorization_code::{AuthorizationCode, AuthorizationRequest};
#[cfg(feature = "azure-cli")]
pub use azure_cli::{AzureCli, AzureCliError};
pub use cache_metrics::CacheMetrics;
pub use certificate::{Certificate, CertificateError};
pub use client_credential::{ClientAssertion, ClientCredential, ClientSecret, ClientSecretError};
pub use clock::{Clock, MovableClock, SystemClock, work_until};
pub use cloud::{Cloud, CloudError, is_secure_url};
pub use cloud_detection::{
    CloudDetection, DetectionError, HostFailure, TenantLocation, detect_cloud, detect_cloud_among,
};
pub use credential_chain::CredentialChain;
pub use credential_reference::{CredentialKind, CredentialReference};
pub use credential_set::{ClientCredentials, CredentialSource};
pub use device_code::{DeviceLogin, DeviceProgress};
pub use error::{Error, ErrorResponse, RequestIds, error_chain};
pub use finding::{Finding, Outcome, Probe};
pub use groups::{GroupResolver, GroupResolverError, Groups};
pub use http_client::{HttpClient, Limits, TransportError, TransportErrorKind};
#[cfg(feature = "http")]
pub use https_client::{HttpsClient, HttpsClientError, HttpsClientOptions, Proxy};
pub use identity::{UserKey, UserKeyError, UserProfile};
pub use identity_host::ManagedIdentityHost;
pub use jwk::{JwkSet, JwkSetError, KeyProblem, SkippedKey, VerificationKey};
pub use jwks::{Jwks, JwksError};
pub use jwt::{ClockSkew, JwtAlgorithm, JwtPart, JwtRefusal, JwtRules, UnverifiedJwt, VerifiedJwt};
pub use key_ring::{KeyRing, SealError, SealingKey};
pub use link_offer::{LinkOffer, LinkOfferError, SealedLinkOffer};
pub use managed_identity::{ManagedIdentity, ManagedIdentityError, ManagedIdentityId};
pub use memory_one_time_store::MemoryOneTimeStore;
pub use memory_provisioner::{MemoryAccount, MemoryProvisioner};
pub use memory_session_index::MemorySessionIndex;
pub use memory_token_cache::MemoryTokenCache;
pub use on_behalf_of::OnBehalfOf;
pub use one_time::{OneTimeError, OneTimeKey, OneTimeStore};
pub use pipeline::{Call, Pipeline};
pub use pkce::Pkce;
pub use profile::{ConnectionProfile, NextStep, ProfileError, TestRecord, WantedPermission};
pub use public_client::PublicClient;
pub use recipient_key::RecipientKey;
pub use registration::AllowedTenants;
pub use retry::{Operation, RetryPolicy, retry_after};
pub use sealed_profile::{ProfileSecret, SealedProfile, SealedProfileError, UnsealedProfile};
pub use secret::Secret;
pub use session_index::{SessionIndex, SessionIndexError, SessionKey};
pub use shared_tokens::SharedTokens;
pub use signing_certificate::{CertificateOptions, RsaKeySize, SigningCertificate};
pub use tenant::{Authority, ClientId, IdError, IdKind, ObjectId, Tenant, TenantId};
pub use throttle::ThrottleScope;
pub use token::{AccessToken, TokenCredential, TokenRequest};
pub use token_cache::{CacheName, TokenCache, TokenCacheError};
pub use token_error::TokenError;
pub use user_provisioner::{
    AccountId, LinkConsent, Provisioned, ProvisionerError, UserProvisioner,
};
pub use user_session::{Account, SealedSession, SessionKeeper, UserSession};
pub use workload_identity::{WorkloadIdentity, WorkloadIdentityError};

/// The README's example is compiled with the others.
#[cfg(all(doctest, feature = "http"))]
#[doc = include_str!("../README.md")]
struct Readme;
