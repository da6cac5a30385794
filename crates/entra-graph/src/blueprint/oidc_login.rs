//! What a login by OpenID Connect needs of a registration, as one declaration.

use super::{Blueprint, GroupClaims, Platform};
use crate::Permission;
use entra_core::Cloud;

/// A login by OpenID Connect: what [`Blueprint::with_oidc_login`] declares.
///
/// Always: the delegated permissions `openid` and `profile` with admin consent (without `profile`
/// an ID token has no `oid`, and the user no identity), no tokens from the authorization endpoint,
/// and three claims that ID tokens leave out unless a registration asks for them (Microsoft Learn,
/// "Optional claims reference"):
///
/// | Claim | What for |
/// |---|---|
/// | `login_hint` | signs the same user in again without a question, and out without one |
/// | `auth_time` | how long ago the user proved who they are, where a login sets a limit |
/// | `acct` | whether the user is a guest |
///
/// The others come with what needs them: `sid` with a logout URL, `email` and `xms_edov` with
/// [`with_email`](Self::with_email), `acrs` with [`with_step_up`](Self::with_step_up). Not asked
/// for is `verified_primary_email`: few accounts have it, and `xms_edov` says of `email` whether
/// its domain's owner was verified.
///
/// ```
/// use entra_graph::{Blueprint, GroupClaims, OidcLogin};
///
/// let login = OidcLogin::new()
///     .with_web_redirect_uri("https://vault.example/auth/contoso/callback")
///     .with_logout_url("https://vault.example/auth/contoso/front-channel-logout")
///     .with_custom_scheme("acmevault://auth")
///     .with_groups(GroupClaims::Assigned)
///     .with_step_up();
/// let blueprint = Blueprint::new("acme-vault", "Acme Vault").with_oidc_login(login);
/// # assert_eq!(blueprint.permissions().len(), 2);
/// ```
#[derive(Clone, Debug, Default)]
pub struct OidcLogin {
    redirect_uris: Vec<(Platform, String)>,
    logout_url: Option<String>,
    claims: Vec<&'static str>,
    scopes: Vec<&'static str>,
    groups: Option<GroupClaims>,
}

impl OidcLogin {
    /// A login that has no redirect URI yet: add those of each kind of client.
    pub fn new() -> Self {
        Self::default()
    }

    /// A server that redeems the code with its own credential.
    #[must_use]
    pub fn with_web_redirect_uri(self, uri: impl Into<String>) -> Self {
        self.with_redirect_uri(Platform::Web, uri)
    }

    /// A page in the browser that redeems the code itself.
    #[must_use]
    pub fn with_single_page_redirect_uri(self, uri: impl Into<String>) -> Self {
        self.with_redirect_uri(Platform::SinglePage, uri)
    }

    /// A redirect URI of any platform.
    #[must_use]
    pub fn with_redirect_uri(mut self, platform: Platform, uri: impl Into<String>) -> Self {
        self.redirect_uris.push((platform, uri.into()));
        self
    }

    /// A program that opens the system's browser and listens on a port of this machine (RFC 8252
    /// 7.3): `http://localhost`, where Entra takes any port.
    #[must_use]
    pub fn with_loopback(self) -> Self {
        self.with_redirect_uri(Platform::PublicClient, "http://localhost")
    }

    /// An app on a device that has a URI scheme of its own (RFC 8252 7.1), such as `acme://auth`.
    #[must_use]
    pub fn with_custom_scheme(self, uri: impl Into<String>) -> Self {
        self.with_redirect_uri(Platform::PublicClient, uri)
    }

    /// A program with a browser window of its own, which closes at the cloud's page for that.
    #[must_use]
    pub fn with_native_client(self, cloud: &Cloud) -> Self {
        let uri = cloud.login_url().join("common/oauth2/nativeclient");
        // The URL of a cloud is a base, so there is always one.
        let uri = uri.map(String::from).unwrap_or_default();
        self.with_redirect_uri(Platform::PublicClient, uri)
    }

    /// An extension of Chrome, Edge and others of their kind, by its id of 32 letters from a to p.
    /// The platform is that of whoever redeems the code: [`Platform::SinglePage`] for the
    /// extension itself, [`Platform::Web`] for a server behind it.
    #[must_use]
    pub fn with_chromium_extension(self, platform: Platform, id: &str) -> Self {
        self.with_redirect_uri(platform, format!("https://{id}.chromiumapp.org/"))
    }

    /// An extension of Firefox, by the 40 hexadecimal digits that `identity.getRedirectURL()` has.
    /// The platform is that of whoever redeems the code.
    #[must_use]
    pub fn with_firefox_extension(self, platform: Platform, id: &str) -> Self {
        self.with_redirect_uri(platform, format!("https://{id}.extensions.allizom.org/"))
    }

    /// Where Entra says that a user signed out elsewhere (front-channel logout). It names its
    /// session alone, so ID tokens get the claim `sid`.
    #[must_use]
    pub fn with_logout_url(mut self, url: impl Into<String>) -> Self {
        self.logout_url = Some(url.into());
        self.with_claims(&["sid"])
    }

    /// The user's address, and whether the owner of its domain was verified: the scope `email`, and
    /// the claims `email` and `xms_edov`. It is for mail and for display. Nobody is found by it.
    #[must_use]
    pub fn with_email(mut self) -> Self {
        self.scopes.push("email");
        self.with_claims(&["email", "xms_edov"])
    }

    /// Given name and family name apart; the whole name is always there.
    #[must_use]
    pub fn with_name_parts(self) -> Self {
        self.with_claims(&["given_name", "family_name"])
    }

    /// Refresh tokens: the product calls services for the user while the user is away.
    #[must_use]
    pub fn with_offline_access(mut self) -> Self {
        self.scopes.push("offline_access");
        self
    }

    /// Groups in tokens. Application roles ([`Blueprint::with_app_role`]) are the better choice
    /// where a product has a fixed set of rights: they fit into every token, and have names.
    #[must_use]
    pub fn with_groups(mut self, groups: GroupClaims) -> Self {
        self.groups = Some(groups);
        self
    }

    /// Asks for a stronger sign-in before some actions: the claim `acrs` says which authentication
    /// contexts were fulfilled.
    #[must_use]
    pub fn with_step_up(self) -> Self {
        self.with_claims(&["acrs"])
    }

    fn with_claims(mut self, claims: &[&'static str]) -> Self {
        self.claims.extend(claims);
        self
    }
}

impl Blueprint {
    /// Wants what a login by OpenID Connect needs, beside what the blueprint has already.
    #[must_use]
    pub fn with_oidc_login(mut self, login: OidcLogin) -> Self {
        for name in ALWAYS_SCOPES.into_iter().chain(login.scopes) {
            self = self.with_permission(Permission::delegated(name));
        }
        for claim in ALWAYS_CLAIMS.into_iter().chain(login.claims) {
            self = self.with_id_token_claim(claim);
        }
        self.redirect_uris.extend(login.redirect_uris);
        self.logout_url = login.logout_url.or(self.logout_url);
        self.groups = login.groups.or(self.groups);
        self
    }
}

const ALWAYS_SCOPES: [&str; 2] = ["openid", "profile"];
const ALWAYS_CLAIMS: [&str; 3] = ["login_hint", "auth_time", "acct"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_client_has_its_redirect_uri_on_its_platform() {
        use Platform::{PublicClient, SinglePage, Web};
        let id = "abcdefghijklmnopabcdefghijklmnop";
        let digits = "0123456789abcdef0123456789abcdef01234567";
        let login = OidcLogin::new()
            .with_web_redirect_uri("https://a.example/callback")
            .with_single_page_redirect_uri("https://a.example/app")
            .with_loopback()
            .with_custom_scheme("acme://auth")
            .with_native_client(&Cloud::us_government())
            .with_chromium_extension(SinglePage, id)
            .with_firefox_extension(Web, digits);
        let blueprint = Blueprint::new("a", "A").with_oidc_login(login);
        let uris: Vec<_> = blueprint
            .redirect_uris
            .iter()
            .map(|(platform, uri)| (*platform, uri.as_str()))
            .collect();
        assert_eq!(
            uris,
            [
                (Web, "https://a.example/callback"),
                (SinglePage, "https://a.example/app"),
                (PublicClient, "http://localhost"),
                (PublicClient, "acme://auth"),
                (
                    PublicClient,
                    "https://login.microsoftonline.us/common/oauth2/nativeclient"
                ),
                (
                    SinglePage,
                    "https://abcdefghijklmnopabcdefghijklmnop.chromiumapp.org/"
                ),
                (
                    Web,
                    "https://0123456789abcdef0123456789abcdef01234567.extensions.allizom.org/"
                ),
            ]
        );
        assert_eq!(blueprint.faults(), []);
    }

    #[test]
    fn a_claim_comes_with_what_needs_it_and_once() {
        let claims = |login: OidcLogin| {
            let blueprint = Blueprint::new("a", "A").with_oidc_login(login);
            blueprint.id_token_claims.join(" ")
        };
        assert_eq!(claims(OidcLogin::new()), "login_hint auth_time acct");
        let all = OidcLogin::new()
            .with_logout_url("https://a.example/out")
            .with_email()
            .with_email()
            .with_name_parts()
            .with_step_up();
        assert_eq!(
            claims(all),
            "login_hint auth_time acct sid email xms_edov given_name family_name acrs"
        );
    }

    #[test]
    fn a_login_takes_nothing_back_of_what_the_blueprint_has() {
        let blueprint = Blueprint::new("a", "A")
            .with_logout_url("https://a.example/out")
            .with_permission(Permission::delegated("openid"))
            .with_permission(Permission::delegated("User.Read"))
            .with_group_claims(GroupClaims::All)
            .with_oidc_login(OidcLogin::new().with_offline_access());
        let names: Vec<_> = blueprint
            .permissions()
            .iter()
            .map(Permission::name)
            .collect();
        assert_eq!(names, ["openid", "User.Read", "profile", "offline_access"]);
        assert_eq!(blueprint.groups, Some(GroupClaims::All));
        assert_eq!(
            blueprint.logout_url.as_deref(),
            Some("https://a.example/out")
        );
    }
}
