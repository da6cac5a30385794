//! What a [`SessionIndex`] holds.

use std::collections::BTreeSet;
use std::sync::Arc;

use time::OffsetDateTime;
use time::macros::datetime;
use tokio::task::JoinSet;

use super::{HOUR, PAST_SHORT, SHORT, random, start_and_drop};
use crate::{Clock, SessionIndex, SessionKey};

/// The index as two nodes see it.
pub type Nodes<'a> = [&'a Arc<dyn SessionIndex>; 2];

/// All properties.
pub async fn all(nodes: Nodes<'_>, clock: &dyn Clock) {
    nothing_is_under_a_new_key(nodes).await;
    what_one_node_adds_another_takes_once(nodes, clock).await;
    all_sessions_of_a_key_are_taken_together(nodes, clock).await;
    a_session_that_is_added_twice_is_taken_once(nodes, clock).await;
    a_key_may_be_used_again(nodes, clock).await;
    the_connection_separates(nodes, clock).await;
    similar_keys_are_not_mixed_up(nodes, clock).await;
    any_names_are_kept(nodes, clock).await;
    a_removed_session_is_gone_and_the_others_stay(nodes, clock).await;
    removing_nothing_is_no_error(nodes).await;
    each_session_is_taken_by_one_of_many_at_once(nodes, clock).await;
    what_is_added_while_others_take_is_taken_once(nodes, clock).await;
    a_dropped_call_leaves_the_next_ones_alone(nodes, clock).await;
    what_has_expired_is_not_noted(nodes, clock).await;
    a_session_is_found_until_its_end_and_no_longer(nodes, clock).await;
    the_later_end_counts(nodes, clock).await;
    the_latest_end_is_accepted(nodes).await;
}

/// Nobody takes what nobody added.
pub async fn nothing_is_under_a_new_key([node, _]: Nodes<'_>) {
    assert_eq!(take(node, &key()).await, NOTHING);
}

/// The nodes share what they note, and it is there once for all of them.
pub async fn what_one_node_adds_another_takes_once([one, other]: Nodes<'_>, clock: &dyn Clock) {
    let key = key();
    add(one, &key, "session", clock.now() + HOUR).await;
    assert_eq!(take(other, &key).await, ["session"]);
    assert_eq!(take(one, &key).await, NOTHING, "taken a second time");
    assert_eq!(take(other, &key).await, NOTHING, "taken a second time");
}

/// One sign-in at the provider may have led to several sessions.
pub async fn all_sessions_of_a_key_are_taken_together([one, other]: Nodes<'_>, clock: &dyn Clock) {
    let (key, end) = (key(), clock.now() + HOUR);
    add(one, &key, "b", end).await;
    add(other, &key, "a", end + HOUR).await;
    add(one, &key, "c", end).await;
    assert_eq!(take(one, &key).await, ["a", "b", "c"]);
    assert_eq!(take(other, &key).await, NOTHING);
}

/// Noting it twice is as good as once.
pub async fn a_session_that_is_added_twice_is_taken_once(
    [one, other]: Nodes<'_>,
    clock: &dyn Clock,
) {
    let (key, end) = (key(), clock.now() + HOUR);
    add(one, &key, "session", end).await;
    add(other, &key, "session", end).await;
    assert_eq!(take(one, &key).await, ["session"]);
    assert_eq!(take(other, &key).await, NOTHING);
}

/// What was taken out does not keep the same session from being noted again.
pub async fn a_key_may_be_used_again([one, other]: Nodes<'_>, clock: &dyn Clock) {
    let (key, end) = (key(), clock.now() + HOUR);
    for _ in 0..3 {
        add(one, &key, "session", end).await;
        assert_eq!(take(other, &key).await, ["session"]);
        add(other, &key, "session", end).await;
        other.remove(&key, "session").await.expect("it is removed");
        assert_eq!(take(one, &key).await, NOTHING);
    }
}

/// A provider ends what came by its own connection, whatever id it names.
pub async fn the_connection_separates([one, other]: Nodes<'_>, clock: &dyn Clock) {
    let (id, end) = (text(), clock.now() + HOUR);
    let contoso = SessionKey::new("contoso", &id);
    let fabrikam = SessionKey::new("fabrikam", &id);
    add(one, &contoso, "at contoso", end).await;
    add(one, &fabrikam, "at fabrikam", end).await;
    assert_eq!(take(other, &fabrikam).await, ["at fabrikam"]);
    assert_eq!(take(other, &contoso).await, ["at contoso"]);
}

/// Connection and id do not run into each other, case counts, and nothing is trimmed.
pub async fn similar_keys_are_not_mixed_up([one, other]: Nodes<'_>, clock: &dyn Clock) {
    let (id, end) = (text(), clock.now() + HOUR);
    let key = SessionKey::new("ab", &id);
    add(one, &key, "session", end).await;
    for similar in [
        SessionKey::new("a", format!("b{id}")),
        SessionKey::new(format!("ab{id}"), ""),
        SessionKey::new("", format!("ab{id}")),
        SessionKey::new("AB", &id),
        SessionKey::new("ab", id.to_uppercase()),
        SessionKey::new("ab", format!("{id} ")),
        SessionKey::new("ab", format!("{id}\0")),
    ] {
        assert_eq!(take(other, &similar).await, NOTHING, "mixed up");
        similar_is_not_removed(other, &similar).await;
    }
    assert_eq!(take(other, &key).await, ["session"]);
}

async fn similar_is_not_removed(node: &Arc<dyn SessionIndex>, similar: &SessionKey) {
    let removed = node.remove(similar, "session").await;
    removed.expect("nothing to remove is no error");
}

/// Names are texts of any kind: the empty one, spaces, line breaks, other scripts, long ones.
pub async fn any_names_are_kept([one, other]: Nodes<'_>, clock: &dyn Clock) {
    let (key, end) = (key(), clock.now() + HOUR);
    let long = "x".repeat(10_000);
    let mut names = ["", " ", "a b", "a\r\nb\0", "-1", "1e3", "sitzung 七", &long];
    names.sort_unstable();
    for name in names {
        add(one, &key, name, end).await;
    }
    // Not shown where it fails, since one of them is long.
    assert!(take(other, &key).await == names, "a name was changed");
}

/// A session that ended by itself is forgotten, and no other of the same key.
pub async fn a_removed_session_is_gone_and_the_others_stay(
    [one, other]: Nodes<'_>,
    clock: &dyn Clock,
) {
    let (key, end) = (key(), clock.now() + HOUR);
    for name in ["a", "b", "c"] {
        add(one, &key, name, end).await;
    }
    other.remove(&key, "b").await.expect("it is removed");
    assert_eq!(take(one, &key).await, ["a", "c"]);
}

/// Whoever removes need not know whether there is something.
pub async fn removing_nothing_is_no_error([node, _]: Nodes<'_>) {
    node.remove(&key(), "session").await.expect("no error");
}

/// However many ask at the same time, each session goes to one of them.
pub async fn each_session_is_taken_by_one_of_many_at_once(nodes: Nodes<'_>, clock: &dyn Clock) {
    let [one, _] = nodes;
    let end = clock.now() + HOUR;
    for _ in 0..8 {
        let key = key();
        for number in 0..4 {
            add(one, &key, &number.to_string(), end).await;
        }
        let mut calls = JoinSet::new();
        for node in nodes.into_iter().cycle().take(32) {
            let (node, key) = (Arc::clone(node), key.clone());
            calls.spawn(async move { take(&node, &key).await });
        }
        let mut taken = Vec::new();
        while let Some(call) = calls.join_next().await {
            taken.extend(call.expect("no call fails"));
        }
        taken.sort_unstable();
        assert_eq!(taken, ["0", "1", "2", "3"], "taken by all callers together");
    }
}

/// A session that is noted while others take is found by one of them or by the next.
pub async fn what_is_added_while_others_take_is_taken_once(nodes: Nodes<'_>, clock: &dyn Clock) {
    let (key, end) = (key(), clock.now() + HOUR);
    let mut calls = JoinSet::new();
    for (number, node) in nodes.into_iter().cycle().take(64).enumerate() {
        let (node, key) = (Arc::clone(node), key.clone());
        calls.spawn(async move {
            add(&node, &key, &number.to_string(), end).await;
            take(&node, &key).await
        });
    }
    let mut taken = Vec::new();
    while let Some(call) = calls.join_next().await {
        taken.extend(call.expect("no call fails"));
    }
    let [one, _] = nodes;
    taken.extend(take(one, &key).await);
    assert_eq!(taken.len(), 64, "some were lost or taken twice");
    let different: BTreeSet<String> = taken.into_iter().collect();
    assert_eq!(different.len(), 64, "some were taken twice");
}

/// A caller that gives up in the middle does not leave its answer to the next caller. What it took
/// may be gone.
pub async fn a_dropped_call_leaves_the_next_ones_alone([node, _]: Nodes<'_>, clock: &dyn Clock) {
    let end = clock.now() + HOUR;
    for _ in 0..8 {
        let (given_up, wanted) = (key(), key());
        add(node, &given_up, "given up", end).await;
        add(node, &wanted, "wanted", end).await;
        start_and_drop(node.take(&given_up)).await;
        start_and_drop(node.add(&key(), "dropped", end)).await;
        assert_eq!(take(node, &wanted).await, ["wanted"], "another's answer");
    }
}

/// What is over needs nobody to end it.
pub async fn what_has_expired_is_not_noted([one, other]: Nodes<'_>, clock: &dyn Clock) {
    let key = key();
    let hour_ago = clock.now() - HOUR;
    for end in [clock.now(), hour_ago, OffsetDateTime::UNIX_EPOCH - HOUR] {
        add(one, &key, "over", end).await;
        assert_eq!(take(other, &key).await, NOTHING, "it had ended on {end}");
    }
}

/// An entry ends with its session, and others of the same key do not.
pub async fn a_session_is_found_until_its_end_and_no_longer(
    [one, other]: Nodes<'_>,
    clock: &dyn Clock,
) {
    let (mixed, short, taken) = (key(), key(), key());
    add(one, &mixed, "long", clock.now() + HOUR).await;
    add(one, &mixed, "short", clock.now() + SHORT).await;
    add(one, &short, "short", clock.now() + SHORT).await;
    add(one, &taken, "short", clock.now() + SHORT).await;
    assert_eq!(take(other, &taken).await, ["short"], "it ended too early");
    clock.sleep(PAST_SHORT).await;
    assert_eq!(take(other, &mixed).await, ["long"]);
    assert_eq!(take(other, &short).await, NOTHING, "it had ended");
}

/// Whoever notes a session again makes its life longer and never shorter.
pub async fn the_later_end_counts([one, other]: Nodes<'_>, clock: &dyn Clock) {
    let (longer, shorter) = (key(), key());
    add(one, &longer, "session", clock.now() + SHORT).await;
    add(other, &longer, "session", clock.now() + HOUR).await;
    add(one, &shorter, "session", clock.now() + HOUR).await;
    add(other, &shorter, "session", clock.now() + SHORT).await;
    // Nor does one that has ended already.
    add(other, &shorter, "session", clock.now() - HOUR).await;
    clock.sleep(PAST_SHORT).await;
    assert_eq!(take(other, &longer).await, ["session"]);
    assert_eq!(take(one, &shorter).await, ["session"]);
}

/// There is no end that is too far away.
pub async fn the_latest_end_is_accepted([one, other]: Nodes<'_>) {
    let (key, end) = (key(), datetime!(9999-12-31 23:59:59.999_999_999 UTC));
    add(one, &key, "session", end).await;
    assert_eq!(take(other, &key).await, ["session"]);
}

fn key() -> SessionKey {
    SessionKey::new("contract", text())
}

fn text() -> String {
    random().iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn add(node: &Arc<dyn SessionIndex>, key: &SessionKey, session: &str, end: OffsetDateTime) {
    let added = node.add(key, session, end).await;
    added.expect("the index notes it");
}

/// In order, since an index has none.
async fn take(node: &Arc<dyn SessionIndex>, key: &SessionKey) -> Vec<String> {
    let mut taken = node.take(key).await.expect("the index answers");
    taken.sort_unstable();
    taken
}

const NOTHING: [&str; 0] = [];
