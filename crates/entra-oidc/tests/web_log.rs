//! What the log says, and what it never does. A program of its own: which log statements are on is
//! a matter of the whole process.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::panic,
    reason = "what a test cannot do fails it"
)]

#[path = "web/site.rs"]
mod site;
mod stage;

use std::io;
use std::sync::{Arc, Mutex};

use tracing_subscriber::fmt::MakeWriter;

use site::Site;
use stage::changed;

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

#[tokio::test]
async fn the_log_has_the_number_on_the_page_and_no_secret_of_a_login() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(log.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);

    let mut site = Site::with(|options| options.with_scopes(["offline_access"])).await;
    let mut secrets = Vec::new();
    // One login that is refused and one that is not, a renewal, a sign-out.
    let redirect = site.sign_in_elsewhere("/vault").await;
    secrets.extend(values(&redirect.location));
    secrets.extend(cookies(&site));
    let query = changed(&redirect.location, "", &[("iss", "https://evil.example")]);
    let page = site.browser.get(&format!("/signin-oidc?{query}")).await;
    let (_, reference) = page.body.split_once("Reference: ").unwrap();
    let reference = &reference[..12];

    let authorize = site.go_to_provider("/vault").await;
    secrets.extend(values(&authorize));
    let user = site.stage.user();
    let redirect = site.stage.emulator.sign_in_as(&authorize, &user).unwrap();
    secrets.extend(values(&redirect.location));
    site.browser.come_back(&redirect).await;
    secrets.extend(cookies(&site));
    let (_, session) = site.session().await;
    let id_token = session.tokens.unwrap().id_token().unwrap();
    secrets.push(id_token.expose().to_owned());
    assert_eq!(site.browser.get("/renew").await.status.as_u16(), 200);
    secrets.extend(cookies(&site));
    site.browser.post("/logout").await;

    let text = log.text();
    assert!(
        text.contains(&format!("reference=\"{reference}\"")),
        "{text}"
    );
    assert!(secrets.len() > 10);
    for secret in secrets {
        assert!(!text.contains(&secret), "{secret} is in the log");
    }
    for word in ["eyJ", "refresh_token=", "code_verifier", "client_secret="] {
        assert!(!text.contains(word), "{word} is in the log");
    }
}

/// What a URL carries that is nobody else's business.
fn values(url: &url::Url) -> Vec<String> {
    let names = ["state", "nonce", "code", "code_challenge", "login_hint"];
    url.query_pairs()
        .filter(|(name, _)| names.contains(&&**name))
        .map(|(_, value)| value.into_owned())
        .collect()
}

fn cookies(site: &Site) -> Vec<String> {
    let cookies = site.browser.cookies.values();
    cookies.map(|(value, _)| value.clone()).collect()
}
