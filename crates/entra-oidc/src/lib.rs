//! OpenID Connect login with Microsoft Entra ID, and protection of a product's own API.

mod api;
mod api_caller;
mod api_refusal;
mod auth_context;
mod authority;
#[cfg(feature = "axum")]
mod axum;
mod back_channel;
mod begin;
mod callback;
mod callback_refusal;
mod challenge;
mod claims;
mod cookie;
mod doctor;
mod error;
mod generic_client;
mod id_token;
mod id_token_refusal;
mod issuer;
mod login;
mod logout;
mod memory_session_store;
mod options;
mod profile_name;
mod profiles;
mod provider;
mod provider_error;
mod redirect_uri;
mod refresh;
mod relying_party;
mod return_to;
mod session;
mod sessions;
mod token_checks;
mod token_keys;
mod token_refusal;
mod transaction;
mod user;
mod user_info;
mod verified_id_token;

#[cfg(feature = "axum")]
pub use self::axum::{
    Challenge, LoginFailure, MaybeSignedIn, Renewal, SignInRequired, SignedIn, WebLogin,
};
pub use api::ApiValidator;
pub use api_caller::ApiCaller;
pub use api_refusal::ApiRefusal;
pub use auth_context::AuthContext;
pub use authority::Authority;
pub use back_channel::BackChannelLogout;
pub use begin::{Begin, Begun, PendingLogin, Prompt};
pub use callback::Callback;
pub use callback_refusal::CallbackRefusal;
pub use error::{DiscoveryError, Error, OptionsError};
pub use id_token::{ExpectedLogin, ExpectedNonce, IdTokenRules, IdTokenValidator};
pub use id_token_refusal::IdTokenRefusal;
pub use login::{EntraLogin, FailedLogin, Login};
pub use logout::{LogoutBegun, LogoutFinished, LogoutRefusal, front_channel_response};
pub use memory_session_store::MemorySessionStore;
pub use options::LoginOptions;
pub use profile_name::ProfileName;
pub use profiles::{Profile, Profiles};
pub use provider_error::ProviderError;
pub use redirect_uri::{Platform, RedirectUri, RedirectUriError};
pub use refresh::{RefreshRefusal, Renewed};
pub use relying_party::Tokens;
pub use return_to::{ReturnTo, ReturnToRefusal};
pub use session::{Session, SessionName, SessionStore, SessionStoreError};
pub use sessions::{SessionError, Sessions};
pub use token_refusal::{Stage, TokenRefusal};
pub use user::User;
pub use user_info::{UserInfo, UserInfoRefusal};
pub use verified_id_token::VerifiedIdToken;
