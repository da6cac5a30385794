//! The connection test of a login.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    reason = "what a test cannot do fails it"
)]

mod stage;

use entra_core::{Finding, Outcome};
use entra_oidc::{EntraLogin, RedirectUri};
use stage::Stage;

async fn findings(login: &EntraLogin) -> Vec<Finding> {
    let mut findings = Vec::new();
    for probe in login.doctor() {
        findings.push(probe.run().await);
    }
    findings
}

fn outcomes(findings: &[Finding]) -> Vec<(&str, Outcome)> {
    findings
        .iter()
        .map(|finding| (&*finding.check, finding.outcome))
        .collect()
}

#[tokio::test]
async fn a_login_that_works_passes() {
    let stage = Stage::new();
    let login = stage.login().await;
    assert_eq!(
        outcomes(&findings(&login).await),
        [
            ("login: configuration", Outcome::Passed),
            ("login: keys", Outcome::Passed),
            ("login: redirect URI", Outcome::Passed),
            ("login: credential", Outcome::Passed),
        ]
    );
}

#[tokio::test]
async fn a_redirect_uri_that_is_not_registered_is_found_before_a_user_finds_it() {
    let stage = Stage::new();
    let uri = RedirectUri::web("https://localhost/other").unwrap();
    let login = stage.login().await.with_redirect_uri(uri).unwrap();
    let findings = findings(&login).await;
    let finding = &findings[2];
    assert_eq!(finding.outcome, Outcome::Failed);
    assert_eq!(
        finding.detail,
        "https://localhost/other is not registered for the application"
    );
    let remedy = "add it under Authentication, on the platform Web, letter by letter";
    assert_eq!(finding.remedy.as_deref(), Some(remedy));
}

#[tokio::test]
async fn a_secret_that_is_not_accepted_is_found() {
    let stage = Stage::new();
    let secret = entra_core::ClientSecret::parse("Ab8Q~wrong").unwrap();
    let options = stage
        .options()
        .with_credential(entra_core::ClientCredential::secret(secret));
    let login = stage.connect(options.unwrap()).await;
    let findings = findings(&login).await;
    assert_eq!(findings[3].outcome, Outcome::Failed);
    assert!(!findings[3].to_string().contains("Ab8Q"));
}

#[tokio::test]
async fn a_provider_that_has_become_another_one_is_found() {
    let stage = Stage::new();
    let login = stage.login().await;
    stage
        .between
        .change_json("openid-configuration", |document| {
            document["issuer"] = "https://evil.example".into();
        });
    let findings = findings(&login).await;
    assert_eq!(findings[0].outcome, Outcome::Failed);
    assert_eq!(findings[1].outcome, Outcome::Passed);
}
