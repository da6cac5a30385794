//! Plan, apply, test connection and guide against a local tenant.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod local;

use entra_core::{CertificateOptions, Clock as _, SigningCertificate};
use entra_graph::{
    Application, Blueprint, Change, Error, ImplicitGrantSettings, MemoryHost, Permission, Platform,
    RedirectUriFault, Refusal, SignInAudience, Target, WebSettings,
};
use time::Duration;

use local::{LocalTenant, certificate, help_desk};

#[tokio::test]
async fn a_second_plan_after_apply_is_empty() {
    let tenant = LocalTenant::new();
    let graph = tenant.setup_graph();
    let server = format!("https://mdm.{}", tenant.domain().await);
    let blueprint = Blueprint::new("mdm", "Device Manager")
        .with_audience(SignInAudience::AnyOrganization)
        .with_app_id_uri(&server)
        .with_app_id_uri("api://{client_id}")
        .with_web_redirect_uri(format!("{server}/callback"))
        .with_redirect_uri(Platform::PublicClient, "psrmobile://auth")
        .with_redirect_uri(Platform::SinglePage, format!("{server}/app"))
        .with_logout_url(format!("{server}/logout"))
        .with_permission(Permission::application("User.Read.All"))
        .with_permission(Permission::application("Group.Read.All"))
        .with_permission(Permission::delegated("openid"))
        .with_permission(Permission::delegated("profile"))
        .with_secret(Duration::days(180))
        .with_certificate(certificate(&tenant).certificate().clone());

    let plan = blueprint.plan(&graph).await.unwrap();
    assert_eq!(plan.target, Target::New);
    assert_eq!(plan.refusals, []);
    assert_eq!(plan.changes.first(), Some(&Change::CreateApplication));

    let linked = blueprint
        .apply(&graph, &MemoryHost::default())
        .await
        .unwrap();
    let second = blueprint.plan(&graph).await.unwrap();
    assert!(second.is_empty(), "{second}");
    assert!(
        matches!(second.target, Target::Existing { client_id, .. } if client_id == linked.client_id)
    );
}

#[tokio::test]
async fn a_second_apply_changes_nothing_and_issues_no_secret() {
    let tenant = LocalTenant::new();
    let graph = tenant.setup_graph();
    let first = help_desk()
        .apply(&graph, &MemoryHost::default())
        .await
        .unwrap();
    tenant.emulator.journal().clear();
    let host = MemoryHost::default();
    let second = help_desk().apply(&graph, &host).await.unwrap();
    assert_eq!(first, second);
    assert!(host.secret().is_none());
    let writes: Vec<_> = tenant
        .emulator
        .journal()
        .entries()
        .into_iter()
        .filter(|entry| entry.method != "GET" && entry.path.starts_with("/v1.0"))
        .map(|entry| format!("{} {}", entry.method, entry.path))
        .collect();
    assert_eq!(writes, [""; 0]);
}

#[tokio::test]
async fn what_an_administrator_added_is_kept() {
    let tenant = LocalTenant::new();
    let graph = tenant.setup_graph();
    let more = help_desk()
        .with_web_redirect_uri("https://other.example/callback")
        .with_permission(Permission::application("Application.Read.All"))
        .with_permission(Permission::delegated("email"));
    let linked = more.apply(&graph, &MemoryHost::default()).await.unwrap();

    let renamed = Blueprint::new("help-desk", "Help Desk 2")
        .with_web_redirect_uri("https://desk.example/callback")
        .with_permission(Permission::application("User.Read.All"))
        .with_permission(Permission::delegated("openid"))
        .with_secret(Duration::days(90));
    let plan = renamed.plan(&graph).await.unwrap();
    let text = plan.to_string();
    assert!(
        text.contains("redirect URI https://other.example/callback is kept"),
        "{text}"
    );
    assert!(
        text.contains("~ display name: Help Desk => Help Desk 2"),
        "{text}"
    );
    renamed.apply(&graph, &MemoryHost::default()).await.unwrap();

    let application = graph.applications().get(&linked.object_id).await.unwrap();
    let web = application.web.unwrap();
    assert_eq!(
        web.redirect_uris.unwrap(),
        [
            "https://other.example/callback",
            "https://desk.example/callback"
        ]
    );
    let mut grants = graph.consent().scopes_of(&linked.service_principal_id);
    let grant = grants.try_next().await.unwrap().unwrap();
    let mut scopes: Vec<_> = grant.scope.as_deref().unwrap().split(' ').collect();
    scopes.sort_unstable();
    assert_eq!(scopes, ["email", "openid"]);
}

#[tokio::test]
async fn id_tokens_that_were_switched_on_are_switched_off() {
    let tenant = LocalTenant::new();
    let graph = tenant.setup_graph();
    let linked = help_desk()
        .apply(&graph, &MemoryHost::default())
        .await
        .unwrap();
    let application = Application {
        web: Some(WebSettings {
            implicit_grant_settings: Some(ImplicitGrantSettings {
                enable_id_token_issuance: Some(true),
                ..ImplicitGrantSettings::default()
            }),
            ..WebSettings::default()
        }),
        ..Application::default()
    };
    graph
        .applications()
        .update(&linked.object_id, &application)
        .await
        .unwrap();
    tenant.emulator.advance(std::time::Duration::from_secs(600));

    let plan = help_desk().plan(&graph).await.unwrap();
    assert_eq!(plan.changes, [Change::DisableImplicitGrant]);
    help_desk()
        .apply(&graph, &MemoryHost::default())
        .await
        .unwrap();
    assert!(help_desk().plan(&graph).await.unwrap().is_empty());
}

#[tokio::test]
async fn each_refusal_of_the_tenant_is_found_before_anything_is_changed() {
    let tenant = LocalTenant::new();
    let graph = tenant.setup_graph();
    let now = tenant.emulator.clock().now();
    let expired = SigningCertificate::generate(
        &CertificateOptions::new("Old").with_validity(Duration::days(1)),
        now - Duration::days(30),
    )
    .unwrap();
    let base = || Blueprint::new("refused", "Refused");
    for (blueprint, expected) in [
        (Blueprint::new("", "Name"), "key"),
        (Blueprint::new("a\tb", "Name"), "key"),
        (Blueprint::new("key", "two\nlines"), "display name"),
        (Blueprint::new("key", "  "), "display name"),
        (base().with_secret(Duration::ZERO), "cannot be valid for"),
        (base().with_secret(Duration::MIN), "cannot be valid for"),
        (base().with_secret(Duration::MAX), "cannot be valid for"),
        (
            base().with_named_secret("", Duration::days(9)),
            "name of the client secret",
        ),
        (base().with_logout_url("http://a.example/"), "logout URL"),
        (base().with_logout_url("not a url"), "logout URL"),
        (
            base().with_app_id_uri("api://{clientId}"),
            "a form that Entra does not accept",
        ),
        (
            base().with_app_id_uri("ftp://{client_id}"),
            "a form that Entra does not accept",
        ),
        (
            base().with_app_id_uri("api://mdm.unverified.example"),
            "not a verified domain",
        ),
        (
            base().with_web_redirect_uri("https://a.example/ b"),
            "white space",
        ),
        (
            (0..257).fold(base(), |blueprint, number| {
                blueprint.with_web_redirect_uri(format!("https://a.example/{number}"))
            }),
            "257 redirect URIs",
        ),
        (
            base().with_permission(Permission::application("")),
            "no permission \"\"",
        ),
        (Blueprint::new("it's", "Name"), "key"),
        (Blueprint::new("key", ""), "display name"),
        (Blueprint::new("key", "x".repeat(121)), "display name"),
        (
            base().with_app_id_uri("https://mdm.unverified.example"),
            "not a verified domain",
        ),
        (
            base().with_app_id_uri("urn:acme"),
            "a form that Entra does not accept",
        ),
        (
            base().with_web_redirect_uri("http://mdm.example/"),
            "must be https",
        ),
        (
            base().with_web_redirect_uri("psrmobile://auth"),
            "for public clients only",
        ),
        (
            base()
                .with_web_redirect_uri("https://a.example/")
                .with_redirect_uri(Platform::SinglePage, "https://a.example/"),
            "two platforms",
        ),
        (
            base().with_permission(Permission::application("User.Raed.All")),
            "has no permission \"User.Raed.All\"",
        ),
        (
            base().with_permission(Permission::application("openid")),
            "has no permission \"openid\"",
        ),
        (
            base().with_certificate(expired.certificate().clone()),
            "not valid now",
        ),
    ] {
        let plan = blueprint.plan(&graph).await.unwrap();
        assert_eq!(plan.refusals.len(), 1, "{expected}: {plan}");
        let refusal = plan.refusals[0].to_string();
        assert!(refusal.contains(expected), "{refusal}");
        assert!(!plan.refusals[0].remedy().is_empty());
        tenant.emulator.journal().clear();
        let error = blueprint
            .apply(&graph, &MemoryHost::default())
            .await
            .unwrap_err();
        assert!(matches!(error, Error::Refused(_)), "{error:?}");
        assert_eq!(
            tenant
                .emulator
                .journal()
                .count("POST", "/v1.0/applications"),
            0
        );
    }
}

#[tokio::test]
async fn a_misspelt_permission_is_answered_with_the_right_one() {
    let tenant = LocalTenant::new();
    let plan = Blueprint::new("typo", "Typo")
        .with_permission(Permission::application("User.Raed.All"))
        .plan(&tenant.setup_graph())
        .await
        .unwrap();
    let [refusal] = plan.refusals.as_slice() else {
        panic!("{plan}");
    };
    assert!(
        refusal.remedy().contains("User.Read.All"),
        "{}",
        refusal.remedy()
    );
}

#[tokio::test]
async fn an_app_id_uri_of_another_application_is_refused() {
    let tenant = LocalTenant::new();
    let graph = tenant.setup_graph();
    let uri = format!("https://mdm.{}", tenant.domain().await);
    let first = Blueprint::new("first", "First").with_app_id_uri(&uri);
    first.apply(&graph, &MemoryHost::default()).await.unwrap();
    let plan = Blueprint::new("second", "Second")
        .with_app_id_uri(&uri)
        .plan(&graph)
        .await
        .unwrap();
    assert_eq!(
        plan.refusals,
        [Refusal::AppIdUriTaken {
            uri,
            owner: "First".to_owned()
        }]
    );
}

#[tokio::test]
async fn a_policy_that_forbids_secrets_or_long_lifetimes_is_found_by_the_plan() {
    let tenant = LocalTenant::new();
    let graph = tenant.setup_graph();
    set_policy(
        &tenant,
        r#"{"isEnabled":true,"applicationRestrictions":{
            "passwordCredentials":[{"restrictionType":"passwordLifetime","maxLifetime":"P90D","state":"enabled"}],
            "keyCredentials":[{"restrictionType":"asymmetricKeyLifetime","maxLifetime":"P30D","state":"enabled"}]}}"#,
    )
    .await;
    let long = Blueprint::new("long", "Long")
        .with_secret(Duration::days(180))
        .with_certificate(certificate(&tenant).certificate().clone());
    let plan = long.plan(&graph).await.unwrap();
    let texts: Vec<_> = plan.refusals.iter().map(Refusal::remedy).collect();
    assert_eq!(texts, ["choose at most 90 days", "choose at most 30 days"]);

    set_policy(
        &tenant,
        r#"{"isEnabled":true,"applicationRestrictions":{
            "passwordCredentials":[{"restrictionType":"passwordAddition","state":"enabled"}],
            "identifierUris":{"nonDefaultUriAddition":{"state":"enabled"}}}}"#,
    )
    .await;
    let uri = format!("https://mdm.{}", tenant.domain().await);
    let plan = Blueprint::new("long", "Long")
        .with_secret(Duration::days(30))
        .with_app_id_uri(&uri)
        .plan(&graph)
        .await
        .unwrap();
    assert_eq!(
        plan.refusals,
        [Refusal::SecretsForbidden, Refusal::AppIdUriPolicy { uri }]
    );
}

#[tokio::test]
async fn an_adopted_application_is_completed_and_keeps_its_name() {
    let tenant = LocalTenant::new();
    let graph = tenant.setup_graph();
    let by_hand = Blueprint::new("by-hand", "Made by hand");
    let made = by_hand.apply(&graph, &MemoryHost::default()).await.unwrap();

    let adopted = Blueprint::new("ignored", "Product")
        .adopt(made.client_id)
        .with_permission(Permission::application("User.Read.All"))
        .with_secret(Duration::days(30));
    let plan = adopted.plan(&graph).await.unwrap();
    assert!(matches!(plan.target, Target::Adopted { .. }));
    let linked = adopted.apply(&graph, &MemoryHost::default()).await.unwrap();
    assert_eq!(linked.client_id, made.client_id);
    assert!(adopted.plan(&graph).await.unwrap().is_empty());
    let application = graph.applications().get(&linked.object_id).await.unwrap();
    assert_eq!(application.display_name.as_deref(), Some("Made by hand"));
}

#[tokio::test]
async fn a_name_with_line_breaks_does_not_forge_lines_of_a_plan() {
    let tenant = LocalTenant::new();
    let plan = Blueprint::new("forged", "Acme\n  nothing to do")
        .plan(&tenant.setup_graph())
        .await
        .unwrap();
    assert!(!plan.to_string().contains("\n  nothing to do"), "{plan}");
}

#[test]
fn the_guide_names_every_value_and_escapes_names() {
    let certificate_free = Blueprint::new("guide", "A *bold* name")
        .with_app_id_uri("https://mdm.contoso.example")
        .with_web_redirect_uri("https://mdm.contoso.example/callback")
        .with_permission(Permission::application("User.Read.All"))
        .with_permission(Permission::delegated("openid"))
        .with_secret(Duration::days(180));
    let guide = certificate_free.guide(&entra_core::Cloud::public());
    for expected in [
        "# Link A \\*bold\\* name to Microsoft Entra ID",
        "<https://entra.microsoft.com/>",
        "`https://mdm.contoso.example/callback`",
        "**ID tokens**, unchecked",
        "`User.Read.All`",
        "**Delegated permissions**",
        "180 days",
        "Directory (tenant) ID",
        "Secret ID",
    ] {
        assert!(
            guide.contains(expected),
            "{expected} is missing in\n{guide}"
        );
    }
    assert!(!guide.contains("Upload the certificate"));
}

#[test]
fn a_redirect_uri_fault_is_plain_data() {
    assert_eq!(
        RedirectUriFault::NotHttps.to_string(),
        "it must be https, or http on localhost"
    );
}

/// Sets the tenant's policy as an administrator does it.
async fn set_policy(tenant: &LocalTenant, policy: &'static str) {
    let setup = tenant.setup_graph();
    let url = tenant
        .emulator
        .cloud()
        .graph_url()
        .join("v1.0/policies/defaultAppManagementPolicy")
        .unwrap();
    let request = http::Request::patch(url.as_str())
        .header("content-type", "application/json")
        .body(bytes::Bytes::from_static(policy.as_bytes()))
        .unwrap();
    let call = entra_core::Call::new("PATCH /policies/defaultAppManagementPolicy", request)
        .with_credential(setup.credential().clone(), setup.token_request().clone());
    setup.pipeline().send(call).await.unwrap();
}
