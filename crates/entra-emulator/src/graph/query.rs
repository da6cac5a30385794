//! The query options of a call (OData 4.01 part 2, section 5; Learn, "Use query parameters to
//! customize responses"). What is not known is refused: a client must learn of its mistake.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use url::form_urlencoded;

use super::error::GraphError;
use super::filter::Filter;

/// The query options of a call.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query {
    pub(crate) select: Option<Vec<String>>,
    pub(crate) filter: Option<Filter>,
    pub(crate) top: Option<usize>,
    pub(crate) count: bool,
    pub(crate) search: Option<Search>,
    /// Property and whether descending.
    pub(crate) order_by: Vec<(String, bool)>,
    pub(crate) expand: Vec<String>,
    pub(crate) position: Option<Position>,
    /// All but `$skiptoken`, as they came: the next link repeats them.
    repeated: Vec<(String, String)>,
}

/// Where a listing goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Position {
    /// The last object of the page before.
    pub(crate) after: String,
    /// Its place, in case it was deleted since.
    pub(crate) at: usize,
}

/// `$search`: alternatives of clauses that all have to match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Search {
    /// Property and text, in lower case.
    pub(crate) alternatives: Vec<Vec<(String, String)>>,
}

impl Query {
    /// Reads the query of a URL.
    pub(crate) fn parse(text: &str) -> Result<Self, GraphError> {
        let mut query = Self::default();
        for (name, value) in form_urlencoded::parse(text.as_bytes()) {
            // Learn: on v1.0 the `$` is optional.
            let option = name.trim_start_matches('$').to_ascii_lowercase();
            match option.as_str() {
                "select" => query.select = Some(names(&value)),
                "filter" => query.filter = Some(Filter::parse(&value)?),
                "top" => query.top = Some(top(&value)?),
                "count" => query.count = flag(&value)?,
                "search" => query.search = Some(Search::parse(&value)?),
                "orderby" => query.order_by = order_by(&value)?,
                "expand" => query.expand = names(&value),
                "skiptoken" => query.position = Some(Position::decode(&value)?),
                _ => {
                    return Err(GraphError::malformed(format!(
                        "The query parameter '{name}' is not supported."
                    )));
                }
            }
            if option != "skiptoken" {
                query.repeated.push((name.into_owned(), value.into_owned()));
            }
        }
        Ok(query)
    }

    /// The query of the next page.
    pub(crate) fn next(&self, position: &Position) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(&self.repeated);
        query.append_pair("$skiptoken", &position.encode());
        query.finish()
    }

    /// Refuses what has no meaning for one object.
    pub(crate) fn check_single(&self) -> Result<(), GraphError> {
        let stray = [
            ("$filter", self.filter.is_some()),
            ("$top", self.top.is_some()),
            ("$count", self.count),
            ("$search", self.search.is_some()),
            ("$orderby", !self.order_by.is_empty()),
            ("$skiptoken", self.position.is_some()),
        ]
        .into_iter()
        .find(|(_, is_there)| *is_there);
        match stray {
            None => Ok(()),
            Some((name, _)) => Err(GraphError::malformed(format!(
                "Query option '{name}' is not allowed here: it can only be applied to collections."
            ))),
        }
    }
}

impl Position {
    fn encode(&self) -> String {
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).unwrap_or_default())
    }

    fn decode(text: &str) -> Result<Self, GraphError> {
        URL_SAFE_NO_PAD
            .decode(text)
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .ok_or_else(|| {
                GraphError::new(
                    http::StatusCode::BAD_REQUEST,
                    "Directory_ExpiredPageToken",
                    "The specified page token value has expired and can no longer be included \
                     in your request.",
                )
            })
    }
}

impl Search {
    /// `"displayName:ada" AND "mail:x"`: AND binds before OR.
    fn parse(text: &str) -> Result<Self, GraphError> {
        let mut alternatives = vec![Vec::new()];
        let mut rest = text.trim();
        loop {
            let (clause, tail) = Self::clause(rest)?;
            if let Some(last) = alternatives.last_mut() {
                last.push(clause);
            }
            rest = tail.trim_start();
            if let Some(tail) = rest.strip_prefix("AND ") {
                rest = tail.trim_start();
            } else if let Some(tail) = rest.strip_prefix("OR ") {
                rest = tail.trim_start();
                alternatives.push(Vec::new());
            } else if rest.is_empty() {
                return Ok(Self { alternatives });
            } else {
                return Err(Self::refusal(rest));
            }
        }
    }

    fn clause(text: &str) -> Result<((String, String), &str), GraphError> {
        text.strip_prefix('"')
            .and_then(|rest| rest.split_once('"'))
            .and_then(|(clause, tail)| {
                let (property, text) = clause.split_once(':')?;
                Some((
                    (property.trim().to_owned(), text.trim().to_lowercase()),
                    tail,
                ))
            })
            .ok_or_else(|| Self::refusal(text))
    }

    fn refusal(near: &str) -> GraphError {
        GraphError::malformed(format!(
            "Invalid $search clause near '{near}': each clause has the form \
             \"property:text\", in quotes."
        ))
    }
}

fn names(value: &str) -> Vec<String> {
    value
        .split(',')
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .collect()
}

fn top(value: &str) -> Result<usize, GraphError> {
    match value.parse() {
        Ok(top @ 1..=MAX_PAGE) => Ok(top),
        _ => Err(GraphError::unsupported_query(format!(
            "Invalid page size specified: '{value}'. Must be between 1 and {MAX_PAGE} inclusive."
        ))),
    }
}

fn flag(value: &str) -> Result<bool, GraphError> {
    value.to_ascii_lowercase().parse().map_err(|_| {
        GraphError::malformed(format!(
            "Invalid value '{value}' for $count: true or false."
        ))
    })
}

fn order_by(value: &str) -> Result<Vec<(String, bool)>, GraphError> {
    names(value)
        .into_iter()
        .map(|clause| match clause.split_once(' ') {
            None => Ok((clause, false)),
            Some((name, "asc")) => Ok((name.to_owned(), false)),
            Some((name, "desc")) => Ok((name.to_owned(), true)),
            Some(_) => Err(GraphError::malformed(format!(
                "Invalid $orderby clause '{clause}'."
            ))),
        })
        .collect()
}

/// Learn, "List users": the largest page.
const MAX_PAGE: usize = 999;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_link_repeats_the_query() {
        let query = Query::parse("$select=id,mail&%24top=5&$skiptoken=").unwrap_err();
        assert_eq!(query.code, "Directory_ExpiredPageToken");
        let query = Query::parse("$select=id,mail&%24top=5").unwrap();
        let position = Position {
            after: "x".into(),
            at: 5,
        };
        let next = query.next(&position);
        assert!(next.starts_with("%24select=id%2Cmail&%24top=5&%24skiptoken="));
        assert_eq!(Query::parse(&next).unwrap().position, Some(position));
    }

    #[test]
    fn unknown_options_and_values_are_refused() {
        for (query, expected) in [
            ("$skip=3", "The query parameter '$skip' is not supported."),
            (
                "api-version=1",
                "The query parameter 'api-version' is not supported.",
            ),
            (
                "$top=0",
                "Invalid page size specified: '0'. Must be between 1 and 999 inclusive.",
            ),
            (
                "$top=1000",
                "Invalid page size specified: '1000'. Must be between 1 and 999 inclusive.",
            ),
            (
                "$count=yes",
                "Invalid value 'yes' for $count: true or false.",
            ),
            ("$orderby=a up", "Invalid $orderby clause 'a up'."),
            (
                "$search=ada",
                "Invalid $search clause near 'ada': each clause has the form \"property:text\", in quotes.",
            ),
        ] {
            assert_eq!(Query::parse(query).unwrap_err().message, expected);
        }
    }

    #[test]
    fn a_search_is_alternatives_of_clauses() {
        let query = "$search=\"displayName:Ada\" AND \"mail:a@\" OR \"displayName:Bob\"";
        let search = Query::parse(query).unwrap().search.unwrap();
        let clause = |property: &str, text: &str| (property.to_owned(), text.to_owned());
        assert_eq!(
            search.alternatives,
            [
                vec![clause("displayName", "ada"), clause("mail", "a@")],
                vec![clause("displayName", "bob")],
            ]
        );
    }
}
