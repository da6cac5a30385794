//! Public keys that verify signatures (RFC 7517), and the document that lists an issuer's.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256,
    RsaParameters, RsaPublicKeyComponents,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::Value;

use crate::jwt::object::{ObjectError, Unread, read_object};
use crate::jwt::{JwtAlgorithm, MAX_KEY_ID};

/// A public key, parsed once.
///
/// ```
/// use entra_core::{JwtAlgorithm, VerificationKey};
///
/// // RFC 7515 A.3.
/// let key = VerificationKey::from_jwk(
///     r#"{"kty":"EC","crv":"P-256",
///         "x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
///         "y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#,
/// )?;
/// assert!(key.is_for(JwtAlgorithm::Es256));
/// # Ok::<(), entra_core::KeyProblem>(())
/// ```
pub struct VerificationKey {
    id: Option<String>,
    issuer: Option<String>,
    cloud_instance_name: Option<String>,
    material: Material,
    /// The one algorithm that the key says it is for. Entra's keys say none.
    only: Option<JwtAlgorithm>,
    /// What it was made of, to tell whether two keys are the same.
    public: PublicPart,
}

impl VerificationKey {
    /// Reads one key of a key set, in JSON.
    pub fn from_jwk(jwk: &str) -> Result<Self, KeyProblem> {
        read_object(jwk, &mut Unread).map_err(|_| KeyProblem::Malformed)?;
        let wire: Jwk = serde_json::from_str(jwk).map_err(|_| KeyProblem::Malformed)?;
        Self::from_wire(wire)
    }

    /// The name by which tokens refer to it: `kid` (RFC 7517 4.5).
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// The issuer whose tokens it signs, where Entra says so. `{tenantid}` in it stands for the
    /// tenant of the token (Microsoft Learn, "Access tokens in the Microsoft identity platform",
    /// "Validation of the signing key issuer").
    pub fn issuer(&self) -> Option<&str> {
        self.issuer.as_deref()
    }

    /// The national cloud whose tokens it signs, where Entra says so: `microsoftonline.us` for
    /// example. The key set of one cloud lists keys of others.
    pub fn cloud_instance_name(&self) -> Option<&str> {
        self.cloud_instance_name.as_deref()
    }

    /// Whether it verifies signatures of this algorithm.
    pub fn is_for(&self, algorithm: JwtAlgorithm) -> bool {
        self.parsed(algorithm).is_some()
    }

    /// The key as it is parsed for an algorithm, if it is one for it.
    pub(crate) fn parsed(&self, algorithm: JwtAlgorithm) -> Option<&ParsedPublicKey> {
        if self.only.is_some_and(|only| only != algorithm) {
            return None;
        }
        match (algorithm, &self.material) {
            (JwtAlgorithm::Rs256, Material::Rsa { pkcs1, .. }) => Some(pkcs1),
            (JwtAlgorithm::Ps256, Material::Rsa { pss, .. }) => Some(pss),
            (JwtAlgorithm::Es256, Material::P256(key)) => Some(key),
            _ => None,
        }
    }

    fn from_wire(wire: Jwk) -> Result<Self, KeyProblem> {
        check_use(&wire)?;
        let (public, material) = match wire.kty.as_str() {
            "RSA" => rsa(&wire)?,
            "EC" => p256(&wire)?,
            _ => return Err(KeyProblem::OtherType),
        };
        let mut key = Self {
            id: wire.kid,
            issuer: wire.issuer,
            cloud_instance_name: wire.cloud_instance_name,
            material,
            only: None,
            public,
        };
        if let Some(name) = wire.alg {
            let only = JwtAlgorithm::parse(&name).filter(|only| key.is_for(*only));
            key.only = Some(only.ok_or(KeyProblem::OtherAlgorithm)?);
        }
        Ok(key)
    }
}

impl fmt::Debug for VerificationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerificationKey")
            .field("id", &self.id)
            .field("issuer", &self.issuer)
            .field("cloud_instance_name", &self.cloud_instance_name)
            .field("only", &self.only)
            .finish_non_exhaustive()
    }
}

/// A document that lists the keys of an issuer (RFC 7517 5): those that can be used, and what is
/// wrong with the others.
///
/// This is one document as it stands. [`Jwks`](crate::Jwks) fetches, and remembers what vanishes
/// for a while.
#[derive(Clone, Debug)]
pub struct JwkSet {
    keys: Vec<Arc<VerificationKey>>,
    skipped: Vec<SkippedKey>,
}

impl JwkSet {
    /// Reads the document. A key that cannot be used is skipped; a document without any other is
    /// refused.
    pub fn parse(document: &[u8]) -> Result<Self, JwkSetError> {
        let text = std::str::from_utf8(document).map_err(|_| JwkSetError::NotJson)?;
        read_object(text, &mut Unread)?;
        let wire: WireSet = serde_json::from_str(text).map_err(|_| JwkSetError::NoKeys)?;
        if wire.keys.len() > MAX_KEYS {
            return Err(JwkSetError::TooManyKeys {
                limit: MAX_KEYS,
                found: wire.keys.len(),
            });
        }
        let mut set = Self {
            keys: Vec::with_capacity(wire.keys.len()),
            skipped: Vec::new(),
        };
        let (mut ambiguous, mut nameless) = (Vec::new(), Vec::new());
        for jwk in wire.keys {
            set.add(jwk, &mut ambiguous, &mut nameless);
        }
        set.skip_ambiguous(ambiguous);
        set.keep_a_single(nameless);
        if set.keys.is_empty() {
            return Err(JwkSetError::NoUsableKey {
                skipped: set.skipped,
            });
        }
        Ok(set)
    }

    /// The key of this id.
    pub fn key(&self, id: &str) -> Option<&Arc<VerificationKey>> {
        self.keys.iter().find(|key| key.id() == Some(id))
    }

    /// The key of an issuer that has no other, for a token that names none (OpenID Connect
    /// Core 10.1).
    pub fn only_key(&self) -> Option<&Arc<VerificationKey>> {
        match self.keys.as_slice() {
            [only] => Some(only),
            _ => None,
        }
    }

    /// The keys that can be used. All have an id, and no two have the same; a key without an id is
    /// there only if no other can be used.
    pub fn keys(&self) -> &[Arc<VerificationKey>] {
        &self.keys
    }

    /// The keys that cannot be used.
    pub fn skipped(&self) -> &[SkippedKey] {
        &self.skipped
    }

    /// Adds a key, or notes why not. What has the id of another but is another key goes to
    /// `ambiguous`, what has none to `nameless`.
    fn add(&mut self, jwk: Value, ambiguous: &mut Vec<String>, nameless: &mut Vec<Value>) {
        if jwk.is_object() && jwk.get("kid").is_none() {
            return nameless.push(jwk);
        }
        let id = jwk.get("kid").and_then(Value::as_str).map(str::to_owned);
        let problem = match self.read(jwk) {
            Ok(key) => return self.keys.push(Arc::new(key)),
            Err(problem) => problem,
        };
        if let (KeyProblem::Ambiguous, Some(id)) = (problem, &id) {
            ambiguous.push(id.clone());
        }
        let id = id.filter(|id| id.len() <= MAX_KEY_ID);
        self.skipped.push(SkippedKey { id, problem });
    }

    /// A key without an id is used where it is the only one: then no token has to name it.
    fn keep_a_single(&mut self, nameless: Vec<Value>) {
        let is_single = self.keys.is_empty() && nameless.len() == 1;
        for jwk in nameless {
            let key = Jwk::deserialize(jwk)
                .map_err(|_| KeyProblem::Malformed)
                .and_then(VerificationKey::from_wire)
                .and_then(|key| is_single.then_some(key).ok_or(KeyProblem::NoId));
            match key {
                Ok(key) => self.keys.push(Arc::new(key)),
                Err(problem) => self.skipped.push(SkippedKey { id: None, problem }),
            }
        }
    }

    fn read(&self, jwk: Value) -> Result<VerificationKey, KeyProblem> {
        let wire = Jwk::deserialize(jwk).map_err(|_| KeyProblem::Malformed)?;
        match &wire.kid {
            Some(id) if (1..=MAX_KEY_ID).contains(&id.len()) => {}
            _ => return Err(KeyProblem::NoId),
        }
        let key = VerificationKey::from_wire(wire)?;
        match key.id().and_then(|id| self.key(id)) {
            None => Ok(key),
            Some(other) if other.public == key.public => Err(KeyProblem::Repeated),
            Some(_) => Err(KeyProblem::Ambiguous),
        }
    }

    /// Of two different keys with one id, neither can be trusted to be the right one.
    fn skip_ambiguous(&mut self, ids: Vec<String>) {
        for id in ids {
            let before = self.keys.len();
            self.keys.retain(|key| key.id() != Some(&id));
            if self.keys.len() < before {
                self.skipped.push(SkippedKey {
                    id: Some(id),
                    problem: KeyProblem::Ambiguous,
                });
            }
        }
    }
}

/// A key of a document that is not used.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SkippedKey {
    /// Its id, where it has one that could be.
    pub id: Option<String>,
    /// Why it is not used.
    pub problem: KeyProblem,
}

/// Why a key cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyProblem {
    /// It is no JSON object with the members of a key, or they are not base64url.
    #[error("it is not a JSON Web Key")]
    Malformed,
    /// It has no id and is not the only key, or an empty one, or one longer than any issuer's.
    #[error("it has no key id that can be used")]
    NoId,
    /// It is neither an RSA key nor one of the curve P-256: a symmetric key for example, which in
    /// a public document is everybody's.
    #[error("it is neither an RSA key nor one of the curve P-256")]
    OtherType,
    /// It is for encryption (`use`), or not for verifying (`key_ops`).
    #[error("it is not for signatures")]
    OtherUse,
    /// It is for an algorithm that is not offered here, or for none of its type.
    #[error("it is for another algorithm")]
    OtherAlgorithm,
    /// The RSA key is smaller than 2048 bits or larger than 8192.
    #[error("it has {bits} bits, not between 2048 and 8192")]
    Size {
        /// The length of the modulus.
        bits: usize,
    },
    /// The modulus or the exponent is one with which no signature is safe, or the point is not on
    /// the curve.
    #[error("its numbers are not those of a public key")]
    Numbers,
    /// It is published with its private part: whoever reads the document can sign with it.
    #[error("its private part is published with it")]
    PrivatePart,
    /// It stands in the document already.
    #[error("it is listed twice")]
    Repeated,
    /// Another key of the document has the same id.
    #[error("another key has the same id")]
    Ambiguous,
}

/// Why a document is no key set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JwkSetError {
    /// It is not the JSON text of an object.
    #[error("the key set is not a JSON object")]
    NotJson,
    /// A name stands twice in an object of it, or an object has too many.
    #[error("the key set has an object with a name that stands twice, or with too many")]
    Names,
    /// `keys` is missing or no array.
    #[error("the key set has no array of keys")]
    NoKeys,
    /// It lists more keys than any issuer has.
    #[error("the key set has {found} keys, more than {limit}")]
    TooManyKeys {
        /// The limit.
        limit: usize,
        /// How many it lists.
        found: usize,
    },
    /// None of its keys can be used.
    #[error("no key of the key set can be used")]
    NoUsableKey {
        /// What is wrong with each.
        skipped: Vec<SkippedKey>,
    },
}

impl From<ObjectError> for JwkSetError {
    fn from(error: ObjectError) -> Self {
        match error {
            ObjectError::Duplicate | ObjectError::TooManyMembers => Self::Names,
            ObjectError::NotJson | ObjectError::NotAnObject | ObjectError::Member => Self::NotJson,
        }
    }
}

enum Material {
    /// The same key, for both paddings.
    Rsa {
        pkcs1: ParsedPublicKey,
        pss: ParsedPublicKey,
    },
    P256(ParsedPublicKey),
}

#[derive(PartialEq)]
enum PublicPart {
    Rsa { modulus: Vec<u8>, exponent: Vec<u8> },
    P256 { point: Vec<u8> },
}

#[derive(Deserialize)]
struct WireSet {
    keys: Vec<Value>,
}

/// The members that matter here (RFC 7517 4, RFC 7518 6, and two of Entra's own).
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    n: Option<String>,
    e: Option<String>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
    /// The private part of both types.
    d: Option<serde::de::IgnoredAny>,
    issuer: Option<String>,
    cloud_instance_name: Option<String>,
}

fn check_use(wire: &Jwk) -> Result<(), KeyProblem> {
    let for_signatures = wire.usage.as_deref().is_none_or(|usage| usage == "sig");
    let for_verifying = wire
        .key_ops
        .as_deref()
        .is_none_or(|operations| operations.iter().any(|operation| operation == "verify"));
    if wire.d.is_some() {
        return Err(KeyProblem::PrivatePart);
    }
    if !for_signatures || !for_verifying {
        return Err(KeyProblem::OtherUse);
    }
    Ok(())
}

/// RFC 7518 6.3.1.
fn rsa(wire: &Jwk) -> Result<(PublicPart, Material), KeyProblem> {
    let (modulus, exponent) = (number(wire.n.as_deref())?, number(wire.e.as_deref())?);
    let bits = bit_length(&modulus);
    if !RSA_BITS.contains(&bits) {
        return Err(KeyProblem::Size { bits });
    }
    let is_odd = |number: &[u8]| number.last().is_some_and(|byte| byte % 2 == 1);
    // An exponent of 1 makes every signature its own message.
    let exponent_fits = (2..=MAX_EXPONENT_BITS).contains(&bit_length(&exponent));
    if !is_odd(&modulus) || !is_odd(&exponent) || !exponent_fits {
        return Err(KeyProblem::Numbers);
    }
    let components = RsaPublicKeyComponents {
        n: &modulus,
        e: &exponent,
    };
    let parse = |parameters: &'static RsaParameters| {
        components
            .to_parsed_public_key(parameters)
            .map_err(|_| KeyProblem::Numbers)
    };
    let material = Material::Rsa {
        pkcs1: parse(&RSA_PKCS1_2048_8192_SHA256)?,
        pss: parse(&RSA_PSS_2048_8192_SHA256)?,
    };
    Ok((PublicPart::Rsa { modulus, exponent }, material))
}

/// RFC 7518 6.2.1.
fn p256(wire: &Jwk) -> Result<(PublicPart, Material), KeyProblem> {
    if wire.crv.as_deref() != Some("P-256") {
        return Err(KeyProblem::OtherType);
    }
    // Uncompressed (SEC 1, 2.3.3).
    let mut point = vec![4];
    for coordinate in [&wire.x, &wire.y] {
        let coordinate = decode(coordinate.as_deref())?;
        if coordinate.len() != 32 {
            return Err(KeyProblem::Numbers);
        }
        point.extend(coordinate);
    }
    let key =
        ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &point).map_err(|_| KeyProblem::Numbers)?;
    Ok((PublicPart::P256 { point }, Material::P256(key)))
}

/// A positive number without leading zeros (RFC 7518 2, "Base64urlUInt").
fn number(text: Option<&str>) -> Result<Vec<u8>, KeyProblem> {
    let number = decode(text)?;
    match number.first() {
        None | Some(0) => Err(KeyProblem::Malformed),
        Some(_) => Ok(number),
    }
}

fn decode(text: Option<&str>) -> Result<Vec<u8>, KeyProblem> {
    let text = text.ok_or(KeyProblem::Malformed)?;
    URL_SAFE_NO_PAD
        .decode(text)
        .map_err(|_| KeyProblem::Malformed)
}

/// The length of a number without leading zeros.
fn bit_length(number: &[u8]) -> usize {
    let leading = number.first().map_or(0, |byte| byte.leading_zeros());
    (number.len() * 8).saturating_sub(usize::try_from(leading).unwrap_or_default())
}

/// What aws-lc verifies with, and what Entra and RFC 7518 3.3 ask for at the least.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;
/// What aws-lc accepts; 65537 has 17.
const MAX_EXPONENT_BITS: usize = 33;
/// Entra lists up to fourteen.
const MAX_KEYS: usize = 1000;
