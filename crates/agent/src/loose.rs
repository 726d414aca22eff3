//! JSON as models and hosts write it: read strictly where that goes, else with what they commonly get wrong (raw line
//! breaks in strings, single quotes, Python's constants, a comma too many, half a surrogate pair), as long as only one
//! reading is possible. What ends too early is never completed.

use serde_json::{Map, Number, Value};
use std::{iter::Peekable, str::CharIndices};

/// Nesting that is followed.
const DEPTH_MAX: usize = 120;

/// The value that the whole of `text` is.
pub(crate) fn value(text: &str) -> Option<Value> {
    if let Ok(value) = serde_json::from_str(text) {
        return Some(value);
    }
    let (value, length) = prefix(text)?;
    text[length..].trim().is_empty().then_some(value)
}

/// The value that `text` begins with, and how many bytes it takes. Numbers and words alone are none: of them nobody
/// knows where they end.
pub(crate) fn prefix(text: &str) -> Option<(Value, usize)> {
    let mut strict = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    if let Some(Ok(value @ (Value::Object(_) | Value::Array(_) | Value::String(_)))) = strict.next() {
        return Some((value, strict.byte_offset()));
    }
    let mut reader = Reader::new(text);
    let value = reader.value(DEPTH_MAX)?;
    matches!(value, Value::Object(_) | Value::Array(_) | Value::String(_)).then(|| (value, reader.offset()))
}

/// A call as Python writes it, `name(at=1, deep="x")`: its name, its arguments, and how many bytes it takes.
pub(crate) fn python_call(text: &str) -> Option<(String, Map<String, Value>, usize)> {
    let mut reader = Reader::new(text);
    let call = reader.call()?;
    Some((call.0, call.1, reader.offset()))
}

struct Reader<'a> {
    text: &'a str,
    chars: Peekable<CharIndices<'a>>,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str) -> Self {
        Self { text, chars: text.char_indices().peekable() }
    }

    fn offset(&mut self) -> usize {
        self.chars.peek().map_or(self.text.len(), |(at, _)| *at)
    }

    fn peek(&mut self) -> Option<char> {
        self.chars.peek().map(|(_, char)| *char)
    }

    fn take(&mut self, expected: char) -> bool {
        self.chars.next_if(|(_, char)| *char == expected).is_some()
    }

    fn skip_blanks(&mut self) {
        while self.chars.next_if(|(_, char)| char.is_whitespace()).is_some() {}
    }

    fn value(&mut self, levels: usize) -> Option<Value> {
        self.skip_blanks();
        match self.peek()? {
            '{' => self.object(levels.checked_sub(1)?).map(Value::Object),
            '[' => self.list(levels.checked_sub(1)?).map(Value::Array),
            '"' | '\'' => self.string().map(Value::String),
            char if char.is_ascii_digit() || "+-.".contains(char) => self.number(),
            _ => constant(&self.word()),
        }
    }

    fn object(&mut self, levels: usize) -> Option<Map<String, Value>> {
        let mut members = Map::new();
        self.take('{');
        loop {
            self.skip_blanks();
            if self.take('}') {
                return Some(members);
            }
            let name = if matches!(self.peek()?, '"' | '\'') { self.string()? } else { self.word() };
            self.skip_blanks();
            if name.is_empty() && !members.is_empty() || !self.take(':') {
                return None;
            }
            members.insert(name, self.value(levels)?);
            self.comma_or('}')?;
        }
    }

    fn list(&mut self, levels: usize) -> Option<Vec<Value>> {
        let mut items = Vec::new();
        self.take('[');
        loop {
            self.skip_blanks();
            if self.take(']') {
                return Some(items);
            }
            items.push(self.value(levels)?);
            self.comma_or(']')?;
        }
    }

    /// Takes a comma, or leaves the closing bracket.
    fn comma_or(&mut self, close: char) -> Option<()> {
        self.skip_blanks();
        (self.take(',') || self.peek() == Some(close)).then_some(())
    }

    fn string(&mut self) -> Option<String> {
        let (_, quote) = self.chars.next()?;
        let mut text = String::new();
        loop {
            match self.chars.next()?.1 {
                char if char == quote => return Some(text),
                '\\' => self.escape(&mut text)?,
                char => text.push(char),
            }
        }
    }

    /// An escape that JSON does not know stands for itself: patterns such as `\d` are written that way.
    fn escape(&mut self, text: &mut String) -> Option<()> {
        match self.chars.next()?.1 {
            'n' => text.push('\n'),
            't' => text.push('\t'),
            'r' => text.push('\r'),
            'b' => text.push('\u{8}'),
            'f' => text.push('\u{c}'),
            'u' => text.push(self.unicode()?),
            char @ ('"' | '\'' | '\\' | '/') => text.push(char),
            char => text.extend(['\\', char]),
        }
        Some(())
    }

    /// Half of a surrogate pair is no character.
    fn unicode(&mut self) -> Option<char> {
        let high = self.hex()?;
        if !(0xd800..0xdc00).contains(&high) {
            return Some(char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        let mut ahead = self.chars.clone();
        if ahead.next().map(|(_, char)| char) == Some('\\') && ahead.next().map(|(_, char)| char) == Some('u') {
            let rest = std::mem::replace(&mut self.chars, ahead);
            match self.hex() {
                Some(low) if (0xdc00..0xe000).contains(&low) => {
                    return char::from_u32(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00));
                }
                _ => self.chars = rest,
            }
        }
        Some(char::REPLACEMENT_CHARACTER)
    }

    fn hex(&mut self) -> Option<u32> {
        (0..4).try_fold(0, |number, _| Some(number * 16 + self.chars.next()?.1.to_digit(16)?))
    }

    fn number(&mut self) -> Option<Value> {
        let mut digits = String::new();
        while let Some((_, char)) =
            self.chars.next_if(|(_, char)| char.is_ascii_alphanumeric() || "+-.".contains(*char))
        {
            digits.push(char);
        }
        let digits = digits.strip_prefix('+').unwrap_or(&digits);
        if let Ok(number) = serde_json::from_str::<Number>(digits) {
            return Some(Value::Number(number));
        }
        match digits {
            "-Infinity" | "-inf" => Some(Value::Null),
            _ => digits.parse::<f64>().ok().and_then(Number::from_f64).map(Value::Number),
        }
    }

    fn word(&mut self) -> String {
        let mut word = String::new();
        while let Some((_, char)) =
            self.chars.next_if(|(_, char)| char.is_alphanumeric() || matches!(char, '_' | '-' | '.' | '$'))
        {
            word.push(char);
        }
        word
    }

    fn call(&mut self) -> Option<(String, Map<String, Value>)> {
        self.skip_blanks();
        let name = self.word();
        if name.is_empty() || !self.take('(') {
            return None;
        }
        let mut arguments = Map::new();
        loop {
            self.skip_blanks();
            if self.take(')') {
                return Some((name, arguments));
            }
            if self.peek() == Some('{') && arguments.is_empty() {
                arguments = self.object(DEPTH_MAX)?;
            } else {
                let name = self.word();
                self.skip_blanks();
                if name.is_empty() || !self.take('=') {
                    return None;
                }
                arguments.insert(name, self.value(DEPTH_MAX)?);
            }
            self.comma_or(')')?;
        }
    }
}

fn constant(word: &str) -> Option<Value> {
    match word {
        "true" | "True" => Some(true.into()),
        "false" | "False" => Some(false.into()),
        "null" | "None" | "undefined" | "NaN" | "nan" | "Infinity" | "inf" => Some(Value::Null),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn what_is_meant_is_read() {
        for (text, expected) in [
            ("{\"a\": 1}", json!({"a": 1})),
            ("{'a': True, 'b': None, }", json!({"a": true, "b": null})),
            ("{\"a\": \"one\ntwo\"}", json!({"a": "one\ntwo"})),
            ("{\"a\": \"\\ud83d\"}", json!({"a": "\u{fffd}"})),
            ("{\"a\": \"\\ud83dx\\ud83d\\ude00\\ude00\"}", json!({"a": "\u{fffd}x😀\u{fffd}"})),
            ("{\"a\": \"\\d+\"}", json!({"a": "\\d+"})),
            ("{at: [1, -2.5, +3, .5]}", json!({"at": [1, -2.5, 3, 0.5]})),
            ("[NaN, -Infinity, Infinity]", json!([null, null, null])),
            ("{}", json!({})),
        ] {
            assert_eq!(value(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_ends_too_early_or_goes_on_is_not_read() {
        for text in ["{\"a\": 1", "{\"a\": \"x", "[1, 2", "{\"a\"}", "{} {}", "{\"a\" 1}", "Paris", "", "{,}", "[1 2]"]
        {
            assert_eq!(value(text), None, "{text}");
        }
        assert_eq!(value(&"[".repeat(100_000)), None);
    }

    #[test]
    fn a_value_may_be_followed_by_something_else() {
        assert_eq!(prefix("{'a': 1}; more"), Some((json!({"a": 1}), 8)));
        assert_eq!(prefix("{\"a\": 1} more"), Some((json!({"a": 1}), 8)));
        assert_eq!(prefix("12 more"), None);
    }

    #[test]
    fn calls_are_read_as_python_writes_them() {
        let (name, arguments, length) = python_call("look(at=1, deep='x', [])")
            .map_or_else(|| python_call("look(at=1, deep='x') and more").unwrap(), |_| panic!("a list is no argument"));
        assert_eq!((name.as_str(), Value::Object(arguments), length), ("look", json!({"at": 1, "deep": "x"}), 20));
        assert_eq!(python_call("look({\"at\": 1})").unwrap().1, *json!({"at": 1}).as_object().unwrap());
        assert_eq!(python_call("look(at=1"), None);
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(text in "[\\[\\]{}():,'\"\\\\a-z0-9 ud=.+-]{0,60}") {
            let _ = (value(&text), prefix(&text), python_call(&text));
        }

        #[test]
        fn json_reads_as_json(number in any::<i64>(), words in ".*") {
            let given = json!({"a": [number, {"b": words, "c": null}], "d": true});
            prop_assert_eq!(Reader::new(&given.to_string()).value(DEPTH_MAX), Some(given));
        }
    }
}
