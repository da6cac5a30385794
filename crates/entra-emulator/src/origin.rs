//! Whether two URLs lead to the same listener.

use url::Url;

/// The same scheme, host and port. All names of this machine count as one, since a client may
/// reach the tenant by another one than it publishes.
pub(crate) fn is_same_origin(one: &Url, other: &Url) -> bool {
    let is_same_host = one.host() == other.host() || (is_local(one) && is_local(other));
    is_same_host
        && one.scheme() == other.scheme()
        && one.port_or_known_default() == other.port_or_known_default()
}

fn is_local(url: &Url) -> bool {
    matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"))
}
