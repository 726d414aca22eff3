//! Query strings.

use super::fields;
use super::ignored::TOLD_MAX;
use super::json::Value;
use super::place::Place;
use std::borrow::Cow;
use std::cell::RefCell;

/// A type that can be read from a query string.
pub trait DecodeQuery: Sized {
    /// Reads it; `None` after refusing a parameter. Parameters it does not know are ignored.
    fn decode(query: &Query<'_>) -> Option<Self>;
}

/// The parameters of a query string, in order, percent-decoded.
#[derive(Debug)]
pub struct Query<'p> {
    pairs: Vec<(String, String)>,
    at: &'p Place<'p>,
    /// Names that were asked for, whether they are there or not.
    known: RefCell<Vec<String>>,
}

impl<'p> Query<'p> {
    /// Splits `raw`, which is without the `?`.
    pub fn parse(raw: &str, at: &'p Place<'p>) -> Self {
        let pair = |part: &str| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            (percent_decoded(name), percent_decoded(value))
        };
        Self {
            pairs: raw.split('&').filter(|part| !part.is_empty()).map(pair).collect(),
            at,
            known: RefCell::default(),
        }
    }

    /// Names that nothing asked for, each once.
    pub(super) fn unread(&self) -> Vec<&str> {
        let known = self.known.borrow();
        let mut unread: Vec<&str> = Vec::new();
        for (name, _) in &self.pairs {
            if !known.contains(name) && !unread.contains(&name.as_str()) && unread.len() < TOLD_MAX {
                unread.push(name);
            }
        }
        unread
    }

    /// A parameter that may be absent. When it is repeated, the last one counts.
    pub fn optional<T>(&self, name: &str, decode: impl Fn(&Value<'_>, &Place<'_>) -> Option<T>) -> Option<Option<T>> {
        match self.all(name).last() {
            Some(text) => decode(&value(text), &self.at.field(name)).map(Some),
            None => Some(None),
        }
    }

    /// A parameter with a default.
    pub fn or<T>(&self, name: &str, default: T, decode: impl Fn(&Value<'_>, &Place<'_>) -> Option<T>) -> Option<T> {
        self.optional(name, decode).map(|decoded| decoded.unwrap_or(default))
    }

    /// A parameter that may be repeated, every value of it.
    pub fn list<T>(&self, name: &str, decode: impl Fn(&Value<'_>, &Place<'_>) -> Option<T>) -> Option<Vec<T>> {
        let values = Value::Array(self.all(name).map(value).collect::<Vec<_>>().into());
        fields::list(decode)(&values, &self.at.field(name))
    }

    fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.known.borrow_mut().push(name.to_owned());
        self.pairs.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

fn value(text: &str) -> Value<'_> {
    Value::Str(Cow::Borrowed(text))
}

/// `+` is a blank, `%` escapes that make no sense stay, bytes that are no UTF-8 become U+FFFD.
fn percent_decoded(text: &str) -> String {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let (byte, after) = match first {
            b'+' => (b' ', after),
            b'%' => escaped(after).unwrap_or((b'%', after)),
            other => (other, after),
        };
        decoded.push(byte);
        rest = after;
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

fn escaped(after: &[u8]) -> Option<(u8, &[u8])> {
    let (&[high, low], rest) = after.split_first_chunk()?;
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let byte = u8::try_from(digit(high)? * 16 + digit(low)?).ok()?;
    Some((byte, rest))
}

#[cfg(test)]
mod tests {
    use super::percent_decoded;

    #[test]
    fn escapes_are_decoded_and_nonsense_stays() {
        for (raw, decoded) in
            [("a+b", "a b"), ("%C3%A9%2b", "é+"), ("%zz%", "%zz%"), ("%ff", "\u{fffd}"), ("%4", "%4"), ("", "")]
        {
            assert_eq!(percent_decoded(raw), decoded);
        }
    }
}
