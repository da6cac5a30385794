//! What the pipeline adds to a call: ids, token, limits, throttle gate, deadline, spans.
//!
//! Two measures. Over an HTTP client that answers at once, the pipeline's own cost stands alone:
//! the goal is at most 1.5 µs and 4 allocations. Over the network (loopback, HTTP/1.1, a body of
//! 1.5 KB, one after the other) it is compared with reqwest that sends the same headers with the
//! same timeout: the goal is at most 9 % more for pipeline and client together. The server runs on
//! a thread of its own. Microseconds of this part do not travel: the same loopback exchange took
//! 12 µs in one run and 40 µs in another.

#[path = "loopback.rs"]
mod loopback;
#[path = "measure.rs"]
mod measure;

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use entra_core::{
    AccessToken, Call, Error, HttpClient, HttpsClient, Limits, Pipeline, ThrottleScope,
    TokenCredential, TokenRequest, TransportError,
};
use futures_util::FutureExt as _;
use measure::{Side, allocations, compare, goal};
use time::OffsetDateTime;

fn main() {
    alone();
    over_the_network();
}

fn alone() {
    let (pipeline, plan) = (
        Pipeline::new(Instant),
        Plan::new("https://graph.example/v1.0/users"),
    );
    let bare = |n: u64| {
        for _ in 0..n {
            let answer = Instant.send(plan.request(), LIMITS).now_or_never();
            black_box(answer.unwrap().unwrap());
        }
    };
    let piped = |n: u64| {
        for _ in 0..n {
            let answer = pipeline.send(plan.call()).now_or_never();
            black_box(answer.unwrap().unwrap());
        }
    };
    let mut sides = [
        Side::new("floor: a client that answers at once", bare),
        Side::new("Pipeline::send over it", piped),
    ];
    compare("the pipeline alone", &mut sides, 31, 20_000);
    let own = (sides[1].min() - sides[0].min()) / 1000.0;
    goal("microseconds of its own", own, 1.5);
    let count = |work: &dyn Fn(u64)| allocations(|| work(1000)) as f64 / 1000.0;
    goal("allocations of its own", count(&piped) - count(&bare), 4.0);
}

fn over_the_network() {
    let address = loopback::serve(|_| Bytes::from_static(&[b'a'; 1500]));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let plan = Plan::new(&format!("http://{address}/v1.0/users"));
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .user_agent("entra-core/0.1.0")
        .build()
        .unwrap();
    let pipeline = Pipeline::new(HttpsClient::new().unwrap());
    let mut sides = [
        Side::new("floor: reqwest", |n| {
            runtime.block_on(async {
                for _ in 0..n {
                    let mut request = reqwest::Request::try_from(plan.stamped()).unwrap();
                    *request.timeout_mut() = Some(LIMITS.deadline);
                    let answer = client.execute(request).await.unwrap();
                    black_box(answer.bytes().await.unwrap());
                }
            });
        }),
        Side::new("Pipeline::send over HttpsClient", |n| {
            runtime.block_on(async {
                for _ in 0..n {
                    black_box(pipeline.send(plan.call()).await.unwrap());
                }
            });
        }),
    ];
    compare(
        "over loopback, processor time of the client",
        &mut sides,
        31,
        1000,
    );
    let ratio = sides[1].min() / sides[0].min();
    goal("times reqwest", ratio, 1.09);
}

/// One call, made again and again.
struct Plan {
    uri: http::Uri,
    token: Arc<dyn TokenCredential>,
    wanted: TokenRequest,
    scope: Arc<ThrottleScope>,
}

impl Plan {
    fn new(url: &str) -> Self {
        let expires_on = OffsetDateTime::now_utc() + Duration::from_secs(3600);
        let token = AccessToken::new("e30.e30.c2ln".into(), expires_on).unwrap();
        Self {
            uri: url.parse().unwrap(),
            token: Arc::new(Fixed(token)),
            wanted: TokenRequest::new(["s"]),
            scope: Arc::new(ThrottleScope::new("graph.example", "tenant", "client")),
        }
    }

    fn request(&self) -> http::Request<Bytes> {
        let json = http::HeaderValue::from_static("application/json");
        http::Request::get(self.uri.clone())
            .header(http::header::ACCEPT, json)
            .body(Bytes::new())
            .unwrap()
    }

    /// With what the pipeline adds, made without it.
    fn stamped(&self) -> http::Request<Bytes> {
        let mut request = self.request();
        let headers = request.headers_mut();
        for (name, value) in [
            ("client-request-id", "6e9a7a54-7f0b-4a3e-9f2c-2f0b8a1d9c11"),
            ("return-client-request-id", "true"),
            ("authorization", "Bearer e30.e30.c2ln"),
        ] {
            headers.insert(name, http::HeaderValue::from_static(value));
        }
        request
    }

    fn call(&self) -> Call {
        Call::new("GET /users", self.request())
            .with_credential(Arc::clone(&self.token), self.wanted.clone())
            .with_throttle_scope(Arc::clone(&self.scope))
    }
}

#[derive(Debug)]
struct Fixed(AccessToken);

#[async_trait]
impl TokenCredential for Fixed {
    async fn token(&self, _: &TokenRequest) -> Result<AccessToken, Error> {
        Ok(self.0.clone())
    }

    fn invalidate(&self, _: &TokenRequest, _: &AccessToken) {}
}

/// Answers at once.
#[derive(Debug)]
struct Instant;

#[async_trait]
impl HttpClient for Instant {
    async fn send(
        &self,
        _: http::Request<Bytes>,
        _: Limits,
    ) -> Result<http::Response<Bytes>, TransportError> {
        Ok(http::Response::new(Bytes::from_static(b"{}")))
    }
}

const LIMITS: Limits = Limits {
    body: 1_048_576,
    deadline: Duration::from_secs(30),
};
