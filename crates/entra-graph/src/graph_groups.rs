//! The groups of a user whose token left them out, read from the directory.

use std::time::Duration;

use async_trait::async_trait;
use entra_core::{GroupResolver, GroupResolverError, ObjectId, TenantId, UserKey, error_chain};

use crate::group_cache::GroupCache;
use crate::{Error, GraphClient, GraphErrorCode};

/// Reads groups by Microsoft Graph, with the product's own credential.
///
/// A token names no groups where a user is in more than 200 of them (150 in SAML), and points to
/// an address instead (Microsoft Learn, "Configure group claims for applications by using Microsoft
/// Entra ID"). That address is not called: it comes with the token, and this app's token would go
/// there. The host and the user's object id are enough.
///
/// It needs the application permissions `GroupMember.Read.All` and `User.ReadBasic.All`, or
/// `User.Read.All`. A person waits for the answer, so give the client a pipeline with a deadline of
/// some seconds. What was read is kept for five minutes, for a thousand users, and a user who is
/// asked for by many at once is read once.
///
/// ```
/// # async fn f(graph: entra_graph::GraphClient, tenant: entra_core::TenantId) {
/// use entra_core::{GroupResolver, UserKey};
/// use entra_graph::GraphGroups;
///
/// let resolver = GraphGroups::new(graph, tenant);
/// let user = UserKey::entra(tenant, "5f2c7a4e-93d1-4d6e-a9a2-0d7c5b1e8f60".parse().unwrap());
/// match resolver.groups(&user).await {
///     Ok(groups) => println!("{} groups", groups.len()),
///     Err(error) => println!("{error}. {}", error.admin_hint()),
/// }
/// # }
/// ```
#[derive(Debug)]
pub struct GraphGroups {
    graph: GraphClient,
    tenant: TenantId,
    other_tenants: bool,
    security_enabled_only: bool,
    cache: GroupCache,
}

impl GraphGroups {
    /// Reads the groups of the users of `tenant`, the one in which the client's credential is.
    pub fn new(graph: GraphClient, tenant: TenantId) -> Self {
        Self {
            graph,
            tenant,
            other_tenants: false,
            security_enabled_only: false,
            cache: GroupCache::new(FIVE_MINUTES),
        }
    }

    /// Reads in the tenant of each user: for a product of many customers. The credential decides in
    /// which ([`AllowedTenants`](entra_core::AllowedTenants)), and each of them has to consent.
    #[must_use]
    pub fn in_each_users_tenant(mut self) -> Self {
        self.other_tenants = true;
        self
    }

    /// Leaves out what is no security group: Microsoft 365 groups, which their members make
    /// themselves, and distribution lists. Then directory roles and administrative units are left
    /// out, too.
    #[must_use]
    pub fn with_security_groups_only(mut self) -> Self {
        self.security_enabled_only = true;
        self
    }

    /// Keeps what was read for this long. Zero keeps nothing; nobody notices for as long that a
    /// user was taken out of a group.
    #[must_use]
    pub fn with_cache_time(mut self, time: Duration) -> Self {
        self.cache = GroupCache::new(time);
        self
    }

    /// Whose groups to read and through which client, if that may be.
    fn subject(
        &self,
        user: &UserKey,
    ) -> Result<(GraphClient, TenantId, ObjectId), GroupResolverError> {
        let UserKey::Entra { tenant, object } = *user else {
            return Err(GroupResolverError::NotEntra);
        };
        if tenant == self.tenant {
            return Ok((self.graph.clone(), tenant, object));
        }
        if !self.other_tenants {
            return Err(GroupResolverError::OtherTenant {
                expected: self.tenant,
                found: tenant,
            });
        }
        Ok((self.graph.clone().in_tenant(tenant), tenant, object))
    }
}

#[async_trait]
impl GroupResolver for GraphGroups {
    async fn groups(&self, user: &UserKey) -> Result<Vec<String>, GroupResolverError> {
        let (graph, tenant, object) = self.subject(user)?;
        let read = || async {
            let (users, id) = (graph.users(), object.to_string());
            let read = users.member_objects(&id, self.security_enabled_only);
            read.await.map_err(|error| refusal(tenant, error))
        };
        let clock = self.graph.clock();
        let groups = self.cache.get((tenant, object), &**clock, read).await?;
        Ok(groups.iter().map(ToString::to_string).collect())
    }
}

fn refusal(tenant: TenantId, error: Error) -> GroupResolverError {
    tracing::warn!(
        tenant = %tenant,
        error = error_chain(&error),
        "the groups of a user cannot be read"
    );
    if error.has_code(&GraphErrorCode::ResultSizeLimitExceeded) {
        return GroupResolverError::TooMany;
    }
    if error.is_not_found() {
        return GroupResolverError::UnknownUser { tenant };
    }
    let hint = if error.is_forbidden() {
        PERMISSIONS.to_owned()
    } else {
        error.admin_hint()
    };
    GroupResolverError::unavailable(hint, error)
}

const FIVE_MINUTES: Duration = Duration::from_secs(300);
/// Microsoft Learn, "directoryObject: getMemberObjects".
const PERMISSIONS: &str = "Give the app the permissions GroupMember.Read.All and \
                           User.ReadBasic.All and grant admin consent for them (App \
                           registrations > API permissions). A token that was issued before \
                           lacks them for up to an hour.";
