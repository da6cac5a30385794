//! The authorization request and what is answered to it (RFC 6749 4.1.1, OpenID Connect Core 3).
//!
//! Microsoft Learn, "Microsoft identity platform and OAuth 2.0 authorization code flow" and "OpenID
//! Connect (OIDC) on the Microsoft identity platform" (parameters), "Redirect URI (reply URL)
//! outline and restrictions". Until client and redirect URI are known to belong together, an error
//! is shown and not sent on.

use serde_json::Value;
use time::{Duration, OffsetDateTime};
use url::{Host, Url};

use crate::authorization_code::Challenge;
use crate::claims_request::ClaimsRequest;
use crate::client::{Client, Platform};
use crate::form::Form;
use crate::refusal::Refusal;
use crate::scope::ScopeRequest;
use crate::tenant::Tenant;

/// A request that was checked.
#[derive(Clone, Debug)]
pub(crate) struct AuthorizationRequest {
    pub(crate) app_id: String,
    pub(crate) reply: ReplyTo,
    pub(crate) response_type: ResponseType,
    pub(crate) scope: ScopeRequest,
    /// The parameter `scope` itself.
    pub(crate) scope_text: String,
    pub(crate) nonce: Option<String>,
    pub(crate) challenge: Option<Challenge>,
    pub(crate) prompt: Prompt,
    pub(crate) login_hint: Option<String>,
    pub(crate) max_age: Option<Duration>,
    pub(crate) claims: ClaimsRequest,
    /// Whether the client asked for `client_info`.
    pub(crate) wants_client_info: bool,
}

/// Where the answer goes.
#[derive(Clone, Debug)]
pub(crate) struct ReplyTo {
    /// The redirect URI as it was sent.
    pub(crate) uri: String,
    /// What it was registered for.
    pub(crate) platform: Platform,
    pub(crate) mode: ResponseMode,
    pub(crate) state: Option<String>,
}

/// `response_type`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ResponseType {
    pub(crate) code: bool,
    pub(crate) id_token: bool,
}

/// `response_mode`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ResponseMode {
    Query,
    Fragment,
    FormPost,
}

/// `prompt`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Prompt {
    /// Whatever is needed.
    AsNeeded,
    /// Nothing may be shown.
    None,
    Login,
    Consent,
    SelectAccount,
}

/// Why a request is refused, and who learns of it.
#[derive(Debug)]
pub(crate) enum Denial {
    /// The person at the browser.
    Shown(Refusal),
    /// The client.
    Replied(Refusal, ReplyTo),
}

impl AuthorizationRequest {
    /// Checks a request, first what has to hold before anything may be sent to the redirect URI.
    pub(crate) fn parse(
        tenant: &Tenant,
        segment: &str,
        parameters: &Form,
        now: OffsetDateTime,
    ) -> Result<Self, Denial> {
        let app_id = parameters.required("client_id").map_err(Denial::Shown)?;
        let app_id = app_id.to_lowercase();
        let client = Client::for_users(tenant, segment, &app_id, now).map_err(Denial::Shown)?;
        let mut reply = reply_to(&client, parameters).map_err(Denial::Shown)?;
        Self::parse_rest(&client, parameters, &mut reply)
            .map_err(|refusal| Denial::Replied(refusal, reply))
    }

    fn parse_rest(
        client: &Client<'_>,
        parameters: &Form,
        reply: &mut ReplyTo,
    ) -> Result<Self, Refusal> {
        let response_type = ResponseType::parse(parameters.required("response_type")?)?;
        reply.mode = response_mode(parameters.get("response_mode"), response_type, reply)?;
        let scope_text = parameters.required("scope")?;
        let scope = ScopeRequest::parse(scope_text)?;
        if response_type.id_token {
            check_id_token(client, &scope, parameters)?;
        }
        Ok(Self {
            app_id: client.app_id().to_owned(),
            reply: reply.clone(),
            response_type,
            scope,
            scope_text: scope_text.to_owned(),
            nonce: parameters.get("nonce").map(str::to_owned),
            challenge: challenge(parameters)?,
            prompt: Prompt::parse(parameters.get("prompt"))?,
            login_hint: parameters.get("login_hint").map(str::to_owned),
            max_age: max_age(parameters.get("max_age"))?,
            claims: ClaimsRequest::parse(parameters.get("claims"))?,
            wants_client_info: parameters.get("client_info") == Some("1"),
        })
    }
}

impl ResponseType {
    fn parse(text: &str) -> Result<Self, Refusal> {
        let mut response_type = Self::default();
        for part in text.split_whitespace() {
            match part {
                "code" => response_type.code = true,
                "id_token" => response_type.id_token = true,
                "token" => return Err(Refusal::token_from_authorization_endpoint()),
                _ => return Err(Refusal::unsupported_response_type(text)),
            }
        }
        if response_type == Self::default() {
            return Err(Refusal::unsupported_response_type(text));
        }
        Ok(response_type)
    }
}

impl Prompt {
    fn parse(text: Option<&str>) -> Result<Self, Refusal> {
        match text {
            None => Ok(Self::AsNeeded),
            Some("none") => Ok(Self::None),
            Some("login") => Ok(Self::Login),
            Some("consent") => Ok(Self::Consent),
            Some("select_account") => Ok(Self::SelectAccount),
            Some(other) => Err(Refusal::unsupported_value("prompt", other)),
        }
    }
}

fn reply_to(client: &Client<'_>, parameters: &Form) -> Result<ReplyTo, Refusal> {
    let uri = parameters
        .get("redirect_uri")
        .ok_or_else(Refusal::no_redirect_uri)?;
    let platform = Platform::ALL
        .into_iter()
        .find(|platform| {
            client
                .redirect_uris(*platform)
                .any(|registered| is_registered(registered, uri))
        })
        .ok_or_else(|| Refusal::redirect_uri_unknown(uri, client.app_id()))?;
    // The mode that errors before `response_mode` was read come in.
    let names_id_token = parameters
        .get("response_type")
        .is_some_and(|text| text.split_whitespace().any(|part| part == "id_token"));
    Ok(ReplyTo {
        uri: uri.to_owned(),
        platform,
        mode: if names_id_token {
            ResponseMode::Fragment
        } else {
            ResponseMode::Query
        },
        state: parameters.get("state").map(str::to_owned),
    })
}

/// Letter by letter, but for the port of a loopback address, which does not count (RFC 8252 7.3;
/// Learn: "localhost exceptions").
pub(crate) fn is_registered(registered: &str, sent: &str) -> bool {
    if registered == sent {
        return Url::parse(sent).is_ok();
    }
    let (Ok(mut registered), Ok(mut sent)) = (Url::parse(registered), Url::parse(sent)) else {
        return false;
    };
    if !is_loopback(&registered) || !is_loopback(&sent) {
        return false;
    }
    registered.set_port(None).is_ok() && sent.set_port(None).is_ok() && registered == sent
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(_)) | None => false,
    }
}

/// An ID token must not come in a query.
fn response_mode(
    text: Option<&str>,
    response_type: ResponseType,
    reply: &ReplyTo,
) -> Result<ResponseMode, Refusal> {
    match text {
        None => Ok(reply.mode),
        Some("query") if !response_type.id_token => Ok(ResponseMode::Query),
        Some("fragment") => Ok(ResponseMode::Fragment),
        Some("form_post") => Ok(ResponseMode::FormPost),
        Some(other) => Err(Refusal::unsupported_response_mode(other)),
    }
}

/// The registration has to allow it, and the request to ask for it as OpenID Connect does.
fn check_id_token(
    client: &Client<'_>,
    scope: &ScopeRequest,
    parameters: &Form,
) -> Result<(), Refusal> {
    let is_enabled = client.application.get("web").and_then(|web| {
        web.get("implicitGrantSettings")?
            .get("enableIdTokenIssuance")
    }) == Some(&Value::Bool(true));
    if !is_enabled {
        return Err(Refusal::id_token_not_enabled());
    }
    if !scope.openid {
        return Err(Refusal::id_token_without_openid());
    }
    parameters.required("nonce").map(|_| ())
}

/// RFC 7636 4.3; without a method it is plain.
fn challenge(parameters: &Form) -> Result<Option<Challenge>, Refusal> {
    let method = parameters.get("code_challenge_method");
    let Some(challenge) = parameters.get("code_challenge") else {
        return match method {
            None => Ok(None),
            Some(_) => Err(Refusal::code_challenge_size()),
        };
    };
    if !(43..=128).contains(&challenge.len()) {
        return Err(Refusal::code_challenge_size());
    }
    match method {
        Some("S256") => Ok(Some(Challenge::S256(challenge.to_owned()))),
        None | Some("plain") => Ok(Some(Challenge::Plain(challenge.to_owned()))),
        Some(other) => Err(Refusal::unsupported_value("code_challenge_method", other)),
    }
}

fn max_age(text: Option<&str>) -> Result<Option<Duration>, Refusal> {
    text.map(|text| {
        let seconds: u32 = text
            .parse()
            .map_err(|_| Refusal::unsupported_value("max_age", text))?;
        Ok(Duration::seconds(seconds.into()))
    })
    .transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_uri_matches_letter_by_letter_but_for_the_port_of_a_loopback_address() {
        for (registered, sent, matches) in [
            ("https://a.example/cb", "https://a.example/cb", true),
            ("https://a.example/cb", "https://a.example/CB", false),
            ("https://a.example/cb", "https://a.example/cb/", false),
            ("https://a.example/cb", "https://a.example:8443/cb", false),
            ("https://a.example/cb", "https://a.example/cb?x=1", false),
            ("http://localhost/cb", "http://localhost:1234/cb", true),
            ("http://localhost/cb", "http://localhost:1234/other", false),
            ("http://localhost/cb", "https://localhost:1234/cb", false),
            ("http://localhost/cb", "http://127.0.0.1:1234/cb", false),
            ("http://127.0.0.1/cb", "http://127.0.0.1:1234/cb", true),
            ("http://localhost", "http://localhost:1234/", true),
            ("msal1://auth", "msal1://auth", true),
        ] {
            assert_eq!(
                is_registered(registered, sent),
                matches,
                "{registered} {sent}"
            );
        }
    }
}
