//! Identity of an application at Microsoft Entra ID.

mod aadsts;
mod application;
mod certificate;
mod client_credential;
mod clock;
mod cloud;
mod error;
mod finding;
mod http_client;
#[cfg(feature = "http")]
mod https_client;
mod pipeline;
mod retry;
mod secret;
mod tenant;
mod throttle;
mod token;
mod token_endpoint;

pub use aadsts::{Explanation, RetryClass, TokenErrorKind, aadsts_codes, explain_aadsts};
pub use application::ConfidentialClient;
pub use certificate::{
    Certificate, CertificateError, CertificateOptions, RsaKeySize, SigningCertificate,
};
pub use client_credential::{ClientAssertion, ClientCredential, ClientSecret, ClientSecretError};
pub use clock::{Clock, MovableClock, SystemClock};
pub use cloud::{Cloud, CloudError};
pub use error::{Error, ErrorResponse, RequestIds};
pub use finding::{Finding, Outcome, Probe};
pub use http_client::{HttpClient, Limits, TransportError, TransportErrorKind};
#[cfg(feature = "http")]
pub use https_client::{HttpsClient, HttpsClientError, HttpsClientOptions, Proxy};
pub use pipeline::{Call, Pipeline};
pub use retry::{Operation, RetryPolicy, retry_after};
pub use secret::Secret;
pub use tenant::{Authority, ClientId, IdError, IdKind, ObjectId, Tenant, TenantId};
pub use throttle::ThrottleScope;
pub use token::{AccessToken, TokenCredential, TokenRequest};
pub use token_endpoint::TokenError;
