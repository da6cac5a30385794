//! What a test changes in the tokens and answers that are still to come.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, LOCATION};
use http::{HeaderValue, Response, StatusCode};
use serde_json::{Map, Value};
use url::Url;

use super::signer::Signer;
use crate::fault;
use crate::key_ring::KeyRing;
use crate::keys::serialize;

/// What becomes of an ID token before it is signed.
///
/// ```
/// use entra_emulator::{IdTokenChange, Signer};
///
/// let change = IdTokenChange::new()
///     .with_claim("nonce", "another")
///     .without_claim("oid")
///     .signed_by(Signer::Stranger);
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct IdTokenChange {
    claims: Vec<(String, Option<Value>)>,
    header: Vec<(String, Option<Value>)>,
    signer: Option<Signer>,
    endpoint: Option<IdTokenEndpoint>,
}

/// Which endpoint issues an ID token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IdTokenEndpoint {
    Authorization,
    Token,
}

impl IdTokenChange {
    /// Nothing yet, of the next ID token from either endpoint.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a claim.
    #[must_use]
    pub fn with_claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.claims.push((name.to_owned(), Some(value.into())));
        self
    }

    /// Leaves a claim out.
    #[must_use]
    pub fn without_claim(mut self, name: &str) -> Self {
        self.claims.push((name.to_owned(), None));
        self
    }

    /// Sets a member of the header.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.header.push((name.to_owned(), Some(value.into())));
        self
    }

    /// Leaves a member of the header out.
    #[must_use]
    pub fn without_header(mut self, name: &str) -> Self {
        self.header.push((name.to_owned(), None));
        self
    }

    /// Lets somebody else sign. Without a header of its own the token names the signer's key.
    #[must_use]
    pub fn signed_by(mut self, signer: Signer) -> Self {
        self.signer = Some(signer);
        self
    }

    /// Waits for an ID token of the authorization endpoint.
    #[must_use]
    pub fn at_authorization_endpoint(mut self) -> Self {
        self.endpoint = Some(IdTokenEndpoint::Authorization);
        self
    }

    /// Waits for an ID token of the token endpoint.
    #[must_use]
    pub fn at_token_endpoint(mut self) -> Self {
        self.endpoint = Some(IdTokenEndpoint::Token);
        self
    }

    pub(super) fn signer(&self) -> Option<&Signer> {
        self.signer.as_ref()
    }

    /// The changed token.
    fn apply(&self, mut claims: Map<String, Value>, app_id: &str, ring: &KeyRing) -> String {
        change(&mut claims, &self.claims);
        let claims = Value::Object(claims);
        let key = match &self.signer {
            Some(signer) => signer.key(ring),
            None => Some(ring.signing_for(app_id)),
        };
        let mut header = match key.unwrap_or_else(|| ring.signing()).header(&claims) {
            Value::Object(header) => header,
            _ => Map::new(),
        };
        change(&mut header, &self.header);
        let own = Signer::App(app_id.to_owned());
        let signer = self.signer.as_ref().unwrap_or_else(|| {
            let has_own = ring.own_key(app_id).is_some();
            if has_own { &own } else { &Signer::Current }
        });
        let algorithm = header.get("alg").and_then(Value::as_str);
        let algorithm = algorithm.unwrap_or_default().to_owned();
        let header = Value::Object(header).to_string();
        let claims = claims.to_string();
        serialize(header.as_bytes(), claims.as_bytes(), |input| {
            signer.signature(ring, &algorithm, input)
        })
    }
}

/// What becomes of an answer.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum AnswerChange {
    /// A member of its JSON has another value.
    Set(String, Value),
    /// A member of its JSON is left out.
    Remove(String),
    /// 200 with a page of HTML.
    Html,
    /// Another body, of this content type.
    Body(String, Vec<u8>),
    /// The body ends in its middle, and looks complete to HTTP.
    Truncated,
    /// 302 to this place.
    Redirect(Url),
}

impl AnswerChange {
    fn apply(self, mut answer: Response<Bytes>) -> Response<Bytes> {
        match self {
            Self::Set(member, value) => in_json(answer, &[(member, Some(value))]),
            Self::Remove(member) => in_json(answer, &[(member, None)]),
            Self::Html => {
                let page = b"<!DOCTYPE html><title>Sign in</title><p>Please sign in.</p>";
                replaced(answer, "text/html; charset=utf-8", page.to_vec())
            }
            Self::Body(content_type, body) => replaced(answer, &content_type, body),
            Self::Truncated => answer.map(|body| body.slice(..body.len() / 2)),
            Self::Redirect(location) => {
                *answer.status_mut() = StatusCode::FOUND;
                *answer.body_mut() = Bytes::new();
                if let Ok(location) = HeaderValue::from_str(location.as_str()) {
                    answer.headers_mut().insert(LOCATION, location);
                }
                answer
            }
        }
    }
}

/// What becomes of the parameters that the browser brings back.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ParameterChange {
    /// A parameter has another value.
    Set(String, String),
    /// A parameter comes once more.
    Add(String, String),
    /// A parameter is left out.
    Remove(String),
}

/// The changes that are still to come, in the order in which they were asked for.
#[derive(Debug, Default)]
pub(crate) struct Forgeries {
    pending: Mutex<Pending>,
}

#[derive(Debug, Default)]
struct Pending {
    id_tokens: VecDeque<IdTokenChange>,
    parameters: VecDeque<ParameterChange>,
    /// Path, how often, and what.
    answers: Vec<(String, u32, AnswerChange)>,
}

impl Forgeries {
    pub(super) fn add_id_token(&self, change: IdTokenChange) {
        self.lock().id_tokens.push_back(change);
    }

    pub(super) fn add_parameter(&self, change: ParameterChange) {
        self.lock().parameters.push_back(change);
    }

    pub(super) fn add_answer(&self, path: &str, times: u32, change: AnswerChange) {
        self.lock().answers.push((path.to_owned(), times, change));
    }

    /// The ID token of these claims, changed where that was asked for.
    pub(crate) fn id_token(
        &self,
        claims: Map<String, Value>,
        (app_id, endpoint): (&str, IdTokenEndpoint),
        ring: &KeyRing,
    ) -> String {
        let change = {
            let pending = &mut self.lock().id_tokens;
            let place = pending
                .iter()
                .position(|change| change.endpoint.is_none_or(|wanted| wanted == endpoint));
            place.and_then(|place| pending.remove(place))
        };
        match change {
            Some(change) => change.apply(claims, app_id, ring),
            None => ring.signing_for(app_id).sign(&Value::Object(claims)),
        }
    }

    /// Changes the parameters of an authorization response: all that was asked for.
    pub(crate) fn change_parameters(&self, parameters: &mut Vec<(String, String)>) {
        for change in self.lock().parameters.drain(..) {
            match change {
                ParameterChange::Set(name, value) => {
                    parameters.retain(|(known, _)| *known != name);
                    parameters.push((name, value));
                }
                ParameterChange::Add(name, value) => parameters.push((name, value)),
                ParameterChange::Remove(name) => parameters.retain(|(known, _)| *known != name),
            }
        }
    }

    /// Changes an answer: the first change that is meant for this path.
    pub(crate) fn change_answer(
        &self,
        (method, path): (&str, &str),
        answer: Response<Bytes>,
    ) -> Response<Bytes> {
        let change = {
            let answers = &mut self.lock().answers;
            let place = answers
                .iter()
                .position(|(pattern, ..)| fault::is_match(pattern, method, path));
            place.and_then(|place| {
                let (_, times, change) = answers.get_mut(place)?;
                *times = times.saturating_sub(1);
                let (is_used_up, change) = (*times == 0, change.clone());
                if is_used_up {
                    answers.remove(place);
                }
                Some(change)
            })
        };
        match change {
            Some(change) => change.apply(answer),
            None => answer,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn change(object: &mut Map<String, Value>, changes: &[(String, Option<Value>)]) {
    for (name, value) in changes {
        match value {
            Some(value) => object.insert(name.clone(), value.clone()),
            None => object.remove(name),
        };
    }
}

fn in_json(answer: Response<Bytes>, changes: &[(String, Option<Value>)]) -> Response<Bytes> {
    let Ok(mut body) = serde_json::from_slice::<Map<String, Value>>(answer.body()) else {
        return answer;
    };
    change(&mut body, changes);
    answer.map(|_| Bytes::from(Value::Object(body).to_string()))
}

fn replaced(mut answer: Response<Bytes>, content_type: &str, body: Vec<u8>) -> Response<Bytes> {
    *answer.status_mut() = StatusCode::OK;
    if let Ok(content_type) = HeaderValue::from_str(content_type) {
        answer.headers_mut().insert(CONTENT_TYPE, content_type);
    }
    answer.map(|_| Bytes::from(body))
}
