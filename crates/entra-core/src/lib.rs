//! Identity of an application at Microsoft Entra ID.

mod clock;
mod cloud;
mod finding;
mod http_client;
#[cfg(feature = "http")]
mod https_client;
mod secret;
mod tenant;

pub use clock::{Clock, MovableClock, SystemClock};
pub use cloud::{Cloud, CloudError};
pub use finding::{Finding, Outcome, Probe};
pub use http_client::{HttpClient, Limits, TransportError, TransportErrorKind};
#[cfg(feature = "http")]
pub use https_client::{HttpsClient, HttpsClientError, HttpsClientOptions, Proxy};
pub use secret::Secret;
pub use tenant::{Authority, ClientId, IdError, IdKind, ObjectId, Tenant, TenantId};
