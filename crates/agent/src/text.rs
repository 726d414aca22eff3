//! Small helpers for text that others wrote.

use serde_json::Value;
use std::hash::{DefaultHasher, Hash, Hasher};

/// At most `max` characters of `text`, with a mark where it was cut.
pub(crate) fn cut(text: &str, max: usize) -> String {
    match text.char_indices().nth(max) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

/// The first line of `text` that says something, fit for a log: cut, and without control characters.
pub(crate) fn one_line(text: &str, max: usize) -> String {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    cut(&line.replace(char::is_control, " "), max)
}

/// `text` with NUL replaced: no database column of text takes one.
pub(crate) fn without_nul(text: String) -> String {
    if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text }
}

/// Whether JSON is nested at most `levels` deep.
pub(crate) fn depth_is_within(value: &Value, levels: usize) -> bool {
    match value {
        Value::Array(items) => levels > 0 && items.iter().all(|item| depth_is_within(item, levels - 1)),
        Value::Object(members) => levels > 0 && members.values().all(|member| depth_is_within(member, levels - 1)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
    }
}

/// Encloses text that is data in marks that it cannot contain itself, so that it cannot pretend to end.
/// The mark is made of the text, so the same text always looks the same: hosts cache what they saw before.
pub(crate) fn fenced(source: &str, text: &str) -> String {
    let mut salt = 0;
    while text.contains(&mark(text, salt)) {
        salt += 1;
    }
    let mark = mark(text, salt);
    format!("<{mark} source={source:?}>\n{text}\n</{mark}>")
}

fn mark(text: &str, salt: u32) -> String {
    let mut hasher = DefaultHasher::new();
    (text, salt).hash(&mut hasher);
    format!("data-{:08x}", hasher.finish() >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_falls_between_characters() {
        assert_eq!(cut("aéb", 3), "aéb");
        assert_eq!(cut("aéb", 2), "aé…");
    }

    #[test]
    fn a_line_for_the_log_is_one_line_of_plain_characters() {
        assert_eq!(one_line("\n \x1b[31mred\0\nmore", 8), " [31mred…");
    }

    #[test]
    fn data_cannot_close_its_own_fence() {
        let once = fenced("tool", "a");
        assert!(once.starts_with("<data-") && once.contains(" source=\"tool\">\na\n</data-"), "{once}");
        let twice = fenced("tool", &once);
        let (opening, _) = twice.split_once(' ').unwrap();
        assert_eq!(twice.matches(&opening[1..]).count(), 2, "{twice}");
    }
}
