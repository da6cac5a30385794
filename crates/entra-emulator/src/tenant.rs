//! The directory: every object of the tenant, and the rules that hold between them.
//!
//! Objects are kept sparse: a property that nobody has written is absent here, and the Graph half
//! fills in the default shape when it answers. Writes go to the one true copy; what a *reader*
//! sees of a fresh write is decided by [`Replication`].

mod access_policy;
mod consent;
mod link;
mod replication;
mod sign_in;

use std::collections::HashMap;

use entra_core::Secret;
use indexmap::IndexMap;
use serde_json::{Map, Value};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

pub(crate) use access_policy::contexts_of;
pub(crate) use consent::enabled_scopes;
pub(crate) use link::Link;
use link::Links;
pub(crate) use replication::{Glance, Replication, Row};
pub(crate) use sign_in::{FEDERATED_CREDENTIALS, GRAPH_APP_ID, SecretCheck, TOKEN_EXCHANGE_APP_ID};

use crate::conditional_access::Policies;
use crate::forge::Forgeries;
use crate::key_ring::KeyRing;
use crate::revocation::Revocations;

/// An object of the directory in the shape of Microsoft Graph v1.0.
pub(crate) type Object = Map<String, Value>;

/// The directory's state. `Emulator` keeps it behind a mutex.
#[derive(Debug, Default)]
pub(crate) struct Tenant {
    id: String,
    initial_domain: String,
    tables: HashMap<Kind, IndexMap<String, Row>>,
    deleted: IndexMap<String, Deleted>,
    links: Links,
    replication: Replication,
    /// Reads so far: which replica answers next follows from it.
    reads: u64,
    /// User names, in lower case, to object ids.
    user_names: HashMap<String, String>,
    /// What a client secret hashes to, by `keyId`.
    secret_digests: HashMap<String, Vec<u8>>,
    passwords: HashMap<String, Secret>,
    /// How often the sessions of a user were revoked, and when last.
    revocations: HashMap<String, (u64, OffsetDateTime)>,
    /// When access tokens were revoked: `revocation.rs`.
    pub(crate) access_revocations: Revocations,
    /// Its name at External ID, where it has one.
    pub(crate) external_name: Option<String>,
    /// Where Microsoft Graph is, for what tokens say of it.
    pub(crate) graph_url: String,
    /// What the tenant signs with.
    pub(crate) keys: KeyRing,
    /// What Conditional Access asks for.
    pub(crate) policies: Policies,
    /// What a test changes in tokens and answers.
    pub(crate) forgeries: Forgeries,
}

/// The types of object that the directory holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// `application`
    Application,
    /// `servicePrincipal`
    ServicePrincipal,
    /// `user`
    User,
    /// `group`
    Group,
    /// `device`
    Device,
    /// `domain`; its id is its name
    Domain,
    /// `organization`: one
    Organization,
    /// `appRoleAssignment`
    AppRoleAssignment,
    /// `oAuth2PermissionGrant`
    PermissionGrant,
    /// `tenantAppManagementPolicy`: one
    TenantAppManagementPolicy,
    /// `appManagementPolicy`
    AppManagementPolicy,
    /// `conditionalAccessPolicy`
    ConditionalAccessPolicy,
    /// `authenticationContextClassReference`; its id is its name
    AuthenticationContext,
    /// `federatedIdentityCredential`, which has no table: it is kept with its application.
    FederatedIdentityCredential,
}

impl Kind {
    /// What `directoryObjects` and references by id may name.
    pub(crate) const DIRECTORY_OBJECTS: [Self; 5] = [
        Self::User,
        Self::Group,
        Self::Device,
        Self::Application,
        Self::ServicePrincipal,
    ];
}

/// An object in `directory/deletedItems`.
#[derive(Clone, Debug)]
pub(crate) struct Deleted {
    /// What it was.
    pub(crate) kind: Kind,
    /// It, with `deletedDateTime`.
    pub(crate) object: Object,
    at: OffsetDateTime,
}

impl Tenant {
    /// An empty directory.
    pub(crate) fn new(id: String, initial_domain: String, replication: Replication) -> Self {
        Self {
            id,
            initial_domain,
            replication,
            ..Self::default()
        }
    }

    /// How long writes take to be seen.
    pub(crate) fn replication(&self) -> &Replication {
        &self.replication
    }

    /// What the next reader sees: each read may reach another replica.
    pub(crate) fn glance(&mut self, now: OffsetDateTime, stale: bool) -> Glance {
        self.reads = self.reads.wrapping_add(1);
        Glance::new(now, self.reads, stale, self.replication.clone())
    }

    /// All rows of a kind, oldest first.
    pub(crate) fn rows(&self, kind: Kind) -> Option<&IndexMap<String, Row>> {
        self.tables.get(&kind)
    }

    /// The true copies of a kind, oldest first.
    pub(crate) fn all(&self, kind: Kind) -> impl Iterator<Item = &Object> {
        self.tables
            .get(&kind)
            .into_iter()
            .flat_map(|rows| rows.values().map(Row::current))
    }

    /// The true copy of one object.
    pub(crate) fn current(&self, kind: Kind, id: &str) -> Option<&Object> {
        self.row(kind, id).map(Row::current)
    }

    /// One object as a reader sees it.
    pub(crate) fn seen(&self, kind: Kind, id: &str, glance: &Glance) -> Option<&Object> {
        self.row(kind, id)?.seen(kind, glance)
    }

    /// One row.
    pub(crate) fn row(&self, kind: Kind, id: &str) -> Option<&Row> {
        let rows = self.tables.get(&kind)?;
        rows.get(id)
            .or_else(|| rows.get(id.to_ascii_lowercase().as_str()))
    }

    /// The first object of a kind whose property has this text, compared without case. An empty
    /// text names nothing: it would be that of every object without the property.
    pub(crate) fn find(&self, kind: Kind, property: &str, text: &str) -> Option<&Object> {
        self.all(kind)
            .filter(|_| !text.is_empty())
            .find(|object| text_of(object, property).eq_ignore_ascii_case(text))
    }

    /// Which kind of directory object has this id.
    pub(crate) fn kind_of(&self, id: &str) -> Option<Kind> {
        Kind::DIRECTORY_OBJECTS
            .into_iter()
            .find(|kind| self.row(*kind, id).is_some())
    }

    /// The id of the user with this name.
    pub(crate) fn user_id(&self, name: &str) -> Option<&str> {
        self.user_names
            .get(&name.to_lowercase())
            .map(String::as_str)
    }

    /// Adds an object that readers learn of by and by. Gives it an id if it has none.
    pub(crate) fn insert(&mut self, kind: Kind, object: Object, now: OffsetDateTime) -> String {
        self.place(kind, object, |object| Row::fresh(object, now))
    }

    /// Adds an object that every replica knows.
    pub(crate) fn insert_settled(&mut self, kind: Kind, object: Object) -> String {
        self.place(kind, object, Row::settled)
    }

    /// Replaces an object.
    pub(crate) fn replace(&mut self, kind: Kind, id: &str, object: Object, now: OffsetDateTime) {
        let delay = self.replication.of(kind);
        if kind == Kind::User {
            self.forget_user_name(id);
            self.remember_user_name(&object, id);
        }
        if let Some(row) = self.tables.get_mut(&kind).and_then(|rows| rows.get_mut(id)) {
            row.write(object, now, delay);
        }
    }

    /// Changes an object on every replica at once: what follows from another write.
    pub(crate) fn amend(&mut self, kind: Kind, id: &str, change: impl FnOnce(&mut Object)) {
        if let Some(row) = self.tables.get_mut(&kind).and_then(|rows| rows.get_mut(id)) {
            change(row.current_mut());
        }
    }

    /// Moves an object to `directory/deletedItems`, where it stays for 30 days.
    pub(crate) fn soft_delete(&mut self, kind: Kind, id: &str, now: OffsetDateTime) {
        let Some(mut object) = self.take(kind, id) else {
            return;
        };
        object.insert("deletedDateTime".to_owned(), Value::String(timestamp(now)));
        let at = now;
        self.deleted
            .insert(id.to_owned(), Deleted { kind, object, at });
    }

    /// Removes an object for good.
    pub(crate) fn remove(&mut self, kind: Kind, id: &str) {
        if self.take(kind, id).is_some() {
            self.links.forget(id);
        }
    }

    /// What was deleted and can still be restored.
    pub(crate) fn deleted(&self) -> &IndexMap<String, Deleted> {
        &self.deleted
    }

    /// Puts a deleted object back. Its memberships come back with it.
    pub(crate) fn restore(&mut self, id: &str, now: OffsetDateTime) -> Option<Kind> {
        let mut deleted = self.deleted.shift_remove(id)?;
        deleted.object.remove("deletedDateTime");
        self.insert(deleted.kind, deleted.object, now);
        Some(deleted.kind)
    }

    /// Removes a deleted object for good.
    pub(crate) fn purge(&mut self, id: &str) {
        if self.deleted.shift_remove(id).is_some() {
            self.links.forget(id);
        }
    }

    /// Removes what was deleted more than 30 days ago.
    pub(crate) fn purge_expired(&mut self, now: OffsetDateTime) {
        let expired: Vec<String> = self
            .deleted
            .iter()
            .filter(|(_, deleted)| now - deleted.at >= RETENTION)
            .map(|(id, _)| id.clone())
            .collect();
        for id in expired {
            self.purge(&id);
        }
    }

    fn place(&mut self, kind: Kind, mut object: Object, row: impl FnOnce(Object) -> Row) -> String {
        let id = match object.get("id").and_then(Value::as_str) {
            Some(id) => id.to_owned(),
            None => Uuid::new_v4().to_string(),
        };
        object.insert("id".to_owned(), Value::String(id.clone()));
        if kind == Kind::User {
            self.remember_user_name(&object, &id);
        }
        self.tables
            .entry(kind)
            .or_default()
            .insert(id.clone(), row(object));
        id
    }

    fn take(&mut self, kind: Kind, id: &str) -> Option<Object> {
        if kind == Kind::User {
            self.forget_user_name(id);
        }
        let row = self.tables.get_mut(&kind)?.shift_remove(id)?;
        Some(row.into_current())
    }

    fn remember_user_name(&mut self, user: &Object, id: &str) {
        let name = text_of(user, "userPrincipalName").to_lowercase();
        self.user_names.insert(name, id.to_owned());
    }

    fn forget_user_name(&mut self, id: &str) {
        let name = self
            .current(Kind::User, id)
            .map(|user| text_of(user, "userPrincipalName").to_lowercase());
        if let Some(name) = name {
            self.user_names.remove(&name);
        }
    }
}

/// A text property, or nothing where it is absent, null or of another type.
pub(crate) fn text_of<'a>(object: &'a Object, property: &str) -> &'a str {
    object
        .get(property)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// A collection property, empty where it is absent or null.
pub(crate) fn items_of<'a>(object: &'a Object, property: &str) -> &'a [Value] {
    object
        .get(property)
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default()
}

/// A time as Graph writes it: UTC, to the second.
pub(crate) fn timestamp(time: OffsetDateTime) -> String {
    let whole = time
        .to_offset(time::UtcOffset::UTC)
        .replace_nanosecond(0)
        .unwrap_or(time);
    whole
        .format(&time::format_description::well_known::Rfc3339)
        .unwrap_or_default()
}

/// A time as clients write it: with an offset, or without one and then in UTC.
pub(crate) fn parse_time(text: &str) -> Option<OffsetDateTime> {
    use time::format_description::well_known::{Iso8601, Rfc3339};
    OffsetDateTime::parse(text, &Rfc3339).ok().or_else(|| {
        time::PrimitiveDateTime::parse(text, &Iso8601::DEFAULT)
            .ok()
            .map(time::PrimitiveDateTime::assume_utc)
    })
}

/// Learn, "Restore deleted item (directory object)": 30 days.
const RETENTION: Duration = Duration::days(30);

#[cfg(test)]
mod tests {
    use serde_json::json;
    use time::macros::datetime;

    use super::*;

    fn object(value: Value) -> Object {
        value.as_object().cloned().unwrap()
    }

    #[test]
    fn a_deleted_object_can_be_restored_for_thirty_days() {
        let start = datetime!(2026-01-01 00:00 UTC);
        let mut tenant = Tenant::default();
        let user = object(json!({"id": "u", "userPrincipalName": "Ada@x.example"}));
        tenant.insert_settled(Kind::User, user);
        assert_eq!(tenant.user_id("ada@X.example"), Some("u"));

        tenant.soft_delete(Kind::User, "u", start);
        assert_eq!(tenant.user_id("ada@x.example"), None);
        assert_eq!(
            text_of(&tenant.deleted()["u"].object, "deletedDateTime"),
            "2026-01-01T00:00:00Z"
        );
        tenant.purge_expired(start + Duration::days(29));
        assert_eq!(tenant.restore("u", start), Some(Kind::User));
        assert_eq!(tenant.user_id("ada@x.example"), Some("u"));

        tenant.soft_delete(Kind::User, "u", start);
        tenant.purge_expired(start + Duration::days(30));
        assert_eq!(tenant.restore("u", start), None);
    }

    #[test]
    fn times_are_read_with_and_without_an_offset() {
        for text in [
            "2026-01-01T00:00:00Z",
            "2026-01-01T01:00:00+01:00",
            "2026-01-01T00:00:00",
            "2026-01-01T00:00:00.0000000Z",
        ] {
            let time = parse_time(text).unwrap();
            assert_eq!(timestamp(time), "2026-01-01T00:00:00Z", "{text}");
        }
        assert_eq!(parse_time("tomorrow"), None);
    }
}
