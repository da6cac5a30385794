//! A JSON object read in one pass, with no name twice in it or in any object within it.
//!
//! JSON leaves open which of two members with one name counts (RFC 8259 4), and parsers differ. So
//! a text whose meaning depends on the reader is refused, as RFC 7515 4 and RFC 7519 4 allow.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer as _, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::error::Category;

/// What takes the members of an object as they are read.
pub(crate) trait Members<'de> {
    /// Reads the value of `name` if it wants it. A value that was not read is `false`, and is
    /// passed over.
    fn read<A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error>;
}

/// Why a text is no object that can be read in one way only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ObjectError {
    /// It is not JSON, or nested too deeply.
    NotJson,
    /// It is JSON, but no object.
    NotAnObject,
    /// The value of a member is not of the type that it is read as. The reader knows which.
    Member,
    /// A name stands twice in one object.
    Duplicate,
    /// An object has more than [`MAX_MEMBERS`] members.
    TooManyMembers,
}

/// Reads an object, and lists the names of its own members in their order. They may not even differ
/// by letter case alone: `tid` beside `TID` is there to be read in two ways.
pub(crate) fn read_object<'de>(
    text: &'de str,
    members: &mut impl Members<'de>,
) -> Result<Vec<Cow<'de, str>>, ObjectError> {
    let mut fault = ObjectError::NotAnObject;
    let mut json = serde_json::Deserializer::from_str(text);
    let top = Top {
        members,
        fault: &mut fault,
    };
    let read = json.deserialize_map(top);
    let read = read.and_then(|names| json.end().map(|()| names));
    read.map_err(|error| match error.classify() {
        Category::Data => fault,
        Category::Syntax | Category::Eof | Category::Io => ObjectError::NotJson,
    })
}

/// The members of an object, none of which is wanted.
pub(crate) struct Unread;

impl<'de> Members<'de> for Unread {
    fn read<A: MapAccess<'de>>(&mut self, _: &str, _: &mut A) -> Result<bool, A::Error> {
        Ok(false)
    }
}

/// A text that is borrowed unless it has escapes. Serde's own `Cow` always copies.
pub(crate) struct Text<'de>(pub(crate) Cow<'de, str>);

impl<'de> serde::Deserialize<'de> for Text<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(TextVisitor)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Owned(text.to_owned())))
    }
}

/// The outermost object.
struct Top<'a, M> {
    members: &'a mut M,
    /// What an error of the reader's type means.
    fault: &'a mut ObjectError,
}

impl<'de, M: Members<'de>> Visitor<'de> for Top<'_, M> {
    type Value = Vec<Cow<'de, str>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut names = Names {
            seen: Vec::with_capacity(USUAL_MEMBERS),
            marks: 0,
            any_case: true,
        };
        while let Some(name) = names.next(&mut map, self.fault)? {
            *self.fault = ObjectError::Member;
            if !self.members.read(name, &mut map)? {
                map.next_value_seed(Inner { fault: self.fault })?;
            }
        }
        Ok(names.seen)
    }
}

/// A value that nobody reads. It is walked through for the names in it.
struct Inner<'a> {
    fault: &'a mut ObjectError,
}

impl<'de> DeserializeSeed<'de> for Inner<'_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Inner<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        let fault = self.fault;
        while elements.next_element_seed(Inner { fault })?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut names = Names {
            seen: Vec::new(),
            marks: 0,
            any_case: false,
        };
        while names.next(&mut map, self.fault)?.is_some() {
            map.next_value_seed(Inner { fault: self.fault })?;
        }
        Ok(())
    }
}

/// The names of one object so far.
struct Names<'de> {
    seen: Vec<Cow<'de, str>>,
    /// The marks of all of them. Most new names have one that is not there yet, and need no
    /// comparison.
    marks: u64,
    /// Whether names that differ by letter case alone are the same.
    any_case: bool,
}

impl<'de> Names<'de> {
    /// The next name, unless it was there before.
    fn next<A: MapAccess<'de>>(
        &mut self,
        map: &mut A,
        fault: &mut ObjectError,
    ) -> Result<Option<&str>, A::Error> {
        let Some(Text(name)) = map.next_key()? else {
            return Ok(None);
        };
        let is_same = |seen: &Cow<'_, str>| {
            if self.any_case {
                seen.eq_ignore_ascii_case(&name)
            } else {
                *seen == name
            }
        };
        let mark = mark(&name);
        if self.marks & mark != 0 && self.seen.iter().any(is_same) {
            *fault = ObjectError::Duplicate;
            return Err(A::Error::custom("a name stands twice"));
        }
        if self.seen.len() == MAX_MEMBERS {
            *fault = ObjectError::TooManyMembers;
            return Err(A::Error::custom("too many members"));
        }
        self.marks |= mark;
        self.seen.push(name);
        Ok(self.seen.last().map(Cow::as_ref))
    }
}

/// One bit of 64, the same for names that differ by letter case alone.
fn mark(name: &str) -> u64 {
    let bytes = name.as_bytes();
    let letter = |byte: Option<&u8>| byte.map_or(0, |byte| usize::from(byte | 0x20));
    let (first, last) = (letter(bytes.first()), letter(bytes.last()));
    1 << ((first * 5 + last * 11 + bytes.len()) % 64)
}

/// Each name is compared with all before it, so that there may not be too many. A token of Entra
/// has up to forty claims.
const MAX_MEMBERS: usize = 256;
/// Room for the claims of most tokens.
const USUAL_MEMBERS: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_stands_twice_at_any_level() {
        use ObjectError::{Duplicate, NotAnObject, NotJson};
        for (text, expected) in [
            (r#"{}"#, Ok(())),
            (r#" {"a":[1,-1,1.5,true,null,"x",{"b":{}}]} "#, Ok(())),
            (r#"{"a":{"b":1},"c":{"b":1}}"#, Ok(())),
            (r#"{"a":1,"b":2,"a":1}"#, Err(Duplicate)),
            (r#"{"a":1,"\u0061":1}"#, Err(Duplicate)),
            (r#"{"tid":1,"TID":1}"#, Err(Duplicate)),
            (r#"{"a":{"b":1,"b":2}}"#, Err(Duplicate)),
            (r#"{"a":[[{"b":1,"b":2}]]}"#, Err(Duplicate)),
            (r#"{"a":{"b":1,"B":2}}"#, Ok(())),
            (r#"[]"#, Err(NotAnObject)),
            (r#""a""#, Err(NotAnObject)),
            (r#"1"#, Err(NotAnObject)),
            (r#""#, Err(NotJson)),
            (r#"{"a":1"#, Err(NotJson)),
            (r#"{"a":1}{}"#, Err(NotJson)),
            (r#"{"a":1,}"#, Err(NotJson)),
            (r#"{"a":1e999}"#, Err(NotJson)),
            ("\u{feff}{}", Err(NotJson)),
        ] {
            assert_eq!(read_object(text, &mut Unread).map(drop), expected, "{text}");
        }
    }

    #[test]
    fn depth_and_breadth_have_limits() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(200), "]".repeat(200));
        assert_eq!(
            read_object(&deep, &mut Unread).map(drop),
            Err(ObjectError::NotJson)
        );
        for (count, expected) in [(256, Ok(())), (257, Err(ObjectError::TooManyMembers))] {
            let members: Vec<String> = (0..count).map(|n| format!("\"m{n}\":0")).collect();
            for text in [
                format!("{{{}}}", members.join(",")),
                format!("{{\"a\":{{{}}}}}", members.join(",")),
            ] {
                assert_eq!(
                    read_object(&text, &mut Unread).map(drop),
                    expected,
                    "{count}"
                );
            }
        }
    }
}
