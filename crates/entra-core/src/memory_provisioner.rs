//! The [`UserProvisioner`] of tests and examples, and a model for those of hosts.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use crate::{
    AccountId, LinkConsent, Provisioned, ProvisionerError, UserKey, UserProfile, UserProvisioner,
};

/// Accounts in memory: for tests and examples, and to read beside one's own.
///
/// ```
/// use entra_core::{
///     LinkConsent, MemoryProvisioner, Provisioned, ProvisionerError, UserKey, UserProfile,
///     UserProvisioner,
/// };
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let accounts = MemoryProvisioner::new();
/// let before = accounts.add("ann", "ann@contoso.example");
///
/// let key = "9b3c2a10-0d5f-4f2e-9c55-5a0f3a3d7d11/5f2c7a4e-93d1-4d6e-a9a2-0d7c5b1e8f60";
/// let mut user = UserProfile::new(key.parse().unwrap(), "contoso");
/// user.verified_email = Some("ann@contoso.example".to_owned());
/// // An address is no proof, so Ann is not signed in to the account that was there before.
/// assert_eq!(accounts.provision(&user).await?, Provisioned::LinkRequired(before.clone()));
///
/// // She signs in to it by its password, and agrees.
/// let consent = LinkConsent::Owner { account: before.clone() };
/// accounts.link(&user, &before, &consent).await?;
/// assert_eq!(accounts.provision(&user).await?, Provisioned::Updated(before));
/// # Ok::<(), ProvisionerError>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct MemoryProvisioner {
    is_open: bool,
    accounts: Mutex<Accounts>,
}

impl MemoryProvisioner {
    /// No accounts; whoever signs in gets one.
    pub fn new() -> Self {
        Self {
            is_open: true,
            accounts: Mutex::default(),
        }
    }

    /// Refuses users who have no account, as a product does whose accounts an administrator makes.
    #[must_use]
    pub fn without_creation(mut self) -> Self {
        self.is_open = false;
        self
    }

    /// Makes an account that is not linked to anybody, as an administrator or a sign-up does.
    pub fn add(&self, user_name: &str, address: &str) -> AccountId {
        self.accounts().insert(MemoryAccount {
            user_name: Some(user_name.to_owned()),
            address: Some(address.to_owned()),
            ..MemoryAccount::default()
        })
    }

    /// Locks an account, or unlocks it. One that is not there stays so.
    pub fn set_locked(&self, account: &AccountId, is_locked: bool) {
        if let Some(found) = self.accounts().rows.get_mut(account) {
            found.is_locked = is_locked;
        }
    }

    /// An account as it is now.
    pub fn account(&self, account: &AccountId) -> Option<MemoryAccount> {
        self.accounts().rows.get(account).cloned()
    }

    /// All accounts, in the order of their names.
    pub fn all(&self) -> Vec<(AccountId, MemoryAccount)> {
        let accounts = self.accounts();
        let rows = accounts.rows.iter();
        rows.map(|(id, account)| (id.clone(), account.clone()))
            .collect()
    }

    fn accounts(&self) -> MutexGuard<'_, Accounts> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryProvisioner {
    fn default() -> Self {
        Self::new()
    }
}

/// In a database each of the two is one transaction, and the key is unique.
#[async_trait]
impl UserProvisioner for MemoryProvisioner {
    async fn provision(&self, user: &UserProfile) -> Result<Provisioned, ProvisionerError> {
        let mut accounts = self.accounts();
        // 1. By the key, and by nothing else.
        if let Some(account) = accounts.by_key.get(&user.key).cloned() {
            return Ok(accounts.update(account, user));
        }
        // 2. One that looks like the same person is offered, never signed in to.
        if let Some(answer) = accounts.look_alike(user) {
            return Ok(answer);
        }
        // 3. Nobody like this is known.
        if !self.is_open {
            return Ok(refused(
                "There is no account for you. Ask an administrator for one.",
            ));
        }
        let account = accounts.insert(MemoryAccount::default());
        accounts.attach(&account, user);
        Ok(Provisioned::Created(account))
    }

    async fn link(
        &self,
        user: &UserProfile,
        account: &AccountId,
        consent: &LinkConsent,
    ) -> Result<Provisioned, ProvisionerError> {
        let mut accounts = self.accounts();
        // 1. Whoever agrees may agree for this account. A consent of a kind that is new is none.
        let may_agree = match consent {
            LinkConsent::Owner { account: own } => own == account,
            LinkConsent::Administrator { .. } => true,
        };
        if !may_agree {
            return Ok(refused("Sign in to the account that is to be linked."));
        }
        // 2. The key has no other account, and the account no other key.
        if accounts
            .by_key
            .get(&user.key)
            .is_some_and(|own| own != account)
        {
            return Ok(refused("You have another account already."));
        }
        let Some(row) = accounts.rows.get_mut(account) else {
            return Ok(refused("The account is no longer there."));
        };
        if row.key.as_ref().is_some_and(|key| *key != user.key) {
            return Ok(refused("The account belongs to somebody else."));
        }
        if row.is_locked {
            return Ok(refused(LOCKED));
        }
        // 3. From now on it is found by the key.
        if row.key.is_none() {
            row.linked_by = Some(consent.clone());
        }
        accounts.attach(account, user);
        Ok(Provisioned::Updated(account.clone()))
    }
}

/// An account of a [`MemoryProvisioner`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryAccount {
    /// Who it belongs to, once somebody signed in to it from elsewhere.
    pub key: Option<UserKey>,
    /// The name to sign in with.
    pub user_name: Option<String>,
    /// The address.
    pub address: Option<String>,
    /// Whether nobody may sign in to it.
    pub is_locked: bool,
    /// Who agreed, where it was there before and was linked.
    pub linked_by: Option<LinkConsent>,
    /// What the last sign-in said.
    pub profile: Option<UserProfile>,
}

#[derive(Debug, Default)]
struct Accounts {
    rows: BTreeMap<AccountId, MemoryAccount>,
    by_key: HashMap<UserKey, AccountId>,
}

impl Accounts {
    fn insert(&mut self, account: MemoryAccount) -> AccountId {
        // Nothing is ever removed.
        let id = AccountId::new(format!("account-{}", self.rows.len() + 1));
        self.rows.insert(id.clone(), account);
        id
    }

    fn update(&mut self, account: AccountId, user: &UserProfile) -> Provisioned {
        if self.rows.get(&account).is_none_or(|row| row.is_locked) {
            return refused(LOCKED);
        }
        self.attach(&account, user);
        Provisioned::Updated(account)
    }

    /// The account is the user's, and says what the sign-in said.
    fn attach(&mut self, account: &AccountId, user: &UserProfile) {
        let Some(row) = self.rows.get_mut(account) else {
            return;
        };
        row.key = Some(user.key.clone());
        row.user_name = user.user_name.clone().or_else(|| row.user_name.take());
        row.address = user.verified_email.clone().or_else(|| row.address.take());
        row.profile = Some(user.clone());
        self.by_key.insert(user.key.clone(), account.clone());
    }

    /// What is answered where accounts that were never linked look like the user's.
    fn look_alike(&self, user: &UserProfile) -> Option<Provisioned> {
        let mut found = self
            .rows
            .iter()
            .filter(|(_, row)| row.key.is_none() && looks_like(row, user));
        let (account, row) = found.next()?;
        // Whoever was locked out does not come back with a new account.
        if row.is_locked || found.clone().any(|(_, row)| row.is_locked) {
            return Some(refused(LOCKED));
        }
        if found.next().is_some() {
            return Some(refused(
                "Several accounts may be yours. Ask an administrator to link the right one.",
            ));
        }
        Some(Provisioned::LinkRequired(account.clone()))
    }
}

/// Any name or address in common, in any of the places: it is a reason to ask, not a proof.
fn looks_like(row: &MemoryAccount, user: &UserProfile) -> bool {
    let own: Vec<String> = [&row.user_name, &row.address]
        .into_iter()
        .flatten()
        .map(|text| text.to_lowercase())
        .collect();
    [
        &user.user_name,
        &user.verified_email,
        &user.unverified_email,
    ]
    .into_iter()
    .flatten()
    .any(|text| own.contains(&text.to_lowercase()))
}

fn refused(reason: &str) -> Provisioned {
    Provisioned::Refused {
        reason: reason.to_owned(),
    }
}

const LOCKED: &str = "Your account is locked. Ask an administrator.";
