//! What can be asked of a text.

use regex::Regex;
use serde::{Deserialize, Serialize};

/// Bytes that one regex may take once it is compiled.
const REGEX_MAX: usize = 1 << 20;

/// What is asked of a text that may be there or not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TextTest {
    /// It is this.
    Equals(String),
    /// It has this in it.
    Contains(String),
    /// A part of it matches this.
    Regex(String),
    /// It is there, or not.
    Absent(bool),
}

pub(crate) fn compiled(pattern: &str) -> Result<Regex, regex::Error> {
    regex::RegexBuilder::new(pattern).size_limit(REGEX_MAX).build()
}

impl TextTest {
    /// Whether it holds.
    pub fn holds(&self, text: Option<&str>) -> bool {
        match (self, text) {
            (Self::Absent(absent), text) => text.is_none() == *absent,
            (_, None) => false,
            (Self::Equals(wanted), Some(text)) => text == wanted,
            (Self::Contains(wanted), Some(text)) => text.contains(wanted.as_str()),
            (Self::Regex(pattern), Some(text)) => compiled(pattern).is_ok_and(|regex| regex.is_match(text)),
        }
    }

    /// What it asks, for people.
    pub fn told(&self) -> String {
        match self {
            Self::Equals(wanted) => format!("to be {wanted:?}"),
            Self::Contains(wanted) => format!("to contain {wanted:?}"),
            Self::Regex(pattern) => format!("to match /{pattern}/"),
            Self::Absent(true) => "to be absent".into(),
            Self::Absent(false) => "to be there".into(),
        }
    }
}
