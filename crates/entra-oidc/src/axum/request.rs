//! What a request says of itself: where the user is, and whether a person looks at the answer.

use axum::extract::OriginalUri;
use http::header::{ACCEPT, AUTHORIZATION, REFERER};
use http::request::Parts;
use http::{HeaderMap, Method, Uri};
use url::{Url, form_urlencoded};

use crate::ReturnTo;

/// The place in the product to which the user comes back after a detour: this address, or for a
/// form that was posted the page on which it stands. A detour does not post it once more.
pub(super) fn place(parts: &Parts) -> ReturnTo {
    let here = match parts.method {
        Method::GET | Method::HEAD => original_uri(parts)
            .path_and_query()
            .map(ToString::to_string),
        _ => page_of_form(parts),
    };
    here.and_then(|here| ReturnTo::parse(&here).ok())
        .unwrap_or_default()
}

/// Whether a browser asks for a page to show. A script, which cannot follow to the provider's
/// pages, is answered with a status.
pub(super) fn is_navigation(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let accept = text(ACCEPT.as_str()).unwrap_or_default();
    if accept.contains("text/html") {
        return text("sec-fetch-mode").is_none_or(|mode| mode == "navigate");
    }
    let is_script = text("sec-fetch-mode").is_some_and(|mode| mode != "navigate")
        || headers.contains_key("x-requested-with")
        || headers.contains_key(AUTHORIZATION);
    !is_script && !accept.contains("json")
}

/// Whether the browser says that another site sent this request: it has left `Lax` cookies out
/// then, unless it followed a link (Fetch Metadata).
pub(super) fn is_cross_site(headers: &HeaderMap) -> bool {
    headers
        .get("sec-fetch-site")
        .is_some_and(|site| site == "cross-site")
}

/// A parameter of the query that is not empty: the first one, where it stands there twice.
pub(super) fn parameter(uri: &Uri, name: &str) -> Option<String> {
    let query = uri.query().unwrap_or_default().as_bytes();
    form_urlencoded::parse(query)
        .find(|(own, _)| own == name)
        .map(|(_, value)| value.into_owned())
        .filter(|value| !value.is_empty())
}

/// A path of ours with parameters.
pub(super) fn with_query<'a>(
    path: &str,
    parameters: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> String {
    let query = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(parameters)
        .finish();
    if query.is_empty() {
        return path.to_owned();
    }
    format!("{path}?{query}")
}

/// As the browser sent it, also within a nested router.
fn original_uri(parts: &Parts) -> &Uri {
    parts
        .extensions
        .get::<OriginalUri>()
        .map_or(&parts.uri, |original| &original.0)
}

fn page_of_form(parts: &Parts) -> Option<String> {
    // From another site the browser does not say the path, and a session's cookie is not there.
    let site = parts.headers.get("sec-fetch-site");
    if site.is_some_and(|site| site != "same-origin") {
        return None;
    }
    let page = Url::parse(parts.headers.get(REFERER)?.to_str().ok()?).ok()?;
    // Whatever its host is, only the path counts, and it is one of ours or none.
    let query = page.query().map(|query| format!("?{query}"));
    Some(format!("{}{}", page.path(), query.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn parts(method: &str, uri: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn a_user_comes_back_to_the_page_of_a_form_and_not_to_its_target() {
        for (method, uri, referer, expected) in [
            ("GET", "/vault?id=7", None, "/vault?id=7"),
            ("GET", "//evil.example/", None, "/"),
            (
                "POST",
                "/vault/open",
                Some("https://pw.example.com/vault?id=7#x"),
                "/vault?id=7",
            ),
            ("POST", "/vault/open", None, "/"),
            (
                "DELETE",
                "/vault/7",
                Some("https://pw.example.com//evil.example"),
                "/",
            ),
            ("POST", "/vault/open", Some("about:blank"), "/"),
        ] {
            let headers: Vec<_> = referer
                .map(|referer| ("referer", referer))
                .into_iter()
                .collect();
            let found = place(&parts(method, uri, &headers));
            assert_eq!(found.as_str(), expected, "{method} {uri} {referer:?}");
        }
        let headers = [
            ("referer", "https://pw.example.com/vault"),
            ("sec-fetch-site", "cross-site"),
        ];
        assert_eq!(place(&parts("POST", "/open", &headers)).as_str(), "/");
    }

    #[test]
    fn a_page_is_what_a_browser_navigates_to() {
        let html = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        for (headers, expected) in [
            (vec![], true),
            (vec![("accept", html)], true),
            (vec![("accept", html), ("sec-fetch-mode", "navigate")], true),
            (vec![("accept", "*/*")], true),
            (vec![("accept", "application/json")], false),
            (vec![("accept", "application/problem+json")], false),
            (vec![("accept", "*/*"), ("sec-fetch-mode", "cors")], false),
            (vec![("accept", html), ("sec-fetch-mode", "no-cors")], false),
            (vec![("x-requested-with", "XMLHttpRequest")], false),
            (vec![("authorization", "Bearer x")], false),
        ] {
            let parts = parts("GET", "/", &headers);
            assert_eq!(is_navigation(&parts.headers), expected, "{headers:?}");
        }
    }
}
