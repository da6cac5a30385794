//! What comes back to the redirect URI, read before anything is believed.

use std::fmt;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, Method, Uri};
use url::{Url, form_urlencoded};

use crate::begin::PendingLogin;
use crate::cookie::Cookies;
use crate::options::ResponseMode;
use crate::transaction::pending_cookies;
use crate::{CallbackRefusal, ProviderError};

/// What came back to the redirect URI. Reading it never fails; [`EntraLogin::finish`] says what is
/// wrong with it.
///
/// [`EntraLogin::finish`]: crate::EntraLogin::finish
pub struct Callback {
    pub(crate) answer: Result<Answer, CallbackRefusal>,
    pub(crate) place: Place,
    pub(crate) cookies: Cookies,
    pub(crate) handle: Option<PendingLogin>,
}

impl Callback {
    /// The request of a browser at a web server, of either method. The body is that of a POST, read
    /// up to 128 KiB and a byte. `uri` has the path that the browser asked for: where a proxy or a
    /// router took something off its front, put that back.
    pub fn from_parts(method: &Method, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> Self {
        Self {
            answer: answer(method, uri, headers, body),
            place: Place::Path(uri.path().to_owned()),
            cookies: pending_cookies(headers),
            handle: None,
        }
    }

    /// The URL with which the browser came back to a native app, a phone or an extension, and the
    /// handle that the client kept since the login was begun. Whether it is the redirect URI of
    /// this login is checked (RFC 8252 8.10). The query alone does as well where the client knows
    /// that.
    pub fn of_client(handle: PendingLogin, url: &str) -> Self {
        let (before, query) = url.split_once('?').unwrap_or(("", url));
        let query = query.split('#').next().unwrap_or_default();
        let place = match before {
            "" => Place::Unknown,
            uri => Place::Uri(uri.to_owned()),
        };
        Self {
            answer: Answer::read(ResponseMode::Query, query.as_bytes()),
            place,
            cookies: Cookies::default(),
            handle: Some(handle),
        }
    }
}

impl fmt::Debug for Callback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Callback")
            .field("refusal", &self.answer.as_ref().err())
            .field("cookies", &self.cookies)
            .field("handle", &self.handle)
            .finish_non_exhaustive()
    }
}

/// Where an answer came to.
pub(crate) enum Place {
    /// The path at a web server.
    Path(String),
    /// The address at which a client was called, without the query.
    Uri(String),
    /// The client does not say.
    Unknown,
}

impl Place {
    /// Whether it can be the redirect URI. A browser puts a slash behind a host without a path, and
    /// writes scheme and host in small letters.
    pub(crate) fn can_be(&self, redirect_uri: &str) -> bool {
        let expected = redirect_uri.split('?').next().unwrap_or_default();
        let plain = |text: &str| text.trim_end_matches('/').to_ascii_lowercase();
        match self {
            Self::Path(path) => Url::parse(expected).is_ok_and(|url| url.path() == path),
            Self::Uri(uri) => plain(uri) == plain(expected),
            Self::Unknown => true,
        }
    }
}

/// The parameters of an answer, each of which stands there once.
pub(crate) struct Answer {
    pub(crate) mode: ResponseMode,
    parameters: Vec<(&'static str, String)>,
}

impl Answer {
    /// Reads a query or a form. Parameters that nobody knows are passed over (RFC 6749 4.1.2).
    fn read(mode: ResponseMode, text: &[u8]) -> Result<Self, CallbackRefusal> {
        if text.len() > MAX_LENGTH {
            return Err(CallbackRefusal::TooLarge { limit: MAX_LENGTH });
        }
        let mut parameters: Vec<(&'static str, String)> = Vec::new();
        for (name, value) in form_urlencoded::parse(text) {
            let Some(known) = KNOWN.iter().find(|known| **known == name) else {
                continue;
            };
            if parameters.iter().any(|(found, _)| found == known) {
                return Err(CallbackRefusal::DuplicateParameter(known));
            }
            parameters.push((known, value.into_owned()));
        }
        Ok(Self { mode, parameters })
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let mut found = self.parameters.iter().filter(|(own, _)| *own == name);
        found.next().map(|(_, value)| value.as_str())
    }

    /// A parameter with something in it.
    pub(crate) fn filled(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|value| !value.is_empty())
    }

    /// The provider's refusal, if it is one (OpenID Connect Core 3.1.2.6).
    pub(crate) fn provider_error(&self) -> Option<ProviderError> {
        Some(ProviderError::new(
            self.get("error")?,
            self.get("error_description"),
            self.get("error_subcode"),
            self.get("claims"),
        ))
    }
}

fn answer(
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Answer, CallbackRefusal> {
    let query = uri.query().unwrap_or_default().as_bytes();
    match *method {
        Method::GET => Answer::read(ResponseMode::Query, query),
        Method::POST => {
            if !is_of_type(headers, FORM) {
                return Err(CallbackRefusal::Malformed("no form"));
            }
            let form = Answer::read(ResponseMode::FormPost, body)?;
            // Of two places only one was filled by the provider.
            let beside = Answer::read(ResponseMode::Query, query)?;
            match beside.parameters.first() {
                Some((name, _)) => Err(CallbackRefusal::UnexpectedParameter(name)),
                None => Ok(form),
            }
        }
        _ => Err(CallbackRefusal::Malformed("neither a GET nor a POST")),
    }
}

/// Whether a body is of this media type, whatever its parameters are (RFC 9110 8.3.1).
pub(crate) fn is_of_type(headers: &HeaderMap, expected: &str) -> bool {
    let content_type = headers
        .get(CONTENT_TYPE)
        .and_then(|text| text.to_str().ok());
    let essence = content_type.and_then(|text| text.split(';').next());
    essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case(expected))
}

const FORM: &str = "application/x-www-form-urlencoded";
/// A hybrid answer with two hundred groups in its ID token has a tenth of it.
const MAX_LENGTH: usize = 128 << 10;
/// Every parameter of an answer that means something, and those that must not come.
const KNOWN: [&str; 11] = [
    "code",
    "state",
    "error",
    "error_description",
    "error_subcode",
    "claims",
    "iss",
    "id_token",
    "access_token",
    "response",
    "client_info",
];

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn read(
        method: Method,
        uri: &str,
        kind: Option<&str>,
        body: &str,
    ) -> Result<Answer, CallbackRefusal> {
        let mut headers = HeaderMap::new();
        if let Some(kind) = kind {
            headers.insert(CONTENT_TYPE, HeaderValue::from_str(kind).unwrap());
        }
        answer(&method, &uri.parse().unwrap(), &headers, body.as_bytes())
    }

    #[test]
    fn a_parameter_stands_there_once() {
        for name in KNOWN {
            let found = read(Method::GET, &format!("/cb?{name}=a&x=1&{name}=b"), None, "");
            assert_eq!(found.err(), Some(CallbackRefusal::DuplicateParameter(name)));
        }
        // Also where one is written otherwise.
        let found = read(Method::GET, "/cb?code=a&c%6fde=b", None, "");
        assert_eq!(
            found.err(),
            Some(CallbackRefusal::DuplicateParameter("code"))
        );
        let found = read(
            Method::GET,
            "/cb?code=a&state=s&session_state=x&session_state=y",
            None,
            "",
        );
        assert_eq!(found.unwrap().get("code"), Some("a"));
    }

    #[test]
    fn a_form_is_a_form() {
        let form = "application/x-www-form-urlencoded";
        let posted = |kind, uri, body| read(Method::POST, uri, kind, body);
        let answer = posted(
            Some("Application/X-WWW-Form-Urlencoded; charset=UTF-8"),
            "/cb",
            "code=a%2Bb+c",
        )
        .unwrap();
        assert_eq!(answer.get("code"), Some("a+b c"));
        let no_form = Some(CallbackRefusal::Malformed("no form"));
        assert_eq!(posted(None, "/cb", "code=a").err(), no_form);
        assert_eq!(posted(Some("application/json"), "/cb", "{}").err(), no_form);
        assert_eq!(
            posted(Some("multipart/form-data; boundary=x"), "/cb", "").err(),
            no_form
        );
        assert_eq!(
            posted(Some(form), "/cb?state=b", "code=a").err(),
            Some(CallbackRefusal::UnexpectedParameter("state"))
        );
        assert_eq!(
            read(Method::PUT, "/cb", Some(form), "").err(),
            Some(CallbackRefusal::Malformed("neither a GET nor a POST"))
        );
    }

    #[test]
    fn an_answer_has_128_kib_at_the_most() {
        let form = Some("application/x-www-form-urlencoded");
        let body = format!("code={}", "a".repeat(128 << 10));
        let found = read(Method::POST, "/cb", form, &body);
        assert_eq!(
            found.err(),
            Some(CallbackRefusal::TooLarge { limit: 131_072 })
        );
    }

    #[test]
    fn a_client_may_hand_over_the_whole_url() {
        for url in [
            "code=a&state=b",
            "psrmobile://auth?code=a&state=b",
            "http://localhost:1/?code=a&state=b#f",
        ] {
            let callback = Callback::of_client(PendingLogin::from_text("h"), url);
            let answer = callback.answer.unwrap();
            assert_eq!(
                (answer.get("code"), answer.get("state")),
                (Some("a"), Some("b"))
            );
        }
    }
}
