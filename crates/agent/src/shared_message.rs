//! A message of a conversation that many requests hold: each step's request is the one before it and a little more, and
//! what was once turned into the form of the wire stays turned.

use crate::{
    budget,
    model::{ChatMessage, Part},
};
use serde_json::{Value, value::RawValue};
use std::{
    borrow::Cow,
    ops::Deref,
    sync::{Arc, OnceLock},
};

/// A message, shared. Cheap to clone.
#[derive(Clone, Debug)]
pub struct SharedMessage(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    message: ChatMessage,
    tokens: OnceLock<usize>,
    form: OnceLock<Form>,
}

/// A message as it is sent.
#[derive(Debug)]
struct Form {
    /// Which of its forms this is.
    which: u8,
    json: Box<RawValue>,
}

impl SharedMessage {
    /// How many tokens it has, by estimate.
    pub(crate) fn tokens(&self) -> usize {
        *self.0.tokens.get_or_init(|| budget::tokens(&self.0.message))
    }

    /// About how many bytes it takes, its form as it is sent included.
    pub(crate) fn bytes(&self) -> usize {
        // Pictures stand here once: what shows one is written for each request.
        2 * self.tokens() * budget::BYTES_A_TOKEN + pictures(&self.0.message)
    }

    /// One of its forms, written only once when it is always asked for the same.
    pub(crate) fn form(&self, which: u8, write: impl Fn(&ChatMessage) -> Value) -> Cow<'_, RawValue> {
        let made = || {
            // What was read as JSON, or put together from it, can be written.
            RawValue::from_string(write(&self.0.message).to_string()).unwrap_or_else(|_| RawValue::NULL.to_owned())
        };
        let form = self.0.form.get_or_init(|| Form { which, json: made() });
        if form.which == which { Cow::Borrowed(&form.json) } else { Cow::Owned(made()) }
    }
}

fn pictures(message: &ChatMessage) -> usize {
    let (ChatMessage::User(parts) | ChatMessage::Note(parts)) = message else { return 0 };
    let bytes = |part: &Part| match part {
        Part::Image(uri) => uri.len(),
        Part::Text(_) => 0,
    };
    parts.iter().map(bytes).sum()
}

impl From<ChatMessage> for SharedMessage {
    fn from(message: ChatMessage) -> Self {
        Self(Arc::new(Shared { message, tokens: OnceLock::new(), form: OnceLock::new() }))
    }
}

impl Deref for SharedMessage {
    type Target = ChatMessage;

    fn deref(&self) -> &ChatMessage {
        &self.0.message
    }
}

impl PartialEq for SharedMessage {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.message == other.0.message
    }
}

impl PartialEq<ChatMessage> for SharedMessage {
    fn eq(&self, other: &ChatMessage) -> bool {
        self.0.message == *other
    }
}
