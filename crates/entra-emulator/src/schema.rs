//! The types of Microsoft Graph v1.0: which properties an object has, of which type, and what
//! stands there when nobody has written anything.
//!
//! `data/types.txt` repeats a part of Graph's public metadata (`$metadata` of v1.0, of 2026-08):
//! types, properties, what may be null, and, but for users and groups, navigation properties. One
//! property is from Learn instead, "Update device": a device's `extensionAttributes`, of a type
//! that the metadata has for users. Types that the file does not describe, enumerations above all,
//! are taken as they come.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde_json::{Map, Value};

/// Graph's types by name.
#[derive(Debug)]
pub(crate) struct Schema {
    types: HashMap<&'static str, Shape>,
}

impl Schema {
    /// The types of Graph v1.0.
    pub(crate) fn v1() -> &'static Self {
        static SCHEMA: LazyLock<Schema> = LazyLock::new(|| Schema::parse(TYPES));
        &SCHEMA
    }

    /// A type by name, without its namespace.
    pub(crate) fn shape(&self, name: &str) -> Option<&Shape> {
        self.types.get(name)
    }

    /// The value that a property has before anyone has written it. Complex values are null;
    /// which of them Graph fills in is a matter of the noun.
    pub(crate) fn default_value(property: &Property) -> Value {
        match (&property.form, property.nullable) {
            (Form::Collection(_), false) => Value::Array(Vec::new()),
            (Form::Flag, false) => Value::Bool(false),
            (Form::Number, false) => Value::from(0),
            _ => Value::Null,
        }
    }

    /// All properties of a type with their defaults, the complex ones among them expanded.
    pub(crate) fn default_object(&self, name: &str) -> Map<String, Value> {
        let properties = self.shape(name).map(Shape::properties).unwrap_or_default();
        properties
            .iter()
            .map(|property| {
                let value = match &property.form {
                    Form::Complex(inner) => Value::Object(self.default_object(inner)),
                    _ => Self::default_value(property),
                };
                (property.name.to_owned(), value)
            })
            .collect()
    }

    /// Whether `value` may stand where `form` is expected. Returns the path of what may not.
    pub(crate) fn check(&self, form: &Form, value: &Value) -> Result<(), Mismatch> {
        match (form, value) {
            (_, Value::Null) | (Form::Open(_), _) => Ok(()),
            (Form::Text | Form::Bytes, Value::String(_)) => Ok(()),
            (Form::Flag, Value::Bool(_)) => Ok(()),
            (Form::Number, Value::Number(number)) if number.is_i64() => Ok(()),
            (Form::Guid, Value::String(text)) if uuid::Uuid::try_parse(text).is_ok() => Ok(()),
            (Form::Time, Value::String(text)) if is_time(text) => Ok(()),
            (Form::Collection(item), Value::Array(items)) => {
                items.iter().try_for_each(|value| match value {
                    Value::Null => Err(Mismatch::Value(String::new())),
                    value => self.check(item, value),
                })
            }
            (Form::Complex(name), Value::Object(object)) => self.check_complex(name, object),
            _ => Err(Mismatch::Value(String::new())),
        }
    }

    fn check_complex(&self, name: &str, object: &Map<String, Value>) -> Result<(), Mismatch> {
        let Some(shape) = self.shape(name) else {
            return Ok(());
        };
        for (key, value) in object {
            if key.starts_with("@odata.") {
                continue;
            }
            let Some(property) = shape.property(key) else {
                return Err(Mismatch::Unknown(key.clone()));
            };
            self.check(&property.form, value)
                .map_err(|mismatch| mismatch.within(key))?;
        }
        Ok(())
    }

    fn parse(text: &'static str) -> Self {
        let mut raw = HashMap::new();
        for block in text.split("## ").skip(1) {
            let mut lines = block.lines();
            let mut words = lines.next().unwrap_or_default().split_whitespace().skip(1);
            let (Some(name), Some(base)) = (words.next(), words.next()) else {
                continue;
            };
            let base = base
                .trim_start_matches("base=")
                .trim_start_matches("graph.");
            let (navigations, properties): (Vec<_>, Vec<_>) =
                lines.partition(|line| line.trim_start().starts_with(NAVIGATIONS));
            let first = |lines: Vec<&'static str>| lines.first().copied().unwrap_or_default();
            raw.insert(name, (base, first(properties), first(navigations)));
        }
        let types = raw
            .keys()
            .map(|name| (*name, Shape::resolve(name, &raw)))
            .collect();
        Self { types }
    }
}

/// The properties of one type, inherited ones first.
#[derive(Debug, Default)]
pub(crate) struct Shape {
    properties: Vec<Property>,
    navigations: Vec<&'static str>,
}

impl Shape {
    /// Every structural property.
    pub(crate) fn properties(&self) -> &[Property] {
        &self.properties
    }

    /// A structural property by its exact name.
    pub(crate) fn property(&self, name: &str) -> Option<&Property> {
        self.properties
            .iter()
            .find(|property| property.name == name)
    }

    /// Whether there is a navigation property of this name.
    pub(crate) fn has_navigation(&self, name: &str) -> bool {
        self.navigations.contains(&name)
    }

    fn resolve(name: &str, raw: &RawTypes) -> Self {
        let mut shape = Self::default();
        if let Some((base, properties, navigations)) = raw.get(name) {
            shape = Self::resolve(base, raw);
            shape
                .properties
                .extend(entries(properties).filter_map(Property::parse));
            let navigations = navigations.trim().trim_start_matches(NAVIGATIONS);
            shape
                .navigations
                .extend(entries(navigations).filter_map(|entry| entry.split("->").next()));
        } else {
            shape.properties.extend(
                BASES
                    .iter()
                    .filter(|(base, _)| *base == name)
                    .flat_map(|(_, properties)| entries(properties))
                    .filter_map(Property::parse),
            );
        }
        shape
    }
}

/// One property of a type.
#[derive(Debug)]
pub(crate) struct Property {
    /// Its name in JSON.
    pub(crate) name: &'static str,
    /// What its values look like.
    pub(crate) form: Form,
    /// Whether it may be null.
    pub(crate) nullable: bool,
}

impl Property {
    fn parse(entry: &'static str) -> Option<Self> {
        let (name, form) = entry.split_once(':')?;
        Some(Self {
            name,
            form: Form::parse(form.trim_end_matches('!')),
            nullable: !form.ends_with('!'),
        })
    }
}

/// What the values of a property look like.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// `Edm.String`, and durations and dates, which are texts here.
    Text,
    /// `Edm.Boolean`.
    Flag,
    /// `Edm.Int32` and `Edm.Int64`.
    Number,
    /// `Edm.Guid`.
    Guid,
    /// `Edm.DateTimeOffset`.
    Time,
    /// `Edm.Binary`: base64.
    Bytes,
    /// `Edm.Stream`: no part of the JSON.
    Stream,
    /// A complex type that the data describes.
    Complex(&'static str),
    /// An enumeration, or a complex type that the data does not describe.
    Open(&'static str),
    /// A collection of these.
    Collection(Box<Self>),
}

impl Form {
    fn parse(text: &'static str) -> Self {
        if let Some(item) = text
            .strip_prefix("Collection(")
            .and_then(|rest| rest.strip_suffix(')'))
        {
            return Self::Collection(Box::new(Self::parse(item)));
        }
        match text {
            "String" | "Duration" | "Date" => Self::Text,
            "Boolean" => Self::Flag,
            "Int32" | "Int64" => Self::Number,
            "Guid" => Self::Guid,
            "DateTimeOffset" => Self::Time,
            "Binary" => Self::Bytes,
            "Stream" => Self::Stream,
            name if TYPES.contains(&["ComplexType ", name, " base="].concat()) => {
                Self::Complex(name)
            }
            name => Self::Open(name),
        }
    }
}

/// Why a value was not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Mismatch {
    /// The type has no such property.
    Unknown(String),
    /// The value has the wrong type; the path leads to it, and is empty for the value itself.
    Value(String),
}

impl Mismatch {
    fn within(self, outer: &str) -> Self {
        match self {
            Self::Value(path) if path.is_empty() => Self::Value(outer.to_owned()),
            Self::Value(path) => Self::Value([outer, ".", &path].concat()),
            unknown => unknown,
        }
    }
}

type RawTypes = HashMap<&'static str, (&'static str, &'static str, &'static str)>;

fn entries(line: &'static str) -> impl Iterator<Item = &'static str> {
    line.split(", ")
        .map(str::trim)
        .filter(|entry| !entry.is_empty())
}

fn is_time(text: &str) -> bool {
    use time::format_description::well_known::{Iso8601, Rfc3339};
    time::OffsetDateTime::parse(text, &Rfc3339).is_ok()
        || time::PrimitiveDateTime::parse(text, &Iso8601::DEFAULT).is_ok()
}

const NAVIGATIONS: &str = "NAV ";
const TYPES: &str = include_str!("../data/types.txt");

/// Base types, which the data names but does not list.
const BASES: [(&str, &str); 4] = [
    ("entity", "id:String!"),
    (
        "directoryObject",
        "id:String!, deletedDateTime:DateTimeOffset",
    ),
    (
        "policyBase",
        "id:String!, deletedDateTime:DateTimeOffset, description:String, displayName:String",
    ),
    ("request", "id:String!"),
];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_application_inherits_its_id_and_describes_its_collections() {
        let shape = Schema::v1().shape("application").unwrap();
        assert_eq!(shape.properties()[0].name, "id");
        assert_eq!(
            shape.property("keyCredentials").unwrap().form,
            Form::Collection(Box::new(Form::Complex("keyCredential")))
        );
        assert!(!shape.property("identifierUris").unwrap().nullable);
        assert!(shape.has_navigation("owners"));
    }

    #[test]
    fn a_restriction_inherits_from_its_configuration() {
        let shape = Schema::v1()
            .shape("appManagementApplicationConfiguration")
            .unwrap();
        let names: Vec<_> = shape.properties().iter().map(|p| p.name).collect();
        assert_eq!(
            names,
            ["keyCredentials", "passwordCredentials", "identifierUris"]
        );
    }

    #[test]
    fn the_defaults_of_web_are_those_that_graph_returns() {
        assert_eq!(
            Value::Object(Schema::v1().default_object("webApplication")),
            json!({
                "homePageUrl": null,
                "implicitGrantSettings": {
                    "enableAccessTokenIssuance": null,
                    "enableIdTokenIssuance": null
                },
                "logoutUrl": null,
                "redirectUris": [],
                "redirectUriSettings": []
            })
        );
    }

    #[test]
    fn a_value_of_the_wrong_type_is_named_by_its_path() {
        let schema = Schema::v1();
        let web = Form::Complex("webApplication");
        for (value, expected) in [
            (json!({"redirectUris": ["https://a.example"]}), Ok(())),
            (json!({"redirectUris": null, "homePageUrl": null}), Ok(())),
            (
                json!({"redirectUris": "https://a.example"}),
                Err(Mismatch::Value("redirectUris".into())),
            ),
            (
                json!({"implicitGrantSettings": {"enableIdTokenIssuance": "no"}}),
                Err(Mismatch::Value(
                    "implicitGrantSettings.enableIdTokenIssuance".into(),
                )),
            ),
            (
                json!({"redirectUrls": []}),
                Err(Mismatch::Unknown("redirectUrls".into())),
            ),
            (json!([]), Err(Mismatch::Value(String::new()))),
        ] {
            assert_eq!(schema.check(&web, &value), expected, "{value}");
        }
    }
}
