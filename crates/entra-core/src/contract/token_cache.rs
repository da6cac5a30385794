//! What a [`TokenCache`] holds.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::{HOUR, PAST_SHORT, SHORT, random, start_and_drop};
use crate::{CacheName, Clock, TokenCache};

/// The cache as two nodes see it.
pub type Nodes<'a> = [&'a Arc<dyn TokenCache>; 2];

/// All properties.
pub async fn all(nodes: Nodes<'_>, clock: &dyn Clock) {
    nothing_is_under_a_new_name(nodes).await;
    what_one_node_stores_another_loads(nodes).await;
    any_bytes_are_kept(nodes).await;
    a_second_value_replaces_the_first(nodes).await;
    similar_names_are_not_mixed_up(nodes).await;
    calls_at_once_are_not_mixed_up(nodes).await;
    a_dropped_call_leaves_the_next_ones_alone(nodes).await;
    a_removed_entry_is_gone(nodes).await;
    removing_nothing_is_no_error(nodes).await;
    an_entry_ends_with_its_time(nodes, clock).await;
    the_last_time_to_live_counts(nodes, clock).await;
    no_time_to_live_leaves_nothing(nodes).await;
    the_longest_time_to_live_is_accepted(nodes).await;
}

/// Nobody finds what nobody stored.
pub async fn nothing_is_under_a_new_name([node, _]: Nodes<'_>) {
    assert_eq!(load(node, &name()).await, None);
}

/// The nodes share what they store.
pub async fn what_one_node_stores_another_loads([one, other]: Nodes<'_>) {
    let name = name();
    store(one, &name, b"token", HOUR).await;
    assert_eq!(load(other, &name).await.as_deref(), Some(&b"token"[..]));
    assert_eq!(load(one, &name).await.as_deref(), Some(&b"token"[..]));
}

/// Values are bytes of any kind and any usual length, nothing included.
pub async fn any_bytes_are_kept([one, other]: Nodes<'_>) {
    let every_byte: Vec<u8> = (0..=u8::MAX).collect();
    for value in [
        vec![],
        b"$-1\r\n\0".to_vec(),
        every_byte.clone(),
        every_byte.repeat(256),
    ] {
        let name = name();
        store(one, &name, &value, HOUR).await;
        assert_eq!(load(other, &name).await, Some(value));
    }
}

/// There is one value under a name, the last.
pub async fn a_second_value_replaces_the_first([one, other]: Nodes<'_>) {
    let name = name();
    store(one, &name, b"a long first value", HOUR).await;
    store(other, &name, b"second", HOUR).await;
    assert_eq!(load(one, &name).await.as_deref(), Some(&b"second"[..]));
}

/// All 32 bytes of a name count.
pub async fn similar_names_are_not_mixed_up([one, other]: Nodes<'_>) {
    let original = random();
    store(one, &CacheName::from_bytes(original), b"token", HOUR).await;
    for position in 0..original.len() {
        let mut changed = original;
        if let Some(byte) = changed.get_mut(position) {
            *byte ^= 1;
        }
        let found = load(other, &CacheName::from_bytes(changed)).await;
        assert_eq!(found, None, "byte {position} of the name does not count");
    }
}

/// Everybody gets their own value, however many ask at once.
pub async fn calls_at_once_are_not_mixed_up([one, other]: Nodes<'_>) {
    let mut calls = JoinSet::new();
    for _ in 0..64 {
        let (one, other) = (Arc::clone(one), Arc::clone(other));
        calls.spawn(async move {
            let bytes = random();
            let name = CacheName::from_bytes(bytes);
            for _ in 0..4 {
                store(&one, &name, &bytes, HOUR).await;
                let found = load(&other, &name).await;
                assert_eq!(found.as_deref(), Some(&bytes[..]), "another's value");
            }
        });
    }
    while let Some(call) = calls.join_next().await {
        call.expect("no call fails");
    }
}

/// A caller that gives up in the middle does not leave its answer to the next caller.
pub async fn a_dropped_call_leaves_the_next_ones_alone([node, _]: Nodes<'_>) {
    let (given_up, wanted) = (name(), name());
    store(node, &given_up, b"given up", HOUR).await;
    store(node, &wanted, b"wanted", HOUR).await;
    for _ in 0..8 {
        start_and_drop(node.load(&given_up)).await;
        start_and_drop(node.store(&name(), b"dropped", HOUR)).await;
        let found = load(node, &wanted).await;
        assert_eq!(found.as_deref(), Some(&b"wanted"[..]), "another's answer");
    }
}

/// After a removal there is nothing, for all nodes.
pub async fn a_removed_entry_is_gone([one, other]: Nodes<'_>) {
    let name = name();
    store(one, &name, b"token", HOUR).await;
    other.remove(&name).await.expect("it is removed");
    assert_eq!(load(one, &name).await, None);
    assert_eq!(load(other, &name).await, None);
}

/// Whoever removes need not know whether there is something.
pub async fn removing_nothing_is_no_error([node, _]: Nodes<'_>) {
    node.remove(&name()).await.expect("it is no error");
}

/// What has ended is not loaded.
pub async fn an_entry_ends_with_its_time([one, other]: Nodes<'_>, clock: &dyn Clock) {
    let (short, long) = (name(), name());
    store(one, &short, b"short", SHORT).await;
    store(one, &long, b"long", HOUR).await;
    assert!(load(other, &short).await.is_some(), "it ended too early");
    clock.sleep(PAST_SHORT).await;
    assert_eq!(load(other, &short).await, None);
    assert!(load(other, &long).await.is_some(), "it ended too early");
}

/// A value that is replaced lives as long as the new one, be that longer or shorter.
pub async fn the_last_time_to_live_counts([one, other]: Nodes<'_>, clock: &dyn Clock) {
    let (longer, shorter) = (name(), name());
    store(one, &longer, b"first", SHORT).await;
    store(one, &longer, b"second", HOUR).await;
    store(one, &shorter, b"first", HOUR).await;
    store(one, &shorter, b"second", SHORT).await;
    clock.sleep(PAST_SHORT).await;
    assert_eq!(load(other, &longer).await.as_deref(), Some(&b"second"[..]));
    assert_eq!(load(other, &shorter).await, None);
}

/// A value that has no time left is not kept, and takes the one before it along.
pub async fn no_time_to_live_leaves_nothing([one, other]: Nodes<'_>) {
    let name = name();
    store(one, &name, b"first", HOUR).await;
    store(one, &name, b"second", Duration::ZERO).await;
    assert_eq!(load(other, &name).await, None);
}

/// There is no time to live that is too long.
pub async fn the_longest_time_to_live_is_accepted([one, other]: Nodes<'_>) {
    let name = name();
    store(one, &name, b"token", Duration::MAX).await;
    assert_eq!(load(other, &name).await.as_deref(), Some(&b"token"[..]));
}

fn name() -> CacheName {
    CacheName::from_bytes(random())
}

async fn load(cache: &Arc<dyn TokenCache>, name: &CacheName) -> Option<Vec<u8>> {
    cache.load(name).await.expect("the cache answers")
}

async fn store(cache: &Arc<dyn TokenCache>, name: &CacheName, value: &[u8], time: Duration) {
    let stored = cache.store(name, value, time).await;
    stored.expect("the cache stores");
}
