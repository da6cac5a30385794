//! Which redirect URIs a registration accepts, before the tenant is asked.
//!
//! Source: Microsoft Learn, "Redirect URI (reply URL) outline and restrictions".

use std::fmt;

use url::{Host, Url};

/// The platform of a redirect URI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Platform {
    /// A server that keeps a secret.
    Web,
    /// A page in the browser, which proves itself by PKCE.
    SinglePage,
    /// A program on a device: loopback, custom schemes, the platform's own client URI.
    PublicClient,
}

impl Platform {
    pub(super) const ALL: [Self; 3] = [Self::Web, Self::SinglePage, Self::PublicClient];

    /// As the portal names it.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Web => "Web",
            Self::SinglePage => "Single-page application",
            Self::PublicClient => "Mobile and desktop applications",
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Web => "web",
            Self::SinglePage => "single-page",
            Self::PublicClient => "public client",
        })
    }
}

/// Why a redirect URI would be refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum RedirectUriFault {
    /// It is no absolute URI.
    #[error("it is not an absolute URI")]
    NotAUri,
    /// It is longer than 256 characters.
    #[error("it is longer than 256 characters")]
    TooLong,
    /// It carries a fragment (RFC 6749 3.1.2).
    #[error("it carries a fragment")]
    Fragment,
    /// It contains white space, one of `! $ ' ( ) , ;` or a wildcard.
    #[error("it contains white space, one of ! $ ' ( ) , ; or a wildcard")]
    Character,
    /// It carries a user or a password.
    #[error("it carries a user name or a password")]
    UserInfo,
    /// It is plain http beyond this machine.
    #[error("it must be https, or http on localhost")]
    NotHttps,
    /// It has a scheme of its own, which only public clients may have.
    #[error("a scheme of its own is for public clients only")]
    CustomScheme,
    /// It is the IPv6 loopback address, which Entra does not take.
    #[error("the IPv6 loopback address is not supported; localhost is")]
    Ipv6Loopback,
    /// The id of a browser extension in it is no such id.
    #[error(
        "the id of the browser extension is not 32 letters from a to p, or not 40 hexadecimal digits for Firefox"
    )]
    ExtensionId,
    /// The same URI stands under two platforms.
    #[error("the same URI stands under two platforms")]
    TwoPlatforms,
}

/// What the registration would refuse.
pub(super) fn check(platform: Platform, uri: &str) -> Result<(), RedirectUriFault> {
    if uri.chars().count() > 256 {
        return Err(RedirectUriFault::TooLong);
    }
    // The parser drops some white space silently; the registration would keep it.
    let is_blank = |c: char| c.is_whitespace() || c.is_control();
    if uri.contains(is_blank) || uri.contains(['!', '$', '\'', '(', ')', ',', ';', '*']) {
        return Err(RedirectUriFault::Character);
    }
    let url = Url::parse(uri).map_err(|_| RedirectUriFault::NotAUri)?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(RedirectUriFault::UserInfo);
    }
    if url.fragment().is_some() {
        return Err(RedirectUriFault::Fragment);
    }
    if !has_extension_id(&url) {
        return Err(RedirectUriFault::ExtensionId);
    }
    match (url.scheme(), platform) {
        ("https", _) => Ok(()),
        ("http", _) if matches!(url.host(), Some(Host::Ipv6(host)) if host.is_loopback()) => {
            Err(RedirectUriFault::Ipv6Loopback)
        }
        ("http", _) if is_localhost(&url, platform) => Ok(()),
        ("http", _) => Err(RedirectUriFault::NotHttps),
        (_, Platform::PublicClient) => Ok(()),
        _ => Err(RedirectUriFault::CustomScheme),
    }
}

/// `localhost` everywhere; the loopback address for public clients only (RFC 8252 7.3).
fn is_localhost(url: &Url, platform: Platform) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        Some(Host::Ipv4(address)) => platform == Platform::PublicClient && address.is_loopback(),
        Some(Host::Ipv6(_)) | None => false,
    }
}

/// Whether the host is no browser extension's, or that of a well-formed id: a browser makes the
/// name of the id, so that with another one nobody is ever sent back.
fn has_extension_id(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    if let Some(id) = host.strip_suffix(".chromiumapp.org") {
        return id.len() == 32 && id.bytes().all(|byte| (b'a'..=b'p').contains(&byte));
    }
    if let Some(id) = host.strip_suffix(".extensions.allizom.org") {
        return id.len() == 40 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_platform_accepts_its_own_forms() {
        use Platform::{PublicClient, SinglePage, Web};
        let long = format!("https://host.example/{}", "a".repeat(240));
        for (platform, uri, expected) in [
            (Web, "https://host.example/callback", Ok(())),
            (Web, "http://localhost:8080/callback", Ok(())),
            (
                Web,
                "https://abcdefghijklmnopabcdefghijklmnop.chromiumapp.org",
                Ok(()),
            ),
            (
                Web,
                "http://127.0.0.1/callback",
                Err(RedirectUriFault::NotHttps),
            ),
            (
                Web,
                "http://host.example/callback",
                Err(RedirectUriFault::NotHttps),
            ),
            (Web, "psrmobile://auth", Err(RedirectUriFault::CustomScheme)),
            (Web, "/callback", Err(RedirectUriFault::NotAUri)),
            (
                Web,
                "https://*.host.example/",
                Err(RedirectUriFault::Character),
            ),
            (
                Web,
                "https://host.example/a;b",
                Err(RedirectUriFault::Character),
            ),
            (
                Web,
                "https://host.example/#top",
                Err(RedirectUriFault::Fragment),
            ),
            (Web, &long, Err(RedirectUriFault::TooLong)),
            (
                SinglePage,
                "psrmobile://auth",
                Err(RedirectUriFault::CustomScheme),
            ),
            (PublicClient, "psrmobile://auth", Ok(())),
            (PublicClient, "http://127.0.0.1", Ok(())),
            (
                PublicClient,
                "http://[::1]/",
                Err(RedirectUriFault::Ipv6Loopback),
            ),
            (Web, "http://[::1]/", Err(RedirectUriFault::Ipv6Loopback)),
            (
                SinglePage,
                "https://abcdefghijklmnopabcdefghijklmnoq.chromiumapp.org/",
                Err(RedirectUriFault::ExtensionId),
            ),
            (
                SinglePage,
                "https://abc.chromiumapp.org/",
                Err(RedirectUriFault::ExtensionId),
            ),
            (
                SinglePage,
                "https://0123456789abcdef0123456789abcdef01234567.extensions.allizom.org/",
                Ok(()),
            ),
            (
                Web,
                "https://acme@example.extensions.allizom.org/",
                Err(RedirectUriFault::UserInfo),
            ),
            (
                Web,
                "https://acme.extensions.allizom.org/",
                Err(RedirectUriFault::ExtensionId),
            ),
            (
                PublicClient,
                "http://localhost.example",
                Err(RedirectUriFault::NotHttps),
            ),
        ] {
            assert_eq!(check(platform, uri), expected, "{platform}: {uri}");
        }
    }
}
