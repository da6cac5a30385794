//! Cookies (RFC 6265bis): read from a request, written for a response.

use std::fmt;

use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};

/// How a cookie of this product is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CookieKind {
    /// Whether the product is reached by https. `http://localhost` is for development alone.
    pub(crate) is_secure: bool,
    /// Whether it comes along when another site sends a form here.
    pub(crate) crosses_sites: bool,
}

impl CookieKind {
    /// `__Host-` ties a cookie to this host, to https and to the whole site (RFC 6265bis 4.1.3.2).
    pub(crate) fn name(self, name: &str) -> String {
        let prefix = if self.is_secure { HOST } else { "" };
        format!("{prefix}{name}")
    }

    /// The header that sets it, for so many seconds.
    pub(crate) fn set(self, name: &str, value: &str, max_age: u64) -> Option<HeaderValue> {
        let same_site = if self.crosses_sites { "None" } else { "Lax" };
        let secure = if self.is_secure { "; Secure" } else { "" };
        let text = format!(
            "{name}={value}; Path=/; Max-Age={max_age}; HttpOnly; SameSite={same_site}{secure}"
        );
        let mut header = HeaderValue::try_from(text).ok()?;
        header.set_sensitive(true);
        Some(header)
    }

    /// The header that takes it away.
    pub(crate) fn clear(self, name: &str) -> Option<HeaderValue> {
        self.set(name, "", 0)
    }
}

/// The cookies of a request.
#[derive(Clone, Default)]
pub(crate) struct Cookies(Vec<(String, String)>);

impl Cookies {
    /// Those whose name begins so, after `__Host-` or without it. A browser sends a few; more than
    /// that are passed over.
    pub(crate) fn starting_with(headers: &HeaderMap, prefix: &str) -> Self {
        let is_own = |name: &str| name.strip_prefix(HOST).unwrap_or(name).starts_with(prefix);
        let pairs = headers
            .get_all(COOKIE)
            .iter()
            .filter_map(|header| header.to_str().ok())
            .flat_map(|header| header.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .filter(|(name, _)| is_own(name))
            .take(MOST)
            .map(|(name, value)| (name.to_owned(), value.trim_matches('"').to_owned()))
            .collect();
        Self(pairs)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let mut found = self.0.iter().filter(|(own, _)| own == name);
        found.next().map(|(_, value)| value.as_str())
    }

    /// The cookie of this name, with or without `__Host-`.
    pub(crate) fn either(&self, name: &str) -> Option<&str> {
        let host = self.get(&format!("{HOST}{name}"));
        host.or_else(|| self.get(name))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl fmt::Debug for Cookies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} cookies", self.0.len())
    }
}

const HOST: &str = "__Host-";
const MOST: usize = 50;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_tied_to_host_https_and_site() {
        let lax = CookieKind {
            is_secure: true,
            crosses_sites: false,
        };
        let name = lax.name("entra_tx_a");
        assert_eq!(name, "__Host-entra_tx_a");
        assert_eq!(
            lax.set(&name, "v", 600).unwrap(),
            "__Host-entra_tx_a=v; Path=/; Max-Age=600; HttpOnly; SameSite=Lax; Secure"
        );
        let posted = CookieKind {
            crosses_sites: true,
            ..lax
        };
        assert_eq!(
            posted.clear(&name).unwrap(),
            "__Host-entra_tx_a=; Path=/; Max-Age=0; HttpOnly; SameSite=None; Secure"
        );
        let local = CookieKind {
            is_secure: false,
            crosses_sites: false,
        };
        assert_eq!(local.name("a"), "a");
    }

    #[test]
    fn cookies_of_several_headers_are_read() {
        let mut headers = HeaderMap::new();
        headers.append(
            COOKIE,
            HeaderValue::from_static("a=1; tx_b=2;tx_c=\"3\"; broken"),
        );
        headers.append(COOKIE, HeaderValue::from_static("tx_d=4=5"));
        let cookies = Cookies::starting_with(&headers, "tx_");
        assert_eq!(
            cookies.iter().collect::<Vec<_>>(),
            [("tx_b", "2"), ("tx_c", "3"), ("tx_d", "4=5")]
        );
        assert_eq!(cookies.get("a"), None);
        assert_eq!(format!("{cookies:?}"), "3 cookies");
        let many = "tx_x=1;".repeat(10_000);
        headers.insert(COOKIE, HeaderValue::from_str(&many).unwrap());
        assert_eq!(Cookies::starting_with(&headers, "tx_").iter().count(), 50);
    }
}
