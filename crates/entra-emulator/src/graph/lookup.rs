//! Which object a key in a path names.

use super::error::GraphError;
use super::path::Key;
use crate::tenant::{Kind, Tenant, text_of};

/// The id of the object that `key` names, whether or not a replica knows it.
pub(crate) fn find<'a>(
    tenant: &'a Tenant,
    kind: Kind,
    key: &Key,
) -> Result<Option<&'a str>, GraphError> {
    let object = match key {
        Key::Id(text) => {
            let id = match kind {
                Kind::User => tenant.user_id(text).unwrap_or(text),
                _ => text,
            };
            tenant.current(kind, id)
        }
        Key::Alternate(name, value) if is_key(kind, name) => tenant.find(kind, name, value),
        Key::Alternate(name, _) => {
            return Err(GraphError::malformed(format!(
                "Invalid key '{name}': it is no alternate key of this resource."
            )));
        }
    };
    Ok(object.map(|object| text_of(object, "id")))
}

/// Learn, the "Get" pages of each resource.
fn is_key(kind: Kind, name: &str) -> bool {
    match kind {
        Kind::Application => matches!(name, "appId" | "uniqueName"),
        Kind::ServicePrincipal => name == "appId",
        Kind::Group => name == "uniqueName",
        Kind::Device => name == "deviceId",
        _ => false,
    }
}
