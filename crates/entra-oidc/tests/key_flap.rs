//! Five months of Entra's key sets, in which keys vanish for hours that are in use, as a validator
//! lives through them.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails"
)]

mod minting;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use entra_core::{Clock as _, HttpClient, Limits, MovableClock, Pipeline, TransportError};
use entra_oidc::{Error, IdTokenRefusal, IdTokenRules, IdTokenValidator, TokenRefusal};
use minting::{CLIENT, FIRST, Token, any_organization, expected, jwk};
use serde::Deserialize;
use serde_json::{Value, json};
use time::OffsetDateTime;

#[tokio::test]
async fn no_token_is_refused_for_a_key_that_was_listed_within_a_day() {
    let history: History = serde_json::from_str(include_str!(
        "../../entra-core/tests/fixtures/entra-keys/history.json"
    ))
    .unwrap();
    let (first, last) = (history.looks[0].0, history.looks.last().unwrap().0);
    let tokens = tokens(&history, first, last);
    let begin = OffsetDateTime::from_unix_timestamp(first.cast_signed()).unwrap();
    let clock = Arc::new(MovableClock::frozen_at(begin));
    let http = Published::default();
    http.publish(&history, &history.looks[0].1);
    let pipeline = Pipeline::new(http.clone()).with_clock(clock.clone());
    let rules = IdTokenRules::new().with_longest_lifetime(Duration::MAX);
    let validator = IdTokenValidator::connect(any_organization(), CLIENT, rules, pipeline);
    let validator = validator.await.unwrap();

    // Somebody signs in each hour, and with each key where the list changes.
    let mut moments: BTreeMap<u64, Option<&Vec<usize>>> = (first..last)
        .step_by(3600)
        .map(|hour| (hour, None))
        .collect();
    moments.extend(history.looks.iter().map(|(at, listed)| (*at, Some(listed))));
    let mut now = first;
    let mut last_served = BTreeMap::from_iter(http.served().into_iter().map(|key| (key, first)));
    let (mut missed, mut came_back) = (BTreeSet::new(), BTreeSet::<usize>::new());
    for (at, change) in moments {
        clock.advance(Duration::from_secs(at - now));
        now = at;
        let keys = match change {
            Some(listed) => {
                http.publish(&history, listed);
                came_back.extend(listed.iter().filter(|key| missed.contains(*key)));
                0..history.ids.len()
            }
            None => 0..1,
        };
        for key in keys {
            let found = validator
                .validate(&tokens[key], &expected(), clock.now())
                .await;
            last_served.extend(http.served().into_iter().map(|served| (served, now)));
            let counts = last_served
                .get(&key)
                .is_some_and(|seen| now - seen < 86_400);
            match found {
                Ok(_) => assert!(counts, "{} at {now}", history.ids[key]),
                Err(Error::IdToken(refusal)) => {
                    assert_eq!(refusal, IdTokenRefusal::Token(TokenRefusal::KeyUnknown));
                    assert!(!counts, "{} at {now}", history.ids[key]);
                }
                Err(other) => panic!("{other:?}"),
            }
            if counts && !http.lists(key) {
                missed.insert(key);
            }
        }
    }
    // A validator that drops what is not listed would have refused these while they were in use.
    assert_eq!(came_back.len(), 34);
}

/// One token for each key, valid for all the time.
fn tokens(history: &History, first: u64, last: u64) -> Vec<String> {
    let token = Token::id_token()
        .claim("iat", first)
        .claim("nbf", first)
        .claim("exp", last + 1);
    let of = |id: &String| token.clone().header("kid", id.as_str()).signed();
    history.ids.iter().map(of).collect()
}

/// Which keys Entra listed, and when.
#[derive(Deserialize)]
struct History {
    ids: Vec<String>,
    /// Unix seconds, and positions in `ids`.
    looks: Vec<(u64, Vec<usize>)>,
}

/// Answers with the configuration, and with whatever keys are published at this moment.
#[derive(Clone, Debug, Default)]
struct Published(Arc<Mutex<Document>>);

#[derive(Debug, Default)]
struct Document {
    text: Bytes,
    listed: Vec<usize>,
    served: BTreeSet<usize>,
}

impl Published {
    fn publish(&self, history: &History, listed: &[usize]) {
        let keys = listed.iter().map(|key| jwk(&FIRST, &history.ids[*key]));
        let keys: Vec<Value> = keys.collect();
        let mut document = self.0.lock().unwrap();
        document.text = json!({"keys": keys}).to_string().into();
        document.listed = listed.to_vec();
    }

    fn lists(&self, key: usize) -> bool {
        self.0.lock().unwrap().listed.contains(&key)
    }

    /// What was handed out since this was last asked.
    fn served(&self) -> BTreeSet<usize> {
        std::mem::take(&mut self.0.lock().unwrap().served)
    }
}

#[async_trait]
impl HttpClient for Published {
    async fn send(
        &self,
        request: http::Request<Bytes>,
        _: Limits,
    ) -> Result<http::Response<Bytes>, TransportError> {
        if request.uri().path().ends_with("openid-configuration") {
            return Ok(http::Response::new(configuration()));
        }
        let mut document = self.0.lock().unwrap();
        let listed = document.listed.clone();
        document.served.extend(listed);
        Ok(http::Response::new(document.text.clone()))
    }
}

fn configuration() -> Bytes {
    let at = |path: &str| format!("https://login.microsoftonline.com/organizations/{path}");
    let document = json!({
        "issuer": "https://login.microsoftonline.com/{tenantid}/v2.0",
        "authorization_endpoint": at("oauth2/v2.0/authorize"),
        "token_endpoint": at("oauth2/v2.0/token"),
        "jwks_uri": at("discovery/v2.0/keys"),
        "cloud_instance_name": "microsoftonline.com",
    });
    document.to_string().into()
}
