//! The contract of an index of sessions can fail: each fault is found by the property that is about
//! it.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails"
)]

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use entra_core::contract::session_index as contract;
use entra_core::{Clock as _, MovableClock, SessionIndex, SessionIndexError, SessionKey};
use time::OffsetDateTime;
use time::macros::datetime;
use tokio::task::JoinSet;

/// Whether a property fails for these nodes; with `clock`, time passes on the given one.
macro_rules! fails {
    ($property:ident, $nodes:expr) => {{
        let [one, other] = $nodes;
        panics(async move { contract::$property([&one, &other]).await }).await
    }};
    ($property:ident, $nodes:expr, $clock:expr) => {{
        let ([one, other], clock) = ($nodes, Arc::clone($clock));
        panics(async move { contract::$property([&one, &other], &*clock).await }).await
    }};
}

#[tokio::test]
async fn a_faulty_index_fails_the_property_that_its_fault_is_about() {
    use Fault as F;
    let clock = &Arc::new(MovableClock::frozen_at(datetime!(2026-01-01 12:00 UTC)));
    let with = |fault| FaultyIndex::shared(fault, clock);
    let faulty = |fault| {
        let index = with(fault);
        [Arc::clone(&index), index]
    };
    let apart = || [with(F::None), with(F::None)];

    let nodes = faulty(F::None);
    contract::all([&nodes[0], &nodes[1]], &**clock).await;

    let used = faulty(F::OneKey);
    let end = clock.now() + time::Duration::HOUR;
    let key = SessionKey::new("", "");
    used[0].add(&key, "of another", end).await.unwrap();
    assert!(fails!(nothing_is_under_a_new_key, used));
    for nodes in [apart(), faulty(F::KeepsWhatIsTaken)] {
        assert!(fails!(what_one_node_adds_another_takes_once, nodes, clock));
    }
    assert!(fails!(
        all_sessions_of_a_key_are_taken_together,
        faulty(F::OneAtATime),
        clock
    ));
    assert!(fails!(
        a_session_that_is_added_twice_is_taken_once,
        faulty(F::NotesTwice),
        clock
    ));
    assert!(fails!(a_key_may_be_used_again, faulty(F::UsedUp), clock));
    assert!(fails!(the_connection_separates, faulty(F::IdsAlone), clock));
    for fault in [F::RunsTogether, F::IgnoresCase, F::Trims] {
        assert!(fails!(similar_keys_are_not_mixed_up, faulty(fault), clock));
    }
    assert!(fails!(any_names_are_kept, faulty(F::TrimsNames), clock));
    for fault in [F::NeverRemoves, F::RemovesTheKey] {
        assert!(fails!(
            a_removed_session_is_gone_and_the_others_stay,
            faulty(fault),
            clock
        ));
    }
    assert!(fails!(
        removing_nothing_is_no_error,
        faulty(F::RemovesOnlyWhatIsThere)
    ));
    assert!(fails!(
        each_session_is_taken_by_one_of_many_at_once,
        faulty(F::LooksFirst),
        clock
    ));
    assert!(fails!(
        what_is_added_while_others_take_is_taken_once,
        faulty(F::LooksFirst),
        clock
    ));
    assert!(fails!(
        a_dropped_call_leaves_the_next_ones_alone,
        faulty(F::AnswersInTurn),
        clock
    ));
    assert!(fails!(
        what_has_expired_is_not_noted,
        faulty(F::NeverForgets),
        clock
    ));
    for fault in [F::NeverForgets, F::ForgetsTheKey] {
        assert!(fails!(
            a_session_is_found_until_its_end_and_no_longer,
            faulty(fault),
            clock
        ));
    }
    for fault in [F::FirstEndCounts, F::LastEndCounts] {
        assert!(fails!(the_later_end_counts, faulty(fault), clock));
    }
    assert!(fails!(
        the_latest_end_is_accepted,
        faulty(F::RefusesLongTimes)
    ));
}

async fn panics(property: impl Future<Output = ()> + Send + 'static) -> bool {
    let mut runs = JoinSet::new();
    runs.spawn(property);
    let run = runs.join_next().await;
    run.is_some_and(|run| run.is_err_and(|error| error.is_panic()))
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    None,
    OneKey,
    KeepsWhatIsTaken,
    OneAtATime,
    NotesTwice,
    UsedUp,
    IdsAlone,
    RunsTogether,
    IgnoresCase,
    Trims,
    TrimsNames,
    NeverRemoves,
    RemovesTheKey,
    RemovesOnlyWhatIsThere,
    LooksFirst,
    AnswersInTurn,
    NeverForgets,
    ForgetsTheKey,
    FirstEndCounts,
    LastEndCounts,
    RefusesLongTimes,
}

type Entry = (String, OffsetDateTime);

#[derive(Debug)]
struct FaultyIndex {
    fault: Fault,
    clock: Arc<MovableClock>,
    entries: Mutex<BTreeMap<String, Vec<Entry>>>,
    used: Mutex<Vec<String>>,
    answers: Mutex<VecDeque<Vec<String>>>,
}

impl FaultyIndex {
    fn shared(fault: Fault, clock: &Arc<MovableClock>) -> Arc<dyn SessionIndex> {
        Arc::new(Self {
            fault,
            clock: Arc::clone(clock),
            entries: Mutex::default(),
            used: Mutex::default(),
            answers: Mutex::default(),
        })
    }

    fn name(&self, key: &SessionKey) -> String {
        let (connection, id) = (key.connection(), key.session_id());
        match self.fault {
            Fault::OneKey => String::new(),
            Fault::IdsAlone => id.to_owned(),
            Fault::RunsTogether => format!("{connection}{id}"),
            Fault::IgnoresCase => format!("{connection} {id}").to_lowercase(),
            Fault::Trims => format!("{connection} {}", id.trim()),
            _ => format!("{connection} {id}"),
        }
    }

    fn live(&self, entries: &[Entry]) -> Vec<Entry> {
        let now = self.clock.now();
        let has_ended = |entry: &&Entry| entry.1 <= now;
        match self.fault {
            Fault::NeverForgets => entries.to_vec(),
            Fault::ForgetsTheKey if entries.iter().any(|entry| has_ended(&entry)) => Vec::new(),
            _ => entries
                .iter()
                .filter(|it| !has_ended(it))
                .cloned()
                .collect(),
        }
    }

    fn note(&self, entries: &mut Vec<Entry>, entry: Entry) {
        let held = entries.iter_mut().find(|held| held.0 == entry.0);
        match (held, self.fault) {
            (Some(_), Fault::NotesTwice) | (None, _) => entries.push(entry),
            (Some(_), Fault::FirstEndCounts) => {}
            (Some(held), Fault::LastEndCounts) => held.1 = entry.1,
            (Some(held), _) => held.1 = held.1.max(entry.1),
        }
    }
}

#[async_trait]
impl SessionIndex for FaultyIndex {
    async fn add(
        &self,
        key: &SessionKey,
        session: &str,
        expires_on: OffsetDateTime,
    ) -> Result<(), SessionIndexError> {
        let name = self.name(key);
        let is_used = self.used.lock().unwrap().contains(&name);
        if is_used && self.fault == Fault::UsedUp {
            return Ok(());
        }
        if expires_on.year() == 9999 && self.fault == Fault::RefusesLongTimes {
            return Err(SessionIndexError::Unavailable("too long".into()));
        }
        let session = match self.fault {
            Fault::TrimsNames => session.trim(),
            _ => session,
        };
        let mut entries = self.entries.lock().unwrap();
        let entries = entries.entry(name).or_default();
        self.note(entries, (session.to_owned(), expires_on));
        Ok(())
    }

    async fn take(&self, key: &SessionKey) -> Result<Vec<String>, SessionIndexError> {
        let name = self.name(key);
        self.used.lock().unwrap().push(name.clone());
        let held = self.entries.lock().unwrap().get(&name).cloned();
        let mut live = self.live(&held.unwrap_or_default());
        if self.fault == Fault::LooksFirst {
            tokio::task::yield_now().await;
        }
        let mut left = Vec::new();
        if self.fault == Fault::OneAtATime && live.len() > 1 {
            left = live.split_off(1);
        }
        if self.fault != Fault::KeepsWhatIsTaken {
            self.entries.lock().unwrap().insert(name, left);
        }
        let taken = live.into_iter().map(|(session, _)| session).collect();
        if self.fault != Fault::AnswersInTurn {
            return Ok(taken);
        }
        self.answers.lock().unwrap().push_back(taken);
        tokio::task::yield_now().await;
        Ok(self.answers.lock().unwrap().pop_front().unwrap())
    }

    async fn remove(&self, key: &SessionKey, session: &str) -> Result<(), SessionIndexError> {
        let mut entries = self.entries.lock().unwrap();
        let held = entries.entry(self.name(key)).or_default();
        match self.fault {
            Fault::NeverRemoves => {}
            Fault::RemovesTheKey => held.clear(),
            Fault::RemovesOnlyWhatIsThere if held.is_empty() => {
                return Err(SessionIndexError::Unavailable("not there".into()));
            }
            _ => held.retain(|(name, _)| name != session),
        }
        Ok(())
    }
}
