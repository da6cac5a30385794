//! OData queries: typed, escaped, with the headers that they need.

use std::borrow::Cow;
use std::fmt::Write as _;

use entra_core::{ClientId, ObjectId};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use url::form_urlencoded;
use uuid::Uuid;

/// What to ask a listing for.
///
/// Whatever Graph counts as an advanced query (Microsoft Learn, "Advanced query capabilities on
/// Microsoft Entra ID objects") gets `ConsistencyLevel: eventual` and `$count=true` without being
/// asked for it, on each page.
///
/// ```
/// use entra_graph::{Filter, Query};
///
/// let query = Query::new()
///     .select(["id", "displayName"])
///     .filter(Filter::eq("accountEnabled", true).and(Filter::starts_with("displayName", "O'N")))
///     .top(10);
/// assert_eq!(
///     query.to_query().as_deref(),
///     Some("$select=id,displayName&$filter=accountEnabled%20eq%20true%20and%20\
///           startswith%28displayName%2C%27O%27%27N%27%29&$top=10"),
/// );
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    select: Vec<Cow<'static, str>>,
    filter: Option<Filter>,
    search: Vec<String>,
    order_by: Vec<(&'static str, Order)>,
    expand: Vec<&'static str>,
    top: Option<u16>,
    count: bool,
    eventual: bool,
}

impl Query {
    /// A query that asks for everything that the call reads by default.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads these properties, instead of the default ones.
    #[must_use]
    pub fn select<S: Into<Cow<'static, str>>>(
        mut self,
        properties: impl IntoIterator<Item = S>,
    ) -> Self {
        self.select = properties.into_iter().map(Into::into).collect();
        self
    }

    /// Reads only what the filter lets through.
    #[must_use]
    pub fn filter(mut self, filter: Filter) -> Self {
        self.filter = Some(filter);
        self
    }

    /// Reads only what has a word that begins with `text` in `property`. Several searches must all
    /// match.
    #[must_use]
    pub fn search(mut self, property: &'static str, text: &str) -> Self {
        let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
        self.search.push(format!("\"{property}:{escaped}\""));
        self
    }

    /// Sorts by this property.
    #[must_use]
    pub fn order_by(mut self, property: &'static str, order: Order) -> Self {
        self.order_by.push((property, order));
        self
    }

    /// Reads related objects along; Graph gives up to 20 of them.
    #[must_use]
    pub fn expand(mut self, relationship: &'static str) -> Self {
        self.expand.push(relationship);
        self
    }

    /// Asks for up to `size` objects a page. Graph allows from 1 to 999.
    #[must_use]
    pub fn top(mut self, size: u16) -> Self {
        self.top = Some(size.clamp(1, 999));
        self
    }

    /// Asks how many there are: see [`Pages::count`](crate::Pages::count).
    #[must_use]
    pub fn count(mut self) -> Self {
        self.count = true;
        self
    }

    /// Whether it needs `ConsistencyLevel: eventual`.
    pub fn is_advanced(&self) -> bool {
        let sorted_filter = self.filter.is_some() && !self.order_by.is_empty();
        self.eventual
            || self.count
            || sorted_filter
            || !self.search.is_empty()
            || self.filter.as_ref().is_some_and(|filter| filter.advanced)
    }

    /// The query as it stands in the URL, percent-encoded.
    pub fn to_query(&self) -> Option<String> {
        let mut parts = Vec::new();
        if !self.select.is_empty() {
            parts.push(format!(
                "$select={}",
                list(self.select.iter().map(AsRef::as_ref))
            ));
        }
        if !self.expand.is_empty() {
            parts.push(format!("$expand={}", list(self.expand.iter().copied())));
        }
        if let Some(filter) = &self.filter {
            parts.push(format!("$filter={}", encode(&filter.text)));
        }
        if !self.search.is_empty() {
            parts.push(format!("$search={}", encode(&self.search.join(" AND "))));
        }
        if !self.order_by.is_empty() {
            let orders = self.order_by.iter().map(|(property, order)| match order {
                Order::Ascending => (*property).to_owned(),
                Order::Descending => format!("{property} desc"),
            });
            parts.push(format!("$orderby={}", list(orders)));
        }
        if let Some(top) = self.top {
            parts.push(format!("$top={top}"));
        }
        if self.is_advanced() {
            parts.push("$count=true".to_owned());
        }
        (!parts.is_empty()).then(|| parts.join("&"))
    }

    /// The properties that the noun reads by default, where the query names none.
    pub(crate) fn or_select(mut self, defaults: &[&'static str]) -> Self {
        if self.select.is_empty() {
            self.select = defaults.iter().map(|name| Cow::Borrowed(*name)).collect();
        }
        self
    }

    /// Makes it an advanced query: some paths ask for it.
    pub(crate) fn eventual(mut self) -> Self {
        self.eventual = true;
        self
    }
}

/// The direction of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Order {
    /// From small to large.
    Ascending,
    /// From large to small.
    Descending,
}

/// A condition on properties (OData 4.01 Part 2, 5.1.1).
///
/// Properties are names in the program; values are literals that are escaped here, so that a
/// display name with a quote changes nothing but what is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    text: String,
    /// Whether an `or` stands at the top, which binds less than `and`.
    is_or: bool,
    advanced: bool,
}

impl Filter {
    /// The property has this value.
    pub fn eq(property: &'static str, value: impl Into<Literal>) -> Self {
        Self::compare(property, "eq", value.into())
    }

    /// The property has another value.
    pub fn ne(property: &'static str, value: impl Into<Literal>) -> Self {
        Self {
            advanced: true,
            ..Self::compare(property, "ne", value.into())
        }
    }

    /// The property is at least this.
    pub fn ge(property: &'static str, value: impl Into<Literal>) -> Self {
        Self::compare(property, "ge", value.into())
    }

    /// The property is at most this.
    pub fn le(property: &'static str, value: impl Into<Literal>) -> Self {
        Self::compare(property, "le", value.into())
    }

    /// The property begins with this text.
    pub fn starts_with(property: &'static str, value: impl Into<String>) -> Self {
        Self::atom(format!(
            "startswith({property},{})",
            Literal::String(value.into()).text()
        ))
    }

    /// The property ends with this text.
    pub fn ends_with(property: &'static str, value: impl Into<String>) -> Self {
        let value = Literal::String(value.into()).text();
        Self {
            advanced: true,
            ..Self::atom(format!("endswith({property},{value})"))
        }
    }

    /// The collection contains this value.
    pub fn any(collection: &'static str, value: impl Into<Literal>) -> Self {
        Self::atom(format!("{collection}/any(x:x eq {})", value.into().text()))
    }

    /// The property has one of these values.
    pub fn one_of<L: Into<Literal>>(
        property: &'static str,
        values: impl IntoIterator<Item = L>,
    ) -> Self {
        let values: Vec<_> = values
            .into_iter()
            .map(|value| value.into().text())
            .collect();
        Self::atom(format!("{property} in ({})", values.join(",")))
    }

    /// Both hold.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            advanced: self.advanced || other.advanced,
            text: format!("{} and {}", self.grouped(), other.grouped()),
            is_or: false,
        }
    }

    /// One of them holds.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            advanced: self.advanced || other.advanced,
            text: format!("{} or {}", self.text, other.text),
            is_or: true,
        }
    }

    /// It does not hold.
    #[must_use]
    #[expect(
        clippy::should_implement_trait,
        reason = "a filter reads as OData: eq, and, or, not"
    )]
    pub fn not(self) -> Self {
        Self {
            advanced: true,
            ..Self::atom(format!("not({})", self.text))
        }
    }

    /// The condition as OData text, not percent-encoded.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    fn compare(property: &str, operator: &str, value: Literal) -> Self {
        Self::atom(format!("{property} {operator} {}", value.text()))
    }

    fn atom(text: String) -> Self {
        Self {
            text,
            is_or: false,
            advanced: false,
        }
    }

    fn grouped(&self) -> Cow<'_, str> {
        if self.is_or {
            format!("({})", self.text).into()
        } else {
            Cow::Borrowed(&self.text)
        }
    }
}

/// A value in a filter.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Literal {
    /// A text. Ids of directory objects and apps are texts to Graph as well.
    String(String),
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// A GUID where Graph has the type `Edm.Guid`, `appRoleId` for example.
    Guid(Uuid),
    /// A moment.
    DateTime(OffsetDateTime),
    /// No value.
    Null,
}

impl Literal {
    fn text(&self) -> String {
        match self {
            Self::String(text) => format!("'{}'", text.replace('\'', "''")),
            Self::Bool(value) => value.to_string(),
            Self::Integer(value) => value.to_string(),
            Self::Guid(value) => value.to_string(),
            // Only years beyond 9999 cannot be written, and Graph has none.
            Self::DateTime(value) => value
                .to_offset(time::UtcOffset::UTC)
                .format(&Rfc3339)
                .unwrap_or_else(|_| "null".to_owned()),
            Self::Null => "null".to_owned(),
        }
    }
}

/// Declares what may stand for a literal.
macro_rules! literal {
    ($($from:ty => $make:expr,)*) => {
        $(impl From<$from> for Literal {
            fn from(value: $from) -> Self {
                $make(value)
            }
        })*
    };
}

literal! {
    String => Self::String,
    &str => |value: &str| Self::String(value.to_owned()),
    bool => Self::Bool,
    i64 => Self::Integer,
    Uuid => Self::Guid,
    OffsetDateTime => Self::DateTime,
    ClientId => |value: ClientId| Self::String(value.to_string()),
    ObjectId => |value: ObjectId| Self::String(value.to_string()),
}

/// Items with commas between them; the commas stay as they are.
fn list<S: AsRef<str>>(items: impl Iterator<Item = S>) -> String {
    let mut text = String::new();
    for item in items {
        let separator = if text.is_empty() { "" } else { "," };
        // Writing to a String does not fail.
        let _ = write!(text, "{separator}{}", encode(item.as_ref()));
    }
    text
}

/// Percent-encodes a value, a space as `%20`: a plus is a plus to some of Graph's services.
pub(crate) fn encode(text: &str) -> String {
    let encoded: String = form_urlencoded::byte_serialize(text.as_bytes()).collect();
    encoded.replace('+', "%20")
}

/// A key in parentheses, as `applications(appId='…')` has it.
pub(crate) fn alternate_key(collection: &str, name: &str, value: &str) -> String {
    format!(
        "{collection}({name}={})",
        Literal::String(value.to_owned()).text()
    )
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn literals_are_escaped_and_typed() {
        let id = Uuid::from_u128(1);
        for (filter, expected) in [
            (
                Filter::eq("displayName", "O'Neil' or 1 eq 1"),
                "displayName eq 'O''Neil'' or 1 eq 1'",
            ),
            (
                Filter::eq("accountEnabled", false),
                "accountEnabled eq false",
            ),
            (Filter::eq("mail", Literal::Null), "mail eq null"),
            (
                Filter::eq("appRoleId", id),
                "appRoleId eq 00000000-0000-0000-0000-000000000001",
            ),
            (
                Filter::eq("id", ObjectId::from(id)),
                "id eq '00000000-0000-0000-0000-000000000001'",
            ),
            (
                Filter::ge("createdDateTime", datetime!(2026-01-02 03:04:05 +02:00)),
                "createdDateTime ge 2026-01-02T01:04:05Z",
            ),
            (
                Filter::any("identifierUris", "api://a"),
                "identifierUris/any(x:x eq 'api://a')",
            ),
            (Filter::one_of("id", ["a", "b"]), "id in ('a','b')"),
        ] {
            assert_eq!(filter.as_str(), expected);
        }
    }

    #[test]
    fn an_or_within_an_and_is_grouped() {
        let (a, b, c) = (
            Filter::eq("a", "1"),
            Filter::eq("b", "2"),
            Filter::eq("c", "3"),
        );
        assert_eq!(
            a.clone().or(b.clone()).and(c.clone()).as_str(),
            "(a eq '1' or b eq '2') and c eq '3'"
        );
        assert_eq!(a.and(b).or(c).as_str(), "a eq '1' and b eq '2' or c eq '3'");
    }

    #[test]
    fn advanced_queries_are_recognised_and_ask_for_a_count() {
        let by_name = Filter::eq("displayName", "a");
        for (query, advanced) in [
            (Query::new().filter(by_name.clone()), false),
            (
                Query::new().order_by("displayName", Order::Ascending),
                false,
            ),
            (
                Query::new()
                    .filter(by_name.clone())
                    .order_by("displayName", Order::Descending),
                true,
            ),
            (Query::new().filter(Filter::ne("displayName", "a")), true),
            (
                Query::new().filter(by_name.clone().and(Filter::ends_with("mail", "x"))),
                true,
            ),
            (Query::new().filter(by_name.not()), true),
            (Query::new().search("displayName", "a"), true),
            (Query::new().count(), true),
        ] {
            let text = query.to_query().unwrap();
            assert_eq!(query.is_advanced(), advanced, "{text}");
            assert_eq!(text.contains("$count=true"), advanced, "{text}");
        }
    }

    #[test]
    fn reserved_characters_are_percent_encoded() {
        let query = Query::new().filter(Filter::eq("displayName", "R&D + Ö#1"));
        assert_eq!(
            query.to_query().unwrap(),
            "$filter=displayName%20eq%20%27R%26D%20%2B%20%C3%96%231%27"
        );
        let query = Query::new().search("displayName", r#"a"b\c"#);
        assert_eq!(
            query.to_query().unwrap(),
            "$search=%22displayName%3Aa%5C%22b%5C%5Cc%22&$count=true"
        );
    }

    #[test]
    fn a_page_has_at_most_999_objects() {
        assert_eq!(Query::new().top(5000).to_query().unwrap(), "$top=999");
        assert_eq!(Query::new().to_query(), None);
    }
}
