//! Whose signatures count: the keys that a provider publishes, or keys that were given.

use std::sync::Arc;

use entra_core::{JwkSet, JwksError, UnverifiedJwt, VerificationKey};

use crate::issuer::IssuerRule;
use crate::provider::{Provider, Published};
use crate::{Authority, Error, OptionsError, TokenRefusal};

/// Where the keys come from. A clone is cheap.
#[derive(Clone, Debug)]
pub(crate) enum TokenKeys {
    Published(Provider),
    Given(Arc<GivenKeys>),
}

impl TokenKeys {
    /// A key set as it is, for an authority of which all is known without asking it.
    pub(crate) fn given(authority: &Authority, keys: JwkSet) -> Result<Self, OptionsError> {
        let rule = authority.issuer_rule().ok_or(OptionsError::NotResolved)?;
        let cloud = authority.cloud_instance_name();
        Ok(Self::Given(Arc::new(GivenKeys { keys, rule, cloud })))
    }

    /// Reads the provider's configuration again if a day has passed.
    pub(crate) async fn refresh_if_due(&self) {
        match self {
            Self::Published(provider) if provider.is_due() => {
                Box::pin(provider.refresh_if_due()).await;
            }
            Self::Published(_) | Self::Given(_) => {}
        }
    }

    /// What is known at this moment, for one validation.
    pub(crate) fn known(&self) -> KnownKeys {
        match self {
            Self::Published(provider) => KnownKeys::Published(provider.published()),
            Self::Given(given) => KnownKeys::Given(Arc::clone(given)),
        }
    }
}

#[derive(Debug)]
pub(crate) struct GivenKeys {
    keys: JwkSet,
    rule: IssuerRule,
    cloud: Option<String>,
}

/// The issuer rule and the keys of one moment, which belong together.
pub(crate) enum KnownKeys {
    Published(Arc<Published>),
    Given(Arc<GivenKeys>),
}

impl KnownKeys {
    pub(crate) fn rule(&self) -> &IssuerRule {
        match self {
            Self::Published(published) => &published.rule,
            Self::Given(given) => &given.rule,
        }
    }

    /// The national cloud whose keys count, where the provider is in one.
    pub(crate) fn cloud(&self) -> Option<&str> {
        match self {
            Self::Published(published) => published.configuration.cloud_instance_name.as_deref(),
            Self::Given(given) => given.cloud.as_deref(),
        }
    }

    /// The key that a token names; every token of Entra names one. Another provider's need not, if
    /// it has one key alone (OpenID Connect Core 10.1).
    pub(crate) async fn key_for(
        &self,
        jwt: &UnverifiedJwt<'_>,
    ) -> Result<Arc<VerificationKey>, KeyFault> {
        match (self, jwt.key_id()) {
            (_, None) if self.rule().is_entra() => Err(TokenRefusal::KeyIdMissing.into()),
            (Self::Published(published), Some(id)) => Ok(published.keys.key(id).await?),
            (Self::Published(published), None) => Ok(published.keys.only_key().await?),
            (Self::Given(given), Some(id)) => {
                let key = given.keys.key(id).map(Arc::clone);
                key.ok_or_else(|| TokenRefusal::KeyUnknown.into())
            }
            (Self::Given(given), None) => {
                let key = given.keys.only_key().map(Arc::clone);
                key.ok_or_else(|| TokenRefusal::KeyAmbiguous.into())
            }
        }
    }
}

/// Why there is no key: the token's fault, or that of the way to the provider.
#[derive(Debug)]
pub(crate) enum KeyFault {
    Refused(TokenRefusal),
    Unavailable(JwksError),
}

impl From<TokenRefusal> for KeyFault {
    fn from(refusal: TokenRefusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<JwksError> for KeyFault {
    fn from(error: JwksError) -> Self {
        match error {
            JwksError::UnknownKey => Self::Refused(TokenRefusal::KeyUnknown),
            JwksError::SeveralKeys => Self::Refused(TokenRefusal::KeyAmbiguous),
            JwksError::NoKeyId => Self::Refused(TokenRefusal::KeyIdMissing),
            other => Self::Unavailable(other),
        }
    }
}

impl From<KeyFault> for Error {
    fn from(fault: KeyFault) -> Self {
        match fault {
            KeyFault::Refused(refusal) => refusal.into(),
            KeyFault::Unavailable(error) => Self::Keys(error),
        }
    }
}
