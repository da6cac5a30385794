//! The provider that the arguments name.

use std::error::Error;
use std::path::Path;

use entra_core::{
    ClientCredential, ClientSecret, Cloud, HttpsClient, HttpsClientOptions, KeyRing, Pipeline,
    SealingKey, Secret, Tenant,
};
use entra_examples::at;
use entra_oidc::{Authority, EntraLogin, LoginOptions, RedirectUri};
use url::Url;

use crate::{Arguments, asked_for};

pub async fn login(
    arguments: &Arguments,
    issuer: &str,
    redirect_uri: &RedirectUri,
) -> Result<EntraLogin, Box<dyn Error>> {
    let authority = if arguments.generic {
        Authority::generic(issuer).map_err(Into::into)
    } else {
        entra(issuer)
    }
    .map_err(at(format!("--issuer {issuer}")))?;
    let client_id = arguments.client_id.as_deref().unwrap_or_default();
    // A product has its key from its vault, and the same on each machine. Logins that are pending
    // when this program ends have to begin anew.
    let keys = KeyRing::new(SealingKey::generate());
    let mut options = LoginOptions::new(authority, client_id, redirect_uri.clone(), keys)
        .map_err(at(format!("--client-id {client_id}")))?;
    options = match (&arguments.client_secret, arguments.generic) {
        (Some(secret), true) => options.with_client_secret(Secret::new(secret))?,
        (Some(secret), false) => {
            let secret = ClientSecret::parse(secret).map_err(at("--client-secret"))?;
            options.with_credential(ClientCredential::secret(secret))?
        }
        (None, true) => options,
        (None, false) => {
            return Err("--client-secret is missing: Entra's web applications have one".into());
        }
    };
    let options = asked_for(options, arguments, redirect_uri)?;
    let http = match &arguments.ca {
        Some(path) => https_client(path).map_err(at(format!("--ca {}", path.display())))?,
        None => HttpsClient::new()?,
    };
    let login = EntraLogin::connect(options, Pipeline::new(http)).await;
    login.map_err(at(format!("--issuer {issuer}")))
}

/// A tenant of one of Microsoft's clouds, of an External ID tenant, or of a cloud of one's own.
fn entra(issuer: &str) -> Result<Authority, Box<dyn Error>> {
    let url = Url::parse(issuer)?;
    let segments: Vec<&str> = url.path_segments().into_iter().flatten().collect();
    let [tenant, "v2.0"] = segments.as_slice() else {
        return Err("the issuer of Entra has the form https://{host}/{tenant}/v2.0".into());
    };
    let host = url.host_str().unwrap_or_default();
    let cloud = Cloud::all()
        .into_iter()
        .find(|cloud| cloud.is_login_host(host));
    let cloud = match cloud {
        Some(cloud) => cloud,
        None => {
            let origin = url.origin().ascii_serialization();
            Cloud::custom(&origin, &origin)?
        }
    };
    Ok(match *tenant {
        "common" => Authority::any_account(cloud),
        "organizations" => Authority::any_organization(cloud),
        "consumers" => Authority::personal_accounts(cloud),
        one if host.ends_with(".ciamlogin.com") => {
            Authority::external_id_at(cloud, Tenant::parse(one)?)?
        }
        one => Authority::single_tenant(cloud, Tenant::parse(one)?)?,
    })
}

/// A client that trusts the certificate authorities of a file, too.
fn https_client(ca: &Path) -> Result<HttpsClient, Box<dyn Error>> {
    let mut options = HttpsClientOptions::default();
    options.root_ca_pem = Some(std::fs::read_to_string(ca)?);
    Ok(HttpsClient::with_options(options)?)
}
