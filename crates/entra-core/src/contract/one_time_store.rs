//! What a [`OneTimeStore`] holds.

use std::sync::Arc;

use time::OffsetDateTime;
use time::macros::datetime;
use tokio::task::JoinSet;

use super::{HOUR, PAST_SHORT, SHORT, random, start_and_drop};
use crate::{Clock, OneTimeError, OneTimeKey, OneTimeStore};

/// The store as two nodes see it.
pub type Nodes<'a> = [&'a Arc<dyn OneTimeStore>; 2];

/// All properties.
pub async fn all(nodes: Nodes<'_>, clock: &dyn Clock) {
    the_first_is_told_so_and_nobody_after(nodes, clock).await;
    a_key_says_nothing_of_another(nodes, clock).await;
    exactly_one_of_many_at_once_is_the_first(nodes, clock).await;
    a_dropped_call_leaves_the_next_ones_alone(nodes, clock).await;
    what_has_expired_is_refused(nodes, clock).await;
    a_key_is_held_until_its_end_and_no_longer(nodes, clock).await;
    a_second_call_changes_no_end(nodes, clock).await;
    the_latest_end_is_accepted(nodes).await;
}

/// True once, for whichever node asks first.
pub async fn the_first_is_told_so_and_nobody_after([one, other]: Nodes<'_>, clock: &dyn Clock) {
    let (key, end) = (key(), clock.now() + HOUR);
    assert!(insert(one, &key, end).await, "a new key");
    assert!(!insert(other, &key, end).await, "a second use elsewhere");
    assert!(!insert(one, &key, end).await, "a second use");
}

/// Each key is a matter of its own.
pub async fn a_key_says_nothing_of_another([one, other]: Nodes<'_>, clock: &dyn Clock) {
    let end = clock.now() + HOUR;
    assert!(insert(one, &key(), end).await);
    assert!(insert(one, &key(), end).await);
    assert!(insert(other, &key(), end).await);
}

/// Among calls at the same time there is one winner.
pub async fn exactly_one_of_many_at_once_is_the_first(nodes: Nodes<'_>, clock: &dyn Clock) {
    let end = clock.now() + HOUR;
    for _ in 0..8 {
        let key = key();
        let mut calls = JoinSet::new();
        for node in nodes.into_iter().cycle().take(32) {
            let node = Arc::clone(node);
            calls.spawn(async move { insert(&node, &key, end).await });
        }
        let mut winners = 0;
        while let Some(call) = calls.join_next().await {
            winners += usize::from(call.expect("no call fails"));
        }
        assert_eq!(winners, 1, "calls that were told to be the first");
    }
}

/// A caller that gives up in the middle does not leave its answer to the next caller. Its key may
/// be used up or not.
pub async fn a_dropped_call_leaves_the_next_ones_alone([node, _]: Nodes<'_>, clock: &dyn Clock) {
    let end = clock.now() + HOUR;
    let used = key();
    assert!(insert(node, &used, end).await);
    for _ in 0..8 {
        start_and_drop(node.insert_once(&key(), end)).await;
        assert!(!insert(node, &used, end).await, "another's answer");
        start_and_drop(node.insert_once(&used, end)).await;
        assert!(insert(node, &key(), end).await, "another's answer");
    }
}

/// What cannot be remembered is not accepted.
pub async fn what_has_expired_is_refused([node, _]: Nodes<'_>, clock: &dyn Clock) {
    let hour_ago = clock.now() - HOUR;
    for end in [clock.now(), hour_ago, OffsetDateTime::UNIX_EPOCH - HOUR] {
        let refused = node.insert_once(&key(), end).await;
        assert!(
            matches!(refused, Err(OneTimeError::Expired { expires_on }) if expires_on == end),
            "it had expired on {end}, and the answer is {refused:?}"
        );
    }
}

/// A key is used until its end, and may come anew after it.
pub async fn a_key_is_held_until_its_end_and_no_longer([one, other]: Nodes<'_>, clock: &dyn Clock) {
    let (short, long) = (key(), key());
    assert!(insert(one, &short, clock.now() + SHORT).await);
    assert!(insert(one, &long, clock.now() + HOUR).await);
    assert!(!insert(other, &short, clock.now() + SHORT).await);
    clock.sleep(PAST_SHORT).await;
    assert!(!insert(other, &long, clock.now() + HOUR).await, "forgotten");
    assert!(insert(other, &short, clock.now() + SHORT).await, "kept");
}

/// Whoever comes second makes the life of a key neither longer nor shorter.
pub async fn a_second_call_changes_no_end([one, other]: Nodes<'_>, clock: &dyn Clock) {
    let (short, long) = (key(), key());
    assert!(insert(one, &short, clock.now() + SHORT).await);
    assert!(!insert(other, &short, clock.now() + HOUR).await);
    assert!(insert(one, &long, clock.now() + HOUR).await);
    assert!(!insert(other, &long, clock.now() + SHORT / 2).await);
    clock.sleep(PAST_SHORT).await;
    assert!(!insert(one, &long, clock.now() + HOUR).await, "shortened");
    assert!(insert(one, &short, clock.now() + HOUR).await, "prolonged");
}

/// There is no end that is too far away.
pub async fn the_latest_end_is_accepted([one, other]: Nodes<'_>) {
    let (key, end) = (key(), datetime!(9999-12-31 23:59:59.999_999_999 UTC));
    assert!(insert(one, &key, end).await);
    assert!(!insert(other, &key, end).await);
}

fn key() -> OneTimeKey {
    OneTimeKey::new("contract", [random()])
}

async fn insert(store: &Arc<dyn OneTimeStore>, key: &OneTimeKey, end: OffsetDateTime) -> bool {
    let inserted = store.insert_once(key, end).await;
    inserted.expect("the store answers")
}
