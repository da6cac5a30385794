//! Microsoft Graph: routing, OData, one file per noun, permissions enforced from the table.

use bytes::Bytes;
use time::OffsetDateTime;
use url::Url;

use crate::caller::Caller;
use crate::tenant::Tenant;

/// What one Graph call brings beside its HTTP request.
#[derive(Clone, Debug)]
pub(crate) struct GraphCall<'a> {
    /// Who calls.
    pub(crate) caller: &'a Caller,
    /// The tenant's time.
    pub(crate) now: OffsetDateTime,
    /// Where this tenant is reached, without a path: links in answers start with it.
    pub(crate) origin: &'a Url,
    /// Answer as a replica that has not seen the last writes (an injected fault).
    pub(crate) stale_replica: bool,
}

/// Answers one call below `/v1.0` or `/beta`, `$batch` included. The second value is the
/// permission that allowed it, for the journal.
pub(crate) fn handle(
    _tenant: &mut Tenant,
    _call: &GraphCall<'_>,
    _request: &http::Request<Bytes>,
) -> (http::Response<Bytes>, Option<String>) {
    todo!()
}
