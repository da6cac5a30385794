//! The application as the token endpoint knows it, and the tokens that it is given.

use std::fmt;

use entra_core::{
    AuthorizationCode, ConfidentialClient, KeyRing, Pipeline, PublicClient, SealedSession, Secret,
    Tenant, TokenRequest, UserSession,
};

use crate::authority::Kind;
use crate::generic_client::{GenericClient, GenericTokens};
use crate::issuer::IssuerRule;
use crate::options::Client;
use crate::provider::Configuration;
use crate::transaction::Transaction;
use crate::{Authority, Error, LoginOptions, OptionsError, Platform};

/// Who redeems codes.
#[derive(Clone, Debug)]
pub(crate) enum RelyingParty {
    Confidential(ConfidentialClient),
    Public(PublicClient),
    Generic(GenericClient),
}

impl RelyingParty {
    pub(crate) fn new(
        options: &LoginOptions,
        rule: &IssuerRule,
        pipeline: Pipeline,
    ) -> Result<Self, Error> {
        let (id, credentials, source) = match &options.client {
            Client::Generic { id, secret } => {
                return Ok(Self::Generic(GenericClient {
                    id: id.clone(),
                    secret: secret.clone(),
                    pipeline,
                }));
            }
            Client::Entra {
                id,
                credentials,
                source,
            } => (*id, credentials, source),
        };
        let authority = entra_authority(&options.authority, rule)?;
        let credentials = match (options.redirect_uri.platform(), credentials) {
            (Platform::Native, _) => {
                let client = PublicClient::new(authority, id, pipeline);
                return Ok(Self::Public(if options.cae {
                    client.with_continuous_access_evaluation()
                } else {
                    client
                }));
            }
            (Platform::Web, None) => return Err(OptionsError::NoCredential.into()),
            (Platform::Web, Some(credentials)) => credentials.clone(),
        };
        let mut client =
            ConfidentialClient::new(authority, id, credentials, pipeline).map_err(Error::Token)?;
        if let Some(source) = source {
            client = client.with_credential_source(source.clone());
        }
        if options.cae {
            client = client.with_continuous_access_evaluation();
        }
        Ok(Self::Confidential(client))
    }

    /// Redeems the code of a login for its tokens.
    pub(crate) async fn redeem(
        &self,
        configuration: &Configuration,
        code: &str,
        login: &Transaction<'_>,
    ) -> Result<Tokens, Error> {
        let session = match self {
            Self::Generic(client) => {
                let sent = (code, &*login.verifier, login.redirect_uri.as_str());
                let tokens = client.redeem(configuration, sent).await?;
                return Ok(Tokens::of_login(Kept::Generic(tokens), login));
            }
            Self::Confidential(client) => client.redeem_code(&entra_code(code, login)).await,
            Self::Public(client) => client.redeem_code(&entra_code(code, login)).await,
        };
        let kept = Kept::Entra {
            session: session.map_err(Error::Token)?,
            scope: login.scope.clone(),
        };
        Ok(Tokens::of_login(kept, login))
    }

    /// Opens a session that was kept sealed.
    pub(crate) fn open_session(
        &self,
        keys: &KeyRing,
        sealed: &SealedSession,
        scope: String,
    ) -> Result<Tokens, Error> {
        let session = match self {
            Self::Confidential(client) => client.open_session(keys, sealed),
            Self::Public(client) => client.open_session(keys, sealed),
            Self::Generic(_) => return Err(Error::NoRefreshToken),
        };
        let session = session.map_err(Error::Token)?;
        Ok(Tokens {
            kept: Kept::Entra { session, scope },
            nonce: None,
        })
    }

    /// Renews tokens, now and not from a cache.
    pub(crate) async fn renew(
        &self,
        configuration: &Configuration,
        tokens: &Tokens,
        claims: Option<&str>,
    ) -> Result<Tokens, Error> {
        match (&tokens.kept, self) {
            (Kept::Entra { session, .. }, _) if !session.has_refresh_token() => {
                Err(Error::NoRefreshToken)
            }
            (Kept::Entra { session, scope }, _) => {
                let mut request = scope_request(scope).bypassing_cache();
                if let Some(claims) = claims {
                    request = request.with_claims(claims);
                }
                session.token(&request).await.map_err(Error::Token)?;
                Ok(tokens.clone())
            }
            (Kept::Generic(kept), Self::Generic(client)) => {
                let refresh_token = kept.refresh_token.as_ref().ok_or(Error::NoRefreshToken)?;
                let renewed = client.refresh(configuration, refresh_token).await?;
                Ok(Tokens {
                    kept: Kept::Generic(renewed),
                    nonce: tokens.nonce.clone(),
                })
            }
            (Kept::Generic(_), _) => Err(Error::NoRefreshToken),
        }
    }
}

/// The tokens of a login. `Debug` shows none.
#[derive(Clone)]
pub struct Tokens {
    kept: Kept,
    /// Of the login. A renewed ID token has the same one or none.
    nonce: Option<Secret>,
}

#[derive(Clone)]
enum Kept {
    Entra { session: UserSession, scope: String },
    Generic(GenericTokens),
}

impl Tokens {
    /// The session at Entra: it yields tokens for APIs, renews itself, and is kept sealed beyond
    /// the process. None at another provider.
    pub fn session(&self) -> Option<&UserSession> {
        match &self.kept {
            Kept::Entra { session, .. } => Some(session),
            Kept::Generic(_) => None,
        }
    }

    /// The latest ID token, as a hint for a sign-out (`id_token_hint`).
    pub fn id_token(&self) -> Option<Secret> {
        match &self.kept {
            Kept::Entra { session, .. } => session.unverified_id_token(),
            Kept::Generic(tokens) => tokens.id_token.clone(),
        }
    }

    /// The access token of a provider that is not Entra.
    pub fn access_token(&self) -> Option<&Secret> {
        match &self.kept {
            Kept::Entra { .. } => None,
            Kept::Generic(tokens) => Some(&tokens.access_token),
        }
    }

    /// The refresh token of a provider that is not Entra. Entra's stays in its session.
    pub fn refresh_token(&self) -> Option<&Secret> {
        match &self.kept {
            Kept::Entra { .. } => None,
            Kept::Generic(tokens) => tokens.refresh_token.as_ref(),
        }
    }

    /// The nonce of the login, where it is known.
    pub(crate) fn nonce(&self) -> Option<&Secret> {
        self.nonce.as_ref()
    }

    fn of_login(kept: Kept, login: &Transaction<'_>) -> Self {
        Self {
            kept,
            nonce: Some(Secret::new(&*login.nonce)),
        }
    }

    /// The access token that came with the ID token, for `at_hash` and the UserInfo endpoint.
    pub(crate) async fn login_access_token(&self) -> Result<Secret, Error> {
        match &self.kept {
            Kept::Entra { session, scope } => session
                .token(&scope_request(scope))
                .await
                .map(|token| token.secret())
                .map_err(Error::Token),
            Kept::Generic(tokens) => Ok(tokens.access_token.clone()),
        }
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tokens([redacted])")
    }
}

fn entra_code(code: &str, login: &Transaction<'_>) -> AuthorizationCode {
    AuthorizationCode::new(
        Secret::new(code),
        &login.redirect_uri,
        Secret::new(&*login.verifier),
        scope_request(&login.scope),
    )
    .with_exact_scope()
}

fn scope_request(scope: &str) -> TokenRequest {
    TokenRequest::new(scope.split(' '))
}

/// Where codes are redeemed: for one tenant at its id, which the configuration has confirmed.
fn entra_authority(
    authority: &Authority,
    rule: &IssuerRule,
) -> Result<entra_core::Authority, OptionsError> {
    let (cloud, tenant) = match authority.kind() {
        Kind::Entra { cloud, tenants } => (cloud, tenants.at()),
        Kind::ExternalId { cloud, tenant } => (cloud, tenant.clone()),
        Kind::Generic(_) => return Err(OptionsError::Credential),
    };
    let tenant = match rule.one_tenant() {
        Some(pinned) => Tenant::Id(pinned),
        None => tenant,
    };
    Ok(entra_core::Authority::new(cloud.clone(), tenant))
}
