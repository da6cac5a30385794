//! «Test connection» for a login: everything that can be looked at without a user.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use entra_core::{Finding, Probe, TokenRequest, error_chain};
use http::Request;

use crate::options::ResponseMode;
use crate::relying_party::RelyingParty;
use crate::{Begin, EntraLogin, Error, Platform, Prompt};

impl EntraLogin {
    /// The checks of this login, to run alone or with those of other crates: entra-graph looks at
    /// the application's registration and at Conditional Access.
    ///
    /// ```
    /// # async fn f(login: entra_oidc::EntraLogin) {
    /// for probe in login.doctor() {
    ///     println!("{}", probe.run().await);
    /// }
    /// # }
    /// ```
    pub fn doctor(&self) -> Vec<Arc<dyn Probe>> {
        let login = || self.clone();
        let mut probes: Vec<Arc<dyn Probe>> = vec![
            Arc::new(ConfigurationProbe(login())),
            Arc::new(KeysProbe(login())),
            Arc::new(RedirectUriProbe(login())),
        ];
        if self.application().is_some() {
            probes.push(Arc::new(CredentialProbe(login())));
        }
        probes
    }
}

/// The provider's configuration is that of the authority.
#[derive(Debug)]
struct ConfigurationProbe(EntraLogin);

#[async_trait]
impl Probe for ConfigurationProbe {
    async fn run(&self) -> Finding {
        const CHECK: &str = "login: configuration";
        let provider = &self.0.0.provider;
        match provider.refresh().await {
            Ok(()) => {
                let published = provider.published();
                Finding::passed(
                    CHECK,
                    format!("the issuer is {}", published.configuration.issuer),
                )
            }
            Err(error) => failed(CHECK, &error),
        }
    }
}

/// The provider publishes keys that can be used.
#[derive(Debug)]
struct KeysProbe(EntraLogin);

#[async_trait]
impl Probe for KeysProbe {
    async fn run(&self) -> Finding {
        const CHECK: &str = "login: keys";
        let published = self.0.0.provider.published();
        match published.keys.fetch().await {
            Ok(keys) => Finding::passed(CHECK, format!("the provider publishes {keys} keys")),
            Err(error) => failed(CHECK, &Error::Keys(error)),
        }
    }
}

/// The provider knows the client and its redirect URI. It is asked for a login without pages and
/// without a user: whoever knows both says that nobody is signed in, and says it to the redirect
/// URI.
#[derive(Debug)]
struct RedirectUriProbe(EntraLogin);

#[async_trait]
impl Probe for RedirectUriProbe {
    async fn run(&self) -> Finding {
        const CHECK: &str = "login: redirect URI";
        let login = &self.0;
        let asked = match self.ask().await {
            Ok(body) => body,
            Err(error) => return failed(CHECK, &error),
        };
        let uri = login.redirect_uri();
        if asked.contains("AADSTS50011") || asked.contains("AADSTS500113") {
            return Finding::failed(
                CHECK,
                format!("{uri} is not registered for the application"),
            )
            .with_remedy(format!(
                "add it under Authentication, on the platform {}, letter by letter",
                platform(uri.platform())
            ));
        }
        if asked.contains("AADSTS700016") {
            return Finding::failed(CHECK, "the tenant does not know the application").with_remedy(
                "check tenant and client id, and have an administrator consent to the application",
            );
        }
        if asked.contains("login_required") || asked.contains("interaction_required") {
            return Finding::passed(CHECK, format!("{uri} is registered"));
        }
        Finding::skipped(CHECK, "the provider's answer does not tell").with_remedy(format!(
            "check that {uri} is registered, by signing in once"
        ))
    }
}

impl RedirectUriProbe {
    async fn ask(&self) -> Result<String, Error> {
        let login = &self.0;
        let mut begun = login.begin(Begin::to("/").with_prompt(Prompt::None))?;
        if login.0.options.response_mode == ResponseMode::Query {
            // Its page can be read, other than a redirect.
            let pairs: Vec<_> = begun.location.query_pairs().into_owned().collect();
            let pairs = pairs.into_iter().map(|(name, value)| match &*name {
                "response_mode" => (name, "form_post".to_owned()),
                _ => (name, value),
            });
            let pairs: Vec<_> = pairs.collect();
            begun.location.query_pairs_mut().clear().extend_pairs(pairs);
        }
        let request = Request::get(begun.location.as_str())
            .body(Bytes::new())
            .map_err(|_| Error::TokenResponse)?;
        let call = entra_core::Call::new("GET authorization_endpoint", request);
        match login.0.provider.pipeline().send(call).await {
            Ok(response) => Ok(String::from_utf8_lossy(response.body()).into_owned()),
            // A page with an error, which says what is wrong.
            Err(entra_core::Error::Response(refusal)) => {
                Ok(String::from_utf8_lossy(&refusal.body).into_owned())
            }
            Err(error) => Err(Error::Token(error)),
        }
    }
}

/// The application's credentials are accepted, and how long they are good for.
#[derive(Debug)]
struct CredentialProbe(EntraLogin);

#[async_trait]
impl Probe for CredentialProbe {
    async fn run(&self) -> Finding {
        const CHECK: &str = "login: credential";
        let RelyingParty::Confidential(client) = &self.0.0.party else {
            return Finding::skipped(CHECK, "a client on a device has none");
        };
        if !client.authority().tenant().is_single() {
            return Finding::skipped(CHECK, "it can be tried in one tenant only; sign in once");
        }
        let scope = client.authority().cloud().graph_scope();
        match client
            .check_credential(&client.credential(), &TokenRequest::new([scope]))
            .await
        {
            Ok(_) => Finding::passed(CHECK, "the credential is accepted"),
            Err(error) => failed(CHECK, &Error::Token(error)),
        }
    }
}

fn failed(check: &'static str, error: &Error) -> Finding {
    Finding::failed(check, error_chain(error)).with_remedy(error.admin_hint())
}

fn platform(platform: Platform) -> &'static str {
    match platform {
        Platform::Web => "Web",
        Platform::Native => "Mobile and desktop applications",
    }
}
