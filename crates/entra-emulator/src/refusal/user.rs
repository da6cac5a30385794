//! The refusals of requests that act for a user.
//!
//! Codes as in Microsoft Learn, "Microsoft Entra authentication and authorization error codes", but
//! for 70020, 500112, 500131, 650053, 700051 and 9002325 to 9002327; those, and the full texts, are
//! as users report them.

use time::OffsetDateTime;

use super::{Refusal, precise};

impl Refusal {
    /// The client of another tenancy at an endpoint of several tenants.
    pub(crate) fn not_multi_tenant(app_id: &str, name: &str, segment: &str) -> Self {
        Self::bad_request(
            "invalid_request",
            50194,
            format!(
                "Application '{app_id}'({name}) is not configured as a multi-tenant application. \
                 Usage of the /{segment} endpoint is not supported for such apps created after \
                 '10/15/2018'. Use a tenant-specific endpoint or configure the application to be \
                 multi-tenant."
            ),
        )
    }

    /// `/consumers`: there are no personal accounts here.
    pub(crate) fn no_consumers(app_id: &str, name: &str) -> Self {
        Self::bad_request(
            "invalid_request",
            9_002_332,
            format!(
                "Application '{app_id}'({name}) is configured for use by Microsoft Entra users \
                 only. Please do not use the /consumers endpoint to serve this request."
            ),
        )
    }

    pub(crate) fn credential_needed() -> Self {
        Self::invalid_client(
            7_000_218,
            "The request body must contain the following parameter: 'client_assertion' or \
             'client_secret'."
                .to_owned(),
        )
    }

    pub(crate) fn public_client_with_credential() -> Self {
        Self::invalid_client(
            700_025,
            "Client is public so neither 'client_assertion' nor 'client_secret' should be \
             presented."
                .to_owned(),
        )
    }

    /// A code of the platform `spa` has to be redeemed by a page (Microsoft Learn, "Microsoft
    /// identity platform and OAuth 2.0 authorization code flow": redirect URIs for SPAs).
    pub(crate) fn cross_origin_needed() -> Self {
        Self::bad_request(
            "invalid_request",
            9_002_327,
            "Tokens issued for the 'Single-Page Application' client-type may only be redeemed via \
             cross-origin requests."
                .to_owned(),
        )
    }

    pub(crate) fn cross_origin_not_permitted(origin: &str) -> Self {
        Self::bad_request(
            "invalid_request",
            9_002_326,
            format!(
                "Cross-origin token redemption is permitted only for the 'Single-Page \
                 Application' client-type. Request origin: '{origin}'."
            ),
        )
    }

    pub(crate) fn code_challenge_needed() -> Self {
        Self::bad_request(
            "invalid_request",
            9_002_325,
            "Proof Key for Code Exchange is required for cross-origin authorization code \
             redemption."
                .to_owned(),
        )
    }

    /// What is no code, token or grant of this tenant.
    pub(crate) fn malformed_grant() -> Self {
        Self::bad_request(
            "invalid_grant",
            9_002_313,
            "Invalid request. Request is malformed or invalid.".to_owned(),
        )
    }

    /// A grant that another client was given. Learn has the code, the text is not verified.
    pub(crate) fn grant_of_another_client() -> Self {
        Self::bad_request(
            "invalid_grant",
            70000,
            "Provided grant is invalid or malformed.".to_owned(),
        )
    }

    pub(crate) fn code_redeemed() -> Self {
        Self::bad_request(
            "invalid_grant",
            54005,
            "OAuth2 Authorization code was already redeemed, please retry with a new valid code \
             or use an existing refresh token."
                .to_owned(),
        )
    }

    pub(crate) fn code_expired() -> Self {
        Self::bad_request(
            "invalid_grant",
            70008,
            "The provided authorization code or refresh token has expired due to inactivity. Send \
             a new interactive authorization request for this user and resource."
                .to_owned(),
        )
    }

    pub(crate) fn code_verifier_mismatch() -> Self {
        Self::bad_request(
            "invalid_grant",
            501_481,
            "The Code_Verifier does not match the code_challenge supplied in the authorization \
             request."
                .to_owned(),
        )
    }

    pub(crate) fn redirect_uri_changed(sent: &str, expected: &str) -> Self {
        Self::bad_request(
            "invalid_client",
            500_112,
            format!(
                "The reply address '{sent}' does not match the reply address '{expected}' \
                 provided when requesting Authorization code."
            ),
        )
    }

    pub(crate) fn refresh_token_inactive(issued: OffsetDateTime) -> Self {
        Self::bad_request(
            "invalid_grant",
            700_082,
            format!(
                "The refresh token has expired due to inactivity. The token was issued on {} and \
                 was inactive for 90.00:00:00.",
                precise(issued),
            ),
        )
        .with_suberror("bad_token")
    }

    pub(crate) fn refresh_token_of_page_expired(issued: OffsetDateTime) -> Self {
        Self::bad_request(
            "invalid_grant",
            700_084,
            format!(
                "The refresh token was issued to a single page app (SPA), and therefore has a \
                 fixed, limited lifetime of 1.00:00:00, which cannot be extended. It is now \
                 expired and a new sign in request must be sent by the SPA to the sign in page. \
                 The token was issued on {}.",
                precise(issued),
            ),
        )
        .with_suberror("bad_token")
    }

    /// Sign-ins before `valid_from` count no more: sessions were revoked or the password changed.
    pub(crate) fn grant_revoked(issued: OffsetDateTime, valid_from: OffsetDateTime) -> Self {
        Self::bad_request(
            "invalid_grant",
            50173,
            format!(
                "The provided grant has expired due to it being revoked, a fresh auth token is \
                 needed. The user might have changed or reset their password. The grant was \
                 issued on '{}' and the TokensValidFrom date (before which tokens are not valid) \
                 for this user is '{}'.",
                precise(issued),
                precise(valid_from),
            ),
        )
        .with_suberror("bad_token")
    }

    pub(crate) fn user_disabled() -> Self {
        Self::bad_request(
            "invalid_grant",
            50057,
            "The user account is disabled.".to_owned(),
        )
    }

    pub(crate) fn user_not_found(name: &str, tenant: &str) -> Self {
        Self::bad_request(
            "invalid_grant",
            50034,
            format!(
                "The user account {name} does not exist in the {tenant} directory. To sign into \
                 this application, the account must be added to the directory."
            ),
        )
    }

    pub(crate) fn wrong_password() -> Self {
        Self::bad_request(
            "invalid_grant",
            50126,
            "Error validating credentials due to invalid username or password.".to_owned(),
        )
    }

    /// Learn has the code; the text is this tenant's.
    pub(crate) fn wrong_second_factor() -> Self {
        Self::bad_request(
            "invalid_grant",
            500_121,
            "Authentication failed during strong authentication request. The code is wrong."
                .to_owned(),
        )
    }

    pub(crate) fn user_not_assigned(user: &str, app_id: &str, name: &str) -> Self {
        Self::bad_request(
            "invalid_grant",
            50105,
            format!(
                "Your administrator has configured the application {name} ('{app_id}') to block \
                 users unless they are specifically granted ('assigned') access to the \
                 application. The signed-in user '{user}' is blocked because they are not a \
                 direct member of a group with access, nor had access directly assigned by an \
                 administrator. Please contact your administrator to assign access to this \
                 application."
            ),
        )
    }

    /// At the token endpoint.
    pub(crate) fn consent_missing(app_id: &str, name: &str) -> Self {
        let text = consent_text(app_id, name);
        Self::bad_request("invalid_grant", 65001, text).with_suberror("consent_required")
    }

    /// At the authorization endpoint, where nothing may be shown.
    pub(crate) fn consent_required(app_id: &str, name: &str) -> Self {
        Self::bad_request("consent_required", 65001, consent_text(app_id, name))
    }

    pub(crate) fn consent_declined() -> Self {
        Self::bad_request(
            "access_denied",
            65004,
            "User declined to consent to access the app.".to_owned(),
        )
        .with_suberror("cancel")
    }

    pub(crate) fn admin_consent_required(name: &str) -> Self {
        Self::bad_request(
            "access_denied",
            90094,
            format!(
                "{name} needs permission to access resources in your organization that only an \
                 admin can grant. Please ask an admin to grant permission to this app before you \
                 can use it."
            ),
        )
    }

    pub(crate) fn unknown_permission(client: &str, permission: &str, resource: &str) -> Self {
        Self::bad_request(
            "invalid_client",
            650_053,
            format!(
                "The application '{client}' asked for scope '{permission}' that doesn't exist on \
                 the resource '{resource}'. Contact the app vendor."
            ),
        )
    }

    pub(crate) fn several_resources(scope: &str) -> Self {
        Self::bad_request(
            "invalid_scope",
            700_022,
            format!(
                "The provided value for the input parameter 'scope' is not valid because it \
                 contains more than one resource. The scope {scope} is not valid."
            ),
        )
    }

    pub(crate) fn scope_of_code_needed() -> Self {
        Self::bad_request(
            "invalid_request",
            28003,
            "Provided value for the input parameter scope can't be empty when requesting an \
             access token using the provided authorization code. Please specify a valid scope."
                .to_owned(),
        )
    }

    pub(crate) fn default_scope_among_others(scope: &str) -> Self {
        Self::bad_request(
            "invalid_scope",
            70011,
            format!(
                "The provided request must include a 'scope' input parameter. The provided value \
                 for the input parameter 'scope' is not valid. The scope {scope} is not valid. \
                 .default scope can't be combined with resource-specific scopes."
            ),
        )
    }
}

/// Of the device authorization grant (RFC 8628; Microsoft Learn, "OAuth 2.0 device authorization
/// grant").
impl Refusal {
    pub(crate) fn authorization_pending() -> Self {
        Self::bad_request(
            "authorization_pending",
            70016,
            "OAuth 2.0 device flow error. Authorization is pending. Continue polling.".to_owned(),
        )
    }

    /// RFC 8628 3.5. Learn does not name it, so the code is a guess.
    pub(crate) fn slow_down() -> Self {
        Self::bad_request(
            "slow_down",
            70016,
            "OAuth 2.0 device flow error. The client polls too often. Add five seconds to the \
             interval."
                .to_owned(),
        )
    }

    pub(crate) fn authorization_declined() -> Self {
        Self::bad_request(
            "authorization_declined",
            65004,
            "User declined to consent to access the app.".to_owned(),
        )
    }

    pub(crate) fn device_code_expired() -> Self {
        Self::bad_request(
            "expired_token",
            70020,
            "The provided value for the input parameter 'device_code' is not valid. This device \
             code has expired."
                .to_owned(),
        )
    }

    pub(crate) fn bad_device_code() -> Self {
        Self::bad_request(
            "bad_verification_code",
            70018,
            "The provided value for the input parameter 'device_code' is not valid.".to_owned(),
        )
    }
}

/// Of the on-behalf-of flow (Microsoft Learn, "Microsoft identity platform and OAuth 2.0
/// On-Behalf-Of flow").
impl Refusal {
    pub(crate) fn not_on_behalf_of(found: &str) -> Self {
        Self::bad_request(
            "invalid_request",
            90023,
            format!("Unsupported 'requested_token_use' value '{found}'."),
        )
    }

    /// The assertion is no token that this tenant signed.
    pub(crate) fn user_assertion_invalid(reason: &str) -> Self {
        Self::bad_request(
            "invalid_grant",
            50013,
            format!("Assertion failed signature validation. [Reason - {reason}]"),
        )
    }

    pub(crate) fn user_assertion_for_another(found: &str, app_id: &str, name: &str) -> Self {
        Self::bad_request(
            "invalid_grant",
            500_131,
            format!(
                "Assertion audience does not match the Client app presenting the assertion. The \
                 audience in the assertion was '{found}' and the expected audience is '{app_id}' \
                 or one of the Application Uris of this application with App ID \
                 '{app_id}'({name}). The downstream client must request a token for the expected \
                 audience (the application that made the OBO request) and this application \
                 should use that token as the assertion."
            ),
        )
    }

    pub(crate) fn user_assertion_expired(now: OffsetDateTime, expiry: OffsetDateTime) -> Self {
        Self::bad_request(
            "invalid_grant",
            500_133,
            format!(
                "Assertion is not within its valid time range. Ensure that the access token is \
                 not expired before using it for user assertion, or request a new token. Current \
                 time: {}, expiry time of assertion {}.",
                precise(now),
                precise(expiry),
            ),
        )
    }

    /// The assertion is the token of an application.
    pub(crate) fn not_allowed_on_behalf_of(app_id: &str) -> Self {
        Self::bad_request(
            "invalid_grant",
            7_000_114,
            format!(
                "Application '{app_id}' is not allowed to make application on-behalf-of calls."
            ),
        )
    }
}

fn consent_text(app_id: &str, name: &str) -> String {
    format!(
        "The user or administrator has not consented to use the application with ID '{app_id}' \
         named '{name}'. Send an interactive authorization request for this user and resource."
    )
}
