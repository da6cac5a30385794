//! Accounts of users who sign in: those in memory, and that the contract notices what is wrong.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails"
)]

use std::sync::Arc;

use async_trait::async_trait;
use entra_core::contract::user_provisioner as contract;
use entra_core::contract::user_provisioner::AccountsBefore;
use entra_core::{
    AccountId, LinkConsent, MemoryProvisioner, Provisioned, ProvisionerError, UserKey, UserProfile,
    UserProvisioner,
};
use tokio::task::JoinSet;

const ANN: &str = "9b3c2a10-0d5f-4f2e-9c55-5a0f3a3d7d11/5f2c7a4e-93d1-4d6e-a9a2-0d7c5b1e8f60";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_accounts_in_memory_hold_the_contract() {
    let accounts = Arc::new(MemoryProvisioner::new());
    let node: Arc<dyn UserProvisioner> = accounts.clone();
    contract::all([&node, &node], &Before(accounts)).await;
}

#[tokio::test]
async fn an_account_says_what_the_last_sign_in_said_and_who_linked_it() {
    let accounts = MemoryProvisioner::new();
    let account = accounts.add("ann", "ann@contoso.example");
    let mut ann = user(ANN);
    ann.user_name = Some("ann@fabrikam.example".to_owned());
    ann.unverified_email = Some("anybody@contoso.example".to_owned());
    let consent = LinkConsent::Administrator {
        name: "root".to_owned(),
    };
    accounts.link(&ann, &account, &consent).await.unwrap();

    let row = accounts.account(&account).unwrap();
    assert_eq!(row.key, Some(ANN.parse().unwrap()));
    assert_eq!(row.user_name.as_deref(), Some("ann@fabrikam.example"));
    // An address that nobody verified replaces none.
    assert_eq!(row.address.as_deref(), Some("ann@contoso.example"));
    assert_eq!(row.linked_by, Some(consent));
    assert_eq!(row.profile, Some(ann));

    // Who agreed first is what the audit keeps.
    let again = LinkConsent::Owner {
        account: account.clone(),
    };
    let answer = accounts.link(&user(ANN), &account, &again).await.unwrap();
    assert_eq!(answer, Provisioned::Updated(account.clone()));
    let row = accounts.account(&account).unwrap();
    assert!(matches!(
        row.linked_by,
        Some(LinkConsent::Administrator { .. })
    ));
}

#[tokio::test]
async fn several_accounts_that_look_like_the_user_are_an_administrators_matter() {
    let accounts = MemoryProvisioner::new();
    accounts.add("ann", "ann@contoso.example");
    accounts.add("ann.admin", "ann@contoso.example");
    let mut ann = user(ANN);
    ann.verified_email = Some("ann@contoso.example".to_owned());
    let answer = accounts.provision(&ann).await.unwrap();
    let Provisioned::Refused { reason } = answer else {
        panic!("{answer:?}");
    };
    assert_eq!(
        reason,
        "Several accounts may be yours. Ask an administrator to link the right one."
    );
    assert_eq!(accounts.all().len(), 2);
}

#[tokio::test]
async fn a_product_may_leave_the_making_of_accounts_to_its_administrators() {
    let accounts = MemoryProvisioner::new().without_creation();
    let answer = accounts.provision(&user(ANN)).await.unwrap();
    assert!(matches!(answer, Provisioned::Refused { .. }), "{answer:?}");
    assert!(accounts.all().is_empty());

    let account = accounts.add("ann", "ann@contoso.example");
    let consent = LinkConsent::Administrator {
        name: "root".to_owned(),
    };
    accounts.link(&user(ANN), &account, &consent).await.unwrap();
    assert_eq!(
        accounts.provision(&user(ANN)).await.unwrap(),
        Provisioned::Updated(account)
    );
}

#[tokio::test]
async fn a_faulty_provisioner_fails_the_property_that_its_fault_is_about() {
    use Fault as F;
    macro_rules! fails {
        ($property:ident, $fault:expr) => {{
            let (node, _) = faulty($fault);
            panics(async move { contract::$property([&node, &node]).await }).await
        }};
        ($property:ident, $fault:expr, before) => {{
            let (node, before) = faulty($fault);
            panics(async move { contract::$property([&node, &node], &before).await }).await
        }};
    }
    let (node, before) = faulty(F::None);
    contract::all([&node, &node], &before).await;

    assert!(fails!(
        a_new_user_gets_an_account_and_keeps_it,
        F::SaysCreated
    ));
    assert!(fails!(
        one_user_gets_one_account_however_many_sign_ins_come_at_once,
        F::LooksFirst
    ));
    for fault in [F::ObjectAlone, F::IssuerAlone, F::IgnoresCase] {
        assert!(fails!(similar_keys_are_different_users, fault));
    }
    assert!(fails!(
        an_account_is_found_by_the_key_whatever_else_changes,
        F::NameFirst,
        before
    ));
    assert!(fails!(
        the_name_and_address_of_another_user_lead_to_no_account_of_theirs,
        F::AddressIsIdentity
    ));
    for fault in [F::LinksByItself, F::MakesAnother, F::TrustsVerified] {
        assert!(fails!(
            an_account_that_was_there_is_offered_and_not_signed_in_to,
            fault,
            before
        ));
    }
    assert!(fails!(
        a_linked_account_is_found_by_the_key,
        F::ForgetsLinks,
        before
    ));
    assert!(fails!(
        linking_twice_is_as_good_as_once,
        F::LinksOnce,
        before
    ));
    assert!(fails!(
        an_account_is_linked_deliberately_without_anything_in_common,
        F::LinksLookAlikesAlone,
        before
    ));
    assert!(fails!(
        an_owner_agrees_for_their_own_account_alone,
        F::AnyOwner,
        before
    ));
    assert!(fails!(
        an_account_is_linked_to_one_user,
        F::LastLinkCounts,
        before
    ));
    assert!(fails!(
        a_user_is_linked_to_one_account,
        F::SecondAccount,
        before
    ));
    assert!(fails!(
        exactly_one_of_many_at_once_is_linked,
        F::LooksFirst,
        before
    ));
    assert!(fails!(
        an_account_that_is_not_there_is_not_linked,
        F::LinksAnything
    ));
    assert!(fails!(a_locked_account_is_refused, F::IgnoresLocks, before));
    assert!(fails!(
        whoever_was_locked_out_gets_no_new_account,
        F::MakesAnother,
        before
    ));
    assert!(fails!(
        a_locked_account_is_not_linked,
        F::LinksLocked,
        before
    ));
}

fn user(key: &str) -> UserProfile {
    UserProfile::new(key.parse().unwrap(), "contoso")
}

async fn panics(property: impl Future<Output = ()> + Send + 'static) -> bool {
    let mut runs = JoinSet::new();
    runs.spawn(property);
    let run = runs.join_next().await;
    run.is_some_and(|run| run.is_err_and(|error| error.is_panic()))
}

/// What a host does beside a sign-in, by the accounts in memory.
#[derive(Debug)]
struct Before(Arc<MemoryProvisioner>);

#[async_trait]
impl AccountsBefore for Before {
    async fn make(&self, user_name: &str, address: &str) -> AccountId {
        self.0.add(user_name, address)
    }

    async fn lock(&self, account: &AccountId) {
        self.0.set_locked(account, true);
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    None,
    SaysCreated,
    LooksFirst,
    ObjectAlone,
    IssuerAlone,
    IgnoresCase,
    NameFirst,
    AddressIsIdentity,
    LinksByItself,
    MakesAnother,
    TrustsVerified,
    ForgetsLinks,
    LinksOnce,
    LinksLookAlikesAlone,
    AnyOwner,
    LastLinkCounts,
    SecondAccount,
    LinksAnything,
    IgnoresLocks,
    LinksLocked,
}

fn faulty(fault: Fault) -> (Arc<dyn UserProvisioner>, Before) {
    let accounts = Arc::new(MemoryProvisioner::new());
    let node = Arc::new(Faulty {
        fault,
        accounts: Arc::clone(&accounts),
    });
    (node, Before(accounts))
}

/// The accounts in memory, and one mistake.
#[derive(Debug)]
struct Faulty {
    fault: Fault,
    accounts: Arc<MemoryProvisioner>,
}

impl Faulty {
    /// The user by whom the accounts are asked.
    fn mistaken(&self, user: &UserProfile) -> UserProfile {
        let mut user = user.clone();
        let key = user.key.to_string();
        let object = user.key.object().map(|object| object.to_string());
        let other = |subject: &str| UserKey::other("https://one.example", subject).unwrap();
        match (self.fault, object) {
            (Fault::ObjectAlone, Some(object)) => user.key = other(&object),
            (Fault::IssuerAlone, None) => user.key = other("everybody"),
            (Fault::IgnoresCase, None) => user.key = other(&key.to_lowercase()),
            (Fault::AddressIsIdentity, _) => {
                user.key = other(user.verified_email.as_ref().unwrap());
            }
            _ => {}
        }
        user
    }

    fn holder(&self, user: &UserProfile) -> Option<AccountId> {
        let all = self.accounts.all().into_iter();
        all.filter(|(_, row)| row.key.as_ref() == Some(&user.key))
            .map(|(id, _)| id)
            .next()
    }

    fn look_alike(&self, user: &UserProfile) -> Option<AccountId> {
        let same = |row: &entra_core::MemoryAccount| {
            row.key.is_none()
                && (row.user_name == user.user_name || row.address == user.verified_email)
        };
        let all = self.accounts.all().into_iter();
        all.filter(|(_, row)| same(row)).map(|(id, _)| id).next()
    }

    async fn link_as_owner(&self, user: &UserProfile, account: AccountId) -> Provisioned {
        let consent = LinkConsent::Owner {
            account: account.clone(),
        };
        let linked = self.accounts.link(user, &account, &consent).await;
        linked.unwrap()
    }
}

#[async_trait]
impl UserProvisioner for Faulty {
    async fn provision(&self, user: &UserProfile) -> Result<Provisioned, ProvisionerError> {
        let user = &self.mistaken(user);
        let holder = self.holder(user);
        let like = self.look_alike(user);
        if self.fault == Fault::LooksFirst && holder.is_none() && like.is_none() {
            tokio::task::yield_now().await;
            let account = self.accounts.add("somebody", "somebody@contoso.example");
            let _ = self.link_as_owner(user, account.clone()).await;
            return Ok(Provisioned::Created(account));
        }
        let answer = match (self.fault, holder, like) {
            (Fault::NameFirst, _, Some(like)) => Provisioned::LinkRequired(like),
            (Fault::LinksByItself, None, Some(like)) => self.link_as_owner(user, like).await,
            (Fault::TrustsVerified, None, Some(like)) if user.verified_email.is_some() => {
                self.link_as_owner(user, like).await
            }
            (Fault::MakesAnother, None, Some(_)) => {
                let bare = UserProfile::new(user.key.clone(), "contoso");
                self.accounts.provision(&bare).await?
            }
            (Fault::IgnoresLocks, Some(holder), _) => Provisioned::Updated(holder),
            _ => self.accounts.provision(user).await?,
        };
        Ok(match answer {
            Provisioned::Updated(account) if self.fault == Fault::SaysCreated => {
                Provisioned::Created(account)
            }
            answer => answer,
        })
    }

    async fn link(
        &self,
        user: &UserProfile,
        account: &AccountId,
        consent: &LinkConsent,
    ) -> Result<Provisioned, ProvisionerError> {
        let user = &self.mistaken(user);
        let done = Ok(Provisioned::Updated(account.clone()));
        let refused = Ok(Provisioned::Refused {
            reason: "No.".to_owned(),
        });
        let row = self.accounts.account(account).unwrap_or_default();
        let is_linked = row.key.is_some();
        match self.fault {
            Fault::LooksFirst if !is_linked => {
                tokio::task::yield_now().await;
                let _ = self.link_as_owner(user, account.clone()).await;
                done
            }
            Fault::ForgetsLinks => done,
            Fault::LinksOnce if is_linked => refused,
            Fault::LinksLookAlikesAlone if self.look_alike(user).is_none() => refused,
            Fault::AnyOwner => Ok(self.link_as_owner(user, account.clone()).await),
            Fault::LastLinkCounts if is_linked => done,
            Fault::SecondAccount if !is_linked => done,
            Fault::LinksAnything => done,
            Fault::LinksLocked if row.is_locked => done,
            _ => self.accounts.link(user, account, consent).await,
        }
    }
}
