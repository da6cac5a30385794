//! What a login makes of its user: groups that the token left out, and the product's account.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    reason = "what a test cannot do fails it"
)]

mod stage;

use std::sync::Arc;

use async_trait::async_trait;
use entra_core::{
    GroupResolver, GroupResolverError, Groups, LinkConsent, MemoryOneTimeStore, MemoryProvisioner,
    Provisioned, UserKey,
};
use entra_emulator::IdTokenChange;
use entra_oidc::Error;
use http::StatusCode;
use serde_json::json;
use stage::Stage;

/// Knows the groups of everybody, or of nobody.
#[derive(Debug)]
struct Directory(Option<Vec<String>>);

#[async_trait]
impl GroupResolver for Directory {
    async fn groups(&self, _: &UserKey) -> Result<Vec<String>, GroupResolverError> {
        self.0.clone().ok_or(GroupResolverError::TooMany)
    }
}

/// Microsoft Learn, "Groups overage claim", with an address to which nobody must go.
fn overage() -> IdTokenChange {
    IdTokenChange::new()
        .with_claim("_claim_names", json!({"groups": "src1"}))
        .with_claim(
            "_claim_sources",
            json!({"src1": {"endpoint": "http://169.254.169.254/latest/meta-data"}}),
        )
}

async fn groups_with(resolver: Option<Directory>, change: IdTokenChange) -> Groups {
    let stage = Stage::new();
    let mut options = stage.options();
    if let Some(resolver) = resolver {
        options = options.with_group_resolver(Arc::new(resolver));
    }
    let login = stage.connect(options).await;
    stage.emulator.forge().next_id_token(change).unwrap();
    let done = stage.finish(&login).await.unwrap();
    done.user.groups().clone()
}

#[tokio::test]
async fn groups_that_were_left_out_are_read_by_the_hosts_own_resolver() {
    let known = Directory(Some(vec!["admins".to_owned()]));
    let groups = groups_with(Some(known), overage()).await;
    assert_eq!(groups, Groups::Complete(vec!["admins".to_owned()]));
}

#[tokio::test]
async fn groups_that_cannot_be_read_are_not_taken_for_none() {
    assert_eq!(
        groups_with(Some(Directory(None)), overage()).await,
        Groups::Unavailable
    );
    assert_eq!(groups_with(None, overage()).await, Groups::Overage);
}

#[tokio::test]
async fn groups_that_are_there_are_not_read_again() {
    let change = IdTokenChange::new().with_claim("groups", json!(["a", "b"]));
    let groups = groups_with(Some(Directory(None)), change).await;
    assert_eq!(
        groups,
        Groups::Complete(vec!["a".to_owned(), "b".to_owned()])
    );
    let none = groups_with(Some(Directory(None)), IdTokenChange::new()).await;
    assert_eq!(none, Groups::NotEmitted);
}

#[tokio::test]
async fn the_first_login_creates_the_account_and_the_next_one_finds_it() {
    let stage = Stage::new();
    let accounts = Arc::new(MemoryProvisioner::new());
    let login = stage
        .connect(stage.options().with_provisioner(accounts))
        .await;
    let first = stage.finish(&login).await.unwrap().account;
    let Some(Provisioned::Created(account)) = first else {
        panic!("{first:?}");
    };
    let second = stage.finish(&login).await.unwrap().account;
    assert_eq!(second, Some(Provisioned::Updated(account)));
}

#[tokio::test]
async fn a_user_whom_the_product_refuses_is_not_signed_in() {
    let stage = Stage::new();
    let accounts = Arc::new(MemoryProvisioner::new().without_creation());
    let options = stage.options().with_provisioner(accounts);
    let login = stage.connect(options).await;
    let error = stage.finish(&login).await.unwrap_err();
    assert!(matches!(error, Error::AccountRefused { .. }), "{error:?}");
    assert_eq!(error.http_status(), StatusCode::FORBIDDEN);
    let told = "There is no account for you. Ask an administrator for one.";
    assert_eq!(error.user_message(), told);
}

#[tokio::test]
async fn the_groups_of_a_renewed_session_are_read_too() {
    let stage = Stage::new();
    let known = Directory(Some(vec!["admins".to_owned()]));
    let options = stage.options().with_scopes(["offline_access"]);
    let login = stage
        .connect(options.with_group_resolver(Arc::new(known)))
        .await;
    let done = stage.finish(&login).await.unwrap();
    stage.advance(60);
    stage.emulator.forge().next_id_token(overage()).unwrap();
    let renewed = login.refresh(&done.user, &done.tokens, None).await.unwrap();
    assert_eq!(renewed.user.groups().contains("admins"), Some(true));
}

#[tokio::test]
async fn an_account_of_the_same_name_is_never_taken_without_consent() {
    let stage = Stage::new();
    let accounts = Arc::new(MemoryProvisioner::new());
    let before = accounts.add("ada", &stage.user());
    let login = stage
        .connect(stage.options().with_provisioner(accounts.clone()))
        .await;
    let error = stage.finish(&login).await.unwrap_err();
    assert_eq!(error.http_status(), StatusCode::FORBIDDEN);
    let Error::LinkRequired(offer) = error else {
        panic!("{error:?}");
    };
    assert_eq!(offer.account(), &before);
    // Its owner signs in to it as before, and agrees.
    let used = MemoryOneTimeStore::new().with_clock(stage.emulator.clock());
    let consent = LinkConsent::Owner {
        account: offer.account().clone(),
    };
    offer.accept(&*accounts, consent, &used).await.unwrap();
    let done = stage.finish(&login).await.unwrap();
    assert_eq!(done.account, Some(Provisioned::Updated(before)));
}
