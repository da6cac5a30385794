//! A tenant of External ID: customers sign in at a host of the tenant's own, and its tokens are
//! issued by another one.
//!
//! Microsoft Learn, "Microsoft Entra External ID frequently asked questions" and the libraries'
//! handling of the authority: `https://{name}.ciamlogin.com/{tenant}/v2.0` describes the issuer
//! `https://{tenant id}.ciamlogin.com/{tenant id}/v2.0`. Within the process the host says so; over
//! TLS, where there is one host, the first segment of the path does, in URL and issuer alike.

use bytes::Bytes;
use http::header::HOST;
use http::uri::PathAndQuery;
use http::{Request, Uri};
use url::Url;

use crate::emulator::Emulator;
use crate::tenant::Tenant;

impl Emulator {
    /// Where customers sign in, if the seed has External ID: the host within the process.
    pub fn external_id_url(&self) -> Option<Url> {
        self.with_tenant(|tenant| {
            let name = tenant.external_name.as_deref()?;
            Url::parse(&["https://", name, DOMAIN, "/"].concat()).ok()
        })
    }
}

/// What a request to such a host comes to.
#[derive(Debug)]
pub(crate) enum External {
    /// The tenant answers, at this origin.
    Served(Box<Front>),
    /// There is no tenant of this name.
    Unknown(String),
}

/// A request at another front.
#[derive(Debug)]
pub(crate) struct Front {
    /// What links in answers begin with.
    pub(crate) origin: Url,
    pub(crate) request: Request<Bytes>,
}

impl External {
    /// Whether a request goes to such a host, or to its place in the path.
    pub(crate) fn of(tenant: &Tenant, home: &Url, request: &Request<Bytes>) -> Option<Self> {
        let place = Place::of_request(home, request)?;
        if !place.is_of(tenant) {
            return Some(Self::Unknown(place.name));
        }
        let mut moved = request.clone();
        *moved.uri_mut() = place.rest;
        Some(Self::Served(Box::new(Front {
            origin: place.origin,
            request: moved,
        })))
    }
}

/// The origin of a URL at such a host of the tenant, and the URL as if it were at home.
pub(crate) fn front_of_url(tenant: &Tenant, home: &Url, url: &Url) -> Option<(Url, Url)> {
    let target: Uri = url.as_str().parse().ok()?;
    let request = Request::get(target).body(Bytes::new()).ok()?;
    let place = Place::of_request(home, &request)?;
    let at_home = home.join(&place.rest.to_string()).ok()?;
    place.is_of(tenant).then_some((place.origin, at_home))
}

/// `https://{tenant id}.ciamlogin.com/` for an origin of External ID; any other as it is.
pub(crate) fn issuing_origin(origin: &Url, tenant_id: &str) -> String {
    let named = origin
        .host_str()
        .into_iter()
        .chain(origin.path_segments().into_iter().flatten())
        .find_map(name_in);
    match named {
        Some(name) => {
            let (place, issuing) = ([name, DOMAIN].concat(), [tenant_id, DOMAIN].concat());
            origin.as_str().replacen(&place, &issuing, 1)
        }
        None => origin.to_string(),
    }
}

/// Whether this is an origin of External ID.
pub(crate) fn is_external(origin: &Url) -> bool {
    issuing_origin(origin, "") != origin.as_str()
}

struct Place {
    name: String,
    origin: Url,
    rest: Uri,
}

impl Place {
    fn of_request(home: &Url, request: &Request<Bytes>) -> Option<Self> {
        let uri = request.uri();
        let header = request.headers().get(HOST);
        let host = uri
            .host()
            .or_else(|| header.and_then(|host| host.to_str().ok()));
        if let Some(name) = host.and_then(|host| name_in(host.split(':').next()?)) {
            let name = name.to_ascii_lowercase();
            return Some(Self {
                origin: Url::parse(&["https://", &name, DOMAIN, "/"].concat()).ok()?,
                rest: without_host(uri.path_and_query()?.as_str())?,
                name,
            });
        }
        let path = uri.path_and_query()?.as_str().trim_start_matches('/');
        let (first, rest) = path.split_once('/')?;
        let name = name_in(first)?.to_ascii_lowercase();
        Some(Self {
            origin: home.join(&[&name, DOMAIN, "/"].concat()).ok()?,
            rest: without_host(&["/", rest].concat())?,
            name,
        })
    }

    fn is_of(&self, tenant: &Tenant) -> bool {
        let names = [tenant.external_name.as_deref(), Some(tenant.id())];
        tenant.external_name.is_some() && names.contains(&Some(self.name.as_str()))
    }
}

fn without_host(path: &str) -> Option<Uri> {
    let path: PathAndQuery = path.parse().ok()?;
    Uri::builder().path_and_query(path).build().ok()
}

/// `contoso` of `contoso.ciamlogin.com`.
fn name_in(host: &str) -> Option<&str> {
    let (name, domain) = host.split_at_checked(host.len().checked_sub(DOMAIN.len())?)?;
    let is_name = !name.is_empty() && !name.contains('.');
    (is_name && domain.eq_ignore_ascii_case(DOMAIN)).then_some(name)
}

const DOMAIN: &str = ".ciamlogin.com";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_issuer_is_at_the_host_of_the_tenants_id() {
        for (origin, issuing) in [
            ("https://contoso.ciamlogin.com/", "https://t.ciamlogin.com/"),
            (
                "https://localhost:8443/contoso.ciamlogin.com/",
                "https://localhost:8443/t.ciamlogin.com/",
            ),
            ("https://localhost:8443/", "https://localhost:8443/"),
            ("https://a.b.ciamlogin.com/", "https://a.b.ciamlogin.com/"),
        ] {
            let origin = Url::parse(origin).unwrap();
            assert_eq!(issuing_origin(&origin, "t"), issuing);
            let moved = issuing != origin.as_str();
            assert_eq!(is_external(&origin), moved);
        }
    }
}
