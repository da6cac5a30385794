//! Whether the authentication contexts that a product asks for protect anything.

use std::collections::BTreeSet;

use async_trait::async_trait;
use entra_core::{Finding, Probe, error_chain};

use crate::{
    AuthenticationContext, ConditionalAccessPolicy, ConditionalAccessPolicyState, Error,
    GraphClient,
};

/// The check «authentication contexts» of a connection test.
///
/// A product asks for a context, `c1` for example, before an action that needs a stronger sign-in.
/// Where no policy is about this context, Entra issues it to whoever asks, without a question
/// (Microsoft Learn, "Developer guide to Conditional Access authentication context"): the action
/// looks protected and is not. This check warns of contexts that are not there, are not published
/// to apps, or have no policy that is enforced, and says what to do about each.
///
/// It needs the application permissions `AuthenticationContext.Read.All` and `Policy.Read.All`;
/// without them it is skipped, and says so. Whom a policy is about, and what it asks for, is the
/// administrator's matter and is not looked at.
///
/// ```
/// # fn f(graph: entra_graph::GraphClient) -> entra_graph::Blueprint {
/// use std::sync::Arc;
/// use entra_graph::{AuthenticationContexts, Blueprint, Permission};
///
/// Blueprint::new("acme-vault", "Acme Vault")
///     .with_permission(Permission::application("AuthenticationContext.Read.All"))
///     .with_permission(Permission::application("Policy.Read.All"))
///     .with_probe(Arc::new(AuthenticationContexts::new(graph, ["c1"])))
/// # }
/// ```
#[derive(Debug)]
pub struct AuthenticationContexts {
    graph: GraphClient,
    wanted: BTreeSet<String>,
}

impl AuthenticationContexts {
    /// Checks the contexts that the product asks for in this tenant: those of its settings, since
    /// each tenant numbers its own.
    pub fn new<S: Into<String>>(graph: GraphClient, contexts: impl IntoIterator<Item = S>) -> Self {
        Self {
            graph,
            wanted: contexts.into_iter().map(Into::into).collect(),
        }
    }

    async fn read(
        &self,
    ) -> Result<(Vec<AuthenticationContext>, Vec<ConditionalAccessPolicy>), Error> {
        let calls = self.graph.conditional_access();
        let contexts = calls.authentication_contexts().collect_all().await?;
        let policies = calls.policies().collect_all().await?;
        Ok((contexts, policies))
    }
}

#[async_trait]
impl Probe for AuthenticationContexts {
    async fn run(&self) -> Finding {
        if self.wanted.is_empty() {
            return Finding::passed(CHECK, "the product asks for none");
        }
        let (contexts, policies) = match self.read().await {
            Ok(read) => read,
            Err(error) => return unread(&error),
        };
        let problems: Vec<Problem> = self
            .wanted
            .iter()
            .filter_map(|id| Problem::of(id, &contexts, &policies))
            .collect();
        if problems.is_empty() {
            let wanted: Vec<&str> = self.wanted.iter().map(String::as_str).collect();
            let detail = format!("{}: published, with a policy", wanted.join(", "));
            return Finding::passed(CHECK, detail);
        }
        let details: Vec<&str> = problems.iter().map(|it| it.detail.as_str()).collect();
        let remedies: Vec<&str> = problems.iter().map(|it| it.remedy.as_str()).collect();
        Finding::warning(CHECK, details.join("; ")).with_remedy(remedies.join("; "))
    }
}

/// What is wrong with one context, and the step that mends it.
struct Problem {
    detail: String,
    remedy: String,
}

impl Problem {
    fn of(
        id: &str,
        contexts: &[AuthenticationContext],
        policies: &[ConditionalAccessPolicy],
    ) -> Option<Self> {
        let found = contexts.iter().find(|it| it.id.as_deref() == Some(id));
        let Some(context) = found else {
            return Some(Self {
                detail: format!("{id} is not there"),
                remedy: format!(
                    "{PORTAL} > Authentication contexts > New authentication context, with the ID \
                     {id}, published to apps; then give it a policy"
                ),
            });
        };
        let name = shown(id, context.display_name.as_deref());
        if context.is_available != Some(true) {
            return Some(Self {
                detail: format!("{name} is not published to apps"),
                remedy: format!(
                    "{PORTAL} > Authentication contexts > {name}, and tick «Publish to apps»"
                ),
            });
        }
        let mut of_it = policies.iter().filter(|policy| policy.is_about(id));
        let is_enforced = |policy: &ConditionalAccessPolicy| {
            policy.state == Some(ConditionalAccessPolicyState::Enabled)
        };
        if of_it.clone().any(is_enforced) {
            return None;
        }
        Some(match of_it.next() {
            Some(policy) => Self::not_enforced(&name, policy),
            None => Self {
                detail: format!("{name} has no policy, so that everybody fulfils it"),
                remedy: format!(
                    "{PORTAL} > Policies > New policy: under «Target resources» choose \
                     «Authentication context» and {name}, under «Grant» what it asks for"
                ),
            },
        })
    }

    fn not_enforced(context: &str, policy: &ConditionalAccessPolicy) -> Self {
        let policy = policy.display_name.as_deref().unwrap_or("without a name");
        let policy = one_line(policy);
        Self {
            detail: format!(
                "{context} has the policy «{policy}», which is not enforced, so that everybody \
                 fulfils it"
            ),
            remedy: format!("{PORTAL} > Policies > {policy}, and set «Enable policy» to On"),
        }
    }
}

fn shown(id: &str, name: Option<&str>) -> String {
    match name {
        Some(name) => format!("{id} («{}»)", one_line(name)),
        None => id.to_owned(),
    }
}

/// A name as people wrote it, without what would begin another line.
fn one_line(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).collect()
}

/// Not being allowed to look is no fault of the connection.
fn unread(error: &Error) -> Finding {
    let request_id = error.request_ids().and_then(|ids| ids.request_id.clone());
    let finding = if error.is_forbidden() {
        Finding::skipped(CHECK, "the application may not read Conditional Access")
    } else {
        Finding::failed(CHECK, error_chain(error))
    };
    finding
        .with_remedy(error.admin_hint())
        .with_request_id(request_id)
}

const CHECK: &str = "authentication contexts";
const PORTAL: &str = "Entra ID > Conditional Access";
