//! A registration for a login by OpenID Connect: planned, made, adopted, explained.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod local;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use entra_core::{AuthorizationRequest, Cloud, TokenRequest};
use entra_graph::{
    AppRole, Application, Blueprint, GroupClaims, Linked, MemoryHost, OidcLogin, OptionalClaim,
    OptionalClaims, Platform, Refusal, WebSettings,
};
use time::Duration;
use uuid::Uuid;

use local::LocalTenant;

const CALLBACK: &str = "https://vault.example/auth/contoso/callback";
const LOGOUT: &str = "https://vault.example/auth/contoso/logout";

#[tokio::test]
async fn a_new_tenant_gets_all_that_a_login_needs_and_a_second_plan_is_empty() {
    let tenant = LocalTenant::new();
    let graph = tenant.setup_graph();
    let plan = vault().plan(&graph).await.unwrap();
    assert_eq!(
        plan.to_string(),
        "Vault: a new application\n  \
         + app registration\n  \
         + web redirect URI https://vault.example/auth/contoso/callback\n  \
         + public client redirect URI http://localhost\n  \
         ~ front-channel logout URL: none => https://vault.example/auth/contoso/logout\n  \
         + claim login_hint in ID tokens\n  \
         + claim auth_time in ID tokens\n  \
         + claim acct in ID tokens\n  \
         + claim sid in ID tokens\n  \
         + claim email in ID tokens\n  \
         + claim xms_edov in ID tokens\n  \
         + claim acrs in ID tokens\n  \
         ~ groups in tokens: none => ApplicationGroup\n  \
         + app role Vault.Admin\n  \
         + API permission openid (delegated)\n  \
         + API permission profile (delegated)\n  \
         + API permission email (delegated)\n  \
         + service principal\n  \
         + admin consent to openid (delegated)\n  \
         + admin consent to profile (delegated)\n  \
         + admin consent to email (delegated)\n  \
         + client secret «Issued by blueprint» for 90 days\n"
    );

    let application = read(&tenant, &apply(&tenant, &vault()).await).await;
    let web = application.web.clone().unwrap();
    assert_eq!(web.redirect_uris.unwrap(), [CALLBACK]);
    assert_eq!(web.logout_url, Some(Some(LOGOUT.to_owned())));
    let implicit = web.implicit_grant_settings.unwrap_or_default();
    assert_ne!(implicit.enable_id_token_issuance, Some(true));
    assert_eq!(
        claims(&application),
        [
            "login_hint",
            "auth_time",
            "acct",
            "sid",
            "email",
            "xms_edov",
            "acrs"
        ]
    );
    assert_eq!(
        application.group_membership_claims,
        Some(Some("ApplicationGroup".to_owned()))
    );
    let role = &application.app_roles.as_ref().unwrap()[0];
    assert_eq!(role.value.as_deref(), Some("Vault.Admin"));
    assert_eq!(role.is_enabled, Some(true));
    assert_eq!(role.allowed_member_types.as_ref().unwrap(), &["User"]);
    assert!(vault().plan(&graph).await.unwrap().is_empty());

    // Nor does a second apply make the role anew.
    let again = read(&tenant, &apply(&tenant, &vault()).await).await;
    assert_eq!(again.app_roles, application.app_roles);
}

#[tokio::test]
async fn what_an_administrator_set_in_an_adopted_application_is_kept() {
    let tenant = LocalTenant::new();
    let graph = tenant.setup_graph();
    let linked = apply(&tenant, &Blueprint::new("by-hand", "By hand")).await;
    let theirs = Application {
        web: Some(WebSettings {
            redirect_uris: Some(vec!["https://other.example/callback".to_owned()]),
            ..WebSettings::default()
        }),
        optional_claims: Some(Some(OptionalClaims {
            id_token: Some(vec![claim("upn"), claim("email")]),
            access_token: Some(vec![claim("aud")]),
            saml2_token: Some(vec![claim("groups")]),
        })),
        group_membership_claims: Some(Some("SecurityGroup".to_owned())),
        app_roles: Some(vec![role("Their.Role", true)]),
        ..Application::default()
    };
    update(&tenant, &linked, &theirs).await;

    let adopted = vault().adopt(linked.client_id);
    let plan = adopted.plan(&graph).await.unwrap();
    let text = plan.to_string();
    for expected in [
        "redirect URI https://other.example/callback is kept",
        "~ groups in tokens: SecurityGroup => ApplicationGroup",
        "+ claim sid in ID tokens",
    ] {
        assert!(text.contains(expected), "{expected} is missing in\n{text}");
    }
    assert!(!text.contains("claim email in"), "{text}");

    adopted.apply(&graph, &MemoryHost::default()).await.unwrap();
    let application = read(&tenant, &linked).await;
    assert_eq!(
        claims(&application),
        [
            "upn",
            "email",
            "login_hint",
            "auth_time",
            "acct",
            "sid",
            "xms_edov",
            "acrs"
        ]
    );
    let optional = application.optional_claims.clone().unwrap().unwrap();
    assert_eq!(names(optional.access_token), ["aud"]);
    assert_eq!(names(optional.saml2_token), ["groups"]);
    let roles: Vec<_> = application.app_roles.iter().flatten().collect();
    assert_eq!(roles[0], &role("Their.Role", true));
    assert_eq!(roles[1].value.as_deref(), Some("Vault.Admin"));
    let uris = application.web.unwrap().redirect_uris.unwrap();
    assert_eq!(uris, ["https://other.example/callback", CALLBACK]);
}

#[tokio::test]
async fn a_setting_that_includes_the_groups_is_left_as_it_is() {
    let tenant = LocalTenant::new();
    let graph = tenant.setup_graph();
    let blueprint = Blueprint::new("groups", "Groups")
        .with_oidc_login(OidcLogin::new().with_groups(GroupClaims::Security));
    let linked = apply(&tenant, &blueprint).await;
    let wider = Application {
        group_membership_claims: Some(Some("All".to_owned())),
        ..Application::default()
    };
    update(&tenant, &linked, &wider).await;
    assert!(blueprint.plan(&graph).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_role_that_an_administrator_disabled_stays_disabled_and_is_told() {
    let tenant = LocalTenant::new();
    let graph = tenant.setup_graph();
    let linked = apply(&tenant, &vault()).await;
    let mut roles = read(&tenant, &linked).await.app_roles.unwrap();
    roles[0].is_enabled = Some(false);
    let disabled = Application {
        app_roles: Some(roles),
        ..Application::default()
    };
    update(&tenant, &linked, &disabled).await;
    let plan = vault().plan(&graph).await.unwrap();
    assert!(plan.is_empty(), "{plan}");
    assert!(
        plan.notes
            .contains(&"app role Vault.Admin is disabled, and is kept so".to_owned()),
        "{plan}"
    );
}

#[tokio::test]
async fn a_users_id_token_then_says_what_a_login_needs_and_nobody_is_asked_for_consent() {
    let tenant = LocalTenant::new();
    let (_, client) = tenant.link(&vault()).await;
    let request = TokenRequest::new(["openid", "profile", "email"]);
    let authorization =
        AuthorizationRequest::new(client.authority(), client.client_id(), CALLBACK, &request)
            .unwrap();
    let name = "samuel.osei@alpenglow.example";
    let back = tenant.emulator.sign_in_as(authorization.url(), name);
    let code = authorization.read_callback(back.unwrap().location.as_str());
    let session = client.redeem_code(&code.unwrap().with_exact_scope()).await;
    let token = session.unwrap().unverified_id_token().unwrap();
    let payload = token.expose().split('.').nth(1).unwrap();
    let claims = URL_SAFE_NO_PAD.decode(payload).unwrap();
    let claims: serde_json::Value = serde_json::from_slice(&claims).unwrap();
    for claim in ["oid", "name", "sid", "login_hint", "auth_time", "email"] {
        assert!(!claims[claim].is_null(), "{claim} is missing in {claims}");
    }
    assert_eq!(claims["acct"], 0);
}

#[tokio::test]
async fn what_no_tenant_would_accept_is_refused_before_anybody_is_asked() {
    let tenant = LocalTenant::new();
    let graph = tenant.setup_graph();
    let base = || Blueprint::new("refused", "Refused");
    let login = |login: OidcLogin| base().with_oidc_login(login);
    for (blueprint, expected) in [
        (
            login(OidcLogin::new().with_chromium_extension(Platform::SinglePage, "acme")),
            "the id of the browser extension",
        ),
        (
            login(OidcLogin::new().with_firefox_extension(Platform::Web, "acme")),
            "the id of the browser extension",
        ),
        (
            login(OidcLogin::new().with_logout_url("http://vault.example/")),
            "logout URL",
        ),
        (
            login(OidcLogin::new().with_redirect_uri(Platform::PublicClient, "http://[::1]/")),
            "IPv6",
        ),
        (
            login(OidcLogin::new().with_redirect_uri(Platform::Web, "acme://auth")),
            "for public clients only",
        ),
        (base().with_id_token_claim("a claim"), "name of a claim"),
        (base().with_id_token_claim(""), "name of a claim"),
        (
            base().with_app_role("two words", "Name", "Text"),
            "the app role \"two words\"",
        ),
        (base().with_app_role(".x", "Name", "Text"), "the app role"),
        (
            base()
                .with_app_role("x", "Name", "Text")
                .with_app_role("x", "Name", "Text"),
            "is there twice",
        ),
        (base().with_app_role("x", "", "Text"), "of an app role"),
        (base().with_app_role("x", "Name", "a\nb"), "of an app role"),
    ] {
        let plan = blueprint.plan(&graph).await.unwrap();
        assert_eq!(plan.refusals.len(), 1, "{expected}: {plan}");
        let refusal: &Refusal = &plan.refusals[0];
        assert!(refusal.to_string().contains(expected), "{refusal}");
        assert!(!refusal.remedy().is_empty());
    }
}

#[test]
fn the_guide_says_where_each_claim_and_role_is_set() {
    let guide = vault().guide(&Cloud::public());
    for expected in [
        "**Add a platform > Mobile and desktop applications**",
        "**Front-channel logout URL**: `https://vault.example/auth/contoso/logout`",
        "**Add optional claim > ID**",
        "  - `sid`\n",
        "  - `xms_edov`\n",
        "as `{\"name\": \"…\"}`",
        "**Add groups claim > Groups assigned to the application**",
        "**App roles > Create app role**",
        "**Value** `Vault.Admin`",
        "**ID tokens**, unchecked",
    ] {
        assert!(
            guide.contains(expected),
            "{expected} is missing in\n{guide}"
        );
    }
    let plain = Blueprint::new("plain", "Plain").guide(&Cloud::public());
    assert!(!plain.contains("Token configuration") && !plain.contains("App roles"));
}

fn vault() -> Blueprint {
    let login = OidcLogin::new()
        .with_web_redirect_uri(CALLBACK)
        .with_loopback()
        .with_logout_url(LOGOUT)
        .with_email()
        .with_groups(GroupClaims::Assigned)
        .with_step_up();
    Blueprint::new("vault", "Vault")
        .with_oidc_login(login)
        .with_app_role("Vault.Admin", "Administrator", "Manages the vault")
        .with_secret(Duration::days(90))
}

async fn apply(tenant: &LocalTenant, blueprint: &Blueprint) -> Linked {
    let host = MemoryHost::default();
    blueprint.apply(&tenant.setup_graph(), &host).await.unwrap()
}

async fn read(tenant: &LocalTenant, linked: &Linked) -> Application {
    let graph = tenant.setup_graph();
    graph.applications().get(&linked.object_id).await.unwrap()
}

/// Changes the registration as an administrator does, and waits until all replicas know.
async fn update(tenant: &LocalTenant, linked: &Linked, patch: &Application) {
    let graph = tenant.setup_graph();
    let updated = graph.applications().update(&linked.object_id, patch).await;
    updated.unwrap();
    tenant.emulator.advance(std::time::Duration::from_secs(600));
}

fn claims(application: &Application) -> Vec<String> {
    let optional = application.optional_claims.clone().unwrap().unwrap();
    names(optional.id_token)
}

fn names(claims: Option<Vec<OptionalClaim>>) -> Vec<String> {
    let claims = claims.unwrap_or_default().into_iter();
    claims.map(|claim| claim.name.unwrap()).collect()
}

fn claim(name: &str) -> OptionalClaim {
    OptionalClaim {
        name: Some(name.to_owned()),
        essential: Some(false),
        additional_properties: Some(Vec::new()),
        ..OptionalClaim::default()
    }
}

fn role(value: &str, is_enabled: bool) -> AppRole {
    AppRole {
        id: Some(Uuid::from_u128(7)),
        value: Some(value.to_owned()),
        is_enabled: Some(is_enabled),
        allowed_member_types: Some(vec!["User".to_owned()]),
        display_name: Some("Theirs".to_owned()),
        description: Some("Of an administrator".to_owned()),
    }
}
