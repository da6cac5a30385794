//! Sessions, from begin to end.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use entra_emulator::{Fault, FaultRule, IdTokenChange};
use entra_oidc::{
    MemorySessionStore, Session, SessionName, SessionStore, SessionStoreError, Sessions,
};
use time::OffsetDateTime;

use crate::site::{Site, sessions};
use crate::stage::Stage;

#[tokio::test]
async fn a_login_never_takes_over_the_id_that_the_browser_had() {
    let mut site = Site::new().await;
    let planted = "A".repeat(43);
    let cookie = (planted.clone(), false);
    site.browser
        .cookies
        .insert("__Host-entra_session".to_owned(), cookie);
    site.sign_in_at("/vault").await;
    let first = site.browser.session_cookie().unwrap().to_owned();
    assert_ne!(first, planted);

    // Once more: a new one, and the old one has ended.
    let old = site.browser.clone();
    site.sign_in_at("/login").await;
    assert_ne!(site.browser.session_cookie(), Some(first.as_str()));
    assert_ne!(site.me().await, "nobody");
    site.browser = old;
    assert_eq!(site.me().await, "nobody");
}

#[tokio::test]
async fn a_pending_login_is_no_session_and_a_session_no_pending_login() {
    let mut site = Site::new().await;
    let redirect = site.sign_in_elsewhere("/vault").await;
    let (name, pending) = site.browser.cookies.pop_first().unwrap();
    assert!(name.starts_with("__Host-entra_tx_"));
    let session = "__Host-entra_session".to_owned();
    site.browser
        .cookies
        .insert(session.clone(), pending.clone());
    assert_eq!(site.me().await, "nobody");

    site.browser.cookies.clear();
    site.browser.cookies.insert(name.clone(), pending);
    site.browser.come_back(&redirect).await;
    let id = site.browser.cookies.remove(&session).unwrap();
    let redirect = site.sign_in_elsewhere("/vault").await;
    let (name, _) = site.browser.cookies.pop_first().unwrap();
    site.browser.cookies.insert(name, id);
    site.browser.come_back(&redirect).await.is_failure(400);
}

#[tokio::test]
async fn the_name_under_which_a_session_is_kept_is_no_cookie() {
    let mut site = Site::new().await;
    site.sign_in_at("/vault").await;
    let (name, _) = site.session().await;
    let cookie = (name.as_str().to_owned(), false);
    site.browser
        .cookies
        .insert("__Host-entra_session".to_owned(), cookie);
    assert_eq!(site.me().await, "nobody");
}

#[tokio::test]
async fn a_session_ends_an_hour_after_its_last_use_and_after_eight_at_the_latest() {
    let mut site = Site::new().await;
    site.sign_in_at("/vault").await;
    site.stage.advance(3601);
    assert_eq!(site.me().await, "nobody");

    site.sign_in_at("/vault").await;
    for _ in 0..8 {
        assert_ne!(site.me().await, "nobody");
        site.stage.advance(3599);
    }
    // 8 seconds before its end.
    assert_ne!(site.me().await, "nobody");
    site.stage.advance(8);
    assert_eq!(site.me().await, "nobody");
}

#[tokio::test]
async fn a_host_chooses_how_long_sessions_last() {
    let stage = Stage::new();
    let sessions = sessions(&stage)
        .with_lifetime(Duration::from_secs(100))
        .with_idle_time(Duration::from_secs(10));
    let login = stage.login().await;
    let mut site = Site::of_login(stage, login, sessions);
    let back = site.sign_in_at("/vault").await;
    assert!(
        back.set_cookies()
            .iter()
            .any(|cookie| cookie.contains("Max-Age=100;"))
    );
    site.stage.advance(9);
    assert_ne!(site.me().await, "nobody");
    site.stage.advance(10);
    assert_eq!(site.me().await, "nobody");
}

#[tokio::test]
async fn a_full_store_signs_nobody_in_and_ends_no_session() {
    let stage = Stage::new();
    let clock = stage.emulator.clock();
    let store = MemorySessionStore::new().with_capacity(NonZeroUsize::MIN);
    let sessions = Sessions::new(Arc::new(store)).with_clock(clock);
    let login = stage.login().await;
    let mut site = Site::of_login(stage, login, sessions);
    site.sign_in_at("/vault").await;
    let first = site.browser.clone();
    site.browser = crate::site::Browser::of(&site.web);
    site.sign_in_at("/vault").await.is_failure(503);
    assert_eq!(site.me().await, "nobody");
    site.browser = first;
    assert_ne!(site.me().await, "nobody");
    // What has ended makes room.
    site.stage.advance(8 * 3600);
    site.sign_in_at("/vault").await;
    assert_ne!(site.me().await, "nobody");
}

/// A store that does not answer, once it is told so.
#[derive(Debug, Default)]
struct Broken {
    store: MemorySessionStore,
    is_broken: AtomicBool,
}

impl Broken {
    fn check(&self) -> Result<(), SessionStoreError> {
        if self.is_broken.load(Ordering::Relaxed) {
            return Err(SessionStoreError::Unavailable("gone".into()));
        }
        Ok(())
    }
}

#[async_trait]
impl SessionStore for Broken {
    async fn insert(
        &self,
        name: &SessionName,
        session: Session,
        now: OffsetDateTime,
    ) -> Result<(), SessionStoreError> {
        self.check()?;
        self.store.insert(name, session, now).await
    }

    async fn load(&self, name: &SessionName) -> Result<Option<Session>, SessionStoreError> {
        self.check()?;
        self.store.load(name).await
    }

    async fn touch(
        &self,
        name: &SessionName,
        idle_until: OffsetDateTime,
        now: OffsetDateTime,
    ) -> Result<(), SessionStoreError> {
        self.check()?;
        self.store.touch(name, idle_until, now).await
    }

    async fn replace(
        &self,
        old: &SessionName,
        new: (&SessionName, Session),
        now: OffsetDateTime,
    ) -> Result<bool, SessionStoreError> {
        self.check()?;
        self.store.replace(old, new, now).await
    }

    async fn remove(&self, name: &SessionName) -> Result<Option<Session>, SessionStoreError> {
        self.check()?;
        self.store.remove(name).await
    }
}

#[tokio::test]
async fn while_the_sessions_do_not_answer_nobody_is_signed_in_or_out() {
    let stage = Stage::new();
    let store = Arc::new(Broken::default());
    let sessions = Sessions::new(store.clone()).with_clock(stage.emulator.clock());
    let login = stage.login().await;
    let mut site = Site::of_login(stage, login, sessions);
    assert_eq!(site.browser.get("/maybe").await.body, "nobody");
    site.sign_in_at("/vault").await;
    assert_eq!(site.browser.get("/maybe").await.body, "somebody");

    store.is_broken.store(true, Ordering::Relaxed);
    for path in ["/vault", "/maybe", "/payroll", "/login?auth_context=c1"] {
        site.browser.get(path).await.is_failure(503);
    }
    site.browser.post("/logout").await.is_failure(503);
    assert_eq!(site.me().await, "nobody");
    let cookie = site.browser.cookies.clone();
    let redirect = site.sign_in_elsewhere("/login").await;
    site.browser.come_back(&redirect).await.is_failure(503);

    store.is_broken.store(false, Ordering::Relaxed);
    site.browser.cookies = cookie;
    assert_eq!(site.browser.get("/maybe").await.body, "somebody");
}

#[tokio::test]
async fn a_renewed_session_goes_on_under_a_new_id_with_the_roles_of_now() {
    let mut site = Site::with(|options| options.with_scopes(["offline_access"])).await;
    site.sign_in_at("/vault").await;
    let before = site.browser.clone();
    site.stage.advance(600);
    let change = IdTokenChange::new().with_claim("roles", serde_json::json!(["Auditor"]));
    site.stage.emulator.forge().next_id_token(change).unwrap();
    let answer = site.browser.get("/renew").await;
    assert_eq!(
        (answer.status.as_u16(), answer.body.as_str()),
        (200, "Auditor")
    );
    assert_ne!(site.browser.session_cookie(), before.session_cookie());
    assert_ne!(site.me().await, "nobody");
    let renewed = std::mem::replace(&mut site.browser, before);
    assert_eq!(site.me().await, "nobody");
    // Its absolute end stays where it was.
    site.browser = renewed;
    for _ in 0..13 {
        site.stage.advance(2100);
        site.me().await;
    }
    site.stage.advance(900);
    assert_eq!(site.me().await, "nobody");
}

#[tokio::test]
async fn a_user_whom_the_provider_does_not_know_any_more_is_signed_out() {
    let mut site = Site::with(|options| options.with_scopes(["offline_access"])).await;
    site.sign_in_at("/vault").await;
    // «The provided grant has expired due to it being revoked»: a password reset, for example.
    let revoked = FaultRule::new("*/token", Fault::Aadsts(50173));
    site.stage.emulator.faults().inject(revoked).unwrap();
    let answer = site.browser.get("/renew").await;
    assert!(answer.location().contains("/oauth2/v2.0/authorize?"));
    assert_eq!(site.me().await, "nobody");
}

#[tokio::test]
async fn a_session_without_tokens_is_renewed_by_a_login() {
    let stage = Stage::new();
    let login = stage.login().await;
    let sessions = sessions(&stage);
    let mut site = Site::of_login(stage, login, sessions);
    site.sign_in_at("/vault").await;
    let answer = site.browser.get("/renew").await;
    assert!(answer.location().contains("/oauth2/v2.0/authorize?"));
    assert_ne!(site.me().await, "nobody");
}
