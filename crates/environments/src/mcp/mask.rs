//! Keeps what a server was given in secret out of errors and logs.

use quarterdeck_api::{McpServer, mask::MASK};

/// Shorter values stand in every other text.
const SECRET_MIN: usize = 4;

/// The secrets of one server.
#[derive(Clone)]
pub(super) struct Secrets(Vec<String>);

impl Secrets {
    pub(super) fn of(server: &McpServer) -> Self {
        let values = server.env.values().chain(server.headers.values()).chain(&server.args);
        let mut secrets: Vec<String> = values.filter(|value| value.len() >= SECRET_MIN).cloned().collect();
        // What follows `Bearer` may be told alone.
        let words: Vec<String> =
            server.headers.values().flat_map(|value| value.split(' ')).map(str::to_owned).collect();
        secrets.extend(words.into_iter().filter(|word| word.len() > SECRET_MIN && word != "Bearer" && word != "Basic"));
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        Self(secrets)
    }

    /// `text` on one line, at most `max` characters, with every secret masked.
    pub(super) fn masked_line(&self, text: &str, max: usize) -> String {
        let mut text = text.replace(char::is_control, " ");
        for secret in &self.0 {
            text = text.replace(secret.as_str(), MASK);
        }
        match text.char_indices().nth(max) {
            Some((end, _)) => format!("{}…", &text[..end]),
            None => text,
        }
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
        assert_eq!(secrets.masked_line("abcdef", 3), "abc…");
    }
}
