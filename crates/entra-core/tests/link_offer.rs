//! Offers to link an account: who may accept them, for how long, and how often.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails"
)]

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use entra_core::{
    AccountId, Clock as _, Groups, KeyRing, LinkConsent, LinkOffer, LinkOfferError,
    MemoryOneTimeStore, MemoryProvisioner, MovableClock, OneTimeError, OneTimeKey, OneTimeStore,
    Provisioned, ProvisionerError, SealError, SealedLinkOffer, SealingKey, Secret, UserProfile,
    UserProvisioner,
};
use time::OffsetDateTime;
use time::macros::datetime;

const NOON: OffsetDateTime = datetime!(2026-01-01 12:00 UTC);
const ANN: &str = "9b3c2a10-0d5f-4f2e-9c55-5a0f3a3d7d11/5f2c7a4e-93d1-4d6e-a9a2-0d7c5b1e8f60";

#[tokio::test]
async fn an_offer_is_kept_in_a_cookie_shown_and_accepted() {
    let host = Host::new();
    let cookie = host.offer().await.to_base64url();
    let sealed = SealedLinkOffer::from_base64url(&cookie).unwrap();
    let offer = LinkOffer::open(&host.keys, &sealed, NOON).unwrap();
    assert_eq!(offer.user(), &ann());
    assert_eq!(offer.account(), &host.account);
    assert_eq!(offer.expires_on(), datetime!(2026-01-01 12:10 UTC));

    let linked = offer.accept(&host.accounts, host.owner(), &host.used).await;
    assert_eq!(linked.unwrap(), Provisioned::Updated(host.account.clone()));
    let row = host.accounts.account(&host.account).unwrap();
    assert_eq!(row.profile, Some(ann()));
    assert_eq!(row.linked_by, Some(host.owner()));
    assert!(
        cookie
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    );
}

#[tokio::test]
async fn an_offer_is_accepted_once() {
    let host = Host::new();
    let sealed = host.offer().await;
    let [first, second] = [(); 2].map(|()| LinkOffer::open(&host.keys, &sealed, NOON).unwrap());
    first
        .accept(&host.accounts, host.owner(), &host.used)
        .await
        .unwrap();
    let again = second
        .accept(&host.accounts, host.owner(), &host.used)
        .await;
    assert!(matches!(again, Err(LinkOfferError::Used)), "{again:?}");
}

#[tokio::test]
async fn two_offers_of_the_same_are_not_one() {
    let host = Host::new();
    for _ in 0..2 {
        let offer = LinkOffer::new(ann(), host.account.clone(), NOON).unwrap();
        let linked = offer.accept(&host.accounts, host.owner(), &host.used).await;
        assert_eq!(linked.unwrap().account(), Some(&host.account));
    }
}

#[tokio::test]
async fn an_offer_ends_after_ten_minutes() {
    let host = Host::new();
    let sealed = host.offer().await;
    let end = datetime!(2026-01-01 12:10 UTC);
    let opened = LinkOffer::open(&host.keys, &sealed, end - Duration::from_millis(1));
    let late = LinkOffer::open(&host.keys, &sealed, end);
    assert!(
        matches!(late, Err(LinkOfferError::Expired { expires_on }) if expires_on == end),
        "{late:?}"
    );

    // It was shown in time, and the owner took too long.
    host.clock.advance(Duration::from_secs(600));
    let late = opened
        .unwrap()
        .accept(&host.accounts, host.owner(), &host.used)
        .await;
    assert!(
        matches!(late, Err(LinkOfferError::Expired { expires_on }) if expires_on == end),
        "{late:?}"
    );
    assert_eq!(host.accounts.account(&host.account).unwrap().key, None);
}

#[tokio::test]
async fn an_offer_to_an_administrator_lasts_as_long_as_the_product_says() {
    let host = Host::new();
    let end = NOON + time::Duration::days(3);
    let offer = LinkOffer::new(ann(), host.account.clone(), NOON).unwrap();
    let sealed = offer.with_expiry(end).seal(&host.keys).unwrap();
    let offer = LinkOffer::open(&host.keys, &sealed, end - Duration::from_secs(1)).unwrap();
    let consent = LinkConsent::Administrator {
        name: "root".to_owned(),
    };
    let linked = offer.accept(&host.accounts, consent, &host.used).await;
    assert_eq!(linked.unwrap().account(), Some(&host.account));
}

#[tokio::test]
async fn the_owner_of_another_account_does_not_use_it_up() {
    let host = Host::new();
    let sealed = host.offer().await;
    let other = host.accounts.add("bob", "bob@contoso.example");
    let offer = LinkOffer::open(&host.keys, &sealed, NOON).unwrap();
    let consent = LinkConsent::Owner { account: other };
    let refused = offer.accept(&host.accounts, consent, &host.used).await;
    assert!(
        matches!(refused, Err(LinkOfferError::OtherAccount)),
        "{refused:?}"
    );
    let offer = LinkOffer::open(&host.keys, &sealed, NOON).unwrap();
    let linked = offer.accept(&host.accounts, host.owner(), &host.used).await;
    assert_eq!(linked.unwrap().account(), Some(&host.account));
}

#[tokio::test]
async fn what_the_product_refuses_is_passed_on() {
    let host = Host::new();
    let sealed = host.offer().await;
    host.accounts.set_locked(&host.account, true);
    let offer = LinkOffer::open(&host.keys, &sealed, NOON).unwrap();
    let answer = offer.accept(&host.accounts, host.owner(), &host.used).await;
    assert!(
        matches!(answer, Ok(Provisioned::Refused { .. })),
        "{answer:?}"
    );
}

#[tokio::test]
async fn a_store_that_does_not_answer_refuses() {
    let host = Host::new();
    let offer = LinkOffer::new(ann(), host.account.clone(), NOON).unwrap();
    let refused = offer.accept(&host.accounts, host.owner(), &Down).await;
    assert!(
        matches!(
            refused,
            Err(LinkOfferError::Store(OneTimeError::Unavailable(_)))
        ),
        "{refused:?}"
    );
    assert_eq!(host.accounts.account(&host.account).unwrap().key, None);
}

#[tokio::test]
async fn an_offer_whose_linking_failed_is_used_up() {
    let host = Host::new();
    let sealed = host.offer().await;
    let open = || LinkOffer::open(&host.keys, &sealed, NOON).unwrap();
    let failed = open().accept(&Down, host.owner(), &host.used).await;
    assert!(
        matches!(failed, Err(LinkOfferError::Accounts(_))),
        "{failed:?}"
    );
    let again = open()
        .accept(&host.accounts, host.owner(), &host.used)
        .await;
    assert!(matches!(again, Err(LinkOfferError::Used)), "{again:?}");
}

#[tokio::test]
async fn what_was_not_sealed_as_an_offer_is_refused() {
    let host = Host::new();
    let sealed = host.offer().await;
    let open = |bytes: &[u8]| {
        let sealed = SealedLinkOffer::from_bytes(bytes);
        match LinkOffer::open(&host.keys, &sealed, NOON).unwrap_err() {
            LinkOfferError::Sealed(error) => error,
            error => panic!("{error:?}"),
        }
    };
    assert_eq!(open(b""), SealError::NotSealed);
    for position in 0..sealed.as_bytes().len() {
        let mut changed = sealed.as_bytes().to_vec();
        changed[position] ^= 1;
        open(&changed);
    }
    // Another cookie of the same product is no offer.
    let json = Secret::new("{}");
    let pending = host.keys.seal("pending login", b"", &json).unwrap();
    assert_eq!(open(&pending), SealError::Refused);
    let stranger = KeyRing::new(SealingKey::generate());
    let offer = LinkOffer::new(ann(), host.account.clone(), NOON).unwrap();
    let sealed = offer.seal(&stranger).unwrap();
    assert_eq!(open(sealed.as_bytes()), SealError::UnknownKey);
    for text in ["", "a b", "+/+/", "AAAA="] {
        let read = SealedLinkOffer::from_base64url(text);
        assert!(
            text.is_empty() || read == Err(SealError::NotSealed),
            "{text}"
        );
    }
}

#[tokio::test]
async fn an_offer_of_another_version_is_refused() {
    let host = Host::new();
    for json in ["{}", r#"{"version":2}"#, "[]"] {
        let sealed = host.keys.seal("link offer", b"", &Secret::new(json));
        let sealed = SealedLinkOffer::from_bytes(sealed.unwrap());
        let refused = LinkOffer::open(&host.keys, &sealed, NOON);
        assert!(
            matches!(refused, Err(LinkOfferError::Unreadable)),
            "{json}: {refused:?}"
        );
    }
}

#[tokio::test]
async fn an_offer_outlives_a_rotation_of_the_keys() {
    let old = SealingKey::generate();
    let offer = LinkOffer::new(ann(), AccountId::new("7"), NOON).unwrap();
    let sealed = offer.seal(&KeyRing::new(old.clone())).unwrap();
    let rotated = KeyRing::new(SealingKey::generate()).with_previous(old);
    let opened = LinkOffer::open(&rotated, &sealed, NOON).unwrap();
    assert_eq!(opened.user(), offer.user());
    assert_eq!(opened, offer);
}

#[tokio::test]
async fn debug_shows_neither_name_nor_address() {
    let offer = LinkOffer::new(ann(), AccountId::new("7"), NOON).unwrap();
    let sealed = offer.seal(&KeyRing::new(SealingKey::generate())).unwrap();
    let shown = format!("{offer:?} {sealed:?}");
    assert!(shown.contains("5f2c7a4e-93d1"), "{shown}");
    assert!(!shown.contains("Ann") && !shown.contains('@'), "{shown}");
}

fn ann() -> UserProfile {
    let mut user = UserProfile::new(ANN.parse().unwrap(), "contoso");
    user.display_name = Some("Ann Example".to_owned());
    user.user_name = Some("ann@contoso.example".to_owned());
    user.verified_email = Some("ann@contoso.example".to_owned());
    user.is_guest = Some(false);
    user.roles = vec!["Reader".to_owned()];
    user.groups = Groups::Complete(vec!["staff".to_owned()]);
    user.attributes
        .insert("department".to_owned(), vec!["R&D".to_owned()]);
    user
}

struct Host {
    accounts: MemoryProvisioner,
    account: AccountId,
    keys: KeyRing,
    clock: Arc<MovableClock>,
    used: MemoryOneTimeStore,
}

impl Host {
    fn new() -> Self {
        let accounts = MemoryProvisioner::new();
        let account = accounts.add("ann", "ann@contoso.example");
        let clock = Arc::new(MovableClock::frozen_at(NOON));
        Self {
            accounts,
            account,
            keys: KeyRing::new(SealingKey::generate()),
            used: MemoryOneTimeStore::new().with_clock(clock.clone()),
            clock,
        }
    }

    /// What a sign-in leads to.
    async fn offer(&self) -> SealedLinkOffer {
        let answer = self.accounts.provision(&ann()).await.unwrap();
        let Provisioned::LinkRequired(account) = answer else {
            panic!("{answer:?}");
        };
        let offer = LinkOffer::new(ann(), account, self.clock.now()).unwrap();
        offer.seal(&self.keys).unwrap()
    }

    fn owner(&self) -> LinkConsent {
        LinkConsent::Owner {
            account: self.account.clone(),
        }
    }
}

/// A database that does not answer.
#[derive(Debug)]
struct Down;

#[async_trait]
impl OneTimeStore for Down {
    async fn insert_once(
        &self,
        _key: &OneTimeKey,
        _expires_on: OffsetDateTime,
    ) -> Result<bool, OneTimeError> {
        Err(OneTimeError::Unavailable("down".into()))
    }
}

#[async_trait]
impl UserProvisioner for Down {
    async fn provision(&self, _user: &UserProfile) -> Result<Provisioned, ProvisionerError> {
        Err(ProvisionerError::new("down"))
    }

    async fn link(
        &self,
        _user: &UserProfile,
        _account: &AccountId,
        _consent: &LinkConsent,
    ) -> Result<Provisioned, ProvisionerError> {
        Err(ProvisionerError::new("down"))
    }
}
