//! The checks that ID tokens and access tokens share, each a function of its own.

use std::time::Duration;

use entra_core::{ClockSkew, ObjectId, TenantId, UnverifiedJwt, VerificationKey, VerifiedJwt};
use time::OffsetDateTime;

use crate::TokenRefusal;
use crate::issuer::{FoundIssuer, TenantVerdict, canonical_tenant, is_written_as};
use crate::provider::short;
use crate::token_keys::KnownKeys;

/// `iss` is one of the authority's, and `tid` is the tenant in it.
pub(crate) fn issuer(
    jwt: &UnverifiedJwt<'_>,
    known: &KnownKeys,
) -> Result<FoundIssuer, TokenRefusal> {
    let rule = known.rule();
    let issuer = jwt.unverified_issuer().ok_or(TokenRefusal::IssuerMissing)?;
    let found = rule.read(issuer).ok_or_else(|| match rule.is_v1(issuer) {
        true => TokenRefusal::Version {
            expected: "2.0",
            found: "1.0".to_owned(),
        },
        false => TokenRefusal::Issuer {
            expected: rule.expected_configuration(),
            found: short(issuer),
        },
    })?;
    // Another provider has no tenants, and its `tid` means nothing.
    if let Some(issuer) = found.tenant {
        same_tenant(jwt, issuer)?;
    }
    Ok(found)
}

fn same_tenant(jwt: &UnverifiedJwt<'_>, issuer: TenantId) -> Result<(), TokenRefusal> {
    let text = jwt
        .unverified_tenant_id()
        .ok_or(TokenRefusal::TenantMissing)?;
    if is_written_as(text, issuer.as_uuid()) {
        return Ok(());
    }
    let found = canonical_tenant(text).ok_or(TokenRefusal::TenantInvalid)?;
    Err(TokenRefusal::TenantMismatch { issuer, found })
}

/// The key signs for this issuer, and in this cloud.
pub(crate) fn key(
    key: &VerificationKey,
    known: &KnownKeys,
    issuer: FoundIssuer,
) -> Result<(), TokenRefusal> {
    let rule = known.rule();
    if let Some(found) = key.issuer()
        && !rule.accepts_key_issuer(found, issuer.tenant)
    {
        return Err(TokenRefusal::KeyIssuer {
            expected: rule.expected_key_issuer(issuer.tenant),
            found: short(found),
        });
    }
    match (known.cloud(), key.cloud_instance_name()) {
        (Some(expected), Some(found)) if expected != found => Err(TokenRefusal::KeyCloud {
            expected: expected.to_owned(),
            found: short(found),
        }),
        _ => Ok(()),
    }
}

/// It is the token's time, and its time is not longer than any token's.
pub(crate) fn times(
    jwt: &VerifiedJwt,
    now: OffsetDateTime,
    skew: ClockSkew,
    longest: Duration,
) -> Result<(), TokenRefusal> {
    jwt.validate_times(now, skew)?;
    let issued_on = jwt.issued_on().ok_or(TokenRefusal::IssuedAtMissing)?;
    let Some(expires_on) = jwt.expires_on() else {
        return Ok(()); // `validate_times` refuses it.
    };
    if issued_on > expires_on {
        return Err(TokenRefusal::IssuedAfterExpiry {
            issued_on,
            expires_on,
        });
    }
    if expires_on - issued_on > longest {
        return Err(TokenRefusal::LifetimeTooLong {
            issued_on,
            expires_on,
        });
    }
    Ok(())
}

/// Users of this tenant may come in.
pub(crate) fn tenant(known: &KnownKeys, issuer: FoundIssuer) -> Result<(), TokenRefusal> {
    let Some(found) = issuer.tenant else {
        return Ok(());
    };
    match known.rule().accepts_tenant(found) {
        TenantVerdict::Accepted => Ok(()),
        TenantVerdict::PersonalAccount => Err(TokenRefusal::PersonalAccount),
        TenantVerdict::NotAllowed => Err(TokenRefusal::TenantNotAllowed { found }),
    }
}

/// `ver` is that of the issuer. Providers other than Entra have none.
pub(crate) fn version(issuer: FoundIssuer, found: Option<&str>) -> Result<(), TokenRefusal> {
    let expected = match issuer {
        FoundIssuer { tenant: None, .. } => return Ok(()),
        FoundIssuer { is_v1: true, .. } => "1.0",
        FoundIssuer { is_v1: false, .. } => "2.0",
    };
    if found == Some(expected) {
        return Ok(());
    }
    Err(TokenRefusal::Version {
        expected,
        found: short(found.unwrap_or_default()),
    })
}

/// `oid` as Entra writes it.
pub(crate) fn object_id(found: Option<&str>) -> Result<ObjectId, TokenRefusal> {
    let found = found.ok_or(TokenRefusal::ObjectIdMissing)?;
    found
        .parse::<ObjectId>()
        .ok()
        .filter(|id| is_written_as(found, id.as_uuid()))
        .ok_or(TokenRefusal::ObjectIdInvalid)
}

/// `sub` names one user (OpenID Connect Core 2).
pub(crate) fn subject(found: Option<&str>) -> Result<&str, TokenRefusal> {
    let subject = found.ok_or(TokenRefusal::SubjectMissing)?;
    let is_name = (1..=MAX_SUBJECT).contains(&subject.len())
        && subject.is_ascii()
        && !subject.contains(|c: char| c.is_ascii_control());
    if !is_name {
        return Err(TokenRefusal::SubjectInvalid);
    }
    if is_constant(subject) {
        return Err(TokenRefusal::SubjectConstant);
    }
    Ok(subject)
}

/// Whether it is the sentence that everybody has who has no subject.
pub(crate) fn is_constant(subject: &str) -> bool {
    subject.starts_with(CONSTANT_SUBJECT)
}

const MAX_SUBJECT: usize = 255;
/// Azure AD B2C writes this sentence where its policy names no source for `sub`.
const CONSTANT_SUBJECT: &str = "Not supported currently";
