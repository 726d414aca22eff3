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
        let pairs = url::form_urlencoded::parse(raw.as_bytes()).into_owned().collect();
        Self { pairs, at, known: RefCell::default() }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::place::Faults;

    #[test]
    fn escapes_are_decoded_and_nonsense_stays() {
        for (raw, decoded) in
            [("a+b", "a b"), ("%C3%A9%2b", "é+"), ("%zz%", "%zz%"), ("%ff", "\u{fffd}"), ("%4", "%4"), ("a=b", "a=b")]
        {
            let (query, faults) = (format!("&x&v={raw}&"), Faults::default());
            let pairs = [("x".to_owned(), String::new()), ("v".to_owned(), decoded.to_owned())];
            assert_eq!(Query::parse(&query, &faults.root("query")).pairs, pairs, "{query}");
        }
    }
}
