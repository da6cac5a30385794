//! Where the browser comes back to, and what kind of client waits there.

use std::fmt;

use url::{Host, Url};

/// A redirect URI, and the kind of client that it makes.
///
/// It has to be registered with the application letter by letter, on the platform that
/// [`platform`](Self::platform) names (Microsoft Learn, "Redirect URI (reply URL) outline and
/// restrictions"). It is configured and never derived from a request: whoever sends the request
/// chooses its `Host`.
///
/// ```
/// use entra_oidc::{Platform, RedirectUri};
///
/// let web = RedirectUri::web("https://pw.example.com/auth/contoso/callback")?;
/// assert_eq!(web.platform(), Platform::Web);
/// let phone = RedirectUri::custom_scheme("psrmobile://auth")?;
/// assert_eq!(phone.platform(), Platform::Native);
/// assert!(RedirectUri::web("http://pw.example.com/callback").is_err());
/// # Ok::<(), entra_oidc::RedirectUriError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RedirectUri {
    text: String,
    kind: Kind,
}

impl RedirectUri {
    /// A web server's: https, or http on `localhost` for development. A server keeps a credential.
    ///
    /// # Errors
    /// [`RedirectUriError`] where it cannot be registered as such.
    pub fn web(uri: &str) -> Result<Self, RedirectUriError> {
        let url = parse(uri)?;
        let is_local = url.host() == Some(Host::Domain("localhost"));
        match url.scheme() {
            "https" => {}
            "http" if is_local => {}
            "http" => return Err(RedirectUriError::NotHttps),
            _ => return Err(RedirectUriError::Scheme),
        }
        if is_wildcard(&url) {
            return Err(RedirectUriError::Wildcard);
        }
        if !uri.starts_with(&url.origin().ascii_serialization()) {
            return Err(RedirectUriError::Spelling);
        }
        Ok(Self::new(uri, Kind::Web))
    }

    /// A program's with a browser in a window of its own, which looks at where that goes (Entra's
    /// `nativeclient`). `login` is the cloud's sign-in URL.
    pub fn native_client(cloud: &entra_core::Cloud) -> Self {
        let uri = format!("{}common/oauth2/nativeclient", cloud.login_url());
        Self::new(&uri, Kind::NativeClient)
    }

    /// A program's with the system's browser, which comes back to a port of this machine (RFC 8252
    /// 7.3). The port is chosen when it listens; Entra passes over the port of `localhost`.
    pub fn loopback() -> Self {
        Self::new("http://localhost", Kind::Loopback)
    }

    /// An app's on a phone or desktop, to which the system hands a scheme of its own (RFC 8252
    /// 7.1): `psrmobile://auth`, `msal{client id}://auth`.
    ///
    /// # Errors
    /// [`RedirectUriError`] where it cannot be registered as such.
    pub fn custom_scheme(uri: &str) -> Result<Self, RedirectUriError> {
        let url = parse(uri)?;
        if RESERVED_SCHEMES.contains(&url.scheme()) {
            return Err(RedirectUriError::Scheme);
        }
        Ok(Self::new(uri, Kind::CustomScheme))
    }

    /// A Chromium extension's: `https://{id}.chromiumapp.org/`, which exists inside
    /// `chrome.identity.launchWebAuthFlow` alone. The id has 32 letters of a to p.
    ///
    /// # Errors
    /// [`RedirectUriError`] where it cannot be registered as such.
    pub fn chromium_extension(id: &str) -> Result<Self, RedirectUriError> {
        if id.len() != 32 || !id.bytes().all(|byte| (b'a'..=b'p').contains(&byte)) {
            return Err(RedirectUriError::ExtensionId);
        }
        let uri = format!("https://{id}.chromiumapp.org/");
        Ok(Self::new(&uri, Kind::Extension))
    }

    /// A Firefox extension's: `https://{hash}.extensions.allizom.org/`, as
    /// `browser.identity.getRedirectURL()` gives it. The hash has 40 hexadecimal digits.
    ///
    /// # Errors
    /// [`RedirectUriError`] where it cannot be registered as such.
    pub fn firefox_extension(hash: &str) -> Result<Self, RedirectUriError> {
        let is_hash = hash.len() == 40
            && hash
                .bytes()
                .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        if !is_hash {
            return Err(RedirectUriError::ExtensionId);
        }
        let uri = format!("https://{hash}.extensions.allizom.org/");
        Ok(Self::new(&uri, Kind::Extension))
    }

    /// On which platform of the application it is registered.
    pub fn platform(&self) -> Platform {
        match self.kind {
            Kind::Web => Platform::Web,
            _ => Platform::Native,
        }
    }

    /// The text, as it is registered and sent.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the browser that comes back has this product's cookies: it then carries the pending
    /// login. A client without them keeps a handle.
    pub(crate) fn has_cookies(&self) -> bool {
        self.kind == Kind::Web
    }

    /// Whether a form can be sent here from another site: to a web server, with cookies that need
    /// https. A native app or an extension is handed a URL.
    pub(crate) fn takes_forms(&self) -> bool {
        self.has_cookies() && self.is_https()
    }

    /// Whether cookies can be limited to https.
    pub(crate) fn is_https(&self) -> bool {
        self.text.starts_with("https://")
    }

    /// The same on the port that a listener was given.
    #[cfg(feature = "loopback")]
    pub(crate) fn at_port(&self, port: u16) -> Self {
        Self::new(&format!("{}:{port}", self.text), Kind::Loopback)
    }

    /// Whether `other` is this loopback address at some port.
    pub(crate) fn is_loopback_of(&self, other: &str) -> bool {
        let port = other.strip_prefix("http://localhost:");
        let is_port = port.is_some_and(|port| port.parse::<u16>().is_ok());
        self.kind == Kind::Loopback && is_port
    }

    fn new(text: &str, kind: Kind) -> Self {
        Self {
            text: text.to_owned(),
            kind,
        }
    }
}

impl fmt::Display for RedirectUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The list of an application's registration in which a redirect URI stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Platform {
    /// `web`: a server with a credential.
    Web,
    /// `publicClient`: a program on a user's machine, without one.
    Native,
}

/// Why a text is no redirect URI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RedirectUriError {
    /// It is no absolute URI.
    #[error("the redirect URI is no absolute URI")]
    NotAbsolute,
    /// It has a fragment (RFC 6749 3.1.2).
    #[error("the redirect URI has a fragment")]
    Fragment,
    /// It has a user or a password.
    #[error("the redirect URI has a user")]
    User,
    /// It has more than 256 characters (Microsoft Learn, "Redirect URI (reply URL) outline and
    /// restrictions").
    #[error("the redirect URI has more than 256 characters")]
    TooLong,
    /// Its scheme and host are not written as a browser writes them, which is how the answer comes
    /// back: in small letters, with two slashes between.
    #[error("scheme and host of the redirect URI are not in small letters with :// between")]
    Spelling,
    /// It has one of the characters that Entra does not register.
    #[error("the redirect URI has one of ! $ ' ( ) , ; \\ or white space")]
    Character,
    /// Plain http beyond `localhost`.
    #[error("the redirect URI must be reached by https; plain http is for localhost only")]
    NotHttps,
    /// Its scheme is one of the web's where an app's own is expected, or the other way round.
    #[error("the redirect URI has a scheme of another kind of client")]
    Scheme,
    /// It has a wildcard: codes would go wherever somebody can answer (RFC 9700 2.1).
    #[error("the redirect URI has a wildcard")]
    Wildcard,
    /// The id of an extension cannot be one.
    #[error("it is no id of a browser extension")]
    ExtensionId,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Web,
    NativeClient,
    Loopback,
    CustomScheme,
    Extension,
}

fn parse(uri: &str) -> Result<Url, RedirectUriError> {
    if uri.len() > MAX_LENGTH {
        return Err(RedirectUriError::TooLong);
    }
    if uri.contains(|c: char| FORBIDDEN.contains(c) || c.is_whitespace() || c.is_control()) {
        return Err(RedirectUriError::Character);
    }
    let url = Url::parse(uri).map_err(|_| RedirectUriError::NotAbsolute)?;
    if url.fragment().is_some() {
        return Err(RedirectUriError::Fragment);
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(RedirectUriError::User);
    }
    Ok(url)
}

fn is_wildcard(url: &Url) -> bool {
    url.as_str().contains('*')
}

const MAX_LENGTH: usize = 256;
/// Entra's, and what a browser takes for a slash.
const FORBIDDEN: &str = "!$'(),;\\";
/// Schemes that a browser follows, runs or shows by itself.
const RESERVED_SCHEMES: [&str; 9] = [
    "http",
    "https",
    "javascript",
    "data",
    "file",
    "about",
    "blob",
    "ftp",
    "vbscript",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_web_client_is_reached_by_https_or_on_localhost() {
        for accepted in [
            "https://pw.example.com/auth/callback",
            "https://pw.example.com",
            "http://localhost:8400/callback",
            "https://localhost/signin-oidc?x=1",
        ] {
            let uri = RedirectUri::web(accepted).unwrap();
            assert_eq!((uri.as_str(), uri.platform()), (accepted, Platform::Web));
        }
        for (refused, expected) in [
            ("/callback", RedirectUriError::NotAbsolute),
            ("", RedirectUriError::NotAbsolute),
            ("http://pw.example.com/", RedirectUriError::NotHttps),
            ("http://127.0.0.1/", RedirectUriError::NotHttps),
            ("http://localhost.evil.example/", RedirectUriError::NotHttps),
            ("psrmobile://auth", RedirectUriError::Scheme),
            ("https://pw.example.com/#x", RedirectUriError::Fragment),
            ("https://pw@evil.example/", RedirectUriError::User),
            ("https://*.example.com/", RedirectUriError::Wildcard),
            ("https://pw.example.com/a b", RedirectUriError::Character),
            ("https://pw.example.com/(a)", RedirectUriError::Character),
            ("https:\\\\pw.example.com\\cb", RedirectUriError::Character),
            // What a URL parser mends: whether cookies need https is read from the text.
            ("HTTPS://pw.example.com/cb", RedirectUriError::Spelling),
            ("https:pw.example.com/cb", RedirectUriError::Spelling),
            ("https:///pw.example.com/cb", RedirectUriError::Spelling),
            ("https://PW.example.com/cb", RedirectUriError::Spelling),
        ] {
            assert_eq!(RedirectUri::web(refused), Err(expected), "{refused}");
        }
        let long = format!("https://pw.example.com/{}", "a".repeat(240));
        assert_eq!(RedirectUri::web(&long), Err(RedirectUriError::TooLong));
    }

    #[test]
    fn an_app_has_a_scheme_of_its_own() {
        assert!(RedirectUri::custom_scheme("psrmobile://auth").is_ok());
        for refused in ["https://a.example", "javascript:alert", "data:text/html,x"] {
            let error = RedirectUri::custom_scheme(refused).unwrap_err();
            let expected = [RedirectUriError::Scheme, RedirectUriError::Character];
            assert!(expected.contains(&error), "{refused}");
        }
    }

    #[test]
    fn an_extension_is_known_by_its_id() {
        let chromium = RedirectUri::chromium_extension("abcdefghijklmnopabcdefghijklmnop");
        assert_eq!(
            chromium.unwrap().as_str(),
            "https://abcdefghijklmnopabcdefghijklmnop.chromiumapp.org/"
        );
        let firefox = RedirectUri::firefox_extension("0123456789abcdef0123456789abcdef01234567");
        assert_eq!(firefox.unwrap().platform(), Platform::Native);
        for refused in ["", "evil.example/", "ABCDEFGHIJKLMNOPABCDEFGHIJKLMNOP"] {
            assert!(RedirectUri::chromium_extension(refused).is_err());
            assert!(RedirectUri::firefox_extension(refused).is_err());
        }
    }
}
