//! The refusals of the authorization endpoint.
//!
//! Microsoft Learn, "Microsoft identity platform and OAuth 2.0 authorization code flow".

use super::Refusal;

impl Refusal {
    pub(crate) fn no_redirect_uri() -> Self {
        Self::bad_request(
            "invalid_request",
            900_971,
            "No reply address provided.".to_owned(),
        )
    }

    pub(crate) fn redirect_uri_unknown(uri: &str, app_id: &str) -> Self {
        Self::bad_request(
            "invalid_request",
            50011,
            format!(
                "The redirect URI '{uri}' specified in the request does not match the redirect \
                 URIs configured for the application '{app_id}'. Make sure the redirect URI sent \
                 in the request matches one added to your application in the Azure portal. \
                 Navigate to https://aka.ms/redirectUriMismatchError to learn more about how to \
                 fix this."
            ),
        )
    }

    pub(crate) fn unsupported_response_type(text: &str) -> Self {
        Self::bad_request(
            "unsupported_response_type",
            70005,
            format!("The response type '{text}' is not supported."),
        )
    }

    /// Access tokens come from the token endpoint alone here.
    pub(crate) fn token_from_authorization_endpoint() -> Self {
        Self::bad_request(
            "unsupported_response_type",
            700_051,
            "response_type 'token' is not enabled for the application.".to_owned(),
        )
    }

    pub(crate) fn id_token_not_enabled() -> Self {
        Self::bad_request(
            "unsupported_response_type",
            700_054,
            "response_type 'id_token' is not enabled for the application.".to_owned(),
        )
    }

    pub(crate) fn id_token_without_openid() -> Self {
        Self::bad_request(
            "invalid_request",
            70005,
            "response type 'id_token' requires the 'OpenID' scope.".to_owned(),
        )
    }

    pub(crate) fn unsupported_response_mode(mode: &str) -> Self {
        Self::bad_request(
            "invalid_request",
            70007,
            format!(
                "'{mode}' is not a supported value of 'response_mode' when requesting a token."
            ),
        )
    }

    pub(crate) fn unsupported_value(parameter: &str, value: &str) -> Self {
        Self::bad_request(
            "invalid_request",
            90023,
            format!("Unsupported '{parameter}' value '{value}'."),
        )
    }

    pub(crate) fn code_challenge_size() -> Self {
        Self::bad_request(
            "invalid_request",
            50147,
            "The size of the code challenge parameter is not valid.".to_owned(),
        )
    }

    /// `prompt=none` without a session.
    pub(crate) fn login_required() -> Self {
        Self::bad_request(
            "login_required",
            50058,
            "A silent sign-in request was sent but no user is signed in.".to_owned(),
        )
    }

    /// `prompt=none` where several accounts are signed in and no hint names one.
    pub(crate) fn several_accounts() -> Self {
        Self::bad_request(
            "interaction_required",
            16000,
            "Either multiple user identities are available for the current request or selected \
             account is not supported for the scenario."
                .to_owned(),
        )
    }

    /// The client asks for everything of a resource and declared nothing of it.
    pub(crate) fn resource_not_declared(client: (&str, &str), resource: (&str, &str)) -> Self {
        Self::bad_request(
            "invalid_resource",
            650_057,
            format!(
                "Invalid resource. The client has requested access to a resource which is not \
                 listed in the requested permissions in the client's application registration. \
                 Client app ID: {}({}). Resource value from request: {}. Resource app ID: {}.",
                client.0, client.1, resource.0, resource.1
            ),
        )
    }

    /// What was blocked is denied; everything else may be asked for again, and shown.
    pub(crate) fn at_authorization_endpoint(self) -> Self {
        let error = match self.code {
            53003 => "access_denied",
            _ => "interaction_required",
        };
        Self { error, ..self }
    }

    /// The same refusal as a client learns of it that may show nothing.
    pub(crate) fn needing_interaction(self) -> Self {
        Self {
            error: "interaction_required",
            ..self
        }
    }
}
