//! The token endpoint (RFC 6749 3.2), version 2.0 of the platform.
//!
//! Microsoft Learn, "OAuth 2.0 client credentials flow on the Microsoft identity platform". Each
//! grant is one arm of [`TokenCall::answer`]; they share the checks of the client.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{Request, Response};
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use url::Url;

use crate::access_token::{AppToken, ClientProof, LIFETIME, issuer_v2};
use crate::client_assertion::{ASSERTION_TYPE, ClientAssertion, Expected};
use crate::refusal::Refusal;
use crate::tenant::{Object, SecretCheck, Tenant, text_of};

/// One request to the token endpoint.
#[derive(Debug)]
pub(crate) struct TokenCall<'a> {
    pub(crate) tenant: &'a Tenant,
    pub(crate) origin: &'a Url,
    pub(crate) now: OffsetDateTime,
    /// The tenant as the path names it.
    pub(crate) segment: &'a str,
}

/// A token response, and who got it.
#[derive(Debug)]
pub(crate) struct Issued {
    pub(crate) body: Response<Bytes>,
    pub(crate) app_id: String,
}

impl TokenCall<'_> {
    /// Answers a token request.
    pub(crate) fn answer(&self, request: &Request<Bytes>) -> Result<Issued, Refusal> {
        let form = Form::read(request);
        match form.required("grant_type")? {
            "client_credentials" => self.client_credentials(&form),
            other => Err(Refusal::unsupported_grant(other)),
        }
    }

    /// RFC 6749 4.4. What the request lacks is refused before the client is looked up.
    fn client_credentials(&self, form: &Form) -> Result<Issued, Refusal> {
        self.require_single_tenant()?;
        let assertion = form.assertion()?;
        let app_id = match (form.get("client_id"), &assertion) {
            (Some(id), _) => id.to_lowercase(),
            (None, Some(assertion)) => assertion.subject().to_lowercase(),
            (None, None) => return Err(Refusal::missing_parameter("client_id")),
        };
        let audience = default_scope(form.required("scope")?)?;
        let client = self.client(&app_id)?;
        let proof = self.authenticate(&app_id, form, assertion.as_ref())?;
        let (resource, roles) = self.resource(client, audience)?;
        let token = AppToken {
            client,
            resource,
            audience,
            roles,
            proof,
            lifetime: LIFETIME,
            extra: Map::new(),
        };
        Ok(Issued {
            body: json_response(&json!({
                "token_type": "Bearer",
                "expires_in": LIFETIME,
                "ext_expires_in": LIFETIME,
                "access_token": token.issue(self.tenant, self.origin, self.now),
            })),
            app_id,
        })
    }

    /// AADSTS50059 for the endpoints of several tenants, as users of `/common` report it for this
    /// grant; AADSTS90002 for a tenant that is not this one.
    fn require_single_tenant(&self) -> Result<(), Refusal> {
        if ["common", "organizations", "consumers"].contains(&self.segment) {
            return Err(Refusal::no_tenant());
        }
        if !self.tenant.is_named(self.segment) {
            return Err(Refusal::tenant_not_found(self.segment));
        }
        Ok(())
    }

    /// The service principal of a client that may sign in.
    fn client(&self, app_id: &str) -> Result<&Object, Refusal> {
        let application = self
            .tenant
            .application_by_app_id(app_id, self.now)
            .ok_or_else(|| Refusal::app_not_found(app_id, self.tenant.initial_domain()))?;
        let principal = self
            .tenant
            .service_principal_by_app_id(app_id, self.now)
            .ok_or_else(|| Refusal::no_service_principal(app_id, self.tenant.id()))?;
        let is_disabled = principal.get("accountEnabled") == Some(&Value::Bool(false))
            || application.get("isDisabled") == Some(&Value::Bool(true));
        if is_disabled {
            return Err(Refusal::app_disabled(
                app_id,
                text_of(principal, "displayName"),
            ));
        }
        Ok(principal)
    }

    fn authenticate(
        &self,
        app_id: &str,
        form: &Form,
        assertion: Option<&ClientAssertion<'_>>,
    ) -> Result<ClientProof, Refusal> {
        if let Some(assertion) = assertion {
            let audiences = self.assertion_audiences();
            let expected = Expected {
                app_id,
                audiences: &audiences,
                now: self.now,
            };
            assertion.verify(self.tenant, &expected)?;
            return Ok(ClientProof::Certificate);
        }
        let secret = form
            .get("client_secret")
            .ok_or_else(Refusal::no_credential)?;
        match self.tenant.check_secret(app_id, secret, self.now) {
            SecretCheck::Valid => Ok(ClientProof::Secret),
            SecretCheck::Expired(_) => Err(Refusal::expired_secret(app_id)),
            SecretCheck::Wrong | SecretCheck::IsKeyId => Err(Refusal::wrong_secret(app_id)),
        }
    }

    /// The token endpoint or the issuer, with the tenant's id or as the request names it.
    fn assertion_audiences(&self) -> Vec<String> {
        [self.tenant.id(), self.segment]
            .iter()
            .flat_map(|tenant| {
                [
                    format!("{}{tenant}/oauth2/v2.0/token", self.origin),
                    issuer_v2(self.origin, tenant),
                ]
            })
            .collect()
    }

    /// The service principal of the resource, and what the client may do there.
    fn resource(&self, client: &Object, audience: &str) -> Result<(&Object, Vec<String>), Refusal> {
        let resource = self
            .tenant
            .resource(audience)
            .ok_or_else(|| Refusal::resource_not_found(audience, self.tenant.initial_domain()))?;
        let roles =
            self.tenant
                .granted_roles(text_of(client, "id"), text_of(resource, "id"), self.now);
        let needs_role = resource.get("appRoleAssignmentRequired") == Some(&Value::Bool(true));
        if needs_role && roles.is_empty() {
            return Err(Refusal::no_role_on_resource(names(client), names(resource)));
        }
        Ok((resource, roles))
    }
}

/// The parameters of a request; empty ones count as missing (RFC 6749 3.2).
struct Form(HashMap<String, String>);

impl Form {
    /// The body, and the client's id and secret from an `Authorization: Basic` header, where the
    /// body leaves them out.
    fn read(request: &Request<Bytes>) -> Self {
        let header = |name| {
            request
                .headers()
                .get(name)
                .and_then(|value| value.to_str().ok())
        };
        let is_form = header(CONTENT_TYPE)
            .is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
        let body: &[u8] = if is_form { request.body() } else { &[] };
        let mut parameters = HashMap::new();
        for (name, value) in url::form_urlencoded::parse(body) {
            if !value.is_empty() {
                parameters
                    .entry(name.into_owned())
                    .or_insert_with(|| value.into_owned());
            }
        }
        if let Some((id, secret)) = header(AUTHORIZATION).and_then(basic_credentials) {
            parameters.entry("client_id".to_owned()).or_insert(id);
            parameters
                .entry("client_secret".to_owned())
                .or_insert(secret);
        }
        Self(parameters)
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    fn required(&self, name: &str) -> Result<&str, Refusal> {
        self.get(name)
            .ok_or_else(|| Refusal::missing_parameter(name))
    }

    fn assertion(&self) -> Result<Option<ClientAssertion<'_>>, Refusal> {
        let Some(assertion) = self.get("client_assertion") else {
            return Ok(None);
        };
        if self.required("client_assertion_type")? != ASSERTION_TYPE {
            return Err(Refusal::invalid_assertion(
                "The 'client_assertion_type' is not supported.",
            ));
        }
        ClientAssertion::parse(assertion).map(Some)
    }
}

/// RFC 6749 2.3.1: both parts are form-encoded before base64.
fn basic_credentials(header: &str) -> Option<(String, String)> {
    let (scheme, credentials) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let credentials = String::from_utf8(STANDARD.decode(credentials.trim()).ok()?).ok()?;
    let (id, secret) = credentials.split_once(':')?;
    Some((form_decoded(id)?, form_decoded(secret)?))
}

fn form_decoded(text: &str) -> Option<String> {
    // A client that forgot to encode may still send an ampersand.
    let pair = format!("={}", text.replace('&', "%26"));
    let (_, value) = url::form_urlencoded::parse(pair.as_bytes()).next()?;
    Some(value.into_owned())
}

/// The resource of a scope `{resource}/.default`. The resource keeps a slash of its own, so that
/// `https://graph.microsoft.com//.default` asks for an audience that ends in a slash (Microsoft
/// Learn, "Scopes and permissions in the Microsoft identity platform": trailing slash and .default).
fn default_scope(scope: &str) -> Result<&str, Refusal> {
    let mut scopes = scope.split_whitespace();
    let (Some(first), None) = (scopes.next(), scopes.next()) else {
        return Err(Refusal::invalid_scope(scope));
    };
    match first.strip_suffix("/.default") {
        Some("") => Err(Refusal::invalid_scope(scope)),
        Some(resource) => Ok(resource),
        None => Err(Refusal::scope_without_default(scope)),
    }
}

fn names(principal: &Object) -> (&str, &str) {
    (
        text_of(principal, "appId"),
        text_of(principal, "displayName"),
    )
}

fn json_response(body: &Value) -> Response<Bytes> {
    Response::new(Bytes::from(body.to_string()))
}
