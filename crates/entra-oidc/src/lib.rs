//! OpenID Connect login with Microsoft Entra ID, and protection of a product's own API.

mod api;
mod api_caller;
mod api_refusal;
mod auth_context;
mod authority;
mod callback_refusal;
mod challenge;
mod claims;
mod error;
mod id_token;
mod id_token_refusal;
mod issuer;
mod provider;
mod provider_error;
mod redirect_uri;
mod refresh;
mod token_checks;
mod token_keys;
mod token_refusal;
mod user;
mod verified_id_token;

pub use api::ApiValidator;
pub use api_caller::ApiCaller;
pub use api_refusal::ApiRefusal;
pub use auth_context::AuthContext;
pub use authority::Authority;
pub use callback_refusal::CallbackRefusal;
pub use error::{DiscoveryError, Error, OptionsError};
pub use id_token::{ExpectedLogin, ExpectedNonce, IdTokenRules, IdTokenValidator};
pub use id_token_refusal::IdTokenRefusal;
pub use provider_error::ProviderError;
pub use redirect_uri::{Platform, RedirectUri, RedirectUriError};
pub use refresh::{LogoutRefusal, RefreshRefusal, UserInfoRefusal};
pub use token_refusal::{Stage, TokenRefusal};
pub use user::User;
pub use verified_id_token::VerifiedIdToken;
