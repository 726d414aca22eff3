//! What is wrong with a file, and where.

use serde::Serialize;
use std::fmt;

/// Something wrong in a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// The file, as it was named.
    pub file: String,
    /// The line, from 1; 0 where the message says the place.
    pub line: usize,
    /// The column, from 1, in characters.
    pub column: usize,
    /// What stands there, and what may.
    pub message: String,
    /// What was probably meant.
    pub suggestion: Option<String>,
    /// The line with a mark below.
    pub snippet: String,
}

impl Diagnostic {
    /// A fault whose message says its place in the file.
    pub fn of_file(file: &str, message: String) -> Self {
        Self { file: file.to_owned(), line: 0, column: 0, message, suggestion: None, snippet: String::new() }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 {
            return write!(f, "{}: {}", self.file, self.message);
        }
        write!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.message)?;
        if let Some(suggestion) = &self.suggestion {
            write!(f, "; did you mean `{suggestion}`?")?;
        }
        if self.snippet.is_empty() { Ok(()) } else { write!(f, "\n{}", self.snippet) }
    }
}

/// Everything wrong in some files: nothing of them is loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq, thiserror::Error)]
pub struct Diagnostics(pub Vec<Diagnostic>);

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for fault in &self.0 {
            writeln!(f, "{fault}")?;
        }
        let count = self.0.len();
        write!(f, "{count} fault{}, nothing loaded", if count == 1 { "" } else { "s" })
    }
}

/// Where a value stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct At {
    /// From 1.
    pub(crate) line: usize,
    /// From 1.
    pub(crate) column: usize,
    /// How many characters the mark below it has.
    pub(crate) width: usize,
}

/// Diagnostics of one file.
pub(crate) struct Notes<'a> {
    file: &'a str,
    lines: Vec<&'a str>,
    pub(crate) faults: Vec<Diagnostic>,
}

/// Characters of a line that a snippet shows.
const SNIPPET_MAX: usize = 160;
/// Diagnostics that are told of one file; the rest are most likely made by these.
const FAULTS_MAX: usize = 100;

impl<'a> Notes<'a> {
    pub(crate) fn new(file: &'a str, text: &'a str) -> Self {
        Self { file, lines: text.lines().collect(), faults: Vec::new() }
    }

    pub(crate) fn add(&mut self, at: At, message: impl Into<String>) {
        self.add_meant(at, message, None);
    }

    pub(crate) fn add_meant(&mut self, at: At, message: impl Into<String>, suggestion: Option<&str>) {
        if self.faults.len() >= FAULTS_MAX {
            return;
        }
        self.faults.push(Diagnostic {
            file: self.file.to_owned(),
            line: at.line,
            column: at.column,
            message: message.into(),
            suggestion: suggestion.map(str::to_owned),
            snippet: self.snippet(at),
        });
    }

    fn snippet(&self, at: At) -> String {
        let Some(line) = at.line.checked_sub(1).and_then(|line| self.lines.get(line)) else { return String::new() };
        let shown: String = line.chars().take(SNIPPET_MAX).collect();
        let before = at.column.saturating_sub(1);
        if before > SNIPPET_MAX {
            return String::new();
        }
        let width = at.width.clamp(1, (SNIPPET_MAX + 1).saturating_sub(before));
        format!("{:>5} | {shown}\n      | {}{}", at.line, " ".repeat(before), "^".repeat(width))
    }
}
