//! A product that keeps no secret: managed identities and a service account, by entra-core.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod client;

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use client::{graph, json, token};
use entra_core::{
    AccessToken, Authority, ClientCredential, ClientId, Clock as _, ConfidentialClient,
    CredentialChain, Error, ManagedIdentity, ManagedIdentityHost, ManagedIdentityId, ObjectId,
    Pipeline, Tenant, TokenRequest, WorkloadIdentity,
};
use entra_emulator::{Cluster, Emulator, Fault, FaultRule, Seed};
use serde_json::json as value;

const EXCHANGE: &str = "api://AzureADTokenExchange";

#[tokio::test]
async fn a_virtual_machine_gets_a_token_that_graph_accepts() {
    let home = Home::new();
    let identity = home.identity(&[], ManagedIdentityId::System);
    assert_eq!(identity.host(), ManagedIdentityHost::VirtualMachine);
    let token = identity.token(&home.graph()).await.unwrap();
    home.assert_accepted(&token);
    let left = token.expires_on() - home.tenant.clock().now();
    assert_eq!(left, time::Duration::days(1));
}

#[tokio::test]
async fn app_service_gets_a_token_that_graph_accepts() {
    let home = Home::new();
    let header = home.tenant.identity_header();
    let environment = [
        ("IDENTITY_ENDPOINT", "http://169.254.129.5:8081/msi/token"),
        ("IDENTITY_HEADER", header.expose()),
    ];
    let identity = home.identity(&environment, ManagedIdentityId::System);
    assert_eq!(identity.host(), ManagedIdentityHost::AppService);
    home.assert_accepted(&identity.token(&home.graph()).await.unwrap());
}

#[tokio::test]
async fn a_server_with_azure_arc_gets_a_token_that_graph_accepts() {
    let folder = Folder::new("arc");
    let home = Home::of(Emulator::new(seed()).with_arc_folder(&folder.0));
    let environment = [
        (
            "IDENTITY_ENDPOINT",
            "http://localhost:40342/metadata/identity/oauth2/token",
        ),
        ("IMDS_ENDPOINT", "http://localhost:40342"),
        // Where the agent has its keys on Windows.
        ("ProgramData", "C:\\ProgramData"),
    ];
    let identity = home.identity(&environment, ManagedIdentityId::System);
    assert_eq!(identity.host(), ManagedIdentityHost::AzureArc);
    let identity = identity.with_arc_key_folder(&folder.0);
    home.assert_accepted(&identity.token(&home.graph()).await.unwrap());
}

#[tokio::test]
async fn a_user_assigned_identity_is_found_by_each_of_its_ids_on_each_host() {
    let home = Home::new();
    let worker = home.tenant.managed_identities()[1].clone();
    let header = home.tenant.identity_header();
    let app_service = [
        ("IDENTITY_ENDPOINT", "http://169.254.129.5:8081/msi/token"),
        ("IDENTITY_HEADER", header.expose()),
    ];
    for environment in [&[][..], &app_service] {
        for id in [
            ManagedIdentityId::Client(ClientId::parse(&worker.client_id).unwrap()),
            ManagedIdentityId::Object(ObjectId::parse(&worker.object_id).unwrap()),
            ManagedIdentityId::Resource(worker.resource_id.clone()),
        ] {
            let token = home.identity(environment, id).token(&home.graph()).await;
            home.assert_accepted(&token.unwrap());
        }
        let nobody = ClientId::parse("99999999-2222-4333-8444-555555555555").unwrap();
        let nobody = home.identity(environment, ManagedIdentityId::Client(nobody));
        let error = nobody.token(&home.graph()).await.unwrap_err();
        assert!(!matches!(error, Error::NotAvailable { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn a_metadata_service_in_trouble_is_waited_for() {
    for (fault, seconds) in [
        (Fault::Gone, 10),
        (Fault::NotFound, 1),
        (Fault::UnavailableBefore, 1),
    ] {
        let home = Home::new();
        // The first is what the look for the service sees.
        let rule = FaultRule::new("/metadata/identity", fault).with_times(2);
        home.tenant.faults().inject(rule).unwrap();
        let before = home.tenant.clock().now();
        let identity = home.identity(&[], ManagedIdentityId::System);
        home.assert_accepted(&identity.token(&home.graph()).await.unwrap());
        let waited = home.tenant.clock().now() - before;
        assert_eq!(waited, time::Duration::seconds(seconds), "{fault:?}");
    }
}

#[tokio::test]
async fn a_managed_identity_proves_the_application_that_trusts_it() {
    let home = Home::new();
    let worker = home.tenant.managed_identities()[1].clone();
    let issuer = format!("https://localhost/{}/v2.0", home.tenant.tenant_id());
    home.trust(&issuer, &worker.object_id);
    let id = ManagedIdentityId::Client(ClientId::parse(&worker.client_id).unwrap());
    let audience = home.tenant.cloud().token_exchange_audience().unwrap();
    let assertion = home.identity(&[], id).as_assertion(audience);
    let app = ConfidentialClient::new(
        home.authority(),
        ClientId::parse(&home.client_id).unwrap(),
        ClientCredential::assertion(assertion),
        home.pipeline(),
    )
    .unwrap();
    home.assert_accepted(&app.token(&home.graph()).await.unwrap());
}

#[tokio::test]
async fn a_service_account_signs_in_with_the_token_in_its_file_and_renews_it() {
    let folder = Folder::new("workload");
    let file = folder.0.join("token");
    let home = Home::new();
    let cluster = home.tenant.cluster();
    home.trust(cluster.issuer(), &Cluster::subject("shop", "api"));
    let project = || {
        let token = cluster.token("shop", "api", EXCHANGE);
        std::fs::write(&file, token.expose()).unwrap();
    };
    project();
    let environment = home.workload_environment(&file);
    let app = WorkloadIdentity::in_cloud(&environment, home.tenant.cloud())
        .unwrap()
        .into_client(home.pipeline())
        .unwrap();
    home.assert_accepted(&app.token(&home.graph()).await.unwrap());
    // The projected token ends before the next one is needed, and is replaced.
    home.tenant.advance(Duration::from_secs(4000));
    let error = app.token(&home.graph()).await.unwrap_err();
    assert!(matches!(error, Error::Credential(_)), "{error:?}");
    project();
    home.assert_accepted(&app.token(&home.graph()).await.unwrap());
}

#[tokio::test]
async fn a_chain_takes_the_workload_identity_where_there_is_one_and_the_machine_s_elsewhere() {
    let folder = Folder::new("chain");
    let file = folder.0.join("token");
    let home = Home::new();
    let cluster = home.tenant.cluster();
    home.trust(cluster.issuer(), &Cluster::subject("shop", "api"));
    let token = cluster.token("shop", "api", EXCHANGE);
    std::fs::write(&file, token.expose()).unwrap();
    for (environment, on_machine) in [
        (home.workload_environment(&file), false),
        (HashMap::new(), true),
    ] {
        let workload = WorkloadIdentity::in_cloud(&environment, home.tenant.cloud())
            .map_err(Error::from)
            .and_then(|identity| identity.into_client(home.pipeline()));
        let chain = CredentialChain::new()
            .or_try(workload)
            .or(home.identity(&[], ManagedIdentityId::System));
        let token = chain.token(&home.graph()).await.unwrap();
        home.assert_accepted(&token);
        let life = token.expires_on() - home.tenant.clock().now();
        assert_eq!(life > time::Duration::hours(2), on_machine);
    }
}

/// A tenant with an application that may read users.
struct Home {
    tenant: Emulator,
    client_id: String,
    object_id: String,
}

impl Home {
    fn new() -> Self {
        Self::of(Emulator::new(seed()))
    }

    fn of(tenant: Emulator) -> Self {
        let app = tenant.apps()[1].clone();
        Self {
            tenant,
            client_id: app.client_id,
            object_id: app.object_id,
        }
    }

    fn pipeline(&self) -> Pipeline {
        Pipeline::new(self.tenant.clone()).with_clock(self.tenant.clock())
    }

    fn identity(
        &self,
        environment: &[(&str, &str)],
        identity: ManagedIdentityId,
    ) -> ManagedIdentity {
        let environment = environment
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        ManagedIdentity::from_environment(&environment, identity, self.pipeline()).unwrap()
    }

    fn workload_environment(&self, file: &std::path::Path) -> HashMap<String, String> {
        [
            ("AZURE_TENANT_ID", self.tenant.tenant_id()),
            ("AZURE_CLIENT_ID", self.client_id.clone()),
            ("AZURE_FEDERATED_TOKEN_FILE", file.display().to_string()),
            (
                "AZURE_AUTHORITY_HOST",
                self.tenant.cloud().login_url().to_string(),
            ),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    fn authority(&self) -> Authority {
        let tenant = Tenant::parse(&self.tenant.tenant_id()).unwrap();
        Authority::new(self.tenant.cloud(), tenant)
    }

    fn graph(&self) -> TokenRequest {
        TokenRequest::new([self.tenant.cloud().graph_scope()])
    }

    /// Makes the application trust what `issuer` says of `subject`.
    fn trust(&self, issuer: &str, subject: &str) {
        let admin = token(&self.tenant, &self.tenant.setup_app());
        let path = format!(
            "/v1.0/applications/{}/federatedIdentityCredentials",
            self.object_id
        );
        let body = value!({"name": "trust", "issuer": issuer, "subject": subject,
            "audiences": [EXCHANGE]});
        let made = self.tenant.handle(&graph(&admin, "POST", &path, &body));
        assert_eq!(made.status(), 201, "{:?}", made.body());
    }

    /// Graph knows who asks; whether it lets them is another matter.
    fn assert_accepted(&self, token: &AccessToken) {
        let secret = token.secret();
        let request = graph(secret.expose(), "GET", "/v1.0/users", &value!(null));
        let answer = self.tenant.handle(&request);
        assert!(
            matches!(answer.status().as_u16(), 200 | 403),
            "{}",
            json(&answer)
        );
    }
}

fn seed() -> Seed {
    Seed::new().with_replication_delay(Duration::ZERO)
}

/// A folder that goes away with its files.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("without-secret-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
