//! The error codes of Microsoft Entra ID as data: what each means, and what mends it.
//!
//! Source: Microsoft Learn, "Microsoft Entra authentication and authorization error codes", and for
//! the codes that it lacks (such as 700024 and 7000229) what users report. The codes explain.
//! Control flow follows the status, `error`, `suberror` and `claims`, since Microsoft reserves the
//! right to change the codes.

use RetryClass::{AdminAction, Configuration, Credential, Throttled, Transient, UserInteraction};
use TokenErrorKind as Kind;

/// What is wrong, as far as the code tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TokenErrorKind {
    /// The client secret expired.
    SecretExpired,
    /// The client secret is wrong.
    SecretInvalid,
    /// No credential was sent.
    CredentialMissing,
    /// A credential was sent for an app that is registered as a public client.
    PublicClientWithSecret,
    /// The certificate is not among those of the app.
    CertificateNotRegistered,
    /// The assertion's signature does not verify.
    AssertionSignature,
    /// The certificate was revoked.
    CertificateRevoked,
    /// The certificate expired, or is not valid yet.
    CertificateExpired,
    /// The assertion's times do not fit the service's clock.
    ClockSkew,
    /// The certificate's subject or issuer is not authorised.
    CertificateNotAuthorized,
    /// The user's assertion of an on-behalf-of request is invalid or expired.
    UserAssertionExpired,
    /// The user's assertion of an on-behalf-of request is for another application.
    UserAssertionAudience,
    /// The app is disabled.
    AppDisabled,
    /// The app is not in this tenant.
    AppNotFound,
    /// There is no such tenant.
    TenantNotFound,
    /// The tenant lives in another national cloud.
    WrongCloud,
    /// The app serves one tenant, or the grant needs one.
    SingleTenantApp,
    /// Consent is missing.
    ConsentRequired,
    /// The user declined consent.
    ConsentDeclined,
    /// The resource is not in the tenant, or was not granted.
    ResourceNotAvailable,
    /// The request is malformed.
    InvalidRequest,
    /// The registration does not fit the request, a redirect URI for example.
    RegistrationMismatch,
    /// The user is not assigned to the app.
    UserNotAssigned,
    /// The user is not in the tenant.
    UserNotInTenant,
    /// The user is disabled.
    UserDisabled,
    /// The user's password is wrong or expired, or the account is locked.
    UserPassword,
    /// A second factor is needed.
    MfaRequired,
    /// The device does not satisfy a policy.
    DevicePolicy,
    /// Conditional Access blocks the sign-in.
    ConditionalAccess,
    /// The session or the refresh token ended.
    SessionExpired,
    /// The authorization code cannot be redeemed.
    AuthCodeInvalid,
    /// The user has not yet finished the device code flow.
    AuthorizationPending,
    /// The device code expired.
    DeviceCodeExpired,
    /// The user declined the device code. No code says it: `error` does.
    DeviceCodeDeclined,
    /// The client asks for the same token in a loop.
    ClientLoop,
    /// Too many requests.
    Throttled,
    /// The service is not available for a moment.
    ServiceUnavailable,
    /// The service failed in a way that asking again does not mend.
    ServiceError,
    /// A policy of the tenant, or between tenants, forbids it.
    TenantPolicy,
    /// The regional sign-in service is not for this app.
    RegionalNotAllowed,
    /// The app may not act on behalf of users.
    OboNotAllowed,
    /// The federated identity credential does not match.
    FederatedCredential,
    /// A code that is not in the table.
    Other,
}

/// What to do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RetryClass {
    /// Ask again in a moment.
    Transient,
    /// Wait first.
    Throttled,
    /// Another credential is needed; the same one will be refused again.
    Credential,
    /// An administrator has to act.
    AdminAction,
    /// The user has to sign in again.
    UserInteraction,
    /// The settings or the program are wrong.
    Configuration,
}

/// One row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Explanation {
    /// What is wrong.
    pub kind: TokenErrorKind,
    /// What to do.
    pub class: RetryClass,
    /// Whether it passes by itself within minutes where the app, its credential or its consent
    /// was changed just now.
    pub propagation: bool,
    /// The step that mends it, for an administrator.
    pub remedy: &'static str,
}

/// What an AADSTS code means. `None` for a code that is not in the table: the error's class then
/// follows from `error` alone.
///
/// ```
/// use entra_core::{TokenErrorKind, explain_aadsts};
///
/// let row = explain_aadsts(7_000_222).unwrap();
/// assert_eq!(row.kind, TokenErrorKind::SecretExpired);
/// // Whole numbers are compared: 700027 is not 7000277.
/// assert_ne!(explain_aadsts(700_027), explain_aadsts(7_000_277));
/// ```
pub fn explain_aadsts(code: u32) -> Option<&'static Explanation> {
    TABLE
        .iter()
        .find(|(codes, _)| codes.contains(&code))
        .map(|(_, explanation)| explanation)
}

/// Every code of the table with its explanation.
pub fn aadsts_codes() -> impl Iterator<Item = (u32, &'static Explanation)> {
    TABLE
        .iter()
        .flat_map(|(codes, explanation)| codes.iter().map(move |code| (*code, explanation)))
}

/// What `error` says without a doubt, whatever the code (RFC 8628 3.5).
pub(crate) fn kind_of(error: &str) -> Option<TokenErrorKind> {
    match error {
        "authorization_pending" => Some(Kind::AuthorizationPending),
        "authorization_declined" => Some(Kind::DeviceCodeDeclined),
        "expired_token" => Some(Kind::DeviceCodeExpired),
        _ => None,
    }
}

/// The class where only `error` is known (RFC 6749 5.2, RFC 8628 3.5, OpenID Connect Core 3.1.2.6).
pub(crate) fn class_of(error: &str) -> RetryClass {
    match error {
        "invalid_client" => Credential,
        "unauthorized_client" | "access_denied" | "consent_required" => AdminAction,
        "invalid_grant"
        | "interaction_required"
        | "login_required"
        | "expired_token"
        | "authorization_pending"
        | "authorization_declined" => UserInteraction,
        "slow_down" => Throttled,
        "temporarily_unavailable" | "server_error" => Transient,
        _ => Configuration,
    }
}

/// The codes named in a text, as whole numbers: an authorization response has no `error_codes`.
pub(crate) fn codes_in(text: &str) -> Vec<u32> {
    text.split("AADSTS")
        .skip(1)
        .filter_map(|rest| {
            let end = rest
                .find(|c: char| !c.is_ascii_digit())
                .unwrap_or(rest.len());
            rest.get(..end)?.parse().ok()
        })
        .collect()
}

const fn row(kind: TokenErrorKind, class: RetryClass, remedy: &'static str) -> Explanation {
    Explanation {
        kind,
        class,
        propagation: false,
        remedy,
    }
}

const fn propagating(kind: TokenErrorKind, class: RetryClass, remedy: &'static str) -> Explanation {
    Explanation {
        kind,
        class,
        propagation: true,
        remedy,
    }
}

const TABLE: &[(&[u32], Explanation)] = &[
    (
        &[7000222],
        row(
            Kind::SecretExpired,
            Credential,
            "The client secret expired. Create a new one under App registrations > Certificates & \
             secrets and enter its value.",
        ),
    ),
    (
        &[7000215, 70002],
        propagating(
            Kind::SecretInvalid,
            Credential,
            "The client secret is wrong. Enter the secret's Value, which the portal shows only \
             once, not its Secret ID.",
        ),
    ),
    (
        &[7000216, 7000218],
        row(
            Kind::CredentialMissing,
            Configuration,
            "The app must sign in with a client secret or a certificate, and none was sent. Enter \
             one, and switch off «Allow public client flows».",
        ),
    ),
    (
        &[700025],
        row(
            Kind::PublicClientWithSecret,
            Configuration,
            "The redirect URI belongs to a public client, which has no secret. Register it under \
             the platform Web.",
        ),
    ),
    (
        &[700027],
        propagating(
            Kind::CertificateNotRegistered,
            Credential,
            "The certificate is not registered for this app. Upload its public part under App \
             registrations > Certificates & secrets > Certificates.",
        ),
    ),
    (
        &[7000274],
        row(
            Kind::AssertionSignature,
            Credential,
            "The signature does not fit the registered certificate. Upload the certificate that \
             belongs to the private key in use.",
        ),
    ),
    (
        &[7000214, 7000277],
        row(
            Kind::CertificateRevoked,
            Credential,
            "The certificate was revoked. Generate a new one and upload its public part.",
        ),
    ),
    (
        &[1000502],
        row(
            Kind::CertificateExpired,
            Credential,
            "The certificate expired or is not valid yet. Generate a new one and upload its public \
             part.",
        ),
    ),
    (
        &[700024],
        row(
            Kind::ClockSkew,
            Configuration,
            "The clock of this machine is wrong. Synchronise it with a time server.",
        ),
    ),
    (
        &[700030, 50012],
        row(
            Kind::CertificateNotAuthorized,
            AdminAction,
            "The certificate's subject or issuer is not authorised for this app. Register the \
             certificate itself, or correct the trusted subject and issuer.",
        ),
    ),
    (
        &[50013, 500133],
        row(
            Kind::UserAssertionExpired,
            UserInteraction,
            "The user's token is invalid or expired. The user has to sign in again.",
        ),
    ),
    (
        &[500131],
        row(
            Kind::UserAssertionAudience,
            Configuration,
            "The user's token was issued for another API. The program in front has to ask for a \
             token with a scope of this app.",
        ),
    ),
    (
        &[7000112],
        row(
            Kind::AppDisabled,
            AdminAction,
            "The app is disabled. Enable it under Enterprise applications > Properties > «Enabled \
             for users to sign-in?».",
        ),
    ),
    (
        &[70001, 700011, 700016, 7000229],
        propagating(
            Kind::AppNotFound,
            AdminAction,
            "There is no app with this application (client) id in this tenant, or it has no service \
             principal there. Compare both ids with the app's overview page; an app of another \
             tenant needs admin consent here first.",
        ),
    ),
    (
        &[90002, 900023, 90019, 50059],
        row(
            Kind::TenantNotFound,
            Configuration,
            "There is no such tenant in this cloud. Compare the directory (tenant) id with the \
             tenant's overview page, and check which national cloud it lives in.",
        ),
    ),
    (
        &[90038, 900382, 900432],
        row(
            Kind::WrongCloud,
            Configuration,
            "The tenant lives in another national cloud. Choose that cloud in the settings.",
        ),
    ),
    (
        &[50194, 9001023],
        row(
            Kind::SingleTenantApp,
            Configuration,
            "The app or the grant works with one tenant only. Enter the tenant's id instead of \
             common or organizations.",
        ),
    ),
    (
        &[65001, 90094, 90095, 650056, 90008],
        propagating(
            Kind::ConsentRequired,
            AdminAction,
            "Consent is missing. An administrator grants it under API permissions > «Grant admin \
             consent».",
        ),
    ),
    (
        &[65004],
        row(
            Kind::ConsentDeclined,
            UserInteraction,
            "The user declined consent. Sign in again and accept, or let an administrator consent.",
        ),
    ),
    (
        &[650057, 500011, 50001, 650052, 650053, 650054, 65005],
        propagating(
            Kind::ResourceNotAvailable,
            AdminAction,
            "The requested API is not in this tenant or was not granted to the app. Check the \
             scope, and add the API under API permissions.",
        ),
    ),
    (
        &[70011, 700022, 28002, 900144, 50027, 1002012],
        row(
            Kind::InvalidRequest,
            Configuration,
            "The request is malformed: a missing parameter, or scopes of two APIs at once. Correct \
             the settings or update the product.",
        ),
    ),
    (
        &[
            50011, 500112, 700054, 70005, 9002313, 9002326, 9002327, 900971,
        ],
        row(
            Kind::RegistrationMismatch,
            AdminAction,
            "The app's registration does not fit. Register the redirect URI exactly as the product \
             shows it, under the platform that it names.",
        ),
    ),
    (
        &[50105],
        row(
            Kind::UserNotAssigned,
            AdminAction,
            "The user is not assigned to the app. Assign the user or one of the user's groups under \
             Enterprise applications > Users and groups.",
        ),
    ),
    (
        &[50020, 50034, 51004, 50014, 90072, 16000, 16003],
        row(
            Kind::UserNotInTenant,
            AdminAction,
            "The user is not in this tenant. Invite the user as a guest, or sign in with another \
             account.",
        ),
    ),
    (
        &[50057],
        row(
            Kind::UserDisabled,
            AdminAction,
            "The user is disabled. Enable the account under Users.",
        ),
    ),
    (
        &[50055, 50144, 50126, 50053],
        row(
            Kind::UserPassword,
            UserInteraction,
            "The password is wrong or expired, or the account is locked. The user signs in again or \
             resets the password.",
        ),
    ),
    (
        &[50076, 50079, 50072, 50074, 50078, 50158],
        row(
            Kind::MfaRequired,
            UserInteraction,
            "A second factor is needed. The user has to sign in again and confirm it.",
        ),
    ),
    (
        &[53000, 53001, 53002, 50097, 50129, 50131, 50005],
        row(
            Kind::DevicePolicy,
            UserInteraction,
            "The device does not satisfy the tenant's policy. Enrol it, or use one that is \
             compliant.",
        ),
    ),
    (
        &[53003, 530032, 53004, 53011, 530035],
        row(
            Kind::ConditionalAccess,
            AdminAction,
            "Conditional Access blocks this sign-in. Look at the sign-in log for the policy's name; \
             for an app without a user, workload identity policies count too.",
        ),
    ),
    (
        &[
            50173, 50132, 50133, 70043, 70008, 700082, 700084, 50089, 70000,
        ],
        row(
            Kind::SessionExpired,
            UserInteraction,
            "The session ended. The user has to sign in again.",
        ),
    ),
    (
        &[54005, 501481, 700005, 70003],
        row(
            Kind::AuthCodeInvalid,
            UserInteraction,
            "The sign-in cannot be finished. Start it again.",
        ),
    ),
    (
        &[70016],
        row(
            Kind::AuthorizationPending,
            UserInteraction,
            "The user has not entered the code yet.",
        ),
    ),
    (
        // 70018 is a code that was mistyped.
        &[70018, 70019, 70020],
        row(
            Kind::DeviceCodeExpired,
            UserInteraction,
            "The code is not valid any more. Start again, and enter the new one.",
        ),
    ),
    (
        &[50196],
        row(
            Kind::ClientLoop,
            Throttled,
            "The app asks for the same token over and over. Use one client with its cache, and wait \
             some minutes.",
        ),
    ),
    (
        &[90055],
        row(
            Kind::Throttled,
            Throttled,
            "Too many requests of this tenant. Wait, then try again.",
        ),
    ),
    (
        &[
            90033, 90006, 90024, 90090, 50033, 50087, 90012, 40010, 80005,
        ],
        row(
            Kind::ServiceUnavailable,
            Transient,
            "The sign-in service is not available for a moment. Try again.",
        ),
    ),
    (
        &[90036, 90092, 50000],
        row(
            Kind::ServiceError,
            Configuration,
            "The sign-in service failed. Quote the trace id in a support case with Microsoft.",
        ),
    ),
    (
        &[500021, 500022, 500212, 500213, 50002],
        row(
            Kind::TenantPolicy,
            AdminAction,
            "A policy of the tenant or of the network forbids access. Look at tenant restrictions \
             and cross-tenant access settings.",
        ),
    ),
    (
        &[100007],
        row(
            Kind::RegionalNotAllowed,
            Configuration,
            "The regional sign-in service is not for this app. Use the global one.",
        ),
    ),
    (
        &[7000114],
        row(
            Kind::OboNotAllowed,
            AdminAction,
            "The app may not act on behalf of users. Expose an API and consent to its scopes.",
        ),
    ),
    (
        &[
            700229, 70021, 70025, 700211, 700212, 700213, 700214, 7000272, 7002137, 7002138,
        ],
        propagating(
            Kind::FederatedCredential,
            AdminAction,
            "No federated credential of the app matches the assertion. Compare issuer, subject and \
             audience, letter by letter.",
        ),
    ),
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_code_stands_twice_and_every_remedy_is_a_sentence() {
        let mut seen = HashSet::new();
        for (code, row) in aadsts_codes() {
            assert!(seen.insert(code), "AADSTS{code} stands twice");
            assert!(row.remedy.ends_with('.'), "AADSTS{code}");
        }
        assert!(seen.len() > 100, "{}", seen.len());
    }

    #[test]
    fn codes_are_read_as_whole_numbers() {
        assert_eq!(
            codes_in("AADSTS7000277: revoked. See AADSTS700027, not AADSTS."),
            [7_000_277, 700_027]
        );
        assert_eq!(codes_in("no code"), [0_u32; 0]);
        assert_eq!(codes_in("AADSTS99999999999999999999: too long"), [0_u32; 0]);
    }

    #[test]
    fn an_unknown_code_has_no_row() {
        assert_eq!(explain_aadsts(1), None);
    }
}
