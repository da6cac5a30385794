//! A browser without a screen, in front of a product without a socket.

use std::collections::BTreeMap;
use std::error::Error;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::header::{COOKIE, LOCATION, SET_COOKIE};
use axum::http::{Request, Response};
use entra_emulator::Emulator;
use tower::ServiceExt as _;
use url::Url;

pub struct Browser {
    product: Router,
    cookies: BTreeMap<String, String>,
}

impl Browser {
    pub fn new(product: Router) -> Self {
        Self {
            product,
            cookies: BTreeMap::new(),
        }
    }

    /// Opens a page as this user, by way of the tenant where the product asks for that. Returns
    /// what the page says in the end; a page that says no is an error.
    pub async fn open(
        &mut self,
        page: &str,
        tenant: &Emulator,
        user: &str,
    ) -> Result<String, Box<dyn Error>> {
        let mut path = page.to_owned();
        for _ in 0..MOST_STEPS {
            // A query may have a code in it, which is nobody else's business.
            let shown = path.split('?').next().unwrap_or_default().to_owned();
            println!("  GET {shown}");
            let response = self.get(&path).await?;
            let Some(location) = response.headers().get(LOCATION) else {
                let status = response.status();
                let body = to_bytes(response.into_body(), 1 << 20).await?;
                if !status.is_success() {
                    return Err(format!("the product answers {shown} with {status}").into());
                }
                return Ok(String::from_utf8(body.to_vec())?);
            };
            let location = location.to_str()?;
            path = match Url::parse(location) {
                Ok(authorize) => {
                    println!("  {user} signs in at {}", authorize.path());
                    let back = tenant.sign_in_as(&authorize, user)?.location;
                    back[url::Position::BeforePath..].to_owned()
                }
                Err(_) => location.to_owned(),
            };
        }
        Err("the way has no end".into())
    }

    async fn get(&mut self, path: &str) -> Result<Response<Body>, Box<dyn Error>> {
        let pairs = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"));
        let request = Request::get(path)
            .header(COOKIE, pairs.collect::<Vec<_>>().join("; "))
            .body(Body::empty())?;
        let response = self.product.clone().oneshot(request).await?;
        for cookie in response.headers().get_all(SET_COOKIE) {
            let pair = cookie.to_str()?.split(';').next().unwrap_or_default();
            match pair.split_once('=') {
                Some((name, "")) => self.cookies.remove(name),
                Some((name, value)) => self.cookies.insert(name.to_owned(), value.to_owned()),
                None => None,
            };
        }
        Ok(response)
    }
}

/// As browsers do.
const MOST_STEPS: usize = 20;
