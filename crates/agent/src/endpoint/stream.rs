//! A reply that comes in pieces, put together: what `chat.completion.chunk` objects of server-sent events amount to.

use super::api::Assemble;
use serde_json::{Map, Value, json};

/// Choices, and calls of one choice, that are put together; a number in a chunk may be anything.
const PARTS_MAX: usize = 256;
/// Calls that are counted, so that too many can be told.
const CALLS_MAX: usize = 20_000;

/// A completion under construction.
#[derive(Default)]
pub(super) struct Assembly {
    choices: Vec<Value>,
    usage: Option<Value>,
    error: Option<Value>,
    /// Whether the host said that nothing follows.
    done: bool,
    /// Whether anything came that is part of a reply.
    begun: bool,
}

impl Assemble for Assembly {
    /// Data that is no JSON is passed over, as comments are.
    fn take(&mut self, event: &str, data: &str) {
        if data.trim() == "[DONE]" {
            self.done = true;
            return;
        }
        let Some(chunk) = crate::loose::value(data) else { return };
        if event == "error" && chunk.get("error").is_none() {
            self.error = Some(chunk);
            return;
        }
        self.chunk(&chunk);
    }

    fn finish(self) -> Option<Value> {
        let ended =
            self.done || self.choices.iter().any(|choice| choice.get("finish_reason").is_some_and(|r| !r.is_null()));
        if let Some(error) = self.error {
            return Some(json!({"choices": self.choices, "error": error}));
        }
        (self.begun && ended).then(|| json!({"choices": self.choices, "usage": self.usage}))
    }
}

impl Assembly {
    fn chunk(&mut self, chunk: &Value) {
        if let Some(usage) = chunk.get("usage").filter(|usage| usage.is_object()) {
            self.usage = Some(usage.clone());
        }
        let choices = chunk.get("choices").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        if choices.is_empty() && super::said::error_in(chunk).is_some() {
            self.error = Some(chunk.get("error").unwrap_or(chunk).clone());
        }
        if let Some(error) = chunk.get("error").filter(|error| !error.is_null()) {
            self.error = Some(error.clone());
        }
        for choice in choices {
            self.choice(choice);
        }
    }

    fn choice(&mut self, choice: &Value) {
        self.begun = true;
        let place =
            choice.get("index").and_then(Value::as_u64).and_then(|index| usize::try_from(index).ok()).unwrap_or(0);
        if place >= PARTS_MAX {
            return;
        }
        while self.choices.len() <= place {
            self.choices.push(json!({"message": {"role": "assistant"}, "finish_reason": null}));
        }
        let Some(whole) = self.choices.get_mut(place).and_then(Value::as_object_mut) else { return };
        for (name, value) in choice.as_object().into_iter().flatten() {
            match (name.as_str(), value) {
                ("delta" | "message", Value::Object(delta)) => {
                    if let Some(message) = whole.get_mut("message").and_then(Value::as_object_mut) {
                        merge_message(message, delta);
                    }
                }
                ("index" | "delta" | "message" | "logprobs", _) | (_, Value::Null) => {}
                _ => {
                    whole.insert(name.clone(), value.clone());
                }
            }
        }
    }
}

fn merge_message(message: &mut Map<String, Value>, delta: &Map<String, Value>) {
    for (name, value) in delta {
        match (name.as_str(), value) {
            (_, Value::Null) => {}
            ("role", _) => {
                message.insert(name.clone(), value.clone());
            }
            ("tool_calls", Value::Array(calls)) => {
                let known = message.entry("tool_calls").or_insert_with(|| json!([]));
                if let Some(known) = known.as_array_mut() {
                    for call in calls {
                        merge_call(known, call);
                    }
                }
            }
            _ => merge(message.entry(name.clone()).or_insert(Value::Null), value),
        }
    }
}

/// Texts grow, lists grow by their entries' `index`, objects member by member; anything else is replaced.
pub(super) fn merge(known: &mut Value, more: &Value) {
    match (known, more) {
        (Value::String(known), Value::String(more)) => known.push_str(more),
        (Value::Object(known), Value::Object(more)) => {
            for (name, value) in more {
                match name.as_str() {
                    "id" | "type" | "index" | "format" => {
                        known.insert(name.clone(), value.clone());
                    }
                    _ if value.is_null() => {}
                    _ => merge(known.entry(name.clone()).or_insert(Value::Null), value),
                }
            }
        }
        (Value::Array(known), Value::Array(more)) => more.iter().for_each(|entry| merge_entry(known, entry)),
        (known, more) => *known = more.clone(),
    }
}

fn merge_entry(known: &mut Vec<Value>, entry: &Value) {
    let index = entry.get("index").filter(|index| index.is_u64());
    let same = index.and_then(|index| known.iter().position(|known| known.get("index") == Some(index)));
    let last_of_type = known
        .last()
        .filter(|last| last.get("type").is_some() && last.get("type") == entry.get("type") && index.is_none());
    match (same, last_of_type.is_some()) {
        (Some(place), _) => merge(&mut known[place], entry),
        (None, true) => {
            if let Some(last) = known.last_mut() {
                merge(last, entry);
            }
        }
        (None, false) if known.len() < PARTS_MAX => known.push(entry.clone()),
        (None, false) => {}
    }
}

/// Some hosts give every call the same index, or none: an id or a name that is new begins a new call.
fn merge_call(known: &mut Vec<Value>, call: &Value) {
    let text = |value: &Value, place: &str| value.pointer(place).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (id, name) = (text(call, "/id"), text(call, "/function/name"));
    let index = call.get("index").filter(|index| index.is_u64());
    let place = match index {
        Some(index) => known.iter().rposition(|known| known.get("index") == Some(index)),
        None if id.is_empty() => known.len().checked_sub(1),
        None => known.iter().position(|known| text(known, "/id") == id),
    };
    let is_other = |known: &Value| {
        !id.is_empty() && !name.is_empty() && !text(known, "/id").is_empty() && text(known, "/id") != id
    };
    let place = place.filter(|place| known.get(*place).is_some_and(|known| !is_other(known)));
    if let Some(known) = place.and_then(|place| known.get_mut(place)) {
        grow_call(known, call, &name);
    } else if known.len() < CALLS_MAX {
        known.push(call.clone());
    }
}

/// A name may come again in each chunk, or in pieces.
fn grow_call(known: &mut Value, call: &Value, name: &str) {
    let mut call = call.clone();
    let repeats = !name.is_empty() && known.pointer("/function/name").and_then(Value::as_str) == Some(name);
    if repeats && let Some(function) = call.get_mut("function").and_then(Value::as_object_mut) {
        function.shift_remove("name");
    }
    if let Some(call) = call.as_object_mut() {
        // An id that comes again empty is no news.
        if call.get("id").and_then(Value::as_str) == Some("") {
            call.shift_remove("id");
        }
        call.retain(|_, value| !value.is_null());
    }
    merge(known, &call);
}

/// The events in a stream of bytes, as far as they are whole.
#[derive(Default)]
pub(super) struct Events {
    rest: Vec<u8>,
    event: String,
    data: String,
}

impl Events {
    /// Takes in bytes and gives out the events that they complete.
    pub(super) fn push(&mut self, bytes: &[u8], mut give: impl FnMut(&str, &str)) {
        self.rest.extend_from_slice(bytes);
        let mut from = 0;
        while let Some(end) = self.rest[from..].iter().position(|byte| *byte == b'\n').map(|at| from + at) {
            let line = String::from_utf8_lossy(&self.rest[from..end]).trim_end_matches('\r').to_owned();
            from = end + 1;
            self.line(&line, &mut give);
        }
        self.rest.drain(..from);
    }

    /// Gives out what the end of the stream completes.
    pub(super) fn finish(mut self, mut give: impl FnMut(&str, &str)) {
        let line = String::from_utf8_lossy(&std::mem::take(&mut self.rest)).trim_end_matches('\r').to_owned();
        self.line(&line, &mut give);
        self.line("", &mut give);
    }

    fn line(&mut self, line: &str, give: &mut impl FnMut(&str, &str)) {
        if line.is_empty() {
            if !self.data.is_empty() {
                give(&self.event, &self.data);
            }
            self.event.clear();
            self.data.clear();
            return;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.event),
            "data" => {
                // Some hosts leave out the empty line between events: each line of theirs is whole.
                if !self.data.is_empty() && crate::loose::value(&self.data).is_some() {
                    give(&self.event, &self.data);
                    self.data.clear();
                } else if !self.data.is_empty() {
                    self.data.push('\n');
                }
                self.data.push_str(value);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_become_a_whole() {
        let whole = assembled(&[
            json!({"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]}),
            json!({"choices": [{"index": 0, "delta": {"reasoning_content": "hm"}}]}),
            json!({"choices": [{"index": 0, "delta": {"content": "Pa"}}]}),
            json!({"choices": [{"index": 0, "delta": {"content": "ris"}, "finish_reason": null}]}),
            json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}),
            json!({"choices": [], "usage": {"prompt_tokens": 3}}),
        ]);
        let message = json!({"role": "assistant", "content": "Paris", "reasoning_content": "hm"});
        assert_eq!(whole["choices"][0], json!({"message": message, "finish_reason": "stop"}));
        assert_eq!(whole["usage"]["prompt_tokens"], 3);
    }

    #[test]
    fn calls_are_told_apart_however_they_are_numbered() {
        let call = |index: Value, id: &str, name: &str, arguments: &str| {
            let call = json!({"index": index, "id": id, "function": {"name": name, "arguments": arguments}});
            json!({"choices": [{"index": 0, "delta": {"tool_calls": [call]}}]})
        };
        for indices in [[json!(0), json!(1)], [json!(0), json!(0)], [Value::Null, Value::Null]] {
            let [first, second] = indices;
            let whole = assembled(&[
                call(first.clone(), "a", "look", "{\"at\":"),
                call(first, "", "look", "1}"),
                call(second.clone(), "b", "look", ""),
                call(second, "", "", "{}"),
                json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]}),
            ]);
            let calls = whole["choices"][0]["message"]["tool_calls"].as_array().unwrap();
            let read: Vec<_> = calls.iter().map(|call| (call["id"].clone(), call["function"].clone())).collect();
            let function = |arguments: &str| json!({"name": "look", "arguments": arguments});
            assert_eq!(read, [(json!("a"), function("{\"at\":1}")), (json!("b"), function("{}"))]);
        }
    }

    #[test]
    fn signatures_and_details_are_kept_together() {
        let detail = |text: &str| json!({"choices": [{"index": 0, "delta": {"reasoning_details": [{"type": "reasoning.text", "index": 0, "text": text}]}}]});
        let whole = assembled(&[
            detail("a"),
            detail("b"),
            json!({"choices": [{"index": 0, "delta": {"content": "x", "extra_content": {"google": {"thought_signature": "s"}}}, "finish_reason": "stop"}]}),
        ]);
        let message = &whole["choices"][0]["message"];
        assert_eq!(message["reasoning_details"], json!([{"type": "reasoning.text", "index": 0, "text": "ab"}]));
        assert_eq!(message["extra_content"]["google"]["thought_signature"], "s");
    }

    #[test]
    fn what_ends_too_early_is_no_reply() {
        let half = [json!({"choices": [{"index": 0, "delta": {"content": "Pa"}}]})];
        assert_eq!(assemble(&half, false), None);
        assert!(assemble(&half, true).is_some());
        assert_eq!(assemble(&[], true), None);
        let failed = [half[0].clone(), json!({"error": {"message": "no"}})];
        assert_eq!(assemble(&failed, false).unwrap()["error"]["message"], "no");
    }

    #[test]
    fn events_are_read_whatever_their_line_ends() {
        for text in [
            ": hello\n\nevent: e\ndata: {\"a\": 1}\n\ndata: [DONE]\n\n",
            "event:e\r\ndata:{\"a\": 1}\r\n\r\ndata: [DONE]",
            "event: e\ndata: {\"a\": 1}\ndata: [DONE]\n",
            "event: e\ndata: {\"a\":\ndata:  1}\n\ndata: [DONE]\n",
        ] {
            for size in [1, 7, 1_000] {
                let mut read = Vec::new();
                let mut events = Events::default();
                for piece in text.as_bytes().chunks(size) {
                    events.push(piece, |event, data| read.push((event.to_owned(), data.replace('\n', ""))));
                }
                events.finish(|event, data| read.push((event.to_owned(), data.replace('\n', ""))));
                assert_eq!(read.len(), 2, "{text}: {read:?}");
                assert_eq!((read[0].0.as_str(), read[1].1.as_str()), ("e", "[DONE]"), "{text}");
            }
        }
    }

    fn assembled(chunks: &[Value]) -> Value {
        assemble(chunks, true).unwrap()
    }

    fn assemble(chunks: &[Value], done: bool) -> Option<Value> {
        let mut assembly = Assembly::default();
        for chunk in chunks {
            assembly.take("", &chunk.to_string());
        }
        if done {
            assembly.take("", "[DONE]");
        }
        assembly.finish()
    }
}
