//! An application at a provider that is not Entra: the token endpoint's part of a login (RFC 6749
//! 4.1.3, OpenID Connect Core 3.1.3).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use entra_core::{Call, Operation, Pipeline, Secret};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Request};
use serde::Deserialize;
use url::form_urlencoded::{Serializer, byte_serialize};
use zeroize::Zeroizing;

use crate::Error;
use crate::provider::Configuration;

/// The application, known by an id of the provider's own form.
#[derive(Clone)]
pub(crate) struct GenericClient {
    pub(crate) id: String,
    pub(crate) secret: Option<Secret>,
    pub(crate) pipeline: Pipeline,
}

impl GenericClient {
    /// Redeems a code.
    pub(crate) async fn redeem(
        &self,
        configuration: &Configuration,
        (code, verifier, redirect_uri): (&str, &str, &str),
    ) -> Result<GenericTokens, Error> {
        let parameters = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", redirect_uri),
            ("code_verifier", verifier),
        ];
        self.ask(configuration, &parameters).await
    }

    /// Renews tokens (RFC 6749 6). A provider that replaces the refresh token takes the old one
    /// once, so it is asked once.
    pub(crate) async fn refresh(
        &self,
        configuration: &Configuration,
        refresh_token: &Secret,
    ) -> Result<GenericTokens, Error> {
        let parameters = [
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh_token.expose()),
        ];
        let mut tokens = self.ask(configuration, &parameters).await?;
        // One that is not replaced goes on.
        tokens.refresh_token = tokens.refresh_token.or_else(|| Some(refresh_token.clone()));
        Ok(tokens)
    }

    async fn ask(
        &self,
        configuration: &Configuration,
        parameters: &[(&str, &str)],
    ) -> Result<GenericTokens, Error> {
        let request = self.request(configuration, parameters)?;
        let call = Call::new("POST token_endpoint", request).with_operation(Operation::Once);
        let response = match self.pipeline.send(call).await {
            Ok(response) => response,
            Err(entra_core::Error::Response(refusal)) => {
                return Err(Error::Token(refusal.token_error()));
            }
            Err(error) => return Err(Error::Token(error)),
        };
        let answer: TokenResponse =
            serde_json::from_slice(response.body()).map_err(|_| Error::TokenResponse)?;
        if !answer.token_type.eq_ignore_ascii_case("bearer") {
            return Err(Error::TokenResponse);
        }
        Ok(GenericTokens {
            id_token: answer.id_token,
            access_token: answer.access_token,
            refresh_token: answer.refresh_token,
        })
    }

    fn request(
        &self,
        configuration: &Configuration,
        parameters: &[(&str, &str)],
    ) -> Result<Request<Bytes>, Error> {
        let mut form = Serializer::new(String::with_capacity(FORM_SIZE));
        form.extend_pairs(parameters);
        let mut request = Request::post(configuration.token_endpoint.as_str())
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(ACCEPT, "application/json");
        match &self.secret {
            Some(secret) if configuration.takes_basic() => {
                request = request.header(AUTHORIZATION, basic(&self.id, secret)?);
            }
            Some(secret) => {
                form.append_pair("client_id", &self.id);
                form.append_pair("client_secret", secret.expose());
            }
            None => {
                form.append_pair("client_id", &self.id);
            }
        }
        request
            .body(Bytes::from_owner(Zeroizing::new(form.finish())))
            .map_err(|_| Error::TokenResponse)
    }
}

impl fmt::Debug for GenericClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GenericClient")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// What the token endpoint answered.
#[derive(Clone, Debug)]
pub(crate) struct GenericTokens {
    pub(crate) id_token: Option<Secret>,
    pub(crate) access_token: Secret,
    pub(crate) refresh_token: Option<Secret>,
}

/// RFC 6749 5.1, OpenID Connect Core 3.1.3.3. `expires_in` is not asked for: who calls an API with
/// the token learns of its end there.
#[derive(Deserialize)]
struct TokenResponse {
    access_token: Secret,
    token_type: String,
    id_token: Option<Secret>,
    refresh_token: Option<Secret>,
}

/// RFC 6749 2.3.1: both parts are form-encoded first.
fn basic(id: &str, secret: &Secret) -> Result<HeaderValue, Error> {
    let encode = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
    let pair = Zeroizing::new(format!("{}:{}", encode(id), encode(secret.expose())));
    let text = Zeroizing::new(format!("Basic {}", STANDARD.encode(pair.as_bytes())));
    let mut header = HeaderValue::from_str(&text).map_err(|_| Error::TokenResponse)?;
    header.set_sensitive(true);
    Ok(header)
}

const FORM_SIZE: usize = 8 << 10;
