//! OpenID Connect login with Microsoft Entra ID, and protection of a product's own API.
//!
//! # Sign users in
//!
//! ```
//! use entra_core::{ClientCredential, Cloud, HttpClient, KeyRing, Pipeline, Tenant};
//! use entra_oidc::{Authority, Begin, Callback, EntraLogin, LoginOptions, RedirectUri};
//!
//! async fn connect(http: impl HttpClient + 'static, credential: ClientCredential, keys: KeyRing) -> Result<EntraLogin, Box<dyn std::error::Error>> {
//!     let tenant = Tenant::parse("contoso.onmicrosoft.com")?;
//!     let authority = Authority::single_tenant(Cloud::public(), tenant)?;
//!     let redirect_uri = RedirectUri::web("https://pw.example.com/auth/callback")?;
//!     // The keys seal pending logins: the same on every machine of the product, from its vault.
//!     let options = LoginOptions::new(authority, "11111111-2222-4333-8444-555555555555", redirect_uri, keys)?
//!         .with_credential(credential)?;
//!     Ok(EntraLogin::connect(options, Pipeline::new(http)).await?)
//! }
//!
//! // GET /login: `response` sends the browser to Entra, with a cookie.
//! fn login(login: &EntraLogin, headers: &http::HeaderMap) -> Result<http::Response<()>, entra_oidc::Error> {
//!     Ok(login.begin(Begin::to("/vault").with_cookies_of(headers))?.response())
//! }
//!
//! // GET or POST of the redirect URI: who it is, or why not.
//! async fn callback(login: &EntraLogin, callback: &Callback) {
//!     match login.finish(callback).await {
//!         Ok(done) => println!("{} goes to {}", done.user.key(), done.return_to.as_str()),
//!         Err(failed) => println!("{}: {}", failed.error().http_status(), failed.error().user_message()),
//!     }
//! }
//! ```
//!
//! # What is where
//!
//! | To | use |
//! |---|---|
//! | sign users in at a web server | [`EntraLogin`], [`LoginOptions`], [`Callback`] |
//! | say whose users | [`Authority`]: one tenant, some, any, External ID, Azure AD B2C, another provider |
//! | keep users signed in | [`Sessions`], [`SessionStore`] |
//! | have all of that as routes and extractors of axum | `WebLogin`, `SignedIn` (feature `axum`) |
//! | sign in from a native app, a phone, a browser extension | [`RedirectUri`], [`PendingLogin`]; `NativeLogin` (feature `loopback`) |
//! | ask for a second factor, and check it | [`EntraLogin::step_up`], [`AuthContext`] |
//! | know who it is, and what they may | [`User`]; its key is the only identity |
//! | make or link the product's account | [`LoginOptions::with_provisioner`], [`Error::LinkRequired`] |
//! | read groups that are too many for a token | [`LoginOptions::with_group_resolver`] |
//! | stay signed in, and notice who may no longer | [`EntraLogin::refresh`] |
//! | sign out, here and there | [`EntraLogin::logout`], [`EntraLogin::front_channel`], [`EntraLogin::back_channel`] |
//! | serve several customers' tenants side by side | [`Profiles`] |
//! | protect an API | [`ApiValidator`] |
//! | offer «Test connection» | [`EntraLogin::doctor`] |
//! | look at one ID token | [`IdTokenValidator`] |
//!
//! # What holds
//!
//! PKCE, `state` and `nonce` are always there, and no option turns a check off. Nothing is kept on
//! the server while a login is pending: it travels sealed with the browser, for one profile, one
//! cookie, ten minutes and one use. The claims of a token cannot be read before every check has
//! passed; the algorithm is never the token's choice, and no address in a token is called. A name
//! or an e-mail address finds no account. No token, code, verifier or cookie is in any `Debug`,
//! error or log line.
//!
//! What that is good against is listed in [`attacks`].
//!
//! | File | Follows | Checked by |
//! |---|---|---|
//! | `provider`, `authority`, `issuer` | OpenID Connect Discovery 1.0 4; RFC 9700 4.4; endpoints of Microsoft Learn | `tests/{provider,authorities}.rs` |
//! | `begin`, `transaction`, `cookie` | OpenID Connect Core 3.1.2.1; RFC 7636; RFC 6265bis 4.1.3 | `tests/{login,two_processes}.rs` |
//! | `callback`, `login` | OpenID Connect Core 3.1.2.5 to 3.1.3.7 and 3.3; RFC 9207; RFC 6749 3.1 | `tests/{login,hybrid,account}.rs` |
//! | `id_token`, `token_checks`, `claims` | OpenID Connect Core 3.1.3.7; RFC 8725; Microsoft Learn, "ID token claims reference" | `tests/{id_token,id_token_login,user,foreign_tokens}.rs`, tokens made by joserfc |
//! | `token_keys` | Microsoft Learn, "Signing key rollover", "Validation of the signing key issuer" | `tests/key_flap.rs`, five months of Entra's key sets |
//! | `return_to` | RFC 9700 4.11 | beside the code |
//! | `redirect_uri` | RFC 8252 7; Microsoft Learn, "Redirect URI (reply URL) outline and restrictions" | beside the code |
//! | `refresh`, `user_info` | OpenID Connect Core 12 and 5.3 | `tests/{refresh,generic}.rs` |
//! | `logout`, `back_channel` | RP-Initiated, Front-Channel and Back-Channel Logout 1.0 | `tests/{logout,generic}.rs` |
//! | `profiles` | RFC 9700 4.4 | `tests/profiles.rs` |
//! | `session`, `sessions`, `memory_session_store` | OWASP ASVS 5.0 7; RFC 6265bis | `tests/{sessions,web}` |
//! | `axum` | OpenID Connect Core 4; RFC 9700 4.2, 4.12; Fetch Metadata | `tests/{web,web_log.rs}`, Chromium and oidc-provider (`tests/strangers`) |
//! | `loopback` | RFC 8252 7.3; RFC 9112 | `tests/loopback.rs` |
//! | all of them | the OpenID Foundation's cases for relying parties | `tests/rp_conformance` |
//! | `api`, `challenge` | RFC 6750 3; Microsoft Learn, "Access token claims reference", "Claims challenges" | `tests/{api,api_challenge}.rs` |
//! | `generic_client` | RFC 6749 2.3.1 and 4.1.3 | `tests/generic.rs`, oidc-provider |
//!
//! # Features
//!
//! `axum`: routes and extractors for axum. `loopback`: the listener of a native login. Without them
//! the crate knows no web framework: requests and responses are those of the crate `http`.

mod api;
mod api_caller;
mod api_refusal;
pub mod attacks;
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
#[cfg(feature = "loopback")]
mod loopback;
mod memory_session_store;
mod options;
#[cfg(any(feature = "axum", feature = "loopback"))]
mod page;
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
#[cfg(feature = "loopback")]
pub use loopback::{LoopbackError, NativeLogin};
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
