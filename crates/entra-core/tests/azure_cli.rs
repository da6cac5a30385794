//! The Azure CLI as a token credential, with scripts in its place.

#![cfg(all(feature = "azure-cli", unix))]
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails"
)]

mod scripted;

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use entra_core::{
    AzureCli, AzureCliError, Clock as _, Error, SystemClock, TokenRequest, error_chain,
};
use scripted::app::{SECOND, frozen, graph, request, tenant, text};

const TOKEN: &str = r#"echo '{"accessToken":"t1","expires_on":1767229200,"expiresOn":"2026-01-01 02:00:00.000000","tokenType":"Bearer"}'"#;

#[tokio::test]
async fn the_program_is_asked_once_for_the_scope_and_its_token_kept() {
    let az = Script::new("once", &format!("echo \"$@\" >> \"$0.calls\"\n{TOKEN}"));
    let cli = az.cli();
    for _ in 0..2 {
        let token = cli.token(&graph()).await.unwrap();
        assert_eq!(text(&token), "t1");
        assert_eq!(token.expires_on().unix_timestamp(), 1_767_229_200);
    }
    assert_eq!(
        az.calls(),
        "account get-access-token --output json --scope https://graph.microsoft.com/.default\n"
    );
}

#[tokio::test]
async fn the_tenant_is_handed_on() {
    let az = Script::new("tenant", &format!("echo \"$@\" >> \"$0.calls\"\n{TOKEN}"));
    let cli = az.cli().with_tenant(tenant("contoso.onmicrosoft.com"));
    cli.token(&graph()).await.unwrap();
    assert!(az.calls().ends_with(" --tenant contoso.onmicrosoft.com\n"));
}

#[tokio::test]
async fn what_must_not_reach_the_command_line_starts_no_program() {
    let az = Script::new("refused", "touch \"$0.calls\"");
    for refused in [
        request("--query"),
        request("api://a;b/.default"),
        TokenRequest::new(["a", "b"]),
        graph().in_tenant(tenant("other.example")),
    ] {
        let error = az.cli().token(&refused).await.unwrap_err();
        assert!(matches!(error, Error::InvalidRequest(_)), "{error:?}");
    }
    let error = az
        .cli()
        .token(&graph().with_claims("{}"))
        .await
        .unwrap_err();
    assert!(matches!(reason(&error), AzureCliError::ClaimsChallenge));
    assert!(!az.calls_file().exists());
}

#[tokio::test]
async fn a_program_that_is_not_there_is_not_available() {
    let cli = AzureCli::new()
        .with_program("/nonexistent/az")
        .with_clock(frozen());
    let error = cli.token(&graph()).await.unwrap_err();
    assert!(matches!(
        error,
        Error::NotAvailable {
            credential: "Azure CLI",
            ..
        }
    ));
    assert!(matches!(reason(&error), AzureCliError::NotInstalled));
    assert!(error.admin_hint().contains("Install the Azure CLI"));
}

#[tokio::test]
async fn where_nobody_is_signed_in_it_is_not_available() {
    let script = "echo \"ERROR: Please run 'az login' to setup account.\" >&2; exit 1";
    let error = Script::new("login", script)
        .cli()
        .token(&graph())
        .await
        .unwrap_err();
    assert!(matches!(error, Error::NotAvailable { .. }), "{error:?}");
    assert_eq!(error.admin_hint(), "Sign in with: az login");
}

#[tokio::test]
async fn a_refusal_of_the_sign_in_service_is_a_failure() {
    let script = "echo 'ERROR: AADSTS50076: Use multi-factor authentication.' >&2; \
                  echo 'Interactive authentication is needed. Please run: az login' >&2; exit 1";
    let error = Script::new("mfa", script)
        .cli()
        .token(&graph())
        .await
        .unwrap_err();
    assert_eq!(
        error_chain(&error),
        "the host's own credential failed: the Azure CLI failed: AADSTS50076: Use multi-factor \
         authentication."
    );
}

#[tokio::test]
async fn an_answer_that_is_no_token_is_told_and_not_repeated() {
    for answer in ["s3cr3t", "{}", r#"{"accessToken":"s3cr3t"}"#] {
        let az = Script::new("answer", &format!("echo '{answer}'"));
        let error = az.cli().token(&graph()).await.unwrap_err();
        assert!(
            matches!(reason(&error), AzureCliError::Unreadable),
            "{answer}"
        );
        assert!(!format!("{error:?}{}", error_chain(&error)).contains("s3cr3t"));
    }
}

#[tokio::test]
async fn a_program_that_does_not_end_is_ended() {
    // The clock stands still for nobody who sleeps on it, so the time is over at once.
    let az = Script::new("hangs", "exec sleep 600");
    let cli = AzureCli::new().with_program(&az.0).with_clock(frozen());
    let error = cli.token(&graph()).await.unwrap_err();
    assert!(matches!(reason(&error), AzureCliError::TimedOut(limit) if limit.as_secs() == 10));
}

/// `AZ` names another program than the one on the path, `AZ_SCOPE` another scope than Graph's: the
/// Azure CLI may be signed in to a local tenant.
#[tokio::test]
#[ignore = "needs the Azure CLI with an account that is signed in"]
#[expect(clippy::disallowed_methods, reason = "a test may read the environment")]
async fn the_real_program_yields_a_token_that_ends() {
    let program = std::env::var("AZ").unwrap_or_else(|_| "az".to_owned());
    let wanted = std::env::var("AZ_SCOPE").map_or_else(|_| graph(), |scope| request(&scope));
    let cli = AzureCli::new()
        .with_program(program)
        .with_time_limit(60 * SECOND);
    let token = cli.token(&wanted).await.unwrap();
    assert_eq!(text(&token).split('.').count(), 3);
    assert!(token.expires_on() > SystemClock.now() + time::Duration::minutes(5));
}

fn reason(error: &Error) -> &AzureCliError {
    match error {
        Error::Credential(source) | Error::NotAvailable { source, .. } => {
            source.downcast_ref().unwrap()
        }
        other => panic!("{other:?}"),
    }
}

/// A shell script in the place of `az`, gone with the test.
///
/// There is one at a time: a program that another test starts while a script is written keeps the
/// script open for a moment, and an open file cannot be started.
struct Script(
    PathBuf,
    #[expect(dead_code, reason = "held")] MutexGuard<'static, ()>,
);

impl Script {
    fn new(name: &str, body: &str) -> Self {
        static ONE: Mutex<()> = Mutex::new(());
        let one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let file = format!("entra-core-az-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(file);
        std::fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
        Self(path, one)
    }

    /// By a clock that waits for the program however long it takes.
    fn cli(&self) -> AzureCli {
        AzureCli::new()
            .with_program(&self.0)
            .with_clock(Arc::new(Patient(frozen())))
    }

    fn calls_file(&self) -> PathBuf {
        self.0.with_extension("calls")
    }

    fn calls(&self) -> String {
        std::fs::read_to_string(self.calls_file()).unwrap()
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
        let _ = std::fs::remove_file(self.calls_file());
    }
}

/// A clock that stands still, on which a sleep never ends.
#[derive(Debug)]
struct Patient(Arc<entra_core::MovableClock>);

#[async_trait::async_trait]
impl entra_core::Clock for Patient {
    fn now(&self) -> time::OffsetDateTime {
        self.0.now()
    }

    fn monotonic(&self) -> std::time::Duration {
        self.0.monotonic()
    }

    async fn sleep(&self, _duration: std::time::Duration) {
        std::future::pending().await
    }
}
