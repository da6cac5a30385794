//! Which keys a tenant has, which of them signs, and which are published at the moment.
//!
//! Microsoft Learn, "Signing key rollover in the Microsoft identity platform", and what a history
//! of the published sets shows: several keys at once, and keys that vanish for hours and come
//! back. "Access tokens in the Microsoft identity platform" (Validation of the signing key issuer)
//! describes `issuer` of each key and the set that `?appid=` asks for.

use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use url::Url;

use crate::access_token::issuer_v2;
use crate::keys::{KeyOwner, SigningKey};

/// The keys of one tenant. A new tenant has one that signs and one that is going to.
#[derive(Debug)]
pub(crate) struct KeyRing {
    /// Oldest first; their place is their number among the keys of the process.
    keys: Vec<Publication>,
    signing: usize,
    /// Applications with a key of their own, in the order in which they got it.
    own: Vec<String>,
    /// What a test published beside them, as it stands.
    foreign: Vec<Value>,
}

/// Whether a key is in the key set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Publication {
    Published,
    Withdrawn,
    WithdrawnUntil(OffsetDateTime),
}

/// One key as its administrator sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeyState {
    pub(crate) kid: &'static str,
    pub(crate) is_signing: bool,
    pub(crate) is_published: bool,
}

impl KeyRing {
    /// The key with which the tenant signs.
    pub(crate) fn signing(&self) -> &'static SigningKey {
        key(self.signing)
    }

    /// The key that signs what is meant for this application.
    pub(crate) fn signing_for(&self, app_id: &str) -> &'static SigningKey {
        self.own_key(app_id).unwrap_or_else(|| self.signing())
    }

    /// The key that an application has for itself.
    pub(crate) fn own_key(&self, app_id: &str) -> Option<&'static SigningKey> {
        let number = self.own.iter().position(|owner| owner == app_id)?;
        Some(SigningKey::of(KeyOwner::Application, number))
    }

    /// Gives an application a key of its own.
    pub(crate) fn give_own_key(&mut self, app_id: &str) -> &'static SigningKey {
        if self.own_key(app_id).is_none() {
            self.own.push(app_id.to_owned());
        }
        self.signing_for(app_id)
    }

    /// A key of the tenant or of one of its applications, published or not.
    pub(crate) fn find(&self, kid: &str) -> Option<&'static SigningKey> {
        (0..self.keys.len())
            .map(key)
            .chain((0..self.own.len()).map(|number| SigningKey::of(KeyOwner::Application, number)))
            .find(|key| key.key_id() == kid)
    }

    /// Every key of the tenant.
    pub(crate) fn states(&self, now: OffsetDateTime) -> Vec<KeyState> {
        self.keys
            .iter()
            .enumerate()
            .map(|(number, publication)| KeyState {
                kid: key(number).key_id(),
                is_signing: number == self.signing,
                is_published: publication.holds(now),
            })
            .collect()
    }

    /// The next key that is published signs from now on, and another one is published to be the
    /// next. The old one stays published.
    pub(crate) fn roll_over(&mut self, now: OffsetDateTime) -> &'static SigningKey {
        let next = self.next_published(now);
        self.signing = next.unwrap_or_else(|| {
            self.keys.push(Publication::Published);
            self.keys.len() - 1
        });
        if self.next_published(now).is_none() {
            self.keys.push(Publication::Published);
        }
        self.signing()
    }

    /// A new key that is not published and does not sign.
    pub(crate) fn add(&mut self) -> &'static SigningKey {
        self.keys.push(Publication::Withdrawn);
        key(self.keys.len() - 1)
    }

    /// Lets a key sign, published or not. Says whether there is such a key.
    pub(crate) fn sign_with(&mut self, kid: &str) -> bool {
        let number = self.number(kid);
        self.signing = number.unwrap_or(self.signing);
        number.is_some()
    }

    /// Takes a key out of the set, for good or until a time.
    pub(crate) fn withdraw(&mut self, kid: &str, until: Option<OffsetDateTime>) -> bool {
        self.publish_as(
            kid,
            until.map_or(Publication::Withdrawn, Publication::WithdrawnUntil),
        )
    }

    /// Puts a key into the set.
    pub(crate) fn restore(&mut self, kid: &str) -> bool {
        self.publish_as(kid, Publication::Published)
    }

    /// Adds an entry to the set as it stands.
    pub(crate) fn publish(&mut self, jwk: Value) {
        self.foreign.push(jwk);
    }

    /// The key set (RFC 7517 5) of an endpoint, with the application's own key where it is asked
    /// for.
    pub(crate) fn set(&self, endpoint: &KeyEndpoint<'_>, now: OffsetDateTime) -> Value {
        let issuer = issuer_v2(endpoint.origin, endpoint.tenant);
        let host = endpoint.cloud_instance;
        let published = (0..self.keys.len())
            .zip(&self.keys)
            .filter(|(_, publication)| publication.holds(now))
            .map(|(number, _)| key(number));
        let own = endpoint.app_id.and_then(|app_id| self.own_key(app_id));
        let mut keys: Vec<Value> = own
            .into_iter()
            .chain(published)
            .map(|key| endpoint.entry(key, &issuer, host))
            .collect();
        if endpoint.is_shared {
            let consumers = issuer_v2(endpoint.origin, CONSUMERS);
            let of = |owner| SigningKey::of(owner, 0);
            keys.push(endpoint.entry(of(KeyOwner::Consumers), &consumers, host));
            keys.push(endpoint.entry(of(KeyOwner::Government), &issuer, GOVERNMENT));
        }
        keys.extend(self.foreign.iter().cloned());
        json!({ "keys": keys })
    }

    fn next_published(&self, now: OffsetDateTime) -> Option<usize> {
        (self.signing + 1..self.keys.len()).find(|number| {
            self.keys
                .get(*number)
                .is_some_and(|publication| publication.holds(now))
        })
    }

    fn publish_as(&mut self, kid: &str, publication: Publication) -> bool {
        let number = self.number(kid);
        let entry = number.and_then(|number| self.keys.get_mut(number));
        entry.map(|entry| *entry = publication).is_some()
    }

    fn number(&self, kid: &str) -> Option<usize> {
        (0..self.keys.len()).find(|number| key(*number).key_id() == kid)
    }
}

impl Default for KeyRing {
    fn default() -> Self {
        Self {
            keys: vec![Publication::Published; 2],
            signing: 0,
            own: Vec::new(),
            foreign: Vec::new(),
        }
    }
}

impl Publication {
    fn holds(self, now: OffsetDateTime) -> bool {
        match self {
            Self::Published => true,
            Self::Withdrawn => false,
            Self::WithdrawnUntil(until) => until <= now,
        }
    }
}

/// Where a key set is asked for.
#[derive(Debug)]
pub(crate) struct KeyEndpoint<'a> {
    pub(crate) origin: &'a Url,
    /// The tenant in issuers, which may be a placeholder.
    pub(crate) tenant: &'a str,
    /// `cloud_instance_name`
    pub(crate) cloud_instance: &'a str,
    /// Whether it serves several tenants, and with them the accounts of consumers and of the US
    /// Government's cloud.
    pub(crate) is_shared: bool,
    /// Whether it is that of version 2.0. The older one has no issuers.
    pub(crate) is_version_2: bool,
    /// `appid`
    pub(crate) app_id: Option<&'a str>,
}

impl KeyEndpoint<'_> {
    fn entry(&self, key: &SigningKey, issuer: &str, cloud_instance: &str) -> Value {
        let mut entry: Map<String, Value> = key.jwk();
        if self.is_version_2 {
            entry.insert("cloud_instance_name".to_owned(), json!(cloud_instance));
            entry.insert("issuer".to_owned(), json!(issuer));
        }
        Value::Object(entry)
    }
}

fn key(number: usize) -> &'static SigningKey {
    SigningKey::of(KeyOwner::Tenant, number)
}

/// The tenant of personal accounts (Microsoft Learn, "ID token claims reference": `tid`).
pub(crate) const CONSUMERS: &str = "9188040d-6c67-4c5b-b112-36a304b66dad";

/// `cloud_instance_name` of the US Government's keys, as the public sets have it.
const GOVERNMENT: &str = "microsoftonline.us";
