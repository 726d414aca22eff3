//! What both engines say in the same words, a file a noun. All of it is compiled once for each, and finds what they say
//! differently one module up.

use super::{
    BEGIN, COUNT_SINCE, Connection, Db, Engine, LOCK_SESSIONS, NO_INDEX, POSITION, Pool, SINCE, in_time, read,
};

mod catalogs;
mod events;
pub(super) mod idempotency_keys;
mod keys;
mod leases;
mod memories;
mod organizations;
mod scripts;
mod sessions;
mod sharing;
mod sign_ins;
mod slots;
pub(super) mod totals;
pub(super) mod writes;

type Result<T> = std::result::Result<T, crate::Error>;
