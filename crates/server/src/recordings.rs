//! Sessions as files: a session is written with its pictures and without its secrets, and a file is played and compared.

mod export;
mod verify;

pub use export::{ExportError, export};
pub use verify::{Verdict, VerifyError, verify};
