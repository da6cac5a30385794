//! What was asked of the tenant, in order: for tests that count requests and for people who look
//! for the permission that a call needed.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use time::OffsetDateTime;

use crate::fault::Fault;

/// The last 10,000 requests, oldest first. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Journal {
    entries: Arc<Mutex<VecDeque<JournalEntry>>>,
}

impl Journal {
    /// Everything that is still there, oldest first.
    pub fn entries(&self) -> Vec<JournalEntry> {
        self.lock().iter().cloned().collect()
    }

    /// How many requests went to this method and path, without a query.
    pub fn count(&self, method: &str, path: &str) -> usize {
        self.lock()
            .iter()
            .filter(|entry| entry.method == method && entry.path == path)
            .count()
    }

    /// Forgets everything.
    pub fn clear(&self) {
        self.lock().clear();
    }

    pub(crate) fn record(&self, entry: JournalEntry) {
        let mut entries = self.lock();
        if entries.len() == CAPACITY {
            entries.pop_front();
        }
        entries.push_back(entry);
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<JournalEntry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One request and how it was answered. It holds no header and no body, hence no secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct JournalEntry {
    /// The tenant's time.
    #[serde(with = "time::serde::rfc3339")]
    pub time: OffsetDateTime,
    /// The HTTP method.
    pub method: String,
    /// The path as it was sent.
    pub path: String,
    /// The query of a call to Microsoft Graph. That of a sign-in may carry a code and is left out.
    pub query: Option<String>,
    /// The status of the answer; none where the connection was dropped before it.
    pub status: Option<u16>,
    /// The client id of the calling application, where it proved to be that.
    pub caller: Option<String>,
    /// The permission that allowed a call to Microsoft Graph.
    pub permission: Option<String>,
    /// The fault that was injected.
    pub fault: Option<Fault>,
}

const CAPACITY: usize = 10_000;
