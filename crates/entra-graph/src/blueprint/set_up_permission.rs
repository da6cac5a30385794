//! Whether the set-up credential may do what a plan wants to do.

use super::{Change, Refusal};
use crate::token_claims::TokenClaims;
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
    for needed in changes.iter().flat_map(needed_for) {
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

/// One of each group allows the change (Microsoft Learn, "Microsoft Graph permissions reference" and
/// "Add owner").
fn needed_for(change: &Change) -> &'static [&'static [&'static str]] {
    match change {
        Change::Consent(permission) => match permission.kind() {
            PermissionKind::Application => &[&["AppRoleAssignment.ReadWrite.All"]],
            PermissionKind::Delegated => &[&[
                "DelegatedPermissionGrant.ReadWrite.All",
                "Directory.ReadWrite.All",
            ]],
        },
        Change::OwnItself => &[
            WRITE_APPLICATIONS,
            &["Directory.Read.All", "Directory.ReadWrite.All"],
        ],
        _ => &[WRITE_APPLICATIONS],
    }
}

const WRITE_APPLICATIONS: &[&str] = &["Application.ReadWrite.All", "Application.ReadWrite.OwnedBy"];
