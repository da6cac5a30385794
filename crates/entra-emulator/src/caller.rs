//! Who calls: what the access token of a request says, once it was verified.

/// The verified access token of one request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Caller {
    /// `appid`: the client id of the calling application.
    pub(crate) app_id: String,
    /// `oid` of an app-only token: the object id of its service principal.
    pub(crate) service_principal_id: String,
    /// `roles`: application permissions that were consented to when the token was issued.
    pub(crate) roles: Vec<String>,
    /// `scp`: delegated permissions. Empty in an app-only token.
    pub(crate) scopes: Vec<String>,
    /// The object id of the signed-in user, in a delegated token.
    pub(crate) user_id: Option<String>,
}
