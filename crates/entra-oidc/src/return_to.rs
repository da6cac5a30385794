//! Where in the product a user goes after the login: never anywhere else.

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use url::{Origin, Url};

/// A place in the product to go to after a login.
///
/// It comes from outside (`/login?return_to=…`), so everything that a browser, or a proxy that
/// decodes once, could take for another site is refused (RFC 9700 4.11).
///
/// ```
/// use entra_oidc::ReturnTo;
///
/// assert_eq!(ReturnTo::parse("/vault?id=7#top")?.as_str(), "/vault?id=7");
/// for refused in ["//evil.example", "/\\evil.example", "/%2fevil.example", "https:evil.example"] {
///     assert!(ReturnTo::parse(refused).is_err());
/// }
/// assert_eq!(ReturnTo::parse("//evil.example").unwrap_or_default().as_str(), "/");
/// # Ok::<(), entra_oidc::ReturnToRefusal>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReturnTo(String);

impl ReturnTo {
    /// Reads a path with an optional query. A fragment is dropped, and what a header cannot hold is
    /// percent-encoded.
    ///
    /// # Errors
    /// [`ReturnToRefusal`] for whatever could lead elsewhere.
    pub fn parse(text: &str) -> Result<Self, ReturnToRefusal> {
        check_text(text)?;
        let text = utf8_percent_encode(without_fragment(text), NOT_IN_A_HEADER).to_string();
        check_text(&text)?;
        let (path, _) = text.split_once('?').unwrap_or((&text, ""));
        check_as_read(path)?;
        // A proxy on the way may decode it once.
        check_as_read(&percent_decode_str(path).decode_utf8_lossy())?;
        Ok(Self(text))
    }

    /// The same, or a URL of one of these origins, which are compared by scheme, host and port.
    ///
    /// # Errors
    /// [`ReturnToRefusal`] for whatever could lead elsewhere.
    pub fn parse_within(text: &str, origins: &[Origin]) -> Result<Self, ReturnToRefusal> {
        if text.starts_with('/') {
            return Self::parse(text);
        }
        check_text(text)?;
        let url = Url::parse(text).map_err(|_| ReturnToRefusal::OtherSite)?;
        let is_plain = url.username().is_empty() && url.password().is_none();
        // The origin of `blob:https://app.example/` is that of the site.
        let is_web = matches!(url.scheme(), "https" | "http");
        if !is_plain || !is_web || !origins.contains(&url.origin()) {
            return Err(ReturnToRefusal::OtherSite);
        }
        // As it was read, so that nobody reads it otherwise.
        let text = without_fragment(url.as_str());
        check_text(text)?;
        Ok(Self(text.to_owned()))
    }

    /// The text for a `Location` header.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The product's start page.
impl Default for ReturnTo {
    fn default() -> Self {
        Self("/".to_owned())
    }
}

/// Why a text is no place in the product.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReturnToRefusal {
    /// It has more than 2,048 bytes.
    #[error("the return URL has more than 2,048 bytes")]
    TooLong,
    /// It has a backslash or a control character, which browsers read as a slash or drop.
    #[error("the return URL has a backslash or a control character")]
    Character,
    /// It leads to another site, or could be taken for that.
    #[error("the return URL leads elsewhere")]
    OtherSite,
}

fn check_text(text: &str) -> Result<(), ReturnToRefusal> {
    if text.len() > MAX_LENGTH {
        return Err(ReturnToRefusal::TooLong);
    }
    if text.contains(|c: char| c == '\\' || c.is_control()) {
        return Err(ReturnToRefusal::Character);
    }
    Ok(())
}

/// It is a path of the product as it stands, and as a browser resolves it, dots and all.
fn check_as_read(path: &str) -> Result<(), ReturnToRefusal> {
    check_text(path)?;
    check_path(path)?;
    let base = Url::parse(BASE).map_err(|_| ReturnToRefusal::OtherSite)?;
    let resolved = base.join(path).map_err(|_| ReturnToRefusal::OtherSite)?;
    if resolved.origin() != base.origin() {
        return Err(ReturnToRefusal::OtherSite);
    }
    check_path(resolved.path())
}

/// One slash at the start, and nothing behind it that becomes a second one.
fn check_path(path: &str) -> Result<(), ReturnToRefusal> {
    let rest = path.strip_prefix('/').ok_or(ReturnToRefusal::OtherSite)?;
    let start = rest.get(..3).unwrap_or_default().to_ascii_lowercase();
    if rest.starts_with('/') || start == "%2f" || start == "%5c" {
        return Err(ReturnToRefusal::OtherSite);
    }
    Ok(())
}

fn without_fragment(text: &str) -> &str {
    text.split_once('#').map_or(text, |(before, _)| before)
}

const MAX_LENGTH: usize = 2048;
/// And what is no part of a URL (WHATWG URL, "query percent-encode set"): among it the quotation
/// mark, which would double in the JSON of a cookie.
const NOT_IN_A_HEADER: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'`');
/// Any origin does: only whether it stays the same counts.
const BASE: &str = "https://product.invalid/";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_the_product_is_kept_without_its_fragment() {
        for (text, kept) in [
            ("/", "/"),
            ("/vault", "/vault"),
            ("/vault?id=7&x=%2F#top", "/vault?id=7&x=%2F"),
            ("/a?next=//evil.example", "/a?next=//evil.example"),
            (
                "/a?next=https://evil.example",
                "/a?next=https://evil.example",
            ),
            ("/gr%C3%BC%C3%9Fe", "/gr%C3%BC%C3%9Fe"),
            ("/a//b", "/a//b"),
            ("/a/../b", "/a/../b"),
            // What a header cannot hold.
            ("/grüße?an=Jürgen", "/gr%C3%BC%C3%9Fe?an=J%C3%BCrgen"),
            ("/a b?c=\"<d>\"", "/a%20b?c=%22%3Cd%3E%22"),
        ] {
            assert_eq!(ReturnTo::parse(text).unwrap().as_str(), kept, "{text}");
        }
    }

    #[test]
    fn what_could_lead_elsewhere_is_refused() {
        for text in [
            "",
            "vault",
            "//evil.example",
            "///evil.example",
            "/%2fevil.example",
            "/%2Fevil.example",
            "/%5cevil.example",
            "/%5Cevil.example",
            "/%252fevil.example",
            "https:evil.example",
            "https://evil.example",
            "https://product.invalid//evil.example",
            "https://product.invalid@evil.example",
            "javascript:alert(1)",
            "data:text/html,x",
            "/.//evil.example",
            "/a/..//evil.example",
            "/%2e//evil.example",
            "/a/../%2fevil.example",
            "/a/..%2f/evil.example",
            "/./%5Cevil.example",
            "/%2e/%2Fevil.example",
        ] {
            assert_eq!(
                ReturnTo::parse(text),
                Err(ReturnToRefusal::OtherSite),
                "{text}"
            );
        }
        for text in [
            "/\\evil.example",
            "\\evil",
            "/\t/evil.example",
            "\t/evil",
            "/a\r\nSet-Cookie: x",
            "/%09/evil",
            "/%0d%0aX",
            "/a%5cb",
        ] {
            assert_eq!(
                ReturnTo::parse(text),
                Err(ReturnToRefusal::Character),
                "{text:?}"
            );
        }
        let long = format!("/{}", "a".repeat(10 << 10));
        assert_eq!(ReturnTo::parse(&long), Err(ReturnToRefusal::TooLong));
        // As it is sent: a cookie has to hold it.
        let long = format!("/{}", "\"".repeat(700));
        assert_eq!(ReturnTo::parse(&long), Err(ReturnToRefusal::TooLong));
    }

    #[test]
    fn another_origin_is_compared_by_scheme_host_and_port() {
        let allowed = [Url::parse("https://app.example").unwrap().origin()];
        let within = |text| ReturnTo::parse_within(text, &allowed);
        assert_eq!(
            within("https://app.example/x#y").unwrap().as_str(),
            "https://app.example/x"
        );
        assert_eq!(within("/x").unwrap().as_str(), "/x");
        for refused in [
            "https://evil-app.example/",
            "https://app.example.evil/",
            "https://app.example:8443/",
            "http://app.example/",
            "https://app.example@evil.example/",
            "https://u@app.example/",
            "//app.example/",
            "data:text/html,x",
            "blob:https://app.example/5f2c7a4e",
        ] {
            assert!(within(refused).is_err(), "{refused}");
        }
        for refused in [
            "https://app.example\\x",
            "https://app.exa\tmple/",
            "https://app.example/\n",
        ] {
            let expected = Err(ReturnToRefusal::Character);
            assert_eq!(within(refused), expected, "{refused:?}");
        }
        let long = format!("https://app.example/{}", "ü".repeat(700));
        assert_eq!(within(&long), Err(ReturnToRefusal::TooLong));
    }
}
