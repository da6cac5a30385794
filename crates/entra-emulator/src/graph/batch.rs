//! `$batch` (Learn, "Combine multiple HTTP requests using JSON batching"): up to twenty calls,
//! answered in an order of their own.

use std::collections::{BTreeSet, HashMap, HashSet};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, StatusCode};
use serde_json::{Map, Value, json};

use super::error::GraphError;
use super::{Answer, GraphCall};
use crate::tenant::{Object, Tenant, items_of, text_of};

/// Whether a path is that of a batch.
pub(crate) fn is_batch(path: &str) -> bool {
    matches!(path, "/v1.0/$batch" | "/beta/$batch")
}

/// Answers a batch. Once it is understood the answer is 200, whatever its items come to. The
/// second value names the permissions that allowed its items.
pub(crate) fn answer(
    tenant: &mut Tenant,
    call: &GraphCall<'_>,
    request: &Request<Bytes>,
) -> Result<(Answer, Option<String>), GraphError> {
    if request.method() != http::Method::POST {
        return Err(GraphError::no_method());
    }
    let body: Object = serde_json::from_slice(request.body())
        .map_err(|_| GraphError::malformed("Invalid batch payload format."))?;
    let items = parse(&body)?;
    let version = request.uri().path().trim_end_matches("/$batch").to_owned();
    let mut statuses = HashMap::new();
    let mut permissions = BTreeSet::new();
    let mut responses = Vec::with_capacity(items.len());
    for item in items {
        let failed = item.depends_on.iter().any(|id| {
            let status: Option<&StatusCode> = statuses.get(id);
            status.is_none_or(|status| !status.is_success())
        });
        let (status, response) = if failed {
            dependency_failed(&item.id)
        } else {
            let (status, response, permission) = run(tenant, call, (&version, &item))?;
            permissions.extend(permission);
            (status, response)
        };
        statuses.insert(item.id.to_ascii_lowercase(), status);
        responses.push(response);
    }
    shuffle(&mut responses);
    let allowed_by = Vec::from_iter(permissions).join(" ");
    let allowed_by = (!allowed_by.is_empty()).then_some(allowed_by);
    Ok((Answer::json(json!({ "responses": responses })), allowed_by))
}

struct Item {
    id: String,
    method: String,
    url: String,
    headers: Map<String, Value>,
    body: Option<Value>,
    /// In lower case.
    depends_on: Vec<String>,
}

fn parse(body: &Object) -> Result<Vec<Item>, GraphError> {
    let requests = items_of(body, "requests");
    if requests.is_empty() || requests.len() > MOST_ITEMS {
        return Err(GraphError::malformed(format!(
            "Number of batch request steps must be between 1 and the max value of {MOST_ITEMS}."
        )));
    }
    let mut ids = HashSet::new();
    let mut items = Vec::with_capacity(requests.len());
    for request in requests {
        let item = request
            .as_object()
            .and_then(parse_item)
            .ok_or_else(|| GraphError::malformed("Invalid batch payload format."))?;
        let known = item.depends_on.iter().all(|id| ids.contains(id));
        if !ids.insert(item.id.to_ascii_lowercase()) {
            return Err(GraphError::malformed(format!(
                "Request Id : '{}' is used more than once.",
                item.id
            )));
        }
        if !known {
            return Err(GraphError::malformed(format!(
                "Request Id : '{}' depends on a request that does not precede it.",
                item.id
            )));
        }
        let has_type = item
            .headers
            .keys()
            .any(|name| name.eq_ignore_ascii_case("content-type"));
        if item.body.is_some() && !has_type {
            return Err(GraphError::malformed(format!(
                "Write request id : {} does not contain Content-Type header or body.",
                item.id
            )));
        }
        items.push(item);
    }
    Ok(items)
}

fn parse_item(request: &Object) -> Option<Item> {
    let text = |name| Some(text_of(request, name).to_owned()).filter(|text| !text.is_empty());
    let depends_on = items_of(request, "dependsOn")
        .iter()
        .map(|id| id.as_str().map(str::to_ascii_lowercase))
        .collect::<Option<Vec<_>>>()?;
    let headers = match request.get("headers") {
        None | Some(Value::Null) => Map::new(),
        Some(headers) => headers.as_object()?.clone(),
    };
    Some(Item {
        id: text("id")?,
        method: text("method")?.to_ascii_uppercase(),
        url: text("url")?,
        headers,
        body: request.get("body").filter(|body| !body.is_null()).cloned(),
        depends_on,
    })
}

fn run(
    tenant: &mut Tenant,
    call: &GraphCall<'_>,
    (version, item): (&str, &Item),
) -> Result<(StatusCode, Value, Option<String>), GraphError> {
    let malformed = || GraphError::malformed(format!("Invalid batch request '{}'.", item.id));
    let url = format!("{version}/{}", item.url.trim_start_matches('/'));
    let url = url.replace(' ', "%20").replace('"', "%22");
    if is_batch(&url) {
        return Err(GraphError::malformed("A batch cannot contain a batch."));
    }
    let body = match &item.body {
        Some(body) => serde_json::to_vec(body).map_err(|_| malformed())?,
        None => Vec::new(),
    };
    let mut request = Request::builder()
        .method(item.method.as_str())
        .uri(url)
        .body(Bytes::from(body))
        .map_err(|_| malformed())?;
    for (name, value) in &item.headers {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| malformed())?;
        let value = value.as_str().ok_or_else(malformed)?;
        let value = HeaderValue::from_str(value).map_err(|_| malformed())?;
        request.headers_mut().append(name, value);
    }
    let (response, permission) = super::handle(tenant, call, &request);
    let headers: Map<String, Value> = response
        .headers()
        .iter()
        .filter(|(name, _)| KEPT_HEADERS.contains(&name.as_str()))
        .filter_map(|(name, value)| Some((name.to_string(), json!(value.to_str().ok()?))))
        .collect();
    let status = response.status();
    let mut answer = json!({"id": item.id, "status": status.as_u16(), "headers": headers});
    if let (false, Some(answer)) = (response.body().is_empty(), answer.as_object_mut()) {
        let body = serde_json::from_slice(response.body()).unwrap_or_else(|_| {
            Value::String(String::from_utf8_lossy(response.body()).into_owned())
        });
        answer.insert("body".to_owned(), body);
    }
    Ok((status, answer, permission))
}

fn dependency_failed(id: &str) -> (StatusCode, Value) {
    let answer = json!({
        "id": id,
        "status": 424,
        "body": {
            "error": {
                "code": "FailedDependency",
                "message": "One of the dependent request ids failed."
            }
        }
    });
    (StatusCode::FAILED_DEPENDENCY, answer)
}

/// Puts every second answer first, so that a client that counts on the order is found out.
fn shuffle(responses: &mut Vec<Value>) {
    let (even, odd): (Vec<_>, Vec<_>) = responses
        .drain(..)
        .enumerate()
        .partition(|(place, _)| place % 2 == 0);
    responses.extend(odd.into_iter().chain(even).map(|(_, response)| response));
}

const MOST_ITEMS: usize = 20;
const KEPT_HEADERS: [&str; 6] = [
    "cache-control",
    "content-type",
    "location",
    "odata-version",
    "retry-after",
    "request-id",
];

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::graph::testing::Desk;

    fn batch(desk: &mut Desk, requests: Value) -> (u16, Value) {
        desk.call("POST", "/$batch", json!({ "requests": requests }))
    }

    fn item(id: &str, url: &str) -> Value {
        json!({"id": id, "method": "GET", "url": url})
    }

    #[test]
    fn each_item_is_answered_with_its_own_status_out_of_order() {
        let mut desk = Desk::new().served_to(&["User.Read.All"]);
        let requests = json!([
            item("1", "/users?$top=1"),
            item("2", "/groups"),
            item("3", "users/nobody@alpenglow.example")
        ]);
        let (status, answer) = batch(&mut desk, requests);
        assert_eq!(status, 200);
        let found: Vec<_> = answer["responses"]
            .as_array()
            .unwrap()
            .iter()
            .map(|response| {
                (
                    response["id"].as_str().unwrap(),
                    response["status"].as_u64().unwrap(),
                )
            })
            .collect();
        assert_eq!(found, [("2", 403), ("1", 200), ("3", 404)]);
        let error = &answer["responses"][0]["body"]["error"];
        assert_eq!(error["code"], "Authorization_RequestDenied");
    }

    #[test]
    fn what_depends_on_a_failed_item_is_not_tried() {
        let mut desk = Desk::new();
        let mut dependent = item("b", "/users");
        dependent["dependsOn"] = json!(["A"]);
        let (_, answer) = batch(&mut desk, json!([item("a", "/users/nobody"), dependent]));
        assert_eq!(answer["responses"][0]["id"], "b");
        assert_eq!(answer["responses"][0]["status"], 424);
    }

    #[test]
    fn an_item_may_write() {
        let mut desk = Desk::new().served_to(&["Application.ReadWrite.All"]);
        let write = json!({"id": "1", "method": "POST", "url": "/applications",
            "headers": {"Content-Type": "application/json"}, "body": {"displayName": "a"}});
        let (_, answer) = batch(&mut desk, json!([write]));
        assert_eq!(
            desk.allowed_by.as_deref(),
            Some("Application.ReadWrite.All")
        );
        assert_eq!(answer["responses"][0]["status"], 201);
        assert_eq!(answer["responses"][0]["body"]["displayName"], "a");
    }

    #[test]
    fn a_batch_that_is_not_well_formed_is_refused_as_a_whole() {
        let mut desk = Desk::new();
        let many: Vec<Value> = (0..21).map(|id| item(&id.to_string(), "/users")).collect();
        let mut untyped = item("1", "/applications");
        untyped["body"] = json!({});
        let mut forward = item("1", "/users");
        forward["dependsOn"] = json!(["2"]);
        for (requests, expected) in [
            (
                json!(many),
                "Number of batch request steps must be between 1 and the max value of 20.",
            ),
            (
                json!([item("a", "/users"), item("A", "/users")]),
                "Request Id : 'A' is used more than once.",
            ),
            (
                json!([untyped]),
                "Write request id : 1 does not contain Content-Type header or body.",
            ),
            (
                json!([forward, item("2", "/users")]),
                "Request Id : '1' depends on a request that does not precede it.",
            ),
            (
                json!([item("1", "/$batch")]),
                "A batch cannot contain a batch.",
            ),
            (json!([{"id": "1"}]), "Invalid batch payload format."),
        ] {
            let body = json!({ "requests": requests });
            let (status, _, message) = desk.refusal("POST", "/$batch", body);
            assert_eq!((status, message.as_str()), (400, expected));
        }
    }
}
