//! Who signed in: the one identity by which a product knows a user, and what was said about them.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Groups, ObjectId, TenantId};

/// The identity of a user, and the only one: what a product stores beside its account, and finds
/// the account by.
///
/// For Entra it is the tenant and the object in it; for any other provider the issuer and the
/// subject (OpenID Connect Core 5.7). A name, an e-mail address or a `sub` of Entra is no
/// identity: addresses move between people and are not verified, and a `sub` differs for each
/// application.
///
/// The text form is stable, holds both parts, and is read back: a key for a database whose column
/// compares byte by byte. One that passes over letter case or spaces at the end, as the usual ones
/// of MySQL and SQL Server do, takes two subjects of one provider for the same user.
///
/// ```
/// use entra_core::UserKey;
///
/// let key: UserKey = "9b3c2a10-0d5f-4f2e-9c55-5a0f3a3d7d11/5f2c7a4e-93d1-4d6e-a9a2-0d7c5b1e8f60".parse()?;
/// assert_eq!(key.tenant().unwrap().to_string(), "9b3c2a10-0d5f-4f2e-9c55-5a0f3a3d7d11");
///
/// let other: UserKey = "https://login.example/ 248289761001".parse()?;
/// assert_eq!(other.to_string(), "https://login.example/ 248289761001");
/// # Ok::<(), entra_core::UserKeyError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum UserKey {
    /// A user of an Entra tenant.
    Entra {
        /// The tenant to which the user signed in: for a guest the host's, not the home.
        tenant: TenantId,
        /// The user's object in that tenant.
        object: ObjectId,
    },
    /// A user of another provider: [`UserKey::other`] makes one.
    #[non_exhaustive]
    Other {
        /// The issuer, as it names itself: a URL, or the entity id of a SAML identity provider.
        issuer: String,
        /// The user's name at that issuer, which means nothing elsewhere.
        subject: String,
    },
}

impl UserKey {
    /// A user of an Entra tenant.
    pub fn entra(tenant: TenantId, object: ObjectId) -> Self {
        Self::Entra { tenant, object }
    }

    /// A user of another provider.
    ///
    /// # Errors
    /// [`UserKeyError`] where a part is empty, the issuer has white space, or a part has control
    /// characters: such a key could be taken for another one.
    pub fn other(issuer: &str, subject: &str) -> Result<Self, UserKeyError> {
        let is_text = |text: &str| !text.is_empty() && !text.contains(char::is_control);
        if !is_text(issuer) || !is_text(subject) || issuer.contains(char::is_whitespace) {
            return Err(UserKeyError);
        }
        Ok(Self::Other {
            issuer: issuer.to_owned(),
            subject: subject.to_owned(),
        })
    }

    /// The Entra tenant, if it is a user of one.
    pub fn tenant(&self) -> Option<TenantId> {
        match self {
            Self::Entra { tenant, .. } => Some(*tenant),
            Self::Other { .. } => None,
        }
    }

    /// The object in the Entra tenant, if it is a user of one.
    pub fn object(&self) -> Option<ObjectId> {
        match self {
            Self::Entra { object, .. } => Some(*object),
            Self::Other { .. } => None,
        }
    }
}

/// `tenant/object`, or the issuer, a space and the subject.
impl fmt::Display for UserKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Entra { tenant, object } => write!(f, "{tenant}/{object}"),
            Self::Other { issuer, subject } => write!(f, "{issuer} {subject}"),
        }
    }
}

impl FromStr for UserKey {
    type Err = UserKeyError;

    fn from_str(text: &str) -> Result<Self, UserKeyError> {
        if let Some((issuer, subject)) = text.split_once(' ') {
            return Self::other(issuer, subject);
        }
        let (tenant, object) = text.split_once('/').ok_or(UserKeyError)?;
        let key = Self::entra(
            tenant.parse().map_err(|_| UserKeyError)?,
            object.parse().map_err(|_| UserKeyError)?,
        );
        // One key has one text.
        if key.to_string() != text {
            return Err(UserKeyError);
        }
        Ok(key)
    }
}

impl Serialize for UserKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for UserKey {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A text is no key of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is not the key of a user: tenant/object, or an issuer, a space and a subject")]
#[non_exhaustive]
pub struct UserKeyError;

/// What a validated sign-in says about a user, whatever the protocol was: what a
/// [`UserProvisioner`](crate::UserProvisioner) makes an account of.
///
/// Everything but the key and the verified address is what somebody wrote into a directory. It is
/// for display and for defaults, never for finding an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct UserProfile {
    /// Who it is.
    pub key: UserKey,
    /// The name of the connection ("profile") by which the user came.
    pub connection: String,
    /// The name to show.
    pub display_name: Option<String>,
    /// The given name.
    pub given_name: Option<String>,
    /// The family name.
    pub family_name: Option<String>,
    /// The name that the user types to sign in, most often the user principal name. It may change
    /// and be given to somebody else.
    pub user_name: Option<String>,
    /// An address that the provider did not verify.
    pub unverified_email: Option<String>,
    /// An address of which the provider says that its owner was verified (Entra's `xms_edov`).
    pub verified_email: Option<String>,
    /// Whether the user is a guest of the tenant, where that is known.
    pub is_guest: Option<bool>,
    /// The application roles that were assigned.
    pub roles: Vec<String>,
    /// The groups, as far as they are known.
    pub groups: Groups,
    /// What a SAML connection maps beyond that, by the names of the mapping.
    pub attributes: BTreeMap<String, Vec<String>>,
}

impl UserProfile {
    /// A profile of which the key alone is known.
    pub fn new(key: UserKey, connection: impl Into<String>) -> Self {
        Self {
            key,
            connection: connection.into(),
            display_name: None,
            given_name: None,
            family_name: None,
            user_name: None,
            unverified_email: None,
            verified_email: None,
            is_guest: None,
            roles: Vec::new(),
            groups: Groups::NotEmitted,
            attributes: BTreeMap::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_from_its_own_text_alone() {
        for text in [
            "9b3c2a10-0d5f-4f2e-9c55-5a0f3a3d7d11/5f2c7a4e-93d1-4d6e-a9a2-0d7c5b1e8f60",
            "https://login.example 248289761001",
            "https://login.example/a b c",
        ] {
            assert_eq!(text.parse::<UserKey>().unwrap().to_string(), text);
        }
        for refused in [
            "",
            "/",
            " ",
            "a ",
            " b",
            "9B3C2A10-0D5F-4F2E-9C55-5A0F3A3D7D11/5f2c7a4e-93d1-4d6e-a9a2-0d7c5b1e8f60",
            "{9b3c2a10-0d5f-4f2e-9c55-5a0f3a3d7d11}/5f2c7a4e-93d1-4d6e-a9a2-0d7c5b1e8f60",
            "9b3c2a10-0d5f-4f2e-9c55-5a0f3a3d7d11",
            "https://login.example a\nb",
        ] {
            assert_eq!(refused.parse::<UserKey>(), Err(UserKeyError), "{refused:?}");
        }
    }

    #[test]
    fn the_issuer_of_a_key_cannot_reach_into_the_subject() {
        assert_eq!(UserKey::other("https://a b", "c"), Err(UserKeyError));
        let key = UserKey::other("https://a", "b c").unwrap();
        assert_eq!(key.to_string().parse(), Ok(key));
    }

    #[test]
    fn a_key_is_stored_as_its_text() {
        let key = UserKey::other("https://a", "b").unwrap();
        let json = serde_json::to_string(&key).unwrap();
        assert_eq!(json, r#""https://a b""#);
        assert_eq!(serde_json::from_str::<UserKey>(&json).unwrap(), key);
    }
}
