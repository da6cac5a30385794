//! An application without credentials of its own: a program on a user's machine.

use std::sync::Arc;

use crate::device_code::DeviceLogin;
use crate::registration::{Registration, Settings};
use crate::user_session::UserSession;
use crate::{
    AllowedTenants, Authority, AuthorizationCode, ClientId, Error, KeyRing, Pipeline,
    SealedSession, TokenRequest,
};

/// A public client (RFC 6749 2.1): a command line, a native or a mobile program. It can keep no
/// secret, so a user signs in with it, by a device code or in a browser.
///
/// ```
/// # async fn f(http: impl entra_core::HttpClient + 'static) -> Result<(), Box<dyn std::error::Error>> {
/// use entra_core::{Authority, ClientId, Cloud, Pipeline, PublicClient, Tenant, TokenRequest};
///
/// let client = PublicClient::new(
///     Authority::new(Cloud::public(), Tenant::Organizations),
///     ClientId::parse("11111111-2222-4333-8444-555555555555")?,
///     Pipeline::new(http),
/// );
/// let request = TokenRequest::new(["https://graph.microsoft.com/User.Read"]);
/// let login = client.device_login(&request).await?;
/// println!("{}", login.message()); // «To sign in, open … and enter the code …»
/// let session = login.finish(|progress| println!("{progress}")).await?;
/// let token = session.token(&request).await?; // now and for months, without the user
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct PublicClient {
    registration: Arc<Registration>,
}

impl PublicClient {
    /// A client of this authority, which may be `common` or `organizations`.
    pub fn new(authority: Authority, client_id: ClientId, pipeline: Pipeline) -> Self {
        Self::assemble(Settings {
            authority,
            client: client_id,
            pipeline,
            credentials: None,
            source: None,
            tenants: AllowedTenants::Own,
            cae: false,
        })
    }

    /// Lets requests name these tenants beside the client's own: where a user is a guest.
    #[must_use]
    pub fn with_tenants(self, tenants: AllowedTenants) -> Self {
        let settings = self.registration.settings().clone();
        Self::assemble(Settings {
            tenants,
            ..settings
        })
    }

    /// Declares that whoever uses the tokens answers claims challenges, as
    /// [`ConfidentialClient`](crate::ConfidentialClient::with_continuous_access_evaluation) does.
    #[must_use]
    pub fn with_continuous_access_evaluation(self) -> Self {
        let settings = self.registration.settings().clone();
        Self::assemble(Settings {
            cae: true,
            ..settings
        })
    }

    /// Starts a login by device code (RFC 8628): the user signs in on another device.
    pub async fn device_login(&self, request: &TokenRequest) -> Result<DeviceLogin, Error> {
        DeviceLogin::begin(Arc::clone(&self.registration), request).await
    }

    /// Redeems the code that the browser brought back; see
    /// [`AuthorizationRequest`](crate::AuthorizationRequest). A code is good for one attempt.
    pub async fn redeem_code(&self, code: &AuthorizationCode) -> Result<UserSession, Error> {
        UserSession::from_code(&self.registration, code).await
    }

    /// Goes on with a session that [`UserSession::seal`] put away.
    pub fn open_session(
        &self,
        keys: &KeyRing,
        sealed: &SealedSession,
    ) -> Result<UserSession, Error> {
        UserSession::open(&self.registration, keys, sealed)
    }

    /// Where its users sign in.
    pub fn authority(&self) -> &Authority {
        &self.registration.settings().authority
    }

    /// The application.
    pub fn client_id(&self) -> &ClientId {
        &self.registration.settings().client
    }

    /// The pipeline through which it asks for tokens.
    pub fn pipeline(&self) -> &Pipeline {
        self.registration.pipeline()
    }

    fn assemble(settings: Settings) -> Self {
        Self {
            registration: Arc::new(Registration::new(settings)),
        }
    }
}
