//! The latest value of something, and waiting for it to change.
//!
//! As tokio's `watch`, but whoever waited first is woken first. `watch` draws lots, and a simulation that is to be
//! repeated must not.

use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

#[derive(Debug)]
pub(crate) struct Latest<T> {
    current: Mutex<Current<T>>,
    news: Notify,
}

#[derive(Debug)]
struct Current<T> {
    value: T,
    /// How often it has changed.
    changes: u64,
}

impl<T: Clone> Latest<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { current: Mutex::new(Current { value, changes: 0 }), news: Notify::new() }
    }

    pub(crate) fn get(&self) -> T {
        self.lock().value.clone()
    }

    /// The value, and how often it has changed.
    pub(crate) fn get_counted(&self) -> (T, u64) {
        let current = self.lock();
        (current.value.clone(), current.changes)
    }

    /// Replaces the value, and wakes those who wait.
    pub(crate) fn set(&self, value: T) {
        self.set_if(|_| Some(value));
    }

    /// Replaces the value by what `next` makes of it, if anything.
    pub(crate) fn set_if(&self, next: impl FnOnce(&T) -> Option<T>) {
        let mut current = self.lock();
        let Some(value) = next(&current.value) else { return };
        current.value = value;
        current.changes += 1;
        drop(current);
        self.news.notify_waiters();
    }

    /// Returns once the value has changed more often than `seen`, and tells how often.
    pub(crate) async fn changed_since(&self, seen: u64) -> u64 {
        loop {
            // Before looking: what changes from here on wakes it.
            let news = self.news.notified();
            let changes = self.lock().changes;
            if changes > seen {
                return changes;
            }
            news.await;
        }
    }

    /// Returns once the value is as wanted.
    pub(crate) async fn wait_for(&self, wanted: impl Fn(&T) -> bool) {
        loop {
            let news = self.news.notified();
            if wanted(&self.lock().value) {
                return;
            }
            news.await;
        }
    }

    /// Nothing panics while it holds the lock but `wanted` and `next`, which leave the value as it was.
    fn lock(&self) -> MutexGuard<'_, Current<T>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
