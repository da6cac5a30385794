//! UserInfo of OpenID Connect, which Microsoft Graph serves.
//!
//! OpenID Connect Core 5.3; Microsoft Learn, "Microsoft identity platform UserInfo endpoint". The
//! subject is that of the ID token, so another one for each application, unlike that of the access
//! token.

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, header};
use serde_json::{Map, Value, json};

use super::GraphCall;
use super::error::GraphError;
use crate::account::sign_in_mail;
use crate::delegated_token::pairwise;
use crate::tenant::{Kind, Tenant, text_of};

/// Whether this is its path, below no version.
pub(super) fn is_path(path: &str) -> bool {
    path == "/oidc/userinfo"
}

/// What the token's scopes let its client know of the user.
pub(super) fn answer(
    tenant: &Tenant,
    call: &GraphCall<'_>,
    request: &Request<Bytes>,
) -> Result<Response<Bytes>, GraphError> {
    if ![Method::GET, Method::POST].contains(request.method()) {
        return Err(GraphError::no_method());
    }
    let caller = call.caller;
    let has = |name: &str| caller.scopes.iter().any(|scope| scope == name);
    let user_id = caller.user_id.as_deref().filter(|_| has("openid"));
    let user = user_id.and_then(|id| tenant.current(Kind::User, id));
    let user = user.ok_or_else(GraphError::denied)?;
    let subject = pairwise(tenant, text_of(user, "id"), &caller.app_id);
    let mut claims = Map::from_iter([("sub".to_owned(), json!(subject))]);
    let mut add = |name: &str, value: &str| {
        if !value.is_empty() {
            claims.insert(name.to_owned(), json!(value));
        }
    };
    if has("profile") {
        add("name", text_of(user, "displayName"));
        add("family_name", text_of(user, "surname"));
        add("given_name", text_of(user, "givenName"));
        let photo = format!("{}v1.0/me/photo/$value", call.origin);
        add("picture", &photo);
    }
    if has("email") {
        add("email", sign_in_mail(user));
    }
    let mut answer = Response::new(Bytes::from(Value::Object(claims).to_string()));
    let json = HeaderValue::from_static("application/json");
    answer.headers_mut().insert(header::CONTENT_TYPE, json);
    Ok(answer)
}
