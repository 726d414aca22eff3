//! Reading of JSON from outside: what is odd costs itself, never the rest.
//!
//! Values are found as slices of the text and only read where they are used, so neither depth nor width of a message
//! costs more than its bytes.

use serde::{
    Deserializer,
    de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Value, value::RawValue};
use std::{
    borrow::Cow,
    fmt::{self, Write},
};

/// Levels of nesting that are read; what lies deeper becomes `null`.
const DEPTH_MAX: usize = 100;

/// `bytes` as text that is JSON, mended where it was almost that: bytes that are not UTF-8 and halves of surrogate
/// pairs become U+FFFD; `NaN`, numbers without end and unknown words become `null`; control characters within
/// texts are escaped, commas before a closing bracket dropped. None if it is no object or list, or not a whole one.
pub(super) fn sound(bytes: &[u8]) -> Option<Cow<'_, str>> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii();
    if !looks_like_message(bytes) {
        return None;
    }
    let text = String::from_utf8_lossy(bytes);
    let may_have_surrogates = text.contains("\\ud") || text.contains("\\uD");
    if !may_have_surrogates && is_json(&text) {
        return Some(text);
    }
    mended(&text).map(Cow::Owned)
}

/// Whether something may have been meant as an object or a list.
pub(super) fn looks_like_message(bytes: &[u8]) -> bool {
    matches!(bytes.trim_ascii_start().first(), Some(b'{' | b'['))
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

/// A value in full; what is nested too deep is left out of it.
pub(super) fn value(text: &str) -> Option<Value> {
    serde_json::from_str(text).ok().or_else(|| serde_json::from_str(&mended(text)?).ok())
}

/// A text; none if it is something else.
pub(super) fn string(raw: Option<&RawValue>) -> Option<String> {
    serde_json::from_str(raw?.get()).ok()
}

/// A number that counts something, also one that was written as a text or with a fraction of zero.
pub(super) fn whole_number(text: &str) -> Option<u64> {
    let text = text.trim().trim_matches('"').trim();
    let text = text.split_once('.').filter(|(_, rest)| rest.bytes().all(|digit| digit == b'0')).map_or(text, |it| it.0);
    text.parse().ok()
}

/// The members of an object that have these names, `null` left out. Of two with one name the last counts. None if
/// it is no object.
pub(super) fn members<'a, const N: usize>(object: &'a str, names: [&str; N]) -> Option<[Option<&'a RawValue>; N]> {
    let mut deserializer = serde_json::Deserializer::from_str(object);
    deserializer.deserialize_map(Members { names: &names, found: [None; N] }).ok()
}

/// The first `max` items of a list, and how many more there are. None if it is no list.
pub(super) fn items(list: &str, max: usize) -> Option<(Vec<&RawValue>, usize)> {
    serde_json::Deserializer::from_str(list).deserialize_seq(Items { max }).ok()
}

struct Members<'n, 'a, const N: usize> {
    names: &'n [&'n str; N],
    found: [Option<&'a RawValue>; N],
}

impl<'a, const N: usize> Visitor<'a> for Members<'_, 'a, N> {
    type Value = [Option<&'a RawValue>; N];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(mut self, mut map: A) -> Result<Self::Value, A::Error> {
        while let Some(place) = map.next_key_seed(Place(self.names))? {
            match place.and_then(|place| self.found.get_mut(place)) {
                Some(found) => *found = Some(map.next_value::<&RawValue>()?).filter(|raw| raw.get() != "null"),
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(self.found)
    }
}

/// Reads a name as its place among those that are looked for.
struct Place<'n>(&'n [&'n str]);

impl<'a> DeserializeSeed<'a> for Place<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Place<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.iter().position(|known| *known == name))
    }
}

struct Items {
    max: usize,
}

impl<'a> Visitor<'a> for Items {
    type Value = (Vec<&'a RawValue>, usize);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while items.len() < self.max {
            match list.next_element()? {
                Some(item) => items.push(item),
                None => return Ok((items, 0)),
            }
        }
        let mut more = 0;
        while list.next_element::<IgnoredAny>()?.is_some() {
            more += 1;
        }
        Ok((items, more))
    }
}

/// Text that is almost JSON, made JSON. None if that cannot be done.
fn mended(text: &str) -> Option<String> {
    let mut mender = Mender { text, at: 0, depth: 0, out: String::with_capacity(text.len()) };
    while mender.step()? {}
    Some(mender.out).filter(|mended| is_json(mended))
}

struct Mender<'t> {
    text: &'t str,
    at: usize,
    depth: usize,
    out: String,
}

impl Mender<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Copies one token. False at the end; none where the text breaks off.
    fn step(&mut self) -> Option<bool> {
        let Some(byte) = self.peek() else { return Some(false) };
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' => self.at += 1,
            b'"' => self.quoted()?,
            b'{' | b'[' => self.open(byte),
            b'}' | b']' => self.close(byte)?,
            b',' | b':' => {
                self.at += 1;
                self.put(byte);
            }
            _ => self.word(),
        }
        Some(true)
    }

    /// What lies too deep is read and not written.
    fn is_too_deep(&self) -> bool {
        self.depth > DEPTH_MAX
    }

    fn put(&mut self, byte: u8) {
        if !self.is_too_deep() {
            self.out.push(char::from(byte));
        }
    }

    fn open(&mut self, bracket: u8) {
        self.at += 1;
        self.depth += 1;
        if self.depth == DEPTH_MAX + 1 {
            self.out.push_str("null");
        }
        self.put(bracket);
    }

    fn close(&mut self, bracket: u8) -> Option<()> {
        self.at += 1;
        if !self.is_too_deep() {
            if self.out.ends_with(',') {
                self.out.pop();
            }
            self.out.push(char::from(bracket));
        }
        self.depth = self.depth.checked_sub(1)?;
        Some(())
    }

    fn word(&mut self) {
        let rest = &self.text[self.at..];
        let is_end = |c: char| matches!(c, ',' | ':' | '{' | '}' | '[' | ']' | '"') || c.is_ascii_whitespace();
        let word = &rest[..rest.find(is_end).unwrap_or(rest.len())];
        self.at += word.len();
        if !self.is_too_deep() {
            let is_known = serde_json::from_str::<Value>(word).is_ok();
            self.out.push_str(if is_known { word } else { "null" });
        }
    }

    /// Copies a text up to its closing quote.
    fn quoted(&mut self) -> Option<()> {
        let mut out = String::from("\"");
        self.at += 1;
        loop {
            let rest = &self.text[self.at..];
            let plain = rest.find(|c: char| c < ' ' || matches!(c, '"' | '\\'))?;
            out.push_str(&rest[..plain]);
            self.at += plain;
            match self.peek()? {
                b'"' => break,
                b'\\' => self.escape(&mut out),
                control => {
                    self.at += 1;
                    let _ = write!(out, "\\u{control:04x}");
                }
            }
        }
        self.at += 1;
        out.push('"');
        if !self.is_too_deep() {
            self.out.push_str(&out);
        }
        Some(())
    }

    fn escape(&mut self, out: &mut String) {
        let rest = &self.text[self.at..];
        let taken = match rest.as_bytes().get(1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => 2,
            Some(b'u') => match code_unit(rest) {
                Some(0xd800..=0xdbff) if matches!(rest.get(6..).and_then(code_unit), Some(0xdc00..=0xdfff)) => 12,
                Some(0xd800..=0xdfff) => return self.instead(out, "\\ufffd", 6),
                Some(_) => 6,
                None => return self.instead(out, "\\ufffd", 2),
            },
            _ => return self.instead(out, "\\\\", 1),
        };
        out.push_str(&rest[..taken]);
        self.at += taken;
    }

    fn instead(&mut self, out: &mut String, with: &str, bytes: usize) {
        out.push_str(with);
        self.at += bytes;
    }
}

/// The number after `\u`.
fn code_unit(escape: &str) -> Option<u32> {
    let digits = escape.strip_prefix("\\u")?.get(..4)?;
    if digits.bytes().all(|digit| digit.is_ascii_hexdigit()) { u32::from_str_radix(digits, 16).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_almost_json_is_read() {
        for (odd, read) in [
            (r#"{"a": "x"}"#, json!({"a": "x"})),
            ("\u{feff} [1]\r\n", json!([1])),
            (
                r#"{"a": "\ud83d!", "b": "\ude00", "c": "\ud83d\ude00", "d": "\ud83dé"}"#,
                json!({"a": "\u{fffd}!", "b": "\u{fffd}", "c": "😀", "d": "\u{fffd}é"}),
            ),
            (r#"{"a": NaN, "b": [-Infinity, 1e999, 1.5]}"#, json!({"a": null, "b": [null, null, 1.5]})),
            ("{\"a\": \"one\ntwo\t\"}", json!({"a": "one\ntwo\t"})),
            (r#"{"a": "C:\Users \u12", "b": [1, 2,],}"#, json!({"a": "C:\\Users \u{fffd}12", "b": [1, 2]})),
        ] {
            let text = sound(odd.as_bytes()).unwrap();
            assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), read, "{odd}");
        }
        let latin = sound(b"{\"a\": \"caf\xe9\"}").unwrap();
        assert_eq!(latin, "{\"a\": \"caf\u{fffd}\"}");
    }

    #[test]
    fn what_is_no_json_is_not_read() {
        for other in ["", "hello", "\"text\"", "<html>", "{\"a\": ", "{\"a\": \"x", "}", "{}}", "{\"a\" 1}"] {
            assert_eq!(sound(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn depth_costs_only_what_lies_deep() {
        let deep = |levels: usize| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
        let text = format!(r#"{{"a": {}, "b": 2}}"#, deep(100_000));
        let text = sound(text.as_bytes()).unwrap();
        let [a, b] = members(&text, ["a", "b"]).unwrap();
        assert_eq!(b.unwrap().get(), "2");
        assert!(value(a.unwrap().get()).unwrap().is_array());
        assert_eq!(value(&deep(90)).unwrap().to_string(), deep(90));
    }

    #[test]
    fn members_and_items_are_found() {
        let [a, b, c] = members(r#"{"a": 1, "x": {"b": 9}, "\u0061": 2, "b": null}"#, ["a", "b", "c"]).unwrap();
        assert_eq!(a.unwrap().get(), "2");
        assert!(b.is_none() && c.is_none());
        assert!(members("[1]", ["a"]).is_none());
        let (found, more) = items("[1, [2], 3]", 2).unwrap();
        assert_eq!((found.len(), found[1].get(), more), (2, "[2]", 1));
        assert!(items("{}", 2).is_none());
    }

    #[test]
    fn numbers_are_read_however_they_are_written() {
        for text in ["7", "\"7\"", "7.0", " 7 "] {
            assert_eq!(whole_number(text), Some(7), "{text}");
        }
        for text in ["7.5", "-7", "\"a\"", "{}", ""] {
            assert_eq!(whole_number(text), None, "{text}");
        }
    }
}
