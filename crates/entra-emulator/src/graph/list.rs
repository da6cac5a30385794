//! Collections: filter, search, sort, count and page (Learn, "Advanced query capabilities on
//! Microsoft Entra ID objects", "Paging Microsoft Graph data in your app").
//!
//! A page of a large collection costs what the page costs: rows before it are skipped by their
//! place, objects are looked at in place, and only those of the page are copied.

use std::cmp::Ordering;

use indexmap::IndexMap;
use serde_json::{Value, json};

use super::error::GraphError;
use super::filter::order;
use super::noun::Noun;
use super::query::{Position, Search};
use super::{Answer, Exchange};
use crate::tenant::{Glance, Kind, Object, Row, Tenant, text_of};

/// What a collection consists of.
pub(crate) enum Rows<'a> {
    /// All objects of a kind.
    Table(Kind, Option<&'a IndexMap<String, Row>>),
    /// These.
    Some(Kind, Vec<&'a Object>),
    /// These, of several kinds; the type that they have in common is `directoryObject`.
    Mixed(Vec<(Kind, &'a Object)>),
}

impl<'a> Rows<'a> {
    /// The objects that these references lead to, as a reader sees them.
    pub(crate) fn linked(tenant: &'a Tenant, glance: &Glance, ids: Vec<(Kind, &str)>) -> Self {
        Self::Mixed(
            ids.into_iter()
                .filter_map(|(kind, id)| Some((kind, tenant.seen(kind, id, glance)?)))
                .collect(),
        )
    }

    fn place_after(&self, position: Option<&Position>) -> usize {
        let Some(position) = position else {
            return 0;
        };
        let is_last = |object: &Object| text_of(object, "id") == position.after;
        match self {
            Self::Table(_, rows) => rows.and_then(|rows| rows.get_index_of(&position.after)),
            Self::Some(_, objects) => objects.iter().position(|object| is_last(object)),
            Self::Mixed(objects) => objects.iter().position(|(_, object)| is_last(object)),
        }
        .map_or(position.at, |place| place + 1)
    }

    fn from(&self, start: usize, glance: &Glance) -> Box<dyn Iterator<Item = Found<'a>> + '_> {
        match self {
            Self::Table(kind, rows) => {
                let (kind, glance) = (*kind, glance.clone());
                let rows = rows.and_then(|rows| rows.get_range(start..));
                Box::new(
                    rows.into_iter()
                        .flat_map(|rows| rows.values())
                        .enumerate()
                        .filter_map(move |(place, row)| {
                            let object = row.seen(kind, &glance)?;
                            Some((start + place, kind, object))
                        }),
                )
            }
            Self::Some(kind, objects) => Box::new(
                objects
                    .iter()
                    .enumerate()
                    .skip(start)
                    .map(|(place, object)| (place, *kind, *object)),
            ),
            Self::Mixed(objects) => Box::new(
                objects
                    .iter()
                    .enumerate()
                    .skip(start)
                    .map(|(place, (kind, object))| (place, *kind, *object)),
            ),
        }
    }
}

type Found<'a> = (usize, Kind, &'a Object);

/// Answers a collection.
pub(crate) fn answer(exchange: &Exchange<'_>, rows: &Rows<'_>) -> Result<Answer, GraphError> {
    let rows = &cast(exchange, rows)?;
    let noun = noun_of(exchange, rows);
    check(exchange, rows, noun)?;
    let query = &exchange.query;
    if exchange.counts_only {
        let count = matching(exchange, rows, 0).count();
        return Ok(Answer::Text(count.to_string()));
    }
    let size = query.top.unwrap_or(DEFAULT_PAGE);
    let (page, next) = if query.order_by.is_empty() {
        let start = rows.place_after(query.position.as_ref());
        page_of(matching(exchange, rows, start), size)
    } else {
        let sorted = sorted(exchange, rows);
        let start = sorted_place(&sorted, query.position.as_ref());
        let found = sorted.into_iter().enumerate().skip(start);
        page_of(
            found.map(|(place, (_, kind, object))| (place, kind, object)),
            size,
        )
    };
    let mut body = serde_json::Map::new();
    body.insert("@odata.context".to_owned(), json!(context(exchange, noun)));
    if query.count {
        let count = matching(exchange, rows, 0).count();
        body.insert("@odata.count".to_owned(), json!(count));
    }
    if let Some(position) = next {
        let link = exchange.link(&query.next(&position));
        body.insert("@odata.nextLink".to_owned(), json!(link));
    }
    let values: Result<Vec<Value>, GraphError> = page
        .into_iter()
        .map(|(_, kind, object)| item(exchange, kind, object, noun.is_none()))
        .collect();
    body.insert("value".to_owned(), Value::Array(values?));
    Ok(Answer::Object(body))
}

/// One object within a collection, with what `$expand` adds.
fn item(
    exchange: &Exchange<'_>,
    kind: Kind,
    object: &Object,
    mixed: bool,
) -> Result<Value, GraphError> {
    let select = exchange.query.select.as_deref();
    let mut shown = if mixed {
        referred(exchange, kind, object, select)
    } else {
        Noun::of(kind).project(object, select, false)
    };
    super::expand::add(exchange, kind, object, &mut shown)?;
    Ok(Value::Object(shown))
}

/// An object to which another refers, with its type. Of one that the caller may not read only the
/// id is told (Learn, "Overview of Microsoft Graph permissions", limited information returned
/// for inaccessible member objects).
pub(crate) fn referred(
    exchange: &Exchange<'_>,
    kind: Kind,
    object: &Object,
    select: Option<&[String]>,
) -> Object {
    let noun = Noun::of(kind);
    let mut shown = noun.project(object, select, false);
    if !exchange.may_read(kind) {
        for (name, value) in &mut shown {
            if name != "id" {
                *value = Value::Null;
            }
        }
    }
    shown.insert("@odata.type".to_owned(), json!(noun.odata_type()));
    shown
}

fn page_of<'a>(
    found: impl Iterator<Item = Found<'a>>,
    size: usize,
) -> (Vec<Found<'a>>, Option<Position>) {
    let mut page: Vec<Found<'a>> = found.take(size + 1).collect();
    if page.len() <= size {
        return (page, None);
    }
    page.pop();
    let position = page.last().map(|(place, _, object)| Position {
        after: text_of(object, "id").to_owned(),
        at: place + 1,
    });
    (page, position)
}

fn matching<'a>(
    exchange: &'a Exchange<'_>,
    rows: &'a Rows<'a>,
    start: usize,
) -> impl Iterator<Item = Found<'a>> {
    let query = &exchange.query;
    rows.from(start, &exchange.glance)
        .filter(move |(_, kind, object)| {
            let noun = Noun::of(*kind);
            query
                .filter
                .as_ref()
                .is_none_or(|filter| filter.holds(noun, object))
                && query
                    .search
                    .as_ref()
                    .is_none_or(|search| finds(search, object))
        })
}

fn sorted<'a>(exchange: &'a Exchange<'_>, rows: &'a Rows<'a>) -> Vec<Found<'a>> {
    let mut found: Vec<Found<'a>> = matching(exchange, rows, 0).collect();
    found.sort_by(|(_, _, left), (_, _, right)| {
        let keys = &exchange.query.order_by;
        keys.iter()
            .map(|(name, descending)| {
                let value = |object: &Object| object.get(name).cloned().unwrap_or_default();
                let (left, right) = (value(left), value(right));
                // Null comes first, as in Edm.
                let order =
                    order(&left, &right).unwrap_or_else(|| right.is_null().cmp(&left.is_null()));
                if *descending { order.reverse() } else { order }
            })
            .find(|order| *order != Ordering::Equal)
            .unwrap_or(Ordering::Equal)
    });
    found
}

fn sorted_place(sorted: &[Found<'_>], position: Option<&Position>) -> usize {
    let Some(position) = position else {
        return 0;
    };
    sorted
        .iter()
        .position(|(_, _, object)| text_of(object, "id") == position.after)
        .map_or(position.at, |place| place + 1)
}

/// Learn, "Use the $search query parameter in Microsoft Graph", directory objects: names are
/// searched by words, all else by its start.
fn finds(search: &Search, object: &Object) -> bool {
    search.alternatives.iter().any(|clauses| {
        clauses.iter().all(|(property, wanted)| {
            let text = text_of(object, property).to_lowercase();
            if property == "displayName" || property == "description" {
                let mut words = text.split(|c: char| !c.is_alphanumeric());
                text.starts_with(wanted) || words.any(|word| word.starts_with(wanted))
            } else {
                text.starts_with(wanted)
            }
        })
    })
}

/// Narrows to the type at the end of the path.
fn cast<'a>(exchange: &Exchange<'_>, rows: &Rows<'a>) -> Result<Rows<'a>, GraphError> {
    match (rows, exchange.cast.as_deref()) {
        (Rows::Table(kind, rows), None) => Ok(Rows::Table(*kind, *rows)),
        (Rows::Some(kind, objects), None) => Ok(Rows::Some(*kind, objects.clone())),
        (Rows::Mixed(objects), None) => Ok(Rows::Mixed(objects.clone())),
        (Rows::Mixed(objects), Some(name)) => {
            let kind = Kind::DIRECTORY_OBJECTS
                .into_iter()
                .find(|kind| Noun::of(*kind).type_name == name)
                .ok_or_else(|| GraphError::no_segment(name))?;
            let objects = objects.iter().filter(|(of, _)| *of == kind);
            Ok(Rows::Some(
                kind,
                objects.map(|(_, object)| *object).collect(),
            ))
        }
        (_, Some(name)) => Err(GraphError::no_segment(name)),
    }
}

fn noun_of(exchange: &Exchange<'_>, rows: &Rows<'_>) -> Option<&'static Noun> {
    match (rows, exchange.cast.is_some()) {
        (Rows::Table(kind, _) | Rows::Some(kind, _), _) => Some(Noun::of(*kind)),
        (Rows::Mixed(_), _) => None,
    }
}

fn check(exchange: &Exchange<'_>, rows: &Rows<'_>, noun: Option<&Noun>) -> Result<(), GraphError> {
    let query = &exchange.query;
    if let Some(noun) = noun {
        noun.check_select(query.select.as_deref().unwrap_or_default())?;
        query
            .filter
            .iter()
            .try_for_each(|filter| filter.check(noun))?;
        let searched = query.search.iter().flat_map(|search| &search.alternatives);
        let searched = searched.flatten().map(|(name, _)| name);
        let names = searched.chain(query.order_by.iter().map(|(name, _)| name));
        for name in names {
            if noun.property(name).is_none() {
                return Err(GraphError::malformed(format!(
                    "Could not find a property named '{name}' on type 'microsoft.graph.{}'.",
                    noun.type_name
                )));
            }
        }
    } else if query.filter.is_some() || query.search.is_some() || !query.order_by.is_empty() {
        return Err(GraphError::unsupported_query(
            "The query is supported on a collection of one type only: end the path in a type, as \
             in /microsoft.graph.user.",
        ));
    }
    let directory = match rows {
        Rows::Table(kind, _) | Rows::Some(kind, _) => Kind::DIRECTORY_OBJECTS.contains(kind),
        Rows::Mixed(_) => true,
    };
    if directory {
        check_advanced(exchange)
    } else {
        Ok(())
    }
}

/// What the directory's index answers only with `ConsistencyLevel: eventual` and `$count=true`.
fn check_advanced(exchange: &Exchange<'_>) -> Result<(), GraphError> {
    let query = &exchange.query;
    let eventual = exchange
        .headers
        .get("ConsistencyLevel")
        .is_some_and(|level| level.as_bytes().eq_ignore_ascii_case(b"eventual"));
    if query.search.is_some() && !eventual {
        return Err(GraphError::unsupported_query(
            "Request with $search query parameter only works through MSGraph with a special \
             request header: 'ConsistencyLevel: eventual'",
        ));
    }
    if (query.count || exchange.counts_only) && !eventual {
        return Err(GraphError::unsupported_query(
            "$count is not currently supported without the 'ConsistencyLevel:eventual' header. \
             Refer to https://aka.ms/graph-docs/advanced-queries for more information",
        ));
    }
    let counted = query.count || exchange.counts_only || query.search.is_some();
    if eventual && counted {
        return Ok(());
    }
    if let Some(operator) = query
        .filter
        .as_ref()
        .and_then(|filter| filter.advanced_operator())
    {
        return Err(GraphError::unsupported_query(format!(
            "Operator: '{operator}' is not supported because the 'ConsistencyLevel:eventual' \
             header or '$count=true' is missing. Refer to \
             https://aka.ms/graph-docs/advanced-queries for more information"
        )));
    }
    let sorts_otherwise = query
        .order_by
        .iter()
        .any(|(name, _)| name != "displayName" && name != "userPrincipalName");
    if !query.order_by.is_empty() && (query.filter.is_some() || sorts_otherwise) {
        return Err(GraphError::unsupported_query(
            "Sorting not supported for current query.",
        ));
    }
    Ok(())
}

fn context(exchange: &Exchange<'_>, noun: Option<&Noun>) -> String {
    let set = noun.map_or("directoryObjects", |noun| noun.set);
    exchange.context(set, &exchange.query, false)
}

/// Learn, "List users": without `$top`.
const DEFAULT_PAGE: usize = 100;

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::graph::testing::{Desk, values};
    use crate::seed::Seed;

    const EVENTUAL: (&str, &str) = ("ConsistencyLevel", "eventual");

    fn large(users: usize) -> Desk {
        Desk::with(Seed::new().with_users(users))
    }

    #[test]
    fn pages_lead_through_a_whole_collection_once() {
        let mut desk = large(250);
        let mut path = "/users?$select=id&$top=99".to_owned();
        let mut ids = Vec::new();
        loop {
            let page = desk.ok("GET", &path, Value::Null);
            ids.extend(values(&page, "id"));
            match page["@odata.nextLink"].as_str() {
                Some(link) => {
                    path = link
                        .strip_prefix("https://graph.test/v1.0")
                        .unwrap()
                        .to_owned();
                }
                None => break,
            }
        }
        assert_eq!(ids.len(), 250);
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 250);
    }

    #[test]
    fn a_page_goes_on_after_its_last_object_even_if_others_were_deleted() {
        let mut desk = Desk::new();
        let first = desk.ok("GET", "/users?$top=10&$select=id", Value::Null);
        let before = values(&first, "id");
        desk.ok("DELETE", &format!("/users/{}", before[0]), Value::Null);
        let link = first["@odata.nextLink"].as_str().unwrap();
        let path = link.strip_prefix("https://graph.test/v1.0").unwrap();
        let second = desk.ok("GET", path, Value::Null);
        let all = desk.ok("GET", "/users?$top=999&$select=id", Value::Null);
        assert_eq!(values(&second, "id")[0], values(&all, "id")[9]);
    }

    #[test]
    fn a_page_has_a_hundred_objects_unless_asked_otherwise() {
        let mut desk = large(250);
        let page = desk.ok("GET", "/users", Value::Null);
        assert_eq!(values(&page, "id").len(), 100);
        let text = page.to_string();
        assert!(text.find("@odata.nextLink") < text.find("\"value\""));
    }

    #[test]
    fn what_needs_an_advanced_query_is_refused_without_one() {
        let mut desk = Desk::new();
        let paths = [
            "/users?$filter=userType ne 'Guest'",
            "/users?$filter=not(startswith(mail,'a'))",
            "/users?$filter=endswith(mail,'.example')",
            "/users?$search=\"displayName:mara\"",
            "/users?$count=true",
            "/users/$count",
            "/users?$orderby=jobTitle",
            "/users?$orderby=displayName&$filter=accountEnabled eq true",
        ];
        for path in paths {
            let (status, code, _) = desk.refusal("GET", path, Value::Null);
            assert_eq!(
                (status, code.as_str()),
                (400, "Request_UnsupportedQuery"),
                "{path}"
            );
        }
        desk.headers = vec![EVENTUAL];
        for path in paths {
            let join = if path.contains('?') { "&" } else { "?" };
            let path = [path, join, "$count=true"].concat();
            if !path.contains("$count=true&$count") {
                assert_eq!(desk.get(&path).0, 200, "{path}");
            }
        }
        let (status, _) = desk.get("/users?$filter=userType ne 'Guest'");
        assert_eq!(status, 400);
    }

    #[test]
    fn counts_searches_and_orders_are_right() {
        let mut desk = Desk::new();
        desk.headers = vec![EVENTUAL];
        assert_eq!(desk.get("/users/$count").1, json!(40));
        let path = "/users?$count=true&$top=1&$filter=userType eq 'Guest'";
        assert_eq!(desk.ok("GET", path, Value::Null)["@odata.count"], 4);
        for search in ["mara", "lind", "MARA"] {
            let path = format!("/users?$search=\"displayName:{search}\"");
            let found = desk.ok("GET", &path, Value::Null);
            assert_eq!(values(&found, "displayName"), ["Mara Lindqvist"]);
        }
        let path = "/users?$orderby=displayName desc&$top=2";
        let page = desk.ok("GET", path, Value::Null);
        assert_eq!(
            values(&page, "displayName"),
            ["Zoe Papadaki", "Yara Haddad"]
        );
        let link = page["@odata.nextLink"].as_str().unwrap();
        let path = link.strip_prefix("https://graph.test/v1.0").unwrap();
        let page = desk.ok("GET", path, Value::Null);
        assert_eq!(values(&page, "displayName"), ["Wei Chen", "Victor Lang"]);
    }

    #[test]
    fn mistakes_in_a_query_are_refused_instead_of_answered_with_nothing() {
        let mut desk = Desk::new();
        let user = "/users/mara.lindqvist@alpenglow.example";
        for (path, expected) in [
            (
                "/users?$select=nick",
                "Parsing OData Select and Expand failed: Could not find a property named 'nick' on \
                 type 'microsoft.graph.user'.",
            ),
            (
                "/users?$filter=nick eq 'a'",
                "Invalid filter clause: Could not find a property named 'nick' on type \
                 'microsoft.graph.user'.",
            ),
            (
                "/users?$expand=photos",
                "Parsing OData Select and Expand failed: Could not find a property named 'photos' \
                 on type 'microsoft.graph.user'.",
            ),
            (
                "/users?$skip=1",
                "The query parameter '$skip' is not supported.",
            ),
            ("/peoples", "Resource not found for the segment 'peoples'."),
            (
                &format!("{user}?$top=1"),
                "Query option '$top' is not allowed here: it can only be applied to collections.",
            ),
            (
                "/users/microsoft.graph.group",
                "Resource not found for the segment 'group'.",
            ),
        ] {
            let (status, _, message) = desk.refusal("GET", path, Value::Null);
            assert_eq!((status, message.as_str()), (400, expected));
        }
    }

    #[test]
    fn owners_can_be_expanded() {
        let mut desk = Desk::new();
        let groups = desk.ok("GET", "/groups?$expand=owners&$select=id", Value::Null);
        let owner = &groups["value"][0]["owners"][0];
        assert_eq!(owner["@odata.type"], "#microsoft.graph.user");
        assert_eq!(owner["displayName"], "Mara Lindqvist");
    }
}
