//! The claims of a token, with the places of their names: a reader that wants a few of them does
//! not walk through the others again.

use std::borrow::Cow;
use std::ops::Range;

use serde::de::value::BorrowedStrDeserializer;
use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde_json::Error;

/// A payload that was read once before, and found to be one object.
pub(super) struct Payload {
    text: String,
    names: Names,
}

impl Payload {
    pub(super) fn new(text: String, names: Names) -> Self {
        Self { text, names }
    }

    /// The claims as the caller's type.
    pub(super) fn read<'de, T: Deserialize<'de>>(&'de self) -> Result<T, Error> {
        let claims = Claims {
            text: &self.text,
            names: &self.names.0,
        };
        // If that fails, in one piece, so that the error says where in the payload it is.
        T::deserialize(claims).or_else(|_| serde_json::from_str(&self.text))
    }
}

/// Where the names stand; nothing for one that is written with escapes.
pub(super) struct Names(Vec<Option<Range<usize>>>);

impl Names {
    /// The places of names that were read from this text. They take the list's own memory.
    pub(super) fn of(text: &str, names: Vec<Cow<'_, str>>) -> Self {
        let origin = text.as_ptr().addr();
        let place = |name: Cow<'_, str>| match name {
            Cow::Borrowed(name) => {
                let start = name.as_ptr().addr().wrapping_sub(origin);
                Some(start..start.wrapping_add(name.len()))
            }
            Cow::Owned(_) => None,
        };
        Self(names.into_iter().map(place).collect())
    }
}

/// All claims as one object.
#[derive(Clone, Copy)]
struct Claims<'de> {
    text: &'de str,
    names: &'de [Option<Range<usize>>],
}

impl<'de> Claims<'de> {
    fn name(&self, index: usize) -> Option<&'de str> {
        let place = self.names.get(index)?.clone()?;
        self.text.get(place)
    }

    /// The JSON of a value: what stands between a name and the next one, without the punctuation
    /// that an object has there (RFC 8259 4).
    fn value(&self, index: usize) -> Option<&'de str> {
        let start = self.names.get(index)?.as_ref()?.end;
        let value = match self.names.get(index + 1) {
            Some(next) => {
                let value = self.text.get(start..next.as_ref()?.start)?;
                value.strip_suffix('"')?
            }
            None => self.text.get(start..)?,
        };
        let value = value.strip_prefix('"')?.trim_ascii();
        let value = value.strip_prefix(':')?;
        value.strip_suffix([',', '}'])
    }
}

impl<'de> Deserializer<'de> for Claims<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_map(Rest {
            claims: self,
            next: 0,
        })
    }

    // What does not take an object fails here, and is read in one piece.
    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier
        ignored_any
    }
}

/// The claims that were not handed out yet.
struct Rest<'de> {
    claims: Claims<'de>,
    next: usize,
}

impl<'de> MapAccess<'de> for Rest<'de> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        if self.next == self.claims.names.len() {
            return Ok(None);
        }
        let name = self.claims.name(self.next).ok_or_else(no_place)?;
        seed.deserialize(BorrowedStrDeserializer::new(name))
            .map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Error> {
        let value = self.claims.value(self.next).ok_or_else(no_place)?;
        self.next += 1;
        seed.deserialize(Json(value))
    }
}

fn no_place() -> Error {
    de::Error::custom("a claim has no place of its own")
}

/// The JSON of one value. It is what serde_json reads, but for what nobody wants to read.
struct Json<'de>(&'de str);

macro_rules! by_serde_json {
    ($($method:ident($($name:ident: $type:ty),*))*) => {
        $(
            fn $method<V: Visitor<'de>>(self, $($name: $type,)* visitor: V) -> Result<V::Value, Error> {
                let mut json = serde_json::Deserializer::from_str(self.0);
                Deserializer::$method(&mut json, $($name,)* visitor)
            }
        )*
    };
}

impl<'de> Deserializer<'de> for Json<'de> {
    type Error = Error;

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    by_serde_json! {
        deserialize_any()
        deserialize_bool()
        deserialize_i8()
        deserialize_i16()
        deserialize_i32()
        deserialize_i64()
        deserialize_i128()
        deserialize_u8()
        deserialize_u16()
        deserialize_u32()
        deserialize_u64()
        deserialize_u128()
        deserialize_f32()
        deserialize_f64()
        deserialize_char()
        deserialize_str()
        deserialize_string()
        deserialize_bytes()
        deserialize_byte_buf()
        deserialize_option()
        deserialize_unit()
        deserialize_unit_struct(name: &'static str)
        deserialize_newtype_struct(name: &'static str)
        deserialize_seq()
        deserialize_tuple(len: usize)
        deserialize_tuple_struct(name: &'static str, len: usize)
        deserialize_map()
        deserialize_struct(name: &'static str, fields: &'static [&'static str])
        deserialize_enum(name: &'static str, variants: &'static [&'static str])
        deserialize_identifier()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::Value;

    use super::*;
    use crate::jwt::object::{Unread, read_object};

    fn payload(text: &str) -> Payload {
        let names = read_object(text, &mut Unread).unwrap();
        Payload::new(text.to_owned(), Names::of(text, names))
    }

    #[derive(Debug, PartialEq, serde::Deserialize)]
    struct Several<'a> {
        text: &'a str,
        number: f64,
        list: Option<Vec<u8>>,
        #[serde(alias = "other_name")]
        named: Option<Named>,
        absent: Option<bool>,
        #[serde(flatten)]
        rest: BTreeMap<String, Value>,
    }

    #[derive(Debug, PartialEq, serde::Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Named {
        First,
        Second(u8),
    }

    #[test]
    fn claims_are_read_as_serde_json_reads_them() {
        for text in [
            r#"{"text":"a","number":1,"list":[1,2],"named":"first","x":{"y":null}}"#,
            r#" {"number" : 1.5 , "text" : "" , "other_name" : {"second" : 3} } "#,
            r#"{"text":"a","number":1,"list":null}"#,
            r#"{"\u0074ext":"a","number":-0.0,"absent":true}"#,
            r#"{"text":"\u0061","number":1}"#,
            r#"{"text":"a","number":"1"}"#,
            r#"{"text":"a"}"#,
            r#"{}"#,
            "{\"text\"\t:\r\n\"a,}\\\"}\" ,\"number\":\n2\n,\"list\" : [ ] , \"x\":{}\n}\n",
        ] {
            let payload = payload(text);
            let (found, expected) = (payload.read::<Several<'_>>(), serde_json::from_str(text));
            assert_eq!(
                found.map_err(|error| error.to_string()),
                expected.map_err(|error: Error| error.to_string()),
                "{text}"
            );
            let value: Value = payload.read().unwrap();
            assert_eq!(value, serde_json::from_str::<Value>(text).unwrap());
            let option: Option<Value> = payload.read().unwrap();
            assert_eq!(option, Some(value));
            assert!(payload.read::<Named>().is_err() && payload.read::<u8>().is_err());
        }
    }

    #[test]
    fn an_unknown_claim_is_refused_by_who_refuses_it() {
        #[derive(Debug, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Strict {
            #[expect(dead_code, reason = "read, not used")]
            a: u8,
        }

        assert!(payload(r#"{"a":1}"#).read::<Strict>().is_ok());
        let error = payload(r#"{"a":1,"b":2}"#).read::<Strict>().unwrap_err();
        assert_eq!(error.column(), 10);
    }
}
