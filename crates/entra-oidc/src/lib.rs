//! OpenID Connect login with Microsoft Entra ID, and protection of a product's own API.

mod authority;
mod callback_refusal;
mod error;
mod id_token_refusal;
mod issuer;
mod provider;
mod provider_error;
mod redirect_uri;
mod refresh;

pub use authority::Authority;
pub use callback_refusal::CallbackRefusal;
pub use error::{DiscoveryError, Error, OptionsError};
pub use id_token_refusal::IdTokenRefusal;
pub use provider_error::ProviderError;
pub use redirect_uri::{Platform, RedirectUri, RedirectUriError};
pub use refresh::{LogoutRefusal, RefreshRefusal, UserInfoRefusal};
