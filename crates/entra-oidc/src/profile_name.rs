//! The name of one connection among several.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::OptionsError;

/// The name of a profile: one connection to one provider. It is part of cookies and paths.
///
/// ```
/// use entra_oidc::{OptionsError, ProfileName};
///
/// assert_eq!(ProfileName::new("contoso")?.as_str(), "contoso");
/// assert_eq!(ProfileName::new("Contoso GmbH"), Err(OptionsError::ProfileName));
/// # Ok::<(), OptionsError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ProfileName(String);

impl ProfileName {
    /// 1 to 64 characters of `a-z`, `0-9`, `-` and `_`.
    ///
    /// # Errors
    /// [`OptionsError::ProfileName`] for everything else.
    pub fn new(name: &str) -> Result<Self, OptionsError> {
        let is_name = (1..=64).contains(&name.len())
            && name
                .bytes()
                .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'));
        is_name
            .then(|| Self(name.to_owned()))
            .ok_or(OptionsError::ProfileName)
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// `default`: what a product with one connection need not name.
impl Default for ProfileName {
    fn default() -> Self {
        Self("default".to_owned())
    }
}

impl fmt::Display for ProfileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for ProfileName {
    type Error = OptionsError;

    fn try_from(name: String) -> Result<Self, OptionsError> {
        Self::new(&name)
    }
}

impl From<ProfileName> for String {
    fn from(name: ProfileName) -> Self {
        name.0
    }
}
