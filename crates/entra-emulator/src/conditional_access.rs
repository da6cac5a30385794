//! Conditional Access, as far as clients notice it: what an application or an authentication
//! context asks of a sign-in beyond the password.
//!
//! Microsoft Learn, "Developer guidance for Microsoft Entra Conditional Access" (what clients see)
//! and "Developer guide to Conditional Access authentication context": a context without a policy
//! is issued to whoever asks for it, one with a policy once that is satisfied.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::emulator::Emulator;
use crate::sessions::BrowserSession;
use crate::tenant::{Tenant, text_of};

/// The policy of one application or of one authentication context. What it asks for adds up until
/// it is lifted.
///
/// ```
/// use entra_emulator::{Emulator, Seed};
///
/// let tenant = Emulator::new(Seed::new());
/// let app = tenant.web_app();
/// tenant.conditional_access(&app.client_id)?.require_mfa();
/// tenant.authentication_context("c1")?.require_mfa();
/// tenant.conditional_access(&app.client_id)?.lift();
/// # Ok::<(), entra_emulator::ConditionalAccessError>(())
/// ```
#[derive(Clone, Debug)]
pub struct ConditionalAccess {
    emulator: Emulator,
    target: String,
}

impl Emulator {
    /// The policy of an application, as a client that users sign in to and as a resource.
    pub fn conditional_access(
        &self,
        client_id: &str,
    ) -> Result<ConditionalAccess, ConditionalAccessError> {
        let known = self.with_tenant(|tenant| {
            let found = tenant.resource(client_id)?;
            let app_id = text_of(found, "appId").to_owned();
            app_id.eq_ignore_ascii_case(client_id).then_some(app_id)
        });
        let target = known.ok_or_else(|| ConditionalAccessError::Application {
            found: client_id.to_owned(),
        })?;
        Ok(ConditionalAccess {
            emulator: self.clone(),
            target,
        })
    }

    /// The policy of an authentication context, `c1` to `c99`.
    pub fn authentication_context(
        &self,
        context: &str,
    ) -> Result<ConditionalAccess, ConditionalAccessError> {
        if context_number(context).is_none() {
            return Err(ConditionalAccessError::Context {
                found: context.to_owned(),
            });
        }
        Ok(ConditionalAccess {
            emulator: self.clone(),
            target: context.to_owned(),
        })
    }
}

impl ConditionalAccess {
    /// Asks for the second factor. A session remembers that it was there.
    pub fn require_mfa(&self) {
        self.require(Requirement::RequireMfa);
    }

    /// Asks users to register a second factor, each once, and then for that factor.
    pub fn enrol_mfa(&self) {
        self.require(Requirement::EnrolMfa);
    }

    /// Asks for a device that complies with its policies. Here nobody has one.
    pub fn require_compliant_device(&self) {
        self.require(Requirement::RequireCompliantDevice);
    }

    /// Blocks access.
    pub fn block(&self) {
        self.require(Requirement::Block);
    }

    /// Asks for nothing any more.
    pub fn lift(&self) {
        self.emulator.with_tenant(|tenant| {
            tenant.policies.asked.remove(&self.target);
        });
    }

    pub(crate) fn require(&self, requirement: Requirement) {
        self.emulator.with_tenant(|tenant| {
            let asked = tenant.policies.asked.entry(self.target.clone());
            asked.or_default().insert(requirement);
        });
    }
}

/// Why there is no such policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConditionalAccessError {
    /// The tenant has no such application.
    #[error("{found:?} is no client id of this tenant")]
    Application {
        /// What was given.
        found: String,
    },
    /// That is no authentication context.
    #[error("{found:?} is no authentication context; there are c1 to c99")]
    Context {
        /// What was given.
        found: String,
    },
}

/// What a policy asks for. Whatever comes first and is not there decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Requirement {
    Block,
    RequireCompliantDevice,
    EnrolMfa,
    RequireMfa,
}

impl Requirement {
    /// The AADSTS code of a sign-in without it.
    pub(crate) fn code(self) -> u32 {
        match self {
            Self::Block => 53003,
            Self::RequireCompliantDevice => 53000,
            Self::EnrolMfa => 50079,
            Self::RequireMfa => 50076,
        }
    }

    /// Whether the person at the browser can do something about it.
    pub(crate) fn can_be_met(self) -> bool {
        matches!(self, Self::EnrolMfa | Self::RequireMfa)
    }
}

/// What is asked for, and what was done about it once and for all.
#[derive(Debug, Default)]
pub(crate) struct Policies {
    /// By client id or context.
    asked: BTreeMap<String, BTreeSet<Requirement>>,
    /// The users who registered a second factor.
    registered: HashSet<String>,
}

/// What is not met, and of which application or context.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unmet {
    pub(crate) requirement: Requirement,
    pub(crate) target: String,
}

impl Tenant {
    /// What a sign-in lacks for these applications and contexts.
    pub(crate) fn unmet<'a>(
        &self,
        session: &BrowserSession,
        targets: impl IntoIterator<Item = &'a str>,
    ) -> Option<Unmet> {
        targets
            .into_iter()
            .filter_map(|target| {
                let requirement = self.first_unmet(session, target)?;
                Some(Unmet {
                    requirement,
                    target: target.to_owned(),
                })
            })
            .min_by_key(|unmet| unmet.requirement)
    }

    /// The contexts with a policy that this session satisfies.
    pub(crate) fn satisfied_contexts(&self, session: &BrowserSession) -> Vec<String> {
        self.policies
            .asked
            .keys()
            .filter(|target| context_number(target).is_some())
            .filter(|target| self.first_unmet(session, target).is_none())
            .cloned()
            .collect()
    }

    /// A user registered a second factor.
    pub(crate) fn register_second_factor(&mut self, user_id: &str) {
        self.policies.registered.insert(user_id.to_owned());
    }

    fn first_unmet(&self, session: &BrowserSession, target: &str) -> Option<Requirement> {
        let asked = self.policies.asked.get(target)?;
        let has_factor = session.second_factor.is_some();
        asked.iter().find_map(|requirement| match requirement {
            Requirement::EnrolMfa if self.policies.registered.contains(&session.user_id) => {
                (!has_factor).then_some(Requirement::RequireMfa)
            }
            Requirement::RequireMfa if has_factor => None,
            asked => Some(*asked),
        })
    }
}

/// The number of a context.
pub(crate) fn context_number(context: &str) -> Option<u8> {
    let number: u8 = context.strip_prefix('c')?.parse().ok()?;
    let is_exact = context.len() == 1 + number.to_string().len();
    ((1..=99).contains(&number) && is_exact).then_some(number)
}

/// A policy by the control interface.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PolicyChange {
    client_id: Option<String>,
    context: Option<String>,
    /// Nothing lifts it.
    require: Option<Requirement>,
}

impl PolicyChange {
    /// Makes it. The error says what cannot be used.
    pub(crate) fn apply(&self, emulator: &Emulator) -> Result<(), String> {
        let policy = match (&self.client_id, &self.context) {
            (Some(client_id), None) => emulator.conditional_access(client_id),
            (None, Some(context)) => emulator.authentication_context(context),
            _ => return Err("either 'client_id' or 'context' has to be there".to_owned()),
        };
        let policy = policy.map_err(|error| error.to_string())?;
        match self.require {
            Some(requirement) => policy.require(requirement),
            None => policy.lift(),
        }
        Ok(())
    }
}

/// Every policy, as the control interface shows them.
pub(crate) fn report(emulator: &Emulator) -> Value {
    let policies: Vec<Value> = emulator.with_tenant(|tenant| {
        let asked = tenant.policies.asked.iter();
        asked
            .map(|(target, requirements)| match context_number(target) {
                Some(_) => json!({"context": target, "require": requirements}),
                None => json!({"client_id": target, "require": requirements}),
            })
            .collect()
    });
    json!({ "value": policies })
}

/// Lifts every policy.
pub(crate) fn lift_all(emulator: &Emulator) {
    emulator.with_tenant(|tenant| tenant.policies.asked.clear());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contexts_are_c1_to_c99_in_one_spelling() {
        for (text, number) in [
            ("c1", Some(1)),
            ("c99", Some(99)),
            ("c0", None),
            ("c100", None),
            ("c01", None),
            ("c+1", None),
            ("C1", None),
            ("1", None),
            ("c", None),
        ] {
            assert_eq!(context_number(text), number, "{text}");
        }
    }
}
