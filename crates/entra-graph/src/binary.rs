//! `Edm.Binary`: bytes as base64 text.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Bytes that Graph writes as base64. Line breaks within the text are accepted, since some
/// clients send them. `Debug` shows the length alone.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Binary(Vec<u8>);

impl Binary {
    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl From<Vec<u8>> for Binary {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for Binary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Binary({} bytes)", self.0.len())
    }
}

impl Serialize for Binary {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Binary {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let mut text = String::deserialize(from)?;
        text.retain(|character| !character.is_ascii_whitespace());
        STANDARD
            .decode(text)
            .map(Self)
            .map_err(|_| de::Error::custom("binary data is not base64"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_breaks_within_base64_are_accepted() {
        let read: Binary = serde_json::from_str(r#""aGVs\nbG8=\r\n""#).unwrap();
        assert_eq!(read.as_bytes(), b"hello");
        assert_eq!(serde_json::to_string(&read).unwrap(), r#""aGVsbG8=""#);
        assert_eq!(format!("{read:?}"), "Binary(5 bytes)");
    }
}
