//! Redirect URIs (Learn, "Redirect URI (reply URL) outline and restrictions").

use std::collections::HashSet;

use serde_json::Value;
use url::Url;

use super::error::GraphError;
use crate::tenant::{Object, items_of};

/// Checks the redirect URIs of every platform.
pub(crate) fn check(application: &Object) -> Result<(), GraphError> {
    let mut seen = HashSet::new();
    for platform in PLATFORMS {
        let uris = application
            .get(platform)
            .and_then(Value::as_object)
            .map(|platform| items_of(platform, "redirectUris"))
            .unwrap_or_default();
        for uri in uris.iter().filter_map(Value::as_str) {
            if let Some(reason) = objection(platform, uri) {
                return Err(refusal(platform, uri, reason));
            }
            if !seen.insert(uri) {
                return Err(refusal(
                    platform,
                    uri,
                    "is there twice; a URI belongs to one platform",
                ));
            }
        }
    }
    if seen.len() > MOST {
        return Err(GraphError::bad_request(
            "The number of redirect URIs exceeds the limit of 256.",
        )
        .with_detail("InvalidReplyAddress", "redirectUris"));
    }
    Ok(())
}

fn objection(platform: &str, uri: &str) -> Option<&'static str> {
    if uri.len() > LONGEST {
        return Some("is longer than 256 characters");
    }
    let Ok(parsed) = Url::parse(uri) else {
        return Some("is not an absolute URI");
    };
    if uri.contains(['!', '$', '\'', '(', ')', ',', ';']) {
        return Some("contains one of the characters ! $ ' ( ) , ;");
    }
    if parsed.fragment().is_some() {
        return Some("contains a fragment");
    }
    if uri.contains('*') && parsed.scheme() != "https" {
        return Some("contains a wildcard");
    }
    let is_loopback = matches!(parsed.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    match (platform, parsed.scheme()) {
        (_, "javascript" | "data" | "vbscript") => Some("has a scheme that is not allowed"),
        (_, "https") | ("publicClient", _) => None,
        (_, "http") if is_loopback => None,
        (_, "http") => Some("must start with https, unless it is localhost"),
        _ => Some("has a scheme of its own, which only the platform publicClient allows"),
    }
}

fn refusal(platform: &str, uri: &str, reason: &str) -> GraphError {
    GraphError::bad_request(format!(
        "Invalid redirect URI for the platform {platform}: '{uri}' {reason}."
    ))
    .with_detail("InvalidReplyAddress", "redirectUris")
}

const PLATFORMS: [&str; 3] = ["web", "spa", "publicClient"];
const MOST: usize = 256;
const LONGEST: usize = 256;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn redirect_uris_follow_the_rules_of_their_platform() {
        let long = format!("https://a.example/{}", "x".repeat(256));
        for (platform, uri, accepted) in [
            ("web", "https://a.example/cb", true),
            ("web", "http://localhost:5000/cb", true),
            ("web", "http://127.0.0.1/cb", true),
            ("web", "http://a.example/cb", false),
            ("web", "psrmobile://auth", false),
            ("publicClient", "psrmobile://auth", true),
            ("publicClient", "http://localhost", true),
            ("web", "https://a.example/cb#x", false),
            ("web", "https://a.example/(cb)", false),
            ("web", "/cb", false),
            ("publicClient", "javascript:alert", false),
            (
                "spa",
                "https://abcdefghijklmnopabcdefghijklmnop.chromiumapp.org/",
                true,
            ),
            ("web", long.as_str(), false),
        ] {
            let application = json!({platform: {"redirectUris": [uri]}});
            let result = check(application.as_object().unwrap());
            assert_eq!(result.is_ok(), accepted, "{platform} {uri}");
        }
    }

    #[test]
    fn a_redirect_uri_belongs_to_one_platform() {
        let uris = json!({"redirectUris": ["https://a.example/cb"]});
        let application = json!({"web": uris, "spa": uris});
        let error = check(application.as_object().unwrap()).unwrap_err();
        assert_eq!(
            error.message,
            "Invalid redirect URI for the platform spa: 'https://a.example/cb' is there twice; a \
             URI belongs to one platform."
        );
    }
}
