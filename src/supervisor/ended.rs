//! Instances that are known to have ended, so that nobody waits for their first heartbeat.

use std::collections::VecDeque;
use std::sync::{Arc, PoisonError};

use crate::sync::Mutex;

/// How many are remembered. Only those that are being launched are asked about, at most a few at a time.
const MOST: usize = 1024;

/// The keys of the instances that ended last; clones share them. The lock covers a push or a search.
#[derive(Clone, Default)]
pub(super) struct Ended(Arc<Mutex<VecDeque<Arc<str>>>>);

impl Ended {
    /// The instance with this key has ended.
    pub(super) fn note(&self, key: Arc<str>) {
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if keys.len() == MOST {
            keys.pop_front();
        }
        keys.push_back(key);
    }

    /// Whether it is known to have ended.
    pub(super) fn contains(&self, key: &str) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().any(|ended| **ended == *key)
    }
}
