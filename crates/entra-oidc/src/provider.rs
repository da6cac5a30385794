//! What a provider publishes about itself: its configuration (OpenID Connect Discovery 1.0,
//! section 4) and its keys.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use entra_core::{Call, Jwks, Pipeline, work_until};
use serde::Deserialize;
use url::Url;

use crate::issuer::IssuerRule;
use crate::provider_error::tidy;
use crate::{Authority, DiscoveryError, Error};

/// A provider whose configuration was read and checked. A clone is cheap and shares it.
#[derive(Clone)]
pub(crate) struct Provider(Arc<Inner>);

impl Provider {
    /// Fetches the configuration and the keys.
    pub(crate) async fn connect(
        authority: Authority,
        client_id: &str,
        pipeline: Pipeline,
    ) -> Result<Self, Error> {
        let url = authority.openid_configuration(client_id)?;
        let configuration = fetch(&pipeline, &url).await?;
        let published = Published::check(&authority, configuration, &pipeline)?;
        published.keys.prime().await.map_err(Error::Keys)?;
        let due = AtomicU64::new(due(&pipeline, REFRESH_AFTER));
        Ok(Self(Arc::new(Inner {
            authority,
            pipeline,
            url,
            published: ArcSwap::from_pointee(published),
            due,
        })))
    }

    pub(crate) fn authority(&self) -> &Authority {
        &self.0.authority
    }

    pub(crate) fn pipeline(&self) -> &Pipeline {
        &self.0.pipeline
    }

    /// What it publishes, as it was read last.
    pub(crate) fn published(&self) -> Arc<Published> {
        self.0.published.load_full()
    }

    /// Whether a day has passed since the configuration was read.
    pub(crate) fn is_due(&self) -> bool {
        self.0.pipeline.clock().monotonic().as_secs() >= self.0.due.load(Ordering::Relaxed)
    }

    /// Reads the configuration again if a day has passed. What cannot be read, or says that the
    /// provider has become another one, changes nothing.
    pub(crate) async fn refresh_if_due(&self) {
        let now = self.0.pipeline.clock().monotonic().as_secs();
        let seen = self.0.due.load(Ordering::Relaxed);
        if now < seen {
            return;
        }
        // One caller does it; the others go on with what is known.
        let next = due(&self.0.pipeline, REFRESH_AFTER);
        let won = self
            .0
            .due
            .compare_exchange(seen, next, Ordering::Relaxed, Ordering::Relaxed);
        if won.is_err() {
            return;
        }
        if let Err(error) = self.refresh().await {
            tracing::warn!(%error, "the configuration of the provider was not renewed");
            self.0
                .due
                .store(due(&self.0.pipeline, RETRY_AFTER), Ordering::Relaxed);
        }
    }

    /// Reads the configuration again now.
    ///
    /// # Errors
    /// [`DiscoveryError::Changed`] where it names another issuer or publishes its keys on another
    /// host than before, [`Error::Keys`] where they are not there: what is known is kept.
    pub(crate) async fn refresh(&self) -> Result<(), Error> {
        let configuration = fetch(&self.0.pipeline, &self.0.url).await?;
        let mut next = Published::check(&self.0.authority, configuration, &self.0.pipeline)?;
        let known = self.published();
        // The rule of a domain, or of an External ID tenant, follows from it.
        if next.configuration.issuer != known.configuration.issuer {
            return Err(DiscoveryError::Changed("issuer").into());
        }
        if next.configuration.jwks_uri.host() != known.configuration.jwks_uri.host() {
            return Err(DiscoveryError::Changed("jwks_uri").into());
        }
        if next.configuration.jwks_uri == known.configuration.jwks_uri {
            // What is known of the keys stays known.
            next.keys = known.keys.clone();
        } else {
            next.keys.prime().await.map_err(Error::Keys)?;
        }
        self.0.published.store(Arc::new(next));
        Ok(())
    }

    /// Renews keys and configuration ahead of every caller until `shutdown` ends.
    pub(crate) async fn refresh_until(&self, shutdown: impl Future<Output = ()> + Send) {
        work_until(shutdown, self.refresh_for_ever()).await;
    }

    async fn refresh_for_ever(&self) {
        loop {
            self.refresh_if_due().await;
            let keys = self.published().keys.clone();
            // A configuration that names another address of the keys is noticed within the hour.
            let clock = Arc::clone(self.0.pipeline.clock());
            keys.refresh_ahead(async move { clock.sleep(LOOK_AGAIN).await })
                .await;
        }
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provider")
            .field("authority", &self.0.authority)
            .field("issuer", &self.published().configuration.issuer)
            .finish_non_exhaustive()
    }
}

struct Inner {
    authority: Authority,
    pipeline: Pipeline,
    url: Url,
    published: ArcSwap<Published>,
    /// When the configuration is to be read again, in seconds of the monotonic clock.
    due: AtomicU64,
}

/// A configuration that was checked, with what follows from it.
#[derive(Clone, Debug)]
pub(crate) struct Published {
    pub(crate) configuration: Configuration,
    pub(crate) rule: IssuerRule,
    pub(crate) keys: Jwks,
}

impl Published {
    /// The configuration is the one of this authority, and leads nowhere else.
    fn check(
        authority: &Authority,
        configuration: Configuration,
        pipeline: &Pipeline,
    ) -> Result<Self, DiscoveryError> {
        // 1. It names the issuer that was asked for (OpenID Connect Discovery 4.3).
        let rule = authority
            .discovered_issuer_rule(&configuration.issuer)
            .ok_or_else(|| DiscoveryError::Issuer {
                expected: authority.expected_issuer(),
                found: short(&configuration.issuer),
            })?;
        // 2. Every endpoint is the authority's own: a document from somebody else cannot send
        //    codes or secrets elsewhere (RFC 9700 4.4, "endpoint substitution").
        for (member, endpoint) in configuration.endpoints() {
            if !authority.accepts_endpoint(endpoint) {
                return Err(DiscoveryError::Endpoint {
                    member,
                    host: short(endpoint.host_str().unwrap_or_default()),
                });
            }
        }
        // 3. Where it says how a code may be bound to its request, S256 is among it. Entra does
        //    not say.
        if let Some(methods) = &configuration.code_challenge_methods_supported
            && !methods.iter().any(|method| method == "S256")
        {
            return Err(DiscoveryError::NoS256);
        }
        let keys = Jwks::new(pipeline.clone(), configuration.jwks_uri.clone());
        Ok(Self {
            configuration,
            rule,
            keys,
        })
    }
}

/// The members of a configuration that matter here (OpenID Connect Discovery 1.0, section 3;
/// RP-Initiated Logout 1.0, section 2.1; RFC 9207, section 3; and two of Entra's own).
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Configuration {
    pub(crate) issuer: String,
    pub(crate) authorization_endpoint: Url,
    pub(crate) token_endpoint: Url,
    pub(crate) jwks_uri: Url,
    pub(crate) userinfo_endpoint: Option<Url>,
    pub(crate) end_session_endpoint: Option<Url>,
    pub(crate) code_challenge_methods_supported: Option<Vec<String>>,
    pub(crate) token_endpoint_auth_methods_supported: Option<Vec<String>>,
    #[serde(default)]
    pub(crate) authorization_response_iss_parameter_supported: bool,
    /// The cloud whose keys count.
    pub(crate) cloud_instance_name: Option<String>,
}

impl Configuration {
    /// How a client proves itself at the token endpoint: by HTTP Basic unless the provider says
    /// that it takes other ways alone (OpenID Connect Discovery 1.0, section 3).
    pub(crate) fn takes_basic(&self) -> bool {
        let methods = self.token_endpoint_auth_methods_supported.as_deref();
        methods.is_none_or(|methods| methods.iter().any(|method| method == "client_secret_basic"))
    }

    fn endpoints(&self) -> impl Iterator<Item = (&'static str, &Url)> {
        let all = [
            ("authorization_endpoint", Some(&self.authorization_endpoint)),
            ("token_endpoint", Some(&self.token_endpoint)),
            ("jwks_uri", Some(&self.jwks_uri)),
            ("userinfo_endpoint", self.userinfo_endpoint.as_ref()),
            ("end_session_endpoint", self.end_session_endpoint.as_ref()),
        ];
        all.into_iter()
            .filter_map(|(member, url)| Some((member, url?)))
    }
}

async fn fetch(pipeline: &Pipeline, url: &Url) -> Result<Configuration, Error> {
    let request = http::Request::get(url.as_str())
        .header(http::header::ACCEPT, "application/json")
        .body(Bytes::new())
        .map_err(|_| DiscoveryError::Address)?;
    let call = Call::new("GET openid-configuration", request).with_body_limit(MOST_BYTES);
    let response = pipeline.send(call).await.map_err(DiscoveryError::Fetch)?;
    if response.status() != http::StatusCode::OK {
        return Err(DiscoveryError::Status(response.status()).into());
    }
    serde_json::from_slice(response.body())
        .map_err(|error| DiscoveryError::NotAConfiguration(Arc::new(error)).into())
}

fn due(pipeline: &Pipeline, wait: Duration) -> u64 {
    pipeline.clock().monotonic().saturating_add(wait).as_secs()
}

/// What a stranger wrote, short enough for a log.
pub(crate) fn short(text: &str) -> String {
    tidy(text, 200)
}

/// Entra's has two kilobytes.
const MOST_BYTES: usize = 256 << 10;
/// Microsoft Learn, "Signing key rollover": a day.
const REFRESH_AFTER: Duration = Duration::from_secs(24 * 60 * 60);
const RETRY_AFTER: Duration = Duration::from_secs(5 * 60);
const LOOK_AGAIN: Duration = Duration::from_secs(60 * 60);
