//! 100,000 users from a server on loopback, in pages of 999, one user at a time.
//!
//! The floor is reqwest with a serde visitor that drops each user as it is read: no pipeline, no
//! token, no check of links, no stream. Goals: at most 1.1 times its processor time, and 10 MB at
//! the worst, at any number of users.

#[path = "loopback.rs"]
mod loopback;
#[path = "measure.rs"]
mod measure;

use std::fmt;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use entra_core::{AccessToken, Cloud, Error, HttpsClient, Pipeline, TokenCredential, TokenRequest};
use entra_graph::{GraphClient, Query, User};
use measure::{Side, compare, goal, peak_bytes};
use serde::Deserialize;
use serde::de::{SeqAccess, Visitor};
use time::OffsetDateTime;

const USERS: u64 = 100_000;
const PAGE: u64 = 999;

fn main() {
    let address = serve();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let bare = reqwest::Client::builder().no_proxy().build().unwrap();
    let first = format!("http://{address}/v1.0/users?$top={PAGE}");
    let graph = graph(&format!("http://{address}"));
    let floor = || runtime.block_on(visited(&bare, &first));
    let page = || runtime.block_on(collected(&bare, &first));
    let ours = || runtime.block_on(streamed(&graph));
    let each = |work: &dyn Fn() -> u64, n: u64| {
        for _ in 0..n {
            assert_eq!(work(), USERS);
        }
    };
    let mut sides = [
        Side::new("floor: reqwest, a visitor for each user", |n| {
            each(&floor, n)
        }),
        Side::new("reqwest, a page of users", |n| each(&page, n)),
        Side::new("GraphClient, a stream of users", |n| each(&ours, n)),
    ];
    compare("100,000 users", &mut sides, 7, 1);
    goal("times the floor", sides[2].min() / sides[0].min(), 1.1);
    let megabytes = |work: &dyn Fn() -> u64| peak_bytes(|| each(work, 1)) as f64 / 1e6;
    println!("  the floor holds {:.2} MB at the worst", megabytes(&floor));
    goal("MB at the worst", megabytes(&ours), 10.0);
}

async fn streamed(graph: &GraphClient) -> u64 {
    let mut users = graph.users().list(Query::new().top(999));
    let mut count = 0;
    while let Some(user) = users.try_next().await.unwrap() {
        black_box(&user);
        count += 1;
    }
    count
}

async fn visited(client: &reqwest::Client, first: &str) -> u64 {
    let (mut next, mut count) = (Some(first.to_owned()), 0);
    while let Some(url) = next {
        let body = client
            .get(&url)
            .send()
            .await
            .unwrap()
            .bytes()
            .await
            .unwrap();
        let page: Counted = serde_json::from_slice(&body).unwrap();
        count += page.value;
        next = page.next;
    }
    count
}

async fn collected(client: &reqwest::Client, first: &str) -> u64 {
    let (mut next, mut count) = (Some(first.to_owned()), 0);
    while let Some(url) = next {
        let body = client
            .get(&url)
            .send()
            .await
            .unwrap()
            .bytes()
            .await
            .unwrap();
        let page: Collected = serde_json::from_slice(&body).unwrap();
        count += black_box(page.value).len() as u64;
        next = page.next;
    }
    count
}

#[derive(Deserialize)]
struct Collected {
    #[serde(rename = "@odata.nextLink")]
    next: Option<String>,
    value: Vec<User>,
}

#[derive(Deserialize)]
struct Counted {
    #[serde(rename = "@odata.nextLink")]
    next: Option<String>,
    #[serde(deserialize_with = "count")]
    value: u64,
}

fn count<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    struct Count;

    impl<'de> Visitor<'de> for Count {
        type Value = u64;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("users")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut users: A) -> Result<u64, A::Error> {
            let mut count = 0;
            while let Some(user) = users.next_element::<User>()? {
                black_box(&user);
                count += 1;
            }
            Ok(count)
        }
    }

    deserializer.deserialize_seq(Count)
}

/// Pages with the properties that Graph returns by default.
fn serve() -> std::net::SocketAddr {
    let port = Arc::new(std::sync::OnceLock::new());
    let known = Arc::clone(&port);
    let address = loopback::serve(move |uri| {
        let skipped: u64 = uri
            .query()
            .and_then(|query| query.split_once("skip=")?.1.parse().ok())
            .unwrap_or(0);
        let until = (skipped + PAGE).min(USERS);
        let mut body = String::with_capacity(500 * PAGE as usize);
        body.push_str("{\"@odata.context\":\"https://graph.microsoft.com/v1.0/$metadata#users\",");
        if until < USERS {
            let address = known.get().unwrap();
            body.push_str(&format!(
                "\"@odata.nextLink\":\"http://{address}/v1.0/users?$top={PAGE}&skip={until}\","
            ));
        }
        body.push_str("\"value\":[");
        for number in skipped..until {
            let comma = if number == skipped { "" } else { "," };
            body.push_str(&format!(
                "{comma}{{\"businessPhones\":[\"+49 30 {number:06}\"],\"displayName\":\"Adele \
                 Vance {number}\",\"givenName\":\"Adele\",\"jobTitle\":\"Retail Manager\",\
                 \"mail\":\"adele.{number}@contoso.com\",\"mobilePhone\":null,\
                 \"officeLocation\":\"18/2111\",\"preferredLanguage\":\"en-US\",\"surname\":\
                 \"Vance\",\"userPrincipalName\":\"adele.{number}@contoso.com\",\
                 \"id\":\"87d349ed-44d7-43e1-9a83-{number:012x}\"}}"
            ));
        }
        body.push_str("]}");
        Bytes::from(body)
    });
    port.set(address).unwrap();
    address
}

fn graph(origin: &str) -> GraphClient {
    let cloud = Cloud::custom(origin, origin).unwrap();
    let expires_on = OffsetDateTime::now_utc() + Duration::from_secs(3600);
    let token = AccessToken::new("e30.e30.c2ln".into(), expires_on).unwrap();
    let pipeline = Pipeline::new(HttpsClient::new().unwrap());
    GraphClient::new(&cloud, Arc::new(Fixed(token)), pipeline)
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
