//! Why a signed token is refused.

use std::fmt;

use time::OffsetDateTime;

/// Why a token is refused: one variant for each check. None holds text of the token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JwtRefusal {
    /// It is larger than the caller expects.
    #[error("the token has {found} bytes, more than {limit}")]
    TooLarge {
        /// The caller's limit, in bytes.
        limit: usize,
        /// The token's length, in bytes.
        found: usize,
    },
    /// It has five parts: it is encrypted (RFC 7516 7.1).
    #[error("the token is encrypted")]
    Encrypted,
    /// It has not three parts with dots between (RFC 7515 7.1).
    #[error("the token has {found} parts, not three")]
    NotThreeParts {
        /// How many there are.
        found: usize,
    },
    /// A part is not base64url without padding (RFC 7515 2), or its last bits are not zero.
    #[error("the token's {0} is not base64url without padding")]
    Base64(JwtPart),
    /// The header is larger than any issuer's.
    #[error("the token's header has more than {limit} characters")]
    HeaderTooLarge {
        /// The limit, in characters as they stand in the token.
        limit: usize,
    },
    /// A part is not the JSON text of an object (RFC 7515 4, RFC 7519 7.2).
    #[error("the token's {0} is not a JSON object")]
    NotAnObject(JwtPart),
    /// A name stands twice in an object, or twice but for letter case in the outermost one.
    #[error("the token's {0} has two members of one name")]
    DuplicateMember(JwtPart),
    /// An object has more members than any issuer's.
    #[error("the token's {0} has too many members")]
    TooManyMembers(JwtPart),
    /// `alg` is missing, no string, or not an algorithm that the caller allows (RFC 8725 3.1).
    #[error("the token's algorithm is not allowed")]
    Algorithm,
    /// `typ` is no string, or not a type that the caller expects (RFC 8725 3.11).
    #[error("the token's type is not the expected one")]
    Type,
    /// The header has a member that changes how the token is read, or brings or names a key of
    /// the sender's choice.
    #[error("the token's header has {0}, which is not accepted")]
    HeaderMember(&'static str),
    /// `kid` is no string, empty, or longer than any issuer's.
    #[error("the token's key id cannot be one")]
    KeyId,
    /// A registered claim or Entra's `tid` has another type than it must (RFC 7519 4.1), is empty,
    /// or is a time beyond the calendar.
    #[error("the token's claim {0} has no value that it can have")]
    Claim(&'static str),
    /// The key has another id than the token names.
    #[error("the key is not the one that the token names")]
    OtherKey,
    /// The key is not one for the token's algorithm.
    #[error("the key is not one for the token's algorithm")]
    KeyAlgorithm,
    /// The signature is not the key's for this token.
    #[error("the token's signature is wrong")]
    Signature,
    /// The claims cannot be read into the caller's type.
    #[error("the token's claims have another shape at column {column}")]
    Claims {
        /// Where in the payload, in bytes; 1 is the first.
        column: usize,
    },
    /// There is no `exp`: it would be valid for ever.
    #[error("the token does not say when it expires")]
    NoExpiry,
    /// `exp` has passed (RFC 7519 4.1.4).
    #[error("the token expired on {expired_on}")]
    Expired {
        /// The end of validity, as the token says.
        expired_on: OffsetDateTime,
    },
    /// `nbf` has not come yet (RFC 7519 4.1.5).
    #[error("the token is not valid before {not_before}")]
    NotYetValid {
        /// The start of validity, as the token says.
        not_before: OffsetDateTime,
    },
    /// `iat` has not come yet (RFC 7519 4.1.6): one of the two clocks is wrong.
    #[error("the token was issued in the future, on {issued_on}")]
    IssuedInFuture {
        /// When the token says that it was issued.
        issued_on: OffsetDateTime,
    },
}

/// A part of a token, in the order of the parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum JwtPart {
    /// The JOSE header.
    Header,
    /// The claims.
    Payload,
    /// The signature.
    Signature,
}

impl fmt::Display for JwtPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Header => "header",
            Self::Payload => "payload",
            Self::Signature => "signature",
        })
    }
}
