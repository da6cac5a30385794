//! Refusals that a fault orders: every AADSTS code that has a meaning, whatever the request.
//!
//! `data/aadsts.tsv` has the texts of Microsoft Learn, "Microsoft Entra authentication and
//! authorization error codes", or those that users report; statuses, `error` and `suberror` are as
//! users report them for some codes, and by analogy for the rest.

use bytes::Bytes;
use http::{Request, StatusCode};
use serde_json::{Value, json};

use super::Refusal;
use crate::conditional_access::{Unmet, context_number};
use crate::seed::derived_id;

impl Refusal {
    /// Whether there is an answer with this code.
    pub(crate) fn is_known(code: u32) -> bool {
        row(code).is_some()
    }

    /// The answer with this code; the texts name the tenant and the client of the request.
    pub(crate) fn ordered(code: u32, request: &Request<Bytes>) -> Option<Self> {
        let app = client_id(request);
        let [user, resource] = PLACEHOLDERS;
        Self::of_row(
            code,
            &[
                user,
                resource,
                ("{tenant}", tenant(request)),
                ("{app}", &app),
            ],
        )
    }

    /// A policy of Conditional Access is not met.
    pub(crate) fn policy(unmet: &Unmet) -> Self {
        let refusal = Self::of_row(
            unmet.requirement.code(),
            &[("{resource}", unmet.target.as_str())],
        );
        let refusal = refusal.unwrap_or_else(|| Self::outage(StatusCode::SERVICE_UNAVAILABLE));
        let wanted = match context_number(&unmet.target) {
            Some(context) => WantedClaims::Context(context),
            None => refusal.wanted,
        };
        Self { wanted, ..refusal }
    }

    /// `claims`: what a client has to ask for next time.
    pub(crate) fn claims(&self) -> Option<String> {
        self.wanted.request()
    }

    fn of_row(code: u32, placeholders: &[(&str, &str)]) -> Option<Self> {
        let row = row(code)?;
        let text = placeholders
            .iter()
            .fold(row.text.to_owned(), |text, (name, value)| {
                text.replace(name, value)
            });
        Some(Self {
            status: row.status,
            error: row.error,
            suberror: row.suberror,
            code,
            text,
            wanted: match row.suberror {
                Some(name) if POLICY.contains(&name) => WantedClaims::Policy,
                _ => WantedClaims::None,
            },
        })
    }

    /// A user has to sign in to this authentication context (Microsoft Learn, "Developers' guide to
    /// Conditional Access authentication context"). The code is not verified.
    pub(crate) fn authentication_context(context: u8, request: &Request<Bytes>) -> Option<Self> {
        Some(Self {
            wanted: WantedClaims::Context(context),
            ..Self::ordered(50076, request)?
        })
    }
}

/// What a client has to ask for next time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WantedClaims {
    None,
    /// That a policy of Conditional Access is satisfied.
    Policy,
    /// An authentication context.
    Context(u8),
}

impl WantedClaims {
    /// The claims request (OpenID Connect Core 5.5), as text.
    pub(super) fn request(self) -> Option<String> {
        let access_token = match self {
            Self::None => return None,
            Self::Policy => {
                let policy = derived_id(&["conditional access policy"]);
                json!({"capolids": {"essential": true, "values": [policy]}})
            }
            Self::Context(context) => context_claim(context),
        };
        Some(json!({ "access_token": access_token }).to_string())
    }
}

/// What a token has to say of an authentication context, `c1` to `c99`.
pub(crate) fn context_claim(context: u8) -> Value {
    json!({"acrs": {"essential": true, "value": format!("c{context}")}})
}

struct Row {
    status: StatusCode,
    error: &'static str,
    suberror: Option<&'static str>,
    text: &'static str,
}

fn row(code: u32) -> Option<Row> {
    let code = code.to_string();
    let mut columns = TABLE
        .lines()
        .map(|line| line.split('\t'))
        .find_map(|mut columns| (columns.next() == Some(&code)).then_some(columns))?;
    Some(Row {
        status: columns.next()?.parse().ok()?,
        error: columns.next()?,
        suberror: columns.next().filter(|name| *name != "-"),
        text: columns.next()?,
    })
}

/// The first segment of the path.
fn tenant(request: &Request<Bytes>) -> &str {
    let mut segments = request
        .uri()
        .path()
        .split('/')
        .filter(|part| !part.is_empty());
    segments.next().unwrap_or_default()
}

fn client_id(request: &Request<Bytes>) -> String {
    url::form_urlencoded::parse(request.body())
        .find(|(name, _)| name == "client_id")
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default()
}

/// `suberror` where a policy of Conditional Access refuses, whose id the claims name.
const POLICY: [&str; 3] = ["basic_action", "additional_action", "message_only"];

const PLACEHOLDERS: [(&str, &str); 2] = [
    ("{user}", "user@partner.example"),
    ("{resource}", "00000003-0000-0000-c000-000000000000"),
];

const TABLE: &str = include_str!("../../data/aadsts.tsv");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_the_table_can_be_read() {
        let rows: Vec<&str> = TABLE.lines().skip(1).collect();
        for line in rows {
            let code = line.split('\t').next().unwrap().parse().unwrap();
            let row = row(code).unwrap();
            assert!(row.status.as_u16() >= 400, "{line}");
            assert!(!row.error.is_empty() && !row.text.is_empty(), "{line}");
        }
    }

    #[test]
    fn texts_name_the_tenant_and_the_client_of_the_request() {
        let request = Request::post("/contoso/oauth2/v2.0/token")
            .body(Bytes::from("grant_type=x&client_id=c"))
            .unwrap();
        let refusal = Refusal::ordered(700_016, &request).unwrap();
        assert!(
            refusal.text.starts_with(
                "Application with identifier 'c' was not found in the directory 'contoso'."
            ),
            "{}",
            refusal.text
        );
        assert_eq!(Refusal::ordered(1, &request), None);
    }
}
