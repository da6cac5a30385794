//! Authentication contexts: what a tenant asks of a user before a sensitive action.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::OptionsError;

/// An authentication context of Conditional Access: `c1` to `c99` (Microsoft Learn, "Developer
/// guide to Conditional Access authentication context"). What it asks for, a second factor or a
/// managed device, is the tenant's choice.
///
/// ```
/// use entra_oidc::AuthContext;
///
/// let context: AuthContext = "c1".parse()?;
/// assert_eq!(context.to_string(), "c1");
/// assert!("C1".parse::<AuthContext>().is_err());
/// # Ok::<(), entra_oidc::OptionsError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AuthContext(u8);

impl AuthContext {
    /// Reads one in the one form that there is.
    ///
    /// # Errors
    /// [`OptionsError::AuthContext`] for anything but `c1` to `c99`.
    pub fn parse(text: &str) -> Result<Self, OptionsError> {
        let number = text.strip_prefix('c').filter(|digits| {
            !digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit())
        });
        number
            .and_then(|digits| digits.parse().ok())
            .filter(|number| (1..=99).contains(number))
            .map(Self)
            .ok_or(OptionsError::AuthContext)
    }
}

impl FromStr for AuthContext {
    type Err = OptionsError;

    fn from_str(text: &str) -> Result<Self, OptionsError> {
        Self::parse(text)
    }
}

impl fmt::Display for AuthContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "c{}", self.0)
    }
}

impl fmt::Debug for AuthContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AuthContext({self})")
    }
}

impl TryFrom<String> for AuthContext {
    type Error = OptionsError;

    fn try_from(text: String) -> Result<Self, OptionsError> {
        Self::parse(&text)
    }
}

impl From<AuthContext> for String {
    fn from(context: AuthContext) -> Self {
        context.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_is_c1_to_c99() {
        for text in ["c1", "c9", "c25", "c99"] {
            let context = AuthContext::parse(text).unwrap();
            assert_eq!(context.to_string(), text);
            let json = serde_json::to_string(&context).unwrap();
            assert_eq!(json, format!("\"{text}\""));
            assert_eq!(serde_json::from_str::<AuthContext>(&json).unwrap(), context);
        }
        for text in [
            "", "c", "c0", "c01", "c100", "C1", "1", "c1 ", "c+1", "cc1", "p1",
        ] {
            assert_eq!(
                AuthContext::parse(text),
                Err(OptionsError::AuthContext),
                "{text}"
            );
            assert!(serde_json::from_value::<AuthContext>(text.into()).is_err());
        }
    }
}
