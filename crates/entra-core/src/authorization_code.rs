//! Sign-in in a browser: the authorization request and its answer (RFC 6749 4.1, RFC 7636).

use std::fmt;
use std::sync::Arc;

use url::{Url, form_urlencoded};

use crate::user_session::login_scope;
use crate::{Authority, ClientId, Error, Pkce, Secret, TokenError, TokenRequest};

/// A sign-in that waits for its browser: the URL to open, and what has to come back.
///
/// PKCE with S256 (RFC 7636 4.2) and `state` (RFC 6749 10.12) are always in it. It is enough for a
/// program that then calls APIs; a login, which asks *who* the user is, also needs the ID token
/// validated.
///
/// ```
/// # async fn f(http: impl entra_core::HttpClient + 'static) -> Result<(), Box<dyn std::error::Error>> {
/// use entra_core::{
///     Authority, AuthorizationRequest, ClientId, Cloud, Pipeline, PublicClient, Tenant,
///     TokenRequest,
/// };
///
/// let client = PublicClient::new(
///     Authority::new(Cloud::public(), Tenant::Organizations),
///     ClientId::parse("11111111-2222-4333-8444-555555555555")?,
///     Pipeline::new(http),
/// );
/// let request = TokenRequest::new(["https://graph.microsoft.com/User.Read"]);
/// let pending = AuthorizationRequest::new(
///     client.authority(),
///     client.client_id(),
///     "http://localhost:8400/callback",
///     &request,
/// )?;
/// println!("open {}", pending.url());
/// let callback = "code=0.AX…&state=…"; // the query with which the browser comes back
/// # let callback = "";
/// let session = client.redeem_code(&pending.read_callback(callback)?).await?;
/// let token = session.token(&request).await?;
/// # Ok(()) }
/// ```
pub struct AuthorizationRequest {
    url: Url,
    redirect_uri: String,
    state: Secret,
    verifier: Secret,
    request: TokenRequest,
}

impl AuthorizationRequest {
    /// A sign-in that ends at `redirect_uri`, one of those that are registered for the app.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] where the redirect URI is no absolute URI, or has a fragment
    /// (RFC 6749 3.1.2).
    pub fn new(
        authority: &Authority,
        client_id: &ClientId,
        redirect_uri: &str,
        request: &TokenRequest,
    ) -> Result<Self, Error> {
        let parsed = Url::parse(redirect_uri)
            .map_err(|_| Error::InvalidRequest("the redirect URI is no absolute URI"))?;
        if parsed.fragment().is_some() {
            return Err(Error::InvalidRequest("the redirect URI has a fragment"));
        }
        let (state, pkce) = (Secret::generate()?, Pkce::generate()?);
        let authority = match request.tenant() {
            Some(tenant) => authority.with_tenant(tenant.clone()),
            None => authority.clone(),
        };
        let mut url = authority.authorization_endpoint();
        url.query_pairs_mut()
            .append_pair("client_id", &client_id.to_string())
            .append_pair("response_type", "code")
            .append_pair("redirect_uri", redirect_uri)
            .append_pair("response_mode", "query")
            .append_pair("scope", &login_scope(request))
            .append_pair("state", state.expose())
            .append_pair("code_challenge", &pkce.challenge())
            .append_pair("code_challenge_method", "S256");
        if let Some(claims) = request.claims() {
            url.query_pairs_mut().append_pair("claims", claims);
        }
        Ok(Self {
            url,
            redirect_uri: redirect_uri.to_owned(),
            state,
            verifier: pkce.verifier().clone(),
            request: request.clone(),
        })
    }

    /// Proposes an account (`login_hint`), so that the user need not type the name.
    #[must_use]
    pub fn with_login_hint(self, user_principal_name: &str) -> Self {
        self.with_parameter("login_hint", user_principal_name)
    }

    /// Says how to ask the user (`prompt`, OpenID Connect Core 3.1.2.1): `login`,
    /// `select_account`, `consent` or `none`.
    #[must_use]
    pub fn with_prompt(self, prompt: &str) -> Self {
        self.with_parameter("prompt", prompt)
    }

    /// Where to send the browser.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Reads the query with which the browser came back, with or without the `?`, or the whole
    /// URL.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] where it is not the answer to this request: `state` is missing,
    /// stands there twice or is another one. [`Error::Token`] where the sign-in was refused; its
    /// status is then 302, since the refusal came by a redirect.
    pub fn read_callback(self, query: &str) -> Result<AuthorizationCode, Error> {
        let query = query.split_once('?').map_or(query, |(_, query)| query);
        let query = query.split('#').next().unwrap_or_default();
        let callback = Callback(
            form_urlencoded::parse(query.as_bytes())
                .into_owned()
                .collect(),
        );
        let state = callback
            .single("state")?
            .ok_or(Error::InvalidRequest("the answer has no state"))?;
        if Secret::new(state) != self.state {
            return Err(Error::InvalidRequest(
                "the answer belongs to another sign-in",
            ));
        }
        if let Some(error) = callback.single("error")? {
            return Err(callback.refusal(error));
        }
        let code = callback
            .single("code")?
            .filter(|code| !code.is_empty())
            .ok_or(Error::InvalidRequest("the answer has no code"))?;
        Ok(AuthorizationCode {
            code: Secret::new(code),
            redirect_uri: self.redirect_uri,
            verifier: self.verifier,
            request: self.request,
            exact: false,
        })
    }

    fn with_parameter(mut self, name: &str, value: &str) -> Self {
        self.url.query_pairs_mut().append_pair(name, value);
        self
    }
}

impl fmt::Debug for AuthorizationRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthorizationRequest")
            .field("redirect_uri", &self.redirect_uri)
            .field("request", &self.request)
            .finish_non_exhaustive()
    }
}

/// An authorization code with what redeems it. It is good for one attempt.
#[derive(Debug)]
pub struct AuthorizationCode {
    code: Secret,
    redirect_uri: String,
    verifier: Secret,
    request: TokenRequest,
    exact: bool,
}

impl AuthorizationCode {
    /// A code that the host's own code received, with the redirect URI and the PKCE verifier of
    /// its request.
    pub fn new(
        code: Secret,
        redirect_uri: impl Into<String>,
        verifier: Secret,
        request: TokenRequest,
    ) -> Self {
        Self {
            code,
            redirect_uri: redirect_uri.into(),
            verifier,
            request,
            exact: false,
        }
    }

    /// Asks for the scopes of the request and no others. Without `offline_access` among them there
    /// is no refresh token: enough for a login that calls nothing.
    #[must_use]
    pub fn with_exact_scope(mut self) -> Self {
        self.exact = true;
        self
    }

    pub(crate) fn asks_exactly(&self) -> bool {
        self.exact
    }

    pub(crate) fn code(&self) -> &Secret {
        &self.code
    }

    pub(crate) fn redirect_uri(&self) -> &str {
        &self.redirect_uri
    }

    pub(crate) fn verifier(&self) -> &Secret {
        &self.verifier
    }

    pub(crate) fn request(&self) -> &TokenRequest {
        &self.request
    }
}

/// The parameters of an answer.
struct Callback(Vec<(String, String)>);

impl Callback {
    /// A parameter that must not stand there twice (RFC 6749 3.1).
    fn single(&self, name: &str) -> Result<Option<&str>, Error> {
        let mut found = self.0.iter().filter(|(key, _)| key == name);
        match (found.next(), found.next()) {
            (_, Some(_)) => Err(Error::InvalidRequest(
                "a parameter of the answer stands there twice",
            )),
            (first, None) => Ok(first.map(|(_, value)| value.as_str())),
        }
    }

    /// RFC 6749 4.1.2.1, with Entra's `error_subcode`.
    fn refusal(&self, error: &str) -> Error {
        let text = |name: &str| self.single(name).ok().flatten().map(str::to_owned);
        let description = text("error_description").unwrap_or_default();
        let mut refusal = TokenError::from_redirect(error, description);
        refusal.suberror = text("error_subcode");
        refusal.claims = text("claims");
        Error::Token(Arc::new(refusal))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use http::StatusCode;

    use super::*;
    use crate::{Cloud, Tenant, TokenErrorKind};

    fn pending() -> AuthorizationRequest {
        AuthorizationRequest::new(
            &Authority::new(Cloud::public(), Tenant::Organizations),
            &ClientId::parse("11111111-2222-4333-8444-555555555555").unwrap(),
            "http://localhost:8400/callback",
            &TokenRequest::new(["User.Read"]).with_claims("{}"),
        )
        .unwrap()
    }

    fn state_of(pending: &AuthorizationRequest) -> String {
        pending.state.expose().to_owned()
    }

    #[test]
    fn the_request_carries_pkce_and_state() {
        let pending = pending().with_login_hint("ada@contoso.example");
        let query: HashMap<_, _> = pending.url().query_pairs().into_owned().collect();
        let pkce = Pkce::from_verifier(pending.verifier.clone());
        assert_eq!(query["code_challenge"], pkce.challenge());
        assert_eq!(query["code_challenge_method"], "S256");
        assert_eq!(query["scope"], "User.Read openid profile offline_access");
        assert_eq!(query["login_hint"], "ada@contoso.example");
        assert_eq!(query["claims"], "{}");
        assert_eq!(query["state"].len(), 43);
        assert!(!format!("{pending:?}").contains(&query["state"]));
    }

    #[test]
    fn the_code_is_read_from_a_query_or_a_whole_url() {
        for prefix in ["", "?", "http://localhost:8400/callback?"] {
            let pending = pending();
            let query = format!(
                "{prefix}code=c%2B1&state={}&session_state=x",
                state_of(&pending)
            );
            let code = pending.read_callback(&query).unwrap();
            assert_eq!(code.code().expose(), "c+1");
        }
    }

    #[test]
    fn an_answer_to_another_request_is_refused() {
        for query in [
            "",
            "code=c",
            "code=c&state=",
            "code=c&state=other",
            "error=access_denied",
        ] {
            let error = pending().read_callback(query).unwrap_err();
            assert!(matches!(error, Error::InvalidRequest(_)), "{query}");
        }
        for twice in ["code=a&code=b", "code=a&state=x"] {
            let pending = pending();
            let query = format!("{twice}&state={}", state_of(&pending));
            let error = pending.read_callback(&query).unwrap_err();
            assert!(matches!(error, Error::InvalidRequest(_)), "{twice}");
        }
        let pending = pending();
        let query = format!("code=&state={}", state_of(&pending));
        assert!(pending.read_callback(&query).is_err());
    }

    #[test]
    fn a_refused_sign_in_is_explained_by_the_code_in_its_description() {
        let pending = pending();
        let query = format!(
            "error=access_denied&error_description=AADSTS65004%3a+User+declined+to+consent.&state={}",
            state_of(&pending)
        );
        let Error::Token(error) = pending.read_callback(&query).unwrap_err() else {
            panic!("another error");
        };
        assert_eq!(error.kind(), TokenErrorKind::ConsentDeclined);
        assert_eq!(error.status, StatusCode::FOUND);
    }

    #[test]
    fn a_redirect_uri_is_absolute_and_has_no_fragment() {
        for refused in ["/callback", "", "https://app.example/#x"] {
            let made = AuthorizationRequest::new(
                &Authority::new(Cloud::public(), Tenant::Organizations),
                &ClientId::parse("11111111-2222-4333-8444-555555555555").unwrap(),
                refused,
                &TokenRequest::new(["User.Read"]),
            );
            assert!(matches!(made, Err(Error::InvalidRequest(_))), "{refused}");
        }
    }
}
