//! What a client may write: known properties, of the right type, not the directory's own.

use serde_json::Value;

use super::error::GraphError;
use super::noun::Noun;
use crate::schema::{Mismatch, Schema};
use crate::tenant::Object;

/// A body after the checks that hold for every noun.
#[derive(Debug, Default)]
pub(crate) struct Body {
    /// Structural properties.
    pub(crate) properties: Object,
    /// `members@odata.bind` and the like: the name before the `@`, and the references.
    pub(crate) bindings: Vec<(String, Vec<String>)>,
}

/// Checks the body of a POST or PATCH. `allowed` names read-only properties that this call may
/// write all the same.
pub(crate) fn check(noun: &Noun, json: Object, allowed: &[&str]) -> Result<Body, GraphError> {
    let mut body = Body::default();
    for (name, value) in json {
        if let Some(navigation) = name.strip_suffix("@odata.bind") {
            body.bindings
                .push((navigation.to_owned(), references(navigation, &value)?));
            continue;
        }
        if name.contains("@odata.") {
            continue;
        }
        check_property(noun, &name, &value)?;
        if noun.read_only.contains(&name.as_str()) && !allowed.contains(&name.as_str()) {
            return Err(GraphError::read_only(&name));
        }
        body.properties.insert(name, value);
    }
    Ok(body)
}

/// Lays a PATCH over an object. Complex values are merged, collections are replaced.
pub(crate) fn merge(object: &mut Object, patch: Object) {
    for (name, value) in patch {
        match (object.get_mut(&name), value) {
            (Some(Value::Object(old)), Value::Object(new)) => merge(old, new),
            (_, value) => {
                object.insert(name, value);
            }
        }
    }
}

fn check_property(noun: &Noun, name: &str, value: &Value) -> Result<(), GraphError> {
    let Some(property) = noun.property(name) else {
        return Err(
            GraphError::bad_request(format!("Invalid property '{name}'."))
                .with_detail("InvalidProperty", name),
        );
    };
    if value.is_null() && !property.nullable {
        return Err(GraphError::invalid_value(name, noun.label));
    }
    Schema::v1()
        .check(&property.form, value)
        .map_err(|mismatch| match mismatch {
            Mismatch::Unknown(inner) => {
                GraphError::bad_request(format!("Invalid property '{inner}'."))
                    .with_detail("InvalidProperty", &inner)
            }
            Mismatch::Value(path) if path.is_empty() => GraphError::invalid_value(name, noun.label),
            Mismatch::Value(path) => {
                GraphError::invalid_value(&[name, ".", &path].concat(), noun.label)
            }
        })
}

fn references(navigation: &str, value: &Value) -> Result<Vec<String>, GraphError> {
    let texts = match value {
        Value::String(text) => Some(vec![text.clone()]),
        Value::Array(items) => items
            .iter()
            .map(|item| item.as_str().map(str::to_owned))
            .collect(),
        _ => None,
    };
    texts.ok_or_else(|| {
        GraphError::malformed(format!(
            "The value of '{navigation}@odata.bind' is no reference."
        ))
    })
}
