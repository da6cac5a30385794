//! The token endpoint (RFC 6749 3.2), version 2.0 of the platform.
//!
//! Microsoft Learn, "OAuth 2.0 client credentials flow on the Microsoft identity platform". Each
//! grant is one arm of [`TokenCall::answer`]; they share the checks of the client.

use bytes::Bytes;
use http::{Request, Response};
use serde_json::{Map, Value};
use time::OffsetDateTime;
use url::Url;

use crate::access_token::{AppToken, ClientProof, issuer_v2};
use crate::claims_request::ClaimsRequest;
use crate::client::Client;
use crate::client_assertion::{ClientAssertion, Expected};
use crate::form::Form;
use crate::refusal::Refusal;
use crate::revocation::TokenTerms;
use crate::sessions::Sessions;
use crate::tenant::{Object, SecretCheck, Tenant, text_of};

/// One request to the token endpoint.
#[derive(Debug)]
pub(crate) struct TokenCall<'a> {
    pub(crate) tenant: &'a Tenant,
    pub(crate) sessions: &'a Sessions,
    pub(crate) origin: &'a Url,
    pub(crate) now: OffsetDateTime,
    /// The tenant as the path names it.
    pub(crate) segment: &'a str,
}

/// An answer, and the client that proved to be its receiver.
#[derive(Debug)]
pub(crate) struct Issued {
    pub(crate) body: Response<Bytes>,
    pub(crate) app_id: Option<String>,
}

impl Issued {
    /// What anybody may know.
    pub(crate) fn to_nobody(body: Response<Bytes>) -> Self {
        Self { body, app_id: None }
    }
}

impl TokenCall<'_> {
    /// Answers a token request.
    pub(crate) fn answer(&self, request: &Request<Bytes>) -> Result<Issued, Refusal> {
        let form = Form::read(request);
        match form.required("grant_type")? {
            "authorization_code" => self.authorization_code(&form),
            "client_credentials" => self.client_credentials(&form),
            "refresh_token" => self.refresh(&form),
            "urn:ietf:params:oauth:grant-type:device_code" | "device_code" => {
                self.device_code(&form)
            }
            "urn:ietf:params:oauth:grant-type:jwt-bearer" => self.on_behalf_of(&form),
            other => Err(Refusal::unsupported_grant(other)),
        }
    }

    /// RFC 6749 4.4. What the request lacks is refused before the client is looked up.
    fn client_credentials(&self, form: &Form) -> Result<Issued, Refusal> {
        self.require_single_tenant()?;
        let assertion = form.assertion()?;
        let app_id = form.client_id()?;
        let audience = default_scope(form.required("scope")?)?;
        let claims = ClaimsRequest::parse(form.get("claims"))?;
        let client = Client::find(self.tenant, &app_id, self.now)?.principal;
        let proof = self.authenticate(&app_id, form, assertion.as_ref())?;
        let (resource, roles) = self.resource(client, audience)?;
        let terms = TokenTerms::of(&claims, resource);
        let token = AppToken {
            client,
            resource,
            audience,
            roles,
            proof,
            lifetime: terms.lifetime,
            extra: terms.claims.clone(),
        };
        let access_token = token.issue(self.tenant, self.origin, self.now);
        Ok(Issued {
            body: json_response(terms.response(&access_token)),
            app_id: Some(app_id),
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

    /// How a client proves itself, by an assertion or a secret.
    pub(crate) fn authenticate(
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
                origin: self.origin,
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

/// A body of these members.
pub(crate) fn json_response(body: Map<String, Value>) -> Response<Bytes> {
    Response::new(Bytes::from(Value::Object(body).to_string()))
}
