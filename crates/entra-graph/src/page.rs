//! Listings, page after page, as a stream of their items.

use std::collections::HashSet;
use std::fmt;
use std::future::poll_fn;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use entra_core::RequestIds;
use futures_core::Stream;
use http::{Method, StatusCode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::client::{CONSISTENCY_LEVEL, EVENTUAL, Request, Response, Route};
use crate::page_body::{Flaw, PageBody};
use crate::{Error, GraphClient, MalformedAnswer};

/// A listing: a [`Stream`] of its items, with one page in memory at a time.
///
/// Nothing is sent before the first item is asked for. Each item is parsed when it is asked for.
/// After an error the stream ends, and [`cursor`](Self::cursor) tells where to go on; but a
/// page token that expired ([`GraphErrorCode::ExpiredPageToken`](crate::GraphErrorCode)) means
/// that the listing must start again. A slow reader causes it: let nothing slow stand between
/// the items.
///
/// ```no_run
/// # async fn f(graph: entra_graph::GraphClient) -> Result<(), entra_graph::Error> {
/// # use entra_graph::Query;
/// let mut groups = graph.groups().list(Query::new());
/// while let Some(group) = groups.try_next().await? {
///     println!("{:?}", group.display_name);
/// }
/// # Ok(()) }
/// ```
#[must_use = "a listing is not sent before it is polled"]
pub struct Pages<T> {
    client: GraphClient,
    route: Route,
    /// Sent with every page: Graph forgets it between pages, and then answers differently.
    eventual: bool,
    current: Option<Url>,
    next: Option<Url>,
    delta: Option<Url>,
    count: Option<u64>,
    state: State,
    visited: HashSet<u64>,
    pages: u64,
    item: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> Pages<T> {
    pub(crate) fn new(client: GraphClient, route: Route, first: Url, eventual: bool) -> Self {
        Self {
            client,
            route,
            eventual,
            current: None,
            next: Some(first),
            delta: None,
            count: None,
            state: State::Between,
            visited: HashSet::new(),
            pages: 0,
            item: PhantomData,
        }
    }

    /// A listing that could not even be asked for.
    pub(crate) fn failed(client: GraphClient, route: Route, error: Error) -> Self {
        let nowhere = client.cloud().graph_url().clone();
        let mut pages = Self::new(client, route, nowhere, false);
        pages.next = None;
        pages.state = State::Failed(Some(error));
        pages
    }

    /// The next item, or nothing after the last.
    pub async fn try_next(&mut self) -> Result<Option<T>, Error> {
        poll_fn(|context| Pin::new(&mut *self).poll_next(context))
            .await
            .transpose()
    }

    /// All remaining items. For listings that are known to be short.
    pub async fn collect_all(mut self) -> Result<Vec<T>, Error> {
        let mut items = Vec::new();
        while let Some(item) = self.try_next().await? {
            items.push(item);
        }
        Ok(items)
    }

    fn poll_step(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<T>, Error>> {
        loop {
            match &mut self.state {
                State::Failed(error) => {
                    return Poll::Ready(error.take().map_or(Ok(None), Err));
                }
                State::Between => {
                    let Some(url) = self.next.clone() else {
                        return Poll::Ready(Ok(None));
                    };
                    if !self.visited.insert(hash(&url)) {
                        return Poll::Ready(Err(Error::LinkLoop { pages: self.pages }));
                    }
                    self.current = Some(url.clone());
                    self.state = State::Fetching(Box::pin(self.fetch(url)));
                }
                State::Fetching(fetching) => {
                    let response = ready!(fetching.as_mut().poll(context))?;
                    self.next = None;
                    self.pages += 1;
                    let body = PageBody::new(response.body)
                        .map_err(|flaw| malformed(flaw, response.status, &response.ids))?;
                    self.state = State::Reading {
                        status: response.status,
                        ids: response.ids,
                        body,
                    };
                }
                State::Reading { status, ids, body } => {
                    let item = match body.next::<T>() {
                        Ok(item) => item,
                        Err(flaw) => {
                            return Poll::Ready(Err(malformed(flaw, *status, ids)));
                        }
                    };
                    let (next, delta) = (body.next_link.take(), body.delta_link.take());
                    self.count = body.count.or(self.count);
                    self.adopt(next, delta)?;
                    if item.is_none() {
                        self.state = State::Between;
                        continue;
                    }
                    return Poll::Ready(Ok(item));
                }
            }
        }
    }

    fn fetch(&self, url: Url) -> impl Future<Output = Result<Response, Error>> + Send + 'static {
        let mut request = Request::new(Method::GET, self.route, url);
        if self.eventual {
            request = request.with_header(CONSISTENCY_LEVEL, EVENTUAL);
        }
        let client = self.client.clone();
        async move { client.send(request).await }
    }

    /// Takes the links of a page over, if they stay with this Graph.
    fn adopt(&mut self, next: Option<String>, delta: Option<String>) -> Result<(), Error> {
        if let Some(link) = next {
            self.next = Some(self.client.own_link(&link)?);
        }
        if let Some(link) = delta {
            self.delta = Some(self.client.own_link(&link)?);
        }
        Ok(())
    }
}

impl<T> Pages<T> {
    /// Where to go on once the items of the current page are dealt with: the page after it, or
    /// after an error the page that could not be read. Nothing after the last page.
    ///
    /// Graph sends it before the items, so that it is known with the first of them.
    pub fn next_link(&self) -> Option<&str> {
        self.next.as_ref().map(Url::as_str)
    }

    /// The same as [`next_link`](Self::next_link), to be stored and given to
    /// [`GraphClient::resume`].
    pub fn cursor(&self) -> Option<PageCursor> {
        self.cursor_at(self.next.as_ref())
    }

    /// The page whose items are being read: going on there repeats those that were read already.
    pub fn current_cursor(&self) -> Option<PageCursor> {
        self.cursor_at(self.current.as_ref())
    }

    /// The same as [`delta_link`](Self::delta_link), to be stored and given to
    /// [`GraphClient::resume`].
    pub fn delta_cursor(&self) -> Option<PageCursor> {
        self.cursor_at(self.delta.as_ref())
    }

    /// Where the next round of changes begins. Known after the last item of a delta query.
    pub fn delta_link(&self) -> Option<&str> {
        self.delta.as_ref().map(Url::as_str)
    }

    /// How many items there are in all pages, if the query asked for it: known with the first.
    pub fn count(&self) -> Option<u64> {
        self.count
    }

    fn cursor_at(&self, url: Option<&Url>) -> Option<PageCursor> {
        Some(PageCursor {
            link: url?.to_string(),
            eventual: self.eventual,
        })
    }

    fn fail(&mut self) {
        self.state = State::Failed(None);
        self.next = self.current.take().or_else(|| self.next.take());
    }
}

impl<T: DeserializeOwned> Stream for Pages<T> {
    type Item = Result<T, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let step = ready!(self.poll_step(context));
        if step.is_err() {
            self.fail();
        }
        Poll::Ready(step.transpose())
    }
}

/// A place in a listing, to be stored. The link may carry what was searched for.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[non_exhaustive]
pub struct PageCursor {
    /// The link to the page.
    pub link: String,
    /// Whether the listing needs `ConsistencyLevel: eventual` with each page.
    pub eventual: bool,
}

impl<T> fmt::Debug for Pages<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pages")
            .field("route", &self.route.name)
            .field("pages", &self.pages)
            .field("count", &self.count)
            .finish_non_exhaustive()
    }
}

enum State {
    /// Before the first page, between two, or after the last.
    Between,
    Fetching(Pin<Box<dyn Future<Output = Result<Response, Error>> + Send>>),
    Reading {
        status: StatusCode,
        ids: RequestIds,
        body: PageBody,
    },
    Failed(Option<Error>),
}

fn malformed(flaw: Flaw, status: StatusCode, ids: &RequestIds) -> Error {
    Error::Malformed(Arc::new(MalformedAnswer {
        status,
        kind: flaw.kind,
        at: Some(flaw.at),
        ids: ids.clone(),
    }))
}

fn hash(url: &Url) -> u64 {
    let mut hasher = DefaultHasher::new();
    url.hash(&mut hasher);
    hasher.finish()
}
