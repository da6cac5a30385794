//! What delta queries say beside the objects: removals, and changes of membership (Microsoft
//! Learn, "Use delta query to track changes in Microsoft Graph data").

use entra_core::ObjectId;
use serde::Deserialize;

use crate::open_enum::open_enum;

/// The mark of an object that is gone, `@removed`.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Removed {
    /// How it went.
    pub reason: RemovedReason,
}

open_enum! {
    /// How an object went.
    RemovedReason {
        /// Into the recycle bin, or out of a collection: it may come back.
        Changed = "changed",
        /// For good.
        Deleted = "deleted",
    }
}

/// One change of a group's members, an entry of `members@delta`.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct MemberChange {
    /// The member.
    pub id: ObjectId,
    /// What it is, for example `#microsoft.graph.user`.
    #[serde(rename = "@odata.type")]
    pub odata_type: Option<String>,
    /// Set where the member left the group.
    #[serde(rename = "@removed")]
    pub removed: Option<Removed>,
}
