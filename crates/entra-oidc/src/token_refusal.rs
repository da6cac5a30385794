//! Why a token is refused, be it an ID token or an access token.

use entra_core::{JwtRefusal, TenantId};
use time::OffsetDateTime;

/// Why a token is refused by the checks that ID tokens and access tokens share: one variant for
/// each, in the order of the checks. It holds what was expected and found where that is no secret;
/// what was found is cut to 200 characters.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenRefusal {
    /// It is no signed token as the issuer makes them, its signature is wrong, or this is not its
    /// time.
    #[error(transparent)]
    Jwt(#[from] JwtRefusal),
    /// There is no `iss`.
    #[error("the token does not name its issuer")]
    IssuerMissing,
    /// `iss` is not an issuer of the authority, letter by letter (RFC 8725 3.8).
    #[error("the token is from {found:?}, not from {expected:?}")]
    Issuer {
        /// The issuer of the authority, with `{tenantid}` where it has several tenants.
        expected: String,
        /// The token's.
        found: String,
    },
    /// There is no `tid`.
    #[error("the token does not name its tenant")]
    TenantMissing,
    /// `tid` is not a GUID in the one form in which Entra writes it.
    #[error("the token's tenant is not a GUID in lower case")]
    TenantInvalid,
    /// `tid` is another tenant than the issuer's.
    #[error("the token is of the tenant {found}, and its issuer is that of {issuer}")]
    TenantMismatch {
        /// The tenant in `iss`.
        issuer: TenantId,
        /// The tenant in `tid`.
        found: TenantId,
    },
    /// There is no `aud`.
    #[error("the token does not say whom it is for")]
    AudienceMissing,
    /// `aud` is somebody else.
    #[error("the token is for {found:?}, not for {expected:?}")]
    Audience {
        /// Whom it should be for; one of them where there are several.
        expected: String,
        /// Whom it is for; the first one where there are several.
        found: String,
    },
    /// `aud` has others beside the right one, who could use the token here.
    #[error("the token is for {found:?} as well")]
    AudienceUntrusted {
        /// The other one.
        found: String,
    },
    /// The token does not name its key. Every token of Entra does.
    #[error("the token does not name the key that signed it")]
    KeyIdMissing,
    /// The token does not name its key, and the provider has several (OpenID Connect Core 10.1).
    #[error("the token does not name its key, and the provider has several")]
    KeyAmbiguous,
    /// The provider has no key of this id, nor had it one within the last day.
    #[error("the provider has no key of the id that the token names")]
    KeyUnknown,
    /// The key signs for another issuer (Microsoft Learn, "Access tokens in the Microsoft identity
    /// platform", "Validation of the signing key issuer").
    #[error("the key signs for {found:?}, not for {expected:?}")]
    KeyIssuer {
        /// The token's issuer.
        expected: String,
        /// The key's, as it is published.
        found: String,
    },
    /// The key is one of another national cloud, which the key set of this one lists as well.
    #[error("the key signs for the cloud {found:?}, not for {expected:?}")]
    KeyCloud {
        /// The cloud of the provider.
        expected: String,
        /// The key's.
        found: String,
    },
    /// There is no `iat`.
    #[error("the token does not say when it was issued")]
    IssuedAtMissing,
    /// `iat` is after `exp`.
    #[error("the token was issued on {issued_on}, after its end on {expires_on}")]
    IssuedAfterExpiry {
        /// `iat`
        issued_on: OffsetDateTime,
        /// `exp`
        expires_on: OffsetDateTime,
    },
    /// It is valid for longer than any token of the provider.
    #[error("the token is valid from {issued_on} to {expires_on}, which is too long")]
    LifetimeTooLong {
        /// `iat`
        issued_on: OffsetDateTime,
        /// `exp`
        expires_on: OffsetDateTime,
    },
    /// The tenant is not one of those that are allowed.
    #[error("the tenant {found} is not allowed")]
    TenantNotAllowed {
        /// The token's.
        found: TenantId,
    },
    /// It is a personal Microsoft account where organisations alone are allowed.
    #[error("personal accounts are not allowed")]
    PersonalAccount,
    /// `ver` is missing, or another one than the issuer's.
    #[error("the token is of version {found:?}, not {expected:?}")]
    Version {
        /// What it should be.
        expected: &'static str,
        /// What it is; nothing where it is missing.
        found: String,
    },
    /// There is no `oid`.
    #[error("the token does not name the object of its user")]
    ObjectIdMissing,
    /// `oid` is not a GUID in the one form in which Entra writes it, or consists of zeros.
    #[error("the token's object id is not a GUID in lower case")]
    ObjectIdInvalid,
    /// There is no `sub`.
    #[error("the token has no subject")]
    SubjectMissing,
    /// `sub` is empty, has more than 255 bytes, or characters that are not ASCII (OpenID Connect
    /// Core 2), or control characters.
    #[error("the token's subject cannot be one")]
    SubjectInvalid,
    /// `sub` is the sentence that Azure AD B2C writes for every user alike.
    #[error("the token's subject is the same for all users")]
    SubjectConstant,
    /// A claim has another shape than it must.
    #[error("the token's claim {0} has another shape than it must")]
    Claim(&'static str),
}

impl TokenRefusal {
    /// Which step of the validation refused it.
    pub fn stage(&self) -> Stage {
        match self {
            Self::Jwt(refusal) => stage_of(refusal),
            Self::IssuerMissing
            | Self::Issuer { .. }
            | Self::TenantMissing
            | Self::TenantInvalid
            | Self::TenantMismatch { .. } => Stage::Issuer,
            Self::AudienceMissing | Self::Audience { .. } | Self::AudienceUntrusted { .. } => {
                Stage::Audience
            }
            Self::KeyIdMissing
            | Self::KeyAmbiguous
            | Self::KeyUnknown
            | Self::KeyIssuer { .. }
            | Self::KeyCloud { .. } => Stage::Key,
            Self::IssuedAtMissing
            | Self::IssuedAfterExpiry { .. }
            | Self::LifetimeTooLong { .. } => Stage::Times,
            Self::TenantNotAllowed { .. } | Self::PersonalAccount => Stage::Tenant,
            Self::Version { .. } => Stage::Version,
            Self::ObjectIdMissing
            | Self::ObjectIdInvalid
            | Self::SubjectMissing
            | Self::SubjectInvalid
            | Self::SubjectConstant => Stage::User,
            Self::Claim(_) => Stage::Claims,
        }
    }

    /// What an administrator can do about it.
    pub fn admin_hint(&self) -> &'static str {
        match self {
            Self::Jwt(refusal) => hint_of(refusal),
            Self::IssuerMissing | Self::TenantMissing | Self::TenantInvalid => NOT_ENTRA,
            Self::Issuer { .. } => {
                "Compare the tenant, the cloud and the issuer of the connection with those of the \
                 token."
            }
            Self::TenantMismatch { .. } => FORGED,
            Self::AudienceMissing | Self::Audience { .. } | Self::AudienceUntrusted { .. } => {
                "Compare the application's id in the connection with that in the token."
            }
            Self::KeyIdMissing | Self::KeyUnknown => {
                "If the application has signing keys of its own, as with claims mapping, say so: \
                 Authority::with_own_signing_keys. If not, the token is from another issuer."
            }
            Self::KeyAmbiguous => {
                "The provider has to name the key in each token (kid), since it lists several."
            }
            Self::KeyIssuer { .. } | Self::KeyCloud { .. } => {
                "Check the cloud of the connection. If it is right, somebody tries a key of \
                 another tenant or cloud."
            }
            Self::IssuedAtMissing | Self::IssuedAfterExpiry { .. } | Self::Claim(_) => {
                "Look at what the provider puts into its tokens: this is not what the \
                 specification asks for."
            }
            Self::LifetimeTooLong { .. } => {
                "Shorten the lifetime of tokens at the provider, or allow a longer one."
            }
            Self::TenantNotAllowed { .. } => "Allow the tenant, if its users are to come in.",
            Self::PersonalAccount => {
                "The user has to sign in with an account of an organisation, unless the product \
                 allows personal ones."
            }
            Self::Version { .. } => {
                "Set requestedAccessTokenVersion to 2 in the application's registration."
            }
            Self::ObjectIdMissing | Self::ObjectIdInvalid => {
                "The scope profile has to be among those that are asked for."
            }
            Self::SubjectMissing | Self::SubjectInvalid => NOT_ENTRA,
            Self::SubjectConstant => {
                "Let the policy of Azure AD B2C put the object's id into sub: in its settings, \
                 \"Subject claim\"."
            }
        }
    }
}

/// The steps of a validation, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Stage {
    /// Size, parts, header, types of the registered claims.
    Form,
    /// `iss` and `tid`.
    Issuer,
    /// `aud` and `azp`.
    Audience,
    /// The key, and for whom it signs.
    Key,
    /// The signature.
    Signature,
    /// `exp`, `nbf`, `iat`.
    Times,
    /// The shapes of the claims, and of which kind of token they are.
    Claims,
    /// `nonce`.
    Nonce,
    /// `c_hash`, `at_hash`, `s_hash`.
    Hashes,
    /// `auth_time` and `acrs`.
    Authentication,
    /// Which tenants, and whether guests, may come in.
    Tenant,
    /// `ver`, and the policy of Azure AD B2C.
    Version,
    /// `oid` and `sub`.
    User,
    /// What the caller is allowed to do, and who may act for the user.
    Permission,
}

fn stage_of(refusal: &JwtRefusal) -> Stage {
    match refusal {
        JwtRefusal::OtherKey | JwtRefusal::KeyAlgorithm => Stage::Key,
        JwtRefusal::Signature => Stage::Signature,
        JwtRefusal::NoExpiry
        | JwtRefusal::Expired { .. }
        | JwtRefusal::NotYetValid { .. }
        | JwtRefusal::IssuedInFuture { .. } => Stage::Times,
        JwtRefusal::Claim("iss" | "tid") => Stage::Issuer,
        JwtRefusal::Claim("aud") => Stage::Audience,
        JwtRefusal::Claim("exp" | "nbf" | "iat") => Stage::Times,
        JwtRefusal::Claims { .. } => Stage::Claims,
        _ => Stage::Form,
    }
}

fn hint_of(refusal: &JwtRefusal) -> &'static str {
    match refusal {
        JwtRefusal::Expired { .. }
        | JwtRefusal::NotYetValid { .. }
        | JwtRefusal::IssuedInFuture { .. } => {
            "Check the clock of this machine first. If it is right, the token is an old one."
        }
        JwtRefusal::Encrypted => {
            "Remove the encryption of tokens from the application's registration."
        }
        JwtRefusal::Algorithm => {
            "The provider has to sign with RS256, or with an algorithm that the connection allows."
        }
        JwtRefusal::TooLarge { .. } | JwtRefusal::TooManyMembers(_) => {
            "Ask for fewer claims, and for the groups of the application alone."
        }
        JwtRefusal::Signature | JwtRefusal::OtherKey | JwtRefusal::KeyAlgorithm => FORGED,
        _ => NOT_ENTRA,
    }
}

const NOT_ENTRA: &str = "The token is not one of the provider. Look at where it comes from, and for a proxy on the way.";
const FORGED: &str =
    "The token was changed on the way, or somebody forged it. Look at where it comes from.";
