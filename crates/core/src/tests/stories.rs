//! Whole lives of sessions, read from their logs.

mod limits;
mod pauses;
mod tools;
mod turns;
