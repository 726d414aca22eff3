//! Whole lives of sessions, read from their logs.

mod delegation;
mod limits;
mod pauses;
mod tools;
mod turns;
