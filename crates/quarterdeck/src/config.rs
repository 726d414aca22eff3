//! `quarterdeck config show`: what holds, and what says so.

use crate::settings::{EndpointEntry, reading::Value};
use std::fmt::Write;

/// A line for each setting: its key, its value, and where that was said. No line shows a secret.
pub(crate) fn lines(values: &[Value]) -> String {
    let rows: Vec<_> = values.iter().map(|value| (&value.key, shown(value), value.source.to_string())).collect();
    let width = |lengths: &mut dyn Iterator<Item = usize>| lengths.max().unwrap_or(0);
    let keys = width(&mut rows.iter().map(|(key, ..)| key.len()));
    let texts = width(&mut rows.iter().map(|(_, text, _)| text.chars().count())).min(TEXT_WIDTH);
    rows.iter().fold(String::new(), |mut lines, (key, text, source)| {
        // Writing to a string cannot fail.
        let _ = writeln!(lines, "{key:keys$}  {text:texts$}  {source}");
        lines
    })
}

/// Columns of values that do not push what follows out of sight.
const TEXT_WIDTH: usize = 48;

fn shown(value: &Value) -> String {
    if value.texts.is_empty() {
        return "-".to_owned();
    }
    let shown = value.texts.iter().map(|text| match text.to_string_lossy() {
        text if value.key == "model-endpoint" => {
            text.parse().map_or_else(|_| "***".to_owned(), |entry: EndpointEntry| entry.to_string())
        }
        text if value.is_secret && !text.contains("://") => "***".to_owned(),
        text => without_password(&text),
    });
    shown.collect::<Vec<_>>().join(if value.key.starts_with("model-") { "; " } else { "," })
}

/// URLs may hold who may come in, and how: `postgres://user:password@host/database?password=...`.
fn without_password(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let (place, query) = rest.split_once('?').map_or((rest, ""), |(place, query)| (place, query));
    let place = match place.rsplit_once('@') {
        Some((user, host)) => format!("{}:***@{host}", user.split(':').next().unwrap_or_default()),
        None => place.to_owned(),
    };
    let query = if query.is_empty() { String::new() } else { "?***".to_owned() };
    format!("{scheme}://{place}{query}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::reading::Source;

    fn value(text: &str, is_secret: bool) -> Value {
        Value { key: "key".into(), texts: vec![text.into()], source: Source::Default, is_secret }
    }

    #[test]
    fn secrets_are_masked_and_the_rest_is_shown() {
        for (text, is_secret, wanted) in [
            ("hk-123", true, "***"),
            ("postgres://u:CANARY@h:5432/d", true, "postgres://u:***@h:5432/d"),
            ("postgres://u@h/d?password=CANARY", true, "postgres://u:***@h/d?***"),
            ("http://u:CANARY@h/v1", false, "http://u:***@h/v1"),
            ("sqlite:///var/x.db", true, "sqlite:///var/x.db"),
            ("127.0.0.1:8430", false, "127.0.0.1:8430"),
        ] {
            assert_eq!(shown(&value(text, is_secret)), wanted);
        }
        let endpoint = "{ name = \"x\", base-url = \"http://h/v1\", key = \"CANARY\" }";
        let value_of = |text| Value { key: "model-endpoint".into(), ..value(text, true) };
        assert_eq!(shown(&value_of(endpoint)), "x: chat at h/v1, key ***");
        assert_eq!(shown(&value_of("key = \"CANARY\"")), "***");
        assert_eq!(lines(&[value("5", false)]), "key  5  default\n");
    }
}
