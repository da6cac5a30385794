//! Whether the set-up credential may do what a plan wants to do.

use super::token_claims::TokenClaims;
use super::{Change, Refusal};
use crate::{Error, GraphClient, PermissionKind};

/// What the credential lacks for these changes. Nothing where its token cannot be read, or where a
/// user is signed in, whose roles decide.
pub(super) async fn missing(
    graph: &GraphClient,
    changes: &[Change],
) -> Result<Vec<Refusal>, Error> {
    if changes.is_empty() {
        return Ok(Vec::new());
    }
    let token = graph.credential().token(graph.token_request()).await?;
    let Some(claims) = TokenClaims::read(&token).filter(|claims| claims.scopes.is_none()) else {
        return Ok(Vec::new());
    };
    let mut missing: Vec<Refusal> = Vec::new();
    for change in changes {
        let needed = needed_for(change);
        let refusal = Refusal::SetUpPermission {
            needed: needed.to_vec(),
        };
        let has_one = needed.iter().any(|name| claims.roles.contains(*name));
        if !has_one && !missing.contains(&refusal) {
            missing.push(refusal);
        }
    }
    Ok(missing)
}

/// Any of these allows the change (Microsoft Learn, "Microsoft Graph permissions reference").
fn needed_for(change: &Change) -> &'static [&'static str] {
    match change {
        Change::Consent(permission) => match permission.kind() {
            PermissionKind::Application => &["AppRoleAssignment.ReadWrite.All"],
            PermissionKind::Delegated => &[
                "DelegatedPermissionGrant.ReadWrite.All",
                "Directory.ReadWrite.All",
            ],
        },
        _ => &["Application.ReadWrite.All", "Application.ReadWrite.OwnedBy"],
    }
}
