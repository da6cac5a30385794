use entra_graph::{Error, GraphErrorCode, Malformation, PageCursor, Pages, Query, User};
use futures_util::TryStreamExt;
use serde_json::json;

use crate::fake::{Fake, json, refusal, text};

const BASE: &str = "https://graph.microsoft.com/v1.0/users";

fn page(names: &[&str], next: Option<&str>) -> crate::fake::Answer {
    let users: Vec<_> = names
        .iter()
        .map(|name| json!({"displayName": name}))
        .collect();
    let mut body = json!({"value": users});
    if let Some(next) = next {
        body["@odata.nextLink"] = next.into();
    }
    json(200, &body)
}

async fn names(mut pages: Pages<User>) -> (Vec<String>, Result<(), Error>) {
    let mut names = Vec::new();
    loop {
        match pages.try_next().await {
            Ok(Some(user)) => names.push(user.display_name.unwrap()),
            Ok(None) => return (names, Ok(())),
            Err(error) => return (names, Err(error)),
        }
    }
}

#[tokio::test]
async fn the_consistency_level_is_sent_again_with_each_page() {
    let fake = Fake::script([
        page(&["a"], Some(&format!("{BASE}?$skiptoken=2"))),
        page(&[], Some(&format!("{BASE}?$skiptoken=3"))),
        page(&["c"], None),
    ]);
    let query = Query::new().search("displayName", "x");
    let (found, result) = names(fake.client().users().list(query)).await;
    assert!(result.is_ok());
    assert_eq!(found, ["a", "c"]);
    let seen = fake.seen();
    assert_eq!(seen.len(), 3);
    for request in seen {
        assert_eq!(
            request.headers["consistencylevel"], "eventual",
            "{}",
            request.url
        );
    }
    assert_eq!(
        fake.tokens(),
        3,
        "each page asks for a token, so that a listing outlives one"
    );
}

#[tokio::test]
async fn a_plain_query_asks_for_no_consistency_level_but_for_account_enabled() {
    let fake = Fake::script([page(&[], None)]);
    names(fake.client().users().list(Query::new().top(999)))
        .await
        .1
        .unwrap();
    let request = &fake.seen()[0];
    assert!(!request.headers.contains_key("consistencylevel"));
    assert!(
        request
            .path()
            .starts_with("users?$select=id,userPrincipalName,displayName,accountEnabled,")
    );
    assert!(request.path().ends_with("&$top=999"));
}

#[tokio::test]
async fn links_to_elsewhere_are_not_followed() {
    for link in [
        "https://graph.microsoft.com.evil.example/v1.0/users",
        "https://evil.example/v1.0/users",
        "http://graph.microsoft.com/v1.0/users",
        "https://graph.microsoft.com:8443/v1.0/users",
        "https://graph.microsoft.com/beta/users",
        "https://graph.microsoft.com/v1.0/../beta/users",
        "https://user@graph.microsoft.com/v1.0/users",
        "https://:password@graph.microsoft.com/v1.0/users",
        "https://graph.microsoft.us/v1.0/users",
        "/v1.0/users?$skiptoken=2",
        "",
    ] {
        let fake = Fake::script([page(&["a"], Some(link))]);
        let (_, result) = names(fake.client().users().list(Query::new())).await;
        assert!(
            matches!(result, Err(Error::ForeignLink { .. })),
            "{link}: {result:?}"
        );
        assert_eq!(fake.seen().len(), 1, "{link}");
    }
}

#[tokio::test]
async fn a_page_that_is_cut_anywhere_is_an_error_and_can_be_read_again() {
    let body = json!({
        "@odata.nextLink": format!("{BASE}?$skiptoken=2"),
        "value": [{"displayName": "a"}, {"displayName": "b"}],
    })
    .to_string();
    for end in 0..body.len() {
        let cut = text(
            200,
            &[("content-type", "application/json")],
            body.get(..end).unwrap(),
        );
        let fake = Fake::script([cut, page(&["a", "b"], None)]);
        let mut pages = fake.client().users().list(Query::new());
        let error = loop {
            match pages.try_next().await {
                Ok(item) => assert!(item.is_some(), "cut at {end}: the listing just ended"),
                Err(error) => break error,
            }
        };
        let Error::Malformed(answer) = &error else {
            panic!("cut at {end}: {error:?}")
        };
        assert!(
            matches!(answer.kind, Malformation::Truncated | Malformation::Empty),
            "at {end}"
        );
        assert_eq!(
            pages.try_next().await.unwrap(),
            None,
            "a listing ends after an error"
        );

        let cursor = pages.cursor().unwrap();
        let rest = fake.client().resume::<User>(&cursor).unwrap();
        assert_eq!(names(rest).await.0, ["a", "b"], "cut at {end}");
    }
}

#[tokio::test]
async fn a_listing_that_goes_in_circles_ends() {
    let fake = Fake::script([
        page(&["a"], Some(&format!("{BASE}?$skiptoken=2"))),
        page(&["b"], Some(&format!("{BASE}?$skiptoken=3"))),
        page(&["c"], Some(&format!("{BASE}?$skiptoken=2"))),
    ]);
    let (found, result) = names(fake.client().users().list(Query::new())).await;
    assert_eq!(found, ["a", "b", "c"]);
    assert!(
        matches!(result, Err(Error::LinkLoop { pages: 3 })),
        "{result:?}"
    );
}

#[tokio::test]
async fn an_expired_page_token_is_named() {
    let fake = Fake::script([
        page(&["a"], Some(&format!("{BASE}?$skiptoken=2"))),
        refusal(
            400,
            "Directory_ExpiredPageToken",
            "The specified page token value has expired.",
        ),
    ]);
    let (found, result) = names(fake.client().users().list(Query::new())).await;
    assert_eq!(found, ["a"]);
    let error = result.unwrap_err();
    assert_eq!(error.code(), Some(&GraphErrorCode::ExpiredPageToken));
    assert!(!error.is_retryable());
}

#[tokio::test]
async fn counts_and_links_are_known_with_the_first_item() {
    let fake = Fake::script([
        json(
            200,
            &json!({"@odata.count": 2, "@odata.nextLink": format!("{BASE}?$skiptoken=2"),
                "value": [{"displayName": "a"}]}),
        ),
        json(
            200,
            &json!({"value": [{"displayName": "b"}], "@odata.deltaLink": format!("{BASE}/delta?t=1")}),
        ),
    ]);
    let mut pages = fake.client().users().list(Query::new().count());
    assert_eq!(
        fake.seen().len(),
        0,
        "nothing is sent before the first item is asked for"
    );
    pages.try_next().await.unwrap().unwrap();
    assert_eq!(pages.count(), Some(2));
    assert_eq!(pages.next_link(), Some(&*format!("{BASE}?$skiptoken=2")));
    assert_eq!(pages.delta_link(), None);
    pages.try_next().await.unwrap().unwrap();
    assert!(pages.try_next().await.unwrap().is_none());
    assert_eq!(pages.next_link(), None);
    assert_eq!(pages.delta_link(), Some(&*format!("{BASE}/delta?t=1")));
    let stored = serde_json::to_string(&pages.delta_cursor()).unwrap();
    assert_eq!(
        stored,
        format!(r#"{{"link":"{BASE}/delta?t=1","eventual":true}}"#)
    );
    let elsewhere = stored.replace("graph.microsoft.com", "evil.example");
    let cursor: PageCursor = serde_json::from_str(&elsewhere).unwrap();
    let refused = fake.client().resume::<User>(&cursor);
    assert!(matches!(refused, Err(Error::ForeignLink { .. })));
}

#[tokio::test]
async fn a_page_beyond_the_limit_is_refused() {
    let fake = Fake::new(|_| page(&["a", "b", "c"], None));
    let pages = fake.client().with_body_limit(40).users().list(Query::new());
    let error = pages.collect_all().await.unwrap_err();
    assert!(
        matches!(error, Error::Core(entra_core::Error::Transport { .. })),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_listing_is_a_stream() {
    let fake = Fake::script([page(&["a", "b"], None)]);
    let pages = fake.client().users().list(Query::new());
    let users: Vec<User> = TryStreamExt::try_collect(pages).await.unwrap();
    assert_eq!(users.len(), 2);
}

#[tokio::test]
async fn a_throttled_page_is_waited_for() {
    let fake = Fake::script([text(429, &[("retry-after", "7")], ""), page(&["a"], None)]);
    let (found, result) = names(fake.client().users().list(Query::new())).await;
    assert!(result.is_ok());
    assert_eq!(found, ["a"]);
    assert_eq!(fake.elapsed().as_secs(), 7);
}
