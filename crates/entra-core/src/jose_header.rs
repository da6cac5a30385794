//! A JOSE header: a JSON object in which no name stands twice.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::SealedProfileError;
use crate::jwt::object::{Unread, read_object};

/// The parameters of a header, or of a part of one.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(transparent)]
pub(crate) struct Header(Map<String, Value>);

impl Header {
    /// A header of one parameter.
    pub(crate) fn new(name: &str, value: String) -> Self {
        Self(Map::from_iter([(name.to_owned(), Value::String(value))]))
    }

    /// Reads a header from JSON in UTF-8.
    pub(crate) fn from_bytes(json: &[u8]) -> Result<Self, SealedProfileError> {
        let json = std::str::from_utf8(json).map_err(|_| malformed())?;
        read_unique(json).map_err(|_| malformed())
    }

    /// The union of the parts of a header, whose names must differ (RFC 7516 7.2.1).
    pub(crate) fn union(parts: [&Self; 3]) -> Result<Self, SealedProfileError> {
        let mut union = Map::new();
        for (name, value) in parts.into_iter().flat_map(|part| &part.0) {
            if union.insert(name.clone(), value.clone()).is_some() {
                return Err(malformed());
            }
        }
        Ok(Self(union))
    }

    /// Whether there is such a parameter.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// A parameter that is a text, if it is there.
    pub(crate) fn text(&self, name: &str) -> Result<Option<&str>, SealedProfileError> {
        match self.0.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(malformed()),
        }
    }
}

/// Reads an object in which no name stands twice, at any depth. RFC 7516 4: parsers may take the
/// last one, or refuse; this one refuses.
pub(crate) fn read_unique<T: serde::de::DeserializeOwned>(json: &str) -> Result<T, Ambiguous> {
    read_object(json, &mut Unread).map_err(|_| Ambiguous)?;
    serde_json::from_str(json).map_err(|_| Ambiguous)
}

/// The text is no JSON object of the expected form, or can be read in two ways.
pub(crate) struct Ambiguous;

fn malformed() -> SealedProfileError {
    SealedProfileError::Malformed { what: "header" }
}
