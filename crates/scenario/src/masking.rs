//! What a recording must not say: secrets that are known, keys by their looks, and what somebody asked to hide.

use crate::recording::Recording;
use quarterdeck_api::mask::MASK;
use regex::Regex;
use serde_json::Value;
use std::{fmt::Write, sync::LazyLock};

/// How keys look.
const LOOKS: [&str; 9] = [
    r"\b(?:hk|sk|pk|rk)[-_](?:[A-Za-z0-9]+[-_])*[A-Za-z0-9]{16,}",
    r"\bgh[pousr]_[A-Za-z0-9]{20,}",
    r"\bgithub_pat_[A-Za-z0-9_]{20,}",
    r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",
    r"\bxox[a-z]-[A-Za-z0-9-]{10,}",
    r"\bAIza[A-Za-z0-9_-]{30,}",
    r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+",
    r"(?i)\b(?:bearer|basic)\s+[A-Za-z0-9._~+/-]{8,}=*",
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----[^-]*(?:-----END [A-Z ]*PRIVATE KEY-----)?",
];
/// What is shorter is no secret, but a word that stands everywhere.
const SECRET_MIN: usize = 6;

static KEYS: LazyLock<Vec<Regex>> = LazyLock::new(|| LOOKS.iter().filter_map(|look| Regex::new(look).ok()).collect());

/// What is hidden.
#[derive(Clone, Debug, Default)]
pub struct Masks {
    /// Word for word, and as it stands in JSON or in an address.
    secrets: Vec<String>,
    patterns: Vec<Regex>,
}

impl Masks {
    /// Hides these secrets and what fits these patterns, and in any case what looks like a key.
    pub fn new(secrets: impl IntoIterator<Item = String>, patterns: Vec<Regex>) -> Self {
        let mut all: Vec<String> = Vec::new();
        for secret in secrets.into_iter().filter(|secret| secret.len() >= SECRET_MIN && secret != MASK) {
            let quoted = Value::from(secret.as_str()).to_string();
            let quoted = quoted.trim_matches('"').to_owned();
            let encoded = encoded(&secret);
            all.extend([secret, quoted, encoded]);
        }
        // The longest first: one secret may be a part of another.
        all.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        all.dedup();
        Self { secrets: all, patterns }
    }

    /// Hides it in a recording and in those of its children.
    pub fn apply(&self, recording: &mut Recording) -> Result<(), crate::RecordingFault> {
        let mut value = Value::from(recording.clone());
        self.hide(&mut value);
        *recording = Recording::try_from(value)?;
        Ok(())
    }

    /// Names of members are texts too; bytes of pictures and files are none.
    fn hide(&self, value: &mut Value) {
        match value {
            Value::String(text) => {
                if !text.starts_with("data:")
                    && let Some(hidden) = self.hidden(text)
                {
                    *text = hidden;
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.hide(item)),
            Value::Object(members) => {
                let is_bytes = members.get("type").is_some_and(|kind| kind == "base64");
                for (name, member) in members.iter_mut() {
                    if !(is_bytes && name == "source") {
                        self.hide(member);
                    }
                }
                let odd: Vec<(String, String)> =
                    members.keys().filter_map(|name| Some((name.clone(), self.hidden(name)?))).collect();
                for (name, hidden) in odd {
                    if let Some(member) = members.remove(&name) {
                        members.insert(hidden, member);
                    }
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// The text without what it must not say; none if it says none of it.
    fn hidden(&self, text: &str) -> Option<String> {
        let mut hidden = text.to_owned();
        for secret in &self.secrets {
            if hidden.contains(secret.as_str()) {
                hidden = hidden.replace(secret.as_str(), MASK);
            }
        }
        for pattern in KEYS.iter().chain(&self.patterns) {
            if pattern.is_match(&hidden) {
                hidden = pattern.replace_all(&hidden, MASK).into_owned();
            }
        }
        (hidden != text).then_some(hidden)
    }
}

/// As it stands in an address.
fn encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_look_is_a_pattern() {
        assert_eq!(KEYS.len(), LOOKS.len());
    }

    #[test]
    fn keys_secrets_and_patterns_are_hidden_and_prose_is_not() {
        let masks =
            Masks::new(["canary \"one\"/two".to_owned(), "abc".to_owned()], vec![Regex::new(r"\d{4}-\d{4}").unwrap()]);
        for text in [
            "key hk-0123456789abcdef0123",
            "sk-proj-0123456789abcdef0123",
            "ghp_0123456789abcdef01234567",
            "AKIA0123456789ABCDEF",
            "Authorization: Bearer abcdef0123456789",
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
            "it is canary \"one\"/two",
            r#"it is {"a": "canary \"one\"/two"}"#,
            "/?q=canary%20%22one%22%2Ftwo",
            "card 1234-5678",
        ] {
            let hidden = masks.hidden(text).unwrap_or_default();
            assert!(hidden.contains(MASK), "{text} became {hidden}");
            assert_eq!(masks.hidden(&hidden), None, "what is hidden stays as it is");
        }
        for text in ["a risk-free offer", "abc", "the bearer of news", "***", "sk-8 and hk-9", "AKIA is a prefix"] {
            assert_eq!(masks.hidden(text), None, "{text}");
        }
    }
}
