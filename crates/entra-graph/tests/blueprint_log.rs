//! Nothing that an apply logs or shows is a secret. A program of its own: which log statements are
//! on is a matter of the whole process.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod local;

use std::sync::{Arc, Mutex};

use entra_core::TokenRequest;
use entra_graph::{Blueprint, MemoryHost, Permission};
use time::Duration;

use local::LocalTenant;

#[tokio::test]
async fn no_secret_is_shown_or_logged_by_an_apply() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_writer(log.clone())
        .finish();
    let tenant = LocalTenant::new();
    let host = MemoryHost::default();
    let guard = tracing::subscriber::set_default(subscriber);
    let blueprint = Blueprint::new("help-desk", "Help Desk")
        .with_permission(Permission::application("User.Read.All"))
        .with_secret(Duration::days(90));
    let linked = blueprint.apply(&tenant.setup_graph(), &host).await.unwrap();
    let secret = host.secret().unwrap();
    let client = tenant.client(linked.client_id, secret.credential().unwrap());
    blueprint.wait_until_effective(&client).await.unwrap();
    let findings = blueprint.test_connection(&client).await;
    drop(guard);

    let token = client
        .token(&TokenRequest::new([tenant.emulator.cloud().graph_scope()]))
        .await
        .unwrap();
    let setup = tenant.emulator.setup_app();
    let shown = format!(
        "{}{secret:?}{host:?}{linked:?}{client:?}{findings:?}{token:?}",
        log.text()
    );
    assert!(log.text().contains("applying a blueprint"));
    for canary in [&secret.value, &setup.client_secret, &token.secret()] {
        assert!(!shown.contains(canary.expose()), "a secret is shown");
    }
}

/// What was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> tracing_subscriber::fmt::MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}
