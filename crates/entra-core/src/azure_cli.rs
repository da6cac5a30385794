//! Tokens of whoever signed in to the Azure CLI: for a developer's machine.

use std::ffi::OsString;
use std::io;
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::{Either, select};
use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::process::Command;

use crate::cached_tokens::{CachedTokens, TokenSource};
use crate::token::TokenData;
use crate::token_endpoint::{Effort, optional_seconds};
use crate::workload_identity::end_of;
use crate::{
    AccessToken, Clock, Error, Secret, SystemClock, Tenant, TokenCredential, TokenRequest,
};

/// Yields tokens of the account that is signed in to the Azure CLI, by `az account
/// get-access-token` (Microsoft Learn, "az account").
///
/// It is for a developer's machine: it starts a program, and acts as a person. A clone is cheap and
/// shares the cache.
///
/// ```
/// use entra_core::{AzureCli, CredentialChain, Tenant};
///
/// let cli = AzureCli::new().with_tenant(Tenant::parse("contoso.onmicrosoft.com")?);
/// let chain = CredentialChain::new().or(cli);
/// # Ok::<(), entra_core::IdError>(())
/// ```
#[derive(Clone, Debug)]
pub struct AzureCli {
    tokens: Arc<CachedTokens<CliSource>>,
}

impl AzureCli {
    /// The `az` that is found on the path, with the account and the tenant that it is signed in to.
    pub fn new() -> Self {
        Self::assemble(CliSource {
            program: PROGRAM.into(),
            tenant: None,
            time_limit: TIME_LIMIT,
            clock: Arc::new(SystemClock),
        })
    }

    /// Starts this program instead of the one on the path.
    #[must_use]
    pub fn with_program(self, program: impl Into<OsString>) -> Self {
        self.with(|source| source.program = program.into())
    }

    /// Asks for tokens of this tenant.
    #[must_use]
    pub fn with_tenant(self, tenant: Tenant) -> Self {
        self.with(|source| source.tenant = Some(tenant))
    }

    /// Waits this long for the program; ten seconds by default, since its start alone takes one or
    /// two.
    #[must_use]
    pub fn with_time_limit(self, limit: Duration) -> Self {
        self.with(|source| source.time_limit = limit)
    }

    /// Takes the time from this clock.
    #[must_use]
    pub fn with_clock(self, clock: Arc<dyn Clock>) -> Self {
        self.with(|source| source.clock = clock)
    }

    /// A token for this request, from the cache or from the program.
    pub async fn token(&self, request: &TokenRequest) -> Result<AccessToken, Error> {
        self.tokens.token(request).await
    }

    fn with(self, change: impl FnOnce(&mut CliSource)) -> Self {
        let mut source = self.tokens.source().clone();
        change(&mut source);
        Self::assemble(source)
    }

    fn assemble(source: CliSource) -> Self {
        Self {
            tokens: Arc::new(CachedTokens::new(source, CAPACITY, None)),
        }
    }
}

impl Default for AzureCli {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl TokenCredential for AzureCli {
    async fn token(&self, request: &TokenRequest) -> Result<AccessToken, Error> {
        Self::token(self, request).await
    }

    fn invalidate(&self, request: &TokenRequest, token: &AccessToken) {
        self.tokens.invalidate(request, token);
    }
}

/// Why the Azure CLI yields no token.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AzureCliError {
    /// There is no such program.
    #[error("the Azure CLI is not installed")]
    NotInstalled,
    /// Nobody is signed in.
    #[error("nobody is signed in to the Azure CLI")]
    NotSignedIn,
    /// It did not answer in time, and was ended.
    #[error("the Azure CLI did not answer within {} s", .0.as_secs())]
    TimedOut(Duration),
    /// It could not be started.
    #[error("the Azure CLI could not be started")]
    Start(#[source] io::Error),
    /// It refused, for a reason of its own or of the sign-in service.
    #[error("the Azure CLI failed: {0}")]
    Failed(String),
    /// Its answer is not a token.
    #[error("the answer of the Azure CLI cannot be read")]
    Unreadable,
    /// A claims challenge cannot be answered without the person.
    #[error("the Azure CLI cannot answer a claims challenge")]
    ClaimsChallenge,
}

impl AzureCliError {
    /// What its user can do about it.
    pub fn admin_hint(&self) -> &'static str {
        match self {
            Self::NotInstalled | Self::Start(_) => {
                "Install the Azure CLI, or name the path of its program."
            }
            Self::NotSignedIn => "Sign in with: az login",
            Self::TimedOut(_) => "Try az account get-access-token by hand, and see where it waits.",
            Self::Failed(_) => "Sign in again with: az login",
            Self::Unreadable => "Update the Azure CLI with: az upgrade",
            Self::ClaimsChallenge => "Sign in again with: az logout, then az login",
        }
    }
}

impl From<AzureCliError> for Error {
    fn from(error: AzureCliError) -> Self {
        match error {
            AzureCliError::NotInstalled | AzureCliError::NotSignedIn => Self::NotAvailable {
                credential: "Azure CLI",
                source: Arc::new(error),
            },
            _ => Self::Credential(Arc::new(error)),
        }
    }
}

/// The program and how to call it.
#[derive(Clone, Debug)]
struct CliSource {
    program: OsString,
    tenant: Option<Tenant>,
    time_limit: Duration,
    clock: Arc<dyn Clock>,
}

impl TokenSource for CliSource {
    fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    async fn fetch(&self, request: &TokenRequest, _effort: Effort) -> Result<TokenData, Error> {
        if request.claims().is_some() {
            return Err(AzureCliError::ClaimsChallenge.into());
        }
        let command = self.command(request)?;
        let started = self.clock.now();
        let output = self.run(command).await?;
        if !output.status.success() {
            return Err(failure(&String::from_utf8_lossy(&output.stderr)).into());
        }
        match read(&output.stdout) {
            Some(data) => Ok(data.issued_at(started)),
            None => Err(AzureCliError::Unreadable.into()),
        }
    }
}

impl CliSource {
    fn command(&self, request: &TokenRequest) -> Result<Command, Error> {
        let tenant = match (request.tenant(), &self.tenant) {
            (Some(wanted), own) if own.as_ref() != Some(wanted) => {
                return Err(Error::InvalidRequest(
                    "the Azure CLI is asked in the tenant that it was set up with",
                ));
            }
            (_, own) => own.as_ref().map(Tenant::to_string),
        };
        let mut command = Command::new(&self.program);
        command
            .args(["account", "get-access-token", "--output", "json", "--scope"])
            .arg(argument(request.scope())?)
            .env("AZURE_CORE_NO_COLOR", "true")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        if let Some(tenant) = tenant {
            command.arg("--tenant").arg(argument(&tenant)?);
        }
        Ok(command)
    }

    /// Runs it until it ends or the time is over, which ends it.
    async fn run(&self, mut command: Command) -> Result<Output, AzureCliError> {
        let child = command.spawn().map_err(start_error)?;
        let output = Box::pin(child.wait_with_output());
        match select(output, self.clock.sleep(self.time_limit)).await {
            Either::Left((output, _)) => output.map_err(start_error),
            Either::Right(_) => Err(AzureCliError::TimedOut(self.time_limit)),
        }
    }
}

/// `az` has no part in a shell here, but on Windows it is a script, and everywhere it reads
/// options.
fn argument(text: &str) -> Result<&str, Error> {
    let is_plain = !text.is_empty()
        && !text.starts_with('-')
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b".:/_-".contains(&byte));
    is_plain.then_some(text).ok_or(Error::InvalidRequest(
        "the Azure CLI takes one scope of letters, digits and . : / _ -",
    ))
}

fn start_error(error: io::Error) -> AzureCliError {
    match error.kind() {
        io::ErrorKind::NotFound => AzureCliError::NotInstalled,
        _ => AzureCliError::Start(error),
    }
}

/// What the program says where it fails. A refusal of the sign-in service names `az login` as
/// well, and is no missing sign-in.
fn failure(stderr: &str) -> AzureCliError {
    if stderr.contains("az login") && !stderr.contains("AADSTS") {
        return AzureCliError::NotSignedIn;
    }
    let message = stderr
        .lines()
        .find_map(|line| line.strip_prefix("ERROR: "))
        .or_else(|| stderr.lines().rfind(|line| !line.trim().is_empty()))
        .unwrap_or("it said nothing");
    AzureCliError::Failed(message.trim().chars().take(LONGEST_MESSAGE).collect())
}

fn read(stdout: &[u8]) -> Option<TokenData> {
    let answer: CliToken = serde_json::from_slice(stdout).ok()?;
    let end = answer.end()?;
    TokenData::new(answer.access_token.expose(), end, None).ok()
}

#[derive(Deserialize)]
struct CliToken {
    #[serde(rename = "accessToken")]
    access_token: Secret,
    /// In Unix seconds; since version 2.54.
    #[serde(default, deserialize_with = "optional_seconds")]
    expires_on: Option<u64>,
    /// In local time without a zone, but for Cloud Shell, which writes one.
    #[serde(rename = "expiresOn")]
    expires_on_text: Option<String>,
}

impl CliToken {
    /// A local time without its zone is of no use; the token itself says it too.
    fn end(&self) -> Option<OffsetDateTime> {
        if let Some(text) = &self.expires_on_text
            && self.expires_on.is_none()
            && let Ok(end) = OffsetDateTime::parse(text, &Rfc3339)
        {
            return Some(end);
        }
        let seconds = self
            .expires_on
            .and_then(|seconds| i64::try_from(seconds).ok());
        let seconds = seconds.or_else(|| end_of(&self.access_token))?;
        OffsetDateTime::from_unix_timestamp(seconds).ok()
    }
}

/// On Windows it is a script, whose arguments the standard library quotes.
const PROGRAM: &str = if cfg!(windows) { "az.cmd" } else { "az" };
const TIME_LIMIT: Duration = Duration::from_secs(10);
const CAPACITY: usize = 1000;
/// In characters.
const LONGEST_MESSAGE: usize = 500;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_reaches_the_command_line_is_a_plain_word() {
        for accepted in [
            "https://graph.microsoft.com/.default",
            "api://11111111-2222-4333-8444-555555555555/.default",
            "contoso.onmicrosoft.com",
        ] {
            assert_eq!(argument(accepted).unwrap(), accepted);
        }
        for refused in [
            "", "a b", "-x", "--query", "a&b", "a\"b", "a;b", "%PATH%", "a\nb", "$(x)",
        ] {
            assert!(argument(refused).is_err(), "{refused}");
        }
    }

    #[test]
    fn a_missing_sign_in_is_told_from_a_refusal() {
        assert!(matches!(
            failure("ERROR: Please run 'az login' to setup account.\n"),
            AzureCliError::NotSignedIn
        ));
        let refusal = "WARNING: x\nERROR: AADSTS700082: The refresh token has expired.\n\
                       To re-authenticate, please run: az login\n";
        assert!(matches!(
            failure(refusal),
            AzureCliError::Failed(message) if message == "AADSTS700082: The refresh token has expired."
        ));
        assert!(
            matches!(failure(""), AzureCliError::Failed(message) if message == "it said nothing")
        );
    }

    #[test]
    fn the_end_of_a_token_is_read_in_every_form_that_has_a_zone() {
        let end = |json: &str| {
            let token: CliToken = serde_json::from_str(json).unwrap();
            token.end().map(OffsetDateTime::unix_timestamp)
        };
        // {"exp":1767229000}
        let jwt = "e30.eyJleHAiOjE3NjcyMjkwMDB9.x";
        for (json, expected) in [
            (
                r#"{"accessToken":"t","expires_on":1767228000,"expiresOn":"2026-01-01 02:40:00.000000"}"#,
                Some(1_767_228_000),
            ),
            (
                r#"{"accessToken":"t","expires_on":"1767228000"}"#,
                Some(1_767_228_000),
            ),
            (
                r#"{"accessToken":"t","expiresOn":"2026-01-01T00:40:00+00:00"}"#,
                Some(1_767_228_000),
            ),
            (
                r#"{"accessToken":"t","expiresOn":"2026-01-01 02:40:00.000000"}"#,
                None,
            ),
            (
                &format!(r#"{{"accessToken":"{jwt}","expiresOn":"2026-01-01 02:40:00.000000"}}"#),
                Some(1_767_229_000),
            ),
        ] {
            assert_eq!(end(json), expected, "{json}");
        }
    }
}
