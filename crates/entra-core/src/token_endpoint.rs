//! The token endpoint (RFC 6749 3.2): the request of every grant, and what comes back.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;
use time::OffsetDateTime;
use url::Url;
use url::form_urlencoded::Serializer;
use zeroize::Zeroizing;

use crate::client_credential::Proof;
use crate::error::RequestIds;
use crate::pipeline::CallSettings;
use crate::token::TokenData;
use crate::token_error::{Unreadable, read_refusal};
use crate::{
    Authority, ClientCredential, ClientId, Error, Operation, Pipeline, Secret, ThrottleScope, retry,
};

/// One endpoint of an authority that takes a form: the token endpoint, or the one for device codes
/// (RFC 8628 3.1).
#[derive(Clone, Debug)]
pub(crate) struct TokenEndpoint {
    url: String,
    host: String,
    route: &'static str,
    scope: Arc<ThrottleScope>,
}

impl TokenEndpoint {
    pub(crate) fn new(authority: &Authority, client: &ClientId) -> Self {
        let url = authority.token_endpoint();
        Self::at(url, "POST /oauth2/v2.0/token", authority, client)
    }

    pub(crate) fn for_device_codes(authority: &Authority, client: &ClientId) -> Self {
        let url = authority.device_code_endpoint();
        Self::at(url, "POST /oauth2/v2.0/devicecode", authority, client)
    }

    fn at(url: Url, route: &'static str, authority: &Authority, client: &ClientId) -> Self {
        let host = url.host_str().unwrap_or_default();
        let tenant = authority.tenant().segment();
        Self {
            host: host.to_owned(),
            scope: Arc::new(ThrottleScope::new(host, tenant, client.to_string())),
            url: url.into(),
            route,
        }
    }

    /// Sends a form, made anew for each attempt, and returns the answer or the service's refusal
    /// with its time of day.
    pub(crate) async fn post<F, Fut>(
        &self,
        pipeline: &Pipeline,
        (operation, effort): (Operation, Effort),
        form: F,
    ) -> Result<http::Response<Bytes>, (Error, Option<OffsetDateTime>)>
    where
        F: Fn() -> Fut + Send + Sync,
        Fut: Future<Output = Result<Zeroizing<String>, Error>> + Send,
    {
        let mut settings = CallSettings::new(self.route, operation);
        settings.scope = Some(Arc::clone(&self.scope));
        settings.once = effort == Effort::Once;
        let form = &form;
        let answer = pipeline
            .send_each(settings, || async move { self.request(form().await?) })
            .await;
        match answer {
            Ok(response) => Ok(response),
            Err(Error::Response(refusal)) => Err((read_refusal(&refusal), refusal.date)),
            Err(error) => Err((error, None)),
        }
    }

    /// Asks for a token. `now` is the service's time of day as far as it is known.
    pub(crate) async fn redeem(
        &self,
        pipeline: &Pipeline,
        call: &TokenCall<'_>,
        clock_offset: time::Duration,
        effort: Effort,
    ) -> Result<Issued, (Error, Option<OffsetDateTime>)> {
        let clock = pipeline.clock();
        let started = clock.now();
        let form = || async {
            let proof = match call.credential {
                Some(credential) => {
                    let now = clock.now().saturating_add(clock_offset);
                    Some(credential.proof(&self.url, call.client, now).await?)
                }
                None => None,
            };
            Ok(call.form(proof.as_ref()))
        };
        let effort = (call.grant.operation(), effort);
        let response = self.post(pipeline, effort, form).await?;
        let date = retry::date(response.headers());
        self.read(&response, started)
            .map(|issued| Issued { date, ..issued })
            .map_err(|error| (error, date))
    }

    fn request(&self, form: Zeroizing<String>) -> Result<http::Request<Bytes>, Error> {
        http::Request::post(&self.url)
            .header(
                http::header::CONTENT_TYPE,
                "application/x-www-form-urlencoded",
            )
            .header(http::header::ACCEPT, "application/json")
            // The sign-in service answers a real 429 only to clients that say they honour it.
            .header("x-ms-lib-capability", "retry-after, h429")
            .header("x-client-sku", "entra-core")
            .header("x-client-ver", env!("CARGO_PKG_VERSION"))
            .body(Bytes::from_owner(form))
            .map_err(|_| Error::InvalidRequest("the token endpoint's URL cannot be called"))
    }

    fn read(
        &self,
        response: &http::Response<Bytes>,
        started: OffsetDateTime,
    ) -> Result<Issued, Error> {
        let answer: TokenResponse = self.read_json(response, "a body that is no token response")?;
        if !answer.token_type.eq_ignore_ascii_case("bearer") {
            return Err(self.malformed(response, "a token that is no bearer token", None));
        }
        answer
            .into_issued(started)
            .ok_or_else(|| self.malformed(response, "a token that cannot be sent", None))
    }

    /// The JSON of a successful answer; `what` says what was found if it is something else.
    pub(crate) fn read_json<T: serde::de::DeserializeOwned>(
        &self,
        response: &http::Response<Bytes>,
        what: &str,
    ) -> Result<T, Error> {
        serde_json::from_slice(response.body())
            .map_err(|error| self.malformed(response, what, Some(error)))
    }

    fn malformed(
        &self,
        response: &http::Response<Bytes>,
        what: &str,
        source: Option<serde_json::Error>,
    ) -> Error {
        Error::Malformed {
            host: self.host.clone(),
            status: response.status(),
            retry_after: None,
            what: what.to_owned(),
            ids: Box::new(RequestIds::from_headers(response.headers())),
            source: match source {
                Some(error) => Some(Arc::new(Unreadable::from(error))),
                None => None,
            },
        }
    }
}

/// One token request but for the client's proof.
#[derive(Debug)]
pub(crate) struct TokenCall<'a> {
    pub(crate) client: &'a ClientId,
    pub(crate) grant: Grant<'a>,
    /// Separated by spaces.
    pub(crate) scope: Cow<'a, str>,
    /// A claims request, as JSON text.
    pub(crate) claims: Option<Cow<'a, str>>,
    /// What the client proves itself with; a public client has nothing.
    pub(crate) credential: Option<&'a ClientCredential>,
}

impl TokenCall<'_> {
    fn form(&self, proof: Option<&Proof>) -> Zeroizing<String> {
        let mut form = Serializer::new(String::with_capacity(FORM_SIZE));
        form.append_pair("client_id", &self.client.to_string());
        self.grant.append_to(&mut form);
        if !self.scope.is_empty() {
            form.append_pair("scope", &self.scope);
        }
        if let Some(claims) = &self.claims {
            form.append_pair("claims", claims);
        }
        match proof {
            Some(Proof::Secret(secret)) => {
                form.append_pair("client_secret", secret.expose());
            }
            Some(Proof::Assertion(assertion)) => {
                form.append_pair("client_assertion_type", CLIENT_ASSERTION);
                form.append_pair("client_assertion", assertion.expose());
            }
            None => {}
        }
        Zeroizing::new(form.finish())
    }
}

/// More than a form with two tokens takes, so that it does not move while it is written.
const FORM_SIZE: usize = 16 << 10;

/// How hard to try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effort {
    /// With all retries and waits of the pipeline: without the token nothing goes on.
    Full,
    /// One attempt: there is a token that still does.
    Once,
}

/// What is presented for a token.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Grant<'a> {
    /// The application itself (RFC 6749 4.4).
    ClientCredentials,
    /// A code that a user's browser brought (RFC 6749 4.1.3, RFC 7636 4.5).
    AuthorizationCode {
        code: &'a Secret,
        redirect_uri: &'a str,
        verifier: &'a Secret,
    },
    /// A refresh token (RFC 6749 6).
    RefreshToken(&'a Secret),
    /// A device code (RFC 8628 3.4).
    DeviceCode(&'a Secret),
    /// A user's token (RFC 7523 2.1, with Entra's `requested_token_use`).
    OnBehalfOf(&'a Secret),
}

impl Grant<'_> {
    fn operation(&self) -> Operation {
        match self {
            // Entra's refresh tokens may be used again.
            Self::ClientCredentials | Self::RefreshToken(_) | Self::OnBehalfOf(_) => {
                Operation::Idempotent
            }
            Self::AuthorizationCode { .. } => Operation::Once,
            Self::DeviceCode(_) => Operation::Unsafe,
        }
    }

    fn append_to(&self, form: &mut Serializer<'_, String>) {
        // Who signed in is said beside the token (`client_info`), as Microsoft's libraries ask it.
        match self {
            Self::ClientCredentials => {
                form.append_pair("grant_type", "client_credentials");
            }
            Self::AuthorizationCode {
                code,
                redirect_uri,
                verifier,
            } => {
                form.append_pair("grant_type", "authorization_code");
                form.append_pair("code", code.expose());
                form.append_pair("redirect_uri", redirect_uri);
                form.append_pair("code_verifier", verifier.expose());
                form.append_pair("client_info", "1");
            }
            Self::RefreshToken(token) => {
                form.append_pair("grant_type", "refresh_token");
                form.append_pair("refresh_token", token.expose());
                form.append_pair("client_info", "1");
            }
            Self::DeviceCode(code) => {
                form.append_pair("grant_type", "urn:ietf:params:oauth:grant-type:device_code");
                form.append_pair("device_code", code.expose());
                form.append_pair("client_info", "1");
            }
            Self::OnBehalfOf(token) => {
                form.append_pair("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer");
                form.append_pair("assertion", token.expose());
                form.append_pair("requested_token_use", "on_behalf_of");
            }
        }
    }
}

/// What the token endpoint issued, with the service's time of day.
pub(crate) struct Issued {
    pub(crate) data: TokenData,
    pub(crate) refresh_token: Option<Secret>,
    pub(crate) id_token: Option<Secret>,
    pub(crate) client_info: Option<String>,
    pub(crate) date: Option<OffsetDateTime>,
}

/// RFC 6749 5.1, with `refresh_in` of Entra. Some services send numbers as text.
#[derive(Deserialize)]
struct TokenResponse {
    access_token: Secret,
    token_type: String,
    #[serde(deserialize_with = "seconds")]
    expires_in: u64,
    #[serde(default, deserialize_with = "optional_seconds")]
    refresh_in: Option<u64>,
    refresh_token: Option<Secret>,
    id_token: Option<Secret>,
    client_info: Option<String>,
}

impl TokenResponse {
    fn into_issued(self, started: OffsetDateTime) -> Option<Issued> {
        let after = |seconds: u64| {
            let seconds = i64::try_from(seconds).ok()?;
            started.checked_add(time::Duration::seconds(seconds))
        };
        let expires_on = after(self.expires_in)?;
        // A refresh at once would make every caller refresh.
        let refresh_on = self
            .refresh_in
            .filter(|seconds| *seconds > 0)
            .and_then(after);
        let data = TokenData::new(self.access_token.expose(), expires_on, refresh_on).ok()?;
        Some(Issued {
            data: data.issued_at(started),
            refresh_token: self.refresh_token,
            id_token: self.id_token,
            client_info: self.client_info,
            date: None,
        })
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Seconds {
    Number(u64),
    Text(String),
}

/// A whole number, or a text of one.
pub(crate) fn seconds<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    match Seconds::deserialize(deserializer)? {
        Seconds::Number(seconds) => Ok(seconds),
        Seconds::Text(text) => text.trim().parse().map_err(serde::de::Error::custom),
    }
}

pub(crate) fn optional_seconds<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<u64>, D::Error> {
    seconds(deserializer).map(Some)
}

/// RFC 7523 2.2.
const CLIENT_ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
