//! A JOSE header: a JSON object in which no name stands twice.

use std::fmt;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::SealedProfileError;

/// The parameters of a header, or of a part of one.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(transparent)]
pub(crate) struct Header(Map<String, Value>);

impl Header {
    /// A header of one parameter.
    pub(crate) fn new(name: &str, value: String) -> Self {
        Self(Map::from_iter([(name.to_owned(), Value::String(value))]))
    }

    /// Reads a header from JSON in UTF-8.
    pub(crate) fn from_bytes(json: &[u8]) -> Result<Self, SealedProfileError> {
        serde_json::from_slice(json).map_err(|_| malformed())
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

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Unique;

        impl<'de> Visitor<'de> for Unique {
            type Value = Header;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JOSE header")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
                let mut header = Map::new();
                while let Some((name, value)) = map.next_entry::<String, Value>()? {
                    // RFC 7516 4: parsers may take the last one, or refuse. This one refuses.
                    if header.insert(name, value).is_some() {
                        return Err(A::Error::custom("a name that stands twice"));
                    }
                }
                Ok(Header(header))
            }
        }

        deserializer.deserialize_map(Unique)
    }
}

fn malformed() -> SealedProfileError {
    SealedProfileError::Malformed { what: "header" }
}
