//! What a connection test says: one finding per check, each with the step that mends it.

use std::borrow::Cow;
use std::fmt;
use std::fmt::Debug;

use async_trait::async_trait;

/// The result of one check.
///
/// ```
/// use entra_core::{Finding, Outcome};
///
/// let finding = Finding::failed("credential", "the client secret expired on 2026-03-01")
///     .with_remedy("create a new client secret under Certificates & secrets");
/// assert_eq!(finding.outcome, Outcome::Failed);
/// assert_eq!(
///     finding.to_string(),
///     "failed   credential: the client secret expired on 2026-03-01\n         \
///      -> create a new client secret under Certificates & secrets",
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// What was checked, for example `network` or `permission User.Read.All`.
    pub check: Cow<'static, str>,
    /// How it ended.
    pub outcome: Outcome,
    /// What was seen, in one sentence for an administrator. Never a secret.
    pub detail: String,
    /// The one step that mends it, where there is something to mend.
    pub remedy: Option<String>,
    /// The service's id of the request behind the finding, for a support case.
    pub request_id: Option<String>,
}

impl Finding {
    /// The check held.
    pub fn passed(check: impl Into<Cow<'static, str>>, detail: impl Into<String>) -> Self {
        Self::new(check, Outcome::Passed, detail)
    }

    /// It works today, and something will stop it from working, or is not as it should be.
    pub fn warning(check: impl Into<Cow<'static, str>>, detail: impl Into<String>) -> Self {
        Self::new(check, Outcome::Warning, detail)
    }

    /// It does not work.
    pub fn failed(check: impl Into<Cow<'static, str>>, detail: impl Into<String>) -> Self {
        Self::new(check, Outcome::Failed, detail)
    }

    /// It could not be checked, because an earlier check failed or the app may not look.
    pub fn skipped(check: impl Into<Cow<'static, str>>, detail: impl Into<String>) -> Self {
        Self::new(check, Outcome::Skipped, detail)
    }

    /// Adds the one step that mends it.
    #[must_use]
    pub fn with_remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// Adds the service's request id, where there is one.
    #[must_use]
    pub fn with_request_id(mut self, request_id: Option<impl Into<String>>) -> Self {
        self.request_id = request_id.map(Into::into);
        self
    }

    /// Whether the connection works as far as this check goes.
    pub fn is_ok(&self) -> bool {
        matches!(self.outcome, Outcome::Passed | Outcome::Warning)
    }

    fn new(
        check: impl Into<Cow<'static, str>>,
        outcome: Outcome,
        detail: impl Into<String>,
    ) -> Self {
        Self {
            check: check.into(),
            outcome,
            detail: detail.into(),
            remedy: None,
            request_id: None,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            check,
            outcome,
            detail,
            ..
        } = self;
        write!(f, "{outcome:<8} {check}: {detail}")?;
        if let Some(remedy) = &self.remedy {
            write!(f, "\n         -> {remedy}")?;
        }
        Ok(())
    }
}

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// It holds.
    Passed,
    /// It holds, with something to look after.
    Warning,
    /// It does not hold.
    Failed,
    /// It could not be checked.
    Skipped,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Passed => "passed",
            Self::Warning => "warning",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        })
    }
}

/// One check of a connection test. Each crate and each host brings its own; whoever runs the
/// test composes them.
#[async_trait]
pub trait Probe: Debug + Send + Sync {
    /// Looks, changes nothing, and says what it saw. A probe does not fail: not being able to
    /// look is a finding too.
    async fn run(&self) -> Finding;
}
