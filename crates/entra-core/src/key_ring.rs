//! Keys under which a product keeps secrets at rest: AES-256-GCM, with rotation.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

use crate::Secret;

/// The keys that seal what must not be read at rest: cached tokens, refresh tokens, pending logins.
///
/// The first key seals, every key opens. To rotate, put a new key first and keep the old one until
/// what it sealed has ended. Each purpose has a key of its own, derived by HKDF (RFC 5869), so that
/// what was sealed for one purpose opens for no other. A clone is cheap.
///
/// ```
/// use entra_core::{KeyRing, Secret, SealingKey};
///
/// let old = SealingKey::generate();
/// let sealed = KeyRing::new(old.clone()).seal("example", b"user 7", &Secret::new("s3cr3t"))?;
///
/// let rotated = KeyRing::new(SealingKey::generate()).with_previous(old);
/// assert_eq!(rotated.open("example", b"user 7", &sealed)?.expose(), "s3cr3t");
/// assert!(rotated.open("example", b"user 8", &sealed).is_err());
/// # Ok::<(), entra_core::SealError>(())
/// ```
#[derive(Clone)]
pub struct KeyRing(Arc<[SealingKey]>);

impl KeyRing {
    /// A ring of one key.
    pub fn new(key: SealingKey) -> Self {
        Self(Arc::new([key]))
    }

    /// Opens what `key` sealed, too.
    #[must_use]
    pub fn with_previous(self, key: SealingKey) -> Self {
        Self(self.0.iter().cloned().chain([key]).collect())
    }

    /// Seals `secret` for one purpose, bound to `associated`: it opens with the same purpose and
    /// the same associated data alone.
    ///
    /// The result is: one byte of version, four of the key's id, twelve of nonce, the ciphertext
    /// and sixteen bytes of tag (NIST SP 800-38D). The nonce is random; a key is good for four
    /// thousand million messages per purpose, so rotate it before that.
    pub fn seal(
        &self,
        purpose: &str,
        associated: &[u8],
        secret: &Secret,
    ) -> Result<Vec<u8>, SealError> {
        let key = self.0.first().ok_or(SealError::Failed)?;
        let mut nonce = [0; NONCE_LEN];
        aws_lc_rs::rand::fill(&mut nonce).map_err(|_| SealError::Failed)?;
        let id = key.id();
        let mut body = Zeroizing::new(secret.expose().as_bytes().to_vec());
        let tag = key
            .aead(purpose)?
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(bound(&id, associated)),
                &mut body,
            )
            .map_err(|_| SealError::Failed)?;
        Ok([&[VERSION], &id[..], &nonce[..], &body[..], tag.as_ref()].concat())
    }

    /// Opens what was sealed under any key of the ring.
    pub fn open(
        &self,
        purpose: &str,
        associated: &[u8],
        sealed: &[u8],
    ) -> Result<Secret, SealError> {
        let parts = sealed
            .strip_prefix(&[VERSION])
            .and_then(|rest| rest.split_first_chunk::<ID_LEN>())
            .and_then(|(id, rest)| Some((id, rest.split_first_chunk::<NONCE_LEN>()?)));
        let Some((id, (nonce, body))) = parts else {
            return Err(SealError::NotSealed);
        };
        let mut keys = self.0.iter().filter(|key| key.id() == *id).peekable();
        if keys.peek().is_none() {
            return Err(SealError::UnknownKey);
        }
        // Ids are short, so two keys may share one.
        keys.find_map(|key| key.open(purpose, (id, nonce), associated, body))
            .ok_or(SealError::Refused)
    }

    /// A name that says nothing about its parts to whoever lacks the key: HMAC-SHA-256 over the
    /// parts with their lengths, under a key of its own.
    pub(crate) fn name(&self, purpose: &str, parts: &[&[u8]]) -> Result<[u8; 32], SealError> {
        let key = self.0.first().ok_or(SealError::Failed)?;
        let key = hmac::Key::new(hmac::HMAC_SHA256, &*key.derive("name", purpose)?);
        let mut context = hmac::Context::with_key(&key);
        for part in parts {
            let length = u64::try_from(part.len()).map_err(|_| SealError::Failed)?;
            context.update(&length.to_be_bytes());
            context.update(part);
        }
        <[u8; 32]>::try_from(context.sign().as_ref()).map_err(|_| SealError::Failed)
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KeyRing").field(&self.0).finish()
    }
}

/// One key of 256 bits. `Debug` shows its id alone, which is derived from it.
#[derive(Clone)]
pub struct SealingKey(Arc<Zeroizing<[u8; KEY_LEN]>>);

impl SealingKey {
    /// A new random key.
    ///
    /// # Panics
    /// Where the operating system has no randomness to give, which no program survives.
    pub fn generate() -> Self {
        let mut key = Zeroizing::new([0; KEY_LEN]);
        #[expect(
            clippy::expect_used,
            reason = "without randomness nothing can be secret"
        )]
        aws_lc_rs::rand::fill(&mut *key).expect("the system's source of randomness answers");
        Self(Arc::new(key))
    }

    /// Takes a key of 32 random bytes over. A password is no key.
    pub fn from_bytes(key: [u8; KEY_LEN]) -> Self {
        Self(Arc::new(Zeroizing::new(key)))
    }

    /// Reads 32 bytes in Base64 or base64url, as `openssl rand -base64 32` writes them.
    pub fn from_base64(text: &Secret) -> Result<Self, SealError> {
        let text = text.expose().trim();
        let bytes = [&STANDARD, &STANDARD_NO_PAD, &URL_SAFE, &URL_SAFE_NO_PAD]
            .into_iter()
            .find_map(|engine| engine.decode(text).ok())
            .map(Zeroizing::new)
            .ok_or(SealError::KeyNotBase64)?;
        let key = <[u8; KEY_LEN]>::try_from(bytes.as_slice());
        key.map(Self::from_bytes)
            .map_err(|_| SealError::KeyLength { found: bytes.len() })
    }

    /// The key in Base64, for the host's vault.
    pub fn to_base64(&self) -> Secret {
        Secret::new(STANDARD.encode(self.0.as_slice()))
    }

    fn id(&self) -> [u8; ID_LEN] {
        let derived = self.derive("id", "").ok();
        let head = derived.as_deref().and_then(|id| id.first_chunk());
        head.copied().unwrap_or_default()
    }

    fn derive(&self, use_of_it: &str, purpose: &str) -> Result<Zeroizing<[u8; 32]>, SealError> {
        let prk: Prk = Salt::new(HKDF_SHA256, SALT).extract(self.0.as_slice());
        let info = [use_of_it.as_bytes(), &[0], purpose.as_bytes()];
        let mut derived = Zeroizing::new([0; KEY_LEN]);
        prk.expand(&info, Length)
            .and_then(|material| material.fill(&mut *derived))
            .map_err(|_| SealError::Failed)?;
        Ok(derived)
    }

    fn aead(&self, purpose: &str) -> Result<LessSafeKey, SealError> {
        let key = self.derive("seal", purpose)?;
        UnboundKey::new(&AES_256_GCM, &*key)
            .map(LessSafeKey::new)
            .map_err(|_| SealError::Failed)
    }

    fn open(
        &self,
        purpose: &str,
        (id, nonce): (&[u8; ID_LEN], &[u8; NONCE_LEN]),
        associated: &[u8],
        body: &[u8],
    ) -> Option<Secret> {
        let mut body = Zeroizing::new(body.to_vec());
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let aad = Aad::from(bound(id, associated));
        let plain = self
            .aead(purpose)
            .ok()?
            .open_in_place(nonce, aad, &mut body)
            .ok()?;
        std::str::from_utf8(plain).ok().map(Secret::new)
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealingKey({:08x})", u32::from_be_bytes(self.id()))
    }
}

/// Why something was not sealed or not opened. It does not say which part was wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// The bytes were not made by [`KeyRing::seal`].
    #[error("the bytes were not sealed by a key ring")]
    NotSealed,
    /// The key that sealed it is not in the ring.
    #[error("the key that sealed it is not in the key ring")]
    UnknownKey,
    /// It was changed, or sealed for another purpose or with other associated data.
    #[error("it was changed, or sealed for something else")]
    Refused,
    /// A key's text is not Base64.
    #[error("the key is not Base64")]
    KeyNotBase64,
    /// A key has another length than 32 bytes.
    #[error("the key has {found} bytes, not 32")]
    KeyLength {
        /// How many bytes were given.
        found: usize,
    },
    /// There is no secret to seal.
    #[error("there is nothing to seal")]
    NothingToSeal,
    /// The machine's cryptography failed.
    #[error("sealing failed")]
    Failed,
}

/// The version and the key's id are bound as well.
fn bound(id: &[u8; ID_LEN], associated: &[u8]) -> Vec<u8> {
    [&[VERSION], &id[..], associated].concat()
}

/// How much HKDF is to derive.
struct Length;

impl KeyType for Length {
    fn len(&self) -> usize {
        KEY_LEN
    }
}

const VERSION: u8 = 1;
const ID_LEN: usize = 4;
const KEY_LEN: usize = 32;
/// RFC 5869 3.1: a salt that is no secret and the same everywhere separates this use of a key from
/// others.
const SALT: &[u8] = b"entra-sdk key ring v1";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sealed_opens_with_its_own_key_purpose_and_data_alone() {
        let ring = KeyRing::new(SealingKey::from_bytes([7; 32]));
        let sealed = ring.seal("a", b"x", &Secret::new("text")).unwrap();
        assert_eq!(ring.open("a", b"x", &sealed).unwrap().expose(), "text");
        assert_eq!(ring.open("b", b"x", &sealed), Err(SealError::Refused));
        assert_eq!(ring.open("a", b"y", &sealed), Err(SealError::Refused));
        let other = KeyRing::new(SealingKey::from_bytes([8; 32]));
        assert_eq!(other.open("a", b"x", &sealed), Err(SealError::UnknownKey));
        let both = other.with_previous(SealingKey::from_bytes([7; 32]));
        assert_eq!(both.open("a", b"x", &sealed).unwrap().expose(), "text");
    }

    #[test]
    fn a_change_of_any_byte_is_refused() {
        let ring = KeyRing::new(SealingKey::from_bytes([7; 32]));
        let sealed = ring.seal("a", b"", &Secret::new("text")).unwrap();
        for position in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[position] ^= 1;
            assert!(ring.open("a", b"", &changed).is_err(), "{position}");
        }
        for length in 0..sealed.len() {
            assert!(ring.open("a", b"", &sealed[..length]).is_err(), "{length}");
        }
    }

    #[test]
    fn the_same_text_is_never_sealed_to_the_same_bytes() {
        let ring = KeyRing::new(SealingKey::generate());
        let seal = || ring.seal("a", b"", &Secret::new("text")).unwrap();
        assert_ne!(seal(), seal());
    }

    #[test]
    fn parts_of_a_name_cannot_run_into_each_other() {
        let ring = KeyRing::new(SealingKey::from_bytes([7; 32]));
        let name = |parts: &[&[u8]]| ring.name("cache", parts).unwrap();
        assert_eq!(name(&[b"ab", b"c"]), name(&[b"ab", b"c"]));
        assert_ne!(name(&[b"ab", b"c"]), name(&[b"a", b"bc"]));
        assert_ne!(name(&[b"a"]), name(&[b"a", b""]));
    }

    #[test]
    fn a_key_is_32_bytes_of_base64_and_is_not_shown() {
        let key = SealingKey::from_bytes([0xfb; 32]);
        let read = SealingKey::from_base64(&key.to_base64()).unwrap();
        assert_eq!(format!("{read:?}"), format!("{key:?}"));
        assert!(!format!("{key:?}").contains("fbfb"));
        let parse = |text: &str| SealingKey::from_base64(&Secret::new(text)).unwrap_err();
        assert_eq!(parse("pass word"), SealError::KeyNotBase64);
        assert_eq!(parse("AAAA"), SealError::KeyLength { found: 3 });
    }
}
