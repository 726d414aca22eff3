//! Keeps what a server was given in secret out of errors and logs.

use quarterdeck_api::{McpServer, mask::MASK};

/// Shorter values stand in every other text.
const SECRET_MIN: usize = 4;

/// The secrets of one server.
#[derive(Clone)]
pub(super) struct Secrets(Vec<String>);

impl Secrets {
    pub(super) fn of(server: &McpServer) -> Self {
        let values = server.env.values().chain(server.headers.values()).chain(&server.args).map(String::as_str);
        // What follows `Bearer` may be told alone, and so may what `--key=` is followed by.
        let words = server.headers.values().flat_map(|value| value.split(' '));
        let words = words.filter(|word| word.len() > SECRET_MIN && *word != "Bearer" && *word != "Basic");
        let assigned = server.args.iter().filter_map(|argument| Some(argument.split_once('=')?.1));
        let whole: Vec<&str> = values.chain(words).chain(assigned).collect();
        // Those of several lines are told line by line.
        let lines = whole.iter().flat_map(|secret| secret.split(char::is_control));
        let all = whole.iter().copied().chain(lines).filter(|secret| secret.len() >= SECRET_MIN);
        let mut secrets: Vec<String> = all.map(str::to_owned).collect();
        secrets.sort_by(|one, other| other.len().cmp(&one.len()).then_with(|| one.cmp(other)));
        secrets.dedup();
        Self(secrets)
    }

    /// `text` on one line, at most `max` characters, with every secret masked.
    pub(super) fn masked_line(&self, text: &str, max: usize) -> String {
        shown(&self.masked(text), max)
    }

    /// The same of a text whose end is missing: what may be the beginning of a secret there is left out.
    pub(super) fn masked_beginning(&self, text: &str, max: usize) -> String {
        // A character that was cut in two counts for more bytes than it had.
        let longest = self.0.first().map_or(0, |secret| secret.len() + char::REPLACEMENT_CHARACTER.len_utf8());
        let masked = self.masked(text);
        let end = masked.floor_char_boundary(masked.len().saturating_sub(longest));
        shown(&masked[..end], max)
    }

    fn masked(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), MASK))
    }
}

fn shown(text: &str, max: usize) -> String {
    let text = text.replace(char::is_control, " ");
    match text.char_indices().nth(max) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(MASK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn secrets_are_masked_wherever_they_stand() {
        let server = serde_json::from_value(json!({
            "name": "s", "transport": "sse", "args": ["--key=CANARY-1", "-v"], "env": {"A": "CANARY-2"},
            "headers": {"Authorization": "Bearer CANARY-3"},
        }));
        let secrets = Secrets::of(&server.unwrap());
        let told = secrets.masked_line("--key=CANARY-1 -v\nCANARY-2 (Bearer CANARY-3) CANARY-3", 100);
        assert_eq!(told, "*** -v *** (***) ***");
        assert_eq!(secrets.masked_line("CANARY-1 and --key", 100), "*** and --key");
        assert_eq!(secrets.masked_line("abcdef", 3), "abc…");
    }

    #[test]
    fn a_secret_of_several_lines_is_masked_as_a_whole_and_line_by_line() {
        let secrets = secrets("CANARY-1\r\nCANARY-2\tCANARY-3\nabc");
        assert_eq!(secrets.masked_line("<CANARY-1\r\nCANARY-2\tCANARY-3\nabc>", 100), "<***>");
        assert_eq!(secrets.masked_line("CANARY-1", 100), "***");
        assert_eq!(secrets.masked_line("CANARY-2\tCANARY-3", 100), "*** ***");
        assert_eq!(secrets.masked_line("CANARY-1\\r\\nCANARY-2\\t", 100), "***\\r\\n***\\t");
    }

    #[test]
    fn where_the_end_is_missing_no_beginning_of_a_secret_shows() {
        let secrets = secrets("CANARY-123");
        for text in ["said something: CANARY-12", "said C", "said something: CANARY-123 CANARY-1", "é"] {
            let told = secrets.masked_beginning(text, 100);
            assert!(!told.contains('C') && "said something: *** ".starts_with(&told), "{told}");
        }
    }

    fn secrets(value: &str) -> Secrets {
        let server = json!({"name": "s", "transport": "stdio", "args": [], "env": {"A": value}, "headers": {}});
        Secrets::of(&serde_json::from_value(server).unwrap())
    }
}
