//! One writer at a time for each object whose collections are replaced as a whole.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OwnedMutexGuard;
use uuid::Uuid;

/// A lock for each object that is being written.
///
/// Graph replaces whole collections, so two writers that read before either has written lose one
/// of the changes. Within a process this keeps them in order; across processes the writers verify
/// afterwards.
#[derive(Debug, Default)]
pub(crate) struct WriteLocks {
    held: Mutex<HashMap<Uuid, Arc<tokio::sync::Mutex<()>>>>,
}

impl WriteLocks {
    /// Waits for the turn to write to `object`.
    pub(crate) async fn lock(&self, object: &Uuid) -> OwnedMutexGuard<()> {
        let lock = {
            let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
            // Nobody holds or waits for a lock that only the map knows.
            held.retain(|_, lock| Arc::strong_count(lock) > 1);
            Arc::clone(held.entry(*object).or_default())
        };
        lock.lock_owned().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn locks_are_per_object_and_forgotten() {
        let locks = WriteLocks::default();
        let (a, b) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let first = locks.lock(&a).await;
        let other = locks.lock(&b).await;
        assert!(locks.held.lock().unwrap()[&a].try_lock().is_err());
        drop((first, other));
        drop(locks.lock(&b).await);
        assert_eq!(locks.held.lock().unwrap().len(), 1);
    }
}
