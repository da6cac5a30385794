//! What can go wrong in a login, who has to do something about it, and what to show.

use std::sync::Arc;

use entra_core::{IdError, JwksError, LinkOffer, OneTimeError, ProvisionerError, SealError};
use http::StatusCode;

use crate::{
    CallbackRefusal, IdTokenRefusal, LogoutRefusal, ProviderError, RedirectUriError,
    RefreshRefusal, UserInfoRefusal,
};

/// Why a login, or what belongs to it, failed. No variant carries a token, a code, a verifier or a
/// cookie.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The settings cannot be used.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// The provider's configuration cannot be used.
    #[error(transparent)]
    Discovery(#[from] DiscoveryError),
    /// The provider's keys could not be had.
    #[error("the keys of the provider could not be had")]
    Keys(#[source] JwksError),
    /// What came back to the redirect URI is not the answer to a login that was begun here.
    #[error(transparent)]
    Callback(#[from] CallbackRefusal),
    /// The provider refused the login, and said why.
    #[error(transparent)]
    Provider(Box<ProviderError>),
    /// The code was not redeemed, or the session not renewed.
    #[error("the token endpoint did not answer with tokens")]
    Token(#[source] entra_core::Error),
    /// The token endpoint answered with something else than tokens (OpenID Connect Core 3.1.3.3).
    #[error("the token endpoint's answer is no token response")]
    TokenResponse,
    /// The answer has no ID token.
    #[error("the provider's answer has no ID token")]
    IdTokenMissing,
    /// There is no refresh token: the login did not ask for the scope `offline_access`, or the
    /// provider gave none.
    #[error("the login has no refresh token")]
    NoRefreshToken,
    /// The ID token is refused.
    #[error("the ID token is refused")]
    IdToken(#[source] IdTokenRefusal),
    /// Another user came back than the one who is signed in.
    #[error("another user signed in than the one who was asked to")]
    UserChanged,
    /// Another account came back than the one that was required.
    #[error("another account signed in than the one that was required")]
    WrongAccount,
    /// The ID tokens of the authorization endpoint and of the token endpoint are about different
    /// users (OpenID Connect Core 3.3.3.6).
    #[error("{0} differs between the two ID tokens of one login")]
    TokenPair(&'static str),
    /// What a renewed session says of its user is not what the login said.
    #[error(transparent)]
    Refresh(#[from] RefreshRefusal),
    /// What the UserInfo endpoint says is refused.
    #[error(transparent)]
    UserInfo(#[from] UserInfoRefusal),
    /// A logout is refused.
    #[error(transparent)]
    Logout(#[from] LogoutRefusal),
    /// The store that remembers what was used does not answer, so nobody is let in.
    #[error("it cannot be told whether the answer was used before")]
    OneTime(#[source] Arc<OneTimeError>),
    /// Something could not be sealed, or has no key that opens it.
    #[error("the state of the login could not be sealed or opened")]
    Seal(#[source] SealError),
    /// The product's accounts do not answer, so nobody is signed in.
    #[error("the product's accounts do not answer")]
    Provisioner(#[source] Arc<ProvisionerError>),
    /// The product does not let this user in.
    #[error("the product refuses the account")]
    AccountRefused {
        /// Why, for the user.
        reason: String,
    },
    /// The product has an account that looks like this user's and was never linked: its owner or
    /// an administrator has to agree first, by this offer. Nobody is signed in.
    #[error("an account like this exists and has to be linked first")]
    LinkRequired(Box<LinkOffer>),
}

impl Error {
    /// The status with which a web server answers the browser.
    pub fn http_status(&self) -> StatusCode {
        match self {
            Self::Callback(_) | Self::Logout(_) => StatusCode::BAD_REQUEST,
            Self::Provider(error) if error.is_temporary() => StatusCode::SERVICE_UNAVAILABLE,
            Self::Provider(_)
            | Self::IdToken(_)
            | Self::Refresh(_)
            | Self::UserInfo(_)
            | Self::IdTokenMissing
            | Self::UserChanged
            | Self::WrongAccount
            | Self::TokenPair(_)
            | Self::LinkRequired(_)
            | Self::AccountRefused { .. } => StatusCode::FORBIDDEN,
            Self::Token(error) | Self::Discovery(DiscoveryError::Fetch(error))
                if error.is_retryable() =>
            {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::Keys(error) if error.is_retryable() => StatusCode::SERVICE_UNAVAILABLE,
            Self::Token(error) if is_about_the_user(error) => StatusCode::FORBIDDEN,
            Self::Token(_) | Self::TokenResponse | Self::Discovery(_) | Self::Keys(_) => {
                StatusCode::BAD_GATEWAY
            }
            Self::NoRefreshToken => StatusCode::UNAUTHORIZED,
            Self::OneTime(_) | Self::Provisioner(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Options(_) | Self::Seal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The claims request that the next login must carry, where the provider asks for one:
    /// [`Begin::with_claims`](crate::Begin::with_claims).
    pub fn claims(&self) -> Option<&str> {
        match self {
            Self::Provider(error) => error.claims(),
            Self::Token(error) => error.claims(),
            _ => None,
        }
    }

    /// Whether the user has to go to the provider again: to sign in, for a second factor, for
    /// consent.
    pub fn needs_user(&self) -> bool {
        match self {
            Self::Provider(error) => error.needs_interaction(),
            Self::Token(error) => error.needs_user(),
            Self::Refresh(_) | Self::NoRefreshToken => true,
            _ => false,
        }
    }

    /// Whether a session that could not be renewed is over: its user was disabled, signed out
    /// elsewhere, or is another one. A host ends its own session then, and keeps it where only the
    /// provider or the product is at fault.
    pub fn ends_session(&self) -> bool {
        match self {
            Self::Refresh(_) | Self::IdToken(_) => true,
            Self::Token(error) => is_about_the_user(error),
            _ => false,
        }
    }

    /// Whether the same login may succeed later without anybody changing anything.
    pub fn is_retryable(&self) -> bool {
        self.http_status() == StatusCode::SERVICE_UNAVAILABLE
    }

    /// A sentence for the user at the browser. It holds nothing that came from the request.
    pub fn user_message(&self) -> &str {
        match self {
            Self::Callback(refusal) => refusal.user_message(),
            Self::Provider(error) => error.user_message(),
            Self::IdToken(refusal) => refusal.user_message(),
            Self::AccountRefused { reason } => reason,
            Self::UserChanged => "Another user signed in. Please sign in as before.",
            Self::WrongAccount => "Please sign in with the account that was asked for.",
            Self::LinkRequired(_) => {
                "An account like yours exists here. Its owner or an administrator has to link it \
                 first."
            }
            Self::Refresh(_) => "Your session has ended. Please sign in again.",
            Self::Logout(_) => "This sign-out was not asked for here. Nothing was done.",
            Self::Token(error) if error.needs_user() => "Please sign in again.",
            _ if self.is_retryable() => {
                "Sign-in does not work at this moment. Please try again in a few minutes."
            }
            _ => "Sign-in does not work. Please tell your administrator.",
        }
    }

    /// What an administrator can do about it, in one or two sentences.
    pub fn admin_hint(&self) -> String {
        match self {
            Self::Options(error) => error.admin_hint().to_owned(),
            Self::Discovery(error) => error.admin_hint(),
            Self::Keys(error) => error.admin_hint(),
            Self::Callback(refusal) => refusal.admin_hint().to_owned(),
            Self::Provider(error) => error.admin_hint().to_owned(),
            Self::Token(error) => error.admin_hint(),
            Self::IdToken(refusal) => refusal.admin_hint().to_owned(),
            Self::NoRefreshToken => "Have the product ask for the scope offline_access.".to_owned(),
            Self::TokenResponse => {
                "Check that the provider speaks OpenID Connect, and that no proxy answers in its \
                 place."
                    .to_owned()
            }
            Self::IdTokenMissing => {
                "The provider does not speak OpenID Connect for this application: check that the \
                 scope openid is among those that are asked for."
                    .to_owned()
            }
            Self::UserChanged | Self::WrongAccount => {
                "Nothing: the user chose another account at the provider.".to_owned()
            }
            Self::LinkRequired(_) => {
                "Link the account once, if it is the user's; an address alone does not show that."
                    .to_owned()
            }
            Self::Refresh(_) | Self::UserInfo(_) | Self::TokenPair(_) => {
                "Another user's answer came for this session. Look for a proxy that caches what \
                 belongs to one user."
                    .to_owned()
            }
            Self::Logout(refusal) => refusal.admin_hint().to_owned(),
            Self::OneTime(_) => "Check the store that remembers used logins.".to_owned(),
            Self::Provisioner(_) => "Check the product's store of accounts.".to_owned(),
            Self::Seal(_) => {
                "Check that all machines of the product have the same keys, and keep a replaced \
                 key for a day."
                    .to_owned()
            }
            Self::AccountRefused { .. } => "Look at the user's account in the product.".to_owned(),
        }
    }
}

/// Whether the token endpoint refuses the user, or their code or refresh token; other refusals are
/// about the application (RFC 6749 5.2).
fn is_about_the_user(error: &entra_core::Error) -> bool {
    match error {
        entra_core::Error::Token(refusal) => refusal.error == "invalid_grant" || error.needs_user(),
        _ => false,
    }
}

impl From<ProviderError> for Error {
    fn from(error: ProviderError) -> Self {
        Self::Provider(Box::new(error))
    }
}

impl From<IdTokenRefusal> for Error {
    fn from(refusal: IdTokenRefusal) -> Self {
        Self::IdToken(refusal)
    }
}

/// Why settings cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OptionsError {
    /// An endpoint for several tenants was given where one tenant is expected.
    #[error("one tenant is expected, not common, organizations or consumers")]
    NotOneTenant,
    /// A list of tenants is empty.
    #[error("no tenant is allowed")]
    NoTenant,
    /// An issuer is no URL by https, or has parts that an issuer has not (OpenID Connect
    /// Discovery 1.0, section 4.3).
    #[error("the issuer is not a URL by https without query, fragment and user")]
    Issuer,
    /// Entra knows an application by a GUID.
    #[error("the client id cannot be used")]
    ClientId(#[source] IdError),
    /// The client id of another provider is empty or has control characters.
    #[error("the client id is empty or has control characters")]
    ClientIdText,
    /// The redirect URI cannot be one.
    #[error(transparent)]
    RedirectUri(#[from] RedirectUriError),
    /// The authority is known by a domain, or by its sign-in address: its issuer is known once it
    /// was asked.
    #[error("the authority has to be asked for its issuer first")]
    NotResolved,
    /// An API is protected by tokens of Entra, whose claims it knows.
    #[error("an API takes tokens of Entra alone")]
    NotEntra,
    /// The name of a profile becomes part of cookies and paths.
    #[error("the name of a profile has 1 to 64 of a-z, 0-9, hyphen and underscore")]
    ProfileName,
    /// An authentication context is `c1` to `c99`.
    #[error("an authentication context is c1 to c99")]
    AuthContext,
    /// A browser sends a form from another site only with cookies that need https.
    #[error("form_post needs a redirect URI of a web server by https")]
    FormPostNeedsHttps,
    /// An ID token from the authorization endpoint comes by `form_post` alone.
    #[error("a hybrid login needs form_post")]
    HybridNeedsFormPost,
    /// A client on a device has no credential that it could keep.
    #[error("only a web client has a credential")]
    CredentialOnDevice,
    /// A web client redeems codes with a credential.
    #[error("a web client needs a credential")]
    NoCredential,
    /// The credential is of the other kind of provider.
    #[error("the credential is not one for this kind of provider")]
    Credential,
    /// A claims request is no JSON object, or asks for ID-token claims otherwise than by an object
    /// (OpenID Connect Core 5.5).
    #[error("the claims request is no JSON object")]
    Claims,
    /// A proposed account and the page that asks for one exclude each other.
    #[error("prompt=select_account and a login hint exclude each other")]
    HintWithSelectAccount,
    /// A browser does not come back to a path of the product's web server: the redirect URI is of
    /// another kind of client, has no path, or stands where none of the routes is.
    #[error("the redirect URI has no path at which the product's routes are")]
    NoCallbackPath,
    /// Two profiles share what must lead to one of them alone.
    #[error("two profiles share a domain or a host")]
    ProfileTaken,
    /// Two profiles share a redirect URI at which their answers cannot be told apart (RFC 9700
    /// 4.4): they are no profiles of one Entra cloud, and not both name themselves in the answer.
    #[error("two profiles share a redirect URI at which their answers cannot be told apart")]
    SharedRedirectUri,
    /// An API accepts tokens for itself alone, so it has a name at least.
    #[error("an API has an audience at least, and none is empty")]
    Audience,
}

impl OptionsError {
    /// What whoever sets the product up can do about it.
    pub fn admin_hint(&self) -> &'static str {
        match self {
            Self::NotOneTenant => "Give the tenant's id or one of its domains.",
            Self::NoTenant => "Name the tenants whose users may sign in.",
            Self::Issuer => {
                "Give the issuer as the provider's configuration names it, like \
                 https://login.example."
            }
            Self::ClientId(_) | Self::ClientIdText => {
                "Copy the application (client) id from the application's registration."
            }
            Self::RedirectUri(_) => {
                "Give the redirect URI as it is registered: by https, or http on localhost."
            }
            Self::ProfileName => "Choose a name like contoso.",
            Self::NoCredential => {
                "Set the application's secret or certificate: LoginOptions::with_credential, or \
                 with_client_secret for a provider that is not Entra."
            }
            Self::Credential => {
                "Use with_credential for Entra and with_client_secret for other providers."
            }
            Self::CredentialOnDevice => {
                "Leave the credential out, and allow public client flows in the registration."
            }
            Self::FormPostNeedsHttps => "Serve the redirect URI by https, or use query.",
            Self::HybridNeedsFormPost => "Call with_form_post first.",
            _ => "Correct the settings of the connection.",
        }
    }
}

/// Why a provider's configuration cannot be used.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DiscoveryError {
    /// The address of the configuration cannot be called.
    #[error("the address of the provider's configuration cannot be called")]
    Address,
    /// It could not be fetched.
    #[error("the provider's configuration could not be fetched")]
    Fetch(#[source] entra_core::Error),
    /// The answer has another status than 200.
    #[error("the provider answered {0} in the place of its configuration")]
    Status(StatusCode),
    /// It is no JSON object with the members that must be there.
    #[error("what the provider publishes is no configuration")]
    NotAConfiguration(#[source] Arc<serde_json::Error>),
    /// It names another issuer than was asked for (OpenID Connect Discovery 1.0, section 4.3).
    #[error("the configuration is that of {found:?}, not of {expected:?}")]
    Issuer {
        /// The issuer that was asked for.
        expected: String,
        /// The issuer that the configuration names.
        found: String,
    },
    /// An endpoint is on a host that is not the provider's, or is not reached by https.
    #[error("{member} of the configuration leads to {host:?}, which is not the provider's")]
    Endpoint {
        /// The member of the configuration.
        member: &'static str,
        /// The host to which it leads.
        host: String,
    },
    /// It says how a code is bound to its request (RFC 7636), and S256 is not among it.
    #[error("the provider does not take S256 code challenges")]
    NoS256,
    /// It says something else than before; what was known is kept.
    #[error("{0} of the configuration has changed")]
    Changed(&'static str),
}

impl DiscoveryError {
    /// What an administrator can do about it.
    pub fn admin_hint(&self) -> String {
        match self {
            // Entra answers 400 for a tenant that it does not know.
            Self::Fetch(entra_core::Error::Response(refusal))
                if refusal.status.is_client_error()
                    && refusal.status != StatusCode::TOO_MANY_REQUESTS =>
            {
                Self::Status(refusal.status).admin_hint()
            }
            Self::Fetch(error) => error.admin_hint(),
            Self::Issuer { .. } => {
                "Compare the tenant, the cloud and the issuer of the connection with those of the \
                 provider."
                    .to_owned()
            }
            Self::Endpoint { host, .. } => format!(
                "If {host:?} belongs to the provider, allow it as a host of its endpoints. If not, \
                 somebody answers in the provider's place."
            ),
            Self::NoS256 => "The provider has to be told to take S256.".to_owned(),
            Self::Changed(_) => {
                "Look at what the provider announced. If the change is right, start the product \
                 again."
                    .to_owned()
            }
            Self::Address | Self::Status(_) | Self::NotAConfiguration(_) => {
                "Check the tenant and the issuer of the connection, and that no proxy answers in \
                 the provider's place."
                    .to_owned()
            }
        }
    }
}
