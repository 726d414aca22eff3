//! Objects, lists and unions, and how the decoders of their parts are combined.

use super::Decode;
use super::json::{self, Member, Value};
use super::place::{Fault, Place};
use crate::Reference;
use std::collections::{BTreeMap, HashSet};

/// An object whose fields are read one by one, in the order in which their faults are to be listed.
#[derive(Clone, Copy)]
pub struct Fields<'v, 'p> {
    value: &'v Value<'v>,
    members: &'v [Member<'v>],
    /// Where the object sits.
    pub at: &'p Place<'p>,
}

impl<'v, 'p> Fields<'v, 'p> {
    /// The fields of `value`, unless it is no object.
    pub fn of(value: &'v Value<'v>, at: &'p Place<'p>) -> Option<Self> {
        let Value::Object(members) = value else {
            return at.refuse(Fault::new("model_attributes_type", "must be an object"), value);
        };
        if at.depth() > json::DEPTH_MAX {
            return at.refuse(json::too_deep(), value);
        }
        at.reads().open(value, members.len());
        Some(Self { value, members, at })
    }

    /// A field's value as it was sent; of several with that name, the last.
    pub fn raw(&self, name: &str) -> Option<&'v Value<'v>> {
        let index = self.members.iter().rposition(|(key, _)| key == name)?;
        self.at.reads().read(self.value, index);
        self.members.get(index).map(|(_, value)| value)
    }

    /// Takes all fields as they are: none of them is a name that nothing reads.
    pub fn take_all(&self) {
        self.at.reads().close(self.value);
    }

    /// A field that must be there.
    pub fn required<T>(&self, name: &str, decode: impl Fn(&Value<'_>, &Place<'_>) -> Option<T>) -> Option<T> {
        match self.raw(name) {
            Some(value) => decode(value, &self.at.field(name)),
            None => self.at.field(name).refuse(Fault::new("missing", "a value is required"), self.value),
        }
    }

    /// A field with a default. The outer `None` means it was refused.
    pub fn or_else<T>(
        &self,
        name: &str,
        default: impl FnOnce() -> T,
        decode: impl Fn(&Value<'_>, &Place<'_>) -> Option<T>,
    ) -> Option<T> {
        match self.raw(name) {
            Some(value) => decode(value, &self.at.field(name)),
            None => Some(default()),
        }
    }

    /// A field with a plain default.
    pub fn or<T>(&self, name: &str, default: T, decode: impl Fn(&Value<'_>, &Place<'_>) -> Option<T>) -> Option<T> {
        self.or_else(name, || default, decode)
    }

    /// A field that may be absent or null.
    pub fn optional<T>(&self, name: &str, decode: impl Fn(&Value<'_>, &Place<'_>) -> Option<T>) -> Option<Option<T>> {
        self.or(name, None, nullable(decode))
    }

    /// A field of a patch: `Some(None)` when it is absent and so stays as it is.
    pub fn present<T>(&self, name: &str, decode: impl Fn(&Value<'_>, &Place<'_>) -> Option<T>) -> Option<Option<T>> {
        self.or(name, None, |value, at| decode(value, at).map(Some))
    }

    /// A list or map that is empty when absent.
    pub fn or_empty<T: Default>(&self, name: &str, decode: impl Fn(&Value<'_>, &Place<'_>) -> Option<T>) -> Option<T> {
        self.or_else(name, T::default, decode)
    }

    /// A discriminator with one meaning: it may be absent, else it must be that word.
    pub fn tag(&self, name: &str, word: &str) -> Option<()> {
        self.or(name, (), |value, at| super::scalars::word("literal_error", &[(word, ())], value, at))
    }

    /// Refuses all fields but these.
    pub fn only(&self, known: &[&str]) -> Option<()> {
        let mut seen = HashSet::new();
        let extra = self.members.iter().filter(|(key, _)| !known.contains(&key.as_ref()) && seen.insert(key.as_ref()));
        let refused = extra.map(|(key, value)| {
            self.at.field(key).refuse::<()>(Fault::new("extra_forbidden", "this field is not known here"), value)
        });
        (refused.count() == 0).then_some(())
    }

    /// Refuses the object as a whole.
    pub fn refuse<T>(&self, msg: impl Into<std::borrow::Cow<'static, str>>) -> Option<T> {
        self.at.refuse(Fault::rule(msg), self.value)
    }
}

/// Null, or what `decode` reads.
pub fn nullable<T>(
    decode: impl Fn(&Value<'_>, &Place<'_>) -> Option<T>,
) -> impl Fn(&Value<'_>, &Place<'_>) -> Option<Option<T>> {
    move |value, at| match value {
        Value::Null => Some(None),
        Value::Bool(_)
        | Value::Int(_)
        | Value::BigInt(_)
        | Value::Float(_)
        | Value::Str(_)
        | Value::Array(_)
        | Value::Object(_) => decode(value, at).map(Some),
    }
}

/// A list of what `decode` reads. Every entry is looked at, whatever became of those before it.
pub fn list<T>(
    decode: impl Fn(&Value<'_>, &Place<'_>) -> Option<T>,
) -> impl Fn(&Value<'_>, &Place<'_>) -> Option<Vec<T>> {
    move |value, at| {
        let Value::Array(items) = value else {
            return at.refuse(Fault::new("list_type", "must be a list"), value);
        };
        let decoded: Vec<_> = items.iter().enumerate().map(|(index, item)| decode(item, &at.index(index))).collect();
        decoded.into_iter().collect()
    }
}

/// A list with at least one entry.
pub fn some<T>(
    decode: impl Fn(&Value<'_>, &Place<'_>) -> Option<T>,
) -> impl Fn(&Value<'_>, &Place<'_>) -> Option<Vec<T>> {
    let decode = list(decode);
    move |value, at| {
        let entries = decode(value, at)?;
        if entries.is_empty() {
            return at.refuse(Fault::new("too_short", "must have at least 1 entry").with("min_length", 1), value);
        }
        Some(entries)
    }
}

/// An object with free keys and values that `decode` reads.
pub fn map<T>(
    decode: impl Fn(&Value<'_>, &Place<'_>) -> Option<T>,
) -> impl Fn(&Value<'_>, &Place<'_>) -> Option<BTreeMap<String, T>> {
    move |value, at| {
        let Value::Object(members) = value else {
            return at.refuse(Fault::new("dict_type", "must be an object"), value);
        };
        let decoded: Vec<_> =
            members.iter().map(|(key, item)| Some((key.to_string(), decode(item, &at.field(key))?))).collect();
        decoded.into_iter().collect()
    }
}

/// A decoder and a rule over what it read.
pub fn checked<T>(
    decode: impl Fn(&Value<'_>, &Place<'_>) -> Option<T>,
    rule: impl Fn(&T) -> Result<(), String>,
) -> impl Fn(&Value<'_>, &Place<'_>) -> Option<T> {
    move |value, at| {
        let decoded = decode(value, at)?;
        match rule(&decoded) {
            Ok(()) => Some(decoded),
            Err(broken) => at.refuse(Fault::rule(broken), value),
        }
    }
}

/// The tag of a union, which is the field `name` of the object `value`.
pub fn tagged<'v, T: Copy>(
    name: &str,
    tags: &[(&'static str, T)],
    value: &'v Value<'v>,
    at: &Place<'_>,
) -> Option<(&'static str, T)> {
    let fields = Fields::of(value, at)?;
    let expected = || tags.iter().map(|(tag, _)| format!("`{tag}`")).collect::<Vec<_>>().join(", ");
    let Some(sent) = fields.raw(name) else {
        let msg = format!("needs the field `{name}` that says what it is");
        return at.refuse(Fault::new("union_tag_not_found", msg).with("discriminator", name), value);
    };
    let known = tags.iter().find(|(tag, _)| matches!(sent, Value::Str(text) if text == tag));
    known.copied().or_else(|| {
        let msg = format!("the field `{name}` must be one of {}", expected());
        at.refuse(
            Fault::new("union_tag_invalid", msg).with("discriminator", name).with("expected_tags", expected()),
            value,
        )
    })
}

impl<T: Decode> Decode for Reference<T> {
    fn decode(value: &Value<'_>, at: &Place<'_>) -> Option<Self> {
        match value {
            Value::Str(_) => super::scalars::plain(value, at).map(Self::Name),
            Value::Object(_) => T::decode(value, &at.field("inline")).map(|inline| Self::Inline(Box::new(inline))),
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::BigInt(_) | Value::Float(_) | Value::Array(_) => {
                at.refuse(Fault::new("ref_or_inline", "must be a name or an object"), value)
            }
        }
    }
}
