//! What can go wrong between this side and Microsoft Graph.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use entra_core::{ClientId, RequestIds};
use http::StatusCode;

use crate::{ErrorDetail, GraphError, GraphErrorCode, Refusal, UnknownPermission};

/// Why a call to Graph failed. No variant carries a secret or a token.
///
/// A clone is cheap.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No token, no connection, no time left: see [`entra_core::Error`].
    #[error(transparent)]
    Core(entra_core::Error),
    /// Graph refused, and said why.
    #[error("{0}")]
    Graph(Arc<GraphError>),
    /// The answer is not what Graph sends.
    #[error("{0}")]
    Malformed(Arc<MalformedAnswer>),
    /// A link of an answer leads elsewhere. It was not followed, since the token would go along.
    #[error("a link leads to {found}, and only links on {expected} are followed")]
    ForeignLink {
        /// Where links may lead: origin and API version.
        expected: String,
        /// The origin that was found.
        found: String,
    },
    /// A listing's next link leads to a page that was read already.
    #[error("the listing goes in circles after {pages} pages")]
    LinkLoop {
        /// How many pages were read.
        pages: u64,
    },
    /// Something new did not become visible in time.
    #[error("{what} is not visible everywhere after {} s", waited.as_secs())]
    NotReplicated {
        /// What was waited for.
        what: Cow<'static, str>,
        /// How long.
        waited: Duration,
        /// The last refusal, where there was one.
        source: Option<Box<Self>>,
    },
    /// A request of a batch depends on one that failed, and was not done.
    #[error("not done, since an earlier request of the batch failed")]
    DependencyFailed,
    /// Graph did not answer this request of a batch.
    #[error("the batch's answer leaves this request out ({ids})")]
    NotAnswered {
        /// The ids of the batch.
        ids: RequestIds,
    },
    /// Others change the same object all the time.
    #[error("{what} was changed by others at the same time, {attempts} times in a row")]
    Contended {
        /// What was to be changed.
        what: &'static str,
        /// How often it was tried.
        attempts: u32,
    },
    /// The tenant's Graph has no such permission.
    #[error(transparent)]
    UnknownPermission(#[from] UnknownPermission),
    /// A call cannot be made as asked.
    #[error("{0}")]
    InvalidRequest(&'static str),
    /// The tenant would refuse the blueprint. Nothing was changed.
    #[error("the tenant would refuse the blueprint: {}", joined(.0))]
    Refused(Arc<[Refusal]>),
    /// The host could not store what it was given.
    #[error("the product could not store the client secret")]
    Host(#[source] Arc<dyn StdError + Send + Sync>),
    /// The vault of the app's credentials could not be read or written.
    #[error("the vault of the app's credentials failed")]
    Vault(#[source] Arc<dyn StdError + Send + Sync>),
    /// The application that was to be adopted is not in the tenant.
    #[error("there is no application {0} in the tenant")]
    ApplicationNotFound(ClientId),
}

impl Error {
    /// The code of Graph's refusal, where it is one.
    pub fn code(&self) -> Option<&GraphErrorCode> {
        self.graph().map(|error| &error.code)
    }

    /// Graph's refusal, where it is one.
    pub fn graph(&self) -> Option<&GraphError> {
        match self {
            Self::Graph(error) => Some(error),
            Self::NotReplicated {
                source: Some(source),
                ..
            } => source.graph(),
            _ => None,
        }
    }

    /// The status of the answer, where one came.
    pub fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Graph(error) => Some(error.status),
            Self::Malformed(answer) => Some(answer.status),
            _ => None,
        }
    }

    /// Whether the object does not exist, or not yet.
    pub fn is_not_found(&self) -> bool {
        self.status() == Some(StatusCode::NOT_FOUND) && self.graph().is_some()
    }

    /// Whether the caller lacks a permission.
    pub fn is_forbidden(&self) -> bool {
        self.status() == Some(StatusCode::FORBIDDEN) && self.graph().is_some()
    }

    /// Whether the same call may succeed later without anybody changing anything.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Core(error) => error.is_retryable(),
            Self::Graph(error) => error.is_retryable(),
            Self::Malformed(answer) => answer.is_retryable(),
            Self::NotReplicated { .. } | Self::NotAnswered { .. } | Self::Contended { .. } => true,
            Self::ForeignLink { .. }
            | Self::LinkLoop { .. }
            | Self::DependencyFailed
            | Self::UnknownPermission(_)
            | Self::InvalidRequest(_)
            | Self::Refused(_)
            | Self::Host(_)
            | Self::Vault(_)
            | Self::ApplicationNotFound(_) => false,
        }
    }

    /// How long the service asks to wait before the next call.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Core(error) => error.retry_after(),
            Self::Graph(error) => error.retry_after,
            _ => None,
        }
    }

    /// The ids to quote in a support case.
    pub fn request_ids(&self) -> Option<&RequestIds> {
        match self {
            Self::Core(error) => error.request_ids(),
            Self::Graph(error) => Some(&error.ids),
            Self::Malformed(answer) => Some(&answer.ids),
            Self::NotAnswered { ids } => Some(ids),
            Self::NotReplicated { source, .. } => source.as_ref()?.request_ids(),
            _ => None,
        }
    }

    /// What an administrator can do about it, in one or two sentences.
    pub fn admin_hint(&self) -> String {
        match self {
            Self::Core(error) => error.admin_hint(),
            Self::Graph(error) => error.admin_hint(),
            Self::Malformed(_) => "Something between this machine and Microsoft Graph changes the \
                 answers, most often a proxy or a firewall's sign-in page. Exempt the host of \
                 Microsoft Graph from it."
                .to_owned(),
            Self::ForeignLink { expected, .. } => format!(
                "An answer pointed away from {expected}. Check that nothing between this machine \
                 and Microsoft Graph rewrites addresses."
            ),
            Self::NotReplicated { what, .. } => format!(
                "Microsoft Entra has not spread {what} to all its servers yet. Wait some minutes, \
                 then run the same step again: nothing is made twice."
            ),
            Self::Contended { .. } => "Another administrator or program changes the same object. \
                 Run the step again when it has finished."
                .to_owned(),
            Self::LinkLoop { .. } | Self::NotAnswered { .. } | Self::DependencyFailed => {
                "Run the step again.".to_owned()
            }
            Self::UnknownPermission(unknown) => unknown.remedy(),
            Self::InvalidRequest(_) => "Correct the settings of the connection.".to_owned(),
            Self::Refused(refusals) => {
                let remedies: Vec<String> = refusals.iter().map(Refusal::remedy).collect();
                remedies.join("; ")
            }
            Self::Host(_) => "Look at the log of the product: it could not store the client \
                 secret. Then run the step again."
                .to_owned(),
            Self::Vault(_) => "Look at the log of the product: it could not read or write the \
                 credentials that it keeps."
                .to_owned(),
            Self::ApplicationNotFound(_) => "Compare the application (client) id with the app's \
                 overview page, and the tenant with the one in which the app is registered."
                .to_owned(),
        }
    }

    /// Whether this is how Graph refuses what it will accept once a new object has spread.
    ///
    /// Meaningful only shortly after the object was made: see
    /// [`RecentlyCreated`](crate::RecentlyCreated).
    pub fn may_be_replication(&self) -> bool {
        // Only a plain refusal: what was waited for in vain is not waited for once more.
        let Self::Graph(error) = self else {
            return false;
        };
        match error.status {
            StatusCode::NOT_FOUND => true,
            StatusCode::BAD_REQUEST => error.mentions(NOT_YET_400),
            StatusCode::FORBIDDEN => error.mentions(NOT_YET_403),
            _ => false,
        }
    }

    /// Whether Graph's refusal has this code on any of its levels.
    pub fn has_code(&self, code: &GraphErrorCode) -> bool {
        self.graph().is_some_and(|error| error.has_code(code))
    }

    /// Whether the refusal says that it is already as asked for.
    pub(crate) fn says_already_there(&self) -> bool {
        self.graph().is_some_and(|error| {
            matches!(error.status, StatusCode::BAD_REQUEST | StatusCode::CONFLICT)
                && (error.has_code(&GraphErrorCode::DuplicateKey) || error.mentions(ALREADY_THERE))
        })
    }
}

fn joined(refusals: &[Refusal]) -> String {
    let texts: Vec<String> = refusals.iter().map(ToString::to_string).collect();
    texts.join("; ")
}

impl From<entra_core::Error> for Error {
    fn from(error: entra_core::Error) -> Self {
        match error {
            entra_core::Error::Response(response) => {
                crate::graph_error::decode_response(&response, None)
            }
            other => Self::Core(other),
        }
    }
}

/// An answer that Graph did not send, or that did not arrive whole.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MalformedAnswer {
    /// The answer's status.
    pub status: StatusCode,
    /// What came.
    pub kind: Malformation,
    /// Where it stops to make sense.
    pub at: Option<Position>,
    /// The request's ids.
    pub ids: RequestIds,
}

impl MalformedAnswer {
    fn is_retryable(&self) -> bool {
        self.status.is_server_error() || self.kind == Malformation::Truncated
    }
}

impl fmt::Display for MalformedAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            Malformation::Html => "a web page instead of JSON",
            Malformation::Empty => "an empty body",
            Malformation::Truncated => "a body that ends too early",
            Malformation::NotJson => "a body that is not JSON",
            Malformation::Shape => "JSON of another shape than documented",
        };
        write!(f, "Graph answered {} with {what}", self.status)?;
        if let Some(at) = self.at {
            write!(f, ", line {} column {}", at.line, at.column)?;
        }
        write!(f, " ({})", self.ids)
    }
}

/// What came instead of the documented answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Malformation {
    /// A web page, most often a proxy's.
    Html,
    /// Nothing.
    Empty,
    /// JSON that ends too early.
    Truncated,
    /// Something that is not JSON.
    NotJson,
    /// JSON, but not of the documented shape.
    Shape,
}

/// A place in a body. The parser's own words are not kept: they may quote the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Position {
    /// The line, from one.
    pub line: usize,
    /// The column, from one.
    pub column: usize,
}

impl Error {
    /// The error for a body that serde_json did not take.
    pub(crate) fn from_json(error: &serde_json::Error, answer: Answer<'_>) -> Self {
        use serde_json::error::Category;
        let kind = match error.classify() {
            _ if answer.body.trim_ascii().is_empty() => Malformation::Empty,
            _ if answer.is_html() => Malformation::Html,
            Category::Eof => Malformation::Truncated,
            Category::Data => Malformation::Shape,
            Category::Syntax | Category::Io => Malformation::NotJson,
        };
        Self::Malformed(Arc::new(MalformedAnswer {
            status: answer.status,
            kind,
            at: Some(Position {
                line: error.line(),
                column: error.column(),
            }),
            ids: answer.ids.clone(),
        }))
    }
}

/// What is looked at to say what came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer<'a> {
    pub(crate) status: StatusCode,
    pub(crate) body: &'a [u8],
    pub(crate) ids: &'a RequestIds,
}

impl Answer<'_> {
    fn is_html(&self) -> bool {
        self.body.trim_ascii_start().starts_with(b"<")
    }
}

impl GraphError {
    /// Whether one of these texts is in the message or in a detail's message.
    fn mentions(&self, texts: &[&str]) -> bool {
        let in_details = |text: &str| {
            self.details
                .iter()
                .any(|ErrorDetail { message, .. }| message.contains(text))
        };
        texts
            .iter()
            .any(|text| self.message.contains(text) || in_details(text))
    }
}

/// Refusals that mean "not yet" shortly after the app, the service principal or the user was made.
/// Graph has no code of its own for them; these are the texts that the Terraform provider for
/// Microsoft Entra waits on as well.
const NOT_YET_400: &[&str] = &[
    "does not reference a valid application object",
    "Not a valid reference update",
    "does not exist or one of its queried reference-property objects are not present",
];

/// With `Application.ReadWrite.OwnedBy` the same comes as a 403.
const NOT_YET_403: &[&str] = &["backing application of the service principal"];

/// Refusals of a repetition.
const ALREADY_THERE: &[&str] = &[
    "Permission being assigned already exists on the object",
    "One or more added object references already exist",
    "Permission entry already exists",
];
