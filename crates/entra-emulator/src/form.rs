//! The form of a token request (RFC 6749 4.1.3 and 3.2.1).

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::Request;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, ORIGIN};

use crate::client_assertion::{ASSERTION_TYPE, ClientAssertion};
use crate::refusal::Refusal;

/// The parameters of a request; empty ones count as missing (RFC 6749 3.2).
#[derive(Debug)]
pub(crate) struct Form {
    parameters: HashMap<String, String>,
    origin: Option<String>,
}

impl Form {
    /// The body, and the client's id and secret from an `Authorization: Basic` header, where the
    /// body leaves them out.
    pub(crate) fn read(request: &Request<Bytes>) -> Self {
        let header = |name: HeaderName| {
            request
                .headers()
                .get(name)
                .and_then(|value| value.to_str().ok())
        };
        let is_form = header(CONTENT_TYPE)
            .is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
        let body: &[u8] = if is_form { request.body() } else { &[] };
        let mut form = Self::parse(body);
        if let Some((id, secret)) = header(AUTHORIZATION).and_then(basic_credentials) {
            let parameters = &mut form.parameters;
            parameters.entry("client_id".to_owned()).or_insert(id);
            parameters
                .entry("client_secret".to_owned())
                .or_insert(secret);
        }
        form.origin = header(ORIGIN).map(str::to_owned);
        form
    }

    /// A form or a query as it stands.
    pub(crate) fn parse(text: &[u8]) -> Self {
        let mut parameters = HashMap::new();
        for (name, value) in url::form_urlencoded::parse(text) {
            if !value.is_empty() {
                parameters
                    .entry(name.into_owned())
                    .or_insert_with(|| value.into_owned());
            }
        }
        Self {
            parameters,
            origin: None,
        }
    }

    /// One parameter.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(String::as_str)
    }

    /// One that must be there.
    pub(crate) fn required(&self, name: &str) -> Result<&str, Refusal> {
        self.get(name)
            .ok_or_else(|| Refusal::missing_parameter(name))
    }

    /// The header `Origin`: the page that asks.
    pub(crate) fn origin(&self) -> Option<&str> {
        self.origin.as_deref()
    }

    /// `client_assertion`, taken apart.
    pub(crate) fn assertion(&self) -> Result<Option<ClientAssertion<'_>>, Refusal> {
        let Some(assertion) = self.get("client_assertion") else {
            return Ok(None);
        };
        if self.required("client_assertion_type")? != ASSERTION_TYPE {
            return Err(Refusal::invalid_assertion(
                "The 'client_assertion_type' is not supported.",
            ));
        }
        ClientAssertion::parse(assertion).map(Some)
    }

    /// `client_id`, or the subject of the assertion, with which a request may leave it out
    /// (RFC 7521 4.2). In lower case, as the directory keeps it.
    pub(crate) fn client_id(&self) -> Result<String, Refusal> {
        if let Some(id) = self.get("client_id") {
            return Ok(id.to_lowercase());
        }
        match self.assertion()? {
            Some(assertion) => Ok(assertion.subject().to_lowercase()),
            None => Err(Refusal::missing_parameter("client_id")),
        }
    }
}

/// RFC 6749 2.3.1: both parts are form-encoded before base64.
fn basic_credentials(header: &str) -> Option<(String, String)> {
    let (scheme, credentials) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let credentials = String::from_utf8(STANDARD.decode(credentials.trim()).ok()?).ok()?;
    let (id, secret) = credentials.split_once(':')?;
    Some((form_decoded(id)?, form_decoded(secret)?))
}

fn form_decoded(text: &str) -> Option<String> {
    // A client that forgot to encode may still send an ampersand.
    let pair = format!("={}", text.replace('&', "%26"));
    let (_, value) = url::form_urlencoded::parse(pair.as_bytes()).next()?;
    Some(value.into_owned())
}
