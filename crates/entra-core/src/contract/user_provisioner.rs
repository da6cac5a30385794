//! What a [`UserProvisioner`] holds.
//!
//! The accounts that were there before are the product's own, so the suite asks for
//! [`AccountsBefore`] beside the provisioner.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::task::JoinSet;

use super::random;
use crate::{
    AccountId, LinkConsent, ObjectId, Provisioned, TenantId, UserKey, UserProfile, UserProvisioner,
};

/// The accounts as two nodes of the product see them.
pub type Nodes<'a> = [&'a Arc<dyn UserProvisioner>; 2];

/// What the product does with its accounts beside a sign-in with Entra.
#[async_trait]
pub trait AccountsBefore: Debug + Send + Sync {
    /// Makes an account with a name and an address that is not linked to anybody.
    async fn make(&self, user_name: &str, address: &str) -> AccountId;

    /// Locks an account.
    async fn lock(&self, account: &AccountId);
}

/// All properties, for a product that makes accounts for users whom it does not know.
pub async fn all(nodes: Nodes<'_>, before: &dyn AccountsBefore) {
    a_new_user_gets_an_account_and_keeps_it(nodes).await;
    one_user_gets_one_account_however_many_sign_ins_come_at_once(nodes).await;
    similar_keys_are_different_users(nodes).await;
    an_account_is_found_by_the_key_whatever_else_changes(nodes, before).await;
    the_name_and_address_of_another_user_lead_to_no_account_of_theirs(nodes).await;
    an_account_that_was_there_is_offered_and_not_signed_in_to(nodes, before).await;
    a_linked_account_is_found_by_the_key(nodes, before).await;
    linking_twice_is_as_good_as_once(nodes, before).await;
    an_account_is_linked_deliberately_without_anything_in_common(nodes, before).await;
    an_owner_agrees_for_their_own_account_alone(nodes, before).await;
    an_account_is_linked_to_one_user(nodes, before).await;
    a_user_is_linked_to_one_account(nodes, before).await;
    exactly_one_of_many_at_once_is_linked(nodes, before).await;
    an_account_that_is_not_there_is_not_linked(nodes).await;
    a_locked_account_is_refused(nodes, before).await;
    whoever_was_locked_out_gets_no_new_account(nodes, before).await;
    a_locked_account_is_not_linked(nodes, before).await;
}

/// The first sign-in makes an account, the next ones find it, on every node.
pub async fn a_new_user_gets_an_account_and_keeps_it([one, other]: Nodes<'_>) {
    let user = user();
    let made = provision(one, &user).await;
    let Provisioned::Created(account) = made else {
        panic!("a new user, and the answer is {made:?}");
    };
    for node in [one, other, one] {
        let again = provision(node, &user).await;
        assert_eq!(again, Provisioned::Updated(account.clone()));
    }
}

/// Several tabs of one browser are one user.
pub async fn one_user_gets_one_account_however_many_sign_ins_come_at_once(nodes: Nodes<'_>) {
    let user = user();
    let mut calls = JoinSet::new();
    for node in nodes.into_iter().cycle().take(32) {
        let (node, user) = (Arc::clone(node), user.clone());
        calls.spawn(async move { provision(&node, &user).await });
    }
    let (mut accounts, mut made) = (BTreeSet::new(), 0);
    while let Some(call) = calls.join_next().await {
        let answer = call.expect("no call fails");
        made += usize::from(matches!(answer, Provisioned::Created(_)));
        accounts.insert(answer.account().expect("a new user").clone());
    }
    assert_eq!((accounts.len(), made), (1, 1), "accounts and creations");
}

/// Both parts of a key count: a tenant says nothing of the objects of another, nor an issuer of
/// the subjects of another.
pub async fn similar_keys_are_different_users([one, other]: Nodes<'_>) {
    let (tenant, object) = (tenant(), object());
    let subject = text();
    let keys = [
        UserKey::entra(tenant, object),
        UserKey::entra(self::tenant(), object),
        UserKey::entra(tenant, self::object()),
        foreign(&format!("https://{tenant}"), &object.to_string()),
        foreign("https://a.example", &subject),
        foreign("https://b.example", &subject),
        foreign("https://a.example", &subject.to_uppercase()),
        foreign("https://a.example/", &subject),
    ];
    let mut accounts = BTreeSet::new();
    for (number, key) in keys.into_iter().enumerate() {
        let node = if number % 2 == 0 { one } else { other };
        let answer = provision(node, &profile(key)).await;
        assert!(matches!(answer, Provisioned::Created(_)), "{answer:?}");
        accounts.extend(answer.account().cloned());
    }
    assert_eq!(accounts.len(), 8, "keys were mixed up");
}

/// People marry and addresses move, even to those of an account that was there before.
pub async fn an_account_is_found_by_the_key_whatever_else_changes(
    [one, other]: Nodes<'_>,
    before: &dyn AccountsBefore,
) {
    let mut user = named(user());
    let account = signed_in(one, &user).await;
    user = named(user);
    assert_eq!(signed_in(other, &user).await, account, "after a new name");
    let (name, address) = (text(), address());
    before.make(&name, &address).await;
    user.user_name = Some(name);
    user.verified_email = Some(address);
    assert_eq!(signed_in(one, &user).await, account, "the name of another");
    let bare = UserProfile::new(user.key, "contract");
    assert_eq!(signed_in(other, &bare).await, account, "without a name");
}

/// Whoever controls a directory can write the name and address of anybody there.
pub async fn the_name_and_address_of_another_user_lead_to_no_account_of_theirs(
    [one, other]: Nodes<'_>,
) {
    let victim = named(user());
    let account = signed_in(one, &victim).await;
    let mut attacker = victim.clone();
    attacker.key = UserKey::entra(tenant(), object());
    let answer = provision(other, &attacker).await;
    assert_ne!(answer.account(), Some(&account), "it is somebody else's");
    assert_eq!(signed_in(one, &victim).await, account);
}

/// Whatever it is that makes it look like theirs, and however often they try.
pub async fn an_account_that_was_there_is_offered_and_not_signed_in_to(
    [one, other]: Nodes<'_>,
    before: &dyn AccountsBefore,
) {
    let change: [fn(&mut UserProfile, String, String); 4] = [
        |user, name, _| user.user_name = Some(name),
        |user, _, address| user.verified_email = Some(address),
        |user, _, address| user.unverified_email = Some(address),
        |user, _, address| user.verified_email = Some(address.to_uppercase()),
    ];
    for change in change {
        let (name, address) = (text(), address());
        let account = before.make(&name, &address).await;
        let mut user = user();
        change(&mut user, name, address);
        for node in [one, other, one] {
            let answer = provision(node, &user).await;
            assert_eq!(answer, Provisioned::LinkRequired(account.clone()));
        }
    }
}

/// After the consent the account is the user's, whatever they are called then.
pub async fn a_linked_account_is_found_by_the_key(
    [one, other]: Nodes<'_>,
    before: &dyn AccountsBefore,
) {
    let (user, account) = offered(before).await;
    let linked = link(one, &user, &account, owner(&account)).await;
    assert_eq!(linked.account(), Some(&account));
    assert_eq!(
        provision(other, &named(user)).await,
        Provisioned::Updated(account)
    );
}

/// A page that is sent twice does no harm.
pub async fn linking_twice_is_as_good_as_once(
    [one, other]: Nodes<'_>,
    before: &dyn AccountsBefore,
) {
    let (user, account) = offered(before).await;
    for node in [one, other, one] {
        let linked = link(node, &user, &account, owner(&account)).await;
        assert_eq!(linked.account(), Some(&account), "{linked:?}");
    }
}

/// An administrator knows better than any name: before the first sign-in, too.
pub async fn an_account_is_linked_deliberately_without_anything_in_common(
    [one, other]: Nodes<'_>,
    before: &dyn AccountsBefore,
) {
    let account = before.make(&text(), &address()).await;
    let user = named(user());
    let administrator = LinkConsent::Administrator {
        name: "admin".to_owned(),
    };
    let linked = link(one, &user, &account, administrator).await;
    assert_eq!(linked.account(), Some(&account));
    assert_eq!(provision(other, &user).await, Provisioned::Updated(account));
}

/// The owner of one account has nothing to say about another.
pub async fn an_owner_agrees_for_their_own_account_alone(
    [one, other]: Nodes<'_>,
    before: &dyn AccountsBefore,
) {
    let (user, account) = offered(before).await;
    let own = before.make(&text(), &address()).await;
    refuses(link(one, &user, &account, owner(&own)).await);
    let answer = provision(other, &user).await;
    assert_eq!(answer, Provisioned::LinkRequired(account));
}

/// A second key would be a second person.
pub async fn an_account_is_linked_to_one_user(
    [one, other]: Nodes<'_>,
    before: &dyn AccountsBefore,
) {
    let (user, account) = offered(before).await;
    link(one, &user, &account, owner(&account)).await;
    let mut second = user.clone();
    second.key = UserKey::entra(tenant(), object());
    refuses(link(other, &second, &account, owner(&account)).await);
    let answer = provision(other, &second).await;
    assert_ne!(answer.account(), Some(&account));
    assert_eq!(signed_in(one, &user).await, account);
}

/// A user has one account, be it made or linked.
pub async fn a_user_is_linked_to_one_account([one, other]: Nodes<'_>, before: &dyn AccountsBefore) {
    let made = user();
    let own = signed_in(one, &made).await;
    let account = before.make(&text(), &address()).await;
    refuses(link(other, &made, &account, owner(&account)).await);
    assert_eq!(signed_in(one, &made).await, own);

    let (linked, own) = offered(before).await;
    link(one, &linked, &own, owner(&own)).await;
    refuses(link(other, &linked, &account, owner(&account)).await);
    assert_eq!(signed_in(other, &linked).await, own);
}

/// Among users who are linked to one account at the same time there is one whose it is.
pub async fn exactly_one_of_many_at_once_is_linked(nodes: Nodes<'_>, before: &dyn AccountsBefore) {
    let [one, _] = nodes;
    let account = before.make(&text(), &address()).await;
    let mut calls = JoinSet::new();
    for node in nodes.into_iter().cycle().take(16) {
        let (node, account) = (Arc::clone(node), account.clone());
        calls.spawn(async move {
            let user = user();
            let answer = link(&node, &user, &account, owner(&account)).await;
            (user, answer)
        });
    }
    let mut winners = 0;
    while let Some(call) = calls.join_next().await {
        let (user, answer) = call.expect("no call fails");
        if answer.account().is_some() {
            winners += 1;
            assert_eq!(signed_in(one, &user).await, account);
        } else {
            refuses(answer);
            let own = provision(one, &user).await;
            assert_ne!(own.account(), Some(&account));
        }
    }
    assert_eq!(winners, 1, "users who were told that it is theirs");
}

/// Nothing is made by linking.
pub async fn an_account_that_is_not_there_is_not_linked([one, other]: Nodes<'_>) {
    let (user, account) = (user(), AccountId::new(text()));
    refuses(link(one, &user, &account, owner(&account)).await);
    let answer = provision(other, &user).await;
    assert!(matches!(answer, Provisioned::Created(_)), "{answer:?}");
}

/// The directory says who somebody is; whether they may come in is the product's to say.
pub async fn a_locked_account_is_refused([one, other]: Nodes<'_>, before: &dyn AccountsBefore) {
    let made = user();
    before.lock(&signed_in(one, &made).await).await;
    refuses(provision(other, &made).await);

    let (linked, account) = offered(before).await;
    link(one, &linked, &account, owner(&account)).await;
    before.lock(&account).await;
    refuses(provision(other, &linked).await);
    // Linking it again is no way in.
    refuses(link(one, &linked, &account, owner(&account)).await);
    refuses(provision(one, &linked).await);
}

/// An account that was locked before it was linked is not got round by a sign-in with Entra.
pub async fn whoever_was_locked_out_gets_no_new_account(
    [one, other]: Nodes<'_>,
    before: &dyn AccountsBefore,
) {
    let (user, account) = offered(before).await;
    before.lock(&account).await;
    for node in [one, other] {
        let answer = provision(node, &user).await;
        assert_eq!(answer.account(), None, "{answer:?}");
    }
}

/// Nor by linking it.
pub async fn a_locked_account_is_not_linked([one, other]: Nodes<'_>, before: &dyn AccountsBefore) {
    let (user, account) = offered(before).await;
    before.lock(&account).await;
    refuses(link(one, &user, &account, owner(&account)).await);
    assert_eq!(provision(other, &user).await.account(), None);
}

/// A user, and an account that was there before and looks like theirs.
async fn offered(before: &dyn AccountsBefore) -> (UserProfile, AccountId) {
    let user = named(user());
    let name = user.user_name.clone().unwrap_or_default();
    let account = before.make(&name, &address()).await;
    (user, account)
}

fn owner(account: &AccountId) -> LinkConsent {
    LinkConsent::Owner {
        account: account.clone(),
    }
}

async fn provision(node: &Arc<dyn UserProvisioner>, user: &UserProfile) -> Provisioned {
    let answer = node.provision(user).await;
    answer.expect("the accounts are available")
}

/// The account of a user who has one or gets one.
async fn signed_in(node: &Arc<dyn UserProvisioner>, user: &UserProfile) -> AccountId {
    let answer = provision(node, user).await;
    let account = answer.account().cloned();
    account.unwrap_or_else(|| panic!("an account, and the answer is {answer:?}"))
}

async fn link(
    node: &Arc<dyn UserProvisioner>,
    user: &UserProfile,
    account: &AccountId,
    consent: LinkConsent,
) -> Provisioned {
    let answer = node.link(user, account, &consent).await;
    answer.expect("the accounts are available")
}

fn refuses(answer: Provisioned) {
    let Provisioned::Refused { reason } = answer else {
        panic!("it is to be refused, and the answer is {answer:?}");
    };
    assert!(!reason.trim().is_empty(), "the user is told why");
}

/// A user of whom nothing but the key is known.
fn user() -> UserProfile {
    profile(UserKey::entra(tenant(), object()))
}

fn profile(key: UserKey) -> UserProfile {
    UserProfile::new(key, "contract")
}

/// The same user with another name and address.
fn named(mut user: UserProfile) -> UserProfile {
    user.display_name = Some(text());
    user.user_name = Some(address());
    user.verified_email = Some(address());
    user.unverified_email = Some(address());
    user
}

fn foreign(issuer: &str, subject: &str) -> UserKey {
    UserKey::other(issuer, subject).expect("it is a key")
}

fn tenant() -> TenantId {
    uuid().parse().expect("it is a GUID")
}

fn object() -> ObjectId {
    uuid().parse().expect("it is a GUID")
}

fn uuid() -> String {
    uuid::Uuid::new_v4().to_string()
}

fn address() -> String {
    format!("{}@contoso.example", text())
}

fn text() -> String {
    random().iter().map(|byte| format!("{byte:02x}")).collect()
}
