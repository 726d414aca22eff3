//! When a database was last found to be away.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// How long it is remembered: by then, connections from before are found out.
const TROUBLE_TTL: Duration = Duration::from_mins(1);

/// For all stores of the process: to remember too much costs a round trip.
static LAST: Mutex<Option<Instant>> = Mutex::new(None);

/// A database did not answer, or ended a connection.
pub(super) fn note() {
    *LAST.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
}

/// Whether there was any lately, in the life of something of this age.
pub(super) fn since(age: Duration) -> bool {
    let last = *LAST.lock().unwrap_or_else(PoisonError::into_inner);
    last.is_some_and(|last| last.elapsed() < TROUBLE_TTL.min(age))
}
