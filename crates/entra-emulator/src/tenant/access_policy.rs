//! Conditional Access policies as the directory holds them.

use serde_json::Value;

use super::{Kind, Object, Tenant, items_of};

impl Tenant {
    /// The Conditional Access policies that are about an authentication context, in whatever
    /// state: `enabled`, `disabled` or `enabledForReportingButNotEnforced`.
    pub(crate) fn policies_of_context(&self, context: &str) -> impl Iterator<Item = &Object> {
        self.all(Kind::ConditionalAccessPolicy)
            .filter(move |policy| contexts_of(policy).iter().any(|name| name == context))
    }
}

/// The authentication contexts that a policy is about.
pub(crate) fn contexts_of(policy: &Object) -> &[Value] {
    let applications = policy
        .get("conditions")
        .and_then(|conditions| conditions.get("applications"))
        .and_then(Value::as_object);
    applications
        .map(|applications| items_of(applications, "includeAuthenticationContextClassReferences"))
        .unwrap_or_default()
}
