//! What is wrong with a blueprint whatever the tenant: found before anybody is asked.

use time::Duration;
use url::Url;

use super::redirect_uri::{self, RedirectUriFault};
use super::{Blueprint, CLIENT_ID_PLACEHOLDER, Refusal, Registration};

impl Blueprint {
    /// What no tenant would accept.
    pub(super) fn faults(&self) -> Vec<Refusal> {
        let mut faults = Vec::new();
        if let Registration::Keyed(key) = &self.registration
            && !is_key(key)
        {
            faults.push(Refusal::Key { key: key.clone() });
        }
        if !self.is_adopted() && !is_name(&self.display_name) {
            faults.push(Refusal::Name {
                what: "display name",
            });
        }
        if let Some(url) = &self.logout_url
            && !is_logout_url(url)
        {
            faults.push(Refusal::LogoutUrl { url: url.clone() });
        }
        let malformed = self.app_id_uris.iter().filter(|uri| !is_app_id_uri(uri));
        faults.extend(malformed.map(|uri| Refusal::AppIdUriForm { uri: uri.clone() }));
        self.redirect_uri_faults(&mut faults);
        self.token_faults(&mut faults);
        self.secret_faults(&mut faults);
        faults
    }

    fn redirect_uri_faults(&self, faults: &mut Vec<Refusal>) {
        let count = self.redirect_uris.len();
        if count > 256 {
            faults.push(Refusal::TooManyRedirectUris { count });
        }
        for (index, (platform, uri)) in self.redirect_uris.iter().enumerate() {
            let mut earlier = self.redirect_uris.iter().take(index);
            let fault = match redirect_uri::check(*platform, uri) {
                Err(fault) => fault,
                Ok(()) if earlier.any(|(other, same)| same == uri && other != platform) => {
                    RedirectUriFault::TwoPlatforms
                }
                Ok(()) => continue,
            };
            faults.push(Refusal::RedirectUri {
                platform: *platform,
                uri: uri.clone(),
                fault,
            });
        }
    }

    fn token_faults(&self, faults: &mut Vec<Refusal>) {
        let claims = self.id_token_claims.iter().filter(|claim| !is_key(claim));
        faults.extend(claims.map(|claim| Refusal::Claim {
            claim: claim.clone(),
        }));
        for (index, role) in self.app_roles.iter().enumerate() {
            let mut earlier = self.app_roles.iter().take(index);
            let is_twice = earlier.any(|other| other.value == role.value);
            if !is_role_value(&role.value) || is_twice {
                faults.push(Refusal::AppRole {
                    value: role.value.clone(),
                });
            }
            if !is_name(&role.display_name) || !is_name(&role.description) {
                faults.push(Refusal::Name {
                    what: "name or description of an app role",
                });
            }
        }
    }

    fn secret_faults(&self, faults: &mut Vec<Refusal>) {
        let Some(secret) = &self.secret else {
            return;
        };
        if !is_name(&secret.name) {
            faults.push(Refusal::Name {
                what: "name of the client secret",
            });
        }
        if !(SHORTEST_SECRET..=LONGEST_SECRET).contains(&secret.lifetime) {
            faults.push(Refusal::SecretSpan {
                wanted: secret.lifetime,
            });
        }
    }
}

/// A key stands in URLs and in error messages.
fn is_key(key: &str) -> bool {
    (1..=128).contains(&key.len())
        && key
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte))
}

fn is_name(name: &str) -> bool {
    (1..=120).contains(&name.chars().count())
        && !name.trim().is_empty()
        && !name.chars().any(char::is_control)
}

/// Microsoft Learn, "appRole resource type": no white space, no dot at its beginning, and of other
/// characters than letters and digits most of ASCII.
fn is_role_value(value: &str) -> bool {
    (1..=120).contains(&value.len())
        && !value.starts_with('.')
        && value
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !b"\"\\".contains(&byte))
}

/// The forms that do not depend on the tenant (Microsoft Learn, "Restrictions on identifier URIs
/// of Microsoft Entra applications"). The client id may be left open as a whole last part.
fn is_app_id_uri(uri: &str) -> bool {
    let rest = match uri.strip_prefix("api://") {
        Some(rest) => rest.strip_suffix(CLIENT_ID_PLACEHOLDER).unwrap_or(rest),
        None => uri,
    };
    let is_open = rest.len() < uri.len() && uri.ends_with(CLIENT_ID_PLACEHOLDER);
    let plain = !rest.contains(|c: char| c.is_whitespace() || c.is_control() || "{}#".contains(c));
    let is_whole = is_open && (rest.is_empty() || (rest.ends_with('/') && rest.len() > 1));
    let is_url = !is_open
        && Url::parse(uri)
            .is_ok_and(|url| matches!(url.scheme(), "https" | "api") && url.host().is_some());
    uri.len() <= 255 && plain && (is_whole || is_url)
}

fn is_logout_url(url: &str) -> bool {
    let plain = url.len() <= 255 && !url.contains(|c: char| c.is_whitespace() || c.is_control());
    plain && Url::parse(url).is_ok_and(|url| url.scheme() == "https" && url.host().is_some())
}

const SHORTEST_SECRET: Duration = Duration::HOUR;
const LONGEST_SECRET: Duration = Duration::days(3653);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_id_uri_is_https_or_api_and_the_client_id_its_last_part() {
        for (uri, accepted) in [
            ("https://mdm.contoso.example", true),
            ("api://mdm.contoso.example/x", true),
            ("api://{client_id}", true),
            (
                "api://00000000-0000-4000-8000-000000000000/{client_id}",
                true,
            ),
            ("api://{clientId}", false),
            ("api://x{client_id}", false),
            ("https://contoso.example/{client_id}", false),
            ("ftp://{client_id}", false),
            ("ftp://contoso.example", false),
            ("urn:contoso", false),
            ("https://contoso.example/a b", false),
            ("https://contoso.example/\n", false),
            ("", false),
        ] {
            assert_eq!(is_app_id_uri(uri), accepted, "{uri:?}");
        }
    }

    #[test]
    fn a_key_is_plain_and_a_name_is_printable() {
        for (key, accepted) in [
            ("acme-mdm.prod_1", true),
            ("", false),
            (" ", false),
            ("a/b", false),
            ("it's", false),
            ("a\tb", false),
            ("schlüssel", false),
        ] {
            assert_eq!(is_key(key), accepted, "{key:?}");
        }
        for (name, accepted) in [
            ("Über *bold*", true),
            ("  ", false),
            ("a\nb", false),
            ("", false),
        ] {
            assert_eq!(is_name(name), accepted, "{name:?}");
        }
    }
}
