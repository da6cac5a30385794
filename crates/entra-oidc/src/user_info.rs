//! The UserInfo endpoint (OpenID Connect Core 5.3).

use std::fmt;

use bytes::Bytes;
use entra_core::{Call, Secret};
use http::header::{ACCEPT, AUTHORIZATION};
use http::{HeaderValue, Request};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::callback::is_of_type;
use crate::{EntraLogin, Error, Tokens, User};

impl EntraLogin {
    /// Asks the provider for more about a user who signed in. Entra says nothing there that could
    /// not be in the ID token.
    ///
    /// # Errors
    /// [`Error::UserInfo`] where the provider has no such endpoint, or answers for another user or
    /// in another form than JSON; [`Error::Token`] where it does not answer.
    pub async fn user_info(&self, user: &User, tokens: &Tokens) -> Result<UserInfo, Error> {
        let published = self.0.provider.published();
        let endpoint = &published.configuration.userinfo_endpoint;
        let endpoint = endpoint.as_ref().ok_or(UserInfoRefusal::NoEndpoint)?;
        let token = tokens.login_access_token().await?;
        let request = Request::get(endpoint.as_str())
            .header(ACCEPT, "application/json")
            .header(AUTHORIZATION, bearer(&token)?)
            .body(Bytes::new())
            .map_err(|_| UserInfoRefusal::NoEndpoint)?;
        let call = Call::new("GET userinfo_endpoint", request);
        let response = self.0.provider.pipeline().send(call).await;
        let response = response.map_err(Error::Token)?;
        // A signed answer (`application/jwt`) has to be asked for at registration.
        if !is_of_type(response.headers(), "application/json") {
            return Err(UserInfoRefusal::NotJson.into());
        }
        Ok(UserInfo::read(response.body(), user.subject())?)
    }
}

/// What the UserInfo endpoint says of the user who signed in. Nothing in it identifies anybody:
/// the user's key does.
#[derive(Clone)]
pub struct UserInfo(Map<String, Value>);

impl UserInfo {
    fn read(body: &[u8], subject: &str) -> Result<Self, UserInfoRefusal> {
        let claims: Map<String, Value> =
            serde_json::from_slice(body).map_err(|_| UserInfoRefusal::NotJson)?;
        // OpenID Connect Core 5.3.4: or the answer of another user's token would be believed.
        if claims.get("sub").and_then(Value::as_str) != Some(subject) {
            return Err(UserInfoRefusal::Subject);
        }
        Ok(Self(claims))
    }

    /// A claim as the caller's type; none where it is missing or of another type.
    pub fn get<T: DeserializeOwned>(&self, claim: &str) -> Option<T> {
        serde_json::from_value(self.0.get(claim)?.clone()).ok()
    }
}

impl fmt::Debug for UserInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UserInfo({} claims)", self.0.len())
    }
}

/// Why the answer of the UserInfo endpoint is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UserInfoRefusal {
    /// The provider has no such endpoint.
    #[error("the provider has no UserInfo endpoint")]
    NoEndpoint,
    /// The answer is no JSON object; it may be a signed one.
    #[error("the UserInfo endpoint answered with something else than a JSON object")]
    NotJson,
    /// It is about another user (OpenID Connect Core 5.3.4).
    #[error("the UserInfo endpoint answered for another user")]
    Subject,
}

fn bearer(token: &Secret) -> Result<HeaderValue, UserInfoRefusal> {
    let text = Zeroizing::new(format!("Bearer {}", token.expose()));
    let mut header = HeaderValue::from_str(&text).map_err(|_| UserInfoRefusal::NoEndpoint)?;
    header.set_sensitive(true);
    Ok(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_about_somebody_else_is_refused() {
        let read = |body: &str| UserInfo::read(body.as_bytes(), "s").err();
        assert_eq!(read(r#"{"sub":"s","name":"Ada"}"#), None);
        for other in [
            r#"{"sub":"S"}"#,
            r#"{"name":"Ada"}"#,
            r#"{"sub":["s"]}"#,
            "{}",
        ] {
            assert_eq!(read(other), Some(UserInfoRefusal::Subject), "{other}");
        }
        for other in ["[]", "null", "e30.e30.", "<html>", ""] {
            assert_eq!(read(other), Some(UserInfoRefusal::NotJson), "{other}");
        }
    }
}
