//! Several token credentials in an order: the first that this machine has is used.

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;

use crate::{AccessToken, Error, TokenCredential, TokenRequest, error_chain};

/// Tries token credentials in their order until one yields a token, and stays with that one.
///
/// A credential that is [not available here](Error::NotAvailable) is passed over: no workload
/// identity, no metadata service, no Azure CLI. Any other failure ends the search and is told, so
/// that a product never signs in as somebody else than whom its administrator set up because that
/// one was refused.
///
/// ```
/// # fn f(pipeline: entra_core::Pipeline) {
/// use std::collections::HashMap;
/// use entra_core::{CredentialChain, ManagedIdentity, ManagedIdentityId, WorkloadIdentity};
///
/// let environment: HashMap<_, _> = std::env::vars().collect();
/// let workload = WorkloadIdentity::from_environment(&environment)
///     .map_err(entra_core::Error::from)
///     .and_then(|identity| identity.into_client(pipeline.clone()));
/// let id = ManagedIdentityId::System;
/// let machine = ManagedIdentity::from_environment(&environment, id, pipeline);
/// let chain = CredentialChain::new().or_try(workload).or_try(machine);
/// # }
/// ```
///
/// A clone is cheap, and clones stay with the same credential. The chain has no cache of its own.
#[derive(Clone, Debug, Default)]
pub struct CredentialChain {
    links: Arc<[Link]>,
    continue_on_failure: bool,
    /// The credential that yielded the first token.
    chosen: Arc<OnceLock<Arc<dyn TokenCredential>>>,
}

/// A credential, or why there is none.
type Link = Result<Arc<dyn TokenCredential>, Error>;

impl CredentialChain {
    /// A chain without credentials.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a credential to the end.
    #[must_use]
    pub fn or(self, credential: impl TokenCredential + 'static) -> Self {
        self.with_link(Ok(Arc::new(credential)))
    }

    /// Adds a credential to the end, or why it could not be set up, which is then its answer to
    /// every request.
    #[must_use]
    pub fn or_try<C, E>(self, credential: Result<C, E>) -> Self
    where
        C: TokenCredential + 'static,
        E: Into<Error>,
    {
        match credential {
            Ok(credential) => self.or(credential),
            Err(error) => self.with_link(Err(error.into())),
        }
    }

    /// Goes on after any failure, not only where a credential is not available. The product may
    /// then sign in as another identity than the first that is set up.
    #[must_use]
    pub fn with_continue_on_failure(self) -> Self {
        Self {
            continue_on_failure: true,
            chosen: Arc::default(),
            ..self
        }
    }

    /// A token of the first credential that yields one, and of the same from then on.
    ///
    /// # Errors
    /// [`Error::NoCredential`] with each one's reason where the chain came to its end; else the
    /// error of the credential that failed.
    pub async fn token(&self, request: &TokenRequest) -> Result<AccessToken, Error> {
        if let Some(chosen) = self.chosen.get() {
            return chosen.token(request).await;
        }
        let mut reasons = Vec::new();
        for link in &*self.links {
            let error = match link {
                Ok(credential) => match credential.token(request).await {
                    Ok(token) => {
                        // Where two calls come at once, the first that has a token chooses.
                        let _ = self.chosen.set(Arc::clone(credential));
                        return Ok(token);
                    }
                    Err(error) => error,
                },
                Err(error) => error.clone(),
            };
            if !self.goes_on_after(&error) {
                return Err(error);
            }
            tracing::debug!(error = error_chain(&error), "the next credential is tried");
            reasons.push(error);
        }
        Err(Error::NoCredential(reasons.into()))
    }

    fn with_link(self, link: Link) -> Self {
        Self {
            links: self.links.iter().cloned().chain([link]).collect(),
            chosen: Arc::default(),
            ..self
        }
    }

    fn goes_on_after(&self, error: &Error) -> bool {
        self.continue_on_failure || matches!(error, Error::NotAvailable { .. })
    }
}

#[async_trait]
impl TokenCredential for CredentialChain {
    async fn token(&self, request: &TokenRequest) -> Result<AccessToken, Error> {
        Self::token(self, request).await
    }

    fn invalidate(&self, request: &TokenRequest, token: &AccessToken) {
        if let Some(chosen) = self.chosen.get() {
            chosen.invalidate(request, token);
        }
    }
}
