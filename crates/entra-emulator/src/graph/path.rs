//! The path of a call: segments, keys, casts (OData 4.01 part 2, "URL Conventions", section 4).

use super::error::GraphError;
use crate::schema::Schema;

/// A path below `/v1.0` or `/beta`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Path {
    /// `v1.0` or `beta`.
    pub(crate) version: String,
    segments: Vec<Segment>,
    /// The type at the end, as in `/members/microsoft.graph.user`.
    pub(crate) cast: Option<String>,
    /// Whether it ends in `/$count`.
    pub(crate) count: bool,
}

/// How a path names an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    /// By its id, or a user by name.
    Id(String),
    /// By another key, as in `applications(appId='…')`.
    Alternate(String, String),
}

impl Key {
    /// What was given, for messages.
    pub(crate) fn text(&self) -> &str {
        match self {
            Self::Id(text) | Self::Alternate(_, text) => text,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Word(String),
    Key(Key),
}

impl Path {
    /// Reads a path as it stands in the request.
    pub(crate) fn parse(raw: &str) -> Result<Self, GraphError> {
        let mut words = raw.split('/').filter(|word| !word.is_empty());
        let version = words.next().unwrap_or_default();
        if version != "v1.0" && version != "beta" {
            return Err(GraphError::malformed(
                "Invalid version: ".to_owned() + version,
            ));
        }
        let mut segments = Vec::new();
        for word in words {
            let word = decode(word);
            if let Some((name, key)) = word
                .strip_suffix(')')
                .and_then(|head| head.split_once('('))
                .filter(|(_, key)| !key.is_empty())
            {
                segments.push(Segment::Word(name.to_owned()));
                segments.push(Segment::Key(parse_key(key)));
            } else {
                segments.push(Segment::Word(word));
            }
        }
        let count = pop_if(&mut segments, |word| word.eq_ignore_ascii_case("$count")).is_some();
        let cast = pop_if(&mut segments, is_cast)
            .map(|word| word.trim_start_matches(NAMESPACE).to_owned());
        Ok(Self {
            version: version.to_owned(),
            segments,
            cast,
            count,
        })
    }

    /// The same path with the user in place of `me` (Learn, "Use the Microsoft Graph API": `/me` is
    /// the signed-in user). `None` where it does not begin with `me`.
    pub(crate) fn of_user(&self, user_id: &str) -> Option<Self> {
        let (first, rest) = self.segments.split_first()?;
        match first {
            Segment::Word(word) if word.eq_ignore_ascii_case("me") => {}
            _ => return None,
        }
        let mut segments = vec![
            Segment::Word("users".to_owned()),
            Segment::Word(user_id.to_owned()),
        ];
        segments.extend_from_slice(rest);
        Some(Self {
            segments,
            ..self.clone()
        })
    }

    /// The keys of this path, if it has the form of `template` (`/users/{id}/memberOf`).
    pub(crate) fn matches(&self, template: &str) -> Option<Vec<Key>> {
        let mut keys = Vec::new();
        let mut segments = self.segments.iter();
        for expected in template.split('/').skip(1) {
            match (expected, segments.next()?) {
                ("{id}", Segment::Word(word)) if !word.starts_with('$') => {
                    keys.push(Key::Id(word.clone()));
                }
                ("{id}", Segment::Key(key)) => keys.push(key.clone()),
                (expected, Segment::Word(word))
                    if word
                        .trim_start_matches(NAMESPACE)
                        .eq_ignore_ascii_case(expected) => {}
                _ => return None,
            }
        }
        segments.next().is_none().then_some(keys)
    }

    /// The first segment that no template continues with, for the message.
    pub(crate) fn stray_segment(&self, templates: &[&str]) -> String {
        if templates
            .iter()
            .any(|template| self.matches(template).is_some())
        {
            let count = self.count.then(|| "$count".to_owned());
            return count.or_else(|| self.cast.clone()).unwrap_or_default();
        }
        for length in (0..self.segments.len()).rev() {
            let known = Self {
                segments: self.segments.iter().take(length).cloned().collect(),
                ..self.clone()
            };
            let is_prefix = templates.iter().any(|template| {
                let words: Vec<&str> = template.split('/').take(length + 1).collect();
                known.matches(&words.join("/")).is_some()
            });
            if (is_prefix || length == 0)
                && let Some(Segment::Word(word)) = self.segments.get(length)
            {
                return word.clone();
            }
        }
        String::new()
    }
}

fn pop_if(segments: &mut Vec<Segment>, test: impl Fn(&str) -> bool) -> Option<String> {
    match segments.last() {
        Some(Segment::Word(word)) if test(word) => {
            let word = word.clone();
            segments.pop();
            Some(word)
        }
        _ => None,
    }
}

fn is_cast(word: &str) -> bool {
    word.strip_prefix(NAMESPACE)
        .is_some_and(|name| Schema::v1().shape(name).is_some())
}

fn parse_key(text: &str) -> Key {
    match text.split_once('=') {
        Some((name, value)) if !name.contains('\'') => {
            Key::Alternate(name.trim().to_owned(), unquote(value.trim()))
        }
        _ => Key::Id(unquote(text)),
    }
}

fn unquote(text: &str) -> String {
    text.strip_prefix('\'')
        .and_then(|rest| rest.strip_suffix('\''))
        .unwrap_or(text)
        .replace("''", "'")
}

/// Undoes percent-encoding (RFC 3986 2.1).
fn decode(word: &str) -> String {
    let mut bytes = word.bytes();
    let mut decoded = Vec::with_capacity(word.len());
    while let Some(byte) = bytes.next() {
        let mut ahead = bytes.clone();
        let pair = (byte == b'%')
            .then(|| Some((hex(ahead.next()?)?, hex(ahead.next()?)?)))
            .flatten();
        if let Some((high, low)) = pair {
            decoded.push(high * 16 + low);
            bytes = ahead;
        } else {
            decoded.push(byte);
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

fn hex(byte: u8) -> Option<u8> {
    u8::try_from(char::from(byte).to_digit(16)?).ok()
}

const NAMESPACE: &str = "microsoft.graph.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_segments_or_stand_in_parentheses() {
        for (path, template, expected) in [
            (
                "/v1.0/users/a",
                "/users/{id}",
                Some(vec![Key::Id("a".into())]),
            ),
            (
                "/v1.0/Users('a''b')",
                "/users/{id}",
                Some(vec![Key::Id("a'b".into())]),
            ),
            (
                "/v1.0/applications(appId=%27x%27)/owners/$ref",
                "/applications/{id}/owners/$ref",
                Some(vec![Key::Alternate("appId".into(), "x".into())]),
            ),
            (
                "/v1.0/users/a%23EXT%23@b",
                "/users/{id}",
                Some(vec![Key::Id("a#EXT#@b".into())]),
            ),
            ("/v1.0/users/a/b", "/users/{id}", None),
            ("/v1.0/users/$ref", "/users/{id}", None),
        ] {
            assert_eq!(
                Path::parse(path).unwrap().matches(template),
                expected,
                "{path}"
            );
        }
    }

    #[test]
    fn a_path_may_end_in_a_cast_and_a_count() {
        let path = Path::parse("/beta/groups/g/members/microsoft.graph.user/$count").unwrap();
        assert_eq!(path.version, "beta");
        assert_eq!(path.cast.as_deref(), Some("user"));
        assert!(path.count);
        assert!(path.matches("/groups/{id}/members").is_some());
    }

    #[test]
    fn the_segment_that_leads_nowhere_is_named() {
        let templates = ["/users", "/users/{id}", "/users/{id}/memberOf"];
        for (path, expected) in [
            ("/v1.0/usrs", "usrs"),
            ("/v1.0/users/a/photos/1", "photos"),
            ("/v1.0/users/a/memberOf/x", "x"),
        ] {
            let path = Path::parse(path).unwrap();
            assert_eq!(path.stray_segment(&templates), expected);
        }
    }

    #[test]
    fn another_version_is_refused() {
        let error = Path::parse("/v2.0/users").unwrap_err();
        assert_eq!(error.message, "Invalid version: v2.0");
    }
}
