//! Refusals that are written with their checks.

/// Why a logout is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LogoutRefusal {
    /// It was not begun here.
    #[error("the sign-out was not begun here")]
    State,
}

/// Why a renewed session is refused (OpenID Connect Core 12.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RefreshRefusal {
    /// A claim that must stay the same is another one.
    #[error("{0} of the renewed session is another one")]
    Changed(&'static str),
}

/// Why the answer of the UserInfo endpoint is refused (OpenID Connect Core 5.3.4).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UserInfoRefusal {
    /// It is about another user.
    #[error("the UserInfo endpoint answered for another user")]
    Subject,
}
