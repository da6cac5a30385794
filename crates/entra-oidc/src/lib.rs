//! OpenID Connect login with Microsoft Entra ID, and protection of a product's own API.

mod authority;
#[cfg(feature = "axum")]
mod axum;
mod begin;
mod callback;
mod callback_refusal;
mod cookie;
mod error;
mod generic_client;
mod id_token_refusal;
mod issuer;
mod login;
mod logout;
mod memory_session_store;
mod options;
mod profile_name;
mod provider;
mod provider_error;
mod redirect_uri;
mod refresh;
mod relying_party;
mod return_to;
mod session;
mod sessions;
mod transaction;
mod user_info;

pub use authority::Authority;
#[cfg(feature = "axum")]
pub use self::axum::{
    Challenge, LoginFailure, MaybeSignedIn, Renewal, SignInRequired, SignedIn, WebLogin,
};
pub use begin::{Begin, Begun, PendingLogin, Prompt};
pub use callback::Callback;
pub use callback_refusal::CallbackRefusal;
pub use error::{DiscoveryError, Error, LinkRequired, OptionsError};
pub use id_token_refusal::IdTokenRefusal;
pub use login::{EntraLogin, FailedLogin, Login};
pub use logout::{LogoutBegun, LogoutFinished, LogoutRefusal, front_channel_response};
pub use memory_session_store::MemorySessionStore;
pub use options::LoginOptions;
pub use profile_name::ProfileName;
pub use provider_error::ProviderError;
pub use redirect_uri::{Platform, RedirectUri, RedirectUriError};
pub use refresh::{RefreshRefusal, Renewed};
pub use relying_party::Tokens;
pub use return_to::{ReturnTo, ReturnToRefusal};
pub use session::{Session, SessionName, SessionStore, SessionStoreError};
pub use sessions::{SessionError, Sessions};
pub use user_info::{UserInfo, UserInfoRefusal};
mod val_stub;
pub use val_stub::*;
