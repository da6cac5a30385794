//! Signed tokens in compact form (RFC 7515, RFC 7519): unverified until a key says otherwise.

mod claims;
pub(crate) mod object;
mod payload;
mod refusal;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::de::MapAccess;
use time::OffsetDateTime;

use crate::VerificationKey;
use claims::Registered;
use object::{Members, ObjectError, Text, read_object};
use payload::{Names, Payload};

pub use claims::ClockSkew;
pub use refusal::{JwtPart, JwtRefusal};

/// A token whose signature nobody has checked yet.
///
/// It is checked in all that needs no key. Nothing of its claims can be read but what finds the
/// key, and that by names which say that it is unverified: whoever made the token may have
/// written anything there. [`verify`](Self::verify) makes it a [`VerifiedJwt`].
///
/// ```
/// # async fn f(http: impl entra_core::HttpClient + 'static, bearer: &str) -> Result<(), Box<dyn std::error::Error>> {
/// use entra_core::{Clock as _, ClockSkew, Jwks, JwtRules, Pipeline, SystemClock, UnverifiedJwt};
///
/// #[derive(serde::Deserialize)]
/// struct Claims<'a> {
///     oid: &'a str,
///     nonce: Option<&'a str>,
/// }
///
/// // Once: which signatures to expect, and where the keys are.
/// let rules = JwtRules::new();
/// let keys = "https://login.microsoftonline.com/common/discovery/v2.0/keys".parse()?;
/// let keys = Jwks::new(Pipeline::new(http), keys);
///
/// // For each token.
/// let jwt = UnverifiedJwt::parse(bearer, &rules)?;
/// let key = keys.key_for(&jwt).await?;
/// let jwt = jwt.verify(key)?;
/// jwt.validate_times(SystemClock.now(), ClockSkew::default())?;
/// let claims: Claims = jwt.claims()?;
/// # Ok(()) }
/// ```
pub struct UnverifiedJwt<'a> {
    /// What the signature is over: header and payload with the dot between.
    signed: &'a str,
    header: Header,
    registered: Registered,
    payload: Payload,
    signature: Vec<u8>,
}

impl<'a> UnverifiedJwt<'a> {
    /// Reads a token by the rules of the caller. Every step has a refusal of its own.
    pub fn parse(token: &'a str, rules: &JwtRules) -> Result<Self, JwtRefusal> {
        // 1. It is not larger than the caller expects, before anything is done with it.
        check_size(token, rules)?;
        // 2. It has three parts: a signed token in compact form (RFC 7515 7.1).
        let parts = split(token)?;
        // 3. The header is not too large, and is base64url without padding in the one form that
        //    there is (RFC 7515 2).
        let mut buffer = [0; MAX_HEADER / 4 * 3];
        let decoded = decode_header(parts.header, &mut buffer)?;
        // 4. It is an object without duplicate members (RFC 7515 4).
        let (header, _) = read_part(decoded, JwtPart::Header, WireHeader::wrong_type)?;
        // 5. Its algorithm is one that the caller allows (RFC 8725 3.1).
        let algorithm = check_algorithm(&header, rules)?;
        // 6. Its type is absent or one that the caller expects (RFC 8725 3.11).
        check_type(&header, rules)?;
        // 7. Nothing in it asks for what is not done here, or brings a key (RFC 7515 4.1).
        check_members(&header)?;
        // 8. The id of its key can be one.
        let header = Header {
            algorithm,
            key_id: check_key_id(header)?,
        };
        // 9. The payload is base64url, an object without duplicate members, and its registered
        //    claims are of the types that they have (RFC 7519 4.1, 7.2).
        let payload = decode_payload(parts.payload)?;
        let (registered, names) = read_part(&payload, JwtPart::Payload, Registered::wrong_type)?;
        let names = Names::of(&payload, names);
        // 10. The signature is base64url as well. Whether it is right, the key says.
        let signature = URL_SAFE_NO_PAD
            .decode(parts.signature)
            .map_err(|_| JwtRefusal::Base64(JwtPart::Signature))?;
        Ok(Self {
            signed: parts.signed,
            header,
            registered,
            payload: Payload::new(payload, names),
            signature,
        })
    }

    /// Checks the signature. The key goes along with the token, so that who validates the claims
    /// knows whose key it was.
    pub fn verify(self, key: Arc<VerificationKey>) -> Result<VerifiedJwt, JwtRefusal> {
        // 1. It is the key that the token names, if the token names one.
        if self.key_id().is_some_and(|id| key.id() != Some(id)) {
            return Err(JwtRefusal::OtherKey);
        }
        // 2. It is a key for the algorithm of the token (RFC 8725 3.1).
        let parsed = key
            .parsed(self.algorithm())
            .ok_or(JwtRefusal::KeyAlgorithm)?;
        // 3. The signature is right (RFC 7515 5.2).
        parsed
            .verify_sig(self.signed.as_bytes(), &self.signature)
            .map_err(|_| JwtRefusal::Signature)?;
        Ok(VerifiedJwt {
            header: self.header,
            registered: self.registered,
            payload: self.payload,
            key,
        })
    }

    /// The id of the key that signed it, as the token says: `kid` (RFC 7515 4.1.4).
    pub fn key_id(&self) -> Option<&str> {
        self.header.key_id.as_deref()
    }

    /// The algorithm of its signature, one of those that the caller allows.
    pub fn algorithm(&self) -> JwtAlgorithm {
        self.header.algorithm
    }

    /// What the token claims as its issuer, to choose the key set by. Anybody may have written
    /// it.
    pub fn unverified_issuer(&self) -> Option<&str> {
        self.registered.issuer.as_deref()
    }

    /// What the token claims as its tenant (`tid`), to choose the profile by. Anybody may have
    /// written it.
    pub fn unverified_tenant_id(&self) -> Option<&str> {
        self.registered.tenant.as_deref()
    }

    /// Whom the token claims to be for, to turn foreign tokens away before a key is fetched.
    /// Anybody may have written it.
    pub fn unverified_audiences(&self) -> &[String] {
        self.registered.audiences()
    }
}

impl fmt::Debug for UnverifiedJwt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnverifiedJwt")
            .field("algorithm", &self.algorithm())
            .finish_non_exhaustive()
    }
}

/// A token whose signature is right. Only [`UnverifiedJwt::verify`] makes one.
///
/// The claims are the issuer's own words now. Whether they are meant for the caller is for the
/// caller to say: issuer, audience, times, and what else its protocol asks for.
pub struct VerifiedJwt {
    header: Header,
    registered: Registered,
    payload: Payload,
    key: Arc<VerificationKey>,
}

impl VerifiedJwt {
    /// The claims, read into the caller's type. What is `&str` in it is borrowed, and refused
    /// where the text has escapes; `Cow<str>` with `#[serde(borrow)]` takes both.
    pub fn claims<'de, T: Deserialize<'de>>(&'de self) -> Result<T, JwtRefusal> {
        self.payload.read().map_err(|error| JwtRefusal::Claims {
            column: error.column(),
        })
    }

    /// That the token is in force at `now`, give or take the skew: `exp` is there and has not
    /// passed, `nbf` and `iat`, if they are there, are not in the future (RFC 7519 4.1.4 to
    /// 4.1.6).
    pub fn validate_times(&self, now: OffsetDateTime, skew: ClockSkew) -> Result<(), JwtRefusal> {
        self.registered.validate_times(now, skew)
    }

    /// Who issued it: `iss` (RFC 7519 4.1.1).
    pub fn issuer(&self) -> Option<&str> {
        self.registered.issuer.as_deref()
    }

    /// Whom it is for: `aud` (RFC 7519 4.1.3). None, one or several, none of them empty.
    pub fn audiences(&self) -> &[String] {
        self.registered.audiences()
    }

    /// The tenant that issued it: Entra's `tid`, as it stands in the token.
    pub fn tenant_id(&self) -> Option<&str> {
        self.registered.tenant.as_deref()
    }

    /// When it ends: `exp` (RFC 7519 4.1.4).
    pub fn expires_on(&self) -> Option<OffsetDateTime> {
        self.registered.expires_on
    }

    /// When it begins: `nbf` (RFC 7519 4.1.5).
    pub fn not_before(&self) -> Option<OffsetDateTime> {
        self.registered.not_before
    }

    /// When it was issued: `iat` (RFC 7519 4.1.6).
    pub fn issued_on(&self) -> Option<OffsetDateTime> {
        self.registered.issued_on
    }

    /// The algorithm of its signature.
    pub fn algorithm(&self) -> JwtAlgorithm {
        self.header.algorithm
    }

    /// The key that verified it.
    pub fn key(&self) -> &Arc<VerificationKey> {
        &self.key
    }
}

impl fmt::Debug for VerifiedJwt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedJwt")
            .field("algorithm", &self.algorithm())
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

/// Which tokens a caller takes: by default those of Entra, signed with RS256, of the type `JWT`
/// or of none, of up to 64 KiB.
///
/// ```
/// use entra_core::{JwtAlgorithm, JwtRules};
///
/// let of_another_provider = JwtRules::new()
///     .with_algorithms([JwtAlgorithm::Es256])
///     .with_types(["at+jwt"]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JwtRules {
    algorithms: Vec<JwtAlgorithm>,
    types: Vec<String>,
    max_length: usize,
}

impl JwtRules {
    /// The rules for tokens of Entra.
    pub fn new() -> Self {
        Self {
            algorithms: vec![JwtAlgorithm::Rs256],
            types: vec!["JWT".to_owned()],
            max_length: DEFAULT_MAX_LENGTH,
        }
    }

    /// Allows these algorithms and no others.
    #[must_use]
    pub fn with_algorithms(mut self, algorithms: impl IntoIterator<Item = JwtAlgorithm>) -> Self {
        self.algorithms = algorithms.into_iter().collect();
        self
    }

    /// Expects one of these types in the header, or none at all. Letter case does not matter
    /// (RFC 7515 4.1.9).
    #[must_use]
    pub fn with_types<T: Into<String>>(mut self, types: impl IntoIterator<Item = T>) -> Self {
        self.types = types.into_iter().map(Into::into).collect();
        self
    }

    /// Takes tokens of up to this many bytes.
    #[must_use]
    pub fn with_max_length(mut self, max_length: usize) -> Self {
        self.max_length = max_length;
        self
    }
}

impl Default for JwtRules {
    fn default() -> Self {
        Self::new()
    }
}

/// How a token is signed. `none` and the symmetric ones are not among them, so that no list can
/// allow them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum JwtAlgorithm {
    /// RSA with PKCS#1 1.5 padding and SHA-256 (RFC 7518 3.3): what Entra signs with.
    Rs256,
    /// RSA with PSS padding and SHA-256 (RFC 7518 3.5).
    Ps256,
    /// ECDSA with the curve P-256 and SHA-256 (RFC 7518 3.4).
    Es256,
}

impl JwtAlgorithm {
    /// Its registered name, in which letter case matters (RFC 7518 3.1).
    pub(crate) fn parse(name: &str) -> Option<Self> {
        match name {
            "RS256" => Some(Self::Rs256),
            "PS256" => Some(Self::Ps256),
            "ES256" => Some(Self::Es256),
            _ => None,
        }
    }
}

/// What is left of the header once it is checked.
struct Header {
    algorithm: JwtAlgorithm,
    key_id: Option<String>,
}

struct Parts<'a> {
    header: &'a str,
    payload: &'a str,
    signature: &'a str,
    signed: &'a str,
}

fn check_size(token: &str, rules: &JwtRules) -> Result<(), JwtRefusal> {
    if token.len() > rules.max_length {
        return Err(JwtRefusal::TooLarge {
            limit: rules.max_length,
            found: token.len(),
        });
    }
    Ok(())
}

fn split(token: &str) -> Result<Parts<'_>, JwtRefusal> {
    let three = || {
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, payload) = signed.split_once('.')?;
        (!payload.contains('.')).then_some(Parts {
            header,
            payload,
            signature,
            signed,
        })
    };
    three().ok_or_else(|| match token.split('.').count() {
        5 => JwtRefusal::Encrypted,
        found => JwtRefusal::NotThreeParts { found },
    })
}

fn decode_header<'a>(header: &str, buffer: &'a mut [u8]) -> Result<&'a str, JwtRefusal> {
    if header.len() > MAX_HEADER {
        return Err(JwtRefusal::HeaderTooLarge { limit: MAX_HEADER });
    }
    let length = URL_SAFE_NO_PAD
        .decode_slice(header, buffer)
        .map_err(|_| JwtRefusal::Base64(JwtPart::Header))?;
    let decoded = buffer.get(..length).unwrap_or_default();
    std::str::from_utf8(decoded).map_err(|_| JwtRefusal::NotAnObject(JwtPart::Header))
}

fn decode_payload(payload: &str) -> Result<String, JwtRefusal> {
    let decoded = URL_SAFE_NO_PAD
        .decode(payload)
        .map_err(|_| JwtRefusal::Base64(JwtPart::Payload))?;
    String::from_utf8(decoded).map_err(|_| JwtRefusal::NotAnObject(JwtPart::Payload))
}

/// The members of the header (RFC 7515 4.1) that are looked at.
#[derive(Default)]
struct WireHeader<'a> {
    algorithm: Option<Text<'a>>,
    kind: Option<Text<'a>>,
    key_id: Option<Text<'a>>,
    refused_member: Option<&'static str>,
    /// The member that is read at this moment, for the refusal.
    reading: &'static str,
}

impl WireHeader<'_> {
    /// What it means that the member is not a string.
    fn wrong_type(&self) -> JwtRefusal {
        match self.reading {
            "typ" => JwtRefusal::Type,
            "kid" => JwtRefusal::KeyId,
            _ => JwtRefusal::Algorithm,
        }
    }
}

impl<'de> Members<'de> for WireHeader<'de> {
    fn read<A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error> {
        let (member, reading) = match name {
            "alg" => (&mut self.algorithm, "alg"),
            "typ" => (&mut self.kind, "typ"),
            "kid" => (&mut self.key_id, "kid"),
            _ => {
                if let Some(refused) = REFUSED_MEMBERS.iter().find(|refused| **refused == name) {
                    self.refused_member = Some(refused);
                }
                return Ok(false);
            }
        };
        self.reading = reading;
        *member = Some(map.next_value()?);
        Ok(true)
    }
}

/// A part as the object that it must be. `wrong_type` is what it means that a member which is
/// looked at has another type than it must.
fn read_part<'a, M: Members<'a> + Default>(
    text: &'a str,
    part: JwtPart,
    wrong_type: fn(&M) -> JwtRefusal,
) -> Result<(M, Vec<Cow<'a, str>>), JwtRefusal> {
    let mut members = M::default();
    match read_object(text, &mut members) {
        Ok(names) => Ok((members, names)),
        Err(ObjectError::Member) => Err(wrong_type(&members)),
        Err(ObjectError::Duplicate) => Err(JwtRefusal::DuplicateMember(part)),
        Err(ObjectError::TooManyMembers) => Err(JwtRefusal::TooManyMembers(part)),
        Err(ObjectError::NotJson | ObjectError::NotAnObject) => Err(JwtRefusal::NotAnObject(part)),
    }
}

fn check_algorithm(header: &WireHeader<'_>, rules: &JwtRules) -> Result<JwtAlgorithm, JwtRefusal> {
    header
        .algorithm
        .as_ref()
        .and_then(|Text(name)| JwtAlgorithm::parse(name))
        .filter(|algorithm| rules.algorithms.contains(algorithm))
        .ok_or(JwtRefusal::Algorithm)
}

fn check_type(header: &WireHeader<'_>, rules: &JwtRules) -> Result<(), JwtRefusal> {
    let is_expected = header.kind.as_ref().is_none_or(|Text(found)| {
        let mut expected = rules.types.iter();
        expected.any(|expected| expected.eq_ignore_ascii_case(found))
    });
    if is_expected {
        return Ok(());
    }
    Err(JwtRefusal::Type)
}

fn check_members(header: &WireHeader<'_>) -> Result<(), JwtRefusal> {
    match header.refused_member {
        Some(name) => Err(JwtRefusal::HeaderMember(name)),
        None => Ok(()),
    }
}

fn check_key_id(header: WireHeader<'_>) -> Result<Option<String>, JwtRefusal> {
    match header.key_id {
        Some(Text(id)) if !(1..=MAX_KEY_ID).contains(&id.len()) => Err(JwtRefusal::KeyId),
        id => Ok(id.map(|Text(id)| id.into_owned())),
    }
}

/// Entra's tokens are a few kilobytes; one with two hundred groups has ten.
const DEFAULT_MAX_LENGTH: usize = 64 * 1024;
/// In characters, as it stands in the token. Entra's have a hundred; one with a chain of
/// certificates is refused.
const MAX_HEADER: usize = 4 * 1024;
/// In bytes. Entra's are thumbprints of 27 or 43.
pub(crate) const MAX_KEY_ID: usize = 128;
/// Extensions that are not understood and must not be passed over (`crit`), another encoding of
/// the payload (`b64`, `zip`, `cty`, `enc`), and keys of the sender's choice.
const REFUSED_MEMBERS: [&str; 9] = [
    "crit", "b64", "zip", "cty", "enc", "jku", "jwk", "x5u", "x5c",
];
