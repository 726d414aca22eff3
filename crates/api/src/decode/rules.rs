//! Rules over texts that no schema can express.

pub mod base64;
pub mod files;
pub mod markup;
pub mod names;
pub mod packages;
pub mod regexes;

/// `rule`, unless it holds.
pub fn ensure(holds: bool, rule: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(rule.to_owned()) }
}
