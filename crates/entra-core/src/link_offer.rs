//! What lies between «an account like this exists» and somebody's consent to link it.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};

use crate::{
    AccountId, Error, KeyRing, LinkConsent, OneTimeError, OneTimeKey, OneTimeStore, Provisioned,
    ProvisionerError, SealError, Secret, UserProfile, UserProvisioner,
};

/// Who signed in, and which account may be theirs: kept while the account's owner is asked.
///
/// A product gets [`Provisioned::LinkRequired`], makes an offer, seals it, and shows a page on which
/// the owner signs in to the account as before. That page opens the offer, shows **whose** identity
/// is to be linked, and accepts it. OpenID Connect and SAML use it alike.
///
/// Keep the sealed offer where this browser alone has it: in a cookie with `HttpOnly`, `Secure` and
/// `SameSite`, or in its session at the server. Never put it into a link: whoever gets an owner to
/// open a link with a stranger's offer gets the account. A profile with many groups is larger than
/// the 4 kB of a cookie.
///
/// ```
/// use entra_core::{
///     Clock, KeyRing, LinkConsent, LinkOffer, MemoryOneTimeStore, MemoryProvisioner, Provisioned,
///     SealingKey, SystemClock, UserKey, UserProfile, UserProvisioner,
/// };
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let (accounts, used) = (MemoryProvisioner::new(), MemoryOneTimeStore::new());
/// let keys = KeyRing::new(SealingKey::generate());
/// # accounts.add("ann", "ann@contoso.example");
/// # let key = "9b3c2a10-0d5f-4f2e-9c55-5a0f3a3d7d11/5f2c7a4e-93d1-4d6e-a9a2-0d7c5b1e8f60";
/// # let mut user = UserProfile::new(key.parse()?, "contoso");
/// # user.user_name = Some("ann".to_owned());
/// // At the sign-in.
/// let Provisioned::LinkRequired(account) = accounts.provision(&user).await? else {
///     return Err("nothing to link".into());
/// };
/// let cookie = LinkOffer::new(user, account, SystemClock.now())?.seal(&keys)?;
///
/// // On the consent page, where the owner has just given the account's password.
/// let offer = LinkOffer::open(&keys, &cookie, SystemClock.now())?;
/// let consent = LinkConsent::Owner { account: offer.account().clone() };
/// let linked = offer.accept(&accounts, consent, &used).await?;
/// assert!(linked.account().is_some());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct LinkOffer(Content);

impl LinkOffer {
    /// An offer to link `account` to the user, good for ten minutes from `now` on.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] where the system has no randomness to give.
    pub fn new(user: UserProfile, account: AccountId, now: OffsetDateTime) -> Result<Self, Error> {
        Ok(Self(Content {
            version: VERSION,
            id: Secret::generate()?.expose().to_owned(),
            user,
            account,
            expires_on: now.saturating_add(DEFAULT_LIFETIME),
        }))
    }

    /// Is good until then: an administrator who is asked needs more time than an owner who is at
    /// the keyboard.
    #[must_use]
    pub fn with_expiry(mut self, end: OffsetDateTime) -> Self {
        self.0.expires_on = end;
        self
    }

    /// Who signed in: to be shown to whoever is asked.
    pub fn user(&self) -> &UserProfile {
        &self.0.user
    }

    /// The account that may be theirs.
    pub fn account(&self) -> &AccountId {
        &self.0.account
    }

    /// When it ends.
    pub fn expires_on(&self) -> OffsetDateTime {
        self.0.expires_on
    }

    /// The offer for the browser or the host's store: nobody reads or changes it without the keys.
    pub fn seal(&self, keys: &KeyRing) -> Result<SealedLinkOffer, SealError> {
        let json = Secret::of_json(&self.0).ok_or(SealError::NothingToSeal)?;
        keys.seal(PURPOSE, &[], &json).map(SealedLinkOffer)
    }

    /// Opens what was sealed, if it has not ended. It is used up by [`accept`](Self::accept) alone,
    /// so that a page may show it first.
    pub fn open(
        keys: &KeyRing,
        sealed: &SealedLinkOffer,
        now: OffsetDateTime,
    ) -> Result<Self, LinkOfferError> {
        let json = keys.open(PURPOSE, &[], &sealed.0)?;
        let content = serde_json::from_str::<Content>(json.expose())
            .ok()
            .filter(|content| content.version == VERSION)
            .ok_or(LinkOfferError::Unreadable)?;
        if content.expires_on <= now {
            return Err(LinkOfferError::Expired {
                expires_on: content.expires_on,
            });
        }
        Ok(Self(content))
    }

    /// Links the account, once: a second call with the same offer is refused, on whichever node,
    /// also where the first failed on its way.
    ///
    /// The consent of an owner counts for the account that they signed in to. Where that is another
    /// one, the offer is not used up.
    pub async fn accept(
        self,
        accounts: &dyn UserProvisioner,
        consent: LinkConsent,
        used: &dyn OneTimeStore,
    ) -> Result<Provisioned, LinkOfferError> {
        let Content {
            id,
            user,
            account,
            expires_on,
            ..
        } = self.0;
        if let LinkConsent::Owner { account: own } = &consent
            && *own != account
        {
            return Err(LinkOfferError::OtherAccount);
        }
        let key = OneTimeKey::new(PURPOSE, [id]);
        match used.insert_once(&key, expires_on).await {
            Ok(true) => {}
            Ok(false) => return Err(LinkOfferError::Used),
            Err(OneTimeError::Expired { expires_on }) => {
                return Err(LinkOfferError::Expired { expires_on });
            }
            Err(error) => return Err(LinkOfferError::Store(error)),
        }
        Ok(accounts.link(&user, &account, &consent).await?)
    }
}

impl fmt::Debug for LinkOffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LinkOffer")
            .field("user", &self.0.user.key)
            .field("account", &self.0.account)
            .field("expires_on", &self.0.expires_on)
            .finish_non_exhaustive()
    }
}

/// An encrypted [`LinkOffer`].
#[derive(Clone, PartialEq, Eq)]
pub struct SealedLinkOffer(Vec<u8>);

impl SealedLinkOffer {
    /// Takes the stored bytes over.
    pub fn from_bytes(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// The bytes to store.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Reads what [`to_base64url`](Self::to_base64url) wrote.
    pub fn from_base64url(text: &str) -> Result<Self, SealError> {
        let bytes = URL_SAFE_NO_PAD.decode(text);
        bytes.map(Self).map_err(|_| SealError::NotSealed)
    }

    /// The bytes in base64url, for a cookie.
    pub fn to_base64url(&self) -> String {
        URL_SAFE_NO_PAD.encode(&self.0)
    }
}

impl fmt::Debug for SealedLinkOffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealedLinkOffer({} bytes)", self.0.len())
    }
}

/// Why an offer was not accepted. Nothing was linked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LinkOfferError {
    /// It was not sealed by this product, or was changed.
    #[error("the offer to link an account cannot be opened")]
    Sealed(#[from] SealError),
    /// It was sealed by another version of this product.
    #[error("the offer to link an account is of another version")]
    Unreadable,
    /// It has ended. The user signs in again and gets another.
    #[error("the offer to link an account ended on {expires_on}")]
    Expired {
        /// When it ended.
        expires_on: OffsetDateTime,
    },
    /// Whoever agreed signed in to another account than the one that was offered.
    #[error("the consent is for another account than the one that was offered")]
    OtherAccount,
    /// It was accepted before.
    #[error("the offer to link an account was used before")]
    Used,
    /// Whether it was used before cannot be told.
    #[error("it cannot be told whether the offer to link an account was used before")]
    Store(#[source] OneTimeError),
    /// The host's store of accounts failed.
    #[error("the account was not linked")]
    Accounts(#[from] ProvisionerError),
}

#[derive(Clone, PartialEq, Eq, Deserialize, Serialize)]
struct Content {
    version: u8,
    id: String,
    user: UserProfile,
    account: AccountId,
    #[serde(with = "time::serde::timestamp")]
    expires_on: OffsetDateTime,
}

const PURPOSE: &str = "link offer";
const VERSION: u8 = 1;
const DEFAULT_LIFETIME: Duration = Duration::minutes(10);
