//! A sign-in service within the process, and clients of it.

#![allow(dead_code, reason = "each benchmark uses its part")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use entra_core::{
    Authority, ClientCredential, ClientId, ClientSecret, Cloud, ConfidentialClient, HttpClient,
    Limits, Pipeline, Tenant, TransportError,
};

/// Answers every request with a token, after a while.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    delay: Duration,
    requests: Arc<AtomicUsize>,
    answer: Bytes,
}

impl Service {
    pub(crate) fn answering_after(delay: Duration) -> Self {
        Self {
            delay,
            requests: Arc::default(),
            answer: answer_with("e30.e30.c2ln"),
        }
    }

    /// Answers at once, with this token.
    pub(crate) fn with_token(token: &str) -> Self {
        Self {
            answer: answer_with(token),
            ..Self::answering_after(Duration::ZERO)
        }
    }

    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }

    /// A client with a secret and an empty cache.
    pub(crate) fn client(&self) -> ConfidentialClient {
        let secret = ClientSecret::parse("s3cr3t~value").unwrap();
        self.client_with(ClientCredential::secret(secret))
    }

    pub(crate) fn client_with(&self, credential: ClientCredential) -> ConfidentialClient {
        ConfidentialClient::new(
            Authority::new(Cloud::public(), Tenant::parse("contoso.com").unwrap()),
            ClientId::parse("11111111-2222-4333-8444-555555555555").unwrap(),
            credential,
            Pipeline::new(self.clone()),
        )
        .unwrap()
    }
}

#[async_trait]
impl HttpClient for Service {
    async fn send(
        &self,
        _: http::Request<Bytes>,
        _: Limits,
    ) -> Result<http::Response<Bytes>, TransportError> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        if !self.delay.is_zero() {
            tokio::time::sleep(self.delay).await;
        }
        Ok(http::Response::new(self.answer.clone()))
    }
}

fn answer_with(token: &str) -> Bytes {
    let answer = serde_json::json!({
        "token_type": "Bearer", "expires_in": 3599, "access_token": token,
    });
    Bytes::from(answer.to_string())
}
