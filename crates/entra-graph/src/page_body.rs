//! One page of a listing, read item by item straight off its bytes.

use bytes::Bytes;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Deserializer;

use crate::Malformation;
use crate::error::Position;

/// A page that is being read (OData JSON Format 4.01, 4.5 and 12).
///
/// Nothing of it is collected: each item is parsed when it is asked for, and what stands before
/// and after the items is read on the way. Links may stand on either side of the items.
#[derive(Debug)]
pub(crate) struct PageBody {
    text: String,
    at: usize,
    place: Place,
    has_value: bool,
    /// Where the next page is.
    pub(crate) next_link: Option<String>,
    /// Where the next round of changes begins.
    pub(crate) delta_link: Option<String>,
    /// How many objects there are in all pages.
    pub(crate) count: Option<u64>,
}

impl PageBody {
    /// Takes a page over. Its bytes are checked to be UTF-8 once, as a whole, which is much
    /// cheaper than each text by itself.
    pub(crate) fn new(bytes: Bytes) -> Result<Self, Flaw> {
        let text = String::from_utf8(Vec::from(bytes)).map_err(|error| {
            let kind = match error.utf8_error().error_len() {
                None => Malformation::Truncated,
                Some(_) => Malformation::NotJson,
            };
            let valid = error.utf8_error().valid_up_to();
            flaw_at(error.as_bytes(), valid, kind)
        })?;
        Ok(Self {
            text,
            at: 0,
            place: Place::Start,
            has_value: false,
            next_link: None,
            delta_link: None,
            count: None,
        })
    }

    /// The next item; nothing once the page has been read to its last byte.
    pub(crate) fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>, Flaw> {
        loop {
            match self.place {
                Place::Start => self.begin()?,
                Place::Member => self.member()?,
                Place::Item => {
                    let item = self.read()?;
                    self.place = Place::AfterItem;
                    return Ok(Some(item));
                }
                Place::AfterItem => match self.token()? {
                    b',' => self.place = Place::Item,
                    b']' => self.after_member()?,
                    _ => return Err(self.flaw(Malformation::NotJson)),
                },
                Place::End if self.has_value => return Ok(None),
                Place::End => return Err(self.flaw(Malformation::Shape)),
            }
        }
    }

    fn begin(&mut self) -> Result<(), Flaw> {
        if self.text.as_bytes().trim_ascii().is_empty() {
            return Err(self.flaw(Malformation::Empty));
        }
        match self.token()? {
            b'{' if self.peek() == Some(b'}') => {
                self.token()?;
                self.end()
            }
            b'{' => {
                self.place = Place::Member;
                Ok(())
            }
            b'<' => Err(self.flaw(Malformation::Html)),
            _ => Err(self.flaw(Malformation::NotJson)),
        }
    }

    /// One member of the page's object, up to the items or past the value.
    fn member(&mut self) -> Result<(), Flaw> {
        let name: String = self.read()?;
        if self.token()? != b':' {
            return Err(self.flaw(Malformation::NotJson));
        }
        match name.as_str() {
            "value" => return self.enter_items(),
            "@odata.nextLink" => self.next_link = self.read()?,
            "@odata.deltaLink" => self.delta_link = self.read()?,
            "@odata.count" => self.count = self.read()?,
            _ => {
                self.read::<IgnoredAny>()?;
            }
        }
        self.after_member()
    }

    fn enter_items(&mut self) -> Result<(), Flaw> {
        if std::mem::replace(&mut self.has_value, true) || self.token()? != b'[' {
            return Err(self.flaw(Malformation::Shape));
        }
        if self.peek() == Some(b']') {
            self.token()?;
            return self.after_member();
        }
        self.place = Place::Item;
        Ok(())
    }

    fn after_member(&mut self) -> Result<(), Flaw> {
        match self.token()? {
            b',' => {
                self.place = Place::Member;
                Ok(())
            }
            b'}' => self.end(),
            _ => Err(self.flaw(Malformation::NotJson)),
        }
    }

    fn end(&mut self) -> Result<(), Flaw> {
        self.place = Place::End;
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.flaw(Malformation::NotJson)),
        }
    }

    /// One value of JSON at the current place.
    fn read<V: DeserializeOwned>(&mut self) -> Result<V, Flaw> {
        // A flaw is where the value begins, not where the one before ends.
        self.peek();
        let rest = self.text.get(self.at..).unwrap_or_default();
        let mut values = Deserializer::from_str(rest).into_iter::<V>();
        match values.next() {
            Some(Ok(value)) => {
                self.at += values.byte_offset();
                Ok(value)
            }
            Some(Err(error)) => Err(self.flaw(malformation(&error))),
            None => Err(self.flaw(Malformation::Truncated)),
        }
    }

    /// The next byte that is not white space, which is passed.
    fn token(&mut self) -> Result<u8, Flaw> {
        let Some(byte) = self.peek() else {
            return Err(self.flaw(Malformation::Truncated));
        };
        self.at += 1;
        Ok(byte)
    }

    /// The next byte that is not white space (RFC 8259 2). White space is passed.
    fn peek(&mut self) -> Option<u8> {
        let rest = self.text.as_bytes().get(self.at..)?;
        let is_space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        let found = rest.iter().position(|byte| !is_space(byte))?;
        self.at += found;
        rest.get(found).copied()
    }

    fn flaw(&self, kind: Malformation) -> Flaw {
        flaw_at(self.text.as_bytes(), self.at, kind)
    }
}

/// Why a page cannot be read, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flaw {
    pub(crate) kind: Malformation,
    pub(crate) at: Position,
}

/// Where the reader stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Start,
    Member,
    Item,
    AfterItem,
    End,
}

fn flaw_at(bytes: &[u8], at: usize, kind: Malformation) -> Flaw {
    let before = bytes.get(..at).unwrap_or_default();
    let line_start = before
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |found| found + 1);
    Flaw {
        kind,
        at: Position {
            line: 1 + before.iter().filter(|byte| **byte == b'\n').count(),
            column: 1 + at.saturating_sub(line_start),
        },
    }
}

fn malformation(error: &serde_json::Error) -> Malformation {
    use serde_json::error::Category;
    match error.classify() {
        Category::Eof => Malformation::Truncated,
        Category::Data => Malformation::Shape,
        Category::Syntax | Category::Io => Malformation::NotJson,
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    struct Item {
        id: String,
    }

    #[test]
    fn links_are_found_before_and_after_the_items() {
        for body in [
            r#"{"@odata.context":"c","@odata.count":2,"@odata.nextLink":"n","value":[{"id":"a"},{"id":"b"}]}"#,
            r#"{"value":[{"id":"a"},{"id":"b"}],"@odata.count":2,"@odata.nextLink":"n"}"#,
            "\r\n{ \"@odata.nextLink\" : \"n\" ,\n \"value\" : [ {\"id\":\"a\"} , {\"id\":\"b\",\"x\":[{}]} ] , \"@odata.count\":2,\"x\":{\"value\":[1]} }\n",
        ] {
            let (items, page, flaw) = read_all(body.as_bytes());
            assert_eq!(flaw, None, "{body}");
            let page = page.unwrap();
            assert_eq!(items, ["a", "b"], "{body}");
            assert_eq!(page.next_link.as_deref(), Some("n"), "{body}");
            assert_eq!(page.count, Some(2), "{body}");
        }
    }

    #[test]
    fn a_page_without_items_is_empty_and_one_without_value_is_wrong() {
        let (items, page, flaw) = read_all(br#"{"value":[],"@odata.deltaLink":"d"}"#);
        assert_eq!((items.len(), flaw), (0, None));
        assert_eq!(page.unwrap().delta_link.as_deref(), Some("d"));
        for (body, kind) in [
            ("{}", Malformation::Shape),
            (r#"{"@odata.count":1}"#, Malformation::Shape),
            (r#"{"value":{"id":"a"}}"#, Malformation::Shape),
            (r#"{"value":[],"value":[]}"#, Malformation::Shape),
            (r#"{"value":[{"id":1}]}"#, Malformation::Shape),
            (r#"{"value":[{"id":"a"},]}"#, Malformation::NotJson),
            (
                r#"{"value":[{"id":"a"} {"id":"b"}]}"#,
                Malformation::NotJson,
            ),
            (r#"{"value":[]} x"#, Malformation::NotJson),
            (r#"{"value":[]}{"#, Malformation::NotJson),
            ("[]", Malformation::NotJson),
            (" <html>", Malformation::Html),
            (" ", Malformation::Empty),
        ] {
            let (_, _, flaw) = read_all(body.as_bytes());
            assert_eq!(flaw.map(|flaw| flaw.kind), Some(kind), "{body}");
        }
    }

    #[test]
    fn a_page_that_is_cut_at_any_byte_is_an_error() {
        let body = r#" {"@odata.context":"http://x/\"","@odata.count":2, "@odata.nextLink":"https:\/\/n","value":[{"id":"ä\u00e4","t":[1.5,null,true,{"a":"]}"}]},{"id":"b"}],"@odata.deltaLink":null}"#.as_bytes();
        assert_eq!(read_all(body).2, None);
        for end in 0..body.len() {
            let (items, _, flaw) = read_all(&body[..end]);
            assert!(flaw.is_some(), "cut at {end}");
            assert!(items.len() <= 2);
        }
    }

    #[test]
    fn a_byte_that_is_no_utf_8_is_found_and_a_cut_letter_is_a_cut() {
        let bad = b"{\"value\":[{\"id\":\"\xff\"}]}";
        assert_eq!(
            read_all(bad).2.map(|flaw| flaw.kind),
            Some(Malformation::NotJson)
        );
        let cut = b"{\"value\":[{\"id\":\"\xc3";
        assert_eq!(
            read_all(cut).2.map(|flaw| flaw.kind),
            Some(Malformation::Truncated)
        );
    }

    #[test]
    fn a_changed_byte_never_panics() {
        let body = br#"{"@odata.nextLink":"n","value":[{"id":"a"},{"id":"b"}]}"#;
        for at in 0..body.len() {
            for byte in [
                0, b'"', b'{', b'}', b'[', b']', b',', b':', b'1', b'\\', 0xff,
            ] {
                let mut changed = body.to_vec();
                changed[at] = byte;
                let (items, _, flaw) = read_all(&changed);
                assert!(items.len() == 2 || flaw.is_some(), "byte {byte} at {at}");
            }
        }
    }

    #[test]
    fn a_flaw_says_where() {
        let (_, _, flaw) = read_all(b"{\"value\":[\n {\"id\":\"a\"},\n {\"id\":1}]}");
        assert_eq!(flaw.unwrap().at, Position { line: 3, column: 2 });
    }

    fn read_all(bytes: &[u8]) -> (Vec<String>, Option<PageBody>, Option<Flaw>) {
        let mut items = Vec::new();
        let mut page = match PageBody::new(Bytes::copy_from_slice(bytes)) {
            Ok(page) => page,
            Err(flaw) => return (items, None, Some(flaw)),
        };
        loop {
            match page.next::<Item>() {
                Ok(Some(item)) => items.push(item.id),
                Ok(None) => return (items, Some(page), None),
                Err(flaw) => return (items, Some(page), Some(flaw)),
            }
        }
    }
}
