//! What a login is set up with.

use std::sync::Arc;

use entra_core::{
    ClientCredentials, ClientId, CredentialSource, GroupResolver, KeyRing, OneTimeStore, Secret,
    UserProvisioner,
};
use serde::{Deserialize, Serialize};
use url::{Origin, Url};

use crate::authority::Kind;
use crate::{Authority, IdTokenRules, OptionsError, ProfileName, RedirectUri};

/// What a login is set up with: required in [`new`](Self::new), the rest by `with_…`.
///
/// ```
/// use entra_core::{ClientCredential, ClientSecret, Cloud, KeyRing, SealingKey, Tenant};
/// use entra_oidc::{Authority, LoginOptions, RedirectUri};
///
/// let options = LoginOptions::new(
///     Authority::single_tenant(Cloud::public(), Tenant::parse("contoso.onmicrosoft.com")?)?,
///     "11111111-2222-4333-8444-555555555555",
///     RedirectUri::web("https://pw.example.com/auth/callback")?,
///     KeyRing::new(SealingKey::generate()), // the same on every machine of the product
/// )?
/// .with_credential(ClientCredential::secret(ClientSecret::parse("Ab8Q~pasted")?))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct LoginOptions {
    pub(crate) authority: Authority,
    pub(crate) client: Client,
    pub(crate) redirect_uri: RedirectUri,
    pub(crate) keys: KeyRing,
    pub(crate) profile: ProfileName,
    pub(crate) response_mode: ResponseMode,
    pub(crate) is_hybrid: bool,
    pub(crate) scopes: Vec<String>,
    pub(crate) rules: IdTokenRules,
    pub(crate) return_origins: Vec<Origin>,
    pub(crate) used: Option<Arc<dyn OneTimeStore>>,
    pub(crate) groups: Option<Arc<dyn GroupResolver>>,
    pub(crate) provisioner: Option<Arc<dyn UserProvisioner>>,
    pub(crate) post_logout_redirect_uri: Option<String>,
    pub(crate) cae: bool,
}

impl LoginOptions {
    /// A login for the users of `authority` at the application `client_id`, which ends at
    /// `redirect_uri`.
    ///
    /// Pending logins are sealed with `keys`, so that one machine may begin what another finishes:
    /// give all of them the same, from the product's vault.
    ///
    /// # Errors
    /// [`OptionsError::ClientId`] where the client id is no GUID, which Entra's are.
    pub fn new(
        authority: Authority,
        client_id: &str,
        redirect_uri: RedirectUri,
        keys: KeyRing,
    ) -> Result<Self, OptionsError> {
        let client = match authority.kind() {
            Kind::Entra { .. } | Kind::ExternalId { .. } => Client::Entra {
                id: ClientId::parse(client_id).map_err(OptionsError::ClientId)?,
                credentials: None,
                source: None,
            },
            Kind::Generic(_) => Client::Generic {
                id: client_text(client_id)?,
                secret: None,
            },
        };
        let mut scopes = vec!["openid".to_owned(), "profile".to_owned()];
        if authority.is_b2c() {
            // Without a scope of an application there is no access token, and without that no
            // token response (Microsoft Learn, "Request an access token in Azure Active Directory
            // B2C").
            scopes.push(client.id());
        }
        Ok(Self {
            authority,
            client,
            redirect_uri,
            keys,
            profile: ProfileName::default(),
            response_mode: ResponseMode::Query,
            is_hybrid: false,
            scopes,
            rules: IdTokenRules::new(),
            return_origins: Vec::new(),
            used: None,
            groups: None,
            provisioner: None,
            post_logout_redirect_uri: None,
            cae: false,
        })
    }

    /// What the application proves itself with when it redeems a code. A web client needs one.
    ///
    /// # Errors
    /// [`OptionsError::CredentialOnDevice`] for a client on a user's device, which cannot keep
    /// one; [`OptionsError::Credential`] for a provider that is not Entra
    /// ([`with_client_secret`](Self::with_client_secret)).
    pub fn with_credential(
        mut self,
        credentials: impl Into<ClientCredentials>,
    ) -> Result<Self, OptionsError> {
        self.check_keeps_credentials()?;
        let Client::Entra {
            credentials: own, ..
        } = &mut self.client
        else {
            return Err(OptionsError::Credential);
        };
        *own = Some(credentials.into());
        Ok(self)
    }

    /// Asks `source` for other credentials where all are refused, as
    /// [`ConfidentialClient::with_credential_source`](entra_core::ConfidentialClient::with_credential_source) does.
    #[must_use]
    pub fn with_credential_source(mut self, source: Arc<dyn CredentialSource>) -> Self {
        if let Client::Entra { source: own, .. } = &mut self.client {
            *own = Some(source);
        }
        self
    }

    /// The secret of a client at a provider that is not Entra.
    ///
    /// # Errors
    /// As [`with_credential`](Self::with_credential), the other way round.
    pub fn with_client_secret(mut self, secret: Secret) -> Result<Self, OptionsError> {
        self.check_keeps_credentials()?;
        let Client::Generic { secret: own, .. } = &mut self.client else {
            return Err(OptionsError::Credential);
        };
        *own = Some(secret);
        Ok(self)
    }

    /// Names the profile, where there are several side by side.
    #[must_use]
    pub fn with_profile(mut self, profile: ProfileName) -> Self {
        self.profile = profile;
        self
    }

    /// Has the answer sent as a form, by POST (OAuth 2.0 Form Post Response Mode): the code is in
    /// no address and no log. The cookie of a pending login then comes along from another site
    /// (`SameSite=None`).
    ///
    /// # Errors
    /// [`OptionsError::FormPostNeedsHttps`] where the redirect URI is no web server's that is reached
    /// by https.
    pub fn with_form_post(mut self) -> Result<Self, OptionsError> {
        if !self.redirect_uri.takes_forms() {
            return Err(OptionsError::FormPostNeedsHttps);
        }
        self.response_mode = ResponseMode::FormPost;
        Ok(self)
    }

    /// Asks for an ID token beside the code (`code id_token`), which binds the code to the answer
    /// (OpenID Connect Core 3.3). The registration has to allow ID tokens; without this it need
    /// not, and should not.
    ///
    /// # Errors
    /// [`OptionsError::HybridNeedsFormPost`] without [`with_form_post`](Self::with_form_post).
    pub fn with_hybrid_flow(mut self) -> Result<Self, OptionsError> {
        if self.response_mode != ResponseMode::FormPost {
            return Err(OptionsError::HybridNeedsFormPost);
        }
        self.is_hybrid = true;
        Ok(self)
    }

    /// Asks for these scopes beside `openid profile`: `offline_access` to stay signed in, `email`,
    /// those of an API.
    #[must_use]
    pub fn with_scopes<T: Into<String>>(mut self, scopes: impl IntoIterator<Item = T>) -> Self {
        for scope in scopes {
            let scope = scope.into();
            if !self.scopes.contains(&scope) {
                self.scopes.push(scope);
            }
        }
        self
    }

    /// What else is decided about ID tokens.
    #[must_use]
    pub fn with_id_token_rules(mut self, rules: IdTokenRules) -> Self {
        self.rules = rules;
        self
    }

    /// Lets a login end at these origins too, not at the product's own alone: those of a separate
    /// front end.
    #[must_use]
    pub fn with_return_origins(mut self, origins: impl IntoIterator<Item = Url>) -> Self {
        self.return_origins
            .extend(origins.into_iter().map(|url| url.origin()));
        self
    }

    /// Remembers finished logins here, so that an answer is good for one, whichever machine it
    /// reaches. Without it each machine remembers for itself; the provider takes a code once.
    #[must_use]
    pub fn with_one_time_store(mut self, store: Arc<dyn OneTimeStore>) -> Self {
        self.used = Some(store);
        self
    }

    /// Reads groups that a token left out because they are too many.
    #[must_use]
    pub fn with_group_resolver(mut self, groups: Arc<dyn GroupResolver>) -> Self {
        self.groups = Some(groups);
        self
    }

    /// Creates or updates the product's account at each login. Without it the host does so with
    /// the user that a login yields.
    #[must_use]
    pub fn with_provisioner(mut self, provisioner: Arc<dyn UserProvisioner>) -> Self {
        self.provisioner = Some(provisioner);
        self
    }

    /// Where the browser goes after a sign-out at the provider: one of the redirect URIs that are
    /// registered.
    #[must_use]
    pub fn with_post_logout_redirect_uri(mut self, uri: &RedirectUri) -> Self {
        self.post_logout_redirect_uri = Some(uri.as_str().to_owned());
        self
    }

    /// Says to Entra that the product answers claims challenges, so that a session ends at once
    /// when a user is disabled (Continuous Access Evaluation).
    #[must_use]
    pub fn with_continuous_access_evaluation(mut self) -> Self {
        self.cae = true;
        self
    }

    /// A web client of Entra redeems codes with a credential.
    pub(crate) fn check_credential(&self) -> Result<(), OptionsError> {
        let is_missing = matches!(
            self.client,
            Client::Entra {
                credentials: None,
                ..
            }
        );
        match self.redirect_uri.platform() {
            crate::Platform::Web if is_missing => Err(OptionsError::NoCredential),
            _ => Ok(()),
        }
    }

    fn check_keeps_credentials(&self) -> Result<(), OptionsError> {
        match self.redirect_uri.platform() {
            crate::Platform::Web => Ok(()),
            crate::Platform::Native => Err(OptionsError::CredentialOnDevice),
        }
    }
}

/// The application at the provider.
#[derive(Clone, Debug)]
pub(crate) enum Client {
    Entra {
        id: ClientId,
        credentials: Option<ClientCredentials>,
        source: Option<Arc<dyn CredentialSource>>,
    },
    Generic {
        id: String,
        secret: Option<Secret>,
    },
}

impl Client {
    pub(crate) fn id(&self) -> String {
        match self {
            Self::Entra { id, .. } => id.to_string(),
            Self::Generic { id, .. } => id.clone(),
        }
    }
}

/// How the answer comes (OAuth 2.0 Multiple Response Type Encoding Practices 2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ResponseMode {
    #[serde(rename = "query")]
    Query,
    #[serde(rename = "form_post")]
    FormPost,
}

impl ResponseMode {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::FormPost => "form_post",
        }
    }
}

fn client_text(id: &str) -> Result<String, OptionsError> {
    if id.is_empty() || id.contains(char::is_control) {
        return Err(OptionsError::ClientIdText);
    }
    Ok(id.to_owned())
}
