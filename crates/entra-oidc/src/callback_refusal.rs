//! Why what came back to a redirect URI is refused.

/// Why what came back is not the answer to a login that was begun here: one variant for each check.
/// None holds text of the request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CallbackRefusal {
    /// It is no form or query as an authorization server sends it (RFC 6749 4.1.2, OAuth 2.0 Form
    /// Post Response Mode 2).
    #[error("the answer is {0}")]
    Malformed(&'static str),
    /// It is larger than any provider's.
    #[error("the answer has more than {limit} bytes")]
    TooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// A parameter stands there twice (RFC 6749 3.1).
    #[error("the answer has the parameter {0} twice")]
    DuplicateParameter(&'static str),
    /// It came by GET where a form was asked for, or the other way round.
    #[error("the answer came another way than it was asked for")]
    ResponseMode,
    /// It has no `state` (RFC 6749 10.12).
    #[error("the answer has no state")]
    StateMissing,
    /// This browser, or this client, has begun no login with this `state`.
    #[error("no pending login belongs to the answer")]
    TransactionNotFound,
    /// The pending login was changed, cut off, or sealed with a key that is not there.
    #[error("the pending login cannot be opened")]
    TransactionInvalid,
    /// The pending login is older than ten minutes.
    #[error("the pending login has expired")]
    TransactionExpired,
    /// The pending login was begun for another profile.
    #[error("the pending login belongs to another profile")]
    OtherProfile,
    /// The pending login was finished before.
    #[error("the pending login was finished before")]
    TransactionReplayed,
    /// It came to another redirect URI than that of the pending login: a provider had its user sent
    /// to another one, whose answer it is (mix-up, RFC 9700 4.4; RFC 8252 8.10).
    #[error("the answer came to another redirect URI")]
    Place,
    /// `iss` names another issuer than the login was begun with (RFC 9207 2.4).
    #[error("the answer names another issuer")]
    Issuer,
    /// `iss` is missing, which the provider says that it sends (RFC 9207 2.4).
    #[error("the answer does not name its issuer")]
    IssuerMissing,
    /// A token came in the answer, or an answer as a token, which nobody asked for.
    #[error("the answer has {0}, which was not asked for")]
    UnexpectedParameter(&'static str),
    /// It has neither a code nor an error.
    #[error("the answer has neither a code nor an error")]
    CodeMissing,
}

impl CallbackRefusal {
    /// A sentence for the user at the browser.
    pub fn user_message(&self) -> &'static str {
        match self {
            Self::TransactionExpired => "Signing in took too long. Please try again.",
            Self::TransactionReplayed => "You have signed in already.",
            Self::TransactionNotFound | Self::TransactionInvalid => {
                "This sign-in was begun in another browser or long ago. Please try again."
            }
            _ => "Something is wrong with this sign-in. Please try again.",
        }
    }

    /// What an administrator can do about it.
    pub fn admin_hint(&self) -> &'static str {
        match self {
            Self::TransactionNotFound => {
                "The browser did not send the cookie of the pending login: it is blocked, the \
                 login was begun under another host name, or somebody sent the user a link that \
                 is not theirs."
            }
            Self::TransactionInvalid => {
                "Check that all machines of the product have the same keys, and keep a replaced \
                 key for a day."
            }
            Self::OtherProfile => {
                "Check that each profile has a redirect URI of its own, or that the shared one is \
                 answered by all of them."
            }
            Self::Place => {
                "Check that the product hands over the address to which the browser came. If it \
                 does, a provider sent its users on to another provider to get at its codes."
            }
            Self::ResponseMode => {
                "Check that the product asks for the response mode that its redirect URI takes."
            }
            Self::TransactionExpired | Self::TransactionReplayed => {
                "Nothing, unless it happens often: then look at the clocks of the machines."
            }
            _ => {
                "The answer was not made by the provider, or something on the way changed it. If \
                 it happens to all users, look for a proxy that rewrites queries or forms."
            }
        }
    }
}
