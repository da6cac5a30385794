//! The tenant's signing keys in the hands of a test: roll-over, keys that come and go, decoys.

use std::time::Duration;

use aws_lc_rs::rand;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use entra_core::Clock;
use serde::Deserialize;
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::emulator::{Emulator, UnknownPrincipal};
use crate::key_ring::{KeyRing, KeyState};
use crate::tenant::text_of;

/// The signing keys of a tenant, each named by its `kid`.
///
/// ```
/// use entra_emulator::{Emulator, Seed};
///
/// let tenant = Emulator::new(Seed::new());
/// let keys = tenant.keys();
/// let old = keys.signing();
/// let new = keys.roll_over();
/// assert_ne!(old, new);
/// keys.withdraw(&old)?; // tokens that it signed are still on their way
/// assert!(!keys.published().contains(&old));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Keys {
    emulator: Emulator,
}

impl Emulator {
    /// The keys with which the tenant signs its tokens.
    pub fn keys(&self) -> Keys {
        Keys {
            emulator: self.clone(),
        }
    }
}

impl Keys {
    /// The key that signs.
    pub fn signing(&self) -> String {
        self.with(|ring, _| ring.signing().key_id().to_owned())
    }

    /// The keys in the set, oldest first; not the decoys nor those of applications.
    pub fn published(&self) -> Vec<String> {
        self.states()
            .into_iter()
            .filter(|key| key.is_published)
            .map(|key| key.kid.to_owned())
            .collect()
    }

    /// The key that was published to be the next one signs from now on, and another one takes its
    /// place. The old one stays published. Answers the new signing key.
    pub fn roll_over(&self) -> String {
        self.with(|ring, now| ring.roll_over(now).key_id().to_owned())
    }

    /// Makes a key that is not published and does not sign. With [`sign_with`](Self::sign_with) it
    /// signs before anybody can know it.
    pub fn add(&self) -> String {
        self.with(|ring, _| ring.add().key_id().to_owned())
    }

    /// Lets a key sign, published or not.
    pub fn sign_with(&self, kid: &str) -> Result<(), UnknownKey> {
        self.with(|ring, _| known(ring.sign_with(kid), kid))
    }

    /// Takes a key out of the set. It goes on signing if it did.
    pub fn withdraw(&self, kid: &str) -> Result<(), UnknownKey> {
        self.with(|ring, _| known(ring.withdraw(kid, None), kid))
    }

    /// Takes a key out of the set for a while, as happens with Entra's for hours.
    pub fn withdraw_for(&self, kid: &str, time: Duration) -> Result<(), UnknownKey> {
        self.with(|ring, now| known(ring.withdraw(kid, Some(now + time)), kid))
    }

    /// Puts a key into the set: one that was withdrawn or one that is new.
    pub fn restore(&self, kid: &str) -> Result<(), UnknownKey> {
        self.with(|ring, _| known(ring.restore(kid), kid))
    }

    /// Publishes that many keys of which nobody has the private half.
    pub fn publish_decoys(&self, count: usize) {
        for _ in 0..count {
            self.publish_jwk(decoy());
        }
    }

    /// Adds an entry to the key set as it stands, whatever it says.
    pub fn publish_jwk(&self, jwk: Value) {
        self.with(|ring, _| ring.publish(jwk));
    }

    /// Gives an application a signing key of its own, as one has that customises its claims: what
    /// is meant for it is signed with that key, which only the key set with `?appid=` lists.
    pub fn give_own_key(&self, client_id: &str) -> Result<String, UnknownPrincipal> {
        let now = self.emulator.clock().now();
        self.emulator.with_tenant(|tenant| {
            let app_id = tenant
                .application_by_app_id(client_id, now)
                .map(|application| text_of(application, "appId").to_owned())
                .ok_or_else(|| UnknownPrincipal {
                    found: client_id.to_owned(),
                })?;
            Ok(tenant.keys.give_own_key(&app_id).key_id().to_owned())
        })
    }

    pub(crate) fn states(&self) -> Vec<KeyState> {
        self.with(|ring, now| ring.states(now))
    }

    fn with<T>(&self, act: impl FnOnce(&mut KeyRing, OffsetDateTime) -> T) -> T {
        let now = self.emulator.clock().now();
        self.emulator
            .with_tenant(|tenant| act(&mut tenant.keys, now))
    }
}

/// The tenant has no such key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is no key of this tenant")]
pub struct UnknownKey {
    /// What was given.
    pub found: String,
}

/// A change of the keys by the control interface.
#[derive(Debug, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum KeyChange {
    RollOver,
    Add,
    SignWith {
        kid: String,
    },
    Withdraw {
        kid: String,
        #[serde(default)]
        for_seconds: Option<u32>,
    },
    Restore {
        kid: String,
    },
    PublishDecoys {
        count: u16,
    },
    PublishJwk {
        jwk: Value,
    },
    GiveOwnKey {
        client_id: String,
    },
}

impl KeyChange {
    /// Makes it. The error says what is not known.
    pub(crate) fn apply(self, keys: &Keys) -> Result<(), String> {
        let unknown = |error: UnknownKey| error.to_string();
        match self {
            Self::RollOver => drop(keys.roll_over()),
            Self::Add => drop(keys.add()),
            Self::SignWith { kid } => keys.sign_with(&kid).map_err(unknown)?,
            Self::Withdraw {
                kid,
                for_seconds: Some(seconds),
            } => {
                let time = Duration::from_secs(seconds.into());
                keys.withdraw_for(&kid, time).map_err(unknown)?;
            }
            Self::Withdraw { kid, .. } => keys.withdraw(&kid).map_err(unknown)?,
            Self::Restore { kid } => keys.restore(&kid).map_err(unknown)?,
            Self::PublishDecoys { count } => keys.publish_decoys(count.into()),
            Self::PublishJwk { jwk } => keys.publish_jwk(jwk),
            Self::GiveOwnKey { client_id } => drop(
                keys.give_own_key(&client_id)
                    .map_err(|error| error.to_string())?,
            ),
        }
        Ok(())
    }
}

impl Keys {
    /// The keys as the control interface shows them.
    pub(crate) fn report(&self) -> Value {
        let keys: Vec<Value> = self
            .states()
            .iter()
            .map(|key| {
                json!({"kid": key.kid, "is_signing": key.is_signing, "is_published": key.is_published})
            })
            .collect();
        json!({"signing": self.signing(), "value": keys})
    }
}

fn known(is_known: bool, kid: &str) -> Result<(), UnknownKey> {
    is_known.then_some(()).ok_or_else(|| UnknownKey {
        found: kid.to_owned(),
    })
}

/// An entry that looks like the others: a random odd number of 2,048 bits.
fn decoy() -> Value {
    let mut modulus = [0; 256];
    // Zeros where there is no randomness are a worse decoy, and still one.
    let _ = rand::fill(&mut modulus);
    let [first, .., last] = &mut modulus;
    *first |= 0x80;
    *last |= 1;
    let kid = crate::delegated_token::token_id();
    json!({
        "kty": "RSA",
        "use": "sig",
        "kid": kid,
        "x5t": kid,
        "n": URL_SAFE_NO_PAD.encode(modulus),
        "e": "AQAB",
    })
}
