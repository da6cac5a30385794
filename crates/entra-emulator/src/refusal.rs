//! What the sign-in service answers instead of a token: an AADSTS code in Entra's JSON.
//!
//! The shape is that of Microsoft Learn, "OAuth 2.0 client credentials flow on the Microsoft
//! identity platform" (Error response). "Microsoft Entra authentication and authorization error
//! codes" lists most of the codes, but not 501051, 700021, 700024, 1002012, 7000216 and 7000229,
//! and has another meaning for 700023; those, and the full texts, are as users report them.

mod authorize;
mod ordered;
mod user;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use serde_json::json;
use time::OffsetDateTime;
use time::macros::format_description;
use url::Url;
use uuid::Uuid;

use ordered::WantedClaims;
pub(crate) use ordered::context_claim;

/// A refusal with its code and its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    status: StatusCode,
    error: &'static str,
    suberror: Option<&'static str>,
    code: u32,
    text: String,
    wanted: WantedClaims,
}

impl Refusal {
    pub(crate) fn missing_parameter(name: &str) -> Self {
        Self::bad_request(
            "invalid_request",
            900_144,
            format!("The request body must contain the following parameter: '{name}'."),
        )
    }

    /// The text is this tenant's.
    pub(crate) fn invalid_claims(reason: &str) -> Self {
        Self::bad_request(
            "invalid_request",
            90023,
            format!("The value of the parameter 'claims' is not valid: {reason}."),
        )
    }

    pub(crate) fn unsupported_grant(grant: &str) -> Self {
        Self::bad_request(
            "unsupported_grant_type",
            70003,
            format!("The app requested an unsupported grant type '{grant}'."),
        )
    }

    pub(crate) fn tenant_not_found(segment: &str) -> Self {
        Self::bad_request(
            "invalid_request",
            90002,
            format!(
                "Tenant '{segment}' not found. Check to make sure you have the correct tenant ID \
                 and are signing into the correct cloud. Check with your subscription \
                 administrator, this may happen if there are no active subscriptions for the \
                 tenant."
            ),
        )
    }

    /// `common`, `organizations` or `consumers` where the grant needs one tenant. Users report it
    /// for this grant at `common`; for the other two it is not verified.
    pub(crate) fn no_tenant() -> Self {
        Self::bad_request(
            "invalid_request",
            50059,
            "No tenant-identifying information found in either the request or implied by any \
             provided credentials."
                .to_owned(),
        )
    }

    pub(crate) fn unknown_instance() -> Self {
        Self::bad_request(
            "invalid_instance",
            50049,
            "Unknown or invalid instance.".to_owned(),
        )
    }

    pub(crate) fn app_not_found(app_id: &str, tenant: &str) -> Self {
        Self::bad_request(
            "unauthorized_client",
            700_016,
            format!(
                "Application with identifier '{app_id}' was not found in the directory \
                 '{tenant}'. This can happen if the application has not been installed by the \
                 administrator of the tenant or consented to by any user in the tenant. You may \
                 have sent your authentication request to the wrong tenant."
            ),
        )
    }

    /// The application is registered, and has no service principal.
    pub(crate) fn no_service_principal(app_id: &str, tenant: &str) -> Self {
        Self::invalid_client(
            7_000_229,
            format!(
                "The client application {app_id} is missing service principal in the tenant \
                 {tenant}. See instructions here: https://go.microsoft.com/fwlink/?linkid=2225119"
            ),
        )
    }

    pub(crate) fn app_disabled(app_id: &str, name: &str) -> Self {
        Self::bad_request(
            "unauthorized_client",
            7_000_112,
            format!("Application '{app_id}'({name}) is disabled."),
        )
    }

    pub(crate) fn no_credential() -> Self {
        Self::invalid_client(
            7_000_216,
            "'client_assertion', 'client_secret' or 'request' is required for the \
             'client_credentials' grant type."
                .to_owned(),
        )
    }

    pub(crate) fn wrong_secret(app_id: &str) -> Self {
        Self::invalid_client(
            7_000_215,
            format!(
                "Invalid client secret provided. Ensure the secret being sent in the request is \
                 the client secret value, not the client secret ID, for a secret added to app \
                 '{app_id}'."
            ),
        )
    }

    pub(crate) fn expired_secret(app_id: &str) -> Self {
        Self::invalid_client(
            7_000_222,
            format!(
                "The provided client secret keys for app '{app_id}' are expired. Visit the Azure \
                 portal to create new keys for your app: https://aka.ms/NewClientSecret, or \
                 consider using certificate credentials for added security: \
                 https://aka.ms/certCreds."
            ),
        )
    }

    /// The assertion is no JWT that can be checked. The reason is this tenant's; the rest is as a
    /// user reports it.
    pub(crate) fn invalid_assertion(reason: &str) -> Self {
        Self::bad_request(
            "invalid_request",
            50027,
            format!("JWT token is invalid or malformed. {reason}"),
        )
    }

    /// No registered certificate has the thumbprint, or its key did not make the signature. The
    /// text is reported for the first; that it is the same for the second is not verified.
    pub(crate) fn certificate_not_registered(app_id: &str, thumbprint: &str, reason: &str) -> Self {
        Self::invalid_client(
            700_027,
            format!(
                "The certificate with identifier used to sign the client assertion is not \
                 registered on application. [Reason - {reason}, Thumbprint of key used by client: \
                 '{thumbprint}', Please visit the Azure Portal, Graph Explorer or directly use MS \
                 Graph to see configured keys for app Id '{app_id}'. Review the documentation at \
                 https://docs.microsoft.com/en-us/graph/deployments to determine the corresponding \
                 service endpoint and \
                 https://docs.microsoft.com/en-us/graph/api/application-get?view=graph-rest-1.0&tabs=http \
                 to build a query request URL, such as \
                 'https://graph.microsoft.com/beta/applications/{app_id}']."
            ),
        )
    }

    pub(crate) fn assertion_of_another_app() -> Self {
        Self::invalid_client(
            700_021,
            "Client assertion application identifier doesn't match 'client_id' parameter. Review \
             the documentation at \
             https://learn.microsoft.com/entra/identity-platform/certificate-credentials ."
                .to_owned(),
        )
    }

    pub(crate) fn assertion_for_another_audience() -> Self {
        Self::invalid_client(
            700_023,
            "Client assertion audience claim does not match Realm issuer. Review the \
             documentation at \
             https://learn.microsoft.com/entra/identity-platform/certificate-credentials ."
                .to_owned(),
        )
    }

    pub(crate) fn assertion_outside_its_time(
        now: OffsetDateTime,
        from: OffsetDateTime,
        until: OffsetDateTime,
    ) -> Self {
        Self::invalid_client(
            700_024,
            format!(
                "Client assertion is not within its valid time range. Current time: {}, assertion \
                 valid from {}, expiry time of assertion {}. Review the documentation at \
                 https://learn.microsoft.com/entra/identity-platform/certificate-credentials .",
                precise(now),
                precise(from),
                precise(until),
            ),
        )
    }

    pub(crate) fn no_federated_credential(app_id: &str, name: &str) -> Self {
        Self::invalid_client(
            70025,
            format!(
                "The client '{app_id}'({name}) has no configured federated identity credentials."
            ),
        )
    }

    pub(crate) fn no_federated_issuer(issuer: &str) -> Self {
        Self::no_federated_match(700_211, "issuer", issuer, CHECK_FEDERATION)
    }

    pub(crate) fn no_federated_audience(audience: &str) -> Self {
        Self::no_federated_match(700_212, "audience", audience, CHECK_FEDERATION)
    }

    pub(crate) fn no_federated_subject(subject: &str) -> Self {
        Self::no_federated_match(700_213, "subject", subject, CHECK_FEDERATION)
    }

    /// The assertion is a token of Entra's for another principal.
    pub(crate) fn no_federated_principal(subject: &str) -> Self {
        Self::no_federated_match(7_002_137, "subject", subject, CHECK_FEDERATION)
    }

    pub(crate) fn federated_subject_in_another_case(subject: &str) -> Self {
        let advice = "The subject matches with case-insensitive comparison, but not with \
                      case-sensitive comparison.";
        Self::no_federated_match(7_002_138, "subject", subject, advice)
    }

    /// Users report the code; the text is this tenant's.
    pub(crate) fn federated_audience_of_entra(audience: &str) -> Self {
        Self::invalid_client(
            700_214,
            format!(
                "The audience '{audience}' of the federated identity credential must be \
                 'api://AzureADTokenExchange'."
            ),
        )
    }

    pub(crate) fn federated_key_not_found(key_id: &str, issuer: &str) -> Self {
        Self::invalid_client(
            7_000_272,
            format!(
                "The certificate with identifier {key_id} used to sign the federated credential \
                 could not be found in the metadata of identity provider {issuer}. Please validate \
                 that your Identity Provider's metadata exposes the key used to sign the incoming \
                 token."
            ),
        )
    }

    /// Users report the same text with 90061 (older) and 501661 too.
    pub(crate) fn issuer_unreachable() -> Self {
        Self::bad_request(
            "invalid_request",
            50166,
            "Request to External OIDC endpoint failed.".to_owned(),
        )
    }

    fn no_federated_match(code: u32, what: &str, found: &str, advice: &str) -> Self {
        Self::invalid_client(
            code,
            format!(
                "No matching federated identity record found for presented assertion {what} \
                 '{found}'. {advice} \
                 https://learn.microsoft.com/entra/workload-id/workload-identity-federation"
            ),
        )
    }

    pub(crate) fn scope_without_default(scope: &str) -> Self {
        Self::bad_request(
            "invalid_scope",
            1_002_012,
            format!(
                "The provided value for scope {scope} is not valid. Client credential flows must \
                 have a scope value with /.default suffixed to the resource identifier \
                 (application ID URI)."
            ),
        )
    }

    pub(crate) fn invalid_scope(scope: &str) -> Self {
        Self::bad_request(
            "invalid_scope",
            70011,
            format!(
                "The provided request must include a 'scope' input parameter. The provided value \
                 for the input parameter 'scope' is not valid. The scope {scope} is not valid."
            ),
        )
    }

    pub(crate) fn resource_not_found(resource: &str, tenant: &str) -> Self {
        Self::bad_request(
            "invalid_resource",
            500_011,
            format!(
                "The resource principal named {resource} was not found in the tenant named \
                 {tenant}. This can happen if the application has not been installed by the \
                 administrator of the tenant or consented to by any user in the tenant. You might \
                 have sent your authentication request to the wrong tenant."
            ),
        )
    }

    /// The resource requires an assignment, and the client has none. The text and `invalid_grant`
    /// are as users report them; Learn's scenario of a protected web API says `invalid_client`.
    pub(crate) fn no_role_on_resource(client: (&str, &str), resource: (&str, &str)) -> Self {
        Self::bad_request(
            "invalid_grant",
            501_051,
            format!(
                "Application '{}'({}) is not assigned to a role for the application '{}'({}).",
                client.0, client.1, resource.0, resource.1
            ),
        )
    }

    /// 429 or 503 of the service itself. Learn lists both codes; their texts, and that they come
    /// with these statuses, are not verified.
    pub(crate) fn outage(status: StatusCode) -> Self {
        let (code, text) = if status == StatusCode::TOO_MANY_REQUESTS {
            (90055, "There are too many incoming requests.")
        } else {
            (90033, "A transient error has occurred. Please try again.")
        };
        Self {
            status,
            error: "temporarily_unavailable",
            suberror: None,
            code,
            text: text.to_owned(),
            wanted: WantedClaims::None,
        }
    }

    /// The answer. `error_uri` points to the sign-in host, as Entra's does.
    pub(crate) fn answer(
        &self,
        origin: &Url,
        ids: &RequestIds,
        now: OffsetDateTime,
    ) -> Response<Bytes> {
        let Self { code, error, .. } = self;
        let RequestIds { trace, correlation } = ids;
        let mut body = json!({
            "error": error,
            "error_description": self.description(ids, now),
            "error_codes": [code],
            "timestamp": timestamp(now),
            "trace_id": trace,
            "correlation_id": correlation,
            "error_uri": self.uri(origin),
        });
        let claims = self.claims();
        for (name, value) in [("suberror", self.suberror), ("claims", claims.as_deref())] {
            if let (Some(value), Some(body)) = (value, body.as_object_mut()) {
                body.insert(name.to_owned(), json!(value));
            }
        }
        let mut answer = Response::new(Bytes::from(body.to_string()));
        *answer.status_mut() = self.status;
        answer
    }

    /// `error` of RFC 6749 5.2 and 4.1.2.1.
    pub(crate) fn error(&self) -> &'static str {
        self.error
    }

    /// The number of the AADSTS code.
    pub(crate) fn code(&self) -> u32 {
        self.code
    }

    /// `suberror` of the token endpoint, `error_subcode` of the authorization endpoint.
    pub(crate) fn suberror(&self) -> Option<&'static str> {
        self.suberror
    }

    /// Code and text.
    pub(crate) fn sentence(&self) -> String {
        format!("AADSTS{}: {}", self.code, self.text)
    }

    /// `error_description`: code, text and what support asks for.
    pub(crate) fn description(&self, ids: &RequestIds, now: OffsetDateTime) -> String {
        let RequestIds { trace, correlation } = ids;
        format!(
            "{} Trace ID: {trace} Correlation ID: {correlation} Timestamp: {}",
            self.sentence(),
            timestamp(now)
        )
    }

    /// `error_uri`
    pub(crate) fn uri(&self, origin: &Url) -> String {
        format!("{origin}error?code={}", self.code)
    }

    fn with_suberror(mut self, suberror: &'static str) -> Self {
        self.suberror = Some(suberror);
        self
    }

    fn bad_request(error: &'static str, code: u32, text: String) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            error,
            suberror: None,
            code,
            text,
            wanted: WantedClaims::None,
        }
    }

    /// RFC 6749 5.2 allows 401 where the client did not authenticate, and users report it.
    fn invalid_client(code: u32, text: String) -> Self {
        Self {
            status: StatusCode::UNAUTHORIZED,
            error: "invalid_client",
            suberror: None,
            code,
            text,
            wanted: WantedClaims::None,
        }
    }
}

/// The two ids of one request, for support.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestIds {
    /// Made by the service; also in `x-ms-request-id`.
    pub(crate) trace: Uuid,
    /// The client's `client-request-id`, or one of the service.
    pub(crate) correlation: Uuid,
}

impl RequestIds {
    /// Those of a request.
    pub(crate) fn of(request: &Request<Bytes>) -> Self {
        let sent = request.headers().get("client-request-id");
        let sent = sent
            .and_then(|id| id.to_str().ok())
            .and_then(|id| Uuid::try_parse(id).ok());
        Self {
            trace: Uuid::new_v4(),
            correlation: sent.unwrap_or_else(Uuid::new_v4),
        }
    }

    /// Those of an event that is no request.
    pub(crate) fn fresh() -> Self {
        Self {
            trace: Uuid::new_v4(),
            correlation: Uuid::new_v4(),
        }
    }
}

const CHECK_FEDERATION: &str = "Check your federated identity credential Subject, Audience and \
                                Issuer against the presented assertion.";

/// `2026-01-01 00:00:00Z`
pub(crate) fn timestamp(now: OffsetDateTime) -> String {
    let format = format_description!("[year]-[month]-[day] [hour]:[minute]:[second]Z");
    now.format(format).unwrap_or_default()
}

/// `2026-01-01T00:00:00.0000000Z`
fn precise(time: OffsetDateTime) -> String {
    let format =
        format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:7]Z");
    time.format(format).unwrap_or_default()
}
